/* Add, int8, of tensors of one shape, for Armv6-M (Cortex-M0, M0+), by 32-bit products; see add_lines.h. A row is one index of the first axis. The output may be
 * exactly the memory of an input. Same results as add_s8__generic.
 */
#include "runtime/kernels/add_lines.h"
#include "runtime/kernels/armv6m/dot8.h"

MF_KERNEL mf_kernel_fn add_s8__armv6m;

MF_INLINE int32_t add_v6m_high(int32_t x, int32_t m) { return mf_high32(x, m); }

MF_KERNEL void add_s8__armv6m(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                              int32_t y1, void *scratch) {
  (void)scratch;
  mf_add_rows(params, in, out, y0, y1, add_v6m_high);
}
