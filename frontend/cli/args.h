/* Arguments: one table per command says what it takes; parsing, checking and --help are made from it. */
#ifndef FRONTEND_CLI_ARGS_H
#define FRONTEND_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ir/base/arena.h"
#include "ir/base/diag.h"

typedef enum OptKind {
  OPT_FLAG,   /* bool */
  OPT_STRING, /* const char * */
  OPT_INT,    /* int64_t, not negative */
  OPT_FLOAT,  /* double, finite, not negative */
  OPT_LIST,   /* ArgList: may be given many times, each with one or more values up to the next option */
  OPT_PARAM,  /* const char *: a positional argument, in table order; `required` or not */
  OPT_PARAMS  /* ArgList: all positional arguments from here on */
} OptKind;

typedef struct ArgList {
  const char **v;
  size_t n, cap;
} ArgList;

typedef struct Opt {
  const char *name; /* "--target", "-o"; of a positional argument its placeholder: "MODEL" */
  OptKind kind;
  size_t offset; /* of the field in the command's option struct */
  bool required;
  const char *value; /* placeholder of the value: "DIR"; NULL for flags */
  const char *doc;
} Opt;

typedef struct Command {
  const char *name, *summary;
  const char *help;     /* paragraphs below the usage line; "" */
  const char *examples; /* lines; "" */
  const Opt *opts;      /* ended by a row without name */
  size_t size;          /* of the option struct */
  int (*run)(void *opts, Diag *d);
} Command;

/* Every command has these, first in its option struct. */
typedef struct CommonOpts {
  bool help, quiet, json;
  ArgList given; /* names of the options that were said, as their tables have them */
} CommonOpts;
/* Was it said, whatever its value? For options of which 0 is a value, or a mistake, and no default. */
bool args_given(const CommonOpts *o, const char *name);

/* Parse argv[2..] for cmd into a fresh struct in `a` (zeroed, except what the caller's table defaults). NULL: reported,
 * with the nearest option for a typo. Required arguments are not asked for when --help is given. */
void *args_parse(Arena *a, const Command *cmd, int argc, char **argv, Diag *d);

/* Usage, description, options, examples to stdout. */
void args_help(const Command *cmd);

#endif
