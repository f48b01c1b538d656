/* Measures: small results of steps as text, one "key value" a line; numbers print so that they read back the same. */
#ifndef PASSES_TAILOR_MEASURE_H
#define PASSES_TAILOR_MEASURE_H

#include "ir/base/strbuf.h"
#include "passes/steps/artifact.h"

void measure_put(StrBuf *b, const char *key, double value);
void measure_put_int(StrBuf *b, const char *key, int64_t value);
/* The text as an ART_MEASURE; clears b. */
Artifact measure_artifact(StrBuf *b);

/* The value of a key; `otherwise` when the artifact has none. */
double measure_get(const Artifact *a, const char *key, double otherwise);
int64_t measure_get_int(const Artifact *a, const char *key, int64_t otherwise);

#endif
