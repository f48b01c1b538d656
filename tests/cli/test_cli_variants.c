/* `mistify tailor` with variants that share weights: what is written, what is told, and what is refused. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/file.h"
#include "ir/base/json.h"
#include "ir/base/strbuf.h"
#include "passes/input_raw.h"
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
  open_task(a, "  - {name: three, target: cortex-m4, variants: {n: 3, least: 40%}}\n"
               "  - {name: one, target: cortex-m4}\n");
  task_must(
      a, "cd $T && $M tailor deploy.yaml --graphs --quiet > text || { cat text; exit 1; }\n"
         "grep -q 'Variants that share weights' text && grep -q 'Variants that share' out/report.html &&\n"
         "cmp out/three/model.mistify out/three/variant0.mistify && test -f out/three/variant2.mistify &&\n"
         "test -f out/three/float2.mistify && test ! -e out/one/float0.mistify && "
         "test ! -e out/three/variant3.mistify && test ! -e out/one/variant0.mistify");
  const Json *j = task_json(a, "out/report.json");
  const Json *three = json_at(json_get(j, "targets"), 0), *v = json_get(three, "variants");
  ck_assert(v && v->n == 3 && !json_get(json_at(json_get(j, "targets"), 1), "variants"));
  const int64_t widest = json_get_int(json_at(v, 0), "macs", 0);
  for (uint32_t k = 0; k < 3; k++) {
    const Json *x = json_at(v, k);
    ck_assert(k == 0 || json_get_int(x, "macs", 0) < json_get_int(json_at(v, k - 1), "macs", 0));
    ck_assert_int_eq(json_get_int(json_get(json_get(x, "test"), "final"), "n", 0), 50);
  }
  ck_assert_int_le(json_get_int(json_at(v, 2), "macs", 0), widest * 4 / 10);
  task_must(
      a,
      "cd $T && $M plan deploy.yaml --graphs --quiet > text && "
      "grep -q 'three: 3 variants down to 40 %.*trained already' text && ! grep -q 'one: . variants' text && "
      "$M plan deploy.yaml --graphs --quiet --cache other -o anew > text && "
      "grep -q 'To come: 0 of 0 models.*; 1 joint training of variants, .*; 1 x finish, .*; 2 x finish_like, "
      ".*; 3 x "
      "score, .*; 6 x test' text && ! grep -q 'trained already' text || { cat text; exit 1; }");
  arena_free(a);
}
END_TEST

/* Emitted, built and run: one pair of files, weights once; every byte of every variant as the engine has it. */
START_TEST(one_image)
{
  Arena *a = arena_new();
  open_task(a, "  - {name: three, target: x86-64, variants: {n: 3, least: 40%}}\n"
               "  - {name: one, target: x86-64}\n");
  task_must(a, "cd $T && $M tailor deploy.yaml --quiet > text || { cat text; exit 1; }\n"
               "grep -q net_select out/three/model.h && ! grep -q net_select out/one/model.h");
  task_must(
      a,
      "cd $T/out/three && $M compile variant0.mistify variant1.mistify variant2.mistify --family --name net "
      "--validate --design ../../design.yaml --target x86-64 -o $T/hand --quiet && "
      "grep -o '\"accuracy_ppm\": [0-9]*' model.json > $T/made && "
      "grep -o '\"accuracy_ppm\": [0-9]*' $T/hand/model.json | cmp - $T/made && ! grep -q ': 0$' $T/made");
  const Json *j = task_json(a, "out/report.json");
  const Json *three = json_at(json_get(j, "targets"), 0), *test = json_get(three, "test");
  ck_assert(json_get_bool(three, "met", false));
  ck_assert_int_gt(json_get_int(test, "vectors", 0), 0);
  ck_assert_int_eq(json_get_int(test, "vectors", 0), json_get_int(test, "vectors_equal", -1));
  arena_free(a);
}
END_TEST

/* All variants learn on local images without labels, stay one family, and are emitted as one. */
START_TEST(a_family_is_re_tailored)
{
  Arena *a = arena_new();
  open_task(a, "  - {name: three, target: x86-64, variants: {n: 3, least: 40%}}\n");
  task_write_text(a, "here.yaml",
                  "local: {kind: npy, x: val_x.npy}\nnormalize: {mean: 0.5, std: 0.5}\nclasses: 4\n");
  task_must(a, "cd $T && $M tailor deploy.yaml --graphs --quiet > /dev/null");
  task_must(a, "cd $T && $M adapt out/three --data here.yaml --epochs 1 -o here -j 1 > text 2>&1 || "
               "{ cat text; exit 1; }\n"
               "grep -q '3 variants, in float and in int8' text && "
               "for k in 0 1 2; do ! cmp -s here/float$k.mistify out/three/float$k.mistify || exit 1; done\n"
               "$M compile here/variant0.mistify here/variant1.mistify here/variant2.mistify --family "
               "--target x86-64 -o c --quiet && $M verify c --brief > text || { cat text; exit 1; }\n"
               "grep -q 'equal byte for byte' text");
  /* Files by name are the same family; threads change nothing. */
  task_must(
      a,
      "cd $T && $M adapt out/three/float0.mistify out/three/float1.mistify out/three/float2.mistify "
      "--data here.yaml --epochs 1 -o again -j 2 --json --quiet > text && grep -q '\"variants\": 3' text && "
      "cmp here/float2.mistify again/float2.mistify");
  /* Statistics alone leave the weights as they are, so that int8 is a family too. */
  task_must(a, "cd $T && $M adapt out/three --data here.yaml --epochs 0 -o still --quiet && "
               "test -f still/variant2.mistify");
  task_want_error(
      a, "$M adapt $T/out/three/float1.mistify $T/out/three/float0.mistify --data $T/here.yaml -o $T/x",
      "larger than the widest's");
  task_want_error(a, "$M adapt $T/out/three/float0.mistify $T/net.ir --data $T/here.yaml -o $T/x",
                  "family: variant 1");
  task_want_error(a, "$M adapt $T/out/three --data $T/here.yaml --exchange out=$T/x.up", "not a family");
  task_want_error(a, "$M adapt $T/out/three --data $T/here.yaml -o $T/here.yaml",
                  "here.yaml: a file: of a family want a folder");
  task_must(a, "mkdir $T/int8 && cp $T/out/three/variant0.mistify $T/int8");
  task_want_error(a, "$M adapt $T/int8 --data $T/here.yaml -o $T/x", "want the float variants of a family");
  task_must(a, "test ! -e $T/x");
  arena_free(a);
}
END_TEST

/* Parts per million that are right of both variants, as `compile --validate` by that design prints them. */
static const char *validated(Arena *a, const char *design_name) {
  char *out;
  const char *line = arena_printf(a,
                                  "cd $T && $M compile out/two/variant0.mistify out/two/variant1.mistify "
                                  "--family --validate --design %s --name net --target x86-64 -o hand "
                                  "--quiet > /dev/null && grep -o '\"accuracy_ppm\": [0-9]*' "
                                  "hand/model.json",
                                  design_name);
  ck_assert_msg(task_shell(a, line, &out) == 0, "%s", out);
  const char *text = arena_strdup(a, out);
  free(out);
  return text;
}

/* Images of numbers as a network wants them, no bytes. */
static void write_numbers(Arena *a) {
  Diag *d = diag_new();
  Shape s = shape_of(4, (int64_t)100, (int64_t)8, (int64_t)8, (int64_t)1);
  Tensor x = tensor_new(DT_F32, &s);
  ck_assert_msg(npy_write(task_path(a, "numbers.npy"), &x, d), "%s", diag_text(d));
  tensor_free(&x);
  diag_free(d);
}

/* Variants that take bytes are measured on bytes: as `tailor` did, and whatever another design says of its input. */
static void bytes_are_validated(Arena *a) {
  const Json *j = task_json(a, "out/report.json"),
             *v = json_get(json_at(json_get(j, "targets"), 0), "variants");
  ck_assert(v && v->n == 2);
  const char *want = "";
  for (uint32_t k = 0; k < 2; k++)
    want = arena_printf(a, "%s\"accuracy_ppm\": %ld\n", want,
                        lround(1e6 * json_get_num(json_at(v, k), "validation", -1)));
  ck_assert_str_eq(validated(a, "design.yaml"), want);
  task_write_design(a, "float.yaml", "name: net\ninput: {type: float}\ndata:\n  classes: 4\n");
  ck_assert_str_eq(validated(a, "float.yaml"), want);
  task_must(a,
            arena_printf(
                a,
                "cd $T && $M eval out/two/variant0.mistify --design design.yaml --split val --json --quiet "
                "> text && grep -q '\"top1\": %g,' text || { cat text; exit 1; }",
                json_get_num(json_at(v, 0), "validation", -1)));
  write_numbers(a);
  task_must(
      a,
      "cd $T && sed 's/val: .*/val: {kind: npy, x: numbers.npy, y: val_y.npy}/' float.yaml > numbers.yaml");
  task_want_error(a,
                  "cd $T && $M compile out/two/variant0.mistify out/two/variant1.mistify --family --validate "
                  "--design numbers.yaml --target x86-64 -o no",
                  "the model takes bytes as they are stored; the design's data are f32, which it normalizes");
  /* What cannot be emitted is said before anything is read. */
  task_want_error(a,
                  "cd $T && $M compile "
                  "out/two/variant0.mistify out/two/variant1.mistify --family --validate "
                  "--step --design numbers.yaml --target x86-64 -o no",
                  "in pieces");
  task_must(a, "test ! -e $T/no");
}

/* A firmware that hands over bytes gets variants that take bytes. */
START_TEST(bytes_stay_bytes)
{
  Arena *a = arena_new();
  Diag *d = diag_new();
  open_task(a, "  - {name: two, target: x86-64, variants: 2}\n");
  task_write_design(a, "design.yaml",
                    "name: net\nfreedom:\n  prune: {min_channels: 1}\n  retrain: {images: 64, batch: 16}\n"
                    "input: {type: raw}\ndata:\n  classes: 4\n");
  task_write_text(a, "here.yaml", "local: {kind: npy, x: val_x.npy}\nnormalize: {mean: 0.5, std: 0.5}\n");
  task_must(a, "cd $T && $M tailor deploy.yaml --graphs --quiet > /dev/null && "
               "$M adapt out/two --data here.yaml --epochs 0 -o here > text 2>&1 && "
               "grep -q 'input type raw.*here/variant0.mistify here/variant1.mistify --family' text");
  /* Named one by one too, where the shipped int8 variants lie beside them. */
  task_must(a, "cd $T && $M adapt out/two/float0.mistify out/two/float1.mistify --data here.yaml --epochs 0 "
               "-o named --quiet && cmp here/variant1.mistify named/variant1.mistify && mkdir alone && "
               "cp out/two/float?.mistify alone && $M adapt alone/float0.mistify alone/float1.mistify "
               "--data here.yaml --epochs 0 -o floats > text 2>&1 && grep -q 'input type float' text && "
               "! cmp -s here/variant1.mistify floats/variant1.mistify");
  static const char *const files[] = {"out/two/variant0.mistify", "here/variant0.mistify",
                                      "here/variant1.mistify", "named/variant0.mistify"};
  for (int i = 0; i < 4; i++) {
    const char *path = task_path(a, files[i]);
    Blob *bytes = blob_map(path);
    Graph *g = bytes ? graph_deserialize(bytes, path, d) : NULL;
    ck_assert_msg(g != NULL, "%s: %s", path, diag_text(d));
    ck_assert_msg(input_raw_takes_bytes(g), "%s takes no bytes", files[i]);
    graph_free(g);
    blob_unref(bytes);
  }
  bytes_are_validated(a);
  diag_free(d);
  arena_free(a);
}
END_TEST

/* A cache with a limit is looked through before anything is made, the target's original among it. */
START_TEST(in_a_small_cache)
{
  Arena *a = arena_new();
  task_open(a);
  task_write_design(a, "design.yaml", design);
  task_write_text(a, "deploy.yaml", arena_printf(a, "%s  - {name: t, variants: 2, target: x86-64}\n", head));
  task_must(a, "cd $T && $M tailor deploy.yaml --cache-max 1GiB --graphs --quiet > text 2>&1 || { cat text; "
               "exit 1; }");
  task_must(a, "test -f $T/out/t/variant1.mistify");
  arena_free(a);
}
END_TEST

/* A folder has the variants of its last result alone. */
START_TEST(fewer_than_before)
{
  Arena *a = arena_new();
  static const char *const targets[] = {"variants: 3, ", "variants: 2, ", ""};
  task_open(a);
  task_write_design(a, "design.yaml", design);
  task_write_text(a, "here.yaml", "local: {kind: npy, x: val_x.npy}\nnormalize: {mean: 0.5, std: 0.5}\n");
  for (int i = 0; i < 3; i++) {
    task_write_text(a, "deploy.yaml",
                    arena_printf(a, "%s  - {name: t, %starget: cortex-m4}\n", head, targets[i]));
    task_must(a, "cd $T && $M tailor deploy.yaml --graphs --quiet > /dev/null && ls out/t > files");
    const int n = i < 2 ? 3 - i : 0;
    task_must(a, arena_printf(a,
                              "cd $T && test $(grep -c '^float.*mistify' files) = %d && "
                              "test $(grep -c '^variant.*mistify' files) = %d",
                              n, n));
    if (n)
      task_must(a, arena_printf(a,
                                "cd $T && $M adapt out/t --data here.yaml --epochs 0 -o here --quiet && "
                                "test $(ls here | grep -c mistify) = %d",
                                2 * n));
  }
  task_want_error(a, "$M adapt $T/out/t --data $T/here.yaml -o $T/here", "no float0.mistify");
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

/* Share of the split on which output `o` of the delivered int8 model is right: that output alone, by another command. */
static double right_at(Arena *a, uint32_t o, const char *split) {
  Diag *d = diag_new();
  StrBuf bytes = {0};
  Blob *file = blob_map(task_path(a, "out/codes/model.mistify"));
  Graph *g = file ? graph_deserialize(file, "model.mistify", d) : NULL;
  ck_assert_msg(g && g->n_outputs == 2, "%s", diag_text(d));
  g->outputs[0] = g->outputs[o];
  g->n_outputs = 1;
  graph_serialize(g, &bytes);
  task_write_bytes("cut.mistify", bytes.s, bytes.len);
  task_must(a,
            arena_printf(a, "cd $T && $M eval cut.mistify --design design.yaml --split %s --json > eval.json",
                         split));
  sb_free(&bytes);
  graph_free(g);
  blob_unref(file);
  diag_free(d);
  return json_get_num(task_json(a, "eval.json"), "top1", -1);
}

/* How often each exit is right: in both reports, in the table that NAME_select reads, in model.json. */
static void exits_are_told(Arena *a) {
  task_must(a, "cd $T && grep -q 'Early exits' text && grep -q 'middle' text && "
               "grep -q '<h2>Early exits</h2>' out/report.html");
  const Json *targets = json_get(task_json(a, "out/report.json"), "targets"),
             *told = json_get(json_at(targets, 0), "exits"),
             *emitted = json_get(task_json(a, "out/codes/model.json"), "variants");
  ck_assert(told && told->n == 2 && emitted && emitted->n == 2 && !json_get(json_at(targets, 1), "exits"));
  ck_assert_int_lt(json_get_int(json_at(told, 1), "macs", 0), json_get_int(json_at(told, 0), "macs", 0));
  const Json *whole = json_at(targets, 0);
  ck_assert_int_eq(json_get_int(json_at(told, 0), "macs", 0), json_get_int(whole, "macs", -1));
  ck_assert_int_eq(json_get_int(json_at(told, 0), "estimated_cycles", 0),
                   json_get_int(json_get(whole, "estimate"), "cycles", -1));
  ck_assert(!json_get_str(json_at(told, 0), "behind", NULL));
  ck_assert_str_eq(json_get_str(json_at(told, 1), "behind", ""), "middle");
  for (uint32_t v = 0; v < 2; v++) {
    const Json *x = json_at(told, v);
    const double right = right_at(a, 1 - v, "val");
    const long ppm = lround(1e6 * right);
    ck_assert_int_eq(json_get_int(x, "macs", 0), json_get_int(json_at(emitted, v), "macs", -1));
    ck_assert_int_eq(json_get_int(x, "params", 0), json_get_int(json_at(emitted, v), "params", -1));
    ck_assert_double_eq_tol(json_get_num(x, "validation", -1), right, 1e-9);
    ck_assert_double_eq_tol(json_get_num(json_get(x, "test"), "top1", -1), right_at(a, 1 - v, "test"), 1e-9);
    ck_assert_int_eq(json_get_int(json_at(emitted, v), "accuracy_ppm", -1), ppm);
    ck_assert_int_eq(json_get_int(x, "measured_cycles", -1), json_get_int(json_at(emitted, v), "cycles", -2));
    task_must(a, arena_printf(a, "cd $T && grep -q ', %ldu}' out/codes/model.c", ppm));
  }
  /* By hand the same, where it is asked. */
  task_must(
      a,
      "cd $T && $M compile out/codes/model.mistify --exits --validate --design design.yaml --name net "
      "--target x86-64 -o hand --quiet && grep -o '\"accuracy_ppm\": [0-9]*' hand/model.json > hand.txt && "
      "grep -o '\"accuracy_ppm\": [0-9]*' out/codes/model.json | cmp - hand.txt");
  task_want_error(a, "cd $T && $M compile out/codes/model.mistify --exits --validate --target x86-64 -o no",
                  "--validate wants --design");
  task_want_error(a, "cd $T && $M compile net.ir --validate --design design.yaml --target x86-64 -o no",
                  "--validate wants --family or --exits");
}

/* A design whose model may end early: one image, whose variants are its exits. */
START_TEST(exits)
{
  static const char early[] =
      "name: net\nfreedom:\n  prune: {min_channels: 1}\n  retrain: {images: 128, batch: 16}\n"
      "  exits: middle\ninput: {type: float}\ndata:\n  classes: 4\n";
  Arena *a = arena_new();
  task_open(a);
  task_write_design(a, "design.yaml", early);
  task_write_text(a, "deploy.yaml",
                  arena_printf(a,
                               "%s  - {name: codes, target: x86-64}\n"
                               "  - {name: real, target: x86-64, precision: float32}\n",
                               head));
  task_must(a,
            "cd $T && $M tailor deploy.yaml -j 1 > text 2>&1 || { cat text; exit 1; }\n"
            "grep -q 'net_continue' out/codes/model.h && grep -q 'NET_VARIANTS 2' out/codes/model.h &&\n"
            "grep -q 'net_controller_begin' out/codes/model.h && ! grep -q net_continue out/real/model.h &&\n"
            "$M verify out/codes | grep -q 'equal byte for byte' && grep -q 'as measured' out/codes/model.c");
  task_must(
      a,
      "cd $T && test $(grep -c 'score codes.*done' text) = 1 || { grep score text; exit 1; }"); /* of the exit; the whole has its score */
  exits_are_told(a);
  task_write_text(a, "deploy.yaml",
                  arena_printf(a, "%s  - {name: less, target: cortex-m4, limits: {macs: 60%%}}\n", head));
  task_must(a, "cd $T && $M plan deploy.yaml --graphs --quiet -o other > text && "
               "grep -q 'To come: 1 of 1 models.*; 2 x score, .*; 3 x test' text || { cat text; exit 1; }");
  task_write_text(a, "deploy.yaml",
                  arena_printf(a, "%s  - {name: both, target: cortex-m4, variants: 2}\n", head));
  task_want_error(a, "cd $T && $M tailor deploy.yaml --graphs --quiet", "variants and the design's exits");
  task_write_text(a, "deploy.yaml",
                  arena_printf(a, "%s  - {name: parts, target: x86-64, code: {step: yes}}\n", head));
  task_want_error(a, "cd $T && $M tailor deploy.yaml --graphs --quiet", "in pieces");
  task_write_design(a, "design.yaml", "name: net\nfreedom:\n  exits: [middel]\ndata:\n  classes: 4\n");
  task_want_error(a, "cd $T && $M tailor deploy.yaml --graphs --quiet",
                  "exits: the model has no layer \"middel\"");
  task_write_design(a, "design.yaml",
                    "name: net\nfreedom:\n  depth: {max: 1}\n  exits: [middle]\ndata:\n  classes: 4\n");
  task_want_error(a, "cd $T && $M tailor deploy.yaml --graphs --quiet", "depth may remove the blocks");
  task_write_design(a, "design.yaml",
                    "name: net\nfreedom:\n  exits: [middle, middle, middle, middle, middle, middle, middle, "
                    "middle]\ndata:\n  classes: 4\n");
  task_want_error(a, "cd $T && $M plan deploy.yaml --graphs --quiet", "8 exits; want 7 at most");
  arena_free(a);
}
END_TEST

Suite *suite_cli_variants(void) {
  Suite *s = suite_create("cli_variants");
  TCase *tc = tcase_create("tailor");
  tcase_add_test(tc, graphs_and_report);
  tcase_add_test(tc, one_image);
  tcase_add_test(tc, a_family_is_re_tailored);
  tcase_add_test(tc, bytes_stay_bytes);
  tcase_add_test(tc, in_a_small_cache);
  tcase_add_test(tc, fewer_than_before);
  tcase_add_test(tc, refused);
  tcase_add_test(tc, exits);
  tcase_set_timeout(tc, 120);
  suite_add_tcase(s, tc);
  return s;
}
