/* What import functions compose from: picking along an axis, evaluating constants at once. See onnx_op.h. */
#include "frontend/onnx/onnx_op.h"
#include "ir/base/mem.h"
#include "ir/eval.h"

enum { FOLDED_MAX_BYTES = 1 << 26 };

/* A Slice that takes idx[0], idx[0] + step, ...; false: they are no such sequence. */
static bool as_slice(const Shape *s, int axis, const int32_t *idx, int64_t n, slice_attrs *a) {
  int64_t step = n > 1 ? (int64_t)idx[1] - idx[0] : 1;
  if (n == 0 || step == 0) return false;
  for (int64_t i = 2; i < n; i++)
    if ((int64_t)idx[i] - idx[i - 1] != step) return false;
  *a = (slice_attrs){.starts = {.n = s->rank}, .counts = {.n = s->rank}, .steps = {.n = s->rank}};
  for (int i = 0; i < s->rank; i++) {
    a->starts.v[i] = i == axis ? idx[0] : 0;
    a->counts.v[i] = i == axis ? n : s->d[i];
    a->steps.v[i] = i == axis ? step : 1;
  }
  return true;
}

ValId ox_pick(OxCall *c, ValId x, int axis, const int32_t *idx, int64_t n, const char *suffix) {
  if (x == NO_VAL) return NO_VAL;
  Shape s = ox_shape(c, x);
  slice_attrs a;
  if (as_slice(&s, axis, idx, n, &a)) {
    if (suffix && n == s.d[axis] && a.steps.v[axis] == 1) return x;
    return ox_node(c, OP_slice, &a, &x, 1, suffix);
  }
  ValId in[2] = {x, graph_const_data(c->g, NULL, DT_I32, &(Shape){1, {n}}, idx)};
  return ox_node(c, OP_gather, &(gather_attrs){.axis = axis}, in, 2, suffix);
}

ValId ox_folded(OxCall *c, ValId v) {
  if (v == NO_VAL) return v;
  const Node *n = graph_def(c->g, v);
  if (!n || n->n_out != 1 || n->n_in == 0 || val_bytes(c->g, v) > FOLDED_MAX_BYTES) return v;
  for (uint32_t i = 0; i < n->n_in; i++)
    if (n->in[i] != NO_VAL && !val_is_const(c->g, n->in[i])) return v;
  Graph *one = graph_new("fold");
  ValId *in = arena_array(c->m->arena, n->n_in, sizeof *in), folded = v;
  for (uint32_t i = 0; i < n->n_in; i++) {
    if (n->in[i] == NO_VAL) continue;
    const Value *x = graph_val(c->g, n->in[i]);
    in[i] = graph_const(one, x->name, x->dtype, &x->shape, blob_ref(x->blob));
  }
  Diag *d = diag_new();
  ValId y = graph_node(one, n->op, n->attrs, in, n->n_in, "y", &n->loc, d);
  Tensor t;
  if (y != NO_VAL) graph_output(one, y);
  if (y != NO_VAL && graph_eval(one, NULL, 0, &t, d))
    folded =
        graph_const(c->g, graph_val(c->g, v)->name, t.dtype, &t.shape, blob_adopt(t.data, tensor_bytes(&t)));
  diag_free(d);
  graph_free(one);
  return folded;
}
