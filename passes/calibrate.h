/* Calibration: the range of every value of a float graph on training images, as int8 is to hold it. */
#ifndef PASSES_CALIBRATE_H
#define PASSES_CALIBRATE_H

#include "ir/graph.h"
#include "ir/step.h"
#include "runtime/data/dataset.h"

typedef enum CalMethod {
  CAL_MINMAX,     /* everything seen */
  CAL_PERCENTILE, /* all but the share of outermost elements, on either side */
  CAL_MSE,        /* the range with the least squared error: rounding inside, clipping outside */
  CAL_ENTROPY     /* the range whose 256 steps tell the distribution best: least divergence */
} CalMethod;

typedef struct CalOptions {
  CalMethod method;
  double percentile; /* CAL_PERCENTILE: 99.99 leaves 0.01 % out on either side */
  uint32_t images;   /* from the front of the training split */
} CalOptions;

typedef struct CalRange {
  float lo, hi;   /* contain 0 */
  float most;     /* largest magnitude seen, whatever the method */
  bool seen;      /* false: no float value, or never computed (the rest is 0) */
  double clipped; /* share of elements outside */
  double snr; /* dB: signal to error when the value alone is rounded to 256 steps of this range; 0: unknown */
} CalRange;

/* -- calibrate.c -- */

/* out[v] for each value; constants have the range of their data. The graph's outputs always get all that was
 * seen. Non-finite activations and constants are refused with the location of what computes them. */
bool calibrate(const Graph *g, const Dataset *ds, const CalOptions *o, const Host *host, CalRange *out,
               Diag *d);

/* All float values but constants, batch by batch: fn gets n elements of value v, of whole images. By the engine, or, where it
 * does not run the graph, by the generic kernels. */
typedef void CalVisit(void *ctx, ValId v, const float *x, int64_t n);
bool calibrate_visit(const Graph *g, const Dataset *ds, uint32_t images, const Host *host, CalVisit *fn,
                     void *ctx, Diag *d);

/* The mean over calibration images of each element of the values that `want` marks: mean[v], elements of one image, the
 * caller's to free; NULL where nothing was computed for each image. */
bool calibrate_means(const Graph *g, const Dataset *ds, uint32_t images, const Host *host, const bool *want,
                     double **mean, Diag *d);

/* The largest magnitude of each channel (innermost axis), likewise. */
bool calibrate_channels(const Graph *g, const Dataset *ds, uint32_t images, const Host *host,
                        const bool *want, float **most, Diag *d);

/* -- calibrate_range.c -- */

enum { CAL_BINS = 2048 };

/* What was seen of a value: exact zeros apart. */
typedef struct Histogram {
  float lo, hi; /* of the bins */
  double zeros, total;
  double bin[CAL_BINS];
} Histogram;

/* Narrows *r, which holds all that was seen, by the method. */
void range_choose(const Histogram *h, const CalOptions *o, CalRange *r);
/* r's clipped and snr, with its ends. */
void range_measure(const Histogram *h, CalRange *r);

#endif
