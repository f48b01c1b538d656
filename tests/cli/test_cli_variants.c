/* `mistify tailor` with variants that share weights: what is written, what is told, and what is refused. */
#include <stdlib.h>
#include <string.h>

#include "ir/base/file.h"
#include "ir/base/json.h"
#include "tests/cli/task.h"
#include "tests/support.h"

Suite *suite_cli_variants(void);

static const char design[] = "name: net\nfreedom:\n  prune: {min_channels: 1}\n  retrain: {images: 128, "
                             "batch: 16}\ninput: {type: float}\ndata:\n  classes: 4\n",
                  head[] = "design: design.yaml\nseed: 1\ncache: cache\nout: out\ntargets:\n";

static void open_task(Arena *a, const char *targets) {
  task_open(a);
  task_write_design(a, "design.yaml", design);
  task_write_text(a, "deploy.yaml", arena_printf(a, "%s%s", head, targets));
}

START_TEST(graphs_and_report)
{
  Arena *a = arena_new();
  Diag *d = diag_new();
  size_t n;
  open_task(a, "  - {name: three, target: cortex-m4, variants: {n: 3, least: 40%}}\n"
               "  - {name: one, target: cortex-m4}\n");
  task_must(
      a, "cd $T && $M tailor deploy.yaml --graphs --quiet > text || { cat text; exit 1; }\n"
         "grep -q 'Variants that share weights' text && grep -q 'Variants that share' out/report.html &&\n"
         "cmp out/three/model.mistify out/three/variant0.mistify && test -f out/three/variant2.mistify &&\n"
         "test ! -e out/three/variant3.mistify && test ! -e out/one/variant0.mistify");
  const char *path = task_path(a, "out/report.json"), *text = file_read(a, path, &n, d);
  const Json *j = text ? json_parse(a, text, n, path, d) : NULL;
  ck_assert_msg(j != NULL, "%s", diag_text(d));
  const Json *three = json_at(json_get(j, "targets"), 0), *v = json_get(three, "variants");
  ck_assert(v && v->n == 3 && !json_get(json_at(json_get(j, "targets"), 1), "variants"));
  const int64_t widest = json_get_int(json_at(v, 0), "macs", 0);
  for (uint32_t k = 0; k < 3; k++) {
    const Json *x = json_at(v, k);
    ck_assert(k == 0 || json_get_int(x, "macs", 0) < json_get_int(json_at(v, k - 1), "macs", 0));
    ck_assert_int_eq(json_get_int(json_get(json_get(x, "test"), "final"), "n", 0), 50);
  }
  ck_assert_int_le(json_get_int(json_at(v, 2), "macs", 0), widest * 4 / 10);
  task_must(a,
            "cd $T && $M plan deploy.yaml --quiet > text && grep -q 'three: 3 variants down to 40 %' text && "
            "! grep -q 'one: . variants' text");
  diag_free(d);
  arena_free(a);
}
END_TEST

/* Emitted, built and run: one pair of files, weights once; every byte of every variant as the engine has it. */
START_TEST(one_image)
{
  Arena *a = arena_new();
  Diag *d = diag_new();
  size_t n;
  open_task(a, "  - {name: three, target: x86-64, variants: {n: 3, least: 40%}}\n"
               "  - {name: one, target: x86-64}\n");
  task_must(a, "cd $T && $M tailor deploy.yaml --quiet > text || { cat text; exit 1; }\n"
               "grep -q net_select out/three/model.h && ! grep -q net_select out/one/model.h");
  const char *path = task_path(a, "out/report.json"), *text = file_read(a, path, &n, d);
  const Json *j = text ? json_parse(a, text, n, path, d) : NULL;
  ck_assert_msg(j != NULL, "%s", diag_text(d));
  const Json *three = json_at(json_get(j, "targets"), 0), *test = json_get(three, "test");
  ck_assert(json_get_bool(three, "met", false));
  ck_assert_int_gt(json_get_int(test, "vectors", 0), 0);
  ck_assert_int_eq(json_get_int(test, "vectors", 0), json_get_int(test, "vectors_equal", -1));
  diag_free(d);
  arena_free(a);
}
END_TEST

START_TEST(refused)
{
  Arena *a = arena_new();
  open_task(a, "  - {name: thin, target: cortex-m4, variants: {n: 2, least: 0.01%}}\n");
  task_want_error(a, "cd $T && $M tailor deploy.yaml --graphs --quiet",
                  "ask for a larger `least`, or fewer variants");
  task_write_text(
      a, "deploy.yaml",
      arena_printf(a, "%s  - {name: real, target: x86-64, precision: float32, variants: 2}\n", head));
  task_want_error(a, "cd $T && $M tailor deploy.yaml --graphs --quiet", "variants share int8 weights");
  task_write_design(
      a, "design.yaml",
      "name: net\nfreedom:\n  prune: {}\n  retrain: {images: 128, grow: 50%}\ninput: {type: float}\n"
      "data:\n  classes: 4\n");
  task_write_text(a, "deploy.yaml",
                  arena_printf(a, "%s  - {name: grows, target: cortex-m4, variants: 2}\n", head));
  task_want_error(a, "cd $T && $M tailor deploy.yaml --graphs --quiet",
                  "which goes with neither grow nor features");
  arena_free(a);
}
END_TEST

Suite *suite_cli_variants(void) {
  Suite *s = suite_create("cli_variants");
  TCase *tc = tcase_create("tailor");
  tcase_add_test(tc, graphs_and_report);
  tcase_add_test(tc, one_image);
  tcase_add_test(tc, refused);
  tcase_set_timeout(tc, 120);
  suite_add_tcase(s, tc);
  return s;
}
