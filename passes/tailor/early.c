/* Early exits of a target's model: its final graph has an output for each, the earliest first, the model's own last
 * (passes/exits.c). As in emitted code variant 0 is the whole model, and variant v ends at output n - 1 - v.
 *
 * What each costs, and how often it is right in int8: on validation for the emitted table and the report, on the test split
 * for the report alone.
 */
#include <inttypes.h>

#include "passes/tailor/run.h"

static uint32_t output_of(const TailorOutcome *o, int variant) {
  return (uint32_t)(o->n_exits - 1 - variant);
}

/* The final graph, ended there. NULL: reported. */
static Graph *ended(TailorRun *r, const TailorOutcome *o, int variant) {
  Graph *g = artifact_graph(&o->final, r->d), *done = g ? graph_with_output(g, output_of(o, variant)) : NULL;
  graph_free(g);
  return done;
}

static bool look_at(TailorRun *r, const TailorWork *w, int variant, TailorExit *out) {
  Graph *g = ended(r, w->o, variant);
  TRY(g);
  const Node *head = graph_def(g, g->outputs[0]);
  Artifact alone = artifact_from_graph(g);
  *out = (TailorExit){.cycles = -1};
  if (variant && head && head->loc.name) out->behind = arena_strdup(r->res->arena, head->loc.name);
  const bool ok = w->t->cost->cost(w->t->cost->ctx, g, DT_NONE, &out->cost, r->d) &&
                  tailor_score(r, w->t->name, &alone, r->job->raw_input, &out->val_final);
  graph_free(g);
  artifact_unref(&alone);
  if (ok)
    tailor_tell(r, "%s: variant %d, %s %s, of %" PRId64 " MACs: %.2f %% on validation", w->t->name, variant,
                out->behind ? "which ends behind" : "the whole", out->behind ? out->behind : "model",
                out->cost.macs, 100 * out->val_final);
  return ok;
}

bool tailor_exits_finish(TailorRun *r, TailorWork *w) {
  TailorOutcome *o = w->o;
  o->n_exits = 0;
  if (!w->t->exits) return true;
  Graph *g = artifact_graph(&o->final, r->d);
  TRY(g);
  const int n = (int)g->n_outputs;
  graph_free(g);
  FAIL_IF(n > TAILOR_EXITS, r->d, NULL, "%s: %d exits; want %d at most", w->t->name, n, TAILOR_EXITS);
  o->n_exits = n;
  for (int v = 0; v < n; v++) TRY(look_at(r, w, v, &o->exit[v]));
  return true;
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
  for (int v = 0; v < w->o->n_exits; v++) {
    Graph *g = ended(r, w->o, v);
    TRY(g);
    Artifact alone = artifact_from_graph(g);
    const bool ok = tailor_test(r, w->t->name, &alone, r->job->raw_input, &w->o->exit[v].emitted);
    graph_free(g);
    artifact_unref(&alone);
    TRY(ok);
  }
  return true;
}
