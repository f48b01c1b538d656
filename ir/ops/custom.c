/* Custom: the shape of what a function of the user's computes. Any types that runtime/kernels/custom.h names; codes stay codes. */
#include "ir/ops/ops.h"

#include <string.h>

static bool is_offered(DType t) {
  switch (t) {
  case DT_F32:
  case DT_I8:
  case DT_U8:
  case DT_I16:
  case DT_I32:
  case DT_I64:
  case DT_BOOL:
  case DT_F64:
  case DT_U16:
  case DT_U32:
  case DT_U64: return true;
  default: return false;
  }
}

static bool check_inputs(const Graph *g, const Node *n, bool *batch, Diag *d) {
  *batch = false;
  for (uint32_t i = 0; i < n->n_in; i++) {
    const Value *x = op_in_opt(g, n, i);
    if (!x) continue;
    if (!is_offered(x->dtype))
      return op_fail(n, d, "input %u has %s elements, which C has not", i, dtype_name(x->dtype));
    if (x->quant.n > 1) return op_fail(n, d, "input %u has a scale for each slice; want one", i);
    *batch |= x->shape.rank > 0 && x->shape.d[0] == DIM_BATCH;
  }
  return true;
}

static bool check_numbers(const Node *n, const custom_attrs *a, Diag *d) {
  if (!a->function.s[0]) return op_fail(n, d, "has no function");
  if (a->code.n != 0 && a->code.n != 2)
    return op_fail(n, d, "code has %d integers, want 2 or none", (int)a->code.n);
  if (a->scratch < 0) return op_fail(n, d, "scratch is %d, want 0 or more", (int)a->scratch);
  for (int i = 0; i < a->ints.n; i++)
    if (a->ints.v[i] != (int32_t)a->ints.v[i])
      return op_fail(n, d, "ints[%d] is %lld, which has more than 32 bits", i, (long long)a->ints.v[i]);
  return true;
}

bool infer_custom(Graph *g, Node *n, Diag *d) {
  const custom_attrs *a = CATTRS(n, custom);
  const Value *x = op_in(g, n, 0);
  bool batch;
  TRY(check_inputs(g, n, &batch, d) && check_numbers(n, a, d));
  Shape out = x->shape;
  if (a->shaped) {
    if (a->shape.n > MAX_RANK)
      return op_fail(n, d, "shape has %d dimensions, want at most %d", (int)a->shape.n, MAX_RANK);
    out = (Shape){.rank = a->shape.n};
    for (int i = 0; i < out.rank; i++) {
      const bool first = i == 0 && a->shape.v[0] == -1 && x->shape.rank > 0;
      if (a->shape.v[i] < 0 && !first) return op_fail(n, d, "shape[%d] is %lld", i, (long long)a->shape.v[i]);
      out.d[i] = first ? x->shape.d[0] : a->shape.v[i];
    }
  }
  if (batch && (out.rank == 0 || out.d[0] != DIM_BATCH)) return op_fail_batch(n, d, "an output without it");
  const DType t = a->shaped ? (DType)a->type : x->dtype;
  if (!is_offered(t)) return op_fail(n, d, "output has %s elements, which C has not", dtype_name(t));
  return op_set(g, n, t, &out, d);
}
