/* Rows of int16 activations with int8 weights, TensorFlow Lite's 16x8 quantization: values by hand. */
#include "tests/ir/eval_rows.h"

#define UNIT "q(3.0517578e-05, 0)" /* 2^-15 */

static const EvalCase rows[] = {
    /* factor 1 * 0.5 / 4 = 2^-3, mult 2^14, shift -2: sums 1000 + 3 * 2 * 300 = 2800 -> 350; 1804 -> 225.5 -> 226 (halves
     * up); -1804 -> -225.5 -> -225 */
    {"%x = input : i16[1,1,3,1] q(1, 0) %w = const : i8[1,1,1,1] q(0.5, 0) {2} %b = const : i64[1] {1000}"
     "%y = Conv(%x, %w, %b) : i16[1,1,3,1] q(4, 0) output %y",
     {"900,402,-1402"},
     "350,226,-225"},
    /* the same without a bias: sums in 32 bits, halves away from zero: -1804 -> -226 */
    {"%x = input : i16[1,1,3,1] q(1, 0) %w = const : i8[1,1,1,1] q(0.5, 0) {2}"
     "%y = Conv(%x, %w) : i16[1,1,3,1] q(4, 0) output %y",
     {"1400,902,-902"},
     "350,226,-226"},
    /* factor 1/3, as 21845 / 2^16: 32767 * 21845 / 65536 = 10922.2; 8000000 - 127 * 62767 = 28591 -> 9530.2 */
    {"%x = input : i16[1,2] q(1, 0) %w = const : i8[2,2] q(1, 0) {1, 0, -127, -127} %b = const : i64[2] {0, "
     "8000000}"
     "%y = FullyConnected(%x, %w, %b) : i16[1,2] q(3, 0) output %y",
     {"32767,30000"},
     "10922,9530"},
    /* per channel: 0.5 / 1 and 2 / 1; relu6 at codes 0 .. 6 */
    {"%x = input : i16[1,1,1,2] q(1, 0) %w = const : i8[1,1,1,2] q(axis=3, 0.5 0, 2 0) {3, 1} %b = const : "
     "i64[2] {1, 1}"
     "%y = DepthwiseConv(%x, %w, %b) {act=relu6} : i16[1,1,1,2] q(1, 0) output %y",
     {"3,30"},
     "5,6"},
    /* 3 * 200 + 4 * 300 = 1800 over 2^3 = 225, 5 * 200 - 300 = 700 -> 87.5 -> 88 */
    {"%x = input : i16[2,2] q(0.5, 0) %w = input : i16[2,1] q(0.25, 0) %y = MatMul(%x, %w) : i16[2,1] q(1, "
     "0) output %y",
     {"3,4,5,-1", "200,300"},
     "225,88"},
    {"%x = input : i16[1,2,2,1] q(1, 0) %y = MaxPool(%x) {kernel=[2,2]} : i16[1,1,1,1] q(1, 0) output %y",
     {"-300,-200,-32768,-201"},
     "-200"},
    {"%x = input : i16[1,2,2,1] q(1, 0) %y = AveragePool(%x) {kernel=[2,2]} : i16[1,1,1,1] q(1, 0) output %y",
     {"-300,-200,-200,-202"},
     "-226"},
    /* -902 / 4 * 2 = -451 */
    {"%x = input : i16[1,2,2,1] q(1, 0) %y = ReduceMean(%x) {axes=[1,2]} : i16[1,1,1,1] q(0.5, 0) output %y",
     {"-300,-200,-200,-202"},
     "-451"},
    /* 1000 * 0.5 + 300 * 0.25 = 575 in steps of 0.5; saturation */
    {"%x = input : i16[2] q(0.5, 0) %z = input : i16[2] q(0.25, 0) %y = Add(%x, %z) : i16[2] q(0.5, 0) "
     "output %y",
     {"1000,32767", "300,32767"},
     "1150,32767"},
    {"%x = input : i16[2] q(0.5, 0) %z = input : i16[2] q(0.25, 0) %y = Sub(%x, %z) : i16[2] q(0.5, 0) "
     "output %y",
     {"1000,-32768", "300,32767"},
     "850,-32768"},
    /* 30000 * 2000 * 2^-15 = 1831.05; relu */
    {"%x = input : i16[2] " UNIT
     " %z = input : i16[2] q(1, 0) %y = Mul(%x, %z) {act=relu} : i16[2] q(1, 0) output %y",
     {"30000,-30000", "2000,2000"},
     "1831,0"},
    {"%x = input : i16[2] q(1, 0) %z = input : i16[2] q(1, 0) %y = Max(%x, %z) : i16[2] q(1, 0) output %y",
     {"300,-5", "-400,7"},
     "300,7"},
    {"%x = input : i16[2] q(1, 0) %z = input : i16[2] q(1, 0) %y = Min(%x, %z) : i16[2] q(1, 0) output %y",
     {"300,-5", "-400,7"},
     "-400,-5"},
    {"%x = input : i16[3] q(0.01, 0) %y = Clip(%x) {lo=0, hi=6} : i16[3] q(0.01, 0) output %y",
     {"-5,300,700"},
     "0,300,600"},
    /* twice as fine an output */
    {"%x = input : i16[3] q(1, 0) %y = Relu(%x) : i16[3] q(0.5, 0) output %y",
     {"-5,300,32767"},
     "0,600,32767"},
    {"%x = input : i16[2] q(1, 0) %y = LeakyRelu(%x) {alpha=0.25} : i16[2] q(1, 0) output %y",
     {"-402,300"},
     "-101,300"},
    /* scale 2^-12: 0; 1: entry 24 of the table, 47911 / 2 = 23955.5; beyond its end */
    {"%x = input : i16[3] q(0.00024414062, 0) %y = Sigmoid(%x) : i16[3] " UNIT " output %y",
     {"0,4096,32767"},
     "16384,23956,32757"},
    {"%x = input : i16[3] q(0.00024414062, 0) %y = Tanh(%x) : i16[3] " UNIT " output %y",
     {"0,4096,-32768"},
     "0,24956,-32767"},
    /* two equal ones: a half each; 21 below counts as 10 below: exp(-10) 2^15 = 1.49 -> 1, of which a half rounds to 1 */
    {"%x = input : i16[1,3] q(0.001, 0) %y = Softmax(%x) : i16[1,3] " UNIT " output %y",
     {"1000,1000,-20000"},
     "16384,16384,1"},
    {"%x = input : f32[4] %y = Quantize(%x) {to=i16} : i16[4] q(0.5, 0) output %y",
     {"0.25,-0.25,1e9,-3.2"},
     "1,-1,32767,-6"},
    {"%x = input : i16[2] q(0.5, 0) %y = Dequantize(%x) : f32[2] output %y", {"300,-3"}, "150,-1.5"},
    {"%x = input : i8[2] q(0.5, -3) %y = Quantize(%x) {to=i16} : i16[2] q(0.25, 0) output %y",
     {"127,-128"},
     "260,-250"},
    {"%x = input : i16[3] q(0.25, 0) %y = Quantize(%x) {to=i8} : i8[3] q(0.5, -3) output %y",
     {"260,-251,5"},
     "127,-128,0"},
    /* the first of two roundings takes halves up */
    {"%x = input : i16[2] q(0.25, 0) %y = Quantize(%x) {to=i16} : i16[2] q(0.5, 0) output %y",
     {"5,-5"},
     "3,-2"},
    {"%x = input : i16[2] q(0.5, 0) %y = Quantize(%x) {to=i32} : i32[2] q(0.25, 0) output %y",
     {"32767,-5"},
     "65534,-10"},
    {"%x = input : i8[2] q(0.5, 1) %y = Quantize(%x) {to=i32} : i32[2] q(0.25, 0) output %y",
     {"127,-128"},
     "252,-258"},
    {"%x = input : i32[2] q(0.25, 0) %y = Quantize(%x) {to=i16} : i16[2] q(0.5, 0) output %y",
     {"70000,-10"},
     "32767,-5"},
    {"%x = input : i32[2] q(0.25, 0) %y = Quantize(%x) {to=i8} : i8[2] q(0.5, 1) output %y",
     {"70000,-10"},
     "127,-4"},
    {"%x = input : i16[2] q(0.5, 0) %y = Pad(%x) {pads=[1,0], value=4} : i16[3] q(0.5, 0) output %y",
     {"5,-6"},
     "8,5,-6"},
    {"%x = input : i16[2,2] q(0.5, 0) %y = Transpose(%x) {perm=[1,0]} : i16[2,2] q(0.5, 0) output %y",
     {"1,2,3,4"},
     "1,3,2,4"},
    /* weights 0: f = sigmoid(8 - 2^-12) = 32757 keeps 16384 at 16379, i is its complement, c's next 16379; o = 1/2,
     * tanh(0.5) = 15142: 7571 / 2^15 in steps of 2^-10 = 236.6 */
    {"%x = input : i16[1,1,1] q(1, 0) %h = input : i16[1,1] q(0.0009765625, 0) %c = input : i16[1,1] " UNIT
     "%w = const : i8[1,1] q(0.00024414062, 0) {0} %f = const : i64[1] {32767} %i = const : i64[1] {-32767}"
     "%z = const : i64[1] {0}"
     "%y = SequenceLstm(%x, %h, %c, %w, %w, %w, %w, %w, %w, %w, %w, %i, %f, %z, %z) : i16[1,2,1] q(1, 0) "
     "output %y",
     {"5", "7", "16384"},
     "237,16379"},
};

const EvalRows eval_rows_s16 = {rows, (int)(sizeof rows / sizeof rows[0])};
