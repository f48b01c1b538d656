/* Add, Sub, Mul, Div, Max, Min, float32, with broadcasting, limited to lo .. hi: one body, one expression each. Max
 * and Min are NaN where an input is.
 *
 * A row is one index of the first axis. The output may be exactly the memory of an input that is not broadcast.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn add_f32__generic;
MF_KERNEL mf_kernel_fn sub_f32__generic;
MF_KERNEL mf_kernel_fn mul_f32__generic;
MF_KERNEL mf_kernel_fn div_f32__generic;
MF_KERNEL mf_kernel_fn max_f32__generic;
MF_KERNEL mf_kernel_fn min_f32__generic;

MF_INLINE float binary_f32_add(float a, float b) { return a + b; }
MF_INLINE float binary_f32_sub(float a, float b) { return a - b; }
MF_INLINE float binary_f32_mul(float a, float b) { return a * b; }
MF_INLINE float binary_f32_div(float a, float b) { return a / b; }
MF_INLINE float binary_f32_max(float a, float b) { return a > b || a != a ? a : b; }
MF_INLINE float binary_f32_min(float a, float b) { return a < b || a != a ? a : b; }

MF_INLINE float binary_f32_limit(float v, float lo, float hi) { return v < lo ? lo : v > hi ? hi : v; }

/* The innermost axis: n elements, strides sa and sb; the frequent ones apart, for vectors. */
MF_INLINE void binary_f32_line(float (*f)(float, float), const mf_binary *p, const float *a, const float *b,
                               float *y) {
  const int32_t n = p->dims[p->rank - 1], sa = p->a[p->rank - 1], sb = p->b[p->rank - 1];
  const float lo = p->lo, hi = p->hi;
  int32_t i;
  if (sa == 1 && sb == 1)
    for (i = 0; i < n; i++) y[i] = binary_f32_limit(f(a[i], b[i]), lo, hi);
  else
    for (i = 0; i < n; i++) y[i] = binary_f32_limit(f(a[i * sa], b[i * sb]), lo, hi);
}

MF_INLINE void binary_f32_rows(float (*f)(float, float), const void *params, const mf_view *in,
                               const mf_view *out, int32_t y0, int32_t y1) {
  const mf_binary *p = (const mf_binary *)params;
  const int32_t last = p->rank - 2;
  int32_t index[MF_MAX_DIMS] = {0}, r;
  for (r = y0; r < y1; r++) {
    const float *a = (const float *)mf_row(&in[0], p->a[0] ? r : 0);
    const float *b = (const float *)mf_row(&in[1], p->b[0] ? r : 0);
    float *y = (float *)mf_row(out, r);
    do {
      binary_f32_line(f, p, a + mf_offset(index, p->a, 1, last), b + mf_offset(index, p->b, 1, last), y);
      y += p->dims[p->rank - 1];
    } while (mf_next(index, p->dims, 1, last));
  }
}

MF_KERNEL void add_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                int32_t y1, void *scratch) {
  (void)scratch;
  binary_f32_rows(binary_f32_add, params, in, out, y0, y1);
}

MF_KERNEL void sub_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                int32_t y1, void *scratch) {
  (void)scratch;
  binary_f32_rows(binary_f32_sub, params, in, out, y0, y1);
}

MF_KERNEL void mul_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                int32_t y1, void *scratch) {
  (void)scratch;
  binary_f32_rows(binary_f32_mul, params, in, out, y0, y1);
}

MF_KERNEL void div_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                int32_t y1, void *scratch) {
  (void)scratch;
  binary_f32_rows(binary_f32_div, params, in, out, y0, y1);
}

MF_KERNEL void max_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                int32_t y1, void *scratch) {
  (void)scratch;
  binary_f32_rows(binary_f32_max, params, in, out, y0, y1);
}

MF_KERNEL void min_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                int32_t y1, void *scratch) {
  (void)scratch;
  binary_f32_rows(binary_f32_min, params, in, out, y0, y1);
}
