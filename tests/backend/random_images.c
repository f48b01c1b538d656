/* See random_images.h. */
#include "tests/backend/random_images.h"

#include "ir/base/mem.h"
#include "tests/support.h"

static ValId image_const(Graph *g, Rng *r, int64_t o, int64_t h, int64_t w, int64_t i) {
  Shape s = shape_of(4, o, h, w, i);
  float *data = mem_array((size_t)shape_count(&s), sizeof *data);
  for (int64_t k = 0; k < shape_count(&s); k++) data[k] = rng_normal(r) * 0.5f;
  ValId v = graph_const_data(g, "w", DT_F32, &s, data);
  mem_free(data);
  return v;
}

static int64_t between(Rng *r, int lo, int hi) { return lo + (int64_t)rng_below(r, (uint32_t)(hi - lo + 1)); }

static Ints pads_of(Rng *r, int64_t kh, int64_t kw) {
  Ints p = {4, {0, 0, 0, 0}};
  p.v[0] = between(r, 0, (int)kh / 2);
  p.v[1] = between(r, 0, (int)kw / 2);
  p.v[2] = between(r, 0, (int)kh / 2);
  p.v[3] = between(r, 0, (int)kw / 2);
  return p;
}

static ValId pick_image(const Graph *g, Rng *r) {
  for (;;) { /* late values more often: chains */
    uint32_t back = rng_below(r, 3) ? rng_below(r, 3) : rng_below(r, g->n_vals - 1);
    ValId v = back < g->n_vals - 1 ? g->n_vals - 1 - back : 1;
    if (!val_is_const(g, v) && graph_val(g, v)->shape.rank == 4) return v;
  }
}

static ValId add_window(Graph *g, Rng *r, ValId x, Diag *d) {
  const Shape s = graph_val(g, x)->shape;
  int64_t kh = between(r, 1, 4), kw = between(r, 1, 3), stride = between(r, 1, 2);
  if (kh > s.d[1] || kw > s.d[2]) kh = kw = 1;
  const Ints strides = {2, {stride, between(r, 1, 2)}}, pads = pads_of(r, kh, kw), kernel = {2, {kh, kw}};
  int64_t out_h = (s.d[1] + pads.v[0] + pads.v[2] - kh) / stride + 1;
  if (rng_below(r, 3) == 0 && s.d[1] > 3) { /* keep the shape, so that sums find partners */
    conv_attrs a = {.strides = {2, {1, 1}}, .pads = {4, {1, 1, 1, 1}}, .dilations = {2, {1, 1}}, .group = 1};
    ValId in[] = {x, image_const(g, r, s.d[3], 3, 3, s.d[3])};
    return graph_node(g, OP_conv, &a, in, 2, "same", NULL, d);
  }
  if (out_h < 1) return NO_VAL;
  switch (rng_below(r, 4)) {
  case 0: {
    conv_attrs a = {.strides = strides, .pads = pads, .dilations = {2, {1, 1}}, .group = 1};
    ValId in[] = {x, image_const(g, r, between(r, 1, 6), kh, kw, s.d[3])};
    return graph_node(g, OP_conv, &a, in, 2, "conv", NULL, d);
  }
  case 1: {
    depthwise_conv_attrs a = {.strides = strides, .pads = pads, .dilations = {2, {1, 1}}};
    ValId in[] = {x, image_const(g, r, 1, kh, kw, s.d[3])};
    return graph_node(g, OP_depthwise_conv, &a, in, 2, "depthwise", NULL, d);
  }
  case 2: {
    max_pool_attrs a = {.kernel = kernel, .strides = strides, .pads = pads};
    return graph_node1(g, OP_max_pool, &a, x, "max", NULL, d);
  }
  default: {
    average_pool_attrs a = {.kernel = kernel, .strides = strides, .pads = pads};
    return graph_node1(g, OP_average_pool, &a, x, "average", NULL, d);
  }
  }
}

static ValId add_image_node(Graph *g, Rng *r, Diag *d) {
  ValId x = pick_image(g, r), y = pick_image(g, r);
  const Shape a = graph_val(g, x)->shape, b = graph_val(g, y)->shape;
  switch (rng_below(r, 9)) {
  case 0: return graph_node1(g, OP_relu, NULL, x, "relu", NULL, d);
  case 1: {
    average_pool_attrs p = {.kernel = {2, {a.d[1], a.d[2]}}, .strides = {2, {1, 1}}, .pads = {4, {0}}};
    reduce_mean_attrs m = {.axes = {2, {1, 2}}, .keepdims = 1};
    if (rng_below(r, 3)) return NO_VAL;
    if (rng_below(r, 2)) return graph_node1(g, OP_reduce_mean, &m, x, "mean", NULL, d);
    return graph_node1(g, OP_average_pool, &p, x, "global", NULL, d);
  }
  case 2: {
    concat_attrs c = {.axis = 3};
    if (a.d[1] != b.d[1] || a.d[2] != b.d[2] || a.d[3] + b.d[3] > 12) return NO_VAL;
    return graph_node2(g, OP_concat, &c, x, y, "concat", NULL, d);
  }
  case 3: {
    pad_attrs p = {.pads = {8, {0, 0, 1, 0, 0, 0, 0, 0}}};
    if (rng_below(r, 2)) p.pads.v[1] = 1;
    return graph_node1(g, OP_pad, &p, x, "pad", NULL, d);
  }
  case 4:
  case 5:
    for (ValId v = g->n_vals - 1; v > 0; v--)
      if (v != x && !val_is_const(g, v) && shape_equal(&graph_val(g, v)->shape, &a))
        return graph_node2(g, OP_add, NULL, x, v, "add", NULL, d);
    return NO_VAL;
  default: return add_window(g, r, x, d);
  }
}

Graph *random_images(Rng *r, Diag *d) {
  Graph *g = graph_new("random images");
  Shape s = shape_of(4, (int64_t)1, between(r, 5, 20), between(r, 3, 8), between(r, 1, 4));
  int nodes = (int)between(r, 1, 12);
  graph_input(g, "x", DT_F32, &s);
  for (int i = 0; i < nodes; i++) add_image_node(g, r, d);
  ValId last = pick_image(g, r);
  graph_output(g, g->nodes && g->n_nodes ? g->nodes[g->n_nodes - 1].out[0] : last);
  if (rng_below(r, 4) == 0) graph_output(g, pick_image(g, r));
  ck_assert_msg(graph_verify(g, d), "%s", diag_text(d));
  return g;
}
