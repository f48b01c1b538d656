/* Pruning: over random nets that combine every construct, the pruned graph computes what the original does when no
 * weight reads a removed channel; limits, multiples and floors hold; plans nest, print and parse.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/onnx/onnx.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "passes/prune.h"
#include "passes/prune_size.h"
#include "tests/passes/nets.h"
#include "tests/passes/pruned.h"
#include "tests/support.h"

Suite *suite_prune(void);

enum { NETS = 200 };

static Channels find(const Graph *g) {
  Diag *d = diag_new();
  Channels c;
  ck_assert_msg(channels_find(g, NULL, &c, d), "%s", diag_text(d));
  diag_free(d);
  return c;
}

static Graph *apply(const Channels *c, const PrunePlan *p) {
  Diag *d = diag_new();
  Graph *g = prune_apply(c, p, d);
  ck_assert_msg(g != NULL && graph_verify(g, d), "%s", diag_text(d));
  diag_free(d);
  return g;
}

START_TEST(test_same_as_zeroed)
{
  uint32_t removed = 0, ops = 0;
  for (uint64_t seed = 0; seed < NETS; seed++) {
    Graph *g = net_random(seed);
    Channels c = find(g);
    PrunePlan p = pruned_plan(&c, seed, seed % 3 ? 0.5f : 0.1f, NULL);
    Graph *small = apply(&c, &p), *zero = pruned_zeroed(&c, &p);
    double diff = pruned_difference(small, zero, seed);
    ck_assert_msg(diff < 1e-5, "net %llu: outputs differ by %g", (unsigned long long)seed, diff);
    for (uint32_t u = 0; u < c.n_units; u++) removed += !p.keep[u];
    ck_assert(graph_params(small) <= graph_params(g));
    ops |= g->n_nodes > 10;
    prune_plan_free(&p);
    channels_free(&c);
    graph_free(small);
    graph_free(zero);
    graph_free(g);
  }
  ck_assert_msg(removed > 5 * NETS && ops, "only %u units removed in all", removed);
}
END_TEST

/* Widths of all values are those that the plan says. */
START_TEST(test_widths)
{
  for (uint64_t seed = 0; seed < 40; seed++) {
    Graph *g = net_random(seed);
    Channels c = find(g);
    PrunePlan p = pruned_plan(&c, seed, 0.5f, NULL);
    Graph *small = apply(&c, &p);
    Channels after = find(small);
    if (after.n_groups != c.n_groups) {
      StrBuf text = {0};
      graph_print(g, &text, 0);
      channels_print(&c, &text);
      channels_print(&after, &text);
      fputs(sb_str(&text), stderr);
      ck_abort_msg("net %llu: other groups after pruning, as printed", (unsigned long long)seed);
    }
    for (uint32_t i = 0; i < c.n_groups; i++) {
      ck_assert_uint_eq(after.groups[i].n, p.kept[i]);
      ck_assert_str_eq(after.groups[i].name, c.groups[i].name);
    }
    prune_plan_free(&p);
    channels_free(&c);
    channels_free(&after);
    graph_free(small);
    graph_free(g);
  }
}
END_TEST

/* Pruning in two steps gives the same graph as pruning in one. */
START_TEST(test_relative)
{
  Diag *d = diag_new();
  for (uint64_t seed = 0; seed < 60; seed++) {
    Graph *g = net_random(seed);
    Channels c = find(g);
    PrunePlan loose = pruned_plan(&c, seed, 0.7f, NULL), tight = pruned_plan(&c, seed + 1000, 0.6f, &loose),
              rest;
    Graph *once = apply(&c, &tight), *first = apply(&c, &loose);
    Channels c2 = find(first);
    ck_assert_msg(prune_plan_relative(&loose, &tight, &rest, d), "%s", diag_text(d));
    Graph *twice = apply(&c2, &rest);
    ck_assert_msg(hash_equal(graph_hash(once), graph_hash(twice)), "net %llu", (unsigned long long)seed);
    prune_plan_free(&loose);
    prune_plan_free(&tight);
    prune_plan_free(&rest);
    channels_free(&c);
    channels_free(&c2);
    graph_free(once);
    graph_free(first);
    graph_free(twice);
    graph_free(g);
  }
  diag_free(d);
}
END_TEST

START_TEST(test_text)
{
  Diag *d = diag_new();
  for (uint64_t seed = 0; seed < 20; seed++) {
    Graph *g = net_random(seed);
    Channels c = find(g);
    PrunePlan p = pruned_plan(&c, seed, 0.5f, NULL), q;
    StrBuf text = {0};
    prune_plan_print(&c, &p, &text);
    ck_assert_msg(prune_plan_parse(sb_str(&text), &c, &q, d), "%s\n%s", diag_text(d), sb_str(&text));
    ck_assert_mem_eq(p.keep, q.keep, c.n_units);
    ck_assert_mem_eq(p.kept, q.kept, c.n_groups * sizeof *p.kept);
    for (size_t cut = 0; cut + 1 < text.len;
         cut += 7) { /* no part of it is a plan, or one with fewer units */
      char *part = mem_strdup(sb_str(&text));
      part[cut] = 0;
      PrunePlan r;
      if (prune_plan_parse(part, &c, &r, d)) prune_plan_free(&r);
      mem_free(part);
    }
    diag_clear(d);
    sb_free(&text);
    prune_plan_free(&p);
    prune_plan_free(&q);
    channels_free(&c);
    graph_free(g);
  }
  diag_free(d);
}
END_TEST

/* ---- plans by limits */

typedef struct Planned {
  Graph *g;
  Channels c;
  Blob *importance;
  PruneOptions o;
  PassCtx ctx;
  Diag *d;
} Planned;

static Planned planned(Graph *g, const CostModel *cost) {
  Planned t = {.g = g, .ctx = {.cost = cost, .seed = 5}, .d = diag_new()};
  t.c = find(g);
  prune_options_default(&t.o);
  t.o.by = PRUNE_L2;
  t.importance = prune_importance(&t.c, &t.o, &t.ctx, t.d);
  ck_assert_msg(t.importance != NULL, "%s", diag_text(t.d));
  return t;
}

static void planned_free(Planned *t) {
  channels_free(&t->c);
  blob_unref(t->importance);
  graph_free(t->g);
  diag_free(t->d);
}

static PrunePlan plan(Planned *t, const PrunePlan *start) {
  PrunePlan p;
  ck_assert_msg(prune_plan(&t->c, t->importance, &t->o, &t->ctx, start, &p, t->d), "%s", diag_text(t->d));
  return p;
}

static bool within(const PrunePlan *tight, const PrunePlan *loose) {
  for (uint32_t u = 0; u < loose->n_units; u++)
    if (tight->keep[u] && !loose->keep[u]) return false;
  return true;
}

START_TEST(test_macs_limit)
{
  static const double shares[] = {0.9, 0.7, 0.5, 0.3, 0.2};
  Planned t = planned(net_residual(3, 2), NULL);
  PrunePlan last = {0};
  t.o.steps = 2;
  for (size_t i = 0; i < 5; i++) {
    t.o.limits = (PruneLimits){.macs = shares[i]};
    PrunePlan p = plan(&t, i > 0 ? &last : NULL);
    Graph *small = apply(&t.c, &p);
    double got = (double)graph_macs(small) / (double)graph_macs(t.g);
    ck_assert_msg(p.met && got <= shares[i] && got > shares[i] - 0.08, "share %g: got %g", shares[i], got);
    ck_assert_int_eq(p.after.macs, graph_macs(small));
    ck_assert_int_eq(p.after.params, graph_params(small));
    for (uint32_t g = 0; g < p.n_groups; g++)
      ck_assert_msg(p.kept[g] % 2 == 0 && p.kept[g] >= 4, "group %u keeps %u", g, p.kept[g]);
    if (i > 0)
      ck_assert_msg(within(&p, &last), "the plan for %g keeps what the one for %g removed", shares[i],
                    shares[i - 1]);
    prune_plan_free(&last);
    last = p;
    graph_free(small);
  }
  prune_plan_free(&last);
  planned_free(&t);
}
END_TEST

START_TEST(test_uniform_and_widths)
{
  Planned t = planned(net_residual(2, 2), NULL);
  t.o.uniform = true;
  t.o.limits = (PruneLimits){.macs = 0.5};
  PrunePlan p = plan(&t, NULL);
  ck_assert(p.met && p.after.macs * 2 <= p.before.macs);
  double least = 1, most = 0;
  for (uint32_t g = 0; g < p.n_groups; g++) {
    least = fmin(least, (double)p.kept[g] / p.size[g]);
    most = fmax(most, (double)p.kept[g] / p.size[g]);
  }
  ck_assert_msg(most - least < 0.15, "shares from %g to %g", least, most);
  StrBuf widths = {0};
  for (uint32_t g = 0; g < p.n_groups; g++) sb_printf(&widths, "%s%u", g ? "/" : "", p.kept[g]);
  t.o.uniform = false;
  t.o.limits = (PruneLimits){0};
  t.o.widths = sb_str(&widths);
  PrunePlan q = plan(&t, NULL);
  ck_assert_mem_eq(p.keep, q.keep, p.n_units);
  t.o.widths = "3/4";
  PrunePlan r;
  ck_assert(!prune_plan(&t.c, t.importance, &t.o, &t.ctx, NULL, &r, t.d));
  ck_assert_msg(strstr(diag_text(t.d), "2 numbers, want"), "%s", diag_text(t.d));
  prune_plan_free(&p);
  prune_plan_free(&q);
  prune_plan_free(&r);
  sb_free(&widths);
  planned_free(&t);
}
END_TEST

/* A target whose flash is the parameters in bytes, whose RAM is the largest sum of a node's inputs and output, and
 * which counts its questions. */
typedef struct FakeTarget {
  int asked;
} FakeTarget;

static int64_t widest_node(const Graph *g) {
  int64_t most = 0;
  for (NodeId i = 0; i < g->n_nodes; i++) {
    const Node *n = &g->nodes[i];
    if (n->op != OP_conv) continue;
    int64_t sum = shape_count(&graph_val(g, n->in[0])->shape) + shape_count(&graph_val(g, n->out[0])->shape);
    most = sum > most ? sum : most;
  }
  return most;
}

static bool fake_cost(const void *ctx, const Graph *g, DType precision, Cost *out, Diag *d) {
  (void)d;
  FakeTarget *t = *(FakeTarget *const *)ctx;
  t->asked++;
  *out = (Cost){.flash = 1000 + graph_params(g) * (int64_t)dtype_size(precision),
                .ram = widest_node(g),
                .cycles = 3 * graph_macs(g)};
  return true;
}

START_TEST(test_target_limits)
{
  FakeTarget fake = {0}, *at = &fake;
  CostModel cost = {.ctx = &at, .cost = fake_cost};
  Planned t = planned(net_residual(3, 2), &cost);
  t.o.limits = (PruneLimits){.flash = 12000, .ram = 900, .cycles = graph_macs(t.g)};
  PrunePlan p = plan(&t, NULL);
  ck_assert_msg(p.met, "%s", p.missed);
  ck_assert(p.after.flash <= 12000 && p.after.ram <= 900 && p.after.cycles <= graph_macs(t.g));
  ck_assert_msg(fake.asked < 60, "asked %d times", fake.asked);
  Graph *small = apply(&t.c, &p);
  ck_assert_int_eq(p.after.ram, widest_node(small));
  /* a tighter plan from this one removes more of the same */
  t.o.limits.flash = 8000;
  PrunePlan q = plan(&t, &p);
  ck_assert(q.met && q.after.flash <= 8000 && within(&q, &p));
  prune_plan_free(&p);
  prune_plan_free(&q);
  graph_free(small);
  planned_free(&t);
}
END_TEST

START_TEST(test_unreachable)
{
  FakeTarget fake = {0}, *at = &fake;
  CostModel cost = {.ctx = &at, .cost = fake_cost};
  Planned t = planned(net_residual(1, 2), &cost);
  t.o.limits = (PruneLimits){.flash = 1100};
  PrunePlan p = plan(&t, NULL);
  ck_assert(!p.met);
  ck_assert_msg(strncmp(p.missed, "flash: at least ", 16) == 0, "%s", p.missed);
  ck_assert(p.after.flash < p.before.flash);
  for (uint32_t g = 0; g < p.n_groups; g++)
    ck_assert_uint_eq(p.kept[g], p.size[g] / 10 > 4 ? p.size[g] / 10 : 4);
  prune_plan_free(&p);
  planned_free(&t);

  Diag *d = diag_new();
  Graph *g = net_residual(1, 2);
  PassCtx ctx = {.params = "macs=0.0001,by=l2"};
  ck_assert_ptr_null(pass_find("prune")->run(g, &ctx, d));
  ck_assert_msg(strstr(diag_text(d), "cannot be met: macs: at least "), "%s", diag_text(d));
  diag_free(d);
  graph_free(g);
}
END_TEST

START_TEST(test_wrong_parameters)
{
  static const struct {
    const char *params, *message;
  } cases[] = {{"", "want a limit"},
               {"macs=0.5,widths=1/2", "not both"},
               {"macs=-1", "macs=-1, want a number"},
               {"macs=half", "macs=half, want a number"},
               {"macs=0.5,by=magic", "by=magic, want taylor"},
               {"macs=0.5,steps=0", "steps=0, want"},
               {"macs=0.5", "needs training data"},
               {"ram=1000,by=l2", "those of a target"},
               {"macs=0.5,by=l2,keep=nobody", "no layer \"nobody\""}};
  Graph *g = net_residual(1, 2);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    Diag *d = diag_new();
    PassCtx ctx = {.params = cases[i].params};
    ck_assert_ptr_null(pass_find("prune")->run(g, &ctx, d));
    ck_assert_msg(strstr(diag_text(d), cases[i].message), "prune{%s}: got %s", cases[i].params, diag_text(d));
    diag_free(d);
  }
  graph_free(g);
}
END_TEST

/* Estimated MACs and parameters are exact. */
START_TEST(test_estimates)
{
  for (uint64_t seed = 0; seed < 40; seed++) {
    Graph *g = net_random(seed);
    Channels c = find(g);
    PrunePlan p = pruned_plan(&c, seed, 0.6f, NULL);
    Sizer *s = sizer_new(&c, DT_I8);
    for (uint32_t u = 0; u < c.n_units; u++)
      if (!p.keep[u]) sizer_remove(s, u);
    Sizes z = sizer_sizes(s);
    Graph *small = apply(&c, &p);
    ck_assert_msg(fabs(z.v[RES_MACS] - (double)graph_macs(small)) < 0.5, "net %llu: %g MACs, want %lld",
                  (unsigned long long)seed, z.v[RES_MACS], (long long)graph_macs(small));
    ck_assert_msg(fabs(z.v[RES_PARAMS] - (double)graph_params(small)) < 0.5,
                  "net %llu: %g parameters, want %lld", (unsigned long long)seed, z.v[RES_PARAMS],
                  (long long)graph_params(small));
    double sum[RES_COUNT] = {0}; /* node by node, however often it is asked (these nets share no constants) */
    for (int again = 0; again < 2; again++) {
      memset(sum, 0, sizeof sum);
      for (NodeId n = 0; n < g->n_nodes; n++) {
        double v[RES_COUNT];
        sizer_node(s, n, v);
        for (int k = 0; k < RES_COUNT; k++) sum[k] += v[k];
      }
    }
    for (int k = RES_MACS; k <= RES_FLASH; k++)
      ck_assert_msg(fabs(sum[k] - z.v[k]) < 0.5, "net %llu, resource %d: nodes %g, all %g",
                    (unsigned long long)seed, k, sum[k], z.v[k]);
    sizer_free(s);
    prune_plan_free(&p);
    channels_free(&c);
    graph_free(small);
    graph_free(g);
  }
}
END_TEST

/* A real net with zero-padded shortcuts, as torch exports it. */
START_TEST(test_resnet20)
{
  char path[4096];
  if (!test_shared_path(path, sizeof path, "data/models/onnx/resnet20_cifar10j_dynbatch_bn.onnx")) return;
  Diag *d = diag_new();
  PassCtx ctx = {.params = ""};
  Graph *file = onnx_import(path, d);
  Graph *g = file ? pipeline_run(file, "fold,layout{input=nhwc},fold,dce", &ctx, NULL, d) : NULL;
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  Planned t = planned(g, NULL);
  t.o.limits.macs = 0.5;
  t.o.steps = 4;
  /* trunk: 16 units through all stages, 16 from the second on, 32 in the third; 9 blocks inside */
  ck_assert_uint_eq(t.c.n_groups, 12);
  ck_assert_uint_eq(t.c.n_units, 64 + 3 * 16 + 3 * 32 + 3 * 64);
  PrunePlan p = plan(&t, NULL);
  ck_assert_msg(p.met, "%s", p.missed);
  Graph *small = apply(&t.c, &p), *zero = pruned_zeroed(&t.c, &p);
  ck_assert(graph_macs(small) * 2 <= graph_macs(g) && graph_macs(small) * 100 > graph_macs(g) * 46);
  double diff = pruned_difference(small, zero, 1);
  ck_assert_msg(diff < 1e-5, "outputs differ by %g", diff);
  prune_plan_free(&p);
  graph_free(small);
  graph_free(zero);
  graph_free(file);
  planned_free(&t);
  diag_free(d);
}
END_TEST

Suite *suite_prune(void) {
  Suite *s = suite_create("prune");
  TCase *t = tcase_create("prune");
  tcase_add_test(t, test_same_as_zeroed);
  tcase_add_test(t, test_widths);
  tcase_add_test(t, test_relative);
  tcase_add_test(t, test_text);
  tcase_add_test(t, test_macs_limit);
  tcase_add_test(t, test_uniform_and_widths);
  tcase_add_test(t, test_target_limits);
  tcase_add_test(t, test_unreachable);
  tcase_add_test(t, test_wrong_parameters);
  tcase_add_test(t, test_estimates);
  tcase_add_test(t, test_resnet20);
  suite_add_tcase(s, t);
  return s;
}
