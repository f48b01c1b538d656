/* Conv as matrix products, an image or a strip of its rows at a time: any stride, dilation and number of groups.
 *
 *   col [pixels][K]  the taps of each output pixel side by side, K = Kh Kw C/group     (im2col; 1x1 reads x itself)
 *   y   = col w^T            dcol = dy w, added back to dx (col2im)            dw += dy^T col
 *
 * Strips keep col within a second-level cache.
 */
#include "runtime/engine/ops/conv.h"

enum { COL_FLOATS = 40960 }; /* a strip's col: 160 KiB */

/* x itself is col. */
static bool pointwise(const ConvGeometry *q) {
  return q->kh * q->kw == 1 && q->sh * q->sw == 1 && q->oh == q->h && q->ow == q->w && !q->top && !q->left;
}

/* Output rows of a strip. */
static int64_t strip(const ConvGeometry *q) {
  int64_t rows = COL_FLOATS / (q->k * q->ow);
  if (rows > q->oh || pointwise(q)) return q->oh;
  return rows < 1 ? 1 : rows;
}

static int64_t col_floats(const ConvGeometry *q) { return pointwise(q) ? 0 : strip(q) * q->ow * q->k; }

int64_t conv_gemm_scratch(const ConvGeometry *q, Act act) {
  return col_floats(q) + act_scratch(act, strip(q) * q->ow * q->o);
}

/* One tap of a row of outputs, in source coordinates: ox in [x0, x1) read inside the image. */
static void tap_range(const ConvGeometry *q, int64_t kx, int64_t *x0, int64_t *x1) {
  int64_t at = kx * q->dw - q->left; /* source column of ox = 0 */
  *x0 = at < 0 ? (-at + q->sw - 1) / q->sw : 0;
  *x1 = at >= q->w ? 0 : (q->w - 1 - at) / q->sw + 1;
  if (*x1 > q->ow) *x1 = q->ow;
  if (*x0 > *x1) *x0 = *x1;
}

/* Output rows [y0, y1) of group `grp` of one image. */
static void im2col(const ConvGeometry *q, const float *x, int64_t grp, int64_t y0, int64_t y1, float *col) {
  for (int64_t oy = y0; oy < y1; oy++)
    for (int64_t ky = 0; ky < q->kh; ky++)
      for (int64_t kx = 0; kx < q->kw; kx++) {
        int64_t iy = oy * q->sh - q->top + ky * q->dh, x0, x1;
        float *dst = col + (oy - y0) * q->ow * q->k + (ky * q->kw + kx) * q->cg;
        tap_range(q, kx, &x0, &x1);
        if (iy < 0 || iy >= q->h) x0 = x1 = 0;
        const float *src = x + (iy * q->w - q->left + kx * q->dw) * q->c + grp * q->cg;
        for (int64_t ox = 0; ox < x0; ox++) vec_zero(dst + ox * q->k, q->cg);
        for (int64_t ox = x0; ox < x1; ox++) vec_copy(dst + ox * q->k, src + ox * q->sw * q->c, q->cg);
        for (int64_t ox = x1; ox < q->ow; ox++) vec_zero(dst + ox * q->k, q->cg);
      }
}

static void col2im(const ConvGeometry *q, const float *col, int64_t grp, int64_t y0, int64_t y1, float *dx) {
  for (int64_t oy = y0; oy < y1; oy++)
    for (int64_t ky = 0; ky < q->kh; ky++)
      for (int64_t kx = 0; kx < q->kw; kx++) {
        int64_t iy = oy * q->sh - q->top + ky * q->dh, x0, x1;
        if (iy < 0 || iy >= q->h) continue;
        tap_range(q, kx, &x0, &x1);
        const float *src = col + (oy - y0) * q->ow * q->k + (ky * q->kw + kx) * q->cg;
        float *dst = dx + (iy * q->w - q->left + kx * q->dw) * q->c + grp * q->cg;
        for (int64_t ox = x0; ox < x1; ox++) vec_add(dst + ox * q->sw * q->c, src + ox * q->k, q->cg);
      }
}

static void forward_strip(const OpCall *c, const ConvGeometry *q, const float *x, float *y, int64_t y0,
                          int64_t y1) {
  const float *w = in_x(c, 1), *bias = has_in(c, 2) ? in_x(c, 2) : NULL;
  int64_t pixels = (y1 - y0) * q->ow;
  y += y0 * q->ow * q->o;
  for (int64_t grp = 0; grp < q->groups; grp++) {
    const float *col = c->scratch, *wg = w + grp * q->og * q->k;
    int64_t ld = q->k;
    if (pointwise(q))
      col = x + y0 * q->w * q->c + grp * q->cg, ld = q->c;
    else
      im2col(q, x, grp, y0, y1, c->scratch);
    gemm_nt(pixels, q->og, q->k, col, ld, wg, q->k, y + grp * q->og, q->o, false);
  }
  if (bias) rows_add(y, bias, pixels, q->o);
  act_apply(c->st->act, y, pixels * q->o);
}

void conv_gemm_forward(const OpCall *c, const ConvGeometry *q) {
  const float *x = in_x(c, 0);
  float *y = out_x(c);
  int64_t rows = strip(q);
  for (int64_t i = 0; i < items(c); i++)
    for (int64_t r = 0; r < q->oh; r += rows)
      forward_strip(c, q, x + i * q->h * q->w * q->c, y + i * q->oh * q->ow * q->o, r,
                    r + rows < q->oh ? r + rows : q->oh);
}

/* Gradients from one strip. `fresh`: dw and db are written rather than added to; `fresh_dx`: likewise dx. */
static void backward_strip(const OpCall *c, const ConvGeometry *q, int64_t i, int64_t y0, int64_t y1) {
  const float *x = in_x(c, 0) + i * q->h * q->w * q->c, *w = in_x(c, 1);
  int64_t pixels = (y1 - y0) * q->ow, at = (i * q->oh + y0) * q->ow * q->o;
  bool start = i == 0 && y0 == 0;
  float *dx = in_dx(c, 0), *dw = in_dx(c, 1), *db = in_dx(c, 2), *col = c->scratch;
  float *tmp = c->scratch + col_floats(q);
  const float *dy = act_mask(c, out_x(c) + at, out_dx(c) + at, pixels * q->o, tmp);
  if (dx) dx += i * q->h * q->w * q->c;
  if (db) rows_sum(dy, pixels, q->o, db, in_add(c, 2) || !start);
  for (int64_t grp = 0; grp < q->groups; grp++) {
    const float *dyg = dy + grp * q->og, *wg = w + grp * q->og * q->k, *src = col;
    int64_t ld = q->k;
    if (pointwise(q))
      src = x + y0 * q->w * q->c + grp * q->cg, ld = q->c;
    else if (dw)
      im2col(q, x, grp, y0, y1, col);
    if (dw)
      gemm_tn(q->og, q->k, pixels, dyg, q->o, src, ld, dw + grp * q->og * q->k, q->k, in_add(c, 1) || !start);
    if (dx && pointwise(q)) {
      gemm_nn(pixels, q->k, q->og, dyg, q->o, wg, q->k, dx + y0 * q->w * q->c + grp * q->cg, q->c,
              in_add(c, 0));
    } else if (dx) {
      gemm_nn(pixels, q->k, q->og, dyg, q->o, wg, q->k, col, q->k, false);
      col2im(q, col, grp, y0, y1, dx);
    }
  }
}

void conv_gemm_backward(const OpCall *c, const ConvGeometry *q) {
  float *dx = in_dx(c, 0);
  int64_t rows = strip(q);
  if (dx && !pointwise(q) && !in_add(c, 0)) vec_zero(dx, items(c) * q->h * q->w * q->c);
  for (int64_t i = 0; i < items(c); i++)
    for (int64_t r = 0; r < q->oh; r += rows) backward_strip(c, q, i, r, r + rows < q->oh ? r + rows : q->oh);
}
