/* DepthwiseConv, int8, 3x3, one output channel for each input channel, for Armv7E-M, whose weights are the first channels of
 * a wider variant's: depthwise_3x3_s8.c with a block's scales apart, since they are each variant's own:
 *
 *   weights, packed, a block of four channels: 18 words, per column as the inputs'
 *   q, a block: four biases; four times { mult, round, shift }
 *
 * A narrower variant has fewer blocks. Same results as depthwise_s8__generic. A row is a line of the image.
 */
#include "runtime/kernels/armv7em/depthwise_em3.h"

MF_KERNEL mf_kernel_fn depthwise_s8__armv7em_3x3_family;

MF_INLINE void depthwise_em3_apart(const mf_conv_s8 *p, depthwise_em3_pixels *b, int32_t i, int32_t zero) {
  b->w = p->w + 18 * i;
  b->q = p->bias + 4 * i;
  (zero ? depthwise_em3_run_apart_zero : depthwise_em3_run_apart)(b);
}

MF_KERNEL void depthwise_s8__armv7em_3x3_family(const void *params, const mf_view *in, const mf_view *out,
                                                int32_t y0, int32_t y1, void *scratch) {
  depthwise_em3_lines((const mf_conv_s8 *)params, depthwise_em3_apart, in, out, y0, y1, (uint32_t *)scratch);
}
