/* FullyConnected, float32, for x86-64: 16 outputs at a time, four inputs a step into sums of their own, so that
 * multiply-adds do not wait for one another. Weights and biases as conv_f32.h has them. Within a rounding of
 * fc_f32__generic. A row is one vector.
 */
#ifndef MF_X86_FC_F32_H
#define MF_X86_FC_F32_H

#include "runtime/kernels/x86/f32.h"

/* Input i of a step, the number `one`, into sums s. */
#define FC_F32_TAP(i, s, one)                           \
  v = one;                                              \
  lo##s = mf_fmadd_one(v, mf_loadf(w + 16 * i), lo##s); \
  hi##s = mf_fmadd_one(v, mf_loadf(w + 16 * i + 8), hi##s);

MF_X86_INLINE void fc_f32_x86_16(const float *x, const float *w, int32_t n, mf_vf *lo, mf_vf *hi) {
  mf_vf lo0 = *lo, hi0 = *hi, lo1 = mf_setf(0), hi1 = lo1, lo2 = lo1, hi2 = lo1, lo3 = lo1, hi3 = lo1;
  mf_one v;
  int32_t k = 0;
  for (; MF_FOURS && k + 4 <= n; k += 4, w += 64) { /* registers for half the sums */
    const mf_four four = mf_load_four(x + k);
    FC_F32_TAP(0, 0, mf_one_of(four, 0))
    FC_F32_TAP(1, 1, mf_one_of(four, 1))
    FC_F32_TAP(2, 0, mf_one_of(four, 2))
    FC_F32_TAP(3, 1, mf_one_of(four, 3))
  }
  for (; !MF_FOURS && k + 4 <= n; k += 4, w += 64) {
    FC_F32_TAP(0, 0, mf_onef(x + k))
    FC_F32_TAP(1, 1, mf_onef(x + k + 1))
    FC_F32_TAP(2, 2, mf_onef(x + k + 2))
    FC_F32_TAP(3, 3, mf_onef(x + k + 3))
  }
  for (; k < n; k++, w += 16) {
    FC_F32_TAP(0, 0, mf_onef(x + k))
  }
  *lo = mf_addf(mf_addf(lo0, lo1), mf_addf(lo2, lo3));
  *hi = mf_addf(mf_addf(hi0, hi1), mf_addf(hi2, hi3));
}

MF_X86_INLINE void fc_f32_x86_rows(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                   int32_t y1, void *scratch) {
  const mf_fc_f32 *p = (const mf_fc_f32 *)params;
  const mf_vf least = mf_setf(p->lo), most = mf_setf(p->hi);
  int32_t y, o;
  (void)scratch;
  for (y = y0; y < y1; y++) {
    const float *x = (const float *)mf_row(in, y);
    float *to = (float *)mf_row(out, y);
    for (o = 0; o < p->n; o += 16) {
      mf_vf lo = mf_loadf(p->bias + o), hi = mf_loadf(p->bias + o + 8);
      fc_f32_x86_16(x, p->w + (ptrdiff_t)o * p->k, p->k, &lo, &hi);
      mf_store_f32(to + o, p->n - o, lo, least, most);
      if (p->n - o > 8) mf_store_f32(to + o + 8, p->n - o - 8, hi, least, most);
    }
  }
}

#endif
