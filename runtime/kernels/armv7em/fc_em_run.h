/* Four outputs at a time of one vector: what the int8 fully connected layers of Armv7E-M share. The layouts are drawn in
 * fc_s8.c. Blocks of weights follow one another, or have `more` bytes between them, where they are those of a wider variant.
 */
#ifndef MF_ARMV7EM_FC_EM_RUN_H
#define MF_ARMV7EM_FC_EM_RUN_H

#include "runtime/kernels/armv7em/fc_em.h"

#ifdef MF_DSP

#define FC_EM_STEP                  \
  "ldm r1!, {r8, r9, r10, r11}\n\t" \
  "sxtb16 lr, r12\n\t"              \
  "sxtb16 r12, r12, ror #8\n\t"     \
  "smlad r3, lr, r8, r3\n\t"        \
  "smlad r5, lr, r9, r5\n\t"        \
  "sxtb16 r8, r8\n\t"               \
  "sxtb16 r9, r9\n\t"               \
  "smlad r2, lr, r8, r2\n\t"        \
  "smlad r4, lr, r9, r4\n\t"        \
  "smlad r3, r12, r10, r3\n\t"      \
  "smlad r5, r12, r11, r5\n\t"      \
  "sxtb16 r10, r10\n\t"             \
  "sxtb16 r11, r11\n\t"             \
  "smlad r2, r12, r10, r2\n\t"      \
  "smlad r4, r12, r11, r4\n\t"

/* r0 inputs, r1 weights, r2 .. r5 sums, r6 end of the inputs, r7 out; on the stack: x, x4, w, q, out, blocks, rest,
 * last. */
/* clang-format off */
#define FC_EM_RUN(WORDS, NEXT, BYTES)  \
  __asm__ volatile(                    \
      "push {r4-r11, lr}\n\t"          \
      "ldm r0, " WORDS "\n\t"          \
      "push " WORDS "\n\t"             \
      "ldrd r6, r1, [sp, #4]\n\t"      \
      "ldr r7, [sp, #16]\n"            \
      "1:\n\t"                         \
      "ldr r12, [sp, #12]\n\t"         \
      "ldr r0, [sp]\n\t"               \
      "ldm r12!, {r2, r4}\n\t"         \
      "mov r3, r2\n\t"                 \
      "mov r5, r4\n\t"                 \
      "str r12, [sp, #12]\n\t"         \
      "sub r12, r6, r0\n\t"            \
      "tst r12, #4\n\t"                \
      "beq 3f\n\t"                     \
      "ldr r12, [r0], #4\n\t"          \
      FC_EM_STEP                       \
      "3:\n\t"                         \
      "cmp r0, r6\n\t"                 \
      "beq 4f\n"                       \
      "2:\n\t"                         \
      "ldr r12, [r0], #4\n\t"          \
      FC_EM_STEP                       \
      "ldr r12, [r0], #4\n\t"          \
      FC_EM_STEP                       \
      "cmp r0, r6\n\t"                 \
      "bne 2b\n"                       \
      "4:\n\t"                         \
      "ldrd r8, r12, [sp, #24]\n\t"    \
      "cmp r8, #0\n\t"                 \
      "beq 5f\n\t"                     \
      FC_EM_STEP                       \
      "5:\n\t"                         \
      "ldr r12, [sp, #12]\n\t"         \
      "ldm r12!, {r8, r9}\n\t"         \
      "sub r3, r3, r2\n\t"             \
      "sub r5, r5, r4\n\t"             \
      "add r3, r8, r3, asr #7\n\t"     \
      "add r5, r9, r5, asr #7\n\t"     \
      "lsl r2, r2, #1\n\t"             \
      "lsl r4, r4, #1\n\t"             \
      FC_EM_CODE("r2")                 \
      FC_EM_CODE("r3")                 \
      FC_EM_CODE("r4")                 \
      FC_EM_CODE("r5")                 \
      "str r12, [sp, #12]\n\t"         \
      NEXT "ldr r12, [sp, #20]\n\t"    \
      "subs r12, r12, #1\n\t"          \
      "str r12, [sp, #20]\n\t"         \
      "bne 1b\n\t"                     \
      "add sp, sp, " BYTES "\n\t"      \
      "pop {r4-r11, pc}\n\t")
#define FC_EM_SKIP "ldr r11, [sp, #32]\n\tadd r1, r1, r11\n\t"
/* clang-format on */

MF_ASM void fc_em_run(const fc_em_block *b MF_UNUSED) { FC_EM_RUN("{r1-r8}", "", "#32"); }
MF_ASM void fc_em_run_apart(const fc_em_block *b MF_UNUSED) { FC_EM_RUN("{r1-r9}", FC_EM_SKIP, "#36"); }

#else

/* Four inputs of a block: x even and odd, the words of each pair of outputs. */
static void fc_em_step(int32_t sum[2][2], uint32_t x, const int8_t *w) {
  int32_t pair;
  for (pair = 0; pair < 2; pair++) {
    const uint32_t even = mf_load4(w + 4 * pair), odd = mf_load4(w + 8 + 4 * pair);
    sum[pair][1] = mf_smlad(mf_even_bytes(x), even, sum[pair][1]);
    sum[pair][0] = mf_smlad(mf_even_bytes(x), mf_even_bytes(even), sum[pair][0]);
    sum[pair][1] = mf_smlad(mf_odd_bytes(x), odd, sum[pair][1]);
    sum[pair][0] = mf_smlad(mf_odd_bytes(x), mf_even_bytes(odd), sum[pair][0]);
  }
}

MF_INLINE void fc_em_twin(fc_em_block b, int32_t skip) {
  for (; b.blocks > 0; b.blocks--, b.q += 16, b.w += skip, b.out += 4) {
    int32_t sum[2][2] = {{b.q[0], b.q[0]}, {b.q[1], b.q[1]}}, pair;
    const int8_t *x;
    for (x = b.x; x < b.x4; x += 4, b.w += 16) fc_em_step(sum, mf_load4(x), b.w);
    if (b.rest) {
      fc_em_step(sum, b.last, b.w);
      b.w += 16;
    }
    for (pair = 0; pair < 2; pair++) {
      const int32_t other = (int32_t)((uint32_t)sum[pair][1] - (uint32_t)sum[pair][0]) >> 7;
      b.out[2 * pair] = mf_code((int32_t)((uint32_t)sum[pair][0] << 1), b.q + 4 + 6 * pair);
      b.out[2 * pair + 1] = mf_code(b.q[2 + pair] + other, b.q + 7 + 6 * pair);
    }
  }
}

static MF_UNUSED void fc_em_run(const fc_em_block *b) { fc_em_twin(*b, 0); }
static MF_UNUSED void fc_em_run_apart(const fc_em_block *b) { fc_em_twin(*b, (int32_t)b->more); }

#endif

#endif
