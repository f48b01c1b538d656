/* Layouts of the float kernels of runtime/kernels/neon: blocks of eight channels; in each, for every input (or tap, of a
 * depthwise convolution), one weight of each channel. Channels that fill the last block up have weights and bias 0.
 */
#include "backend/kernels/kernels.h"

enum { BLOCK = 8, PIXELS = 8, TAPS_MAX = 25 };

/* Element (o, tap, i) at w[o * out + tap * tap_step + i], i < run. */
typedef struct FloatWeights {
  const float *w, *bias;
  int64_t out, tap;
  int32_t outs, taps, run;
} FloatWeights;

static void pack_floats(KernelPack *k, const FloatWeights *f) {
  int32_t blocks = (f->outs + BLOCK - 1) / BLOCK;
  int64_t n = (int64_t)blocks * BLOCK * f->taps * f->run, n_bias = (int64_t)blocks * BLOCK;
  float *packed = arena_array(k->arena, (size_t)n, sizeof *packed), *to = packed;
  float *bias = arena_array(k->arena, (size_t)n_bias, sizeof *bias);
  for (int32_t b = 0; b < blocks; b++) {
    for (int32_t o = BLOCK * b; o < BLOCK * (b + 1); o++) bias[o] = f->bias && o < f->outs ? f->bias[o] : 0;
    for (int32_t t = 0; t < f->taps; t++)
      for (int32_t i = 0; i < f->run; i++)
        for (int32_t o = BLOCK * b; o < BLOCK * (b + 1); o++)
          *to++ = o < f->outs ? f->w[o * f->out + t * f->tap + i] : 0;
  }
  pack_const(k, "w", packed, n, 4);
  pack_const(k, "bias", bias, n_bias, 4);
}

/* Eight windows; none where a window is a run of the image's floats on every pixel. */
size_t neon_conv_f32_scratch(const void *params) {
  const mf_window *g = &((const mf_conv_f32 *)params)->g;
  bool in_image = g->k_h == 1 && g->k_w == 1 && g->pad_top == 0 && g->pad_left == 0 &&
                  (g->out_h - 1) * g->stride_h < g->in_h && (g->out_w - 1) * g->stride_w < g->in_w;
  return in_image ? 0 : PIXELS * sizeof(float) * (size_t)g->k_h * (size_t)g->k_w * (size_t)g->in_c;
}

bool neon_conv_f32_accepts(const void *params) { return ((const mf_conv_f32 *)params)->groups == 1; }

void neon_conv_f32_pack(KernelPack *k) {
  const mf_conv_f32 *p = k->params;
  pack_floats(k, &(FloatWeights){.w = p->w,
                                 .bias = p->bias,
                                 .out = p->w_out,
                                 .tap = p->w_tap,
                                 .outs = p->g.out_c,
                                 .taps = p->g.k_h * p->g.k_w,
                                 .run = p->g.in_c});
}

size_t neon_depthwise_f32_scratch(const void *params) {
  return sizeof(float) * (size_t)((const mf_conv_f32 *)params)->g.in_c;
}

bool neon_depthwise_f32_accepts(const void *params) {
  const mf_window *g = &((const mf_conv_f32 *)params)->g;
  return g->in_c == g->out_c && g->out_c % BLOCK == 0 && g->k_h * g->k_w <= TAPS_MAX;
}

void neon_depthwise_f32_pack(KernelPack *k) {
  const mf_conv_f32 *p = k->params;
  pack_floats(k, &(FloatWeights){.w = p->w,
                                 .bias = p->bias,
                                 .out = 1,
                                 .tap = p->w_tap,
                                 .outs = p->g.out_c,
                                 .taps = p->g.k_h * p->g.k_w,
                                 .run = 1});
}

void neon_fc_f32_pack(KernelPack *k) {
  const mf_fc_f32 *p = k->params;
  pack_floats(
      k, &(FloatWeights){.w = p->w, .bias = p->bias, .out = p->w_out, .outs = p->n, .taps = 1, .run = p->k});
}
