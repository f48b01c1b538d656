/* Operators that move elements, training: Reshape, Transpose, Slice, Pad, Concat.
 *
 * Reshape's output shares its input's storage, values and gradient both: nothing is done. The others are strided
 * copies of an item: "gather" reads with strides and writes densely (Transpose, Slice), "scatter" the other way
 * (Pad, Concat). The gradient of one is the other's sum.
 */
#include "runtime/engine/op_call.h"

/* A block of elements: dims, and the strides on the strided side. */
typedef struct Block {
  int rank;
  int64_t dims[MAX_RANK], stride[MAX_RANK];
  int64_t start; /* first element on the strided side */
} Block;

static void dense_strides(int rank, const int64_t *dims, int64_t *stride) {
  int64_t run = 1;
  for (int i = rank - 1; i >= 0; i--) {
    stride[i] = run;
    run *= dims[i];
  }
}

static int64_t block_count(const Block *b) {
  int64_t n = 1;
  for (int i = 0; i < b->rank; i++) n *= b->dims[i];
  return n;
}

/* The two innermost axes are walked by loops, the others by number. */
typedef struct Plane {
  int64_t rows, cols, row, col, planes;
} Plane;

static Plane plane_of(const Block *b) {
  Plane p = {1, 1, 0, 1, 1};
  if (b->rank > 0) p.cols = b->dims[b->rank - 1], p.col = b->stride[b->rank - 1];
  if (b->rank > 1) p.rows = b->dims[b->rank - 2], p.row = b->stride[b->rank - 2];
  for (int i = 0; i < b->rank - 2; i++) p.planes *= b->dims[i];
  return p;
}

/* Strided place of plane number k. */
static int64_t plane_at(const Block *b, int64_t k) {
  int64_t at = b->start;
  for (int i = b->rank - 3; i >= 0; i--) {
    at += k % b->dims[i] * b->stride[i];
    k /= b->dims[i];
  }
  return at;
}

/* dense (+)= strided */
static void block_read(const Block *b, bool add, float *restrict dense, const float *restrict strided) {
  Plane p = plane_of(b);
  for (int64_t k = 0; k < p.planes; k++)
    for (int64_t r = 0; r < p.rows; r++, dense += p.cols) {
      const float *restrict s = strided + plane_at(b, k) + r * p.row;
      if (p.col == 1)
        vec_put(dense, s, p.cols, add);
      else
        for (int64_t i = 0; i < p.cols; i++) dense[i] = (add ? dense[i] : 0) + s[i * p.col];
    }
}

/* strided (+)= dense */
static void block_write(const Block *b, bool add, const float *restrict dense, float *restrict strided) {
  Plane p = plane_of(b);
  for (int64_t k = 0; k < p.planes; k++)
    for (int64_t r = 0; r < p.rows; r++, dense += p.cols) {
      float *restrict s = strided + plane_at(b, k) + r * p.row;
      if (p.col == 1)
        vec_put(s, dense, p.cols, add);
      else
        for (int64_t i = 0; i < p.cols; i++) s[i * p.col] = (add ? s[i * p.col] : 0) + dense[i];
    }
}

static int first_axis(const OpCall *c) { return out_val(c)->batched ? 1 : 0; }

/* -- Reshape -- */

bool plan_reshape(OpPlan *p, Diag *d) {
  p->reads_in = p->reads_out = false;
  if (p->s->vals[p->n->in[0]].batched != p->s->vals[p->n->out[0]].batched)
    return plan_fail(p, d, "the engine wants the batch to stay the outermost dimension");
  return true;
}
void fwd_reshape(const OpCall *c) { (void)c; }
void bwd_reshape(const OpCall *c) { (void)c; }

/* -- Transpose -- */

bool plan_transpose(OpPlan *p, Diag *d) {
  p->reads_in = p->reads_out = false;
  if (p->s->vals[p->n->in[0]].batched && CATTRS(p->n, transpose)->perm.v[0] != 0)
    return plan_fail(p, d, "the engine wants the batch to stay the outermost dimension");
  return true;
}

static Block transpose_block(const OpCall *c) {
  const transpose_attrs *a = CATTRS(c->n, transpose);
  int64_t in[MAX_RANK], stride[MAX_RANK];
  int skip = first_axis(c), rank = item_dims(c->s, c->n->in[0], in);
  dense_strides(rank, in, stride);
  Block b = {.rank = rank};
  for (int i = 0; i < rank; i++) {
    int from = (int)a->perm.v[i + skip] - skip;
    b.dims[i] = in[from];
    b.stride[i] = stride[from];
  }
  return b;
}

/* -- Slice -- */

bool plan_slice(OpPlan *p, Diag *d) {
  p->reads_in = p->reads_out = false;
  const slice_attrs *a = CATTRS(p->n, slice);
  const Shape *x = &p->s->g->vals[p->n->in[0]].shape;
  for (int i = 0; i < x->rank; i++)
    if (x->d[i] == DIM_BATCH && (a->starts.v[i] != 0 || a->steps.v[i] != 1 || a->counts.v[i] != -1))
      return plan_fail(p, d, "the engine does not take a part of the batch");
  return true;
}

static Block slice_block(const OpCall *c) {
  const slice_attrs *a = CATTRS(c->n, slice);
  int64_t in[MAX_RANK], stride[MAX_RANK];
  int skip = first_axis(c), rank = item_dims(c->s, c->n->in[0], in);
  Block b = {.rank = item_dims(c->s, c->n->out[0], b.dims)};
  dense_strides(rank, in, stride);
  for (int i = 0; i < rank; i++) {
    b.stride[i] = stride[i] * a->steps.v[i + skip];
    b.start += stride[i] * a->starts.v[i + skip];
  }
  return b;
}

/* Forward and backward of what reads with strides. */
static void gather(const OpCall *c, const Block *b) {
  const float *x = in_x(c, 0);
  float *y = out_x(c);
  for (int64_t i = 0; i < items(c); i++)
    block_read(b, false, y + i * out_val(c)->item, x + i * in_val(c, 0)->item);
}

static void gather_back(const OpCall *c, const Block *b) {
  const float *dy = out_dx(c);
  float *dx = in_dx(c, 0);
  if (!dx) return;
  bool covers = block_count(b) == in_val(c, 0)->item, add = in_add(c, 0);
  if (!covers && !add) vec_zero(dx, items(c) * in_val(c, 0)->item);
  for (int64_t i = 0; i < items(c); i++)
    block_write(b, add || !covers, dy + i * out_val(c)->item, dx + i * in_val(c, 0)->item);
}

void fwd_transpose(const OpCall *c) {
  Block b = transpose_block(c);
  gather(c, &b);
}
void bwd_transpose(const OpCall *c) {
  Block b = transpose_block(c);
  gather_back(c, &b);
}
void fwd_slice(const OpCall *c) {
  Block b = slice_block(c);
  gather(c, &b);
}
void bwd_slice(const OpCall *c) {
  Block b = slice_block(c);
  gather_back(c, &b);
}

/* -- Pad and Concat: each input is a dense block at a place of the output -- */

bool plan_pad(OpPlan *p, Diag *d) {
  p->reads_in = p->reads_out = false;
  const pad_attrs *a = CATTRS(p->n, pad);
  int rank = p->s->g->vals[p->n->in[0]].shape.rank;
  if (p->s->vals[p->n->in[0]].batched && (a->pads.v[0] || a->pads.v[rank]))
    return plan_fail(p, d, "the engine does not pad the batch");
  return true;
}

bool plan_concat(OpPlan *p, Diag *d) {
  p->reads_in = p->reads_out = false;
  const SVal *v = p->s->vals;
  if (v[p->st->out].batched && CATTRS(p->n, concat)->axis == 0)
    return plan_fail(p, d, "the engine does not join batches");
  for (uint32_t i = 0; i < p->n->n_in; i++)
    if (v[p->n->in[i]].batched != v[p->st->out].batched)
      return plan_fail(p, d, "the engine wants all inputs batched, or none");
  return true;
}

static Block input_block(const OpCall *c, uint32_t k, int axis, int64_t at) {
  int64_t out[MAX_RANK];
  Block b = {.rank = item_dims(c->s, c->n->in[k], b.dims)};
  item_dims(c->s, c->n->out[0], out);
  dense_strides(b.rank, out, b.stride);
  if (axis >= 0) b.start = at * b.stride[axis];
  return b;
}

static Block pad_block(const OpCall *c) {
  const pad_attrs *a = CATTRS(c->n, pad);
  Block b = input_block(c, 0, -1, 0);
  for (int i = 0; i < b.rank; i++) b.start += b.stride[i] * a->pads.v[i + first_axis(c)];
  return b;
}

static void scatter(const OpCall *c, uint32_t k, const Block *b) {
  const float *x = in_x(c, k);
  float *y = out_x(c);
  for (int64_t i = 0; i < items(c); i++)
    block_write(b, false, x + i * in_val(c, k)->item, y + i * out_val(c)->item);
}

static void scatter_back(const OpCall *c, uint32_t k, const Block *b) {
  const float *dy = out_dx(c);
  float *dx = in_dx(c, k);
  if (!dx) return;
  for (int64_t i = 0; i < items(c); i++)
    block_read(b, in_add(c, k), dx + i * in_val(c, k)->item, dy + i * out_val(c)->item);
}

void fwd_pad(const OpCall *c) {
  Block b = pad_block(c);
  float value = CATTRS(c->n, pad)->value, *y = out_x(c);
  for (int64_t i = 0; i < items(c) * out_val(c)->item; i++) y[i] = value;
  scatter(c, 0, &b);
}
void bwd_pad(const OpCall *c) {
  Block b = pad_block(c);
  scatter_back(c, 0, &b);
}

static void each_input(const OpCall *c, void (*move)(const OpCall *, uint32_t, const Block *)) {
  int axis = CATTRS(c->n, concat)->axis;
  int64_t at = 0;
  for (uint32_t k = 0; k < c->n->n_in; k++) {
    Block b = input_block(c, k, axis - first_axis(c), at);
    move(c, k, &b);
    at += in_shape(c, k)->d[axis];
  }
}

void fwd_concat(const OpCall *c) { each_input(c, scatter); }
void bwd_concat(const OpCall *c) { each_input(c, scatter_back); }
