/* Emission's parts, and what they share while one model is emitted.
 *
 *   emit.c       lower, select, plan, and publish the folder
 *   shake.c      kernel text: the definitions that a model needs, and no others
 *   constants.c  weights as C arrays, equal ones once
 *   model_c.c    model.c: kernels, constants, layers, the public functions
 *   run_c.c      of these, NAME_run: the calls as the plan has them
 *   special.c    kernels specialised by a layer's shapes
 *   model_h.c    model.h: sizes, shapes and quantization as macros, the public functions
 *   state.c      what a model with state does at first and at the end of a run
 *   selftest.c   selftest.c and vectors.bin: reference inputs and outputs
 *   describe.c   model.json and CMakeLists.txt
 */
#ifndef BACKEND_EMIT_EMIT_H
#define BACKEND_EMIT_EMIT_H

#include "backend/backend.h"
#include "ir/base/strbuf.h"

typedef struct PoolConst {
  DType dtype;
  const void *data;
  int64_t count;
  Hash hash;
  int layer; /* the first call that uses it */
  int align; /* bytes; 0: the element's */
} PoolConst;

/* Constants of a model, equal ones once; the index is part of the C name. */
typedef struct ConstPool {
  PoolConst *v;
  size_t cap;
  int n;
} ConstPool;

/* Index of the constant, added if it is new. The data must outlive the pool. */
int pool_add(ConstPool *p, DType t, const void *data, int64_t count, int align, int layer);
int pool_add_value(ConstPool *p, const Graph *g, ValId v, int layer);
/* The constants of one call; *names (or NULL) gets their indices. */
struct CallNames;
void pool_add_call(ConstPool *p, const Graph *g, const KernelCall *k, int layer, struct CallNames *names);
int64_t pool_bytes(const ConstPool *p);
void pool_free(ConstPool *p);
/* "static const int8_t c3[128] = {...};" */
void pool_print(const PoolConst *c, int index, StrBuf *out);
const char *c_type_of(DType t);
/* C literals. print_float may need <math.h> (INFINITY, NAN). */
void print_float(StrBuf *out, float v);
void print_int(StrBuf *out, int64_t v);

/* Constants behind the pointer fields and constant inputs of one call: indices into the pool, -1 for none. */
typedef struct CallNames {
  int field[CALL_MAX_CONST]; /* as KernelCall.consts */
  int in[CALL_MAX_IN];
} CallNames;

/* A state's copies: at the end of a run, and at first. */
typedef struct StateCopy {
  const GraphState *state;
  int init; /* pool index of the initial value; -1: all its bytes are `fill` */
  int fill;
  int next; /* pool index where the next value is a constant; -1 */
} StateCopy;

typedef struct Emit {
  const Graph *g;
  Graph *bound; /* the same, for who frees it */
  const Target *target;
  const EmitOptions *opt;
  const char *upper; /* the name in capitals: macros */
  Calls calls;
  MemoryPlan plan;
  ConstPool pool;
  CallNames *names;         /* by call */
  int *out_const;           /* by graph output: pool index of one that is a constant, -1 otherwise */
  struct StateCopy *states; /* by graph state, in the order in which they may be copied */
  Arena *arena;
  Diag *diag;
} Emit;

/* The graph with a symbolic batch bound to 1 (a copy where there is none); NULL: reported. The caller frees it. */
Graph *bind_batch(const Graph *g, Diag *d);

/* -- state.c: values that live from one run to the next -- */
bool collect_states(Emit *e);
void print_state_reset(const Emit *e, StrBuf *out);
void print_state_step(const Emit *e, StrBuf *out);

/* Text for a comment: nothing in it ends the comment or starts another one. */
void print_comment_text(StrBuf *out, const char *s);

/* model.h and model.c as emit_c would write them, appended; nothing else is made (o->out_dir is not used). */
bool emit_text(const Graph *g, const Target *t, const EmitOptions *o, StrBuf *model_h, StrBuf *model_c,
               Diag *d);

/* What stands in model.c between the kernels and all that is the model's own. */
#define LAYERS_COMMENT "\n/* -- constants (c0, c1, ...) and layers -- */\n"

bool print_model_c(const Emit *e, StrBuf *out);
void print_run(const Emit *e, StrBuf *out);
void print_model_h(const Emit *e, StrBuf *out);
bool print_selftest(const Emit *e, StrBuf *out, Diag *d);
bool make_vectors(const Emit *e, StrBuf *out, Diag *d);
void print_cmake(const Emit *e, StrBuf *out);
void print_json(const Emit *e, StrBuf *out);

/* -- special.c -- */
/* The call whose specialised kernel call c uses; -1: the shared kernel. */
int special_of(const Emit *e, uint32_t c);
void print_specials(const Emit *e, StrBuf *out);

/* -- shake.c -- */
/* Embedded text of a root-relative file; NULL: there is none. */
const char *embedded_text(const char *path);
/* Print the parts of the kernel sources `files` (and of the helper headers that they include) that the definitions
 * named in `roots` need: system includes first, then definitions in order. Reports a file that is not embedded, and a
 * root that no file defines. */
bool shake_kernels(const char *const *files, int n_files, const char *const *roots, int n_roots, StrBuf *out,
                   Diag *d);

#endif
