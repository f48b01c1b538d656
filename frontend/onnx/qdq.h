/* Quantize/Dequantize form to int8 operators: qdq.c finds them, qdq_ops.c makes them. */
#ifndef FRONTEND_ONNX_QDQ_H
#define FRONTEND_ONNX_QDQ_H

#include "ir/graph.h"

/* The imported graph with true int8 operators in the place of Dequantize -> operator -> Quantize. rounding:
 * ROUND_TFLITE, ROUND_ONNX or ROUND_ONCE. NULL: reported. */
bool qdq_has_codes(const Graph *g); /* is there anything to do? */
Graph *qdq_rewrite(const Graph *g, int32_t rounding, Diag *d);

/* The inverse, for export: int8 operators as float32 ones between Dequantize and Quantize (qdq_expand.c). NULL: reported. */
Graph *qdq_expand(const Graph *g, Diag *d);
/* What all int8 operators of a graph that have a choice of rounding keep: ROUND_TFLITE, ROUND_ONNX or ROUND_ONCE. -1: there is
 * none. */
int qdq_rounding(const Graph *g);

/* -- inside -- */

typedef struct Affine8 {
  float scale;
  int32_t zero;
} Affine8;

/* The graph under construction. For each value v of the old graph:
 *   code[v]  i8 value whose real meaning v has (v float32, or codes of 8 bits; constants also i32)
 *   real[v]  v itself, of v's own type
 * Either may be missing, and is made from the other one when asked for. want[v]: what all readers of a float32 value
 * quantize it to, sooner or later; known[v]: there is such a thing. sums[v]: all readers cast it to int32; its code then
 * is the int32 value itself. */
typedef struct Qdq {
  const Graph *g;
  Graph *to;
  int32_t rounding;
  ValId *code, *real;
  Affine8 *want;
  bool *known, *sums;
  Diag *d;
} Qdq;

/* -- qdq.c -- */
ValId qdq_real(Qdq *q, ValId v, const Loc *loc);
/* The codes of v, NO_VAL where it has none. */
ValId qdq_code(Qdq *q, ValId v, const Loc *loc);
/* The quantization of a code value of the new graph (one scale). */
Affine8 qdq_affine(const Qdq *q, ValId code);
bool affine8_equal(Affine8 a, Affine8 b);
void qdq_set(Qdq *q, ValId v, Affine8 a);
/* Codes in another quantization. */
ValId qdq_requantize(Qdq *q, ValId code, Affine8 to, const char *name, const Loc *loc);
/* A node over constants, evaluated; NO_VAL where it does not go (nothing is reported). */
ValId qdq_fold(Qdq *q, const Node *n, const ValId *in);

/* -- qdq_ops.c -- */
/* The node as an int8 operator: its output codes, or NO_VAL where there is no such form here. */
ValId qdq_operator(Qdq *q, const Node *n);
/* May Quantize be moved from behind the operator to its input? */
bool qdq_commutes(const Node *n);

#endif
