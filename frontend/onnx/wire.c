/* Wire format reader: see wire.h. Loads are byte by byte: no alignment, no byte order of the host. */
#include "frontend/onnx/wire.h"

#include <string.h>

static bool fail(Wire *w, const uint8_t *p, const char *what) {
  if (!w->what) {
    w->what = what;
    w->at = (size_t)(p - w->base);
  }
  return false;
}

static uint64_t load(const uint8_t *p, int bytes) {
  uint64_t v = 0;
  for (int i = bytes; i-- > 0;) v = v << 8 | p[i];
  return v;
}

/* At most ten bytes; the tenth holds one bit. */
static bool varint(Wire *w, WireBytes *m, uint64_t *out) {
  uint64_t v = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (m->n == 0) return fail(w, m->p, "a number that ends outside of its message");
    uint8_t b = *m->p++;
    m->n--;
    if (shift == 63 && b > 1) return fail(w, m->p, "a number of more than 64 bits");
    v |= (uint64_t)(b & 127) << shift;
    if (b < 128) {
      *out = v;
      return true;
    }
  }
  return fail(w, m->p, "a number of more than ten bytes");
}

static bool fixed(Wire *w, WireBytes *m, int bytes, uint64_t *out) {
  if (m->n < (size_t)bytes) return fail(w, m->p, "a number that ends outside of its message");
  *out = load(m->p, bytes);
  m->p += bytes;
  m->n -= (size_t)bytes;
  return true;
}

static bool scalar(Wire *w, WireBytes *m, WireKind kind, uint64_t *out) {
  return kind == WIRE_VARINT ? varint(w, m, out) : fixed(w, m, kind == WIRE_64 ? 8 : 4, out);
}

bool wire_next(Wire *w, WireBytes *m, WireField *f) {
  uint64_t key, n;
  if (w->what || m->n == 0) return false;
  const uint8_t *start = m->p;
  if (!varint(w, m, &key)) return false;
  *f = (WireField){.id = (uint32_t)(key >> 3 & 0x1fffffff), .kind = (WireKind)(key & 7)};
  if (key >> 32 || f->id == 0) return fail(w, start, "a field whose number is out of range");
  switch (f->kind) {
  case WIRE_VARINT:
  case WIRE_64:
  case WIRE_32: return scalar(w, m, f->kind, &f->v);
  case WIRE_BYTES: break;
  default: return fail(w, start, "a field of an unknown kind");
  }
  if (!varint(w, m, &n)) return false;
  if (n > m->n) return fail(w, start, "a field that ends outside of its message");
  f->bytes = (WireBytes){m->p, (size_t)n};
  m->p += n;
  m->n -= (size_t)n;
  return true;
}

bool wire_is(Wire *w, const WireField *f, WireKind kind) {
  if (f->kind == kind) return true;
  if (!w->what) {
    w->what = "a field of another kind than its number says";
    w->at = f->kind == WIRE_BYTES ? (size_t)(f->bytes.p - w->base) : 0;
  }
  return false;
}

bool wire_repeated(Wire *w, const WireField *f, WireKind kind, WireAdd *add, void *ctx) {
  if (f->kind != WIRE_BYTES) {
    if (!wire_is(w, f, kind)) return false;
    add(ctx, f->v);
    return true;
  }
  WireBytes list = f->bytes;
  while (list.n > 0) {
    uint64_t v;
    if (!scalar(w, &list, kind, &v)) return false;
    add(ctx, v);
  }
  return true;
}

float wire_f32(uint64_t bits) {
  uint32_t b = (uint32_t)bits;
  float v;
  memcpy(&v, &b, sizeof v);
  return v;
}

double wire_f64(uint64_t bits) {
  double v;
  memcpy(&v, &bits, sizeof v);
  return v;
}

bool wire_str_is(WireBytes s, const char *text) { return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0; }
