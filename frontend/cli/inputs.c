/* Tensors of a model's inputs: read from .npy files, checked against the model, quantized where it asks for it. */
#include "frontend/cli/cli.h"

#include <string.h>

#include "ir/base/file.h"
#include "ir/eval.h"
#include "ir/lower.h"

void cli_free_tensors(Tensor *t, size_t n) {
  for (size_t i = 0; i < n; i++) tensor_free(&t[i]);
}

bool cli_quantize(const Tensor *x, DType to, const Quant *q, Tensor *out, Diag *d) {
  ASSERT(x->dtype == DT_F32 && q->n == 1);
  Graph *g = graph_new("quantize");
  ValId in = graph_input(g, "x", DT_F32, &x->shape);
  quantize_attrs attrs = {.to = (int32_t)to};
  ValId y = graph_val_new(g, "y", to, &x->shape);
  graph_set_quant(g, y, 1, 0, q->scale, q->zero);
  Node n = {.op = OP_quantize, .n_in = 1, .n_out = 1, .in = &in, .out = &y, .attrs = &attrs};
  ValId map[3] = {0, 1, 2};
  graph_node_raw(g, &n, map);
  graph_output(g, y);
  bool ok = graph_eval(g, x, 1, out, d);
  graph_free(g);
  return ok;
}

static bool check_shape(const Value *v, const char *model, const char *file, const Tensor *t, bool steps,
                        Diag *d) {
  int more = steps && t->shape.rank == v->shape.rank + 1 && t->shape.d[0] > 0 ? 1 : 0;
  bool fits = v->shape.rank + more == t->shape.rank;
  for (int i = 0; fits && i < v->shape.rank; i++) {
    int64_t got = t->shape.d[i + more];
    fits = v->shape.d[i] == DIM_BATCH ? got > 0 : v->shape.d[i] == got;
  }
  if (fits) return true;
  char want[160], got[160];
  shape_format(&v->shape, want, sizeof want);
  shape_format(&t->shape, got, sizeof got);
  return diag_error(d, NULL, "%s: shape %s; input \"%s\" of %s wants %s%s", file, got, v->name ? v->name : "",
                    model, want, steps ? ", or a sequence of them" : "");
}

static bool read_input(const Value *v, const char *model, const char *file, const CommonOpts *o, bool steps,
                       Tensor *out, Diag *d) {
  Tensor t;
  TRY(npy_read(file, &t, d));
  bool ok = check_shape(v, model, file, &t, steps, d);
  if (ok && t.dtype == DT_F32 && v->dtype != DT_F32 && v->quant.n == 1) {
    cli_note(o, "%s: float32 values, quantized to %s as input \"%s\" asks", file, dtype_name(v->dtype),
             v->name ? v->name : "");
    ok = cli_quantize(&t, v->dtype, &v->quant, out, d);
    tensor_free(&t);
    return ok;
  }
  if (ok && t.dtype != v->dtype)
    ok = diag_error(d, NULL, "%s: elements of type %s; input \"%s\" of %s wants %s", file,
                    dtype_name(t.dtype), v->name ? v->name : "", model, dtype_name(v->dtype));
  if (!ok) {
    tensor_free(&t);
    return false;
  }
  *out = t;
  return true;
}

/* One batch for all inputs. */
static bool check_batches(const Graph *g, const ArgList *files, const Tensor *in, Diag *d) {
  int64_t batch = -1;
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    const Shape *s = &graph_val(g, g->inputs[i])->shape;
    if (s->rank == 0 || s->d[0] != DIM_BATCH) continue;
    FAIL_IF(batch >= 0 && in[i].shape.d[0] != batch, d, NULL, "%s: batch of %lld; %s has one of %lld",
            files->v[i], (long long)in[i].shape.d[0], files->v[0], (long long)batch);
    batch = in[i].shape.d[0];
  }
  return true;
}

/* One length of all sequences; 0: none. */
static bool check_steps(const Graph *g, const ArgList *files, const Tensor *in, int64_t *steps, Diag *d) {
  *steps = 0;
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    bool many = in[i].shape.rank > graph_val(g, g->inputs[i])->shape.rank;
    int64_t n = many ? in[i].shape.d[0] : 0;
    FAIL_IF(i > 0 && n != *steps, d, NULL, "%s: a sequence of %lld steps; %s has %lld", files->v[i],
            (long long)n, files->v[0], (long long)*steps);
    *steps = n;
  }
  return true;
}

static bool read_inputs(const Graph *g, const char *model, const ArgList *files, const CommonOpts *o,
                        Tensor *in, int64_t *steps, Diag *d) {
  if (files->n != g->n_inputs) {
    diag_error(d, NULL, "%s has %u input%s; %zu file%s given", model, g->n_inputs,
               g->n_inputs == 1 ? "" : "s", files->n, files->n == 1 ? " was" : "s were");
    for (uint32_t i = 0; i < g->n_inputs; i++) {
      const Value *v = graph_val(g, g->inputs[i]);
      char shape[160];
      shape_format(&v->shape, shape, sizeof shape);
      diag_hint(d, "input %u: \"%s\" %s %s", i, v->name ? v->name : "", dtype_name(v->dtype), shape);
    }
    return false;
  }
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    if (read_input(graph_val(g, g->inputs[i]), model, files->v[i], o, steps != NULL, &in[i], d)) continue;
    cli_free_tensors(in, i);
    return false;
  }
  if (steps ? check_steps(g, files, in, steps, d) : check_batches(g, files, in, d)) return true;
  cli_free_tensors(in, g->n_inputs);
  return false;
}

bool cli_read_inputs(const Graph *g, const char *model, const ArgList *files, const CommonOpts *o, Tensor *in,
                     Diag *d) {
  return read_inputs(g, model, files, o, in, NULL, d);
}

bool cli_read_steps(const Graph *g, const char *model, const ArgList *files, const CommonOpts *o, Tensor *in,
                    int64_t *steps, Diag *d) {
  return read_inputs(g, model, files, o, in, steps, d);
}

static double number(const void *data, DType t, int64_t i) {
  if (t == DT_F32) return (double)((const float *)data)[i];
  if (t == DT_F64) return ((const double *)data)[i];
  if (dtype_kind(t) == 's') return (double)lower_stored_float(t, dtype_get(t, data, i));
  if (t == DT_U64) return (double)(uint64_t)dtype_get(t, data, i);
  return (double)dtype_get(t, data, i);
}

double cli_real(const void *data, DType t, const Shape *s, const Quant *q, int64_t i) {
  double x = number(data, t, i);
  if (q->n == 0) return x;
  int64_t k = 0;
  if (q->n > 1) k = i / shape_count_range(s, q->axis + 1, s->rank) % q->n;
  return (double)q->scale[k] * (x - (double)q->zero[k]);
}
