/* What printer, parser and the binary file share: the text form with constants by number. */
#ifndef IR_TEXT_H
#define IR_TEXT_H

#include "ir/base/strbuf.h"
#include "ir/graph.h"

/* As graph_print, with every constant's bytes as `@NUMBER`; consts[NUMBER] is its value (array of n_vals). Returns
 * how many there are. */
uint32_t graph_print_numbered(const Graph *g, StrBuf *out, ValId *consts);

/* Bytes of constant NUMBER: a new reference, or NULL and a report at loc. */
typedef struct ConstSource {
  const void *ctx;
  Blob *(*get)(const void *ctx, uint64_t number, const Loc *loc, Diag *d);
} ConstSource;

/* As graph_parse; `source` (NULL: none) gives the constants by number. */
Graph *graph_parse_from(const char *text, const char *file, const ConstSource *source, Diag *d);

#endif
