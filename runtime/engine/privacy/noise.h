/* Random numbers for private steps: from the operating system's generator, or, for tests alone, from a seed.
 *
 * A seeded source protects nobody: who knows the seed takes the noise off again. Callers must say so (noise_private).
 */
#ifndef RUNTIME_ENGINE_PRIVACY_NOISE_H
#define RUNTIME_ENGINE_PRIVACY_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ir/base/diag.h"
#include "ir/base/rng.h"

enum { NOISE_POOL = 256 };

typedef struct Noise {
  bool seeded;
  Rng rng;
  uint64_t pool[NOISE_POOL]; /* of getrandom, each word used once and wiped */
  size_t left;
  bool failed; /* the generator did not answer: what was drawn since is worthless */
  double spare;
  bool has_spare;
} Noise;

/* seed 0: the operating system's generator, asked at once; false and a report when there is none. */
bool noise_open(Noise *n, uint64_t seed, Diag *d);
void noise_close(Noise *n); /* wipes */
static inline bool noise_private(const Noise *n) { return !n->seeded && !n->failed; }

uint64_t noise_u64(Noise *n);
double noise_uniform(Noise *n); /* [0, 1), 53 bits */
/* Standard normal: half the sum of four Box-Muller draws, against attacks on the last bits of one (Mironov 2012;
 * Holohan and Braghin 2021, arXiv:2107.10138). */
double noise_normal(Noise *n);

#endif
