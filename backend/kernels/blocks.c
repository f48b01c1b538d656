/* The layout of kernels for processors without packed arithmetic: blocks of `block` output channels; in each, for every
 * input (or tap, of a depthwise convolution), one weight of each channel. Per block q holds the biases, then
 * { mult, round, shift } of each channel. Channels that fill the last block up have weights 0.
 */
#include "backend/kernels/kernels.h"

enum { TAPS_MAX = 25 };

FoldWeights conv_fold_weights(const mf_conv_s8 *p) {
  return (FoldWeights){.w = p->w,
                       .outs = p->g.out_c,
                       .taps = p->g.k_h * p->g.k_w,
                       .run = p->g.in_c,
                       .out = p->w_out,
                       .tap = p->w_tap};
}

/* A channel's weights are a column: tap t at w[t * w_tap + o]. */
FoldWeights depthwise_fold_weights(const mf_conv_s8 *p) {
  return (FoldWeights){
      .w = p->w, .outs = p->g.out_c, .taps = p->g.k_h * p->g.k_w, .run = 1, .out = 1, .tap = p->w_tap};
}

FoldWeights fc_fold_weights(const mf_fc_s8 *p) {
  return (FoldWeights){.w = p->w, .outs = p->n, .taps = 1, .run = p->k, .out = p->w_out};
}

FoldScales conv_fold_scales(const mf_conv_s8 *p) {
  return (FoldScales){p->bias, p->mult, p->shift, 1, p->in_zero, p->out_zero};
}

FoldScales fc_fold_scales(const mf_fc_s8 *p) {
  return (FoldScales){p->bias, p->mult, p->shift, p->per_channel, p->in_zero, p->out_zero};
}

bool all_channels_fold(const FoldWeights *w, const FoldScales *s, int bits) {
  for (int32_t o = 0; o < w->outs; o++) {
    FoldedChannel c;
    if (!fold_channel(w, s, o, &c) || c.bound >= (int64_t)1 << bits) return false;
  }
  return true;
}

FoldedChannel folded_or_none(const FoldWeights *w, const FoldScales *s, int32_t o) {
  FoldedChannel c = {.shift = 1, .round = 1};
  if (o < w->outs) ASSERT(fold_channel(w, s, o, &c));
  return c;
}

void put_scales(int32_t *q, const FoldedChannel *c) {
  q[0] = c->mult;
  q[1] = c->round;
  q[2] = c->shift;
}

int32_t weight_or_zero(const FoldWeights *w, int32_t o, int32_t k) {
  if (o >= w->outs || k >= w->taps * w->run) return 0;
  return fold_weight(w, o * w->out + k / w->run * w->tap + k % w->run);
}

void pack_result(KernelPack *k, const int8_t *w, int64_t n, const int32_t *q, int64_t n_q) {
  pack_aligned(k, w, n, q, n_q, 4);
}

void pack_aligned(KernelPack *k, const int8_t *w, int64_t n, const int32_t *q, int64_t n_q, int align) {
  pack_const(k, "w", w, n, 4);
  pack_const(k, "bias", q, n_q, align);
  pack_const(k, "mult", NULL, 0, 0);
  pack_const(k, "shift", NULL, 0, 0);
}

/* A block's biases, then { mult, round, shift } of each channel from o on. */
static void put_q(int32_t *q, const FoldWeights *w, const FoldScales *s, int32_t o, int32_t block) {
  for (int32_t i = 0; i < block; i++) {
    FoldedChannel c = folded_or_none(w, s, o + i);
    q[i] = c.bias;
    put_scales(q + block + 3 * i, &c);
  }
}

const void *widest_of(const KernelPack *k) { return k->widest ? k->widest : k->params; }

/* Each weight as its code plus `offset`, a byte. `held`: the weights in the array, of which w are the first channels. */
static void pack_blocks(KernelPack *k, const FoldWeights *w, const FoldWeights *held, const FoldScales *s,
                        int32_t block, int32_t offset) {
  int32_t blocks = (w->outs + block - 1) / block, all = (held->outs + block - 1) / block;
  int32_t inputs = w->taps * w->run;
  int64_t n = (int64_t)all * inputs * block, n_q = (int64_t)blocks * block * 4;
  int8_t *packed = arena_alloc(k->arena, (size_t)n), *to = packed;
  int32_t *q = arena_array(k->arena, (size_t)n_q, sizeof *q);
  for (int32_t b = 0; b < blocks; b++) put_q(q + 4 * block * b, w, s, block * b, block);
  for (int32_t b = 0; b < all; b++)
    for (int32_t t = 0; t < inputs; t++)
      for (int32_t i = 0; i < block; i++)
        *to++ = (int8_t)(uint8_t)(weight_or_zero(held, block * b + i, t) + offset);
  pack_result(k, packed, n, q, n_q);
}

/* -- conv_s8 -- */

static int32_t window_bytes(const mf_window *g) { return g->k_h * g->k_w * g->in_c; }

/* Two windows; none where a window is a run of the image's bytes on every pixel. */
size_t v7m_conv_scratch(const void *params) {
  const mf_window *g = &((const mf_conv_s8 *)params)->g;
  bool in_image = g->k_h == 1 && g->k_w == 1 && g->pad_top == 0 && g->pad_left == 0 &&
                  (g->out_h - 1) * g->stride_h < g->in_h && (g->out_w - 1) * g->stride_w < g->in_w;
  return in_image ? 0 : 2 * (size_t)window_bytes(g);
}

static bool conv_accepts(const mf_conv_s8 *p, int bits) {
  FoldWeights w = conv_fold_weights(p);
  FoldScales s = conv_fold_scales(p);
  return p->groups == 1 && all_channels_fold(&w, &s, bits);
}

static void conv_pack(KernelPack *k, int32_t block, int32_t offset) {
  const FoldWeights w = conv_fold_weights(k->params), held = conv_fold_weights(widest_of(k));
  const FoldScales s = conv_fold_scales(k->params);
  pack_blocks(k, &w, &held, &s, block, offset);
}

void v7m_conv_pack(KernelPack *k) { conv_pack(k, 4, 0); }
void v6m_conv_pack(KernelPack *k) { conv_pack(k, 8, 128); }

bool v7m_conv_accepts(const void *params) { return conv_accepts(params, 30); }
bool v6m_conv_accepts(const void *params) { return conv_accepts(params, 29); }

/* As many runs as a window may have, of 8 bytes each, its lines, of 4, and a line of zero points. */
size_t v6m_conv_scratch(const void *params) {
  const mf_window *g = &((const mf_conv_s8 *)params)->g;
  return 8 * (size_t)(g->k_h * (g->k_w < 3 ? 3 : g->k_w) + 1) + 4 * (size_t)g->k_h +
         (size_t)(g->k_w * g->in_c);
}

/* -- conv_s4, for Armv6-M: blocks of eight channels; for every input a word, whose byte i is channel i + 8 in its lower half,
 * channel 4 + i + 8 in its upper one -- */

static FoldWeights nibbles_of(const mf_conv_s8 *p) {
  FoldWeights w = conv_fold_weights(p);
  w.nibbles = true;
  return w;
}

/* Behind what conv_s8 has, at a multiple of 4, a block's weights, a byte each. */
size_t v6m4_conv_scratch(const void *params) {
  return (v6m_conv_scratch(params) + 3) / 4 * 4 + 8 * (size_t)window_bytes(&((const mf_conv_s8 *)params)->g);
}

bool v6m4_conv_accepts(const void *params) {
  const FoldWeights w = nibbles_of(params);
  const FoldScales s = conv_fold_scales(params);
  return ((const mf_conv_s8 *)params)->groups == 1 && all_channels_fold(&w, &s, 29);
}

void v6m4_conv_pack(KernelPack *k) {
  enum { BLOCK = 8 };
  const FoldWeights w = nibbles_of(k->params);
  const FoldScales s = conv_fold_scales(k->params);
  const int32_t blocks = (w.outs + BLOCK - 1) / BLOCK, inputs = w.taps * w.run;
  const int64_t n = (int64_t)blocks * inputs * 4, n_q = (int64_t)blocks * BLOCK * 4;
  int8_t *packed = arena_alloc(k->arena, (size_t)n), *to = packed;
  int32_t *q = arena_array(k->arena, (size_t)n_q, sizeof *q);
  for (int32_t b = 0; b < blocks; b++) {
    put_q(q + 4 * BLOCK * b, &w, &s, BLOCK * b, BLOCK);
    for (int32_t t = 0; t < inputs; t++)
      for (int32_t i = 0; i < 4; i++)
        *to++ = (int8_t)(uint8_t)((weight_or_zero(&w, BLOCK * b + i, t) + 8) |
                                  (weight_or_zero(&w, BLOCK * b + 4 + i, t) + 8) << 4);
  }
  pack_result(k, packed, n, q, n_q);
}

/* -- depthwise_s8 -- */

size_t v7m_depthwise_scratch(const void *params) { return (size_t)((const mf_conv_s8 *)params)->g.in_c; }

static bool depthwise_accepts(const mf_conv_s8 *p, int bits) {
  FoldWeights w = depthwise_fold_weights(p);
  FoldScales s = conv_fold_scales(p);
  return p->g.in_c == p->g.out_c && p->g.out_c % 8 == 0 && w.taps <= TAPS_MAX &&
         all_channels_fold(&w, &s, bits);
}

/* Addresses of a window's taps and of its lines, as large as this host's, and a pixel of zero points. */
size_t taps_depthwise_scratch(const void *params) {
  const mf_window *g = &((const mf_conv_s8 *)params)->g;
  return sizeof(void *) * (size_t)(g->k_h * g->k_w + g->k_h) + (size_t)g->in_c;
}

bool v7m_depthwise_accepts(const void *params) { return depthwise_accepts(params, 30); }
bool v6m_depthwise_accepts(const void *params) { return depthwise_accepts(params, 29); }

void v7m_depthwise_pack(KernelPack *k) {
  FoldWeights w = depthwise_fold_weights(k->params), held = depthwise_fold_weights(widest_of(k));
  FoldScales s = conv_fold_scales(k->params);
  pack_blocks(k, &w, &held, &s, 8, 0);
}

/* -- fc_s8 -- */

static bool fc_accepts(const mf_fc_s8 *p, int bits) {
  FoldWeights w = fc_fold_weights(p);
  FoldScales s = fc_fold_scales(p);
  return p->w_zero == 0 && all_channels_fold(&w, &s, bits);
}

bool v7m_fc_accepts(const void *params) { return fc_accepts(params, 30); }
bool v6m_fc_accepts(const void *params) { return fc_accepts(params, 29); }

static void fc_pack(KernelPack *k, int32_t offset) {
  const FoldWeights w = fc_fold_weights(k->params), held = fc_fold_weights(widest_of(k));
  const FoldScales s = fc_fold_scales(k->params);
  pack_blocks(k, &w, &held, &s, 8, offset);
}

void v6m_fc_pack(KernelPack *k) { fc_pack(k, 128); }
void v7m_fc_pack(KernelPack *k) { fc_pack(k, 0); }
