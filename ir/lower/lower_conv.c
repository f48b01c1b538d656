/* Lowering of Conv and DepthwiseConv: one call of a convolution kernel, batch as a loop outside, rows are lines.
 *
 * int8: multiplier of channel o = scale_x * scale_w[o] / scale_y, each scale a float widened to double, as TFLite's
 * PopulateConvolutionQuantizationParams computes it.
 */
#include "ir/lower/lower_util.h"

/* Multipliers of all output channels, in the calls' arena. */
static void channel_multipliers(const Value *x, const Value *w, const Value *y, int64_t outs, bool once,
                                int32_t *mult, int8_t *shift) {
  for (int64_t o = 0; o < outs; o++) {
    double sw = (double)w->quant.scale[w->quant.n > 1 ? o : 0];
    int32_t s;
    const double real = (double)scale_of(x) * sw / (double)scale_of(y);
    if (once)
      quantize_multiplier_once(real, &mult[o], &s);
    else
      quantize_multiplier(real, &mult[o], &s);
    shift[o] = (int8_t)s;
  }
}

static mf_window conv_window(const Shape *x, const Shape *w, const Shape *y, const Ints *strides,
                             const Ints *pads, const Ints *dilations) {
  return (mf_window){.in_h = (int32_t)x->d[1],
                     .in_w = (int32_t)x->d[2],
                     .in_c = (int32_t)x->d[3],
                     .out_h = (int32_t)y->d[1],
                     .out_w = (int32_t)y->d[2],
                     .out_c = (int32_t)y->d[3],
                     .k_h = (int32_t)w->d[1],
                     .k_w = (int32_t)w->d[2],
                     .stride_h = (int32_t)strides->v[0],
                     .stride_w = (int32_t)strides->v[1],
                     .pad_top = (int32_t)pads->v[0],
                     .pad_left = (int32_t)pads->v[1],
                     .dil_h = (int32_t)dilations->v[0],
                     .dil_w = (int32_t)dilations->v[1]};
}

typedef struct ConvCall {
  const char *f32, *s8, *s16, *narrow,
      *s4; /* kernels; narrow: of int16 with int32 sums, NULL: none; s4: of i4 weights */
  mf_window window;
  int32_t groups, w_tap, w_out;
  Act act;
  bool once; /* ROUND_ONCE */
} ConvCall;

static void conv_f32(const Graph *g, const Node *n, const ConvCall *c, KernelCall *k) {
  mf_conv_f32 *p = k->params;
  p->g = c->window;
  p->groups = c->groups;
  p->w_tap = c->w_tap;
  p->w_out = c->w_out;
  act_range_f32(c->act, &p->lo, &p->hi);
  call_const(k, "w", val_data(g, n->in[1]), shape_count(&op_in(g, n, 1)->shape), n->in[1]);
  if (op_in_opt(g, n, 2)) call_const(k, "bias", val_data(g, n->in[2]), c->window.out_c, n->in[2]);
}

static void conv_s8(const Graph *g, const Node *n, const ConvCall *c, KernelCall *k, Arena *a) {
  const Value *x = op_in(g, n, 0), *w = op_in(g, n, 1), *y = op_out(g, n, 0);
  mf_conv_s8 *p = k->params;
  p->g = c->window;
  p->groups = c->groups;
  p->w_tap = c->w_tap;
  p->w_out = c->w_out;
  p->in_zero = zero_of(x);
  p->out_zero = zero_of(y);
  act_range_codes(c->act, y, &p->lo, &p->hi);
  int64_t outs = c->window.out_c;
  int32_t *mult = arena_array(a, (size_t)outs, sizeof *mult);
  int8_t *shift = arena_array(a, (size_t)outs, sizeof *shift);
  channel_multipliers(x, w, y, outs, c->once, mult, shift);
  if (w->dtype == DT_I4)
    p->w_out = const_nibbles(g, n, outs, k, a);
  else
    call_const(k, "w", val_data(g, n->in[1]), shape_count(&w->shape), n->in[1]);
  if (op_in_opt(g, n, 2)) call_const(k, "bias", val_data(g, n->in[2]), outs, n->in[2]);
  call_const(k, "mult", mult, outs, NO_VAL);
  call_const(k, "shift", shift, outs, NO_VAL);
}

/* int16: the kernel is the one that the bias's type asks for; conv_s8's params where sums have 32 bits. */
static const char *conv_kernel_s16(const Graph *g, const Node *n, const ConvCall *c, Diag *d) {
  const Value *bias = op_in_opt(g, n, 2);
  if (bias ? bias->dtype == DT_I64 : c->narrow == NULL) return c->s16;
  if (c->narrow == NULL) op_fail(n, d, "int16 with a bias of i32 has no reference; want i64, or none");
  return c->narrow;
}

static bool conv_s16(const Graph *g, const Node *n, const ConvCall *c, KernelCall *k, Arena *a, Diag *d) {
  const Value *x = op_in(g, n, 0), *w = op_in(g, n, 1), *y = op_out(g, n, 0);
  mf_conv_s16 *p = k->params;
  p->g = c->window;
  p->groups = c->groups;
  p->w_tap = c->w_tap;
  p->w_out = c->w_out;
  act_range_s16(c->act, scale_of(y), &p->lo, &p->hi);
  const int64_t outs = c->window.out_c;
  int32_t *mult = arena_array(a, (size_t)outs, sizeof *mult);
  int8_t *shift = arena_array(a, (size_t)outs, sizeof *shift);
  for (int64_t o = 0; o < outs; o++) {
    int32_t s;
    const double sw = (double)w->quant.scale[w->quant.n > 1 ? o : 0];
    TRY(wide_multiplier(n, (double)scale_of(x) * sw / (double)scale_of(y), &mult[o], &s, d));
    shift[o] = (int8_t)s;
  }
  call_const(k, "w", val_data(g, n->in[1]), shape_count(&w->shape), n->in[1]);
  if (op_in_opt(g, n, 2)) TRY(wide_bias(g, n, k, d));
  call_const(k, "mult", mult, outs, NO_VAL);
  call_const(k, "shift", shift, outs, NO_VAL);
  return true;
}

static bool lower_any_conv(const Graph *g, const Node *n, const ConvCall *c, int32_t rounding, Calls *out,
                           Diag *d) {
  const DType t = op_in(g, n, 0)->dtype;
  const bool codes = dtype_is_code(t);
  if (rounding == ROUND_ONNX || rounding == ROUND_SUMS) {
    const EvenConv even = {c->window,
                           c->groups,
                           c->w_tap,
                           n->op == OP_depthwise_conv ? 1 : c->w_out,
                           c->act,
                           rounding,
                           rows_of(&op_in(g, n, 0)->shape),
                           rows_of(&op_out(g, n, 0)->shape)};
    return lower_conv_even(g, n, &even, out, d);
  }
  TRY(want_const(g, n, 1, d));
  if (op_in_opt(g, n, 2)) TRY(want_const(g, n, 2, d));
  if (codes) TRY(want_codes(g, n, 2, d));
  const char *kernel = t == DT_I16                      ? conv_kernel_s16(g, n, c, d)
                       : !codes                         ? c->f32
                       : op_in(g, n, 1)->dtype == DT_I4 ? c->s4
                                                        : c->s8;
  TRY(kernel != NULL);
  const Shape *x = &op_in(g, n, 0)->shape, *y = &op_out(g, n, 0)->shape;
  if (shape_count(y) == 0) return true;
  KernelCall *k = calls_add(out, kernel, node_id(g, n));
  k->in[0] = view_rows(g, n->in[0], rows_of(x));
  k->out = view_rows(g, n->out[0], rows_of(y));
  k->n_in = 1;
  k->rows = (int32_t)y->d[1];
  k->batch = (int32_t)y->d[0];
  k->macs = node_macs(g, n);
  if (kernel == c->s16) return conv_s16(g, n, c, k, out->arena, d);
  if (codes)
    conv_s8(g, n, c, k, out->arena);
  else
    conv_f32(g, n, c, k);
  return true;
}

bool lower_conv(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const conv_attrs *a = CATTRS(n, conv);
  const Shape *x = &op_in(g, n, 0)->shape, *w = &op_in(g, n, 1)->shape, *y = &op_out(g, n, 0)->shape;
  const ConvCall c = {.f32 = "conv_f32",
                      .s8 = "conv_s8",
                      .s16 = "conv_s16",
                      .narrow = "conv_s16_narrow",
                      .s4 = "conv_s4",
                      .window = conv_window(x, w, y, &a->strides, &a->pads, &a->dilations),
                      .groups = a->group,
                      .w_tap = (int32_t)w->d[3],
                      .w_out = (int32_t)(w->d[1] * w->d[2] * w->d[3]),
                      .act = (Act)a->act,
                      .once = a->rounding == ROUND_ONCE};
  return lower_any_conv(g, n, &c, a->rounding, out, d);
}

bool lower_depthwise_conv(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const depthwise_conv_attrs *a = CATTRS(n, depthwise_conv);
  const Shape *x = &op_in(g, n, 0)->shape, *w = &op_in(g, n, 1)->shape, *y = &op_out(g, n, 0)->shape;
  const ConvCall c = {.f32 = "depthwise_f32",
                      .s8 = "depthwise_s8",
                      .s16 = "depthwise_s16",
                      .window = conv_window(x, w, y, &a->strides, &a->pads, &a->dilations),
                      .groups = (int32_t)x->d[3],
                      .w_tap = (int32_t)w->d[3],
                      .act = (Act)a->act,
                      .once = a->rounding == ROUND_ONCE};
  return lower_any_conv(g, n, &c, a->rounding, out, d);
}

static bool conv_transpose_s8(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const conv_transpose_attrs *a = CATTRS(n, conv_transpose);
  const Value *x = op_in(g, n, 0), *w = op_in(g, n, 1), *y = op_out(g, n, 0);
  TRY(want_quant(g, n, 2, d));
  TRY(want_const(g, n, 1, d));
  if (op_in_opt(g, n, 2)) TRY(want_const(g, n, 2, d));
  if (shape_count(&y->shape) == 0) return true;
  const int64_t outs = y->shape.d[3];
  int32_t *mult = arena_array(out->arena, (size_t)outs, sizeof *mult);
  int8_t *shift = arena_array(out->arena, (size_t)outs, sizeof *shift);
  KernelCall *k = calls_add(out, "conv_transpose_s8", node_id(g, n));
  mf_conv_transpose_s8 *p = k->params;
  p->g = conv_window(&x->shape, &w->shape, &y->shape, &a->strides, &a->pads, &a->dilations);
  p->groups = a->group;
  p->in_zero = zero_of(x);
  p->out_zero = zero_of(y);
  act_range_s8((Act)a->act, scale_of(y), zero_of(y), &p->lo, &p->hi);
  channel_multipliers(x, w, y, outs, false, mult, shift);
  call_const(k, "w", val_data(g, n->in[1]), shape_count(&w->shape), n->in[1]);
  if (op_in_opt(g, n, 2)) call_const(k, "bias", val_data(g, n->in[2]), outs, n->in[2]);
  call_const(k, "mult", mult, outs, NO_VAL);
  call_const(k, "shift", shift, outs, NO_VAL);
  k->in[0] = view_rows(g, n->in[0], rows_of(&x->shape));
  k->out = view_rows(g, n->out[0], rows_of(&y->shape));
  k->n_in = 1;
  k->rows = (int32_t)y->shape.d[1];
  k->batch = (int32_t)y->shape.d[0];
  k->macs = node_macs(g, n);
  return true;
}

bool lower_conv_transpose(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const conv_transpose_attrs *a = CATTRS(n, conv_transpose);
  const Shape *x = &op_in(g, n, 0)->shape, *w = &op_in(g, n, 1)->shape, *y = &op_out(g, n, 0)->shape;
  if (op_in(g, n, 0)->dtype == DT_I8) return conv_transpose_s8(g, n, out, d);
  if (shape_count(y) == 0) return true;
  KernelCall *k = calls_add(out, "conv_transpose_f32", node_id(g, n));
  mf_conv_transpose *p = k->params;
  p->g = conv_window(x, w, y, &a->strides, &a->pads, &a->dilations);
  p->groups = a->group;
  p->has_bias = op_in_opt(g, n, 2) != NULL;
  act_range_f32((Act)a->act, &p->lo, &p->hi);
  k->in[0] = view_rows(g, n->in[0], rows_of(x));
  for (uint32_t i = 1; i < (p->has_bias ? 3u : 2u); i++)
    k->in[i] = (CallView){n->in[i], 0, (int64_t)val_bytes(g, n->in[i]), 0};
  k->out = view_rows(g, n->out[0], rows_of(y));
  k->n_in = p->has_bias ? 3 : 2;
  k->rows = (int32_t)y->d[1];
  k->batch = (int32_t)y->d[0];
  k->macs = node_macs(g, n);
  return true;
}
