/* Measures: see measure.h. */
#include "passes/tailor/measure.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void measure_put(StrBuf *b, const char *key, double value) { sb_printf(b, "%s %.17g\n", key, value); }

void measure_put_int(StrBuf *b, const char *key, int64_t value) {
  sb_printf(b, "%s %" PRId64 "\n", key, value);
}

Artifact measure_artifact(StrBuf *b) {
  Artifact a = artifact_from_bytes(ART_MEASURE, sb_str(b), b->len);
  sb_free(b);
  return a;
}

/* Copy the value of `key` as text; false when it is not there. */
static bool find(const Artifact *a, const char *key, char *out, size_t n) {
  if (!a->bytes) return false;
  const char *p = blob_raw(a->bytes), *end = p + blob_size(a->bytes);
  size_t len = strlen(key);
  while (p < end) {
    const char *line_end = memchr(p, '\n', (size_t)(end - p));
    if (!line_end) line_end = end;
    size_t size = (size_t)(line_end - p);
    if (size > len && memcmp(p, key, len) == 0 && p[len] == ' ' && size - len - 1 < n) {
      memcpy(out, p + len + 1, size - len - 1);
      out[size - len - 1] = 0;
      return true;
    }
    p = line_end + 1;
  }
  return false;
}

double measure_get(const Artifact *a, const char *key, double otherwise) {
  char text[64];
  return find(a, key, text, sizeof text) ? strtod(text, NULL) : otherwise;
}

int64_t measure_get_int(const Artifact *a, const char *key, int64_t otherwise) {
  char text[64];
  return find(a, key, text, sizeof text) ? strtoll(text, NULL, 10) : otherwise;
}
