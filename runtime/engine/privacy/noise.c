/* See noise.h. Source of the generator: getrandom(2), which blocks until the kernel's pool has been filled once. */
#include "runtime/engine/privacy/noise.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/random.h>

static bool fill(Noise *n) {
  size_t have = 0;
  char *at = (char *)n->pool;
  while (have < sizeof n->pool) {
    const ssize_t got = getrandom(at + have, sizeof n->pool - have, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    have += (size_t)got;
  }
  n->left = NOISE_POOL;
  return true;
}

bool noise_open(Noise *n, uint64_t seed, Diag *d) {
  *n = (Noise){.seeded = seed != 0};
  if (seed) {
    rng_seed(&n->rng, seed, UINT64_C(0x4e4f495345));
    return true;
  }
  FAIL_IF(!fill(n), d, NULL, "the operating system's random generator does not answer: %s", strerror(errno));
  return true;
}

void noise_close(Noise *n) {
  volatile unsigned char *p = (volatile unsigned char *)n;
  for (size_t i = 0; i < sizeof *n; i++) p[i] = 0;
}

uint64_t noise_u64(Noise *n) {
  if (n->seeded) return rng_u64(&n->rng);
  if (n->left == 0 && !fill(n)) {
    n->failed = true;
    return 0;
  }
  const uint64_t v = n->pool[--n->left];
  n->pool[n->left] = 0;
  return v;
}

double noise_uniform(Noise *n) { return (double)(noise_u64(n) >> 11) * 0x1p-53; }

static double one_normal(Noise *n) {
  if (n->has_spare) {
    n->has_spare = false;
    return n->spare;
  }
  const double u = ((double)(noise_u64(n) >> 11) + 1) * 0x1p-53; /* (0, 1] */
  const double r = sqrt(-2 * log(u)), turn = 6.28318530717958647692 * noise_uniform(n);
  n->spare = r * sin(turn);
  n->has_spare = true;
  return r * cos(turn);
}

double noise_normal(Noise *n) {
  const double a = one_normal(n), b = one_normal(n), c = one_normal(n), e = one_normal(n);
  return 0.5 * ((a + b) + (c + e));
}
