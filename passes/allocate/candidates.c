/* Several allocations, and which is best. The table adds up what each group costs by itself; errors that meet, as those of a
 * residual trunk do in all its readers, cost more together. So plans are made with other weights too, and a look at the whole
 * graph decides.
 */
#include <stdio.h>
#include <string.h>

#include "ir/base/mem.h"
#include "passes/allocate/allocate.h"
#include "runtime/engine/divergence.h"

enum { JUDGE_IMAGES = 512, TRIAL_IMAGES = 1024 };

typedef struct Setting {
  const char *name;
  double factor;    /* of groups that many layers read */
  double min_share; /* every group keeps at least this share; 0: as asked */
  bool taylor;      /* by Taylor importance instead of the table */
  bool widths;      /* of that the widths alone: which channels go is the table's to say */
} Setting;

static const Setting settings[] = {
    {"table", 1, 0, false, false},
    {"Taylor", 1, 0, true, false},
    {"Taylor's widths", 1, 0, true, true},
    {"trunks twice", 2, 0, false, false},
    {"least share 1/3", 1, 1.0 / 3, false, false},
};

/* The plan's widths, channels by the table. */
static bool table_order(const Channels *c, const ErrorTable *t, const PruneOptions *o, const PassCtx *ctx,
                        PrunePlan *p, Diag *d) {
  StrBuf text = {0};
  PruneOptions given = *o;
  PrunePlan same = {0};
  for (uint32_t g = 0; g < p->n_groups; g++) sb_printf(&text, "%s%u", g ? "/" : "", p->kept[g]);
  given.widths = sb_str(&text);
  given.limits = (PruneLimits){0};
  bool ok = allocate_plan(c, t, &given, ctx, NULL, &same, d);
  sb_free(&text);
  if (!ok) return false;
  same.met = p->met;
  memcpy(same.missed, p->missed, sizeof same.missed);
  prune_plan_free(p);
  *p = same;
  return true;
}

static bool plan_setting(const Channels *c, const ErrorTable *t, const Setting *s, const AllocateOptions *o,
                         const PassCtx *ctx, PrunePlan *out, Diag *d) {
  PruneOptions po = o->prune;
  if (s->min_share > po.min_share) po.min_share = s->min_share;
  if (s->taylor) {
    po.by = PRUNE_TAYLOR;
    Blob *scores = prune_importance(c, &po, ctx, d);
    bool ok = scores && prune_plan(c, scores, &po, ctx, NULL, out, d);
    blob_unref(scores);
    return ok && (!s->widths || table_order(c, t, &po, ctx, out, d));
  }
  ErrorTable weighted = error_table_weighted(t, s->factor);
  bool ok = allocate_plan(c, &weighted, &po, ctx, NULL, out, d);
  error_table_free(&weighted);
  return ok;
}

static uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }

static uint32_t trial_images(const AllocateOptions *o) {
  return o->rebuild.images < TRIAL_IMAGES ? o->rebuild.images : TRIAL_IMAGES;
}

Judged allocate_judged(const AllocateOptions *o, uint32_t n) {
  uint32_t seen = larger(larger(trial_images(o), o->grams.images), larger(o->prune.images, o->bn_images));
  if (n < 2) return (Judged){n, n};
  Judged j = {.n = larger(n / 4 < JUDGE_IMAGES ? n / 4 : JUDGE_IMAGES, 1)};
  seen = larger(seen, o->trial_images);
  j.first = seen < n - j.n ? seen : n - j.n;
  return j;
}

/* Divergence after a quick reconstruction; ctx has the images for that, `all` those to judge on too. */
static bool judge(const Channels *c, const PrunePlan *p, const AllocateOptions *o, const PassCtx *ctx,
                  const Dataset *all, Divergence *out, Diag *d) {
  AllocateOptions quick = *o;
  Judged j = allocate_judged(o, all->train.n);
  quick.rebuild.images = trial_images(o);
  Graph *small = prune_apply(c, p, d),
        *solved = small ? allocate_rebuild(c, p, small, &quick, ctx, NULL, d) : NULL;
  bool ok = solved && graph_divergence(c->graph, solved, all, j.first < all->train.n ? j.first : 0, j.n,
                                       ctx->host, out, d);
  graph_free(small);
  graph_free(solved);
  return ok;
}

static void tell_candidate(const Setting *s, const PrunePlan *p, const Divergence *v, const Host *host) {
  StrBuf line = {0};
  sb_printf(&line, "allocate: candidate %s: divergence %.4f, the same class %.2f %%; widths=", s->name,
            v->value, 100 * v->agree);
  for (uint32_t g = 0; g < p->n_groups; g++) sb_printf(&line, "%s%u", g ? "/" : "", p->kept[g]);
  if (host && host->log) host->log(host->ctx, sb_str(&line));
  sb_free(&line);
}

static bool same_plan(const PrunePlan *a, const PrunePlan *b) {
  return memcmp(a->keep, b->keep, a->n_units) == 0;
}

bool allocate_best(const Channels *c, const ErrorTable *t, const AllocateOptions *o, const PassCtx *ctx,
                   PrunePlan *out, Diag *d) {
  size_t n = sizeof settings / sizeof *settings;
  double least = 0;
  bool one = o->candidates <= 1 || o->prune.widths || o->prune.uniform;
  const Dataset *all = ctx->data;
  Dataset seen = *all;
  PassCtx own = *ctx;
  if (!one) own.data = &seen, seen.train.n = allocate_judged(o, all->train.n).first;
  ctx = &own;
  TRY(plan_setting(c, t, &settings[0], o, ctx, out, d));
  if (one || !out->met) return true;
  for (size_t i = 0; i < n && i < o->candidates; i++) {
    PrunePlan p = {0};
    Divergence v;
    if (i > 0) TRY(plan_setting(c, t, &settings[i], o, ctx, &p, d));
    if (i > 0 && (!p.met || same_plan(&p, out))) {
      prune_plan_free(&p);
      continue;
    }
    bool ok = judge(c, i ? &p : out, o, ctx, all, &v, d);
    if (ok) tell_candidate(&settings[i], i ? &p : out, &v, ctx->host);
    if (ok && (i == 0 || v.value < least)) {
      least = v.value;
      if (i > 0) {
        PrunePlan worse = *out;
        *out = p;
        p = worse;
      }
    }
    if (i > 0) prune_plan_free(&p);
    TRY(ok);
  }
  return true;
}
