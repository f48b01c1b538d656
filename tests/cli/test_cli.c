/* The command as its users meet it: the built binary is run on small models, and on everything that people get wrong.
 * Each mistake is to give one error, in words that name it, and status 1.
 */
#include "backend/costs.h"
#include "tests/backend/emitted.h"
#include "tests/support.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/cli/args.h"
#include "ir/base/file.h"
#include "ir/base/json.h"
#include "ir/base/rng.h"
#include "ir/tensor.h"
#include "passes/steps/artifact.h"
#include "passes/steps/lease.h"
#include "tests/frontend/oracle.h"

Suite *suite_cli(void);

#define GROUP(title)
#define COMMAND(ident) extern const Command cmd_##ident;
#include "frontend/cli/commands.def"
#undef COMMAND
#define COMMAND(ident) &cmd_##ident,
static const Command *const commands[] = {
#include "frontend/cli/commands.def"
    NULL};
#undef COMMAND
#undef GROUP

static const char models[] = "tests/data/onnx";
static const char net[] = "tests/data/onnx/net_residual.onnx",
                  net_in[] = "tests/data/onnx/net_residual.0.in0.npy";

/* Run "mistify ARGS" in the folder of the project, $T standing for this test's folder. */
static int mistify(char **out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int mistify(char **out, const char *fmt, ...) {
  StrBuf cmd = {0};
  va_list ap;
  sb_printf(&cmd, "T='%s'\n%s ", test_tmp_dir(), test_mistify());
  va_start(ap, fmt);
  sb_vprintf(&cmd, fmt, ap);
  va_end(ap);
  int status = test_run_command(sb_str(&cmd), out);
  sb_free(&cmd);
  return status;
}

static const char *tmp(Arena *a, const char *name) { return path_join(a, test_tmp_dir(), name); }

#define succeeds(...) run_expecting(0, __VA_ARGS__)
/* Runs, wants that status, returns the output (the caller frees it). */
static char *run_expecting(int want, const char *args) {
  char *out;
  int status = mistify(&out, "%s", args);
  ck_assert_msg(status == want, "mistify %s: status %d, want %d:\n%s", args, status, want, out);
  return out;
}

static int count(const char *text, const char *word) {
  int n = 0;
  for (const char *p = text; (p = strstr(p, word)); p += strlen(word)) n++;
  return n;
}

static void has(const char *args, const char *out, const char *want) {
  ck_assert_msg(strstr(out, want) != NULL, "mistify %s: no \"%s\" in:\n%s", args, want, out);
}

/* -- help -- */

START_TEST(help_lists_every_command)
{
  char *out = succeeds("--help");
  for (const Command *const *c = commands; *c; c++) has("--help", out, (*c)->summary);
  has("--help", out, "First steps");
  free(out);
  free(succeeds("help"));
  out = run_expecting(1, "");
  has("", out, "First steps");
  free(out);
  out = succeeds("--version");
  ck_assert_msg(strncmp(out, "mistify ", 8) == 0, "%s", out);
  free(out);
}
END_TEST

START_TEST(help_of_a_command_explains_its_options)
{
  int n = 0;
  for (const Command *const *c = commands; *c; c++, n++) {
    char *out, *again;
    int status = mistify(&out, "%s --help", (*c)->name);
    ck_assert_msg(status == 0, "mistify %s --help: status %d:\n%s", (*c)->name, status, out);
    has((*c)->name, out, (*c)->summary);
    for (const Opt *o = (*c)->opts; o->name; o++) {
      has((*c)->name, out, o->name);
      has((*c)->name, out, o->doc);
    }
    has((*c)->name, out, "--quiet");
    mistify(&again, "help %s", (*c)->name);
    ck_assert_str_eq(out, again);
    free(out);
    free(again);
  }
  ck_assert_int_ge(n, 14);
}
END_TEST

/* -- mistakes -- */

static void put_string(StrBuf *b, int field, const char *s, size_t n) {
  sb_putc(b, (char)(field << 3 | 2));
  ck_assert_uint_lt(n, 128);
  sb_putc(b, (char)n);
  sb_write(b, s, n);
}

static void put_node(StrBuf *graph, const char *op, const char *in, const char *out) {
  StrBuf n = {0};
  put_string(&n, 1, in, strlen(in));
  put_string(&n, 2, out, strlen(out));
  put_string(&n, 3, out, strlen(out));
  put_string(&n, 4, op, strlen(op));
  put_string(graph, 1, n.s, n.len);
  sb_free(&n);
}

static void put_value(StrBuf *graph, int field, const char *name) {
  /* a float32 tensor of shape [2] */
  static const char type[] = {0x0a, 8, 8, 1, 0x12, 4, 0x0a, 2, 8, 2};
  StrBuf v = {0};
  put_string(&v, 1, name, strlen(name));
  put_string(&v, 2, type, sizeof type);
  put_string(graph, field, v.s, v.len);
  sb_free(&v);
}

/* Two operators, x -> op -> y -> Relu -> z; cyclic: the first reads z. */
static void write_onnx(const char *path, const char *op, bool cyclic) {
  static const char opset[] = {16, 13};
  StrBuf g = {0}, m = {0};
  put_node(&g, op, cyclic ? "z" : "x", "y");
  put_node(&g, "Relu", "y", "z");
  put_value(&g, 11, "x");
  put_value(&g, 12, "z");
  sb_puts(&m, "\x08\x08");
  put_string(&m, 7, g.s, g.len);
  put_string(&m, 8, opset, sizeof opset);
  test_write_file(path, m.s, m.len);
  sb_free(&g);
  sb_free(&m);
}

static void write_bad_files(Arena *a) {
  size_t n;
  char *bytes = test_read_file(net, &n);
  ck_assert(bytes != NULL && n > 1000);
  test_write_file(tmp(a, "truncated.onnx"), bytes, n / 2);
  test_write_file(tmp(a, "model.xyz"), bytes, n);
  free(bytes);
  test_write_file(tmp(a, "empty.onnx"), "", 0);
  test_write_file(tmp(a, "text.tflite"), "no model", 8);
  test_write_file(tmp(a, "text.mistify"), "no model", 8);
  test_write_file(tmp(a, "short.mistify"), "MISTIFY1", 8);
  test_write_file(tmp(a, "bad.ir"), "graph {\n", 8);
  test_write_file(tmp(a, "noise.npy"), "noise", 5);
  test_write_file(tmp(a, "bad.yaml"), "name: {x\n", 9);
  write_onnx(tmp(a, "cyclic.onnx"), "Relu", true);
  write_onnx(tmp(a, "unsupported.onnx"), "Frobnicate", false);
  Diag *d = diag_new();
  Shape s = shape_of(4, (int64_t)1, (int64_t)3, (int64_t)8, (int64_t)8);
  Tensor t = tensor_new(DT_F32, &s), u = tensor_new(DT_I32, &s);
  ck_assert_msg(npy_write(tmp(a, "small.npy"), &t, d) && npy_write(tmp(a, "int.npy"), &u, d), "%s",
                diag_text(d));
  tensor_free(&t);
  tensor_free(&u);
  diag_free(d);
}

static const struct {
  const char *args, *message;
} mistakes[] = {
    {"inpect x", "did you mean mistify inspect?"},
    {"frobnicate", "unknown command \"frobnicate\""},
    {"help runn", "did you mean mistify run?"},
    {"inspect", "MODEL is missing"},
    {"inspect a.onnx b.onnx", "one argument too many"},
    {"inspect a.onnx --tagret x86-64", "did you mean --target?"},
    {"inspect $T/none.onnx", "No such file"},
    {"inspect tests", "is a folder"},
    {"inspect $T/empty.onnx", "the file is empty"},
    {"inspect $T/truncated.onnx", "truncated.onnx"},
    {"inspect $T/model.xyz", "what kind of model"},
    {"inspect $T/text.tflite", "TFL3"},
    {"inspect $T/text.mistify", "MISTIFY1"},
    {"inspect $T/short.mistify", "short.mistify"},
    {"inspect $T/bad.ir", "bad.ir:"},
    {"inspect $T/cyclic.onnx", "cyclic.onnx"},
    {"inspect $T/unsupported.onnx", "operator Frobnicate"},
    {"inspect tests/data/onnx/relu.onnx --target cortex-m5", "did you mean cortex-m"},
    {"inspect tests/data/onnx/relu.onnx --board nosuchboard", "nosuchboard"},
    {"inspect tests/data/onnx/relu.onnx --board microbit --target x86-64", "give one of them"},
    {"run tests/data/onnx/net_residual.onnx -o $T/o.npy", "-i is missing"},
    {"run tests/data/onnx/net_residual.onnx -i $T/small.npy -o $T/o.npy", "shape [1,3,8,8]; input \"input\""},
    {"run tests/data/onnx/net_residual.onnx -i $T/int.npy -o $T/o.npy", "int.npy"},
    {"run tests/data/onnx/net_residual.onnx -i $T/noise.npy -o $T/o.npy", "noise.npy"},
    {"run tests/data/onnx/net_residual.onnx -i $T/none.npy -o $T/o.npy", "none.npy"},
    {"run tests/data/onnx/net_residual.onnx -i a b -o $T/o.npy", "has 1 input; 2 files were given"},
    {"run tests/data/onnx/two_outputs.onnx -i a -o $T/o.npy", "has 2 outputs; 1 file is named"},
    {"run tests/data/onnx/net_residual.onnx -i tests/data/onnx/net_residual.0.in0.npy -o $T/none/o.npy",
     "none/o.npy"},
    {"run tests/data/onnx/net_residual.onnx -i tests/data/onnx/net_residual.0.in0.npy -o tests",
     "is a folder"},
    {"opt tests/data/onnx/relu.onnx --passes fold,nosuch -o $T/o.ir", "unknown pass \"nosuch\""},
    {"opt tests/data/onnx/relu.onnx --passes fold -o $T/o.txt", "in which form"},
    {"opt tests/data/onnx/relu.onnx --passes fold -o $T/none/o.ir", "none/o.ir"},
    {"opt tests/data/onnx/relu.onnx --passes fold -o $T/o.ir --dump-after flod", "did you mean fold?"},
    {"opt tests/data/onnx/relu.onnx --passes quantize -o $T/o.ir", "training data"},
    {"opt tests/data/onnx/relu.onnx --passes quantize -o $T/o.ir --design $T/bad.yaml", "bad.yaml:"},
    {"compile tests/data/onnx/relu.onnx -o $T/c", "neither --target nor --board"},
    {"compile tests/data/onnx/relu.onnx --target x86-64 -o $T/empty.onnx", "is a file"},
    {"compile tests/data/onnx/relu.onnx --target x86-64 -o $T", "did not write"},
    {"compile tests/data/onnx/relu.onnx --target x86-64 -o $T/c --name 3d", "C identifier"},
    {"verify $T/none", "no such folder"},
    {"verify $T", "no model.json"},
    {"diff tests/data/onnx/relu.onnx -i tests/data/onnx/relu.0.in0.npy", "second model or --target"},
    {"diff tests/data/onnx/relu.onnx tests/data/onnx/tanh.onnx -i a --tolerance much", "--tolerance much"},
    {"eval tests/data/onnx/relu.onnx --design $T/none.yaml", "none.yaml"},
    {"eval tests/data/onnx/relu.onnx", "--design is missing"},
    {"train $T/bad.yaml -o $T/o.onnx", "bad.yaml:"},
    {"export tests/data/onnx/relu.onnx -o $T/o.keras", "in which form"},
    {"cache stats --cache $T/none", "no such folder"},
    {"cache stat --cache $T", "did you mean stats?"},
    {"cache gc --cache $T", "--max SIZE is missing"},
    {"cache gc --cache $T --max lots", "--max lots"},
    {"calibrate", "wants a target, or a board and its log"},
    {"calibrate --board microbit --log $T/none", "none"},
    {"calibrate cortex-m5", "did you mean"},
    {"calibrate cortex-m4 --kernels conv_s9", "did you mean conv_s8?"},
    {"calibrate cortex-m4 --kernels conv_s8__armv9", "is no kernel that is calibrated"},
    {"ops --quite", "did you mean --quiet?"},
};

START_TEST(each_mistake_gets_one_message)
{
  Arena *a = arena_new();
  write_bad_files(a);
  for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
    char *out = run_expecting(1, mistakes[i].args);
    has(mistakes[i].args, out, mistakes[i].message);
    ck_assert_msg(count(out, "error: ") == 1, "mistify %s: %d errors:\n%s", mistakes[i].args,
                  count(out, "error: "), out);
    free(out);
  }
  ck_assert_msg(!file_exists(tmp(a, "o.npy")) && !file_exists(tmp(a, "o.ir")) && !file_exists(tmp(a, "c")),
                "a failed command left something behind");
  arena_free(a);
}
END_TEST

START_TEST(results_that_cannot_be_written_are_noticed)
{
  if (!file_exists("/dev/full")) {
    test_skip("there is no /dev/full");
    return;
  }
  char *out = run_expecting(1, "ops > /dev/full");
  has("ops > /dev/full", out, "standard output");
  free(out);
  out = run_expecting(1, "inspect tests/data/onnx/net_residual.onnx --json > /dev/full");
  has("inspect", out, "standard output");
  free(out);
  /* Who stops reading is not told about it. */
  ck_assert_int_eq(mistify(&out, "ops --markdown | head -n 1"), 0);
  ck_assert_int_eq(count(out, "\n"), 1);
  free(out);
}
END_TEST

/* -- JSON -- */

/* What "mistify ARGS" prints, standard error apart, as JSON. */
static const Json *json_of(Arena *a, const char *args, int want) {
  char *out;
  int status = mistify(&out, "%s 2>/dev/null", args);
  Diag *d = diag_new();
  const Json *j = json_parse(a, out, strlen(out), args, d);
  ck_assert_msg(status == want && j, "mistify %s: status %d, %s\n%s", args, status, diag_text(d), out);
  diag_free(d);
  free(out);
  return j;
}

START_TEST(json_parses)
{
  Arena *a = arena_new();
  ck_assert_uint_ge(json_of(a, "targets --json", 0)->n, 4);
  ck_assert_uint_ge(json_of(a, "boards --json", 0)->n, 4);
  ck_assert_uint_ge(json_of(a, "passes --json", 0)->n, 5);
  const Json *ops = json_of(a, "ops --json", 0);
  ck_assert_str_eq(json_get_str(json_at(ops, 0), "name", ""), "Conv");
  const Json *net_json = json_of(a, arena_printf(a, "inspect %s --json", net), 0);
  ck_assert_int_gt(json_get_int(net_json, "macs", 0), 0);
  ck_assert_int_ge(json_get_int(net_json, "ram", 0), json_get_int(net_json, "ram_lower_bound", 1 << 30));
  ck_assert_uint_ge(json_get(net_json, "estimates")->n, 4);
  const Json *ran = json_of(a, arena_printf(a, "run %s -i %s -o $T/j.npy --json", net, net_in), 0);
  ck_assert_str_eq(json_get_str(json_at(json_get(ran, "outputs"), 0), "dtype", ""), "f32");
  const Json *passes =
      json_get(json_of(a, arena_printf(a, "opt %s --passes fold,dce -o $T/j.ir --json", net), 0), "passes");
  ck_assert_uint_eq(passes->n, 3);
  ck_assert_str_eq(json_get_str(json_at(passes, 2), "pass", ""), "dce");
  const Json *diff = json_of(a, arena_printf(a, "diff %s $T/j.ir -i %s --json", net, net_in), 0);
  ck_assert_int_eq(json_get_int(diff, "differ", -1), 0);
  free(succeeds("compile tests/data/onnx/relu.onnx --target cortex-m4 -o $T/jc --json"));
  arena_free(a);
}
END_TEST

/* -- running -- */

static void same_tensors(const char *what, const char *got, const char *want) {
  Diag *d = diag_new();
  Tensor x, y;
  ck_assert_msg(npy_read(got, &x, d) && npy_read(want, &y, d), "%s: %s", what, diag_text(d));
  oracle_compare(what, &x, &y, 0, 1e-5);
  tensor_free(&x);
  tensor_free(&y);
  diag_free(d);
}

/* Set `set` of a model; false: there is none. The names of all its files are found by number. */
static bool run_set(Arena *a, const char *model, int set, const char *more) {
  StrBuf cmd = {0};
  sb_printf(&cmd, "run %s/%s.onnx --quiet %s -i", models, model, more);
  int n_in = 0, n_out = 0;
  for (; file_exists(arena_printf(a, "%s/%s.%d.in%d.npy", models, model, set, n_in)); n_in++)
    sb_printf(&cmd, " %s/%s.%d.in%d.npy", models, model, set, n_in);
  sb_puts(&cmd, " -o");
  for (; file_exists(arena_printf(a, "%s/%s.%d.out%d.npy", models, model, set, n_out)); n_out++)
    sb_printf(&cmd, " $T/out%d.npy", n_out);
  if (n_in > 0) free(succeeds(sb_str(&cmd)));
  for (int i = 0; i < n_out && n_in > 0; i++) {
    same_tensors(sb_str(&cmd), tmp(a, arena_printf(a, "out%d.npy", i)),
                 arena_printf(a, "%s/%s.%d.out%d.npy", models, model, set, i));
  }
  sb_free(&cmd);
  return n_in > 0;
}

START_TEST(run_gives_the_recorded_outputs)
{
  Arena *a = arena_new();
  int ran = 0;
  for (char **m = oracle_list(a, models, ".onnx"); *m; m++) {
    for (int set = 0; run_set(a, *m, set, ""); set++) ran++;
  }
  ck_assert_int_ge(ran, 120);
  arena_free(a);
}
END_TEST

/* As emitted C, a batch of 3 too. */
START_TEST(run_on_a_target)
{
  Arena *a = arena_new();
  ck_assert(run_set(a, "net_residual", 2, "--target x86-64"));
  ck_assert(run_set(a, "two_outputs", 0, "--target x86-64"));
  arena_free(a);
}
END_TEST

START_TEST(run_quantizes_for_quantized_inputs)
{
  Arena *a = arena_new();
  char model[600], in[600];
  if (!test_shared_path(model, sizeof model, "data/models/tflite/hello_world_int8.tflite")) return;
  if (!test_shared_path(in, sizeof in, "data/golden_tflite/hello_world_int8/in_0.npy")) return;
  Diag *d = diag_new();
  Tensor q;
  ck_assert_msg(npy_read(in, &q, d), "%s", diag_text(d));
  char *out = succeeds(arena_printf(a, "run %s -i %s -o $T/q.npy --quiet", model, in));
  ck_assert_str_eq(out, "");
  free(out);
  /* The real value of code q[0], by the model's own scale. */
  const Json *j = json_at(json_get(json_of(a, arena_printf(a, "inspect %s --json", model), 0), "inputs"), 0);
  Tensor x = tensor_new(DT_F32, &q.shape);
  for (int64_t i = 0; i < shape_count(&q.shape); i++)
    ((float *)x.data)[i] = (float)(json_get_num(j, "scale", 0) *
                                   (((const int8_t *)q.data)[i] - (double)json_get_int(j, "zero", 0)));
  ck_assert_msg(npy_write(tmp(a, "real.npy"), &x, d), "%s", diag_text(d));
  out = succeeds(arena_printf(a, "run %s -i $T/real.npy -o $T/r.npy", model));
  has("run", out, "quantized to i8");
  free(out);
  ck_assert_int_eq(test_run_command(arena_printf(a, "cmp %s %s", tmp(a, "q.npy"), tmp(a, "r.npy")), NULL), 0);
  tensor_free(&q);
  tensor_free(&x);
  diag_free(d);
  arena_free(a);
}
END_TEST

/* -- compile, verify, diff, opt -- */

START_TEST(compile_and_verify)
{
  Arena *a = arena_new();
  char *out = succeeds("compile tests/data/onnx/net_residual.onnx --target x86-64 -o $T/c");
  has("compile", out, "flash");
  free(out);
  free(succeeds(
      "compile tests/data/onnx/net_residual.onnx --target x86-64 -o $T/c --name mine")); /* over its own */
  const Json *j = json_of(a, "verify $T/c --json", 0);
  ck_assert_str_eq(json_get_str(j, "name", ""), "mine");
  ck_assert_int_gt(json_get_int(j, "vectors", 0), 0);
  ck_assert_int_eq(json_get_int(j, "vectors_passed", -1), json_get_int(j, "vectors", -2));
  int64_t flash = json_get_int(j, "flash", 0), estimate = json_get_int(j, "flash_estimated", 0);
  ck_assert_msg(flash > 1000 && estimate > flash / 2 && estimate < flash * 2, "flash %lld, estimate %lld",
                (long long)flash, (long long)estimate);
  out = succeeds("verify $T/c");
  has("verify", out, "self-test vectors pass");
  free(out);
  arena_free(a);
}
END_TEST

START_TEST(verify_notices_wrong_results)
{
  Arena *a = arena_new();
  free(succeeds("compile tests/data/onnx/net_autoencoder.onnx --target x86-64 -o $T/w"));
  const char *path = tmp(a, "w/vectors.bin");
  size_t n;
  char *bytes = test_read_file(path, &n);
  ck_assert(bytes != NULL && n > 16);
  bytes[n - 1] = (char)(bytes[n - 1] ^ 0x40); /* the exponent of the last expected number */
  test_write_file(path, bytes, n);
  free(bytes);
  char *out = run_expecting(2, "verify $T/w");
  has("verify", out, "disagrees");
  free(out);
  arena_free(a);
}
END_TEST

/* One row measured anew; the others are the committed table's. */
START_TEST(calibrate_one_kernel)
{
  if (!have_target(__FILE__, "cortex-m4")) return;
  Arena *a = arena_new();
  size_t n;
  free(succeeds("calibrate cortex-m4 --kernels relu_f32__generic -o $T/m4.c"));
  const char *table = file_read(a, tmp(a, "m4.c"), &n, NULL),
             *row = strstr(table, "{\"relu_f32\", \"generic\", {");
  int many = 0, once = 0;
  ck_assert_msg(row && sscanf(row + 25, "%d, %d", &many, &once) == 2 && many >= once && once > 0, "%s",
                table);
  const TargetCosts *costs = target_find("cortex-m4")->costs;
  ck_assert_int_eq(count(table, "\", \""), costs->n_kernels); /* kernel, set */
  has("table", table, arena_printf(a, "{\"conv_s8\", \"generic\", {%d, ", (int)costs->kernels[0].size.many));
  arena_free(a);
}
END_TEST

/* A board that takes twice the estimated cycles says so in its YAML. */
START_TEST(calibrate_by_a_boards_log)
{
  Arena *a = arena_new();
  size_t n;
  static const char board[] = "name: slow\ntarget: cortex-m4\ncycle_scale: 7\nclock: 80MHz\n";
  test_write_file(tmp(a, "slow.yaml"), board, sizeof board - 1);
  free(succeeds("compile tests/data/onnx/net_residual.onnx --target cortex-m4 -o $T/logged"));
  const char *json = file_read(a, tmp(a, "logged/model.json"), &n, NULL);
  const Json *j = json_parse(a, json, n, "model.json", NULL);
  const char *log = arena_printf(a, "# cycles\n\n%s %lld\n", tmp(a, "logged"),
                                 2 * (long long)json_get_int(json_get(j, "estimate"), "cycles", 0));
  test_write_file(tmp(a, "cycles.txt"), log, strlen(log));
  char *out = succeeds("calibrate --board $T/slow.yaml --log $T/cycles.txt -o $T/scaled.yaml");
  has("calibrate", out, "cycle_scale: 2.000\n");
  free(out);
  out = succeeds("calibrate --board $T/slow.yaml --log $T/cycles.txt --json");
  ck_assert_msg(*out == '{', "want JSON alone, got\n%s", out);
  has("calibrate --json", out, "\"cycle_scale\": 2");
  free(out);
  has("scaled.yaml", file_read(a, tmp(a, "scaled.yaml"), &n, NULL),
      "name: slow\ntarget: cortex-m4\nclock: 80MHz\ncycle_scale: 2.000\n");
  free(run_expecting(1, "calibrate --board $T/slow.yaml --log $T/slow.yaml"));
  arena_free(a);
}
END_TEST

START_TEST(limits_of_a_board)
{
  Arena *a = arena_new();
  static const char board[] = "name: tiny\ntarget: x86-64\nflash: 2KiB\nram: 1KiB\n";
  test_write_file(tmp(a, "tiny.yaml"), board, sizeof board - 1);
  char *out = run_expecting(2, "compile tests/data/onnx/net_residual.onnx --board $T/tiny.yaml -o $T/t");
  ck_assert_msg(count(out, "DOES NOT FIT") == 2, "%s", out);
  free(out);
  ck_assert_msg(file_exists(tmp(a, "t/model.c")), "nothing was written");
  out = run_expecting(2, "verify $T/t --board $T/tiny.yaml");
  has("verify", out, "does NOT fit");
  free(out);
  arena_free(a);
}
END_TEST

START_TEST(compile_spares_foreign_files)
{
  Arena *a = arena_new();
  Diag *d = diag_new();
  ck_assert(file_make_dirs(tmp(a, "mine"), d));
  free(succeeds("compile tests/data/onnx/relu.onnx --target x86-64 -o $T/mine")); /* empty is fine */
  ck_assert(file_make_dirs(tmp(a, "other"), d));
  test_write_file(tmp(a, "other/notes.txt"), "keep me", 7);
  free(run_expecting(1, "compile tests/data/onnx/relu.onnx --target x86-64 -o $T/other"));
  ck_assert(!file_exists(tmp(a, "other/model.c")));
  free(succeeds("compile tests/data/onnx/relu.onnx --target x86-64 -o $T/other --force"));
  ck_assert(file_exists(tmp(a, "other/model.c")) && file_exists(tmp(a, "other/notes.txt")));
  diag_free(d);
  arena_free(a);
}
END_TEST

START_TEST(opt_round_trips)
{
  static const char *const forms[] = {"ir", "mistify", "onnx"};
  Arena *a = arena_new();
  for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
    char *out = succeeds(arena_printf(
        a, "opt %s --passes fold,layout,fold,dce,bnfuse,fuse --verify-each -o $T/o.%s", net, forms[i]));
    has("opt", out, "bnfuse");
    free(out);
    out = succeeds(arena_printf(a, "diff %s $T/o.%s -i %s --tolerance 1e-5", net, forms[i], net_in));
    has("diff", out, "none differs");
    free(out);
  }
  char *out = succeeds("diff $T/o.ir $T/o.mistify -i tests/data/onnx/net_residual.0.in0.npy");
  has("diff", out, "all are equal");
  free(out);
  free(succeeds("export $T/o.mistify -o $T/again.ir --quiet"));
  ck_assert_int_eq(test_run_command(arena_printf(a, "cmp %s %s", tmp(a, "o.ir"), tmp(a, "again.ir")), NULL),
                   0);
  out = succeeds(arena_printf(a, "opt %s --passes fold,fuse --dump-after fuse -o $T/d.ir --quiet", net));
  has("opt", out, "# after fuse");
  ck_assert_msg(!strstr(out, "# after fold"), "%s", out);
  free(out);
  arena_free(a);
}
END_TEST

START_TEST(diff_finds_the_first_difference)
{
  Arena *a = arena_new();
  char *out = run_expecting(
      2, "diff tests/data/onnx/sigmoid.onnx tests/data/onnx/tanh.onnx -i tests/data/onnx/tanh.0.in0.npy");
  has("diff", out, "the first is");
  has("diff", out, "(Sigmoid)");
  free(out);
  /* A net that loses its second activation parts there, not at its output. */
  free(succeeds(arena_printf(a, "opt %s --passes fold,layout,fold,bnfuse,fuse -o $T/x.ir --quiet", net)));
  size_t n;
  char *text = test_read_file(tmp(a, "x.ir"), &n), *act = text ? strstr(text, "act=relu") : NULL;
  act = act ? strstr(act + 1, "act=relu") : NULL;
  ck_assert_msg(act != NULL, "x.ir: no two activations");
  memcpy(act, "act=none", 8);
  test_write_file(tmp(a, "y.ir"), text, n);
  *strchr(act, '\n') = 0;
  const char *name = strchr(act, '"') + 1;
  out = run_expecting(2, arena_printf(a, "diff $T/x.ir $T/y.ir -i %s", net_in));
  has("diff", out, arena_printf(a, "the first is \"%.*s\"", (int)strcspn(name, "\""), name));
  free(out);
  free(text);
  out = run_expecting(1, arena_printf(a, "diff %s tests/data/onnx/net_depthwise.onnx -i %s", net, net_in));
  has("diff", out, "net_depthwise.onnx");
  free(out);
  out = succeeds("diff tests/data/onnx/net_tf_nhwc.onnx -i tests/data/onnx/net_tf_nhwc.0.in0.npy --target "
                 "x86-64 --tolerance 1e-6 --all");
  has("diff", out, "none differs");
  free(out);
  arena_free(a);
}
END_TEST

/* -- data: train, eval, quantize, cache -- */

/* n images of 16x16x3, class = which of ten brightness steps they have, with noise. */
static void write_split(Arena *a, const char *name, int64_t n, uint64_t seed) {
  Shape xs = shape_of(4, n, (int64_t)16, (int64_t)16, (int64_t)3), ys = shape_of(1, n);
  Tensor x = tensor_new(DT_U8, &xs), y = tensor_new(DT_I32, &ys);
  Rng r;
  rng_seed(&r, seed, 0);
  for (int64_t i = 0; i < n; i++) {
    int32_t c = (int32_t)rng_below(&r, 10);
    ((int32_t *)y.data)[i] = c;
    for (int64_t k = 0; k < 768; k++)
      ((uint8_t *)x.data)[i * 768 + k] = (uint8_t)((uint32_t)c * 24 + rng_below(&r, 20));
  }
  Diag *d = diag_new();
  ck_assert_msg(npy_write(tmp(a, arena_printf(a, "%s_x.npy", name)), &x, d) &&
                    npy_write(tmp(a, arena_printf(a, "%s_y.npy", name)), &y, d),
                "%s", diag_text(d));
  tensor_free(&x);
  tensor_free(&y);
  diag_free(d);
}

/* design.yaml; `more` is appended. */
static void write_design(Arena *a, const char *more) {
  char *cwd = NULL;
  ck_assert_int_eq(test_run_command("pwd", &cwd), 0);
  cwd[strcspn(cwd, "\n")] = 0;
  write_split(a, "train", 256, 1);
  write_split(a, "val", 100, 2);
  write_split(a, "test", 60, 3);
  char *text = arena_printf(a,
                            "name: steps\nmodel: %s/%s\ntask: classification\nmetric: accuracy\n"
                            "data:\n"
                            "  train: {kind: npy, x: train_x.npy, y: train_y.npy}\n"
                            "  val: {kind: npy, x: val_x.npy, y: val_y.npy}\n"
                            "  test: {kind: npy, x: test_x.npy, y: test_y.npy}\n"
                            "  normalize: {mean: 0.5, std: 0.5}\n  classes: 10\n  calibration: 64\n"
                            "input: {layout: nchw, type: float}\n"
                            "train: {epochs: 3, batch: 32, lr: 0.05}\n%s",
                            cwd, net, more);
  test_write_file(tmp(a, "design.yaml"), text, strlen(text));
  free(cwd);
}

START_TEST(train_eval_quantize)
{
  Arena *a = arena_new();
  write_design(a, "");
  const Json *before =
      json_of(a, arena_printf(a, "eval %s --design $T/design.yaml --split val --json", net), 0);
  const Json *trained = json_of(a, "train $T/design.yaml -o $T/trained.onnx --log $T/log --json", 0);
  ck_assert_int_eq(json_get_int(trained, "images", 0), 3 * 256);
  double top1 = json_get_num(trained, "val_top1", 0);
  ck_assert_msg(top1 > json_get_num(before, "top1", 1) + 0.1, "validation accuracy %g before, %g after",
                json_get_num(before, "top1", 1), top1);
  const Json *val = json_of(a, "eval $T/trained.onnx --design $T/design.yaml --split val --json", 0);
  ck_assert_msg(fabs(json_get_num(val, "top1", 0) - top1) <= 0.011, "%g as trained, %g as read back", top1,
                json_get_num(val, "top1", 0)); /* one image of 100 may turn by rounding */
  char *log = test_read_file(tmp(a, "log"), NULL);
  ck_assert_msg(log && count(log, "\n") == 3, "log:\n%s", log ? log : "(none)");
  free(log);
  char *out = succeeds("eval $T/trained.onnx --design $T/design.yaml");
  has("eval", out, "60 examples of the test split");
  free(out);
  free(succeeds("opt $T/trained.onnx --passes fold,layout,fold,dce,bnfuse,fuse,fold,quantize --design "
                "$T/design.yaml -o $T/q.mistify --quiet"));
  const Json *q =
      json_of(a, "eval $T/q.mistify --design $T/design.yaml --split val --target x86-64 --json", 0);
  ck_assert_int_eq(json_get_int(q, "equal", -1), 100);
  const Json *here = json_of(a, "eval $T/q.mistify --design $T/design.yaml --split val --json", 0);
  ck_assert_int_eq(json_get_int(q, "correct", -1), json_get_int(here, "correct", -2));
  free(succeeds("export $T/q.mistify -o $T/q.onnx --quiet"));
  const Json *qdq = json_of(a, "eval $T/q.onnx --design $T/design.yaml --split val --json", 0);
  ck_assert_int_eq(json_get_int(qdq, "correct", -1), json_get_int(here, "correct", -2));
  out = run_expecting(1, "eval $T/trained.onnx --design $T/design.yaml --split tests");
  has("eval", out, "want test, val or train");
  free(out);
  write_design(a, "freedoms: {}\n");
  out = run_expecting(1, "train $T/design.yaml -o $T/x.onnx");
  has("train", out, "design.yaml:14:1: error: unknown key");
  has("train", out, "did you mean \"freedom\"?");
  ck_assert_int_eq(count(out, "error: "), 1);
  free(out);
  arena_free(a);
}
END_TEST

START_TEST(training_again_gives_the_same_bytes)
{
  Arena *a = arena_new();
  write_design(a, "");
  free(succeeds("train $T/design.yaml -o $T/one.onnx --epochs 1 -j 1 --quiet"));
  free(succeeds("train $T/design.yaml -o $T/two.onnx --epochs 1 -j 2 --quiet"));
  ck_assert_int_eq(
      test_run_command(arena_printf(a, "cmp %s %s", tmp(a, "one.onnx"), tmp(a, "two.onnx")), NULL), 0);
  arena_free(a);
}
END_TEST

/* Stopped in the middle: status 130, one line, no file. */
START_TEST(interruption_leaves_nothing)
{
  Arena *a = arena_new();
  char *out;
  write_design(a, "");
  mistify(&out, "train $T/design.yaml -o $T/stopped.onnx --epochs 100000 --log $T/stop.log --quiet & P=$!\n"
                "while kill -0 $P && [ ! -s $T/stop.log ]; do sleep 0.1; done\n"
                "kill -TERM $P; wait $P; echo status $?");
  ck_assert_str_eq(out, "mistify: interrupted\nstatus 130\n");
  free(out);
  out = NULL;
  ck_assert_int_eq(test_run_command(arena_printf(a, "ls %s | grep stopped", test_tmp_dir()), &out), 1);
  ck_assert_str_eq(out, "");
  free(out);
  arena_free(a);
}
END_TEST

START_TEST(cache_of_steps)
{
  Arena *a = arena_new();
  Diag *d = diag_new();
  ck_assert(file_make_dirs(tmp(a, "cache"), d));
  const Json *j = json_of(a, "cache stats --cache $T/cache --json", 0);
  ck_assert_int_eq(json_get_int(json_get(j, "holds"), "entries", -1), 0);
  Cache *c = cache_open(tmp(a, "cache"), NULL, d);
  Artifact art = artifact_from_bytes(ART_PLAN, "x", 1);
  const Hash one = {1, 2}, two = {3, 4};
  Lease *lease;
  Holder who;
  cache_pin(c, one);
  ck_assert(cache_put(c, one, "plan", &art, 1, d));
  cache_put_time(c, &(StepTime){.key = one, .kind = "plan", .seconds = 1.5, .processor = 2.5, .threads = 2});
  ck_assert_int_eq(lease_take(c, two, LEASE_BEAT, &lease, &who), LEASE_TAKEN);
  test_write_file(cache_work(c, a, two), "state", 5);
  j = json_of(a, "cache stats --cache $T/cache --json", 0);
  ck_assert_int_eq(json_get_int(json_get(j, "holds"), "entries", -1), 1);
  ck_assert_int_eq(json_get_int(json_get(j, "in_use"), "entries", -1), 1);
  ck_assert_int_eq(json_get_int(json_get(j, "in_use"), "steps_running", -1), 1);
  ck_assert_int_eq(json_get_int(json_get(j, "unfinished"), "bytes", -1), 5);
  ck_assert_int_eq(json_get_int(json_get(j, "times"), "steps", -1), 1);
  char *out = succeeds("cache stats --cache $T/cache");
  ck_assert_msg(strstr(out, "by 1 process(es), which run 1 step(s) now (gc leaves them)") &&
                    strstr(out, "state of 1 step(s) not yet done, 5 ") &&
                    strstr(out, "times of 1 step(s) are known: 1.5 s, 2.5 s of processors"),
                "got %s", out);
  free(out);
  free(succeeds("cache gc --max 0 --cache $T/cache"));
  j = json_of(a, "cache stats --cache $T/cache --json", 0);
  ck_assert_int_eq(json_get_int(json_get(j, "holds"), "entries", -1), 1);
  lease_release(lease);
  artifact_unref(&art);
  cache_close(c);
  free(succeeds("cache ls --cache $T/cache"));
  free(succeeds("cache verify --cache $T/cache"));
  free(succeeds("cache gc --max 1MiB --cache $T/cache"));
  free(succeeds("cache clear --cache $T/cache"));
  ck_assert(file_is_dir(tmp(a, "cache")));
  diag_free(d);
  arena_free(a);
}
END_TEST

Suite *suite_cli(void) {
  Suite *s = suite_create("cli");
  TCase *t = tcase_create("cli");
  tcase_set_timeout(t, 300);
  tcase_add_test(t, help_lists_every_command);
  tcase_add_test(t, help_of_a_command_explains_its_options);
  tcase_add_test(t, each_mistake_gets_one_message);
  tcase_add_test(t, results_that_cannot_be_written_are_noticed);
  tcase_add_test(t, json_parses);
  tcase_add_test(t, run_gives_the_recorded_outputs);
  tcase_add_test(t, run_on_a_target);
  tcase_add_test(t, run_quantizes_for_quantized_inputs);
  tcase_add_test(t, compile_and_verify);
  tcase_add_test(t, verify_notices_wrong_results);
  tcase_add_test(t, limits_of_a_board);
  tcase_add_test(t, compile_spares_foreign_files);
  tcase_add_test(t, opt_round_trips);
  tcase_add_test(t, diff_finds_the_first_difference);
  tcase_add_test(t, calibrate_one_kernel);
  tcase_add_test(t, calibrate_by_a_boards_log);
  tcase_add_test(t, train_eval_quantize);
  tcase_add_test(t, training_again_gives_the_same_bytes);
  tcase_add_test(t, interruption_leaves_nothing);
  tcase_add_test(t, cache_of_steps);
  suite_add_tcase(s, t);
  return s;
}
