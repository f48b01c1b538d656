/* Arena: a chain of blocks, each twice the last up to 1 MiB; bump allocation, freed all at once.
 *
 *   Arena -> [block | used ....... free] -> [older block] -> ...
 *
 * A request larger than a block gets a block of its own, put behind the current one.
 */
#include "ir/base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "ir/base/mem.h"

typedef struct Block {
  struct Block *next;
  size_t used, cap;
  alignas(max_align_t) unsigned char bytes[];
} Block;

struct Arena {
  Block *top;
  size_t total;
};

enum { FIRST_BLOCK = 4096, LARGEST_BLOCK = 1 << 20 };

static Block *block_new(size_t cap) {
  Block *b = mem_zalloc(sizeof *b + cap);
  b->cap = cap;
  return b;
}

Arena *arena_new(void) {
  Arena *a = mem_zalloc(sizeof *a);
  a->top = block_new(FIRST_BLOCK);
  return a;
}

void arena_free(Arena *a) {
  if (!a) return;
  for (Block *b = a->top; b;) {
    Block *next = b->next;
    mem_free(b);
    b = next;
  }
  mem_free(a);
}

void *arena_alloc(Arena *a, size_t n) {
  size_t align = alignof(max_align_t);
  size_t need = (n + align - 1) / align * align;
  a->total += need;
  Block *b = a->top;
  if (b->cap - b->used < need) {
    size_t cap = b->cap * 2 > LARGEST_BLOCK ? LARGEST_BLOCK : b->cap * 2;
    if (need > cap) { /* its own block, behind the current one */
      Block *own = block_new(need);
      own->used = need;
      own->next = b->next;
      b->next = own;
      return own->bytes;
    }
    Block *fresh = block_new(cap);
    fresh->next = b;
    a->top = b = fresh;
  }
  void *p = b->bytes + b->used;
  b->used += need;
  return p;
}

void *arena_array(Arena *a, size_t n, size_t size) {
  size_t bytes;
  if (!mem_mul(n, size, &bytes)) bytes = SIZE_MAX / 2;
  return arena_alloc(a, bytes);
}

void *arena_dup(Arena *a, const void *p, size_t n) {
  void *q = arena_alloc(a, n);
  if (n) memcpy(q, p, n);
  return q;
}

char *arena_strndup(Arena *a, const char *s, size_t n) {
  char *q = arena_alloc(a, n + 1);
  memcpy(q, s, n);
  return q;
}

char *arena_strdup(Arena *a, const char *s) { return s ? arena_strndup(a, s, strlen(s)) : NULL; }

char *arena_printf(Arena *a, const char *fmt, ...) {
  va_list ap, again;
  va_start(ap, fmt);
  va_copy(again, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  va_end(ap);
  char *s = arena_alloc(a, (size_t)n + 1);
  vsnprintf(s, (size_t)n + 1, fmt, again);
  va_end(again);
  return s;
}

size_t arena_used(const Arena *a) { return a->total; }
