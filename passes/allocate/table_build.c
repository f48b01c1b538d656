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
  double **root; /* [grams->n] C with C C^T = F / 2 [o][o] */
} Builder;

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

static double *inverse_gram(const Normal *s, double ridge) {
  int64_t n = s->n;
  double *h = mem_array((size_t)(n * n), sizeof *h), mean = 0;
  for (int64_t i = 0; i < n * n; i++) h[i] = s->a[i] / (double)s->rows;
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
  s.h = inverse_gram(&v->sums[system], b->o->ridge);
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
    double *e = mem_array((size_t)v->l.o, sizeof *e);
    output_energy(v, e);
    for (int64_t o = 0; o < v->l.o; o++)
      if (group_of(b, unit[o]) == g)
        own[unit[o] - b->c->groups[g].first] += e[o] * v->fisher[o * v->l.o + o] / 2;
    mem_free(e);
  }
}

static void build_group(const Builder *b, uint32_t g, ErrorTable *out) {
  const ChanGroup *gr = &b->c->groups[g];
  ObsSystem *s = NULL;
  size_t cap = 0;
  uint32_t n = 0;
  bool read = false;
  double *own = mem_array(gr->n, sizeof *own);
  for (uint32_t i = 0; i < b->grams->n; i++) {
    const LayerGram *v = &b->grams->v[i];
    for (int64_t k = 0; k < v->l.groups; k++) {
      if (!reads_group(b, &v->l, k, g)) continue;
      read = true;
      if (!v->whole) {
        own_blocks(b, i, g, own);
        break;
      }
      mem_grow((void **)&s, &cap, (size_t)n + 1, sizeof *s);
      s[n++] = system_build(b, i, k, g);
    }
  }
  if (!read) own_outputs(b, g, own);
  obs_order(s, n, gr->n, own, out->order + gr->first, out->error + gr->first);
  for (uint32_t i = 0; i < n; i++) {
    mem_free(s[i].h);
    mem_free(s[i].w);
    mem_free(s[i].unit);
  }
  mem_free(s);
  mem_free(own);
}

void error_table_build(const Channels *c, const Grams *grams, const TableOptions *o, ErrorTable *out) {
  Builder b = {.c = c, .grams = grams, .o = o, .root = mem_array(grams->n, sizeof *b.root)};
  *out = (ErrorTable){.n_groups = c->n_groups, .n_units = c->n_units};
  out->size = mem_array(c->n_groups, sizeof *out->size);
  out->order = mem_array(c->n_units, sizeof *out->order);
  out->error = mem_array(c->n_units, sizeof *out->error);
  for (uint32_t i = 0; i < grams->n; i++) b.root[i] = fisher_root(&grams->v[i], o);
  for (uint32_t g = 0; g < c->n_groups; g++) {
    out->size[g] = c->groups[g].n;
    build_group(&b, g, out);
  }
  for (uint32_t i = 0; i < grams->n; i++) mem_free(b.root[i]);
  mem_free(b.root);
}
