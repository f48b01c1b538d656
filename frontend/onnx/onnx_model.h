/* An ONNX file as it is read: nodes, values and attributes by reference into the file, names interned.
 *
 *   file -> Wire -> OxModel: nodes[], values[] (0: no value)  -> onnx_import.c walks the nodes
 *
 * Branches, loops' bodies and local functions are read when the import comes to them (onnx_body.c): nodes, names, inputs
 * and outputs of the OxModel are those of the body it is in; values are shared. Depth and size of all that is
 * expanded are limited.
 *
 * Reading checks structure alone (lengths, kinds of fields, one producer per value); what an operator may look
 * like is its import function's business. Numbers of protobuf fields are those of onnx.proto (IR version 3 on).
 */
#ifndef FRONTEND_ONNX_ONNX_MODEL_H
#define FRONTEND_ONNX_ONNX_MODEL_H

#include "frontend/onnx/names.h"
#include "frontend/onnx/wire.h"
#include "ir/graph.h"

/* ONNX's TensorProto.DataType, as far as named in messages. */
enum {
  OX_FLOAT = 1,
  OX_UINT8,
  OX_INT8,
  OX_UINT16,
  OX_INT16,
  OX_INT32,
  OX_INT64,
  OX_STRING,
  OX_BOOL,
  OX_FLOAT16,
  OX_DOUBLE,
  OX_NO_TYPE = 32 /* beyond all */
};

typedef enum OxAttrType {
  OX_ATTR_NONE,
  OX_ATTR_FLOAT,
  OX_ATTR_INT,
  OX_ATTR_STRING,
  OX_ATTR_TENSOR,
  OX_ATTR_GRAPH,
  OX_ATTR_FLOATS,
  OX_ATTR_INTS,
  OX_ATTR_STRINGS
} OxAttrType;

typedef struct OxAttr {
  const char *name;
  int type; /* an OxAttrType, or a later one */
  float f;
  int64_t i;
  WireBytes s, t;  /* string; tensor */
  WireBytes g;     /* graph; p NULL: none */
  const char *ref; /* NULL, or the function's attribute that it stands for */
  WireBytes body;  /* the whole attribute: lists are read from here when asked for */
} OxAttr;

typedef struct OxNode {
  const char *name, *op, *domain, *overload;
  uint32_t *in,
      *out; /* values; 0: left out. Behind the inputs stand the values that its graphs use from around them */
  uint32_t n_in, n_deps, n_out, n_attrs;
  OxAttr *attrs;
} OxNode;

/* OX_ABSENT: an input of a function that its call leaves out. */
typedef enum OxState { OX_WAITING, OX_READY, OX_BROKEN, OX_ABSENT } OxState;

typedef struct OxValue {
  const char *name;
  int64_t producer; /* node, of the body in which the value is defined; -1: none */
  uint32_t body;
  WireBytes init; /* the initializer; p NULL: none */
  WireBytes info; /* as a graph input: its ValueInfoProto */
  bool is_input, needed;
  bool is_state, is_next; /* a state's value before the run, after it */
  OxState state;
  ValId val; /* in the graph, once READY */
} OxValue;

/* A FunctionProto of the model. */
typedef struct OxFunction {
  const char *domain, *name, *overload;
  WireBytes body;
} OxFunction;

/* A state: the graph input and output that are its value before and after a run. */
typedef struct OxStatePair {
  uint32_t now, next;
} OxStatePair;

/* A file with weights beside the model. */
typedef struct OxFile {
  const char *location;
  Blob *bytes;
} OxFile;

enum { OX_NEWEST_OPSET = 28 };
enum { OX_MAX_DEPTH = 24, OX_MAX_EXPANDED = 200000 };

typedef struct OxModel {
  Wire w;
  Blob *bytes;
  const char *path;
  Arena *arena; /* of the import: names, nodes */
  Graph *g;
  Diag *d;
  int64_t ir_version, opset;
  int32_t rounding; /* of what becomes int8: ROUND_TFLITE, ROUND_ONNX or ROUND_ONCE; -1: as the file says */
  const char *name;
  OxNode *nodes;
  uint32_t n_nodes;
  OxValue *values; /* values[0] is no value */
  uint32_t n_values;
  size_t cap_nodes, cap_values;
  uint32_t *inputs, *outputs; /* values */
  uint32_t n_inputs, n_outputs;
  size_t cap_inputs, cap_outputs;
  Names names;          /* values by name */
  WireBytes state_list; /* the property; n 0: none */
  OxStatePair *states;
  uint32_t n_states;
  OxFunction *functions;
  size_t n_functions, cap_functions;
  OxFile *files;
  size_t n_files, cap_files;
  /* of the body that the import is in */
  uint32_t body;               /* its number; 0: the model's graph */
  const struct OxModel *outer; /* whose names it sees; NULL: none */
  const OxNode *call;          /* of the innermost function */
  const OxAttr *defaults;      /* its attributes' */
  uint32_t n_defaults;
  int depth;
  /* of all */
  uint32_t n_bodies, n_expanded;
  int64_t made, work; /* bytes and multiplications that folding constants has cost, or will */
} OxModel;

/* -- onnx_model.c -- */
/* Read m->bytes; m->bytes, path, arena, d are set. false: reported. */
bool ox_read(OxModel *m);
void ox_free(OxModel *m); /* arrays; not the arena, the graph, the bytes */
/* Read a GraphProto, a FunctionProto into m, which is in a new body. false: reported. */
bool ox_read_graph(OxModel *m, WireBytes body);
bool ox_read_function(OxModel *m, const OxFunction *f);
/* Go into a new body, of which *saved is what is around it; `lexical`: it sees the names there. And back. */
void ox_enter(OxModel *m, OxModel *saved, bool lexical);
void ox_leave(OxModel *m, const OxModel *saved);

/* -- onnx_external.c -- */
/* Weights in another file: `info` is the TensorProto. The bytes and the blob that keeps them; *open: the length was not
 * said, and the bytes go to the file's end. false: reported. */
bool ox_external(OxModel *m, WireBytes info, const char *name, const Loc *loc, WireBytes *bytes, Blob **keep,
                 bool *open);

/* -- onnx_import.c -- */
/* Import the nodes of the body that m is in, as far as its outputs need them. false: reported. */
bool ox_import_nodes(OxModel *m);
/* The value in the graph. NO_VAL: broken (reported). */
ValId ox_use(OxModel *m, uint32_t id, const Loc *loc);
/* Report what the wire reader found; returns false. */
bool ox_corrupt(OxModel *m);

/* In our own files: a property of the model that says how its int8 operators round. */
#define OX_ROUNDING_KEY "mistify.rounding"
const char *ox_rounding_name(int rounding);
/* And one that names its states: for each a line with its input, and one with its output. */
#define OX_STATES_KEY "mistify.states"

/* -- onnx_state.c -- */
/* The states that the model's property lists; false: reported. */
bool ox_read_states(OxModel *m);
/* Their values before the run, before the nodes; after it, behind them. */
bool ox_begin_states(OxModel *m);
bool ox_end_states(OxModel *m);

/* -- onnx_tensor.c -- */
DType ox_dtype(int64_t type); /* DT_NONE: not supported */
const char *ox_type_name(int64_t type);
/* A TensorProto as a constant of g named `name`; raw data stays where it is. NO_VAL: reported at loc. */
ValId ox_tensor(OxModel *m, Graph *g, WireBytes body, const char *name, const Loc *loc);
/* A graph input's type and shape. A first dimension without a value is the batch. */
bool ox_value_info(OxModel *m, WireBytes info, const char *name, DType *t, Shape *s);

#endif
