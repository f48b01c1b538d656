/* Metrics by hand: AUC with and without ties, what is refused, an autoencoder by the engine and by kernels. */
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "runtime/engine/divergence.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/gram.h"
#include "tests/engine/nets.h"
#include "tests/support.h"

Suite *suite_judge(void);

START_TEST(auc_by_hand)
{
  double se;
  const int32_t y[] = {0, 0, 1, 0, 1, 1};
  const float apart[] = {1, 2, 7, 3, 8, 9}, crossed[] = {1, 5, 2, 3, 8, 4}, wrong[] = {9, 8, 1, 7, 2, 3};
  ck_assert(judge_auc(apart, y, 6, &se) == 1 && se == 0);
  /* 2 is above 1 (1 of 3), 8 above all (3), 4 above 1 and 3 (2): 6 of 9 pairs. */
  ck_assert(fabs(judge_auc(crossed, y, 6, &se) - 6.0 / 9) < 1e-15);
  double a = 6.0 / 9, q1 = a / (2 - a), q2 = 2 * a * a / (1 + a);
  ck_assert(fabs(se - sqrt((a * (1 - a) + 2 * (q1 - a * a) + 2 * (q2 - a * a)) / 9)) < 1e-15);
  ck_assert(judge_auc(wrong, y, 6, NULL) == 0);
}
END_TEST

START_TEST(equal_scores_count_half)
{
  const int32_t y[] = {0, 1, 0, 1, 1};
  const float same[] = {3, 3, 3, 3, 3}, some[] = {1, 2, 2, 2, 3}, inf[] = {0, NAN, 1, INFINITY, 2};
  ck_assert(judge_auc(same, y, 5, NULL) == 0.5);
  /* normal 1, 2; anomalous 2, 2, 3: (1 + .5) + (1 + .5) + 2 of 6. */
  ck_assert(fabs(judge_auc(some, y, 5, NULL) - 5.0 / 6) < 1e-15);
  ck_assert(judge_auc(inf, y, 5, NULL) == 1);
  ck_assert(judge_auc(same, (int32_t[]){1, 1, 1, 1, 1}, 5, NULL) == 0.5);
}
END_TEST

/* -- an autoencoder that leaves the second element of two out -- */

enum { N = 100 };

static float examples[N][2];
static int32_t labels[N];

/* Anomalies have a second element of 0.4 or more, normal ones of less, but for every tenth. */
static Split make_split(void) {
  for (int i = 0; i < N; i++) {
    labels[i] = i % 3 == 0;
    float far = 0.4f + 0.005f * (float)i, near = 0.003f * (float)i;
    examples[i][0] = 0.01f * (float)(i % 50);
    examples[i][1] = (labels[i] != 0) != (i % 10 == 9) ? far : near;
  }
  return (Split){.n = N, .item = {1, {2}}, .dtype = DT_F32, .x = examples, .y = labels, .anomaly = true};
}

static double by_pairs(void) {
  double sum = 0, pairs = 0;
  for (int i = 0; i < N; i++)
    for (int k = 0; k < N; k++) {
      if (!labels[i] || labels[k]) continue;
      sum += examples[i][1] > examples[k][1] ? 1 : examples[i][1] < examples[k][1] ? 0 : 0.5;
      pairs++;
    }
  return sum / pairs;
}

static void check(const char *text, double tolerance) {
  Graph *g = net_parse(text, 1);
  Split s = make_split();
  Diag *d = diag_new();
  Accuracy a;
  for (int threads = 1; threads <= 2; threads++) {
    ck_assert_msg(graph_accuracy(g, &s, NULL, threads, NULL, &a, NULL, d), "%s", diag_text(d));
    ck_assert(a.auc && a.n == N && fabs(a.top1 - by_pairs()) <= tolerance && a.stderr_ > 0);
  }
  diag_free(d);
  graph_free(g);
}

#define HALF "%2 = const : f32[2,2] {1,0, 0,0}\n%3 = FullyConnected(%1, %2)\n"
START_TEST(autoencoders_are_judged_by_auc)
{
  check("%1 = input : f32[N,2]\n" HALF "output %3\n", 1e-12);
  check("%1 = input : f32[N,2]\n" HALF
        "%4 = const : f32[2,2] {0,1, 1,0}\n%5 = FullyConnected(%3, %4)\n%6 = FullyConnected(%5, %4)\n"
        "%7 = FullyConnected(%6, %4)\n%8 = FullyConnected(%7, %4)\noutput %8\n",
        1e-12); /* long enough for memory to be used again */
  check("%1 = input : f32[N,2]\n" HALF "%4 = Cast(%3)\noutput %4\n", 1e-12); /* by kernels */
  check("%1 = input : i8[N,2] q(0.01, 0)\n%2 = const : i8[2,2] q(0.01, 0) {100,0, 0,0}\n"
        "%3 = FullyConnected(%1, %2) : i8[N,2] q(0.01, 0)\noutput %3\n",
        0.01);
}
END_TEST

static void want_refused(Split s, const char *text, const char *words) {
  Graph *g = net_parse(text, 1);
  Diag *d = diag_new();
  Accuracy a;
  ck_assert(!graph_accuracy(g, &s, NULL, 1, NULL, &a, NULL, d));
  ck_assert_msg(strstr(diag_text(d), words) != NULL, "%s", diag_text(d));
  diag_free(d);
  graph_free(g);
}

START_TEST(what_is_refused)
{
  Split s = make_split();
  want_refused(s,
               "%1 = input : f32[N,2]\n%2 = const : f32[3,2] {?}\n%3 = FullyConnected(%1, %2)\noutput %3\n",
               "3 outputs, 2 inputs");
  labels[1] = 2;
  want_refused(s, "%1 = input : f32[N,2]\n" HALF "output %3\n", "label 2 of example 1");
  for (int i = 0; i < N; i++) labels[i] = 1;
  want_refused(s, "%1 = input : f32[N,2]\n" HALF "output %3\n", "all 100 are anomalous");
  s.y = NULL;
  want_refused(s, "%1 = input : f32[N,2]\n" HALF "output %3\n", "AUC needs labelled examples");
}
END_TEST

/* Taylor importance of an autoencoder needs no labels: the loss is what it leaves over. */
START_TEST(importance_without_labels)
{
  Dataset ds = {.train = make_split()};
  ds.train.y = NULL;
  Graph *g =
      net_parse("%1 = input : f32[N,2]\n%2 = const : f32[2,2] {1,0, 0,0.5}\n%3 = FullyConnected(%1, %2)\n"
                "%4 = const : f32[2,2] {1,0, 0,1}\n%5 = FullyConnected(%3, %4)\noutput %5\n",
                1);
  double got[2] = {0}, **out = mem_array(g->n_vals, sizeof *out), want = 0;
  out[g->nodes[0].out[0]] = got;
  Diag *d = diag_new();
  ck_assert_msg(collect_taylor(g, &ds, 40, NULL, out, d), "%s", diag_text(d));
  /* loss ((x0 - x0)^2 + (x1 - x1 / 2)^2) / 2: activation x1 / 2 times gradient -x1 / 2 */
  for (int i = 0; i < 40; i++) want += pow((double)examples[i][1], 4) / 16;
  ck_assert_msg(got[0] == 0 && fabs(got[1] - want) < 1e-5 * want, "got %g %g, want 0 %g", got[0], got[1],
                want);
  mem_free(out);
  diag_free(d);
  graph_free(g);
}
END_TEST

/* Labels of anomalies are no classes: what a graph gives is compared by squares, and curvature has none of a softmax. */
START_TEST(anomalies_are_no_classes)
{
  Dataset ds = {.train = make_split()}, bare = ds;
  bare.train.y = NULL;
  Graph *g = net_parse("%1 = input : f32[N,2]\n" HALF "output %3\n", 1),
        *other = net_parse("%1 = input : f32[N,2]\n%2 = const : f32[2,2] {1,0, 0,1}\n"
                           "%3 = FullyConnected(%1, %2)\noutput %3\n",
                           1);
  Diag *d = diag_new();
  Divergence v;
  GramOptions o;
  Grams a, b;
  double want = 0;
  for (int i = 0; i < N; i++) want += (double)examples[i][1] * (double)examples[i][1] / 2 / N;
  ck_assert_msg(graph_divergence(g, other, &ds, 0, N, NULL, &v, d), "%s", diag_text(d));
  ck_assert_msg(fabs(v.value - want) < 1e-6 * want, "%g, want %g", v.value, want);
  gram_options_default(&o);
  ck_assert(grams_collect(g, &ds, &o, 1, NULL, &a, d) && grams_collect(g, &bare, &o, 1, NULL, &b, d));
  ck_assert(a.n == 1 && memcmp(a.v[0].fisher, b.v[0].fisher, 4 * sizeof(double)) == 0);
  ds.train.anomaly = false;
  ck_assert(split_has_classes(&ds.train) && graph_divergence(g, other, &ds, 0, N, NULL, &v, d));
  ck_assert(fabs(v.value - want) > 1e-3 * want);
  grams_free(&a);
  grams_free(&b);
  diag_free(d);
  graph_free(g);
  graph_free(other);
}
END_TEST

Suite *suite_judge(void) {
  Suite *s = suite_create("judge");
  TCase *t = tcase_create("judge");
  tcase_add_test(t, auc_by_hand);
  tcase_add_test(t, equal_scores_count_half);
  tcase_add_test(t, autoencoders_are_judged_by_auc);
  tcase_add_test(t, what_is_refused);
  tcase_add_test(t, importance_without_labels);
  tcase_add_test(t, anomalies_are_no_classes);
  suite_add_tcase(s, t);
  return s;
}
