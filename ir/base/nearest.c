/* Optimal string alignment distance (restricted Damerau-Levenshtein), three rows of the table kept. */
#include "ir/base/nearest.h"

#include <stdbool.h>
#include <string.h>

enum { LONGEST = 63 };

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

static size_t min2(size_t a, size_t b) { return a < b ? a : b; }

size_t name_distance(const char *a, const char *b) {
  size_t na = min2(strlen(a), LONGEST), nb = min2(strlen(b), LONGEST);
  size_t rows[3][LONGEST + 1];
  for (size_t j = 0; j <= nb; j++) rows[0][j] = j;
  for (size_t i = 1; i <= na; i++) {
    size_t *row = rows[i % 3], *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];
    row[0] = i;
    for (size_t j = 1; j <= nb; j++) {
      char x = lower(a[i - 1]), y = lower(b[j - 1]);
      row[j] = min2(min2(up[j], row[j - 1]) + 1, up[j - 1] + (x != y));
      if (i > 1 && j > 1 && x == lower(b[j - 2]) && y == lower(a[i - 2]))
        row[j] = min2(row[j], up2[j - 2] + 1);
    }
  }
  return rows[na % 3][nb];
}

/* "maximum" for "max" */
static bool begins(const char *s, const char *prefix) {
  size_t n = strlen(prefix);
  return n >= 3 && strncmp(s, prefix, n) == 0;
}

const char *name_nearest(const char *name, const char *const *names) {
  const char *best = NULL, *const *all = names;
  size_t least = (strlen(name) + 2) / 3 + 1;
  for (; *names; names++) {
    size_t distance = name_distance(name, *names);
    if (distance >= least) continue;
    least = distance;
    best = *names;
  }
  for (; !best && *all; all++)
    if (begins(name, *all) || begins(*all, name)) best = *all;
  return best;
}
