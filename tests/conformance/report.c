/* Figures of a conformance run: by operator as a table, what did not pass as a list, all of it as JSON. */
#include <stdlib.h>
#include <string.h>

#include "ir/base/file.h"
#include "ir/base/json.h"
#include "ir/base/mem.h"
#include "tests/conformance/conformance.h"

static const char *const outcome_names[N_OUTCOMES] = {"not run", "passed", "failed", "unsupported"};

static const RunResult *run_of(const TestResult *r, bool emitted) {
  return emitted ? &r->emitted : &r->engine;
}

Totals conformance_totals(const Conformance *c, bool emitted, const char *kind) {
  Totals t = {{0}, 0};
  for (int k = 0; k < c->n; k++) {
    if (kind && strcmp(c->results[k].kind, kind) != 0) continue;
    t.of[run_of(&c->results[k], emitted)->outcome]++;
    t.n++;
  }
  return t;
}

static Totals operator_totals(const Conformance *c, bool emitted, const char *op) {
  Totals t = {{0}, 0};
  for (int k = 0; k < c->n; k++) {
    if (strcmp(c->results[k].op, op) != 0) continue;
    t.of[run_of(&c->results[k], emitted)->outcome]++;
    t.n++;
  }
  return t;
}

static int by_text(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The operators of all tests (or, kinds: what sets tests apart), each once, sorted; as many as *n. */
static const char **distinct(const Conformance *c, bool kinds, int *n) {
  const char **names = mem_array((size_t)c->n + 1, sizeof *names);
  int last = 0;
  for (int k = 0; k < c->n; k++) names[k] = kinds ? c->results[k].kind : c->results[k].op;
  qsort(names, (size_t)c->n, sizeof *names, by_text);
  for (int k = 0; k < c->n; k++)
    if (k == 0 || strcmp(names[last - 1], names[k]) != 0) names[last++] = names[k];
  *n = last;
  return names;
}

/* -- for people -- */

static void print_row(const Conformance *c, const char *name, Totals engine, Totals emitted, FILE *to) {
  fprintf(to, "%-34s %6d %7d %7d %12d", name, engine.n, engine.of[PASSED], engine.of[FAILED],
          engine.of[UNSUPPORTED]);
  if (c->emit)
    fprintf(to, "   %7d %7d %12d", emitted.of[PASSED], emitted.of[FAILED], emitted.of[UNSUPPORTED]);
  fputc('\n', to);
}

void conformance_table(const Conformance *c, FILE *to) {
  int n;
  const char **ops = distinct(c, false, &n);
  fprintf(to, "%-34s %6s %7s %7s %12s%s\n", "operator", "tests", "passed", "failed", "unsupported",
          c->emit ? "   C: passed  failed  unsupported" : "");
  for (int i = 0; i < n; i++)
    print_row(c, *ops[i] ? ops[i] : "(no node)", operator_totals(c, false, ops[i]),
              operator_totals(c, true, ops[i]), to);
  mem_free(ops);
  const char **kinds = distinct(c, true, &n);
  fputc('\n', to);
  for (int i = 0; i < n; i++)
    print_row(c, *kinds[i] ? kinds[i] : "(usual types)", conformance_totals(c, false, kinds[i]),
              conformance_totals(c, true, kinds[i]), to);
  mem_free(kinds);
  print_row(c, "all", conformance_totals(c, false, NULL), conformance_totals(c, true, NULL), to);
}

static void list_run(const TestResult *r, const char *how, const RunResult *run, FILE *to) {
  if (run->outcome != FAILED && run->outcome != UNSUPPORTED) return;
  fprintf(to, "%s (%s), %s: %s", r->name, r->op, how, outcome_names[run->outcome]);
  bool fresh = true;
  for (const char *p = run->why; *p; p++) {
    if (fresh) fputs("\n    ", to);
    fresh = *p == '\n';
    if (!fresh) fputc(*p, to);
  }
  fputc('\n', to);
}

void conformance_list(const Conformance *c, bool verbose, FILE *to) {
  for (int k = 0; k < c->n; k++) {
    const TestResult *r = &c->results[k];
    list_run(r, "engine", &r->engine, to);
    if (r->emitted.outcome != r->engine.outcome || strcmp(r->emitted.why, r->engine.why) != 0)
      list_run(r, "emitted C", &r->emitted, to);
    if (verbose && *r->bound) fprintf(to, "%s (%s): bound as constants: %s\n", r->name, r->op, r->bound);
  }
}

/* -- for programs -- */

static void json_run(JsonWriter *w, const char *key, const RunResult *r) {
  json_kstr(w, key, outcome_names[r->outcome]);
  if (*r->why) json_kstr(w, strcmp(key, "engine") == 0 ? "engine_reason" : "emitted_reason", r->why);
}

static void json_totals(JsonWriter *w, const char *key, Totals t) {
  json_kobject(w, key);
  json_kint(w, "tests", t.n);
  for (int o = PASSED; o < N_OUTCOMES; o++) json_kint(w, outcome_names[o], t.of[o]);
  json_end(w);
}

static void json_operators(const Conformance *c, JsonWriter *w) {
  int n;
  const char **ops = distinct(c, false, &n);
  json_karray(w, "operators");
  for (int i = 0; i < n; i++) {
    json_object(w);
    json_kstr(w, "operator", ops[i]);
    json_totals(w, "engine", operator_totals(c, false, ops[i]));
    if (c->emit) json_totals(w, "emitted", operator_totals(c, true, ops[i]));
    json_end(w);
  }
  json_end(w);
  mem_free(ops);
}

static void json_test(const Conformance *c, const TestResult *r, JsonWriter *w) {
  json_object(w);
  json_kstr(w, "name", r->name);
  json_kstr(w, "operator", r->op);
  if (*r->kind) json_kstr(w, "type", r->kind);
  if (*r->bound) json_kstr(w, "constants", r->bound);
  json_run(w, "engine", &r->engine);
  if (c->emit) json_run(w, "emitted", &r->emitted);
  json_end(w);
}

bool conformance_json(const Conformance *c, const char *path, Diag *d) {
  StrBuf text = {0};
  JsonWriter w;
  json_begin(&w, &text, true);
  json_object(&w);
  json_totals(&w, "engine", conformance_totals(c, false, NULL));
  if (c->emit) json_totals(&w, "emitted", conformance_totals(c, true, NULL));
  json_operators(c, &w);
  json_karray(&w, "tests");
  for (int k = 0; k < c->n; k++) json_test(c, &c->results[k], &w);
  json_end(&w);
  json_end(&w);
  bool ok = file_write(path, text.s, text.len, d);
  sb_free(&text);
  return ok;
}

static void tsv_line(StrBuf *to, const char *name, Totals engine, Totals emitted) {
  sb_printf(to, "%s\t%d\t%d\t%d\n", name, engine.n, engine.of[PASSED], emitted.of[PASSED]);
}

bool conformance_tsv(const Conformance *c, const char *path, Diag *d) {
  int n;
  const char **ops = distinct(c, false, &n);
  StrBuf text = {0};
  for (int i = 0; i < n; i++)
    tsv_line(&text, ops[i], operator_totals(c, false, ops[i]), operator_totals(c, true, ops[i]));
  mem_free(ops);
  ops = distinct(c, true, &n);
  for (int i = 0; i < n; i++) {
    char name[64];
    snprintf(name, sizeof name, "(%s)", *ops[i] ? ops[i] : "usual types");
    tsv_line(&text, name, conformance_totals(c, false, ops[i]), conformance_totals(c, true, ops[i]));
  }
  tsv_line(&text, "all", conformance_totals(c, false, NULL), conformance_totals(c, true, NULL));
  bool ok = file_write(path, text.s, text.len, d);
  sb_free(&text);
  mem_free(ops);
  return ok;
}
