/* Inside the TFLite importer: the model as it is read, one node at a time, and what tfl_*.c share.
 *
 *   file -> Fb -> Tfl (tensors, read at first use) -> TflNode -> tfl_NAME (builtins.def) -> graph nodes
 *
 * An import function returns false after a report; its outputs are then broken, and nodes that read a broken
 * tensor are passed over without a further message, so that one import shows every independent fault.
 */
#ifndef FRONTEND_TFLITE_TFL_H
#define FRONTEND_TFLITE_TFL_H

#include "frontend/tflite/flatbuffer.h"
#include "ir/compose/compose.h"
#include "ir/custom.h"
#include "ir/graph.h"

enum { TFL_MAX_IN = 64, TFL_MAX_OUT = 16 };

/* Field numbers of the schema's tables that we read. */
enum { MODEL_VERSION, MODEL_CODES, MODEL_SUBGRAPHS, MODEL_DESCRIPTION, MODEL_BUFFERS };
enum { CODE_OLD, CODE_CUSTOM, CODE_VERSION, CODE_BUILTIN };
enum { SUBGRAPH_TENSORS, SUBGRAPH_INPUTS, SUBGRAPH_OUTPUTS, SUBGRAPH_OPERATORS, SUBGRAPH_NAME };
enum {
  TENSOR_SHAPE,
  TENSOR_TYPE,
  TENSOR_BUFFER,
  TENSOR_NAME,
  TENSOR_QUANT,
  TENSOR_VARIABLE,
  TENSOR_SPARSITY
};
enum { QUANT_MIN, QUANT_MAX, QUANT_SCALE, QUANT_ZERO, QUANT_DETAILS_TYPE, QUANT_DETAILS, QUANT_AXIS };
enum { OPERATOR_CODE, OPERATOR_INPUTS, OPERATOR_OUTPUTS, OPERATOR_OPTIONS_TYPE, OPERATOR_OPTIONS };
enum { BUFFER_DATA, BUFFER_OFFSET, BUFFER_SIZE };

/* Element types of the file that become others: UINT8 and INT4 are made INT8, FLOAT16 is read by DEQUANTIZE alone. */
enum { TFL_FLOAT16 = 1, TFL_UINT8 = 3, TFL_RESOURCE = 13, TFL_INT4 = 17 };

typedef enum TflState { TFL_UNREAD, TFL_READ, TFL_BROKEN } TflState;

typedef struct TflTensor {
  TflState state;
  bool variable; /* lives from one run to the next */
  uint32_t var;  /* of a handle: number of its variable + 1 */
  bool needed;   /* something that reaches an output reads it */
  bool produced; /* an operator writes it */
  const char *name;
  uint8_t stored; /* element type in the file; below what it becomes */
  DType dtype;
  Shape shape;
  Quant quant;         /* in the graph's arena */
  const uint8_t *data; /* constant's bytes in the file; NULL: none */
  ValId val;           /* NO_VAL: not made yet */
} TflTensor;

/* A variable by name. */
typedef struct TflVar {
  const char *name;
  const uint8_t *first; /* what it is at first, in the file; NULL: zeros */
  size_t first_bytes;
  uint8_t first_type; /* as stored */
  ValId now, current; /* of the state; what a read gives at this point of the graph. NO_VAL: not used yet */
} TflVar;

/* Operator codes that the importer itself knows. */
enum { TFL_CALL_ONCE = 129, TFL_VAR_HANDLE = 142, TFL_ASSIGN_VARIABLE = 144 };

typedef struct Tfl {
  Fb fb;
  Blob *bytes;
  const char *path; /* in the graph's arena */
  Graph *g;
  Diag *d;
  FbVec file_tensors, buffers;
  TflTensor *tensors;
  uint32_t n_tensors;
  TflVar *vars;
  uint32_t n_vars;
  size_t cap_vars;
  int64_t made; /* bytes of constants that are not in the file */
} Tfl;

typedef struct TflNode {
  Tfl *m;
  Loc loc;
  FbTable options; /* builtin_options, whatever their type */
  uint32_t n_in, n_out;
  int32_t in[TFL_MAX_IN], out[TFL_MAX_OUT]; /* tensor numbers; -1: left out */
} TflNode;

typedef bool TflImport(TflNode *n);

/* -- tfl_tensor.c -- */
/* Tensor `index`, read and checked at first use; NULL: broken (reported, the first time). */
TflTensor *tfl_tensor(Tfl *m, int32_t index, const Loc *loc);
/* Its value: an input, a computed one, or a constant made now. NO_VAL: not computed yet (reported). */
ValId tfl_value(Tfl *m, int32_t index, const Loc *loc);
const char *tfl_type_name(uint8_t type);
/* Takes the bytes of a constant that the import is about to make from what it may make in all; false: reported. */
bool tfl_may_make(Tfl *m, int64_t count, size_t size, const Loc *loc);

/* -- tfl_node.c: what import functions ask for -- */
bool tfl_has(const TflNode *n, uint32_t i);
/* Tensor of input or output i; asserts that it was read (all are before an import function runs). */
TflTensor *tfl_in_tensor(const TflNode *n, uint32_t i);
TflTensor *tfl_out_tensor(const TflNode *n, uint32_t i);
/* Input i as float32 or per-tensor quantized int8 data; NO_VAL: reported. */
ValId tfl_data(TflNode *n, uint32_t i);
/* The same, or int16 of zero point 0: of operators that have such a form. */
ValId tfl_data16(TflNode *n, uint32_t i);
/* Input i, to be moved: any element type, with output 0's quantization; NO_VAL: reported. */
ValId tfl_moved(TflNode *n, uint32_t i);
/* Input i as constant weights beside data x: the same arithmetic, no mix of float and integer; int8 beside int16. */
ValId tfl_weights(TflNode *n, uint32_t i, ValId x);
/* The same for operators that compute on weights of 4 bits: INT4 beside int8 data stays i4 where it is symmetric. */
ValId tfl_weights4(TflNode *n, uint32_t i, ValId x);
/* Input i as constant bias: float32, or int32 beside int8 data, int64 or int32 beside int16. *v is NO_VAL where there is none. */
bool tfl_bias(TflNode *n, uint32_t i, ValId x, ValId *v);
/* Input i as a short constant list of integers. */
bool tfl_ints(TflNode *n, uint32_t i, Ints *out);
/* The fused activation in option field `id` as ours. */
bool tfl_act(TflNode *n, uint32_t id, int32_t *out); /* an Act */
/* Both have the same quantization; otherwise reports. */
bool tfl_same_quant(TflNode *n, const TflTensor *a, const TflTensor *b);
/* Axis that may count from the end, checked. */
bool tfl_axis(TflNode *n, int64_t axis, int32_t rank, int32_t *out);
/* The int8 constant that is input i as a float32 constant. */
ValId tfl_dequantized(TflNode *n, uint32_t i);
/* Input i in output 0's quantization, requantized where it has another one; NO_VAL: reported. */
ValId tfl_rescaled(TflNode *n, uint32_t i);
/* v becomes output i: dtype and shape must be the file's; the file's quantization is set. */
bool tfl_bind(TflNode *n, uint32_t i, ValId v);
/* Append `op` on the inputs and bind its output to output 0. */
bool tfl_emit(TflNode *n, OpKind op, const void *attrs, const ValId *in, uint32_t n_in);
/* Append `op` on x; NO_VAL: reported. */
ValId tfl_node1(TflNode *n, OpKind op, const void *attrs, ValId x);
ValId tfl_node2(TflNode *n, OpKind op, const void *attrs, ValId x, ValId y);
/* A constant of one f32 element. */
ValId tfl_scalar(TflNode *n, float v);
/* Shape of output 0 as Reshape wants it, and the Reshape itself (the value as it is where nothing changes). */
ValId tfl_reshape(TflNode *n, ValId x, const Shape *to);

/* -- tfl_element.c -- */
/* For compositions named after output 0. */
Compose tfl_compose(const TflNode *n);
/* The result of a composition, in the output's element type, becomes output i. */
bool tfl_end(TflNode *n, uint32_t i, ValId v);
/* Input i, not quantized; types: any of "f" (f32), "i" (i32, i64), "b" (bool). NO_VAL: reported. */
ValId tfl_number(TflNode *n, uint32_t i, const char *types);

/* -- tfl_conv.c -- */
/* SAME padding of one direction: before and after. */
void tfl_same_pads(int64_t in, int64_t k, int64_t stride, int64_t dilation, int64_t *before, int64_t *after);

/* -- tfl_custom.c -- */
/* A custom operator as a call of the user's function. */
bool tfl_import_custom(TflNode *n, const CustomRule *r);

/* -- tfl_state.c -- */
/* A variable tensor's present value, made now; NO_VAL: reported. */
ValId tfl_variable(Tfl *m, TflTensor *t, const Loc *loc);
/* What the graph that CALL_ONCE names assigns to variables; code_of reads an operator's code. */
typedef bool TflCodeOf(void *ctx, const FbTable *op, int32_t *code);
bool tfl_first_values(Tfl *m, const FbTable *subgraph, TflCodeOf *code_of, void *ctx, const Loc *loc);
/* Next values of all states, when the graph is complete. */
void tfl_finish_states(Tfl *m);

/* -- tfl_conv.c, tfl_move.c, tfl_math.c, tfl_element.c, tfl_axes.c -- */
#define YES(code, name, import) TflImport tfl_import_##import;
#define NO(code, name, advice)
#include "frontend/tflite/builtins.def"
#undef YES
#undef NO

#endif
