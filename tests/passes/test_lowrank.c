/* Low rank: exact at full rank with any window, errors that are what evaluation shows, on data and without, weighted
 * outputs; candidates; the pass by ranks, energy and limits; what it refuses.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/eval.h"
#include "passes/channels.h"
#include "passes/lowrank.h"
#include "tests/engine/nets.h"
#include "tests/passes/images.h"
#include "tests/passes/nets.h"

Suite *suite_lowrank(void);

/* A layer that sees the whole input at its only position: an example is a row of what it reads. */
static const char *const WHOLE[] = {
    "%1 = input : f32[N,3,5,4] \"x\"\n%2 = const : f32[6,3,5,4] \"w\" {~}\n%3 = const : f32[6] \"b\" {~}\n"
    "%4 = Conv(%1, %2, %3) : f32[N,1,1,6] \"y\"\noutput %4\n",
    "%1 = input : f32[N,3,3,5] \"x\"\n%2 = const : f32[24,3,3,5] \"w\" {~}\n"
    "%3 = Conv(%1, %2) : f32[N,1,1,24] \"y\"\noutput %3\n",
    "%1 = input : f32[N,20] \"x\"\n%2 = const : f32[12,20] \"w\" {~}\n%3 = const : f32[12] \"b\" {~}\n"
    "%4 = FullyConnected(%1, %2, %3) : f32[N,12] \"y\"\noutput %4\n",
    "%1 = input : f32[N,9] \"x\"\n%2 = const : f32[30,9] \"w\" {~}\n"
    "%3 = FullyConnected(%1, %2) : f32[N,30] \"y\"\noutput %3\n"};
enum { N_WHOLE = sizeof WHOLE / sizeof *WHOLE, ROWS = 300 };

static Normal sums_of(const Dataset *ds) {
  Normal s;
  int64_t n = shape_count(&ds->train.item);
  normal_init(&s, n + 1, 1);
  double *x = mem_array((size_t)(n + 1), sizeof *x), y = 0;
  for (uint32_t i = 0; i < ds->train.n; i++) {
    for (int64_t k = 0; k < n; k++) x[k] = (double)((const float *)ds->train.x)[i * n + k];
    x[n] = 1;
    normal_add(&s, x, &y, 1);
  }
  mem_free(x);
  return s;
}

/* Mean over the examples of d^T F d, d: the outputs' difference. */
static double change(const Graph *a, const Graph *b, const Dataset *ds, const double *f) {
  Diag *d = diag_new();
  Shape s = graph_val(a, a->inputs[0])->shape;
  s.d[0] = ds->train.n;
  Tensor in = tensor_new(DT_F32, &s), x, y;
  memcpy(in.data, ds->train.x, tensor_bytes(&in));
  ck_assert_msg(graph_eval(a, &in, 1, &x, d) && graph_eval(b, &in, 1, &y, d), "%s", diag_text(d));
  int64_t o = shape_count(&x.shape) / ds->train.n;
  double sum = 0;
  for (uint32_t i = 0; i < ds->train.n; i++)
    for (int64_t j = 0; j < o; j++)
      for (int64_t k = 0; k < o; k++) {
        const float *p = (const float *)x.data + i * o, *q = (const float *)y.data + i * o;
        double w = f ? f[j * o + k] : j == k;
        sum += w * ((double)p[j] - (double)q[j]) * ((double)p[k] - (double)q[k]);
      }
  tensor_free(&in), tensor_free(&x), tensor_free(&y);
  diag_free(d);
  return sum / ds->train.n;
}

static NodeId layer_of(const Graph *g) {
  for (NodeId k = 0; k < g->n_nodes; k++)
    if (g->nodes[k].op == OP_conv || g->nodes[k].op == OP_fully_connected) return k;
  return NO_NODE;
}

static LowrankLayer *open_layer(const Graph *g, NodeId k, const LowrankNorm *norm) {
  const char *why;
  LowrankLayer *l = lowrank_open(g, k, norm, &why);
  ck_assert_msg(l != NULL, "%s", why);
  return l;
}

static Graph *apply(LowrankLayer *l, const Graph *g, const LowrankOption *o) {
  Diag *d = diag_new();
  Graph *out = lowrank_apply(g, &(LowrankPick){.layer = l, .option = *o}, 1, d);
  ck_assert_msg(out != NULL && graph_verify(out, d), "%s", diag_text(d));
  diag_free(d);
  ck_assert_int_eq(graph_macs(g) - graph_macs(out), lowrank_macs(l) - o->macs);
  ck_assert_int_eq(graph_params(g) - graph_params(out), lowrank_params(l) - o->params);
  return out;
}

/* Every method at every rank (tucker: some): what the option says is what evaluation shows, and more rank is never worse. */
static void check_errors(const Graph *g, const Dataset *ds, const LowrankNorm *norm) {
  LowrankLayer *l = open_layer(g, layer_of(g), norm);
  double energy = lowrank_energy(l);
  for (int m = 0; m < LOWRANK_METHODS; m++) {
    int64_t most_in, most = lowrank_most(l, (LowrankMethod)m, &most_in);
    double before = energy;
    for (int64_t r = 1; r <= most; r++) {
      LowrankOption o;
      ck_assert(lowrank_option(l, (LowrankMethod)m, r,
                               m == LOWRANK_TUCKER ? (r + 1) * most_in / (most + 1) : 0, &o) ||
                m == LOWRANK_TUCKER);
      if (m == LOWRANK_TUCKER && !lowrank_option(l, LOWRANK_TUCKER, r, r < most_in ? r : most_in, &o))
        continue;
      Graph *out = apply(l, g, &o);
      double shown = change(g, out, ds, norm->outputs);
      ck_assert_msg(fabs(shown - o.error) < 1e-5 * energy, "%s rank %d: error %g, evaluation shows %g of %g",
                    lowrank_method_name(o.method), (int)r, o.error, shown, energy);
      ck_assert_msg(o.error <= before * (1 + 1e-9), "%s rank %d is worse than one less",
                    lowrank_method_name(o.method), (int)r);
      if (r == most && m != LOWRANK_TUCKER) ck_assert(o.error < 1e-9 * energy);
      before = o.error;
      graph_free(out);
    }
  }
  lowrank_close(l);
}

START_TEST(test_error_on_data)
{
  for (int i = 0; i < N_WHOLE; i++) {
    Graph *g = net_parse(WHOLE[i], (uint64_t)i);
    Dataset ds = images_random(g, ROWS, 3, 7);
    Normal s = sums_of(&ds);
    check_errors(g, &ds, &(LowrankNorm){.inputs = &s});
    normal_free(&s);
    images_free(&ds);
    graph_free(g);
  }
}
END_TEST

START_TEST(test_weighted_outputs)
{
  Rng r;
  rng_seed(&r, 2, 2);
  for (int i = 0; i < N_WHOLE; i++) {
    Graph *g = net_parse(WHOLE[i], (uint64_t)i);
    Dataset ds = images_random(g, ROWS, 3, 7);
    Normal s = sums_of(&ds);
    int64_t o = graph_val(g, g->nodes[layer_of(g)].in[1])->shape.d[0];
    double *x = mem_array((size_t)(o * o), sizeof *x), *f = mem_array((size_t)(o * o), sizeof *f);
    for (int64_t k = 0; k < o * o; k++) x[k] = (double)rng_normal(&r);
    for (int64_t a = 0; a < o; a++) /* of rank 3 o / 4 */
      for (int64_t b = 0; b < o; b++)
        for (int64_t k = 0; k < 3 * o / 4; k++) f[a * o + b] += x[a * o + k] * x[b * o + k];
    check_errors(g, &ds, &(LowrankNorm){.inputs = &s, .outputs = f});
    mem_free(x), mem_free(f);
    normal_free(&s);
    images_free(&ds);
    graph_free(g);
  }
}
END_TEST

/* Without data the norm is the sum of squares of the weights: the responses to single inputs. svd discards the smallest
 * eigenvalues of M M^T. */
START_TEST(test_error_of_weights)
{
  for (int i = 0; i < N_WHOLE; i++) {
    Graph *g = net_parse(WHOLE[i], (uint64_t)i);
    Dataset ds = images_random(g, 1, 1, 7);
    images_free(&ds);
    int64_t n = shape_count(&ds.train.item);
    float *x = mem_array((size_t)(n * n), sizeof *x);
    for (int64_t k = 0; k < n; k++) x[k * n + k] = sqrtf((float)n);
    ds.train.x = x, ds.train.n = (uint32_t)n;
    check_errors(g, &ds, &(LowrankNorm){0});
    mem_free(x);
    graph_free(g);
  }
}
END_TEST

/* Data-aware beats plain on the data. */
START_TEST(test_data_help)
{
  Graph *g = net_parse(WHOLE[1], 1);
  Dataset ds = images_random(g, ROWS, 3, 7);
  Normal s = sums_of(&ds);
  const LowrankNorm aware = {.inputs = &s}, plain = {0};
  LowrankLayer *a = open_layer(g, layer_of(g), &aware), *p = open_layer(g, layer_of(g), &plain);
  for (int m = 0; m < LOWRANK_METHODS; m++)
    for (int64_t r = 2; r < 10; r += 3) {
      LowrankOption oa, op;
      ck_assert(lowrank_option(a, (LowrankMethod)m, r, 3, &oa) &&
                lowrank_option(p, (LowrankMethod)m, r, 3, &op));
      Graph *ga = apply(a, g, &oa), *gp = lowrank_apply(g, &(LowrankPick){.layer = p, .option = op}, 1, NULL);
      ck_assert_msg(change(g, ga, &ds, NULL) < change(g, gp, &ds, NULL), "%s rank %d",
                    lowrank_method_name(oa.method), (int)r);
      graph_free(ga), graph_free(gp);
    }
  lowrank_close(a), lowrank_close(p);
  normal_free(&s);
  images_free(&ds);
  graph_free(g);
}
END_TEST

/* Strides, padding, dilation and activation go to the right factor. */
START_TEST(test_full_rank_windows)
{
  static const char *const nets[] = {
      "%1 = input : f32[N,9,8,5] \"x\"\n%2 = const : f32[7,3,5,5] \"w\" {~}\n%3 = const : f32[7] \"b\" {~}\n"
      "%4 = Conv(%1, %2, %3) {strides=[2,1], pads=[1,2,0,1], act=relu} : f32[N,4,7,7] \"y\"\noutput %4\n",
      "%1 = input : f32[N,9,8,5] \"x\"\n%2 = const : f32[7,3,2,5] \"w\" {~}\n"
      "%3 = Conv(%1, %2) {strides=[1,3], pads=[1,0,2,1], dilations=[2,3]} : f32[N,8,2,7] \"y\"\noutput %3\n",
      "%1 = input : f32[N,7,8,6] \"x\"\n%2 = const : f32[4,1,1,6] \"w\" {~}\n"
      "%3 = Conv(%1, %2) {strides=[2,2]} : f32[N,4,4,4] \"y\"\noutput %3\n",
      "%1 = input : f32[N,3,6] \"x\"\n%2 = const : f32[4,6] \"w\" {~}\n%3 = const : f32[4] \"b\" {~}\n"
      "%4 = FullyConnected(%1, %2, %3) {act=relu6} : f32[N,3,4] \"y\"\noutput %4\n"};
  for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
    Graph *g = net_parse(nets[i], i + 1);
    Dataset ds = images_random(g, 8, 2, i);
    LowrankLayer *l = open_layer(g, layer_of(g), NULL);
    int made = 0;
    for (int m = 0; m < LOWRANK_METHODS; m++) {
      LowrankOption o;
      int64_t most_in, most = lowrank_most(l, (LowrankMethod)m, &most_in);
      if (!lowrank_option(l, (LowrankMethod)m, most, most_in, &o)) continue;
      Graph *out = apply(l, g, &o);
      double diff = images_difference(g, out, &ds, 8);
      ck_assert_msg(diff < 1e-5, "net %d, %s: outputs differ by %g", (int)i, lowrank_method_name(o.method),
                    diff);
      graph_free(out);
      made++;
    }
    ck_assert_int_eq(made, i < 2 ? 3 : 1);
    lowrank_close(l);
    images_free(&ds);
    graph_free(g);
  }
}
END_TEST

/* Candidates are smaller than the layer, none beats another, and they come with MACs falling. */
START_TEST(test_candidates)
{
  Arena *a = arena_new();
  Graph *g = net_residual(1, 3);
  const char *why;
  int all = 0;
  for (NodeId k = 0; k < g->n_nodes; k++) {
    LowrankLayer *l = lowrank_open(g, k, NULL, &why);
    LowrankOption *o;
    int n = l ? lowrank_options(l, LOWRANK_ALL, 2, a, &o) : 0;
    ck_assert(l != NULL || why != NULL);
    for (int i = 0; i < n; i++, all++) {
      ck_assert(o[i].macs < lowrank_macs(l) && o[i].params < lowrank_params(l) && o[i].rank % 2 == 0);
      ck_assert(o[i].error > 0 && o[i].error < lowrank_energy(l));
      if (i) ck_assert(o[i].macs <= o[i - 1].macs);
      for (int j = 0; j < i; j++)
        ck_assert(o[j].error < o[i].error || o[i].params < o[j].params || o[i].macs < o[j].macs);
    }
    lowrank_close(l);
  }
  ck_assert_int_gt(all, 30);
  graph_free(g);
  arena_free(a);
}
END_TEST

/* ---- the pass */

/* A net of which the target thinks what a test says: cycles are MACs, and peak RAM the widest value's bytes. */
static bool pretend(const void *ctx, const Graph *g, DType precision, Cost *out, Diag *d) {
  (void)d, (void)precision;
  *out = (Cost){.cycles = graph_macs(g), .flash = graph_params(g) * (precision == DT_I8 ? 1 : 4)};
  if (ctx) out->cycles = 1000000 + g->n_nodes; /* a target on which calls are dear, and MACs nothing */
  for (ValId v = 1; v < g->n_vals; v++)
    if (!val_is_const(g, v) && (int64_t)val_bytes(g, v) > out->ram) out->ram = (int64_t)val_bytes(g, v);
  return true;
}

typedef struct Said {
  char text[8000];
} Said;

static void keep_line(void *ctx, const char *line) {
  Said *s = ctx;
  size_t n = strlen(s->text);
  snprintf(s->text + n, sizeof s->text - n, "%s\n", line);
}

static Graph *run_pass(const Graph *g, const Dataset *ds, const char *params, const CostModel *cost,
                       Said *said, Diag *d) {
  Host host = {.log = keep_line, .ctx = said, .threads = 2};
  PassCtx ctx = {.params = params, .data = ds, .cost = cost, .host = &host};
  said->text[0] = 0;
  Graph *out = pass_find("lowrank")->run(g, &ctx, d);
  if (out) ck_assert_msg(graph_verify(out, d), "%s", diag_text(d));
  return out;
}

START_TEST(test_pass_limits)
{
  Graph *g = net_residual(1, 3);
  Dataset ds = images_random(g, 96, 5, 1);
  Said said;
  Diag *d = diag_new();
  double before = 0;
  static const double shares[] = {0.9, 0.7, 0.5};
  for (int i = 0; i < 3; i++) {
    char params[64];
    snprintf(params, sizeof params, "macs=%g,steps=2,images=96", shares[i]);
    Graph *out = run_pass(g, &ds, params, NULL, &said, d), *again = run_pass(g, &ds, params, NULL, &said, d);
    ck_assert_msg(out != NULL, "%s", diag_text(d));
    ck_assert((double)graph_macs(out) <= shares[i] * (double)graph_macs(g));
    ck_assert((double)graph_macs(out) > 0.8 * shares[i] * (double)graph_macs(g));
    ck_assert(graph_params(out) < graph_params(g));
    ck_assert(hash_equal(graph_hash(out), graph_hash(again)));
    double diff = images_difference(g, out, &ds, 32);
    ck_assert_msg(diff > before && diff < 0.5, "at %g: outputs differ by %g, %g before", shares[i], diff,
                  before);
    before = diff;
    graph_free(out), graph_free(again);
  }
  Graph *trained = images_pass(g, &ds, "lowrank{macs=0.6},distill{images=96,batch=32,bn_images=96}");
  graph_free(trained);
  ck_assert(run_pass(g, &ds, "macs=0.01", NULL, &said, d) == NULL);
  ck_assert_msg(strstr(diag_text(d), "cannot be met: macs"), "%s", diag_text(d));
  diag_free(d);
  images_free(&ds);
  graph_free(g);
}
END_TEST

/* Cycles that do not fall and RAM that rises refuse a layer, and its line says so. */
START_TEST(test_pass_target)
{
  Graph *g = net_residual(1, 3);
  Said said;
  Diag *d = diag_new();
  bool dear = true;
  const CostModel good = {.cost = pretend}, bad = {.cost = pretend, .ctx = &dear};
  Graph *out = run_pass(g, NULL, "energy=0.7,steps=2", &good, &said, d);
  ck_assert_msg(out != NULL, "%s", diag_text(d));
  ck_assert_msg(graph_macs(out) < graph_macs(g) && strstr(said.text, "rank "), "%s", said.text);
  Cost was, is;
  ck_assert(pretend(NULL, g, DT_I8, &was, d) && pretend(NULL, out, DT_I8, &is, d));
  ck_assert(is.ram <= was.ram && is.cycles < was.cycles);
  graph_free(out);
  out = run_pass(g, NULL, "energy=0.7,steps=2", &bad, &said, d);
  ck_assert_msg(out && hash_equal(graph_hash(out), graph_hash(g)), "%s", said.text);
  ck_assert_msg(strstr(said.text, "as it is: on the target cycles would go from"), "%s", said.text);
  graph_free(out);
  out = run_pass(g, NULL, "cycles=300000,steps=2", &good, &said, d);
  ck_assert_msg(out && graph_macs(out) <= 300000, "%s%s", said.text, diag_text(d));
  graph_free(out);
  ck_assert(run_pass(g, NULL, "cycles=300000", &bad, &said, d) == NULL);
  ck_assert(run_pass(g, NULL, "ram=100", &good, &said, d) == NULL);
  ck_assert_msg(strstr(diag_text(d), "prune reduces the peak"), "%s", diag_text(d));
  diag_free(d);
  graph_free(g);
}
END_TEST

START_TEST(test_pass_by_hand)
{
  Graph *g = net_residual(1, 3);
  const char *first = node_label(g, &g->nodes[net_find(g, OP_conv, 2)]);
  Said said;
  Diag *d = diag_new();
  char params[200];
  snprintf(params, sizeof params, "ranks=%s:3x4", first);
  Graph *out = run_pass(g, NULL, params, NULL, &said, d);
  ck_assert_msg(out && images_count(out, OP_conv) == images_count(g, OP_conv) + 2, "%s%s", said.text,
                diag_text(d));
  ck_assert(strstr(said.text, "tucker, rank 3 and 4") && strstr(said.text, "no rank is given"));
  graph_free(out);
  const char *second = node_label(g, &g->nodes[net_find(g, OP_conv, 1)]);
  snprintf(params, sizeof params, "ranks=%s:5,method=svd,keep=%s", first, second);
  out = run_pass(g, NULL, params, NULL, &said, d);
  ck_assert_msg(out && strstr(said.text, "svd, rank 5") && strstr(said.text, "it is to stay"), "%s%s",
                said.text, diag_text(d));
  graph_free(out);
  static const char *const wrong[][2] = {{"ranks=nobody:3", "no layer \"nobody\""},
                                         {"ranks=nobody", "want layer:R"},
                                         {"energy=0.9,keep=nobody", "no layer \"nobody\""},
                                         {"macs=0.5,energy=0.9", "one of these alone"},
                                         {"", "one of these alone"},
                                         {"ram=100", "name one: --target"},
                                         {"energy=0.9,method=cp", "want auto, svd, spatial or tucker"}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    Diag *w = diag_new();
    ck_assert(run_pass(g, NULL, wrong[i][0], NULL, &said, w) == NULL);
    ck_assert_msg(strstr(diag_text(w), wrong[i][1]), "%s: %s", wrong[i][0], diag_text(w));
    diag_free(w);
  }
  diag_free(d);
  graph_free(g);
}
END_TEST

Suite *suite_lowrank(void) {
  Suite *s = suite_create("lowrank");
  TCase *t = tcase_create("lowrank");
  tcase_add_test(t, test_error_on_data);
  tcase_add_test(t, test_weighted_outputs);
  tcase_add_test(t, test_error_of_weights);
  tcase_add_test(t, test_data_help);
  tcase_add_test(t, test_full_rank_windows);
  tcase_add_test(t, test_candidates);
  tcase_add_test(t, test_pass_limits);
  tcase_add_test(t, test_pass_target);
  tcase_add_test(t, test_pass_by_hand);
  tcase_set_timeout(t, 120);
  suite_add_tcase(s, t);
  return s;
}
