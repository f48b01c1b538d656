/* Order of the calls: the one with the least peak of whole tensors.
 *
 * A set of calls that have run (closed under what they need) says which values are alive, however it came about: so the
 * best way to each such set is found from those with one call less. Exact while no level has more than BEAM sets, which
 * is so where the graph is narrow; beyond, the BEAM best of a level are kept: a search by beam. Calls that write one
 * value keep their order. The order that was there stays unless another one is better.
 * Source: dynamic programming over downsets as in Ahn et al. 2020 (arXiv:2003.02369), with a beam.
 */
#include <string.h>

#include "backend/plan/plan.h"
#include "ir/base/mem.h"

enum { WORDS = 4, CALLS_MAX = 64 * WORDS, BEAM = 256 };

typedef struct Set {
  uint64_t bit[WORDS];
} Set;

typedef struct State {
  Set done;
  int64_t live, peak;
  int32_t from, call; /* the state of one call less, and the call that was added */
} State;

typedef struct Orderer {
  const Planner *p;
  int32_t n;
  Set *needs;        /* by call: what must have run */
  Set *readers;      /* by root value: calls that read or write it */
  State **level;     /* by number of calls done */
  int32_t *n_states; /* of each level */
} Orderer;

static bool has(const Set *s, int32_t c) { return s->bit[c / 64] >> (c % 64) & 1; }
static void add(Set *s, int32_t c) { s->bit[c / 64] |= (uint64_t)1 << (c % 64); }
static bool contains(const Set *s, const Set *part) {
  for (int i = 0; i < WORDS; i++)
    if (part->bit[i] & ~s->bit[i]) return false;
  return true;
}

static ValId touched(const Planner *p, int32_t c, int i) {
  const KernelCall *k = &p->calls->v[c];
  return p->root[i < k->n_in ? k->in[i].val : k->out.val];
}

static void find_needs(Orderer *o) {
  for (int32_t c = 0; c < o->n; c++)
    for (int i = 0; i <= o->p->calls->v[c].n_in; i++) add(&o->readers[touched(o->p, c, i)], c);
  for (int32_t c = 0; c < o->n; c++)
    for (int32_t b = 0; b < c; b++) {
      ValId out_b = touched(o->p, b, CALL_MAX_IN + 1), out_c = touched(o->p, c, CALL_MAX_IN + 1);
      for (int i = 0; i <= o->p->calls->v[c].n_in; i++)
        if (touched(o->p, c, i) == out_b) add(&o->needs[c], b);
      for (int i = 0; i <= o->p->calls->v[b].n_in; i++)
        if (touched(o->p, b, i) == out_c) add(&o->needs[c], b);
    }
}

/* Whether v dies with call c when the calls of `done` have run. */
static bool dies_at(const Orderer *o, const Set *done, ValId v, int32_t c) {
  Set after = *done;
  add(&after, c);
  return o->p->span[v].last < o->n && contains(&after, &o->readers[v]);
}

static State after(const Orderer *o, const State *s, int32_t c) {
  const KernelCall *k = &o->p->calls->v[c];
  State t = {.done = s->done, .live = s->live, .call = c};
  ValId out = o->p->root[k->out.val], seen[CALL_MAX_IN];
  bool born = o->p->span[out].first >= 0;
  for (int32_t b = 0; b < o->n && born; b++) born = !(has(&s->done, b) && has(&o->readers[out], b));
  int64_t dead = 0, now = born ? o->p->span[out].bytes : 0;
  for (int i = 0; i < k->n_in; i++) {
    ValId v = seen[i] = o->p->root[k->in[i].val];
    bool again = o->p->span[v].first == SPAN_NEVER || v == out;
    for (int j = 0; j < i; j++) again |= seen[j] == v;
    if (again || !dies_at(o, &s->done, v, c)) continue;
    dead += o->p->span[v].bytes;
    if (i < 2 && k->kernel->in_place & (1 << i) && now == o->p->span[v].bytes) t.live -= now, dead -= now;
  }
  int64_t high = t.live + now;
  t.peak = high > s->peak ? high : s->peak;
  t.live = high - dead;
  if (born && dies_at(o, &s->done, out, c)) t.live -= now;
  add(&t.done, c);
  return t;
}

static bool better(const State *a, const State *b) {
  return a->peak < b->peak || (a->peak == b->peak && a->live < b->live);
}

/* Keep the state, unless the set is there already by a better way, or the level is full of better ones. */
static void keep(Orderer *o, int32_t level, const State *s) {
  State *v = o->level[level];
  int32_t n = o->n_states[level], at = n;
  for (int32_t i = 0; i < n; i++)
    if (memcmp(&v[i].done, &s->done, sizeof s->done) == 0) {
      if (better(s, &v[i])) v[i] = *s;
      return;
    }
  if (n == BEAM) {
    for (int32_t i = at = 0; i < n; i++)
      if (better(&v[at], &v[i])) at = i;
    if (!better(s, &v[at])) return;
  } else {
    o->n_states[level]++;
  }
  v[at] = *s;
}

static void expand(Orderer *o, int32_t level) {
  for (int32_t i = 0; i < o->n_states[level]; i++)
    for (int32_t c = 0; c < o->n; c++) {
      const State *s = &o->level[level][i];
      if (has(&s->done, c) || !contains(&s->done, &o->needs[c])) continue;
      State t = after(o, s, c);
      t.from = i;
      keep(o, level + 1, &t);
    }
}

static int64_t peak_as_is(const Orderer *o, const State *begin) {
  State s = *begin;
  for (int32_t c = 0; c < o->n; c++) s = after(o, &s, c);
  return s.peak;
}

static bool search(Orderer *o, int32_t *order) {
  State begin = {.from = -1};
  for (ValId v = 1; v < o->p->g->n_vals; v++)
    if (o->p->span[v].first == -1) begin.live += o->p->span[v].bytes;
  begin.peak = begin.live;
  for (int32_t k = 0; k <= o->n; k++) o->level[k] = mem_array(BEAM, sizeof(State));
  o->level[0][0] = begin;
  o->n_states[0] = 1;
  for (int32_t k = 0; k < o->n; k++) expand(o, k);
  const State *s = &o->level[o->n][0];
  bool found = o->n_states[o->n] == 1 && s->peak < peak_as_is(o, &begin);
  for (int32_t k = o->n; found && k > 0; k--) {
    order[k - 1] = s->call;
    s = &o->level[k - 1][s->from];
  }
  return found;
}

bool order_find(const Planner *p, int32_t *order) {
  Orderer o = {.p = p, .n = (int32_t)p->calls->n};
  if (o.n > CALLS_MAX || o.n < 3) return false;
  o.needs = mem_array((size_t)o.n, sizeof *o.needs);
  o.readers = mem_array(p->g->n_vals, sizeof *o.readers);
  o.level = mem_array((size_t)o.n + 1, sizeof *o.level);
  o.n_states = mem_array((size_t)o.n + 1, sizeof *o.n_states);
  find_needs(&o);
  bool found = search(&o, order);
  for (int32_t k = 0; k <= o.n; k++) mem_free(o.level[k]);
  mem_free(o.needs);
  mem_free(o.readers);
  mem_free(o.level);
  mem_free(o.n_states);
  return found;
}

/* -- copies early -- */

/* A part of a value that other calls write too. */
static bool is_part(const Graph *g, const Calls *calls, const KernelCall *c) {
  int writers = 0;
  for (uint32_t i = 0; i < calls->n; i++)
    writers += value_root(g, calls->v[i].out.val) == value_root(g, c->out.val);
  return writers > 1 && strcmp(c->kernel->name, "copy") == 0;
}

/* Call c may not stand before call b. */
static bool must_follow(const Graph *g, const KernelCall *c, const KernelCall *b) {
  const ValId from = value_root(g, c->in[0].val), to = value_root(g, c->out.val),
              out = value_root(g, b->out.val);
  if (out == from || out == to) return strcmp(b->kernel->name, "copy") != 0 || out == from;
  for (int i = 0; i < b->n_in; i++)
    if (value_root(g, b->in[i].val) == to) return true;
  return false;
}

void order_copies_early(const Graph *g, Calls *calls) {
  for (uint32_t c = 1; c < calls->n; c++) {
    const KernelCall k = calls->v[c];
    uint32_t to = c;
    if (!is_part(g, calls, &k)) continue;
    while (to > 0 && !must_follow(g, &k, &calls->v[to - 1])) to--;
    memmove(&calls->v[to + 1], &calls->v[to], (c - to) * sizeof k);
    calls->v[to] = k;
  }
}
