/* The text form of a graph: the parser. The grammar stands at the top of ir/print.c.
 *
 *   text -> tokens (one of lookahead) -> statements, each built at once -> graph_verify
 *
 * The text is untrusted. An id must be defined above its use, which refuses undefined values and cycles alike; every
 * node goes through inference, and the type stated after ":" must be what inference says. The first error ends the
 * parse and is reported as file:line:col with the line and a caret. Memory is bounded by the text's length: a constant's
 * bytes are allocated only when enough text is left to hold its elements.
 */
#include <inttypes.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/parse.h"

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
    if (*s == '%' && strncmp(s + 1, p->s, p->len) == 0 && !lex_is_atom(s[1 + p->len])) return line_no;
  }
  return 0;
}

/* The lookahead must be an id that is defined. */
static bool parse_use(Parser *p, ValId *out) {
  if (p->tok != TOK_ID || p->len == 0) return lex_fail(p, "want a value (%%id), got %s", lex_seen(p));
  *out = id_find(p, p->s, p->len);
  if (*out == NO_VAL) {
    int below = defined_below(p);
    if (below == 0) return lex_fail(p, "%s is not defined", lex_seen(p));
    lex_fail(p, "%s is used before it is defined, on line %d", lex_seen(p), below);
    diag_hint(p->d, "nodes stand in topological order; a cycle has none");
    return false;
  }
  lex_next(p);
  return true;
}

/* -- types -- */

static bool parse_shape(Parser *p, Shape *s) {
  *s = (Shape){0};
  TRY(lex_want(p, '['));
  while (!lex_at(p, ']')) {
    if (s->rank == MAX_RANK) return lex_fail(p, "more than %d dimensions", MAX_RANK);
    if (s->rank > 0) TRY(lex_want(p, ','));
    if (lex_at_word(p, "N")) {
      if (s->rank > 0) return lex_fail(p, "N, the symbolic batch, is outermost alone");
      s->d[s->rank++] = DIM_BATCH;
      lex_next(p);
    } else {
      TRY(lex_int(p, 0, INT32_MAX, &s->d[s->rank]));
      s->rank++;
    }
  }
  lex_next(p);
  return true;
}

static bool parse_code_zero(Parser *p, int32_t *out) {
  int64_t v;
  TRY(lex_int(p, INT32_MIN, INT32_MAX, &v));
  *out = (int32_t)v;
  return true;
}

static bool parse_quant_axis(Parser *p, Typed *t) {
  int64_t axis;
  lex_next(p);
  TRY(lex_want(p, '='));
  TRY(lex_int(p, 0, MAX_RANK - 1, &axis));
  t->q_axis = (int)axis;
  if (axis >= t->shape.rank || t->shape.d[axis] < 2)
    return lex_fail(p, "axis %d has no two slices to quantize", t->q_axis);
  int64_t n = t->shape.d[axis];
  if ((size_t)n > (size_t)(p->end - p->p))
    return lex_fail(p, "want %" PRId64 " scales, one for each slice", n);
  t->scale = arena_array(p->a, (size_t)n, sizeof *t->scale);
  t->zero = arena_array(p->a, (size_t)n, sizeof *t->zero);
  for (t->q_n = 0; t->q_n < n; t->q_n++) {
    if (!lex_at(p, ',')) return lex_fail(p, "want %" PRId64 " scales, one for each slice, got %d", n, t->q_n);
    lex_next(p);
    TRY(lex_float(p, &t->scale[t->q_n]));
    TRY(parse_code_zero(p, &t->zero[t->q_n]));
  }
  return true;
}

static bool parse_quant(Parser *p, Typed *t) {
  lex_next(p);
  TRY(lex_want(p, '('));
  if (lex_at_word(p, "axis")) {
    TRY(parse_quant_axis(p, t));
  } else {
    t->q_n = 1;
    t->scale = arena_array(p->a, 1, sizeof *t->scale);
    t->zero = arena_array(p->a, 1, sizeof *t->zero);
    TRY(lex_float(p, t->scale));
    TRY(lex_want(p, ','));
    TRY(parse_code_zero(p, t->zero));
  }
  return lex_want(p, ')');
}

static bool parse_type(Parser *p, Typed *t) {
  *t = (Typed){.loc = p->loc, .line = p->tok_line};
  if (p->tok != TOK_ATOM || !dtype_parse(lex_atom(p), &t->dtype)) {
    return lex_fail(p, "want an element type (f32, i8, ...), got %s", lex_seen(p));
  }
  lex_next(p);
  TRY(parse_shape(p, &t->shape));
  if (!shape_valid(&t->shape, t->dtype)) {
    return lex_fail_at(p, &t->loc, t->line, "the shape is larger than the IR allows");
  }
  if (lex_at_word(p, "q")) TRY(parse_quant(p, t));
  if (p->tok == TOK_STRING || p->tok == TOK_BAD) TRY(lex_string(p, &t->name));
  const Value v = {.dtype = t->dtype, .shape = t->shape, .quant = {t->q_n, t->q_axis, t->scale, t->zero}};
  if (value_verify(&v, &t->loc, p->d)) return true;
  diag_source(p->d, t->line, t->loc.col);
  return false;
}

/* -- constants -- */

static bool parse_numbered(Parser *p, const Typed *t, Blob **out) {
  const Loc loc = p->loc;
  const char *line = p->tok_line;
  int64_t number;
  lex_next(p);
  TRY(lex_int(p, 0, INT64_MAX, &number));
  if (p->source == NULL) return lex_fail_at(p, &loc, line, "the constant's bytes are in another file");
  *out = p->source->get(p->source->ctx, (uint64_t)number, &loc, p->d);
  TRY(*out != NULL);
  if (blob_size(*out) == (size_t)shape_count(&t->shape) * dtype_size(t->dtype)) return true;
  blob_unref(*out);
  return lex_fail_at(p, &loc, line, "the constant's bytes do not fit its shape");
}

static bool parse_const(Parser *p, ValId *out) {
  Typed t;
  Blob *blob = NULL;
  TRY(lex_want(p, ':'));
  TRY(parse_type(p, &t));
  if (!shape_is_static(&t.shape)) return lex_fail_at(p, &t.loc, t.line, "a constant has no symbolic batch");
  if (lex_at_word(p, "hash"))
    return lex_fail(p, "the constant was printed as a hash: its elements are not in this text");
  if (lex_at(p, '@'))
    TRY(parse_numbered(p, &t, &blob));
  else if (lex_at(p, '{'))
    TRY(parse_elems(p, &t, &blob));
  else
    return lex_fail(p, "want the constant's elements, '{', got %s", lex_seen(p));
  *out = graph_const(p->g, t.name, t.dtype, &t.shape, blob);
  graph_set_quant(p->g, *out, t.q_n, t.q_axis, t.scale, t.zero);
  return true;
}

static bool parse_input(Parser *p, ValId *out) {
  Typed t;
  TRY(lex_want(p, ':'));
  TRY(parse_type(p, &t));
  *out = graph_input(p->g, t.name, t.dtype, &t.shape);
  graph_set_quant(p->g, *out, t.q_n, t.q_axis, t.scale, t.zero);
  return true;
}

/* "(%init) : type", the constant it begins as. */
static bool parse_state(Parser *p, ValId *out) {
  Typed t;
  ValId init;
  TRY(lex_want(p, '('));
  const Loc loc = p->loc;
  const char *line = p->tok_line;
  TRY(parse_use(p, &init));
  if (!val_is_const(p->g, init))
    return lex_fail_at(p, &loc, line, "a state begins as a constant; this is none");
  TRY(lex_want(p, ')'));
  TRY(lex_want(p, ':'));
  TRY(parse_type(p, &t));
  const Value *v = &p->g->vals[init];
  if (v->dtype != t.dtype || !shape_equal(&v->shape, &t.shape))
    return lex_fail_at(p, &t.loc, t.line, "a state and its initial value want one type and shape");
  *out = graph_state(p->g, t.name, init);
  if (t.q_n > 0) graph_set_quant(p->g, *out, t.q_n, t.q_axis, t.scale, t.zero);
  return true;
}

/* "next %state = %value", the lookahead at "next". */
static bool parse_next(Parser *p) {
  ValId now, next;
  lex_next(p);
  const Loc loc = p->loc;
  const char *line = p->tok_line;
  TRY(parse_use(p, &now));
  uint32_t i = 0;
  while (i < p->g->n_states && p->g->states[i].now != now) i++;
  if (i == p->g->n_states) return lex_fail_at(p, &loc, line, "want a state");
  if (p->g->states[i].next != NO_VAL)
    return lex_fail_at(p, &loc, line, "the state's next value is said twice");
  TRY(lex_want(p, '='));
  TRY(parse_use(p, &next));
  p->g->states[i].next = next;
  return true;
}

/* -- nodes -- */

static const AttrDesc *find_attr(Parser *p, const OpInfo *info) {
  for (int i = 0; i < info->n_attrs; i++) {
    if (lex_at_word(p, info->attrs[i].name)) return &info->attrs[i];
  }
  lex_fail(p, "%s has no attribute %s", info->name, lex_seen(p));
  StrBuf names = {0};
  for (int i = 0; i < info->n_attrs; i++) sb_printf(&names, "%s%s", i ? ", " : "", info->attrs[i].name);
  diag_hint(p->d, "its attributes: %s", info->n_attrs > 0 ? sb_str(&names) : "none");
  sb_free(&names);
  return NULL;
}

/* The value of an attribute as the text that attr_parse reads. */
static bool attr_text(Parser *p, const AttrDesc *a, StrBuf *text) {
  if (a->kind != ATTR_INTS && a->kind != ATTR_FLTS) {
    if (p->tok != TOK_ATOM) return lex_fail(p, "want a value of %s, got %s", a->name, lex_seen(p));
    sb_write(text, p->s, p->len);
    lex_next(p);
    return true;
  }
  TRY(lex_want(p, '['));
  while (!lex_at(p, ']')) {
    if (text->len > 0) TRY(lex_want(p, ','));
    if (text->len > 0) sb_putc(text, ',');
    if (p->tok != TOK_ATOM) return lex_fail(p, "want an integer, got %s", lex_seen(p));
    sb_write(text, p->s, p->len);
    lex_next(p);
  }
  lex_next(p);
  return true;
}

static bool parse_attr(Parser *p, const OpInfo *info, void *attrs, unsigned *given) {
  const AttrDesc *a = find_attr(p, info);
  TRY(a != NULL);
  unsigned bit = 1u << (a - info->attrs);
  if (*given & bit) return lex_fail(p, "%s is given twice", a->name);
  *given |= bit;
  lex_next(p);
  TRY(lex_want(p, '='));
  const Loc loc = p->loc;
  const char *line = p->tok_line;
  StrBuf text = {0};
  bool ok = attr_text(p, a, &text);
  if (ok && !attr_parse(a, sb_str(&text), attrs)) {
    ok = lex_fail_at(p, &loc, line,
                     arena_printf(p->a, "%s is no value of %s (%s)", sb_str(&text), a->name, a->doc));
  }
  sb_free(&text);
  return ok;
}

static bool parse_attrs(Parser *p, const OpInfo *info, void *attrs) {
  unsigned given = 0;
  if (!lex_at(p, '{')) return true;
  lex_next(p);
  while (!lex_at(p, '}')) {
    if (given != 0) TRY(lex_want(p, ','));
    TRY(parse_attr(p, info, attrs, &given));
  }
  lex_next(p);
  return true;
}

static bool parse_loc_part(Parser *p, const char **out) {
  char *s = NULL;
  if (lex_at_word(p, "_"))
    lex_next(p);
  else
    TRY(lex_string(p, &s));
  *out = s;
  return true;
}

static bool parse_loc(Parser *p, Loc *loc) {
  int64_t node;
  *loc = (Loc){0};
  lex_next(p);
  TRY(lex_want(p, '('));
  TRY(parse_loc_part(p, &loc->file));
  TRY(lex_want(p, ','));
  TRY(lex_int(p, INT32_MIN, INT32_MAX, &node));
  loc->node = (int)node;
  TRY(lex_want(p, ','));
  TRY(parse_loc_part(p, &loc->name));
  TRY(lex_want(p, ','));
  TRY(parse_loc_part(p, &loc->op));
  if (lex_at(p, ',')) {
    lex_next(p);
    TRY(parse_loc_part(p, &loc->pass));
  }
  return lex_want(p, ')');
}

/* The stated type against the inferred one; takes over name and quantization. */
static bool check_type(Parser *p, const Typed *t, ValId v) {
  Value *is = &p->g->vals[v];
  if (is->dtype != t->dtype || !shape_equal(&is->shape, &t->shape)) {
    char stated[192], inferred[192];
    shape_format(&t->shape, stated, sizeof stated);
    shape_format(&is->shape, inferred, sizeof inferred);
    return lex_fail_at(p, &t->loc, t->line,
                       arena_printf(p->a, "stated as %s%s, but inferred as %s%s", dtype_name(t->dtype),
                                    stated, dtype_name(is->dtype), inferred));
  }
  is->name = arena_strdup(p->g->arena, t->name);
  if (t->q_n > 0) graph_set_quant(p->g, v, t->q_n, t->q_axis, t->scale, t->zero);
  return true;
}

static bool parse_args(Parser *p, ValId **in, uint32_t *n_in) {
  size_t cap = 0;
  void *list = NULL;
  bool ok = lex_want(p, '(');
  *n_in = 0;
  while (ok && !lex_at(p, ')')) {
    mem_grow(&list, &cap, (size_t)*n_in + 1, sizeof **in);
    ValId *v = (ValId *)list + *n_in;
    ok = *n_in == 0 || lex_want(p, ',');
    *v = NO_VAL;
    if (ok && lex_at_word(p, "_"))
      lex_next(p);
    else
      ok = ok && parse_use(p, v);
    ++*n_in;
  }
  if (ok) lex_next(p);
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
  if (p->tok != TOK_ATOM || !op_parse(lex_atom(p), &op)) return lex_fail(p, "%s is no operator", lex_seen(p));
  const OpInfo *info = op_info(op);
  if (n_out != (uint32_t)info->outs)
    return lex_fail(p, "%s has %d output(s), not %u", info->name, info->outs, n_out);
  lex_next(p);
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
  for (uint32_t i = 0; i < n_out && (i > 0 || lex_at(p, ':')); i++) {
    Typed t;
    TRY(lex_want(p, i == 0 ? ':' : ','));
    TRY(parse_type(p, &t));
    TRY(check_type(p, &t, n->out[i]));
  }
  if (lex_at_word(p, "loc")) {
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
    if (p->tok != TOK_ID || p->len == 0)
      return lex_fail(p, "want a statement (%%id = ...), got %s", lex_seen(p));
    if (id_find(p, p->s, p->len) != NO_VAL) return lex_fail(p, "%s is defined twice", lex_seen(p));
    if (*n == max) return lex_fail(p, "more than %u outputs", (unsigned)max);
    ids[(*n)++] = (NewId){p->s, p->len};
    lex_next(p);
    if (!lex_at(p, ',')) return lex_want(p, '=');
    lex_next(p);
  }
}

static bool parse_stmt(Parser *p) {
  enum { MAX_OUTS = 8 };
  NewId ids[MAX_OUTS];
  uint32_t n;
  ValId first = NO_VAL;
  TRY(parse_new_ids(p, ids, MAX_OUTS, &n));
  bool input = lex_at_word(p, "input"), constant = lex_at_word(p, "const"), state = lex_at_word(p, "state");
  if ((input || constant || state) && n != 1) return lex_fail(p, "an input, constant or state is one value");
  if (input || constant || state) lex_next(p);
  if (input)
    TRY(parse_input(p, &first));
  else if (constant)
    TRY(parse_const(p, &first));
  else if (state)
    TRY(parse_state(p, &first));
  else
    TRY(parse_node(p, n, &first));
  for (uint32_t i = 0; i < n; i++) id_define(p, ids[i].s, ids[i].len, first + i);
  return true;
}

static bool parse_outputs(Parser *p) {
  do {
    ValId v;
    lex_next(p);
    TRY(parse_use(p, &v));
    graph_output(p->g, v);
  } while (lex_at(p, ','));
  return p->tok == TOK_END || lex_fail(p, "want the end of the text after the outputs, got %s", lex_seen(p));
}

static bool parse_graph(Parser *p) {
  char *name = NULL;
  lex_next(p);
  if (!lex_at_word(p, "graph")) return lex_fail(p, "want \"graph\", got %s", lex_seen(p));
  lex_next(p);
  if (p->tok == TOK_STRING || p->tok == TOK_BAD) TRY(lex_string(p, &name));
  p->g->name = arena_strdup(p->g->arena, name);
  while (p->tok != TOK_END && !lex_at_word(p, "output"))
    TRY(lex_at_word(p, "next") ? parse_next(p) : parse_stmt(p));
  if (p->tok == TOK_END) return lex_fail(p, "the graph has no output: want \"output %%id\"");
  return parse_outputs(p);
}

Graph *graph_parse_from(const char *text, const char *file, const ConstSource *source, Diag *d) {
  Parser p = {.p = text,
              .end = text + strlen(text),
              .line = text,
              .line_no = 1,
              .file = file,
              .source = source,
              .d = d};
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
