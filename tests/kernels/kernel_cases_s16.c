/* Random cases for kernels of int16, by the kernels' names: most have the params of their int8 kin, with zero points of 0.
 *
 * Data has many extremes; multipliers are such that outputs saturate now and then.
 */
#include "tests/kernels/kernel_gen.h"

#include <string.h>

static int32_t code16(Rng *r) {
  const uint32_t kind = rng_below(r, 8);
  return kind == 0 ? INT16_MIN : kind == 1 ? INT16_MAX : in_range(r, INT16_MIN, INT16_MAX);
}

/* int16 tensors made of bytes get extremes. */
static void fill_codes(Rng *r, CaseTensor *t) {
  for (int32_t i = 0; i < t->rows * t->row / 2; i++) {
    const int16_t v = (int16_t)code16(r);
    memcpy(t->data + 2 * i, &v, 2);
  }
}

static void limits_s16(Rng *r, int32_t *lo, int32_t *hi) {
  *lo = rng_below(r, 2) ? INT16_MIN : in_range(r, INT16_MIN, 0);
  *hi = rng_below(r, 2) ? INT16_MAX : in_range(r, 1, INT16_MAX);
}

/* -- 64-bit sums -- */

static const int32_t *reduced(Rng *r, Arena *a, int32_t n) {
  int32_t *m = arena_array(a, (size_t)n, sizeof *m);
  for (int32_t i = 0; i < n; i++) m[i] = rng_below(r, 16) ? in_range(r, 1 << 14, 0x7fff) : 0x7fff;
  return m;
}

static const int8_t *wide_shifts(Rng *r, Arena *a, int32_t n) {
  int8_t *s = arena_alloc(a, (size_t)n);
  for (int32_t i = 0; i < n; i++)
    s[i] = (int8_t)(rng_below(r, 10) ? in_range(r, -12, -4) : in_range(r, -31, 7));
  return s;
}

static const int64_t *wide_bias(Rng *r, Arena *a, int32_t n) {
  int64_t *b = arena_array(a, (size_t)n, sizeof *b);
  for (int32_t i = 0; i < n; i++)
    b[i] = (rng_below(r, 8) ? in_range(r, -2000000, 2000000) : ((int64_t)1 << 46) - 1) *
           (rng_below(r, 2) ? 1 : -1);
  return rng_below(r, 4) ? b : NULL;
}

static void gen_conv(KernelCase *c, Rng *r, Arena *a) {
  mf_conv_s16 *p = c->params;
  p->g = window(r, true);
  conv_channels(c->kernel, r, &p->g, &p->groups, &p->w_tap, &p->w_out);
  limits_s16(r, &p->lo, &p->hi);
  p->w = random_weights(r, a, conv_weights(&p->g, p->w_tap, p->w_out));
  p->bias = wide_bias(r, a, p->g.out_c);
  p->mult = reduced(r, a, p->g.out_c);
  p->shift = wide_shifts(r, a, p->g.out_c);
  window_tensors(c, &p->g, r, a, 'h');
  fill_codes(r, &c->in[0]);
}

static void gen_conv_narrow(KernelCase *c, Rng *r, Arena *a) {
  mf_conv_s8 *p = c->params;
  p->g = window(r, true);
  conv_channels(c->kernel, r, &p->g, &p->groups, &p->w_tap, &p->w_out);
  limits_s16(r, &p->lo, &p->hi);
  p->w = random_weights(r, a, conv_weights(&p->g, p->w_tap, p->w_out));
  p->bias = rng_below(r, 4) ? random_data(r, a, p->g.out_c, 'i') : NULL;
  p->mult = multipliers(r, a, p->g.out_c);
  p->shift = shifts(r, a, p->g.out_c);
  window_tensors(c, &p->g, r, a, 'h');
  fill_codes(r, &c->in[0]);
}

static void gen_fc(KernelCase *c, Rng *r, Arena *a) {
  mf_fc_s16 *p = c->params;
  p->k = p->w_out = in_range(r, 1, rng_below(r, 4) ? 40 : 600);
  p->n = in_range(r, 1, 12);
  p->w_zero = rng_below(r, 2) ? 0 : in_range(r, -128, 127);
  p->per_channel = in_range(r, 0, 1);
  limits_s16(r, &p->lo, &p->hi);
  p->w = random_weights(r, a, p->n * p->k);
  p->bias = wide_bias(r, a, p->n);
  p->mult = reduced(r, a, p->n);
  p->shift = wide_shifts(r, a, p->n);
  vector_tensors(c, r, a, p->k, p->n, 'h');
  fill_codes(r, &c->in[0]);
}

static void gen_fc_narrow(KernelCase *c, Rng *r, Arena *a) {
  mf_fc_s8 *p = c->params;
  p->k = p->w_out = in_range(r, 1, rng_below(r, 4) ? 40 : 600);
  p->n = in_range(r, 1, 12);
  p->w_zero = rng_below(r, 2) ? 0 : in_range(r, -128, 127);
  p->per_channel = in_range(r, 0, 1);
  limits_s16(r, &p->lo, &p->hi);
  p->w = random_weights(r, a, p->n * p->k);
  p->bias = rng_below(r, 4) ? random_data(r, a, p->n, 'i') : NULL;
  p->mult = multipliers(r, a, p->n);
  p->shift = shifts(r, a, p->n);
  vector_tensors(c, r, a, p->k, p->n, 'h');
  fill_codes(r, &c->in[0]);
}

static void gen_matmul(KernelCase *c, Rng *r, Arena *a) {
  mf_matmul_s16 *p = c->params;
  *p = (mf_matmul_s16){in_range(r, 1, 12), in_range(r, 1, 12), in_range(r, 1 << 14, 0x7fff),
                       in_range(r, -18, -10)};
  vector_tensors(c, r, a, p->k, p->n, 'h');
  c->in[1] = tensor_rows(r, a, p->k, p->n, 'h');
  c->in[0].plain = c->in[1].plain = false;
  c->n_in = 2;
  c->reads = reads_matmul;
  for (int i = 0; i < 2; i++) fill_codes(r, &c->in[i]);
}

/* -- pools, means, elements -- */

static void gen_pool(KernelCase *c, Rng *r, Arena *a) {
  mf_pool_s8 *p = c->params;
  p->g = window(r, false);
  p->g.in_c = p->g.out_c = in_range(r, 1, 20);
  limits_s16(r, &p->lo, &p->hi);
  window_tensors(c, &p->g, r, a, 'h');
  fill_codes(r, &c->in[0]);
}

static void gen_mean_s16(KernelCase *c, Rng *r, Arena *a) {
  gen_mean(c, r, a);
  ((mf_mean *)c->params)->in_zero = ((mf_mean *)c->params)->out_zero = 0;
}

static void gen_add(KernelCase *c, Rng *r, Arena *a) {
  mf_add_s8 *p = c->params;
  binary_tensors(c, r, a);
  p->left_shift = 15;
  p->a_mult = random_multiplier(r);
  p->b_mult = rng_below(r, 2) ? random_multiplier(r) : -random_multiplier(r);
  p->a_shift = in_range(r, -4, -1);
  p->b_shift = in_range(r, -4, -1);
  const uint32_t larger = rng_below(r, 3); /* as TFLite has it: the larger scale's factor is 1/2 */
  if (larger == 0) p->a_mult = 1 << 30, p->a_shift = 0;
  if (larger == 1) p->b_mult = larger && p->b_mult < 0 ? -(1 << 30) : 1 << 30, p->b_shift = 0;
  p->out_mult = random_multiplier(r);
  p->out_shift = in_range(r, -17, -12);
  limits_s16(r, &p->lo, &p->hi);
  for (int i = 0; i < 2; i++) fill_codes(r, &c->in[i]);
}

static void gen_mul(KernelCase *c, Rng *r, Arena *a) {
  mf_mul_s8 *p = c->params;
  binary_tensors(c, r, a);
  p->out_mult = random_multiplier(r);
  p->out_shift = in_range(r, -18, -10);
  limits_s16(r, &p->lo, &p->hi);
  for (int i = 0; i < 2; i++) fill_codes(r, &c->in[i]);
}

static void gen_curve(KernelCase *c, Rng *r, Arena *a) {
  mf_curve_s16 *p = c->params;
  p->n = in_range(r, 1, 30);
  p->mult = rng_below(r, 3) ? in_range(r, 16384, 32767) : 3;
  p->shift = p->mult == 3 ? 0 : in_range(r, 0, 16);
  unary_tensors(c, r, a, p->n, 'h', 'h');
  fill_codes(r, &c->in[0]);
}

static void gen_leaky(KernelCase *c, Rng *r, Arena *a) {
  mf_leaky_s16 *p = c->params;
  *p = (mf_leaky_s16){in_range(r, 1, 30), random_multiplier(r), in_range(r, -4, 3), random_multiplier(r),
                      in_range(r, -6, 1)};
  if (rng_below(r, 4) == 0) p->neg_mult = -p->neg_mult;
  unary_tensors(c, r, a, p->n, 'h', 'h');
  fill_codes(r, &c->in[0]);
}

static void gen_softmax(KernelCase *c, Rng *r, Arena *a) {
  mf_softmax_s16 *p = c->params;
  int16_t *exp = arena_array(a, 513, 2), *inverse = arena_array(a, 513, 2);
  p->n = in_range(r, 1, 40);
  p->mult = random_multiplier(r);
  p->shift = in_range(r, -4, 3);
  for (int i = 0; i < 513; i++) { /* no exp and no reciprocal, but of their range and course */
    exp[i] = (int16_t)(32767 * (int64_t)i * i / (512 * 512));
    inverse[i] = (int16_t)(32767 - 32 * i);
  }
  p->exp = exp;
  p->inverse = inverse;
  unary_tensors(c, r, a, p->n, 'h', 'h');
  fill_codes(r, &c->in[0]);
}

static void gen_lstm(KernelCase *c, Rng *r, Arena *a) {
  mf_seq_lstm_s16 *p = c->params;
  int32_t *mult = arena_array(a, 11, sizeof *mult);
  int8_t *shift = arena_alloc(a, 11);
  int64_t *bias;
  p->steps = in_range(r, 1, 4);
  p->inputs = in_range(r, 1, 5);
  p->size = in_range(r, 1, 6);
  p->clip = rng_below(r, 2) ? in_range(r, 1, 32767) : 0;
  p->cell_log2 = in_range(r, -15, -9);
  p->w = random_data(r, a, 4 * p->size * p->inputs, 'b');
  p->r = random_data(r, a, 4 * p->size * p->size, 'b');
  p->bias = bias = arena_array(a, (size_t)(4 * p->size), sizeof *bias);
  for (int32_t i = 0; i < 4 * p->size; i++) bias[i] = in_range(r, -2000000, 2000000);
  for (int i = 0; i < 11; i++) {
    mult[i] = i < 8 ? in_range(r, 1 << 14, 0x7fff) : random_multiplier(r);
    shift[i] = (int8_t)(i < 8 ? in_range(r, -14, -7) : -14);
  }
  p->mult = mult;
  p->shift = shift;
  c->in[0] = tensor_rows(r, a, p->steps, p->inputs, 'h');
  for (int i = 1; i < 3; i++) c->in[i] = tensor_rows(r, a, 1, p->size, 'h');
  for (int i = 0; i < 3; i++) {
    c->in[i].ring = c->in[i].plain = false;
    fill_codes(r, &c->in[i]);
  }
  c->n_in = 3;
  c->reads = reads_all;
  c->out_rows = p->steps + 1;
  c->out_row = p->size * 2;
}

/* -- conversions -- */

static char code_kind(const char *type) {
  return strncmp(type, "s8", 2) == 0 ? 'b' : strncmp(type, "s16", 3) == 0 ? 'h' : 'i';
}

static void gen_requant(KernelCase *c, Rng *r, Arena *a) {
  mf_requant *p = c->params;
  const char *from = c->kernel->name + strlen("requantize_"), *to = strchr(from, '_') + 1;
  const char kind = code_kind(to);
  p->n = in_range(r, 1, 30);
  p->in_zero = code_kind(from) == 'b' ? in_range(r, -128, 127) : 0;
  p->out_zero = kind == 'b' ? in_range(r, -128, 127) : 0;
  p->mult = random_multiplier(r);
  p->shift = in_range(r, -9, 3);
  p->lo = kind == 'b' ? INT8_MIN : kind == 'h' ? INT16_MIN : INT32_MIN;
  p->hi = kind == 'b' ? INT8_MAX : kind == 'h' ? INT16_MAX : INT32_MAX;
  unary_tensors(c, r, a, p->n, code_kind(from), kind);
  if (code_kind(from) == 'h') fill_codes(r, &c->in[0]);
}

static void gen_quant(KernelCase *c, Rng *r, Arena *a) {
  mf_quant *p = c->params;
  const bool back = strncmp(c->kernel->name, "deq", 3) == 0;
  *p = (mf_quant){in_range(r, 1, 30), 0.00001f + rng_uniform(r) * 0.001f, in_range(r, -100, 100), INT16_MIN,
                  INT16_MAX};
  unary_tensors(c, r, a, p->n, back ? 'h' : 'f', back ? 'f' : 'h');
  if (back) fill_codes(r, &c->in[0]);
}

static const struct {
  const char *kernel;
  MakeCase *make;
} generators[] = {
    {"conv_s16", gen_conv},
    {"depthwise_s16", gen_conv},
    {"conv_s16_narrow", gen_conv_narrow},
    {"fc_s16", gen_fc},
    {"fc_s16_narrow", gen_fc_narrow},
    {"matmul_s16", gen_matmul},
    {"max_pool_s16", gen_pool},
    {"avg_pool_s16", gen_pool},
    {"mean_s16", gen_mean_s16},
    {"add_s16", gen_add},
    {"mul_s16", gen_mul},
    {"sigmoid_s16", gen_curve},
    {"tanh_s16", gen_curve},
    {"leaky_relu_s16", gen_leaky},
    {"softmax_s16", gen_softmax},
    {"seq_lstm_s16", gen_lstm},
    {"quantize_f32_s16", gen_quant},
    {"dequantize_s16", gen_quant},
};

MakeCase *gen_of_s16(const KernelDef *k) {
  for (size_t i = 0; i < sizeof generators / sizeof *generators; i++)
    if (strcmp(generators[i].kernel, k->name) == 0) return generators[i].make;
  const bool requantizes = strncmp(k->name, "requantize_", 11) == 0;
  return requantizes && (strstr(k->name, "s16") || strstr(k->name, "s32")) ? gen_requant : NULL;
}
