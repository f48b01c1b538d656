/* Protocol Buffers' wire format, read in place: every length is checked before use, nothing is copied.
 *
 *   message: fields one after the other     field: varint key = number << 3 | kind, then
 *     kind 0: varint    1: 8 bytes    2: varint length, bytes (message, string, packed list)    5: 4 bytes
 *
 * A message is a range of bytes; who reads it asks for its fields until there is none. The first error sticks in
 * the Wire and ends every message from then on. No function here recurses: depth is what the caller writes out.
 * Source: Protocol Buffers documentation, "Encoding".
 */
#ifndef FRONTEND_ONNX_WIRE_H
#define FRONTEND_ONNX_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Wire {
  const uint8_t *base;
  size_t n;
  const char *what; /* the first error in words; NULL: none */
  size_t at;        /* where in the file it is */
} Wire;

/* Rest of a message, or bytes of a string. p is NULL where a field is absent. */
typedef struct WireBytes {
  const uint8_t *p;
  size_t n;
} WireBytes;

typedef enum WireKind { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 } WireKind;

typedef struct WireField {
  uint32_t id;
  WireKind kind;
  uint64_t v;      /* kinds 0, 1, 5 */
  WireBytes bytes; /* kind 2 */
} WireField;

/* The next field of the message `m`, which moves past it. false: the end, or an error (w->what). */
bool wire_next(Wire *w, WireBytes *m, WireField *f);
/* The field as a varint, bytes, ...: false, and an error, when it has another kind. */
bool wire_is(Wire *w, const WireField *f, WireKind kind);

/* Repeated scalars, packed or not: call for each field with that id. Calls `add` per element. `kind` is the kind of
 * one element. */
typedef void WireAdd(void *ctx, uint64_t v);
bool wire_repeated(Wire *w, const WireField *f, WireKind kind, WireAdd *add, void *ctx);

float wire_f32(uint64_t bits);
double wire_f64(uint64_t bits);
bool wire_str_is(WireBytes s, const char *text);

#endif
