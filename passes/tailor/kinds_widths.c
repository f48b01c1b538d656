/* Steps of a family: the order and the plans of its widths, and a narrower variant with the widest's codes.
 *
 *   graph, data --> widths --> ordered graph, plans --> elastic, cut (kinds_elastic.c) --> float variants
 *   widest float variant --> finish --> int8 --.
 *   another float variant, data ---------------+--> finish_like --> int8, the same codes
 */
#include "ir/base/mem.h"
#include "passes/tailor/kinds.h"
#include "passes/tailor/measure.h"
#include "passes/prefixes.h"

static void put_plans(const Prefixes *w, const Channels *c, Artifact *out, int *n_out) {
  StrBuf text = {0}, m = {0};
  for (int k = 0; k < w->n; k++) {
    char key[16];
    prune_plan_print(c, &w->plans[k], &text);
    snprintf(key, sizeof key, "macs%d", k);
    measure_put_int(&m, key, w->plans[k].after.macs);
  }
  out[(*n_out)++] = artifact_from_graph(w->graph);
  out[(*n_out)++] = artifact_from_bytes(ART_PLAN, sb_str(&text), text.len);
  out[(*n_out)++] = measure_artifact(&m);
  sb_free(&text);
}

static bool run_widths(const StepCall *c, Artifact *out, int *n_out, Diag *d) {
  const TailorStepEnv *env = c->env;
  Arena *a = arena_new();
  PassCtx ctx = {.params = c->params, .host = c->host, .seed = c->seed};
  PrefixesOptions o;
  Prefixes w = {0};
  Channels ordered = {0};
  Graph *g = artifact_graph(&c->in[0], d);
  bool ok = g && prefixes_options_parse(c->params, a, &o, d) && tailor_data(env->data, &ctx.data, d) &&
            prefixes_plan(g, &o, &ctx, &w, d) && channels_find(w.graph, o.by.prune.keep, &ordered, d);
  if (ok) put_plans(&w, &ordered, out, n_out);
  if (ordered.arena) channels_free(&ordered);
  prefixes_free(&w);
  graph_free(g);
  arena_free(a);
  return ok;
}

static bool run_finish_like(const StepCall *c, Artifact *out, int *n_out, Diag *d) {
  const TailorStepEnv *env = c->env;
  Graph *g = artifact_graph(&c->in[0], d), *like = artifact_graph(&c->in[1], d), *done = NULL;
  PassCtx ctx = {.params = "", .like = like, .host = c->host, .seed = c->seed};
  const PipelineOptions opt = {.verify_each = true};
  if (g && like && tailor_data(env->data, &ctx.data, d)) done = pipeline_run(g, c->params, &ctx, &opt, d);
  if (done) out[(*n_out)++] = artifact_from_graph(done);
  const bool ok = done != NULL;
  graph_free(done);
  graph_free(like);
  graph_free(g);
  return ok;
}

#define COMMON                                                                          \
  "ir/", "runtime/kernels/", "runtime/engine/", "runtime/data/", "passes/tailor/kinds", \
      "passes/tailor/measure", "passes/pass.h", "passes/pipeline.c"
static const char *const widths_src[] = {COMMON,
                                         "passes/channels",
                                         "passes/order",
                                         "passes/unflatten",
                                         "passes/prune.h",
                                         "passes/prune.c",
                                         "passes/prune_",
                                         "passes/allocate/",
                                         "passes/prefixes",
                                         "passes/limits",
                                         NULL};
static const char *const like_src[] = {COMMON,
                                       "passes/quant",
                                       "passes/qat_strip.c",
                                       "passes/fold.c",
                                       "passes/bnfuse.c",
                                       "passes/fuse.c",
                                       "passes/input_raw",
                                       "passes/calibrate",
                                       NULL};

const StepKind step_widths = {
    .name = "widths", .sources = widths_src, .numeric = true, .seeded = true, .run = run_widths};
const StepKind step_finish_like = {
    .name = "finish_like", .sources = like_src, .numeric = true, .run = run_finish_like};
