/* Add, Sub, Mul, Div, Max, Min on int32, with broadcasting: one body, one expression each. Shape arithmetic, mostly.
 *
 * Overflow wraps; division rounds toward zero, by zero gives 0. A row is one index of the first axis. The output may be
 * exactly the memory of an input that is not broadcast.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn add_i32__generic;
MF_KERNEL mf_kernel_fn sub_i32__generic;
MF_KERNEL mf_kernel_fn mul_i32__generic;
MF_KERNEL mf_kernel_fn div_i32__generic;
MF_KERNEL mf_kernel_fn max_i32__generic;
MF_KERNEL mf_kernel_fn min_i32__generic;

MF_INLINE int32_t binary_i32_add(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }
MF_INLINE int32_t binary_i32_sub(int32_t a, int32_t b) { return (int32_t)((uint32_t)a - (uint32_t)b); }
MF_INLINE int32_t binary_i32_mul(int32_t a, int32_t b) { return (int32_t)((uint32_t)a * (uint32_t)b); }
MF_INLINE int32_t binary_i32_div(int32_t a, int32_t b) {
  return b == 0 ? 0 : b == -1 ? (int32_t)(0 - (uint32_t)a) : a / b;
}
MF_INLINE int32_t binary_i32_max(int32_t a, int32_t b) { return a > b ? a : b; }
MF_INLINE int32_t binary_i32_min(int32_t a, int32_t b) { return a < b ? a : b; }

MF_INLINE void binary_i32_rows(int32_t (*f)(int32_t, int32_t), const void *params, const mf_view *in,
                               const mf_view *out, int32_t y0, int32_t y1) {
  const mf_binary *p = (const mf_binary *)params;
  const int32_t last = p->rank - 1;
  int32_t index[MF_MAX_DIMS] = {0}, r;
  for (r = y0; r < y1; r++) {
    const int32_t *a = (const int32_t *)mf_row(&in[0], p->a[0] ? r : 0);
    const int32_t *b = (const int32_t *)mf_row(&in[1], p->b[0] ? r : 0);
    int32_t *y = (int32_t *)mf_row(out, r);
    do *y++ = f(a[mf_offset(index, p->a, 1, last)], b[mf_offset(index, p->b, 1, last)]);
    while (mf_next(index, p->dims, 1, last));
  }
}

MF_KERNEL void add_i32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                int32_t y1, void *scratch) {
  (void)scratch;
  binary_i32_rows(binary_i32_add, params, in, out, y0, y1);
}

MF_KERNEL void sub_i32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                int32_t y1, void *scratch) {
  (void)scratch;
  binary_i32_rows(binary_i32_sub, params, in, out, y0, y1);
}

MF_KERNEL void mul_i32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                int32_t y1, void *scratch) {
  (void)scratch;
  binary_i32_rows(binary_i32_mul, params, in, out, y0, y1);
}

MF_KERNEL void div_i32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                int32_t y1, void *scratch) {
  (void)scratch;
  binary_i32_rows(binary_i32_div, params, in, out, y0, y1);
}

MF_KERNEL void max_i32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                int32_t y1, void *scratch) {
  (void)scratch;
  binary_i32_rows(binary_i32_max, params, in, out, y0, y1);
}

MF_KERNEL void min_i32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                int32_t y1, void *scratch) {
  (void)scratch;
  binary_i32_rows(binary_i32_min, params, in, out, y0, y1);
}
