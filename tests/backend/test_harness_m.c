/* The harness: small nets, emitted, built and run for every target, bare machines under QEMU; sizes, stack and counts
 * are plausible; faults of the user's machine and of the model are told.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/eval.h"
#include "tests/backend/emitted.h"
#include "tests/support.h"

Suite *suite_harness_m(void);

static const char *const target_names[] = {"x86-64", "aarch64", "cortex-m4", "cortex-m0"};

static Measured verify(const Graph *g, const char *target, const char *name) {
  const char *dir = emit_to_tmp(g, target, name);
  Diag *d = diag_new();
  Measured m;
  ck_assert_msg(harness_verify(dir, target_find(target), NULL, &m, d), "%s: %s", target, diag_text(d));
  diag_free(d);
  return m;
}

START_TEST(int8_net_is_byte_equal)
{
  const char *target = target_names[_i];
  if (!have_target(__FILE__, target)) return;
  Graph *g = graph_of(small_int8_net);
  Measured m = verify(g, target, "int8");
  ck_assert(m.built && m.ran);
  ck_assert_int_gt(m.vectors, 0);
  ck_assert_int_eq(m.vectors_equal, m.vectors);
  ck_assert_int_eq(m.vectors_passed, m.vectors);
  if (_i == 0) ck_assert_int_eq(m.ram_arena, 1024);      /* whole tensors */
  if (_i == 1) ck_assert_int_le(m.ram_arena, 1032);      /* and what NEON's kernels want beside */
  if (_i >= 2) ck_assert_int_le(m.ram_arena, 640 + 240); /* row by row, and at most ten columns of 24 bytes */
  int64_t constants = 288 + 72 + 40;                     /* weights alone */
  ck_assert_int_gt(m.flash_weights, constants);
  ck_assert_int_lt(m.flash_weights, constants + 3000);
  ck_assert_int_gt(m.flash_code, 1000);
  ck_assert_int_lt(m.flash_code, _i == 1 ? 16000 : 12000);
  ck_assert_int_eq(m.second_ran, target_find(target)->second_machine != NULL);
  graph_free(g);
}
END_TEST

/* Weights of 4 bits: of three convolutions (13 channels: rests of every kernel's blocks) and a FullyConnected. */
static const char small_int4_net[] =
    "graph \"small int4\"\n"
    "%x = input : i8[1,9,8,4] q(0.05, -3) \"image\"\n"
    "%w1 = const : i4[13,3,3,4] q(0.1, 0) @i4:468\n%b1 = const : i32[13] q(0.005, 0) @i32:13\n"
    "%c1 = Conv(%x, %w1, %b1) {pads=[1,1,1,1], act=relu} : i8[1,9,8,13] q(0.3, -128)\n"
    "%w2 = const : i4[8,3,3,13] q(0.1, 0) @i4:936\n%b2 = const : i32[8] q(0.03, 0) @i32:8\n"
    "%c2 = Conv(%c1, %w2, %b2) {strides=[2,2], pads=[1,1,1,1]} : i8[1,5,4,8] q(1.5, 4)\n"
    "%w3 = const : i4[6,1,1,4] q(0.1, 0) @i4:24\n%b3 = const : i32[6] q(0.15, 0) @i32:6\n"
    "%c3 = Conv(%c2, %w3, %b3) {group=2, act=relu} : i8[1,5,4,6] q(1.5, -128)\n"
    "%r = Reshape(%c3) {shape=[1,120]}\n"
    "%w4 = const : i4[5,120] q(0.1, 0) @i4:600\n%b4 = const : i32[5] q(0.15, 0) @i32:5\n"
    "%f = FullyConnected(%r, %w4, %b4) : i8[1,5] q(4, 7)\n"
    "output %f\n";

START_TEST(int4_net_is_byte_equal)
{
  const char *target = target_names[_i];
  if (!have_target(__FILE__, target)) return;
  Graph *g = graph_of(small_int4_net);
  Measured m = verify(g, target, "int4");
  ck_assert(m.built && m.ran);
  ck_assert_int_gt(m.vectors, 0);
  ck_assert_int_eq(m.vectors_equal, m.vectors);
  const int64_t weights = 468 + 936 + 24 + 600;
  ck_assert_int_gt(m.flash_weights, _i < 2 ? weights : weights / 2); /* bytes count on bare machines alone */
  if (_i >= 2) ck_assert_int_lt(m.flash_weights, weights / 2 + 1200);
  graph_free(g);
}
END_TEST

/* Two layers that keep state: SVDF with a state of int16, an LSTM over two steps with its hidden and cell state. */
static const char streaming_net[] =
    "graph \"streaming\"\n"
    "%x = input : i8[2,5] q(0.05, -3) \"frames\"\n"
    "%s0 = const : i16[2,24] q(0.002, 0) @i16:48\n%s = state(%s0) : i16[2,24] q(0.002, 0) \"memory\"\n"
    "%f = const : i8[8,5] q(0.01, 0) @i8:40\n%t = const : i16[8,3] q(0.0005, 0) @i16:24\n"
    "%sn = SvdfState(%s, %x, %f) : i16[2,24] q(0.002, 0)\n"
    "%v = Svdf(%sn, %t) {rank=2} : i8[2,4] q(0.1, 5)\n"
    "%in = Reshape(%v) {shape=[1,2,4]}\n"
    "%h0 = const : i8[1,6] q(0.0078125, 3) @i8:6\n%h = state(%h0) : i8[1,6] q(0.0078125, 3) \"hidden\"\n"
    "%c0 = const : i16[1,6] q(0.00048828125, 0) @i16:6\n%c = state(%c0) : i16[1,6] q(0.00048828125, 0) "
    "\"cell\"\n"
    "%w0 = const : i8[6,4] q(0.003, 0) @i8:24\n%r0 = const : i8[6,6] q(0.004, 0) @i8:36\n%b0 = const : "
    "i32[6] @i32:6\n"
    "%w1 = const : i8[6,4] q(0.003, 0) @i8:24\n%r1 = const : i8[6,6] q(0.004, 0) @i8:36\n%b1 = const : "
    "i32[6] @i32:6\n"
    "%w2 = const : i8[6,4] q(0.003, 0) @i8:24\n%r2 = const : i8[6,6] q(0.004, 0) @i8:36\n%b2 = const : "
    "i32[6] @i32:6\n"
    "%w3 = const : i8[6,4] q(0.003, 0) @i8:24\n%r3 = const : i8[6,6] q(0.004, 0) @i8:36\n%b3 = const : "
    "i32[6] @i32:6\n"
    "%all = SequenceLstm(%in, %h, %c, %w0, %w1, %w2, %w3, "
    "%r0, %r1, %r2, %r3, %b0, %b1, %b2, %b3) : i16[1,3,6] q(0.00048828125, 0)\n"
    "%rows = Slice(%all) {starts=[0,0,0], counts=[1,2,6], steps=[1,1,1]} : i16[1,2,6] q(0.00048828125, 0)\n"
    "%last = Slice(%all) {starts=[0,2,0], counts=[1,1,6], steps=[1,1,1]} : i16[1,1,6] q(0.00048828125, 0)\n"
    "%y = Cast(%rows) {to=i8} : i8[1,2,6] q(0.0078125, 3)\n"
    "%end = Slice(%y) {starts=[0,1,0], counts=[1,1,6], steps=[1,1,1]} : i8[1,1,6] q(0.0078125, 3)\n"
    "%hn = Reshape(%end) {shape=[1,6]}\n%cn = Reshape(%last) {shape=[1,6]}\n"
    "next %s = %sn next %h = %hn next %c = %cn\n"
    "output %y\n";

START_TEST(states_are_kept)
{
  const char *target = target_names[_i];
  if (!have_target(__FILE__, target)) return;
  Graph *g = graph_of(streaming_net);
  ck_assert_uint_eq(g->n_states, 3);
  Measured m = verify(g, target, "streaming");
  ck_assert(m.built && m.ran);
  ck_assert_int_gt(m.vectors, 1); /* each begins where the one before it ended */
  ck_assert_int_eq(m.vectors_equal, m.vectors);
  graph_free(g);
}
END_TEST

START_TEST(bare_machines_are_measured)
{
  const char *target = target_names[2 + _i];
  if (!have_target(__FILE__, target)) return;
  Graph *g = graph_of(small_int8_net);
  Measured m = verify(g, target, "measured"), again = verify(g, target, "measured");
  int64_t macs = graph_macs(g);
  ck_assert_msg(m.instructions > 2 * macs && m.instructions < 60 * macs, "%lld instructions for %lld MACs",
                (long long)m.instructions, (long long)macs);
  ck_assert_int_eq(m.instructions, again.instructions); /* exact, whatever the machine's load */
  ck_assert_msg(m.stack >= 64 && m.stack <= 1024, "stack %lld", (long long)m.stack);
  ck_assert_int_eq(m.stack, again.stack);
  ck_assert_int_lt(m.ram_other, 16); /* nothing but the context, at multiples of 8 as the arena is */
  graph_free(g);
}
END_TEST

/* Layer by layer, by whole layers and by turns: the sum is the whole but for what lies between the calls. */
START_TEST(layers_are_told_apart)
{
  static const PlanOptions plans[] = {{.level = PLAN_WHOLE}, {.level = PLAN_STREAM}, {.input_rows = true}};
  const char *target = target_names[2 + _i % 2];
  if (!have_target(__FILE__, target)) return;
  Graph *g = graph_of(small_int8_net);
  char dir[600];
  snprintf(dir, sizeof dir, "%s/profile", test_tmp_dir());
  const EmitOptions o = {.name = "net", .out_dir = dir, .plan = &plans[_i / 2]};
  Measured m;
  Profile p;
  Arena *a = arena_new();
  Diag *d = diag_new();
  ck_assert_msg(emit_c(g, target_find(target), &o, d), "%s", diag_text(d));
  ck_assert_msg(harness_verify(dir, target_find(target), NULL, &m, d), "%s", diag_text(d));
  ck_assert_msg(harness_profile(dir, target_find(target), NULL, a, &p, d), "%s", diag_text(d));
  int64_t instructions = 0, cycles = 0;
  ck_assert_int_eq(p.n_layers, 7); /* calls; Reshape is none */
  for (int i = 0; i < p.n_layers; i++) {
    ck_assert_msg(p.layers[i].calls > 0 && p.layers[i].instructions > 0, "%s: layer %d was not seen", target,
                  i);
    ck_assert_int_ge(p.layers[i].cycles, p.layers[i].instructions);
    instructions += p.layers[i].instructions;
    cycles += p.layers[i].cycles;
  }
  ck_assert_msg(instructions < m.instructions * 102 / 100 && instructions > m.instructions * 80 / 100,
                "%s: layers %lld, all %lld", target, (long long)instructions, (long long)m.instructions);
  ck_assert_msg(cycles < m.cycles * 102 / 100 && cycles > m.cycles * 80 / 100, "%s: layers %lld, all %lld",
                target, (long long)cycles, (long long)m.cycles);
  /* what the compiler says and what was written: apart by functions of its library, and frames not all written */
  ck_assert_msg(p.stack > 0 && p.stack < m.stack + 100 && m.stack < p.stack + 300,
                "%s: stack %lld, painted %lld", target, (long long)p.stack, (long long)m.stack);
  ck_assert_ptr_nonnull(strstr(p.stack_deepest, _i / 2 == 2 ? "net_push_rows" : "net_run"));
  arena_free(a);
  diag_free(d);
  graph_free(g);
}
END_TEST

/* Counted where there is a counter; counts do not depend on the vectors' number, nor on the test around them. */
START_TEST(user_programs_are_counted)
{
  const char *target = target_names[_i];
  if (!have_target(__FILE__, target)) return;
  Graph *g = graph_of(small_int8_net);
  Measured m = verify(g, target, "counted");
  int64_t macs = graph_macs(g);
  if (m.instructions < 0)
    test_skip("%s: there is no instruction counter here", target);
  else
    ck_assert_msg(m.instructions > macs / 4 && m.instructions < 60 * macs, "%lld instructions for %lld MACs",
                  (long long)m.instructions, (long long)macs);
  graph_free(g);
}
END_TEST

START_TEST(float_net_is_close)
{
  const char *target = target_names[_i];
  if (!have_target(__FILE__, target)) return;
  Graph *g = graph_of(small_float_net);
  Measured m = verify(g, target, "float");
  ck_assert_int_gt(m.vectors, 0);
  ck_assert_int_eq(m.vectors_passed, m.vectors);
  graph_free(g);
}
END_TEST

START_TEST(run_gives_the_outputs)
{
  enum { N = 3 };
  const char *target = target_names[_i];
  if (!have_target(__FILE__, target)) return;
  Graph *g = graph_of(small_float_net);
  const char *dir = emit_to_tmp(g, target, "run");
  Shape s = shape_of(4, (int64_t)1, (int64_t)8, (int64_t)8, (int64_t)3);
  Tensor in[N], got[N], want;
  Diag *d = diag_new();
  for (int k = 0; k < N; k++) {
    in[k] = tensor_new(DT_F32, &s);
    for (int64_t i = 0; i < shape_count(&s); i++) ((float *)in[k].data)[i] = sinf((float)(i * (k + 1)));
  }
  ck_assert_msg(harness_run(dir, target_find(target), g, in, N, got, d), "%s", diag_text(d));
  for (int k = 0; k < N; k++) {
    ck_assert_msg(graph_eval(g, &in[k], 1, &want, d), "%s", diag_text(d));
    ck_assert(shape_equal(&want.shape, &got[k].shape));
    for (int i = 0; i < 6; i++) {
      float a = ((const float *)got[k].data)[i], b = ((const float *)want.data)[i];
      ck_assert_msg(fabsf(a - b) <= 1e-5f, "%s: input %d output %d: got %g, want %g", target, k, i, (double)a,
                    (double)b);
    }
    tensor_free(&want);
    tensor_free(&got[k]);
    tensor_free(&in[k]);
  }
  diag_free(d);
  graph_free(g);
}
END_TEST

/* -- faults -- */

static void spoil(const char *dir, const char *file, const char *text) {
  char path[700];
  snprintf(path, sizeof path, "%s/%s", dir, file);
  test_write_file(path, text, strlen(text));
}

static void must_fail(const char *dir, const Target *t, const char *want) {
  Diag *d = diag_new();
  Measured m;
  ck_assert(!harness_verify(dir, t, NULL, &m, d));
  ck_assert_msg(strstr(diag_text(d), want) != NULL, "want \"%s\" in: %s", want, diag_text(d));
  diag_free(d);
}

START_TEST(faults_are_told)
{
  Graph *g = graph_of(small_int8_net);
  const char *dir = emit_to_tmp(g, "x86-64", "fault");
  const Target *t = target_find("x86-64");
  Target other = *t;
  other.cc = "no-such-compiler";
  other.packages = "gcc-for-nothing";
  must_fail(dir, &other, "no-such-compiler is not installed");
  must_fail(dir, &other, "gcc-for-nothing");
  must_fail("/nowhere", t, "/nowhere");
  spoil(dir, "vectors.bin", "MFVEC001");
  must_fail(dir, t, "vectors.bin");
  dir = emit_to_tmp(g, "x86-64", "fault");
  spoil(dir, "model.c", "int main(void) {");
  must_fail(dir, t, "gcc failed");
  graph_free(g);
}
END_TEST

/* One expected byte is changed: the harness must say where firmware and reference differ. */
START_TEST(a_difference_is_told)
{
  const char *target = target_names[_i];
  if (!have_target(__FILE__, target)) return;
  Graph *g = graph_of(small_int8_net);
  const char *dir = emit_to_tmp(g, target, "differs");
  char path[700];
  snprintf(path, sizeof path, "%s/vectors.bin", dir);
  size_t n;
  char *bytes = test_read_file(path, &n);
  bytes[n - 1] ^= 4;
  test_write_file(path, bytes, n);
  free(bytes);
  must_fail(dir, target_find(target), "vector 3: output 1 element 4 got ");
  graph_free(g);
}
END_TEST

Suite *suite_harness_m(void) {
  Suite *s = suite_create("harness_m");
  TCase *t = tcase_create("harness_m");
  tcase_add_loop_test(t, int8_net_is_byte_equal, 0, 4);
  tcase_add_loop_test(t, int4_net_is_byte_equal, 0, 4);
  tcase_add_loop_test(t, states_are_kept, 0, 4);
  tcase_add_loop_test(t, layers_are_told_apart, 0, 6);
  tcase_add_loop_test(t, bare_machines_are_measured, 0, 2);
  tcase_add_loop_test(t, user_programs_are_counted, 0, 2);
  tcase_add_loop_test(t, float_net_is_close, 0, 4);
  tcase_add_loop_test(t, run_gives_the_outputs, 0, 4);
  tcase_add_test(t, faults_are_told);
  tcase_add_loop_test(t, a_difference_is_told, 0, 4);
  suite_add_tcase(s, t);
  return s;
}
