/* Conv, int8, one group, for Helium (Armv8.1-M with MVE: Cortex-M55, M85): two output pixels by four channels, sixteen
 * inputs at a time.
 *
 *   each pixel's window is a run of bytes, gathered in scratch unless it is one in the image already
 *   weights, packed, a block of four channels:   [c0: k0 .. k15] [c1: ..] [c2: ..] [c3: ..] [c0: k16 .. k31] ...
 *
 * filled up with zeros; the last inputs are loaded under a predicate, so that nothing past a window is read. in_zero is
 * folded into the biases, padding counts as in_zero. Per block q holds four each of biases, multipliers, rounding terms
 * (mf_code_of) and negative shifts. Same results as conv_s8__generic. A row is a line of the image.
 */
#include "runtime/kernels/window.h"

MF_KERNEL mf_kernel_fn conv_s8__mve;

typedef struct conv_mve_block {
  const int8_t *x0, *x1; /* windows */
  const int8_t *w;
  const int32_t *q;
  int8_t *out0, *out1;
  int32_t blocks, vectors, rest; /* of four channels, at least 1; of sixteen inputs; inputs behind them */
  int32_t lo, hi;
} conv_mve_block;

#ifdef __ARM_FEATURE_MVE

#define CONV_MVE_MACS           \
  "vldrb.u8 q2, [r5], #16\n\t"  \
  "vldrb.u8 q3, [r5], #16\n\t"  \
  "vmladava.s8 r0, q0, q2\n\t"  \
  "vmladava.s8 r8, q1, q2\n\t"  \
  "vldrb.u8 q2, [r5], #16\n\t"  \
  "vmladava.s8 r2, q0, q3\n\t"  \
  "vmladava.s8 r10, q1, q3\n\t" \
  "vldrb.u8 q3, [r5], #16\n\t"  \
  "vmladava.s8 r4, q0, q2\n\t"  \
  "vmladava.s8 r12, q1, q2\n\t" \
  "vmladava.s8 r6, q0, q3\n\t"  \
  "vmladava.s8 lr, q1, q3\n\t"

/* Sums of pixel 0: r0 r2 r4 r6, of pixel 1: r8 r10 r12 lr; r1, r3 windows, r5 weights, r9 q; on the stack: the block. */
MF_ASM void conv_mve_run(const conv_mve_block *b MF_UNUSED) {
  __asm__ volatile("push {r4-r11, lr}\n\t"
                   "vpush {d8-d11}\n\t"
                   "ldm r0, {r1-r11}\n\t"
                   "push {r1-r11}\n"
                   "1:\n\t"
                   "ldrd r1, r3, [sp]\n\t"
                   "ldrd r5, r9, [sp, #8]\n\t"
                   "ldrd r0, r2, [r9]\n\t"
                   "ldrd r4, r6, [r9, #8]\n\t"
                   "mov r8, r0\n\t"
                   "mov r10, r2\n\t"
                   "mov r12, r4\n\t"
                   "mov lr, r6\n\t"
                   "ldrd r7, r11, [sp, #28]\n\t"
                   "cbz r7, 3f\n"
                   "2:\n\t"
                   "vldrb.u8 q0, [r1], #16\n\t"
                   "vldrb.u8 q1, [r3], #16\n\t" CONV_MVE_MACS "subs r7, r7, #1\n\t"
                   "bne 2b\n"
                   "3:\n\t"
                   "cmp r11, #0\n\t"
                   "beq 4f\n\t"
                   "vctp.8 r11\n\t"
                   "vpstt\n\t"
                   "vldrbt.u8 q0, [r1]\n\t"
                   "vldrbt.u8 q1, [r3]\n\t" CONV_MVE_MACS "4:\n\t"
                   "vmov q0[2], q0[0], r0, r4\n\t"
                   "vmov q0[3], q0[1], r2, r6\n\t"
                   "vmov q4[2], q4[0], r8, r12\n\t"
                   "vmov q4[3], q4[1], r10, lr\n\t"
                   "vldrw.u32 q1, [r9, #16]\n\t"
                   "vldrw.u32 q2, [r9, #32]\n\t"
                   "vldrw.u32 q3, [r9, #48]\n\t"
                   "add r9, r9, #64\n\t"
                   "strd r5, r9, [sp, #8]\n\t"
                   "vqrdmulh.s32 q0, q0, q1\n\t"
                   "vqrdmulh.s32 q4, q4, q1\n\t"
                   "vshr.s32 q1, q0, #31\n\t"
                   "vshr.s32 q5, q4, #31\n\t"
                   "vadd.i32 q0, q0, q1\n\t"
                   "vadd.i32 q4, q4, q5\n\t"
                   "vadd.i32 q0, q0, q2\n\t"
                   "vadd.i32 q4, q4, q2\n\t"
                   "vshl.s32 q0, q0, q3\n\t"
                   "vshl.s32 q4, q4, q3\n\t"
                   "ldrd r0, r2, [sp, #36]\n\t"
                   "vdup.32 q1, r0\n\t"
                   "vdup.32 q2, r2\n\t"
                   "vmax.s32 q0, q0, q1\n\t"
                   "vmax.s32 q4, q4, q1\n\t"
                   "vmin.s32 q0, q0, q2\n\t"
                   "vmin.s32 q4, q4, q2\n\t"
                   "ldrd r1, r3, [sp, #16]\n\t"
                   "vstrb.32 q4, [r3], #4\n\t"
                   "vstrb.32 q0, [r1], #4\n\t"
                   "strd r1, r3, [sp, #16]\n\t"
                   "ldr r0, [sp, #24]\n\t"
                   "subs r0, r0, #1\n\t"
                   "str r0, [sp, #24]\n\t"
                   "bne 1b\n\t"
                   "add sp, sp, #44\n\t"
                   "vpop {d8-d11}\n\t"
                   "pop {r4-r11, pc}\n\t");
}

#else

/* q: a block's four values each. */
static int8_t conv_mve_code(int32_t x, const int32_t *q, const conv_mve_block *b) {
  const int32_t high = mf_mul_high(x, q[4]);
  return (int8_t)mf_clamp((high + (high >> 31) + q[8]) >> -q[12], b->lo, b->hi);
}

static void conv_mve_run(const conv_mve_block *block) {
  conv_mve_block b = *block;
  const int32_t n = b.vectors * 16 + b.rest;
  int32_t i, k;
  for (; b.blocks > 0; b.blocks--, b.q += 16, b.w += (n + 15) / 16 * 64, b.out0 += 4, b.out1 += 4)
    for (i = 0; i < 4; i++) {
      int32_t sum0 = b.q[i], sum1 = b.q[i];
      for (k = 0; k < n; k++) {
        const int32_t w = b.w[k / 16 * 64 + i * 16 + k % 16];
        sum0 += b.x0[k] * w;
        sum1 += b.x1[k] * w;
      }
      b.out1[i] = conv_mve_code(sum1, b.q + i, &b);
      b.out0[i] = conv_mve_code(sum0, b.q + i, &b);
    }
}

#endif

/* All channels of two pixels. One pixel: x1 is x0, out1 is out0. */
static void conv_mve_pixels(const mf_conv_s8 *p, conv_mve_block b) {
  const int32_t n = p->g.out_c, rest = n & 3;
  int8_t *const out0 = b.out0, *const out1 = b.out1;
  b.blocks = n >> 2;
  if (b.blocks) conv_mve_run(&b);
  if (rest) {
    int8_t last[8];
    int32_t i;
    b.w += (n >> 2) * (b.vectors + (b.rest > 0)) * 64;
    b.q += (n >> 2) * 16;
    b.out0 = last;
    b.out1 = last + 4;
    b.blocks = 1;
    conv_mve_run(&b);
    for (i = 0; i < rest; i++) {
      out1[n - rest + i] = last[4 + i];
      out0[n - rest + i] = last[i];
    }
  }
}

MF_KERNEL void conv_s8__mve(const void *params, const mf_view *in, const mf_view *out, int32_t y0, int32_t y1,
                            void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  const mf_window *g = &p->g;
  const int32_t taps = g->k_h * g->k_w * g->in_c;
  int8_t *const room = (int8_t *)scratch;
  conv_mve_block b;
  int32_t y, x, held = 0; /* held: pixels that wait for their second */
  b.x0 = b.x1 = NULL;
  b.out0 = b.out1 = NULL;
  b.w = p->w;
  b.q = p->bias;
  b.vectors = taps >> 4;
  b.rest = taps & 15;
  b.lo = p->lo;
  b.hi = p->hi;
  for (y = y0; y < y1; y++) {
    int8_t *line = (int8_t *)mf_row(out, y);
    for (x = 0; x < g->out_w; x++, line += g->out_c) {
      b.x1 = mf_window_bytes(g, in, p->in_zero, y * g->stride_h - g->pad_top, x * g->stride_w - g->pad_left,
                             room + held * taps);
      b.out1 = line;
      if (!held) {
        b.x0 = b.x1;
        b.out0 = line;
      }
      held ^= 1;
      if (!held) conv_mve_pixels(p, b);
    }
  }
  if (held) conv_mve_pixels(p, b);
}
