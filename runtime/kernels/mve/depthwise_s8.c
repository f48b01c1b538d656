/* DepthwiseConv, int8, one output channel for each input channel, for Helium: eight channels of a pixel.
 *
 * The taps of a pixel are a list of addresses; those outside the image point at a line of in_zero. While a window touches
 * no border, one list serves the pixels of a line: an offset moves on. Two taps' products add up in 16 bits (no weight is
 * -128), then widen to the sums of even and of odd channels. Weights, packed, a block of eight channels: [tap 0: c0 .. c7]
 * [tap 1: ..] ... Per block q holds, for even channels and then for odd ones, four each of biases with in_zero folded in;
 * then multipliers, rounding terms (mf_code_of) and negative shifts likewise. Same results as depthwise_s8__generic. A row
 * is a line of the image.
 */
#include "runtime/kernels/window.h"

MF_KERNEL mf_kernel_fn depthwise_s8__mve;

enum { DEPTHWISE_MVE_TAPS = 25 };

typedef struct depthwise_mve_block {
  const int8_t *const *tap;
  const int8_t *w;
  const int32_t *q;
  int8_t *out;
  int32_t offset, taps, blocks; /* offset: from the taps' addresses; blocks: of eight channels, at least 1 */
  int32_t lo, hi;
} depthwise_mve_block;

#ifdef __ARM_FEATURE_MVE

#define DEPTHWISE_MVE_CODES(q, at)       \
  "vldrw.u32 q2, [r2, #" at "]\n\t"      \
  "vldrw.u32 q3, [r2, #" at " + 32]\n\t" \
  "vldrw.u32 q4, [r2, #" at " + 64]\n\t" \
  "vqrdmulh.s32 " q ", " q ", q2\n\t"    \
  "vshr.s32 q5, " q ", #31\n\t"          \
  "vadd.i32 " q ", " q ", q5\n\t"        \
  "vadd.i32 " q ", " q ", q3\n\t"        \
  "vshl.s32 " q ", " q ", q4\n\t"

/* r0 taps, r1 weights, r2 q, r3 out, r4 offset, r5 number of taps, r8 blocks, r9 lo, r10 hi, r11 list; q0, q1 sums. */
MF_ASM void depthwise_mve_run(const depthwise_mve_block *b MF_UNUSED) {
  __asm__ volatile("push {r4-r11, lr}\n\t"
                   "vpush {d8-d11}\n\t"
                   "ldm r0, {r0, r1, r2, r3, r4, r5, r8, r9, r10}\n\t"
                   "mov r11, r0\n"
                   "1:\n\t"
                   "mov r0, r11\n\t"
                   "vldrw.u32 q0, [r2]\n\t"
                   "vldrw.u32 q1, [r2, #16]\n\t"
                   "lsrs r12, r5, #1\n\t"
                   "beq 3f\n"
                   "2:\n\t"
                   "ldrd r6, r7, [r0], #8\n\t"
                   "add r6, r6, r4\n\t"
                   "add r7, r7, r4\n\t"
                   "vldrb.s16 q2, [r6]\n\t"
                   "vldrb.s16 q3, [r1], #8\n\t"
                   "vldrb.s16 q4, [r7]\n\t"
                   "vldrb.s16 q5, [r1], #8\n\t"
                   "vmul.i16 q2, q2, q3\n\t"
                   "vmul.i16 q4, q4, q5\n\t"
                   "vadd.i16 q2, q2, q4\n\t"
                   "vmovlb.s16 q3, q2\n\t"
                   "vmovlt.s16 q2, q2\n\t"
                   "vadd.i32 q0, q0, q3\n\t"
                   "vadd.i32 q1, q1, q2\n\t"
                   "subs r12, r12, #1\n\t"
                   "bne 2b\n"
                   "3:\n\t"
                   "tst r5, #1\n\t"
                   "beq 4f\n\t"
                   "ldr r6, [r0]\n\t"
                   "add r6, r6, r4\n\t"
                   "vldrb.s16 q2, [r6]\n\t"
                   "vldrb.s16 q3, [r1], #8\n\t"
                   "vmul.i16 q2, q2, q3\n\t"
                   "vmovlb.s16 q3, q2\n\t"
                   "vmovlt.s16 q2, q2\n\t"
                   "vadd.i32 q0, q0, q3\n\t"
                   "vadd.i32 q1, q1, q2\n"
                   "4:\n\t" DEPTHWISE_MVE_CODES("q0", "32")
                       DEPTHWISE_MVE_CODES("q1", "48") "add r2, r2, #128\n\t"
                                                       "vqmovnb.s32 q0, q0\n\t"
                                                       "vqmovnt.s32 q0, q1\n\t"
                                                       "vdup.16 q2, r9\n\t"
                                                       "vdup.16 q3, r10\n\t"
                                                       "vmax.s16 q0, q0, q2\n\t"
                                                       "vmin.s16 q0, q0, q3\n\t"
                                                       "vstrb.16 q0, [r3], #8\n\t"
                                                       "add r4, r4, #8\n\t"
                                                       "subs r8, r8, #1\n\t"
                                                       "bne 1b\n\t"
                                                       "vpop {d8-d11}\n\t"
                                                       "pop {r4-r11, pc}\n\t");
}

#else

static void depthwise_mve_run(const depthwise_mve_block *block) {
  depthwise_mve_block b = *block;
  int32_t t, i;
  for (; b.blocks > 0; b.blocks--, b.offset += 8, b.q += 32, b.out += 8, b.w += 8 * b.taps)
    for (i = 0; i < 8; i++) {
      const int32_t *q = b.q + i / 2 + i % 2 * 4;
      int32_t sum = q[0], high;
      for (t = 0; t < b.taps; t++) sum += b.tap[t][b.offset + i] * b.w[8 * t + i];
      high = mf_mul_high(sum, q[8]);
      b.out[i] = (int8_t)mf_clamp((high + (high >> 31) + q[16]) >> -q[24], b.lo, b.hi);
    }
}

#endif

static void depthwise_mve_line(const mf_conv_s8 *p, const mf_view *in, const int8_t *zeros, int8_t *line,
                               int32_t top) {
  const mf_window *g = &p->g;
  const int8_t *tap[DEPTHWISE_MVE_TAPS];
  const int32_t rows_inside = top >= 0 && top + (g->k_h - 1) * g->dil_h < g->in_h;
  const int32_t span = (g->k_w - 1) * g->dil_w;
  int32_t x, moving = 0; /* moving: the addresses serve for this pixel too */
  depthwise_mve_block b;
  b.tap = tap;
  b.w = p->w;
  b.q = p->bias;
  b.offset = 0;
  b.taps = g->k_h * g->k_w;
  b.blocks = g->out_c >> 3;
  b.lo = p->lo;
  b.hi = p->hi;
  for (x = 0; x < g->out_w; x++, line += g->out_c) {
    const int32_t left = x * g->stride_w - g->pad_left;
    const int32_t inside = rows_inside && left >= 0 && left + span < g->in_w;
    if (inside && moving) {
      b.offset += g->stride_w * g->in_c;
    } else {
      mf_window_taps(g, in, zeros, top, left, tap);
      b.offset = 0;
      moving = inside;
    }
    b.out = line;
    depthwise_mve_run(&b);
  }
}

MF_KERNEL void depthwise_s8__mve(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                 int32_t y1, void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  int32_t y;
  mf_fill_bytes((int8_t *)scratch, p->in_zero, p->g.in_c);
  for (y = y0; y < y1; y++)
    depthwise_mve_line(p, in, (const int8_t *)scratch, (int8_t *)mf_row(out, y),
                       y * p->g.stride_h - p->g.pad_top);
}
