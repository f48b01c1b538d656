/* Plans by the error table: widths under limits (grid.c, rounds.c), and forms of layers beside. */
#include <string.h>

#include "ir/base/mem.h"
#include "passes/allocate/grid.h"
#include "passes/prune_steps.h"

double allocate_expected(const ErrorTable *t, const PrunePlan *p) {
  double sum = 0;
  for (uint32_t g = 0, first = 0; g < t->n_groups; first += t->size[g++])
    sum += error_table_at(t, g, first, p->kept[g]);
  return sum;
}

/* Where even the narrowest widths exceed a limit clearly: their plan. Kernels and rings are no smooth function of widths. */
static bool plan_narrowest(Widths *w, PrunePlan *out, bool *hopeless, Diag *d) {
  static const double clearly = 1.05;
  double limit[RES_COUNT], more[RES_COUNT];
  for (uint32_t g = 0; g < w->c->n_groups; g++) {
    uint32_t *all = arena_array(w->a, (size_t)w->c->groups[g].n + 1, sizeof *all);
    widths_allowed(w, g, all);
    w->kept[g] = all[0];
  }
  widths_limits(w, limit);
  for (int r = 0; r < RES_COUNT; r++) more[r] = limit[r] * clearly;
  TRY(widths_plan(w, out, d));
  *hopeless = !widths_within(&out->after, more);
  out->met = false;
  prune_plan_missed(out, limit);
  return true;
}

/* Widths for all groups at once; where no limit is kept by that, channel by channel from there. That also says which limit
 * holds it up. */
static bool plan_within(Widths *w, const Blob *scores, const PrunePlan *start, PrunePlan *out, Diag *d) {
  PrunePlan near = {0};
  bool hopeless = false;
  TRY(widths_rounds(w, out, NULL, &out->met, d));
  if (out->met) return true;
  near = *out;
  *out = (PrunePlan){0};
  bool ok = plan_narrowest(w, out, &hopeless, d);
  if (ok && !hopeless) {
    prune_plan_free(out);
    ok = prune_plan(w->c, scores, w->o, w->ctx, near.keep ? &near : start, out, d);
  }
  prune_plan_free(&near);
  return ok;
}

/* Whether start keeps of each group what the table would. */
static bool by_table(const Channels *c, const ErrorTable *t, const PrunePlan *start) {
  for (uint32_t g = 0; g < c->n_groups; g++)
    for (uint32_t i = 0; i < c->groups[g].n; i++) {
      const uint32_t first = c->groups[g].first;
      if (start->keep[first + t->order[first + i]] != (i >= c->groups[g].n - start->kept[g])) return false;
    }
  return true;
}

bool allocate_plan(const Channels *c, const ErrorTable *t, const PruneOptions *o, const PassCtx *ctx,
                   const PrunePlan *start, PrunePlan *out, Diag *d) {
  Blob *scores = error_table_scores(t);
  *out = (PrunePlan){0};
  bool ok;
  PruneOptions stepped = *o;
  const bool bare = (o->limits.flash > 0 || o->limits.ram > 0 || o->limits.cycles > 0) && !ctx->cost,
             other = start && !by_table(c, t, start);
  if (bare /* is reported */ || o->widths || o->uniform || other) {
    ok = prune_plan(c, scores, o, ctx, start, out, d);
  } else if (!prune_steps(c, o, ctx, &stepped.steps, d)) {
    ok = false;
  } else {
    Widths w = widths_open(c, t, NULL, &stepped, ctx, start);
    ok = plan_within(&w, scores, start, out, d);
    out->steps = stepped.steps;
    widths_close(&w);
  }
  blob_unref(scores);
  return ok;
}

/* ---- forms beside */

/* Layers as they are again where the limits allow it: what prices left, and forms that save nothing at these widths. */
static bool take_back(const Widths *w, PrunePlan *p, uint32_t *form, const double *wanted, Diag *d) {
  for (uint32_t i = 0; i < w->forms->n; i++) {
    uint32_t was = form[i];
    Cost c;
    if (was == 0) continue;
    form[i] = 0;
    TRY(widths_cost(w, p, form, &c, d));
    if (widths_within(&c, wanted))
      p->after = c;
    else
      form[i] = was;
  }
  return true;
}

bool allocate_plan_forms(const Channels *c, const ErrorTable *t, const Forms *forms, const PruneOptions *o,
                         const PassCtx *ctx, PrunePlan *out, uint32_t *form, Diag *d) {
  TRY(allocate_plan(c, t, o, ctx, NULL, out, d));
  if (!forms || forms->n == 0) return true;
  memset(form, 0, forms->n * sizeof *form);
  if (o->widths || o->uniform) return true;
  PruneOptions stepped = *o;
  stepped.steps = out->steps;
  Widths w = widths_open(c, t, forms, &stepped, ctx, NULL);
  Blob *scores = error_table_scores(t);
  uint32_t *best = arena_array(w.a, forms->n, sizeof *best);
  double wanted[RES_COUNT];
  PrunePlan formed = {0};
  bool met = false;
  memcpy(wanted, w.limit, sizeof wanted);
  bool ok = widths_rounds(&w, &formed, best, &met, d) && (!met || take_back(&w, &formed, best, wanted, d));
  if (ok && met && (!out->met || widths_error(&w, formed.kept, best) < widths_error(&w, out->kept, NULL))) {
    PrunePlan worse = *out;
    *out = formed;
    out->met = true, out->steps = stepped.steps;
    formed = worse;
    memcpy(form, best, forms->n * sizeof *form);
  }
  prune_plan_free(&formed);
  blob_unref(scores);
  widths_close(&w);
  return ok;
}
