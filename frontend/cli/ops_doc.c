/* docs/operators.md: what is imported from ONNX and TensorFlow Lite, and what the graph is made of. All of it comes from
 * the tables (frontend/onnx/ops.def, frontend/tflite/builtins.def, ir/ops.def) and from docs/conformance.tsv:
 *
 *   operator TAB tests TAB passed by the engine TAB passed by emitted C
 *   (TYPE) ...  tests of element types that are counted apart        all ...  the last line
 */
#include <stdlib.h>
#include <string.h>

#include "frontend/cli/cli.h"
#include "frontend/cli/ops_doc.h"
#include "ir/base/mem.h"
#include "ir/op.h"

typedef struct Row {
  const char *name, *domain;
  bool yes;
  const char *advice;
} Row;

static const Row onnx[] = {
#define YES(name, import, kind) {#name, "", true, ""},
#define MS(name, import, kind)  {#name, "com.microsoft", true, ""},
#define NO(name, advice)        {#name, "", false, advice},
#include "frontend/onnx/ops.def"
#undef YES
#undef MS
#undef NO
};

static const Row tflite[] = {
#define YES(code, name, import) {#name, "", true, ""},
#define NO(code, name, advice)  {#name, "", false, advice},
#include "frontend/tflite/builtins.def"
#undef YES
#undef NO
};

typedef struct Figures {
  const char *name;
  long tests, engine, emitted;
} Figures;

/* The lines of the conformance file; *n of them. */
static Figures *read_figures(Arena *a, const char *text, int *n) {
  int lines = 0;
  for (const char *p = text; *p; p++) lines += *p == '\n';
  Figures *f = arena_array(a, (size_t)lines + 1, sizeof *f);
  for (*n = 0; *text; text += strcspn(text, "\n"), text += *text == '\n') {
    size_t len = strcspn(text, "\t\n");
    char *end = NULL;
    if (text[len] != '\t') continue;
    f[*n].name = arena_strndup(a, text, len);
    f[*n].tests = strtol(text + len, &end, 10);
    f[*n].engine = strtol(end, &end, 10);
    f[*n].emitted = strtol(end, &end, 10);
    (*n)++;
  }
  return f;
}

static const Figures *find(const Figures *f, int n, const char *name) {
  for (int i = 0; i < n; i++)
    if (strcmp(f[i].name, name) == 0) return &f[i];
  return NULL;
}

static int by_name(const void *a, const void *b) {
  return strcmp((*(const Row *const *)a)->name, (*(const Row *const *)b)->name);
}

/* Rows in the order of their names. */
static const Row **sorted(Arena *a, const Row *rows, size_t n) {
  const Row **list = arena_array(a, n, sizeof *list);
  for (size_t i = 0; i < n; i++) list[i] = &rows[i];
  qsort(list, n, sizeof *list, by_name);
  return list;
}

static void print_figures(StrBuf *out, const Figures *f) {
  if (f)
    sb_printf(out, "%ld | %ld | %ld", f->tests, f->engine, f->emitted);
  else
    sb_puts(out, " | | ");
}

static void print_onnx(Arena *a, const char *text, StrBuf *out) {
  int n = 0;
  const Figures *f = read_figures(a, text, &n), *all = find(f, n, "all");
  const size_t count = sizeof onnx / sizeof *onnx;
  const Row **list = sorted(a, onnx, count);
  sb_puts(out, "## ONNX\n\nOpsets 6 and later. Tests are those of onnx/onnx in `../shared` "
               "(`onnx-conformance`), by the "
               "engine and by emitted C.\n\n");
  if (all)
    sb_printf(out, "Conformance: engine %ld of %ld, emitted C %ld of %ld.\n\n", all->engine, all->tests,
              all->emitted, all->tests);
  for (int i = 0; i < n; i++)
    if (f[i].name[0] == '(')
      sb_printf(out, "- %s: %ld tests; engine %ld, emitted C %ld\n", f[i].name, f[i].tests, f[i].engine,
                f[i].emitted);
  sb_putc(out, '\n');
  sb_puts(out,
          "| operator | imported | tests | engine | emitted C | instead |\n|---|---|---:|---:|---:|---|\n");
  for (size_t i = 0; i < count; i++) {
    const Row *r = list[i];
    sb_printf(out, "| %s%s%s | %s | ", r->name, *r->domain ? " of " : "", r->domain, r->yes ? "yes" : "no");
    print_figures(out, *r->domain ? NULL : find(f, n, r->name));
    sb_printf(out, " | %s |\n", r->advice);
  }
  sb_puts(out, "\nOther operators that have tests, and are not imported:");
  const char *sep = " ";
  for (int i = 0; i < n; i++) {
    bool known = strcmp(f[i].name, "all") == 0 || f[i].name[0] == '(';
    for (size_t k = 0; k < count; k++) known = known || strcmp(onnx[k].name, f[i].name) == 0;
    if (known) continue;
    sb_printf(out, "%s%s (%ld of %ld pass)", sep, f[i].name, f[i].engine, f[i].tests);
    sep = ", ";
  }
  sb_puts(out, *sep == ' ' ? " none.\n" : ".\n");
}

static void print_tflite(Arena *a, StrBuf *out) {
  const size_t count = sizeof tflite / sizeof *tflite;
  const Row **list = sorted(a, tflite, count);
  const char *sep = "";
  sb_puts(out, "\n## TensorFlow Lite\n\nImported: ");
  for (size_t i = 0; i < count; i++) {
    if (!list[i]->yes) continue;
    sb_printf(out, "%s%s", sep, list[i]->name);
    sep = ", ";
  }
  sb_puts(out, ".\n\nKnown by name only: ");
  sep = "";
  for (size_t i = 0; i < count; i++) {
    if (list[i]->yes) continue;
    sb_printf(out, "%s%s", sep, list[i]->name);
    sep = ", ";
  }
  sb_puts(out, ".\n\n");
}

void ops_doc(const char *conformance, StrBuf *out) {
  Arena *a = arena_new();
  sb_puts(
      out,
      "# Operators\n\nMade from `frontend/onnx/ops.def`, `frontend/tflite/builtins.def`, `ir/ops.def` and "
      "`docs/conformance.tsv` by\n`mistify ops --markdown --conformance docs/conformance.tsv`; `make docs` "
      "does "
      "so, after running the tests anew.\n\n");
  print_onnx(a, conformance, out);
  print_tflite(a, out);
  ops_print_markdown(out);
  arena_free(a);
}
