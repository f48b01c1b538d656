/* Optimizers by hand: PyTorch's rules for SGD and AdamW, clipping, the average of weights; learning rates. */
#include <cblas.h>
#include <math.h>

#include "runtime/engine/train/optimizer.h"
#include "runtime/engine/train/rate.h"
#include "tests/engine/nets.h"
#include "tests/support.h"

Suite *suite_optimizer(void);

/* A linear net whose gradients do not depend on its weights: {0.5 - 0.75, 1 - 1} and 0.25 for the bias. */
typedef struct Bench {
  Graph *g;
  Session *s;
  Optimizer o;
} Bench;

static const double GRAD[3] = {-0.25, 0, 0.25}, START[3] = {1, -2, 0.5};

static void bench_open(Bench *b, const OptimizerOptions *o) {
  b->g = net_parse("%1 = input : f32[N,2]\n%2 = const : f32[1,2] {1, -2}\n%3 = const : f32[1] {0.5}\n"
                   "%4 = FullyConnected(%1, %2, %3)\noutput %4",
                   1);
  Diag *d = diag_new();
  b->s = session_new(b->g, &(SessionOptions){.batch = 2, .threads = 1, .training = true}, d);
  if (!b->s) ck_abort_msg("%s", diag_text(d));
  diag_free(d);
  optimizer_new(&b->o, b->s, o);
}

static void bench_step(Bench *b, float lr) {
  const float x[4] = {1, 2, 3, 4}, dz[2] = {0.5f, -0.25f};
  session_forward(b->s, x, 2, true);
  session_backward(b->s, dz, 2);
  optimizer_step(&b->o, b->s, lr);
}

static void bench_close(Bench *b) {
  optimizer_free(&b->o);
  session_free(b->s);
  graph_free(b->g);
}

static void bench_want(Bench *b, const double want[3], const char *what) {
  const float *w = session_param(b->s, b->g->nodes[0].in[1]),
              *bias = session_param(b->s, b->g->nodes[0].in[2]);
  const float got[3] = {w[0], w[1], bias[0]};
  for (int i = 0; i < 3; i++)
    ck_assert_msg(fabs((double)got[i] - want[i]) < 2e-6, "%s: parameter %d is %.8g, want %.8g", what, i,
                  (double)got[i], want[i]);
}

START_TEST(sgd_by_hand)
{
  for (int nesterov = 0; nesterov < 2; nesterov++) {
    Bench b;
    bench_open(&b, &(OptimizerOptions){.momentum = 0.9f, .weight_decay = 0.01f, .nesterov = nesterov});
    double want[3] = {START[0], START[1], START[2]}, vel[3] = {0};
    for (int step = 0; step < 3; step++) {
      bench_step(&b, 0.1f);
      for (int i = 0; i < 3; i++) {
        double grad = GRAD[i] + (i < 2 ? 0.01 * want[i] : 0); /* no decay on the bias */
        vel[i] = 0.9 * vel[i] + grad;
        want[i] -= 0.1 * (nesterov ? grad + 0.9 * vel[i] : vel[i]);
      }
      bench_want(&b, want, nesterov ? "Nesterov" : "SGD");
    }
    bench_close(&b);
  }
}
END_TEST

START_TEST(adamw_by_hand)
{
  Bench b;
  bench_open(
      &b,
      &(OptimizerOptions){
          .kind = OPTIMIZER_ADAMW, .beta1 = 0.9f, .beta2 = 0.99f, .epsilon = 1e-3f, .weight_decay = 0.1f});
  double want[3] = {START[0], START[1], START[2]}, m[3] = {0}, v[3] = {0};
  for (int step = 1; step <= 4; step++) {
    double lr = 0.05 * step;
    bench_step(&b, (float)lr);
    for (int i = 0; i < 3; i++) {
      if (i < 2) want[i] -= lr * 0.1 * want[i];
      m[i] = 0.9 * m[i] + 0.1 * GRAD[i];
      v[i] = 0.99 * v[i] + 0.01 * GRAD[i] * GRAD[i];
      want[i] -= lr * m[i] / (1 - pow(0.9, step)) / (sqrt(v[i] / (1 - pow(0.99, step))) + 1e-3);
    }
    bench_want(&b, want, "AdamW");
  }
  bench_close(&b);
}
END_TEST

START_TEST(gradients_are_clipped)
{
  double norm = sqrt(0.125);
  for (int k = 0; k < 2; k++) {
    double limit = k ? 10 : 0.1, factor = k ? 1 : limit / (norm + 1e-6), want[3];
    Bench b;
    bench_open(&b, &(OptimizerOptions){.clip = (float)limit});
    bench_step(&b, 1);
    double got = optimizer_norm(&b.o, b.s);
    ck_assert_msg(fabs(got - norm) < 1e-7, "norm %g, want %g", got, norm);
    for (int i = 0; i < 3; i++) want[i] = START[i] - factor * GRAD[i];
    bench_want(&b, want, k ? "below the limit" : "clipped");
    bench_close(&b);
  }
}
END_TEST

START_TEST(average_of_weights)
{
  Bench b;
  bench_open(&b, &(OptimizerOptions){.average = 0.5f});
  double w[3] = {START[0], START[1], START[2]}, mean[3] = {START[0], START[1], START[2]};
  for (int step = 1; step <= 10; step++) {
    double keep = fmin(0.5, (1.0 + step) / (10.0 + step));
    bench_step(&b, 0.1f);
    for (int i = 0; i < 3; i++) {
      w[i] -= 0.1 * GRAD[i];
      mean[i] = keep * mean[i] + (1 - keep) * w[i];
    }
  }
  bench_want(&b, w, "weights");
  optimizer_take_average(&b.o, b.s);
  bench_want(&b, mean, "average");
  bench_close(&b);
}
END_TEST

static void want_rate(const TrainOptions *o, int64_t done, double want) {
  float got = train_rate(o, done, 100);
  ck_assert_msg(fabs((double)got - want) < 1e-6, "rate at step %lld: %g, want %g", (long long)done,
                (double)got, want);
}

START_TEST(rates)
{
  TrainOptions o;
  train_options_default(&o);
  o.lr = 2;
  want_rate(&o, 0, 2);
  want_rate(&o, 50, 1);
  want_rate(&o, 99, 1 + cos(3.14159265358979 * 0.99));
  o.schedule = RATE_CONSTANT;
  o.warmup = 0.1f;
  want_rate(&o, 0, 0.2);
  want_rate(&o, 4, 1);
  want_rate(&o, 9, 2);
  want_rate(&o, 99, 2);
  o.schedule = RATE_STEPS;
  o.warmup = 0;
  o.n_drops = 2;
  o.drops[0] = 0.5f;
  o.drops[1] = 0.75f;
  want_rate(&o, 49, 2);
  want_rate(&o, 50, 0.2);
  want_rate(&o, 75, 0.02);
  Diag *d = diag_new();
  ck_assert(train_options_check(&o, d));
  o.drops[1] = 0.4f;
  ck_assert(!train_options_check(&o, d));
  ck_assert_ptr_nonnull(strstr(diag_text(d), "rising shares"));
  diag_free(d);
}
END_TEST

Suite *suite_optimizer(void) {
  openblas_set_num_threads(1);
  Suite *s = suite_create("optimizer");
  TCase *t = tcase_create("optimizer");
  tcase_add_test(t, sgd_by_hand);
  tcase_add_test(t, adamw_by_hand);
  tcase_add_test(t, gradients_are_clipped);
  tcase_add_test(t, average_of_weights);
  tcase_add_test(t, rates);
  suite_add_tcase(s, t);
  return s;
}
