/* harness_run: emitted C on given inputs. The self-test program is used without expected outputs: it then writes what
 * the model gives, natively, under qemu-aarch64 or, over semihosting, from the emulated board.
 */
#include "backend/measure/measure.h"

#include <string.h>

#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "ir/base/strbuf.h"

/* The value's shape with batch 1. */
static Shape bound_shape(const Graph *g, ValId v) {
  Shape s = graph_val(g, v)->shape;
  if (s.rank > 0 && s.d[0] == DIM_BATCH) s.d[0] = 1;
  return s;
}

static bool check_input(const Graph *g, const Tensor *t, uint32_t i, Diag *d) {
  const Value *v = graph_val(g, g->inputs[i]);
  bool same = t->dtype == v->dtype && shape_count(&t->shape) == shape_count(&v->shape);
  FAIL_IF(!same, d, NULL, "input %u: got %lld elements of %s, want %lld of %s", i,
          (long long)shape_count(&t->shape), dtype_name(t->dtype), (long long)shape_count(&v->shape),
          dtype_name(v->dtype));
  return true;
}

static bool write_inputs(Work *w, const Graph *g, const Tensor *in, int n) {
  StrBuf b = {0};
  bool ok = true;
  sb_puts(&b, "MFVEC001");
  const unsigned char head[8] = {(unsigned char)n, (unsigned char)(n >> 8), (unsigned char)(n >> 16),
                                 (unsigned char)(n >> 24)};
  sb_write(&b, head, sizeof head);
  for (int k = 0; k < n; k++)
    for (uint32_t i = 0; i < g->n_inputs && ok; i++) {
      const Tensor *t = &in[(size_t)k * g->n_inputs + i];
      ok = check_input(g, t, i, w->diag);
      if (ok) sb_write(&b, t->data, tensor_bytes(t));
    }
  ok = ok && file_write(path_join(w->arena, w->tmp, "vectors.bin"), sb_str(&b), b.len, w->diag);
  sb_free(&b);
  return ok;
}

static bool read_outputs(Work *w, const Graph *g, int n, Tensor *out) {
  size_t size, each = 0, at = 0;
  const char *bytes = file_read(w->arena, path_join(w->arena, w->tmp, "outputs.bin"), &size, w->diag);
  if (!bytes) return false;
  for (uint32_t i = 0; i < g->n_outputs; i++) each += val_bytes(g, g->outputs[i]);
  FAIL_IF(size != each * (size_t)n, w->diag, NULL, "the program wrote %zu bytes of output; want %zu", size,
          each * (size_t)n);
  for (int k = 0; k < n; k++)
    for (uint32_t i = 0; i < g->n_outputs; i++) {
      Shape s = bound_shape(g, g->outputs[i]);
      Tensor t = tensor_new(graph_val(g, g->outputs[i])->dtype, &s);
      memcpy(t.data, bytes + at, tensor_bytes(&t));
      at += tensor_bytes(&t);
      out[(size_t)k * g->n_outputs + i] = t;
    }
  return true;
}

static bool run(Work *w, const Graph *g, const Tensor *in, int n, Tensor *out) {
  const char *program, *output;
  int status;
  TRY(write_inputs(w, g, in, n));
  TRY(build_objects(w));
  TRY(build_selftest(w, w->bare ? machine_script(w->target->machine) : NULL, &program));
  TRY(run_selftest(w, program, w->target->machine, false, &status, &output));
  FAIL_IF(status != 0, w->diag, NULL, "the program on %s ended with status %d:\n%s", w->target->run, status,
          output);
  return read_outputs(w, g, n, out);
}

bool harness_run(const char *dir, const Target *t, const Graph *g, const Tensor *in, int n, Tensor *out,
                 Diag *d) {
  Work w;
  ASSERT(n > 0);
  bool ok = work_begin(&w, dir, t, NULL, d) && run(&w, g, in, n, out);
  work_end(&w);
  return ok;
}
