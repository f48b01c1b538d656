/* The forms of emitted C: in pieces (NAME_step), weights apart and as a blob, kernels in files of their own, several
 * models in one program, NAME_info. Each is compiled strictly, runs its self-test, and is tried by a program of its own.
 */
#include <stdlib.h>
#include <string.h>

#include "ir/base/file.h"
#include "ir/base/strbuf.h"
#include "ir/eval.h"
#include "tests/backend/emitted.h"
#include "tests/support.h"

Suite *suite_emit_forms(void);

static const char *emit_form(const Graph *g, const char *dir_name, EmitOptions o) {
  static char dir[600];
  snprintf(dir, sizeof dir, "%s/%s", test_tmp_dir(), dir_name);
  o.out_dir = dir;
  if (!o.name) o.name = "net";
  Diag *d = diag_new();
  ck_assert_msg(emit_c(g, target_find("x86-64"), &o, d), "%s", diag_text(d));
  diag_free(d);
  return dir;
}

static void write_program(const char *file, const char *text) {
  char path[700];
  snprintf(path, sizeof path, "%s/%s", test_tmp_dir(), file);
  test_write_file(path, text, strlen(text));
}

/* Every source compiled alone and strictly; then the self-test under the sanitizers. */
static void check_form(const char *dir) {
  must_run(
      "cd '%s' && for f in model.c $(ls weights.c kernels/*.c 2>/dev/null); do gcc " STRICT
      " -Wmissing-prototypes -O1 -c $f -o strict.o || exit 1; done; "
      "gcc -std=c99 -Wall -Wextra -Wpedantic -Werror -fsanitize=address,undefined -fno-sanitize-recover=all "
      "selftest.c model.c $(ls weights.c kernels/*.c 2>/dev/null) -o selftest -lm && ./selftest",
      dir);
}

/* All forms, with whole layers, layers by turns, input by rows. */
static const PlanOptions plans[] = {{.level = PLAN_WHOLE}, {.level = PLAN_STREAM}, {.input_rows = true}};
static const EmitOptions forms[] = {
    {.step = true},
    {.weights = WEIGHTS_APART},
    {.weights = WEIGHTS_APART, .kernels = "kernels"},
    {.weights = WEIGHTS_BLOB},
    {.weights = WEIGHTS_BLOB, .step = true, .kernels = "kernels", .weights_align = 32},
    {.weights = WEIGHTS_BLOB, .optimize = OPT_SPEED, .kernels = "kernels"},
    {.weights_section = ".weights", .weights_align = 64},
};
enum { N_FORMS = sizeof forms / sizeof *forms, N_PLANS = sizeof plans / sizeof *plans };

START_TEST(every_form)
{
  for (int p = 0; p < N_PLANS; p++) {
    Graph *g = graph_of((p + _i) % 2 ? small_int8_net : small_float_net);
    char name[40];
    EmitOptions o = forms[_i];
    snprintf(name, sizeof name, "form%d-%d", _i, p);
    o.plan = &plans[p];
    check_form(emit_form(g, name, o));
    graph_free(g);
  }
}
END_TEST

/* State, a constant output, and a model without a layer. */
START_TEST(unusual_models)
{
  static const char *const nets[] = {
      "graph \"state\"\n%x = input : f32[1,2] %c = const : f32[1,2] {10, 20} %s = state(%c) : f32[1,2]\n"
      "%y = Add(%s, %x)\nnext %s = %y output %y, %c\n",
      "%a = const : f32[3] {1, 2, 3}\n%b = const : f32[3] {4, 5, 6}\n%y = Add(%a, %b) : f32[3]\noutput %y, "
      "%a\n",
      "%x = input : f32[3]\noutput %x\n"};
  for (int net = 0; net < 3; net++) {
    char name[40];
    Graph *g = graph_of(nets[net]);
    snprintf(name, sizeof name, "unusual%d-%d", _i, net);
    check_form(emit_form(g, name, forms[_i]));
    graph_free(g);
  }
}
END_TEST

/* Arrays of more than 64 KiB are strings, of every type; all bytes come through. */
START_TEST(large_constants)
{
  static const char net[] = "%x = input : f32[1,200]\n%w = const : f32[150,200] @f32:30000\n"
                            "%f = FullyConnected(%x, %w) : f32[1,150]\n%q = input : i8[1,300] q(0.05, -3)\n"
                            "%v = const : i8[300,300] q(0.01, 0) @i8:90000\n"
                            "%g = FullyConnected(%q, %v) : i8[1,300] q(0.5, 0)\noutput %f, %g\n";
  static const EmitOptions large[] = {{0}, {.weights = WEIGHTS_APART}, {.weights = WEIGHTS_BLOB}};
  Graph *g = graph_of(net);
  for (int i = 0; i < 3; i++) {
    char name[40];
    snprintf(name, sizeof name, "large%d", i);
    const char *dir = emit_form(g, name, large[i]);
    check_form(dir);
    if (i < 2) must_run("cd '%s' && grep -q 'union net_t[0-9]* {' model.c", dir);
    if (i == 0 && have_tool(__FILE__, "clang")) must_run("cd '%s' && clang " STRICT " -O0 -c model.c", dir);
  }
  graph_free(g);
}
END_TEST

/* -- sections and alignment -- */

START_TEST(weights_in_a_section)
{
  Graph *g = graph_of(small_int8_net);
  const char *dir = emit_form(g, "section", (EmitOptions){.weights_section = ".xip", .weights_align = 256});
  must_run("cd '%s' && gcc -c model.c && objdump -h model.o | grep -q '\\.xip .* 2\\*\\*8'", dir);
  must_run("cd '%s' && gcc '-DNET_CONST=__attribute__((section(\".mine\")))' -c model.c && "
           "objdump -h model.o | grep -q '\\.mine' && ! objdump -h model.o | grep -q '\\.xip'",
           dir);
  Diag *d = diag_new();
  EmitOptions o = {.name = "net", .out_dir = dir, .weights_align = 24};
  ck_assert(!emit_c(g, target_find("x86-64"), &o, d));
  ck_assert_ptr_nonnull(strstr(diag_text(d), "power of 2"));
  diag_free(d);
  graph_free(g);
}
END_TEST

/* -- the blob -- */

static const char blob_program[] =
    "#include \"blob/model.h\"\n"
    "#include <stdio.h>\n"
    "#include <string.h>\n"
    "static union { unsigned char b[NET_ARENA_SIZE]; double d; } memory;\n"
    "static union { unsigned char b[NET_WEIGHTS_SIZE + 64]; double d; } mine, other;\n"
    "static unsigned char expect[NET_OUTPUT1_BYTES];\n"
    "static net_context c;\n"
    "static void infer(unsigned char *out) {\n"
    "  memset(net_input(&c, 0), 3, NET_INPUT0_BYTES);\n"
    "  net_run(&c);\n"
    "  memcpy(out, net_output(&c, 1), NET_OUTPUT1_BYTES);\n"
    "}\n"
    "static size_t load(const char *path, unsigned char *to) {\n"
    "  FILE *f = fopen(path, \"rb\");\n"
    "  size_t n = f ? fread(to, 1, NET_WEIGHTS_SIZE + 64, f) : 0;\n"
    "  if (f) fclose(f);\n"
    "  return n;\n"
    "}\n"
    "static int damaged(int at) {\n"
    "  int r;\n"
    "  mine.b[at] ^= 1;\n"
    "  r = net_bind_weights(&c, mine.b, NET_WEIGHTS_SIZE);\n"
    "  mine.b[at] ^= 1;\n"
    "  return r;\n"
    "}\n"
    "int main(int argc, char **argv) {\n"
    "  unsigned char first[NET_OUTPUT1_BYTES], second[NET_OUTPUT1_BYTES];\n"
    "  FILE *f = fopen(argv[3], \"rb\");\n"
    "  if (argc != 4 || !f || fread(expect, 1, sizeof expect, f) != sizeof expect) return 1;\n"
    "  fclose(f);\n"
    "  if (net_init(&c, memory.b, sizeof memory)) return 2;\n"
    "  memset(memory.b, 77, sizeof memory);\n"
    "  net_run(&c); /* nothing is bound: computes nothing */\n"
    "  for (size_t i = 0; i < NET_ARENA_SIZE; i++) if (memory.b[i] != 77) return 3;\n"
    "  if (load(argv[1], mine.b) != NET_WEIGHTS_SIZE || load(argv[2], other.b) != NET_WEIGHTS_SIZE) return "
    "4;\n"
    "  if (memcmp(mine.b, net_weights, NET_WEIGHTS_SIZE)) return 5;\n"
    "  if (net_bind_weights(&c, mine.b, NET_WEIGHTS_SIZE)) return 6;\n"
    "  infer(first);\n"
    "  if (net_bind_weights(&c, other.b, sizeof other.b)) return 7;\n"
    "  infer(second);\n"
    "  if (memcmp(second, expect, sizeof expect)) return 8;\n"
    "  if (!memcmp(first, second, sizeof first)) return 18;\n"
    "  if (damaged(0) != NET_WEIGHTS_MAGIC || damaged(4) != NET_WEIGHTS_VERSION) return 9;\n"
    "  if (damaged(8) != NET_WEIGHTS_FINGERPRINT || damaged(15) != NET_WEIGHTS_FINGERPRINT) return 10;\n"
    "  if (damaged(16) != NET_WEIGHTS_LENGTH || damaged(20) != NET_WEIGHTS_CHECKSUM) return 11;\n"
    "  for (int i = 32; i < NET_WEIGHTS_SIZE; i++) if (damaged(i) != NET_WEIGHTS_CHECKSUM) return 12;\n"
    "  if (net_bind_weights(&c, mine.b, NET_WEIGHTS_SIZE - 1) != NET_WEIGHTS_LENGTH) return 13;\n"
    "  if (net_bind_weights(&c, NULL, 0) != NET_WEIGHTS_LENGTH || net_bind_weights(&c, mine.b, 31) != "
    "NET_WEIGHTS_LENGTH) "
    "return 14;\n"
    "  if (net_bind_weights(&c, mine.b + 1, NET_WEIGHTS_SIZE) != NET_WEIGHTS_MISALIGNED) return 15;\n"
    "  if (c.weights) return 16;\n"
    "  if (net_info.weights_size != NET_WEIGHTS_SIZE || net_info.arena_size != NET_ARENA_SIZE) return 17;\n"
    "  return 0;\n"
    "}\n";

/* The model's second output for an input of bytes 3. */
static void expected_output(const Graph *g, const char *path) {
  const Value *v = graph_val(g, g->inputs[0]);
  Tensor in = tensor_new(v->dtype, &v->shape), *out = calloc(g->n_outputs, sizeof *out);
  Diag *d = diag_new();
  memset(in.data, 3, tensor_bytes(&in));
  ck_assert_msg(graph_eval(g, &in, 1, out, d), "%s", diag_text(d));
  test_write_file(path, out[1].data, tensor_bytes(&out[1]));
  tensor_free(&in);
  for (uint32_t i = 0; i < g->n_outputs; i++) tensor_free(&out[i]);
  free(out);
  diag_free(d);
}

/* The net with other weights, and another quantization between its layers. */
static Graph *other_weights(void) {
  StrBuf text = {0};
  sb_puts(&text, small_int8_net);
  char *layer = strstr(text.s, "q(0.15, -128) \"conv1\""), *second = strstr(text.s, "q(0.2, 4)");
  ck_assert(layer && second);
  memcpy(layer, "q(0.17, -128)", 13);
  memcpy(second, "q(0.3, 9)", 9);
  Graph *g = graph_of_seed(text.s, 12);
  sb_free(&text);
  return g;
}

START_TEST(blob_is_checked_and_exchanged)
{
  char expect[700];
  Graph *g = graph_of(small_int8_net), *other = other_weights();
  EmitOptions o = {.weights = WEIGHTS_BLOB, .optimize = _i ? OPT_SPEED : OPT_BALANCED};
  emit_form(other, "other", o);
  emit_form(g, "blob", o);
  snprintf(expect, sizeof expect, "%s/expect.bin", test_tmp_dir());
  expected_output(other, expect);
  write_program("blob.c", blob_program);
  must_run("cd '%s' && gcc -std=c99 -Wall -Wextra -Werror -fsanitize=address,undefined "
           "-fno-sanitize-recover=all blob.c "
           "blob/model.c blob/weights.c -o blob.out && ./blob.out blob/net_weights.bin other/net_weights.bin "
           "expect.bin",
           test_tmp_dir());
  graph_free(g);
  graph_free(other);
}
END_TEST

/* -- several models -- */

static const char shared_program[] =
    "#include \"fw/one/model.h\"\n"
    "#include \"fw/two/model.h\"\n"
    "#include <string.h>\n"
    "int main(void) {\n"
    "  static union { unsigned char b[ONE_ARENA_SIZE]; double d; } m1;\n"
    "  static union { unsigned char b[TWO_ARENA_SIZE]; double d; } m2;\n"
    "  one_context a;\n"
    "  two_context b;\n"
    "  const mistify_model_info *const all[] = {&one_info, &two_info};\n"
    "  if (one_init(&a, m1.b, sizeof m1) || two_init(&b, m2.b, sizeof m2)) return 1;\n"
    "  memset(one_input(&a, 0), 1, ONE_INPUT0_BYTES);\n"
    "  memset(two_input(&b, 0), 1, TWO_INPUT0_BYTES);\n"
    "  one_run(&a);\n"
    "  two_run(&b);\n"
    "  if (memcmp(one_output(&a, 0), two_output(&b, 0), ONE_OUTPUT0_BYTES) == 0) return 2;\n"
    "  for (int i = 0; i < 2; i++)\n"
    "    if (all[i]->inputs != 1 || all[i]->outputs != 2 || all[i]->input[0].rank != 4 || "
    "all[i]->input[0].zero != -3 ||\n"
    "        strcmp(all[i]->input[0].dtype, \"int8\") || strcmp(all[i]->output[1].name, \"logits\"))\n"
    "      return 3;\n"
    "  if (one_info.fingerprint == 0 || strcmp(one_info.content, two_info.content) == 0) return 4;\n"
    "  return one_info.macs != two_info.macs || strcmp(two_info.name, \"two\") != 0;\n"
    "}\n";

/* Kernels of two models, emitted apart, are the same files. */
START_TEST(kernels_are_shared)
{
  Graph *g = graph_of(small_int8_net), *other = other_weights();
  emit_form(g, "fw/one", (EmitOptions){.name = "one", .kernels = "../kernels"});
  must_run("cd '%s/fw/kernels' && cat * > ../before", test_tmp_dir());
  emit_form(other, "fw/two", (EmitOptions){.name = "two", .kernels = "../kernels"});
  must_run("cd '%s/fw/kernels' && cat * | cmp - ../before", test_tmp_dir());
  write_program("shared.c", shared_program);
  must_run("cd '%s' && gcc -std=c99 -Wall -Wextra -Werror shared.c fw/one/model.c fw/two/model.c "
           "fw/kernels/*.c -o shared "
           "-lm && ./shared",
           test_tmp_dir());
  graph_free(g);
  graph_free(other);
}
END_TEST

/* -- conversions -- */

static const char io_program[] =
    "#include \"io/model_io.h\"\n"
    "#include <string.h>\n"
    "int main(void) {\n"
    "  static net_context c;\n"
    "  static union { unsigned char b[NET_ARENA_SIZE]; double d; } m;\n"
    "  static const float x[] = {0, 0.025f, -0.025f, 0.074f, 100, -100, 0.05f};\n"
    "  static const int8_t want[] = {-3, -2, -4, -2, 127, -128, -2};\n"
    "  static const uint8_t rgb[] = {0, 0, 0, 255, 128, 1};\n"
    "  static const uint16_t rgb565[] = {0xffff, 0x8410};\n"
    "  int8_t q[7], out[3 * 64];\n"
    "  float back[7];\n"
    "  net_quantize_input0(x, q, 7);\n"
    "  if (memcmp(q, want, 7)) return 1;\n"
    "  net_dequantize_output0(q, back, 7);\n"
    "  for (int i = 0; i < 7; i++) if (back[i] != NET_OUTPUT0_SCALE * (float)(q[i] - NET_OUTPUT0_ZERO)) "
    "return 2;\n"
    "  memset(out, 77, sizeof out);\n"
    "  net_input_rgb888(rgb, out, 1, 2);\n" /* byte * 0.02 - 1 at scale 0.05, zero -3 */
    "  if (out[NET_PIXEL_STEP] != -23 || out[2 * NET_PIXEL_STEP] != 79) return 3;\n"
    "  if (out[2 * NET_PIXEL_STEP + NET_CHANNEL_STEP] != 28 || out[2 * NET_PIXEL_STEP + 2 * "
    "NET_CHANNEL_STEP] != -23) "
    "return 4;\n"
    "  net_input_rgb565(rgb565, out, 0, 2);\n"
    "  if (out[0] != 79 || out[2 * NET_CHANNEL_STEP] != 79) return 5;\n"
    "  if (out[NET_PIXEL_STEP] != 30 || out[NET_PIXEL_STEP + NET_CHANNEL_STEP] != 29) return 6;\n"
    "  net_input_gray(rgb + 3, out, 63, 1);\n"
    "  if (out[63 * NET_PIXEL_STEP + 2 * NET_CHANNEL_STEP] != 79) return 7;\n"
    "  if (net_init(&c, m.b, sizeof m)) return 8;\n"
    "  net_input_gray(rgb, (int8_t *)net_input(&c, 0), 0, 6);\n"
    "  net_run(&c);\n"
    "  return 0;\n"
    "}\n";

/* Channels last and first; unused, the header compiles without a warning too. */
START_TEST(inputs_and_outputs_are_converted)
{
  static const char *const nets[] = {
      "%x = input : i8[1,8,8,3] q(0.05, -3)\n%y = MaxPool(%x) {kernel=[2,2]} : i8[1,7,7,3] q(0.05, "
      "-3)\noutput %y\n",
      "%x = input : i8[1,3,8,8] q(0.05, -3)\n%t = Transpose(%x) {perm=[0,2,3,1]} : i8[1,8,8,3] q(0.05, -3)\n"
      "%y = MaxPool(%t) {kernel=[2,2]} : i8[1,7,7,3] q(0.05, -3)\noutput %y\n"};
  Graph *g = graph_of(nets[_i]);
  EmitOptions o = {.pixel_channels = 1, .pixel_scale = {0.02f}, .pixel_offset = {-1}};
  emit_form(g, "io", o);
  write_program("io.c", io_program);
  write_program("unused.c", "#include \"io/model_io.h\"\nint nothing;\n");
  must_run("cd '%s' && gcc " STRICT
           " -O2 -c unused.c && test $(size -A unused.o | grep -c '^.text *0') -ge 1 && "
           "gcc -std=c99 -Wall -Wextra -Wpedantic -Werror -ffp-contract=off -fsanitize=address,undefined "
           "-fno-sanitize-recover=all io.c io/model.c -o io.out && ./io.out",
           test_tmp_dir());
  graph_free(g);
}
END_TEST

/* -- through the harness, on the device -- */

static void check_harness(const Graph *g, const char *target, EmitOptions o) {
  char dir[600];
  Measured m;
  Diag *d = diag_new();
  snprintf(dir, sizeof dir, "%s/harness-%s", test_tmp_dir(), target);
  o.name = "net";
  o.out_dir = dir;
  ck_assert_msg(emit_c(g, target_find(target), &o, d), "%s", diag_text(d));
  ck_assert_msg(harness_verify(dir, target_find(target), NULL, &m, d), "%s: %s", target, diag_text(d));
  ck_assert_int_eq(m.vectors_equal, m.vectors);
  ck_assert_int_gt(m.flash_weights, 400);
  file_remove_tree(dir);
  diag_free(d);
}

START_TEST(forms_on_the_device)
{
  static const char *const names[] = {"cortex-m4", "cortex-m0"};
  if (!have_target(__FILE__, names[_i])) return;
  Graph *g = graph_of(small_int8_net);
  const PlanOptions rows = {.input_rows = true};
  check_harness(
      g, names[_i],
      (EmitOptions){.weights = WEIGHTS_BLOB, .step = true, .kernels = "kernels", .optimize = OPT_SPEED});
  check_harness(g, names[_i], (EmitOptions){.weights = WEIGHTS_APART, .step = true, .plan = &rows});
  graph_free(g);
}
END_TEST

Suite *suite_emit_forms(void) {
  Suite *s = suite_create("emit_forms");
  TCase *t = tcase_create("emit_forms");
  tcase_set_timeout(t, 120);
  tcase_add_loop_test(t, every_form, 0, N_FORMS);
  tcase_add_loop_test(t, unusual_models, 0, N_FORMS);
  tcase_add_test(t, large_constants);
  tcase_add_test(t, weights_in_a_section);
  tcase_add_loop_test(t, blob_is_checked_and_exchanged, 0, 2);
  tcase_add_test(t, kernels_are_shared);
  tcase_add_loop_test(t, inputs_and_outputs_are_converted, 0, 2);
  tcase_add_loop_test(t, forms_on_the_device, 0, 2);
  suite_add_tcase(s, t);
  return s;
}
