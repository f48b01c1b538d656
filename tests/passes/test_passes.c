/* Every pass that keeps a model's function, on every small model of tests/data/onnx: the new graph obeys the
 * rules of the IR, computes the same outputs from the same inputs, and the old graph is untouched.
 * Golden tests: tests/golden/PASS/NAME.ir (first line `# params: ...` where it has some) -> NAME.out.
 */
#include <check.h>
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/onnx/onnx.h"
#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/base/strbuf.h"
#include "ir/eval.h"
#include "passes/pass.h"
#include "tests/support.h"

Suite *suite_passes(void);

static const char MODELS[] = "tests/data/onnx";

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Names in a folder that end in `ext`, sorted. */
static int list(Arena *a, const char *folder, const char *ext, char *names[], int max) {
  DIR *dir = opendir(folder);
  if (!dir) return 0;
  int n = 0;
  for (struct dirent *e; (e = readdir(dir)) && n < max;) {
    size_t len = strlen(e->d_name), k = strlen(ext);
    if (len > k && strcmp(e->d_name + len - k, ext) == 0) names[n++] = arena_strdup(a, e->d_name);
  }
  closedir(dir);
  qsort(names, (size_t)n, sizeof *names, by_name);
  return n;
}

static Tensor random_tensor(const Value *v, int64_t batch, uint64_t seed) {
  Shape s = v->shape;
  if (s.rank > 0 && s.d[0] == DIM_BATCH) s.d[0] = batch;
  Tensor t = tensor_new(v->dtype, &s);
  ck_assert_msg(v->dtype == DT_F32, "input of type %s", dtype_name(v->dtype));
  Rng rng;
  rng_seed(&rng, seed, 0);
  for (int64_t i = 0; i < shape_count(&s); i++) ((float *)t.data)[i] = rng_normal(&rng);
  return t;
}

/* Largest difference of the outputs, as a share of their range. */
static double difference(const Graph *a, const Graph *b, int64_t batch) {
  enum { MAX = 8 };
  Diag *d = diag_new();
  Tensor in[MAX], x[MAX], y[MAX];
  ck_assert(a->n_inputs <= MAX && a->n_outputs <= MAX && a->n_outputs == b->n_outputs);
  for (uint32_t i = 0; i < a->n_inputs; i++) in[i] = random_tensor(graph_val(a, a->inputs[i]), batch, i + 1);
  ck_assert_msg(graph_eval(a, in, a->n_inputs, x, d) && graph_eval(b, in, a->n_inputs, y, d), "%s",
                diag_text(d));
  double worst = 0;
  for (uint32_t i = 0; i < a->n_outputs; i++) {
    ck_assert_int_eq(x[i].dtype, y[i].dtype);
    ck_assert(shape_equal(&x[i].shape, &y[i].shape));
    if (x[i].dtype != DT_F32) {
      if (memcmp(x[i].data, y[i].data, tensor_bytes(&x[i])) != 0) worst = INFINITY;
    } else {
      const float *p = x[i].data, *q = y[i].data;
      double lo = INFINITY, hi = -INFINITY, diff = 0;
      for (int64_t k = 0; k < shape_count(&x[i].shape); k++) {
        lo = fmin(lo, (double)p[k]), hi = fmax(hi, (double)p[k]);
        diff = fmax(diff, fabs((double)p[k] - (double)q[k]));
      }
      worst = fmax(worst, diff / fmax(hi - lo, 1e-3));
    }
    tensor_free(&x[i]);
    tensor_free(&y[i]);
  }
  for (uint32_t i = 0; i < a->n_inputs; i++) tensor_free(&in[i]);
  diag_free(d);
  return worst;
}

static void check_pipeline(const Graph *g, const char *file, const char *text) {
  Diag *d = diag_new();
  Hash before = graph_hash(g);
  PassCtx ctx = {.params = ""};
  PipelineOptions opt = {.verify_each = true};
  Graph *out = pipeline_run(g, text, &ctx, &opt, d);
  ck_assert_msg(out != NULL, "%s: %s: %s", file, text, diag_text(d));
  ck_assert_msg(hash_equal(before, graph_hash(g)), "%s: %s changed its input", file, text);
  double diff = difference(g, out, 2);
  ck_assert_msg(diff < 2e-5, "%s: %s: outputs differ by %g of their range", file, text, diff);
  graph_free(out);
  diag_free(d);
}

/* Passes that are there to compute something else have tests of their own. */
static bool changes_function(const Pass *p) {
  return strcmp(p->name, "input_raw") == 0 || strcmp(p->name, "prune") == 0 ||
         strcmp(p->name, "lowrank") == 0 || strcmp(p->name, "resolution") == 0;
}

START_TEST(test_same_function)
{
  char *names[256];
  Arena *a = arena_new();
  int n = list(a, MODELS, ".onnx", names, 256);
  ck_assert_msg(n > 20, "only %d models in %s", n, MODELS);
  for (int i = 0; i < n; i++) {
    Diag *d = diag_new();
    Graph *g = onnx_import(path_join(a, MODELS, names[i]), d);
    ck_assert_msg(g != NULL, "%s", diag_text(d));
    for (int p = 0; p < n_passes; p++) {
      if (!passes[p].needs_data && !changes_function(&passes[p])) check_pipeline(g, names[i], passes[p].name);
    }
    check_pipeline(g, names[i], "fold,layout,fold,dce,bnfuse,fuse,fold");
    graph_free(g);
    diag_free(d);
  }
  arena_free(a);
}
END_TEST

/* After layout, no Transpose stands between two convolutions of the imported models. */
START_TEST(test_layout_cancels)
{
  Arena *a = arena_new();
  static const char *const nets[] = {"net_residual.onnx", "net_depthwise.onnx"};
  for (size_t i = 0; i < sizeof nets / sizeof nets[0]; i++) {
    const char *path = path_join(a, MODELS, nets[i]);
    if (!file_exists(path)) continue;
    Diag *d = diag_new();
    Graph *g = onnx_import(path, d);
    ck_assert_msg(g != NULL, "%s", diag_text(d));
    PassCtx ctx = {.params = ""};
    Graph *out = pipeline_run(g, "fold,layout{input=nhwc},fold,dce", &ctx, NULL, d);
    ck_assert_msg(out != NULL, "%s", diag_text(d));
    for (uint32_t k = 0; k < out->n_nodes; k++) {
      ck_assert_msg(out->nodes[k].op != OP_transpose, "%s: node %u is a Transpose", nets[i], k);
    }
    graph_free(out);
    graph_free(g);
    diag_free(d);
  }
  arena_free(a);
}
END_TEST

static void golden(Arena *a, const Pass *p, const char *folder, const char *name) {
  Diag *d = diag_new();
  char *path = path_join(a, folder, name), *text = file_read(a, path, NULL, d);
  ck_assert_msg(text != NULL, "%s", diag_text(d));
  char params[128] = "";
  if (strncmp(text, "# params: ", 10) == 0)
    snprintf(params, sizeof params, "%.*s", (int)strcspn(text + 10, "\n"), text + 10);
  Graph *g = graph_parse(text, path, d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  PassCtx ctx = {.params = params};
  Graph *out = p->run(g, &ctx, d);
  ck_assert_msg(out != NULL, "%s: %s", path, diag_text(d));
  ck_assert_msg(graph_verify(out, d), "%s: %s", path, diag_text(d));
  StrBuf got = {0};
  graph_print(out, &got, SIZE_MAX);
  char *want_path = arena_printf(a, "%.*s.out", (int)(strlen(path) - 3), path);
  if (test_golden_update()) ck_assert(file_write(want_path, sb_str(&got), got.len, d));
  char *want = file_read(a, want_path, NULL, d);
  ck_assert_msg(want != NULL, "%s", diag_text(d));
  ck_assert_msg(strcmp(want, sb_str(&got)) == 0, "%s:\n--- got\n%s--- want\n%s", path, sb_str(&got), want);
  sb_free(&got);
  graph_free(out);
  graph_free(g);
  diag_free(d);
}

START_TEST(test_golden)
{
  Arena *a = arena_new();
  int ran = 0;
  for (int p = 0; p < n_passes; p++) {
    char *names[64], *folder = path_join(a, "tests/golden", passes[p].name);
    int n = list(a, folder, ".ir", names, 64);
    for (int i = 0; i < n; i++, ran++) golden(a, &passes[p], folder, names[i]);
  }
  ck_assert_msg(ran >= 6, "only %d golden tests ran", ran);
  arena_free(a);
}
END_TEST

START_TEST(test_pipeline_errors)
{
  static const struct {
    const char *text, *message;
  } cases[] = {{"fold,bnfus", "unknown pass \"bnfus\""},
               {"fold{x=1}", "unknown parameter \"x=1\""},
               {"layout{input=nchw}", "want nhwc"},
               {"layout{input=nhwc", "without \"}\""},
               {"fold dce", "want a comma"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    Diag *d = diag_new();
    Graph *g = graph_new("empty");
    PassCtx ctx = {.params = ""};
    ck_assert_ptr_null(pipeline_run(g, cases[i].text, &ctx, NULL, d));
    ck_assert_msg(strstr(diag_text(d), cases[i].message) != NULL, "%s: got %s", cases[i].text, diag_text(d));
    graph_free(g);
    diag_free(d);
  }
}
END_TEST

Suite *suite_passes(void) {
  Suite *s = suite_create("passes");
  TCase *t = tcase_create("passes");
  tcase_add_test(t, test_same_function);
  tcase_add_test(t, test_layout_cancels);
  tcase_add_test(t, test_golden);
  tcase_add_test(t, test_pipeline_errors);
  suite_add_tcase(s, t);
  return s;
}
