/* Diag: errors that are the user's to mend. Where, what was got, what was wanted, how to mend it.
 *
 * Fallible functions return bool and take a Diag. The first error wins where a function stops at once;
 * the verifier and the importers collect up to DIAG_MAX. Our own faults use ASSERT: file, line, abort.
 */
#ifndef IR_BASE_DIAG_H
#define IR_BASE_DIAG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { DIAG_MAX = 20 };

/* A place in a file of the user's. Strings are borrowed: they must outlive the Loc (an arena's, usually).
 * Text files: line and col from 1.  Models: node index and name; all other fields 0. */
typedef struct Loc {
  const char *file; /* as the user named it; NULL: no location */
  int line, col;    /* 1-based; 0: none */
  int node;         /* index of a node in the model file; -1 or 0 with name NULL: none */
  const char *name; /* name of the node or tensor in the model file */
  const char *op;   /* operator as the file names it */
  const char *pass; /* the pass that made the node, when a pass did */
} Loc;

typedef struct Diag Diag;

Diag *diag_new(void);
void diag_free(Diag *d);

/* Report one error at loc (NULL: none). Always returns false, so that callers may `return diag_error(...)`. */
bool diag_error(Diag *d, const Loc *loc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Warn: shown to the user, counts as no error. */
void diag_warn(Diag *d, const Loc *loc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Attach "hint: ..." to the last error. */
void diag_hint(Diag *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Attach a source line and a caret below column col (1-based) to the last error. */
void diag_source(Diag *d, const char *line, int col);

int diag_count(const Diag *d); /* errors, warnings apart */
/* All messages as text, one or more lines each; owned by d, valid until the next report. "" when none. */
const char *diag_text(const Diag *d);
void diag_print(const Diag *d, FILE *to);
void diag_clear(Diag *d);

/* "model.onnx: node 12 \"conv1\" (Conv)" or "deploy.yaml:14:7"; writes at most n bytes. */
void loc_format(const Loc *loc, char *buf, size_t n);

#define TRY(expr)              \
  do {                         \
    if (!(expr)) return false; \
  } while (0)

#define FAIL_IF(cond, diag, loc, ...)                        \
  do {                                                       \
    if (cond) return diag_error((diag), (loc), __VA_ARGS__); \
  } while (0)

/* Our fault: print where and abort. Stays on in release builds. */
#define ASSERT(cond)                                                                        \
  do {                                                                                      \
    if (!(cond)) {                                                                          \
      fprintf(stderr, "mistify: internal error at %s:%d: %s\n", __FILE__, __LINE__, #cond); \
      abort();                                                                              \
    }                                                                                       \
  } while (0)

#endif
