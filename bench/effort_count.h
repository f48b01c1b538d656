/* What a person wrote, in tokens and decisions: the counter of bench/effort.c. bench/effort/README.md defines both. */
#ifndef BENCH_EFFORT_COUNT_H
#define BENCH_EFFORT_COUNT_H

#include "ir/base/arena.h"

typedef enum Language { LANG_C, LANG_PYTHON, LANG_YAML, LANG_SHELL } Language;

/* By the file's extension: .py, .yaml, .sh; else C, whose tokens are a linker script's too. */
Language effort_language(const char *path);

typedef struct Tokens {
  const char **text; /* each a string of its own */
  int n, cap;
  int decisions;
} Tokens;

/* The tokens of a file's text, all in `a`. What is not of the language is taken character by character: nothing fails. */
Tokens effort_tokens(Arena *a, Language l, const char *text);

/* Tokens of `b` that are not in a longest common subsequence with `a`: what is typed anew where a copy of `a` becomes `b`. */
int effort_difference(const Tokens *a, const Tokens *b);

/* Decisions that a text in Python or C marks on lines which `before` has not. */
int effort_new_decisions(const char *before, const char *text);

#endif
