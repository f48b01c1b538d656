/* Custom operators on this machine: their sources become a shared object, in a folder of its own that goes at once.
 *
 *   files, mistify_custom.h, mistify_prototypes.h -> a temporary folder -> cc -shared -> dlopen, dlsym -> folder removed
 *
 * mistify_prototypes.h declares every function as it will be called, and comes before each source: one of another form is an
 * error of the compiler's, not of a run. Floating point is compiled as everywhere: no contraction of a*b+c.
 */
#include "ir/custom_host.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "ir/base/strbuf.h"

extern char **environ;

enum { MAX_ARGS = 64 + CUSTOM_MAX_FILES * 64 };

typedef struct Build {
  const CustomSources *s;
  Arena *a;
  const char *dir;
  Diag *d;
} Build;

/* -- sources -- */

static bool write_files(const Build *b) {
  StrBuf protos = {0};
  sb_puts(&protos, "#include \"" CUSTOM_HEADER "\"\n");
  for (int i = 0; i < b->s->n_rules; i++) sb_printf(&protos, "mf_custom_fn %s;\n", b->s->rules[i].function);
  bool ok = file_write(path_join(b->a, b->dir, "mistify_prototypes.h"), sb_str(&protos), protos.len, b->d) &&
            file_write(path_join(b->a, b->dir, CUSTOM_HEADER), b->s->header, strlen(b->s->header), b->d);
  for (int i = 0; ok && i < b->s->n_files; i++) {
    const CustomFile *f = &b->s->files[i];
    ok = file_write(path_join(b->a, b->dir, f->name), f->text, f->size, b->d);
  }
  sb_free(&protos);
  return ok;
}

/* -- the compiler -- */

/* Status of the program; -1: there is none of that name. Its output goes to `log`. */
static int run(char *const *argv, const char *log) {
  posix_spawn_file_actions_t actions;
  pid_t pid;
  int status = 0;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  const int err = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (err) return -1;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return 127;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 127;
}

/* 1: built; 0: no compiler here; -1: reported. */
static int compile(const Build *b) {
  static const char *const compilers[] = {"cc", "gcc", "clang"};
  static const char *const flags[] = {
      "-std=c99", "-O2",      "-fPIC", "-shared", "-ffp-contract=off", "-include", "mistify_prototypes.h",
      "-o",       "custom.so"};
  char *argv[MAX_ARGS];
  int n = 1, status = -1;
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
    const bool file = strchr(flags[i], '.') && flags[i][0] != '-';
    argv[n++] = file ? path_join(b->a, b->dir, flags[i]) : arena_strdup(b->a, flags[i]);
  }
  for (int i = 0; i < b->s->n_files && n < MAX_ARGS - 2; i++)
    if (b->s->files[i].source) argv[n++] = path_join(b->a, b->dir, b->s->files[i].name);
  argv[n++] = arena_strdup(b->a, "-lm");
  argv[n] = NULL;
  const char *log = path_join(b->a, b->dir, "log");
  for (size_t i = 0; status < 0 && i < sizeof compilers / sizeof *compilers; i++) {
    argv[0] = arena_strdup(b->a, compilers[i]);
    status = run(argv, log);
  }
  if (status <= 0) return status == 0;
  const char *text = file_read(b->a, log, NULL, b->d);
  diag_error(b->d, &b->s->rules[0].loc, "the sources of custom operators do not compile:\n%s",
             text ? text : "");
  return -1;
}

/* -- loading -- */

static bool load(const Build *b, CustomHost *h) {
  bool ok = true;
  h->handle = dlopen(path_join(b->a, b->dir, "custom.so"), RTLD_NOW | RTLD_LOCAL);
  FAIL_IF(!h->handle, b->d, &b->s->rules[0].loc, "the sources of custom operators cannot be loaded: %s",
          dlerror());
  h->fn = mem_array((size_t)b->s->n_rules, sizeof *h->fn);
  for (int i = 0; i < b->s->n_rules; i++) {
    const CustomRule *r = &b->s->rules[i];
    void *symbol = dlsym(h->handle, r->function);
    memcpy(&h->fn[i], &symbol, sizeof symbol); /* ISO C knows no cast from one to the other */
    if (symbol) continue;
    ok = diag_error(b->d, &r->loc, "no source of %s defines the function %s", r->op, r->function);
    diag_hint(b->d, "it is not static, and its name is spelt as here: void %s(const mf_custom *op)",
              r->function);
  }
  return ok;
}

static bool build_in(const Build *b, CustomHost *h) {
  TRY(write_files(b));
  const int built = compile(b);
  return built > 0 ? load(b, h) : built == 0;
}

bool custom_host_build(CustomHost *h, const CustomSources *s, Diag *d) {
  custom_host_free(h);
  if (s->n_rules == 0) return true;
  Build b = {.s = s, .a = arena_new(), .d = d};
  b.dir = file_temp_dir(b.a, d);
  bool ok = b.dir && build_in(&b, h);
  if (b.dir) file_remove_tree(b.dir);
  if (!ok) custom_host_free(h);
  arena_free(b.a);
  return ok;
}

void custom_host_free(CustomHost *h) {
  if (h->handle) dlclose(h->handle);
  mem_free(h->fn);
  *h = (CustomHost){0};
}
