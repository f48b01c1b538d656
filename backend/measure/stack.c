/* Stack by the compiler: gcc's -fcallgraph-info=su writes each function's frame and the calls between functions (VCG
 * text, FILE.ci); the deepest chain from the model's entry points is what an inference takes.
 *
 *   node: { title: "f" label: "f\nmodel.c:10:6\n24 bytes (static)\n0 dynamic objects" }
 *   edge: { sourcename: "f" targetname: "g" label: "model.c:12:3" }
 *
 * A function of a library (expf, memcpy) is a node without a frame: it is named, not counted.
 */
#include <stdlib.h>
#include <string.h>

#include "backend/measure/measure.h"
#include "ir/base/file.h"
#include "ir/base/strbuf.h"

enum { MAX_FUNCTIONS = 4000, MAX_EDGES = 16000, VISITING = -2, UNSEEN = -3 };

typedef struct Function {
  const char *title;
  int64_t frame; /* -1: not known */
  int64_t depth; /* with all that it calls; UNSEEN, VISITING */
  int next;      /* the callee that is deepest; -1 */
} Function;

typedef struct CallGraph {
  Arena *arena;
  Function *f;
  int n;
  int (*edge)[2];
  int n_edges;
  bool recursive, too_large;
} CallGraph;

/* The string after KEY: "..." in the line; NULL: there is none. */
static const char *quoted(Arena *a, const char *line, const char *end, const char *key) {
  const char *p = strstr(line, key);
  if (!p || p > end) return NULL;
  p = strchr(p, '"');
  return p && p < end ? arena_strndup(a, p + 1, strcspn(p + 1, "\"")) : NULL;
}

static int function_of(CallGraph *g, const char *title) {
  for (int i = 0; i < g->n; i++)
    if (strcmp(g->f[i].title, title) == 0) return i;
  if (g->n == MAX_FUNCTIONS) {
    g->too_large = true;
    return 0;
  }
  g->f[g->n] = (Function){title, -1, UNSEEN, -1};
  return g->n++;
}

static void read_line(CallGraph *g, const char *line, const char *end) {
  const char *title = quoted(g->arena, line, end, "title: "), *label = quoted(g->arena, line, end, "label: ");
  const char *from = quoted(g->arena, line, end, "sourcename: "),
             *to = quoted(g->arena, line, end, "targetname: ");
  if (strncmp(line, "node:", 5) == 0 && title) {
    const int i = function_of(g, title);
    const char *bytes = label ? strstr(label, " bytes (") : NULL;
    while (bytes && bytes > label && bytes[-1] >= '0' && bytes[-1] <= '9') bytes--;
    if (bytes) g->f[i].frame = strtoll(bytes, NULL, 10);
  } else if (strncmp(line, "edge:", 5) == 0 && from && to) {
    if (g->n_edges == MAX_EDGES)
      g->too_large = true;
    else {
      g->edge[g->n_edges][0] = function_of(g, from);
      g->edge[g->n_edges++][1] = function_of(g, to);
    }
  }
}

static void read_text(CallGraph *g, const char *text) {
  for (const char *p = text; *p;) {
    const char *end = p + strcspn(p, "\n");
    read_line(g, p, end);
    p = *end ? end + 1 : end;
  }
}

static int64_t depth_of(CallGraph *g, int i) {
  Function *f = &g->f[i];
  if (f->depth == VISITING) g->recursive = true;
  if (f->depth != UNSEEN) return f->depth < 0 ? 0 : f->depth;
  int64_t most = 0;
  f->depth = VISITING;
  for (int e = 0; e < g->n_edges; e++) {
    if (g->edge[e][0] != i) continue;
    const int64_t below = depth_of(g, g->edge[e][1]);
    if (f->next >= 0 && below <= most) continue;
    most = below;
    f->next = g->edge[e][1];
  }
  f->depth = most + (f->frame > 0 ? f->frame : 0);
  return f->depth;
}

/* "model.c:conv" is static in that file. */
static const char *short_name(const char *title) {
  const char *colon = strrchr(title, ':');
  return colon ? colon + 1 : title;
}

static void describe(const CallGraph *g, int root, Arena *a, const char **deepest, const char **without) {
  StrBuf chain = {0}, unknown = {0};
  for (int i = root; i >= 0; i = g->f[i].next)
    sb_printf(&chain, "%s%s", i == root ? "" : " > ", short_name(g->f[i].title));
  for (int i = 0; i < g->n; i++)
    if (g->f[i].frame < 0 && g->f[i].depth >= 0)
      sb_printf(&unknown, "%s%s", unknown.len ? " " : "", short_name(g->f[i].title));
  *deepest = arena_strdup(a, sb_str(&chain));
  *without = arena_strdup(a, sb_str(&unknown));
  sb_free(&chain);
  sb_free(&unknown);
}

static bool read_graph(Work *w, CallGraph *g) {
  for (int i = 0; i < w->n_sources; i++) {
    const char *file = i ? arena_printf(w->arena, "model%d.ci", i) : "model.ci",
               *path = path_join(w->arena, w->tmp, file);
    size_t n;
    const char *text = file_exists(path) ? file_read(w->arena, path, &n, w->diag) : "";
    if (!text) return false;
    read_text(g, text);
  }
  return true;
}

bool stack_by_compiler(Work *w, const char *name, int64_t *bytes, const char **deepest,
                       const char **without) {
  static const char *const entries[] = {"run", "push_rows", "step"};
  CallGraph g = {.arena = w->arena};
  int root = -1;
  *bytes = -1;
  *deepest = *without = "";
  g.f = arena_array(w->arena, MAX_FUNCTIONS, sizeof *g.f);
  g.edge = arena_array(w->arena, MAX_EDGES, sizeof *g.edge);
  TRY(read_graph(w, &g));
  for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
    const char *title = arena_printf(w->arena, "%s_%s", name, entries[i]);
    for (int k = 0; k < g.n; k++)
      if (strcmp(g.f[k].title, title) == 0 && depth_of(&g, k) > *bytes) *bytes = g.f[root = k].depth;
  }
  if (root < 0) return true; /* a compiler that writes no call graph */
  describe(&g, root, w->arena, deepest, without);
  if (g.recursive || g.too_large) *bytes = -1;
  return true;
}
