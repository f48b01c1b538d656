/* A segment in the making: its calls as stages of a loop (segment.c), their rings (rings.c), what may overlap
 * (pairs.c), what fits into free slots of rings (guests.c). */
#ifndef BACKEND_PLAN_STAGES_H
#define BACKEND_PLAN_STAGES_H

#include "backend/plan/plan.h"

enum { LINKS_MAX = 4 * SEG_MAX, STEP_MAX = 4096, TIME_MAX = 1 << 20 };

typedef struct Stage {
  const KernelCall *call; /* NULL: the caller, who gives the input's rows */
  bool formed;            /* the call is `form`, by rows of the input */
  KernelCall form;
  int32_t at, rows; /* number of the call; rows that it computes */
  CallView out;
  ValId in_root[CALL_MAX_IN], out_root; /* NO_VAL: no such input, or a constant */
  CallRows map;
  PlanStage time;
} Stage;

/* Row y of stage `to` needs rows up to y * mul + ahead of stage `from`. */
typedef struct Link {
  int from, to;
  int32_t mul, ahead;
} Link;

typedef struct Ring {
  ValId val;
  int share;           /* number of the ring whose bytes it shares; its own: none */
  int64_t rows, row;   /* of the shared ring */
  int32_t first, last; /* calls */
  bool stays;          /* it holds rows from one time to the next */
} Ring;

/* A stage that touches a value; input -1: it writes it. */
typedef struct Access {
  int stage, input;
} Access;
enum { ACCESS_MAX = (SEG_MAX + 1) * (CALL_MAX_IN + 1) };

typedef struct Stages {
  const Planner *p;
  Stage v[SEG_MAX + 1];
  int n, feed;               /* the stages before `feed` are the caller */
  Access access[ACCESS_MAX]; /* by value, a list of each: from p->first_access on */
  int next_access[ACCESS_MAX], n_accesses;
  Link link[LINKS_MAX];
  int n_links;
  int32_t steps;
  Ring ring[SEG_MAX + 1];
  int n_rings;
} Stages;

static inline ValId stage_in(const Stage *s, int i) { return s->in_root[i]; }
static inline ValId stage_out(const Stage *s) { return s->out_root; }

/* All accesses to root v, in the order of stages, behind the n that are there already. Returns the new count. */
int accesses_find(const Stages *m, ValId v, Access *out, int n);
/* Make the lists when all stages are there, and drop them. */
void accesses_list(Stages *m);
void accesses_forget(const Stages *m);

/* Times at which something may change for these stages, without the middle of long loops, where they run in a steady
 * cycle:  for (int32_t t = 0; t < m->steps; t = times_next(m, list, n, t)) */
int32_t times_next(const Stages *m, const Access *list, int n, int32_t t);

/* The values that become rings, and their rows. False: a value that cannot be one. */
bool rings_find(Stages *m, int32_t first, int32_t n);
/* The first row of a ring that an access has yet to read (or, as a later writer, to write), `done` rows being done. */
int32_t ring_next_row(const Stages *m, const Access *a, int32_t done);
void pairs_find(const Stages *m, Segment *s);

/* -- hop.c -- */
/* Whether the calls that the caller's rows drive can go on from one window to the next. */
bool hop_fits(const Stages *m);

/* -- guests.c -- */
/* Give items that hold nothing between two times a slot of a ring that is free then. */
void guests_find(const Stages *m, Segment *s);

#endif
