/* The harness on the host: building emitted C for a target, running it where the target is, measuring.
 *
 *   process.c  a child process: no shell, output captured, time limit, cancellation
 *   build.c    compile and link: self-test, and the two programs whose difference is the model's size
 *   verify.c   harness_verify: run the vectors, count instructions, read the results
 *   run.c      harness_run: inputs in, outputs out
 *   adapt_orders.c  harness_adapt: emitted C that learns
 *   weigh.c    instructions by class, under a plugin of QEMU's
 *   profile.c  harness_profile: layer by layer; stack.c: stack by the compiler's call graph
 */
#ifndef BACKEND_MEASURE_MEASURE_H
#define BACKEND_MEASURE_MEASURE_H

#include "backend/backend.h"

typedef struct Work {
  const char *dir; /* the emitted folder, absolute */
  const char *tmp; /* our own, removed at the end */
  const Target *target;
  const Host *host; /* may be NULL */
  Arena *arena;
  Diag *diag;
  bool bare;            /* no operating system: run by qemu-system-arm */
  const char **sources; /* of the model, seen from dir: model.json names them */
  int n_sources;
  const char *plugin; /* the source of w->tmp/count.so; NULL: there is none yet */
  unsigned variant;   /* of a family: flags by which one variant is measured (write_vectors); 0 */
} Work;

bool work_begin(Work *w, const char *dir, const Target *t, const Host *host, Diag *d);
void work_end(Work *w);

/* -- process.c -- */
/* Whether the program is in $PATH (or is a path that can be executed). */
bool program_exists(const char *name);
/* Run argv (NULL-terminated) in folder `cwd`; *output is its stdout and stderr together, in w->arena. False and a
 * report when it cannot be started, is cancelled, takes longer than `seconds`, or is ended by a signal. */
bool process_run(Work *w, const char *const *argv, const char *cwd, int seconds, int *status,
                 const char **output);

/* -- build.c -- */
enum { MAX_ARGS = 600, MAX_SOURCES = 500 };
typedef struct Args {
  const char *v[MAX_ARGS + 1];
  int n;
} Args;
void args_add(Args *a, const char *s);
/* Words separated by blanks. */
void args_words(Args *a, Arena *arena, const char *words);

/* Objects of the model and the harness, compiled once. */
bool build_objects(Work *w);
/* The self-test as a program; *path. On a bare machine laid out for `script` ("mps2.ld"). */
bool build_selftest(Work *w, const char *script, const char **path);
/* The same with another main program, the source `from`; objects included. */
bool build_with(Work *w, const char *from, const char *script, const char **path);
/* A plugin of backend/harness for QEMU as w->tmp/count.so, by the host's compiler. False, nothing reported: there is
 * none. */
bool build_plugin(Work *w, const char *source);
/* Bytes that the model adds to a program: flash_code, flash_weights, flash, ram_other (without `arena` bytes). */
bool build_measure(Work *w, int64_t arena, Measured *out);

/* The model compiled for its profile: layers between marks (the program is *path), and by the compiler the call graph with
 * stacks, in w->tmp as FILE.ci. */
bool build_profile(Work *w, const char **path);

/* -- stack.c -- */
/* Bytes of stack of NAME_run (or NAME_push_rows, NAME_step), by the compiler's call graph; -1: it gave none, or functions
 * call themselves. The chain that has it, and functions of other libraries that are not counted. */
bool stack_by_compiler(Work *w, const char *name, int64_t *bytes, const char **deepest, const char **without);

/* -- verify.c -- */
typedef struct Vectors {
  const char *bytes;
  size_t size;
  uint32_t n;
} Vectors;
bool read_vectors(Work *w, Vectors *v);
/* The first n vectors with other flags (selftest_body.c), as w->tmp/vectors.bin. */
bool write_vectors(Work *w, const Vectors *v, uint32_t n, unsigned flags);
/* Run the self-test program on the vectors file w->tmp/vectors.bin; outputs go to w->tmp/outputs.bin. */
bool run_selftest(Work *w, const char *program, const char *machine, bool count, int *status,
                  const char **output);

/* -- weigh.c -- */
/* Weighted cycles of the first vector's inference by the self-test program of a bare machine; *cycles stays as it is
 * where this machine has no compiler for the plugin. */
bool weigh_selftest(Work *w, const Vectors *v, const char *program, int64_t *cycles);
/* The same program's output under the plugin; NULL where there is no compiler for it. */
bool weigh_output(Work *w, const Vectors *v, const char *program, unsigned flags, const char **output);

#endif
