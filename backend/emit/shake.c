/* Kernel text for generated code: only the definitions that a model uses.
 *
 *   files -> chunks (one top-level definition, directive or #if block each, with the comment right above it)
 *         -> marked from the roots: a chunk is needed when a needed chunk mentions a name that it defines
 *         -> printed in order: system includes once, helper headers before the files that include them
 *
 * This is no C parser. It relies on how kernels are written, and says so when that does not hold:
 *   - file-level definitions begin in column 0; braces and parentheses outside comments and strings balance
 *   - a header's include guard ends in _H; other #if blocks stand between definitions, or hold whole ones: such a block
 *     is kept or left as one piece
 *   - an #ifndef MISTIFY_... block holds types for the program: it stands in model.h, and is left out here
 *   - a function-like macro may make definitions: "ROW(add_f32, a + b)"; it then defines every name that begins with
 *     its first argument ("add_f32__generic")
 */
#include "backend/emit/emit.h"

#include <ctype.h>
#include <string.h>

#include "backend/emit/embedded.h"
#include "ir/base/file.h"
#include "ir/base/mem.h"

typedef struct Name {
  const char *s;
  size_t n;
} Name;

typedef struct Chunk {
  const char *s;
  size_t n;
  int file;
  bool needed, maker; /* maker: a macro call that makes definitions */
  Name *defs;
  int n_defs;
  size_t cap_defs;
} Chunk;

typedef struct Shaker {
  Arena *arena;
  Diag *diag;
  const char **files; /* read so far, each once */
  size_t cap_files;
  int n_files;
  Chunk *chunk;
  size_t cap_chunks;
  int n_chunks;
  Name *system; /* <...> includes */
  size_t cap_system;
  int n_system;
} Shaker;

const char *embedded_text(const char *path) {
  for (size_t i = 0; i < embedded_files_count; i++)
    if (strcmp(embedded_files[i].path, path) == 0) return (const char *)embedded_files[i].text;
  return NULL;
}

/* -- scanning -- */

static bool is_ident(char c) { return isalnum((unsigned char)c) || c == '_'; }
static bool name_is(Name a, const char *s) { return strlen(s) == a.n && memcmp(a.s, s, a.n) == 0; }
static bool same_name(Name a, Name b) { return a.n == b.n && memcmp(a.s, b.s, a.n) == 0; }

static Name ident_at(const char *p) {
  const char *e = p;
  while (is_ident(*e)) e++;
  return (Name){p, (size_t)(e - p)};
}

/* Past a comment, string or character constant that begins at p; p itself when none does. */
static const char *skip_opaque(const char *p) {
  if (p[0] == '/' && p[1] == '*') {
    const char *e = strstr(p + 2, "*/");
    return e ? e + 2 : p + strlen(p);
  }
  if (p[0] == '/' && p[1] == '/') return p + strcspn(p, "\n");
  if (*p != '"' && *p != '\'') return p;
  char quote = *p++;
  while (*p && *p != quote) p += p[0] == '\\' && p[1] ? 2 : 1;
  return *p ? p + 1 : p;
}

/* Past the directive at p, continued lines included. */
static const char *skip_directive(const char *p) {
  while (*p && *p != '\n') {
    if (p[0] == '\\' && p[1] == '\n')
      p += 2;
    else if (skip_opaque(p) != p)
      p = skip_opaque(p);
    else
      p++;
  }
  return *p ? p + 1 : p;
}

/* "ifdef" for "# ifdef X"; empty when p is no directive. */
static Name directive_at(const char *p) {
  if (*p != '#') return (Name){p, 0};
  p++;
  while (*p == ' ') p++;
  return ident_at(p);
}

static Name directive_arg(const char *p) {
  Name word = directive_at(p);
  p = word.s + word.n;
  while (*p == ' ') p++;
  return ident_at(p);
}

/* Past the block from the #if at p to its #endif. */
static const char *skip_conditional(const char *p) {
  int depth = 0;
  while (*p) {
    if (*p == '#') {
      Name word = directive_at(p);
      if (word.n >= 2 && memcmp(word.s, "if", 2) == 0) depth++;
      if (name_is(word, "endif")) depth--;
      p = skip_directive(p);
      if (depth == 0) return p;
    } else if (skip_opaque(p) != p) {
      p = skip_opaque(p);
    } else {
      p++;
    }
  }
  return p;
}

/* Past the bracket that closes the one at p. */
static const char *skip_brackets(const char *p) {
  int depth = 0;
  while (*p) {
    const char *q = skip_opaque(p);
    if (q != p) {
      p = q;
      continue;
    }
    if (strchr("([{", *p)) depth++;
    if (strchr(")]}", *p) && --depth == 0) return p + 1;
    p++;
  }
  return p;
}

static const char *skip_space(const char *p) {
  while (isspace((unsigned char)*p)) p++;
  return p;
}

/* -- chunks -- */

static Chunk *add_chunk(Shaker *s, const char *from, const char *to, int file) {
  mem_grow((void **)&s->chunk, &s->cap_chunks, (size_t)s->n_chunks + 1, sizeof *s->chunk);
  Chunk *c = &s->chunk[s->n_chunks++];
  *c = (Chunk){.s = from, .n = (size_t)(to - from), .file = file};
  return c;
}

static void add_def(Chunk *c, Name name) {
  mem_grow((void **)&c->defs, &c->cap_defs, (size_t)c->n_defs + 1, sizeof *c->defs);
  c->defs[c->n_defs++] = name;
}

/* All macros defined in the conditional block or directive [p, end). */
static void add_macro_defs(Chunk *c, const char *p, const char *end) {
  while (p < end) {
    Name word = directive_at(p);
    if (name_is(word, "define") || name_is(word, "undef")) add_def(c, directive_arg(p));
    p = *p == '#' ? skip_directive(p) : p + 1;
  }
}

/* Enumerators between the braces at p. */
static void add_enumerators(Chunk *c, const char *p) {
  const char *end = skip_brackets(p);
  for (p = skip_space(p + 1); p < end - 1;) {
    const char *q = skip_opaque(p);
    if (q == p) {
      Name name = ident_at(p);
      if (!name.n) break;
      add_def(c, name);
      q = p + strcspn(p, ",}") + 1;
    }
    p = skip_space(q);
  }
}

static bool is_macro(const Shaker *s, Name name) {
  for (int i = 0; i < s->n_chunks; i++)
    for (int k = 0; s->chunk[i].s[0] == '#' && k < s->chunk[i].n_defs; k++)
      if (same_name(s->chunk[i].defs[k], name)) return true;
  return false;
}

/* The first argument of the macro call whose '(' is at p. */
static void add_argument_def(Chunk *c, const char *p) {
  const Name name = ident_at(skip_space(p + 1));
  c->maker = true;
  if (name.n) add_def(c, name);
}

/* The declaration or definition at p: adds what it defines, returns its end. */
static const char *scan_definition(const Shaker *s, Chunk *c, const char *p) {
  bool named = false;
  Name last = {p, 0}, first = ident_at(p);
  if (first.n && p[first.n] == '(' && is_macro(s, first)) {
    add_argument_def(c, p + first.n);
    const char *e = skip_brackets(p + first.n), *q = skip_space(e);
    return *q == ';' ? q + 1 : e;
  }
  for (; *p; p++) {
    const char *q = skip_opaque(p);
    Name name = ident_at(p);
    if (q != p) {
      p = q - 1;
    } else if (name.n) {
      if (name_is(last, "struct") || name_is(last, "union") || name_is(last, "enum")) add_def(c, name);
      last = name;
      p += name.n - 1;
    } else if (*p == '(' && name_is(last, "__attribute__")) {
      p = skip_brackets(p) - 1;
    } else if (*p == '{') {
      if (strncmp(c->s, "enum", 4) == 0 || strncmp(c->s, "typedef enum", 12) == 0) add_enumerators(c, p);
      q = skip_brackets(p);
      const char *before = p;
      while (before > c->s && isspace((unsigned char)before[-1])) before--;
      if (before[-1] == ')') return q; /* a function's body */
      p = q - 1;
    } else if (*p == '(' || *p == '[' || *p == '=' || *p == ';') {
      if (!named && last.n && !name_is(last, "enum")) add_def(c, last);
      named = true;
      if (*p == ';') return p + 1;
      if (*p != '=') p = skip_brackets(p) - 1;
    }
  }
  return p;
}

static bool read_source(Shaker *s, const char *path);

/* An #include: ours is read before what follows, a system header is noted. */
static bool add_include(Shaker *s, const char *p) {
  p += strcspn(p, "<\"\n");
  size_t n = strcspn(p + 1, ">\"\n");
  if (*p == '"') return read_source(s, arena_strndup(s->arena, p + 1, n));
  Name name = {p + 1, n};
  for (int i = 0; i < s->n_system; i++)
    if (same_name(s->system[i], name)) return true;
  mem_grow((void **)&s->system, &s->cap_system, (size_t)s->n_system + 1, sizeof *s->system);
  s->system[s->n_system++] = name;
  return true;
}

/* The guard's name when the text opens with "#ifndef X_H" (after comments). */
static Name guard_of(const char *text) {
  const char *p = skip_space(text);
  while (skip_opaque(p) != p) p = skip_space(skip_opaque(p));
  Name none = {p, 0}, arg = directive_arg(p);
  if (!name_is(directive_at(p), "ifndef") || arg.n < 3 || memcmp(arg.s + arg.n - 2, "_H", 2) != 0)
    return none;
  return arg;
}

/* What the conditional block [p, end) defines beside macros, in any of its branches. */
static void add_block_defs(const Shaker *s, Chunk *c, const char *p, const char *end) {
  while ((p = skip_space(p)) < end) {
    if (*p == '#')
      p = skip_directive(p);
    else if (skip_opaque(p) != p)
      p = skip_opaque(p);
    else
      p = scan_definition(s, c, p);
  }
}

/* One directive at p; returns its end. Sets *ok false when an include failed. */
static const char *scan_directive(Shaker *s, const char *p, Name guard, int file, bool *ok) {
  Name word = directive_at(p), arg = directive_arg(p);
  const char *end = skip_directive(p);
  if (name_is(word, "include")) {
    *ok = add_include(s, p);
    return end;
  }
  if (guard.n && same_name(arg, guard)) return end; /* the #ifndef and #define of the guard */
  if (name_is(word, "endif")) return end;           /* the guard's */
  bool block = word.n >= 2 && memcmp(word.s, "if", 2) == 0;
  if (block) end = skip_conditional(p);
  Chunk *c = add_chunk(s, p, end, file);
  add_macro_defs(c, p, end);
  if (block) add_block_defs(s, c, p, end);
  return end;
}

static bool read_source(Shaker *s, const char *path) {
  for (int i = 0; i < s->n_files; i++)
    if (strcmp(s->files[i], path) == 0) return true;
  const char *text = embedded_text(path);
  FAIL_IF(!text, s->diag, NULL, "kernel source %s is not part of this program", path);
  mem_grow((void **)&s->files, &s->cap_files, (size_t)s->n_files + 1, sizeof *s->files);
  int file = s->n_files++;
  s->files[file] = path;
  Name guard = guard_of(text);
  bool ok = true;
  for (const char *p = skip_space(text); *p && ok; p = skip_space(p)) {
    if (*p == '#') {
      p = scan_directive(s, p, guard, file, &ok);
    } else if (skip_opaque(p) != p) {
      p = skip_opaque(p);
    } else {
      const char *end;
      Chunk *c = add_chunk(s, p, p, file);
      end = scan_definition(s, c, p);
      c->n = (size_t)(end - p);
      p = end;
    }
  }
  return ok;
}

/* -- marking -- */

static bool defines(const Chunk *c, Name name) {
  for (int i = 0; i < c->n_defs; i++) {
    if (same_name(c->defs[i], name)) return true;
    Name d = c->defs[i];
    if (c->maker && d.n + 1 < name.n && memcmp(d.s, name.s, d.n) == 0 && name.s[d.n] == '_') return true;
  }
  return false;
}

static bool mark_name(Shaker *s, Name name);

static void mark_mentioned(Shaker *s, const Chunk *c) {
  for (const char *p = c->s, *end = c->s + c->n; p < end;) {
    const char *q = skip_opaque(p);
    Name name = ident_at(p);
    if (q == p && name.n && !isdigit((unsigned char)*p)) mark_name(s, name);
    p = q != p ? q : p + (name.n ? name.n : 1);
  }
}

/* Mark what defines `name`, and all that it needs. False when nothing does. */
static bool mark_name(Shaker *s, Name name) {
  bool found = false;
  for (int i = 0; i < s->n_chunks; i++) {
    Chunk *c = &s->chunk[i];
    if (!defines(c, name)) continue;
    found = true;
    if (c->needed) continue;
    c->needed = true;
    mark_mentioned(s, c);
  }
  return found;
}

/* -- printing -- */

/* Where the comment right above the chunk begins (the chunk itself when there is none). */
static const char *with_comment(const Chunk *c, const char *text) {
  const char *p = c->s;
  if (p - text < 3 || p[-1] != '\n' || p[-2] != '/' || p[-3] != '*') return p;
  const char *q = p - 3;
  while (q > text && !(q[0] == '/' && q[1] == '*')) q--;
  return q == text ? p : q; /* the head comment stays behind: it speaks of the file */
}

/* Whether an empty line stands between two chunks in the source; `after` is the end of the first. */
static bool empty_line_between(const char *after, const char *from) {
  int lines = after[-1] == '\n';
  for (const char *p = after; p < from && isspace((unsigned char)*p); p++) lines += *p == '\n';
  return lines >= 2;
}

/* Types for the program (device_c.c prints them into model.h). */
static bool is_public(const Chunk *c) {
  static const char begin[] = "#ifndef MISTIFY_";
  return strncmp(c->s, begin, sizeof begin - 1) == 0;
}

static void print_chunks(const Shaker *s, StrBuf *out) {
  int file = -1;
  const char *after = NULL; /* end of the chunk printed last */
  for (int i = 0; i < s->n_chunks; i++) {
    const Chunk *c = &s->chunk[i];
    if (!c->needed || is_public(c)) continue;
    const char *from = with_comment(c, embedded_text(s->files[c->file]));
    if (c->file != file) sb_printf(out, "\n/* -- %s -- */\n", s->files[c->file]);
    if (c->file != file || skip_space(after) != from || empty_line_between(after, from)) sb_putc(out, '\n');
    sb_write(out, from, (size_t)(c->s + c->n - from));
    if (c->s[c->n - 1] != '\n') sb_putc(out, '\n');
    file = c->file;
    after = c->s + c->n;
  }
}

static void print_system(const Shaker *s, StrBuf *out) {
  for (int i = 0; i < s->n_system; i++)
    sb_printf(out, "#include <%.*s>\n", (int)s->system[i].n, s->system[i].s);
}

bool shake_kernels(const char *const *files, int n_files, const char *const *roots, int n_roots, StrBuf *out,
                   Diag *d) {
  Shaker s = {.arena = arena_new(), .diag = d};
  bool ok = true;
  for (int i = 0; i < n_files && ok; i++) ok = read_source(&s, files[i]);
  for (int i = 0; i < n_roots && ok; i++) {
    Name root = {roots[i], strlen(roots[i])};
    if (!mark_name(&s, root)) ok = diag_error(d, NULL, "no kernel source defines %s", roots[i]);
  }
  if (ok) {
    print_system(&s, out);
    sb_puts(out, "\n#define MF_KERNEL static\n");
    print_chunks(&s, out);
  }
  for (int i = 0; i < s.n_chunks; i++) mem_free(s.chunk[i].defs);
  mem_free(s.chunk);
  mem_free(s.files);
  mem_free(s.system);
  arena_free(s.arena);
  return ok;
}
