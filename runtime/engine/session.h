/* Inside a Session: its values, nodes and schedule. For the engine's own files only.
 *
 *   graph --classify--> values (batched, shared, parameters) --plan--> nodes --schedule--> tasks --place--> buffers
 *
 * A value is batched ([N, item], one item per example) or shared (the same for all examples: constants and what is
 * computed from constants alone). The step's examples are cut into SHARDS contiguous runs, fixed by their number alone.
 * A thread takes a shard through a whole group of tasks, a tile (a few examples) at a time so that the tile stays in
 * its cache; groups end at barriers, which operators ask for by having several phases (batch statistics).
 * Gradients of shared values are summed per shard, then over shards in order: same bytes with any number of threads.
 */
#ifndef RUNTIME_ENGINE_SESSION_H
#define RUNTIME_ENGINE_SESSION_H

#include "runtime/engine/engine.h"
#include "runtime/engine/simd/kernels.h"
#include "runtime/engine/threads.h"

enum { SHARDS = 8 };

typedef struct SVal {
  float *x;  /* values: [batch][item] or [item]; NULL: not materialised (fused away, dead) */
  float *dx; /* gradient, same layout; NULL: not wanted */
  int64_t item;
  int64_t offset;      /* shared with gradient: in the flat arrays */
  NodeId writer;       /* of a root */
  ValId root;          /* the value whose storage this one shares (Reshape); itself otherwise */
  bool batched, needs; /* needs: a gradient is computed */
  bool param;          /* trainable constant */
  bool decay;          /* weight decay applies */
  bool stat;           /* running statistic: a constant that the session updates */
  bool later;          /* the backward pass reads it */
  bool again;          /* computed anew in the backward pass, beside its only reader there */
  bool local_x,
      local_dx; /* lives within a group: one tile for each thread, Session.local_size floats apart (locals.c) */
  bool tap;     /* kept, and its gradient begun by the caller (SessionOptions.taps) */
  bool by_shards,
      by_one; /* shared: read by batched nodes, by nodes without batch (which use shard 0's place) */
} SVal;

struct OpCall;
/* Bring a node's weights into the form that its kernels read, before the examples run (OpCall.backward: for gradients). */
typedef void PrepareFn(const struct OpCall *c);

typedef struct SNode {
  Act act;                  /* activation at the output: the node's own, or a Relu fused into it */
  ValId out;                /* where the output goes */
  bool live;                /* runs: not fused away, not dead */
  bool reaches;             /* the logits depend on it */
  bool batched;             /* output is batched: runs per shard; otherwise once */
  bool needs;               /* has a backward */
  bool reads_in, reads_out; /* the backward pass reads inputs' values, the output's value */
  int fwd_phases, bwd_phases;
  ConvWay way;   /* of a convolution */
  bool *add;     /* per input: the gradient is added to (not the first to be written in backward order) */
  float *state;  /* [SHARDS][state_size] floats that last from forward to backward */
  double *parts; /* [SHARDS][parts_size] partial sums between phases */
  int64_t state_size, parts_size;
  PrepareFn *prepare; /* NULL: none */
  float *packed;      /* what it writes */
  NodeId norm; /* the BatchNormalization behind that this node takes over with running statistics; NO_NODE */
  bool taken;  /* this is such a BatchNormalization */
} SNode;

typedef struct Task {
  NodeId node;
  int phase;
  bool again;   /* in the backward pass: the node's last forward phase once more */
  bool barrier; /* begins a group: all shards must have finished the task before */
  int group;
  int tile; /* examples at a time through the group */
} Task;

/* A shared value with a gradient, in the flat arrays. */
typedef struct Segment {
  ValId val;
  int64_t offset, count;
} Segment;

struct Session {
  const Graph *from; /* the caller's graph; ids of the interface are its */
  Graph *own;        /* with symbolic batch, where `from` is fixed; NULL otherwise */
  const Graph *g;    /* own or from */
  ValId *map;        /* from's ids to g's; NULL: the same */
  SessionOptions opt;
  const EngineKernels *k;
  Threads *pool;
  bool pool_owned;
  SVal *vals;
  SNode *nodes;
  Task *forward, *backward;
  int n_forward, n_backward;
  ValId input, logits;
  int classes;
  int n;      /* examples of the last forward */
  bool train; /* mode of the last forward */
  bool ready; /* weights are prepared for this mode, and stay so (no training) */
  float bn_momentum;
  float *activations, *gradients; /* pools of batched values */
  float *params, *grads;          /* flat, [total] */
  float *shard_grads;             /* [SHARDS][total] */
  float *fixed;                   /* shared values without gradient that the session computes or updates */
  Segment *segments;              /* by offset */
  int n_segments;
  int64_t total;
  float **scratch; /* per thread */
  float *local;    /* [threads][local_size]: tiles of the values that live within a group */
  int64_t local_size;
  int64_t scratch_size;
};

/* Examples of shard k of n: [shard_begin(k), shard_begin(k + 1)). */
static inline int shard_count(int n) { return n < SHARDS ? n : SHARDS; }
static inline int shard_begin(int n, int k) { return (int)((int64_t)n * k / shard_count(n)); }

/* Most examples that a shard of up to n can have. */
static inline int shard_most(int n) { return (n + SHARDS - 1) / SHARDS; }

/* -- classify.c: facts of each value and node -- */
bool session_classify(Session *s, Diag *d);
/* -- schedule.c: plans of the operators, tasks, buffers -- */
bool session_schedule(Session *s, Diag *d);
/* -- locals.c: values that live within a group -- */
/* Facts of the forward pass, once its tasks are there. */
void locals_forward(Session *s);
/* Facts of gradients, and memory for all. */
void locals_place(Session *s);
/* -- place.c: offsets that let values with disjoint lifetimes share memory -- */
typedef struct Interval {
  int64_t size;    /* floats */
  int first, last; /* steps at which it is live, both included */
  int64_t offset;  /* (written) */
} Interval;
/* Returns the floats needed in all. Greedy by size, lowest offset that fits. */
int64_t place_intervals(Interval *v, int n);

/* -- room.c: memory that sessions share which run in turns, a whole step each: activations, gradients and sums of one are
 * gone when another runs. Parameters, their gradients and statistics are each session's own. -- */
typedef struct Room Room;
enum { ROOM_ACTIVATIONS, ROOM_GRADIENTS, ROOM_SHARDS, ROOM_LOCAL, ROOM_SCRATCH, ROOM_SLOTS };
Room *room_new(void);
/* After all sessions that use it. */
void room_free(Room *r);
/* At least so many floats, all 0 at first; the same for all who ask for no more than the one before. */
float *room_take(Room *r, int slot, int64_t floats);
int64_t room_bytes(const Room *r);

/* Shared values whose gradient has an overlap of readers of both kinds are zeroed first, then only added to. */
static inline bool val_zeroed(const SVal *v) { return !v->batched && v->by_shards && v->by_one; }

/* Node n's BatchNormalization is computed by the operator before it in this forward pass. */
static inline bool norm_taken(const Session *s, NodeId n) {
  return n != NO_NODE && !s->train && s->nodes[n].taken;
}

/* The session on a pool that its caller shares among sessions. */
Session *session_new_on(const Graph *g, const SessionOptions *opt, Threads *pool, Diag *d);
Threads *session_pool(const Session *s);
/* Where the caller may write the next step's input itself: [batch][item]; pass it to session_forward. Without training a
 * forward pass may use its memory again. */
float *session_input(Session *s);
const Shape *session_input_shape(const Session *s);
int session_classes(const Session *s);
/* Elements per example of value v of the session's graph (all of it, where it is shared). */
int64_t session_item(const Session *s, ValId v);
/* Where the gradient of the loss at tap v is begun before session_backward: [n][item], as far as it does not come through
 * the outputs. NULL: nothing before it learns. */
float *session_tap(Session *s, ValId v);
/* Share of the new batch in BatchNormalization's running statistics (0.1 unless set). */
void session_bn_momentum(Session *s, float momentum);

#endif
