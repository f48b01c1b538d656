/* ONNX operators on elements and along axes, forms that the conformance tests at hand do not have: every element type,
 * attributes off their defaults, old opsets. The values are worked out by hand from the operators' schemas.
 */
#include "tests/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/onnx/onnx.h"
#include "ir/eval.h"
#include "tests/frontend/onnx_text.h"
#include "tests/frontend/oracle.h"

typedef struct Row {
  const char *name, *text; /* inputs count 1, 2, 3, ... */
  const char *want;
} Row;

#define NO_INPUT "input x f32 1\noutput y\n"
#define TWO(type, n, a, b, node)                                                                         \
  NO_INPUT "init a " type " " n " = " a "\ninit b " type " " n " = " b "\n" node "\nnode Cast c z -> y " \
           "to=1\n"
#define ONE(type, n, a, node) NO_INPUT "init a " type " " n " = " a "\n" node "\nnode Cast c z -> y to=1\n"
#define F32(n, a, node)       NO_INPUT "init a f32 " n " = " a "\n" node "\n"

static const Row rows[] = {
    /* narrow types wrap on the way back */
    {"Add u8", TWO("u8", "3", "250,3,4", "10,5,6", "node Add n a,b -> z"), "4,8,10"},
    {"Sub u16", TWO("u16", "2", "1,5", "2,3", "node Sub n a,b -> z"), "65535,2"},
    {"Mul i8", TWO("i8", "2", "100,-3", "2,5", "node Mul n a,b -> z"), "-56,-15"},
    {"Div i16", TWO("i16", "3", "7,-7,7", "2,2,-2", "node Div n a,b -> z"), "3,-3,-3"},
    {"Div u32", TWO("u32", "2", "4294967295,7", "2,2", "node Div n a,b -> z"), "2147483648,3"},
    {"Max u64", TWO("u64", "2", "1,9", "3,4", "node Max n a,b -> z"), "3,9"},
    {"Sum f16, rounded once",
     TWO("f32", "2", "2048,1", "1,1",
         "node Cast p a -> p to=10\nnode Cast q b -> q to=10\n"
         "node Sum n p,q,q -> z"),
     "2050,3"},
    {"Mean f64", TWO("f64", "2", "1,2", "4,5", "node Mean n a,b -> z"), "2.5,3.5"},
    {"Neg i8", ONE("i8", "3", "1,-128,0", "node Neg n a -> z"), "-1,-128,0"},
    {"Abs i8", ONE("i8", "3", "-5,-128,7", "node Abs n a -> z"), "5,-128,7"},
    {"Sign i16", ONE("i16", "3", "-5,0,7", "node Sign n a -> z"), "-1,0,1"},
    {"Pow i32 f32",
     NO_INPUT "init a i32 2 = 4,9\ninit b f32 2 = 0.5,1.5\nnode Pow n a,b -> z\nnode Cast c z -> y to=1\n",
     "2,27"},
    {"Pow f32 i64", NO_INPUT "init a f32 2 = 2,-3\ninit b i64 2 = -1,3\nnode Pow n a,b -> y\n", "0.5,-27"},
    {"Mod u8", TWO("u8", "2", "200,7", "3,4", "node Mod n a,b -> z"), "2,3"},
    {"Mod i8 fmod", TWO("i8", "2", "-7,7", "3,-3", "node Mod n a,b -> z fmod=1"), "-1,1"},
    {"BitShift u8 left", TWO("u8", "3", "16,1,4", "1,8,3", "node BitShift n a,b -> z direction=\"LEFT\""),
     "32,0,32"},
    {"BitShift u16 right", TWO("u16", "2", "65535,4", "8,1", "node BitShift n a,b -> z direction=\"RIGHT\""),
     "255,2"},
    {"BitwiseNot u8", ONE("u8", "2", "0,250", "node BitwiseNot n a -> z"), "255,5"},
    {"BitwiseNot i32", ONE("i32", "2", "0,5", "node BitwiseNot n a -> z"), "-1,-6"},
    {"BitwiseXor i16", TWO("i16", "2", "12,-1", "10,1", "node BitwiseXor n a,b -> z"), "6,-2"},
    {"Not", ONE("bool", "2", "1,0", "node Not n a -> z"), "0,1"},
    {"Xor", TWO("bool", "4", "0,0,1,1", "0,1,0,1", "node Xor n a,b -> z"), "0,1,1,0"},
    {"Equal bool", TWO("bool", "2", "1,0", "1,1", "node Equal n a,b -> z"), "1,0"},
    {"GreaterOrEqual u32", TWO("u32", "3", "4294967295,1,2", "1,2,2", "node GreaterOrEqual n a,b -> z"),
     "1,0,1"},
    {"Greater f64", TWO("f64", "2", "1,2", "2,1", "node Greater n a,b -> z"), "0,1"},
    {"Where u8",
     NO_INPUT "init c bool 3 = 1,0,1\ninit a u8 3 = 1,2,3\ninit b u8 1 = 9\nnode Where n c,a,b -> z\n"
              "node Cast k z -> y to=1\n",
     "1,9,3"},
    {"IsInf below", ONE("f32", "3", "inf,-inf,1", "node IsInf n a -> z detect_positive=0"), "0,1,0"},
    {"IsInf never", ONE("f32", "2", "inf,1", "node IsInf n a -> z detect_positive=0 detect_negative=0"),
     "0,0"},
    {"Round", F32("5", "0.5,1.5,-2.5,2.4,-0.4", "node Round n a -> y"), "0,2,-2,2,0"},
    {"Clip i8",
     NO_INPUT "init a i8 3 = -9,0,9\ninit l i8 - = -2\ninit h i8 - = 5\nnode Clip n a,l,h -> z\n"
              "node Cast k z -> y to=1\n",
     "-2,0,5"},
    {"Clip of computed limits",
     "input x f32 4\noutput y\ninit t f32 1 = 2\nnode ReduceMax m x -> h keepdims=0\n"
     "node Sub s h,t -> h2\nnode ReduceMin n x -> l keepdims=0\nnode Clip c x,l,h2 -> y\n",
     "1,2,2,2"},
    /* activations */
    {"HardSwish", F32("3", "-4,0,1", "node HardSwish n a -> y"), "0,0,0.66666667"},
    {"Mish", F32("2", "0,1", "node Mish n a -> y"), "0,0.86509839"},
    {"Gelu tanh", F32("2", "1,-1", "node Gelu n a -> y approximate=\"tanh\""), "0.84119199,-0.15880801"},
    {"Celu", F32("2", "-2,3", "node Celu n a -> y alpha=2."), "-1.2642411,3"},
    {"Selu", F32("2", "-1,1", "node Selu n a -> y"), "-1.1113307,1.050701"},
    {"Softsign", F32("2", "-3,1", "node Softsign n a -> y"), "-0.75,0.5"},
    {"ThresholdedRelu", F32("3", "1,2,3", "node ThresholdedRelu n a -> y alpha=2."), "0,0,3"},
    {"Shrink", F32("3", "-3,1,3", "node Shrink n a -> y lambd=1.5 bias=0.5"), "-2.5,0,2.5"},
    {"PRelu i32", TWO("i32", "2", "-3,4", "2,2", "node PRelu n a,b -> z"), "-6,4"},
    {"PRelu computed",
     "input x f32 3\noutput y\ninit t f32 1 = 2\nnode Sub s x,t -> a\nnode PRelu p a,x -> y\n", "-1,0,1"},
    /* along axes */
    {"Hardmax opset 11", "opset 11\ninput x f32 1,2,2\noutput y\nnode Hardmax n x -> y\n", "0,0,0,1"},
    {"LogSoftmax of equals", F32("1,2", "1000,1000", "node LogSoftmax n a -> y"), "-0.69314718,-0.69314718"},
    {"Softmax f64", ONE("f64", "2", "0,0", "node Softmax n a -> z"), "0.5,0.5"},
    {"ReduceSum i8 wraps", ONE("i8", "3", "100,100,1", "node ReduceSum n a -> z"), "-55"},
    {"ReduceMax u8", ONE("u8", "3", "200,100,1", "node ReduceMax n a -> z"), "200"},
    {"ReduceMax bool", ONE("bool", "3", "0,1,0", "node ReduceMax n a -> z"), "1"},
    {"ReduceMean i32", ONE("i32", "3", "-4,-4,1", "node ReduceMean n a -> z"), "-2"},
    {"ReduceSumSquare of none", F32("2", "2,3", "node ReduceSumSquare n a -> y noop_with_empty_axes=1"),
     "4,9"},
    {"ReduceL1 of none", F32("2", "-2,3", "node ReduceL1 n a -> y noop_with_empty_axes=1"), "2,3"},
    {"ReduceL2 i32", ONE("i32", "2", "3,4", "node ReduceL2 n a -> z"), "5"},
    {"ReduceLogSumExp f64", ONE("f64", "2", "0,0", "node ReduceLogSumExp n a -> z"), "0.69314718"},
    {"ReduceProd axes as an input",
     F32("2,2", "1,2,3,4", "init k i64 1 = -1\nnode ReduceProd n a,k -> y keepdims=0"), "2,12"},
    {"ArgMin u8", ONE("u8", "3", "200,100,250", "node ArgMin n a -> z"), "1"},
    {"CumSum u32",
     NO_INPUT "init a u32 3 = 1,2,3\ninit k i32 - = 0\nnode CumSum n a,k -> z reverse=1\n"
              "node Cast c z -> y to=1\n",
     "6,5,3"},
    /* normalisations: x - mean = -0.5, 0.5, variance 0.25 */
    {"LpNormalization of zeros", F32("2,2", "0,0,3,4", "node LpNormalization n a -> y"), "0,0,0.6,0.8"},
    {"GroupNormalization opset 18",
     "opset 18\ninput x f32 1,2,2\noutput y\ninit s f32 2 = 2,3\ninit b f32 2 = 0,1\n"
     "node GroupNormalization n x,s,b -> y num_groups=2 epsilon=0.\n",
     "-2,2,-2,4"},
    {"InstanceNormalization",
     "input x f32 1,2,2\noutput y\ninit s f32 2 = 2,3\ninit b f32 2 = 0,1\n"
     "node InstanceNormalization n x,s,b -> y epsilon=0.\n",
     "-2,2,-2,4"},
    {"MeanVarianceNormalization", "input x f32 1,2,1,2\noutput y\nnode MeanVarianceNormalization n x -> y\n",
     "-1,1,-1,1"},
    {"LRN of even size", "input x f32 1,3,1\noutput y\nnode LRN n x -> y size=2 alpha=2. beta=1. bias=1.\n",
     /* squares 1 4 9, each with the next one: 5 13 9; alpha / size 1 */
     "0.16666667,0.14285714,0.3"},
    {"BatchNormalization of a vector",
     "input x f32 2\noutput y\ninit o f32 1 = 2\ninit z f32 1 = 1\n"
     "node BatchNormalization n x,o,z,z,z -> y epsilon=0.\n",
     "1,3"},
    {"BatchNormalization in training",
     "opset 15\ninput x f32 2,1\noutput y\ninit o f32 1 = 2\ninit z f32 1 = 1\n"
     "node BatchNormalization n x,o,z,z,z -> y training_mode=1 epsilon=0.\n",
     "-1,3"},
    {"its running variance",
     "opset 15\ninput x f32 2,1\noutput v\ninit o f32 1 = 2\ninit z f32 1 = 1\n"
     "node BatchNormalization n x,o,z,z,z -> y,m,v training_mode=1 momentum=0.5\n",
     "0.625"},
    {"Dropout's mask", "input x f32 2\noutput y\nnode Dropout d x -> a,m\nnode Cast c m -> y to=1\n", "1,1"},
    /* old opsets */
    {"Add along an axis",
     "opset 6\ninput x f32 1,2,2\noutput y\ninit b f32 2 = 10,20\n"
     "node Add n x,b -> y broadcast=1 axis=1\n",
     "11,12,23,24"},
    {"Not in opset 1",
     "opset 1\n" NO_INPUT "init a bool 2 = 1,0\ninit p f32 2 = 1,2\ninit q f32 2 = 3,4\n"
     "node Not n a -> z\nnode Not m z -> b\nnode Equal e a,b -> r\nnode Softsign s p -> y\n",
     "0.5,0.66666667"},
    {"Range f16",
     NO_INPUT "init a f32 - = 1\ninit b f32 - = 4\ninit d f32 - = 1.5\nnode Cast a2 a -> p to=10\n"
              "node Cast b2 b -> q to=10\nnode Cast d2 d -> r to=10\nnode Range n p,q,r -> z\n"
              "node Cast c z -> y to=1\n",
     "1,2.5"},
};

static Tensor counting(const Graph *g) {
  Tensor t = tensor_new(DT_F32, &graph_val(g, g->inputs[0])->shape);
  for (int64_t i = 0; i < shape_count(&t.shape); i++) ((float *)t.data)[i] = (float)(i + 1);
  return t;
}

START_TEST(rows_give_their_values)
{
  const Row *r = &rows[_i];
  Diag *d = diag_new();
  Graph *g = onnx_text_import(r->text, d);
  ck_assert_msg(g != NULL, "%s: not imported:\n%s", r->name, diag_text(d));
  Tensor in = counting(g), out;
  oracle_eval(r->name, g, &in, 1, &out);
  ck_assert_msg(out.dtype == DT_F32, "%s: output is %s", r->name, dtype_name(out.dtype));
  const char *p = r->want;
  for (int64_t i = 0; i < shape_count(&out.shape); i++) {
    char *end;
    const double want = strtod(p, &end), got = (double)((float *)out.data)[i];
    ck_assert_msg(end != p, "%s: %d elements, more than wanted", r->name, (int)shape_count(&out.shape));
    ck_assert_msg(fabs(got - want) <= 2e-6 * fmax(1, fabs(want)), "%s: element %d is %.9g, want %.9g",
                  r->name, (int)i, got, want);
    p = *end == ',' ? end + 1 : end;
  }
  ck_assert_msg(*p == '\0', "%s: fewer elements than %s", r->name, r->want);
  tensor_free(&in);
  tensor_free(&out);
  graph_free(g);
  diag_free(d);
}
END_TEST

Suite *suite_onnx_element(void);
Suite *suite_onnx_element(void) {
  Suite *s = suite_create("onnx_element");
  TCase *t = tcase_create("rows");
  tcase_add_loop_test(t, rows_give_their_values, 0, (int)(sizeof rows / sizeof rows[0]));
  suite_add_tcase(s, t);
  return s;
}
