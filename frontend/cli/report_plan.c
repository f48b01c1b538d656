/* The plan in a report: how right it was, what was reused; on the terminal and as JSON. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/cli/plan_file.h"
#include "frontend/cli/tailoring.h"

ReportTraining report_training(const Report *r, int k) {
  const StepLog *s = plan_training_of(r->result, r->steps, k);
  if (!s) return (ReportTraining){0};
  return (ReportTraining){!s->hit, s->hit, s->hit ? 0 : s->seconds};
}

/* ---- Steps by kind */

static int by_seconds(const void *a, const void *b) {
  const ReportKind *x = a, *y = b;
  if (x->seconds != y->seconds) return x->seconds > y->seconds ? -1 : 1;
  return strcmp(x->kind, y->kind);
}

/* A task that found a step busy asks again, for all of its steps: those count once. */
static bool is_repeated(const ReportSteps *steps, size_t i) {
  const StepLog *s = &steps->v[i];
  for (size_t k = 0; s->hit && k < i; k++) {
    const StepLog *t = &steps->v[k];
    if (hash_equal(t->key, s->key) && strcmp(t->slot, s->slot) == 0) return true;
  }
  return false;
}

int report_kinds(const Report *r, ReportKind kinds[REPORT_KINDS]) {
  int n = 0;
  for (size_t i = 0; i < r->steps->n; i++) {
    const StepLog *s = &r->steps->v[i];
    int k = 0;
    if (is_repeated(r->steps, i)) continue;
    while (k < n && strcmp(kinds[k].kind, s->kind) != 0) k++;
    if (k == n && n == REPORT_KINDS) continue;
    if (k == n) kinds[n++] = (ReportKind){.kind = s->kind};
    kinds[k].ran += !s->hit;
    kinds[k].reused += s->hit;
    if (!s->hit) kinds[k].seconds += s->seconds;
  }
  qsort(kinds, (size_t)n, sizeof *kinds, by_seconds);
  return n;
}

/* ---- How right it was */

typedef struct Sum {
  int ran, reused;
  double estimated, actual; /* of those that ran */
} Sum;

static Sum sum_of(const Report *r) {
  Sum s = {0};
  for (int k = 0; k < r->result->n_models; k++) {
    const ReportTraining t = report_training(r, k);
    s.ran += t.ran;
    s.reused += t.reused;
    if (!t.ran) continue;
    s.estimated += r->result->models[k].seconds;
    s.actual += t.seconds;
  }
  return s;
}

void report_plan_line(const Report *r) {
  const Sum s = sum_of(r);
  const int n = r->result->n_models;
  if (tailor_shortened(r->result))
    printf("Trainings were shortened to %.0f %% of their lengths, for a time budget of %s\n",
           100 * r->result->kept, tailor_duration(r->result->arena, r->result->shortened_for));
  if (n == 0) return;
  printf("Plan: %d of %d models were trained, %d taken from the cache", s.ran, n, s.reused);
  if (s.ran) printf("; %.1f s of training, %.1f s were estimated", s.actual, s.estimated);
  if (s.ran && s.actual > 0) printf(" (%+.0f %%)", 100 * (s.estimated / s.actual - 1));
  printf("\n");
}

/* ---- JSON */

static void json_model(JsonWriter *w, const Report *r, int k) {
  const TailorTrained *m = &r->result->models[k];
  const ReportTraining t = report_training(r, k);
  json_object(w);
  json_kstr(w, "name", m->name);
  json_kstr(w, "parent", m->parent < 0 ? NULL : r->result->models[m->parent].name);
  json_kbool(w, "joint", m->joint);
  json_kbool(w, "planned_before", m->fixed);
  json_kint(w, "macs", m->macs);
  json_kint(w, "images", m->images);
  json_knum(w, "estimated_seconds", m->seconds);
  json_key(w, "actual_seconds");
  if (t.ran)
    json_num(w, t.seconds);
  else
    json_null(w);
  json_kbool(w, "reused", t.reused);
  json_end(w);
}

static void json_kinds(JsonWriter *w, const Report *r) {
  ReportKind kinds[REPORT_KINDS];
  const int n = report_kinds(r, kinds);
  int ran = 0, reused = 0;
  json_karray(w, "kinds");
  for (int k = 0; k < n; k++) {
    ran += kinds[k].ran, reused += kinds[k].reused;
    json_object(w);
    json_kstr(w, "step", kinds[k].kind);
    json_kint(w, "ran", kinds[k].ran);
    json_kint(w, "reused", kinds[k].reused);
    json_knum(w, "seconds", kinds[k].seconds);
    json_end(w);
  }
  json_end(w);
  json_knum(w, "share_reused", ran + reused ? (double)reused / (ran + reused) : 0);
}

void report_plan_json(const Report *r, JsonWriter *w) {
  const Sum s = sum_of(r);
  json_kobject(w, "plan");
  json_kstr(w, "sharing", tailoring_sharing_name(r->sharing));
  json_kobject(w, "rates");
  json_knum(w, "image", r->result->image);
  json_knum(w, "mac", r->result->mac);
  json_end(w);
  json_karray(w, "models");
  for (int k = 0; k < r->result->n_models; k++) json_model(w, r, k);
  json_end(w);
  json_kobject(w, "trained");
  json_kint(w, "models", s.ran);
  json_kint(w, "reused", s.reused);
  json_knum(w, "estimated_seconds", s.estimated);
  json_knum(w, "actual_seconds", s.actual);
  json_end(w);
  tailoring_json_budget(w, r->result);
  tailoring_json_ways(w, r->result);
  json_kinds(w, r);
  json_end(w);
}
