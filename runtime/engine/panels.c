/* Sums of products of rows, by panels of columns.
 *
 *        0 ..... j1 .... n
 *   i0   +------+          panel i0..i1 of the lower triangle: X[:, i0..i1]^T X[:, 0..i1], one task
 *   i1   +------+--+
 */
#include <cblas.h>

#include "ir/base/mem.h"
#include "runtime/engine/gram.h"

enum { PANEL = 48 };

typedef struct Panels {
  Normal *s;
  const float *x, *y;
  int64_t rows;
} Panels;

static void add_into(double *to, int64_t to_stride, const float *from, int64_t n, int64_t m) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < m; j++) to[i * to_stride + j] += (double)from[i * m + j];
}

static void add_gram(void *ctx, int unit, int thread) {
  (void)thread;
  const Panels *p = ctx;
  int64_t n = p->s->n, from = unit * PANEL, to = from + PANEL < n ? from + PANEL : n, count = to - from;
  float *c = mem_array((size_t)(count * to), sizeof *c);
  cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)count, (int)to, (int)p->rows, 1, p->x + from,
              (int)n, p->x, (int)n, 0, c, (int)to);
  for (int64_t i = 0; i < count; i++) add_into(p->s->a + (from + i) * n, n, c + i * to, 1, from + i + 1);
  mem_free(c);
}

static void add_right(void *ctx, int unit, int thread) {
  (void)thread;
  const Panels *p = ctx;
  int64_t n = p->s->n, m = p->s->m, from = unit * PANEL, count = from + PANEL < n ? PANEL : n - from;
  float *c = mem_array((size_t)(count * m), sizeof *c);
  cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)count, (int)m, (int)p->rows, 1, p->x + from,
              (int)n, p->y, (int)m, 0, c, (int)m);
  add_into(p->s->b + from * m, m, c, count, m);
  mem_free(c);
}

void normal_add_right(Normal *s, const float *x, const float *y, int64_t rows, Threads *pool) {
  Panels p = {s, x, y, rows};
  threads_run(pool, add_right, &p, (int)((s->n + PANEL - 1) / PANEL));
  for (int64_t r = 0; r < rows; r++)
    for (int64_t k = 0; k < s->m; k++) s->yy[k] += (double)y[r * s->m + k] * (double)y[r * s->m + k];
}

void normal_add_rows(Normal *s, const float *x, const float *y, int64_t rows, Threads *pool) {
  Panels p = {s, x, y, rows};
  threads_run(pool, add_gram, &p, (int)((s->n + PANEL - 1) / PANEL));
  if (s->m > 0) normal_add_right(s, x, y, rows, pool);
  s->rows += rows;
}

int64_t sample_position(int64_t k, int64_t take, int64_t count, uint32_t image) {
  return (k * count / take + (int64_t)(image * 2654435761u % (uint32_t)count)) % count;
}
