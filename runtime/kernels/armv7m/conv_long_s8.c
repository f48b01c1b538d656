/* Conv, int8, one group, for Armv7-M without the DSP extension (Cortex-M3): two output pixels by four channels, both pixels
 * by one long multiply-accumulate.
 *
 *   windows -> scratch, a word a tap:   x = p0 + 2^23 * p1
 *   64-bit sums:                        sum x * w = sum p0 * w + 2^23 * sum p1 * w
 *
 * The lower sum is the low 23 bits with their sign, as pack proves of the weights; what is left, divided by 2^23, is the
 * upper one. Two taps so take one load of inputs, two of weights, which are bytes of a word, and eight SMLAL: 19
 * instructions for sixteen products, where conv_s8.c takes 28. (SMLAL takes 4 to 7 cycles by the size of its factors, one of
 * which is a weight, and two MLA take 4: by the manual both kernels take about as many cycles, but this one reads flash a
 * third as often.)
 *
 * Weights as in conv_s8.c. in_zero is folded into the biases. Per channel of a block q holds { 2 * bias, mult, round, shift }
 * of mf_code_of. Same results as conv_s8__generic. A row is a line of the image.
 */
#include "runtime/kernels/window.h"

MF_KERNEL mf_kernel_fn conv_s8__armv7m_long;

typedef struct conv_v7l_block {
  const int32_t *x, *x8, *x1; /* both windows; the end of groups of eight taps; the end */
  const int8_t *w;
  const int32_t *q;
  int8_t *out0, *out1;
  int32_t blocks; /* of four channels, at least 1 */
} conv_v7l_block;

#ifdef __thumb2__

/* clang-format off */
#define CONV_V7L_TAP(x)              \
  "ldr lr, [r1], #4\n\t"             \
  "sxtb r12, lr\n\t"                 \
  "smlal r2, r3, " x ", r12\n\t"     \
  "sbfx r12, lr, #8, #8\n\t"         \
  "smlal r4, r5, " x ", r12\n\t"     \
  "sbfx r12, lr, #16, #8\n\t"        \
  "smlal r6, r7, " x ", r12\n\t"     \
  "asr r12, lr, #24\n\t"             \
  "smlal r8, r9, " x ", r12\n\t"
#define CONV_V7L_TWO "ldrd r10, r11, [r0], #8\n\t" CONV_V7L_TAP("r10") CONV_V7L_TAP("r11")
/* Twice a sum in a, to its code: hi = round + the sign + the high half of 2 a mult, rounded. */
#define CONV_V7L_CODE(a, lo)            \
  "add r1, r12, " a ", asr #31\n\t"     \
  "mov " lo ", #0x80000000\n\t"         \
  "smlal " lo ", r1, " a ", r11\n\t"    \
  "asr " a ", r1, lr\n\t"               \
  "ssat " a ", #8, " a "\n\t"
#define CONV_V7L_CHANNEL(a, b)          \
  "ldm r0!, {r10, r11, r12, lr}\n\t"    \
  "lsrs r1, " a ", #23\n\t"             \
  "orr r1, r1, " b ", lsl #9\n\t"       \
  "adc r1, r1, #0\n\t"                  \
  "add " b ", r10, r1, lsl #1\n\t"      \
  "lsl " a ", " a ", #9\n\t"            \
  "add " a ", r10, " a ", asr #8\n\t"   \
  CONV_V7L_CODE(a, "r10")               \
  CONV_V7L_CODE(b, "r10")

/* Sums r2:r3 .. r8:r9; r0 inputs, r1 weights. On the stack: x, x8, x1, w, q, out0, out1, blocks. */
MF_ASM void conv_v7l_run(const conv_v7l_block *b MF_UNUSED) {
  __asm__ volatile(
      "push {r4-r11, lr}\n\t"
      "ldm r0, {r1-r8}\n\t"
      "push {r1-r8}\n"
      "1:\n\t"
      "ldrd r0, lr, [sp]\n\t"
      "ldr r1, [sp, #12]\n\t"
      "movs r2, #0\n\t"
      "movs r3, #0\n\t"
      "movs r4, #0\n\t"
      "movs r5, #0\n\t"
      "movs r6, #0\n\t"
      "movs r7, #0\n\t"
      "mov r8, r2\n\t"
      "mov r9, r2\n\t"
      "cmp r0, lr\n\t"
      "beq 3f\n"
      "2:\n\t"
      CONV_V7L_TWO CONV_V7L_TWO CONV_V7L_TWO CONV_V7L_TWO
      "ldr r12, [sp, #4]\n\t"
      "cmp r0, r12\n\t"
      "bne 2b\n"
      "3:\n\t"
      "ldr r12, [sp, #8]\n\t"
      "cmp r0, r12\n\t"
      "beq 5f\n\t"
      "ldr r10, [r0], #4\n\t"
      CONV_V7L_TAP("r10")
      "b 3b\n"
      "5:\n\t"
      "ldr r0, [sp, #16]\n\t"
      "str r1, [sp, #12]\n\t"
      CONV_V7L_CHANNEL("r2", "r3")
      CONV_V7L_CHANNEL("r4", "r5")
      CONV_V7L_CHANNEL("r6", "r7")
      CONV_V7L_CHANNEL("r8", "r9")
      "str r0, [sp, #16]\n\t"
      "ldrd r0, r1, [sp, #20]\n\t"
      "strb r3, [r1], #4\n\t"
      "strb r5, [r1, #-3]\n\t"
      "strb r7, [r1, #-2]\n\t"
      "strb r9, [r1, #-1]\n\t"
      "strb r2, [r0], #4\n\t"
      "strb r4, [r0, #-3]\n\t"
      "strb r6, [r0, #-2]\n\t"
      "strb r8, [r0, #-1]\n\t"
      "strd r0, r1, [sp, #20]\n\t"
      "ldr r12, [sp, #28]\n\t"
      "subs r12, r12, #1\n\t"
      "str r12, [sp, #28]\n\t"
      "bne 1b\n\t"
      "add sp, sp, #32\n\t"
      "pop {r4-r11, pc}\n\t");
}
/* clang-format on */

#else

static void conv_v7l_run(const conv_v7l_block *block) {
  conv_v7l_block b = *block;
  const int32_t n = (int32_t)(b.x1 - b.x);
  int32_t i, k;
  for (; b.blocks > 0; b.blocks--, b.q += 16, b.w += 4 * n, b.out0 += 4, b.out1 += 4)
    for (i = 0; i < 4; i++) {
      const int32_t *q = b.q + 4 * i;
      int64_t sum = 0;
      int32_t low;
      for (k = 0; k < n; k++) sum += (int64_t)b.x[k] * b.w[4 * k + i];
      low = (int32_t)((uint32_t)sum << 9) >> 9;
      b.out1[i] = mf_code_of((int32_t)((sum - low) >> 23) + q[0] / 2, q + 1);
      b.out0[i] = mf_code_of(low + q[0] / 2, q + 1);
    }
}

#endif

/* n taps of two pixels to words. */
static int32_t *conv_v7l_join(int32_t *x, const int8_t *x0, const int8_t *x1, int32_t n) {
#ifdef __thumb2__
  for (; n >= 4; n -= 4, x += 4, x0 += 4, x1 += 4) {
    int32_t a, b;
    __builtin_memcpy(&a, x0, 4);
    __builtin_memcpy(&b, x1, 4);
    x[0] = (int8_t)a + (int8_t)b * (1 << 23);
    x[1] = (int8_t)(a >> 8) + (int8_t)(b >> 8) * (1 << 23);
    x[2] = (int8_t)(a >> 16) + (int8_t)(b >> 16) * (1 << 23);
    x[3] = (a >> 24) + (b >> 24) * (1 << 23);
  }
#endif
  for (; n > 0; n--) *x++ = *x0++ + *x1++ * (1 << 23);
  return x;
}

/* All channels of the two pixels whose windows lie at x0 and x1. One pixel: x1 is x0, out1 is out0. */
static void conv_v7l_pixels(const mf_conv_s8 *p, int32_t *x, const int8_t *x0, const int8_t *x1, int8_t *out0,
                            int8_t *out1) {
  const int32_t n = p->g.out_c, rest = n & 3, taps = p->g.k_h * p->g.k_w * p->g.in_c;
  conv_v7l_block b;
  b.x = x;
  b.x8 = x + (taps & ~7);
  b.x1 = conv_v7l_join(x, x0, x1, taps);
  b.w = p->w;
  b.q = p->bias;
  b.out0 = out0;
  b.out1 = out1;
  b.blocks = n >> 2;
  if (b.blocks) conv_v7l_run(&b);
  if (rest) {
    int8_t last[8];
    int32_t i;
    b.w += (n >> 2) * taps * 4;
    b.q += (n >> 2) * 16;
    b.out0 = last;
    b.out1 = last + 4;
    b.blocks = 1;
    conv_v7l_run(&b);
    for (i = 0; i < rest; i++) {
      out1[n - rest + i] = last[4 + i];
      out0[n - rest + i] = last[i];
    }
  }
  mf_limit(out0, n, p->lo, p->hi);
  mf_limit(out1, n, p->lo, p->hi);
}

MF_KERNEL void conv_s8__armv7m_long(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                    int32_t y1, void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  const mf_window *g = &p->g;
  const int32_t taps = g->k_h * g->k_w * g->in_c;
  int32_t *const words = (int32_t *)scratch;
  int8_t *const room = (int8_t *)(words + taps), *out0 = NULL;
  const int8_t *x0 = NULL, *x1;
  int32_t y, x;
  for (y = y0; y < y1; y++) {
    int8_t *line = (int8_t *)mf_row(out, y);
    for (x = 0; x < g->out_w; x++, line += g->out_c) {
      x1 = mf_window_bytes(g, in, p->in_zero, y * g->stride_h - g->pad_top, x * g->stride_w - g->pad_left,
                           x0 ? room + taps : room);
      if (x0) {
        conv_v7l_pixels(p, words, x0, x1, out0, line);
        x0 = NULL;
      } else {
        x0 = x1;
        out0 = line;
      }
    }
  }
  if (x0) conv_v7l_pixels(p, words, x0, x0, out0, out0);
}
