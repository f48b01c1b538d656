/* Layouts of the float kernels of runtime/kernels/avx2 and sse41: blocks of channels, in each one vector for every input; biases
 * behind one another, zeros where there are none.
 */
#include "backend/kernels/kernels.h"

enum { CONV_BLOCK = 16, DEPTHWISE_BLOCK = 8, DEPTHWISE_LINES = 16, DEPTHWISE_WIDE = 20, LINE_SLACK = 32 };

/* Tap t, input i of channel o at w[o * out + t * tap + i]. */
typedef struct FloatWeights {
  const float *w, *bias;
  int32_t outs, taps, run;
  int64_t out, tap;
} FloatWeights;

static void pack_floats(KernelPack *k, const FloatWeights *w, int32_t block) {
  int32_t blocks = (w->outs + block - 1) / block;
  int64_t n = (int64_t)blocks * block * w->taps * w->run, n_bias = (int64_t)blocks * block;
  float *packed = arena_array(k->arena, (size_t)n, sizeof *packed), *to = packed;
  float *bias = arena_array(k->arena, (size_t)n_bias, sizeof *bias);
  for (int32_t b = 0; b < w->outs; b += block)
    for (int32_t t = 0; t < w->taps; t++)
      for (int32_t i = 0; i < w->run; i++)
        for (int32_t o = b; o < b + block; o++) *to++ = o < w->outs ? w->w[o * w->out + t * w->tap + i] : 0;
  for (int32_t o = 0; o < n_bias; o++) bias[o] = w->bias && o < w->outs ? w->bias[o] : 0;
  pack_const(k, "w", packed, n, 4);
  pack_const(k, "bias", bias, n_bias, 4);
}

/* The lines of a window, or one of zeros; an image of one column may be taken as one line. */
size_t x86_depthwise_f32_scratch(const void *params) {
  const mf_window *g = &((const mf_conv_f32 *)params)->g;
  size_t lines = 2 * x86_depthwise_scratch(params);
  if (g->k_h == 3 && g->k_w == 3 && g->in_c % DEPTHWISE_BLOCK == 0 && g->in_w >= DEPTHWISE_WIDE)
    return 4 * (size_t)g->in_w * (size_t)g->in_c;
  if (g->in_w != 1 || g->out_w != 1 || g->k_w != 1) return lines;
  int64_t line = (int64_t)(g->out_h - 1) * g->stride_h + (int64_t)(g->k_h - 1) * g->dil_h + 1;
  size_t turned = 4 * (size_t)(line * g->in_c + LINE_SLACK);
  return turned > lines ? turned : lines;
}

/* None where no window leaves the image. */
size_t x86_conv_f32_scratch(const void *params) {
  const mf_window *g = &((const mf_conv_f32 *)params)->g;
  bool inside = g->pad_top == 0 && g->pad_left == 0 &&
                (g->out_h - 1) * g->stride_h + (g->k_h - 1) * g->dil_h < g->in_h &&
                (g->out_w - 1) * g->stride_w + (g->k_w - 1) * g->dil_w < g->in_w;
  return inside ? 0 : 2 * x86_depthwise_scratch(params);
}

bool x86_conv_f32_accepts(const void *params) { return ((const mf_conv_f32 *)params)->groups == 1; }

void x86_conv_f32_pack(KernelPack *k) {
  const mf_conv_f32 *p = k->params;
  FloatWeights w = {p->w, p->bias, p->g.out_c, p->g.k_h * p->g.k_w, p->g.in_c, p->w_out, p->w_tap};
  pack_floats(k, &w, CONV_BLOCK);
}

bool x86_depthwise_f32_accepts(const void *params) {
  const mf_window *g = &((const mf_conv_f32 *)params)->g;
  return g->in_c == g->out_c && g->k_h <= DEPTHWISE_LINES;
}

void x86_depthwise_f32_pack(KernelPack *k) {
  const mf_conv_f32 *p = k->params;
  FloatWeights w = {p->w, p->bias, p->g.out_c, p->g.k_h * p->g.k_w, 1, 1, p->w_tap};
  pack_floats(k, &w, DEPTHWISE_BLOCK);
}

void x86_fc_f32_pack(KernelPack *k) {
  const mf_fc_f32 *p = k->params;
  FloatWeights w = {p->w, p->bias, p->n, 1, p->k, p->w_out, 0};
  pack_floats(k, &w, CONV_BLOCK);
}
