/* Runs of `mistify tailor` for bench/collective.c: each in a folder of its own, kept when it is done (collective_runs.c); what
 * their reports say (collective_reports.c). */
#ifndef BENCH_COLLECTIVE_RUNS_H
#define BENCH_COLLECTIVE_RUNS_H

#include "bench/collective_tasks.h"

/* Where the bench works, and with how much. */
typedef struct Setting {
  const Task *task;
  Request requests[TARGETS + 1];
  const char *folder;
  TaskData data;
  const char *length; /* of the collective's retraining: "epochs: 4" */
  Bench *b;
  Arena *a;
  double weight_left, weight_done, seconds_done; /* for the time left */
  StrBuf told;                                   /* jobs that were counted, " key key " */
} Setting;

typedef struct Job {
  const char *key;    /* its folder's name */
  const char *length; /* of retraining, as the design has it: "epochs: 4" */
  const char *sharing;
  const int *targets; /* [n] numbers of requests */
  int n;
  const char *from; /* a kept run whose results and cache this one goes on with; NULL: an empty cache */
  bool add;         /* the 41st joins */
  int tightened;    /* this target's limits fall by 10 %; -1: none */
  bool firmware;    /* end to end, with compilers and emulators; else from import to int8 graph */
  bool keep;        /* the cache, for other runs */
  double weight;    /* about how long, in runs of all forty: for the time left */
} Job;

typedef struct Ran {
  double seconds; /* wall clock of the process */
  const char *out;
  const Json *report;
} Ran;

/* The folder is new, or what is in it was made by these sources; data and nothing else is made where it is not there. */
void runs_open(Setting *s);
/* Do the job, or take what is kept of it. */
Ran runs_do(Setting *s, const Job *j);
/* deploy.yaml, design and an empty OUT for jobs that are started by hand. */
void runs_prepare(Setting *s, const Job *j);
/* Start it; for command_wait. */
int runs_start(const Setting *s, const Job *j);
const char *runs_path(const Setting *s, const char *key, const char *file);

/* -- of reports -- */
const Json *ran_target(const Ran *r, int target);
/* Of 0..1, by the final precision. */
double ran_validation(const Ran *r, int target);
double ran_mean_validation(const Ran *r);
/* Steps of retraining that were not in the cache. */
int ran_trainings(const Ran *r);
/* Seconds of the steps that all targets share. */
double ran_common(const Ran *r);
/* Whom the steps were for that were not in the cache, "a b c". */
const char *ran_for(const Setting *s, const Ran *r);

/* The limit that the delivered model comes nearest to: which, on what, how much. */
typedef struct Binding {
  int kind;
  const char *machine;
  double limit;
} Binding;
Binding ran_binding(const Json *target);
/* How far apart the nearest two limits of one kind are (cycles: of one machine), as a factor. */
double ran_nearest_limits(const Ran *r, const int *targets, int n);
/* Models of other MACs or other parameters. */
int ran_architectures(const Ran *r, const int *targets, int n);

#endif
