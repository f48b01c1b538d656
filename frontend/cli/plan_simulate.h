/* `mistify plan --simulate`: schedules of made-up requests (passes/tailor/simulate.h), timed. */
#ifndef FRONTEND_CLI_PLAN_SIMULATE_H
#define FRONTEND_CLI_PLAN_SIMULATE_H

#include "frontend/cli/cli.h"

typedef struct SimulateOpts {
  const CommonOpts *common;
  const char *deploy, *cache; /* NULL: a made-up net; deploy.yaml's */
  int64_t n;
  uint64_t seed;
  bool arriving; /* one by one */
} SimulateOpts;

/* Returns the exit status. */
int plan_simulate(const SimulateOpts *o, Diag *d);

#endif
