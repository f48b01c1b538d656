/* Lowering of MaxPool and AveragePool: rows are lines, the batch a loop outside. */
#include "ir/lower/lower_util.h"

static mf_window pool_window(const Shape *x, const Shape *y, const Ints *kernel, const Ints *strides,
                             const Ints *pads, const Ints *dilations) {
  return (mf_window){.in_h = (int32_t)x->d[1],
                     .in_w = (int32_t)x->d[2],
                     .in_c = (int32_t)x->d[3],
                     .out_h = (int32_t)y->d[1],
                     .out_w = (int32_t)y->d[2],
                     .out_c = (int32_t)y->d[3],
                     .k_h = (int32_t)kernel->v[0],
                     .k_w = (int32_t)kernel->v[1],
                     .stride_h = (int32_t)strides->v[0],
                     .stride_w = (int32_t)strides->v[1],
                     .pad_top = (int32_t)pads->v[0],
                     .pad_left = (int32_t)pads->v[1],
                     .dil_h = dilations->n ? (int32_t)dilations->v[0] : 1,
                     .dil_w = dilations->n ? (int32_t)dilations->v[1] : 1};
}

typedef struct PoolCall {
  const char *f32, *s8, *s16;
  mf_window window;
  int32_t count_include_pad;
  Act act;
} PoolCall;

static bool lower_any_pool(const Graph *g, const Node *n, const PoolCall *c, Calls *out, Diag *d) {
  const Value *x = op_in(g, n, 0), *y = op_out(g, n, 0);
  const bool codes = dtype_is_code(x->dtype);
  if (codes) TRY(want_codes(g, n, 1, d));
  if (shape_count(&y->shape) == 0) return true;
  KernelCall *k = calls_add(out, !codes ? c->f32 : x->dtype == DT_I8 ? c->s8 : c->s16, node_id(g, n));
  k->in[0] = view_rows(g, n->in[0], rows_of(&x->shape));
  k->out = view_rows(g, n->out[0], rows_of(&y->shape));
  k->n_in = 1;
  k->rows = (int32_t)y->shape.d[1];
  k->batch = (int32_t)y->shape.d[0];
  if (codes) {
    mf_pool_s8 *p = k->params;
    p->g = c->window;
    act_range_codes(c->act, y, &p->lo, &p->hi);
  } else {
    mf_pool_f32 *p = k->params;
    p->g = c->window;
    p->count_include_pad = c->count_include_pad;
    act_range_f32(c->act, &p->lo, &p->hi);
  }
  return true;
}

bool lower_max_pool(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const max_pool_attrs *a = CATTRS(n, max_pool);
  const Shape *x = &op_in(g, n, 0)->shape, *y = &op_out(g, n, 0)->shape;
  const PoolCall c = {.f32 = "max_pool_f32",
                      .s8 = "max_pool_s8",
                      .s16 = "max_pool_s16",
                      .window = pool_window(x, y, &a->kernel, &a->strides, &a->pads, &a->dilations),
                      .act = (Act)a->act};
  return lower_any_pool(g, n, &c, out, d);
}

bool lower_max_pool_index(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const max_pool_index_attrs *a = CATTRS(n, max_pool_index);
  const Shape *x = &op_in(g, n, 0)->shape, *y = &op_out(g, n, 0)->shape;
  (void)d;
  if (shape_count(y) == 0) return true;
  KernelCall *k = calls_add(out, "max_pool_index_f32", node_id(g, n));
  *(mf_pool_index *)k->params =
      (mf_pool_index){.g = pool_window(x, y, &a->kernel, &a->strides, &a->pads, &a->dilations),
                      .row_step = (int32_t)a->steps.v[0],
                      .col_step = (int32_t)a->steps.v[1]};
  k->in[0] = view_rows(g, n->in[0], rows_of(x));
  k->out = view_rows(g, n->out[0], rows_of(y));
  k->n_in = 1;
  k->rows = (int32_t)y->d[1];
  k->batch = (int32_t)y->d[0];
  return true;
}

bool lower_average_pool(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const average_pool_attrs *a = CATTRS(n, average_pool);
  const Shape *x = &op_in(g, n, 0)->shape, *y = &op_out(g, n, 0)->shape;
  bool padded = a->pads.v[0] || a->pads.v[1] || a->pads.v[2] || a->pads.v[3];
  const PoolCall c = {.f32 = "avg_pool_f32",
                      .s8 = "avg_pool_s8",
                      .s16 = "avg_pool_s16",
                      .window = pool_window(x, y, &a->kernel, &a->strides, &a->pads, &a->dilations),
                      .count_include_pad = a->count_include_pad,
                      .act = (Act)a->act};
  if (a->count_include_pad && padded && dtype_is_code(op_in(g, n, 0)->dtype)) {
    return op_fail(n, d, "a quantized one with count_include_pad has no reference; compute it in float32");
  }
  return lower_any_pool(g, n, &c, out, d);
}
