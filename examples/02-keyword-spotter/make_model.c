/* Writes a network for the keyword spotter with random weights, where training starts: make_model KIND OUT.onnx.
 *
 *   dscnn      49x10x1 -> conv 10x4/2 32 -> 4 x (depthwise 3x3, 1x1 48) -> mean -> 12     (MobileNet-like, after Zhang et
 *              al. 2017, "Hello edge", arXiv:1711.07128)
 *   residual   49x10x1 -> conv 3x3/(2,1) 16 -> block 24 /2 -> block 24 -> block 32 /2 -> mean -> 12   (He et al. 2015)
 *   gru        49x10 -> 49 x dense 24, relu -> GRU 40 -> last state -> 12                  (Cho et al. 2014)
 *   attention  49x10x1 -> 11 tokens of 24 (conv 9x10/4), positions -> attention of one head of 96 -> dense 320 ->
 *              mean -> 12 (an encoder layer, normalised first: Vaswani et al. 2017, Xiong et al. 2020)
 *
 * Weights are normal with variance 2 / fan-in, 1 / fan-in before what is no Relu; fixed seed.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "frontend/onnx/onnx.h"
#include "ir/base/rng.h"
#include "ir/compose/compose.h"

enum { FRAMES = 49, CEPSTRA = 10, CLASSES = 12 };

typedef struct Net {
  Graph *g;
  Diag *d;
  Rng rng;
  int layer;
} Net;

/* -- parts -- */

static ValId constant(Net *n, const char *what, Shape s, float fill) {
  float *v = arena_array(n->g->arena, (size_t)shape_count(&s), sizeof *v);
  for (int64_t i = 0; i < shape_count(&s); i++) v[i] = fill;
  return graph_const_data(n->g, arena_printf(n->g->arena, "layer%d.%s", n->layer, what), DT_F32, &s, v);
}

static ValId weights(Net *n, const char *what, Shape s, float variance) {
  float *w = arena_array(n->g->arena, (size_t)shape_count(&s), sizeof *w), k = sqrtf(variance);
  for (int64_t i = 0; i < shape_count(&s); i++) w[i] = k * rng_normal(&n->rng);
  return graph_const_data(n->g, arena_printf(n->g->arena, "layer%d.%s", n->layer, what), DT_F32, &s, w);
}

static ValId node(Net *n, OpKind op, const void *attrs, const ValId *in, uint32_t n_in, const char *what) {
  char *name = arena_printf(n->g->arena, "layer%d.%s", n->layer, what);
  Loc loc = {.file = "make_model", .name = name, .op = op_info(op)->name};
  return graph_node(n->g, op, attrs, in, n_in, name, &loc, n->d);
}

static ValId binary(Net *n, OpKind op, ValId a, ValId b, const char *what) {
  return node(n, op, NULL, (ValId[]){a, b}, 2, what);
}

static const Shape *shape(const Net *n, ValId x) { return &graph_val(n->g, x)->shape; }

static ValId batch_norm(Net *n, ValId x) {
  Shape c = shape_of(1, shape(n, x)->d[3]);
  batch_normalization_attrs bn;
  op_attrs_default(OP_batch_normalization, &bn);
  ValId in[5] = {x, constant(n, "scale", c, 1), constant(n, "offset", c, 0), constant(n, "mean", c, 0),
                 constant(n, "variance", c, 1)};
  return node(n, OP_batch_normalization, &bn, in, 5, "bn");
}

static ValId relu(Net *n, ValId x) { return node(n, OP_relu, NULL, &x, 1, "relu"); }

typedef struct Window {
  int64_t kh, kw, sh, sw;
  bool padded;
} Window;

static ValId conv(Net *n, ValId x, int64_t out, Window w) {
  int64_t in = shape(n, x)->d[3];
  conv_attrs a;
  n->layer++;
  op_attrs_default(OP_conv, &a);
  a.strides.v[0] = w.sh, a.strides.v[1] = w.sw;
  if (w.padded) {
    a.pads.v[0] = (w.kh - 1) / 2, a.pads.v[1] = (w.kw - 1) / 2;
    a.pads.v[2] = w.kh / 2, a.pads.v[3] = w.kw / 2;
  }
  ValId k = weights(n, "weight", shape_of(4, out, w.kh, w.kw, in), 2 / (float)(in * w.kh * w.kw));
  return node(n, OP_conv, &a, (ValId[]){x, k}, 2, "conv");
}

static ValId conv_bn(Net *n, ValId x, int64_t out, Window w) { return batch_norm(n, conv(n, x, out, w)); }

static ValId depthwise_bn(Net *n, ValId x) {
  int64_t c = shape(n, x)->d[3];
  depthwise_conv_attrs a;
  n->layer++;
  op_attrs_default(OP_depthwise_conv, &a);
  for (int i = 0; i < 4; i++) a.pads.v[i] = 1;
  ValId k = weights(n, "weight", shape_of(4, (int64_t)1, (int64_t)3, (int64_t)3, c), 2.0f / 9);
  return batch_norm(n, node(n, OP_depthwise_conv, &a, (ValId[]){x, k}, 2, "depthwise"));
}

/* Over the last axis. */
static ValId dense(Net *n, ValId x, int64_t out, float variance) {
  int64_t in = shape(n, x)->d[shape(n, x)->rank - 1];
  n->layer++;
  ValId w = weights(n, "weight", shape_of(2, out, in), variance / (float)in),
        b = constant(n, "bias", shape_of(1, out), 0);
  return node(n, OP_fully_connected, NULL, (ValId[]){x, w, b}, 3, "dense");
}

static ValId reshape(Net *n, ValId x, Shape to) {
  reshape_attrs a = {.shape = {.n = to.rank}};
  for (int i = 0; i < to.rank; i++) a.shape.v[i] = to.d[i];
  return node(n, OP_reshape, &a, &x, 1, "reshape");
}

static ValId transpose(Net *n, ValId x, int a, int b, int c, int d) {
  transpose_attrs t = {.perm = {.n = 4, .v = {a, b, c, d}}};
  return node(n, OP_transpose, &t, &x, 1, "transpose");
}

/* Mean over axes 1 .. last - 1. */
static ValId mean(Net *n, ValId x, int last) {
  reduce_mean_attrs a = {.axes = {.n = last - 1}, .keepdims = 0};
  for (int i = 1; i < last; i++) a.axes.v[i - 1] = i;
  return node(n, OP_reduce_mean, &a, &x, 1, "mean");
}

static ValId classes(Net *n, ValId x) { return dense(n, x, CLASSES, 1); }

/* -- networks -- */

static const int64_t B = DIM_BATCH;

static ValId picture(Net *n) {
  Shape in = shape_of(4, B, (int64_t)FRAMES, (int64_t)CEPSTRA, (int64_t)1);
  return graph_input(n->g, "cepstra", DT_F32, &in);
}

static ValId dscnn(Net *n) {
  ValId x = relu(n, conv_bn(n, picture(n), 32, (Window){10, 4, 2, 2, true}));
  for (int i = 0; i < 4; i++) {
    x = relu(n, depthwise_bn(n, x));
    x = relu(n, conv_bn(n, x, 48, (Window){1, 1, 1, 1, false}));
  }
  return classes(n, mean(n, x, 3));
}

static ValId block(Net *n, ValId x, int64_t out, int64_t stride) {
  ValId y = relu(n, conv_bn(n, x, out, (Window){3, 3, stride, stride, true}));
  y = conv_bn(n, y, out, (Window){3, 3, 1, 1, true});
  bool same = shape(n, x)->d[3] == out && stride == 1;
  return relu(
      n, binary(n, OP_add, y, same ? x : conv_bn(n, x, out, (Window){1, 1, stride, stride, true}), "add"));
}

static ValId residual(Net *n) {
  ValId x = relu(n, conv_bn(n, picture(n), 16, (Window){3, 3, 2, 1, true}));
  x = block(n, block(n, x, 24, 2), 24, 1);
  return classes(n, mean(n, block(n, x, 32, 2), 3));
}

static ValId gru(Net *n) {
  enum { WIDE = 24, HIDDEN = 40 };
  Shape in = shape_of(3, B, (int64_t)FRAMES, (int64_t)CEPSTRA);
  ValId x = graph_input(n->g, "cepstra", DT_F32, &in);
  x = dense(n, relu(n, dense(n, x, WIDE, 2)), 3 * HIDDEN, 1);
  gru_attrs a;
  op_attrs_default(OP_gru, &a);
  a.hidden = HIDDEN;
  a.batch_first = a.linear_before_reset = 1;
  ValId r = weights(n, "recurrent", shape_of(2, (int64_t)3 * HIDDEN, (int64_t)HIDDEN), 1.0f / HIDDEN),
        b = constant(n, "recurrent_bias", shape_of(1, (int64_t)HIDDEN), 0);
  x = node(n, OP_gru, &a, (ValId[]){x, r, NO_VAL, b}, 4, "gru");
  slice_attrs last = {.starts = {3, {0, FRAMES, 0}}, .counts = {3, {-1, 1, HIDDEN}}, .steps = {3, {1, 1, 1}}};
  x = node(n, OP_slice, &last, &x, 1, "last");
  return classes(n, reshape(n, x, shape_of(2, B, (int64_t)HIDDEN)));
}

static ValId layer_norm(Net *n, ValId x) {
  n->layer++;
  Shape c = shape_of(1, shape(n, x)->d[2]);
  char *name = arena_printf(n->g->arena, "layer%d.norm", n->layer);
  Loc loc = {.file = "make_model", .name = name, .op = "LayerNormalization"};
  Compose to = {n->g, name, &loc, n->d};
  return compose_affine(&to, compose_standardize(&to, x, 2, 3, 1e-5f, NULL, NULL), constant(n, "scale", c, 1),
                        constant(n, "offset", c, 0));
}

/* [N,T,C] -> [N,heads,T,C/heads], or [N,heads,C/heads,T]. */
static ValId heads_of(Net *n, ValId x, int64_t heads, bool turned) {
  int64_t t = shape(n, x)->d[1], c = shape(n, x)->d[2];
  x = reshape(n, x, shape_of(4, B, t, heads, c / heads));
  return turned ? transpose(n, x, 0, 2, 3, 1) : transpose(n, x, 0, 2, 1, 3);
}

static ValId attend(Net *n, ValId x, int64_t heads, int64_t c) {
  int64_t t = shape(n, x)->d[1], out = shape(n, x)->d[2];
  ValId q = heads_of(n, dense(n, x, c, 1), heads, false), k = heads_of(n, dense(n, x, c, 1), heads, true),
        v = heads_of(n, dense(n, x, c, 1), heads, false);
  softmax_attrs s;
  op_attrs_default(OP_softmax, &s);
  s.beta = 1 / sqrtf((float)(c / heads));
  ValId p = binary(n, OP_matmul, q, k, "scores");
  p = node(n, OP_softmax, &s, &p, 1, "softmax");
  x = transpose(n, binary(n, OP_matmul, p, v, "mixed"), 0, 2, 1, 3);
  return dense(n, reshape(n, x, shape_of(3, B, t, c)), out, 1);
}

static ValId attention(Net *n) {
  enum { TOKENS = 11, WIDE = 24, HEADS = 1, INNER = 96, FED = 320 };
  ValId x = conv_bn(n, picture(n), WIDE, (Window){9, CEPSTRA, 4, 1, false});
  x = reshape(n, x, shape_of(3, B, (int64_t)TOKENS, (int64_t)WIDE));
  x = binary(n, OP_add, x, weights(n, "positions", shape_of(2, (int64_t)TOKENS, (int64_t)WIDE), 0.04f),
             "placed");
  x = binary(n, OP_add, x, attend(n, layer_norm(n, x), HEADS, INNER), "attended");
  ValId y = dense(n, relu(n, dense(n, layer_norm(n, x), FED, 2)), WIDE, 1);
  return classes(n, mean(n, binary(n, OP_add, x, y, "fed"), 2));
}

static const struct {
  const char *name;
  ValId (*make)(Net *n);
} kinds[] = {{"dscnn", dscnn}, {"residual", residual}, {"gru", gru}, {"attention", attention}};

int main(int argc, char **argv) {
  size_t k = 0, count = sizeof kinds / sizeof *kinds;
  while (argc == 3 && k < count && strcmp(argv[1], kinds[k].name) != 0) k++;
  if (argc != 3 || k == count) {
    fprintf(
        stderr,
        "usage: make_model dscnn|residual|gru|attention OUT.onnx    writes a network with random weights\n");
    return 1;
  }
  Net n = {.g = graph_new("keyword-spotter"), .d = diag_new()};
  rng_seed(&n.rng, 1, 0);
  graph_output(n.g, kinds[k].make(&n));
  bool ok = graph_verify(n.g, n.d) && onnx_export(n.g, argv[2], n.d);
  diag_print(n.d, stderr);
  graph_free(n.g);
  diag_free(n.d);
  return ok ? 0 : 1;
}
