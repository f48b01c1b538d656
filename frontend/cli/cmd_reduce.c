/* mistify reduce: from a model on which a command fails to a small graph on which it still fails the same way.
 *
 *   candidate -> FOLDER/candidate.ir -> sh -c COMMAND, {} replaced by the path -> exit status as it was: kept
 *
 * Statuses are compared, so that a crash is not taken for a complaint about the candidate. The best graph so far is
 * written at once: what was found stays when the command is interrupted.
 */
#define _GNU_SOURCE /* POSIX_SPAWN_SETPGROUP everywhere */
#include "frontend/cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "ir/reduce.h"

extern char **environ;

enum { STATUS_TIMEOUT = 124, STATUS_NOT_RUN = 126 };

typedef struct ReduceOpts {
  CommonOpts common;
  const char *model, *check, *out;
  int64_t timeout, max_checks;
} ReduceOpts;

static const Opt opts[] = {
    {"MODEL", OPT_PARAM, offsetof(ReduceOpts, model), true, NULL,
     "model file (.onnx, .tflite, .ir, .mistify)"},
    {"--check", OPT_STRING, offsetof(ReduceOpts, check), true, "COMMAND",
     "shell command that fails on the model; {} stands for the file (quoted where its path has to be)"},
    {"-o", OPT_STRING, offsetof(ReduceOpts, out), true, "OUT",
     "file to write: .ir (text), .mistify or .onnx"},
    {"--timeout", OPT_INT, offsetof(ReduceOpts, timeout), false, "S",
     "seconds after which the command is stopped and counts as status 124 (default 60)"},
    {"--max-checks", OPT_INT, offsetof(ReduceOpts, max_checks), false, "N",
     "stop after N runs of the command"},
    {0}};

typedef struct Reduction {
  const ReduceOpts *o;
  const char *path, *command; /* of the candidate; the command with it */
  int status;                 /* that counts as the failure */
  bool write_failed;
  Diag *d;
} Reduction;

/* -- the command -- */

/* The path as one word of a shell: as it is where that is one; else in quotes, a quote in it as '\''. */
static const char *shell_word(Arena *a, const char *path) {
  static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-./,:@%=";
  if (path[strspn(path, plain)] == '\0') return path;
  StrBuf b = {0};
  sb_putc(&b, '\'');
  for (const char *p = path; *p; p++) {
    if (*p == '\'')
      sb_puts(&b, "'\\''");
    else
      sb_putc(&b, *p);
  }
  sb_putc(&b, '\'');
  const char *out = arena_strdup(a, sb_str(&b));
  sb_free(&b);
  return out;
}

/* COMMAND with every {} replaced by the path as one word; without one, it comes last. */
static const char *command_of(Arena *a, const char *check, const char *path) {
  StrBuf b = {0};
  const char *p = check, *at, *word = shell_word(a, path);
  while ((at = strstr(p, "{}")) != NULL) {
    sb_write(&b, p, (size_t)(at - p));
    sb_puts(&b, word);
    p = at + 2;
  }
  sb_puts(&b, p);
  if (p == check) sb_printf(&b, " %s", word);
  const char *out = arena_strdup(a, sb_str(&b));
  sb_free(&b);
  return out;
}

static bool start(char *command, pid_t *pid) {
  char sh[] = "sh", c[] = "-c", *argv[] = {sh, c, command, NULL};
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attr;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attr);
  posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP); /* the whole group can be stopped */
  posix_spawnattr_setpgroup(&attr, 0);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  int err = posix_spawn(pid, "/bin/sh", &actions, &attr, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attr);
  return err == 0;
}

static double seconds_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Exit status; 128 + n when signal n ended it; STATUS_TIMEOUT; STATUS_NOT_RUN. */
static int run_command(const Reduction *r) {
  char *command = mem_strdup(r->command);
  pid_t pid;
  bool started = start(command, &pid);
  mem_free(command);
  if (!started) return STATUS_NOT_RUN;
  const double begin = seconds_now();
  int raw = 0;
  for (pid_t got; (got = waitpid(pid, &raw, WNOHANG)) != pid;) {
    if (got < 0 && errno != EINTR) return STATUS_NOT_RUN;
    const double spent = seconds_now() - begin;
    if (spent > (double)r->o->timeout || cli_interrupted()) {
      kill(-pid, SIGKILL);
      while (waitpid(pid, &raw, 0) < 0 && errno == EINTR) {}
      return STATUS_TIMEOUT;
    }
    nanosleep(&(struct timespec){0, spent < 0.2 ? 1000000 : 20000000}, NULL);
  }
  return WIFSIGNALED(raw) ? 128 + WTERMSIG(raw) : WEXITSTATUS(raw);
}

static int check_graph(Reduction *r, const Graph *g) {
  if (cli_interrupted() || r->write_failed) return 0;
  r->write_failed = !cli_save(g, r->path, r->d);
  return r->write_failed ? 0 : run_command(r);
}

static bool fails(void *ctx, const Graph *g) {
  Reduction *r = ctx;
  return check_graph(r, g) == r->status && !cli_interrupted();
}

static void smaller(void *ctx, const Graph *g, const char *step, int64_t checks) {
  Reduction *r = ctx;
  cli_note(&r->o->common, "%lld checks: %u nodes, %lld parameters (%s)", (long long)checks, g->n_nodes,
           (long long)graph_params(g), step);
  r->write_failed = r->write_failed || !cli_save(g, r->o->out, r->d);
}

/* -- the reduction -- */

/* The failure is there, and the command can be run at all. */
static bool first_check(Reduction *r, const Graph *g) {
  r->status = check_graph(r, g);
  if (r->write_failed) return false;
  FAIL_IF(r->status == 0, r->d, NULL, "--check: the command succeeds on %s: there is no failure to keep",
          r->o->model);
  FAIL_IF(r->status == 126 || r->status == 127, r->d, NULL,
          "--check: the command cannot be run (status %d): %s", r->status, r->command);
  return true;
}

static bool reduce(Reduction *r, const Graph *g) {
  TRY(first_check(r, g));
  cli_note(&r->o->common, "%s: %u nodes, %lld parameters; the command ends with status %d", r->o->model,
           g->n_nodes, (long long)graph_params(g), r->status);
  const ReduceOptions ro = {fails, smaller, r, r->o->max_checks};
  int64_t checks;
  Graph *best = graph_reduce(g, &ro, &checks);
  bool ok = !r->write_failed && cli_save(best, r->o->out, r->d);
  if (ok)
    cli_note(&r->o->common, "%s: %u nodes of %u, after %lld checks", r->o->out, best->n_nodes, g->n_nodes,
             (long long)checks);
  graph_free(best);
  return ok;
}

static bool reduce_model(Arena *a, const ReduceOpts *o, Diag *d) {
  TRY(cli_check_save(o->out, d));
  Graph *g = cli_load(o->model, d);
  const char *dir = g ? file_temp_dir(a, d) : NULL;
  Reduction r = {.o = o, .d = d};
  bool ok = dir != NULL;
  if (ok) {
    r.path = path_join(a, dir, arena_printf(a, "candidate%s", path_ext(o->out)));
    r.command = command_of(a, o->check, r.path);
    cli_catch_interrupt();
    ok = reduce(&r, g);
    file_remove_tree(dir);
  }
  graph_free(g);
  return ok;
}

static int run(void *opts_, Diag *d) {
  ReduceOpts *o = opts_;
  Arena *a = arena_new();
  if (o->timeout == 0) o->timeout = 60;
  bool ok = reduce_model(a, o, d);
  arena_free(a);
  return !ok ? EXIT_USER : cli_interrupted() ? EXIT_INTERRUPTED : EXIT_DONE;
}

extern const Command cmd_reduce;
const Command cmd_reduce = {
    "reduce",
    "Shrink a model on which a command fails, for a bug report",
    "Writes smaller and smaller graphs, runs COMMAND on each, and keeps those on which it ends with the "
    "same\n"
    "status as on MODEL (0 is no failure). Tried are: fewer outputs, the model cut off behind and before "
    "each\n"
    "layer, layers left out, smaller shapes, plain attributes, weights and quantizations. COMMAND should be\n"
    "quick and say by its status that it is this failure: let a crash crash, or search its output with "
    "grep.\n"
    "{} is the candidate's file, in OUT's form. OUT always holds the smallest graph so far; Ctrl-C ends "
    "early.",
    "  mistify reduce model.onnx --check \"mistify compile {} --target cortex-m4 -o /tmp/c\" -o small.ir\n"
    "  mistify reduce model.ir --check \"! ./compare.sh {} | grep -q 'output differs'\" -o small.ir\n"
    "  mistify reduce model.tflite --check \"mistify run {} -i x.npy -o y.npy\" --timeout 5 -o small.ir\n",
    opts,
    sizeof(ReduceOpts),
    run};
