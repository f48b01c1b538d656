/* Lowering of LogSoftmax, L2Normalization and ResizeBilinear, all of int8: parameters as TensorFlow Lite Micro makes
 * them (log_softmax.cc with PreprocessLogSoftmaxScalingExp, l2norm.cc, resize_bilinear.h).
 */
#include <math.h>

#include "ir/lower/lower_util.h"

static bool want_output(const Graph *g, const Node *n, float scale, int32_t zero, Diag *d) {
  const Value *y = op_out(g, n, 0);
  TRY(want_quant(g, n, 1, d));
  if (scale_of(y) == scale && zero_of(y) == zero) return true;
  return op_fail(n, d, "output has scale %g and zero point %d, want %g and %d", (double)scale_of(y),
                 (int)zero_of(y), (double)scale, (int)zero);
}

bool lower_log_softmax(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const Shape *s = &op_in(g, n, 0)->shape;
  mf_log_softmax_s8 q = {.n = (int32_t)s->d[s->rank - 1]};
  TRY(want_output(g, n, 1.0f / 16, 127, d));
  if (shape_count(s) == 0) return true;
  const double scaled = (double)scale_of(op_in(g, n, 0)) * (double)(1 << 26);
  quantize_multiplier(fmin(scaled, 2147483647.0), &q.mult, &q.shift);
  if (q.shift < 1) {
    return op_fail(n, d, "input has scale %g, want more than 2^-26", (double)scale_of(op_in(g, n, 0)));
  }
  q.diff_min = -(int32_t)floor(ldexp(31.0 * (double)(1 << 26), -q.shift));
  quantize_multiplier(ldexp(1, 31 - q.shift) / (double)q.mult, &q.back_mult, &q.back_shift);
  KernelCall *k = call_rows(g, n, out, "log_softmax_s8", rows_before(s, s->rank - 1));
  *(mf_log_softmax_s8 *)k->params = q;
  return true;
}

bool lower_l2_normalization(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const Shape *s = &op_in(g, n, 0)->shape;
  TRY(want_output(g, n, 1.0f / 128, 0, d));
  if (shape_count(s) == 0) return true;
  KernelCall *k = call_rows(g, n, out, "l2_normalization_s8", rows_before(s, s->rank - 1));
  *(mf_l2_normalization_s8 *)k->params =
      (mf_l2_normalization_s8){(int32_t)s->d[s->rank - 1], zero_of(op_in(g, n, 0))};
  return true;
}

/* Input lines for one output line, in 1024ths, to the nearest. */
static int32_t line_scale(int64_t in, int64_t out, bool corners) {
  if (corners && out > 1) return (int32_t)((1024 * (in - 1) + (out - 1) / 2) / (out - 1));
  return (int32_t)((1024 * in + out / 2) / out);
}

bool lower_resize_bilinear(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const resize_bilinear_attrs *a = CATTRS(n, resize_bilinear);
  const Shape *x = &op_in(g, n, 0)->shape, *y = &op_out(g, n, 0)->shape;
  (void)d;
  if (shape_count(y) == 0) return true;
  KernelCall *k = calls_add(out, "resize_bilinear_s8", node_id(g, n));
  *(mf_resize_bilinear_s8 *)k->params =
      (mf_resize_bilinear_s8){.in_h = (int32_t)x->d[1],
                              .in_w = (int32_t)x->d[2],
                              .c = (int32_t)x->d[3],
                              .out_h = (int32_t)y->d[1],
                              .out_w = (int32_t)y->d[2],
                              .scale_h = line_scale(x->d[1], y->d[1], a->align_corners != 0),
                              .scale_w = line_scale(x->d[2], y->d[2], a->align_corners != 0),
                              .half = a->half_pixel_centers};
  k->in[0] = view_rows(g, n->in[0], rows_of(x));
  k->out = view_rows(g, n->out[0], rows_of(y));
  k->n_in = 1;
  k->rows = (int32_t)y->d[1];
  k->batch = (int32_t)y->d[0];
  return true;
}
