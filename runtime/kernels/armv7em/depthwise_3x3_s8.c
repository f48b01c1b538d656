/* DepthwiseConv, int8, 3x3, one output channel for each input channel, for Armv7E-M: lines of four channels at a time
 * (depthwise_em3.h).
 *
 *   weights, packed, a block of four channels, 34 words:
 *       four biases; per column as the inputs'; four times { mult, round, shift }
 *
 * in_zero is folded into the biases; weights and biases are doubled, as mf_code wants sums. Same results as
 * depthwise_s8__generic. A row is a line of the image.
 */
#include "runtime/kernels/armv7em/depthwise_em3.h"

MF_KERNEL mf_kernel_fn depthwise_s8__armv7em_3x3;

MF_INLINE void depthwise_em3_in_run(const mf_conv_s8 *p, depthwise_em3_pixels *b, int32_t i, int32_t zero) {
  b->w = p->w + 34 * i;
  (zero ? depthwise_em3_run_zero : depthwise_em3_run)(b);
}

MF_KERNEL void depthwise_s8__armv7em_3x3(const void *params, const mf_view *in, const mf_view *out,
                                         int32_t y0, int32_t y1, void *scratch) {
  depthwise_em3_lines((const mf_conv_s8 *)params, depthwise_em3_in_run, in, out, y0, y1, (uint32_t *)scratch);
}
