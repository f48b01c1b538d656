/* The mistify command: finds the subcommand, parses its arguments by its table, runs it, reports.
 *
 * Exit status 0: done.  1: the user's input is at fault.  2: done, but a limit could not be met or a check did not
 * hold.  3: our fault.  130: interrupted.  Results stand on standard output, everything else on standard error.
 * OpenBLAS's own threads are turned off here, in the command alone: the library keeps no process-wide state.
 */
#include <cblas.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "frontend/cli/cli.h"
#include "frontend/cli/ranks.h"
#include "ir/base/nearest.h"

#define GROUP(title)
#define COMMAND(ident) extern const Command cmd_##ident;
#include "frontend/cli/commands.def"
#undef GROUP
#undef COMMAND

typedef struct Entry {
  const char *group; /* a heading: command is NULL */
  const Command *command;
} Entry;

static const Entry entries[] = {
#define GROUP(title)   {title, NULL},
#define COMMAND(ident) {NULL, &cmd_##ident},
#include "frontend/cli/commands.def"
#undef GROUP
#undef COMMAND
};
enum { N_ENTRIES = sizeof entries / sizeof entries[0] };

static const Command *find(const char *name) {
  for (int i = 0; i < N_ENTRIES; i++) {
    if (entries[i].command && strcmp(entries[i].command->name, name) == 0) return entries[i].command;
  }
  return NULL;
}

static const Command *find_or_report(const char *name, Diag *d) {
  const Command *c = find(name);
  if (c) return c;
  const char *names[N_ENTRIES + 1];
  int n = 0;
  for (int i = 0; i < N_ENTRIES; i++) {
    if (entries[i].command) names[n++] = entries[i].command->name;
  }
  names[n] = NULL;
  diag_error(d, NULL, "unknown command \"%s\"", name);
  const char *near = name_nearest(name, names);
  if (near) diag_hint(d, "did you mean mistify %s?", near);
  diag_hint(d, "mistify --help lists all commands");
  return NULL;
}

static void print_help(void) {
  puts(
      "mistify: from a trained neural network to plain C for the device that is to run it.\n"
      "\n"
      "Reads ONNX and TensorFlow Lite models; writes C that needs no library and no memory allocator, fitted "
      "to\n"
      "a target's instruction set, flash and RAM, and proves it by running it (in an emulator where "
      "needed).\n"
      "\n"
      "usage: mistify COMMAND ...       mistify COMMAND --help explains one\n"
      "\n"
      "First steps:\n"
      "  mistify inspect model.onnx                             what is in it, and what it would cost where\n"
      "  mistify compile model.onnx --target cortex-m4 -o out   C for a Cortex-M4, as the model is\n"
      "  mistify verify out                                     build it, run it, compare, measure");
  for (int i = 0; i < N_ENTRIES; i++) {
    if (entries[i].group) {
      printf("\n%s:\n", entries[i].group);
    } else {
      printf("  %-10s %s\n", entries[i].command->name, entries[i].command->summary);
    }
  }
  puts("\nEvery command takes --help, --quiet and, where it prints results, --json.\n"
       "Exit status: 0 done; 1 the input is at fault; 2 done, but a limit or a check is not met; 3 our "
       "fault.");
}

/* What a command takes, and the keys of the file that it reads. */
static void help_of(const Command *c) {
  args_help(c);
  if (strcmp(c->name, "train") == 0) cli_train_keys();
  if (strcmp(c->name, "tailor") == 0) cli_tailor_keys();
  if (strcmp(c->name, "adapt") == 0) cli_adapt_keys();
}

/* Others that mpirun starts are programs of their own. */
static bool is_of_all_ranks(const Command *c) { return strcmp(c->name, "tailor") == 0; }

static int run_command(const Command *c, int argc, char **argv, Diag *d) {
  Arena *a = arena_new();
  int status = EXIT_USER;
  CommonOpts *opts = args_parse(a, c, argc, argv, d);
  if (opts && opts->help) {
    help_of(c);
    status = EXIT_DONE;
  } else if (opts && (!is_of_all_ranks(c) || ranks_join(opts, d))) {
    status = c->run(opts, d);
  }
  arena_free(a);
  return status;
}

static int dispatch(int argc, char **argv, Diag *d) {
  if (argc < 2) {
    print_help();
    return EXIT_USER;
  }
  const char *name = argv[1];
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || (strcmp(name, "help") == 0 && argc == 2)) {
    print_help();
    return EXIT_DONE;
  }
  if (strcmp(name, "--version") == 0) {
    puts("mistify " MISTIFY_VERSION);
    return EXIT_DONE;
  }
  bool help = strcmp(name, "help") == 0;
  const Command *c = find_or_report(help ? argv[2] : name, d);
  if (!c) return EXIT_USER;
  if (!help) return run_command(c, argc, argv, d);
  help_of(c);
  return EXIT_DONE;
}

/* An assertion has said where; the exit status says whose fault it was. */
static void on_abort(int sig) {
  (void)sig;
  _exit(EXIT_OURS);
}

/* A closed pipe is an error of writing, not the end of the program; programs that we start keep the usual meaning. */
static void on_pipe(int sig) { (void)sig; }

static void catch_signals(void) {
  struct sigaction a = {.sa_handler = on_abort};
  sigaction(SIGABRT, &a, NULL);
  a.sa_handler = on_pipe;
  sigaction(SIGPIPE, &a, NULL);
  cli_catch_interrupt();
}

/* Results that could not be written are no results. A reader that had enough (`| head`) needs no message. */
static int close_output(int status) {
  errno = 0;
  bool bad = ferror(stdout) != 0;
  if (fflush(stdout) == 0 && !bad) return status;
  if (errno != EPIPE)
    fprintf(stderr, "error: standard output cannot be written: %s\n",
            errno ? strerror(errno) : "input/output error");
  return status == EXIT_DONE ? EXIT_USER : status;
}

int main(int argc, char **argv) {
  catch_signals();
  openblas_set_num_threads(1);
  Diag *d = diag_new();
  int status = dispatch(argc, argv, d);
  status = close_output(status);
  /* What else went wrong then is a consequence. */
  if (cli_interrupted()) {
    if (!ranks_silent()) fputs("mistify: interrupted\n", stderr);
    status = EXIT_INTERRUPTED;
  } else if (!ranks_silent()) {
    diag_print(d, stderr);
  }
  status = ranks_end(status, d);
  diag_free(d);
  return status;
}
