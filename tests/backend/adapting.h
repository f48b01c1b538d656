/* What the tests of learning on the device share: a float net with its int8 form and data, emitted C that learns, and orders
 * to it.
 */
#ifndef TESTS_BACKEND_ADAPTING_H
#define TESTS_BACKEND_ADAPTING_H

#include "backend/backend.h"
#include "ir/base/strbuf.h"
#include "tests/passes/images.h"

enum { ADAPT_CLASSES = 5, ADAPT_IMAGES = 60, ADAPT_RESULTS = 24 }; /* results begin with counts, 24 bytes */

/* A float net, its int8 form, and data: real, and as the codes that this one takes. */
typedef struct AdaptNet {
  Graph *f, *q;
  Dataset ds;
  int8_t *codes; /* [ADAPT_IMAGES][item] */
  int64_t item;
} AdaptNet;

/* Every layer with a way back that a residual net lacks: windows that overlap, go apart or have other steps, groups, a multiplier of
 * channels, a ReLU6, a Sub, constants that are spread, Slices, a hidden FullyConnected over an image. */
extern const char adapt_constructs[];
/* Takes g, of 5 classes. */
AdaptNet adapt_net_of(Graph *g, uint64_t seed);
/* A residual one. */
AdaptNet adapt_net(uint64_t seed);
void adapt_net_free(AdaptNet *n);
const void *adapt_image(const AdaptNet *n, int i);
size_t adapt_image_bytes(const AdaptNet *n);

/* Emitted as NAME into a folder of its own, whose path it returns (static buffer). */
const char *adapt_emitted(const Graph *g, const char *target, const char *name, DeviceAdapt layers,
                          int64_t memory, AdaptSizes *sizes);
/* Why it is not emitted, from a static buffer; *o's folder stays away. */
const char *adapt_refused(const Graph *g, const EmitOptions *o);
/* Results of the orders; sb_free. */
StrBuf adapt_obey(const char *dir, const char *target, const AdaptRun *r);
/* Steps on images 0 .. n-1 in turn, then the words: n + 1 orders. */
AdaptRun adapt_steps(const AdaptNet *n, AdaptOrder *orders, int steps);
/* Cosine of two vectors, and the ratio of their lengths. */
void adapt_compare(const float *a, const float *b, int64_t n, double *cosine, double *ratio);

#endif
