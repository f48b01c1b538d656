/* harness_verify: build an emitted folder's self-test, run it where the target is, measure.
 *
 *   all vectors     native | qemu-aarch64 | qemu-system-arm, and on the target's stricter machine where it fits
 *   instructions    of the first vector alone: SysTick under -icount (bare), callgrind (native, when it is installed),
 *                   a plugin of QEMU's (qemu-aarch64, when a host compiler is installed)
 *   cycles          instructions weighted by class (bare, when a host compiler is installed): weigh.c
 *   stack           painted below the first inference (bare)
 *
 * Counts are instructions, not cycles: no wait states, no dual issue.
 */
#include "backend/measure/measure.h"

#include <inttypes.h>
#include <string.h>

#include "ir/base/file.h"
#include "ir/base/json.h"
#include "ir/base/mem.h"

enum {
  RUN_SECONDS = 900,
  HEADER = 16,
  EXPECTED = 1,
  COUNT = 2,
  SKIP = 4, /* selftest_body.c */
  STACK_SLACK = 512,
  STACK_RESERVE = 1024 /* sections.ld */
};

static const char *const qemu_system = "qemu-system-arm";
static const char *const qemu_user = "qemu-aarch64";

/* Whether this processor has the instructions that a target which runs natively asks the compiler for. */
static bool processor_runs(const Target *t) {
#ifdef __x86_64__
  if (strstr(t->cflags, "-march=x86-64-v3"))
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (strstr(t->cflags, "-march=x86-64-v2")) return __builtin_cpu_supports("sse4.2");
#endif
  (void)t;
  return true;
}

bool harness_available(const Target *t, const char **missing) {
  const char *const tools[] = {t->cc, t->size,
                               strcmp(t->run, "qemu-m") == 0         ? qemu_system
                               : strcmp(t->run, "qemu-aarch64") == 0 ? qemu_user
                                                                     : t->cc};
  for (size_t i = 0; i < sizeof tools / sizeof *tools; i++)
    if (!program_exists(tools[i])) {
      *missing = tools[i];
      return false;
    }
  *missing = strstr(t->cflags, "-v2") ? "a processor with SSE4.2" : "a processor with AVX2 and FMA";
  return processor_runs(t);
}

const char *harness_compiler(const Target *t, Arena *a, Diag *d) {
  if (!program_exists(t->cc)) return "";
  char *tmp = file_temp_dir(a, d);
  if (!tmp) return NULL;
  Work w = {.target = t, .arena = a, .diag = d, .tmp = tmp};
  const char *const argv[] = {t->cc, "--version", NULL};
  const char *output = NULL;
  int status;
  const bool ok = process_run(&w, argv, tmp, 60, &status, &output);
  file_remove_tree(tmp);
  return ok ? arena_strndup(a, output, strcspn(output, "\n")) : NULL;
}

static bool runs_by(const Work *w, const char *how) { return strcmp(w->target->run, how) == 0; }

bool run_selftest(Work *w, const char *program, const char *machine, bool count, int *status,
                  const char **output) {
  Args a = {.n = 0};
  if (w->bare) {
    args_add(&a, qemu_system);
    args_add(&a, "-M");
    args_add(&a, machine);
    args_words(&a, w->arena,
               "-nographic -monitor none -serial none -semihosting-config enable=on,target=native");
    if (count) args_words(&a, w->arena, "-icount shift=6");
    args_add(&a, "-kernel");
  } else if (runs_by(w, "qemu-aarch64")) {
    args_words(&a, w->arena, "qemu-aarch64 -L /usr/aarch64-linux-gnu");
    if (count) args_words(&a, w->arena, "-plugin ./count.so");
  } else if (count) {
    args_words(&a, w->arena,
               "valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect=selftest_run");
  }
  args_add(&a, program);
  return process_run(w, a.v, w->tmp, RUN_SECONDS, status, output);
}

/* -- vectors -- */

static uint32_t u32_at(const char *p) {
  const unsigned char *b = (const unsigned char *)p;
  return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

bool read_vectors(Work *w, Vectors *v) {
  const char *path = path_join(w->arena, w->dir, "vectors.bin");
  v->bytes = file_read(w->arena, path, &v->size, w->diag);
  if (!v->bytes) return false;
  bool ok = v->size >= HEADER && memcmp(v->bytes, "MFVEC001", 8) == 0;
  if (ok) v->n = u32_at(v->bytes + 8);
  ok = ok && v->n > 0 && (v->size - HEADER) % v->n == 0;
  FAIL_IF(!ok, w->diag, NULL, "%s: not the vectors of a self-test", path);
  return true;
}

bool write_vectors(Work *w, const Vectors *v, uint32_t n, unsigned flags) {
  size_t size = HEADER + (v->size - HEADER) / v->n * n;
  char *copy = mem_alloc(size);
  const unsigned all = (w->variant ? flags & ~(unsigned)EXPECTED : flags) | w->variant;
  memcpy(copy, v->bytes, size);
  for (int i = 0; i < 4; i++) {
    copy[8 + i] = (char)(n >> (8 * i));
    copy[12 + i] = (char)(all >> (8 * i));
  }
  bool ok = file_write(path_join(w->arena, w->tmp, "vectors.bin"), copy, size, w->diag);
  mem_free(copy);
  return ok;
}

/* -- results -- */

/* The number after " KEY " in the summary line; false when there is none. */
static bool summary_number(const char *output, const char *key, int64_t *out) {
  const char *line = strstr(output, "selftest ");
  char word[40];
  snprintf(word, sizeof word, " %s ", key);
  const char *p = line ? strstr(line, word) : NULL;
  if (!p) return false;
  *out = strtoll(p + strlen(word), NULL, 10);
  return true;
}

typedef struct Summary {
  int64_t vectors, passed, equal, arena, instructions, stack;
} Summary;

static bool read_summary(Work *w, const char *machine, int status, const char *output, Summary *s) {
  bool ok = summary_number(output, "vectors", &s->vectors) && summary_number(output, "passed", &s->passed) &&
            summary_number(output, "equal", &s->equal) && summary_number(output, "arena", &s->arena) &&
            summary_number(output, "instructions", &s->instructions) &&
            summary_number(output, "stack", &s->stack);
  FAIL_IF(!ok, w->diag, NULL, "the self-test on %s ended with status %d and no result:\n%s", machine, status,
          output);
  return true;
}

/* The first line that tells of a difference. */
static bool report_failure(Work *w, const char *machine, const Summary *s, const char *output) {
  const char *line = strstr(output, " got "), *end;
  while (line && line > output && line[-1] != '\n') line--;
  end = line ? line + strcspn(line, "\n") : NULL;
  return diag_error(w->diag, NULL,
                    "emitted C disagrees with the reference on %s: %d of %d vectors pass; first: %.*s",
                    machine, (int)s->passed, (int)s->vectors, line ? (int)(end - line) : 0, line ? line : "");
}

static bool run_vectors(Work *w, const Vectors *v, const char *program, const char *machine, Summary *s) {
  int status;
  const char *output, *where = machine ? machine : w->target->run;
  TRY(write_vectors(w, v, v->n, EXPECTED));
  TRY(run_selftest(w, program, machine, false, &status, &output));
  TRY(read_summary(w, where, status, output, s));
  return s->passed == s->vectors ? true : report_failure(w, where, s, output);
}

/* -- counting -- */

static bool count_bare(Work *w, const Vectors *v, const char *program, Measured *m) {
  int status;
  const char *output;
  Summary s = {0};
  TRY(write_vectors(w, v, 1, EXPECTED | COUNT));
  TRY(run_selftest(w, program, w->target->machine, true, &status, &output));
  TRY(read_summary(w, w->target->machine, status, output, &s));
  m->instructions = s.instructions;
  m->counted_by = "SysTick under qemu-system-arm -icount";
  return true;
}

/* callgrind prints "Collected : N". */
static bool count_native(Work *w, const Vectors *v, const char *program, Measured *m) {
  int status;
  const char *output, *p;
  TRY(write_vectors(w, v, 1, EXPECTED));
  TRY(run_selftest(w, program, NULL, true, &status, &output));
  p = strstr(output, "Collected : ");
  FAIL_IF(!p, w->diag, NULL, "callgrind gave no count (status %d):\n%s", status, output);
  m->instructions = strtoll(p + strlen("Collected : "), NULL, 10);
  m->counted_by = "valgrind --tool=callgrind";
  return true;
}

/* Instructions of the whole program under the plugin; false without a report where it cannot be loaded. */
static bool count_program(Work *w, const Vectors *v, const char *program, unsigned flags, int64_t *out,
                          bool *loaded) {
  int status;
  const char *output, *p;
  TRY(write_vectors(w, v, 1, flags));
  TRY(run_selftest(w, program, NULL, true, &status, &output));
  p = strstr(output, "executed ");
  *loaded = status == 0 && p;
  if (*loaded) *out = strtoll(p + strlen("executed "), NULL, 10);
  return true;
}

/* One inference and none, otherwise the same: the difference is exact. */
static bool count_user(Work *w, const Vectors *v, const char *program, Measured *m) {
  int64_t with, without;
  bool loaded;
  if (!build_plugin(w, "count_plugin.c")) return true;
  TRY(count_program(w, v, program, 0, &with, &loaded));
  if (!loaded) return true; /* this QEMU was built without plugins */
  TRY(count_program(w, v, program, SKIP, &without, &loaded));
  if (!loaded) return true;
  m->instructions = with - without;
  m->counted_by = "plugin of qemu-aarch64";
  return true;
}

static bool count(Work *w, const Vectors *v, const char *program, Measured *m) {
  if (w->bare) return count_bare(w, v, program, m);
  if (runs_by(w, "native") && program_exists("valgrind")) return count_native(w, v, program, m);
  if (runs_by(w, "qemu-aarch64")) return count_user(w, v, program, m);
  return true;
}

static bool weigh(Work *w, const Vectors *v, const char *program, Measured *m) {
  m->cycles = w->bare ? -1 : m->instructions;
  m->weighed_by = m->counted_by;
  TRY(!w->bare || weigh_selftest(w, v, program, &m->cycles));
  if (w->bare && m->cycles >= 0) m->weighed_by = "documented cycles per instruction class, plugin of QEMU";
  return true;
}

/* -- variants of a family -- */

/* Number of variants, by model.json; 0: no family. */
static int variants_of(Work *w) {
  size_t n;
  const char *path = path_join(w->arena, w->dir, "model.json");
  const char *text = file_exists(path) ? file_read(w->arena, path, &n, w->diag) : NULL;
  const Json *j = text ? json_parse(w->arena, text, n, path, w->diag) : NULL;
  const Json *list = json_get(j, "variants");
  const int variants = list && list->type == JSON_ARRAY ? (int)list->n : 0;
  return variants < EMIT_VARIANTS ? variants : EMIT_VARIANTS;
}

/* Each variant's inference of the first vector, whose outputs are written and not compared. */
static bool count_variants(Work *w, const Vectors *v, const char *program, VariantMeasured *out, int n) {
  for (int i = 0; i < n; i++) {
    Measured m = {.instructions = -1, .cycles = -1};
    w->variant = (unsigned)(i + 1) << 8;
    TRY(count(w, v, program, &m) && weigh(w, v, program, &m));
    out[i] = (VariantMeasured){m.instructions, m.cycles};
  }
  w->variant = 0;
  return true;
}

/* -- the stricter machine -- */

/* Whether model and test fit the 256 KiB of flash and 16 KiB of RAM of the micro:bit. */
static bool fits_microbit(const Measured *m, char *note, size_t n) {
  const int64_t flash = 256 * 1024, ram = 16 * 1024, test = 8 * 1024;
  int64_t stack = m->stack + STACK_SLACK > STACK_RESERVE ? m->stack + STACK_SLACK : STACK_RESERVE;
  int64_t need = m->ram_arena + m->ram_other + stack;
  if (m->flash + test > flash)
    snprintf(note, n, "too large for microbit: %" PRId64 " bytes of flash of %" PRId64, m->flash + test,
             flash);
  else if (need > ram)
    snprintf(note, n, "too large for microbit: %" PRId64 " bytes of RAM of %" PRId64, need, ram);
  else
    return true;
  return false;
}

static bool run_second(Work *w, const Vectors *v, Measured *m) {
  const char *machine = w->target->second_machine, *program;
  Summary s = {0};
  if (!machine || !fits_microbit(m, m->second_note, sizeof m->second_note)) return true;
  TRY(build_selftest(w, arena_printf(w->arena, "%s.ld", machine), &program));
  TRY(run_vectors(w, v, program, machine, &s));
  m->second_ran = true;
  return true;
}

/* -- driver -- */

static bool verify(Work *w, Measured *m, VariantMeasured *variants, int n_variants) {
  Vectors v = {0};
  Summary s = {0};
  const char *program;
  TRY(read_vectors(w, &v));
  TRY(build_objects(w));
  TRY(build_selftest(w, w->bare ? machine_script(w->target->machine) : NULL, &program));
  m->built = true;
  bool ok = run_vectors(w, &v, program, w->target->machine, &s);
  m->ran = s.vectors > 0;
  TRY(m->ran);
  m->vectors = (int)s.vectors;
  m->vectors_passed = (int)s.passed;
  m->vectors_equal = (int)s.equal;
  if (w->bare) m->stack = s.stack;
  TRY(build_measure(w, s.arena, m));
  TRY(ok);
  TRY(count(w, &v, program, m) && weigh(w, &v, program, m));
  TRY(count_variants(w, &v, program, variants, n_variants));
  return run_second(w, &v, m);
}

bool harness_verify(const char *dir, const Target *t, const Host *host, Measured *out, Diag *d) {
  return harness_verify_family(dir, t, host, out, NULL, NULL, d);
}

bool harness_verify_family(const char *dir, const Target *t, const Host *host, Measured *out,
                           VariantMeasured *variants, int *n, Diag *d) {
  Work w;
  int n_variants = 0;
  *out = (Measured){.stack = -1,
                    .instructions = -1,
                    .counted_by = "not counted",
                    .cycles = -1,
                    .weighed_by = "not counted"};
  bool ok = work_begin(&w, dir, t, host, d);
  if (ok && variants) n_variants = variants_of(&w);
  ok = ok && verify(&w, out, variants, n_variants);
  if (n) *n = n_variants;
  work_end(&w);
  return ok;
}

bool harness_sizes(const char *dir, const Target *t, const Host *host, Measured *out, Diag *d) {
  Work w;
  *out = (Measured){.stack = -1, .instructions = -1, .counted_by = "", .cycles = -1, .weighed_by = ""};
  bool ok = work_begin(&w, dir, t, host, d) && build_objects(&w) && build_measure(&w, 0, out);
  work_end(&w);
  return ok;
}
