/* TFLite models with state, step by step, against values by hand: SVDF, UNIDIRECTIONAL_SEQUENCE_LSTM, variables. */
#include "frontend/tflite/tflite.h"
#include "ir/eval.h"
#include "tests/frontend/tflite_text.h"
#include "tests/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

Suite *suite_tflite_state(void);

typedef struct Run {
  const char *name, *text;
  float in[8];   /* elements of the inputs, step by step */
  float want[8]; /* of output 0 */
  int steps;
} Run;

static const Run runs[] = {
    /* features 2x; memory of 2: time weights 1 and 10 */
    {"SVDF",
     "tensor x f32 1,1\ntensor f f32 1,1 = 2\ntensor t f32 1,2 = 1,10\ntensor b f32 1 = 0.5\n"
     "tensor s f32 1,2 variable\ntensor y f32 1,1\nop SVDF x,f,t,b,s -> y 0:i32=1\ninput x\noutput y\n",
     {1, 2, 3},
     {20.5f, 42.5f, 64.5f},
     3},
    /* state scale 0.5: features 2x -> codes 4x; y = (s0 + 10 s1) / 16 in steps of 1 */
    {"SVDF int8",
     "tensor x i8 1,1 q=1:0\ntensor f i8 1,1 q=1:0 = 2\ntensor t i16 1,2 q=0.125:0 = 1,10\ntensor b i32 1 = "
     "16\n"
     "tensor s i16 1,2 q=0.5:0 variable\ntensor y i8 1,1 q=1:-3\nop SVDF x,f,t,b,s -> y 0:i32=1 1:u8=1\n"
     "input x\noutput y\n",
     {4, 8, 12},
     {8, 19, 30},
     3},
    /* all weights 0: gates i = g = o by biases; o = 1/2; c grows by i tanh(g) = 1/2 * 0.5 = 0.25 a step, halved by f */
    {"UNIDIRECTIONAL_SEQUENCE_LSTM",
     "tensor x f32 1,1,1\ntensor w f32 1,1 = 0\ntensor z f32 1 = 0\ntensor g f32 1 = 0.5493061443\n"
     "tensor h f32 1,1 variable\ntensor c f32 1,1 variable\ntensor y f32 1,1,1\n"
     "op UNIDIRECTIONAL_SEQUENCE_LSTM x,w,w,w,w,w,w,w,w,,,,z,z,g,z,,,h,c,,,, -> y 0:u8=4\ninput x\noutput "
     "y\n",
     {7, 7},
     {0.12245933f, 0.1791787f},
     2},
    /* int16: i = f = o = 1/2, g = tanh(2^-12 * 2250) = 0.5 -> c = 0.25, 0.375 of scale 2^-15; h in steps of 2^-10:
     * tanh(c) / 2 = 0.12246, 0.17918 */
    {"UNIDIRECTIONAL_SEQUENCE_LSTM int16",
     "tensor x i16 1,1,1 q=1:0\ntensor w i8 1,1 q=0.000244140625:0 = 0\ntensor z i64 1 = 0\ntensor g i64 1 = "
     "2250\n"
     "tensor h i16 1,1 q=0.0009765625:0 variable\ntensor c i16 1,1 q=3.0517578125e-05:0 variable\n"
     "tensor y i16 1,1,1 q=0.0009765625:0\n"
     "op UNIDIRECTIONAL_SEQUENCE_LSTM x,w,w,w,w,w,w,w,w,,,,z,z,g,z,,,h,c,,,, -> y 0:u8=4\ninput x\noutput "
     "y\n",
     {7, 7},
     {125, 183},
     2},
    {"variables by name",
     "tensor v resource -\ntensor x f32 2\ntensor r f32 2\ntensor y f32 2\nop VAR_HANDLE x -> v\n"
     "op READ_VARIABLE v -> r\nop ADD x,r -> y\nop ASSIGN_VARIABLE v,y -> -\ninput x\noutput y\n",
     {1, 2, 3, 4},
     {1, 2, 4, 6},
     2},
    /* two variables, set by another graph before the first run: y = x + sum + step; sum += x */
    {"variables that CALL_ONCE sets",
     "tensor v resource -\ntensor w resource -\ntensor x f32 1\ntensor r f32 1\ntensor q f32 1\ntensor s f32 "
     "1\n"
     "tensor y f32 1\nop CALL_ONCE - -> - 0:i32=1\nop VAR_HANDLE - -> v 1:str=sum\nop VAR_HANDLE - -> w "
     "1:str=step\n"
     "op READ_VARIABLE v -> r\nop READ_VARIABLE w -> q\nop ADD x,r -> s\nop ASSIGN_VARIABLE v,s -> -\n"
     "op ADD s,q -> y\ninput x\noutput y\ngraph\n"
     "tensor a resource -\ntensor b resource -\ntensor c f32 1 = 100\ntensor d f32 1 = 0.5\n"
     "op VAR_HANDLE - -> a 1:str=step\nop VAR_HANDLE - -> b 1:str=sum\nop ASSIGN_VARIABLE a,d -> -\n"
     "op ASSIGN_VARIABLE b,c -> -\n",
     {1, 2, 3},
     {101.5f, 103.5f, 106.5f},
     3},
};

static float element(const void *p, DType t, int i) {
  return t == DT_F32 ? ((const float *)p)[i] : (float)dtype_get(t, p, i);
}

START_TEST(steps)
{
  const Run *r = &runs[_i];
  Diag *d = diag_new();
  Graph *g = tflite_text_import(r->text, d);
  ck_assert_msg(g != NULL, "%s: %s", r->name, diag_text(d));
  Evaluator *e = evaluator_new(g, d);
  ck_assert_msg(e != NULL, "%s: %s", r->name, diag_text(d));
  const Value *x = graph_val(g, g->inputs[0]), *y = graph_val(g, g->outputs[0]);
  int n_in = (int)shape_count(&x->shape), n_out = (int)shape_count(&y->shape);
  for (int t = 0; t < r->steps; t++) {
    float real[8];
    int64_t codes[8];
    for (int i = 0; i < n_in; i++) {
      real[i] = r->in[t * n_in + i];
      if (x->dtype != DT_F32) dtype_set(x->dtype, codes, i, (int64_t)real[i]);
    }
    evaluator_run(e, (const void *const[]){x->dtype == DT_F32 ? (const void *)real : (const void *)codes});
    for (int i = 0; i < n_out; i++) {
      float got = element(evaluator_value(e, g->outputs[0]), y->dtype, i), want = r->want[t * n_out + i];
      ck_assert_msg(fabsf(got - want) <= 1e-6f * fabsf(want), "%s: step %d: %.8g, want %.8g", r->name, t,
                    (double)got, (double)want);
    }
  }
  evaluator_free(e);
  graph_free(g);
  diag_free(d);
}
END_TEST

/* Forms that TensorFlow Lite Micro refuses, too. */
#define LSTM(w, c, inputs, options)                                                                         \
  "tensor x i8 1,1,1 q=1:0\ntensor w i8 1,1 q=0.01:" w " = 1\ntensor z i32 1 = 0\n"                         \
  "tensor h i8 1,1 q=0.0078125:0 variable\ntensor c i16 1,1 q=" c " variable\n"                             \
  "tensor y i8 1,1,1 q=0.0078125:0\nop UNIDIRECTIONAL_SEQUENCE_LSTM " inputs " -> y " options "\ninput x\n" \
  "output y\n"
#define PLAIN "x,w,w,w,w,w,w,w,w,,,,z,z,z,z,,,h,c,,,,"

static const struct {
  const char *text, *say;
} refused[] = {
    {LSTM("0", "0.00048828125:0", PLAIN, "0:u8=4"), NULL},
    {LSTM("0", "0.00048828125:0", "x,w,w,w,w,w,w,w,w,w,,,z,z,z,z,,,h,c,,,,", "0:u8=4"),
     "has input 9 (peepholes"},
    {LSTM("0", "0.00048828125:0", "x,w,w,w,w,w,w,w,w,,,,z,z,z,z,w,,h,c,,,,", "0:u8=4"),
     "has input 16 (peepholes, a projection"},
    {LSTM("0", "0.00048828125:0", "x,w,w,w,w,w,w,w,w,,,,z,z,z,z,,,h,c,z,,,", "0:u8=4"),
     "has input 20 (peepholes, a projection or layer norm"},
    {LSTM("0", "0.00048828125:0", "x,,w,w,w,w,w,w,w,,,,z,z,z,z,,,h,c,,,,", "0:u8=4"),
     "input 1 is left out; coupled gates"},
    {LSTM("0", "0.00048828125:0", PLAIN, "0:u8=1"), "has activation 1; supported is TANH"},
    {LSTM("3", "0.00048828125:0", PLAIN, "0:u8=4"), "has \"w\" without one scale and zero point 0"},
    {LSTM("0", "0.00048828125:0", PLAIN, "0:u8=4 1:f32=0.0001"),
     "limits its cell to 0.0001, less than a step"},
    {"tensor x f32 1,1\ntensor f f32 1,1 = 2\ntensor t f32 1,2 = 1,10\ntensor s f32 1,2 variable\n"
     "tensor a f32 1,1\ntensor y f32 1,1\nop SVDF x,f,t,,s -> a 0:i32=1\nop SVDF a,f,t,,s -> y 0:i32=1\n"
     "input x\noutput y\n",
     "renews \"s\", which an operator before it renewed"},
    {"tensor x f32 1,1\ntensor f f32 1,1 = 2\ntensor s f32 1,2 variable\ntensor y f32 1,1\n"
     "op SVDF x,f,,,s -> y 0:i32=1\ninput x\noutput y\n",
     "input 2 is left out"},
};

START_TEST(other_cells_are_refused)
{
  Diag *d = diag_new();
  Graph *g = tflite_text_import(refused[_i].text, d);
  ck_assert_msg((g == NULL) == (refused[_i].say != NULL), "%s", diag_text(d));
  ck_assert_msg(!refused[_i].say || strstr(diag_text(d), refused[_i].say), "want \"%s\", got\n%s",
                refused[_i].say, diag_text(d));
  graph_free(g);
  diag_free(d);
}
END_TEST

/* Cut off anywhere: a report or a graph. */
START_TEST(damaged)
{
  Blob *b = tflite_text(runs[_i].text);
  for (size_t len = 0; len < blob_size(b); len += 3) {
    Diag *d = diag_new();
    Blob *part = blob_new(blob_raw(b), len);
    Graph *g = tflite_import_bytes(part, "damaged.tflite", d);
    ck_assert((g == NULL) == (diag_count(d) > 0));
    graph_free(g);
    blob_unref(part);
    diag_free(d);
  }
  blob_unref(b);
}
END_TEST

Suite *suite_tflite_state(void) {
  Suite *s = suite_create("tflite_state");
  TCase *t = tcase_create("state");
  tcase_add_loop_test(t, steps, 0, (int)(sizeof runs / sizeof runs[0]));
  tcase_add_loop_test(t, other_cells_are_refused, 0, (int)(sizeof refused / sizeof refused[0]));
  tcase_add_loop_test(t, damaged, 0, (int)(sizeof runs / sizeof runs[0]));
  suite_add_tcase(s, t);
  return s;
}
