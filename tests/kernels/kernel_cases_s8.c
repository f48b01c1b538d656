/* Random cases of int8 kernels that have a params struct of their own. */
#include "tests/kernels/kernel_gen.h"

#include <math.h>

#include "ir/lower.h"

void gen_matmul_s8(KernelCase *c, Rng *r, Arena *a) {
  mf_matmul_s8 *p = c->params;
  p->k = in_range(r, 1, 12);
  p->n = in_range(r, 1, 12);
  p->a_zero = random_code(r);
  p->b_zero = random_code(r);
  p->out_zero = random_code(r);
  p->mult = random_multiplier(r);
  p->shift = in_range(r, -12, -2);
  limits_s8(r, &p->lo, &p->hi);
  vector_tensors(c, r, a, p->k, p->n, 'b');
  c->in[1] = tensor_rows(r, a, p->k, p->n, 'b');
  c->in[0].plain = c->in[1].plain = false;
  c->n_in = 2;
  c->reads = reads_matmul;
}

void gen_log_softmax_s8(KernelCase *c, Rng *r, Arena *a) {
  mf_log_softmax_s8 *p = c->params;
  p->n = in_range(r, 1, 40);
  p->mult = random_multiplier(r);
  p->shift = in_range(r, 17, 26);
  p->diff_min = -(int32_t)(((int64_t)31 << 26) >> p->shift);
  quantize_multiplier(ldexp(1, 31 - p->shift) / p->mult, &p->back_mult, &p->back_shift);
  unary_tensors(c, r, a, p->n, 'b', 'b');
}

void gen_l2_normalization_s8(KernelCase *c, Rng *r, Arena *a) {
  mf_l2_normalization_s8 *p = c->params;
  p->n = in_range(r, 1, 40);
  p->in_zero = random_code(r);
  unary_tensors(c, r, a, p->n, 'b', 'b');
}

static int32_t line_scale(Rng *r, int32_t in, int32_t out) {
  if (out > 1 && rng_below(r, 2)) return (1024 * (in - 1) + (out - 1) / 2) / (out - 1);
  return (1024 * in + out / 2) / out;
}

void gen_resize_bilinear_s8(KernelCase *c, Rng *r, Arena *a) {
  mf_resize_bilinear_s8 *p = c->params;
  mf_window g = {.in_h = in_range(r, 1, 6), .in_w = in_range(r, 1, 6), .in_c = in_range(r, 1, 5)};
  g.out_h = rng_below(r, 8) ? in_range(r, 1, 12) : 95; /* so much that a rounded scale reaches over */
  g.out_w = in_range(r, 1, 12);
  g.out_c = g.in_c;
  *p = (mf_resize_bilinear_s8){.in_h = g.in_h,
                               .in_w = g.in_w,
                               .c = g.in_c,
                               .out_h = g.out_h,
                               .out_w = g.out_w,
                               .scale_h = line_scale(r, g.in_h, g.out_h),
                               .scale_w = line_scale(r, g.in_w, g.out_w),
                               .half = in_range(r, 0, 1)};
  window_tensors(c, &g, r, a, 'b');
  c->reads = reads_all;
}

void gen_conv_transpose_s8(KernelCase *c, Rng *r, Arena *a) {
  mf_conv_transpose_s8 *p = c->params;
  p->g = window(r, true);
  p->g.in_h = in_range(r, 1, 4);
  p->g.in_w = in_range(r, 1, 4);
  p->groups = in_range(r, 1, 3);
  p->g.in_c = p->groups * in_range(r, 1, 9);
  p->g.out_c = p->groups * in_range(r, 1, 3);
  p->g.out_h = (p->g.in_h - 1) * p->g.stride_h + in_range(r, 1, 3);
  p->g.out_w = (p->g.in_w - 1) * p->g.stride_w + in_range(r, 1, 3);
  p->in_zero = random_code(r);
  p->out_zero = random_code(r);
  limits_s8(r, &p->lo, &p->hi);
  p->w = random_weights(r, a, p->g.out_c * p->g.k_h * p->g.k_w * (p->g.in_c / p->groups));
  p->bias = rng_below(r, 4) ? random_data(r, a, p->g.out_c, 'i') : NULL;
  p->mult = multipliers(r, a, p->g.out_c);
  p->shift = shifts(r, a, p->g.out_c);
  window_tensors(c, &p->g, r, a, 'b');
  c->reads = reads_all;
}
