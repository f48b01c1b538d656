/* Made-up requests; see simulate.h. The MACs of a graph's units are the Sizer's (passes/prune_size.h), which counts exactly
 * without building a graph; it is moved from one set of units to the next by what differs.
 */
#include "passes/tailor/simulate.h"

#include <math.h>
#include <string.h>

#include "ir/base/rng.h"
#include "passes/prune_size.h"

static const double DECADES = 2, WIDEST = 0.97; /* of MACs: from a hundredth of the base's to nearly all */
enum {
  STEP = 4,
  STEPPED = 16,
  HALVINGS = 16,
  RESOURCES = 4
}; /* groups of STEPPED units and more keep a multiple of STEP */

static uint64_t bit(int u) { return UINT64_C(1) << u % SCHEDULE_WORD_BITS; }

static int words_for(int units) { return (units + SCHEDULE_WORD_BITS - 1) / SCHEDULE_WORD_BITS; }

/* ---- The made-up net: 3x3 layers, each reads the group before it */

typedef struct MadeUp {
  const SimBase *base;
  const double *area; /* [n_groups] positions of the layer's output */
} MadeUp;

static int count(const uint64_t *units, int first, int n) {
  int sum = 0;
  while (n > 0) {
    const int at = first % SCHEDULE_WORD_BITS,
              here = n < SCHEDULE_WORD_BITS - at ? n : SCHEDULE_WORD_BITS - at;
    const uint64_t mask = here == SCHEDULE_WORD_BITS ? ~UINT64_C(0) : (UINT64_C(1) << here) - 1;
    sum += __builtin_popcountll(units[first / SCHEDULE_WORD_BITS] >> at & mask);
    first += here, n -= here;
  }
  return sum;
}

static double made_up_macs(void *ctx, int base, const uint64_t *units) {
  const MadeUp *m = ctx;
  double macs = 0, in = 3;
  (void)base;
  for (int g = 0, first = 0; g < m->base->n_groups; first += m->base->size[g++]) {
    const double out = count(units, first, m->base->size[g]);
    macs += 9 * m->area[g] * in * out;
    in = out;
  }
  return macs + 10 * in;
}

static double macs_of_all(Arena *a, const SimBase *b) {
  uint64_t *all = arena_array(a, (size_t)b->words, sizeof *all);
  for (int u = 0; u < b->n_units; u++) all[u / SCHEDULE_WORD_BITS] |= bit(u);
  return b->macs_of(b->ctx, 0, all);
}

void sim_base_made_up(Arena *a, SimBase *out) {
  enum { GROUPS = 20, FIRST = 6, SECOND = 13 };
  MadeUp *m = arena_alloc(a, sizeof *m);
  double *area = arena_array(a, GROUPS, sizeof *area);
  *out = (SimBase){.n_groups = GROUPS, .macs_of = made_up_macs, .ctx = m};
  out->size = arena_array(a, GROUPS, sizeof *out->size);
  out->least = arena_array(a, GROUPS, sizeof *out->least);
  for (int g = 0; g < GROUPS; g++) {
    const int stage = (g >= FIRST) + (g >= SECOND);
    out->size[g] = 32 << stage;
    out->least[g] = 2;
    area[g] = 1024 >> 2 * stage;
    out->n_units += out->size[g];
  }
  *m = (MadeUp){arena_dup(a, out, sizeof *out), area};
  out->words = words_for(out->n_units);
  out->macs = macs_of_all(a, out);
}

/* ---- A graph's */

typedef struct Sized {
  Sizer *sizer;
  uint64_t *now; /* units that it has */
  int words;
} Sized;

static double sized_macs(void *ctx, int base, const uint64_t *units) {
  Sized *s = ctx;
  (void)base;
  for (int i = 0; i < s->words; i++) {
    for (uint64_t other = s->now[i] ^ units[i]; other; other &= other - 1) {
      const int at = __builtin_ctzll(other);
      const uint32_t u = (uint32_t)(i * SCHEDULE_WORD_BITS + at);
      if (units[i] & bit(at))
        sizer_restore(s->sizer, u);
      else
        sizer_remove(s->sizer, u);
    }
    s->now[i] = units[i];
  }
  return sizer_sizes(s->sizer).v[RES_MACS];
}

void sim_base_of(Arena *a, const Channels *c, SimBase *out) {
  Sized *s = arena_alloc(a, sizeof *s);
  *out = (SimBase){.n_groups = (int)c->n_groups,
                   .n_units = (int)c->n_units,
                   .words = words_for((int)c->n_units),
                   .macs_of = sized_macs,
                   .ctx = s};
  out->size = arena_array(a, c->n_groups, sizeof *out->size);
  out->least = arena_array(a, c->n_groups, sizeof *out->least);
  for (uint32_t g = 0; g < c->n_groups; g++) {
    out->size[g] = (int)c->groups[g].n;
    out->least[g] = (int)c->groups[g].least;
  }
  *s = (Sized){sizer_new(c, DT_I8), arena_array(a, (size_t)out->words, sizeof *s->now), out->words};
  for (int u = 0; u < out->n_units; u++) s->now[u / SCHEDULE_WORD_BITS] |= bit(u);
  out->macs = sizer_sizes(s->sizer).v[RES_MACS];
}

void sim_base_close(SimBase *b) {
  sizer_free(((Sized *)b->ctx)->sizer);
  *b = (SimBase){0};
}

/* ---- Requests */

/* How the groups' shares follow one number t of 0..1; at 1 all is whole. */
typedef struct Pattern {
  bool curves;  /* t^bend; else proportions: bend * t, at most all */
  double *bend; /* [n_groups]; proportions: at least 1 */
} Pattern;

/* Exponents of the groups: the base's own, tilted by the resource that is limited. */
static void draw_curves(const SimBase *b, uint64_t seed, uint32_t resource, double *bend) {
  Rng own, tilt;
  rng_seed(&own, seed, UINT64_MAX);
  rng_seed(&tilt, seed, UINT64_MAX - 1 - resource);
  for (int g = 0; g < b->n_groups; g++)
    bend[g] = exp(0.35 * (double)rng_normal(&own) + 0.15 * (double)rng_normal(&tilt));
}

static void draw_proportions(const SimBase *b, Rng *r, double *bend) {
  double least = INFINITY;
  for (int g = 0; g < b->n_groups; g++) {
    bend[g] = exp(0.5 * (double)rng_normal(r));
    least = fmin(least, bend[g]);
  }
  for (int g = 0; g < b->n_groups; g++) bend[g] /= least;
}

static void draw_pattern(const SimBase *b, uint64_t seed, Rng *r, Pattern *out) {
  out->curves = rng_below(r, 2) == 0;
  if (out->curves)
    draw_curves(b, seed, rng_below(r, RESOURCES), out->bend);
  else
    draw_proportions(b, r, out->bend);
}

static int kept(const SimBase *b, const Pattern *p, int g, double t) {
  const double share = p->curves ? pow(t, p->bend[g]) : fmin(1, p->bend[g] * t);
  int n = (int)floor(share * b->size[g] + 1e-9);
  if (n < b->size[g] && b->size[g] >= STEPPED) n -= n % STEP;
  return n < b->least[g] ? b->least[g] : n;
}

static void fill(const SimBase *b, const Pattern *p, double t, uint64_t *units) {
  memset(units, 0, (size_t)b->words * sizeof *units);
  for (int g = 0, first = 0; g < b->n_groups; first += b->size[g++]) {
    const int n = kept(b, p, g, t);
    for (int u = first; u < first + n; u++) units[u / SCHEDULE_WORD_BITS] |= bit(u);
  }
}

/* The widest of the pattern within so many MACs, or the least there is. */
static double search(const SimBase *b, const Pattern *p, double macs, uint64_t *units) {
  double low = 0, high = 1;
  for (int i = 0; i < HALVINGS; i++) {
    const double t = 0.5 * (low + high);
    fill(b, p, t, units);
    if (b->macs_of(b->ctx, 0, units) <= macs)
      low = t;
    else
      high = t;
  }
  fill(b, p, low, units);
  return b->macs_of(b->ctx, 0, units);
}

ScheduleRequest *sim_requests(Arena *a, const SimBase *b, int n, uint64_t seed) {
  ScheduleRequest *v = arena_array(a, (size_t)n, sizeof *v);
  Pattern p = {.bend = arena_array(a, (size_t)b->n_groups, sizeof *p.bend)};
  for (int i = 0; i < n; i++) {
    Rng r;
    rng_seed(&r, seed, (uint64_t)i);
    uint64_t *units = arena_array(a, (size_t)b->words, sizeof *units);
    const double share = WIDEST * pow(10, -DECADES * (double)rng_uniform(&r));
    draw_pattern(b, seed, &r, &p);
    v[i] = (ScheduleRequest){0, search(b, &p, share * b->macs, units), units};
  }
  return v;
}
