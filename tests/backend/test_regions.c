/* Several memories: every byte right wherever it lies, sizes kept, hot values in the fast one; emitted C that runs. */
#include <stdio.h>
#include <string.h>

#include "backend/plan/plan.h"
#include "frontend/tflite/tflite.h"
#include "ir/base/strbuf.h"
#include "tests/backend/emitted.h"
#include "tests/backend/plan_machine.h"
#include "tests/backend/random_images.h"
#include "tests/support.h"

Suite *suite_regions(void);

/* A fast memory, a main one, one beyond. Returns the bytes in use of each. */
static void check_regions(const Graph *g, int64_t fast, int64_t main, bool input_rows, int64_t bytes[3],
                          StrBuf *text) {
  PlanOptions o = {.input_rows = input_rows, .n_regions = 3};
  Diag *d = diag_new();
  Arena *a = arena_new();
  Calls calls;
  MemoryPlan p;
  o.region[0] = (PlanRegion){"fast", fast};
  o.region[1] = (PlanRegion){NULL, main};
  o.region[2] = (PlanRegion){"external", 0};
  calls_init(&calls);
  ck_assert_msg(graph_lower(g, &calls, d), "%s", diag_text(d));
  bool ok = plan_memory(g, &calls, &o, a, &p, d);
  ck_assert_msg(ok || input_rows, "%s", diag_text(d));
  for (int r = 0; r < 3; r++) bytes[r] = ok ? p.regions[r].bytes : 0;
  if (ok) {
    ck_assert_int_le(bytes[0], fast);
    ck_assert_int_le(bytes[1], main);
    ck_assert_int_eq(bytes[0] + bytes[1] + bytes[2], p.arena);
    machine_test(g, &calls, &p, 6);
    if (text) plan_print(g, &calls, &p, text);
  }
  calls_free(&calls);
  arena_free(a);
  diag_free(d);
}

START_TEST(random_graphs)
{
  int spread = 0;
  for (uint64_t k = 0; k < 20; k++) {
    Diag *d = diag_new();
    Rng r;
    int64_t bytes[3];
    rng_seed(&r, 16, (uint64_t)_i * 1000 + k);
    Graph *g = random_images(&r, d);
    int64_t in = (int64_t)val_bytes(g, g->inputs[0]);
    check_regions(g, in / 2, in, false, bytes, NULL);
    spread += (bytes[0] > 0) + (bytes[1] > 0) + (bytes[2] > 0) > 1;
    if (plan_input_rows(&graph_val(g, g->inputs[0])->shape) > 1)
      check_regions(g, in / 4, in / 2, true, bytes, NULL);
    graph_free(g);
    diag_free(d);
  }
  ck_assert_int_ge(spread, 5);
}
END_TEST

/* The second convolution reads its input three times: the input is hot. */
START_TEST(hot_values_are_in_the_fast_one)
{
  Graph *g = graph_of(
      "%x = input : f32[1,16,8,2]\n%u = const : f32[2,1,1,2] @f32:4\n%v = const : f32[2,5,5,2] @f32:100\n"
      "%a = Conv(%x, %u)\n%b = Conv(%a, %v) {pads=[2,2,2,2]}\n%c = Add(%b, %x)\noutput %c\n");
  int64_t bytes[3];
  StrBuf text = {0};
  check_regions(g, 1024, 1 << 20, false, bytes, &text);
  ck_assert_int_gt(bytes[0], 0);
  ck_assert_int_eq(bytes[2], 0);
  ck_assert_msg(strstr(sb_str(&text), "fast ") != NULL, "%s", sb_str(&text));
  sb_free(&text);
  graph_free(g);
}
END_TEST

/* Four values alive at once, the smaller the hotter: by heat those of 8, 40 and 48 bytes go into the fast memory of 104, which
 * leaves 64; by size those of 64 and 40, which leaves 56. */
START_TEST(a_last_one_that_is_too_small)
{
  enum { N = 4 };
  const int64_t size[N] = {64, 48, 40, 8}, heat[N] = {64, 96, 120, 40};
  for (int small = 0; small < 2; small++) {
    PlanOptions o = {.n_regions = 2, .region = {{"fast", 104}, {NULL, small ? 60 : 0}}};
    PackBox box[N] = {0};
    int32_t region[N];
    int64_t bytes[PLAN_REGIONS_MAX] = {0};
    for (int i = 0; i < N; i++) box[i] = (PackBox){.size = size[i], .first = 0, .last = 3};
    regions_spread(&o, box, N, NULL, 0, heat, region, bytes);
    ck_assert_int_eq(bytes[0] + bytes[1], 160);
    ck_assert_msg(bytes[1] == (small ? 56 : 64), "%d: %lld", small, (long long)bytes[1]);
  }
}
END_TEST

static void check_emitted(const Graph *g, const char *name, const PlanOptions *plan) {
  char dir[600];
  Diag *d = diag_new();
  const EmitOptions o = {.name = name, .out_dir = dir, .plan = plan};
  snprintf(dir, sizeof dir, "%s/regions-%s-%d", test_tmp_dir(), name, plan->input_rows);
  ck_assert_msg(emit_c(g, target_find("x86-64"), &o, d), "%s", diag_text(d));
  must_run("cd '%s' && gcc " STRICT
           " -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -c model.c && "
           "gcc -std=c99 -fsanitize=address,undefined selftest.c model.o -o selftest -lm && ./selftest | "
           "grep -q 'vectors 4 passed 4 equal 4'",
           dir);
  diag_free(d);
}

START_TEST(emitted)
{
  static const char *const nets[] = {small_int8_net, small_float_net};
  Graph *g = graph_of(nets[_i]);
  PlanOptions o = {.n_regions = 3};
  o.region[0] = (PlanRegion){"fast", 600};
  o.region[1] = (PlanRegion){NULL, 300};
  o.region[2] = (PlanRegion){"external", 0};
  check_emitted(g, "small", &o);
  o.input_rows = true;
  check_emitted(g, "small", &o);
  graph_free(g);
}
END_TEST

/* A board's memories: a part of ram, and one beyond it. */
START_TEST(boards)
{
  Diag *d = diag_new();
  Arena *a = arena_new();
  Board b;
  PlanRegion r[PLAN_REGIONS_MAX];
  ck_assert_msg(board_load(a, "nucleo-f767zi", &b, d), "%s", diag_text(d));
  ck_assert_int_eq(board_regions(&b, r), 2);
  ck_assert_int_eq(r[0].bytes + r[1].bytes, b.ram);
  ck_assert_msg(board_load(a, "stm32f746g-disco", &b, d), "%s", diag_text(d));
  ck_assert_int_eq(board_regions(&b, r), 3);
  ck_assert_int_eq(r[0].bytes, 64 << 10);
  ck_assert_int_eq(r[2].bytes, 8 << 20);
  ck_assert_msg(board_load(a, "blue-pill", &b, d), "%s", diag_text(d));
  ck_assert_int_eq(board_regions(&b, r), 0);
  arena_free(a);
  diag_free(d);
}
END_TEST

Suite *suite_regions(void) {
  Suite *s = suite_create("regions");
  TCase *t = tcase_create("regions");
  tcase_set_timeout(t, 120);
  tcase_add_loop_test(t, random_graphs, 0, 4);
  tcase_add_test(t, hot_values_are_in_the_fast_one);
  tcase_add_test(t, a_last_one_that_is_too_small);
  tcase_add_loop_test(t, emitted, 0, 2);
  tcase_add_test(t, boards);
  suite_add_tcase(s, t);
  return s;
}
