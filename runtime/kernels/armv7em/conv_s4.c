/* Conv, int8 with weights of 4 bits, one group, for Armv7E-M: as conv_s8, two output pixels by four channels at a time.
 *
 *   weights, packed, a block of four channels: a word for every two taps k, l
 *
 *   bit  31  28  24  20  16  12   8   4   0        u = w + 8
 *       | w3| u1| u2| u0| w3| u1| u2| u0|          lower half: tap k, upper half: tap l
 *
 * Masked with 0x0f0f0f0f a half is 256 * u1 + u0, with 0xf0f0f0f0 it is 4096 * w3 + 16 * u2, as an int16; one SMLAD with
 * each and one with its low byte (UXTB16) give all four sums: 14 instructions for 16 products, where int8 takes 12, and one
 * word of weights for two. The 8 that u is too large is taken off by 8 times the window's sum, before the first tap. pack makes
 * sure that sums fit: of channel 3 in 20 bits, of channel 1 in 24, of channel 2 with its bias in 28.
 *
 * in_zero is folded into the biases. Per block q holds: bias0, 16 * bias2, 2 * bias1, 2 * bias3, then for each of four
 * channels { mult, round, shift } of mf_code. Same results as conv_s4__generic. A row is a line of the image.
 */
#include "runtime/kernels/armv7em/conv_em.h"

MF_KERNEL mf_kernel_fn conv_s4__armv7em;

#ifdef MF_DSP

/* clang-format off */
#define CONV4_EM_STEP               \
  "ldrd r10, r11, [r0], #8\n\t"     \
  "ldr r12, [r1], #4\n\t"           \
  "and lr, r12, #0xf0f0f0f0\n\t"    \
  "and r12, r12, #0x0f0f0f0f\n\t"   \
  "smlad r5, r10, lr, r5\n\t"       \
  "smlad r9, r11, lr, r9\n\t"       \
  "smlad r3, r10, r12, r3\n\t"      \
  "smlad r7, r11, r12, r7\n\t"      \
  "uxtb16 lr, lr\n\t"               \
  "uxtb16 r12, r12\n\t"             \
  "smlad r4, r10, lr, r4\n\t"       \
  "smlad r8, r11, lr, r8\n\t"       \
  "smlad r2, r10, r12, r2\n\t"      \
  "smlad r6, r11, r12, r6\n\t"

/* On the stack, from sp: x, x4, x1, w, q, out0, out1, blocks, more. Sums of pixel 0: r2 (channel 0), r3 (256 * channel 1 +
 * channel 0), r4 (16 * channel 2), r5 (4096 * channel 3 + 16 * channel 2); of pixel 1: r6 .. r9. */
#define CONV4_EM_RUN(CODE)                             \
  __asm__ volatile(                                    \
      "push {r4-r11, lr}\n\t"                          \
      "ldm r0, {r1-r10}\n\t"                           \
      "push {r1-r10}\n"                                \
      "1:\n\t"                                         \
      "ldrd r1, r0, [sp, #12]\n\t"                     \
      "ldm r0!, {r2, r4}\n\t"                          \
      "str r0, [sp, #16]\n\t"                          \
      "ldrd r10, r11, [sp, #32]\n\t"                   \
      "ldrd r0, r12, [sp]\n\t"                         \
      "sub r6, r2, r11\n\t"                            \
      "sub r2, r2, r10\n\t"                            \
      "sub r7, r6, r11, lsl #8\n\t"                    \
      "sub r3, r2, r10, lsl #8\n\t"                    \
      "sub r8, r4, r11, lsl #4\n\t"                    \
      "sub r4, r4, r10, lsl #4\n\t"                    \
      "mov r9, r8\n\t"                                 \
      "mov r5, r4\n\t"                                 \
      "cmp r0, r12\n\t"                                \
      "beq 3f\n"                                       \
      "2:\n\t"                                         \
      CONV4_EM_STEP CONV4_EM_STEP CONV4_EM_STEP CONV4_EM_STEP \
      "ldr r12, [sp, #4]\n\t"                          \
      "cmp r0, r12\n\t"                                \
      "bne 2b\n"                                       \
      "3:\n\t"                                         \
      "ldr r12, [sp, #8]\n\t"                          \
      "cmp r0, r12\n\t"                                \
      "beq 4f\n\t"                                     \
      CONV4_EM_STEP                                    \
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
      "add r5, r11, r5, asr #11\n\t"                   \
      "add r9, r11, r9, asr #11\n\t"                   \
      "lsl r2, r2, #1\n\t"                             \
      "lsl r6, r6, #1\n\t"                             \
      "asr r4, r4, #3\n\t"                             \
      "asr r8, r8, #3\n\t"                             \
      CODE("r2", "r6") CODE("r3", "r7") CODE("r4", "r8") CODE("r5", "r9") \
      "strd r0, r1, [sp, #16]\n\t"                     \
      "ldrd r12, r11, [sp, #24]\n\t"                   \
      "subs r11, r11, #1\n\t"                          \
      "strd lr, r11, [sp, #24]\n\t"                    \
      "bne 1b\n\t"                                     \
      "add sp, sp, #40\n\t"                            \
      "pop {r4-r11, pc}\n\t")
/* clang-format on */

MF_ASM void conv4_em_run(const conv_em_block *b MF_UNUSED) { CONV4_EM_RUN(CONV_EM_CODE); }
MF_ASM void conv4_em_run_zero(const conv_em_block *b MF_UNUSED) { CONV4_EM_RUN(CONV_EM_CODE_ZERO); }

#else

/* Adds a tap's products to the four sums: half is its half of a word. */
MF_INLINE void conv4_em_tap(uint32_t sum[4], int32_t x, uint32_t half) {
  const int32_t u0 = (int32_t)(half & 15), u1 = (int32_t)(half >> 8 & 15), u2 = (int32_t)(half >> 4 & 15),
                w3 = (int32_t)((half >> 12 & 15) ^ 8) - 8;
  sum[0] += (uint32_t)(x * u0);
  sum[1] += (uint32_t)(x * (256 * u1 + u0));
  sum[2] += (uint32_t)(x * 16 * u2);
  sum[3] += (uint32_t)(x * (4096 * w3 + 16 * u2));
}

/* Twice the four channels' sums of pixel p, without channel 1's and 3's biases. */
static void conv4_em_sums(const conv_em_block *b, int32_t p, int32_t twice[4]) {
  const uint32_t off = b->more[p], first = (uint32_t)b->q[0] - off, third = (uint32_t)b->q[1] - (off << 4);
  const int8_t *w = b->w;
  const uint32_t *x;
  uint32_t sum[4];
  sum[0] = first;
  sum[1] = first - (off << 8);
  sum[2] = sum[3] = third;
  for (x = b->x + p; x < b->x1; x += 2, w += 4) {
    const uint32_t both = mf_load4(w);
    conv4_em_tap(sum, mf_low(*x), both & 0xffff);
    conv4_em_tap(sum, mf_high(*x), both >> 16);
  }
  twice[0] = (int32_t)(sum[0] << 1);
  twice[1] = (int32_t)(sum[1] - sum[0]) >> 7;
  twice[2] = (int32_t)sum[2] >> 3;
  twice[3] = (int32_t)(sum[3] - sum[2]) >> 11;
}

MF_INLINE void conv4_em_twin(conv_em_block b, int32_t sign) {
  int32_t i, p;
  for (; b.blocks > 0; b.blocks--, b.q += 16, b.w += (b.x1 - b.x) * 2, b.out0 += 4, b.out1 += 4)
    for (p = 1; p >= 0; p--) {
      int8_t *out = p ? b.out1 : b.out0;
      int32_t twice[4];
      conv4_em_sums(&b, p, twice);
      twice[1] += b.q[2];
      twice[3] += b.q[3];
      for (i = 0; i < 4; i++) out[i] = mf_code_signed(twice[i], b.q + 4 + 3 * i, sign);
    }
}

static void conv4_em_run(const conv_em_block *b) { conv4_em_twin(*b, 1); }
static void conv4_em_run_zero(const conv_em_block *b) { conv4_em_twin(*b, 0); }

#endif

/* 8 times the sum of each window. The halves are summed apart: as a dot product gcc 12 at -O3 adds up wrong words. */
static void conv4_em_add_up(conv_em_block *b) {
  const uint32_t *x;
  int32_t s = 0, t = 0;
  for (x = b->x; x < b->x1; x += 4) {
#ifdef MF_DSP
    s = mf_smlad(x[0], 0x00080008, s);
    t = mf_smlad(x[1], 0x00080008, t);
    s = mf_smlad(x[2], 0x00080008, s);
    t = mf_smlad(x[3], 0x00080008, t);
#else
    s += 8 * (mf_low(x[0]) + mf_high(x[0]) + mf_low(x[2]) + mf_high(x[2]));
    t += 8 * (mf_low(x[1]) + mf_high(x[1]) + mf_low(x[3]) + mf_high(x[3]));
#endif
  }
  b->more[0] = (uint32_t)s;
  b->more[1] = (uint32_t)t;
}

static void conv4_em_pixels(const mf_conv_s8 *p, conv_em_block *b) {
  conv4_em_add_up(b);
  conv_em_channels(p, b, (int32_t)(b->x1 - b->x) * 2,
                   p->out_zero <= p->lo ? conv4_em_run_zero : conv4_em_run);
}

MF_KERNEL void conv_s4__armv7em(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                int32_t y1, void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  conv_em_lines(p, in, out, y0, y1, (uint32_t *)scratch, conv_em_pairs(&p->g), conv_em_window,
                conv4_em_pixels);
}
