/* An ONNX file as it is read: nodes, values and attributes by reference into the file, names interned.
 *
 *   file -> Wire -> OxModel: nodes[], values[] (0: no value)  -> onnx_import.c walks the nodes
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
  OX_DOUBLE
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
  WireBytes s, t; /* string; tensor */
  WireBytes body; /* the whole attribute: lists are read from here when asked for */
} OxAttr;

typedef struct OxNode {
  const char *name, *op, *domain;
  uint32_t *in, *out; /* values; 0: left out */
  uint32_t n_in, n_out, n_attrs;
  OxAttr *attrs;
} OxNode;

typedef enum OxState { OX_WAITING, OX_READY, OX_BROKEN } OxState;

typedef struct OxValue {
  const char *name;
  int64_t producer; /* node; -1: none */
  WireBytes init;   /* the initializer; p NULL: none */
  WireBytes info;   /* as a graph input: its ValueInfoProto */
  bool is_input, needed;
  OxState state;
  ValId val; /* in the graph, once READY */
} OxValue;

typedef struct OxModel {
  Wire w;
  Blob *bytes;
  const char *path;
  Arena *arena; /* of the import: names, nodes */
  Graph *g;
  Diag *d;
  int64_t ir_version, opset;
  const char *name;
  OxNode *nodes;
  uint32_t n_nodes;
  OxValue *values; /* values[0] is no value */
  uint32_t n_values;
  size_t cap_nodes, cap_values;
  uint32_t *inputs, *outputs; /* values */
  uint32_t n_inputs, n_outputs;
  size_t cap_inputs, cap_outputs;
  Names names; /* values by name */
} OxModel;

/* -- onnx_model.c -- */
/* Read m->bytes; m->bytes, path, arena, d are set. false: reported. */
bool ox_read(OxModel *m);
void ox_free(OxModel *m); /* arrays; not the arena, the graph, the bytes */
/* Report what the wire reader found; returns false. */
bool ox_corrupt(OxModel *m);

/* -- onnx_tensor.c -- */
DType ox_dtype(int64_t type); /* DT_NONE: not supported */
const char *ox_type_name(int64_t type);
/* A TensorProto as a constant of g named `name`; raw data stays where it is. NO_VAL: reported at loc. */
ValId ox_tensor(OxModel *m, Graph *g, WireBytes body, const char *name, const Loc *loc);
/* A graph input's type and shape. A first dimension without a value is the batch. */
bool ox_value_info(OxModel *m, WireBytes info, const char *name, DType *t, Shape *s);

#endif
