/* Variants: the plain choice by hand, and the controller over random traces, against arithmetic of 64 bits and real numbers.
 * Time is a number that the tests move; nothing here asks a clock.
 */
#include <math.h>
#include <stdlib.h>

#include "ir/base/rng.h"
#include "runtime/device/confidence.h"
#include "runtime/device/controller.h"
#include "tests/support.h"

Suite *suite_controller(void);

static uint32_t time_now(void *clock) { return *(const uint32_t *)clock; }

static const mistify_variant glyphs[] = {
    {9000000, 15000, 900000, 940000},
    {5000000, 13000, 500000, 930000},
    {2500000, 11000, 250000, 910000},
    {1000000, 9000, 100000, 850000},
};
enum { GLYPHS = sizeof glyphs / sizeof *glyphs };

/* -- the plain choice -- */

static int32_t selected(uint32_t time, uint32_t ram, uint32_t energy, uint32_t accuracy) {
  const mistify_budget b = {time, ram, energy, accuracy};
  return mistify_select(glyphs, GLYPHS, &b);
}

START_TEST(select_takes_the_most_accurate_that_fits)
{
  ck_assert_int_eq(selected(0, 0, 0, 0), 0);
  ck_assert_int_eq(selected(9000000, 0, 0, 0), 0);
  ck_assert_int_eq(selected(8999999, 0, 0, 0), 1);
  ck_assert_int_eq(selected(0, 12999, 0, 0), 2);
  ck_assert_int_eq(selected(0, 0, 100000, 0), 3);
  ck_assert_int_eq(selected(999999, 0, 0, 0), -1);
  ck_assert_int_eq(selected(5000000, 11000, 0, 0), 2);
}
END_TEST

START_TEST(select_takes_the_cheapest_that_is_accurate_enough)
{
  ck_assert_int_eq(selected(0, 0, 0, 900000), 2);
  ck_assert_int_eq(selected(0, 0, 0, 910001), 1);
  ck_assert_int_eq(selected(0, 0, 0, 990000), 0);
  ck_assert_int_eq(selected(2000000, 0, 0, 930000), 3);
}
END_TEST

START_TEST(unknown_figures_limit_nothing)
{
  const mistify_variant v[] = {{0, 0, 0, 0}, {100, 0, 0, 0}};
  const mistify_budget tiny = {1, 1, 1, 0};
  ck_assert_int_eq(mistify_select(v, 2, &tiny), 0);
  ck_assert_int_eq(mistify_select(v + 1, 1, &tiny), -1);
}
END_TEST

/* -- costs -- */

START_TEST(costs_are_exact)
{
  Rng r;
  rng_seed(&r, 1, 0);
  for (int i = 0; i < 100000; i++) {
    const mistify_control how = {.slack = (uint8_t)rng_below(&r, 9)};
    mistify_variant v = {.cycles = (uint32_t)(rng_u64(&r) >> (32 + rng_below(&r, 32)))};
    mistify_controller c;
    mistify_controller_init(&c, &v, 1, &how);
    c.mean = (uint16_t)(rng_u64(&r) >> (48 + rng_below(&r, 15)));
    c.deviation = (uint16_t)(rng_u64(&r) >> (48 + rng_below(&r, 15)));
    uint64_t factor = c.mean + (uint64_t)how.slack * c.deviation;
    if (factor > 65535) factor = 65535;
    uint64_t want = v.cycles * factor >> 12;
    if (want > UINT32_MAX) want = UINT32_MAX;
    ck_assert_uint_eq(mistify_controller_cost(&c, 0), want);
  }
}
END_TEST

/* One inference of variant v that takes so many units. */
static int32_t infer(mistify_controller *c, const mistify_budget *b, uint32_t *now, double units_of_cycle) {
  const int32_t v = mistify_controller_begin(c, b);
  *now += (uint32_t)(c->table[v].cycles * units_of_cycle);
  ck_assert_int_eq(mistify_controller_end(c, 0), -1);
  return v;
}

START_TEST(the_first_measurement_is_the_ratio)
{
  Rng r;
  rng_seed(&r, 2, 0);
  for (int i = 0; i < 100000; i++) {
    uint32_t now = (uint32_t)rng_u64(&r); /* it wraps */
    const mistify_control how = {.now = time_now, .clock = &now};
    const mistify_variant v = {.cycles = 1 + (uint32_t)(rng_u64(&r) >> (32 + rng_below(&r, 32)))};
    const uint32_t took = (uint32_t)(rng_u64(&r) >> (32 + rng_below(&r, 32)));
    const mistify_budget any = {0};
    mistify_controller c;
    mistify_controller_init(&c, &v, 1, &how);
    mistify_controller_begin(&c, &any);
    now += took;
    mistify_controller_end(&c, 0);
    uint64_t want = ((uint64_t)took << 12) / v.cycles;
    if (want > 65535) want = 65535;
    ck_assert_msg(c.mean <= want + 1 && c.mean + 1u >= want, "%u of %u: %u, want %llu", took, v.cycles,
                  c.mean, (unsigned long long)want);
  }
}
END_TEST

START_TEST(a_unit_may_be_many_cycles)
{
  uint32_t now = 0;
  const mistify_control how = {.now = time_now, .clock = &now, .cycles_per_unit = 80};
  const mistify_budget b = {.time = 70000}; /* 5.6 M cycles */
  mistify_controller c;
  mistify_controller_init(&c, glyphs, GLYPHS, &how);
  ck_assert_int_eq(infer(&c, &b, &now, 1.0 / 80), 1);
  ck_assert_int_le(abs((int)c.mean - 4096), 1);
}
END_TEST

/* -- random traces -- */

typedef struct Trace {
  mistify_variant v[6];
  int32_t n;
  uint32_t now;
  Rng r;
} Trace;

static void draw_table(Trace *t) {
  uint32_t cycles = 1000 + (uint32_t)(rng_u64(&t->r) >> (32 + 4 + rng_below(&t->r, 16)));
  t->n = 1 + (int32_t)rng_below(&t->r, 6);
  for (int32_t i = 0; i < t->n; i++) {
    t->v[i] = (mistify_variant){cycles, 100 + rng_below(&t->r, 1000), cycles / 8 + 1,
                                950000 - 10000 * (uint32_t)i - rng_below(&t->r, 20000)};
    cycles = 1 + (uint32_t)(cycles * (0.3 + 0.6 * (double)rng_uniform(&t->r)));
  }
}

static mistify_budget draw_budget(Trace *t) {
  mistify_budget b = {0};
  if (rng_below(&t->r, 8)) b.time = 1 + rng_below(&t->r, 2 * t->v[0].cycles);
  if (!rng_below(&t->r, 4)) b.ram = 100 + rng_below(&t->r, 1200);
  if (!rng_below(&t->r, 4)) b.nanojoules = 1 + rng_below(&t->r, 2 * t->v[0].nanojoules);
  return b;
}

/* What fits by real arithmetic; `slightly` off by rounding counts as fitting (+1) or not (-1). */
static bool fits(const mistify_controller *c, const mistify_budget *b, int32_t v, int slightly) {
  const double time = b->time ? (double)b->time + slightly : 1e30,
               factor = fmin(65535, c->mean + c->how->slack * c->deviation);
  const double energy = b->nanojoules ? (double)b->nanojoules + slightly : 1e30;
  return c->table[v].cycles * factor / 4096 <= time &&
         c->table[v].nanojoules * (double)c->mean / 4096 <= energy && (!b->ram || c->table[v].ram <= b->ram);
}

static void check_choice(const mistify_controller *c, const mistify_budget *b, int32_t v) {
  bool some = false;
  for (int32_t i = 0; i < c->n; i++) some |= fits(c, b, i, -1);
  ck_assert(v >= 0 && v < c->n);
  if (some) ck_assert(!c->tight);
  if (!c->tight) ck_assert_msg(fits(c, b, v, 1), "variant %d does not fit", v);
}

START_TEST(what_does_not_fit_is_not_chosen_where_something_does)
{
  Trace t = {0};
  rng_seed(&t.r, 3, 0);
  for (int k = 0; k < 2000; k++) {
    const mistify_control how = {.now = time_now,
                                 .clock = &t.now,
                                 .slack = (uint8_t)rng_below(&t.r, 5),
                                 .hold = (uint8_t)rng_below(&t.r, 5)};
    mistify_controller c;
    draw_table(&t);
    mistify_controller_init(&c, t.v, t.n, &how);
    double ratio = 1;
    for (int i = 0; i < 60; i++) {
      const mistify_budget b = draw_budget(&t);
      if (!rng_below(&t.r, 10)) ratio = 0.5 + 2 * (double)rng_uniform(&t.r);
      const int32_t v = mistify_controller_begin(&c, &b);
      check_choice(&c, &b, v);
      t.now += (uint32_t)(t.v[v].cycles * ratio * (0.95 + 0.1 * (double)rng_uniform(&t.r)));
      ck_assert_int_eq(mistify_controller_end(&c, 0), -1);
    }
  }
}
END_TEST

/* Under new budgets every time and exact costs it is the oracle's choice, but for those that fit only barely. */
START_TEST(it_is_the_oracles_choice_but_for_an_eighth)
{
  Trace t = {0};
  rng_seed(&t.r, 4, 0);
  const mistify_control how = {.hold = 4};
  for (int k = 0; k < 1000; k++) {
    mistify_controller c;
    draw_table(&t);
    mistify_controller_init(&c, t.v, t.n, &how);
    for (int i = 0; i < 40; i++) {
      mistify_budget b = {.time = 1 + rng_below(&t.r, 2 * t.v[0].cycles)}, less = b;
      const int32_t most = mistify_select(t.v, t.n, &b);
      less.time = (uint32_t)(b.time * 8.0 / 9);
      const int32_t least = less.time ? mistify_select(t.v, t.n, &less) : -1;
      const int32_t v = mistify_controller_begin(&c, &b);
      mistify_controller_end(&c, 0);
      if (most < 0) {
        ck_assert(c.tight == 1 && t.v[v].cycles == t.v[t.n - 1].cycles);
        continue;
      }
      ck_assert_uint_le(t.v[v].accuracy_ppm, t.v[most].accuracy_ppm);
      if (least >= 0) ck_assert_uint_ge(t.v[v].accuracy_ppm, t.v[least].accuracy_ppm);
    }
  }
}
END_TEST

/* -- hysteresis -- */

/* How often the variant changes under one budget, when times scatter by `noise` around 1. */
static int changes(uint32_t budget, double noise, int n) {
  uint32_t now = 0;
  Rng r;
  rng_seed(&r, budget, 5);
  const mistify_control how = {.now = time_now, .clock = &now, .slack = 2, .hold = 4};
  const mistify_budget b = {.time = budget};
  mistify_controller c;
  int32_t before = -1;
  int count = 0;
  mistify_controller_init(&c, glyphs, GLYPHS, &how);
  for (int i = 0; i < n; i++) {
    const int32_t v = infer(&c, &b, &now, 1 + noise * (2 * (double)rng_uniform(&r) - 1));
    count += i > 20 && v != before;
    before = v;
  }
  return count;
}

START_TEST(a_constant_budget_does_not_flap)
{
  for (uint32_t budget = 1000000; budget < 11000000; budget += 10000)
    ck_assert_int_le(changes(budget, 0.04, 400), 1);
}
END_TEST

START_TEST(a_better_one_waits_under_the_same_budget)
{
  const mistify_control how = {.hold = 3};
  const mistify_budget tight = {.time = 3000000}, wide = {.time = 20000000}, other = {.time = 20000001};
  mistify_controller c;
  mistify_controller_init(&c, glyphs, GLYPHS, &how);
  ck_assert_int_eq(mistify_controller_begin(&c, &tight), 2);
  ck_assert_int_eq(mistify_controller_begin(&c, &wide), 0); /* a budget that changes is followed at once */
  c.best = 2;                                               /* as if costs had been high until now */
  ck_assert_int_eq(mistify_controller_begin(&c, &wide), 2);
  ck_assert_int_eq(mistify_controller_begin(&c, &wide), 2);
  ck_assert_int_eq(mistify_controller_begin(&c, &wide), 2);
  ck_assert_int_eq(mistify_controller_begin(&c, &wide), 0);
  c.best = 2;
  ck_assert_int_eq(mistify_controller_begin(&c, &other), 0);
}
END_TEST

START_TEST(unknown_accuracy_prefers_the_widest)
{
  const mistify_variant v[] = {{900, 0, 0, 0}, {500, 0, 0, 0}, {100, 0, 0, 0}};
  const mistify_control how = {0};
  const mistify_budget small = {.time = 200}, large = {.time = 2000};
  mistify_controller c;
  mistify_controller_init(&c, v, 3, &how);
  ck_assert_int_eq(mistify_controller_begin(&c, &small), 2);
  ck_assert_int_eq(mistify_controller_begin(&c, &large), 0);
  ck_assert_int_eq(mistify_controller_begin(&c, &small), 2);
}
END_TEST

/* -- a busy bus -- */

START_TEST(a_slow_bus_costs_few_deadlines)
{
  uint32_t now = 0xfff00000u;
  const mistify_control how = {.now = time_now, .clock = &now, .slack = 4, .hold = 2};
  const mistify_budget b = {.time = 11000000};
  mistify_controller c;
  int missed = 0, widest = 0;
  mistify_controller_init(&c, glyphs, GLYPHS, &how);
  for (int i = 0; i < 400; i++) {
    const bool slow = i >= 100 && i < 200;
    const double ratio = slow ? 2.3 : 1;
    const int32_t v = infer(&c, &b, &now, ratio);
    missed += glyphs[v].cycles * ratio > b.time;
    if (slow && i > 103) ck_assert_int_ge(v, 2); /* 5 M x 2.3 is too long */
    widest += i >= 300 && v == 0;
  }
  ck_assert_int_le(missed, 2);
  ck_assert_int_eq(widest, 100); /* and it comes back */
}
END_TEST

/* -- cascade -- */

START_TEST(an_unsure_output_is_followed_by_the_target)
{
  uint32_t now = 0;
  const mistify_control how = {.now = time_now, .clock = &now, .sure = 40};
  const mistify_budget b = {.time = 12000000};
  mistify_controller c;
  mistify_controller_init(&c, glyphs, GLYPHS, &how);
  ck_assert_int_eq(mistify_controller_begin(&c, &b), 3);
  now += 1000000;
  ck_assert_int_eq(mistify_controller_end(&c, 40), -1); /* sure enough */
  ck_assert_int_eq(mistify_controller_begin(&c, &b), 3);
  now += 1000000;
  ck_assert_int_eq(mistify_controller_end(&c, 39), 0);
  now += 9000000;
  ck_assert_int_eq(mistify_controller_end(&c, 0), -1); /* there is nothing behind the target */
  ck_assert_int_eq(mistify_controller_end(&c, 0), -1);
}
END_TEST

START_TEST(a_cascade_stays_within_what_is_left)
{
  uint32_t now = 0;
  const mistify_control how = {.now = time_now, .clock = &now, .sure = 40};
  const mistify_budget both = {.time = 10500000}, one = {.time = 9500000};
  mistify_controller c;
  mistify_controller_init(&c, glyphs, GLYPHS, &how);
  ck_assert_int_eq(mistify_controller_begin(&c, &one), 0); /* not both: the target alone */
  now += 9000000;
  ck_assert_int_eq(mistify_controller_end(&c, 0), -1);
  ck_assert_int_eq(mistify_controller_begin(&c, &both), 3);
  now += 4000000; /* something came between: 6.5 M are left, and runs are thought to take longer */
  const int32_t next = mistify_controller_end(&c, 0);
  ck_assert_int_ge(next, 1);
  ck_assert_uint_le(mistify_controller_cost(&c, next), 6500000);
  mistify_controller_begin(&c, &both);
  now += 10400000;
  ck_assert_int_eq(mistify_controller_end(&c, 0), -1); /* nothing fits: the output stands */
}
END_TEST

/* Runs of each variant in n inferences, of which the narrowest leaves a share unsure, a wider one half of that each. */
static void cascade(mistify_controller *c, double unsure, int n, int runs[GLYPHS]) {
  const mistify_budget b = {0};
  Rng r;
  rng_seed(&r, 6, 0);
  for (int i = 0; i < n; i++)
    for (int32_t v = mistify_controller_begin(c, &b); v >= 0;) {
      const double share = unsure / (double)(1 << (GLYPHS - 1 - v));
      runs[v]++;
      v = mistify_controller_end(c, (double)rng_uniform(&r) < share ? 0 : 100);
    }
}

START_TEST(a_cascade_that_does_not_pay_begins_wider)
{
  const mistify_control how = {.sure = 40};
  mistify_controller c;
  int few[GLYPHS] = {0}, many[GLYPHS] = {0};
  mistify_controller_init(&c, glyphs, GLYPHS, &how);
  cascade(&c, 0.1, 2000, few);
  ck_assert_int_eq(few[3], 2000);
  ck_assert_int_le(abs(few[0] - 200), 60);
  mistify_controller_init(&c, glyphs, GLYPHS, &how);
  cascade(&c, 0.97, 2000, many);
  ck_assert_int_le(many[3], 900); /* it tries now and then */
  ck_assert_int_ge(many[2] + many[1], 1000);
}
END_TEST

START_TEST(confidence_is_the_distance_of_the_best_two)
{
  const int8_t s[] = {-128, 5, 127, 100};
  const uint8_t u[] = {7, 250, 250, 0};
  ck_assert_uint_eq(mistify_confidence(s, 4, 128), 27);
  ck_assert_uint_eq(mistify_confidence(s, 2, 128), 133);
  ck_assert_uint_eq(mistify_confidence(u, 4, 0), 0);
  ck_assert_uint_eq(mistify_confidence(u, 1, 0), 255);
}
END_TEST

/* -- exits -- */

/* From exit to exit as long as outputs are unsure; all of it within what the target takes alone. */
START_TEST(exits_go_on_from_one_another)
{
  uint32_t now = 0;
  const mistify_control how = {.now = time_now, .clock = &now, .sure = 40};
  const mistify_budget b = {.time = 9000000}, less = {.time = 5000000};
  mistify_controller c;
  mistify_controller_init(&c, glyphs, GLYPHS, &how);
  mistify_controller_exits(&c);
  for (int32_t i = 0; i < 100; i++) { /* 9 M cycles are enough for all of them */
    const int32_t last = i % GLYPHS;
    uint32_t done = 0;
    int32_t v = mistify_controller_begin(&c, &b), want = GLYPHS - 1;
    for (; v >= 0; v = mistify_controller_end(&c, v == last ? 40 : 39), want--) {
      ck_assert_int_eq(v, want);
      now += glyphs[v].cycles - done;
      done = glyphs[v].cycles;
    }
    ck_assert_int_eq(want, last - 1);
    ck_assert_int_eq(c.mean, 4096); /* each run is measured against its own part */
  }
  int32_t v = mistify_controller_begin(&c, &less); /* the target is variant 1, and nothing is behind it */
  for (int32_t want = GLYPHS - 1; want >= 1; want--) {
    ck_assert_int_eq(v, want);
    now += glyphs[v].cycles - (v < GLYPHS - 1 ? glyphs[v + 1].cycles : 0);
    v = mistify_controller_end(&c, 0);
  }
  ck_assert_int_eq(v, -1);
}
END_TEST

START_TEST(exits_stop_where_time_ends)
{
  uint32_t now = 0;
  const mistify_control how = {.now = time_now, .clock = &now, .sure = 40, .slack = 0};
  const mistify_budget b = {.time = 9500000, .nanojoules = 960000};
  mistify_controller c;
  mistify_controller_init(&c, glyphs, GLYPHS, &how);
  mistify_controller_exits(&c);
  ck_assert_int_eq(mistify_controller_begin(&c, &b), 3);
  now += 1000000;
  ck_assert_int_eq(mistify_controller_end(&c, 0), 2); /* 8 M to the end, 8.5 M left */
  now += 1500000 + 5000000;                           /* something came between */
  const int32_t next = mistify_controller_end(&c, 0);
  ck_assert_int_eq(next, -1); /* 2.5 M on a machine that is thought slower by now: there are 2 M left */
}
END_TEST

/* What is taken out of the reserve is the target's energy once. */
START_TEST(exits_pay_their_energy_once)
{
  const mistify_control how = {.sure = 40, .reserve = 100000000};
  const mistify_budget b = {0};
  mistify_controller c;
  mistify_controller_init(&c, glyphs, GLYPHS, &how);
  mistify_controller_exits(&c);
  int runs = 0;
  for (int32_t v = mistify_controller_begin(&c, &b); v >= 0; v = mistify_controller_end(&c, 0)) runs++;
  ck_assert_int_eq(runs, GLYPHS);
  ck_assert_uint_eq(c.stored, how.reserve - glyphs[0].nanojoules);
}
END_TEST

/* -- energy -- */

START_TEST(a_reserve_spends_what_comes_in)
{
  uint32_t now = 0;
  const uint32_t period = 20000000; /* of each inference, whatever it takes */
  const mistify_control how = {
      .now = time_now, .clock = &now, .reserve = 10000000, .income = 5}; /* 390,625 nJ a period */
  const mistify_budget b = {.time = period};
  mistify_controller c;
  double spent = 0;
  mistify_controller_init(&c, glyphs, GLYPHS, &how);
  for (int i = 0; i < 2000; i++) {
    const uint32_t begun = now;
    const int32_t v = infer(&c, &b, &now, 1);
    ck_assert_uint_le(glyphs[v].nanojoules, how.reserve);
    if (i >= 1000) spent += glyphs[v].nanojoules;
    now = begun + period;
  }
  ck_assert_msg(fabs(spent / 1000 - 390625) < 0.03 * 390625, "%g nJ an inference", spent / 1000);
}
END_TEST

START_TEST(an_empty_reserve_says_so)
{
  const mistify_control how = {.reserve = 500000}; /* nothing comes in */
  const mistify_budget b = {0};
  mistify_controller c;
  mistify_controller_init(&c, glyphs, GLYPHS, &how);
  ck_assert_int_eq(mistify_controller_begin(&c, &b), 3); /* an eighth of it is too little for any */
  ck_assert_uint_eq(c.tight, 4);
}
END_TEST

Suite *suite_controller(void) {
  Suite *s = suite_create("controller");
  TCase *t = tcase_create("controller");
  tcase_set_timeout(t, 60);
  tcase_add_test(t, select_takes_the_most_accurate_that_fits);
  tcase_add_test(t, select_takes_the_cheapest_that_is_accurate_enough);
  tcase_add_test(t, unknown_figures_limit_nothing);
  tcase_add_test(t, costs_are_exact);
  tcase_add_test(t, the_first_measurement_is_the_ratio);
  tcase_add_test(t, a_unit_may_be_many_cycles);
  tcase_add_test(t, what_does_not_fit_is_not_chosen_where_something_does);
  tcase_add_test(t, it_is_the_oracles_choice_but_for_an_eighth);
  tcase_add_test(t, a_constant_budget_does_not_flap);
  tcase_add_test(t, a_better_one_waits_under_the_same_budget);
  tcase_add_test(t, unknown_accuracy_prefers_the_widest);
  tcase_add_test(t, a_slow_bus_costs_few_deadlines);
  tcase_add_test(t, an_unsure_output_is_followed_by_the_target);
  tcase_add_test(t, a_cascade_stays_within_what_is_left);
  tcase_add_test(t, a_cascade_that_does_not_pay_begins_wider);
  tcase_add_test(t, confidence_is_the_distance_of_the_best_two);
  tcase_add_test(t, a_reserve_spends_what_comes_in);
  tcase_add_test(t, an_empty_reserve_says_so);
  tcase_add_test(t, exits_go_on_from_one_another);
  tcase_add_test(t, exits_stop_where_time_ends);
  tcase_add_test(t, exits_pay_their_energy_once);
  suite_add_tcase(s, t);
  return s;
}
