/* Emitted C of many tests in one program.
 *
 *   DIR/tK/model.c ...   DIR/tK.in   ->  cc -c each  ->  DIR/main.c with a row per model  ->  DIR/run K
 *                                                        reads tK.in, writes tK.out       ->  compared here
 */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "backend/backend.h"
#include "frontend/cli/cli.h"
#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "ir/base/strbuf.h"
#include "tests/conformance/conformance.h"

/* The batch of a symbolic one, from the test's inputs. */
static Graph *bind(const Graph *g, const Tensor *in, Diag *d) {
  for (uint32_t i = 0; i < g->n_inputs; i++)
    if (!shape_is_static(&graph_val(g, g->inputs[i])->shape)) return graph_with_batch(g, in[i].shape.d[0], d);
  return graph_clone(g);
}

static bool write_inputs(const Graph *g, const Tensor *in, const char *path, Diag *d) {
  StrBuf bytes = {0};
  for (uint32_t i = 0; i < g->n_inputs; i++) sb_write(&bytes, in[i].data, tensor_bytes(&in[i]));
  bool ok = file_write(path, sb_str(&bytes), bytes.len, d);
  sb_free(&bytes);
  return ok;
}

bool batch_emit(const NodeCase *c, const Graph *g, const char *dir, const char *name, char *why) {
  Tensor in[CASE_MAX_IO];
  Diag *d = diag_new();
  bool known = case_inputs(c, g, in);
  char path[1400];
  snprintf(path, sizeof path, "%s/%s.in", dir, name);
  Graph *bound = known ? bind(g, in, d) : NULL;
  Graph *ready = bound ? cli_prepare(bound, d) : NULL;
  bool ok = ready && write_inputs(ready, in, path, d);
  snprintf(path, sizeof path, "%s/%s", dir, name);
  const EmitOptions o = {
      .name = name, .out_dir = path, .vectors = g->n_inputs ? in : NULL, .n_vectors = g->n_inputs > 0};
  ok = ok && emit_c(ready, target_find("x86-64"), &o, d);
  if (!ok) snprintf(why, CASE_WHY, "%s", known ? diag_text(d) : "inputs are not the test's");
  graph_free(ready);
  graph_free(bound);
  diag_free(d);
  return ok;
}

/* -- compiling -- */

static void fail(RunResult *r, const char *what, const char *detail) {
  r->outcome = FAILED;
  snprintf(r->why, sizeof r->why, "%s%s%.500s", what, *detail ? ": " : "", detail);
}

static void first_line(const char *path, char *to, size_t n) {
  *to = 0;
  FILE *f = fopen(path, "r");
  if (!f) return;
  while (fgets(to, (int)n, f) && !strstr(to, "error")) {}
  to[strcspn(to, "\n")] = 0;
  fclose(f);
}

static const char *compiler(const Conformance *c) { return c->compiler ? c->compiler : "cc"; }

static bool compile_model(const Conformance *c, const char *dir, int k) {
  char cmd[3000], log[1400], line[400];
  snprintf(log, sizeof log, "%s/t%d.log", dir, k);
  snprintf(cmd, sizeof cmd,
           "cd '%s/t%d' && %s -std=c99 -O1 -ffp-contract=off -w -c model.c -o ../t%d.o 2>'%s'", dir, k,
           compiler(c), k, log);
  if (system(cmd) == 0) return true;
  first_line(log, line, sizeof line);
  fail(&c->results[k].emitted, "emitted C does not compile", line);
  return false;
}

/* One function per model: inputs from a file, one run, outputs to a file. */
static void print_case(int k, StrBuf *out) {
  sb_printf(out, "static void run_%d(FILE *in, FILE *out) {\n", k);
  sb_printf(out, "  t%d_context x;\n  void *a = aligned_alloc(64, (T%d_ARENA_SIZE + 64) / 64 * 64);\n", k, k);
  sb_printf(out, "  if (t%d_init(&x, a, T%d_ARENA_SIZE)) exit(3);\n", k, k);
  sb_printf(out, "  for (int i = 0; i < T%d_INPUTS; i++)\n", k);
  sb_printf(out, "    if (n_in[i] && fread(t%d_input(&x, i), 1, n_in[i], in) != n_in[i]) exit(4);\n", k);
  sb_printf(out, "  t%d_run(&x);\n  for (int i = 0; i < T%d_OUTPUTS; i++)\n", k, k);
  sb_printf(out, "    if (n_out[i] && fwrite(t%d_output(&x, i), 1, n_out[i], out) != n_out[i]) exit(5);\n}\n",
            k);
}

static int header_number(const char *header, const char *macro) {
  const char *p = strstr(header, macro);
  return p ? (int)strtol(p + strlen(macro), NULL, 10) : 0;
}

/* "static const size_t n_in[] = {T3_INPUT0_BYTES, ..., 0};" inside the function. */
static void print_counts(const char *name, const char *macro, int k, int n, StrBuf *out) {
  sb_printf(out, "static const size_t %s_%d[] = {", name, k);
  for (int i = 0; i < n; i++) sb_printf(out, "T%d_%s%d_BYTES, ", k, macro, i);
  sb_puts(out, "0};\n");
}

static void print_model(Arena *a, const char *dir, int k, StrBuf *out, Diag *d) {
  const char *header = file_read(a, arena_printf(a, "%s/t%d/model.h", dir, k), NULL, d);
  if (!header) return;
  sb_printf(out, "#include \"t%d/model.h\"\n", k);
  print_counts("n_in", "INPUT", k, header_number(header, arena_printf(a, "#define T%d_INPUTS ", k)), out);
  print_counts("n_out", "OUTPUT", k, header_number(header, arena_printf(a, "#define T%d_OUTPUTS ", k)), out);
  sb_printf(out, "#define n_in n_in_%d\n#define n_out n_out_%d\n", k, k);
  print_case(k, out);
  sb_puts(out, "#undef n_in\n#undef n_out\n");
}

static bool link_batch(const Conformance *c, const char *dir, const int *models, int n) {
  StrBuf text = {0}, objects = {0};
  Arena *a = arena_new();
  Diag *d = diag_new();
  sb_puts(&text,
          "#define _POSIX_C_SOURCE 200809L\n#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n");
  for (int i = 0; i < n; i++) {
    print_model(a, dir, models[i], &text, d);
    sb_printf(&objects, " t%d.o", models[i]);
  }
  sb_puts(&text, "int main(int argc, char **argv) {\n  FILE *in, *out;\n  if (argc < 4) return 2;\n"
                 "  alarm(60);\n  in = fopen(argv[2], \"rb\"), out = fopen(argv[3], \"wb\");\n"
                 "  if (!in || !out) return 2;\n  switch (atoi(argv[1])) {\n");
  for (int i = 0; i < n; i++) sb_printf(&text, "  case %d: run_%d(in, out); break;\n", models[i], models[i]);
  sb_puts(&text, "  default: return 2;\n  }\n  return fclose(out) ? 5 : 0;\n}\n");
  const char *path = arena_printf(a, "%s/main.c", dir);
  bool ok = file_write(path, text.s, text.len, d);
  ok = ok && system(arena_printf(a, "cd '%s' && %s -std=c11 -O0 -w main.c%s -o run -lm 2>link.log", dir,
                                 compiler(c), sb_str(&objects))) == 0;
  sb_free(&text);
  sb_free(&objects);
  diag_free(d);
  arena_free(a);
  return ok;
}

/* -- running -- */

/* Outputs as the file holds them, one after the other. */
static bool compare_file(const NodeCase *test, const char *bytes, size_t n, char *why) {
  size_t at = 0;
  for (uint32_t k = 0; k < test->n_out; k++) {
    Tensor got = test->want[k];
    size_t size = tensor_bytes(&got);
    snprintf(why, CASE_WHY, "output %u is cut off", k);
    if (size > n - at) return false;
    got.data = mem_alloc_aligned(size, 64);
    memcpy(got.data, bytes + at, size);
    bool ok = case_compare(test, k, &got, why);
    mem_free(got.data);
    TRY(ok);
    at += size;
  }
  snprintf(why, CASE_WHY, "outputs have %zu bytes; want %zu", n, at);
  return at == n;
}

static void run_model(const Conformance *c, const char *dir, int k) {
  RunResult *r = &c->results[k].emitted;
  Arena *a = arena_new();
  int status = system(arena_printf(a, "cd '%s' && ./run %d t%d.in t%d.out 2>/dev/null", dir, k, k, k));
  if (status != 0) {
    fail(r, arena_printf(a, "the emitted program ended with status %d", WEXITSTATUS(status)), "");
  } else {
    NodeCase test;
    size_t n = 0;
    Diag *d = diag_new();
    case_read(&test, c->dirs[k], c->sets[k]);
    const char *bytes = file_read(a, arena_printf(a, "%s/t%d.out", dir, k), &n, d);
    bool ok = bytes && compare_file(&test, bytes, n, r->why);
    r->outcome = ok ? PASSED : FAILED;
    if (ok) r->why[0] = 0;
    diag_free(d);
    case_free(&test);
  }
  arena_free(a);
}

void batch_run(const Conformance *c, const char *dir, int first, int last) {
  int *models = mem_array((size_t)(last - first) + 1, sizeof *models), n = 0;
  char header[1400], line[400];
  for (int k = first; k < last; k++) {
    snprintf(header, sizeof header, "%s/t%d/model.h", dir, k);
    bool emitted = c->results[k].emitted.outcome == NOT_RUN && file_exists(header);
    if (emitted && compile_model(c, dir, k)) models[n++] = k;
  }
  if (n > 0 && !link_batch(c, dir, models, n)) {
    snprintf(header, sizeof header, "%s/link.log", dir);
    first_line(header, line, sizeof line);
    for (int i = 0; i < n; i++) fail(&c->results[models[i]].emitted, "emitted C does not link", line);
    n = 0;
  }
  for (int i = 0; i < n; i++) run_model(c, dir, models[i]);
  mem_free(models);
}
