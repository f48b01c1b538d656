/* Layouts of those kernels of runtime/kernels/armv7m that multiply two numbers in one long product; each is drawn in the
 * kernel's header. The layouts of the others: blocks.c.
 */
#include "backend/kernels/kernels.h"

/* Magnitudes of weights whose sum with inputs of 8 bits fits 23, or 24 bits. */
enum { WEIGHTS_23 = (1 << 22) / 128 - 1, WEIGHTS_24 = (1 << 23) / 128 - 1 };

static bool sums_fit(const FoldWeights *w, const FoldScales *s, int64_t most) {
  for (int32_t o = 0; o < w->outs; o++) {
    FoldedChannel c;
    if (!fold_channel(w, s, o, &c) || c.weights > most) return false;
  }
  return true;
}

/* { 2 * bias, mult, round, shift } of each channel of whole blocks. */
static int32_t *pack_channels(KernelPack *k, const FoldWeights *w, const FoldScales *s, int32_t channels) {
  int32_t *q = arena_array(k->arena, (size_t)channels * 4, sizeof *q);
  for (int32_t o = 0; o < channels; o++) {
    FoldedChannel c = folded_or_none(w, s, o);
    q[4 * o] = 2 * c.bias;
    put_scales(q + 4 * o + 1, &c);
  }
  return q;
}

/* A word a tap, two windows of bytes besides where they do not lie in the image. */
size_t v7l_conv_scratch(const void *params) {
  const mf_window *g = &((const mf_conv_s8 *)params)->g;
  return 4 * (size_t)(g->k_h * g->k_w * g->in_c) + v7m_conv_scratch(params);
}

bool v7l_conv_accepts(const void *params) {
  const mf_conv_s8 *p = params;
  FoldWeights w = conv_fold_weights(p);
  FoldScales s = conv_fold_scales(p);
  return p->groups == 1 && sums_fit(&w, &s, WEIGHTS_23);
}

void v7l_conv_pack(KernelPack *k) {
  FoldWeights w = conv_fold_weights(k->params);
  FoldScales s = conv_fold_scales(k->params);
  int32_t channels = (w.outs + 3) / 4 * 4, inputs = w.taps * w.run;
  int64_t n = (int64_t)channels * inputs;
  int8_t *packed = arena_alloc(k->arena, (size_t)n), *to = packed;
  for (int32_t b = 0; b < channels; b += 4)
    for (int32_t t = 0; t < inputs; t++)
      for (int32_t i = 0; i < 4; i++) *to++ = (int8_t)weight_or_zero(&w, b + i, t);
  pack_result(k, packed, n, pack_channels(k, &w, &s, channels), 4 * (int64_t)channels);
}

bool v7l_fc_accepts(const void *params) {
  const mf_fc_s8 *p = params;
  FoldWeights w = fc_fold_weights(p);
  FoldScales s = fc_fold_scales(p);
  return p->w_zero == 0 && p->k < 1 << 16 && sums_fit(&w, &s, WEIGHTS_24);
}

void v7l_fc_pack(KernelPack *k) {
  static const int32_t order[4] = {0, 3, 2, 1}, offset[4] = {128, 0, 128, 0};
  FoldWeights w = fc_fold_weights(k->params);
  FoldScales s = fc_fold_scales(k->params);
  int32_t channels = (w.outs + 7) / 8 * 8;
  int64_t n = (int64_t)channels * w.run;
  int8_t *packed = arena_alloc(k->arena, (size_t)n), *to = packed;
  for (int32_t b = 0; b < channels; b += 8)
    for (int32_t t = 0; t < w.run; t++)
      for (int32_t i = 0; i < 8; i++)
        *to++ = (int8_t)(uint8_t)(weight_or_zero(&w, b + i / 4 * 4 + order[i % 4], t) + offset[i % 4]);
  pack_result(k, packed, n, pack_channels(k, &w, &s, channels), 4 * (int64_t)channels);
}
