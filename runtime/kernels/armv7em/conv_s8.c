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

/* -- pixels -- */

/* All channels of the two pixels whose windows lie in scratch. One pixel: out1 is out0, which is written last. */
static void conv_em_pixels(const mf_conv_s8 *p, conv_em_block b) {
  const int32_t n = p->g.out_c, rest = n & 3, zero = p->out_zero <= p->lo;
  int8_t *const out0 = b.out0, *const out1 = b.out1;
  b.blocks = n >> 2;
  if (b.blocks) (zero ? conv_em_run_zero : conv_em_run)(&b);
  if (rest) {
    int8_t last[8];
    int32_t i;
    b.w += (n >> 2) * (b.x1 - b.x) * 4;
    b.q += (n >> 2) * 16;
    b.out0 = last;
    b.out1 = last + 4;
    b.blocks = 1;
    (zero ? conv_em_run_zero : conv_em_run)(&b);
    for (i = 0; i < rest; i++) {
      out1[n - rest + i] = last[4 + i];
      out0[n - rest + i] = last[i];
    }
  }
  if (p->lo > -128 || p->hi < 127) {
    conv_em_limit(out0, n, p->lo, p->hi);
    conv_em_limit(out1, n, p->lo, p->hi);
  }
}

MF_KERNEL void conv_s8__armv7em(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                int32_t y1, void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  const int32_t pairs = (p->g.k_h * p->g.k_w * p->g.in_c + 3) / 4 * 2;
  uint32_t *const col = (uint32_t *)scratch;
  conv_em_block b;
  int32_t y, x, held = 0; /* held: windows in scratch */
  b.x = col;
  b.x4 = col + (pairs & ~3) * 2;
  b.x1 = col + pairs * 2;
  b.w = p->w;
  b.q = p->bias;
  b.out0 = b.out1 = NULL;
  for (y = y0; y < y1; y++) {
    int8_t *line = (int8_t *)mf_row(out, y);
    for (x = 0; x < p->g.out_w; x++, line += p->g.out_c) {
      if (p->g.in_c & 3)
        conv_em_window1(p, in, y, x, col + held, (int8_t *)(col + 2 * pairs));
      else
        conv_em_window4(p, in, y, x, col + held);
      b.out1 = line;
      if (!held) b.out0 = line;
      held ^= 1;
      if (!held) conv_em_pixels(p, b);
    }
  }
  if (held) conv_em_pixels(p, b);
}
