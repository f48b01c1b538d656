/* See effort_count.h.
 *
 * One scanner for four languages. Code: identifiers, numbers, operators (the longest of a list, else one character), and
 * strings, of which each word is a token, as of a command line. YAML and shell: words between blanks and structure.
 * Comments are skipped, but for what they mark as decisions. A Python string in three quotes that begins a line is one.
 */
#include "bench/effort_count.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "ir/base/mem.h"

typedef struct Scanner {
  Arena *a;
  Language l;
  const char *begin, *p;
  int depth; /* of YAML's { and [ */
  Tokens out;
} Scanner;

/* Longer ones first. */
static const char *const operators[] = {"**=", "<<=", ">>=", "...", "->", "++", "--", "<<", ">>",
                                        "<=",  ">=",  "==",  "!=",  "&&", "||", "+=", "-=", "*=",
                                        "/=",  "%=",  "&=",  "|=",  "^=", "**", "//", ":="};
enum { OPERATORS = sizeof operators / sizeof *operators };

/* Keys of design.yaml and deploy.yaml whose value is a choice of whoever writes it, not a fact or a request. */
static const char *const decided[] = {"augment", "batch",       "calibration", "crop",      "epochs",
                                      "flip",    "images",      "lr",          "max",       "min_channels",
                                      "mix",     "momentum",    "optimizer",   "precision", "quantize",
                                      "seed",    "temperature", "variants",    "warmup",    "weight_decay"};
enum { DECIDED = sizeof decided / sizeof *decided };

Language effort_language(const char *path) {
  const char *dot = strrchr(path, '.');
  if (dot && strcmp(dot, ".py") == 0) return LANG_PYTHON;
  if (dot && strcmp(dot, ".yaml") == 0) return LANG_YAML;
  if (dot && strcmp(dot, ".sh") == 0) return LANG_SHELL;
  return LANG_C;
}

static void put(Scanner *s, const char *from, const char *to) {
  Tokens *t = &s->out;
  if (t->n == t->cap) {
    const char **more = arena_array(s->a, (size_t)t->cap * 2 + 64, sizeof *more);
    if (t->n) memcpy(more, t->text, (size_t)t->n * sizeof *more);
    t->text = more;
    t->cap = t->cap * 2 + 64;
  }
  t->text[t->n++] = arena_printf(s->a, "%.*s", (int)(to - from), from);
}

static bool blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
static bool word(char c) { return isalnum((unsigned char)c) || c == '_' || (c & 0x80); }
static bool starts(const char *p, const char *with) { return strncmp(p, with, strlen(with)) == 0; }
static const char *end_of(const char *p, const char *mark) {
  const char *e = strstr(p, mark);
  return e ? e : p + strlen(p);
}

/* Names after "decision:", separated by commas. */
static int marked(const char *from, const char *to) {
  const char *mark = end_of(from, "decision:");
  if (mark >= to) return 0;
  int n = 1;
  for (const char *p = mark; p < to; p++) n += *p == ',';
  return n;
}

static void comment(Scanner *s, const char *to) {
  s->out.decisions += marked(s->p, to);
  s->p = to;
}

static bool begins_line(const Scanner *s) {
  const char *p = s->p;
  while (p > s->begin && (p[-1] == ' ' || p[-1] == '\t')) p--;
  return p == s->begin || p[-1] == '\n';
}

static bool skip_comment(Scanner *s) {
  const bool c = s->l == LANG_C, after_blank = s->p == s->begin || blank(s->p[-1]);
  if (c && starts(s->p, "/*")) {
    const char *end = end_of(s->p + 2, "*/");
    comment(s, *end ? end + 2 : end);
  } else if (c && starts(s->p, "//"))
    comment(s, end_of(s->p, "\n"));
  else if (*s->p == '#' && (s->l == LANG_PYTHON || (!c && after_blank)))
    comment(s, end_of(s->p, "\n"));
  else if (s->l == LANG_PYTHON && starts(s->p, "\"\"\"") && begins_line(s)) {
    const char *end = end_of(s->p + 3, "\"\"\"");
    s->p = *end ? end + 3 : end;
  } else
    return false;
  return true;
}

/* Each word of a string; an empty one is a token too. */
static void string(Scanner *s) {
  const char quote = *s->p++, *from = s->p;
  bool any = false;
  while (*s->p && *s->p != quote) {
    if (*s->p == '\\' && s->p[1] && s->l != LANG_YAML) s->p++;
    s->p++;
  }
  for (const char *p = from; p < s->p;) {
    const char *q = p;
    while (q < s->p && !blank(*q)) q++;
    if (q > p) put(s, p, q), any = true;
    p = q + (q < s->p);
  }
  if (!any) put(s, from - 1, s->p);
  if (*s->p) s->p++;
}

static void number(Scanner *s) {
  const char *from = s->p;
  const bool hex = from[0] == '0' && (from[1] | 32) == 'x';
  while (word(*s->p) || *s->p == '.' ||
         ((*s->p == '+' || *s->p == '-') && !hex && (s->p[-1] == 'e' || s->p[-1] == 'E')))
    s->p++;
  put(s, from, s->p);
}

static void code(Scanner *s) {
  const char *from = s->p;
  if (*from == '"' || *from == '\'') {
    string(s);
  } else if (isdigit((unsigned char)*from) || (*from == '.' && isdigit((unsigned char)from[1]))) {
    number(s);
  } else if (word(*from)) {
    while (word(*s->p)) s->p++;
    put(s, from, s->p);
  } else {
    size_t n = 1;
    for (int i = OPERATORS; i-- > 0;)
      if (starts(from, operators[i])) n = strlen(operators[i]);
    s->p += n;
    put(s, from, s->p);
  }
}

/* A mark of structure: of YAML `key:`, `- item` and, within or at the start of a flow, brackets and commas. */
static bool structure(const Scanner *s, const char *p) {
  if (s->l == LANG_SHELL) return strchr(";|&()<>", *p) != NULL;
  if (*p == ':') return !p[1] || blank(p[1]) || strchr(",}]", p[1]) != NULL;
  if (strchr("{[", *p)) return p == s->begin || blank(p[-1]) || strchr("{[,:", p[-1]) != NULL;
  return s->depth > 0 && strchr(",}]", *p) != NULL;
}

static void words(Scanner *s) {
  const char *from = s->p;
  if (*from == '"' || *from == '\'') {
    string(s);
  } else if (structure(s, from)) {
    if (s->l == LANG_YAML && strchr("{[}]", *from)) s->depth += strchr("{[", *from) ? 1 : -1;
    put(s, from, ++s->p);
  } else {
    while (*s->p && !blank(*s->p) && !structure(s, s->p)) s->p++;
    put(s, from, s->p);
  }
}

static int yaml_decisions(const Tokens *t) {
  int n = 0;
  for (int i = 0; i + 2 < t->n; i++)
    for (int k = 0; k < DECIDED; k++)
      n += strcmp(t->text[i], decided[k]) == 0 && strcmp(t->text[i + 1], ":") == 0 &&
           strcmp(t->text[i + 2], "{") != 0;
  return n;
}

Tokens effort_tokens(Arena *a, Language l, const char *text) {
  Scanner s = {.a = a, .l = l, .begin = text, .p = text};
  while (*s.p)
    if (blank(*s.p) || (*s.p == '\\' && s.p[1] == '\n'))
      s.p++;
    else if (!skip_comment(&s))
      l == LANG_YAML || l == LANG_SHELL ? words(&s) : code(&s);
  if (l == LANG_YAML) s.out.decisions = yaml_decisions(&s.out);
  return s.out;
}

int effort_difference(const Tokens *a, const Tokens *b) {
  int *row = mem_array((size_t)b->n + 1, sizeof *row);
  for (int j = 0; j <= b->n; j++) row[j] = 0;
  for (int i = 0; i < a->n; i++)
    for (int j = 0, diagonal = 0; j < b->n; j++) {
      const int above = row[j + 1];
      row[j + 1] = strcmp(a->text[i], b->text[j]) == 0 ? diagonal + 1 : above > row[j] ? above : row[j];
      diagonal = above;
    }
  const int common = row[b->n];
  mem_free(row);
  return b->n - common;
}

static bool has_line(const char *text, const char *line, size_t n) {
  for (const char *p = text; *p; p = end_of(p, "\n"), p += *p == '\n')
    if (strncmp(p, line, n) == 0 && (p[n] == '\n' || !p[n])) return true;
  return false;
}

int effort_new_decisions(const char *before, const char *text) {
  int n = 0;
  for (const char *p = text, *end; *p; p = end + (*end == '\n')) {
    end = end_of(p, "\n");
    if (!has_line(before, p, (size_t)(end - p))) n += marked(p, end);
  }
  return n;
}
