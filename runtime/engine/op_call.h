/* What an operator of the engine is given. Each differentiable operator of ops.def has three functions in
 * runtime/engine/ops/:
 *
 *   bool plan_IDENT(OpPlan *p, Diag *d)   once, when a session is made: refuses what it cannot do (at the node's
 *                                         location), says how many phases, scratch and state it wants
 *   void fwd_IDENT(const OpCall *c)       computes items [i0, i1) of the output
 *   void bwd_IDENT(const OpCall *c)       their gradients: writes or adds (in_add) to in_dx of each input that has one
 *
 * A call sees a tile of one shard of the batch (or everything, for a node without batch: i0 = 0, i1 = 1).
 * All calls of a phase have ended in every shard before a call of the next phase begins.
 */
#ifndef RUNTIME_ENGINE_OP_CALL_H
#define RUNTIME_ENGINE_OP_CALL_H

#include "runtime/engine/session.h"

typedef struct OpPlan {
  const Session *s;
  const Node *n;
  SNode *st;
  int fwd_phases, bwd_phases; /* 1 unless set; outputs, and gradients of inputs, are written in the last */
  bool reads_in,
      reads_out;        /* whether bwd_IDENT reads values of its inputs, of its output: true unless cleared */
  int64_t scratch;      /* floats per thread */
  int64_t state, parts; /* floats and doubles per shard */
  PrepareFn *prepare;   /* once per pass, with `packed` floats to keep its result in */
  int64_t packed;
} OpPlan;

typedef struct OpCall {
  const Session *s;
  const Node *n;
  const SNode *st;
  int i0, i1, thread;
  int shard, shards, batch; /* this shard, how many, examples in all */
  int phase;
  bool again;    /* forward once more, in the backward pass: settled facts stay */
  bool first;    /* first tile of this shard in this phase: sums begin */
  bool backward; /* prepare: for the backward pass */
  float *scratch;
} OpCall;

typedef bool PlanFn(OpPlan *p, Diag *d);
typedef void CallFn(const OpCall *c);

#define A(kind, field, def, doc)
#define DECLARE_DIFF(ident) \
  PlanFn plan_##ident;      \
  CallFn fwd_##ident, bwd_##ident;
#define DECLARE_NODIFF(ident)
#define OP(ident, name, mn, mx, no, traits, cls, diff, doc, attrs) DECLARE_##diff(ident)
#include "ir/ops.def"
#undef OP
#undef DECLARE_DIFF
#undef DECLARE_NODIFF
#undef A

/* Functions of an operator; all NULL when it is not differentiable. */
typedef struct EngineOp {
  PlanFn *plan;
  CallFn *fwd, *bwd;
} EngineOp;
extern const EngineOp engine_ops[];

/* -- shapes -- */
static inline const SVal *in_val(const OpCall *c, uint32_t k) { return &c->s->vals[c->n->in[k]]; }
static inline const SVal *out_val(const OpCall *c) { return &c->s->vals[c->st->out]; }
static inline const Shape *in_shape(const OpCall *c, uint32_t k) { return &c->s->g->vals[c->n->in[k]].shape; }
static inline const Shape *out_shape(const OpCall *c) { return &c->s->g->vals[c->n->out[0]].shape; }
static inline bool has_in(const OpCall *c, uint32_t k) { return k < c->n->n_in && c->n->in[k] != NO_VAL; }
static inline int64_t items(const OpCall *c) { return c->i1 - c->i0; }

/* -- data: of item i0, or of the whole shared value -- */
static inline float *val_x(const OpCall *c, const SVal *v) {
  if (v->local_x) return v->x + c->thread * c->s->local_size;
  return v->batched ? v->x + c->i0 * v->item : v->x;
}
static inline float *val_dx(const OpCall *c, const SVal *v) {
  if (v->local_dx) return v->dx + c->thread * c->s->local_size;
  return v->batched ? v->dx + c->i0 * v->item : v->dx;
}
static inline const float *in_x(const OpCall *c, uint32_t k) { return val_x(c, in_val(c, k)); }
static inline float *out_x(const OpCall *c) { return val_x(c, out_val(c)); }
static inline const float *out_dx(const OpCall *c) { return val_dx(c, out_val(c)); }
/* Where input k's gradient goes; NULL: none is wanted. A shared value has a place per shard. */
static inline float *in_dx(const OpCall *c, uint32_t k) {
  if (!has_in(c, k)) return NULL;
  const SVal *v = in_val(c, k);
  if (!v->needs) return NULL;
  return v->batched ? val_dx(c, v) : c->s->shard_grads + c->shard * c->s->total + v->offset;
}
/* Whether it is to be added to what is there. */
static inline bool in_add(const OpCall *c, uint32_t k) {
  return c->st->add[k] || (!in_val(c, k)->batched && !c->first);
}
static inline float *shard_state(const OpCall *c) { return c->st->state + c->shard * c->st->state_size; }
static inline double *shard_parts(const OpCall *c, int shard) {
  return c->st->parts + shard * c->st->parts_size;
}

/* Report "NAME: ..." at the node; returns false. */
bool plan_fail(const OpPlan *p, Diag *d, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The dimensions of a value's item: without the batch where it is batched. Returns the rank. */
int item_dims(const Session *s, ValId v, int64_t dims[MAX_RANK]);

/* -- ops/act.c: fused activations -- */
/* The activation's limits: lo .. hi; infinite where there is none. */
void act_limits(Act a, float *lo, float *hi);
void act_apply(Act a, float *y, int64_t n);
/* The gradient before the node's activation: dy where the output y lies inside its limits, else 0. Without one returns
 * dy itself; otherwise fills and returns tmp [n]. */
const float *act_mask(const OpCall *c, const float *y, const float *dy, int64_t n, float *tmp);
/* Floats of scratch that act_mask needs for n elements. */
static inline int64_t act_scratch(Act a, int64_t n) { return a == ACT_NONE ? 0 : n; }

/* -- ops/vec.c: plain loops -- */
void vec_zero(float *y, int64_t n);
void vec_copy(float *y, const float *x, int64_t n);
void vec_add(float *y, const float *x, int64_t n); /* y += x */
/* y = x, or y += x. */
void vec_put(float *y, const float *x, int64_t n, bool add);
/* Add bias [c] to each of n rows. */
void rows_add(float *y, const float *bias, int64_t n, int64_t c);
/* sum[c] (+)= column sums of rows [n][c]. */
void rows_sum(const float *y, int64_t n, int64_t c, float *sum, bool add);

/* Row-major C[m][n] = A op B (+ C when add), through OpenBLAS (called with its threading off).
 * nn: A [m][k], B [k][n];  nt: A [m][k], B [n][k];  tn: A [k][m], B [k][n]. ld*: row strides. */
void gemm_nn(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb,
             float *c, int64_t ldc, bool add);
void gemm_nt(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb,
             float *c, int64_t ldc, bool add);
void gemm_tn(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb,
             float *c, int64_t ldc, bool add);

#endif
