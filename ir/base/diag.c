/* Diag: collects messages as text; see diag.h. Errors beyond DIAG_MAX are counted, not kept. */
#include "ir/base/diag.h"

#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/strbuf.h"

struct Diag {
  StrBuf text;
  int errors;
};

Diag *diag_new(void) { return mem_zalloc(sizeof(Diag)); }

void diag_free(Diag *d) {
  if (!d) return;
  sb_free(&d->text);
  mem_free(d);
}

void loc_format(const Loc *loc, char *buf, size_t n) {
  buf[0] = 0;
  if (!loc || !loc->file) return;
  if (loc->line > 0) {
    snprintf(buf, n, "%s:%d:%d", loc->file, loc->line, loc->col);
  } else if (loc->op) {
    snprintf(buf, n, "%s: node %d \"%s\" (%s)%s%s", loc->file, loc->node, loc->name ? loc->name : "", loc->op,
             loc->pass ? " by pass " : "", loc->pass ? loc->pass : "");
  } else if (loc->name) {
    snprintf(buf, n, "%s: \"%s\"", loc->file, loc->name);
  } else {
    snprintf(buf, n, "%s", loc->file);
  }
}

static void report(Diag *d, const Loc *loc, const char *kind, const char *fmt, va_list ap) {
  char where[512];
  loc_format(loc, where, sizeof where);
  if (where[0]) sb_printf(&d->text, "%s: ", where);
  sb_puts(&d->text, kind);
  sb_vprintf(&d->text, fmt, ap);
  sb_putc(&d->text, '\n');
}

bool diag_error(Diag *d, const Loc *loc, const char *fmt, ...) {
  if (d->errors++ >= DIAG_MAX) return false;
  va_list ap;
  va_start(ap, fmt);
  report(d, loc, "error: ", fmt, ap);
  va_end(ap);
  return false;
}

void diag_warn(Diag *d, const Loc *loc, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  report(d, loc, "warning: ", fmt, ap);
  va_end(ap);
}

void diag_hint(Diag *d, const char *fmt, ...) {
  if (d->errors > DIAG_MAX) return;
  va_list ap;
  va_start(ap, fmt);
  sb_puts(&d->text, "  hint: ");
  sb_vprintf(&d->text, fmt, ap);
  sb_putc(&d->text, '\n');
  va_end(ap);
}

void diag_source(Diag *d, const char *line, int col) {
  if (d->errors > DIAG_MAX) return;
  size_t n = strcspn(line, "\r\n");
  sb_puts(&d->text, "  ");
  sb_write(&d->text, line, n);
  sb_puts(&d->text, "\n  ");
  for (int i = 1; i < col; i++) sb_putc(&d->text, (size_t)i <= n && line[i - 1] == '\t' ? '\t' : ' ');
  sb_puts(&d->text, "^\n");
}

int diag_count(const Diag *d) { return d->errors; }

const char *diag_text(const Diag *d) { return sb_str(&d->text); }

void diag_print(const Diag *d, FILE *to) {
  fputs(diag_text(d), to);
  if (d->errors > DIAG_MAX) fprintf(to, "... and %d more errors\n", d->errors - DIAG_MAX);
}

void diag_clear(Diag *d) {
  sb_clear(&d->text);
  d->errors = 0;
}
