/* Rng: see rng.h. */
#include "ir/base/rng.h"

#include <math.h>

static uint64_t splitmix(uint64_t *x) {
  uint64_t z = *x += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

void rng_seed(Rng *r, uint64_t seed, uint64_t stream) {
  uint64_t x = seed ^ stream * 0xd1342543de82ef95u;
  for (int i = 0; i < 4; i++) r->s[i] = splitmix(&x);
}

static uint64_t rotl(uint64_t x, int k) { return x << k | x >> (64 - k); }

uint64_t rng_u64(Rng *r) {
  uint64_t *s = r->s, out = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotl(s[3], 45);
  return out;
}

uint32_t rng_below(Rng *r, uint32_t n) {
  uint32_t limit = (uint32_t)(-n) % n; /* 2^32 mod n: reject below it */
  for (;;) {
    uint64_t m = (rng_u64(r) >> 32) * n;
    if ((uint32_t)m >= limit) return (uint32_t)(m >> 32);
  }
}

float rng_uniform(Rng *r) { return (float)(rng_u64(r) >> 40) * 0x1p-24f; }

float rng_normal(Rng *r) {
  double u = ((double)(rng_u64(r) >> 11) + 1.0) * 0x1p-53, v = (double)(rng_u64(r) >> 11) * 0x1p-53;
  return (float)(sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v));
}

void rng_shuffle(Rng *r, uint32_t *idx, uint32_t n) {
  for (uint32_t i = n; i > 1; i--) {
    uint32_t j = rng_below(r, i), t = idx[i - 1];
    idx[i - 1] = idx[j];
    idx[j] = t;
  }
}
