/* The memory planner: packing against brute force, and plans of every level, of random graphs and of real models,
 * against a machine that knows whose every byte is, and by the real kernels (plan_machine.c).
 */
#include "backend/plan/plan.h"

#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/base/strbuf.h"
#include "frontend/tflite/tflite.h"
#include "tests/backend/emitted.h"
#include "tests/backend/plan_machine.h"
#include "tests/backend/random_images.h"
#include "tests/support.h"

Suite *suite_plan(void);

/* -- packing -- */

static bool overlap(const PackBox *a, const PackBox *b) {
  return a->first <= b->last && b->first <= a->last && a->offset < b->offset + b->size &&
         b->offset < a->offset + a->size;
}

static int random_boxes(PackBox *b, Rng *r, int max) {
  int n = 1 + (int)rng_below(r, (uint32_t)max), times = 1 + (int)rng_below(r, 10);
  for (int i = 0; i < n; i++) {
    int32_t first = (int32_t)rng_below(r, (uint32_t)times);
    b[i] = (PackBox){.size = 4 * (1 + rng_below(r, 16)), .first = first};
    b[i].last = first + (int32_t)rng_below(r, (uint32_t)(times - first));
  }
  return n;
}

static void check_packing(const PackBox *b, int n, int64_t top) {
  int64_t highest = 0;
  for (int i = 0; i < n; i++) {
    ck_assert(b[i].offset >= 0 && b[i].offset % 4 == 0);
    if (b[i].offset + b[i].size > highest) highest = b[i].offset + b[i].size;
    for (int k = 0; k < i; k++)
      ck_assert_msg(!overlap(&b[i], &b[k]), "boxes %d and %d of %d overlap", k, i, n);
  }
  ck_assert_int_eq(highest, top);
  ck_assert_int_ge(top, pack_lower_bound(b, n, NULL, 0));
}

START_TEST(packings_do_not_overlap)
{
  enum { MAX = 40 };
  PackBox b[MAX];
  Rng r;
  rng_seed(&r, 5, (uint64_t)_i);
  int n = random_boxes(b, &r, MAX);
  int64_t top = pack_boxes(b, n, NULL, 0);
  check_packing(b, n, top);
}
END_TEST

/* The best top over all orders, each box at the lowest place that is free: brute force, written apart. */
static int64_t best_of_all_orders(PackBox *b, int n, int done) {
  if (done == n) {
    int64_t top = 0;
    for (int i = 0; i < n; i++) top = b[i].offset + b[i].size > top ? b[i].offset + b[i].size : top;
    return top;
  }
  int64_t best = INT64_MAX;
  for (int i = done; i < n; i++) {
    PackBox t = b[i];
    b[i] = b[done];
    b[done] = t;
    bool clash = true;
    for (b[done].offset = 0; clash; b[done].offset += clash ? 4 : 0) {
      clash = false;
      for (int k = 0; k < done; k++) clash |= overlap(&b[done], &b[k]);
    }
    int64_t top = best_of_all_orders(b, n, done + 1);
    if (top < best) best = top;
    t = b[i];
    b[i] = b[done];
    b[done] = t;
  }
  return best;
}

START_TEST(small_packings_are_optimal)
{
  enum { MAX = 6 };
  PackBox b[MAX], copy[MAX];
  Rng r;
  rng_seed(&r, 6, (uint64_t)_i);
  int n = random_boxes(b, &r, MAX);
  memcpy(copy, b, sizeof b);
  ck_assert_int_eq(pack_boxes(b, n, NULL, 0), best_of_all_orders(copy, n, 0));
}
END_TEST

/* -- plans -- */

/* A value of the graph so far with this many channels, or any. */
static ValId pick(const Graph *g, Rng *r) {
  for (;;) {
    ValId v = 1 + rng_below(r, g->n_vals - 1);
    if (!val_is_const(g, v) && graph_val(g, v)->shape.rank == 3) return v;
  }
}

static ValId add_random_node(Graph *g, Rng *r, Diag *d) {
  ValId x = pick(g, r), y = pick(g, r);
  const Shape *s = &graph_val(g, x)->shape;
  switch (rng_below(r, 6)) {
  case 0: return graph_node1(g, OP_relu, NULL, x, "relu", NULL, d);
  case 1:
    return shape_equal(s, &graph_val(g, y)->shape) ? graph_node2(g, OP_add, NULL, x, y, "add", NULL, d)
                                                   : NO_VAL;
  case 2: {
    concat_attrs a = {.axis = 2};
    if (s->d[2] + graph_val(g, y)->shape.d[2] > 40) return NO_VAL;
    return graph_node2(g, OP_concat, &a, x, y, "concat", NULL, d);
  }
  case 3: {
    reshape_attrs a = {.shape = {3, {s->d[1], s->d[0], s->d[2]}}};
    return graph_node1(g, OP_reshape, &a, x, "reshape", NULL, d);
  }
  case 4: {
    slice_attrs a = {.starts = {3, {0, 0, 0}},
                     .counts = {3, {s->d[0], s->d[1], (s->d[2] + 1) / 2}},
                     .steps = {3, {1, 1, 1}}};
    return graph_node1(g, OP_slice, &a, x, "slice", NULL, d);
  }
  default: {
    transpose_attrs a = {.perm = {3, {1, 0, 2}}};
    return graph_node1(g, OP_transpose, &a, x, "transpose", NULL, d);
  }
  }
}

static Graph *random_graph(Rng *r, Diag *d) {
  Graph *g = graph_new("random");
  Shape s = shape_of(3, (int64_t)4, (int64_t)4, (int64_t)(1 + rng_below(r, 6)));
  int inputs = 1 + (int)rng_below(r, 2), nodes = 1 + (int)rng_below(r, 14);
  for (int i = 0; i < inputs; i++) graph_input(g, "x", DT_F32, &s);
  for (int i = 0; i < nodes; i++) add_random_node(g, r, d);
  int outputs = 1 + (int)rng_below(r, 2);
  for (int i = 0; i < outputs; i++) graph_output(g, i ? pick(g, r) : g->n_vals - 1);
  ck_assert_msg(graph_verify(g, d), "%s", diag_text(d));
  return g;
}

/* Lower, plan, check; returns the arena, 0 where the graph cannot be planned so. */
static int64_t plan_with(const Graph *g, const PlanOptions *o, StrBuf *text, uint64_t seed) {
  Diag *d = diag_new();
  Arena *a = arena_new();
  Calls calls;
  MemoryPlan p;
  calls_init(&calls);
  ck_assert_msg(graph_lower(g, &calls, d), "%s", diag_text(d));
  bool ok = plan_memory(g, &calls, o, a, &p, d);
  ck_assert_msg(ok || o->input_rows, "%s", diag_text(d));
  if (ok) {
    ck_assert_int_ge(p.arena, p.lower_bound);
    machine_test(g, &calls, &p, seed);
  }
  if (ok && text) plan_print(g, &calls, &p, text);
  int64_t arena = ok ? p.arena : 0;
  calls_free(&calls);
  arena_free(a);
  diag_free(d);
  return arena;
}

static int64_t plan_level(const Graph *g, PlanLevel level) {
  const PlanOptions o = {.level = level};
  return plan_with(g, &o, NULL, 0);
}

static int64_t plan_of(const Graph *g, StrBuf *text) {
  const PlanOptions o = {0};
  return plan_with(g, &o, text, 0);
}

/* Every level, and the input by rows where it can be: no level needs more than the one before it where all may choose. */
static void plan_all(const Graph *g) {
  const PlanOptions rows = {.input_rows = g->n_inputs == 1};
  int64_t least = plan_level(g, PLAN_LEAST);
  for (int level = PLAN_WHOLE; level <= PLAN_STREAM; level++)
    ck_assert_int_le(least, plan_level(g, (PlanLevel)level));
  if (rows.input_rows && plan_input_rows(&graph_val(g, g->inputs[0])->shape) > 1)
    plan_with(g, &rows, NULL, 1);
}

START_TEST(random_graphs)
{
  Diag *d = diag_new();
  Rng r;
  rng_seed(&r, 9, (uint64_t)_i);
  Graph *g = random_graph(&r, d);
  plan_all(g);
  graph_free(g);
  diag_free(d);
}
END_TEST

START_TEST(random_image_graphs)
{
  for (uint64_t k = 0; k < 25; k++) {
    Diag *d = diag_new();
    Rng r;
    rng_seed(&r, 10, (uint64_t)_i * 1000 + k);
    Graph *g = random_images(&r, d);
    plan_all(g);
    graph_free(g);
    diag_free(d);
  }
}
END_TEST

/* -- real models: the machine, and what they need -- */

static const struct {
  const char *name;
  int64_t least, by_rows; /* bytes at most; 0: not by rows */
} models[] = {{"resnet8_int8", 14592, 11872},
              {"kws_dscnn_int8", 4592, 4260},
              {"vww_96_int8", 28800, 13152},
              {"ad01_int8", 1024, 0},
              {"hello_world_int8", 64, 0}};
enum { N_MODELS = sizeof models / sizeof *models };

START_TEST(real_models)
{
  char rel[200], path[700];
  snprintf(rel, sizeof rel, "data/models/tflite/%s.tflite", models[_i].name);
  if (!test_shared_path(path, sizeof path, rel)) return;
  Diag *d = diag_new();
  Graph *g = tflite_import(path, d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  const PlanOptions rows = {.input_rows = true};
  for (int level = PLAN_WHOLE; level <= PLAN_STREAM; level++) plan_level(g, (PlanLevel)level);
  ck_assert_int_le(plan_level(g, PLAN_LEAST), models[_i].least);
  if (models[_i].by_rows) {
    int64_t arena = plan_with(g, &rows, NULL, 2);
    ck_assert_int_gt(arena, 0);
    ck_assert_int_le(arena, models[_i].by_rows);
  }
  graph_free(g);
  diag_free(d);
}
END_TEST

/* Windows at stride 2 leave two of three slots free most of the time: rows that live a moment go there. */
START_TEST(rows_are_guests_in_free_slots)
{
  Graph *g =
      graph_of("%x = input : i8[1,64,8,4] q(0.05, 0)\n"
               "%u = const : i8[4,1,1,4] q(0.02, 0) @i8:16\n%v = const : i8[1,3,3,4] q(0.02, 0) @i8:36\n"
               "%a = Conv(%x, %u) : i8[1,64,8,4] q(0.05, 0)\n"
               "%b = DepthwiseConv(%a, %v) {strides=[2,2], pads=[0,0,1,1]} : i8[1,32,4,4] q(0.1, 0)\n"
               "%c = Conv(%b, %u) : i8[1,32,4,4] q(0.05, 0)\n"
               "%d = DepthwiseConv(%c, %v) {pads=[1,1,1,1]} : i8[1,32,4,4] q(0.1, 0)\n"
               "%e = DepthwiseConv(%d, %v) {strides=[2,2], pads=[0,0,1,1]} : i8[1,16,2,4] q(0.1, 0)\n"
               "output %e\n");
  const PlanOptions rows = {.input_rows = true};
  StrBuf text = {0};
  plan_with(g, &rows, &text, 4);
  ck_assert_msg(strstr(sb_str(&text), "i8 [1,32,4,4], one row in a free slot") != NULL, "%s", sb_str(&text));
  sb_free(&text);
  plan_all(g);
  graph_free(g);
}
END_TEST

/* A hundred layers that run row by row together need a row or two; cut anywhere, a whole image. */
START_TEST(long_chains)
{
  StrBuf net = {0}, text = {0};
  const PlanOptions rows = {.input_rows = true};
  sb_puts(&net, "%x0 = input : i8[1,32,4,4] q(0.05, 0)\n%u = const : i8[4,1,1,4] q(0.02, 0) @i8:16\n");
  for (int i = 0; i < 100; i++)
    sb_printf(&net, "%%x%d = Conv(%%x%d, %%u) : i8[1,32,4,4] q(0.05, 0)\n", i + 1, i);
  sb_puts(&net, "%y = AveragePool(%x100) {kernel=[32,4]} : i8[1,1,1,4] q(0.05, 0)\noutput %y\n");
  Graph *g = graph_of(sb_str(&net));
  ck_assert_int_le(plan_with(g, &rows, &text, 5), 3 * 16 + 16 + 4);
  ck_assert_msg(strstr(sb_str(&text), "calls 0 to 100 row by row") != NULL, "%s", sb_str(&text));
  sb_free(&net);
  sb_free(&text);
  graph_free(g);
}
END_TEST

START_TEST(elementwise_chain_is_in_place)
{
  Graph *g = graph_of("%x = input : f32[1,100] %a = Relu(%x) %b = Sigmoid(%a) %c = Tanh(%b) output %c");
  ck_assert_int_eq(plan_of(g, NULL), 400);
  graph_free(g);
}
END_TEST

START_TEST(values_that_are_read_again_stay)
{
  Graph *g = graph_of("%x = input : f32[1,100] %a = Relu(%x) %b = Sigmoid(%a) %c = Add(%a, %b) output %c");
  ck_assert_int_eq(plan_of(g, NULL), 800);
  graph_free(g);
  g = graph_of("%x = input : f32[1,100] %a = Relu(%x) output %a, %x"); /* the input is an output too */
  ck_assert_int_eq(plan_of(g, NULL), 800);
  graph_free(g);
}
END_TEST

START_TEST(views_need_nothing)
{
  Graph *g = graph_of("%x = input : f32[1,100] %a = Reshape(%x) {shape=[10,10]} %b = Relu(%a)"
                      "%c = Reshape(%b) {shape=[100]} output %c");
  ck_assert_int_eq(plan_of(g, NULL), 400);
  graph_free(g);
}
END_TEST

START_TEST(broadcast_input_is_not_overwritten)
{
  Graph *g = graph_of("%x = input : f32[4,25] %y = input : f32[1,25] %z = Add(%y, %x) output %z");
  ck_assert_int_eq(plan_of(g, NULL), 500); /* over x, not over y */
  graph_free(g);
}
END_TEST

START_TEST(nets_and_their_tables)
{
  Graph *g = graph_of(small_int8_net);
  StrBuf text = {0};
  const PlanOptions whole = {.level = PLAN_WHOLE};
  /* the largest: input of the addition, 2 x 512 bytes; the sum goes over one of them */
  ck_assert_int_eq(plan_with(g, &whole, &text, 0), 1024);
  ck_assert_msg(strstr(sb_str(&text), "depthwise i8 [1,8,8,8]") != NULL, "%s", sb_str(&text));
  ck_assert_msg(strstr(sb_str(&text), "arena 1024 bytes (whole); lower bound") != NULL, "%s", sb_str(&text));
  plan_all(g);
  sb_free(&text);
  graph_free(g);
}
END_TEST

Suite *suite_plan(void) {
  Suite *s = suite_create("plan");
  TCase *t = tcase_create("plan");
  tcase_add_loop_test(t, packings_do_not_overlap, 0, 60);
  tcase_add_loop_test(t, small_packings_are_optimal, 0, 40);
  tcase_add_loop_test(t, random_graphs, 0, 80);
  tcase_add_loop_test(t, random_image_graphs, 0, 16);
  tcase_add_loop_test(t, real_models, 0, N_MODELS);
  tcase_add_test(t, rows_are_guests_in_free_slots);
  tcase_add_test(t, long_chains);
  tcase_add_test(t, elementwise_chain_is_in_place);
  tcase_add_test(t, values_that_are_read_again_stay);
  tcase_add_test(t, views_need_nothing);
  tcase_add_test(t, broadcast_input_is_not_overwritten);
  tcase_add_test(t, nets_and_their_tables);
  suite_add_tcase(s, t);
  return s;
}
