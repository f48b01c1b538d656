/* Add, int8, for AVX2: runtime/kernels/x86/add_s8.h. */
#include "runtime/kernels/avx2/avx2.h"
#include "runtime/kernels/x86/add_s8.h"

MF_X86 MF_KERNEL mf_kernel_fn add_s8__avx2;

MF_X86 MF_KERNEL void add_s8__avx2(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                   int32_t y1, void *scratch) {
  add_s8_x86_rows(params, in, out, y0, y1, scratch);
}
