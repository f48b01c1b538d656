/* FullyConnected and MatMul, training: matrix products over the items of a tile at once.
 *
 *   FullyConnected: x [...,K], w [O,K], b [O]: y = act(x w^T + b); dx = dy w; dw = dy^T x; db = column sums of dy
 *   MatMul: a [...,M,K], b [...,K,O]; outer axes broadcast. With a of rank 2 the batch is the row axis M.
 */
#include "runtime/engine/op_call.h"

/* -- FullyConnected -- */

bool plan_fully_connected(OpPlan *p, Diag *d) {
  const SVal *v = p->s->vals;
  if (v[p->n->in[1]].batched)
    return plan_fail(p, d, "the engine wants weights that are the same for all examples");
  p->reads_out = p->st->act != ACT_NONE;
  int64_t rows = v[p->st->out].batched ? p->s->opt.batch : 1;
  p->scratch = act_scratch(p->st->act, rows * v[p->st->out].item);
  return true;
}

typedef struct Sizes {
  int64_t rows, k, o;
} Sizes;

static Sizes fc_sizes(const OpCall *c) {
  const Shape *w = in_shape(c, 1);
  return (Sizes){items(c) * in_val(c, 0)->item / w->d[1], w->d[1], w->d[0]};
}

void fwd_fully_connected(const OpCall *c) {
  Sizes z = fc_sizes(c);
  float *y = out_x(c);
  gemm_nt(z.rows, z.o, z.k, in_x(c, 0), z.k, in_x(c, 1), z.k, y, z.o, false);
  if (has_in(c, 2)) rows_add(y, in_x(c, 2), z.rows, z.o);
  act_apply(c->st->act, y, z.rows * z.o);
}

void bwd_fully_connected(const OpCall *c) {
  Sizes z = fc_sizes(c);
  const float *dy = act_mask(c, out_x(c), out_dx(c), z.rows * z.o, c->scratch);
  float *dx = in_dx(c, 0), *dw = in_dx(c, 1), *db = in_dx(c, 2);
  if (dx) gemm_nn(z.rows, z.k, z.o, dy, z.o, in_x(c, 1), z.k, dx, z.k, in_add(c, 0));
  if (dw) gemm_tn(z.o, z.k, z.rows, dy, z.o, in_x(c, 0), z.k, dw, z.k, in_add(c, 1));
  if (db) rows_sum(dy, z.rows, z.o, db, in_add(c, 2));
}

/* -- MatMul -- */

bool plan_matmul(OpPlan *p, Diag *d) {
  const SVal *v = p->s->vals;
  const Value *a = &p->s->g->vals[p->n->in[0]], *b = &p->s->g->vals[p->n->in[1]],
              *y = &p->s->g->vals[p->n->out[0]];
  if (a->shape.rank < 2 || b->shape.rank < 2)
    return plan_fail(p, d, "the engine wants operands of rank 2 or more");
  for (int i = 0; i < 2; i++) {
    const Value *x = i ? b : a;
    if (!v[p->n->in[i]].batched) continue;
    if (x->shape.rank != y->shape.rank || (i == 1 && x->shape.rank == 2))
      return plan_fail(p, d, "the engine wants the batch as the outermost axis of the product");
  }
  return true;
}

/* Elements from one matrix to the next along each outer axis of the output (0: broadcast), batch left out. */
typedef struct Outer {
  int rank;
  int64_t dims[MAX_RANK], a[MAX_RANK], b[MAX_RANK];
  int64_t m, k, o, count;
} Outer;

static void outer_strides(const Shape *s, const Outer *q, int out_rank, int skip, int64_t matrix,
                          int64_t *stride) {
  for (int i = 0; i < q->rank; i++) {
    int at = s->rank - out_rank + skip + i; /* axis of s that lies under outer axis i */
    stride[i] = 0;
    if (at < 0 || s->d[at] == 1) continue;
    stride[i] = matrix;
    for (int j = at + 1; j < s->rank - 2; j++) stride[i] *= s->d[j];
  }
}

static Outer matmul_outer(const OpCall *c) {
  const Shape *a = in_shape(c, 0), *b = in_shape(c, 1), *y = out_shape(c);
  bool by_row = a->rank == 2 && in_val(c, 0)->batched;
  int skip = out_val(c)->batched && !by_row ? 1 : 0;
  Outer q = {
      .rank = y->rank - 2 - skip, .m = a->d[a->rank - 2], .k = a->d[a->rank - 1], .o = b->d[b->rank - 1]};
  if (by_row) q.m = items(c);
  q.count = 1;
  for (int i = 0; i < q.rank; i++) q.count *= q.dims[i] = y->d[skip + i];
  outer_strides(a, &q, y->rank, skip, q.m * q.k, q.a);
  outer_strides(b, &q, y->rank, skip, q.k * q.o, q.b);
  return q;
}

/* Offsets of the i-th matrix of both operands. */
static void matrix_at(const Outer *q, int64_t i, int64_t *a, int64_t *b) {
  *a = *b = 0;
  for (int j = q->rank - 1; j >= 0; j--) {
    int64_t at = i % q->dims[j];
    i /= q->dims[j];
    *a += at * q->a[j];
    *b += at * q->b[j];
  }
}

/* Items to loop over: a tile of rank-2 rows is a single matrix. */
static int64_t loops(const OpCall *c) {
  return in_shape(c, 0)->rank == 2 && in_val(c, 0)->batched ? 1 : items(c);
}
static int64_t item_step(const OpCall *c, uint32_t k) {
  return in_val(c, k)->batched ? in_val(c, k)->item : 0;
}

void fwd_matmul(const OpCall *c) {
  Outer q = matmul_outer(c);
  const float *a = in_x(c, 0), *b = in_x(c, 1);
  float *y = out_x(c);
  for (int64_t i = 0; i < loops(c); i++)
    for (int64_t j = 0; j < q.count; j++, y += q.m * q.o) {
      int64_t oa, ob;
      matrix_at(&q, j, &oa, &ob);
      gemm_nn(q.m, q.o, q.k, a + i * item_step(c, 0) + oa, q.k, b + i * item_step(c, 1) + ob, q.o, y, q.o,
              false);
    }
}

void bwd_matmul(const OpCall *c) {
  Outer q = matmul_outer(c);
  const float *a = in_x(c, 0), *b = in_x(c, 1), *dy = out_dx(c);
  float *da = in_dx(c, 0), *db = in_dx(c, 1);
  if (da && !in_add(c, 0))
    vec_zero(da, in_val(c, 0)->batched ? items(c) * in_val(c, 0)->item : in_val(c, 0)->item);
  if (db && !in_add(c, 1))
    vec_zero(db, in_val(c, 1)->batched ? items(c) * in_val(c, 1)->item : in_val(c, 1)->item);
  for (int64_t i = 0; i < loops(c); i++)
    for (int64_t j = 0; j < q.count; j++, dy += q.m * q.o) {
      int64_t oa, ob;
      matrix_at(&q, j, &oa, &ob);
      oa += i * item_step(c, 0);
      ob += i * item_step(c, 1);
      if (da) gemm_nt(q.m, q.k, q.o, dy, q.o, b + ob, q.o, da + oa, q.k, true);
      if (db) gemm_tn(q.k, q.o, q.m, a + oa, q.k, dy, q.o, db + ob, q.o, true);
    }
}
