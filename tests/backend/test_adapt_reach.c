/* Which layers learn on the device, and which models may not: beside tests/backend/test_adapt_device.c. */
#include <stdlib.h>
#include <string.h>

#include "ir/base/file.h"
#include "runtime/device/adapt.h"
#include "tests/backend/adapting.h"
#include "tests/backend/emitted.h"
#include "tests/support.h"

Suite *suite_adapt_reach(void);

/* NULL: it is emitted. */
static const char *emitted(const char *text, DeviceAdapt layers, AdaptSizes *sizes) {
  static char said[2000], dir[600];
  Graph *g = graph_of(text);
  Diag *d = diag_new();
  snprintf(dir, sizeof dir, "%s/reach", test_tmp_dir());
  const EmitOptions o = {.name = "net", .out_dir = dir, .adapt = layers, .adapt_sizes = sizes};
  const bool ok = emit_c(g, target_find("x86-64"), &o, d);
  snprintf(said, sizeof said, "%s", diag_text(d));
  graph_free(g);
  diag_free(d);
  return ok ? NULL : said;
}

/* Gradients take what is free of the arena, and a state lies in it from one run to the next. */
START_TEST(no_state_from_run_to_run)
{
  static const char net[] = "%x = input : i8[1,4] q(0.1, 0)\n"
                            "%h0 = const : i8[1,4] q(0.1, 0) @i8:4\n%h = state(%h0) : i8[1,4] q(0.1, 0)\n"
                            "%s = Add(%x, %h) : i8[1,4] q(0.1, 0)\n"
                            "%w = const : i8[3,4] q(0.01, 0) @i8:12\n"
                            "%y = FullyConnected(%s, %w) : i8[1,3] q(0.2, 0)\n"
                            "next %h = %s\noutput %y\n";
  static const DeviceAdapt layers[] = {DEVICE_ADAPT_LAST, DEVICE_ADAPT_BIAS};
  for (int i = 0; i < 2; i++) {
    const char *said = emitted(net, layers[i], NULL);
    ck_assert_msg(said && strstr(said, "from one run to the next"), "%s", said ? said : "emitted");
  }
}
END_TEST

/* Factors above one shift sums to the left: what is too large is the limit, and does not come out on the other side. */
START_TEST(large_sums_saturate)
{
  static const int32_t mult[1] = {1 << 30};
  static const int8_t shift[1] = {12}, x[1] = {127};
  const mf_adapt_last p = {.k = 1, .n = 1, .lo = -128, .hi = 127, .mult = mult, .shift = shift};
  int8_t y;
  for (int sign = -1; sign <= 1; sign += 2)
    for (int bits = 10; bits < 31; bits++) {
      const int32_t words[2] = {sign * (1 << bits), sign * (1 << bits)};
      mf_adapt_run_last(&p, words, x, &y);
      ck_assert_msg(bits < 16 || y == (sign < 0 ? -128 : 127), "2^%d: %d", bits, y);
    }
}
END_TEST

/* c1 is read by the Add and, by way of c2, by what has no way back: the Add's share alone is not its gradient. */
START_TEST(half_a_gradient_is_none)
{
  static const char head[] = "%x = input : i8[1,4,4,2] q(0.1, 0)\n"
                             "%w1 = const : i8[4,1,1,2] q(0.01, 0) @i8:8\n"
                             "%w2 = const : i8[4,1,1,4] q(0.01, 0) @i8:16\n"
                             "%w3 = const : i8[4,1,1,4] q(0.01, 0) @i8:16\n"
                             "%c1 = Conv(%x, %w1) : i8[1,4,4,4] q(0.1, 0)\n"
                             "%c2 = Conv(%c1, %w2) : i8[1,4,4,4] q(0.1, 0)\n",
                    tail[] = "%s = Add(%c1, %m) : i8[1,4,4,4] q(0.1, 0)\n"
                             "%c3 = Conv(%s, %w3) : i8[1,4,4,4] q(0.1, 0)\n"
                             "%p = AveragePool(%c3) {kernel=[4,4]} : i8[1,1,1,4] q(0.1, 0)\n"
                             "%r = Reshape(%p) {shape=[1,4]}\n"
                             "%w = const : i8[3,4] q(0.01, 0) @i8:12\n"
                             "%y = FullyConnected(%r, %w) : i8[1,3] q(0.2, 0)\noutput %y\n";
  static const char *const middle[] = {"%m = Relu(%c2) : i8[1,4,4,4] q(0.1, 0)\n",
                                       "%m = Mul(%c2, %c2) : i8[1,4,4,4] q(0.1, 0) \"m\"\n"};
  for (int i = 0; i < 2; i++) {
    char net[2000];
    AdaptSizes sizes;
    snprintf(net, sizeof net, "%s%s%s", head, middle[i], tail);
    const char *said = emitted(net, DEVICE_ADAPT_BIAS, &sizes);
    ck_assert_msg(!said, "%s", said);
    ck_assert_int_eq(sizes.layers, i ? 1 : 3);
    ck_assert_int_eq(sizes.beyond, i ? 2 : 0);
    if (i) ck_assert_str_eq(sizes.ends, "mul_s8 (Mul \"m\")");
  }
}
END_TEST

/* A summand that is no constant and has other pixels than the sum: the way back ends there, whichever of both it is. */
START_TEST(a_sum_that_broadcasts_ends_it)
{
  static const char net[] = "%%x = input : i8[1,4,4,2] q(0.1, 0)\n"
                            "%%w1 = const : i8[4,1,1,2] q(0.01, 0) @i8:8\n"
                            "%%w2 = const : i8[4,1,1,4] q(0.01, 0) @i8:16\n"
                            "%%w3 = const : i8[4,1,1,4] q(0.01, 0) @i8:16\n"
                            "%%c1 = Conv(%%x, %%w1) : i8[1,4,4,4] q(0.1, 0)\n"
                            "%%m = AveragePool(%%c1) {kernel=[%d,%d]} : i8[1,%d,%d,4] q(0.1, 0)\n"
                            "%%c2 = Conv(%%m, %%w2) : i8[1,%d,%d,4] q(0.1, 0)\n"
                            "%%s = Add(%s) : i8[1,4,4,4] q(0.1, 0) \"s\"\n"
                            "%%c3 = Conv(%%s, %%w3) : i8[1,4,4,4] q(0.1, 0)\n"
                            "%%p = AveragePool(%%c3) {kernel=[4,4]} : i8[1,1,1,4] q(0.1, 0)\n"
                            "%%r = Reshape(%%p) {shape=[1,4]}\n"
                            "%%w = const : i8[3,4] q(0.01, 0) @i8:12\n"
                            "%%y = FullyConnected(%%r, %%w) : i8[1,3] q(0.2, 0)\noutput %%y\n";
  static const char *const summands[] = {"%c1, %c2", "%c2, %c1"};
  for (int i = 0; i < 2; i++)
    for (int kernel = 1; kernel <= 4; kernel += 3) {
      char text[2000];
      const int left = 4 / kernel;
      AdaptSizes sizes;
      snprintf(text, sizeof text, net, kernel, kernel, left, left, left, left, summands[i]);
      const char *said = emitted(text, DEVICE_ADAPT_BIAS, &sizes);
      ck_assert_msg(!said, "%s", said);
      ck_assert_int_eq(sizes.layers, kernel == 1 ? 3 : 1);
      ck_assert_int_eq(sizes.beyond, kernel == 1 ? 0 : 2);
      if (kernel > 1) ck_assert_msg(strstr(sizes.ends, "(Add \"s\")"), "%s", sizes.ends);
    }
}
END_TEST

/* Where the gradients of a sum and of its summands lie, by the emitted table. */
static void places_of_add(long at[3]) {
  static const char *const fields[] = {".dy = {", ".dx = {", ".dx2 = {"};
  Arena *a = arena_new();
  Diag *d = diag_new();
  size_t n;
  const char *text = file_read(a, path_join(a, test_tmp_dir(), "reach/model.c"), &n, d);
  ck_assert_msg(text != NULL, "%s", diag_text(d));
  const char *row = strstr(text, "{.kind = MF_BACK_ADD");
  ck_assert_ptr_nonnull(row);
  for (int i = 0; i < 3; i++) at[i] = strtol(strstr(row, fields[i]) + strlen(fields[i]), NULL, 10);
  arena_free(a);
  diag_free(d);
}

/* Both summands may have the sum's gradient in its place where c2 only reads it, but not where c2's adapter changes it. */
START_TEST(adapters_share_no_gradient)
{
  static const char net[] = "%x = input : i8[1,4,4,2] q(0.1, 0)\n"
                            "%w0 = const : i8[4,1,1,2] q(0.01, 0) @i8:8\n"
                            "%w1 = const : i8[4,1,1,4] q(0.01, 0) @i8:16\n"
                            "%c0 = Conv(%x, %w0) : i8[1,4,4,4] q(0.1, 0)\n"
                            "%c1 = Conv(%c0, %w1) : i8[1,4,4,4] q(0.1, 0)\n"
                            "%w2 = const : i8[4,1,1,4] q(0.01, 0) @i8:16\n"
                            "%c2 = Conv(%c1, %w2) : i8[1,4,4,4] q(0.1, 0)\n"
                            "%s = Add(%c2, %c0) : i8[1,4,4,4] q(0.1, 0)\n"
                            "%p = AveragePool(%s) {kernel=[4,4]} : i8[1,1,1,4] q(0.1, 0)\n"
                            "%r = Reshape(%p) {shape=[1,4]}\n"
                            "%w = const : i8[3,4] q(0.01, 0) @i8:12\n"
                            "%y = FullyConnected(%r, %w) : i8[1,3] q(0.2, 0)\noutput %y\n";
  long at[3];
  const char *said = emitted(net, DEVICE_ADAPT_BIAS, NULL);
  ck_assert_msg(!said, "%s", said);
  places_of_add(at);
  ck_assert(at[1] == at[0] && at[2] == at[0]);
  said = emitted(net, DEVICE_ADAPT_ADAPTERS, NULL);
  ck_assert_msg(!said, "%s", said);
  places_of_add(at);
  ck_assert(at[1] >= 0 && at[2] >= 0 && at[1] != at[2]);
}
END_TEST

/* Two steps on any input: the wide layer's biases, right behind the last layer's words, have moved. */
static void biases_move(int c) {
  static const int8_t x[2] = {90, -70};
  const AdaptOrder orders[] = {{1, x}, {1, x}, {.what = ADAPT_WORDS}};
  const AdaptRun r = {
      .name = "net", .rates = {0.01f, 0.01f, 0.01f, 0}, .orders = orders, .n = 3, .input_bytes = 2};
  char dir[600];
  int moved = 0;
  snprintf(dir, sizeof dir, "%s/reach", test_tmp_dir());
  must_run("cd '%s' && gcc " STRICT " -O1 -c model.c -o strict.o", dir);
  StrBuf out = adapt_obey(dir, "x86-64", &r);
  const char *offsets = out.s + ADAPT_RESULTS + 2 * sizeof(float) + (2 * (size_t)c + 2) * 4;
  for (int i = 0; i < c; i++) {
    int32_t word;
    memcpy(&word, offsets + 4 * i, 4);
    moved += word != 0;
  }
  ck_assert_int_gt(moved, c / 2);
  sb_free(&out);
}

/* Sums of adapters are bounded for so many channels; wider layers learn their biases alone. */
START_TEST(wide_layers_have_no_adapter)
{
  static const DeviceAdapt forms[] = {DEVICE_ADAPT_BIAS, DEVICE_ADAPT_ADAPTERS};
  for (int more = 0; more < 2; more++)
    for (int i = 0; i < 2; i++) {
      const int c = MF_ADAPTER_CHANNELS + more;
      char text[600];
      AdaptSizes sizes;
      snprintf(
          text, sizeof text,
          "%%x = input : i8[1,2] q(0.1, 0)\n%%v = const : i8[4,2] q(0.01, 0) @i8:8\n"
          "%%g = FullyConnected(%%x, %%v) : i8[1,4] q(0.1, 0)\n"
          "%%w = const : i8[%d,4] q(0.01, 0) @i8:%d\n%%h = FullyConnected(%%g, %%w) : i8[1,%d] q(0.1, 0)\n"
          "%%u = const : i8[2,%d] q(0.01, 0) @i8:%d\n"
          "%%y = FullyConnected(%%h, %%u) : i8[1,2] q(0.2, 0)\noutput %%y\n",
          c, 4 * c, c, c, 2 * c);
      const char *said = emitted(text, forms[i], &sizes);
      ck_assert_msg(!said, "%s", said);
      ck_assert_int_eq(sizes.layers, 2);
      ck_assert_int_eq(sizes.biases, 2);
      ck_assert_int_eq(sizes.adapters, !i ? 0 : more ? 1 : 2);
      if (more) biases_move(c);
    }
}
END_TEST

/* A rank above a layer's channels is no error, and is said; where the last layer stands alone, or is the last within memory, the
 * message says so. */
START_TEST(what_does_not_fit_is_said)
{
  static const char net[] =
      "%x = input : i8[1,8] q(0.1, 0)\n%v = const : i8[4,8] q(0.01, 0) @i8:32\n"
      "%g = FullyConnected(%x, %v) : i8[1,4] q(0.1, 0)\n"
      "%w = const : i8[9,4] q(0.01, 0) @i8:36\n%h = FullyConnected(%g, %w) : i8[1,9] q(0.1, 0)\n"
      "%u = const : i8[2,9] q(0.01, 0) @i8:18\n"
      "%y = FullyConnected(%h, %u) : i8[1,2] q(0.2, 0)\noutput %y\n",
                    alone[] = "%x = input : i8[1,8] q(0.1, 0)\n%v = const : i8[4,8] q(0.01, 0) @i8:32\n"
                              "%y = FullyConnected(%x, %v) : i8[1,4] q(0.1, 0)\noutput %y\n";
  static const struct {
    DeviceAdapt layers;
    int rank;
    const char *way;
  } of[] = {{DEVICE_ADAPT_ADAPTERS, 8, "a rank below 8, adapt biases (adapt: {layers: bias}), or"},
            {DEVICE_ADAPT_ADAPTERS, 1, "give more memory, adapt biases (adapt: {layers: bias}), or"},
            {DEVICE_ADAPT_BIAS, 0, "give more memory, or adapt the last layer alone"}};
  char dir[600];
  AdaptSizes sizes;
  Graph *g = graph_of(net);
  snprintf(dir, sizeof dir, "%s/sizes", test_tmp_dir());
  EmitOptions o = {.name = "net", .out_dir = dir, .adapt = DEVICE_ADAPT_LAST, .adapt_sizes = &sizes};
  Diag *d = diag_new();
  ck_assert(emit_c(g, target_find("x86-64"), &o, d));
  const int64_t last = sizes.state + sizes.arena;
  for (int rank = 4; rank <= 8; rank += 4) {
    o.adapt = DEVICE_ADAPT_ADAPTERS;
    o.adapt_rank = rank;
    ck_assert(emit_c(g, target_find("x86-64"), &o, d));
    ck_assert_int_eq(sizes.adapters, 2);
    ck_assert_int_eq(sizes.narrow, rank > 4);
  }
  for (int i = 0; i < 3; i++) {
    const EmitOptions small = {
        .name = "net", .out_dir = dir, .adapt = of[i].layers, .adapt_rank = of[i].rank, .adapt_memory = last};
    const char *said = adapt_refused(g, &small);
    ck_assert_msg(strstr(said, of[i].way), "%s", said);
  }
  graph_free(g);
  diag_free(d);
  const char *said = emitted(alone, DEVICE_ADAPT_ADAPTERS, NULL);
  ck_assert_msg(said && strstr(said, "within reach: no int8 layer before it has one"), "%s",
                said ? said : "emitted");
}
END_TEST

/* What learns is a part of what the model adds to a program. */
START_TEST(what_learns_is_measured)
{
  static const char target[] = "cortex-m4";
  if (!have_target(__FILE__, target)) return;
  char dir[600];
  Graph *g = graph_of(small_int8_net);
  Diag *d = diag_new();
  Measured m[2];
  AdaptSizes sizes = {0};
  for (int i = 0; i < 2; i++) {
    snprintf(dir, sizeof dir, "%s/measured%d", test_tmp_dir(), i);
    const EmitOptions o = {.name = "net",
                           .out_dir = dir,
                           .adapt = i ? DEVICE_ADAPT_BIAS : DEVICE_ADAPT_NONE,
                           .adapt_sizes = &sizes};
    ck_assert_msg(emit_c(g, target_find(target), &o, d), "%s", diag_text(d));
    ck_assert_msg(harness_verify(dir, target_find(target), NULL, &m[i], d), "%s", diag_text(d));
    ck_assert_int_eq(m[i].vectors, m[i].vectors_equal);
  }
  const int64_t ram = m[1].ram_arena + m[1].ram_other - m[0].ram_arena - m[0].ram_other;
  ck_assert_msg(ram >= sizes.state + sizes.arena && ram < sizes.state + sizes.arena + 32, "%lld of RAM, %lld",
                (long long)ram, (long long)(sizes.state + sizes.arena));
  ck_assert_msg(m[1].flash_code > m[0].flash_code + 2000, "code %lld, %lld", (long long)m[0].flash_code,
                (long long)m[1].flash_code);
  graph_free(g);
  diag_free(d);
}
END_TEST

Suite *suite_adapt_reach(void) {
  Suite *s = suite_create("adapt_reach");
  TCase *t = tcase_create("adapt_reach");
  tcase_add_test(t, no_state_from_run_to_run);
  tcase_add_test(t, large_sums_saturate);
  tcase_add_test(t, half_a_gradient_is_none);
  tcase_add_test(t, a_sum_that_broadcasts_ends_it);
  tcase_add_test(t, adapters_share_no_gradient);
  tcase_add_test(t, wide_layers_have_no_adapter);
  tcase_add_test(t, what_does_not_fit_is_said);
  tcase_add_test(t, what_learns_is_measured);
  suite_add_tcase(s, t);
  return s;
}
