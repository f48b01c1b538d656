/* Layouts of the kernels of runtime/kernels/avx2; each is drawn in the kernel's header. */
#include "backend/kernels/kernels.h"

enum { BLOCK = 16, Q_WORDS = 80, LINE_SLACK = 32, FLAT = 4096, TAPS_MAX = 25 };

/* As fold_channel, and channels without a right shift, which round once. */
static bool fold_once(const FoldWeights *w, const FoldScales *s, int32_t o, FoldedChannel *c) {
  if (fold_channel(w, s, o, c)) return true;
  c->round = s->out_zero;
  return c->shift == 0 && c->bound < (int64_t)1 << 30;
}

static bool all_fold(const FoldWeights *w, const FoldScales *s) {
  FoldedChannel c;
  for (int32_t o = 0; o < w->outs; o++)
    if (!fold_once(w, s, o, &c)) return false;
  return true;
}

/* Place i of a block of a depthwise convolution: which channel lies there. */
static int32_t interleaved(int32_t i) { return (i & 3) | (i & 4) << 1 | (i & 8) >> 1; }

static void put_q(int32_t *q, const FoldWeights *w, const FoldScales *s, int32_t first, bool interleave) {
  for (int32_t i = 0; i < BLOCK; i++) {
    int32_t o = first + (interleave ? interleaved(i) : i);
    FoldedChannel c = {.shift = 1};
    if (o < w->outs) ASSERT(fold_once(w, s, o, &c));
    q[i] = c.bias;
    q[BLOCK + i] = c.mult;
    q[2 * BLOCK + i] = c.round;
    q[3 * BLOCK + i] = c.shift;
    q[4 * BLOCK + i] = c.shift > 0 ? -1 : 0;
  }
}

static int32_t blocks_of(const FoldWeights *w) { return (w->outs + BLOCK - 1) / BLOCK; }

static int32_t *pack_q(KernelPack *k, const FoldWeights *w, const FoldScales *s, bool interleave) {
  int32_t *q = arena_array(k->arena, (size_t)blocks_of(w) * Q_WORDS, sizeof *q);
  for (int32_t b = 0; b < blocks_of(w); b++) put_q(q + b * Q_WORDS, w, s, b * BLOCK, interleave);
  return q;
}

/* Blocks of 16 channels; in each, for every two inputs of a run of `run`, both weights of each channel. */
static void pack_runs(KernelPack *k, const FoldWeights *w, const FoldScales *s, int32_t run) {
  int32_t inputs = w->taps * w->run, blocks = blocks_of(w);
  int64_t n = (int64_t)blocks * (inputs / run) * ((run + 1) / 2) * 2 * BLOCK;
  int8_t *packed = arena_alloc(k->arena, (size_t)n), *to = packed;
  for (int32_t b = 0; b < blocks; b++)
    for (int32_t at = 0; at < inputs; at += run)
      for (int32_t t = 0; t < run; t += 2)
        for (int32_t i = 0; i < BLOCK; i++) {
          *to++ = (int8_t)weight_or_zero(w, b * BLOCK + i, at + t);
          *to++ = (int8_t)(t + 1 < run ? weight_or_zero(w, b * BLOCK + i, at + t + 1) : 0);
        }
  pack_result(k, packed, n, pack_q(k, w, s, false), (int64_t)blocks * Q_WORDS);
}

/* -- conv_s8 -- */

/* Elements of the lines of a window. */
static int64_t lines_of(const mf_window *g) {
  int64_t columns = (int64_t)(g->out_w - 1) * g->stride_w + (g->k_w - 1) * g->dil_w + 1;
  int64_t lines = (int64_t)(g->k_h - 1) * g->dil_h + 1;
  return lines * (columns * g->in_c + LINE_SLACK);
}

/* The lines of a window, int16. */
size_t avx2_depthwise_scratch(const void *params) {
  return 2 * (size_t)lines_of(&((const mf_conv_s8 *)params)->g);
}

/* As many rows of a convolution of single pixels as the kernel takes at once: mf_flat_rows. */
size_t avx2_conv_scratch(const void *params) {
  const mf_window *g = &((const mf_conv_s8 *)params)->g;
  int64_t line = (int64_t)g->in_w * g->in_c, rows = FLAT / line < g->out_h ? FLAT / line : g->out_h;
  bool flat = g->k_h == 1 && g->k_w == 1 && g->stride_h == 1 && g->stride_w == 1 && g->pad_top == 0 &&
              g->pad_left == 0 && g->in_w == g->out_w && g->out_h <= g->in_h && rows > 1;
  return 2 * (size_t)(flat ? rows * line + LINE_SLACK : lines_of(g));
}

bool avx2_conv_accepts(const void *params) {
  const mf_conv_s8 *p = params;
  FoldWeights w = conv_fold_weights(p);
  FoldScales s = conv_fold_scales(p);
  return p->groups == 1 && all_fold(&w, &s);
}

void avx2_conv_pack(KernelPack *k) {
  const mf_conv_s8 *p = k->params;
  FoldWeights w = conv_fold_weights(p);
  FoldScales s = conv_fold_scales(p);
  pack_runs(k, &w, &s, (p->g.dil_w == 1 ? p->g.k_w : 1) * p->g.in_c);
}

/* -- depthwise_s8 -- */

bool avx2_depthwise_accepts(const void *params) {
  const mf_conv_s8 *p = params;
  FoldWeights w = depthwise_fold_weights(p);
  FoldScales s = conv_fold_scales(p);
  return p->g.in_c == p->g.out_c && w.taps <= TAPS_MAX && all_fold(&w, &s);
}

static void put_half(int8_t *to, int32_t v) {
  to[0] = (int8_t)(v & 0xff);
  to[1] = (int8_t)(v >> 8);
}

/* Blocks of 16 channels; in each, for every two taps, both weights of each channel, int16. */
void avx2_depthwise_pack(KernelPack *k) {
  const mf_conv_s8 *p = k->params;
  FoldWeights w = depthwise_fold_weights(p);
  FoldScales s = conv_fold_scales(p);
  int32_t blocks = blocks_of(&w);
  int64_t n = (int64_t)blocks * ((w.taps + 1) / 2) * 4 * BLOCK;
  int8_t *packed = arena_alloc(k->arena, (size_t)n), *to = packed;
  for (int32_t b = 0; b < blocks; b++)
    for (int32_t t = 0; t < w.taps; t += 2)
      for (int32_t i = 0; i < BLOCK; i++, to += 4) {
        put_half(to, weight_or_zero(&w, b * BLOCK + interleaved(i), t));
        put_half(to + 2, weight_or_zero(&w, b * BLOCK + interleaved(i), t + 1));
      }
  pack_result(k, packed, n, pack_q(k, &w, &s, true), (int64_t)blocks * Q_WORDS);
}

/* -- fc_s8 -- */

size_t avx2_fc_scratch(const void *params) { return 2 * ((size_t)((const mf_fc_s8 *)params)->k + 1); }

bool avx2_fc_accepts(const void *params) {
  const mf_fc_s8 *p = params;
  FoldWeights w = fc_fold_weights(p);
  FoldScales s = fc_fold_scales(p);
  return p->w_zero == 0 && all_fold(&w, &s);
}

void avx2_fc_pack(KernelPack *k) {
  const mf_fc_s8 *p = k->params;
  FoldWeights w = fc_fold_weights(p);
  FoldScales s = fc_fold_scales(p);
  pack_runs(k, &w, &s, p->k);
}
