/* See prune_nets.h: how nets are grown, and constructs on images. */
#include "tests/passes/prune_nets.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/compose/compose.h"
#include "passes/channels.h"

enum { YES = 1, NO = 0 };
const ConstructInfo construct_info[CONSTRUCTS] = {
#define C(ident, removes, doc) {#ident, doc, removes},
#include "tests/passes/prune_nets.def"
#undef C
};

static GrowFn *const grow[CONSTRUCTS] = {
#define C(ident, removes, doc) grow_##ident,
#include "tests/passes/prune_nets.def"
#undef C
};

/* ---- making nodes */

int pn_below(PNet *t, int n) { return (int)rng_below(&t->rng, (uint32_t)n); }

const Shape *pn_shape(const PNet *t, ValId v) { return &graph_val(t->g, v)->shape; }

ValId pn_node(PNet *t, OpKind op, const void *attrs, const ValId *in, uint32_t n) {
  char name[64];
  snprintf(name, sizeof name, "%s:%s%u", t->construct, op_info(op)->ident, t->g->n_nodes);
  Loc loc = {.file = "random", .name = name};
  ValId v = graph_node(t->g, op, attrs, in, n, name, &loc, t->d);
  ck_assert_msg(v != NO_VAL, "%s", diag_text(t->d));
  return v;
}

ValId pn_1(PNet *t, OpKind op, const void *attrs, ValId x) { return pn_node(t, op, attrs, &x, 1); }

ValId pn_2(PNet *t, OpKind op, ValId x, ValId y) { return pn_node(t, op, NULL, (ValId[]){x, y}, 2); }

ValId pn_const(PNet *t, const Shape *s, float mean, float deviation) {
  int64_t n = shape_count(s);
  float *x = mem_array((size_t)n, sizeof *x);
  for (int64_t i = 0; i < n; i++) x[i] = mean + deviation * rng_normal(&t->rng);
  ValId v = graph_const_data(t->g, "c", DT_F32, s, x);
  mem_free(x);
  return v;
}

ValId pn_vector(PNet *t, int64_t n, float mean, float deviation) {
  Shape s = shape_of(1, n);
  return pn_const(t, &s, mean, deviation);
}

static ValId batch_norm(PNet *t, ValId x) {
  batch_normalization_attrs a = {.axis = pn_shape(t, x)->rank - 1, .epsilon = 1e-5f};
  const int64_t c = pn_shape(t, x)->d[a.axis];
  ValId in[5] = {x, pn_vector(t, c, 1, 0.2f), pn_vector(t, c, 0, 0.3f), pn_vector(t, c, 0, 0.3f),
                 pn_vector(t, c, 1, 0.05f)};
  return pn_node(t, OP_batch_normalization, &a, in, 5);
}

ValId pn_activation(PNet *t, ValId x) {
  static const OpKind ops[] = {OP_relu, OP_relu, OP_leaky_relu, OP_sigmoid, OP_tanh, OP_elu};
  const OpKind op = ops[pn_below(t, 6)];
  char attrs[256];
  op_attrs_default(op, attrs);
  return pn_1(t, op, attrs, x);
}

ValId pn_conv(PNet *t, ValId x, int64_t out, int k, int stride, int group) {
  conv_attrs a;
  op_attrs_default(OP_conv, &a);
  const int p = k / 2;
  const int64_t c = pn_shape(t, x)->d[3] / group;
  const Shape w = shape_of(4, out, (int64_t)k, (int64_t)k, c);
  a.strides = (Ints){2, {stride, stride}};
  a.pads = (Ints){4, {p, p, p, p}};
  a.group = group;
  ValId in[3] = {x, pn_const(t, &w, 0, 1 / sqrtf((float)(k * k * c))), pn_vector(t, out, 0, 0.2f)};
  ValId y = pn_node(t, OP_conv, &a, in, pn_below(t, 2) ? 3 : 2);
  return pn_below(t, 3) ? y : batch_norm(t, y);
}

ValId pn_dense(PNet *t, ValId x, int64_t out) {
  const Shape *s = pn_shape(t, x);
  const int64_t k = s->d[s->rank - 1];
  const Shape w = shape_of(2, out, k);
  ValId in[3] = {x, pn_const(t, &w, 0, 1 / sqrtf((float)k)), pn_vector(t, out, 0, 0.2f)};
  return pn_node(t, OP_fully_connected, NULL, in, pn_below(t, 4) ? 3 : 2);
}

ValId pn_reshape(PNet *t, ValId x, int rank, const int64_t *d) {
  reshape_attrs a = {.shape = {rank + 1, {t->fixed ? 2 : -1}}};
  for (int i = 0; i < rank; i++) a.shape.v[i + 1] = d[i];
  return pn_1(t, OP_reshape, &a, x);
}

ValId pn_transpose(PNet *t, ValId x, int rank, const int64_t *perm) {
  transpose_attrs a = {.perm = {rank, {0}}};
  memcpy(a.perm.v, perm, (size_t)rank * sizeof *perm);
  return pn_1(t, OP_transpose, &a, x);
}

ValId pn_slice(PNet *t, ValId x, int axis, int64_t start, int64_t count, int64_t step) {
  const Shape *s = pn_shape(t, x);
  slice_attrs a = {.starts = {s->rank, {0}}, .counts = {s->rank, {0}}, .steps = {s->rank, {0}}};
  for (int i = 0; i < s->rank; i++) a.counts.v[i] = s->d[i], a.steps.v[i] = 1;
  a.starts.v[axis] = start, a.counts.v[axis] = count, a.steps.v[axis] = step;
  return pn_1(t, OP_slice, &a, x);
}

ValId pn_concat(PNet *t, int axis, const ValId *in, uint32_t n) {
  concat_attrs a = {.axis = axis};
  return pn_node(t, OP_concat, &a, in, n);
}

ValId pn_reduce(PNet *t, OpKind op, ValId x, uint32_t axes, bool keepdims) {
  reduce_mean_attrs a = {.keepdims = keepdims}; /* of all Reduce operators: axes, keepdims */
  char attrs[512];
  op_attrs_default(op, attrs);
  for (int i = 0; i < MAX_RANK; i++)
    if (axes >> i & 1) a.axes.v[a.axes.n++] = i;
  for (int i = 0; i < op_info(op)->n_attrs; i++) {
    const AttrDesc *d = &op_info(op)->attrs[i];
    if (strcmp(d->name, "axes") == 0) memcpy(attrs + d->offset, &a.axes, sizeof a.axes);
    if (strcmp(d->name, "keepdims") == 0) memcpy(attrs + d->offset, &a.keepdims, sizeof a.keepdims);
  }
  return pn_1(t, op, attrs, x);
}

ValId pn_sequence(PNet *t, ValId x) {
  const Shape s = *pn_shape(t, x);
  return pn_reshape(t, x, 2, (int64_t[]){s.d[1] * s.d[2], s.d[3]});
}

ValId pn_image(PNet *t, ValId x) {
  const Shape s = *pn_shape(t, x);
  return pn_reshape(t, x, 3, (int64_t[]){s.d[1], 1, s.d[2]});
}

static int64_t channels(const PNet *t, ValId x) { return pn_shape(t, x)->d[3]; }

/* ---- the net */

static bool wants_fixed(int c) { return c >= CONSTRUCT_concat_constant; }

static Graph *finish_net(PNet *t, ValId y) {
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

/* One of the constructs on x, with a layer before it, so that it has channels of its own to couple, and one behind. */
static ValId grow_one(PNet *t, int which, ValId x) {
  t->construct = "net";
  const int64_t c = channels(t, x);
  if (c > 9 || c < 4) x = pn_activation(t, pn_conv(t, x, 6, 1, 1, 1));
  x = pn_activation(t, pn_conv(t, x, 4 + 2 * pn_below(t, 3), pn_below(t, 2) ? 3 : 1, 1, 1));
  t->construct = construct_info[which].name;
  x = grow[which](t, x);
  t->construct = "net";
  if (pn_below(t, 2)) x = pn_activation(t, pn_conv(t, x, 4 + pn_below(t, 4), 1, 1, 1));
  return x;
}

Graph *prune_net(uint64_t seed) {
  PNet t = {.g = graph_new("random"), .d = diag_new(), .construct = "net"};
  int which[3] = {(int)(seed % CONSTRUCTS)}, n = 1 + (int)(seed / CONSTRUCTS % 3);
  rng_seed(&t.rng, seed, 11);
  for (int i = 1; i < n; i++) which[i] = pn_below(&t, CONSTRUCTS);
  for (int i = 0; i < n; i++) t.fixed = t.fixed || wants_fixed(which[i]);
  const Shape in = shape_of(4, t.fixed ? (int64_t)2 : (int64_t)DIM_BATCH, (int64_t)(3 + pn_below(&t, 2)),
                            (int64_t)(3 + pn_below(&t, 2)), (int64_t)(1 + pn_below(&t, 3)));
  ValId x = graph_input(t.g, "x", DT_F32, &in);
  x = pn_activation(&t, pn_conv(&t, x, 6, 3, 1, 1));
  for (int i = 0; i < n; i++) x = grow_one(&t, which[i], x);
  t.construct = "net";
  x = pn_reduce(&t, OP_reduce_mean, x, 6, false);
  return finish_net(&t, pn_dense(&t, x, 4));
}

int prune_net_construct(const Graph *g, const Node *n) {
  const char *name = node_label(g, n), *end = strchr(name, ':');
  for (int c = 0; c < CONSTRUCTS && end; c++)
    if (strlen(construct_info[c].name) == (size_t)(end - name) &&
        memcmp(name, construct_info[c].name, (size_t)(end - name)) == 0)
      return c;
  return -1;
}

/* ---- layers */

ValId grow_conv(PNet *t, ValId x) {
  return pn_activation(t, pn_conv(t, x, 3 + pn_below(t, 7), 3, 1 + pn_below(t, 2), 1));
}

ValId grow_group_alike(PNet *t, ValId x) {
  return pn_conv(t, pn_conv(t, x, 8, 1, 1, 1), 4 + 2 * pn_below(t, 2), 3, 1, 2);
}

ValId grow_group_whole(PNet *t, ValId x) {
  const int each = 1 + pn_below(t, 2);
  return pn_conv(t, pn_conv(t, x, 5 * each, 1, 1, 1), 10, 3, 1, 5);
}

ValId grow_depthwise(PNet *t, ValId x) {
  depthwise_conv_attrs a;
  op_attrs_default(OP_depthwise_conv, &a);
  a.pads = (Ints){4, {1, 1, 1, 1}};
  const int64_t o = channels(t, x) * (1 + pn_below(t, 3));
  const Shape w = shape_of(4, (int64_t)1, (int64_t)3, (int64_t)3, o);
  ValId in[3] = {x, pn_const(t, &w, 0, 0.33f), pn_vector(t, o, 0, 0.2f)};
  return pn_activation(t, pn_node(t, OP_depthwise_conv, &a, in, pn_below(t, 2) ? 3 : 2));
}

ValId grow_transposed(PNet *t, ValId x) {
  conv_transpose_attrs a;
  op_attrs_default(OP_conv_transpose, &a);
  a.group = 1 + pn_below(t, 2);
  if (pn_below(t, 2)) a.strides = (Ints){2, {2, 2}}, a.pads = (Ints){4, {1, 0, 0, 1}};
  const Shape w = shape_of(4, (int64_t)6, (int64_t)2, (int64_t)3, channels(t, x) / a.group);
  ValId in[3] = {x, pn_const(t, &w, 0, 0.3f), pn_vector(t, 6, 0, 0.2f)};
  return pn_activation(t, pn_node(t, OP_conv_transpose, &a, in, pn_below(t, 2) ? 3 : 2));
}

ValId grow_shared(PNet *t, ValId x) {
  const int64_t c = channels(t, x);
  const Shape w = shape_of(4, c, (int64_t)1, (int64_t)1, c);
  const ValId weights = pn_const(t, &w, 0, 0.5f);
  ValId y = pn_activation(t, pn_node(t, OP_conv, NULL, (ValId[]){x, weights}, 2));
  if (pn_below(t, 2)) y = pn_conv(t, y, c, 1, 1, 1);
  return pn_node(t, OP_conv, NULL, (ValId[]){y, weights}, 2);
}

ValId grow_outputs(PNet *t, ValId x) {
  const ValId side = pn_activation(t, pn_conv(t, x, 5, 1, 1, 1));
  graph_output(t->g, pn_conv(t, side, 3, 1, 1, 1));
  return pn_conv(t, side, 4, 1, 1, 1);
}

ValId grow_flatten(PNet *t, ValId x) {
  const Shape s = *pn_shape(t, x);
  const ValId y = pn_dense(t, pn_reshape(t, x, 1, (int64_t[]){s.d[1] * s.d[2] * s.d[3]}), 24);
  return pn_reshape(t, pn_activation(t, y), 3, (int64_t[]){2, 2, 6});
}

/* ---- sums and neighbours */

ValId grow_residual(PNet *t, ValId x) {
  static const OpKind ops[] = {OP_add, OP_add, OP_sub, OP_mul, OP_max};
  ValId y = pn_activation(t, pn_conv(t, x, 4 + pn_below(t, 4), 3, 1, 1));
  y = pn_conv(t, y, channels(t, x), 3, 1, 1);
  return pn_activation(t, pn_2(t, ops[pn_below(t, 5)], y, x));
}

ValId grow_concat(PNet *t, ValId x) {
  const ValId y = pn_concat(t, 3, (ValId[]){x, pn_conv(t, x, 3, 1, 1, 1), x}, 3);
  return pn_below(t, 2) ? y : pn_2(t, OP_add, y, pn_conv(t, x, channels(t, y), 1, 1, 1));
}

ValId grow_concat_rows(PNet *t, ValId x) {
  return pn_concat(t, 1, (ValId[]){x, pn_conv(t, x, channels(t, x), 1, 1, 1)}, 2);
}

ValId grow_concat_constant(PNet *t, ValId x) {
  Shape s = *pn_shape(t, x);
  s.d[3] = 3;
  const ValId k = pn_const(t, &s, 0, 1);
  return pn_concat(t, 3, pn_below(t, 2) ? (ValId[]){x, k} : (ValId[]){k, x}, 2);
}

ValId grow_slice(PNet *t, ValId x) {
  const int64_t c = channels(t, x);
  return pn_below(t, 2) ? pn_slice(t, x, 3, 1, c - 2, 1) : pn_slice(t, x, 3, c - 1, c - 1, -1);
}

ValId grow_slice_steps(PNet *t, ValId x) {
  const int64_t c = channels(t, x);
  switch (pn_below(t, 3)) {
  case 0: return pn_slice(t, x, 3, c - 1, c / 3, -3);
  case 1: return pn_slice(t, x, 3, 1, c / 2, 2);
  default:
    return pn_concat(t, 3, (ValId[]){pn_slice(t, x, 3, 1, c / 2, 2), pn_slice(t, x, 3, 0, (c + 1) / 2, 2)},
                     2);
  }
}

ValId grow_split(PNet *t, ValId x) {
  const int64_t c = channels(t, x);
  const ValId a = pn_slice(t, x, 3, 0, c / 2, 1), b = pn_slice(t, x, 3, c / 2, c - c / 2, 1);
  return pn_concat(t, 3, (ValId[]){pn_conv(t, a, 4, 1, 1, 1), b}, 2);
}

ValId grow_pad(PNet *t, ValId x) {
  const int64_t before = pn_below(t, 4), after = 1 + pn_below(t, 3);
  pad_attrs p = {.pads = {8, {0, 0, 0, before, 0, 0, 0, after}}, .value = pn_below(t, 2) ? 0.5f : 0};
  const ValId wide = pn_conv(t, x, channels(t, x) + before + after, 3, 1, 1);
  return pn_activation(t, pn_2(t, OP_add, wide, pn_1(t, OP_pad, &p, x)));
}

ValId grow_pad_rows(PNet *t, ValId x) {
  pad_attrs p = {.pads = {8, {0, 1, 0, 0, 0, 0, 1, 0}}, .value = 0.5f};
  return pn_1(t, OP_pad, &p, x);
}

/* ---- axes */

ValId grow_shuffle(PNet *t, ValId x) {
  const Shape s = *pn_shape(t, x);
  ValId y = pn_reshape(t, x, 4, (int64_t[]){s.d[1], s.d[2], 2, s.d[3] / 2});
  y = pn_transpose(t, y, 5, (int64_t[]){0, 1, 2, 4, 3});
  return pn_reshape(t, y, 3, s.d + 1);
}

ValId grow_transpose(PNet *t, ValId x) {
  const Shape each = shape_of(3, channels(t, x), (int64_t)1, (int64_t)1);
  ValId y = pn_transpose(t, x, 4, (int64_t[]){0, 3, 1, 2});
  y = pn_2(t, OP_add, y, pn_const(t, &each, 0, 0.5f));
  if (pn_below(t, 2)) y = pn_2(t, OP_mul, pn_reduce(t, OP_reduce_max, y, 4, true), y);
  return pn_transpose(t, pn_activation(t, y), 4, (int64_t[]){0, 2, 3, 1});
}

/* ---- normalisations, as importers make them */

static Compose compose_of(const PNet *t, Loc *loc, char *name, size_t n) {
  snprintf(name, n, "%s:composed%u", t->construct, t->g->n_nodes);
  *loc = (Loc){.file = "random", .name = name};
  return (Compose){t->g, name, loc, t->d};
}

ValId grow_instance_norm(PNet *t, ValId x) {
  char name[64];
  Loc loc;
  const Compose c = compose_of(t, &loc, name, sizeof name);
  const int64_t n = channels(t, x);
  const ValId y = compose_standardize(&c, x, 1, 3, 1e-2f, NULL, NULL);
  return compose_affine(&c, y, pn_vector(t, n, 1, 0.2f), pn_vector(t, n, 0, 0.2f));
}

ValId grow_group_norm(PNet *t, ValId x) {
  char name[64];
  Loc loc;
  const Compose c = compose_of(t, &loc, name, sizeof name);
  const Shape s = *pn_shape(t, x);
  const int64_t n = channels(t, x);
  ValId y = pn_transpose(t, x, 4, (int64_t[]){0, 3, 1, 2});
  y = pn_reshape(t, y, 2, (int64_t[]){n / 2, 2 * s.d[1] * s.d[2]});
  y = compose_standardize(&c, y, 2, 3, 1e-2f, NULL, NULL);
  y = pn_reshape(t, y, 3, (int64_t[]){n, s.d[1], s.d[2]});
  y = pn_transpose(t, y, 4, (int64_t[]){0, 2, 3, 1});
  return compose_affine(&c, y, pn_vector(t, n, 1, 0.2f), pn_vector(t, n, 0, 0.2f));
}

ValId grow_layer_norm(PNet *t, ValId x) {
  char name[64];
  Loc loc;
  const Compose c = compose_of(t, &loc, name, sizeof name);
  const ValId y = compose_standardize(&c, x, 3, 4, 1e-2f, NULL, NULL);
  return compose_affine(&c, y, pn_vector(t, channels(t, x), 1, 0.2f), NO_VAL);
}

ValId grow_l2_norm(PNet *t, ValId x) {
  const ValId e = pn_vector(t, 1, 1, 0);
  const ValId sum =
      pn_reduce(t, pn_below(t, 2) ? OP_reduce_sum_square : OP_reduce_sum, pn_2(t, OP_mul, x, x), 8, true);
  return pn_2(t, OP_div, x, pn_1(t, OP_sqrt, NULL, pn_2(t, OP_add, sum, e)));
}

ValId grow_prelu(PNet *t, ValId x) {
  char name[64];
  Loc loc;
  const Compose c = compose_of(t, &loc, name, sizeof name);
  return compose_prelu(&c, x, pn_vector(t, channels(t, x), 0.2f, 0.1f));
}

ValId grow_mean_channels(PNet *t, ValId x) {
  return pn_2(t, OP_add, x, pn_reduce(t, OP_reduce_mean, x, 8, true));
}

ValId grow_softmax_channels(PNet *t, ValId x) {
  softmax_attrs a = {.axis = pn_below(t, 2) ? 3 : -1, .beta = 1};
  return pn_1(t, OP_softmax, &a, x);
}
