/* A small residual net, made data and a device of the tests' own, and a tailoring run of them. */
#ifndef TESTS_TAILOR_FIXTURE_H
#define TESTS_TAILOR_FIXTURE_H

#include "ir/base/fingerprint.h"
#include "passes/tailor/tailor.h"

enum { TARGETS = 2, MOST = 4, SIDE = 8, CLASSES = 5 }; /* MOST: with those that come later */

typedef struct Fixture {
  Arena *a;
  Diag *d;
  Graph *model;
  DataSpec spec;
  Cache *cache;
  SourcePrint *prints;
  CostModel cost[MOST];
  TailorTarget target[MOST];
  int n; /* targets */
  Hash data_identity, test_identity;
  uint64_t seed;
  const char *keep;
  StrBuf ran; /* " slot:kind" of each step that was not in the cache */
  int steps;
  const Graph *teacher;          /* beside the original; NULL: none */
  int views;                     /* of a teacher's bank; 0: none */
  bool beside;                   /* then the original runs beside, */
  bool any_views;                /* or as the plan finds best */
  const TailorVariant *variants; /* n_variants of them */
  int n_variants;
  double close;
  StrBuf said;              /* the log */
  const char *prune;        /* options; NULL: by Taylor */
  bool int4;                /* weights of 4 bits are allowed */
  const char *int8, *other; /* ways to int8; NULL: the usual one; none */
  TailorSharing sharing;
  const char *plan; /* of an earlier run; NULL: none */
  StrBuf lock;      /* this run's */
  bool graphs, plan_only;
  double budget; /* of time; 0: none */
  int asks;      /* how often there is time left, when that is asked */
  double slow;   /* recorded trainings took so many times the usual; 0: 1 */
  int64_t main
      [MOST]; /* limit of a target's main memory, where it has two; 0: it has one, of which everything needs as much */
  int64_t code; /* bytes of flash that the device's code takes: FIXTURE_JUDGE decides that */
  /* When step `when` ("slot:kind") has run, `then` is called. */
  const char *when;
  void (*then)(struct Fixture *f);
  /* Of step `watch` that was asked for last: its key. Somebody else at work on it until all that can be done without is done. */
  const char *watch;
  Hash watched;
  struct Lease *others;
} Fixture;

/* For `then`: another process begins step `watch`, as it was in a run before. */
void fixture_others_begin(Fixture *f);

/* TailorTarget.regions: a small fast memory, which is full, and main. What is linked takes some bytes of that which no estimate has. */
enum { FIXTURE_FAST = 1000, FIXTURE_LINKED = 100 };
int fixture_regions(const void *ctx, const Graph *g, DType precision, TailorRegion out[TAILOR_REGIONS],
                    Diag *d);

/* A source of the device's `deploy` which no step before it has. */
#define FIXTURE_JUDGE "frontend/cli/code_form.c"

void fixture_open(Fixture *f);
void fixture_close(Fixture *f);
/* The design's options of retraining. */
void fixture_options(const Fixture *f, TrainOptions *out);
/* Fails the test where the run fails. What ran is in f->ran, the log in f->said, the plan in f->lock. */
void fixture_run(Fixture *f, TailorResult *res);
void fixture_run_and_drop(Fixture *f);
/* As if that source file had been edited. */
void fixture_edit_source(Fixture *f, const char *path);
/* Is every step that ran of a kind in `want` (" plan finish "), and did each kind of it run? */
void fixture_expect(const Fixture *f, const char *edit, const char *want);

#endif
