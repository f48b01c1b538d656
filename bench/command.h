/* Commands that benchmarks run and time, and files that they fill in from templates (command.c). */
#ifndef BENCH_COMMAND_H
#define BENCH_COMMAND_H

#include "ir/base/arena.h"
#include "ir/base/diag.h"

double wall_now(void);

/* argv, which ends with NULL, as a process that leads a group of its own; what it prints goes to the end of `log`. -1: not
 * started, errno says why. */
int command_start(const char *const *argv, const char *log);
/* Wait for it: its exit status; 128 and more: killed. */
int command_wait(int process);

/* `text` with `value` for every `name`; of the arena. */
char *text_filled(Arena *a, const char *text, const char *name, const char *value);

/* Processor seconds so far: of ended children; of everything on this machine. */
double spent_by_children(void);
double spent_by_all(void);

/* A hash of the command's sources and of the files, ended with NULL, and a line's end; NULL: a file cannot be read. */
const char *sources_print(Arena *a, const char *const *files, const char *more, Diag *d);

#endif
