/* DepthwiseConv, int8, one output channel for each input channel, for Armv7E-M: four channels of a pixel at a time.
 *
 *   taps of a pixel:  addresses of its k_h * k_w input pixels; those outside the image point at a line of in_zero
 *   a tap:            one word of input, widened to channels 0 2 and 1 3; weights as int16 in the same order
 *
 * Borders so cost what the interior does. While all rows of a window lie inside the image, the addresses of one pixel
 * serve for all that touch no border left or right: an offset moves on.
 *
 * in_zero is folded into the biases; weights and biases are doubled, as mf_code wants sums. Per block q holds four
 * biases, then four times { mult, round, shift }. Same results as depthwise_s8__generic. A row is a line of the image.
 */
#include "runtime/kernels/armv7em/dsp.h"

MF_KERNEL mf_kernel_fn depthwise_s8__armv7em;

enum { DEPTHWISE_EM_TAPS = 25 };

typedef struct depthwise_em_block {
  const int8_t *const *tap;
  const int8_t *w; /* int16 */
  const int32_t *q;
  int8_t *out;
  int32_t offset, taps, blocks; /* offset: from the taps' addresses; blocks: of four channels, at least 1 */
} depthwise_em_block;

#ifdef MF_DSP

#define DEPTHWISE_EM_TAP      \
  "ldr r6, [r0], #4\n\t"      \
  "ldrd r8, r9, [r1], #8\n\t" \
  "ldr r6, [r6, r10]\n\t"     \
  "sxtb16 r7, r6\n\t"         \
  "sxtb16 r6, r6, ror #8\n\t" \
  "smlabb r2, r7, r8, r2\n\t" \
  "smlatt r4, r7, r8, r4\n\t" \
  "smlabb r3, r6, r9, r3\n\t" \
  "smlatt r5, r6, r9, r5\n\t"
#define DEPTHWISE_EM_CODE(a)        \
  "ldm r12!, {r6, r7, r8}\n\t"      \
  "add r7, r7, " a ", asr #31\n\t"  \
  "smmlar " a ", " a ", r6, r7\n\t" \
  "asr " a ", " a ", r8\n\t"        \
  "ssat " a ", #8, " a "\n\t"       \
  "strb " a ", [lr], #1\n\t"

/* r0 taps, r1 weights, r2 .. r5 sums, r10 offset, r11 taps left, r12 q, lr out; on the stack: taps, w, q, out, offset,
 * number of taps, blocks. */
MF_ASM void depthwise_em_run(const depthwise_em_block *b MF_UNUSED) {
  __asm__ volatile("push {r4-r11, lr}\n\t"
                   "ldm r0, {r1-r7}\n\t"
                   "push {r1-r7}\n\t"
                   "mov r1, r2\n\t"
                   "mov r12, r3\n\t"
                   "mov lr, r4\n\t"
                   "mov r10, r5\n"
                   "1:\n\t"
                   "ldr r0, [sp]\n\t"
                   "ldr r11, [sp, #20]\n\t"
                   "ldm r12!, {r2-r5}\n\t"
                   "subs r11, r11, #9\n\t"
                   "bmi 3f\n"
                   "2:\n\t" DEPTHWISE_EM_TAP DEPTHWISE_EM_TAP DEPTHWISE_EM_TAP DEPTHWISE_EM_TAP
                       DEPTHWISE_EM_TAP DEPTHWISE_EM_TAP DEPTHWISE_EM_TAP DEPTHWISE_EM_TAP DEPTHWISE_EM_TAP
                   "subs r11, r11, #9\n\t"
                   "bpl 2b\n"
                   "3:\n\t"
                   "adds r11, r11, #9\n\t"
                   "beq 5f\n"
                   "4:\n\t" DEPTHWISE_EM_TAP "subs r11, r11, #1\n\t"
                   "bne 4b\n"
                   "5:\n\t" DEPTHWISE_EM_CODE("r2") DEPTHWISE_EM_CODE("r3") DEPTHWISE_EM_CODE("r4")
                       DEPTHWISE_EM_CODE("r5") "add r10, r10, #4\n\t"
                                               "ldr r11, [sp, #24]\n\t"
                                               "subs r11, r11, #1\n\t"
                                               "str r11, [sp, #24]\n\t"
                                               "bne 1b\n\t"
                                               "add sp, sp, #28\n\t"
                                               "pop {r4-r11, pc}\n\t");
}

#else

static void depthwise_em_run(const depthwise_em_block *block) {
  depthwise_em_block b = *block;
  int32_t t, i;
  for (; b.blocks > 0; b.blocks--, b.offset += 4, b.q += 16, b.out += 4) {
    int32_t sum[4];
    for (i = 0; i < 4; i++) sum[i] = b.q[i];
    for (t = 0; t < b.taps; t++, b.w += 8) {
      const uint32_t x = mf_load4(b.tap[t] + b.offset), even = mf_even_bytes(x), odd = mf_odd_bytes(x);
      const uint32_t w = mf_load4(b.w), v = mf_load4(b.w + 4);
      sum[0] += mf_low(even) * mf_low(w);
      sum[2] += mf_high(even) * mf_high(w);
      sum[1] += mf_low(odd) * mf_low(v);
      sum[3] += mf_high(odd) * mf_high(v);
    }
    for (i = 0; i < 4; i++) b.out[i] = mf_code(sum[i], b.q + 4 + 3 * i);
  }
}

#endif

static void depthwise_em_line(const mf_conv_s8 *p, const mf_view *in, const int8_t *zeros, int8_t *line,
                              int32_t top) {
  const mf_window *g = &p->g;
  const int8_t *tap[DEPTHWISE_EM_TAPS];
  const int32_t rows_inside = top >= 0 && top + (g->k_h - 1) * g->dil_h < g->in_h;
  const int32_t span = (g->k_w - 1) * g->dil_w;
  int32_t x, i, moving = 0; /* moving: the addresses serve for this pixel too */
  depthwise_em_block b;
  b.tap = tap;
  b.w = p->w;
  b.q = p->bias;
  b.taps = g->k_h * g->k_w;
  b.blocks = g->out_c >> 2;
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
    depthwise_em_run(&b);
    if (p->lo > -128 || p->hi < 127)
      for (i = 0; i < g->out_c; i++) line[i] = (int8_t)mf_clamp(line[i], p->lo, p->hi);
  }
}

MF_KERNEL void depthwise_s8__armv7em(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                     int32_t y1, void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  int8_t *const zeros = (int8_t *)scratch;
  int32_t y, i;
  for (i = 0; i < p->g.in_c; i++) zeros[i] = (int8_t)p->in_zero;
  for (y = y0; y < y1; y++)
    depthwise_em_line(p, in, zeros, (int8_t *)mf_row(out, y), y * p->g.stride_h - p->g.pad_top);
}
