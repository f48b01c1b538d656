/* plan.lock: what was decided before work, as text, so that a run repeats from it whatever is measured or known later, and
 * later requests join it.
 *
 *   mistify-plan 1
 *   basis HEX                                    everything that the decisions rest on but the requests: another one, another plan
 *   rates image 4e-05 mac 3e-11                  seconds of training an image, and each of its MACs
 *   views 2 full 48000                           of the teachers' banks; images of a full retraining
 *   shortened 0.5 budget 1800 at_once 2          where lengths are: their share, for how many seconds by the clock
 *   model "m4" base "" parent -1 macs 1200000 images 9600 skip 0 kin 1 joint 0 units 00ff..
 *   target "m4" request HEX model 0 int4 0       -1: the original fits
 *   end HEX                                      of everything before it
 *
 * A target whose request (limits, device, precision) is the same keeps its widths; a model keeps its parent and its length.
 */
#ifndef PASSES_TAILOR_LOCK_H
#define PASSES_TAILOR_LOCK_H

#include "ir/base/arena.h"
#include "ir/base/diag.h"
#include "ir/base/hash.h"
#include "ir/base/strbuf.h"
#include "passes/tailor/schedule.h"

typedef struct LockModel {
  const char *name, *base; /* base: of a structure; "": the original's */
  ScheduleNode node;       /* without base and request; units of `words` words */
  int words;
} LockModel;

typedef struct LockTarget {
  const char *name;
  Hash request;
  int model; /* -1: the original fits */
  bool int4;
} LockTarget;

typedef struct Lock {
  Hash basis;
  double image, mac;
  int views;
  int64_t full;
  double share, budget, at_once; /* ScheduleRules.share, and why; 0: not shortened */
  LockModel *models;
  int n_models;
  LockTarget *targets;
  int n_targets;
} Lock;

void lock_print(const Lock *l, StrBuf *out); /* out is empty */
/* Everything in `a`. false: it is no plan of this version, or damaged: reported with its line. */
bool lock_parse(const char *text, Arena *a, Lock *out, Diag *d);
/* The target of that request; NULL: none. */
const LockTarget *lock_find(const Lock *l, Hash request);

#endif
