/* Lowering: TFLite's integer parameters, storage through views, the calls' views and constants, and what is refused.
 *
 * Expected multipliers are written as TFLite's definition has them: factor = mult * 2^(shift - 31), 2^30 <= mult < 2^31.
 */
#include "ir/lower.h"
#include "tests/ir/samples.h"
#include "tests/support.h"

#include <math.h>
#include <string.h>

#include "ir/base/rng.h"
#include "ir/base/strbuf.h"

static Graph *parse(const char *body) {
  StrBuf text = {0};
  Diag *d = diag_new();
  sb_printf(&text, "graph\n%s", body);
  Graph *g = graph_parse(sb_str(&text), "t.ir", d);
  ck_assert_msg(g != NULL, "%s\n%s", body, diag_text(d));
  sb_free(&text);
  diag_free(d);
  return g;
}

static Calls lower(const Graph *g) {
  Calls c;
  Diag *d = diag_new();
  calls_init(&c);
  ck_assert_msg(graph_lower(g, &c, d), "%s", diag_text(d));
  diag_free(d);
  return c;
}

/* -- integer parameters -- */

START_TEST(multipliers)
{
  const struct {
    double real;
    int32_t mult, shift;
  } rows[] = {{1, 1 << 30, 1},
              {0.5, 1 << 30, 0},
              {0.75, 3 << 29, 0},
              {0, 0, 0},
              {3, 3 << 29, 2},
              {1.0 / 256, 1 << 30, -7},
              {ldexp(1, -32), 1 << 30, -31},
              {ldexp(1, -33), 0, 0},
              {1 - ldexp(1, -40), 1 << 30, 1}, /* rounds up to 2^31, halved */
              {1e30, INT32_MAX, 31},
              {INFINITY, INT32_MAX, 31},
              {NAN, INT32_MAX, 31}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    int32_t mult, shift;
    quantize_multiplier(rows[i].real, &mult, &shift);
    ck_assert_msg(mult == rows[i].mult && shift == rows[i].shift, "%.17g gives %d, %d, want %d, %d",
                  rows[i].real, (int)mult, (int)shift, (int)rows[i].mult, (int)rows[i].shift);
  }
}
END_TEST

START_TEST(multipliers_are_near)
{
  Rng r;
  rng_seed(&r, 3, 0);
  for (int i = 0; i < 1000; i++) {
    double real = ldexp(0.5 + (double)rng_uniform(&r) / 2, (int)rng_below(&r, 50) - 25);
    int32_t mult, shift;
    quantize_multiplier(real, &mult, &shift);
    ck_assert_int_ge(mult, 1 << 30);
    ck_assert_double_le(fabs(ldexp(mult, shift - 31) - real), real * ldexp(1, -30));
  }
}
END_TEST

START_TEST(activation_ranges)
{
  const struct {
    Act act;
    int32_t lo, hi;
  } rows[] = {
      {ACT_NONE, -128, 127}, {ACT_RELU, -20, 127}, {ACT_RELU6, -20, 40}, {ACT_RELU_N1_TO_1, -30, -10}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    int32_t lo, hi;
    act_range_s8(rows[i].act, 0.1f, -20, &lo, &hi);
    ck_assert_msg(lo == rows[i].lo && hi == rows[i].hi, "%s: %d .. %d, want %d .. %d", act_name(rows[i].act),
                  (int)lo, (int)hi, (int)rows[i].lo, (int)rows[i].hi);
    act_range_s8(rows[i].act, 1e-6f, 100, &lo, &hi); /* far limits are cut to the type's */
    ck_assert_int_ge(lo, -128);
    ck_assert_int_le(hi, 127);
  }
}
END_TEST

/* Conv: scale_x * scale_w / scale_y with widened factors; FullyConnected with one scale: a float product. */
START_TEST(products_of_scales)
{
  Graph *g = parse(
      "%x = input : i8[1,1,1,1] q(0.1, 0) %w = const : i8[1,1,1,1] q(0.3, 0) {1}"
      "%y = Conv(%x, %w) : i8[1,1,1,1] q(0.7, 0) %v = const : i8[1,1] q(0.3, 0) {1}"
      "%r = Reshape(%y) {shape=[1,1]} : i8[1,1] q(0.7, 0) %z = FullyConnected(%r, %v) : i8[1,1] q(0.9, 0)"
      "output %z");
  Calls c = lower(g);
  int32_t mult, shift;
  const float a = 0.1f, b = 0.3f, m = 0.7f;
  const float product = m * b;
  ck_assert_uint_eq(c.n, 2);
  const mf_conv_s8 *conv = c.v[0].params;
  quantize_multiplier((double)a * (double)b / (double)m, &mult, &shift);
  ck_assert_int_eq(conv->mult[0], mult);
  ck_assert_int_eq(conv->shift[0], shift);
  const mf_fc_s8 *fc = c.v[1].params;
  quantize_multiplier((double)product / (double)0.9f, &mult, &shift);
  ck_assert_int_eq(fc->mult[0], mult);
  ck_assert_int_eq(fc->shift[0], shift);
  ck_assert_int_eq(fc->per_channel, 0);
  calls_free(&c);
  graph_free(g);
}
END_TEST

/* -- storage and calls -- */

START_TEST(roots)
{
  Graph *g = parse("%x = input : f32[2,2] %a = Relu(%x) : f32[2,2] %b = Reshape(%a) {shape=[4]} : f32[4]"
                   "%c = Reshape(%b) {shape=[4,1]} : f32[4,1] %i = Reshape(%x) {shape=[4]} : f32[4]"
                   "%o = Reshape(%i) {shape=[1,4]} : f32[1,4] %p = Reshape(%o) {shape=[4]} : f32[4]"
                   "%q = Relu(%p) : f32[4] output %c, %o, %q");
  ValId x = g->inputs[0], c = g->outputs[0], o = g->outputs[1], q = g->outputs[2];
  ValId a = graph_def(g, graph_def(g, c)->in[0])->in[0], i = graph_def(g, o)->in[0],
        p = graph_def(g, q)->in[0];
  ck_assert_uint_eq(value_root(g, c), a); /* an output may be a view of what is computed */
  ck_assert_uint_eq(value_root(g, i), x);
  ck_assert_uint_eq(value_root(g, o), o); /* but not of an input */
  ck_assert_uint_eq(value_root(g, p), o);
  ck_assert_uint_eq(value_root(g, q), q);
  Calls calls = lower(g);
  ck_assert_uint_eq(calls.n, 3);
  ck_assert_str_eq(calls.v[1].kernel->name, "copy");
  ck_assert_uint_eq(calls.v[1].out.val, o);
  calls_free(&calls);
  graph_free(g);
}
END_TEST

START_TEST(batch_rows_and_offsets)
{
  Graph *g =
      parse("%x = input : f32[5,8,6,3] %w = const : f32[4,1,1,3] {1,2,3,4,5,6,7,8,9,10,11,12}"
            "%y = Conv(%x, %w) {strides=[2,1]} : f32[5,4,6,4] %k = Concat(%y, %y) {axis=3} : f32[5,4,6,8]"
            "output %k");
  Calls c = lower(g);
  ck_assert_uint_eq(c.n, 3);
  const KernelCall *conv = &c.v[0], *second = &c.v[2];
  ck_assert_int_eq(conv->batch, 5);
  ck_assert_int_eq(conv->rows, 4);
  ck_assert_int_eq(conv->in[0].row, 6 * 3 * 4);
  ck_assert_int_eq(conv->in[0].step, 8 * 6 * 3 * 4);
  ck_assert_int_eq(conv->out.row, 6 * 4 * 4);
  ck_assert_int_eq(conv->out.step, 4 * 6 * 4 * 4);
  ck_assert_int_eq(conv->macs, node_macs(g, &g->nodes[0]));
  ck_assert_int_eq(second->batch, 5);
  ck_assert_int_eq(second->rows, 4);
  ck_assert_int_eq(second->out.offset, 16);
  ck_assert_int_eq(second->out.row, 6 * 8 * 4);
  const mf_copy *p = second->params; /* rows, then pixels of four floats */
  ck_assert_int_eq(p->rank, 3);
  ck_assert_int_eq(p->dims[1], 6);
  ck_assert_int_eq(p->dims[2], 4);
  ck_assert_int_eq(p->dst[1], 32);
  calls_free(&c);
  graph_free(g);
}
END_TEST

/* Axes that run on are one: a Transpose that swaps two of five axes copies whole blocks. */
START_TEST(axes_merge)
{
  Graph *g =
      parse("%x = input : f32[2,3,4,5,6] %y = Transpose(%x) {perm=[1,0,2,3,4]} : f32[3,2,4,5,6] output %y");
  Calls c = lower(g);
  const mf_copy *p = c.v[0].params;
  ck_assert_int_eq(c.v[0].batch, 3);
  ck_assert_int_eq(c.v[0].rows, 2);
  ck_assert_int_eq(p->rank, 2);
  ck_assert_int_eq(p->dims[1], 4 * 5 * 6);
  calls_free(&c);
  graph_free(g);
}
END_TEST

/* Bytes from the view's start that batch items and rows cover stay in the value. */
static void assert_view(const Graph *g, const KernelCall *k, const CallView *v, const char *what) {
  ck_assert_msg(v->val != NO_VAL, "%s: %s has no value", k->kernel->name, what);
  int64_t size = (int64_t)val_bytes(g, v->val), last = v->offset + (k->batch - 1) * v->step;
  ck_assert_msg(v->offset >= 0 && v->offset < size && last >= 0 && last < size,
                "%s: %s begins at %d and %d of %d bytes", k->kernel->name, what, (int)v->offset, (int)last,
                (int)size);
}

START_TEST(samples_lower_within_their_tensors)
{
  Graph *symbolic = sample_graph(&samples[_i]);
  Diag *d = diag_new();
  bool fixed = true;
  for (uint32_t i = 0; i < symbolic->n_inputs; i++)
    fixed = fixed && shape_is_static(&graph_val(symbolic, symbolic->inputs[i])->shape);
  Graph *g = fixed ? graph_clone(symbolic) : graph_with_batch(symbolic, 2, d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  Calls c = lower(g);
  for (uint32_t i = 0; i < c.n; i++) {
    const KernelCall *k = &c.v[i];
    ck_assert(k->kernel->fn != NULL);
    ck_assert_int_ge(k->rows, 1);
    ck_assert_int_ge(k->batch, 1);
    ck_assert_uint_lt(k->node, g->n_nodes);
    for (int j = 0; j < k->n_in; j++) assert_view(g, k, &k->in[j], "input");
    assert_view(g, k, &k->out, "output");
    for (int j = 0; j < k->n_consts; j++) {
      const FieldDesc *f = &k->kernel->params->fields[k->consts[j].field];
      const void *p;
      memcpy(&p, (const char *)k->params + f->offset, sizeof p);
      ck_assert_ptr_eq(p, k->consts[j].data);
      ck_assert_int_gt(k->consts[j].count, 0);
      if (k->consts[j].val != NO_VAL) ck_assert_ptr_eq(p, val_data(g, k->consts[j].val));
    }
  }
  calls_free(&c);
  graph_free(g);
  graph_free(symbolic);
  diag_free(d);
}
END_TEST

/* -- what is refused -- */

static const struct {
  const char *graph, *say;
} refused[] = {
    {"%x = input : f32[N,2] %y = Relu(%x) : f32[N,2] output %y", "symbolic batch"},
    {"%x = input : f32[1,2,2,1] %w = input : f32[1,1,1,1] %y = Conv(%x, %w) : f32[1,2,2,1] output %y",
     "input 1 is computed, want a constant"},
    {"%x = input : f32[1,2] %w = const : f32[1,2] {1,2} %b = input : f32[1]"
     "%y = FullyConnected(%x, %w, %b) : f32[1,1] output %y",
     "input 2 is computed, want a constant"},
    {"%x = input : i8[1,2] q(1, 0) %y = Softmax(%x) : i8[1,2] q(0.5, 0) output %y", "want 1/256 and -128"},
    {"%x = input : i8[1,2,2] q(1, 0) %y = Softmax(%x) {axis=1} : i8[1,2,2] q(0.00390625, -128) output %y",
     "innermost axis"},
    {"%x = input : i8[1,2,2,1] q(1, 0)"
     "%y = AveragePool(%x) {kernel=[2,2], pads=[1,1,0,0], count_include_pad=1} : i8[1,2,2,1] q(1, 0) output "
     "%y",
     "count_include_pad has no reference"},
    {"%x = input : f32[2] %y = Quantize(%x) {to=i32} : i32[2] q(1, 0) output %y",
     "from f32 to i32 is not supported"},
    {"%x = input : i16[1,2] q(1, 0) %y = Softmax(%x) : i16[1,2] q(0.5, 0) output %y", "want 2^-15"},
    {"%x = input : i16[1,2] q(1, 3) %y = Relu(%x) : i16[1,2] q(1, 3) output %y", "zero point 3, want 0"},
    {"%x = input : i16[1,2] q(3, 0) %y = Tanh(%x) : i16[1,2] q(3.0517578e-05, 0) output %y",
     "want less than 2.6"},
    {"%x = input : i16[1,1] q(200, 0) %w = const : i8[1,1] q(1, 0) {2} %b = const : i64[1] {0}"
     "%y = FullyConnected(%x, %w, %b) : i16[1,1] q(1, 0) output %y",
     "factor of 200"},
    {"%x = input : i16[1,1] q(1, 0) %w = const : i8[1,1] q(1, 0) {2} %b = const : i64[1] {70368744177664}"
     "%y = FullyConnected(%x, %w, %b) : i16[1,1] q(1, 0) output %y",
     "below 2^46"},
    {"%x = input : i16[1,1,1,1] q(1, 0) %w = const : i8[1,1,1,1] q(1, 0) {2} %b = const : i32[1] {0}"
     "%y = DepthwiseConv(%x, %w, %b) : i16[1,1,1,1] q(1, 0) output %y",
     "bias of i32 has no reference"},
    {"%x = input : f32[1,2,1] %s = input : f32[1] %y = BatchNormalization(%x, %s, %s, %s, %s) {axis=2} : "
     "f32[1,2,1]"
     "output %y",
     "input 1 is computed, want a constant"},
    {"%x = input : f32[60000,10000] %y = Relu(%x) : f32[60000,10000] output %y", "larger than 2 GiB"},
};

START_TEST(refusals)
{
  Graph *g = parse(refused[_i].graph);
  Diag *d = diag_new();
  Calls c;
  calls_init(&c);
  ck_assert_msg(!graph_lower(g, &c, d), "%s\nwas lowered", refused[_i].graph);
  ck_assert_msg(strstr(diag_text(d), refused[_i].say) != NULL, "%s\ngot  %swant %s", refused[_i].graph,
                diag_text(d), refused[_i].say);
  ck_assert_msg(strstr(diag_text(d), "t.ir:") != NULL, "no location: %s", diag_text(d));
  calls_free(&c);
  graph_free(g);
  diag_free(d);
}
END_TEST

/* The verifier refuses it too; who builds a graph by hand may not have asked. */
START_TEST(codes_without_quantization)
{
  Graph *g = graph_new("t");
  Diag *d = diag_new();
  Calls c;
  const Shape s = shape_of(1, (int64_t)4);
  const float scale[2] = {0.5f, 0};
  const int32_t zero[2] = {0, 0};
  ValId x = graph_input(g, "x", DT_I8, &s);
  ValId y = graph_node1(g, OP_tanh, NULL, x, "y", NULL, d);
  calls_init(&c);
  graph_set_quant(g, y, 1, 0, scale, zero);
  ck_assert(!graph_lower(g, &c, d));
  ck_assert_msg(strstr(diag_text(d), "input 0 is i8 without a quantization") != NULL, "%s", diag_text(d));
  graph_set_quant(g, x, 1, 0, scale + 1, zero);
  diag_clear(d);
  ck_assert_msg(!graph_lower(g, &c, d), "a scale of 0 was lowered");
  calls_free(&c);
  graph_free(g);
  diag_free(d);
}
END_TEST

Suite *suite_lower(void) {
  Suite *s = suite_create("lower");
  TCase *t = tcase_create("lower");
  tcase_add_test(t, multipliers);
  tcase_add_test(t, multipliers_are_near);
  tcase_add_test(t, activation_ranges);
  tcase_add_test(t, products_of_scales);
  tcase_add_test(t, roots);
  tcase_add_test(t, batch_rows_and_offsets);
  tcase_add_test(t, axes_merge);
  tcase_add_loop_test(t, samples_lower_within_their_tensors, 0, n_samples);
  tcase_add_test(t, codes_without_quantization);
  tcase_add_loop_test(t, refusals, 0, (int)(sizeof refused / sizeof refused[0]));
  suite_add_tcase(s, t);
  return s;
}
