/* Layouts of the kernels of runtime/kernels/neon; each is drawn in the kernel's header. Per block of channels q holds
 * vectors of biases, multipliers and negative shifts.
 */
#include "backend/kernels/kernels.h"

enum { VECTOR = 16, BLOCK = 4, DEPTHWISE_BLOCK = 8, PIXELS = 4 };

/* Products of two inputs with weights above -128 add up in 16 bits. */
static bool adds_in_16_bits(const FoldWeights *w) {
  for (int32_t o = 0; o < w->outs; o++)
    for (int32_t t = 0; t < w->taps; t++)
      for (int32_t i = 0; i < w->run; i++)
        if (w->w[o * w->out + t * w->tap + i] == -128) return false;
  return true;
}

/* A channel whose output does not depend on the input (multiplier 0) has its weights taken for 0, and a bias that gives
 * that output. */
static bool put_channel(int32_t *q, int32_t block, const FoldWeights *w, const FoldScales *s, int32_t o) {
  FoldedChannel c = folded_or_none(w, s, o);
  bool constant = c.mult == 0;
  if (constant && o < w->outs) {
    c.bias = 4 * ((c.round >> 1) - s->out_zero);
    c.mult = 1 << 30;
    c.shift = 1;
  }
  q[0] = c.bias;
  q[block] = c.mult;
  q[2 * block] = -c.shift;
  return constant;
}

/* Input of place e of vector v, of `inputs`: the last vector ends with the last input, and those that lie in the vector
 * before too are none (-1). */
static int32_t input_at(int32_t v, int32_t e, int32_t inputs) {
  int32_t k = VECTOR * v + e;
  if (VECTOR * (v + 1) <= inputs || inputs < VECTOR) return k < inputs ? k : -1;
  int32_t at = inputs - VECTOR + e;
  return at >= VECTOR * v ? at : -1;
}

/* The weights that the packed array holds; of a family, the widest variant's, and these with its scales. */
typedef struct Held {
  FoldWeights w;
  FoldScales s;
} Held;

/* A place's weight: channel o, input e of vector v. */
typedef int32_t WeightAt(const FoldWeights *w, int32_t o, int32_t v, int32_t e);

static int32_t run_weight(const FoldWeights *w, int32_t o, int32_t v, int32_t e) {
  const int32_t at = input_at(v, e, w->taps * w->run);
  return at < 0 ? 0 : weight_or_zero(w, o, at);
}

static void put_vectors(int8_t *to, const Held *h, WeightAt *weight, int32_t vectors) {
  for (int32_t o = 0; o < h->w.outs; o += BLOCK) {
    bool constant[BLOCK];
    int32_t unused[BLOCK * 3];
    for (int32_t i = 0; i < BLOCK; i++) constant[i] = put_channel(unused + i, BLOCK, &h->w, &h->s, o + i);
    for (int32_t v = 0; v < vectors; v++)
      for (int32_t i = 0; i < BLOCK; i++)
        for (int32_t e = 0; e < VECTOR; e++) *to++ = constant[i] ? 0 : (int8_t)weight(&h->w, o + i, v, e);
  }
}

static void pack_vectors(KernelPack *k, const FoldWeights *w, const FoldScales *s, const Held *h,
                         WeightAt *weight, int32_t vectors) {
  const int32_t blocks = (w->outs + BLOCK - 1) / BLOCK, all = (h->w.outs + BLOCK - 1) / BLOCK;
  const int64_t n = (int64_t)all * vectors * BLOCK * VECTOR, n_q = (int64_t)blocks * BLOCK * 3;
  int8_t *packed = arena_alloc(k->arena, (size_t)n);
  int32_t *q = arena_array(k->arena, (size_t)n_q, sizeof *q);
  for (int32_t o = 0; o < blocks * BLOCK; o++)
    put_channel(q + 3 * (o / BLOCK * BLOCK) + o % BLOCK, BLOCK, w, s, o);
  put_vectors(packed, h, weight, vectors);
  pack_result(k, packed, n, q, n_q);
}

static void pack_runs(KernelPack *k, const FoldWeights *w, const FoldScales *s, const Held *h) {
  pack_vectors(k, w, s, h, run_weight, (w->taps * w->run + VECTOR - 1) / VECTOR);
}

static Held conv_held(const KernelPack *k) {
  return (Held){conv_fold_weights(widest_of(k)), conv_fold_scales(widest_of(k))};
}

static Held fc_held(const KernelPack *k) {
  return (Held){fc_fold_weights(widest_of(k)), fc_fold_scales(widest_of(k))};
}

/* Four windows; none where a window is a run of the image's bytes on every pixel. */
size_t neon_conv_scratch(const void *params) { return v7m_conv_scratch(params) / 2 * PIXELS; }

bool neon_conv_accepts(const void *params) {
  FoldWeights w = conv_fold_weights(params);
  return v7m_conv_accepts(params) && adds_in_16_bits(&w);
}

void neon_conv_pack(KernelPack *k) {
  FoldWeights w = conv_fold_weights(k->params);
  FoldScales s = conv_fold_scales(k->params);
  const Held h = conv_held(k);
  pack_runs(k, &w, &s, &h);
}

/* -- conv_s8, of a family: a run of words of four input channels, by groups of them, in each by taps; four words to a
 * vector -- */

static int32_t family_vectors(const mf_conv_s8 *p) {
  return (p->g.k_h * p->g.k_w * ((p->g.in_c + 3) / 4) + 3) / 4;
}

size_t neon_family_scratch(const void *params) { return (size_t)family_vectors(params) * VECTOR * PIXELS; }

static int32_t family_weight(const FoldWeights *w, int32_t o, int32_t v, int32_t e) {
  const int32_t word = 4 * v + e / 4, t = word % w->taps, i = word / w->taps * 4 + e % 4;
  return o < w->outs && i < w->run ? fold_weight(w, o * w->out + t * w->tap + i) : 0;
}

void neon_family_pack(KernelPack *k) {
  mf_conv_s8 *p = k->params;
  FoldWeights w = conv_fold_weights(p);
  FoldScales s = conv_fold_scales(p);
  const Held h = conv_held(k);
  const int32_t vectors = family_vectors(widest_of(k));
  pack_vectors(k, &w, &s, &h, family_weight, vectors);
  p->w_out = vectors * BLOCK * VECTOR;
  p->w_tap = 0;
}

bool neon_fc_accepts(const void *params) {
  FoldWeights w = fc_fold_weights(params);
  return v7m_fc_accepts(params) && adds_in_16_bits(&w);
}

void neon_fc_pack(KernelPack *k) {
  FoldWeights w = fc_fold_weights(k->params);
  FoldScales s = fc_fold_scales(k->params);
  const Held h = fc_held(k);
  pack_runs(k, &w, &s, &h);
}

/* -- fc_s8, of a family: inputs by vectors, filled up with zeros -- */

static int32_t fc_vectors(const mf_fc_s8 *p) { return (p->k + VECTOR - 1) / VECTOR; }

size_t neon_fc_family_scratch(const void *params) { return (size_t)fc_vectors(params) * VECTOR * PIXELS; }

static int32_t fc_weight(const FoldWeights *w, int32_t o, int32_t v, int32_t e) {
  return weight_or_zero(w, o, VECTOR * v + e);
}

void neon_fc_family_pack(KernelPack *k) {
  mf_fc_s8 *p = k->params;
  FoldWeights w = fc_fold_weights(p);
  FoldScales s = fc_fold_scales(p);
  const Held h = fc_held(k);
  const int32_t vectors = fc_vectors(widest_of(k));
  pack_vectors(k, &w, &s, &h, fc_weight, vectors);
  p->w_out = vectors * BLOCK * VECTOR;
}

void neon_depthwise_pack(KernelPack *k) {
  FoldWeights w = depthwise_fold_weights(k->params);
  FoldScales s = conv_fold_scales(k->params);
  const Held h = {depthwise_fold_weights(widest_of(k)), conv_fold_scales(widest_of(k))};
  const int64_t n = (int64_t)h.w.outs * w.taps, n_q = (int64_t)w.outs * 3;
  int8_t *packed = arena_alloc(k->arena, (size_t)n), *to = packed;
  int32_t *q = arena_array(k->arena, (size_t)n_q, sizeof *q);
  for (int32_t o = 0; o < w.outs; o++)
    put_channel(q + 3 * (o / DEPTHWISE_BLOCK * DEPTHWISE_BLOCK) + o % DEPTHWISE_BLOCK, DEPTHWISE_BLOCK, &w,
                &s, o);
  for (int32_t first = 0; first < h.w.outs; first += DEPTHWISE_BLOCK) {
    bool constant[DEPTHWISE_BLOCK];
    int32_t unused[DEPTHWISE_BLOCK * 3];
    for (int32_t i = 0; i < DEPTHWISE_BLOCK; i++)
      constant[i] = put_channel(unused + i, DEPTHWISE_BLOCK, &h.w, &h.s, first + i);
    for (int32_t t = 0; t < w.taps; t++)
      for (int32_t i = 0; i < DEPTHWISE_BLOCK; i++)
        *to++ = constant[i] ? 0 : (int8_t)weight_or_zero(&h.w, first + i, t);
  }
  pack_result(k, packed, n, q, n_q);
}
