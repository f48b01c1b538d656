/* DepthwiseConv, int8, one output channel for each input channel, for Helium: sixteen channels of a pixel, then eight.
 *
 * The taps of a pixel are a list of addresses; those outside the image point at a line of in_zero. While a window touches
 * no border, one list serves the pixels of a line: an offset moves on. Two taps' products add up in 16 bits (no weight is
 * -128), then widen to the sums.
 *
 * Weights, packed, a block of sixteen or, last, of eight channels: [tap 0: c0 ..] [tap 1: c0 ..] ... Per block q holds, of
 * sixteen channels, biases with in_zero folded in, then for each four { multipliers, rounding terms (mf_code_of), negative
 * shifts }, in the order 0 4 8 12, 2 6 10 14, 1 5 9 13, 3 7 11 15 in which products widen; of eight channels, for the even
 * and then for the odd ones, biases, then multipliers, rounding terms and negative shifts likewise. Where the lowest code
 * stands for 0, halves of negative sums may go either way. Same results as depthwise_s8__generic. A row is a line of the
 * image.
 */
#include "runtime/kernels/window.h"

MF_KERNEL mf_kernel_fn depthwise_s8__mve;

typedef struct depthwise_mve_block {
  const int8_t *const *tap;
  const int8_t *w;
  const int32_t *q;
  int8_t *out;
  int32_t offset, taps, blocks; /* offset: from the taps' addresses; blocks: of sixteen channels */
} depthwise_mve_block;

#ifdef __ARM_FEATURE_MVE

/* clang-format off */
/* Products in q6 (even channels) and q4 (odd ones) to the sums q0 .. q3. */
#define DEPTHWISE_MVE_WIDEN         \
  "vmovlb.s16 q5, q6\n\t"           \
  "vmovlt.s16 q6, q6\n\t"           \
  "vadd.i32 q0, q0, q5\n\t"         \
  "vmovlb.s16 q5, q4\n\t"           \
  "vadd.i32 q1, q1, q6\n\t"         \
  "vmovlt.s16 q4, q4\n\t"           \
  "vadd.i32 q2, q2, q5\n\t"         \
  "vadd.i32 q3, q3, q4\n\t"
#define DEPTHWISE_MVE_SIGN(q) "vshr.s32 q7, " q ", #31\n\t"
#define DEPTHWISE_MVE_SIGNED(q) "vadd.i32 " q ", " q ", q7\n\t"
#define DEPTHWISE_MVE_NONE(q)
#define DEPTHWISE_MVE_CODES16(q, SIGN, SIGNED)   \
  "vldrw.u32 q4, [r2], #16\n\t"                  \
  "vldrw.u32 q5, [r2], #16\n\t"                  \
  SIGN(q) "vqrdmulh.s32 " q ", " q ", q4\n\t"    \
  SIGNED(q) "vldrw.u32 q6, [r2], #16\n\t"        \
  "vadd.i32 " q ", " q ", q5\n\t"                \
  "vshl.s32 " q ", " q ", q6\n\t"

/* r0 taps, r1 weights, r2 q, r3 out, r4 offset, r5 number of taps, r8 blocks, r11 list. */
#define DEPTHWISE_MVE_RUN16(SIGN, SIGNED)      \
  __asm__ volatile(                            \
      "push {r4-r11, lr}\n\t"                  \
      "vpush {d8-d15}\n\t"                     \
      "ldm r0, {r0, r1, r2, r3, r4, r5, r8}\n\t" \
      "mov r11, r0\n"                          \
      "1:\n\t"                                 \
      "mov r0, r11\n\t"                        \
      "vldrw.u32 q0, [r2], #16\n\t"            \
      "vldrw.u32 q1, [r2], #16\n\t"            \
      "vldrw.u32 q2, [r2], #16\n\t"            \
      "vldrw.u32 q3, [r2], #16\n\t"            \
      "lsr r12, r5, #1\n\t"                    \
      "wls lr, r12, 3f\n"                      \
      "2:\n\t"                                 \
      "ldrd r6, r7, [r0], #8\n\t"              \
      "vldrb.u8 q5, [r1], #16\n\t"             \
      "add r6, r6, r4\n\t"                     \
      "add r7, r7, r4\n\t"                     \
      "vldrb.u8 q4, [r6]\n\t"                  \
      "vmullb.s8 q6, q4, q5\n\t"               \
      "vldrb.u8 q7, [r1], #16\n\t"             \
      "vmullt.s8 q4, q4, q5\n\t"               \
      "vldrb.u8 q5, [r7]\n\t"                  \
      "vmullb.s8 q5, q5, q7\n\t"               \
      "vadd.i16 q6, q6, q5\n\t"                \
      "vldrb.u8 q5, [r7]\n\t"                  \
      "vmullt.s8 q5, q5, q7\n\t"               \
      "vadd.i16 q4, q4, q5\n\t"                \
      DEPTHWISE_MVE_WIDEN                      \
      "le lr, 2b\n"                            \
      "3:\n\t"                                 \
      "tst r5, #1\n\t"                         \
      "beq 4f\n\t"                             \
      "ldr r6, [r0]\n\t"                       \
      "vldrb.u8 q5, [r1], #16\n\t"             \
      "add r6, r6, r4\n\t"                     \
      "vldrb.u8 q4, [r6]\n\t"                  \
      "vmullb.s8 q6, q4, q5\n\t"               \
      "vmullt.s8 q4, q4, q5\n\t"               \
      DEPTHWISE_MVE_WIDEN                      \
      "4:\n\t"                                 \
      DEPTHWISE_MVE_CODES16("q0", SIGN, SIGNED) \
      DEPTHWISE_MVE_CODES16("q1", SIGN, SIGNED) \
      DEPTHWISE_MVE_CODES16("q2", SIGN, SIGNED) \
      DEPTHWISE_MVE_CODES16("q3", SIGN, SIGNED) \
      "vqmovnb.s32 q0, q0\n\t"                 \
      "vqmovnb.s32 q2, q2\n\t"                 \
      "vqmovnt.s32 q0, q1\n\t"                 \
      "vqmovnt.s32 q2, q3\n\t"                 \
      "vqmovnb.s16 q0, q0\n\t"                 \
      "vqmovnt.s16 q0, q2\n\t"                 \
      "add r4, r4, #16\n\t"                    \
      "subs r8, r8, #1\n\t"                    \
      "vstrb.8 q0, [r3], #16\n\t"              \
      "bne 1b\n\t"                             \
      "vpop {d8-d15}\n\t"                      \
      "pop {r4-r11, pc}\n\t")

#define DEPTHWISE_MVE_CODES(q, at)       \
  "vldrw.u32 q2, [r2, #" at "]\n\t"      \
  "vldrw.u32 q3, [r2, #" at " + 32]\n\t" \
  "vldrw.u32 q4, [r2, #" at " + 64]\n\t" \
  "vqrdmulh.s32 " q ", " q ", q2\n\t"    \
  "vshr.s32 q5, " q ", #31\n\t"          \
  "vadd.i32 " q ", " q ", q5\n\t"        \
  "vadd.i32 " q ", " q ", q3\n\t"        \
  "vshl.s32 " q ", " q ", q4\n\t"

/* Eight channels: r0 taps, r1 weights, r2 q, r3 out, r4 offset, r5 number of taps; q0, q1 sums. */
MF_ASM void depthwise_mve_run8(const depthwise_mve_block *b MF_UNUSED) {
  __asm__ volatile(
      "push {r4-r7, lr}\n\t"
      "vpush {d8-d11}\n\t"
      "ldm r0, {r0, r1, r2, r3, r4, r5}\n\t"
      "vldrw.u32 q0, [r2]\n\t"
      "vldrw.u32 q1, [r2, #16]\n\t"
      "lsr r12, r5, #1\n\t"
      "wls lr, r12, 3f\n"
      "2:\n\t"
      "ldrd r6, r7, [r0], #8\n\t"
      "add r6, r6, r4\n\t"
      "add r7, r7, r4\n\t"
      "vldrb.s16 q2, [r6]\n\t"
      "vldrb.s16 q3, [r1], #8\n\t"
      "vldrb.s16 q4, [r7]\n\t"
      "vldrb.s16 q5, [r1], #8\n\t"
      "vmul.i16 q2, q2, q3\n\t"
      "vmul.i16 q4, q4, q5\n\t"
      "vadd.i16 q2, q2, q4\n\t"
      "vmovlb.s16 q3, q2\n\t"
      "vmovlt.s16 q2, q2\n\t"
      "vadd.i32 q0, q0, q3\n\t"
      "vadd.i32 q1, q1, q2\n\t"
      "le lr, 2b\n"
      "3:\n\t"
      "tst r5, #1\n\t"
      "beq 4f\n\t"
      "ldr r6, [r0]\n\t"
      "add r6, r6, r4\n\t"
      "vldrb.s16 q2, [r6]\n\t"
      "vldrb.s16 q3, [r1], #8\n\t"
      "vmul.i16 q2, q2, q3\n\t"
      "vmovlb.s16 q3, q2\n\t"
      "vmovlt.s16 q2, q2\n\t"
      "vadd.i32 q0, q0, q3\n\t"
      "vadd.i32 q1, q1, q2\n"
      "4:\n\t"
      DEPTHWISE_MVE_CODES("q0", "32")
      DEPTHWISE_MVE_CODES("q1", "48")
      "vqmovnb.s32 q0, q0\n\t"
      "vqmovnt.s32 q0, q1\n\t"
      "vqmovnb.s16 q0, q0\n\t"
      "vstrb.16 q0, [r3]\n\t"
      "vpop {d8-d11}\n\t"
      "pop {r4-r7, pc}\n\t");
}
/* clang-format on */

MF_ASM void depthwise_mve_run16(const depthwise_mve_block *b MF_UNUSED) {
  DEPTHWISE_MVE_RUN16(DEPTHWISE_MVE_SIGN, DEPTHWISE_MVE_SIGNED);
}
MF_ASM void depthwise_mve_run16_zero(const depthwise_mve_block *b MF_UNUSED) {
  DEPTHWISE_MVE_RUN16(DEPTHWISE_MVE_NONE, DEPTHWISE_MVE_NONE);
}

#else

/* Channel i: q of its bias and, `apart` words on each, of its multiplier, rounding term and shift. */
static void depthwise_mve_channel(const depthwise_mve_block *b, int32_t i, int32_t channels,
                                  const int32_t *bias, const int32_t *scales, int32_t apart, int32_t sign) {
  int32_t sum = *bias, high, t;
  for (t = 0; t < b->taps; t++) sum += b->tap[t][b->offset + i] * b->w[channels * t + i];
  high = mf_mul_high(sum, scales[0]);
  b->out[i] =
      (int8_t)mf_clamp((high + (sign ? sum >> 31 : 0) + scales[apart]) >> -scales[2 * apart], -128, 127);
}

static void depthwise_mve_twin16(depthwise_mve_block b, int32_t sign) {
  static const int32_t first[4] = {0, 2, 1, 3};
  for (; b.blocks > 0; b.blocks--, b.offset += 16, b.q += 64, b.out += 16, b.w += 16 * b.taps) {
    int32_t v, i;
    for (v = 0; v < 4; v++)
      for (i = 0; i < 4; i++)
        depthwise_mve_channel(&b, first[v] + 4 * i, 16, b.q + 4 * v + i, b.q + 16 + 12 * v + i, 4, sign);
  }
}

static void depthwise_mve_run16(const depthwise_mve_block *b) { depthwise_mve_twin16(*b, 1); }
static void depthwise_mve_run16_zero(const depthwise_mve_block *b) { depthwise_mve_twin16(*b, 0); }

static void depthwise_mve_run8(const depthwise_mve_block *b) {
  int32_t i;
  for (i = 0; i < 8; i++) {
    const int32_t *q = b->q + i / 2 + i % 2 * 4;
    depthwise_mve_channel(b, i, 8, q, q + 8, 8, 1);
  }
}

#endif

/* All channels of a pixel. */
static void depthwise_mve_pixel(const mf_conv_s8 *p, depthwise_mve_block b) {
  if (b.blocks) (p->out_zero <= p->lo ? depthwise_mve_run16_zero : depthwise_mve_run16)(&b);
  if (p->g.out_c & 8) {
    b.w += b.blocks * 16 * b.taps;
    b.q += b.blocks * 64;
    b.out += b.blocks * 16;
    b.offset += b.blocks * 16;
    depthwise_mve_run8(&b);
  }
}

/* A line of output; in scratch: addresses of taps, lines, zero points. */
static void depthwise_mve_line(const mf_conv_s8 *p, const mf_view *in, const int8_t **tap, int8_t *line,
                               int32_t top) {
  const mf_window *g = &p->g;
  const int32_t taps = g->k_h * g->k_w;
  const int8_t **const lines = tap + taps, *const zeros = (const int8_t *)(lines + g->k_h);
  const int32_t rows_inside = top >= 0 && top + (g->k_h - 1) * g->dil_h < g->in_h;
  const int32_t span = (g->k_w - 1) * g->dil_w;
  int32_t x, moving = 0; /* moving: the addresses serve for this pixel too */
  depthwise_mve_block b;
  b.tap = tap;
  b.w = p->w;
  b.q = p->bias;
  b.offset = 0;
  b.taps = taps;
  b.blocks = g->out_c >> 4;
  mf_window_lines(g, in, top, lines);
  for (x = 0; x < g->out_w; x++, line += g->out_c) {
    const int32_t left = x * g->stride_w - g->pad_left;
    const int32_t inside = rows_inside && left >= 0 && left + span < g->in_w;
    if (inside && moving) {
      b.offset += g->stride_w * g->in_c;
    } else {
      mf_line_taps(g, lines, zeros, left, tap);
      b.offset = 0;
      moving = inside;
    }
    b.out = line;
    depthwise_mve_pixel(p, b);
  }
}

MF_KERNEL void depthwise_s8__mve(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                 int32_t y1, void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  const int8_t **const tap = (const int8_t **)scratch;
  int32_t y;
  mf_fill_bytes((int8_t *)(tap + p->g.k_h * p->g.k_w + p->g.k_h), p->in_zero, p->g.in_c);
  for (y = y0; y < y1; y++) {
    int8_t *const line = (int8_t *)mf_row(out, y);
    depthwise_mve_line(p, in, tap, line, y * p->g.stride_h - p->g.pad_top);
    mf_limit(line, p->g.out_w * p->g.out_c, p->lo, p->hi);
  }
}
