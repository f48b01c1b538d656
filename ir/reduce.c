/* The reducer: changes that make a graph smaller are tried one after the other and kept where it still fails, until a
 * whole round keeps none (delta debugging, Zeller and Hildebrandt 2002, with steps that know the IR).
 *
 *   one output alone | fewer outputs | a value as the only output | cut at a value | a node's input instead of its
 *   output | fewer inputs of a node | smaller extents | simpler attributes, constants, quantizations | no names
 *
 * Steps over nodes and values first look at every 16th, then, as the graph shrinks, at each. A kept change restarts its
 * step, with the graph that it left; each takes something away that no other brings back, so that the end is reached.
 */
#include "ir/reduce.h"

#include <string.h>

#include "ir/base/mem.h"

typedef struct Reducer {
  const ReduceOptions *o;
  Graph *best;
  int64_t checks;
  const char *step;
} Reducer;

static bool spent(const Reducer *r) { return r->o->max_checks > 0 && r->checks >= r->o->max_checks; }

/* Try one change; true: kept. */
static bool attempt(Reducer *r, const Edit *e) {
  if (spent(r)) return false;
  Graph *g = graph_edit(r->best, e);
  if (!g) return false;
  r->checks++;
  if (!r->o->fails(r->o->ctx, g)) {
    graph_free(g);
    return false;
  }
  graph_free(r->best);
  r->best = g;
  if (r->o->progress) r->o->progress(r->o->ctx, g, r->step, r->checks);
  return true;
}

static uint32_t stride(uint32_t n) { return n < 32 ? 1 : n / 16; }

/* -- outputs -- */

static bool one_output(Reducer *r) {
  if (r->best->n_outputs < 2) return false;
  for (uint32_t i = 0; i < r->best->n_outputs; i++) {
    const Edit e = {.kind = EDIT_ONLY, .val = r->best->outputs[i]};
    if (attempt(r, &e)) return true;
  }
  return false;
}

static bool fewer_outputs(Reducer *r) {
  bool any = false;
  for (uint32_t i = r->best->n_outputs; i-- > 0 && r->best->n_outputs > 1;) {
    const Edit e = {.kind = EDIT_NO_OUTPUT, .index = i};
    any |= attempt(r, &e);
  }
  return any;
}

/* Everything behind a value goes: the earliest that will do. */
static bool early_output(Reducer *r) {
  const uint32_t n = r->best->n_nodes;
  for (uint32_t k = stride(n) - 1; k < n; k += stride(n)) {
    const Edit e = {.kind = EDIT_ONLY, .val = r->best->nodes[k].out[0]};
    if (r->best->n_outputs == 1 && r->best->outputs[0] == e.val) continue;
    if (attempt(r, &e)) return true;
  }
  return false;
}

/* -- nodes -- */

/* Everything before a value goes: the latest that will do. */
static bool cut(Reducer *r, EditKind kind) {
  const uint32_t n = r->best->n_nodes;
  for (uint32_t k = n; k >= stride(n) && k > 0; k -= stride(n)) {
    const Node *node = &r->best->nodes[k - 1];
    for (uint32_t i = 0; i < node->n_out; i++) {
      const Edit e = {.kind = kind, .val = node->out[i]};
      if (attempt(r, &e)) return true;
    }
  }
  return false;
}

static bool cut_to_input(Reducer *r) { return cut(r, EDIT_INPUT); }
static bool cut_to_constant(Reducer *r) { return cut(r, EDIT_ONE) || cut(r, EDIT_ZERO); }

static bool bypass(Reducer *r) {
  for (NodeId k = r->best->n_nodes; k-- > 0;) {
    const Node *n = &r->best->nodes[k];
    const Value *y = &r->best->vals[n->out[0]];
    for (uint32_t i = 0; i < n->n_in; i++) {
      const Value *x = &r->best->vals[n->in[i]];
      if (n->in[i] == NO_VAL || x->dtype != y->dtype || !shape_equal(&x->shape, &y->shape)) continue;
      const Edit e = {.kind = EDIT_BYPASS, .val = n->out[0], .other = n->in[i]};
      if (attempt(r, &e)) return true;
    }
  }
  return false;
}

/* One graph input instead of two alike. */
static bool merge_inputs(Reducer *r) {
  const Graph *g = r->best;
  for (uint32_t i = 1; i < g->n_inputs; i++)
    for (uint32_t k = 0; k < i; k++) {
      const Value *x = &g->vals[g->inputs[i]], *y = &g->vals[g->inputs[k]];
      const Edit e = {.kind = EDIT_BYPASS, .val = g->inputs[i], .other = g->inputs[k]};
      if (x->dtype == y->dtype && shape_equal(&x->shape, &y->shape) && attempt(r, &e)) return true;
    }
  return false;
}

static bool fewer_inputs(Reducer *r) {
  for (NodeId k = 0; k < r->best->n_nodes; k++) {
    const Node *n = &r->best->nodes[k];
    for (uint32_t i = n->n_in; i-- > 0;) {
      const OpInfo *op = op_info(n->op);
      bool optional = (int)i >= op->min_in || (op->max_in > 8 && (int)n->n_in > op->min_in);
      const Edit e = {.kind = EDIT_DROP, .node = k, .index = i};
      if (n->in[i] != NO_VAL && optional && attempt(r, &e)) return true;
    }
  }
  return false;
}

/* -- extents -- */

/* Smaller values to try for an extent, the smallest first; 0: no more. */
static int64_t smaller(int64_t extent, int k) {
  const int64_t tries[] = {1, 2, extent / 2, extent - 1};
  if (k >= 4 || (extent == DIM_BATCH && k > 0)) return 0;
  return extent == DIM_BATCH ? 1 : tries[k];
}

static bool shrinks(const Graph *g, ValId v) {
  return g->vals[v].def == NO_NODE && g->vals[v].shape.rank > 0;
}

static bool extents(Reducer *r, EditKind kind) {
  for (ValId v = 1; v < r->best->n_vals; v++) {
    if (!shrinks(r->best, v)) continue;
    for (int i = 0; i < r->best->vals[v].shape.rank; i++) {
      const int64_t from = r->best->vals[v].shape.d[i];
      for (int k = 0; smaller(from, k) > 0; k++) {
        const Edit e = {.kind = kind, .val = v, .index = (uint32_t)i, .from = from, .to = smaller(from, k)};
        if ((from == DIM_BATCH || e.to < from) && attempt(r, &e)) return true;
      }
    }
  }
  return false;
}

static bool smaller_extents(Reducer *r) { return extents(r, EDIT_EXTENT); }
static bool smaller_dims(Reducer *r) { return extents(r, EDIT_DIM); }

/* -- attributes, constants, quantization -- */

static bool simpler_attrs(Reducer *r) {
  for (NodeId k = 0; k < r->best->n_nodes; k++) {
    const OpInfo *op = op_info(r->best->nodes[k].op);
    void *attrs = mem_alloc(op->attrs_size);
    bool kept = false;
    for (int i = 0; i < op->n_attrs && !kept; i++) {
      memcpy(attrs, r->best->nodes[k].attrs, op->attrs_size);
      if (!attr_parse(&op->attrs[i], op->attrs[i].def, attrs)) continue;
      if (attr_equal(&op->attrs[i], attrs, r->best->nodes[k].attrs)) continue;
      const Edit e = {.kind = EDIT_ATTRS, .node = k, .attrs = attrs};
      kept = attempt(r, &e);
    }
    mem_free(attrs);
    if (kept) return true;
  }
  return false;
}

/* All elements have the bytes of the first, and these are those of 0 or 1. */
static bool is_plain(const Graph *g, ValId v) {
  const Value *x = &g->vals[v];
  const size_t elem = dtype_size(x->dtype), n = val_bytes(g, v);
  const char *p = val_data(g, v);
  const float one = 1;
  bool zero = true;
  for (size_t i = 0; i < n; i++) {
    if (p[i] != p[i % elem]) return false;
    zero = zero && p[i] == 0;
  }
  return zero || (x->dtype == DT_F32 ? memcmp(p, &one, sizeof one) == 0 : x->dtype != DT_F64 && p[0] == 1);
}

static bool plain_constants(Reducer *r) {
  for (ValId v = 1; v < r->best->n_vals; v++) {
    if (!val_is_const(r->best, v) || val_bytes(r->best, v) == 0 || is_plain(r->best, v)) continue;
    const Edit one = {.kind = EDIT_ONE, .val = v}, zero = {.kind = EDIT_ZERO, .val = v};
    if (attempt(r, &one) || attempt(r, &zero)) return true;
  }
  return false;
}

static bool plain_quantization(Reducer *r) {
  for (ValId v = 1; v < r->best->n_vals; v++) {
    const Quant *q = &r->best->vals[v].quant;
    if (q->n == 0 || (q->n == 1 && q->scale[0] >= 1 && q->scale[0] <= 1 && q->zero[0] == 0)) continue;
    const Edit e = {.kind = EDIT_QUANT, .val = v};
    if (attempt(r, &e)) return true;
  }
  return false;
}

typedef struct Step {
  const char *what;
  bool (*run)(Reducer *r);
} Step;

static const Step steps[] = {{"one output alone", one_output},
                             {"fewer outputs", fewer_outputs},
                             {"an earlier output", early_output},
                             {"a value becomes an input", cut_to_input},
                             {"a node is passed by", bypass},
                             {"a value becomes a constant", cut_to_constant},
                             {"a node with fewer inputs", fewer_inputs},
                             {"two inputs become one", merge_inputs},
                             {"a smaller extent", smaller_extents},
                             {"a smaller dimension", smaller_dims},
                             {"attributes at their defaults", simpler_attrs},
                             {"plain constants", plain_constants},
                             {"plain quantization", plain_quantization}};

Graph *graph_reduce(const Graph *g, const ReduceOptions *o, int64_t *checks) {
  Reducer r = {.o = o, .best = graph_clone(g)};
  bool any = true;
  while (any && !spent(&r)) {
    any = false;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
      r.step = steps[i].what;
      while (steps[i].run(&r)) any = true;
    }
  }
  r.step = "no names";
  const Edit bare = {.kind = EDIT_BARE};
  attempt(&r, &bare);
  if (checks) *checks = r.checks;
  return r.best;
}
