/* Students: graphs cut to their plans, solved anew and retrained beside their teachers. */
#include <stdio.h>
#include <string.h>

#include "passes/tailor/run.h"

/* ---- Retraining */

/* The original and further teachers, and their banks where these are used. */
static bool needs_teachers(TailorRun *r, const TrainOptions *o) {
  const TailorJob *job = r->job;
  if (!r->teacher[0].bytes) r->teacher[0] = artifact_ref(&r->base->graph);
  for (int i = 0; i < job->n_teachers; i++) {
    if (r->teacher[1 + i].bytes) continue;
    Artifact model = artifact_from_graph(job->teachers[i]);
    const bool ok = tailor_step(r, &step_prepare, "teacher", &model, 1, NULL, TAILOR_PREPARE, &r->env,
                                &r->teacher[1 + i], NULL);
    artifact_unref(&model);
    TRY(ok);
  }
  for (int i = 0; tailor_uses_bank(o) && i <= job->n_teachers; i++)
    if (!r->bank[i].bytes)
      TRY(tailor_bank(job->steps, &r->teacher[i], &r->data, o, &r->env, job->host, &r->bank[i], r->d));
  return true;
}

/* A model of a tree: were its rate to fall to nothing, its children would have to leave its minimum again. An average over
 * the last tenth of its steps (optimizer.c sees to that) has what a falling rate would give. */
static void pass_on(TrainOptions *o) {
  o->schedule = RATE_CONSTANT;
  o->warmup = 0;
  o->average = 0.999f;
}

bool tailor_retrain(TailorRun *r, const char *slot, const TailorBase *b, const Artifact *from,
                    const Artifact *from_plan, const Artifact *plan, const TailorLength *length,
                    Artifact *out) {
  Artifact in[STEP_MAX_IN] = {*from, *from_plan, *plan, b->graph, r->data};
  const char *names[STEP_MAX_IN] = {"start", "start's plan", "plan", "base", "data"};
  TrainOptions o = r->job->retrain;
  const int teachers = 1 + r->job->n_teachers;
  int n = 5;
  if (length->images) o.images = length->images;
  o.skip = length->skip;
  if (length->passing) pass_on(&o);
  o.seed = r->job->seed;
  StrBuf params = {0};
  TRY(needs_teachers(r, &o));
  for (int i = 0; i < teachers; i++) names[n] = "teacher", in[n++] = r->teacher[i];
  for (int i = 0; tailor_uses_bank(&o) && i < teachers; i++)
    names[n] = "teacher's bank", in[n++] = r->bank[i];
  train_options_print(&o, &params);
  if (r->job->keep[0]) sb_printf(&params, ",keep=%s", r->job->keep);
  const bool ok = tailor_step(r, &step_retrain, slot, in, n, names, sb_str(&params), &r->env, out, NULL);
  sb_free(&params);
  return ok;
}

bool tailor_images(TailorRun *r, double share, int64_t *images) {
  const TrainOptions *o = &r->job->retrain;
  const Dataset *ds = NULL;
  int64_t n = o->images;
  if (n <= 0) {
    TRY(tailor_data(r->job->data, &ds, r->d));
    n = (int64_t)o->epochs * ds->train.n;
  }
  n = (int64_t)(share * (double)n + 0.5);
  *images = n < o->batch ? o->batch : n;
  return true;
}

/* ---- Solving */

static bool prune(TailorRun *r, const char *slot, const TailorChosen *c, Artifact *out) {
  Artifact in[2] = {c->base->graph, c->plan};
  char keep[TAILOR_PARAMS_MAX];
  tailor_keep_params(r, keep, sizeof keep);
  return tailor_step(r, &step_prune, slot, in, 2, NULL, keep, &r->env, out, NULL);
}

/* The base cut to the plan, its layers solved anew. */
static bool rebuild(TailorRun *r, const char *slot, const TailorChosen *c, Artifact *out) {
  Artifact in[3] = {c->base->graph, c->plan, r->data};
  static const char *const names[] = {"model", "plan", "data"};
  char params[TAILOR_PARAMS_MAX];
  tailor_prune_params(r, params, sizeof params);
  return tailor_step(r, &step_rebuild, slot, in, 3, names, params, &r->env, out, NULL);
}

bool tailor_solve(TailorRun *r, const char *slot, const TailorChosen *c, Artifact *out) {
  if (tailor_by_table(r)) return rebuild(r, slot, c, out);
  Artifact in[2] = {{0}, r->data};
  static const char *const names[] = {"model", "data"};
  TRY(prune(r, slot, c, &in[0]));
  const bool ok = tailor_step(r, &step_vary, slot, in, 2, names, "reestimate", &r->env, out, NULL);
  artifact_unref(&in[0]);
  return ok;
}

/* ---- A target's */

bool tailor_train_target(TailorRun *r, int at) {
  TailorWork *w = &r->w[r->order[at]];
  const TailorChosen *c = &w->c;
  const char *slot = w->t->name;
  if (!c->changed) {
    w->trained = artifact_ref(&r->whole);
    return true;
  }
  if (!r->job->may_retrain) return tailor_solve(r, slot, c, &w->trained);
  const int parent = r->schedule.nodes[w->node].parent;
  w->o->start = parent < 0 ? "" : r->models[parent].name;
  TRY(tailor_trained(r, w->node));
  w->trained = artifact_ref(&r->models[w->node].trained);
  return true;
}
