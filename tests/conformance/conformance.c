/* Finding tests and running them in processes: see conformance.h. */
#include "tests/conformance/conformance.h"

#include <dirent.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "ir/base/strbuf.h"

enum { BATCH = 16, SECONDS = 60, MAX_DEPTH = 6, MAX_TESTS = 100000 };

/* -- finding -- */

static bool wanted(const Conformance *c, const char *name) {
  if (!c->only) return true;
  return strpbrk(c->only, "*?[") ? fnmatch(c->only, name, 0) == 0 : strstr(name, c->only) != NULL;
}

static void add_test(Conformance *c, const char *dir) {
  int sets = case_sets(dir);
  if (!wanted(c, path_base(dir))) return;
  for (int set = 0; set < (sets ? sets : 1) && c->n < MAX_TESTS; set++) {
    void *dirs = c->dirs, *numbers = c->sets;
    mem_grow(&dirs, &c->cap_dirs, (size_t)c->n + 1, sizeof *c->dirs);
    mem_grow(&numbers, &c->cap_sets, (size_t)c->n + 1, sizeof *c->sets);
    c->dirs = dirs;
    c->sets = numbers;
    c->dirs[c->n] = dir;
    c->sets[c->n++] = set;
  }
}

static int by_name(const struct dirent **a, const struct dirent **b) {
  return strcmp((*a)->d_name, (*b)->d_name);
}

static int visible(const struct dirent *e) { return e->d_name[0] != '.'; }

static void add_folder(Conformance *c, const char *dir, int depth) {
  if (file_exists(path_join(c->arena, dir, "model.onnx"))) {
    add_test(c, dir);
    return;
  }
  struct dirent **names = NULL;
  int n = depth < MAX_DEPTH ? scandir(dir, &names, visible, by_name) : 0;
  for (int i = 0; i < n; i++) {
    const char *path = path_join(c->arena, dir, names[i]->d_name);
    if (file_is_dir(path)) add_folder(c, path, depth + 1);
    free(names[i]);
  }
  free(names);
}

static bool ends_with(const char *s, const char *tail) {
  size_t n = strlen(s), m = strlen(tail);
  return n >= m && strcmp(s + n - m, tail) == 0;
}

/* Unpack an archive below the folder for temporary files. */
static const char *unpack(Conformance *c, const char *path, Diag *d) {
  const char *to = arena_printf(c->arena, "%s/archive%d", c->temp, c->n);
  if (!file_make_dirs(to, d)) return NULL;
  const char *cmd = arena_printf(c->arena, "tar -xf '%s' -C '%s' 2>/dev/null", path, to);
  if (!strchr(path, '\'') && system(cmd) == 0) return to;
  diag_error(d, NULL, "%s: cannot be unpacked by tar", path);
  return NULL;
}

bool conformance_add(Conformance *c, const char *path, Diag *d) {
  if (!c->arena) c->arena = arena_new();
  const char *dir = path;
  size_t n = strlen(path);
  while (n > 1 && path[n - 1] == '/') n--;
  dir = arena_strndup(c->arena, path, n);
  FAIL_IF(!file_exists(dir), d, NULL, "%s: no such file or folder", dir);
  if (ends_with(dir, ".tar.xz") || ends_with(dir, ".tar.gz") || ends_with(dir, ".tar")) {
    dir = unpack(c, dir, d);
    TRY(dir != NULL);
  }
  int before = c->n;
  add_folder(c, dir, 0);
  FAIL_IF(c->n == before && !c->only, d, NULL, "%s: has no test (a folder with a model.onnx)", path);
  return true;
}

/* -- one test, in its own process -- */

static void set_result(RunResult *r, Outcome o, const char *why) {
  snprintf(r->why, sizeof r->why, "%s", why);
  for (size_t n = strlen(r->why); n > 0 && r->why[n - 1] == '\n';) r->why[--n] = 0;
  r->outcome = o;
}

static void note_bound(const NodeCase *c, uint32_t bound, TestResult *r) {
  size_t n = 0;
  for (uint32_t i = 0; i < c->n_in; i++)
    if (bound >> i & 1 && n < sizeof r->bound)
      n += (size_t)snprintf(r->bound + n, sizeof r->bound - n, "%s%s", n ? ", " : "", c->in_name[i]);
}

/* Does emission of test k belong to what was asked for? */
static bool to_emit(const Conformance *c, int k) { return c->emit && (c->every < 2 || k % c->every == 0); }

static void run_imported(const Conformance *c, int k, const NodeCase *test, const Graph *g, const char *dir) {
  TestResult *r = &c->results[k];
  char why[CASE_WHY];
  bool ok = case_evaluate(test, g, why);
  set_result(&r->engine, ok ? PASSED : FAILED, why);
  if (!to_emit(c, k)) return;
  char name[32];
  snprintf(name, sizeof name, "t%d", k);
  if (!batch_emit(test, g, dir, name, why)) set_result(&r->emitted, FAILED, why);
}

static void run_test(const Conformance *c, int k, const char *dir) {
  TestResult *r = &c->results[k];
  NodeCase test;
  case_read(&test, c->dirs[k], c->sets[k]);
  if (c->tflite_rounding) test.rounding = ONNX_ROUND_TFLITE;
  snprintf(r->op, sizeof r->op, "%s", test.op);
  snprintf(r->kind, sizeof r->kind, "%s", test.kind);
  Diag *d = diag_new();
  uint32_t bound = 0;
  Graph *g = *test.unreadable ? NULL : case_import(&test, &bound, d);
  if (g) {
    note_bound(&test, bound, r);
    run_imported(c, k, &test, g, dir);
  } else {
    const char *why = *test.unreadable ? test.unreadable : diag_text(d);
    set_result(&r->engine, *why ? UNSUPPORTED : FAILED, *why ? why : "refused without a reason");
    if (to_emit(c, k)) r->emitted = r->engine;
  }
  graph_free(g);
  diag_free(d);
  case_free(&test);
}

/* In a child, so that a crash is a failure of one test. */
static void run_in_child(const Conformance *c, int k, const char *dir) {
  TestResult *r = &c->results[k];
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    alarm(SECONDS);
    run_test(c, k, dir);
    _exit(0);
  }
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) status = -1;
  if (status == 0) return;
  char why[80] = "no process could be started";
  if (status > 0)
    snprintf(why, sizeof why, WIFSIGNALED(status) ? "ended by signal %d" : "ended with status %d",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
  if (r->engine.outcome == NOT_RUN) set_result(&r->engine, FAILED, why);
  if (to_emit(c, k)) set_result(&r->emitted, FAILED, why);
}

/* -- all tests -- */

static void run_batches(const Conformance *c, int worker, int jobs) {
  char dir[1200];
  Diag *d = diag_new();
  for (int b = worker; b * BATCH < c->n; b += jobs) {
    int first = b * BATCH, last = first + BATCH < c->n ? first + BATCH : c->n;
    snprintf(dir, sizeof dir, "%s/batch%d", c->temp, b);
    if (c->emit && !file_make_dirs(dir, d)) break;
    for (int k = first; k < last; k++) run_in_child(c, k, dir);
    if (c->emit) batch_run(c, dir, first, last);
    file_remove_tree(dir);
  }
  diag_free(d);
}

/* Zeroed memory that child processes share. */
static void *shared_memory(const char *temp, size_t bytes) {
  char path[1200];
  snprintf(path, sizeof path, "%s/results", temp);
  FILE *f = fopen(path, "w+");
  if (!f) return NULL;
  void *p = ftruncate(fileno(f), (off_t)bytes) == 0
                ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(f), 0)
                : MAP_FAILED;
  fclose(f);
  remove(path);
  return p == MAP_FAILED ? NULL : p;
}

static void name_results(Conformance *c) {
  for (int k = 0; k < c->n; k++)
    snprintf(c->results[k].name, sizeof c->results[k].name, c->sets[k] ? "%s#%d" : "%s",
             path_base(c->dirs[k]), c->sets[k]);
}

bool conformance_run(Conformance *c, Diag *d) {
  FAIL_IF(c->n == 0, d, NULL, "no test was found");
  c->results = shared_memory(c->temp, (size_t)c->n * sizeof *c->results);
  FAIL_IF(!c->results, d, NULL, "%s: no room for %d results", c->temp, c->n);
  name_results(c);
  long processors = sysconf(_SC_NPROCESSORS_ONLN);
  int jobs = c->jobs > 0 ? c->jobs : processors > 0 ? (int)processors : 1;
  fflush(NULL);
  int started = 0;
  for (int w = 0; w < jobs; w++) {
    pid_t pid = fork();
    if (pid == 0) {
      run_batches(c, w, jobs);
      _exit(0);
    }
    started += pid > 0;
  }
  for (int w = 0; w < started; w++) wait(NULL);
  FAIL_IF(started < jobs, d, NULL, "only %d of %d processes could be started", started, jobs);
  return true;
}

void conformance_free(Conformance *c) {
  if (c->results) munmap(c->results, (size_t)c->n * sizeof *c->results);
  mem_free(c->dirs);
  mem_free(c->sets);
  arena_free(c->arena);
}
