/* DepthwiseConv, float32, for AVX2 and FMA: runtime/kernels/x86/depthwise_f32.h. */
#include "runtime/kernels/avx2/avx2.h"
#include "runtime/kernels/x86/depthwise_f32.h"

MF_X86 MF_KERNEL mf_kernel_fn depthwise_f32__avx2;

MF_X86 MF_KERNEL void depthwise_f32__avx2(const void *params, const mf_view *in, const mf_view *out,
                                          int32_t y0, int32_t y1, void *scratch) {
  depthwise_f32_x86_rows(params, in, out, y0, y1, scratch);
}
