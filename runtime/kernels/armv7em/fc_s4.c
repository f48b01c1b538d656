/* FullyConnected, int8 with weights of 4 bits, for Armv7E-M: four outputs at a time, inputs widened on the way.
 *
 *   weights, packed, a block of four outputs, for four inputs: a word of k0 and k2, then one of k1 and k3
 *
 * A word is what conv_s4.c draws, and all four outputs' sums come from it as there; what pack makes sure of and what q holds
 * too. in_zero is folded into the biases. Same results as fc_s4__generic. A row is one input vector.
 */
#include "runtime/kernels/armv7em/fc_em.h"

MF_KERNEL mf_kernel_fn fc_s4__armv7em;

#ifdef MF_DSP

/* clang-format off */
#define FC4_EM_STEP                 \
  "ldm r1!, {r8, r10}\n\t"          \
  "sxtb16 lr, r12\n\t"              \
  "sxtb16 r12, r12, ror #8\n\t"     \
  "and r9, r8, #0xf0f0f0f0\n\t"     \
  "and r8, r8, #0x0f0f0f0f\n\t"     \
  "smlad r3, lr, r8, r3\n\t"        \
  "smlad r5, lr, r9, r5\n\t"        \
  "uxtb16 r8, r8\n\t"               \
  "uxtb16 r9, r9\n\t"               \
  "smlad r2, lr, r8, r2\n\t"        \
  "smlad r4, lr, r9, r4\n\t"        \
  "and r11, r10, #0xf0f0f0f0\n\t"   \
  "and r10, r10, #0x0f0f0f0f\n\t"   \
  "smlad r3, r12, r10, r3\n\t"      \
  "smlad r5, r12, r11, r5\n\t"      \
  "uxtb16 r10, r10\n\t"             \
  "uxtb16 r11, r11\n\t"             \
  "smlad r2, r12, r10, r2\n\t"      \
  "smlad r4, r12, r11, r4\n\t"

/* r0 inputs, r1 weights, r2 .. r5 sums, r6 end of the inputs, r7 out; on the stack: x, x4, w, q, out, blocks, rest, last,
 * more. */
MF_ASM void fc4_em_run(const fc_em_block *b MF_UNUSED) {
  __asm__ volatile("push {r4-r11, lr}\n\t"
                   "ldm r0, {r1-r9}\n\t"
                   "push {r1-r9}\n\t"
                   "ldrd r6, r1, [sp, #4]\n\t"
                   "ldr r7, [sp, #16]\n"
                   "1:\n\t"
                   "ldr r12, [sp, #12]\n\t"
                   "ldr r0, [sp]\n\t"
                   "ldr r8, [sp, #32]\n\t"
                   "ldm r12!, {r2, r4}\n\t"
                   "str r12, [sp, #12]\n\t"
                   "sub r2, r2, r8\n\t"
                   "sub r3, r2, r8, lsl #8\n\t"
                   "sub r4, r4, r8, lsl #4\n\t"
                   "mov r5, r4\n\t"
                   "sub r12, r6, r0\n\t"
                   "tst r12, #4\n\t"
                   "beq 3f\n\t"
                   "ldr r12, [r0], #4\n\t" FC4_EM_STEP "3:\n\t"
                   "cmp r0, r6\n\t"
                   "beq 4f\n"
                   "2:\n\t"
                   "ldr r12, [r0], #4\n\t" FC4_EM_STEP
                   "ldr r12, [r0], #4\n\t" FC4_EM_STEP
                   "cmp r0, r6\n\t"
                   "bne 2b\n"
                   "4:\n\t"
                   "ldrd r8, r12, [sp, #24]\n\t"
                   "cmp r8, #0\n\t"
                   "beq 5f\n\t" FC4_EM_STEP "5:\n\t"
                   "ldr r12, [sp, #12]\n\t"
                   "ldm r12!, {r8, r9}\n\t"
                   "sub r3, r3, r2\n\t"
                   "sub r5, r5, r4\n\t"
                   "add r3, r8, r3, asr #7\n\t"
                   "add r5, r9, r5, asr #11\n\t"
                   "lsl r2, r2, #1\n\t"
                   "asr r4, r4, #3\n\t"
                   FC_EM_CODE("r2") FC_EM_CODE("r3") FC_EM_CODE("r4") FC_EM_CODE("r5")
                   "str r12, [sp, #12]\n\t"
                   "ldr r12, [sp, #20]\n\t"
                   "subs r12, r12, #1\n\t"
                   "str r12, [sp, #20]\n\t"
                   "bne 1b\n\t"
                   "add sp, sp, #36\n\t"
                   "pop {r4-r11, pc}\n\t");
}
/* clang-format on */

#else

/* Four inputs of a block: sums of channels 0, 1 with 0, 2, 3 with 2. */
static void fc4_em_step(int32_t sum[4], uint32_t x, const int8_t *w) {
  int32_t i;
  for (i = 0; i < 2; i++) {
    const uint32_t two = i ? mf_odd_bytes(x) : mf_even_bytes(x), all = mf_load4(w + 4 * i),
                   low = all & 0x0f0f0f0f, high = all & 0xf0f0f0f0;
    sum[0] = mf_smlad(two, low & 0x00ff00ff, sum[0]);
    sum[1] = mf_smlad(two, low, sum[1]);
    sum[2] = mf_smlad(two, high & 0x00ff00ff, sum[2]);
    sum[3] = mf_smlad(two, high, sum[3]);
  }
}

static void fc4_em_run(const fc_em_block *block) {
  fc_em_block b = *block;
  for (; b.blocks > 0; b.blocks--, b.q += 16, b.out += 4) {
    const int32_t first = (int32_t)((uint32_t)b.q[0] - b.more),
                  third = (int32_t)((uint32_t)b.q[1] - (b.more << 4));
    int32_t sum[4], i;
    const int8_t *x;
    sum[0] = first;
    sum[1] = (int32_t)((uint32_t)first - (b.more << 8));
    sum[2] = sum[3] = third;
    for (x = b.x; x < b.x4; x += 4, b.w += 8) fc4_em_step(sum, mf_load4(x), b.w);
    if (b.rest) {
      fc4_em_step(sum, b.last, b.w);
      b.w += 8;
    }
    sum[1] = b.q[2] + ((int32_t)((uint32_t)sum[1] - (uint32_t)sum[0]) >> 7);
    sum[3] = b.q[3] + ((int32_t)((uint32_t)sum[3] - (uint32_t)sum[2]) >> 11);
    sum[0] = (int32_t)((uint32_t)sum[0] << 1);
    sum[2] >>= 3;
    for (i = 0; i < 4; i++) b.out[i] = mf_code(sum[i], b.q + 4 + 3 * i);
  }
}

#endif

/* 8 times the vector's sum. */
static uint32_t fc4_em_add_up(const fc_em_block *b) {
  const int8_t *x;
  int32_t s = 0;
  for (x = b->x; x < b->x4; x += 4) {
    const uint32_t v = mf_load4(x);
    s = mf_smlad(mf_odd_bytes(v), 0x00080008, mf_smlad(mf_even_bytes(v), 0x00080008, s));
  }
  return (uint32_t)mf_smlad(mf_odd_bytes(b->last), 0x00080008,
                            mf_smlad(mf_even_bytes(b->last), 0x00080008, s));
}

/* One vector. */
static void fc4_em_vector(const mf_fc_s8 *p, const int8_t *x, int8_t *y) {
  fc_em_block b = fc_em_begin(p, x);
  b.more = fc4_em_add_up(&b);
  fc_em_outputs(p, b, ((p->k + 3) >> 2) * 8, fc4_em_run, y);
}

MF_KERNEL void fc_s4__armv7em(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                              int32_t y1, void *scratch) {
  int32_t y;
  (void)scratch;
  for (y = y0; y < y1; y++)
    fc4_em_vector((const mf_fc_s8 *)params, (const int8_t *)mf_row(in, y), (int8_t *)mf_row(out, y));
}
