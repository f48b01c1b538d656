/* Eight dot products at once for Armv6-M (Cortex-M0, M0+), where multiplication overwrites an operand, eight registers
 * take part in arithmetic, and only unsigned bytes load at a fixed offset.
 *
 *   weights, packed, as w + 128:   [k0: c0 .. c7] [k1: c0 .. c7] ...      sum x * w = sum x * (w + 128) - 128 * sum x
 *
 * so that sum x is kept beside the eight sums, of which six live in high registers; the blocks of channels that follow
 * know it. The inputs are runs of bytes, one after another: of the image, or of a line of the input's zero point. No access
 * is unaligned.
 */
#ifndef MF_ARMV6M_DOT8_H
#define MF_ARMV6M_DOT8_H

#include "runtime/kernels/window.h"

#if defined(__thumb__) && !defined(__thumb2__)
#define MF_THUMB1 1
#endif

/* A run of -count bytes that ends `end` bytes after the base; end < 0: one of -end zero points. count 0 ends the list. */
typedef struct mf_run {
  int32_t end, count;
} mf_run;

/* Codes of sums: y[i] = clamp(mf_code32(sum[i] - less, q + 3 i), lo, hi). */
typedef struct mf_codes {
  const int32_t *sum, *q;
  int8_t *y, *end;
  int32_t less, lo, hi;
} mf_codes;

typedef struct mf_dot8 {
  const mf_run *run;
  const int8_t *base, *zeros;
  const int8_t *w;  /* uint8 */
  const int32_t *q; /* eight sums to begin with, then eight times { mult, round, shift } */
  int32_t sum[9];   /* the sums, then sum x */
  int32_t known;    /* whether sum x is known; codes.less is 128 times as much */
  mf_codes codes;
} mf_dot8;

#ifdef MF_THUMB1

/* clang-format off */
#define MF_DOT8_LOW(a, w)     \
  "ldrb r1, [r2, #" w "]\n\t" \
  "muls r1, r0, r1\n\t"       \
  "adds " a ", " a ", r1\n\t"
#define MF_DOT8_HIGH(a, w)    \
  "ldrb r1, [r2, #" w "]\n\t" \
  "muls r1, r0, r1\n\t"       \
  "add " a ", r1\n\t"
#define MF_DOT8_STEP(SUM, w0, w1, w2, w3, w4, w5, w6, w7) \
  "ldrsb r0, [r3, r4]\n\t" SUM                            \
  MF_DOT8_LOW("r5", w0) MF_DOT8_LOW("r6", w1)             \
  MF_DOT8_HIGH("r8", w2) MF_DOT8_HIGH("r9", w3)           \
  MF_DOT8_HIGH("r10", w4) MF_DOT8_HIGH("r11", w5)         \
  MF_DOT8_HIGH("r12", w6) MF_DOT8_HIGH("lr", w7)
#define MF_DOT8_SUM "adds r7, r7, r0\n\t"

/* r2 weights, r3 end of the run, r4 minus the bytes left, r7 sum x; on the stack: run, base, zeros, sums. */
#define MF_DOT8_RUN(SUM)                                                          \
  __asm__ volatile(                                                               \
      ".syntax unified\n\t"                                                       \
      "push {r4-r7, lr}\n\t"                                                      \
      "mov r4, r8\n\t"                                                            \
      "mov r5, r9\n\t"                                                            \
      "mov r6, r10\n\t"                                                           \
      "mov r7, r11\n\t"                                                           \
      "push {r4-r7}\n\t"                                                          \
      "ldm r0!, {r1, r2, r3, r4, r7}\n\t"                                         \
      "push {r0}\n\t"                                                             \
      "push {r1, r2, r3}\n\t"                                                     \
      "movs r2, r4\n\t"                                                           \
      "ldm r7!, {r5, r6}\n\t"                                                     \
      "ldm r7!, {r0, r1, r3}\n\t"                                                 \
      "mov r8, r0\n\t"                                                            \
      "mov r9, r1\n\t"                                                            \
      "mov r10, r3\n\t"                                                           \
      "ldm r7!, {r0, r1, r3}\n\t"                                                 \
      "mov r11, r0\n\t"                                                           \
      "mov r12, r1\n\t"                                                           \
      "mov lr, r3\n\t"                                                            \
      "movs r7, #0\n"                                                             \
      "2:\n\t"                                                                    \
      "ldr r0, [sp]\n\t"                                                          \
      "ldm r0!, {r3, r4}\n\t"                                                     \
      "str r0, [sp]\n\t"                                                          \
      "cmp r4, #0\n\t"                                                            \
      "bne 3f\n\t"                                                                \
      "b 9f\n"                                                                    \
      "3:\n\t"                                                                    \
      "cmp r3, #0\n\t"                                                            \
      "blt 4f\n\t"                                                                \
      "ldr r0, [sp, #4]\n\t"                                                      \
      "adds r3, r3, r0\n\t"                                                       \
      "b 5f\n"                                                                    \
      "4:\n\t"                                                                    \
      "ldr r0, [sp, #8]\n\t"                                                      \
      "subs r3, r0, r3\n"                                                         \
      "5:\n\t"                                                                    \
      "lsls r0, r4, #30\n\t"                                                      \
      "beq 7f\n"                                                                  \
      "6:\n\t"                                                                    \
      MF_DOT8_STEP(SUM, "0", "1", "2", "3", "4", "5", "6", "7")                   \
      "adds r2, r2, #8\n\t"                                                       \
      "adds r4, r4, #1\n\t"                                                       \
      "lsls r0, r4, #30\n\t"                                                      \
      "bne 6b\n\t"                                                                \
      "cmp r4, #0\n\t"                                                            \
      "beq 2b\n"                                                                  \
      "7:\n\t"                                                                    \
      MF_DOT8_STEP(SUM, "0", "1", "2", "3", "4", "5", "6", "7")                   \
      "adds r4, r4, #1\n\t"                                                       \
      MF_DOT8_STEP(SUM, "8", "9", "10", "11", "12", "13", "14", "15")             \
      "adds r4, r4, #1\n\t"                                                       \
      MF_DOT8_STEP(SUM, "16", "17", "18", "19", "20", "21", "22", "23")           \
      "adds r4, r4, #1\n\t"                                                       \
      MF_DOT8_STEP(SUM, "24", "25", "26", "27", "28", "29", "30", "31")           \
      "adds r2, r2, #32\n\t"                                                      \
      "adds r4, r4, #1\n\t"                                                       \
      "bne 7b\n\t"                                                                \
      "b 2b\n"                                                                    \
      "9:\n\t"                                                                    \
      "ldr r0, [sp, #12]\n\t"                                                     \
      "mov r1, r8\n\t"                                                            \
      "mov r2, r9\n\t"                                                            \
      "mov r3, r10\n\t"                                                           \
      "stm r0!, {r5, r6}\n\t"                                                     \
      "stm r0!, {r1, r2, r3}\n\t"                                                 \
      "mov r1, r11\n\t"                                                           \
      "mov r2, r12\n\t"                                                           \
      "mov r3, lr\n\t"                                                            \
      "stm r0!, {r1, r2, r3}\n\t"                                                 \
      "str r7, [r0]\n\t"                                                          \
      "add sp, sp, #16\n\t"                                                       \
      "pop {r4-r7}\n\t"                                                           \
      "mov r8, r4\n\t"                                                            \
      "mov r9, r5\n\t"                                                            \
      "mov r10, r6\n\t"                                                           \
      "mov r11, r7\n\t"                                                           \
      "pop {r4-r7, pc}\n\t")
/* clang-format on */

MF_ASM void mf_dot8_run(const mf_dot8 *d MF_UNUSED) { MF_DOT8_RUN(MF_DOT8_SUM); }
MF_ASM void mf_dot8_more(const mf_dot8 *d MF_UNUSED) { MF_DOT8_RUN(""); }

#else

static void mf_dot8_run(mf_dot8 *d) {
  const uint8_t *w = (const uint8_t *)d->w;
  const mf_run *run;
  int32_t i, k;
  for (i = 0; i < 8; i++) d->sum[i] = d->q[i];
  d->sum[8] = 0;
  for (run = d->run; run->count; run++) {
    const int8_t *end = run->end < 0 ? d->zeros - run->end : d->base + run->end;
    for (k = run->count; k < 0; k++, w += 8) {
      for (i = 0; i < 8; i++) d->sum[i] = (int32_t)((uint32_t)d->sum[i] + (uint32_t)(end[k] * w[i]));
      d->sum[8] += end[k];
    }
  }
}

static void mf_dot8_more(mf_dot8 *d) { mf_dot8_run(d); }

#endif

/* High half of 2 x m, rounded, for |x| < 2^29, by 32-bit products: the halves of x and of the multiplier, of which the
 * product of the low ones counts by its upper half alone. */
MF_INLINE int32_t mf_high32(int32_t x, int32_t m) {
  const int32_t low = (int16_t)x, up = (x - low) >> 16, m_low = m & 0xffff, m_up = m >> 16;
  const int32_t part = ((low * m_low) >> 16) + low * m_up + up * m_low + (1 << 14);
  return (part >> 15) + 2 * (up * m_up);
}

/* mf_code_of for |x| < 2^29, not limited. */
MF_HELPER int32_t mf_code32(int32_t x, const int32_t *q) {
  const int32_t high = mf_high32(x, q[0]);
  return (high + (high >> 31) + q[1]) >> q[2];
}

#ifdef MF_THUMB1

/* clang-format off */
#define MF_CODES_ENTER          \
  ".syntax unified\n\t"         \
  "push {r4-r7, lr}\n\t"        \
  "mov r4, r8\n\t"              \
  "mov r5, r9\n\t"              \
  "mov r6, r10\n\t"             \
  "mov r7, r11\n\t"             \
  "push {r4-r7}\n\t"            \
  "ldm r0!, {r1, r2, r3, r4, r5, r6, r7}\n\t" \
  "mov r8, r4\n\t"              \
  "mov r9, r5\n\t"              \
  "mov r10, r6\n\t"             \
  "mov r11, r7\n\t"             \
  "movs r0, r1\n\t"             \
  "movs r1, r2\n\t"             \
  "movs r2, r3\n\t"             \
  "movs r3, #1\n\t"             \
  "lsls r3, r3, #14\n\t"        \
  "mov r12, r3\n"
#define MF_CODES_LEAVE          \
  "pop {r4-r7}\n\t"             \
  "mov r8, r4\n\t"              \
  "mov r9, r5\n\t"              \
  "mov r10, r6\n\t"             \
  "mov r11, r7\n\t"             \
  "pop {r4-r7, pc}\n\t"
/* r5:r3 the halves of x, to r7; SHIFT: arithmetic, or of halves that are not signed. */
#define MF_CODES_HIGH(SHIFT)    \
  "uxth r6, r4\n\t"             \
  "lsrs r4, r4, #16\n\t"        \
  "movs r7, r5\n\t"             \
  "muls r7, r6, r7\n\t"         \
  SHIFT " r7, r7, #16\n\t"      \
  "muls r5, r4, r5\n\t"         \
  "adds r7, r7, r5\n\t"         \
  "muls r6, r3, r6\n\t"         \
  "adds r7, r7, r6\n\t"         \
  "add r7, r12\n\t"             \
  "muls r3, r4, r3\n\t"         \
  SHIFT " r7, r7, #15\n\t"      \
  "lsls r3, r3, #1\n\t"         \
  "adds r7, r7, r3\n\t"

/* r0 sums, r1 q, r2 y; r8 end, r9 less, r10 lo, r11 hi, r12 1 << 14. */
MF_ASM void mf_codes_run(const mf_codes *c MF_UNUSED) {
  __asm__ volatile(
      MF_CODES_ENTER
      "1:\n\t"
      "ldm r0!, {r3}\n\t"
      "ldm r1!, {r4}\n\t"
      "mov r5, r9\n\t"
      "subs r3, r3, r5\n\t"
      "sxth r5, r3\n\t"
      "subs r3, r3, r5\n\t"
      "asrs r3, r3, #16\n\t"
      MF_CODES_HIGH("asrs")
      "asrs r3, r7, #31\n\t"
      "adds r7, r7, r3\n\t"
      "ldm r1!, {r3, r4}\n\t"
      "adds r7, r7, r3\n\t"
      "asrs r7, r7, r4\n\t"
      "cmp r7, r10\n\t"
      "bge 2f\n\t"
      "mov r7, r10\n"
      "2:\n\t"
      "cmp r7, r11\n\t"
      "ble 3f\n\t"
      "mov r7, r11\n"
      "3:\n\t"
      "strb r7, [r2]\n\t"
      "adds r2, r2, #1\n\t"
      "cmp r2, r8\n\t"
      "bne 1b\n\t"
      MF_CODES_LEAVE);
}

/* The same where lo and the code of 0 are -128: sums that are not positive give it at once. */
MF_ASM void mf_codes_zero(const mf_codes *c MF_UNUSED) {
  __asm__ volatile(
      MF_CODES_ENTER
      "1:\n\t"
      "ldm r0!, {r3}\n\t"
      "mov r5, r9\n\t"
      "subs r3, r3, r5\n\t"
      "ble 4f\n\t"
      "ldm r1!, {r4}\n\t"
      "uxth r5, r3\n\t"
      "lsrs r3, r3, #16\n\t"
      MF_CODES_HIGH("lsrs")
      "ldm r1!, {r3, r4}\n\t"
      "adds r7, r7, r3\n\t"
      "asrs r7, r7, r4\n\t"
      "cmp r7, r11\n\t"
      "ble 3f\n\t"
      "mov r7, r11\n"
      "3:\n\t"
      "strb r7, [r2]\n\t"
      "adds r2, r2, #1\n\t"
      "cmp r2, r8\n\t"
      "bne 1b\n\t"
      MF_CODES_LEAVE
      "4:\n\t"
      "adds r1, r1, #12\n\t"
      "mov r7, r10\n\t"
      "b 3b\n\t");
}
/* clang-format on */

#else

static void mf_codes_run(const mf_codes *c) {
  int32_t i;
  for (i = 0; i < c->end - c->y; i++)
    c->y[i] = (int8_t)mf_clamp(mf_code32((int32_t)((uint32_t)c->sum[i] - (uint32_t)c->less), c->q + 3 * i),
                               c->lo, c->hi);
}

static void mf_codes_zero(const mf_codes *c) { mf_codes_run(c); }

#endif

/* The codes of n <= 8 channels whose sums, and those of their inputs, d is ready for; zero: mf_codes_zero serves. */
MF_HELPER void mf_dot8_codes(mf_dot8 *d, int8_t *y, int32_t n, int32_t zero) {
  if (d->known) {
    mf_dot8_more(d);
  } else {
    mf_dot8_run(d);
    d->known = 1;
    d->codes.less = d->sum[8] * 128;
  }
  d->codes.sum = d->sum;
  d->codes.q = d->q + 8;
  d->codes.y = y;
  d->codes.end = y + n;
  if (zero)
    mf_codes_zero(&d->codes);
  else
    mf_codes_run(&d->codes);
}

/* Whether sums that are not positive have the code -128. */
MF_HELPER int32_t mf_cuts_off(int32_t out_zero, int32_t lo) { return out_zero == -128 && lo == -128; }

#endif
