/* The operator documentation, made from ops.def: a table of all operators, then a section each.
 *
 * Output: Markdown. Nothing is written here that ops.def does not say, so the documentation cannot go stale.
 */
#include "ir/base/strbuf.h"
#include "ir/op.h"

static const struct {
  int bit;
  const char *name;
} traits[] = {{T_ELEMENTWISE, "elementwise"},
              {T_VIEW, "view"},
              {T_MOVE, "moves elements"},
              {T_COMMUTES, "commutes"},
              {T_PARAMS, "parameters from input 1 on"}};

static void print_arity(StrBuf *out, const OpInfo *info) {
  if (info->min_in == info->max_in)
    sb_printf(out, "%d", info->min_in);
  else
    sb_printf(out, "%d to %d", info->min_in, info->max_in);
}

static void print_traits(StrBuf *out, const OpInfo *info) {
  const char *sep = "";
  for (size_t i = 0; i < sizeof traits / sizeof traits[0]; i++) {
    if ((info->traits & traits[i].bit) == 0) continue;
    sb_printf(out, "%s%s", sep, traits[i].name);
    sep = ", ";
  }
}

/* Text in a table cell: a bar would end it. */
static void print_cell(StrBuf *out, const char *s) {
  for (; *s != '\0'; s++) {
    if (*s == '|') sb_putc(out, '\\');
    sb_putc(out, *s);
  }
}

static const char *kind_name(AttrKind k) {
  switch (k) {
  case ATTR_INT: return "integer";
  case ATTR_FLT: return "number";
  case ATTR_INTS: return "list of integers";
  case ATTR_FLTS: return "list of numbers";
  case ATTR_WORD: return "C identifier";
  case ATTR_ACT: return "activation";
  case ATTR_DTYPE: return "element type";
  }
  return "";
}

static void print_op(StrBuf *out, const OpInfo *info) {
  sb_printf(out, "\n### %s\n\n%s.\n\nInputs: ", info->name, info->doc);
  print_arity(out, info);
  sb_printf(out, ". Outputs: %d. %s. %s.", info->outs, info->cls == CORE ? "Core" : "Composite",
            info->diff == DIFF ? "Differentiable" : "Not differentiable");
  if (info->traits != T_NONE) {
    sb_puts(out, " Traits: ");
    print_traits(out, info);
    sb_putc(out, '.');
  }
  sb_putc(out, '\n');
  if (info->n_attrs == 0) return;
  sb_puts(out, "\n| attribute | type | default | meaning |\n|---|---|---|---|\n");
  for (int i = 0; i < info->n_attrs; i++) {
    const AttrDesc *a = &info->attrs[i];
    sb_printf(out, "| `%s` | %s | %s%s%s | ", a->name, kind_name(a->kind), a->def[0] ? "`" : "", a->def,
              a->def[0] ? "`" : "none");
    print_cell(out, a->doc);
    sb_puts(out, " |\n");
  }
}

void ops_print_markdown(StrBuf *out) {
  sb_puts(out, "## Operators of the graph\n\nModels are made of these after import. Images are [N,H,W,C].\n\n"
               "| operator | inputs | meaning |\n|---|---|---|\n");
  for (unsigned op = 0; op < OP_COUNT; op++) {
    const OpInfo *info = op_info((OpKind)op);
    sb_printf(out, "| %s | ", info->name);
    print_arity(out, info);
    sb_puts(out, " | ");
    print_cell(out, info->doc);
    sb_puts(out, " |\n");
  }
  for (unsigned op = 0; op < OP_COUNT; op++) print_op(out, op_info((OpKind)op));
}
