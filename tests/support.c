/* What the tests share; see support.h.  Child processes see the runner's folder and its skip file through the
 * environment variables below. */
#define _XOPEN_SOURCE 700
#include "tests/support.h"

#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char BUILD_VAR[] = "MISTIFY_TEST_BUILD";
static const char TMP_VAR[] = "MISTIFY_TEST_TMP";

static const char *variable(const char *name) {
  const char *value = getenv(name);
  if (!value) {
    fprintf(stderr, "tests: %s is not set: run the tests by check-mistify\n", name);
    abort();
  }
  return value;
}

/* ---- Skips: lines "suite \t why", written in one append each so that they never mix. */

static void skips_path(char *buf, size_t n) { snprintf(buf, n, "%s/skips", variable(TMP_VAR)); }

/* "tests/ir/test_graph.c" is the suite "graph". */
static void suite_name(char *buf, size_t n, const char *file) {
  const char *base = strrchr(file, '/');
  base = base ? base + 1 : file;
  if (strncmp(base, "test_", 5) == 0) base += 5;
  snprintf(buf, n, "%s", base);
  char *dot = strrchr(buf, '.');
  if (dot) *dot = 0;
}

void test_skip_at(const char *file, const char *why, ...) {
  char reason[600], suite[100], path[PATH_MAX];
  va_list args;
  va_start(args, why);
  vsnprintf(reason, sizeof reason, why, args);
  va_end(args);
  suite_name(suite, sizeof suite, file);
  skips_path(path, sizeof path);
  FILE *f = fopen(path, "a");
  if (!f) return;
  fprintf(f, "%s\t%s\n", suite, reason);
  fclose(f);
}

bool test_shared_path_at(char *buf, size_t n, const char *rel, const char *file) {
  const char *root = getenv("MISTIFY_SHARED");
  if (!root || !*root) root = "../shared";
  int len = snprintf(buf, n, "%s/%s", root, rel);
  if (len > 0 && (size_t)len < n && access(buf, R_OK) == 0) return true;
  bool any = access(root, R_OK) == 0;
  test_skip_at(file, any ? "%s has no %s" : "no shared folder (%s)", root, rel);
  return false;
}

typedef struct {
  char suite[100], why[600];
  int count;
} SkipGroup;

int test_print_skips(void) {
  enum { MAX_GROUPS = 200 };
  char path[PATH_MAX], line[900];
  skips_path(path, sizeof path);
  FILE *f = fopen(path, "r");
  if (!f) return 0;
  SkipGroup *groups = calloc(MAX_GROUPS, sizeof *groups);
  int count = 0, total = 0;
  while (groups && fgets(line, sizeof line, f)) {
    char *why = strchr(line, '\t');
    if (!why) continue;
    *why++ = 0;
    why[strcspn(why, "\n")] = 0;
    total++;
    int i = 0;
    while (i < count && (strcmp(groups[i].suite, line) || strcmp(groups[i].why, why))) i++;
    if (i == MAX_GROUPS) continue;
    if (i == count) {
      count++;
      snprintf(groups[i].suite, sizeof groups[i].suite, "%.99s", line);
      snprintf(groups[i].why, sizeof groups[i].why, "%.599s", why);
    }
    groups[i].count++;
  }
  fclose(f);
  for (int i = 0; groups && i < count; i++)
    printf("skipped in %s: %d (%s)\n", groups[i].suite, groups[i].count, groups[i].why);
  if (total > 0) printf("skipped: %d\n", total);
  free(groups);
  return total;
}

/* ---- Folders and files */

const char *test_build_dir(void) { return variable(BUILD_VAR); }

const char *test_mistify(void) {
  static char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/mistify", test_build_dir());
  return path;
}

const char *test_tmp_dir(void) {
  static char path[PATH_MAX];
  static pid_t owner; /* a child of Check's fork makes its own */
  if (owner == getpid()) return path;
  snprintf(path, sizeof path, "%s/t.XXXXXX", variable(TMP_VAR));
  ck_assert_msg(mkdtemp(path) != NULL, "cannot make %s", path);
  owner = getpid();
  return path;
}

char *test_read_file(const char *path, size_t *size) {
  FILE *f = fopen(path, "rb");
  if (!f) return NULL;
  char *text = NULL;
  long end = -1;
  if (fseek(f, 0, SEEK_END) == 0 && (end = ftell(f)) >= 0 && fseek(f, 0, SEEK_SET) == 0 &&
      (text = malloc((size_t)end + 1))) {
    size_t got = fread(text, 1, (size_t)end, f);
    text[got] = 0;
    if (size) *size = got;
  }
  fclose(f);
  return text;
}

void test_write_file(const char *path, const void *bytes, size_t size) {
  FILE *f = fopen(path, "wb");
  ck_assert_msg(f != NULL, "cannot write %s", path);
  size_t put = fwrite(bytes, 1, size, f);
  ck_assert_msg(fclose(f) == 0 && put == size, "cannot write %s", path);
}

bool test_golden_update(void) { return getenv("MISTIFY_GOLDEN_UPDATE") != NULL; }

/* ---- Commands */

int test_run_command(const char *cmd, char **out) {
  size_t size = 0, room = 4096, n = strlen(cmd) + 40;
  char *shell = malloc(n), *text = malloc(room), block[4096];
  if (out) *out = NULL;
  ck_assert(shell && text);
  snprintf(shell, n, "{ %s\n} 2>&1 </dev/null", cmd);
  fflush(NULL);
  FILE *p = popen(shell, "r");
  free(shell);
  if (!p) {
    free(text);
    return -1;
  }
  size_t got;
  while ((got = fread(block, 1, sizeof block, p)) > 0) {
    while (size + got + 1 > room) {
      char *more = realloc(text, room *= 2);
      ck_assert(more != NULL);
      text = more;
    }
    memcpy(text + size, block, got);
    size += got;
  }
  int status = pclose(p);
  text[size] = 0;
  if (out)
    *out = text;
  else
    free(text);
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : -1;
}

/* ---- The runner's part */

void test_begin(const char *argv0) {
  char dir[PATH_MAX], tmp[PATH_MAX + 16];
  const char *slash = strrchr(argv0, '/');
  char *real = NULL;
  snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - argv0) : 1, slash ? argv0 : ".");
  real = realpath(dir, NULL);
  snprintf(tmp, sizeof tmp, "%s/tests.XXXXXX", real ? real : dir);
  if (!real || !mkdtemp(tmp)) {
    perror(tmp);
    exit(1);
  }
  setenv(BUILD_VAR, real, 1);
  setenv(TMP_VAR, tmp, 1);
  free(real);
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place) {
  (void)info, (void)kind, (void)place;
  return remove(path);
}

void test_end(void) { nftw(variable(TMP_VAR), remove_entry, 16, FTW_DEPTH | FTW_PHYS); }
