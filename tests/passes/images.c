/* See images.h. */
#include "tests/passes/images.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/eval.h"

Dataset images_random(const Graph *g, uint32_t n, int classes, uint64_t seed) {
  const Shape *s = &graph_val(g, g->inputs[0])->shape;
  Dataset ds = {.spec = {.classes = classes},
                .train = {.n = n, .dtype = DT_F32, .item = {.rank = s->rank - 1}}};
  for (int i = 1; i < s->rank; i++) ds.train.item.d[i - 1] = s->d[i];
  size_t item = (size_t)shape_count(&ds.train.item);
  float *x = mem_array(n * item, sizeof *x);
  int32_t *y = mem_array(n, sizeof *y);
  Rng r;
  rng_seed(&r, seed, 11);
  for (uint32_t i = 0; i < n; i++) {
    y[i] = (int32_t)i % classes;
    for (size_t k = 0; k < item; k++)
      x[i * item + k] = rng_normal(&r) + (k * (size_t)classes / item == (size_t)y[i] ? 1 : 0) +
                        0.5f * (k > 0 ? x[i * item + k - 1] : 0);
  }
  ds.train.xb = blob_adopt(x, n * item * sizeof *x);
  ds.train.yb = blob_adopt(y, n * sizeof *y);
  ds.train.x = x, ds.train.y = y;
  return ds;
}

void images_free(Dataset *ds) {
  blob_unref(ds->train.xb);
  blob_unref(ds->train.yb);
}

Graph *images_pass(const Graph *g, const Dataset *ds, const char *text) {
  Diag *d = diag_new();
  PassCtx ctx = {.params = "", .data = ds, .teacher = g};
  Graph *out = pipeline_run(g, text, &ctx, &(PipelineOptions){.verify_each = true}, d);
  ck_assert_msg(out != NULL, "%s: %s", text, diag_text(d));
  diag_free(d);
  return out;
}

const char *images_refused(const Graph *g, const Dataset *ds, const char *text) {
  static char said[1000];
  Diag *d = diag_new();
  PassCtx ctx = {.params = "", .data = ds, .teacher = g};
  Graph *out = pipeline_run(g, text, &ctx, NULL, d);
  ck_assert_msg(out == NULL, "%s was not refused", text);
  snprintf(said, sizeof said, "%s", diag_text(d));
  diag_free(d);
  return said;
}

double images_difference(const Graph *a, const Graph *b, const Dataset *ds, int n) {
  Diag *d = diag_new();
  Tensor in = {0}, x[8], y[8];
  Shape s = graph_val(a, a->inputs[0])->shape;
  s.d[0] = n;
  in = tensor_new(DT_F32, &s);
  memcpy(in.data, ds->train.x, tensor_bytes(&in));
  ck_assert_msg(graph_eval(a, &in, 1, x, d) && graph_eval(b, &in, 1, y, d), "%s", diag_text(d));
  const float *p = x[a->n_outputs - 1].data, *q = y[b->n_outputs - 1].data;
  double diff = 0, size = 0;
  for (int64_t k = 0; k < shape_count(&x[a->n_outputs - 1].shape); k++) {
    diff += ((double)p[k] - (double)q[k]) * ((double)p[k] - (double)q[k]);
    size += (double)p[k] * (double)p[k];
  }
  for (uint32_t i = 0; i < a->n_outputs; i++) tensor_free(&x[i]);
  for (uint32_t i = 0; i < b->n_outputs; i++) tensor_free(&y[i]);
  tensor_free(&in);
  diag_free(d);
  return sqrt(diff / (size > 0 ? size : 1));
}

int images_count(const Graph *g, OpKind op) {
  int n = 0;
  for (NodeId i = 0; i < g->n_nodes; i++) n += g->nodes[i].op == op;
  return n;
}
