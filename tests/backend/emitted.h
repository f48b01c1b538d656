/* What the back end's tests share: graphs from text, folders of emitted C, compiling and running them. */
#ifndef TESTS_BACKEND_EMITTED_H
#define TESTS_BACKEND_EMITTED_H

#include "backend/backend.h"

/* The graph of a text in our text form ("graph" at its head may be left out); fails the test where it has errors. */
Graph *graph_of(const char *text);
/* The same with other constants where the text has marks for them ("@i8:40"). */
Graph *graph_of_seed(const char *text, uint64_t seed);

/* Emit into test_tmp_dir()/NAME and return that path (static buffer, valid until the next call). */
const char *emit_to_tmp(const Graph *g, const char *target, const char *name);

/* The warnings that emitted C must not have, as errors. */
#define STRICT "-std=c99 -Wall -Wextra -Wpedantic -Werror -ffreestanding"

/* Run the command (printf form); fails the test with its output when its status is not 0. */
void must_run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Whether `tool` is in $PATH; otherwise records a skip. */
bool have_tool(const char *file, const char *tool);

/* Whether a target's compiler and emulator are here; otherwise records a skip. */
bool have_target(const char *file, const char *target);

/* A Conv, pool, residual Add and Softmax net with int8 values throughout: i8[1,8,8,4] to i8[1,5], twice. */
extern const char small_int8_net[];
/* A float one: f32[N,8,8,3] to f32[N,6], with depthwise convolution, Concat, and a symbolic batch. */
extern const char small_float_net[];

#endif
