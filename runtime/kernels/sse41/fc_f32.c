/* FullyConnected, float32, for SSE4.1: runtime/kernels/x86/fc_f32.h. */
#include "runtime/kernels/sse41/sse41.h"
#include "runtime/kernels/x86/fc_f32.h"

MF_X86 MF_KERNEL mf_kernel_fn fc_f32__sse41;

MF_X86 MF_KERNEL void fc_f32__sse41(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                    int32_t y1, void *scratch) {
  fc_f32_x86_rows(params, in, out, y0, y1, scratch);
}
