/* Kernel selection by table: order of sets, refusal by params, sets that do not exist yet, no kernel at all. */
#include "backend/backend.h"

#include <string.h>

#include "backend/costs.h"
#include "tests/backend/emitted.h"
#include "tests/support.h"

Suite *suite_select(void);

static void fast_conv(const void *params, const mf_view *in, const mf_view *out, int32_t y0, int32_t y1,
                      void *scratch) {
  (void)params, (void)in, (void)out, (void)y0, (void)y1, (void)scratch;
}

/* The fake set "fast" has conv_s8 for multiples of 4 input channels, and nothing else. */
static bool fast_accepts(const KernelDef *k, const void *params) {
  ck_assert_str_eq(k->name, "conv_s8");
  return ((const mf_conv_s8 *)params)->g.in_c % 4 == 0;
}

typedef struct Fixture {
  KernelDef fast_kernels[1];
  int n_fast;
  KernelSet sets[2];
  Calls calls;
  Diag *diag;
} Fixture;

static void begin(Fixture *f) {
  f->fast_kernels[0] = *kernel_find_generic("conv_s8");
  f->fast_kernels[0].set = "fast";
  f->fast_kernels[0].fn = fast_conv;
  f->n_fast = 1;
  f->sets[0] = (KernelSet){"generic", generic_kernels, &n_generic_kernels, NULL};
  f->sets[1] = (KernelSet){"fast", f->fast_kernels, &f->n_fast, fast_accepts};
  calls_init(&f->calls);
  f->diag = diag_new();
}

static void end(Fixture *f) {
  calls_free(&f->calls);
  diag_free(f->diag);
}

static void add_conv(Fixture *f, int32_t channels) {
  KernelCall *k = calls_add(&f->calls, "conv_s8", 0);
  mf_conv_s8 *p = k->params;
  p->groups = 1;
  p->g.in_c = channels;
  p->w_tap = channels;
  p->g.dil_w = p->g.dil_h = p->g.stride_w = p->g.stride_h = p->g.k_h = p->g.k_w = 1;
}

START_TEST(first_set_that_accepts_wins)
{
  static const char *const order[] = {"not-there-yet", "fast", "generic", NULL};
  Fixture f;
  begin(&f);
  add_conv(&f, 8);
  add_conv(&f, 3);
  calls_add(&f.calls, "fc_s8", 0);
  ck_assert_msg(select_from(f.sets, 2, order, NULL, &f.calls, f.diag), "%s", diag_text(f.diag));
  ck_assert_str_eq(f.calls.v[0].kernel->set, "fast");
  ck_assert(f.calls.v[0].kernel->fn == fast_conv);
  ck_assert_str_eq(f.calls.v[1].kernel->set, "generic"); /* 3 channels are refused */
  ck_assert_str_eq(f.calls.v[2].kernel->set, "generic"); /* not in the fast set */
  ck_assert_str_eq(f.calls.v[2].kernel->name, "fc_s8");
  end(&f);
}
END_TEST

START_TEST(order_decides)
{
  static const char *const order[] = {"generic", "fast", NULL};
  Fixture f;
  begin(&f);
  add_conv(&f, 8);
  ck_assert(select_from(f.sets, 2, order, NULL, &f.calls, f.diag));
  ck_assert_str_eq(f.calls.v[0].kernel->set, "generic");
  end(&f);
}
END_TEST

START_TEST(costs_decide_against_the_order)
{
  static const char *const order[] = {"fast", "generic", NULL};
  const KernelCost close[] = {{"conv_s8", "generic", {0}, {100}}, {"conv_s8", "fast", {0}, {105}}};
  const KernelCost apart[] = {{"conv_s8", "generic", {0}, {100}}, {"conv_s8", "fast", {0}, {150}}};
  const KernelCost half[] = {{"conv_s8", "generic", {0}, {100}}};
  const TargetCosts tables[] = {{.kernels = close, .n_kernels = 2},
                                {.kernels = apart, .n_kernels = 2},
                                {.kernels = half, .n_kernels = 1}};
  static const char *const want[] = {"fast", "generic", "fast"};
  Graph *g = graph_of("%x = input : f32[1]\noutput %x\n");
  Fixture f;
  begin(&f);
  f.fast_kernels[0].tag = "fast";
  add_conv(&f, 8);
  const SelectBy by = {.g = g, .costs = &tables[_i]};
  ck_assert(select_from(f.sets, 2, order, &by, &f.calls, f.diag));
  ck_assert_str_eq(f.calls.v[0].kernel->set, want[_i]);
  end(&f);
  graph_free(g);
}
END_TEST

START_TEST(no_kernel_is_reported)
{
  static const char *const order[] = {"fast", NULL};
  Fixture f;
  begin(&f);
  add_conv(&f, 3);
  ck_assert(!select_from(f.sets, 2, order, NULL, &f.calls, f.diag));
  ck_assert_msg(strstr(diag_text(f.diag), "conv_s8") != NULL, "%s", diag_text(f.diag));
  end(&f);
}
END_TEST

/* Winograd's method for 3x3 windows of stride 1, unless it is not wanted. */
START_TEST(a_variant_may_be_left_out)
{
  Target t = *target_find("x86-64-v3");
  Graph *g = graph_of("%x = input : f32[1]\noutput %x\n");
  for (int without = 0; without < 2; without++) {
    Fixture f;
    begin(&f);
    mf_conv_f32 *p = calls_add(&f.calls, "conv_f32", 0)->params;
    static const float w[9 * 16 * 16];
    *p = (mf_conv_f32){.g = {16, 16, 16, 16, 16, 16, 3, 3, 1, 1, 1, 1, 1, 1}, .groups = 1};
    p->w_tap = 16;
    p->w_out = 9 * 16;
    p->w = w;
    t.without = without ? "_winograd" : NULL;
    ck_assert(select_kernels(g, &t, &f.calls, f.diag));
    ck_assert_str_eq(f.calls.v[0].kernel->tag, without ? "avx2" : "avx2_winograd");
    end(&f);
  }
  graph_free(g);
}
END_TEST

START_TEST(every_target_ends_with_generic)
{
  ck_assert_int_ge(n_targets, 4);
  Graph *g = graph_of("%x = input : f32[1]\noutput %x\n"); /* convolutions look at their params alone */
  for (int i = 0; i < n_targets; i++) {
    const char *const *s = targets[i].sets;
    ck_assert_msg(s[0] != NULL, "%s has no sets", targets[i].name);
    while (s[1]) s++;
    ck_assert_msg(strcmp(*s, "generic") == 0, "%s ends with %s", targets[i].name, *s);
    ck_assert_ptr_eq(target_find(targets[i].name), &targets[i]);
    Fixture f;
    begin(&f);
    add_conv(&f, 3);
    ck_assert_msg(select_kernels(g, &targets[i], &f.calls, f.diag), "%s", diag_text(f.diag));
    end(&f);
  }
  graph_free(g);
  ck_assert_ptr_null(target_find("z80"));
}
END_TEST

Suite *suite_select(void) {
  Suite *s = suite_create("select");
  TCase *t = tcase_create("select");
  tcase_add_test(t, first_set_that_accepts_wins);
  tcase_add_test(t, order_decides);
  tcase_add_loop_test(t, costs_decide_against_the_order, 0, 3);
  tcase_add_test(t, no_kernel_is_reported);
  tcase_add_test(t, every_target_ends_with_generic);
  tcase_add_test(t, a_variant_may_be_left_out);
  suite_add_tcase(s, t);
  return s;
}
