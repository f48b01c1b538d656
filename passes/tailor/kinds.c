/* The steps of tailoring; see kinds.h for what goes in and out.
 *
 * Each names the sources whose fingerprint is in its key: an edit of a pass repeats the steps that run it and
 * what depends on their results, and no other.
 */
#include "passes/tailor/kinds.h"

#include <stdio.h>
#include <string.h>

#include "passes/input_raw.h"
#include "passes/prune.h"
#include "passes/tailor/measure.h"

/* ---- Data, opened late */

bool tailor_data(TailorData *t, const Dataset **out, Diag *d) {
  if (!t->open) TRY(dataset_open(t->spec, &t->ds, d));
  t->open = true;
  *out = &t->ds;
  return true;
}

bool tailor_test_data(TailorData *t, const Split **out, Diag *d) {
  FAIL_IF(!t->final, d, NULL, "the test split was asked for before searching was over: refused");
  if (!t->test_open) TRY(dataset_open_test(t->spec, &t->test, d));
  t->test_open = true;
  *out = &t->test;
  return true;
}

void tailor_data_close(TailorData *t) {
  if (t->open) dataset_close(&t->ds);
  if (t->test_open) split_close(&t->test);
  t->open = t->test_open = false;
}

/* ---- Helpers */

static const TailorStepEnv *env_of(const StepCall *c) { return c->env; }

/* Publish g (freed) as output i. */
static bool put_graph(Graph *g, Artifact *out, int *n_out) {
  if (!g) return false;
  out[(*n_out)++] = artifact_from_graph(g);
  graph_free(g);
  return true;
}

static PassCtx pass_ctx(const StepCall *c) {
  return (PassCtx){.params = c->params, .cost = env_of(c)->cost, .host = c->host, .seed = c->seed};
}

/* The text of a plan artifact, NUL-terminated. */
static char *plan_text(Arena *a, const Artifact *plan) {
  return arena_strndup(a, blob_raw(plan->bytes), blob_size(plan->bytes));
}

/* ---- prepare, insert, finish: a pipeline of passes */

static bool run_pipeline(const StepCall *c, bool needs_data, Artifact *out, int *n_out, Diag *d) {
  Graph *g = artifact_graph(&c->in[0], d);
  PassCtx ctx = pass_ctx(c);
  ctx.params = "";
  bool ok = g != NULL && (!needs_data || tailor_data(env_of(c)->data, &ctx.data, d));
  PipelineOptions opt = {.verify_each = true};
  Graph *done = ok ? pipeline_run(g, c->params, &ctx, &opt, d) : NULL;
  graph_free(g);
  return put_graph(done, out, n_out);
}

static bool run_prepare(const StepCall *c, Artifact *out, int *n_out, Diag *d) {
  return run_pipeline(c, false, out, n_out, d);
}

static bool run_finish(const StepCall *c, Artifact *out, int *n_out, Diag *d) {
  return run_pipeline(c, true, out, n_out, d);
}

/* ---- importance, plan, prune */

static bool run_importance(const StepCall *c, Artifact *out, int *n_out, Diag *d) {
  Arena *a = arena_new();
  Graph *g = artifact_graph(&c->in[0], d);
  PassCtx ctx = pass_ctx(c);
  PruneOptions o;
  Channels ch = {0};
  bool ok = g && prune_options_parse(c->params, a, &o, d) && tailor_data(env_of(c)->data, &ctx.data, d);
  ok = ok && channels_find(g, o.keep, &ch, d);
  Blob *scores = ok ? prune_importance(&ch, &o, &ctx, d) : NULL;
  if (scores) out[(*n_out)++] = artifact_from_blob(ART_SENSITIVITY, scores);
  channels_free(&ch);
  graph_free(g);
  arena_free(a);
  return scores != NULL;
}

void tailor_put_plan(const Channels *ch, const PrunePlan *p, Artifact *out, int *n_out) {
  StrBuf text = {0}, m = {0};
  prune_plan_print(ch, p, &text);
  out[(*n_out)++] = artifact_from_bytes(ART_PLAN, sb_str(&text), text.len);
  sb_free(&text);
  measure_put_int(&m, "met", p->met);
  measure_put_int(&m, "flash", p->after.flash);
  measure_put_int(&m, "ram", p->after.ram);
  measure_put_int(&m, "macs", p->after.macs);
  measure_put_int(&m, "params", p->after.params);
  measure_put_int(&m, "cycles", p->after.cycles);
  int64_t removed = 0;
  for (uint32_t i = 0; i < p->n_units; i++) removed += !p->keep[i];
  measure_put_int(&m, "removed", removed);
  sb_printf(&m, "missed %s\n", p->missed);
  out[(*n_out)++] = measure_artifact(&m);
}

static bool run_plan(const StepCall *c, Artifact *out, int *n_out, Diag *d) {
  Arena *a = arena_new();
  Graph *g = artifact_graph(&c->in[0], d);
  PassCtx ctx = pass_ctx(c);
  PruneOptions o;
  Channels ch = {0};
  PrunePlan start = {0}, plan = {0};
  bool nested = c->n_in > 3;
  bool ok = g && prune_options_parse(c->params, a, &o, d) && channels_find(g, o.keep, &ch, d);
  if (ok && nested) ok = prune_plan_parse(plan_text(a, &c->in[3]), &ch, &start, d);
  ok = ok && prune_plan(&ch, c->in[1].bytes, &o, &ctx, nested ? &start : NULL, &plan, d);
  if (ok) tailor_put_plan(&ch, &plan, out, n_out);
  prune_plan_free(&start);
  prune_plan_free(&plan);
  channels_free(&ch);
  graph_free(g);
  arena_free(a);
  return ok;
}

bool tailor_plan_all(const Graph *base, const char *keep, Artifact *out, Diag *d) {
  Channels ch = {0};
  PrunePlan all = {0};
  bool ok = channels_find(base, keep, &ch, d);
  if (ok) {
    StrBuf text = {0};
    prune_plan_all(&ch, &all);
    prune_plan_print(&ch, &all, &text);
    *out = artifact_from_bytes(ART_PLAN, sb_str(&text), text.len);
    sb_free(&text);
  }
  prune_plan_free(&all);
  channels_free(&ch);
  return ok;
}

void tailor_put_accuracy(StrBuf *measure, const Accuracy *a) {
  measure_put_int(measure, "n", a->n);
  measure_put_int(measure, "correct", a->correct);
  measure_put_int(measure, "auc", a->auc);
  measure_put(measure, "metric", a->top1);
  measure_put(measure, "stderr", a->stderr_);
}

void tailor_accuracy(const Artifact *measure, Accuracy *out) {
  *out = (Accuracy){.n = (uint32_t)measure_get_int(measure, "n", 0),
                    .correct = (uint32_t)measure_get_int(measure, "correct", 0),
                    .auc = measure_get_int(measure, "auc", 0) != 0,
                    .top1 = measure_get(measure, "metric", 0),
                    .stderr_ = measure_get(measure, "stderr", 0)};
}

/* The start graph, made from the base by `have`, cut down to `want` (plans of the base; have NULL: start is the base). */
static Graph *cut(const Graph *base, const Graph *start, const Artifact *have, const Artifact *want,
                  const char *params, Diag *d) {
  Arena *a = arena_new();
  char keep[2048] = "";
  pass_param(params, "keep", keep, sizeof keep);
  Channels all = {0}, of_start = {0};
  PrunePlan loose = {0}, tight = {0}, rel = {0};
  bool ok = channels_find(base, keep, &all, d) && prune_plan_parse(plan_text(a, want), &all, &tight, d);
  if (ok && have) {
    ok = prune_plan_parse(plan_text(a, have), &all, &loose, d);
  } else if (ok) {
    prune_plan_all(&all, &loose);
  }
  ok = ok && prune_plan_relative(&loose, &tight, &rel, d) && channels_find(start, keep, &of_start, d);
  Graph *out = ok ? prune_apply(&of_start, &rel, d) : NULL;
  prune_plan_free(&loose);
  prune_plan_free(&tight);
  prune_plan_free(&rel);
  channels_free(&all);
  channels_free(&of_start);
  arena_free(a);
  return out;
}

static bool run_prune(const StepCall *c, Artifact *out, int *n_out, Diag *d) {
  Graph *base = artifact_graph(&c->in[0], d);
  Graph *small = base ? cut(base, base, NULL, &c->in[1], c->params, d) : NULL;
  graph_free(base);
  return put_graph(small, out, n_out);
}

/* ---- retrain */

static bool parse_train(const StepCall *c, TrainOptions *o, Diag *d) {
  train_options_default(o);
  o->seed = c->seed;
  o->threads = c->host ? c->host->threads : 1;
  tailor_keep_state(c, o);
  return train_options_parse(c->params, o, d);
}

void tailor_keep_state(const StepCall *c, TrainOptions *o) {
  o->checkpoint_path = c->work; /* named by the step's key, which holds the numeric ABI too */
  o->checkpoint_optional = true;
}

/* What retraining begins with: the start graph, cut down to the plan. */
static Graph *student(const StepCall *c, Diag *d) {
  Graph *start = artifact_graph(&c->in[0], d), *base = artifact_graph(&c->in[3], d);
  Graph *small = start && base ? cut(base, start, &c->in[1], &c->in[2], c->params, d) : NULL;
  graph_free(start);
  graph_free(base);
  return small;
}

enum { RETRAIN_TEACHERS = 5 }; /* where they stand in its inputs */

/* Train it beside its teachers, or by their banks where these are among the inputs. */
static Graph *teach(const StepCall *c, const Graph *small, const Dataset *ds, const TrainOptions *o,
                    TrainResult *res, Diag *d) {
  const bool banks = tailor_uses_bank(o);
  const int n = (c->n_in - RETRAIN_TEACHERS) / (banks ? 2 : 1);
  Graph *teachers[STEP_MAX_IN] = {0}, *done = NULL;
  Blob *bank[STEP_MAX_IN] = {0};
  bool ok = true;
  for (int i = 0; i < n && ok; i++) {
    teachers[i] = artifact_graph(&c->in[RETRAIN_TEACHERS + i], d);
    if (banks) bank[i] = c->in[RETRAIN_TEACHERS + n + i].bytes;
    ok = teachers[i] != NULL;
  }
  const TrainJob job = {.graph = small,
                        .teachers = (const Graph *const *)teachers,
                        .n_teachers = n,
                        .banks = banks ? bank : NULL,
                        .data = ds,
                        .options = o,
                        .host = c->host};
  if (ok) done = train_run(&job, res, d);
  for (int i = 0; i < n; i++) graph_free(teachers[i]);
  return done;
}

static bool run_retrain(const StepCall *c, Artifact *out, int *n_out, Diag *d) {
  TrainOptions o;
  const Dataset *ds = NULL;
  TrainResult res = {0};
  TRY(parse_train(c, &o, d) && tailor_data(env_of(c)->data, &ds, d));
  Graph *small = student(c, d), *done = small ? teach(c, small, ds, &o, &res, d) : NULL;
  graph_free(small);
  TRY(put_graph(done, out, n_out));
  StrBuf m = {0};
  measure_put_int(&m, "images", res.images);
  measure_put(&m, "loss", res.loss);
  measure_put(&m, "train_accuracy", res.train_accuracy);
  out[(*n_out)++] = measure_artifact(&m);
  return true;
}

/* ---- score, test */

Normalize tailor_normalize(const TailorData *t, const Graph *g, DType bytes, const char *params) {
  char raw[4];
  bool is_raw = pass_param(params, "raw", raw, sizeof raw) && raw[0] == '1';
  return is_raw ? input_raw_normalize(g, bytes) : t->spec->normalize;
}

static bool accuracy_of(const StepCall *c, const Split *s, Artifact *out, int *n_out, Diag *d) {
  Graph *g = artifact_graph(&c->in[0], d);
  TRY(g);
  Normalize nz = tailor_normalize(env_of(c)->data, g, s->dtype, c->params);
  Accuracy acc;
  bool ok = graph_accuracy(g, s, &nz, c->host ? c->host->threads : 1, c->host, &acc, NULL, d);
  graph_free(g);
  TRY(ok);
  StrBuf m = {0};
  tailor_put_accuracy(&m, &acc);
  out[(*n_out)++] = measure_artifact(&m);
  return true;
}

static bool run_score(const StepCall *c, Artifact *out, int *n_out, Diag *d) {
  const Dataset *ds = NULL;
  TRY(tailor_data(env_of(c)->data, &ds, d));
  return accuracy_of(c, &ds->val, out, n_out, d);
}

static bool run_test(const StepCall *c, Artifact *out, int *n_out, Diag *d) {
  const Split *test = NULL;
  TRY(tailor_test_data(env_of(c)->data, &test, d));
  return accuracy_of(c, test, out, n_out, d);
}

/* ---- The table */

/* An edit of a header of the passes repeats what includes it. */
#define PIPELINE "passes/pass.h", "passes/pipeline.c"
/* parameters too are read by the pipeline's source */
#define COMMON "ir/", "runtime/kernels/", "passes/tailor/kinds", "passes/tailor/measure", PIPELINE
#define ENGINE "runtime/engine/", "runtime/data/"
#define CUT \
  "passes/channels", "passes/prune.h", "passes/prune_apply.c", "passes/prune_cut", "passes/prune_text.c"
#define QUANTIZE "passes/quant", "passes/qat_strip.c"

static const char *const prepare_src[] = {COMMON, "passes/fold.c", "passes/layout.c", "passes/dce.c", NULL};
static const char *const insert_src[] = {COMMON, ENGINE, "passes/channels", "passes/bninsert.c", NULL};
static const char *const vary_src[] = {COMMON,
                                       ENGINE,
                                       "passes/channels",
                                       "passes/depth.c",
                                       "passes/limits",
                                       "passes/lowrank",
                                       "passes/reestimate.c",
                                       "passes/resolution.c",
                                       NULL};
static const char *const importance_src[] = {COMMON,
                                             ENGINE,
                                             "passes/channels",
                                             "passes/prune.h",
                                             "passes/prune.c",
                                             "passes/prune_score",
                                             "passes/prune_filters.c",
                                             NULL};
static const char *const plan_src[] = {COMMON,
                                       CUT,
                                       "passes/prune.c",
                                       "passes/prune_plan.c",
                                       "passes/prune_steps",
                                       "passes/prune_size",
                                       "backend/",
                                       "frontend/cli/device.c",
                                       "passes/fold.c",
                                       "passes/bnfuse.c",
                                       "passes/fuse.c",
                                       QUANTIZE,
                                       NULL};
static const char *const prune_src[] = {COMMON, CUT, NULL};
static const char *const retrain_src[] = {COMMON, ENGINE, CUT, "passes/tailor/bank.c", NULL};
static const char *const finish_src[] = {COMMON,
                                         ENGINE,
                                         QUANTIZE,
                                         "passes/fold.c",
                                         "passes/bnfuse.c",
                                         "passes/fuse.c",
                                         "passes/input_raw",
                                         "passes/calibrate",
                                         "passes/equalize.c",
                                         "passes/exits.c",
                                         NULL};
static const char *const score_src[] = {COMMON, ENGINE, "passes/input_raw", NULL};

const StepKind step_prepare = {
    .name = "prepare", .sources = prepare_src, .one_core = true, .run = run_prepare};
const StepKind step_insert = {.name = "insert", .sources = insert_src, .numeric = true, .run = run_finish};
const StepKind step_vary = {.name = "vary", .sources = vary_src, .numeric = true, .run = run_finish};
const StepKind step_importance = {
    .name = "importance", .sources = importance_src, .numeric = true, .seeded = true, .run = run_importance};
const StepKind step_plan = {.name = "plan", .sources = plan_src, .one_core = true, .run = run_plan};
const StepKind step_prune = {.name = "prune", .sources = prune_src, .one_core = true, .run = run_prune};
const StepKind step_retrain = {
    .name = "retrain", .sources = retrain_src, .numeric = true, .seeded = true, .run = run_retrain};
const StepKind step_finish = {.name = "finish", .sources = finish_src, .numeric = true, .run = run_finish};
const StepKind step_score = {.name = "score", .sources = score_src, .numeric = true, .run = run_score};
const StepKind step_test = {.name = "test", .sources = score_src, .numeric = true, .run = run_test};
