/* Schedules: parents contain their children, lengths follow the rule, joint ancestors pay, later requests disturb nothing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "passes/tailor/lock.h"
#include "passes/tailor/schedule.h"
#include "tests/support.h"

Suite *suite_schedule(void);

enum { UNITS = 128, WORDS = UNITS / SCHEDULE_WORD_BITS, MOST = 3000 };

/* A net of two layers of 64 units: its MACs are the product of what is left. */
static double macs_of(void *ctx, int base, const uint64_t *units) {
  (void)ctx, (void)base;
  return (double)__builtin_popcountll(units[0]) * __builtin_popcountll(units[1]) * 1000;
}

static uint64_t first(int n) { return n >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1; }

typedef struct Case {
  uint64_t units[MOST][WORDS];
  ScheduleRequest requests[MOST];
  int n;
  ScheduleBase base;
  ScheduleRules rules;
  Schedule s;
} Case;

static Case *new_case(void) {
  Case *c = mem_zalloc(sizeof *c);
  c->base = (ScheduleBase){64 * 64 * 1000.0, WORDS};
  c->rules = (ScheduleRules){.sharing = SHARE_TREE,
                             .images = 1600,
                             .step = 32,
                             .per_halving = 1,
                             .least = 0.05,
                             .image = 1e-5,
                             .mac = 1e-9,
                             .macs = macs_of};
  return c;
}

static void request(Case *c, int a, int b) {
  uint64_t *u = c->units[c->n];
  u[0] = first(a), u[1] = first(b);
  c->requests[c->n++] = (ScheduleRequest){0, macs_of(NULL, 0, u), u};
}

static void make(Case *c, const Schedule *before) {
  schedule_make(c->requests, c->n, &c->base, &c->rules, before ? before->nodes : NULL, before ? before->n : 0,
                &c->s);
}

static bool inside(const uint64_t *outer, const uint64_t *inner) {
  return !(inner[0] & ~outer[0]) && !(inner[1] & ~outer[1]);
}

/* What must hold of every schedule. */
static void check(const Case *c) {
  const Schedule *s = &c->s;
  int64_t images = 0;
  double seconds = 0;
  for (int k = 0; k < s->n; k++) {
    const ScheduleNode *n = &s->nodes[k];
    ck_assert_int_lt(n->parent, k);
    ck_assert_int_eq(n->images % c->rules.step, 0);
    ck_assert_int_gt(n->images, 0);
    if (!n->fixed) ck_assert_int_eq(n->joint, n->request < 0);
    if (n->parent >= 0) {
      const ScheduleNode *p = &s->nodes[n->parent];
      ck_assert(inside(p->units, n->units) && p->macs >= n->macs && n->kin);
      ck_assert_int_eq(n->skip, p->skip + p->images);
    }
    images += n->images;
    seconds += n->seconds;
  }
  for (int i = 0; i < c->n; i++)
    ck_assert_mem_eq(s->nodes[s->node_of[i]].units, c->units[i], sizeof c->units[i]);
  ck_assert_int_eq(images, s->images);
  ck_assert_double_le(fabs(seconds - s->seconds), 1e-9 * seconds);
}

static void end(Case *c) {
  schedule_free(&c->s);
  mem_free(c);
}

START_TEST(test_chain)
{
  Case *c = new_case();
  request(c, 20, 20), request(c, 60, 60), request(c, 40, 40), request(c, 40, 40);
  make(c, NULL);
  check(c);
  ck_assert_int_eq(c->s.n, 3);
  ck_assert_int_eq(c->s.node_of[2], c->s.node_of[3]);
  ck_assert_int_eq(c->s.nodes[c->s.node_of[0]].parent, c->s.node_of[2]);
  ck_assert_int_eq(c->s.nodes[c->s.node_of[2]].parent, c->s.node_of[1]);
  const double halvings = log2(60 * 60.0 / (40 * 40.0));
  ck_assert_int_eq(c->s.nodes[c->s.node_of[2]].images, fmin(1, halvings) * 1600);
  ck_assert_int_eq(c->s.nodes[c->s.node_of[1]].images, ((int)(log2(4096 / 3600.0) * 1600) / 32 + 1) * 32);
  end(c);
}
END_TEST

/* The smaller a model is beside the base, the longer its way from its parent. */
START_TEST(test_growth)
{
  Case *c = new_case();
  request(c, 32, 64), request(c, 32, 32), request(c, 16, 32);
  c->rules.growth = 0.5;
  make(c, NULL);
  check(c);
  static const double grown[] = {1.41421356, 2, 2.82842712};
  for (int i = 0; i < 3; i++) {
    const int64_t n = c->s.nodes[c->s.node_of[i]].images;
    ck_assert_int_eq(n, (int64_t)ceil(grown[i] * 1600 / 32) * 32);
  }
  end(c);
}
END_TEST

/* Variants that are trained together get what a chain of warm starts to the narrowest would. */
START_TEST(test_family)
{
  Case *c = new_case();
  c->rules.growth = 0.5;
  const int64_t four = schedule_family(&c->rules, 1, 1, 4, 1 / 8.0),
                two = schedule_family(&c->rules, 1, 1, 2, 1 / 8.0);
  ck_assert_int_eq(four, (int64_t)(ceil(1.41421356 * 50) + 2 * 50 + ceil(2.82842712 * 50)) * 32);
  ck_assert_int_eq(two, (int64_t)ceil(2.82842712 * 50) *
                            32); /* one warm start is a whole retraining at most, grown */
  ck_assert_int_gt(schedule_family(&c->rules, 2, 1, 4, 1 / 8.0), four); /* the widest was cut itself */
  c->rules.share = 0.5;
  ck_assert_int_le(schedule_family(&c->rules, 1, 1, 4, 1 / 8.0), four / 2 + 3 * 32);
  end(c);
}
END_TEST

/* Alone, a target is trained as the design says, whatever its size. */
START_TEST(test_alone)
{
  Case *c = new_case();
  request(c, 60, 60);
  make(c, NULL);
  ck_assert_int_eq(c->s.nodes[0].images, 1600);
  ck_assert(!c->s.nodes[0].kin);
  schedule_free(&c->s);
  request(c, 30, 30);
  c->rules.sharing = SHARE_NOTHING;
  make(c, NULL);
  for (int k = 0; k < 2; k++) {
    ck_assert_int_eq(c->s.nodes[k].parent, -1);
    ck_assert_int_eq(c->s.nodes[k].images, 1600);
    ck_assert(!c->s.nodes[k].kin);
  }
  end(c);
}
END_TEST

/* One deep and one wide model far below the base: an ancestor of both is cheaper than two long ways. */
START_TEST(test_joint)
{
  Case *c = new_case();
  request(c, 15, 16), request(c, 16, 15);
  make(c, NULL);
  check(c);
  ck_assert_int_eq(c->s.joint, 1);
  ck_assert_int_eq(c->s.n, 3);
  ck_assert_double_eq(c->s.nodes[0].macs, 16 * 16 * 1000);
  const double with = c->s.seconds;
  schedule_free(&c->s);
  c->rules.sharing = SHARE_CHAIN;
  make(c, NULL);
  check(c);
  ck_assert_int_eq(c->s.joint, 0);
  ck_assert_double_gt(c->s.seconds, with);
  end(c);
}
END_TEST

static Case *random_case(int n) {
  Case *c = new_case();
  Rng r;
  rng_seed(&r, 5, (uint64_t)n);
  for (int i = 0; i < n; i++) {
    const int a = 4 + (int)rng_below(&r, 60);
    request(c, a, 4 + (int)rng_below(&r, 60));
  }
  return c;
}

START_TEST(test_random)
{
  const int sizes[] = {0, 1, 2, 17, 300, MOST};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    Case *c = random_case(sizes[i]);
    make(c, NULL);
    check(c);
    const double tree = c->s.seconds;
    schedule_free(&c->s);
    c->rules.sharing = SHARE_CHAIN;
    make(c, NULL);
    check(c);
    ck_assert_double_le(tree, c->s.seconds);
    schedule_free(&c->s);
    c->rules.sharing = SHARE_NOTHING;
    make(c, NULL);
    check(c);
    if (c->n > 3) ck_assert_double_lt(tree, c->s.seconds);
    end(c);
  }
}
END_TEST

/* A later request is a leaf, or what there is already; nothing else changes. One that goes takes its own branch alone. */
START_TEST(test_later)
{
  Case *c = random_case(40);
  make(c, NULL);
  const Schedule before = c->s;
  for (int more = 0; more < 20; more++) {
    Case *d = random_case(40);
    request(d, 5 + 2 * more, 60 - more);
    make(d, &before);
    check(d);
    for (int i = 0; i < 40; i++) {
      const ScheduleNode *x = &before.nodes[before.node_of[i]], *y = &d->s.nodes[d->s.node_of[i]];
      ck_assert(x->images == y->images && x->skip == y->skip && x->kin == y->kin);
    }
    ck_assert_int_le(d->s.n, before.n + 1);
    end(d);
  }
  for (int gone = 0; gone < 40; gone++) {
    Case *d = random_case(40);
    d->n = 39;
    if (gone < 39) {
      memcpy(d->units[gone], d->units[39], sizeof d->units[gone]);
      d->requests[gone].macs = d->requests[39].macs;
    }
    make(d, &before);
    ck_assert_int_le(d->s.n, before.n);
    for (int k = 0; k < d->s.n; k++) ck_assert(d->s.nodes[k].fixed);
    end(d);
  }
  end(c);
}
END_TEST

/* Shortened, all lengths keep their proportions down to the least; by the clock, no way is quicker than its longest. */
START_TEST(test_shortened)
{
  Case *c = random_case(40);
  make(c, NULL);
  const double sum = c->s.seconds, wall = schedule_wall(&c->s, &c->rules, 1e6);
  ck_assert_double_eq(schedule_wall(&c->s, &c->rules, 1), sum);
  ck_assert_double_eq(schedule_wall(&c->s, &c->rules, 2), fmax(wall, sum / 2));
  ck_assert(wall < sum / 2);
  ck_assert_double_eq(schedule_share(c->requests, c->n, &c->base, &c->rules, 1, 1.01 * sum), 1);
  schedule_free(&c->s);
  c->rules.share = schedule_share(c->requests, c->n, &c->base, &c->rules, 1, sum / 3);
  make(c, NULL);
  check(c);
  ck_assert_msg(c->s.seconds <= sum / 3 && c->s.seconds > sum / 4, "%g of %g s", c->s.seconds, sum);
  for (int k = 0; k < c->s.n; k++) ck_assert_int_ge(c->s.nodes[k].images, 0.05 * 1600);
  schedule_free(&c->s);
  c->rules.share = schedule_share(c->requests, c->n, &c->base, &c->rules, 1, 0);
  make(c, NULL);
  for (int k = 0; k < c->s.n; k++) ck_assert_int_eq(c->s.nodes[k].images, 96); /* 5 %, in steps */
  ck_assert_int_eq(schedule_full(&c->rules), 96);
  c->rules.images = 33; /* one more than a step: shortened, it is not longer */
  c->rules.share = 63 / 64.0;
  ck_assert_int_eq(schedule_full(&c->rules), 33);
  end(c);
}
END_TEST

/* What is trained together behind a model takes time of the budget too, and is shortened as all is. */
START_TEST(test_joint_time)
{
  Case *c = new_case();
  request(c, 60, 60), request(c, 40, 40), request(c, 30, 20);
  make(c, NULL);
  const ScheduleJoint joints[] = {{1, c->base.macs, c->requests[1].macs, 0.25, 3},
                                  {-1, c->base.macs, c->base.macs, 0.5, 2}};
  const double alone = c->s.seconds, behind = schedule_joint_seconds(&c->rules, &joints[0]),
               first_of_all = schedule_joint_seconds(&c->rules, &joints[1]);
  double until = 0; /* the model of request 1 is there */
  for (int k = c->s.node_of[1]; k >= 0; k = c->s.nodes[k].parent) until += c->s.nodes[k].seconds;
  const double three = 1 + 0.5 + 0.25; /* of the widest's MACs: every step runs all */
  ck_assert_double_eq_tol(
      behind,
      schedule_seconds(&c->rules, three * c->requests[1].macs,
                       schedule_family(&c->rules, c->base.macs, c->requests[1].macs, 3, 0.25)),
      1e-9);
  c->rules.joints = joints, c->rules.n_joints = 2;
  ck_assert_double_eq_tol(schedule_wall(&c->s, &c->rules, 1), alone + behind + first_of_all, 1e-9);
  ck_assert_double_eq_tol(schedule_wall(&c->s, &c->rules, 1e6), fmax(until + behind, first_of_all), 1e-9);
  const ScheduleJoint shared[] = {joints[0], joints[1], joints[0],
                                  joints[1]}; /* two targets each: one training */
  c->rules.share = 0.5;
  const double half = schedule_wall(&c->s, &c->rules, 1), kept = schedule_kept(&c->s, &c->base, &c->rules);
  c->rules.joints = shared, c->rules.n_joints = 4;
  ck_assert_double_eq(schedule_wall(&c->s, &c->rules, 1), half);
  ck_assert_double_eq(schedule_kept(&c->s, &c->base, &c->rules), kept);
  c->rules.joints = joints, c->rules.n_joints = 2, c->rules.share = 0;
  const double most = 1.01 * alone; /* enough for the models */
  const double share = schedule_share(c->requests, c->n, &c->base, &c->rules, 1, most);
  ck_assert_double_lt(share, 1);
  schedule_free(&c->s);
  c->rules.share = share;
  make(c, NULL);
  ck_assert_double_le(schedule_wall(&c->s, &c->rules, 1), most);
  const double left = schedule_kept(&c->s, &c->base, &c->rules);
  ck_assert_msg(left >= share && left < share + 0.1, "%g left, share %g", left, share);
  c->n = 0; /* of the original alone */
  c->rules.joints = &joints[1], c->rules.n_joints = 1, c->rules.share = 0;
  ck_assert_double_lt(schedule_share(c->requests, 0, &c->base, &c->rules, 1, first_of_all / 2), 0.52);
  end(c);
}
END_TEST

/* What is left of all images: where many have the least length, more than the factor. */
START_TEST(test_kept)
{
  Case *c = new_case();
  request(c, 60, 60), request(c, 40, 40), request(c, 20, 20);
  make(c, NULL);
  const double all = (double)c->s.images;
  ck_assert_double_eq(schedule_kept(&c->s, &c->base, &c->rules), 1);
  static const double shares[] = {0.5, 1 / 64.0};
  for (int i = 0; i < 2; i++) {
    schedule_free(&c->s);
    c->rules.share = shares[i];
    make(c, NULL);
    const double left = schedule_kept(&c->s, &c->base, &c->rules);
    ck_assert_double_eq_tol(left, (double)c->s.images / all, 1e-9);
    ck_assert_msg(left >= shares[i] && left < 0.6, "%g of %g", left, shares[i]);
  }
  ck_assert_double_gt(schedule_kept(&c->s, &c->base, &c->rules), 0.05);
  end(c);
}
END_TEST

/* ---- plan.lock */

static Lock lock_of(const Case *c, Arena *a) {
  Lock l = {.basis = hash_bytes("b", 1),
            .image = 1.5e-5,
            .mac = 3e-11,
            .views = 3,
            .full = 1600,
            .share = 0.25,
            .budget = 1800,
            .at_once = 2,
            .n_models = c->s.n,
            .n_targets = c->n};
  l.models = arena_array(a, (size_t)c->s.n, sizeof *l.models);
  l.targets = arena_array(a, (size_t)c->n, sizeof *l.targets);
  for (int k = 0; k < c->s.n; k++)
    l.models[k] =
        (LockModel){arena_printf(a, "model %d", k), k % 3 ? "" : "images of 75 %", c->s.nodes[k], WORDS};
  for (int i = 0; i < c->n; i++)
    l.targets[i] = (LockTarget){arena_printf(a, "t%d", i), hash_bytes(&i, sizeof i), c->s.node_of[i], i % 2};
  return l;
}

START_TEST(test_lock)
{
  Arena *a = arena_new();
  Diag *d = diag_new();
  Case *c = random_case(30);
  make(c, NULL);
  const Lock l = lock_of(c, a);
  StrBuf text = {0}, again = {0};
  Lock got;
  lock_print(&l, &text);
  ck_assert_msg(lock_parse(sb_str(&text), a, &got, d), "%s", diag_text(d));
  lock_print(&got, &again);
  ck_assert_str_eq(sb_str(&text), sb_str(&again));
  const int seven = 7, none = 77;
  ck_assert_str_eq(lock_find(&got, hash_bytes(&seven, sizeof seven))->name, "t7");
  ck_assert_ptr_null(lock_find(&got, hash_bytes(&none, sizeof none)));
  /* Another digit anywhere, and it is refused. */
  for (size_t n = 0; n < text.len; n += 1 + n / 50) {
    Diag *why = diag_new();
    char *bad = arena_strdup(a, sb_str(&text));
    bad[n] = bad[n] == '1' ? '2' : '1';
    ck_assert_msg(!lock_parse(bad, a, &got, why), "changed at %zu", n);
    diag_free(why);
  }
  /* Cut at any place, it is refused. */
  for (size_t n = 0; n < text.len; n += 1 + n / 50) {
    Diag *why = diag_new();
    ck_assert_msg(!lock_parse(arena_strndup(a, sb_str(&text), n), a, &got, why), "cut at %zu", n);
    ck_assert_int_gt(diag_count(why), 0);
    diag_free(why);
  }
  sb_free(&text);
  sb_free(&again);
  end(c);
  diag_free(d);
  arena_free(a);
}
END_TEST

Suite *suite_schedule(void) {
  Suite *s = suite_create("schedule");
  TCase *t = tcase_create("schedule");
  tcase_set_timeout(t, 60);
  tcase_add_test(t, test_chain);
  tcase_add_test(t, test_growth);
  tcase_add_test(t, test_family);
  tcase_add_test(t, test_alone);
  tcase_add_test(t, test_joint);
  tcase_add_test(t, test_random);
  tcase_add_test(t, test_later);
  tcase_add_test(t, test_shortened);
  tcase_add_test(t, test_joint_time);
  tcase_add_test(t, test_kept);
  tcase_add_test(t, test_lock);
  suite_add_tcase(s, t);
  return s;
}
