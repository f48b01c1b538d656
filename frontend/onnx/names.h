/* Names: a table from strings to numbers, by open addressing. Keys are borrowed and must outlive it. */
#ifndef FRONTEND_ONNX_NAMES_H
#define FRONTEND_ONNX_NAMES_H

#include <stdint.h>

typedef struct NameSlot {
  const char *key; /* NULL: empty */
  uint32_t value;
} NameSlot;

/* Zero-initialise; names_free when done. */
typedef struct Names {
  NameSlot *slots;
  uint32_t n, n_slots;
} Names;

/* The number stored under `key`, 0 where it is new (then the caller sets it). Valid until the next call. */
uint32_t *names_at(Names *t, const char *key);
/* The same without adding: 0 where it is not there. */
uint32_t names_get(const Names *t, const char *key);
void names_free(Names *t);

#endif
