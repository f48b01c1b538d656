/* Adapters beside convolutions; see adapters.h. */
#include "passes/adapt/adapters.h"

#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"

static bool centred(const conv_attrs *a, int64_t kh, int64_t kw) {
  const int64_t top = (kh - 1) / 2 * a->dilations.v[0], left = (kw - 1) / 2 * a->dilations.v[1];
  return kh % 2 && kw % 2 && a->pads.v[0] == top && a->pads.v[1] == left && a->pads.v[2] == top &&
         a->pads.v[3] == left;
}

bool adapter_fits(const Graph *g, NodeId k) {
  const Node *n = &g->nodes[k];
  if (n->op != OP_conv || !val_is_const(g, n->in[1]) || graph_val(g, n->in[1])->dtype != DT_F32) return false;
  const conv_attrs *a = CATTRS(n, conv);
  const Shape *w = &graph_val(g, n->in[1])->shape;
  return a->group == 1 && a->act == ACT_NONE && centred(a, w->d[1], w->d[2]);
}

static int64_t rank_of(const Shape *w) { return w->d[3] < ADAPTER_RANK ? w->d[3] : ADAPTER_RANK; }

int64_t adapter_numbers(const Graph *g, NodeId k) {
  const Shape *w = &graph_val(g, g->nodes[k].in[1])->shape;
  return w->d[0] * rank_of(w);
}

/* A [r][c]: normal draws made orthonormal, row after row (Gram and Schmidt, twice). */
static void directions(int64_t r, int64_t c, float *a) {
  Rng rng;
  rng_seed(&rng, UINT64_C(0x41444150), (uint64_t)(r * 65536 + c));
  for (int64_t i = 0; i < r; i++) {
    float *row = a + i * c;
    for (int64_t j = 0; j < c; j++) row[j] = rng_normal(&rng);
    for (int64_t k = 0; k < 2 * i; k++) {
      const float *other = a + k % i * c;
      double dot = 0;
      for (int64_t j = 0; j < c; j++) dot += (double)row[j] * (double)other[j];
      for (int64_t j = 0; j < c; j++) row[j] -= (float)(dot * (double)other[j]);
    }
    double sum = 0;
    for (int64_t j = 0; j < c; j++) sum += (double)row[j] * (double)row[j];
    for (int64_t j = 0; j < c; j++) row[j] = (float)((double)row[j] / sqrt(sum));
  }
}

/* Where output channel o's middle tap begins, of elements [O, Kh, Kw, C]. */
static int64_t middle(const Shape *w, int64_t o) {
  return ((o * w->d[1] + w->d[1] / 2) * w->d[2] + w->d[2] / 2) * w->d[3];
}

void adapter_read(const Graph *g, NodeId k, float *out) {
  const ValId v = g->nodes[k].in[1];
  const Shape *w = &graph_val(g, v)->shape;
  const float *x = val_data(g, v);
  const int64_t r = rank_of(w), c = w->d[3];
  float *a = mem_array((size_t)(r * c), sizeof *a);
  directions(r, c, a);
  for (int64_t o = 0; o < w->d[0]; o++)
    for (int64_t i = 0; i < r; i++) {
      double sum = 0;
      for (int64_t j = 0; j < c; j++) sum += (double)x[middle(w, o) + j] * (double)a[i * c + j];
      out[o * r + i] = (float)sum;
    }
  mem_free(a);
}

void adapter_write(const Graph *g, NodeId k, const float *values, float *w) {
  const ValId v = g->nodes[k].in[1];
  const Shape *s = &graph_val(g, v)->shape;
  const int64_t r = rank_of(s), c = s->d[3];
  float *a = mem_array((size_t)(r * c), sizeof *a), *was = mem_array((size_t)(s->d[0] * r), sizeof *was);
  directions(r, c, a);
  adapter_read(g, k, was);
  memcpy(w, val_data(g, v), (size_t)shape_count(s) * sizeof *w);
  for (int64_t o = 0; o < s->d[0]; o++)
    for (int64_t i = 0; i < r; i++)
      for (int64_t j = 0; j < c; j++)
        w[middle(s, o) + j] += (values[o * r + i] - was[o * r + i]) * a[i * c + j];
  mem_free(a);
  mem_free(was);
}

/* -- as nodes -- */

/* conv(x) + B (A x) for the copy y of node k; NO_VAL: reported. */
static ValId insert(Rewrite *t, NodeId k, ValId y, ValId *learn, Diag *d) {
  const Node *n = &t->from->nodes[k];
  const Shape *w = &graph_val(t->from, n->in[1])->shape;
  const int64_t r = rank_of(w), c = w->d[3];
  const Shape as = shape_of(4, r, (int64_t)1, (int64_t)1, c),
              bs = shape_of(4, w->d[0], (int64_t)1, (int64_t)1, r);
  float *a = mem_array((size_t)(r * c), sizeof *a), *b = mem_array((size_t)(w->d[0] * r), sizeof *b);
  conv_attrs thin = *CATTRS(n, conv);
  memset(thin.pads.v, 0, sizeof thin.pads.v);
  thin.dilations.v[0] = thin.dilations.v[1] = 1;
  directions(r, c, a);
  const ValId av = graph_const_data(t->to, NULL, DT_F32, &as, a),
              bv = graph_const_data(t->to, NULL, DT_F32, &bs, b);
  mem_free(a);
  mem_free(b);
  *learn = bv;
  const ValId low = graph_node2(t->to, OP_conv, &thin, rewrite_val(t, n->in[0]), av, NULL, &n->loc, d);
  const ValId up = low == NO_VAL ? NO_VAL : graph_node2(t->to, OP_conv, NULL, low, bv, NULL, &n->loc, d);
  return up == NO_VAL ? NO_VAL : graph_node2(t->to, OP_add, NULL, y, up, NULL, &n->loc, d);
}

Graph *adapters_insert(const Graph *g, ValId *learn, int *n, Diag *d) {
  Rewrite t;
  bool ok = true;
  *n = 0;
  rewrite_begin(&t, g, "adapt");
  for (NodeId k = 0; ok && k < g->n_nodes; k++) {
    const ValId out = g->nodes[k].out[0];
    ok = rewrite_copy(&t, &g->nodes[k], d);
    if (!ok || !adapter_fits(g, k)) continue;
    t.map[out] = insert(&t, k, t.map[out], &learn[*n], d);
    ok = t.map[out] != NO_VAL;
    ++*n;
  }
  /* Not rewrite_end: it gives ids anew, and the caller is told ids. */
  for (uint32_t i = 0; ok && i < g->n_outputs; i++) graph_output(t.to, rewrite_val(&t, g->outputs[i]));
  mem_free(t.map);
  if (ok) return t.to;
  graph_free(t.to);
  return NULL;
}
