/* What `quantize` and `qat` share: which values have int8 codes, of what scale, and which operators compute on them. Both
 * walk the same prepared graph by the same rules, so that a scale that was trained is put where quantize puts it.
 */
#ifndef PASSES_QUANTIZER_H
#define PASSES_QUANTIZER_H

#include "passes/calibrate.h"
#include "passes/pass.h"
#include "passes/quant_weights.h"
#include "passes/quantize.h"

/* How an operator becomes int8: not at all; with constant weights; an output of its own scale; of its input's scale; one
 * scale for all inputs and the output. */
typedef enum Kind { KIND_FLOAT, KIND_WEIGHTS, KIND_OWN, KIND_SHARE, KIND_JOIN } Kind;

typedef enum Io { IO_INT8, IO_UINT8, IO_FLOAT } Io;

typedef struct QuantOptions {
  CalOptions cal;
  Io io;
  bool fc_per_tensor;
  bool correct;                     /* biases, by quant_correct */
  int report;                       /* 1: ranges and signal to noise; 2: and each part alone */
  char json[512];                   /* file of the report; "": none */
  char int16[1024], in_float[1024]; /* layers by name, ';' in between */
  double budget;                    /* loss that is allowed; negative: none said */
  bool budget_points;               /* it is in points of accuracy */
  uint32_t held;                    /* images for trials */
  WeightOptions weights;
} QuantOptions;

typedef struct Class {
  ValId parent;
  float lo, hi;
  float most; /* largest magnitude: for int16 */
  bool known, fixed;
  bool unit;     /* fixed by the operator: int16 codes are 2^-15 */
  Affine affine; /* fixed */
} Class;

/* Scales that were trained, by values of the stripped graph (qat_strip). */
typedef struct Given {
  Affine *value; /* scale 0: none */
  float **steps; /* of a constant: [n_steps], 1 or one for each output channel; NULL: none */
  int *n_steps;
  int32_t *most; /* largest code of a constant's */
} Given;

typedef struct Quantizer {
  QuantOptions o;
  const Graph *g; /* prepared */
  Graph *to;
  CalRange *range; /* [n_vals], as the three below */
  Class *cls;
  NodeId *layer;      /* [g's nodes] the node of `to` that computes it with int8 weights; NO_NODE: none */
  ValId *code, *real; /* a value's int8 form, and its float32 (or untouched) form, in `to` */
  ValId *code16;      /* its int16 form */
  bool *wide;         /* [n_vals] by representative: the class is int16 */
  bool *in_float;     /* [g's nodes] computed in float32 though there is an int8 form */
  InputCodes input;
  const Given *given; /* NULL: calibrated */
  Codes *codes;       /* [n_vals] of weights; NULL: all have 8 bits, by plain rounding */
  const Graph *like;  /* the widest of a family, quantized, whose codes the weights have; NULL: none */
  const Host *host;
  Diag *d;
} Quantizer;

/* -- quant_classes.c -- */
/* How the operator can be computed, and how it is in this graph. */
Kind quant_kind(const Graph *g, const Node *n);
Kind quant_kind_in(const Quantizer *q, NodeId k);
/* Does it read or give a value of 16 bits? Then all its values on codes are. */
bool quant_is_wide(const Quantizer *q, const Node *n);
bool quant_is_real(const Graph *g, ValId v);
/* Is the state kept as codes? Then an operator on codes reads it, or computes what comes next. */
bool quant_state_is_code(const Graph *g, const GraphState *s);
/* q->cls from ranges, the input's codes, states, operators and what was trained. */
void quant_classes(Quantizer *q);
/* The class's representative; what its codes mean; whether a range is known; whether its scale is set by the operator. */
ValId quant_class(const Quantizer *q, ValId v);
Affine quant_affine(const Quantizer *q, ValId v);
Affine quant_affine16(const Quantizer *q, ValId v);
bool quant_same(Affine a, Affine b);
bool quant_known(const Quantizer *q, ValId v);
bool quant_fixed(const Quantizer *q, ValId v);
void quant_fix(Quantizer *q, ValId v, Affine a); /* its class */

/* -- quant_options.c -- */
bool quant_options(const char *params, QuantOptions *o, Diag *d);
/* An option's text; what does not fit value [n] is refused. Left as it is where the option is not there. */
bool quant_text(const char *params, const char *key, char *value, size_t n, Diag *d);

/* -- quantize.c -- */
/* The weights of a KIND_WEIGHTS node. */
WeightView quant_weights(const Graph *g, const Node *n);
typedef bool QuantMakeFn(Quantizer *q);
/* Ranges from the data (NULL: -1 .. 1) and classes for q->g; `make` then builds q->to. NULL: reported. */
Graph *quant_run(Quantizer *q, const Dataset *ds, QuantMakeFn *make);
/* q->to anew by `make`, as wide and in_float say, its biases corrected on the data (NULL: as they are). NULL: reported. */
Graph *quant_build(Quantizer *q, const Dataset *ds, QuantMakeFn *make);

/* -- quant_mixed.c -- */
/* nodes[k] for every layer of this name, its own or its output's: of those with weights, or of all on codes. false: there is
 * none; reported as option `key`'s. */
bool quant_mark_named(const Graph *g, const char *key, const char *name, size_t len, bool weights,
                      bool *nodes, Diag *d);
/* wide and in_float from the names of the options. */
bool quant_named(Quantizer *q);
/* The graph with the fewest parts in 16 bits or float32 that keeps the budget; wide and in_float are left so. NULL: reported. */
Graph *quant_budget(Quantizer *q, const Dataset *ds, QuantMakeFn *make);

/* -- quant_like.c -- */
/* Outputs' scales, and weights' codes with scales of their own, as q->like has them. false: it is another graph; reported. */
void quant_like_classes(Quantizer *q);
bool quant_like_codes(Quantizer *q);

/* -- quant_report.c -- */
bool quant_report(const Quantizer *q, const Dataset *ds);

/* -- quant_correct.c -- */
/* The biases of q->to's layers, which q->layer names, so that their outputs have the float graph's means on the data. A graph
 * with state is left as it is. false: reported. */
bool quant_correct(Quantizer *q, const Dataset *ds);

/* -- qat_strip.c -- */
/* Whether the graph has been through `qat`. */
bool qat_has_grids(const Graph *g);
/* The float graph without FakeQuants, and what they were; the caller frees both. NULL: reported, *given is empty. */
Graph *qat_strip(const Graph *g, Given *given, Diag *d);
void given_free(Given *given, const Graph *stripped);

#endif
