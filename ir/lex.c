/* The tokens of the text form: ids (%a1), atoms (names, numbers), strings, single characters.
 *
 * One token of lookahead, in the Parser itself. Lines are counted as blanks are skipped, so a token's place costs
 * nothing, and errors show its line with a caret. The text ends at its NUL. "#" starts a comment.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ir/parse.h"

/* -- errors -- */

bool lex_fail_at(Parser *p, const Loc *loc, const char *line, const char *text) {
  diag_error(p->d, loc, "%s", text);
  if (line[strspn(line, " \t\r\n")] != '\0') diag_source(p->d, line, loc->col); /* not the end of the text */
  return false;
}

bool lex_fail(Parser *p, const char *fmt, ...) {
  StrBuf text = {0};
  va_list ap;
  va_start(ap, fmt);
  sb_vprintf(&text, fmt, ap);
  va_end(ap);
  lex_fail_at(p, &p->loc, p->tok_line, sb_str(&text));
  sb_free(&text);
  return false;
}

const char *lex_seen(Parser *p) {
  if (p->tok == TOK_END) return "the end of the text";
  int n = p->len > 40 ? 40 : (int)p->len;
  return arena_printf(p->a, "%s%.*s", p->tok == TOK_ID ? "%" : "", n, p->s);
}

/* -- tokens -- */

bool lex_is_atom(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
         c == '-' || c == '+';
}

void lex_skip_blanks(Parser *p) {
  for (;; p->p++) {
    if (*p->p == '#') p->p += strcspn(p->p, "\n");
    if (*p->p == '\n') {
      p->line = p->p + 1;
      p->line_no++;
    } else if (*p->p != ' ' && *p->p != '\t' && *p->p != '\r') {
      return;
    }
  }
}

void lex_next(Parser *p) {
  lex_skip_blanks(p);
  p->s = p->p;
  p->tok_line = p->line;
  p->loc = (Loc){.file = p->file, .line = p->line_no, .col = (int)(p->p - p->line) + 1};
  if (*p->p == '\0') {
    p->tok = TOK_END;
    p->len = 0;
  } else if (*p->p == '%' || lex_is_atom(*p->p)) {
    p->tok = *p->p == '%' ? TOK_ID : TOK_ATOM;
    if (p->tok == TOK_ID) p->s = ++p->p;
    while (lex_is_atom(*p->p)) p->p++;
    p->len = (size_t)(p->p - p->s);
  } else if (*p->p == '"') {
    p->tok = TOK_STRING;
    for (p->p++; *p->p != '"' && *p->p != '\0' && *p->p != '\n'; p->p++) {
      if (*p->p == '\\' && p->p[1] != '\0') p->p++;
    }
    if (*p->p == '"')
      p->p++;
    else
      p->tok = TOK_BAD;
    p->len = (size_t)(p->p - p->s);
  } else {
    p->tok = TOK_PUNCT;
    p->len = 1;
    p->p++;
  }
}

bool lex_at(const Parser *p, char c) { return p->tok == TOK_PUNCT && *p->s == c; }
bool lex_at_word(const Parser *p, const char *word) {
  return p->tok == TOK_ATOM && p->len == strlen(word) && memcmp(p->s, word, p->len) == 0;
}

bool lex_want(Parser *p, char c) {
  if (!lex_at(p, c)) return lex_fail(p, "want '%c', got %s", c, lex_seen(p));
  lex_next(p);
  return true;
}

char *lex_atom(Parser *p) { return arena_strndup(p->a, p->s, p->len); }

bool lex_int(Parser *p, int64_t least, int64_t most, int64_t *out) {
  Ints v;
  if (p->tok != TOK_ATOM || p->len == 0 || !ints_parse(lex_atom(p), &v) || v.n != 1) {
    return lex_fail(p, "want an integer, got %s", lex_seen(p));
  }
  if (v.v[0] < least || v.v[0] > most) {
    return lex_fail(p, "%" PRId64 " is out of range, want %" PRId64 " to %" PRId64, v.v[0], least, most);
  }
  *out = v.v[0];
  lex_next(p);
  return true;
}

bool lex_float(Parser *p, float *out) {
  char *end = NULL, *text = p->tok == TOK_ATOM ? lex_atom(p) : NULL;
  if (text != NULL) *out = strtof(text, &end);
  if (text == NULL || end == text || *end != '\0') return lex_fail(p, "want a number, got %s", lex_seen(p));
  lex_next(p);
  return true;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

bool lex_string(Parser *p, char **out) {
  if (p->tok == TOK_BAD) return lex_fail(p, "the string does not end on its line");
  if (p->tok != TOK_STRING) return lex_fail(p, "want a string, got %s", lex_seen(p));
  char *to = arena_alloc(p->a, p->len);
  *out = to;
  for (const char *s = p->s + 1; s < p->s + p->len - 1; s++) {
    if (*s != '\\') {
      *to++ = *s;
    } else if (s[1] == '"' || s[1] == '\\') {
      *to++ = *++s;
    } else if (s[1] == 'x' && hex_digit(s[2]) >= 0 && hex_digit(s[3]) >= 0 && (s[2] != '0' || s[3] != '0')) {
      *to++ = (char)(hex_digit(s[2]) * 16 + hex_digit(s[3]));
      s += 3;
    } else {
      return lex_fail(p, "the string has an unknown escape: want \\\", \\\\ or \\xHH");
    }
  }
  lex_next(p);
  return true;
}
