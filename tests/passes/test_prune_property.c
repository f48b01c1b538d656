/* A pruned graph equals the original with the pruned channels' reads zeroed: on generated networks of every construct
 * by which channels are coupled, and on the models of the shared folder.
 */
#include <check.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/onnx/onnx.h"
#include "frontend/tflite/tflite.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/reduce.h"
#include "passes/prune.h"
#include "passes/prune_size.h"
#include "tests/passes/prune_nets.h"
#include "tests/passes/pruned.h"
#include "tests/random/random.h"
#include "tests/support.h"

Suite *suite_prune_property(void);

/* ---- generated networks */

enum { SLICES = 2, ROUNDS = 9 /* of a slice: nets of each construct */, REDUCE_CHECKS = 2000 };

typedef struct Case {
  uint64_t seed;
  int64_t removed[CONSTRUCTS]; /* units that stand in what each construct makes */
} Case;

static void count_removed(const Channels *c, const PrunePlan *p, Case *k) {
  const Graph *g = c->graph;
  uint8_t *seen = mem_array((size_t)c->n_units * CONSTRUCTS + 1, 1);
  for (NodeId i = 0; i < g->n_nodes; i++) {
    const int construct = prune_net_construct(g, &g->nodes[i]);
    const ValId y = g->nodes[i].out[0];
    for (int a = 0; construct >= 0 && a < graph_val(g, y)->shape.rank; a++) {
      const uint32_t *unit = c->along[y].axis[a];
      for (int64_t e = 0; unit && e < graph_val(g, y)->shape.d[a]; e++) {
        if (unit[e] == CHAN_FIXED || p->keep[unit[e]] ||
            seen[(size_t)unit[e] * CONSTRUCTS + (size_t)construct]++)
          continue;
        k->removed[construct]++;
      }
    }
  }
  mem_free(seen);
}

/* Estimates are exact. */
static bool sizes_hold(const Channels *c, const PrunePlan *p, const Graph *small, StrBuf *why) {
  Sizer *s = sizer_new(c, DT_I8);
  for (uint32_t u = 0; u < c->n_units; u++)
    if (!p->keep[u]) sizer_remove(s, u);
  const Sizes z = sizer_sizes(s);
  sizer_free(s);
  const double macs = (double)graph_macs(small), params = (double)graph_params(small);
  if (fabs(z.v[RES_MACS] - macs) < 0.5 && fabs(z.v[RES_PARAMS] - params) < 0.5) return true;
  sb_printf(why, "estimated %g MACs, %g parameters; want %g, %g\n", z.v[RES_MACS], z.v[RES_PARAMS], macs,
            params);
  return false;
}

/* The pruned graph has the same groups, of what was kept; pruned further it is what it would be if pruned at once. */
static bool groups_hold(const Channels *c, const PrunePlan *p, const Graph *small, uint64_t seed, StrBuf *why,
                        Diag *d) {
  Channels now;
  PrunePlan tight = pruned_plan(c, seed + 1000, 0.6f, p), rest = {0};
  bool ok = channels_find(small, NULL, &now, d) && now.n_groups == c->n_groups;
  for (uint32_t i = 0; ok && i < c->n_groups; i++) ok = now.groups[i].n == p->kept[i];
  if (!ok) sb_puts(why, "the pruned graph has other groups\n");
  if (ok && prune_plan_relative(p, &tight, &rest, d)) {
    Graph *twice = prune_apply(&now, &rest, d), *once = prune_apply(c, &tight, d);
    ok = once && twice && hash_equal(graph_hash(once), graph_hash(twice));
    if (!ok) sb_printf(why, "pruned twice is not pruned once: %s\n", diag_text(d));
    graph_free(once);
    graph_free(twice);
  }
  prune_plan_free(&tight);
  prune_plan_free(&rest);
  channels_free(&now);
  return ok;
}

static bool net_holds(const Graph *g, Case *k, StrBuf *why) {
  Diag *d = diag_new();
  Channels c;
  bool ok = channels_find(g, NULL, &c, d);
  PrunePlan p = {0};
  Graph *small = NULL;
  if (ok) {
    p = pruned_plan(&c, k->seed, k->seed % 3 ? 0.6f : 0.2f, NULL);
    small = prune_apply(&c, &p, d);
    ok = small && graph_verify(small, d);
  }
  if (!ok) sb_printf(why, "%s\n", diag_text(d));
  if (ok) {
    Graph *zero = pruned_zeroed(&c, &p);
    const double diff = pruned_difference(small, zero, k->seed);
    ok = diff < 1e-4;
    if (!ok) sb_printf(why, "outputs differ by %g\n", diff);
    ok = ok && sizes_hold(&c, &p, small, why) && groups_hold(&c, &p, small, k->seed, why, d);
    graph_free(zero);
    count_removed(&c, &p, k);
  }
  graph_free(small);
  prune_plan_free(&p);
  channels_free(&c);
  diag_free(d);
  return ok;
}

static bool still_fails(void *ctx, const Graph *g) {
  StrBuf why = {0};
  const bool holds = net_holds(g, ctx, &why);
  sb_free(&why);
  return !holds;
}

/* The net, reduced, on standard error. */
static void show_failure(const Graph *g, Case *k, const StrBuf *why) {
  const ReduceOptions o = {.fails = still_fails, .ctx = k, .max_checks = REDUCE_CHECKS};
  Graph *small = graph_reduce(g, &o, NULL);
  StrBuf text = {0};
  Diag *d = diag_new();
  Channels c;
  sb_printf(&text, "net %llu: %s", (unsigned long long)k->seed, why->s);
  graph_print(small, &text, 8);
  if (channels_find(small, NULL, &c, d)) channels_print(&c, &text);
  fputs(sb_str(&text), stderr);
  channels_free(&c);
  diag_free(d);
  sb_free(&text);
  graph_free(small);
}

START_TEST(test_nets)
{
  Case k = {0};
  for (int i = 0; i < ROUNDS * CONSTRUCTS; i++) {
    StrBuf why = {0};
    k.seed = (uint64_t)(_i * ROUNDS * CONSTRUCTS + i);
    Graph *g = prune_net(k.seed);
    if (!net_holds(g, &k, &why)) {
      show_failure(g, &k, &why);
      ck_abort_msg("net %llu, as printed", (unsigned long long)k.seed);
    }
    graph_free(g);
    sb_free(&why);
  }
  printf("units removed in what each construct makes:");
  for (int i = 0; i < CONSTRUCTS; i++) {
    printf(" %s %lld", construct_info[i].name, (long long)k.removed[i]);
    ck_assert_msg((k.removed[i] > 0) == construct_info[i].removes, "%s: %lld units removed",
                  construct_info[i].name, (long long)k.removed[i]);
  }
  printf("\n");
}
END_TEST

/* ---- random graphs of every operator: few of their channels can go, but whatever can leaves the rest as it was */

enum { RANDOM_GRAPHS = 300 };

/* v through a layer with weights of its own; itself where its innermost axis is none that has channels. */
static ValId through_layer(Rewrite *r, ValId v, int64_t out, Rng *rng, Diag *d) {
  const Shape *s = &graph_val(r->to, v)->shape;
  if (graph_val(r->to, v)->dtype != DT_F32 || s->rank < 1 || s->d[s->rank - 1] < 1 || shape_count(s) == 0)
    return v;
  const Shape w = shape_of(2, out, s->d[s->rank - 1]);
  float *data = mem_array((size_t)shape_count(&w), sizeof *data);
  for (int64_t i = 0; i < shape_count(&w); i++) data[i] = 0.5f * rng_normal(rng);
  const ValId weights = graph_const_data(r->to, "w", DT_F32, &w, data);
  mem_free(data);
  const ValId y = graph_node2(r->to, OP_fully_connected, NULL, v, weights, "layer", NULL, d);
  ck_assert_msg(y != NO_VAL, "%s", diag_text(d));
  return y;
}

/* The graph with a layer behind each input, so that there are channels, and one before each output, so that they need not
 * stay. */
static Graph *between_layers(const Graph *g, uint64_t seed) {
  Rewrite r;
  Rng rng;
  Diag *d = diag_new();
  rng_seed(&rng, seed, 21);
  rewrite_begin(&r, g, NULL);
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    Shape *s = &graph_val(r.to, r.to->inputs[i])->shape;
    const int64_t n = s->rank ? s->d[s->rank - 1] : 0;
    if (n < 1 || shape_count(s) == 0 || graph_val(r.to, r.to->inputs[i])->dtype != DT_F32) continue;
    s->d[s->rank - 1] = 3;
    r.map[g->inputs[i]] = through_layer(&r, r.to->inputs[i], n, &rng, d);
  }
  for (NodeId i = 0; i < g->n_nodes; i++)
    ck_assert_msg(rewrite_copy(&r, &g->nodes[i], d), "%s", diag_text(d));
  for (uint32_t i = 0; i < g->n_outputs; i++)
    if (!val_is_const(g, g->outputs[i]))
      r.map[g->outputs[i]] = through_layer(&r, r.map[g->outputs[i]], 2, &rng, d);
  Graph *done = rewrite_end(&r, true, d);
  ck_assert_msg(graph_verify(done, d), "%s", diag_text(d));
  diag_free(d);
  return done;
}

START_TEST(test_random_graphs)
{
  int pruned = 0, quantized = 0;
  uint32_t removed = 0;
  for (uint64_t seed = 0; seed < RANDOM_GRAPHS; seed++) {
    Graph *raw = random_graph(seed, _i ? RANDOM_TRAIN : RANDOM_ANY, NULL),
          *between = between_layers(raw, seed);
    Diag *d = diag_new();
    Graph *g =
        pass_find("fold")->run(between, &(PassCtx){.params = ""}, d); /* as every graph that is pruned */
    ck_assert_msg(g != NULL, "%s", diag_text(d));
    graph_free(raw);
    graph_free(between);
    Case k = {.seed = seed};
    StrBuf why = {0};
    Channels c;
    const bool ok = channels_find(g, NULL, &c, d);
    quantized += !ok, pruned += ok && c.n_units > 0, removed += ok ? c.n_units : 0;
    if (ok && !net_holds(g, &k, &why)) {
      show_failure(g, &k, &why);
      ck_abort_msg("random graph %llu, as printed", (unsigned long long)seed);
    }
    channels_free(&c);
    diag_free(d);
    sb_free(&why);
    graph_free(g);
  }
  printf("random graphs: %d of %d have units (%u in all), %d quantized\n", pruned, RANDOM_GRAPHS, removed,
         quantized);
  ck_assert_int_gt(pruned, 20);
}
END_TEST

/* ---- models */

enum { PLANS = 3, SMALL = 20000000 /* MACs of a model that takes all of the plans */ };

typedef struct Models {
  int float_models, quantized, removed_in;
  uint32_t removed;
} Models;

static Graph *model_load(const char *path, Diag *d) {
  Graph *file = strstr(path, ".tflite") ? tflite_import(path, d) : onnx_import(path, d);
  PassCtx ctx = {.params = ""};
  Graph *g = file ? pipeline_run(file, "fold,layout,fold,dce", &ctx, NULL, d) : NULL;
  graph_free(file);
  return g;
}

/* Random plans for one model. Returns the units removed in all. */
static uint32_t model_check(const Graph *g, const char *name, Diag *d) {
  Channels c;
  uint32_t removed = 0;
  ck_assert_msg(channels_find(g, NULL, &c, d), "%s: %s", name, diag_text(d));
  for (uint64_t seed = 0; seed < (graph_macs(g) <= SMALL ? PLANS : 1); seed++) {
    PrunePlan p = pruned_plan(&c, seed, 0.6f, NULL);
    Graph *small = prune_apply(&c, &p, d);
    ck_assert_msg(small && graph_verify(small, d), "%s: %s", name, diag_text(d));
    Graph *zero = pruned_zeroed(&c, &p);
    const double diff = pruned_difference(small, zero, seed);
    ck_assert_msg(diff < 1e-4, "%s, plan %llu: outputs differ by %g", name, (unsigned long long)seed, diff);
    for (uint32_t u = 0; u < c.n_units; u++) removed += !p.keep[u];
    prune_plan_free(&p);
    graph_free(small);
    graph_free(zero);
  }
  printf("  %s: %u layers, %u groups, %u units, %u removed\n", name, c.n_layers, c.n_groups, c.n_units,
         removed);
  for (uint32_t i = 0; i < c.n_layers; i++)
    ck_assert_msg((c.layers[i].prunable < c.layers[i].channels) == (c.layers[i].reason != NULL),
                  "%s: layer \"%s\" without a reason", name, c.layers[i].name);
  channels_free(&c);
  return removed;
}

static void model_one(const char *path, const char *name, Models *m) {
  Diag *d = diag_new();
  Graph *g = model_load(path, d);
  ck_assert_msg(g != NULL, "%s: %s", name, diag_text(d));
  Channels c;
  const bool plain = channels_find(g, NULL, &c, d);
  channels_free(&c);
  if (!plain) {
    ck_assert_msg(strstr(diag_text(d), "quantized"), "%s: %s", name, diag_text(d));
    m->quantized++;
  } else {
    const uint32_t removed = model_check(g, name, d);
    m->float_models++, m->removed += removed, m->removed_in += removed > 0;
  }
  graph_free(g);
  diag_free(d);
}

START_TEST(test_models)
{
  static const char *const folders[] = {"data/models/onnx", "data/models/tflite"};
  Models m = {0};
  char path[4096], file[4600];
  if (!test_shared_path(path, sizeof path, folders[_i])) return;
  struct dirent **names = NULL;
  const int n = scandir(path, &names, NULL, alphasort);
  for (int i = 0; i < n; i++) {
    if (strstr(names[i]->d_name, ".onnx") || strstr(names[i]->d_name, ".tflite")) {
      snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name);
      model_one(file, names[i]->d_name, &m);
    }
    free(names[i]);
  }
  free(names);
  printf("%s: %d float models, units removed in %d; %d quantized, refused\n", folders[_i], m.float_models,
         m.removed_in, m.quantized);
  ck_assert_int_gt(m.float_models, 0);
}
END_TEST

Suite *suite_prune_property(void) {
  Suite *s = suite_create("prune_property");
  TCase *t = tcase_create("prune_property");
  tcase_set_timeout(t, 120);
  tcase_add_loop_test(t, test_nets, 0, SLICES);
  tcase_add_loop_test(t, test_random_graphs, 0, 2);
  tcase_add_loop_test(t, test_models, 0, 2);
  suite_add_tcase(s, t);
  return s;
}
