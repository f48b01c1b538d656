/* FullyConnected, int8, for Armv7-M (Cortex-M3): eight outputs at a time.
 *
 * Weights, packed, a block of eight outputs: [k0: o0 .. o7] [k1: o0 .. o7] ... Per block q holds eight biases with in_zero
 * folded in, then eight times { mult, round, shift } of mf_code_of. Same results as fc_s8__generic. A row is one input
 * vector.
 */
#include "runtime/kernels/window.h"

MF_KERNEL mf_kernel_fn fc_s8__armv7m;

typedef struct fc_v7m_block {
  const int8_t *x, *x4, *x1; /* the vector; the end of its groups of four; its end */
  const int8_t *w;
  const int32_t *q;
  int32_t *sum; /* [8] */
} fc_v7m_block;

#ifdef __thumb2__

#define FC_V7M_MAC(a, w)   \
  "ldrsb lr, [r1" w "\n\t" \
  "mla " a ", r11, lr, " a "\n\t"
#define FC_V7M_AT(x, w0, w1, w2, w3, w4, w5, w6, w7)                                               \
  "ldrsb r11, [r0, #" x "]\n\t" FC_V7M_MAC("r2", ", #" w0 "]") FC_V7M_MAC("r3", ", #" w1 "]")      \
      FC_V7M_MAC("r4", ", #" w2 "]") FC_V7M_MAC("r5", ", #" w3 "]") FC_V7M_MAC("r6", ", #" w4 "]") \
          FC_V7M_MAC("r7", ", #" w5 "]") FC_V7M_MAC("r8", ", #" w6 "]") FC_V7M_MAC("r9", ", #" w7 "]")

/* The sums of one block: r0 inputs, r1 weights, r2 .. r9 sums, r10 end, r12 the block. */
MF_ASM void fc_v7m_run(const fc_v7m_block *b MF_UNUSED) {
  __asm__ volatile(
      "push {r4-r11, lr}\n\t"
      "mov r12, r0\n\t"
      "ldr r0, [r12, #16]\n\t"
      "ldm r0, {r2-r9}\n\t"
      "ldr r1, [r12, #12]\n\t"
      "ldrd r0, r10, [r12]\n\t"
      "cmp r0, r10\n\t"
      "beq 3f\n"
      "2:\n\t"
      "ldrsb r11, [r0], #4\n\t" FC_V7M_MAC("r2", "], #32") FC_V7M_MAC("r3", ", #-31]")
          FC_V7M_MAC("r4", ", #-30]") FC_V7M_MAC("r5", ", #-29]") FC_V7M_MAC("r6", ", #-28]")
              FC_V7M_MAC("r7", ", #-27]") FC_V7M_MAC("r8", ", #-26]") FC_V7M_MAC("r9", ", #-25]")
                  FC_V7M_AT("-3", "-24", "-23", "-22", "-21", "-20", "-19", "-18", "-17")
                      FC_V7M_AT("-2", "-16", "-15", "-14", "-13", "-12", "-11", "-10", "-9")
                          FC_V7M_AT("-1", "-8", "-7", "-6", "-5", "-4", "-3", "-2",
                                    "-1") "cmp r0, r10\n\t"
                                          "bne 2b\n"
                                          "3:\n\t"
                                          "ldr r10, [r12, #8]\n"
                                          "4:\n\t"
                                          "cmp r0, r10\n\t"
                                          "beq 5f\n\t"
                                          "ldrsb r11, [r0], #1\n\t" FC_V7M_MAC("r2", "], #8")
                                              FC_V7M_MAC("r3", ", #-7]") FC_V7M_MAC("r4", ", #-6]")
                                                  FC_V7M_MAC("r5", ", #-5]") FC_V7M_MAC("r6", ", #-4]")
                                                      FC_V7M_MAC("r7", ", #-3]") FC_V7M_MAC("r8", ", #-2]")
                                                          FC_V7M_MAC("r9", ", #-1]") "b 4b\n"
                                                                                     "5:\n\t"
                                                                                     "ldr r0, [r12, #20]\n\t"
                                                                                     "stm r0, {r2-r9}\n\t"
                                                                                     "pop {r4-r11, pc}\n\t");
}

#else

static void fc_v7m_run(const fc_v7m_block *b) {
  const int8_t *x, *w = b->w;
  int32_t i;
  for (i = 0; i < 8; i++) b->sum[i] = b->q[i];
  for (x = b->x; x < b->x1; x++, w += 8)
    for (i = 0; i < 8; i++) b->sum[i] += *x * w[i];
}

#endif

MF_KERNEL void fc_s8__armv7m(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                             int32_t y1, void *scratch) {
  const mf_fc_s8 *p = (const mf_fc_s8 *)params;
  int32_t y, o, i, sum[8];
  (void)scratch;
  for (y = y0; y < y1; y++) {
    int8_t *to = (int8_t *)mf_row(out, y);
    fc_v7m_block b;
    b.x = (const int8_t *)mf_row(in, y);
    b.x4 = b.x + (p->k & ~3);
    b.x1 = b.x + p->k;
    b.w = p->w;
    b.q = p->bias;
    b.sum = sum;
    for (o = 0; o < p->n; o += 8, b.w += 8 * p->k, b.q += 32) {
      fc_v7m_run(&b);
      for (i = 0; i < 8 && o + i < p->n; i++)
        to[o + i] = (int8_t)mf_clamp(mf_code_of(sum[i], b.q + 8 + 3 * i), p->lo, p->hi);
    }
  }
}
