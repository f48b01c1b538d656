/* Max and Min, int8, with broadcasting; inputs and output have one quantization, so codes are compared.
 *
 * Bit for bit TensorFlow Lite Micro's MAXIMUM and MINIMUM. A row is one index of the first axis. The output may be
 * exactly the memory of an input that is not broadcast.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn max_s8__generic;
MF_KERNEL mf_kernel_fn min_s8__generic;

MF_INLINE int8_t binary_s8_max(int8_t a, int8_t b) { return a > b ? a : b; }
MF_INLINE int8_t binary_s8_min(int8_t a, int8_t b) { return a < b ? a : b; }

MF_INLINE void binary_s8_rows(int8_t (*f)(int8_t, int8_t), const void *params, const mf_view *in,
                              const mf_view *out, int32_t y0, int32_t y1) {
  const mf_binary *p = (const mf_binary *)params;
  const int32_t last = p->rank - 1;
  int32_t index[MF_MAX_DIMS] = {0}, r;
  for (r = y0; r < y1; r++) {
    const int8_t *a = (const int8_t *)mf_row(&in[0], p->a[0] ? r : 0);
    const int8_t *b = (const int8_t *)mf_row(&in[1], p->b[0] ? r : 0);
    int8_t *y = (int8_t *)mf_row(out, r);
    do *y++ = f(a[mf_offset(index, p->a, 1, last)], b[mf_offset(index, p->b, 1, last)]);
    while (mf_next(index, p->dims, 1, last));
  }
}

MF_KERNEL void max_s8__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                               int32_t y1, void *scratch) {
  (void)scratch;
  binary_s8_rows(binary_s8_max, params, in, out, y0, y1);
}

MF_KERNEL void min_s8__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                               int32_t y1, void *scratch) {
  (void)scratch;
  binary_s8_rows(binary_s8_min, params, in, out, y0, y1);
}
