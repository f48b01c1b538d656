/* The steps of tailoring by an error table (passes/allocate): the table of a model, a target's plan by it, and the pruned
 * model with its layers solved anew, from which retraining begins.
 */
#include <string.h>

#include "passes/allocate/allocate.h"
#include "passes/tailor/kinds.h"

/* What the three have in common. */
typedef struct Call {
  Arena *a;
  Graph *g;
  AllocateOptions o;
  Channels c;
  PassCtx ctx;
} Call;

static bool call_open(Call *x, const StepCall *c, bool needs_data, Diag *d) {
  const TailorStepEnv *env = c->env;
  *x = (Call){.a = arena_new(), .g = artifact_graph(&c->in[0], d)};
  x->ctx = (PassCtx){.params = c->params, .cost = env->cost, .host = c->host, .seed = c->seed};
  TRY(x->g && allocate_options_parse(c->params, x->a, &x->o, d));
  if (needs_data) TRY(tailor_data(env->data, &x->ctx.data, d));
  return channels_find(x->g, x->o.prune.keep, &x->c, d);
}

static void call_close(Call *x) {
  if (x->c.arena) channels_free(&x->c);
  graph_free(x->g);
  arena_free(x->a);
}

static const char *text_of(Arena *a, const Artifact *x) {
  return arena_strndup(a, blob_raw(x->bytes), blob_size(x->bytes));
}

static bool run_table(const StepCall *c, Artifact *out, int *n_out, Diag *d) {
  Call x;
  ErrorTable t = {0};
  StrBuf text = {0};
  bool ok = call_open(&x, c, true, d) && allocate_table(&x.c, &x.o, &x.ctx, &t, d);
  if (ok) {
    error_table_print(&x.c, &t, &text);
    out[(*n_out)++] = artifact_from_bytes(ART_SENSITIVITY, sb_str(&text), text.len);
  }
  sb_free(&text);
  error_table_free(&t);
  call_close(&x);
  return ok;
}

static bool run_plan(const StepCall *c, Artifact *out, int *n_out, Diag *d) {
  Call x;
  ErrorTable t = {0};
  PrunePlan start = {0}, plan = {0};
  bool nested = c->n_in > 3;
  bool ok = call_open(&x, c, false, d) && error_table_parse(text_of(x.a, &c->in[1]), &x.c, &t, d);
  if (ok && nested) ok = prune_plan_parse(text_of(x.a, &c->in[3]), &x.c, &start, d);
  ok = ok && allocate_plan(&x.c, &t, &x.o.prune, &x.ctx, nested ? &start : NULL, &plan, d);
  if (ok) tailor_put_plan(&x.c, &plan, out, n_out);
  prune_plan_free(&start);
  prune_plan_free(&plan);
  error_table_free(&t);
  call_close(&x);
  return ok;
}

static bool run_rebuild(const StepCall *c, Artifact *out, int *n_out, Diag *d) {
  Call x;
  PrunePlan plan = {0};
  Graph *small = NULL, *done = NULL;
  bool ok = call_open(&x, c, true, d) && prune_plan_parse(text_of(x.a, &c->in[1]), &x.c, &plan, d);
  if (ok) small = prune_apply(&x.c, &plan, d);
  if (small) done = allocate_rebuild(&x.c, &plan, small, &x.o, &x.ctx, NULL, d);
  if (done) out[(*n_out)++] = artifact_from_graph(done);
  ok = done != NULL;
  graph_free(small);
  graph_free(done);
  prune_plan_free(&plan);
  call_close(&x);
  return ok;
}

#define CUT                                                                                      \
  "ir/", "runtime/kernels/", "passes/tailor/kinds", "passes/tailor/measure", "passes/allocate/", \
      "passes/channels", "passes/pass.h", "passes/pipeline.c", "passes/prune"

static const char *const table_src[] = {CUT, "runtime/engine/", "runtime/data/", NULL};
static const char *const plan_src[] = {CUT,
                                       "backend/",
                                       "frontend/cli/device.c",
                                       "passes/limits",
                                       "passes/fold.c",
                                       "passes/bnfuse.c",
                                       "passes/fuse.c",
                                       "passes/quant",
                                       "passes/qat_strip.c",
                                       NULL};

const StepKind step_table = {
    .name = "table", .sources = table_src, .numeric = true, .seeded = true, .run = run_table};
const StepKind step_allocate = {.name = "allocate", .sources = plan_src, .one_core = true, .run = run_plan};
const StepKind step_rebuild = {.name = "rebuild", .sources = table_src, .numeric = true, .run = run_rebuild};
