/* Rounding of weights with a view to what the layer computes. With e the errors of one channel's weights (and bias), the
 * outputs are off by e^T H e, H = X^T X.
 *
 *   H = U D U^T, U upper triangular with ones     weights in an order of falling H_kk, the bias last
 *   q_k = round(w_k + sum over j < k of (w_j - q_j) U_jk)        the bias takes the last sum as it is
 *   then each weight once more to the code that is best beside all others, a few times
 *
 * The first step is GPTQ's (Frantar et al. 2022, arXiv:2210.17323) as Chee et al. 2023 (arXiv:2307.13304, section 3.1,
 * theorem 6) have it, which needs no inverse.
 */
#include "passes/quant_weights.h"

#include <math.h>
#include <string.h>

#include "ir/base/mem.h"

enum { TRIES = 24, SCALES = 11, SWEEPS = 4 };

static int32_t code_of(double w, double scale, int32_t most) {
  const double v = round(w / scale);
  return v > most ? most : v < -most ? -most : (int32_t)v;
}

static double dot(const double *a, const double *b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

float scale_search(const float *w, int64_t each, int32_t most) {
  double largest = 0, least = INFINITY, best = 0;
  for (int64_t i = 0; i < each; i++) largest = fmax(largest, fabs((double)w[i]));
  if (largest < 1e-30) return 0;
  for (int t = 0; t < TRIES; t++) {
    const double scale = largest / most * (1 - 0.7 * t / TRIES);
    double sum = 0;
    for (int64_t i = 0; i < each; i++) {
      const double e = (double)w[i] - scale * code_of((double)w[i], scale, most);
      sum += e * e;
    }
    if (sum >= least) continue;
    least = sum;
    best = scale;
  }
  return (float)best;
}

/* -- one system -- */

typedef struct Gptq {
  int64_t n;      /* weights and the bias, which is last */
  int64_t *order; /* [n] the unknown at each place */
  double *h, *u;  /* [n][n] in that order */
  double *d;      /* [n] */
} Gptq;

static void find_order(Gptq *s, const double *h) {
  for (int64_t i = 0; i < s->n; i++) s->order[i] = i;
  for (int64_t i = 1; i < s->n - 1; i++) { /* insertion: stable, and quick beside the rest */
    const int64_t k = s->order[i];
    int64_t at = i;
    for (; at > 0 && h[s->order[at - 1] * (s->n + 1)] < h[k * (s->n + 1)]; at--)
      s->order[at] = s->order[at - 1];
    s->order[at] = k;
  }
}

/* U of H = U D U^T, from the last column to the first; a pivot that is nothing gives no feedback. */
static void factor(Gptq *s) {
  const int64_t n = s->n;
  double *t = mem_array((size_t)n, sizeof *t), *d = s->d;
  memcpy(s->u, s->h, (size_t)(n * n) * sizeof *s->u);
  for (int64_t k = n - 1; k >= 0; k--) {
    double *row = s->u + k * n;
    for (int64_t m = k + 1; m < n; m++) t[m] = row[m] * d[m];
    d[k] = s->h[k * n + k] - dot(row + k + 1, t + k + 1, n - k - 1);
    const bool none = !(d[k] > 1e-10 * s->h[k * n + k]);
    if (none) d[k] = 0;
    for (int64_t j = 0; j < k; j++) {
      double *other = s->u + j * n;
      other[k] = none ? 0 : (other[k] - dot(other + k + 1, t + k + 1, n - k - 1)) / d[k];
    }
  }
  mem_free(t);
}

static void gptq_open(Gptq *s, const double *h, int64_t n) {
  double mean = 0;
  *s = (Gptq){.n = n};
  s->order = mem_array((size_t)n, sizeof *s->order);
  s->h = mem_array((size_t)(n * n), sizeof *s->h);
  s->u = mem_array((size_t)(n * n), sizeof *s->u);
  s->d = mem_array((size_t)n, sizeof *s->d);
  find_order(s, h);
  for (int64_t i = 0; i < n - 1; i++) mean += h[i * (n + 1)] / (double)(n - 1);
  for (int64_t i = 0; i < n; i++)
    for (int64_t k = 0; k < n; k++) s->h[i * n + k] = h[s->order[i] * n + s->order[k]];
  for (int64_t i = 0; i < n - 1; i++) s->h[i * (n + 1)] += 0.01 * mean + 1e-30;
  factor(s);
}

static void gptq_close(Gptq *s) {
  mem_free(s->order);
  mem_free(s->h);
  mem_free(s->u);
  mem_free(s->d);
}

/* One channel: w and q in the system's order; e (written): errors, of the bias too. Returns e^T H e. */
static double round_channel(const Gptq *s, const double *w, double scale, int32_t most, int32_t *q, double *e,
                            double *feedback) {
  const int64_t n = s->n;
  double error = 0;
  memset(feedback, 0, (size_t)n * sizeof *feedback);
  for (int64_t k = 0; k < n; k++) {
    if (k < n - 1) {
      q[k] = code_of(w[k] + feedback[k], scale, most);
      e[k] = w[k] - scale * q[k];
      error += s->d[k] * (e[k] + feedback[k]) * (e[k] + feedback[k]);
    } else {
      e[k] = -feedback[k];
    }
    const double *u = s->u + k * n;
    for (int64_t m = k + 1; m < n; m++) feedback[m] += e[k] * u[m];
  }
  return error;
}

/* The scale of least error among SCALES, from what holds the largest weight downwards. */
static double find_scale(const Gptq *s, const double *w, int32_t most, int32_t *q, double *e,
                         double *feedback) {
  double largest = 0, least = INFINITY, best = 0;
  for (int64_t k = 0; k < s->n - 1; k++) largest = fmax(largest, fabs(w[k]));
  for (int t = 0; t < SCALES && largest >= 1e-30; t++) {
    const double scale = (double)(float)(largest / most * (1 - 0.05 * t)),
                 error = round_channel(s, w, scale, most, q, e, feedback);
    if (error >= least) continue;
    least = error;
    best = scale;
  }
  return best;
}

/* Each unknown anew beside the others: the bias, then every weight whose best code is another one. */
static bool improve(const Gptq *s, const double *w, double scale, int32_t most, int32_t *q, double *e) {
  const int64_t n = s->n, last = n - 1;
  bool changed = false;
  if (s->h[last * n + last] > 0) e[last] -= dot(s->h + last * n, e, n) / s->h[last * n + last];
  for (int64_t k = 0; k < last; k++) {
    const double hkk = s->h[k * n + k], rest = dot(s->h + k * n, e, n) - hkk * e[k];
    const int32_t best = code_of(w[k] + rest / hkk, scale, most);
    if (best == q[k]) continue;
    q[k] = best;
    e[k] = w[k] - scale * best;
    changed = true;
  }
  return changed;
}

void gptq_round(const double *h, const float *w, int64_t outs, int64_t each, float *scale, int32_t most,
                int8_t *q, double *bias) {
  Gptq s;
  gptq_open(&s, h, each + 1);
  double *v = mem_array((size_t)s.n, sizeof *v), *e = mem_array((size_t)s.n, sizeof *e),
         *feedback = mem_array((size_t)s.n, sizeof *feedback);
  int32_t *code = mem_array((size_t)s.n, sizeof *code);
  for (int64_t o = 0; o < outs; o++) {
    for (int64_t k = 0; k < each; k++) v[k] = (double)w[o * each + s.order[k]];
    if (!(scale[o] > 0)) scale[o] = (float)find_scale(&s, v, most, code, e, feedback);
    const double step = scale[o] > 0 ? (double)scale[o] : 1;
    round_channel(&s, v, step, most, code, e, feedback);
    for (int i = 0; i < SWEEPS && improve(&s, v, step, most, code, e); i++) continue;
    for (int64_t k = 0; k < each; k++) q[o * each + s.order[k]] = (int8_t)code[k];
    bias[o] = -e[each];
  }
  mem_free(v);
  mem_free(e);
  mem_free(feedback);
  mem_free(code);
  gptq_close(&s);
}
