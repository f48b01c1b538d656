/* ONNX Conv and ConvTranspose.
 *
 *   constant weights   brought to [O,Kh,Kw,I/group] (depthwise: [1,Kh,Kw,O]) at once
 *   computed weights   patches of the padded image, picked by a Gather, times the weights: a MatMul for each group
 *   three axes         the slices that a window takes in depth lie side by side as channels of a 2-D convolution
 *                      [N,D,H,W,C] -> Gather [N,D'*Kd,H,W,C] -> [N*D',H,W,Kd*C] -> Conv -> [N,D',H',W',O]
 *
 * Source: ONNX Conv-1,-11,-22, ConvTranspose-1,-11,-22.
 */
#include <inttypes.h>
#include <string.h>

#include "frontend/onnx/ops_window.h"
#include "ir/base/mem.h"

/* A value's elements under another shape: a constant stays one. */
static ValId view(OxCall *c, ValId v, const Shape *to, const char *suffix) {
  const Value *val = graph_val(c->g, v);
  if (!val->blob || shape_equal(&val->shape, to)) return ox_reshape(c, v, to, suffix);
  return graph_const(c->g, val->name, val->dtype, to, blob_ref(val->blob));
}

/* Weights' order of axes; a float32 constant stays one. */
static ValId order(OxCall *c, ValId v, const char *perm, const char *suffix) {
  if (v == NO_VAL) return NO_VAL;
  return ox_is_weights(c, v) ? ox_const_transpose(c, v, perm) : ox_transpose(c, v, perm, suffix);
}

/* A convolution as it is read. Weights [O,I/group,(Kd,)Kh,Kw], one-dimensional ones with Kh = 1. */
typedef struct Conv {
  ValId x, w, bias;
  Shape s, ws;
  OxWindow win;
  int64_t group;
  DType type; /* of the file; computed is float32 */
} Conv;

/* Input i as float32. */
static ValId float_in(OxCall *c, uint32_t i, const char *suffix) {
  ValId v = ox_in(c, i);
  if (v == NO_VAL) return NO_VAL;
  DType t = ox_type(c, v);
  if (ox_work_type(t) == DT_F32) return ox_cast(c, v, DT_F32, suffix);
  ox_fail(c, "input %u has elements of %s; supported are float32, float16 and bfloat16", i, dtype_name(t));
  return NO_VAL;
}

static bool check_kernel(OxCall *c, const OxWindow *w) {
  int64_t kernel[3];
  if (!ox_attr(c, "kernel_shape", OX_ATTR_INTS)) return !c->failed;
  TRY(ox_axis_list(c, "kernel_shape", w->n, 1, 1, kernel));
  for (int i = 0; i < 3; i++)
    OX_FAIL_IF(kernel[i] != w->kernel[i], c,
               "attribute \"kernel_shape\" has %" PRId64 ", the weights %" PRId64, kernel[i], w->kernel[i]);
  return true;
}

static bool read_conv(OxCall *c, Conv *v) {
  TRY(ox_image(c, &v->x, &v->s));
  v->type = ox_type(c, v->x);
  v->x = float_in(c, 0, "x");
  v->w = float_in(c, 1, "w");
  v->bias = ox_has(c, 2) ? float_in(c, 2, "b") : NO_VAL;
  TRY(v->x != NO_VAL && v->w != NO_VAL);
  v->ws = ox_shape(c, v->w);
  OX_FAIL_IF(v->ws.rank != v->s.rank, c, "weights have %" PRId32 " dimensions for an input of %" PRId32,
             v->ws.rank, v->s.rank);
  v->group = ox_int(c, "group", 1);
  for (int i = 0; i < 3; i++) {
    int axis = v->ws.rank - 3 + i;
    v->win.kernel[i] = axis >= 2 ? v->ws.d[axis] : 1;
    OX_FAIL_IF(v->win.kernel[i] > OX_WINDOW_MAX, c, "weights have a window of more than %d", OX_WINDOW_MAX);
  }
  if (v->s.rank == 3) {
    v->ws = (Shape){4, {v->ws.d[0], v->ws.d[1], 1, v->ws.d[2]}};
    v->w = view(c, v->w, &v->ws, "w1");
  }
  return v->w != NO_VAL;
}

static bool end_conv(OxCall *c, const Conv *v, ValId y) {
  bool other = v->type != DT_F32;
  y = ox_channels_second(c, y, v->win.n, other ? "f32" : NULL);
  return ox_done(c, ox_cast(c, y, v->type, NULL));
}

/* -- constant weights -- */

static ValId conv_node(OxCall *c, const Conv *v, ValId x, ValId w, int64_t channels) {
  ValId in[3] = {x, NO_VAL, v->bias};
  Shape s = ox_shape(c, w);
  const OxWindow *win = &v->win;
  if (v->group > 1 && v->group == channels && s.d[1] == 1) {
    in[1] = ox_const_transpose(c, w, "1230");
    depthwise_conv_attrs a = {.strides = ox_pair(win->stride),
                              .pads = ox_pads(win),
                              .dilations = ox_pair(win->dilation),
                              .act = ACT_NONE};
    return ox_node(c, OP_depthwise_conv, &a, in, 3, "conv");
  }
  in[1] = ox_const_transpose(c, w, "0231");
  conv_attrs a = {.strides = ox_pair(win->stride),
                  .pads = ox_pads(win),
                  .dilations = ox_pair(win->dilation),
                  .group = (int32_t)v->group,
                  .act = ACT_NONE};
  return ox_node(c, OP_conv, &a, in, 3, "conv");
}

static int64_t out_extent(const OxWindow *w, int i) {
  return (w->in[i] + w->before[i] + w->after[i] - ox_span(w, i)) / w->stride[i] + 1;
}

static ValId pad_axis(OxCall *c, ValId x, int axis, int64_t before, int64_t after, const char *suffix) {
  if (x == NO_VAL || (before == 0 && after == 0)) return x;
  int rank = ox_shape(c, x).rank;
  pad_attrs a = {.pads = {.n = 2 * rank}};
  a.pads.v[axis] = before;
  a.pads.v[rank + axis] = after;
  return ox_node(c, OP_pad, &a, &x, 1, suffix);
}

/* Places of each window's taps along axis i of the padded image, into idx[out * kernel]. */
static void tap_places(const OxWindow *w, int i, int64_t out, int32_t *idx) {
  for (int64_t o = 0; o < out; o++)
    for (int64_t k = 0; k < w->kernel[i]; k++) *idx++ = (int32_t)(o * w->stride[i] + k * w->dilation[i]);
}

/* Weights [O,I,Kd,Kh,Kw] as [O, Kd*I, Kh, Kw], the slices of one group side by side. */
static ValId depth_weights(OxCall *c, const Conv *v) {
  const Shape *s = &v->ws;
  ValId w = order(c, v->w, "02134", "kd");
  return w == NO_VAL ? w : view(c, w, &(Shape){4, {s->d[0], s->d[2] * s->d[1], s->d[3], s->d[4]}}, "wd");
}

static ValId conv_depth(OxCall *c, Conv *v) {
  int64_t out = out_extent(&v->win, 0), kd = v->win.kernel[0], g = v->group;
  OX_FAIL_IF(!shape_is_static(&v->s), c, "has three spatial axes and a symbolic batch; fix the batch");
  OX_FAIL_IF(out < 1 || out > OX_WINDOW_MAX || out * kd > OX_LIST_MAX, c,
             "has %" PRId64 " output slices of %" PRId64 " each", out, kd);
  ValId x = pad_axis(c, ox_channels_last(c, v->x), 1, v->win.before[0], v->win.after[0], "padded");
  int32_t *idx = arena_array(c->m->arena, (size_t)(out * kd), sizeof *idx);
  tap_places(&v->win, 0, out, idx);
  x = ox_pick(c, x, 1, idx, out * kd, "slices");
  if (x == NO_VAL) return NO_VAL;
  Shape s = ox_shape(c, x);
  int64_t n = s.d[0], h = s.d[2], w = s.d[3], ch = s.d[4];
  x = ox_reshape(c, x, &(Shape){6, {n * out, kd, h, w, g, ch / g}}, "grouped");
  x = ox_transpose(c, x, "023415", "side");
  x = ox_reshape(c, x, &(Shape){4, {n * out, h, w, kd * ch}}, "deep");
  ValId y = conv_node(c, v, x, depth_weights(c, v), kd * ch);
  if (y == NO_VAL) return NO_VAL;
  Shape ys = ox_shape(c, y);
  return ox_reshape(c, y, &(Shape){5, {n, out, ys.d[1], ys.d[2], ys.d[3]}}, "ndhwo");
}

/* -- computed weights -- */

/* The image's patches [N, places, taps, C] of the padded, channels-last image. */
static ValId patches(OxCall *c, const Conv *v, const int64_t out[3]) {
  const OxWindow *w = &v->win;
  ValId x = ox_channels_last(c, v->x);
  int64_t e[3], taps = w->kernel[0] * w->kernel[1] * w->kernel[2], places = out[0] * out[1] * out[2];
  for (int i = 0; i < 3; i++) {
    e[i] = w->in[i] + w->before[i] + w->after[i];
    if (v->win.n == 3 || i > 0)
      x = pad_axis(c, x, v->win.n == 3 ? 1 + i : i, w->before[i], w->after[i], "padded");
  }
  if (x == NO_VAL) return NO_VAL;
  int32_t *at[3], *idx = arena_array(c->m->arena, (size_t)(places * taps), sizeof *idx), *to = idx;
  for (int i = 0; i < 3; i++) {
    at[i] = arena_array(c->m->arena, (size_t)(out[i] * w->kernel[i]), sizeof **at);
    tap_places(w, i, out[i], at[i]);
  }
  for (int64_t p = 0; p < places; p++)
    for (int64_t t = 0; t < taps; t++) {
      int64_t o[3] = {p / (out[1] * out[2]), p / out[2] % out[1], p % out[2]};
      int64_t k[3] = {t / (w->kernel[1] * w->kernel[2]), t / w->kernel[2] % w->kernel[1], t % w->kernel[2]},
              q = 0;
      for (int i = 0; i < 3; i++) q = q * e[i] + at[i][o[i] * w->kernel[i] + k[i]];
      *to++ = (int32_t)q;
    }
  Shape s = ox_shape(c, x);
  int64_t ch = s.d[s.rank - 1];
  x = ox_reshape(c, x, &(Shape){3, {s.d[0], e[0] * e[1] * e[2], ch}}, "pixels");
  x = ox_pick(c, x, 1, idx, places * taps, "picked");
  return ox_reshape(c, x, &(Shape){4, {s.d[0], places, taps, ch}}, "patches");
}

static ValId conv_patches(OxCall *c, Conv *v) {
  int64_t out[3], g = v->group, outs = v->ws.d[0] / g, ins = v->ws.d[1], places = 1, taps = 1;
  for (int i = 0; i < 3; i++) {
    out[i] = out_extent(&v->win, i);
    taps *= v->win.kernel[i];
    OX_FAIL_IF(out[i] < 1 || out[i] > OX_WINDOW_MAX, c, "has %" PRId64 " output places", out[i]);
    places *= out[i];
  }
  OX_FAIL_IF(taps > OX_LIST_MAX || places > OX_LIST_MAX / taps,
             c, /* their product may have more than 64 bits */
             "has computed weights and too large an image; make the weights constants");
  ValId x = patches(c, v, out);
  if (x == NO_VAL) return NO_VAL;
  int64_t n = ox_shape(c, x).d[0];
  x = ox_reshape(c, x, &(Shape){5, {n, places, taps, g, ins}}, "grouped"); /* [N,P,T,g,I] -> [N,g,P,T*I] */
  x = ox_transpose(c, x, "03124", "groups");
  x = ox_reshape(c, x, &(Shape){4, {n, g, places, taps * ins}}, "rows");
  ValId w = ox_reshape(c, v->w, &(Shape){4, {g, outs, ins, taps}}, "wg"); /* [g,O,I,T] -> [g,T*I,O] */
  w = ox_transpose(c, w, "0321", "wt");
  w = ox_reshape(c, w, &(Shape){3, {g, taps * ins, outs}}, "columns");
  ValId y = ox_node(c, OP_matmul, NULL, (ValId[2]){x, w}, 2, "product");
  y = ox_transpose(c, y, "0213", "places"); /* [N,P,g,O] */
  Shape to = {5, {n, out[0], out[1], out[2], g * outs}}, flat = {4, {n, out[1], out[2], g * outs}};
  y = ox_reshape(c, y, v->win.n == 3 ? &to : &flat, "nhwo");
  return v->bias == NO_VAL ? y : ox_node(c, OP_add, NULL, (ValId[2]){y, v->bias}, 2, "biased");
}

bool ox_import_conv(OxCall *c) {
  Conv v = {.win = {.n = 0}};
  TRY(read_conv(c, &v) && ox_window(c, &v.s, &v.win) && check_kernel(c, &v.win));
  OX_FAIL_IF(v.group < 1 || v.group > INT32_MAX || v.group * v.ws.d[1] != v.s.d[1] ||
                 v.ws.d[0] % v.group != 0,
             c, "has %" PRId64 " groups of %" PRId64 " input channels; the input has %" PRId64, v.group,
             v.ws.d[1], v.s.d[1]);
  bool constant = ox_is_weights(c, v.w) && (v.bias == NO_VAL || ox_is_weights(c, v.bias));
  if (!constant) return end_conv(c, &v, conv_patches(c, &v));
  if (v.win.n == 3) return end_conv(c, &v, conv_depth(c, &v));
  return end_conv(c, &v, conv_node(c, &v, ox_channels_last(c, v.x), v.w, v.s.d[1]));
}

/* -- ConvTranspose -- */

/* Padding and what is added at the end, from pads, output_padding, output_shape, auto_pad. */
static bool transposed_pads(OxCall *c, OxWindow *w, int64_t extra[3]) {
  int64_t shape[3];
  bool given = ox_attr(c, "output_shape", OX_ATTR_INTS) != NULL;
  int how = ox_auto_pad(c);
  TRY(how >= 0 && ox_axis_list(c, "output_padding", w->n, 0, 0, extra));
  Ints list;
  if (given && ox_ints(c, "output_shape", &list) &&
      list.n == w->n + 2) { /* with batch and channels, as some write it */
    for (int i = 0; i < 3; i++) shape[i] = i >= 3 - w->n ? list.v[list.n - 3 + i] : 1;
  } else {
    TRY(ox_axis_list(c, "output_shape", w->n, 1, 1, shape));
  }
  if (!given && how < 2) return how == 1 || ox_explicit_pads(c, w);
  for (int i = 0; i < 3; i++) {
    int64_t full = w->stride[i] * (w->in[i] - 1) + extra[i] + ox_span(w, i);
    int64_t total = full - (given ? shape[i] : w->in[i] * w->stride[i]);
    if (i < 3 - w->n) total = 0;
    if (total < 0) { /* larger than all windows together: more of nothing at the end */
      extra[i] -= total;
      total = 0;
    }
    w->before[i] = how == 2 ? total / 2 : total - total / 2;
    w->after[i] = total - w->before[i];
  }
  return true;
}

static ValId transposed_node(OxCall *c, const Conv *v, ValId x, ValId w, const int64_t extra[3]) {
  conv_transpose_attrs a = {.strides = ox_pair(v->win.stride),
                            .pads = ox_pads(&v->win),
                            .dilations = ox_pair(v->win.dilation),
                            .extra = ox_pair(extra),
                            .group = (int32_t)v->group,
                            .act = ACT_NONE};
  return ox_node(c, OP_conv_transpose, &a, (ValId[3]){x, w, v->bias}, 3, "conv");
}

/* Weights [g*I,O,(Kd,)Kh,Kw] as [g*O,Kh,Kw,Kd*I], the slices of depth mirrored. */
static ValId transposed_weights(OxCall *c, const Conv *v) {
  const Shape *s = &v->ws;
  int64_t g = v->group, ins = s->d[0] / g, outs = s->d[1], kd = v->win.kernel[0];
  int64_t kh = v->win.kernel[1], kw = v->win.kernel[2];
  ValId w = view(c, v->w, &(Shape){6, {g, ins, outs, kd, kh, kw}}, "wg");
  slice_attrs mirror = {.starts = {6, {0, 0, 0, kd - 1, 0, 0}},
                        .counts = {6, {g, ins, outs, kd, kh, kw}},
                        .steps = {6, {1, 1, 1, -1, 1, 1}}};
  if (kd > 1 && w != NO_VAL) w = ox_folded(c, ox_node(c, OP_slice, &mirror, &w, 1, "mirrored"));
  w = order(c, w, "024531", "wt");
  return w == NO_VAL ? w : view(c, w, &(Shape){4, {g * outs, kh, kw, kd * ins}}, "ohwi");
}

/* Three axes: zeros between and around the slices; an output slice's are side by side as channels of a 2-D one. */
static ValId transposed_depth(OxCall *c, const Conv *v, const int64_t extra[3]) {
  const OxWindow *w = &v->win;
  int64_t g = v->group, kd = w->kernel[0], reach = (kd - 1) * w->dilation[0], n = v->s.d[0];
  int64_t out = (w->in[0] - 1) * w->stride[0] + reach + 1 + extra[0] - w->before[0] - w->after[0];
  OX_FAIL_IF(!shape_is_static(&v->s), c, "has three spatial axes and a symbolic batch; fix the batch");
  OX_FAIL_IF(out < 1 || out > OX_WINDOW_MAX || out * kd > OX_LIST_MAX, c,
             "has %" PRId64 " output slices of %" PRId64 " each", out, kd);
  ValId x = ox_channels_last(c, v->x);
  if (x == NO_VAL) return x;
  Shape s = ox_shape(c, x);
  x = ox_reshape(c, x, &(Shape){6, {n, s.d[1], 1, s.d[2], s.d[3], s.d[4]}}, "apart");
  x = pad_axis(c, x, 2, 0, w->stride[0] - 1, "stuffed");
  int64_t full = s.d[1] * w->stride[0];
  x = ox_reshape(c, x, &(Shape){5, {n, full, s.d[2], s.d[3], s.d[4]}}, "slices");
  int64_t front = reach, back = out + w->before[0] - full > 0 ? out + w->before[0] - full : 0;
  x = pad_axis(c, x, 1, front, back, "padded");
  int32_t *idx = arena_array(c->m->arena, (size_t)(out * kd), sizeof *idx);
  for (int64_t o = 0; o < out; o++)
    for (int64_t k = 0; k < kd; k++) idx[o * kd + k] = (int32_t)(o + w->before[0] + k * w->dilation[0]);
  x = ox_pick(c, x, 1, idx, out * kd, "picked");
  x = ox_reshape(c, x, &(Shape){6, {n * out, kd, s.d[2], s.d[3], g, s.d[4] / g}}, "grouped");
  x = ox_transpose(c, x, "023415", "side");
  x = ox_reshape(c, x, &(Shape){4, {n * out, s.d[2], s.d[3], kd * s.d[4]}}, "deep");
  ValId y = transposed_node(c, v, x, transposed_weights(c, v), extra);
  if (y == NO_VAL) return y;
  Shape ys = ox_shape(c, y);
  return ox_reshape(c, y, &(Shape){5, {n, out, ys.d[1], ys.d[2], ys.d[3]}}, "ndhwo");
}

bool ox_import_conv_transpose(OxCall *c) {
  Conv v = {.win = {.n = 0}};
  int64_t extra[3] = {0};
  TRY(read_conv(c, &v));
  v.win.n = v.s.rank - 2;
  for (int i = 0; i < 3; i++) v.win.in[i] = i >= 3 - v.win.n ? v.s.d[v.s.rank - 3 + i] : 1;
  TRY(ox_axis_list(c, "strides", v.win.n, 1, 1, v.win.stride));
  TRY(ox_axis_list(c, "dilations", v.win.n, 1, 1, v.win.dilation));
  TRY(check_kernel(c, &v.win) && transposed_pads(c, &v.win, extra));
  OX_FAIL_IF(v.group < 1 || v.ws.d[0] != v.s.d[1] || v.s.d[1] % v.group != 0, c,
             "has %" PRId64 " groups and weights for %" PRId64 " channels; the input has %" PRId64, v.group,
             v.ws.d[0], v.s.d[1]);
  if (v.win.n == 3) return end_conv(c, &v, transposed_depth(c, &v, extra));
  return end_conv(c, &v, transposed_node(c, &v, ox_channels_last(c, v.x), transposed_weights(c, &v), extra));
}
