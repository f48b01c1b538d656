/* One conformance test of onnx/onnx: a model, its inputs and the outputs that it must give.
 *
 *   DIR/model.onnx   DIR/test_data_set_K/input_0.pb ...  output_0.pb ...      (TensorProto files)
 *
 * Many of these models have lists and weights as inputs, which the import wants as constants: such inputs are bound to
 * the test's values (as initializers), as few of them as will do.
 */
#ifndef TESTS_CONFORMANCE_NODE_CASE_H
#define TESTS_CONFORMANCE_NODE_CASE_H

#include "frontend/onnx/onnx.h"
#include "ir/graph.h"
#include "ir/tensor.h"

enum { CASE_MAX_IO = 32, CASE_WHY = 700 };

typedef struct NodeCase {
  Arena *arena;
  Blob *model;      /* NULL: there is none */
  const char *name; /* the folder's name */
  const char *op;   /* the operator that the model is about */
  const char *kind; /* "", or what sets it apart: "float16", "sequence", ... */
  Tensor in[CASE_MAX_IO], want[CASE_MAX_IO];
  const char *in_name[CASE_MAX_IO], *out_name[CASE_MAX_IO];
  Blob *in_file[CASE_MAX_IO];
  uint32_t n_in, n_out;
  OnnxRounding rounding;     /* of int8 operators: case_read sets ONNX's */
  char unreadable[CASE_WHY]; /* "", or why a tensor of it cannot be read */
} NodeCase;

/* Read the test in folder `dir` with data set `set`. Always free it. */
void case_read(NodeCase *c, const char *dir, int set);
void case_free(NodeCase *c);
/* How many data sets the folder has. */
int case_sets(const char *dir);

/* The model as a graph; *bound: bit i is set where input i became a constant. NULL: reported. */
Graph *case_import(const NodeCase *c, uint32_t *bound, Diag *d);
/* The values of g's inputs, in its order (borrowed from c). false: g has an input that the test has not. */
bool case_inputs(const NodeCase *c, const Graph *g, Tensor *in);
/* Compare output k: floats within onnx's own tolerance (1e-3 of the wanted value + 1e-7), all else exactly. false: why
 * (CASE_WHY bytes) says where they differ. */
bool case_compare(const NodeCase *c, uint32_t k, const Tensor *got, char *why);
/* Evaluate g by the engine and compare all outputs. */
bool case_evaluate(const NodeCase *c, const Graph *g, char *why);

#endif
