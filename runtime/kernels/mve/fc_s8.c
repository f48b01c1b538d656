/* FullyConnected, int8, for Helium: eight outputs, sixteen inputs at a time.
 *
 * Weights, packed, a block of eight outputs: [o0: k0 .. k15] .. [o7: k0 .. k15] [o0: k16 .. k31] ..., filled up with zeros.
 * Per block q holds eight each of biases with in_zero folded in, multipliers, rounding terms (mf_code_of) and negative
 * shifts. Same results as fc_s8__generic. A row is one input vector.
 */
#include "runtime/kernels/window.h"

MF_KERNEL mf_kernel_fn fc_s8__mve;

typedef struct fc_mve_block {
  const int8_t *x, *w;
  const int32_t *q;
  int32_t vectors, rest; /* of sixteen inputs; inputs behind them */
  int32_t lo, hi;
  int32_t *out; /* [8] codes */
} fc_mve_block;

#ifdef __ARM_FEATURE_MVE

#define FC_MVE_MACS             \
  "vldrb.u8 q1, [r5], #16\n\t"  \
  "vldrb.u8 q2, [r5], #16\n\t"  \
  "vmladava.s8 r0, q0, q1\n\t"  \
  "vldrb.u8 q3, [r5], #16\n\t"  \
  "vmladava.s8 r2, q0, q2\n\t"  \
  "vldrb.u8 q1, [r5], #16\n\t"  \
  "vmladava.s8 r4, q0, q3\n\t"  \
  "vldrb.u8 q2, [r5], #16\n\t"  \
  "vmladava.s8 r6, q0, q1\n\t"  \
  "vldrb.u8 q3, [r5], #16\n\t"  \
  "vmladava.s8 r8, q0, q2\n\t"  \
  "vldrb.u8 q1, [r5], #16\n\t"  \
  "vmladava.s8 r10, q0, q3\n\t" \
  "vldrb.u8 q2, [r5], #16\n\t"  \
  "vmladava.s8 r12, q0, q1\n\t" \
  "vmladava.s8 lr, q0, q2\n\t"
#define FC_MVE_CODES(at)                 \
  "vldrw.u32 q1, [r9, #" at "]\n\t"      \
  "vldrw.u32 q2, [r9, #" at " + 32]\n\t" \
  "vldrw.u32 q3, [r9, #" at " + 64]\n\t" \
  "vqrdmulh.s32 q0, q0, q1\n\t"          \
  "vshr.s32 q1, q0, #31\n\t"             \
  "vadd.i32 q0, q0, q1\n\t"              \
  "vadd.i32 q0, q0, q2\n\t"              \
  "vshl.s32 q0, q0, q3\n\t"              \
  "vdup.32 q1, r0\n\t"                   \
  "vdup.32 q2, r2\n\t"                   \
  "vmax.s32 q0, q0, q1\n\t"              \
  "vmin.s32 q0, q0, q2\n\t"

/* One block: sums r0 r2 r4 r6 r8 r10 r12 lr; r1 inputs, r5 weights, r7 vectors, r9 q, r11 rest; on the stack: the
 * block's address. */
MF_ASM void fc_mve_run(const fc_mve_block *b MF_UNUSED) {
  __asm__ volatile("push {r0, r4-r11, lr}\n\t"
                   "ldrd r1, r5, [r0]\n\t"
                   "ldrd r9, r7, [r0, #8]\n\t"
                   "ldr r11, [r0, #16]\n\t"
                   "ldrd r0, r2, [r9]\n\t"
                   "ldrd r4, r6, [r9, #8]\n\t"
                   "ldrd r8, r10, [r9, #16]\n\t"
                   "ldrd r12, lr, [r9, #24]\n\t"
                   "cbz r7, 3f\n"
                   "2:\n\t"
                   "vldrb.u8 q0, [r1], #16\n\t" FC_MVE_MACS "subs r7, r7, #1\n\t"
                   "bne 2b\n"
                   "3:\n\t"
                   "cmp r11, #0\n\t"
                   "beq 4f\n\t"
                   "vctp.8 r11\n\t"
                   "vpst\n\t"
                   "vldrbt.u8 q0, [r1]\n\t" FC_MVE_MACS "4:\n\t"
                   "vmov q0[2], q0[0], r0, r4\n\t"
                   "vmov q0[3], q0[1], r2, r6\n\t"
                   "ldr r1, [sp]\n\t"
                   "ldrd r0, r2, [r1, #20]\n\t"
                   "ldr r1, [r1, #28]\n\t" FC_MVE_CODES("32") "vstrw.32 q0, [r1]\n\t"
                                                              "vmov q0[2], q0[0], r8, r12\n\t"
                                                              "vmov q0[3], q0[1], r10, lr\n\t" FC_MVE_CODES(
                                                                  "48") "vstrw.32 q0, [r1, #16]\n\t"
                                                                        "pop {r0, r4-r11, pc}\n\t");
}

#else

static void fc_mve_run(const fc_mve_block *b) {
  const int32_t n = b->vectors * 16 + b->rest;
  int32_t i, k;
  for (i = 0; i < 8; i++) {
    int32_t sum = b->q[i], high;
    for (k = 0; k < n; k++) sum += b->x[k] * b->w[k / 16 * 128 + i * 16 + k % 16];
    high = mf_mul_high(sum, b->q[8 + i]);
    b->out[i] = mf_clamp((high + (high >> 31) + b->q[16 + i]) >> -b->q[24 + i], b->lo, b->hi);
  }
}

#endif

MF_KERNEL void fc_s8__mve(const void *params, const mf_view *in, const mf_view *out, int32_t y0, int32_t y1,
                          void *scratch) {
  const mf_fc_s8 *p = (const mf_fc_s8 *)params;
  int32_t y, o, i, code[8];
  (void)scratch;
  for (y = y0; y < y1; y++) {
    int8_t *to = (int8_t *)mf_row(out, y);
    fc_mve_block b;
    b.x = (const int8_t *)mf_row(in, y);
    b.w = p->w;
    b.q = p->bias;
    b.vectors = p->k >> 4;
    b.rest = p->k & 15;
    b.lo = p->lo;
    b.hi = p->hi;
    b.out = code;
    for (o = 0; o < p->n; o += 8, b.w += (p->k + 15) / 16 * 128, b.q += 32) {
      fc_mve_run(&b);
      for (i = 0; i < 8 && o + i < p->n; i++) to[o + i] = (int8_t)code[i];
    }
  }
}
