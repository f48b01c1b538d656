/* Emission: a graph becomes a folder of C for one target.
 *
 *   bind batch 1 -> lower -> select kernels -> plan memory -> collect constants -> print -> publish
 *
 * The folder is written beside its final place and renamed; into a folder that exists, each file is replaced by a
 * rename. The same graph, target and options give the same bytes on every machine.
 */
#include "backend/emit/emit.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ir/base/file.h"
#include "ir/base/mem.h"

enum { NAME_MAX_LEN = 60, N_FILES = 6 };

static bool check_name(const char *name, Diag *d) {
  bool ok = name && (isalpha((unsigned char)*name) || *name == '_') && strlen(name) <= NAME_MAX_LEN;
  for (const char *p = name; ok && *p; p++) ok = isalnum((unsigned char)*p) || *p == '_';
  if (ok) return true;
  diag_error(d, NULL, "name \"%s\": want a C identifier of at most %d letters", name ? name : "",
             NAME_MAX_LEN);
  diag_hint(d, "it becomes the prefix of the model's functions: NAME_run, ...");
  return false;
}

static const char *in_capitals(Arena *a, const char *s) {
  char *u = arena_strdup(a, s);
  for (char *p = u; *p; p++) *p = (char)toupper((unsigned char)*p);
  return u;
}

/* -- constants -- */

static void collect_constants(Emit *e) {
  e->names = arena_array(e->arena, (size_t)e->calls.n + 1, sizeof *e->names);
  e->out_const = arena_array(e->arena, (size_t)e->g->n_outputs + 1, sizeof *e->out_const);
  for (uint32_t c = 0; c < e->calls.n; c++)
    pool_add_call(&e->pool, e->g, &e->calls.v[c], (int)c, &e->names[c]);
  for (uint32_t i = 0; i < e->g->n_outputs; i++) {
    ValId root = value_root(e->g, e->g->outputs[i]);
    e->out_const[i] = val_is_const(e->g, root) ? pool_add_value(&e->pool, e->g, root, (int)e->calls.n) : -1;
  }
}

/* -- publication -- */

typedef struct OutFile {
  const char *name;
  StrBuf text;
} OutFile;

static bool print_files(Emit *e, OutFile f[N_FILES]) {
  TRY(print_model_c(e, &f[0].text));
  print_model_h(e, &f[1].text);
  TRY(print_selftest(e, &f[2].text, e->diag));
  TRY(make_vectors(e, &f[3].text, e->diag));
  print_cmake(e, &f[4].text);
  print_json(e, &f[5].text);
  return true;
}

static bool write_files(Arena *a, const char *dir, const OutFile f[N_FILES], Diag *d) {
  for (int i = 0; i < N_FILES; i++)
    TRY(file_write(path_join(a, dir, f[i].name), sb_str(&f[i].text), f[i].text.len, d));
  return true;
}

static bool rename_into(Arena *a, const char *tmp, const char *dir, const OutFile f[N_FILES], Diag *d) {
  if (!file_is_dir(dir)) {
    FAIL_IF(rename(tmp, dir) != 0, d, NULL, "%s: cannot be made: %s", dir, strerror(errno));
    return true;
  }
  for (int i = 0; i < N_FILES; i++) {
    const char *to = path_join(a, dir, f[i].name);
    FAIL_IF(rename(path_join(a, tmp, f[i].name), to) != 0, d, NULL, "%s: cannot be written: %s", to,
            strerror(errno));
  }
  return true;
}

static bool publish(Arena *a, const char *dir, const OutFile f[N_FILES], Diag *d) {
  size_t n = strlen(dir);
  while (n > 1 && dir[n - 1] == '/') n--;
  const char *clean = arena_strndup(a, dir, n);
  const char *tmp = arena_printf(a, "%s.tmp.%ld", clean, (long)getpid());
  bool ok = file_make_dirs(path_dir(a, arena_strdup(a, clean)), d) && file_make_dirs(tmp, d) &&
            write_files(a, tmp, f, d) && rename_into(a, tmp, clean, f, d);
  file_remove_tree(tmp);
  return ok;
}

/* -- driver -- */

static bool prepare(Emit *e) {
  FAIL_IF(!e->g->n_outputs, e->diag, NULL, "the model has no output; want one at least");
  TRY(graph_lower(e->g, &e->calls, e->diag));
  TRY(select_kernels(e->target, &e->calls, e->diag));
  PlanOptions o = e->opt->plan ? *e->opt->plan : target_plan(e->target);
  TRY(plan_memory(e->g, &e->calls, &o, e->arena, &e->plan, e->diag));
  collect_constants(e);
  return collect_states(e);
}

static bool emit_bound(Emit *e) {
  static const char *const names[N_FILES] = {"model.c",     "model.h",        "selftest.c",
                                             "vectors.bin", "CMakeLists.txt", "model.json"};
  OutFile files[N_FILES] = {{0}};
  for (int i = 0; i < N_FILES; i++) files[i].name = names[i];
  bool ok = prepare(e) && print_files(e, files) && publish(e->arena, e->opt->out_dir, files, e->diag);
  for (int i = 0; i < N_FILES; i++) sb_free(&files[i].text);
  return ok;
}

Graph *bind_batch(const Graph *g, Diag *d) {
  for (uint32_t i = 0; i < g->n_inputs; i++)
    if (!shape_is_static(&graph_val(g, g->inputs[i])->shape)) return graph_with_batch(g, 1, d);
  return graph_clone(g);
}

static bool emit_begin(Emit *e, const Graph *g, const Target *t, const EmitOptions *o, Diag *d) {
  TRY(check_name(o->name, d));
  Graph *bound = bind_batch(g, d);
  if (!bound) return false;
  *e = (Emit){.g = bound, .bound = bound, .target = t, .opt = o, .arena = arena_new(), .diag = d};
  e->upper = in_capitals(e->arena, o->name);
  calls_init(&e->calls);
  return true;
}

static void emit_end(Emit *e) {
  calls_free(&e->calls);
  pool_free(&e->pool);
  arena_free(e->arena);
  graph_free(e->bound);
}

bool emit_c(const Graph *g, const Target *t, const EmitOptions *o, Diag *d) {
  Emit e;
  TRY(emit_begin(&e, g, t, o, d));
  bool ok = emit_bound(&e);
  emit_end(&e);
  return ok;
}

bool emit_text(const Graph *g, const Target *t, const EmitOptions *o, StrBuf *model_h, StrBuf *model_c,
               Diag *d) {
  Emit e;
  TRY(emit_begin(&e, g, t, o, d));
  bool ok = prepare(&e) && print_model_c(&e, model_c);
  if (ok) print_model_h(&e, model_h);
  emit_end(&e);
  return ok;
}
