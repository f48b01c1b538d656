/* The nets of bench/train.c: MLPerf Tiny's ResNet-8, the CIFAR ResNet-20, DS-CNN on 49x10 and MobileNetV1-0.25 on
 * 96x96, as bench/train_torch.py builds them too. BatchNormalization is apart, as in training.
 */
#include "bench/train_nets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"

typedef struct Net {
  Graph *g;
  Diag *d;
  Rng r;
} Net;

static void must(const Net *n, bool ok) {
  if (ok) return;
  diag_print(n->d, stderr);
  exit(1);
}

static ValId weights(Net *n, int rank, const int64_t *dims, float size) {
  Shape s = {.rank = rank};
  memcpy(s.d, dims, (size_t)rank * sizeof *dims);
  float *w = mem_array((size_t)shape_count(&s), sizeof *w);
  for (int64_t i = 0; i < shape_count(&s); i++) w[i] = size * rng_normal(&n->r);
  ValId v = graph_const_data(n->g, NULL, DT_F32, &s, w);
  mem_free(w);
  return v;
}

static ValId vector(Net *n, int64_t c, float value) {
  Shape s = {.rank = 1, .d = {c}};
  float *w = mem_array((size_t)c, sizeof *w);
  for (int64_t i = 0; i < c; i++) w[i] = value;
  ValId v = graph_const_data(n->g, NULL, DT_F32, &s, w);
  mem_free(w);
  return v;
}

static ValId node(Net *n, OpKind op, const void *attrs, const ValId *in, uint32_t n_in) {
  ValId v = graph_node(n->g, op, attrs, in, n_in, NULL, NULL, n->d);
  must(n, v != NO_VAL);
  return v;
}

static int64_t channels(const Net *n, ValId x) { return graph_val(n->g, x)->shape.d[3]; }

/* Zeros so that the output has ceil(size / stride) pixels (TensorFlow's SAME). */
static void same_pads(const Net *n, ValId x, int64_t kh, int64_t kw, int64_t stride, Ints *pads) {
  const Shape *s = &graph_val(n->g, x)->shape;
  pads->n = 4;
  for (int i = 0; i < 2; i++) {
    int64_t size = s->d[i + 1], k = i ? kw : kh,
            total = ((size + stride - 1) / stride - 1) * stride + k - size;
    if (total < 0) total = 0;
    pads->v[i] = total / 2;
    pads->v[i + 2] = total - total / 2;
  }
}

static ValId norm(Net *n, ValId x, bool relu) {
  int64_t c = channels(n, x);
  const ValId in[] = {x, vector(n, c, 1), vector(n, c, 0), vector(n, c, 0), vector(n, c, 1)};
  ValId y = node(n, OP_batch_normalization, NULL, in, 5);
  return relu ? node(n, OP_relu, NULL, &y, 1) : y;
}

static ValId conv(Net *n, ValId x, int64_t o, int64_t kh, int64_t kw, int64_t stride) {
  conv_attrs a;
  op_attrs_default(OP_conv, &a);
  a.strides.v[0] = a.strides.v[1] = stride;
  same_pads(n, x, kh, kw, stride, &a.pads);
  int64_t c = channels(n, x);
  const ValId in[] = {x, weights(n, 4, (const int64_t[]){o, kh, kw, c}, 1.0f / (float)(kh * kw * c))};
  return node(n, OP_conv, &a, in, 2);
}

static ValId depthwise(Net *n, ValId x, int64_t stride) {
  depthwise_conv_attrs a;
  op_attrs_default(OP_depthwise_conv, &a);
  a.strides.v[0] = a.strides.v[1] = stride;
  same_pads(n, x, 3, 3, stride, &a.pads);
  const ValId in[] = {x, weights(n, 4, (const int64_t[]){1, 3, 3, channels(n, x)}, 0.3f)};
  return node(n, OP_depthwise_conv, &a, in, 2);
}

static ValId start(Net *n, int64_t h, int64_t w, int64_t c) {
  *n = (Net){graph_new("bench"), diag_new(), {{0}}};
  rng_seed(&n->r, 1, 1);
  Shape s = {4, {DIM_BATCH, h, w, c}};
  return graph_input(n->g, "x", DT_F32, &s);
}

static Graph *finish(Net *n, ValId x, int64_t classes) {
  reduce_mean_attrs a;
  op_attrs_default(OP_reduce_mean, &a);
  a.axes = (Ints){2, {1, 2}};
  a.keepdims = 0;
  int64_t c = channels(n, x);
  const ValId in[] = {node(n, OP_reduce_mean, &a, &x, 1), weights(n, 2, (const int64_t[]){classes, c}, 0.1f),
                      vector(n, classes, 0)};
  graph_output(n->g, node(n, OP_fully_connected, NULL, in, 3));
  diag_free(n->d);
  return n->g;
}

/* A shortcut that halves the image: a 1x1 convolution, or every other pixel with zero channels around. */
static ValId shortcut(Net *n, ValId x, int64_t o, bool projected) {
  if (projected) return conv(n, x, o, 1, 1, 2);
  const Shape *s = &graph_val(n->g, x)->shape;
  int64_t h = s->d[1] / 2, c = s->d[3], around = (o - c) / 2;
  slice_attrs a = {.starts = {4, {0}}, .counts = {4, {-1, h, h, c}}, .steps = {4, {1, 2, 2, 1}}};
  pad_attrs p = {.pads = {8, {0, 0, 0, around, 0, 0, 0, o - c - around}}};
  ValId v = node(n, OP_slice, &a, &x, 1);
  return node(n, OP_pad, &p, &v, 1);
}

static Graph *resnet(int blocks, bool projected) {
  Net n;
  ValId x = norm(&n, conv(&n, start(&n, 32, 32, 3), 16, 3, 3, 1), true);
  for (int stage = 0; stage < 3; stage++)
    for (int b = 0; b < blocks; b++) {
      int64_t o = 16 << stage, stride = stage && !b ? 2 : 1;
      ValId y = norm(&n, conv(&n, x, o, 3, 3, stride), true);
      y = norm(&n, conv(&n, y, o, 3, 3, 1), false);
      const ValId in[] = {y, stride == 2 ? shortcut(&n, x, o, projected) : x};
      ValId sum = node(&n, OP_add, NULL, in, 2);
      x = node(&n, OP_relu, NULL, &sum, 1);
    }
  return finish(&n, x, 10);
}

Graph *net_resnet8(void) { return resnet(1, true); }
Graph *net_resnet20(void) { return resnet(3, false); }

static ValId separable(Net *n, ValId x, int64_t o, int64_t stride) {
  x = norm(n, depthwise(n, x, stride), true);
  return norm(n, conv(n, x, o, 1, 1, 1), true);
}

Graph *net_ds_cnn(void) {
  Net n;
  ValId x = norm(&n, conv(&n, start(&n, 49, 10, 1), 64, 10, 4, 2), true);
  for (int i = 0; i < 4; i++) x = separable(&n, x, 64, 1);
  return finish(&n, x, 12);
}

Graph *net_mobilenet(void) {
  static const int64_t o[] = {16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256};
  static const int64_t s[] = {1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1};
  Net n;
  ValId x = norm(&n, conv(&n, start(&n, 96, 96, 3), 8, 3, 3, 2), true);
  for (int i = 0; i < 13; i++) x = separable(&n, x, o[i], s[i]);
  return finish(&n, x, 2);
}

/* -- counting -- */

int64_t net_macs(const Graph *g, int64_t *first) {
  int64_t all = 0;
  *first = 0;
  for (uint32_t i = 0; i < g->n_nodes; i++) {
    int64_t macs = node_macs(g, &g->nodes[i]);
    if (!all) *first = macs;
    all += macs;
  }
  return all;
}
