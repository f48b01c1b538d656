/* Elastic steps: one training for the plans of many targets, and a member of it, which is cut in no time.
 *
 *   base, plans --> elastic --> wide weights, what members have of their own --> cut (member=K) --> graph
 *                                                                            --> cut ...
 *   wide weights, another plan --> slice --> graph
 */
#include <string.h>

#include "ir/base/mem.h"
#include "passes/elastic.h"
#include "passes/tailor/kinds.h"
#include "passes/tailor/measure.h"

enum {
  ELASTIC_OWN = 3
}; /* behind model, data and plans: what an earlier training left members, where this one goes on; teachers */

/* What both have in common: the graph's channels, and plans of them. */
typedef struct Call {
  Arena *a;
  char keep[2048];
  Graph *g;
  Channels c;
  PrunePlan *plans;
  int n;
} Call;

static bool call_open(Call *x, const StepCall *c, const Artifact *graph, const Artifact *plans, Diag *d) {
  *x = (Call){.a = arena_new(), .g = artifact_graph(graph, d)};
  pass_param(c->params, "keep", x->keep, sizeof x->keep);
  TRY(x->g && channels_find(x->g, x->keep, &x->c, d));
  const char *text = arena_strndup(x->a, blob_raw(plans->bytes), blob_size(plans->bytes));
  return elastic_plans_parse(text, &x->c, &x->plans, &x->n, d);
}

static void call_close(Call *x) {
  for (int i = 0; i < x->n; i++) prune_plan_free(&x->plans[i]);
  mem_free(x->plans);
  if (x->c.arena) channels_free(&x->c);
  graph_free(x->g);
  arena_free(x->a);
}

/* -- elastic -- */

typedef struct Teachers {
  Graph *graphs[STEP_MAX_IN];
  Blob *banks[STEP_MAX_IN];
  int n;
} Teachers;

static bool goes_on(const StepCall *c) {
  bool bad = false;
  return pass_param_num(c->params, "goes_on", 0, &bad) != 0;
}

static bool teachers_of(const StepCall *c, bool banks, Teachers *t, Diag *d) {
  const int at = ELASTIC_OWN + goes_on(c);
  *t = (Teachers){.n = (c->n_in - at) / (banks ? 2 : 1)};
  for (int i = 0; i < t->n; i++) {
    t->graphs[i] = artifact_graph(&c->in[at + i], d);
    TRY(t->graphs[i]);
    if (banks) t->banks[i] = c->in[at + t->n + i].bytes;
  }
  return true;
}

static bool options_of(const StepCall *c, TrainOptions *o, int *drawn, bool *own_norms, Diag *d) {
  bool bad = false;
  train_options_default(o);
  o->seed = c->seed;
  o->threads = c->host ? c->host->threads : 1;
  tailor_keep_state(c, o);
  *drawn = (int)pass_param_num(c->params, "drawn", 2, &bad);
  *own_norms = pass_param_num(c->params, "own_norms", 1, &bad) != 0;
  FAIL_IF(bad || *drawn < 0, d, NULL, "elastic: %s: want drawn=0 or more, own_norms=0 or 1", c->params);
  return train_options_parse(c->params, o, d);
}

static bool put_result(const Call *x, const ElasticResult *res, Artifact *out, int *n_out, Diag *d) {
  Channels wide = {0};
  Graph **cut = arena_array(x->a, (size_t)x->n, sizeof *cut);
  bool ok = channels_find(res->wide, x->keep, &wide, d);
  for (int i = 0; i < x->n && ok; i++) ok = (cut[i] = prune_apply(&wide, &x->plans[i], d)) != NULL;
  if (ok) {
    StrBuf m = {0};
    out[(*n_out)++] = artifact_from_graph(res->wide);
    out[(*n_out)++] = artifact_from_blob(
        ART_STATS, elastic_own((const Graph *const *)cut, (const Graph *const *)res->members, x->n));
    measure_put_int(&m, "images", res->train.images);
    measure_put(&m, "loss", res->train.loss);
    measure_put(&m, "train_accuracy", res->train.train_accuracy);
    out[(*n_out)++] = measure_artifact(&m);
  }
  for (int i = 0; i < x->n; i++) graph_free(cut[i]);
  channels_free(&wide);
  return ok;
}

static bool take_own(const StepCall *c, ElasticFamily *f, Diag *d) {
  for (int i = 0; goes_on(c) && i < f->n; i++) {
    Graph *g = elastic_member(f->graphs[i], c->in[ELASTIC_OWN].bytes, i, d);
    TRY(g);
    graph_free(f->graphs[i]);
    f->members[i].graph = f->graphs[i] = g;
  }
  return true;
}

static bool train_members(const StepCall *c, Call *x, ElasticResult *res, Diag *d) {
  const TailorStepEnv *env = c->env;
  TrainOptions o;
  const Dataset *ds = NULL;
  int drawn;
  bool own_norms, ok = options_of(c, &o, &drawn, &own_norms, d) && tailor_data(env->data, &ds, d);
  Teachers t = {0};
  ElasticFamily f = {0};
  const bool banks = tailor_uses_bank(&o);
  ok = ok && teachers_of(c, banks, &t, d) && elastic_family(&x->c, x->plans, x->n, own_norms, &f, d) &&
       take_own(c, &f, d);
  const ElasticJob job = {.train = {.graph = x->g,
                                    .teachers = (const Graph *const *)t.graphs,
                                    .n_teachers = t.n,
                                    .banks = banks ? t.banks : NULL,
                                    .data = ds,
                                    .options = &o,
                                    .host = c->host},
                          .members = f.members,
                          .n_members = f.n,
                          .drawn = drawn};
  ok = ok && elastic_run(&job, res, d);
  elastic_family_free(&f);
  for (int i = 0; i < t.n; i++) graph_free(t.graphs[i]);
  return ok;
}

static bool run_elastic(const StepCall *c, Artifact *out, int *n_out, Diag *d) {
  Call x;
  ElasticResult res = {0};
  bool ok = call_open(&x, c, &c->in[0], &c->in[2], d) && train_members(c, &x, &res, d);
  ok = ok && put_result(&x, &res, out, n_out, d);
  elastic_result_free(&res);
  call_close(&x);
  return ok;
}

/* -- cut -- */

static bool run_cut(const StepCall *c, Artifact *out, int *n_out, Diag *d) {
  Call x;
  bool bad = false, ok = call_open(&x, c, &c->in[0], &c->in[2], d);
  const int k = (int)pass_param_num(c->params, "member", 0, &bad);
  if (ok && (bad || k < 0 || k >= x.n))
    ok = diag_error(d, NULL, "cut: %s: want member=0 to %d", c->params, x.n - 1);
  Graph *small = ok ? prune_apply(&x.c, &x.plans[k], d) : NULL;
  Graph *member = small ? elastic_member(small, c->in[1].bytes, k, d) : NULL;
  if (member) out[(*n_out)++] = artifact_from_graph(member);
  ok = member != NULL;
  graph_free(small);
  graph_free(member);
  call_close(&x);
  return ok;
}

/* -- slice: a plan that was no member -- */

static bool run_slice(const StepCall *c, Artifact *out, int *n_out, Diag *d) {
  const TailorStepEnv *env = c->env;
  Call x;
  TrainOptions o;
  int drawn;
  bool own_norms, ok = call_open(&x, c, &c->in[0], &c->in[2], d) && options_of(c, &o, &drawn, &own_norms, d);
  const Dataset *ds = NULL;
  if (ok && x.n != 1) ok = diag_error(d, NULL, "slice: %d plans, want one", x.n);
  if (ok && own_norms)
    ok = diag_error(d, NULL, "slice: scale and bias were each member's own: train with own_norms=0");
  if (ok && o.bn_images == 0)
    ok = diag_error(d, NULL, "slice: bn_images=0, but the wide weights have no statistics of this plan");
  Graph *small = ok && tailor_data(env->data, &ds, d) ? prune_apply(&x.c, &x.plans[0], d) : NULL;
  Graph *done = small ? trained_bn(small, ds, &o, o.bn_images, c->host, d) : NULL;
  if (done) out[(*n_out)++] = artifact_from_graph(done);
  ok = done != NULL;
  graph_free(small);
  graph_free(done);
  call_close(&x);
  return ok;
}

Artifact tailor_plans(const Artifact *plans, int n) {
  StrBuf all = {0};
  for (int i = 0; i < n; i++) sb_write(&all, blob_raw(plans[i].bytes), blob_size(plans[i].bytes));
  Artifact a = artifact_from_bytes(ART_PLAN, sb_str(&all), all.len);
  sb_free(&all);
  return a;
}

#define CUT                                                                                              \
  "ir/", "runtime/kernels/", "passes/tailor/kinds", "passes/tailor/measure", "passes/elastic",           \
      "passes/channels", "passes/pass.h", "passes/pipeline.c", "passes/prune.h", "passes/prune_apply.c", \
      "passes/prune_cut", "passes/prune_text.c"

static const char *const elastic_src[] = {CUT, "runtime/engine/", "runtime/data/", "passes/tailor/bank.c",
                                          NULL};
static const char *const cut_src[] = {CUT, NULL};

const StepKind step_elastic = {
    .name = "elastic", .sources = elastic_src, .numeric = true, .seeded = true, .run = run_elastic};
const StepKind step_slice = {
    .name = "slice", .sources = elastic_src, .numeric = true, .seeded = true, .run = run_slice};
const StepKind step_cut = {.name = "cut", .sources = cut_src, .one_core = true, .run = run_cut};
