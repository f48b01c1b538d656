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
  char *text = arena_strdup(a, params);
  for (char *at = text; *at;) {
    size_t len = strcspn(at, ","), all = len + (at[len] == ',');
    if (len == sizeof BY_TABLE - 1 && memcmp(at, BY_TABLE, len) == 0)
      memmove(at, at + all, strlen(at + all) + 1);
    else
      at += all;
  }
  return text;
}

bool allocate_by_table(const char *params) {
  char by[32] = "";
  return !pass_param(params, "by", by, sizeof by) || strcmp(by, BY_TABLE + 3) == 0;
}

bool allocate_options_parse(const char *params, Arena *a, AllocateOptions *o, Diag *d) {
  params = params ? params : "";
  *o = (AllocateOptions){.table_ridge = 1e-3, .bn_images = 0};
  gram_options_default(&o->grams);
  rebuild_options_default(&o->rebuild);
  o->table = allocate_by_table(params);
  TRY(prune_options_parse(o->table ? without_by(params, a) : params, a, &o->prune, d));
  double images = 4096, fisher = 1, bn = 0, report = 0, rows = 0, shortcuts = 1, rounds = 8, candidates = 3,
         trials = 256, ranks = 0, bits = 0;
  const Number numbers[] = {{"images", 1, 1e9, &images},
                            {"fisher", 0, 1, &fisher},
                            {"bn_images", 0, 1e9, &bn},
                            {"ridge", 0, 1e6, &o->rebuild.ridge},
                            {"table_ridge", 0, 1e6, &o->table_ridge},
                            {"trials", 0, 1e9, &trials},
                            {"temperature", 0.01, 1000, &o->grams.temperature},
                            {"rows", 0, 1e9, &rows},
                            {"shortcuts", 0, 1, &shortcuts},
                            {"rounds", 0, 100, &rounds},
                            {"candidates", 1, 100, &candidates},
                            {"ranks", 0, 1, &ranks},
                            {"bits", 0, 1, &bits},
                            {"report", 0, 1, &report}};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) TRY(read_number(params, &numbers[i], d));
  o->rebuild.images = (uint32_t)images;
  if (o->grams.images > o->rebuild.images) o->grams.images = o->rebuild.images;
  o->grams.rows = o->rebuild.rows = (int64_t)rows;
  o->bn_images = (uint32_t)bn;
  o->fisher = fisher != 0, o->report = report != 0, o->rebuild.shortcuts = shortcuts != 0;
  o->candidates = (uint32_t)candidates, o->trial_images = (uint32_t)trials;
  o->rebuild.rounds = (int)rounds;
  o->ranks = ranks != 0, o->bits = bits != 0;
  FAIL_IF((o->ranks || o->bits) && (!o->table || o->prune.widths || o->prune.uniform), d, NULL,
          "allocate: ranks and bits are chosen by the error table under limits: want by=reconstruction, and "
          "neither widths nor uniform");
  FAIL_IF(o->bits && (o->prune.limits.flash <= 0 || o->prune.precision != DT_I8), d, NULL,
          "allocate: weights of 4 bits save flash alone, in int8: want flash=BYTES and precision=int8 with "
          "bits=1");
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

/* On training images behind those of calibration, where there are any. */
static void tell_divergence(const Graph *was, const Graph *is, const AllocateOptions *o, const PassCtx *ctx) {
  Divergence v;
  Diag *quiet = diag_new();
  uint32_t n = ctx->data->train.n, first = o->rebuild.images < n ? o->rebuild.images : 0;
  if (graph_divergence(was, is, ctx->data, first, 2048, ctx->host, &v, quiet)) {
    char line[120];
    snprintf(line, sizeof line, "allocate: divergence %.4f, the same class %.2f %% on %u training images",
             v.value, 100 * v.agree, v.n);
    tell(ctx->host, line);
  }
  diag_free(quiet);
}

/* Ranks are multiples of the pruning's step, or of this. */
enum { RANK_STEP = 4 };

static bool find_forms(const Channels *c, const Grams *grams, const AllocateOptions *o, const PassCtx *ctx,
                       Forms *out, Diag *d) {
  const FormOptions fo = {.ranks = o->ranks,
                          .bits = o->bits,
                          .fisher = o->fisher,
                          .step = o->prune.steps > 0 ? o->prune.steps : RANK_STEP,
                          .precision = o->prune.precision,
                          .keep = o->prune.keep,
                          .trial_images = o->trial_images};
  return forms_build(c->graph, grams, &fo, ctx, out, d);
}

bool allocate_table_forms(const Channels *c, const AllocateOptions *o, const PassCtx *ctx, ErrorTable *out,
                          Forms *forms, Diag *d) {
  Grams grams;
  TRY(grams_collect(c->graph, ctx->data, &o->grams, ctx->seed, ctx->host, &grams, d));
  const TableOptions to = {.ridge = o->table_ridge, .fisher = o->fisher, .trial_images = o->trial_images};
  bool ok = error_table_build(c, &grams, &to, ctx, out, d);
  if (ok && forms && (o->ranks || o->bits) && !find_forms(c, &grams, o, ctx, forms, d)) {
    ok = false;
    error_table_free(out);
  }
  grams_free(&grams);
  TRY(ok);
  if (o->report) {
    StrBuf text = {0};
    error_table_print(c, out, &text);
    tell(ctx->host, sb_str(&text));
    sb_free(&text);
  }
  return true;
}

bool allocate_table(const Channels *c, const AllocateOptions *o, const PassCtx *ctx, ErrorTable *out,
                    Diag *d) {
  return allocate_table_forms(c, o, ctx, out, NULL, d);
}

/* By another importance than the table: the controls. */
static bool plan_control(const Channels *c, const AllocateOptions *o, const PassCtx *ctx, PrunePlan *out,
                         Diag *d) {
  Blob *scores = prune_importance(c, &o->prune, ctx, d);
  bool ok = scores && prune_plan(c, scores, &o->prune, ctx, NULL, out, d);
  blob_unref(scores);
  return ok;
}

/* What is asked for: widths, and forms where there are some. */
typedef struct Chosen {
  PrunePlan plan;
  Forms forms;
  uint32_t *form; /* [forms.n] */
} Chosen;

static bool plan_by_table(const Channels *c, const AllocateOptions *o, const PassCtx *ctx, Chosen *out,
                          Diag *d) {
  ErrorTable table;
  Dataset seen = *ctx->data;
  PassCtx own = *ctx;
  if (o->candidates > 1) own.data = &seen, seen.train.n = allocate_judged(o, seen.train.n).first;
  TRY(allocate_table_forms(c, o, &own, &table, &out->forms, d));
  out->form = mem_array((size_t)out->forms.n + 1, sizeof *out->form);
  bool ok = allocate_best(c, &table, &out->forms, o, ctx, &out->plan, out->form, d);
  error_table_free(&table);
  return ok;
}

static void tell_forms(const Chosen *x, const Host *host) {
  StrBuf names = {0}, line = {0};
  forms_tell(&x->forms, x->form, host);
  forms_int4(&x->forms, x->form, &names);
  sb_printf(&line, "allocate: weights of 4 bits by quantize{int4=%s}", sb_str(&names));
  if (names.len > 0) tell(host, sb_str(&line));
  sb_free(&line);
  sb_free(&names);
}

static Graph *allocate_channels(const Channels *c, const AllocateOptions *o, const PassCtx *ctx, Diag *d) {
  Chosen x = {0};
  Graph *small = NULL, *done = NULL;
  RebuildResult res = {0};
  if (o->table ? plan_by_table(c, o, ctx, &x, d) : plan_control(c, o, ctx, &x.plan, d)) {
    if (x.plan.met)
      small = prune_apply(c, &x.plan, d);
    else
      diag_error(d, NULL, "allocate: a limit cannot be met: %s", x.plan.missed);
  }
  if (small) done = allocate_rebuild_forms(c, &x.plan, small, &x.forms, x.form, o, ctx, &res, d);
  if (done) tell_plan(&x.plan, &res, ctx->host);
  if (done && x.forms.n > 0) tell_forms(&x, ctx->host);
  if (done && o->report) tell_divergence(c->graph, done, o, ctx);
  graph_free(small);
  prune_plan_free(&x.plan);
  forms_free(&x.forms);
  mem_free(x.form);
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
