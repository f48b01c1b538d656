/* Writing the wire format: see writer.h. Little-endian and byte by byte, the same on every machine. */
#include "frontend/onnx/writer.h"

#include <string.h>

static void varint(StrBuf *to, uint64_t v) {
  for (; v > 127; v >>= 7) sb_putc(to, (char)(v | 128));
  sb_putc(to, (char)v);
}

static void key(StrBuf *to, uint32_t id, unsigned kind) { varint(to, (uint64_t)id << 3 | kind); }

void pb_int(StrBuf *to, uint32_t id, int64_t v) {
  key(to, id, 0);
  varint(to, (uint64_t)v);
}

void pb_float(StrBuf *to, uint32_t id, float v) {
  uint32_t bits;
  memcpy(&bits, &v, sizeof bits);
  key(to, id, 5);
  for (int i = 0; i < 4; i++) sb_putc(to, (char)(bits >> 8 * i));
}

void pb_bytes(StrBuf *to, uint32_t id, const void *p, size_t n) {
  key(to, id, 2);
  varint(to, n);
  if (n) sb_write(to, p, n);
}

void pb_str(StrBuf *to, uint32_t id, const char *s) { pb_bytes(to, id, s, strlen(s)); }

void pb_message(StrBuf *to, uint32_t id, StrBuf *from) {
  pb_bytes(to, id, from->s, from->len);
  sb_free(from);
}
