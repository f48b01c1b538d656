/* Variants that share weights: one target's model in several widths.
 *
 *   the target's model, trained as ever --> widths: channels ordered, plans --> elastic: all of them trained together
 *      --> the widest: cut, finished as ever
 *      --> each other: cut, finished with the widest's codes (passes/quant_like.c) --> all to deploy and proof
 *
 * All members run in every step of the training, each with scale and bias of BatchNormalization of its own: in int8 both are
 * each variant's own in any case.
 */
#include <inttypes.h>
#include <stdio.h>

#include "ir/base/mem.h"
#include "passes/pass.h"
#include "passes/tailor/measure.h"
#include "passes/tailor/run.h"

void tailor_widths_free(TailorOutcome *o) {
  for (int k = 0; k < FAMILY_MAX; k++) {
    artifact_unref(&o->width[k].final);
    artifact_unref(&o->width[k].trained);
  }
}

void tailor_nested_free(TailorWork *w) {
  tailor_family_free(&w->nested);
  tailor_widths_free(w->o);
  w->o->n_widths = 0;
}

bool tailor_nested_check(const TailorRun *r) {
  const TailorJob *job = r->job;
  const TrainOptions *o = &job->retrain;
  for (int i = 0; i < job->n_targets; i++) {
    const TailorTarget *t = &job->targets[i];
    if (!tailor_is_nested(t)) continue;
    FAIL_IF(t->widths > FAMILY_MAX || !job->may_prune || !job->may_retrain || t->precision != DT_I8, r->d,
            NULL, "%s: variants are %d at most, of int8, of a model that may be pruned and retrained",
            t->name, FAMILY_MAX);
    if (o->grow > 0 || o->features > 0 || o->clip_each > 0) {
      diag_error(r->d, NULL,
                 "%s: variants are trained together, which goes with neither grow nor features nor clip_each",
                 t->name);
      diag_hint(r->d, "they stand in the design's freedom: retrain");
      return false;
    }
  }
  return true;
}

/* ---- training */

/* Where it begins: the target's model, before BatchNormalization is folded. */
static bool start_of(TailorRun *r, const TailorWork *w, Artifact *out) {
  bool *busy = tailor_wait(r); /* of all targets, and the teacher, too */
  const bool made = tailor_needs_base(r, r->base);
  tailor_go_on(r, busy);
  TRY(made);
  *out = artifact_ref(w->c.changed ? &w->trained : &r->base->graph);
  return true;
}

/* Floors of groups as where channels are removed for limits. */
static void width_params(const TailorRun *r, const TailorTarget *t, char *buf, size_t n) {
  char min[32] = "0.1", least[32] = "4";
  pass_param(r->job->prune_params, "min", min, sizeof min);
  pass_param(r->job->prune_params, "least", least, sizeof least);
  snprintf(buf, n, "n=%d,share=%.6g,by=%s,min=%s,least=%s%s%s", t->widths, t->narrowest,
           tailor_by_table(r) ? "reconstruction" : "taylor", min, least, r->job->keep[0] ? ",keep=" : "",
           r->job->keep);
}

/* Every member in every step. */
static bool train_all(TailorRun *r, const TailorWork *w, const Artifact *base, const TailorFamily *before,
                      int64_t images, TailorFamily *f) {
  char how[64];
  snprintf(how, sizeof how, "drawn=%d,own_norms=1", w->t->widths > 2 ? w->t->widths - 2 : 0);
  return tailor_elastic_of(r, w->t->name, base, before, how, images, f);
}

static bool train_family(TailorRun *r, TailorWork *w, const Artifact *start) {
  Artifact in[2] = {*start, r->data}, ordered = {0};
  static const char *const names[] = {"model", "data"};
  char params[TAILOR_PARAMS_MAX];
  width_params(r, w->t, params, sizeof params);
  TRY(tailor_step(r, &step_widths, w->t->name, in, 2, names, params, &r->env, &ordered, &w->nested.plans));
  w->nested.n = w->t->widths;
  const bool ok = train_all(r, w, &ordered, NULL, tailor_nested_images(r, w), &w->nested);
  artifact_unref(&ordered);
  return ok;
}

static bool take_widest(TailorRun *r, TailorWork *w) {
  artifact_unref(&w->trained);
  return tailor_cut(r, w->t->name, &w->nested, 0, &w->trained);
}

bool tailor_nested_train(TailorRun *r, TailorWork *w) {
  Artifact start = {0};
  bool ok = start_of(r, w, &start) && train_family(r, w, &start);
  artifact_unref(&start);
  TRY(ok);
  return take_widest(r, w);
}

bool tailor_nested_whole(TailorRun *r, TailorWork *w) {
  return tailor_train_target(r, w) && (!tailor_is_nested(w->t) || tailor_nested_train(r, w));
}

bool tailor_nested_misses(const TailorWork *w) {
  bool misses = w->o->val_final < w->o->floor;
  for (int k = 1; k < w->o->n_widths; k++) misses |= w->o->width[k].val_final < w->o->width[k].floor;
  return misses;
}

bool tailor_nested_tail(TailorRun *r, TailorWork *w) {
  const TailorFamily before = w->nested;
  TailorFamily f = {.plans = artifact_ref(&before.plans), .n = before.n};
  tailor_tell(r, "%s: a variant is below its floor on validation: a tail for all, of %" PRId64 " images",
              w->t->name, before.images);
  if (!train_all(r, w, NULL, &before, before.images, &f)) {
    tailor_family_free(&f);
    return false;
  }
  tailor_family_free(&w->nested);
  w->nested = f;
  return take_widest(r, w);
}

/* ---- finishing */

static bool finish_like(TailorRun *r, const TailorWork *w, const Artifact *g, Artifact *out) {
  Artifact in[3] = {*g, w->o->final, r->data};
  static const char *const names[] = {"model", "widest variant", "data"};
  return tailor_step(r, &step_finish_like, w->t->name, in, 3, names, w->o->finish, &r->env, out, NULL);
}

static bool cost_of(TailorRun *r, const TailorTarget *t, const Artifact *final, Cost *out) {
  Graph *g = artifact_graph(final, r->d);
  const bool ok = g && t->cost->cost(t->cost->ctx, g, DT_NONE, out, r->d);
  graph_free(g);
  return ok;
}

/* That they are what the back end takes them for. */
static bool check_family(TailorRun *r, const TailorOutcome *o) {
  Graph *g[FAMILY_MAX] = {0};
  Family f = {0};
  bool ok = true;
  for (int k = 0; k < o->n_widths && ok; k++) ok = (g[k] = artifact_graph(&o->width[k].final, r->d)) != NULL;
  ok = ok && family_check((const Graph *const *)g, o->n_widths, &f, r->d);
  if (f.arena) family_free(&f);
  for (int k = 0; k < o->n_widths; k++) graph_free(g[k]);
  return ok;
}

static bool finish_width(TailorRun *r, TailorWork *w, int k) {
  const char *slot = w->t->name;
  TailorWidth *x = &w->o->width[k];
  x->floor = tailor_floor(r, w->t->width_min, w->t->width_drop);
  x->val_float = -1;
  bool ok = tailor_cut(r, slot, &w->nested, k, &x->trained) && finish_like(r, w, &x->trained, &x->final) &&
            tailor_score(r, slot, &x->final, r->job->raw_input, &x->val_final) &&
            cost_of(r, w->t, &x->final, &x->cost);
  if (ok && x->val_final < x->floor) ok = tailor_score(r, slot, &x->trained, false, &x->val_float);
  if (ok)
    tailor_tell(r, "%s: variant %d of %" PRId64 " MACs: %.2f %% on validation", slot, k, x->cost.macs,
                100 * x->val_final);
  return ok;
}

bool tailor_nested_finish(TailorRun *r, TailorWork *w) {
  TailorOutcome *o = w->o;
  tailor_widths_free(o);
  o->width[0] = (TailorWidth){.final = artifact_ref(&o->final),
                              .trained = artifact_ref(&w->trained),
                              .val_final = o->val_final,
                              .floor = o->floor,
                              .val_float = -1};
  TRY(cost_of(r, w->t, &o->final, &o->width[0].cost));
  for (o->n_widths = 1; o->n_widths < w->t->widths; o->n_widths++) TRY(finish_width(r, w, o->n_widths));
  return check_family(r, o);
}

/* ---- for the back end */

int tailor_nested_inputs(const TailorRun *r, const TailorWork *w, Artifact *in, const char **names, int n,
                         const char **params) {
  const TailorOutcome *o = w->o;
  const char *text = arena_printf(r->res->arena, "%s,variants=%d,accuracy=", w->t->params, o->n_widths);
  for (int k = 0; k < o->n_widths; k++) {
    if (k > 0) names[n] = "narrower variant", in[n++] = o->width[k].final;
    text = arena_printf(r->res->arena, "%s%s%.6f", text, k ? ";" : "", o->width[k].val_final);
  }
  *params = text;
  return n;
}

int64_t tailor_measured_cycles(const Artifact *measure, int variant) {
  char key[24];
  snprintf(key, sizeof key, "cycles%d", variant);
  return measure_get_int(measure, key, -1);
}

void tailor_nested_measured(TailorOutcome *o, const Artifact *measure) {
  for (int k = 0; k < o->n_widths; k++) o->width[k].cycles = tailor_measured_cycles(measure, k);
}

bool tailor_nested_flash(TailorRun *r, const TailorTarget *t, const Artifact *final, int64_t *bytes) {
  /* A bias, a multiplier, a shift; extents and zero points; kernels for slices beside the plain ones: on the label reader with four
   * variants, linked for a Cortex-M4, 24,432 bytes of parameters and 10,568 of code beside the widest's 185,148. */
  enum { CHANNEL = 12, LAYER = 104, CODE = 8192 };
  Graph *g = artifact_graph(final, r->d);
  TRY(g);
  int64_t of_one = 0;
  for (NodeId k = 0; k < g->n_nodes; k++) {
    const Node *n = &g->nodes[k];
    of_one += LAYER;
    if (n->n_in > 2 && n->in[2] != NO_VAL && val_is_const(g, n->in[2]))
      of_one += CHANNEL * shape_count(&graph_val(g, n->in[2])->shape);
  }
  graph_free(g);
  *bytes = CODE + of_one * (t->widths - 1) * 85 / 100; /* they have fewer channels */
  return true;
}

bool tailor_nested_prove(TailorRun *r, TailorWork *w) {
  for (int k = 0; k < w->o->n_widths; k++) {
    TailorWidth *x = &w->o->width[k];
    TRY(tailor_test(r, w->t->name, &x->trained, false, &x->tailored) &&
        tailor_test(r, w->t->name, &x->final, r->job->raw_input, &x->emitted));
  }
  return true;
}
