/* The linear algebra of low rank (lowrank.h). All methods are one: features, linear in what the layer reads, and the best
 * weights from features to outputs.
 *
 *   M [O][taps] weights, G = X^T X / rows inputs, F = R^T R outputs
 *   feature (r, t): row r of a basis, placed at tap t of those that the method leaves to the factor behind:
 *       svd      row over all taps, nothing left      spatial  row over (ky, i), kx left      tucker  row over i, ky kx left
 *   basis: directions of P = R M, unfolded so that the row's elements are columns, that weigh most in the norm of G's
 *       marginal over them (Zhang et al. 2015, arXiv:1505.06798, for svd; the others leave out what G couples between taps)
 *   Z = features of all taps, Z G Z^T = L L^T, Y = L^-1 Z G M^T
 *       |R y_k|^2 is what feature k explains beyond those before it: the errors of all ranks come from one decomposition
 *   tucker: of the outputs that the first P features explain, those of rank R that weigh most (reduced rank regression)
 *
 * Factors share their scale: a thin channel's deviation is the root of what it would be with orthonormal weights behind.
 */
#include "passes/lowrank.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"
#include "runtime/engine/eigen.h"

/* The features of one method. */
typedef struct Basis {
  int64_t n, cols, left; /* rows of the basis, their length, taps left to the factor behind */
  double *a;             /* [n][cols] */
  double *l;   /* [n * left][n * left] lower; a diagonal element of 0: the feature says nothing new */
  double *y;   /* [n * left][O] */
  double *sum; /* [n + 1] what the first r rows explain in all */
  double *
      tucker; /* [O][O] eigenvectors of what in_rank rows explain, and their values, kept for the next call */
  double *tucker_value;
  int64_t tucker_rows;
} Basis;

struct LowrankLayer {
  const Graph *g;
  NodeId node;
  int64_t o, kh, kw, c, taps;
  int64_t in_pixels, out_pixels, mid_pixels; /* mid: output rows by input columns */
  bool bias;
  double *m;      /* [O][taps] */
  double *gram;   /* [taps][taps], about the mean where there is one; NULL: the identity */
  double *mean;   /* [taps]; NULL: not known */
  double *root;   /* R [O][O]; NULL: the identity */
  double *target; /* G M^T [taps][O] */
  double energy;
  Basis *basis[LOWRANK_METHODS]; /* made at first use */
};

const char *lowrank_method_name(LowrankMethod m) {
  static const char *const names[LOWRANK_METHODS] = {"svd", "spatial", "tucker"};
  return names[m];
}

/* c [m][n] = a [m][k] b [k][n], either transposed where asked. */
static void product(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const double *a, const double *b,
                    double *c) {
  cblas_dgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (int)m, (int)n,
              (int)k, 1, a, (int)(ta ? m : k), b, (int)(tb ? k : n), 0, c, (int)n);
}

static double *matrix(int64_t rows, int64_t cols) { return mem_array((size_t)(rows * cols), sizeof(double)); }

static double dot(const double *a, const double *b, int64_t n) {
  double s[4] = {0}, rest = 0;
  int64_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (int k = 0; k < 4; k++) s[k] += a[i + k] * b[i + k];
  for (; i < n; i++) rest += a[i] * b[i];
  return s[0] + s[1] + (s[2] + s[3]) + rest;
}

/* a [n][n] symmetric becomes L, lower, a = L L^T, zeros above; pivots that are nothing become rows and columns of 0. */
static void cholesky(double *a, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    double *row = a + i * n, diagonal = row[i];
    for (int64_t j = 0; j < i; j++) {
      double pivot = a[j * n + j];
      row[j] = pivot > 0 ? (row[j] - dot(row, a + j * n, j)) / pivot : 0;
    }
    double pivot = diagonal - dot(row, row, i);
    row[i] = pivot > 1e-11 * diagonal && pivot > 0 ? sqrt(pivot) : 0;
    for (int64_t j = i + 1; j < n; j++) row[j] = 0;
  }
}

/* ---- the layer */

static const char *view_image(LowrankLayer *l, const Node *n) {
  if (n->op == OP_depthwise_conv) return "every channel is filtered alone";
  if (CATTRS(n, conv)->group != 1) return "its channels are in groups";
  const Shape *x = &graph_val(l->g, n->in[0])->shape, *y = &graph_val(l->g, n->out[0])->shape,
              *w = &graph_val(l->g, n->in[1])->shape;
  l->o = w->d[0], l->kh = w->d[1], l->kw = w->d[2], l->c = w->d[3];
  l->in_pixels = x->d[1] * x->d[2], l->out_pixels = y->d[1] * y->d[2], l->mid_pixels = y->d[1] * x->d[2];
  return NULL;
}

static const char *view(LowrankLayer *l) {
  const Node *n = &l->g->nodes[l->node];
  if (n->op != OP_conv && n->op != OP_depthwise_conv && n->op != OP_fully_connected)
    return "it is no Conv nor FullyConnected";
  if (!val_is_const(l->g, n->in[1]) || graph_val(l->g, n->in[1])->dtype != DT_F32)
    return "its weights are computed or not float";
  l->bias = n->n_in > 2 && n->in[2] != NO_VAL;
  if (l->bias && !val_is_const(l->g, n->in[2])) return "its bias is computed";
  if (n->op != OP_fully_connected) return view_image(l, n);
  const Shape *x = &graph_val(l->g, n->in[0])->shape, *w = &graph_val(l->g, n->in[1])->shape;
  l->o = w->d[0], l->c = w->d[1], l->kh = l->kw = 1;
  l->in_pixels = l->out_pixels = l->mid_pixels = shape_count_range(x, 1, x->rank - 1);
  return NULL;
}

/* G, about the mean where it is known. */
static void read_inputs(LowrankLayer *l, const Normal *s) {
  int64_t n = l->taps;
  double rows = s->rows > 0 ? (double)s->rows : 1;
  ASSERT(s->n == n || s->n == n + 1);
  l->gram = matrix(n, n);
  if (s->n > n) l->mean = matrix(1, n);
  for (int64_t i = 0; i < n && l->mean; i++) l->mean[i] = s->a[n * s->n + i] / rows;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j <= i; j++) {
      double v = s->a[i * s->n + j] / rows - (l->mean ? l->mean[i] * l->mean[j] : 0);
      l->gram[i * n + j] = l->gram[j * n + i] = i == j && v < 0 ? 0 : v;
    }
}

/* R with F = R^T R. */
static void read_outputs(LowrankLayer *l, const double *f) {
  int64_t n = l->o;
  double *low = matrix(n, n);
  memcpy(low, f, (size_t)(n * n) * sizeof *low);
  cholesky(low, n);
  l->root = matrix(n, n);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j <= i; j++) l->root[j * n + i] = low[i * n + j];
  mem_free(low);
}

/* rows [n][O] times R^T, or a copy. */
static double *by_root(const LowrankLayer *l, const double *rows, int64_t n) {
  double *out = matrix(n, l->o);
  if (l->root)
    product(false, true, n, l->o, l->o, rows, l->root, out);
  else
    memcpy(out, rows, (size_t)(n * l->o) * sizeof *out);
  return out;
}

/* target and energy = sum over taps of (R M) . (R target). */
static void read_target(LowrankLayer *l) {
  l->target = matrix(l->taps, l->o);
  double *mt = matrix(l->taps, l->o);
  for (int64_t o = 0; o < l->o; o++)
    for (int64_t t = 0; t < l->taps; t++) mt[t * l->o + o] = l->m[o * l->taps + t];
  if (l->gram)
    product(false, false, l->taps, l->o, l->taps, l->gram, mt, l->target);
  else
    memcpy(l->target, mt, (size_t)(l->taps * l->o) * sizeof *mt);
  double *x = by_root(l, mt, l->taps), *y = by_root(l, l->target, l->taps);
  l->energy = dot(x, y, l->taps * l->o);
  mem_free(x);
  mem_free(y);
  mem_free(mt);
}

LowrankLayer *lowrank_open(const Graph *g, NodeId k, const LowrankNorm *norm, const char **why) {
  LowrankLayer *l = mem_zalloc(sizeof *l);
  *l = (LowrankLayer){.g = g, .node = k};
  *why = view(l);
  if (!*why) {
    const float *w = val_data(g, g->nodes[k].in[1]);
    l->taps = l->kh * l->kw * l->c;
    l->m = matrix(l->o, l->taps);
    for (int64_t i = 0; i < l->o * l->taps; i++) l->m[i] = (double)w[i];
    if (norm && norm->inputs) read_inputs(l, norm->inputs);
    if (norm && norm->outputs) read_outputs(l, norm->outputs);
    read_target(l);
    if (!(l->energy > 0)) *why = "its outputs do not depend on its inputs";
  }
  if (!*why) return l;
  lowrank_close(l);
  return NULL;
}

static void basis_free(Basis *b) {
  if (!b) return;
  double *const all[] = {b->a, b->l, b->y, b->sum, b->tucker, b->tucker_value};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) mem_free(all[i]);
  mem_free(b);
}

void lowrank_close(LowrankLayer *l) {
  if (!l) return;
  for (int i = 0; i < LOWRANK_METHODS; i++) basis_free(l->basis[i]);
  double *const all[] = {l->m, l->gram, l->mean, l->root, l->target};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) mem_free(all[i]);
  mem_free(l);
}

NodeId lowrank_node(const LowrankLayer *l) { return l->node; }
double lowrank_energy(const LowrankLayer *l) { return l->energy; }
int64_t lowrank_macs(const LowrankLayer *l) { return l->out_pixels * l->taps * l->o; }
int64_t lowrank_params(const LowrankLayer *l) { return l->taps * l->o + (l->bias ? l->o : 0); }

/* ---- a basis */

/* How many taps a method leaves to the factor behind. */
static int64_t left_taps(const LowrankLayer *l, LowrankMethod m) {
  return m == LOWRANK_SVD ? 1 : m == LOWRANK_SPATIAL ? l->kw : l->kh * l->kw;
}

/* The tap that element `at` of a basis' row has, for left tap t. */
static int64_t tap_of(const LowrankLayer *l, LowrankMethod m, int64_t at, int64_t t) {
  if (m == LOWRANK_SVD) return at;
  if (m == LOWRANK_TUCKER) return t * l->c + at;
  return (at / l->c * l->kw + t) * l->c + at % l->c;
}

int64_t lowrank_most(const LowrankLayer *l, LowrankMethod m, int64_t *in_rank) {
  int64_t window = l->kh * l->kw, cols = l->taps / left_taps(l, m);
  *in_rank = 0;
  if (m == LOWRANK_SVD) return l->o < l->taps ? l->o : l->taps;
  if (m == LOWRANK_SPATIAL) {
    int64_t rows = l->kw * l->o;
    return l->kh == 1 || l->kw == 1 ? 0 : rows < cols ? rows : cols;
  }
  if (window == 1) return 0;
  *in_rank = l->c < window * l->o ? l->c : window * l->o;
  return l->o < l->taps ? l->o : l->taps;
}

/* G summed over the left taps, each with itself. */
static double *marginal(const LowrankLayer *l, LowrankMethod m, int64_t cols) {
  int64_t left = left_taps(l, m);
  double *g = matrix(cols, cols);
  for (int64_t i = 0; i < cols; i++)
    for (int64_t j = 0; j < cols; j++)
      for (int64_t t = 0; l->gram ? t < left : t < 1; t++)
        g[i * cols + j] +=
            l->gram ? l->gram[tap_of(l, m, i, t) * l->taps + tap_of(l, m, j, t)] / (double)left : i == j;
  return g;
}

/* R M unfolded: [O * left][cols]. */
static double *unfolded(const LowrankLayer *l, LowrankMethod m, int64_t cols) {
  int64_t left = left_taps(l, m);
  double *p = matrix(l->o * left, cols), *rm = matrix(l->o, l->taps);
  if (l->root)
    product(false, false, l->o, l->taps, l->o, l->root, l->m, rm);
  else
    memcpy(rm, l->m, (size_t)(l->o * l->taps) * sizeof *rm);
  for (int64_t o = 0; o < l->o; o++)
    for (int64_t t = 0; t < left; t++)
      for (int64_t i = 0; i < cols; i++) p[(o * left + t) * cols + i] = rm[o * l->taps + tap_of(l, m, i, t)];
  mem_free(rm);
  return p;
}

/* a [n][cols] = U^T P, U the n first left singular vectors of P [rows][cols] in the norm of g = L L^T, from the smaller of
 * P g P^T = U S^2 U^T and (P L)^T (P L) = V S^2 V^T, U = P L V S^-1. */
static double *directions(const double *p, int64_t rows, int64_t cols, double *g, int64_t n) {
  double *a = matrix(n, cols);
  if (rows <= cols) {
    double *pg = matrix(rows, cols), *u = matrix(rows, rows), *s = matrix(1, rows);
    product(false, false, rows, cols, cols, p, g, pg);
    product(false, true, rows, rows, cols, pg, p, u);
    eigen_symmetric(rows, u, s);
    product(false, false, n, cols, rows, u, p, a);
    mem_free(pg), mem_free(u), mem_free(s);
    return a;
  }
  double *pp = matrix(cols, cols), *lpp = matrix(cols, cols), *v = matrix(cols, cols), *s = matrix(1, cols);
  cholesky(g, cols);
  product(true, false, cols, cols, rows, p, p, pp);
  product(true, false, cols, cols, cols, g, pp, lpp);
  product(false, false, cols, cols, cols, lpp, g, v);
  eigen_symmetric(cols, v, s);
  product(false, false, n, cols, cols, v, lpp, a);
  for (int64_t r = 0; r < n; r++)
    for (int64_t i = 0; i < cols; i++) a[r * cols + i] *= s[r] > 1e-12 * s[0] ? 1 / sqrt(s[r]) : 0;
  mem_free(pp), mem_free(lpp), mem_free(v), mem_free(s);
  return a;
}

/* Z [n * left][taps]. */
static double *features(const LowrankLayer *l, LowrankMethod m, const Basis *b) {
  double *z = matrix(b->n * b->left, l->taps);
  for (int64_t r = 0; r < b->n; r++)
    for (int64_t t = 0; t < b->left; t++)
      for (int64_t i = 0; i < b->cols; i++)
        z[(r * b->left + t) * l->taps + tap_of(l, m, i, t)] = b->a[r * b->cols + i];
  return z;
}

/* Scale the basis: a row's deviation becomes its root. */
static void balance(const double *g, Basis *b) {
  double *ag = matrix(b->n, b->cols);
  product(false, false, b->n, b->cols, b->cols, b->a, g, ag);
  for (int64_t r = 0; r < b->n; r++) {
    double var = dot(ag + r * b->cols, b->a + r * b->cols, b->cols);
    for (int64_t i = 0; i < b->cols && var > 0; i++) b->a[r * b->cols + i] /= sqrt(sqrt(var));
  }
  mem_free(ag);
}

/* y = L^-1 y, rows of zeros where L's diagonal is 0. */
static void forward(const double *low, int64_t n, double *y, int64_t cols) {
  for (int64_t i = 0; i < n; i++) {
    double pivot = low[i * n + i], *row = y + i * cols;
    for (int64_t j = 0; j < i; j++) {
      double k = low[i * n + j];
      if (k == 0) continue;
      for (int64_t c = 0; c < cols; c++) row[c] -= k * y[j * cols + c];
    }
    for (int64_t c = 0; c < cols; c++) row[c] = pivot > 0 ? row[c] / pivot : 0;
  }
}

/* x = L^-T x over the first n features of `all`. */
static void backward(const double *low, int64_t all, int64_t n, double *x, int64_t cols) {
  for (int64_t i = n; i-- > 0;) {
    double pivot = low[i * all + i], *row = x + i * cols;
    for (int64_t c = 0; c < cols; c++) row[c] = pivot > 0 ? row[c] / pivot : 0;
    for (int64_t j = 0; j < i; j++) {
      double k = low[i * all + j];
      if (k == 0) continue;
      for (int64_t c = 0; c < cols; c++) x[j * cols + c] -= k * row[c];
    }
  }
}

static void decompose(const LowrankLayer *l, LowrankMethod m, Basis *b) {
  int64_t n = b->n * b->left;
  double *z = features(l, m, b), *zg = l->gram ? matrix(n, l->taps) : z;
  if (l->gram) product(false, false, n, l->taps, l->taps, z, l->gram, zg);
  b->l = matrix(n, n);
  b->y = matrix(n, l->o);
  product(false, true, n, n, l->taps, zg, z, b->l);
  product(false, false, n, l->o, l->taps, z, l->target, b->y);
  cholesky(b->l, n);
  forward(b->l, n, b->y, l->o);
  double *w = by_root(l, b->y, n);
  b->sum = matrix(1, b->n + 1);
  for (int64_t r = 0; r < b->n; r++)
    b->sum[r + 1] = b->sum[r] + dot(w + r * b->left * l->o, w + r * b->left * l->o, b->left * l->o);
  mem_free(w);
  if (l->gram) mem_free(zg);
  mem_free(z);
}

static Basis *basis_of(LowrankLayer *l, LowrankMethod m) {
  if (l->basis[m]) return l->basis[m];
  Basis *b = l->basis[m] = mem_zalloc(sizeof *b);
  int64_t in_rank, most = lowrank_most(l, m, &in_rank);
  b->left = left_taps(l, m);
  b->cols = l->taps / b->left;
  b->n = m == LOWRANK_TUCKER ? in_rank : most;
  double *p = unfolded(l, m, b->cols), *g = marginal(l, m, b->cols), *again = matrix(b->cols, b->cols);
  memcpy(again, g, (size_t)(b->cols * b->cols) * sizeof *g);
  b->a = directions(p, l->o * b->left, b->cols, g, b->n);
  balance(again, b);
  decompose(l, m, b);
  mem_free(p), mem_free(g), mem_free(again);
  return b;
}

/* Outputs' directions that the first `rows` rows of the basis explain: eigenvectors of sum R y y^T R^T. */
static void tucker_outputs(const LowrankLayer *l, Basis *b, int64_t rows) {
  if (b->tucker && b->tucker_rows == rows) return;
  double *w = by_root(l, b->y, rows * b->left);
  if (!b->tucker) b->tucker = matrix(l->o, l->o), b->tucker_value = matrix(1, l->o);
  product(true, false, l->o, l->o, rows * b->left, w, w, b->tucker);
  eigen_symmetric(l->o, b->tucker, b->tucker_value);
  b->tucker_rows = rows;
  mem_free(w);
}

/* ---- options */

static void count(const LowrankLayer *l, LowrankOption *o) {
  int64_t r = o->rank, first = 0, second = 0, third = 0, window = l->kh * l->kw;
  if (o->method == LOWRANK_SVD) {
    first = r * l->taps, second = l->o * r;
    o->macs = l->out_pixels * (first + second);
    o->inner = l->out_pixels * r;
  } else if (o->method == LOWRANK_SPATIAL) {
    first = r * l->kh * l->c, second = l->o * l->kw * r;
    o->macs = l->mid_pixels * first + l->out_pixels * second;
    o->inner = l->mid_pixels * r;
  } else {
    first = o->in_rank * l->c, second = r * window * o->in_rank, third = l->o * r;
    o->macs = l->in_pixels * first + l->out_pixels * (second + third);
    o->inner = l->in_pixels * o->in_rank + l->out_pixels * r;
  }
  o->params = first + second + third + (l->bias || l->mean ? l->o : 0);
}

static LowrankLayer sized(const LowrankLayer *l, int64_t outs, int64_t ins) {
  LowrankLayer v = *l;
  v.o = outs, v.c = ins, v.taps = l->kh * l->kw * ins, v.bias = true;
  return v;
}

int64_t lowrank_most_at(const LowrankLayer *l, int64_t outs, int64_t ins, LowrankMethod m, int64_t *in_rank) {
  const LowrankLayer v = sized(l, outs, ins);
  return lowrank_most(&v, m, in_rank);
}

void lowrank_size_at(const LowrankLayer *l, int64_t outs, int64_t ins, LowrankOption *o) {
  const LowrankLayer v = sized(l, outs, ins);
  count(&v, o);
}

void lowrank_whole_at(const LowrankLayer *l, int64_t outs, int64_t ins, int64_t *macs, int64_t *params) {
  LowrankLayer v = sized(l, outs, ins);
  v.bias = l->bias;
  *macs = lowrank_macs(&v), *params = lowrank_params(&v);
}

bool lowrank_option(LowrankLayer *l, LowrankMethod m, int64_t rank, int64_t in_rank, LowrankOption *out) {
  int64_t most_in, most = lowrank_most(l, m, &most_in);
  if (rank < 1 || rank > most || (m == LOWRANK_TUCKER && (in_rank < 1 || in_rank > most_in))) return false;
  *out = (LowrankOption){.method = m, .rank = rank, .in_rank = m == LOWRANK_TUCKER ? in_rank : 0};
  Basis *b = basis_of(l, m);
  double explained = 0;
  if (m == LOWRANK_TUCKER) {
    tucker_outputs(l, b, in_rank);
    for (int64_t i = 0; i < rank; i++) explained += b->tucker_value[i];
  } else {
    explained = b->sum[rank];
  }
  out->error = l->energy > explained ? l->energy - explained : 0;
  count(l, out);
  return true;
}

/* Ranks of a grid of eight. */
static int64_t coarse(int64_t most, int64_t step) { return (most + 8 * step - 1) / (8 * step) * step; }

typedef struct Found {
  LowrankOption *v;
  size_t cap;
  int n;
} Found;

static void add_option(LowrankLayer *l, LowrankMethod m, int64_t rank, int64_t in_rank, Found *f) {
  LowrankOption o = {.method = m, .rank = rank, .in_rank = in_rank};
  count(l, &o);
  if (o.macs >= lowrank_macs(l) || o.params >= lowrank_params(l) || !lowrank_option(l, m, rank, in_rank, &o))
    return;
  void *v = f->v;
  mem_grow(&v, &f->cap, (size_t)f->n + 1, sizeof *f->v);
  f->v = v;
  f->v[f->n++] = o;
}

static void add_method(LowrankLayer *l, LowrankMethod m, int64_t step, Found *f) {
  int64_t most_in, most = lowrank_most(l, m, &most_in);
  if (m != LOWRANK_TUCKER) {
    for (int64_t r = step; r < most; r += step) add_option(l, m, r, 0, f);
    return;
  }
  int64_t by_in = coarse(most_in, step), by = coarse(most, step);
  for (int64_t p = by_in; p < most_in; p += by_in)
    for (int64_t r = by; r < most; r += by) add_option(l, m, r, p, f);
}

static bool beats(const LowrankOption *x, const LowrankOption *y) {
  return x->macs <= y->macs && x->params <= y->params && x->error <= y->error &&
         (x->macs < y->macs || x->params < y->params || x->error < y->error);
}

static int by_macs(const void *a, const void *b) {
  const LowrankOption *x = a, *y = b;
  if (x->macs != y->macs) return x->macs < y->macs ? 1 : -1;
  return (x->error > y->error) - (x->error < y->error);
}

int lowrank_options(LowrankLayer *l, unsigned methods, int64_t step, Arena *a, LowrankOption **out) {
  Found f = {0};
  int kept = 0;
  for (int m = 0; m < LOWRANK_METHODS; m++)
    if (methods & 1u << m) add_method(l, (LowrankMethod)m, step, &f);
  *out = arena_array(a, (size_t)f.n + 1, sizeof **out);
  for (int i = 0; i < f.n; i++) {
    bool beaten = false;
    for (int k = 0; k < f.n && !beaten; k++) beaten = beats(&f.v[k], &f.v[i]);
    if (!beaten) (*out)[kept++] = f.v[i];
  }
  qsort(*out, (size_t)kept, sizeof **out, by_macs);
  mem_free(f.v);
  return kept;
}

/* ---- weights */

/* [rows][cols] in double as float; turn: the matrix is given transposed. */
static float *as_float(const double *x, int64_t rows, int64_t cols, bool turn) {
  float *f = mem_array((size_t)(rows * cols), sizeof *f);
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < cols; j++) f[i * cols + j] = (float)(turn ? x[j * rows + i] : x[i * cols + j]);
  return f;
}

/* Weights from the first n features to the outputs, [n][O]. */
static double *solve(const LowrankLayer *l, const Basis *b, int64_t n) {
  double *w = matrix(n, l->o);
  memcpy(w, b->y, (size_t)(n * l->o) * sizeof *w);
  backward(b->l, b->n * b->left, n, w, l->o);
  return w;
}

/* Core [R][left][P] and last weights [O][R]: outputs' directions u (rows), w as solve gives it. */
static void tucker_factors(const LowrankLayer *l, Basis *b, const LowrankOption *o, const double *w,
                           LowrankFactors *f) {
  int64_t n = o->in_rank * b->left, r = o->rank;
  double *wr = by_root(l, w, n), *core = matrix(r, n), *yw = by_root(l, b->y, n), *yu = matrix(n, r),
         *last = matrix(l->o, r);
  tucker_outputs(l, b, o->in_rank);
  product(false, true, r, n, l->o, b->tucker, wr, core);
  product(false, true, n, r, l->o, yw, b->tucker, yu);
  product(true, false, l->o, r, n, b->y, yu, last);
  f->w[1] = mem_array((size_t)(r * n), sizeof(float));
  f->w[2] = mem_array((size_t)(l->o * r), sizeof(float));
  for (int64_t k = 0; k < r; k++) {
    double v = b->tucker_value[k], size = v > 1e-13 * b->tucker_value[0] ? sqrt(sqrt(v)) : 0;
    for (int64_t p = 0; p < o->in_rank; p++)
      for (int64_t t = 0; t < b->left; t++)
        f->w[1][(k * b->left + t) * o->in_rank + p] =
            (float)(size > 0 ? core[k * n + p * b->left + t] / size : 0);
    for (int64_t i = 0; i < l->o; i++)
      f->w[2][i * r + k] = (float)(size > 0 ? last[i * r + k] * size / v : 0);
  }
  mem_free(wr), mem_free(core), mem_free(yw), mem_free(yu), mem_free(last);
}

/* [O][kx][R] from w [(r, kx)][O]. */
static float *spatial_last(const LowrankLayer *l, const double *w, int64_t rank) {
  float *f = mem_array((size_t)(l->o * l->kw * rank), sizeof *f);
  for (int64_t o = 0; o < l->o; o++)
    for (int64_t t = 0; t < l->kw; t++)
      for (int64_t r = 0; r < rank; r++) f[(o * l->kw + t) * rank + r] = (float)w[(r * l->kw + t) * l->o + o];
  return f;
}

/* What output o is for the mean input, by factors' weights as they are rounded; less what it is by the layer's: into
 * bias. A mean that is not known is 0. */
static void fit_bias(const LowrankLayer *l, const LowrankOption *o, const Basis *b, LowrankFactors *f) {
  const Node *n = &l->g->nodes[l->node];
  if (!l->bias && !l->mean) return;
  f->bias = mem_array((size_t)l->o, sizeof *f->bias);
  if (l->bias) memcpy(f->bias, val_data(l->g, n->in[2]), (size_t)l->o * sizeof *f->bias);
  if (!l->mean) return;
  int64_t rank = o->method == LOWRANK_TUCKER ? o->in_rank : o->rank, mid = rank * b->left;
  double *z = matrix(1, mid), *core = matrix(1, o->rank);
  for (int64_t r = 0; r < rank; r++) /* the features' means, tap by tap */
    for (int64_t t = 0; t < b->left; t++)
      for (int64_t i = 0; i < b->cols; i++)
        z[t * rank + r] += (double)f->w[0][r * b->cols + i] * l->mean[tap_of(l, o->method, i, t)];
  if (o->method == LOWRANK_TUCKER)
    for (int64_t k = 0; k < o->rank; k++)
      for (int64_t i = 0; i < mid; i++) core[k] += (double)f->w[1][k * mid + i] * z[i];
  const double *in = o->method == LOWRANK_TUCKER ? core : z;
  int64_t n_in = o->method == LOWRANK_TUCKER ? o->rank : mid;
  for (int64_t k = 0; k < l->o; k++) {
    double is = 0;
    for (int64_t i = 0; i < n_in; i++) is += (double)f->w[f->n - 1][k * n_in + i] * in[i];
    f->bias[k] = (float)((double)f->bias[k] + dot(l->m + k * l->taps, l->mean, l->taps) - is);
  }
  mem_free(z), mem_free(core);
}

LowrankFactors lowrank_factors(LowrankLayer *l, const LowrankOption *o) {
  Basis *b = basis_of(l, o->method);
  bool tucker = o->method == LOWRANK_TUCKER;
  int64_t rank = tucker ? o->in_rank : o->rank;
  double *w = solve(l, b, rank * b->left);
  LowrankFactors f = {.n = tucker ? 3 : 2};
  f.w[0] = as_float(b->a, rank, b->cols, false);
  if (tucker)
    tucker_factors(l, b, o, w, &f);
  else
    f.w[1] = o->method == LOWRANK_SVD ? as_float(w, l->o, rank, true) : spatial_last(l, w, rank);
  mem_free(w);
  fit_bias(l, o, b, &f);
  return f;
}

void lowrank_factors_free(LowrankFactors *f) {
  for (int i = 0; i < 3; i++) mem_free(f->w[i]);
  mem_free(f->bias);
  *f = (LowrankFactors){0};
}
