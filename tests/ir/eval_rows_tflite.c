/* Rows of operators that TensorFlow Lite's integer models bring. */
#include "tests/ir/eval_rows.h"

/* n times the text: elements of a table */
#define X4(s)  s s s s
#define X64(s) X4(X4(X4(s)))

static const EvalCase rows[] = {
    /* codes below 0 become 5, others 6 */
    {"%x = input : i8[3] q(1, 0) %t = const : i8[256] q(0.5, 4) {" X64("5, 5, ") X64("6, ") X4(X4("6, "))
         X4(X4("6, ")) X4(X4("6, ")) X4("6, ") X4("6, ")
             X4("6, ") "6, 6, 6, 6} %y = Lookup(%x, %t) : i8[3] q(0.5, 4) output %y",
     {"-1,0,127"},
     "5,6,6"},
};

const EvalRows eval_rows_tflite = {rows, (int)(sizeof rows / sizeof rows[0])};
