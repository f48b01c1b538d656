/* Operators by hand: rows that test_eval.c evaluates; one list a file, eval_rows_NAME.c. */
#ifndef TESTS_IR_EVAL_ROWS_H
#define TESTS_IR_EVAL_ROWS_H

typedef struct EvalCase {
  const char *graph; /* text form without the word graph */
  const char *in[3]; /* elements of each input; NULL: none. Floats that are only stored: their bits */
  const char *want;  /* elements of the output */
} EvalCase;

typedef struct EvalRows {
  const EvalCase *v;
  int n;
} EvalRows;

extern const EvalRows eval_rows_cast;
extern const EvalRows eval_rows_tflite;
extern const EvalRows eval_rows_math;
extern const EvalRows eval_rows_int8;
extern const EvalRows eval_rows_s16;

#endif
