/* Random numbers of the data program: xoshiro256**, seeded by splitmix64.
 *
 * Every image has its own stream, made from (seed, split, index), so that neither the number of
 * threads nor the size of a split changes an image.  Nothing here calls libm: its sin, exp and
 * log may differ by a bit between machines, and a bit of difference in a grey value is another
 * data set.  What is used (+ - * / and sqrtf) IEEE 754 rounds correctly everywhere.
 *
 * Source: Blackman and Vigna, "Scrambled linear pseudorandom number generators",
 * ACM TOMS 47 (2021); Steele, Lea and Flood, "Fast splittable PRNGs", OOPSLA 2014.
 */
#ifndef LABEL_READER_RNG_H
#define LABEL_READER_RNG_H

#include <stdint.h>

/* clang fuses a*b+c where the processor can, which rounds differently; gcc -std=c11 does not. */
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

typedef struct Rng {
  uint64_t s[4];
} Rng;

static inline uint64_t rng_splitmix(uint64_t *state) {
  uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

/* The stream number INDEX of KIND (a split, or another purpose) under SEED. */
static inline Rng rng_stream(uint64_t seed, uint64_t kind, uint64_t index) {
  Rng r;
  uint64_t h = seed;

  h = rng_splitmix(&h) ^ kind;
  h = rng_splitmix(&h) ^ index;
  for (int i = 0; i < 4; i++) r.s[i] = rng_splitmix(&h);
  return r;
}

static inline uint64_t rng_rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

static inline uint64_t rng_next(Rng *r) {
  uint64_t *s = r->s, out = rng_rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rng_rotl(s[3], 45);
  return out;
}

/* 0 .. n-1, n > 0; the bias of n / 2^32 does not matter for pictures. */
static inline int rng_below(Rng *r, int n) { return (int)(((rng_next(r) >> 32) * (uint64_t)n) >> 32); }

/* lo <= x < hi in steps of 2^-24 of the range. */
static inline float rng_range(Rng *r, float lo, float hi) {
  return lo + (hi - lo) * ((float)(rng_next(r) >> 40) * (1.0f / 16777216.0f));
}

static inline int rng_percent(Rng *r, int p) { return rng_below(r, 100) < p; }

/* Near-normal, mean 0, variance 1, within +-3.46: the sum of four 16-bit uniform numbers. */
static inline float rng_normal(Rng *r) {
  uint64_t x = rng_next(r);
  int sum = (int)(x & 0xffff) + (int)((x >> 16) & 0xffff) + (int)((x >> 32) & 0xffff) + (int)(x >> 48);

  return (float)(sum - 131070) * (1.7320508f / 65536.0f);
}

#endif
