/* Add, Sub, Mul, Max and Min, int16, with broadcasting.
 *
 *   Add, Sub   sa = requantize(a << left_shift, a_mult, a_shift), sb likewise    (left_shift 15: twice the larger scale)
 *              y  = clamp(requantize(sa + sb, out_mult, out_shift), lo, hi)      (Sub: sa - sb; b_mult negative)
 *   Mul        y  = clamp(requantize(a * b, out_mult, out_shift), lo, hi)
 *   Max, Min   of codes: inputs and output have one quantization
 *
 * Bit for bit TensorFlow Lite Micro's reference (AddElementwise of reference/add.h without power-of-two scales, Sub of
 * reference/sub.h, MulElementwise of reference/integer_ops/mul.h, maximum_minimum.cc; double rounding; zero points are 0).
 * A row is one index of the first axis. The output may be exactly the memory of an input that is not broadcast.
 */
#include "runtime/kernels/elementwise.h"
#include "runtime/kernels/requantize.h"

MF_KERNEL mf_kernel_fn add_s16__generic;
MF_KERNEL mf_kernel_fn mul_s16__generic;

MF_INLINE int32_t add_s16_scaled(int32_t x, int32_t left, int32_t mult, int32_t shift) {
  return mf_requantize(mf_shift_left(x, left), mult, shift);
}

MF_INLINE int16_t add_s16_one(const mf_add_s8 *p, int32_t a, int32_t b) {
  const int32_t va = add_s16_scaled(a, p->left_shift, p->a_mult, p->a_shift);
  const int32_t sum = p->b_mult < 0 ? va - add_s16_scaled(b, p->left_shift, -p->b_mult, p->b_shift)
                                    : va + add_s16_scaled(b, p->left_shift, p->b_mult, p->b_shift);
  return (int16_t)mf_clamp(mf_requantize(sum, p->out_mult, p->out_shift), p->lo, p->hi);
}

MF_INLINE int16_t mul_s16_one(const mf_mul_s8 *p, int32_t a, int32_t b) {
  return (int16_t)mf_clamp(mf_requantize(a * b, p->out_mult, p->out_shift), p->lo, p->hi);
}

/* Two inputs of int16 by `one`, whose params begin as mf_binary does. */
#define BINARY_S16(name, params_type, one)                                                              \
  MF_KERNEL void name##__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0, \
                                 int32_t y1, void *scratch) {                                           \
    const params_type *p = (const params_type *)params;                                                 \
    const int32_t last = p->rank - 1, n = p->dims[last], sa = p->a[last], sb = p->b[last];              \
    int32_t index[MF_MAX_DIMS] = {0}, r, i;                                                             \
    (void)scratch;                                                                                      \
    for (r = y0; r < y1; r++) {                                                                         \
      const int16_t *row_a = (const int16_t *)mf_row(&in[0], p->a[0] ? r : 0);                          \
      const int16_t *row_b = (const int16_t *)mf_row(&in[1], p->b[0] ? r : 0);                          \
      int16_t *y = (int16_t *)mf_row(out, r);                                                           \
      do {                                                                                              \
        const int16_t *a = row_a + mf_offset(index, p->a, 1, last - 1);                                 \
        const int16_t *b = row_b + mf_offset(index, p->b, 1, last - 1);                                 \
        for (i = 0; i < n; i++) *y++ = one(p, a[i * sa], b[i * sb]);                                    \
      } while (mf_next(index, p->dims, 1, last - 1));                                                   \
    }                                                                                                   \
  }

BINARY_S16(add_s16, mf_add_s8, add_s16_one)
BINARY_S16(mul_s16, mf_mul_s8, mul_s16_one)
MF_BINARY(max_s16, mf_binary, int16_t, int16_t, a > b ? a : b)
MF_BINARY(min_s16, mf_binary, int16_t, int16_t, a < b ? a : b)
