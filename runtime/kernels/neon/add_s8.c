/* Add, int8, of tensors of one shape, for NEON: eight elements at a time, in the form of add_lines.h, which also does what
 * is left. A row is one index of the first axis. The output may be exactly the memory of an input. Same results as
 * add_s8__generic.
 */
#include <arm_neon.h>

#include "runtime/kernels/add_lines.h"

MF_KERNEL mf_kernel_fn add_s8__neon;

MF_INLINE int32_t add_neon_high(int32_t x, int32_t m) {
  return (int32_t)(((int64_t)x * m + ((int64_t)1 << 30)) >> 31);
}

typedef struct add_neon_scales {
  int32_t o_mult, out_mult;
  int32x4_t sign, o_shift, shift; /* sign: ones where o is shifted at all; negative shifts */
} add_neon_scales;

/* Four sums, short of the output's zero point. */
MF_INLINE int32x4_t add_neon_four(const add_neon_scales *c, int16x4_t s, int16x4_t o) {
  int32x4_t v = vqrdmulhq_n_s32(vshlq_n_s32(vmovl_s16(o), 20), c->o_mult);
  v = vrshlq_s32(vaddq_s32(v, vandq_s32(vshrq_n_s32(v, 31), c->sign)), c->o_shift);
  v = vqrdmulhq_n_s32(vaddq_s32(v, vshlq_n_s32(vmovl_s16(s), 19)), c->out_mult);
  return vrshlq_s32(vsraq_n_s32(v, v, 31), c->shift);
}

/* As many of n elements as make vectors; returns how many. */
static int32_t add_neon_vectors(const mf_add_s8 *p, const int8_t *a, const int8_t *b, int8_t *y, int32_t n) {
  const int32_t swap = p->a_mult != 1 << 30 || p->a_shift != 0; /* whether b's scale is the larger */
  const int8_t *s = swap ? b : a, *o = swap ? a : b;
  const int16x8_t s_zero = vdupq_n_s16((int16_t)(swap ? p->b_zero : p->a_zero));
  const int16x8_t o_zero = vdupq_n_s16((int16_t)(swap ? p->a_zero : p->b_zero));
  const int16x8_t zero = vdupq_n_s16((int16_t)p->out_zero);
  const int8x8_t lo = vdup_n_s8((int8_t)p->lo), hi = vdup_n_s8((int8_t)p->hi);
  const int32_t o_shift = swap ? p->a_shift : p->b_shift;
  add_neon_scales c;
  int32_t i;
  c.o_mult = swap ? p->a_mult : p->b_mult;
  c.out_mult = p->out_mult;
  c.sign = vdupq_n_s32(o_shift ? -1 : 0);
  c.o_shift = vdupq_n_s32(o_shift);
  c.shift = vdupq_n_s32(p->out_shift);
  for (i = 0; i + 8 <= n; i += 8) {
    const int16x8_t vs = vsubq_s16(vmovl_s8(vld1_s8(s + i)), s_zero);
    const int16x8_t vo = vsubq_s16(vmovl_s8(vld1_s8(o + i)), o_zero);
    const int32x4_t low = add_neon_four(&c, vget_low_s16(vs), vget_low_s16(vo));
    const int32x4_t high = add_neon_four(&c, vget_high_s16(vs), vget_high_s16(vo));
    const int16x8_t sum = vqaddq_s16(vqmovn_high_s32(vqmovn_s32(low), high), zero);
    vst1_s8(y + i, vmin_s8(vmax_s8(vqmovn_s16(sum), lo), hi));
  }
  return i;
}

MF_KERNEL void add_s8__neon(const void *params, const mf_view *in, const mf_view *out, int32_t y0, int32_t y1,
                            void *scratch) {
  const mf_add_s8 *p = (const mf_add_s8 *)params;
  int32_t n = 1, i, y;
  (void)scratch;
  for (i = 1; i < p->rank; i++) n *= p->dims[i];
  for (y = y0; y < y1; y++) {
    const int8_t *const a = (const int8_t *)mf_row(&in[0], y), *const b = (const int8_t *)mf_row(&in[1], y);
    int8_t *const to = (int8_t *)mf_row(out, y);
    i = add_neon_vectors(p, a, b, to, n);
    mf_add_line(p, a + i, b + i, to + i, n - i, add_neon_high);
  }
}
