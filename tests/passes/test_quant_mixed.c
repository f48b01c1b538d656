/* Mixed precision: values of 16 bits and layers in float32, by name and under a budget; what the report says of each layer;
 * that a mixed graph's C computes what its evaluation does.
 */
#include <check.h>
#include <math.h>
#include <string.h>

#include "ir/base/file.h"
#include "ir/base/json.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/base/strbuf.h"
#include "ir/eval.h"
#include "passes/pass.h"
#include "runtime/data/dataset.h"
#include "tests/passes/nets.h"
#include "tests/support.h"

Suite *suite_quant_mixed(void);

enum { IMAGES = 128, SEEN = 64 };

static Dataset make_data(const Graph *g, uint64_t seed) {
  const Shape *s = &graph_val(g, g->inputs[0])->shape;
  Dataset ds = {.train = {.n = IMAGES, .dtype = DT_F32, .item = {.rank = s->rank - 1}}};
  for (int i = 1; i < s->rank; i++) ds.train.item.d[i - 1] = s->d[i];
  size_t n = (size_t)shape_count(&ds.train.item) * IMAGES;
  float *x = mem_array(n, sizeof *x);
  int32_t *y = mem_array(IMAGES, sizeof *y);
  Rng r;
  rng_seed(&r, seed, 3);
  for (size_t i = 0; i < n; i++) x[i] = rng_normal(&r);
  for (int i = 0; i < IMAGES; i++) y[i] = i % 5;
  ds.train.xb = blob_adopt(x, n * sizeof *x);
  ds.train.yb = blob_adopt(y, IMAGES * sizeof *y);
  ds.train.x = x;
  ds.train.y = y;
  return ds;
}

static void gather(void *ctx, const char *line) { sb_printf(ctx, "%s\n", line); }

/* NULL: refused; the report is in *log then. */
static Graph *quantized(const Graph *g, const Dataset *ds, StrBuf *log, const char *params) {
  Diag *d = diag_new();
  StrBuf text = {0}, none = {0};
  sb_printf(&text, "fold,bnfuse,fuse,fold,quantize{images=%d,%s}", SEEN, params);
  const Host host = {.ctx = log ? log : &none, .log = gather, .threads = 1};
  PassCtx ctx = {.params = "", .data = ds, .host = &host};
  PipelineOptions opt = {.verify_each = true};
  Graph *q = pipeline_run(g, sb_str(&text), &ctx, &opt, d);
  ck_assert_msg(q || log, "%s: %s", params, diag_text(d));
  if (!q) sb_puts(log, diag_text(d));
  sb_free(&text);
  sb_free(&none);
  diag_free(d);
  return q;
}

/* dB of a graph's outputs (io=float) against the float one's. */
static double snr(const Graph *g, const Graph *q, const Dataset *ds) {
  Diag *d = diag_new();
  Shape s = graph_val(g, g->inputs[0])->shape;
  s.d[0] = IMAGES;
  Tensor x = {DT_F32, s, (void *)(uintptr_t)ds->train.x}, y, z;
  ck_assert_msg(graph_eval(g, &x, 1, &y, d) && graph_eval(q, &x, 1, &z, d), "%s", diag_text(d));
  double power = 0, error = 0;
  for (int64_t i = 0; i < shape_count(&y.shape); i++) {
    const double v = (double)((float *)y.data)[i], e = (double)((float *)z.data)[i] - v;
    power += v * v, error += e * e;
  }
  tensor_free(&y);
  tensor_free(&z);
  diag_free(d);
  return 10 * log10(power / fmax(error, 1e-30));
}

/* Names of the graph's operators, ';' in between. */
static char *all_names(const Graph *g) {
  StrBuf b = {0};
  for (NodeId k = 0; k < g->n_nodes; k++)
    sb_printf(&b, "%s%s", k ? ";" : "", graph_val(g, g->nodes[k].out[0])->name);
  char *text = strdup(sb_str(&b));
  sb_free(&b);
  return text;
}

static int count(const Graph *g, DType t) {
  int n = 0;
  for (NodeId k = 0; k < g->n_nodes; k++)
    n += g->nodes[k].op != OP_quantize && g->nodes[k].op != OP_dequantize &&
         graph_val(g, g->nodes[k].out[0])->dtype == t;
  return n;
}

/* With every value in 16 bits only the weights' rounding is left, with every layer in float32 nothing. */
START_TEST(everything_wider)
{
  double narrow = 0, wide = 0;
  for (uint64_t seed = 0; seed < 30; seed++) {
    Graph *g = net_random_plain(seed);
    Dataset ds = make_data(g, seed);
    Diag *d = diag_new();
    Graph *plain = pipeline_run(g, "fold,bnfuse,fuse,fold", &(PassCtx){.params = ""}, NULL, d);
    char *names = all_names(plain), params[2000];
    Graph *q = quantized(plain, &ds, NULL, "io=float,bias=plain,method=minmax");
    snprintf(params, sizeof params, "io=float,bias=plain,int16=%s", names);
    Graph *w = quantized(plain, &ds, NULL, params);
    snprintf(params, sizeof params, "io=float,float=%s", names);
    Graph *f = quantized(plain, &ds, NULL, params);
    ck_assert_int_eq(count(w, DT_I8), 0);
    ck_assert_int_eq(count(f, DT_I8) + count(f, DT_I16), 0);
    const double a = snr(g, q, &ds), b = snr(g, w, &ds), c = snr(g, f, &ds);
    ck_assert_msg(b > a - 3 && b > 25 && c > 100, "net %d: int8 %.1f dB, int16 %.1f, float32 %.1f", (int)seed,
                  a, b, c);
    narrow += a / 30, wide += b / 30;
    free(names);
    graph_free(q), graph_free(w), graph_free(f), graph_free(plain), graph_free(g);
    dataset_close(&ds);
    diag_free(d);
  }
  ck_assert_msg(wide > narrow + 4, "mean: int8 %.1f dB, int16 %.1f", narrow, wide);
}
END_TEST

/* One layer each: what stands where, and that the C of the mixed graph gives its bytes. */
START_TEST(some_wider)
{
  Graph *g = net_random_plain(3);
  Dataset ds = make_data(g, 3);
  Diag *d = diag_new();
  Graph *plain = pipeline_run(g, "fold,bnfuse,fuse,fold", &(PassCtx){.params = ""}, NULL, d);
  NodeId layers[2] = {NO_NODE, NO_NODE};
  int n = 0;
  for (NodeId k = 0; k < plain->n_nodes && n < 2; k++)
    if (plain->nodes[k].op == OP_conv || plain->nodes[k].op == OP_depthwise_conv) layers[n++] = k;
  ck_assert_int_eq(n, 2);
  char params[300];
  snprintf(params, sizeof params, "int16=%s,float=%s", graph_val(plain, plain->nodes[layers[1]].out[0])->name,
           graph_val(plain, plain->nodes[layers[0]].out[0])->name);
  Graph *q = quantized(plain, &ds, NULL, params);
  ck_assert(count(q, DT_F32) == 1 && count(q, DT_I16) > 0 && count(q, DT_I8) > 0);
  Graph *one = graph_with_batch(q, 1, d);
  StrBuf bytes = {0};
  char path[512], command[1200], *out;
  graph_serialize(one, &bytes);
  snprintf(path, sizeof path, "%s/mixed.mistify", test_tmp_dir());
  test_write_file(path, sb_str(&bytes), bytes.len);
  snprintf(command, sizeof command, "%s compile %s --target x86-64 -o %s/mixed --quiet && %s verify %s/mixed",
           test_mistify(), path, test_tmp_dir(), test_mistify(), test_tmp_dir());
  ck_assert_msg(test_run_command(command, &out) == 0, "%s", out);
  ck_assert_msg(strstr(out, "4 equal byte for byte") != NULL, "%s", out);
  free(out);
  sb_free(&bytes);
  graph_free(one), graph_free(q), graph_free(plain), graph_free(g);
  dataset_close(&ds);
  diag_free(d);
}
END_TEST

/* Conv -> Conv -> mean -> FullyConnected; channels of the first one's output of wildly different size, those that count small. */
static Graph *uneven(void) {
  enum { C = 8 };
  Graph *g = graph_new("uneven");
  Diag *d = diag_new();
  Rng r;
  rng_seed(&r, 4, 4);
  Shape s = {4, {DIM_BATCH, 6, 6, 3}}, cs = {4, {C, 3, 3, 3}}, es = {4, {C, 1, 1, C}}, fs = {2, {5, C}};
  float w[C * 27], e[C * C], f[5 * C];
  for (int i = 0; i < C * 27; i++) w[i] = rng_normal(&r) * powf(2, (float)(i / 27) - 4);
  for (int i = 0; i < C * C; i++) e[i] = rng_normal(&r) * powf(0.5f, (float)(i % C) - 4);
  for (int i = 0; i < 5 * C; i++) f[i] = 0.05f * rng_normal(&r);
  conv_attrs a;
  op_attrs_default(OP_conv, &a);
  a.act = ACT_RELU;
  ValId y = graph_node2(g, OP_conv, &a, graph_input(g, "x", DT_F32, &s),
                        graph_const_data(g, "w", DT_F32, &cs, w), "first", NULL, d);
  y = graph_node2(g, OP_conv, &a, y, graph_const_data(g, "e", DT_F32, &es, e), "second", NULL, d);
  reduce_mean_attrs m = {.axes = {2, {1, 2}}, .keepdims = 0};
  y = graph_node1(g, OP_reduce_mean, &m, y, "mean", NULL, d);
  graph_output(g, graph_node2(g, OP_fully_connected, NULL, y, graph_const_data(g, "f", DT_F32, &fs, f),
                              "last", NULL, d));
  ck_assert_msg(graph_verify(g, d), "%s", diag_text(d));
  diag_free(d);
  return g;
}

/* The budget takes the values that hurt, and them alone; a wide one nothing; one that cannot be kept is refused. */
START_TEST(budget)
{
  Graph *g = uneven();
  Dataset ds = make_data(g, 1);
  StrBuf log = {0};
  Graph *plain = quantized(g, &ds, NULL, "io=float"), *all = quantized(g, &ds, NULL, "io=float,budget=50"),
        *some = quantized(g, &ds, &log, "io=float,budget=0.001");
  ck_assert_msg(some != NULL, "%s", sb_str(&log));
  ck_assert(hash_equal(graph_hash(plain), graph_hash(all)));
  ck_assert_msg(strstr(sb_str(&log), "with 1 of the parts wider: int16=first") != NULL, "%s", sb_str(&log));
  ck_assert(snr(g, some, &ds) > snr(g, plain, &ds) + 3);
  sb_clear(&log);
  ck_assert(!quantized(g, &ds, &log, "budget=0"));
  ck_assert_msg(strstr(sb_str(&log), "with all values in 16 bits") != NULL, "%s", sb_str(&log));
  graph_free(plain), graph_free(all), graph_free(some), graph_free(g);
  dataset_close(&ds);
  sb_free(&log);
}
END_TEST

/* FullyConnected -> Softmax at four positions: each has its own distribution. */
static Graph *positions(void) {
  Graph *g = graph_new("positions");
  Diag *d = diag_new();
  Shape s = {3, {DIM_BATCH, 4, 3}}, ws = {2, {2, 3}};
  const float w[6] = {0.9f, -1.3f, 0.4f, -0.2f, 1.1f, 0.7f};
  ValId y = graph_node2(g, OP_fully_connected, NULL, graph_input(g, "x", DT_F32, &s),
                        graph_const_data(g, "w", DT_F32, &ws, w), "logits", NULL, d);
  graph_output(g, graph_node1(g, OP_softmax, NULL, y, "shares", NULL, d));
  ck_assert_msg(graph_verify(g, d), "%s", diag_text(d));
  diag_free(d);
  return g;
}

START_TEST(loss_at_each_position)
{
  Graph *g = positions();
  Dataset ds = make_data(g, 2);
  StrBuf log = {0};
  Graph *q = quantized(g, &ds, &log, "budget=0.001");
  ck_assert_msg(q != NULL && strstr(sb_str(&log), "with 0 of the parts wider"), "%s", sb_str(&log));
  graph_free(q), graph_free(g);
  dataset_close(&ds);
  sb_free(&log);
}
END_TEST

/* With all images seen by calibration the report says so, and a budget is refused. */
START_TEST(no_other_images)
{
  Graph *g = uneven();
  Dataset ds = make_data(g, 1);
  ds.train.n = SEEN + 31;
  StrBuf log = {0};
  Graph *q = quantized(g, &ds, &log, "report=2");
  ck_assert_msg(q && strstr(sb_str(&log), "calibration's own images"), "%s", sb_str(&log));
  sb_clear(&log);
  ck_assert(!quantized(g, &ds, &log, "budget=50"));
  ck_assert_msg(strstr(sb_str(&log), "fewer than 32 are left"), "%s", sb_str(&log));
  graph_free(q), graph_free(g);
  dataset_close(&ds);
  sb_free(&log);
}
END_TEST

START_TEST(report_says_where)
{
  Graph *g = uneven();
  Dataset ds = make_data(g, 1);
  StrBuf log = {0};
  char params[600], path[512];
  snprintf(path, sizeof path, "%s/report.json", test_tmp_dir());
  snprintf(params, sizeof params, "report=2,json=%s", path);
  graph_free(quantized(g, &ds, &log, params));
  ck_assert_msg(strstr(sb_str(&log), "values alone") && strstr(sb_str(&log), "first"), "%s", sb_str(&log));
  Arena *a = arena_new();
  Diag *d = diag_new();
  size_t n;
  char *text = test_read_file(path, &n);
  ck_assert(text != NULL);
  const Json *j = json_parse(a, text, n, path, d);
  ck_assert_msg(j != NULL, "%s", diag_text(d));
  const Json *layers = json_get(j, "layers");
  double most = -1;
  const char *worst = "";
  for (uint32_t i = 0; layers && i < layers->n; i++) {
    const double kl = json_get_num(json_get(json_at(layers, i), "values_alone"), "kl", -1);
    if (kl > most) most = kl, worst = json_get_str(json_at(layers, i), "layer", "");
  }
  ck_assert_str_eq(worst, "first");
  free(text);
  arena_free(a);
  diag_free(d);
  graph_free(g);
  dataset_close(&ds);
  sb_free(&log);
}
END_TEST

/* Lists of names are not cut. */
START_TEST(long_lists)
{
  Graph *g = uneven();
  Dataset ds = make_data(g, 1);
  StrBuf log = {0}, list = {0};
  while (list.len < 1100) sb_puts(&list, list.len ? ";first" : "weights=int4,int8=first");
  ck_assert(!quantized(g, &ds, &log, sb_str(&list)));
  ck_assert_msg(strstr(sb_str(&log), "want less than 1023 characters") != NULL, "%s", sb_str(&log));
  graph_free(g);
  dataset_close(&ds);
  sb_free(&log);
  sb_free(&list);
}
END_TEST

START_TEST(refused)
{
  static const char *const cases[][2] = {{"int16=frist", "did you mean first?"},
                                         {"float=nothing", "no layer on codes has this name"},
                                         {"weights=int4,int8=secnod", "did you mean second?"},
                                         {"budget=x", "want a divergence"},
                                         {"budget=1%x", "want a divergence"},
                                         {"held=0", "held=0"}};
  Graph *g = uneven();
  Dataset ds = make_data(g, 1);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    StrBuf log = {0};
    ck_assert(!quantized(g, &ds, &log, cases[i][0]));
    ck_assert_msg(strstr(sb_str(&log), cases[i][1]) != NULL, "%s: %s", cases[i][0], sb_str(&log));
    sb_free(&log);
  }
  graph_free(g);
  dataset_close(&ds);
}
END_TEST

Suite *suite_quant_mixed(void) {
  Suite *s = suite_create("quant_mixed");
  TCase *t = tcase_create("quant_mixed");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, everything_wider);
  tcase_add_test(t, some_wider);
  tcase_add_test(t, budget);
  tcase_add_test(t, loss_at_each_position);
  tcase_add_test(t, no_other_images);
  tcase_add_test(t, report_says_where);
  tcase_add_test(t, long_lists);
  tcase_add_test(t, refused);
  suite_add_tcase(s, t);
  return s;
}
