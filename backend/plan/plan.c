/* The memory plan: every byte of a model's working memory, input, output and scratch included.
 *
 *   Calls -> spans (who lives when) -> choose (segments) -> boxes and pairs -> pack (offsets) -> MemoryPlan
 *
 * Each level is planned by itself, and in a second order of the calls where one has a lower peak; the plan with the
 * smallest arena wins, the lower level where they are equal. With a limit the lowest level that meets it wins.
 * Kernels never allocate: a call's scratch is an item like any other. Offsets are multiples of the alignment.
 */
#include "backend/plan/plan.h"

#include <string.h>

#include "backend/costs.h"
#include "ir/base/mem.h"

enum { PLAN_ALIGN = 4 };

static int64_t round_up(int64_t n, int64_t align) { return (n + align - 1) / align * align; }

const char *plan_level_name(PlanLevel level) {
  static const char *const names[] = {"least", "whole", "overlap", "rows"};
  return names[level];
}

PlanOptions target_plan(const Target *t) {
  bool bare = strcmp(t->run, "qemu-m") == 0;
  return (PlanOptions){.level = bare ? PLAN_LEAST : PLAN_WHOLE};
}

PlanOptions target_plan_within(const Target *t, int64_t ram, bool input_rows) {
  const int64_t context = (input_rows ? 2 : 1) * (int64_t)t->costs->pointer;
  PlanOptions o = target_plan(t);
  if (ram > 0 || input_rows) o.level = PLAN_LEAST;
  if (ram > 0) o.limit = ram > context ? ram - context : 1;
  o.input_rows = input_rows;
  return o;
}

int32_t plan_input_rows(const Shape *s) {
  if (s->rank < 3 || s->d[0] != 1 || shape_count(s) == 0) return 0;
  return (int32_t)s->d[1];
}

/* -- items, boxes and pairs of a choice -- */

typedef struct Draft {
  const Planner *p;
  const Choice *c;
  PlanLevel level;
  PlanItem *items;
  int n_items, n_storage;
  int32_t *storage; /* by root value; -1: none yet */
  PackPair *pairs;
  int n_pairs;
  int64_t arena, lower_bound, pieces;
} Draft;

static const Segment *segment_of(const Choice *c, int32_t call) {
  for (int32_t i = 0; i < c->n; i++)
    if (call < c->segment[i].first + c->segment[i].n) return &c->segment[i];
  return NULL;
}

/* The item whose bytes item k uses: its share's, or that one's host. */
static const SegItem *bytes_of(const Segment *s, int k) {
  const SegItem *it = &s->item[s->item[k].share];
  return it->host < 0 ? it : &s->item[it->host];
}

/* Values that are born, by the segment that does it: a new storage, or that of the value which they replace. */
static void assign_storage(Draft *d) {
  for (ValId v = 1; v < d->p->g->n_vals; v++) d->storage[v] = -1;
  for (ValId v = 1; v < d->p->g->n_vals; v++)
    if (d->p->span[v].first == -1 && v != d->p->by_rows) d->storage[v] = d->n_storage++;
  for (int32_t i = 0; i < d->c->n; i++) {
    const Segment *s = &d->c->segment[i];
    for (int k = 0; k < s->n_pairs; k++)
      if (s->pair[k].same && !hop_keeps(d->p, d->c->segment, s->pair[k].under))
        d->storage[s->pair[k].over] = d->storage[s->pair[k].under];
    for (int k = 0; k < s->n_items; k++)
      if (s->item[k].val != NO_VAL && s->item[k].share == k && s->item[k].host < 0)
        d->storage[s->item[k].val] = d->n_storage++;
    for (int k = 0; k < s->n_items; k++)
      if (s->item[k].val != NO_VAL) d->storage[s->item[k].val] = d->storage[bytes_of(s, k)->val];
    for (int32_t c = s->first; c < s->first + s->n; c++) {
      ValId out = d->p->root[d->p->calls->v[c].out.val];
      if (d->storage[out] < 0) d->storage[out] = d->n_storage++;
    }
  }
}

static void add_item(Draft *d, PlanItem it) {
  it.offset = -1;
  d->items[d->n_items++] = it;
}

static const SegItem *ring_of(const Choice *c, ValId v) {
  for (int32_t i = 0; i < c->n; i++)
    for (int k = 0; k < c->segment[i].n_items; k++)
      if (c->segment[i].item[k].val == v) return &c->segment[i].item[k];
  return NULL;
}

/* What the first segment keeps for the next window. */
static bool from_first(const Draft *d, const PlanItem *it) {
  const Segment *s = d->c->segment;
  const int32_t end = s->n - 1;
  return hop_keeps(d->p, s, it->val) || (it->rows && it->first <= 0 && it->last == end && !it->slot.rows);
}

/* A whole value lives as long as the segments that touch it. */
static void add_value(Draft *d, ValId v) {
  const Span *a = &d->p->span[v];
  const SegItem *ring = ring_of(d->c, v);
  if (d->storage[v] < 0 && a->bytes == 0) d->storage[v] = d->n_storage++; /* an empty one needs no call */
  PlanItem it = {.val = v, .size = a->bytes, .first = a->first, .last = a->last, .storage = d->storage[v]};
  ASSERT(it.storage >= 0); /* a value that nobody writes is read: the calls are wrong */
  if (ring) {
    it.size = ring->bytes;
    it.rows = ring->rows;
    it.first = ring->first;
    it.last = ring->last;
    it.slot = ring->slot;
  } else {
    const Segment *from = it.first >= 0 ? segment_of(d->c, it.first) : NULL;
    const Segment *to = it.last >= 0 ? segment_of(d->c, it.last) : NULL;
    if (from) it.first = from->first;
    if (to) it.last = to->first + to->n - 1;
  }
  if (d->p->opt.hop && from_first(d, &it)) it.last = (int32_t)d->p->calls->n;
  add_item(d, it);
}

static void add_items(Draft *d) {
  for (ValId v = 1; v < d->p->g->n_vals; v++)
    if (d->p->span[v].first != SPAN_NEVER) add_value(d, v);
  for (int32_t i = 0; i < d->c->n; i++) {
    const Segment *s = &d->c->segment[i];
    d->pieces += s->pieces;
    for (int k = 0; k < s->n_items; k++) {
      const SegItem *it = &s->item[k];
      if (it->val == NO_VAL)
        add_item(d, (PlanItem){.val = NO_VAL,
                               .size = it->bytes,
                               .first = it->first,
                               .last = it->last,
                               .storage = it->host < 0 ? d->n_storage++ : d->storage[bytes_of(s, k)->val],
                               .call = it->call,
                               .slot = it->slot});
    }
    for (int k = 0; k < s->n_pairs; k++)
      if (!s->pair[k].same && !hop_keeps(d->p, d->c->segment, s->pair[k].under))
        d->pairs[d->n_pairs++] =
            (PackPair){d->storage[s->pair[k].over], d->storage[s->pair[k].under], s->pair[k].distance};
  }
}

/* One box per storage, from the first of its items to the last. */
static PackBox *boxes_of(const Draft *d, int64_t align) {
  PackBox *box = mem_array((size_t)d->n_storage, sizeof *box);
  for (int i = 0; i < d->n_items; i++) {
    const PlanItem *it = &d->items[i];
    PackBox *b = &box[it->storage];
    int64_t size = round_up(it->size ? it->size : 1, align);
    if (!b->size) *b = (PackBox){.size = size, .first = it->first, .last = it->last};
    if (size > b->size) b->size = size;
    if (it->first < b->first) b->first = it->first;
    if (it->last > b->last) b->last = it->last;
  }
  return box;
}

/* A draft that needs at least `most` bytes, however it is packed, is not packed: false. */
static bool draft_make(const Planner *p, PlanLevel level, const Choice *c, int64_t most, Draft *d) {
  *d = (Draft){.p = p, .c = c, .level = level};
  d->items = arena_array(p->arena, p->g->n_vals + 2 * (size_t)p->calls->n + 1, sizeof *d->items);
  d->storage = arena_array(p->arena, p->g->n_vals, sizeof *d->storage);
  d->pairs = arena_array(p->arena, (size_t)c->n * SEG_MAX_PAIRS + 1, sizeof *d->pairs);
  assign_storage(d);
  add_items(d);
  PackBox *box = boxes_of(d, p->align);
  d->lower_bound = pack_lower_bound(box, d->n_storage, d->pairs, d->n_pairs);
  const bool can = d->lower_bound < most;
  const int64_t enough = p->within ? p->opt.limit : 0;
  if (can) d->arena = pack_boxes_within(box, d->n_storage, d->pairs, d->n_pairs, enough);
  for (int i = 0; can && i < d->n_items; i++) d->items[i].offset = box[d->items[i].storage].offset;
  mem_free(box);
  return can;
}

/* -- the plan -- */

/* The regions, and each item's place in its own. */
static void spread(Draft *d, MemoryPlan *out) {
  const Planner *p = d->p;
  int64_t *heat = mem_array((size_t)d->n_storage + 1, sizeof *heat), bytes[PLAN_REGIONS_MAX] = {0};
  int32_t *region = mem_array((size_t)d->n_storage + 1, sizeof *region);
  PackBox *box = boxes_of(d, p->align);
  out->n_regions = p->opt.n_regions;
  regions_heat(p, d->storage, d->items, d->n_items, heat);
  regions_spread(&p->opt, box, d->n_storage, d->pairs, d->n_pairs, heat, region, bytes);
  d->arena = 0;
  for (int r = 0; r < out->n_regions; r++) {
    out->regions[r] = (PlanRegion){p->opt.region[r].name, bytes[r]};
    d->arena += bytes[r];
  }
  for (int i = 0; i < d->n_items; i++) {
    d->items[i].region = region[d->items[i].storage];
    d->items[i].offset = box[d->items[i].storage].offset;
  }
  mem_free(heat);
  mem_free(region);
  mem_free(box);
}

int64_t plan_main_bytes(const MemoryPlan *p) {
  for (int r = 0; r < p->n_regions; r++)
    if (!p->regions[r].name) return p->regions[r].bytes;
  return 0;
}

static const PlanItem *find_item(const Draft *d, ValId root) {
  for (int i = 0; i < d->n_items; i++)
    if (d->items[i].val == root) return &d->items[i];
  return NULL;
}

/* Offsets of values (views through their roots) and of scratch, for the emitter. */
static void index_offsets(const Draft *d, Arena *a, MemoryPlan *out) {
  const Planner *p = d->p;
  int64_t *offset = arena_array(a, p->g->n_vals, sizeof *offset);
  int32_t *ring = arena_array(a, p->g->n_vals, sizeof *ring);
  int64_t *scratch = arena_array(a, p->calls->n, sizeof *scratch);
  PlanSlot *slot = arena_array(a, p->g->n_vals, sizeof *slot);
  int32_t *region = arena_array(a, p->g->n_vals, sizeof *region);
  int32_t *scratch_region = arena_array(a, p->calls->n, sizeof *scratch_region);
  PlanSlot *scratch_slot = arena_array(a, p->calls->n, sizeof *scratch_slot);
  for (uint32_t v = 0; v < p->g->n_vals; v++) offset[v] = -1;
  for (uint32_t c = 0; c < p->calls->n; c++) scratch[c] = -1;
  for (int i = 0; i < d->n_items; i++) {
    const PlanItem *it = &d->items[i];
    if (it->val != NO_VAL) {
      offset[it->val] = it->offset;
    } else {
      scratch[it->call] = it->offset;
      scratch_slot[it->call] = it->slot;
      scratch_region[it->call] = it->region;
    }
    if (it->val == NO_VAL && it->size > out->scratch_size) out->scratch_size = it->size;
  }
  for (ValId v = 1; v < p->g->n_vals; v++) {
    offset[v] = offset[p->root[v]];
    const PlanItem *it = find_item(d, p->root[v]);
    ring[v] = it ? it->rows : 0;
    if (it) slot[v] = it->slot;
    if (it) region[v] = it->region;
  }
  out->offset = offset;
  out->ring = ring;
  out->scratch = scratch;
  out->slot = slot;
  out->scratch_slot = scratch_slot;
  out->region = region;
  out->scratch_region = scratch_region;
}

static void index_groups(const Draft *d, Arena *a, MemoryPlan *out) {
  PlanStage *stage = arena_array(a, d->p->calls->n, sizeof *stage);
  out->n_groups = d->c->n;
  out->groups = arena_array(a, (size_t)d->c->n + 1, sizeof *out->groups);
  for (int32_t i = 0; i < d->c->n; i++) {
    const Segment *s = &d->c->segment[i];
    out->groups[i] = (PlanGroup){s->first, s->n, s->steps};
    for (int32_t k = 0; k < s->n; k++) {
      KernelCall *call = &d->p->calls->v[s->first + k];
      stage[s->first + k] = s->stage[k];
      KernelCall form;
      if (s->form[k] && call_rows_form(d->p->g, call, &form)) *call = form;
    }
  }
  out->stage = stage;
}

static void finish(Draft *d, Arena *a, MemoryPlan *out) {
  const Planner *p = d->p;
  out->n_regions = 1;
  out->regions[0] = (PlanRegion){NULL, d->arena};
  if (p->opt.n_regions) spread(d, out);
  out->level = d->level;
  out->arena = d->arena;
  out->lower_bound = d->lower_bound;
  out->pieces = d->pieces;
  out->items = arena_dup(a, d->items, (size_t)d->n_items * sizeof *d->items);
  out->n_items = d->n_items;
  if (p->by_rows != NO_VAL) out->input_rows = plan_input_rows(&graph_val(p->g, p->by_rows)->shape);
  if (p->by_rows != NO_VAL) out->input = d->c->segment[0].feed;
  index_offsets(d, a, out);
  if (p->opt.hop) hop_find(p, d->c->segment, a, out);
  index_groups(d, a, out);
}

/* -- levels and orders -- */

static void planner_init(Planner *p, const Graph *g, Calls *calls, const PlanOptions *o) {
  *p = (Planner){.g = g, .calls = calls, .arena = arena_new(), .align = PLAN_ALIGN, .guests = true};
  if (o) p->opt = *o;
  p->root = arena_array(p->arena, g->n_vals, sizeof *p->root);
  p->span = arena_array(p->arena, g->n_vals, sizeof *p->span);
  p->first_access = arena_array(p->arena, g->n_vals, sizeof *p->first_access);
  for (ValId v = 0; v < g->n_vals; v++) p->first_access[v] = -1;
  p->rows = arena_array(p->arena, (size_t)calls->n + 1, sizeof *p->rows);
  for (ValId v = 1; v < g->n_vals; v++) {
    p->root[v] = value_root(g, v);
    if (!val_is_const(g, v) && dtype_size(g->vals[v].dtype) > (size_t)p->align)
      p->align = (int64_t)dtype_size(g->vals[v].dtype);
  }
  if (p->opt.align) p->align = p->opt.align;
  ASSERT(p->align > 0 && (p->align & (p->align - 1)) == 0);
  if (p->opt.input_rows) p->by_rows = p->root[g->inputs[0]];
  spans_find(p);
}

/* A planner of the same calls in another order, NULL: there is none that is better. */
static Planner *planner_reordered(const Planner *p) {
  int32_t *order = arena_array(p->arena, (size_t)p->calls->n + 1, sizeof *order);
  if (p->by_rows != NO_VAL || p->opt.bands || p->opt.part || !order_find(p, order)) return NULL;
  Planner *q = mem_alloc(sizeof *q);
  Calls *calls = mem_alloc(sizeof *calls);
  *calls = *p->calls;
  calls->v = mem_array(calls->n, sizeof *calls->v);
  for (uint32_t i = 0; i < calls->n; i++) calls->v[i] = p->calls->v[order[i]];
  planner_init(q, p->g, calls, &p->opt);
  return q;
}

static void planner_drop(Planner *q) {
  if (!q) return;
  mem_free(q->calls->v);
  mem_free(q->calls);
  arena_free(q->arena);
  mem_free(q);
}

typedef struct Contest {
  Draft best;
  Choice choice; /* the best one's */
  bool any;
} Contest;

/* A draft is to be preferred that needs less than this: than the best one, where that one exceeds the limit. */
static int64_t to_beat(const Planner *p, const Contest *c) {
  if (!c->any) return p->within ? p->opt.limit + 1 : INT64_MAX;
  return c->best.arena > p->opt.limit ? c->best.arena : 0;
}

static void enter_cut(Planner *p, PlanLevel level, int64_t limit, Contest *c, MemoryPlan *out) {
  Choice choice;
  Draft d;
  choose_segments(p, level, limit, &choice);
  if (choice.peak == INT64_MAX) {
    choice_free(&choice);
    return;
  }
  if (!p->apart && (!out->bound[level] || choice.peak < out->bound[level])) out->bound[level] = choice.peak;
  const int64_t most = to_beat(p, c);
  if (!draft_make(p, level, &choice, most, &d) || d.arena >= most) {
    choice_free(&choice);
    return;
  }
  if (c->any) choice_free(&c->choice);
  *c = (Contest){d, choice, true};
  c->best.c = &c->choice;
}

/* A level's best cut; where it did not pack well, also the one of the least peak, and the one that does not count on
 * overlap. */
static void enter(Planner *p, PlanLevel level, Contest *c, MemoryPlan *out) {
  const int64_t limit = p->opt.limit;
  enter_cut(p, level, limit, c, out);
  if (p->within && (c->any || !out->bound[level])) return;
  if (p->within || (c->any && c->best.arena > limit && out->bound[level] < limit))
    enter_cut(p, level, 0, c, out);
  if (level == PLAN_WHOLE || (c->any && (p->within || c->best.arena <= out->bound[level]))) return;
  p->apart = true;
  enter_cut(p, level, limit, c, out);
  p->apart = false;
}

/* All levels that are asked for, in both orders. */
static void contest(Planner *p, Planner *q, Contest *c, MemoryPlan *out) {
  for (int level = PLAN_WHOLE; level <= PLAN_STREAM && !(p->within && c->any); level++) {
    if (p->opt.level != PLAN_LEAST && p->opt.level != (PlanLevel)level) continue;
    enter(p, (PlanLevel)level, c, out);
    if (q) enter(q, (PlanLevel)level, c, out);
  }
}

static bool plan_with(Planner *p, Arena *a, MemoryPlan *out, Diag *d) {
  Planner *q = planner_reordered(p);
  Contest c = {.any = false};
  contest(p, q, &c, out);
  if (c.any && c.best.p == q) memcpy(p->calls->v, q->calls->v, p->calls->n * sizeof *p->calls->v);
  if (c.any) {
    c.best.p = c.best.p == q ? q : p;
    Planner final = *c.best.p; /* the caller's calls, in the order that won */
    final.calls = p->calls;
    c.best.p = &final;
    finish(&c.best, a, out);
    choice_free(&c.choice);
  }
  planner_drop(q);
  FAIL_IF(!c.any && p->opt.hop, d, NULL,
          "windows cannot overlap by a hop of %d rows: the first layers pad rows, or need all of them, or "
          "the hop is "
          "no multiple of their strides",
          (int)p->opt.hop);
  FAIL_IF(!c.any, d, NULL, "the input cannot be taken row by row: its first layers need all of it");
  FAIL_IF(out->arena > INT32_MAX, d, NULL,
          "the model needs %lld bytes of working memory; at most 2 GiB can be planned",
          (long long)out->arena);
  return true;
}

static bool check_input_rows(const Graph *g, Diag *d) {
  TRY(graph_want_stateless(g, "input row by row", d));
  FAIL_IF(g->n_inputs != 1, d, NULL, "the model has %u inputs; only a single one can be given row by row",
          g->n_inputs);
  char text[160];
  const Shape *s = &graph_val(g, g->inputs[0])->shape;
  shape_format(s, text, sizeof text);
  FAIL_IF(plan_input_rows(s) < 2, d, NULL, "input %s has no rows; want [1, rows, ...]", text);
  return true;
}

bool plan_memory(const Graph *g, Calls *calls, const PlanOptions *o, Arena *a, MemoryPlan *out, Diag *d) {
  Planner p;
  if (o && o->input_rows) TRY(check_input_rows(g, d));
  if (o && o->bands) order_copies_early(g, calls);
  planner_init(&p, g, calls, o);
  *out = (MemoryPlan){.align = p.align};
  bool ok = plan_with(&p, a, out, d);
  arena_free(p.arena);
  return ok;
}

bool plan_fits(const Graph *g, Calls *calls, const PlanOptions *o) {
  Planner p, *q;
  Contest c = {.any = false};
  MemoryPlan out = {0};
  ASSERT(o->limit > 0 && !o->input_rows);
  if (o->bands) order_copies_early(g, calls);
  planner_init(&p, g, calls, o);
  q = planner_reordered(&p);
  p.within = true;
  if (q) q->within = true;
  contest(&p, q, &c, &out);
  if (c.any) choice_free(&c.choice);
  planner_drop(q);
  arena_free(p.arena);
  return c.any;
}

static void walk_time(const Calls *calls, const MemoryPlan *p, int32_t i, int32_t t, PlanVisitor *visit,
                      void *ctx) {
  const PlanGroup *group = &p->groups[i];
  if (i == 0 && p->input_rows) {
    int32_t y0 = plan_rows_done(&p->input, p->input_rows, t - 1);
    int32_t y1 = plan_rows_done(&p->input, p->input_rows, t);
    if (y0 < y1) visit(ctx, i, t, -1, y0, y1);
  }
  for (int32_t c = group->first; c < group->first + group->n; c++) {
    int32_t y0 = plan_rows_done(&p->stage[c], calls->v[c].rows, t - 1);
    int32_t y1 = plan_rows_done(&p->stage[c], calls->v[c].rows, t);
    if (y0 < y1) visit(ctx, i, t, c, y0, y1);
  }
}

void plan_walk(const Calls *calls, const MemoryPlan *p, PlanVisitor *visit, void *ctx) {
  for (int32_t i = 0; i < p->n_groups; i++)
    for (int32_t t = 0; t < p->groups[i].steps; t++) walk_time(calls, p, i, t, visit, ctx);
}

int32_t plan_hop_time(const MemoryPlan *p) { return p->groups[0].steps - p->hop * p->input.step; }

void plan_walk_hop(const Calls *calls, const MemoryPlan *p, PlanVisitor *visit, void *ctx) {
  for (int32_t i = 0; i < p->n_groups; i++)
    for (int32_t t = i ? 0 : plan_hop_time(p); t < p->groups[i].steps; t++)
      walk_time(calls, p, i, t, visit, ctx);
}
