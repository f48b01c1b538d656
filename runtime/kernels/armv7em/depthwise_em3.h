/* Lines of four channels of a 3x3 depthwise convolution: what those of Armv7E-M share.
 *
 *   a column of a window, three inputs a b c of four channels, six words in scratch:
 *       [c0 c2] [a3 b3] [c1 c3] [a2 b2] [a1 b1] [a0 b0]
 *
 * A column is widened once for the pixels that see it (three, where the stride is 1), and a pixel then takes twelve
 * instructions a column: four load, four SMLAD take two taps of a channel, four SMLABB and SMLATT the third. Positions
 * outside the image are columns of in_zero, or rows that are one word of it.
 *
 * A block of four channels has 18 words of weights, in columns as above, and 16 of scales: four biases, four times
 * { mult, round, shift }. They lie in one run, the biases first (depthwise_3x3_s8.c), or apart.
 */
#ifndef MF_ARMV7EM_DEPTHWISE_EM3_H
#define MF_ARMV7EM_DEPTHWISE_EM3_H

#include "runtime/kernels/armv7em/dsp.h"

enum { DEPTHWISE_EM3_COLUMNS = 18, DEPTHWISE_EM3_WORDS = 6 };

typedef struct depthwise_em3_columns {
  const int8_t *row[3];
  int32_t step[3]; /* from one column to the next */
  uint32_t *to;
  int32_t n; /* at least 1 */
} depthwise_em3_columns;

typedef struct depthwise_em3_pixels {
  const uint32_t *x;
  const int8_t *w;
  int8_t *out;
  int32_t n;              /* at least 1 */
  int32_t back, out_step; /* bytes from behind a window to the next, and between pixels */
  const int32_t *q;       /* biases and scales, where they lie apart */
} depthwise_em3_pixels;

#ifdef MF_DSP

/* clang-format off */
/* r0 .. r2 rows, r3 .. r5 steps, r6 to, r7 columns left. */
MF_ASM void depthwise_em3_widen(const depthwise_em3_columns *c MF_UNUSED) {
  __asm__ volatile(
      "push {r4-r11, lr}\n\t"
      "ldm r0, {r0-r7}\n"
      "1:\n\t"
      "ldr r8, [r0]\n\t"
      "add r0, r0, r3\n\t"
      "ldr r9, [r1]\n\t"
      "add r1, r1, r4\n\t"
      "ldr r10, [r2]\n\t"
      "add r2, r2, r5\n\t"
      "sxtb16 r11, r8\n\t"
      "sxtb16 r12, r9\n\t"
      "pkhbt lr, r11, r12, lsl #16\n\t"
      "pkhtb r11, r12, r11, asr #16\n\t"
      "sxtb16 r8, r8, ror #8\n\t"
      "sxtb16 r9, r9, ror #8\n\t"
      "pkhbt r12, r8, r9, lsl #16\n\t"
      "pkhtb r9, r9, r8, asr #16\n\t"
      "sxtb16 r8, r10\n\t"
      "sxtb16 r10, r10, ror #8\n\t"
      "stm r6!, {r8-r12, lr}\n\t"
      "subs r7, r7, #1\n\t"
      "bne 1b\n\t"
      "pop {r4-r11, pc}\n\t");
}

#define DEPTHWISE_EM3_COLUMN    \
  "ldm r0!, {r6, r7, r8}\n\t"   \
  "ldm r1!, {r9, r10, r11}\n\t" \
  "smlabb r2, r6, r9, r2\n\t"   \
  "smlatt r4, r6, r9, r4\n\t"   \
  "smlad r5, r7, r10, r5\n\t"   \
  "smlabb r3, r8, r11, r3\n\t"  \
  "smlatt r5, r8, r11, r5\n\t"  \
  "ldm r0!, {r6, r7, r8}\n\t"   \
  "ldm r1!, {r9, r10, r11}\n\t" \
  "smlad r4, r6, r9, r4\n\t"    \
  "smlad r3, r7, r10, r3\n\t"   \
  "smlad r2, r8, r11, r2\n\t"
/* Two sums to codes. */
#define DEPTHWISE_EM3_CODES(a, b, SIGN)           \
  "ldm r1!, {r6-r11}\n\t"                         \
  SIGN("r7", a) "smmlar " a ", " a ", r6, r7\n\t" \
  SIGN("r10", b) "smmlar " b ", " b ", r9, r10\n\t" \
  "asr " a ", " a ", r8\n\t"                      \
  "asr " b ", " b ", r11\n\t"                     \
  "ssat " a ", #8, " a "\n\t"                     \
  "ssat " b ", #8, " b "\n\t"
#define DEPTHWISE_EM3_SIGN(round, a) "add " round ", " round ", " a ", asr #31\n\t"
#define DEPTHWISE_EM3_NONE(round, a)

/* r0 x, r1 weights and scales, r2 .. r5 sums, r12 pixels left, lr out; on the stack: w, back, out_step, and of those apart
 * the scales. BIASES: the sums' first values, r1 behind them; SCALES: r1 at the first channel's. */
#define DEPTHWISE_EM3_RUN(SIGN, WORDS, HELD, BIASES, SCALES, BYTES) \
  __asm__ volatile(                            \
      "push {r4-r11, lr}\n\t"                  \
      "ldm r0, " WORDS "\n\t"                  \
      "push " HELD "\n\t"                      \
      "mov lr, r3\n\t"                         \
      "mov r12, r4\n"                          \
      "1:\n\t"                                 \
      BIASES                                   \
      DEPTHWISE_EM3_COLUMN DEPTHWISE_EM3_COLUMN DEPTHWISE_EM3_COLUMN \
      SCALES                                   \
      DEPTHWISE_EM3_CODES("r2", "r3", SIGN)    \
      DEPTHWISE_EM3_CODES("r4", "r5", SIGN)    \
      "ldrd r6, r7, [sp, #4]\n\t"              \
      "strb r3, [lr, #1]\n\t"                  \
      "strb r4, [lr, #2]\n\t"                  \
      "strb r5, [lr, #3]\n\t"                  \
      "strb r2, [lr]\n\t"                      \
      "sub r0, r0, r6\n\t"                     \
      "add lr, lr, r7\n\t"                     \
      "subs r12, r12, #1\n\t"                  \
      "bne 1b\n\t"                             \
      "add sp, sp, " BYTES "\n\t"              \
      "pop {r4-r11, pc}\n\t")
#define DEPTHWISE_EM3_ONE(SIGN)                                                              \
  DEPTHWISE_EM3_RUN(SIGN, "{r0, r2, r3, r4, r5, r6}", "{r2, r5, r6}",                         \
                    "ldr r1, [sp]\n\tldm r1!, {r2-r5}\n\t", "", "#12")
#define DEPTHWISE_EM3_APART(SIGN)                                                            \
  DEPTHWISE_EM3_RUN(SIGN, "{r0, r2, r3, r4, r5, r6, r7}", "{r2, r5, r6, r7}",                 \
                    "ldr r1, [sp, #12]\n\tldm r1, {r2-r5}\n\tldr r1, [sp]\n\t",              \
                    "ldr r1, [sp, #12]\n\tadd r1, r1, #16\n\t", "#16")
/* clang-format on */

MF_ASM void depthwise_em3_run(const depthwise_em3_pixels *p MF_UNUSED) {
  DEPTHWISE_EM3_ONE(DEPTHWISE_EM3_SIGN);
}
MF_ASM void depthwise_em3_run_zero(const depthwise_em3_pixels *p MF_UNUSED) {
  DEPTHWISE_EM3_ONE(DEPTHWISE_EM3_NONE);
}
MF_ASM void depthwise_em3_run_apart(const depthwise_em3_pixels *p MF_UNUSED) {
  DEPTHWISE_EM3_APART(DEPTHWISE_EM3_SIGN);
}
MF_ASM void depthwise_em3_run_apart_zero(const depthwise_em3_pixels *p MF_UNUSED) {
  DEPTHWISE_EM3_APART(DEPTHWISE_EM3_NONE);
}

#else

static void depthwise_em3_widen(const depthwise_em3_columns *columns) {
  depthwise_em3_columns c = *columns;
  for (; c.n > 0; c.n--, c.to += DEPTHWISE_EM3_WORDS) {
    const int8_t *const a = c.row[0], *const b = c.row[1];
    const uint32_t last = mf_load4(c.row[2]);
    c.to[0] = mf_even_bytes(last);
    c.to[1] = mf_pair(a[3], b[3]);
    c.to[2] = mf_odd_bytes(last);
    c.to[3] = mf_pair(a[2], b[2]);
    c.to[4] = mf_pair(a[1], b[1]);
    c.to[5] = mf_pair(a[0], b[0]);
    c.row[0] += c.step[0];
    c.row[1] += c.step[1];
    c.row[2] += c.step[2];
  }
}

/* x, w: one column. */
static void depthwise_em3_column(int32_t *sum, const uint32_t *x, const uint32_t *w) {
  sum[0] += mf_low(x[0]) * mf_low(w[0]);
  sum[2] += mf_high(x[0]) * mf_high(w[0]);
  sum[1] += mf_low(x[2]) * mf_low(w[2]);
  sum[3] += mf_high(x[2]) * mf_high(w[2]);
  sum[3] = mf_smlad(x[1], w[1], sum[3]);
  sum[2] = mf_smlad(x[3], w[3], sum[2]);
  sum[1] = mf_smlad(x[4], w[4], sum[1]);
  sum[0] = mf_smlad(x[5], w[5], sum[0]);
}

/* w: 18 words; q: four biases, then the scales of the channels. */
MF_INLINE void depthwise_em3_twin(depthwise_em3_pixels p, const int8_t *bias, const int8_t *w,
                                  const int8_t *scales, int32_t sign) {
  uint32_t words[18];
  int32_t q[16], i;
  for (i = 0; i < 18; i++) words[i] = mf_load4(w + 4 * i);
  for (i = 0; i < 4; i++) q[i] = (int32_t)mf_load4(bias + 4 * i);
  for (i = 0; i < 12; i++) q[4 + i] = (int32_t)mf_load4(scales + 4 * i);
  for (; p.n > 0; p.n--, p.out += p.out_step) {
    int32_t sum[4];
    for (i = 0; i < 4; i++) sum[i] = q[i];
    for (i = 0; i < 3; i++, p.x += DEPTHWISE_EM3_WORDS) depthwise_em3_column(sum, p.x, words + 6 * i);
    p.x -= p.back / 4;
    for (i = 0; i < 4; i++) p.out[i] = mf_code_signed(sum[i], q + 4 + 3 * i, sign);
  }
}

MF_INLINE void depthwise_em3_twin_one(const depthwise_em3_pixels *p, int32_t sign) {
  depthwise_em3_twin(*p, p->w, p->w + 16, p->w + 88, sign);
}
MF_INLINE void depthwise_em3_twin_apart(const depthwise_em3_pixels *p, int32_t sign) {
  const int8_t *const q = (const int8_t *)p->q;
  depthwise_em3_twin(*p, q, p->w, q + 16, sign);
}

static MF_UNUSED void depthwise_em3_run(const depthwise_em3_pixels *p) { depthwise_em3_twin_one(p, 1); }
static MF_UNUSED void depthwise_em3_run_zero(const depthwise_em3_pixels *p) { depthwise_em3_twin_one(p, 0); }
static MF_UNUSED void depthwise_em3_run_apart(const depthwise_em3_pixels *p) {
  depthwise_em3_twin_apart(p, 1);
}
static MF_UNUSED void depthwise_em3_run_apart_zero(const depthwise_em3_pixels *p) {
  depthwise_em3_twin_apart(p, 0);
}

#endif

static uint32_t *depthwise_em3_pad(uint32_t *to, int32_t columns, int32_t zero) {
  const uint32_t pair = mf_pair(zero, zero);
  for (columns *= DEPTHWISE_EM3_WORDS; columns > 0; columns--) *to++ = pair;
  return to;
}

/* Pixels of channels i .. i+3: b but its weights and scales. zero: no code is below that of 0. */
typedef void depthwise_em3_block(const mf_conv_s8 *p, depthwise_em3_pixels *b, int32_t i, int32_t zero);

/* n pixels from column `left` of the input on, all channels. */
MF_INLINE void depthwise_em3_chunk(const mf_conv_s8 *p, depthwise_em3_block *block, const int8_t *const *line,
                                   uint32_t *columns, int8_t *out, int32_t left, int32_t n) {
  const mf_window *g = &p->g;
  const int32_t right = left + (n - 1) * g->stride_w + 3; /* behind the last column */
  const int32_t before = left < 0 ? (right < 0 ? right : 0) - left : 0;
  const int32_t after = right > g->in_w ? right - (left > g->in_w ? left : g->in_w) : 0;
  const int32_t inside = right - left - before - after, zero = p->out_zero <= p->lo;
  const uint32_t zeros = (uint32_t)(uint8_t)p->in_zero * 0x01010101u;
  uint32_t *const first = depthwise_em3_pad(columns, before, p->in_zero);
  depthwise_em3_columns c;
  depthwise_em3_pixels b;
  int32_t i, k;
  depthwise_em3_pad(first + inside * DEPTHWISE_EM3_WORDS, after, p->in_zero);
  c.to = first;
  c.n = inside;
  for (k = 0; k < 3; k++) {
    c.row[k] = line[k] ? line[k] + (left + before) * g->in_c : (const int8_t *)&zeros;
    c.step[k] = line[k] ? g->in_c : 0;
  }
  b.x = columns;
  b.n = n;
  b.back = 4 * DEPTHWISE_EM3_WORDS * (3 - g->stride_w);
  b.out_step = g->out_c;
  for (i = 0; i < g->out_c; i += 4) {
    if (inside) depthwise_em3_widen(&c);
    for (k = 0; k < 3; k++) c.row[k] += line[k] ? 4 : 0;
    b.out = out + i;
    block(p, &b, i, zero);
  }
}

MF_INLINE void depthwise_em3_lines(const mf_conv_s8 *p, depthwise_em3_block *block, const mf_view *in,
                                   const mf_view *out, int32_t y0, int32_t y1, uint32_t *columns) {
  const mf_window *g = &p->g;
  const int32_t most = (DEPTHWISE_EM3_COLUMNS - 3) / g->stride_w + 1;
  int32_t y, x, k;
  for (y = y0; y < y1; y++) {
    int8_t *const to = (int8_t *)mf_row(out, y);
    const int8_t *line[3];
    for (k = 0; k < 3; k++) {
      const int32_t iy = y * g->stride_h - g->pad_top + k;
      line[k] = iy >= 0 && iy < g->in_h ? (const int8_t *)mf_row(in, iy) : NULL;
    }
    for (x = 0; x < g->out_w; x += most)
      depthwise_em3_chunk(p, block, line, columns, to + x * g->out_c, x * g->stride_w - g->pad_left,
                          g->out_w - x < most ? g->out_w - x : most);
    if (p->lo > -128 || p->hi < 127)
      for (k = 0; k < g->out_w * g->out_c; k++) to[k] = (int8_t)mf_clamp(to[k], p->lo, p->hi);
  }
}

#endif
