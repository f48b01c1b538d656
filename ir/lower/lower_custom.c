/* Lowering of Custom: one call of the user's function. What it is told of tensors and attributes becomes constants. */
#include "ir/lower/lower_util.h"

/* The numbers that sources of users name. */
#define SAME(t) ((int)MF_TENSOR_##t == (int)DT_##t)
_Static_assert(SAME(NONE) && SAME(F32) && SAME(I8) && SAME(U8) && SAME(I16) && SAME(I32) && SAME(I64) &&
                   SAME(BOOL) && SAME(F64) && SAME(U16) && SAME(U32) && SAME(U64),
               "types of custom operators");

/* type, rank, zero point, dimensions */
static int32_t *put_tensor(int32_t *list, const Value *v) {
  *list++ = (int32_t)v->dtype;
  *list++ = v->shape.rank;
  *list++ = v->quant.n == 1 ? zero_of(v) : 0;
  for (int i = 0; i < v->shape.rank; i++) *list++ = (int32_t)v->shape.d[i];
  return list;
}

static CallView as_a_whole(const Graph *g, ValId v) { return (CallView){v, 0, (int64_t)val_bytes(g, v), 0}; }

static int32_t *put_inputs(const Graph *g, const Node *n, KernelCall *k, int32_t *list, float *scales) {
  for (uint32_t i = 0; i < n->n_in; i++) {
    const Value *x = op_in_opt(g, n, i);
    scales[i] = x && x->quant.n == 1 ? scale_of(x) : 0;
    list = put_tensor(list, x ? x : &(Value){.dtype = DT_NONE});
    if (x) k->in[k->n_in++] = as_a_whole(g, n->in[i]);
  }
  return list;
}

static void put_attributes(const custom_attrs *a, KernelCall *k, Arena *arena) {
  int32_t *ints = arena_array(arena, MAX_RANK * 2, sizeof *ints);
  for (int i = 0; i < a->ints.n; i++) ints[i] = (int32_t)a->ints.v[i];
  if (a->ints.n) call_const(k, "ints", ints, a->ints.n, NO_VAL);
  if (a->floats.n)
    call_const(k, "floats", arena_dup(arena, a->floats.v, (size_t)a->floats.n * sizeof(float)), a->floats.n,
               NO_VAL);
}

bool lower_custom(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const custom_attrs *a = CATTRS(n, custom);
  const Value *y = op_out(g, n, 0);
  (void)d;
  ASSERT(n->n_in <= MF_CUSTOM_IN);
  if (shape_count(&y->shape) == 0) return true;
  KernelCall *k = calls_add(out, "custom", node_id(g, n));
  int32_t *list = arena_array(out->arena, (MF_CUSTOM_IN + 1) * (3 + MAX_RANK), sizeof *list);
  float *scales = arena_array(out->arena, MF_CUSTOM_IN + 1, sizeof *scales);
  int32_t *end = put_inputs(g, n, k, list, scales);
  end = put_tensor(end, y);
  scales[n->n_in] = y->quant.n == 1 ? scale_of(y) : 0;
  *(mf_custom_call *)k->params = (mf_custom_call){.n_in = (int32_t)n->n_in,
                                                  .n_ints = a->ints.n,
                                                  .n_floats = a->floats.n,
                                                  .scratch = a->scratch,
                                                  .fn = custom_function(g, n)};
  call_const(k, "tensors", list, end - list, NO_VAL);
  call_const(k, "scales", scales, n->n_in + 1, NO_VAL);
  put_attributes(a, k, out->arena);
  k->out = as_a_whole(g, n->out[0]);
  k->rows = 1;
  return true;
}
