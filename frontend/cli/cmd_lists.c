/* mistify targets, boards, passes, ops: the tables that the rest works by. */
#include <stdio.h>
#include <string.h>

#include "frontend/cli/cli.h"
#include "frontend/cli/ops_doc.h"
#include "frontend/cli/plugin.h"
#include "ir/base/file.h"
#include "passes/pass.h"

typedef struct ListOpts {
  CommonOpts common;
  bool markdown;
  const char *conformance;
  ArgList plugins;
} ListOpts;

static const Opt no_opts[] = {{0}};

static void json_list_begin(JsonWriter *w, StrBuf *b) {
  cli_json_begin(w, b);
  json_array(w);
}

static void json_list_end(JsonWriter *w, StrBuf *b) {
  json_end(w);
  cli_json_end(w, b);
}

/* -- targets -- */

static const char *sets_text(Arena *a, const Target *t) {
  const char *s = t->sets[0];
  for (int i = 1; t->sets[i]; i++) s = arena_printf(a, "%s, %s", s, t->sets[i]);
  return s;
}

static void targets_json(void) {
  JsonWriter w;
  StrBuf b;
  json_list_begin(&w, &b);
  for (int i = 0; i < n_targets; i++) {
    const Target *t = &targets[i];
    const char *missing = NULL;
    bool here = harness_available(t, &missing);
    json_object(&w);
    json_kstr(&w, "name", t->name);
    json_kstr(&w, "doc", t->doc);
    json_kstr(&w, "compiler", t->cc);
    json_kstr(&w, "flags", t->cflags);
    json_kstr(&w, "run", t->run);
    json_kstr(&w, "machine", t->machine);
    json_kbool(&w, "available", here);
    json_kstr(&w, "missing", here ? NULL : missing);
    json_kstr(&w, "packages", t->packages);
    json_karray(&w, "kernels");
    for (int k = 0; t->sets[k]; k++) json_str(&w, t->sets[k]);
    json_end(&w);
    json_end(&w);
  }
  json_list_end(&w, &b);
}

static int run_targets(void *opts_, Diag *d) {
  (void)d;
  const ListOpts *o = opts_;
  if (o->common.json) {
    targets_json();
    return EXIT_DONE;
  }
  Arena *a = arena_new();
  Table t;
  table_begin(&t, a, "<target,<kernels,<run by,<tools,<meaning");
  for (int i = 0; i < n_targets; i++) {
    const char *missing = NULL;
    bool here = harness_available(&targets[i], &missing);
    table_cell(&t, "%s", targets[i].name);
    table_cell(&t, "%s", sets_text(a, &targets[i]));
    table_cell(&t, "%s", targets[i].machine ? targets[i].machine : targets[i].run);
    table_cell(&t, "%s", here ? "installed" : arena_printf(a, "no %s", missing));
    table_cell(&t, "%s", targets[i].doc);
  }
  table_print(&t);
  arena_free(a);
  return EXIT_DONE;
}

extern const Command cmd_targets;
const Command cmd_targets = {
    "targets",
    "List the targets that C is made for, and whether their tools are installed",
    "Kernel sets are named best first; \"run by\" is how `verify` runs the target's code here.",
    "",
    no_opts,
    sizeof(ListOpts),
    run_targets};

/* -- boards -- */

static void boards_json(const Board *v, int n) {
  JsonWriter w;
  StrBuf b;
  json_list_begin(&w, &b);
  for (int i = 0; i < n; i++) {
    json_object(&w);
    json_kstr(&w, "name", v[i].name);
    json_kstr(&w, "doc", v[i].doc);
    json_kstr(&w, "target", v[i].target);
    json_kint(&w, "flash", v[i].flash);
    json_kint(&w, "ram", v[i].ram);
    json_kint(&w, "fast", v[i].fast);
    json_kint(&w, "external", v[i].external);
    json_knum(&w, "clock_hz", v[i].clock_hz);
    json_end(&w);
  }
  json_list_end(&w, &b);
}

static void boards_text(Arena *a, const Board *v, int n) {
  Table t;
  table_begin(&t, a, "<board,<target,>flash,>RAM,>of it fast,>external,>MHz,<meaning");
  for (int i = 0; i < n; i++) {
    table_cell(&t, "%s", v[i].name);
    table_cell(&t, "%s", v[i].target);
    table_count(&t, v[i].flash);
    table_count(&t, v[i].ram);
    table_cell(&t, "%s", v[i].fast ? cli_count(a, v[i].fast) : "");
    table_cell(&t, "%s", v[i].external ? cli_count(a, v[i].external) : "");
    table_cell(&t, "%s", v[i].clock_hz > 0 ? arena_printf(a, "%g", v[i].clock_hz / 1e6) : "");
    table_cell(&t, "%s", v[i].doc ? v[i].doc : "");
  }
  table_print(&t);
}

static int run_boards(void *opts_, Diag *d) {
  const ListOpts *o = opts_;
  Arena *a = arena_new();
  const char **names = board_names(a);
  int n = 0;
  while (names[n]) n++;
  Board *v = arena_array(a, (size_t)n + 1, sizeof *v);
  bool ok = true;
  for (int i = 0; i < n; i++) ok = ok && board_load(a, names[i], &v[i], d);
  if (ok && o->common.json) boards_json(v, n);
  if (ok && !o->common.json) boards_text(a, v, n);
  arena_free(a);
  return ok ? EXIT_DONE : EXIT_OURS; /* the shipped files are ours */
}

extern const Command cmd_boards;
const Command cmd_boards = {
    "boards",
    "List the boards that come with mistify: target, flash, RAM, clock",
    "A board of your own is a YAML file: give its path where a board is asked for (--board ./my-board.yaml).",
    "",
    no_opts,
    sizeof(ListOpts),
    run_boards};

/* -- passes -- */

/* One parameter a line: "macs=F: ...; keep=A;B: ..." is split at semicolons before a blank. */
static void print_params(const char *doc) {
  while (*doc) {
    const char *end = strstr(doc, "; ");
    int len = end ? (int)(end - doc) : (int)strlen(doc);
    printf("%-16s%.*s\n", "", len, doc);
    doc += len + (end ? 2 : 0);
  }
}

static const Opt passes_opts[] = {PLUGIN_OPT(ListOpts), {0}};

static void passes_json(const PassList *lists, size_t n) {
  JsonWriter w;
  StrBuf b;
  json_list_begin(&w, &b);
  for (size_t i = 0; i < n; i++) {
    for (int k = 0; k < lists[i].n; k++) {
      const Pass *p = &lists[i].v[k];
      json_object(&w);
      json_kstr(&w, "name", p->name);
      json_kstr(&w, "doc", p->doc);
      json_kstr(&w, "params", p->params_doc);
      json_kbool(&w, "needs_data", p->needs_data);
      json_end(&w);
    }
  }
  json_list_end(&w, &b);
}

static void passes_text(const PassList *lists, size_t n) {
  for (size_t i = 0; i < n; i++) {
    for (int k = 0; k < lists[i].n; k++) {
      const Pass *p = &lists[i].v[k];
      printf("%-14s%s%s\n", p->name, p->doc, p->needs_data ? " (needs --design)" : "");
      print_params(p->params_doc);
    }
  }
}

static int run_passes(void *opts_, Diag *d) {
  const ListOpts *o = opts_;
  Arena *a = arena_new();
  const PassList own = {passes, n_passes}, *more = NULL;
  PassList *all = arena_array(a, o->plugins.n + 1, sizeof *all);
  const bool ok = plugins_open(a, &o->plugins, &more, d);
  if (ok) {
    all[0] = own;
    memcpy(all + 1, more, o->plugins.n * sizeof *all);
    if (o->common.json)
      passes_json(all, o->plugins.n + 1);
    else
      passes_text(all, o->plugins.n + 1);
  }
  arena_free(a);
  return ok ? EXIT_DONE : EXIT_USER;
}

extern const Command cmd_passes;
const Command cmd_passes = {"passes",
                            "List the passes of `mistify opt`, with their parameters",
                            "Below each pass stand the parameters that it takes in braces: prune{macs=0.5}.",
                            "  mistify passes --plugin ./mine.so\n",
                            passes_opts,
                            sizeof(ListOpts),
                            run_passes};

/* -- ops -- */

static const Opt ops_opts[] = {{"--markdown", OPT_FLAG, offsetof(ListOpts, markdown), false, NULL,
                                "print the reference of all operators, imported and our own"},
                               {"--conformance", OPT_STRING, offsetof(ListOpts, conformance), false, "FILE",
                                "with --markdown: figures of onnx-conformance --tsv"},
                               {0}};

static void ops_json(void) {
  JsonWriter w;
  StrBuf b;
  json_list_begin(&w, &b);
  for (int i = 0; i < OP_COUNT; i++) {
    const OpInfo *op = op_info((OpKind)i);
    json_object(&w);
    json_kstr(&w, "name", op->name);
    json_kstr(&w, "doc", op->doc);
    json_kint(&w, "min_inputs", op->min_in);
    json_kint(&w, "max_inputs", op->max_in);
    json_kint(&w, "outputs", op->outs);
    json_kbool(&w, "core", op->cls == CORE);
    json_kbool(&w, "differentiable", op->diff == DIFF);
    json_karray(&w, "attributes");
    for (int k = 0; k < op->n_attrs; k++) json_str(&w, op->attrs[k].name);
    json_end(&w);
    json_end(&w);
  }
  json_list_end(&w, &b);
}

static void ops_text(void) {
  Arena *a = arena_new();
  Table t;
  table_begin(&t, a, "<operator,<inputs,<trains,<meaning");
  for (int i = 0; i < OP_COUNT; i++) {
    const OpInfo *op = op_info((OpKind)i);
    table_cell(&t, "%s", op->name);
    table_cell(&t, op->min_in == op->max_in ? "%d" : "%d..%d", op->min_in, op->max_in);
    table_cell(&t, "%s", op->diff == DIFF ? "yes" : "no");
    table_cell(&t, "%s", op->doc);
  }
  table_print(&t);
  arena_free(a);
}

static int ops_markdown(const char *conformance, Diag *d) {
  Arena *a = arena_new();
  const char *figures = conformance ? file_read(a, conformance, NULL, d) : "";
  StrBuf b = {0};
  if (figures) {
    ops_doc(figures, &b);
    fputs(sb_str(&b), stdout);
  }
  sb_free(&b);
  arena_free(a);
  return figures ? EXIT_DONE : EXIT_USER;
}

static int run_ops(void *opts_, Diag *d) {
  const ListOpts *o = opts_;
  if (o->common.json) {
    ops_json();
  } else if (o->markdown) {
    return ops_markdown(o->conformance, d);
  } else {
    ops_text();
  }
  return EXIT_DONE;
}

extern const Command cmd_ops;
const Command cmd_ops = {
    "ops",
    "List the operators of the intermediate representation",
    "Models are made of these after import. \"trains\": the tensor engine has its gradient.",
    "  mistify ops --markdown --conformance docs/conformance.tsv > docs/operators.md\n",
    ops_opts,
    sizeof(ListOpts),
    run_ops};
