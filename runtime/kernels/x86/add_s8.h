/* Add, int8, of tensors of one shape, for x86-64: eight elements at a time of what add_lines.h does with one. A row is one
 * index of the first axis. The output may be exactly the memory of an input. Same results as add_s8__generic.
 */
#ifndef MF_X86_ADD_S8_H
#define MF_X86_ADD_S8_H

#include "runtime/kernels/x86/x86.h"

typedef struct add_x86 {
  mf_v s_zero, o_zero, o_mult, o_round, o_sign, out_mult, round;
  __m128i o_shift, shift;
} add_x86;

MF_X86_INLINE mf_v add_x86_codes(const add_x86 *c, const int8_t *s, const int8_t *o) {
  const mf_v a = mf_widen32(s);
  const mf_v b = mf_widen32(o);
  mf_v v = mf_high32(mf_sub32(mf_sll32(b, 20), c->o_zero), c->o_mult);
  v = mf_add32(mf_add32(v, mf_and(mf_sign32(v), c->o_sign)), c->o_round);
  v = mf_add32(mf_sra32(v, c->o_shift), mf_sub32(mf_sll32(a, 19), c->s_zero));
  v = mf_high32(v, c->out_mult);
  v = mf_add32(mf_add32(v, mf_sign32(v)), c->round);
  return mf_sra32(v, c->shift);
}

MF_X86_INLINE void add_x86_16(const add_x86 *c, const int8_t *s, const int8_t *o, int8_t *y,
                              const mf_limits *l) {
  const mf_v v = mf_pack32(add_x86_codes(c, s, o), add_x86_codes(c, s + 8, o + 8));
  mf_store_some(y, 16, mf_limit16(mf_pack16(mf_straighten(v)), l));
}

MF_X86_INLINE add_x86 add_x86_of(const mf_add_s8 *p, int32_t swap) {
  const int32_t o_shift = -(swap ? p->a_shift : p->b_shift), shift = -p->out_shift;
  add_x86 c;
  c.s_zero = mf_set32(mf_shift_left(swap ? p->b_zero : p->a_zero, 19));
  c.o_zero = mf_set32(mf_shift_left(swap ? p->a_zero : p->b_zero, 20));
  c.o_mult = mf_set32(swap ? p->a_mult : p->b_mult);
  c.o_round = mf_set32(o_shift ? 1 << (o_shift - 1) : 0);
  c.o_sign = mf_set32(o_shift ? -1 : 0);
  c.out_mult = mf_set32(p->out_mult);
  c.round = mf_set32((1 << (shift - 1)) + p->out_zero * (1 << shift));
  c.o_shift = _mm_cvtsi32_si128(o_shift);
  c.shift = _mm_cvtsi32_si128(shift);
  return c;
}

MF_X86_INLINE void add_s8_x86_rows(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                   int32_t y1, void *scratch) {
  const mf_add_s8 *p = (const mf_add_s8 *)params;
  const int32_t swap = p->a_mult != 1 << 30 || p->a_shift != 0; /* whether b's scale is the larger */
  const mf_limits l = mf_limits_of(p->lo, p->hi, p->out_zero);
  const add_x86 c = add_x86_of(p, swap);
  int32_t n = 1, i, y;
  (void)scratch;
  for (i = 1; i < p->rank; i++) n *= p->dims[i];
  for (y = y0; y < y1; y++) {
    const int8_t *s = (const int8_t *)mf_row(&in[swap], y), *o = (const int8_t *)mf_row(&in[1 - swap], y);
    int8_t *to = (int8_t *)mf_row(out, y);
    for (i = 0; i + 16 <= n; i += 16) add_x86_16(&c, s + i, o + i, to + i, &l);
    if (i < n) {
      int8_t last[3][16] = {{0}};
      __builtin_memcpy(last[0], s + i, (size_t)(n - i));
      __builtin_memcpy(last[1], o + i, (size_t)(n - i));
      add_x86_16(&c, last[0], last[1], last[2], &l);
      __builtin_memcpy(to + i, last[2], (size_t)(n - i));
    }
  }
}

#endif
