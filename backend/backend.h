/* The back end: from a Graph to C for one target, its measured proof, and its cost.
 *
 *   Graph -> lower (ir) -> select kernels -> plan memory -> emit C -> harness (build, run, measure)
 */
#ifndef BACKEND_BACKEND_H
#define BACKEND_BACKEND_H

#include "ir/cost.h"
#include "ir/lower.h"
#include "ir/step.h"
#include "ir/tensor.h"

/* -- targets (backend/targets.def) and boards (backend/boards/NAME.yaml, or the user's) -- */
typedef struct Target {
  const char *name;            /* "cortex-m4" */
  const char *doc;
  const char *const *sets;     /* kernel sets, best first, "generic" last; NULL-terminated */
  const char *cc, *cflags;     /* compiler and its flags */
  const char *size, *nm;       /* binutils of the target */
  const char *run;             /* how the harness runs it: "native", "qemu-aarch64", "qemu-m" */
  const char *machine;         /* QEMU machine: "mps2-an386"; NULL otherwise */
  const char *second_machine;  /* a stricter machine to run on too ("microbit"); NULL: none */
  const char *objdump_arch;
} Target;
extern const Target targets[];
extern const int n_targets;
const Target *target_find(const char *name);

typedef struct Board {
  const char *name, *doc, *target;
  int64_t flash, ram;  /* bytes; 0: unknown */
  double clock_hz;     /* 0: unknown */
} Board;
/* A shipped board by name, or a YAML file by path; strings live in `a`. */
bool board_load(Arena *a, const char *name_or_path, Board *out, Diag *d);
/* Names of the shipped boards, NULL-terminated, in `a`. */
const char **board_names(Arena *a);

/* -- memory plan (backend/plan/) -- */
typedef struct PlanItem {
  ValId val;            /* root value */
  int64_t offset, size; /* bytes in the arena */
  int32_t first, last;  /* calls during which it lives */
} PlanItem;
typedef struct MemoryPlan {
  PlanItem *items; /* in the arena passed */
  int n_items;
  int64_t arena, lower_bound; /* bytes; lower bound of the class "whole tensors, in place, views" */
  int64_t scratch_offset, scratch_size;
} MemoryPlan;
bool plan_memory(const Graph *g, const Calls *calls, Arena *a, MemoryPlan *out, Diag *d);
struct StrBuf;
void plan_print(const Graph *g, const Calls *calls, const MemoryPlan *p, struct StrBuf *out);

/* -- emission (backend/emit/) -- */
typedef struct EmitOptions {
  const char *name;      /* C prefix: identifiers NAME_run, ... ; files are model.c, model.h unless `file` is set */
  const char *out_dir;
  const Tensor *vectors; /* self-test inputs: [n_vectors][n_inputs]; NULL: made from a fixed seed */
  int n_vectors;
  const char *note;      /* a line for the head comment; NULL */
} EmitOptions;
/* Writes model.c model.h selftest.c CMakeLists.txt model.json into out_dir (made; written beside, then renamed). */
bool emit_c(const Graph *g, const Target *t, const EmitOptions *o, Diag *d);

/* -- harness (backend/harness/): build with the target's compiler, run, measure -- */
typedef struct Measured {
  bool built, ran;
  int64_t flash, flash_code, flash_weights, ram_arena, ram_other, stack; /* bytes by the linker; stack -1: unknown */
  int64_t instructions; /* of one inference; -1: not counted here */
  const char *counted_by;
  int vectors, vectors_equal; /* self-test vectors, and those whose outputs were equal byte for byte */
} Measured;
/* Build and run the self-test of an emitted folder. Missing compiler or emulator: reported with the package to install. */
bool harness_verify(const char *dir, const Target *t, const Host *host, Measured *out, Diag *d);
/* Run emitted C on given inputs: in[n][n_inputs] -> out[n][n_outputs] (allocated; tensor_free). */
bool harness_run(const char *dir, const Target *t, const Graph *g, const Tensor *in, int n, Tensor *out, Diag *d);

/* -- cost (backend/cost.c) -- */
/* Cost of a graph as it stands (already int8 or float). */
bool backend_cost(const Graph *g, const Target *t, Cost *out, Diag *d);

#endif
