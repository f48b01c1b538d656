/* Windows that overlap: plans that keep rings and values between them, against evaluation of every window, by the machine
 * and by emitted C.
 */
#include <stdio.h>
#include <string.h>

#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "ir/eval.h"
#include "tests/backend/emitted.h"
#include "tests/backend/plan_machine.h"
#include "tests/backend/random_images.h"
#include "tests/support.h"

Suite *suite_hop(void);

/* Convolutions over time without padding; the mean of what is left, and a class of it. */
static const char audio[] = "%x = input : f32[1,24,1,6]\n"
                            "%u = const : f32[8,3,1,6] @f32:144\n%v = const : f32[1,4,1,8] @f32:32\n%w = "
                            "const : f32[8,1,1,8] @f32:64\n"
                            "%z = const : f32[3,8] @f32:24\n"
                            "%a = Conv(%x, %u) {act=relu}\n"
                            "%b = DepthwiseConv(%a, %v) {strides=[2,1]}\n"
                            "%c = Conv(%b, %w) {act=relu}\n"
                            "%d = DepthwiseConv(%c, %v)\n"
                            "%e = ReduceMean(%d) {axes=[1,2], keepdims=0}\n"
                            "%f = FullyConnected(%e, %z)\n"
                            "output %f\n";

/* The outputs of all rows that there are; then with a skip. */
static const char frames[] =
    "%x = input : f32[1,9,3,2]\n"
    "%u = const : f32[2,3,1,2] @f32:12\n"
    "%a = Conv(%x, %u)\n%b = Relu(%a)\n%c = Add(%a, %b)\n%d = Conv(%c, %u)\noutput %d\n";

/* Whether there is a plan of such a hop; it is put to the test. */
static bool check_hop(const Graph *g, int32_t hop, uint64_t seed) {
  const PlanOptions o = {.input_rows = true, .hop = hop};
  Diag *d = diag_new();
  Arena *a = arena_new();
  Calls calls;
  MemoryPlan p;
  calls_init(&calls);
  ck_assert_msg(graph_lower(g, &calls, d), "%s", diag_text(d));
  bool ok = plan_memory(g, &calls, &o, a, &p, d);
  if (ok) machine_test(g, &calls, &p, seed);
  calls_free(&calls);
  arena_free(a);
  diag_free(d);
  return ok;
}

START_TEST(windows_go_on)
{
  Graph *g = graph_of(audio);
  ck_assert(check_hop(g, 2, 1));
  ck_assert(check_hop(g, 6, 2));
  ck_assert(check_hop(g, 24, 3));
  graph_free(g);
  g = graph_of(frames);
  for (int32_t hop = 1; hop <= 9; hop++) ck_assert(check_hop(g, hop, (uint64_t)hop));
  graph_free(g);
}
END_TEST

START_TEST(what_cannot_go_on)
{
  Diag *d = diag_new();
  Arena *a = arena_new();
  Calls calls;
  MemoryPlan p;
  const PlanOptions o = {.input_rows = true, .hop = 1};
  Graph *g = graph_of("%x = input : f32[1,9,3,2]\n%u = const : f32[2,3,1,2] @f32:12\n"
                      "%a = Conv(%x, %u) {pads=[1,0,1,0]}\noutput %a\n");
  calls_init(&calls);
  ck_assert_msg(graph_lower(g, &calls, d), "%s", diag_text(d));
  ck_assert(!plan_memory(g, &calls, &o, a, &p, d));
  ck_assert_msg(strstr(diag_text(d), "hop of 1 rows") != NULL, "%s", diag_text(d));
  calls_free(&calls);
  graph_free(g);
  arena_free(a);
  diag_free(d);
}
END_TEST

START_TEST(random_graphs)
{
  int done = 0;
  for (uint64_t k = 0; k < 60; k++) {
    Diag *d = diag_new();
    Rng r;
    rng_seed(&r, 14, (uint64_t)_i * 1000 + k);
    Graph *g = random_images(&r, d);
    for (int32_t hop = 1; hop <= 4; hop++)
      if (plan_input_rows(&graph_val(g, g->inputs[0])->shape) > 1) done += check_hop(g, hop, k);
    graph_free(g);
    diag_free(d);
  }
  ck_assert_int_ge(done, 20);
}
END_TEST

/* -- emitted -- */

static const char program[] =
    "#include \"model.h\"\n#include <stdio.h>\n"
    "static double arena[(MODEL_ARENA_SIZE + 7) / 8];\n"
    "int main(void) {\n"
    "  model_context c;\n"
    "  unsigned char row[MODEL_INPUT0_ROW_BYTES];\n"
    "  if (model_init(&c, arena, sizeof arena)) return 1;\n"
    "  while (fread(row, 1, sizeof row, stdin) == sizeof row)\n"
    "    if (model_push_rows(&c, row, 1)) fwrite(model_output(&c, 0), 1, MODEL_OUTPUT0_BYTES, stdout);\n"
    "  return 0;\n}\n";

enum { WINDOWS = 7 };

/* Inputs and what each window gives, as files. */
static void write_files(const Graph *g, int hop, const char *dir) {
  Diag *d = diag_new();
  Arena *a = arena_new();
  Rng r;
  rng_seed(&r, 15, (uint64_t)hop);
  const size_t rows = (size_t)plan_input_rows(&graph_val(g, g->inputs[0])->shape);
  const size_t row = val_bytes(g, g->inputs[0]) / rows, all = row * (rows + (size_t)hop * (WINDOWS - 1)),
               out = val_bytes(g, g->outputs[0]);
  float *x = arena_alloc(a, all);
  char *want = arena_alloc(a, out * WINDOWS);
  for (size_t i = 0; i < all / 4; i++) x[i] = rng_normal(&r);
  Evaluator *e = evaluator_new(g, d);
  for (size_t k = 0; k < WINDOWS; k++) {
    const void *in[] = {(const char *)x + k * (size_t)hop * row};
    evaluator_run(e, in);
    memcpy(want + k * out, evaluator_value(e, g->outputs[0]), out);
  }
  ck_assert_msg(file_write(path_join(a, dir, "rows.bin"), x, all, d) &&
                    file_write(path_join(a, dir, "want.bin"), want, out * WINDOWS, d) &&
                    file_write(path_join(a, dir, "main.c"), program, strlen(program), d),
                "%s", diag_text(d));
  evaluator_free(e);
  arena_free(a);
  diag_free(d);
}

static void check_emitted(const char *text, const char *name, int hop) {
  Diag *d = diag_new();
  Graph *g = graph_of(text);
  char dir[600];
  const PlanOptions plan = {.input_rows = true, .hop = hop};
  const EmitOptions o = {.name = "model", .out_dir = dir, .plan = &plan};
  snprintf(dir, sizeof dir, "%s/hop-%s-%d", test_tmp_dir(), name, hop);
  ck_assert_msg(emit_c(g, target_find("x86-64"), &o, d), "%s", diag_text(d));
  write_files(g, hop, dir);
  must_run("cd '%s' && gcc " STRICT
           " -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -c model.c && "
           "gcc -std=c99 -fsanitize=address,undefined selftest.c model.o -o selftest -lm && ./selftest | "
           "grep -q 'vectors 4 passed 4 equal 4' && "
           "gcc -std=c99 -fsanitize=address,undefined main.c model.o -o main -lm && ./main < rows.bin > "
           "got.bin && "
           "cmp got.bin want.bin",
           dir);
  graph_free(g);
  diag_free(d);
}

START_TEST(emitted_windows)
{
  check_emitted(audio, "audio", 2);
  check_emitted(audio, "audio", 4);
  check_emitted(frames, "frames", 1);
  check_emitted(frames, "frames", 9);
}
END_TEST

Suite *suite_hop(void) {
  Suite *s = suite_create("hop");
  TCase *t = tcase_create("hop");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, windows_go_on);
  tcase_add_test(t, what_cannot_go_on);
  tcase_add_loop_test(t, random_graphs, 0, 4);
  tcase_add_test(t, emitted_windows);
  suite_add_tcase(s, t);
  return s;
}
