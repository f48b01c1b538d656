/* Layers in bands of columns: the same bytes as the graph as it is, for every region of random graphs that can be, with a
 * plan that holds; and patches under a limit, emitted and run.
 */
#include <string.h>

#include "backend/plan/bands.h"
#include "frontend/tflite/tflite.h"
#include "ir/base/mem.h"
#include "ir/eval.h"
#include "tests/backend/emitted.h"
#include "tests/backend/plan_machine.h"
#include "tests/backend/random_images.h"
#include "tests/support.h"

Suite *suite_bands(void);

static void check_same(const Graph *g, const Graph *h, uint64_t seed) {
  Diag *d = diag_new();
  Rng r;
  rng_seed(&r, 12, seed);
  size_t n = val_bytes(g, g->inputs[0]) / sizeof(float);
  float *x = mem_array(n, sizeof *x);
  for (size_t i = 0; i < n; i++) x[i] = rng_normal(&r);
  const void *in[] = {x};
  Evaluator *a = evaluator_new(g, d), *b = evaluator_new(h, d);
  ck_assert_msg(a && b, "%s", diag_text(d));
  evaluator_run(a, in);
  evaluator_run(b, in);
  for (uint32_t i = 0; i < g->n_outputs; i++)
    ck_assert_msg(memcmp(evaluator_value(a, g->outputs[i]), evaluator_value(b, h->outputs[i]),
                         val_bytes(g, g->outputs[i])) == 0,
                  "output %u differs", i);
  evaluator_free(a);
  evaluator_free(b);
  mem_free(x);
  diag_free(d);
}

static void check_plan(const Graph *h, int bands, uint64_t seed) {
  const PlanOptions o = {.bands = bands};
  Diag *d = diag_new();
  Arena *a = arena_new();
  Calls calls;
  MemoryPlan p;
  calls_init(&calls);
  ck_assert_msg(graph_lower(h, &calls, d) && plan_memory(h, &calls, &o, a, &p, d), "%s", diag_text(d));
  machine_test(h, &calls, &p, seed);
  calls_free(&calls);
  arena_free(a);
  diag_free(d);
}

/* Whether the region can be in bands, and then is right. */
static bool check_region(const Graph *g, const BandRegion *r, uint64_t seed) {
  Diag *d = diag_new();
  Graph *h = bands_can(g, r) ? bands_apply(g, r, d) : NULL;
  bool done = h != NULL;
  ck_assert_int_eq(done, bands_can(g, r) && bands_macs(g, r) < INT64_MAX);
  if (h) {
    ck_assert_msg(graph_verify(h, d), "%s", diag_text(d));
    ck_assert_int_eq(graph_macs(h), bands_macs(g, r));
    check_same(g, h, seed);
    check_plan(h, r->bands, seed);
  }
  graph_free(h);
  diag_free(d);
  return done;
}

/* Without nodes that nobody reads, as bands_apply leaves them out too. */
static Graph *live(const Graph *g, Diag *d) {
  Rewrite r;
  rewrite_begin(&r, g, NULL);
  bool ok = true;
  for (NodeId k = 0; k < g->n_nodes; k++) ok = ok && rewrite_copy(&r, &g->nodes[k], d);
  Graph *h = rewrite_end(&r, ok, d);
  ck_assert_msg(h != NULL, "%s", diag_text(d));
  return h;
}

START_TEST(random_regions)
{
  int done = 0;
  for (uint64_t k = 0; k < 12; k++) {
    Diag *d = diag_new();
    Rng r;
    rng_seed(&r, 13, (uint64_t)_i * 1000 + k);
    Graph *all = random_images(&r, d), *g = live(all, d);
    graph_free(all);
    for (NodeId first = 0; first < g->n_nodes; first++)
      for (NodeId last = first; last < g->n_nodes; last++)
        for (int bands = 2; bands <= 3; bands++)
          done += check_region(g, &(BandRegion){first, last, bands}, k);
    graph_free(g);
    diag_free(d);
  }
  ck_assert_int_ge(done, 20);
}
END_TEST

static Graph *resnet8(Diag *d) {
  char path[700];
  if (!test_shared_path(path, sizeof path, "data/models/tflite/resnet8_int8.tflite")) return NULL;
  Graph *g = tflite_import(path, d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  return g;
}

/* Less than any plan of the graph as it is: patches, and the work that they repeat. */
START_TEST(patches_meet_a_limit)
{
  Diag *d = diag_new();
  const Target *t = target_find("cortex-m4");
  Cost plain, patched;
  Graph *g = resnet8(d);
  if (g) {
    PlanOptions o = target_plan(t);
    ck_assert_msg(backend_cost_planned(g, t, &o, &plain, d), "%s", diag_text(d));
    o = target_plan_within(t, plain.ram - 400, false);
    ck_assert_msg(backend_cost_planned(g, t, &o, &patched, d), "%s", diag_text(d));
    ck_assert_int_le(patched.ram, plain.ram - 400);
    ck_assert_int_gt(patched.macs, plain.macs);
    ck_assert_int_gt(patched.cycles, plain.cycles);
    o.whole = true; /* what learns, and variants: they are not estimated so either */
    ck_assert_msg(backend_cost_planned(g, t, &o, &patched, d), "%s", diag_text(d));
    ck_assert_int_eq(patched.macs, plain.macs);
    ck_assert_int_ge(patched.ram, plain.ram);
    o = target_plan_within(t, plain.ram, false); /* not before they are needed */
    ck_assert_ptr_null(plan_patches(g, t, &o));
  }
  graph_free(g);
  diag_free(d);
}
END_TEST

START_TEST(patches_run)
{
  Diag *d = diag_new();
  const Target *t = target_find("x86-64");
  char dir[600];
  Graph *g = resnet8(d);
  if (g) {
    PlanOptions o = {.limit = 14400};
    const EmitOptions e = {.name = "patched", .out_dir = dir, .plan = &o};
    snprintf(dir, sizeof dir, "%s/patched", test_tmp_dir());
    ck_assert_msg(emit_c(g, t, &e, d), "%s", diag_text(d));
    must_run("cd '%s' && grep -q '\"bands\"' model.json && gcc " STRICT
             " -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -c model.c && "
             "gcc -std=c99 -fsanitize=address,undefined selftest.c model.o -o selftest -lm && ./selftest | "
             "grep -q 'vectors 4 passed 4 equal 4'",
             dir);
  }
  graph_free(g);
  diag_free(d);
}
END_TEST

Suite *suite_bands(void) {
  Suite *s = suite_create("bands");
  TCase *t = tcase_create("bands");
  tcase_set_timeout(t, 120);
  tcase_add_loop_test(t, random_regions, 0, 6);
  tcase_add_test(t, patches_meet_a_limit);
  tcase_add_test(t, patches_run);
  suite_add_tcase(s, t);
  return s;
}
