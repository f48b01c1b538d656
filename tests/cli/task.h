/* A small task for tests of commands that need data: images [8,8,1] of four classes, nets of random weights, a design; all in
 * test_tmp_dir(). And lines of shell in which $M is the program and $T that folder. */
#ifndef TESTS_CLI_TASK_H
#define TESTS_CLI_TASK_H

#include <stdint.h>

#include "ir/base/arena.h"
#include "ir/base/json.h"

const char *task_path(Arena *a, const char *name);
/* What a command wrote there. */
const Json *task_json(Arena *a, const char *name);

/* Run a line of shell. Returns the status; *out as test_run_command. */
int task_shell(Arena *a, const char *line, char **out);
void task_must(Arena *a, const char *line);
/* A run that is to end with status 1 and these words. */
void task_want_error(Arena *a, const char *line, const char *words);

void task_write_text(Arena *a, const char *name, const char *text);
/* NAME_x.npy and NAME_y.npy: n images whose class is which quarter is bright; `last`: labels above are this one. */
void task_write_split(Arena *a, const char *name, int64_t n, uint64_t seed, int32_t last);
void task_write_bytes(const char *name, const void *bytes, size_t n);
/* NAME_x.npy and NAME_y.npy: n grey pictures [side,side,1] of three classes, which of the first columns is bright. */
void task_write_columns(const char *name, int n, int side);
/* A net of random weights, one per seed; head "classes": 4 outputs, else 64 (an autoencoder's). */
void task_write_net(Arena *a, const char *name, uint64_t seed, const char *head);
/* A design of net.ir and the three splits; `rest` stands before and ends within `data:`. */
void task_write_design(Arena *a, const char *name, const char *rest);
/* net.ir, and splits of 300, 100 and 50 images. */
void task_open(Arena *a);
/* The same, and design.yaml, which leaves nothing but int8 to do. */
void task_open_int8(Arena *a);
/* deploy.yaml of that design and these targets, a line each: "{name: ..}\n  - {name: ..}". */
void task_write_deploy(Arena *a, const char *targets);

#endif
