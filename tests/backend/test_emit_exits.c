/* Early exits: every variant's output is the engine's, whether it ran from the input on or went on from an exit before; a
 * cascade costs what its last exit does; what has no exits is refused.
 */
#include <stdlib.h>
#include <string.h>

#include "ir/base/strbuf.h"
#include "tests/backend/emitted.h"
#include "tests/support.h"

Suite *suite_emit_exits(void);

enum { N = 3 };

/* A head of c channels behind value `at`. */
static void put_head(StrBuf *t, const char *at, const char *name, int channels) {
  sb_printf(t, "%%m%s = ReduceMean(%%%s) {axes=[1,2], keepdims=0} : i8[1,%d] q(0.1, -128)\n", name, at,
            channels);
  sb_printf(t, "%%w%s = const : i8[5,%d] q(0.02, 0) @i8:%d\n", name, channels, 5 * channels);
  sb_printf(t, "%%%s = FullyConnected(%%m%s, %%w%s) : i8[1,5] q(0.9, 3) \"%s\"\n", name, name, name, name);
}

static void put_conv(StrBuf *t, const char *from, const char *to, int size, int outs, int ins, int stride) {
  sb_printf(t, "%%w%s = const : i8[%d,3,3,%d] q(0.01, 0) @i8:%d\n", to, outs, ins, outs * 9 * ins);
  sb_printf(
      t,
      "%%%s = Conv(%%%s, %%w%s) {strides=[%d,%d], pads=[1,1,1,1], act=relu} : i8[1,%d,%d,%d] q(0.1, -128)\n",
      to, from, to, stride, stride, size, size, outs);
}

/* Three exits; nodes of the heads stand behind the last layer. */
static Graph *exits_net(void) {
  StrBuf t = {0};
  sb_puts(&t, "graph \"exits\"\n%x = input : i8[1,12,12,3] q(0.02, -3) \"image\"\n");
  put_conv(&t, "x", "a", 12, 8, 3, 1);
  put_conv(&t, "a", "b", 6, 12, 8, 2);
  put_conv(&t, "b", "c", 6, 16, 12, 1);
  put_conv(&t, "c", "d", 3, 24, 16, 2);
  put_head(&t, "d", "last", 24);
  put_head(&t, "c", "second", 16);
  put_head(&t, "a", "first", 8);
  sb_puts(&t, "output %first, %second, %last\n");
  Graph *g = graph_of(sb_str(&t));
  sb_free(&t);
  return g;
}

static const PlanOptions whole = {.level = PLAN_WHOLE}, stream = {.level = PLAN_STREAM};

static const char *emit(const char *target, const char *name, EmitOptions o, FamilyCost *cost) {
  static char dir[600];
  Graph *g = exits_net();
  Diag *d = diag_new();
  snprintf(dir, sizeof dir, "%s/exits-%s-%s", test_tmp_dir(), name, target);
  o.out_dir = dir;
  o.name = "net";
  const FamilyMember m[N] = {{.accuracy_ppm = 900000}, {.accuracy_ppm = 850000}, {.accuracy_ppm = 700000}};
  ck_assert_msg(emit_exits(g, m, target_find(target), &o, cost, d), "%s", diag_text(d));
  diag_free(d);
  graph_free(g);
  return dir;
}

/* -- on this machine -- */

static const EmitOptions forms[] = {{.plan = &whole, .controller = true},
                                    {.plan = &stream, .controller = true},
                                    {.plan = &stream, .optimize = OPT_SPEED},
                                    {.weights = WEIGHTS_APART, .kernels = "kernels"}};

START_TEST(every_form)
{
  char name[24];
  snprintf(name, sizeof name, "form%d", _i);
  const char *dir = emit("x86-64", name, forms[_i], NULL);
  must_run(
      "cd '%s' && for f in model.c $(ls weights.c kernels/*.c 2>/dev/null); do gcc " STRICT
      " -Wmissing-prototypes -O1 -c $f -o strict.o || exit 1; done; "
      "gcc -std=c99 -DSELFTEST_MINIMAL -O1 -c selftest.c -o minimal.o && "
      "gcc -std=c99 -Wall -Wextra -Wpedantic -Werror -fsanitize=address,undefined -fno-sanitize-recover=all "
      "selftest.c model.c $(ls weights.c kernels/*.c 2>/dev/null) -o selftest -lm && "
      "./selftest | grep -q 'vectors 9 passed 9 equal 9'",
      dir);
}
END_TEST

/* The functions as a program sees them, and a cascade. */
static const char program[] =
    "#include \"model.h\"\n#include <string.h>\n"
    "static union { unsigned char bytes[NET_ARENA_SIZE]; double align; } memory;\n"
    "static net_context ctx;\nstatic unsigned spent;\n"
    "static uint32_t now(void *clock) { (void)clock; return spent; }\n"
    "static signed char first[NET_VARIANTS][NET_OUTPUT0_BYTES];\n"
    "static int same(int v) { return !memcmp(net_output(&ctx, 0), first[v], NET_OUTPUT0_BYTES); }\n"
    "static void put(void) {\n  int i;\n"
    "  for (i = 0; i < NET_INPUT0_BYTES; i++) ((signed char *)net_input(&ctx, 0))[i] = (signed char)(i * 37 "
    "% 251);\n}\n"
    "int main(void) {\n"
    "  static const mistify_control how = {.now = now, .sure = 256, .cycles_per_unit = 1};\n"
    "  mistify_controller c;\n  mistify_budget all = {0, 0, 0, 0};\n  int v, w, ran;\n"
    "  if (net_init(&ctx, memory.bytes, sizeof memory)) return 1;\n"
    "  for (v = 0; v < NET_VARIANTS; v++) {\n    put();\n    net_run(&ctx, v);\n"
    "    memcpy(first[v], net_output(&ctx, 0), NET_OUTPUT0_BYTES);\n"
    "    if (v && same(v - 1)) return 2;\n  }\n"
    /* any variant, then any other, on one input */
    "  for (v = 0; v < NET_VARIANTS; v++)\n    for (w = 0; w < NET_VARIANTS; w++) {\n"
    "      put();\n      net_run(&ctx, v);\n      net_continue(&ctx, w);\n      if (!same(w)) return 3;\n"
    "      net_continue(&ctx, v);\n      if (!same(v)) return 4;\n    }\n"
    /* a number that is no variant does nothing */
    "  net_run(&ctx, NET_VARIANTS);\n  net_continue(&ctx, -1);\n  if (!same(NET_VARIANTS - 1)) return 5;\n"
    "  if (net_variants[0].cycles <= net_variants[1].cycles || net_select(&all) != 0) return 6;\n"
    /* never sure: all parts run, once each */
    "  net_controller_init(&c, &how);\n  put();\n  ran = 0;\n"
    "  for (v = net_controller_begin(&c, &all); v >= 0; v = net_controller_end(&c, "
    "net_confidence(net_output(&ctx, 0)))) {\n"
    "    if (v != NET_VARIANTS - 1 - ran) return 7;\n"
    "    if (ran++ == 0) net_run(&ctx, v); else net_continue(&ctx, v);\n"
    "    spent = net_variants[v].cycles;\n  }\n"
    "  return ran == NET_VARIANTS && same(0) && c.mean == 4096 ? 0 : 8;\n}\n";

START_TEST(a_program)
{
  char path[700];
  const char *dir = emit("x86-64", "program", (EmitOptions){.plan = &stream, .controller = true}, NULL);
  snprintf(path, sizeof path, "%s/main.c", dir);
  test_write_file(path, program, strlen(program));
  must_run("cd '%s' && gcc -std=c99 -Wall -Wextra -Wpedantic -Werror -fsanitize=address,undefined main.c "
           "model.c -o main "
           "-lm && ./main",
           dir);
}
END_TEST

/* -- on the targets -- */

START_TEST(byte_equal)
{
  static const char *const on[] = {"cortex-m4", "aarch64", "cortex-m0"};
  const char *target = on[_i];
  if (!have_target(__FILE__, target)) return;
  FamilyCost cost;
  Measured m;
  VariantMeasured v[EMIT_VARIANTS];
  int n;
  Diag *d = diag_new();
  const char *dir = emit(target, "on", (EmitOptions){.optimize = OPT_BALANCED}, &cost);
  ck_assert_msg(harness_verify_family(dir, target_find(target), NULL, &m, v, &n, d), "%s: %s", target,
                diag_text(d));
  ck_assert_int_eq(n, N);
  ck_assert_int_eq(m.vectors, N * N);
  ck_assert_int_eq(m.vectors_equal, N * N);
  for (int i = 0; i < N && v[i].cycles > 0; i++) {
    const double off = (double)cost.cycles[i] / (double)v[i].cycles;
    printf("%s: exit of variant %d: estimated %lld, counted %lld\n", target, i, (long long)cost.cycles[i],
           (long long)v[i].cycles);
    ck_assert_msg(_i == 1 || (off > 0.95 && off < 1.05), "%s: variant %d: estimated %lld, counted %lld",
                  target, i, /* at -O3 small layers are copied */
                  (long long)cost.cycles[i], (long long)v[i].cycles);
    if (i) ck_assert_int_lt(v[i].cycles, v[i - 1].cycles);
  }
  ck_assert_int_le(llabs(cost.image.ram - m.ram_arena - m.ram_other), 16);
  diag_free(d);
}
END_TEST

/* -- refused -- */

static void refused(const char *text, EmitOptions o, const char *why) {
  Graph *g = text ? graph_of(text) : exits_net();
  Diag *d = diag_new();
  char dir[600];
  snprintf(dir, sizeof dir, "%s/exits-refused", test_tmp_dir());
  o.out_dir = dir;
  o.name = "net";
  ck_assert(!emit_exits(g, NULL, target_find("cortex-m4"), &o, NULL, d));
  ck_assert_msg(strstr(diag_text(d), why) != NULL, "\"%s\" is not in: %s", why, diag_text(d));
  diag_free(d);
  graph_free(g);
}

START_TEST(what_has_no_exits)
{
  static const char head[] = "%x = input : i8[1,4] q(0.1, 0)\n%w = const : i8[4,4] q(0.01, 0) @i8:16\n"
                             "%y = FullyConnected(%x, %w) : i8[1,4] q(0.1, 0)\n";
  char text[600];
  const PlanOptions rows = {.input_rows = true};
  const EmitOptions any = {.step = false};
  snprintf(text, sizeof text, "%soutput %%y\n", head);
  refused(text, any, "the model has 1 output; want 2 to 16");
  snprintf(text, sizeof text, "%s%%z = FullyConnected(%%y, %%w) : i8[1,4] q(0.2, 0)\noutput %%y, %%z\n",
           head);
  refused(text, any, "output 1 is not of the form of output 0");
  snprintf(text, sizeof text, "%s%%z = FullyConnected(%%y, %%w) : i8[1,4] q(0.1, 0)\noutput %%z, %%y\n",
           head);
  refused(text, any, "output 1 needs nothing that the outputs before it do not");
  refused(NULL, (EmitOptions){.weights = WEIGHTS_BLOB}, "in a blob");
  refused(NULL, (EmitOptions){.step = true}, "in pieces");
  refused(NULL, (EmitOptions){.plan = &rows}, "row by row");
  refused(NULL, (EmitOptions){.adapt = DEVICE_ADAPT_LAST}, "training on the device");
}
END_TEST

Suite *suite_emit_exits(void) {
  Suite *s = suite_create("emit_exits");
  TCase *t = tcase_create("exits");
  tcase_set_timeout(t, 300);
  tcase_add_loop_test(t, every_form, 0, (int)(sizeof forms / sizeof *forms));
  tcase_add_test(t, a_program);
  tcase_add_loop_test(t, byte_equal, 0, 3);
  tcase_add_test(t, what_has_no_exits);
  suite_add_tcase(s, t);
  return s;
}
