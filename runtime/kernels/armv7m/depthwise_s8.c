/* DepthwiseConv, int8, one output channel for each input channel, for Armv7-M (Cortex-M3): eight channels of a pixel.
 *
 * The taps of a pixel are a list of addresses; those outside the image point at a line of in_zero, so that borders cost
 * what the interior does. While a window touches no border, one list serves the pixels of a line: an offset moves on.
 * Weights, packed, a block of eight channels: [tap 0: c0 .. c7] [tap 1: c0 .. c7] ... Per block q holds eight biases with
 * in_zero folded in, then eight times { mult, round, shift } of mf_code_of. Same results as depthwise_s8__generic. A row
 * is a line of the image.
 */
#include "runtime/kernels/window.h"

MF_KERNEL mf_kernel_fn depthwise_s8__armv7m;

enum { DEPTHWISE_V7M_TAPS = 25 };

typedef struct depthwise_v7m_block {
  const int8_t *const *tap, *const *end;
  const int8_t *w;
  const int32_t *q;
  int8_t *out;
  int32_t offset, blocks; /* from the taps' addresses; of eight channels, at least 1 */
} depthwise_v7m_block;

#ifdef __thumb2__

#define DEPTHWISE_V7M_MAC(a, x, w) \
  "ldrsb r12, [r10, #" x "]\n\t"   \
  "ldrsb lr, [r1" w "\n\t"         \
  "mla " a ", r12, lr, " a "\n\t"
#define DEPTHWISE_V7M_CODE(a)            \
  "ldm r12!, {r0, r1, r10}\n\t"          \
  "lsl " a ", " a ", #1\n\t"             \
  "smull r0, " a ", " a ", r0\n\t"       \
  "adds r0, r0, #0x80000000\n\t"         \
  "adc " a ", " a ", #0\n\t"             \
  "add " a ", " a ", " a ", asr #31\n\t" \
  "add " a ", " a ", r1\n\t"             \
  "asr " a ", " a ", r10\n\t"            \
  "ssat " a ", #8, " a "\n\t"            \
  "strb " a ", [lr], #1\n\t"

/* r0 taps, r1 weights, r2 .. r9 sums, r10 address, r11 offset; on the stack: tap, end, w, q, out, offset, blocks. */
MF_ASM void depthwise_v7m_run(const depthwise_v7m_block *b MF_UNUSED) {
  __asm__ volatile(
      "push {r4-r11, lr}\n\t"
      "ldm r0, {r1-r7}\n\t"
      "push {r1-r7}\n\t"
      "mov r11, r6\n"
      "1:\n\t"
      "ldrd r1, r12, [sp, #8]\n\t"
      "ldr r0, [sp]\n\t"
      "ldm r12!, {r2-r9}\n\t"
      "str r12, [sp, #12]\n"
      "2:\n\t"
      "ldr r10, [r0], #4\n\t"
      "add r10, r10, r11\n\t" DEPTHWISE_V7M_MAC("r2", "0", "], #8") DEPTHWISE_V7M_MAC("r3", "1", ", #-7]")
          DEPTHWISE_V7M_MAC("r4", "2", ", #-6]") DEPTHWISE_V7M_MAC("r5", "3", ", #-5]") DEPTHWISE_V7M_MAC(
              "r6", "4", ", #-4]") DEPTHWISE_V7M_MAC("r7", "5", ", #-3]")
              DEPTHWISE_V7M_MAC("r8", "6", ", #-2]") DEPTHWISE_V7M_MAC(
                  "r9", "7", ", #-1]") "ldr r12, [sp, #4]\n\t"
                                       "cmp r0, r12\n\t"
                                       "bne 2b\n\t"
                                       "str r1, [sp, #8]\n\t"
                                       "ldrd r12, lr, [sp, #12]\n\t" DEPTHWISE_V7M_CODE("r2")
                                           DEPTHWISE_V7M_CODE("r3") DEPTHWISE_V7M_CODE("r4")
                                               DEPTHWISE_V7M_CODE("r5") DEPTHWISE_V7M_CODE("r6")
                                                   DEPTHWISE_V7M_CODE("r7") DEPTHWISE_V7M_CODE("r8")
                                                       DEPTHWISE_V7M_CODE("r9") "strd r12, lr, [sp, #12]\n\t"
                                                                                "add r11, r11, #8\n\t"
                                                                                "ldr r12, [sp, #24]\n\t"
                                                                                "subs r12, r12, #1\n\t"
                                                                                "str r12, [sp, #24]\n\t"
                                                                                "bne 1b\n\t"
                                                                                "add sp, sp, #28\n\t"
                                                                                "pop {r4-r11, pc}\n\t");
}

#else

static void depthwise_v7m_run(const depthwise_v7m_block *block) {
  depthwise_v7m_block b = *block;
  for (; b.blocks > 0; b.blocks--, b.offset += 8, b.q += 32, b.out += 8) {
    const int8_t *const *tap;
    int32_t sum[8], i;
    for (i = 0; i < 8; i++) sum[i] = b.q[i];
    for (tap = b.tap; tap < b.end; tap++, b.w += 8)
      for (i = 0; i < 8; i++) sum[i] += (*tap)[b.offset + i] * b.w[i];
    for (i = 0; i < 8; i++) b.out[i] = mf_code_of(sum[i], b.q + 8 + 3 * i);
  }
}

#endif

static void depthwise_v7m_line(const mf_conv_s8 *p, const mf_view *in, const int8_t *zeros, int8_t *line,
                               int32_t top) {
  const mf_window *g = &p->g;
  const int8_t *tap[DEPTHWISE_V7M_TAPS];
  const int32_t rows_inside = top >= 0 && top + (g->k_h - 1) * g->dil_h < g->in_h;
  const int32_t span = (g->k_w - 1) * g->dil_w;
  int32_t x, moving = 0; /* moving: the addresses serve for this pixel too */
  depthwise_v7m_block b;
  b.tap = tap;
  b.end = tap + g->k_h * g->k_w;
  b.w = p->w;
  b.q = p->bias;
  b.offset = 0;
  b.blocks = g->out_c >> 3;
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
    depthwise_v7m_run(&b);
    mf_limit(line, g->out_c, p->lo, p->hi);
  }
}

MF_KERNEL void depthwise_s8__armv7m(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                    int32_t y1, void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  int32_t y;
  mf_fill_bytes((int8_t *)scratch, p->in_zero, p->g.in_c);
  for (y = y0; y < y1; y++)
    depthwise_v7m_line(p, in, (const int8_t *)scratch, (int8_t *)mf_row(out, y),
                       y * p->g.stride_h - p->g.pad_top);
}
