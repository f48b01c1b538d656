/* Add, int8, of tensors of one shape, for Armv7-M (Cortex-M3); see add_lines.h. A row is one index of the first axis. The output may be
 * exactly the memory of an input. Same results as add_s8__generic.
 */
#include "runtime/kernels/add_lines.h"

MF_KERNEL mf_kernel_fn add_s8__armv7m;

MF_INLINE int32_t add_v7m_high(int32_t x, int32_t m) {
  return (int32_t)(((int64_t)x * m + ((int64_t)1 << 30)) >> 31);
}

MF_KERNEL void add_s8__armv7m(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                              int32_t y1, void *scratch) {
  (void)scratch;
  mf_add_rows(params, in, out, y0, y1, add_v7m_high);
}
