/* Layouts of the kernels of runtime/kernels/armv7em whose weights have 4 bits, drawn in conv_s4.c. */
#include "backend/kernels/kernels.h"

enum {
  BLOCK = 4,
  FIRST_WEIGHTS = 65535, /* of channel 1: 128 times as much fits 24 bits */
  LAST_WEIGHTS = 4095,   /* of channel 3: 20 bits */
  THIRD_BOUND = 1 << 27  /* of channel 2's sum, bias included: 28 bits */
};

static FoldWeights nibbles(FoldWeights w) {
  w.nibbles = true;
  return w;
}

static bool fits_place(int32_t place, const FoldedChannel *c) {
  return place == 0 || (place == 1 && c->weights <= FIRST_WEIGHTS) ||
         (place == 2 && c->bound < THIRD_BOUND) || (place == 3 && c->weights <= LAST_WEIGHTS);
}

static bool accepts(const FoldWeights *w, const FoldScales *s) {
  for (int32_t o = 0; o < w->outs; o++) {
    FoldedChannel c;
    if (!fold_channel(w, s, o, &c) || !fits_place(o % BLOCK, &c)) return false;
  }
  return true;
}

/* { bias0, 16 bias2, 2 bias1, 2 bias3, then mult, round, shift of each } */
static void put_block(int32_t *q, const FoldWeights *w, const FoldScales *s, int32_t o) {
  static const int place[BLOCK] = {0, 2, 1, 3}, times[BLOCK] = {1, 2, 16, 2};
  for (int32_t i = 0; i < BLOCK; i++) {
    FoldedChannel c = folded_or_none(w, s, o + i);
    q[place[i]] = times[i] * c.bias;
    put_scales(q + BLOCK + 3 * i, &c);
  }
}

/* The four weights of number k among a channel's inputs, in groups of four ordered 0 2 1 3, as a half word. */
static uint32_t half_of(const FoldWeights *w, int32_t o, int32_t k) {
  static const int32_t order[4] = {0, 2, 1, 3};
  int32_t v[BLOCK];
  for (int32_t i = 0; i < BLOCK; i++) v[i] = weight_or_zero(w, o + i, (k & ~3) + order[k & 3]);
  return (uint32_t)(v[0] + 8) | (uint32_t)(v[2] + 8) << 4 | (uint32_t)(v[1] + 8) << 8 |
         (uint32_t)(v[3] & 15) << 12;
}

static void pack(KernelPack *k, const FoldWeights *w, const FoldScales *s, int32_t pairs) {
  const int32_t blocks = (w->outs + BLOCK - 1) / BLOCK;
  const int64_t n = (int64_t)blocks * pairs * 4;
  int8_t *packed = arena_alloc(k->arena, (size_t)n), *to = packed;
  int32_t *q = arena_array(k->arena, (size_t)blocks * 16, sizeof *q);
  for (int32_t b = 0; b < blocks; b++) {
    put_block(q + 16 * b, w, s, BLOCK * b);
    for (int32_t t = 0; t < 2 * pairs; t++, to += 2) {
      const uint32_t half = half_of(w, BLOCK * b, t);
      to[0] = (int8_t)(half & 0xff);
      to[1] = (int8_t)(half >> 8);
    }
  }
  pack_result(k, packed, n, q, (int64_t)blocks * 16);
}

bool em4_conv_accepts(const void *params) {
  const mf_conv_s8 *p = params;
  const FoldWeights w = nibbles(conv_fold_weights(p));
  const FoldScales s = conv_fold_scales(p);
  return p->groups == 1 && accepts(&w, &s);
}

void em4_conv_pack(KernelPack *k) {
  const mf_conv_s8 *p = k->params;
  const FoldWeights w = nibbles(conv_fold_weights(p));
  const FoldScales s = conv_fold_scales(p);
  pack(k, &w, &s, (p->g.k_h * p->g.k_w * p->g.in_c + 3) / 4 * 2);
}

bool em4_fc_accepts(const void *params) {
  const FoldWeights w = nibbles(fc_fold_weights(params));
  const FoldScales s = fc_fold_scales(params);
  return accepts(&w, &s);
}

void em4_fc_pack(KernelPack *k) {
  const mf_fc_s8 *p = k->params;
  const FoldWeights w = nibbles(fc_fold_weights(p));
  const FoldScales s = fc_fold_scales(p);
  pack(k, &w, &s, (p->k + 3) / 4 * 2);
}
