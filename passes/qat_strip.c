/* A graph of `qat`, trained, back to a float graph and the scales that its FakeQuants have: what quantize then makes int8
 * with these scales instead of calibrated ones.
 *
 *   FakeQuant of one value   its input, whose class has this step and zero point
 *   FakeQuant of two         Add
 *   FakeQuant of weights     the weights, with these steps
 */
#include "passes/quantizer.h"

#include "ir/base/mem.h"

enum { LIKE_ADD = 2, LIKE_BIAS = 4 };

static bool is_grid(const Node *n) {
  return n && n->op == OP_fake_quant && n->n_in > 1 && n->in[1] != NO_VAL;
}

bool qat_has_grids(const Graph *g) {
  for (NodeId i = 0; i < g->n_nodes; i++)
    if (is_grid(&g->nodes[i])) return true;
  return false;
}

typedef struct Strip {
  Rewrite r;
  Given *given;
  Diag *d;
} Strip;

/* A learned step, which may have left its domain: as the engine takes it. */
static float step_at(const float *s, int64_t i) { return s[i] > 1e-12f ? s[i] : 1e-12f; }

/* What the FakeQuant n says of value v of the new graph; the first one counts. */
static void note(Strip *s, const Node *n, ValId v) {
  const Value *steps = graph_val(s->r.from, n->in[1]);
  const float *step = val_data(s->r.from, n->in[1]);
  int64_t count = shape_count(&steps->shape);
  if (s->given->value[v].scale > 0) return;
  s->given->value[v] = (Affine){step_at(step, 0), CATTRS(n, fake_quant)->zero};
  if (!val_is_const(s->r.to, v)) return;
  float *all = s->given->steps[v] = mem_array((size_t)count, sizeof *all);
  s->given->n_steps[v] = (int)count;
  s->given->most[v] = CATTRS(n, fake_quant)->hi;
  for (int64_t i = 0; i < count; i++) all[i] = step_at(step, i);
}

static bool strip_grid(Strip *s, const Node *n) {
  Rewrite *r = &s->r;
  FAIL_IF(!val_is_const(r->from, n->in[1]), s->d, &n->loc,
          "quantize: FakeQuant's step is computed: want a constant");
  ValId x = rewrite_val(r, n->in[0]);
  bool sum = CATTRS(n, fake_quant)->like == LIKE_ADD;
  if (sum) {
    add_attrs a = {.act = CATTRS(n, fake_quant)->act};
    x = graph_node2(r->to, OP_add, &a, x, rewrite_val(r, n->in[4]), graph_val(r->from, n->out[0])->name,
                    &n->loc, s->d);
    TRY(x != NO_VAL);
  }
  r->map[n->out[0]] = x;
  /* One behind another: requantized for its reader, whose output says so (strip_join). */
  bool bias = CATTRS(n, fake_quant)->like == LIKE_BIAS;
  if (sum || (!bias && !is_grid(graph_def(r->from, n->in[0])))) note(s, n, x);
  return true;
}

/* Inputs that were put on the output's grid. */
static void strip_join(Strip *s, const Node *n) {
  for (uint32_t k = 0; k < n->n_in; k++) {
    const Node *from = graph_def(s->r.from, n->in[k]);
    if (is_grid(from) && CATTRS(from, fake_quant)->like != LIKE_ADD &&
        is_grid(graph_def(s->r.from, from->in[0])))
      note(s, from, s->r.map[n->out[0]]);
  }
}

/* Values keep their numbers: nothing is left over that rewrite_end would drop. */
static Graph *finish(Strip *s, bool ok) {
  Graph *to = s->r.to;
  for (uint32_t i = 0; ok && i < s->r.from->n_outputs; i++)
    graph_output(to, rewrite_val(&s->r, s->r.from->outputs[i]));
  mem_free(s->r.map);
  if (ok) return to;
  given_free(s->given, to);
  graph_free(to);
  return NULL;
}

Graph *qat_strip(const Graph *g, Given *given, Diag *d) {
  Strip s = {.given = given, .d = d};
  size_t most = 2 * (size_t)g->n_vals + 1; /* an Add at most for each node */
  *given = (Given){mem_array(most, sizeof(Affine)), mem_array(most, sizeof(float *)),
                   mem_array(most, sizeof(int)), mem_array(most, sizeof(int32_t))};
  rewrite_begin(&s.r, g, "quantize");
  bool ok = true;
  for (NodeId i = 0; ok && i < g->n_nodes; i++) {
    const Node *n = &g->nodes[i];
    ok = is_grid(n) ? strip_grid(&s, n) : rewrite_copy(&s.r, n, d);
    if (ok && (n->op == OP_concat || n->op == OP_max || n->op == OP_min)) strip_join(&s, n);
  }
  return finish(&s, ok);
}

void given_free(Given *given, const Graph *stripped) {
  for (ValId v = 0; stripped && v < stripped->n_vals; v++) mem_free(given->steps[v]);
  mem_free(given->value);
  mem_free(given->steps);
  mem_free(given->n_steps);
  mem_free(given->most);
  *given = (Given){0};
}
