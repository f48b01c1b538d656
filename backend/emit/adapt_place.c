/* Room for adaptation in the arena: see adapt_c.h.
 *
 * The forward pass has its plan, in which only features, logits and codes that gains need live to the end of a run. Masks and
 * gradients take what is free around what the plan holds, first fit in several orders, behind the plan's end where nothing is:
 *
 *   time   0 ....... calls of the run ....... n | n + 1: step 0 | n + 2: step 1 ...
 *   arena  | value |  | value |   | logits      |               |
 *                | mask of a layer -------------|---------------| to the layer's step; before it what an adapter holds
 *                                               | gradient of y | from the step that gives it first to the step that made y
 *
 * Layers that take turns (PlanGroup) are one piece of time. Step 0 is the last layer's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/costs.h"
#include "backend/emit/adapt_c.h"
#include "ir/base/rng.h"

enum { FOR_EVER = 1 << 30, ORDERS = 5, SEARCH = 2000 };

/* Bytes [at, at + size) are taken from time `from` to `to`. */
typedef struct Room {
  ValId val;       /* whose gradient; NO_VAL */
  AdaptStep *step; /* whose mask; NULL */
  int64_t at, size;
  int32_t from, to;
} Room;
typedef struct Rooms {
  Room *v;
  int n;
} Rooms;

int64_t emit_adapt_state_bytes(const AdaptEmit *ad) {
  return (int64_t)sizeof(mf_adapt_state) + 4 * (ad->words + ad->most + ad->work);
}

int64_t emit_adapt_cycles(const Emit *e) {
  return (int64_t)(plan_cycles(e->target->costs, e->g, &e->calls, &e->plan) + 0.5);
}

static int32_t step_time(const Emit *e, int step) { return (int32_t)e->calls.n + 1 + step; }

static Room *room_of(Rooms *r, ValId v) {
  for (int i = 0; i < r->n; i++)
    if (r->v[i].val == v) return &r->v[i];
  r->v[r->n] = (Room){.val = v, .from = FOR_EVER, .to = -1};
  return &r->v[r->n++];
}

static void room_during(Rooms *r, ValId v, int32_t time) {
  Room *room = room_of(r, v);
  if (time < room->from) room->from = time;
  if (time > room->to) room->to = time;
}

/* -- what the run has -- */

/* Codes that the way back reads, and when last. */
static Rooms kept_codes(const Emit *e) {
  const AdaptEmit *ad = e->adapt;
  Rooms kept = {arena_array(e->arena, (size_t)ad->n_steps * 2 + 2, sizeof *kept.v), 0};
  room_during(&kept, ad->x, step_time(e, 0));
  room_during(&kept, ad->logits, step_time(e, 0));
  for (int i = 0; i < ad->n_steps; i++) {
    const AdaptStep *s = &ad->step[i];
    if (s->keep_y) room_during(&kept, s->y, step_time(e, i + 1));
    if (s->learns) room_during(&kept, s->x[0], step_time(e, i + 1));
  }
  return kept;
}

/* The graph with kept codes as outputs too: to the planner they live to the end of a run. The arena owns its list. */
static Graph with_kept(const Emit *e) {
  Graph g = *e->g;
  const Rooms kept = kept_codes(e);
  g.outputs = arena_array(e->arena, (size_t)kept.n + g.n_outputs, sizeof *g.outputs);
  for (uint32_t i = 0; i < g.n_outputs; i++) g.outputs[i] = e->g->outputs[i];
  for (int i = 0; i < kept.n; i++)
    if (!val_is_const(e->g, kept.v[i].val)) g.outputs[g.n_outputs++] = kept.v[i].val;
  return g;
}

static bool is_output(const Graph *g, ValId root) {
  for (uint32_t i = 0; i < g->n_outputs; i++)
    if (value_root(g, g->outputs[i]) == root) return true;
  return false;
}

/* The piece of time that a call is in: the first or last call of its group. */
static int32_t group_bound(const MemoryPlan *p, int32_t call, bool last) {
  for (int i = 0; i < p->n_groups; i++) {
    const PlanGroup *g = &p->groups[i];
    if (call >= g->first && call < g->first + g->n) return last ? g->first + g->n - 1 : g->first;
  }
  return call;
}

static Rooms taken_by_run(const Emit *e, size_t more) {
  const MemoryPlan *p = &e->plan;
  Rooms kept = kept_codes(e), taken = {arena_array(e->arena, (size_t)p->n_items + more, sizeof *taken.v), 0};
  for (int i = 0; i < p->n_items; i++) {
    const PlanItem *it = &p->items[i];
    Room r = {
        .val = NO_VAL, .at = it->offset, .size = it->slot.rows ? it->slot.rows * it->slot.row : it->size};
    r.from = it->first < 0 ? 0 : group_bound(p, it->first, false);
    r.to = group_bound(p, it->last, true);
    if (it->last >= (int32_t)e->calls.n)
      r.to = is_output(e->g, it->val) ? FOR_EVER : room_of(&kept, it->val)->to;
    taken.v[taken.n++] = r;
  }
  return taken;
}

/* -- what the way back has -- */

static int64_t gradient_bytes(const Emit *e, ValId v) {
  const int64_t n = emit_adapt_elements(e, v);
  return n + n / emit_adapt_channels(e, v);
}

static Rooms wanted(Emit *e) {
  AdaptEmit *ad = e->adapt;
  Rooms w = {arena_array(e->arena, (size_t)ad->n_steps * 4 + 1, sizeof *w.v), 0};
  for (int i = 0; i < ad->n_steps; i++) {
    const AdaptStep *s = &ad->step[i];
    if (!s->active) continue;
    room_during(&w, ad->same[s->y], step_time(e, i + 1));
    for (int j = 0; j < 2; j++)
      if (s->dx[j]) room_during(&w, ad->same[s->x[j]], step_time(e, i + 1));
    if (s->y == ad->x) room_during(&w, ad->same[s->y], step_time(e, 0));
  }
  for (int i = 0; i < w.n; i++) w.v[i].size = gradient_bytes(e, w.v[i].val);
  for (int i = 0; i < ad->n_steps; i++) {
    AdaptStep *s = &ad->step[i];
    if (s->held + s->bits == 0) continue;
    w.v[w.n++] = (Room){.val = NO_VAL,
                        .step = s,
                        .size = s->held + s->bits,
                        .from = group_bound(&e->plan, emit_adapt_call(e, s), false),
                        .to = step_time(e, i + 1)};
  }
  return w;
}

/* -- places -- */

static int by_size(const void *a, const void *b) {
  const Room *x = a, *y = b;
  if (x->size != y->size) return x->size < y->size ? 1 : -1;
  if (x->from != y->from) return x->from - y->from;
  return x->val < y->val ? -1 : x->val > y->val;
}

/* Masks before gradients, and the other way about. */
static int masks_first(const void *a, const void *b) {
  const Room *x = a, *y = b;
  if (!x->step != !y->step) return x->step ? -1 : 1;
  return by_size(a, b);
}
static int masks_last(const void *a, const void *b) {
  const Room *x = a, *y = b;
  if (!x->step != !y->step) return x->step ? 1 : -1;
  return by_size(a, b);
}
static int by_time(const void *a, const void *b) {
  const Room *x = a, *y = b;
  return x->from != y->from ? x->from - y->from : by_size(a, b);
}
static int by_end(const void *a, const void *b) {
  const Room *x = a, *y = b;
  return x->to != y->to ? y->to - x->to : by_size(a, b);
}

/* The lowest place that nothing of `taken` holds meanwhile. */
static int64_t lowest(const Rooms *taken, const Room *r) {
  int64_t at = 0;
  for (int i = 0; i < taken->n; i++) {
    const Room *t = &taken->v[i];
    if (t->from > r->to || t->to < r->from || t->at >= at + r->size || t->at + t->size <= at) continue;
    at = (t->at + t->size + 3) / 4 * 4;
    i = -1; /* from the beginning: an earlier one may lie here */
  }
  return at;
}

/* In the order that they stand in, beside those that are taken; returns the end. */
static int64_t place_rooms(Rooms *taken, Rooms *w) {
  const int n = taken->n;
  int64_t end = 0;
  for (int i = 0; i < w->n; i++) {
    Room *r = &w->v[i];
    r->at = lowest(taken, r);
    taken->v[taken->n++] = *r;
    if (r->at + r->size > end) end = r->at + r->size;
  }
  taken->n = n;
  return end;
}

/* From the best of some orders on, a room is moved to another place in the order, again and again; what is no worse stays. Less
 * than what the run takes is no gain. */
static int64_t place_best(Emit *e, Rooms *taken, Rooms *w) {
  static int (*const orders[])(const void *, const void *) = {by_size, masks_first, masks_last, by_time,
                                                              by_end};
  Room *best = arena_array(e->arena, (size_t)w->n + 1, sizeof *best);
  int64_t least = INT64_MAX;
  Rng r;
  rng_seed(&r, 1, 1);
  for (int i = 0; i < ORDERS + SEARCH && w->n && least > e->plan.arena; i++) {
    if (i < ORDERS) {
      qsort(w->v, (size_t)w->n, sizeof *w->v, orders[i]);
    } else {
      memcpy(w->v, best, (size_t)w->n * sizeof *best);
      const uint32_t from = (uint32_t)rng_below(&r, (uint32_t)w->n),
                     to = (uint32_t)rng_below(&r, (uint32_t)w->n);
      const Room moved = w->v[from];
      memmove(w->v + from, w->v + from + 1, ((size_t)w->n - 1 - from) * sizeof moved);
      memmove(w->v + to + 1, w->v + to, ((size_t)w->n - 1 - to) * sizeof moved);
      w->v[to] = moved;
    }
    const int64_t end = place_rooms(taken, w);
    if (end > least) continue;
    least = end;
    memcpy(best, w->v, (size_t)w->n * sizeof *best);
  }
  if (w->n) memcpy(w->v, best, (size_t)w->n * sizeof *best);
  return w->n ? least : 0;
}

static void grow_arena(Emit *e, int64_t bytes) {
  MemoryPlan *p = &e->plan;
  bytes = (bytes + p->align - 1) / p->align * p->align;
  if (bytes <= p->arena) return;
  for (int r = 0; r < p->n_regions; r++)
    if (!p->regions[r].name) p->regions[r].bytes += bytes - p->arena;
  p->arena = bytes;
}

static void place_way_back(Emit *e) {
  AdaptEmit *ad = e->adapt;
  Rooms w = wanted(e), taken = taken_by_run(e, (size_t)w.n + 1);
  grow_arena(e, place_best(e, &taken, &w));
  for (ValId v = 0; v < e->g->n_vals; v++) ad->gradient[v] = -1;
  for (int i = 0; i < w.n; i++) {
    if (w.v[i].step)
      w.v[i].step->at = w.v[i].at;
    else
      ad->gradient[w.v[i].val] = w.v[i].at;
  }
  for (ValId v = 0; v < e->g->n_vals; v++) ad->gradient[v] = ad->gradient[ad->same[v]];
}

/* -- how much of it -- */

static bool try_affines(Emit *e, int n) {
  emit_adapt_choose(e, n);
  const Graph g = with_kept(e);
  TRY(emit_lower_and_plan(e, &g));
  place_way_back(e);
  return true;
}

static int64_t bytes_added(const Emit *e) {
  return emit_adapt_state_bytes(e->adapt) + e->plan.arena - e->adapt->arena_without;
}

static bool fits(const Emit *e) { return !e->opt->adapt_memory || bytes_added(e) <= e->opt->adapt_memory; }

/* How many affines there are to be at most. */
static int affines_wanted(const Emit *e) {
  const int all = e->adapt->n_affines, most = e->opt->adapt_biases;
  return most && most < all ? most : all;
}

/* The most affines within the memory: more take more. */
static bool most_of_plan(Emit *e) {
  int low = 0, high = affines_wanted(e);
  TRY(try_affines(e, high));
  if (fits(e)) return true;
  while (high - low > 1) {
    const int mid = (low + high) / 2;
    TRY(try_affines(e, mid));
    if (fits(e))
      low = mid;
    else
      high = mid;
  }
  return try_affines(e, low);
}

/* Where not all fit, layers that the plan made whole, since inference's peak is elsewhere, leave more room row by row. */
static bool most_affines(Emit *e) {
  TRY(most_of_plan(e));
  const int n = e->adapt->chosen;
  if (n == affines_wanted(e) || e->plan_options.turns) return true;
  e->plan_options.turns = e->adapt->turns = true;
  TRY(most_of_plan(e));
  if (fits(e) && e->adapt->chosen > n) return true;
  e->plan_options.turns = e->adapt->turns = false;
  return try_affines(e, n);
}

static void refuse(const Emit *e, const char *what) {
  diag_error(e->diag, NULL, "adapt: %s; want %lld bytes or more beside inference, have %lld", what,
             (long long)bytes_added(e), (long long)e->opt->adapt_memory);
}

/* Where the last layer alone would fit. */
static bool refuse_biases(Emit *e) {
  char rank[32] = "";
  refuse(e, "of the biases only the last layer's fit");
  if (e->adapt->rank > 1) snprintf(rank, sizeof rank, " a rank below %d,", e->adapt->rank);
  diag_hint(e->diag, "give more memory,%s%s or adapt the last layer alone (adapt: {layers: last})", rank,
            e->opt->adapt == DEVICE_ADAPT_BIAS ? "" : " adapt biases (adapt: {layers: bias}),");
  return false;
}

static bool refuse_alone(const Emit *e) {
  const char *ends = e->adapt->ends;
  diag_error(e->diag, NULL, "adapt: no bias but the last layer's is within reach%s%s%s",
             ends ? " (the way back ends at kernel " : ": no int8 layer before it has one", ends ? ends : "",
             ends ? ")" : "");
  diag_hint(e->diag, "adapt the last layer alone (adapt: {layers: last})");
  return false;
}

/* What a state's words mean, beside their number: of adapters signs and units too. */
static Hash content(const Emit *e) {
  const AdaptEmit *ad = e->adapt;
  const Hash h = graph_hash(e->g);
  const uint64_t key[5] = {h.lo, h.hi, (uint64_t)ad->words, (uint64_t)ad->chosen,
                           (uint64_t)(ad->gains + 2 * ad->rank)};
  if (!ad->rank) return hash_bytes(key, sizeof key);
  Hasher *all = hasher_new();
  hasher_bytes(all, key, sizeof key);
  for (int i = 0; i < ad->n_steps; i++) {
    const int64_t c = emit_adapt_channels(e, ad->step[i].y);
    int fit, down;
    if (ad->step[i].adapter < 0) continue;
    emit_adapt_shifts(c, &fit, &down);
    hasher_u64(all, (uint64_t)fit);
    hasher_u64(all, (uint64_t)down);
    hasher_bytes(all, emit_adapt_signs(e->arena, c, ad->rank), (size_t)(c * ad->rank));
  }
  return hasher_done(all);
}

bool emit_adapt_plan(Emit *e) {
  AdaptEmit *ad = e->adapt;
  TRY(emit_lower_and_plan(e, e->g));
  FAIL_IF(e->plan.n_regions > 1 || e->plan.input_rows, e->diag, NULL,
          "adapt: working memory in several regions, and an input by rows, do not go together with "
          "adaptation yet");
  ad->arena_without = e->plan.arena;
  TRY(emit_adapt_find(e));
  if (e->opt->adapt != DEVICE_ADAPT_LAST && ad->n_affines == 0) return refuse_alone(e);
  TRY(most_affines(e));
  if (!fits(e)) {
    refuse(e, "the last layer does not fit");
    diag_hint(e->diag, "give more memory");
    return false;
  }
  if (e->opt->adapt != DEVICE_ADAPT_LAST && ad->chosen == 0) return try_affines(e, 1) && refuse_biases(e);
  ad->content = content(e);
  return true;
}
