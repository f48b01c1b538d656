/* TFLite models of int16 activations and int8 weights, from files that the test writes: operators by values found by
 * hand; a small net from file to firmware, whose bytes are those of a plain restatement of the reference's arithmetic;
 * what is refused. Weights of INT4 too.
 */
#include "tests/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/tflite/tflite.h"
#include "ir/base/strbuf.h"
#include "ir/eval.h"
#include "tests/backend/emitted.h"
#include "tests/frontend/tflite_text.h"

Suite *suite_tflite_16x8(void);

/* -- one operator -- */

typedef struct Form {
  const char *name, *text;
  double in[8];   /* elements of x */
  double want[8]; /* elements of y */
} Form;

#define IO   "input x\noutput y\n"
#define UNIT "q=3.0517578125e-05:0"

static const Form forms[] = {
    /* 2 (x0 + x1 ...): a window of 1x2 with SAME padding; factor 1/2 */
    {"CONV_2D, int64 bias",
     "tensor x i16 1,1,3,1 q=1:0\ntensor w i8 1,1,2,1 q=0.5:0 = 2,3\ntensor b i64 1 q=0.5:0 = 4\n"
     "tensor y i16 1,1,3,1 q=1:0\nop CONV_2D x,w,b -> y 0:u8=0 1:i32=1 2:i32=1 3:u8=1\n" IO,
     {100, -200, 300},
     {0, 252, 302}},
    {"CONV_2D, int32 bias",
     "tensor x i16 1,1,2,1 q=1:0\ntensor w i8 1,1,1,1 q=0.5:0 = 1\ntensor b i32 1 q=0.5:0 = 0\n"
     "tensor y i16 1,1,2,1 q=1:0\nop CONV_2D x,w,b -> y 0:u8=1 1:i32=1 2:i32=1\n" IO,
     {101, -101},
     {51, -50}},
    {"DEPTHWISE_CONV_2D, scales per channel",
     "tensor x i16 1,1,1,2 q=1:0\ntensor w i8 1,1,1,2 q=0.5:0,2:0@3 = 3\ntensor b i64 2 = 10,-10\n"
     "tensor y i16 1,1,1,2 q=1:0\nop DEPTHWISE_CONV_2D x,w,b -> y 0:u8=1 1:i32=1 2:i32=1 3:i32=1\n" IO,
     {100, 1000},
     {155, 5980}},
    {"FULLY_CONNECTED",
     "tensor x i16 1,2 q=0.25:0\ntensor w i8 2,2 q=0.5:0 = 2,3,-4,5\ntensor b i64 2 = 1000000,-1000000\n"
     "tensor y i16 1,2 q=64:0\nop FULLY_CONNECTED x,w,b -> y\n" IO,
     {30000, -20000},
     {1953, -2383}},
    {"ADD, RELU",
     "tensor x i16 2 q=0.5:0\ntensor c i16 2 q=0.25:0 = 300,-4000\ntensor y i16 2 q=0.5:0\n"
     "op ADD x,c -> y 0:u8=1\n" IO,
     {1000, 1000},
     {1150, 0}},
    {"SUB",
     "tensor x i16 2 q=0.5:0\ntensor c i16 2 q=0.25:0 = 300,-4000\ntensor y i16 2 q=0.5:0\nop SUB x,c -> "
     "y\n" IO,
     {1000, 1000},
     {850, 3000}},
    {"MUL",
     "tensor x i16 2 " UNIT "\ntensor c i16 1 q=1:0 = 2000\ntensor y i16 2 q=1:0\nop MUL x,c -> y\n" IO,
     {30000, -30000},
     {1831, -1831}},
    {"MAX_POOL_2D",
     "tensor x i16 1,2,2,1 q=1:0\ntensor y i16 1,1,1,1 q=1:0\n"
     "op MAX_POOL_2D x -> y 0:u8=1 1:i32=2 2:i32=2 3:i32=2 4:i32=2\n" IO,
     {-5, -1000, -4, -30000},
     {-4}},
    {"AVERAGE_POOL_2D",
     "tensor x i16 1,2,2,1 q=1:0\ntensor y i16 1,1,1,1 q=1:0\n"
     "op AVERAGE_POOL_2D x -> y 0:u8=1 1:i32=2 2:i32=2 3:i32=2 4:i32=2\n" IO,
     {-5, -1000, -4, -30001},
     {-7753}},
    {"MEAN",
     "tensor x i16 1,2,2,1 q=1:0\ntensor a i32 2 = 1,2\ntensor y i16 1,1 q=0.5:0\nop MEAN x,a -> y\n" IO,
     {300, 200, 200, 202},
     {451}},
    {"CONCATENATION, one rescaled",
     "tensor x i16 1,2 q=0.5:0\ntensor c i16 1,1 q=1:0 = 7\ntensor y i16 1,3 q=0.5:0\n"
     "op CONCATENATION x,c -> y 0:i32=1\n" IO,
     {300, -5},
     {300, -5, 14}},
    {"PADV2",
     "tensor x i16 1,1 q=0.5:0\ntensor p i32 2,2 = 0,0,1,2\ntensor v i16 1 q=0.5:0 = -9\ntensor y i16 1,4 "
     "q=0.5:0\n"
     "op PADV2 x,p,v -> y\n" IO,
     {300},
     {-9, 300, -9, -9}},
    {"SPLIT and PACK",
     "tensor k i32 - = 0\ntensor x i16 4 q=0.5:0\ntensor a i16 2 q=0.5:0\ntensor b i16 2 q=0.5:0\n"
     "tensor y i16 2,2 q=0.5:0\nop SPLIT k,x -> a,b 0:i32=2\nop PACK b,a -> y 0:i32=2 1:i32=1\n" IO,
     {1000, 2000, 3000, 4000},
     {3000, 1000, 4000, 2000}},
    {"TRANSPOSE",
     "tensor x i16 2,2 q=0.5:0\ntensor p i32 2 = 1,0\ntensor y i16 2,2 q=0.5:0\nop TRANSPOSE x,p -> y\n" IO,
     {1000, 2000, 3000, 4000},
     {1000, 3000, 2000, 4000}},
    {"STRIDED_SLICE",
     "tensor x i16 4 q=0.5:0\ntensor b i32 1 = 3\ntensor e i32 1 = 0\ntensor s i32 1 = -2\ntensor y i16 2 "
     "q=0.5:0\n"
     "op STRIDED_SLICE x,b,e,s -> y\n" IO,
     {1000, 2000, 3000, 4000},
     {4000, 2000}},
    {"GATHER",
     "tensor x i16 3 q=0.5:0\ntensor i i32 2 = 2,0\ntensor y i16 2 q=0.5:0\nop GATHER x,i -> y\n" IO,
     {1000, 2000, 3000},
     {3000, 1000}},
    {"LOGISTIC",
     "tensor x i16 2 q=0.000244140625:0\ntensor y i16 2 " UNIT "\nop LOGISTIC x -> y\n" IO,
     {0, 4096},
     {16384, 23956}},
    {"TANH",
     "tensor x i16 3 q=0.000244140625:0\ntensor y i16 3 " UNIT "\nop TANH x -> y\n" IO,
     {0, 4096, -32768},
     {0, 24956, -32767}},
    {"SOFTMAX",
     "tensor x i16 1,2 q=0.001:0\ntensor y i16 1,2 " UNIT "\nop SOFTMAX x -> y 0:f32=1\n" IO,
     {1000, 1000},
     {16384, 16384}},
    {"RELU and RELU6",
     "tensor x i16 3 q=0.01:0\ntensor a i16 3 q=0.01:0\ntensor y i16 3 q=0.01:0\nop RELU x -> a\nop RELU6 a "
     "-> y\n" IO,
     {-5, 300, 700},
     {0, 300, 600}},
    {"LEAKY_RELU",
     "tensor x i16 2 q=1:0\ntensor y i16 2 q=1:0\nop LEAKY_RELU x -> y 0:f32=0.25\n" IO,
     {-402, 300},
     {-101, 300}},
    {"MAXIMUM and MINIMUM",
     "tensor x i16 3 q=1:0\ntensor c i16 3 q=1:0 = 0\ntensor d i16 3 q=1:0 = 500\ntensor a i16 3 q=1:0\n"
     "tensor y i16 3 q=1:0\nop MAXIMUM x,c -> a\nop MINIMUM a,d -> y\n" IO,
     {-402, 300, 30000},
     {0, 300, 500}},
    /* 3 * 200 + 4 * 300, 5 * 200 - 300, over 2^3 */
    {"BATCH_MATMUL",
     "tensor x i16 2,2 q=0.5:0\ntensor c i16 2,1 q=0.25:0 = 200,300\ntensor y i16 2,1 q=1:0\n"
     "op BATCH_MATMUL x,c -> y\n" IO,
     {3, 4, 5, -1},
     {225, 88}},
    {"BATCH_MATMUL, the right factor transposed",
     "tensor x i16 1,2 q=0.5:0\ntensor c i16 2,2 q=0.25:0 = 200,300,-8,16\ntensor y i16 1,2 q=1:0\n"
     "op BATCH_MATMUL x,c -> y 1:u8=1\n" IO,
     {3, 4},
     {225, 5}},
    {"QUANTIZE from f32",
     "tensor x f32 3\ntensor y i16 3 q=0.5:0\nop QUANTIZE x -> y\n" IO,
     {0.25, -0.25, 1e9},
     {1, -1, 32767}},
    {"DEQUANTIZE",
     "tensor x i16 2 q=0.5:0\ntensor y f32 2\nop DEQUANTIZE x -> y\n" IO,
     {300, -3},
     {150, -1.5}},
    {"QUANTIZE from int16 to int8 and back",
     "tensor x i16 3 q=0.25:0\ntensor a i8 3 q=0.5:-3\ntensor y i16 3 q=0.25:0\nop QUANTIZE x -> a\nop "
     "QUANTIZE a -> y\n" IO,
     {100, -251, 5},
     {100, -250, 6}},
    {"QUANTIZE from int16 to int32 and back",
     "tensor x i16 2 q=0.5:0\ntensor a i32 2 q=0.25:0\ntensor y i16 2 q=0.5:0\nop QUANTIZE x -> a\nop "
     "QUANTIZE a -> y\n" IO,
     {32767, -5},
     {32767, -5}},
    /* int4, two to a byte: 7 weights */
    {"FULLY_CONNECTED with INT4 weights",
     "tensor x i8 1,7 q=1:0\ntensor w i4 1,7 q=1:0 = 1,-8,7,-1,0,3,-2\ntensor b i32 1 = 0\ntensor y i8 1,1 "
     "q=1:0\n"
     "op FULLY_CONNECTED x,w,b -> y\n" IO,
     {1, 2, 3, 4, 5, 6, 7},
     {6}},
    {"DEPTHWISE_CONV_2D with INT4 weights",
     "tensor x i8 1,1,1,2 q=1:0\ntensor w i4 1,1,1,2 q=1:0 = -3,7\ntensor b i32 2 = 0\n"
     "tensor y i8 1,1,1,2 q=1:0\nop DEPTHWISE_CONV_2D x,w,b -> y 0:u8=1 1:i32=1 2:i32=1 3:i32=1\n" IO,
     {5, 4},
     {-15, 28}},
    {"CONV_2D with INT4 weights per channel",
     "tensor x i8 1,1,1,3 q=1:0\ntensor w i4 2,1,1,3 q=1:0,2:0@0 = 7,-8,1,-1,2,-3\ntensor b i32 2 = 0\n"
     "tensor y i8 1,1,1,2 q=1:0\nop CONV_2D x,w,b -> y 0:u8=1 1:i32=1 2:i32=1\n" IO,
     {5, 4, 3},
     {6, -12}},
};

static Graph *imported(const char *name, const char *text) {
  Diag *d = diag_new();
  Graph *g = tflite_text_import(text, d);
  ck_assert_msg(g != NULL, "%s: %s", name, diag_text(d));
  diag_free(d);
  return g;
}

static double element(const void *p, DType t, int64_t i) {
  return t == DT_F32 ? (double)((const float *)p)[i] : (double)dtype_get(t, p, i);
}

static void set_element(void *p, DType t, int64_t i, double v) {
  if (t == DT_F32)
    ((float *)p)[i] = (float)v;
  else
    dtype_set(t, p, i, (int64_t)v);
}

START_TEST(operators)
{
  const Form *f = &forms[_i];
  Graph *g = imported(f->name, f->text);
  const Value *x = graph_val(g, g->inputs[0]), *y = graph_val(g, g->outputs[0]);
  double buffer[8] = {0};
  for (int64_t i = 0; i < shape_count(&x->shape); i++) set_element(buffer, x->dtype, i, f->in[i]);
  Diag *d = diag_new();
  Evaluator *e = evaluator_new(g, d);
  ck_assert_msg(e != NULL, "%s: %s", f->name, diag_text(d));
  evaluator_run(e, (const void *const[]){buffer});
  for (int64_t i = 0; i < shape_count(&y->shape); i++) {
    const double got = element(evaluator_value(e, g->outputs[0]), y->dtype, i);
    ck_assert_msg(got == f->want[i], "%s: element %d is %g, want %g", f->name, (int)i, got, f->want[i]);
  }
  evaluator_free(e);
  graph_free(g);
  diag_free(d);
}
END_TEST

/* -- what is refused -- */

static const struct {
  const char *text, *want;
} bad[] = {
    {"tensor x i16 2 q=1:5\ntensor y i16 2 q=1:0\nop RELU x -> y\n" IO,
     "scale 1 and zero point 5 for INT16 elements"},
    {"tensor x i16 2\ntensor y i16 2\nop RELU x -> y\n" IO, "int16 tensor \"x\" has 0 scales"},
    {"tensor x i16 2 q=1:0\ntensor y i16 2 q=1:0\nop HARD_SWISH x -> y\n" IO, "computes on i16 elements"},
    {"tensor x i16 2 q=1:0\ntensor c i16 1 q=1:0 = 2\ntensor y i16 2 q=1:0\nop PRELU x,c -> y\n" IO,
     "computes on i16 elements"},
    {"tensor x i16 2 q=1:0\ntensor c i16 1 q=1:0 = 2\ntensor y i16 2 q=1:0\nop DIV x,c -> y\n" IO,
     "divides int16 tensors"},
    {"tensor x i16 1,1 q=1:0\ntensor w i16 1,1 q=1:0 = 2\ntensor y i16 1,1 q=1:0\nop FULLY_CONNECTED x,w -> "
     "y\n" IO,
     "has i16 weights (\"w\") for i16 data"},
    {"tensor x i16 1,1,1,1 q=1:0\ntensor w i8 1,1,1,1 q=1:0 = 2\ntensor b i32 1 = 1\ntensor y i16 1,1,1,1 "
     "q=1:0\n"
     "op DEPTHWISE_CONV_2D x,w,b -> y 0:u8=1 1:i32=1 2:i32=1 3:i32=1\n" IO,
     "has a bias of i32 elements for i16 data"},
    {"tensor x i8 2 q=1:0\ntensor c i16 1 q=1:0 = 2\ntensor y i8 2 q=1:0\nop ADD x,c -> y\n" IO,
     "has inputs of i8 and i16"},
};

START_TEST(refusals)
{
  Diag *d = diag_new();
  Graph *g = tflite_text_import(bad[_i].text, d);
  ck_assert_msg(g == NULL && strstr(diag_text(d), bad[_i].want), "want \"%s\", got:\n%s", bad[_i].want,
                diag_text(d));
  diag_free(d);
}
END_TEST

/* -- a net -- */

enum { H = 6, W = 6, C = 2, F = 4, OUT = 3 };

static const char net[] =
    "tensor x i16 1,6,6,2 q=0.001:0\n"
    "tensor w1 i8 4,3,3,2 q=0.01:0,0.02:0,0.005:0,0.015:0@0 = 12,-7,127,-3,55,-127,31,8,-90,64,-21\n"
    "tensor b1 i64 4 = 1000,-2000,3000,40\ntensor c1 i16 1,3,3,4 q=0.002:0\n"
    "tensor w2 i8 1,3,3,4 q=0.01:0,0.03:0,0.01:0,0.02:0@3 = -120,33,71,2,-9,127,-64,18,5\n"
    "tensor b2 i64 4 = -500,700,1,9\ntensor c2 i16 1,3,3,4 q=0.004:0\ntensor s i16 1,3,3,4 q=0.003:0\n"
    "tensor p i16 1,1,1,4 q=0.003:0\ntensor r i16 1,4 q=0.003:0\n"
    "tensor w3 i8 3,4 q=0.02:0 = 100,-100,50,-25,3,77,-127\ntensor b3 i64 3 = 9000,-12000,77\n"
    "tensor f i16 1,3 q=0.0005:0\ntensor y i16 1,3 " UNIT "\n"
    "op CONV_2D x,w1,b1 -> c1 0:u8=0 1:i32=2 2:i32=2 3:u8=1\n"
    "op DEPTHWISE_CONV_2D c1,w2,b2 -> c2 0:u8=0 1:i32=1 2:i32=1 3:i32=1\n"
    "op ADD c1,c2 -> s\nop AVERAGE_POOL_2D s -> p 0:u8=1 1:i32=3 2:i32=3 3:i32=3 4:i32=3\n"
    "op RESHAPE p -> r\nop FULLY_CONNECTED r,w3,b3 -> f\nop SOFTMAX f -> y 0:f32=1\n"
    "input x\noutput f\noutput y\n";

/* The factor as a multiplier of 15 bits and a shift: real = m * 2^(e - 15), m in 2^14 .. 2^15-1. */
static int64_t rescaled(int64_t acc, double real) {
  int e;
  const double q = frexp(real, &e);
  int64_t m31 = llround(q * 2147483648.0);
  if (m31 == (int64_t)1 << 31) m31 /= 2, e++;
  const int64_t m = m31 < 0x7fff0000 ? (m31 + 32768) / 65536 : 0x7fff;
  return (int64_t)floorl(ldexpl((long double)acc * m, e - 15) + 0.5L);
}

/* x by a factor of 31 bits: rounded to 2^e of a result (halves up), then to the result (halves away from zero). */
static int64_t rescaled_twice(int64_t x, double real) {
  int e;
  const double q = frexp(real, &e);
  const int64_t high = (int64_t)floorl(ldexpl((long double)x * llround(q * 2147483648.0), -31) + 0.5L);
  return llround(ldexp((double)high, e)); /* e <= 0 */
}

/* Add: both on twice the larger scale, 2^15 times as fine. */
static int64_t added(int64_t a, double sa, int64_t b, double sb, double sy) {
  const double twice = 2 * fmax(sa, sb);
  const int64_t sum = rescaled_twice(a * 32768, sa / twice) + rescaled_twice(b * 32768, sb / twice);
  return rescaled_twice(sum, twice / (32768 * sy));
}

static int16_t sat(int64_t v, int64_t lo) { return (int16_t)(v < lo ? lo : v > 32767 ? 32767 : v); }

static int64_t repeated(const int *v, int n, int i) { return v[i % n]; }

/* The net's logits, restated. */
static void logits(const int16_t *x, int16_t *f) {
  static const int w1[] = {12, -7, 127, -3, 55, -127, 31, 8, -90, 64, -21}, b1[] = {1000, -2000, 3000, 40};
  static const int w2[] = {-120, 33, 71, 2, -9, 127, -64, 18, 5}, b2[] = {-500, 700, 1, 9};
  static const int w3[] = {100, -100, 50, -25, 3, 77, -127}, b3[] = {9000, -12000, 77};
  static const float s1[] = {0.01f, 0.02f, 0.005f, 0.015f}, s2[] = {0.01f, 0.03f, 0.01f, 0.02f};
  int16_t c1[9 * F], c2[9 * F], s[9 * F], p[F];
  for (int i = 0; i < 9 * F; i++) { /* SAME, stride 2: 0 rows above, 1 below */
    int64_t acc = b1[i % F];
    for (int k = 0; k < 9 * C; k++) {
      const int iy = i / F / 3 * 2 + k / C / 3, ix = i / F % 3 * 2 + k / C % 3;
      if (iy < H && ix < W) acc += x[(iy * W + ix) * C + k % C] * repeated(w1, 11, i % F * 18 + k);
    }
    c1[i] = sat(rescaled(acc, (double)0.001f * (double)s1[i % F] / (double)0.002f), 0);
  }
  for (int i = 0; i < 9 * F; i++) {
    int64_t acc = b2[i % F];
    for (int k = 0; k < 9; k++) {
      const int iy = i / F / 3 - 1 + k / 3, ix = i / F % 3 - 1 + k % 3;
      if (iy >= 0 && iy < 3 && ix >= 0 && ix < 3)
        acc += c1[(iy * 3 + ix) * F + i % F] * repeated(w2, 9, k * F + i % F);
    }
    c2[i] = sat(rescaled(acc, (double)0.002f * (double)s2[i % F] / (double)0.004f), INT16_MIN);
  }
  for (int i = 0; i < 9 * F; i++)
    s[i] = sat(added(c1[i], (double)0.002f, c2[i], (double)0.004f, (double)0.003f), INT16_MIN);
  for (int o = 0; o < F; o++) {
    int sum = 0;
    for (int i = 0; i < 9; i++) sum += s[i * F + o];
    p[o] = (int16_t)round(sum / 9.0);
  }
  for (int o = 0; o < OUT; o++) {
    int64_t acc = b3[o];
    for (int k = 0; k < F; k++) acc += p[k] * repeated(w3, 7, o * F + k);
    f[o] = sat(rescaled(acc, (double)(0.003f * 0.02f) / (double)0.0005f), INT16_MIN);
  }
}

START_TEST(net_as_restated)
{
  Graph *g = imported("net", net);
  Diag *d = diag_new();
  Evaluator *e = evaluator_new(g, d);
  ck_assert_msg(e != NULL, "%s", diag_text(d));
  for (int round = 0; round < 50; round++) {
    int16_t x[H * W * C], want[OUT];
    for (int i = 0; i < H * W * C; i++) x[i] = (int16_t)((i * 7919 + round * 104729) % 65536 - 32768);
    logits(x, want);
    evaluator_run(e, (const void *const[]){x});
    const int16_t *f = evaluator_value(e, g->outputs[0]), *y = evaluator_value(e, g->outputs[1]);
    double sum = 0;
    for (int o = 0; o < OUT; o++) {
      ck_assert_msg(f[o] == want[o], "round %d: logit %d is %d, want %d", round, o, f[o], want[o]);
      sum += exp((double)0.0005f * f[o]);
    }
    for (int o = 0; o < OUT; o++) {
      const double real = exp((double)0.0005f * f[o]) / sum * 32768;
      ck_assert_msg(fabs(y[o] - real) <= 8, "round %d: probability %d is %d, want about %g", round, o, y[o],
                    real);
    }
  }
  evaluator_free(e);
  graph_free(g);
  diag_free(d);
}
END_TEST

START_TEST(net_as_firmware)
{
  static const char *const names[] = {"x86-64", "cortex-m4", "cortex-m0"};
  if (!have_target(__FILE__, names[_i])) return;
  Graph *g = imported("net", net);
  const char *dir = emit_to_tmp(g, names[_i], "wide");
  Diag *d = diag_new();
  Measured m;
  ck_assert_msg(harness_verify(dir, target_find(names[_i]), NULL, &m, d), "%s: %s", names[_i], diag_text(d));
  ck_assert(m.built && m.ran);
  ck_assert_int_gt(m.vectors, 0);
  ck_assert_int_eq(m.vectors_equal, m.vectors);
  diag_free(d);
  graph_free(g);
}
END_TEST

/* Written as TFLite and read again: the same graph. */
START_TEST(net_written_and_read)
{
  Graph *g = imported("net", net);
  Diag *d = diag_new();
  StrBuf file = {0};
  ck_assert_msg(tflite_write(g, &file, d), "%s", diag_text(d));
  Blob *b = blob_new(file.s, file.len);
  Graph *back = tflite_import_bytes(b, "again.tflite", d);
  ck_assert_msg(back != NULL, "%s", diag_text(d));
  Evaluator *e[2] = {evaluator_new(g, d), evaluator_new(back, d)};
  int16_t x[H * W * C];
  for (int i = 0; i < H * W * C; i++) x[i] = (int16_t)(i * 7919 % 65536 - 32768);
  for (int k = 0; k < 2; k++) evaluator_run(e[k], (const void *const[]){x});
  for (uint32_t o = 0; o < 2; o++)
    ck_assert_mem_eq(evaluator_value(e[0], g->outputs[o]), evaluator_value(e[1], back->outputs[o]), OUT * 2);
  for (int k = 0; k < 2; k++) evaluator_free(e[k]);
  blob_unref(b);
  sb_free(&file);
  graph_free(g);
  graph_free(back);
  diag_free(d);
}
END_TEST

Suite *suite_tflite_16x8(void) {
  Suite *s = suite_create("tflite_16x8");
  TCase *t = tcase_create("16x8");
  tcase_set_timeout(t, 60);
  tcase_add_loop_test(t, operators, 0, (int)(sizeof forms / sizeof forms[0]));
  tcase_add_loop_test(t, refusals, 0, (int)(sizeof bad / sizeof bad[0]));
  tcase_add_test(t, net_as_restated);
  tcase_add_loop_test(t, net_as_firmware, 0, 3);
  tcase_add_test(t, net_written_and_read);
  suite_add_tcase(s, t);
  return s;
}
