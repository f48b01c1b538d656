/* Layouts of the kernels of runtime/kernels/mve: blocks of channels, in each a vector of every channel's next `group`
 * weights; q in vectors too: biases, multipliers, rounding terms, negative shifts.
 */
#include "backend/kernels/kernels.h"

enum { VECTOR = 16 };

/* `pairs`: q holds the even channels of a block, then the odd ones. */
static void put_q(int32_t *q, const FoldWeights *w, const FoldScales *s, int32_t first, int32_t block,
                  bool pairs) {
  for (int32_t i = 0; i < block; i++) {
    FoldedChannel c = folded_or_none(w, s, first + i);
    int32_t at = pairs ? i / 2 + i % 2 * block / 2 : i;
    q[at] = c.bias;
    q[block + at] = c.mult;
    q[2 * block + at] = c.round;
    q[3 * block + at] = -c.shift;
  }
}

static void pack_vectors(KernelPack *k, const FoldWeights *w, const FoldScales *s, int32_t block,
                         int32_t group, bool pairs) {
  int32_t blocks = (w->outs + block - 1) / block, groups = (w->taps * w->run + group - 1) / group;
  int64_t n = (int64_t)blocks * groups * group * block, n_q = (int64_t)blocks * block * 4;
  int8_t *packed = arena_alloc(k->arena, (size_t)n), *to = packed;
  int32_t *q = arena_array(k->arena, (size_t)n_q, sizeof *q);
  for (int32_t b = 0; b < blocks; b++) {
    put_q(q + 4 * block * b, w, s, block * b, block, pairs);
    for (int32_t g = 0; g < groups; g++)
      for (int32_t i = 0; i < block; i++)
        for (int32_t e = 0; e < group; e++) *to++ = (int8_t)weight_or_zero(w, block * b + i, group * g + e);
  }
  pack_result(k, packed, n, q, n_q);
}

bool mve_conv_accepts(const void *params) { return v7m_conv_accepts(params); }

void mve_conv_pack(KernelPack *k) {
  FoldWeights w = conv_fold_weights(k->params);
  FoldScales s = conv_fold_scales(k->params);
  pack_vectors(k, &w, &s, 4, VECTOR, false);
}

bool mve_depthwise_accepts(const void *params) {
  FoldWeights w = depthwise_fold_weights(params);
  for (int32_t o = 0; o < w.outs; o++)
    for (int32_t t = 0; t < w.taps; t++)
      if (weight_or_zero(&w, o, t) == -128) return false;
  return v7m_depthwise_accepts(params);
}

void mve_depthwise_pack(KernelPack *k) {
  FoldWeights w = depthwise_fold_weights(k->params);
  FoldScales s = conv_fold_scales(k->params);
  pack_vectors(k, &w, &s, 8, 1, true);
}

bool mve_fc_accepts(const void *params) { return v7m_fc_accepts(params); }

void mve_fc_pack(KernelPack *k) {
  FoldWeights w = fc_fold_weights(k->params);
  FoldScales s = fc_fold_scales(k->params);
  pack_vectors(k, &w, &s, 8, VECTOR, false);
}
