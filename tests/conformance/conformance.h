/* Running folders of conformance tests: what onnx-conformance and the test of it share.
 *
 *   folders, archives -> tests (one per data set) -> workers (forked, each a batch at a time)
 *        engine:  import, evaluate, compare                           each test in a process of its own
 *        C:       prepare, emit; a batch is compiled into one program; one run of it per test; compare
 *   -> Results in memory that all processes share -> report
 *
 * A test that brings its process down, or runs for a minute, has failed and no more than that.
 */
#ifndef TESTS_CONFORMANCE_CONFORMANCE_H
#define TESTS_CONFORMANCE_CONFORMANCE_H

#include <stdio.h>

#include "tests/conformance/node_case.h"

typedef enum Outcome { NOT_RUN, PASSED, FAILED, UNSUPPORTED, N_OUTCOMES } Outcome;

typedef struct RunResult {
  Outcome outcome;
  char why[CASE_WHY];
} RunResult;

typedef struct TestResult {
  char name[128], op[64], kind[16];
  char bound[160]; /* names of the inputs that were bound as constants */
  RunResult engine, emitted;
} TestResult;

typedef struct Conformance {
  /* asked for; zero-initialise the rest */
  bool emit, tflite_rounding;
  int jobs;             /* 0: as many as there are processors */
  const char *only;     /* part of a name, or a pattern with * and ?; NULL: all */
  int every;            /* emit only each n-th test; 0 and 1: all */
  const char *temp;     /* a folder for temporary files, which exists */
  const char *compiler; /* NULL: cc */
  /* found */
  Arena *arena;
  const char **dirs; /* by test: its folder */
  int *sets;         /* by test: its data set */
  int n;
  size_t cap_dirs, cap_sets;
  TestResult *results; /* by test; shared by all processes */
} Conformance;

/* -- conformance.c -- */
/* Add the tests of a folder (itself a test, or with tests below it) or of a .tar.xz or .tar.gz; false: reported. */
bool conformance_add(Conformance *c, const char *path, Diag *d);
/* Run them all. */
bool conformance_run(Conformance *c, Diag *d);
void conformance_free(Conformance *c);

/* -- emit_batch.c -- */
/* The graph as C in folder `dir` under the name `name`; false: why. */
bool batch_emit(const NodeCase *c, const Graph *g, const char *dir, const char *name, char *why);
/* Compile the models of tests first .. last-1 whose emission is not decided yet, run each, compare. */
void batch_run(const Conformance *c, const char *dir, int first, int last);

/* -- report.c -- */
typedef struct Totals {
  int of[N_OUTCOMES], n;
} Totals;
/* Tests by outcome; kind NULL: all, "": those that no type sets apart. */
Totals conformance_totals(const Conformance *c, bool emitted, const char *kind);
void conformance_table(const Conformance *c, FILE *to);
/* Every test that did not pass, with the reason; verbose: those with bound inputs too. */
void conformance_list(const Conformance *c, bool verbose, FILE *to);
/* A line per operator: name, tests, passed by the engine, passed by emitted C; then lines by element type, "(float16)", of
 * tests that are counted apart, and one for "all". */
bool conformance_tsv(const Conformance *c, const char *path, Diag *d);
bool conformance_json(const Conformance *c, const char *path, Diag *d);

#endif
