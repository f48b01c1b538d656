/* Teacher banks as they are read: see bank.c. */
#ifndef RUNTIME_ENGINE_TRAIN_BANK_H
#define RUNTIME_ENGINE_TRAIN_BANK_H

#include "runtime/engine/train/train.h"

typedef struct Bank {
  Blob *bytes;            /* a reference of its own */
  const uint16_t *logits; /* [views][n][classes] float16 */
  uint32_t n;
  int views, classes;
  uint64_t seed; /* of the views */
} Bank;

/* Refuses a bank of other examples, another augmentation, another teacher or number of views: reported. */
bool bank_open(Bank *b, Blob *bytes, const Graph *teacher, const Dataset *ds, const TrainOptions *o, Diag *d);
void bank_close(Bank *b);
/* Logits of example i as it is seen in this augmentation's stream, to out [classes]. */
void bank_read(const Bank *b, const Augment *a, uint32_t i, float *out);

#endif
