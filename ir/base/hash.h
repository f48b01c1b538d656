/* Hash: 128-bit content hashes (XXH3, xxHash library), for cache keys and blob identity. */
#ifndef IR_BASE_HASH_H
#define IR_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Hash {
  uint64_t hi, lo;
} Hash;

typedef struct Hasher Hasher; /* streaming state */

Hasher *hasher_new(void);
void hasher_bytes(Hasher *h, const void *p, size_t n);
void hasher_u64(Hasher *h, uint64_t v);    /* little-endian on every machine */
void hasher_str(Hasher *h, const char *s); /* length first; NULL differs from "" */
void hasher_hash(Hasher *h, Hash v);
Hash hasher_done(Hasher *h); /* frees h */

Hash hash_bytes(const void *p, size_t n);
bool hash_equal(Hash a, Hash b);

enum { HASH_HEX = 33 };
void hash_hex(Hash h, char out[HASH_HEX]);
bool hash_parse(const char *hex, Hash *out); /* exactly 32 hex digits at the start of hex */

#endif
