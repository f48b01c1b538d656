/* Generators of drafts for operators whose window slides over an image: convolutions and pools. */
#include "tests/random/gen.h"

#include <math.h>

/* strides, pads, dilations (where the operator has them) for a window over an image that fits at least once. */
static bool draw_window(Gen *r, Draft *t, const Shape *x, const int64_t kernel[2], bool pool) {
  int64_t strides[2], pads[4] = {0}, dil[2] = {1, 1};
  for (int i = 0; i < 2; i++) {
    strides[i] = gen_chance(r, 60) ? 1 : gen_int(r, 2, 3);
    if (!pool && gen_chance(r, 20)) dil[i] = gen_int(r, 2, 3);
    if (gen_chance(r, 50)) {
      pads[i] = gen_int(r, 0, (int)kernel[i] - (pool ? 1 : 0));
      pads[2 + i] = gen_int(r, 0, (int)kernel[i] - (pool ? 1 : 0));
    }
    if (x->d[1 + i] + pads[i] + pads[2 + i] < (kernel[i] - 1) * dil[i] + 1) return false;
  }
  gen_set_ints(t, "strides", strides, 2);
  gen_set_ints(t, "pads", pads, 4);
  gen_set_ints(t, "dilations", dil, 2);
  return true;
}

static void draw_kernel(Gen *r, int64_t kernel[2]) {
  kernel[0] = gen_int(r, 1, 4);
  kernel[1] = gen_chance(r, 60) ? kernel[0] : gen_int(r, 1, 4);
}

/* Weights, maybe a bias, and about what scale an int8 output has. */
static void add_weights(Gen *r, Draft *t, const Shape *w, int axis, int64_t outs, int64_t taps) {
  t->in[t->n_in++] = gen_weights(r, t->type, w, axis);
  if (gen_chance(r, 60)) t->in[t->n_in++] = gen_bias(r, t->type, outs);
  const Quant *qx = &r->g->vals[t->in[0]].quant, *qw = &r->g->vals[t->in[1]].quant;
  if (qw->n > 0 && qx->n > 0) t->scale = qx->scale[0] * qw->scale[0] * 64 * sqrtf((float)taps);
}

/* Groups: 1, some, or one for each channel. */
bool gen_conv(Gen *r, Draft *t) {
  int64_t kernel[2];
  ValId x = gen_value(r, t->type, 4, 4);
  const Shape s = *gen_shape_of(r, x);
  int64_t group = 1, channels = s.d[3];
  if (channels < 1) return false;
  if (gen_chance(r, 30)) {
    group = gen_int(r, 1, (int)channels);
    if (channels % group != 0) group = channels;
  }
  int64_t outs = group * gen_int(r, 1, group > 2 ? 2 : 6);
  draw_kernel(r, kernel);
  t->in[t->n_in++] = x;
  gen_set_int(t, "group", group);
  if (!draw_window(r, t, &s, kernel, false)) return false;
  const Shape w = shape_of(4, outs, kernel[0], kernel[1], channels / group);
  add_weights(r, t, &w, 0, outs, kernel[0] * kernel[1] * channels / group);
  return true;
}

bool gen_depthwise(Gen *r, Draft *t) {
  int64_t kernel[2];
  ValId x = gen_value(r, t->type, 4, 4);
  const Shape s = *gen_shape_of(r, x);
  int64_t outs = s.d[3] * gen_int(r, 1, 2);
  draw_kernel(r, kernel);
  t->in[t->n_in++] = x;
  if (s.d[3] < 1 || !draw_window(r, t, &s, kernel, false)) return false;
  const Shape w = shape_of(4, (int64_t)1, kernel[0], kernel[1], outs);
  add_weights(r, t, &w, 3, outs, kernel[0] * kernel[1]);
  return true;
}

bool gen_pool(Gen *r, Draft *t) {
  int64_t kernel[2];
  t->in[t->n_in++] = gen_value(r, t->type, 4, 4);
  draw_kernel(r, kernel);
  gen_set_ints(t, "kernel", kernel, 2);
  return draw_window(r, t, gen_shape_of(r, t->in[0]), kernel, true);
}

/* Groups, and rows and columns added at the end. */
bool draft_conv_transpose(Gen *r, Draft *t) {
  int64_t kernel[2], strides[2], pads[4] = {0}, dil[2], extra[2] = {0};
  ValId x = gen_value(r, t->type, 4, 4);
  const Shape s = *gen_shape_of(r, x);
  const int64_t group = s.d[3] % 2 == 0 && s.d[3] > 0 && gen_chance(r, 30) ? 2 : 1,
                outs = group * gen_int(r, 1, 4);
  draw_kernel(r, kernel);
  for (int i = 0; i < 2; i++) {
    strides[i] = gen_int(r, 1, 3);
    dil[i] = gen_chance(r, 70) ? 1 : 2;
    if (gen_chance(r, 40)) pads[i] = gen_int(r, 0, (int)kernel[i]);
    if (gen_chance(r, 40)) pads[2 + i] = gen_int(r, 0, (int)kernel[i]);
    if (gen_chance(r, 30)) extra[i] = gen_int(r, 0, (int)strides[i] - 1);
  }
  gen_set_ints(t, "strides", strides, 2);
  gen_set_ints(t, "pads", pads, 4);
  gen_set_ints(t, "dilations", dil, 2);
  gen_set_ints(t, "extra", extra, 2);
  gen_set_int(t, "group", group);
  const Shape w = shape_of(4, outs, kernel[0], kernel[1], s.d[3] / group), b = shape_of(1, outs);
  t->in[t->n_in++] = x;
  if (t->type == DT_I8) {
    add_weights(r, t, &w, 0, outs, kernel[0] * kernel[1] * s.d[3] / group);
    return true;
  }
  t->in[t->n_in++] =
      gen_chance(r, 70) ? gen_weights(r, t->type, &w, 0) : gen_value_like(r, t->type, &w, NULL);
  if (gen_chance(r, 60)) t->in[t->n_in++] = gen_value_like(r, t->type, &b, NULL);
  return true;
}
