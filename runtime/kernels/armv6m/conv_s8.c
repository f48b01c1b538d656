/* Conv, int8, one group, for Armv6-M (Cortex-M0, M0+): one output pixel, eight channels at a time.
 *
 * A window is a list of runs of the image, read where they lie; positions outside are runs of a line of in_zero, which is
 * folded into the biases. Weights, q and sums: dot8.h. Same results as conv_s8__generic. A row is a line of the image.
 */
#include "runtime/kernels/armv6m/conv_v6m.h"

MF_KERNEL mf_kernel_fn conv_s8__armv6m;

MF_KERNEL void conv_s8__armv6m(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                               int32_t y1, void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  const mf_window *g = &p->g;
  const int32_t width = g->k_w * g->in_c, step = g->k_h * width * 8;
  mf_run *const run = (mf_run *)scratch;
  int32_t *const lines = (int32_t *)(run + g->k_h * (g->k_w < 3 ? 3 : g->k_w) + 1);
  int8_t *const zeros = (int8_t *)(lines + g->k_h);
  int32_t y, x, o;
  mf_dot8 d;
  d.run = run;
  d.base = (const int8_t *)in->base;
  d.zeros = zeros;
  d.codes.lo = p->lo;
  d.codes.hi = p->hi;
  mf_fill_bytes(zeros, p->in_zero, width);
  for (y = y0; y < y1; y++) {
    int8_t *line = (int8_t *)mf_row(out, y);
    conv_v6m_lines(g, in, y * g->stride_h - g->pad_top, lines);
    for (x = 0; x < g->out_w; x++, line += g->out_c) {
      conv_v6m_window(g, lines, x * g->stride_w - g->pad_left, run);
      d.w = p->w;
      d.q = p->bias;
      d.known = 0;
      for (o = 0; o < g->out_c; o += 8, d.w += step, d.q += 32)
        mf_dot8_codes(&d, line + o, g->out_c - o < 8 ? g->out_c - o : 8, mf_cuts_off(p->out_zero, p->lo));
    }
  }
}
