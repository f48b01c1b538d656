/* Libraries of custom operators: rules, files, and which node is which function; see custom.h. */
#include "ir/custom.h"

#include <stdatomic.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/custom_host.h"
#include "ir/graph.h"

struct CustomLibrary {
  atomic_int refs;
  Arena *arena;
  CustomRule *rules;
  CustomFile *files;
  size_t cap_rules, cap_files;
  int n_rules, n_files;
  CustomHost host;
};

CustomLibrary *custom_new(void) {
  CustomLibrary *l = mem_zalloc(sizeof *l);
  atomic_init(&l->refs, 1);
  l->arena = arena_new();
  return l;
}

Arena *custom_arena(CustomLibrary *l) { return l->arena; }

int custom_add_file(CustomLibrary *l, const CustomFile *f, const Loc *loc, Diag *d) {
  for (int i = 0; i < l->n_files; i++) {
    if (strcmp(l->files[i].path, f->path) == 0) return i;
    if (strcmp(l->files[i].name, f->name) != 0) continue;
    diag_error(d, loc, "%s and %s are both called %s", l->files[i].path, f->path, f->name);
    diag_hint(
        d, "files of custom operators lie beside one another in the emitted folder: give them other names");
    return -1;
  }
  mem_grow((void **)&l->files, &l->cap_files, (size_t)l->n_files + 1, sizeof *l->files);
  l->files[l->n_files] = *f;
  return l->n_files++;
}

void custom_add_rule(CustomLibrary *l, const CustomRule *r) {
  mem_grow((void **)&l->rules, &l->cap_rules, (size_t)l->n_rules + 1, sizeof *l->rules);
  CustomRule *copy = &l->rules[l->n_rules++];
  *copy = *r;
  Hasher *h = hasher_new();
  hasher_str(h, "custom operator 1");
  for (int i = 0; i < r->n_files; i++) {
    hasher_str(h, l->files[r->files[i]].name);
    hasher_str(h, l->files[r->files[i]].text);
  }
  copy->code = hasher_done(h);
}

bool custom_build(CustomLibrary *l, const char *header, Diag *d) {
  const CustomSources s = {l->rules, l->n_rules, l->files, l->n_files, header};
  return custom_host_build(&l->host, &s, d);
}

CustomLibrary *custom_ref(CustomLibrary *l) {
  if (l) atomic_fetch_add(&l->refs, 1);
  return l;
}

void custom_unref(CustomLibrary *l) {
  if (!l || atomic_fetch_sub(&l->refs, 1) != 1) return;
  custom_host_free(&l->host);
  arena_free(l->arena);
  mem_free(l->rules);
  mem_free(l->files);
  mem_free(l);
}

/* -- asking -- */

const CustomRule *custom_rule(const CustomLibrary *l, const char *domain, const char *name) {
  for (int i = 0; l && i < l->n_rules; i++)
    if (strcmp(l->rules[i].domain, domain) == 0 && strcmp(l->rules[i].name, name) == 0) return &l->rules[i];
  return NULL;
}

const CustomRule *custom_rule_of_code(const CustomLibrary *l, const char *code) {
  for (int i = 0; l && i < l->n_rules; i++)
    if (strcmp(l->rules[i].op, code) == 0) return &l->rules[i];
  return NULL;
}

int custom_n_rules(const CustomLibrary *l) { return l ? l->n_rules : 0; }
const CustomRule *custom_rule_at(const CustomLibrary *l, int i) { return &l->rules[i]; }
int custom_n_files(const CustomLibrary *l) { return l ? l->n_files : 0; }
const CustomFile *custom_file(const CustomLibrary *l, int i) { return &l->files[i]; }

void custom_attach(Graph *g, CustomLibrary *l) {
  custom_ref(l);
  custom_unref(g->custom);
  g->custom = l;
}

Ints custom_code(const CustomRule *r) {
  return (Ints){.n = 2, .v = {(int64_t)r->code.hi, (int64_t)r->code.lo}};
}

void custom_node(const CustomRule *r, DType type, const Shape *shape, struct custom_attrs *out) {
  op_attrs_default(OP_custom, out);
  memcpy(out->function.s, r->function, strlen(r->function) + 1);
  out->code = custom_code(r);
  out->scratch = r->scratch;
  out->shaped = r->shaped || (r->type != DT_NONE && r->type != type);
  if (!out->shaped) return;
  const Shape *s = r->shaped ? &r->shape : shape;
  out->type = (int32_t)(r->type != DT_NONE ? r->type : type);
  out->shape.n = s->rank;
  for (int i = 0; i < s->rank; i++) out->shape.v[i] = s->d[i] == DIM_BATCH ? -1 : s->d[i];
}

static bool same_code(const CustomRule *r, const Ints *code) {
  const Ints own = custom_code(r);
  return code->n == 0 || (code->n == 2 && code->v[0] == own.v[0] && code->v[1] == own.v[1]);
}

/* The first rule of that function, of the same source if there is one. */
static const CustomRule *find(const Graph *g, const Node *n) {
  const custom_attrs *a = CATTRS(n, custom);
  const CustomRule *other = NULL;
  for (int i = 0; i < custom_n_rules(g->custom); i++) {
    const CustomRule *r = &g->custom->rules[i];
    if (strcmp(r->function, a->function.s) != 0) continue;
    if (same_code(r, &a->code)) return r;
    other = r;
  }
  return other;
}

const CustomRule *custom_rule_of(const Graph *g, const Node *n, Diag *d) {
  const char *function = CATTRS(n, custom)->function.s;
  const CustomRule *r = find(g, n);
  if (!r) {
    diag_error(d, &n->loc, "calls the C function %s, which is not given", function);
    diag_hint(d, "give the list that names it: --custom FILE.yaml");
    return NULL;
  }
  if (same_code(r, &CATTRS(n, custom)->code)) return r;
  diag_error(d, &n->loc, "calls the C function %s, whose source is another one now", function);
  diag_hint(d, "make this graph again from the model, or give the source that it was made with");
  return NULL;
}

mf_custom_fn *custom_function(const Graph *g, const Node *n) {
  const CustomRule *r = find(g, n);
  if (!r || !same_code(r, &CATTRS(n, custom)->code) || !g->custom->host.fn) return NULL;
  return g->custom->host.fn[r - g->custom->rules];
}

bool custom_missing(const Graph *g, const Node *n, Diag *d) {
  if (!custom_rule_of(g, n, d)) return false;
  diag_error(d, &n->loc, "calls the C function %s, which cannot be called here: there is no C compiler (cc)",
             CATTRS(n, custom)->function.s);
  diag_hint(d, "on Debian or Ubuntu: apt-get install --no-install-recommends gcc libc6-dev");
  return false;
}
