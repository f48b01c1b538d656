/* Rng: a small, fast, reproducible generator (xoshiro256**, Blackman and Vigna 2018), seeded by splitmix64. */
#ifndef IR_BASE_RNG_H
#define IR_BASE_RNG_H

#include <stdint.h>

typedef struct Rng {
  uint64_t s[4];
} Rng;

/* `stream` separates generators of one seed (epoch, image index, layer, ...). */
void rng_seed(Rng *r, uint64_t seed, uint64_t stream);
uint64_t rng_u64(Rng *r);
/* Uniform in 0 .. n-1 (n > 0), without bias. */
uint32_t rng_below(Rng *r, uint32_t n);
/* Uniform in [0, 1), 24 bits. */
float rng_uniform(Rng *r);
/* Standard normal (Box-Muller in double). */
float rng_normal(Rng *r);
/* In-place Fisher-Yates shuffle of n indices. */
void rng_shuffle(Rng *r, uint32_t *idx, uint32_t n);

#endif
