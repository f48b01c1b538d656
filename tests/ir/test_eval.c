/* Evaluation: each operator against small values computed by hand (each row says how), and properties of all of them:
 * a batch computes what its items compute alone; every core operator of ops.def has a row.
 *
 * int8 rows: real values are scale * (code - zero); roundings that matter are spelled out beside the row.
 */
#include "ir/eval.h"
#include "tests/ir/eval_rows.h"
#include "tests/ir/custom_sample.h"
#include "tests/ir/samples.h"
#include "tests/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/base/strbuf.h"

static const EvalCase cases[] = {
    /* windows 1 2 4 5 -> 1 + 4 + 12 + 20 = 37, then 47, 67, 77; bias 0.5 */
    {"%x = input : f32[1,3,3,1] %w = const : f32[1,2,2,1] {1,2,3,4} %b = const : f32[1] {0.5}"
     "%y = Conv(%x, %w, %b) : f32[1,2,2,1] output %y",
     {"1,2,3,4,5,6,7,8,9"},
     "37.5,47.5,67.5,77.5"},
    /* the same with relu6, padding and stride 2: corners see 1*4, 3*3, 7*2, 9*1 */
    {"%x = input : f32[1,3,3,1] %w = const : f32[1,2,2,1] {1,2,3,4}"
     "%y = Conv(%x, %w) {pads=[1,1,1,1], strides=[2,2], act=relu6} : f32[1,2,2,1] output %y",
     {"1,2,0.5,4,5,6,0.25,8,0.125"},
     "4,6,6,6"},
    /* two groups of two channels, 1x1: 1*1 + 2*2, 3*3 + 4*4 */
    {"%x = input : f32[1,1,1,4] %w = const : f32[2,1,1,2] {1,2,3,4}"
     "%y = Conv(%x, %w) {group=2} : f32[1,1,1,2] output %y",
     {"1,2,3,4"},
     "5,25"},
    /* x - 1 = 0 .. 8; sums 27 37 57 67; times 0.5 * 1 / 1, halves up in the first rounding: 14 19 29 34; zero -3 */
    {"%x = input : i8[1,3,3,1] q(0.5, 1) %w = const : i8[1,2,2,1] q(1, 0) {1,2,3,4}"
     "%y = Conv(%x, %w) : i8[1,2,2,1] q(1, -3) output %y",
     {"1,2,3,4,5,6,7,8,9"},
     "11,16,26,31"},
    /* a scale per channel: 10 * 0.5 and 10 * 0.25 + 4 * 0.25, -2.5 + 1 = -1.5 -> -2: -6 halved is -3,
     * then the right shift rounds away from zero */
    {"%x = input : i8[1,1,1,1] q(1, 0) %w = const : i8[2,1,1,1] q(axis=0, 0.5 0, 0.25 0) {1,-1}"
     "%b = const : i32[2] {0,4} %y = Conv(%x, %w, %b) : i8[1,1,1,2] q(1, 0) output %y",
     {"10"},
     "5,-2"},
    /* channel 0: 1+2+3+4 times 1 and 2, channel 1: 5+6+7+8 times 1 and -1 */
    {"%x = input : f32[1,2,2,2] %w = const : f32[1,2,2,4] {1,2,1,-1,1,2,1,-1,1,2,1,-1,1,2,1,-1}"
     "%y = DepthwiseConv(%x, %w) : f32[1,1,1,4] output %y",
     {"1,5,2,6,3,7,4,8"},
     "10,20,26,-26"},
    /* the same in codes, out scale 2: 10 / 2, -26 / 2; act relu makes that the zero point 7 */
    {"%x = input : i8[1,2,2,2] q(1, 0) %w = const : i8[1,2,2,2] q(axis=3, 1 0, 1 0) {1,-1,1,-1,1,-1,1,-1}"
     "%y = DepthwiseConv(%x, %w) {act=relu} : i8[1,1,1,2] q(2, 7) output %y",
     {"1,5,2,6,3,7,4,8"},
     "12,7"},
    {"%x = input : f32[N,3] %w = const : f32[2,3] {1,2,3,-1,0,1} %b = const : f32[2] {10,20}"
     "%y = FullyConnected(%x, %w, %b) : f32[N,2] output %y",
     {"1,2,3,4,5,6"},
     "24,22,42,22"},
    /* weights with zero point 1: (0, 1, 2); x - 2 = -1 0 1: sum 2, bias 3, times 0.5 = 2.5 -> 3 */
    {"%x = input : i8[1,3] q(0.5, 2) %w = const : i8[1,3] q(1, 1) {1,2,3} %b = const : i32[1] {3}"
     "%y = FullyConnected(%x, %w, %b) : i8[1,1] q(1, 0) output %y",
     {"1,2,3"},
     "3"},
    /* [2,1,1,2] x [3,2,1]: outer axes broadcast both ways */
    {"%x = input : f32[2,1,1,2] %y = input : f32[3,2,1] %z = MatMul(%x, %y) : f32[2,3,1,1] output %z",
     {"1,2,3,4", "1,0,0,1,1,1"},
     "1,2,3,3,4,7"},
    {"%x = input : f32[2,2] %y = input : f32[2,2] %z = MatMul(%x, %y) : f32[2,2] output %z",
     {"1,2,3,4", "0,1,1,0"},
     "2,1,4,3"},
    /* padding never wins */
    {"%x = input : f32[1,2,2,1] %y = MaxPool(%x) {kernel=[2,2], pads=[1,1,0,0]} : f32[1,2,2,1] output %y",
     {"-4,-3,-2,-1"},
     "-4,-3,-2,-1"},
    {"%x = input : i8[1,2,2,1] q(1, 10) %y = MaxPool(%x) {kernel=[2,2], act=relu} : i8[1,1,1,1] q(1, 10) "
     "output %y",
     {"-4,-3,-2,-1"},
     "10"},
    {"%x = input : f32[1,2,2,1] %y = AveragePool(%x) {kernel=[2,2], pads=[1,1,0,0]} : f32[1,2,2,1] output %y",
     {"1,2,3,4"},
     "1,1.5,2,2.5"},
    {"%x = input : f32[1,2,2,1]"
     "%y = AveragePool(%x) {kernel=[2,2], pads=[1,1,0,0], count_include_pad=1} : f32[1,2,2,1] output %y",
     {"1,2,3,4"},
     "0.25,0.75,1,2.5"},
    /* 2.5 and -2.5, halves away from zero */
    {"%x = input : i8[1,2,1,2] q(1, 0) %y = AveragePool(%x) {kernel=[2,1]} : i8[1,1,1,2] q(1, 0) output %y",
     {"2,-2,3,-3"},
     "3,-3"},
    {"%x = input : f32[N,2,2,2] %y = ReduceMean(%x) {axes=[1,2], keepdims=0} : f32[N,2] output %y",
     {"1,2,3,4,5,6,7,8"},
     "4,5"},
    {"%x = input : f32[2,2,2] %y = ReduceMean(%x) {axes=[0,2]} : f32[1,2,1] output %y",
     {"1,2,3,4,5,6,7,8"},
     "3.5,5.5"},
    /* codes 1 .. 4 less zero 1: 0 .. 3, mean 1.5 times 0.5 / 0.25: 3 */
    {"%x = input : i8[1,4] q(0.5, 1) %y = ReduceMean(%x) {axes=[1]} : i8[1,1] q(0.25, -2) output %y",
     {"1,2,3,4"},
     "1"},
    /* (x - 1) / sqrt(3 + 1) * 4 + 5; second channel (x - 0) / sqrt(0 + 1) */
    {"%x = input : f32[1,1,2,2] %s = const : f32[2] {4,1} %b = const : f32[2] {5,0} %m = const : f32[2] {1,0}"
     "%v = const : f32[2] {3,0} %y = BatchNormalization(%x, %s, %b, %m, %v) {epsilon=1} : f32[1,1,2,2] "
     "output %y",
     {"1,2,3,4"},
     "5,2,9,4"},
    {"%x = input : f32[1,2,2] %s = const : f32[2] {4,1} %b = const : f32[2] {5,0} %m = const : f32[2] {1,0}"
     "%v = const : f32[2] {3,0}"
     "%y = BatchNormalization(%x, %s, %b, %m, %v) {epsilon=1, axis=1} : f32[1,2,2] output %y",
     {"1,2,3,4"},
     "5,7,3,4"},
    {"%x = input : f32[2,1,2] %y = input : f32[3,1] %z = Add(%x, %y) {act=relu} : f32[2,3,2] output %z",
     {"1,2,3,4", "10,20,-30"},
     "11,12,21,22,0,0,13,14,23,24,0,0"},
    /* 0.5 * (10 - 2) + 0.25 * (4 - 0) = 5 = 1 * (y - 1); 0.5 * -2 + 0.25 * 8 = 1 */
    {"%x = input : i8[1,2] q(0.5, 2) %y = input : i8[1,2] q(0.25, 0) %z = Add(%x, %y) : i8[1,2] q(1, 1) "
     "output %z",
     {"10,0", "4,8"},
     "6,2"},
    {"%x = input : f32[2,2] %y = const : f32[2] {1,2} %z = Sub(%x, %y) : f32[2,2] output %z",
     {"1,2,3,4"},
     "0,0,2,2"},
    {"%x = input : i8[1,2] q(0.5, 2) %y = input : i8[1,2] q(0.25, 0) %z = Sub(%x, %y) : i8[1,2] q(1, 1) "
     "output %z",
     {"10,0", "4,8"},
     "4,-2"},
    {"%x = input : f32[2,2] %y = const : f32[2,1] {2,-1} %z = Mul(%x, %y) : f32[2,2] output %z",
     {"1,2,3,4"},
     "2,4,-3,-4"},
    /* 0.5 * (10 - 2) * 0.25 * 4 = 4; 127 saturates */
    {"%x = input : i8[2] q(0.5, 2) %y = input : i8[2] q(0.25, 0) %z = Mul(%x, %y) : i8[2] q(1, 1) output %z",
     {"10,127", "4,127"},
     "5,127"},
    {"%x = input : f32[2] %y = const : f32[1] {4} %z = Div(%x, %y) : f32[2] output %z",
     {"1,-2"},
     "0.25,-0.5"},
    {"%x = input : i64[4] %y = const : i64[4] {2,2,-1,0} %z = Div(%x, %y) : i64[4] output %z",
     {"7,-7,5,3"},
     "3,-3,-5,0"},
    {"%x = input : i32[2] %y = const : i32[2] {2147483647,3} %z = Add(%x, %y) : i32[2] output %z",
     {"1,2"},
     "-2147483648,5"},
    {"%x = input : f32[3] %y = const : f32[] {0} %z = Max(%x, %y) : f32[3] output %z", {"-1,0,2"}, "0,0,2"},
    {"%x = input : i8[3] q(1, 0) %y = const : i8[1] q(1, 0) {1} %z = Min(%x, %y) : i8[3] q(1, 0) output %z",
     {"-1,1,2"},
     "-1,1,1"},
    {"%x = input : f32[3] %y = Relu(%x) : f32[3] output %y", {"-1,0,2"}, "0,0,2"},
    {"%x = input : i8[3] q(0.5, -10) %y = Relu(%x) : i8[3] q(0.5, -10) output %y",
     {"-20,-10,5"},
     "-10,-10,5"},
    /* another scale: (5 + 10) * 0.5 = 7.5 = 0.25 * 30 */
    {"%x = input : i8[3] q(0.5, -10) %y = Relu(%x) : i8[3] q(0.25, -100) output %y",
     {"-20,-10,5"},
     "-100,-100,-70"},
    {"%x = input : f32[3] %y = Clip(%x) {lo=-0.5, hi=6} : f32[3] output %y", {"-1,0,7"}, "-0.5,0,6"},
    {"%x = input : i8[3] q(0.1, 0) %y = Clip(%x) {lo=0, hi=6} : i8[3] q(0.1, 0) output %y",
     {"-1,59,127"},
     "0,59,60"},
    {"%x = input : f32[2] %y = LeakyRelu(%x) {alpha=0.5} : f32[2] output %y", {"-3,3"}, "-1.5,3"},
    /* -3 * 0.5 = -1.5 -> -1: halves up in the first rounding */
    {"%x = input : i8[3] q(1, 0) %y = LeakyRelu(%x) {alpha=0.5} : i8[3] q(1, 0) output %y",
     {"-3,3,-128"},
     "-1,3,-64"},
    {"%x = input : f32[3] %y = Sigmoid(%x) : f32[3] output %y", {"0,1,-1"}, "0.5,0.7310586,0.2689414"},
    /* at -8, 0, 1, -1, 7.94: 256 * sigmoid - 128 = -127.9, 0, 59.15, -59.15, 127.9 */
    {"%x = input : i8[5] q(0.0625, 0) %y = Sigmoid(%x) : i8[5] q(0.00390625, -128) output %y",
     {"-128,0,16,-16,127"},
     "-128,0,59,-59,127"},
    /* a scale of our own: sigmoid / 0.01 = 50, 73.1 */
    {"%x = input : i8[2] q(0.0625, 0) %y = Sigmoid(%x) : i8[2] q(0.01, 0) output %y", {"0,16"}, "50,73"},
    {"%x = input : f32[2] %y = Tanh(%x) : f32[2] output %y", {"0,1"}, "0,0.7615942"},
    {"%x = input : i8[5] q(0.0625, 0) %y = Tanh(%x) : i8[5] q(0.0078125, 0) output %y",
     {"-128,0,16,-16,127"},
     "-128,0,97,-97,127"},
    /* 1 : 2 */
    {"%x = input : f32[1,2] %y = Softmax(%x) : f32[1,2] output %y", {"1,1.6931472"}, "0.33333334,0.6666667"},
    {"%x = input : f32[1,2,2] %y = Softmax(%x) {axis=1} : f32[1,2,2] output %y",
     {"0,0,0,0.6931472"},
     "0.5,0.33333334,0.5,0.6666667"},
    /* 256 / 3 - 128 = -42.67, 512 / 3 - 128 = 42.67 */
    {"%x = input : i8[1,2] q(0.6931472, 0) %y = Softmax(%x) : i8[1,2] q(0.00390625, -128) output %y",
     {"0,1"},
     "-43,43"},
    {"%x = input : f32[2,3] %a = Relu(%x) : f32[2,3] %y = Reshape(%a) {shape=[3,2]} : f32[3,2] output %y",
     {"1,2,3,4,5,6"},
     "1,2,3,4,5,6"},
    {"%x = input : f32[2,3] %y = Reshape(%x) {shape=[6]} : f32[6] output %y", {"1,2,3,4,5,6"}, "1,2,3,4,5,6"},
    {"%x = input : f32[2,3] %y = Transpose(%x) {perm=[1,0]} : f32[3,2] output %y",
     {"1,2,3,4,5,6"},
     "1,4,2,5,3,6"},
    {"%x = input : i8[1,2,2,2] q(1, 0) %y = Transpose(%x) {perm=[0,3,1,2]} : i8[1,2,2,2] q(1, 0) output %y",
     {"1,2,3,4,5,6,7,8"},
     "1,3,5,7,2,4,6,8"},
    {"%x = input : f32[2,1] %y = input : f32[2,2] %z = Concat(%x, %y) {axis=1} : f32[2,3] output %z",
     {"1,2", "3,4,5,6"},
     "1,3,4,2,5,6"},
    {"%x = input : i64[1] %y = input : i64[2] %z = Concat(%x, %y) : i64[3] output %z", {"1", "2,3"}, "1,2,3"},
    {"%x = input : f32[1,2] %y = Pad(%x) {pads=[1,0,0,2], value=9} : f32[2,4] output %y",
     {"1,2"},
     "9,9,9,9,1,2,9,9"},
    /* the constant 1 in codes: 1 / 0.5 + 3 */
    {"%x = input : i8[1,1,1,2] q(0.5, 3) %y = Pad(%x) {pads=[0,0,1,0,0,0,0,0], value=1} : i8[1,1,2,2] q(0.5, "
     "3) output %y",
     {"7,8"},
     "5,5,7,8"},
    {"%x = input : f32[2,4] %y = Slice(%x) {starts=[1,3], counts=[1,2], steps=[1,-2]} : f32[1,2] output %y",
     {"1,2,3,4,5,6,7,8"},
     "8,6"},
    /* 1 2 3 spread by steps of 2 with the kernel 1 10: 1 10 2 20 3 30, and one more column of nothing but the bias */
    {"%x = input : f32[1,1,3,1] %w = const : f32[1,1,2,1] {1,10} %b = const : f32[1] {0.5}"
     "%y = ConvTranspose(%x, %w, %b) {strides=[1,2], extra=[0,1]} : f32[1,1,7,1] output %y",
     {"1,2,3"},
     "1.5,10.5,2.5,20.5,3.5,30.5,0.5"},
    /* overlaps add up: kernel 1 2 4 over 1 1 1 cut by one on both sides: 2+1, 4+2+1, 4+2 */
    {"%x = input : f32[1,1,3,1] %w = const : f32[1,1,3,1] {1,2,4}"
     "%y = ConvTranspose(%x, %w) {pads=[0,1,0,1]} : f32[1,1,3,1] output %y",
     {"1,1,1"},
     "3,7,6"},
    /* two groups, 1x1, channels 1 2 | 3 4 to 1 + 2*2 and 3*3 + 4*4 */
    {"%x = input : f32[1,1,1,4] %w = const : f32[2,1,1,2] {1,2,3,4}"
     "%y = ConvTranspose(%x, %w) {group=2} : f32[1,1,1,2] output %y",
     {"1,2,3,4"},
     "5,25"},
    {"%x = input : f64[1,2] %w = const : f64[2,1] {0.5,4} %y = MatMul(%x, %w) : f64[1,1] output %y",
     {"1,3"},
     "12.5"},
    {"%x = input : i64[2,2] %w = const : i64[2,2] {1,2,3,4} %y = MatMul(%x, %w) : i64[2,2] output %y",
     {"1,1,-1,2"},
     "4,6,5,6"},
    /* taps 0 and 2 */
    {"%x = input : f32[1,1,4,1] %y = MaxPool(%x) {kernel=[1,2], dilations=[1,2]} : f32[1,1,2,1] output %y",
     {"3,9,2,1"},
     "3,9"},
    /* the first of equals; rows count 10 */
    {"%x = input : f32[1,2,3,1] %y = MaxPoolIndex(%x) {kernel=[2,2], steps=[10,1]} : i64[1,1,2,1] output %y",
     {"1,5,2,5,0,7"},
     "1,12"},
    {"%x = input : i8[2,1] q(1, 0) %y = Expand(%x) {shape=[2,2,3]} : i8[2,2,3] q(1, 0) output %y",
     {"4,7"},
     "4,4,4,7,7,7,4,4,4,7,7,7"},
    {"%x = input : f32[2,3] %i = const : i64[2,2] {2,-3,0,1}"
     "%y = GatherElements(%x, %i) {axis=1} : f32[2,2] output %y",
     {"1,2,3,4,5,6"},
     "3,1,4,5"},
    /* indices past the axis take the nearest element */
    {"%x = input : i64[3] %i = input : i32[4] %y = GatherElements(%x, %i) : i64[4] output %y",
     {"1,2,3", "-9,-1,1,9"},
     "1,3,2,3"},
    {"%x = input : f32[2,2,2] %i = const : i64[2,1] {1,-2}"
     "%y = GatherND(%x, %i) {batch_dims=1} : f32[2,2] output %y",
     {"1,2,3,4,5,6,7,8"},
     "3,4,5,6"},
    {"%x = input : f32[4] %i = const : i64[3] {1,-1,1} %u = const : f32[3] {10,20,30}"
     "%y = ScatterElements(%x, %i, %u) {reduce=1} : f32[4] output %y",
     {"1,2,3,4"},
     "1,42,3,24"},
    /* one past the axis is passed over */
    {"%x = input : i64[2,2] %i = input : i32[2,1] %u = const : i64[2,1] {8,9}"
     "%y = ScatterElements(%x, %i, %u) {axis=1} : i64[2,2] output %y",
     {"1,2,3,4", "1,5"},
     "1,8,3,4"},
    {"%x = input : i32[2,2] %i = const : i64[3,1] {1,0,1} %u = const : i32[3,2] {5,-1,0,9,3,2}"
     "%y = ScatterND(%x, %i, %u) {reduce=3} : i32[2,2] output %y",
     {"1,2,3,4"},
     "1,9,5,4"},
    {"%x = input : f32[5] %y = TopK(%x) {k=3} : i64[3] output %y", {"1,4,-2,4,3"}, "1,3,4"},
    {"%x = input : i32[3,2] %y = TopK(%x) {k=2, largest=0} : i64[2,2] output %y", {"5,1,2,1,2,0"}, "1,2,2,0"},
    {"%x = input : f32[2,2] %b = const : f32[2] {0.5, 0.25} "
     "%y = Custom(%x, %b) {function=sample_mix, ints=[3], floats=[2]} : f32[2,2] output %y",
     {"1,2,-3,0"},
     "5.5,7.25,-2.5,3.25"},
    {"%x = input : f32[2,3] %y = Trilu(%x) {k=1} : f32[2,3] output %y", {"1,2,3,4,5,6"}, "0,2,3,0,0,6"},
    {"%x = input : i64[2,3] %y = Trilu(%x) {upper=0} : i64[2,3] output %y", {"1,2,3,4,5,6"}, "1,0,0,4,5,0"},
    {"%x = input : f32[3,1] %i = const : i32[2,2] {0,1,2,2} %w = const : f32[2,2] {0.5,0.25,2,0}"
     "%b = const : f32[2] {1,0} %y = WeightedGather(%x, %i, %w, %b) : f32[2,1] output %y",
     {"2,4,8"},
     "3,16"},
    /* affine activations alpha x: gates i o f c = 1 2 0.5 4 times x; c = 0.5 1 + 1 4 = 4.5, h = 2 4.5 = 9; then
     * h times R = 1 for each gate: i 10 o 11 f 9.5 c 13: c = 9.5 4.5 + 130 = 172.75, h = 11 172.75 */
    {"%x = input : f32[2,1,4] %r = const : f32[4,1] {1,1,1,1} %h = const : f32[1,1] {0} %c = const : "
     "f32[1,1] {1}"
     "%y = Lstm(%x, %r, %h, %c) {hidden=1, acts=[3,3,3], alpha_f=1, alpha_g=1, alpha_h=1} : f32[1,4,1] "
     "output %y",
     {"1,2,0.5,4,1,2,0.5,4"},
     "9,1900.25,1900.25,172.75"},
    /* peepholes 1 2 4 on c = 1: i 1+1, f 0.5+4, c = 4.5 + 2 4 = 12.5, o = 2 + 2 12.5 = 27; length 1 of 2 */
    {"%x = input : f32[2,1,4] %r = const : f32[4,1] {1,1,1,1} %c = const : f32[1,1] {1} %h = const : "
     "f32[1,1] {0}"
     "%p = const : f32[3] {1,2,4} %n = const : i32[1] {1} %y = Lstm(%x, %r, %h, %c, %p, %n) {hidden=1, "
     "acts=[3,3,3],"
     "alpha_f=1, alpha_g=1, alpha_h=1, reverse=1} : f32[1,4,1] output %y",
     {"1,2,0.5,4,9,9,9,9"},
     "337.5,0,337.5,12.5"},
    /* z 0.5 r 2 h 3: h' = 0.5 (3 + 2 4) + 0.5 4 = 7.5 */
    {"%x = input : f32[1,1,3] %r = const : f32[3,1] {0,0,1} %h = const : f32[1,1] {4}"
     "%y = Gru(%x, %r, %h) {hidden=1, acts=[3,3,3], alpha_f=1, alpha_g=1} : f32[1,2,1] output %y",
     {"0.5,2,3"},
     "7.5,7.5"},
    /* linear before reset: 0.5 (3 + 2 (4 + 1)) + 0.5 4 */
    {"%x = input : f32[1,1,3] %r = const : f32[3,1] {0,0,1} %h = const : f32[1,1] {4} %b = const : f32[1] {1}"
     "%y = Gru(%x, %r, %h, %b) {hidden=1, acts=[3,3,3], alpha_f=1, alpha_g=1, linear_before_reset=1}"
     " : f32[1,2,1] output %y",
     {"0.5,2,3"},
     "8.5,8.5"},
    /* relu(1 + 2 3) = 7, relu(-20 + 2 7) = 0; backwards: relu(-20 + 6) = 0, relu(1 + 0) */
    {"%x = input : f32[2,1,1] %r = const : f32[1,1] {2} %h = const : f32[1,1] {3}"
     "%y = Rnn(%x, %r, %h) {hidden=1, acts=[2,1,1]} : f32[1,3,1] output %y",
     {"1,-20"},
     "7,0,0"},
    {"%x = input : f32[2,1,1] %r = const : f32[1,1] {2} %h = const : f32[1,1] {3}"
     "%y = Rnn(%x, %r, %h) {hidden=1, acts=[2,1,1], reverse=1, clip=0.5} : f32[1,3,1] output %y",
     {"1,-20"},
     "0.5,0,0.5"},
    {"%x = input : i64[2,3] %i = const : i64[2] {2,-3} %y = Gather(%x, %i) {axis=1} : i64[2,2] output %y",
     {"1,2,3,4,5,6"},
     "3,1,6,4"},
    {"%x = input : f32[3,2] %i = input : i32[2] %y = Gather(%x, %i) : f32[2,2] output %y",
     {"1,2,3,4,5,6", "2,0"},
     "5,6,1,2"},
    {"%x = input : f32[5] %y = Cast(%x) {to=i8} : i8[5] output %y",
     {"1.9,-1.9,300,-300,0"},
     "1,-1,127,-128,0"},
    {"%x = input : i64[3] %y = Cast(%x) : f32[3] output %y", {"1,-2,16777217"}, "1,-2,16777216"},
    {"%x = input : f32[3] %y = Cast(%x) {to=bool} : bool[3] output %y", {"0,0.1,-3"}, "0,1,1"},
    {"%x = input : i32[2] %y = Cast(%x) {to=u8} : u8[2] output %y", {"257,-1"}, "1,255"},
    {"%x = input : f64[2] %y = Cast(%x) : f32[2] output %y", {"0.5,-2"}, "0.5,-2"},
    /* 0.5 / 0.2 = 2.5 -> 3, -0.5 -> -3; zero 10 */
    {"%x = input : f32[4] %y = Quantize(%x) : i8[4] q(0.2, 10) output %y", {"0.5,-0.5,100,0"}, "13,7,127,10"},
    {"%x = input : f32[2] %y = Quantize(%x) {to=u8} : u8[2] q(0.5, 128) output %y", {"1,-100"}, "130,0"},
    /* equal scales: the zero point moves, nothing rounds */
    {"%x = input : u8[3] q(0.3, 128) %y = Quantize(%x) : i8[3] q(0.3, 0) output %y",
     {"0,128,255"},
     "-128,0,127"},
    {"%x = input : i8[3] q(0.3, 0) %y = Quantize(%x) {to=u8} : u8[3] q(0.3, 128) output %y",
     {"-128,0,127"},
     "0,128,255"},
    /* 0.5 * (7 - 1) = 3 = 0.25 * 12 */
    {"%x = input : i8[1] q(0.5, 1) %y = Quantize(%x) : i8[1] q(0.25, -5) output %y", {"7"}, "7"},
    {"%x = input : i8[2] q(0.5, 1) %y = Dequantize(%x) : f32[2] output %y", {"7,-1"}, "3,-1"},
    {"%x = input : u8[2] q(0.5, 1) %y = Dequantize(%x) : f32[2] output %y", {"7,255"}, "3,127"},
    {"%x = input : i8[2,2] q(axis=1, 0.5 1, 2 0) %y = Dequantize(%x) : f32[2,2] output %y",
     {"3,4,5,6"},
     "1,8,2,12"},
    {"%x = input : i32[2] q(0.25, 0) %y = Dequantize(%x) : f32[2] output %y", {"4,100000"}, "1,25000"},
    /* empty pieces make no call */
    {"%x = input : i64[3] %e = Slice(%x) {starts=[0], counts=[0], steps=[1]} : i64[0]"
     "%y = Concat(%e, %x, %e) : i64[3] output %y",
     {"4,5,6"},
     "4,5,6"},
    {"%x = input : f32[] %y = Mul(%x, %x) : f32[] output %y", {"3"}, "9"},
    /* codes -2 .. 3 on a grid of 0.5 around zero 1: reals -1.5 .. 1 */
    {"%x = input : f32[4] %y = FakeQuant(%x) {scale=0.5, zero=1, lo=-2, hi=3} : f32[4] output %y",
     {"0.3,-9,9,0.2"},
     "0.5,-1.5,1,0"},
};
enum { N_CASES = sizeof cases / sizeof cases[0] };

/* The rows of other files: one line each. */
static const EvalRows *const more[] = {&eval_rows_cast, &eval_rows_math, &eval_rows_s16, &eval_rows_tflite,
                                       &eval_rows_int8};
enum { N_MORE = sizeof more / sizeof more[0] };

static const EvalCase *case_at(int i) {
  if (i < N_CASES) return &cases[i];
  i -= N_CASES;
  for (int k = 0; k < N_MORE; k++) {
    if (i < more[k]->n) return &more[k]->v[i];
    i -= more[k]->n;
  }
  return NULL;
}

static int count_cases(void) {
  int n = N_CASES;
  for (int k = 0; k < N_MORE; k++) n += more[k]->n;
  return n;
}

static Graph *case_graph(const EvalCase *c) {
  Diag *d = diag_new();
  StrBuf text = {0};
  sb_printf(&text, "graph\n%s", c->graph);
  Graph *g = graph_parse(sb_str(&text), "case", d);
  ck_assert_msg(g != NULL && graph_verify(g, d), "%s\n%s", c->graph, diag_text(d));
  if (strstr(c->graph, "Custom(")) custom_attach(g, custom_sample());
  sb_free(&text);
  diag_free(d);
  return g;
}

static void set_element(Tensor *t, int64_t i, double v) {
  switch (t->dtype) {
  case DT_F32: ((float *)t->data)[i] = (float)v; break;
  case DT_F64: ((double *)t->data)[i] = v; break;
  case DT_U64: ((uint64_t *)t->data)[i] = (uint64_t)v; break;
  default: dtype_set(t->dtype, t->data, i, (int64_t)v); break; /* stored floats: their bits */
  }
}

static double element(const Tensor *t, int64_t i) {
  switch (t->dtype) {
  case DT_F32: return (double)((const float *)t->data)[i];
  case DT_F64: return ((const double *)t->data)[i];
  case DT_U64: return (double)((const uint64_t *)t->data)[i];
  default: return (double)dtype_get(t->dtype, t->data, i);
  }
}

enum { MOST = 256 }; /* elements of a row's tensor */

static int read_numbers(const char *text, double *v, int most) {
  int n = 0;
  for (char *end; *text; text = *end ? end + 1 : end) {
    ck_assert_int_lt(n, most);
    v[n++] = strtod(text, &end);
    ck_assert_ptr_ne(end, text);
  }
  return n;
}

/* The input's elements; a symbolic batch takes as many items as there are elements for. */
static Tensor case_input(const Graph *g, uint32_t i, const char *text) {
  double v[MOST];
  int n = read_numbers(text, v, MOST);
  const Value *val = graph_val(g, g->inputs[i]);
  Shape s = val->shape;
  if (s.rank > 0 && s.d[0] == DIM_BATCH) s.d[0] = n / shape_count(&s);
  ck_assert_int_eq(n, shape_count(&s));
  Tensor t = tensor_new(val->dtype, &s);
  for (int k = 0; k < n; k++) set_element(&t, k, v[k]);
  return t;
}

START_TEST(operators_by_hand)
{
  const EvalCase *c = case_at(_i);
  double want[MOST];
  int n = read_numbers(c->want, want, MOST);
  Graph *g = case_graph(c);
  Diag *d = diag_new();
  Tensor in[3], out;
  for (uint32_t i = 0; i < g->n_inputs; i++) in[i] = case_input(g, i, c->in[i]);
  ck_assert_msg(graph_eval(g, in, g->n_inputs, &out, d), "%s\n%s", c->graph, diag_text(d));
  ck_assert_int_eq(shape_count(&out.shape), n);
  for (int i = 0; i < n; i++) {
    double tol = out.dtype == DT_F32 ? 1e-6 * (fabs(want[i]) > 1 ? fabs(want[i]) : 1) : 0;
    const double got = element(&out, i);
    ck_assert_msg(got == want[i] || (isnan(got) && isnan(want[i])) || fabs(got - want[i]) <= tol,
                  "%s\nelement %d is %.9g, want %.9g", c->graph, i, got, want[i]);
  }
  for (uint32_t i = 0; i < g->n_inputs; i++) tensor_free(&in[i]);
  tensor_free(&out);
  graph_free(g);
  diag_free(d);
}
END_TEST

START_TEST(every_core_operator_has_a_case)
{
  bool seen[OP_COUNT] = {false};
  for (int i = 0; i < count_cases(); i++) {
    Graph *g = case_graph(case_at(i));
    for (uint32_t k = 0; k < g->n_nodes; k++) seen[g->nodes[k].op] = true;
    graph_free(g);
  }
  for (unsigned op = 0; op < OP_COUNT; op++) {
    if (op_info((OpKind)op)->cls != CORE) continue;
    ck_assert_msg(seen[op], "%s has no row in tests/ir/test_eval.c or eval_rows_*.c",
                  op_info((OpKind)op)->name);
  }
}
END_TEST

static void fill_tensor(Tensor *t, Rng *r) {
  for (int64_t i = 0; i < shape_count(&t->shape); i++) {
    set_element(t, i, t->dtype == DT_F32 ? (double)rng_normal(r) : (double)(int)rng_below(r, 200) - 100);
  }
}

/* Item `item` of a tensor with a batch, as a batch of 1. */
static Tensor tensor_item(const Tensor *t, int64_t item) {
  Shape s = t->shape;
  s.d[0] = 1;
  Tensor one = tensor_new(t->dtype, &s);
  memcpy(one.data, (const char *)t->data + (size_t)item * tensor_bytes(&one), tensor_bytes(&one));
  return one;
}

enum { BATCH = 3 };

START_TEST(batches_are_their_items)
{
  Graph *g = sample_graph(&samples[_i]);
  Diag *d = diag_new();
  Tensor in[4], out, one_in[4], one_out;
  bool symbolic = g->n_inputs > 0;
  Rng r;
  rng_seed(&r, 5, (uint64_t)_i);
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    Shape s = graph_val(g, g->inputs[i])->shape;
    symbolic &= s.rank > 0 && s.d[0] == DIM_BATCH;
    if (s.rank > 0 && s.d[0] == DIM_BATCH) s.d[0] = BATCH;
    in[i] = tensor_new(graph_val(g, g->inputs[i])->dtype, &s);
    fill_tensor(&in[i], &r);
  }
  ck_assert_msg(graph_eval(g, in, g->n_inputs, &out, d), "%s\n%s", op_info(samples[_i].op)->name,
                diag_text(d));
  for (int64_t item = 0; symbolic && item < BATCH; item++) {
    for (uint32_t i = 0; i < g->n_inputs; i++) one_in[i] = tensor_item(&in[i], item);
    ck_assert_msg(graph_eval(g, one_in, g->n_inputs, &one_out, d), "%s", diag_text(d));
    size_t n = tensor_bytes(&one_out);
    ck_assert_uint_eq(n * BATCH, tensor_bytes(&out));
    ck_assert_msg(memcmp((char *)out.data + (size_t)item * n, one_out.data, n) == 0,
                  "%s %s {%s}: item %d of a batch differs from the item alone", op_info(samples[_i].op)->name,
                  samples[_i].inputs, samples[_i].attrs, (int)item);
    for (uint32_t i = 0; i < g->n_inputs; i++) tensor_free(&one_in[i]);
    tensor_free(&one_out);
  }
  for (uint32_t i = 0; i < g->n_inputs; i++) tensor_free(&in[i]);
  tensor_free(&out);
  graph_free(g);
  diag_free(d);
}
END_TEST

/* Views share storage; outputs that are views of inputs or constants do not; all values can be read. */
START_TEST(values_can_be_read)
{
  const EvalCase c = {"%x = input : f32[2,2] %k = const : f32[2] {7,8} %a = Relu(%x) : f32[2,2]"
                      "%b = Reshape(%a) {shape=[4]} : f32[4] %y = Reshape(%x) {shape=[4]} : f32[4]"
                      "%z = Reshape(%k) {shape=[1,2]} : f32[1,2] %s = Reshape(%y) {shape=[4,1]} : f32[4,1]"
                      "%t = Relu(%s) : f32[4,1] output %b, %y, %z, %t, %x",
                      {NULL},
                      NULL};
  Graph *g = case_graph(&c);
  Diag *d = diag_new();
  const float x[4] = {-1, 2, -3, 4};
  const void *inputs[1] = {x};
  Evaluator *e = evaluator_new(g, d);
  ck_assert_ptr_nonnull(e);
  evaluator_run(e, inputs);
  const float *b = evaluator_value(e, g->outputs[0]), *y = evaluator_value(e, g->outputs[1]);
  const float *z = evaluator_value(e, g->outputs[2]), *t = evaluator_value(e, g->outputs[3]);
  ck_assert_ptr_eq(b, evaluator_value(e, graph_def(g, g->outputs[0])->in[0]));
  ck_assert(b[0] == 0 && b[3] == 4);
  ck_assert_ptr_ne(y, x);
  ck_assert_mem_eq(y, x, sizeof x);
  ck_assert(z[0] == 7 && z[1] == 8);
  ck_assert_mem_eq(t, b, sizeof x);
  ck_assert_ptr_eq(evaluator_value(e, g->outputs[4]), x);
  evaluator_free(e);
  graph_free(g);
  diag_free(d);
}
END_TEST

START_TEST(wrong_inputs_are_refused)
{
  const EvalCase c = {
      "%x = input : f32[N,2] %z = input : f32[N,2] %y = Add(%x, %z) : f32[N,2] output %y", {NULL}, NULL};
  Graph *g = case_graph(&c);
  Shape two = shape_of(2, (int64_t)2, (int64_t)2), three = shape_of(2, (int64_t)3, (int64_t)2);
  Tensor f2 = tensor_new(DT_F32, &two), f3 = tensor_new(DT_F32, &three), i2 = tensor_new(DT_I32, &two), out;
  const struct {
    Tensor in[2];
    uint32_t n;
    const char *say;
  } rows[] = {{{f2}, 1, "1 inputs given, the model has 2"},
              {{f2, f3}, 2, "batch 3"},
              {{f2, i2}, 2, "input 1 is i32 [2,2], want f32 [N,2]"}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    Diag *d = diag_new();
    ck_assert(!graph_eval(g, rows[i].in, rows[i].n, &out, d));
    ck_assert_msg(strstr(diag_text(d), rows[i].say) != NULL, "got \"%s\", want \"%s\"", diag_text(d),
                  rows[i].say);
    diag_free(d);
  }
  tensor_free(&f2);
  tensor_free(&f3);
  tensor_free(&i2);
  graph_free(g);
}
END_TEST

Suite *suite_eval(void) {
  Suite *s = suite_create("eval");
  TCase *t = tcase_create("eval");
  tcase_add_loop_test(t, operators_by_hand, 0, count_cases());
  tcase_add_test(t, every_core_operator_has_a_case);
  tcase_add_loop_test(t, batches_are_their_items, 0, n_samples);
  tcase_add_test(t, values_can_be_read);
  tcase_add_test(t, wrong_inputs_are_refused);
  suite_add_tcase(s, t);
  return s;
}
