/* Evaluation by this machine's kernels: the bytes of the generic ones, and of the C that is emitted for this machine. */
#include <string.h>

#include "frontend/tflite/tflite.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/eval.h"
#include "runtime/engine/engine.h"
#include "tests/backend/emitted.h"
#include "tests/support.h"

enum { IMAGES = 6 };

/* Random codes as inputs of a graph of batch 1. */
static void make_inputs(const Graph *g, Tensor in[IMAGES]) {
  Rng r;
  rng_seed(&r, 4, 4);
  for (int i = 0; i < IMAGES; i++) {
    const Value *v = graph_val(g, g->inputs[0]);
    in[i] = tensor_new(v->dtype, &v->shape);
    ck_assert_uint_eq(dtype_size(v->dtype), 1);
    for (size_t k = 0; k < tensor_bytes(&in[i]); k++)
      ((uint8_t *)in[i].data)[k] = (uint8_t)rng_below(&r, 256);
  }
}

/* How many calls the two do by different kernels. */
static int exchanged(const Graph *g, Diag *d) {
  Calls a, b;
  calls_init(&a);
  calls_init(&b);
  ck_assert(graph_lower(g, &a, d) && graph_lower(g, &b, d) && select_host_kernels(g, &b, d));
  int n = 0;
  for (uint32_t i = 0; i < a.n; i++) n += a.v[i].kernel != b.v[i].kernel;
  calls_free(&a);
  calls_free(&b);
  return n;
}

static void check_bytes(const Graph *g, const char *name) {
  Diag *d = diag_new();
  Tensor in[IMAGES], out[2 * IMAGES]; /* of each image all outputs */
  const Target *t = target_of_host();
  const char *missing;
  make_inputs(g, in);
  ck_assert_uint_le(g->n_outputs, 2);
  ck_assert(!t || exchanged(g, d) > 0);
  bool emitted = t && harness_available(t, &missing);
  if (!emitted) test_skip("no kernels or compiler for this machine");
  if (emitted && !harness_run(emit_to_tmp(g, t->name, name), t, g, in, IMAGES, out, d))
    ck_abort_msg("%s", diag_text(d));
  Evaluator *slow = evaluator_new(g, d), *fast = evaluator_new_by(g, select_host_kernels, d),
            *twin = evaluator_twin(fast);
  size_t n = val_bytes(g, g->outputs[0]);
  for (int i = 0; i < IMAGES; i++) {
    evaluator_run(slow, (const void *const[]){in[i].data});
    evaluator_run(i % 2 ? twin : fast, (const void *const[]){in[i].data});
    ck_assert_mem_eq(evaluator_value(slow, g->outputs[0]),
                     evaluator_value(i % 2 ? twin : fast, g->outputs[0]), n);
    if (emitted) ck_assert_mem_eq(evaluator_value(slow, g->outputs[0]), out[i * (int)g->n_outputs].data, n);
    for (uint32_t k = 0; emitted && k < g->n_outputs; k++) tensor_free(&out[i * (int)g->n_outputs + (int)k]);
    tensor_free(&in[i]);
  }
  evaluator_free(twin);
  evaluator_free(fast);
  evaluator_free(slow);
  diag_free(d);
}

START_TEST(small_net)
{
  Graph *g = graph_of(small_int8_net);
  check_bytes(g, "small");
  graph_free(g);
}
END_TEST

START_TEST(resnet8)
{
  char path[512];
  if (!test_shared_path(path, sizeof path, "data/models/tflite/resnet8_int8.tflite")) return;
  Diag *d = diag_new();
  Graph *g = tflite_import(path, d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  check_bytes(g, "resnet8");
  graph_free(g);
  diag_free(d);
}
END_TEST

/* The logits of graph_accuracy do not depend on who computes them, nor on threads. */
START_TEST(accuracy_with_and_without)
{
  Graph *g = graph_of(small_int8_net);
  enum { N = 40, ITEM = 8 * 8 * 4 };
  int32_t y[N] = {0};
  float x[N * ITEM], z[3][N * 5];
  Rng r;
  rng_seed(&r, 1, 1);
  for (int i = 0; i < N * ITEM; i++) x[i] = rng_normal(&r);
  Split s = {.n = N, .item = {3, {8, 8, 4}}, .dtype = DT_F32, .x = x, .y = y};
  Host host = {.threads = 1, .kernels = select_host_kernels};
  Diag *d = diag_new();
  Accuracy a[3];
  for (int i = 0; i < 3; i++)
    ck_assert_msg(graph_accuracy(g, &s, NULL, i, i ? &host : NULL, &a[i], z[i], d), "%s", diag_text(d));
  ck_assert_mem_eq(z[0], z[1], sizeof z[0]);
  ck_assert_mem_eq(z[0], z[2], sizeof z[0]);
  ck_assert_mem_eq(&a[0], &a[2], sizeof a[0]);
  diag_free(d);
  graph_free(g);
}
END_TEST

Suite *suite_host_eval(void);

Suite *suite_host_eval(void) {
  Suite *s = suite_create("host_eval");
  TCase *t = tcase_create("host_eval");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, small_net);
  tcase_add_test(t, resnet8);
  tcase_add_test(t, accuracy_with_and_without);
  suite_add_tcase(s, t);
  return s;
}
