/* YAML to a located tree, from libyaml's events by recursive descent; see yaml.h.
 *
 *   event stream:  STREAM-START DOCUMENT-START node DOCUMENT-END STREAM-END
 *   node:          SCALAR | SEQUENCE-START node* SEQUENCE-END | MAPPING-START (SCALAR node)* MAPPING-END
 *
 * libyaml's marks count lines and columns from 0, columns in characters. The first error stops the file: what
 * follows a syntax error is guesswork.
 */
#include "frontend/config/yaml.h"

#include <stdarg.h>
#include <string.h>
#include <yaml.h>

#include "ir/base/file.h"
#include "ir/base/strbuf.h"

typedef struct Reader {
  Arena *a;
  YamlFile *file;
  yaml_parser_t parser;
  yaml_event_t event; /* the current one; owned, to be deleted */
  int depth;
  uint32_t nodes;
  Diag *d;
} Reader;

/* ---- Reporting */

static const char *source_line(const YamlFile *f, int line, size_t *n) {
  const char *p = f->text, *end = f->text + f->size;
  for (int i = 1; i < line; i++) {
    const char *nl = memchr(p, '\n', (size_t)(end - p));
    if (!nl) return NULL;
    p = nl + 1;
  }
  const char *nl = memchr(p, '\n', (size_t)(end - p));
  *n = (size_t)((nl ? nl : end) - p);
  return p;
}

bool yaml_error(const YamlFile *f, const Loc *loc, Diag *d, const char *fmt, ...) {
  va_list ap;
  Arena *a = arena_new();
  va_start(ap, fmt);
  StrBuf text = {0};
  sb_vprintf(&text, fmt, ap);
  va_end(ap);
  diag_error(d, loc, "%s", sb_str(&text));
  sb_free(&text);
  size_t n = 0;
  const char *line = loc->line > 0 ? source_line(f, loc->line, &n) : NULL;
  if (line && n > 0 && n <= 300) diag_source(d, arena_strndup(a, line, n), loc->col);
  arena_free(a);
  return false;
}

const char *yaml_what(const Yaml *v) {
  switch (v->type) {
  case YAML_SCALAR: return v->text[0] || v->quoted ? "a single value" : "nothing";
  case YAML_LIST: return "a list";
  case YAML_MAPPING: return "a group of keys";
  }
  return "";
}

static Loc mark_loc(const Reader *r, yaml_mark_t m) {
  return (Loc){.file = r->file->path, .line = (int)m.line + 1, .col = (int)m.column + 1};
}

static bool fail(Reader *r, const char *msg, const char *hint) {
  Loc loc = mark_loc(r, r->event.start_mark);
  yaml_error(r->file, &loc, r->d, "%s", msg);
  if (hint) diag_hint(r->d, "%s", hint);
  return false;
}

/* A byte that is no UTF-8 has an offset only. */
static Loc offset_loc(const Reader *r, size_t offset) {
  Loc loc = {.file = r->file->path, .line = 1, .col = 1};
  for (size_t i = 0; i < offset && i < r->file->size; i++) {
    bool nl = r->file->text[i] == '\n';
    loc.line += nl;
    loc.col = nl ? 1 : loc.col + 1;
  }
  return loc;
}

static bool syntax_error(Reader *r) {
  const yaml_parser_t *p = &r->parser;
  bool bytes = p->error == YAML_READER_ERROR;
  const char *context = p->context ? p->context : "";
  bool open = strstr(context, "quoted") || strstr(context, "flow"); /* told at the end, mended at the start */
  Loc loc = bytes ? offset_loc(r, p->problem_offset) : mark_loc(r, open ? p->context_mark : p->problem_mark);
  yaml_error(r->file, &loc, r->d, "not YAML: %s%s%s", p->problem ? p->problem : "out of memory",
             *context ? " " : "", context);
  size_t n = 0;
  const char *line = source_line(r->file, loc.line, &n);
  if (bytes)
    diag_hint(r->d, "the file must be UTF-8 text");
  else if (open)
    diag_hint(r->d, "what opens here is not closed, or not as it should");
  else if (line && memchr(line, '\t', n))
    diag_hint(r->d, "indent with spaces: YAML allows no tabs there");
  else
    diag_hint(r->d, "look at the indentation here and on the line before; write \"key: value\" with a space "
                    "after the colon");
  return false;
}

/* ---- Events to tree */

static bool next(Reader *r) {
  yaml_event_delete(&r->event);
  if (!yaml_parser_parse(&r->parser, &r->event)) {
    memset(&r->event, 0, sizeof r->event);
    return syntax_error(r);
  }
  return true;
}

static bool refuse_extras(Reader *r, const yaml_char_t *anchor, const yaml_char_t *tag) {
  if (anchor)
    return fail(r, "anchors (&name) are not allowed here", "write the values out where they are needed");
  if (tag)
    return fail(r, "tags (!name) are not allowed here", "leave the tag away: every key knows its type");
  return true;
}

static bool read_node(Reader *r, Yaml *v);

static bool read_scalar(Reader *r, Yaml *v) {
  const char *text = (const char *)r->event.data.scalar.value;
  size_t n = r->event.data.scalar.length;
  TRY(refuse_extras(r, r->event.data.scalar.anchor, r->event.data.scalar.tag));
  if (memchr(text, 0, n)) return fail(r, "a NUL character in a value", "remove the \\0");
  v->type = YAML_SCALAR;
  v->quoted = r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
  v->text = arena_strndup(r->a, text, n);
  return true;
}

static bool read_list(Reader *r, Yaml *v) {
  TRY(refuse_extras(r, r->event.data.sequence_start.anchor, r->event.data.sequence_start.tag));
  v->type = YAML_LIST;
  Yaml **link = &v->first;
  while (true) {
    TRY(next(r));
    if (r->event.type == YAML_SEQUENCE_END_EVENT) return true;
    Yaml *item = arena_alloc(r->a, sizeof *item);
    TRY(read_node(r, item));
    *link = item;
    link = &item->next;
    v->n++;
  }
}

/* The current event is the key; also makes the member. */
static bool read_key(Reader *r, const Yaml *map, Yaml *member) {
  Yaml key = {0};
  if (r->event.type != YAML_SCALAR_EVENT)
    return fail(r, "a key must be a single word",
                "write \"key: value\"; braces and brackets belong behind the colon");
  TRY(read_scalar(r, &key));
  if (!key.text[0]) return fail(r, "a key is missing before \":\"", NULL);
  member->key = key.text;
  member->key_loc = mark_loc(r, r->event.start_mark);
  const Yaml *first = yaml_get(map, key.text);
  if (first) {
    yaml_error(r->file, &member->key_loc, r->d, "key \"%s\" stands here a second time", key.text);
    diag_hint(r->d, "it was given on line %d already: keep one of the two", first->key_loc.line);
    return false;
  }
  if (map->n >= YAML_MAX_KEYS) return fail(r, "too many keys in one group", "the bound is 1000");
  return true;
}

static bool read_mapping(Reader *r, Yaml *v) {
  TRY(refuse_extras(r, r->event.data.mapping_start.anchor, r->event.data.mapping_start.tag));
  v->type = YAML_MAPPING;
  Yaml **link = &v->first;
  while (true) {
    TRY(next(r));
    if (r->event.type == YAML_MAPPING_END_EVENT) return true;
    Yaml *member = arena_alloc(r->a, sizeof *member);
    TRY(read_key(r, v, member));
    TRY(next(r));
    TRY(read_node(r, member));
    *link = member;
    link = &member->next;
    v->n++;
  }
}

static bool read_node(Reader *r, Yaml *v) {
  v->loc = mark_loc(r, r->event.start_mark);
  if (++r->nodes > YAML_MAX_NODES) return fail(r, "too many values in one file", "the bound is 50000");
  if (++r->depth > YAML_MAX_DEPTH) return fail(r, "nested too deeply", "the bound is 24 levels");
  switch (r->event.type) {
  case YAML_SCALAR_EVENT: TRY(read_scalar(r, v)); break;
  case YAML_SEQUENCE_START_EVENT: TRY(read_list(r, v)); break;
  case YAML_MAPPING_START_EVENT: TRY(read_mapping(r, v)); break;
  default:
    return fail(r, "aliases (*name) are not allowed here", "write the values out where they are needed");
  }
  r->depth--;
  return true;
}

static bool read_document(Reader *r) {
  TRY(next(r)); /* stream start */
  TRY(next(r));
  if (r->event.type == YAML_STREAM_END_EVENT) return fail(r, "the file is empty", "it holds no key at all");
  TRY(next(r));
  r->file->root = arena_alloc(r->a, sizeof(Yaml));
  TRY(read_node(r, r->file->root));
  TRY(next(r)); /* document end */
  TRY(next(r));
  if (r->event.type != YAML_STREAM_END_EVENT)
    return fail(r, "a second document begins here", "keep one document in a file: remove the \"---\"");
  return true;
}

const YamlFile *yaml_parse_text(Arena *a, const char *text, size_t n, const char *path, Diag *d) {
  YamlFile *f = arena_alloc(a, sizeof *f);
  *f = (YamlFile){.path = arena_strdup(a, path), .dir = path_dir(a, path), .text = text, .size = n};
  if (n > YAML_MAX_BYTES) {
    diag_error(d, &(Loc){.file = f->path}, "is too large for a configuration file: %zu bytes, at most %d", n,
               YAML_MAX_BYTES);
    return NULL;
  }
  Reader r = {.a = a, .file = f, .d = d};
  if (!yaml_parser_initialize(&r.parser)) {
    diag_error(d, &(Loc){.file = f->path}, "cannot be parsed: out of memory");
    return NULL;
  }
  yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
  bool ok = read_document(&r);
  yaml_event_delete(&r.event);
  yaml_parser_delete(&r.parser);
  return ok ? f : NULL;
}

const YamlFile *yaml_load(Arena *a, const char *path, Diag *d) {
  size_t n = 0;
  const char *text = file_read(a, path, &n, d);
  return text ? yaml_parse_text(a, text, n, path, d) : NULL;
}

const Yaml *yaml_get(const Yaml *map, const char *key) {
  if (!map || map->type != YAML_MAPPING) return NULL;
  for (const Yaml *m = map->first; m; m = m->next)
    if (strcmp(m->key, key) == 0) return m;
  return NULL;
}
