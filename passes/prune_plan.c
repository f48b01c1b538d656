/* Planning a pruning: greedy removal of what matters least for what it saves.
 *
 *   importance of a chunk (the next `steps` units of a group, least important first; prune_steps.c)
 *   / saving of the chunk in the binding resource (the one that exceeds its limit most)
 *
 * Savings come from the estimates of prune_size.c. Flash, RAM and cycles are asked of the CostModel whenever the
 * estimate has moved by 5 %, and once it says that all limits hold; estimates are then corrected to what was
 * learned. The last batch of removals is halved until no chunk too many is gone. RAM is a maximum: only chunks alive at
 * the peak count; where the estimated peak is not where the target's planner has it, every group is tried out.
 *
 * The last removals are chosen by what is still needed, so plans for two limits nest only if the tighter one
 * starts from the looser one (`start`).
 */
#include "passes/prune.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"
#include "passes/prune_size.h"
#include "passes/prune_steps.h"

#define NO_GROUP UINT32_MAX

typedef struct Removal {
  uint32_t group, n;
} Removal;

typedef struct Planner {
  const Channels *c;
  const PruneOptions *o;
  const PassCtx *ctx;
  Diag *d;
  Arena *arena;
  Sizer *sizer;
  const double *score; /* [n_units] */
  uint32_t *order;     /* [n_units], group after group: units in order of removal */
  uint32_t *gone;      /* [n_groups] units removed, from the front of the group's order */
  uint32_t *floor;     /* [n_groups] units that stay at least */
  uint32_t steps;
  double limit[RES_COUNT]; /* 0: none */
  Sizes now, asked;        /* estimates now, and when the cost was last asked */
  double real[RES_COUNT];  /* what was answered */
  Cost cost;
  Removal *log;
  size_t cap;
  uint32_t n_log;
  bool probing; /* try every group out on the CostModel: its RAM peak is elsewhere than estimated */
} Planner;

static const char *const res_name[RES_COUNT] = {"macs", "params", "flash", "ram", "cycles"};
static const char *const res_unit[RES_COUNT] = {"MACs", "parameters", "bytes", "bytes", "cycles"};

/* ---- cost */

static bool wants_model(const PruneLimits *l) { return l->flash > 0 || l->ram > 0 || l->cycles > 0; }

static void plan_keep(const Planner *p, uint8_t *keep) {
  memset(keep, 1, p->c->n_units);
  for (uint32_t g = 0; g < p->c->n_groups; g++)
    for (uint32_t i = 0; i < p->gone[g]; i++) keep[p->order[p->c->groups[g].first + i]] = 0;
}

/* The cost of the graph as it would be now, built for the purpose. */
static bool cost_now(const Planner *p, Cost *out) {
  PrunePlan plan;
  prune_plan_all(p->c, &plan);
  plan_keep(p, plan.keep);
  Graph *g = prune_apply(p->c, &plan, p->d);
  prune_plan_free(&plan);
  if (!g) return false;
  bool ok = true;
  *out = (Cost){0};
  if (p->ctx->cost) ok = p->ctx->cost->cost(p->ctx->cost->ctx, g, p->o->precision, out, p->d);
  out->macs = graph_macs(g);
  out->params = graph_params(g);
  graph_free(g);
  return ok;
}

static void cost_values(const Cost *c, double v[RES_COUNT]) {
  v[RES_MACS] = (double)c->macs, v[RES_PARAMS] = (double)c->params, v[RES_FLASH] = (double)c->flash;
  v[RES_RAM] = (double)c->ram, v[RES_CYCLES] = (double)c->cycles;
}

static bool ask(Planner *p) {
  TRY(cost_now(p, &p->cost));
  cost_values(&p->cost, p->real);
  p->asked = p->now;
  return true;
}

/* Best guess at resource r now: the last answer, moved as the estimate has moved since. */
static double guess(const Planner *p, int r) {
  if (r == RES_RAM || r == RES_CYCLES)
    return p->asked.v[r] > 0 ? p->real[r] * (p->now.v[r] / p->asked.v[r]) : p->real[r];
  return p->real[r] + (p->now.v[r] - p->asked.v[r]);
}

/* The resource that exceeds its limit by the largest factor, by guess or by the last answer; RES_COUNT: none. */
static int binding(const Planner *p, bool by_answer) {
  int worst = RES_COUNT;
  double most = 1 + 1e-9;
  for (int r = 0; r < RES_COUNT; r++) {
    if (p->limit[r] <= 0) continue;
    double over = (by_answer ? p->real[r] : guess(p, r)) / p->limit[r];
    if (over > most) most = over, worst = r;
  }
  return worst;
}

/* ---- removal */

/* Units to take from group g next: down to a multiple of `steps`; 0 where the rest stays. */
static uint32_t chunk_size(const Planner *p, uint32_t g) {
  uint32_t left = p->c->groups[g].n - p->gone[g];
  uint32_t chunk = left % p->steps ? left % p->steps : p->steps;
  return left >= chunk + p->floor[g] ? chunk : 0;
}

static const uint32_t *next_units(const Planner *p, uint32_t g) {
  return p->order + p->c->groups[g].first + p->gone[g];
}

static void take(Planner *p, uint32_t g, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) sizer_remove(p->sizer, next_units(p, g)[i]);
  p->gone[g] += n;
}

static void put_back(Planner *p, uint32_t g, uint32_t n) {
  p->gone[g] -= n;
  for (uint32_t i = 0; i < n; i++) sizer_restore(p->sizer, next_units(p, g)[i]);
}

static void remove_logged(Planner *p, uint32_t g, uint32_t n) {
  void *log = p->log;
  mem_grow(&log, &p->cap, (size_t)p->n_log + 1, sizeof *p->log);
  p->log = log;
  p->log[p->n_log++] = (Removal){g, n};
  take(p, g, n);
  p->now = sizer_sizes(p->sizer);
}

static void rewind_to(Planner *p, uint32_t n_log) {
  while (p->n_log > n_log) {
    p->n_log--;
    put_back(p, p->log[p->n_log].group, p->log[p->n_log].n);
  }
  p->now = sizer_sizes(p->sizer);
}

/* Bytes, MACs, ... that taking the next chunk of g saves, by estimate. */
static double saving(Planner *p, uint32_t g, uint32_t n, int r) {
  double live = p->now.v[RES_RAM];
  take(p, g, n);
  Sizes z = sizer_sizes(p->sizer);
  double saved = r == RES_RAM ? live - sizer_live(p->sizer, p->now.peak) : p->now.v[r] - z.v[r];
  put_back(p, g, n);
  return saved;
}

/* The same by trial. */
static bool saving_tried(Planner *p, uint32_t g, uint32_t n, int r, double *out) {
  Cost c;
  double v[RES_COUNT];
  take(p, g, n);
  bool ok = cost_now(p, &c);
  put_back(p, g, n);
  cost_values(&c, v);
  *out = p->real[r] - v[r];
  return ok;
}

/* What resource r is to go down by yet, in the estimate's measure. */
static double need(const Planner *p, int r, bool by_trial) {
  double at = guess(p, r);
  if (by_trial || (r != RES_RAM && r != RES_CYCLES)) return at - p->limit[r];
  return p->now.v[r] * (1 - p->limit[r] / at);
}

/* The group whose next chunk costs least for what it saves; saving more than is needed counts for nothing. */
static bool choose_group(Planner *p, int r, bool by_trial, uint32_t *best) {
  double least = INFINITY, wanted = need(p, r, by_trial);
  *best = NO_GROUP;
  for (uint32_t g = 0; g < p->c->n_groups; g++) {
    uint32_t n = chunk_size(p, g);
    double saved = 0, score = 0;
    if (n == 0) continue;
    if (by_trial)
      TRY(saving_tried(p, g, n, r, &saved));
    else
      saved = saving(p, g, n, r);
    if (!(saved > 0)) continue;
    if (saved > wanted) saved = wanted;
    for (uint32_t i = 0; i < n; i++) score += p->score[next_units(p, g)[i]];
    if (score / saved < least) least = score / saved, *best = g;
  }
  p->now = sizer_sizes(p->sizer);
  return true;
}

/* One removal for resource r; *done when nothing is left that would help. */
static bool step(Planner *p, int r, bool *done) {
  uint32_t g = NO_GROUP;
  bool modelled = r >= RES_FLASH;
  if (!p->probing || r != RES_RAM) TRY(choose_group(p, r, false, &g));
  if (g == NO_GROUP && modelled) {
    if (!p->probing) TRY(ask(p)); /* trials are compared with what is now */
    TRY(choose_group(p, r, true, &g));
  }
  *done = g == NO_GROUP;
  if (*done) return true;
  remove_logged(p, g, chunk_size(p, g));
  return p->probing ? ask(p) : true;
}

/* After an answer: did RAM go down as estimated? If not by a quarter of it, the peak is elsewhere. */
static void judge_ram(Planner *p, double real_before, const Sizes *before) {
  double expected = real_before * (1 - p->now.v[RES_RAM] / before->v[RES_RAM]);
  if (expected > 0 && real_before - p->real[RES_RAM] < expected / 4) p->probing = true;
}

static bool moved(const Planner *p, int r) { return p->now.v[r] < 0.95 * p->asked.v[r]; }

/* Fewest removals of the log, beyond `bad`, with which all limits hold. */
static bool trim(Planner *p, uint32_t bad) {
  uint32_t good = p->n_log;
  Removal *log = p->log;
  Removal *copy = arena_dup(p->arena, log, p->n_log * sizeof *log);
  while (good > bad + 1) {
    uint32_t mid = bad + (good - bad) / 2;
    if (p->n_log > mid) rewind_to(p, mid);
    while (p->n_log < mid) remove_logged(p, copy[p->n_log].group, copy[p->n_log].n);
    TRY(ask(p));
    if (binding(p, true) == RES_COUNT)
      good = mid;
    else
      bad = mid;
  }
  rewind_to(p, p->n_log < good ? p->n_log : good);
  while (p->n_log < good) remove_logged(p, copy[p->n_log].group, copy[p->n_log].n);
  return ask(p);
}

static bool plan_greedy(Planner *p, bool *met) {
  bool modelled = wants_model(&p->o->limits), done = false;
  uint32_t bad = 0; /* removals that are not enough, known by an answer */
  *met = binding(p, true) == RES_COUNT;
  if (*met) return true;
  while (!done) {
    int r = binding(p, false);
    if (r != RES_COUNT) TRY(step(p, r, &done));
    if (!done && r != RES_COUNT && !(modelled && moved(p, r))) continue;
    double ram = p->real[RES_RAM];
    Sizes before = p->asked;
    TRY(ask(p));
    if (p->limit[RES_RAM] > 0 && !p->probing) judge_ram(p, ram, &before);
    *met = binding(p, true) == RES_COUNT;
    if (*met) return trim(p, bad);
    bad = p->n_log;
  }
  return true;
}

/* ---- the same share everywhere, and given widths */

static void set_kept(Planner *p, uint32_t g, uint32_t kept) {
  uint32_t have = p->c->groups[g].n - p->gone[g];
  if (kept < have) take(p, g, have - kept);
  if (kept > have) put_back(p, g, kept - have);
}

static void set_share(Planner *p, double share) {
  for (uint32_t g = 0; g < p->c->n_groups; g++) {
    uint32_t n = p->c->groups[g].n, step = p->steps;
    uint32_t kept = (uint32_t)(share * n / step + 0.5) * step;
    if (kept < p->floor[g]) kept = p->floor[g];
    set_kept(p, g, kept > n ? n : kept);
  }
  p->now = sizer_sizes(p->sizer);
}

static bool plan_uniform(Planner *p, bool *met) {
  uint32_t good = 0, bad = 1024; /* shares in 1/1024 */
  *met = binding(p, true) == RES_COUNT;
  if (*met) return true;
  while (bad > good + 1) {
    uint32_t mid = good + (bad - good) / 2;
    set_share(p, mid / 1024.0);
    TRY(ask(p));
    if (binding(p, true) == RES_COUNT)
      good = mid;
    else
      bad = mid;
  }
  set_share(p, good / 1024.0);
  TRY(ask(p));
  *met = binding(p, true) == RES_COUNT;
  return true;
}

static bool plan_widths(Planner *p, bool *met) {
  const char *at = p->o->widths;
  for (uint32_t g = 0; g < p->c->n_groups; g++) {
    char *end;
    long kept = strtol(at, &end, 10);
    FAIL_IF(end == at, p->d, NULL, "widths=%s: %u numbers, want %u, one for each group of channels",
            p->o->widths, g, p->c->n_groups);
    const ChanGroup *gr = &p->c->groups[g];
    FAIL_IF(kept < (long)gr->least || kept > (long)gr->n, p->d, NULL,
            "widths=%s: group %u (\"%s\") is to keep %ld units, want %u to %u", p->o->widths, g, gr->name,
            kept, gr->least, gr->n);
    set_kept(p, g, (uint32_t)kept);
    at = *end == '/' ? end + 1 : end;
  }
  FAIL_IF(*at, p->d, NULL, "widths=%s: more than %u numbers, one for each group of channels", p->o->widths,
          p->c->n_groups);
  p->now = sizer_sizes(p->sizer);
  *met = true;
  return ask(p);
}

/* ---- setting up */

typedef struct Ranked {
  uint32_t unit;
  bool stays; /* in the looser plan */
  double score;
} Ranked;

static int ranked_compare(const void *pa, const void *pb) {
  const Ranked *a = pa, *b = pb;
  if (a->stays != b->stays) return a->stays ? 1 : -1;
  if (a->score != b->score) return a->score < b->score ? -1 : 1;
  return a->unit < b->unit ? -1 : a->unit > b->unit;
}

static void order_units(Planner *p, const PrunePlan *start) {
  p->order = arena_array(p->arena, p->c->n_units, sizeof *p->order);
  for (uint32_t g = 0; g < p->c->n_groups; g++) {
    const ChanGroup *gr = &p->c->groups[g];
    Ranked *r = mem_array(gr->n, sizeof *r);
    for (uint32_t i = 0; i < gr->n; i++) {
      uint32_t u = gr->first + i;
      r[i] = (Ranked){u, !start || start->keep[u], p->score[u]};
    }
    qsort(r, gr->n, sizeof *r, ranked_compare);
    for (uint32_t i = 0; i < gr->n; i++) p->order[gr->first + i] = r[i].unit;
    mem_free(r);
  }
}

static void set_floors(Planner *p) {
  for (uint32_t g = 0; g < p->c->n_groups; g++) {
    uint32_t n = p->c->groups[g].n, least = (uint32_t)ceil(p->o->min_share * n - 1e-9);
    if (least < p->o->least) least = p->o->least;
    if (least < p->c->groups[g].least) least = p->c->groups[g].least;
    p->floor[g] = least < n ? least : n;
  }
}

static void set_limits(Planner *p, const Cost *before) {
  const PruneLimits *l = &p->o->limits;
  p->limit[RES_MACS] = l->macs > 1 ? l->macs : l->macs * (double)before->macs;
  p->limit[RES_PARAMS] = l->params > 1 ? l->params : l->params * (double)before->params;
  p->limit[RES_FLASH] = (double)l->flash;
  p->limit[RES_RAM] = (double)l->ram;
  p->limit[RES_CYCLES] = (double)l->cycles;
}

static bool check_request(const Channels *c, const Blob *importance, const PruneOptions *o,
                          const PassCtx *ctx, const PrunePlan *start, Diag *d) {
  FAIL_IF(blob_size(importance) != c->n_units * sizeof(double), d, NULL,
          "the importance has %zu scores, but the graph has %u units", blob_size(importance) / sizeof(double),
          c->n_units);
  FAIL_IF(start && (start->n_units != c->n_units || start->n_groups != c->n_groups), d, NULL,
          "the plan to start from has %u units, but the graph has %u", start->n_units, c->n_units);
  if (wants_model(&o->limits) && !ctx->cost) {
    diag_error(d, NULL, "prune: limits on flash, ram or cycles are those of a target, and there is none");
    diag_hint(d, "name one (--target, --board), or limit macs or params");
    return false;
  }
  return true;
}

static bool planner_begin(Planner *p, const Blob *importance, const PrunePlan *start, PrunePlan *out) {
  uint32_t n = p->c->n_groups;
  p->arena = arena_new();
  p->sizer = sizer_new(p->c, p->o->precision);
  p->gone = arena_array(p->arena, n, sizeof *p->gone);
  p->floor = arena_array(p->arena, n, sizeof *p->floor);
  p->score = blob_data(importance);
  TRY(prune_steps(p->c, p->o, p->ctx, &p->steps, p->d));
  order_units(p, start);
  set_floors(p);
  p->now = sizer_sizes(p->sizer);
  TRY(ask(p));
  out->before = p->cost;
  set_limits(p, &p->cost);
  for (uint32_t g = 0; start && g < n; g++) take(p, g, start->size[g] - start->kept[g]);
  p->now = sizer_sizes(p->sizer);
  return start ? ask(p) : true;
}

void prune_plan_missed(PrunePlan *p, const double *limit) {
  double v[RES_COUNT], most = 1 + 1e-9;
  int worst = RES_COUNT;
  cost_values(&p->after, v);
  for (int r = 0; r < RES_COUNT; r++)
    if (limit[r] > 0 && v[r] / limit[r] > most) most = v[r] / limit[r], worst = r;
  if (worst == RES_COUNT) return;
  snprintf(p->missed, sizeof p->missed, "%s: at least %.0f %s, want at most %.0f", res_name[worst], v[worst],
           res_unit[worst], limit[worst]);
}

static void planner_end(Planner *p, bool met, PrunePlan *out) {
  plan_keep(p, out->keep);
  for (uint32_t g = 0; g < p->c->n_groups; g++) out->kept[g] = out->size[g] - p->gone[g];
  out->after = p->cost;
  out->met = met;
  out->steps = p->steps;
  if (!met) prune_plan_missed(out, p->limit);
}

bool prune_plan(const Channels *c, const Blob *importance, const PruneOptions *o, const PassCtx *ctx,
                const PrunePlan *start, PrunePlan *out, Diag *d) {
  prune_plan_all(c, out);
  TRY(check_request(c, importance, o, ctx, start, d));
  Planner p = {.c = c, .o = o, .ctx = ctx, .d = d};
  bool met = false, ok = planner_begin(&p, importance, start, out);
  if (ok)
    ok = o->widths ? plan_widths(&p, &met) : o->uniform ? plan_uniform(&p, &met) : plan_greedy(&p, &met);
  if (ok) planner_end(&p, met, out);
  sizer_free(p.sizer);
  arena_free(p.arena);
  mem_free(p.log);
  return ok;
}
