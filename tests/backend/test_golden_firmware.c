/* int8 models of TensorFlow Lite against TensorFlow Lite Micro's reference outputs (../shared/data/golden_tflite), byte
 * for byte: by emitted C on this machine (all inputs) and by firmware under QEMU (the first ones).
 */
#include <stdlib.h>
#include <string.h>

#include "frontend/tflite/tflite.h"
#include "tests/backend/emitted.h"
#include "tests/support.h"

Suite *suite_golden_firmware(void);

enum { MAX_INPUTS = 64 };

static const struct {
  const char *model, *target;
  int inputs; /* at most */
} cases[] = {
    {"resnet8_int8", "x86-64", MAX_INPUTS},     {"kws_dscnn_int8", "x86-64", MAX_INPUTS},
    {"vww_96_int8", "x86-64", MAX_INPUTS},      {"ad01_int8", "x86-64", MAX_INPUTS},
    {"hello_world_int8", "x86-64", MAX_INPUTS}, {"resnet8_int8", "aarch64", 2},
    {"resnet8_int8", "x86-64-v3", MAX_INPUTS},  {"kws_dscnn_int8", "x86-64-v3", MAX_INPUTS},
    {"vww_96_int8", "x86-64-v3", MAX_INPUTS},   {"ad01_int8", "x86-64-v3", MAX_INPUTS},
    {"resnet8_int8", "x86-64-v2", MAX_INPUTS},  {"kws_dscnn_int8", "x86-64-v2", MAX_INPUTS},
    {"vww_96_int8", "x86-64-v2", MAX_INPUTS},   {"ad01_int8", "x86-64-v2", MAX_INPUTS},
    {"resnet8_int8", "cortex-m4", 2},           {"kws_dscnn_int8", "cortex-m4", 3},
    {"hello_world_int8", "cortex-m4", 8},       {"resnet8_int8", "cortex-m0", 2},
    {"kws_dscnn_int8", "cortex-m0", 3},         {"hello_world_int8", "cortex-m0", 8},
};

static bool read_tensor(const char *model, const char *what, int k, Tensor *out) {
  char rel[200], path[700];
  snprintf(rel, sizeof rel, "data/golden_tflite/%s/%s_%d.npy", model, what, k);
  const char *root = getenv("MISTIFY_SHARED");
  snprintf(path, sizeof path, "%s/%s", root && *root ? root : "../shared", rel);
  Diag *d = diag_new();
  bool ok = npy_read(path, out, d);
  diag_free(d);
  return ok;
}

static void check(const char *model, const char *target, const Graph *g, Tensor *in, int n) {
  Tensor got[MAX_INPUTS], want;
  Diag *d = diag_new();
  const char *dir = emit_to_tmp(g, target, model);
  ck_assert_msg(harness_run(dir, target_find(target), g, in, n, got, d), "%s", diag_text(d));
  for (int k = 0; k < n; k++) {
    ck_assert_msg(read_tensor(model, "out", k, &want), "%s: out_%d.npy", model, k);
    ck_assert_uint_eq(tensor_bytes(&got[k]), tensor_bytes(&want));
    const int8_t *a = got[k].data, *b = want.data;
    for (size_t i = 0; i < tensor_bytes(&want); i++)
      ck_assert_msg(a[i] == b[i], "%s on %s, input %d: output byte %zu: got %d, want %d", model, target, k, i,
                    a[i], b[i]);
    tensor_free(&want);
    tensor_free(&got[k]);
  }
  diag_free(d);
}

START_TEST(outputs_are_the_references)
{
  const char *model = cases[_i].model, *target = cases[_i].target;
  char rel[200], path[700];
  snprintf(rel, sizeof rel, "data/models/tflite/%s.tflite", model);
  if (!test_shared_path(path, sizeof path, rel) || !have_target(__FILE__, target)) return;
  Diag *d = diag_new();
  Graph *g = tflite_import(path, d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  diag_free(d);
  Tensor in[MAX_INPUTS];
  int n = 0;
  while (n < cases[_i].inputs && read_tensor(model, "in", n, &in[n])) n++;
  ck_assert_msg(n > 0, "no golden inputs of %s", model);
  check(model, target, g, in, n);
  for (int k = 0; k < n; k++) tensor_free(&in[k]);
  graph_free(g);
}
END_TEST

Suite *suite_golden_firmware(void) {
  Suite *s = suite_create("golden_firmware");
  TCase *t = tcase_create("golden_firmware");
  tcase_add_loop_test(t, outputs_are_the_references, 0, (int)(sizeof cases / sizeof *cases));
  suite_add_tcase(s, t);
  return s;
}
