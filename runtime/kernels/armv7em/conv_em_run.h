/* Two pixels by four channels from windows in scratch: what the int8 convolutions of Armv7E-M share. The layouts are drawn
 * in conv_s8.c. Blocks of weights follow one another, or have more[0] bytes between them, where they are those of a wider
 * variant.
 */
#ifndef MF_ARMV7EM_CONV_EM_RUN_H
#define MF_ARMV7EM_CONV_EM_RUN_H

#include "runtime/kernels/armv7em/conv_em.h"

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
#define CONV_EM_RUN(CODE, WORDS, NEXT, BYTES)          \
  __asm__ volatile(                                    \
      "push {r4-r11, lr}\n\t"                          \
      "ldm r0, " WORDS "\n\t"                          \
      "push " WORDS "\n"                               \
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
      NEXT "str r1, [sp, #12]\n\t"                     \
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
      "add sp, sp, " BYTES "\n\t"                      \
      "pop {r4-r11, pc}\n\t")
#define CONV_EM_SKIP "ldr r12, [sp, #32]\n\tadd r1, r1, r12\n\t"
/* clang-format on */

MF_ASM void conv_em_run(const conv_em_block *b MF_UNUSED) { CONV_EM_RUN(CONV_EM_CODE, "{r1-r8}", "", "#32"); }
MF_ASM void conv_em_run_zero(const conv_em_block *b MF_UNUSED) {
  CONV_EM_RUN(CONV_EM_CODE_ZERO, "{r1-r8}", "", "#32");
}
MF_ASM void conv_em_run_apart(const conv_em_block *b MF_UNUSED) {
  CONV_EM_RUN(CONV_EM_CODE, "{r1-r9}", CONV_EM_SKIP, "#36");
}
MF_ASM void conv_em_run_apart_zero(const conv_em_block *b MF_UNUSED) {
  CONV_EM_RUN(CONV_EM_CODE_ZERO, "{r1-r9}", CONV_EM_SKIP, "#36");
}

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

MF_INLINE void conv_em_twin(conv_em_block b, int32_t skip, int32_t sign) {
  int32_t pair, p;
  for (; b.blocks > 0; b.blocks--, b.q += 16, b.w += (b.x1 - b.x) * 4 + skip, b.out0 += 4, b.out1 += 4)
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

static MF_UNUSED void conv_em_run(const conv_em_block *b) { conv_em_twin(*b, 0, 1); }
static MF_UNUSED void conv_em_run_zero(const conv_em_block *b) { conv_em_twin(*b, 0, 0); }
static MF_UNUSED void conv_em_run_apart(const conv_em_block *b) { conv_em_twin(*b, (int32_t)b->more[0], 1); }
static MF_UNUSED void conv_em_run_apart_zero(const conv_em_block *b) {
  conv_em_twin(*b, (int32_t)b->more[0], 0);
}

#endif

#endif
