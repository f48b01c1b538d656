/* FlatBuffers writer: see fb_write.h. */
#include "frontend/tflite/fb_write.h"

#include <string.h>

#include "ir/base/diag.h"

static void put32(StrBuf *f, uint32_t v) {
  for (int i = 0; i < 4; i++) sb_putc(f, (char)(v >> 8 * i));
}

static void put16(StrBuf *f, uint32_t v) {
  sb_putc(f, (char)v);
  sb_putc(f, (char)(v >> 8));
}

static void set32(StrBuf *f, size_t at, uint32_t v) {
  for (size_t i = 0; i < 4; i++) f->s[at + i] = (char)(v >> 8 * i);
}

/* Zeros until what comes `ahead` bytes later lies at a multiple of `align`. */
static void align_to(StrBuf *f, size_t align, size_t ahead) {
  while ((f->len + ahead) % align != 0) sb_putc(f, 0);
}

static void refer(StrBuf *f, size_t from, size_t to) {
  ASSERT(to > from && to - from <= INT32_MAX);
  set32(f, from, (uint32_t)(to - from));
}

void fbw_begin(StrBuf *f, const char *identifier) {
  put32(f, 0);
  sb_write(f, identifier, 4);
}

FbOut fbw_table(StrBuf *f, size_t from, uint32_t n) {
  align_to(f, 4, 4 + 2 * (size_t)n); /* the table follows its vtable */
  FbOut t = {.vtable = f->len + 4};
  put16(f, 4 + 2 * n);
  put16(f, 4 + 4 * n);
  for (uint32_t i = 0; i < n; i++) put16(f, 0);
  t.at = f->len;
  put32(f, (uint32_t)(t.at - (t.vtable - 4)));
  for (uint32_t i = 0; i < n; i++) put32(f, 0);
  refer(f, from, t.at);
  return t;
}

size_t fbw_place(StrBuf *f, const FbOut *t, uint32_t id) {
  const uint32_t off = 4 + 4 * id;
  f->s[t->vtable + 2 * id] = (char)off;
  f->s[t->vtable + 2 * id + 1] = (char)(off >> 8);
  return t->at + off;
}

void fbw_u8(StrBuf *f, const FbOut *t, uint32_t id, uint8_t v) { f->s[fbw_place(f, t, id)] = (char)v; }
void fbw_u32(StrBuf *f, const FbOut *t, uint32_t id, uint32_t v) { set32(f, fbw_place(f, t, id), v); }

void fbw_f32(StrBuf *f, const FbOut *t, uint32_t id, float v) {
  uint32_t bits;
  memcpy(&bits, &v, sizeof bits);
  fbw_u32(f, t, id, bits);
}

void fbw_vector(StrBuf *f, size_t from, const void *p, size_t n, size_t size, size_t align) {
  align_to(f, align < 4 ? 4 : align, 4);
  refer(f, from, f->len);
  put32(f, (uint32_t)n);
  sb_write(f, p, n * size); /* little-endian hosts, as everywhere in our files */
}

void fbw_string(StrBuf *f, size_t from, const char *s) {
  fbw_vector(f, from, s, strlen(s), 1, 4);
  sb_putc(f, 0);
}

size_t fbw_refs(StrBuf *f, size_t from, uint32_t n) {
  align_to(f, 4, 4);
  refer(f, from, f->len);
  put32(f, n);
  size_t first = f->len;
  for (uint32_t i = 0; i < n; i++) put32(f, 0);
  return first;
}
