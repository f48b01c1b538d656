/* What the commands share. A command is one file, cmd_NAME.c, with a Command (args.h) and a row in commands.def.
 *
 * Results go to standard output, notes and progress to standard error, errors to the Diag that main prints.
 */
#ifndef FRONTEND_CLI_CLI_H
#define FRONTEND_CLI_CLI_H

#include "backend/backend.h"
#include "frontend/cli/args.h"
#include "frontend/cli/progress.h"
#include "ir/base/json.h"
#include "ir/graph.h"
#include "ir/tensor.h"

/* Exit statuses. A command that returns EXIT_USER has reported why. */
enum { EXIT_DONE = 0, EXIT_USER = 1, EXIT_LIMITS = 2, EXIT_OURS = 3, EXIT_INTERRUPTED = 130 };

#define MISTIFY_VERSION "0.1.0"

/* The passes that every model goes through before C is made of it. */
#define PREPARE_PASSES "fold,layout,fold,dce,bnfuse,fuse,fold"

/* -- load.c -- */
/* A model of any kind that we read: ONNX, TFLite, text (.ir), our binary file; told apart by content, then by
 * extension; verified. NULL: reported. */
Graph *cli_load(const char *path, Diag *d);
/* The same as options say. rounding: "onnx", or "tflite" (NULL), of what an ONNX model's int8 operators keep; custom: the
 * list of custom operators, NULL: none. */
typedef struct LoadOpts {
  const char *rounding, *custom;
} LoadOpts;
Graph *cli_load_with(const char *path, const LoadOpts *o, Diag *d);
#define ROUNDING_OPT(type)                                                                          \
  {                                                                                                 \
    "--rounding", OPT_STRING, offsetof(type, rounding), false, "R",                                 \
        "of int8 operators read from ONNX: tflite (default), or onnx: float scales, halves to even" \
  }

#define CUSTOM_OPT(type)                                                                            \
  {                                                                                                 \
    "--custom", OPT_STRING, offsetof(type, custom), false, "FILE",                                  \
        "list of custom operators: C functions for operators that are none of mistify's own (YAML)" \
  }

/* What can be read of a model that cannot be imported (ONNX): a graph of the layers up to those that are unsupported.
 * NULL where there is none. */
Graph *cli_load_part(const char *path, const LoadOpts *o, Diag *d);
/* The graph as it is deployed: PREPARE_PASSES. NULL: reported. */
Graph *cli_prepare(const Graph *g, Diag *d);
/* The same graph with a symbolic batch bound to 1 (a copy where it is not symbolic). NULL: reported. */
Graph *cli_batch_1(const Graph *g, Diag *d);
/* "mlperf_ic" from "models/mlperf-ic.onnx": a C identifier. */
const char *cli_model_name(Arena *a, const char *path);
/* Write a graph in the form that the extension names: .onnx, .ir (text), .mistify (binary). Atomic. */
bool cli_save(const Graph *g, const char *path, Diag *d);
/* Remove float and int8 variants n .. of a family from its folder: an earlier result had more. */
bool cli_drop_variants(const char *dir, int n, Diag *d);
/* Whether cli_save could do so, asked before any work is done. */
bool cli_check_save(const char *path, Diag *d);

/* -- common.c -- */
/* A target, and the board if one was named. Both names NULL: target is NULL. */
typedef struct Machine {
  const Target *target;
  bool has_board;
  Board board;
} Machine;
bool cli_machine(Arena *a, const char *target, const char *board, Machine *out, Diag *d);
const Target *cli_target(const char *name, Diag *d); /* NULL: reported, with the nearest name */

/* Progress on standard error (none with --quiet); threads 0: as many as there are processors. Ctrl-C asks running
 * work to stop (Host.cancelled); a second one ends the program at once. */
void cli_progress(Progress *p, const CommonOpts *o, int64_t threads);
void cli_catch_interrupt(void);
bool cli_interrupted(void);

/* A line on standard error, unless --quiet. */
void cli_note(const CommonOpts *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "1,234,567", or "-" for negative ones; in `a`. */
const char *cli_count(Arena *a, int64_t v);
/* "[N,3,32,32]" in `a`. */
const char *cli_shape(Arena *a, const Shape *s);

/* Start a JSON text; cli_json_end prints it to standard output. */
void cli_json_begin(JsonWriter *w, StrBuf *b);
void cli_json_end(JsonWriter *w, StrBuf *b);
void json_shape(JsonWriter *w, const char *key, const Shape *s); /* symbolic batch: "N" */

/* -- board_log.c -- */
/* Cycles measured on a board (lines "FOLDER CYCLES" of the file `log`) against estimates; prints both, and writes the
 * board's YAML with its cycle_scale to `out` (NULL: nowhere). */
bool cli_board_log(const char *board, const char *log, const char *out, bool json, Diag *d);

/* -- cmd_train.c -- */
/* Print the keys of design.yaml that training reads. */
void cli_train_keys(void);

/* -- cmd_adapt.c -- */
/* Print the keys of site.yaml. */
void cli_adapt_keys(void);

/* -- cmd_tailor.c -- */
/* Print the keys of deploy.yaml and design.yaml. */
void cli_tailor_keys(void);

/* -- tables: columns as wide as their longest cell -- */
enum { TABLE_MAX_COLUMNS = 16 };
typedef struct Table {
  Arena *arena;
  const char *titles[TABLE_MAX_COLUMNS];
  bool right[TABLE_MAX_COLUMNS];
  int n_columns;
  const char **cells; /* row after row */
  size_t n, cap;
} Table;
/* columns: titles with a comma in between, "<" or ">" before each for its alignment: "<name,>MACs". */
void table_begin(Table *t, Arena *a, const char *columns);
void table_cell(Table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void table_count(Table *t, int64_t v); /* cli_count; "" for zero */
void table_print(const Table *t);

/* -- inputs.c -- */
/* Read the files of a model's inputs, in order; where the model's input is quantized and the file is float32, the
 * values are quantized (and a note says so). Count, types and shapes are checked. in: n_inputs tensors, the caller's
 * to free. false: reported, none left. */
bool cli_read_inputs(const Graph *g, const char *model, const ArgList *files, const CommonOpts *o, Tensor *in,
                     Diag *d);
/* The same for a model with state: every file may hold a sequence, one more dimension in front; *steps is its length
 * (0: no file has that dimension, which is one step). */
bool cli_read_steps(const Graph *g, const char *model, const ArgList *files, const CommonOpts *o, Tensor *in,
                    int64_t *steps, Diag *d);
void cli_free_tensors(Tensor *t, size_t n);
/* Real values to the integers of quantization q (one scale), by the Quantize operator itself. */
bool cli_quantize(const Tensor *x, DType to, const Quant *q, Tensor *out, Diag *d);
/* Element i as a real number: dequantized by q where q->n > 0. q may have a scale per slice. */
double cli_real(const void *data, DType t, const Shape *s, const Quant *q, int64_t i);

#endif
