/* Arguments by table: every form of giving an option, and each mistake with its message. */
#include <stdlib.h>
#include <string.h>

#include "frontend/cli/args.h"
#include "tests/support.h"

typedef struct TestOpts {
  CommonOpts common;
  const char *model, *second, *out;
  ArgList inputs;
  int64_t threads;
  double share;
  bool verify;
} TestOpts;

static int run_nothing(void *opts, Diag *d) {
  (void)opts;
  (void)d;
  return 0;
}

static const Opt opts[] = {{"MODEL", OPT_PARAM, offsetof(TestOpts, model), true, NULL, "the model"},
                           {"SECOND", OPT_PARAM, offsetof(TestOpts, second), false, NULL, "another model"},
                           {"-i", OPT_LIST, offsetof(TestOpts, inputs), false, "FILE", "the inputs"},
                           {"-o", OPT_STRING, offsetof(TestOpts, out), true, "FILE", "where to write"},
                           {"--threads", OPT_INT, offsetof(TestOpts, threads), false, "N", "threads"},
                           {"--share", OPT_FLOAT, offsetof(TestOpts, share), false, "X", "a share"},
                           {"--verify", OPT_FLAG, offsetof(TestOpts, verify), false, NULL, "verify"},
                           {0}};
static const Command command = {"test", "A test",         "Help text.", "  mistify test a.onnx\n",
                                opts,   sizeof(TestOpts), run_nothing};

/* Words of `line` as arguments of mistify. */
static TestOpts *parse(Arena *a, const char *line, Diag *d) {
  static char mistify[] = "mistify";
  char *argv[32] = {mistify}, *copy = arena_strdup(a, line);
  int argc = 1;
  for (char *p = copy; *p && argc < 31;) {
    argv[argc++] = p;
    p += strcspn(p, " ");
    if (*p) *p++ = 0;
  }
  return args_parse(a, &command, argc, argv, d);
}

START_TEST(test_forms)
{
  static const char *const lines[] = {
      "test m.onnx -i a.npy b.npy -i c.npy -o out --threads 3 --share 0.5 --verify --quiet",
      "test -o out --threads=3 --share=0.5 --verify m.onnx --quiet -i a.npy -i b.npy c.npy",
      "test --verify -i a.npy -i b.npy -i c.npy --quiet --threads 3 --share 5e-1 -o out -- m.onnx"};
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
    Arena *a = arena_new();
    Diag *d = diag_new();
    const TestOpts *o = parse(a, lines[i], d);
    ck_assert_msg(o != NULL, "%s: %s", lines[i], diag_text(d));
    ck_assert_str_eq(o->model, "m.onnx");
    ck_assert_ptr_null(o->second);
    ck_assert_str_eq(o->out, "out");
    ck_assert_uint_eq(o->inputs.n, 3);
    ck_assert_str_eq(o->inputs.v[0], "a.npy");
    ck_assert_str_eq(o->inputs.v[2], "c.npy");
    ck_assert_int_eq(o->threads, 3);
    ck_assert_double_eq(o->share, 0.5);
    ck_assert(o->verify && o->common.quiet && !o->common.json && !o->common.help);
    diag_free(d);
    arena_free(a);
  }
}
END_TEST

START_TEST(test_after_dashes)
{
  Arena *a = arena_new();
  Diag *d = diag_new();
  const TestOpts *o = parse(a, "test -o out -- --threads -i", d);
  ck_assert_msg(o != NULL, "%s", diag_text(d));
  ck_assert_str_eq(o->model, "--threads");
  ck_assert_str_eq(o->second, "-i");
  diag_free(d);
  arena_free(a);
}
END_TEST

START_TEST(test_help_needs_nothing)
{
  Arena *a = arena_new();
  Diag *d = diag_new();
  const TestOpts *o = parse(a, "test --help", d);
  ck_assert(o && o->common.help);
  o = parse(a, "test -h", d);
  ck_assert(o && o->common.help);
  diag_free(d);
  arena_free(a);
}
END_TEST

START_TEST(test_mistakes)
{
  static const struct {
    const char *line, *message;
  } cases[] = {{"test m -o x --theads 3", "unknown option --theads"},
               {"test m -o x --theads 3", "did you mean --threads?"},
               {"test m -o x --theads=3", "did you mean --threads?"},
               {"test m -o x -k", "unknown option -k"},
               {"test m -o", "-o wants a value: FILE"},
               {"test m", "-o is missing: where to write"},
               {"test -o x", "MODEL is missing: the model"},
               {"test m n o -o x", "\"o\" is one argument too many"},
               {"test m -o x --threads many", "--threads many: want a whole number"},
               {"test m -o x --threads -1", "--threads -1: want a whole number"},
               {"test m -o x --threads 99999999999999999999", "want a whole number"},
               {"test m -o x --share nan", "--share nan: want a number"},
               {"test m -o x --verify=yes", "--verify takes no value"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Arena *a = arena_new();
    Diag *d = diag_new();
    ck_assert_msg(parse(a, cases[i].line, d) == NULL, "%s: accepted", cases[i].line);
    ck_assert_int_eq(diag_count(d), 1);
    ck_assert_msg(strstr(diag_text(d), cases[i].message) != NULL, "%s: got %s, want %s", cases[i].line,
                  diag_text(d), cases[i].message);
    diag_free(d);
    arena_free(a);
  }
}
END_TEST

/* The command itself: --help of each teaches, a typo is the user's fault. */
START_TEST(test_command)
{
  char line[4200], *out;
  snprintf(line, sizeof line, "%s inspect --help", test_mistify());
  ck_assert_int_eq(test_run_command(line, &out), 0);
  ck_assert_msg(strstr(out, "usage: mistify inspect") && strstr(out, "MODEL") && strstr(out, "examples:"),
                "got %s", out);
  free(out);
  snprintf(line, sizeof line, "%s inspect --modle x", test_mistify());
  ck_assert_int_eq(test_run_command(line, &out), 1);
  free(out);
  snprintf(line, sizeof line, "%s inspekt x", test_mistify());
  ck_assert_int_eq(test_run_command(line, &out), 1);
  ck_assert_msg(strstr(out, "inspect") != NULL, "got %s", out);
  free(out);
}
END_TEST

Suite *suite_args(void) {
  Suite *s = suite_create("args");
  TCase *t = tcase_create("args");
  tcase_add_test(t, test_forms);
  tcase_add_test(t, test_after_dashes);
  tcase_add_test(t, test_help_needs_nothing);
  tcase_add_test(t, test_mistakes);
  tcase_add_test(t, test_command);
  suite_add_tcase(s, t);
  return s;
}
