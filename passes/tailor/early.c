/* Early exits of a target's model: its final graph has an output for each, the earliest first, the model's own last
 * (passes/exits.c). As in emitted code variant 0 is the whole model, and variant v ends at output n - 1 - v; what runs until
 * there are the heads of the exits before it, too.
 *
 * What each costs, and how often it is right in int8: on validation for the emitted table and the report, on the test split
 * for the report alone. The whole model was scored, and is proved, as any target's.
 */
#include <inttypes.h>

#include "passes/tailor/run.h"

static uint32_t output_of(const TailorOutcome *o, int variant) {
  return (uint32_t)(o->n_exits - 1 - variant);
}

/* The answer of an exit alone: a graph of one output. */
static Artifact answer_of(const TailorOutcome *o, const Graph *final, int variant) {
  Graph *g = graph_with_output(final, output_of(o, variant));
  const Artifact a = artifact_from_graph(g);
  graph_free(g);
  return a;
}

static bool score(TailorRun *r, const TailorWork *w, const Graph *final, int variant, double *out) {
  if (variant == 0) {
    *out = w->o->val_final;
    return true;
  }
  Artifact alone = answer_of(w->o, final, variant);
  const bool ok = tailor_score(r, w->t->name, &alone, r->job->raw_input, out);
  artifact_unref(&alone);
  return ok;
}

static bool cost_of(TailorRun *r, const TailorWork *w, const Graph *final, int variant, TailorExit *out) {
  const uint32_t last = output_of(w->o, variant);
  Graph *g = graph_with_outputs(final, last + 1);
  const Node *head = graph_def(g, g->outputs[last]);
  if (variant && head && head->loc.name) out->behind = arena_strdup(r->res->arena, head->loc.name);
  const bool ok = w->t->cost->cost(w->t->cost->ctx, g, DT_NONE, &out->cost, r->d);
  graph_free(g);
  return ok;
}

static bool look_at(TailorRun *r, const TailorWork *w, const Graph *final, int variant, TailorExit *out) {
  *out = (TailorExit){.cycles = -1};
  TRY(cost_of(r, w, final, variant, out) && score(r, w, final, variant, &out->val_final));
  tailor_tell(r, "%s: variant %d, %s %s, of %" PRId64 " MACs: %.2f %% on validation", w->t->name, variant,
              out->behind ? "which ends behind" : "the whole", out->behind ? out->behind : "model",
              out->cost.macs, 100 * out->val_final);
  return true;
}

bool tailor_exits_finish(TailorRun *r, TailorWork *w) {
  TailorOutcome *o = w->o;
  o->n_exits = 0;
  if (!w->t->exits) return true;
  Graph *g = artifact_graph(&o->final, r->d);
  TRY(g);
  const int n = (int)g->n_outputs;
  bool ok = n <= TAILOR_EXITS;
  if (!ok) diag_error(r->d, NULL, "%s: %d exits; want %d at most", w->t->name, n, TAILOR_EXITS);
  o->n_exits = ok ? n : 0;
  for (int v = 0; ok && v < n; v++) ok = look_at(r, w, g, v, &o->exit[v]);
  graph_free(g);
  return ok;
}

const char *tailor_exits_params(const TailorRun *r, const TailorWork *w) {
  const TailorOutcome *o = w->o;
  const char *text = w->t->params;
  for (int v = 0; v < o->n_exits; v++)
    text = arena_printf(r->res->arena, "%s%s%.6f", text, v ? ";" : ",accuracy=", o->exit[v].val_final);
  return text;
}

void tailor_exits_measured(TailorOutcome *o, const Artifact *measure) {
  for (int v = 0; v < o->n_exits; v++) o->exit[v].cycles = tailor_measured_cycles(measure, v);
}

bool tailor_exits_prove(TailorRun *r, TailorWork *w) {
  TailorOutcome *o = w->o;
  if (!o->n_exits) return true;
  Graph *g = artifact_graph(&o->final, r->d);
  bool ok = g != NULL;
  o->exit[0].emitted = o->proof.emitted;
  for (int v = 1; ok && v < o->n_exits; v++) {
    Artifact alone = answer_of(o, g, v);
    ok = tailor_test(r, w->t->name, &alone, r->job->raw_input, &o->exit[v].emitted);
    artifact_unref(&alone);
  }
  graph_free(g);
  return ok;
}
