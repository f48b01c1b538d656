/* The error table from Gram matrices.
 *
 * A unit is read by the layers whose input has its channels: each is a system of obs.h, with the weights of all taps of
 * those channels as its columns, and the constant 1 as an unknown that never goes (BatchNormalization or the bias takes the
 * mean). A depthwise convolution loses its output with its input, and costs nothing itself. What no layer reads (or one
 * with too many taps for a whole Gram matrix) costs what its outputs put in, uncompensated.
 */
#include <cblas.h>
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "passes/allocate/obs.h"
#include "passes/allocate/table.h"
#include "runtime/engine/linear.h"

typedef struct Builder {
  const Channels *c;
  const Grams *grams;
  const TableOptions *o;
  double **root;      /* [grams->n] C with C C^T = F / 2 [o][o] */
  const Judge *judge; /* NULL: no trials */
  Diag *d;
} Builder;

enum { LOOKS = 3 };

/* Output energy of a layer by its weights and Gram matrix, the mean over rows of the sum of squares; per output in e. */
static void output_energy(const LayerGram *v, double *e) {
  const Layer *l = &v->l;
  float *w = (float *)(uintptr_t)val_data(l->g, l->n->in[1]);
  for (int64_t o = 0; o < l->o; o++) {
    int64_t group = o / l->outs, taps = l->kh * l->kw, k = o % l->outs;
    for (int64_t i = 0; i < l->taps; i++) {
      const Normal *s = &v->sums[v->whole ? group : group * l->ins + i % l->ins];
      int64_t at = v->whole ? i : i / l->ins;
      double wi = (double)*layer_weight(l, w, NULL, group, i, k);
      for (int64_t j = v->whole ? 0 : i % l->ins; j < l->taps; j += v->whole ? 1 : l->ins) {
        int64_t to = v->whole ? j : j / l->ins;
        double a = at >= to ? s->a[at * s->n + to] : s->a[to * s->n + at];
        e[o] += wi * (double)*layer_weight(l, w, NULL, group, j, k) * a / (double)s->rows;
      }
    }
    ASSERT(taps > 0);
  }
}

/* ---- the square root of F */

static double *fisher_root(const LayerGram *v, const TableOptions *o) {
  int64_t n = v->l.o;
  double *f = mem_array((size_t)(n * n), sizeof *f), mean = 0;
  if (o->fisher) {
    for (int64_t i = 0; i < n * n; i++) f[i] = v->fisher[i] / 2;
  } else {
    double *e = mem_array((size_t)n, sizeof *e), sum = 1e-30;
    output_energy(v, e);
    for (int64_t i = 0; i < n; i++) sum += e[i];
    for (int64_t i = 0; i < n; i++) f[i * n + i] = 1 / sum;
    mem_free(e);
  }
  for (int64_t i = 0; i < n; i++) mean += f[i * n + i] / (double)n;
  for (int64_t i = 0; i < n; i++) /* groups of channels are systems of their own */
    for (int64_t j = 0; j < n; j++)
      if (i / v->l.outs != j / v->l.outs) f[i * n + j] = 0;
  for (int64_t i = 0; i < n; i++) f[i * n + i] += 1e-6 * mean + 1e-30;
  spd_decompose(f, n);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = i + 1; j < n; j++) f[i * n + j] = 0;
  return f;
}

/* ---- systems */

static uint32_t group_of(const Builder *b, uint32_t unit) {
  return unit == CHAN_FIXED ? UINT32_MAX : b->c->group_of[unit];
}

/* Units of a layer's input channels; NULL where its channels are not innermost. */
static const uint32_t *input_units(const Builder *b, const Layer *l) {
  ValId x = l->n->in[0];
  return b->c->axis[x] == graph_val(l->g, x)->shape.rank - 1 ? b->c->unit[x] : NULL;
}

static bool reads_group(const Builder *b, const Layer *l, int64_t system, uint32_t g) {
  const uint32_t *unit = input_units(b, l);
  if (!unit || l->n->op == OP_depthwise_conv) return false;
  for (int64_t i = 0; i < l->ins; i++)
    if (group_of(b, unit[system * l->ins + i]) == g) return true;
  return false;
}

/* W C of conv group `system`: [taps + 1][outs], the bias's row 0 (it stays). */
static double *scaled_weights(const Layer *l, int64_t system, const double *root) {
  int64_t n = l->taps + 1, m = l->outs;
  double *w = mem_array((size_t)(n * m), sizeof *w), *out = mem_array((size_t)(n * m), sizeof *out);
  float *from = (float *)(uintptr_t)val_data(l->g, l->n->in[1]);
  for (int64_t u = 0; u < l->taps; u++)
    for (int64_t k = 0; k < m; k++) w[u * m + k] = (double)*layer_weight(l, from, NULL, system, u, k);
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)n, (int)m, (int)m, 1, w, (int)m,
              root + system * m * l->o + system * m, (int)l->o, 0, out, (int)m);
  mem_free(w);
  return out;
}

/* Without a place for a constant its row is as if nothing depended on it. */
static double *inverse_gram(const Normal *s, double ridge, bool constant) {
  int64_t n = s->n;
  double *h = mem_array((size_t)(n * n), sizeof *h), mean = 0;
  for (int64_t i = 0; i < n * n; i++) h[i] = s->a[i] / (double)s->rows;
  for (int64_t i = 0; !constant && i < n - 1; i++) h[(n - 1) * n + i] = 0;
  for (int64_t i = 0; i < n - 1; i++) mean += h[i * n + i] / (double)(n - 1);
  for (int64_t i = 0; i < n; i++) h[i * n + i] += (i < n - 1 ? ridge * mean : 0) + 1e-12;
  spd_invert(h, n);
  return h;
}

static ObsSystem system_build(const Builder *b, uint32_t layer, int64_t system, uint32_t g) {
  const LayerGram *v = &b->grams->v[layer];
  const Layer *l = &v->l;
  const uint32_t *unit = input_units(b, l);
  ObsSystem s = {.n = l->taps + 1, .m = l->outs};
  s.h = inverse_gram(&v->sums[system], b->o->ridge, trial_has_constant(l));
  s.w = scaled_weights(l, system, b->root[layer]);
  s.unit = mem_array((size_t)s.n, sizeof *s.unit);
  for (int64_t i = 0; i < s.n; i++) {
    uint32_t u = i < l->taps ? unit[system * l->ins + i % l->ins] : CHAN_FIXED;
    s.unit[i] = group_of(b, u) == g ? u - b->c->groups[g].first : OBS_NONE;
  }
  return s;
}

/* ---- costs without compensation */

/* Of a layer with too many taps: what its units' channels put in, each by itself. */
static void own_blocks(const Builder *b, uint32_t layer, uint32_t g, double *own) {
  const LayerGram *v = &b->grams->v[layer];
  const Layer *l = &v->l;
  const uint32_t *unit = input_units(b, l);
  int64_t taps = l->kh * l->kw;
  for (int64_t system = 0; system < l->groups; system++) {
    if (!reads_group(b, l, system, g)) continue;
    double *w = scaled_weights(l, system, b->root[layer]);
    for (int64_t i = 0; i < l->ins; i++) {
      uint32_t u = unit[system * l->ins + i];
      const Normal *s = &v->sums[system * l->ins + i];
      if (group_of(b, u) != g) continue;
      for (int64_t k = 0; k < l->outs; k++)
        for (int64_t p = 0; p < taps; p++)
          for (int64_t q = 0; q < taps; q++)
            own[u - b->c->groups[g].first] += w[(p * l->ins + i) * l->outs + k] *
                                              w[(q * l->ins + i) * l->outs + k] *
                                              s->a[p >= q ? p * taps + q : q * taps + p] / (double)s->rows;
    }
    mem_free(w);
  }
}

/* Of a group that no layer reads: what the layers that make it put out. */
static void own_outputs(const Builder *b, uint32_t g, double *own) {
  for (uint32_t i = 0; i < b->grams->n; i++) {
    const LayerGram *v = &b->grams->v[i];
    ValId y = v->l.n->out[0];
    const uint32_t *unit = b->c->unit[y];
    if (!unit || channels_extent(b->c, y) != (uint32_t)v->l.o) continue;
    double *e = mem_array((size_t)v->l.o, sizeof *e), sum = 1e-30;
    output_energy(v, e);
    for (int64_t o = 0; o < v->l.o; o++) sum += e[o];
    for (int64_t o = 0; o < v->l.o; o++)
      if (group_of(b, unit[o]) == g)
        own[unit[o] - b->c->groups[g].first] +=
            e[o] * (b->o->fisher ? v->fisher[o * v->l.o + o] / 2 : 1 / sum);
    mem_free(e);
  }
}

/* ---- trials */

/* System s at a look as weights of its layer: unscaled, what is gone 0. */
static void unscale(const Builder *b, const ObsSystem *s, uint32_t layer, int64_t system, double *w,
                    const bool *gone) {
  const Layer *l = &b->grams->v[layer].l;
  const double *root = b->root[layer] + system * l->outs * l->o + system * l->outs;
  cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasNoTrans, CblasNonUnit, (int)s->n, (int)s->m, 1,
              root, (int)l->o, w, (int)s->m);
  for (int64_t i = 0; i < s->n; i++)
    for (int64_t k = 0; s->unit[i] != OBS_NONE && gone[s->unit[i]] && k < s->m; k++) w[i * s->m + k] = 0;
}

/* A system's layer and its group of channels. */
typedef struct Source {
  uint32_t layer;
  int64_t system;
} Source;

/* Scale a group's errors to what was measured after looks[k] removals: factor by factor, between them by interpolation. */
static void scale_errors(const uint32_t *looks, const double *factor, uint32_t n_units, double *error) {
  double before = 0;
  for (uint32_t k = 0; k < n_units; k++) {
    uint32_t gone = k + 1, i = 0;
    while (i < LOOKS && looks[i] < gone) i++;
    double f = i == 0 ? factor[0] : factor[LOOKS - 1];
    if (i > 0 && i < LOOKS) {
      double t = (double)(gone - looks[i - 1]) / (double)(looks[i] - looks[i - 1]);
      f = pow(factor[i - 1], 1 - t) * pow(factor[i], t);
    }
    before = error[k] = fmax(before, error[k] * f);
  }
}

static bool try_group(const Builder *b, const ObsSystem *s, const Source *from, uint32_t n,
                      const uint32_t *looks, const uint32_t *order, uint32_t n_units, double *error) {
  double factor[LOOKS];
  bool *gone = mem_array(n_units, sizeof *gone), ok = true;
  TrialLayer *layers = mem_array(n, sizeof *layers);
  for (uint32_t k = 0, at = 0; ok && k < LOOKS; k++) {
    double got;
    for (; at < looks[k]; at++) gone[order[at]] = true;
    for (uint32_t i = 0; i < n; i++) {
      unscale(b, &s[i], from[i].layer, from[i].system, s[i].then[k], gone);
      layers[i] = (TrialLayer){&b->grams->v[from[i].layer].l, from[i].system, s[i].then[k]};
    }
    ok = trial_divergence(b->judge, b->c->graph, layers, n, &got, b->d);
    factor[k] = fmin(fmax(got / fmax(error[looks[k] - 1], 1e-12), 0.1), 100);
  }
  if (ok) scale_errors(looks, factor, n_units, error);
  mem_free(gone);
  mem_free(layers);
  return ok;
}

/* ---- a group */

typedef struct Systems {
  ObsSystem *s;
  Source *from;
  uint32_t n;
  size_t cap, cap_from;
} Systems;

static void systems_add(Systems *x, ObsSystem s, Source from) {
  mem_grow((void **)&x->s, &x->cap, (size_t)x->n + 1, sizeof *x->s);
  mem_grow((void **)&x->from, &x->cap_from, (size_t)x->n + 1, sizeof *x->from);
  x->s[x->n] = s;
  x->from[x->n++] = from;
}

static void systems_free(Systems *x) {
  for (uint32_t i = 0; i < x->n; i++) {
    for (int k = 0; x->s[i].then && k < LOOKS; k++) mem_free(x->s[i].then[k]);
    mem_free(x->s[i].then);
    mem_free(x->s[i].h);
    mem_free(x->s[i].w);
    mem_free(x->s[i].unit);
  }
  mem_free(x->s);
  mem_free(x->from);
}

static bool build_group(const Builder *b, uint32_t g, ErrorTable *out) {
  const ChanGroup *gr = &b->c->groups[g];
  Systems x = {0};
  bool tried = b->judge && gr->n >= 4, ok = true;
  double *own = mem_array(gr->n, sizeof *own);
  const uint32_t looks[LOOKS] = {gr->n / 4, gr->n / 2, gr->n - gr->n / 4};
  for (uint32_t i = 0; i < b->grams->n; i++) {
    const LayerGram *v = &b->grams->v[i];
    bool reads = false;
    for (int64_t k = 0; k < v->l.groups; k++) {
      if (!reads_group(b, &v->l, k, g)) continue;
      if (!reads) out->readers[g]++;
      reads = true;
      if (!v->whole) {
        own_blocks(b, i, g, own);
        tried = false;
        break;
      }
      tried = tried && !layer_fixed(&v->l);
      systems_add(&x, system_build(b, i, k, g), (Source){i, k});
    }
  }
  if (out->readers[g] == 0) own_outputs(b, g, own);
  tried = tried && out->readers[g] > 0;
  for (uint32_t i = 0; tried && i < x.n; i++) {
    x.s[i].then = mem_array(LOOKS, sizeof *x.s[i].then);
    for (int k = 0; k < LOOKS; k++) x.s[i].then[k] = mem_array((size_t)(x.s[i].n * x.s[i].m), sizeof(double));
  }
  obs_order(x.s, x.n, gr->n, own, looks, tried ? LOOKS : 0, out->order + gr->first, out->error + gr->first);
  if (tried)
    ok = try_group(b, x.s, x.from, x.n, looks, out->order + gr->first, gr->n, out->error + gr->first);
  systems_free(&x);
  mem_free(own);
  return ok;
}

bool error_table_build(const Channels *c, const Grams *grams, const TableOptions *o, const PassCtx *ctx,
                       ErrorTable *out, Diag *d) {
  Judge judge = {0};
  Builder b = {.c = c, .grams = grams, .o = o, .d = d, .root = mem_array(grams->n, sizeof *b.root)};
  bool ok = true;
  if (o->trial_images > 0) {
    uint32_t n = ctx->data->train.n, count = n < o->trial_images ? n : o->trial_images;
    ok = judge_open(&judge, c->graph, ctx->data, n - count, count, ctx->host, d);
    b.judge = &judge;
  }
  error_table_init(out, c->n_groups, c->n_units);
  for (uint32_t i = 0; i < grams->n; i++) b.root[i] = fisher_root(&grams->v[i], o);
  for (uint32_t g = 0; ok && g < c->n_groups; g++) {
    out->size[g] = c->groups[g].n;
    ok = build_group(&b, g, out);
  }
  for (uint32_t i = 0; i < grams->n; i++) mem_free(b.root[i]);
  mem_free(b.root);
  judge_close(&judge);
  if (!ok) error_table_free(out);
  return ok;
}
