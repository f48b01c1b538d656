/* Layouts of the kernels of runtime/kernels/armv7em; each is drawn in the kernel's header. */
#include "backend/kernels/kernels.h"

enum {
  BLOCK = 4,           /* channels at a time */
  PAIR_WEIGHTS = 65535 /* 128 times as much fits 24 bits */
};

/* Whether channel o's sum may be the upper one of a pair: it fits 24 bits, and 256 * w + 127 and - 128 fit 16. */
static bool fits_pair(const FoldWeights *w, int32_t o, const FoldedChannel *c) {
  if (c->weights > PAIR_WEIGHTS) return false;
  for (int32_t t = 0; t < w->taps; t++)
    for (int32_t i = 0; i < w->run; i++)
      if (w->w[o * w->out + t * w->tap + i] == -128) return false;
  return true;
}

static bool pairs_accept(const FoldWeights *w, const FoldScales *s) {
  for (int32_t o = 0; o < w->outs; o++) {
    FoldedChannel c;
    if (!fold_channel(w, s, o, &c)) return false;
    if (o % 2 == 1 && !fits_pair(w, o, &c)) return false;
  }
  return true;
}

/* -- conv_s8 -- */

static int32_t conv_taps(const mf_conv_s8 *p) { return p->g.k_h * p->g.k_w * p->g.in_c; }

/* Two windows widened; where in_c is no multiple of 4, one as bytes besides. */
size_t em_conv_scratch(const void *params) {
  const mf_conv_s8 *p = params;
  int32_t taps = conv_taps(p);
  return (size_t)((taps + 3) / 4) * 16 + (size_t)(p->g.in_c % 4 ? taps : 0);
}

bool em_conv_accepts(const void *params) {
  const mf_conv_s8 *p = params;
  FoldWeights w = conv_fold_weights(p);
  FoldScales s = conv_fold_scales(p);
  return p->groups == 1 && pairs_accept(&w, &s);
}

/* The weight of channel o that the kernel multiplies with number k of its inputs, in groups of four ordered 0 2 1 3; 0
 * outside. */
static int32_t ordered_weight(const FoldWeights *w, int32_t o, int32_t k) {
  static const int32_t order[4] = {0, 2, 1, 3};
  return weight_or_zero(w, o, (k & ~3) + order[k & 3]);
}

static void put_half(int8_t *to, int32_t half) {
  to[0] = (int8_t)(half & 0xff);
  to[1] = (int8_t)(half >> 8 & 0xff);
}

/* { bias0, bias2, 2 bias1, 2 bias3, then mult, round, shift of each } */
static void put_pairs_block(int32_t *q, const FoldWeights *w, const FoldScales *s, int32_t o) {
  static const int place[BLOCK] = {0, 2, 1, 3};
  for (int32_t i = 0; i < BLOCK; i++) {
    FoldedChannel c = folded_or_none(w, s, o + i);
    q[place[i]] = i % 2 ? 2 * c.bias : c.bias;
    put_scales(q + BLOCK + 3 * i, &c);
  }
}

typedef int32_t WeightOrder(const FoldWeights *w, int32_t o, int32_t k);

/* Blocks of four channels; in each, for every two inputs, a word of channels 0 and 1, then one of 2 and 3. `held`: the
 * weights in the array, of which w are the first channels. */
static void pack_pairs(KernelPack *k, const FoldWeights *w, const FoldWeights *held, const FoldScales *s,
                       WeightOrder *ordered, int32_t pairs) {
  int32_t blocks = (held->outs + BLOCK - 1) / BLOCK, own = (w->outs + BLOCK - 1) / BLOCK;
  int64_t n = (int64_t)blocks * pairs * 8;
  int8_t *packed = arena_alloc(k->arena, (size_t)n), *to = packed;
  int32_t *q = arena_array(k->arena, (size_t)own * 16, sizeof *q);
  for (int32_t b = 0; b < own; b++) put_pairs_block(q + 16 * b, w, s, BLOCK * b);
  for (int32_t b = 0; b < blocks; b++)
    for (int32_t t = 0; t < pairs; t++)
      for (int32_t i = 0; i < 4; i++, to += 2) {
        int32_t o = BLOCK * b + i / 2 * 2, at = 2 * t + i % 2;
        put_half(to, 256 * ordered(held, o + 1, at) + ordered(held, o, at));
      }
  pack_result(k, packed, n, q, (int64_t)own * 16);
}

void em_conv_pack(KernelPack *k) {
  const mf_conv_s8 *p = k->params;
  FoldWeights w = conv_fold_weights(p), held = conv_fold_weights(widest_of(k));
  FoldScales s = conv_fold_scales(p);
  pack_pairs(k, &w, &held, &s, ordered_weight, (conv_taps(p) + 3) / 4 * 2);
}

/* -- conv_s8, of a family: inputs by groups of four channels, in each by taps -- */

static int32_t family_pairs(const mf_conv_s8 *p) { return p->g.k_h * p->g.k_w * ((p->g.in_c + 3) / 4) * 2; }

size_t em_family_scratch(const void *params) { return (size_t)family_pairs(params) * 8; }

static int32_t family_weight(const FoldWeights *w, int32_t o, int32_t k) {
  static const int32_t order[4] = {0, 2, 1, 3};
  const int32_t at = k / 4, t = at % w->taps, i = at / w->taps * 4 + order[k & 3];
  return o < w->outs && i < w->run ? fold_weight(w, o * w->out + t * w->tap + i) : 0;
}

void em_family_pack(KernelPack *k) {
  mf_conv_s8 *p = k->params;
  FoldWeights w = conv_fold_weights(p), held = conv_fold_weights(widest_of(k));
  FoldScales s = conv_fold_scales(p);
  const int32_t pairs = family_pairs(widest_of(k));
  pack_pairs(k, &w, &held, &s, family_weight, pairs);
  p->w_out = pairs * 8;
  p->w_tap = 0;
}

/* -- fc_s8 -- */

bool em_fc_accepts(const void *params) {
  const mf_fc_s8 *p = params;
  FoldWeights w = fc_fold_weights(p);
  FoldScales s = fc_fold_scales(p);
  return p->w_zero == 0 && pairs_accept(&w, &s);
}

/* Blocks of `inputs` inputs. */
static void em_fc_pack_as(KernelPack *k, int32_t inputs) {
  const mf_fc_s8 *p = k->params;
  FoldWeights w = fc_fold_weights(p), held = fc_fold_weights(widest_of(k));
  FoldScales s = fc_fold_scales(p);
  pack_pairs(k, &w, &held, &s, ordered_weight, (inputs + 3) / 4 * 2);
}

void em_fc_pack(KernelPack *k) { em_fc_pack_as(k, ((const mf_fc_s8 *)k->params)->k); }

void em_fc_family_pack(KernelPack *k) {
  const int32_t inputs = ((const mf_fc_s8 *)widest_of(k))->k;
  em_fc_pack_as(k, inputs);
  ((mf_fc_s8 *)k->params)->w_out = (inputs + 3) / 4 * 16;
}

/* -- depthwise_s8 -- */

enum { DEPTHWISE_TAPS = 25 };

size_t em_depthwise_scratch(const void *params) { return (size_t)((const mf_conv_s8 *)params)->g.in_c; }

bool em_depthwise_accepts(const void *params) {
  const mf_conv_s8 *p = params;
  FoldWeights w = depthwise_fold_weights(p);
  FoldScales s = conv_fold_scales(p);
  if (p->g.in_c != p->g.out_c || p->g.out_c % BLOCK || w.taps > DEPTHWISE_TAPS) return false;
  return all_channels_fold(&w, &s, 30);
}

/* Of four channels from o on the doubled biases, then { mult, round, shift } of each. */
static void put_doubled_block(int32_t *q, const FoldWeights *w, const FoldScales *s, int32_t o) {
  for (int32_t i = 0; i < BLOCK; i++) {
    FoldedChannel c = folded_or_none(w, s, o + i);
    q[i] = 2 * c.bias;
    put_scales(q + BLOCK + 3 * i, &c);
  }
}

/* With the call's own scales. */
static void pack_doubled(KernelPack *k, const int8_t *packed, int64_t n) {
  FoldWeights w = depthwise_fold_weights(k->params);
  FoldScales s = conv_fold_scales(k->params);
  int32_t *q = arena_array(k->arena, (size_t)w.outs * 4, sizeof *q);
  for (int32_t o = 0; o < w.outs; o += BLOCK) put_doubled_block(q + 4 * o, &w, &s, o);
  pack_result(k, packed, n, q, (int64_t)w.outs * 4);
}

/* Doubled weights, int16: blocks of four channels; in each, for every tap, channels 0 2 1 3. */
void em_depthwise_pack(KernelPack *k) {
  static const int32_t order[BLOCK] = {0, 2, 1, 3};
  FoldWeights held = depthwise_fold_weights(widest_of(k));
  int64_t n = (int64_t)held.outs * held.taps * 2;
  int8_t *packed = arena_alloc(k->arena, (size_t)n), *to = packed;
  for (int32_t o = 0; o < held.outs; o += BLOCK)
    for (int32_t t = 0; t < held.taps; t++)
      for (int32_t i = 0; i < BLOCK; i++, to += 2) put_half(to, 2 * weight_or_zero(&held, o + order[i], t));
  pack_doubled(k, packed, n);
}

/* -- depthwise_s8, 3x3 -- */

enum { COLUMNS = 18, COLUMN_BYTES = 24 };

size_t em3_depthwise_scratch(const void *params) {
  const mf_window *g = &((const mf_conv_s8 *)params)->g;
  int32_t n = (g->out_w - 1) * g->stride_w + 3;
  return (size_t)(n < COLUMNS ? n : COLUMNS) * COLUMN_BYTES;
}

bool em3_depthwise_accepts(const void *params) {
  const mf_window *g = &((const mf_conv_s8 *)params)->g;
  return g->k_h == 3 && g->k_w == 3 && g->dil_h == 1 && g->dil_w == 1 && g->stride_w <= COLUMNS - 3 &&
         em_depthwise_accepts(params);
}

static int8_t *put_word(int8_t *to, int32_t v) {
  for (int i = 0; i < 4; i++) *to++ = (int8_t)(uint8_t)((uint32_t)v >> 8 * i);
  return to;
}

/* Doubled weights of channel o, column x: of lines y and z, or of line y in channels o and p. */
static int8_t *put_two(int8_t *to, int32_t low, int32_t high) {
  put_half(to, 2 * low);
  put_half(to + 2, 2 * high);
  return to + 4;
}

static int8_t *put_column(int8_t *to, const FoldWeights *w, int32_t o, int32_t x) {
  to = put_two(to, weight_or_zero(w, o, 6 + x), weight_or_zero(w, o + 2, 6 + x));
  to = put_two(to, weight_or_zero(w, o + 3, x), weight_or_zero(w, o + 3, 3 + x));
  to = put_two(to, weight_or_zero(w, o + 1, 6 + x), weight_or_zero(w, o + 3, 6 + x));
  for (int32_t i = 2; i >= 0; i--)
    to = put_two(to, weight_or_zero(w, o + i, x), weight_or_zero(w, o + i, 3 + x));
  return to;
}

static int8_t *put_columns(int8_t *to, const FoldWeights *w, int32_t o) {
  for (int32_t x = 0; x < 3; x++) to = put_column(to, w, o, x);
  return to;
}

void em3_depthwise_pack(KernelPack *k) {
  const mf_conv_s8 *p = k->params;
  FoldWeights w = depthwise_fold_weights(p);
  FoldScales s = conv_fold_scales(p);
  int64_t n = (int64_t)w.outs / BLOCK * 34 * 4;
  int8_t *packed = arena_alloc(k->arena, (size_t)n), *to = packed;
  for (int32_t o = 0; o < w.outs; o += BLOCK) {
    int32_t q[BLOCK * 4];
    put_doubled_block(q, &w, &s, o);
    for (int32_t i = 0; i < BLOCK; i++) to = put_word(to, q[i]);
    to = put_columns(to, &w, o);
    for (int32_t i = BLOCK; i < BLOCK * 4; i++) to = put_word(to, q[i]);
  }
  pack_const(k, "w", packed, n, 4);
  pack_const(k, "bias", NULL, 0, 0);
  pack_const(k, "mult", NULL, 0, 0);
  pack_const(k, "shift", NULL, 0, 0);
}

/* Weights alone, the scales apart. */
void em3_family_pack(KernelPack *k) {
  FoldWeights held = depthwise_fold_weights(widest_of(k));
  int64_t n = (int64_t)held.outs / BLOCK * 18 * 4;
  int8_t *packed = arena_alloc(k->arena, (size_t)n), *to = packed;
  for (int32_t o = 0; o < held.outs; o += BLOCK) to = put_columns(to, &held, o);
  pack_doubled(k, packed, n);
}
