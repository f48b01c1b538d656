/* The settings speed, balanced and size: on a net with a layer for which each of them decides otherwise, by the kernels that
 * are taken, and by what the linker and the emulator say.
 */
#include <stdlib.h>
#include <string.h>

#include "ir/base/file.h"
#include "tests/backend/emitted.h"
#include "tests/support.h"

Suite *suite_optimize(void);

/* Convolutions that the time goes into, a FullyConnected of 96 multiplications, a sum of 4 elements. */
static const char net[] =
    "graph\n%x = input : i8[1,8,8,4] q(0.05, 0)\n"
    "%w = const : i8[16,3,3,4] q(0.01, 0) @i8:576\n"
    "%c = Conv(%x, %w) {pads=[1,1,1,1], act=relu} : i8[1,8,8,16] q(0.05, -10)\n"
    "%u = const : i8[16,3,3,16] q(0.01, 0) @i8:2304\n"
    "%e = Conv(%c, %u) {strides=[2,2], pads=[0,0,1,1], act=relu} : i8[1,4,4,16] q(0.05, -10)\n"
    "%p = AveragePool(%e) {kernel=[4,4]} : i8[1,1,1,16] q(0.05, -10)\n"
    "%r = Reshape(%p) {shape=[1,16]}\n"
    "%v = const : i8[6,16] q(0.01, 0) @i8:96\n"
    "%f = FullyConnected(%r, %v) : i8[1,6] q(0.05, 3)\n"
    "%j = input : i8[2,2] q(0.05, 3)\n%k = input : i8[2,2] q(0.1, 1)\n"
    "%y = Add(%j, %k) : i8[2,2] q(0.1, 0)\noutput %f, %y\n";

static const struct {
  Optimize setting;
  const char *conv, *fc, *add;
} want[] = {{OPT_SPEED, "conv_s8__armv7em", "fc_s8__armv7em", "add_s8__armv7em"},
            {OPT_BALANCED, "conv_s8__armv7em", "fc_s8__armv7em", "add_s8__generic"},
            {OPT_SIZE, "conv_s8__armv7em", "fc_s8__generic", "add_s8__generic"}};

static const char *emit_by(const Graph *g, Target *t, Optimize setting, Arena *a) {
  const char *dir = arena_printf(a, "%s/setting-%d", test_tmp_dir(), (int)setting);
  Diag *d = diag_new();
  t->optimize = setting;
  const EmitOptions o = {.name = "net", .out_dir = dir, .optimize = setting};
  ck_assert_msg(emit_c(g, t, &o, d), "%s", diag_text(d));
  diag_free(d);
  return dir;
}

START_TEST(each_decides_otherwise)
{
  Arena *a = arena_new();
  Graph *g = graph_of(net);
  Target t = *target_find("cortex-m4");
  for (int i = 0; i < 3; i++) {
    const char *dir = emit_by(g, &t, want[i].setting, a);
    char *json = test_read_file(path_join(a, dir, "model.json"), NULL);
    ck_assert_msg(strstr(json, want[i].conv) && strstr(json, want[i].fc) && strstr(json, want[i].add),
                  "setting %d:\n%s", i, json);
    free(json);
  }
  graph_free(g);
  arena_free(a);
}
END_TEST

/* As measured: size has fewer bytes than balanced, speed the fewest instructions. */
START_TEST(measured)
{
  if (!have_target(__FILE__, "cortex-m4")) return;
  Arena *a = arena_new();
  Graph *g = graph_of(net);
  Target t = *target_find("cortex-m4");
  Diag *d = diag_new();
  Measured m[3];
  for (int i = 0; i < 3; i++) {
    const char *dir = emit_by(g, &t, want[i].setting, a);
    ck_assert_msg(harness_verify(dir, &t, NULL, &m[i], d), "%s", diag_text(d));
    ck_assert_int_eq(m[i].vectors_equal, m[i].vectors);
  }
  ck_assert_int_lt(m[2].flash, m[1].flash);
  ck_assert_int_lt(m[0].instructions, m[1].instructions);
  ck_assert_int_lt(m[1].instructions, m[2].instructions);
  diag_free(d);
  graph_free(g);
  arena_free(a);
}
END_TEST

/* A PC has room: balanced is the fastest there. */
START_TEST(no_price_elsewhere)
{
  Arena *a = arena_new();
  Graph *g = graph_of(net);
  Target t = *target_find("x86-64-v3");
  char *speed = test_read_file(path_join(a, emit_by(g, &t, OPT_SPEED, a), "model.json"), NULL),
       *balanced = test_read_file(path_join(a, emit_by(g, &t, OPT_BALANCED, a), "model.json"), NULL);
  ck_assert_str_eq(strstr(speed, "\"layers\""), strstr(balanced, "\"layers\""));
  free(speed);
  free(balanced);
  graph_free(g);
  arena_free(a);
}
END_TEST

Suite *suite_optimize(void) {
  Suite *s = suite_create("optimize");
  TCase *t = tcase_create("speed, balanced, size");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, each_decides_otherwise);
  tcase_add_test(t, measured);
  tcase_add_test(t, no_price_elsewhere);
  suite_add_tcase(s, t);
  return s;
}
