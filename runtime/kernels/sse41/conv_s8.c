/* Conv, int8, one group, for SSE4.1: runtime/kernels/x86/conv_s8.h. */
#include "runtime/kernels/sse41/sse41.h"
#include "runtime/kernels/x86/conv_s8.h"

MF_X86 MF_KERNEL mf_kernel_fn conv_s8__sse41;

MF_X86 MF_KERNEL void conv_s8__sse41(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                     int32_t y1, void *scratch) {
  conv_s8_x86_rows(params, in, out, y0, y1, scratch);
}
