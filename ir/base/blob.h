/* Blob: an immutable, reference-counted run of bytes: weights and other constants.
 *
 * A blob owns heap bytes, or is a view into a mapped file that it keeps alive, or is made at its first use. Graphs in
 * memory share blobs; nobody writes to one after it was made. Counts are atomic: sessions on threads may share them.
 */
#ifndef IR_BASE_BLOB_H
#define IR_BASE_BLOB_H

#include <stdbool.h>
#include <stddef.h>

#include "ir/base/hash.h"

typedef struct Blob Blob;

Blob *blob_new(const void *bytes, size_t n); /* copies; bytes NULL: zeroed */
/* Take ownership of `bytes` (from mem_alloc or mem_alloc_aligned). */
Blob *blob_adopt(void *bytes, size_t n);
/* View of n bytes at `bytes`, kept alive by `parent` (whose count is raised). */
Blob *blob_view(Blob *parent, const void *bytes, size_t n);
/* n bytes that `make` writes when somebody first reads them; `drop` (NULL: nothing) frees ctx with the blob. For what is
 * computed from large constants: a model may be looked at without that work being done. `depth`: one more than the
 * largest of the blobs that `make` reads, so that whoever builds chains can bound them. */
typedef void BlobMake(void *ctx, void *to, size_t n);
Blob *blob_later(size_t n, BlobMake *make, void *ctx, void (*drop)(void *ctx), int depth);
int blob_depth(const Blob *b); /* 0: its bytes are there */
/* Map a file read-only; NULL when it cannot be read (errno says why). An empty file gives n == 0. */
Blob *blob_map(const char *path);

Blob *blob_ref(Blob *b); /* returns b; NULL is allowed */
void blob_unref(Blob *b);

/* The bytes, aligned to 64 for any use: an unaligned view is copied once, at first use. */
const void *blob_data(const Blob *b);
/* The bytes where they lie, without an aligned copy. */
const void *blob_raw(const Blob *b);
/* Are the bytes of b those of `parent`, in place, and not yet copied? (For tests.) */
bool blob_is_view_of(const Blob *b, const Blob *parent);
size_t blob_size(const Blob *b);
Hash blob_hash(const Blob *b); /* computed at first use */

#endif
