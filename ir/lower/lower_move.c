/* Lowering of Reshape, Transpose, Concat, Pad, Slice and Gather: strided copies.
 *
 * Reshape makes no call, except where its output must have storage of its own (value_root): then a copy.
 * Concat: one copy for each input. Pad: the whole output is filled with the constant, then the input copied over
 * it; elements inside are written twice, so a reader must wait for both calls.
 */
#include <math.h>
#include <string.h>

#include "ir/lower/lower_util.h"

static int32_t elem_of(const Graph *g, ValId v) { return (int32_t)dtype_size(graph_val(g, v)->dtype); }

/* A block of all of value `from` to value `to`, with from's dense strides on both sides. */
static Block block_dense(const Graph *g, ValId from, ValId to) {
  const Shape *s = &graph_val(g, from)->shape;
  Block b = {.from = from, .to = to, .rank = s->rank, .elem = elem_of(g, from)};
  memcpy(b.dims, s->d, sizeof b.dims);
  dense_strides(s, b.elem, b.src);
  dense_strides(s, b.elem, b.dst);
  return b;
}

bool lower_reshape(const Graph *g, const Node *n, Calls *out, Diag *d) {
  if (value_root(g, n->out[0]) != n->out[0]) return true;
  Block b = block_dense(g, n->in[0], n->out[0]);
  return lower_block(g, n, &b, out, d);
}

bool lower_transpose(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const Ints *perm = &CATTRS(n, transpose)->perm;
  Block b = block_dense(g, n->in[0], n->out[0]);
  int64_t src[MAX_RANK];
  memcpy(src, b.src, sizeof src);
  for (int i = 0; i < b.rank; i++) {
    b.dims[i] = op_out(g, n, 0)->shape.d[i];
    b.src[i] = src[perm->v[i]];
  }
  dense_strides(&op_out(g, n, 0)->shape, b.elem, b.dst);
  return lower_block(g, n, &b, out, d);
}

bool lower_concat(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const int axis = CATTRS(n, concat)->axis;
  int64_t at = 0;
  for (uint32_t i = 0; i < n->n_in; i++) {
    Block b = block_dense(g, n->in[i], n->out[0]);
    dense_strides(&op_out(g, n, 0)->shape, b.elem, b.dst);
    b.dst_offset = at * b.dst[axis];
    at += b.dims[axis];
    TRY(lower_block(g, n, &b, out, d));
  }
  return true;
}

/* Toward zero, within the type's range; of bool all but 0 is 1. */
static int64_t nearest_int(DType t, float real) {
  const int bits = dtype_bits(t), high = dtype_kind(t) == 'i' ? bits - 1 : bits < 63 ? bits : 63;
  const int64_t hi = (int64_t)(((uint64_t)1 << high) - 1), lo = dtype_kind(t) == 'i' ? -hi - 1 : 0;
  if (t == DT_BOOL) return real < 0 || real > 0;
  return real >= (float)hi ? hi : real <= (float)lo ? lo : (int64_t)real;
}

/* The bits of Pad's constant as an element of v: a real value, or its code where v is quantized. */
static bool pad_bits(const Node *n, const Value *v, float real, uint64_t *bits, Diag *d) {
  *bits = 0;
  if (v->dtype == DT_F32) {
    memcpy(bits, &real, sizeof real);
    return true;
  }
  int64_t code = dtype_is_int(v->dtype) ? nearest_int(v->dtype, real) : 0;
  if (v->quant.n > 1) return op_fail(n, d, "input is quantized per axis, want one scale");
  if (v->quant.n == 1) {
    TRY(v->dtype == DT_I8 || v->dtype == DT_U8 || v->dtype == DT_I16 ||
        op_fail(n, d, "quantized %s is not supported", dtype_name(v->dtype)));
    int32_t lo = v->dtype == DT_U8 ? 0 : v->dtype == DT_I8 ? -128 : INT16_MIN;
    int32_t hi = v->dtype == DT_U8 ? 255 : v->dtype == DT_I8 ? 127 : INT16_MAX;
    code = quantize_limit(real, v->quant.scale[0], v->quant.zero[0], lo, hi);
  } else if (v->dtype == DT_F64) {
    double wide = (double)real;
    memcpy(bits, &wide, sizeof wide);
    return true;
  }
  if (dtype_kind(v->dtype) == 's') code = lower_store_float(v->dtype, real);
  *bits = (uint64_t)code;
  return true;
}

static bool pad_fill(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const Value *y = op_out(g, n, 0);
  const Rows r = rows_of(&y->shape);
  uint64_t bits;
  if (!isfinite(CATTRS(n, pad)->value) && dtype_is_int(y->dtype) && y->quant.n == 0) {
    return op_fail(n, d, "value is not finite, but the tensor is %s", dtype_name(y->dtype));
  }
  TRY(pad_bits(n, y, CATTRS(n, pad)->value, &bits, d));
  KernelCall *k = calls_add(out, "fill", node_id(g, n));
  *(mf_fill *)k->params =
      (mf_fill){r.n, elem_of(g, n->out[0]), (int32_t)(uint32_t)bits, (int32_t)(uint32_t)(bits >> 32)};
  k->out = view_rows(g, n->out[0], r);
  k->rows = r.rows;
  k->batch = r.batch;
  return true;
}

bool lower_pad(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const Ints *pads = &CATTRS(n, pad)->pads;
  const Shape *x = &op_in(g, n, 0)->shape, *y = &op_out(g, n, 0)->shape;
  Block b = block_dense(g, n->in[0], n->out[0]);
  if (shape_count(y) == 0) return true;
  if (!shape_equal(x, y)) TRY(pad_fill(g, n, out, d));
  dense_strides(y, b.elem, b.dst);
  for (int i = 0; i < b.rank; i++) b.dst_offset += pads->v[i] * b.dst[i];
  return lower_block(g, n, &b, out, d);
}

bool lower_slice(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const slice_attrs *a = CATTRS(n, slice);
  Block b = block_dense(g, n->in[0], n->out[0]);
  for (int i = 0; i < b.rank; i++) {
    b.dims[i] = op_out(g, n, 0)->shape.d[i];
    b.src_offset += a->starts.v[i] * b.src[i];
    b.src[i] *= a->steps.v[i];
  }
  dense_strides(&op_out(g, n, 0)->shape, b.elem, b.dst);
  return lower_block(g, n, &b, out, d);
}

bool lower_gather(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const int axis = CATTRS(n, gather)->axis;
  const Value *x = op_in(g, n, 0), *idx = op_in(g, n, 1);
  const int64_t count = shape_count(&idx->shape), len = x->shape.d[axis];
  const int64_t block = shape_count_range(&x->shape, axis + 1, x->shape.rank) * elem_of(g, n->in[0]);
  if (shape_count(&op_out(g, n, 0)->shape) == 0) return true;
  if (len == 0) return op_fail(n, d, "axis %d of input 0 is empty", axis);
  KernelCall *k = calls_add(out, "gather", node_id(g, n));
  *(mf_gather *)k->params = (mf_gather){.outer = 1,
                                        .axis_len = (int32_t)len,
                                        .count = (int32_t)count,
                                        .block = (int32_t)block,
                                        .index_bytes = (int32_t)dtype_size(idx->dtype)};
  k->in[0] = (CallView){n->in[0], 0, block, len * block};
  k->in[1] = (CallView){n->in[1], 0, (int64_t)dtype_size(idx->dtype), 0};
  k->out = (CallView){n->out[0], 0, block, count * block};
  k->n_in = 2;
  k->rows = (int32_t)count;
  k->batch = (int32_t)shape_count_range(&x->shape, 0, axis);
  return true;
}
