/* What chance decides in bench/collective.c, chosen before anything was run. */
#ifndef BENCH_COLLECTIVE_SEEDS_H
#define BENCH_COLLECTIVE_SEEDS_H

enum {
  SEED_SAMPLE = 20261127, /* which target of each stratum */
  SEED_BOOTSTRAP = 1,     /* of intervals */
  SEED_KILLS = 2          /* when the job is killed */
};

#endif
