/* Reference evaluation: runs a graph's kernel calls one after the other on the host. The oracle. */
#ifndef IR_EVAL_H
#define IR_EVAL_H

#include "ir/graph.h"
#include "ir/step.h"
#include "ir/tensor.h"

/* An Evaluator is built once per graph (static shapes) and run many times. */
typedef struct Evaluator Evaluator;
Evaluator *evaluator_new(const Graph *g, Diag *d); /* NULL: reported. g must outlive it. */
/* The same by the kernels that `select` gives the calls (NULL: generic ones). */
Evaluator *evaluator_new_by(const Graph *g, SelectCallsFn *select, Diag *d);
/* Another one on e's calls, for a thread of its own; e must outlive it. */
Evaluator *evaluator_twin(const Evaluator *e);
void evaluator_free(Evaluator *e);
/* inputs[i]: dense bytes of graph input i, aligned as its dtype. Not copied, not written. */
/* A model with state: evaluator_new begins with the initial values, every run ends with the next ones. */
void evaluator_reset(Evaluator *e);
void evaluator_run(Evaluator *e, const void *const *inputs);
/* Bytes of any value after a run: outputs, intermediates, constants. */
const void *evaluator_value(const Evaluator *e, ValId v);

/* One shot with Tensors; the graph's symbolic batch is bound to the inputs'. Outputs are allocated for the caller
 * (tensor_free each). Reports and returns false on wrong count, dtype or shape. */
bool graph_eval(const Graph *g, const Tensor *in, uint32_t n_in, Tensor *out, Diag *d);

#endif
