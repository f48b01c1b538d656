/* Operators: the enum, the attribute structs and the fact table, all made from ops.def. */
#ifndef IR_OP_H
#define IR_OP_H

#include "ir/base/diag.h"
#include "ir/base/hash.h"
#include "ir/types.h"

typedef enum OpKind {
#define A(kind, field, def, doc)
#define OP(ident, name, mn, mx, no, traits, cls, diff, doc, attrs) OP_##ident,
#include "ir/ops.def"
#undef OP
#undef A
  OP_COUNT
} OpKind;

/* One struct of attributes per operator: conv_attrs, ... */
#define ATTR_TYPE_INT            int32_t
#define ATTR_TYPE_FLT            float
#define ATTR_TYPE_INTS           Ints
#define ATTR_TYPE_FLTS           Floats
#define ATTR_TYPE_WORD           Word
#define ATTR_TYPE_ACT            int32_t
#define ATTR_TYPE_DTYPE          int32_t
#define A(kind, field, def, doc) ATTR_TYPE_##kind field;
#define OP(ident, name, mn, mx, no, traits, cls, diff, doc, attrs) \
  typedef struct ident##_attrs {                                   \
    attrs int32_t unused_;                                         \
  } ident##_attrs;
#include "ir/ops.def"
#undef OP
#undef A

typedef enum AttrKind { ATTR_INT, ATTR_FLT, ATTR_INTS, ATTR_FLTS, ATTR_WORD, ATTR_ACT, ATTR_DTYPE } AttrKind;

typedef struct AttrDesc {
  const char *name;
  AttrKind kind;
  size_t offset; /* in the operator's attribute struct */
  const char *def, *doc;
} AttrDesc;

enum { T_NONE = 0, T_ELEMENTWISE = 1, T_VIEW = 2, T_MOVE = 4, T_COMMUTES = 8, T_PARAMS = 16 };

/* Attribute `rounding` of int8 operators: of TFLite's reference kernels (twice), of ONNX, none (the sums), or TFLite's
 * arithmetic with one rounding, which is nearer to ONNX's real numbers at no cost. */
enum { ROUND_TFLITE, ROUND_ONNX, ROUND_SUMS, ROUND_ONCE };

typedef enum OpClass { CORE, COMPOSITE } OpClass;
typedef enum OpDiff { NODIFF, DIFF } OpDiff;

struct Graph;
struct Node;
struct Calls;

/* Set dtype, shape (and quantization, where the operator hands it on: T_VIEW, T_MOVE, pools, Relu, Clip)
 * of the node's outputs from its inputs and attributes; an output's quantization that is set stays.
 * Wrong input: reports at node->loc, returns false. */
typedef bool InferFn(struct Graph *g, struct Node *n, Diag *d);
/* Append the kernel calls that compute the node (ir/lower.h). All shapes are static. */
typedef bool LowerFn(const struct Graph *g, const struct Node *n, struct Calls *out, Diag *d);

typedef struct OpInfo {
  const char *ident, *name;
  int min_in, max_in, outs, traits;
  OpClass cls;
  OpDiff diff;
  const char *doc;
  const AttrDesc *attrs;
  int n_attrs;
  size_t attrs_size;
  InferFn *infer;
  LowerFn *lower;
} OpInfo;

const OpInfo *op_info(OpKind op);
bool op_parse(const char *name, OpKind *out);

/* Fill *attrs (of op_info(op)->attrs_size bytes) with the defaults. */
void op_attrs_default(OpKind op, void *attrs);
/* Text "2,3" into an Ints; false when it is malformed or too long. */
bool ints_parse(const char *text, Ints *out);
/* One attribute of *attrs from text (as in ops.def: "3", "0.5", "1,2", "relu", "i8"), to text, compared by bits. */
struct StrBuf;
bool attr_parse(const AttrDesc *a, const char *text, void *attrs);
void attr_format(const AttrDesc *a, const void *attrs, struct StrBuf *out);
bool attr_equal(const AttrDesc *a, const void *x, const void *y);
bool op_attrs_equal(OpKind op, const void *a, const void *b);
void op_attrs_hash(OpKind op, const void *attrs, Hasher *h);

/* The operator documentation, made from ops.def (ir/opdoc.c): Markdown, one section per operator. */
void ops_print_markdown(struct StrBuf *out);

#endif
