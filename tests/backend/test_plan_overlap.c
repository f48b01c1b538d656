/* Safe distances: at the distance that the planner finds between an input and the output that overlaps it, every byte is
 * right, whatever the kernel's order inside a row (it spoils the row before it writes it); at one byte less the machine
 * sees a byte that is overwritten before it is read, and the result differs.
 */
#include <stdio.h>
#include <string.h>

#include "ir/base/rng.h"
#include "ir/base/strbuf.h"
#include "tests/backend/emitted.h"
#include "tests/backend/plan_machine.h"
#include "tests/support.h"

Suite *suite_plan_overlap(void);

typedef struct Case {
  Graph *g;
  Calls calls;
  MemoryPlan plan;
  Arena *a;
  Diag *d;
} Case;

/* A layer whose output is about as large as its input, planned with alignment 1. */
static void plan_case(Case *c, const char *text) {
  const PlanOptions o = {.level = PLAN_OVERLAP, .align = 1};
  *c = (Case){.g = graph_of(text), .a = arena_new(), .d = diag_new()};
  calls_init(&c->calls);
  ck_assert_msg(graph_lower(c->g, &c->calls, c->d), "%s", diag_text(c->d));
  ck_assert_msg(plan_memory(c->g, &c->calls, &o, c->a, &c->plan, c->d), "%s", diag_text(c->d));
}

static void free_case(Case *c) {
  calls_free(&c->calls);
  graph_free(c->g);
  arena_free(c->a);
  diag_free(c->d);
}

static int random_layer(Rng *r, StrBuf *out) {
  int kind = (int)rng_below(r, 3), h = 4 + (int)rng_below(r, 8), w = 3 + (int)rng_below(r, 6);
  int c = 1 + (int)rng_below(r, 8), k = 1 + 2 * (int)rng_below(r, 2), p = k / 2,
      o = kind ? c : c + (int)rng_below(r, 3);
  sb_printf(out, "%%x = input : i8[1,%d,%d,%d] q(0.05, -3)\n", h, w, c);
  if (kind == 0)
    sb_printf(out, "%%w = const : i8[%d,%d,%d,%d] q(0.02, 0) @i8:%d\n%%y = Conv(%%x, %%w)", o, k, k, c,
              o * k * k * c);
  else if (kind == 1)
    sb_printf(out, "%%w = const : i8[1,%d,%d,%d] q(0.02, 0) @i8:%d\n%%y = DepthwiseConv(%%x, %%w)", k, k, c,
              k * k * c);
  else
    sb_puts(out, "%y = MaxPool(%x)");
  sb_puts(out, " {");
  if (kind == 2) sb_printf(out, "kernel=[%d,%d], ", k, k);
  sb_printf(out, "pads=[%d,%d,%d,%d]} : i8[1,%d,%d,%d] q(%s)\noutput %%y\n", p, p, p, p, h, w, o,
            kind == 2 ? "0.05, -3" : "0.1, 4");
  return kind;
}

START_TEST(one_byte_less_is_too_near)
{
  int differ = 0, all = 0;
  for (uint64_t n = 0; n < 40; n++) {
    Rng r;
    StrBuf text = {0};
    Case c;
    rng_seed(&r, 31, n);
    random_layer(&r, &text);
    plan_case(&c, sb_str(&text));
    const ValId x = c.g->inputs[0], y = c.g->outputs[0];
    const int64_t bytes = (int64_t)val_bytes(c.g, x);
    char input[12 * 9 * 8];
    for (size_t i = 0; i < sizeof input; i++) input[i] = (char)rng_below(&r, 256);
    const void *inputs[] = {input};
    ck_assert_msg(!machine_check(c.g, &c.calls, &c.plan), "%s", sb_str(&text));
    ck_assert_msg(!machine_run(c.g, &c.calls, &c.plan, inputs), "%s", sb_str(&text));
    if (c.plan.offset[y] == 0 && c.plan.offset[x] > 0 && c.plan.arena == c.plan.offset[x] + bytes) {
      int64_t *offset = arena_dup(c.a, c.plan.offset, c.g->n_vals * sizeof *offset);
      offset[x]--;
      c.plan.offset = offset;
      all++;
      ck_assert_msg(machine_check(c.g, &c.calls, &c.plan) != NULL, "%s", sb_str(&text));
      differ += machine_run(c.g, &c.calls, &c.plan, inputs) != NULL;
    }
    free_case(&c);
    sb_free(&text);
  }
  ck_assert_int_ge(all, 20);
  ck_assert_msg(4 * differ >= 3 * all, "only %d of %d results differ", differ,
                all); /* a limit may hide a byte */
}
END_TEST

/* A 3x3 convolution of equal sizes: row y is written when the rows above y-1 are no longer needed. */
START_TEST(distance_of_a_window)
{
  Case c;
  plan_case(&c, "%x = input : i8[1,6,4,2] q(0.05, -3)\n%w = const : i8[2,3,3,2] q(0.02, 0) @i8:36\n"
                "%y = Conv(%x, %w) {pads=[1,1,1,1]} : i8[1,6,4,2] q(0.1, 4)\noutput %y\n");
  ck_assert_int_eq(c.plan.offset[c.g->inputs[0]] - c.plan.offset[c.g->outputs[0]], 2 * 8);
  ck_assert_int_eq(c.plan.arena, 48 + 16);
  ck_assert_int_eq(c.plan.lower_bound, 48 + 16);
  free_case(&c);
}
END_TEST

/* An order that frees a branch before the other one begins. */
START_TEST(order_lowers_the_peak)
{
  Graph *g = graph_of("%x = input : f32[1,64]\n"
                      "%a = Concat(%x, %x, %x, %x) {axis=1}\n%b = Concat(%x, %x, %x, %x) {axis=1}\n"
                      "%c = Slice(%a) {starts=[0,0], counts=[1,8], steps=[1,1]}\n"
                      "%d = Slice(%b) {starts=[0,9], counts=[1,8], steps=[1,1]}\n"
                      "%e = Add(%c, %d)\noutput %e\n");
  const PlanOptions o = {.level = PLAN_WHOLE};
  Diag *d = diag_new();
  Arena *a = arena_new();
  Calls calls;
  MemoryPlan p;
  calls_init(&calls);
  ck_assert_msg(graph_lower(g, &calls, d) && plan_memory(g, &calls, &o, a, &p, d), "%s", diag_text(d));
  ck_assert_int_eq(p.arena, 256 + 1024 + 32); /* not 256 + 2 * 1024 */
  machine_test(g, &calls, &p, 3);
  calls_free(&calls);
  arena_free(a);
  diag_free(d);
  graph_free(g);
}
END_TEST

Suite *suite_plan_overlap(void) {
  Suite *s = suite_create("plan_overlap");
  TCase *t = tcase_create("plan_overlap");
  tcase_add_test(t, one_byte_less_is_too_near);
  tcase_add_test(t, distance_of_a_window);
  tcase_add_test(t, order_lowers_the_peak);
  suite_add_tcase(s, t);
  return s;
}
