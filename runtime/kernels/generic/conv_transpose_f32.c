/* ConvTranspose, float32: each output pixel gathers the input pixels whose window covers it.
 *
 * in[0]: the image, in[1]: weights [O][Kh][Kw][I/groups], in[2]: bias [O], where the params say so. Output channel o of
 * group o / (O/groups) reads that group's channels. Sums run over rows, columns, channels. A row is a line of the
 * image. Source: ONNX ConvTranspose-22.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn conv_transpose_f32__generic;

/* The input position whose tap k reaches output position y; -1: none. */
static int32_t conv_transpose_from(int32_t y, int32_t pad, int32_t k, int32_t dil, int32_t stride,
                                   int32_t size) {
  const int32_t at = y + pad - k * dil;
  return at >= 0 && at % stride == 0 && at / stride < size ? at / stride : -1;
}

static void conv_transpose_tap(const mf_conv_transpose *p, const float *x, const float *w, float *y) {
  const mf_window *g = &p->g;
  const int32_t ins = g->in_c / p->groups, outs = g->out_c / p->groups;
  const ptrdiff_t step = (ptrdiff_t)g->k_h * g->k_w * ins;
  int32_t o, i;
  for (o = 0; o < g->out_c; o++) {
    const float *from = x + o / outs * ins, *by = w + o * step;
    float sum = 0;
    for (i = 0; i < ins; i++) sum += from[i] * by[i];
    y[o] += sum;
  }
}

static void conv_transpose_line(const mf_conv_transpose *p, const mf_view *in, float *y, int32_t oy) {
  const mf_window *g = &p->g;
  const int32_t ins = g->in_c / p->groups;
  int32_t ox, ky, kx;
  for (ky = 0; ky < g->k_h; ky++) {
    const int32_t iy = conv_transpose_from(oy, g->pad_top, ky, g->dil_h, g->stride_h, g->in_h);
    const float *line = iy < 0 ? NULL : (const float *)mf_row(&in[0], iy);
    if (!line) continue;
    for (ox = 0; ox < g->out_w; ox++)
      for (kx = 0; kx < g->k_w; kx++) {
        const int32_t ix = conv_transpose_from(ox, g->pad_left, kx, g->dil_w, g->stride_w, g->in_w);
        if (ix < 0) continue;
        conv_transpose_tap(p, line + (ptrdiff_t)ix * g->in_c,
                           (const float *)in[1].base + (ptrdiff_t)(ky * g->k_w + kx) * ins,
                           y + (ptrdiff_t)ox * g->out_c);
      }
  }
}

MF_KERNEL void conv_transpose_f32__generic(const void *params, const mf_view *in, const mf_view *out,
                                           int32_t y0, int32_t y1, void *scratch) {
  const mf_conv_transpose *p = (const mf_conv_transpose *)params;
  const int32_t n = p->g.out_w * p->g.out_c;
  const float *bias = p->has_bias ? (const float *)in[2].base : NULL;
  int32_t r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    float *y = (float *)mf_row(out, r);
    for (i = 0; i < n; i++) y[i] = bias ? bias[i % p->g.out_c] : 0;
    conv_transpose_line(p, in, y, r);
    for (i = 0; i < n; i++) y[i] = y[i] < p->lo ? p->lo : y[i] > p->hi ? p->hi : y[i];
  }
}
