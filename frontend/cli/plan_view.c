/* A plan as text and as JSON; see plan_view.h. The tree is drawn by indents: a model stands below and to the right of the one
 * that it is trained from.
 */
#include "frontend/cli/plan_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "frontend/cli/tailoring.h"

/* ---- What is to come */

static void add_kind(PlanView *v, const StepTime *times, size_t n_times, const char *kind, int n) {
  double sum = 0;
  int known = 0;
  if (n == 0) return;
  for (size_t i = 0; i < n_times; i++) {
    if (strcmp(times[i].kind, kind) != 0) continue;
    sum += times[i].seconds;
    known++;
  }
  ASSERT(v->n_kinds < PLAN_KINDS);
  v->kinds[v->n_kinds++] = (PlanKind){kind, n, known ? sum / known : -1};
}

static bool joint_to_come(const TailorOutcome *o) { return o->joint_images > 0 && !o->joint_there; }

/* Steps behind training: of targets whose model or variants are still to be trained. */
typedef struct Behind {
  int targets, narrower, scores, tests;
} Behind;

/* Variants are each scored, and tested in float and int8; of exits int8 alone, the whole model as any. Emitted C is no test: its
 * proof is (graphs: there is none). */
static void add_behind(Behind *b, const TailorTarget *t, bool graphs) {
  const int widths = t->widths > 1 ? t->widths : 1;
  b->targets++;
  b->narrower += widths - 1;
  b->scores += widths + t->exits;
  b->tests += widths > 1 ? 2 * widths : 1 + graphs + t->exits;
}

static Behind behind_training(const TailorResult *r, bool graphs) {
  Behind b = {0};
  for (int i = 0; i < r->n; i++) {
    const TailorOutcome *o = &r->v[i];
    if ((o->model >= 0 && !r->models[o->model].there) || joint_to_come(o)) add_behind(&b, o->target, graphs);
  }
  return b;
}

bool plan_view_kinds(PlanView *v, const Cache *cache, bool graphs, bool rebuilt, Diag *d) {
  const TailorResult *r = v->result;
  const Behind b = behind_training(r, graphs);
  int roots = 0;
  Arena *a = arena_new();
  StepTime *times = NULL;
  size_t n_times = 0;
  const bool ok = cache_times(cache, a, &times, &n_times, d);
  for (int k = 0; k < r->n_models; k++) roots += r->models[k].parent < 0 && !r->models[k].there;
  v->n_kinds = 0;
  add_kind(v, times, n_times, "rebuild", rebuilt ? roots : 0);
  add_kind(v, times, n_times, "finish", b.targets);
  add_kind(v, times, n_times, "finish_like", b.narrower);
  add_kind(v, times, n_times, "score", b.scores);
  add_kind(v, times, n_times, "deploy", graphs ? 0 : b.targets);
  add_kind(v, times, n_times, "test", b.tests);
  add_kind(v, times, n_times, "proof", graphs ? 0 : b.targets);
  arena_free(a);
  return ok;
}

typedef struct ToCome {
  int models, joint;
  double seconds, joint_seconds;
} ToCome;

/* Trainings of models and joint ones of variants that are to come. */
static ToCome training_to_come(const TailorResult *r) {
  ToCome c = {0};
  for (int k = 0; k < r->n_models; k++) {
    if (r->models[k].there) continue;
    c.seconds += r->models[k].seconds;
    c.models++;
  }
  for (int i = 0; i < r->n; i++) {
    if (!joint_to_come(&r->v[i]) || r->v[i].joint_with >= 0) continue;
    c.joint_seconds += r->v[i].joint_seconds;
    c.joint++;
  }
  return c;
}

static double others_to_come(const PlanView *v) {
  double seconds = 0;
  for (int i = 0; i < v->n_kinds; i++)
    if (v->kinds[i].seconds > 0) seconds += v->kinds[i].n * v->kinds[i].seconds;
  return seconds;
}

static double whole_plan(const TailorResult *r) {
  double seconds = 0;
  for (int k = 0; k < r->n_models; k++) seconds += r->models[k].seconds;
  for (int i = 0; i < r->n; i++) seconds += r->v[i].joint_with < 0 ? r->v[i].joint_seconds : 0;
  return seconds;
}

/* ---- Text */

/* Targets that use model k beside the one that it is named after. */
static const char *others_of(const TailorResult *r, int k, Arena *a) {
  const char *text = "";
  for (int i = 0; i < r->n; i++)
    if (r->v[i].model == k && i != r->models[k].target)
      text = arena_printf(a, "%s%s%s", text, *text ? ", " : "also for ", r->v[i].target->name);
  return text;
}

static const char *notes(const TailorResult *r, int k, Arena *a) {
  const TailorTrained *m = &r->models[k];
  const char *parts[] = {m->joint ? "joint ancestor" : "", m->fixed ? "planned before" : "",
                         m->there ? "trained already" : "", others_of(r, k, a)};
  const char *text = "";
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (*parts[i]) text = arena_printf(a, "%s%s%s", text, *text ? ", " : "", parts[i]);
  return text;
}

static void model_row(const PlanView *v, Table *t, int k, int depth) {
  const TailorTrained *m = &v->result->models[k];
  table_cell(t, "%*s%.200s", 2 * depth, "", m->name);
  table_cell(t, "%.3f", (double)m->macs / 1e6);
  table_count(t, m->images);
  table_cell(t, "%.1f", m->seconds);
  table_cell(t, "%.300s", notes(v->result, k, t->arena));
}

/* Depth first, without recursion: parents stand before their children. */
static void tree(const PlanView *v, Arena *a) {
  enum { DEEPEST = 60 }; /* an indent beyond helps nobody */
  const TailorResult *r = v->result;
  const size_t n = (size_t)r->n_models;
  int *depth = arena_array(a, n, sizeof *depth), *stack = arena_array(a, n + 1, sizeof *stack), top = 0;
  Table t;
  table_begin(&t, a, "<model,>M MACs,>images,>est. s,<");
  table_cell(&t, "the original"), table_cell(&t, "%.3f", (double)r->macs / 1e6);
  for (int i = 0; i < 3; i++) table_cell(&t, "%s", "");
  for (int k = r->n_models - 1; k >= 0; k--)
    if (r->models[k].parent < 0) stack[top++] = k;
  while (top > 0) {
    const int k = stack[--top], parent = r->models[k].parent;
    depth[k] = parent < 0 ? 1 : depth[parent] + 1;
    model_row(v, &t, k, depth[k] < DEEPEST ? depth[k] : DEEPEST);
    for (int c = r->n_models - 1; c > k; c--)
      if (r->models[c].parent == k) stack[top++] = c;
  }
  table_print(&t);
}

static void untrained(const PlanView *v) {
  const TailorResult *r = v->result;
  for (int i = 0; i < r->n; i++)
    if (r->v[i].met && r->v[i].model < 0)
      printf("%s: %s\n", r->v[i].target->name,
             r->v[i].cost.macs == r->macs ? "the original fits as it is" : "cut, without training");
  for (int i = 0; i < r->n; i++)
    if (!r->v[i].met) printf("%s: CANNOT BE MET: %s\n", r->v[i].target->name, r->v[i].why);
}

static void variants(const PlanView *v, Arena *a) {
  for (int i = 0; i < v->result->n; i++) {
    const TailorOutcome *o = &v->result->v[i];
    if (o->joint_images)
      printf("%s: %d variants down to %.0f %% of its MACs, trained together behind that on %s images, est. "
             "%.1f s%s%s%s\n",
             o->target->name, o->target->widths, 100 * o->target->narrowest, cli_count(a, o->joint_images),
             o->joint_seconds, o->joint_there ? ", trained already" : "",
             o->joint_with < 0 ? "" : ", the training of ",
             o->joint_with < 0 ? "" : v->result->v[o->joint_with].target->name);
  }
}

static void ways(const PlanView *v, Arena *a) {
  static const char *const what[] = {"each from the original, as long as the design says",
                                     "each from the nearest looser one", "and joint ancestors"};
  const TailorResult *r = v->result;
  const bool known = v->sharing <= SHARE_TREE; /* what an elastic model costs is not */
  const double own = known ? r->ways[v->sharing].seconds : 0, none = r->ways[SHARE_NOTHING].seconds;
  Table t;
  printf("\nTraining by other ways of sharing, if all were planned anew:\n\n");
  table_begin(&t, a, "<way,>images,>est. s,<");
  for (int i = 0; i <= SHARE_TREE; i++) {
    table_cell(&t, "%s%s", tailoring_sharing_name((TailorSharing)i), (int)v->sharing == i ? " *" : "");
    table_count(&t, r->ways[i].images);
    table_cell(&t, "%.1f", r->ways[i].seconds);
    table_cell(&t, "%s", what[i]);
  }
  table_print(&t);
  if (own > 0 && v->sharing != SHARE_NOTHING)
    printf("\nSaving: %.1f s of %.1f s of training; %.2f times less than without sharing\n", none - own, none,
           none / own);
}

static void to_come(const PlanView *v) {
  const TailorResult *r = v->result;
  const ToCome c = training_to_come(r);
  const double training = c.seconds + c.joint_seconds, others = others_to_come(v);
  printf("\nTo come: %d of %d models to train, %.1f s", c.models, r->n_models, c.seconds);
  if (c.joint)
    printf("; %d joint training%s of variants, %.1f s", c.joint, c.joint > 1 ? "s" : "", c.joint_seconds);
  if (r->bank_seconds > 0) printf("; teachers' outputs, %.1f s", r->bank_seconds);
  for (int i = 0; i < v->n_kinds; i++) {
    const PlanKind *k = &v->kinds[i];
    if (k->seconds >= 0)
      printf("; %d x %s, %.1f s", k->n, k->kind, k->n * k->seconds);
    else
      printf("; %d x %s, which never ran here", k->n, k->kind);
  }
  printf("\nExpected: %.1f s%s\n", training + r->bank_seconds + others,
         training + others > 0 ? ", beside steps that are shared and not yet there" : "");
}

/* Seconds by the clock, against the budget. */
static void budget(const PlanView *v, Arena *a) {
  const TailorResult *r = v->result;
  const double most = TAILOR_TRAINING * r->budget;
  if (tailor_shortened(r))
    printf(
        "Trainings are shortened to %.0f %% of their lengths, for a time budget of %s (remove %s to have it "
        "decided anew)\n",
        100 * r->kept, tailor_duration(a, r->shortened_for), v->lock);
  if (!(r->budget > 0)) return;
  printf("Time budget: %s, of which training may take %s; expected are %s, with %.3g trainings at once\n",
         tailor_duration(a, r->budget), tailor_duration(a, most), tailor_duration(a, r->expected),
         r->at_once);
  const ToCome c = training_to_come(r);
  const double to_come = (c.seconds + c.joint_seconds + r->bank_seconds + others_to_come(v)) / r->at_once;
  if (r->expected > most)
    printf("That is more than there is%s: targets of the lowest priority may not be begun in time\n",
           tailor_shortened(r) && r->shortened_for == r->budget
               ? ""
               : " (lengths are those of the earlier plan, or not known)");
  else if (to_come > r->budget)
    printf(
        "With the steps around them %s are to come, more than there is: targets of the lowest priority may "
        "not be begun in time\n",
        tailor_duration(a, to_come));
}

static void rates(const PlanView *v) {
  const TailorResult *r = v->result;
  printf("Estimates: %.2g s for an image and %.2g s for each million of its MACs, ", r->image, 1e6 * r->mac);
  if (r->image != v->rates.image || r->mac != v->rates.mac)
    printf("frozen in the earlier plan\n");
  else if (v->rates.records)
    printf("from %d trainings that the cache's folder has on record\n", v->rates.records);
  else
    printf("defaults: no training is on record in the cache's folder\n");
}

void plan_view_text(const PlanView *v, Arena *a) {
  const TailorResult *r = v->result;
  int joint = 0, trainings = r->n_models;
  for (int k = 0; k < r->n_models; k++) joint += r->models[k].joint;
  printf("%d targets; %d models to train, %d of them joint ancestors that nobody asked for\n\n", r->n,
         r->n_models, joint);
  tree(v, a);
  untrained(v);
  variants(v, a);
  for (int i = 0; i < r->n; i++) trainings += r->v[i].joint_images > 0;
  if (r->n_models) ways(v, a);
  if (trainings) {
    to_come(v);
    budget(v, a);
    rates(v);
    printf("Plan: %s (tailor goes on with it)   %.1f s\n", v->lock, v->seconds);
  }
}

/* ---- JSON */

static void json_models(JsonWriter *w, const TailorResult *r) {
  json_karray(w, "models");
  for (int k = 0; k < r->n_models; k++) {
    const TailorTrained *m = &r->models[k];
    json_object(w);
    json_kstr(w, "name", m->name);
    json_kstr(w, "parent", m->parent < 0 ? NULL : r->models[m->parent].name);
    json_kbool(w, "joint", m->joint);
    json_kbool(w, "planned_before", m->fixed);
    json_kbool(w, "trained_already", m->there);
    json_kint(w, "macs", m->macs);
    json_kint(w, "images", m->images);
    json_knum(w, "estimated_seconds", m->seconds);
    json_end(w);
  }
  json_end(w);
}

static void json_targets(JsonWriter *w, const TailorResult *r) {
  json_karray(w, "targets");
  for (int i = 0; i < r->n; i++) {
    const TailorOutcome *o = &r->v[i];
    json_object(w);
    json_kstr(w, "target", o->target->name);
    json_kbool(w, "met", o->met);
    json_kstr(w, "why", o->why);
    json_kstr(w, "model", o->model < 0 ? NULL : r->models[o->model].name);
    json_kstr(w, "structure", o->variant);
    json_kint(w, "macs", o->cost.macs);
    if (o->joint_images) json_kint(w, "joint_images", o->joint_images);
    if (o->joint_images) json_knum(w, "joint_seconds", o->joint_seconds);
    if (o->joint_images) json_kbool(w, "joint_there", o->joint_there);
    if (o->joint_with >= 0) json_kstr(w, "joint_with", r->v[o->joint_with].target->name);
    json_end(w);
  }
  json_end(w);
}

static void json_to_come(JsonWriter *w, const PlanView *v) {
  const ToCome c = training_to_come(v->result);
  json_kobject(w, "to_come");
  json_kint(w, "models", c.models);
  json_knum(w, "training_seconds", c.seconds);
  json_kint(w, "families", c.joint);
  json_knum(w, "joint_seconds", c.joint_seconds);
  json_knum(w, "bank_seconds", v->result->bank_seconds);
  json_knum(w, "other_seconds", others_to_come(v));
  json_karray(w, "steps");
  for (int i = 0; i < v->n_kinds; i++) {
    json_object(w);
    json_kstr(w, "step", v->kinds[i].kind);
    json_kint(w, "n", v->kinds[i].n);
    json_key(w, "mean_seconds");
    if (v->kinds[i].seconds >= 0)
      json_num(w, v->kinds[i].seconds);
    else
      json_null(w);
    json_end(w);
  }
  json_end(w);
  json_end(w);
}

void plan_view_json(const PlanView *v, StrBuf *out) {
  const TailorResult *r = v->result;
  JsonWriter w;
  json_begin(&w, out, true);
  json_object(&w);
  json_kstr(&w, "deploy", v->deploy);
  json_kstr(&w, "plan", v->lock);
  json_kstr(&w, "sharing", tailoring_sharing_name(v->sharing));
  json_kint(&w, "original_macs", r->macs);
  json_kobject(&w, "rates");
  json_knum(&w, "image", r->image);
  json_knum(&w, "mac", r->mac);
  json_kint(&w, "records", v->rates.records);
  json_end(&w);
  json_knum(&w, "estimated_seconds", whole_plan(r));
  tailoring_json_budget(&w, r);
  json_models(&w, r);
  json_targets(&w, r);
  tailoring_json_ways(&w, r);
  json_to_come(&w, v);
  json_knum(&w, "seconds", v->seconds);
  json_end(&w);
}
