/* Training on the device: emitted C that learns, on all machines alike, and within the memory that was planned. Gradients:
 * tests/backend/test_adapt_back.c; its state in storage: tests/backend/test_adapt_store.c.
 */
#include <math.h>
#include <string.h>

#include "backend/emit/adapt_c.h"
#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "runtime/device/adapt.h"
#include "runtime/device/adapt_math.h"
#include "tests/backend/adapting.h"
#include "tests/backend/emitted.h"
#include "tests/support.h"

Suite *suite_adapt_device(void);

/* -- a state that has learned nothing -- */

static void same_without(const Graph *g, DeviceAdapt layers, const void *const *inputs, int n) {
  AdaptOrder orders[8];
  const size_t out_bytes = val_bytes(g, g->outputs[0]), in_bytes = val_bytes(g, g->inputs[0]);
  for (int i = 0; i < n; i++) orders[i] = (AdaptOrder){ADAPT_RUN, inputs[i]};
  const AdaptRun r = {.name = "net", .orders = orders, .n = n, .input_bytes = in_bytes};
  StrBuf got = adapt_obey(adapt_emitted(g, "x86-64", "net", layers, 0, NULL), "x86-64", &r);
  Tensor in[8], *out = mem_array((size_t)n * g->n_outputs, sizeof *out);
  Shape s = graph_val(g, g->inputs[0])->shape;
  if (s.d[0] == DIM_BATCH) s.d[0] = 1;
  Diag *d = diag_new();
  for (int i = 0; i < n; i++) {
    in[i] = tensor_new(graph_val(g, g->inputs[0])->dtype, &s);
    memcpy(in[i].data, inputs[i], in_bytes);
  }
  ck_assert_msg(harness_run(emit_to_tmp(g, "x86-64", "plain"), target_find("x86-64"), g, in, n, out, d), "%s",
                diag_text(d));
  ck_assert_uint_eq(got.len, ADAPT_RESULTS + (size_t)n * out_bytes);
  for (int i = 0; i < n; i++)
    ck_assert_mem_eq(got.s + ADAPT_RESULTS + (size_t)i * out_bytes, out[(size_t)i * g->n_outputs].data,
                     out_bytes);
  for (int i = 0; i < n; i++) tensor_free(&in[i]);
  for (int i = 0; i < n * (int)g->n_outputs; i++) tensor_free(&out[i]);
  mem_free(out);
  sb_free(&got);
  diag_free(d);
}

START_TEST(nothing_learned_changes_nothing)
{
  AdaptNet n = adapt_net(5);
  const void *inputs[8];
  for (int i = 0; i < 8; i++) inputs[i] = adapt_image(&n, i);
  for (DeviceAdapt layers = DEVICE_ADAPT_LAST; layers <= DEVICE_ADAPT_ADAPTERS; layers++)
    same_without(n.q, layers, inputs, 8);
  adapt_net_free(&n);
  Graph *g = graph_of(small_int8_net);
  int8_t x[4][256];
  for (int i = 0; i < 4 * 256; i++) x[i / 256][i % 256] = (int8_t)(i * 37 % 251 - 125);
  for (int i = 0; i < 4; i++) inputs[i] = x[i];
  for (DeviceAdapt layers = DEVICE_ADAPT_LAST; layers <= DEVICE_ADAPT_ADAPTERS; layers++)
    same_without(g, layers, inputs, 4);
  graph_free(g);
}
END_TEST

/* -- all machines alike -- */

static void same_on_machines(DeviceAdapt layers, const char *const *machines, int count, int n_steps) {
  AdaptOrder orders[51];
  AdaptNet n = adapt_net(6);
  const AdaptRun r = adapt_steps(&n, orders, n_steps);
  StrBuf want = adapt_obey(adapt_emitted(n.q, "x86-64", "net", layers, 0, NULL), "x86-64", &r);
  for (int i = 0; i < count; i++) {
    if (!have_target(__FILE__, machines[i])) continue;
    StrBuf got = adapt_obey(adapt_emitted(n.q, machines[i], "net", layers, 0, NULL), machines[i], &r);
    ck_assert_uint_eq(got.len, want.len);
    ck_assert_msg(memcmp(got.s + ADAPT_RESULTS, want.s + ADAPT_RESULTS, want.len - ADAPT_RESULTS) == 0,
                  "%s learns otherwise", machines[i]);
    sb_free(&got);
  }
  float loss[2];
  memcpy(loss, want.s + ADAPT_RESULTS, sizeof loss);
  ck_assert_msg(loss[0] >= 0 && loss[0] < 20, "first loss %g", (double)loss[0]);
  sb_free(&want);
  adapt_net_free(&n);
}

START_TEST(machines_give_the_same_bytes)
{
  static const char *const machines[] = {"cortex-m7", "x86-64-v3", "cortex-m4", "cortex-m0"};
  same_on_machines(DEVICE_ADAPT_BIAS, machines, 4, 50);
}
END_TEST

START_TEST(other_forms_too)
{
  static const char *const machines[] = {"cortex-m7", "cortex-m0"};
  same_on_machines(DEVICE_ADAPT_SCALE, machines, 1, 10);
  same_on_machines(DEVICE_ADAPT_LAST_K, machines, 1, 10);
  same_on_machines(DEVICE_ADAPT_ADAPTERS, machines, 1, 50);
  same_on_machines(DEVICE_ADAPT_ADAPTERS, machines + 1, 1, 8);
}
END_TEST

/* -- what a bound state costs -- */

/* Instructions that a run takes more with a state than without one. */
static double counted_more(const Graph *q, const AdaptNet *net, const EmitOptions *o) {
  static const char target[] = "cortex-m7";
  Diag *d = diag_new();
  Measured m;
  uint64_t n[3];
  ck_assert_msg(emit_c(q, target_find(target), o, d) &&
                    harness_verify(o->out_dir, target_find(target), NULL, &m, d),
                "%s", diag_text(d));
  const AdaptRun r = {.name = "net", .count = true, .input_bytes = adapt_image_bytes(net)};
  StrBuf out = adapt_obey(o->out_dir, target, &r);
  memcpy(n, out.s, sizeof n);
  sb_free(&out);
  diag_free(d);
  return (double)n[0] - (double)m.instructions;
}

START_TEST(a_bound_state_is_estimated)
{
  static const struct {
    DeviceAdapt layers;
    int rank;
  } forms[] = {{DEVICE_ADAPT_BIAS, 0},
               {DEVICE_ADAPT_SCALE, 0},
               {DEVICE_ADAPT_LAST_K, 0},
               {DEVICE_ADAPT_ADAPTERS, 2},
               {DEVICE_ADAPT_ADAPTERS, 5}};
  char dir[600];
  snprintf(dir, sizeof dir, "%s/counted", test_tmp_dir());
  if (!have_target(__FILE__, "cortex-m7")) return;
  for (int which = 0; which < 2; which++) {
    AdaptNet n = which ? adapt_net_of(graph_of(adapt_constructs), 3) : adapt_net(6);
    for (int i = 0; i < 5; i++) {
      AdaptSizes sizes;
      const EmitOptions o = {.name = "net",
                             .out_dir = dir,
                             .adapt = forms[i].layers,
                             .adapt_rank = forms[i].rank,
                             .adapt_sizes = &sizes};
      const double more = counted_more(n.q, &n, &o), said = (double)sizes.learned;
      ck_assert_msg(said > 0.7 * more && said < 1.4 * more, "net %d, %s: %g for %g", which,
                    device_adapt_name(forms[i].layers), said, more);
    }
    adapt_net_free(&n);
  }
}
END_TEST

/* -- it learns -- */

static double mean_loss(const char *got, int from, int n) {
  double sum = 0;
  for (int i = 0; i < n; i++) {
    float loss;
    memcpy(&loss, got + ADAPT_RESULTS + 4 * (from + i), 4);
    sum += (double)loss;
  }
  return sum / n;
}

/* The mean loss of the last pass over all images; of the first in *before. */
static double loss_after(const AdaptNet *n, DeviceAdapt form, const AdaptRun *r, double *before) {
  StrBuf got = adapt_obey(adapt_emitted(n->q, "x86-64", "net", form, 0, NULL), "x86-64", r);
  const double after = mean_loss(got.s, r->n - 1 - ADAPT_IMAGES, ADAPT_IMAGES);
  *before = mean_loss(got.s, 0, ADAPT_IMAGES);
  sb_free(&got);
  return after;
}

/* The net has random weights: what it learns, it learns here. With biases it must come further than without, and further with what
 * has the rate `gain` than where that is 0, which leaves biases. */
START_TEST(loss_falls)
{
  enum { STEPS = 10 * ADAPT_IMAGES };
  static AdaptOrder orders[STEPS + 1];
  static const DeviceAdapt forms[] = {DEVICE_ADAPT_LAST, DEVICE_ADAPT_BIAS, DEVICE_ADAPT_SCALE,
                                      DEVICE_ADAPT_LAST_K, DEVICE_ADAPT_ADAPTERS};
  double after[5], before;
  AdaptNet n = adapt_net(8);
  const AdaptRun r = adapt_steps(&n, orders, STEPS);
  AdaptRun biases = r;
  biases.rates[2] = 0;
  for (int i = 0; i < 5; i++) {
    after[i] = loss_after(&n, forms[i], &r, &before);
    ck_assert_msg(after[i] < 0.8 * before, "loss %g to %g", before, after[i]);
    const double without = i < 2 ? INFINITY : loss_after(&n, forms[i], &biases, &before);
    ck_assert_msg(after[i] < without, "form %d: loss %g, of biases alone %g", i, after[i], without);
  }
  for (int i = 1; i < 5; i++)
    ck_assert_msg(after[i] < after[0], "last layer %g, form %d: %g", after[0], i, after[i]);
  adapt_net_free(&n);
}
END_TEST

/* Rates of 0 from some step on: what was learned before stays as it is. */
START_TEST(rates_change_on_the_way)
{
  static const float none[4];
  AdaptOrder orders[8];
  AdaptNet n = adapt_net(8);
  AdaptRun r = adapt_steps(&n, orders, 2);
  orders[3] = (AdaptOrder){ADAPT_RATES, none};
  for (int i = 0; i < 3; i++) orders[4 + i] = orders[i];
  r.n = 7;
  StrBuf got = adapt_obey(adapt_emitted(n.q, "x86-64", "net", DEVICE_ADAPT_BIAS, 0, NULL), "x86-64", &r);
  /* twice: two losses, words */
  const size_t each = (got.len - ADAPT_RESULTS) / 2, words = 2 * sizeof(float);
  const char *first = got.s + ADAPT_RESULTS, *second = first + each;
  ck_assert_uint_gt(each, words);
  ck_assert_mem_eq(first + words, second + words, each - words);
  ck_assert_mem_ne(first, second, words); /* while the first two steps learned */
  sb_free(&got);
  adapt_net_free(&n);
}
END_TEST

/* -- memory -- */

START_TEST(memory_decides_how_far)
{
  AdaptNet n = adapt_net(9);
  AdaptSizes all, some, last;
  adapt_emitted(n.q, "cortex-m4", "net", DEVICE_ADAPT_BIAS, 0, &all);
  adapt_emitted(n.q, "cortex-m4", "net", DEVICE_ADAPT_LAST, 0, &last);
  const int64_t least = last.state + last.arena, most = all.state + all.arena;
  ck_assert_int_lt(least, most);
  ck_assert_int_eq(last.biases, 0);
  adapt_emitted(n.q, "cortex-m4", "net", DEVICE_ADAPT_BIAS, (least + most) / 2, &some);
  ck_assert_int_gt(some.biases, 0);
  ck_assert_int_lt(some.biases, all.biases);
  ck_assert_int_le(some.state + some.arena, (least + most) / 2);
  char dir[600];
  snprintf(dir, sizeof dir, "%s/refused", test_tmp_dir());
  EmitOptions o = {.name = "net", .out_dir = dir, .adapt = DEVICE_ADAPT_BIAS, .adapt_memory = 100};
  ck_assert_ptr_nonnull(strstr(adapt_refused(n.q, &o), "does not fit"));
  o.adapt_memory = least + 8;
  ck_assert_ptr_nonnull(strstr(adapt_refused(n.q, &o), "of the biases only the last layer's fit"));
  o = (EmitOptions){.name = "net", .out_dir = dir, .adapt = DEVICE_ADAPT_LAST, .weights = WEIGHTS_BLOB};
  ck_assert_ptr_nonnull(strstr(adapt_refused(n.q, &o), "do not go together"));
  o.weights = WEIGHTS_IN_CODE;
  ck_assert_ptr_nonnull(strstr(adapt_refused(n.f, &o), "want an int8 FullyConnected"));
  ck_assert_int_eq(file_exists(dir), 0);
  adapt_net_free(&n);
}
END_TEST

/* Emitted within so much memory, or of so many layers without a limit; plans as for a controller. Returns its folder. */
static const char *within(const AdaptNet *n, DeviceAdapt layers, int64_t memory, int biases,
                          AdaptSizes *sizes) {
  static const PlanOptions least = {.level = PLAN_LEAST};
  static char dir[600];
  snprintf(dir, sizeof dir, "%s/within", test_tmp_dir());
  const EmitOptions o = {.name = "net",
                         .out_dir = dir,
                         .plan = &least,
                         .adapt = layers,
                         .adapt_memory = memory,
                         .adapt_biases = biases,
                         .adapt_sizes = sizes};
  Diag *d = diag_new();
  ck_assert_msg(emit_c(n->q, target_find("x86-64"), &o, d), "%s", diag_text(d));
  diag_free(d);
  return dir;
}

/* The same layers learn the same where memory was short as where it was not. */
static void same_within(const AdaptNet *n, DeviceAdapt layers, int64_t memory, bool turns) {
  AdaptOrder orders[13];
  AdaptSizes some, all;
  const AdaptRun r = adapt_steps(n, orders, 12);
  StrBuf got = adapt_obey(within(n, layers, memory, 0, &some), "x86-64", &r);
  StrBuf want = adapt_obey(within(n, layers, 0, some.biases, &all), "x86-64", &r);
  ck_assert(some.biases > 0 && some.biases < some.layers && some.state + some.arena <= memory);
  ck_assert(all.biases == some.biases && some.turns == turns && !all.turns);
  ck_assert_uint_eq(got.len, want.len);
  ck_assert_msg(memcmp(got.s + ADAPT_RESULTS, want.s + ADAPT_RESULTS, want.len - ADAPT_RESULTS) == 0,
                "%lld bytes: %d layers learn otherwise", (long long)memory, some.biases);
  sb_free(&got);
  sb_free(&want);
}

START_TEST(little_memory_learns_the_same)
{
  static const DeviceAdapt forms[] = {DEVICE_ADAPT_BIAS, DEVICE_ADAPT_ADAPTERS};
  AdaptNet n = adapt_net(9);
  for (int i = 0; i < 2; i++) {
    AdaptSizes one, all;
    within(&n, forms[i], 0, 1, &one);
    within(&n, forms[i], 0, 0, &all);
    same_within(&n, forms[i], (one.state + one.arena + all.state + all.arena) / 2, false);
  }
  adapt_net_free(&n);
}
END_TEST

/* A byte less than what some layers take where others are computed as a whole: as many fit row by row. */
START_TEST(row_by_row_learns_the_same)
{
  static const DeviceAdapt forms[] = {DEVICE_ADAPT_BIAS, DEVICE_ADAPT_ADAPTERS};
  AdaptNet n = adapt_net(9);
  for (int i = 0; i < 2; i++) {
    AdaptSizes whole, rows = {0};
    int64_t memory = 0;
    for (int k = 2; !rows.turns; k++) {
      within(&n, forms[i], 0, k, &whole);
      ck_assert_msg(k < whole.layers, "%s: no layers go row by row", device_adapt_name(forms[i]));
      memory = whole.state + whole.arena - 1;
      within(&n, forms[i], memory, 0, &rows);
    }
    ck_assert(rows.biases == whole.biases && rows.cycles > whole.cycles);
    same_within(&n, forms[i], memory, true);
  }
  adapt_net_free(&n);
}
END_TEST

START_TEST(code_is_clean)
{
  AdaptNet n = adapt_net(10);
  static const DeviceAdapt layers[] = {DEVICE_ADAPT_LAST, DEVICE_ADAPT_BIAS, DEVICE_ADAPT_SCALE,
                                       DEVICE_ADAPT_LAST_K, DEVICE_ADAPT_ADAPTERS};
  for (int i = 0; i < 5; i++) {
    const char *dir = adapt_emitted(n.q, "cortex-m7", "net", layers[i], 0, NULL);
    must_run("cd '%s' && gcc " STRICT " -O2 -c model.c", dir);
    if (have_tool(__FILE__, "clang")) must_run("cd '%s' && clang " STRICT " -O0 -c model.c", dir);
    if (have_tool(__FILE__, "arm-none-eabi-gcc"))
      must_run("cd '%s' && arm-none-eabi-gcc " STRICT " -mcpu=cortex-m0 -mthumb -O0 -c model.c", dir);
    must_run("cd '%s' && %s grep -q mf_conv_back model.c", dir, i ? "" : "!");
    must_run("cd '%s' && %s grep -q mf_weights_sum model.c", dir,
             layers[i] == DEVICE_ADAPT_LAST_K ? "" : "!");
    must_run("cd '%s' && %s grep -q mf_adapter_row model.c", dir,
             layers[i] == DEVICE_ADAPT_ADAPTERS ? "" : "!");
  }
  adapt_net_free(&n);
}
END_TEST

/* -- the functions that a program calls -- */

static const char program[] =
    "#include <stdio.h>\n#include <string.h>\n#include \"model.h\"\n"
    "#define WANT(what) do { if (!(what)) return printf(\"line %d: %s\\n\", __LINE__, #what), 1; } while "
    "(0)\n"
    "static unsigned char flash[2][NET_ADAPT_SLOT_SIZE];\n"
    "static int breaks; /* in the middle of the words */\n"
    "static int get(void *c, uint32_t at, void *to, uint32_t n) {\n"
    "  const int now = breaks && n == 4 * NET_ADAPT_WORDS;\n"
    "  memcpy(to, (char *)c + at, now ? n / 2 : n);\n  return now;\n}\n"
    "static int put(void *c, uint32_t at, const void *from, uint32_t n) { memcpy((char *)c + at, from, n); "
    "return 0; }\n"
    "static union { unsigned char bytes[NET_ARENA_SIZE]; double d; } memory;\n"
    "static union { unsigned char bytes[NET_ADAPT_STATE_SIZE + 4]; float f; } state;\n"
    "static unsigned char first[NET_OUTPUT0_BYTES], input[NET_INPUT0_BYTES], features[NET_ADAPT_FEATURES];\n"
    "int main(void) {\n"
    "  const mistify_storage store = {flash, NET_ADAPT_SLOT_SIZE, get, put, NULL};\n"
    "  net_context ctx;\n  float loss = 0, last = 0;\n"
    "  WANT(net_init(&ctx, memory.bytes, sizeof memory) == 0);\n"
    "  WANT(net_adapt_step(&ctx, input, 0) == NET_ADAPT_UNBOUND && net_adapt_save(&ctx, &store) == "
    "NET_ADAPT_UNBOUND);\n"
    "  WANT(net_adapt_rates(&ctx) == NULL);\n"
    "  WANT(net_adapt_init(&ctx, state.bytes, NET_ADAPT_STATE_SIZE - 1) == 1 && net_adapt_init(&ctx, NULL, 1 "
    "<< 20) == 1);\n"
    "  WANT(net_adapt_init(&ctx, state.bytes + 1, NET_ADAPT_STATE_SIZE) == 2);\n"
    "  WANT(net_adapt_init(&ctx, state.bytes, NET_ADAPT_STATE_SIZE) == 0);\n"
    "  WANT(net_adapt_rates(&ctx)->last > 0);\n"
    "  WANT(net_adapt_step(&ctx, input, -1) == NET_ADAPT_LABEL && net_adapt_step(&ctx, input, 5) == "
    "NET_ADAPT_LABEL);\n"
    "  WANT(net_adapt_load(&ctx, &store) == NET_ADAPT_EMPTY);\n"
    "  memcpy(net_input(&ctx, 0), input, sizeof input);\n  net_run(&ctx);\n"
    "  memcpy(first, net_output(&ctx, 0), sizeof first);\n"
    "  memcpy(features, net_adapt_features(&ctx), sizeof features);\n"
    "  loss = net_adapt_step(&ctx, input, 2);\n  WANT(loss > 0);\n"
    "  WANT(memcmp(first, net_output(&ctx, 0), sizeof first) == 0); /* the run's, still there */\n"
    "  for (int i = 0; i < 30; i++) last = net_adapt_step(&ctx, input, 2);\n  WANT(last >= 0 && last < "
    "loss);\n"
    "  WANT(net_adapt_save(&ctx, &store) == 0);\n"
    "  net_adapt_reset(&ctx);\n  WANT(net_adapt_step_features(&ctx, features, 2) == loss);\n"
    "  net_adapt_reset(&ctx);\n  WANT(net_adapt_step(&ctx, input, 2) == loss);\n"
    "  WANT(net_adapt_load(&ctx, &store) == 0);\n"
    "  breaks = 1;\n  WANT(net_adapt_load(&ctx, &store) == NET_ADAPT_STORAGE); /* half a state is none */\n"
    "  WANT(net_adapt_step(&ctx, input, 2) == loss);\n"
    "  breaks = 0;\n  WANT(net_adapt_load(&ctx, &store) == 0);\n"
    "  loss = net_adapt_step_self(&ctx, input, 0.0f);\n  WANT(loss >= 0 && loss <= last);\n"
    "  WANT(net_adapt_step_self(&ctx, input, 1.1f) == NET_ADAPT_UNSURE);\n"
    "  WANT(net_init(&ctx, memory.bytes, sizeof memory) == 0);\n"
    "  memcpy(net_input(&ctx, 0), input, sizeof input);\n  net_run(&ctx);\n"
    "  WANT(memcmp(first, net_output(&ctx, 0), sizeof first) == 0);\n"
    "  return 0;\n}\n";

START_TEST(programs_call_it)
{
  AdaptNet n = adapt_net(11);
  char path[700];
  for (DeviceAdapt layers = DEVICE_ADAPT_LAST; layers <= DEVICE_ADAPT_ADAPTERS; layers++) {
    const char *dir = adapt_emitted(n.q, "x86-64", "net", layers, 0, NULL);
    snprintf(path, sizeof path, "%s/main.c", dir);
    test_write_file(path, program, sizeof program - 1);
    must_run("cd '%s' && gcc -std=c99 -Wall -Wextra -Wpedantic -Werror -g -fsanitize=address,undefined "
             "-fno-sanitize-recover "
             "main.c model.c -o main -lm && ./main",
             dir);
  }
  adapt_net_free(&n);
}
END_TEST

/* -- states of other forms -- */

static const char exchange[] =
    "#include <string.h>\n#include \"one/model.h\"\n#include \"two/model.h\"\n"
    "static unsigned char flash[2 * ONE_ADAPT_SLOT_SIZE];\n"
    "static int get(void *c, uint32_t at, void *to, uint32_t n) { memcpy(to, (char *)c + at, n); return 0; "
    "}\n"
    "static int put(void *c, uint32_t at, const void *from, uint32_t n) { memcpy((char *)c + at, from, n); "
    "return 0; }\n"
    "static union { unsigned char bytes[ONE_ARENA_SIZE + TWO_ARENA_SIZE]; double d; } memory;\n"
    "static union { unsigned char bytes[ONE_ADAPT_STATE_SIZE + TWO_ADAPT_STATE_SIZE]; float f; } state;\n"
    "int main(void) {\n"
    "  const mistify_storage store = {flash, ONE_ADAPT_SLOT_SIZE, get, put, NULL};\n"
    "  one_context one;\n  two_context two;\n"
    "  if (ONE_ADAPT_WORDS != TWO_ADAPT_WORDS) return 2;\n"
    "  if (one_init(&one, memory.bytes, ONE_ARENA_SIZE) || two_init(&two, memory.bytes, TWO_ARENA_SIZE)) "
    "return "
    "3;\n"
    "  if (one_adapt_init(&one, state.bytes, ONE_ADAPT_STATE_SIZE) || one_adapt_save(&one, &store) || "
    "one_adapt_load(&one, &store)) return 4;\n"
    "  if (two_adapt_init(&two, state.bytes, TWO_ADAPT_STATE_SIZE)) return 5;\n"
    "  return two_adapt_load(&two, &store) == (SAME ? 0 : TWO_ADAPT_EMPTY) ? 0 : 6;\n}\n";

typedef struct Form {
  DeviceAdapt layers;
  int rank, most; /* layers before the last one */
} Form;

static void emit_form(const Graph *g, const char *name, const Form *f) {
  char dir[600];
  Diag *d = diag_new();
  snprintf(dir, sizeof dir, "%s/%s", test_tmp_dir(), name);
  const EmitOptions o = {
      .name = name, .out_dir = dir, .adapt = f->layers, .adapt_rank = f->rank, .adapt_biases = f->most};
  ck_assert_msg(emit_c(g, target_find("x86-64"), &o, d), "%s", diag_text(d));
  diag_free(d);
}

/* A state of as many words, which mean other things: of another rank, or of multipliers. */
START_TEST(states_of_other_forms_are_none)
{
  static const char net[] =
      "%x = input : i8[1,6] q(0.1, 0)\n%v = const : i8[4,6] q(0.01, 0) @i8:24\n"
      "%g = FullyConnected(%x, %v) : i8[1,4] q(0.1, 0)\n"
      "%w = const : i8[4,4] q(0.01, 0) @i8:16\n%h = FullyConnected(%g, %w) : i8[1,4] q(0.1, 0)\n"
      "%u = const : i8[2,4] q(0.01, 0) @i8:8\n"
      "%y = FullyConnected(%h, %u) : i8[1,2] q(0.2, 0)\noutput %y\n";
  static const Form pairs[][2] = {{{DEVICE_ADAPT_ADAPTERS, 1, 2}, {DEVICE_ADAPT_ADAPTERS, 3, 1}},
                                  {{DEVICE_ADAPT_SCALE, 0, 2}, {DEVICE_ADAPT_ADAPTERS, 1, 2}},
                                  {{DEVICE_ADAPT_ADAPTERS, 3, 2}, {DEVICE_ADAPT_ADAPTERS, 3, 2}}};
  char path[700];
  Graph *g = graph_of(net);
  for (int i = 0; i < 3; i++) {
    emit_form(g, "one", &pairs[i][0]);
    emit_form(g, "two", &pairs[i][1]);
    snprintf(path, sizeof path, "%s/main.c", test_tmp_dir());
    test_write_file(path, exchange, sizeof exchange - 1);
    must_run("cd '%s' && gcc -std=c99 -Wall -Werror -DSAME=%d main.c one/model.c two/model.c -o main -lm && "
             "./main",
             test_tmp_dir(), i == 2);
  }
  graph_free(g);
}
END_TEST

/* A saved state's words mean something by these: no change of a generator may change them. */
START_TEST(signs_stay_as_they_are)
{
  static const int8_t first[32] = {1, -1, -1, -1, -1, -1, -1, 1,  -1, 1,  -1, -1, 1, 1, -1, -1,
                                   1, -1, 1,  -1, 1,  -1, -1, -1, 1,  -1, -1, 1,  1, 1, -1, -1};
  Arena *a = arena_new();
  for (int rank = 1; rank <= DEVICE_ADAPT_RANK_MAX; rank++)
    ck_assert_mem_eq(emit_adapt_signs(a, 32, rank), first, sizeof first);
  arena_free(a);
}
END_TEST

/* -- functions of real numbers -- */

START_TEST(functions_are_accurate)
{
  for (int i = 0; i <= 8000; i++) {
    const float x = -(float)i * 0.01f;
    const double want = exp((double)x);
    ck_assert_msg(fabs((double)mf_adapt_exp(x) - want) < 4e-7 * want, "exp(%g) = %g", (double)x,
                  (double)mf_adapt_exp(x));
  }
  ck_assert(mf_adapt_exp(-1e9f) == 0.0f && mf_adapt_exp(0.0f) == 1.0f);
  for (int i = 0; i < 4000; i++) {
    const float x = 1.0f + (float)i * 0.0625f;
    ck_assert_msg(fabs((double)mf_adapt_log(x) - log((double)x)) < 1e-6, "log(%g) = %g", (double)x,
                  (double)mf_adapt_log(x));
  }
  for (float s = 1.0f; s < 1e30f; s *= 7.3f)
    ck_assert_msg(fabs((double)mf_adapt_clip(s, 0.5f) * sqrt((double)s) - 0.5) < 1e-6, "norm of %g",
                  (double)s);
  ck_assert(mf_adapt_clip(0.2f, 0.5f) == 1.0f && mf_adapt_clip(9.0f, 0.0f) == 1.0f);
  ck_assert_int_eq(mf_adapt_less(10, 3.5f, -100, 100), 6);
  ck_assert_int_eq(mf_adapt_less(10, -1e30f, -100, 100), 100);
  ck_assert_int_eq(mf_adapt_less(10, NAN, -100, 100), 10);
}
END_TEST

Suite *suite_adapt_device(void) {
  Suite *s = suite_create("adapt_device");
  TCase *t = tcase_create("adapt_device");
  tcase_set_timeout(t, 240);
  tcase_add_test(t, functions_are_accurate);
  tcase_add_test(t, nothing_learned_changes_nothing);
  tcase_add_test(t, a_bound_state_is_estimated);
  tcase_add_test(t, loss_falls);
  tcase_add_test(t, rates_change_on_the_way);
  tcase_add_test(t, memory_decides_how_far);
  tcase_add_test(t, little_memory_learns_the_same);
  tcase_add_test(t, row_by_row_learns_the_same);
  tcase_add_test(t, code_is_clean);
  tcase_add_test(t, programs_call_it);
  tcase_add_test(t, states_of_other_forms_are_none);
  tcase_add_test(t, signs_stay_as_they_are);
  tcase_add_test(t, machines_give_the_same_bytes);
  tcase_add_test(t, other_forms_too);
  suite_add_tcase(s, t);
  return s;
}
