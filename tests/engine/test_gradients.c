/* Every differentiable operator of ops.def: its gradient against central differences.
 *
 * loss = sum of r * output with random r, in double; for each parameter and the input, and for several random
 * directions u of +-1: (loss(p + eps u) - loss(p - eps u)) / 2 eps against gradient . u. A direction in which an
 * output enters or leaves a limit between the two (or a maximum moves) is drawn again: there is no derivative there.
 * An operator without a case fails. Each case runs with this processor's kernels and with the portable ones.
 */
#include <cblas.h>
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "runtime/engine/engine.h"
#include "tests/engine/nets.h"
#include "tests/support.h"

enum { BATCH = 5, DIRECTIONS = 4, DRAWS = 60 };

typedef struct Case {
  OpKind op;
  const char *name, *text;
  bool train; /* batch statistics */
  float eps;
  float x_scale;
} Case;

#define W(shape) " = const : f32" shape " {?}\n"

static const Case cases[] = {
    {OP_conv, "3x3 padded, bias",
     "%1 = input : f32[N,4,5,2]\n%2" W("[3,3,3,2]") "%3" W(
         "[3]") "%4 = Conv(%1, %2, %3) {pads=[1,1,1,1]}\noutput %4",
     false, 0, 0},
    {OP_conv, "stride 2, no bias",
     "%1 = input : f32[N,5,6,2]\n%2" W(
         "[3,3,2,2]") "%4 = Conv(%1, %2) {strides=[2,2], pads=[1,0,0,1]}\noutput %4",
     false, 0, 0},
    {OP_conv, "1x1", "%1 = input : f32[N,3,3,4]\n%2" W("[3,1,1,4]") "%4 = Conv(%1, %2)\noutput %4", false, 0,
     0},
    {OP_conv, "stride 3, wide kernel, 20 channels",
     "%1 = input : f32[N,7,8,3]\n%2" W("[20,5,4,3]") "%3" W(
         "[20]") "%4 = Conv(%1, %2, %3) {strides=[3,3], pads=[2,1,2,3]}\noutput %4",
     false, 0, 0},
    {OP_conv, "1x1, stride 2",
     "%1 = input : f32[N,5,5,17]\n%2" W("[3,1,1,17]") "%4 = Conv(%1, %2) {strides=[2,2]}\noutput %4", false,
     0, 0},
    {OP_conv, "dilated",
     "%1 = input : f32[N,6,6,1]\n%2" W(
         "[2,2,3,1]") "%4 = Conv(%1, %2) {dilations=[2,2], pads=[2,1,1,2]}\noutput %4",
     false, 0, 0},
    {OP_conv, "two groups, relu",
     "%1 = input : f32[N,4,4,4]\n%2" W("[6,3,3,2]") "%3" W(
         "[6]") "%4 = Conv(%1, %2, %3) {group=2, pads=[1,1,1,1], act=relu}\noutput %4",
     false, 1e-3f, 0},
    {OP_conv, "16 channels, relu6",
     "%1 = input : f32[N,5,5,16]\n%2" W("[16,3,3,16]") "%3" W(
         "[16]") "%4 = Conv(%1, %2, %3) {pads=[1,1,1,1], act=relu6}\noutput %4",
     false, 2e-4f, 0.02f},
    {OP_conv, "input used twice",
     "%1 = input : f32[N,3,3,2]\n%2" W("[2,3,3,2]") "%3 = Conv(%1, %2) {pads=[1,1,1,1]}\n%4 = Add(%3, "
                                                    "%1)\n%5 = Conv(%4, %2) {pads=[1,1,1,1]}\noutput %5",
     false, 1e-3f, 0},
    {OP_depthwise_conv, "3x3",
     "%1 = input : f32[N,4,5,3]\n%2" W("[1,3,3,3]") "%3" W(
         "[3]") "%4 = DepthwiseConv(%1, %2, %3) {pads=[1,1,1,1]}\noutput %4",
     false, 0, 0},
    {OP_depthwise_conv, "3x3, 19 channels, stride 2, relu6",
     "%1 = input : f32[N,6,7,19]\n%2" W("[1,3,3,19]") "%3" W(
         "[19]") "%4 = DepthwiseConv(%1, %2, %3) {strides=[2,2], pads=[0,1,1,1], act=relu6}\noutput %4",
     false, 2e-4f, 0.02f},
    {OP_depthwise_conv, "3x3, 8 channels, after and before others",
     "%1 = input : f32[N,4,4,8]\n%2" W(
         "[1,3,3,8]") "%3 = DepthwiseConv(%1, %2) {pads=[1,1,1,1]}\n%4 = Add(%1, %3)\n%5 = DepthwiseConv(%4, "
                      "%2) {pads=[1,1,1,1]}\n%6 = Add(%5, %4)\noutput %6",
     false, 1e-3f, 0},
    {OP_depthwise_conv, "5x2, stride, multiplier 2, relu",
     "%1 = input : f32[N,7,5,2]\n%2" W("[1,5,2,4]") "%3" W(
         "[4]") "%4 = DepthwiseConv(%1, %2, %3) {strides=[2,1], pads=[2,0,2,1], act=relu}\noutput %4",
     false, 1e-3f, 0},
    {OP_depthwise_conv, "dilated",
     "%1 = input : f32[N,6,6,2]\n%2" W("[1,2,2,2]") "%4 = DepthwiseConv(%1, %2) {dilations=[3,2]}\noutput %4",
     false, 0, 0},
    {OP_fully_connected, "bias",
     "%1 = input : f32[N,7]\n%2" W("[4,7]") "%3" W("[4]") "%4 = FullyConnected(%1, %2, %3)\noutput %4", false,
     0, 0},
    {OP_fully_connected, "rank 3, relu",
     "%1 = input : f32[N,3,5]\n%2" W("[4,5]") "%3" W(
         "[4]") "%4 = FullyConnected(%1, %2, %3) {act=relu}\noutput %4",
     false, 1e-3f, 0},
    {OP_matmul, "rows by a constant", "%1 = input : f32[N,6]\n%2" W("[6,3]") "%4 = MatMul(%1, %2)\noutput %4",
     false, 0, 0},
    {OP_matmul, "batched, outer axes repeated",
     "%1 = input : f32[N,2,3,4]\n%2" W("[2,4,3]") "%4 = MatMul(%1, %2)\noutput %4", false, 0, 0},
    {OP_matmul, "both batched",
     "%1 = input : f32[N,3,3]\n%2 = Transpose(%1) {perm=[0,2,1]}\n"
     "%4 = MatMul(%1, %2)\noutput %4",
     false, 0, 0},
    {OP_max_pool, "2x2",
     "%1 = input : f32[N,4,4,3]\n%4 = MaxPool(%1) {kernel=[2,2], strides=[2,2]}\noutput %4", false, 0, 0},
    {OP_max_pool, "3x3 overlapping, padded, relu",
     "%1 = input : f32[N,5,5,2]\n"
     "%4 = MaxPool(%1) {kernel=[3,3], strides=[2,1], pads=[1,1,1,1], act=relu}\noutput %4",
     false, 0, 0},
    {OP_average_pool, "3x2",
     "%1 = input : f32[N,5,4,3]\n"
     "%4 = AveragePool(%1) {kernel=[3,2], strides=[2,1], pads=[1,0,1,1]}\noutput %4",
     false, 0, 0},
    {OP_average_pool, "padding counts",
     "%1 = input : f32[N,4,4,2]\n"
     "%4 = AveragePool(%1) {kernel=[3,3], pads=[1,1,1,1], count_include_pad=1}\noutput %4",
     false, 0, 0},
    {OP_reduce_mean, "image", "%1 = input : f32[N,3,4,2]\n%4 = ReduceMean(%1) {axes=[1,2]}\noutput %4", false,
     0, 0},
    {OP_reduce_mean, "channels, axis dropped",
     "%1 = input : f32[N,3,4,2]\n"
     "%4 = ReduceMean(%1) {axes=[1,3], keepdims=0}\noutput %4",
     false, 0, 0},
    {OP_batch_normalization, "inference",
     "%1 = input : f32[N,3,3,4]\n%2" W("[4]") "%3" W("[4]") "%5" W("[4]") "%6" W(
         "[4]") "%4 = BatchNormalization(%1, %2, %3, %5, %6)\noutput %4",
     false, 0, 0},
    {OP_batch_normalization, "training",
     "%1 = input : f32[N,3,3,4]\n%2" W("[4]") "%3" W("[4]") "%5" W("[4]") "%6" W(
         "[4]") "%4 = BatchNormalization(%1, %2, %3, %5, %6)\noutput %4",
     true, 0, 0},
    {OP_batch_normalization, "training, channels second",
     "%1 = input : f32[N,3,2,2]\n%2" W("[3]") "%3" W("[3]") "%5" W("[3]") "%6" W(
         "[3]") "%4 = BatchNormalization(%1, %2, %3, %5, %6) {axis=1, epsilon=0.001}\noutput %4",
     true, 0, 0},
    {OP_batch_normalization, "training, vectors",
     "%1 = input : f32[N,6]\n%2" W("[6]") "%3" W("[6]") "%5" W("[6]") "%6" W(
         "[6]") "%4 = BatchNormalization(%1, %2, %3, %5, %6) {axis=1}\noutput %4",
     true, 0, 0},
    {OP_batch_normalization, "training, after a convolution, relu after",
     "%1 = input : f32[N,2,2,2]\n%7" W("[3,3,3,2]") "%8 = Conv(%1, %7) {pads=[1,1,1,1]}\n%2" W("[3]") "%3" W(
         "[3]") "%5" W("[3]") "%6" W("[3]") "%4 = BatchNormalization(%8, %2, %3, %5, %6)\n%9 = "
                                            "Relu(%4)\noutput %9",
     true, 3e-4f, 0},
    {OP_add, "channel constant, relu",
     "%1 = input : f32[N,3,2,4]\n%2" W("[4]") "%4 = Relu(%1)\n"
                                              "%5 = Mul(%1, %2)\n%6 = Add(%5, %4) {act=relu}\noutput %6",
     false, 1e-3f, 0},
    {OP_add, "a value with itself", "%1 = input : f32[N,5]\n%4 = Add(%1, %1)\noutput %4", false, 0, 0},
    {OP_sub, "constant first", "%1 = input : f32[N,3,4]\n%2" W("[3,1]") "%4 = Sub(%2, %1)\noutput %4", false,
     0, 0},
    {OP_mul, "per image and channel",
     "%1 = input : f32[N,3,3,2]\n%2 = ReduceMean(%1) {axes=[1,2]}\n"
     "%4 = Mul(%1, %2)\noutput %4",
     false, 0, 0},
    {OP_mul, "middle axis repeated",
     "%1 = input : f32[N,3,4,2]\n%2" W("[1,3,1,2]") "%4 = Mul(%1, %2)\noutput %4", false, 0, 0},
    {OP_div, "by a constant", "%1 = input : f32[N,2,4]\n%2" W("[4]") "%4 = Div(%1, %2)\noutput %4", false, 0,
     0},
    {OP_div, "constant by a value",
     "%1 = input : f32[N,2,4]\n%2" W("[2,1]") "%3 = Sigmoid(%1)\n"
                                              "%4 = Div(%2, %3)\noutput %4",
     false, 1e-3f, 0.3f},
    {OP_relu, "", "%1 = input : f32[N,9]\n%4 = Relu(%1)\noutput %4", false, 0, 0},
    {OP_clip, "both limits", "%1 = input : f32[N,9]\n%4 = Clip(%1) {lo=-0.6, hi=0.9}\noutput %4", false, 0,
     0},
    {OP_leaky_relu, "", "%1 = input : f32[N,9]\n%4 = LeakyRelu(%1) {alpha=0.2}\noutput %4", false, 0, 0},
    {OP_sigmoid, "", "%1 = input : f32[N,9]\n%4 = Sigmoid(%1)\noutput %4", false, 0, 0},
    {OP_tanh, "", "%1 = input : f32[N,9]\n%4 = Tanh(%1)\noutput %4", false, 0, 0},
    {OP_softmax, "innermost", "%1 = input : f32[N,6]\n%3 = Softmax(%1)\n%4 = Add(%3, %1)\noutput %4", false,
     0, 0},
    {OP_softmax, "middle axis, beta 2",
     "%1 = input : f32[N,4,3]\n%3 = Softmax(%1) {axis=1, beta=2}\n"
     "%4 = Mul(%3, %1)\noutput %4",
     false, 0, 0.3f},
    {OP_reshape, "between readers",
     "%1 = input : f32[N,2,3]\n%2 = Reshape(%1) {shape=[-1,6]}\n%3" W(
         "[4,6]") "%4 = FullyConnected(%2, %3)\n%5 = Reshape(%2) {shape=[-1,3,2]}\n%6 = ReduceMean(%5) "
                  "{axes=[1,2]}\n"
                  "%7 = Reshape(%6) {shape=[-1,1]}\n%8 = Mul(%4, %7)\noutput %8",
     false, 1e-3f, 0},
    {OP_transpose, "", "%1 = input : f32[N,2,3,4]\n%4 = Transpose(%1) {perm=[0,3,1,2]}\noutput %4", false, 0,
     0},
    {OP_concat, "three, one twice",
     "%1 = input : f32[N,2,3]\n%2 = Relu(%1)\n"
     "%4 = Concat(%1, %2, %1) {axis=1}\noutput %4",
     false, 0, 0},
    {OP_pad, "", "%1 = input : f32[N,2,3]\n%4 = Pad(%1) {pads=[0,1,0,0,2,1], value=0.5}\noutput %4", false, 0,
     0},
    {OP_slice, "steps of 2 and backwards",
     "%1 = input : f32[N,5,4]\n"
     "%4 = Slice(%1) {starts=[0,1,3], counts=[-1,2,3], steps=[1,2,-1]}\noutput %4",
     false, 0, 0},
    /* Steps of eps are whole grid steps, so that the difference of rounded values is exact. */
    {OP_fake_quant, "inside and outside of the range",
     "%1 = input : f32[N,9]\n"
     "%4 = FakeQuant(%1) {scale=0.015625, zero=3, lo=-43, hi=49}\noutput %4",
     false, 0.015625f, 0},
    {OP_fake_quant, "of weights",
     "%1 = input : f32[N,5]\n%2" W("[3,5]") "%3 = FakeQuant(%2) {scale=0.015625, lo=-127, hi=127}\n%4 = "
                                            "FullyConnected(%1, %3)\noutput %4",
     false, 0.03125f, 0},
};
enum { CASES = sizeof cases / sizeof *cases };

typedef struct Check {
  const Case *k;
  Graph *g;
  Session *s;
  int64_t item;
  int classes;
  float *x, *r, *y[2];
} Check;

/* The loss at the current input and parameters; outputs to y. */
static double loss(Check *c, float *y) {
  const float *z = session_forward(c->s, c->x, BATCH, c->k->train);
  double sum = 0;
  for (int i = 0; i < BATCH * c->classes; i++) sum += (double)z[i] * (double)c->r[i];
  memcpy(y, z, (size_t)(BATCH * c->classes) * sizeof *y);
  return sum;
}

/* Whether no output enters or leaves a limit of an activation (0, 1, -1, 6) from one run to the other. */
static bool same_side(const Check *c, const float *a, const float *b) {
  const float limits[] = {0, 6, 1, -1};
  for (int i = 0; i < BATCH * c->classes; i++)
    for (int k = 0; k < 4; k++)
      if ((a[i] == limits[k]) != (b[i] == limits[k])) return false;
  return true;
}

/* Compare along random directions of the n numbers at p (the input or a parameter). False: msg says where. */
static bool agrees(Check *c, float *p, const float *grad, int64_t n, const char *what, char *msg,
                   size_t size) {
  float eps = c->k->eps > 0 ? c->k->eps : 5e-3f;
  float *keep = mem_array((size_t)n, sizeof *keep), *u = mem_array((size_t)n, sizeof *u);
  memcpy(keep, p, (size_t)n * sizeof *p);
  Rng r;
  rng_seed(&r, 5, (uint64_t)n);
  int done = 0;
  bool ok = true;
  for (int draw = 0; ok && draw < DRAWS && done < DIRECTIONS; draw++) {
    double want = 0, scale = 0;
    for (int64_t i = 0; i < n; i++) u[i] = rng_below(&r, 2) ? 1.0f : -1.0f;
    for (int64_t i = 0; i < n; i++) p[i] = keep[i] + eps * u[i];
    double up = loss(c, c->y[0]);
    for (int64_t i = 0; i < n; i++) p[i] = keep[i] - eps * u[i];
    double down = loss(c, c->y[1]);
    memcpy(p, keep, (size_t)n * sizeof *p);
    if (c->k->op != OP_fake_quant && !same_side(c, c->y[0], c->y[1])) continue;
    for (int64_t i = 0; i < n; i++) {
      want += (double)grad[i] * (double)u[i];
      scale += fabs((double)grad[i]);
    }
    double got = (up - down) / (2 * (double)eps), tol = 2e-2 * fabs(got) + 2e-3 * scale + 1e-4;
    ok = fabs(got - want) <= tol;
    if (!ok)
      snprintf(msg, size, "%s (%s), %s, direction %d: differences give %g, backward %g",
               op_info(c->k->op)->name, c->k->name, what, done, got, want);
    done++;
  }
  if (ok && done < DIRECTIONS) {
    ok = false;
    snprintf(msg, size, "%s (%s), %s: nearly every direction crosses a limit", op_info(c->k->op)->name,
             c->k->name, what);
  }
  mem_free(keep);
  mem_free(u);
  return ok;
}

static void check_directions(Check *c, float *p, const float *grad, int64_t n, const char *what) {
  char msg[256];
  if (!agrees(c, p, grad, n, what, msg, sizeof msg)) ck_abort_msg("%s", msg);
}

static void check_open(Check *c, const Case *k, bool portable) {
  *c = (Check){.k = k, .g = net_parse(k->text, 11)};
  Diag *d = diag_new();
  SessionOptions so = {.batch = BATCH,
                       .threads = 2,
                       .training = true,
                       .keep = true,
                       .input_gradient = true,
                       .portable = portable};
  c->s = session_new(c->g, &so, d);
  if (!c->s) ck_abort_msg("%s (%s): %s", op_info(k->op)->name, k->name, diag_text(d));
  diag_free(d);
  c->item = shape_count(&c->g->vals[c->g->inputs[0]].shape);
  c->classes = (int)shape_count(&c->g->vals[c->g->outputs[0]].shape);
  c->x = mem_array((size_t)(BATCH * c->item), sizeof(float));
  net_grid(c->x, BATCH * c->item, 3);
  for (int64_t i = 0; i < BATCH * c->item && k->x_scale > 0; i++) c->x[i] *= k->x_scale;
  size_t out = (size_t)(BATCH * c->classes);
  c->r = mem_array(out, sizeof(float));
  c->y[0] = mem_array(out, sizeof(float));
  c->y[1] = mem_array(out, sizeof(float));
  Rng r;
  rng_seed(&r, 9, 9);
  for (size_t i = 0; i < out; i++) c->r[i] = 0.5f + rng_uniform(&r);
  for (size_t i = 0; i < out; i += 2) c->r[i] = -c->r[i];
}

static void check_close(Check *c) {
  session_free(c->s);
  graph_free(c->g);
  mem_free(c->x);
  mem_free(c->r);
  mem_free(c->y[0]);
  mem_free(c->y[1]);
}

static float *copy(const float *p, int64_t n) {
  return memcpy(mem_array((size_t)n, sizeof *p), p, (size_t)n * sizeof *p);
}

START_TEST(gradient)
{
  Check c;
  check_open(&c, &cases[_i % CASES], _i >= CASES);
  loss(&c, c.y[0]);
  session_backward(c.s, c.r, BATCH);
  const float *gx = session_gradient(c.s, c.g->inputs[0]);
  ck_assert_ptr_nonnull(gx);
  float **grads = mem_array(c.g->n_vals, sizeof *grads);
  int64_t n_x = BATCH * c.item;
  grads[0] = copy(gx, n_x);
  for (ValId v = 1; v < c.g->n_vals; v++)
    if (session_param(c.s, v)) grads[v] = copy(session_gradient(c.s, v), shape_count(&c.g->vals[v].shape));
  check_directions(&c, c.x, grads[0], n_x, "input");
  for (ValId v = 1; v < c.g->n_vals; v++) {
    if (!grads[v]) continue;
    char what[32];
    snprintf(what, sizeof what, "parameter %u", v);
    check_directions(&c, session_param(c.s, v), grads[v], shape_count(&c.g->vals[v].shape), what);
  }
  for (ValId v = 0; v < c.g->n_vals; v++) mem_free(grads[v]);
  mem_free(grads);
  check_close(&c);
}
END_TEST

START_TEST(every_operator_has_a_case)
{
  for (int op = 0; op < OP_COUNT; op++) {
    if (op_info((OpKind)op)->diff != DIFF) continue;
    bool found = false;
    for (int i = 0; i < CASES; i++) {
      if (cases[i].op != (OpKind)op) continue;
      Graph *g = net_parse(cases[i].text, 1);
      for (uint32_t k = 0; k < g->n_nodes; k++) found |= g->nodes[k].op == (OpKind)op;
      graph_free(g);
    }
    ck_assert_msg(found, "%s is differentiable but has no gradient case", op_info((OpKind)op)->name);
  }
}
END_TEST

/* A wrong gradient must be noticed: the same comparison, all elements a tenth off. */
START_TEST(comparison_can_fail)
{
  Check c;
  check_open(&c, &cases[0], false);
  loss(&c, c.y[0]);
  session_backward(c.s, c.r, BATCH);
  int64_t n = BATCH * c.item;
  float *g = copy(session_gradient(c.s, c.g->inputs[0]), n);
  for (int64_t i = 0; i < n; i++) g[i] *= 1.1f; /* the tolerance is 2 per cent */
  char msg[256];
  ck_assert(!agrees(&c, c.x, g, n, "input", msg, sizeof msg));
  mem_free(g);
  check_close(&c);
}
END_TEST

Suite *suite_gradients(void) {
  openblas_set_num_threads(1);
  Suite *s = suite_create("gradients");
  TCase *t = tcase_create("gradients");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, every_operator_has_a_case);
  tcase_add_test(t, comparison_can_fail);
  tcase_add_loop_test(t, gradient, 0, 2 * CASES);
  suite_add_tcase(s, t);
  return s;
}
