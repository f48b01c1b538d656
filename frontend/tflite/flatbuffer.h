/* FlatBuffers, read in place: every offset and length is checked before use, nothing is copied, and the file
 * decides neither recursion nor allocation. Source: FlatBuffers' "Internals" page (tables, vtables, vectors).
 *
 *   root: u32 offset -> table          table: i32 distance back to its vtable, then the fields
 *   vtable: u16 own bytes, u16 table bytes, u16 place of field 0, of field 1, ... (0: absent, take the default)
 *   vector: u32 count, elements        string: a vector of bytes, then a 0
 *
 * The first error sticks in the Fb: from then on readers give absent tables, empty vectors and defaults, so
 * that a caller may read a whole table first and ask fb->what once.
 */
#ifndef FRONTEND_TFLITE_FLATBUFFER_H
#define FRONTEND_TFLITE_FLATBUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Fb {
  const uint8_t *p;
  size_t n;
  const char *what; /* the first error in words; NULL: none */
  size_t at;        /* where in the file it is */
} Fb;

typedef struct FbTable {
  Fb *fb;
  size_t at;     /* 0: absent; every field then has its default */
  size_t vtable; /* place of field 0's entry */
  uint32_t n_fields, size;
} FbTable;

typedef struct FbVec {
  Fb *fb;
  size_t at;  /* first element */
  uint32_t n; /* elements; 0 also where the vector is absent */
  bool present;
} FbVec;

/* True when the bytes begin like a FlatBuffer with this four-letter identifier. */
bool fb_identifier(const Fb *fb, const char *id);
FbTable fb_root(Fb *fb);

/* Field `id` of a table, by kind. Scalars: `otherwise` where absent. */
uint8_t fb_u8(const FbTable *t, uint32_t id, uint8_t otherwise);
int32_t fb_i32(const FbTable *t, uint32_t id, int32_t otherwise);
uint32_t fb_u32(const FbTable *t, uint32_t id, uint32_t otherwise);
uint64_t fb_u64(const FbTable *t, uint32_t id, uint64_t otherwise);
float fb_f32(const FbTable *t, uint32_t id, float otherwise);
FbTable fb_table(const FbTable *t, uint32_t id);
/* Vector of elements of `size` bytes (tables and strings: 4). */
FbVec fb_vec(const FbTable *t, uint32_t id, size_t size);
/* Bytes of a string (not 0-ended), NULL where absent. */
const char *fb_string(const FbTable *t, uint32_t id, size_t *n);

/* Element i < v->n. */
FbTable fb_vec_table(const FbVec *v, uint32_t i);
int32_t fb_vec_i32(const FbVec *v, uint32_t i);
int64_t fb_vec_i64(const FbVec *v, uint32_t i);
float fb_vec_f32(const FbVec *v, uint32_t i);

#endif
