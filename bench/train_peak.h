/* The peak that bench/train.c measures its shares against. */
#ifndef BENCH_TRAIN_PEAK_H
#define BENCH_TRAIN_PEAK_H

#include <time.h>

/* Best GFLOP/s of a dozen short loops of FMAs on so many threads; 0 where it is not known how. */
double peak_gflops(int threads, clockid_t clock);

#endif
