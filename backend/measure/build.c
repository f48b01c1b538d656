/* Building emitted C with the target's compiler: the self-test, and the programs whose difference is the model's size.
 *
 *   model.c, selftest.c (emitted) + start.c, bare.c, *.ld (embedded, bare machines only) -> objects -> program
 *
 * Sizes: "uses the model" minus "does not", both linked with --gc-sections, so that what the C library and the
 * compiler's run time add for the model's sake is counted, and the start code is not.
 */
#include "backend/measure/measure.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "backend/emit/emit.h"
#include "ir/base/file.h"
#include "ir/base/json.h"

enum { COMPILE_SECONDS = 300 };

void args_add(Args *a, const char *s) {
  ASSERT(a->n < MAX_ARGS);
  a->v[a->n++] = s;
  a->v[a->n] = NULL;
}

void args_words(Args *a, Arena *arena, const char *words) {
  while (*words) {
    size_t n = strcspn(words, " ");
    if (n) args_add(a, arena_strndup(arena, words, n));
    words += n + (words[n] == ' ');
  }
}

/* -- the working folder -- */

static bool absolute_path(Work *w, const char *dir) {
  char cwd[4096];
  if (*dir == '/') {
    w->dir = arena_strdup(w->arena, dir);
    return true;
  }
  FAIL_IF(!getcwd(cwd, sizeof cwd), w->diag, NULL, "current folder: %s", strerror(errno));
  w->dir = path_join(w->arena, cwd, dir);
  return true;
}

static bool make_tmp(Work *w) {
  w->tmp = file_temp_dir(w->arena, w->diag);
  return w->tmp != NULL;
}

static const char *const harness_files[] = {"bare.h",   "bare.c",   "start.c",     "sections.ld", "mps2.ld",
                                            "an505.ld", "an547.ld", "microbit.ld", "layers.h",    "layers.c"};

static bool unpack_harness(Work *w) {
  for (size_t i = 0; i < sizeof harness_files / sizeof *harness_files; i++) {
    const char *from = arena_printf(w->arena, "backend/harness/%s", harness_files[i]),
               *text = embedded_text(from);
    FAIL_IF(!text, w->diag, NULL, "%s is not part of this program", from);
    TRY(file_write(path_join(w->arena, w->tmp, harness_files[i]), text, strlen(text), w->diag));
  }
  return true;
}

/* The model's sources: model.c alone where model.json names none. */
static bool read_sources(Work *w) {
  static const char *const alone[] = {"model.c"};
  const char *path = path_join(w->arena, w->dir, "model.json");
  size_t n;
  const char *text = file_exists(path) ? file_read(w->arena, path, &n, w->diag) : NULL;
  const Json *j = text ? json_parse(w->arena, text, n, path, w->diag) : NULL;
  const Json *list = json_get(j, "sources");
  FAIL_IF(text && !j, w->diag, NULL, "%s: cannot be read", path);
  w->n_sources = list && list->type == JSON_ARRAY && list->n ? (int)list->n : 1;
  FAIL_IF(w->n_sources > MAX_SOURCES, w->diag, NULL, "%s: names %d sources; want at most %d", path,
          w->n_sources, MAX_SOURCES);
  w->sources = arena_array(w->arena, (size_t)w->n_sources + 1, sizeof *w->sources);
  for (int i = 0; i < w->n_sources; i++) {
    const Json *name = json_at(list, (uint32_t)i);
    w->sources[i] = name && name->type == JSON_STRING ? name->str : alone[0];
  }
  return true;
}

bool work_begin(Work *w, const char *dir, const Target *t, const Host *host, Diag *d) {
  *w = (Work){
      .target = t, .host = host, .arena = arena_new(), .diag = d, .bare = strcmp(t->run, "qemu-m") == 0};
  const char *missing;
  if (!harness_available(t, &missing)) {
    diag_error(d, NULL, "%s is not installed: it is needed to test C for %s", missing, t->name);
    diag_hint(d, "on Debian or Ubuntu: apt-get install --no-install-recommends %s", t->packages);
    return false;
  }
  TRY(absolute_path(w, dir));
  FAIL_IF(!file_exists(path_join(w->arena, w->dir, "model.c")), d, NULL, "%s: holds no model.c", dir);
  TRY(read_sources(w));
  TRY(make_tmp(w));
  return unpack_harness(w);
}

void work_end(Work *w) {
  if (w->tmp) file_remove_tree(w->tmp);
  arena_free(w->arena);
}

/* -- compiling and linking -- */

static bool run_compiler(Work *w, const Args *a) {
  int status;
  const char *output;
  TRY(process_run(w, a->v, w->tmp, COMPILE_SECONDS, &status, &output));
  FAIL_IF(status != 0, w->diag, NULL, "%s failed with status %d:\n%s", w->target->cc, status, output);
  return true;
}

/* from -> w->tmp/object, with one more flag (or NULL). */
static bool compile(Work *w, const char *from, const char *object, const char *flag) {
  Args a = {.n = 0};
  args_add(&a, w->target->cc);
  args_words(&a, w->arena, w->target->cflags);
  args_words(&a, w->arena, "-std=c99 -ffunction-sections -fdata-sections -c -o");
  args_add(&a, object);
  args_add(&a, "-I");
  args_add(&a, w->dir);
  args_add(&a, "-I");
  args_add(&a, w->tmp);
  if (w->bare) args_add(&a, "-DSELFTEST_BARE");
  if (flag) args_add(&a, flag);
  args_add(&a, from);
  return run_compiler(w, &a);
}

static const char *model_object(Work *w, int i) {
  return i ? arena_printf(w->arena, "model%d.o", i) : "model.o";
}

/* The model's objects, those of the machine, and `from` as selftest.o. */
static bool build_objects_of(Work *w, const char *from) {
  for (int i = 0; i < w->n_sources; i++)
    TRY(compile(w, path_join(w->arena, w->dir, w->sources[i]), model_object(w, i), NULL));
  TRY(compile(w, from, "selftest.o", NULL));
  if (!w->bare) return true;
  return compile(w, "start.c", "start.o", NULL) &&
         compile(w, "bare.c", "bare.o", machine_flags(w->target->machine));
}

bool build_objects(Work *w) { return build_objects_of(w, path_join(w->arena, w->dir, "selftest.c")); }

static bool link_program(Work *w, const char *main_object, const char *script, const char *program) {
  Args a = {.n = 0};
  args_add(&a, w->target->cc);
  args_words(&a, w->arena, w->target->cflags);
  args_words(&a, w->arena, "-Wl,--gc-sections -o");
  args_add(&a, program);
  args_add(&a, main_object);
  for (int i = 0; i < w->n_sources; i++) args_add(&a, model_object(w, i));
  if (w->bare) {
    args_words(&a, w->arena, "start.o bare.o --specs=nano.specs -nostartfiles -L. -T");
    args_add(&a, script);
    args_add(&a,
             "-Wl,--start-group,-lc,-lnosys,--end-group"); /* newlib; its system calls fail if ever made */
  }
  args_add(&a, "-lm");
  return run_compiler(w, &a);
}

bool build_selftest(Work *w, const char *script, const char **path) {
  const char *name = script ? arena_printf(w->arena, "selftest-%s.elf", script) : "selftest";
  *path = path_join(w->arena, w->tmp, name);
  return link_program(w, "selftest.o", script, name);
}

bool build_with(Work *w, const char *from, const char *script, const char **path) {
  return build_objects_of(w, from) && build_selftest(w, script, path);
}

bool build_profile(Work *w, const char **path) {
  *path = NULL;
  for (int i = 0; i < w->n_sources; i++)
    TRY(compile(w, path_join(w->arena, w->dir, w->sources[i]), model_object(w, i), "-fcallgraph-info=su"));
  for (int i = 0; i < w->n_sources; i++)
    TRY(compile(w, path_join(w->arena, w->dir, w->sources[i]), model_object(w, i), "-includelayers.h"));
  TRY(compile(w, path_join(w->arena, w->dir, "selftest.c"), "selftest.o", NULL));
  TRY(!w->bare || (compile(w, "start.c", "start.o", NULL) &&
                   compile(w, "bare.c", "bare.o", machine_flags(w->target->machine))));
  TRY(compile(w, "layers.c", model_object(w, w->n_sources), NULL));
  w->n_sources++; /* one object more */
  bool ok = build_selftest(w, w->bare ? machine_script(w->target->machine) : NULL, path);
  w->n_sources--;
  return ok;
}

bool build_plugin(Work *w, const char *source) {
  const char *text = embedded_text(arena_printf(w->arena, "backend/harness/%s", source)), *output,
             *cc = "gcc";
  Args a = {.n = 0};
  int status;
  if (w->plugin && strcmp(w->plugin, source) == 0) return true;
  if (!text || !program_exists(cc)) return false;
  Diag *quiet = diag_new();
  Work silent = *w;
  silent.diag = quiet;
  args_add(&a, cc);
  args_words(&a, w->arena, "-shared -fPIC -O2 -o count.so");
  args_add(&a, source);
  bool ok = file_write(path_join(w->arena, w->tmp, source), text, strlen(text), quiet) &&
            process_run(&silent, a.v, w->tmp, COMPILE_SECONDS, &status, &output) && status == 0;
  if (ok) w->plugin = source;
  diag_free(quiet);
  return ok;
}

/* -- sizes -- */

typedef struct Sizes {
  int64_t code, consts, data, bss;
} Sizes;

static bool begins(const char *s, size_t n, const char *prefix) {
  return n >= strlen(prefix) && memcmp(s, prefix, strlen(prefix)) == 0;
}

static void add_section(Sizes *s, const char *name, size_t n, int64_t bytes) {
  static const char *const code[] = {".text", ".init", ".fini", ".plt", ".eh_frame", ".ARM.ex", NULL};
  static const char *const consts[] = {".rodata", ".data.rel.ro", NULL};
  for (int i = 0; consts[i]; i++)
    if (begins(name, n, consts[i])) {
      s->consts += bytes;
      return;
    }
  for (int i = 0; code[i]; i++)
    if (begins(name, n, code[i])) s->code += bytes;
  if (begins(name, n, ".data") || begins(name, n, ".got")) s->data += bytes;
  if (begins(name, n, ".bss")) s->bss += bytes;
}

/* Lines ".text   1234   0" of `size -A -d`. */
static bool read_sizes(Work *w, const char *program, Sizes *out) {
  Args a = {.n = 0};
  int status;
  const char *p;
  args_add(&a, w->target->size);
  args_words(&a, w->arena, "-A -d");
  args_add(&a, program);
  *out = (Sizes){0};
  TRY(process_run(w, a.v, w->tmp, COMPILE_SECONDS, &status, &p));
  FAIL_IF(status != 0, w->diag, NULL, "%s failed:\n%s", w->target->size, p);
  for (; *p; p += strcspn(p, "\n"), p += *p == '\n') {
    size_t n = strcspn(p, " \n");
    if (*p == '.') add_section(out, p, n, strtoll(p + n, NULL, 10));
  }
  FAIL_IF(out->code == 0, w->diag, NULL, "%s: no sections of %s found", w->target->size, program);
  return true;
}

bool build_measure(Work *w, int64_t arena, Measured *out) {
  Sizes with, without;
  const char *script = w->bare ? machine_script(w->target->machine) : NULL,
             *selftest = path_join(w->arena, w->dir, "selftest.c");
  TRY(compile(w, selftest, "minimal.o", "-DSELFTEST_MINIMAL"));
  TRY(compile(w, selftest, "empty.o", "-DSELFTEST_EMPTY"));
  TRY(link_program(w, "minimal.o", script, "minimal"));
  TRY(link_program(w, "empty.o", script, "empty"));
  TRY(read_sizes(w, "minimal", &with));
  TRY(read_sizes(w, "empty", &without));
  out->flash_code = with.code - without.code;
  out->flash_weights = with.consts - without.consts;
  out->flash = out->flash_code + out->flash_weights + with.data - without.data;
  out->image_flash = with.code + with.consts + with.data;
  out->image_ram = with.data + with.bss;
  out->ram_arena = arena;
  out->ram_other = with.data - without.data + with.bss - without.bss - arena;
  if (out->ram_other < 0) out->ram_other = 0;
  return true;
}
