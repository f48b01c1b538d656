/* Tailoring many targets; see tailor.h for the picture.
 *
 *   1  prepare the model; ask each target's cost model whether the original fits as it is, with weights of 8 bits (or, where
 *      the design allows it and flash is the limit, of 4)
 *   2  plan: for targets that it does not fit, the channels to keep. The linker decides, not the estimate: a pruned but
 *      untrained model that is close to a limit is emitted and linked, and where it is too big the limit is tightened by the
 *      excess (plans.c). Where
 *      that loses much, other structures are tried (variants.c)
 *   3  decide who is trained from whom and how long (schedule.c, share.c), and retrain (models.c, students.c)
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
#include "passes/steps/workers.h"
#include "passes/tailor/measure.h"
#include "passes/tailor/run.h"

static void drop(Artifact *out, int from, int n) {
  for (int i = from; i < n; i++) artifact_unref(&out[i]);
}

void tailor_keep_params(const TailorRun *r, char *buf, size_t n) {
  snprintf(buf, n, "%s%s", r->job->keep[0] ? "keep=" : "", r->job->keep);
}

void tailor_prune_params(const TailorRun *r, char *buf, size_t n) {
  snprintf(buf, n, "%s%s%s", r->job->prune_params, r->job->keep[0] ? ",keep=" : "", r->job->keep);
}

bool tailor_by_table(const TailorRun *r) {
  char by[32];
  return pass_param(r->job->prune_params, "by", by, sizeof by) && strcmp(by, "reconstruction") == 0;
}

bool tailor_step(TailorRun *r, const StepKind *kind, const char *slot, const Artifact *in, int n_in,
                 const char *const *names, const char *params, void *env, Artifact *first, Artifact *second) {
  Artifact out[STEP_MAX_OUT] = {0};
  int n = 0;
  StepRequest req = {.kind = kind,
                     .slot = slot,
                     .in = in,
                     .n_in = n_in,
                     .in_names = names,
                     .params = params,
                     .seed = kind->seeded ? r->job->seed : 0,
                     .host = r->job->host,
                     .env = env};
  TRY(step_run(r->job->steps, &req, out, &n, NULL, r->d));
  ASSERT(n >= (second ? 2 : 1));
  *first = out[0];
  if (second) *second = out[1];
  drop(out, second ? 2 : 1, n);
  return true;
}

void tailor_tell(const TailorRun *r, const char *format, ...) {
  char line[400];
  va_list args;
  if (!r->job->host || !r->job->host->log) return;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  r->job->host->log(r->job->host->ctx, line);
}

bool tailor_over(int64_t limit, int64_t have) { return limit > 0 && have > limit; }

bool tailor_region_over(const TailorRegion *v, int n, StrBuf *out) {
  bool any = false;
  for (int i = 0; i < n; i++) {
    if (!tailor_over(v[i].limit, v[i].bytes)) continue;
    sb_printf(out, "%sRAM in the %s memory %" PRId64 " bytes, limit %" PRId64, any ? "; " : "", v[i].name,
              v[i].bytes, v[i].limit);
    any = true;
  }
  return any;
}

bool tailor_finish_by(TailorRun *r, const char *pipeline, const char *slot, const Artifact *g,
                      Artifact *out) {
  Artifact in[2] = {*g, r->data};
  static const char *const names[] = {"model", "data"};
  return tailor_step(r, &step_finish, slot, in, 2, names, pipeline, &r->env, out, NULL);
}

static const char *way(const TailorRun *r, const TailorWork *w) {
  if (w->t->precision != DT_I8) return r->job->finish_float;
  if (tailor_is_nested(w->t) && r->job->finish_shared) return r->job->finish_shared;
  return w->int4 ? r->job->finish_int4 : r->job->finish_int8;
}

bool tailor_finish(TailorRun *r, const TailorWork *w, const char *slot, const Artifact *g, Artifact *out) {
  return tailor_finish_by(r, way(r, w), slot, g, out);
}

/* What a linker would say, by the cost model. */
static bool estimate(TailorRun *r, const TailorTarget *t, const Artifact *final, Artifact *measure) {
  Graph *g = artifact_graph(final, r->d);
  Cost cost = {0};
  const bool ok = g && t->cost->cost(t->cost->ctx, g, DT_NONE, &cost, r->d);
  graph_free(g);
  StrBuf m = {0};
  measure_put_int(&m, "flash", cost.flash);
  measure_put_int(&m, "ram", cost.ram);
  *measure = measure_artifact(&m);
  return ok;
}

bool tailor_deploy(TailorRun *r, const TailorTarget *t, const Artifact *final, Artifact *files,
                   Artifact *measure) {
  *files = (Artifact){0};
  if (r->job->graphs) return estimate(r, t, final, measure);
  Artifact in[2] = {*final, artifact_from_hash(ART_DATA, t->cost->key)};
  static const char *const names[] = {"model", "board"};
  return tailor_step(r, r->job->deploy, t->name, in, 2, names, t->params, r->job->env, files, measure);
}

/* What of the target's variants or exits goes to deploy and proof, behind n inputs. */
static int more_inputs(const TailorRun *r, const TailorWork *w, Artifact *in, const char **names, int n,
                       const char **params) {
  *params = tailor_exits_params(r, w);
  return tailor_is_nested(w->t) ? tailor_nested_inputs(r, w, in, names, n, params) : n;
}

/* The target's model, or all variants of it. */
static bool deploy_outcome(TailorRun *r, TailorWork *w, Artifact *measure) {
  const TailorTarget *t = w->t;
  if (r->job->graphs) return tailor_deploy(r, t, &w->o->final, &w->o->files, measure);
  Artifact in[STEP_MAX_IN] = {w->o->final, artifact_from_hash(ART_DATA, t->cost->key)};
  const char *names[STEP_MAX_IN] = {"model", "board"}, *params;
  const int n = more_inputs(r, w, in, names, 2, &params);
  return tailor_step(r, r->job->deploy, t->name, in, n, names, params, r->job->env, &w->o->files, measure);
}

/* ---- 4: finish, score, deploy */

bool tailor_score(TailorRun *r, const char *slot, const Artifact *g, bool raw, double *out) {
  Artifact in[2] = {*g, r->data}, m = {0};
  static const char *const names[] = {"model", "data"};
  TRY(tailor_step(r, &step_score, slot, in, 2, names, raw ? "raw=1" : "", &r->env, &m, NULL));
  Accuracy a;
  tailor_accuracy(&m, &a);
  *out = a.top1;
  artifact_unref(&m);
  return true;
}

bool tailor_diverge(TailorRun *r, const char *slot, const Artifact *g, const Artifact *reference, bool raw,
                    double *out, double *agree) {
  Artifact in[3] = {*g, *reference, r->data}, m = {0};
  static const char *const names[] = {"model", "reference", "data"};
  TRY(tailor_step(r, &step_diverge, slot, in, 3, names, raw ? "raw=1" : "", &r->env, &m, NULL));
  *out = measure_get(&m, "divergence", 0);
  if (agree) *agree = measure_get(&m, "agree", 0);
  artifact_unref(&m);
  return true;
}

/* Deliver what the other way to the same precision gives, where that is nearer to the float graph. */
static bool finish_better(TailorRun *r, TailorWork *w, const char *slot) {
  const char *pipeline = w->int4 ? r->job->other_int4 : r->job->other_int8;
  w->o->finish = way(r, w);
  if (tailor_is_nested(w->t)) return true;
  if (w->t->precision != DT_I8 || !pipeline) return true;
  Artifact other = {0};
  double with = 0, without = 0;
  bool ok = tailor_finish_by(r, pipeline, slot, &w->trained, &other) &&
            tailor_diverge(r, slot, &w->o->final, &w->trained, r->job->raw_input, &without, NULL) &&
            tailor_diverge(r, slot, &other, &w->trained, r->job->raw_input, &with, NULL);
  if (ok)
    tailor_tell(r, "%s: divergence from float %.3g by \"%s\", %.3g by \"%s\": %s taken", slot, without,
                w->o->finish, with, pipeline, with < without ? "the latter is" : "the former is");
  if (ok && with < without) {
    const Artifact worse = w->o->final;
    w->o->final = other, other = worse;
    w->o->finish = pipeline;
  }
  artifact_unref(&other);
  return ok;
}

static bool finish_and_score(TailorRun *r, TailorWork *w) {
  const char *slot = w->c.changed ? w->t->name : "original";
  artifact_unref(&w->o->final);
  TRY(tailor_finish(r, w, slot, &w->trained, &w->o->final) && finish_better(r, w, slot));
  TRY(tailor_score(r, slot, &w->o->final, r->job->raw_input, &w->o->val_final));
  return tailor_exits_finish(r, w) && (!tailor_is_nested(w->t) || tailor_nested_finish(r, w));
}

bool tailor_linked_regions(TailorRun *r, const TailorTarget *t, const Graph *g, int64_t ram,
                           TailorRegion out[TAILOR_REGIONS], int *n) {
  *n = 0;
  if (!t->regions) return true;
  const int got = t->regions(t->cost->ctx, g, DT_NONE, out, r->d);
  if (got < 0) return false;
  *n = got;
  int64_t others = 0;
  for (int i = 0; i < got; i++)
    if (strcmp(out[i].name, "main") != 0) others += out[i].bytes;
  for (int i = 0; i < got && !r->job->graphs; i++)
    if (strcmp(out[i].name, "main") == 0) out[i].bytes = ram - others;
  return true;
}

static bool read_measured(TailorRun *r, TailorWork *w, const Artifact *m) {
  TailorMeasured *x = &w->o->measured;
  x->flash = measure_get_int(m, "flash", -1);
  x->ram = measure_get_int(m, "ram", -1);
  x->stack = measure_get_int(m, "stack", -1);
  x->instructions = measure_get_int(m, "instructions", -1);
  x->vectors = measure_get_int(m, "vectors", 0);
  x->vectors_equal = measure_get_int(m, "vectors_equal", 0);
  Graph *g = artifact_graph(&w->o->final, r->d);
  bool ok = g && w->t->cost->cost(w->t->cost->ctx, g, DT_NONE, &w->o->cost, r->d) &&
            tailor_linked_regions(r, w->t, g, x->ram, w->o->region, &w->o->n_regions);
  w->exact = g && !graph_computes_reals(g);
  graph_free(g);
  return ok;
}

static void say_floor(const TailorWork *w, const char *whose, double is, double in_float, double floor,
                      bool auc, StrBuf *why) {
  sb_printf(why, "%s%s on validation %.2f %%", whose, metric_name(auc), 100 * is);
  if (w->t->precision == DT_I8) sb_printf(why, " (%.2f %% in float)", 100 * in_float);
  sb_printf(why, ", floor %.2f %%: the nearest within the other limits; ", 100 * floor);
}

/* Everything asked for, against what came out. */
static void judge(TailorRun *r, TailorWork *w) {
  const TailorLimits *l = &w->t->limits;
  TailorOutcome *o = w->o;
  StrBuf why = {0};
  if (tailor_over(l->flash, o->measured.flash))
    sb_printf(&why, "flash %" PRId64 " bytes, limit %" PRId64 "; ", o->measured.flash, l->flash);
  if (tailor_region_over(o->region, o->n_regions, &why))
    sb_puts(&why, "; ");
  else if (tailor_over(tailor_ram_linked(l), o->measured.ram))
    sb_printf(&why, "RAM %" PRId64 " bytes, limit %" PRId64 "; ", o->measured.ram, tailor_ram_linked(l));
  if (tailor_over(l->macs, o->cost.macs))
    sb_printf(&why, "%" PRId64 " MACs, limit %" PRId64 "; ", o->cost.macs, l->macs);
  if (tailor_over(l->cycles, o->cost.cycles))
    sb_printf(&why, "%" PRId64 " cycles, limit %" PRId64 "; ", o->cost.cycles, l->cycles);
  if (o->val_final < o->floor) say_floor(w, "", o->val_final, o->val_float, o->floor, r->job->auc, &why);
  for (int k = 1; k < o->n_widths; k++) {
    const TailorWidth *x = &o->width[k];
    const char *whose = arena_printf(r->res->arena, "variant %d: ", k);
    if (x->val_final < x->floor) say_floor(w, whose, x->val_final, x->val_float, x->floor, r->job->auc, &why);
  }
  if (o->measured.vectors_equal < o->measured.vectors && w->exact) {
    sb_printf(&why, "only %" PRId64 " of %" PRId64 " self-test vectors agree; ", o->measured.vectors_equal,
              o->measured.vectors);
  }
  o->met = why.len == 0;
  o->why = why.len ? arena_strndup(r->res->arena, sb_str(&why), why.len - 2) : "";
  sb_free(&why);
}

/* A tail of a target's own: as long again, from where it stands. */
static bool train_tail(TailorRun *r, TailorWork *w) {
  Artifact from = artifact_ref(&w->trained), to = {0};
  const TailorLength again = {.images = r->tail_images, .skip = tailor_seen(r, w->node)};
  tailor_tell(r,
              "%s: %.2f %% on validation is below its floor: a tail of %" PRId64 " images behind the %" PRId64
              " that its weights have seen",
              w->t->name, 100 * w->o->val_final, again.images, again.skip);
  const bool ok = tailor_retrain(r, w->t->name, w->c.base, &from, &w->c.plan, &w->c.plan, &again, &to);
  artifact_unref(&from);
  if (!ok) return false;
  artifact_unref(&w->trained);
  w->trained = to;
  return true;
}

double tailor_floor(const TailorRun *r, double min, double drop) {
  return fmax(min, drop > 0 ? r->res->val_original - drop : 0);
}

/* From the float graph to firmware, what needs training having begun. */
static bool complete(TailorRun *r, TailorWork *w) {
  const TailorLimits *l = &w->t->limits;
  w->o->floor = tailor_floor(r, l->min_accuracy, l->max_drop);
  TRY(tailor_nested_whole(r, w));
  TRY(finish_and_score(r, w));
  if (tailor_is_nested(w->t) ? tailor_nested_misses(w) : w->o->val_final < w->o->floor && w->o->start) {
    bool (*const tail)(TailorRun *, TailorWork *) = tailor_is_nested(w->t) ? tailor_nested_tail : train_tail;
    const TailorStart may = tailor_may_train(r, w, tail);
    if (may == TAILOR_TOO_LATE) tailor_tell_late(r, w, "not finished");
    if (may != TAILOR_BEGIN) return may == TAILOR_TOO_LATE;
    TRY(tail(r, w) && finish_and_score(r, w));
  }
  if (w->o->val_final < w->o->floor) /* is it the quantization? */
    TRY(tailor_score(r, w->c.changed ? w->t->name : "original", &w->trained, false, &w->o->val_float));
  Artifact m = {0};
  TRY(deploy_outcome(r, w, &m));
  tailor_nested_measured(w->o, &m);
  tailor_exits_measured(w->o, &m);
  bool ok = read_measured(r, w, &m);
  artifact_unref(&m);
  w->o->delivered = true;
  judge(r, w);
  return ok;
}

/* May be tried again. */
static bool complete_task(void *ctx, int at) {
  TailorRun *r = ctx;
  TailorWork *w = &r->w[r->turn[at]];
  artifact_unref(&w->trained);
  artifact_unref(&w->o->files);
  w->o->val_float = -1;
  tailor_nested_free(w);
  w->o->n_exits = 0;
  w->o->why = w->c.why;
  if (w->o->why) return true; /* no plan: nothing to make */
  const TailorStart may = tailor_begin(r, w);
  if (may == TAILOR_TOO_LATE) tailor_tell_late(r, w, "not begun");
  const bool ok = may == TAILOR_TOO_LATE || (may == TAILOR_BEGIN && complete(r, w));
  if (!r->busy || !tailor_goes_on(w)) tailor_end(w);
  return ok;
}

/* ---- 5: the test split */

bool tailor_test(TailorRun *r, const char *slot, const Artifact *g, bool raw, Accuracy *out) {
  Artifact in[2] = {*g, r->test}, m = {0};
  static const char *const names[] = {"model", "test data"};
  TRY(tailor_step(r, &step_test, slot, in, 2, names, raw ? "raw=1" : "", &r->env, &m, NULL));
  tailor_accuracy(&m, out);
  artifact_unref(&m);
  return true;
}

/* The final graph: as emitted C, or (job->graphs) by the engine. */
static bool prove_final(TailorRun *r, TailorWork *w, const char *slot) {
  TailorProof *p = &w->o->proof;
  if (r->job->graphs) return tailor_test(r, slot, &w->o->final, r->job->raw_input, &p->emitted);
  Artifact in[STEP_MAX_IN] = {w->o->final, artifact_from_hash(ART_DATA, w->t->cost->key), r->test}, m = {0};
  const char *names[STEP_MAX_IN] = {"model", "board", "test data"}, *params;
  const int n = more_inputs(r, w, in, names, 3, &params);
  TRY(tailor_step(r, r->job->proof, w->t->name, in, n, names, params, r->job->env, &m, NULL));
  tailor_accuracy(&m, &p->emitted);
  p->vectors = measure_get_int(&m, "vectors", 0);
  p->vectors_equal = measure_get_int(&m, "vectors_equal", 0);
  artifact_unref(&m);
  return true;
}

static bool prove_task(void *ctx, int i) {
  TailorRun *r = ctx;
  TailorWork *w = &r->w[i];
  TailorProof *p = &w->o->proof;
  const char *slot = w->c.changed ? w->t->name : "original";
  TRY(tailor_test(r, "original", &r->whole, false, &p->original));
  if (!w->o->delivered) return true;
  TRY(tailor_test(r, slot, &w->trained, false, &p->tailored));
  if (tailor_is_nested(w->t)) TRY(tailor_nested_prove(r, w));
  return prove_final(r, w, slot) && tailor_exits_prove(r, w);
}

/* ---- The run */

static bool start(TailorRun *r) {
  const TailorJob *job = r->job;
  TRY(tailor_nested_check(r));
  Artifact model = artifact_from_graph(job->model);
  bool ok =
      tailor_step(r, &step_prepare, "shared", &model, 1, NULL, TAILOR_PREPARE, &r->env, &r->whole, NULL);
  artifact_unref(&model);
  TRY(ok);
  Graph *whole = artifact_graph(&r->whole, r->d);
  TRY(whole);
  r->res->macs = graph_macs(whole);
  r->res->params = graph_params(whole);
  graph_free(whole);
  r->data = artifact_from_hash(ART_DATA, job->data_identity);
  r->test = artifact_from_hash(ART_DATA, job->test_identity);
  return ok && tailor_score(r, "original", &r->whole, false, &r->res->val_original);
}

/* Loose to tight by MACs kept; ties in the job's order. */
static void sort_work(TailorRun *r) {
  for (int i = 0; i < r->job->n_targets; i++) {
    int at = i;
    while (at > 0 && r->w[r->order[at - 1]].c.macs < r->w[i].c.macs) {
      r->order[at] = r->order[at - 1];
      at--;
    }
    r->order[at] = i;
  }
}

/* Each inside the one before it: of its round, or of those before. */
static bool nest_all(TailorRun *r) {
  for (int round = 0; round < tailor_rounds(r); round++) {
    const TailorWork *before = NULL;
    sort_work(r);
    for (int i = 0; i < r->job->n_targets; i++) {
      TailorWork *w = &r->w[r->order[i]];
      if (tailor_round(w) == round && before) TRY(tailor_nest(r, w, before));
      if (tailor_round(w) <= round) before = w;
    }
  }
  return true;
}

/* An earlier plan, where it rests on the same. */
static void go_on(TailorRun *r) {
  const char *text = r->job->plan;
  if (!text || !r->job->may_retrain) return;
  Diag *why = diag_new();
  const bool read = lock_parse(text, r->res->arena, &r->before, why);
  const bool same = read && hash_equal(r->before.basis, tailor_basis(r));
  if (!read) tailor_tell(r, "plan: the earlier one cannot be read (%.200s): planned anew", diag_text(why));
  if (read && !same)
    tailor_tell(r, "plan: the earlier one is of another model, data, design or way of sharing: planned anew");
  if (!same) r->before = (Lock){0};
  diag_free(why);
}

/* All targets' tasks, beside other processes on the same cache: what one of them is at work on comes later. */
static bool each(TailorRun *r, bool (*task)(void *ctx, int i)) {
  r->job->steps->busy = &r->busy;
  const bool ok = workers_each(r->job->n_targets, task, r, &r->busy, r->job->host, r->d);
  r->job->steps->busy = NULL;
  return ok;
}

bool *tailor_wait(TailorRun *r) {
  bool *busy = r->job->steps->busy;
  r->job->steps->busy = NULL;
  return busy;
}

void tailor_go_on(TailorRun *r, bool *busy) { r->job->steps->busy = busy; }

/* Steps pin what they ask for. So all that the plan needs is asked for, as far as it is known (a key needs the content of
 * what is before it), before anything may be removed for want of room. */
static void keep_limit(TailorRun *r) {
  TailorLook look;
  if (!r->job->cache_max || !r->job->steps->cache) return;
  tailor_look(r, &look);
  for (int i = 0; i < r->job->n_targets; i++)
    if (complete_task(r, i)) prove_task(r, r->turn[i]);
  tailor_look_end(r, &look);
  cache_limit(r->job->steps->cache, r->job->cache_max);
}

static bool run_all(TailorRun *r) {
  TRY(start(r));
  go_on(r);
  r->full_images = r->before.full; /* so that a run from the cache reads no data */
  if (r->job->may_retrain && !r->full_images) TRY(tailor_images(r, 1, &r->full_images));
  TRY(each(r, tailor_plan_task));
  TRY(nest_all(r));
  if (r->job->may_retrain) TRY(tailor_schedule(r));
  tailor_take_turns(r);
  keep_limit(r);
  if (r->job->plan_only) return tailor_tell_planned(r);
  TRY(each(r, complete_task));
  r->job->data->final = true;
  return each(r, prove_task);
}

static void free_run(TailorRun *r) {
  for (int i = 0; i < r->job->n_targets; i++) tailor_end(&r->w[i]);
  tailor_schedule_free(r);
  artifact_unref(&r->whole);
  for (int i = 0; i <= r->job->n_variants; i++) {
    artifact_unref(&r->base[i].graph);
    artifact_unref(&r->base[i].importance);
    artifact_unref(&r->base[i].all);
  }
  for (int i = 0; i < TAILOR_MAX_TEACHERS; i++) {
    artifact_unref(&r->teacher[i]);
    artifact_unref(&r->bank[i]);
  }
}

bool tailor_run(const TailorJob *job, TailorResult *out, Diag *d) {
  *out = (TailorResult){.arena = arena_new(), .n = job->n_targets};
  out->v = arena_array(out->arena, (size_t)job->n_targets, sizeof *out->v);
  TailorRun r = {.job = job, .res = out, .d = d, .env = {.data = job->data}};
  r.w = arena_array(out->arena, (size_t)job->n_targets, sizeof *r.w);
  r.base = arena_array(out->arena, (size_t)job->n_variants + 1, sizeof *r.base);
  for (int i = 0; i < job->n_variants; i++) r.base[1 + i].variant = &job->variants[i];
  r.order = arena_array(out->arena, (size_t)job->n_targets, sizeof *r.order);
  r.turn = arena_array(out->arena, (size_t)job->n_targets, sizeof *r.turn);
  for (int i = 0; i < job->n_targets; i++) {
    r.w[i] = (TailorWork){.t = &job->targets[i], .o = &out->v[i], .c = {.base = r.base}, .node = -1};
    out->v[i] = (TailorOutcome){
        .target = &job->targets[i], .model = -1, .joint_with = -1, .measured = {-1, -1, -1, -1, 0, 0}};
  }
  bool ok = run_all(&r);
  for (int i = 0; i < job->n_targets; i++) {
    const TailorVariant *v = r.w[i].c.base->variant;
    out->v[i].plan = r.w[i].c.plan;
    out->v[i].variant = v ? v->name : NULL;
    artifact_unref(&r.w[i].trained);
    tailor_family_free(&r.w[i].nested);
  }
  free_run(&r);
  if (!ok) tailor_result_free(out);
  return ok;
}

void tailor_result_free(TailorResult *r) {
  for (int i = 0; i < r->n; i++) {
    artifact_unref(&r->v[i].final);
    artifact_unref(&r->v[i].files);
    artifact_unref(&r->v[i].plan);
    tailor_widths_free(&r->v[i]);
  }
  arena_free(r->arena);
  *r = (TailorResult){0};
}
