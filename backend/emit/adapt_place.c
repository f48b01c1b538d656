/* Room for adaptation in the arena: see adapt_c.h.
 *
 * Codes that the way back reads are outputs to the planner: they lie whole and live to the end of a run. Then, step by step,
 * gradients take what is free around them, first fit, largest first; behind the plan's end where nothing is:
 *
 *   arena  | kept code ------| (free from the step on that read it last)
 *          | gradient of y --------| from the step that gives it first to the step that made y
 *
 * Steps are counted from 0, the last layer, on.
 */
#include <stdlib.h>

#include "backend/emit/adapt_c.h"

enum { FOR_EVER = 1 << 30 };

/* Bytes [at, at + size) are taken from step `from` to `to`. */
typedef struct Room {
  ValId val;
  int64_t at, size;
  int32_t from, to;
} Room;
typedef struct Rooms {
  Room *v;
  int n;
} Rooms;

int64_t emit_adapt_state_bytes(const AdaptEmit *ad) {
  return (int64_t)sizeof(mf_adapt_state) + 4 * (ad->words + ad->work);
}

static Room *room_of(Rooms *r, ValId v) {
  for (int i = 0; i < r->n; i++)
    if (r->v[i].val == v) return &r->v[i];
  r->v[r->n] = (Room){.val = v, .from = FOR_EVER, .to = -1};
  return &r->v[r->n++];
}

static void room_during(Rooms *r, ValId v, int32_t step) {
  Room *room = room_of(r, v);
  if (step < room->from) room->from = step;
  if (step > room->to) room->to = step;
}

/* -- codes -- */

static void kept_codes(const Emit *e, Rooms *kept) {
  const AdaptEmit *ad = e->adapt;
  kept->v = arena_array(e->arena, (size_t)ad->n_steps * 2 + e->g->n_outputs + 3, sizeof *kept->v);
  kept->n = 0;
  room_during(kept, ad->x, 0);
  room_during(kept, ad->logits, 0);
  for (int i = 0; i < ad->n_steps; i++) {
    const AdaptStep *s = &ad->step[i];
    if (s->active && s->keep_y) room_during(kept, s->y, i + 1);
    if (s->active && s->keep_x && s->dx[0]) room_during(kept, s->x[0], i + 1);
  }
}

/* The graph with kept codes as outputs too; the arena owns its list. */
static Graph with_kept(const Emit *e) {
  Graph g = *e->g;
  Rooms kept;
  kept_codes(e, &kept);
  g.outputs = arena_array(e->arena, (size_t)kept.n + g.n_outputs, sizeof *g.outputs);
  for (uint32_t i = 0; i < g.n_outputs; i++) g.outputs[i] = e->g->outputs[i];
  for (int i = 0; i < kept.n; i++)
    if (!val_is_const(e->g, kept.v[i].val)) g.outputs[g.n_outputs++] = kept.v[i].val;
  return g;
}

/* -- gradients -- */

static void gradients(const Emit *e, Rooms *g) {
  const AdaptEmit *ad = e->adapt;
  g->v = arena_array(e->arena, (size_t)ad->n_steps * 3 + 1, sizeof *g->v);
  g->n = 0;
  for (int i = 0; i < ad->n_steps; i++) {
    const AdaptStep *s = &ad->step[i];
    if (!s->active) continue;
    room_during(g, ad->same[s->y], i + 1);
    for (int j = 0; j < 2; j++)
      if (s->dx[j]) room_during(g, ad->same[s->x[j]], i + 1);
  }
  for (int i = 0; i < g->n; i++) {
    g->v[i].size = 4 * shape_count(&graph_val(e->g, g->v[i].val)->shape);
    if (g->v[i].val == ad->x) g->v[i].from = 0;
  }
}

static int by_size(const void *a, const void *b) {
  const Room *x = a, *y = b;
  if (x->size != y->size) return x->size < y->size ? 1 : -1;
  return x->val < y->val ? -1 : x->val > y->val;
}

/* The lowest place from `at` on that nothing of `taken` holds meanwhile. */
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

static void grow_arena(Emit *e, int64_t bytes) {
  MemoryPlan *p = &e->plan;
  if (bytes <= p->arena) return;
  for (int r = 0; r < p->n_regions; r++)
    if (!p->regions[r].name) p->regions[r].bytes += bytes - p->arena;
  p->arena = bytes;
}

static void place_gradients(Emit *e) {
  AdaptEmit *ad = e->adapt;
  Rooms taken, grad;
  kept_codes(e, &taken);
  for (int i = 0; i < taken.n; i++) {
    Room *t = &taken.v[i];
    t->from = 0;
    t->at = e->plan.offset[t->val];
    t->size = (int64_t)val_bytes(e->g, t->val);
  }
  for (uint32_t i = 0; i < e->g->n_outputs; i++) {
    const ValId v = value_root(e->g, e->g->outputs[i]);
    if (val_is_const(e->g, v)) continue;
    Room *t = room_of(&taken, v);
    *t = (Room){.val = v, .at = e->plan.offset[v], .size = (int64_t)val_bytes(e->g, v), .to = FOR_EVER};
  }
  gradients(e, &grad);
  qsort(grad.v, (size_t)grad.n, sizeof *grad.v, by_size);
  for (ValId v = 0; v < e->g->n_vals; v++) ad->gradient[v] = -1;
  Rooms all = {arena_array(e->arena, (size_t)(taken.n + grad.n) + 1, sizeof *all.v), 0};
  for (int i = 0; i < taken.n; i++) all.v[all.n++] = taken.v[i];
  for (int i = 0; i < grad.n; i++) {
    grad.v[i].at = lowest(&all, &grad.v[i]);
    ad->gradient[grad.v[i].val] = grad.v[i].at;
    all.v[all.n++] = grad.v[i];
    grow_arena(e, grad.v[i].at + grad.v[i].size);
  }
  for (ValId v = 0; v < e->g->n_vals; v++) ad->gradient[v] = ad->gradient[ad->same[v]];
}

/* -- how much of it -- */

static bool try_affines(Emit *e, int n) {
  emit_adapt_choose(e, n);
  const Graph g = with_kept(e);
  TRY(emit_lower_and_plan(e, &g));
  place_gradients(e);
  return true;
}

static int64_t bytes_added(const Emit *e) {
  return emit_adapt_state_bytes(e->adapt) + e->plan.arena - e->adapt->arena_without;
}

static bool fits(const Emit *e) { return !e->opt->adapt_memory || bytes_added(e) <= e->opt->adapt_memory; }

/* The most affines within the memory: more take more. */
static bool most_affines(Emit *e) {
  const int all = e->adapt->n_affines, most = e->opt->adapt_biases;
  int low = 0, high = most && most < all ? most : all;
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

static bool refuse(Emit *e, const char *what) {
  diag_error(e->diag, NULL, "adapt: %s; want %lld bytes or more beside inference, have %lld", what,
             (long long)bytes_added(e), (long long)e->opt->adapt_memory);
  diag_hint(e->diag, "give more memory, or adapt the last layer alone (adapt: {layers: last})");
  return false;
}

bool emit_adapt_plan(Emit *e) {
  AdaptEmit *ad = e->adapt;
  TRY(emit_lower_and_plan(e, e->g));
  FAIL_IF(e->plan.n_regions > 1 || e->plan.input_rows, e->diag, NULL,
          "adapt: working memory in several regions, and an input by rows, do not go together with "
          "adaptation yet");
  ad->arena_without = e->plan.arena;
  TRY(emit_adapt_find(e));
  FAIL_IF(e->opt->adapt == DEVICE_ADAPT_BIAS && ad->n_affines == 0, e->diag, NULL,
          "adapt: no bias but the last layer's is within reach (the way back ends at kernel %s); adapt the "
          "last layer alone",
          ad->ends ? ad->ends : "none");
  TRY(most_affines(e));
  if (!fits(e)) return refuse(e, "the last layer does not fit");
  if (e->opt->adapt == DEVICE_ADAPT_BIAS && ad->chosen == 0)
    return try_affines(e, 1) && refuse(e, "of the biases only the last layer's fit");
  const Hash h = graph_hash(e->g);
  const uint64_t key[4] = {h.lo, h.hi, (uint64_t)ad->words, (uint64_t)ad->chosen};
  ad->content = hash_bytes(key, sizeof key);
  return true;
}
