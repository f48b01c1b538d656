/* Emission's parts, and what they share while one model is emitted.
 *
 *   emit.c       lower, select, plan, print the files
 *   files.c      publish them
 *   kernels_c.c  kernels in model.c, or in files of their own
 *   family_c.c   variants of one model in one image
 *   exits_c.c    early exits: variants that end before the last layer
 *   device_c.c   code of runtime/device that a model wants beside its kernels
 *   control_c.c  NAME_controller_*, NAME_drift_*
 *   adapt_*.c    training on the device (adapt_c.h)
 *   shake.c      kernel text: the definitions that a model needs, and no others
 *   custom_c.c   functions of custom operators: declarations, sources beside
 *   constants.c  weights as C arrays, equal ones once
 *   model_c.c    model.c: kernels, constants, layers, the public functions
 *   run_c.c      of these, NAME_run: the calls as the plan has them
 *   step_c.c     NAME_step: the same in pieces
 *   params_c.c   params of the layers
 *   blob.c       weights apart from the code: their layout, fingerprint, NAME_bind_weights
 *   info.c       NAME_info
 *   special.c    kernels specialised by a layer's shapes
 *   model_h.c    model.h: sizes, shapes and quantization as macros, the public functions
 *   io_h.c       model_io.h: conversions of inputs and outputs
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
  int layer;      /* the first call that uses it */
  int align;      /* bytes; 0: the element's */
  int64_t offset; /* in the weights' blob (blob_layout) */
} PoolConst;

/* Constants of a model, equal ones once; the index is part of the C name. */
typedef struct ConstPool {
  PoolConst *v;
  size_t cap;
  int n;
  bool apart; /* equal ones stay apart, so that the layout does not hang on values */
} ConstPool;

/* Index of the constant, added if it is new. The data must outlive the pool. */
int pool_add(ConstPool *p, DType t, const void *data, int64_t count, int align, int layer);
int pool_add_value(ConstPool *p, const Graph *g, ValId v, int layer);
/* The constants of one call; *names (or NULL) gets their indices. */
struct CallNames;
void pool_add_call(ConstPool *p, const Graph *g, const KernelCall *k, int layer, struct CallNames *names);
int64_t pool_bytes(const ConstPool *p);
void pool_free(ConstPool *p);
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

/* The weights' blob: see blob.c. */
typedef struct Blob {
  int64_t size, align;
  int words, reals;             /* pool indices of the layers' quantization; -1: none */
  int *first_word, *first_real; /* by call: the first of its own */
  uint64_t fingerprint;
} Blob;

/* What model.c takes of runtime/device: root-relative sources, and functions of them. */
enum { DEVICE_MAX = 24 };
typedef struct DeviceCode {
  const char *file[DEVICE_MAX], *function[DEVICE_MAX];
  int n_files, n_functions;
} DeviceCode;

typedef struct Emit {
  const Graph *g;
  Graph *bound; /* the same, for who frees it */
  const Target *target;
  const EmitOptions *opt;
  const char *upper; /* the name in capitals: macros */
  Calls calls;
  PlanOptions plan_options;
  MemoryPlan plan;
  ConstPool pool;
  CallNames *names;         /* by call */
  int *out_const;           /* by graph output: pool index of one that is a constant, -1 otherwise */
  struct StateCopy *states; /* by graph state, in the order in which they may be copied */
  Blob blob;
  DeviceCode device;
  const char **symbols;    /* by call: its kernel's function in a file of its own; NULL */
  struct AdaptEmit *adapt; /* NULL: nothing adapts */
  /* Of a family (family_c.c). The joint one has the layers of all variants, one after another, and the constants. */
  const struct Emit *variants; /* widest first; NULL: no family */
  int n_variants;
  const struct FamilyMember *members;
  const struct Emit *joint; /* of a variant */
  uint32_t first_layer;     /* of a variant: the number of its first layer in model.c */
  int64_t shift;            /* of a variant: where its plan's bytes begin in the arena */
  bool exits;               /* variants are exits of one model (exits_c.c), whose layers they share */
  Arena *arena;
  Diag *diag;
} Emit;

/* The graph with a symbolic batch bound to 1 (a copy where there is none); NULL: reported. The caller frees it. */
Graph *bind_batch(const Graph *g, Diag *d);

/* -- emit.c -- */
bool emit_begin(Emit *e, const Graph *g, const Target *t, const EmitOptions *o, Diag *d);
void emit_end(Emit *e);
/* The constants of all layers, and of outputs, into `pool`; `first`: the number of the first layer. */
void collect_constants(Emit *e, ConstPool *pool, int first);
/* -- family_c.c, exits_c.c -- */
/* Refuses what variant v, or a model with exits, cannot have: states, custom operators. */
bool emit_family_graph(const Graph *g, int v, Diag *d);
/* Whether tensors ids[n] of g and other[m] of h are alike in number, type, shape, scale and zero point. */
bool same_tensors(const Graph *g, const ValId *ids, uint32_t n, const Graph *h, const ValId *other,
                  uint32_t m);
/* All files of the joint one, published; *cost (or NULL) as of emit_family. */
bool print_family_files(Emit *joint, FamilyCost *cost);
/* What e says where it speaks of a family: the table, NAME_select, NAME_run. */
void print_variants(const Emit *e, StrBuf *out);
void print_family_run(const Emit *e, StrBuf *out);
void print_exits_run(const Emit *e, StrBuf *out);
void print_family_output(const Emit *e, StrBuf *out);
void json_variants(const Emit *e, StrBuf *out);
/* What the image and each variant are estimated to take. */
void family_estimate(const Emit *e, FamilyCost *out);
/* Which variant runs vector number i of the self-test: sequence of `n` numbers, again and again. */
const uint8_t *family_sequence(const Emit *e, int *n);
/* The calls, with the target's kernels, and their plan, made anew; `planned`: the graph, perhaps with more outputs. */
bool emit_lower_and_plan(Emit *e, const Graph *planned);

/* -- state.c: values that live from one run to the next -- */
bool collect_states(Emit *e);
void print_state_reset(const Emit *e, StrBuf *out);
void print_state_step(const Emit *e, StrBuf *out);

/* -- constants.c -- */
/* "c3", or what stands for it where weights are apart: "NAME_c3", "(w + 128)". */
void print_const(const Emit *e, int index, StrBuf *out);
/* "static const int8_t c3[128] = {...};" */
void pool_print(const Emit *e, int index, StrBuf *out);
void print_constants_attribute(const Emit *e, StrBuf *out);
void print_weights_c(const Emit *e, StrBuf *out);

/* -- blob.c -- */
static inline bool in_blob(const Emit *e) { return e->opt->weights == WEIGHTS_BLOB; }
/* Whether field f of a params struct is quantization, which goes with the weights. */
bool field_is_tuned(const FieldDesc *f);
/* After the constants are collected: offsets, and the layers' quantization as constants more. Also where there is no
 * blob: the fingerprint. */
void blob_layout(Emit *e);
void blob_bytes(const Emit *e, StrBuf *out);
void print_bind_weights(const Emit *e, StrBuf *out);
/* "p.w = ...;" for all of a call's params that lie in the blob; false, nothing printed: none do. */
bool print_bound_params(const Emit *e, uint32_t call, const char *indent, StrBuf *out);
bool has_bound_params(const Emit *e, uint32_t call);

/* -- regions_c.c: working memory in other memories than the caller's arena -- */
/* Where the region begins: `main` ("a", "ctx->arena") or an array of the model's. */
const char *place_base(const Emit *e, int32_t region, const char *main);
void print_region_sizes(const Emit *e, StrBuf *out);
void print_region_arenas(const Emit *e, StrBuf *out);

/* Text for a comment: nothing in it ends the comment or starts another one. */
void print_comment_text(StrBuf *out, const char *s);

/* -- files.c -- */
typedef struct OutFile {
  const char *name; /* seen from the folder; what begins with "../" is shared by models, and written first */
  StrBuf text;
} OutFile;
typedef struct OutFiles {
  OutFile *v;
  size_t cap;
  int n;
} OutFiles;
/* The text to write into; until the next is added. */
StrBuf *files_add(OutFiles *f, const char *name);
void files_free(OutFiles *f);
/* model.h, model_io.h, the self-test, CMakeLists.txt, model.json: all behind the sources (emit.c). */
bool print_other_files(Emit *e, OutFiles *f);
bool files_publish(Arena *a, const char *dir, const OutFiles *f, Diag *d);

/* -- kernels_c.c -- */
/* Text of the kernels that model.c holds, and declarations of those in files of their own. */
bool print_kernels(const Emit *e, StrBuf *out);
/* The C function of a call. */
void print_kernel_name(const Emit *e, uint32_t call, StrBuf *out);
/* Files of kernels; each is named by its content. */
bool add_kernel_files(Emit *e, OutFiles *f);

/* -- device_c.c: code of runtime/device -- */
/* model.c shall hold `function` of `file` ("runtime/device/variant.c"), static as kernels are. Before printing. */
void need_device(Emit *e, const char *file, const char *function);
/* The types that a header of runtime/device declares for the program, for model.h. */
void print_device_types(const char *header, StrBuf *out);

/* -- control_c.c: NAME_controller_* (which wants the array NAME_variants), NAME_drift_*, NAME_confidence: what the options ask
 * for -- */
bool need_control(Emit *e); /* before printing */
void print_control_types(const Emit *e, StrBuf *out);
void print_control_h(const Emit *e, StrBuf *out);
void print_control_c(const Emit *e, StrBuf *out);
/* -- adapt_c.c, adapt_tables.c: adaptation; each prints nothing where nothing adapts -- */
void print_adapt_tables(const Emit *e, StrBuf *out);
void print_adapt_locals(const Emit *e, StrBuf *out);
/* Around a layer's kernel: what is computed in its place, and what is done with its rows. */
void print_adapt_before(const Emit *e, uint32_t call, const char *y0, const char *y1, const char *indent,
                        StrBuf *out);
void print_adapt_after(const Emit *e, uint32_t call, const char *y0, const char *y1, const char *indent,
                       StrBuf *out);
void print_adapt_functions(const Emit *e, StrBuf *out);
void print_adapt_sizes(const Emit *e, StrBuf *out);
void print_adapt_types(const Emit *e, StrBuf *out);
void print_adapt_header(const Emit *e, StrBuf *out);
void print_adapt_json(const Emit *e, StrBuf *out);

/* -- custom_c.c: functions of custom operators -- */
/* Their declarations. */
void print_custom(const Emit *e, StrBuf *out);
/* Their sources and the header that these include, in a folder of their own. */
bool add_custom_files(Emit *e, OutFiles *f);

/* model.h and model.c as emit_c would write them, appended; nothing else is made (o->out_dir is not used). */
bool emit_text(const Graph *g, const Target *t, const EmitOptions *o, StrBuf *model_h, StrBuf *model_c,
               Diag *d);

/* What stands in model.c between the kernels and all that is the model's own. */
#define LAYERS_COMMENT "\n/* -- constants (c0, c1, ...) and layers -- */\n"

bool print_model_c(const Emit *e, StrBuf *out);
void print_params(const Emit *e, uint32_t call, StrBuf *out);

/* -- run_c.c, step_c.c -- */
void print_run(const Emit *e, StrBuf *out);
/* One layer as a whole, or one time of layers that take turns: t. */
void print_groups(const Emit *e, int32_t first, StrBuf *out);
void print_group(const Emit *e, const PlanGroup *s, StrBuf *out);
void print_group_once(const Emit *e, const PlanGroup *s, const char *indent, StrBuf *out);
bool group_by_rows(const Emit *e, const PlanGroup *s);
/* Steps of a run for NAME_step (without the groups that NAME_push_rows drives). */
int64_t step_count(const Emit *e);
void print_step(const Emit *e, StrBuf *out);
/* "a" and "w", the arena and the weights' blob; `unbound`: what a function returns where none is bound. */
void print_locals(const Emit *e, const char *unbound, StrBuf *out);

void print_model_h(const Emit *e, StrBuf *out);
bool print_selftest(const Emit *e, StrBuf *out, Diag *d);
bool make_vectors(const Emit *e, StrBuf *out, Diag *d);
void print_cmake(const Emit *e, const OutFiles *f, StrBuf *out);
void print_json(const Emit *e, const OutFiles *f, StrBuf *out);

/* -- model_h.c, io_h.c -- */
/* Text with @U as the name in capitals and @ as the name. */
void print_template(const Emit *e, const char *text, StrBuf *out);
void print_io_h(const Emit *e, StrBuf *out);

/* -- info.c -- */
void print_info_types(StrBuf *out);
void print_info(const Emit *e, StrBuf *out);

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
