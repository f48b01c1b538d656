/* Teacher banks: a teacher's logits of K augmented views of every training example, drawn once from a seed.
 *
 *   "MFBANK1\n"  Head { n, views, classes, seed, augmentation, hashes of data and teacher }   [views][n][classes] float16
 *
 * Pixels are not stored: view v of example i is drawn from (seed, v, i), so that a student sees the very pixels that the
 * teacher saw. In epoch e example i shows view (hash(i) + e) % K (data/augment.h). The teacher runs in batches of one
 * fixed size, whatever the students' are, so that a bank's bytes depend on its own key alone.
 */
#include "runtime/engine/train/bank.h"

#include <stdio.h>
#include <string.h>

#include "ir/base/mem.h"
#include "runtime/engine/feed.h"
#include "runtime/engine/train/half.h"

enum { BANK_BATCH = 64 };

typedef struct Head {
  char magic[8];
  uint32_t n, views, classes, unused;
  uint64_t seed;
  Hash augment, data, teacher;
} Head;

static Hash data_hash(const Dataset *ds) {
  Hasher *h = hasher_new();
  hasher_hash(h, split_hash(&ds->train));
  const Normalize *nz = &ds->spec.normalize;
  hasher_u64(h, (uint64_t)nz->n);
  hasher_bytes(h, nz->scale, (size_t)nz->n * sizeof(float));
  hasher_bytes(h, nz->offset, (size_t)nz->n * sizeof(float));
  return hasher_done(h);
}

static Hash kinds_hash(const Augment *a) {
  Hasher *h = hasher_new();
  augment_hash(h, a);
  return hasher_done(h);
}

static Head head_of(const Graph *teacher, const Dataset *ds, const TrainOptions *o, int classes) {
  return (Head){.magic = "MFBANK1\n",
                .n = ds->train.n,
                .views = (uint32_t)o->views,
                .classes = (uint32_t)classes,
                .seed = o->seed,
                .augment = kinds_hash(&o->augment),
                .data = data_hash(ds),
                .teacher = graph_hash(teacher)};
}

/* -- making -- */

static void keep(const float *z, int64_t n, uint16_t *out) {
  for (int64_t i = 0; i < n; i++) out[i] = half_from(z[i]);
}

static bool fill(Session *s, const Feed *f, const TrainOptions *o, const Host *host, uint16_t *out, Diag *d) {
  uint32_t n = f->split->n;
  int classes = session_classes(s), batch = s->opt.batch;
  for (int v = 0; v < o->views; v++) {
    Augment aug = o->augment;
    aug.seed = o->seed;
    aug.stream = (uint64_t)v;
    for (uint32_t i = 0; i < n; i += (uint32_t)batch) {
      FAIL_IF(host && host->cancelled && host->cancelled(host->ctx), d, NULL, "the teacher was cancelled");
      int count = n - i < (uint32_t)batch ? (int)(n - i) : batch;
      feed_batch(f, &aug, NULL, i, count, session_input(s));
      keep(session_forward(s, session_input(s), count, false), (int64_t)count * classes,
           out + ((int64_t)v * n + i) * classes);
      char detail[64];
      snprintf(detail, sizeof detail, "view %d of %d", v + 1, o->views);
      double done = ((double)v + (double)(i + (uint32_t)count) / n) / o->views;
      if (host && host->progress) host->progress(host->ctx, "teacher", done, detail);
    }
  }
  return true;
}

/* Room for a bank with this head; NULL: reported. */
static char *bank_room(const Head *h, size_t *bytes, Diag *d) {
  const size_t most = (size_t)1 << 32;
  size_t rows, row = h->classes * sizeof(uint16_t);
  if (mem_mul((size_t)h->n, h->views, &rows) && mem_mul(rows, row, bytes) && *bytes <= most)
    return mem_alloc_aligned(sizeof *h + *bytes, 64);
  diag_error(d, NULL, "a bank of %u views of %u examples with %u outputs each: want at most 4 GiB", h->views,
             h->n, h->classes);
  diag_hint(d, "take fewer views, or none: the teacher then runs beside its student");
  return NULL;
}

Blob *teacher_bank(const Graph *teacher, const Dataset *ds, const TrainOptions *o, const Host *host,
                   Diag *d) {
  ASSERT(o->views > 0);
  Session *s = session_new(teacher, &(SessionOptions){.batch = BANK_BATCH, .threads = o->threads}, d);
  Feed f = {0};
  Blob *out = NULL;
  if (s && feed_new(&f, s, &ds->train, &ds->spec.normalize, d)) {
    Head head = head_of(teacher, ds, o, session_classes(s));
    size_t bytes = 0;
    char *p = bank_room(&head, &bytes, d);
    if (p) memcpy(p, &head, sizeof head);
    if (p && fill(s, &f, o, host, (uint16_t *)(void *)(p + sizeof head), d))
      out = blob_adopt(p, sizeof head + bytes);
    else
      mem_free(p);
  }
  if (f.pool) feed_free(&f);
  session_free(s);
  return out;
}

int teacher_bank_views(int views, uint32_t n, int64_t images, int students) {
  return views > 0 && (int64_t)views * n <= images * students ? views : 0;
}

/* -- reading -- */

bool bank_open(Bank *b, Blob *bytes, const Graph *teacher, const Dataset *ds, const TrainOptions *o,
               Diag *d) {
  *b = (Bank){0};
  Head got, want = head_of(teacher, ds, o, 0);
  FAIL_IF(blob_size(bytes) < sizeof got, d, NULL, "the teacher's bank has %zu bytes: it is damaged",
          blob_size(bytes));
  memcpy(&got, blob_data(bytes), sizeof got);
  FAIL_IF(memcmp(got.magic, want.magic, sizeof got.magic) != 0 ||
              blob_size(bytes) - sizeof got != (size_t)got.n * got.views * got.classes * sizeof(uint16_t),
          d, NULL, "the teacher's bank is damaged");
  FAIL_IF(!hash_equal(got.teacher, want.teacher), d, NULL, "the bank was made by another teacher");
  FAIL_IF(!hash_equal(got.data, want.data) || got.n != want.n, d, NULL,
          "the bank was made on other training examples");
  FAIL_IF(!hash_equal(got.augment, want.augment) || got.views != want.views, d, NULL,
          "the bank was made with another augmentation or number of views (%u, want %u)", got.views,
          want.views);
  *b = (Bank){.bytes = blob_ref(bytes),
              .logits = (const uint16_t *)(const void *)((const char *)blob_data(bytes) + sizeof got),
              .n = got.n,
              .views = (int)got.views,
              .classes = (int)got.classes,
              .seed = got.seed};
  return true;
}

void bank_close(Bank *b) {
  blob_unref(b->bytes);
  *b = (Bank){0};
}

void bank_read(const Bank *b, const Augment *a, uint32_t i, float *out) {
  const uint16_t *row = b->logits + ((int64_t)augment_stream(a, i) * b->n + i) * b->classes;
  for (int c = 0; c < b->classes; c++) out[c] = half_to(row[c]);
}
