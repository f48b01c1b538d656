/* The nearest of a list of names: "did you mean ...?" */
#ifndef IR_BASE_NEAREST_H
#define IR_BASE_NEAREST_H

#include <stddef.h>

/* Edits (insert, delete, replace, swap of neighbours; case ignored) that turn a into b. Names longer than 63
 * bytes are compared by their first 63. */
size_t name_distance(const char *a, const char *b);

/* The name of the NULL-terminated list that is nearest to `name`, the first of equals; NULL when none is near
 * enough to be meant: more than a third of its letters differ, and neither begins with the other. */
const char *name_nearest(const char *name, const char *const *names);

#endif
