/* What the lowering functions share: cutting tensors into rows, views, checks, and strided blocks.
 *
 * Blocks are simplified before they become a copy call: axes of extent 1 vanish and axes that run on from one another
 * merge, so that the kernel's inner loop is as long as it can be and MF_MAX_DIMS axes suffice for rank 8.
 */
#include "ir/lower/lower_util.h"

#include <math.h>

Rows rows_of(const Shape *s) {
  if (s->rank < 2) return (Rows){1, 1, (int32_t)shape_count(s)};
  if (s->rank == 2) return (Rows){1, (int32_t)s->d[0], (int32_t)s->d[1]};
  return (Rows){(int32_t)s->d[0], (int32_t)s->d[1], (int32_t)shape_count_range(s, 2, s->rank)};
}

Rows rows_before(const Shape *s, int axis) {
  return (Rows){1, (int32_t)shape_count_range(s, 0, axis), (int32_t)shape_count_range(s, axis, s->rank)};
}

CallView view_rows(const Graph *g, ValId v, Rows r) {
  int64_t row = (int64_t)r.n * (int64_t)dtype_size(graph_val(g, v)->dtype);
  return (CallView){.val = v, .row = row, .step = row * r.rows};
}

KernelCall *call_rows(const Graph *g, const Node *n, Calls *out, const char *kernel, Rows r) {
  KernelCall *k = calls_add(out, kernel, node_id(g, n));
  k->in[0] = view_rows(g, n->in[0], r);
  k->out = view_rows(g, n->out[0], r);
  k->n_in = 1;
  k->rows = r.rows;
  k->batch = r.batch;
  return k;
}

const char *kernel_suffix(DType t) { return t == DT_I8 ? "s8" : t == DT_I16 ? "s16" : dtype_name(t); }

bool lower_unary_plain(const Graph *g, const Node *n, const char *name, float p, float q, Calls *out) {
  const Value *y = op_out(g, n, 0);
  Rows r = rows_of(&y->shape);
  if (shape_count(&y->shape) == 0) return true;
  KernelCall *k = call_rows(g, n, out, arena_printf(out->arena, "%s_%s", name, kernel_suffix(y->dtype)), r);
  *(mf_unary_f32 *)k->params = (mf_unary_f32){r.n, p, q};
  return true;
}

static bool quant_sane(const Quant *q) {
  for (int i = 0; i < q->n; i++) {
    if (!(q->scale[i] > 0) || isinf(q->scale[i])) return false;
  }
  return q->n > 0;
}

static bool want_quants(const Graph *g, const Node *n, uint32_t count, bool output, Diag *d) {
  for (uint32_t i = 0; i < count + output; i++) {
    const Value *v = i < count ? op_in(g, n, i) : op_out(g, n, 0);
    const char *what = i < count ? "input" : "output";
    if (!quant_sane(&v->quant)) {
      return op_fail(n, d, "%s %u is %s without a quantization (scale > 0)", what, i < count ? i : 0u,
                     dtype_name(v->dtype));
    }
  }
  return true;
}

bool want_quant(const Graph *g, const Node *n, uint32_t count, Diag *d) {
  return want_quants(g, n, count, true, d);
}

bool want_codes(const Graph *g, const Node *n, uint32_t count, Diag *d) {
  TRY(want_quants(g, n, count, true, d));
  for (uint32_t i = 0; i <= count; i++) {
    const Value *v = i < count ? op_in(g, n, i) : op_out(g, n, 0);
    for (int32_t k = 0; v->dtype == DT_I16 && k < v->quant.n; k++)
      if (v->quant.zero[k] != 0)
        return op_fail(n, d, "int16 tensor with zero point %d, want 0", (int)v->quant.zero[k]);
  }
  return true;
}

void act_range_codes(Act act, const Value *y, int32_t *lo, int32_t *hi) {
  if (y->dtype == DT_I16)
    act_range_s16(act, scale_of(y), lo, hi);
  else
    act_range_s8(act, scale_of(y), zero_of(y), lo, hi);
}

bool want_quant_inputs(const Graph *g, const Node *n, uint32_t count, Diag *d) {
  return want_quants(g, n, count, false, d);
}

bool wide_multiplier(const Node *n, double real, int32_t *mult, int32_t *shift, Diag *d) {
  if (quantize_multiplier_wide(real, mult, shift)) return true;
  return op_fail(n, d, "int16 with a factor of %g between sums and output, want less than 128", real);
}

bool wide_bias(const Graph *g, const Node *n, KernelCall *k, Diag *d) {
  const int64_t *bias = val_data(g, n->in[2]), count = shape_count(&op_in(g, n, 2)->shape),
                most = (int64_t)1 << 46;
  for (int64_t i = 0; i < count; i++)
    if (bias[i] <= -most || bias[i] >= most)
      return op_fail(n, d, "bias %lld is %lld, want a magnitude below 2^46", (long long)i,
                     (long long)bias[i]);
  call_const(k, "bias", bias, count, n->in[2]);
  return true;
}

bool want_const(const Graph *g, const Node *n, uint32_t i, Diag *d) {
  if (val_is_const(g, n->in[i])) return true;
  return op_fail(n, d,
                 "input %u is computed, want a constant (the pass `fold` makes constants of what it can)",
                 (unsigned)i);
}

void dense_strides(const Shape *s, int64_t elem, int64_t stride[MAX_RANK]) {
  int64_t step = elem;
  for (int i = s->rank - 1; i >= 0; i--) {
    stride[i] = step;
    step *= s->d[i];
  }
}

void broadcast_strides(const Shape *s, const Shape *out, int64_t stride[MAX_RANK]) {
  int64_t own[MAX_RANK];
  dense_strides(s, 1, own);
  for (int i = 0; i < out->rank; i++) {
    int j = i - (out->rank - s->rank);
    stride[i] = j < 0 || s->d[j] == 1 ? 0 : own[j];
  }
}

static bool runs_on(int i, int j, const int64_t *dims, int64_t *const *strides, int count) {
  for (int k = 0; k < count; k++) {
    if (strides[k][i] != strides[k][j] * dims[j]) return false;
  }
  return true;
}

void merge_axes(int first, int *rank, int64_t *dims, int64_t *const *strides, int count) {
  int last = first - 1; /* the axes first .. last are done */
  for (int i = first; i < *rank; i++) {
    if (dims[i] == 1) continue;
    bool merged = last >= first && runs_on(last, i, dims, strides, count);
    if (!merged) last++;
    dims[last] = merged ? dims[last] * dims[i] : dims[i];
    for (int k = 0; k < count; k++) strides[k][last] = strides[k][i];
  }
  *rank = last + 1;
}

/* The block's inner axes as those of a copy: at least one. */
static bool block_axes(const Node *n, Block *b, int row_axis, mf_copy *p, Diag *d) {
  int rank = b->rank;
  int64_t *const strides[2] = {b->src, b->dst};
  merge_axes(row_axis + 1, &rank, b->dims, strides, 2);
  p->rank = rank - row_axis;
  if (p->rank > MF_MAX_DIMS) return op_fail(n, d, "moves elements along more than %d axes", MF_MAX_DIMS + 1);
  for (int i = 0; i < p->rank; i++) {
    p->dims[i] = (int32_t)b->dims[row_axis + i];
    p->src[i] = (int32_t)b->src[row_axis + i];
    p->dst[i] = (int32_t)b->dst[row_axis + i];
  }
  if (p->rank == 1) {
    p->dims[1] = 1;
    p->rank = 2;
  }
  return true;
}

bool lower_block(const Graph *g, const Node *n, const Block *block, Calls *out, Diag *d) {
  Block b = *block;
  for (int i = 0; i < b.rank; i++) {
    if (b.dims[i] == 0) return true;
  }
  while (b.rank < 2) { /* one row in front */
    for (int i = b.rank; i > 0; i--) {
      b.dims[i] = b.dims[i - 1];
      b.src[i] = b.src[i - 1];
      b.dst[i] = b.dst[i - 1];
    }
    b.dims[0] = 1;
    b.src[0] = b.dst[0] = 0;
    b.rank++;
  }
  int row_axis = b.rank >= 3 ? 1 : 0;
  KernelCall *k = calls_add(out, "copy", node_id(g, n));
  mf_copy *p = k->params;
  p->elem = b.elem;
  k->rows = (int32_t)b.dims[row_axis];
  k->batch = row_axis == 1 ? (int32_t)b.dims[0] : 1;
  k->n_in = 1;
  k->in[0] = (CallView){b.from, b.src_offset, b.src[row_axis], row_axis == 1 ? b.src[0] : 0};
  k->out = (CallView){b.to, b.dst_offset, b.dst[row_axis], row_axis == 1 ? b.dst[0] : 0};
  return block_axes(n, &b, row_axis, p, d);
}
