/* Emitted C: a sample of every operator and two small nets compile without a warning under gcc and clang, for PC and
 * bare machines, and compute what reference evaluation computes; it allocates nothing and has no writable data; several
 * contexts and several models live in one program; the folder appears whole or not at all.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/emit/emit.h"
#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "ir/eval.h"
#include "tests/backend/emitted.h"
#include "tests/ir/samples.h"
#include "tests/support.h"

Suite *suite_emit(void);

/* -- every operator -- */

START_TEST(every_operator)
{
  Graph *g = sample_graph(&samples[_i]);
  const char *dir = emit_to_tmp(g, "x86-64", "sample");
  must_run("cd '%s' && gcc " STRICT
           " -O1 -c model.c && gcc -std=c99 -Wall -Wextra -Wpedantic -Werror -O0 selftest.c "
           "model.o $(find . -path '*/custom/*.c') -o selftest -lm && ./selftest",
           dir);
  if (have_tool(__FILE__, "clang")) must_run("cd '%s' && clang " STRICT " -O0 -c model.c", dir);
  if (have_tool(__FILE__, "arm-none-eabi-gcc"))
    must_run("cd '%s' && arm-none-eabi-gcc " STRICT " -mcpu=cortex-m0 -mthumb -O0 -c model.c", dir);
  graph_free(g);
}
END_TEST

/* The net of the tests of ir/, with a bias that its sums do not overflow. */
START_TEST(net_with_everything)
{
  Graph *sample = sample_net();
  StrBuf text = {0};
  graph_print(sample, &text, SIZE_MAX);
  char *big = strstr(text.s, "2147483647");
  ck_assert_ptr_nonnull(big);
  memcpy(big, "    300000", 10);
  Graph *g = graph_of(text.s);
  const char *dir = emit_to_tmp(g, "x86-64", "everything");
  must_run("cd '%s' && gcc " STRICT
           " -O2 -c model.c && gcc -std=c99 selftest.c model.o -o selftest -lm && ./selftest",
           dir);
  sb_free(&text);
  graph_free(g);
  graph_free(sample);
}
END_TEST

/* The self-test lets codes behind real numbers differ by two, all others by nothing. */
START_TEST(codes_behind_reals)
{
  static const char *const reals[] = {
      "%y = Sigmoid(%x) : i8[4] q(0.00390625, -128)\noutput %y\n",
      "%r = Dequantize(%x)\n%e = Exp(%r)\n%y = Quantize(%e) : i8[4] q(0.1, 0)\n"
      "output %y\n"};
  for (int i = 0; i < 2; i++) {
    Arena *a = arena_new();
    Graph *g = graph_of(arena_printf(a, "graph\n%%x = input : i8[4] q(0.05, 0)\n%s", reals[i]));
    ck_assert(graph_computes_reals(g) == (i == 1));
    const char *dir = emit_to_tmp(g, "x86-64", i ? "reals" : "codes");
    must_run("cd '%s' && grep -q 'MODEL_CODES %d' selftest.c && gcc -std=c99 selftest.c model.c -o selftest "
             "-lm && "
             "./selftest",
             dir, i ? 2 : 0);
    graph_free(g);
    arena_free(a);
  }
}
END_TEST

/* Kernels of several files that are made by the same macros, in one program. */
START_TEST(element_types_together)
{
  Graph *g =
      graph_of("graph\n%x = input : f32[2,3]\n%w = input : f64[2,3]\n%v = input : i32[2,3]\n"
               "%a = Sqrt(%x)\n%b = Sqrt(%w)\n%c = Abs(%v)\n%d = Equal(%x, %x)\n%e = Pow(%x, %x)\n"
               "%f = Add(%w, %w)\n%h = Mod(%v, %v)\n%i = ArgMax(%v) {axis=1}\n%j = CumSum(%v) {axis=1}\n"
               "%k = ReduceSum(%v) {axes=[1]}\n%l = ReduceLogSumExp(%w) {axes=[1]}\n"
               "output %a, %b, %c, %d, %e, %f, %h, %i, %j, %k, %l\n");
  const char *dir = emit_to_tmp(g, "x86-64", "types");
  must_run("cd '%s' && gcc " STRICT " -O1 -c model.c && gcc -std=c99 selftest.c model.o -o selftest -lm && "
           "./selftest",
           dir);
  graph_free(g);
}
END_TEST

/* A model with state: the self-test's vectors are a sequence; reset goes back to its start. */
static const char state_net[] =
    "graph \"state\"\n%x = input : f32[1,2] %c = const : f32[1,2] {10, 20} %s = state(%c) : f32[1,2]\n"
    "%z = const : f32[1,2] {0, 0} %b = state(%z) : f32[1,2] %a = state(%z) : f32[1,2] %y = Add(%s, %x)\n"
    "%o = Add(%y, %a)\nnext %s = %y next %b = %s next %a = %b output %y, %o\n";

static const char state_main[] = "#include \"state-x86-64/model.h\"\n"
                                 "#include <string.h>\n"
                                 "static union { unsigned char bytes[STATE_ARENA_SIZE]; double align; } m;\n"
                                 "int main(void) {\n"
                                 "  state_context c;\n"
                                 "  const float x[2] = {1, 2}, first[2] = {11, 22}, second[2] = {12, 24};\n"
                                 "  if (state_init(&c, m.bytes, sizeof m)) return 1;\n"
                                 "  for (int round = 0; round < 2; round++) {\n"
                                 "    memcpy(state_input(&c, 0), x, sizeof x);\n"
                                 "    state_run(&c);\n"
                                 "    if (memcmp(state_output(&c, 0), first, sizeof first)) return 2;\n"
                                 "    memcpy(state_input(&c, 0), x, sizeof x);\n"
                                 "    state_run(&c);\n"
                                 "    if (memcmp(state_output(&c, 0), second, sizeof second)) return 3;\n"
                                 "    state_reset(&c);\n"
                                 "  }\n"
                                 "  return 0;\n"
                                 "}\n";

START_TEST(state_lives_in_the_context)
{
  Graph *g = graph_of(state_net);
  const char *dir = emit_to_tmp(g, "x86-64", "state");
  char path[700];
  snprintf(path, sizeof path, "%s/state_main.c", test_tmp_dir());
  test_write_file(path, state_main, sizeof state_main - 1);
  must_run("cd '%s' && gcc " STRICT " -O1 -c model.c && gcc -std=c99 -Wall -Wextra -Werror selftest.c "
           "model.o -o selftest -lm && ./selftest",
           dir);
  must_run(
      "cd '%s' && gcc -std=c99 -Wall -Wextra -Wpedantic -Werror -fsanitize=address,undefined state_main.c "
      "state-x86-64/model.c -o stateful && ./stateful",
      test_tmp_dir());
  if (have_tool(__FILE__, "arm-none-eabi-gcc"))
    must_run("cd '%s' && arm-none-eabi-gcc " STRICT " -mcpu=cortex-m0 -mthumb -O0 -c model.c", dir);
  graph_free(g);
}
END_TEST

/* -- two models in one program, each twice -- */

static const char two_models[] =
    "#include \"a-x86-64/model.h\"\n"
    "#include \"b-x86-64/model.h\"\n"
    "#include <stdio.h>\n"
    "#include <string.h>\n"
    "static union { unsigned char bytes[A_ARENA_SIZE]; double align; } a1, a2;\n"
    "static union { unsigned char bytes[B_ARENA_SIZE]; double align; } b1;\n"
    "int main(void) {\n"
    "  a_context x, y;\n"
    "  b_context z;\n"
    "  A_INPUT0_TYPE zeros[A_INPUT0_COUNT], ones[A_INPUT0_COUNT];\n"
    "  unsigned char alone[A_OUTPUT0_BYTES];\n"
    "  if (a_init(&x, a1.bytes, sizeof a1) || a_init(&y, a2.bytes, sizeof a2) || b_init(&z, b1.bytes, sizeof "
    "b1)) return 1;\n"
    "  if (a_init(&x, a1.bytes, A_ARENA_SIZE - 1) != 1 || a_init(&x, NULL, 0) != 1) return 2;\n"
    "  if (a_init(&x, a1.bytes + 1, A_ARENA_SIZE) != 2) return 3;\n"
    "  if (a_init(&x, a1.bytes, A_ARENA_SIZE) != 0) return 4;\n"
    "  if (a_input(&x, 1) || a_input(&x, -1) || a_output(&x, A_OUTPUTS)) return 5;\n"
    "  memset(zeros, 0, sizeof zeros);\n"
    "  memset(ones, 1, sizeof ones);\n"
    "  memcpy(a_input(&x, 0), ones, sizeof ones);\n"
    "  a_run(&x);\n"
    "  memcpy(alone, a_output(&x, 0), sizeof alone);\n"
    "  memcpy(a_input(&x, 0), ones, sizeof ones);\n"
    "  memcpy(a_input(&y, 0), zeros, sizeof zeros);\n"
    "  memset(b_input(&z, 0), 0, B_INPUT0_BYTES);\n"
    "  a_run(&y);\n"
    "  b_run(&z);\n"
    "  a_run(&x);\n"
    "  if (memcmp(alone, a_output(&x, 0), sizeof alone) != 0) return 6;\n"
    "  if (memcmp(alone, a_output(&y, 0), sizeof alone) == 0) return 7;\n"
    "  printf(\"%d %g %d\\n\", A_INPUT0_RANK, (double)A_INPUT0_SCALE, A_INPUT0_ZERO);\n"
    "  return 0;\n"
    "}\n";

START_TEST(two_models_in_one_program)
{
  Graph *a = graph_of(small_int8_net), *b = graph_of(small_float_net);
  char path[700];
  emit_to_tmp(a, "x86-64", "a");
  emit_to_tmp(b, "x86-64", "b");
  snprintf(path, sizeof path, "%s/main.c", test_tmp_dir());
  test_write_file(path, two_models, sizeof two_models - 1);
  must_run("cd '%s' && gcc -std=c99 -Wall -Wextra -Wpedantic -Werror -fsanitize=address,undefined "
           "-fno-sanitize-recover=all main.c a-x86-64/model.c b-x86-64/model.c -o two -lm && ./two",
           test_tmp_dir());
  graph_free(a);
  graph_free(b);
}
END_TEST

/* A model that folding made a constant has no input; it is emitted all the same. */
START_TEST(no_input)
{
  Graph *g =
      graph_of("%a = const : f32[3] {1, 2, 3}\n%b = const : f32[3] {4, 5, 6}\n%y = Add(%a, %b) : f32[3]\n"
               "output %y, %a\n");
  const char *dir = emit_to_tmp(g, "x86-64", "constant");
  must_run("cd '%s' && gcc " STRICT
           " -c model.c && for form in MINIMAL EMPTY REAL; do gcc -std=c99 -Wall -Wextra "
           "-Wpedantic -Werror -DSELFTEST_$form selftest.c model.o -o selftest; done && ./selftest",
           dir);
  graph_free(g);
}
END_TEST

/* -- what the object holds -- */

/* Symbols that the model may need from outside, with or without a prefix of the compiler's run time. */
static bool may_need(const char *name) {
  static const char *const names[] = {"memcpy", "memset", "memmove", "expf", "tanhf", NULL};
  for (int i = 0; names[i]; i++)
    if (strcmp(name, names[i]) == 0) return true;
  return strncmp(name, "__aeabi_", 8) == 0 || strncmp(name, "__gnu_", 6) == 0;
}

static void check_symbols(const char *dir, const char *cc, const char *nm) {
  char cmd[1500], *out = NULL;
  snprintf(cmd, sizeof cmd, "cd '%s' && %s -O2 -c model.c && %s -f posix model.o", dir, cc, nm);
  ck_assert_int_eq(test_run_command(cmd, &out), 0);
  int functions = 0;
  for (char *p = out; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
    char name[100], kind;
    ck_assert_int_eq(sscanf(p, "%99s %c", name, &kind), 2);
    ck_assert_msg(!strchr("bBdDcCgGsS", kind), "%s: writable data: %s (%c)", cc, name, kind);
    ck_assert_msg(kind != 'U' || may_need(name), "%s: needs %s", cc, name);
    if (kind == 'T') ck_assert_msg(strncmp(name, "net_", 4) == 0, "%s: exports %s", cc, name);
    functions += kind == 'T';
  }
  ck_assert_int_eq(functions, 4);
  free(out);
}

START_TEST(no_allocation_no_writable_data)
{
  static const char *const nets[] = {small_int8_net, small_float_net};
  Graph *g = graph_of(nets[_i]);
  const char *dir = emit_to_tmp(g, "cortex-m4", "net");
  check_symbols(dir, "gcc -fno-pie", "nm");
  if (have_tool(__FILE__, "arm-none-eabi-gcc"))
    check_symbols(dir, "arm-none-eabi-gcc -mcpu=cortex-m0 -mthumb", "arm-none-eabi-nm");
  graph_free(g);
}
END_TEST

START_TEST(static_arena_on_request)
{
  static const char program[] =
      "#include \"arena-x86-64/model.h\"\n"
      "int main(void) { arena_context c; return arena_init(&c, 0, 0) || !arena_input(&c, 0); }\n";
  Graph *g = graph_of(small_int8_net);
  char path[700];
  emit_to_tmp(g, "x86-64", "arena");
  snprintf(path, sizeof path, "%s/arena.c", test_tmp_dir());
  test_write_file(path, program, sizeof program - 1);
  must_run("cd '%s' && gcc " STRICT
           " -DARENA_STATIC_ARENA -c arena-x86-64/model.c -o arena.o && gcc arena.c arena.o "
           "-o arena && ./arena",
           test_tmp_dir());
  graph_free(g);
}
END_TEST

START_TEST(cmake_builds_and_tests)
{
  if (!have_tool(__FILE__, "cmake")) return;
  Graph *g = graph_of(small_float_net);
  const char *dir = emit_to_tmp(g, "x86-64", "cmake");
  must_run("cd '%s' && mkdir b && cd b && cmake .. && cmake --build . && ctest", dir);
  graph_free(g);
}
END_TEST

/* -- vectors -- */

START_TEST(given_vectors_are_used)
{
  Graph *g = graph_of(small_int8_net);
  Shape s = shape_of(4, (int64_t)1, (int64_t)8, (int64_t)8, (int64_t)4);
  Tensor in[3];
  for (int k = 0; k < 3; k++) {
    in[k] = tensor_new(DT_I8, &s);
    memset(in[k].data, k * 40 - 40, tensor_bytes(&in[k]));
  }
  char dir[600];
  snprintf(dir, sizeof dir, "%s/given", test_tmp_dir());
  EmitOptions o = {
      .name = "given", .out_dir = dir, .vectors = in, .n_vectors = 3, .note = "trained */ on \\ data?\?/"};
  Diag *d = diag_new();
  ck_assert_msg(emit_c(g, target_find("x86-64"), &o, d), "%s", diag_text(d));
  must_run("cd '%s' && gcc " STRICT
           " -c model.c && gcc selftest.c model.o -o selftest && ./selftest | grep -q "
           "'vectors 3 passed 3 equal 3'",
           dir);
  o.vectors = &in[1];
  in[1].dtype = DT_U8;
  ck_assert(!emit_c(g, target_find("x86-64"), &o, d));
  ck_assert_msg(strstr(diag_text(d), "wants 256 of i8") != NULL, "%s", diag_text(d));
  for (int k = 0; k < 3; k++) tensor_free(&in[k]);
  diag_free(d);
  graph_free(g);
}
END_TEST

/* The self-test must notice a wrong output: one byte of the expected outputs is changed. */
START_TEST(selftest_notices_a_difference)
{
  Graph *g = graph_of(small_int8_net);
  char path[700], *out = NULL, cmd[900];
  const char *dir = emit_to_tmp(g, "x86-64", "wrong");
  snprintf(path, sizeof path, "%s/vectors.bin", dir);
  size_t n;
  char *bytes = test_read_file(path, &n);
  bytes[n - 2] ^= 1;
  test_write_file(path, bytes, n);
  free(bytes);
  snprintf(cmd, sizeof cmd, "cd '%s' && gcc selftest.c model.c -o selftest && ./selftest", dir);
  ck_assert_int_eq(test_run_command(cmd, &out), 1);
  ck_assert_msg(strstr(out, "vector 3: output 1 element 3 got ") && strstr(out, "passed 3 equal 3"), "%s",
                out);
  free(out);
  graph_free(g);
}
END_TEST

/* -- publication -- */

START_TEST(same_bytes_every_time)
{
  Graph *g = graph_of(small_float_net);
  static const char *const files[] = {"model.c",     "model.h",        "selftest.c",
                                      "vectors.bin", "CMakeLists.txt", "model.json"};
  char first[600], path[2][700];
  emit_to_tmp(g, "aarch64", "twice");
  snprintf(first, sizeof first, "%s/first", test_tmp_dir());
  must_run("mv '%s/twice-aarch64' '%s'", test_tmp_dir(), first);
  const char *dir = emit_to_tmp(g, "aarch64", "twice");
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    size_t n[2];
    snprintf(path[0], sizeof path[0], "%s/%s", first, files[i]);
    snprintf(path[1], sizeof path[1], "%s/%s", dir, files[i]);
    char *a = test_read_file(path[0], &n[0]), *b = test_read_file(path[1], &n[1]);
    ck_assert_msg(a && b && n[0] == n[1] && memcmp(a, b, n[0]) == 0, "%s differs", files[i]);
    free(a);
    free(b);
  }
  graph_free(g);
}
END_TEST

static void refuse(const Graph *g, const char *name, const char *dir, const char *want) {
  Diag *d = diag_new();
  const EmitOptions o = {.name = name, .out_dir = dir};
  ck_assert(!emit_c(g, target_find("x86-64"), &o, d));
  ck_assert_msg(strstr(diag_text(d), want) != NULL, "want \"%s\" in: %s", want, diag_text(d));
  diag_free(d);
}

START_TEST(faults_leave_nothing_behind)
{
  Graph *g = graph_of(small_int8_net);
  char dir[600];
  snprintf(dir, sizeof dir, "%s/refused", test_tmp_dir());
  refuse(g, "7up", dir, "C identifier");
  refuse(g, "a-b", dir, "C identifier");
  refuse(g, "", dir, "C identifier");
  ck_assert(!file_exists(dir));
  test_write_file(dir, "x", 1); /* a file where the folder should be */
  refuse(g, "net", dir, "refused");
  char *out = NULL;
  ck_assert_int_eq(test_run_command("ls", &out), 0);
  free(out);
  must_run("test -f '%s' && test -z \"$(ls -d '%s'.tmp* 2>/dev/null)\"", dir, dir);
  graph_free(g);
}
END_TEST

/* -- kernel text -- */

START_TEST(only_kernels_in_use)
{
  static const char *const file[] = {"runtime/kernels/generic/binary_f32.c"}, *const root[] = {
                                                                                  "mul_f32__generic"};
  StrBuf out = {0};
  Diag *d = diag_new();
  ck_assert_msg(shake_kernels(file, 1, root, 1, &out, d), "%s", diag_text(d));
  ck_assert_ptr_nonnull(strstr(sb_str(&out), "mul_f32__generic"));
  ck_assert_ptr_null(strstr(sb_str(&out), "add_f32__generic"));
  ck_assert_ptr_null(strstr(sb_str(&out), "mf_conv_s8"));
  ck_assert_ptr_null(strstr(sb_str(&out), "#include \""));
  /* A macro's rows are definitions of their own, found by their first argument alone. */
  static const char *const rows[] = {"runtime/kernels/generic/reduce.c"}, *const row[] = {"sum_f32__generic"};
  StrBuf made = {0};
  ck_assert_msg(shake_kernels(rows, 1, row, 1, &made, d), "%s", diag_text(d));
  ck_assert_ptr_nonnull(strstr(sb_str(&made), "\nREDUCE(sum_f32,"));
  ck_assert_ptr_null(strstr(sb_str(&made), "REDUCE(sum_square_f32,"));
  ck_assert_ptr_null(strstr(sb_str(&made), "REDUCE(prod_f32,"));
  sb_free(&made);
  static const char *const no_root[] = {"mul_f99__generic"}, *const no_file[] = {
                                                                 "runtime/kernels/generic/none.c"};
  ck_assert(!shake_kernels(file, 1, no_root, 1, &out, d));
  ck_assert_ptr_nonnull(strstr(diag_text(d), "mul_f99__generic"));
  ck_assert(!shake_kernels(no_file, 1, root, 1, &out, d));
  ck_assert_ptr_nonnull(strstr(diag_text(d), "none.c"));
  sb_free(&out);
  diag_free(d);
}
END_TEST

START_TEST(literals)
{
  static const struct {
    float v;
    const char *text;
  } floats[] = {{1, "1.f"}, {-0.0f, "-0.f"}, {0.1f, "0.1f"}, {1e-45f, "1e-45f"}, {3e20f, "3e+20f"}};
  for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
    StrBuf b = {0};
    print_float(&b, floats[i].v);
    float back = strtof(sb_str(&b), NULL);
    ck_assert_msg(memcmp(&back, &floats[i].v, sizeof back) == 0, "%s", sb_str(&b));
    if (i != 3) ck_assert_str_eq(sb_str(&b), floats[i].text);
    sb_free(&b);
  }
  StrBuf b = {0};
  print_int(&b, INT32_MIN);
  print_int(&b, 5000000000);
  ck_assert_str_eq(sb_str(&b), "(-2147483647-1)5000000000LL");
  sb_free(&b);
}
END_TEST

Suite *suite_emit(void) {
  Suite *s = suite_create("emit");
  TCase *t = tcase_create("emit");
  tcase_add_loop_test(t, every_operator, 0, n_samples);
  tcase_add_test(t, net_with_everything);
  tcase_add_test(t, codes_behind_reals);
  tcase_add_test(t, element_types_together);
  tcase_add_test(t, state_lives_in_the_context);
  tcase_add_test(t, two_models_in_one_program);
  tcase_add_test(t, no_input);
  tcase_add_loop_test(t, no_allocation_no_writable_data, 0, 2);
  tcase_add_test(t, static_arena_on_request);
  tcase_add_test(t, cmake_builds_and_tests);
  tcase_add_test(t, given_vectors_are_used);
  tcase_add_test(t, selftest_notices_a_difference);
  tcase_add_test(t, same_bytes_every_time);
  tcase_add_test(t, faults_leave_nothing_behind);
  tcase_add_test(t, only_kernels_in_use);
  tcase_add_test(t, literals);
  suite_add_tcase(s, t);
  return s;
}
