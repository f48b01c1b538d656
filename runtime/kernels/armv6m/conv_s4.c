/* Conv, int8 with weights of 4 bits, one group, for Armv6-M: as conv_s8, but line by line one block of eight channels after
 * the other, whose weights are unpacked to scratch once a line.
 *
 *   weights, packed, a block: for every tap a word    byte i: channel i + 8 in the lower half, channel 4 + i + 8 in the upper
 *   unpacked                                          w + 128, as dot8.h has it
 *
 * Same results as conv_s4__generic. A row is a line of the image.
 */
#include "runtime/kernels/armv6m/conv_v6m.h"

MF_KERNEL mf_kernel_fn conv_s4__armv6m;

typedef MF_ALIAS uint32_t mf_word4;

/* n taps of a block. */
static void conv4_v6m_unpack(mf_word4 *to, const mf_word4 *from, int32_t n) {
  for (; n > 0; n--, to += 2) {
    const uint32_t v = *from++;
    to[0] = (v & 0x0f0f0f0f) + 0x78787878;
    to[1] = (v >> 4 & 0x0f0f0f0f) + 0x78787878;
  }
}

MF_KERNEL void conv_s4__armv6m(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                               int32_t y1, void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  const mf_window *g = &p->g;
  const int32_t width = g->k_w * g->in_c, taps = g->k_h * width;
  mf_run *const run = (mf_run *)scratch;
  int32_t *const lines = (int32_t *)(run + g->k_h * (g->k_w < 3 ? 3 : g->k_w) + 1);
  int8_t *const zeros = (int8_t *)(lines + g->k_h), *const w = zeros + ((width + 3) & ~3);
  int32_t y, x, o;
  mf_dot8 d;
  d.run = run;
  d.base = (const int8_t *)in->base;
  d.zeros = zeros;
  d.w = w;
  d.codes.lo = p->lo;
  d.codes.hi = p->hi;
  mf_fill_bytes(zeros, p->in_zero, width);
  for (y = y0; y < y1; y++) {
    const mf_word4 *from = (const mf_word4 *)p->w;
    int8_t *const line = (int8_t *)mf_row(out, y);
    conv_v6m_lines(g, in, y * g->stride_h - g->pad_top, lines);
    d.q = p->bias;
    for (o = 0; o < g->out_c; o += 8, from += taps, d.q += 32) {
      conv4_v6m_unpack((mf_word4 *)w, from, taps);
      for (x = 0; x < g->out_w; x++) {
        conv_v6m_window(g, lines, x * g->stride_w - g->pad_left, run);
        d.known = 0;
        mf_dot8_codes(&d, line + x * g->out_c + o, g->out_c - o < 8 ? g->out_c - o : 8,
                      mf_cuts_off(p->out_zero, p->lo));
      }
    }
  }
}
