/* Hash: XXH3-128 over canonical little-endian bytes; see hash.h. */
#include "ir/base/hash.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "ir/base/diag.h"
#include "ir/base/mem.h"

struct Hasher {
  XXH3_state_t *state;
};

Hasher *hasher_new(void) {
  Hasher *h = mem_alloc(sizeof *h);
  h->state = XXH3_createState();
  ASSERT(h->state);
  XXH3_128bits_reset(h->state);
  return h;
}

void hasher_bytes(Hasher *h, const void *p, size_t n) { XXH3_128bits_update(h->state, p, n); }

void hasher_u64(Hasher *h, uint64_t v) {
  unsigned char b[8];
  for (int i = 0; i < 8; i++) b[i] = (unsigned char)(v >> (8 * i));
  hasher_bytes(h, b, sizeof b);
}

void hasher_str(Hasher *h, const char *s) {
  hasher_u64(h, s ? strlen(s) : UINT64_MAX);
  if (s) hasher_bytes(h, s, strlen(s));
}

void hasher_hash(Hasher *h, Hash v) {
  hasher_u64(h, v.hi);
  hasher_u64(h, v.lo);
}

static Hash from_xxh(XXH128_hash_t x) { return (Hash){.hi = x.high64, .lo = x.low64}; }

Hash hasher_done(Hasher *h) {
  Hash out = from_xxh(XXH3_128bits_digest(h->state));
  XXH3_freeState(h->state);
  mem_free(h);
  return out;
}

Hash hash_bytes(const void *p, size_t n) { return from_xxh(XXH3_128bits(p, n)); }

bool hash_equal(Hash a, Hash b) { return a.hi == b.hi && a.lo == b.lo; }

void hash_hex(Hash h, char out[HASH_HEX]) {
  snprintf(out, HASH_HEX, "%016llx%016llx", (unsigned long long)h.hi, (unsigned long long)h.lo);
}

bool hash_parse(const char *hex, Hash *out) {
  uint64_t part[2] = {0, 0};
  for (int i = 0; i < 32; i++) {
    const char *digits = "0123456789abcdef", *at = hex[i] ? strchr(digits, hex[i]) : NULL;
    if (!at) return false;
    part[i / 16] = part[i / 16] << 4 | (uint64_t)(at - digits);
  }
  *out = (Hash){.hi = part[0], .lo = part[1]};
  return true;
}
