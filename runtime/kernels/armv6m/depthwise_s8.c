/* DepthwiseConv, int8, one output channel for each input channel, for Armv6-M (Cortex-M0, M0+): eight channels of a
 * pixel.
 *
 * The taps of a pixel are a list of addresses; those outside the image point at a line of in_zero. While a window touches
 * no border, one list serves the pixels of a line: an offset moves on. Weights, packed, a block of eight channels:
 * [tap 0: c0 .. c7] [tap 1: c0 .. c7] ... One register counts through inputs and weights alike: tap t's address is
 * lessened by 8 t. q: eight biases with in_zero folded in, then eight times { mult, round, shift }. Same results as
 * depthwise_s8__generic. A row is a line of the image.
 */
#include "runtime/kernels/armv6m/dot8.h"

MF_KERNEL mf_kernel_fn depthwise_s8__armv6m;

typedef struct depthwise_v6m_block {
  const int8_t *const *tap, *const *end;
  const int8_t *w;
  const int32_t *q;
  int32_t offset; /* from the taps' addresses */
  int32_t sum[8];
} depthwise_v6m_block;

#ifdef MF_THUMB1

/* clang-format off */
#define DEPTHWISE_V6M_LOAD \
  "ldrsb r0, [r2, r4]\n\t" \
  "ldrsb r1, [r3, r4]\n\t" \
  "adds r4, r4, #1\n\t"    \
  "muls r1, r0, r1\n\t"
#define DEPTHWISE_V6M_HIGH(a) DEPTHWISE_V6M_LOAD "add " a ", r1\n\t"
#define DEPTHWISE_V6M_TAP                                      \
  "ldm r7!, {r2}\n\t"                                          \
  DEPTHWISE_V6M_LOAD "adds r5, r5, r1\n\t"                     \
  DEPTHWISE_V6M_LOAD "adds r6, r6, r1\n\t"                     \
  DEPTHWISE_V6M_HIGH("r8") DEPTHWISE_V6M_HIGH("r9")            \
  DEPTHWISE_V6M_HIGH("r10") DEPTHWISE_V6M_HIGH("r11")          \
  DEPTHWISE_V6M_HIGH("r12") DEPTHWISE_V6M_HIGH("lr")

/* r2 tap, r3 weights less the offset, r4 offset, r7 list; on the stack: end, sums. */
MF_ASM void depthwise_v6m_run(const depthwise_v6m_block *b MF_UNUSED) {
  __asm__ volatile(
      ".syntax unified\n\t"
      "push {r4-r7, lr}\n\t"
      "mov r4, r8\n\t"
      "mov r5, r9\n\t"
      "mov r6, r10\n\t"
      "mov r7, r11\n\t"
      "push {r4-r7}\n\t"
      "ldm r0!, {r1, r2, r3, r5, r7}\n\t"
      "movs r4, r0\n\t"
      "push {r2, r4}\n\t"
      "movs r4, r7\n\t"
      "movs r7, r1\n\t"
      "subs r3, r3, r4\n\t"
      "movs r2, r5\n\t"
      "ldm r2!, {r5, r6}\n\t"
      "ldm r2!, {r0, r1}\n\t"
      "mov r8, r0\n\t"
      "mov r9, r1\n\t"
      "ldm r2!, {r0, r1}\n\t"
      "mov r10, r0\n\t"
      "mov r11, r1\n\t"
      "ldm r2!, {r0, r1}\n\t"
      "mov r12, r0\n\t"
      "mov lr, r1\n"
      "2:\n\t"
      DEPTHWISE_V6M_TAP
      "ldr r0, [sp]\n\t"
      "cmp r7, r0\n\t"
      "bne 2b\n\t"
      "ldr r0, [sp, #4]\n\t"
      "mov r1, r8\n\t"
      "mov r2, r9\n\t"
      "mov r3, r10\n\t"
      "stm r0!, {r5, r6}\n\t"
      "stm r0!, {r1, r2, r3}\n\t"
      "mov r1, r11\n\t"
      "mov r2, r12\n\t"
      "mov r3, lr\n\t"
      "stm r0!, {r1, r2, r3}\n\t"
      "add sp, sp, #8\n\t"
      "pop {r4-r7}\n\t"
      "mov r8, r4\n\t"
      "mov r9, r5\n\t"
      "mov r10, r6\n\t"
      "mov r11, r7\n\t"
      "pop {r4-r7, pc}\n\t");
}
/* clang-format on */

static void depthwise_v6m_shift(const int8_t **tap, int32_t n) {
  int32_t t;
  for (t = 0; t < n; t++) tap[t] -= 8 * t;
}

#else

static void depthwise_v6m_run(depthwise_v6m_block *b) {
  const int8_t *const *tap, *w = b->w;
  int32_t i;
  for (i = 0; i < 8; i++) b->sum[i] = b->q[i];
  for (tap = b->tap; tap < b->end; tap++, w += 8)
    for (i = 0; i < 8; i++) b->sum[i] += (*tap)[b->offset + i] * w[i];
}

static void depthwise_v6m_shift(const int8_t **tap, int32_t n) {
  (void)tap;
  (void)n;
}

#endif

static void depthwise_v6m_pixel(const mf_conv_s8 *p, depthwise_v6m_block *b, int8_t *y) {
  int32_t o;
  mf_codes c;
  b->w = p->w;
  b->q = p->bias;
  c.sum = b->sum;
  c.less = 0;
  c.lo = p->lo;
  c.hi = p->hi;
  for (o = 0; o < p->g.out_c; o += 8, y += 8) {
    depthwise_v6m_run(b);
    c.q = b->q + 8;
    c.y = y;
    c.end = y + 8;
    if (mf_cuts_off(p->out_zero, p->lo))
      mf_codes_zero(&c);
    else
      mf_codes_run(&c);
    b->w += 8 * (b->end - b->tap);
    b->q += 32;
    b->offset += 8;
  }
  b->offset -= p->g.out_c;
}

/* A line of output; in scratch: addresses of taps, lines, zero points. */
static void depthwise_v6m_line(const mf_conv_s8 *p, const mf_view *in, const int8_t **tap, int8_t *line,
                               int32_t top) {
  const mf_window *g = &p->g;
  const int32_t taps = g->k_h * g->k_w;
  const int8_t **const lines = tap + taps, *const zeros = (const int8_t *)(lines + g->k_h);
  const int32_t rows_inside = top >= 0 && top + (g->k_h - 1) * g->dil_h < g->in_h;
  const int32_t span = (g->k_w - 1) * g->dil_w;
  int32_t x, moving = 0; /* moving: the addresses serve for this pixel too */
  depthwise_v6m_block b;
  b.tap = tap;
  b.end = tap + taps;
  b.offset = 0;
  mf_window_lines(g, in, top, lines);
  for (x = 0; x < g->out_w; x++, line += g->out_c) {
    const int32_t left = x * g->stride_w - g->pad_left;
    const int32_t inside = rows_inside && left >= 0 && left + span < g->in_w;
    if (inside && moving) {
      b.offset += g->stride_w * g->in_c;
    } else {
      mf_line_taps(g, lines, zeros, left, tap);
      depthwise_v6m_shift(tap, taps);
      b.offset = 0;
      moving = inside;
    }
    depthwise_v6m_pixel(p, &b, line);
  }
}

MF_KERNEL void depthwise_s8__armv6m(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                    int32_t y1, void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  const int8_t **const tap = (const int8_t **)scratch;
  int32_t y;
  mf_fill_bytes((int8_t *)(tap + p->g.k_h * p->g.k_w + p->g.k_h), p->in_zero, p->g.in_c);
  for (y = y0; y < y1; y++)
    depthwise_v6m_line(p, in, tap, (int8_t *)mf_row(out, y), y * p->g.stride_h - p->g.pad_top);
}
