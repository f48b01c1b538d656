/* The many ways in which ONNX files say the same: typed and raw data, old and new forms of attributes, initializers
 * that are inputs too, any order of nodes, shapes that carry the symbolic batch. Values are checked by hand. */
#include "tests/support.h"

#include <stdio.h>
#include <string.h>

#include "tests/frontend/onnx_text.h"
#include "tests/frontend/oracle.h"

typedef struct Form {
  const char *name, *text;
  int64_t
      shape[4];  /* of the output, 0-ended; the input x is 1, 2, 3, ... of the shape in the text, batch 2 */
  float want[8]; /* the first elements */
  int nodes;     /* of the graph; -1: not checked */
} Form;

#define ADD_W "output y\nnode Add a x,w -> y\n"
#define X13   "input x f32 1,3\n"

static const Form forms[] = {
    {"Einsum: a diagonal beside an ellipsis",
     "input x f32 1,2,2\noutput y\nnode Einsum e x -> y equation=\"...ii->...i\"\n",
     {1, 2},
     {1, 4},
     -1},
    {"Einsum: a sum",
     "input x f32 2,3\noutput y\nnode Einsum e x -> y equation=\"ij->i\"\n",
     {2},
     {6, 15},
     -1},
    {"Einsum: a symbolic batch in both terms",
     "input x f32 N,2,2\noutput y\nnode Einsum e x,x -> y equation=\"bij,bjk->bik\"\n",
     {2, 2, 2},
     {7, 10, 15, 22, 67, 78, 91, 106},
     -1},
    {"Einsum: a symbolic batch on the left",
     "input x f32 N,2,2\ninit w f32 2,2 = 1,0,2,1\noutput y\nnode Einsum e x,w -> y "
     "equation=\"bij,jk->bki\"\n",
     {2, 2, 2},
     {5, 11, 2, 4, 17, 23, 6, 8},
     -1},
    {"Einsum: a symbolic batch on the right",
     "input x f32 N,2,2\ninit w f32 2,2 = 1,0,2,1\noutput y\nnode Einsum e w,x -> y "
     "equation=\"jk,bij->bik\"\n",
     {2, 2, 2},
     {5, 2, 11, 4, 17, 6, 23, 8},
     -1},
    {"Einsum: sums beside a symbolic batch",
     "input x f32 N,2,2\noutput y\nnode Einsum e x -> y equation=\"bij->b\"\n",
     {2},
     {10, 26},
     -1},
    {"Einsum: an inner product",
     "input x f32 2,2\ninit w f32 2,2 = 1,0,2,1\noutput y\nnode Einsum e x,w -> y equation=\"ij,ij\"\n",
     {0},
     {11},
     -1},
    {"Einsum: an outer product in another order",
     "input x f32 2\ninit w f32 3 = 1,10,100\noutput y\nnode Einsum e x,w -> y equation=\"i,j->ji\"\n",
     {3, 2},
     {1, 2, 10, 20, 100, 200},
     -1},
    {"Einsum: two letters summed, in other orders",
     "input x f32 2,3\ninit w f32 3,2,2 = 1,0,0,1,2,0,0,2,0,3,3,0\noutput y\n"
     "node Einsum e x,w -> y equation=\"ij,jik->k\"\n", /* x transposed: 1 4 2 5 3 6 times rows of w */
     {2},
     {23, 23},
     -1},
    {"Einsum: three operands, batch and broadcast",
     "input x f32 2,1,2\ninit w f32 1,2,2 = 1,0,0,1\ninit v f32 2 = 1,2\noutput y\n"
     "node Einsum e x,w,v -> y equation=\"...ij,...jk,k->...i\"\n",
     {2, 1},
     {5, 11},
     -1},
    {"TopK of uint64",
     "input x f32 1,3\ninit big u64 3 = 9,18446744073709551615,1\ninit k i64 1 = 2\noutput y\n"
     "node TopK t big,k -> v,i\nnode Gather g x,i -> y axis=1\n",
     {1, 2},
     {2, 1},
     -1},
    {"Upsample, nearest and by 2 and 1",
     "opset 9\ninput x f32 1,1,1,2\ninit s f32 4 = 1,1,2,1\noutput y\nnode Upsample u x,s -> y\n",
     {1, 1, 2, 2},
     {1, 2, 1, 2},
     -1},
    {"Indices of MaxPool count columns",
     "input x f32 1,1,2,3\noutput y\n"
     "node MaxPool p x -> v,i kernel_shape=[2,2] storage_order=1\nnode Cast c i -> y to=1\n",
     {1, 1, 1, 2},
     {3, 5},
     -1},
    {"MaxUnpool into a larger image",
     "input x f32 1,1,1,2\ninit i i64 1,1,1,2 = 1,6\ninit s i64 4 = 1,1,2,5\noutput y\n"
     "node MaxUnpool u x,i,s -> y kernel_shape=[2,2] strides=[2,2]\n",
     {1, 1, 2, 5},
     {0, 1, 0, 0, 0, 0, 0, 2},
     -1},
    {"ConvTranspose with three spatial axes",
     "input x f32 1,1,2,1,1\ninit w f32 1,1,3,1,1 = 1,10,100\noutput y\n"
     "node ConvTranspose t x,w -> z strides=[2,1,1] pads=[1,0,0,0,0,0]\nnode Flatten f z -> y\n", /* 1 10 100+2 20 200, the first cut */
     {1, 4},
     {10, 102, 20, 200},
     -1},
    {"raw float data", X13 "init w f32 3 = 1.5,2,-4\n" ADD_W, {1, 3}, {2.5f, 4, -1}, 1},
    {"float_data", X13 "init w f32 3 = 1.5,2,-4 typed\n" ADD_W, {1, 3}, {2.5f, 4, -1}, 1},
    {"double_data, cast",
     X13 "init d f64 3 = 1.5,2,-4 typed\nnode Cast c d -> w to=1\n" ADD_W,
     {1, 3},
     {2.5f, 4, -1},
     1},
    {"raw doubles, cast",
     X13 "init d f64 3 = 1.5,2,-4\nnode Cast c d -> w to=1\n" ADD_W,
     {1, 3},
     {2.5f, 4, -1},
     1},
    {"int32_data, cast",
     X13 "init d i32 3 = 1,2,-4 typed\nnode Cast c d -> w to=1\n" ADD_W,
     {1, 3},
     {2, 4, -1},
     1},
    {"int8 in int32_data",
     X13 "init d i8 3 = 1,2,-4 typed\nnode Cast c d -> w to=1\n" ADD_W,
     {1, 3},
     {2, 4, -1},
     1},
    {"bool in int32_data",
     X13 "init d bool 3 = 1,0,1 typed\nnode Cast c d -> w to=1\n" ADD_W,
     {1, 3},
     {2, 2, 4},
     1},
    {"int64_data, cast",
     X13 "init d i64 3 = 1,2,-4 typed\nnode Cast c d -> w to=1\n" ADD_W,
     {1, 3},
     {2, 4, -1},
     1},
    {"an initializer that is an input",
     "ir 3\nopset 8\ninput w f32 3\n" X13 "init w f32 3 = 1,1,1\n" ADD_W,
     {1, 3},
     {2, 3, 4},
     1},
    {"Constant value", X13 "node Constant k - -> w value=f32:3:1,2,3\n" ADD_W, {1, 3}, {2, 4, 6}, 1},
    {"Constant value_float",
     X13 "node Constant k - -> w value_float=1.5\n" ADD_W,
     {1, 3},
     {2.5f, 3.5f, 4.5f},
     1},
    {"Constant value_floats",
     X13 "node Constant k - -> w value_floats=[1.,2.5,3]\n" ADD_W,
     {1, 3},
     {2, 4.5f, 6},
     1},
    {"Constant value_ints",
     "input x f32 2,3\noutput y\nnode Constant k - -> s value_ints=[3,2]\nnode Reshape r x,s -> y\n",
     {3, 2},
     {1, 2, 3, 4, 5, 6},
     1},
    {"Constant value_int",
     "input x f32 2,3\noutput y\nnode Constant k - -> i value_int=1\nnode Gather g x,i -> y\n",
     {3},
     {4, 5, 6},
     1},
    {"nodes in any order", X13 "output y\nnode Add b t,t -> y\nnode Relu a x -> t\n", {1, 3}, {2, 4, 6}, 2},
    {"an empty optional input",
     X13 "output y\ninit hi f32 - = 2\nnode Clip c x,,hi -> y\n",
     {1, 3},
     {1, 2, 2},
     1},
    {"Clip without limits", X13 "output y\nnode Clip c x -> y\n", {1, 3}, {1, 2, 3}, 1},
    {"Sum of three", X13 "init w f32 1 = 10\noutput y\nnode Sum s x,w,x -> y\n", {1, 3}, {12, 14, 16}, 2},
    {"Max of three",
     X13 "init w f32 1 = 2\ninit v f32 3 = 0,9,0\noutput y\nnode Max m x,w,v -> y\n",
     {1, 3},
     {2, 9, 3},
     2},
    {"Mean of two", X13 "init w f32 1 = 3\noutput y\nnode Mean m x,w -> y\n", {1, 3}, {2, 2.5f, 3}, 2},
    {"Neg", X13 "output y\nnode Neg n x -> y\n", {1, 3}, {-1, -2, -3}, 1},
    {"Split into named parts",
     "input x f32 1,4\noutput b\nnode Split s x -> a,b axis=-1\n",
     {1, 2},
     {3, 4},
     1},
    {"Split by sizes",
     "input x f32 1,4\ninit k i64 2 = 1,3\noutput b\nnode Split s x,k -> a,b axis=1\n",
     {1, 3},
     {2, 3, 4},
     1},
    {"Slice by old attributes",
     "opset 9\ninput x f32 2,3\noutput y\nnode Slice s x -> y starts=[1,0] ends=[9,-1]\n",
     {1, 2},
     {4, 5},
     1},
    {"Slice backwards",
     "input x f32 4\ninit a i64 1 = -1\ninit b i64 1 = -9\ninit c i64 1 = 0\ninit d i64 1 = -2\noutput y\n"
     "node Slice s x,a,b,c,d -> y\n",
     {2},
     {4, 2},
     1},
    {"Pad that cuts",
     "input x f32 4\ninit p i64 2 = -1,2\noutput y\nnode Pad p x,p -> y\n",
     {5},
     {2, 3, 4, 0, 0},
     2},
    {"Pad of named axes",
     "opset 18\ninput x f32 1,2\ninit p i64 2 = 1,0\ninit v f32 - = 7\ninit a i64 1 = -1\noutput y\n"
     "node Pad p x,p,v,a -> y\n",
     {1, 3},
     {7, 1, 2},
     1},
    {"Unsqueeze and Squeeze",
     "input x f32 2,3\ninit a i64 2 = 0,-1\noutput y\nnode Unsqueeze u x,a -> b\n"
     "node Squeeze s b -> y\n",
     {2, 3},
     {1, 2, 3, 4, 5, 6},
     2},
    {"Expand",
     "input x f32 3,1\ninit s i64 2 = 1,2\noutput y\nnode Expand e x,s -> y\n",
     {3, 2},
     {1, 1, 2, 2, 3, 3},
     1},
    {"Range as indices",
     "input x f32 4,1\ninit a i64 - = 3\ninit b i64 - = -1\ninit c i64 - = -2\noutput y\n"
     "node Range r a,b,c -> i\nnode Gather g x,i -> y\n",
     {2, 1},
     {4, 2},
     1},
    {"Shape with start and end",
     "opset 15\ninput x f32 2,3,4\noutput y\nnode Shape s x -> sh start=1 end=-1\n"
     "node Cast c sh -> f to=1\nnode Add a x,f -> y\n",
     {2, 3, 4},
     {4, 5, 6, 7},
     1},
    {"Size",
     X13 "output y\nnode Size s x -> n\nnode Cast c n -> f to=1\nnode Add a x,f -> y\n",
     {1, 3},
     {4, 5, 6},
     1},
    {"integer arithmetic on shapes",
     "input x f32 2,6\ninit two i64 1 = 2\noutput y\nnode Shape s x -> sh\n"
     "node Div d sh,two -> h\nnode Mul m h,two -> k\nnode Reshape r x,k -> y\n",
     {2, 6},
     {1, 2, 3},
     1},
    {"the batch through Shape, Gather, Concat",
     "input x f32 N,2,3\ninit z i64 1 = 0\ninit m i64 1 = -1\noutput y\nnode Shape s x -> sh\nnode Gather g "
     "sh,z -> n\n"
     "node Concat c n,m -> k axis=0\nnode Reshape r x,k -> y\n",
     {2, 6},
     {1, 2, 3},
     1},
    {"the batch through Slice, Squeeze, Unsqueeze",
     "opset 12\ninput x f32 N,6\ninit a i64 1 = 0\ninit b i64 1 = 1\ninit k i64 2 = 2,3\noutput y\nnode "
     "Shape s x -> sh\n"
     "node Slice l sh,a,b -> n\nnode Squeeze q n -> sc axes=[0]\nnode Unsqueeze u sc -> v axes=[0]\n"
     "node Concat c v,k -> t axis=0\nnode Reshape r x,t -> y\n",
     {2, 2, 3},
     {1, 2, 3},
     1},
    {"the batch by 0 and -1",
     "input x f32 N,2,3\ninit s i64 2 = 0,-1\noutput y\nnode Reshape r x,s -> y\n",
     {2, 6},
     {1, 2, 3},
     1},
    {"Flatten with a batch", "input x f32 N,2,3\noutput y\nnode Flatten f x -> y\n", {2, 6}, {1, 2, 3}, 1},
    {"Softmax of opset 11 flattens",
     "opset 11\ninput x f32 1,2,2\noutput y\nnode Sub z x,x -> o\nnode Softmax s o -> y\n",
     {1, 2, 2},
     {0.25f, 0.25f, 0.25f, 0.25f},
     4},
    {"Gemm by columns",
     "input x f32 2,2\ninit b f32 2,1 = 1,10\ninit c f32 2,1 = 100,200\noutput y\n"
     "node Gemm g x,b,c -> y alpha=2.0 beta=0.5 transA=1\n",
     {2, 1},
     {112, 184},
     -1},
    {"MatMul with a vector",
     "input x f32 2,3\ninit v f32 3 = 1,10,100\noutput y\nnode MatMul m x,v -> y\n",
     {2},
     {321, 654},
     -1},
    {"MatMul of a vector",
     "input x f32 2\ninit v f32 2,2 = 1,2,3,4\noutput y\nnode MatMul m x,v -> y\n",
     {2},
     {7, 10},
     1},
    {"Conv along one axis",
     "input x f32 1,1,4\ninit w f32 1,1,2 = 1,10\noutput y\nnode Conv c x,w -> y pads=[1,0]\n",
     {1, 1, 4},
     {10, 21, 32, 43},
     -1},
    {"pooling along one axis",
     "input x f32 1,1,4\noutput y\nnode MaxPool p x -> y kernel_shape=[2] strides=[2]\n",
     {1, 1, 2},
     {2, 4},
     -1},
    {"average of uneven windows, ceil_mode",
     "input x f32 1,1,1,3\noutput y\n"
     "node AveragePool p x -> y kernel_shape=[1,2] strides=[1,2] ceil_mode=1\n",
     {1, 1, 1, 2},
     {1.5f, 3},
     -1},
    {"GlobalMaxPool",
     "input x f32 1,2,2,2\noutput y\nnode GlobalMaxPool p x -> y\n",
     {1, 2, 1, 1},
     {4, 8},
     -1},
    {"an output that is an input",
     "input x f32 1,3\noutput y\nnode Identity i x -> y\n",
     {1, 3},
     {1, 2, 3},
     1},
    {"an output that is constant", "input x f32 1,3\ninit y f32 2 = 5,6\noutput y\n", {2}, {5, 6}, 1},
};

/* 1, 2, 3, ... in the shape of the first input. */
static Tensor counting(const Graph *g) {
  Shape s = graph_val(g, g->inputs[0])->shape;
  if (s.d[0] == DIM_BATCH) s.d[0] = 2;
  Tensor t = tensor_new(DT_F32, &s);
  for (int64_t i = 0; i < shape_count(&s); i++) ((float *)t.data)[i] = (float)(i + 1);
  return t;
}

START_TEST(forms_are_understood)
{
  const Form *f = &forms[_i];
  Diag *d = diag_new();
  Graph *g = onnx_text_import(f->text, d);
  ck_assert_msg(g != NULL, "%s: not imported:\n%s", f->name, diag_text(d));
  ck_assert_msg(g->n_inputs == 1 && g->n_outputs == 1, "%s: %u inputs, %u outputs", f->name, g->n_inputs,
                g->n_outputs);
  ck_assert_msg(f->nodes < 0 || g->n_nodes == (uint32_t)f->nodes, "%s: %u nodes, want %d", f->name,
                g->n_nodes, f->nodes);
  Tensor in = counting(g), out;
  oracle_eval(f->name, g, &in, 1, &out);
  Shape want = {0};
  while (want.rank < 4 && f->shape[want.rank]) want.d[want.rank] = f->shape[want.rank], want.rank++;
  char got[80], wanted[80];
  shape_format(&out.shape, got, sizeof got);
  shape_format(&want, wanted, sizeof wanted);
  ck_assert_msg(shape_equal(&out.shape, &want), "%s: output %s, want %s", f->name, got, wanted);
  for (int64_t i = 0; i < shape_count(&want) && i < 8 && (i == 0 || f->want[i] != 0); i++)
    ck_assert_msg(((float *)out.data)[i] == f->want[i], "%s: element %d is %g, want %g", f->name, (int)i,
                  (double)((float *)out.data)[i], (double)f->want[i]);
  tensor_free(&in);
  tensor_free(&out);
  graph_free(g);
  diag_free(d);
}
END_TEST

Suite *suite_onnx_forms(void);
Suite *suite_onnx_forms(void) {
  Suite *s = suite_create("onnx_forms");
  TCase *t = tcase_create("forms");
  tcase_add_loop_test(t, forms_are_understood, 0, (int)(sizeof forms / sizeof forms[0]));
  suite_add_tcase(s, t);
  return s;
}
