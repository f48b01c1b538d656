/* Students: graphs cut to their plans, solved anew and retrained beside their teachers. */
#include <stdio.h>
#include <string.h>

#include "passes/elastic.h"
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

static TrainOptions tailor_options(const TailorRun *r) {
  TrainOptions o = r->job->retrain;
  o.seed = r->job->seed;
  if (r->scheduled) o.views = r->views; /* short retrainings before the plan have the design's */
  return o;
}

bool tailor_needs_banks(TailorRun *r) {
  const TrainOptions o = tailor_options(r);
  return needs_teachers(r, &o);
}

enum { PASSING_BN = 1024 }; /* images on which the statistics of a model of a tree are estimated */
static const float FIRST_WARMUP = 0.2f;

/* A model of a tree: were its rate to fall to nothing, its children would have to leave its minimum again. An average over
 * the last tenth of its steps (optimizer.c sees to that) has what a falling rate would give. What starts from the base begins
 * slowly: at once its solved layers would be undone. */
static void pass_on(TrainOptions *o, const TailorLength *length) {
  o->schedule = RATE_CONSTANT;
  o->lr *= (float)length->rate;
  o->warmup = length->first ? FIRST_WARMUP : 0;
  o->average = 0.999f;
  if (o->bn_images > PASSING_BN) o->bn_images = PASSING_BN;
}

/* Teachers, and their banks where they are used, behind the first n inputs of a step. */
static int add_teachers(const TailorRun *r, const TrainOptions *o, Artifact *in, const char **names, int n) {
  const int teachers = 1 + r->job->n_teachers;
  for (int i = 0; i < teachers; i++) names[n] = "teacher", in[n++] = r->teacher[i];
  for (int i = 0; tailor_uses_bank(o) && i < teachers; i++) names[n] = "teacher's bank", in[n++] = r->bank[i];
  return n;
}

/* Options of training as a step's parameters. */
static void print_options(const TailorRun *r, const TrainOptions *o, StrBuf *params) {
  train_options_print(o, params);
  if (r->job->keep[0]) sb_printf(params, ",keep=%s", r->job->keep);
}

int64_t tailor_family_images(const TailorRun *r) {
  return (int64_t)(r->job->family * (double)r->full_images);
}

bool tailor_elastic_of(TailorRun *r, const char *slot, const Artifact *base, const TailorFamily *before,
                       const char *how, int64_t images, TailorFamily *f) {
  Artifact in[STEP_MAX_IN] = {before ? before->wide : *base, r->data, f->plans};
  const char *names[STEP_MAX_IN] = {"model", "data", "plans"};
  TrainOptions o = tailor_options(r);
  o.images = images;
  o.skip = before ? before->images : 0;
  o.clip = ELASTIC_CLIP;
  if (o.bn_images > PASSING_BN) o.bn_images = PASSING_BN;
  TRY(needs_teachers(r, &o));
  int n = 3;
  if (before) names[n] = "members' own", in[n++] = before->own;
  n = add_teachers(r, &o, in, names, n);
  StrBuf params = {0};
  sb_printf(&params, "%s,%s", how, before ? "goes_on=1," : "");
  print_options(r, &o, &params);
  const bool ok =
      tailor_step(r, &step_elastic, slot, in, n, names, sb_str(&params), &r->env, &f->wide, &f->own);
  sb_free(&params);
  f->images = o.skip + images;
  return ok;
}

TailorFamily tailor_family_ref(const TailorFamily *f) {
  return (TailorFamily){artifact_ref(&f->plans), artifact_ref(&f->wide), artifact_ref(&f->own), f->n,
                        f->images};
}

void tailor_family_free(TailorFamily *f) {
  artifact_unref(&f->plans);
  artifact_unref(&f->wide);
  artifact_unref(&f->own);
  *f = (TailorFamily){0};
}

bool tailor_elastic(TailorRun *r, const TailorBase *b, TailorFamily *f) {
  return tailor_elastic_of(r, b->variant ? b->variant->name : "shared", &b->graph, NULL,
                           "drawn=2,own_norms=0", tailor_family_images(r), f);
}

bool tailor_cut(TailorRun *r, const char *slot, const TailorFamily *f, int k, Artifact *out) {
  Artifact in[3] = {f->wide, f->own, f->plans};
  static const char *const names[] = {"elastic model", "members' own", "plans"};
  char params[TAILOR_PARAMS_MAX];
  snprintf(params, sizeof params, "member=%d%s%s", k, r->job->keep[0] ? ",keep=" : "", r->job->keep);
  return tailor_step(r, &step_cut, slot, in, 3, names, params, &r->env, out, NULL);
}

bool tailor_retrain(TailorRun *r, const char *slot, const TailorBase *b, const Artifact *from,
                    const Artifact *from_plan, const Artifact *plan, const TailorLength *length,
                    Artifact *out) {
  Artifact in[STEP_MAX_IN] = {*from, *from_plan, *plan, b->graph, r->data};
  const char *names[STEP_MAX_IN] = {"start", "start's plan", "plan", "base", "data"};
  TrainOptions o = tailor_options(r);
  int n = 5;
  if (length->images) o.images = length->images;
  o.skip = length->skip;
  if (length->passing) pass_on(&o, length);
  StrBuf params = {0};
  TRY(needs_teachers(r, &o));
  n = add_teachers(r, &o, in, names, n);
  print_options(r, &o, &params);
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

bool tailor_train_target(TailorRun *r, TailorWork *w) {
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
