/* The text form of a graph: the printer. ir/parse.c reads it back; print, parse, print gives the same bytes.
 *
 *   graph   = "graph" [STRING] stmt* ["next" id "=" id]* ["output" id ("," id)*]
 *   stmt    = id "=" "input" ":" type
 *           | id "=" "state" "(" id ")" ":" type                  begins as that constant; "next" says what comes after
 *           | id "=" "const" ":" type ( "{" elem ("," elem)* "}" | "@" NUMBER | "hash" "(" HEX ")" )
 *           | id ("," id)* "=" OP "(" [arg ("," arg)*] ")" ["{" [attr ("," attr)*] "}"] [":" type ("," type)*] [loc]
 *   arg     = id | "_"                                       "_": an optional input left out
 *   attr    = NAME "=" ( NUMBER | WORD | "[" [NUMBER ("," NUMBER)*] "]" )     attributes with their default are left out
 *   type    = DTYPE "[" [dim ("," dim)*] "]" [quant] [STRING]           dim: INT, or N, the symbolic batch
 *   quant   = "q" "(" scale "," zero ")"                                per tensor
 *           | "q" "(" "axis" "=" INT ("," scale zero)+ ")"              per axis
 *   loc     = "loc" "(" file "," node "," name "," op ["," pass] ")"    strings, or "_" for none
 *   elem    = decimal; floats the shortest that reads back the same, NaN by its bits (0x7fc00000)
 *   id      = "%" [A-Za-z0-9_.]+      comment = "#" to the end of the line      blanks and line ends count alike
 *
 *   graph "net"
 *   %1 = input : f32[N,32,32,3] "x"
 *   %2 = const : f32[16,3,3,3] "w" {0.25, -1, ...}
 *   %3 = Conv(%1, %2) {strides=[2,2], pads=[1,1,1,1], act=relu} : f32[N,16,16,16] "y" loc("net.onnx", 0, "c1", "Conv")
 *   output %3
 *
 * The printer numbers values as it prints them: inputs, then nodes in order, each constant before its first use,
 * then constants that only the outputs use, or nobody. Locations in text files are not printed: the parser gives
 * nodes without a loc() their place in the text.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/text.h"

typedef struct Printer {
  const Graph *g;
  StrBuf *out;
  uint32_t *number; /* per value; 0: not printed yet */
  uint32_t next;
  size_t max_inline;
  ValId *consts; /* NULL: elements are printed */
  uint32_t n_consts;
} Printer;

static void print_string(StrBuf *b, const char *s) {
  sb_putc(b, '"');
  for (; *s != '\0'; s++) {
    unsigned char c = (unsigned char)*s;
    if (c == '"' || c == '\\')
      sb_printf(b, "\\%c", c);
    else if (c < 0x20 || c == 0x7f)
      sb_printf(b, "\\x%02x", c);
    else
      sb_putc(b, (char)c);
  }
  sb_putc(b, '"');
}

static void print_type(Printer *p, const Value *v) {
  StrBuf *b = p->out;
  char shape[192];
  shape_format(&v->shape, shape, sizeof shape);
  sb_printf(b, "%s%s", dtype_name(v->dtype), shape);
  if (v->quant.n == 1) {
    sb_puts(b, " q(");
    sb_float(b, v->quant.scale[0]);
    sb_printf(b, ", %" PRId32 ")", v->quant.zero[0]);
  } else if (v->quant.n > 1) {
    sb_printf(b, " q(axis=%" PRId32, v->quant.axis);
    for (int i = 0; i < v->quant.n; i++) {
      sb_puts(b, ", ");
      sb_float(b, v->quant.scale[i]);
      sb_printf(b, " %" PRId32, v->quant.zero[i]);
    }
    sb_putc(b, ')');
  }
  if (v->name != NULL) {
    sb_putc(b, ' ');
    print_string(b, v->name);
  }
}

static void print_f32(StrBuf *b, float v) {
  uint32_t bits;
  memcpy(&bits, &v, sizeof bits);
  if (isnan(v))
    sb_printf(b, "0x%08" PRIx32, bits);
  else
    sb_float(b, v);
}

static void print_f64(StrBuf *b, double v) {
  uint64_t bits;
  char text[40];
  memcpy(&bits, &v, sizeof bits);
  if (isnan(v)) {
    sb_printf(b, "0x%016" PRIx64, bits);
    return;
  }
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, v);
    if (strtod(text, NULL) == v) break;
  }
  sb_puts(b, text);
}

/* Floats that are only stored: their bits. */
static void print_elem(StrBuf *b, DType t, const void *data, int64_t i) {
  if (t == DT_F32)
    print_f32(b, ((const float *)data)[i]);
  else if (t == DT_F64)
    print_f64(b, ((const double *)data)[i]);
  else if (dtype_kind(t) == 's')
    sb_printf(b, "0x%0*" PRIx64, (dtype_bits(t) + 3) / 4, (uint64_t)dtype_get(t, data, i));
  else if (dtype_kind(t) == 'u')
    sb_printf(b, "%" PRIu64, (uint64_t)dtype_get(t, data, i));
  else
    sb_printf(b, "%" PRId64, dtype_get(t, data, i));
}

/* 16 elements a line, so that a caret below one stays readable. */
static void print_elems(StrBuf *b, DType t, const void *data, int64_t n) {
  enum { PER_LINE = 16 };
  sb_putc(b, '{');
  for (int64_t i = 0; i < n; i++) {
    if (i > 0) sb_putc(b, ',');
    if (n > PER_LINE && i % PER_LINE == 0)
      sb_puts(b, "\n  ");
    else if (i > 0)
      sb_putc(b, ' ');
    print_elem(b, t, data, i);
  }
  sb_putc(b, '}');
}

static void print_const(Printer *p, ValId id) {
  const Value *v = &p->g->vals[id];
  int64_t n = shape_count(&v->shape);
  p->number[id] = p->next++;
  sb_printf(p->out, "%%%" PRIu32 " = const : ", p->number[id]);
  print_type(p, v);
  sb_putc(p->out, ' ');
  if (p->consts != NULL) {
    sb_printf(p->out, "@%" PRIu32, p->n_consts);
    p->consts[p->n_consts++] = id;
  } else if ((uint64_t)n > p->max_inline) {
    char hex[HASH_HEX];
    hash_hex(blob_hash(v->blob), hex);
    sb_printf(p->out, "hash(%s)", hex);
  } else {
    print_elems(p->out, v->dtype, blob_data(v->blob), n);
  }
  sb_putc(p->out, '\n');
}

/* A value that nothing defines (the verifier refuses it) still gets a number, so that a broken graph prints. */
static uint32_t number_of(Printer *p, ValId id) {
  if (p->number[id] == 0) p->number[id] = p->next++;
  return p->number[id];
}

static void print_attrs(Printer *p, const Node *n) {
  const OpInfo *info = op_info(n->op);
  void *defaults = mem_zalloc(info->attrs_size);
  bool first = true;
  op_attrs_default(n->op, defaults);
  for (int i = 0; i < info->n_attrs; i++) {
    const AttrDesc *a = &info->attrs[i];
    if (attr_equal(a, n->attrs, defaults)) continue;
    sb_printf(p->out, "%s%s=", first ? " {" : ", ", a->name);
    const bool list = a->kind == ATTR_INTS || a->kind == ATTR_FLTS;
    if (list) sb_putc(p->out, '[');
    attr_format(a, n->attrs, p->out);
    if (list) sb_putc(p->out, ']');
    first = false;
  }
  if (!first) sb_putc(p->out, '}');
  mem_free(defaults);
}

static void print_loc_part(StrBuf *b, const char *s) {
  if (s == NULL)
    sb_putc(b, '_');
  else
    print_string(b, s);
}

static void print_loc(StrBuf *b, const Loc *loc) {
  if (loc->line > 0 || (loc->file == NULL && loc->name == NULL && loc->op == NULL && loc->pass == NULL))
    return;
  sb_puts(b, " loc(");
  print_loc_part(b, loc->file);
  sb_printf(b, ", %d, ", loc->node);
  print_loc_part(b, loc->name);
  sb_puts(b, ", ");
  print_loc_part(b, loc->op);
  if (loc->pass != NULL) {
    sb_puts(b, ", ");
    print_string(b, loc->pass);
  }
  sb_putc(b, ')');
}

static void print_node(Printer *p, const Node *n) {
  StrBuf *b = p->out;
  for (uint32_t i = 0; i < n->n_in; i++) {
    if (val_is_const(p->g, n->in[i]) && p->number[n->in[i]] == 0) print_const(p, n->in[i]);
  }
  for (uint32_t i = 0; i < n->n_out; i++) {
    sb_printf(b, "%s%%%" PRIu32, i ? ", " : "", number_of(p, n->out[i]));
  }
  sb_printf(b, " = %s(", op_info(n->op)->name);
  for (uint32_t i = 0; i < n->n_in; i++) {
    if (i > 0) sb_puts(b, ", ");
    if (n->in[i] == NO_VAL)
      sb_putc(b, '_');
    else
      sb_printf(b, "%%%" PRIu32, number_of(p, n->in[i]));
  }
  sb_putc(b, ')');
  print_attrs(p, n);
  for (uint32_t i = 0; i < n->n_out; i++) {
    sb_puts(b, i ? ", " : " : ");
    print_type(p, &p->g->vals[n->out[i]]);
  }
  print_loc(b, &n->loc);
  sb_putc(b, '\n');
}

static void print_graph(Printer *p) {
  const Graph *g = p->g;
  sb_puts(p->out, "graph");
  if (g->name != NULL) {
    sb_putc(p->out, ' ');
    print_string(p->out, g->name);
  }
  sb_putc(p->out, '\n');
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    sb_printf(p->out, "%%%" PRIu32 " = input : ", number_of(p, g->inputs[i]));
    print_type(p, &g->vals[g->inputs[i]]);
    sb_putc(p->out, '\n');
  }
  for (uint32_t i = 0; i < g->n_states; i++) {
    const GraphState *s = &g->states[i];
    if (val_is_const(g, s->init) && p->number[s->init] == 0) print_const(p, s->init);
    sb_printf(p->out, "%%%" PRIu32 " = state(%%%" PRIu32 ") : ", number_of(p, s->now), number_of(p, s->init));
    print_type(p, &g->vals[s->now]);
    sb_putc(p->out, '\n');
  }
  for (uint32_t k = 0; k < g->n_nodes; k++) print_node(p, &g->nodes[k]);
  for (ValId v = 1; v < g->n_vals; v++) {
    if (val_is_const(g, v) && p->number[v] == 0) print_const(p, v);
  }
  for (uint32_t i = 0; i < g->n_states; i++) {
    const GraphState *s = &g->states[i];
    sb_printf(p->out, "next %%%" PRIu32 " = %%%" PRIu32 "\n", number_of(p, s->now), number_of(p, s->next));
  }
  for (uint32_t i = 0; i < g->n_outputs; i++) {
    sb_printf(p->out, "%s%%%" PRIu32, i ? ", " : "output ", number_of(p, g->outputs[i]));
  }
  if (g->n_outputs > 0) sb_putc(p->out, '\n');
}

static uint32_t print_with(const Graph *g, StrBuf *out, size_t max_inline, ValId *consts) {
  Printer p = {.g = g, .out = out, .next = 1, .max_inline = max_inline, .consts = consts};
  p.number = mem_array(g->n_vals, sizeof *p.number);
  print_graph(&p);
  mem_free(p.number);
  return p.n_consts;
}

void graph_print(const Graph *g, StrBuf *out, size_t max_inline) { print_with(g, out, max_inline, NULL); }

uint32_t graph_print_numbered(const Graph *g, StrBuf *out, ValId *consts) {
  return print_with(g, out, SIZE_MAX, consts);
}
