/* Conv, int8, one group, for Helium (Armv8.1-M with MVE: Cortex-M55, M85): two output pixels by four channels, or one by
 * eight, sixteen inputs at a time.
 *
 *   each pixel's window is a run of bytes: a window of several lines in scratch, by columns, where those of neighbours
 *   overlap (mf_columns_pixels); of one line where it lies in the image, gathered in scratch at its borders
 *   weights, packed, a block of four channels:   [c0: k0 .. k15] [c1: ..] [c2: ..] [c3: ..] [c0: k16 .. k31] ...
 *
 * in the windows' order, filled up with zeros; the last inputs are loaded under a predicate, so that nothing past a window
 * is read. in_zero is folded into the biases, padding counts as in_zero. Per block q holds four each of biases,
 * multipliers, rounding terms (mf_code_of) and negative shifts. Where the lowest code stands for 0, halves of negative sums
 * may go either way. Same results as conv_s8__generic. A row is a line of the image.
 */
#include "runtime/kernels/window.h"

MF_KERNEL mf_kernel_fn conv_s8__mve;

typedef struct conv_mve_block {
  const int8_t *x0, *x1; /* windows */
  const int8_t *w;
  const int32_t *q;
  int8_t *out0, *out1, *end0; /* end0: where out0 ends */
  int32_t vectors, rest;      /* of sixteen inputs; inputs behind them */
  int32_t lo, hi;
} conv_mve_block;

#ifdef __ARM_FEATURE_MVE

/* clang-format off */
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
#define CONV_MVE_STEP            \
  "vldrb.u8 q0, [r1], #16\n\t"   \
  "vldrb.u8 q1, [r3], #16\n\t"   \
  CONV_MVE_MACS
#define CONV_MVE_MACS1           \
  "vldrb.u8 q1, [r5], #16\n\t"   \
  "vldrb.u8 q2, [r5], #16\n\t"   \
  "vmladava.s8 r0, q0, q1\n\t"   \
  "vldrb.u8 q3, [r5], #16\n\t"   \
  "vmladava.s8 r2, q0, q2\n\t"   \
  "vldrb.u8 q1, [r5], #16\n\t"   \
  "vmladava.s8 r4, q0, q3\n\t"   \
  "vldrb.u8 q2, [r3], #16\n\t"   \
  "vmladava.s8 r6, q0, q1\n\t"   \
  "vldrb.u8 q3, [r3], #16\n\t"   \
  "vmladava.s8 r8, q0, q2\n\t"   \
  "vldrb.u8 q1, [r3], #16\n\t"   \
  "vmladava.s8 r10, q0, q3\n\t"  \
  "vldrb.u8 q2, [r3], #16\n\t"   \
  "vmladava.s8 r12, q0, q1\n\t"  \
  "vmladava.s8 lr, q0, q2\n\t"
/* The sums as vectors q0 and q4. */
#define CONV_MVE_SUMS                 \
  "vmov q0[2], q0[0], r0, r4\n\t"     \
  "vmov q0[3], q0[1], r2, r6\n\t"     \
  "vmov q4[2], q4[0], r8, r12\n\t"    \
  "vmov q4[3], q4[1], r10, lr\n\t"
/* Sums in v to codes; scales at r9 + at, q5 free. */
#define CONV_MVE_SIGN(v) \
  "vshr.s32 q5, " v ", #31\n\t"
#define CONV_MVE_SIGNED(v) \
  "vadd.i32 " v ", " v ", q5\n\t"
#define CONV_MVE_NONE(v)
#define CONV_MVE_CODES(v, SIGN, SIGNED)           \
  SIGN(v) "vqrdmulh.s32 " v ", " v ", q1\n\t"     \
  SIGNED(v) "vadd.i32 " v ", " v ", q2\n\t"       \
  "vshl.s32 " v ", " v ", q3\n\t"                 \
  "vmax.s32 " v ", " v ", q6\n\t"                 \
  "vmin.s32 " v ", " v ", q7\n\t"
#define CONV_MVE_SCALES(at)                 \
  "vldrw.u32 q1, [r9, #" at " + 16]\n\t"    \
  "vldrw.u32 q2, [r9, #" at " + 32]\n\t"    \
  "vldrw.u32 q3, [r9, #" at " + 48]\n\t"
/* r1, r3 windows, r5 weights, r7 vectors, r9 q, r11 rest, q6 lo, q7 hi; on the stack: x0, x1, out0, out1, end0, vectors. */
#define CONV_MVE_ENTER             \
  "push {r4-r11, lr}\n\t"          \
  "vpush {d8-d15}\n\t"             \
  "ldm r0, {r1-r11}\n\t"           \
  "push {r1, r2, r5-r8}\n\t"       \
  "vdup.32 q6, r10\n\t"            \
  "vdup.32 q7, r11\n\t"            \
  "mov r11, r9\n\t"                \
  "mov r9, r4\n\t"                 \
  "mov r5, r3\n"
#define CONV_MVE_LEAVE             \
  "add sp, sp, #24\n\t"            \
  "vpop {d8-d15}\n\t"              \
  "pop {r4-r11, pc}\n\t"

/* Two pixels. Sums of pixel 0: r0 r2 r4 r6, of pixel 1: r8 r10 r12 lr. */
#define CONV_MVE_RUN(SIGN, SIGNED)         \
  __asm__ volatile(                        \
      CONV_MVE_ENTER                       \
      "1:\n\t"                             \
      "ldrd r1, r3, [sp]\n\t"              \
      "ldrd r0, r2, [r9]\n\t"              \
      "ldrd r4, r6, [r9, #8]\n\t"          \
      "ldr r7, [sp, #20]\n\t"              \
      "mov r8, r0\n\t"                     \
      "mov r10, r2\n\t"                    \
      "mov r12, r4\n\t"                    \
      "mov lr, r6\n\t"                     \
      "lsrs r7, r7, #1\n\t"                \
      "bcc 2f\n\t"                         \
      CONV_MVE_STEP                        \
      "2:\n\t"                             \
      "cbz r7, 4f\n"                       \
      "3:\n\t"                             \
      CONV_MVE_STEP CONV_MVE_STEP          \
      "subs r7, r7, #1\n\t"                \
      "bne 3b\n"                           \
      "4:\n\t"                             \
      "cmp r11, #0\n\t"                    \
      "beq 5f\n\t"                         \
      "vctp.8 r11\n\t"                     \
      "vpstt\n\t"                          \
      "vldrbt.u8 q0, [r1]\n\t"             \
      "vldrbt.u8 q1, [r3]\n\t"             \
      CONV_MVE_MACS                        \
      "5:\n\t"                             \
      CONV_MVE_SUMS                        \
      CONV_MVE_SCALES("0")                 \
      "add r9, r9, #64\n\t"                \
      CONV_MVE_CODES("q0", SIGN, SIGNED)   \
      CONV_MVE_CODES("q4", SIGN, SIGNED)   \
      "ldrd r1, r3, [sp, #8]\n\t"          \
      "ldr r0, [sp, #16]\n\t"              \
      "vstrb.32 q4, [r3], #4\n\t"          \
      "vstrb.32 q0, [r1], #4\n\t"          \
      "strd r1, r3, [sp, #8]\n\t"          \
      "cmp r1, r0\n\t"                     \
      "bne 1b\n\t"                         \
      CONV_MVE_LEAVE)

/* One pixel, two blocks of channels at a time: r5 and r3 weights; out1 holds the bytes of a block's weights. */
#define CONV_MVE_RUN1(SIGN, SIGNED)        \
  __asm__ volatile(                        \
      CONV_MVE_ENTER                       \
      "1:\n\t"                             \
      "ldr r3, [sp, #12]\n\t"              \
      "ldr r1, [sp]\n\t"                   \
      "add r3, r3, r5\n\t"                 \
      "ldrd r0, r2, [r9]\n\t"              \
      "ldrd r4, r6, [r9, #8]\n\t"          \
      "ldrd r8, r10, [r9, #64]\n\t"        \
      "ldrd r12, lr, [r9, #72]\n\t"        \
      "ldr r7, [sp, #20]\n\t"              \
      "cbz r7, 4f\n"                       \
      "3:\n\t"                             \
      "vldrb.u8 q0, [r1], #16\n\t"         \
      CONV_MVE_MACS1                       \
      "subs r7, r7, #1\n\t"                \
      "bne 3b\n"                           \
      "4:\n\t"                             \
      "cmp r11, #0\n\t"                    \
      "beq 5f\n\t"                         \
      "vctp.8 r11\n\t"                     \
      "vpst\n\t"                           \
      "vldrbt.u8 q0, [r1]\n\t"             \
      CONV_MVE_MACS1                       \
      "5:\n\t"                             \
      "mov r5, r3\n\t"                     \
      CONV_MVE_SUMS                        \
      CONV_MVE_SCALES("0")                 \
      CONV_MVE_CODES("q0", SIGN, SIGNED)   \
      CONV_MVE_SCALES("64")                \
      CONV_MVE_CODES("q4", SIGN, SIGNED)   \
      "add r9, r9, #128\n\t"               \
      "ldr r1, [sp, #8]\n\t"               \
      "ldr r0, [sp, #16]\n\t"              \
      "vstrb.32 q0, [r1], #4\n\t"          \
      "vstrb.32 q4, [r1], #4\n\t"          \
      "str r1, [sp, #8]\n\t"               \
      "cmp r1, r0\n\t"                     \
      "bne 1b\n\t"                         \
      CONV_MVE_LEAVE)
/* clang-format on */

MF_ASM void conv_mve_run(const conv_mve_block *b MF_UNUSED) { CONV_MVE_RUN(CONV_MVE_SIGN, CONV_MVE_SIGNED); }
MF_ASM void conv_mve_run_zero(const conv_mve_block *b MF_UNUSED) {
  CONV_MVE_RUN(CONV_MVE_NONE, CONV_MVE_NONE);
}
MF_ASM void conv_mve_run1_any(const conv_mve_block *b MF_UNUSED) {
  CONV_MVE_RUN1(CONV_MVE_SIGN, CONV_MVE_SIGNED);
}
MF_ASM void conv_mve_run1_zero(const conv_mve_block *b MF_UNUSED) {
  CONV_MVE_RUN1(CONV_MVE_NONE, CONV_MVE_NONE);
}

static void conv_mve_run1(conv_mve_block b, int32_t step, int32_t zero) {
  b.out1 = (int8_t *)step;
  if (zero)
    conv_mve_run1_zero(&b);
  else
    conv_mve_run1_any(&b);
}

#else

/* q: a block's four values each. */
static int8_t conv_mve_code(int32_t x, const int32_t *q, const conv_mve_block *b, int32_t sign) {
  const int32_t high = mf_mul_high(x, q[4]);
  return (int8_t)mf_clamp((high + (sign ? x >> 31 : 0) + q[8]) >> -q[12], b->lo, b->hi);
}

/* One pixel, or two. */
static void conv_mve_twin(conv_mve_block b, int32_t sign, int32_t one) {
  const int32_t n = b.vectors * 16 + b.rest;
  int32_t i, k;
  for (; b.out0 < b.end0; b.q += 16, b.w += (n + 15) / 16 * 64, b.out0 += 4, b.out1 += 4)
    for (i = 0; i < 4; i++) {
      int32_t sum0 = b.q[i], sum1 = b.q[i];
      for (k = 0; k < n; k++) {
        const int32_t w = b.w[k / 16 * 64 + i * 16 + k % 16];
        sum0 += b.x0[k] * w;
        sum1 += b.x1[k] * w;
      }
      if (!one) b.out1[i] = conv_mve_code(sum1, b.q + i, &b, sign);
      b.out0[i] = conv_mve_code(sum0, b.q + i, &b, sign);
    }
}

static void conv_mve_run(const conv_mve_block *b) { conv_mve_twin(*b, 1, 0); }
static void conv_mve_run_zero(const conv_mve_block *b) { conv_mve_twin(*b, 0, 0); }
static void conv_mve_run1(conv_mve_block b, int32_t step, int32_t zero) {
  (void)step;
  conv_mve_twin(b, !zero, 1);
}

#endif

/* Channels from `done` on of two pixels. */
static void conv_mve_pixels(const mf_conv_s8 *p, conv_mve_block b, int32_t done) {
  const int32_t n = p->g.out_c - done, rest = n & 3, zero = p->out_zero <= p->lo;
  const int32_t step = (b.vectors + (b.rest > 0)) * 64; /* of a block's weights */
  b.w += (done >> 2) * step;
  b.q += (done >> 2) * 16;
  b.out0 += done;
  b.out1 += done;
  b.end0 = b.out0 + (n & ~3);
  if (n >> 2) (zero ? conv_mve_run_zero : conv_mve_run)(&b);
  if (rest) {
    int8_t last[8], *const out0 = b.end0, *const out1 = b.out1 + (n & ~3);
    int32_t i;
    b.w += (n >> 2) * step;
    b.q += (n >> 2) * 16;
    b.out0 = last;
    b.out1 = b.end0 = last + 4;
    (zero ? conv_mve_run_zero : conv_mve_run)(&b);
    for (i = 0; i < rest; i++) {
      out1[i] = last[4 + i];
      out0[i] = last[i];
    }
  }
}

/* All channels of the pixel at x0 and out0: two blocks of channels at a time, what is left as if it were two pixels. */
static void conv_mve_pixel(const mf_conv_s8 *p, conv_mve_block b) {
  const int32_t done = p->g.out_c & ~7;
  b.x1 = b.x0;
  b.out1 = b.out0;
  b.end0 = b.out0 + done;
  if (done) conv_mve_run1(b, (b.vectors + (b.rest > 0)) * 64, p->out_zero <= p->lo);
  if (done < p->g.out_c) conv_mve_pixels(p, b, done);
}

/* -- windows where they lie, or gathered -- */

static void conv_mve_windows(const mf_conv_s8 *p, const mf_view *in, const mf_view *out, int32_t y0,
                             int32_t y1, int8_t *room, conv_mve_block b) {
  const mf_window *g = &p->g;
  const int32_t taps = g->k_h * g->k_w * g->in_c;
  int32_t y, x, held = 0; /* held: pixels that wait for their second */
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
      if (!held) conv_mve_pixels(p, b, 0);
    }
  }
  if (held) conv_mve_pixel(p, b);
}

/* -- windows by columns -- */

MF_INLINE void conv_mve_copy(int8_t *to, const int8_t *from, int32_t n) {
  int32_t i;
  if (n % 16 == 0) {
    for (i = 0; i < n; i += 16) __builtin_memcpy(to + i, from + i, 16);
  } else if (n < 8) {
    for (i = 0; i < n; i++) to[i] = from[i];
  } else {
    mf_copy_bytes(to, from, n);
  }
}

/* n columns of the lines from `top` on, from column `left` on. */
static void conv_mve_columns(const mf_conv_s8 *p, const mf_view *in, int8_t *to, int32_t top, int32_t left,
                             int32_t n) {
  const mf_window *g = &p->g;
  const int32_t c = g->in_c, step = g->k_h * c;
  const int32_t begin = left < 0 ? -left : 0; /* the first column inside; end: behind the last */
  const int32_t end = left + n > g->in_w ? g->in_w - left : n;
  int32_t ky, i;
  for (ky = 0; ky < g->k_h; ky++, to += c) {
    const int32_t iy = top + ky * g->dil_h, inside = iy >= 0 && iy < g->in_h;
    const int8_t *from = inside ? (const int8_t *)mf_row(in, iy) + (left + begin) * c : NULL;
    int8_t *at = to;
    for (i = 0; i < n && (!inside || i < begin); i++, at += step) mf_fill_bytes(at, p->in_zero, c);
    for (; i < end; i++, at += step, from += c) conv_mve_copy(at, from, c);
    for (; i < n; i++, at += step) mf_fill_bytes(at, p->in_zero, c);
  }
}

static void conv_mve_line(const mf_conv_s8 *p, const mf_view *in, int8_t *line, int32_t top, int8_t *room,
                          conv_mve_block b) {
  const mf_window *g = &p->g;
  const int32_t most = mf_columns_pixels(g), step = g->stride_w * g->k_h * g->in_c;
  int32_t x, i;
  b.out0 = line;
  for (x = 0; x < g->out_w; x += most) {
    const int32_t n = g->out_w - x < most ? g->out_w - x : most;
    conv_mve_columns(p, in, room, top, x * g->stride_w - g->pad_left, (n - 1) * g->stride_w + g->k_w);
    b.x0 = room;
    for (i = 0; i + 2 <= n; i += 2, b.x0 += 2 * step, b.out0 += 2 * g->out_c) {
      b.x1 = b.x0 + step;
      b.out1 = b.out0 + g->out_c;
      conv_mve_pixels(p, b, 0);
    }
    if (i < n) conv_mve_pixel(p, b);
  }
}

MF_KERNEL void conv_s8__mve(const void *params, const mf_view *in, const mf_view *out, int32_t y0, int32_t y1,
                            void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  const int32_t taps = p->g.k_h * p->g.k_w * p->g.in_c;
  int32_t y;
  conv_mve_block b;
  b.x0 = b.x1 = NULL;
  b.out0 = b.out1 = b.end0 = NULL;
  b.w = p->w;
  b.q = p->bias;
  b.vectors = taps >> 4;
  b.rest = taps & 15;
  b.lo = p->lo;
  b.hi = p->hi;
  if (!mf_by_columns(&p->g)) {
    conv_mve_windows(p, in, out, y0, y1, (int8_t *)scratch, b);
    return;
  }
  for (y = y0; y < y1; y++)
    conv_mve_line(p, in, (int8_t *)mf_row(out, y), y * p->g.stride_h - p->g.pad_top, (int8_t *)scratch, b);
}
