/* ONNX import against ONNX Runtime: the real models of ../shared, within 1e-4 of the output's range; quantized ones
 * within two steps of their last codes. */
#include "tests/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "frontend/onnx/onnx.h"
#include "ir/base/file.h"
#include "tests/frontend/oracle.h"

static char golden_dir[1024], model_dir[1024];

/* A model of several inputs numbers them: input_SET_I.npy; a model of one: input_SET.npy. */
static void golden_path(char *buf, size_t n, const char *model, int set, int tensor, bool is_input) {
  const char *kind = is_input ? "input" : "output";
  snprintf(buf, n, "%s/%s/%s_%d_%d.npy", golden_dir, model, kind, set, tensor);
  if (tensor == 0 && !file_exists(buf)) snprintf(buf, n, "%s/%s/%s_%d.npy", golden_dir, model, kind, set);
}

/* All that this part must import; others are tried, and skipped visibly where an operator is not supported yet. */
static bool required(const char *name) {
  return strncmp(name, "mlperf_", 7) == 0 || strncmp(name, "resnet", 6) == 0;
}

/* -- quantized models: the outputs of two computations that round at every layer -- */

/* The output's elements stand for codes of the last quantized value: how many are more than two steps away, and is the
 * largest one the same? Softmax of codes is compared in logarithms, whose step is that of the codes. */
typedef struct Steps {
  int elements, far, tops;
} Steps;

static void count_steps(const Tensor *got, const Tensor *want, double step, Steps *sum) {
  const float *a = got->data, *b = want->data;
  int64_t n = shape_count(&want->shape), top[2] = {0, 0};
  ck_assert(shape_equal(&got->shape, &want->shape));
  for (int64_t i = 0; i < n; i++) {
    double logs = fabs(log((double)a[i]) - log((double)b[i]));
    sum->far += logs > 2.05 * step && b[i] > 1e-30f;
    sum->far += fabs((double)a[i] - (double)b[i]) > 2.0 / 256;
    if (a[i] > a[top[0]]) top[0] = i;
    if (b[i] > b[top[1]]) top[1] = i;
  }
  sum->elements += (int)n;
  sum->tops += top[0] != top[1];
}

static double last_step(const Graph *g) {
  double step = 0;
  for (uint32_t k = 0; k < g->n_nodes; k++) {
    const Value *v = graph_val(g, g->nodes[k].out[0]);
    if (v->dtype == DT_I8) step = (double)v->quant.scale[0];
  }
  return step;
}

static Tensor read_golden(const char *name, int set, bool is_input) {
  char path[2200];
  Tensor t = {0};
  Diag *d = diag_new();
  golden_path(path, sizeof path, name, set, 0, is_input);
  if (file_exists(path)) ck_assert_msg(npy_read(path, &t, d), "%s", diag_text(d));
  diag_free(d);
  return t;
}

static void check_quantized(const char *name, OnnxRounding rounding) {
  char path[2200];
  Diag *d = diag_new();
  snprintf(path, sizeof path, "%s/%s.onnx", model_dir, name);
  Blob *b = blob_map(path);
  Graph *g = onnx_import_with(b, path, &(OnnxOptions){.rounding = rounding}, d);
  ck_assert_msg(g != NULL, "%s: not imported:\n%s", name, diag_text(d));
  for (uint32_t k = 0; k < g->n_nodes; k++) { /* no product is left in float32 */
    const Node *n = &g->nodes[k];
    if (node_macs(g, n) > 0) ck_assert_int_eq(graph_val(g, n->in[0])->dtype, DT_I8);
  }
  Steps sum = {0};
  int sets = 0;
  for (Tensor in; (in = read_golden(name, sets, true)).data; sets++) {
    Tensor out, want = read_golden(name, sets, false);
    oracle_eval(name, g, &in, 1, &out);
    count_steps(&out, &want, last_step(g), &sum);
    oracle_free(&in, 1);
    oracle_free(&out, 1);
    oracle_free(&want, 1);
  }
  ck_assert_int_ge(sets, 4);
  ck_assert_msg(sum.tops == 0 && sum.far * 100 <= sum.elements, "%s: %d of %d elements differ, %d top-1",
                name, sum.far, sum.elements, sum.tops);
  graph_free(g);
  blob_unref(b);
  diag_free(d);
}

static void check_model(const char *name) {
  if (strstr(name, "_qdq")) {
    check_quantized(name, ONNX_ROUND_AUTO);
    check_quantized(name, ONNX_ROUND_ONNX);
    return;
  }
  char path[2200];
  Diag *d = diag_new();
  snprintf(path, sizeof path, "%s/%s.onnx", model_dir, name);
  Graph *g = onnx_import(path, d);
  if (!g && !required(name)) {
    test_skip("%.*s", (int)strcspn(diag_text(d), "\n"), diag_text(d));
  } else {
    ck_assert_msg(g != NULL, "%s: not imported:\n%s", name, diag_text(d));
    int sets = oracle_sets(name, g, golden_path, 1e-4);
    ck_assert_msg(sets >= 4, "%s: %d sets of reference outputs, want 4 or more", name, sets);
  }
  graph_free(g);
  diag_free(d);
}

static void check_where(const char *prefix, bool match) {
  if (!test_shared_path(golden_dir, sizeof golden_dir, "data/golden_onnx")) return;
  if (!test_shared_path(model_dir, sizeof model_dir, "data/models/onnx")) return;
  Arena *a = arena_new();
  int models = 0;
  for (char **name = oracle_list(a, golden_dir, ""); *name; name++) {
    if ((*name)[0] == '.' || (strncmp(*name, prefix, strlen(prefix)) == 0) != match) continue;
    check_model(*name);
    models++;
  }
  ck_assert_int_gt(models, 0);
  arena_free(a);
}

START_TEST(resnets_match)
{ check_where("resnet", true); }
END_TEST
START_TEST(other_models_match)
{ check_where("resnet", false); }
END_TEST

Suite *suite_golden_onnx(void);
Suite *suite_golden_onnx(void) {
  Suite *s = suite_create("golden_onnx");
  TCase *t = tcase_create("models");
  tcase_add_test(t, resnets_match);
  tcase_add_test(t, other_models_match);
  suite_add_tcase(s, t);
  return s;
}
