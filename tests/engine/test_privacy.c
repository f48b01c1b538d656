/* The accountant: TensorFlow Privacy's published cases, integrals done by brute force, limits known in closed form.
 * Private steps: what one record can change, how much noise there is, what stays as it was.
 */
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "runtime/engine/privacy/accountant.h"
#include "runtime/engine/privacy/tune.h"
#include "tests/engine/nets.h"
#include "tests/support.h"

Suite *suite_privacy(void);

static RdpCurve spent(double rate, double noise, int64_t steps) {
  RdpCurve c = {{0}};
  rdp_add(&c, rate, noise, steps);
  return c;
}

/* n = 60,000, batch 256, delta 1e-5, steps = epochs * n / batch: the table of TensorFlow Privacy's MNIST tutorial, by
 * the conversion of its day; the tighter one is below it. */
START_TEST(published_cases)
{
  static const struct {
    double sigma, epsilon;
    int epochs;
  } cases[] = {{1.3, 1.19, 15}, {1.1, 3.01, 60}, {0.7, 7.10, 45}};
  for (int i = 0; i < 3; i++) {
    const RdpCurve c = spent(256 / 60000.0, cases[i].sigma, cases[i].epochs * 60000 / 256);
    const double classic = rdp_epsilon(&c, 1e-5, RDP_CLASSIC, NULL);
    const double tight = rdp_epsilon(&c, 1e-5, RDP_TIGHT, NULL);
    ck_assert_msg(fabs(classic - cases[i].epsilon) < 0.006, "sigma %g: %.4f, published %.2f", cases[i].sigma,
                  classic, cases[i].epsilon);
    ck_assert_msg(tight < classic && tight > 0.8 * classic, "sigma %g: tight %.4f, classic %.4f",
                  cases[i].sigma, tight, classic);
  }
}
END_TEST

/* E over z ~ N(0, s^2) of ((1-q) + q exp((2z-1) / 2s^2))^alpha, by the midpoint rule. */
static double integral(double q, double s, double alpha) {
  const double lo = -14 * s, hi = 14 * s + 2 * alpha, h = s / 400;
  double sum = 0;
  for (double z = lo + h / 2; z < hi; z += h) {
    const double ratio = log1p(q * expm1((2 * z - 1) / (2 * s * s)));
    sum += exp(alpha * ratio - z * z / (2 * s * s)) * h;
  }
  return log(sum / (s * sqrt(2 * acos(-1)))) / (alpha - 1);
}

START_TEST(agrees_with_the_integral)
{
  static const double q[] = {0.001, 0.02, 0.3, 0.7}, s[] = {0.7, 1, 2.5, 8},
                      a[] = {1.1, 1.5, 2, 2.7, 3, 5.5, 8, 10.9, 16};
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++)
      for (int k = 0; k < 9; k++) {
        const double got = rdp_gaussian(q[i], s[j], a[k]), want = integral(q[i], s[j], a[k]);
        ck_assert_msg(fabs(got - want) < 1e-5 * want + 1e-9,
                      "q %g, sigma %g, order %g: %.10g, integral %.10g", q[i], s[j], a[k], got, want);
      }
}
END_TEST

START_TEST(limits_in_closed_form)
{
  for (double a = 1.1; a < 60; a *= 1.7)
    ck_assert(fabs(rdp_gaussian(1, 2, a) - a / 8) < 1e-12); /* no sampling: the Gaussian mechanism */
  ck_assert(rdp_gaussian(0, 2, 3) == 0 && isinf(rdp_gaussian(0.1, 0, 3)));
  /* Order 2: log(1 + q^2 (e^(1/s^2) - 1)). */
  ck_assert(fabs(rdp_gaussian(0.1, 1.5, 2) - log1p(0.01 * expm1(1 / 2.25))) < 1e-13);
  /* RDP rises with the order, without a step where one formula gives way to the other; epsilon with everything. */
  double before = 0;
  for (double a = 1.05; a < 12; a += 0.05) {
    const double r = rdp_gaussian(0.02, 1.1, fabs(a - round(a)) < 1e-9 ? round(a) : a);
    ck_assert_msg(r >= before && (before == 0 || r < before * 1.3), "order %g: %g after %g", a, r, before);
    before = r;
  }
  const RdpCurve one = spent(0.02, 1.1, 100), twice = spent(0.02, 1.1, 200), quiet = spent(0.02, 2, 100);
  RdpCurve sum = one;
  rdp_add_curve(&sum, &one);
  for (int i = 0; i < RDP_ORDERS; i++)
    ck_assert(sum.at[i] == twice.at[i] || fabs(sum.at[i] / twice.at[i] - 1) < 1e-12);
  ck_assert(rdp_epsilon(&twice, 1e-5, RDP_TIGHT, NULL) > rdp_epsilon(&one, 1e-5, RDP_TIGHT, NULL));
  ck_assert(rdp_epsilon(&quiet, 1e-5, RDP_TIGHT, NULL) < rdp_epsilon(&one, 1e-5, RDP_TIGHT, NULL));
  ck_assert(rdp_epsilon(&one, 1e-7, RDP_TIGHT, NULL) > rdp_epsilon(&one, 1e-5, RDP_TIGHT, NULL));
  const RdpCurve none = {{0}};
  ck_assert(rdp_epsilon(&none, 0.5, RDP_TIGHT, NULL) == 0);
}
END_TEST

START_TEST(noise_for_a_budget)
{
  const RdpCurve none = {{0}}, some = spent(0.05, 3, 100);
  for (double e = 0.5; e < 10; e *= 2) {
    const double s = rdp_noise_for(&none, 0.05, 200, e, 1e-5);
    const RdpCurve at = spent(0.05, s, 200), less = spent(0.05, s * 0.995, 200);
    ck_assert(rdp_epsilon(&at, 1e-5, RDP_TIGHT, NULL) <= e);
    ck_assert(rdp_epsilon(&less, 1e-5, RDP_TIGHT, NULL) > e);
  }
  ck_assert(rdp_noise_for(&some, 0.05, 200, 4, 1e-5) > rdp_noise_for(&none, 0.05, 200, 4, 1e-5));
  ck_assert(rdp_noise_for(&some, 0.05, 200, 0.1, 1e-5) == 0); /* more is spent already */
}
END_TEST

/* -- noise -- */

START_TEST(noise_is_normal)
{
  enum { N = 200000 };
  Diag *d = diag_new();
  Noise os, seeded, again;
  ck_assert(noise_open(&os, 0, d) && noise_open(&seeded, 5, d) && noise_open(&again, 5, d));
  ck_assert(noise_private(&os) && !noise_private(&seeded));
  double m1 = 0, m2 = 0, m4 = 0, u = 0;
  int tail = 0;
  for (int i = 0; i < N; i++) {
    const double x = noise_normal(&os), a = noise_normal(&seeded), b = noise_normal(&again);
    ck_assert(a == b);
    m1 += x / N, m2 += x * x / N, m4 += x * x * x * x / N;
    tail += fabs(x) > 1.959964;
    u += noise_uniform(&os) / N;
  }
  /* Five standard errors each. */
  ck_assert_msg(fabs(m1) < 5 / sqrt(N) && fabs(m2 - 1) < 5 * sqrt(2.0 / N) &&
                    fabs(m4 - 3) < 5 * sqrt(96.0 / N),
                "moments %g %g %g", m1, m2, m4);
  ck_assert_msg(fabs((double)tail / N - 0.05) < 5 * sqrt(0.05 * 0.95 / N), "%d of %d beyond 1.96", tail, N);
  ck_assert(fabs(u - 0.5) < 5 * sqrt(1.0 / 12 / N));
  noise_close(&os);
  for (size_t i = 0; i < sizeof os; i++) ck_assert(((const unsigned char *)&os)[i] == 0);
  diag_free(d);
}
END_TEST

/* -- steps -- */

/* A net with BatchNormalization; its last constants are the last layer's weights and bias. */
static const char net[] =
    "%1 = input : f32[N,8,8,1] \"x\"\n%2 = const : f32[6,3,3,1] {~}\n"
    "%3 = Conv(%1, %2) {pads=[1,1,1,1], strides=[2,2]}\n%4 = const : f32[6] {?}\n%5 = const : f32[6] {~}\n"
    "%6 = const : f32[6] {~}\n%7 = const : f32[6] {?}\n%8 = BatchNormalization(%3, %4, %5, %6, %7)\n%9 = "
    "Relu(%8)\n"
    "%10 = Reshape(%9) {shape=[-1,96]}\n%11 = const : f32[4,96] {~}\n%12 = const : f32[4] {?}\n"
    "%13 = FullyConnected(%10, %11, %12)\noutput %13\n";

enum { RECORDS = 40, PIXELS = 64, LAST = 4 * 97 };

typedef struct Task {
  Graph *g;
  float x[RECORDS * PIXELS];
  int32_t y[RECORDS];
  Split split;
  Normalize nz;
  ValId learn[2];
  TuneJob job;
  Noise random;
} Task;

/* The constants read by the last layer. */
static void find_last(Task *t) {
  for (NodeId k = 0; k < t->g->n_nodes; k++) {
    const Node *n = &t->g->nodes[k];
    if (n->op == OP_fully_connected) t->learn[0] = n->in[1], t->learn[1] = n->in[2];
  }
}

static void task_begin(Task *t, uint64_t seed) {
  Diag *d = diag_new();
  Rng r;
  *t = (Task){.g = net_parse(net, 3)};
  rng_seed(&r, 11, 0);
  for (int i = 0; i < RECORDS; i++) {
    t->y[i] = (int32_t)rng_below(&r, 4);
    for (int k = 0; k < PIXELS; k++)
      t->x[i * PIXELS + k] = rng_normal(&r) * (i == 7 ? 30 : 1) + (float)(k / 16 == t->y[i]);
  }
  t->split = (Split){.n = RECORDS,
                     .dtype = DT_F32,
                     .x = t->x,
                     .y = t->y,
                     .item = shape_of(3, (int64_t)8, (int64_t)8, (int64_t)1)};
  find_last(t);
  ck_assert(noise_open(&t->random, seed, d));
  t->job = (TuneJob){.graph = t->g,
                     .split = &t->split,
                     .normalize = &t->nz,
                     .labels = t->y,
                     .learn = t->learn,
                     .n_learn = 2,
                     .rate = 1,
                     .nominal = 1,
                     .steps = 1,
                     .lr = 1,
                     .clip = 0.5,
                     .random = &t->random};
  diag_free(d);
}

static void task_end(Task *t) {
  noise_close(&t->random);
  graph_free(t->g);
}

/* What a run changed in the last layer: [LAST]. */
static void change(const Task *t, double *out, TuneResult *res) {
  Diag *d = diag_new();
  Graph *after = tune_run(&t->job, res, d);
  ck_assert_msg(after != NULL, "%s", diag_text(d));
  ck_assert_uint_eq(after->n_nodes, t->g->n_nodes);
  for (NodeId k = 0; k < t->g->n_nodes; k++)
    for (uint32_t i = 1; i < t->g->nodes[k].n_in; i++) {
      const ValId v = t->g->nodes[k].in[i];
      const float *now = val_data(after, after->nodes[k].in[i]), *was = val_data(t->g, v);
      const size_t n = (size_t)shape_count(&t->g->vals[v].shape);
      const bool weights = v == t->learn[0], bias = v == t->learn[1];
      if (!weights && !bias) ck_assert_msg(memcmp(now, was, n * 4) == 0, "input %u of node %u changed", i, k);
      for (size_t j = 0; (weights || bias) && j < n; j++)
        out[j + (bias ? 384 : 0)] = (double)was[j] - (double)now[j];
    }
  graph_free(after);
  diag_free(d);
}

/* Take record i away, then put it back: the sum of gradients moves by at most the clipping norm, and by all of it where the
 * record's gradient is large. */
START_TEST(one_record_moves_a_step_by_the_clipping_norm_at_most)
{
  Task t;
  double with[LAST], without[LAST], most = 0;
  task_begin(&t, 1);
  change(&t, with, NULL);
  for (int i = 0; i < RECORDS; i++) {
    float x[PIXELS];
    const int32_t y = t.y[i];
    memcpy(x, t.x + i * PIXELS, sizeof x);
    memcpy(t.x + i * PIXELS, t.x + (RECORDS - 1) * PIXELS, sizeof x);
    t.y[i] = t.y[RECORDS - 1];
    t.split.n = RECORDS - 1;
    change(&t, without, NULL);
    double sum = 0;
    for (int k = 0; k < LAST; k++) sum += (with[k] - without[k]) * (with[k] - without[k]);
    ck_assert_msg(sqrt(sum) <= 0.5 * (1 + 1e-4), "record %d moves the sum by %g", i, sqrt(sum));
    if (sqrt(sum) > most) most = sqrt(sum);
    memcpy(t.x + i * PIXELS, x, sizeof x);
    t.y[i] = y;
    t.split.n = RECORDS;
  }
  ck_assert_msg(most > 0.499, "no record reaches the clipping norm: %g", most);
  /* A record whose gradient is not finite counts for nothing. */
  t.x[3 * PIXELS] = INFINITY;
  change(&t, without, NULL);
  for (int k = 0; k < LAST; k++) ck_assert(isfinite(without[k]));
  task_end(&t);
}
END_TEST

START_TEST(noise_has_its_deviation)
{
  enum { RUNS = 40 };
  Task t;
  double still[LAST], noisy[LAST], sum = 0, squares = 0;
  task_begin(&t, 0);
  change(&t, still, NULL);
  t.job.noise = 3;
  for (int r = 0; r < RUNS; r++) {
    change(&t, noisy, NULL);
    for (int k = 0; k < LAST; k++) {
      sum += noisy[k] - still[k];
      squares += (noisy[k] - still[k]) * (noisy[k] - still[k]);
    }
  }
  const double n = (double)RUNS * LAST, deviation = sqrt(squares / n);
  ck_assert_msg(fabs(deviation - 1.5) < 1.5 * 5 / sqrt(2 * n), "deviation %g, want 3 * 0.5", deviation);
  ck_assert_msg(fabs(sum / n) < 5 * 1.5 / sqrt(n), "mean %g", sum / n);
  task_end(&t);
}
END_TEST

START_TEST(sampling_is_poisson)
{
  enum { RUNS = 400 };
  Task t;
  double out[LAST], mean = 0, squares = 0;
  task_begin(&t, 0);
  t.job.rate = 0.25;
  for (int r = 0; r < RUNS; r++) {
    TuneResult res;
    change(&t, out, &res);
    mean += (double)res.seen / RUNS;
    squares += (double)(res.seen * res.seen) / RUNS;
  }
  /* Binomial(40, 1/4): mean 10, variance 7.5. */
  ck_assert_msg(fabs(mean - 10) < 5 * sqrt(7.5 / RUNS), "mean %g of a step", mean);
  ck_assert_msg(fabs(squares - mean * mean - 7.5) < 5 * 7.5 * sqrt(2.0 / RUNS), "variance %g",
                squares - mean * mean);
  task_end(&t);
}
END_TEST

START_TEST(seeded_runs_are_repeatable_others_are_not)
{
  double out[4][LAST];
  for (int i = 0; i < 4; i++) {
    Task t;
    const Host host = {.threads = 1 + i % 2};
    task_begin(&t, i < 2 ? 42 : 0);
    t.job.noise = 1, t.job.rate = 0.3, t.job.steps = 5, t.job.host = &host;
    change(&t, out[i], NULL);
    task_end(&t);
  }
  ck_assert(memcmp(out[0], out[1], sizeof out[0]) == 0);
  ck_assert(memcmp(out[2], out[3], sizeof out[0]) != 0 && memcmp(out[0], out[2], sizeof out[0]) != 0);
}
END_TEST

START_TEST(learns_and_refuses)
{
  Task t;
  double out[LAST];
  TuneResult first, last;
  Diag *d = diag_new();
  task_begin(&t, 9);
  change(&t, out, &first);
  t.job.nominal = RECORDS, t.job.steps = 300, t.job.lr = 0.3;
  change(&t, out, &last);
  ck_assert_msg(last.loss < 0.6 * first.loss, "loss %g after %g", last.loss, first.loss);
  t.job.noise = 1, t.job.clip = 0;
  ck_assert(!tune_run(&t.job, NULL, d) && strstr(diag_text(d), "clipped"));
  t.job.noise = 0, t.job.labels = NULL;
  ck_assert(!tune_run(&t.job, NULL, d) && strstr(diag_text(d), "neither labels nor a teacher"));
  diag_free(d);
  task_end(&t);
}
END_TEST

Suite *suite_privacy(void) {
  Suite *s = suite_create("privacy");
  TCase *t = tcase_create("accountant");
  tcase_add_test(t, published_cases);
  tcase_add_test(t, agrees_with_the_integral);
  tcase_add_test(t, limits_in_closed_form);
  tcase_add_test(t, noise_for_a_budget);
  suite_add_tcase(s, t);
  t = tcase_create("steps");
  tcase_add_test(t, noise_is_normal);
  tcase_add_test(t, one_record_moves_a_step_by_the_clipping_norm_at_most);
  tcase_add_test(t, noise_has_its_deviation);
  tcase_add_test(t, sampling_is_poisson);
  tcase_add_test(t, seeded_runs_are_repeatable_others_are_not);
  tcase_add_test(t, learns_and_refuses);
  suite_add_tcase(s, t);
  return s;
}
