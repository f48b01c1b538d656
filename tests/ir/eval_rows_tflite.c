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
    /* filter 0: 1 2 -> 2, 1*3 + 1*4; filter 1: 3 4 -> 4, 2*3 */
    {"%s = input : f32[1,4] %x = input : f32[1,2] %w = const : f32[2,2] {1, 1, 2, 0}"
     "%y = SvdfState(%s, %x, %w) : f32[1,4] output %y",
     {"1,2,3,4", "3,4"},
     "2,7,4,6"},
    /* 1*1 + 2*10 + 3*100 + 4*1000, bias 0.5 */
    {"%s = input : f32[1,4] %w = const : f32[2,2] {1, 10, 100, 1000} %b = const : f32[1] {0.5}"
     "%y = Svdf(%s, %w, %b) {rank=2} : f32[1,1] output %y",
     {"1,2,3,4"},
     "4321.5"},
    /* in scale 0.5 * 1 / 0.25 = 2: (3 - 1) * 2 + (4 - 1) * 1 = 7 -> 14; the rest moves down */
    {"%s = input : i16[1,2] q(0.25, 0) %x = input : i8[1,2] q(0.5, 1) %w = const : i8[1,2] q(1, 0) {2, 1}"
     "%y = SvdfState(%s, %x, %w) : i16[1,2] q(0.25, 0) output %y",
     {"300,400", "3,4"},
     "400,14"},
    /* (300 * 1 + 400 * 2 + 100) * 0.25 * 0.5 / 10 = 15; zero -5 */
    {"%s = input : i16[1,2] q(0.25, 0) %w = const : i16[1,2] q(0.5, 0) {1, 2} %b = const : i32[1] {100}"
     "%y = Svdf(%s, %w, %b) : i8[1,1] q(10, -5) output %y",
     {"300,400"},
     "10"},
    /* all weights 0, biases of 100 saturate: f = 1, i = 0, so c stays; h = 0.5 tanh(c) by o = sigmoid(0) */
    {"%x = input : f32[1,2,1] %h = input : f32[1,1] %c = input : f32[1,1] %w = const : f32[1,1] {0}"
     "%f = const : f32[1] {100} %i = const : f32[1] {-100} %z = const : f32[1] {0}"
     "%y = SequenceLstm(%x, %h, %c, %w, %w, %w, %w, %w, %w, %w, %w, %i, %f, %z, %z) : f32[1,3,1] output %y",
     {"5,6", "7", "0.5493061443"},
     "0.25,0.25,0.5493061443"},
    /* the same in codes: f = 32767 / 32768 keeps 16384 at 16384 (32757 / 32768 of it: 16378.5), i = 0; o = 16384, tanh(0.5) = 15142 ->
     * 0.231 / 2^-7 = 29.57 */
    {"%x = input : i8[1,1,1] q(1, 0) %h = input : i8[1,1] q(0.0078125, 0) %c = input : i16[1,1] "
     "q(3.0517578e-05, 0)"
     "%w = const : i8[1,1] q(0.00024414062, 0) {0} %f = const : i32[1] {32767} %i = const : i32[1] {-32767}"
     "%z = const : i32[1] {0}"
     "%y = SequenceLstm(%x, %h, %c, %w, %w, %w, %w, %w, %w, %w, %w, %i, %f, %z, %z) : i16[1,2,1] q(1, 0) "
     "output %y",
     {"5", "7", "16384"},
     "30,16379"},
};

const EvalRows eval_rows_tflite = {rows, (int)(sizeof rows / sizeof rows[0])};
