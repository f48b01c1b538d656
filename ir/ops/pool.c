/* MaxPool, MaxPoolIndex, AveragePool and ReduceMean.
 *
 *   pools       x [N,H,W,C] f32 | i8 | i16 -> [N,H',W',C], H' = floor((H + pads - span) / stride) + 1, span
 *               (kernel - 1) * dilation + 1
 *   ReduceMean  x [...] f32 | i8 | i16, mean over `axes`
 *
 * Every window must reach into the image: padding has no value of its own. One whose taps, far apart by dilation, all
 * fall beside a smaller image gives the kernel's least value (MaxPool) or 0 (AveragePool). Importers express
 * ceil_mode by pads. Pools compute on codes, so their int8 output has the input's quantization (TFLite: the
 * same); ReduceMean's output has its own.
 */
#include "ir/ops/ops.h"

/* The first window must reach the image and the last one start in it. */
static bool windows_meet_image(const Node *n, const OpWindow *w, const Shape *in, const Shape *out, Diag *d) {
  for (int i = 0; i < 2; i++) {
    int64_t span = (w->kernel[i] - 1) * (w->dilations ? w->dilations->v[i] : 1) + 1;
    int64_t last = (out->d[1 + i] - 1) * w->strides->v[i] - w->pads->v[i];
    if (w->pads->v[i] >= span || last >= in->d[1 + i]) {
      return op_fail(n, d, "a window lies in the padding alone: kernel %lld, pads %lld and %lld, %lld %s",
                     (long long)w->kernel[i], (long long)w->pads->v[i], (long long)w->pads->v[2 + i],
                     (long long)in->d[1 + i], i == 0 ? "rows" : "columns");
    }
  }
  return true;
}

static bool infer_pool(Graph *g, const Node *n, const Ints *kernel, const Ints *strides, const Ints *pads,
                       const Ints *dilations, int32_t act, Diag *d) {
  const Value *x = op_in(g, n, 0);
  TRY(op_want_real(g, n, 0, d));
  TRY(op_want_rank(g, n, 0, 4, d));
  TRY(op_want_act(n, act, x->dtype, d));
  TRY(op_want_ints(n, kernel, "kernel", 2, 1, d));
  const OpWindow w = {{kernel->v[0], kernel->v[1]}, strides, pads, dilations->n ? dilations : NULL};
  Shape out = x->shape;
  TRY(op_window_size(n, &w, &x->shape, &out, d));
  TRY(windows_meet_image(n, &w, &x->shape, &out, d));
  TRY(op_set(g, n, x->dtype, &out, d));
  return op_same_quant(g, n, 3, d);
}

bool infer_max_pool(Graph *g, Node *n, Diag *d) {
  const max_pool_attrs *a = CATTRS(n, max_pool);
  return infer_pool(g, n, &a->kernel, &a->strides, &a->pads, &a->dilations, a->act, d);
}

bool infer_average_pool(Graph *g, Node *n, Diag *d) {
  const average_pool_attrs *a = CATTRS(n, average_pool);
  if (a->count_include_pad != 0 && a->count_include_pad != 1) {
    return op_fail(n, d, "count_include_pad is %d, want 0 or 1", (int)a->count_include_pad);
  }
  return infer_pool(g, n, &a->kernel, &a->strides, &a->pads, &a->dilations, a->act, d);
}

bool infer_max_pool_index(Graph *g, Node *n, Diag *d) {
  const max_pool_index_attrs *a = CATTRS(n, max_pool_index);
  TRY(op_want_dtype(g, n, 0, DT_F32, d));
  TRY(op_want_ints(n, &a->steps, "steps", 2, 1, d));
  TRY(infer_pool(g, n, &a->kernel, &a->strides, &a->pads, &a->dilations, ACT_NONE, d));
  const Shape out = op_out(g, n, 0)->shape;
  return op_set(g, n, DT_I64, &out, d);
}

bool infer_reduce_mean(Graph *g, Node *n, Diag *d) {
  const reduce_mean_attrs *a = CATTRS(n, reduce_mean);
  const Value *x = op_in(g, n, 0);
  TRY(op_want_real(g, n, 0, d));
  if (a->axes.n < 1) return op_fail(n, d, "axes is empty, want the axes to reduce");
  if (a->keepdims != 0 && a->keepdims != 1) {
    return op_fail(n, d, "keepdims is %d, want 0 or 1", (int)a->keepdims);
  }
  if (a->rounding != ROUND_TFLITE && (a->rounding != ROUND_ONCE || x->dtype != DT_I8)) {
    return op_fail(n, d, "rounding is %d of %s, want 0, or 3 of i8", (int)a->rounding, dtype_name(x->dtype));
  }
  for (int i = 0; i < a->axes.n; i++) {
    int64_t axis = a->axes.v[i];
    if (axis < 0 || axis >= x->shape.rank || (i > 0 && axis <= a->axes.v[i - 1])) {
      return op_fail(n, d, "axes[%d] is %lld, want ascending axes of 0 .. %d", i, (long long)axis,
                     (int)x->shape.rank - 1);
    }
    if (x->shape.d[axis] == DIM_BATCH) return op_fail_batch(n, d, "a mean over axis 0");
    if (x->shape.d[axis] == 0) return op_fail(n, d, "axis %lld is empty: no mean", (long long)axis);
  }
  Shape out = {0};
  for (int i = 0, k = 0; i < x->shape.rank; i++) {
    bool reduced = k < a->axes.n && a->axes.v[k] == i;
    if (reduced) k++;
    if (!reduced || a->keepdims) out.d[out.rank++] = reduced ? 1 : x->shape.d[i];
  }
  if (x->quant.n > 1) return op_fail(n, d, "input is quantized per axis, want one scale");
  return op_set(g, n, x->dtype, &out, d);
}
