/* One change of a graph, for the reducer: what the outputs need is copied, with the change, and inferred anew.
 *
 *   wanted values, from the outputs backwards -> inputs, constants at first use, nodes in order -> verifier
 *
 * A constant whose shape shrinks keeps the leading part along each axis, its quantization the leading scales.
 */
#include <string.h>

#include "ir/base/mem.h"
#include "ir/reduce.h"

typedef struct Editor {
  const Graph *g;
  const Edit *e;
  Graph *to;
  bool *wanted; /* by value of g */
  ValId *map;
  Diag *d;
} Editor;

static ValId resolve(const Editor *x, ValId v) {
  return x->e->kind == EDIT_BYPASS && v == x->e->val ? x->e->other : v;
}

/* Nothing computes v in the changed graph. */
static bool is_source(const Editor *x, ValId v) {
  bool cut = x->e->kind == EDIT_INPUT || x->e->kind == EDIT_ZERO || x->e->kind == EDIT_ONE;
  return x->g->vals[v].def == NO_NODE || (cut && v == x->e->val);
}

/* Output number i of the changed graph; NO_VAL: none. */
static ValId output_at(const Editor *x, uint32_t i) {
  if (x->e->kind == EDIT_ONLY) return i == 0 ? x->e->val : NO_VAL;
  if (x->e->kind == EDIT_NO_OUTPUT && i == x->e->index) return NO_VAL;
  return resolve(x, x->g->outputs[i]);
}

static bool drops(const Editor *x, NodeId k, uint32_t i) {
  return x->e->kind == EDIT_DROP && x->e->node == k && x->e->index == i;
}

static void find_wanted(Editor *x) {
  const Graph *g = x->g;
  for (uint32_t i = 0; i < g->n_outputs; i++) x->wanted[output_at(x, i)] = true;
  for (NodeId k = g->n_nodes; k-- > 0;) {
    const Node *n = &g->nodes[k];
    bool needed = false;
    for (uint32_t i = 0; i < n->n_out; i++) needed |= x->wanted[n->out[i]] && !is_source(x, n->out[i]);
    for (uint32_t i = 0; i < n->n_in && needed; i++)
      if (!drops(x, k, i)) x->wanted[resolve(x, n->in[i])] = true;
  }
}

/* -- inputs and constants -- */

static Shape edited_shape(const Editor *x, ValId v) {
  Shape s = x->g->vals[v].shape;
  for (int i = 0; i < s.rank; i++) {
    if (x->e->kind == EDIT_EXTENT && s.d[i] == x->e->from) s.d[i] = x->e->to;
    if (x->e->kind == EDIT_DIM && v == x->e->val && (uint32_t)i == x->e->index) s.d[i] = x->e->to;
  }
  return s;
}

static bool same_quant(const Editor *x, const Quant *q) {
  return x->e->kind == EDIT_QUANT && quant_equal(q, &x->g->vals[x->e->val].quant);
}

/* The quantization that value v of g has in the changed graph, as value `id` there. */
static void set_quant(Editor *x, ValId v, ValId id) {
  const Quant *q = &x->g->vals[v].quant;
  const Shape *s = &x->to->vals[id].shape;
  static const float one = 1;
  static const int32_t zero = 0;
  if (same_quant(x, q)) {
    graph_set_quant(x->to, id, 1, 0, &one, &zero);
    return;
  }
  int n = q->n;
  if (n > 1 && q->axis < s->rank && s->d[q->axis] < n) n = (int)s->d[q->axis];
  if (n > 0) graph_set_quant(x->to, id, n, q->axis, q->scale, q->zero);
}

/* The leading part of each axis. */
static void copy_part(const Shape *from, const Shape *to, size_t elem, const char *src, char *dst) {
  int64_t index[MAX_RANK] = {0}, n = shape_count(to);
  for (int64_t i = 0; i < n; i++) {
    int64_t at = 0;
    for (int k = 0; k < to->rank; k++) at = at * from->d[k] + index[k];
    memcpy(dst + (size_t)i * elem, src + (size_t)at * elem, elem);
    for (int k = to->rank - 1; k >= 0 && ++index[k] == to->d[k]; k--) index[k] = 0;
  }
}

static void fill_ones(DType t, int64_t n, char *data) {
  const float f = 1;
  const double wide = 1;
  for (int64_t i = 0; i < n; i++) {
    char *at = data + (size_t)i * dtype_size(t);
    if (t == DT_F32)
      memcpy(at, &f, sizeof f);
    else if (t == DT_F64)
      memcpy(at, &wide, sizeof wide);
    else
      *at = 1; /* little-endian */
  }
}

static ValId add_const(Editor *x, ValId v, const Shape *s) {
  const Value *old = &x->g->vals[v];
  bool here = v == x->e->val;
  size_t elem = dtype_size(old->dtype);
  if (old->blob && shape_equal(s, &old->shape) &&
      !(here && (x->e->kind == EDIT_ZERO || x->e->kind == EDIT_ONE)))
    return graph_const(x->to, old->name, old->dtype, s, blob_ref(old->blob));
  char *data = mem_array((size_t)shape_count(s) + 1, elem);
  if (here && x->e->kind == EDIT_ONE)
    fill_ones(old->dtype, shape_count(s), data);
  else if (!(here && x->e->kind == EDIT_ZERO))
    copy_part(&old->shape, s, elem, val_data(x->g, v), data);
  ValId id = graph_const_data(x->to, old->name, old->dtype, s, data);
  mem_free(data);
  return id;
}

/* The value in the changed graph: a source is made at first use. */
static ValId value_of(Editor *x, ValId v) {
  v = resolve(x, v);
  if (v == NO_VAL || x->map[v] != NO_VAL || !is_source(x, v)) return x->map[v];
  const Value *old = &x->g->vals[v];
  const Shape s = edited_shape(x, v);
  const bool here = v == x->e->val;
  bool constant = here && x->e->kind == EDIT_INPUT                              ? false
                  : here && (x->e->kind == EDIT_ZERO || x->e->kind == EDIT_ONE) ? true
                                                                                : old->blob != NULL;
  if (!shape_valid(&s, old->dtype) || (constant && !shape_is_static(&s))) return NO_VAL;
  x->map[v] = constant ? add_const(x, v, &s) : graph_input(x->to, old->name, old->dtype, &s);
  set_quant(x, v, x->map[v]);
  return x->map[v];
}

/* -- nodes -- */

/* Attributes with the extent replaced, where the operator has shapes among them. */
static void edit_shapes(const Editor *x, const OpInfo *op, void *attrs) {
  for (int i = 0; i < op->n_attrs; i++) {
    const AttrDesc *a = &op->attrs[i];
    void *at = (char *)attrs + a->offset;
    bool shape = a->kind == ATTR_INTS && (strcmp(a->name, "shape") == 0 || strcmp(a->name, "counts") == 0 ||
                                          strcmp(a->name, "sizes") == 0);
    Ints *list = at;
    for (int k = 0; shape && k < list->n; k++)
      if (list->v[k] == x->e->from) list->v[k] = x->e->to;
    if (strcmp(a->name, "group") == 0 && *(int32_t *)at == x->e->from) *(int32_t *)at = (int32_t)x->e->to;
  }
}

static void *edited_attrs(const Editor *x, NodeId k) {
  const Node *n = &x->g->nodes[k];
  const OpInfo *op = op_info(n->op);
  void *attrs = mem_alloc(op->attrs_size);
  bool other = x->e->kind == EDIT_ATTRS && x->e->node == k;
  memcpy(attrs, other ? x->e->attrs : n->attrs, op->attrs_size);
  if (x->e->kind == EDIT_EXTENT && x->e->from > 1) edit_shapes(x, op, attrs);
  return attrs;
}

/* Inputs of node k: an optional one that is dropped stays as a hole, of many like ones the others move up. */
static bool edited_inputs(Editor *x, NodeId k, ValId *in, uint32_t *n_in) {
  const Node *n = &x->g->nodes[k];
  const OpInfo *op = op_info(n->op);
  *n_in = 0;
  for (uint32_t i = 0; i < n->n_in; i++) {
    if (drops(x, k, i)) {
      if (op->max_in > 8) continue;
      in[(*n_in)++] = NO_VAL;
      continue;
    }
    in[*n_in] = value_of(x, n->in[i]);
    if (n->in[i] != NO_VAL && in[*n_in] == NO_VAL) return false;
    (*n_in)++;
  }
  return true;
}

static void finish_outputs(Editor *x, const Node *n) {
  const Node *copy = &x->to->nodes[x->to->n_nodes - 1];
  bool follows = (op_info(n->op)->traits & (T_VIEW | T_MOVE)) != 0;
  for (uint32_t i = 0; i < n->n_out; i++) {
    const Value *old = &x->g->vals[n->out[i]];
    Value *v = &x->to->vals[copy->out[i]];
    v->name = arena_strdup(x->to->arena, old->name);
    if (old->quant.n > 0 && !(follows && v->quant.n > 0)) set_quant(x, n->out[i], copy->out[i]);
    if (!is_source(x, n->out[i])) x->map[n->out[i]] = copy->out[i];
  }
}

static bool copy_node(Editor *x, NodeId k) {
  static const Loc nowhere = {0};
  const Node *n = &x->g->nodes[k];
  bool needed = false;
  for (uint32_t i = 0; i < n->n_out; i++) needed |= x->wanted[n->out[i]] && !is_source(x, n->out[i]);
  if (!needed) return true;
  ValId *in = mem_array((size_t)n->n_in + 1, sizeof *in);
  void *attrs = edited_attrs(x, k);
  uint32_t n_in;
  const Loc *loc = x->e->kind == EDIT_BARE ? &nowhere : &n->loc;
  bool ok =
      edited_inputs(x, k, in, &n_in) && graph_node(x->to, n->op, attrs, in, n_in, NULL, loc, x->d) != NO_VAL;
  if (ok) finish_outputs(x, n);
  mem_free(in);
  mem_free(attrs);
  return ok;
}

static bool copy_outputs(Editor *x) {
  for (uint32_t i = 0; i < x->g->n_outputs; i++) {
    ValId v = output_at(x, i);
    if (v == NO_VAL) continue;
    ValId id = value_of(x, v);
    if (id == NO_VAL) return false;
    graph_output(x->to, id);
  }
  return x->to->n_outputs > 0;
}

/* Inputs that are still read, in their order; then the cut one, if one is cut. */
static bool copy_inputs(Editor *x) {
  for (uint32_t i = 0; i < x->g->n_inputs; i++) {
    ValId v = x->g->inputs[i];
    if (x->wanted[v] && value_of(x, v) == NO_VAL) return false;
  }
  return true;
}

Graph *graph_edit(const Graph *g, const Edit *e) {
  Editor x = {.g = g, .e = e, .to = graph_new_like(g), .d = diag_new()};
  if (e->kind == EDIT_BARE) x.to->name = NULL;
  x.wanted = mem_array(g->n_vals, sizeof *x.wanted);
  x.map = mem_array(g->n_vals, sizeof *x.map);
  find_wanted(&x);
  bool ok = copy_inputs(&x);
  for (NodeId k = 0; k < g->n_nodes && ok; k++) ok = copy_node(&x, k);
  ok = ok && copy_outputs(&x) && graph_verify(x.to, x.d);
  for (ValId v = 1; e->kind == EDIT_BARE && ok && v < x.to->n_vals; v++) x.to->vals[v].name = NULL;
  if (!ok) {
    graph_free(x.to);
    x.to = NULL;
  }
  mem_free(x.wanted);
  mem_free(x.map);
  diag_free(x.d);
  return x.to;
}
