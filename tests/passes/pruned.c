/* See pruned.h. A read of 0 is a Where before the operator, so that this knows nothing of how weights lie. */
#include "tests/passes/pruned.h"

#include <check.h>
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/eval.h"
#include "tests/random/random.h"

PrunePlan pruned_plan(const Channels *c, uint64_t seed, float share, const PrunePlan *within) {
  PrunePlan p;
  Rng rng;
  prune_plan_all(c, &p);
  rng_seed(&rng, seed, 7);
  for (uint32_t g = 0; g < c->n_groups; g++) {
    const uint32_t first = c->groups[g].first, n = c->groups[g].n;
    uint32_t kept = 0;
    for (uint32_t u = first; u < first + n; u++) {
      bool possible = !within || within->keep[u];
      p.keep[u] = possible && rng_uniform(&rng) < share;
      kept += p.keep[u];
    }
    for (uint32_t u = first + n; u-- > first && kept < c->groups[g].least;)
      if (!p.keep[u] && (!within || within->keep[u])) p.keep[u] = 1, kept++;
    p.kept[g] = kept;
  }
  return p;
}

/* ---- reads of 0 */

typedef struct Zeroer {
  const Channels *c;
  const PrunePlan *p;
  Rewrite r;
  Diag *d;
} Zeroer;

static bool stays(const PrunePlan *p, uint32_t unit) { return unit == CHAN_FIXED || p->keep[unit]; }

static bool loses(const Zeroer *z, const uint32_t *unit, int64_t n) {
  for (int64_t i = 0; unit && i < n; i++)
    if (!stays(z->p, unit[i])) return true;
  return false;
}

/* The constant x with 0 for what goes along the axis. */
static ValId masked_const(Zeroer *z, ValId x, int axis, const uint32_t *unit) {
  const Shape s = graph_val(z->r.to, x)->shape;
  const int64_t inner = shape_count_range(&s, axis + 1, s.rank), count = shape_count(&s);
  const DType t = graph_val(z->r.to, x)->dtype;
  const size_t size = dtype_size(t);
  char *w = mem_array((size_t)count, size);
  memcpy(w, val_data(z->r.to, x), (size_t)count * size);
  for (int64_t i = 0; i < count; i++)
    if (!stays(z->p, unit[i / inner % s.d[axis]])) memset(w + (size_t)i * size, 0, size);
  ValId y = graph_const_data(z->r.to, "masked", t, &s, w);
  mem_free(w);
  return y;
}

/* x, or 0 where its unit along the axis goes (even of a NaN). */
static ValId masked(Zeroer *z, ValId x, int axis, const uint32_t *unit) {
  const Value *v = graph_val(z->r.to, x);
  if (axis < 0) axis += v->shape.rank;
  const int64_t n = v->shape.d[axis];
  if (!loses(z, unit, n)) return x;
  if (val_is_const(z->r.to, x)) return masked_const(z, x, axis, unit);
  Shape s = {.rank = v->shape.rank - axis};
  for (int a = 0; a < s.rank; a++) s.d[a] = a == 0 ? n : 1;
  uint8_t *m = mem_array((size_t)n, 1);
  for (int64_t i = 0; i < n; i++) m[i] = stays(z->p, unit[i]);
  const Shape one = shape_of(0);
  const DType t = v->dtype;
  const ValId mask = graph_const_data(z->r.to, "mask", DT_BOOL, &s, m),
              zero = graph_const_data(z->r.to, "zero", t, &one, &(double){0});
  mem_free(m);
  ValId y = graph_node(z->r.to, OP_where, NULL, (ValId[]){mask, x, zero}, 3, "masked", NULL, z->d);
  ck_assert_msg(y != NO_VAL, "%s", diag_text(z->d));
  return y;
}

/* Input k of node i, its axis: of a value or of a constant as it is read there. */
static const uint32_t *units_of(const Zeroer *z, NodeId i, uint32_t k, int axis) {
  const Graph *g = z->c->graph;
  const ValId v = g->nodes[i].in[k];
  if (axis < 0) axis += graph_val(g, v)->shape.rank;
  return (val_is_const(g, v) ? &z->c->operand[i][k] : &z->c->along[v])->axis[axis];
}

static void mask_input(Zeroer *z, NodeId i, uint32_t k, int axis, ValId *in) {
  in[k] = masked(z, in[k], axis, units_of(z, i, k, axis));
}

static void mask_axes(Zeroer *z, NodeId i, const Ints *axes, ValId *in) {
  for (int a = 0; a < axes->n; a++) mask_input(z, i, 0, (int)axes->v[a], in);
}

static void mask_reads(Zeroer *z, NodeId i, ValId *in) {
  const Node *n = &z->c->graph->nodes[i];
  switch (n->op) {
  case OP_conv:
  case OP_conv_transpose:
  case OP_fully_connected: mask_input(z, i, 0, -1, in); break;
  case OP_matmul:
    mask_input(z, i, 0, -1, in);
    mask_input(z, i, 1, -2, in);
    break;
  case OP_reduce_sum: mask_axes(z, i, &CATTRS(n, reduce_sum)->axes, in); break;
  case OP_reduce_sum_square: mask_axes(z, i, &CATTRS(n, reduce_sum_square)->axes, in); break;
  case OP_lstm:
  case OP_gru:
  case OP_rnn: mask_input(z, i, 1, 1, in); break;
  case OP_seq_lstm:
    mask_input(z, i, 0, -1, in);
    for (uint32_t k = 7; k < 11; k++) mask_input(z, i, k, 1, in);
    break;
  case OP_svdf_state: mask_input(z, i, 1, -1, in); break;
  default: break;
  }
}

Graph *pruned_zeroed(const Channels *c, const PrunePlan *p) {
  Zeroer z = {.c = c, .p = p, .d = diag_new()};
  const Graph *g = c->graph;
  rewrite_begin(&z.r, g, NULL);
  for (NodeId i = 0; i < g->n_nodes; i++) {
    const Node *n = &g->nodes[i];
    ValId *in = mem_array(n->n_in, sizeof *in);
    for (uint32_t k = 0; k < n->n_in; k++) in[k] = rewrite_val(&z.r, n->in[k]);
    mask_reads(&z, i, in);
    ValId y = graph_node(z.r.to, n->op, n->attrs, in, n->n_in, NULL, &n->loc, z.d);
    ck_assert_msg(y != NO_VAL, "%s", diag_text(z.d));
    z.r.map[n->out[0]] = y;
    mem_free(in);
  }
  diag_free(z.d);
  return rewrite_end(&z.r, true, NULL);
}

/* ---- comparing */

/* x: of the pruned graph, y: of the zeroed one. */
static double value_difference(const Value *v, const void *x, const void *y) {
  const int64_t n = shape_count(&v->shape);
  double worst = 0, most = 1;
  if (v->dtype != DT_F32) return memcmp(x, y, (size_t)n * dtype_size(v->dtype)) ? INFINITY : 0;
  const float *p = x, *q = y;
  for (int64_t i = 0; i < n; i++) {
    if (!isfinite(q[i]))
      continue; /* a recurrent weight of 0 times a NaN, where the hidden unit itself is none */
    if (!isfinite(p[i])) return INFINITY;
    most = fmax(most, fabs((double)p[i]));
    worst = fmax(worst, fabs((double)p[i] - (double)q[i]));
  }
  return worst / most;
}

static double run_both(const Graph *a, const Graph *b, uint64_t seed, Diag *d) {
  Evaluator *ea = evaluator_new(a, d), *eb = evaluator_new(b, d);
  ck_assert_msg(ea && eb, "%s", diag_text(d));
  Tensor *in = mem_array(a->n_inputs + 1, sizeof *in);
  const void **data = mem_array(a->n_inputs + 1, sizeof *data);
  double worst = 0;
  for (int k = 0; k < (a->n_states ? 3 : 2); k++) {
    random_inputs(a, seed, k, in);
    for (uint32_t i = 0; i < a->n_inputs; i++) data[i] = in[i].data;
    evaluator_run(ea, data);
    evaluator_run(eb, data);
    for (uint32_t i = 0; i < a->n_outputs; i++) {
      const Value *v = graph_val(a, a->outputs[i]);
      double diff = INFINITY;
      if (shape_equal(&v->shape, &graph_val(b, b->outputs[i])->shape))
        diff = value_difference(v, evaluator_value(ea, a->outputs[i]), evaluator_value(eb, b->outputs[i]));
      if (!(diff <= worst)) worst = diff;
    }
    for (uint32_t i = 0; i < a->n_inputs; i++) tensor_free(&in[i]);
  }
  mem_free(in);
  mem_free(data);
  evaluator_free(ea);
  evaluator_free(eb);
  return worst;
}

double pruned_difference(const Graph *a, const Graph *b, uint64_t seed) {
  Diag *d = diag_new();
  Graph *p = a->n_states ? graph_clone(a) : graph_with_batch(a, 2, d), *q = NULL;
  if (!p) { /* its batch is fixed */
    diag_clear(d);
    p = graph_clone(a), q = graph_clone(b);
  } else {
    q = b->n_states ? graph_clone(b) : graph_with_batch(b, 2, d);
  }
  ck_assert_msg(q != NULL, "%s", diag_text(d));
  const double diff = run_both(p, q, seed, d);
  graph_free(p);
  graph_free(q);
  diag_free(d);
  return diff;
}
