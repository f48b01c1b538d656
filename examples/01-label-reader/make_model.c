/* Writes cloud_init.onnx: the label reader's "cloud" network with random weights, where training starts.
 *
 *   32x32x1 -> conv 16 -> [block 32, /2] -> [block 32] -> [block 64, /2] -> [block 64] -> mean -> 62
 *   block: conv-bn-relu-conv-bn + shortcut (1x1 conv-bn where the size changes), relu
 *
 * Residual network after He et al. 2015 (arXiv:1512.03385), weights normal with variance 2 / fan-in (He 2015,
 * arXiv:1502.01852), fixed seed. 17 M multiply-accumulates, 0.17 M parameters.
 * Use: make_model OUT.onnx
 */
#include <math.h>
#include <stdio.h>

#include "frontend/onnx/onnx.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"

typedef struct Net {
  Graph *g;
  Diag *d;
  Rng rng;
  int layer;
} Net;

static ValId constant(Net *n, const char *what, Shape s, float fill) {
  float *v = arena_array(n->g->arena, (size_t)shape_count(&s), sizeof *v);
  for (int64_t i = 0; i < shape_count(&s); i++) v[i] = fill;
  return graph_const_data(n->g, arena_printf(n->g->arena, "layer%d.%s", n->layer, what), DT_F32, &s, v);
}

static ValId weights(Net *n, Shape s, int64_t fan_in) {
  float *w = arena_array(n->g->arena, (size_t)shape_count(&s), sizeof *w), k = sqrtf(2.0f / (float)fan_in);
  for (int64_t i = 0; i < shape_count(&s); i++) w[i] = k * rng_normal(&n->rng);
  return graph_const_data(n->g, arena_printf(n->g->arena, "layer%d.weight", n->layer), DT_F32, &s, w);
}

static ValId node(Net *n, OpKind op, const void *attrs, const ValId *in, uint32_t n_in, const char *what) {
  char *name = arena_printf(n->g->arena, "layer%d.%s", n->layer, what);
  Loc loc = {.file = "make_model", .name = name, .op = op_info(op)->name};
  return graph_node(n->g, op, attrs, in, n_in, name, &loc, n->d);
}

static ValId conv_bn(Net *n, ValId x, int64_t out, int64_t k, int64_t stride) {
  int64_t in = graph_val(n->g, x)->shape.d[3];
  n->layer++;
  conv_attrs attrs;
  op_attrs_default(OP_conv, &attrs);
  attrs.strides.v[0] = attrs.strides.v[1] = stride;
  for (int i = 0; i < 4; i++) attrs.pads.v[i] = k / 2;
  ValId y =
      node(n, OP_conv, &attrs, (ValId[]){x, weights(n, shape_of(4, out, k, k, in), in * k * k)}, 2, "conv");
  Shape c = shape_of(1, out);
  batch_normalization_attrs bn;
  op_attrs_default(OP_batch_normalization, &bn);
  ValId in5[5] = {y, constant(n, "scale", c, 1), constant(n, "offset", c, 0), constant(n, "mean", c, 0),
                  constant(n, "variance", c, 1)};
  return node(n, OP_batch_normalization, &bn, in5, 5, "bn");
}

static ValId relu(Net *n, ValId x) { return node(n, OP_relu, NULL, &x, 1, "relu"); }

static ValId block(Net *n, ValId x, int64_t out, int64_t stride) {
  ValId y = conv_bn(n, relu(n, conv_bn(n, x, out, 3, stride)), out, 3, 1);
  ValId shortcut = graph_val(n->g, x)->shape.d[3] == out && stride == 1 ? x : conv_bn(n, x, out, 1, stride);
  return relu(n, node(n, OP_add, NULL, (ValId[]){y, shortcut}, 2, "add"));
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: make_model OUT.onnx    writes the label reader's network with random weights\n");
    return 1;
  }
  Net n = {.g = graph_new("label-reader"), .d = diag_new()};
  rng_seed(&n.rng, 1, 0);
  Shape in = shape_of(4, (int64_t)DIM_BATCH, (int64_t)32, (int64_t)32, (int64_t)1);
  ValId x = relu(&n, conv_bn(&n, graph_input(n.g, "image", DT_F32, &in), 16, 3, 1));
  x = block(&n, x, 32, 2);
  x = block(&n, x, 32, 1);
  x = block(&n, x, 64, 2);
  x = block(&n, x, 64, 1);
  reduce_mean_attrs mean = {.axes = {.n = 2, .v = {1, 2}}, .keepdims = 0};
  x = node(&n, OP_reduce_mean, &mean, &x, 1, "mean");
  n.layer++;
  x = node(&n, OP_fully_connected, NULL,
           (ValId[]){x, weights(&n, shape_of(2, (int64_t)62, (int64_t)64), 64),
                     constant(&n, "bias", shape_of(1, (int64_t)62), 0)},
           3, "logits");
  graph_output(n.g, x);
  bool ok = graph_verify(n.g, n.d) && onnx_export(n.g, argv[1], n.d);
  diag_print(n.d, stderr);
  graph_free(n.g);
  diag_free(n.d);
  return ok ? 0 : 1;
}
