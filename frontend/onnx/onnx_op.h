/* What import functions of ONNX operators work with: one node, its inputs as values of a graph under construction.
 *
 *   OxCall -> ox_import_X (ops.def) -> nodes in c->g, c->out[]
 *
 * c->g is the model's graph, or, where all inputs are constants, a small one that is evaluated at once: import
 * functions do not care. They return false after a report; the outputs are then broken, and what reads them is
 * passed over without a further message, so that one import shows every independent fault.
 *
 * The symbolic batch in shape arithmetic: Shape gives the sentinel OX_BATCH where the batch stands; operators that
 * only move elements carry it along; Reshape turns it into the batch again; everything else refuses it.
 */
#ifndef FRONTEND_ONNX_ONNX_OP_H
#define FRONTEND_ONNX_ONNX_OP_H

#include "frontend/onnx/onnx_model.h"
#include "ir/compose/compose.h"
#include "ir/custom.h"

#define OX_BATCH (INT64_MIN + 7)

typedef enum OxKind { OX_DATA, OX_MOVE, OX_SHAPE, OX_BODY, OX_WEIGHTS, OX_CODES } OxKind;

typedef struct OxCall {
  OxModel *m;
  Graph *g;
  const OxNode *node;
  Loc loc;
  ValId *in; /* n_in; NO_VAL: left out */
  uint32_t n_in;
  ValId *out;  /* as many as the node has; set by the import function; NO_VAL: not wanted */
  bool failed; /* an attribute was not what it should be (reported) */
} OxCall;

typedef bool OxImport(OxCall *c);

/* -- onnx_op.c -- */
/* Report at the node; returns false. */
#define ox_fail(c, ...)          diag_error((c)->m->d, &(c)->loc, __VA_ARGS__)
#define OX_FAIL_IF(cond, c, ...) FAIL_IF(cond, (c)->m->d, &(c)->loc, __VA_ARGS__)

/* Attributes, with what they are where absent. A wrong type sets c->failed. */
const OxAttr *ox_attr(OxCall *c, const char *name, OxAttrType type);
int64_t ox_int(OxCall *c, const char *name, int64_t otherwise);
float ox_float(OxCall *c, const char *name, float otherwise);
bool ox_string_is(OxCall *c, const char *name, const char *text, bool otherwise);
/* A list of at most MAX_RANK * 2 integers; false where absent (or wrong: c->failed). */
bool ox_ints(OxCall *c, const char *name, Ints *out);

/* A list of at most `max` floats; their number, 0 where it is absent or wrong. */
int ox_floats(OxCall *c, const char *name, float *out, int max);

bool ox_has(const OxCall *c, uint32_t i);
/* Input i, or a report and NO_VAL where it is left out. */
ValId ox_in(OxCall *c, uint32_t i);
/* Does somebody want output i? */
bool ox_has_output(const OxCall *c, uint32_t i);
/* Name of output i, "" where it is not wanted. */
const char *ox_out_name(const OxCall *c, uint32_t i);
/* Input i as a short constant list of integers. The sentinel is refused unless `batch`. */
bool ox_const_ints(OxCall *c, uint32_t i, bool batch, Ints *out);
/* Input i as one constant number. */
bool ox_const_number(OxCall *c, uint32_t i, double *out);
/* Axis that may count from the end, checked against the rank. */
bool ox_axis(OxCall *c, int64_t axis, int32_t rank, int32_t *out);

/* Append a node; its output is named after output 0 of the call, with a suffix unless that is NULL. */
ValId ox_node(OxCall *c, OpKind op, const void *attrs, const ValId *in, uint32_t n_in, const char *suffix);
/* The same with one input, as output 0 of the call. */
bool ox_unary(OxCall *c, OpKind op, const void *attrs);
/* v is output 0; false when it is NO_VAL. */
bool ox_done(OxCall *c, ValId v);
/* Reshape to a shape (the batch may be symbolic in front); x itself where nothing changes. */
ValId ox_reshape(OxCall *c, ValId x, const Shape *to, const char *suffix);
/* Transpose; perm as digits: "0231". */
ValId ox_transpose(OxCall *c, ValId x, const char *perm, const char *suffix);
/* A float32 (or dequantized) constant in another order of axes, or its product with a factor, as a new constant. */
ValId ox_const_transpose(OxCall *c, ValId x, const char *perm);
ValId ox_const_scale(OxCall *c, ValId x, float factor);
static inline Shape ox_shape(const OxCall *c, ValId v) { return graph_val(c->g, v)->shape; }
static inline DType ox_type(const OxCall *c, ValId v) { return graph_val(c->g, v)->dtype; }
/* True when an int64 constant holds the sentinel. */
bool ox_has_batch(const Graph *g, ValId v);

/* -- onnx_pick.c -- */
/* Indices idx[n] of x along axis: a Slice where they make one, x itself where they are all and the value needs no name. */
ValId ox_pick(OxCall *c, ValId x, int axis, const int32_t *idx, int64_t n, const char *suffix);
/* The value as a constant, where the node that computes it reads nothing but constants; v itself otherwise. */
ValId ox_folded(OxCall *c, ValId v);

/* -- ops_cast.c -- */
/* x as elements of type `to`; x itself where it has that type (or is NO_VAL). */
ValId ox_cast(OxCall *c, ValId x, DType to, const char *suffix);
/* The type that arithmetic on t is done in: f32, f64, i32, i64, u64; t itself where there is none (bool, float8, ...). */
DType ox_work_type(DType t);

/* -- onnx_import.c -- */
/* Build by `build` into a small graph whose inputs are c's, all of them constants, and evaluate it: c->out become
 * constants of the model's graph. */
typedef bool OxBuild(OxCall *c, void *ctx);
bool ox_fold(OxCall *c, OxBuild *build, void *ctx);

/* -- onnx_later.c -- */
/* Output k of a graph without inputs, as bytes that are computed when they are first read. NULL: reported. */
Blob *ox_later(const Graph *g, uint32_t k, Diag *d);
/* Constants above this size are neither copied nor computed at import. */
enum { OX_LATER_BYTES = 1 << 16 };

/* -- onnx_body.c -- */
/* The local function that the node calls; NULL: none. */
const OxFunction *ox_function(const OxModel *m, const OxNode *n);
OxImport ox_import_function;

/* -- ops_custom.c, onnx_import.c -- */
OxImport ox_import_custom;
/* The rule that makes the node a custom operator; NULL: none. */
const CustomRule *ox_custom(const OxModel *m, const OxNode *n);

/* -- codes.c -- */
/* Is v a constant of codes behind Dequantize, and nothing but moves of elements in between and after? */
bool ox_is_dequantized(const Graph *g, ValId v);
/* Such a value as a float32 constant; any other one as it is. NO_VAL: reported. */
ValId ox_constant(OxCall *c, ValId v);
/* Is v a float32 constant, or a dequantized one? */
bool ox_is_weights(const OxCall *c, ValId v);

/* -- ops_element.c -- */
/* Compositions under the name of output 0. */
Compose ox_compose(OxCall *c);
/* v is output 0, in type t and under its name; false when it is NO_VAL. */
bool ox_end(OxCall *c, ValId v, DType t);
/* Input i in its work type; *t: its own type. NO_VAL: reported. The second: floats alone. */
ValId ox_work(OxCall *c, uint32_t i, DType *t);
ValId ox_work_float(OxCall *c, uint32_t i, DType *t);

/* -- ops_gemm.c -- */
/* The type that MatMul multiplies elements of t in: f32, f64 or i64 (whose sums wrap as theirs do); DT_NONE: none. */
DType ox_product_type(DType t);

/* -- ops_*.c -- */
#define YES(name, import, kind) OxImport ox_import_##import;
#define MS(name, import, kind)  OxImport ox_import_##import;
#define NO(name, advice)
#include "frontend/onnx/ops.def"
#undef YES
#undef MS
#undef NO

#endif
