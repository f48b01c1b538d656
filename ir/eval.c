/* Reference evaluation: the kernel calls of a graph, one after the other, on the host.
 *
 * Every computed root value has a buffer of its own (nothing is reused, so that any value can be read after a run);
 * inputs and constants are read where they lie. An Evaluator is not shared between threads; several may run on one
 * graph.
 */
#include "ir/eval.h"

#include <string.h>

#include "ir/base/mem.h"
#include "ir/lower.h"

enum { EVAL_ALIGN = 64 };

struct Evaluator {
  const Graph *g;
  Calls own;
  const Calls *calls; /* own, or a twin's */
  void **base;        /* of each value that is its own root; inputs: set by a run */
  void *scratch;      /* the largest that a call asks for */
  char *
      next; /* all states' next values, one behind the other: copied at once, since one may be another one's */
};

/* The address of what is only read, as the kernels' views hold it. */
static void *readable(const void *p) {
  void *q;
  memcpy(&q, &p, sizeof q);
  return q;
}

static void alloc_values(Evaluator *e) {
  const Graph *g = e->g;
  e->base = mem_array(g->n_vals, sizeof *e->base);
  size_t bytes = 0;
  for (uint32_t i = 0; i < g->n_states; i++) {
    ValId now = g->states[i].now;
    bytes += val_bytes(g, now);
    e->base[now] = mem_alloc_aligned(val_bytes(g, now) + EVAL_ALIGN, EVAL_ALIGN);
  }
  e->next = bytes ? mem_zalloc(bytes) : NULL;
  for (ValId v = 1; v < g->n_vals; v++) {
    if (value_root(g, v) != v) continue;
    if (val_is_const(g, v))
      e->base[v] = readable(val_data(g, v));
    else if (graph_def(g, v) != NULL)
      e->base[v] = mem_alloc_aligned(val_bytes(g, v) + EVAL_ALIGN, EVAL_ALIGN);
  }
}

/* Memory for the calls' values, states and scratch. */
static void alloc_run(Evaluator *e) {
  alloc_values(e);
  evaluator_reset(e);
  size_t most = 0;
  for (uint32_t i = 0; i < e->calls->n; i++) {
    const KernelCall *k = &e->calls->v[i];
    size_t need = k->kernel->scratch ? k->kernel->scratch(k->params) : 0;
    if (need > most) most = need;
  }
  if (most > 0) e->scratch = mem_alloc_aligned(most, EVAL_ALIGN);
}

/* Those that custom operators call. */
static bool functions_are_here(const Evaluator *e, Diag *d) {
  bool ok = true;
  for (uint32_t i = 0; i < e->calls->n; i++) {
    const Node *n = &e->g->nodes[e->calls->v[i].node];
    if (n->op == OP_custom && !custom_function(e->g, n)) ok = custom_missing(e->g, n, d);
  }
  return ok;
}

Evaluator *evaluator_new_by(const Graph *g, SelectCallsFn *select, Diag *d) {
  Evaluator *e = mem_zalloc(sizeof *e);
  e->g = g;
  e->calls = &e->own;
  calls_init(&e->own);
  if (!graph_lower(g, &e->own, d) || !functions_are_here(e, d) || (select && !select(g, &e->own, d))) {
    evaluator_free(e);
    return NULL;
  }
  alloc_run(e);
  return e;
}

Evaluator *evaluator_new(const Graph *g, Diag *d) { return evaluator_new_by(g, NULL, d); }

Evaluator *evaluator_twin(const Evaluator *e) {
  Evaluator *twin = mem_zalloc(sizeof *twin);
  twin->g = e->g;
  twin->calls = e->calls;
  alloc_run(twin);
  return twin;
}

void evaluator_free(Evaluator *e) {
  if (e == NULL) return;
  for (ValId v = 1; e->base != NULL && v < e->g->n_vals; v++) {
    if (graph_def(e->g, v) != NULL && value_root(e->g, v) == v) mem_free(e->base[v]);
  }
  for (uint32_t i = 0; e->base != NULL && i < e->g->n_states; i++) mem_free(e->base[e->g->states[i].now]);
  mem_free(e->base);
  mem_free(e->next);
  mem_free(e->scratch);
  if (e->calls == &e->own) calls_free(&e->own);
  mem_free(e);
}

static mf_view call_view(const Evaluator *e, const CallView *v, int32_t item) {
  char *base = e->base[value_root(e->g, v->val)];
  return (mf_view){base + v->offset + item * v->step, (int32_t)v->row, 0};
}

static void run_call(const Evaluator *e, const KernelCall *k) {
  for (int32_t item = 0; item < k->batch; item++) {
    mf_view in[CALL_MAX_IN] = {{0}}, out = call_view(e, &k->out, item);
    for (int i = 0; i < k->n_in; i++) in[i] = call_view(e, &k->in[i], item);
    k->kernel->fn(k->params, in, &out, 0, k->rows, e->scratch);
  }
}

void evaluator_reset(Evaluator *e) {
  for (uint32_t i = 0; i < e->g->n_states; i++) {
    const GraphState *s = &e->g->states[i];
    memcpy(e->base[s->now], val_data(e->g, s->init), val_bytes(e->g, s->now));
  }
}

static void step_states(Evaluator *e) {
  char *at = e->next;
  for (uint32_t i = 0; i < e->g->n_states; at += val_bytes(e->g, e->g->states[i].now), i++)
    memcpy(at, evaluator_value(e, e->g->states[i].next), val_bytes(e->g, e->g->states[i].now));
  at = e->next;
  for (uint32_t i = 0; i < e->g->n_states; at += val_bytes(e->g, e->g->states[i].now), i++)
    memcpy(e->base[e->g->states[i].now], at, val_bytes(e->g, e->g->states[i].now));
}

void evaluator_run(Evaluator *e, const void *const *inputs) {
  for (uint32_t i = 0; i < e->g->n_inputs; i++) e->base[e->g->inputs[i]] = readable(inputs[i]);
  for (uint32_t i = 0; i < e->calls->n; i++) run_call(e, &e->calls->v[i]);
  if (e->g->n_states > 0) step_states(e);
}

const void *evaluator_value(const Evaluator *e, ValId v) { return e->base[value_root(e->g, v)]; }

/* -- one shot -- */

/* The input matches the graph's; a symbolic batch takes the tensor's, in *batch. */
static bool check_input(const Graph *g, uint32_t i, const Tensor *t, int64_t *batch, Diag *d) {
  const Value *v = graph_val(g, g->inputs[i]);
  char got[192], want[192];
  Shape s = v->shape;
  if (s.rank > 0 && s.d[0] == DIM_BATCH && t->shape.rank == s.rank) {
    s.d[0] = t->shape.d[0];
    if (*batch < 0) *batch = s.d[0];
    FAIL_IF(*batch != s.d[0], d, NULL, "input %u has batch %lld, an input before it %lld", (unsigned)i,
            (long long)s.d[0], (long long)*batch);
  }
  shape_format(&t->shape, got, sizeof got);
  shape_format(&v->shape, want, sizeof want);
  FAIL_IF(t->dtype != v->dtype || !shape_equal(&s, &t->shape), d, NULL, "input %u is %s %s, want %s %s",
          (unsigned)i, dtype_name(t->dtype), got, dtype_name(v->dtype), want);
  return true;
}

static bool eval_static(const Graph *g, const Tensor *in, uint32_t n_in, Tensor *out, Diag *d) {
  Evaluator *e = evaluator_new(g, d);
  if (e == NULL) return false;
  const void **inputs = mem_array(n_in + 1, sizeof *inputs);
  for (uint32_t i = 0; i < n_in; i++) inputs[i] = in[i].data;
  evaluator_run(e, inputs);
  for (uint32_t i = 0; i < g->n_outputs; i++) {
    const Value *v = graph_val(g, g->outputs[i]);
    out[i] = tensor_new(v->dtype, &v->shape);
    memcpy(out[i].data, evaluator_value(e, g->outputs[i]), tensor_bytes(&out[i]));
  }
  mem_free(inputs);
  evaluator_free(e);
  return true;
}

bool graph_eval(const Graph *g, const Tensor *in, uint32_t n_in, Tensor *out, Diag *d) {
  int64_t batch = -1;
  FAIL_IF(n_in != g->n_inputs, d, NULL, "%u inputs given, the model has %u", (unsigned)n_in,
          (unsigned)g->n_inputs);
  for (uint32_t i = 0; i < n_in; i++) TRY(check_input(g, i, &in[i], &batch, d));
  if (batch < 0) return eval_static(g, in, n_in, out, d);
  Graph *bound = graph_with_batch(g, batch, d);
  if (bound == NULL) return false;
  bool ok = eval_static(bound, in, n_in, out, d);
  graph_free(bound);
  return ok;
}
