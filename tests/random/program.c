/* Emitted C of many graphs in one program: one compile for hundreds of graphs.
 *
 *   for each graph  emit_text, of which all from LAYERS_COMMENT on is kept, c3 and layer3 renamed to r7_c3, r7_layer3
 *   kernels         once for all: shake_kernels with every kernel that one of the graphs calls
 *   main            for each graph and vector: inputs from in.bin, run in an arena of exactly its size, outputs to out.bin
 *
 * That a model's own choice of kernel text suffices is what tests/backend/test_emit.c checks.
 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/emit/emit.h"
#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "ir/eval.h"
#include "tests/ir/custom_sample.h"
#include "tests/random/random.h"

/* -- text -- */

typedef struct Kernels {
  Arena *arena;
  const char **files, **roots;
  int n_files, n_roots, cap;
  bool custom;
} Kernels;

static void add_once(Kernels *k, const char **list, int *n, const char *s) {
  for (int i = 0; i < *n; i++)
    if (strcmp(list[i], s) == 0) return;
  ASSERT(*n < k->cap);
  list[(*n)++] = s;
}

/* What the source of custom operators in random graphs needs. */
static void add_sample(Kernels *k) {
  k->custom = true;
  add_once(k, k->roots, &k->n_roots, "mf_custom");
  add_once(k, k->roots, &k->n_roots, "mf_tensor_count");
  add_once(k, k->roots, &k->n_roots, "MF_TENSOR_F32");
}

static bool add_kernels(Kernels *k, const Graph *g, const Target *t, Diag *d) {
  Calls calls;
  calls_init(&calls);
  bool ok = graph_lower(g, &calls, d) && select_kernels(g, t, &calls, d);
  for (uint32_t i = 0; ok && i < calls.n; i++) {
    const KernelDef *def = calls.v[i].kernel;
    add_once(k, k->files, &k->n_files, def->file);
    add_once(k, k->roots, &k->n_roots, def->params->c_type);
    if (strcmp(def->name, "custom") == 0) add_sample(k);
    add_once(k, k->roots, &k->n_roots, arena_printf(k->arena, "%s__%s", def->name, def->tag));
  }
  calls_free(&calls);
  return ok;
}

static bool is_private(const char *s, size_t n) {
  size_t word = n > 1 && s[0] == 'c' ? 1 : n > 5 && strncmp(s, "layer", 5) == 0 ? 5 : 0;
  for (size_t i = word; i < n; i++)
    if (!isdigit((unsigned char)s[i])) return false;
  return word > 0;
}

/* The text with c3, layer3 (outside comments) prefixed. */
static void rename_privates(const char *p, const char *name, StrBuf *out) {
  while (*p) {
    size_t n = 0;
    if (p[0] == '/' && p[1] == '*') {
      n = (size_t)(strstr(p, "*/") + 2 - p);
    } else if (isalnum((unsigned char)*p) || *p == '_') {
      while (isalnum((unsigned char)p[n]) || p[n] == '_') n++;
      if (is_private(p, n)) sb_printf(out, "%s_", name);
    } else {
      n = 1;
    }
    sb_write(out, p, n);
    p += n;
  }
}

static void print_driver(const Graph *g, const char *name, const char *upper, StrBuf *out) {
  sb_printf(
      out, "\nstatic int test_%s(void) {\n  %s_context c;\n  unsigned char *arena = malloc(%s_ARENA_SIZE);\n",
      name, name, upper);
  sb_printf(out, "  if (%s_init(&c, arena, %s_ARENA_SIZE)) return 1;\n", name, upper);
  sb_printf(out, "  for (int v = 0; v < %d; v++) {\n", RANDOM_VECTORS);
  for (uint32_t i = 0; i < g->n_inputs; i++)
    if (val_bytes(g, g->inputs[i]) > 0)
      sb_printf(out, "    if (!fread(%s_input(&c, %u), %zu, 1, in)) return 2;\n", name, i,
                val_bytes(g, g->inputs[i]));
  sb_printf(out, "    %s_run(&c);\n", name);
  for (uint32_t i = 0; i < g->n_outputs; i++)
    sb_printf(out, "    fwrite(%s_output(&c, %u), 1, %zu, out);\n", name, i, val_bytes(g, g->outputs[i]));
  sb_puts(out, "  }\n  free(arena);\n  return 0;\n}\n");
}

static bool print_model(const Graph *g, int number, const Target *t, StrBuf *out, Diag *d) {
  char name[32], upper[32];
  StrBuf h = {0}, c = {0};
  snprintf(name, sizeof name, "r%d", number);
  snprintf(upper, sizeof upper, "R%d", number);
  const EmitOptions o = {.name = name};
  bool ok = emit_text(g, t, &o, &h, &c, d);
  const char *own = ok ? strstr(sb_str(&c), LAYERS_COMMENT) : NULL;
  if (ok && !own) ok = diag_error(d, NULL, "model.c without its comment on layers");
  if (ok) {
    sb_puts(out, sb_str(&h));
    rename_privates(own, name, out);
    print_driver(g, name, upper, out);
  }
  sb_free(&h);
  sb_free(&c);
  return ok;
}

static void print_main(const RandomProgram *p, StrBuf *out) {
  sb_puts(out, "\nint main(void) {\n  in = fopen(\"in.bin\", \"rb\");\n  out = fopen(\"out.bin\", \"wb\");\n"
               "  if (!in || !out) return 1;\n");
  for (int i = 0; i < p->n; i++)
    if (!p->bad[i]) sb_printf(out, "  if (test_r%d()) return 3;\n", i);
  sb_puts(out, "  return fclose(out) != 0;\n}\n");
}

static bool print_program(const RandomProgram *p, StrBuf *out, StrBuf *why, Diag *d) {
  const Target *t = target_find("x86-64");
  Kernels k = {.arena = arena_new(), .cap = 2000};
  StrBuf models = {0};
  bool ok = true;
  k.files = arena_array(k.arena, (size_t)k.cap, sizeof *k.files);
  k.roots = arena_array(k.arena, (size_t)k.cap, sizeof *k.roots);
  k.roots[k.n_roots++] = "mf_view";
  for (int i = 0; i < p->n; i++) {
    diag_clear(d);
    if (add_kernels(&k, p->graphs[i], t, d) && print_model(p->graphs[i], i, t, &models, d)) continue;
    p->bad[i] = true;
    sb_printf(why, "seed %llu: emission: %s", (unsigned long long)p->seeds[i], diag_text(d));
  }
  diag_clear(d);
  sb_puts(out, "#include <math.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n");
  if (k.n_files > 0) ok = shake_kernels(k.files, k.n_files, k.roots, k.n_roots, out, d);
  if (!ok) sb_printf(why, "kernels: %s", diag_text(d));
  if (k.custom) sb_puts(out, custom_sample_body());
  sb_puts(out, "static FILE *in, *out;\n");
  sb_puts(out, sb_str(&models));
  print_main(p, out);
  sb_free(&models);
  arena_free(k.arena);
  return ok;
}

/* -- reference -- */

typedef struct Reference {
  StrBuf in, out;
} Reference;

static bool evaluate(const Graph *g, uint64_t seed, Reference *ref, Diag *d) {
  Evaluator *e = evaluator_new(g, d);
  if (!e) return false;
  Tensor *in = mem_array(g->n_inputs + 1, sizeof *in);
  const void **data = mem_array(g->n_inputs + 1, sizeof *data);
  for (int v = 0; v < RANDOM_VECTORS; v++) {
    random_inputs(g, seed, v, in);
    for (uint32_t i = 0; i < g->n_inputs; i++) {
      data[i] = in[i].data;
      sb_write(&ref->in, in[i].data, tensor_bytes(&in[i]));
    }
    evaluator_run(e, data);
    for (uint32_t i = 0; i < g->n_outputs; i++)
      sb_write(&ref->out, evaluator_value(e, g->outputs[i]), val_bytes(g, g->outputs[i]));
    for (uint32_t i = 0; i < g->n_inputs; i++) tensor_free(&in[i]);
  }
  mem_free(in);
  mem_free(data);
  evaluator_free(e);
  return true;
}

/* Floats: equal to 1e-6 of the output's range, NaN with NaN. Everything else: bytes. */
static bool same_output(const Value *v, const char *got, const char *want, size_t bytes) {
  if (memcmp(got, want, bytes) == 0) return true;
  if (v->dtype != DT_F32) return false;
  const size_t n = bytes / 4;
  float top = 0, a, b;
  for (size_t i = 0; i < n; i++) {
    memcpy(&b, want + 4 * i, 4);
    if (isfinite(b)) top = fmaxf(top, fabsf(b));
  }
  for (size_t i = 0; i < n; i++) {
    memcpy(&a, got + 4 * i, 4);
    memcpy(&b, want + 4 * i, 4);
    if (isnan(a) && isnan(b)) continue;
    if (a != b && !(fabsf(a - b) <= 1e-6f * top)) return false;
  }
  return true;
}

static bool compare(const Graph *g, uint64_t seed, const char *got, const char *want, StrBuf *why) {
  for (int v = 0; v < RANDOM_VECTORS; v++)
    for (uint32_t i = 0; i < g->n_outputs; i++) {
      size_t bytes = val_bytes(g, g->outputs[i]), k = 0;
      if (!same_output(&g->vals[g->outputs[i]], got, want, bytes)) {
        while (got[k] == want[k]) k++;
        sb_printf(why, "seed %llu: emission: vector %d output %u differs from byte %zu of %zu on\n",
                  (unsigned long long)seed, v, i, k, bytes);
        return false;
      }
      got += bytes;
      want += bytes;
    }
  return true;
}

/* -- building and running -- */

static bool write_text(const char *dir, const char *name, const StrBuf *b) {
  char path[1000];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  FILE *f = fopen(path, "wb");
  bool ok = f && fwrite(sb_str(b), 1, b->len, f) == b->len;
  return f && fclose(f) == 0 && ok;
}

static bool run(const char *cmd, StrBuf *why) {
  FILE *p = popen(cmd, "r");
  StrBuf text = {0};
  char block[1000];
  for (size_t n; p && (n = fread(block, 1, sizeof block, p)) > 0;) sb_write(&text, block, n);
  int status = p ? pclose(p) : -1;
  if (status != 0) sb_printf(why, "%s\nended with status %d:\n%.4000s\n", cmd, status, sb_str(&text));
  sb_free(&text);
  return status == 0;
}

static bool build_and_run(const RandomProgram *p, const StrBuf *text, const StrBuf *in, StrBuf *out,
                          StrBuf *why) {
  char cmd[3000];
  const char *cc = getenv("CC") ? getenv("CC") : "gcc";
  if (!write_text(p->dir, "many.c", text) || !write_text(p->dir, "in.bin", in)) {
    sb_printf(why, "%s: cannot be written\n", p->dir);
    return false;
  }
  /* Functions of constants by the C library, as the evaluation has them, not by the compiler. */
  snprintf(
      cmd, sizeof cmd,
      "cd '%s' && %s -std=c99 -w -ffp-contract=off -fno-builtin %s many.c -o many -lm 2>&1 && ./many 2>&1",
      p->dir, cc, p->flags);
  if (!run(cmd, why)) return false;
  Arena *a = arena_new();
  Diag *d = diag_new();
  size_t n = 0;
  const char *bytes = file_read(a, path_join(a, p->dir, "out.bin"), &n, d);
  if (bytes) sb_write(out, bytes, n);
  diag_free(d);
  arena_free(a);
  return bytes != NULL;
}

bool random_check_program(RandomProgram *p, StrBuf *why) {
  Diag *d = diag_new();
  StrBuf text = {0}, in = {0}, want = {0}, got = {0};
  size_t *at = mem_array((size_t)p->n + 1, sizeof *at);
  bool ok = print_program(p, &text, why, d);
  for (int i = 0; i < p->n; i++) {
    Reference ref = {{0}, {0}};
    at[i] = want.len;
    if (!p->bad[i] && !evaluate(p->graphs[i], p->seeds[i], &ref, d)) ok = false;
    sb_write(&in, sb_str(&ref.in), ref.in.len);
    sb_write(&want, sb_str(&ref.out), ref.out.len);
    sb_free(&ref.in);
    sb_free(&ref.out);
  }
  at[p->n] = want.len;
  ok = ok && build_and_run(p, &text, &in, &got, why);
  if (ok && got.len != want.len) {
    sb_printf(why, "the program wrote %zu bytes, want %zu\n", got.len, want.len);
    ok = false;
  }
  for (int i = 0; ok && i < p->n; i++) {
    if (p->bad[i]) continue;
    p->bad[i] = !compare(p->graphs[i], p->seeds[i], got.s + at[i], want.s + at[i], why);
    p->bytes_equal += at[i + 1] == at[i] || memcmp(got.s + at[i], want.s + at[i], at[i + 1] - at[i]) == 0;
  }
  for (int i = 0; i < p->n; i++) ok = ok && !p->bad[i];
  sb_free(&text);
  sb_free(&in);
  sb_free(&want);
  sb_free(&got);
  mem_free(at);
  diag_free(d);
  return ok;
}
