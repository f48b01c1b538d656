/* FullyConnected, int8, for Armv7-M (Cortex-M3): eight outputs at a time, two by one long multiply-accumulate.
 *
 *   a word of weights, bytes [o0 + 128, o3, o2 + 128, o1]:   v & 0xff0000ff          = (o0 + 128) + 2^24 * o1
 *                                                            v >> 16 & 0xff0000ff    = (o2 + 128) + 2^24 * o3   (rotated)
 *   64-bit sums, begun at -128 * sum x:                      sum x * o0 + 2^24 * sum x * o1
 *
 * The lower sum is the low 24 bits with their sign, as pack proves of the weights; what is left, divided by 2^24, is the
 * upper one. An input so takes eleven instructions for eight outputs where fc_s8.c takes 17.
 *
 * Weights, packed, a block of eight outputs: [k0: o0 o3 o2 o1][k0: o4 o7 o6 o5] [k1: ..] ... Per output q holds
 * { 2 * bias, mult, round, shift } of mf_code_of, with in_zero folded in. Same results as fc_s8__generic. A row is one
 * input vector.
 */
#include "runtime/kernels/window.h"

MF_KERNEL mf_kernel_fn fc_s8__armv7m_long;

typedef struct fc_v7l_block {
  const int8_t *x, *x4, *x1; /* the vector; the end of its groups of four; its end */
  const int8_t *w;
  const int32_t *q;
  int8_t *out;
  int32_t blocks; /* of eight outputs, at least 1 */
  int32_t begin;  /* -128 * sum x */
} fc_v7l_block;

#ifdef __thumb2__

/* clang-format off */
#define FC_V7L_WORD(lo0, hi0, lo1, hi1)             \
  "ldr r11, [r1], #4\n\t"                           \
  "and r12, r11, lr\n\t"                            \
  "smlal " lo0 ", " hi0 ", r10, r12\n\t"            \
  "and r11, lr, r11, ror #16\n\t"                   \
  "smlal " lo1 ", " hi1 ", r10, r11\n\t"
#define FC_V7L_STEP           \
  "ldrsb r10, [r0], #1\n\t"   \
  FC_V7L_WORD("r2", "r3", "r4", "r5") FC_V7L_WORD("r6", "r7", "r8", "r9")
/* Twice a sum in a, to its code; t is free. */
#define FC_V7L_CODE(a, t)              \
  "add " t ", r12, " a ", asr #31\n\t" \
  "mov r10, #0x80000000\n\t"           \
  "smlal r10, " t ", " a ", r11\n\t"   \
  "asr " a ", " t ", lr\n\t"           \
  "ssat " a ", #8, " a "\n\t"
#define FC_V7L_CODES(a, b)             \
  "ldm r0!, {r10, r11, r12, lr}\n\t"   \
  "lsrs r1, " a ", #24\n\t"            \
  "orr r1, r1, " b ", lsl #8\n\t"      \
  "adc r1, r1, #0\n\t"                 \
  "lsl " a ", " a ", #8\n\t"           \
  "add " a ", r10, " a ", asr #7\n\t"  \
  FC_V7L_CODE(a, b)                    \
  "ldm r0!, {r10, r11, r12, lr}\n\t"   \
  "add " b ", r10, r1, lsl #1\n\t"     \
  FC_V7L_CODE(b, "r1")

/* r0 inputs, r1 weights, sums r2:r3 .. r8:r9, lr mask; on the stack: x, x4, x1, w, q, out, blocks, begin. */
MF_ASM void fc_v7l_run(const fc_v7l_block *b MF_UNUSED) {
  __asm__ volatile(
      "push {r4-r11, lr}\n\t"
      "ldm r0, {r1-r8}\n\t"
      "push {r1-r8}\n"
      "1:\n\t"
      "ldrd r0, r12, [sp]\n\t"
      "ldr r1, [sp, #12]\n\t"
      "ldr r2, [sp, #28]\n\t"
      "movw lr, #0x00ff\n\t"
      "movt lr, #0xff00\n\t"
      "asr r3, r2, #31\n\t"
      "mov r4, r2\n\t"
      "mov r5, r3\n\t"
      "mov r6, r2\n\t"
      "mov r7, r3\n\t"
      "mov r8, r2\n\t"
      "mov r9, r3\n\t"
      "cmp r0, r12\n\t"
      "beq 3f\n"
      "2:\n\t"
      FC_V7L_STEP FC_V7L_STEP FC_V7L_STEP FC_V7L_STEP
      "ldr r12, [sp, #4]\n\t"
      "cmp r0, r12\n\t"
      "bne 2b\n"
      "3:\n\t"
      "ldr r12, [sp, #8]\n\t"
      "cmp r0, r12\n\t"
      "beq 4f\n\t"
      FC_V7L_STEP
      "b 3b\n"
      "4:\n\t"
      "str r1, [sp, #12]\n\t"
      "ldr r0, [sp, #16]\n\t"
      FC_V7L_CODES("r2", "r3")
      FC_V7L_CODES("r4", "r5")
      FC_V7L_CODES("r6", "r7")
      FC_V7L_CODES("r8", "r9")
      "ldr r1, [sp, #20]\n\t"
      "str r0, [sp, #16]\n\t"
      "strb r2, [r1], #8\n\t"
      "strb r3, [r1, #-7]\n\t"
      "strb r4, [r1, #-6]\n\t"
      "strb r5, [r1, #-5]\n\t"
      "strb r6, [r1, #-4]\n\t"
      "strb r7, [r1, #-3]\n\t"
      "strb r8, [r1, #-2]\n\t"
      "strb r9, [r1, #-1]\n\t"
      "ldr r0, [sp, #24]\n\t"
      "subs r0, r0, #1\n\t"
      "strd r1, r0, [sp, #20]\n\t"
      "bne 1b\n\t"
      "add sp, sp, #32\n\t"
      "pop {r4-r11, pc}\n\t");
}
/* clang-format on */

#else

/* The codes of a pair of outputs. */
static void fc_v7l_codes(int64_t sum, const int32_t *q, int8_t *out) {
  const int32_t low = (int32_t)((uint32_t)sum << 8) >> 8;
  out[0] = mf_code_of(low + q[0] / 2, q + 1);
  out[1] = mf_code_of((int32_t)((sum - low) >> 24) + q[4] / 2, q + 5);
}

static void fc_v7l_run(const fc_v7l_block *block) {
  fc_v7l_block b = *block;
  for (; b.blocks > 0; b.blocks--, b.q += 32, b.out += 8) {
    int64_t sum[4] = {b.begin, b.begin, b.begin, b.begin};
    const int8_t *x;
    int32_t i;
    for (x = b.x; x < b.x1; x++, b.w += 8)
      for (i = 0; i < 2; i++) {
        const int8_t *w = b.w + 4 * i;
        sum[2 * i] += *x * ((int64_t)(uint8_t)w[0] + (int64_t)w[3] * (1 << 24));
        sum[2 * i + 1] += *x * ((int64_t)(uint8_t)w[2] + (int64_t)w[1] * (1 << 24));
      }
    for (i = 0; i < 4; i++) fc_v7l_codes(sum[i], b.q + 8 * i, b.out + 2 * i);
  }
}

#endif

/* One vector. */
static void fc_v7l_vector(const mf_fc_s8 *p, const int8_t *x, int8_t *y) {
  const int32_t rest = p->n & 7;
  int32_t i, sum = 0;
  fc_v7l_block b;
  for (i = 0; i < p->k; i++) sum += x[i];
  b.x = x;
  b.x4 = x + (p->k & ~3);
  b.x1 = x + p->k;
  b.w = p->w;
  b.q = p->bias;
  b.out = y;
  b.blocks = p->n >> 3;
  b.begin = -128 * sum;
  if (b.blocks) fc_v7l_run(&b);
  if (rest) {
    int8_t last[8];
    b.w += (p->n >> 3) * 8 * p->k;
    b.q += (p->n >> 3) * 32;
    b.out = last;
    b.blocks = 1;
    fc_v7l_run(&b);
    for (i = 0; i < rest; i++) y[p->n - rest + i] = last[i];
  }
  mf_limit(y, p->n, p->lo, p->hi);
}

MF_KERNEL void fc_s8__armv7m_long(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                  int32_t y1, void *scratch) {
  int32_t y;
  (void)scratch;
  for (y = y0; y < y1; y++)
    fc_v7l_vector((const mf_fc_s8 *)params, (const int8_t *)mf_row(in, y), (int8_t *)mf_row(out, y));
}
