/* Arena: many small allocations with one lifetime. A graph, a configuration, a plan each own one. */
#ifndef IR_BASE_ARENA_H
#define IR_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

typedef struct Arena Arena;

Arena *arena_new(void);
void arena_free(Arena *a); /* NULL is allowed */

/* Zeroed memory, aligned for any type; lives until arena_free. */
void *arena_alloc(Arena *a, size_t n);
void *arena_array(Arena *a, size_t n, size_t size); /* overflow-checked */
void *arena_dup(Arena *a, const void *p, size_t n);
char *arena_strdup(Arena *a, const char *s); /* NULL gives NULL */
char *arena_strndup(Arena *a, const char *s, size_t n);
char *arena_printf(Arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Bytes handed out so far. */
size_t arena_used(const Arena *a);

#endif
