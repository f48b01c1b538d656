/* Every differentiable operator of ops.def: its gradient against central differences in double precision.
 *
 * loss = sum of r * output with random r. The engine computes its gradient in float; the loss itself is computed by the
 * double-precision reference (reference.h), which shares nothing with the engine, so that differences of 1e-5 are exact
 * to nine places. For the input and each parameter: elements one by one, then random directions u of +-1:
 * (loss(p + eps u) - loss(p - eps u)) / 2 eps against gradient . u. Where a limit is crossed or a maximum moves between the
 * two there is no derivative: that direction is left out, another one drawn. The engine's outputs are compared too.
 * An operator without a case fails. Each case runs fused and not, with this processor's kernels and with the portable
 * ones.
 */
#include <cblas.h>
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/session.h"
#include "tests/engine/nets.h"
#include "tests/engine/reference.h"
#include "tests/support.h"

enum { BATCH = 5, SINGLES = 48, DIRECTIONS = 4, DRAWS = 40 };
#define EPS 1e-5

typedef struct Case {
  OpKind op;
  const char *name, *text;
  bool train;    /* batch statistics */
  float x_scale; /* of the input's grid; negative: of its magnitudes (for Log, Sqrt, Pow); 0: 1 */
} Case;

#define W(shape) " = const : f32" shape " {?}\n"

static const Case cases[] = {
    {OP_conv, "3x3 padded, bias",
     "%1 = input : f32[N,4,5,2]\n%2" W("[3,3,3,2]") "%3" W(
         "[3]") "%4 = Conv(%1, %2, %3) {pads=[1,1,1,1]}\noutput %4",
     false, 0},
    {OP_conv, "stride 2, no bias",
     "%1 = input : f32[N,5,6,2]\n%2" W(
         "[3,3,2,2]") "%4 = Conv(%1, %2) {strides=[2,2], pads=[1,0,0,1]}\noutput %4",
     false, 0},
    {OP_gru, "reset inside",
     "%1 = input : f32[N,4,9]\n%2" W("[9,3]") "%3 = Gru(%1, %2) {hidden=3, batch_first=1}\noutput %3", false,
     0},
    {OP_gru, "linear before reset, bias, reverse",
     "%1 = input : f32[N,5,12]\n%2" W("[12,4]") "%3" W(
         "[4]") "%4 = Gru(%1, %2, _, %3) {hidden=4, batch_first=1, linear_before_reset=1, reverse=1}\noutput "
                "%4",
     false, 0},
    {OP_gru, "behind a product, last state",
     "%1 = input : f32[N,4,2]\n%2" W("[9,2]") "%3" W("[9]") "%4 = FullyConnected(%1, %2, %3)\n%5" W(
         "[9,3]") "%6 = Gru(%4, %5) {hidden=3, batch_first=1}\n"
                  "%7 = Slice(%6) {starts=[0,4,0], counts=[-1,1,3], steps=[1,1,1]}\n%8 = Reshape(%7) "
                  "{shape=[-1,3]}\noutput %8",
     false, 0},
    {OP_lstm, "plain",
     "%1 = input : f32[N,4,12]\n%2" W("[12,3]") "%3 = Lstm(%1, %2) {hidden=3, batch_first=1}\noutput %3",
     false, 0},
    {OP_lstm, "reverse",
     "%1 = input : f32[N,3,8]\n%2" W(
         "[8,2]") "%3 = Lstm(%1, %2) {hidden=2, batch_first=1, reverse=1}\noutput %3",
     false, 0},
    {OP_rnn, "tanh",
     "%1 = input : f32[N,4,3]\n%2" W(
         "[3,3]") "%3 = Rnn(%1, %2) {hidden=3, batch_first=1, acts=[1,1,1]}\noutput %3",
     false, 0},
    {OP_rnn, "sigmoid, reverse",
     "%1 = input : f32[N,4,3]\n%2" W(
         "[3,3]") "%3 = Rnn(%1, %2) {hidden=3, batch_first=1, reverse=1}\noutput %3",
     false, 0},
    {OP_rnn, "relu",
     "%1 = input : f32[N,3,4]\n%2" W(
         "[4,4]") "%3 = Rnn(%1, %2) {hidden=4, batch_first=1, acts=[2,1,1]}\noutput %3",
     false, 0},
    {OP_conv, "1x1", "%1 = input : f32[N,3,3,4]\n%2" W("[3,1,1,4]") "%4 = Conv(%1, %2)\noutput %4", false, 0},
    {OP_conv, "stride 3, wide kernel, 20 channels",
     "%1 = input : f32[N,7,8,3]\n%2" W("[20,5,4,3]") "%3" W(
         "[20]") "%4 = Conv(%1, %2, %3) {strides=[3,3], pads=[2,1,2,3]}\noutput %4",
     false, 0},
    {OP_conv, "1x1, stride 2",
     "%1 = input : f32[N,5,5,17]\n%2" W("[3,1,1,17]") "%4 = Conv(%1, %2) {strides=[2,2]}\noutput %4", false,
     0},
    {OP_conv, "dilated",
     "%1 = input : f32[N,6,6,1]\n%2" W(
         "[2,2,3,1]") "%4 = Conv(%1, %2) {dilations=[2,2], pads=[2,1,1,2]}\noutput %4",
     false, 0},
    {OP_conv, "two groups, relu",
     "%1 = input : f32[N,4,4,4]\n%2" W("[6,3,3,2]") "%3" W(
         "[6]") "%4 = Conv(%1, %2, %3) {group=2, pads=[1,1,1,1], act=relu}\noutput %4",
     false, 0},
    {OP_conv, "16 channels, relu6",
     "%1 = input : f32[N,5,5,16]\n%2" W("[16,3,3,16]") "%3" W(
         "[16]") "%4 = Conv(%1, %2, %3) {pads=[1,1,1,1], act=relu6}\noutput %4",
     false, 0.02f},
    {OP_conv, "computed bias",
     "%1 = input : f32[N,5,5,16]\n%2" W("[16,3,3,16]") "%3" W(
         "[16]") "%b = Add(%3, %3)\n%4 = Conv(%1, %2, %b) {pads=[1,1,1,1]}\noutput %4",
     false, 0},
    {OP_conv, "input used twice",
     "%1 = input : f32[N,3,3,2]\n%2" W("[2,3,3,2]") "%3 = Conv(%1, %2) {pads=[1,1,1,1]}\n%4 = Add(%3, "
                                                    "%1)\n%5 = Conv(%4, %2) {pads=[1,1,1,1]}\noutput %5",
     false, 0},
    {OP_depthwise_conv, "3x3",
     "%1 = input : f32[N,4,5,3]\n%2" W("[1,3,3,3]") "%3" W(
         "[3]") "%4 = DepthwiseConv(%1, %2, %3) {pads=[1,1,1,1]}\noutput %4",
     false, 0},
    {OP_depthwise_conv, "3x3, 19 channels, stride 2, relu6",
     "%1 = input : f32[N,6,7,19]\n%2" W("[1,3,3,19]") "%3" W(
         "[19]") "%4 = DepthwiseConv(%1, %2, %3) {strides=[2,2], pads=[0,1,1,1], act=relu6}\noutput %4",
     false, 0.02f},
    {OP_depthwise_conv, "3x3, 8 channels, after and before others",
     "%1 = input : f32[N,4,4,8]\n%2" W(
         "[1,3,3,8]") "%3 = DepthwiseConv(%1, %2) {pads=[1,1,1,1]}\n%4 = Add(%1, %3)\n%5 = DepthwiseConv(%4, "
                      "%2) {pads=[1,1,1,1]}\n%6 = Add(%5, %4)\noutput %6",
     false, 0},
    {OP_depthwise_conv, "5x2, stride, multiplier 2, relu",
     "%1 = input : f32[N,7,5,2]\n%2" W("[1,5,2,4]") "%3" W(
         "[4]") "%4 = DepthwiseConv(%1, %2, %3) {strides=[2,1], pads=[2,0,2,1], act=relu}\noutput %4",
     false, 0},
    {OP_depthwise_conv, "dilated",
     "%1 = input : f32[N,6,6,2]\n%2" W("[1,2,2,2]") "%4 = DepthwiseConv(%1, %2) {dilations=[3,2]}\noutput %4",
     false, 0},
    {OP_fully_connected, "bias",
     "%1 = input : f32[N,7]\n%2" W("[4,7]") "%3" W("[4]") "%4 = FullyConnected(%1, %2, %3)\noutput %4", false,
     0},
    {OP_fully_connected, "rank 3, relu",
     "%1 = input : f32[N,3,5]\n%2" W("[4,5]") "%3" W(
         "[4]") "%4 = FullyConnected(%1, %2, %3) {act=relu}\noutput %4",
     false, 0},
    {OP_matmul, "rows by a constant", "%1 = input : f32[N,6]\n%2" W("[6,3]") "%4 = MatMul(%1, %2)\noutput %4",
     false, 0},
    {OP_matmul, "batched, outer axes repeated",
     "%1 = input : f32[N,2,3,4]\n%2" W("[2,4,3]") "%4 = MatMul(%1, %2)\noutput %4", false, 0},
    {OP_matmul, "both batched",
     "%1 = input : f32[N,3,3]\n%2 = Transpose(%1) {perm=[0,2,1]}\n"
     "%4 = MatMul(%1, %2)\noutput %4",
     false, 0},
    {OP_max_pool, "2x2",
     "%1 = input : f32[N,4,4,3]\n%4 = MaxPool(%1) {kernel=[2,2], strides=[2,2]}\noutput %4", false, 0},
    {OP_max_pool, "3x3 overlapping, padded, relu",
     "%1 = input : f32[N,5,5,2]\n"
     "%4 = MaxPool(%1) {kernel=[3,3], strides=[2,1], pads=[1,1,1,1], act=relu}\noutput %4",
     false, 0},
    {OP_average_pool, "3x2",
     "%1 = input : f32[N,5,4,3]\n"
     "%4 = AveragePool(%1) {kernel=[3,2], strides=[2,1], pads=[1,0,1,1]}\noutput %4",
     false, 0},
    {OP_average_pool, "padding counts",
     "%1 = input : f32[N,4,4,2]\n"
     "%4 = AveragePool(%1) {kernel=[3,3], pads=[1,1,1,1], count_include_pad=1}\noutput %4",
     false, 0},
    {OP_reduce_mean, "image", "%1 = input : f32[N,3,4,2]\n%4 = ReduceMean(%1) {axes=[1,2]}\noutput %4", false,
     0},
    {OP_reduce_mean, "channels, axis dropped",
     "%1 = input : f32[N,3,4,2]\n"
     "%4 = ReduceMean(%1) {axes=[1,3], keepdims=0}\noutput %4",
     false, 0},
    {OP_batch_normalization, "inference",
     "%1 = input : f32[N,3,3,4]\n%2" W("[4]") "%3" W("[4]") "%5" W("[4]") "%6" W(
         "[4]") "%4 = BatchNormalization(%1, %2, %3, %5, %6)\noutput %4",
     false, 0},
    {OP_batch_normalization, "training",
     "%1 = input : f32[N,3,3,4]\n%2" W("[4]") "%3" W("[4]") "%5" W("[4]") "%6" W(
         "[4]") "%4 = BatchNormalization(%1, %2, %3, %5, %6)\noutput %4",
     true, 0},
    {OP_batch_normalization, "training, channels second",
     "%1 = input : f32[N,3,2,2]\n%2" W("[3]") "%3" W("[3]") "%5" W("[3]") "%6" W(
         "[3]") "%4 = BatchNormalization(%1, %2, %3, %5, %6) {axis=1, epsilon=0.001}\noutput %4",
     true, 0},
    {OP_batch_normalization, "training, vectors",
     "%1 = input : f32[N,6]\n%2" W("[6]") "%3" W("[6]") "%5" W("[6]") "%6" W(
         "[6]") "%4 = BatchNormalization(%1, %2, %3, %5, %6) {axis=1}\noutput %4",
     true, 0},
    {OP_batch_normalization, "training, after a convolution, relu after",
     "%1 = input : f32[N,2,2,2]\n%7" W("[3,3,3,2]") "%8 = Conv(%1, %7) {pads=[1,1,1,1]}\n%2" W("[3]") "%3" W(
         "[3]") "%5" W("[3]") "%6" W("[3]") "%4 = BatchNormalization(%8, %2, %3, %5, %6)\n%9 = "
                                            "Relu(%4)\noutput %9",
     true, 0},
    {OP_add, "channel constant, relu",
     "%1 = input : f32[N,3,2,4]\n%2" W("[4]") "%4 = Relu(%1)\n"
                                              "%5 = Mul(%1, %2)\n%6 = Add(%5, %4) {act=relu}\noutput %6",
     false, 0},
    {OP_add, "a value with itself", "%1 = input : f32[N,5]\n%4 = Add(%1, %1)\noutput %4", false, 0},
    {OP_sub, "constant first", "%1 = input : f32[N,3,4]\n%2" W("[3,1]") "%4 = Sub(%2, %1)\noutput %4", false,
     0},
    {OP_mul, "per image and channel",
     "%1 = input : f32[N,3,3,2]\n%2 = ReduceMean(%1) {axes=[1,2]}\n"
     "%4 = Mul(%1, %2)\noutput %4",
     false, 0},
    {OP_mul, "middle axis repeated",
     "%1 = input : f32[N,3,4,2]\n%2" W("[1,3,1,2]") "%4 = Mul(%1, %2)\noutput %4", false, 0},
    {OP_div, "by a constant", "%1 = input : f32[N,2,4]\n%2" W("[4]") "%4 = Div(%1, %2)\noutput %4", false, 0},
    {OP_div, "constant by a value",
     "%1 = input : f32[N,2,4]\n%2" W("[2,1]") "%3 = Sigmoid(%1)\n"
                                              "%4 = Div(%2, %3)\noutput %4",
     false, 0.3f},
    {OP_relu, "", "%1 = input : f32[N,9]\n%4 = Relu(%1)\noutput %4", false, 0},
    {OP_clip, "both limits", "%1 = input : f32[N,9]\n%4 = Clip(%1) {lo=-0.6, hi=0.9}\noutput %4", false, 0},
    {OP_leaky_relu, "", "%1 = input : f32[N,9]\n%4 = LeakyRelu(%1) {alpha=0.2}\noutput %4", false, 0},
    {OP_sigmoid, "", "%1 = input : f32[N,9]\n%4 = Sigmoid(%1)\noutput %4", false, 0},
    {OP_tanh, "", "%1 = input : f32[N,9]\n%4 = Tanh(%1)\noutput %4", false, 0},
    {OP_softmax, "innermost", "%1 = input : f32[N,6]\n%3 = Softmax(%1)\n%4 = Add(%3, %1)\noutput %4", false,
     0},
    {OP_softmax, "middle axis, beta 2",
     "%1 = input : f32[N,4,3]\n%3 = Softmax(%1) {axis=1, beta=2}\n"
     "%4 = Mul(%3, %1)\noutput %4",
     false, 0.3f},
    {OP_reshape, "between readers",
     "%1 = input : f32[N,2,3]\n%2 = Reshape(%1) {shape=[-1,6]}\n%3" W(
         "[4,6]") "%4 = FullyConnected(%2, %3)\n%5 = Reshape(%2) {shape=[-1,3,2]}\n%6 = ReduceMean(%5) "
                  "{axes=[1,2]}\n"
                  "%7 = Reshape(%6) {shape=[-1,1]}\n%8 = Mul(%4, %7)\noutput %8",
     false, 0},
    {OP_transpose, "", "%1 = input : f32[N,2,3,4]\n%4 = Transpose(%1) {perm=[0,3,1,2]}\noutput %4", false, 0},
    {OP_concat, "three, one twice",
     "%1 = input : f32[N,2,3]\n%2 = Relu(%1)\n"
     "%4 = Concat(%1, %2, %1) {axis=1}\noutput %4",
     false, 0},
    {OP_pad, "", "%1 = input : f32[N,2,3]\n%4 = Pad(%1) {pads=[0,1,0,0,2,1], value=0.5}\noutput %4", false,
     0},
    {OP_slice, "steps of 2 and backwards",
     "%1 = input : f32[N,5,4]\n"
     "%4 = Slice(%1) {starts=[0,1,3], counts=[-1,2,3], steps=[1,2,-1]}\noutput %4",
     false, 0},
    {OP_fake_quant, "inside and outside of the range",
     "%1 = input : f32[N,9]\n"
     "%4 = FakeQuant(%1) {scale=0.015625, zero=3, lo=-43, hi=49}\noutput %4",
     false, 0},
    {OP_fake_quant, "of weights",
     "%1 = input : f32[N,5]\n%2" W("[3,5]") "%3 = FakeQuant(%2) {scale=0.015625, lo=-127, hi=127}\n%4 = "
                                            "FullyConnected(%1, %3)\noutput %4",
     false, 0},
    {OP_abs, "", "%1 = input : f32[N,9]\n%4 = Abs(%1)\noutput %4", false, 0},
    {OP_sqrt, "", "%1 = input : f32[N,9]\n%4 = Sqrt(%1)\noutput %4", false, -1},
    {OP_exp, "", "%1 = input : f32[N,9]\n%4 = Exp(%1)\noutput %4", false, 0},
    {OP_log, "", "%1 = input : f32[N,9]\n%4 = Log(%1)\noutput %4", false, -1},
    {OP_sin, "", "%1 = input : f32[N,9]\n%4 = Sin(%1)\noutput %4", false, 0},
    {OP_cos, "", "%1 = input : f32[N,9]\n%4 = Cos(%1)\noutput %4", false, 0},
    {OP_atan, "", "%1 = input : f32[N,9]\n%4 = Atan(%1)\noutput %4", false, 0},
    {OP_sinh, "", "%1 = input : f32[N,9]\n%4 = Sinh(%1)\noutput %4", false, 0},
    {OP_cosh, "", "%1 = input : f32[N,9]\n%4 = Cosh(%1)\noutput %4", false, 0},
    {OP_asinh, "", "%1 = input : f32[N,9]\n%4 = Asinh(%1)\noutput %4", false, 0},
    {OP_erf, "Gelu", "%1 = input : f32[N,9]\n%2 = Erf(%1)\n%3 = Add(%2, %1)\n%4 = Mul(%3, %1)\noutput %4",
     false, 0},
    {OP_softplus, "", "%1 = input : f32[N,9]\n%4 = Softplus(%1)\noutput %4", false, 0},
    {OP_elu, "", "%1 = input : f32[N,9]\n%4 = Elu(%1) {alpha=0.7}\noutput %4", false, 0},
    {OP_max, "of a value and a constant",
     "%1 = input : f32[N,3,4]\n%2" W("[4]") "%4 = Max(%1, %2)\noutput %4", false, 0},
    {OP_max, "of a value and itself", "%1 = input : f32[N,5]\n%4 = Max(%1, %1)\noutput %4", false, 0},
    {OP_min, "of two values",
     "%1 = input : f32[N,2,3]\n%2 = Tanh(%1)\n%3 = Min(%2, %1)\n%4 = Mul(%3, %2)\noutput %4", false, 0},
    {OP_pow, "constant exponents", "%1 = input : f32[N,3,4]\n%2" W("[4]") "%4 = Pow(%1, %2)\noutput %4",
     false, -1},
    {OP_pow, "a value's power of itself",
     "%1 = input : f32[N,5]\n%2 = Sigmoid(%1)\n%4 = Pow(%1, %2)\noutput %4", false, -1},
    {OP_reduce_sum, "channels and columns, axes dropped",
     "%1 = input : f32[N,3,4,2]\n%3 = ReduceSum(%1) {axes=[2,3], keepdims=0}\n%4 = Tanh(%3)\noutput %4",
     false, 0.1f},
    {OP_reduce_sum, "read beside its input",
     "%1 = input : f32[N,3,2]\n%3 = ReduceSum(%1) {axes=[1]}\n%4 = Mul(%1, %3)\noutput %4", false, 0},
    {OP_reduce_max, "rows", "%1 = input : f32[N,4,3]\n%4 = ReduceMax(%1) {axes=[1]}\noutput %4", false, 0},
    {OP_reduce_min, "everything, beside its input",
     "%1 = input : f32[N,2,3]\n%3 = ReduceMin(%1) {axes=[1,2]}\n%4 = Mul(%1, %3)\noutput %4", false, 0},
    {OP_expand, "two axes",
     "%1 = input : f32[N,1,3,1]\n%3 = Expand(%1) {shape=[-1,2,3,4]}\n%2" W(
         "[2,3,4]") "%4 = Mul(%3, %2)\noutput %4",
     false, 0},
    {OP_conv_transpose, "stride 2, bias, relu6",
     "%1 = input : f32[N,3,4,4]\n%2" W("[6,3,2,4]") "%3" W(
         "[6]") "%4 = ConvTranspose(%1, %2, %3) {strides=[2,2], pads=[1,0,0,1], extra=[1,0], "
                "act=relu6}\noutput %4",
     false, 0.02f},
    {OP_conv_transpose, "two groups, dilated",
     "%1 = input : f32[N,3,3,4]\n%2" W(
         "[6,2,2,2]") "%4 = ConvTranspose(%1, %2) {group=2, dilations=[2,1]}\noutput %4",
     false, 0},
    {OP_weighted_gather, "columns, bias",
     "%1 = input : f32[N,2,4,3]\n%2 = const : i32[5,2] {0,1,1,0,3,2,2,2,3,3}\n%3" W("[5,2]") "%5" W(
         "[5]") "%4 = WeightedGather(%1, %2, %3, %5) {axis=2}\noutput %4",
     false, 0},
    {OP_mul, "layer normalization",
     "%1 = input : f32[N,6]\n%2 = ReduceMean(%1) {axes=[1]}\n%3 = Sub(%1, %2)\n%5 = Mul(%3, %3)\n"
     "%6 = ReduceMean(%5) {axes=[1]}\n%7 = Sqrt(%6)\n%8 = Div(%3, %7)\n%9" W(
         "[6]") "%4 = Mul(%8, %9)\noutput %4",
     false, 0},
    {OP_fake_quant, "learned step",
     "%1 = input : f32[N,9]\n%2 = const : f32[1] {0.0437}\n"
     "%4 = FakeQuant(%1, %2) {zero=3, lo=-17, hi=19, learn=1, grad=0.5}\noutput %4",
     false, 0},
    {OP_fake_quant, "learned step, relu",
     "%1 = input : f32[N,9]\n%2 = const : f32[1] {0.0437}\n"
     "%4 = FakeQuant(%1, %2) {zero=-10, hi=9, learn=1, act=relu}\noutput %4",
     false, 0},
    {OP_fake_quant, "learned steps of weights",
     "%1 = input : f32[N,5]\n%2" W("[3,5]") "%3 = const : f32[3] {0.0137, 0.00521, 0.0273}\n"
                                            "%5 = FakeQuant(%2, %3) {axis=0, lo=-50, hi=50, learn=1}\n"
                                            "%4 = FullyConnected(%1, %5)\noutput %4",
     false, 0},
    {OP_fake_quant, "of sums",
     "%1 = input : f32[N,2,3]\n%2 = const : f32[1] {0.0437}\n%3 = const : f32[3] {1e-3, 2e-3, 1.3e-3}\n"
     "%5 = const : f32[1] {1e-3}\n%4 = FakeQuant(%1, %2, %3, %5) {zero=3, lo=-20, hi=15, like=1, "
     "learn=1}\noutput %4",
     false, 0},
    {OP_fake_quant, "of two",
     "%1 = input : f32[N,7]\n%2 = const : f32[1] {0.01}\n%3 = const : f32[1] {0.02}\n%5 = const : f32[1] "
     "{0.0371}\n"
     "%6 = Tanh(%1)\n%7 = FakeQuant(%1, %2) {}\n%8 = FakeQuant(%6, %3) {}\n"
     "%4 = FakeQuant(%7, %5, %2, %3, %8) {like=2, lo=-40, hi=30, learn=1}\noutput %4",
     false, 0},
    {OP_fake_quant, "of a mean",
     "%1 = input : f32[N,2,2,3]\n%2 = const : f32[1] {0.00371}\n%3 = const : f32[1] {1e-4}\n"
     "%5 = ReduceMean(%1) {axes=[1,2]}\n%4 = FakeQuant(%5, %2, %3) {like=3, count=4, learn=1}\noutput %4",
     false, 0},
    {OP_fake_quant, "of a bias",
     "%1 = input : f32[N,5]\n%2" W("[3,5]") "%3" W(
         "[3]") "%5 = const : f32[3] {0.01, 0.02, 0.03}\n%6 = const : f32[1] "
                "{0.04}\n%7 = FakeQuant(%3, %5, %6) {like=4, lo=-1000000, hi=1000000}\n%4 = "
                "FullyConnected(%1, %2, %7)\noutput %4",
     false, 0},
};
enum { CASES = sizeof cases / sizeof *cases };

/* How a case is run: fused as in training, or every value kept; this processor's kernels, with Winograd's convolutions
 * (whose outputs may be off by five times as much: 1e-5 of the largest) or without, or the portable ones. */
typedef struct Way {
  bool keep, portable, plain;
} Way;
static const Way ways[] = {{false, false, false},
                           {true, false, false},
                           {false, false, true},
                           {true, true, false},
                           {false, true, false}};
enum { WAYS = sizeof ways / sizeof *ways };

typedef struct Check {
  const Case *k;
  Graph *g;
  Session *s;
  Ref *ref;
  int64_t n_x;
  int classes;
  float *x, *r;     /* input; what the outputs are multiplied with */
  float scaled[16]; /* steps' gradients */
} Check;

/* The loss in double precision, at the reference's current input and parameters. */
static double loss(Check *c) {
  int64_t n;
  ref_run(c->ref);
  const double *y = ref_value(c->ref, c->g->outputs[0], &n);
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += y[i] * (double)c->r[i];
  return sum;
}

/* Where the slope to the left is not that to the right, a limit or a maximum lies between. */
static bool kink(double up, double at, double down, double scale) {
  return fabs(up - 2 * at + down) > EPS * (1e-3 * scale + 1e-7);
}

/* Central differences along u of the n numbers at p against the gradient. 1: agrees; 0: does not; -1: a kink. */
static int compare(Check *c, double *p, const double *u, const float *grad, int64_t n, double at, char *msg,
                   size_t size) {
  double want = 0, scale = 0;
  for (int64_t i = 0; i < n; i++) {
    want += (double)grad[i] * u[i];
    scale += fabs((double)grad[i] * u[i]);
    p[i] += EPS * u[i];
  }
  double up = loss(c);
  for (int64_t i = 0; i < n; i++) p[i] -= 2 * EPS * u[i];
  double down = loss(c), got = (up - down) / (2 * EPS);
  for (int64_t i = 0; i < n; i++) p[i] += EPS * u[i];
  if (kink(up, at, down, scale + fabs(got))) return -1;
  snprintf(msg, size, "differences give %.9g, backward %.9g", got, want);
  return fabs(got - want) <= 2e-5 * (scale + fabs(got)) + 1e-5 ? 1 : 0;
}

/* Every element alone (of many, some), then all of them in random directions of +-1. False: msg says where. */
static bool agrees(Check *c, ValId v, const float *grad, char *msg, size_t size) {
  int64_t n;
  double *p = ref_value(c->ref, v, &n), *u = mem_array((size_t)n, sizeof *u), at = loss(c);
  int64_t singles = n < SINGLES ? n : SINGLES, done = 0, draws = 0;
  Rng r;
  rng_seed(&r, 5, (uint64_t)n);
  int ok = 1;
  for (; ok && draws < singles + DRAWS && done < singles + DIRECTIONS; draws++) {
    bool single = draws < singles;
    int64_t one = n <= SINGLES ? draws : (int64_t)rng_below(&r, (uint32_t)n);
    for (int64_t i = 0; i < n; i++) u[i] = single ? i == one : rng_below(&r, 2) ? 1 : -1;
    ok = compare(c, p, u, grad, n, at, msg, size);
    done += single || ok > 0;
  }
  mem_free(u);
  if (ok && done < singles + DIRECTIONS) snprintf(msg, size, "nearly every direction crosses a limit");
  return ok && done == singles + DIRECTIONS;
}

static void check_gradient(Check *c, ValId v, const float *grad, const char *what) {
  char msg[200];
  ck_assert_msg(agrees(c, v, grad, msg, sizeof msg), "%s (%s), %s: %s", op_info(c->k->op)->name, c->k->name,
                what, msg);
}

static void check_open(Check *c, const Case *k, Way way) {
  *c = (Check){.k = k, .g = net_parse(k->text, 11)};
  Diag *d = diag_new();
  SessionOptions so = {.batch = BATCH,
                       .threads = 2,
                       .training = true,
                       .keep = way.keep,
                       .input_gradient = true,
                       .portable = way.portable,
                       .plain = way.plain};
  c->s = session_new(c->g, &so, d);
  if (!c->s) ck_abort_msg("%s (%s): %s", op_info(k->op)->name, k->name, diag_text(d));
  diag_free(d);
  c->ref = ref_new(c->g, BATCH, k->train);
  double *x = ref_value(c->ref, c->g->inputs[0], &c->n_x);
  c->classes = (int)shape_count(&c->g->vals[c->g->outputs[0]].shape);
  c->x = mem_array((size_t)c->n_x, sizeof(float));
  net_grid(c->x, c->n_x, 3);
  for (int64_t i = 0; i < c->n_x; i++) {
    if (k->x_scale > 0) c->x[i] *= k->x_scale;
    if (k->x_scale < 0) c->x[i] = fabsf(c->x[i]) * -k->x_scale;
    x[i] = (double)c->x[i];
  }
  size_t out = (size_t)(BATCH * c->classes);
  c->r = mem_array(out, sizeof(float));
  Rng r;
  rng_seed(&r, 9, 9);
  for (size_t i = 0; i < out; i++) c->r[i] = 0.5f + rng_uniform(&r);
  for (size_t i = 0; i < out; i += 2) c->r[i] = -c->r[i];
}

/* Forward, as the reference but for rounding (FakeQuant's value is on the grid, the reference's first one too), and
 * backward. */
static void run(Check *c) {
  const float *z = session_forward(c->s, c->x, BATCH, c->k->train);
  loss(c);
  const double *y = ref_value(c->ref, c->g->outputs[0], NULL);
  double most = 0, share = c->s->opt.portable || c->s->opt.plain ? 2e-6 : 1e-5;
  for (int i = 0; i < BATCH * c->classes; i++) most = fmax(most, fabs(y[i]));
  for (int i = 0; i < BATCH * c->classes; i++)
    ck_assert_msg(fabs((double)z[i] - y[i]) <= share * most + 1e-6, "%s (%s), output %d: got %.9g, want %.9g",
                  op_info(c->k->op)->name, c->k->name, i, (double)z[i], y[i]);
  session_backward(c->s, c->r, BATCH);
}

static void check_close(Check *c) {
  session_free(c->s);
  ref_free(c->ref);
  graph_free(c->g);
  mem_free(c->x);
  mem_free(c->r);
}

/* The gradient of v; that of a learned step without the factor that FakeQuant's attribute asks for. */
static const float *step_gradient(Check *c, ValId v) {
  const float *grad = session_gradient(c->s, v);
  for (uint32_t i = 0; i < c->g->n_nodes; i++) {
    const Node *n = &c->g->nodes[i];
    if (n->op != OP_fake_quant || n->n_in < 2 || n->in[1] != v) continue;
    int64_t count = shape_count(&c->g->vals[v].shape);
    for (int64_t k = 0; k < count; k++) c->scaled[k] = grad[k] / CATTRS(n, fake_quant)->grad;
    return c->scaled;
  }
  return grad;
}

START_TEST(gradient)
{
  Check c;
  check_open(&c, &cases[_i % CASES], ways[_i / CASES]);
  run(&c);
  const float *gx = session_gradient(c.s, c.g->inputs[0]);
  ck_assert_ptr_nonnull(gx);
  check_gradient(&c, c.g->inputs[0], gx, "input");
  for (ValId v = 1; v < c.g->n_vals; v++) {
    if (!session_param(c.s, v)) continue;
    char what[32];
    snprintf(what, sizeof what, "parameter %u", v);
    check_gradient(&c, v, step_gradient(&c, v), what);
  }
  check_close(&c);
}
END_TEST

/* A batch's gradients are the sums of those of its examples, each alone in a session for one. */
START_TEST(one_by_one)
{
  const Case *k = &cases[_i];
  if (k->train) return; /* statistics of one example are others */
  Check c;
  check_open(&c, k, ways[0]);
  run(&c);
  Diag *d = diag_new();
  Session *s = session_new(c.g,
                           &(SessionOptions){.batch = 1,
                                             .input_gradient = true,
                                             .threads = 1,
                                             .training = true,
                                             .keep = ways[0].keep,
                                             .portable = ways[0].portable,
                                             .plain = ways[0].plain},
                           d);
  ck_assert_msg(s != NULL, "%s", diag_text(d));
  for (ValId v = 1; v < c.g->n_vals; v++) {
    if (!session_param(c.s, v)) continue;
    int64_t n = shape_count(&c.g->vals[v].shape);
    double *sum = mem_array((size_t)n, sizeof *sum), most = 0;
    for (int i = 0; i < BATCH; i++) {
      session_forward(s, c.x + i * (c.n_x / BATCH), 1, false);
      session_backward(s, c.r + i * c.classes, 1);
      const float *one = session_gradient(s, v);
      ck_assert_msg(one != NULL, "%s (%s), parameter %u: a gradient in a batch, none alone",
                    op_info(k->op)->name, k->name, v);
      for (int64_t j = 0; j < n; j++) sum[j] += (double)one[j];
    }
    const float *all = session_gradient(c.s, v);
    ck_assert(all != NULL);
    for (int64_t j = 0; j < n; j++) most = fmax(most, fabs(sum[j]));
    for (int64_t j = 0; j < n; j++)
      ck_assert_msg(fabs(sum[j] - (double)all[j]) <= 1e-4 * most + 1e-6,
                    "%s (%s), parameter %u: %.9g one by one, %.9g", op_info(k->op)->name, k->name, v, sum[j],
                    (double)all[j]);
    mem_free(sum);
  }
  session_free(s);
  diag_free(d);
  check_close(&c);
}
END_TEST

START_TEST(every_operator_has_a_case)
{
  for (int op = 0; op < OP_COUNT; op++) {
    if (op_info((OpKind)op)->diff != DIFF) continue;
    bool found = false;
    for (int i = 0; i < CASES; i++) {
      if (cases[i].op != (OpKind)op) continue;
      Graph *g = net_parse(cases[i].text, 1);
      for (uint32_t k = 0; k < g->n_nodes; k++) found |= g->nodes[k].op == (OpKind)op;
      graph_free(g);
    }
    ck_assert_msg(found, "%s is differentiable but has no gradient case", op_info((OpKind)op)->name);
  }
}
END_TEST

/* A wrong gradient must be noticed: the same comparison, all elements, or one, a thousandth off. */
START_TEST(comparison_can_fail)
{
  Check c;
  int k = 0;
  while (cases[k].op != OP_fully_connected) k++;
  check_open(&c, &cases[k], ways[0]);
  ck_assert_int_le(c.n_x, SINGLES); /* each element is looked at */
  run(&c);
  float *g = mem_array((size_t)c.n_x, sizeof *g);
  char msg[200];
  for (int what = 0; what < 3; what++) {
    memcpy(g, session_gradient(c.s, c.g->inputs[0]), (size_t)c.n_x * sizeof *g);
    for (int64_t i = 0; i < c.n_x; i++) g[i] *= what == 1 || (what == 2 && i == 7) ? 1.001f : 1;
    ck_assert(agrees(&c, c.g->inputs[0], g, msg, sizeof msg) == (what == 0));
  }
  mem_free(g);
  check_close(&c);
}
END_TEST

Suite *suite_gradients(void) {
  openblas_set_num_threads(1);
  Suite *s = suite_create("gradients");
  TCase *t = tcase_create("gradients");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, every_operator_has_a_case);
  tcase_add_test(t, comparison_can_fail);
  tcase_add_loop_test(t, gradient, 0, WAYS * CASES);
  tcase_add_loop_test(t, one_by_one, 0, CASES);
  suite_add_tcase(s, t);
  return s;
}
