/* See reconstruct.h. Each group of channels is a system of its own: unknowns are the taps of its input channels in the
 * order of the weights (patches.h), and 1 for the bias; right sides are its output channels.
 */
#include "runtime/engine/reconstruct.h"

#include <string.h>

#include "ir/base/mem.h"
#include "runtime/engine/feed.h"
#include "runtime/engine/patches.h"

enum { BATCH = 32, BLOCK = 256 }; /* examples at a time; rows of X at a time */

/* Whether the layer's weights may be made anew: reported otherwise. */
static bool open_layer(Layer *l, const Graph *g, NodeId k, Diag *d) {
  const Node *n = &g->nodes[k];
  FAIL_IF(n->op != OP_conv && n->op != OP_depthwise_conv && n->op != OP_fully_connected && n->op != OP_matmul,
          d, &n->loc, "reconstruction of %s: want Conv, DepthwiseConv, FullyConnected or MatMul",
          op_info(n->op)->name);
  FAIL_IF(!layer_view(l, g, k), d, &n->loc,
          "reconstruction of a layer whose weights are computed or not float32");
  const char *fixed = layer_fixed(l);
  FAIL_IF(fixed, d, &n->loc, "reconstruction of %s%s", strncmp(fixed, "a ", 2) == 0 ? "a layer with " : "",
          fixed);
  return true;
}

static int64_t unknowns_of(const Layer *l) { return l->taps + l->bias; }

typedef struct Fit {
  Layer l;
  const int32_t *channels;
  int64_t y_channels;
  Normal *sums;       /* [groups] */
  const float *x, *y; /* of the batch */
  int n;
  double **block; /* per thread: [BLOCK][unknowns], then [BLOCK][outs] */
  float **row;    /* per thread: [taps] */
} Fit;

/* One group over a whole batch, in blocks of rows: groups are shared out among threads, rows stay in order. */
static void fit_group(void *ctx, int unit, int thread) {
  const Fit *f = ctx;
  const Layer *l = &f->l;
  int64_t positions = l->oh * l->ow, total = f->n * positions;
  double *x = f->block[thread], *y = x + BLOCK * unknowns_of(l);
  for (int64_t r0 = 0; r0 < total; r0 += BLOCK) {
    int64_t rows = total - r0 < BLOCK ? total - r0 : BLOCK;
    for (int64_t r = 0; r < rows; r++) {
      int64_t item = (r0 + r) / positions, p = (r0 + r) % positions;
      double *to = x + r * unknowns_of(l);
      layer_patch(l, f->x + item * layer_in_item(l), p, unit, f->row[thread]);
      for (int64_t k = 0; k < l->taps; k++) to[k] = (double)f->row[thread][k];
      if (l->bias) to[l->taps] = 1;
      for (int64_t k = 0; k < l->outs; k++) {
        int64_t o = unit * l->outs + k;
        y[r * l->outs + k] = (double)f->y[(r0 + r) * f->y_channels + (f->channels ? f->channels[o] : o)];
      }
    }
    normal_add(&f->sums[unit], x, y, rows);
  }
}

/* -- weights: unknown u, output k of a group, in the layer's constants -- */

static void weights_read(const Layer *l, float *w, float *b, int64_t group, double *v) {
  for (int64_t u = 0; u < unknowns_of(l); u++)
    for (int64_t k = 0; k < l->outs; k++) v[u * l->outs + k] = (double)*layer_weight(l, w, b, group, u, k);
}

static void weights_write(const Layer *l, const double *v, int64_t group, float *w, float *b) {
  for (int64_t u = 0; u < unknowns_of(l); u++)
    for (int64_t k = 0; k < l->outs; k++) *layer_weight(l, w, b, group, u, k) = (float)v[u * l->outs + k];
}

/* All groups' solutions, into w and b. */
static void solve(const Fit *f, double ridge, float *w, float *b, ReconstructResult *res) {
  const Layer *l = &f->l;
  double *v = mem_array((size_t)(unknowns_of(l) * l->outs), sizeof *v);
  *res = (ReconstructResult){.rows = f->sums[0].rows};
  for (int64_t group = 0; group < l->groups; group++) {
    const Normal *s = &f->sums[group];
    double count = (double)s->rows * (double)l->o;
    weights_read(l, w, b, group, v);
    res->before += normal_error(s, v) / count;
    normal_solve(s, ridge, l->bias, v);
    weights_write(l, v, group, w, b);
    weights_read(l, w, b, group, v);
    res->after += normal_error(s, v) / count;
  }
  mem_free(v);
}

static float *copy_const(const Graph *g, ValId v) {
  size_t n = (size_t)shape_count(&graph_val(g, v)->shape);
  return memcpy(mem_array(n, sizeof(float)), val_data(g, v), n * sizeof(float));
}

static Graph *with_weights(const Layer *l, const float *w, const float *b, Diag *d) {
  Rewrite r;
  rewrite_begin(&r, l->g, NULL);
  for (int i = 1; i < 2 + l->bias; i++) {
    const Value *old = graph_val(l->g, l->n->in[i]);
    r.map[l->n->in[i]] = graph_const_data(r.to, old->name, DT_F32, &old->shape, i == 1 ? w : b);
  }
  bool ok = true;
  for (NodeId k = 0; ok && k < l->g->n_nodes; k++) ok = rewrite_copy(&r, &l->g->nodes[k], d);
  return rewrite_end(&r, ok, d);
}

/* -- both graphs on the calibration examples -- */

typedef struct Pair {
  Session *old, *new;
  Feed feed;
  uint32_t n;
} Pair;

static bool pair_open(Pair *p, const Graph *original, const Graph *g, const Dataset *ds, uint32_t images,
                      const Host *host, Diag *d) {
  FAIL_IF(ds->train.n == 0 || images == 0, d, NULL, "reconstruction needs calibration examples");
  p->n = images < ds->train.n ? images : ds->train.n;
  SessionOptions so = {
      .batch = BATCH, .threads = host && host->threads > 0 ? host->threads : 1, .keep = true};
  p->old = session_new(original, &so, d);
  p->new = p->old ? session_new_on(g, &so, session_pool(p->old), d) : NULL;
  TRY(p->new);
  return feed_new(&p->feed, p->old, &ds->train, &ds->spec.normalize, d);
}

static void pair_close(Pair *p) {
  if (p->feed.pool) feed_free(&p->feed);
  session_free(p->new);
  session_free(p->old);
}

static bool collect(Fit *f, Pair *p, ValId y, const Host *host, Diag *d) {
  const Layer *l = &f->l;
  for (uint32_t i = 0; i < p->n; i += BATCH) {
    f->n = (int)(p->n - i < BATCH ? p->n - i : BATCH);
    feed_batch(&p->feed, NULL, NULL, i, f->n, session_input(p->old));
    session_forward(p->new, session_input(p->old), f->n, false);
    session_forward(p->old, session_input(p->old), f->n, false);
    f->x = session_activation(p->new, l->n->in[0]);
    f->y = session_activation(p->old, y);
    FAIL_IF(!f->x || !f->y, d, &l->n->loc,
            "reconstruction: the engine does not compute what the layer reads or was");
    threads_run(session_pool(p->old), fit_group, f, (int)l->groups);
    FAIL_IF(host && host->cancelled && host->cancelled(host->ctx), d, NULL, "reconstruction was cancelled");
  }
  return true;
}

static bool check_target(Fit *f, const Graph *original, ValId y, Diag *d) {
  const Layer *l = &f->l;
  const Shape *s = &graph_val(original, y)->shape;
  f->y_channels = s->rank > 0 ? s->d[s->rank - 1] : 1;
  FAIL_IF(graph_val(original, y)->dtype != DT_F32 || s->rank < 2 ||
              shape_count_range(s, 1, s->rank - 1) != l->oh * l->ow,
          d, &l->n->loc, "reconstruction: the original's value has other positions than the layer's output");
  for (int64_t o = 0; o < l->o; o++) {
    int64_t from = f->channels ? f->channels[o] : o;
    FAIL_IF(from < 0 || from >= f->y_channels, d, &l->n->loc,
            "reconstruction: output %lld is to be channel %lld of %lld", (long long)o, (long long)from,
            (long long)f->y_channels);
  }
  return true;
}

static void fit_open(Fit *f, int threads) {
  f->sums = mem_array((size_t)f->l.groups, sizeof *f->sums);
  for (int64_t i = 0; i < f->l.groups; i++) normal_init(&f->sums[i], unknowns_of(&f->l), f->l.outs);
  f->block = mem_array((size_t)threads, sizeof *f->block);
  f->row = mem_array((size_t)threads, sizeof *f->row);
  for (int i = 0; i < threads; i++) f->row[i] = mem_array((size_t)f->l.taps, sizeof(float));
  for (int i = 0; i < threads; i++)
    f->block[i] = mem_array((size_t)(BLOCK * (unknowns_of(&f->l) + f->l.outs)), sizeof(double));
}

static void fit_close(Fit *f, int threads) {
  for (int64_t i = 0; f->sums && i < f->l.groups; i++) normal_free(&f->sums[i]);
  for (int i = 0; f->block && i < threads; i++) mem_free(f->block[i]);
  for (int i = 0; f->row && i < threads; i++) mem_free(f->row[i]);
  mem_free(f->sums);
  mem_free(f->block);
  mem_free(f->row);
}

Graph *reconstruct_layer(const Graph *original, ValId y, const Graph *g, NodeId layer,
                         const int32_t *channels, const Dataset *ds, const ReconstructOptions *o,
                         const Host *host, ReconstructResult *res, Diag *d) {
  Fit f = {.channels = channels};
  Pair p = {0};
  ReconstructResult ignored;
  Graph *done = NULL;
  int threads = 0;
  bool ok = open_layer(&f.l, g, layer, d) && check_target(&f, original, y, d) &&
            pair_open(&p, original, g, ds, o->images, host, d);
  if (ok) {
    threads = threads_count(session_pool(p.old));
    fit_open(&f, threads);
    ok = collect(&f, &p, y, host, d);
  }
  if (ok) {
    float *w = copy_const(g, f.l.n->in[1]), *b = f.l.bias ? copy_const(g, f.l.n->in[2]) : NULL;
    solve(&f, o->ridge, w, b, res ? res : &ignored);
    done = with_weights(&f.l, w, b, d);
    mem_free(w);
    mem_free(b);
  }
  fit_close(&f, threads);
  pair_close(&p);
  return done;
}
