/* Add, int8, of tensors of one shape, for Armv7E-M; see add_lines.h, which also does what the assembly leaves. A row is one
 * index of the first axis. The output may be exactly the memory of an input. Same results as add_s8__generic.
 */
#include "runtime/kernels/add_lines.h"
#include "runtime/kernels/armv7em/dsp.h"

MF_KERNEL mf_kernel_fn add_s8__armv7em;

MF_INLINE int32_t add_em_high(int32_t x, int32_t m) { return mf_smmulr(mf_shift_left(x, 1), m); }

#ifdef MF_DSP

typedef struct add_em_block {
  const int8_t *o, *s; /* the input with a factor of its own, and the larger one */
  int8_t *y;
  int32_t n;                                                            /* a multiple of 4, not 0 */
  int32_t o_zero, o_mult, o_round, o_shift, s_zero, mult, round, shift; /* zeros doubled as sums are */
} add_em_block;

/* clang-format off */
#define ADD_EM_STEP                      \
  "ldrsb r12, [r0], #1\n\t"              \
  "rsb r12, r4, r12, lsl #21\n\t"        \
  "add lr, r6, r12, asr #31\n\t"         \
  "smmlar r12, r12, r5, lr\n\t"          \
  "ldrsb lr, [r1], #1\n\t"               \
  "asr r12, r12, r7\n\t"                 \
  "add r12, r12, lr, lsl #19\n\t"        \
  "rsb r12, r8, r12, lsl #1\n\t"         \
  "add lr, r10, r12, asr #31\n\t"        \
  "smmlar r12, r12, r9, lr\n\t"          \
  "asr r12, r12, r11\n\t"                \
  "ssat r12, #8, r12\n\t"                \
  "strb r12, [r2], #1\n\t"

/* The block in r0 .. r11. */
MF_ASM void add_em_run(const add_em_block *b MF_UNUSED) {
  __asm__ volatile(
      "push {r4-r11, lr}\n\t"
      "ldm r0, {r0-r11}\n"
      "1:\n\t"
      ADD_EM_STEP ADD_EM_STEP ADD_EM_STEP ADD_EM_STEP
      "subs r3, r3, #4\n\t"
      "bne 1b\n\t"
      "pop {r4-r11, pc}\n\t");
}
/* clang-format on */

/* As many of n elements as make fours, where the smaller input's factor has a shift; returns how many. */
static int32_t add_em_fours(const mf_add_s8 *p, const int8_t *a, const int8_t *b, int8_t *y, int32_t n) {
  const int32_t swap = p->a_mult != 1 << 30 || p->a_shift != 0; /* whether b's scale is the larger */
  add_em_block k;
  k.o_shift = -(swap ? p->a_shift : p->b_shift);
  k.n = n & ~3;
  if (k.o_shift == 0 || k.n == 0) return 0;
  k.o = swap ? a : b;
  k.s = swap ? b : a;
  k.y = y;
  k.o_zero = (swap ? p->a_zero : p->b_zero) * (1 << 21);
  k.s_zero = (swap ? p->b_zero : p->a_zero) * (1 << 20);
  k.o_mult = swap ? p->a_mult : p->b_mult;
  k.o_round = 1 << (k.o_shift - 1);
  k.mult = p->out_mult;
  k.shift = -p->out_shift;
  k.round = (1 << (k.shift - 1)) + p->out_zero * (1 << k.shift);
  add_em_run(&k);
  mf_limit(y, k.n, p->lo, p->hi);
  return k.n;
}

#else

static int32_t add_em_fours(const mf_add_s8 *p, const int8_t *a, const int8_t *b, int8_t *y, int32_t n) {
  (void)p;
  (void)a;
  (void)b;
  (void)y;
  (void)n;
  return 0;
}

#endif

MF_KERNEL void add_s8__armv7em(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                               int32_t y1, void *scratch) {
  const mf_add_s8 *p = (const mf_add_s8 *)params;
  int32_t n = 1, i, y;
  (void)scratch;
  for (i = 1; i < p->rank; i++) n *= p->dims[i];
  for (y = y0; y < y1; y++) {
    const int8_t *const a = (const int8_t *)mf_row(&in[0], y), *const b = (const int8_t *)mf_row(&in[1], y);
    int8_t *const to = (int8_t *)mf_row(out, y);
    i = add_em_fours(p, a, b, to, n);
    mf_add_line(p, a + i, b + i, to + i, n - i, add_em_high);
  }
}
