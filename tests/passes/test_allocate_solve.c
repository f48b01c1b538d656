/* Choosing options under limits: elimination against trying everything, limits kept and nearly used up, what is forbidden;
 * plans of widths on a residual net: MACs and RAM met, multiples, floors, plans inside of plans.
 */
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/base/strbuf.h"
#include "passes/allocate/allocate.h"
#include "passes/allocate/solve.h"
#include "tests/engine/nets.h"
#include "tests/passes/nets.h"
#include "tests/support.h"

Suite *suite_allocate_solve(void);

enum { GROUPS = 6, FACTORS = 7, OPTIONS = 4 };

typedef struct Random {
  Arena *a;
  SolveProblem p;
} Random;

/* Errors fall and costs rise with the option. Factors hold one to three groups. */
static Random make(uint64_t seed, uint32_t resources, bool forbid) {
  Random x = {.a = arena_new(), .p = {.n_groups = GROUPS, .n_factors = FACTORS, .n_resources = resources}};
  Rng r;
  rng_seed(&r, seed, 4);
  x.p.options = arena_array(x.a, GROUPS, sizeof(uint32_t));
  x.p.error = arena_array(x.a, GROUPS, sizeof(double *));
  x.p.factors = arena_array(x.a, FACTORS, sizeof(SolveFactor));
  for (uint32_t g = 0; g < GROUPS; g++) {
    x.p.options[g] = 2 + rng_below(&r, OPTIONS - 1);
    x.p.error[g] = arena_array(x.a, OPTIONS, sizeof(double));
    double e = 0;
    for (uint32_t i = x.p.options[g]; i-- > 0; e += (double)rng_uniform(&r)) x.p.error[g][i] = e;
  }
  for (uint32_t f = 0; f < FACTORS; f++) {
    SolveFactor *t = &x.p.factors[f];
    uint32_t first = f < GROUPS ? f : 0;
    t->group = arena_array(x.a, 3, sizeof(uint32_t));
    for (uint32_t g = first; g < GROUPS && t->n < 3; g++)
      if (g == first || rng_below(&r, 2)) t->group[t->n++] = g;
    size_t size = solve_factor_size(&x.p, t);
    for (uint32_t k = 0; k < resources; k++) {
      t->cost[k] = arena_array(x.a, size, sizeof(double));
      for (size_t i = 0; i < size; i++)
        t->cost[k][i] = (double)(i + 1) / (double)size + (double)rng_uniform(&r) / 8;
    }
    if (forbid && f == 1) {
      t->forbidden = arena_array(x.a, size, sizeof(bool));
      for (size_t i = 0; i < size; i++) t->forbidden[i] = i > size / 2;
    }
  }
  return x;
}

static bool next(const SolveProblem *p, uint32_t *x) {
  for (uint32_t g = p->n_groups; g-- > 0; x[g] = 0)
    if (++x[g] < p->options[g]) return true;
  return false;
}

START_TEST(elimination_is_exact)
{
  for (uint64_t seed = 0; seed < 40; seed++) {
    Random r = make(seed, 2, seed % 2);
    r.p.limit[0] = r.p.limit[1] = 1e9;
    const double price[SOLVE_RESOURCES] = {0.3 * (double)(seed % 5), 0.2};
    uint32_t x[GROUPS] = {0}, got[GROUPS];
    double least = INFINITY;
    do {
      double sum =
          solve_error(&r.p, x) + price[0] * solve_cost(&r.p, 0, x) + price[1] * solve_cost(&r.p, 1, x);
      if (solve_feasible(&r.p, x) && sum < least) least = sum;
    } while (next(&r.p, x));
    ck_assert(solve_at_prices(&r.p, price, got));
    ck_assert(solve_feasible(&r.p, got));
    double sum =
        solve_error(&r.p, got) + price[0] * solve_cost(&r.p, 0, got) + price[1] * solve_cost(&r.p, 1, got);
    ck_assert_msg(fabs(sum - least) < 1e-9, "seed %u: %g, want %g", (unsigned)seed, sum, least);
    arena_free(r.a);
  }
}
END_TEST

/* Within the limits always, and on average hardly worse than the best there is. */
START_TEST(limits_are_met)
{
  double ours = 0, best = 0;
  for (uint64_t seed = 0; seed < 60; seed++) {
    uint32_t resources = 1 + (uint32_t)(seed % 2), x[GROUPS] = {0}, full[GROUPS], got[GROUPS];
    Random r = make(seed, resources, seed % 3 == 0);
    bool too_large;
    for (uint32_t g = 0; g < GROUPS; g++) full[g] = r.p.options[g] - 1;
    for (uint32_t k = 0; k < resources; k++) r.p.limit[k] = 0.6 * solve_cost(&r.p, k, full);
    double least = INFINITY;
    do {
      if (solve_feasible(&r.p, x) && solve_error(&r.p, x) < least) least = solve_error(&r.p, x);
    } while (next(&r.p, x));
    ck_assert(least < INFINITY);
    ck_assert_msg(solve(&r.p, got, &too_large), "seed %u: nothing found", (unsigned)seed);
    ck_assert(solve_feasible(&r.p, got));
    ck_assert(solve_error(&r.p, got) >= least - 1e-9);
    ours += solve_error(&r.p, got), best += least;
    arena_free(r.a);
  }
  ck_assert_msg(ours < 1.02 * best, "errors %g in all, at best %g", ours, best);
}
END_TEST

START_TEST(nothing_fits)
{
  Random r = make(1, 1, false);
  uint32_t x[GROUPS];
  bool too_large;
  r.p.limit[0] = 1e-6;
  ck_assert(!solve(&r.p, x, &too_large));
  arena_free(r.a);
}
END_TEST

/* -- widths of a net, by a table made up -- */

static bool memory_cost(const void *ctx, const Graph *g, DType precision, Cost *out, Diag *d) {
  (void)ctx, (void)precision, (void)d;
  *out = (Cost){.macs = graph_macs(g), .params = graph_params(g), .flash = 5000 + graph_params(g)};
  out->cycles = 2 * out->macs;
  for (NodeId k = 0; k < g->n_nodes; k++) { /* what a node reads and makes, 9/10 of it */
    int64_t bytes = 0;
    const Node *n = &g->nodes[k];
    for (uint32_t i = 0; i < n->n_in; i++)
      if (!val_is_const(g, n->in[i])) bytes += (int64_t)val_bytes(g, n->in[i]) / 4;
    bytes += (int64_t)val_bytes(g, n->out[0]) / 4;
    if (bytes * 9 / 10 > out->ram) out->ram = bytes * 9 / 10;
  }
  return true;
}

typedef struct Net {
  Graph *g;
  Channels c;
  ErrorTable t;
  CostModel cost;
  PassCtx ctx;
  Diag *d;
} Net;

static Net net_of(Graph *graph) {
  Net n = {.g = graph, .d = diag_new(), .cost = {.cost = memory_cost}};
  ck_assert_msg(channels_find(n.g, NULL, &n.c, n.d), "%s", diag_text(n.d));
  error_table_init(&n.t, n.c.n_groups, n.c.n_units);
  Rng r;
  rng_seed(&r, 5, 5);
  for (uint32_t g = 0, i = 0; g < n.c.n_groups; g++) {
    double e = 0, each = 0.01 + (double)rng_uniform(&r);
    n.t.size[g] = n.c.groups[g].n;
    for (uint32_t k = 0; k < n.t.size[g]; k++, i++) {
      n.t.order[i] = (k * 3 + 1) % n.t.size[g]; /* sizes are powers of two */
      n.t.error[i] = e += each * (k + 1.0);
    }
  }
  return n;
}

static Net open_net(void) { return net_of(net_residual(2, 3)); }

static void close_net(Net *n) {
  error_table_free(&n->t);
  channels_free(&n->c);
  graph_free(n->g);
  diag_free(n->d);
}

static PrunePlan plan(Net *n, const PruneOptions *o, const PrunePlan *start) {
  PrunePlan p;
  n->ctx.cost = &n->cost;
  ck_assert_msg(allocate_plan(&n->c, &n->t, o, &n->ctx, start, &p, n->d), "%s", diag_text(n->d));
  return p;
}

START_TEST(widths_meet_limits)
{
  Net n = open_net();
  Cost whole;
  double ours = 0, channel_by_channel = 0;
  memory_cost(NULL, n.g, DT_I8, &whole, n.d);
  for (int k = 0; k < 5; k++) {
    PruneOptions o;
    prune_options_default(&o);
    o.steps = k % 2 ? 2 : 1, o.least = 2;
    if (k == 0 || k == 4) o.limits.macs = 0.5;
    if (k == 1) o.limits.params = 0.4;
    if (k == 2 || k == 4) o.limits.ram = whole.ram * 7 / 10;
    if (k == 3) o.limits.cycles = whole.cycles / 2, o.limits.flash = whole.flash * 8 / 10;
    PrunePlan p = plan(&n, &o, NULL), greedy;
    ck_assert_msg(p.met, "case %d: %s", k, p.missed);
    Graph *small = prune_apply(&n.c, &p, n.d);
    Cost c;
    memory_cost(NULL, small, DT_I8, &c, n.d);
    ck_assert(o.limits.macs == 0 || (double)c.macs <= 0.5 * (double)whole.macs);
    ck_assert(o.limits.params == 0 || (double)c.params <= 0.4 * (double)whole.params);
    ck_assert(o.limits.ram == 0 || c.ram <= o.limits.ram);
    ck_assert(o.limits.cycles == 0 || (c.cycles <= o.limits.cycles && c.flash <= o.limits.flash));
    for (uint32_t g = 0; g < p.n_groups; g++)
      ck_assert(p.kept[g] >= 2 && (p.kept[g] == p.size[g] || p.kept[g] % o.steps == 0));
    Blob *scores = error_table_scores(&n.t);
    ck_assert_msg(prune_plan(&n.c, scores, &o, &n.ctx, NULL, &greedy, n.d), "%s", diag_text(n.d));
    ck_assert(greedy.met);
    ours += allocate_expected(&n.t, &p), channel_by_channel += allocate_expected(&n.t, &greedy);
    blob_unref(scores);
    prune_plan_free(&greedy);
    graph_free(small);
    prune_plan_free(&p);
  }
  /* allocate_plan takes the better of the two: it must find what channel by channel does not */
  ck_assert_msg(ours < 0.98 * channel_by_channel, "errors %g, channel by channel %g", ours,
                channel_by_channel);
  close_net(&n);
}
END_TEST

/* Nine groups alive at once, whose table on the first grid is too large for the solver: the peak of RAM counts all the same, and
 * widths are found for all groups at once, not channel by channel. */
START_TEST(many_groups_alive)
{
  enum { BRANCHES = 9 };
  StrBuf text = {0};
  sb_printf(&text, "%%x = input : f32[N,8]\n");
  for (int i = 0; i < BRANCHES; i++)
    sb_printf(&text,
              "%%w%d = const : f32[16,8] {?}\n%%y%d = FullyConnected(%%x, %%w%d)\n%%z%d = Relu(%%y%d)\n", i,
              i, i, i, i);
  sb_printf(&text, "%%c = Concat(");
  for (int i = 0; i < BRANCHES; i++) sb_printf(&text, "%s%%z%d", i ? ", " : "", i);
  sb_printf(&text, ") {axis=1}\n%%v = const : f32[4,%d] {?}\n%%o = FullyConnected(%%c, %%v)\noutput %%o\n",
            16 * BRANCHES);
  Net n = net_of(net_parse(sb_str(&text), 2));
  sb_free(&text);
  ck_assert_uint_eq(n.c.n_groups, BRANCHES);
  for (uint32_t i = 0; i < n.c.n_units;
       i++) /* of four groups the first channel is dear, the others cost nothing */
    n.t.error[i] = i < 4 * 16 ? 3 + 0.001 * (i % 16) : 0.5 * (i % 16 + 1);
  Cost whole;
  memory_cost(NULL, n.g, DT_I8, &whole, n.d);
  PruneOptions o;
  prune_options_default(&o);
  o.steps = 1, o.least = 2, o.limits.ram = whole.ram * 6 / 10;
  PrunePlan p = plan(&n, &o, NULL), greedy;
  ck_assert_msg(p.met, "%s", p.missed);
  Blob *scores = error_table_scores(&n.t);
  ck_assert_msg(prune_plan(&n.c, scores, &o, &n.ctx, NULL, &greedy, n.d), "%s", diag_text(n.d));
  ck_assert(greedy.met && allocate_expected(&n.t, &p) < 0.6 * allocate_expected(&n.t, &greedy));
  blob_unref(scores);
  prune_plan_free(&greedy);
  prune_plan_free(&p);
  close_net(&n);
}
END_TEST

/* A plan inside a plan; and where widths are all smaller, by the order alone. */
START_TEST(plans_nest)
{
  Net n = open_net();
  PruneOptions o;
  prune_options_default(&o);
  o.limits.macs = 0.7;
  PrunePlan loose = plan(&n, &o, NULL), rel;
  o.limits.macs = 0.4;
  PrunePlan tight = plan(&n, &o, &loose), free_plan = plan(&n, &o, NULL);
  ck_assert(tight.met && prune_plan_relative(&loose, &tight, &rel, n.d));
  prune_plan_free(&rel);
  bool smaller = true;
  for (uint32_t g = 0; g < loose.n_groups; g++) smaller &= free_plan.kept[g] <= loose.kept[g];
  if (smaller) {
    ck_assert(prune_plan_relative(&loose, &free_plan, &rel, n.d));
    prune_plan_free(&rel);
  }
  prune_plan_free(&loose);
  prune_plan_free(&tight);
  prune_plan_free(&free_plan);
  close_net(&n);
}
END_TEST

START_TEST(impossible_limits_are_said)
{
  Net n = open_net();
  PruneOptions o;
  prune_options_default(&o);
  o.limits.ram = 10;
  PrunePlan p = plan(&n, &o, NULL);
  ck_assert(!p.met && strstr(p.missed, "ram"));
  prune_plan_free(&p);
  o.limits = (PruneLimits){.macs = 1e-6};
  p = plan(&n, &o, NULL);
  ck_assert(!p.met && strstr(p.missed, "macs"));
  prune_plan_free(&p);
  close_net(&n);
}
END_TEST

Suite *suite_allocate_solve(void) {
  Suite *s = suite_create("allocate_solve");
  TCase *t = tcase_create("allocate_solve");
  tcase_set_timeout(t, 60);
  tcase_add_test(t, elimination_is_exact);
  tcase_add_test(t, limits_are_met);
  tcase_add_test(t, nothing_fits);
  tcase_add_test(t, widths_meet_limits);
  tcase_add_test(t, many_groups_alive);
  tcase_add_test(t, plans_nest);
  tcase_add_test(t, impossible_limits_are_said);
  suite_add_tcase(s, t);
  return s;
}
