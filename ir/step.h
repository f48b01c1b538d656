/* Steps: everything expensive is a named step with typed artifacts in and out, cached by content.
 *
 * Tailoring plans and runs steps through StepKind alone; passes, engine, emission and verification each
 * register theirs, and the command hands the table in (frontend/cli). Design: decision 5.
 *
 *   key = H(kind, sources' fingerprint, content hashes of inputs, params, seed, numeric ABI)
 */
#ifndef IR_STEP_H
#define IR_STEP_H

#include "ir/base/blob.h"
#include "ir/graph.h"

typedef enum ArtifactType {
  ART_GRAPH,
  ART_STATS,
  ART_LOGITS,
  ART_SENSITIVITY,
  ART_CHECKPOINT,
  ART_PLAN,
  ART_MEASURE,
  ART_DATA,
  ART_FILES
} ArtifactType;

/* An artifact is bytes with a type and a content hash. Graph artifacts are graph_serialize'd, names and
 * locations included in the bytes but not in `hash` (graph_hash). */
typedef struct Artifact {
  ArtifactType type;
  Blob *bytes;
  Hash hash;
  struct CustomLibrary
      *custom; /* of a graph: its own (ir/custom.h), which its bytes do not hold; a reference */
} Artifact;

enum { STEP_MAX_OUT = 4 };

struct Calls; /* ir/lower.h */
/* Gives calls other kernels of their names, that compute the same bytes. */
typedef bool SelectCallsFn(const Graph *g, struct Calls *calls, Diag *d);

/* Callbacks of whoever runs the tool; any may be NULL. */
typedef struct Host {
  void *ctx;
  void (*log)(void *ctx, const char *line);
  void (*progress)(void *ctx, const char *what, double done, const char *detail); /* 0..1; 1 ends the line */
  bool (*cancelled)(void *ctx);
  int threads;            /* for a step's own use; >= 1 */
  SelectCallsFn *kernels; /* those of this machine, for evaluation; NULL: the generic ones */
} Host;

typedef struct StepCall {
  const Artifact *in;
  int n_in;
  const char *params; /* canonical text, part of the key */
  uint64_t seed;
  const Host *host;
  const char
      *work; /* a file that the step may keep its state in, and finds again when it was killed; NULL: none */
  void *
      env; /* what the registering module needs (dataset, cost model); its content must be in `in` or params */
} StepCall;

typedef struct StepKind {
  const char *name;           /* "prune", "distill", "emit" */
  const char *const *sources; /* NULL-terminated prefixes of source paths whose fingerprint is in the key */
  bool numeric;               /* the result depends on the numeric ABI (training) */
  bool seeded;                /* it draws: tailoring gives it the job's seed, others 0 */
  bool names;                 /* the result holds names and locations (emission): in the key too */
  bool one_core;              /* more threads would not help it (compiling, emulating, planning) */
  bool (*run)(const StepCall *call, Artifact *out, int *n_out, Diag *d);
} StepKind;

#endif
