/* Windows of an image as lists of runs, for Armv6-M's convolutions. */
#ifndef MF_ARMV6M_CONV_V6M_H
#define MF_ARMV6M_CONV_V6M_H

#include "runtime/kernels/armv6m/dot8.h"

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

#endif
