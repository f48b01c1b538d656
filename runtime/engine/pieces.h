/* Running a graph in pieces: examples are kept at a value through which everything goes, and the piece from there to
 * another value is a graph of its own.
 */
#ifndef RUNTIME_ENGINE_PIECES_H
#define RUNTIME_ENGINE_PIECES_H

#include "runtime/engine/engine.h"
#include "runtime/engine/threads.h"

/* Value v of every example: [n][item]. */
typedef struct Kept {
  ValId v;
  int64_t item, most; /* elements kept at most (while advancing, twice that) */
  uint32_t n;
  float *x; /* owned */
} Kept;

/* next[k]: the last value, made before node k, through which alone what is behind depends on what is before (constants
 * apart); n_nodes entries in `a`. Only values whose leading dimension is the batch. */
ValId *graph_narrows(const Graph *g, Arena *a);

/* How many of n examples may be kept at g's input, in `most` elements: at least one. */
uint32_t kept_examples(const Graph *g, uint32_t n, int64_t most);
/* The graph's input for the first kept_examples of n training examples. */
bool kept_input(const Graph *g, const Dataset *ds, uint32_t n, int64_t most, int threads, Kept *out, Diag *d);
void kept_free(Kept *k);

/* A session from one value to another. */
typedef struct Piece {
  const Kept *from;
  ValId to;
  Graph *g;
  Session *s; /* NULL: to is from */
  ValId out;  /* in g */
} Piece;
bool piece_open(Piece *p, const Graph *g, const Kept *from, ValId to, Threads *pool, Diag *d);
void piece_close(Piece *p);
/* Examples first .. first + n - 1 (n at most PIECE_BATCH) of `to`: [n][item], valid until the next call. */
enum { PIECE_BATCH = 64 };
const float *piece_run(Piece *p, uint32_t first, int n);
/* Replace *k by value v of g, computed from it. Where that is larger than k->most, *k stays: pieces are then longer. */
bool kept_advance(Kept *k, const Graph *g, ValId v, Threads *pool, Diag *d);

#endif
