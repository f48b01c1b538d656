/* Conv and DepthwiseConv: 2-D convolutions of NHWC images.
 *
 *   x [N,H,W,C] f32 | i8 | i16    Conv w [O,Kh,Kw,C/group]   DepthwiseConv w [1,Kh,Kw,O], O a multiple of C
 *   bias [O] f32 | i32 | i64      y [N,H',W',O] as x         H' = floor((H + pads - ((Kh-1)*dilation + 1)) / stride) + 1
 *
 * int8: weights symmetric, per tensor or per output channel (with ONNX's rounding: any zero points); bias in units of
 * scale_x * scale_w. Without rounding y is the int32 sums. int16 x and y take int8 weights and a bias of i64, or i32. Semantics:
 * ONNX Conv (opset 11) with channels last; TFLite CONV_2D, DEPTHWISE_CONV_2D with explicit padding.
 */
#include "ir/ops/ops.h"

bool op_window_size(const Node *n, const OpWindow *w, const Shape *in, Shape *out, Diag *d) {
  static const char *const side[2] = {"rows", "columns"};
  if (!op_want_ints(n, w->strides, "strides", 2, 1, d) || !op_want_ints(n, w->pads, "pads", 4, 0, d))
    return false;
  if (w->dilations != NULL && !op_want_ints(n, w->dilations, "dilations", 2, 1, d)) return false;
  for (int i = 0; i < 2; i++) {
    int64_t k = (w->kernel[i] - 1) * (w->dilations ? w->dilations->v[i] : 1) + 1;
    int64_t padded = in->d[1 + i] + w->pads->v[i] + w->pads->v[2 + i];
    if (k < 1 || padded < k) {
      return op_fail(n, d, "window of %lld %s does not fit the padded image's %lld", (long long)k, side[i],
                     (long long)padded);
    }
    out->d[1 + i] = (padded - k) / w->strides->v[i] + 1;
  }
  return true;
}

/* What Conv and DepthwiseConv have in common. */
typedef struct AnyConv {
  OpWindow window;
  int64_t outs;
  int32_t act, rounding;
  int w_axis; /* of the weights' output channels */
} AnyConv;

static bool infer_any_conv(Graph *g, const Node *n, const AnyConv *c, Diag *d) {
  const Value *x = op_in(g, n, 0);
  Shape out = x->shape;
  DType t;
  TRY(op_weights_dtype(g, n, c->outs, d));
  TRY(op_rounding(n, x->dtype, c->rounding, c->act, &t, d));
  TRY(op_window_size(n, &c->window, &x->shape, &out, d));
  out.d[3] = c->outs;
  TRY(op_set(g, n, t, &out, d));
  const bool symmetric = c->rounding == ROUND_TFLITE || c->rounding == ROUND_ONCE;
  return op_weights_quant(g, n, c->w_axis, symmetric, symmetric, d);
}

bool infer_conv(Graph *g, Node *n, Diag *d) {
  const conv_attrs *a = CATTRS(n, conv);
  TRY(op_want_rank(g, n, 0, 4, d));
  TRY(op_want_rank(g, n, 1, 4, d));
  const Shape *x = &op_in(g, n, 0)->shape, *w = &op_in(g, n, 1)->shape;
  if (a->group < 1 || x->d[3] % a->group != 0 || w->d[0] % a->group != 0) {
    return op_fail(n, d, "group is %d, want a divisor of %lld input and %lld output channels", (int)a->group,
                   (long long)x->d[3], (long long)w->d[0]);
  }
  if (w->d[3] != x->d[3] / a->group) {
    return op_fail(n, d, "weights take %lld channels per group, but the input has %lld in %d group(s)",
                   (long long)w->d[3], (long long)x->d[3], (int)a->group);
  }
  const AnyConv c = {
      {{w->d[1], w->d[2]}, &a->strides, &a->pads, &a->dilations}, w->d[0], a->act, a->rounding, 0};
  return infer_any_conv(g, n, &c, d);
}

bool infer_depthwise_conv(Graph *g, Node *n, Diag *d) {
  const depthwise_conv_attrs *a = CATTRS(n, depthwise_conv);
  TRY(op_want_rank(g, n, 0, 4, d));
  TRY(op_want_rank(g, n, 1, 4, d));
  const Shape *x = &op_in(g, n, 0)->shape, *w = &op_in(g, n, 1)->shape;
  if (w->d[0] != 1) return op_fail(n, d, "weights have leading dimension %lld, want 1", (long long)w->d[0]);
  if (x->d[3] < 1 || w->d[3] % x->d[3] != 0) {
    return op_fail(n, d, "%lld output channels are no multiple of %lld input channels", (long long)w->d[3],
                   (long long)x->d[3]);
  }
  const AnyConv c = {
      {{w->d[1], w->d[2]}, &a->strides, &a->pads, &a->dilations}, w->d[3], a->act, a->rounding, 3};
  return infer_any_conv(g, n, &c, d);
}
