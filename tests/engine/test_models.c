/* Every float model of the shared folder that has one input can be trained: a session opens, and a step changes its
 * parameters' gradients from nothing. The others are listed with the reason.
 */
#include <cblas.h>
#include <string.h>

#include "frontend/onnx/onnx.h"
#include "frontend/tflite/tflite.h"
#include "ir/base/mem.h"
#include "passes/pass.h"
#include "runtime/engine/engine.h"
#include "tests/engine/nets.h"
#include "tests/support.h"

/* refused: what the engine says of it, NULL where it trains. */
typedef struct Model {
  const char *file, *refused;
} Model;

static const Model models[] = {
    {"onnx/mlperf_ad_autoencoder.onnx", NULL},
    {"onnx/mlperf_ic_resnet8_bn.onnx", NULL},
    {"onnx/mlperf_ic_resnet8_logits_dynbatch.onnx", NULL},
    {"onnx/mlperf_kws_dscnn_bn.onnx", NULL},
    {"onnx/mlperf_kws_dscnn_logits_dynbatch.onnx", NULL},
    {"onnx/mlperf_sww_1dcnn_bn.onnx", NULL},
    {"onnx/mlperf_vww_mobilenetv1_bn.onnx", NULL},
    {"onnx/resnet20_cifar10.onnx", NULL},
    {"onnx/resnet20_cifar10_dynbatch_bn.onnx", NULL},
    {"onnx/resnet56_cifar10_bn.onnx", NULL},
    {"onnx/version-slim-320.onnx", NULL},
    {"onnx/version-slim-320_simplified.onnx", NULL},
    {"onnx/zoo_mnist_8.onnx", NULL},
    {"tflite/ad01_float.tflite", NULL},
    {"tflite/hello_world_float.tflite", NULL},
    {"tflite/resnet8_float.tflite", NULL},
    {"tflite/vww_96_float.tflite", NULL},
    {"onnx/dtln_model_2.onnx", "models of one input"}, /* state goes in and out beside the frame */
};
enum { MODELS = sizeof models / sizeof *models };

static Graph *open_model(const char *file, Diag *d) {
  char path[512], rel[200];
  snprintf(rel, sizeof rel, "data/models/%s", file);
  if (!test_shared_path(path, sizeof path, rel)) return NULL;
  Graph *g = strstr(file, ".onnx") ? onnx_import(path, d) : tflite_import(path, d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  PassCtx c = {.params = ""};
  Graph *ready = pipeline_run(g, "fold,layout,fold,dce", &c, NULL, d);
  ck_assert_msg(ready != NULL, "%s", diag_text(d));
  graph_free(g);
  return ready;
}

/* One step; every parameter has a gradient, and somewhere it is not 0. */
static void step(Session *s, const Graph *g) {
  int64_t n = shape_count_range(&g->vals[g->inputs[0]].shape, 1, g->vals[g->inputs[0]].shape.rank);
  float *x = mem_array((size_t)n, sizeof *x);
  net_grid(x, n, 1);
  for (int64_t i = 0; i < n; i++) x[i] /= 0.06f * (float)n;
  const float *z = session_forward(s, x, 1, false);
  session_backward(s, z, 1);
  int params = 0;
  bool any = false;
  for (ValId v = 1; v < g->n_vals; v++) {
    if (!session_param(s, v)) continue;
    const float *dw = session_gradient(s, v);
    ck_assert_ptr_nonnull(dw);
    for (int64_t i = 0; i < shape_count(&g->vals[v].shape); i++) {
      ck_assert(dw[i] - dw[i] == 0);
      any = any || dw[i] != 0;
    }
    params++;
  }
  ck_assert(params > 0 && any);
  mem_free(x);
}

START_TEST(opens)
{
  const Model *m = &models[_i];
  Diag *d = diag_new();
  Graph *g = open_model(m->file, d);
  if (!g) return;
  SessionOptions so = {.batch = 1, .threads = 1, .training = true};
  Session *s = session_new(g, &so, d);
  ck_assert_msg((s != NULL) == !m->refused, "%s: %s", m->file, diag_text(d));
  if (m->refused) ck_assert_msg(strstr(diag_text(d), m->refused), "%s: %s", m->file, diag_text(d));
  if (s) step(s, g);
  session_free(s);
  graph_free(g);
  diag_free(d);
}
END_TEST

Suite *suite_models(void);

Suite *suite_models(void) {
  openblas_set_num_threads(1);
  Suite *s = suite_create("models");
  TCase *t = tcase_create("models");
  tcase_set_timeout(t, 60);
  tcase_add_loop_test(t, opens, 0, MODELS);
  suite_add_tcase(s, t);
  return s;
}
