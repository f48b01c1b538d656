/* A time budget while a run is at work; see TailorBudget.
 *
 *   a target's turn --> its lease --> time left? --yes--> begun: all it needs is trained, however long that takes
 *        |                  |              \--no--> is its model in the cache? --> finished and delivered
 *        |                  \--another's: later             \--no--> not begun    (one that another trains: later)
 *
 * A target that was begun is finished, so that its bytes do not know of the clock. With the lease taken before the clock is
 * asked, no process calls a target late that another has begun; it is kept from the target's training to its end, also while a
 * step behind that is another's. Until then it is given back where a step is busy: who waits for a parent leaves the target to
 * others.
 */
#include <string.h>

#include "passes/steps/lease.h"
#include "passes/tailor/run.h"

const char *tailor_duration(Arena *a, double seconds) {
  if (seconds >= 3600) return arena_printf(a, "%.4g h", seconds / 3600);
  if (seconds >= 60) return arena_printf(a, "%.4g min", seconds / 60);
  return arena_printf(a, "%.3g s", seconds);
}

void tailor_take_turns(TailorRun *r) {
  for (int i = 0; i < r->job->n_targets; i++) {
    const int mine = r->order[i];
    int at = i;
    for (; at > 0 && r->w[r->turn[at - 1]].t->priority < r->w[mine].t->priority; at--)
      r->turn[at] = r->turn[at - 1];
    r->turn[at] = mine;
  }
}

static bool is_limited(const TailorRun *r) {
  return r->job->budget.seconds > 0 && r->job->budget.used_up != NULL;
}

/* Of a target at work, in any run of this plan that asks the same of it. */
static Hash lease_key(const TailorRun *r, const TailorWork *w) {
  Hasher *h = hasher_new();
  hasher_str(h, "target at work");
  hasher_hash(h, tailor_basis(r));
  hasher_str(h, w->t->name);
  hasher_hash(h, tailor_request(r, w->t));
  const TailorTarget *t = w->t;
  const double floors[] = {t->limits.min_accuracy, t->limits.max_drop, t->width_min, t->width_drop};
  hasher_bytes(h, floors, sizeof floors);
  return hasher_done(h);
}

bool tailor_is_there(TailorRun *r, TailorWork *w, bool (*train)(TailorRun *r, TailorWork *w)) {
  TailorLook look;
  Artifact stood = artifact_ref(&w->trained);
  TailorFamily family = tailor_family_ref(&w->nested);
  tailor_look(r, &look);
  const bool there = train(r, w);
  tailor_look_end(r, &look);
  artifact_unref(&w->trained);
  w->trained = stood;
  tailor_family_free(&w->nested);
  w->nested = family;
  return there;
}

TailorStart tailor_may_train(TailorRun *r, TailorWork *w, bool (*train)(TailorRun *r, TailorWork *w)) {
  if (!w->over || tailor_is_there(r, w, train)) return TAILOR_BEGIN;
  return r->busy ? TAILOR_BUSY : TAILOR_TOO_LATE;
}

TailorStart tailor_begin(TailorRun *r, TailorWork *w) {
  Holder other;
  if (w->lease) return TAILOR_BEGIN;
  w->over = false;
  if (!is_limited(r) || (w->node < 0 && !tailor_is_nested(w->t))) return TAILOR_BEGIN;
  if (r->job->steps->cache &&
      lease_take(r->job->steps->cache, lease_key(r, w), LEASE_BEAT, &w->lease, &other) == LEASE_BUSY) {
    r->busy = true;
    return TAILOR_BUSY;
  }
  w->over = r->job->budget.used_up(r->job->budget.ctx);
  return tailor_may_train(r, w, tailor_nested_whole);
}

bool tailor_goes_on(const TailorWork *w) { return w->lease && !w->over && w->trained.bytes; }

void tailor_end(TailorWork *w) {
  lease_release(w->lease);
  w->lease = NULL;
}

void tailor_tell_late(TailorRun *r, TailorWork *w, const char *what) {
  TailorOutcome *o = w->o;
  artifact_unref(&w->trained);
  tailor_nested_free(w);
  o->n_exits = 0;
  artifact_unref(&o->final);
  o->late = true;
  o->start = NULL;
  o->val_float = -1;
  o->val_final = 0;
  o->why = arena_printf(r->res->arena,
                        "%s: the time budget of %s was used up; run again (finished work is kept) or give "
                        "more time",
                        what, tailor_duration(r->res->arena, r->job->budget.seconds));
  tailor_tell(r, "%s: %s", w->t->name, o->why);
}
