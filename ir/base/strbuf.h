/* StrBuf: a growable string. Zero-initialise; always NUL-terminated once written to; sb_free when done. */
#ifndef IR_BASE_STRBUF_H
#define IR_BASE_STRBUF_H

#include <stdarg.h>
#include <stddef.h>

typedef struct StrBuf {
  char *s; /* NULL while empty: print with sb_str */
  size_t len, cap;
} StrBuf;

void sb_putc(StrBuf *b, char c);
void sb_puts(StrBuf *b, const char *s);
void sb_write(StrBuf *b, const void *p, size_t n);
void sb_printf(StrBuf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sb_vprintf(StrBuf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
const char *sb_str(const StrBuf *b); /* "" when empty */
void sb_clear(StrBuf *b);
void sb_free(StrBuf *b);

/* JSON text: a quoted, escaped string. */
void sb_json_str(StrBuf *b, const char *s);

/* The shortest decimal text that reads back as the same float32 ("inf", "-inf", "nan" otherwise). */
void sb_float(StrBuf *b, float v);

#endif
