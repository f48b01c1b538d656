/* The monitor of drift: its statistics by hand, its rate of false alarms, what it finds; and as emitted C, strictly compiled,
 * the same alarms as here.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "runtime/device/confidence.h"
#include "tests/backend/emitted.h"
#include "tests/support.h"

Suite *suite_drift(void);

static const char identity[] = "%x = input : i8[1,8,8,1] q(1, 0) \"x\"\n"
                               "%y = Reshape(%x) {shape=[1,64]}\n"
                               "output %y\n";

/* -- statistics -- */

START_TEST(statistics_by_hand)
{
  const mistify_drift_reference r = {
      .piece = 6, .step = 2, .next = 1, .flip = 128, .usual = 128, .limit = 1000};
  const int8_t x[] = {0, 10, -28, -128, 127, 100};
  mistify_drift d;
  mistify_drift_init(&d, &r);
  mistify_drift_input(&d, x, 1);
  ck_assert_uint_eq(d.sum[0], 128 + 100 + 255);
  ck_assert_uint_eq(d.sum[1], 0 + 28 + 127);
  ck_assert_uint_eq(d.sum[2], 10 + 100 + 27);
  ck_assert_int_eq(mistify_drift_output(&d, 9), 0);
  ck_assert_uint_eq(d.sum[3], 9);
}
END_TEST

START_TEST(pieces_are_sampled_apart)
{
  const mistify_drift_reference whole = {.piece = 3, .step = 1, .next = 1, .limit = 1000};
  const uint8_t x[] = {1, 2, 4, 200, 100, 50};
  mistify_drift a, b;
  mistify_drift_init(&a, &whole);
  mistify_drift_init(&b, &whole);
  mistify_drift_input(&a, x, 2);
  mistify_drift_input(&b, x, 1);
  mistify_drift_input(&b, x + 3, 1);
  ck_assert_mem_eq(a.sum, b.sum, sizeof a.sum);
  ck_assert_uint_eq(a.sum[2], 1 + 2 + 100 + 50);
}
END_TEST

/* -- a stream of images: a level and a roughness for each, drawn around the usual ones -- */

typedef struct Stream {
  double level, deviation, rough;
  Rng r;
} Stream;

static uint8_t clipped(double v) { return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v); }

static void draw_image(Stream *s, uint8_t x[64]) {
  const double level = s->level + s->deviation * (double)rng_normal(&s->r);
  const double rough = s->rough * (1 + 0.3 * (double)rng_uniform(&s->r));
  for (int i = 0; i < 64; i++) x[i] = clipped(level + rough * (double)rng_normal(&s->r)) ^ 128;
}

static Stream usual_stream(uint64_t seed) {
  Stream s = {.level = 120, .deviation = 20, .rough = 15};
  rng_seed(&s.r, seed, 7);
  return s;
}

enum { EXAMPLES = 2000 };

static void reference_by_rows(int64_t interval, int32_t rows, DriftReference *out) {
  Graph *g = graph_of(identity);
  Tensor *in = mem_array(EXAMPLES, sizeof *in);
  Stream s = usual_stream(1);
  Diag *d = diag_new();
  for (int i = 0; i < EXAMPLES; i++) {
    in[i] = tensor_new(DT_I8, &graph_val(g, g->inputs[0])->shape);
    draw_image(&s, in[i].data);
  }
  ck_assert_msg(drift_reference(g, &(DriftOptions){.interval = interval, .rows = rows}, in, EXAMPLES, out, d),
                "%s", diag_text(d));
  for (int i = 0; i < EXAMPLES; i++) tensor_free(&in[i]);
  mem_free(in);
  diag_free(d);
  graph_free(g);
}

static void usual_reference(int64_t interval, DriftReference *out) { reference_by_rows(interval, 0, out); }

/* Inferences until the alarm, n at most; *alarm: its bits. */
static int until_alarm(mistify_drift *d, Stream *s, int n, int32_t *alarm) {
  uint8_t x[64];
  for (int i = 1; i <= n; i++) {
    draw_image(s, x);
    mistify_drift_input(d, x, 1);
    *alarm = mistify_drift_output(d, mistify_confidence(x, 64, 128));
    if (*alarm) return i;
  }
  return n;
}

START_TEST(false_alarms_are_as_rare_as_asked_for)
{
  enum { INTERVAL = 1000, ALARMS = 60 };
  DriftReference ref;
  usual_reference(INTERVAL, &ref);
  double total = 0;
  for (int i = 0; i < ALARMS; i++) {
    Stream s = usual_stream(100 + (uint64_t)i);
    mistify_drift d;
    int32_t alarm;
    mistify_drift_init(&d, &ref.reference);
    total += until_alarm(&d, &s, 20 * INTERVAL, &alarm);
  }
  const double mean = total / ALARMS;
  ck_assert_msg(mean > 0.6 * INTERVAL && mean < 2.5 * INTERVAL, "a false alarm in %g inferences, not in %d",
                mean, INTERVAL);
}
END_TEST

static int32_t found(const DriftReference *ref, Stream s, int within) {
  mistify_drift d;
  int32_t alarm;
  mistify_drift_init(&d, &ref->reference);
  const int n = until_alarm(&d, &s, within, &alarm);
  ck_assert_msg(alarm != 0, "nothing found in %d inferences", n);
  return alarm;
}

START_TEST(what_changes_is_named)
{
  DriftReference ref;
  usual_reference(10000, &ref);
  Stream s = usual_stream(5);
  s.level += 20;
  ck_assert_int_ne(found(&ref, s, 320) & MISTIFY_DRIFT_LEVEL, 0);
  s = usual_stream(6);
  s.level -= 20;
  ck_assert_int_ne(found(&ref, s, 320) & MISTIFY_DRIFT_LEVEL * MISTIFY_DRIFT_DOWN, 0);
  s = usual_stream(7);
  s.rough *= 2;
  ck_assert_int_ne(found(&ref, s, 160) & MISTIFY_DRIFT_ROUGHNESS, 0);
  s = usual_stream(8);
  s.rough /= 2;
  ck_assert_int_ne(found(&ref, s, 160) & MISTIFY_DRIFT_ROUGHNESS * MISTIFY_DRIFT_DOWN, 0);
}
END_TEST

START_TEST(an_alarm_stays_until_reset)
{
  DriftReference ref;
  usual_reference(10000, &ref);
  Stream bright = usual_stream(9), usual = usual_stream(10);
  bright.level += 60;
  mistify_drift d;
  int32_t alarm;
  mistify_drift_init(&d, &ref.reference);
  until_alarm(&d, &bright, 320, &alarm);
  ck_assert_int_ne(alarm, 0);
  ck_assert_int_eq(until_alarm(&d, &usual, 10, &alarm), 1);
  mistify_drift_reset(&d);
  ck_assert_int_eq(until_alarm(&d, &usual, 400, &alarm), 400);
}
END_TEST

START_TEST(learning_makes_the_new_usual)
{
  DriftReference ref;
  usual_reference(10000, &ref);
  Stream bright = usual_stream(11), usual = usual_stream(12);
  bright.level += 40;
  mistify_drift d;
  int32_t alarm;
  mistify_drift_init(&d, &ref.reference);
  mistify_drift_learn(&d);
  ck_assert_int_eq(until_alarm(&d, &bright, 2048, &alarm), 2048);
  ck_assert_int_eq(d.learning, 0);
  ck_assert_int_lt(
      abs((int)d.mean[0] - 16 * 160 * (int)((64 - 1 + ref.reference.step - 1) / ref.reference.step)),
      16 * 2 * 64);
  ck_assert_int_eq(until_alarm(&d, &bright, 1600, &alarm), 1600);
  ck_assert_int_lt(until_alarm(&d, &usual, 320, &alarm), 320);
  ck_assert_int_ne(alarm & MISTIFY_DRIFT_LEVEL * MISTIFY_DRIFT_DOWN, 0);
}
END_TEST

START_TEST(what_it_cannot_watch_is_told)
{
  Graph *g = graph_of("%x = input : f32[1,8]\n%y = Relu(%x)\noutput %y\n");
  Diag *d = diag_new();
  Tensor one = tensor_new(DT_F32, &graph_val(g, g->inputs[0])->shape);
  Tensor in[64];
  DriftReference ref;
  for (int i = 0; i < 64; i++) in[i] = one;
  ck_assert(!drift_reference(g, &(DriftOptions){0}, in, 64, &ref, d));
  ck_assert_ptr_nonnull(strstr(diag_text(d), "codes of 8 bits"));
  ck_assert(!drift_reference(g, &(DriftOptions){0}, in, 63, &ref, d));
  ck_assert_ptr_nonnull(strstr(diag_text(d), "63 examples"));
  tensor_free(&one);
  diag_free(d);
  graph_free(g);
}
END_TEST

/* -- as emitted C -- */

static const char program[] = "#include <stdio.h>\n"
                              "#include \"model.h\"\n"
                              "int main(void) {\n"
                              "  unsigned char x[64];\n"
                              "  mistify_drift d;\n"
                              "  int i, alarm = 0, n = 0;\n"
                              "  net_drift_init(&d);\n"
                              "  while (!alarm && fread(x, 1, sizeof x, stdin) == sizeof x) {\n"
                              "    net_drift_input(&d, x);\n"
                              "    alarm = net_drift_output(&d, net_confidence(x));\n"
                              "    n++;\n"
                              "  }\n"
                              "  printf(\"%d %d\", n, alarm);\n"
                              "  for (i = 0; i < 4; i++) printf(\" %u %u\", d.up[i], d.down[i]);\n"
                              "  printf(\"\\n\");\n"
                              "  return 0;\n"
                              "}\n";

static const char *emit_drift(const DriftReference *ref, const char *name, bool rows, const char *fault) {
  static char dir[300];
  Graph *g = graph_of(identity);
  Diag *d = diag_new();
  const Target *t = target_find("x86-64");
  PlanOptions plan = target_plan_within(t, 0, rows);
  snprintf(dir, sizeof dir, "%s/%s", test_tmp_dir(), name);
  const EmitOptions o = {.name = "net", .out_dir = dir, .plan = &plan, .drift = ref};
  const bool ok = emit_c(g, t, &o, d);
  ck_assert_msg(ok == !fault, "%s", diag_text(d));
  if (fault) ck_assert_ptr_nonnull(strstr(diag_text(d), fault));
  diag_free(d);
  graph_free(g);
  return dir;
}

START_TEST(emitted_code_raises_the_same_alarm)
{
  enum { N = 400 };
  DriftReference ref;
  mistify_drift d;
  char path[400], want[200], *got;
  uint8_t x[N][64];
  int n = 0, k;
  int32_t alarm = 0;
  Stream s = usual_stream(20);
  s.level += 15;
  usual_reference(10000, &ref);
  mistify_drift_init(&d, &ref.reference);
  for (int i = 0; i < N; i++) {
    draw_image(&s, x[i]);
    if (alarm) continue;
    mistify_drift_input(&d, x[i], 1);
    alarm = mistify_drift_output(&d, mistify_confidence(x[i], 64, 128));
    n++;
  }
  k = snprintf(want, sizeof want, "%d %d", n, alarm);
  for (int i = 0; i < 4; i++) k += snprintf(want + k, sizeof want - (size_t)k, " %u %u", d.up[i], d.down[i]);
  const char *dir = emit_drift(&ref, "drift", false, NULL);
  snprintf(path, sizeof path, "%s/main.c", dir);
  test_write_file(path, program, sizeof program - 1);
  snprintf(path, sizeof path, "%s/in.bin", dir);
  test_write_file(path, x, sizeof x);
  must_run("cd %s && gcc " STRICT " -c model.c && gcc -o main main.c model.o -lm", dir);
  snprintf(path, sizeof path, "cd %s && ./main < in.bin", dir);
  test_run_command(path, &got);
  got[strcspn(got, "\n")] = 0;
  ck_assert_str_eq(got, want);
  free(got);
}
END_TEST

START_TEST(rows_have_a_function_of_their_own)
{
  DriftReference ref;
  usual_reference(10000, &ref);
  emit_drift(&ref, "drift-no-rows", true, "made for an input");
  reference_by_rows(10000, 8, &ref);
  emit_drift(&ref, "drift-no-whole", false, "made for an input");
  const char *dir = emit_drift(&ref, "drift-rows", true, NULL);
  must_run("cd %s && gcc " STRICT " -c model.c && grep -q 'net_drift_rows(mistify_drift' model.h", dir);
}
END_TEST

/* What the header and docs/device.md say. */
START_TEST(ram_is_as_stated)
{
  if (!have_tool(__FILE__, "arm-none-eabi-gcc")) return;
  must_run("printf '#include \"runtime/device/drift.h\"\n#include \"runtime/device/controller.h\"\n"
           "char d[sizeof(mistify_drift) == 76 ? 1 : -1], c[sizeof(mistify_controller) <= 60 ? 1 : -1];\n'"
           " | arm-none-eabi-gcc -mcpu=cortex-m0plus -mthumb -I. -fsyntax-only -xc -");
}
END_TEST

/* Freestanding, without a word of warning, and without calls of a library: no division, no product of 64 bits. */
START_TEST(device_code_stands_alone_on_a_cortex_m0)
{
  if (!have_tool(__FILE__, "arm-none-eabi-gcc")) return;
  static const char *const files[] = {"variant", "controller", "confidence", "drift"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    must_run("arm-none-eabi-gcc -mcpu=cortex-m0plus -mthumb -Os -I. " STRICT
             " -c runtime/device/%s.c -o %s/%s.o",
             files[i], test_tmp_dir(), files[i]);
    must_run("! arm-none-eabi-nm -u %s/%s.o | grep -v ' mistify_' | grep -v ' memset$' | grep .",
             test_tmp_dir(), files[i]);
  }
}
END_TEST

Suite *suite_drift(void) {
  Suite *s = suite_create("drift");
  TCase *t = tcase_create("drift");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, statistics_by_hand);
  tcase_add_test(t, pieces_are_sampled_apart);
  tcase_add_test(t, false_alarms_are_as_rare_as_asked_for);
  tcase_add_test(t, what_changes_is_named);
  tcase_add_test(t, an_alarm_stays_until_reset);
  tcase_add_test(t, learning_makes_the_new_usual);
  tcase_add_test(t, what_it_cannot_watch_is_told);
  tcase_add_test(t, emitted_code_raises_the_same_alarm);
  tcase_add_test(t, rows_have_a_function_of_their_own);
  tcase_add_test(t, ram_is_as_stated);
  tcase_add_test(t, device_code_stands_alone_on_a_cortex_m0);
  suite_add_tcase(s, t);
  return s;
}
