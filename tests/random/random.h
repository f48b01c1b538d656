/* Random graphs, and what must hold for each of them. Used by the suite `random` and by bench/random-graphs.
 *
 *   seed -> graph -> verifier, text form, binary form, hash
 *                 -> evaluator, with inputs from the seed -+-> emitted C of many graphs in one program: equal bytes
 *                                                          +-> the training engine's forward: near
 */
#ifndef TESTS_RANDOM_RANDOM_H
#define TESTS_RANDOM_RANDOM_H

#include "ir/base/strbuf.h"
#include "ir/graph.h"
#include "ir/tensor.h"

enum { RANDOM_VECTORS = 3 };

typedef enum RandomKind {
  RANDOM_ANY,  /* every operator and element type, int8 with random quantization among them; static shapes */
  RANDOM_TRAIN /* one f32 input with a symbolic batch, differentiable operators: what the engine runs */
} RandomKind;

/* Nodes made, and drafts that were refused, by operator; the last reason (in `text`, arena of the caller's StrBuf). */
typedef struct RandomCounts {
  int64_t made[OP_COUNT], refused[OP_COUNT];
  char reason[OP_COUNT][160];
} RandomCounts;

/* The operator that has no row in generators.def, or NULL. */
const char *random_missing(void);

/* The graph of a seed; `counts` (NULL: nobody counts) is added to. Its first node is of operator seed % OP_COUNT, where
 * that one is among the kind's. Fails the program where a graph cannot be made at all. */
Graph *random_graph(uint64_t seed, RandomKind kind, RandomCounts *counts);

/* Inputs of a static graph: vector number k of a seed. Tensors for the caller to free (tensor_free). */
void random_inputs(const Graph *g, uint64_t seed, int k, Tensor *in);

/* -- what must hold; false: *why says what does not, beginning with the check's name -- */

/* Verifier; print, parse, print; serialise and back; hash of a copy, and of the same seed's graph made again. */
bool random_check_forms(const Graph *g, StrBuf *why);
/* Engine (every value, batches of 1 and 9) against evaluator. *skipped: the graph is none that the engine takes, or its
 * values are too large to be compared. Tolerance: see check.c. */
bool random_check_engine(const Graph *g, uint64_t seed, bool *skipped, StrBuf *why);
/* The passes that every model goes through before C is made of it: same outputs. */
bool random_check_passes(const Graph *g, uint64_t seed, StrBuf *why);

/* Emitted C of n graphs (static shapes) as one program, compiled by $CC or gcc with `flags`, run in folder `dir`,
 * against the evaluator: integers equal, floats equal too or within 1e-6 of the output's range. Bad graphs are marked in
 * bad[n]. *bytes_equal counts graphs of which every byte was equal. */
typedef struct RandomProgram {
  const Graph *const *graphs;
  const uint64_t *seeds;
  int n;
  const char *dir, *flags;
  bool *bad;
  int bytes_equal;
} RandomProgram;
bool random_check_program(RandomProgram *p, StrBuf *why);

/* -- all of it, for many seeds (run.c) -- */

typedef struct RandomReport {
  RandomCounts counts;
  int graphs, int8, bytes_equal; /* run as emitted C; with an int8 value; of which every byte was equal */
  int engine, engine_skipped;    /* compared with the engine; not comparable */
  int failed;
  StrBuf why; /* of each failed graph: seed, check, and the graph as text */
} RandomReport;

/* Seeds first .. first + n - 1, each as RANDOM_ANY through every check and as RANDOM_TRAIN through the engine's. */
void random_run(uint64_t first, int n, const char *dir, const char *flags, RandomReport *report);
void random_report_free(RandomReport *report);

#endif
