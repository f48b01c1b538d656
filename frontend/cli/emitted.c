/* Emitted C in a temporary folder; see emitted.h. A batch is run item by item: emitted code has batch 1. */
#include "frontend/cli/emitted.h"

#include <string.h>

#include "ir/base/file.h"
#include "ir/base/mem.h"

static bool prepare(const Graph *g, bool as_is, Graph **out, Diag *d) {
  Graph *p = as_is ? graph_clone(g) : cli_prepare(g, d);
  if (!p) return false;
  *out = cli_batch_1(p, d);
  graph_free(p);
  return *out != NULL;
}

bool emitted_open(const Graph *g, const Target *t, bool as_is, Emitted *out, Diag *d) {
  *out = (Emitted){.arena = arena_new(), .target = t};
  const char *missing;
  bool ok = harness_available(t, &missing);
  if (!ok) {
    diag_error(d, NULL, "target %s: %s is not installed here", t->name, missing);
    diag_hint(d, "apt-get install %s", t->packages);
  }
  ok = ok && prepare(g, as_is, &out->g, d) && (out->dir = file_temp_dir(out->arena, d)) != NULL;
  EmitOptions o = {.name = "model", .out_dir = out->dir};
  ok = ok && emit_c(out->g, t, &o, d);
  if (!ok) emitted_close(out);
  return ok;
}

void emitted_close(Emitted *e) {
  if (e->dir) file_remove_tree(e->dir);
  graph_free(e->g);
  if (e->arena) arena_free(e->arena);
  *e = (Emitted){0};
}

bool emitted_run(const Emitted *e, const Tensor *in, int n, Tensor *out, Diag *d) {
  return harness_run(e->dir, e->target, e->g, in, n, out, d);
}

static bool has_batch(const Graph *g, ValId v) {
  const Shape *s = &graph_val(g, v)->shape;
  return s->rank > 0 && s->d[0] == DIM_BATCH;
}

/* Item i of a batch, as a tensor of batch 1. */
static Tensor item_of(const Tensor *t, int64_t i) {
  Shape s = t->shape;
  s.d[0] = 1;
  Tensor x = tensor_new(t->dtype, &s);
  size_t n = tensor_bytes(&x);
  memcpy(x.data, (const char *)t->data + (size_t)i * n, n);
  return x;
}

static Tensor copy_of(const Tensor *t) {
  Tensor x = tensor_new(t->dtype, &t->shape);
  memcpy(x.data, t->data, tensor_bytes(t));
  return x;
}

/* Outputs of `batch` runs side by side; one that has no batch is the first run's. */
static void join(const Graph *model, const Tensor *parts, int64_t batch, Tensor *out) {
  for (uint32_t k = 0; k < model->n_outputs; k++) {
    const Tensor *first = &parts[k];
    Shape s = first->shape;
    bool many = has_batch(model, model->outputs[k]);
    if (many) s.d[0] = batch;
    out[k] = tensor_new(first->dtype, &s);
    size_t n = tensor_bytes(first);
    for (int64_t i = 0; i < (many ? batch : 1); i++)
      memcpy((char *)out[k].data + (size_t)i * n, parts[(size_t)i * model->n_outputs + k].data, n);
  }
}

bool emitted_run_batch(const Emitted *e, const Graph *model, const Tensor *in, Tensor *out, Diag *d) {
  int64_t batch = 1;
  for (uint32_t k = 0; k < model->n_inputs; k++) {
    if (has_batch(model, model->inputs[k])) batch = in[k].shape.d[0];
  }
  FAIL_IF(batch > 100000, d, NULL, "a batch of %lld: want at most 100000", (long long)batch);
  size_t n = (size_t)batch, n_in = n * model->n_inputs, n_out = n * model->n_outputs;
  Tensor *items = mem_array(n_in, sizeof *items), *parts = mem_array(n_out, sizeof *parts);
  for (size_t i = 0; i < n; i++) {
    for (uint32_t k = 0; k < model->n_inputs; k++)
      items[i * model->n_inputs + k] =
          has_batch(model, model->inputs[k]) ? item_of(&in[k], (int64_t)i) : copy_of(&in[k]);
  }
  bool ok = emitted_run(e, items, (int)batch, parts, d);
  if (ok) {
    join(model, parts, batch, out);
    cli_free_tensors(parts, n_out);
  }
  cli_free_tensors(items, n_in);
  mem_free(items);
  mem_free(parts);
  return ok;
}
