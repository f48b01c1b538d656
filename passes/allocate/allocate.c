/* allocate: channels to fit the limits at the least error, layers solved anew instead of retrained; see allocate.h. */
#include "passes/allocate/allocate.h"

#include <stdio.h>
#include <string.h>

#include "ir/base/mem.h"
#include "runtime/engine/divergence.h"

PassFn pass_allocate;

/* ---- options */

typedef struct Number {
  const char *key;
  double lo, hi, *to;
} Number;

static bool read_number(const char *params, const Number *n, Diag *d) {
  bool bad = false;
  char text[64] = "";
  double v = pass_param_num(params, n->key, *n->to, &bad);
  if (!pass_param(params, n->key, text, sizeof text)) return true;
  FAIL_IF(bad || !(v >= n->lo && v <= n->hi), d, NULL, "allocate: %s=%s, want a number from %g to %g", n->key,
          text, n->lo, n->hi);
  *n->to = v;
  return true;
}

static const char BY_TABLE[] = "by=reconstruction";

/* The parameters without this pass's own `by`, which `prune` does not know. */
static const char *without_by(const char *params, Arena *a) {
  char *text = arena_strdup(a, params), *at = strstr(text, BY_TABLE);
  size_t n = sizeof BY_TABLE - 1;
  if (!at) return text;
  if (at[n] == ',') n++;
  memmove(at, at + n, strlen(at + n) + 1);
  return text;
}

bool allocate_by_table(const char *params) {
  char by[32] = "";
  return !pass_param(params, "by", by, sizeof by) || strcmp(by, BY_TABLE + 3) == 0;
}

bool allocate_options_parse(const char *params, Arena *a, AllocateOptions *o, Diag *d) {
  params = params ? params : "";
  *o = (AllocateOptions){.table_ridge = 1e-3, .bn_images = 4096};
  gram_options_default(&o->grams);
  rebuild_options_default(&o->rebuild);
  o->table = allocate_by_table(params);
  TRY(prune_options_parse(o->table ? without_by(params, a) : params, a, &o->prune, d));
  double images = 1024, fisher = 1, bn = 4096, report = 0, rows = 0, shortcuts = 1, rounds = 0;
  const Number numbers[] = {{"images", 1, 1e9, &images},
                            {"fisher", 0, 1, &fisher},
                            {"bn_images", 0, 1e9, &bn},
                            {"ridge", 0, 1e6, &o->rebuild.ridge},
                            {"table_ridge", 0, 1e6, &o->table_ridge},
                            {"temperature", 0.01, 1000, &o->grams.temperature},
                            {"rows", 0, 1e9, &rows},
                            {"shortcuts", 0, 1, &shortcuts},
                            {"rounds", 0, 100, &rounds},
                            {"report", 0, 1, &report}};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) TRY(read_number(params, &numbers[i], d));
  o->grams.images = o->rebuild.images = (uint32_t)images;
  o->grams.rows = o->rebuild.rows = (int64_t)rows;
  o->bn_images = (uint32_t)bn;
  o->fisher = fisher != 0, o->report = report != 0, o->rebuild.shortcuts = shortcuts != 0;
  o->rebuild.rounds = (int)rounds;
  return true;
}

/* ---- the pass */

static void tell(const Host *host, const char *line) {
  if (host && host->log) host->log(host->ctx, line);
}

static void tell_plan(const PrunePlan *p, const RebuildResult *r, const Host *host) {
  StrBuf line = {0};
  sb_printf(&line,
            "allocate: MACs %lld of %lld, parameters %lld of %lld; %u layers solved anew, error %.3g of "
            "%.3g; widths=",
            (long long)p->after.macs, (long long)p->before.macs, (long long)p->after.params,
            (long long)p->before.params, r->layers, r->layers ? r->after / r->layers : 0,
            r->layers ? r->before / r->layers : 0);
  for (uint32_t g = 0; g < p->n_groups; g++) sb_printf(&line, "%s%u", g ? "/" : "", p->kept[g]);
  tell(host, sb_str(&line));
  sb_free(&line);
}

static Blob *table_scores(const Channels *c, const AllocateOptions *o, const PassCtx *ctx, Diag *d) {
  Grams grams;
  ErrorTable table;
  if (!grams_collect(c->graph, ctx->data, &o->grams, ctx->seed, ctx->host, &grams, d)) return NULL;
  const TableOptions to = {.ridge = o->table_ridge, .fisher = o->fisher};
  error_table_build(c, &grams, &to, &table);
  grams_free(&grams);
  Blob *scores = error_table_scores(&table);
  if (o->report) {
    StrBuf text = {0};
    error_table_print(c, &table, &text);
    tell(ctx->host, sb_str(&text));
    sb_free(&text);
  }
  error_table_free(&table);
  return scores;
}

static Graph *allocate_channels(const Channels *c, const AllocateOptions *o, const PassCtx *ctx, Diag *d) {
  Blob *scores = o->table ? table_scores(c, o, ctx, d) : prune_importance(c, &o->prune, ctx, d);
  PrunePlan plan = {0};
  Graph *small = NULL, *done = NULL;
  RebuildResult res = {0};
  if (scores && prune_plan(c, scores, &o->prune, ctx, NULL, &plan, d)) {
    if (plan.met)
      small = prune_apply(c, &plan, d);
    else
      diag_error(d, NULL, "allocate: a limit cannot be met: %s", plan.missed);
  }
  if (small) done = allocate_rebuild(c, &plan, small, o, ctx, &res, d);
  if (done) tell_plan(&plan, &res, ctx->host);
  Divergence dv;
  if (done && graph_divergence(c->graph, done, ctx->data, o->rebuild.images, 2048, ctx->host, &dv, d)) {
    char line[100];
    snprintf(line, sizeof line, "allocate: divergence %.4f agree %.4f", dv.value, dv.agree);
    tell(ctx->host, line);
  }
  graph_free(small);
  prune_plan_free(&plan);
  blob_unref(scores);
  return done;
}

Graph *pass_allocate(const Graph *g, const PassCtx *ctx, Diag *d) {
  Arena *a = arena_new();
  AllocateOptions o;
  Channels c = {0};
  Graph *done = NULL;
  if (allocate_options_parse(ctx->params, a, &o, d) && channels_find(g, o.prune.keep, &c, d))
    done = allocate_channels(&c, &o, ctx, d);
  if (c.arena) channels_free(&c);
  arena_free(a);
  return done;
}
