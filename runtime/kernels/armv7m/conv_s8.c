/* Conv, int8, one group, for Armv7-M without the DSP extension (Cortex-M3): two output pixels by four channels.
 *
 *   each pixel's window is a run of bytes, gathered in scratch unless it is one in the image already
 *   weights, packed, a block of four channels:   [k0: c0 c1 c2 c3] [k1: c0 c1 c2 c3] ...
 *
 * Six loads and eight multiply-accumulates a step. in_zero is folded into the biases, padding counts as in_zero. Per
 * block q holds four biases, then four times { mult, round, shift } of mf_code_of. Same results as conv_s8__generic. A
 * row is a line of the image.
 */
#include "runtime/kernels/window.h"

MF_KERNEL mf_kernel_fn conv_s8__armv7m;

typedef struct conv_v7m_block {
  const int8_t *x0, *x0_8, *x0_1, *x1; /* windows; of the first the end of groups of eight, and the end */
  const int8_t *w;
  const int32_t *q;
  int8_t *out0, *out1;
  int32_t blocks; /* of four channels, at least 1 */
} conv_v7m_block;

#ifdef __thumb2__

#define CONV_V7M_WEIGHT(a, b, at)  \
  "ldrsb r12, [r1" at "\n\t"       \
  "mla " a ", r11, r12, " a "\n\t" \
  "mla " b ", lr, r12, " b "\n\t"
#define CONV_V7M_STEP(x0, x1, w0, w1, w2, w3)                                                \
  "ldrsb r11, [r0" x0 "\n\t"                                                                 \
  "ldrsb lr, [r10" x1 "\n\t" CONV_V7M_WEIGHT("r2", "r6", w0) CONV_V7M_WEIGHT("r3", "r7", w1) \
      CONV_V7M_WEIGHT("r4", "r8", w2) CONV_V7M_WEIGHT("r5", "r9", w3)
#define CONV_V7M_AT(x, w0, w1, w2, w3) \
  CONV_V7M_STEP(", #" x "]", ", #" x "]", ", #" w0 "]", ", #" w1 "]", ", #" w2 "]", ", #" w3 "]")
/* r11 mult, r12 round, lr shift, r10 q, r0 scratch, r1 scratch */
#define CONV_V7M_CODE(a)                 \
  "lsl " a ", " a ", #1\n\t"             \
  "smull r0, " a ", " a ", r11\n\t"      \
  "adds r0, r0, #0x80000000\n\t"         \
  "adc " a ", " a ", #0\n\t"             \
  "add " a ", " a ", " a ", asr #31\n\t" \
  "add " a ", " a ", r12\n\t"            \
  "asr " a ", " a ", lr\n\t"             \
  "ssat " a ", #8, " a "\n\t"
#define CONV_V7M_CODES(a, b, at) "ldm r10!, {r11, r12, lr}\n\t" CONV_V7M_CODE(a) CONV_V7M_CODE(b)

/* On the stack: x0, x0_8, x0_1, x1, w, q, out0, out1, blocks. Sums of pixel 0: r2 .. r5, of pixel 1: r6 .. r9. */
MF_ASM void conv_v7m_run(const conv_v7m_block *b MF_UNUSED) {
  __asm__ volatile(
      "push {r4-r11, lr}\n\t"
      "ldm r0, {r1-r9}\n\t"
      "push {r1-r9}\n"
      "1:\n\t"
      "ldrd r1, r12, [sp, #16]\n\t"
      "ldm r12!, {r2-r5}\n\t"
      "str r12, [sp, #20]\n\t"
      "ldrd r0, r12, [sp]\n\t"
      "ldr r10, [sp, #12]\n\t"
      "mov r6, r2\n\t"
      "mov r7, r3\n\t"
      "mov r8, r4\n\t"
      "mov r9, r5\n\t"
      "cmp r0, r12\n\t"
      "beq 3f\n"
      "2:\n\t" CONV_V7M_STEP("], #8", "], #8", "], #32", ", #-31]", ", #-30]",
                             ", #-29]") CONV_V7M_AT("-7", "-28", "-27", "-26", "-25")
          CONV_V7M_AT("-6", "-24", "-23", "-22", "-21") CONV_V7M_AT("-5", "-20", "-19", "-18", "-17")
              CONV_V7M_AT("-4", "-16", "-15", "-14", "-13") CONV_V7M_AT("-3", "-12", "-11", "-10", "-9")
                  CONV_V7M_AT("-2", "-8", "-7", "-6", "-5") CONV_V7M_AT(
                      "-1", "-4", "-3", "-2",
                      "-1") "ldr r12, [sp, #4]\n\t"
                            "cmp r0, r12\n\t"
                            "bne 2b\n"
                            "3:\n\t"
                            "ldr r12, [sp, #8]\n\t"
                            "cmp r0, r12\n\t"
                            "beq 4f\n\t" CONV_V7M_STEP(
                                "], #1", "], #1", "], #4", ", #-3]", ", #-2]",
                                ", #-1]") "b 3b\n"
                                          "4:\n\t"
                                          "str r1, [sp, #16]\n\t"
                                          "ldr r10, [sp, #20]\n\t" CONV_V7M_CODES("r2", "r6", "0")
                                              CONV_V7M_CODES("r3", "r7", "1") CONV_V7M_CODES("r4", "r8", "2")
                                                  CONV_V7M_CODES("r5", "r9", "3") "str r10, [sp, #20]\n\t"
                                                                                  "ldrd r0, r1, [sp, #24]\n\t"
                                                                                  "strb r6, [r1], #4\n\t"
                                                                                  "strb r7, [r1, #-3]\n\t"
                                                                                  "strb r8, [r1, #-2]\n\t"
                                                                                  "strb r9, [r1, #-1]\n\t"
                                                                                  "strb r2, [r0], #4\n\t"
                                                                                  "strb r3, [r0, #-3]\n\t"
                                                                                  "strb r4, [r0, #-2]\n\t"
                                                                                  "strb r5, [r0, #-1]\n\t"
                                                                                  "strd r0, r1, [sp, #24]\n\t"
                                                                                  "ldr r12, [sp, #32]\n\t"
                                                                                  "subs r12, r12, #1\n\t"
                                                                                  "str r12, [sp, #32]\n\t"
                                                                                  "bne 1b\n\t"
                                                                                  "add sp, sp, #36\n\t"
                                                                                  "pop {r4-r11, pc}\n\t");
}

#else

static void conv_v7m_run(const conv_v7m_block *block) {
  conv_v7m_block b = *block;
  const int32_t n = (int32_t)(b.x0_1 - b.x0);
  int32_t i, k;
  for (; b.blocks > 0; b.blocks--, b.q += 16, b.w += 4 * n, b.out0 += 4, b.out1 += 4)
    for (i = 0; i < 4; i++) {
      int32_t sum0 = b.q[i], sum1 = b.q[i];
      for (k = 0; k < n; k++) {
        sum0 += b.x0[k] * b.w[4 * k + i];
        sum1 += b.x1[k] * b.w[4 * k + i];
      }
      b.out1[i] = mf_code_of(sum1, b.q + 4 + 3 * i);
      b.out0[i] = mf_code_of(sum0, b.q + 4 + 3 * i);
    }
}

#endif

/* All channels of two pixels. One pixel: x1 is x0, out1 is out0. */
static void conv_v7m_pixels(const mf_conv_s8 *p, conv_v7m_block b) {
  const int32_t n = p->g.out_c, rest = n & 3, taps = p->g.k_h * p->g.k_w * p->g.in_c;
  int8_t *const out0 = b.out0, *const out1 = b.out1;
  b.x0_8 = b.x0 + (taps & ~7);
  b.x0_1 = b.x0 + taps;
  b.blocks = n >> 2;
  if (b.blocks) conv_v7m_run(&b);
  if (rest) {
    int8_t last[8];
    int32_t i;
    b.w += (n >> 2) * taps * 4;
    b.q += (n >> 2) * 16;
    b.out0 = last;
    b.out1 = last + 4;
    b.blocks = 1;
    conv_v7m_run(&b);
    for (i = 0; i < rest; i++) {
      out1[n - rest + i] = last[4 + i];
      out0[n - rest + i] = last[i];
    }
  }
  mf_limit(out0, n, p->lo, p->hi);
  mf_limit(out1, n, p->lo, p->hi);
}

MF_KERNEL void conv_s8__armv7m(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                               int32_t y1, void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  const mf_window *g = &p->g;
  int8_t *const room = (int8_t *)scratch;
  conv_v7m_block b;
  int32_t y, x, held = 0; /* held: pixels that wait for their second */
  b.x0 = b.x1 = NULL;
  b.out0 = b.out1 = NULL;
  b.w = p->w;
  b.q = p->bias;
  for (y = y0; y < y1; y++) {
    int8_t *line = (int8_t *)mf_row(out, y);
    for (x = 0; x < g->out_w; x++, line += g->out_c) {
      b.x1 = mf_window_bytes(g, in, p->in_zero, y * g->stride_h - g->pad_top, x * g->stride_w - g->pad_left,
                             room + held * g->k_h * g->k_w * g->in_c);
      b.out1 = line;
      if (!held) {
        b.x0 = b.x1;
        b.out0 = line;
      }
      held ^= 1;
      if (!held) conv_v7m_pixels(p, b);
    }
  }
  if (held) conv_v7m_pixels(p, b);
}
