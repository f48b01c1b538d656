/* What a plan alone can tell; see run.h. A model is there when its retraining, with everything that leads to it, is in the
 * cache: keys need the content of what was trained before, so that there is no other way to know than to follow the plan
 * without running what is missing.
 */
#include "ir/base/mem.h"
#include "passes/tailor/run.h"

/* The first target that has the same joint training: one step, which is cached. */
static int joint_with(const TailorRun *r, const TailorWork *w) {
  for (int k = 0; &r->w[k] < w; k++) {
    const TailorWork *b = &r->w[k];
    if (!b->c.why && b->node == w->node && b->t->widths == w->t->widths && b->t->narrowest == w->t->narrowest)
      return k;
  }
  return -1;
}

static void tell_target(TailorRun *r, TailorWork *w) {
  TailorOutcome *o = w->o;
  o->why = w->c.why ? w->c.why : "";
  o->met = !w->c.why;
  o->cost.macs = w->c.macs;
  if (tailor_is_nested(w->t) && o->met) {
    o->joint_images = tailor_nested_images(r, w);
    o->joint_seconds = tailor_nested_seconds(r, w);
    o->joint_there = tailor_is_there(r, w, tailor_nested_whole);
    o->joint_with = joint_with(r, w);
  }
  if (w->node < 0) return;
  const int parent = r->schedule.nodes[w->node].parent;
  o->start = parent < 0 ? "" : r->models[parent].name;
}

void tailor_look(TailorRun *r, TailorLook *l) {
  *l = (TailorLook){.before = r->job, .said = r->d, .job = *r->job, .steps = *r->job->steps};
  l->steps.only_look = true;
  l->steps.record = NULL;
  l->job.steps = &l->steps;
  l->job.host = NULL;
  l->job.budget.seconds = 0; /* nothing is begun */
  l->trained = mem_array((size_t)r->schedule.n, sizeof *l->trained);
  for (int k = 0; r->models && k < r->schedule.n; k++) l->trained[k] = r->models[k].trained.bytes != NULL;
  r->job = &l->job;
  r->d = diag_new();
}

/* Models that were found are asked for again, so that the steps that they come from are on record. */
void tailor_look_end(TailorRun *r, TailorLook *l) {
  for (int k = 0; r->models && k < r->schedule.n; k++)
    if (!l->trained[k]) artifact_unref(&r->models[k].trained);
  mem_free(l->trained);
  diag_free(r->d);
  r->d = l->said;
  r->job = l->before;
}

/* Is there a training to come, of a model or of variants together? */
static bool is_any_to_come(const TailorResult *res) {
  bool any = false;
  for (int k = 0; k < res->n_models; k++) any |= !res->models[k].there;
  for (int i = 0; i < res->n; i++) any |= res->v[i].joint_images > 0 && !res->v[i].joint_there;
  return any;
}

static void look_for_models(TailorRun *r) {
  TailorLook look;
  tailor_look(r, &look);
  for (int k = 0; k < r->res->n_models; k++) r->res->models[k].there = tailor_trained(r, k);
  if (is_any_to_come(r->res)) tailor_needs_banks(r);
  tailor_look_end(r, &look);
}

/* A bank is a pass of its teacher over each view of the training images. */
static bool estimate_banks(TailorRun *r) {
  const TrainOptions o = {.views = r->views, .mix = r->job->retrain.mix};
  const TailorResult *res = r->res;
  const Dataset *ds = NULL;
  if (!is_any_to_come(res) || !tailor_uses_bank(&o)) return true;
  for (int i = 0; i <= r->job->n_teachers; i++) {
    if (r->bank[i].bytes) continue;
    TRY(tailor_data(r->job->data, &ds, r->d));
    const double macs = i ? (double)graph_macs(r->job->teachers[i - 1]) : (double)res->macs;
    r->res->bank_seconds += (double)r->views * ds->train.n * (res->image + res->mac * macs / TAILOR_PASSES);
  }
  return true;
}

bool tailor_tell_planned(TailorRun *r) {
  for (int i = 0; i < r->job->n_targets; i++) tell_target(r, &r->w[i]);
  look_for_models(r);
  return estimate_banks(r);
}
