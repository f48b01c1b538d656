/* The reference of the monitor of drift (runtime/device/drift.h), from examples: the statistics of each, taken by the
 * monitor's own code, their means and deviations, and the limit by simulation.
 *
 *   deviation  of a window's sum of 16: four times that of one example
 *   slack      half a standard deviation, so that a shift by one is what is found soonest (Page 1954), and two standard errors of
 *              the mean, which is known from n examples only: 4 / sqrt(n) of a window's deviation
 *   limit      first passages of a cumulative sum are about exponential, so of paths of `interval` inferences a share of
 *              1 - 1/e raises a false alarm. Paths are drawn from the examples with replacement; the limit is the
 *              (1/e)-quantile of their largest sums
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/eval.h"
#include "runtime/device/confidence.h"

enum { KINDS = 4, WINDOW = 16, SAMPLES = 256, PATHS = 200, LEAST_EXAMPLES = 64 };
static const int64_t usual_interval = 10000;

typedef struct Statistics {
  uint32_t v[KINDS];
} Statistics;

static int64_t common_divisor(int64_t a, int64_t b) { return b ? common_divisor(b, a % b) : a; }

static bool is_code(DType t) { return t == DT_I8 || t == DT_U8; }

/* How the input is sampled: a sample's neighbour is the next pixel of its line. Every column must have its turn, so the step
 * has no divisor in common with a line. */
static bool plan_samples(const Value *in, const DriftOptions *o, mistify_drift_reference *r, Diag *d) {
  const Shape *s = &in->shape;
  const int64_t n = shape_count(s), last = s->rank ? s->d[s->rank - 1] : 1;
  const int64_t channels = s->rank == 4 && last <= 4 ? last : 1;
  const int64_t line = s->rank >= 2 ? last * (channels > 1 || last == 1 ? s->d[s->rank - 2] : 1) : last;
  const int64_t rows = o->rows > 0 ? o->rows : 1, samples = o->samples > 0 ? o->samples : SAMPLES;
  int64_t step = (n + samples - 1) / samples;
  FAIL_IF(!is_code(in->dtype), d, NULL, "the monitor of drift looks at codes of 8 bits; the input has %s",
          dtype_name(in->dtype));
  FAIL_IF(n / rows <= channels, d, NULL, "the input has %lld values a piece: too few for a monitor of drift",
          (long long)(n / rows));
  while (common_divisor(step, line) != 1) step++;
  if (step >= n / rows) step = 1;
  FAIL_IF(step > UINT16_MAX || n / rows > INT32_MAX, d, NULL,
          "the input has %lld values: too many for a monitor of drift", (long long)n);
  *r = (mistify_drift_reference){.limit = UINT16_MAX,
                                 .piece = (uint32_t)(n / rows),
                                 .step = (uint16_t)step,
                                 .next = (uint16_t)channels,
                                 .flip = in->dtype == DT_I8 ? 128 : 0};
  return true;
}

/* -- statistics of examples -- */

static void look(const mistify_drift_reference *r, int64_t rows, const void *x, Statistics *out) {
  mistify_drift one;
  mistify_drift_init(&one, r);
  mistify_drift_input(&one, x, (int32_t)rows);
  memcpy(out->v, one.sum, sizeof out->v);
}

static uint8_t usual_level(const Tensor *in, int n, uint8_t flip) {
  double sum = 0;
  const size_t bytes = tensor_bytes(&in[0]);
  for (int i = 0; i < n; i++)
    for (size_t k = 0; k < bytes; k++) sum += ((const uint8_t *)in[i].data)[k] ^ flip;
  return (uint8_t)lrint(sum / ((double)n * (double)bytes));
}

static uint32_t confidence_of(const Evaluator *e, const Graph *g) {
  const ValId y = g->outputs[g->n_outputs - 1];
  const Value *v = graph_val(g, y);
  if (!is_code(v->dtype)) return 0;
  return mistify_confidence(evaluator_value(e, y), (int32_t)shape_count(&v->shape),
                            v->dtype == DT_I8 ? 128 : 0);
}

static bool take_statistics(const Graph *g, const DriftOptions *o, const Tensor *in, int n,
                            mistify_drift_reference *r, Statistics *s, Diag *d) {
  Evaluator *e = evaluator_new_by(g, select_host_kernels, d);
  if (!e) return false;
  r->usual = usual_level(in, n, r->flip);
  for (int i = 0; i < n; i++) {
    const void *x = in[i].data;
    evaluator_run(e, &x);
    look(r, o->rows > 0 ? o->rows : 1, x, &s[i]);
    s[i].v[KINDS - 1] = confidence_of(e, g);
  }
  evaluator_free(e);
  return true;
}

/* -- reference -- */

/* Of a window; a statistic that does not vary is not watched. */
static void set_moments(const Statistics *s, int n, int kind, mistify_drift_reference *r) {
  double sum = 0, squares = 0;
  for (int i = 0; i < n; i++) sum += s[i].v[kind];
  const double mean = sum / n;
  for (int i = 0; i < n; i++) squares += (s[i].v[kind] - mean) * (s[i].v[kind] - mean);
  const double deviation = sqrt(WINDOW) * sqrt(squares / (n - 1));
  r->mean[kind] = (uint32_t)lrint(WINDOW * mean);
  r->inverse[kind] = deviation < 1 ? 0 : (uint32_t)lrint(0x1p24 / deviation);
}

static int ascending(const void *a, const void *b) {
  const uint16_t x = *(const uint16_t *)a, y = *(const uint16_t *)b;
  return (x > y) - (x < y);
}

/* The largest sum of a path of so many windows. */
static uint16_t largest(const mistify_drift_reference *r, const Statistics *s, int n, int64_t windows,
                        Rng *rng) {
  uint16_t most = 0;
  mistify_drift m;
  mistify_drift_init(&m, r);
  for (int64_t w = 0; w < windows; w++) {
    for (int i = 0; i < WINDOW; i++) {
      const Statistics *one = &s[rng_below(rng, (uint32_t)n)];
      for (int k = 0; k < KINDS - 1; k++) m.sum[k] += one->v[k];
      mistify_drift_output(&m, one->v[KINDS - 1]);
    }
    for (int k = 0; k < KINDS; k++) {
      if (m.up[k] > most) most = m.up[k];
      if (m.down[k] > most) most = m.down[k];
    }
  }
  return most;
}

static void set_limit(const Statistics *s, int n, int64_t interval, mistify_drift_reference *r) {
  uint16_t most[PATHS];
  Rng rng;
  rng_seed(&rng, 1, 0);
  r->slack = (uint16_t)lrint(256 * (0.5 + 2 * 4 / sqrt(n)));
  for (int p = 0; p < PATHS; p++) most[p] = largest(r, s, n, (interval + WINDOW - 1) / WINDOW, &rng);
  qsort(most, PATHS, sizeof *most, ascending);
  r->limit = most[(int)(PATHS * exp(-1))];
}

bool drift_reference(const Graph *g, const DriftOptions *o, const Tensor *in, int n, DriftReference *out,
                     Diag *d) {
  FAIL_IF(g->n_inputs != 1, d, NULL, "the monitor of drift wants a model of one input, not of %u",
          g->n_inputs);
  FAIL_IF(n < LEAST_EXAMPLES, d, NULL, "%d examples are too few to say what is usual; want %d at least", n,
          LEAST_EXAMPLES);
  *out = (DriftReference){.interval = o->interval > 0 ? o->interval : usual_interval};
  TRY(plan_samples(graph_val(g, g->inputs[0]), o, &out->reference, d));
  Statistics *s = mem_array((size_t)n, sizeof *s);
  const bool ok = take_statistics(g, o, in, n, &out->reference, s, d);
  for (int k = 0; ok && k < KINDS; k++) set_moments(s, n, k, &out->reference);
  if (ok) set_limit(s, n, out->interval, &out->reference);
  mem_free(s);
  return ok;
}
