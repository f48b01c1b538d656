/* Training: a net that learns, threads, distillation, re-estimation, reports. */
#include <cblas.h>
#include <math.h>
#include <string.h>

#include "runtime/engine/engine.h"
#include "tests/engine/nets.h"
#include "tests/engine/stripes.h"
#include "tests/support.h"

enum { SIDE = STRIPES_SIDE, CLASSES = STRIPES_CLASSES };

static TrainOptions options(int threads) {
  TrainOptions o;
  train_options_default(&o);
  o.epochs = 6;
  o.batch = 32;
  o.threads = threads;
  o.lr = 0.05f;
  o.warmup = 0.1f;
  o.augment.flip = true;
  o.augment.crop = 1;
  return o;
}

static Graph *train(const Graph *g, const Graph *teacher, const Dataset *ds, const TrainOptions *o,
                    TrainResult *res) {
  Diag *d = diag_new();
  Graph *out = train_graph(g, teacher, ds, o, NULL, res, d);
  if (!out) ck_abort_msg("%s", diag_text(d));
  ck_assert_msg(graph_verify(out, d), "%s", diag_text(d));
  diag_free(d);
  return out;
}

START_TEST(learns_a_separable_task)
{
  Dataset ds = stripes_data();
  Graph *g = net_parse(stripes_net, 7);
  char log[512];
  snprintf(log, sizeof log, "%s/train.log", test_tmp_dir());
  TrainOptions o = options(2);
  o.log_path = log;
  TrainResult r;
  Graph *out = train(g, NULL, &ds, &o, &r);
  double before = stripes_accuracy(g, &ds), after = stripes_accuracy(out, &ds);
  ck_assert_msg(after > 0.95, "validation accuracy %.3f (before training %.3f, training %.3f)", after, before,
                r.train_accuracy);
  ck_assert_msg(before < 0.6, "accuracy before training is %.3f already", before);
  ck_assert_int_eq(r.images, 6 * 512);
  char *text = test_read_file(log, NULL);
  int lines = 0;
  for (const char *p = text; *p; p++) lines += *p == '\n';
  ck_assert_int_eq(lines, 6);
  ck_assert_ptr_nonnull(strstr(text, "\"epoch\": 6, \"images\": 3072, \"loss\": "));
  free(text);
  graph_free(out);
  graph_free(g);
  dataset_close(&ds);
}
END_TEST

START_TEST(same_bytes_with_one_and_two_threads)
{
  Dataset ds = stripes_data();
  Graph *g = net_parse(stripes_net, 7);
  Graph *out[3];
  for (int i = 0; i < 3; i++) {
    TrainOptions o = options(i == 1 ? 2 : 1);
    o.images = 300;
    o.seed = i == 2 ? 99 : 1;
    out[i] = train(g, NULL, &ds, &o, NULL);
  }
  Hash a = graph_hash(out[0]), b = graph_hash(out[1]), c = graph_hash(out[2]);
  ck_assert_msg(hash_equal(a, b), "one and two threads give different parameters");
  ck_assert_msg(!hash_equal(a, c), "two seeds give the same parameters");
  for (int i = 0; i < 3; i++) graph_free(out[i]);
  graph_free(g);
  dataset_close(&ds);
}
END_TEST

/* Mean KL(teacher || student) on the validation split. */
static double divergence(const Graph *teacher, const Graph *student, const Dataset *ds) {
  enum { N = 200 };
  float p[N * CLASSES], q[N * CLASSES], dz[N * CLASSES];
  Accuracy a;
  Diag *d = diag_new();
  ck_assert(graph_accuracy(teacher, &ds->val, &ds->spec.normalize, 1, NULL, &a, p, d));
  ck_assert(graph_accuracy(student, &ds->val, &ds->spec.normalize, 1, NULL, &a, q, d));
  diag_free(d);
  return loss_distill(q, p, NULL, N, CLASSES, 1, 1, dz);
}

START_TEST(distillation_lowers_divergence)
{
  Dataset ds = stripes_data();
  Graph *g = net_parse(stripes_net, 7), *fresh = net_parse(stripes_net, 8);
  TrainOptions o = options(2);
  Graph *teacher = train(g, NULL, &ds, &o, NULL);
  o.mix = 1;
  o.temperature = 3;
  o.epochs = 4;
  Graph *student = train(fresh, teacher, &ds, &o, NULL);
  double before = divergence(teacher, fresh, &ds), after = divergence(teacher, student, &ds);
  ck_assert_msg(after < 0.2 * before, "KL %g before, %g after distillation", before, after);
  graph_free(student);
  graph_free(teacher);
  graph_free(fresh);
  graph_free(g);
  dataset_close(&ds);
}
END_TEST

/* Statistics of the training data replace wrong ones: a constant offset of the input is seen. */
START_TEST(statistics_are_reestimated)
{
  Dataset ds = stripes_data();
  Graph *g = net_parse("%1 = input : f32[N,8,8,2]\n%2 = const : f32[2] {1, 1}\n%3 = const : f32[2] {0, 0}\n"
                       "%5 = const : f32[2] {50, 50}\n%6 = const : f32[2] {7, 7}\n"
                       "%4 = BatchNormalization(%1, %2, %3, %5, %6)\noutput %4",
                       1);
  Diag *d = diag_new();
  Graph *out = reestimate_bn(g, &ds, 300, NULL, d);
  if (!out) ck_abort_msg("%s", diag_text(d));
  const float *mean = val_data(out, out->nodes[0].in[3]), *var = val_data(out, out->nodes[0].in[4]);
  const uint8_t *x = ds.train.x;
  for (int c = 0; c < 2; c++) {
    double sum = 0, sq = 0, n = 300 * SIDE * SIDE;
    for (int i = 0; i < 300 * SIDE * SIDE; i++) sum += x[2 * i + c] / 64.0 - 2;
    for (int i = 0; i < 300 * SIDE * SIDE; i++) sq += pow(x[2 * i + c] / 64.0 - 2 - sum / n, 2);
    ck_assert_msg(fabs(mean[c] - sum / n) < 1e-4, "mean %g, want %g", (double)mean[c], sum / n);
    /* the mean of batch variances: less than the whole's by the spread of batch means */
    ck_assert_msg(fabs(var[c] - sq / n) < 0.01 * sq / n, "variance %g, want %g", (double)var[c], sq / n);
  }
  graph_free(out);
  graph_free(g);
  diag_free(d);
  dataset_close(&ds);
}
END_TEST

static bool always(void *ctx) {
  (void)ctx;
  return true;
}

START_TEST(what_is_reported)
{
  Dataset ds = stripes_data();
  Graph *g = net_parse(stripes_net, 7);
  Diag *d = diag_new();
  TrainOptions o = options(1);
  Host host = {.cancelled = always, .threads = 1};
  ck_assert_ptr_null(train_graph(g, NULL, &ds, &o, &host, NULL, d));
  ck_assert_ptr_nonnull(strstr(diag_text(d), "cancelled"));
  diag_clear(d);
  o.lr = 1e30f;
  ck_assert_ptr_null(train_graph(g, NULL, &ds, &o, NULL, NULL, d));
  ck_assert_msg(strstr(diag_text(d), "diverged"), "%s", diag_text(d));
  diag_clear(d);
  o = options(0);
  ck_assert_ptr_null(train_graph(g, NULL, &ds, &o, NULL, NULL, d));
  ck_assert_ptr_nonnull(strstr(diag_text(d), "0 threads"));
  diag_free(d);
  graph_free(g);
  dataset_close(&ds);
}
END_TEST

Suite *suite_train(void) {
  openblas_set_num_threads(1);
  Suite *s = suite_create("train");
  TCase *t = tcase_create("train");
  tcase_set_timeout(t, 300);
  tcase_add_test(t, learns_a_separable_task);
  tcase_add_test(t, same_bytes_with_one_and_two_threads);
  tcase_add_test(t, distillation_lowers_divergence);
  tcase_add_test(t, statistics_are_reestimated);
  tcase_add_test(t, what_is_reported);
  suite_add_tcase(s, t);
  return s;
}
