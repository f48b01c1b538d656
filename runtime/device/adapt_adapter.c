/* Low-rank adapters behind layers of int8 outputs; see adapt.h. Of each pixel:
 *
 *   h = V (y - zero)           V [rank][c], signs times 2^-root, that stay as they are
 *   y' = y + U h + offset      U [c][rank], learns from 0 on
 *
 * 2^-root is near 1 / sqrt(c): V's rows are random directions of the pixel's values. h costs `rank` products of a
 * code with a sign for each channel, and V takes no word of the state. Only U learns (LoRA-FA: Zhang et al. 2023, arXiv:2308.03303); while U is near 0, V would hardly move. On the way back U's
 * gradient wants of the run h alone, 2 bytes for each rank, where V's would want all of y.
 *
 * h is held times 2^-fit of the sum of codes with signs, so that it fits 16 bits; what is left of root, `down` = root - fit, is in the unit
 * of U's words: Q24 times 2^-down.
 *
 * Bounds, of c <= MF_ADAPTER_CHANNELS: |y - zero| <= 255, so a sum of h is below 2^22, and 2^15 behind 2^-fit; U is at most 8, its words
 * 2^27, and the sum of products below 2^45, in 64 bits. On the way back t is below 2^48, and what V takes back of it below 2^26.
 */
#include "runtime/device/adapt_grad.h"

enum { MF_ADAPTER_MOST = 8 * MF_ADAPT_ONE, MF_ADAPTER_BITS = 6 /* of a gradient, below its mantissa's */ };

/* -- a run -- */

/* h of one pixel. rank is p's, as a constant where the caller has one: a compiler knows its loops then. */
MF_HELPER void mf_adapter_down(const mf_adapt_adapter *p, int32_t rank, const int8_t *y, int16_t *h) {
  const int32_t zero = p->affine->zero, n = p->affine->c;
  int32_t sum[MF_ADAPTER_RANKS] = {0}, c, k;
  const int8_t *sign = p->signs;
  for (c = 0; c < n; c++) {
    const int32_t d = y[c] - zero;
    for (k = 0; k < rank; k++) sum[k] += *sign++ * d;
  }
  for (k = 0; k < rank; k++) h[k] = (int16_t)mf_shift_round(sum[k], p->fit);
}

/* What is added to a code; u: [rank], of its channel. */
MF_HELPER int32_t mf_adapter_codes(int32_t rank, const int32_t *u, int32_t offset, const int16_t *h) {
  int64_t sum = (int64_t)offset + (MF_ADAPT_ONE >> 1);
  int32_t k;
  for (k = 0; k < rank; k++) sum += (int64_t)u[k] * h[k];
  return (int32_t)(sum >> 24);
}

MF_HELPER void mf_adapter_pixel(const mf_adapt_adapter *p, int32_t rank, const int32_t *words, int8_t *y,
                                int16_t *h, unsigned char *mask, int32_t bit) {
  const mf_adapt_affine *f = p->affine;
  const int32_t *u = words + p->word, *offset = words + f->word;
  int32_t c;
  mf_adapter_down(p, rank, y, h);
  for (c = 0; c < f->c; c++, u += rank) {
    const int32_t was = y[c];
    const int32_t v = mf_clamp(was + mf_adapter_codes(rank, u, offset[c], h), f->lo, f->hi);
    y[c] = (int8_t)v;
    if (mask) mf_adapt_put_bit(mask, bit + c, was > f->lo && was < f->hi && v > f->lo && v < f->hi);
  }
}

static void mf_adapter_row(const mf_adapt_adapter *p, const int32_t *words, int8_t *y, int32_t n, int16_t *h,
                           unsigned char *mask, int32_t bit) {
  int32_t i;
  for (i = 0; i < n; i += p->affine->c, h += p->rank)
    if (p->rank == 2)
      mf_adapter_pixel(p, 2, words, y + i, h, mask, bit + i);
    else
      mf_adapter_pixel(p, p->rank, words, y + i, h, mask, bit + i);
}

MF_KERNEL void mf_adapt_run_adapter(const mf_adapt_adapter *p, const int32_t *words, const mf_view *out,
                                    int32_t n, int32_t y0, int32_t y1, void *held, unsigned char *mask) {
  const int32_t each = n / p->affine->c * p->rank;
  int32_t r;
  for (r = y0; r < y1; r++)
    mf_adapter_row(p, words, (int8_t *)mf_row(out, r), n, (int16_t *)held + r * each, mask, r * n);
}

/* -- the way back -- */

/* Sums of dy, and of dy * h, over a pixel; dy of codes that are at a limit behind the adapter becomes 0: of what a mask does not say
 * see mf_offset_sums. */
static void mf_adapter_sums(const mf_adapt_adapter *p, const int32_t *words, const unsigned char *mask,
                            const int16_t *h, const mf_grad *dy, int32_t q, float *by_offset, float *by_u) {
  const mf_adapt_affine *f = p->affine;
  const int32_t *u = words + p->word, *offset = words + f->word;
  const float one = mf_adapt_power(dy->e[q]);
  int32_t c, k;
  for (c = 0; c < f->c; c++) {
    const int32_t i = q * f->c + c;
    const float d = (float)dy->m[i] * one;
    if (dy->m[i] == 0) continue;
    if (mask && !mf_adapt_bit(mask, i) &&
        !(f->lifts && mf_adapter_codes(p->rank, u + c * p->rank, offset[c], h) > 0)) {
      dy->m[i] = 0;
      continue;
    }
    by_offset[c] += d;
    for (k = 0; k < p->rank; k++) by_u[c * p->rank + k] += d * (float)h[k];
  }
}

/* dy of a pixel becomes that of the layer's output before the adapter: dy + V' (U' dy). */
static void mf_adapter_before(const mf_adapt_adapter *p, const int32_t *words, const mf_grad *dy, int32_t q,
                              int32_t *acc) {
  const mf_adapt_affine *f = p->affine;
  const int32_t *u = words + p->word, by = 24 + p->fit - MF_ADAPTER_BITS;
  const int8_t *m = dy->m + q * f->c, *sign = p->signs;
  int64_t t[MF_ADAPTER_RANKS] = {0};
  int32_t c, k, any = 0;
  for (c = 0; c < f->c; c++)
    for (k = 0; k < p->rank; k++) t[k] += (int64_t)m[c] * *u++;
  for (k = 0; k < p->rank; k++) {
    t[k] = (t[k] + ((int64_t)1 << (by - 1))) >> by;
    any |= t[k] != 0;
  }
  if (!any) return;
  for (c = 0; c < f->c; c++) {
    acc[c] = m[c] * (1 << MF_ADAPTER_BITS);
    for (k = 0; k < p->rank; k++) acc[c] += *sign++ * (int32_t)t[k];
  }
  mf_grad_put(dy, q, acc, dy->e[q] - MF_ADAPTER_BITS);
}

static void mf_adapter_move(const mf_adapt_adapter *p, mf_adapt_state *s, const float *by_offset,
                            const float *by_u) {
  const mf_adapt_affine *f = p->affine;
  int32_t *u = mf_adapt_words(s) + p->word, *offset = mf_adapt_words(s) + f->word;
  const float part = mf_adapt_power(-p->down), unit = f->scale * part, one = (float)MF_ADAPT_ONE;
  const int32_t most = MF_ADAPTER_MOST >> p->down;
  float squares = 0.0f, shorter;
  int32_t i;
  for (i = 0; i < f->c; i++) squares += by_offset[i] * by_offset[i];
  for (i = 0; i < f->c * p->rank; i++) squares += by_u[i] * unit * (by_u[i] * unit);
  shorter = mf_adapt_clip(squares, s->rates.clip);
  for (i = 0; i < f->c * p->rank; i++)
    u[i] = mf_adapt_less(u[i], s->rates.gain * shorter * (by_u[i] * unit) * part * one, -most, most);
  for (i = 0; i < f->c; i++)
    offset[i] = mf_adapt_less(offset[i], s->rates.offset * shorter * by_offset[i] / f->scale * one,
                              -64 * MF_ADAPT_ONE, 64 * MF_ADAPT_ONE);
}

MF_KERNEL void mf_adapt_step_adapter(const mf_adapt_adapter *p, mf_adapt_state *s, const void *held,
                                     const unsigned char *mask, const mf_grad *dy, int32_t before,
                                     int32_t *acc, float *work) {
  const int32_t *words = mf_adapt_words(s);
  float *by_u = work + p->affine->c;
  int32_t i, q;
  for (i = 0; i < p->affine->c * (1 + p->rank); i++) work[i] = 0.0f;
  for (q = 0; q < dy->pixels; q++) {
    if (dy->e[q] == MF_GRAD_ZERO) continue;
    mf_adapter_sums(p, words, mask, (const int16_t *)held + q * p->rank, dy, q, work, by_u);
    if (before) mf_adapter_before(p, words, dy, q, acc);
  }
  mf_adapter_move(p, s, work, by_u);
}
