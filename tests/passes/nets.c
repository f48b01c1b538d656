/* Random networks; see nets.h. A net grows by steps, each of which takes a value made before and appends one construct to
 * it. At the end values are joined, flattened or averaged, and classified.
 */
#include "tests/passes/nets.h"

#include <check.h>
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"

typedef struct Net {
  Graph *g;
  Rng rng;
  Diag *d;
  ValId made[64]; /* images made so far */
  int n;
  bool plain;
} Net;

static int below(Net *t, int n) { return (int)rng_below(&t->rng, (uint32_t)n); }

static const Shape *shape(const Net *t, ValId v) { return &graph_val(t->g, v)->shape; }

static ValId check_val(Net *t, ValId v) {
  ck_assert_msg(v != NO_VAL, "%s", diag_text(t->d));
  return v;
}

static ValId node(Net *t, OpKind op, const void *attrs, const ValId *in, uint32_t n) {
  char name[32];
  snprintf(name, sizeof name, "%s%u", op_info(op)->ident, t->g->n_nodes);
  Loc loc = {.file = "random", .name = name};
  return check_val(t, graph_node(t->g, op, attrs, in, n, name, &loc, t->d));
}

static ValId node1(Net *t, OpKind op, const void *attrs, ValId x) { return node(t, op, attrs, &x, 1); }

static ValId node2(Net *t, OpKind op, ValId x, ValId y) { return node(t, op, NULL, (ValId[]){x, y}, 2); }

static ValId constant(Net *t, const Shape *s, float mean, float deviation) {
  int64_t n = shape_count(s);
  float *x = mem_array((size_t)n, sizeof *x);
  for (int64_t i = 0; i < n; i++) x[i] = mean + deviation * rng_normal(&t->rng);
  ValId v = graph_const_data(t->g, "c", DT_F32, s, x);
  mem_free(x);
  return v;
}

static ValId vector(Net *t, int64_t n, float mean, float deviation) {
  Shape s = shape_of(1, n);
  return constant(t, &s, mean, deviation);
}

/* Positive, for variances. */
static ValId variances(Net *t, int64_t n) {
  float x[256];
  Shape s = shape_of(1, n);
  ck_assert(n <= 256);
  for (int64_t i = 0; i < n; i++) x[i] = 0.5f + rng_uniform(&t->rng);
  return graph_const_data(t->g, "var", DT_F32, &s, x);
}

/* ---- constructs: image in, image out */

static ValId batch_norm(Net *t, ValId x) {
  batch_normalization_attrs a = {.axis = shape(t, x)->rank - 1, .epsilon = 1e-5f};
  int64_t c = shape(t, x)->d[a.axis];
  ValId in[5] = {x, vector(t, c, 1, 0.2f), vector(t, c, 0, 0.3f), vector(t, c, 0, 0.3f), variances(t, c)};
  return node(t, OP_batch_normalization, &a, in, 5);
}

static ValId activation(Net *t, ValId x) {
  static const OpKind ops[] = {OP_relu, OP_relu, OP_leaky_relu, OP_sigmoid, OP_tanh};
  if (below(t, 6) == 0) return node1(t, OP_clip, &(clip_attrs){.lo = 0, .hi = 6}, x);
  return node1(t, ops[below(t, 5)], NULL, x);
}

static ValId conv(Net *t, ValId x, int64_t out, int k, int stride, int group) {
  conv_attrs a;
  op_attrs_default(OP_conv, &a);
  int p = k / 2;
  a.strides = (Ints){2, {stride, stride}};
  a.pads = (Ints){4, {p, p, p, p}};
  a.group = group;
  int64_t c = shape(t, x)->d[3] / group;
  Shape w = shape_of(4, out, (int64_t)k, (int64_t)k, c);
  ValId in[3] = {x, constant(t, &w, 0, 1 / sqrtf((float)(k * k * c))), vector(t, out, 0, 0.2f)};
  ValId y = node(t, OP_conv, &a, in, below(t, 2) ? 3 : 2);
  if (!t->plain && below(t, 2)) y = batch_norm(t, y);
  return y;
}

static ValId grow_conv(Net *t, ValId x) {
  int k = below(t, 2) ? 3 : 1, stride = 1 + (below(t, 4) == 0 && shape(t, x)->d[1] > 3);
  return activation(t, conv(t, x, 3 + below(t, 7), k, stride, 1));
}

static ValId grow_grouped(Net *t, ValId x) {
  ValId even = conv(t, x, 6, 1, 1, 1);
  return conv(t, even, 4 + 2 * below(t, 2), 3, 1, 2);
}

static ValId grow_depthwise(Net *t, ValId x) {
  depthwise_conv_attrs a;
  op_attrs_default(OP_depthwise_conv, &a);
  a.pads = (Ints){4, {1, 1, 1, 1}};
  int64_t o = shape(t, x)->d[3] * (1 + below(t, 2));
  Shape w = shape_of(4, (int64_t)1, (int64_t)3, (int64_t)3, o);
  ValId in[3] = {x, constant(t, &w, 0, 0.33f), vector(t, o, 0, 0.2f)};
  ValId y = node(t, OP_depthwise_conv, &a, in, below(t, 2) ? 3 : 2);
  return activation(t, t->plain ? y : batch_norm(t, y));
}

static ValId grow_residual(Net *t, ValId x) {
  ValId y = conv(t, activation(t, conv(t, x, 4 + below(t, 4), 3, 1, 1)), shape(t, x)->d[3], 3, 1, 1);
  static const OpKind ops[] = {OP_add, OP_add, OP_sub, OP_mul};
  return activation(t, node2(t, ops[below(t, 4)], y, x));
}

/* A narrower value, padded by zeros on both sides, beside a wider one. */
static ValId grow_padded_shortcut(Net *t, ValId x) {
  int64_t c = shape(t, x)->d[3], before = below(t, 4), after = 1 + below(t, 3);
  pad_attrs p = {.pads = {8, {0, 0, 0, before, 0, 0, 0, after}}, .value = 0};
  return activation(t, node2(t, OP_add, conv(t, x, c + before + after, 3, 1, 1), node1(t, OP_pad, &p, x)));
}

static ValId grow_pad(Net *t, ValId x) {
  pad_attrs p = {.pads = {8, {0, 1, 0, 0, 0, 0, 1, 0}}, .value = below(t, 2) ? 0.5f : 0};
  return node1(t, OP_pad, &p, x);
}

static ValId grow_concat(Net *t, ValId x) {
  Shape s = *shape(t, x);
  ValId in[3] = {x, conv(t, x, 2 + below(t, 4), 1, 1, 1), x};
  if (below(t, 3) == 0 && !t->plain) in[2] = conv(t, x, 3, 3, 1, 1);
  concat_attrs a = {.axis = 3};
  ValId y = node(t, OP_concat, &a, in, s.d[3] > 6 ? 2 : 3);
  return shape(t, y)->d[3] > 12 ? conv(t, y, 6, 1, 1, 1) : y;
}

static ValId grow_concat_rows(Net *t, ValId x) {
  concat_attrs a = {.axis = 1};
  ValId other = conv(t, x, shape(t, x)->d[3], 1, 1, 1);
  ValId y = node(t, OP_concat, &a, (ValId[]){x, other}, 2);
  return conv(t, y, 5, 3, 2, 1);
}

static ValId slice(Net *t, ValId x, int axis, int64_t start, int64_t count, int64_t step) {
  slice_attrs a = {.starts = {4, {0}}, .counts = {4, {-1, 0, 0, 0}}, .steps = {4, {1, 1, 1, 1}}};
  for (int i = 1; i < 4; i++) a.counts.v[i] = shape(t, x)->d[i];
  a.starts.v[axis] = start, a.counts.v[axis] = count, a.steps.v[axis] = step;
  return node1(t, OP_slice, &a, x);
}

static ValId grow_slice(Net *t, ValId x) {
  int64_t c = shape(t, x)->d[3], h = shape(t, x)->d[1];
  switch (below(t, 4)) {
  case 0: return c > 3 ? slice(t, x, 3, 1, c - 2, 1) : x;
  case 1: return slice(t, x, 3, c - 1, c, -1);
  case 2: return c > 3 ? slice(t, x, 3, 0, (c + 1) / 2, 2) : x;
  default: return h > 3 ? slice(t, x, 1, 0, (h + 1) / 2, 2) : x;
  }
}

/* Halves along the channels, one of them convolved, joined again. */
static ValId grow_split(Net *t, ValId x) {
  int64_t c = shape(t, x)->d[3];
  if (c < 4) return x;
  ValId a = slice(t, x, 3, 0, c / 2, 1), b = slice(t, x, 3, c / 2, c - c / 2, 1);
  concat_attrs at = {.axis = 3};
  return node(t, OP_concat, &at, (ValId[]){conv(t, a, 4, 1, 1, 1), b}, 2);
}

static ValId grow_pool(Net *t, ValId x) {
  if (shape(t, x)->d[1] < 4 || shape(t, x)->d[2] < 4) return x;
  if (below(t, 2)) {
    max_pool_attrs a = {.kernel = {2, {2, 2}}, .strides = {2, {2, 2}}, .pads = {4, {0, 0, 0, 0}}};
    return node1(t, OP_max_pool, &a, x);
  }
  average_pool_attrs a = {.kernel = {2, {3, 3}}, .strides = {2, {1, 1}}, .pads = {4, {1, 1, 1, 1}}};
  return node1(t, OP_average_pool, &a, x);
}

/* Squeeze and excitation: a gate per channel. */
static ValId grow_gate(Net *t, ValId x) {
  reduce_mean_attrs m = {.axes = {2, {1, 2}}, .keepdims = 1};
  ValId y = activation(t, conv(t, node1(t, OP_reduce_mean, &m, x), 4, 1, 1, 1));
  return node2(t, OP_mul, x, node1(t, OP_sigmoid, NULL, conv(t, y, shape(t, x)->d[3], 1, 1, 1)));
}

static ValId grow_constant(Net *t, ValId x) {
  static const OpKind ops[] = {OP_add, OP_sub, OP_mul};
  int64_t c = shape(t, x)->d[3];
  Shape each = below(t, 2) ? shape_of(1, c) : shape_of(4, (int64_t)1, (int64_t)1, (int64_t)1, c);
  Shape one = shape_of(0), pixels = shape_of(4, (int64_t)1, shape(t, x)->d[1], (int64_t)1, c);
  const Shape *choice[] = {&each, &one, &pixels};
  ValId k = constant(t, choice[below(t, 3)], 0.5f, 0.5f);
  OpKind op = ops[below(t, 3)];
  return below(t, 2) ? node2(t, op, x, k) : node2(t, op, k, x);
}

/* To channels first and back, with an activation between. */
static ValId grow_transpose(Net *t, ValId x) {
  transpose_attrs to = {.perm = {4, {0, 3, 1, 2}}}, from = {.perm = {4, {0, 2, 3, 1}}};
  return node1(t, OP_transpose, &from, activation(t, node1(t, OP_transpose, &to, x)));
}

/* One channel that scales all channels. */
static ValId grow_attention(Net *t, ValId x) {
  return node2(t, OP_mul, x, node1(t, OP_sigmoid, NULL, conv(t, x, 1, 1, 1, 1)));
}

typedef ValId Grow(Net *t, ValId x);
static Grow *const constructs[] = {
    grow_conv,    grow_conv, grow_residual, grow_residual,    grow_padded_shortcut, grow_depthwise,
    grow_grouped, grow_pad,  grow_concat,   grow_concat_rows, grow_slice,           grow_split,
    grow_pool,    grow_gate, grow_constant, grow_transpose,   grow_attention};

/* ---- the end */

static ValId fully_connected(Net *t, ValId x, int64_t out) {
  const Shape *s = shape(t, x);
  int64_t k = s->d[s->rank - 1];
  Shape w = shape_of(2, out, k);
  ValId in[3] = {x, constant(t, &w, 0, 1 / sqrtf((float)k)), vector(t, out, 0, 0.2f)};
  return node(t, OP_fully_connected, NULL, in, 3);
}

static ValId flatten(Net *t, ValId x) {
  const Shape *s = shape(t, x);
  if (below(t, 2)) {
    reduce_mean_attrs m = {.axes = {2, {1, 2}}, .keepdims = 0};
    return node1(t, OP_reduce_mean, &m, x);
  }
  reshape_attrs r = {.shape = {2, {-1, s->d[1] * s->d[2] * s->d[3]}}};
  return node1(t, OP_reshape, &r, x);
}

/* Without what the output does not need, as every pass leaves a graph. */
static Graph *finish_net(Net *t, ValId y) {
  Rewrite r;
  graph_output(t->g, y);
  rewrite_begin(&r, t->g, NULL);
  for (NodeId i = 0; i < t->g->n_nodes; i++) ck_assert(rewrite_copy(&r, &t->g->nodes[i], t->d));
  Graph *done = rewrite_end(&r, true, t->d);
  graph_free(t->g);
  ck_assert_msg(graph_verify(done, t->d), "%s", diag_text(t->d));
  diag_free(t->d);
  return done;
}

static Graph *random_net(uint64_t seed, bool plain) {
  Net t = {.g = graph_new("random"), .d = diag_new(), .plain = plain};
  rng_seed(&t.rng, seed, plain);
  Shape in = shape_of(4, (int64_t)DIM_BATCH, (int64_t)(5 + below(&t, 4)), (int64_t)(5 + below(&t, 4)),
                      (int64_t)(1 + below(&t, 3)));
  ValId x = graph_input(t.g, "x", DT_F32, &in);
  t.made[t.n++] = activation(&t, conv(&t, x, 6, 3, 1, 1));
  for (int i = 0; i < 5 + (int)(seed % 6); i++) {
    ValId from = t.made[below(&t, 3) ? t.n - 1 : below(&t, t.n)];
    t.made[t.n++] = constructs[below(&t, (int)(sizeof constructs / sizeof constructs[0]))](&t, from);
  }
  ValId y = flatten(&t, t.made[t.n - 1]);
  if (below(&t, 2)) {
    y = fully_connected(&t, y, 7);
    if (!plain && below(&t, 2)) y = batch_norm(&t, y);
    y = activation(&t, y);
  }
  return finish_net(&t, fully_connected(&t, y, 4));
}

Graph *net_random(uint64_t seed) { return random_net(seed, false); }
Graph *net_random_plain(uint64_t seed) { return random_net(seed, true); }

/* ---- the residual net */

static ValId conv_bn(Net *t, ValId x, int64_t out, int stride) {
  conv_attrs a;
  op_attrs_default(OP_conv, &a);
  a.strides = (Ints){2, {stride, stride}};
  a.pads = (Ints){4, {1, 1, 1, 1}};
  int64_t c = shape(t, x)->d[3];
  Shape w = shape_of(4, out, (int64_t)3, (int64_t)3, c);
  ValId in[2] = {x, constant(t, &w, 0, sqrtf(2 / (float)(9 * c)))};
  return batch_norm(t, node(t, OP_conv, &a, in, 2));
}

static ValId block(Net *t, ValId x, int64_t out) {
  int64_t c = shape(t, x)->d[3], side = (out - c) / 2;
  ValId y = node1(t, OP_relu, NULL, conv_bn(t, x, out, out > c ? 2 : 1));
  y = conv_bn(t, y, out, 1);
  if (out > c) {
    slice_attrs s = {.starts = {4, {0}},
                     .counts = {4, {-1, shape(t, x)->d[1] / 2, shape(t, x)->d[2] / 2, c}},
                     .steps = {4, {1, 2, 2, 1}}};
    pad_attrs p = {.pads = {8, {0, 0, 0, side, 0, 0, 0, side}}, .value = 0};
    x = node1(t, OP_pad, &p, node1(t, OP_slice, &s, x));
  }
  return node1(t, OP_relu, NULL, node2(t, OP_add, y, x));
}

Graph *net_residual(int blocks, uint64_t seed) {
  Net t = {.g = graph_new("residual"), .d = diag_new()};
  rng_seed(&t.rng, seed, 2);
  Shape in = shape_of(4, (int64_t)DIM_BATCH, (int64_t)8, (int64_t)8, (int64_t)3);
  ValId x = graph_input(t.g, "x", DT_F32, &in);
  x = node1(&t, OP_relu, NULL, conv_bn(&t, x, 8, 1));
  for (int64_t c = 8; c <= 32; c *= 2)
    for (int b = 0; b < blocks; b++) x = block(&t, x, c);
  reduce_mean_attrs m = {.axes = {2, {1, 2}}, .keepdims = 0};
  return finish_net(&t, fully_connected(&t, node1(&t, OP_reduce_mean, &m, x), 5));
}

NodeId net_find(const Graph *g, OpKind op, int k) {
  for (NodeId i = 0; i < g->n_nodes; i++)
    if (g->nodes[i].op == op && k-- == 0) return i;
  return NO_NODE;
}
