/* Conv, int8, one group, for Armv6-M (Cortex-M0, M0+): one output pixel, eight channels at a time.
 *
 * A window is a list of runs of the image, read where they lie; positions outside are runs of a line of in_zero, which is
 * folded into the biases. Weights, q and sums: dot8.h. Same results as conv_s8__generic. A row is a line of the image.
 */
#include "runtime/kernels/armv6m/dot8.h"

MF_KERNEL mf_kernel_fn conv_s8__armv6m;

/* n bytes at offset `at` of the base, or of zero points (at < 0). */
MF_INLINE mf_run *conv_v6m_add(mf_run *run, int32_t at, int32_t n) {
  if (n <= 0) return run;
  run->end = at < 0 ? -n : at + n;
  run->count = -n;
  return run + 1;
}

/* The lines of the window whose first is `top`, as offsets of the base; -1: outside. */
static void conv_v6m_lines(const mf_window *g, const mf_view *in, int32_t top, int32_t *line) {
  int32_t ky;
  for (ky = 0; ky < g->k_h; ky++) {
    const int32_t iy = top + ky * g->dil_h;
    line[ky] = iy < 0 || iy >= g->in_h ? -1 : (in->ring ? iy % in->ring : iy) * in->row;
  }
}

/* The runs of the window of these lines from column `left` on. */
static void conv_v6m_window(const mf_window *g, const int32_t *lines, int32_t left, mf_run *run) {
  const int32_t c = g->in_c, dense = g->dil_w == 1 || g->k_w == 1;
  const int32_t kx0 = left < 0 ? (-left < g->k_w ? -left : g->k_w) : 0; /* taps left of the image */
  const int32_t over = left + g->k_w - g->in_w,
                kx1 = over > 0 ? (g->k_w - over > kx0 ? g->k_w - over : kx0) : g->k_w;
  int32_t ky, kx;
  for (ky = 0; ky < g->k_h; ky++) {
    const int32_t line = lines[ky] + left * c;
    if (lines[ky] < 0) {
      run = conv_v6m_add(run, -1, g->k_w * c);
      continue;
    }
    if (dense) {
      run = conv_v6m_add(run, -1, kx0 * c);
      run = conv_v6m_add(run, line + kx0 * c, (kx1 - kx0) * c);
      run = conv_v6m_add(run, -1, (g->k_w - kx1) * c);
      continue;
    }
    for (kx = 0; kx < g->k_w; kx++) {
      const int32_t ix = left + kx * g->dil_w;
      run = conv_v6m_add(run, ix < 0 || ix >= g->in_w ? -1 : line + kx * g->dil_w * c, c);
    }
  }
  run->count = 0;
}

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
