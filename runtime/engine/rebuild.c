/* See rebuild.h.
 *
 *   1  the layers to be rebuilt: those whose input is not what it was
 *   2  the original runs once over the examples: each layer's outputs are kept at some positions of each (targets)
 *   3  layer by layer, in order: rows of what the layer reads now, sums, solution, new weights in place
 */
#include "runtime/engine/rebuild.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ir/base/mem.h"
#include "runtime/engine/feed.h"
#include "runtime/engine/gram.h"
#include "runtime/engine/linear.h"
#include "runtime/engine/pieces.h"

enum { ROWS_AT_LEAST = 16384, ROWS_PER_UNKNOWN = 32 };

void rebuild_options_default(RebuildOptions *o) {
  *o = (RebuildOptions){
      .images = 1024, .ridge = 1e-3, .most = 2304, .shortcuts = true, .kept = 1 << 28, .rounds = 8};
}

/* A layer to be rebuilt. */
typedef struct Job {
  NodeId k;
  Layer l;
  ValId y;        /* the original's output */
  ValId side;     /* what is added to the output (of g), to be made up for; NO_VAL */
  ValId side_was; /* the original's */
  const Node *bn; /* BatchNormalization right behind, read by nobody else; NULL */
  bool relu; /* what the output goes into, BatchNormalization and side included, is read by a Relu alone */
  bool constant;           /* the bias, or the mean of bn, is solved for too */
  int64_t take;            /* positions of each example */
  double *factor, *offset; /* [o] of bn: y = factor x + offset; or 1 and 0 */
  float *target;           /* [images][take][o] */
} Job;

typedef struct Rebuild {
  const Twin *t;
  const RebuildOptions *o;
  Graph *g; /* the copy that is changed */
  Arena *a;
  uint32_t *uses;
  ValId *narrow;
  Job *jobs;
  uint32_t n_jobs, images;
  Threads *pool;
  Kept kept;
  const Host *host;
  RebuildResult res;
} Rebuild;

/* ---- 1: which layers */

/* The one node that reads v, or NULL. */
static const Node *only_reader(const Rebuild *r, ValId v) {
  if (r->uses[v] != 1) return NULL;
  for (NodeId k = 0; k < r->g->n_nodes; k++)
    for (uint32_t i = 0; i < r->g->nodes[k].n_in; i++)
      if (r->g->nodes[k].in[i] == v) return &r->g->nodes[k];
  return NULL;
}

/* Whether everything that v depends on comes before node k, as far as it has weights. */
static bool ready_before(const Rebuild *r, ValId v, NodeId k) {
  bool *wanted = mem_array(r->g->n_vals, sizeof *wanted), ok = true;
  wanted[v] = true;
  for (NodeId i = r->g->n_nodes; i-- > 0;) {
    const Node *n = &r->g->nodes[i];
    bool used = false;
    Layer l;
    for (uint32_t j = 0; j < n->n_out; j++) used |= wanted[n->out[j]];
    for (uint32_t j = 0; used && j < n->n_in; j++) wanted[n->in[j]] = true;
    ok &= !(used && i >= k && layer_view(&l, r->g, i));
  }
  mem_free(wanted);
  return ok;
}

static bool is_relu(const Node *n) {
  return n && (n->op == OP_relu || (n->op == OP_clip && CATTRS(n, clip)->lo == 0));
}

static void find_side(const Rebuild *r, Job *j) {
  ValId at = j->l.n->out[0];
  const Node *n = only_reader(r, at);
  j->side = j->side_was = NO_VAL;
  if (n && n->op == OP_batch_normalization && n->in[0] == at) {
    j->bn = n;
    at = n->out[0];
    n = only_reader(r, at);
  }
  j->relu = is_relu(n);
  if (!r->o->shortcuts || !n || n->op != OP_add) return;
  ValId side = n->in[0] == at ? n->in[1] : n->in[0];
  if (side == at || val_is_const(r->g, side) || r->t->value[side] == NO_VAL) return;
  if (!shape_equal(&graph_val(r->g, side)->shape, &graph_val(r->g, at)->shape)) return;
  if (!ready_before(r, side, j->k)) return;
  j->side = side;
  j->side_was = r->t->value[side];
  j->relu = is_relu(only_reader(r, n->out[0]));
}

static void find_factors(const Rebuild *r, Job *j) {
  j->factor = arena_array(r->a, (size_t)j->l.o, sizeof *j->factor);
  j->offset = arena_array(r->a, (size_t)j->l.o, sizeof *j->offset);
  for (int64_t o = 0; o < j->l.o; o++) {
    j->factor[o] = 1;
    if (!j->bn) continue;
    const float *scale = val_data(r->g, j->bn->in[1]), *var = val_data(r->g, j->bn->in[4]),
                *shift = val_data(r->g, j->bn->in[2]), *mean = val_data(r->g, j->bn->in[3]);
    j->factor[o] =
        (double)scale[o] / sqrt((double)var[o] + (double)CATTRS(j->bn, batch_normalization)->epsilon);
    j->offset[o] = (double)shift[o] - j->factor[o] * (double)mean[o];
  }
}

static bool norm_is_plain(const Rebuild *r, const Node *bn) {
  for (uint32_t i = 1; i < bn->n_in; i++)
    if (!val_is_const(r->g, bn->in[i])) return false;
  return r->uses[bn->in[3]] == 1;
}

static void job_add(Rebuild *r, NodeId k, const Layer *l) {
  Job *j = &r->jobs[r->n_jobs];
  *j = (Job){.k = k, .l = *l, .y = r->t->value[l->n->out[0]]};
  find_side(r, j);
  if (j->bn && !norm_is_plain(r, j->bn)) j->bn = NULL, j->side = NO_VAL, j->relu = false;
  j->constant = l->bias || j->bn;
  find_factors(r, j);
  int64_t want = r->o->rows > 0 ? r->o->rows : l->taps * ROWS_PER_UNKNOWN, all = layer_positions(l);
  if (r->o->rows <= 0 && want < ROWS_AT_LEAST) want = ROWS_AT_LEAST;
  j->take = (want + r->images - 1) / r->images;
  if (j->take > all) j->take = all;
  r->n_jobs++;
}

/* Whether the kept channels of each value are other than they were. */
static void find_jobs(Rebuild *r) {
  const Graph *g = r->g;
  bool *other = arena_array(r->a, g->n_vals, sizeof *other);
  r->jobs = arena_array(r->a, g->n_nodes, sizeof *r->jobs);
  for (NodeId k = 0; k < g->n_nodes; k++) {
    const Node *n = &g->nodes[k];
    Layer l;
    bool is_layer = layer_view(&l, g, k), differs = false;
    for (uint32_t i = 0; i < n->n_in; i++) {
      if (n->in[i] == NO_VAL) continue;
      bool mixes = (is_layer && n->op != OP_depthwise_conv && i == 0) || val_is_const(g, n->in[i]);
      differs |= other[n->in[i]] || (mixes && r->t->changed[n->in[i]]);
    }
    for (uint32_t i = 0; i < n->n_out; i++) other[n->out[i]] = differs;
    if (is_layer && differs && l.taps <= r->o->most && !layer_fixed(&l) && r->t->value[n->out[0]] != NO_VAL)
      job_add(r, k, &l);
  }
}

/* ---- 2: targets */

static int64_t channel_of(const Rebuild *r, ValId v, int64_t o) {
  const int32_t *c = r->t->channels[v];
  return c ? c[o] : o;
}

static void keep_targets(const Rebuild *r, Session *s, Job *j, uint32_t first, int n) {
  const float *y = session_activation(s, j->y),
              *side = j->side == NO_VAL ? NULL : session_activation(s, j->side_was);
  int64_t positions = layer_positions(&j->l), was = session_item(s, j->y) / positions;
  int64_t side_was = side ? session_item(s, j->side_was) / positions : 0;
  ASSERT(y);
  for (int i = 0; i < n; i++)
    for (int64_t k = 0; k < j->take; k++) {
      uint32_t image = first + (uint32_t)i;
      int64_t p = i * positions + sample_position(k, j->take, positions, image);
      float *to = j->target + (image * j->take + k) * j->l.o;
      for (int64_t o = 0; o < j->l.o; o++) {
        to[o] = y[p * was + channel_of(r, j->l.n->out[0], o)];
        if (side && fabs(j->factor[o]) > 1e-6)
          to[o] += side[p * side_was + channel_of(r, j->side, o)] / (float)j->factor[o];
      }
    }
}

static bool find_targets(Rebuild *r, const Dataset *ds, Diag *d) {
  SessionOptions so = {.batch = PIECE_BATCH, .threads = threads_count(r->pool), .keep = true};
  Session *s = session_new_on(r->t->original, &so, r->pool, d);
  Feed f = {0};
  bool ok = s && feed_new(&f, s, &ds->train, &ds->spec.normalize, d);
  for (uint32_t i = 0; ok && i < r->n_jobs; i++)
    r->jobs[i].target =
        mem_array((size_t)(r->images * r->jobs[i].take), (size_t)r->jobs[i].l.o * sizeof(float));
  for (uint32_t i = 0; ok && i < r->images; i += PIECE_BATCH) {
    int n = r->images - i < PIECE_BATCH ? (int)(r->images - i) : PIECE_BATCH;
    feed_batch(&f, NULL, NULL, i, n, session_input(s));
    session_forward(s, session_input(s), n, false);
    for (uint32_t k = 0; k < r->n_jobs; k++) keep_targets(r, s, &r->jobs[k], i, n);
    if (r->host && r->host->cancelled && r->host->cancelled(r->host->ctx))
      ok = diag_error(d, NULL, "reconstruction was cancelled");
  }
  if (f.pool) feed_free(&f);
  session_free(s);
  return ok;
}

/* ---- 3: one layer */

/* Rows of one layer's group: of a batch, or of all examples where they are gone through again. */
typedef struct Rows {
  const Job *j;
  const float *x, *side; /* of the batch */
  float *rows, *want,
      *bound; /* [unknowns], [outs], [outs] of each row; bound: targets on the far side of it may be anything
                                 there; NAN: as they are */
  float *now; /* [outs] targets of this round */
  const float *w; /* [unknowns][outs] the last solution */
  uint32_t first;
  int64_t group, unknowns, begin; /* begin: the batch's first row */
} Rows;

/* Targets of one row: what the original gave, less what the side gives now beyond what it gave. */
static void fill_targets(const Rows *w, uint32_t image, int64_t k, int64_t p, int64_t at) {
  const Job *j = w->j;
  const Layer *l = &j->l;
  const float *want = j->target + (image * j->take + k) * l->o;
  for (int64_t i = 0; i < l->outs; i++) {
    int64_t o = w->group * l->outs + i;
    float side = w->side ? w->side[p * l->o + o] : 0, *y = &w->want[at * l->outs + i];
    bool scaled = fabs(j->factor[o]) > 1e-6;
    *y = scaled ? want[o] - side / (float)j->factor[o] : want[o];
    if (!w->bound) continue;
    double before = j->factor[o] * (double)*y + j->offset[o] + (double)side;
    w->bound[at * l->outs + i] =
        scaled && before <= 0 ? (float)(-(j->offset[o] + (double)side) / j->factor[o]) : NAN;
  }
}

static void fill_rows(void *ctx, int unit, int thread) {
  (void)thread;
  const Rows *w = ctx;
  const Job *j = w->j;
  const Layer *l = &j->l;
  int64_t all = layer_positions(l);
  uint32_t image = w->first + (uint32_t)unit;
  for (int64_t k = 0; k < j->take; k++) {
    int64_t p = sample_position(k, j->take, all, image), at = w->begin + unit * j->take + k;
    float *row = w->rows + at * w->unknowns;
    layer_patch(l, w->x + unit * layer_in_item(l), p, w->group, row);
    if (j->constant) row[l->taps] = 1;
    fill_targets(w, image, k, unit * all + p, at);
  }
}

/* Whether the rows of all examples are kept. */
static bool keeps_rows(const Rebuild *r, const Job *j) {
  const Layer *l = &j->l;
  double bytes = 4.0 * r->images * (double)j->take * (double)(l->taps + 1 + 3 * l->outs);
  return j->relu && r->o->rounds > 0 && l->groups == 1 && bytes < 1e9;
}

static void rows_alloc(const Rebuild *r, const Job *j, Rows *w) {
  bool all = keeps_rows(r, j);
  size_t rows = (size_t)((all ? r->images : PIECE_BATCH) * j->take), outs = (size_t)j->l.outs;
  w->rows = mem_array(rows * (size_t)w->unknowns, sizeof *w->rows);
  w->want = mem_array(rows * outs, sizeof *w->want);
  w->bound = all ? mem_array(rows * outs, sizeof *w->bound) : NULL;
  w->now = all ? mem_array(rows * outs, sizeof *w->now) : NULL;
}

static void rows_free(Rows *w) {
  mem_free(w->rows);
  mem_free(w->want);
  mem_free(w->bound);
  mem_free(w->now);
}

static bool sum_rows(Rebuild *r, const Job *j, Rows *w, Normal *sums, Diag *d) {
  const Layer *l = &j->l;
  Piece x = {0}, side = {0};
  bool ok = piece_open(&x, r->g, &r->kept, l->n->in[0], r->pool, d) &&
            (j->side == NO_VAL || piece_open(&side, r->g, &r->kept, j->side, r->pool, d));
  for (; ok && w->first < r->images; w->first += PIECE_BATCH) {
    int n = r->images - w->first < PIECE_BATCH ? (int)(r->images - w->first) : PIECE_BATCH;
    w->x = piece_run(&x, w->first, n);
    w->side = j->side == NO_VAL ? NULL : piece_run(&side, w->first, n);
    w->begin = w->bound ? w->first * j->take : 0;
    for (w->group = 0; w->group < l->groups; w->group++) {
      threads_run(r->pool, fill_rows, w, n);
      normal_add_rows(&sums[w->group], w->rows + w->begin * w->unknowns, w->want + w->begin * l->outs,
                      n * j->take, r->pool);
    }
  }
  piece_close(&x);
  piece_close(&side);
  return ok;
}

/* A + ridge mean, decomposed; the constant without ridge. *add: what was added. */
static double *decompose(const Normal *s, double ridge, int64_t taps, double *add) {
  int64_t n = s->n;
  double *a = mem_array((size_t)(n * n), sizeof *a), mean = 0;
  memcpy(a, s->a, (size_t)(n * n) * sizeof *a);
  for (int64_t i = 0; i < taps; i++) mean += a[i * n + i] / (double)taps;
  *add = ridge * mean + 1e-30;
  for (int64_t i = 0; i < taps; i++) a[i * n + i] += *add;
  spd_decompose(a, n);
  return a;
}

/* (A + add) W = B + add W0: w [n][m] from b and w0. */
static void solve(const double *a, int64_t n, int64_t m, double add, int64_t taps, const double *b,
                  const double *w0, double *w) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t k = 0; k < m; k++) w[i * m + k] = b[i * m + k] + (i < taps ? add * w0[i * m + k] : 0);
  cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, (int)n, (int)m, 1, a, (int)n,
              w, (int)m);
  cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasTrans, CblasNonUnit, (int)n, (int)m, 1, a, (int)n, w,
              (int)m);
}

enum { ROUND_BLOCK = 1024 };

/* Targets of a block of rows: where the Relu lets only 0 through, what the last solution gives, as far as it is below. */
static void project_block(void *ctx, int unit, int thread) {
  (void)thread;
  const Rows *w = ctx;
  int64_t all = w->begin, from = unit * ROUND_BLOCK,
          rows = all - from < ROUND_BLOCK ? all - from : ROUND_BLOCK;
  int64_t m = w->j->l.outs, n = w->unknowns;
  float *y = w->now + from * m;
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)rows, (int)m, (int)n, 1, w->rows + from * n,
              (int)n, w->w, (int)m, 0, y, (int)m);
  for (int64_t e = 0; e < rows * m; e++) {
    float bound = w->bound[from * m + e];
    bool below = w->j->factor[e % m] > 0;
    if (isnan(bound))
      y[e] = w->want[from * m + e];
    else if (below ? y[e] > bound : y[e] < bound)
      y[e] = bound;
  }
}

/* Solutions w of the targets that are nearest to the one before; s->b stays that of the targets. */
static void solve_rounds(Rebuild *r, Rows *x, Normal *s, const double *a, double add, const double *w0,
                         double *w) {
  int64_t n = s->n, m = s->m, all = s->rows;
  float *flat = mem_array((size_t)(n * m), sizeof *flat);
  double *b = mem_array((size_t)(n * m), sizeof *b);
  memcpy(b, s->b, (size_t)(n * m) * sizeof *b);
  x->w = flat;
  x->begin = all;
  for (int k = 0; k < r->o->rounds; k++) {
    for (int64_t i = 0; i < n * m; i++) flat[i] = (float)w[i];
    threads_run(r->pool, project_block, x, (int)((all + ROUND_BLOCK - 1) / ROUND_BLOCK));
    memset(s->b, 0, (size_t)(n * m) * sizeof *s->b);
    for (int64_t i = 0; i < all; i += ROUND_BLOCK) {
      int64_t rows = all - i < ROUND_BLOCK ? all - i : ROUND_BLOCK;
      normal_add_right(s, x->rows + i * n, x->now + i * m, rows, r->pool);
    }
    solve(a, n, m, add, x->j->l.taps, s->b, w0, w);
  }
  memcpy(s->b, b, (size_t)(n * m) * sizeof *b);
  mem_free(b);
  mem_free(flat);
}

static float *copy_const(const Graph *g, ValId v) {
  size_t n = (size_t)shape_count(&graph_val(g, v)->shape);
  return memcpy(mem_alloc_aligned(n * sizeof(float), 64), val_data(g, v), n * sizeof(float));
}

static void replace_const(Graph *g, ValId v, float *data) {
  Value *x = graph_val(g, v);
  size_t n = (size_t)shape_count(&x->shape);
  blob_unref(x->blob);
  x->blob = blob_adopt(data, n * sizeof *data);
}

/* One group's weights, in v [unknowns][outs] before and after. */
static void solve_group(Rebuild *r, const Job *j, Rows *x, Normal *s, double *v, double error[3]) {
  int64_t n = s->n, m = s->m;
  double add, *w0 = mem_array((size_t)(n * m), sizeof *w0), *a = decompose(s, r->o->ridge, j->l.taps, &add);
  memcpy(w0, v, (size_t)(n * m) * sizeof *w0);
  error[0] += normal_error(s, v);
  solve(a, n, m, add, j->l.taps, s->b, w0, v);
  if (x->bound) solve_rounds(r, x, s, a, add, w0, v);
  error[1] += normal_error(s, v);
  for (int64_t k = 0; k < m; k++) error[2] += s->yy[k];
  mem_free(a);
  mem_free(w0);
}

/* New constants; b is the bias, or what the mean of BatchNormalization is to lose. */
static void put_weights(Rebuild *r, const Job *j, float *w, float *b) {
  const Layer *l = &j->l;
  replace_const(r->g, l->n->in[1], w);
  if (l->bias) {
    replace_const(r->g, l->n->in[2], b);
    return;
  }
  float *mean = j->bn ? copy_const(r->g, j->bn->in[3]) : NULL;
  for (int64_t o = 0; mean && o < l->o; o++) mean[o] -= b[o];
  if (mean) replace_const(r->g, j->bn->in[3], mean);
  mem_free(b);
}

static void solve_layer(Rebuild *r, const Job *j, Rows *x, Normal *sums) {
  const Layer *l = &j->l;
  int64_t n = sums[0].n, m = l->outs;
  float *w = copy_const(r->g, l->n->in[1]);
  float *b = l->bias ? copy_const(r->g, l->n->in[2]) : mem_array((size_t)l->o, sizeof *b);
  double *v = mem_array((size_t)(n * m), sizeof *v), error[3] = {0, 0, 1e-30};
  for (int64_t g = 0; g < l->groups; g++) {
    for (int64_t u = 0; u < n; u++)
      for (int64_t k = 0; k < m; k++) v[u * m + k] = (double)*layer_weight(l, w, b, g, u, k);
    solve_group(r, j, x, &sums[g], v, error);
    for (int64_t u = 0; u < n; u++)
      for (int64_t k = 0; k < m; k++) *layer_weight(l, w, b, g, u, k) = (float)v[u * m + k];
  }
  mem_free(v);
  put_weights(r, j, w, b);
  r->res.layers++;
  r->res.before += error[0] / error[2];
  r->res.after += error[1] / error[2];
}

static bool rebuild_layer(Rebuild *r, const Job *j, Diag *d) {
  TRY(kept_advance(&r->kept, r->g, r->narrow[j->k], r->pool, d));
  const Layer *l = &j->l;
  Rows x = {.j = j, .unknowns = l->taps + j->constant};
  Normal *sums = mem_array((size_t)l->groups, sizeof *sums);
  for (int64_t g = 0; g < l->groups; g++) normal_init(&sums[g], x.unknowns, l->outs);
  rows_alloc(r, j, &x);
  bool ok = sum_rows(r, j, &x, sums, d);
  if (ok) solve_layer(r, j, &x, sums);
  rows_free(&x);
  for (int64_t g = 0; g < l->groups; g++) normal_free(&sums[g]);
  mem_free(sums);
  if (r->host && r->host->cancelled && r->host->cancelled(r->host->ctx))
    return diag_error(d, NULL, "reconstruction was cancelled");
  return ok;
}

/* As many as there are and fit (Kept). */
static uint32_t images_of(const Rebuild *r, const Dataset *ds) {
  uint32_t n = r->o->images < ds->train.n ? r->o->images : ds->train.n,
           fit = n > 0 ? kept_examples(r->g, n, r->o->kept) : 0;
  char line[120];
  snprintf(line, sizeof line, "reconstruction: %u of %u examples, as more would take too much memory", fit,
           n);
  if (fit < n && r->host && r->host->log) r->host->log(r->host->ctx, line);
  return fit;
}

Graph *rebuild_graph(const Twin *t, const Dataset *ds, const RebuildOptions *o, const Host *host,
                     RebuildResult *res, Diag *d) {
  Rebuild r = {.t = t, .o = o, .g = graph_clone(t->g), .a = arena_new(), .host = host};
  int threads = host && host->threads > 0 ? host->threads : 1;
  r.uses = graph_uses(r.g, r.a);
  r.narrow = graph_narrows(r.g, r.a);
  r.images = images_of(&r, ds);
  r.pool = threads_new(threads);
  bool ok = r.images > 0 || diag_error(d, NULL, "reconstruction needs calibration examples");
  if (ok) find_jobs(&r);
  ok = ok && (r.n_jobs == 0 ||
              (kept_input(r.g, ds, r.images, o->kept, threads, &r.kept, d) && find_targets(&r, ds, d)));
  for (uint32_t i = 0; ok && i < r.n_jobs; i++) ok = rebuild_layer(&r, &r.jobs[i], d);
  for (uint32_t i = 0; i < r.n_jobs; i++) mem_free(r.jobs[i].target);
  kept_free(&r.kept);
  threads_free(r.pool);
  arena_free(r.a);
  if (res) *res = r.res;
  if (ok) return r.g;
  graph_free(r.g);
  return NULL;
}
