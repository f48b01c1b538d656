/* Inside the ONNX exporter: the file under construction, and the two forms that an image may have in it.
 *
 *   value of the graph   plain form: axes as in our graph       image form: NHWC values as NCHW
 *   conv1 [N,32,32,16]   "conv1" (made when asked for)          "conv1:nchw" (as Conv computes it)
 *
 * A window operator takes and gives image forms. An elementwise operator stays in the image form when its inputs
 * are there already, and a Transpose of ours between NHWC and NCHW is only another name for the other form, so that
 * chains of convolutions come out without a Transpose in between.
 */
#ifndef FRONTEND_ONNX_EXPORT_H
#define FRONTEND_ONNX_EXPORT_H

#include "frontend/onnx/names.h"
#include "frontend/onnx/writer.h"
#include "ir/graph.h"

typedef struct Export {
  const Graph *g;
  Diag *d;
  int rounding; /* of its int8 operators (ROUND_...); -1: none */
  int opset;    /* of the file: the least that its operators and element types have */
  Arena *arena;
  Names names;
  StrBuf nodes, initializers; /* fields of the GraphProto */
  const char **name;          /* plain name of each value; chosen at the start */
  const char **image_name;    /* name of its image form */
  bool *plain, *image;        /* that form is in the file */
  bool *absorbed;             /* node: the one that reads it writes it (export_cells.c) */
} Export;

/* One node's message under construction. Zero-initialise; xp_end appends it and frees it. */
typedef struct XpNode {
  StrBuf inputs, attrs;
} XpNode;

/* -- export.c -- */
/* A name that is in the file nowhere else: `base`, or base and a number. */
const char *xp_fresh(Export *x, const char *base, const char *suffix);
void xp_in(XpNode *n, const char *name); /* "": left out */
void xp_int(XpNode *n, const char *name, int64_t v);
void xp_float(XpNode *n, const char *name, float v);
void xp_string(XpNode *n, const char *name, const char *v);
void xp_ints(XpNode *n, const char *name, const Ints *v);
void xp_floats(XpNode *n, const char *name, const float *v, uint32_t count);
void xp_strings(XpNode *n, const char *name, const char *const *v, uint32_t count);
void xp_end(Export *x, XpNode *n, const char *op, const char *out);
/* The same with several outputs ("": left out). */
void xp_end_as(Export *x, XpNode *n, const char *op, const char *const *out, uint32_t n_out);
/* A node without attributes; its output's name, `base` and a suffix. */
const char *xp_op(Export *x, const char *op, const char *base, const char *suffix, uint32_t n,
                  const char *const *in);
#define XP_OP(x, op, base, suffix, ...)                                              \
  xp_op(x, op, base, suffix, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), \
        (const char *[]){__VA_ARGS__})
void xp_transpose_node(Export *x, const char *from, const char *perm, const char *to);
void xp_reshape_node(Export *x, const char *from, const Ints *to, const char *out);
const char *xp_reshaped(Export *x, const char *from, const char *base, const Ints *to);
/* Value v in plain form under another shape: a constant of that shape, or a Reshape. */
const char *xp_plain_as(Export *x, ValId v, const Ints *to, const char *suffix);
/* ONNX's number of an element type; 0: it is in no exported file. */
int xp_onnx_type(DType t);
/* An initializer; returns its name. */
const char *xp_const(Export *x, const char *name, DType t, const Shape *s, const void *data);
const char *xp_const_ints(Export *x, const char *name, const Ints *v);
const char *xp_const_float(Export *x, const char *name, float v);
/* One element of type t (no storage float). */
const char *xp_const_number(Export *x, const char *name, DType t, double v);

/* Scale and zero point (of type t) as further inputs of a QuantizeLinear or DequantizeLinear, and its axis. */
void xp_quant_inputs(Export *x, XpNode *n, DType t, const Quant *q, const char *base);
void xp_dequantize_node(Export *x, const char *codes, DType t, const Quant *q, const char *out);

/* The name of value v in plain form, or as an image (rank 4), made now if need be. */
const char *xp_plain(Export *x, ValId v);
const char *xp_image(Export *x, ValId v);
/* The name under which a node gives value v in that form, which is in the file from now on. */
const char *xp_out(Export *x, ValId v, bool image);
/* A constant, or a computed value through a Transpose, in another order of axes ("0312"). */
const char *xp_transposed(Export *x, ValId v, const char *perm, const char *suffix);

/* -- export_ops.c, export_index.c, export_cells.c: xp_IDENT for each row of ops.def -- */
/* The node as ONNX nodes. */
typedef bool XpFn(Export *x, const Node *n);
XpFn *xp_fn(OpKind op);
#define A(kind, field, def, doc)
#define OP(ident, name, mn, mx, no, traits, cls, diff, doc, attrs) XpFn xp_##ident;
#include "ir/ops.def"
#undef OP
#undef A
/* End the node m as `op` with a fused activation after it. */
bool xp_end_act(Export *x, XpNode *m, const char *op, int32_t act, const char *out);
/* int8 operators that give int32 sums: ConvInteger, MatMulInteger. */
bool xp_sums(Export *x, const Node *n);
/* The products that recurrent cells absorb. */
void xp_find_absorbed(Export *x);

#endif
