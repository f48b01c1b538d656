/* Random graphs: how nodes are made. A generator fills a Draft (inputs and attributes of one node of one operator); the
 * driver (gen.c) appends the node, quantizes its output, and takes back what the IR or the lowering refuses.
 *
 *   pool of values --generator of the operator--> draft --graph_node, verify, lower--> values into the pool
 *
 * generators.def has a row for every operator. Everything is drawn from one Rng: a seed gives the same graph always.
 */
#ifndef TESTS_RANDOM_GEN_H
#define TESTS_RANDOM_GEN_H

#include "ir/base/rng.h"
#include "ir/graph.h"
#include "tests/random/random.h"

enum { DRAFT_MAX_IN = 64 };

typedef struct Gen {
  Rng rng;
  Graph *g;
  Diag *d;
  ValId *pool; /* values that a node may read */
  uint32_t n_pool;
  size_t cap_pool;
  bool train;  /* f32, one input, differentiable operators: what the engine runs */
  bool empty;  /* dimensions of 0 occur */
  bool frozen; /* no more graph inputs: new values are constants */
} Gen;

typedef struct Draft {
  const OpInfo *op;
  DType type; /* element type of the main input: one of the row's */
  void *attrs;
  ValId in[DRAFT_MAX_IN];
  uint32_t n_in;
  float scale; /* of an int8 output: about that (0: about input 0's) */
  bool fixed;  /* the output's quantization is exactly scale, zero */
  int32_t zero;
} Draft;

typedef bool GenFn(Gen *r, Draft *t);

/* -- drawing (gen.c) -- */
int gen_int(Gen *r, int lo, int hi); /* both included */
bool gen_chance(Gen *r, int percent);
float gen_real(Gen *r, float lo, float hi);
/* A small shape: of that many dimensions, or of any number where rank < 0. */
Shape gen_shape(Gen *r, int rank);
/* A value of that type with lo .. hi dimensions: one of the pool, or a new one. */
ValId gen_value(Gen *r, DType t, int lo, int hi);
/* A value of that type and shape, from the pool where it has one; quant (NULL: any) it must have. */
ValId gen_value_like(Gen *r, DType t, const Shape *s, const Quant *quant);
/* A new graph input or constant; quantized where it is of int8, uint8, int16. */
ValId gen_new(Gen *r, DType t, const Shape *s);
ValId gen_const(Gen *r, DType t, const Shape *s);
/* Constants in lo .. hi (f32); weights, quantized per tensor or along `axis` with zero points 0 (f32, i8). */
ValId gen_const_range(Gen *r, const Shape *s, float lo, float hi);
ValId gen_weights(Gen *r, DType t, const Shape *s, int axis);
ValId gen_bias(Gen *r, DType weights, int64_t n);
static inline const Shape *gen_shape_of(const Gen *r, ValId v) { return &r->g->vals[v].shape; }

/* -- attributes by name: nothing happens where the operator has none of that name -- */
void gen_set_int(Draft *t, const char *name, int64_t v);
void gen_set_real(Draft *t, const char *name, float v);
void gen_set_ints(Draft *t, const char *name, const int64_t *v, int n);

/* The shape of a second operand of `s`: some axes 1, some leading axes gone. */
Shape gen_broadcast(Gen *r, const Shape *s);

/* -- the generators (gen_ops.c, gen_window.c, gen_index.c, gen_cells.c), one for many operators -- */
GenFn gen_unary, gen_binary, gen_choice, gen_conv, gen_depthwise, gen_fully_connected, gen_matmul, gen_pool,
    gen_reduce, gen_norm, gen_reshape, gen_transpose, gen_concat, gen_pad, gen_slice, gen_gather, gen_cast,
    gen_quantize, gen_dequantize, gen_fake_quant, gen_softmax, gen_norm_s8, gen_table, gen_sample,
    draft_conv_transpose, draft_gather_elements, draft_gather_nd, draft_scatter_elements, draft_scatter_nd,
    draft_weighted_gather, draft_lookup, draft_expand, draft_where, draft_shift, draft_lstm, draft_gru,
    draft_rnn, draft_seq_lstm, draft_svdf_state, draft_svdf;

typedef struct GenRow {
  OpKind op;
  GenFn *fn;
  const char *types, *attrs;
} GenRow;
/* NULL: the operator has no row. */
const GenRow *gen_row(OpKind op);

#endif
