/* What must hold for every random graph, but for the emitted program (program.c).
 *
 * Engine against evaluator: the same mathematics by other kernels (BLAS, other orders of summation), so values agree to
 * 1e-4 of the largest value of the graph so far along the order of nodes (errors travel with the values that carry them).
 * Not compared: what lies behind a FakeQuant of a computed value (a code may flip), or behind a Div by a number near 0;
 * graphs with values beyond 1e4.
 */
#include <math.h>
#include <string.h>

#include "frontend/cli/cli.h"
#include "ir/base/mem.h"
#include "ir/eval.h"
#include "runtime/engine/engine.h"
#include "tests/random/random.h"

static bool says(StrBuf *why, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  sb_vprintf(why, fmt, ap);
  va_end(ap);
  return false;
}

/* -- forms -- */

static bool check_text(const Graph *g, StrBuf *why, Diag *d) {
  StrBuf a = {0}, b = {0};
  graph_print(g, &a, SIZE_MAX);
  Graph *back = graph_parse(sb_str(&a), "random.ir", d);
  bool ok = back != NULL || says(why, "parse: %s", diag_text(d));
  if (ok) {
    graph_print(back, &b, SIZE_MAX);
    ok = hash_equal(graph_hash(g), graph_hash(back)) || says(why, "parse: another hash");
    ok = ok && (strcmp(sb_str(&a), sb_str(&b)) == 0 || says(why, "print: another text after parsing"));
    ok = ok && (graph_verify(back, d) || says(why, "parse: %s", diag_text(d)));
  }
  graph_free(back);
  sb_free(&a);
  sb_free(&b);
  return ok;
}

static bool check_binary(const Graph *g, StrBuf *why, Diag *d) {
  StrBuf bytes = {0};
  graph_serialize(g, &bytes);
  Blob *blob = blob_new(bytes.s, bytes.len);
  Graph *back = graph_deserialize(blob, "random.mistify", d);
  bool ok = back != NULL || says(why, "deserialize: %s", diag_text(d));
  ok = ok && (hash_equal(graph_hash(g), graph_hash(back)) || says(why, "deserialize: another hash"));
  StrBuf again = {0};
  if (ok) graph_serialize(back, &again);
  ok = ok && ((again.len == bytes.len && memcmp(again.s, bytes.s, bytes.len) == 0) ||
              says(why, "serialize: other bytes after reading back"));
  graph_free(back);
  blob_unref(blob);
  sb_free(&bytes);
  sb_free(&again);
  return ok;
}

bool random_check_forms(const Graph *g, StrBuf *why) {
  Diag *d = diag_new();
  bool ok = graph_verify(g, d) || says(why, "verify: %s", diag_text(d));
  Graph *copy = graph_clone(g);
  ok = ok && (hash_equal(graph_hash(copy), graph_hash(g)) || says(why, "hash: of a copy differs"));
  graph_free(copy);
  ok = ok && check_text(g, why, d) && check_binary(g, why, d);
  diag_free(d);
  return ok;
}

/* -- engine -- */

static double largest(const float *x, int64_t n) {
  double most = 0;
  for (int64_t i = 0; i < n; i++) {
    double v = fabs((double)x[i]);
    if (isnan(v)) return v;
    if (v > most) most = v;
  }
  return most;
}

static bool near_zero(const float *x, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    if (fabsf(x[i]) < 0.05f) return true;
  return false;
}

typedef struct EngineCheck {
  const Graph *g, *bound;
  const Session *s;
  const Evaluator *e;
  bool *vague; /* by value: not to be compared */
  double top;  /* largest value so far */
} EngineCheck;

static bool is_vague(const EngineCheck *c, const Node *n, const Node *b) {
  bool vague = false;
  for (uint32_t i = 0; i < n->n_in; i++) vague = vague || (n->in[i] != NO_VAL && c->vague[n->in[i]]);
  if (n->op == OP_fake_quant && graph_def(c->g, n->in[0])) return true;
  if (n->op == OP_div)
    vague = vague || near_zero(evaluator_value(c->e, b->in[1]), shape_count(&c->bound->vals[b->in[1]].shape));
  return vague;
}

static bool compare_node(EngineCheck *c, uint32_t k, bool *skipped, StrBuf *why) {
  const Node *n = &c->g->nodes[k], *b = &c->bound->nodes[k];
  const ValId v = n->out[0], w = b->out[0];
  const int64_t count = shape_count(&c->bound->vals[w].shape);
  const float *want = evaluator_value(c->e, w), *got = session_activation(c->s, v);
  c->vague[v] = is_vague(c, n, b);
  double most = largest(want, count);
  if (!(most <= 1e4)) *skipped = true;
  if (*skipped || c->vague[v]) return true;
  if (!got) return says(why, "engine: %s (node %u): not kept", op_info(n->op)->name, k);
  c->top = fmax(c->top, most);
  for (int64_t i = 0; i < count; i++) {
    double off = fabs((double)got[i] - (double)want[i]);
    if (!(off <= 1e-4 * fmax(1, c->top)))
      return says(why, "engine: %s (node %u) element %lld: got %.9g, want %.9g", op_info(n->op)->name, k,
                  (long long)i, (double)got[i], (double)want[i]);
  }
  return true;
}

static bool engine_batch(const Graph *g, int n, uint64_t seed, bool *skipped, StrBuf *why, Diag *d) {
  const SessionOptions so = {.batch = n, .threads = 1, .keep = true};
  Session *s = session_new(g, &so, d);
  if (!s) { /* it says so: what it does not take */
    *skipped = true;
    return true;
  }
  Graph *bound = graph_with_batch(g, n, d);
  Evaluator *e = bound ? evaluator_new(bound, d) : NULL;
  bool ok = e != NULL || says(why, "engine: %s", diag_text(d));
  if (ok) {
    Tensor x;
    random_inputs(bound, seed, n, &x);
    evaluator_run(e, (const void *const[]){x.data});
    session_forward(s, x.data, n, false);
    EngineCheck c = {
        g, bound, s, e, mem_array(g->n_vals, sizeof *c.vague), largest(x.data, shape_count(&x.shape))};
    for (uint32_t k = 0; k < g->n_nodes && ok && !*skipped; k++) ok = compare_node(&c, k, skipped, why);
    mem_free(c.vague);
    tensor_free(&x);
  }
  evaluator_free(e);
  graph_free(bound);
  session_free(s);
  return ok;
}

bool random_check_engine(const Graph *g, uint64_t seed, bool *skipped, StrBuf *why) {
  Diag *d = diag_new();
  *skipped = false;
  Graph *symbolic = graph_with_batch(g, DIM_BATCH, d); /* refused where an operator mixes the batch */
  const Shape *out = symbolic ? &symbolic->vals[symbolic->outputs[symbolic->n_outputs - 1]].shape : NULL;
  bool ok = true;
  if (!symbolic || symbolic->n_inputs != 1 || out->rank < 1 || out->d[0] != DIM_BATCH)
    *skipped = true;
  else
    ok = engine_batch(symbolic, 1, seed, skipped, why, d) &&
         (*skipped || engine_batch(symbolic, 9, seed, skipped, why, d));
  graph_free(symbolic);
  diag_free(d);
  return ok;
}

/* -- passes -- */

/* Outputs of both graphs for one vector: integers are equal, floats to 1e-4 of the range. */
static bool compare_outputs(const Graph *g, const Tensor *a, const Tensor *b, StrBuf *why) {
  for (uint32_t i = 0; i < g->n_outputs; i++) {
    if (a[i].dtype != b[i].dtype || !shape_equal(&a[i].shape, &b[i].shape))
      return says(why, "passes: output %u has another type or shape", i);
    int64_t n = shape_count(&a[i].shape);
    if (a[i].dtype != DT_F32) {
      if (memcmp(a[i].data, b[i].data, tensor_bytes(&a[i])) != 0)
        return says(why, "passes: output %u differs", i);
      continue;
    }
    const float *x = a[i].data, *y = b[i].data;
    double most = largest(x, n), top = isnan(most) ? INFINITY : fmax(1, most);
    for (int64_t k = 0; k < n && top <= 1e6; k++) /* not at all where there are NaNs */
      if (!(x[k] == y[k] || (isnan(x[k]) && isnan(y[k])) || fabs((double)x[k] - (double)y[k]) <= 1e-4 * top))
        return says(why, "passes: output %u element %lld: %.9g, before %.9g", i, (long long)k, (double)y[k],
                    (double)x[k]);
  }
  return true;
}

bool random_check_passes(const Graph *g, uint64_t seed, StrBuf *why) {
  Diag *d = diag_new();
  Graph *p = cli_prepare(g, d);
  bool ok = p != NULL || says(why, "passes: %s", diag_text(d));
  ok = ok && (graph_verify(p, d) || says(why, "passes: %s", diag_text(d)));
  ok =
      ok && ((p->n_inputs == g->n_inputs && p->n_outputs == g->n_outputs) || says(why, "passes: other ends"));
  if (ok) {
    uint32_t n = g->n_inputs, m = g->n_outputs;
    Tensor *in = mem_array(n + 1, sizeof *in), *a = mem_array(m + 1, sizeof *a),
           *b = mem_array(m + 1, sizeof *b);
    random_inputs(g, seed, 0, in);
    ok = (graph_eval(g, in, n, a, d) && graph_eval(p, in, n, b, d)) || says(why, "passes: %s", diag_text(d));
    ok = ok && compare_outputs(g, a, b, why);
    for (uint32_t i = 0; i < n; i++) tensor_free(&in[i]);
    for (uint32_t i = 0; i < m; i++) tensor_free(&a[i]), tensor_free(&b[i]);
    mem_free(in);
    mem_free(a);
    mem_free(b);
  }
  graph_free(p);
  diag_free(d);
  return ok;
}
