/* Who is trained from whom, and how long: decided for all requests together, before any training.
 *
 *   base --> 60 % --> 45 % --> 40 %            a tree of warm starts: a model begins with the weights of the tightest one
 *              \                               that contains it, the nearer the shorter
 *               +--> (joint) --> 30 % wide     two that are incomparable may get a joint ancestor, a model that nobody asked
 *                        \-----> 28 % deep     for, where that saves more training than it costs
 *
 * A later request joins a schedule as a leaf of it, or finds its model there: what was trained stays as it is.
 *
 * Pure: sets of units and numbers in, nodes out; no graph, no data, no clock. 10,000 requests take about a second.
 */
#ifndef PASSES_TAILOR_SCHEDULE_H
#define PASSES_TAILOR_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "ir/base/arena.h"

typedef enum TailorSharing {
  SHARE_NOTHING, /* every target is retrained from the original, for as long as the design says */
  SHARE_CHAIN,   /* warm starts from the nearest looser request alone */
  SHARE_TREE,    /* and joint ancestors */
  SHARE_ELASTIC /* one elastic model of all requests of a base, from which they are cut: nodes are not trained */
} TailorSharing;

enum { SCHEDULE_WORD_BITS = 64 };

/* Widths: which units of a base stay, a bit each. */
typedef struct ScheduleRequest {
  int base; /* requests of different bases share no training */
  double macs;
  const uint64_t *units; /* [words of its base] */
} ScheduleRequest;

typedef struct ScheduleBase {
  double macs;
  int words;
} ScheduleBase;

/* A training of n models together that follows one of the schedule's: variants that share weights. */
typedef struct ScheduleJoint {
  int request;              /* whose model it begins with; -1: a base */
  double base, macs, share; /* MACs of what was cut, of the widest; of that the narrowest has this share */
  int n;
} ScheduleJoint;

typedef struct ScheduleRules {
  TailorSharing sharing;
  int64_t
      images; /* of a full retraining, which a model gets, times its growth, with half of its parent's MACs, or less */
  int64_t step; /* images of one step: lengths are multiples */
  /* A warm start's length is this share of a full retraining for each halving of MACs, at most all of it, times
   * (base / model)^growth (what is left of a small model needs more, and costs little), and at least `least`. */
  double per_halving, growth, least;
  double share;      /* all lengths are shortened to it, down to `least`; 0: not */
  double image, mac; /* seconds of training for an image, and for each of its MACs */
  double beside;     /* MACs that each image costs beside the model's: of teachers that run with it */
  const ScheduleJoint
      *joints; /* [n_joints] what is trained behind the schedule, equal ones once: time alone, no nodes */
  int n_joints;
  /* MACs of base `base` with these units; negative: there is no such model. */
  double (*macs)(void *ctx, int base, const uint64_t *units);
  void *ctx;
} ScheduleRules;

/* What `tailor` and `plan --simulate` set. */
typedef struct ScheduleLengths {
  double per_halving, growth, least;
} ScheduleLengths;
extern const ScheduleLengths schedule_lengths;

typedef struct ScheduleNode {
  int request; /* the first that wants it; -1: a joint ancestor, or one whose request has gone */
  int base;
  int parent;     /* a node before it; -1: the base */
  int64_t images; /* it is trained on */
  int64_t skip;   /* images of the path to its parent */
  bool kin;       /* it has a parent or children; without, it is trained as if it were the only request */
  bool joint;     /* nobody asked for it */
  bool fixed;     /* of an earlier schedule: parent, images and place stay */
  double macs, seconds;
  const uint64_t *units;
} ScheduleNode;

typedef struct Schedule {
  Arena *arena;
  ScheduleNode *nodes; /* parents before their children */
  int n, joint;        /* of these, joint ancestors */
  int *node_of;        /* [n_requests]; requests of equal widths share one */
  int64_t images;      /* of all nodes */
  double seconds;
} Schedule;

/* bases' and requests' units must outlive the schedule. The same input gives the same schedule. before [n_before]: nodes of an
 * earlier schedule, parents first, to which new requests are joined so that nothing that was trained is trained again; those
 * that no request needs any more are dropped. */
void schedule_make(const ScheduleRequest *requests, int n, const ScheduleBase *bases,
                   const ScheduleRules *rules, const ScheduleNode *before, int n_before, Schedule *out);
void schedule_free(Schedule *s);

/* Images of a full retraining, shortened. */
int64_t schedule_full(const ScheduleRules *r);
/* What shortening leaves of the images that the schedule's nodes and joint trainings would take: a share, more than r->share where
 * many have the least. */
double schedule_kept(const Schedule *s, const ScheduleBase *bases, const ScheduleRules *r);
/* Images of a warm start from a model of `from` MACs to one of `to`, both cut from one of `base`. */
int64_t schedule_images(const ScheduleRules *r, double base, double from, double to);
/* Images of the joint training of n models, each inside the one before it, from `widest` MACs in equal ratios down to `share` of
 * them: those of a chain of warm starts down to the narrowest, as each step is to do for all what each of these does for one. */
int64_t schedule_family(const ScheduleRules *r, double base, double widest, int n, double share);
/* Of a joint training; its seconds: each step runs all models. */
int64_t schedule_joint_images(const ScheduleRules *r, const ScheduleJoint *j);
double schedule_joint_seconds(const ScheduleRules *r, const ScheduleJoint *j);

/* Seconds of training a model of so many MACs on `images`. */
double schedule_seconds(const ScheduleRules *r, double macs, int64_t images);
/* All estimates again, by other rates. */
void schedule_estimate(Schedule *s, const ScheduleRules *r);
/* Seconds by the clock, when `at_once` trainings go on side by side, joint ones included: no less than the longest way from a base
 * to a leaf, or to the end of what is trained behind it. */
double schedule_wall(const Schedule *s, const ScheduleRules *r, double at_once);
/* The largest share by which the schedule of these requests takes no longer than `most` by the clock; where the least does,
 * that one. 1: nothing need be shortened. Arguments as those of schedule_make. */
double schedule_share(const ScheduleRequest *requests, int n, const ScheduleBase *bases,
                      const ScheduleRules *rules, double at_once, double most);

#endif
