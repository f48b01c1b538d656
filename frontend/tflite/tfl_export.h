/* Inside the TFLite exporter: what the file will hold, and what operators' functions ask for.
 *
 *   graph (batch bound to 1) -> tfx_OP for each node: tensors and operators -> tfl_export.c writes the file
 */
#ifndef FRONTEND_TFLITE_TFL_EXPORT_H
#define FRONTEND_TFLITE_TFL_EXPORT_H

#include "ir/graph.h"

enum { TFX_FIELDS = 8 };

typedef struct TfxTensor {
  const char *name;
  DType dtype;
  Shape shape;
  Quant quant;
  const void *data; /* NULL: computed */
  int sub;          /* the graph of the file that it is in: 0, or 1, which sets states first */
  bool resource;    /* a handle of a variable */
  bool variable;    /* lives from one run to the next */
} TfxTensor;

typedef struct TfxOp {
  int32_t code, options; /* BuiltinOperator, BuiltinOptions (0: none) */
  int32_t in[64], out;   /* out -1: none */
  int n_in, n_fields, sub;
  struct {
    uint32_t id;
    char kind; /* 'b' byte, 'i' int32, 'f' float, 's' string */
    int32_t i;
    float f;
    const char *s;
  } field[TFX_FIELDS];
} TfxOp;

typedef struct Tfx {
  const Graph *g;
  Diag *d;
  Arena *arena;
  TfxTensor *tensors;
  int n_tensors;
  size_t cap_tensors;
  int32_t *of_val; /* tensor + 1 of each value; 0: none yet */
  int32_t *local;  /* number of each tensor in its graph */
  int sub;         /* of what is made now */
  bool *written;   /* nodes that an operator of several stands for */
  bool *own_state; /* states that an operator of TensorFlow Lite keeps itself */
  TfxOp *ops;
  int n_ops;
  size_t cap_ops;
} Tfx;

typedef bool TfxFn(Tfx *x, const Node *n);

/* -- tfl_export.c -- */
int32_t tfx_tensor(Tfx *x, ValId v);
/* A tensor of no value: computed (data NULL) or constant. */
int32_t tfx_new(Tfx *x, const TfxTensor *t);
/* A constant list of int32. */
int32_t tfx_ints(Tfx *x, const char *name, const int64_t *v, int n);
/* An operator without inputs and options yet; out -1: it has none. */
TfxOp *tfx_bare(Tfx *x, int32_t code, int32_t options, int32_t out);
/* Begin an operator whose first input is `in` and whose output is n's; add inputs and options. */
TfxOp *tfx_op(Tfx *x, const Node *n, int32_t code, int32_t options, int32_t in);
void tfx_in(TfxOp *op, int32_t tensor);
void tfx_byte(TfxOp *op, uint32_t id, int v);
void tfx_int(TfxOp *op, uint32_t id, int64_t v);
void tfx_float(TfxOp *op, uint32_t id, float v);
void tfx_string(TfxOp *op, uint32_t id, const char *s);
bool tfx_refuse(Tfx *x, const Node *n, const char *why);

/* -- tfl_export_state.c -- */
/* The states that operators keep themselves are found; the others are read, before all nodes. */
void tfx_read_states(Tfx *x);
/* What the others become, behind all nodes. */
void tfx_assign_states(Tfx *x);
/* Number of the state whose present value is `now`; -1: none. Does a constant hold zeros (zero points) alone? */
int tfx_state_of(const Graph *g, ValId now);
bool tfx_begins_as_zeros(const Graph *g, ValId v);
bool tfx_svdf_state(Tfx *x, const Node *n);
bool tfx_svdf(Tfx *x, const Node *n);

/* -- tfl_export_lstm.c -- */
/* The nodes that are a UNIDIRECTIONAL_SEQUENCE_LSTM together, and its states, are marked; returns how many states. */
uint32_t tfx_find_lstms(Tfx *x, const uint32_t *uses);
bool tfx_seq_lstm(Tfx *x, const Node *n);

/* -- tfl_export_ops.c -- */
/* NULL: the operator has no counterpart. */
TfxFn *tfx_fn(OpKind op);

#endif
