/* JSON: see json.h. Writer: a stack of open containers. Reader: recursive descent over [at, end), every access
 * bounded, depth bounded; RFC 8259 grammar exactly (no comments, no trailing commas, no NaN).
 */
#include "ir/base/json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- Writer */

void json_begin(JsonWriter *w, StrBuf *out, bool pretty) { *w = (JsonWriter){.out = out, .pretty = pretty}; }

bool json_finished(const JsonWriter *w) { return w->done; }

static void new_line(JsonWriter *w) {
  if (!w->pretty) return;
  sb_putc(w->out, '\n');
  for (int i = 0; i < w->depth; i++) sb_puts(w->out, "  ");
}

/* Comma and line break before an item of the innermost container. */
static void next_item(JsonWriter *w) {
  ASSERT(!w->done);
  if (w->depth == 0) return;
  bool *has = &w->has_items[w->depth - 1];
  if (*has) sb_puts(w->out, w->pretty ? "," : ", ");
  *has = true;
  new_line(w);
}

static void before_value(JsonWriter *w) {
  if (w->keyed) {
    w->keyed = false;
    return;
  }
  ASSERT(w->depth == 0 || w->close[w->depth - 1] == ']');
  next_item(w);
}

static void after_value(JsonWriter *w) {
  if (w->depth > 0) return;
  w->done = true;
  if (w->pretty) sb_putc(w->out, '\n');
}

static void open_container(JsonWriter *w, const char *open, char close) {
  before_value(w);
  ASSERT(w->depth < JSON_MAX_DEPTH);
  sb_puts(w->out, open);
  w->close[w->depth] = close;
  w->has_items[w->depth] = false;
  w->depth++;
}

void json_object(JsonWriter *w) { open_container(w, "{", '}'); }
void json_array(JsonWriter *w) { open_container(w, "[", ']'); }

void json_end(JsonWriter *w) {
  ASSERT(w->depth > 0 && !w->keyed);
  w->depth--;
  if (w->has_items[w->depth]) new_line(w);
  sb_putc(w->out, w->close[w->depth]);
  after_value(w);
}

void json_key(JsonWriter *w, const char *key) {
  ASSERT(w->depth > 0 && w->close[w->depth - 1] == '}' && !w->keyed);
  next_item(w);
  sb_json_str(w->out, key);
  sb_puts(w->out, ": ");
  w->keyed = true;
}

void json_str(JsonWriter *w, const char *s) {
  before_value(w);
  if (s) {
    sb_json_str(w->out, s);
  } else {
    sb_puts(w->out, "null");
  }
  after_value(w);
}

void json_int(JsonWriter *w, int64_t v) {
  before_value(w);
  sb_printf(w->out, "%" PRId64, v);
  after_value(w);
}

void json_uint(JsonWriter *w, uint64_t v) {
  before_value(w);
  sb_printf(w->out, "%" PRIu64, v);
  after_value(w);
}

void json_num(JsonWriter *w, double v) {
  before_value(w);
  if (isfinite(v)) {
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
      snprintf(text, sizeof text, "%.*g", digits, v);
      if (strtod(text, NULL) == v) break;
    }
    sb_puts(w->out, text);
  } else {
    sb_puts(w->out, "null");
  }
  after_value(w);
}

void json_bool(JsonWriter *w, bool v) {
  before_value(w);
  sb_puts(w->out, v ? "true" : "false");
  after_value(w);
}

void json_null(JsonWriter *w) { json_str(w, NULL); }

void json_kstr(JsonWriter *w, const char *key, const char *s) { json_key(w, key), json_str(w, s); }
void json_kint(JsonWriter *w, const char *key, int64_t v) { json_key(w, key), json_int(w, v); }
void json_knum(JsonWriter *w, const char *key, double v) { json_key(w, key), json_num(w, v); }
void json_kbool(JsonWriter *w, const char *key, bool v) { json_key(w, key), json_bool(w, v); }
void json_kobject(JsonWriter *w, const char *key) { json_key(w, key), json_object(w); }
void json_karray(JsonWriter *w, const char *key) { json_key(w, key), json_array(w); }

/* ---- Reader */

typedef struct Reader {
  Arena *a;
  const char *text, *at, *end;
  const char *file;
  int depth;
  Diag *d;
} Reader;

static Json *read_value(Reader *r);

static bool fail(Reader *r, const char *got_wanted) {
  Loc loc = {.file = r->file, .line = 1};
  const char *line = r->text;
  for (const char *p = r->text; p < r->at; p++) {
    if (*p != '\n') continue;
    loc.line++;
    line = p + 1;
  }
  loc.col = (int)(r->at - line) + 1;
  size_t n = 0;
  while (line + n < r->end && line[n] != '\n') n++;
  diag_error(r->d, &loc, "not JSON: %s", got_wanted);
  if (n <= 200) diag_source(r->d, arena_strndup(r->a, line, n), loc.col);
  return false;
}

static void skip_space(Reader *r) {
  while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r')) r->at++;
}

static bool next_is(Reader *r, char c) {
  skip_space(r);
  return r->at < r->end && *r->at == c;
}

static bool take(Reader *r, char c) {
  if (!next_is(r, c)) return false;
  r->at++;
  return true;
}

static bool take_word(Reader *r, const char *word) {
  size_t n = strlen(word);
  if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0) return false;
  r->at += n;
  return true;
}

static bool read_hex4(Reader *r, uint32_t *out) {
  *out = 0;
  for (int i = 0; i < 4; i++, r->at++) {
    const char *digits = "0123456789abcdef0123456789ABCDEF";
    const char *hit = r->at < r->end && *r->at ? strchr(digits, *r->at) : NULL;
    if (!hit) return fail(r, "want four hexadecimal digits after \\u");
    *out = *out << 4 | ((uint32_t)(hit - digits) & 15);
  }
  return true;
}

static char *put_utf8(char *to, uint32_t c) {
  if (c < 0x80) {
    *to++ = (char)c;
    return to;
  }
  int extra = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  static const unsigned lead[4] = {0, 0xc0, 0xe0, 0xf0};
  *to++ = (char)(lead[extra] | c >> (6 * extra));
  while (extra-- > 0) *to++ = (char)(0x80 | (c >> (6 * extra) & 0x3f));
  return to;
}

/* After "\u". At most 4 bytes are written for each 6 or 12 read. */
static bool read_unicode(Reader *r, char **to) {
  uint32_t c, low;
  TRY(read_hex4(r, &c));
  if (c == 0) return fail(r, "\\u0000 is not allowed in a string");
  if (c >= 0xdc00 && c <= 0xdfff) return fail(r, "second half of a surrogate pair without the first");
  if (c >= 0xd800 && c <= 0xdbff) {
    if (!take_word(r, "\\u")) return fail(r, "want the second half of a surrogate pair");
    TRY(read_hex4(r, &low));
    if (low < 0xdc00 || low > 0xdfff) return fail(r, "want the second half of a surrogate pair");
    c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
  }
  *to = put_utf8(*to, c);
  return true;
}

static bool read_escape(Reader *r, char **to) {
  static const char from[] = "\"\\/bfnrt", plain[] = "\"\\/\b\f\n\r\t";
  if (r->at == r->end) return fail(r, "the string is not closed");
  char c = *r->at;
  if (c == 'u') {
    r->at++;
    return read_unicode(r, to);
  }
  const char *hit = c ? strchr(from, c) : NULL;
  if (!hit) return fail(r, "unknown escape in a string");
  *(*to)++ = plain[hit - from];
  r->at++;
  return true;
}

/* r->at is at the opening quote. Escapes only shrink, so the span between the quotes is room enough. */
static const char *read_string(Reader *r) {
  const char *close = r->at + 1;
  while (close < r->end && *close != '"') close += *close == '\\' && close + 1 < r->end ? 2 : 1;
  char *s = arena_alloc(r->a, (size_t)(close - r->at) + 1), *to = s;
  r->at++;
  while (r->at < r->end && *r->at != '"') {
    if ((unsigned char)*r->at < 0x20) return fail(r, "control character in a string"), NULL;
    if (*r->at != '\\') {
      *to++ = *r->at++;
      continue;
    }
    r->at++;
    if (!read_escape(r, &to)) return NULL;
  }
  if (r->at == r->end) return fail(r, "the string is not closed"), NULL;
  r->at++;
  return s;
}

static size_t digits(const char *p, const char *end) {
  size_t n = 0;
  while (p + n < end && p[n] >= '0' && p[n] <= '9') n++;
  return n;
}

static bool read_number(Reader *r, Json *v) {
  const char *p = r->at;
  if (p < r->end && *p == '-') p++;
  size_t whole = digits(p, r->end);
  if (whole == 0 || (whole > 1 && *p == '0')) return fail(r, "want a value");
  p += whole;
  bool plain = true;
  if (p < r->end && *p == '.') {
    size_t n = digits(p + 1, r->end);
    if (n == 0) return fail(r, "want digits after the decimal point");
    p += n + 1;
    plain = false;
  }
  if (p < r->end && (*p == 'e' || *p == 'E')) {
    p++;
    if (p < r->end && (*p == '+' || *p == '-')) p++;
    size_t n = digits(p, r->end);
    if (n == 0) return fail(r, "want digits in the exponent");
    p += n;
    plain = false;
  }
  const char *text = arena_strndup(r->a, r->at, (size_t)(p - r->at));
  v->type = JSON_NUMBER;
  v->number = strtod(text, NULL);
  if (!isfinite(v->number)) return fail(r, "the number is too large");
  if (plain) {
    errno = 0;
    v->integer = strtoll(text, NULL, 10);
    v->is_int = errno == 0;
  }
  r->at = p;
  return true;
}

/* Members up to `close`; objects have keys. */
static bool read_members(Reader *r, Json *v, char close) {
  r->at++;
  if (++r->depth > JSON_MAX_DEPTH) return fail(r, "nested too deeply");
  Json **link = &v->first;
  if (!take(r, close)) {
    do {
      const char *key = NULL;
      if (close == '}') {
        if (!next_is(r, '"')) return fail(r, "want a key in quotes");
        key = read_string(r);
        TRY(key != NULL);
        if (!take(r, ':')) return fail(r, "want \":\" after the key");
      }
      Json *m = read_value(r);
      TRY(m != NULL);
      m->key = key;
      *link = m;
      link = &m->next;
      v->n++;
    } while (take(r, ','));
    if (!take(r, close)) return fail(r, close == '}' ? "want \",\" or \"}\"" : "want \",\" or \"]\"");
  }
  r->depth--;
  return true;
}

static bool read_into(Reader *r, Json *v) {
  switch (r->at < r->end ? *r->at : 0) {
  case '{': v->type = JSON_OBJECT; return read_members(r, v, '}');
  case '[': v->type = JSON_ARRAY; return read_members(r, v, ']');
  case '"':
    v->type = JSON_STRING;
    v->str = read_string(r);
    return v->str != NULL;
  case 't':
  case 'f':
    v->type = JSON_BOOL;
    v->boolean = *r->at == 't';
    return take_word(r, v->boolean ? "true" : "false") || fail(r, "want a value");
  case 'n': return take_word(r, "null") || fail(r, "want a value");
  default: return read_number(r, v);
  }
}

static Json *read_value(Reader *r) {
  skip_space(r);
  Json *v = arena_alloc(r->a, sizeof *v);
  return read_into(r, v) ? v : NULL;
}

Json *json_parse(Arena *a, const char *text, size_t n, const char *file, Diag *d) {
  Reader r = {.a = a, .text = text, .at = text, .end = text + n, .file = file, .d = d};
  Json *v = read_value(&r);
  if (!v) return NULL;
  skip_space(&r);
  if (r.at < r.end) return fail(&r, "text after the end of the value"), NULL;
  return v;
}

/* ---- Access */

const Json *json_get(const Json *v, const char *key) {
  if (!v || v->type != JSON_OBJECT) return NULL;
  for (const Json *m = v->first; m; m = m->next)
    if (strcmp(m->key, key) == 0) return m;
  return NULL;
}

const Json *json_at(const Json *v, uint32_t i) {
  if (!v || v->type != JSON_ARRAY || i >= v->n) return NULL;
  const Json *m = v->first;
  while (i-- > 0) m = m->next;
  return m;
}

const char *json_get_str(const Json *v, const char *key, const char *otherwise) {
  const Json *m = json_get(v, key);
  return m && m->type == JSON_STRING ? m->str : otherwise;
}

int64_t json_get_int(const Json *v, const char *key, int64_t otherwise) {
  const Json *m = json_get(v, key);
  return m && m->is_int ? m->integer : otherwise;
}

double json_get_num(const Json *v, const char *key, double otherwise) {
  const Json *m = json_get(v, key);
  return m && m->type == JSON_NUMBER ? m->number : otherwise;
}

bool json_get_bool(const Json *v, const char *key, bool otherwise) {
  const Json *m = json_get(v, key);
  return m && m->type == JSON_BOOL ? m->boolean : otherwise;
}
