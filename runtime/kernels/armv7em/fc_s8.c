/* FullyConnected, int8, for Armv7E-M: four outputs at a time, inputs widened on the way.
 *
 *   weights, packed, a block of four outputs, for four inputs:
 *   [o0+o1 k0 k2][o2+o3 k0 k2][o0+o1 k1 k3][o2+o3 k1 k3]
 *
 * A half of a word is 256 * w[o1] + w[o0]; see conv_s8.c for how both sums come from it, and for what q holds. in_zero is
 * folded into the biases. Same results as fc_s8__generic. A row is one input vector.
 */
#include "runtime/kernels/armv7em/dsp.h"

MF_KERNEL mf_kernel_fn fc_s8__armv7em;

typedef struct fc_em_block {
  const int8_t *x, *x4; /* the vector; the end of its groups of four */
  const int8_t *w;
  const int32_t *q;
  int8_t *out;
  int32_t blocks; /* of four outputs, at least 1 */
  int32_t rest;   /* whether inputs are left behind x4 */
  uint32_t last;  /* these */
} fc_em_block;

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
#define FC_EM_CODE(a)               \
  "ldm r12!, {r8, r9, r10}\n\t"     \
  "add r9, r9, " a ", asr #31\n\t"  \
  "smmlar " a ", " a ", r8, r9\n\t" \
  "asr " a ", " a ", r10\n\t"       \
  "ssat " a ", #8, " a "\n\t"       \
  "strb " a ", [r7], #1\n\t"

/* r0 inputs, r1 weights, r2 .. r5 sums, r6 end of the inputs, r7 out; on the stack: x, x4, w, q, out, blocks, rest,
 * last. */
MF_ASM void fc_em_run(const fc_em_block *b MF_UNUSED) {
  __asm__ volatile("push {r4-r11, lr}\n\t"
                   "ldm r0, {r1-r8}\n\t"
                   "push {r1-r8}\n\t"
                   "ldrd r6, r1, [sp, #4]\n\t"
                   "ldr r7, [sp, #16]\n"
                   "1:\n\t"
                   "ldr r12, [sp, #12]\n\t"
                   "ldr r0, [sp]\n\t"
                   "ldm r12!, {r2, r4}\n\t"
                   "mov r3, r2\n\t"
                   "mov r5, r4\n\t"
                   "str r12, [sp, #12]\n\t"
                   "sub r12, r6, r0\n\t"
                   "tst r12, #4\n\t"
                   "beq 3f\n\t"
                   "ldr r12, [r0], #4\n\t" FC_EM_STEP "3:\n\t"
                   "cmp r0, r6\n\t"
                   "beq 4f\n"
                   "2:\n\t"
                   "ldr r12, [r0], #4\n\t" FC_EM_STEP "ldr r12, [r0], #4\n\t" FC_EM_STEP "cmp r0, r6\n\t"
                   "bne 2b\n"
                   "4:\n\t"
                   "ldrd r8, r12, [sp, #24]\n\t"
                   "cmp r8, #0\n\t"
                   "beq 5f\n\t" FC_EM_STEP "5:\n\t"
                   "ldr r12, [sp, #12]\n\t"
                   "ldm r12!, {r8, r9}\n\t"
                   "sub r3, r3, r2\n\t"
                   "sub r5, r5, r4\n\t"
                   "add r3, r8, r3, asr #7\n\t"
                   "add r5, r9, r5, asr #7\n\t"
                   "lsl r2, r2, #1\n\t"
                   "lsl r4, r4, #1\n\t" FC_EM_CODE("r2") FC_EM_CODE("r3") FC_EM_CODE("r4")
                       FC_EM_CODE("r5") "str r12, [sp, #12]\n\t"
                                        "ldr r12, [sp, #20]\n\t"
                                        "subs r12, r12, #1\n\t"
                                        "str r12, [sp, #20]\n\t"
                                        "bne 1b\n\t"
                                        "add sp, sp, #32\n\t"
                                        "pop {r4-r11, pc}\n\t");
}

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

static void fc_em_run(const fc_em_block *block) {
  fc_em_block b = *block;
  for (; b.blocks > 0; b.blocks--, b.q += 16, b.out += 4) {
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

#endif

/* One vector. */
static void fc_em_vector(const mf_fc_s8 *p, const int8_t *x, int8_t *y) {
  const int32_t rest = p->n & 3;
  int8_t last[4];
  int32_t i;
  fc_em_block b;
  b.x = x;
  b.x4 = x + (p->k & ~3);
  b.w = p->w;
  b.q = p->bias;
  b.out = y;
  b.blocks = p->n >> 2;
  b.rest = p->k & 3;
  b.last = 0;
  for (i = 0; i < b.rest; i++) b.last |= (uint32_t)(uint8_t)b.x4[i] << (8 * i);
  if (b.blocks) fc_em_run(&b);
  if (rest) {
    b.w += (p->n >> 2) * ((p->k + 3) >> 2) * 16;
    b.q += (p->n >> 2) * 16;
    b.out = last;
    b.blocks = 1;
    fc_em_run(&b);
    for (i = 0; i < rest; i++) y[p->n - rest + i] = last[i];
  }
  if (p->lo > -128 || p->hi < 127)
    for (i = 0; i < p->n; i++) y[i] = (int8_t)mf_clamp(y[i], p->lo, p->hi);
}

MF_KERNEL void fc_s8__armv7em(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                              int32_t y1, void *scratch) {
  int32_t y;
  (void)scratch;
  for (y = y0; y < y1; y++)
    fc_em_vector((const mf_fc_s8 *)params, (const int8_t *)mf_row(in, y), (int8_t *)mf_row(out, y));
}
