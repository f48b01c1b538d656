/* FlatBuffers writer, as small as TFLite files need: one buffer, written forward.
 *
 *   table: its vtable, then a 4-byte place for every field; a field is absent until it is set
 *   offsets lead forward: a table or vector is written after what refers to it, and put into its place then
 *
 * Vectors are aligned so that their elements are (and to 16 bytes where wanted: TFLite's buffers). Source: FlatBuffers'
 * "Internals" page.
 */
#ifndef FRONTEND_TFLITE_FB_WRITE_H
#define FRONTEND_TFLITE_FB_WRITE_H

#include <stdint.h>

#include "ir/base/strbuf.h"

typedef struct FbOut {
  size_t at;     /* of the table */
  size_t vtable; /* entry of field 0 */
} FbOut;

void fbw_begin(StrBuf *f, const char *identifier);
/* A table of n fields, and the place that refers to it (0 is the root's) set to it. */
FbOut fbw_table(StrBuf *f, size_t from, uint32_t n);
/* Scalars of 1 or 4 bytes. */
void fbw_u8(StrBuf *f, const FbOut *t, uint32_t id, uint8_t v);
void fbw_u32(StrBuf *f, const FbOut *t, uint32_t id, uint32_t v);
void fbw_f32(StrBuf *f, const FbOut *t, uint32_t id, float v);
/* The place of a field that will refer to a table or vector. */
size_t fbw_place(StrBuf *f, const FbOut *t, uint32_t id);
/* A vector of n elements of `size` bytes, referred to from `from`, elements aligned to `align` (a power of two). */
void fbw_vector(StrBuf *f, size_t from, const void *p, size_t n, size_t size, size_t align);
void fbw_string(StrBuf *f, size_t from, const char *s);
/* A vector of n references to be set; returns the place of the first, 4 bytes each. */
size_t fbw_refs(StrBuf *f, size_t from, uint32_t n);

#endif
