/* Lowering of Where: three inputs that broadcast; axes as those of a binary operator (lower_binary.c). */
#include "ir/lower/lower_util.h"

/* Axes of the call; v[k]: the strides of input k, in elements. */
typedef struct WhereAxes {
  int rank;
  int64_t dims[MAX_RANK + 2], v[3][MAX_RANK + 2];
  int64_t batch, step[3];
} WhereAxes;

static void where_axes(const Graph *g, const Node *n, WhereAxes *x) {
  const Shape *out = &op_out(g, n, 0)->shape;
  const int first = out->rank >= 3 ? 1 : 0; /* the row axis */
  const int front = out->rank < 2 ? 1 : 0;  /* one row in front */
  *x = (WhereAxes){.rank = out->rank - first + front, .batch = first ? out->d[0] : 1};
  if (front) x->dims[0] = 1;
  for (int i = first; i < out->rank; i++) x->dims[i - first + front] = out->d[i];
  for (uint32_t k = 0; k < 3; k++) {
    int64_t stride[MAX_RANK];
    broadcast_strides(&op_in(g, n, k)->shape, out, stride);
    x->step[k] = first ? stride[0] : 0;
    for (int i = first; i < out->rank; i++) x->v[k][i - first + front] = stride[i];
  }
  int64_t *const strides[3] = {x->v[0], x->v[1], x->v[2]};
  merge_axes(1, &x->rank, x->dims, strides, 3);
  if (x->rank < 2) {
    x->dims[1] = 1;
    x->rank = 2;
  }
}

bool lower_where(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const Value *y = op_out(g, n, 0);
  WhereAxes x;
  if (shape_count(&y->shape) == 0) return true;
  where_axes(g, n, &x);
  if (x.rank > MF_MAX_DIMS) return op_fail(n, d, "broadcasts along more than %d axes", MF_MAX_DIMS);
  KernelCall *k = calls_add(out, "where", node_id(g, n));
  mf_where *p = k->params;
  p->rank = x.rank;
  p->elem = (int32_t)dtype_size(y->dtype);
  int64_t row = p->elem;
  for (int i = 0; i < x.rank; i++) {
    p->dims[i] = (int32_t)x.dims[i];
    p->c[i] = (int32_t)x.v[0][i];
    p->a[i] = (int32_t)x.v[1][i];
    p->b[i] = (int32_t)x.v[2][i];
    if (i > 0) row *= x.dims[i];
  }
  for (uint32_t i = 0; i < 3; i++) {
    const int64_t elem = i == 0 ? 1 : p->elem;
    k->in[i] = (CallView){n->in[i], 0, x.v[i][0] * elem, x.step[i] * elem};
  }
  k->out = (CallView){n->out[0], 0, row, row * x.dims[0]};
  k->n_in = 3;
  k->rows = (int32_t)x.dims[0];
  k->batch = (int32_t)x.batch;
  return true;
}
