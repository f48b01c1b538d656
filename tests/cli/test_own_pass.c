/* `mistify opt` with pipelines from files, its table of what passes left, and passes of the user's own: examples/04-own-pass as a
 * plugin against installed headers, and as one file and one row of passes.def. */
#include <stdlib.h>
#include <string.h>

#include "ir/base/file.h"
#include "tests/cli/task.h"
#include "tests/support.h"

Suite *suite_own_pass(void);

#define EXAMPLE "examples/04-own-pass"

/* Flags of this build's sanitizer, which what is linked with its library needs. */
static const char *sanitizer(void) {
  const char *dir = test_build_dir();
  return strstr(dir, "asan")   ? "-fsanitize=address,undefined"
         : strstr(dir, "tsan") ? "-fsanitize=thread"
                               : "";
}

static void says(Arena *a, const char *line, const char *what) {
  char *out;
  int status = task_shell(a, line, &out);
  ck_assert_msg(status == 0 && strstr(out, what), "%s: status %d, no \"%s\" in:\n%s", line, status, what,
                out);
  free(out);
}

/* A net with a Relu that nothing fuses (the pass looks for Relu nodes). */
static void write_relu(Arena *a) {
  task_write_text(a, "relu.ir",
                  "graph \"r\"\n%1 = input : f32[1,4] \"x\"\n%2 = Relu(%1) : f32[1,4] \"y\"\noutput %2\n");
}

static void make_plugin(Arena *a) {
  write_relu(a);
  task_must(a, "make -s install-headers PREFIX=$T/usr && cc -std=c11 -shared -fPIC -Wall -Wextra -Werror -o "
               "$T/relu6.so " EXAMPLE "/relu6.c " EXAMPLE
               "/plugin.c $(PKG_CONFIG_PATH=$T/usr/lib/pkgconfig pkg-config --cflags mistify || echo "
               "-I$T/usr/include/mistify)");
}

START_TEST(plugin_runs)
{
  Arena *a = arena_new();
  make_plugin(a);
  says(a, "$M passes --plugin $T/relu6.so", "limit every Relu from above");
  says(a, "$M passes --plugin $T/relu6.so --json", "\"relu6\"");
  task_must(a,
            "$M opt $T/relu.ir --plugin $T/relu6.so --passes \"fold,relu6{at=4}\" --verify-each -o $T/o.ir");
  says(a, "cat $T/o.ir", "Clip(%1) {lo=0, hi=4}");
  task_must(
      a, "cd $T && $M opt relu.ir --plugin relu6.so --passes relu6 -o o.ir"); /* a bare name: this folder */
  task_want_error(a, "$M opt $T/relu.ir --plugin $T/relu6.so --passes \"relu6{to=4}\" -o $T/o.ir",
                  "it takes: at=F");
  task_want_error(a, "$M opt $T/relu.ir --plugin $T/relu6.so --passes \"relu6{at=-1}\" -o $T/o.ir",
                  "want at=F above 0");
  task_want_error(a, "$M opt $T/relu.ir --passes relu6 -o $T/o.ir", "unknown pass \"relu6\"");
  task_want_error(a, "$M opt $T/relu.ir --plugin $T/relu6.so $T/relu6.so --passes relu6 -o $T/o.ir",
                  "there is a pass \"relu6\" already");
  arena_free(a);
}
END_TEST

START_TEST(plugins_that_are_refused)
{
  static const struct {
    const char *text, *words;
  } cases[] = {
      {"int nothing;", "no symbol mistify_plugin"},
      {"#include \"passes/plugin.h\"\nextern const PassPlugin mistify_plugin;\n"
       "const PassPlugin mistify_plugin = {{1, 2, 3, 4, 5, 6, 7, 8}, {0, 0}};",
       "with the headers of another version"},
      {"#include \"passes/plugin.h\"\nstatic const Pass mine[] = {{\"fold\", \"\", \"\", 0, "
       "false}};\nMISTIFY_PLUGIN(mine)",
       "there is a pass \"fold\" already"},
  };
  Arena *a = arena_new();
  write_relu(a);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    task_write_text(a, "bad.c", cases[i].text);
    task_must(a, "cc -std=c11 -shared -fPIC -I. -o $T/bad.so $T/bad.c");
    task_want_error(a, "$M opt $T/relu.ir --plugin $T/bad.so --passes fold -o $T/o.ir", cases[i].words);
  }
  task_want_error(a, "$M opt $T/relu.ir --plugin $T/none.so --passes fold -o $T/o.ir", "none.so");
  task_want_error(a, "$M opt $T/relu.ir --plugin $T/relu.ir --passes fold -o $T/o.ir", "relu.ir");
  arena_free(a);
}
END_TEST

/* One file and one row: what a build with both has changed is the pass and passes/pipeline.c. */
START_TEST(pass_by_file)
{
  Arena *a = arena_new();
  write_relu(a);
  task_must(a, "mkdir -p $T/passes && cp " EXAMPLE "/relu6.c $T/passes && { cat passes/passes.def; "
               "sed -n 's/^\\(PASS(relu6.*\\)/\\1/p' " EXAMPLE "/README.md; } > $T/passes/passes.def && "
               "[ $(grep -c relu6 $T/passes/passes.def) = 1 ]");
  task_must(
      a, arena_printf(a,
                      "B='%s'; cc -std=c11 -D_POSIX_C_SOURCE=200809L %s -I$T -I. -rdynamic -o $T/mistify "
                      "passes/pipeline.c "
                      "$T/passes/relu6.c $B/obj/frontend/cli/main.o $B/libmistify.a "
                      "$(pkg-config --libs openblas yaml-0.1 libxxhash || echo -lopenblas -lyaml -lxxhash) "
                      "-lpthread -lm -ldl",
                      test_build_dir(), sanitizer()));
  says(a, "$T/mistify passes", "limit every Relu from above");
  says(a, "$T/mistify opt $T/relu.ir --passes \"relu6{at=2}\" --verify-each -o $T/o.ir && cat $T/o.ir",
       "Clip(%1) {lo=0, hi=2}");
  arena_free(a);
}
END_TEST

START_TEST(pipeline_files)
{
  Arena *a = arena_new();
  task_open(a);
  task_write_text(
      a, "p.yaml",
      "passes:\n  - fold\n  - layout: {input: nhwc}\n  - dce:\n  - prune: {params: 50%, by: l2, least: 1}\n");
  task_must(
      a, "$M opt $T/net.ir --pipeline $T/p.yaml -o $T/a.ir --quiet && $M opt $T/net.ir --quiet --passes "
         "\"fold,layout{input=nhwc},dce,prune{params=0.5,by=l2,least=1}\" -o $T/b.ir && cmp $T/a.ir $T/b.ir");
  task_write_text(a, "bad.yaml", "passes:\n  - fold\n  - flod\n");
  task_want_error(a, "$M opt $T/net.ir --pipeline $T/bad.yaml -o $T/a.ir", "bad.yaml:3:5");
  task_write_text(a, "bad.yaml", "passes:\n  - prune: {macks: 0.5}\n");
  task_want_error(a, "$M opt $T/net.ir --pipeline $T/bad.yaml -o $T/a.ir", "bad.yaml:2:5");
  task_write_text(a, "bad.yaml", "passes:\n  - prune: {keep: \"a}\"}\n");
  task_want_error(a, "$M opt $T/net.ir --pipeline $T/bad.yaml -o $T/a.ir", "cannot hold \"}\"");
  task_write_text(a, "bad.yaml", "passes: [\"fold,dce,nosuch\"]\n");
  task_want_error(a, "$M opt $T/net.ir --pipeline $T/bad.yaml -o $T/a.ir", "bad.yaml:1:10");
  task_write_text(a, "bad.yaml", "steps: [fold]\n");
  task_want_error(a, "$M opt $T/net.ir --pipeline $T/bad.yaml -o $T/a.ir", "want one key, `passes`");
  task_want_error(a, "$M opt $T/net.ir -o $T/a.ir", "want one of --passes");
  arena_free(a);
}
END_TEST

START_TEST(table_tells_what_each_pass_left)
{
  Arena *a = arena_new();
  task_open(a);
  task_write_design(a, "design.yaml", "data:\n  classes: 4\n");
  says(a,
       "$M opt $T/net.ir --passes \"fold,quantize\" --design $T/design.yaml --target cortex-m4 -o "
       "$T/q.mistify",
       "peak RAM");
  says(a, "$M opt $T/net.ir --passes \"fold,quantize\" --design $T/design.yaml -o $T/q.mistify", "accuracy");
  /* The accuracy of the table is that of eval. */
  task_must(a,
            "$M opt $T/net.ir --passes \"fold,quantize\" --design $T/design.yaml --json -o $T/q.mistify > "
            "$T/t.json && "
            "$M eval $T/q.mistify --design $T/design.yaml --split val --json > $T/e.json && "
            "X=$(sed -n 's/.*\"accuracy\": *\\([0-9.]*\\).*/\\1/p' $T/t.json | tail -1) && [ -n \"$X\" ] && "
            "grep -q \": *$X\" $T/e.json");
  says(a,
       "$M opt $T/net.ir --passes fold --design $T/design.yaml --no-score --json -o $T/q.mistify | grep -c "
       "accuracy || "
       "echo none",
       "none");
  arena_free(a);
}
END_TEST

Suite *suite_own_pass(void) {
  Suite *s = suite_create("own_pass");
  TCase *t = tcase_create("own_pass");
  tcase_add_test(t, plugin_runs);
  tcase_add_test(t, plugins_that_are_refused);
  tcase_add_test(t, pass_by_file);
  tcase_add_test(t, pipeline_files);
  tcase_add_test(t, table_tells_what_each_pass_left);
  suite_add_tcase(s, t);
  return s;
}
