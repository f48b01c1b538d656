/* Layouts of the kernels of runtime/kernels/mve: blocks of channels, in each a vector of every channel's next `group`
 * weights; q in vectors too: biases, multipliers, rounding terms, negative shifts.
 */
#include "backend/kernels/kernels.h"

#include "runtime/kernels/window.h"

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

/* order: where a block's place e is found among a channel's inputs. `held`: the weights in the array, of which w are the
 * first channels. */
static void pack_vectors(KernelPack *k, const FoldWeights *w, const FoldWeights *held, const FoldScales *s,
                         int32_t block, const int32_t *order) {
  const int32_t inputs = held->taps * held->run, groups = (inputs + VECTOR - 1) / VECTOR;
  const int32_t blocks = (w->outs + block - 1) / block, all = (held->outs + block - 1) / block;
  const int64_t n = (int64_t)all * groups * VECTOR * block, n_q = (int64_t)blocks * block * 4;
  int8_t *packed = arena_alloc(k->arena, (size_t)n), *to = packed;
  int32_t *q = arena_array(k->arena, (size_t)n_q, sizeof *q);
  for (int32_t b = 0; b < blocks; b++) put_q(q + 4 * block * b, w, s, block * b, block, false);
  for (int32_t b = 0; b < all; b++)
    for (int32_t g = 0; g < groups; g++)
      for (int32_t i = 0; i < block; i++)
        for (int32_t e = VECTOR * g; e < VECTOR * (g + 1); e++)
          *to++ = e < inputs ? (int8_t)weight_or_zero(held, block * b + i, order ? order[e] : e) : 0;
  pack_result(k, packed, n, q, n_q);
}

/* Columns of windows, or two windows. */
size_t mve_conv_scratch(const void *params) {
  const mf_window *g = &((const mf_conv_s8 *)params)->g;
  if (!mf_by_columns(g)) return v7m_conv_scratch(params);
  return (size_t)(((mf_columns_pixels(g) - 1) * g->stride_w + g->k_w) * g->k_h * g->in_c);
}

bool mve_conv_accepts(const void *params) { return v7m_conv_accepts(params); }

void mve_conv_pack(KernelPack *k) {
  FoldWeights w = conv_fold_weights(k->params), held = conv_fold_weights(widest_of(k));
  FoldScales s = conv_fold_scales(k->params);
  const mf_window *g = &((const mf_conv_s8 *)k->params)->g;
  int32_t *order = NULL, *at;
  if (mf_by_columns(g)) {
    at = order = arena_array(k->arena, (size_t)(w.taps * w.run), sizeof *order);
    for (int32_t kx = 0; kx < g->k_w; kx++)
      for (int32_t ky = 0; ky < g->k_h; ky++)
        for (int32_t c = 0; c < g->in_c; c++) *at++ = (ky * g->k_w + kx) * g->in_c + c;
  }
  pack_vectors(k, &w, &held, &s, 4, order);
}

bool mve_depthwise_accepts(const void *params) {
  FoldWeights w = depthwise_fold_weights(params);
  for (int32_t o = 0; o < w.outs; o++)
    for (int32_t t = 0; t < w.taps; t++)
      if (weight_or_zero(&w, o, t) == -128) return false;
  return v7m_depthwise_accepts(params);
}

/* Sixteen channels in the order in which products widen. */
static void put_sixteen(int32_t *q, const FoldWeights *w, const FoldScales *s, int32_t first) {
  static const int32_t begin[4] = {0, 2, 1, 3};
  for (int32_t v = 0; v < 4; v++)
    for (int32_t i = 0; i < 4; i++) {
      FoldedChannel c = folded_or_none(w, s, first + begin[v] + 4 * i);
      int32_t *scales = q + 16 + 12 * v + i;
      q[4 * v + i] = c.bias;
      scales[0] = c.mult;
      scales[4] = c.round;
      scales[8] = -c.shift;
    }
}

/* Channels of the block that begins at o, of `outs`. */
static int32_t depthwise_block(int32_t o, int32_t outs) { return outs - o < VECTOR ? 8 : VECTOR; }

void mve_depthwise_pack(KernelPack *k) {
  FoldWeights w = depthwise_fold_weights(k->params), held = depthwise_fold_weights(widest_of(k));
  FoldScales s = conv_fold_scales(k->params);
  int64_t n = (int64_t)held.outs * held.taps, n_q = 4 * (int64_t)w.outs;
  int8_t *packed = arena_alloc(k->arena, (size_t)n), *to = packed;
  int32_t *q = arena_array(k->arena, (size_t)n_q, sizeof *q), block;
  for (int32_t o = 0; o < w.outs; o += block) {
    block = depthwise_block(o, w.outs);
    if (block == 8)
      put_q(q + 4 * o, &w, &s, o, 8, true);
    else
      put_sixteen(q + 4 * o, &w, &s, o);
  }
  for (int32_t o = 0; o < held.outs; o += block) {
    block = depthwise_block(o, held.outs);
    for (int32_t t = 0; t < held.taps; t++)
      for (int32_t i = 0; i < block; i++) *to++ = (int8_t)weight_or_zero(&held, o + i, t);
  }
  pack_result(k, packed, n, q, n_q);
}

bool mve_fc_accepts(const void *params) { return v7m_fc_accepts(params); }

void mve_fc_pack(KernelPack *k) {
  FoldWeights w = fc_fold_weights(k->params), held = fc_fold_weights(widest_of(k));
  FoldScales s = fc_fold_scales(k->params);
  pack_vectors(k, &w, &held, &s, 8, NULL);
}
