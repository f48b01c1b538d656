/* Feeding: one unit of work per example; what an example becomes depends on its index alone (augment.c). */
#include "runtime/engine/feed.h"

#include "ir/base/mem.h"

bool feed_new(Feed *f, const Session *s, const Split *split, const Normalize *nz, Diag *d) {
  *f = (Feed){.split = split, .nz = nz, .pool = session_pool(s)};
  FAIL_IF(split->n == 0, d, NULL, "the data split is empty");
  TRY(input_map(session_input_shape(s), &split->item, &f->map, d));
  if (!f->map.to_chw) return true;
  int threads = threads_count(f->pool);
  f->scratch = mem_array((size_t)threads, sizeof *f->scratch);
  for (int i = 0; i < threads; i++) f->scratch[i] = mem_array((size_t)f->map.count, sizeof(float));
  return true;
}

void feed_free(Feed *f) {
  for (int i = 0; f->scratch && i < threads_count(f->pool); i++) mem_free(f->scratch[i]);
  mem_free(f->scratch);
  *f = (Feed){0};
}

typedef struct Batch {
  const Feed *f;
  const Augment *aug;
  const uint32_t *idx;
  uint32_t first;
  float *out;
} Batch;

static void feed_one(void *ctx, int unit, int thread) {
  const Batch *b = ctx;
  const Feed *f = b->f;
  uint32_t i = b->idx ? b->idx[unit] : b->first + (uint32_t)unit;
  input_item(&f->map, f->split, f->nz, b->aug, i, b->out + unit * f->map.count,
             f->scratch ? f->scratch[thread] : NULL);
}

void feed_batch(const Feed *f, const Augment *aug, const uint32_t *idx, uint32_t first, int n, float *out) {
  Batch b = {f, aug, idx, first, out};
  threads_run(f->pool, feed_one, &b, n);
}
