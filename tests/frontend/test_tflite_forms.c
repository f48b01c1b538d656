/* TFLite operators one by one, from files that the test writes: values checked by hand, faults by their messages,
 * damage by survival. Needs nothing from ../shared. */
#include "tests/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/tflite/tflite.h"
#include "ir/base/rng.h"
#include "tests/frontend/oracle.h"
#include "tests/frontend/tflite_text.h"

/* Input x is 1, 2, 3, ... of its shape, in its element type. */
typedef struct Form {
  const char *name, *text;
  float want[8]; /* the first elements of output y; int8: codes */
  int n;         /* how many */
} Form;

#define IO "input x\noutput y\n"
#define Q  "q=0.5:-1"

static const Form forms[] = {
    {"ADD, fused RELU",
     "tensor x f32 1,3\ntensor c f32 3 = -9,1,2\ntensor y f32 1,3\nop ADD x,c -> y 0:u8=1\n" IO,
     {0, 3, 5},
     3},
    {"SUB, fused RELU6",
     "tensor x f32 1,3\ntensor c f32 - = -4\ntensor y f32 1,3\nop SUB x,c -> y 0:u8=3\n" IO,
     {5, 6, 6},
     3},
    {"MUL, fused RELU_N1_TO_1",
     "tensor x f32 1,3\ntensor c f32 3 = -2,0.25,1\ntensor y f32 1,3\nop MUL x,c -> y 0:u8=2\n" IO,
     {-1, 0.5f, 1},
     3},
    {"DIV",
     "tensor x f32 1,2\ntensor c f32 2 = 2,4\ntensor y f32 1,2\nop DIV x,c -> y\n" IO,
     {0.5f, 0.5f},
     2},
    {"MAXIMUM",
     "tensor x f32 3\ntensor c f32 3 = 2,2,2\ntensor y f32 3\nop MAXIMUM x,c -> y\n" IO,
     {2, 2, 3},
     3},
    {"MINIMUM",
     "tensor x f32 3\ntensor c f32 3 = 2,2,2\ntensor y f32 3\nop MINIMUM x,c -> y\n" IO,
     {1, 2, 2},
     3},
    {"RELU6", "tensor x f32 8\ntensor y f32 8\nop RELU6 x -> y\n" IO, {1, 2, 3, 4, 5, 6, 6, 6}, 8},
    {"RELU_N1_TO_1", "tensor x f32 2\ntensor y f32 2\nop RELU_N1_TO_1 x -> y\n" IO, {1, 1}, 2},
    {"LEAKY_RELU",
     "tensor x f32 1\ntensor c f32 1 = -3\ntensor a f32 1\ntensor y f32 1\nop ADD x,c -> a\n"
     "op LEAKY_RELU a -> y 0:f32=0.25\n" IO,
     {-0.5f},
     1},
    {"LOGISTIC",
     "tensor x f32 1\ntensor c f32 1 = -1\ntensor a f32 1\ntensor y f32 1\nop ADD x,c -> a\nop LOGISTIC a -> "
     "y\n" IO,
     {0.5f},
     1},
    {"TANH",
     "tensor x f32 1\ntensor c f32 1 = -1\ntensor a f32 1\ntensor y f32 1\nop ADD x,c -> a\nop TANH a -> "
     "y\n" IO,
     {0},
     1},
    {"SOFTMAX with beta",
     "tensor x f32 1,2\ntensor y f32 1,2\nop SOFTMAX x -> y 0:f32=0.0\n" IO,
     {0.5f, 0.5f},
     2},
    {"CONV_2D SAME, stride 2",
     "tensor x f32 1,3,3,1\ntensor w f32 1,3,3,1 = 1\ntensor b f32 1 = 100\ntensor y f32 1,2,2,1\n"
     "op CONV_2D x,w,b -> y 0:u8=0 1:i32=2 2:i32=2\n" IO,
     {112, 116, 124, 128},
     4},
    {"CONV_2D VALID without bias, dilated",
     "tensor x f32 1,3,3,1\ntensor w f32 1,2,2,1 = 1\ntensor y f32 1,1,1,1\n"
     "op CONV_2D x,w -> y 0:u8=1 1:i32=1 2:i32=1 4:i32=2 5:i32=2\n" IO,
     {20},
     1},
    {"CONV_2D in groups",
     "tensor x f32 1,1,1,2\ntensor w f32 2,1,1,1 = 10,100\ntensor y f32 1,1,1,2\nop CONV_2D x,w -> y 0:u8=1 "
     "1:i32=1 2:i32=1\n" IO,
     {10, 200},
     2},
    {"DEPTHWISE_CONV_2D with multiplier",
     "tensor x f32 1,1,2,1\ntensor w f32 1,1,2,2 = 1,10,100,1000\ntensor b f32 2 = 0,5\ntensor y f32 "
     "1,1,1,2\n"
     "op DEPTHWISE_CONV_2D x,w,b -> y 0:u8=1 1:i32=1 2:i32=1 3:i32=2\n" IO,
     {201, 2015},
     2},
    {"MAX_POOL_2D",
     "tensor x f32 1,2,4,1\ntensor y f32 1,1,2,1\nop MAX_POOL_2D x -> y 0:u8=1 1:i32=2 2:i32=2 3:i32=2 "
     "4:i32=2\n" IO,
     {6, 8},
     2},
    {"AVERAGE_POOL_2D SAME",
     "tensor x f32 1,1,3,1\ntensor y f32 1,1,2,1\n"
     "op AVERAGE_POOL_2D x -> y 0:u8=0 1:i32=2 2:i32=1 3:i32=2 4:i32=1\n" IO,
     {1.5f, 3},
     2},
    {"FULLY_CONNECTED flattens",
     "tensor x f32 1,2,2\ntensor w f32 1,4 = 1,10,100,1000\ntensor b f32 1 = 7\ntensor y f32 1,1\n"
     "op FULLY_CONNECTED x,w,b -> y\n" IO,
     {4328},
     1},
    {"FULLY_CONNECTED without bias keeps dimensions",
     "tensor x f32 1,2,2\ntensor w f32 1,2 = 1,10\ntensor y f32 1,2,1\nop FULLY_CONNECTED x,w -> y "
     "2:u8=1\n" IO,
     {21, 43},
     2},
    {"RESHAPE by the output's shape",
     "tensor x f32 2,3\ntensor s i32 2 = 3,-1\ntensor y f32 3,2\nop RESHAPE x,s -> y\n" IO,
     {1, 2, 3, 4, 5, 6},
     6},
    {"SQUEEZE, EXPAND_DIMS",
     "tensor x f32 1,3\ntensor a f32 3\ntensor k i32 - = 0\ntensor y f32 1,3\nop SQUEEZE x -> a\n"
     "op EXPAND_DIMS a,k -> y\n" IO,
     {1, 2, 3},
     3},
    {"a shape that is computed is not needed",
     "tensor x f32 2,3\ntensor s i32 2\ntensor y f32 6\nop SHAPE x -> s\nop RESHAPE x,s -> y\n" IO,
     {1, 2, 3, 4, 5, 6},
     6},
    {"TRANSPOSE",
     "tensor x f32 2,3\ntensor p i32 2 = 1,0\ntensor y f32 3,2\nop TRANSPOSE x,p -> y\n" IO,
     {1, 4, 2, 5, 3, 6},
     6},
    {"CONCATENATION",
     "tensor x f32 2,1\ntensor c f32 2,1 = 8,9\ntensor y f32 2,2\nop CONCATENATION x,c -> y 0:i32=-1\n" IO,
     {1, 8, 2, 9},
     4},
    {"PAD",
     "tensor x f32 1,2\ntensor p i32 2,2 = 0,0,1,2\ntensor y f32 1,5\nop PAD x,p -> y\n" IO,
     {0, 1, 2, 0, 0},
     5},
    {"PADV2",
     "tensor x f32 1,2\ntensor p i32 2,2 = 0,0,1,0\ntensor v f32 1 = 7\ntensor y f32 1,3\nop PADV2 x,p,v -> "
     "y\n" IO,
     {7, 1, 2},
     3},
    {"MEAN",
     "tensor x f32 1,2,2,1\ntensor a i32 2 = 1,2\ntensor y f32 1,1\nop MEAN x,a -> y\n" IO,
     {2.5f},
     1},
    {"MEAN keeps dimensions",
     "tensor x f32 1,2,2,1\ntensor a i32 1 = -2\ntensor y f32 1,2,1,1\nop MEAN x,a -> y 0:u8=1\n" IO,
     {1.5f, 3.5f},
     2},
    {"SLICE",
     "tensor x f32 2,3\ntensor b i32 2 = 0,1\ntensor s i32 2 = -1,2\ntensor y f32 2,2\nop SLICE x,b,s -> "
     "y\n" IO,
     {2, 3, 5, 6},
     4},
    {"STRIDED_SLICE with masks",
     "tensor x f32 2,4\ntensor b i32 2 = 1,9\ntensor e i32 2 = 9,9\ntensor s i32 2 = 1,-2\ntensor y f32 1,2\n"
     "op STRIDED_SLICE x,b,e,s -> y 0:i32=2 1:i32=2\n" IO,
     {8, 6},
     2},
    {"STRIDED_SLICE that drops an axis",
     "tensor x f32 2,3\ntensor b i32 2 = -1,0\ntensor e i32 2 = 0,2\ntensor s i32 2 = 1,1\ntensor y f32 2\n"
     "op STRIDED_SLICE x,b,e,s -> y 4:i32=1\n" IO,
     {4, 5},
     2},
    {"SPLIT",
     "tensor a i32 - = 1\ntensor x f32 1,4\ntensor z f32 1,2\ntensor y f32 1,2\nop SPLIT a,x -> z,y "
     "0:i32=2\n" IO,
     {3, 4},
     2},
    {"GATHER",
     "tensor x f32 3,2\ntensor i i32 2 = 2,0\ntensor y f32 2,2\nop GATHER x,i -> y\n" IO,
     {5, 6, 1, 2},
     4},
    {"QUANTIZE", "tensor x f32 1,3\ntensor y i8 1,3 " Q "\nop QUANTIZE x -> y\n" IO, {1, 3, 5}, 3},
    {"DEQUANTIZE", "tensor x i8 1,3 " Q "\ntensor y f32 1,3\nop DEQUANTIZE x -> y\n" IO, {1, 1.5f, 2}, 3},
    {"FULLY_CONNECTED int8",
     "tensor x i8 1,2 q=1:0\ntensor w i8 2,2 q=1:0 = 1,2,3,-4\ntensor b i32 2 q=1:0 = 10,20\n"
     "tensor y i8 1,2 q=1:0\nop FULLY_CONNECTED x,w,b -> y\n" IO,
     {15, 15},
     2},
    {"CONV_2D int8 per channel, zero points",
     "tensor x i8 1,1,1,1 q=1:-1\ntensor w i8 2,1,1,1 q=1:0,2:0@0 = 3,3\ntensor b i32 2 q=1:0,2:0@0 = 1,1\n"
     "tensor y i8 1,1,1,2 q=1:5\nop CONV_2D x,w,b -> y 0:u8=1 1:i32=1 2:i32=1\n" IO,
     {12, 19},
     2},
    {"ADD int8",
     "tensor x i8 1,2 q=1:0\ntensor c i8 1,2 q=2:0 = 3,4\ntensor y i8 1,2 q=1:0\nop ADD x,c -> y\n" IO,
     {7, 10},
     2},
    {"PACK, UNPACK",
     "tensor x f32 2\ntensor c f32 2 = 8,9\ntensor p f32 2,2\ntensor z f32 2\ntensor y f32 2\n"
     "op PACK x,c -> p 0:i32=2 1:i32=-1\nop UNPACK p -> z,y 0:i32=2 1:i32=1\n" IO,
     {8, 9},
     2},
    {"SPLIT_V",
     "tensor x f32 1,4\ntensor s i32 2 = 1,-1\ntensor a i32 - = 1\ntensor z f32 1,1\ntensor y f32 1,3\n"
     "op SPLIT_V x,s,a -> z,y 0:i32=2\n" IO,
     {2, 3, 4},
     3},
    {"REVERSE_V2",
     "tensor x f32 2,2\ntensor a i32 1 = 1\ntensor y f32 2,2\nop REVERSE_V2 x,a -> y\n" IO,
     {2, 1, 4, 3},
     4},
    {"TILE",
     "tensor x f32 1,2\ntensor m i32 2 = 2,2\ntensor y f32 2,4\nop TILE x,m -> y\n" IO,
     {1, 2, 1, 2, 1, 2, 1, 2},
     8},
    {"BROADCAST_TO",
     "tensor x f32 2,1\ntensor m i32 3 = 1,2,2\ntensor y f32 1,2,2\nop BROADCAST_TO x,m -> y\n" IO,
     {1, 1, 2, 2},
     4},
    {"MIRROR_PAD REFLECT",
     "tensor x f32 3\ntensor p i32 1,2 = 2,1\ntensor y f32 6\nop MIRROR_PAD x,p -> y\n" IO,
     {3, 2, 1, 2, 3, 2},
     6},
    {"MIRROR_PAD SYMMETRIC",
     "tensor x f32 3\ntensor p i32 1,2 = 2,1\ntensor y f32 6\nop MIRROR_PAD x,p -> y 0:u8=1\n" IO,
     {2, 1, 1, 2, 3, 3},
     6},
    {"RESIZE_NEAREST_NEIGHBOR",
     "tensor x f32 1,1,3,1\ntensor s i32 2 = 2,4\ntensor y f32 1,2,4,1\nop RESIZE_NEAREST_NEIGHBOR x,s -> "
     "y\n" IO,
     {1, 1, 2, 3, 1, 1, 2, 3},
     8},
    {"RESIZE_NEAREST_NEIGHBOR, align_corners",
     "tensor x f32 1,1,3,1\ntensor s i32 2 = 1,4\ntensor y f32 1,1,4,1\n"
     "op RESIZE_NEAREST_NEIGHBOR x,s -> y 0:u8=1\n" IO,
     {1, 2, 2, 3},
     4},
    {"RESIZE_NEAREST_NEIGHBOR, half_pixel_centers",
     "tensor x f32 1,1,4,1\ntensor s i32 2 = 1,2\ntensor y f32 1,1,2,1\n"
     "op RESIZE_NEAREST_NEIGHBOR x,s -> y 1:u8=1\n" IO,
     {2, 4},
     2},
    {"SPACE_TO_DEPTH",
     "tensor x f32 1,2,4,1\ntensor y f32 1,1,2,4\nop SPACE_TO_DEPTH x -> y 0:i32=2\n" IO,
     {1, 2, 5, 6, 3, 4, 7, 8},
     8},
    {"DEPTH_TO_SPACE",
     "tensor x f32 1,1,2,4\ntensor y f32 1,2,4,1\nop DEPTH_TO_SPACE x -> y 0:i32=2\n" IO,
     {1, 2, 5, 6, 3, 4, 7, 8},
     8},
    {"SPACE_TO_BATCH_ND with padding",
     "tensor x f32 1,1,3,1\ntensor b i32 2 = 1,2\ntensor p i32 2,2 = 0,0,1,0\ntensor y f32 2,1,2,1\n"
     "op SPACE_TO_BATCH_ND x,b,p -> y\n" IO,
     {0, 2, 1, 3},
     4},
    {"BATCH_TO_SPACE_ND with crops",
     "tensor x f32 2,1,2,1\ntensor b i32 2 = 1,2\ntensor p i32 2,2 = 0,0,1,0\ntensor y f32 1,1,3,1\n"
     "op BATCH_TO_SPACE_ND x,b,p -> y\n" IO,
     {3, 2, 4},
     3},
    {"FILL, SHAPE, CAST",
     "tensor x f32 2,3\ntensor s i32 2\ntensor f f32 2\ntensor y f32 2\nop SHAPE x -> s\nop CAST s -> f\n"
     "op ADD f,f -> y\n" IO,
     {4, 6},
     2},
    {"ADD_N, SQUARE",
     "tensor x f32 2\ntensor a f32 2\ntensor y f32 2\nop ADD_N x,x,x -> a\nop SQUARE a -> y\n" IO,
     {9, 36},
     2},
    {"SQUARED_DIFFERENCE",
     "tensor x f32 2\ntensor c f32 - = 4\ntensor y f32 2\nop SQUARED_DIFFERENCE x,c -> y\n" IO,
     {9, 4},
     2},
    {"BATCH_MATMUL, adj_y",
     "tensor x f32 1,2\ntensor c f32 3,2 = 1,0,0,1,1,1\ntensor y f32 1,3\nop BATCH_MATMUL x,c -> y "
     "1:u8=1\n" IO,
     {1, 2, 3},
     3},
    {"PRELU",
     "tensor x f32 1,2\ntensor c f32 1,2 = -3,-5\ntensor s f32 2 = 0.5,0.25\ntensor a f32 1,2\ntensor y f32 "
     "1,2\n"
     "op ADD x,c -> a\nop PRELU a,s -> y\n" IO,
     {-1, -0.75f},
     2},
    {"HARD_SWISH, ABS, NEG",
     "tensor x f32 4\ntensor a f32 4\ntensor b f32 4\ntensor y f32 4\nop HARD_SWISH x -> a\nop NEG a -> b\n"
     "op ABS b -> y\n" IO,
     {4.0f / 6, 10.0f / 6, 3, 4},
     4},
    {"TRANSPOSE_CONV VALID, stride 2",
     "tensor s i32 4 = 1,1,5,1\ntensor w f32 1,1,3,1 = 1,10,100\ntensor x f32 1,1,2,1\ntensor y f32 1,1,5,1\n"
     "op TRANSPOSE_CONV s,w,x -> y 0:u8=1 1:i32=2 2:i32=1\n" IO,
     {1, 10, 102, 20, 200},
     5},
    {"TRANSPOSE_CONV SAME, stride 2, bias",
     "tensor s i32 4 = 1,1,4,1\ntensor w f32 1,1,3,1 = 1,10,100\ntensor x f32 1,1,2,1\ntensor b f32 1 = "
     "1000\n"
     "tensor y f32 1,1,4,1\nop TRANSPOSE_CONV s,w,x,b -> y 0:u8=0 1:i32=2 2:i32=1\n" IO,
     {1001, 1010, 1102, 1020},
     4},
    {"a hybrid model",
     "tensor x f32 1,2\ntensor w i8 2,2 q=0.5:0,2:0@0 = 1,2,3,4\ntensor y f32 1,2\nop FULLY_CONNECTED x,w -> "
     "y\n" IO,
     {2.5f, 22},
     2},
    {"float16 weights",
     "tensor x f32 2\ntensor h f16 2 = 1,15360\ntensor c f32 2\ntensor y f32 2\nop DEQUANTIZE h -> c\n"
     "op MAXIMUM x,c -> y\n" IO,
     {1, 2},
     2},
    {"uint8 at the boundary", "tensor x u8 2 q=0.5:2\ntensor y u8 2 q=0.5:2\nop RELU x -> y\n" IO, {2, 2}, 2},
    {"CONCATENATION int8, rescaled",
     "tensor x i8 1,1 q=1:0\ntensor c i8 1,1 q=4:1 = 3\ntensor y i8 1,2 q=2:0\nop CONCATENATION x,c -> y "
     "0:i32=1\n" IO,
     {1, 4},
     2},
    {"PRELU int8",
     "tensor x i8 1,2 q=1:4\ntensor s i8 2 q=0.5:0 = 1,2\ntensor y i8 1,2 q=1:1\nop PRELU x,s -> y\n" IO,
     {0, -1},
     2},
    {"ABS int8, rescaled", "tensor x i8 2 q=1:8\ntensor y i8 2 q=2:0\nop ABS x -> y\n" IO, {4, 3}, 2},
    /* -3 / 6 * -1 = 0.5 (code 1 of 0.5), 2: -4 * 0 = 0; by the reference's 16-bit arithmetic */
    {"HARD_SWISH int8",
     "tensor x i8 3 q=1:2\ntensor y i8 3 q=0.25:0\nop HARD_SWISH x -> y\n" IO,
     {-1, 0, 3},
     3},
    {"ELU int8", "tensor x i8 3 q=1:2\ntensor y i8 3 q=0.01:0\nop ELU x -> y\n" IO, {-63, 0, 100}, 3},
    {"RSQRT int8", "tensor x i8 4 q=1:0\ntensor y i8 4 q=0.01:0\nop RSQRT x -> y\n" IO, {100, 71, 58, 50}, 4},
    {"TRANSPOSE_CONV int8",
     "tensor s i32 4 = 1,1,4,1\ntensor w i8 1,1,2,1 q=1:0 = 1,10\ntensor x i8 1,1,2,1 q=1:-1\n"
     "tensor y i8 1,1,4,1 q=1:5\nop TRANSPOSE_CONV s,w,x -> y 0:u8=1 1:i32=2 2:i32=1\n" IO,
     {7, 25, 8, 35},
     4},
    {"PAD int8 with the zero point",
     "tensor x i8 1,2 " Q "\ntensor p i32 2,2 = 0,0,1,0\ntensor y i8 1,3 " Q "\nop PAD x,p -> y\n" IO,
     {-1, 1, 2},
     3},
#define FORM(name, n, text, ...) {name, text, {__VA_ARGS__}, n},
#include "tests/frontend/tflite_forms.def"
#undef FORM
};

static Tensor counting(const Graph *g) {
  const Value *v = graph_val(g, g->inputs[0]);
  Tensor t = tensor_new(v->dtype, &v->shape);
  for (int64_t i = 0; i < shape_count(&v->shape); i++) {
    if (v->dtype == DT_F32)
      ((float *)t.data)[i] = (float)(i + 1);
    else if (v->dtype == DT_I32)
      ((int32_t *)t.data)[i] = (int32_t)(i + 1);
    else
      ((int8_t *)t.data)[i] = (int8_t)(i + 1); /* uint8 alike */
  }
  return t;
}

static float element(const Tensor *t, int i) {
  if (t->dtype == DT_F32) return ((const float *)t->data)[i];
  if (t->dtype == DT_I32) return (float)((const int32_t *)t->data)[i];
  if (t->dtype == DT_I64) return (float)((const int64_t *)t->data)[i];
  return (float)((const int8_t *)t->data)[i]; /* bool alike */
}

START_TEST(operators_are_understood)
{
  const Form *f = &forms[_i];
  Diag *d = diag_new();
  Graph *g = tflite_text_import(f->text, d);
  ck_assert_msg(g != NULL, "%s: not imported:\n%s", f->name, diag_text(d));
  ck_assert_msg(graph_verify(g, d), "%s: not valid:\n%s", f->name, diag_text(d));
  Tensor in = counting(g), out;
  oracle_eval(f->name, g, &in, 1, &out);
  ck_assert_msg(shape_count(&out.shape) == f->n, "%s: %ld elements, want %d", f->name,
                (long)shape_count(&out.shape), f->n);
  for (int i = 0; i < f->n; i++) {
    float got = element(&out, i);
    ck_assert_msg(got == f->want[i], "%s: element %d is %g, want %g", f->name, i, (double)got,
                  (double)f->want[i]);
  }
  tensor_free(&in);
  tensor_free(&out);
  graph_free(g);
  diag_free(d);
}
END_TEST

/* -- faults -- */

typedef struct Bad {
  const char *name, *text, *want[3];
  int errors;
} Bad;

static const Bad bad[] = {
    {"unknown operators, all at once",
     "tensor x f32 3\ntensor a f32 3\ntensor b f32 3\ntensor y f32 3\nop RNN x -> a\nop RNN a -> b\nop "
     "NON_MAX_SUPPRESSION_V4 b -> y\n" IO,
     {"text.tflite: node 0 \"a\" (RNN): error: operator RNN (code 24) is not supported, here and at 1 more "
      "node",
      "node 2 \"y\" (NON_MAX_SUPPRESSION_V4): error: operator NON_MAX_SUPPRESSION_V4 (code 120) is not "
      "supported",
      "hint: keep detection's post-processing out of the model"},
     2},
    {"a code of the future",
     "tensor x f32 3\ntensor y f32 3\nop 999 x -> y\n" IO,
     {"node 0 \"y\" (unknown): error: operator unknown (code 999) is not supported"},
     1},
    {"plain bytes",
     "tensor x u8 1,2\ntensor y u8 1,2\nop RELU x -> y\n" IO,
     {"tensor \"x\" has elements of UINT8 without a scale", "tensor \"y\""},
     2},
    {"half floats",
     "tensor x f32 2\ntensor c f16 2 = 1\ntensor y f32 2\nop ADD x,c -> y\n" IO,
     {"reads \"c\" of FLOAT16 elements; only DEQUANTIZE may"},
     1},
    {"half floats that are computed",
     "tensor x f32 2\ntensor c f16 2\ntensor y f32 2\nop CAST x -> c\nop CAST c -> y\n" IO,
     {"tensor \"c\" of FLOAT16 is computed"},
     1},
    {"int8 without a scale",
     "tensor x i8 2\ntensor y i8 2\nop RELU x -> y\n" IO,
     {"int8 tensor \"x\" has 0 scales; want one scale and zero point"},
     1},
    {"a scale of zero",
     "tensor x i8 2 q=0:0\ntensor y i8 2 q=1:0\nop RELU x -> y\n" IO,
     {"tensor \"x\" has scale 0 and zero point 0 for INT8 elements"},
     1},
    {"a zero point out of range",
     "tensor x i8 2 q=1:200\ntensor y i8 2 q=1:0\nop RELU x -> y\n" IO,
     {"zero point 200"},
     1},
    {"scales that do not fit the axis",
     "tensor x i8 3 q=1:0,2:0@0\ntensor y i8 3 q=1:0\nop RELU x -> y\n" IO,
     {"tensor \"x\" of shape [3] has 2 scales and 2 zero points along axis 0"},
     1},
    {"a shape that the operator does not give",
     "tensor x f32 1,3\ntensor y f32 1,4\nop RELU x -> y\n" IO,
     {"node 0 \"y\" (RELU): error: computes f32[1,3]; the file says that \"y\" is f32[1,4]"},
     1},
    {"a dimension of zero",
     "tensor x f32 1,0\ntensor y f32 1,3\nop RELU x -> y\n" IO,
     {"tensor \"x\": dimension 1 is 0; want a fixed shape"},
     1},
    {"operators out of order",
     "tensor x f32 3\ntensor a f32 3\ntensor y f32 3\nop RELU a -> y\nop RELU x -> a\n" IO,
     {"node 0 \"y\" (RELU): error: reads tensor \"a\" before it is computed"},
     1},
    {"a cycle",
     "tensor x f32 3\ntensor a f32 3\ntensor y f32 3\nop ADD x,y -> a\nop RELU a -> y\n" IO,
     {"node 0 \"a\" (ADD): error: reads tensor \"y\" before it is computed: the operators are cyclic"},
     1},
    {"nothing computes it",
     "tensor x f32 3\ntensor a f32 3\ntensor y f32 3\nop ADD x,a -> y\n" IO,
     {"reads tensor \"a\", which nothing computes"},
     1},
    {"two producers",
     "tensor x f32 3\ntensor y f32 3\nop RELU x -> y\nop TANH x -> y\n" IO,
     {"operator 1 writes tensor 1, which does not exist or is written already"},
     1},
    {"a fused TANH",
     "tensor x f32 3\ntensor y f32 3\nop ADD x,x -> y 0:u8=4\n" IO,
     {"has the fused activation TANH (4), which is not supported", "hint: "},
     1},
    {"strides of zero",
     "tensor x f32 1,3,3,1\ntensor w f32 1,1,1,1 = 1\ntensor y f32 1,3,3,1\n"
     "op CONV_2D x,w -> y 0:u8=1 1:i32=0 2:i32=1\n" IO,
     {"has strides 1,0 and dilations 1,1; want 1 to"},
     1},
    {"weights that are computed",
     "tensor x f32 1,2\ntensor w f32 1,2\ntensor y f32 1,1\nop RELU x -> w\n"
     "op FULLY_CONNECTED x,w -> y\n" IO,
     {"has computed weights (\"w\")"},
     1},
    {"weights of another size",
     "tensor x f32 1,2\ntensor w f32 1,3 = 1\ntensor y f32 1,1\nop FULLY_CONNECTED x,w -> y\n" IO,
     {"has weights of 2 dimensions and 3 columns for 2 elements of input"},
     1},
    {"a quantization that changes on the way",
     "tensor x i8 2 q=1:0\ntensor y i8 1,2 q=2:0\nop RESHAPE x -> y\n" IO,
     {"would change the quantization from \"x\" to \"y\"", "hint: "},
     1},
    {"axes that are computed",
     "tensor x f32 2,2\ntensor a i32 1\ntensor y f32 2\nop MEAN x,a -> y\n" IO,
     {"wants input 1 (\"a\") as constant integers; it is computed"},
     1},
    {"functions of int8, which the reference lacks",
     "tensor x i8 3 q=1:0\ntensor y i8 3 q=1:0\nop SIN x -> y\n" IO,
     {"computes on INT8 elements (\"x\"); supported are f32"},
     1},
    {"a norm of int8 with another scale than the reference's",
     "tensor x i8 1,3 q=1:0\ntensor y i8 1,3 q=1:0\nop L2_NORMALIZATION x -> y\n" IO,
     {"has an output (\"y\") of scale 1 and zero point 0; want 0.0078125 and 0"},
     1},
    {"places of what is computed",
     "tensor x f32 2\ntensor c f32 2 = 1\ntensor b bool 2\ntensor y i64 1,1\nop LESS x,c -> b\nop WHERE b -> "
     "y\n" IO,
     {"input 0 (\"b\") is computed when the model runs, and the output's shape depends on it", "hint: "},
     1},
    {"places for which the file has no room",
     "tensor x f32 2\ntensor b bool 2 = 1,1\ntensor y i64 1,1\nop WHERE b -> y\n" IO,
     {"finds 2 places; the file has room for 1 numbers"},
     1},
    {"an update that is too large",
     "tensor x i32 1\ntensor o f32 2\ntensor u f32 3 = 1\ntensor o2 f32 2 = 1\ntensor y f32 2\nop "
     "DYNAMIC_UPDATE_SLICE o2,u,x -> y\n" IO,
     {"has an update or starts that do not fit its input"},
     1},
    {"more of the best than there are",
     "tensor x f32 3\ntensor k i32 - = 4\ntensor y f32 4\ntensor z i32 4\nop TOPK_V2 x,k -> y,z\n" IO,
     {"takes 4 elements of 3"},
     1},
    {"a constant larger than the file is worth",
     "tensor d i32 2 = 16384,8192\ntensor v f32 - = 1\ntensor y f32 16384,8192\nop FILL d,v -> y\noutput y\n",
     {"makes a constant of 536870912 bytes; constants here and before would take more than 268435456 bytes"},
     1},
    {"a state larger than the file is worth",
     "tensor x f32 1,1\ntensor f f32 16384,1 = 2\ntensor t f32 16384,2 = 1,10\ntensor s f32 16384,32768 "
     "variable\n"
     "tensor y f32 16384,1\nop SVDF x,f,t,,s -> y 0:i32=1\ninput x\noutput y\n",
     {"makes a constant of 2147483648 bytes"},
     1},
    {"half floats as an input",
     "tensor x f16 2 = 1\ntensor y f32 2\nop DEQUANTIZE x -> y\n" IO,
     {"input \"x\" has elements of FLOAT16; supported are constants of it"},
     1},
    {"shapes of nothing",
     "tensor x f32 2\ntensor a i32 1\ntensor b i32 1\ntensor y i32 1\nop SHAPE , -> a\nop RANK , -> b\nop "
     "ADD "
     "a,b -> y\n" IO,
     {"(SHAPE): error: input 0 is left out", "(RANK): error: input 0 is left out"},
     2},
    {"numbers beyond 64 bits",
     "tensor x f32 2\ntensor a i64 - = 9e18\ntensor b i64 - = 9.2e18\ntensor c i64 - = 1e17\ntensor y i64 9\n"
     "op RANGE a,b,c -> y\n" IO,
     {"counts 2 numbers; the file has room for 9"},
     1},
    {"numbers that never end",
     "tensor x f32 2\ntensor a f32 - = 0\ntensor b f32 - = 2\ntensor y f32 2\nop RANGE a,b,a -> y\n" IO,
     {"has a step of 0"},
     1},
    {"a volume that asks for much",
     "tensor x f32 1,1048576,1,1,1\ntensor w f32 32768,1,1,1,1 = 1\ntensor y f32 1,1015809,1,1,1\n"
     "op CONV_3D x,w -> y 0:u8=1 1:i32=1 2:i32=1 3:i32=1 5:i32=1 6:i32=1 7:i32=1\n" IO,
     {"makes a constant of 133144117248 bytes"},
     1},
    {"two faults and what depends on them",
     "tensor x f32 3\ntensor a f32 3\ntensor b f32 3\ntensor c f32 3\ntensor y f32 3\n"
     "op RNN x -> a\nop RELU a -> b\nop ADD x,x -> c 0:u8=4\nop ADD b,c -> y\n" IO,
     {"(RNN)", "fused activation TANH"},
     2},
};

START_TEST(faults_are_reported)
{
  const Bad *b = &bad[_i];
  Diag *d = diag_new();
  Graph *g = tflite_text_import(b->text, d);
  ck_assert_msg(g == NULL, "%s: imported", b->name);
  for (int i = 0; i < 3 && b->want[i]; i++)
    ck_assert_msg(strstr(diag_text(d), b->want[i]) != NULL, "%s: want \"%s\", got:\n%s", b->name, b->want[i],
                  diag_text(d));
  ck_assert_msg(diag_count(d) == b->errors, "%s: %d errors, want %d:\n%s", b->name, diag_count(d), b->errors,
                diag_text(d));
  diag_free(d);
}
END_TEST

/* -- damage: every form of above, cut off at every length and changed at random places -- */

static void import_damaged(const void *bytes, size_t n, const char *how) {
  Diag *d = diag_new();
  Blob *b = blob_new(bytes, n);
  Graph *g = tflite_import_bytes(b, "damaged.tflite", d);
  blob_unref(b);
  ck_assert_msg((g == NULL) == (diag_count(d) > 0), "%s: %s with %d errors", how, g ? "a graph" : "no graph",
                diag_count(d));
  if (g) ck_assert_msg(graph_verify(g, d), "%s: not valid:\n%s", how, diag_text(d));
  graph_free(g);
  diag_free(d);
}

START_TEST(damaged_files_are_survived)
{
  Blob *b = tflite_text(forms[_i].text);
  size_t n = blob_size(b);
  unsigned char *bytes = malloc(n);
  char how[160];
  Rng r;
  ck_assert(bytes != NULL);
  memcpy(bytes, blob_raw(b), n);
  for (size_t len = 0; len < n; len++) {
    snprintf(how, sizeof how, "%s: first %zu of %zu bytes", forms[_i].name, len, n);
    import_damaged(bytes, len, how);
  }
  rng_seed(&r, 1, (uint64_t)_i);
  for (int round = 0; round < 200; round++) {
    size_t at = rng_below(&r, (uint32_t)n);
    unsigned char was = bytes[at];
    bytes[at] = (unsigned char)rng_u64(&r);
    snprintf(how, sizeof how, "%s: byte %zu is %u", forms[_i].name, at, bytes[at]);
    import_damaged(bytes, n, how);
    bytes[at] = was;
  }
  free(bytes);
  blob_unref(b);
}
END_TEST

Suite *suite_tflite_forms(void);
Suite *suite_tflite_forms(void) {
  Suite *s = suite_create("tflite_forms");
  TCase *t = tcase_create("forms");
  tcase_add_loop_test(t, operators_are_understood, 0, (int)(sizeof forms / sizeof forms[0]));
  tcase_add_loop_test(t, faults_are_reported, 0, (int)(sizeof bad / sizeof bad[0]));
  tcase_add_loop_test(t, damaged_files_are_survived, 0, (int)(sizeof forms / sizeof forms[0]));
  suite_add_tcase(s, t);
  return s;
}
