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

static void pack_runs(KernelPack *k, const FoldWeights *w, const FoldScales *s) {
  int32_t inputs = w->taps * w->run, blocks = (w->outs + BLOCK - 1) / BLOCK;
  int32_t vectors = (inputs + VECTOR - 1) / VECTOR;
  int64_t n = (int64_t)blocks * vectors * BLOCK * VECTOR, n_q = (int64_t)blocks * BLOCK * 3;
  int8_t *packed = arena_alloc(k->arena, (size_t)n), *to = packed;
  int32_t *q = arena_array(k->arena, (size_t)n_q, sizeof *q);
  for (int32_t b = 0; b < blocks; b++) {
    bool constant[BLOCK];
    for (int32_t i = 0; i < BLOCK; i++)
      constant[i] = put_channel(q + 3 * BLOCK * b + i, BLOCK, w, s, BLOCK * b + i);
    for (int32_t v = 0; v < vectors; v++)
      for (int32_t i = 0; i < BLOCK; i++)
        for (int32_t e = 0; e < VECTOR; e++) {
          int32_t at = input_at(v, e, inputs);
          *to++ = at < 0 || constant[i] ? 0 : (int8_t)weight_or_zero(w, BLOCK * b + i, at);
        }
  }
  pack_result(k, packed, n, q, n_q);
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
  pack_runs(k, &w, &s);
}

bool neon_fc_accepts(const void *params) {
  FoldWeights w = fc_fold_weights(params);
  return v7m_fc_accepts(params) && adds_in_16_bits(&w);
}

void neon_fc_pack(KernelPack *k) {
  FoldWeights w = fc_fold_weights(k->params);
  FoldScales s = fc_fold_scales(k->params);
  pack_runs(k, &w, &s);
}

void neon_depthwise_pack(KernelPack *k) {
  FoldWeights w = depthwise_fold_weights(k->params);
  FoldScales s = conv_fold_scales(k->params);
  int32_t blocks = w.outs / DEPTHWISE_BLOCK;
  int64_t n = (int64_t)blocks * w.taps * DEPTHWISE_BLOCK, n_q = (int64_t)blocks * DEPTHWISE_BLOCK * 3;
  int8_t *packed = arena_alloc(k->arena, (size_t)n), *to = packed;
  int32_t *q = arena_array(k->arena, (size_t)n_q, sizeof *q);
  for (int32_t b = 0; b < blocks; b++) {
    bool constant[DEPTHWISE_BLOCK];
    int32_t first = DEPTHWISE_BLOCK * b;
    for (int32_t i = 0; i < DEPTHWISE_BLOCK; i++)
      constant[i] = put_channel(q + 3 * first + i, DEPTHWISE_BLOCK, &w, &s, first + i);
    for (int32_t t = 0; t < w.taps; t++)
      for (int32_t i = 0; i < DEPTHWISE_BLOCK; i++)
        *to++ = constant[i] ? 0 : (int8_t)weight_or_zero(&w, first + i, t);
  }
  pack_result(k, packed, n, q, n_q);
}
