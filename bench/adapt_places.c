/* See adapt_places.h. */
#include "bench/adapt_places.h"

#include <time.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "runtime/engine/privacy/tune.h"

enum { ITEM = 3072, FEWEST = 5 };

static void corrupt(uint8_t *x, int kind, uint32_t i) {
  const CorruptKind as = (CorruptKind)(kind - 1);
  if (kind) corrupt_image(as, corrupt_amount(as, 2), 77, i, x, 32, 32, 3);
}

/* Takes x and y over. */
static Split split_of(uint32_t n, DType t, Shape item, void *x, size_t bytes, int32_t *y) {
  Split s = {
      .n = n, .dtype = t, .item = item, .xb = blob_adopt(x, bytes), .yb = blob_adopt(y, n * sizeof *y)};
  s.x = blob_data(s.xb);
  s.y = blob_data(s.yb);
  return s;
}

static int32_t *labels_of(const Split *s) {
  int32_t *y = mem_array(s->n, sizeof *y);
  memcpy(y, s->y, s->n * sizeof *y);
  return y;
}

static Split features_of(Eyes *e, const Split *images) {
  float *f = mem_array(images->n, SITE_FEATURES * sizeof *f);
  const clock_t start = clock(); /* of all threads: other work on this machine does not count */
  bench_must(e->ad->b,
             graph_outputs(e->body, images, &e->nz, &e->ad->b->host, SITE_FEATURES, f, e->ad->b->d));
  e->seconds += (double)(clock() - start) / CLOCKS_PER_SEC;
  e->images += images->n;
  return split_of(images->n, DT_F32, shape_of(1, (int64_t)SITE_FEATURES), f,
                  images->n * SITE_FEATURES * sizeof *f, labels_of(images));
}

Seen seen_new(Eyes *e, const Split *s, const uint32_t *idx, uint32_t n, int kind) {
  uint8_t *px = mem_array(n, ITEM);
  int32_t *y = mem_array(n, sizeof *y);
  Seen out;
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t from = idx ? idx[i] : i;
    memcpy(px + (size_t)i * ITEM, (const uint8_t *)s->x + (size_t)from * ITEM, ITEM);
    corrupt(px + (size_t)i * ITEM, kind, from);
    y[i] = s->y[from];
  }
  out.images = split_of(n, DT_U8, s->item, px, (size_t)n * ITEM, y);
  out.features = features_of(e, &out.images);
  return out;
}

void seen_free(Seen *s) {
  split_close(&s->images);
  split_close(&s->features);
}

/* -- who has what -- */

/* Gamma(shape < 1) by Marsaglia and Tsang 2000 with its boost. */
static double gamma_draw(double shape, Rng *r) {
  const double d = shape + 1 - 1.0 / 3, c = 1 / sqrt(9 * d);
  for (;;) {
    const double x = (double)rng_normal(r), v = pow(1 + c * x, 3);
    if (v <= 0) continue;
    const double u = (double)rng_uniform(r) + 1e-12;
    if (log(u) < 0.5 * x * x + d - d * v + d * log(v))
      return d * v * pow((double)rng_uniform(r) + 1e-12, 1 / shape);
  }
}

/* Every image of a class goes to a site drawn by the class's Dirichlet(0.3) shares. owner [n] (written). */
static void deal(int sites, const Split *s, uint32_t first, uint32_t n, uint64_t seed, int *owner) {
  double share[SITE_CLASSES][SITES_MOST];
  Rng r;
  rng_seed(&r, seed, 5);
  for (int c = 0; c < SITE_CLASSES; c++) {
    double sum = 0;
    for (int k = 0; k < sites; k++) sum += share[c][k] = gamma_draw(0.3, &r);
    for (int k = 0; k < sites; k++) share[c][k] /= sum;
  }
  for (uint32_t i = 0; i < n; i++) {
    double u = (double)rng_uniform(&r);
    int k = 0;
    while (k + 1 < sites && (u -= share[s->y[first + i]][k]) > 0) k++;
    owner[i] = k;
  }
}

Places places_new(Eyes *e, const Split *s, uint32_t first, int sites, uint64_t seed) {
  const uint32_t n = s->n - first;
  int *owner = mem_array(n, sizeof *owner);
  uint32_t *idx = mem_array(n, sizeof *idx);
  Places out = {.at = mem_array((size_t)sites, sizeof *out.at)};
  deal(sites, s, first, n, seed, owner);
  for (int k = 0; k < sites; k++) {
    uint32_t m = 0;
    for (uint32_t i = 0; i < n; i++)
      if (owner[i] == k) idx[m++] = first + i;
    if (m < FEWEST) continue; /* a site without data is none */
    Place *p = &out.at[out.n++];
    *p = (Place){.kind = k % SITE_KINDS};
    p->has = seen_new(e, s, idx, m, p->kind);
    for (uint32_t i = 0; i < m; i++) p->mix[p->has.images.y[i]] += 1.0 / m;
  }
  mem_free(owner);
  mem_free(idx);
  return out;
}

void places_free(Places *p) {
  for (int k = 0; k < p->n; k++) seen_free(&p->at[k].has);
  mem_free(p->at);
  *p = (Places){0};
}

static Split joined(const Places *p, bool features) {
  uint32_t n = 0, at = 0;
  const Split *one = features ? &p->at[0].has.features : &p->at[0].has.images;
  const size_t item = (size_t)shape_count(&one->item) * dtype_size(one->dtype);
  for (int k = 0; k < p->n; k++) n += p->at[k].has.images.n;
  char *x = mem_array(n, item);
  int32_t *y = mem_array(n, sizeof *y);
  for (int k = 0; k < p->n; k++) {
    const Split *s = features ? &p->at[k].has.features : &p->at[k].has.images;
    memcpy(x + at * item, s->x, s->n * item);
    memcpy(y + at, s->y, s->n * sizeof *y);
    at += s->n;
  }
  return split_of(n, one->dtype, one->item, x, n * item, y);
}

Seen places_pooled(const Places *p) { return (Seen){joined(p, false), joined(p, true)}; }
