/* Add, int8, of tensors of one shape, for Helium: four elements at a time, in the form of add_lines.h, which also does what
 * is left. A row is one index of the first axis. The output may be exactly the memory of an input. Same results as
 * add_s8__generic.
 */
#include "runtime/kernels/add_lines.h"

MF_KERNEL mf_kernel_fn add_s8__mve;

MF_INLINE int32_t add_mve_high(int32_t x, int32_t m) {
  return (int32_t)(((int64_t)x * m + ((int64_t)1 << 30)) >> 31);
}

#ifdef __ARM_FEATURE_MVE
#include <arm_mve.h>

/* As many of n elements as make vectors; returns how many. */
static int32_t add_mve_vectors(const mf_add_s8 *p, const int8_t *a, const int8_t *b, int8_t *y, int32_t n) {
  const int32_t swap = p->a_mult != 1 << 30 || p->a_shift != 0;
  const int8_t *s = swap ? b : a, *o = swap ? a : b;
  const int32_t s_zero = (swap ? p->b_zero : p->a_zero) << 19, o_zero = (swap ? p->a_zero : p->b_zero) << 20;
  const int32_t o_mult = swap ? p->a_mult : p->b_mult, o_shift = -(swap ? p->a_shift : p->b_shift);
  const int32_t shift = -p->out_shift, round = (1 << (shift - 1)) + (p->out_zero << shift);
  const int32x4_t sign = vdupq_n_s32(o_shift ? -1 : 0), lo = vdupq_n_s32(p->lo), hi = vdupq_n_s32(p->hi);
  const int32_t o_round = o_shift ? 1 << (o_shift - 1) : 0;
  int32_t i;
  for (i = 0; i + 4 <= n; i += 4) {
    int32x4_t v = vsubq_n_s32(vshlq_n_s32(vldrbq_s32(o + i), 20), o_zero);
    v = vqrdmulhq_n_s32(v, o_mult);
    v = vaddq_s32(v, vandq_s32(vshrq_n_s32(v, 31), sign));
    v = vshlq_r_s32(vaddq_n_s32(v, o_round), -o_shift);
    v = vaddq_s32(v, vsubq_n_s32(vshlq_n_s32(vldrbq_s32(s + i), 19), s_zero));
    v = vqrdmulhq_n_s32(v, p->out_mult);
    v = vshlq_r_s32(vaddq_n_s32(vaddq_s32(v, vshrq_n_s32(v, 31)), round), -shift);
    vstrbq_s32(y + i, vminq_s32(vmaxq_s32(v, lo), hi));
  }
  return i;
}

#else

static int32_t add_mve_vectors(const mf_add_s8 *p, const int8_t *a, const int8_t *b, int8_t *y, int32_t n) {
  (void)p;
  (void)a;
  (void)b;
  (void)y;
  (void)n;
  return 0;
}

#endif

MF_KERNEL void add_s8__mve(const void *params, const mf_view *in, const mf_view *out, int32_t y0, int32_t y1,
                           void *scratch) {
  const mf_add_s8 *p = (const mf_add_s8 *)params;
  int32_t n = 1, i, y;
  (void)scratch;
  for (i = 1; i < p->rank; i++) n *= p->dims[i];
  for (y = y0; y < y1; y++) {
    const int8_t *const a = (const int8_t *)mf_row(&in[0], y), *const b = (const int8_t *)mf_row(&in[1], y);
    int8_t *const to = (int8_t *)mf_row(out, y);
    i = add_mve_vectors(p, a, b, to, n);
    mf_add_line(p, a + i, b + i, to + i, n - i, add_mve_high);
  }
}
