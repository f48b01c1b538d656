/* Memory: the one place that calls the C library's allocator.
 *
 * Out of memory is reported here and ends the program (exit 3): no caller checks for NULL.
 * A host that embeds the library replaces the handler with mem_set_oom_handler.
 */
#ifndef IR_BASE_MEM_H
#define IR_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All of these never return NULL (n == 0 counts as 1). */
void *mem_alloc(size_t n);  /* uninitialised */
void *mem_zalloc(size_t n); /* zeroed */
void *mem_alloc_aligned(size_t n,
                        size_t align); /* align: power of two >= sizeof(void *); free with mem_free */
void *mem_realloc(void *p, size_t n);
char *mem_strdup(const char *s);
void mem_free(void *p); /* NULL is allowed */

/* Product with overflow check: true when a * b fits and *out was written. */
bool mem_mul(size_t a, size_t b, size_t *out);

/* A zeroed array of n elements of size bytes; an overflowing product counts as out of memory. */
void *mem_array(size_t n, size_t size);

/* Grow *p (elements of size bytes, *cap of them) so that `need` elements fit; doubles. */
void mem_grow(void **p, size_t *cap, size_t need, size_t size);

/* How often the functions above have asked the C library for memory so far, on any thread: for tests that something
 * allocates nothing. */
uint64_t mem_allocations(void);

typedef void OomHandler(size_t wanted);
void mem_set_oom_handler(OomHandler *handler);

#endif
