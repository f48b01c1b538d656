/* Accuracy of a graph on a split.
 *
 * Graphs that the engine runs (f32, differentiable operators) go through a Session; all others, int8 ones first,
 * through kernels (ir/eval), one Evaluator of batch 1 per thread, so that what is measured is what the emitted C
 * computes: those of this machine that the Host has, the generic ones without; int8 ones give the same bytes. A quantized input takes round(x / scale) + zero (half away from zero, clamped), as TFLite.
 */
#include "runtime/engine/engine.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/eval.h"
#include "runtime/engine/feed.h"

static bool engine_runs(const Graph *g) {
  for (ValId v = 1; v < g->n_vals; v++)
    if (g->vals[v].dtype != DT_F32 && !(g->vals[v].blob && g->vals[v].dtype == DT_I32)) return false;
  for (uint32_t i = 0; i < g->n_nodes; i++)
    if (op_info(g->nodes[i].op)->diff != DIFF) return false;
  return g->n_inputs == 1 && g->n_outputs >= 1;
}

/* A session for g, or NULL where the engine does not run it. */
static Session *engine_session(const Graph *g, int batch, int threads) {
  SessionOptions so = {.batch = batch, .threads = threads};
  Diag *why = diag_new();
  Session *e = engine_runs(g) ? session_new(g, &so, why) : NULL;
  diag_free(why);
  return e;
}

static bool cancelled(const Host *h) { return h && h->cancelled && h->cancelled(h->ctx); }

/* -- float -- */

enum { BATCH = 64 };

static bool engine_accuracy(Session *e, const Split *s, const Normalize *nz, const Host *host, float *outcome,
                            float *logits, Diag *d) {
  const uint32_t batch = BATCH;
  Feed f;
  bool ok = feed_new(&f, e, s, nz, d);
  int64_t classes = session_classes(e);
  ok = ok && judge_check(s, f.map.count, classes, d);
  /* A copy of the batch: the session may give its input's place to what comes later. */
  float *x = ok ? mem_array((size_t)(batch * f.map.count), sizeof *x) : NULL;
  for (uint32_t i = 0; ok && i < s->n; i += batch) {
    if (cancelled(host)) ok = diag_error(d, NULL, "measuring accuracy was cancelled");
    uint32_t n = s->n - i < batch ? s->n - i : batch;
    feed_batch(&f, NULL, NULL, i, (int)n, x);
    const float *z = session_forward(e, x, (int)n, false);
    for (uint32_t k = 0; k < n; k++)
      outcome[i + k] = judge_example(s, i + k, z + k * classes, x + k * f.map.count, classes);
    if (logits) memcpy(logits + i * classes, z, (size_t)(n * classes) * sizeof *z);
  }
  mem_free(x);
  feed_free(&f);
  return ok;
}

/* -- everything else -- */

typedef struct Lane { /* what one thread runs on */
  Evaluator *eval;
  float *x, *scratch, *z;
  void *q; /* the input in the graph's type */
} Lane;

typedef struct Eval {
  const Graph *g; /* batch 1 */
  const Split *s;
  const Normalize *nz;
  const Host *host;
  InputMap map;
  ValId in, out;
  int64_t classes;
  Lane *lanes;
  float *logits;  /* [n][classes] or NULL */
  float *outcome; /* [n] */
  _Atomic bool stopped;
} Eval;

static float clamp(float v, float lo, float hi) { return v < lo ? lo : v > hi ? hi : v; }

/* n real values as elements of dtype t with quantization q. */
static void quantize(const float *x, int64_t n, DType t, const Quant *q, void *out) {
  for (int64_t i = 0; i < n; i++) {
    float v = roundf(x[i] / q->scale[0]) + (float)q->zero[0];
    if (t == DT_I8)
      ((int8_t *)out)[i] = (int8_t)clamp(v, -128, 127);
    else if (t == DT_I16)
      ((int16_t *)out)[i] = (int16_t)clamp(v, INT16_MIN, INT16_MAX);
    else
      ((uint8_t *)out)[i] = (uint8_t)clamp(v, 0, 255);
  }
}

static void to_real(const Value *v, const void *bytes, int64_t n, float *out) {
  float scale = v->quant.n ? v->quant.scale[0] : 1;
  float zero = v->quant.n ? (float)v->quant.zero[0] : 0;
  for (int64_t i = 0; i < n; i++) {
    if (v->dtype == DT_F32)
      out[i] = ((const float *)bytes)[i];
    else if (v->dtype == DT_I8)
      out[i] = ((float)((const int8_t *)bytes)[i] - zero) * scale;
    else if (v->dtype == DT_I16)
      out[i] = ((float)((const int16_t *)bytes)[i] - zero) * scale;
    else
      out[i] = ((float)((const uint8_t *)bytes)[i] - zero) * scale;
  }
}

static bool check_eval(const Eval *e, Diag *d) {
  const Value *in = &e->g->vals[e->in], *out = &e->g->vals[e->out];
  bool quantized = dtype_is_code(in->dtype) || in->dtype == DT_U8;
  FAIL_IF(!quantized && in->dtype != DT_F32, d, NULL, "the model's input is %s: want f32, i8, i16 or u8",
          dtype_name(in->dtype));
  FAIL_IF(quantized && in->quant.n != 1, d, NULL, "the model's %s input has no scale and zero point",
          dtype_name(in->dtype));
  FAIL_IF(out->dtype != DT_F32 && !dtype_is_code(out->dtype) && out->dtype != DT_U8, d, NULL,
          "the model's output is %s: want f32, i8, i16 or u8", dtype_name(out->dtype));
  return true;
}

static void run_one(void *ctx, int unit, int thread) {
  Eval *e = ctx;
  Lane *l = &e->lanes[thread];
  if (atomic_load(&e->stopped) || (thread == 0 && cancelled(e->host))) {
    atomic_store(&e->stopped, true);
    return;
  }
  const Value *in = &e->g->vals[e->in];
  input_item(&e->map, e->s, e->nz, NULL, (uint32_t)unit, l->x, l->scratch);
  if (in->dtype != DT_F32) quantize(l->x, e->map.count, in->dtype, &in->quant, l->q);
  evaluator_run(l->eval, (const void *const[]){in->dtype == DT_F32 ? (const void *)l->x : l->q});
  to_real(&e->g->vals[e->out], evaluator_value(l->eval, e->out), e->classes, l->z);
  e->outcome[unit] = judge_example(e->s, (uint32_t)unit, l->z, l->x, e->classes);
  if (e->logits) memcpy(e->logits + unit * e->classes, l->z, (size_t)e->classes * sizeof(float));
}

static bool lanes_open(Eval *e, int threads, Diag *d) {
  e->lanes = mem_array((size_t)threads, sizeof *e->lanes);
  for (int i = 0; i < threads; i++) {
    Lane *l = &e->lanes[i];
    l->eval =
        i ? evaluator_twin(e->lanes[0].eval) : evaluator_new_by(e->g, e->host ? e->host->kernels : NULL, d);
    TRY(l->eval);
    l->x = mem_array((size_t)e->map.count, sizeof(float));
    l->scratch = mem_array((size_t)e->map.count, sizeof(float));
    l->z = mem_array((size_t)e->classes, sizeof(float));
    l->q = mem_alloc_aligned((size_t)e->map.count, 64);
  }
  return true;
}

static void lanes_close(Eval *e, int threads) {
  for (int i = threads; e->lanes && i-- > 0;) { /* twins first */
    evaluator_free(e->lanes[i].eval);
    mem_free(e->lanes[i].x);
    mem_free(e->lanes[i].scratch);
    mem_free(e->lanes[i].z);
    mem_free(e->lanes[i].q);
  }
  mem_free(e->lanes);
}

/* All examples through the evaluators, in chunks that a pool can take. */
static bool run_all(Eval *e, Threads *pool, Diag *d) {
  enum { CHUNK = 4096 };
  const Split all = *e->s;
  float *outcome = e->outcome, *logits = e->logits;
  size_t item = (size_t)shape_count(&all.item) * dtype_size(all.dtype);
  for (uint32_t i = 0; i < all.n; i += CHUNK) {
    Split part = all;
    part.n = all.n - i < CHUNK ? all.n - i : CHUNK;
    part.x = (const char *)all.x + i * item;
    part.y = all.y + i;
    e->s = &part;
    e->outcome = outcome + i;
    if (logits) e->logits = logits + (int64_t)i * e->classes;
    threads_run(pool, run_one, e, (int)part.n);
    FAIL_IF(atomic_load(&e->stopped), d, NULL, "measuring accuracy was cancelled");
  }
  e->outcome = outcome;
  e->s = NULL;
  return true;
}

static bool kernel_accuracy(const Graph *g, const Split *s, const Normalize *nz, int threads,
                            const Host *host, float *outcome, float *logits, Diag *d) {
  FAIL_IF(g->n_inputs != 1 || g->n_outputs < 1, d, NULL,
          "accuracy of a model with %u inputs and %u outputs: want 1", g->n_inputs, g->n_outputs);
  Graph *one = graph_with_batch(g, 1, d);
  TRY(one);
  Eval e = {.g = one, .s = s, .nz = nz, .host = host, .logits = logits, .outcome = outcome};
  e.in = one->inputs[0];
  e.out = one->outputs[one->n_outputs - 1];
  e.classes = shape_count(&one->vals[e.out].shape);
  bool ok = check_eval(&e, d) && input_map(&one->vals[e.in].shape, &s->item, &e.map, d) &&
            judge_check(s, e.map.count, e.classes, d);
  ok = ok && lanes_open(&e, threads, d);
  if (ok) {
    Threads *pool = threads_new(threads);
    ok = run_all(&e, pool, d);
    threads_free(pool);
  }
  lanes_close(&e, threads);
  graph_free(one);
  return ok;
}

bool graph_accuracy(const Graph *g, const Split *s, const Normalize *nz, int threads, const Host *host,
                    Accuracy *out, float *logits, Diag *d) {
  *out = (Accuracy){0};
  FAIL_IF(!s->y || s->n == 0, d, NULL, "%s needs labelled examples", metric_name(s->anomaly));
  if (threads < 1) threads = 1;
  Session *e = engine_session(g, s->n < BATCH ? (int)s->n : BATCH, threads);
  float *outcome = mem_array(s->n, sizeof *outcome);
  bool ok = e ? engine_accuracy(e, s, nz, host, outcome, logits, d)
              : kernel_accuracy(g, s, nz, threads, host, outcome, logits, d);
  session_free(e);
  if (ok) judge_all(s, outcome, out);
  mem_free(outcome);
  return ok;
}
