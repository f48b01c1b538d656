/* The memory planner: packing against brute force, and plans of random graphs against a machine that knows whose every
 * byte is and notices when a call reads a byte that somebody else has written since.
 */
#include "backend/plan/plan.h"

#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/base/strbuf.h"
#include "tests/backend/emitted.h"
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
  ck_assert_int_ge(top, pack_lower_bound(b, n));
}

START_TEST(packings_do_not_overlap)
{
  enum { MAX = 40 };
  PackBox b[MAX];
  Rng r;
  rng_seed(&r, 5, (uint64_t)_i);
  int n = random_boxes(b, &r, MAX);
  int64_t top = pack_boxes(b, n);
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
  ck_assert_int_eq(pack_boxes(b, n), best_of_all_orders(copy, n, 0));
}
END_TEST

/* -- plans -- */

typedef struct Machine {
  const Graph *g;
  const Calls *calls;
  const MemoryPlan *plan;
  uint32_t *owner; /* by byte: the root value it belongs to, 0: nobody */
} Machine;

enum { SCRATCH_OWNER = 0x7fffffff };

static void own(Machine *m, int64_t at, int64_t n, uint32_t who) {
  ck_assert_msg(at >= 0 && at + n <= m->plan->arena, "%lld bytes at %lld of an arena of %lld", (long long)n,
                (long long)at, (long long)m->plan->arena);
  for (int64_t i = 0; i < n; i++) m->owner[at + i] = who;
}

static void must_own(const Machine *m, ValId v, int32_t call) {
  ValId root = value_root(m->g, v);
  if (val_is_const(m->g, root)) return;
  int64_t at = m->plan->offset[v];
  for (int64_t i = 0; i < (int64_t)val_bytes(m->g, v); i++)
    ck_assert_msg(m->owner[at + i] == root, "call %d reads byte %lld of value %u, which %u has overwritten",
                  (int)call, (long long)i, root, m->owner[at + i]);
}

/* Whether the output may lie exactly on that input. */
static bool may_replace(const Machine *m, const KernelCall *k, int i) {
  return i < 2 && k->kernel->in_place & (1 << i) &&
         m->plan->offset[k->in[i].val] == m->plan->offset[k->out.val] &&
         val_bytes(m->g, k->in[i].val) == val_bytes(m->g, k->out.val);
}

static void run_call(Machine *m, int32_t c) {
  const KernelCall *k = &m->calls->v[c];
  int64_t out = m->plan->offset[k->out.val], n_out = (int64_t)val_bytes(m->g, k->out.val);
  size_t scratch = k->kernel->scratch ? k->kernel->scratch(k->params) : 0;
  if (scratch) own(m, m->plan->scratch[c], (int64_t)scratch, SCRATCH_OWNER);
  for (int i = 0; i < k->n_in; i++) {
    ValId root = value_root(m->g, k->in[i].val);
    if (val_is_const(m->g, root)) continue;
    must_own(m, k->in[i].val, c);
    int64_t in = m->plan->offset[root], n_in = (int64_t)val_bytes(m->g, root);
    bool apart = in + n_in <= out || out + n_out <= in;
    ck_assert_msg(apart || may_replace(m, k, i), "call %d (%s) writes over its input %d", (int)c,
                  k->kernel->name, i);
  }
  if (scratch)
    for (int64_t i = 0; i < n_out; i++) ck_assert(m->owner[out + i] != SCRATCH_OWNER);
  own(m, out, n_out, value_root(m->g, k->out.val));
}

static void check_plan(const Graph *g, const Calls *calls, const MemoryPlan *p) {
  Machine m = {.g = g, .calls = calls, .plan = p, .owner = mem_array((size_t)p->arena, sizeof *m.owner)};
  ck_assert_int_ge(p->arena, p->lower_bound);
  for (uint32_t i = 0; i < g->n_inputs; i++)
    own(&m, p->offset[g->inputs[i]], (int64_t)val_bytes(g, g->inputs[i]), value_root(g, g->inputs[i]));
  for (int32_t c = 0; c < (int32_t)calls->n; c++) run_call(&m, c);
  for (uint32_t i = 0; i < g->n_outputs; i++) must_own(&m, g->outputs[i], (int32_t)calls->n);
  mem_free(m.owner);
}

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

/* Lower, plan, check; returns the arena. */
static int64_t plan_of(const Graph *g, StrBuf *text) {
  Diag *d = diag_new();
  Arena *a = arena_new();
  Calls calls;
  MemoryPlan p;
  calls_init(&calls);
  ck_assert_msg(graph_lower(g, &calls, d), "%s", diag_text(d));
  ck_assert_msg(plan_memory(g, &calls, a, &p, d), "%s", diag_text(d));
  check_plan(g, &calls, &p);
  if (text) plan_print(g, &calls, &p, text);
  int64_t arena = p.arena;
  calls_free(&calls);
  arena_free(a);
  diag_free(d);
  return arena;
}

START_TEST(random_graphs)
{
  Diag *d = diag_new();
  Rng r;
  rng_seed(&r, 9, (uint64_t)_i);
  Graph *g = random_graph(&r, d);
  plan_of(g, NULL);
  graph_free(g);
  diag_free(d);
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
  /* the largest: input of the addition, 2 x 512 bytes; the sum goes over one of them */
  ck_assert_int_eq(plan_of(g, &text), 1024);
  ck_assert_msg(strstr(sb_str(&text), "depthwise i8 [1,8,8,8]") != NULL, "%s", sb_str(&text));
  ck_assert_msg(strstr(sb_str(&text), "arena 1024 bytes; lower bound") != NULL, "%s", sb_str(&text));
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
  tcase_add_test(t, elementwise_chain_is_in_place);
  tcase_add_test(t, values_that_are_read_again_stay);
  tcase_add_test(t, views_need_nothing);
  tcase_add_test(t, broadcast_input_is_not_overwritten);
  tcase_add_test(t, nets_and_their_tables);
  suite_add_tcase(s, t);
  return s;
}
