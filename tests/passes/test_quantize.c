/* Quantization: weights and scales by hand, random nets against their float originals, inputs of every kind, and
 * what is refused.
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/eval.h"
#include "passes/input_raw.h"
#include "passes/pass.h"
#include "passes/quantize.h"
#include "tests/engine/nets.h"
#include "tests/passes/nets.h"
#include "tests/support.h"

Suite *suite_quantize(void);

enum { IMAGES = 64 };

/* Images of graph g's input shape: normally distributed f32, or bytes. */
static Dataset make_data(const Graph *g, DType t, uint64_t seed) {
  const Shape *s = &graph_val(g, g->inputs[0])->shape;
  Dataset ds = {.train = {.n = IMAGES, .dtype = t, .item = {.rank = s->rank - 1}}};
  for (int i = 1; i < s->rank; i++) ds.train.item.d[i - 1] = s->d[i];
  size_t n = (size_t)shape_count(&ds.train.item) * IMAGES;
  ds.train.xb = blob_new(NULL, n * dtype_size(t));
  char *x = mem_alloc(n * dtype_size(t));
  Rng rng;
  rng_seed(&rng, seed, 11);
  for (size_t i = 0; i < n; i++) {
    if (t == DT_F32)
      ((float *)x)[i] = rng_normal(&rng);
    else
      x[i] = (char)rng_below(&rng, 256);
  }
  blob_unref(ds.train.xb);
  ds.train.xb = blob_adopt(x, n * dtype_size(t));
  ds.train.x = blob_data(ds.train.xb);
  return ds;
}

static void free_data(Dataset *ds) { blob_unref(ds->train.xb); }

static Graph *quantized(const Graph *g, const Dataset *ds, const char *params) {
  Diag *d = diag_new();
  PassCtx ctx = {.params = "", .data = ds};
  char text[200];
  snprintf(text, sizeof text, "bnfuse,fuse,fold,quantize{%s}", params);
  PipelineOptions opt = {.verify_each = true};
  Graph *q = pipeline_run(g, text, &ctx, &opt, d);
  ck_assert_msg(q != NULL, "%s", diag_text(d));
  diag_free(d);
  return q;
}

/* Codes of real values in v's quantization; f32 values as they are. */
static Tensor encode(const Value *v, const float *x, const Shape *s) {
  Tensor t = tensor_new(v->dtype, s);
  for (int64_t i = 0; i < shape_count(s); i++) {
    if (v->dtype == DT_F32) {
      ((float *)t.data)[i] = x[i];
      continue;
    }
    double q = round((double)x[i] / (double)v->quant.scale[0]) + v->quant.zero[0];
    if (v->dtype == DT_U8)
      ((uint8_t *)t.data)[i] = (uint8_t)fmin(255, fmax(0, q));
    else
      ((int8_t *)t.data)[i] = (int8_t)fmin(127, fmax(-128, q));
  }
  return t;
}

static double decode(const Tensor *t, const Quant *q, int64_t i) {
  if (t->dtype == DT_F32) return (double)((float *)t->data)[i];
  int code = t->dtype == DT_U8 ? ((uint8_t *)t->data)[i] : ((int8_t *)t->data)[i];
  return (double)q->scale[0] * (code - q->zero[0]);
}

/* First `n` images as the graph's real input. */
static Tensor real_images(const Dataset *ds, int n) {
  Shape s = {.rank = ds->train.item.rank + 1, .d = {n}};
  for (int i = 1; i < s.rank; i++) s.d[i] = ds->train.item.d[i - 1];
  Tensor t = tensor_new(DT_F32, &s);
  int64_t item = shape_count(&ds->train.item);
  for (int i = 0; i < n; i++)
    split_item(&ds->train, &ds->spec.normalize, NULL, (uint32_t)i, (float *)t.data + i * item);
  return t;
}

typedef struct Quality {
  double snr;   /* dB, of the outputs */
  double steps; /* largest difference in steps of the output's scale */
} Quality;

static Quality compare(const Graph *g, const Graph *q, const Dataset *ds) {
  Diag *d = diag_new();
  Tensor x = real_images(ds, 16), y, z;
  const Value *in = graph_val(q, q->inputs[0]), *out = graph_val(q, q->outputs[0]);
  Tensor codes = encode(in, x.data, &x.shape);
  ck_assert_msg(graph_eval(g, &x, 1, &y, d) && graph_eval(q, &codes, 1, &z, d), "%s", diag_text(d));
  double power = 0, error = 0, worst = 0, mean = 0;
  int64_t n = shape_count(&y.shape);
  for (int64_t i = 0; i < n; i++) mean += (double)((float *)y.data)[i] / (double)n;
  for (int64_t i = 0; i < n; i++) {
    double want = (double)((float *)y.data)[i], e = decode(&z, &out->quant, i) - want;
    power += (want - mean) * (want - mean);
    error += e * e;
    worst = fmax(worst, fabs(e));
  }
  tensor_free(&x);
  tensor_free(&y);
  tensor_free(&z);
  tensor_free(&codes);
  diag_free(d);
  return (Quality){10 * log10(power / fmax(error, 1e-30)),
                   out->quant.n ? worst / (double)out->quant.scale[0] : 0};
}

/* ---- scales */

START_TEST(test_affine)
{
  static const struct {
    float lo, hi, scale;
    int zero;
  } cases[] = {{0, 255, 1, -128},        {-128, 127, 1, 0}, {0, 0, 1, 0},
               {-1, 0, 1.0f / 255, 127}, {0, 1e-38f, 1, 0}, {-1, 1, 2.0f / 255, -1}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    Affine a = affine_of_range(cases[i].lo, cases[i].hi);
    ck_assert_msg(a.scale == cases[i].scale && a.zero == cases[i].zero,
                  "%g .. %g: scale %g zero %d, want %g and %d", (double)cases[i].lo, (double)cases[i].hi,
                  (double)a.scale, (int)a.zero, (double)cases[i].scale, cases[i].zero);
  }
  const float x[] = {-300, -128.5f, -0.5f, 0, 0.5f, 0.49f, 1e30f};
  const int8_t want[] = {-128, -128, -1, 0, 1, 0, 127};
  int8_t q[7];
  affine_quantize((Affine){1, 0}, x, 7, q);
  ck_assert_mem_eq(q, want, 7);
}
END_TEST

START_TEST(test_weights)
{
  /* channel 0: largest 12.7; 1: no weights, a bias; 2: tiny weights beside a huge bias */
  const float w[6] = {12.7f, -6.35f, 0, 0, 1e-9f, 0}, bias[3] = {1, 0.3f, 1e6f};
  int8_t q[6];
  float scale[3];
  int32_t b[3];
  WeightView v = {.w = w, .outs = 3, .each = 2, .step_out = 2, .step_in = 1};
  weights_quantize(&v, true, bias, 0.5f, q, scale, b);
  ck_assert_int_eq(q[0], 127);
  ck_assert(q[1] == -64 || q[1] == -63); /* -63.5, rounded in float32's neighbourhood */
  ck_assert(q[2] == 0 && q[3] == 0);
  for (int o = 0; o < 3; o++) {
    double back = 0.5 * (double)scale[o] * b[o];
    ck_assert_msg(fabs(back - (double)bias[o]) <= fmax(0.26 * (double)scale[o], 1e-6 * (double)bias[o]),
                  "bias %d: %g, want %g", o, back, (double)bias[o]);
    ck_assert(abs(b[o]) <= 1 << 30);
  }
  weights_quantize(&v, false, bias, 0.5f, q, scale, b);
  ck_assert(scale[0] == scale[1] && scale[1] == scale[2]);
  ck_assert_int_eq(q[0], 127);
}
END_TEST

/* ---- random nets */

START_TEST(test_random_nets)
{
  double worst = INFINITY, sum = 0;
  int n = 0;
  for (uint64_t seed = 0; seed < 60; seed++) {
    Graph *g = net_random_plain(seed);
    Dataset ds = make_data(g, DT_F32, seed);
    Graph *q = quantized(g, &ds, "images=64,method=minmax");
    ck_assert(graph_val(q, q->inputs[0])->dtype == DT_I8 && graph_val(q, q->outputs[0])->dtype == DT_I8);
    for (NodeId i = 0; i < q->n_nodes; i++)
      ck_assert_msg(graph_val(q, q->nodes[i].out[0])->dtype == DT_I8, "net %llu: %s is not int8",
                    (unsigned long long)seed, op_info(q->nodes[i].op)->name);
    Quality k = compare(g, q, &ds);
    ck_assert_msg(k.snr > 14, "net %llu: signal to noise %.1f dB, %.1f steps", (unsigned long long)seed,
                  k.snr, k.steps);
    worst = fmin(worst, k.snr);
    sum += k.snr, n++;
    graph_free(q);
    graph_free(g);
    free_data(&ds);
  }
  ck_assert_msg(sum / n > 28, "mean signal to noise %.1f dB, least %.1f", sum / n, worst);
}
END_TEST

/* With BatchNormalization where it cannot be fused, every method, outputs of every kind. */
START_TEST(test_options)
{
  static const char *const params[] = {"method=mse", "method=percentile,percentile=99.9",
                                       "io=float",   "io=uint8",
                                       "fc=tensor",  "method=entropy",
                                       "bias=plain"};
  static const DType in[] = {DT_I8, DT_I8, DT_F32, DT_U8, DT_I8, DT_I8, DT_I8};
  for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
    Graph *g = net_residual(1, i);
    Dataset ds = make_data(g, DT_F32, i);
    Graph *q = quantized(g, &ds, params[i]);
    Quality k = compare(g, q, &ds);
    ck_assert_msg(k.snr > 20, "%s: signal to noise %.1f dB", params[i], k.snr);
    ck_assert_int_eq(graph_val(q, q->inputs[0])->dtype, in[i]);
    ck_assert_int_eq(graph_val(q, q->outputs[0])->dtype, in[i]);
    graph_free(q);
    graph_free(g);
    free_data(&ds);
  }
}
END_TEST

START_TEST(test_weights_are_exact)
{
  Graph *g = net_residual(1, 3);
  Dataset ds = make_data(g, DT_F32, 3);
  Diag *d = diag_new();
  PassCtx ctx = {.params = "", .data = &ds};
  Graph *f = pipeline_run(g, "bnfuse,fuse,fold", &ctx, NULL, d), *q = quantized(g, &ds, "");
  for (int k = 0; net_find(f, OP_conv, k) != NO_NODE; k++) {
    const Node *a = &f->nodes[net_find(f, OP_conv, k)], *b = &q->nodes[net_find(q, OP_conv, k)];
    const float *w = val_data(f, a->in[1]);
    const int8_t *c = val_data(q, b->in[1]);
    const Value *v = graph_val(q, b->in[1]);
    int64_t each = shape_count(&v->shape) / v->shape.d[0];
    ck_assert_int_eq(v->quant.n, v->shape.d[0]);
    for (int64_t o = 0; o < v->shape.d[0]; o++) {
      float most = 0;
      for (int64_t i = o * each; i < (o + 1) * each; i++) {
        most = fmaxf(most, fabsf(w[i]));
        double want = (double)w[i] / (double)v->quant.scale[o];
        ck_assert_msg(fabs(want - c[i]) <= 0.5 + 1e-4, "conv %d, weight %lld: code %d, want %.3f", k,
                      (long long)i, c[i], want);
      }
      ck_assert_msg(fabs((double)most / 127 - (double)v->quant.scale[o]) < 1e-6 * (double)most,
                    "conv %d, channel %lld", k, (long long)o);
    }
  }
  graph_free(f);
  graph_free(q);
  graph_free(g);
  free_data(&ds);
  diag_free(d);
}
END_TEST

/* ---- bias correction */

/* The input, and what the layer reads: the two last kinds' Reshape makes a leading axis that is not the batch. */
static ValId layer_input(Graph *g, int kind, Diag *d) {
  Shape s = shape_of(4, (int64_t)DIM_BATCH, (int64_t)7, (int64_t)6, (int64_t)4);
  if (kind < 3) return graph_input(g, "x", DT_F32, &s);
  s = kind == 3 ? shape_of(3, (int64_t)1, (int64_t)5, (int64_t)4)
                : shape_of(5, (int64_t)1, (int64_t)3, (int64_t)7, (int64_t)6, (int64_t)4);
  reshape_attrs r = {.shape = {s.rank - 1, {0}}};
  for (int i = 1; i < s.rank; i++) r.shape.v[i - 1] = (int32_t)s.d[i];
  return graph_node1(g, OP_reshape, &r, graph_input(g, "x", DT_F32, &s), "rows", NULL, d);
}

/* One layer, with weights that an int8 grid rounds up on average: convolution in groups with padding, stride and dilation,
 * depthwise with two outputs a channel, matrix; matrix on [T,C], convolution on [T,H,W,C]; without bias of its own. */
static Graph *one_layer(int kind) {
  Graph *g = graph_new("layer");
  Diag *d = diag_new();
  const OpKind op = kind == 0 || kind == 4 ? OP_conv : kind == 1 ? OP_depthwise_conv : OP_fully_connected;
  Shape w = op == OP_conv             ? shape_of(4, (int64_t)6, (int64_t)3, (int64_t)3, (int64_t)2)
            : op == OP_depthwise_conv ? shape_of(4, (int64_t)1, (int64_t)3, (int64_t)3, (int64_t)8)
                                      : shape_of(2, (int64_t)5, (int64_t)4);
  float x[200];
  for (int i = 0; i < 200; i++) x[i] = i % 20 == 0 ? 1.27f : 0.0149f;
  conv_attrs c;
  depthwise_conv_attrs dw;
  op_attrs_default(OP_conv, &c);
  op_attrs_default(OP_depthwise_conv, &dw);
  c.group = 2;
  c.pads = dw.pads = (Ints){4, {1, 0, 2, 1}};
  c.strides = (Ints){2, {2, 1}}, c.dilations = (Ints){2, {1, 2}};
  const void *attrs = op == OP_conv ? (void *)&c : op == OP_depthwise_conv ? (void *)&dw : NULL;
  graph_output(g, graph_node2(g, op, attrs, layer_input(g, kind, d), graph_const_data(g, "w", DT_F32, &w, x),
                              "y", NULL, d));
  ck_assert_msg(graph_verify(g, d), "%s", diag_text(d));
  diag_free(d);
  return g;
}

/* What the int8 graph gives less what the float one does, images [x]: onto diff [channels]. */
static int64_t add_differences(const Graph *g, const Graph *q, const Tensor *x, double *diff) {
  Diag *d = diag_new();
  Tensor y, z, codes = encode(graph_val(q, q->inputs[0]), x->data, &x->shape);
  ck_assert_msg(graph_eval(g, x, 1, &y, d) && graph_eval(q, &codes, 1, &z, d), "%s", diag_text(d));
  const int64_t n = shape_count(&y.shape), c = y.shape.d[y.shape.rank - 1];
  for (int64_t i = 0; i < n; i++)
    diff[i % c] += decode(&z, &graph_val(q, q->outputs[0])->quant, i) - (double)((float *)y.data)[i];
  tensor_free(&y), tensor_free(&z), tensor_free(&codes);
  diag_free(d);
  return n / c;
}

/* The largest difference of a channel's mean over all calibration images, in steps of the output. */
static double mean_off(const Graph *g, const Graph *q, const Dataset *ds) {
  const Value *out = graph_val(q, q->outputs[0]);
  const int64_t c = out->shape.d[out->shape.rank - 1], item = shape_count(&ds->train.item);
  Tensor x = real_images(ds, IMAGES), part = x;
  part.shape.d[0] = graph_val(g, g->inputs[0])->shape.d[0] == DIM_BATCH ? IMAGES : 1;
  double worst = 0, *diff = mem_array((size_t)c, sizeof *diff);
  int64_t rows = 0;
  for (int64_t at = 0; at < IMAGES; at += part.shape.d[0]) {
    part.data = (float *)x.data + at * item;
    rows += add_differences(g, q, &part, diff);
  }
  for (int64_t o = 0; o < c; o++)
    worst = fmax(worst, fabs(diff[o]) / (double)rows / (double)out->quant.scale[0]);
  tensor_free(&x);
  mem_free(diff);
  return worst;
}

START_TEST(test_bias_keeps_means)
{
  Graph *g = one_layer(_i);
  Dataset ds = make_data(g, DT_F32, 5);
  for (size_t i = 0; i < blob_size(ds.train.xb) / sizeof(float); i++) /* all of one sign: means are not 0 */
    ((float *)(uintptr_t)ds.train.x)[i] = fabsf(((const float *)ds.train.x)[i]);
  Graph *plain = quantized(g, &ds, "method=minmax,bias=plain"), *q = quantized(g, &ds, "method=minmax");
  double before = mean_off(g, plain, &ds), after = mean_off(g, q, &ds);
  ck_assert_msg(after < 0.1 && before > 3 * after, "kind %d: means off by %.3f steps, before by %.3f", _i,
                after, before);
  graph_free(plain);
  graph_free(q);
  graph_free(g);
  free_data(&ds);
}
END_TEST

/* Behind one another, with everything between them: on average nearer than without. */
START_TEST(test_bias_in_nets)
{
  double plain = 0, correct = 0;
  for (uint64_t seed = 0; seed < 20; seed++) {
    Graph *g = net_random_plain(seed);
    Dataset ds = make_data(g, DT_F32, seed);
    Graph *a = quantized(g, &ds, "bias=plain"), *b = quantized(g, &ds, "");
    plain += mean_off(g, a, &ds), correct += mean_off(g, b, &ds);
    graph_free(a);
    graph_free(b);
    graph_free(g);
    free_data(&ds);
  }
  ck_assert_msg(correct < 0.7 * plain, "means off by %.3f steps, before by %.3f", correct / 20, plain / 20);
}
END_TEST

/* Bytes of one scale and offset are codes as they are. */
START_TEST(test_bytes_are_codes)
{
  static const struct {
    DType t;
    Normalize nz;
    float scale;
    int zero;
  } cases[] = {{DT_U8, {.n = 1, .scale = {1.0f / 255}}, 1.0f / 255, -128},
               {DT_U8, {.n = 1, .scale = {1.0f / 128}, .offset = {-1}}, 1.0f / 128, 0},
               {DT_U8, {0}, 1, -128},
               {DT_I8, {.n = 1, .scale = {0.5f}, .offset = {-41.5f}}, 0.5f, 83}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    Graph *g = net_residual(1, 3);
    Dataset ds = make_data(g, cases[i].t, 3);
    ds.spec.normalize = cases[i].nz;
    Graph *q = quantized(g, &ds, "");
    const Quant *in = &graph_val(q, q->inputs[0])->quant;
    ck_assert_msg(in->scale[0] == cases[i].scale && in->zero[0] == cases[i].zero,
                  "case %zu: scale %g zero %d", i, (double)in->scale[0], (int)in->zero[0]);
    Quality k = compare(g, q, &ds);
    ck_assert_msg(k.snr > 20, "case %zu: signal to noise %.1f dB", i, k.snr);
    graph_free(q);
    graph_free(g);
    free_data(&ds);
  }
}
END_TEST

/* A first layer of every kind behind affine operators: with bytes as input the same function, and again in int8. */
typedef struct RawCase {
  DType t;
  Normalize nz;
  int pad;        /* of the first layer */
  bool depthwise; /* the first layer */
  bool chain;     /* Mul, Sub and Div by constants before it */
  OpKind second;  /* operator expected behind Dequantize */
} RawCase;

static Graph *raw_graph(const RawCase *k) {
  Graph *g = graph_new("raw");
  Diag *d = diag_new();
  Rng rng;
  rng_seed(&rng, 9, 9);
  Shape s = shape_of(4, (int64_t)DIM_BATCH, (int64_t)6, (int64_t)5, (int64_t)3);
  int64_t outs = 6;
  Shape w = k->depthwise ? shape_of(4, (int64_t)1, (int64_t)3, (int64_t)3, outs)
                         : shape_of(4, outs, (int64_t)3, (int64_t)3, (int64_t)3);
  Shape one = shape_of(0), each = shape_of(1, (int64_t)3), fw = shape_of(2, (int64_t)4, outs);
  float x[200];
  for (int i = 0; i < 200; i++) x[i] = 0.3f * rng_normal(&rng);
  const float two = 2, lift[3] = {0.1f, 0.2f, -0.3f};
  ValId v = graph_input(g, "x", DT_F32, &s);
  if (k->chain) {
    v = graph_node2(g, OP_mul, NULL, graph_const_data(g, "two", DT_F32, &one, &two), v, "m", NULL, d);
    v = graph_node2(g, OP_sub, NULL, v, graph_const_data(g, "lift", DT_F32, &each, lift), "s", NULL, d);
    v = graph_node2(g, OP_div, NULL, v, graph_const_data(g, "two", DT_F32, &one, &two), "d", NULL, d);
  }
  int64_t p = k->pad;
  conv_attrs c;
  depthwise_conv_attrs dw;
  op_attrs_default(OP_conv, &c);
  op_attrs_default(OP_depthwise_conv, &dw);
  c.pads = dw.pads = (Ints){4, {p, p, p, p}};
  c.act = ACT_RELU;
  v = graph_node2(g, k->depthwise ? OP_depthwise_conv : OP_conv, k->depthwise ? (void *)&dw : (void *)&c, v,
                  graph_const_data(g, "w", DT_F32, &w, x), "y", NULL, d);
  reduce_mean_attrs m = {.axes = {2, {1, 2}}, .keepdims = 0};
  v = graph_node1(g, OP_reduce_mean, &m, v, "mean", NULL, d);
  graph_output(g, graph_node2(g, OP_fully_connected, NULL, v, graph_const_data(g, "f", DT_F32, &fw, x + 170),
                              "o", NULL, d));
  ck_assert_msg(graph_verify(g, d), "%s", diag_text(d));
  diag_free(d);
  return g;
}

START_TEST(test_input_raw)
{
  static const Normalize imagenet = {3, {0.017f, 0.018f, 0.019f}, {-2.1f, -2.0f, -1.8f}},
                         unit = {1, {1.0f / 255}, {0}}, centred = {1, {1.0f / 64}, {-2}},
                         signed_ = {1, {0.25f}, {-10}};
  const RawCase cases[] = {{DT_U8, imagenet, 0, false, false, OP_conv},
                           {DT_U8, imagenet, 1, false, false, OP_depthwise_conv},
                           {DT_U8, unit, 1, false, false, OP_conv},
                           {DT_U8, centred, 1, false, false, OP_conv},
                           {DT_U8, centred, 1, true, false, OP_depthwise_conv},
                           {DT_U8, unit, 0, true, true, OP_depthwise_conv},
                           {DT_U8, unit, 1, false, true, OP_depthwise_conv},
                           {DT_I8, signed_, 1, false, false, OP_conv}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    Graph *g = raw_graph(&cases[i]);
    Diag *d = diag_new();
    Dataset ds = make_data(g, cases[i].t, i);
    ds.spec.normalize = cases[i].nz;
    PassCtx ctx = {.params = "", .data = &ds};
    Graph *raw = pass_find("input_raw")->run(g, &ctx, d);
    ck_assert_msg(raw != NULL && graph_verify(raw, d), "case %zu: %s", i, diag_text(d));
    ck_assert_int_eq(raw->nodes[0].op, OP_dequantize);
    ck_assert_msg(raw->nodes[1].op == cases[i].second, "case %zu: %s behind the input", i,
                  op_info(raw->nodes[1].op)->name);

    Tensor x = real_images(&ds, 8), bytes = {cases[i].t, x.shape, (void *)(uintptr_t)ds.train.x}, y, z;
    ck_assert_msg(graph_eval(g, &x, 1, &y, d) && graph_eval(raw, &bytes, 1, &z, d), "case %zu: %s", i,
                  diag_text(d));
    for (int64_t k = 0; k < shape_count(&y.shape); k++) {
      double a = (double)((float *)y.data)[k], b = (double)((float *)z.data)[k];
      ck_assert_msg(fabs(a - b) < 2e-5 * (1 + fabs(a)), "case %zu, output %lld: %g, want %g", i, (long long)k,
                    b, a);
    }
    tensor_free(&x), tensor_free(&y), tensor_free(&z);

    /* int8: the codes are the bytes, less 128 where they are unsigned */
    Graph *q = quantized(raw, &ds, "");
    const Quant *in = &graph_val(q, q->inputs[0])->quant;
    ck_assert(graph_val(q, q->inputs[0])->dtype == DT_I8 && in->scale[0] == 1);
    Dataset fed = ds;
    fed.spec.normalize = input_raw_normalize(q, cases[i].t);
    Normalize again = input_raw_normalize(raw, cases[i].t);
    ck_assert(fed.spec.normalize.offset[0] == again.offset[0]);
    x = real_images(&fed, 8);
    Tensor codes = encode(graph_val(q, q->inputs[0]), x.data, &x.shape);
    for (int64_t k = 0; k < shape_count(&x.shape); k++) {
      int byte =
          cases[i].t == DT_U8 ? ((const uint8_t *)ds.train.x)[k] - 128 : ((const int8_t *)ds.train.x)[k];
      ck_assert_int_eq(((int8_t *)codes.data)[k], byte);
    }
    Tensor want = real_images(&ds, 8);
    ck_assert_msg(graph_eval(q, &codes, 1, &z, d) && graph_eval(g, &want, 1, &y, d), "%s", diag_text(d));
    double power = 0, error = 0;
    for (int64_t k = 0; k < shape_count(&y.shape); k++) {
      double a = (double)((float *)y.data)[k], e = decode(&z, &graph_val(q, q->outputs[0])->quant, k) - a;
      power += a * a, error += e * e;
    }
    ck_assert_msg(power > 400 * error, "case %zu: signal to noise %.1f dB", i, 10 * log10(power / error));
    tensor_free(&x), tensor_free(&y), tensor_free(&z), tensor_free(&codes), tensor_free(&want);
    graph_free(raw), graph_free(q), graph_free(g);
    free_data(&ds);
    diag_free(d);
  }
}
END_TEST

/* A graph whose convolution yields nothing but 0, and one with constant activations, are quantized all the same. */
START_TEST(test_empty_ranges)
{
  for (int kind = 0; kind < 2; kind++) {
    Graph *g = graph_new("empty");
    Diag *d = diag_new();
    Shape s = shape_of(4, (int64_t)DIM_BATCH, (int64_t)4, (int64_t)4, (int64_t)2),
          ws = shape_of(4, (int64_t)3, (int64_t)1, (int64_t)1, (int64_t)2), bs = shape_of(1, (int64_t)3);
    float w[6] = {0}, b[3] = {0, kind ? 2.0f : 0, kind ? -1.0f : 0};
    ValId in[3] = {graph_input(g, "x", DT_F32, &s), graph_const_data(g, "w", DT_F32, &ws, w),
                   graph_const_data(g, "b", DT_F32, &bs, b)};
    ValId y = graph_node(g, OP_conv, NULL, in, 3, "y", NULL, d);
    graph_output(g, graph_node2(g, OP_add, NULL, y, y, "o", NULL, d));
    Dataset ds = make_data(g, DT_F32, 1);
    Graph *q = quantized(g, &ds, "");
    Tensor x = real_images(&ds, 1), codes = encode(graph_val(q, q->inputs[0]), x.data, &x.shape), z;
    ck_assert_msg(graph_eval(q, &codes, 1, &z, d), "%s", diag_text(d));
    for (int64_t i = 0; i < shape_count(&z.shape); i++) {
      double got = decode(&z, &graph_val(q, q->outputs[0])->quant, i), want = 2 * (double)b[i % 3];
      ck_assert_msg(fabs(got - want) < 0.03, "kind %d, element %lld: %g, want %g", kind, (long long)i, got,
                    want);
    }
    tensor_free(&x);
    tensor_free(&codes);
    tensor_free(&z);
    graph_free(q);
    graph_free(g);
    free_data(&ds);
    diag_free(d);
  }
}
END_TEST

/* Operators that want one scale for all inputs, scales that are fixed, and one operator without int8 form: Sigmoid is
 * requantized for the Concat, Div is computed in float32. Calibrated by the generic kernels: the engine has no Max. */
START_TEST(test_shared_scales)
{
  Graph *g = graph_new("shared");
  Diag *d = diag_new();
  Rng rng;
  rng_seed(&rng, 2, 2);
  Shape s = shape_of(4, (int64_t)DIM_BATCH, (int64_t)4, (int64_t)4, (int64_t)2),
        ws = shape_of(4, (int64_t)6, (int64_t)1, (int64_t)1, (int64_t)2), one = shape_of(0),
        is = shape_of(1, (int64_t)5);
  float w[12];
  for (int i = 0; i < 12; i++) w[i] = rng_normal(&rng);
  const float low = 0.25f, by = 1.5f;
  const int64_t index[5] = {11, 0, -3, 4, 4};
  ValId a = graph_node2(g, OP_conv, NULL, graph_input(g, "x", DT_F32, &s),
                        graph_const_data(g, "w", DT_F32, &ws, w), "a", NULL, d);
  ValId sig = graph_node1(g, OP_sigmoid, NULL, a, "sig", NULL, d);
  concat_attrs c = {.axis = 3};
  gather_attrs ga = {.axis = 3};
  ValId y = graph_node2(g, OP_concat, &c, a, sig, "cat", NULL, d);
  y = graph_node2(g, OP_max, NULL, y, graph_const_data(g, "low", DT_F32, &one, &low), "max", NULL, d);
  y = graph_node2(g, OP_gather, &ga, y, graph_const_data(g, "index", DT_I64, &is, index), "pick", NULL, d);
  y = graph_node2(g, OP_div, NULL, y, graph_const_data(g, "by", DT_F32, &one, &by), "div", NULL, d);
  graph_output(g, graph_node1(g, OP_relu, NULL, y, "o", NULL, d));
  Dataset ds = make_data(g, DT_F32, 1);
  Graph *q = quantized(g, &ds, "");
  int quantizes = 0, dequantizes = 0;
  for (NodeId i = 0; i < q->n_nodes; i++) {
    quantizes += q->nodes[i].op == OP_quantize;
    dequantizes += q->nodes[i].op == OP_dequantize;
  }
  ck_assert_msg(quantizes == 2 && dequantizes == 1, "%d Quantize, %d Dequantize", quantizes, dequantizes);
  Quality k = compare(g, q, &ds);
  ck_assert_msg(k.snr > 30 && k.steps < 3, "signal to noise %.1f dB, %.1f steps", k.snr, k.steps);
  graph_free(q);
  graph_free(g);
  free_data(&ds);
  diag_free(d);
}
END_TEST

/* Attention of one head: products of activations, and of activations with Softmax's fixed scale, are on codes. */
START_TEST(test_products_of_activations)
{
  Graph *g = net_parse("%1 = input : f32[N,5,8]\n"
                       "%2 = const : f32[8,8] {?}\n"
                       "%3 = MatMul(%1, %2)\n"
                       "%4 = Transpose(%1) {perm=[0,2,1]}\n"
                       "%5 = MatMul(%3, %4)\n"
                       "%6 = Softmax(%5) {beta=0.25}\n"
                       "%7 = MatMul(%6, %1)\n"
                       "%8 = Add(%7, %1)\n"
                       "output %8\n",
                       3);
  Dataset ds = make_data(g, DT_F32, 4);
  Graph *q = quantized(g, &ds, "method=minmax");
  int products = 0;
  for (NodeId i = 0; i < q->n_nodes; i++) {
    ck_assert_int_eq(graph_val(q, q->nodes[i].out[0])->dtype, DT_I8);
    products += q->nodes[i].op == OP_matmul;
  }
  ck_assert_int_eq(products, 3);
  Quality k = compare(g, q, &ds);
  ck_assert_msg(k.snr > 25 && k.steps < 8, "signal to noise %.1f dB, %.1f steps", k.snr, k.steps);
  graph_free(q);
  graph_free(g);
  free_data(&ds);
}
END_TEST

START_TEST(test_refused)
{
  static const struct {
    const char *params, *message;
    int what; /* 0: nothing wrong with the graph; 1: an infinite weight; 2: an infinite image; 3: no data */
  } cases[] = {{"method=guess", "method=guess, want one of minmax, percentile, mse", 0},
               {"percentile=20", "percentile=20", 0},
               {"images=0", "want images=N", 0},
               {"", "not all elements of c are finite", 1},
               {"", "are finite on the calibration images", 2},
               {"", "no calibration images", 3}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    Graph *g = net_residual(1, 3);
    Dataset ds = make_data(g, DT_F32, 3);
    Diag *d = diag_new();
    PassCtx ctx = {.params = cases[i].params, .data = cases[i].what == 3 ? NULL : &ds};
    if (cases[i].what == 1) {
      float *w = mem_alloc(blob_size(graph_val(g, g->nodes[0].in[1])->blob));
      Value *v = graph_val(g, g->nodes[0].in[1]);
      memcpy(w, blob_data(v->blob), blob_size(v->blob));
      w[5] = INFINITY;
      size_t n = blob_size(v->blob);
      blob_unref(v->blob);
      v->blob = blob_adopt(w, n);
    }
    if (cases[i].what == 2) {
      size_t n = blob_size(ds.train.xb);
      float *x = mem_alloc(n);
      memcpy(x, ds.train.x, n);
      x[7] = NAN;
      free_data(&ds);
      ds.train.xb = blob_adopt(x, n);
      ds.train.x = x;
    }
    ck_assert_ptr_null(pass_find("quantize")->run(g, &ctx, d));
    ck_assert_msg(strstr(diag_text(d), cases[i].message), "quantize{%s}, case %zu: got %s, want %s",
                  cases[i].params, i, diag_text(d), cases[i].message);
    graph_free(g);
    free_data(&ds);
    diag_free(d);
  }
}
END_TEST

Suite *suite_quantize(void) {
  Suite *s = suite_create("quantize");
  TCase *t = tcase_create("quantize");
  tcase_add_test(t, test_affine);
  tcase_add_test(t, test_weights);
  tcase_add_test(t, test_random_nets);
  tcase_add_test(t, test_options);
  tcase_add_test(t, test_weights_are_exact);
  tcase_add_loop_test(t, test_bias_keeps_means, 0, 5);
  tcase_add_test(t, test_bias_in_nets);
  tcase_add_test(t, test_bytes_are_codes);
  tcase_add_test(t, test_input_raw);
  tcase_add_test(t, test_empty_ranges);
  tcase_add_test(t, test_shared_scales);
  tcase_add_test(t, test_products_of_activations);
  tcase_add_test(t, test_refused);
  suite_add_tcase(s, t);
  return s;
}
