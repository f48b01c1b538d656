/* The controller of variants; controller.h has its rules. */
#include "runtime/device/controller.h"

#include "runtime/device/saturate.h"

enum { MF_CONTROL_ONE = 4096, MF_CONTROL_PROBE = 256 };

/* a * f / 4096, f of 16 bits, at most 2^32 - 1. */
MF_HELPER uint32_t mf_control_scale(uint32_t a, uint32_t f) {
  const uint32_t high = (a >> 16) * f;
  return high >> 28 ? MF_MOST : mf_add_most(high << 4, ((a & 0xffff) * f) >> 12);
}

/* 4096 * a / b rounded down, at most 65535: four bits before the point and twelve behind it, by long division. */
MF_HELPER uint32_t mf_control_ratio(uint32_t a, uint32_t b) {
  uint32_t q = 0;
  int32_t i;
  if (b == 0 || a >> 4 >= b) return 0xffff;
  while (b >> 27) a >>= 1, b >>= 1; /* room to shift; 27 bits are enough for a ratio of 16 */
  if (a >> 4 >= b) return 0xffff;
  b <<= 4;
  for (i = 0; i < 16; i++) { /* a < b */
    a <<= 1;
    q <<= 1;
    if (a >= b) a -= b, q++;
  }
  return q;
}

/* Mean and margin: what costs are multiplied by. */
MF_HELPER uint32_t mf_control_factor(const mistify_controller *c) {
  return mf_least(c->mean + (uint32_t)c->how->slack * c->deviation, 0xffff);
}

MF_KERNEL uint32_t mistify_controller_cost(const mistify_controller *c, int32_t v) {
  return mf_control_scale(c->table[v].cycles, mf_control_factor(c));
}

/* Of `all` that a variant takes, what is left to do: exits go on from the one that ran, which took `ran`. */
MF_HELPER uint32_t mf_control_left(uint32_t all, uint32_t ran) { return all > ran ? all - ran : 0; }

/* The exit that variants go on from; NULL: they begin with the input. */
MF_HELPER const mistify_variant *mf_control_from(const mistify_controller *c) {
  return c->exits && c->ran >= 0 ? &c->table[c->ran] : NULL;
}

MF_HELPER uint32_t mf_control_cycles(const mistify_controller *c, int32_t v) {
  const mistify_variant *from = mf_control_from(c);
  return from ? mf_control_left(c->table[v].cycles, from->cycles) : c->table[v].cycles;
}

MF_HELPER uint32_t mf_control_energy(const mistify_controller *c, int32_t v) {
  const mistify_variant *from = mf_control_from(c);
  const uint32_t joules = c->table[v].nanojoules;
  return mf_control_scale(from ? mf_control_left(joules, from->nanojoules) : joules, c->mean);
}

/* -- choice -- */

/* Whether variant v, its cost multiplied by `factor`, is within the budget; with an eighth to spare if asked for. */
MF_HELPER int mf_control_fits(const mistify_controller *c, int32_t v, uint32_t factor, uint32_t time,
                              uint32_t energy, int spare) {
  const mistify_variant *t = &c->table[v];
  uint32_t cycles = mf_control_cycles(c, v), joules;
  if (c->budget.ram && t->ram > c->budget.ram) return 0;
  if (cycles > time && factor >= MF_CONTROL_ONE) return 0; /* as it stands */
  cycles = mf_control_scale(cycles, factor);
  if (spare) cycles = mf_add_most(cycles, cycles >> 3);
  if (cycles > time || energy == MF_MOST) return cycles <= time;
  joules = mf_control_energy(c, v);
  if (spare) joules = mf_add_most(joules, joules >> 3);
  return joules <= energy;
}

/* Of variants from .. below-1 the best that fits; -1: none. */
static int32_t mf_control_best(const mistify_controller *c, int32_t from, int32_t below, uint32_t time,
                               uint32_t energy, int spare) {
  const uint32_t factor = mf_control_factor(c);
  int32_t best = -1, v;
  for (v = from; v < below; v++) {
    /* What is no better need not be asked. */
    if (best >= 0 && !mf_better(&c->table[v], &c->table[best], c->budget.accuracy_ppm)) continue;
    if (mf_control_fits(c, v, factor, time, energy, spare)) best = v;
  }
  return best;
}

/* Whether v is to be preferred to the one chosen last. */
MF_HELPER int mf_control_improves(const mistify_controller *c, int32_t v) {
  const mistify_variant *a, *b;
  if (v < 0 || v == c->best) return 0;
  a = &c->table[v], b = &c->table[c->best];
  if (mf_better(a, b, c->budget.accuracy_ppm)) return 1;
  return v < c->best && !mf_better(b, a, c->budget.accuracy_ppm);
}

/* Nothing fits: the variant of least energy where that is short, else of least time. */
static int32_t mf_control_cheapest(mistify_controller *c, uint32_t time, uint32_t energy) {
  int32_t least = c->n - 1, v, fits_time = 0, fits_energy = 0, fits_ram = 0;
  for (v = 0; v < c->n; v++) {
    fits_time |= mistify_controller_cost(c, v) <= time;
    fits_energy |= mf_control_energy(c, v) <= energy;
    fits_ram |= !c->budget.ram || c->table[v].ram <= c->budget.ram;
  }
  for (v = c->n - 1; v >= 0; v--)
    if (fits_energy ? c->table[v].cycles < c->table[least].cycles
                    : c->table[v].nanojoules < c->table[least].nanojoules)
      least = v;
  c->tight = (uint8_t)((!fits_time) | (!fits_ram << 1) | (!fits_energy << 2));
  if (!c->tight) c->tight = 1; /* each limit can be met, but not all of them by one variant */
  return least;
}

/* With hysteresis: c->best anew. */
static int32_t mf_control_choose(mistify_controller *c, uint32_t time, uint32_t energy, int same) {
  int32_t v = mf_control_best(c, 0, c->n, time, energy, 0), wait = 0;
  c->tight = 0;
  if (v < 0) {
    v = mf_control_cheapest(c, time, energy);
  } else if (c->best >= 0 && v != c->best &&
             mf_control_fits(c, c->best, mf_control_factor(c), time, energy, 0)) {
    const int32_t roomy = mf_control_best(c, 0, c->n, time, energy, 1);
    wait = mf_control_improves(c, roomy);
    v = wait && (!same || c->waited >= c->how->hold) ? roomy : c->best;
  }
  c->waited = (uint8_t)(wait && v == c->best && c->waited < 255 ? c->waited + 1 : 0);
  c->best = (int8_t)v;
  return v;
}

/* -- energy -- */

static void mf_control_fill(mistify_controller *c, uint32_t now) {
  const mistify_control *how = c->how;
  const uint32_t units = how->now ? now - c->filled : 256;
  if (!how->reserve) return;
  c->filled = now;
  c->stored = mf_add_most(c->stored, mf_mul_most(units >> 8, how->income));
  c->stored = mf_add_most(c->stored, mf_mul_most(units & 255, how->income) >> 8);
  c->stored = mf_least(c->stored, how->reserve);
}

static uint32_t mf_control_energy_limit(const mistify_controller *c) {
  const uint32_t most = c->budget.nanojoules ? c->budget.nanojoules : MF_MOST;
  return c->how->reserve ? mf_least(most, c->stored >> 3) : most;
}

/* -- cascade -- */

MF_HELPER int mf_control_pays(const mistify_controller *c, int32_t first, int32_t target) {
  const uint32_t certain = (0x10000u - c->doubt) >> 4; /* of 4096 */
  if (c->exits) return 1;                              /* what ran is a part of what runs behind it */
  return c->table[first].cycles < mf_control_scale(c->table[target].cycles, certain);
}

/* The variant to begin with: `first`, or the target itself. */
static int32_t mf_control_first(mistify_controller *c, int32_t target, uint32_t time, uint32_t energy) {
  int32_t first = c->first;
  if (!c->how->sure || target >= c->n - 1) return target;
  if (first < c->n - 1 && ++c->probe >= MF_CONTROL_PROBE) {
    first = c->n - 1;
    c->doubt = 0;
    c->probe = 0;
  }
  while (first > target &&
         !mf_control_pays(c, first, target)) { /* what is wider is surer: half as often unsure */
    first--;
    c->doubt = (uint16_t)(c->doubt >> 1);
    c->probe = 0;
  }
  if (first < target) first = target;
  c->first = (int8_t)first;
  if (c->exits) return first;
  if (mf_add_most(mistify_controller_cost(c, first), mistify_controller_cost(c, target)) > time ||
      mf_add_most(mf_control_energy(c, first), mf_control_energy(c, target)) > energy)
    return target;
  return first;
}

/* -- an inference -- */

MF_KERNEL void mistify_controller_init(mistify_controller *c, const mistify_variant *table, int32_t n,
                                       const mistify_control *how) {
  const mistify_budget none = {0, 0, 0, 0};
  c->table = table;
  c->how = how;
  c->budget = none;
  c->stored = how->reserve;
  c->begun = c->started = c->filled = how->now ? how->now(how->clock) : 0;
  c->mean = MF_CONTROL_ONE;
  c->deviation = 0;
  c->doubt = c->probe = 0;
  c->n = (int8_t)n;
  c->best = c->target = c->running = -1;
  c->first = (int8_t)(n - 1);
  c->waited = c->measured = c->tight = 0;
  c->exits = 0;
  c->ran = -1;
}

MF_KERNEL void mistify_controller_exits(mistify_controller *c) { c->exits = 1; }

/* The budget, its time in cycles; whether it is the last one's. */
static int mf_control_take_budget(mistify_controller *c, const mistify_budget *b) {
  const uint32_t unit = c->how->cycles_per_unit ? c->how->cycles_per_unit : 1;
  const uint32_t time = mf_mul_most(b->time, unit);
  const int same = time == c->budget.time && b->ram == c->budget.ram &&
                   b->nanojoules == c->budget.nanojoules && b->accuracy_ppm == c->budget.accuracy_ppm;
  c->budget = *b;
  c->budget.time = time;
  return same;
}

MF_KERNEL int32_t mistify_controller_begin(mistify_controller *c, const mistify_budget *budget) {
  const uint32_t now = c->how->now ? c->how->now(c->how->clock) : 0;
  const int same = mf_control_take_budget(c, budget);
  uint32_t time, energy;
  c->ran = -1;
  mf_control_fill(c, now);
  time = c->budget.time ? c->budget.time : MF_MOST;
  energy = mf_control_energy_limit(c);
  c->target = (int8_t)mf_control_choose(c, time, energy, same);
  c->running = (int8_t)(c->tight ? c->target : mf_control_first(c, c->target, time, energy));
  c->begun = c->started = now;
  return c->running;
}

/* A sample of measured : stated. */
static void mf_control_learn(mistify_controller *c, uint32_t r) {
  const uint32_t off = r > c->mean ? r - c->mean : c->mean - r;
  if (!c->measured) {
    c->measured = 1;
    c->mean = (uint16_t)r;
    c->deviation = (uint16_t)(r >> 5);
    return;
  }
  c->mean = (uint16_t)(r > c->mean ? c->mean + ((off + 7) >> 3) : c->mean - (off >> 3));
  c->deviation = (uint16_t)(off > c->deviation ? c->deviation + ((off - c->deviation + 3) >> 2)
                                               : c->deviation - ((c->deviation - off) >> 2));
}

/* What has been spent: time is measured, energy taken from the reserve. Returns the cycles of the inference so far. */
static uint32_t mf_control_spend(mistify_controller *c) {
  const uint32_t unit = c->how->cycles_per_unit ? c->how->cycles_per_unit : 1;
  const uint32_t cycles = mf_control_cycles(c, c->running);
  uint32_t now;
  if (c->how->reserve) c->stored -= mf_least(c->stored, mf_control_energy(c, c->running));
  if (!c->how->now) return c->table[c->running].cycles;
  now = c->how->now(c->how->clock);
  if (cycles) mf_control_learn(c, mf_control_ratio(mf_mul_most(now - c->started, unit), cycles));
  c->started = now;
  return mf_mul_most(now - c->begun, unit);
}

/* What runs behind an unsure one: the best that is no wider than the target and fits what is left; -1: none. */
static int32_t mf_control_next(const mistify_controller *c, uint32_t spent) {
  const uint32_t time = c->budget.time;
  const uint32_t left = !time ? MF_MOST : time > spent ? time - spent : 0;
  uint32_t energy = c->how->reserve ? c->stored : MF_MOST;
  if (c->budget.nanojoules) { /* of this inference, the reserve apart */
    const uint32_t used = mf_control_scale(c->table[c->running].nanojoules, c->mean);
    energy = mf_least(energy, c->budget.nanojoules > used ? c->budget.nanojoules - used : 0);
  }
  return mf_control_best(c, c->target, c->running, left, energy, 0);
}

MF_KERNEL int32_t mistify_controller_end(mistify_controller *c, uint32_t confidence) {
  const int32_t running = c->running;
  uint32_t spent;
  int32_t next = -1;
  if (running < 0) return -1;
  spent = mf_control_spend(c);
  c->ran = (int8_t)running;
  if (c->how->sure && running != c->target) {
    const int unsure = confidence < c->how->sure;
    c->doubt = (uint16_t)(unsure ? c->doubt + ((0xffff - c->doubt) >> 4) : c->doubt - (c->doubt >> 4));
    if (unsure) next = mf_control_next(c, spent);
    c->target = (int8_t)next; /* what runs behind it stands, however sure; of exits the last of them */
    if (c->exits && next >= 0) next = running - 1;
  }
  c->running = (int8_t)next;
  return next;
}
