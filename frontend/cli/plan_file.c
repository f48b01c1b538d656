/* plan.lock and recorded costs; see plan_file.h. */
#include "frontend/cli/plan_file.h"

#include <string.h>

#include "ir/base/file.h"

/* ---- plan.lock */

const char *plan_file_path(const PlanFile *f) { return path_join(f->a, f->out, "plan.lock"); }

void plan_file_keep(void *ctx, const char *plan) {
  const PlanFile *f = ctx;
  Diag *d = diag_new();
  if (!file_make_dirs(f->out, d) || !file_write(plan_file_path(f), plan, strlen(plan), d))
    diag_warn(f->d, NULL, "the plan is not kept, a later request will not join it: %s", diag_text(d));
  diag_free(d);
}

bool plan_file_read(const PlanFile *f, const char **out) {
  size_t n;
  const char *path = plan_file_path(f);
  *out = NULL;
  return !file_exists(path) || (*out = file_read(f->a, path, &n, f->d)) != NULL;
}

/* ---- Costs */

CostRates rates_known(const char *cache) {
  if (!cache) return costs_default;
  Arena *a = arena_new();
  CostRecord *v;
  const size_t n = costs_read(a, cache, &v);
  const CostRates r = costs_rounded(costs_fit(v, n, 0));
  arena_free(a);
  return r;
}

/* The first retraining of that name behind the plan: before it there are trials, after it a target's tail of its own. What is cut
 * from an elastic model has no training but that tail. */
const StepLog *plan_training_of(const TailorResult *res, const ReportSteps *steps, int k) {
  if (res->models[k].images == 0) return NULL;
  for (size_t i = steps->planned; i < steps->n; i++) {
    const StepLog *s = &steps->v[i];
    if (strcmp(s->kind, "retrain") == 0 && strcmp(s->slot, res->models[k].name) == 0) return s;
  }
  return NULL;
}

void rates_keep(const Cache *cache, const TailorResult *res, const ReportSteps *steps, Diag *d) {
  if (res->n_models == 0) return;
  Arena *a = arena_new();
  Diag *own = diag_new();
  CostRecord *v = arena_array(a, (size_t)res->n_models, sizeof *v);
  size_t n = 0;
  for (int k = 0; k < res->n_models; k++) {
    const StepLog *s = plan_training_of(res, steps, k);
    StepTime t;
    if (!s || s->hit || !cache_time(cache, s->key, &t)) continue;
    v[n++] = (CostRecord){.key = s->key,
                          .images = res->models[k].images,
                          .macs = (double)res->models[k].macs + res->beside,
                          .seconds = t.seconds,
                          .threads = t.threads};
  }
  if (!costs_add(cache_dir(cache), v, n, own))
    diag_warn(d, NULL, "times of training are not kept, estimates will not learn from them: %s",
              diag_text(own));
  diag_free(own);
  arena_free(a);
}
