/* Feeding sessions: examples of a split as a batch of model inputs, made in parallel on a session's pool. */
#ifndef RUNTIME_ENGINE_FEED_H
#define RUNTIME_ENGINE_FEED_H

#include "runtime/data/input_map.h"
#include "runtime/data/resize.h"
#include "runtime/engine/session.h"

typedef struct Feed {
  const Split *split;
  const Normalize *nz;
  InputMap map;
  Threads *pool;
  Resizer *resize; /* NULL: images are fed in their own size */
  float **scratch; /* per thread: [2][item], then what resizing needs */
} Feed;

/* For the session's input. Reports and returns false when the examples do not fit it. */
bool feed_new(Feed *f, const Session *s, const Split *split, const Normalize *nz, Diag *d);
/* The same with images resized to h x w (0, 0: as the input map says). */
bool feed_new_sized(Feed *f, const Session *s, const Split *split, const Normalize *nz, int64_t h, int64_t w,
                    Diag *d);
void feed_free(Feed *f);
/* Examples idx[0..n-1] (idx NULL: first .. first + n - 1), augmented when aug != NULL (mixed with others of the split,
 * too), to out [n][item]. */
void feed_batch(const Feed *f, const Augment *aug, const uint32_t *idx, uint32_t first, int n, float *out);

#endif
