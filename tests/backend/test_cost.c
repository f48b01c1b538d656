/* The cost model: work counted exactly, constants and RAM as emission has them, and estimates of code and instructions
 * near what the linker and the emulator say, on nets that no table was calibrated with.
 */
#include <math.h>
#include <stdlib.h>

#include "backend/costs.h"
#include "frontend/tflite/tflite.h"
#include "tests/backend/emitted.h"
#include "tests/support.h"

Suite *suite_cost(void);

static CallWork work_in(const char *text, const char *const *sets, bool by_rows) {
  Graph *g = graph_of(text);
  Calls calls;
  Diag *d = diag_new();
  calls_init(&calls);
  ck_assert_msg(graph_lower(g, &calls, d), "%s", diag_text(d));
  ck_assert_uint_eq(calls.n, 1);
  ck_assert_msg(select_from(kernel_sets, n_kernel_sets, sets, NULL, &calls, d), "%s", diag_text(d));
  CallWork w = call_work(g, &calls.v[0], by_rows);
  calls_free(&calls);
  diag_free(d);
  graph_free(g);
  return w;
}

static CallWork work_of(const char *text) {
  static const char *const generic[] = {"generic", NULL};
  return work_in(text, generic, false);
}

/* A 3x3 window over 4x4 with padding 1: of 4 * 3 taps along an axis, 2 fall outside. */
START_TEST(border_taps_are_not_counted)
{
  CallWork w = work_of("%x = input : f32[1,4,4,2] %w = const : f32[5,3,3,2] @f32:90 "
                       "%y = Conv(%x, %w) {pads=[1,1,1,1]} output %y");
  ck_assert(w.v[WORK_call] == 1 && w.v[WORK_row] == 16 && w.v[WORK_out] == 80);
  ck_assert_msg(w.v[WORK_mac] + w.v[WORK_rest] == 10 * 10 * 2 * 5, "got %g MACs", w.v[WORK_mac]);
  ck_assert(w.v[WORK_tap] == 10 * 10 * 5 && w.v[WORK_line] == 10 * 4 * 5);
  w = work_of("%x = input : f32[1,4,4,2] %w = const : f32[5,3,3,2] @f32:90 %y = Conv(%x, %w) output %y");
  ck_assert_msg(w.v[WORK_mac] + w.v[WORK_rest] == 4 * 9 * 2 * 5, "got %g MACs", w.v[WORK_mac]);
  w = work_of("%x = input : f32[1,4,4,3] %y = MaxPool(%x) {kernel=[2,2], strides=[2,2]} output %y");
  ck_assert(w.v[WORK_out] == 12 && w.v[WORK_mac] + w.v[WORK_rest] == 48);
}
END_TEST

START_TEST(batches_count_each_item)
{
  static const char one[] = "%x = input : f32[1,3,3,2] %y = AveragePool(%x) {kernel=[2,2]} output %y";
  static const char four[] = "%x = input : f32[4,3,3,2] %y = AveragePool(%x) {kernel=[2,2]} output %y";
  CallWork a = work_of(one), b = work_of(four);
  for (int f = 0; f < WORK_COUNT; f++) ck_assert(b.v[f] == 4 * a.v[f]);
}
END_TEST

/* Two pixels at a time: a line of five is three groups, an image of 25 pixels thirteen. */
START_TEST(rows_begin_groups_of_pixels_anew)
{
  static const char conv[] =
      "%x = input : i8[1,5,5,4] q(0.05, -3) %w = const : i8[8,1,1,4] q(0.01, 0) @i8:32 "
      "%y = Conv(%x, %w) : i8[1,5,5,8] q(0.1, 0) output %y";
  static const char *const sets[] = {"armv7em", "generic", NULL};
  CallWork whole = work_in(conv, sets, false), rows = work_in(conv, sets, true);
  ck_assert(whole.v[WORK_call] == 1 && rows.v[WORK_call] == 5);
  ck_assert_msg(whole.v[WORK_line] == 13 && rows.v[WORK_line] == 15, "got %g and %g", whole.v[WORK_line],
                rows.v[WORK_line]);
  ck_assert(whole.v[WORK_mac] == 13 * 2 && rows.v[WORK_mac] == 15 * 2);
}
END_TEST

/* -- against the linker and the emulator -- */

static void near(const char *what, const char *net, const char *target, int64_t estimate, int64_t got,
                 double share, int64_t bytes) {
  int64_t off = llabs(estimate - got), may = (int64_t)((double)got * share) + bytes;
  ck_assert_msg(off <= may, "%s of %s on %s: estimated %lld, measured %lld", what, net, target,
                (long long)estimate, (long long)got);
}

/* Where each kernel is called once the compiler inlines all of them with their shapes as literals; what they then share,
 * and what their windows save, is not foreseen: `inlined` bytes are allowed on top, and more instructions. */
static void check(const Graph *g, const char *net, const char *target, int64_t inlined) {
  const Target *t = target_find(target);
  const char *dir = emit_to_tmp(g, target, net);
  Diag *d = diag_new();
  Measured m;
  Cost c;
  ck_assert_msg(backend_cost(g, t, &c, d), "%s", diag_text(d));
  ck_assert_msg(harness_verify(dir, t, NULL, &m, d), "%s", diag_text(d));
  near("constants", net, target, c.flash_weights, m.flash_weights, 0.005,
       700); /* params may vanish by inlining */
  near("flash", net, target, c.flash, m.flash, inlined ? 0.05 : 0.025, inlined ? 1024 + inlined : 160);
  near("cycles", net, target, c.cycles, m.cycles, inlined ? 0.5 : 0.25, 0);
  near("RAM", net, target, c.ram, m.ram_arena + m.ram_other, 0.005, 0);
  diag_free(d);
}

static const char *const bare[] = {"cortex-m4", "cortex-m0"};

START_TEST(small_nets)
{
  const char *target = bare[_i];
  if (!have_target(__FILE__, target)) return;
  Graph *g = graph_of(small_int8_net);
  check(g, "small_int8", target, 512);
  graph_free(g);
  g = graph_of(small_float_net);
  check(g, "small_float", target, 512);
  graph_free(g);
}
END_TEST

START_TEST(real_nets)
{
  static const char *const models[] = {"resnet8_int8", "kws_dscnn_int8", "ad01_int8", "hello_world_int8"};
  const char *model = models[_i / 2], *target = bare[_i % 2];
  char rel[200], path[700];
  snprintf(rel, sizeof rel, "data/models/tflite/%s.tflite", model);
  if (!test_shared_path(path, sizeof path, rel) || !have_target(__FILE__, target)) return;
  Diag *d = diag_new();
  Graph *g = tflite_import(path, d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  check(g, model, target, 0);
  graph_free(g);
  diag_free(d);
}
END_TEST

Suite *suite_cost(void) {
  Suite *s = suite_create("cost");
  TCase *t = tcase_create("cost");
  tcase_add_test(t, border_taps_are_not_counted);
  tcase_add_test(t, batches_count_each_item);
  tcase_add_test(t, rows_begin_groups_of_pixels_anew);
  tcase_add_loop_test(t, small_nets, 0, 2);
  tcase_add_loop_test(t, real_nets, 0, 8);
  suite_add_tcase(s, t);
  return s;
}
