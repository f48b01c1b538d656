/* ONNX products with a matrix: Gemm, MatMul.
 *
 *   x [..,K] with constant w [K,O]  -> FullyConnected with w^T [O,K] (alpha, beta, transB folded into constants)
 *   anything else                   -> MatMul with Transposes and factors around
 *
 * Source: ONNX Gemm-7,-9,-11,-13, MatMul-1,-9,-13.
 */
#include "frontend/onnx/onnx_op.h"

#include <inttypes.h>

#include "ir/base/mem.h"

static bool is_const_f32(const OxCall *c, ValId v, int rank) {
  return ox_is_weights(c, v) && ox_shape(c, v).rank == rank;
}

DType ox_product_type(DType t) {
  DType work = ox_work_type(t);
  if (work == DT_I32 || work == DT_I64 || work == DT_U64) return DT_I64;
  return work == DT_F32 || work == DT_F64 ? work : DT_NONE;
}

/* Inputs of a product in the type that it is computed in; *t: the file's. */
static bool wide_inputs(OxCall *c, uint32_t n, DType *t) {
  for (uint32_t i = 0; i < n; i++) {
    if (!ox_has(c, i)) continue;
    *t = ox_type(c, c->in[i]);
    DType work = ox_product_type(*t);
    OX_FAIL_IF(work == DT_NONE, c,
               "has elements of %s; supported are floats of 16 bits and more, and integers", dtype_name(*t));
    c->in[i] = ox_folded(c, ox_cast(c, c->in[i], work, "wide"));
    TRY(c->in[i] != NO_VAL);
  }
  return true;
}

/* The value as output 0, of the file's type. */
static bool narrow_done(OxCall *c, ValId y, DType t) { return ox_done(c, ox_cast(c, y, t, NULL)); }

/* x * factor; x itself where the factor is 1. */
static ValId scaled(OxCall *c, ValId x, float factor, const char *suffix) {
  if (x == NO_VAL || factor == 1.0f) return x;
  if (val_is_const(c->g, x) && ox_type(c, x) == DT_F32) return ox_const_scale(c, x, factor);
  Shape scalar = {.rank = 0};
  ValId in[2] = {x, graph_const_data(c->g, NULL, DT_F32, &scalar, &factor)};
  return ox_node(c, OP_mul, NULL, in, 2, suffix);
}

static ValId fully_connected(OxCall *c, ValId x, ValId w, ValId bias, const char *suffix) {
  ValId in[3] = {x, w, bias};
  return ox_node(c, OP_fully_connected, NULL, in, 3, suffix);
}

/* Gemm's C as bias [O] of FullyConnected: a constant that is the same in every row. NO_VAL: it is none. */
static ValId row_bias(OxCall *c, ValId v, int64_t outs, float beta) {
  if (!ox_is_weights(c, v)) return NO_VAL;
  Shape s = ox_shape(c, v), row = {1, {outs}};
  if (!val_is_const(c->g, v)) { /* dequantized: as it is where it fits */
    if (beta == 1.0f && shape_equal(&s, &row)) return v;
    v = ox_constant(c, v);
    if (v == NO_VAL) return NO_VAL;
  }
  int64_t count = shape_count(&s);
  if (s.rank == 2 && s.d[0] != 1) return NO_VAL;
  if (s.rank > 2 || (count != outs && count != 1)) return NO_VAL;
  const float *from = val_data(c->g, v);
  float *data = mem_alloc_aligned((size_t)outs * sizeof *data, 64);
  for (int64_t i = 0; i < outs; i++) data[i] = from[count == 1 ? 0 : i] * beta;
  return graph_const(c->g, graph_val(c->g, v)->name, DT_F32, &row,
                     blob_adopt(data, (size_t)outs * sizeof *data));
}

/* A Gemm's matrices as they are multiplied. */
typedef struct Gemm {
  ValId a, b, bias; /* b: [O,K] where it is constant, [K,O] otherwise; NO_VAL bias: none */
  bool const_b;
  float alpha, beta;
} Gemm;

static bool read_gemm(OxCall *c, Gemm *p) {
  p->a = ox_in(c, 0);
  p->b = ox_in(c, 1);
  TRY(p->a != NO_VAL && p->b != NO_VAL);
  OX_FAIL_IF(ox_shape(c, p->a).rank != 2 || ox_shape(c, p->b).rank != 2, c,
             "has inputs of %" PRId32 " and %" PRId32 " dimensions; want matrices", ox_shape(c, p->a).rank,
             ox_shape(c, p->b).rank);
  p->alpha = ox_float(c, "alpha", 1.0f);
  p->beta = ox_float(c, "beta", 1.0f);
  p->bias = ox_has(c, 2) ? c->in[2] : NO_VAL;
  p->const_b = is_const_f32(c, p->b, 2);
  if (p->const_b && p->alpha != 1.0f) p->b = ox_constant(c, p->b);
  bool trans_b = ox_int(c, "transB", 0) != 0;
  if (ox_int(c, "transA", 0) != 0) p->a = ox_transpose(c, p->a, "10", "a");
  if (p->const_b) {
    if (!trans_b) p->b = ox_const_transpose(c, p->b, "10");
    p->b = scaled(c, p->b, p->alpha, NULL);
  } else if (trans_b) {
    p->b = ox_transpose(c, p->b, "10", "b");
  }
  return p->a != NO_VAL && p->b != NO_VAL && !c->failed;
}

bool ox_import_gemm(OxCall *c) {
  Gemm p = {0};
  DType t = DT_F32;
  TRY(wide_inputs(c, 3, &t) && read_gemm(c, &p));
  OX_FAIL_IF(ox_type(c, p.a) != DT_F32 && (p.alpha != 1.0f || p.beta != 1.0f), c,
             "has elements of %s and a factor other than 1", dtype_name(t));
  ValId y, bias = NO_VAL;
  if (p.const_b) {
    if (p.bias != NO_VAL) bias = row_bias(c, p.bias, ox_shape(c, p.b).d[0], p.beta);
    bool rest = p.bias != NO_VAL && bias == NO_VAL;
    y = fully_connected(c, p.a, p.b, bias, rest ? "ab" : NULL);
    if (!rest) return narrow_done(c, y, t);
  } else {
    ValId in[2] = {p.a, p.b};
    bool last = p.bias == NO_VAL && p.alpha == 1.0f;
    y = ox_node(c, OP_matmul, NULL, in, 2, last ? NULL : "ab");
    y = scaled(c, y, p.alpha, p.bias == NO_VAL ? NULL : "alpha_ab");
    if (p.bias == NO_VAL) return narrow_done(c, y, t);
  }
  ValId in[2] = {y, scaled(c, p.bias, p.beta, "beta_c")};
  return narrow_done(c, ox_node(c, OP_add, NULL, in, 2, t == DT_F32 ? NULL : "sum"), t);
}

/* The shape without the axis that a vector was given. */
static ValId drop_axis(OxCall *c, ValId v, int axis) {
  if (v == NO_VAL) return NO_VAL;
  Shape s = ox_shape(c, v), to = {0};
  for (int i = 0; i < s.rank; i++)
    if (i != axis) to.d[to.rank++] = s.d[i];
  return ox_reshape(c, v, &to, NULL);
}

/* Vectors are matrices of one row (left) or one column (right), whose axis goes again from the result. */
bool ox_import_matmul(OxCall *c) {
  DType t = DT_F32;
  TRY(ox_in(c, 0) != NO_VAL && ox_in(c, 1) != NO_VAL && wide_inputs(c, 2, &t));
  ValId in[2] = {ox_in(c, 0), ox_in(c, 1)};
  TRY(in[0] != NO_VAL && in[1] != NO_VAL);
  Shape x = ox_shape(c, in[0]), y = ox_shape(c, in[1]);
  OX_FAIL_IF(x.rank == 0 || y.rank == 0, c, "has a scalar input; want at least vectors");
  if (is_const_f32(c, in[1], 2))
    return narrow_done(
        c,
        fully_connected(c, in[0], ox_const_transpose(c, in[1], "10"), NO_VAL, t == DT_F32 ? NULL : "product"),
        t);
  bool row = x.rank == 1, column = y.rank == 1;
  if (row) in[0] = ox_reshape(c, in[0], &(Shape){2, {1, x.d[0]}}, "row");
  if (column) in[1] = ox_reshape(c, in[1], &(Shape){2, {y.d[0], 1}}, "column");
  ValId z = ox_node(c, OP_matmul, NULL, in, 2, row || column || t != DT_F32 ? "product" : NULL);
  if (column && z != NO_VAL) z = drop_axis(c, z, ox_shape(c, z).rank - 1);
  if (row && z != NO_VAL) z = drop_axis(c, z, ox_shape(c, z).rank - (column ? 1 : 2));
  return narrow_done(c, z, t);
}
