/* StrBuf: see strbuf.h. */
#include "ir/base/strbuf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"

static void reserve(StrBuf *b, size_t extra) {
  void *p = b->s;
  mem_grow(&p, &b->cap, b->len + extra + 1, 1);
  b->s = p;
}

void sb_putc(StrBuf *b, char c) {
  reserve(b, 1);
  b->s[b->len++] = c;
  b->s[b->len] = 0;
}

void sb_write(StrBuf *b, const void *p, size_t n) {
  reserve(b, n);
  if (n) memcpy(b->s + b->len, p, n);
  b->len += n;
  b->s[b->len] = 0;
}

void sb_puts(StrBuf *b, const char *s) { sb_write(b, s, strlen(s)); }

void sb_vprintf(StrBuf *b, const char *fmt, va_list ap) {
  va_list again;
  va_copy(again, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  reserve(b, (size_t)n);
  vsnprintf(b->s + b->len, (size_t)n + 1, fmt, again);
  va_end(again);
  b->len += (size_t)n;
}

void sb_printf(StrBuf *b, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  sb_vprintf(b, fmt, ap);
  va_end(ap);
}

const char *sb_str(const StrBuf *b) { return b->s ? b->s : ""; }

void sb_clear(StrBuf *b) {
  b->len = 0;
  if (b->s) b->s[0] = 0;
}

void sb_free(StrBuf *b) {
  mem_free(b->s);
  *b = (StrBuf){0};
}

void sb_json_str(StrBuf *b, const char *s) {
  sb_putc(b, '"');
  for (; *s; s++) {
    unsigned char c = (unsigned char)*s;
    if (c == '"' || c == '\\') {
      sb_putc(b, '\\');
      sb_putc(b, (char)c);
    } else if (c < 0x20) {
      sb_printf(b, "\\u%04x", c);
    } else {
      sb_putc(b, (char)c);
    }
  }
  sb_putc(b, '"');
}

void sb_float(StrBuf *b, float v) {
  if (isnan(v)) {
    sb_puts(b, "nan");
  } else if (isinf(v)) {
    sb_puts(b, v < 0 ? "-inf" : "inf");
  } else {
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
      snprintf(text, sizeof text, "%.*g", digits, (double)v);
      if (strtof(text, NULL) == v) break;
    }
    sb_puts(b, text);
  }
}
