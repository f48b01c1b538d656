/* The pipeline: runs "fold,bnfuse,prune{macs=0.5}" pass by pass.
 *
 *   text -> [name{params}] ... -> pass_IDENT(graph, ctx) -> verify-each -> dump-after -> next
 *
 * Passes are pure: each gets a graph and returns a new one; the one before is freed unless it is the
 * caller's. The table of passes is made from passes.def.
 */
#include "passes/pass.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ir/base/strbuf.h"

#define PASS(ident, name, data, doc, params) PassFn pass_##ident;
#include "passes/passes.def"
#undef PASS

const Pass passes[] = {
#define PASS(ident, name, data, doc, params) {name, doc, params, pass_##ident, data},
#include "passes/passes.def"
#undef PASS
};
const int n_passes = (int)(sizeof passes / sizeof passes[0]);

const Pass *pass_find(const char *name) {
  for (int i = 0; i < n_passes; i++) {
    if (strcmp(passes[i].name, name) == 0) return &passes[i];
  }
  return NULL;
}

bool pass_param(const char *params, const char *key, char *value, size_t n) {
  size_t key_len = strlen(key);
  for (const char *p = params ? params : ""; *p;) {
    size_t len = strcspn(p, ",");
    if (len > key_len && strncmp(p, key, key_len) == 0 && p[key_len] == '=') {
      size_t m = len - key_len - 1 < n - 1 ? len - key_len - 1 : n - 1;
      memcpy(value, p + key_len + 1, m);
      value[m] = 0;
      return true;
    }
    p += len + (p[len] == ',');
  }
  return false;
}

bool pass_listed(const char *list, const char *name) {
  size_t n = strlen(name);
  for (const char *p = list ? list : ""; *p; p += strcspn(p, ";"), p += *p == ';')
    if (strcspn(p, ";") == n && strncmp(p, name, n) == 0) return true;
  return false;
}

double pass_param_num(const char *params, const char *key, double otherwise, bool *bad) {
  char text[64], *end;
  if (!pass_param(params, key, text, sizeof text)) return otherwise;
  errno = 0;
  double v = strtod(text, &end);
  if (end == text || *end || errno) {
    *bad = true;
    return otherwise;
  }
  return v;
}

static const Pass *find(const char *name, const PipelineOptions *opt) {
  const Pass *own = pass_find(name);
  for (int i = 0; !own && i < opt->n_extra; i++) {
    for (int k = 0; k < opt->extra[i].n; k++)
      if (strcmp(opt->extra[i].v[k].name, name) == 0) return &opt->extra[i].v[k];
  }
  return own;
}

static void list_names(const PipelineOptions *opt, StrBuf *out) {
  for (int i = 0; i < n_passes; i++) sb_printf(out, "%s%s", i ? ", " : "", passes[i].name);
  for (int i = 0; i < opt->n_extra; i++)
    for (int k = 0; k < opt->extra[i].n; k++) sb_printf(out, ", %s", opt->extra[i].v[k].name);
}

/* A key that the pass's own documentation does not name is a typo. */
static bool check_keys(const Pass *p, const char *params, const Loc *loc, Diag *d) {
  for (const char *at = params; *at;) {
    size_t len = strcspn(at, ","), key = strcspn(at, "=,");
    char name[64];
    snprintf(name, sizeof name, "%.*s=", (int)(key < 62 ? key : 62), at);
    if (key == len || !strstr(p->params_doc, name)) {
      diag_error(d, loc, "pass %s: unknown parameter \"%.*s\"", p->name, (int)len, at);
      diag_hint(d, "it takes: %s", p->params_doc[0] ? p->params_doc : "no parameters");
      return false;
    }
    at += len + (at[len] == ',');
  }
  return true;
}

typedef struct Stage {
  const Pass *pass;
  char *params;
} Stage;

/* One stage "name" or "name{params}" at *text, which moves behind it and a following comma. */
static bool parse_stage(Arena *a, const char **text, const PipelineOptions *opt, const Loc *loc, Stage *out,
                        Diag *d) {
  const char *p = *text;
  while (*p == ' ') p++;
  size_t len = strcspn(p, "{, ");
  char *name = arena_strndup(a, p, len);
  out->pass = find(name, opt);
  if (!out->pass) {
    StrBuf all = {0};
    list_names(opt, &all);
    diag_error(d, loc, "unknown pass \"%s\"", name);
    diag_hint(d, "passes: %s", sb_str(&all));
    sb_free(&all);
    return false;
  }
  p += len;
  out->params = arena_strdup(a, "");
  if (*p == '{') {
    const char *end = strchr(p, '}');
    FAIL_IF(!end, d, NULL, "pass %s: \"{\" without \"}\"", name);
    out->params = arena_strndup(a, p + 1, (size_t)(end - p - 1));
    p = end + 1;
  }
  TRY(check_keys(out->pass, out->params, loc, d));
  while (*p == ' ') p++;
  FAIL_IF(*p && *p != ',', d, NULL, "passes \"%s\": want a comma before \"%s\"", *text, p);
  *text = *p ? p + 1 : p;
  return true;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void dump(const Graph *g, const char *pass, const PipelineOptions *opt) {
  if (!opt->dump_after || (strcmp(opt->dump_after, "all") != 0 && strcmp(opt->dump_after, pass) != 0)) return;
  StrBuf text = {0};
  graph_print(g, &text, 16);
  fprintf(opt->dump_to, "# after %s\n%s", pass, sb_str(&text));
  sb_free(&text);
}

/* Passes that keep state: they copy what they do not change; quantize makes codes of it, prune cuts it. The others retrain or measure
 * by training, which needs whole sequences, not one step of them. */
static bool keeps_state(const char *pass) {
  static const char *const names[] = {"fold",     "dce",       "bnfuse", "fuse",    "layout",
                                      "equalize", "input_raw", "prune",  "quantize"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (strcmp(pass, names[i]) == 0) return true;
  return false;
}

static Graph *run_stage(const Graph *g, const Stage *s, const PassCtx *ctx, const PipelineOptions *opt,
                        Diag *d) {
  if (s->pass->needs_data && !ctx->data) {
    diag_error(d, NULL, "pass %s needs training data", s->pass->name);
    diag_hint(d, "name a design file: --design design.yaml");
    return NULL;
  }
  if (!keeps_state(s->pass->name) && !graph_want_stateless(g, s->pass->name, d)) {
    diag_hint(d, "retrain the model over whole sequences, before it is made one of steps; layout, fold, "
                 "bnfuse, fuse, prune and quantize keep state");
    return NULL;
  }
  PassCtx own = *ctx;
  own.params = s->params;
  double start = now();
  Graph *next = s->pass->run(g, &own, d);
  if (!next) return NULL;
  if (opt->verify_each && !graph_verify(next, d)) {
    diag_error(d, NULL, "pass %s left a graph that breaks the rules above: a defect of the pass",
               s->pass->name);
    graph_free(next);
    return NULL;
  }
  dump(next, s->pass->name, opt);
  if (opt->after) opt->after(opt->after_ctx, s->pass->name, next, now() - start);
  return next;
}

Graph *pipeline_run(const Graph *g, const char *text, const PassCtx *ctx, const PipelineOptions *opt,
                    Diag *d) {
  static const PipelineOptions none = {0};
  if (!opt) opt = &none;
  Arena *a = arena_new();
  Stage stages[64];
  int n = 0;
  for (const char *p = text; *p;) {
    if (n == 64 || !parse_stage(a, &p, opt, opt->locs ? &opt->locs[n] : NULL, &stages[n], d)) {
      if (n == 64) diag_error(d, NULL, "more than 64 passes");
      arena_free(a);
      return NULL;
    }
    n++;
  }
  Graph *at = graph_clone(g);
  for (int i = 0; at && i < n; i++) {
    Graph *next = run_stage(at, &stages[i], ctx, opt, d);
    graph_free(at);
    at = next;
  }
  arena_free(a);
  return at;
}
