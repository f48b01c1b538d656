/* Graph: the intermediate representation. Two arrays, values and nodes, 32-bit ids, one arena.
 *
 *   inputs -> [node] -> value -> [node] -> ... -> outputs          constants are values with a blob
 *
 * Nodes stand in topological order (graph_verify checks it). There is no layout flag: convolutions and
 * pools are NHWC, every other operator is defined by its axes. The batch may be symbolic (DIM_BATCH).
 * A model with state has values that live from one run to the next: `now` is what a run reads, `next` what it becomes
 * afterwards, `init` what it is at first. Neither is an input or output: whoever runs the model keeps them.
 * A pass never edits a Graph it was given: it builds a new one through a value map (Rewrite, below), so
 * that dead code, order and dense ids come for free and the input survives as teacher and for diffs.
 * One who builds a graph may still edit it until it is handed on.
 */
#ifndef IR_GRAPH_H
#define IR_GRAPH_H

#include "ir/base/arena.h"
#include "ir/base/blob.h"
#include "ir/base/diag.h"
#include "ir/op.h"
#include "ir/types.h"

typedef struct Value {
  const char *name; /* may be NULL; not part of the hash */
  DType dtype;
  Shape shape;
  Quant quant;
  Blob *blob; /* constant bytes, dense, row-major, little-endian; NULL: computed or input */
  NodeId def; /* the node that computes it; NO_NODE: input or constant */
} Value;

typedef struct Node {
  OpKind op;
  uint32_t n_in, n_out;
  ValId *in; /* NO_VAL: an optional input left out */
  ValId *out;
  void *attrs; /* the operator's struct; use ATTRS(node, conv) */
  Loc loc;     /* where it came from; kept through rewriting */
} Node;

/* Read as `now`, a value that nothing computes; after a run it is what `next` is; at first what the constant `init` is.
 * All three have one type and shape. */
typedef struct GraphState {
  ValId now, next, init;
} GraphState;

typedef struct Graph {
  Arena *arena;
  const char *name;
  Value *vals; /* vals[0] is unused */
  uint32_t n_vals;
  size_t cap_vals;
  Node *nodes;
  uint32_t n_nodes;
  size_t cap_nodes;
  ValId *inputs, *outputs;
  uint32_t n_inputs, n_outputs;
  size_t cap_inputs, cap_outputs;
  GraphState *states;
  uint32_t n_states;
  size_t cap_states;
  struct CustomLibrary
      *custom; /* what Custom operators are bound to (ir/custom.h); NULL: nothing. Not part of the file */
} Graph;

#define ATTRS(node, ident)  ((ident##_attrs *)(node)->attrs)
#define CATTRS(node, ident) ((const ident##_attrs *)(node)->attrs)

/* -- building (ir/graph.c) -- */
Graph *graph_new(const char *name);
/* An empty graph of the same name, bound to the same custom operators. */
Graph *graph_new_like(const Graph *g);
void graph_free(Graph *g); /* NULL is allowed; drops its references to blobs */

ValId graph_input(Graph *g, const char *name, DType t, const Shape *s);
/* A constant. Takes over the caller's reference to `blob` (size: count * dtype_size, asserted). */
ValId graph_const(Graph *g, const char *name, DType t, const Shape *s, Blob *blob);
/* Copies `count` elements of dtype t into a new blob. */
ValId graph_const_data(Graph *g, const char *name, DType t, const Shape *s, const void *data);
void graph_output(Graph *g, ValId v);
/* A state that begins as the constant `init`: its value `now`, of init's type and quantization. What comes next is said
 * later, before the graph is handed on. */
ValId graph_state(Graph *g, const char *name, ValId init);
void graph_state_next(Graph *g, ValId now, ValId next);

/* Append a node: copies the ids and attrs (NULL: defaults), makes its output value(s) named `name`, infers.
 * Returns the first output, or NO_VAL when inference failed (reported at loc; the node is removed again).
 * Quantization of an output that the operator does not hand on is set by graph_set_quant before or after;
 * Quantize needs it before use. */
ValId graph_node(Graph *g, OpKind op, const void *attrs, const ValId *in, uint32_t n_in, const char *name,
                 const Loc *loc, Diag *d);
/* Unary and binary shorthands of graph_node. */
ValId graph_node1(Graph *g, OpKind op, const void *attrs, ValId x, const char *name, const Loc *loc, Diag *d);
ValId graph_node2(Graph *g, OpKind op, const void *attrs, ValId x, ValId y, const char *name, const Loc *loc,
                  Diag *d);

/* Copies scale and zero into the arena. */
void graph_set_quant(Graph *g, ValId v, int n, int axis, const float *scale, const int32_t *zero);

/* Building without inference, for copies and for the parser, which check otherwise: a value that nothing computes
 * yet; an existing value made a graph input; a copy of node `n` of any graph, its ids through `map`. */
ValId graph_val_new(Graph *g, const char *name, DType t, const Shape *s);
void graph_mark_input(Graph *g, ValId v);
void graph_mark_state(Graph *g, GraphState s);
NodeId graph_node_raw(Graph *g, const Node *n, const ValId *map);
void graph_set_loc(Graph *g, NodeId k, const Loc *loc); /* copies the strings */

/* -- asking -- */
static inline Value *graph_val(const Graph *g, ValId v) { return &g->vals[v]; }
static inline const Node *graph_def(const Graph *g, ValId v) {
  return g->vals[v].def == NO_NODE ? NULL : &g->nodes[g->vals[v].def];
}
static inline bool val_is_const(const Graph *g, ValId v) { return v != NO_VAL && g->vals[v].blob != NULL; }
/* The constant's elements (aligned); asserts that v is a constant. */
const void *val_data(const Graph *g, ValId v);
/* Bytes of the value, batch counted as 1 where it is symbolic. */
size_t val_bytes(const Graph *g, ValId v);
/* Whether v must be there after a run: a graph output, or a state's next value. */
bool graph_is_result(const Graph *g, ValId v);
/* Does a node compute real numbers (beside Quantize, Dequantize and what moves values)? Then C libraries differ in last bits. */
bool graph_computes_reals(const Graph *g);
/* Refuse a graph with state: reports what cannot be done with it. */
bool graph_want_stateless(const Graph *g, const char *what, Diag *d);
/* uses[v] = number of nodes (and graph outputs and states) that read v; array of n_vals in `a`. */
uint32_t *graph_uses(const Graph *g, Arena *a);
/* Multiply-accumulates and parameters, a symbolic batch counted as 1. MACs: Conv, DepthwiseConv, FullyConnected, MatMul. */
int64_t node_macs(const Graph *g, const Node *n);
int64_t graph_macs(const Graph *g);
int64_t graph_params(const Graph *g); /* elements of all constants that a node reads */

/* Hash of meaning: structure, attributes, dtypes, shapes, quantization, constants; no names, no locations. */
Hash graph_hash(const Graph *g);

/* -- copying (ir/rewrite.c) -- */
/* A graph under construction from another one. Walk the source's nodes in order; map[v] is the new id of
 * the old value v (NO_VAL: not copied yet). Constants are copied at first use, sharing the blob. */
typedef struct Rewrite {
  const Graph *from;
  Graph *to;
  ValId *map;
  const char *pass; /* written to the Loc of new nodes; NULL keeps it */
} Rewrite;

void rewrite_begin(Rewrite *r, const Graph *from, const char *pass); /* new graph with the same inputs */
ValId rewrite_val(Rewrite *r, ValId old); /* new id, copying a constant if needed */
/* Copy a node as it is, inputs through the map, outputs re-inferred (quantization kept). */
bool rewrite_copy(Rewrite *r, const Node *n, Diag *d);
/* The same with other attributes. */
bool rewrite_copy_as(Rewrite *r, const Node *n, const void *attrs, Diag *d);
/* The Loc of a node that the pass makes in place of n: n's own, with the pass's name. */
Loc rewrite_loc(const Rewrite *r, const Node *n);
/* Finish: outputs through the map, unused nodes and constants dropped, ids dense. Frees r's own memory.
 * Returns NULL (and frees the new graph) when !ok. */
Graph *rewrite_end(Rewrite *r, bool ok, Diag *d);

Graph *graph_clone(const Graph *g);
/* Output o alone, and what it needs; inputs and states stay. */
Graph *graph_with_output(const Graph *g, uint32_t o);
/* The first n outputs, likewise. */
Graph *graph_with_outputs(const Graph *g, uint32_t n);
/* The same graph with the batch of every input made `n` (DIM_BATCH: symbolic). A fixed leading 1 that is a
 * batch in all but name is found by re-inference: leading dimensions of Reshape attributes follow. NULL and a
 * report where the graph does not allow it. */
Graph *graph_with_batch(const Graph *g, int64_t n, Diag *d);

/* The same graph with weights of i4 as i8 (ir/widen.c). */
Graph *graph_widen_int4(const Graph *g, Diag *d);
/* The same graph for images of h x w (ir/rewrite_size.c): axes `axis` and the one behind it of the first input. NULL and a
 * report of the node where the graph does not allow it: where something but global pools sees the size. */
Graph *graph_with_size(const Graph *g, int axis, int64_t h, int64_t w, Diag *d);

/* -- checking (ir/verify.c) -- */
/* All rules of the IR; collects up to DIAG_MAX errors. */
bool graph_verify(const Graph *g, Diag *d);
/* The rules of one value alone: element type, shape, quantization; reported at loc. */
bool value_verify(const Value *v, const Loc *loc, Diag *d);

/* -- text form (ir/print.c, ir/parse.c); grammar at the top of ir/print.c -- */
struct StrBuf;
/* Constants of more than `max_inline` elements are printed as a hash reference (then the text does not
 * parse back alone); SIZE_MAX prints all. */
void graph_print(const Graph *g, struct StrBuf *out, size_t max_inline);
Graph *graph_parse(const char *text, const char *file, Diag *d);
/* Our binary file: the text form with constants by number, then their bytes. Magic "MISTIFY1". */
void graph_serialize(const Graph *g, struct StrBuf *out);
Graph *graph_deserialize(Blob *bytes, const char *file, Diag *d); /* constants are views into `bytes` */

#endif
