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
  bool whole;       /* layers as they are; left out where they have no other forms */
} Setting;

static const Setting settings[] = {
    {"table", 1, 0, false, false, false},        {"table's widths alone", 1, 0, false, false, true},
    {"Taylor", 1, 0, true, false, false},        {"Taylor's widths", 1, 0, true, true, false},
    {"trunks twice", 2, 0, false, false, false}, {"least share 1/3", 1, 1.0 / 3, false, false, false},
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

/* A plan and the forms of layers with it. */
typedef struct Candidate {
  PrunePlan p;
  uint32_t *form; /* [forms->n] */
} Candidate;

static bool plan_setting(const Channels *c, const ErrorTable *t, const Forms *forms, const Setting *s,
                         const AllocateOptions *o, const PassCtx *ctx, Candidate *to, Diag *d) {
  PrunePlan *out = &to->p;
  *to = (Candidate){.form = mem_array(forms ? (size_t)forms->n + 1 : 1, sizeof *to->form)};
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
  bool ok = allocate_plan_forms(c, &weighted, s->whole ? NULL : forms, &po, ctx, out, to->form, d);
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

/* What rounding to 4 bits takes beside that, as the table has it: solved weights are not rounded. The forms of 4 bits stand
 * behind the same ones of 8 (forms.c). */
static double rounding(const Forms *forms, const uint32_t *form) {
  double sum = 0;
  for (uint32_t i = 0; forms && i < forms->n; i++) {
    const FormLayer *x = &forms->v[i];
    if (x->v[form[i]].bits == 4) sum += x->v[form[i]].error - x->v[form[i] - x->n / 2].error;
  }
  return sum;
}

/* Divergence after a quick reconstruction; ctx has the images for that, `all` those to judge on too. */
static bool judge(const Channels *c, const Candidate *x, const Forms *forms, const AllocateOptions *o,
                  const PassCtx *ctx, const Dataset *all, Divergence *out, Diag *d) {
  const PrunePlan *p = &x->p;
  AllocateOptions quick = *o;
  Judged j = allocate_judged(o, all->train.n);
  quick.rebuild.images = trial_images(o);
  Graph *small = prune_apply(c, p, d),
        *solved = small ? allocate_rebuild_forms(c, p, small, forms, x->form, &quick, ctx, NULL, d) : NULL;
  bool ok = solved && graph_divergence(c->graph, solved, all, j.first < all->train.n ? j.first : 0, j.n,
                                       ctx->host, out, d);
  if (ok) out->value += rounding(forms, x->form);
  graph_free(small);
  graph_free(solved);
  return ok;
}

static void tell_candidate(const Setting *s, const Candidate *x, const Forms *forms, const Divergence *v,
                           const Host *host) {
  const PrunePlan *p = &x->p;
  StrBuf line = {0};
  uint32_t others = 0;
  for (uint32_t i = 0; forms && i < forms->n; i++) others += x->form[i] > 0;
  sb_printf(&line, "allocate: candidate %s: divergence %.4f, the same class %.2f %%; widths=", s->name,
            v->value, 100 * v->agree);
  for (uint32_t g = 0; g < p->n_groups; g++) sb_printf(&line, "%s%u", g ? "/" : "", p->kept[g]);
  if (others) sb_printf(&line, ", layers in other forms: %u", others);
  if (host && host->log) host->log(host->ctx, sb_str(&line));
  sb_free(&line);
}

static bool same_plan(const Candidate *a, const Candidate *b, const Forms *forms) {
  return memcmp(a->p.keep, b->p.keep, a->p.n_units) == 0 &&
         (!forms || memcmp(a->form, b->form, forms->n * sizeof *a->form) == 0);
}

static void candidate_free(Candidate *x) {
  prune_plan_free(&x->p);
  mem_free(x->form);
}

typedef struct Choice {
  const Channels *c;
  const ErrorTable *t;
  const Forms *forms;
  const AllocateOptions *o;
  const PassCtx *ctx; /* with the images before those to judge on */
  const Dataset *all;
  Candidate best;
  double least;
} Choice;

/* Make a candidate, judge it, keep the better one. */
static bool try_setting(Choice *x, const Setting *s, Diag *d) {
  Candidate new;
  Divergence v;
  bool ok = plan_setting(x->c, x->t, x->forms, s, x->o, x->ctx, &new, d);
  if (ok && new.p.met && !same_plan(&new, &x->best, x->forms)) {
    ok = judge(x->c, &new, x->forms, x->o, x->ctx, x->all, &v, d);
    if (ok) tell_candidate(s, &new, x->forms, &v, x->ctx->host);
    if (ok && v.value < x->least) {
      Candidate worse = x->best;
      x->best = new;
      new = worse;
      x->least = v.value;
    }
  }
  candidate_free(&new);
  return ok;
}

bool allocate_best(const Channels *c, const ErrorTable *t, const Forms *forms, const AllocateOptions *o,
                   const PassCtx *ctx, PrunePlan *out, uint32_t *form, Diag *d) {
  bool one = o->candidates <= 1 || o->prune.widths || o->prune.uniform, other = forms && forms->n > 0, ok;
  Dataset seen = *ctx->data;
  PassCtx own = *ctx;
  Choice x = {.c = c, .t = t, .forms = other ? forms : NULL, .o = o, .ctx = &own, .all = ctx->data};
  Divergence v = {0};
  if (!one) own.data = &seen, seen.train.n = allocate_judged(o, seen.train.n).first;
  ok = plan_setting(c, t, x.forms, &settings[0], o, &own, &x.best, d);
  one |= ok && !x.best.p.met;
  if (ok && !one) {
    ok = judge(c, &x.best, x.forms, o, &own, x.all, &v, d);
    if (ok) tell_candidate(&settings[0], &x.best, x.forms, &v, ctx->host);
  }
  x.least = v.value;
  uint32_t tried = 1;
  for (size_t i = 1; ok && !one && i < sizeof settings / sizeof *settings && tried < o->candidates; i++) {
    if (settings[i].whole && !other) continue;
    ok = try_setting(&x, &settings[i], d);
    tried++;
  }
  if (ok) {
    *out = x.best.p;
    if (other) memcpy(form, x.best.form, forms->n * sizeof *form);
    x.best.p = (PrunePlan){0};
  }
  candidate_free(&x.best);
  return ok;
}
