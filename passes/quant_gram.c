/* Sums of products of what layers read (their Gram matrices), over calibration images as they are.
 *
 *   float graph, batch by batch (calibrate.c) -> for each layer rows of taps at some positions -> X^T X, in double
 *
 * Neighbouring positions say much the same: of every layer about ROWS are taken, evenly, an odd number apart.
 */
#include "passes/quant_weights.h"

#include "ir/base/mem.h"
#include "ir/base/strbuf.h"
#include "runtime/engine/reconstruct.h"

enum { BLOCK = 128, ROWS = 16384, MOST_TAPS = 2400 };

typedef struct Layer {
  const Node *n;
  int64_t h, w, c, oh, ow, kh, kw, groups,
      ins; /* a vector is an image of one pixel, or of as many as it has rows */
  int64_t stride[2], dil[2], pad[2], taps, step, next;
  Normal *sums; /* [groups] */
  double *x;    /* [BLOCK][taps + 1] */
} Layer;

static void open_conv(Layer *l, const Graph *g) {
  const conv_attrs *a = CATTRS(l->n, conv);
  const Shape *x = &graph_val(g, l->n->in[0])->shape, *y = &graph_val(g, l->n->out[0])->shape,
              *w = &graph_val(g, l->n->in[1])->shape;
  l->h = x->d[1], l->w = x->d[2], l->c = x->d[3], l->oh = y->d[1], l->ow = y->d[2];
  l->kh = w->d[1], l->kw = w->d[2], l->groups = a->group, l->ins = w->d[3];
  for (int i = 0; i < 2; i++)
    l->stride[i] = a->strides.v[i], l->dil[i] = a->dilations.v[i], l->pad[i] = a->pads.v[i];
}

static void open_vectors(Layer *l, const Graph *g) {
  const Shape *x = &graph_val(g, l->n->in[0])->shape;
  l->c = l->ins = x->d[x->rank - 1];
  l->h = l->oh = shape_count_range(x, 1, x->rank - 1);
  l->w = l->ow = l->kh = l->kw = l->groups = 1;
  for (int i = 0; i < 2; i++) l->stride[i] = l->dil[i] = 1;
}

/* False: too large. */
static bool open_layer(Layer *l, const Graph *g, const Node *n, uint32_t images) {
  *l = (Layer){.n = n};
  (n->op == OP_conv ? open_conv : open_vectors)(l, g);
  l->taps = l->kh * l->kw * l->ins;
  if (l->taps > MOST_TAPS) return false;
  l->step = (l->oh * l->ow * images / ROWS) | 1;
  l->sums = mem_array((size_t)l->groups, sizeof *l->sums);
  for (int64_t i = 0; i < l->groups; i++) normal_init(&l->sums[i], l->taps + 1, 1);
  l->x = mem_array((size_t)(BLOCK * (l->taps + 1)), sizeof *l->x);
  return true;
}

/* The taps of one position for a group, and 1. */
static void put_taps(const Layer *l, const float *x, int64_t at, int64_t group, double *row) {
  const int64_t oy = at / l->ow, ox = at % l->ow;
  for (int64_t ky = 0; ky < l->kh; ky++)
    for (int64_t kx = 0; kx < l->kw; kx++, row += l->ins) {
      const int64_t y = oy * l->stride[0] + ky * l->dil[0] - l->pad[0],
                    p = ox * l->stride[1] + kx * l->dil[1] - l->pad[1];
      const bool in = y >= 0 && y < l->h && p >= 0 && p < l->w;
      const float *from = in ? x + (y * l->w + p) * l->c + group * l->ins : NULL;
      for (int64_t i = 0; i < l->ins; i++) row[i] = from ? (double)from[i] : 0;
    }
  *row = 1;
}

/* A batch's share; positions are counted over all images, so that the step goes through columns and lines. */
static void add_batch(Layer *l, const float *x, int64_t n) {
  static const double nothing[BLOCK]; /* no right side */
  const int64_t positions = l->oh * l->ow, end = n * positions, first = l->next;
  for (int64_t group = 0; group < l->groups; group++) {
    int64_t rows = 0;
    for (l->next = first; l->next < end; l->next += l->step) {
      const float *image = x + l->next / positions * l->h * l->w * l->c;
      put_taps(l, image, l->next % positions, group, l->x + rows * (l->taps + 1));
      if (++rows < BLOCK && l->next + l->step < end) continue;
      normal_add(&l->sums[group], l->x, nothing, rows);
      rows = 0;
    }
  }
  l->next -= end;
}

static void close_layer(Layer *l, Gram *out) {
  if (out) {
    *out = (Gram){.n = l->taps + 1, .groups = l->groups};
    out->h = mem_array((size_t)l->groups, sizeof *out->h);
  }
  for (int64_t i = 0; i < l->groups; i++) {
    const int64_t n = l->taps + 1;
    double *a = l->sums[i].a;
    for (int64_t r = 0; r < n; r++)
      for (int64_t k = 0; k < r; k++) a[k * n + r] = a[r * n + k];
    if (out) {
      out->h[i] = a;
      l->sums[i].a = NULL;
    }
    normal_free(&l->sums[i]);
  }
  mem_free(l->sums);
  mem_free(l->x);
}

typedef struct Layers {
  Layer *v;
  int n;
} Layers;

static void visit(void *ctx, ValId v, const float *x, int64_t n) {
  const Layers *l = ctx;
  for (int k = 0; k < l->n; k++) {
    Layer *layer = &l->v[k];
    if (layer->n->in[0] == v) add_batch(layer, x, n / (layer->h * layer->w * layer->c));
  }
}

static void say_large(const Graph *g, const Layer *l, const Host *host) {
  if (!host || !host->log) return;
  const char *value = graph_val(g, l->n->out[0])->name, *name = value ? value : l->n->loc.name;
  StrBuf line = {0};
  sb_printf(&line, "quantize: %s: %lld weights a channel, more than %d: rounded to the nearest",
            name ? name : op_info(l->n->op)->name, (long long)l->taps, MOST_TAPS);
  host->log(host->ctx, sb_str(&line));
  sb_free(&line);
}

bool gram_collect(const Graph *g, const bool *wanted, const Dataset *ds, uint32_t images, const Host *host,
                  Gram *out, Diag *d) {
  Layers l = {.v = mem_array((size_t)g->n_nodes + 1, sizeof *l.v)};
  if (images > ds->train.n) images = ds->train.n;
  for (NodeId k = 0; k < g->n_nodes; k++) {
    if (!wanted[k]) continue;
    if (open_layer(&l.v[l.n], g, &g->nodes[k], images))
      l.n++;
    else
      say_large(g, &l.v[l.n], host);
  }
  const bool ok = l.n == 0 || calibrate_visit(g, ds, images, host, visit, &l, d);
  for (int i = 0; i < l.n; i++) close_layer(&l.v[i], ok ? &out[l.v[i].n - g->nodes] : NULL);
  mem_free(l.v);
  return ok;
}

void gram_free(Gram *m) {
  for (int64_t i = 0; i < m->groups && m->h; i++) mem_free(m->h[i]);
  mem_free(m->h);
  *m = (Gram){0};
}
