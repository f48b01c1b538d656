/* Conv, int8, one group, for Armv7E-M: two output pixels by four channels at a time, two multiply-accumulates an
 * instruction.
 *
 *   pixels' windows -> scratch, as int16 pairs, padding as in_zero:   [p0 k0 k1][p1 k0 k1] [p0 k2 k3][p1 k2 k3] ...
 *   weights, packed, a block of four channels:                        [c0+c1 k0 k1][c2+c3 k0 k1] [c0+c1 k2 k3] ...
 *
 * A word of weights holds two taps of two channels: each half is 256 * w[c1] + w[c0]. One SMLAD with the half as it is
 * and one with its low byte alone (SXTB16) give both channels' sums, the first as 256 * sum1 + sum0: six instructions
 * for eight products where widening every weight would take seven or eight. pack makes sure that sum1 fits 24 bits.
 * Taps within a group of four are ordered 0 2 1 3, as SXTB16 widens bytes; the last group is filled up with zero weights.
 *
 * in_zero is folded into the biases. Per block q holds: bias0, bias2, 2 * bias1, 2 * bias3, then for each of four
 * channels { mult, round, shift } of mf_code. Same results as conv_s8__generic. A row is a line of the image.
 */
#include "runtime/kernels/armv7em/conv_em_run.h"

MF_KERNEL mf_kernel_fn conv_s8__armv7em;

static void conv_em_pixels(const mf_conv_s8 *p, conv_em_block *b) {
  conv_em_channels(p, b, (int32_t)(b->x1 - b->x) * 4, p->out_zero <= p->lo ? conv_em_run_zero : conv_em_run);
}

MF_KERNEL void conv_s8__armv7em(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                int32_t y1, void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  conv_em_lines(p, in, out, y0, y1, (uint32_t *)scratch, conv_em_pairs(&p->g), conv_em_window,
                conv_em_pixels);
}
