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
#include "runtime/kernels/armv7em/conv_em.h"

MF_KERNEL mf_kernel_fn conv_s8__armv7em;

typedef struct conv_em_block {
  const uint32_t *x, *x4, *x1; /* both windows; the end of groups of four pairs; the end */
  const int8_t *w;
  const int32_t *q;
  int8_t *out0, *out1; /* the first channel of each pixel */
  int32_t blocks;      /* of four channels, at least 1 */
} conv_em_block;

#ifdef MF_DSP

/* clang-format off */
#define CONV_EM_STEP            \
  "ldrd r10, r11, [r0], #8\n\t" \
  "ldrd r12, lr, [r1], #8\n\t"  \
  "smlad r3, r10, r12, r3\n\t"  \
  "smlad r7, r11, r12, r7\n\t"  \
  "sxtb16 r12, r12\n\t"         \
  "smlad r5, r10, lr, r5\n\t"   \
  "smlad r9, r11, lr, r9\n\t"   \
  "sxtb16 lr, lr\n\t"           \
  "smlad r2, r10, r12, r2\n\t"  \
  "smlad r6, r11, r12, r6\n\t"  \
  "smlad r4, r10, lr, r4\n\t"   \
  "smlad r8, r11, lr, r8\n\t"
/* On the stack, from sp: x, x4, x1, w, q, out0, out1, blocks. Sums of pixel 0: r2 (channel 0), r3 (256 * channel 1 +
 * channel 0), r4, r5 (channels 2, 3); of pixel 1: r6 .. r9. */
#define CONV_EM_RUN(CODE)                              \
  __asm__ volatile(                                    \
      "push {r4-r11, lr}\n\t"                          \
      "ldm r0, {r1-r8}\n\t"                            \
      "push {r1-r8}\n"                                 \
      "1:\n\t"                                         \
      "ldrd r1, r0, [sp, #12]\n\t"                     \
      "ldm r0!, {r2, r4}\n\t"                          \
      "str r0, [sp, #16]\n\t"                          \
      "ldrd r0, r12, [sp]\n\t"                         \
      "mov r3, r2\n\t"                                 \
      "mov r6, r2\n\t"                                 \
      "mov r7, r2\n\t"                                 \
      "mov r5, r4\n\t"                                 \
      "mov r8, r4\n\t"                                 \
      "mov r9, r4\n\t"                                 \
      "cmp r0, r12\n\t"                                \
      "beq 3f\n"                                       \
      "2:\n\t"                                         \
      CONV_EM_STEP CONV_EM_STEP CONV_EM_STEP CONV_EM_STEP \
      "ldr r12, [sp, #4]\n\t"                          \
      "cmp r0, r12\n\t"                                \
      "bne 2b\n"                                       \
      "3:\n\t"                                         \
      "ldr r12, [sp, #8]\n\t"                          \
      "cmp r0, r12\n\t"                                \
      "beq 4f\n\t"                                     \
      CONV_EM_STEP                                     \
      "b 3b\n"                                         \
      "4:\n\t"                                         \
      "str r1, [sp, #12]\n\t"                          \
      "ldrd r0, r1, [sp, #16]\n\t"                     \
      "ldr lr, [sp, #24]\n\t"                          \
      "ldm r0!, {r10, r11}\n\t"                        \
      "sub r3, r3, r2\n\t"                             \
      "sub r7, r7, r6\n\t"                             \
      "sub r5, r5, r4\n\t"                             \
      "sub r9, r9, r8\n\t"                             \
      "add r3, r10, r3, asr #7\n\t"                    \
      "add r7, r10, r7, asr #7\n\t"                    \
      "add r5, r11, r5, asr #7\n\t"                    \
      "add r9, r11, r9, asr #7\n\t"                    \
      "lsl r2, r2, #1\n\t"                             \
      "lsl r6, r6, #1\n\t"                             \
      "lsl r4, r4, #1\n\t"                             \
      "lsl r8, r8, #1\n\t"                             \
      CODE("r2", "r6") CODE("r3", "r7") CODE("r4", "r8") CODE("r5", "r9") \
      "strd r0, r1, [sp, #16]\n\t"                     \
      "ldrd r12, r11, [sp, #24]\n\t"                   \
      "subs r11, r11, #1\n\t"                          \
      "strd lr, r11, [sp, #24]\n\t"                    \
      "bne 1b\n\t"                                     \
      "add sp, sp, #32\n\t"                            \
      "pop {r4-r11, pc}\n\t")
/* clang-format on */

MF_ASM void conv_em_run(const conv_em_block *b MF_UNUSED) { CONV_EM_RUN(CONV_EM_CODE); }
MF_ASM void conv_em_run_zero(const conv_em_block *b MF_UNUSED) { CONV_EM_RUN(CONV_EM_CODE_ZERO); }

#else

/* Sums of two pixels for a pair of channels, from the pair's word of each step. */
static void conv_em_pair(const conv_em_block *b, const int8_t *w, int32_t sum[2][2]) {
  const uint32_t *x;
  for (x = b->x; x < b->x1; x += 2, w += 8) {
    const uint32_t both = mf_load4(w), one = mf_even_bytes(both);
    int32_t p;
    for (p = 0; p < 2; p++) {
      sum[p][0] = mf_smlad(x[p], one, sum[p][0]);
      sum[p][1] = mf_smlad(x[p], both, sum[p][1]);
    }
  }
}

MF_INLINE void conv_em_twin(conv_em_block b, int32_t sign) {
  int32_t pair, p;
  for (; b.blocks > 0; b.blocks--, b.q += 16, b.w += (b.x1 - b.x) * 4, b.out0 += 4, b.out1 += 4)
    for (pair = 0; pair < 2; pair++) {
      const int32_t bias = b.q[pair], *q = b.q + 4 + 6 * pair;
      int32_t sum[2][2] = {{bias, bias}, {bias, bias}};
      conv_em_pair(&b, b.w + 4 * pair, sum);
      for (p = 1; p >= 0; p--) {
        int8_t *out = (p ? b.out1 : b.out0) + 2 * pair;
        const int32_t other = (int32_t)((uint32_t)sum[p][1] - (uint32_t)sum[p][0]) >> 7;
        out[0] = mf_code_signed((int32_t)((uint32_t)sum[p][0] << 1), q, sign);
        out[1] = mf_code_signed(b.q[2 + pair] + other, q + 3, sign);
      }
    }
}

static void conv_em_run(const conv_em_block *b) { conv_em_twin(*b, 1); }
static void conv_em_run_zero(const conv_em_block *b) { conv_em_twin(*b, 0); }

#endif

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
