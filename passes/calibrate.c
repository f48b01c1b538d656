/* Ranges of activations, from two runs over the calibration images.
 *
 *   first run    least and largest element of each value
 *   second run   a histogram between them, exact zeros counted apart
 *   choice       calibrate_range.c
 *
 * Graphs of operators that the engine runs go through it, others and those with state through the generic kernels.
 */
#include "passes/calibrate.h"

#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/eval.h"
#include "runtime/data/input_map.h"
#include "runtime/engine/engine.h"

enum { BATCH = 32 };

/* ---- running the images */

typedef struct Images {
  const Graph *g;
  const Dataset *ds;
  uint32_t n;
  const Host *host;
  InputMap map;
} Images;

static bool engine_runs(const Graph *g) {
  if (g->n_states > 0) return false;
  for (ValId v = 1; v < g->n_vals; v++)
    if (g->vals[v].dtype != DT_F32) return false;
  for (NodeId i = 0; i < g->n_nodes; i++)
    if (op_info(g->nodes[i].op)->diff != DIFF) return false;
  return true;
}

static bool cancelled(const Host *h, Diag *d) {
  if (!h || !h->cancelled || !h->cancelled(h->ctx)) return false;
  diag_error(d, NULL, "quantize: calibration was cancelled");
  return true;
}

static bool is_activation(const Graph *g, ValId v) { return g->vals[v].dtype == DT_F32 && !g->vals[v].blob; }

/* Elements of each value for n images: what depends on constants alone is there once. */
static int64_t *elements(const Graph *g, int n) {
  int64_t *count = mem_array(g->n_vals, sizeof *count);
  bool *batched = mem_array(g->n_vals, sizeof *batched);
  batched[g->inputs[0]] = true;
  for (NodeId i = 0; i < g->n_nodes; i++)
    for (uint32_t k = 0; k < g->nodes[i].n_in; k++)
      if (batched[g->nodes[i].in[k]]) batched[g->nodes[i].out[0]] = true;
  for (ValId v = 1; v < g->n_vals; v++) {
    const Shape *s = &g->vals[v].shape;
    count[v] = batched[v] ? n * shape_count_range(s, 1, s->rank) : shape_count(s);
  }
  mem_free(batched);
  return count;
}

/* Show all values of one batch that the session has. */
static void visit_session(const Graph *g, const Session *s, int n, CalVisit *visit, void *ctx) {
  int64_t *count = elements(g, n);
  for (ValId v = 1; v < g->n_vals; v++) {
    const float *x = is_activation(g, v) ? session_activation(s, v) : NULL;
    if (x) visit(ctx, v, x, count[v]);
  }
  mem_free(count);
}

/* NULL where the engine does not run it. */
static Session *engine_session(const Images *im) {
  const Host *h = im->host;
  SessionOptions opt = {.batch = BATCH, .threads = h && h->threads > 0 ? h->threads : 1, .keep = true};
  Diag *why = diag_new();
  Session *s = engine_runs(im->g) ? session_new(im->g, &opt, why) : NULL;
  diag_free(why);
  return s;
}

static bool run_engine(Session *s, const Images *im, CalVisit *visit, void *ctx, Diag *d) {
  float *x = mem_array((size_t)(BATCH + 1) * (size_t)im->map.count, sizeof *x);
  bool ok = true;
  for (uint32_t at = 0; ok && at < im->n; at += BATCH) {
    int n = (int)(im->n - at < BATCH ? im->n - at : BATCH);
    for (int i = 0; i < n; i++)
      input_item(&im->map, &im->ds->train, &im->ds->spec.normalize, NULL, at + (uint32_t)i,
                 x + i * im->map.count, x + BATCH * im->map.count);
    session_forward(s, x, n, false);
    visit_session(im->g, s, n, visit, ctx);
    ok = !cancelled(im->host, d);
  }
  mem_free(x);
  return ok;
}

/* What the states hold before a run. */
static void visit_states(const Images *im, const Graph *one, const Evaluator *e, CalVisit *visit, void *ctx) {
  for (uint32_t i = 0; i < one->n_states; i++) {
    ValId v = im->g->states[i].now, w = one->states[i].now;
    if (is_activation(im->g, v)) visit(ctx, v, evaluator_value(e, w), shape_count(&one->vals[w].shape));
  }
}

/* Operators that the engine does not have, and models with state, whose steps the data are in their order: by the generic
 * kernels, one image after the other. */
static bool run_kernels(const Images *im, CalVisit *visit, void *ctx, Diag *d) {
  Graph *one = im->g->n_states ? graph_clone(im->g) : graph_with_batch(im->g, 1, d);
  TRY(one);
  Evaluator *e = evaluator_new(one, d);
  float *x = mem_array(2 * (size_t)im->map.count, sizeof *x);
  const void *in[1] = {x};
  bool ok = e != NULL;
  ASSERT(one->n_nodes == im->g->n_nodes); /* neither has dead nodes; value ids may differ */
  for (uint32_t at = 0; ok && at < im->n; at++) {
    input_item(&im->map, &im->ds->train, &im->ds->spec.normalize, NULL, at, x, x + im->map.count);
    visit_states(im, one, e, visit, ctx);
    evaluator_run(e, in);
    visit(ctx, im->g->inputs[0], x, im->map.count);
    for (NodeId i = 0; i < one->n_nodes; i++) {
      ValId v = im->g->nodes[i].out[0], w = one->nodes[i].out[0];
      if (is_activation(im->g, v)) visit(ctx, v, evaluator_value(e, w), shape_count(&one->vals[w].shape));
    }
    ok = !cancelled(im->host, d);
  }
  mem_free(x);
  evaluator_free(e);
  graph_free(one);
  return ok;
}

static bool run_images(const Images *im, CalVisit *visit, void *ctx, Diag *d) {
  Session *s = engine_session(im);
  bool ok = s ? run_engine(s, im, visit, ctx, d) : run_kernels(im, visit, ctx, d);
  session_free(s);
  return ok;
}

/* ---- first run */

static bool refuse_nonfinite(const Graph *g, ValId v, Diag *d) {
  const Node *n = graph_def(g, v);
  Loc loc = n ? n->loc : (Loc){.file = g->name, .name = g->vals[v].name};
  return diag_error(d, &loc, "quantize: not all elements of %s are finite%s",
                    g->vals[v].name ? g->vals[v].name
                    : n             ? op_info(n->op)->name
                                    : "a constant",
                    g->vals[v].blob ? "" : " on the calibration images");
}

static void visit_range(void *ctx, ValId v, const float *x, int64_t n) {
  CalRange *r = (CalRange *)ctx + v;
  float lo = r->lo, hi = r->hi;
  for (int64_t i = 0; i < n; i++) {
    if (!isfinite(x[i])) {
      lo = -INFINITY, hi = INFINITY;
      break;
    }
    lo = x[i] < lo ? x[i] : lo;
    hi = x[i] > hi ? x[i] : hi;
  }
  r->lo = lo, r->hi = hi;
  r->seen = true;
}

static bool find_ranges(const Images *im, CalRange *out, Diag *d) {
  const Graph *g = im->g;
  for (ValId v = 0; v < g->n_vals; v++) {
    out[v] = (CalRange){0};
    if (g->vals[v].dtype == DT_F32 && g->vals[v].blob)
      visit_range(out, v, val_data(g, v), shape_count(&g->vals[v].shape));
  }
  TRY(run_images(im, visit_range, out, d));
  for (ValId v = 1; v < g->n_vals; v++)
    if (!isfinite(out[v].hi)) return refuse_nonfinite(g, v, d);
  for (ValId v = 1; v < g->n_vals; v++) out[v].most = fmaxf(-out[v].lo, out[v].hi);
  return true;
}

/* ---- second run */

static void visit_histogram(void *ctx, ValId v, const float *x, int64_t n) {
  Histogram *h = ((Histogram **)ctx)[v];
  if (!h) return;
  float k = (float)CAL_BINS / (h->hi - h->lo);
  for (int64_t i = 0; i < n; i++) {
    if (x[i] == 0) {
      h->zeros++;
      continue;
    }
    int b = (int)((x[i] - h->lo) * k);
    h->bin[b < 0 ? 0 : b >= CAL_BINS ? CAL_BINS - 1 : b]++;
  }
  h->total += (double)n;
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
  const CalRange all = *r;
  if (!is_output(g, v)) range_choose(h, o, r);
  if (!(r->hi > r->lo)) r->lo = all.lo, r->hi = all.hi;
  range_measure(h, r);
}

static bool open_images(const Graph *g, const Dataset *ds, const CalOptions *o, const Host *host, Images *im,
                        Diag *d) {
  Loc loc = {.file = g->name};
  FAIL_IF(g->n_inputs != 1, d, &loc, "quantize: the graph has %u inputs, but calibration data are for one",
          g->n_inputs);
  FAIL_IF(ds->train.n == 0, d, NULL, "quantize: no calibration images");
  *im = (Images){.g = g, .ds = ds, .n = o->images < ds->train.n ? o->images : ds->train.n, .host = host};
  return input_map(&graph_val(g, g->inputs[0])->shape, &ds->train.item, &im->map, d);
}

bool calibrate(const Graph *g, const Dataset *ds, const CalOptions *o, const Host *host, CalRange *out,
               Diag *d) {
  Images im;
  TRY(open_images(g, ds, o, host, &im, d));
  TRY(find_ranges(&im, out, d));
  Histogram **h = mem_array(g->n_vals, sizeof *h);
  for (ValId v = 1; v < g->n_vals; v++) {
    if (!out[v].seen || val_is_const(g, v) || !(out[v].hi > out[v].lo)) continue;
    h[v] = mem_zalloc(sizeof **h);
    h[v]->lo = out[v].lo, h[v]->hi = out[v].hi;
  }
  bool ok = run_images(&im, visit_histogram, h, d);
  for (ValId v = 1; v < g->n_vals; v++) {
    if (ok && h[v]) choose(g, v, o, h[v], &out[v]);
    mem_free(h[v]);
  }
  mem_free(h);
  return ok;
}

bool calibrate_visit(const Graph *g, const Dataset *ds, uint32_t images, const Host *host, CalVisit *fn,
                     void *ctx, Diag *d) {
  Images im;
  TRY(open_images(g, ds, &(CalOptions){.images = images}, host, &im, d));
  return run_images(&im, fn, ctx, d);
}

/* ---- means */

typedef struct Means {
  const Graph *g;
  const bool *want;
  double **sum;
  int64_t *count;
} Means;

static void visit_sum(void *ctx, ValId v, const float *x, int64_t n) {
  Means *m = ctx;
  const Shape *s = &m->g->vals[v].shape;
  if (!m->want[v] || s->rank < 1) return;
  const int64_t item = shape_count_range(s, 1, s->rank);
  if (item == 0 || n % item != 0) return;
  if (!m->sum[v]) m->sum[v] = mem_array((size_t)item, sizeof **m->sum);
  for (int64_t i = 0; i < n; i += item)
    for (int64_t k = 0; k < item; k++) m->sum[v][k] += (double)x[i + k];
  m->count[v] += n / item;
}

bool calibrate_means(const Graph *g, const Dataset *ds, uint32_t images, const Host *host, const bool *want,
                     double **mean, Diag *d) {
  Means m = {g, want, mean, mem_array(g->n_vals, sizeof *m.count)};
  bool ok = calibrate_visit(g, ds, images, host, visit_sum, &m, d);
  for (ValId v = 1; v < g->n_vals; v++) {
    const Shape *s = &g->vals[v].shape;
    for (int64_t k = 0; mean[v] && k < shape_count_range(s, 1, s->rank); k++)
      mean[v][k] /= (double)m.count[v];
  }
  mem_free(m.count);
  return ok;
}

/* ---- channels */

typedef struct Channels {
  const Graph *g;
  const bool *want;
  float **most;
} Channels;

static void visit_channels(void *ctx, ValId v, const float *x, int64_t n) {
  Channels *m = ctx;
  const Shape *s = &m->g->vals[v].shape;
  if (!m->want[v] || s->rank < 1) return;
  const int64_t c = s->d[s->rank - 1];
  if (c < 1 || n % c != 0) return;
  if (!m->most[v]) m->most[v] = mem_array((size_t)c, sizeof **m->most);
  for (int64_t i = 0; i < n; i += c)
    for (int64_t k = 0; k < c; k++) m->most[v][k] = fmaxf(m->most[v][k], fabsf(x[i + k]));
}

bool calibrate_channels(const Graph *g, const Dataset *ds, uint32_t images, const Host *host,
                        const bool *want, float **most, Diag *d) {
  Channels m = {g, want, most};
  return calibrate_visit(g, ds, images, host, visit_channels, &m, d);
}
