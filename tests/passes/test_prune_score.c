/* Importance of units ranked by hand; where the choice of what to remove spends: at the peak of RAM, in the steps that a
 * target likes.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"
#include "passes/prune.h"
#include "tests/passes/images.h"
#include "tests/passes/nets.h"
#include "tests/passes/prune_nets.h"

Suite *suite_prune_score(void);

/* x [N,2] -> a (4 units, weights w) -> BatchNormalization -> Relu -> o. */
static Graph *small_net(const float *w, const float *scale, const float *var) {
  Graph *g = graph_new("small");
  Diag *d = diag_new();
  const Shape in = shape_of(2, (int64_t)DIM_BATCH, (int64_t)2), ws = shape_of(2, (int64_t)4, (int64_t)2),
              each = shape_of(1, (int64_t)4), os = shape_of(2, (int64_t)3, (int64_t)4);
  const float zero[4] = {0}, out[12] = {1, 1, 1, 1};
  const Loc loc = {.file = "small", .name = "a"};
  ValId x = graph_input(g, "x", DT_F32, &in);
  ValId y = graph_node(g, OP_fully_connected, NULL, (ValId[]){x, graph_const_data(g, "w", DT_F32, &ws, w)}, 2,
                       "a", &loc, d);
  if (scale) {
    batch_normalization_attrs a = {.axis = 1, .epsilon = 0};
    y = graph_node(g, OP_batch_normalization, &a,
                   (ValId[]){y, graph_const_data(g, "scale", DT_F32, &each, scale),
                             graph_const_data(g, "b", DT_F32, &each, zero),
                             graph_const_data(g, "mean", DT_F32, &each, zero),
                             graph_const_data(g, "var", DT_F32, &each, var)},
                   5, "bn", NULL, d);
  }
  y = graph_node1(g, OP_relu, NULL, y, "r", NULL, d);
  graph_output(g, graph_node2(g, OP_fully_connected, NULL, y, graph_const_data(g, "o", DT_F32, &os, out), "o",
                              NULL, d));
  ck_assert_msg(graph_verify(g, d), "%s", diag_text(d));
  diag_free(d);
  return g;
}

static Blob *scores(const Graph *g, PruneBy by, bool normalize, char *error, size_t n) {
  Diag *d = diag_new();
  Channels c;
  PruneOptions o;
  const PassCtx ctx = {.params = "", .seed = 3};
  prune_options_default(&o);
  o.by = by, o.normalize = normalize;
  ck_assert_msg(channels_find(g, NULL, &c, d), "%s", diag_text(d));
  Blob *b = prune_importance(&c, &o, &ctx, d);
  if (error) snprintf(error, n, "%s", diag_text(d));
  channels_free(&c);
  diag_free(d);
  return b;
}

static void want_scores(const Graph *g, PruneBy by, bool normalize, const double want[4], const char *what) {
  Blob *b = scores(g, by, normalize, NULL, 0);
  ck_assert_msg(b != NULL, "%s", what);
  const double *got = blob_data(b);
  for (int i = 0; i < 4; i++)
    ck_assert_msg(fabs(got[i] - want[i]) < 1e-6, "%s: unit %d has %g, want %g", what, i, got[i], want[i]);
  blob_unref(b);
}

/* Rows (3,4), (0,1), (1,0), (-2,0). */
static const float rows[8] = {3, 4, 0, 1, 1, 0, -2, 0};

START_TEST(test_norms)
{
  Graph *g = small_net(rows, NULL, NULL);
  const double l2 = sqrt(25 + 1 + 1 + 4), l1 = sqrt(49 + 1 + 1 + 4);
  want_scores(g, PRUNE_L2, false, (double[]){5 / l2, 1 / l2, 1 / l2, 2 / l2}, "l2");
  want_scores(g, PRUNE_L1, false, (double[]){7 / l1, 1 / l1, 1 / l1, 2 / l1}, "l1");
  want_scores(g, PRUNE_L2, true, (double[]){20 / 9.0, 4 / 9.0, 4 / 9.0, 8 / 9.0}, "l2, groups normalised");
  /* distances: 0-1 sqrt 18, 0-2 sqrt 20, 0-3 sqrt 41, 1-2 sqrt 2, 1-3 sqrt 5, 2-3 3 */
  const double far[4] = {sqrt(18) + sqrt(20) + sqrt(41), sqrt(18) + sqrt(2) + sqrt(5), sqrt(20) + sqrt(2) + 3,
                         sqrt(41) + sqrt(5) + 3};
  const double all = sqrt(far[0] * far[0] + far[1] * far[1] + far[2] * far[2] + far[3] * far[3]);
  want_scores(g, PRUNE_FPGM, false, (double[]){far[0] / all, far[1] / all, far[2] / all, far[3] / all},
              "fpgm");
  graph_free(g);
}
END_TEST

/* BatchNormalization counts: its factor in norms, its scale alone by bn. */
START_TEST(test_batch_normalization)
{
  const float scale[4] = {-1, 2, 0.5f, 3}, var[4] = {4, 1, 1, 9};
  Graph *g = small_net(rows, scale, var), *bare = small_net(rows, NULL, NULL);
  const double l2 = sqrt(2.5 * 2.5 + 4 + 0.25 + 4);
  want_scores(g, PRUNE_L2, false, (double[]){2.5 / l2, 2 / l2, 0.5 / l2, 2 / l2},
              "l2 with BatchNormalization");
  want_scores(g, PRUNE_BN, false, (double[]){1, 2, 0.5, 3}, "bn");
  char error[500];
  ck_assert_ptr_null(scores(bare, PRUNE_BN, false, error, sizeof error));
  ck_assert_msg(strstr(error, "group \"a\" passes no BatchNormalization"), "%s", error);
  graph_free(g);
  graph_free(bare);
}
END_TEST

/* A hidden unit is worth its rows of every gate. */
START_TEST(test_recurrent)
{
  Graph *g = graph_new("rnn");
  Diag *d = diag_new();
  const Shape in = shape_of(3, (int64_t)2, (int64_t)1, (int64_t)1), w = shape_of(2, (int64_t)2, (int64_t)1),
              r = shape_of(2, (int64_t)2, (int64_t)2), o = shape_of(2, (int64_t)1, (int64_t)2);
  rnn_attrs a;
  op_attrs_default(OP_rnn, &a);
  a.hidden = 2, a.acts = (Ints){3, {1, 1, 1}};
  ValId x = graph_input(g, "x", DT_F32, &in);
  ValId gates = graph_node2(g, OP_fully_connected, NULL, x,
                            graph_const_data(g, "w", DT_F32, &w, (float[]){3, 4}), "gates", NULL, d);
  ValId y = graph_node2(g, OP_rnn, &a, gates, graph_const_data(g, "r", DT_F32, &r, (float[]){0, 5, 12, 0}),
                        "rnn", NULL, d);
  graph_output(g, graph_node2(g, OP_fully_connected, NULL, y,
                              graph_const_data(g, "o", DT_F32, &o, (float[]){1, 1}), "o", NULL, d));
  Blob *b = scores(g, PRUNE_L2, false, NULL, 0);
  const double *got = blob_data(b);
  ck_assert_msg(fabs(got[0] - (3 / 5.0 + 5 / 13.0)) < 1e-6 && fabs(got[1] - (4 / 5.0 + 12 / 13.0)) < 1e-6,
                "%g %g", got[0], got[1]);
  blob_unref(b);
  graph_free(g);
  diag_free(d);
}
END_TEST

/* One image: |activation times gradient| of each unit, by hand. */
START_TEST(test_taylor)
{
  Graph *g = small_net(rows, NULL, NULL);
  const float out[12] = {0.5f, -1, 2, 0, 1, 0.25f, -1, 3, -0.5f, 1, 1, 1}, x[2] = {0.5f, 0.25f};
  const Shape os = shape_of(2, (int64_t)3, (int64_t)4);
  Node *last = &g->nodes[g->n_nodes - 1];
  last->in[1] = graph_const_data(g, "o2", DT_F32, &os, out);
  Dataset ds = images_random(g, 1, 3, 1);
  float *image = mem_alloc(sizeof x);
  memcpy(image, x, sizeof x);
  blob_unref(ds.train.xb);
  ds.train.xb = blob_adopt(image, sizeof x), ds.train.x = image;
  double a[4], z[3] = {0}, sum = 0, want[4];
  for (int i = 0; i < 4; i++) a[i] = fmax(0, (double)rows[2 * i] * x[0] + (double)rows[2 * i + 1] * x[1]);
  for (int k = 0; k < 3; k++) {
    for (int i = 0; i < 4; i++) z[k] += (double)out[4 * k + i] * a[i];
    sum += exp(z[k]);
  }
  for (int i = 0; i < 4; i++) {
    double gradient = 0;
    for (int k = 0; k < 3; k++) gradient += (double)out[4 * k + i] * (exp(z[k]) / sum - (k == ds.train.y[0]));
    want[i] = fabs(a[i] * gradient);
  }
  Diag *d = diag_new();
  Channels c;
  PruneOptions o;
  prune_options_default(&o);
  o.images = 1;
  ck_assert(channels_find(g, NULL, &c, d));
  Blob *b = prune_importance(&c, &o, &(PassCtx){.params = "", .data = &ds}, d);
  ck_assert_msg(b != NULL, "%s", diag_text(d));
  for (int i = 0; i < 4; i++)
    ck_assert_msg(fabs(((const double *)blob_data(b))[i] - want[i]) < 1e-5, "unit %d: %g, want %g", i,
                  ((const double *)blob_data(b))[i], want[i]);
  ck_assert(want[0] > 0 && want[3] < 1e-9);
  blob_unref(b);
  channels_free(&c);
  images_free(&ds);
  graph_free(g);
  diag_free(d);
}
END_TEST

/* On nets of every construct Taylor ranks, or is refused and says what can be done instead; weights always rank. */
START_TEST(test_every_construct)
{
  int ranked = 0, refused = 0;
  for (uint64_t seed = 0; seed < CONSTRUCTS; seed++) {
    Graph *g = prune_net(seed);
    if (g->n_inputs != 1 || g->n_outputs != 1) {
      graph_free(g);
      continue;
    }
    Dataset ds = images_random(g, 8, 4, seed);
    const char *const name = construct_info[seed].name;
    const PassCtx taylor = {.params = "params=0.95,images=8,least=1", .data = &ds},
                  fpgm = {.params = "params=0.95,by=fpgm,least=1"};
    Diag *d = diag_new();
    Graph *small = pass_find("prune")->run(g, &taylor, d);
    ck_assert_msg(small || strstr(diag_text(d), "by=l2") || strstr(diag_text(d), "cannot be met"), "%s: %s",
                  name, diag_text(d));
    ranked += small != NULL, refused += !small && strstr(diag_text(d), "by=l2") != NULL;
    graph_free(small);
    diag_clear(d);
    small = pass_find("prune")->run(g, &fpgm, d);
    ck_assert_msg(small || strstr(diag_text(d), "cannot be met"), "%s: %s", name, diag_text(d));
    graph_free(small);
    diag_free(d);
    images_free(&ds);
    graph_free(g);
  }
  printf("Taylor importance: %d nets ranked, %d refused\n", ranked, refused);
  ck_assert_int_gt(ranked, CONSTRUCTS / 2);
  ck_assert_int_gt(refused, 3);
}
END_TEST

/* Without data Taylor is refused and says what can be done. */
START_TEST(test_taylor_refused)
{
  char error[500];
  Graph *g = small_net(rows, NULL, NULL);
  ck_assert_ptr_null(scores(g, PRUNE_TAYLOR, false, error, sizeof error));
  ck_assert_msg(strstr(error, "needs training data") && strstr(error, "by=l2"), "%s", error);
  graph_free(g);
}
END_TEST

/* ---- where it spends */

static int64_t widest(const Graph *g) {
  int64_t most = 0;
  for (NodeId i = 0; i < g->n_nodes; i++) {
    const Node *n = &g->nodes[i];
    if (n->op != OP_conv) continue;
    const int64_t sum =
        shape_count(&graph_val(g, n->in[0])->shape) + shape_count(&graph_val(g, n->out[0])->shape);
    most = sum > most ? sum : most;
  }
  return most;
}

/* Rows of four channels at a time. */
static int64_t staircase(const Graph *g) {
  int64_t sum = 0;
  for (NodeId i = 0; i < g->n_nodes; i++) {
    const Node *n = &g->nodes[i];
    if (n->op != OP_conv) continue;
    const Shape *w = &graph_val(g, n->in[1])->shape, *y = &graph_val(g, n->out[0])->shape;
    sum += (w->d[0] + 3) / 4 * 4 * w->d[3] * w->d[1] * w->d[2] * y->d[1] * y->d[2];
  }
  return sum;
}

static bool target_cost(const void *ctx, const Graph *g, DType precision, Cost *out, Diag *d) {
  (void)ctx, (void)precision, (void)d;
  *out = (Cost){.flash = graph_params(g), .ram = widest(g), .cycles = staircase(g)};
  return true;
}

/* x [N,8,8,3] -> five 3x3 Convs; the values of the widths given. */
static Graph *chain(const int64_t widths[5]) {
  Graph *g = graph_new("chain");
  Diag *d = diag_new();
  Shape s = shape_of(4, (int64_t)DIM_BATCH, (int64_t)8, (int64_t)8, (int64_t)3);
  ValId x = graph_input(g, "x", DT_F32, &s);
  for (int i = 0; i < 5; i++) {
    const Shape w = shape_of(4, widths[i], (int64_t)1, (int64_t)1, graph_val(g, x)->shape.d[3]);
    float data[64 * 64];
    for (int k = 0; k < 64 * 64; k++) data[k] = 1 + 0.001f * (float)(k % 97);
    x = graph_node2(g, OP_conv, NULL, x, graph_const_data(g, "w", DT_F32, &w, data), "conv", NULL, d);
    x = graph_node1(g, OP_relu, NULL, x, "relu", NULL, d);
  }
  graph_output(g, x);
  diag_free(d);
  return g;
}

static PrunePlan planned(const Graph *g, const PruneLimits *limits, uint32_t steps) {
  const CostModel cost = {.cost = target_cost};
  const PassCtx ctx = {.cost = &cost, .seed = 1};
  Diag *d = diag_new();
  Channels c;
  PruneOptions o;
  PrunePlan p;
  prune_options_default(&o);
  o.by = PRUNE_L2, o.limits = *limits, o.steps = steps;
  ck_assert(channels_find(g, NULL, &c, d));
  Blob *b = prune_importance(&c, &o, &ctx, d);
  ck_assert_msg(b && prune_plan(&c, b, &o, &ctx, NULL, &p, d), "%s", diag_text(d));
  blob_unref(b);
  channels_free(&c);
  diag_free(d);
  return p;
}

/* The peak is between the second and the third layer: the others lose nothing. */
START_TEST(test_ram_at_the_peak)
{
  Graph *g = chain((int64_t[]){16, 32, 32, 16, 4});
  PrunePlan p = planned(g, &(PruneLimits){.ram = 64 * 56}, 1);
  ck_assert_msg(p.met && p.after.ram <= 64 * 56, "%s", p.missed);
  ck_assert_uint_eq(p.n_groups, 4);
  ck_assert_uint_eq(p.kept[0], 16);
  ck_assert_uint_eq(p.kept[3], 16);
  ck_assert_uint_eq(p.kept[1] + p.kept[2], 56);
  prune_plan_free(&p);
  /* 32 + 32 and 16 + 32 both too wide: what is in both goes first, nothing of the last */
  p = planned(g, &(PruneLimits){.ram = 64 * 40}, 1);
  ck_assert_msg(p.met, "%s", p.missed);
  ck_assert_uint_eq(p.kept[1] + p.kept[2], 40);
  ck_assert_uint_le(p.kept[0] + p.kept[1], 40);
  ck_assert_uint_le(p.kept[2] + p.kept[3], 40);
  prune_plan_free(&p);
  graph_free(g);
}
END_TEST

/* A target that computes four channels at a time gets multiples of four, unless it is told otherwise or nothing asks for
 * cycles. */
START_TEST(test_steps_of_the_target)
{
  Graph *g = chain((int64_t[]){32, 32, 64, 32, 4});
  PrunePlan p = planned(g, &(PruneLimits){.cycles = staircase(g) / 2}, 0);
  ck_assert_msg(p.met, "%s", p.missed);
  ck_assert_uint_eq(p.steps, 4);
  for (uint32_t i = 0; i < p.n_groups; i++) ck_assert_uint_eq(p.kept[i] % 4, 0);
  prune_plan_free(&p);
  p = planned(g, &(PruneLimits){.cycles = staircase(g) / 2}, 2);
  ck_assert_uint_eq(p.steps, 2);
  prune_plan_free(&p);
  p = planned(g, &(PruneLimits){.macs = 0.5}, 0);
  ck_assert_uint_eq(p.steps, 1);
  prune_plan_free(&p);
  graph_free(g);
}
END_TEST

Suite *suite_prune_score(void) {
  Suite *s = suite_create("prune_score");
  TCase *t = tcase_create("prune_score");
  tcase_add_test(t, test_norms);
  tcase_add_test(t, test_batch_normalization);
  tcase_add_test(t, test_recurrent);
  tcase_add_test(t, test_taylor);
  tcase_add_test(t, test_every_construct);
  tcase_add_test(t, test_taylor_refused);
  tcase_add_test(t, test_ram_at_the_peak);
  tcase_add_test(t, test_steps_of_the_target);
  suite_add_tcase(s, t);
  return s;
}
