/* ONNX operators with a window: Conv, MaxPool, AveragePool, GlobalMaxPool, GlobalAveragePool.
 *
 *   x [N,C,H,W] -> Transpose -> NHWC operator -> Transpose -> [N,O,H',W']
 *   x [N,C,L]   -> Transpose -> [N,L,C] -> Reshape [N,1,L,C] -> NHWC operator -> Reshape, Transpose -> [N,O,L']
 *
 * Weights are brought to [O,Kh,Kw,I/group] (depthwise: [1,Kh,Kw,O]) at once. auto_pad and ceil_mode become explicit
 * padding. Source: ONNX Conv-1,-11,-22, MaxPool-8..22, AveragePool-7..22.
 */
#include "frontend/onnx/onnx_op.h"

#include <inttypes.h>

enum { WINDOW_MAX = 1 << 15 }; /* strides, dilations, kernels, paddings */

/* A window over H and W; a 1-D operator has H = 1. */
typedef struct OxWindow {
  int n;                                            /* 1 or 2 spatial axes in the file */
  int64_t in[2], kernel[2], stride[2], dilation[2]; /* rows, columns */
  int64_t before[2], after[2];                      /* padding */
} OxWindow;

/* A list attribute with one entry per spatial axis, into v[2] (a 1-D operator fills columns alone). */
static bool axis_list(OxCall *c, const char *name, int n, int64_t *v) {
  Ints list;
  v[0] = v[1] = 1;
  if (!ox_ints(c, name, &list)) return !c->failed;
  OX_FAIL_IF(list.n != n, c, "attribute \"%s\" has %" PRId32 " entries; want %d", name, list.n, n);
  for (int i = 0; i < n; i++) {
    v[2 - n + i] = list.v[i];
    OX_FAIL_IF(list.v[i] < 1 || list.v[i] > WINDOW_MAX, c, "attribute \"%s\" has %" PRId64 "; want 1 to %d",
               name, list.v[i], WINDOW_MAX);
  }
  return true;
}

static int64_t span(const OxWindow *w, int i) { return (w->kernel[i] - 1) * w->dilation[i] + 1; }

static bool explicit_pads(OxCall *c, OxWindow *w) {
  Ints pads;
  if (!ox_ints(c, "pads", &pads)) return !c->failed;
  OX_FAIL_IF(pads.n != 2 * w->n, c, "attribute \"pads\" has %" PRId32 " entries; want %d", pads.n, 2 * w->n);
  for (int i = 0; i < w->n; i++) {
    int axis = 2 - w->n + i;
    w->before[axis] = pads.v[i];
    w->after[axis] = pads.v[w->n + i];
    for (int side = 0; side < 2; side++) {
      int64_t p = pads.v[side * w->n + i];
      OX_FAIL_IF(p < 0 || p > WINDOW_MAX, c, "attribute \"pads\" has %" PRId64 "; want 0 to %d", p,
                 WINDOW_MAX);
    }
  }
  return true;
}

/* SAME: out = ceil(in / stride); the odd one of an odd total goes after (upper) or before (lower). */
static void same_pads(OxWindow *w, bool lower) {
  for (int i = 0; i < 2; i++) {
    int64_t out = (w->in[i] + w->stride[i] - 1) / w->stride[i];
    int64_t total = (out - 1) * w->stride[i] + span(w, i) - w->in[i];
    if (total < 0) total = 0;
    w->before[i] = lower ? total - total / 2 : total / 2;
    w->after[i] = total - w->before[i];
  }
}

/* Strides, dilations and padding of the operator over image x [N,C,(H,)W]; w->kernel is set. */
static bool read_window(OxCall *c, const Shape *x, OxWindow *w) {
  w->n = x->rank - 2;
  for (int i = 0; i < 2; i++) {
    w->in[i] = i >= 2 - w->n ? x->d[x->rank - 2 + i] : 1;
    w->before[i] = w->after[i] = 0;
  }
  TRY(axis_list(c, "strides", w->n, w->stride) && axis_list(c, "dilations", w->n, w->dilation));
  const OxAttr *a = ox_attr(c, "auto_pad", OX_ATTR_STRING);
  if (!a || a->s.n == 0 || wire_str_is(a->s, "NOTSET")) return explicit_pads(c, w);
  if (wire_str_is(a->s, "VALID")) return true;
  bool lower = wire_str_is(a->s, "SAME_LOWER");
  OX_FAIL_IF(!lower && !wire_str_is(a->s, "SAME_UPPER"), c,
             "attribute \"auto_pad\" is \"%.*s\"; want NOTSET, VALID, SAME_UPPER or SAME_LOWER",
             a->s.n < 40 ? (int)a->s.n : 40, (const char *)a->s.p);
  same_pads(w, lower);
  return true;
}

/* x with one or two spatial axes, float32. */
static bool image_input(OxCall *c, ValId *x, Shape *s) {
  *x = ox_in(c, 0);
  TRY(*x != NO_VAL);
  *s = ox_shape(c, *x);
  char text[80];
  shape_format(s, text, sizeof text);
  OX_FAIL_IF(s->rank != 3 && s->rank != 4, c, "input is %s; supported are [N,C,L] and [N,C,H,W]", text);
  return true;
}

static ValId to_nhwc(OxCall *c, ValId x) {
  Shape s = ox_shape(c, x);
  if (s.rank == 4) return ox_transpose(c, x, "0231", "nhwc");
  ValId y = ox_transpose(c, x, "021", "nlc");
  return ox_reshape(c, y, &(Shape){4, {s.d[0], 1, s.d[2], s.d[1]}}, "nhwc");
}

/* Back to the file's layout: output 0 of the call. */
static bool from_nhwc(OxCall *c, ValId y, int spatial) {
  if (y == NO_VAL) return false;
  if (spatial == 2) return ox_done(c, ox_transpose(c, y, "0312", NULL));
  Shape s = ox_shape(c, y);
  y = ox_reshape(c, y, &(Shape){3, {s.d[0], s.d[2], s.d[3]}}, "nlc");
  return y != NO_VAL && ox_done(c, ox_transpose(c, y, "021", NULL));
}

static Ints pair(const int64_t v[2]) { return (Ints){2, {v[0], v[1]}}; }
static Ints pads_of(const OxWindow *w) {
  return (Ints){4, {w->before[0], w->before[1], w->after[0], w->after[1]}};
}

/* -- Conv -- */

/* The file's weights [O,I/group,(Kh,)Kw] as four-dimensional constant. */
static bool conv_weights(OxCall *c, int spatial, ValId *w) {
  *w = ox_in(c, 1);
  TRY(*w != NO_VAL);
  Shape s = ox_shape(c, *w);
  if (!ox_is_weights(c, *w)) {
    ox_fail(c, "weights are %s of %s; want a float32 constant",
            val_is_const(c->g, *w) ? "a constant" : "computed", dtype_name(ox_type(c, *w)));
    if (ox_type(c, *w) == DT_F32)
      diag_hint(c->m->d, "fold the chain that computes them before export (onnxsim)");
    return false;
  }
  OX_FAIL_IF(s.rank != spatial + 2, c, "weights have %" PRId32 " dimensions for an input of %d", s.rank,
             spatial + 2);
  if (spatial == 1) { /* a view under another shape */
    Shape four = {4, {s.d[0], s.d[1], 1, s.d[2]}};
    const Value *v = graph_val(c->g, *w);
    if (!v->blob) return (*w = ox_reshape(c, *w, &four, "weights")) != NO_VAL;
    *w = graph_const(c->g, v->name, DT_F32, &four, blob_ref(v->blob));
  }
  return true;
}

static bool check_kernel(OxCall *c, const OxWindow *w) {
  int64_t kernel[2];
  if (!ox_attr(c, "kernel_shape", OX_ATTR_INTS)) return !c->failed;
  TRY(axis_list(c, "kernel_shape", w->n, kernel));
  OX_FAIL_IF(kernel[0] != w->kernel[0] || kernel[1] != w->kernel[1], c,
             "attribute \"kernel_shape\" differs from the weights' %" PRId64 ",%" PRId64, w->kernel[0],
             w->kernel[1]);
  return true;
}

static ValId conv_node(OxCall *c, ValId x, ValId w, ValId bias, const OxWindow *win, int64_t group,
                       int64_t channels) {
  ValId in[3] = {to_nhwc(c, x), NO_VAL, bias};
  Shape s = ox_shape(c, w);
  if (group > 1 && group == channels && s.d[1] == 1) {
    in[1] = ox_const_transpose(c, w, "1230");
    depthwise_conv_attrs a = {.strides = pair(win->stride),
                              .pads = pads_of(win),
                              .dilations = pair(win->dilation),
                              .act = ACT_NONE};
    return ox_node(c, OP_depthwise_conv, &a, in, 3, "conv");
  }
  in[1] = ox_const_transpose(c, w, "0231");
  conv_attrs a = {.strides = pair(win->stride),
                  .pads = pads_of(win),
                  .dilations = pair(win->dilation),
                  .group = (int32_t)group,
                  .act = ACT_NONE};
  return ox_node(c, OP_conv, &a, in, 3, "conv");
}

bool ox_import_conv(OxCall *c) {
  ValId x, w;
  Shape s;
  TRY(image_input(c, &x, &s));
  int spatial = s.rank - 2;
  TRY(conv_weights(c, spatial, &w));
  Shape ws = ox_shape(c, w);
  OxWindow win = {.kernel = {ws.d[2], ws.d[3]}};
  OX_FAIL_IF(ws.d[2] > WINDOW_MAX || ws.d[3] > WINDOW_MAX, c, "weights have a window of more than %d",
             WINDOW_MAX);
  TRY(read_window(c, &s, &win) && check_kernel(c, &win));
  int64_t group = ox_int(c, "group", 1);
  OX_FAIL_IF(group < 1 || group > INT32_MAX || group * ws.d[1] != s.d[1], c,
             "has %" PRId64 " groups of %" PRId64 " input channels; the input has %" PRId64, group, ws.d[1],
             s.d[1]);
  ValId bias = ox_has(c, 2) ? c->in[2] : NO_VAL;
  OX_FAIL_IF(bias != NO_VAL && !ox_is_weights(c, bias), c, "bias is computed; want a constant");
  return from_nhwc(c, conv_node(c, x, w, bias, &win, group, s.d[1]), spatial);
}

/* -- pools -- */

/* Output extent along an axis with ceil_mode, and the padding after it that gives it without. The last window must
 * start in the image or the padding before it (ONNX 19; ONNX Runtime always did so). */
static int64_t ceil_extra(const OxWindow *w, int i) {
  int64_t room = w->in[i] + w->before[i] + w->after[i] - span(w, i);
  int64_t out = (room + w->stride[i] - 1) / w->stride[i] + 1;
  if ((out - 1) * w->stride[i] >= w->in[i] + w->before[i]) out--;
  int64_t extra = (out - 1) * w->stride[i] - room;
  return extra > 0 ? extra : 0;
}

static bool read_pool(OxCall *c, ValId *x, OxWindow *w, bool *extended) {
  Shape s;
  *extended = false;
  TRY(image_input(c, x, &s));
  OX_FAIL_IF(!ox_attr(c, "kernel_shape", OX_ATTR_INTS), c, "has no attribute \"kernel_shape\"");
  TRY(axis_list(c, "kernel_shape", s.rank - 2, w->kernel) && read_window(c, &s, w));
  OX_FAIL_IF(w->dilation[0] != 1 || w->dilation[1] != 1, c,
             "has dilations, which pools are not supported with");
  if (ox_int(c, "ceil_mode", 0) == 0) return true;
  for (int i = 0; i < 2; i++) {
    int64_t extra = ceil_extra(w, i);
    w->after[i] += extra;
    *extended = *extended || extra > 0;
  }
  return true;
}

bool ox_import_max_pool(OxCall *c) {
  OxWindow w = {0};
  ValId x;
  bool extended; /* padding never wins: more of it changes nothing */
  TRY(read_pool(c, &x, &w, &extended));
  max_pool_attrs a = {
      .kernel = pair(w.kernel), .strides = pair(w.stride), .pads = pads_of(&w), .act = ACT_NONE};
  ValId nhwc = to_nhwc(c, x);
  return from_nhwc(c, ox_node(c, OP_max_pool, &a, &nhwc, 1, "pool"), w.n);
}

bool ox_import_average_pool(OxCall *c) {
  OxWindow w = {0};
  ValId x;
  bool extended;
  TRY(read_pool(c, &x, &w, &extended));
  bool count = ox_int(c, "count_include_pad", 0) != 0;
  if (count && extended) {
    ox_fail(c, "ceil_mode and count_include_pad together divide by windows cut at the border, which is not "
               "supported");
    diag_hint(c->m->d, "use either of them alone, or pads that make the windows fit");
    return false;
  }
  average_pool_attrs a = {.kernel = pair(w.kernel),
                          .strides = pair(w.stride),
                          .pads = pads_of(&w),
                          .count_include_pad = count,
                          .act = ACT_NONE};
  ValId nhwc = to_nhwc(c, x);
  return from_nhwc(c, ox_node(c, OP_average_pool, &a, &nhwc, 1, "pool"), w.n);
}

/* A pool whose window is the image. */
static bool global_pool(OxCall *c, OpKind op) {
  ValId x;
  Shape s;
  TRY(image_input(c, &x, &s));
  Ints kernel = {2, {s.rank == 4 ? s.d[2] : 1, s.d[s.rank - 1]}}, ones = {2, {1, 1}}, zeros = {4, {0}};
  ValId nhwc = to_nhwc(c, x);
  max_pool_attrs max = {.kernel = kernel, .strides = ones, .pads = zeros, .act = ACT_NONE};
  average_pool_attrs mean = {.kernel = kernel, .strides = ones, .pads = zeros, .act = ACT_NONE};
  const void *attrs = op == OP_max_pool ? (const void *)&max : (const void *)&mean;
  return from_nhwc(c, ox_node(c, op, attrs, &nhwc, 1, "pool"), s.rank - 2);
}

bool ox_import_global_max_pool(OxCall *c) { return global_pool(c, OP_max_pool); }
bool ox_import_global_average_pool(OxCall *c) { return global_pool(c, OP_average_pool); }
