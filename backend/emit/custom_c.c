/* Custom operators as C: each function is declared in model.c, and called by its kernel through the layer's params. The
 * sources that define them lie beside, with the header that they include, and are compiled with the model:
 *
 *   custom/mistify_custom.h   custom/swish.c        one model
 *   ../custom/...                                   models of one program, which may have sources in common
 */
#include <string.h>

#include "backend/emit/emit.h"

static const Node *node_of(const Emit *e, uint32_t call) {
  const Node *n = &e->g->nodes[e->calls.v[call].node];
  return n->op == OP_custom ? n : NULL;
}

static bool named_before(const Emit *e, uint32_t call, const char *function) {
  for (uint32_t c = 0; c < call; c++) {
    const Node *n = node_of(e, c);
    if (n && strcmp(CATTRS(n, custom)->function.s, function) == 0) return true;
  }
  return false;
}

void print_custom(const Emit *e, StrBuf *out) {
  bool any = false;
  for (uint32_t c = 0; c < e->calls.n; c++) {
    const Node *n = node_of(e, c);
    const char *function = n ? CATTRS(n, custom)->function.s : NULL;
    if (!n || named_before(e, c, function)) continue;
    if (!any) sb_puts(out, "\n/* -- custom operators: functions of yours, to be linked -- */\n\n");
    any = true;
    sb_printf(out, "extern void %s(const mf_custom *op);\n", function);
  }
}

static const char *folder(const Emit *e) {
  return e->opt->kernels && strncmp(e->opt->kernels, "../", 3) == 0 ? "../custom" : "custom";
}

static void add(Emit *e, OutFiles *f, const char *name, const char *text, size_t n) {
  sb_write(files_add(f, arena_printf(e->arena, "%s/%s", folder(e), name)), text, n);
}

static bool add_rule(Emit *e, OutFiles *f, const CustomRule *r, bool *added) {
  for (int i = 0; i < r->n_files; i++) {
    const CustomFile *file = custom_file(e->g->custom, r->files[i]);
    if (!added[r->files[i]]) add(e, f, file->name, file->text, file->size);
    added[r->files[i]] = true;
  }
  return true;
}

bool add_custom_files(Emit *e, OutFiles *f) {
  bool any = false, *added = arena_array(e->arena, (size_t)custom_n_files(e->g->custom) + 1, sizeof *added);
  for (uint32_t c = 0; c < e->calls.n; c++) {
    const Node *n = node_of(e, c);
    if (!n) continue;
    const CustomRule *r = custom_rule_of(e->g, n, e->diag);
    TRY(r != NULL && add_rule(e, f, r, added));
    any = true;
  }
  if (!any) return true;
  const char *header = embedded_text("runtime/kernels/custom.h");
  ASSERT(header);
  add(e, f, CUSTOM_HEADER, header, strlen(header));
  return true;
}
