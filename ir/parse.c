/* The text form of a graph: the parser. The grammar stands at the top of ir/print.c.
 *
 *   text -> tokens (one of lookahead) -> statements, each built at once -> graph_verify
 *
 * The text is untrusted. An id must be defined above its use, which refuses undefined values and cycles alike; every
 * node goes through inference, and the type stated after ":" must be what inference says. The first error ends the
 * parse and is reported as file:line:col with the line and a caret. Memory is bounded by the text's length: a constant's
 * bytes are allocated only when enough text is left to hold its elements.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/text.h"

typedef enum Tok { TOK_END, TOK_ID, TOK_ATOM, TOK_STRING, TOK_PUNCT, TOK_BAD } Tok;

typedef struct IdSlot {
  const char *s; /* in the text; NULL: free */
  size_t len;
  ValId val;
} IdSlot;

typedef struct Parser {
  const char *p;    /* next character */
  const char *line; /* start of the current line */
  int line_no;
  Tok tok; /* the lookahead: kind, text, where */
  const char *s;
  size_t len;
  const char *tok_line;
  Loc loc;
  const char *file;
  const ConstSource *source;
  Graph *g;
  Arena *a;    /* strings while parsing */
  IdSlot *ids; /* open addressing, at most half full */
  size_t n_ids, cap_ids;
  Diag *d;
} Parser;

/* A type as written: DTYPE[dims] q(...) "name". */
typedef struct Typed {
  DType dtype;
  Shape shape;
  int q_n, q_axis;
  float *scale;
  int32_t *zero;
  char *name;
  Loc loc; /* where it stands */
  const char *line;
} Typed;

/* -- errors -- */

static bool fail_line(Parser *p, const Loc *loc, const char *line, const char *text) {
  diag_error(p->d, loc, "%s", text);
  diag_source(p->d, line, loc->col);
  return false;
}

/* Report at the lookahead. */
static bool fail(Parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool fail(Parser *p, const char *fmt, ...) {
  StrBuf text = {0};
  va_list ap;
  va_start(ap, fmt);
  sb_vprintf(&text, fmt, ap);
  va_end(ap);
  fail_line(p, &p->loc, p->tok_line, sb_str(&text));
  sb_free(&text);
  return false;
}

/* The lookahead as the user sees it, for messages. */
static const char *seen(Parser *p) {
  if (p->tok == TOK_END) return "the end of the text";
  int n = p->len > 40 ? 40 : (int)p->len;
  return arena_printf(p->a, "%s%.*s", p->tok == TOK_ID ? "%" : "", n, p->s);
}

/* -- tokens -- */

static bool is_atom(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
         c == '-' || c == '+';
}

static void skip_blanks(Parser *p) {
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

static void next(Parser *p) {
  skip_blanks(p);
  p->s = p->p;
  p->tok_line = p->line;
  p->loc = (Loc){.file = p->file, .line = p->line_no, .col = (int)(p->p - p->line) + 1};
  if (*p->p == '\0') {
    p->tok = TOK_END;
    p->len = 0;
  } else if (*p->p == '%' || is_atom(*p->p)) {
    p->tok = *p->p == '%' ? TOK_ID : TOK_ATOM;
    if (p->tok == TOK_ID) p->s = ++p->p;
    while (is_atom(*p->p)) p->p++;
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

static bool at(const Parser *p, char c) { return p->tok == TOK_PUNCT && *p->s == c; }
static bool at_word(const Parser *p, const char *word) {
  return p->tok == TOK_ATOM && p->len == strlen(word) && memcmp(p->s, word, p->len) == 0;
}

static bool want(Parser *p, char c) {
  if (!at(p, c)) return fail(p, "want '%c', got %s", c, seen(p));
  next(p);
  return true;
}

static char *atom_text(Parser *p) { return arena_strndup(p->a, p->s, p->len); }

static bool parse_int(Parser *p, int64_t least, int64_t most, int64_t *out) {
  Ints v;
  if (p->tok != TOK_ATOM || p->len == 0 || !ints_parse(atom_text(p), &v) || v.n != 1) {
    return fail(p, "want an integer, got %s", seen(p));
  }
  if (v.v[0] < least || v.v[0] > most) {
    return fail(p, "%" PRId64 " is out of range, want %" PRId64 " to %" PRId64, v.v[0], least, most);
  }
  *out = v.v[0];
  next(p);
  return true;
}

static bool parse_float(Parser *p, float *out) {
  char *end = NULL, *text = p->tok == TOK_ATOM ? atom_text(p) : NULL;
  if (text != NULL) *out = strtof(text, &end);
  if (text == NULL || end == text || *end != '\0') return fail(p, "want a number, got %s", seen(p));
  next(p);
  return true;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

static bool parse_string(Parser *p, char **out) {
  if (p->tok == TOK_BAD) return fail(p, "the string does not end on its line");
  if (p->tok != TOK_STRING) return fail(p, "want a string, got %s", seen(p));
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
      return fail(p, "the string has an unknown escape: want \\\", \\\\ or \\xHH");
    }
  }
  next(p);
  return true;
}

/* -- ids -- */

static IdSlot *id_slot(IdSlot *ids, size_t cap, const char *s, size_t len) {
  size_t i = (size_t)hash_bytes(s, len).lo & (cap - 1);
  while (ids[i].s != NULL && (ids[i].len != len || memcmp(ids[i].s, s, len) != 0)) i = (i + 1) & (cap - 1);
  return &ids[i];
}

static void ids_grow(Parser *p) {
  size_t cap = p->cap_ids == 0 ? 256 : p->cap_ids * 2;
  IdSlot *bigger = mem_array(cap, sizeof *bigger);
  for (size_t i = 0; i < p->cap_ids; i++) {
    if (p->ids[i].s != NULL) *id_slot(bigger, cap, p->ids[i].s, p->ids[i].len) = p->ids[i];
  }
  mem_free(p->ids);
  p->ids = bigger;
  p->cap_ids = cap;
}

static void id_define(Parser *p, const char *s, size_t len, ValId v) {
  if (p->n_ids * 2 >= p->cap_ids) ids_grow(p);
  *id_slot(p->ids, p->cap_ids, s, len) = (IdSlot){s, len, v};
  p->n_ids++;
}

static ValId id_find(const Parser *p, const char *s, size_t len) {
  return p->cap_ids == 0 ? NO_VAL : id_slot(p->ids, p->cap_ids, s, len)->val;
}

/* The line below the lookahead that starts with this id, 0 when there is none. */
static int defined_below(const Parser *p) {
  int line_no = p->line_no;
  for (const char *s = strchr(p->p, '\n'); s != NULL; s = strchr(s, '\n')) {
    line_no++;
    s += 1 + strspn(s + 1, " \t");
    if (*s == '%' && strncmp(s + 1, p->s, p->len) == 0 && !is_atom(s[1 + p->len])) return line_no;
  }
  return 0;
}

/* The lookahead must be an id that is defined. */
static bool parse_use(Parser *p, ValId *out) {
  if (p->tok != TOK_ID || p->len == 0) return fail(p, "want a value (%%id), got %s", seen(p));
  *out = id_find(p, p->s, p->len);
  if (*out == NO_VAL) {
    int below = defined_below(p);
    if (below == 0) return fail(p, "%s is not defined", seen(p));
    fail(p, "%s is used before it is defined, on line %d", seen(p), below);
    diag_hint(p->d, "nodes stand in topological order; a cycle has none");
    return false;
  }
  next(p);
  return true;
}

/* -- types -- */

static bool parse_shape(Parser *p, Shape *s) {
  *s = (Shape){0};
  TRY(want(p, '['));
  while (!at(p, ']')) {
    if (s->rank == MAX_RANK) return fail(p, "more than %d dimensions", MAX_RANK);
    if (s->rank > 0) TRY(want(p, ','));
    if (at_word(p, "N")) {
      if (s->rank > 0) return fail(p, "N, the symbolic batch, is outermost alone");
      s->d[s->rank++] = DIM_BATCH;
      next(p);
    } else {
      TRY(parse_int(p, 0, INT32_MAX, &s->d[s->rank]));
      s->rank++;
    }
  }
  next(p);
  return true;
}

static bool parse_code_zero(Parser *p, int32_t *out) {
  int64_t v;
  TRY(parse_int(p, INT32_MIN, INT32_MAX, &v));
  *out = (int32_t)v;
  return true;
}

static bool parse_quant_axis(Parser *p, Typed *t) {
  int64_t axis;
  next(p);
  TRY(want(p, '='));
  TRY(parse_int(p, 0, MAX_RANK - 1, &axis));
  t->q_axis = (int)axis;
  if (axis >= t->shape.rank || t->shape.d[axis] < 2)
    return fail(p, "axis %d has no two slices to quantize", t->q_axis);
  int64_t n = t->shape.d[axis];
  if ((size_t)n > strlen(p->p)) return fail(p, "want %" PRId64 " scales, one for each slice", n);
  t->scale = arena_array(p->a, (size_t)n, sizeof *t->scale);
  t->zero = arena_array(p->a, (size_t)n, sizeof *t->zero);
  for (t->q_n = 0; t->q_n < n; t->q_n++) {
    if (!at(p, ',')) return fail(p, "want %" PRId64 " scales, one for each slice, got %d", n, t->q_n);
    next(p);
    TRY(parse_float(p, &t->scale[t->q_n]));
    TRY(parse_code_zero(p, &t->zero[t->q_n]));
  }
  return true;
}

static bool parse_quant(Parser *p, Typed *t) {
  next(p);
  TRY(want(p, '('));
  if (at_word(p, "axis")) {
    TRY(parse_quant_axis(p, t));
  } else {
    t->q_n = 1;
    t->scale = arena_array(p->a, 1, sizeof *t->scale);
    t->zero = arena_array(p->a, 1, sizeof *t->zero);
    TRY(parse_float(p, t->scale));
    TRY(want(p, ','));
    TRY(parse_code_zero(p, t->zero));
  }
  return want(p, ')');
}

static bool parse_type(Parser *p, Typed *t) {
  *t = (Typed){.loc = p->loc, .line = p->tok_line};
  if (p->tok != TOK_ATOM || !dtype_parse(atom_text(p), &t->dtype)) {
    return fail(p, "want an element type (f32, i8, ...), got %s", seen(p));
  }
  next(p);
  TRY(parse_shape(p, &t->shape));
  if (!shape_valid(&t->shape, t->dtype))
    return fail_line(p, &t->loc, t->line, "the shape is larger than the IR allows");
  if (at_word(p, "q")) TRY(parse_quant(p, t));
  if (p->tok == TOK_STRING || p->tok == TOK_BAD) TRY(parse_string(p, &t->name));
  return true;
}

/* -- constants -- */

static bool elem_int(const char *s, char **end, int64_t least, int64_t most, int64_t *out) {
  if (*s != '-' && (*s < '0' || *s > '9')) return false;
  errno = 0;
  long long v = strtoll(s, end, 10);
  *out = v;
  return errno == 0 && v >= least && v <= most;
}

/* Floats: decimal, inf, -inf, or the bits as 0x... */
static bool elem_float(const char *s, char **end, DType t, void *out) {
  if (s[0] == '0' && s[1] == 'x') {
    errno = 0;
    unsigned long long bits = strtoull(s, end, 16);
    uint32_t low = (uint32_t)bits;
    uint64_t all = bits;
    if (t == DT_F32)
      memcpy(out, &low, sizeof low);
    else
      memcpy(out, &all, sizeof all);
    return errno == 0 && (t == DT_F64 || bits <= UINT32_MAX);
  }
  if (!is_atom(*s) || *s == 'n') return false;
  if (t == DT_F32) {
    float v = strtof(s, end);
    memcpy(out, &v, sizeof v);
  } else {
    double v = strtod(s, end);
    memcpy(out, &v, sizeof v);
  }
  return *end != s;
}

static bool parse_elem(const char *s, char **end, DType t, void *data, int64_t i) {
  int64_t v;
  switch (t) {
  case DT_F32: return elem_float(s, end, t, (float *)data + i);
  case DT_F64: return elem_float(s, end, t, (double *)data + i);
  case DT_I8:
    TRY(elem_int(s, end, INT8_MIN, INT8_MAX, &v));
    ((int8_t *)data)[i] = (int8_t)v;
    return true;
  case DT_U8:
    TRY(elem_int(s, end, 0, UINT8_MAX, &v));
    ((uint8_t *)data)[i] = (uint8_t)v;
    return true;
  case DT_BOOL:
    TRY(elem_int(s, end, 0, 1, &v));
    ((uint8_t *)data)[i] = (uint8_t)v;
    return true;
  case DT_I16:
    TRY(elem_int(s, end, INT16_MIN, INT16_MAX, &v));
    ((int16_t *)data)[i] = (int16_t)v;
    return true;
  case DT_I32:
    TRY(elem_int(s, end, INT32_MIN, INT32_MAX, &v));
    ((int32_t *)data)[i] = (int32_t)v;
    return true;
  case DT_I64: return elem_int(s, end, INT64_MIN, INT64_MAX, (int64_t *)data + i);
  case DT_NONE:
  case DT_COUNT: break;
  }
  return false;
}

/* The lookahead is "{". Elements are read from the text directly: there may be millions. */
static bool parse_elems(Parser *p, const Typed *t, Blob **out) {
  int64_t n = shape_count(&t->shape);
  if ((uint64_t)n > strlen(p->p)) return fail(p, "want %" PRId64 " elements, there is not enough text", n);
  size_t size = (size_t)n * dtype_size(t->dtype);
  void *data = mem_alloc_aligned(size, 64);
  bool ok = true;
  int64_t i = 0;
  for (; i < n && ok; i++) {
    char *end = NULL;
    skip_blanks(p);
    const char *s = p->p;
    ok = parse_elem(s, &end, t->dtype, data, i) && !is_atom(*end);
    if (!ok) break;
    p->p = end;
    skip_blanks(p);
    if (i + 1 == n) break;
    ok = *p->p == ',';
    if (ok) p->p++;
  }
  next(p);
  if (ok && !at(p, '}')) ok = false;
  if (!ok) {
    mem_free(data);
    return fail(p, "element %" PRId64 " of %" PRId64 ": want %s, got %s", i, n,
                i + 1 >= n ? "the last one and '}'" : dtype_name(t->dtype), seen(p));
  }
  next(p);
  *out = blob_adopt(data, size);
  return true;
}

static bool parse_numbered(Parser *p, const Typed *t, Blob **out) {
  const Loc loc = p->loc;
  const char *line = p->tok_line;
  int64_t number;
  next(p);
  TRY(parse_int(p, 0, INT64_MAX, &number));
  if (p->source == NULL) return fail_line(p, &loc, line, "the constant's bytes are in another file");
  *out = p->source->get(p->source->ctx, (uint64_t)number, &loc, p->d);
  TRY(*out != NULL);
  if (blob_size(*out) == (size_t)shape_count(&t->shape) * dtype_size(t->dtype)) return true;
  blob_unref(*out);
  return fail_line(p, &loc, line, "the constant's bytes do not fit its shape");
}

static bool parse_const(Parser *p, ValId *out) {
  Typed t;
  Blob *blob = NULL;
  TRY(want(p, ':'));
  TRY(parse_type(p, &t));
  if (!shape_is_static(&t.shape)) return fail_line(p, &t.loc, t.line, "a constant has no symbolic batch");
  if (at_word(p, "hash"))
    return fail(p, "the constant was printed as a hash: its elements are not in this text");
  if (at(p, '@'))
    TRY(parse_numbered(p, &t, &blob));
  else if (at(p, '{'))
    TRY(parse_elems(p, &t, &blob));
  else
    return fail(p, "want the constant's elements, '{', got %s", seen(p));
  *out = graph_const(p->g, t.name, t.dtype, &t.shape, blob);
  graph_set_quant(p->g, *out, t.q_n, t.q_axis, t.scale, t.zero);
  return true;
}

static bool parse_input(Parser *p, ValId *out) {
  Typed t;
  TRY(want(p, ':'));
  TRY(parse_type(p, &t));
  *out = graph_input(p->g, t.name, t.dtype, &t.shape);
  graph_set_quant(p->g, *out, t.q_n, t.q_axis, t.scale, t.zero);
  return true;
}

/* -- nodes -- */

static const AttrDesc *find_attr(Parser *p, const OpInfo *info) {
  for (int i = 0; i < info->n_attrs; i++) {
    if (at_word(p, info->attrs[i].name)) return &info->attrs[i];
  }
  fail(p, "%s has no attribute %s", info->name, seen(p));
  StrBuf names = {0};
  for (int i = 0; i < info->n_attrs; i++) sb_printf(&names, "%s%s", i ? ", " : "", info->attrs[i].name);
  diag_hint(p->d, "its attributes: %s", info->n_attrs > 0 ? sb_str(&names) : "none");
  sb_free(&names);
  return NULL;
}

/* The value of an attribute as the text that attr_parse reads. */
static bool attr_text(Parser *p, const AttrDesc *a, StrBuf *text) {
  if (a->kind != ATTR_INTS) {
    if (p->tok != TOK_ATOM) return fail(p, "want a value of %s, got %s", a->name, seen(p));
    sb_write(text, p->s, p->len);
    next(p);
    return true;
  }
  TRY(want(p, '['));
  while (!at(p, ']')) {
    if (text->len > 0) TRY(want(p, ','));
    if (text->len > 0) sb_putc(text, ',');
    if (p->tok != TOK_ATOM) return fail(p, "want an integer, got %s", seen(p));
    sb_write(text, p->s, p->len);
    next(p);
  }
  next(p);
  return true;
}

static bool parse_attr(Parser *p, const OpInfo *info, void *attrs, unsigned *given) {
  const AttrDesc *a = find_attr(p, info);
  TRY(a != NULL);
  unsigned bit = 1u << (a - info->attrs);
  if (*given & bit) return fail(p, "%s is given twice", a->name);
  *given |= bit;
  next(p);
  TRY(want(p, '='));
  const Loc loc = p->loc;
  const char *line = p->tok_line;
  StrBuf text = {0};
  bool ok = attr_text(p, a, &text);
  if (ok && !attr_parse(a, sb_str(&text), attrs)) {
    ok = fail_line(p, &loc, line,
                   arena_printf(p->a, "%s is no value of %s (%s)", sb_str(&text), a->name, a->doc));
  }
  sb_free(&text);
  return ok;
}

static bool parse_attrs(Parser *p, const OpInfo *info, void *attrs) {
  unsigned given = 0;
  if (!at(p, '{')) return true;
  next(p);
  while (!at(p, '}')) {
    if (given != 0) TRY(want(p, ','));
    TRY(parse_attr(p, info, attrs, &given));
  }
  next(p);
  return true;
}

static bool parse_loc_part(Parser *p, const char **out) {
  char *s = NULL;
  if (at_word(p, "_"))
    next(p);
  else
    TRY(parse_string(p, &s));
  *out = s;
  return true;
}

static bool parse_loc(Parser *p, Loc *loc) {
  int64_t node;
  *loc = (Loc){0};
  next(p);
  TRY(want(p, '('));
  TRY(parse_loc_part(p, &loc->file));
  TRY(want(p, ','));
  TRY(parse_int(p, INT32_MIN, INT32_MAX, &node));
  loc->node = (int)node;
  TRY(want(p, ','));
  TRY(parse_loc_part(p, &loc->name));
  TRY(want(p, ','));
  TRY(parse_loc_part(p, &loc->op));
  if (at(p, ',')) {
    next(p);
    TRY(parse_loc_part(p, &loc->pass));
  }
  return want(p, ')');
}

/* The stated type against the inferred one; takes over name and quantization. */
static bool check_type(Parser *p, const Typed *t, ValId v) {
  Value *is = &p->g->vals[v];
  if (is->dtype != t->dtype || !shape_equal(&is->shape, &t->shape)) {
    char stated[192], inferred[192];
    shape_format(&t->shape, stated, sizeof stated);
    shape_format(&is->shape, inferred, sizeof inferred);
    return fail_line(p, &t->loc, t->line,
                     arena_printf(p->a, "stated as %s%s, but inferred as %s%s", dtype_name(t->dtype), stated,
                                  dtype_name(is->dtype), inferred));
  }
  is->name = arena_strdup(p->g->arena, t->name);
  if (t->q_n > 0) graph_set_quant(p->g, v, t->q_n, t->q_axis, t->scale, t->zero);
  return true;
}

static bool parse_args(Parser *p, ValId **in, uint32_t *n_in) {
  size_t cap = 0;
  void *list = NULL;
  bool ok = want(p, '(');
  *n_in = 0;
  while (ok && !at(p, ')')) {
    mem_grow(&list, &cap, (size_t)*n_in + 1, sizeof **in);
    ValId *v = (ValId *)list + *n_in;
    ok = *n_in == 0 || want(p, ',');
    *v = NO_VAL;
    if (ok && at_word(p, "_"))
      next(p);
    else
      ok = ok && parse_use(p, v);
    ++*n_in;
  }
  if (ok) next(p);
  *in = arena_dup(p->a, list, *n_in * sizeof **in);
  mem_free(list);
  return ok;
}

/* The lookahead is the operator. *first: the node's first output. */
static bool parse_node(Parser *p, uint32_t n_out, ValId *first) {
  const Loc loc = p->loc;
  const char *line = p->tok_line;
  OpKind op;
  ValId *in;
  uint32_t n_in;
  if (p->tok != TOK_ATOM || !op_parse(atom_text(p), &op)) return fail(p, "%s is no operator", seen(p));
  const OpInfo *info = op_info(op);
  if (n_out != (uint32_t)info->outs)
    return fail(p, "%s has %d output(s), not %u", info->name, info->outs, n_out);
  next(p);
  TRY(parse_args(p, &in, &n_in));
  void *attrs = arena_alloc(p->a, info->attrs_size);
  op_attrs_default(op, attrs);
  TRY(parse_attrs(p, info, attrs));
  *first = graph_node(p->g, op, attrs, in, n_in, NULL, &loc, p->d);
  if (*first == NO_VAL) {
    diag_source(p->d, line, loc.col);
    return false;
  }
  const Node *n = &p->g->nodes[p->g->n_nodes - 1];
  for (uint32_t i = 0; i < n_out && (i > 0 || at(p, ':')); i++) {
    Typed t;
    TRY(want(p, i == 0 ? ':' : ','));
    TRY(parse_type(p, &t));
    TRY(check_type(p, &t, n->out[i]));
  }
  if (at_word(p, "loc")) {
    Loc from;
    TRY(parse_loc(p, &from));
    graph_set_loc(p->g, p->g->n_nodes - 1, &from);
  }
  return true;
}

/* -- statements -- */

typedef struct NewId {
  const char *s;
  size_t len;
} NewId;

/* "%a, %b =": the names, at most `max`. */
static bool parse_new_ids(Parser *p, NewId *ids, uint32_t max, uint32_t *n) {
  for (*n = 0;;) {
    if (p->tok != TOK_ID || p->len == 0) return fail(p, "want a statement (%%id = ...), got %s", seen(p));
    if (id_find(p, p->s, p->len) != NO_VAL) return fail(p, "%s is defined twice", seen(p));
    if (*n == max) return fail(p, "more than %u outputs", (unsigned)max);
    ids[(*n)++] = (NewId){p->s, p->len};
    next(p);
    if (!at(p, ',')) return want(p, '=');
    next(p);
  }
}

static bool parse_stmt(Parser *p) {
  enum { MAX_OUTS = 8 };
  NewId ids[MAX_OUTS];
  uint32_t n;
  ValId first = NO_VAL;
  TRY(parse_new_ids(p, ids, MAX_OUTS, &n));
  bool input = at_word(p, "input"), constant = at_word(p, "const");
  if ((input || constant) && n != 1) return fail(p, "an input or constant is one value");
  if (input || constant) next(p);
  if (input)
    TRY(parse_input(p, &first));
  else if (constant)
    TRY(parse_const(p, &first));
  else
    TRY(parse_node(p, n, &first));
  for (uint32_t i = 0; i < n; i++) id_define(p, ids[i].s, ids[i].len, first + i);
  return true;
}

static bool parse_outputs(Parser *p) {
  do {
    ValId v;
    next(p);
    TRY(parse_use(p, &v));
    graph_output(p->g, v);
  } while (at(p, ','));
  return p->tok == TOK_END || fail(p, "want the end of the text after the outputs, got %s", seen(p));
}

static bool parse_graph(Parser *p) {
  char *name = NULL;
  next(p);
  if (!at_word(p, "graph")) return fail(p, "want \"graph\", got %s", seen(p));
  next(p);
  if (p->tok == TOK_STRING || p->tok == TOK_BAD) TRY(parse_string(p, &name));
  p->g->name = arena_strdup(p->g->arena, name);
  while (p->tok != TOK_END && !at_word(p, "output")) TRY(parse_stmt(p));
  return p->tok == TOK_END || parse_outputs(p);
}

Graph *graph_parse_from(const char *text, const char *file, const ConstSource *source, Diag *d) {
  Parser p = {.p = text, .line = text, .line_no = 1, .file = file, .source = source, .d = d};
  p.g = graph_new(NULL);
  p.a = arena_new();
  bool ok = parse_graph(&p) && graph_verify(p.g, d);
  arena_free(p.a);
  mem_free(p.ids);
  if (ok) return p.g;
  graph_free(p.g);
  return NULL;
}

Graph *graph_parse(const char *text, const char *file, Diag *d) {
  return graph_parse_from(text, file, NULL, d);
}
