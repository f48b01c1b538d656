/* The models of a schedule (share.c): each trained once, from where the schedule says, when somebody asks for it. */
#include <math.h>

#include "ir/base/mem.h"
#include "passes/tailor/run.h"

/* The plans of all models of a base, in the schedule's order. */
static bool needs_family(TailorRun *r, int base) {
  TailorFamily *f = &r->family[base];
  if (f->wide.bytes) return true;
  if (!f->n) {
    Artifact *plans = mem_array((size_t)r->schedule.n, sizeof *plans);
    for (int k = 0; k < r->schedule.n; k++) {
      if (r->schedule.nodes[k].base != base) continue;
      r->models[k].member = f->n;
      plans[f->n++] = r->models[k].plan;
    }
    f->plans = tailor_plans(plans, f->n);
    mem_free(plans);
  }
  return tailor_elastic(r, &r->base[base], f);
}

static bool cut_from_family(TailorRun *r, int k) {
  TailorModel *m = &r->models[k];
  const int base = r->schedule.nodes[k].base;
  return needs_family(r, base) && tailor_cut(r, m->name, &r->family[base], m->member, &m->trained);
}

/* Share of the design's learning rate. What has lost little is near a minimum that a high rate would throw it out of, and its
 * short training would not bring it back; its children, further away, get more. */
static double rate_at(const TailorRun *r, double macs) {
  static const double least = 0.1, halvings = 1.5; /* from which on the whole rate is right */
  return fmin(fmax(log2((double)r->res->macs / macs) / halvings, least), 1);
}

/* Trained from where the schedule says. */
static bool train(TailorRun *r, int k) {
  const ScheduleNode *n = &r->schedule.nodes[k];
  TailorModel *m = &r->models[k];
  const TailorLength length = {n->images, n->skip, n->kin, n->parent < 0, rate_at(r, n->macs)};
  if (r->job->sharing == SHARE_ELASTIC) return cut_from_family(r, k);
  if (n->parent >= 0) {
    const TailorModel *p = &r->models[n->parent];
    TRY(tailor_trained(r, n->parent));
    return tailor_retrain(r, m->name, m->base, &p->trained, &p->plan, &m->plan, &length, &m->trained);
  }
  if (!tailor_by_table(r))
    return tailor_retrain(r, m->name, m->base, &m->base->graph, &m->base->all, &m->plan, &length,
                          &m->trained);
  Artifact solved = {0};
  const TailorChosen c = {.base = m->base, .plan = m->plan};
  const bool ok = tailor_solve(r, m->name, &c, &solved) &&
                  tailor_retrain(r, m->name, m->base, &solved, &m->plan, &m->plan, &length, &m->trained);
  artifact_unref(&solved);
  return ok;
}

bool tailor_trained(TailorRun *r, int k) { return r->models[k].trained.bytes || train(r, k); }

int64_t tailor_seen(const TailorRun *r, int k) {
  const ScheduleNode *n = &r->schedule.nodes[k];
  return r->job->sharing == SHARE_ELASTIC ? tailor_family_images(r) : n->skip + n->images;
}
