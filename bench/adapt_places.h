/* Sites for part "sites": who has which images of CIFAR-10, in which mix of labels (Dirichlet 0.3) and under which corruption, as
 * images and as the features that the shipped model has before its last layer. */
#ifndef BENCH_ADAPT_PLACES_H
#define BENCH_ADAPT_PLACES_H

#include "bench/adapt.h"
#include "runtime/data/corrupt.h"

enum { SITE_CLASSES = 10, SITE_FEATURES = 64, SITE_KINDS = CORRUPT_KINDS + 1, SITES_MOST = 100 };

/* The same examples in both forms, with labels. */
typedef struct Seen {
  Split images, features;
} Seen;

typedef struct Place {
  Seen has;
  int kind; /* 0: images as they are, k: corruption k - 1 of severity 2 */
  double mix[SITE_CLASSES];
} Place;

typedef struct Places {
  Place *at;
  int n;
} Places;

/* What makes features; seconds of the processor and images so far. */
typedef struct Eyes {
  const Adapt *ad;
  const Graph *body;
  Normalize nz;
  double seconds, images;
} Eyes;

/* Images idx [n] of s (NULL: the first n) under a corruption; seen_free. */
Seen seen_new(Eyes *e, const Split *s, const uint32_t *idx, uint32_t n, int kind);
void seen_free(Seen *s);
/* Local images first .. of s dealt to so many sites; those with fewer than 5 are none. places_free. */
Places places_new(Eyes *e, const Split *s, uint32_t first, int sites, uint64_t seed);
void places_free(Places *p);
/* All sites' examples in one place. */
Seen places_pooled(const Places *p);

#endif
