/* Training on the device: emitted C that learns, against the engine's gradients, on all machines alike, and within the memory
 * that was planned. Its state in storage: tests/backend/test_adapt_store.c.
 */
#include <math.h>
#include <string.h>

#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "ir/base/strbuf.h"
#include "runtime/device/adapt.h"
#include "runtime/device/adapt_math.h"
#include "tests/backend/emitted.h"
#include "tests/passes/images.h"
#include "tests/passes/nets.h"
#include "tests/support.h"

Suite *suite_adapt_device(void);

enum { CLASSES = 5, IMAGES = 60, HEADER = 24 };

/* A float net, its int8 form, and data: real, and as the codes that this one takes. */
typedef struct Net {
  Graph *f, *q;
  Dataset ds;
  int8_t *codes; /* [IMAGES][item] */
  int64_t item;
} Net;

static Net net_new(uint64_t seed) {
  Net n = {0};
  Graph *g = net_residual(1, seed);
  n.ds = images_random(g, IMAGES, CLASSES, seed);
  n.f = images_pass(g, &n.ds, "bnfuse,fuse,fold");
  n.q = images_pass(g, &n.ds, "bnfuse,fuse,fold,quantize{images=60,method=minmax}");
  n.item = shape_count(&n.ds.train.item);
  const Quant *in = &graph_val(n.q, n.q->inputs[0])->quant;
  n.codes = mem_array((size_t)(IMAGES * n.item), 1);
  for (int64_t i = 0; i < IMAGES * n.item; i++) {
    const float code = roundf(((const float *)n.ds.train.x)[i] / in->scale[0]) + (float)in->zero[0];
    n.codes[i] = (int8_t)fminf(127, fmaxf(-128, code));
  }
  graph_free(g);
  return n;
}

static void net_free(Net *n) {
  graph_free(n->f);
  graph_free(n->q);
  images_free(&n->ds);
  mem_free(n->codes);
}

static const void *image(const Net *n, int i) { return n->codes + i * n->item; }
static size_t image_bytes(const Net *n) { return val_bytes(n->q, n->q->inputs[0]); }

static const char *emit_adapting(const Graph *g, const char *target, const char *name, DeviceAdapt layers,
                                 int64_t memory, AdaptSizes *sizes) {
  static char dir[600];
  snprintf(dir, sizeof dir, "%s/%s-%s", test_tmp_dir(), name, target);
  const EmitOptions o = {
      .name = name, .out_dir = dir, .adapt = layers, .adapt_memory = memory, .adapt_sizes = sizes};
  Diag *d = diag_new();
  ck_assert_msg(emit_c(g, target_find(target), &o, d), "%s", diag_text(d));
  diag_free(d);
  return dir;
}

static StrBuf obey(const char *dir, const char *target, const AdaptRun *r) {
  StrBuf out = {0};
  Diag *d = diag_new();
  ck_assert_msg(harness_adapt(dir, target_find(target), r, &out, d), "%s", diag_text(d));
  diag_free(d);
  return out;
}

/* Steps on images 0 .. n-1 in turn, then the words. */
static AdaptRun steps(const Net *net, AdaptOrder *orders, int n) {
  for (int i = 0; i < n; i++) orders[i] = (AdaptOrder){net->ds.train.y[i % IMAGES], image(net, i % IMAGES)};
  orders[n] = (AdaptOrder){.what = ADAPT_WORDS};
  return (AdaptRun){.name = "net",
                    .rates = {0.02f, 0.01f, 0.01f, 1},
                    .orders = orders,
                    .n = n + 1,
                    .input_bytes = image_bytes(net)};
}

/* -- a state that has learned nothing -- */

static void same_without(const Graph *g, DeviceAdapt layers, const void *const *inputs, int n) {
  AdaptOrder orders[8];
  const size_t out_bytes = val_bytes(g, g->outputs[0]), in_bytes = val_bytes(g, g->inputs[0]);
  for (int i = 0; i < n; i++) orders[i] = (AdaptOrder){ADAPT_RUN, inputs[i]};
  const AdaptRun r = {.name = "net", .orders = orders, .n = n, .input_bytes = in_bytes};
  StrBuf got = obey(emit_adapting(g, "x86-64", "net", layers, 0, NULL), "x86-64", &r);
  Tensor in[8], *out = mem_array((size_t)n * g->n_outputs, sizeof *out);
  Shape s = graph_val(g, g->inputs[0])->shape;
  if (s.d[0] == DIM_BATCH) s.d[0] = 1;
  Diag *d = diag_new();
  for (int i = 0; i < n; i++) {
    in[i] = tensor_new(graph_val(g, g->inputs[0])->dtype, &s);
    memcpy(in[i].data, inputs[i], in_bytes);
  }
  ck_assert_msg(harness_run(emit_to_tmp(g, "x86-64", "plain"), target_find("x86-64"), g, in, n, out, d), "%s",
                diag_text(d));
  ck_assert_uint_eq(got.len, HEADER + (size_t)n * out_bytes);
  for (int i = 0; i < n; i++)
    ck_assert_mem_eq(got.s + HEADER + (size_t)i * out_bytes, out[(size_t)i * g->n_outputs].data, out_bytes);
  for (int i = 0; i < n; i++) tensor_free(&in[i]);
  for (int i = 0; i < n * (int)g->n_outputs; i++) tensor_free(&out[i]);
  mem_free(out);
  sb_free(&got);
  diag_free(d);
}

START_TEST(nothing_learned_changes_nothing)
{
  Net n = net_new(5);
  const void *inputs[8];
  for (int i = 0; i < 8; i++) inputs[i] = image(&n, i);
  same_without(n.q, DEVICE_ADAPT_LAST, inputs, 8);
  same_without(n.q, DEVICE_ADAPT_BIAS, inputs, 8);
  net_free(&n);
  Graph *g = graph_of(small_int8_net);
  int8_t x[4][256];
  for (int i = 0; i < 4 * 256; i++) x[i / 256][i % 256] = (int8_t)(i * 37 % 251 - 125);
  for (int i = 0; i < 4; i++) inputs[i] = x[i];
  same_without(g, DEVICE_ADAPT_BIAS, inputs, 4);
  graph_free(g);
}
END_TEST

/* -- all machines alike -- */

START_TEST(machines_give_the_same_bytes)
{
  static const char *const machines[] = {"x86-64-v3", "cortex-m4", "cortex-m7", "cortex-m0"};
  enum { STEPS = 50 };
  AdaptOrder orders[STEPS + 1];
  Net n = net_new(6);
  const AdaptRun r = steps(&n, orders, STEPS);
  StrBuf want = obey(emit_adapting(n.q, "x86-64", "net", DEVICE_ADAPT_BIAS, 0, NULL), "x86-64", &r);
  for (size_t i = 0; i < sizeof machines / sizeof *machines; i++) {
    if (!have_target(__FILE__, machines[i])) continue;
    StrBuf got = obey(emit_adapting(n.q, machines[i], "net", DEVICE_ADAPT_BIAS, 0, NULL), machines[i], &r);
    ck_assert_uint_eq(got.len, want.len);
    ck_assert_msg(memcmp(got.s + HEADER, want.s + HEADER, want.len - HEADER) == 0, "%s learns otherwise",
                  machines[i]);
    sb_free(&got);
  }
  float loss[2];
  memcpy(loss, want.s + HEADER, sizeof loss);
  ck_assert_msg(loss[0] >= 0 && loss[0] < 20, "first loss %g", (double)loss[0]);
  sb_free(&want);
  net_free(&n);
}
END_TEST

/* -- gradients -- */

/* Of each of n images one step of small rates from nothing learned: what moved, as gradients [n][words]. */
static float *moved(const Net *net, int n, int64_t words, float rate) {
  AdaptOrder *orders = mem_array(4 * (size_t)n, sizeof *orders);
  for (int i = 0; i < n; i++) {
    orders[4 * i] = (AdaptOrder){.what = ADAPT_RESET};
    orders[4 * i + 1] = orders[4 * i + 3] = (AdaptOrder){.what = ADAPT_WORDS};
    orders[4 * i + 2] = (AdaptOrder){net->ds.train.y[i], image(net, i)};
  }
  const AdaptRun r = {.name = "net",
                      .rates = {rate, rate, rate, 0},
                      .orders = orders,
                      .n = 4 * n,
                      .input_bytes = image_bytes(net)};
  char dir[600];
  snprintf(dir, sizeof dir, "%s/net-x86-64", test_tmp_dir());
  StrBuf got = obey(dir, "x86-64", &r);
  const size_t each = 8 * (size_t)words + 4;
  ck_assert_uint_eq(got.len, HEADER + (size_t)n * each);
  float *g = mem_array((size_t)n * (size_t)words, sizeof *g);
  for (int64_t k = 0; k < n * words; k++) {
    const char *from = got.s + HEADER + (size_t)(k / words) * each + 4 * (size_t)(k % words);
    int32_t before, after;
    memcpy(&before, from, 4);
    memcpy(&after, from + 4 * words + 4, 4);
    g[k] = (float)((double)(before - after) / (double)rate);
  }
  mem_free(orders);
  sb_free(&got);
  return g;
}

/* Cosine of two vectors, and the ratio of their lengths. */
static void compare(const float *a, const float *b, int64_t n, double *cosine, double *ratio) {
  double aa = 1e-30, bb = 1e-30, ab = 0;
  for (int64_t i = 0; i < n; i++) {
    aa += (double)a[i] * (double)a[i];
    bb += (double)b[i] * (double)b[i];
    ab += (double)a[i] * (double)b[i];
  }
  *cosine = ab / sqrt(aa * bb);
  *ratio = sqrt(aa / bb);
}

/* The engine's gradients of the float net on one image, in the words' order and units of reals: last w, bias; then of each
 * convolution, last first, sum of w * dw + b * db by channel, and db. */
static void engine_gradient(const Net *n, int i, float *last, float *gain, float *offset) {
  Diag *d = diag_new();
  Session *s =
      session_new(n->f, &(SessionOptions){.batch = 1, .threads = 1, .training = true, .plain = true}, d);
  ck_assert_msg(s != NULL, "%s", diag_text(d));
  float dl[CLASSES];
  const float *logits = session_forward(s, (const float *)n->ds.train.x + i * n->item, 1, false);
  loss_cross_entropy(logits, &n->ds.train.y[i], 1, CLASSES, 0, dl);
  session_backward(s, dl, 1);
  for (uint32_t k = n->f->n_nodes; k-- > 0;) {
    const Node *node = &n->f->nodes[k];
    if (node->op != OP_conv && node->op != OP_fully_connected && node->op != OP_depthwise_conv) continue;
    const Shape *ws = &graph_val(n->f, node->in[1])->shape;
    const float *dw = session_gradient(s, node->in[1]), *db = session_gradient(s, node->in[2]);
    const float *w = val_data(n->f, node->in[1]), *b = val_data(n->f, node->in[2]);
    const int64_t outs = ws->d[0], each = shape_count(ws) / outs;
    if (node->op == OP_fully_connected) {
      memcpy(last, dw, (size_t)(outs * each) * sizeof *dw);
      memcpy(last + outs * each, db, (size_t)outs * sizeof *db);
      continue;
    }
    for (int64_t o = 0; o < outs; o++) {
      double sum = (double)b[o] * (double)db[o];
      for (int64_t j = 0; j < each; j++) sum += (double)w[o * each + j] * (double)dw[o * each + j];
      *gain++ = (float)sum;
      *offset++ = db[o];
    }
  }
  session_free(s);
  diag_free(d);
}

/* Convolutions of the quantized net, last first: channels and their words' units. */
START_TEST(gradients_are_the_engines)
{
  Net n = net_new(7);
  AdaptSizes sizes;
  emit_adapting(n.q, "x86-64", "net", DEVICE_ADAPT_BIAS, 0, &sizes);
  ck_assert_int_eq(sizes.biases, sizes.layers);
  const NodeId fc = net_find(n.q, OP_fully_connected, 0);
  const Value *w = graph_val(n.q, n.q->nodes[fc].in[1]), *x = graph_val(n.q, n.q->nodes[fc].in[0]);
  const int64_t k = w->shape.d[1], head = CLASSES * k + CLASSES;
  int convs = 0;
  int64_t channels = 0, words = head, at;
  for (; net_find(n.q, OP_conv, convs) != NO_NODE; convs++)
    channels += graph_val(n.q, n.q->nodes[net_find(n.q, OP_conv, convs)].in[1])->shape.d[0];
  words += 2 * channels;
  ck_assert_int_eq(sizes.biases, convs);
  float *last = mem_array((size_t)head, sizeof *last), *gain = mem_array((size_t)channels, sizeof *gain),
        *offset = mem_array((size_t)channels, sizeof *offset),
        *got_gain = mem_array((size_t)channels, sizeof *gain),
        *got_offset = mem_array((size_t)channels, sizeof *offset);
  double cosine, ratio, worst = 1;
  float *all = moved(&n, 6, words, 1e-3f);
  for (int i = 0; i < 6; i++) {
    float *g = all + i * words;
    engine_gradient(&n, i, last, gain, offset);
    for (int64_t j = 0; j < head; j++) {
      const int64_t o = j < CLASSES * k ? j / k : j - CLASSES * k;
      const double scale = (double)w->quant.scale[w->quant.n > 1 ? o : 0];
      g[j] *= (float)(j < CLASSES * k ? scale / 65536 : scale * (double)x->quant.scale[0] / 256);
    }
    compare(g, last, head, &cosine, &ratio);
    ck_assert_msg(cosine > 0.97 && ratio > 0.8 && ratio < 1.25,
                  "image %d, last layer: cosine %.4f, ratio %.4f", i, cosine, ratio);
    at = head;
    int64_t from = 0;
    for (int c = convs; c-- > 0;) {
      const Node *node = &n.q->nodes[net_find(n.q, OP_conv, c)];
      const int64_t outs = graph_val(n.q, node->in[1])->shape.d[0];
      const double scale = (double)graph_val(n.q, node->out[0])->quant.scale[0];
      for (int64_t o = 0; o < outs; o++) {
        got_gain[from + o] = (float)((double)g[at + o] / MF_ADAPT_ONE);
        got_offset[from + o] = (float)((double)g[at + outs + o] / MF_ADAPT_ONE * scale);
      }
      compare(got_offset + from, offset + from, outs, &cosine, &ratio);
      worst = cosine < worst ? cosine : worst;
      at += 2 * outs;
      from += outs;
    }
    compare(got_offset, offset, channels, &cosine, &ratio);
    ck_assert_msg(cosine > 0.95 && ratio > 0.8 && ratio < 1.25, "image %d, offsets: cosine %.4f, ratio %.4f",
                  i, cosine, ratio);
    compare(got_gain, gain, channels, &cosine, &ratio);
    ck_assert_msg(cosine > 0.95 && ratio > 0.8 && ratio < 1.25, "image %d, gains: cosine %.4f, ratio %.4f", i,
                  cosine, ratio);
  }
  mem_free(all);
  ck_assert_msg(worst > 0.8, "offsets of one layer: cosine %.4f", worst);
  mem_free(last);
  mem_free(gain);
  mem_free(offset);
  mem_free(got_gain);
  mem_free(got_offset);
  net_free(&n);
}
END_TEST

/* -- it learns -- */

static double mean_loss(const char *got, int from, int n) {
  double sum = 0;
  for (int i = 0; i < n; i++) {
    float loss;
    memcpy(&loss, got + HEADER + 4 * (from + i), 4);
    sum += (double)loss;
  }
  return sum / n;
}

/* The net has random weights: what it learns, it learns here. With biases it must come further than without. */
START_TEST(loss_falls)
{
  enum { STEPS = 10 * IMAGES };
  static AdaptOrder orders[STEPS + 1];
  double after[2];
  Net n = net_new(8);
  const AdaptRun r = steps(&n, orders, STEPS);
  for (int i = 0; i < 2; i++) {
    const DeviceAdapt layers = i ? DEVICE_ADAPT_BIAS : DEVICE_ADAPT_LAST;
    StrBuf got = obey(emit_adapting(n.q, "x86-64", "net", layers, 0, NULL), "x86-64", &r);
    const double before = mean_loss(got.s, 0, IMAGES);
    after[i] = mean_loss(got.s, STEPS - IMAGES, IMAGES);
    ck_assert_msg(after[i] < 0.8 * before, "loss %g to %g", before, after[i]);
    sb_free(&got);
  }
  ck_assert_msg(after[1] < after[0], "last layer %g, with biases %g", after[0], after[1]);
  net_free(&n);
}
END_TEST

/* -- memory -- */

static const char *refused(const Graph *g, const EmitOptions *o) {
  static char text[2000];
  Diag *d = diag_new();
  ck_assert(!emit_c(g, target_find("x86-64"), o, d));
  snprintf(text, sizeof text, "%s", diag_text(d));
  diag_free(d);
  return text;
}

START_TEST(memory_decides_how_far)
{
  Net n = net_new(9);
  AdaptSizes all, some, last;
  emit_adapting(n.q, "cortex-m4", "net", DEVICE_ADAPT_BIAS, 0, &all);
  emit_adapting(n.q, "cortex-m4", "net", DEVICE_ADAPT_LAST, 0, &last);
  const int64_t least = last.state + last.arena, most = all.state + all.arena;
  ck_assert_int_lt(least, most);
  ck_assert_int_eq(last.biases, 0);
  emit_adapting(n.q, "cortex-m4", "net", DEVICE_ADAPT_BIAS, (least + most) / 2, &some);
  ck_assert_int_gt(some.biases, 0);
  ck_assert_int_lt(some.biases, all.biases);
  ck_assert_int_le(some.state + some.arena, (least + most) / 2);
  char dir[600];
  snprintf(dir, sizeof dir, "%s/refused", test_tmp_dir());
  EmitOptions o = {.name = "net", .out_dir = dir, .adapt = DEVICE_ADAPT_BIAS, .adapt_memory = 100};
  ck_assert_ptr_nonnull(strstr(refused(n.q, &o), "does not fit"));
  o.adapt_memory = least + 8;
  ck_assert_ptr_nonnull(strstr(refused(n.q, &o), "of the biases only the last layer's fit"));
  o = (EmitOptions){.name = "net", .out_dir = dir, .adapt = DEVICE_ADAPT_LAST, .weights = WEIGHTS_BLOB};
  ck_assert_ptr_nonnull(strstr(refused(n.q, &o), "do not go together"));
  o.weights = WEIGHTS_IN_CODE;
  ck_assert_ptr_nonnull(strstr(refused(n.f, &o), "want an int8 FullyConnected"));
  ck_assert_int_eq(file_exists(dir), 0);
  net_free(&n);
}
END_TEST

START_TEST(code_is_clean)
{
  Net n = net_new(10);
  static const DeviceAdapt layers[] = {DEVICE_ADAPT_LAST, DEVICE_ADAPT_BIAS};
  for (int i = 0; i < 2; i++) {
    const char *dir = emit_adapting(n.q, "cortex-m7", "net", layers[i], 0, NULL);
    must_run("cd '%s' && gcc " STRICT " -O2 -c model.c", dir);
    if (have_tool(__FILE__, "clang")) must_run("cd '%s' && clang " STRICT " -O0 -c model.c", dir);
    if (have_tool(__FILE__, "arm-none-eabi-gcc"))
      must_run("cd '%s' && arm-none-eabi-gcc " STRICT " -mcpu=cortex-m0 -mthumb -O0 -c model.c", dir);
    must_run("cd '%s' && %s grep -q mf_conv_back model.c", dir, i ? "" : "!");
  }
  net_free(&n);
}
END_TEST

/* -- the functions that a program calls -- */

static const char program[] =
    "#include <stdio.h>\n#include <string.h>\n#include \"model.h\"\n"
    "#define WANT(what) do { if (!(what)) return printf(\"line %d: %s\\n\", __LINE__, #what), 1; } while "
    "(0)\n"
    "static unsigned char flash[2][NET_ADAPT_SLOT_SIZE];\n"
    "static int get(void *c, uint32_t at, void *to, uint32_t n) { memcpy(to, (char *)c + at, n); return 0; "
    "}\n"
    "static int put(void *c, uint32_t at, const void *from, uint32_t n) { memcpy((char *)c + at, from, n); "
    "return 0; }\n"
    "static union { unsigned char bytes[NET_ARENA_SIZE]; double d; } memory;\n"
    "static union { unsigned char bytes[NET_ADAPT_STATE_SIZE + 4]; float f; } state;\n"
    "static unsigned char first[NET_OUTPUT0_BYTES], input[NET_INPUT0_BYTES], features[NET_ADAPT_FEATURES];\n"
    "int main(void) {\n"
    "  const mistify_storage store = {flash, NET_ADAPT_SLOT_SIZE, get, put, NULL};\n"
    "  net_context ctx;\n  float loss = 0, last = 0;\n"
    "  WANT(net_init(&ctx, memory.bytes, sizeof memory) == 0);\n"
    "  WANT(net_adapt_step(&ctx, input, 0) == NET_ADAPT_UNBOUND && net_adapt_save(&ctx, &store) == "
    "NET_ADAPT_UNBOUND);\n"
    "  WANT(net_adapt_rates(&ctx) == NULL);\n"
    "  WANT(net_adapt_init(&ctx, state.bytes, NET_ADAPT_STATE_SIZE - 1) == 1 && net_adapt_init(&ctx, NULL, 1 "
    "<< 20) == 1);\n"
    "  WANT(net_adapt_init(&ctx, state.bytes + 1, NET_ADAPT_STATE_SIZE) == 2);\n"
    "  WANT(net_adapt_init(&ctx, state.bytes, NET_ADAPT_STATE_SIZE) == 0);\n"
    "  WANT(net_adapt_rates(&ctx)->last > 0);\n"
    "  WANT(net_adapt_step(&ctx, input, -1) == NET_ADAPT_LABEL && net_adapt_step(&ctx, input, 5) == "
    "NET_ADAPT_LABEL);\n"
    "  WANT(net_adapt_load(&ctx, &store) == NET_ADAPT_EMPTY);\n"
    "  memcpy(net_input(&ctx, 0), input, sizeof input);\n  net_run(&ctx);\n"
    "  memcpy(first, net_output(&ctx, 0), sizeof first);\n"
    "  memcpy(features, net_adapt_features(&ctx), sizeof features);\n"
    "  loss = net_adapt_step(&ctx, input, 2);\n  WANT(loss > 0);\n"
    "  WANT(memcmp(first, net_output(&ctx, 0), sizeof first) == 0); /* the run's, still there */\n"
    "  for (int i = 0; i < 30; i++) last = net_adapt_step(&ctx, input, 2);\n  WANT(last >= 0 && last < "
    "loss);\n"
    "  WANT(net_adapt_save(&ctx, &store) == 0);\n"
    "  net_adapt_reset(&ctx);\n  WANT(net_adapt_step_features(&ctx, features, 2) == loss);\n"
    "  net_adapt_reset(&ctx);\n  WANT(net_adapt_step(&ctx, input, 2) == loss);\n"
    "  WANT(net_adapt_load(&ctx, &store) == 0);\n"
    "  loss = net_adapt_step_self(&ctx, input, 0.0f);\n  WANT(loss >= 0 && loss <= last);\n"
    "  WANT(net_adapt_step_self(&ctx, input, 1.1f) == NET_ADAPT_UNSURE);\n"
    "  WANT(net_init(&ctx, memory.bytes, sizeof memory) == 0);\n"
    "  memcpy(net_input(&ctx, 0), input, sizeof input);\n  net_run(&ctx);\n"
    "  WANT(memcmp(first, net_output(&ctx, 0), sizeof first) == 0);\n"
    "  return 0;\n}\n";

START_TEST(programs_call_it)
{
  Net n = net_new(11);
  static const DeviceAdapt layers[] = {DEVICE_ADAPT_LAST, DEVICE_ADAPT_BIAS};
  char path[700];
  for (int i = 0; i < 2; i++) {
    const char *dir = emit_adapting(n.q, "x86-64", "net", layers[i], 0, NULL);
    snprintf(path, sizeof path, "%s/main.c", dir);
    test_write_file(path, program, sizeof program - 1);
    must_run("cd '%s' && gcc -std=c99 -Wall -Wextra -Wpedantic -Werror -g -fsanitize=address,undefined "
             "-fno-sanitize-recover "
             "main.c model.c -o main -lm && ./main",
             dir);
  }
  net_free(&n);
}
END_TEST

/* -- functions of real numbers -- */

START_TEST(functions_are_accurate)
{
  for (int i = 0; i <= 8000; i++) {
    const float x = -(float)i * 0.01f;
    const double want = exp((double)x);
    ck_assert_msg(fabs((double)mf_adapt_exp(x) - want) < 4e-7 * want, "exp(%g) = %g", (double)x,
                  (double)mf_adapt_exp(x));
  }
  ck_assert(mf_adapt_exp(-1e9f) == 0.0f && mf_adapt_exp(0.0f) == 1.0f);
  for (int i = 0; i < 4000; i++) {
    const float x = 1.0f + (float)i * 0.0625f;
    ck_assert_msg(fabs((double)mf_adapt_log(x) - log((double)x)) < 1e-6, "log(%g) = %g", (double)x,
                  (double)mf_adapt_log(x));
  }
  for (float s = 1.0f; s < 1e30f; s *= 7.3f)
    ck_assert_msg(fabs((double)mf_adapt_clip(s, 0.5f) * sqrt((double)s) - 0.5) < 1e-6, "norm of %g",
                  (double)s);
  ck_assert(mf_adapt_clip(0.2f, 0.5f) == 1.0f && mf_adapt_clip(9.0f, 0.0f) == 1.0f);
  ck_assert_int_eq(mf_adapt_less(10, 3.5f, -100, 100), 6);
  ck_assert_int_eq(mf_adapt_less(10, -1e30f, -100, 100), 100);
  ck_assert_int_eq(mf_adapt_less(10, NAN, -100, 100), 10);
}
END_TEST

Suite *suite_adapt_device(void) {
  Suite *s = suite_create("adapt_device");
  TCase *t = tcase_create("adapt_device");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, functions_are_accurate);
  tcase_add_test(t, nothing_learned_changes_nothing);
  tcase_add_test(t, gradients_are_the_engines);
  tcase_add_test(t, loss_falls);
  tcase_add_test(t, memory_decides_how_far);
  tcase_add_test(t, code_is_clean);
  tcase_add_test(t, programs_call_it);
  tcase_add_test(t, machines_give_the_same_bytes);
  suite_add_tcase(s, t);
  return s;
}
