/* ConvTranspose: the gradient of a convolution to its input, as an operator of its own.
 *
 *   x [N,H,W,C] f32 | i8, w [O,Kh,Kw,C/group], bias [O] f32 | i32 -> y [N,H',W',O]
 *   H' = (H - 1) * stride + (Kh - 1) * dilation + 1 + extra - pads       Source: ONNX ConvTranspose-22, channels last; int8: TFLite
 * TRANSPOSE_CONV
 */
#include "ir/ops/ops.h"

static bool transposed_size(const Node *n, const Shape *x, const Shape *w, Shape *out, Diag *d) {
  const conv_transpose_attrs *a = CATTRS(n, conv_transpose);
  TRY(op_want_ints(n, &a->strides, "strides", 2, 1, d));
  TRY(op_want_ints(n, &a->pads, "pads", 4, 0, d));
  TRY(op_want_ints(n, &a->dilations, "dilations", 2, 1, d));
  TRY(op_want_ints(n, &a->extra, "extra", 2, 0, d));
  for (int i = 0; i < 2; i++) {
    int64_t size = (x->d[1 + i] - 1) * a->strides.v[i] + (w->d[1 + i] - 1) * a->dilations.v[i] + 1 +
                   a->extra.v[i] - a->pads.v[i] - a->pads.v[2 + i];
    if (size < 1 || w->d[1 + i] < 1)
      return op_fail(n, d, "output has %lld %s, want at least 1", (long long)size, i ? "columns" : "rows");
    out->d[1 + i] = size;
  }
  return true;
}

bool infer_conv_transpose(Graph *g, Node *n, Diag *d) {
  const conv_transpose_attrs *a = CATTRS(n, conv_transpose);
  TRY(op_want_rank(g, n, 0, 4, d));
  TRY(op_want_rank(g, n, 1, 4, d));
  const Shape *x = &op_in(g, n, 0)->shape, *w = &op_in(g, n, 1)->shape;
  Shape out = *x;
  TRY(op_weights_dtype(g, n, w->d[0], d));
  if (a->group < 1 || x->d[3] % a->group != 0 || w->d[0] % a->group != 0 || w->d[3] != x->d[3] / a->group) {
    return op_fail(n, d, "weights take %lld channels in %d group(s) to %lld, but the input has %lld",
                   (long long)w->d[3], (int)a->group, (long long)w->d[0], (long long)x->d[3]);
  }
  const DType t = op_in(g, n, 0)->dtype;
  TRY(op_want_act(n, a->act, t, d));
  TRY(transposed_size(n, x, w, &out, d));
  out.d[3] = w->d[0];
  TRY(op_set(g, n, t, &out, d));
  return op_weights_quant(g, n, 0, true, true, d);
}
