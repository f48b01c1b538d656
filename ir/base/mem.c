/* Memory: checked wrappers of the C library's allocator; see mem.h.
 *
 * The tool runs on a host, holds weights of known size and cannot go on without them, so exhaustion has
 * one answer: say how much was wanted and stop. Nothing half-written stays behind, because every output
 * is written beside its final name and renamed (file.h).
 */
#include "ir/base/mem.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void oom_default(size_t wanted) {
  fprintf(stderr, "mistify: out of memory: could not get %zu bytes\n", wanted);
  exit(3);
}

static OomHandler *oom_handler = oom_default;

void mem_set_oom_handler(OomHandler *handler) { oom_handler = handler ? handler : oom_default; }

static _Atomic uint64_t allocations;

uint64_t mem_allocations(void) { return atomic_load_explicit(&allocations, memory_order_relaxed); }

static void *checked(void *p, size_t n) {
  atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
  if (!p) {
    oom_handler(n);
    abort();
  }
  return p;
}

void *mem_alloc(size_t n) { return checked(malloc(n ? n : 1), n); }

void *mem_zalloc(size_t n) { return checked(calloc(n ? n : 1, 1), n); }

void *mem_alloc_aligned(size_t n, size_t align) {
  size_t rounded = (n + align - 1) / align * align;
  if (rounded < n) checked(NULL, n);
  return checked(aligned_alloc(align, rounded ? rounded : align), n);
}

void *mem_realloc(void *p, size_t n) { return checked(realloc(p, n ? n : 1), n); }

char *mem_strdup(const char *s) {
  size_t n = strlen(s) + 1;
  return memcpy(mem_alloc(n), s, n);
}

void mem_free(void *p) { free(p); }

bool mem_mul(size_t a, size_t b, size_t *out) {
  if (b && a > SIZE_MAX / b) return false;
  *out = a * b;
  return true;
}

void *mem_array(size_t n, size_t size) {
  size_t bytes;
  if (!mem_mul(n, size, &bytes)) checked(NULL, SIZE_MAX);
  return mem_zalloc(bytes);
}

void mem_grow(void **p, size_t *cap, size_t need, size_t size) {
  if (need <= *cap) return;
  size_t next = *cap ? *cap : 8, bytes;
  while (next < need) {
    if (next > SIZE_MAX / 2) checked(NULL, SIZE_MAX);
    next *= 2;
  }
  if (!mem_mul(next, size, &bytes)) checked(NULL, SIZE_MAX);
  *p = mem_realloc(*p, bytes);
  *cap = next;
}
