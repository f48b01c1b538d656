/* Random cases for kernels with windows: convolutions and pools, their shapes, borders, weights and multipliers. */
#include "tests/kernels/kernel_gen.h"

#include <string.h>

/* Padding and the output's size, for all else. */
static void pad_window(Rng *r, mf_window *g) {
  int32_t span_h = (g->k_h - 1) * g->dil_h + 1, span_w = (g->k_w - 1) * g->dil_w + 1;
  g->pad_top = in_range(r, 0, span_h - 1);
  g->pad_left = in_range(r, 0, span_w - 1);
  int32_t h = g->in_h + g->pad_top + in_range(r, 0, span_h - 1),
          w = g->in_w + g->pad_left + in_range(r, 0, span_w - 1);
  g->out_h = h < span_h ? 1 : (h - span_h) / g->stride_h + 1;
  g->out_w = w < span_w ? 1 : (w - span_w) / g->stride_w + 1;
}

mf_window window(Rng *r, bool dilated) {
  mf_window g = {.in_h = in_range(r, 1, 9), .in_w = in_range(r, 1, 9), .in_c = in_range(r, 1, 4)};
  g.k_h = in_range(r, 1, rng_below(r, 4) ? 3 : 5);
  g.k_w = in_range(r, 1, rng_below(r, 4) ? 3 : 5);
  g.dil_h = dilated ? in_range(r, 1, 2) : 1;
  g.dil_w = dilated ? in_range(r, 1, 3) : 1;
  g.stride_h = in_range(r, 1, 3);
  g.stride_w = in_range(r, 1, 3);
  pad_window(r, &g);
  return g;
}

/* What kernels are written for above all: 3x3 or a single pixel; one image in four is wide. */
static mf_window usual_window(Rng *r) {
  mf_window g = {.in_h = in_range(r, 1, 5), .in_w = in_range(r, 1, rng_below(r, 4) ? 9 : 40), .in_c = 1};
  g.k_h = g.k_w = rng_below(r, 3) ? 3 : 1;
  g.dil_h = g.dil_w = 1;
  g.stride_h = g.stride_w = in_range(r, 1, 2);
  pad_window(r, &g);
  return g;
}

static void reads_window(const KernelCase *c, int i, int32_t y, int32_t *lo, int32_t *hi) {
  const mf_window *g = c->params; /* the first member */
  (void)i;
  *lo = y * g->stride_h - g->pad_top;
  *hi = *lo + (g->k_h - 1) * g->dil_h + 1;
  if (*lo < 0) *lo = 0;
  if (*hi > g->in_h) *hi = g->in_h;
}

void window_tensors(KernelCase *c, const mf_window *g, Rng *r, Arena *a, char kind) {
  c->in[0] = tensor_rows(r, a, g->in_h, g->in_w * g->in_c, kind);
  c->in[0].plain = false;
  c->n_in = 1;
  c->out_rows = g->out_h;
  c->out_row = g->out_w * g->out_c * kind_size(kind);
  c->reads = reads_window;
  snprintf(c->text, sizeof c->text,
           "in %dx%dx%d out %dx%dx%d kernel %dx%d stride %d,%d pad %d,%d dilation %d,%d", (int)g->in_h,
           (int)g->in_w, (int)g->in_c, (int)g->out_h, (int)g->out_w, (int)g->out_c, (int)g->k_h, (int)g->k_w,
           (int)g->stride_h, (int)g->stride_w, (int)g->pad_top, (int)g->pad_left, (int)g->dil_h,
           (int)g->dil_w);
}

/* Channels of a convolution and its dense weight strides. */
void conv_channels(const KernelDef *k, Rng *r, mf_window *g, int32_t *groups, int32_t *w_tap,
                   int32_t *w_out) {
  if (strncmp(k->name, "depthwise", 9) == 0) {
    g->in_c = rng_below(r, 2) ? in_range(r, 1, 20) : rng_below(r, 4) ? 4 * in_range(r, 1, 10) : 8;
    g->out_c = g->in_c * (rng_below(r, 3) ? 1 : in_range(r, 2, 3));
    *groups = g->in_c;
    *w_tap = g->out_c;
    *w_out = 0;
    return;
  }
  *groups = rng_below(r, 3) ? 1 : in_range(r, 2, 3);
  g->in_c = *groups * in_range(r, 1, rng_below(r, 3) ? 5 : 19);
  if (rng_below(r, 4) == 0) g->in_c = *groups * 4 * in_range(r, 1, 9);
  g->out_c = *groups * in_range(r, 1, rng_below(r, 3) ? 5 : 13);
  if (strcmp(k->set, "generic") != 0 && rng_below(r, 3) == 0) g->out_c = *groups * in_range(r, 6, 40);
  *w_tap = g->in_c / *groups;
  *w_out = g->k_h * g->k_w * *w_tap;
}

/* Weights: as most converters make them, without -128, in three of four cases. */
int8_t *random_weights(Rng *r, Arena *a, int32_t n) {
  int8_t *w = random_data(r, a, n, 'b');
  bool symmetric = rng_below(r, 4) > 0;
  for (int32_t i = 0; symmetric && i < n; i++)
    if (w[i] == -128) w[i] = -127;
  return w;
}

int32_t conv_weights(const mf_window *g, int32_t w_tap, int32_t w_out) {
  return w_out ? g->out_c * w_out : g->k_h * g->k_w * w_tap;
}

void limits_f32(Rng *r, float *lo, float *hi) {
  *lo = rng_below(r, 2) ? -1e30f : 0;
  *hi = rng_below(r, 2) ? 1e30f : 1.5f;
}

void limits_s8(Rng *r, int32_t *lo, int32_t *hi) {
  *lo = rng_below(r, 2) ? -128 : in_range(r, -128, 0);
  *hi = rng_below(r, 2) ? 127 : in_range(r, 1, 127);
}

/* Windows that Winograd's method takes. */
static mf_window square(Rng *r) {
  mf_window g = {.in_h = in_range(r, 1, 20), .in_w = in_range(r, 1, rng_below(r, 4) ? 20 : 70)};
  g.k_h = g.k_w = 3;
  g.stride_h = g.stride_w = g.dil_h = g.dil_w = 1;
  g.pad_top = in_range(r, 0, 2);
  g.pad_left = in_range(r, 0, 2);
  int32_t h = g.in_h + g.pad_top + in_range(r, 0, 2), w = g.in_w + g.pad_left + in_range(r, 0, 2);
  g.out_h = h < 3 ? 1 : h - 2;
  g.out_w = w < 3 ? 1 : w - 2;
  return g;
}

/* An image of one column, or a 3x3 window without dilation, where the case is of a depthwise convolution, at times. */
static void make_special(const KernelDef *k, Rng *r, mf_window *g) {
  uint32_t kind = rng_below(r, 4);
  bool x86 = strcmp(k->set, "avx2") == 0 || strcmp(k->set, "sse41") == 0;
  if (strncmp(k->name, "depthwise", 9) != 0 || !x86 || kind > 1) return;
  if (kind == 0) {
    g->in_w = g->out_w = g->k_w = 1;
    g->pad_left = 0;
    return;
  }
  int32_t stride = in_range(r, 1, 2);
  mf_window s = square(r);
  s.stride_w = stride;
  s.out_w = (s.out_w - 1) / stride + 1;
  *g = s;
}

void gen_conv_f32(KernelCase *c, Rng *r, Arena *a) {
  mf_conv_f32 *p = c->params;
  p->g = strstr(c->kernel->tag, "winograd") ? square(r) : window(r, true);
  make_special(c->kernel, r, &p->g);
  conv_channels(c->kernel, r, &p->g, &p->groups, &p->w_tap, &p->w_out);
  limits_f32(r, &p->lo, &p->hi);
  p->w = random_data(r, a, conv_weights(&p->g, p->w_tap, p->w_out), 'f');
  p->bias = rng_below(r, 4) ? random_data(r, a, p->g.out_c, 'f') : NULL;
  window_tensors(c, &p->g, r, a, 'f');
}

int32_t random_multiplier(Rng *r) {
  return rng_below(r, 16) ? in_range(r, 1 << 30, INT32_MAX - 1) : INT32_MAX;
}

const int8_t *shifts(Rng *r, Arena *a, int32_t n) {
  int8_t *s = arena_alloc(a, (size_t)n);
  for (int32_t i = 0; i < n; i++)
    s[i] = (int8_t)(rng_below(r, 10) ? in_range(r, -12, -4) : in_range(r, -31, 3));
  return s;
}

const int32_t *multipliers(Rng *r, Arena *a, int32_t n) {
  int32_t *m = arena_array(a, (size_t)n, sizeof *m);
  for (int32_t i = 0; i < n; i++) m[i] = random_multiplier(r);
  return m;
}

void gen_conv_s8(KernelCase *c, Rng *r, Arena *a) {
  mf_conv_s8 *p = c->params;
  p->g = strstr(c->kernel->tag, "winograd") ? square(r) : rng_below(r, 2) ? window(r, true) : usual_window(r);
  make_special(c->kernel, r, &p->g);
  conv_channels(c->kernel, r, &p->g, &p->groups, &p->w_tap, &p->w_out);
  p->in_zero = random_code(r);
  p->out_zero = random_code(r);
  limits_s8(r, &p->lo, &p->hi);
  if (rng_below(r, 3) == 0) p->out_zero = p->lo; /* a ReLU */
  p->w = random_weights(r, a, conv_weights(&p->g, p->w_tap, p->w_out));
  p->bias = rng_below(r, 4) ? random_data(r, a, p->g.out_c, 'i') : NULL;
  p->mult = multipliers(r, a, p->g.out_c);
  p->shift = shifts(r, a, p->g.out_c);
  window_tensors(c, &p->g, r, a, 'b');
}

/* As conv_s8, with weights of a zero point; one in three is laid out as a depthwise convolution. */
void gen_conv_s8_even(KernelCase *c, Rng *r, Arena *a) {
  mf_conv_s8_even *p = c->params;
  const bool sums = name_ends(c->kernel->name, "_sums"), depthwise = rng_below(r, 3) == 0;
  p->g = window(r, true);
  conv_channels(c->kernel, r, &p->g, &p->groups, &p->w_tap, &p->w_out);
  if (depthwise) {
    p->groups = p->g.in_c;
    p->w_tap = p->g.out_c = p->g.in_c * in_range(r, 1, 2);
    p->w_out = 1;
  }
  p->in_zero = random_code(r);
  p->out_zero = random_code(r);
  limits_s8(r, &p->lo, &p->hi);
  p->w = random_data(r, a, p->g.out_c * p->g.k_h * p->g.k_w * (p->g.in_c / p->groups), 'b');
  p->bias = rng_below(r, 4) ? random_data(r, a, p->g.out_c, 'i') : NULL;
  int32_t *zero = arena_array(a, (size_t)p->g.out_c, sizeof *zero);
  float *scale = arena_array(a, (size_t)p->g.out_c, sizeof *scale);
  for (int32_t o = 0; o < p->g.out_c; o++) {
    zero[o] = random_code(r);
    scale[o] = rng_below(r, 4) ? 0.0007f * (float)in_range(r, 1, 40) : 0.5f; /* halves, too */
  }
  p->w_zero = rng_below(r, 2) ? zero : NULL;
  p->scale = sums ? NULL : scale;
  window_tensors(c, &p->g, r, a, 'b');
  if (sums) c->out_row *= 4;
}

void gen_pool_f32(KernelCase *c, Rng *r, Arena *a) {
  mf_pool_f32 *p = c->params;
  p->g = window(r, true);
  p->g.in_c = p->g.out_c = in_range(r, 1, 20);
  p->count_include_pad = in_range(r, 0, 1);
  limits_f32(r, &p->lo, &p->hi);
  window_tensors(c, &p->g, r, a, 'f');
}

void gen_pool_s8(KernelCase *c, Rng *r, Arena *a) {
  mf_pool_s8 *p = c->params;
  p->g = window(r, false);
  p->g.in_c = p->g.out_c = in_range(r, 1, 20);
  limits_s8(r, &p->lo, &p->hi);
  window_tensors(c, &p->g, r, a, 'b');
}
