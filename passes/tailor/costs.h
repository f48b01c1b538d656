/* What trainings took, for estimates of those to come: a file in the cache's folder, CACHE/costs.
 *
 *   mistify costs 1
 *   KEY images 9600 macs 1200000 threads 2 seconds 31.5       a training each, the oldest first; KEY: its step's
 *   HEX                                                       checksum of the lines above
 *
 * Seconds of a training are images * (image + mac * MACs): two rates, found by least squares. MACs are the model's, and a
 * third of a teacher's that runs beside it. The file only guides: plans rest on
 * rates that are frozen in plan.lock. One that is damaged counts as empty.
 */
#ifndef PASSES_TAILOR_COSTS_H
#define PASSES_TAILOR_COSTS_H

#include "ir/base/arena.h"
#include "ir/base/diag.h"
#include "ir/base/hash.h"

typedef struct CostRecord {
  Hash key;
  int64_t images;
  double macs, seconds;
  int threads;
} CostRecord;

typedef struct CostRates {
  double image, mac; /* seconds of an image, and of each of its MACs; not negative, one of them positive */
  int records;       /* that they come from; 0: none, they are defaults */
  double threads;    /* of these, on average over their seconds; 1 or more */
} CostRates;

extern const CostRates costs_default;

/* Those of folder dir; in `a`. Returns their number. */
size_t costs_read(Arena *a, const char *dir, CostRecord **out);
/* Add records; of equal keys the last one stays, of all the newest few hundred. */
bool costs_add(const char *dir, const CostRecord *v, size_t n, Diag *d);
/* From trainings with so many threads; where there are none, from all. */
CostRates costs_fit(const CostRecord *v, size_t n, int threads);
/* Rates as they are used: two digits are all they are worth, and the same file read a training later often gives the same. */
CostRates costs_rounded(CostRates r);

#endif
