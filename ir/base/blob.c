/* Blob: see blob.h. Aligned copy and hash are made lazily, under one lock per blob. */
#include "ir/base/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ir/base/diag.h"
#include "ir/base/mem.h"

enum { ALIGN = 64 };

struct Blob {
  atomic_int refs;
  const unsigned char *bytes;
  size_t size;
  unsigned char *owned; /* freed with the blob */
  void *map;            /* unmapped with the blob */
  Blob *parent;
  BlobMake *make; /* of the bytes, into `aligned`; NULL: they are there */
  void (*drop)(void *ctx);
  void *ctx;
  int depth;
  pthread_mutex_t lock; /* guards the three below */
  unsigned char *aligned;
  bool hashed;
  Hash hash;
};

static Blob *make(const void *bytes, size_t n) {
  Blob *b = mem_zalloc(sizeof *b);
  atomic_init(&b->refs, 1);
  b->bytes = bytes;
  b->size = n;
  pthread_mutex_init(&b->lock, NULL);
  return b;
}

/* The lazy fields do not change what a blob is, so that readers hold it const. */
static Blob *mutable_blob(const Blob *b) { return (Blob *)(uintptr_t)b; }

Blob *blob_new(const void *bytes, size_t n) {
  unsigned char *copy = mem_alloc_aligned(n, ALIGN);
  if (bytes && n) memcpy(copy, bytes, n);
  if (!bytes) memset(copy, 0, n);
  return blob_adopt(copy, n);
}

Blob *blob_adopt(void *bytes, size_t n) {
  Blob *b = make(bytes, n);
  b->owned = bytes;
  return b;
}

Blob *blob_view(Blob *parent, const void *bytes, size_t n) {
  Blob *b = make(bytes, n);
  b->parent = blob_ref(parent);
  return b;
}

Blob *blob_later(size_t n, BlobMake *make_bytes, void *ctx, void (*drop)(void *ctx), int depth) {
  Blob *b = make(NULL, n);
  b->make = make_bytes;
  b->drop = drop;
  b->ctx = ctx;
  b->depth = depth;
  return b;
}

int blob_depth(const Blob *b) {
  if (!b->make) return 0;
  Blob *m = mutable_blob(b);
  pthread_mutex_lock(&m->lock);
  bool made = m->aligned != NULL;
  pthread_mutex_unlock(&m->lock);
  return made ? 0 : b->depth;
}

Blob *blob_map(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return NULL;
  struct stat st;
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
    int why = S_ISDIR(st.st_mode) ? EISDIR : errno ? errno : EINVAL;
    close(fd);
    errno = why;
    return NULL;
  }
  size_t n = (size_t)st.st_size;
  void *p = n ? mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
  close(fd);
  if (p == MAP_FAILED) return NULL;
  Blob *b = make(p, n);
  b->map = p;
  return b;
}

Blob *blob_ref(Blob *b) {
  if (b) atomic_fetch_add(&b->refs, 1);
  return b;
}

void blob_unref(Blob *b) {
  if (!b || atomic_fetch_sub(&b->refs, 1) != 1) return;
  if (b->map) munmap(b->map, b->size);
  mem_free(b->owned);
  mem_free(b->aligned);
  blob_unref(b->parent);
  if (b->drop) b->drop(b->ctx);
  pthread_mutex_destroy(&b->lock);
  mem_free(b);
}

const void *blob_data(const Blob *b) {
  if (!b->make && (uintptr_t)b->bytes % ALIGN == 0) return b->bytes;
  Blob *m = mutable_blob(b);
  pthread_mutex_lock(&m->lock);
  if (!m->aligned) {
    unsigned char *copy = mem_alloc_aligned(b->size, ALIGN);
    if (b->make)
      b->make(b->ctx, copy, b->size);
    else if (b->size)
      memcpy(copy, b->bytes, b->size);
    m->aligned = copy;
  }
  pthread_mutex_unlock(&m->lock);
  return m->aligned;
}

const void *blob_raw(const Blob *b) { return b->make ? blob_data(b) : b->bytes; }

bool blob_is_view_of(const Blob *b, const Blob *parent) {
  Blob *m = mutable_blob(b);
  pthread_mutex_lock(&m->lock);
  bool copied = m->aligned != NULL;
  pthread_mutex_unlock(&m->lock);
  return b->parent == parent && !copied;
}

size_t blob_size(const Blob *b) { return b->size; }

Hash blob_hash(const Blob *b) {
  Blob *m = mutable_blob(b);
  const void *bytes = blob_raw(b);
  pthread_mutex_lock(&m->lock);
  if (!m->hashed) {
    m->hash = hash_bytes(bytes, b->size);
    m->hashed = true;
  }
  Hash h = m->hash;
  pthread_mutex_unlock(&m->lock);
  return h;
}
