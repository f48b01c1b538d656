/* Feeding: one unit of work per example; what an example becomes depends on its index alone (data/augment.h).
 *
 *   stored example -> augmented -> mixed with its partner -> resized -> the model's layout
 */
#include "runtime/engine/feed.h"

#include "ir/base/mem.h"

#include <string.h>

static int64_t channels(const Feed *f) { return f->split->item.d[2]; }

bool feed_new_sized(Feed *f, const Session *s, const Split *split, const Normalize *nz, int64_t h, int64_t w,
                    Diag *d) {
  *f = (Feed){.split = split, .nz = nz, .pool = session_pool(s)};
  FAIL_IF(split->n == 0, d, NULL, "the data split is empty");
  Shape item = split->item;
  if (h <= 0 && !input_resized(session_input_shape(s), &item, &h, &w)) h = 0;
  if (h > 0 && item.rank == 3 && (item.d[0] != h || item.d[1] != w)) {
    f->resize = resizer_new((int)item.d[0], (int)item.d[1], (int)h, (int)w);
    item.d[0] = h;
    item.d[1] = w;
  }
  TRY(input_map(session_input_shape(s), &item, &f->map, d));
  size_t count = (size_t)shape_count(&split->item) * 2;
  if (f->resize) count += (size_t)f->map.count + resizer_scratch(f->resize, (int)channels(f));
  int threads = threads_count(f->pool);
  f->scratch = mem_array((size_t)threads, sizeof *f->scratch);
  for (int i = 0; i < threads; i++) f->scratch[i] = mem_array(count, sizeof(float));
  return true;
}

bool feed_new(Feed *f, const Session *s, const Split *split, const Normalize *nz, Diag *d) {
  return feed_new_sized(f, s, split, nz, 0, 0, d);
}

void feed_free(Feed *f) {
  for (int i = 0; f->scratch && i < threads_count(f->pool); i++) mem_free(f->scratch[i]);
  mem_free(f->scratch);
  resizer_free(f->resize);
  *f = (Feed){0};
}

typedef struct Batch {
  const Feed *f;
  const Augment *aug;
  const uint32_t *idx;
  uint32_t first;
  float *out;
} Batch;

/* Example i in its stored shape, mixed with its partner, to x; y: scratch of the same size. */
static void make_item(const Feed *f, const Augment *aug, uint32_t i, float *x, float *y) {
  split_item(f->split, f->nz, aug, i, x);
  if (!aug) return;
  const Shape *item = &f->split->item;
  const bool image = item->rank == 3;
  const int64_t h = image ? item->d[0] : 1, w = image ? item->d[1] : 1, c = shape_count(item) / (h * w);
  const Mixing m = augment_mix(aug, f->split->n, i, h, w);
  if (m.partner == i) return;
  const Augment theirs = augment_partner(aug, i);
  split_item(f->split, f->nz, &theirs, m.partner, y);
  if (!m.cut)
    for (int64_t k = 0; k < h * w * c; k++) x[k] = m.share * x[k] + (1 - m.share) * y[k];
  for (int64_t row = m.y0; row < m.y1; row++)
    memcpy(x + (row * w + m.x0) * c, y + (row * w + m.x0) * c, (size_t)((m.x1 - m.x0) * c) * sizeof *x);
}

static void feed_one(void *ctx, int unit, int thread) {
  const Batch *b = ctx;
  const Feed *f = b->f;
  uint32_t i = b->idx ? b->idx[unit] : b->first + (uint32_t)unit;
  float *out = b->out + unit * f->map.count, *x = f->scratch[thread], *y = x + shape_count(&f->split->item);
  if (!f->resize && !f->map.to_chw) {
    make_item(f, b->aug, i, out, y);
    return;
  }
  make_item(f, b->aug, i, x, y);
  if (f->resize) {
    float *small = y + shape_count(&f->split->item);
    resizer_run(f->resize, x, small, (int)channels(f), small + f->map.count);
    x = small;
  }
  input_move(&f->map, x, out);
}

void feed_batch(const Feed *f, const Augment *aug, const uint32_t *idx, uint32_t first, int n, float *out) {
  Batch b = {f, aug, idx, first, out};
  threads_run(f->pool, feed_one, &b, n);
}
