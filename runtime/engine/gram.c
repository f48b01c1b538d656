/* See gram.h. Batch by batch: forward, the gradient of random directions, then layer by layer rows and products. */
#include "runtime/engine/gram.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "runtime/engine/feed.h"

enum { BATCH = 32, ROWS_AT_LEAST = 16384, ROWS_PER_UNKNOWN = 32, FISHER_MOST = 1024 };

void gram_options_default(GramOptions *o) {
  *o = (GramOptions){.images = 1024, .most = 2304, .temperature = 1};
}

/* ---- the layers */

static void layer_begin(LayerGram *v, int64_t most) {
  const Layer *l = &v->l;
  v->whole = l->taps <= most;
  v->n_sums = v->whole ? l->groups : l->c;
  v->sums = mem_array((size_t)v->n_sums, sizeof *v->sums);
  for (int64_t i = 0; i < v->n_sums; i++) normal_init(&v->sums[i], v->whole ? l->taps + 1 : l->kh * l->kw, 0);
  v->fisher = mem_array((size_t)(l->o * l->o), sizeof *v->fisher);
}

static void layers_begin(Grams *out, const Graph *g, int64_t most) {
  out->v = mem_array(g->n_nodes, sizeof *out->v);
  for (NodeId k = 0; k < g->n_nodes; k++) {
    LayerGram *v = &out->v[out->n];
    if (!layer_view(&v->l, g, k)) continue;
    v->node = k;
    layer_begin(v, most);
    out->n++;
  }
}

void grams_free(Grams *g) {
  for (uint32_t i = 0; i < g->n; i++) {
    for (int64_t k = 0; k < g->v[i].n_sums; k++) normal_free(&g->v[i].sums[k]);
    mem_free(g->v[i].sums);
    mem_free(g->v[i].fisher);
  }
  mem_free(g->v);
  *g = (Grams){0};
}

/* ---- a batch of one layer */

typedef struct Walk {
  Session *s;
  Feed feed;
  const GramOptions *o;
  uint32_t images, first; /* of all; the batch's first */
  int n;                  /* of the batch */
  float *rows;            /* of one system */
  size_t cap;
  /* what fill_rows does */
  const LayerGram *v;
  const float *x;
  int64_t take, system;
} Walk;

/* Positions taken of each image. */
static int64_t positions_taken(const Walk *w, const LayerGram *v) {
  int64_t want = w->o->rows, all = layer_positions(&v->l);
  if (want <= 0) {
    want = v->whole ? v->l.taps * ROWS_PER_UNKNOWN : 0;
    if (want < ROWS_AT_LEAST) want = ROWS_AT_LEAST;
  }
  int64_t take = (want + w->images - 1) / w->images;
  return take < all ? take : all;
}

/* The rows of one example. */
static void fill_rows(void *ctx, int unit, int thread) {
  (void)thread;
  const Walk *w = ctx;
  const LayerGram *v = w->v;
  const Layer *l = &v->l;
  const float *x = w->x + unit * layer_in_item(l);
  int64_t n = v->sums[0].n, all = layer_positions(l);
  float *row = w->rows + unit * w->take * n;
  for (int64_t k = 0; k < w->take; k++, row += n) {
    int64_t p = sample_position(k, w->take, all, w->first + (uint32_t)unit);
    if (v->whole) {
      layer_patch(l, x, p, w->system, row);
      row[l->taps] = 1;
    } else {
      Layer one = *l;
      one.ins = 1; /* a system for each channel, as if it were a group */
      layer_patch(&one, x, p, w->system, row);
    }
  }
}

static void add_gram(Walk *w, LayerGram *v) {
  Threads *pool = session_pool(w->s);
  w->v = v;
  w->x = session_activation(w->s, v->l.n->in[0]);
  ASSERT(w->x);
  w->take = positions_taken(w, v);
  size_t need = (size_t)(w->n * w->take * v->sums[0].n);
  void *rows = w->rows;
  mem_grow(&rows, &w->cap, need, sizeof(float));
  w->rows = rows;
  for (w->system = 0; w->system < v->n_sums; w->system++) {
    threads_run(pool, fill_rows, w, w->n);
    normal_add_rows(&v->sums[w->system], w->rows, NULL, w->n * w->take, pool);
  }
}

/* F, all positions; of very wide layers the diagonal alone. */
static void add_fisher(Walk *w, LayerGram *v) {
  const float *g = session_gradient(w->s, v->l.n->out[0]);
  int64_t o = v->l.o, rows = w->n * layer_positions(&v->l);
  if (!g) return;
  if (o > FISHER_MOST) {
    for (int64_t r = 0; r < rows; r++)
      for (int64_t k = 0; k < o; k++)
        v->fisher[k * o + k] += (double)g[r * o + k] * (double)g[r * o + k] / w->images;
    return;
  }
  float *f = mem_array((size_t)(o * o), sizeof *f);
  cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)o, (int)o, (int)rows, 1, g, (int)o, g, (int)o, 0,
              f, (int)o);
  for (int64_t k = 0; k < o * o; k++) v->fisher[k] += (double)f[k] / w->images;
  mem_free(f);
}

/* ---- the loss's curvature at the logits */

/* v = A z for one example, A A^T = diag(p) - p p^T, p the softmax at temperature T. */
static void direction(const float *z, int classes, double temperature, Rng *r, float *v) {
  double most = (double)z[0], sum = 0, along = 0;
  double *p = mem_array((size_t)classes, sizeof *p);
  for (int k = 1; k < classes; k++) most = fmax(most, (double)z[k]);
  for (int k = 0; k < classes; k++) sum += p[k] = exp(((double)z[k] - most) / temperature);
  for (int k = 0; k < classes; k++) {
    double root = sqrt(p[k] / sum);
    v[k] = rng_below(r, 2) ? (float)root : (float)-root;
    along += root * (double)v[k];
  }
  for (int k = 0; k < classes; k++) v[k] -= (float)(p[k] / sum * along);
  mem_free(p);
}

static void directions(const Walk *w, const float *z, bool classes, uint64_t seed, float *v) {
  int n = session_classes(w->s);
  for (int i = 0; i < w->n; i++) {
    Rng r;
    rng_seed(&r, seed, w->first + (uint32_t)i);
    if (classes)
      direction(z + (int64_t)i * n, n, w->o->temperature, &r, v + (int64_t)i * n);
    else
      for (int k = 0; k < n; k++) v[(int64_t)i * n + k] = rng_below(&r, 2) ? 1 : -1;
  }
}

/* ---- the walk */

static bool walk_open(Walk *w, const Graph *g, const Dataset *ds, const Host *host, bool *curved, Diag *d) {
  FAIL_IF(ds->train.n == 0 || w->o->images == 0, d, NULL, "Gram matrices need calibration examples");
  w->images = w->o->images < ds->train.n ? w->o->images : ds->train.n;
  SessionOptions so = {.batch = w->images < BATCH ? (int)w->images : BATCH,
                       .threads = host && host->threads > 0 ? host->threads : 1,
                       .training = true,
                       .keep = true};
  Diag *quiet = diag_new();
  w->s = session_new(g, &so, quiet);
  diag_free(quiet);
  *curved = w->s != NULL;
  so.training = false;
  if (!w->s) w->s = session_new(g, &so, d);
  return w->s && feed_new(&w->feed, w->s, &ds->train, &ds->spec.normalize, d);
}

static void walk_close(Walk *w) {
  if (w->feed.pool) feed_free(&w->feed);
  session_free(w->s);
  mem_free(w->rows);
}

/* Without gradients an output's error counts by its share of what the layer puts out (its inputs taken as independent). */
static void flat_fisher(LayerGram *v) {
  const Layer *l = &v->l;
  double energy = 1e-30;
  float *w = (float *)(uintptr_t)val_data(l->g, l->n->in[1]);
  for (int64_t s = 0; s < v->n_sums; s++) {
    const int64_t group = v->whole ? s : s / l->ins, taps = v->whole ? l->taps : l->kh * l->kw;
    for (int64_t p = 0; p < taps; p++)
      for (int64_t k = 0; k < l->outs; k++) {
        const int64_t u = v->whole ? p : p * l->ins + s % l->ins;
        double x = (double)*layer_weight(l, w, NULL, group, u, k);
        energy += x * x * v->sums[s].a[p * (v->sums[s].n + 1)] / (double)v->sums[s].rows;
      }
  }
  for (int64_t k = 0; k < l->o; k++) v->fisher[k * l->o + k] = 1 / energy;
}

bool grams_collect(const Graph *g, const Dataset *ds, const GramOptions *o, uint64_t seed, const Host *host,
                   Grams *out, Diag *d) {
  *out = (Grams){0};
  Walk w = {.o = o};
  bool ok = walk_open(&w, g, ds, host, &out->curved, d);
  if (ok) layers_begin(out, g, o->most);
  float *v = ok && out->curved ? mem_array((size_t)(BATCH * session_classes(w.s)), sizeof *v) : NULL;
  for (; ok && w.first < w.images; w.first += BATCH) {
    w.n = w.images - w.first < BATCH ? (int)(w.images - w.first) : BATCH;
    feed_batch(&w.feed, NULL, NULL, w.first, w.n, session_input(w.s));
    const float *z = session_forward(w.s, session_input(w.s), w.n, false);
    if (out->curved) {
      directions(&w, z, split_has_classes(&ds->train), seed, v);
      session_backward(w.s, v, w.n);
    }
    for (uint32_t i = 0; i < out->n; i++) {
      add_gram(&w, &out->v[i]);
      if (out->curved) add_fisher(&w, &out->v[i]);
    }
    if (host && host->cancelled && host->cancelled(host->ctx))
      ok = diag_error(d, NULL, "collecting Gram matrices was cancelled");
  }
  for (uint32_t i = 0; ok && !out->curved && i < out->n; i++) flat_fisher(&out->v[i]);
  mem_free(v);
  walk_close(&w);
  if (!ok) grams_free(out);
  return ok;
}
