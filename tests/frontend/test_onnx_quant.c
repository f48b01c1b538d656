/* Quantized ONNX models against ONNX Runtime (tests/data/onnx_quant): Quantize/Dequantize form, QLinear operators, integer
 * products, by both roundings, by evaluation and as emitted C.
 *
 * ONNX's rounding gives ONNX Runtime's numbers (its own operators of com.microsoft round elsewhere, a step each at most; a mean of few
 * codes lies between two, and the sum of floats decides).
 * TFLite's arithmetic gives them within two steps.
 */
#include "tests/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "frontend/onnx/onnx.h"
#include "ir/base/file.h"
#include "tests/backend/emitted.h"
#include "tests/frontend/oracle.h"

static const char *const folder = "tests/data/onnx_quant";

static Graph *import(const char *name, OnnxRounding rounding) {
  char path[512];
  Diag *d = diag_new();
  snprintf(path, sizeof path, "%s/%s.onnx", folder, name);
  Blob *b = blob_map(path);
  ck_assert_msg(b != NULL, "%s", path);
  Graph *g = onnx_import_with(b, path, &(OnnxOptions){.rounding = rounding}, d);
  ck_assert_msg(g != NULL, "%s: not imported:\n%s", path, diag_text(d));
  blob_unref(b);
  diag_free(d);
  return g;
}

static bool read_set(const char *name, int set, int i, bool input, Tensor *t) {
  char path[512];
  Diag *d = diag_new();
  snprintf(path, sizeof path, "%s/%s.%d.%s%d.npy", folder, name, set, input ? "in" : "out", i);
  bool there = file_exists(path);
  if (there) ck_assert_msg(npy_read(path, t, d), "%s", diag_text(d));
  diag_free(d);
  return there;
}

/* The real step of output i's codes: a Dequantize's scale; 0: it is no code. Softmax of codes: 1/64 of its range. */
static double step_of(const Graph *g, uint32_t i) {
  const Node *n = graph_def(g, g->outputs[i]);
  while (n && n->op == OP_reshape) n = graph_def(g, n->in[0]);
  if (!n) return 0;
  if (n->op == OP_softmax) return 1.0 / 64;
  return n->op == OP_dequantize ? (double)graph_val(g, n->in[0])->quant.scale[0] : 0;
}

/* All within `steps`, and two of three the same (one of two of ms_softmax: ONNX Runtime's tables round most of its codes down). */
static void compare(const char *name, const Graph *g, uint32_t i, const Tensor *got, const Tensor *want,
                    double steps) {
  const float *a = got->data, *b = want->data;
  double step = step_of(g, i);
  ck_assert_msg(got->dtype == DT_F32 && shape_equal(&got->shape, &want->shape),
                "%s: output %u has another shape", name, i);
  int64_t n = shape_count(&want->shape), off = 0;
  for (int64_t k = 0; k < n; k++) {
    double diff = fabs((double)a[k] - (double)b[k]), tiny = 2e-6 * fmax(1, fabs((double)b[k]));
    ck_assert_msg(diff <= steps * step * 1.001 + tiny,
                  "%s: output %u, element %ld is %.9g, want %.9g: %.2f steps", name, i, (long)k, (double)a[k],
                  (double)b[k], step > 0 ? diff / step : -1);
    off += diff > step / 2 + tiny;
  }
  ck_assert_msg(off * (strncmp(name, "ms_softmax", 10) == 0 ? 2 : 3) <= n + 3,
                "%s: output %u: %ld of %ld elements differ", name, i, (long)off, (long)n);
}

static void check(const char *name, OnnxRounding rounding, double steps) {
  Graph *g = import(name, rounding);
  Tensor in[4], out[8], want;
  int sets = 0;
  ck_assert(g->n_inputs <= 4 && g->n_outputs <= 8);
  for (; read_set(name, sets, 0, true, &in[0]); sets++) {
    for (uint32_t i = 1; i < g->n_inputs; i++) ck_assert(read_set(name, sets, (int)i, true, &in[i]));
    oracle_eval(name, g, in, g->n_inputs, out);
    for (uint32_t i = 0; i < g->n_outputs; i++) {
      ck_assert(read_set(name, sets, (int)i, false, &want));
      compare(name, g, i, &out[i], &want, steps);
      oracle_free(&want, 1);
    }
    oracle_free(in, g->n_inputs);
    oracle_free(out, g->n_outputs);
  }
  ck_assert_int_ge(sets, 2);
  graph_free(g);
}

START_TEST(onnx_rounding_gives_onnx_runtimes_numbers)
{
  Arena *a = arena_new();
  int models = 0;
  for (char **name = oracle_list(a, folder, ".onnx"); *name; name++, models++)
    check(*name, ONNX_ROUND_ONNX, strncmp(*name, "ms_", 3) == 0 ? 2 : strstr(*name, "pool") ? 1 : 0);
  ck_assert_int_ge(models, 30);
  arena_free(a);
}
END_TEST

START_TEST(tflites_arithmetic_is_near)
{
  Arena *a = arena_new();
  for (char **name = oracle_list(a, folder, ".onnx"); *name; name++) {
    check(*name, ONNX_ROUND_AUTO, 2);
    check(*name, ONNX_ROUND_TFLITE, 2);
  }
  arena_free(a);
}
END_TEST

/* No float32 operator is left in the middle, but those that have no int8 form (a Softmax whose axis is not the last is transposed in
 * float32). */
START_TEST(operators_become_int8)
{
  Arena *a = arena_new();
  for (char **name = oracle_list(a, folder, ".onnx"); *name; name++) {
    if (strncmp(*name, "dynamic_", 8) == 0 || strcmp(*name, "qdq_float_between") == 0 ||
        strcmp(*name, "ms_softmax_axis") == 0)
      continue;
    Graph *g = import(*name, ONNX_ROUND_AUTO);
    for (uint32_t k = 0; k < g->n_nodes; k++) {
      const Node *n = &g->nodes[k];
      bool last = n->op == OP_softmax && strncmp(*name, "qdq_net", 7) == 0;
      bool moves = (op_info(n->op)->traits & (T_VIEW | T_MOVE)) != 0;
      if (n->op == OP_quantize || n->op == OP_dequantize || n->op == OP_cast || moves || last) continue;
      ck_assert_msg(graph_val(g, n->in[0])->dtype == DT_I8, "%s: %s is computed in %s", *name,
                    op_info(n->op)->name, dtype_name(graph_val(g, n->in[0])->dtype));
    }
    graph_free(g);
  }
  arena_free(a);
}
END_TEST

/* The self-test compares with the evaluation. */
START_TEST(emitted_c_is_the_same)
{
  static const OnnxRounding kinds[] = {ONNX_ROUND_ONNX, ONNX_ROUND_AUTO};
  Arena *a = arena_new();
  for (char **name = oracle_list(a, folder, ".onnx"); *name; name++) {
    Graph *g = import(*name, kinds[_i]);
    const char *dir = emit_to_tmp(g, "x86-64", *name);
    must_run("cd '%s' && gcc -std=c99 -O1 selftest.c model.c -o selftest -lm && ./selftest", dir);
    graph_free(g);
  }
  arena_free(a);
}
END_TEST

Suite *suite_onnx_quant(void);
Suite *suite_onnx_quant(void) {
  Suite *s = suite_create("onnx_quant");
  TCase *t = tcase_create("onnx runtime");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, onnx_rounding_gives_onnx_runtimes_numbers);
  tcase_add_test(t, tflites_arithmetic_is_near);
  tcase_add_test(t, operators_become_int8);
  tcase_add_loop_test(t, emitted_c_is_the_same, 0, 2);
  suite_add_tcase(s, t);
  return s;
}
