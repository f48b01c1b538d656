/* What the way back reads of a run, a bit or a byte for a code: see adapt.h. */
#include "runtime/device/adapt.h"

MF_KERNEL void mf_adapt_mask(int32_t lo, int32_t hi, const mf_view *out, int32_t n, int32_t y0, int32_t y1,
                             unsigned char *mask) {
  int32_t r, i;
  for (r = y0; r < y1; r++) {
    const int8_t *y = (const int8_t *)mf_row(out, r);
    for (i = 0; i < n; i++) mf_adapt_put_bit(mask, r * n + i, y[i] > lo && y[i] < hi);
  }
}

static int32_t mf_pool_where(const mf_window *g, const mf_view *in, int32_t oy, int32_t ox, int32_t c,
                             int32_t *top) {
  const int32_t y0 = oy * g->stride_h - g->pad_top, x0 = ox * g->stride_w - g->pad_left;
  const int32_t ky1 = mf_tap_end(y0, g->dil_h, g->k_h, g->in_h);
  const int32_t kx0 = mf_tap_begin(x0, g->dil_w), kx1 = mf_tap_end(x0, g->dil_w, g->k_w, g->in_w);
  int32_t ky, kx, where = 0;
  *top = -129;
  for (ky = mf_tap_begin(y0, g->dil_h); ky < ky1; ky++) {
    const int8_t *x = (const int8_t *)mf_row(in, y0 + ky * g->dil_h);
    for (kx = kx0; kx < kx1; kx++) {
      const int32_t v = x[(x0 + kx * g->dil_w) * g->in_c + c];
      if (v <= *top) continue;
      *top = v;
      where = ky * g->k_w + kx;
    }
  }
  return where;
}

MF_KERNEL void mf_adapt_where(const mf_pool_s8 *p, int32_t lo, int32_t hi, const mf_view *in, int32_t y0,
                              int32_t y1, unsigned char *where) {
  const mf_window *g = &p->g;
  int32_t oy, ox, c, top;
  for (oy = y0; oy < y1; oy++)
    for (ox = 0; ox < g->out_w; ox++)
      for (c = 0; c < g->out_c; c++) {
        const int32_t tap = mf_pool_where(g, in, oy, ox, c, &top);
        where[(oy * g->out_w + ox) * g->out_c + c] =
            (unsigned char)(top > lo && top < hi ? tap : MF_ADAPT_NOWHERE);
      }
}
