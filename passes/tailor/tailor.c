/* Tailoring many targets; see tailor.h for the picture.
 *
 *   1  prepare the model; ask each target's cost model whether the original fits as it is, with weights of 8 bits (or, where
 *      the design allows it and flash is the limit, of 4)
 *   2  plan: for targets that it does not fit, the channels to keep. The linker decides, not the estimate: a pruned but
 *      untrained model is emitted and linked, and where it is too big the limit is tightened by the excess
 *   3  retrain from loose to tight, each from the tightest model before it that contains it, else from the original
 *   4  finish (fuse, quantize), score on validation, deploy (emit, build, run)
 *   5  with everything decided: read the test split, once
 *
 * Plans nest where that costs nothing: a plan made to lie inside the looser target's is taken when it keeps at least
 * NEST_SHARE of the MACs of the free one.
 */
#include "passes/tailor/tailor.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "passes/pass.h"
#include "passes/tailor/measure.h"

enum { SIZE_TRIES = 4, MAX_OUT = STEP_MAX_OUT, PARAMS_MAX = 3072 };
static const double NEST_SHARE = 0.95;
static const char PREPARE[] = "fold,layout{input=nhwc},fold,dce";

/* One target on its way. */
typedef struct Work {
  const TailorTarget *t;
  TailorOutcome *o;
  bool pruned;       /* its plan removes something */
  bool int4;         /* finished with weights of 4 bits */
  bool exact;        /* the final graph computes on integers alone: every byte must agree */
  Artifact plan;     /* of the base; empty while nothing is removed */
  int64_t plan_macs; /* of the plan */
  Artifact trained;  /* float graph */
} Work;

typedef struct Run {
  const TailorJob *job;
  TailorResult *res;
  Diag *d;
  Work *w;
  int *order;     /* indices of w from loose to tight */
  Artifact whole; /* the model, prepared */
  Artifact base, importance, data, test,
      all; /* base: what is pruned, once that is needed; all: keep everything */
  Artifact teacher[1 + TAILOR_MORE_TEACHERS],
      bank[1 + TAILOR_MORE_TEACHERS]; /* empty while nobody needs them; the
                                                                                 original comes first */
  TailorStepEnv env;
} Run;

static void drop(Artifact *out, int from, int n) {
  for (int i = from; i < n; i++) artifact_unref(&out[i]);
}

/* ",keep=a;b" behind the parameters in buf, where layers stay whole. */
static void add_keep(const Run *r, char *buf, size_t n) {
  size_t k = strlen(buf);
  if (r->job->keep[0]) snprintf(buf + k, n - k, "%skeep=%s", k ? "," : "", r->job->keep);
}

/* Channels go by an error table, and layers are solved anew before they are retrained. */
static bool by_table(const Run *r) {
  char by[32];
  return pass_param(r->job->prune_params, "by", by, sizeof by) && strcmp(by, "reconstruction") == 0;
}

/* Run a step; keeps out[0] in *first and out[1] in *second (NULL: dropped). */
static bool step(Run *r, const StepKind *kind, const char *slot, const Artifact *in, int n_in,
                 const char *const *names, const char *params, void *env, Artifact *first, Artifact *second) {
  Artifact out[MAX_OUT] = {0};
  int n = 0;
  StepRequest req = {
      .kind = kind,
      .slot = slot,
      .in = in,
      .n_in = n_in,
      .in_names = names,
      .params = params,
      .seed = kind == &step_retrain || kind == &step_importance || kind == &step_table ? r->job->seed : 0,
      .host = r->job->host,
      .env = env};
  TRY(step_run(r->job->steps, &req, out, &n, NULL, r->d));
  ASSERT(n >= (second ? 2 : 1));
  *first = out[0];
  if (second) *second = out[1];
  drop(out, second ? 2 : 1, n);
  return true;
}

static void tell(const Run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void tell(const Run *r, const char *format, ...) {
  char line[400];
  va_list args;
  if (!r->job->host || !r->job->host->log) return;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  r->job->host->log(r->job->host->ctx, line);
}

/* ---- 1, 2: which channels stay */

static bool over(int64_t limit, int64_t have) { return limit > 0 && have > limit; }

static bool fits(const TailorLimits *l, const Cost *c) {
  return !over(l->flash, c->flash) && !over(l->ram, c->ram) && !over(l->macs, c->macs) &&
         !over(l->cycles, c->cycles);
}

static bool finish_by(Run *r, const char *pipeline, const char *slot, const Artifact *g, Artifact *out) {
  Artifact in[2] = {*g, r->data};
  static const char *const names[] = {"model", "data"};
  return step(r, &step_finish, slot, in, 2, names, pipeline, &r->env, out, NULL);
}

static const char *way(const Run *r, const Work *w) {
  if (w->t->precision != DT_I8) return r->job->finish_float;
  return w->int4 ? r->job->finish_int4 : r->job->finish_int8;
}

/* The final graph of a float graph, for the target. */
static bool finish(Run *r, const Work *w, const char *slot, const Artifact *g, Artifact *out) {
  return finish_by(r, way(r, w), slot, g, out);
}

static bool deploy(Run *r, const TailorTarget *t, const Artifact *final, Artifact *files, Artifact *measure) {
  Artifact in[2] = {*final, artifact_from_hash(ART_DATA, t->cost->key)};
  static const char *const names[] = {"model", "board"};
  return step(r, r->job->deploy, t->name, in, 2, names, t->params, r->job->env, files, measure);
}

/* Text of the prune options under these limits. */
static void limit_params(const Run *r, const TailorTarget *t, const TailorLimits *l, char *buf, size_t n) {
  int k = snprintf(buf, n, "%s", r->job->prune_params);
  if (l->macs && (size_t)k < n) k += snprintf(buf + k, n - (size_t)k, ",macs=%" PRId64, l->macs);
  if (l->flash && (size_t)k < n) k += snprintf(buf + k, n - (size_t)k, ",flash=%" PRId64, l->flash);
  if (l->ram && (size_t)k < n) k += snprintf(buf + k, n - (size_t)k, ",ram=%" PRId64, l->ram);
  if (l->cycles && (size_t)k < n) k += snprintf(buf + k, n - (size_t)k, ",cycles=%" PRId64, l->cycles);
  if ((size_t)k < n)
    snprintf(buf + k, n - (size_t)k, ",precision=%s", t->precision == DT_I8 ? "int8" : "float");
}

/* Plan under limits l, inside `outer` (NULL: free). */
static bool plan_once(Run *r, Work *w, const TailorLimits *l, const Artifact *outer, Artifact *plan,
                      Artifact *measure) {
  Artifact in[4] = {r->base, r->importance, artifact_from_hash(ART_DATA, w->t->cost->key)};
  static const char *const names[] = {"model", "importance", "board", "looser plan"};
  char params[PARAMS_MAX];
  limit_params(r, w->t, l, params, sizeof params);
  add_keep(r, params, sizeof params);
  TailorStepEnv env = r->env;
  env.cost = w->t->cost;
  if (outer) in[3] = *outer;
  return step(r, by_table(r) ? &step_allocate : &step_plan, w->t->name, in, outer ? 4 : 3, names, params,
              &env, plan, measure);
}

/* Link a pruned, untrained model: by how much is each limit exceeded? */
static bool measure_plan(Run *r, Work *w, const Artifact *plan, int64_t *flash, int64_t *ram) {
  Artifact in[2] = {r->base, *plan}, small = {0}, final = {0}, files = {0}, m = {0};
  char keep[PARAMS_MAX] = "";
  add_keep(r, keep, sizeof keep);
  bool ok = step(r, &step_prune, w->t->name, in, 2, NULL, keep, &r->env, &small, NULL) &&
            finish(r, w, w->t->name, &small, &final) && deploy(r, w->t, &final, &files, &m);
  if (ok) {
    *flash = measure_get_int(&m, "flash", 0);
    *ram = measure_get_int(&m, "ram", 0);
  }
  artifact_unref(&small);
  artifact_unref(&final);
  artifact_unref(&files);
  artifact_unref(&m);
  return ok;
}

static void say_missed(Run *r, Work *w, const Artifact *plan_measure) {
  char text[256] = "";
  const char *p = blob_raw(plan_measure->bytes);
  size_t n = blob_size(plan_measure->bytes);
  for (size_t i = 0; i + 7 < n; i++) {
    if (memcmp(p + i, "missed ", 7) == 0 && (i == 0 || p[i - 1] == '\n')) {
      size_t len = 0;
      while (i + 7 + len < n && p[i + 7 + len] != '\n') len++;
      snprintf(text, sizeof text, "%.*s", (int)len, p + i + 7);
    }
  }
  w->o->why = arena_printf(r->res->arena,
                           "no model of this family fits (%s); the smallest that can be had: flash %" PRId64
                           ", RAM %" PRId64 " bytes, %" PRId64 " MACs",
                           text, measure_get_int(plan_measure, "flash", 0),
                           measure_get_int(plan_measure, "ram", 0), measure_get_int(plan_measure, "macs", 0));
}

/* Plan until the linker agrees. An unreachable limit sets o->why and is no failure of the run. */
static bool plan_target(Run *r, Work *w, const Artifact *outer) {
  TailorLimits l = w->t->limits;
  artifact_unref(&w->plan);
  for (int attempt = 0;; attempt++) {
    Artifact plan = {0}, m = {0};
    TRY(plan_once(r, w, &l, outer, &plan, &m));
    int64_t flash = 0, ram = 0;
    bool met = measure_get_int(&m, "met", 0) != 0, ok = true;
    if (met && (l.flash || l.ram)) ok = measure_plan(r, w, &plan, &flash, &ram);
    int64_t too_much_flash = over(w->t->limits.flash, flash) ? flash - w->t->limits.flash : 0;
    int64_t too_much_ram = over(w->t->limits.ram, ram) ? ram - w->t->limits.ram : 0;
    bool again = ok && met && (too_much_flash || too_much_ram) && attempt + 1 < SIZE_TRIES;
    if (ok && !met) say_missed(r, w, &m);
    if (ok && met && !again && (too_much_flash || too_much_ram)) {
      w->o->why = arena_printf(r->res->arena,
                               "linked: flash %" PRId64 " bytes, RAM %" PRId64 " bytes: still over the limit",
                               flash, ram);
    }
    w->plan_macs = measure_get_int(&m, "macs", 0);
    w->pruned = measure_get_int(&m, "removed", 0) > 0;
    artifact_unref(&m);
    if (again) {
      artifact_unref(&plan);
      l.flash -= too_much_flash + too_much_flash / 8;
      l.ram -= too_much_ram + too_much_ram / 8;
      continue;
    }
    w->plan = plan;
    return ok;
  }
}

/* Does the original fit target w as it is, linked? In the precision that w says. */
static bool original_fits_so(Run *r, Work *w, bool *yes) {
  *yes = false;
  Artifact final = {0}, files = {0}, m = {0};
  TRY(finish(r, w, "original", &r->whole, &final));
  Graph *g = artifact_graph(&final, r->d);
  Cost cost;
  bool ok = g && w->t->cost->cost(w->t->cost->ctx, g, DT_NONE, &cost, r->d);
  graph_free(g);
  if (ok && fits(&w->t->limits, &cost)) {
    ok = deploy(r, w->t, &final, &files, &m);
    *yes = ok && !over(w->t->limits.flash, measure_get_int(&m, "flash", 0)) &&
           !over(w->t->limits.ram, measure_get_int(&m, "ram", 0));
  }
  artifact_unref(&final);
  artifact_unref(&files);
  artifact_unref(&m);
  return ok;
}

/* With weights of 8 bits; where flash is too small for that and the design allows it, of 4. */
static bool original_fits(Run *r, Work *w, bool *yes) {
  TRY(original_fits_so(r, w, yes));
  if (*yes || !r->job->finish_int4 || w->t->precision != DT_I8 || !w->t->limits.flash) return true;
  w->int4 = true;
  TRY(original_fits_so(r, w, yes));
  w->int4 = w->o->int4 = *yes;
  return true;
}

static bool has_op(const Graph *g, OpKind op) {
  for (NodeId k = 0; k < g->n_nodes; k++)
    if (g->nodes[k].op == op) return true;
  return false;
}

/* The graph that is pruned: the model and, where it was folded before it came here and is to be retrained,
 * BatchNormalization put in again. */
static bool make_base(Run *r) {
  Graph *whole = artifact_graph(&r->whole, r->d);
  TRY(whole);
  bool insert = r->job->may_retrain && !has_op(whole, OP_batch_normalization);
  graph_free(whole);
  Artifact in[2] = {r->whole, r->data};
  static const char *const names[] = {"model", "data"};
  if (insert)
    TRY(step(r, &step_insert, "shared", in, 2, names, "bninsert", &r->env, &r->base, NULL));
  else
    r->base = artifact_ref(&r->whole);
  Graph *base = artifact_graph(&r->base, r->d);
  bool ok = base && tailor_plan_all(base, r->job->keep, &r->all, r->d);
  graph_free(base);
  return ok;
}

static bool needs_importance(Run *r) {
  if (r->importance.bytes) return true;
  TRY(make_base(r));
  Artifact in[2] = {r->base, r->data};
  static const char *const names[] = {"model", "data"};
  char params[PARAMS_MAX];
  snprintf(params, sizeof params, "%s", r->job->prune_params);
  add_keep(r, params, sizeof params);
  return step(r, by_table(r) ? &step_table : &step_importance, "shared", in, 2, names, params, &r->env,
              &r->importance, NULL);
}

static bool plan_all(Run *r) {
  for (int i = 0; i < r->job->n_targets; i++) {
    Work *w = &r->w[i];
    bool fit;
    TRY(original_fits(r, w, &fit));
    w->plan_macs = r->res->macs;
    if (fit) continue;
    if (!r->job->may_prune) {
      w->o->why = "the original does not fit, and the design does not allow pruning";
      continue;
    }
    TRY(needs_importance(r) && plan_target(r, w, NULL));
  }
  return true;
}

/* Loose to tight by MACs kept; ties in the job's order. */
static void sort_work(Run *r) {
  for (int i = 0; i < r->job->n_targets; i++) {
    int at = i;
    while (at > 0 && r->w[r->order[at - 1]].plan_macs < r->w[i].plan_macs) {
      r->order[at] = r->order[at - 1];
      at--;
    }
    r->order[at] = i;
  }
}

/* Try to plan w inside the plan of the target before it; keep the free plan where that would cost too much. */
static bool nest(Run *r, Work *w, const Work *before) {
  if (!w->pruned || w->o->why || !before->pruned || before->o->why) return true;
  Artifact free_plan = w->plan;
  int64_t free_macs = w->plan_macs;
  const char *why = w->o->why;
  w->plan = (Artifact){0};
  TRY(plan_target(r, w, &before->plan));
  bool better = !w->o->why && (double)w->plan_macs >= NEST_SHARE * (double)free_macs;
  if (better) {
    artifact_unref(&free_plan);
  } else {
    artifact_unref(&w->plan);
    w->plan = free_plan;
    w->plan_macs = free_macs;
    w->o->why = why;
    w->pruned = true;
  }
  return true;
}

/* ---- 3: retrain */

/* Does plan `outer` keep everything that `inner` keeps? Asked of the plans' channels. */
static bool contains(Run *r, const Artifact *outer, const Artifact *inner) {
  Diag *quiet = diag_new();
  Graph *base = artifact_graph(&r->base, quiet);
  bool yes = base && tailor_plan_contains(base, r->job->keep, outer, inner);
  graph_free(base);
  diag_free(quiet);
  return yes;
}

/* The original and further teachers, and their banks where these are used. */
static bool needs_teachers(Run *r, const TrainOptions *o) {
  const TailorJob *job = r->job;
  if (!r->teacher[0].bytes) r->teacher[0] = artifact_ref(&r->base);
  for (int i = 0; i < job->n_teachers; i++) {
    if (r->teacher[1 + i].bytes) continue;
    Artifact model = artifact_from_graph(job->teachers[i]);
    const bool ok =
        step(r, &step_prepare, "teacher", &model, 1, NULL, PREPARE, &r->env, &r->teacher[1 + i], NULL);
    artifact_unref(&model);
    TRY(ok);
  }
  for (int i = 0; tailor_uses_bank(o) && i <= job->n_teachers; i++)
    if (!r->bank[i].bytes)
      TRY(tailor_bank(job->steps, &r->teacher[i], &r->data, o, &r->env, job->host, &r->bank[i], r->d));
  return true;
}

static bool retrain(Run *r, int at, int64_t images, const Artifact *from, const Artifact *from_plan) {
  Work *w = &r->w[r->order[at]];
  Artifact in[STEP_MAX_IN] = {*from, *from_plan, w->plan, r->base, r->data};
  const char *names[STEP_MAX_IN] = {"start", "start's plan", "plan", "base", "data"};
  TrainOptions o = r->job->retrain;
  const int teachers = 1 + r->job->n_teachers;
  int n = 5;
  if (images) o.images = images;
  o.seed = r->job->seed;
  char params[PARAMS_MAX];
  TRY(needs_teachers(r, &o));
  for (int i = 0; i < teachers; i++) names[n] = "teacher", in[n++] = r->teacher[i];
  for (int i = 0; tailor_uses_bank(&o) && i < teachers; i++)
    names[n] = "teacher's bank", in[n++] = r->bank[i];
  tailor_train_params(&o, params, sizeof params);
  add_keep(r, params, sizeof params);
  artifact_unref(&w->trained);
  return step(r, &step_retrain, w->t->name, in, n, names, params, &r->env, &w->trained, NULL);
}

/* The base cut to w's plan, its layers solved anew. */
static bool rebuild(Run *r, const Work *w, Artifact *out) {
  Artifact in[3] = {r->base, w->plan, r->data};
  static const char *const names[] = {"model", "plan", "data"};
  char params[PARAMS_MAX];
  snprintf(params, sizeof params, "%s", r->job->prune_params);
  add_keep(r, params, sizeof params);
  return step(r, &step_rebuild, w->t->name, in, 3, names, params, &r->env, out, NULL);
}

static bool train_target(Run *r, int at) {
  Work *w = &r->w[r->order[at]];
  if (!w->pruned) {
    w->trained = artifact_ref(&r->whole);
    return true;
  }
  if (!r->job->may_retrain && by_table(r)) return rebuild(r, w, &w->trained);
  if (!r->job->may_retrain) {
    Artifact in[2] = {r->base, w->plan};
    char keep[PARAMS_MAX] = "";
    add_keep(r, keep, sizeof keep);
    return step(r, &step_prune, w->t->name, in, 2, NULL, keep, &r->env, &w->trained, NULL);
  }
  const Artifact *from = &r->base, *from_plan = &r->all;
  w->o->start = "";
  for (int k = at - 1; k >= 0; k--) {
    const Work *p = &r->w[r->order[k]];
    if (!p->pruned || !p->trained.bytes || !contains(r, &p->plan, &w->plan)) continue;
    from = &p->trained;
    from_plan = &p->plan;
    w->o->start = p->t->name;
    break;
  }
  if (w->o->start[0] || !by_table(r)) return retrain(r, at, 0, from, from_plan);
  Artifact solved = {0};
  bool ok = rebuild(r, w, &solved) && retrain(r, at, 0, &solved, &w->plan);
  artifact_unref(&solved);
  return ok;
}

/* ---- 4: finish, score, deploy */

static bool score(Run *r, const char *slot, const Artifact *g, bool raw, double *out) {
  Artifact in[2] = {*g, r->data}, m = {0};
  static const char *const names[] = {"model", "data"};
  TRY(step(r, &step_score, slot, in, 2, names, raw ? "raw=1" : "", &r->env, &m, NULL));
  Accuracy a;
  tailor_accuracy(&m, &a);
  *out = a.top1;
  artifact_unref(&m);
  return true;
}

/* How far graph g's outputs are from the reference's, on training images. */
static bool diverge(Run *r, const char *slot, const Artifact *g, const Artifact *reference, bool raw,
                    double *out) {
  Artifact in[3] = {*g, *reference, r->data}, m = {0};
  static const char *const names[] = {"model", "reference", "data"};
  TRY(step(r, &step_diverge, slot, in, 3, names, raw ? "raw=1" : "", &r->env, &m, NULL));
  *out = measure_get(&m, "divergence", 0);
  artifact_unref(&m);
  return true;
}

/* Deliver what the other way to the same precision gives, where that is nearer to the float graph. */
static bool finish_better(Run *r, Work *w, const char *slot) {
  const char *pipeline = w->int4 ? r->job->other_int4 : r->job->other_int8;
  w->o->finish = way(r, w);
  if (w->t->precision != DT_I8 || !pipeline) return true;
  Artifact other = {0};
  double with = 0, without = 0;
  bool ok = finish_by(r, pipeline, slot, &w->trained, &other) &&
            diverge(r, slot, &w->o->final, &w->trained, r->job->raw_input, &without) &&
            diverge(r, slot, &other, &w->trained, r->job->raw_input, &with);
  if (ok)
    tell(r, "%s: divergence from float %.3g by \"%s\", %.3g by \"%s\": %s taken", slot, without, w->o->finish,
         with, pipeline, with < without ? "the latter is" : "the former is");
  if (ok && with < without) {
    const Artifact worse = w->o->final;
    w->o->final = other, other = worse;
    w->o->finish = pipeline;
  }
  artifact_unref(&other);
  return ok;
}

static bool finish_and_score(Run *r, Work *w) {
  const char *slot = w->pruned ? w->t->name : "original";
  artifact_unref(&w->o->final);
  TRY(finish(r, w, slot, &w->trained, &w->o->final) && finish_better(r, w, slot));
  TRY(score(r, slot, &w->trained, false, &w->o->val_float));
  return score(r, slot, &w->o->final, r->job->raw_input, &w->o->val_final);
}

static bool read_measured(Run *r, Work *w, const Artifact *m) {
  TailorMeasured *x = &w->o->measured;
  x->flash = measure_get_int(m, "flash", -1);
  x->ram = measure_get_int(m, "ram", -1);
  x->stack = measure_get_int(m, "stack", -1);
  x->instructions = measure_get_int(m, "instructions", -1);
  x->vectors = measure_get_int(m, "vectors", 0);
  x->vectors_equal = measure_get_int(m, "vectors_equal", 0);
  Graph *g = artifact_graph(&w->o->final, r->d);
  bool ok = g && w->t->cost->cost(w->t->cost->ctx, g, DT_NONE, &w->o->cost, r->d);
  w->exact = g && !graph_computes_reals(g);
  graph_free(g);
  return ok;
}

/* Everything asked for, against what came out. */
static void judge(Run *r, Work *w) {
  const TailorLimits *l = &w->t->limits;
  TailorOutcome *o = w->o;
  StrBuf why = {0};
  if (over(l->flash, o->measured.flash))
    sb_printf(&why, "flash %" PRId64 " bytes, limit %" PRId64 "; ", o->measured.flash, l->flash);
  if (over(l->ram, o->measured.ram))
    sb_printf(&why, "RAM %" PRId64 " bytes, limit %" PRId64 "; ", o->measured.ram, l->ram);
  if (over(l->macs, o->cost.macs))
    sb_printf(&why, "%" PRId64 " MACs, limit %" PRId64 "; ", o->cost.macs, l->macs);
  if (over(l->cycles, o->cost.cycles))
    sb_printf(&why, "%" PRId64 " cycles, limit %" PRId64 "; ", o->cost.cycles, l->cycles);
  if (o->val_final < o->floor) {
    sb_printf(&why, "%s on validation %.2f %%, floor %.2f %%: the nearest within the other limits; ",
              metric_name(r->job->auc), 100 * o->val_final, 100 * o->floor);
  }
  if (o->measured.vectors_equal < o->measured.vectors && w->exact) {
    sb_printf(&why, "only %" PRId64 " of %" PRId64 " self-test vectors agree; ", o->measured.vectors_equal,
              o->measured.vectors);
  }
  o->met = why.len == 0;
  o->why = why.len ? arena_strndup(r->res->arena, sb_str(&why), why.len - 2) : "";
  sb_free(&why);
}

static bool complete_target(Run *r, int at) {
  Work *w = &r->w[r->order[at]];
  if (w->o->why) return true; /* no plan: nothing to make */
  const TailorLimits *l = &w->t->limits;
  double drop_floor = l->max_drop > 0 ? r->res->val_original - l->max_drop : 0;
  w->o->floor = fmax(l->min_accuracy, drop_floor);
  TRY(train_target(r, at) && finish_and_score(r, w));
  if (w->o->val_final < w->o->floor &&
      w->o->start) { /* a tail of its own: as long again, from where it stands */
    Artifact from = artifact_ref(&w->trained);
    bool ok = retrain(r, at, 0, &from, &w->plan);
    artifact_unref(&from);
    TRY(ok && finish_and_score(r, w));
  }
  Artifact m = {0};
  TRY(deploy(r, w->t, &w->o->final, &w->o->files, &m));
  bool ok = read_measured(r, w, &m);
  artifact_unref(&m);
  w->o->delivered = true;
  judge(r, w);
  return ok;
}

/* ---- 5: the test split */

static bool test_float(Run *r, const char *slot, const Artifact *g, Accuracy *out) {
  Artifact in[2] = {*g, r->test}, m = {0};
  static const char *const names[] = {"model", "test data"};
  TRY(step(r, &step_test, slot, in, 2, names, "", &r->env, &m, NULL));
  tailor_accuracy(&m, out);
  artifact_unref(&m);
  return true;
}

static bool prove(Run *r, Work *w) {
  TailorProof *p = &w->o->proof;
  TRY(test_float(r, "original", &r->whole, &p->original));
  if (!w->o->delivered) return true;
  TRY(test_float(r, w->pruned ? w->t->name : "original", &w->trained, &p->tailored));
  Artifact in[3] = {w->o->final, artifact_from_hash(ART_DATA, w->t->cost->key), r->test}, m = {0};
  static const char *const names[] = {"model", "board", "test data"};
  TRY(step(r, r->job->proof, w->t->name, in, 3, names, w->t->params, r->job->env, &m, NULL));
  tailor_accuracy(&m, &p->emitted);
  p->vectors = measure_get_int(&m, "vectors", 0);
  p->vectors_equal = measure_get_int(&m, "vectors_equal", 0);
  artifact_unref(&m);
  return true;
}

/* ---- The run */

static bool start(Run *r) {
  const TailorJob *job = r->job;
  Artifact model = artifact_from_graph(job->model);
  bool ok = step(r, &step_prepare, "shared", &model, 1, NULL, PREPARE, &r->env, &r->whole, NULL);
  artifact_unref(&model);
  TRY(ok);
  Graph *whole = artifact_graph(&r->whole, r->d);
  TRY(whole);
  r->res->macs = graph_macs(whole);
  r->res->params = graph_params(whole);
  if (r->job->may_retrain) tailor_tell_bank(&r->job->retrain, r->job->host);
  graph_free(whole);
  r->data = artifact_from_hash(ART_DATA, job->data_identity);
  r->test = artifact_from_hash(ART_DATA, job->test_identity);
  return ok && score(r, "original", &r->whole, false, &r->res->val_original);
}

static bool run_all(Run *r) {
  const int n = r->job->n_targets;
  TRY(start(r) && plan_all(r));
  sort_work(r);
  for (int i = 1; i < n; i++) TRY(nest(r, &r->w[r->order[i]], &r->w[r->order[i - 1]]));
  for (int i = 0; i < n; i++) TRY(complete_target(r, i));
  r->job->data->final = true;
  for (int i = 0; i < n; i++) TRY(prove(r, &r->w[i]));
  return true;
}

bool tailor_run(const TailorJob *job, TailorResult *out, Diag *d) {
  *out = (TailorResult){.arena = arena_new(), .n = job->n_targets};
  out->v = arena_array(out->arena, (size_t)job->n_targets, sizeof *out->v);
  Run r = {.job = job, .res = out, .d = d, .env = {.data = job->data}};
  r.w = arena_array(out->arena, (size_t)job->n_targets, sizeof *r.w);
  r.order = arena_array(out->arena, (size_t)job->n_targets, sizeof *r.order);
  for (int i = 0; i < job->n_targets; i++) {
    r.w[i] = (Work){.t = &job->targets[i], .o = &out->v[i]};
    out->v[i] = (TailorOutcome){.target = &job->targets[i], .measured = {-1, -1, -1, -1, 0, 0}};
  }
  bool ok = run_all(&r);
  for (int i = 0; i < job->n_targets; i++) {
    out->v[i].plan = r.w[i].plan;
    artifact_unref(&r.w[i].trained);
  }
  artifact_unref(&r.whole);
  artifact_unref(&r.base);
  artifact_unref(&r.importance);
  artifact_unref(&r.all);
  for (int i = 0; i <= job->n_teachers; i++) {
    artifact_unref(&r.teacher[i]);
    artifact_unref(&r.bank[i]);
  }
  if (!ok) tailor_result_free(out);
  return ok;
}

void tailor_result_free(TailorResult *r) {
  for (int i = 0; i < r->n; i++) {
    artifact_unref(&r->v[i].final);
    artifact_unref(&r->v[i].files);
    artifact_unref(&r->v[i].plan);
  }
  arena_free(r->arena);
  *r = (TailorResult){0};
}
