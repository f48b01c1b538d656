/* Ranges of activations, from two runs over the calibration images.
 *
 *   first run    least and largest element of each value
 *   second run   a histogram of 2048 bins between them, exact zeros counted apart
 *   choice       minmax, a percentile of either side, or the least squared error:
 *
 *     error(lo, hi) = sum over bins of (inside ? step^2 / 12 : (x - nearest end)^2),  step = (hi - lo) / 255
 *
 * Exact zeros (half of what Relu gives) cost nothing: 0 is always a code. The least squared error is looked for by
 * shrinking both ends together, then either alone (as TensorRT and others do by divergence: Migacz 2017).
 * A value of which the engine keeps no copy (fused away, or a softmax's result) has its minimum and maximum.
 */
#include "passes/calibrate.h"

#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "runtime/engine/engine.h"

enum { BINS = 2048, BATCH = 32, SHRINKS = 96 };

typedef struct Histogram {
  float lo, hi; /* of the bins */
  double zeros, total;
  double bin[BINS];
} Histogram;

/* ---- first run */

static bool range_finite(const Graph *g, ValId v, float lo, float hi, Diag *d) {
  if (isfinite(lo) && isfinite(hi)) return true;
  const Node *n = graph_def(g, v);
  Loc loc = n ? n->loc : (Loc){.file = g->name, .name = g->vals[v].name};
  return diag_error(d, &loc, "quantize: not all elements of \"%s\" are finite on the calibration images",
                    g->vals[v].name ? g->vals[v].name
                    : n             ? op_info(n->op)->name
                                    : "?");
}

static bool const_range(const Graph *g, ValId v, CalRange *out, Diag *d) {
  const float *x = val_data(g, v);
  int64_t n = shape_count(&g->vals[v].shape);
  for (int64_t i = 0; i < n; i++) {
    TRY(range_finite(g, v, x[i], x[i], d));
    out->lo = x[i] < out->lo ? x[i] : out->lo;
    out->hi = x[i] > out->hi ? x[i] : out->hi;
  }
  out->seen = true;
  return true;
}

static bool find_ranges(const Graph *g, const Dataset *ds, const CalOptions *o, const Host *host,
                        CalRange *out, Diag *d) {
  float *lo = mem_array(g->n_vals, sizeof *lo), *hi = mem_array(g->n_vals, sizeof *hi);
  bool ok = collect_ranges(g, ds, o->images, host, lo, hi, d);
  for (ValId v = 1; ok && v < g->n_vals; v++) {
    out[v] = (CalRange){0};
    if (g->vals[v].dtype != DT_F32) continue;
    if (val_is_const(g, v)) {
      ok = const_range(g, v, &out[v], d);
    } else if (!(lo[v] > hi[v])) { /* the engine leaves lo > hi where it computed nothing */
      ok = range_finite(g, v, lo[v], hi[v], d);
      out[v] = (CalRange){.lo = fminf(lo[v], 0), .hi = fmaxf(hi[v], 0), .seen = true};
    }
  }
  mem_free(lo);
  mem_free(hi);
  return ok;
}

/* ---- second run */

static void histogram_add(Histogram *h, const float *x, int64_t n) {
  float k = (float)BINS / (h->hi - h->lo);
  for (int64_t i = 0; i < n; i++) {
    if (x[i] == 0) {
      h->zeros++;
      continue;
    }
    int b = (int)((x[i] - h->lo) * k);
    h->bin[b < 0 ? 0 : b >= BINS ? BINS - 1 : b]++;
  }
  h->total += (double)n;
}

static void add_values(const Graph *g, const Session *s, int n, Histogram **h) {
  for (ValId v = 1; v < g->n_vals; v++) {
    const float *x = h[v] ? session_activation(s, v) : NULL;
    if (x) histogram_add(h[v], x, n * shape_count_range(&g->vals[v].shape, 1, g->vals[v].shape.rank));
  }
}

static bool run_images(const Graph *g, const Dataset *ds, uint32_t images, const Host *host, Histogram **h,
                       Diag *d) {
  SessionOptions opt = {
      .batch = BATCH, .threads = host && host->threads > 0 ? host->threads : 1, .training = true};
  Session *s = session_new(g, &opt, d);
  if (!s) return false;
  size_t item = (size_t)shape_count(&ds->train.item);
  float *x = mem_array(BATCH * item, sizeof *x);
  uint32_t total = images < ds->train.n ? images : ds->train.n;
  for (uint32_t at = 0; at < total; at += BATCH) {
    int n = (int)(total - at < BATCH ? total - at : BATCH);
    for (int i = 0; i < n; i++)
      split_item(&ds->train, &ds->spec.normalize, NULL, at + (uint32_t)i, x + (size_t)i * item);
    session_forward(s, x, n, false);
    add_values(g, s, n, h);
  }
  mem_free(x);
  session_free(s);
  return true;
}

/* ---- choice */

static double center(const Histogram *h, int b) {
  return (double)h->lo + (b + 0.5) * ((double)h->hi - (double)h->lo) / BINS;
}

/* Sum of squared errors with this range; clipped: how many elements lie outside. */
static double range_error(const Histogram *h, double lo, double hi, double *clipped) {
  double step = (hi - lo) / 255, inside = 0, outside = 0, n = 0;
  for (int b = 0; b < BINS; b++) {
    if (h->bin[b] == 0) continue;
    double x = center(h, b), over = x > hi ? x - hi : x < lo ? lo - x : 0;
    if (over > 0)
      outside += h->bin[b] * over * over, n += h->bin[b];
    else
      inside += h->bin[b];
  }
  if (clipped) *clipped = n;
  return inside * step * step / 12 + outside;
}

static void choose_mse(const Histogram *h, CalRange *r) {
  double lo = (double)r->lo, hi = (double)r->hi, best = range_error(h, lo, hi, NULL);
  const double full_lo = lo, full_hi = hi;
  for (int side = 0; side < 3; side++) { /* both, the upper, the lower */
    double from_lo = lo, from_hi = hi;
    for (int i = 1; i < SHRINKS; i++) {
      double k = 1 - (double)i / SHRINKS;
      double l = side == 0 ? full_lo * k : side == 2 ? from_lo * k : from_lo;
      double u = side == 0 ? full_hi * k : side == 1 ? from_hi * k : from_hi;
      double e = range_error(h, l, u, NULL);
      if (e < best) best = e, lo = l, hi = u;
    }
  }
  r->lo = (float)lo, r->hi = (float)hi;
}

/* The bins outside of which a share (1 - percentile) lies, on either side. */
static void choose_percentile(const Histogram *h, double percentile, CalRange *r) {
  double out = h->total * (1 - percentile / 100), n = 0, w = ((double)h->hi - (double)h->lo) / BINS;
  int b = BINS - 1;
  while (b > 0 && n + h->bin[b] <= out) n += h->bin[b--];
  r->hi = fmaxf(0, (float)((double)h->lo + (b + 1) * w));
  n = 0;
  for (b = 0; b < BINS - 1 && n + h->bin[b] <= out;) n += h->bin[b++];
  r->lo = fminf(0, (float)((double)h->lo + b * w));
}

static void measure(const Histogram *h, CalRange *r) {
  double power = 0, error = range_error(h, (double)r->lo, (double)r->hi, &r->clipped);
  for (int b = 0; b < BINS; b++) power += h->bin[b] * center(h, b) * center(h, b);
  r->clipped /= h->total;
  r->snr = error > 0 && power > 0 ? 10 * log10(power / error) : 0;
}

static bool is_output(const Graph *g, ValId v) {
  for (uint32_t i = 0; i < g->n_outputs; i++) {
    const Node *n = graph_def(g, g->outputs[i]);
    if (g->outputs[i] == v || (n && n->op == OP_softmax && n->in[0] == v)) return true;
  }
  return false;
}

static void choose(const Graph *g, ValId v, const CalOptions *o, const Histogram *h, CalRange *r) {
  if (h->total == 0) return;
  CalRange all = *r;
  if (!is_output(g, v) && o->method == CAL_MSE) choose_mse(h, r);
  if (!is_output(g, v) && o->method == CAL_PERCENTILE) choose_percentile(h, o->percentile, r);
  if (!(r->hi > r->lo)) *r = all;
  measure(h, r);
}

bool calibrate(const Graph *g, const Dataset *ds, const CalOptions *o, const Host *host, CalRange *out,
               Diag *d) {
  TRY(find_ranges(g, ds, o, host, out, d));
  Histogram **h = mem_array(g->n_vals, sizeof *h);
  for (ValId v = 1; v < g->n_vals; v++) {
    if (!out[v].seen || val_is_const(g, v) || !(out[v].hi > out[v].lo)) continue;
    h[v] = mem_zalloc(sizeof **h);
    h[v]->lo = out[v].lo, h[v]->hi = out[v].hi;
  }
  bool ok = run_images(g, ds, o->images, host, h, d);
  for (ValId v = 1; v < g->n_vals; v++) {
    if (ok && h[v]) choose(g, v, o, h[v], &out[v]);
    mem_free(h[v]);
  }
  mem_free(h);
  return ok;
}
