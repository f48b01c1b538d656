/* Schedules; see schedule.h.
 *
 * Requests are taken from the most MACs to the least; each becomes the child of the tightest node that contains it. Then
 * siblings get joint ancestors, pairs that stand side by side in the order in which they were added, as long as one saves.
 */
#include "passes/tailor/schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"

const ScheduleLengths schedule_lengths = {.per_halving = 1, .growth = 0.35, .least = 0.06};

static const double WORTH = 0.02; /* of a full retraining's seconds: what saves less is not worth a model */

/* A pair of siblings that gets no joint ancestor gets none in a later round either, as long as they have the same parent. */
typedef struct Refused {
  int with, under;
} Refused;

typedef struct Maker {
  const ScheduleBase *bases;
  const ScheduleRules *rules;
  Schedule *s;
  size_t cap, refused_cap;
  int sorted;       /* nodes from here on are in the order of their MACs */
  Refused *refused; /* [s->n] the last pair's, by its second */
  uint64_t *joined; /* scratch: units of the largest base */
} Maker;

/* Whole steps of this share of a full retraining, shortened. */
static int64_t images_of(const ScheduleRules *r, double share) {
  if (r->share > 0) share *= r->share;
  const int64_t steps = (int64_t)ceil(fmax(share, r->least) * (double)r->images / (double)r->step);
  return (steps > 0 ? steps : 1) * r->step;
}

int64_t schedule_images(const ScheduleRules *r, double base, double from, double to) {
  return images_of(r, to < from ? fmin(r->per_halving * log2(from / to), 1) * pow(base / to, r->growth) : 0);
}

int64_t schedule_family(const ScheduleRules *r, double base, double widest, int n, double share) {
  int64_t sum = 0;
  for (int k = 1; k < n; k++)
    sum += schedule_images(r, base, widest * pow(share, (k - 1) / (n - 1.0)),
                           widest * pow(share, k / (n - 1.0)));
  return sum;
}

int64_t schedule_joint_images(const ScheduleRules *r, const ScheduleJoint *j) {
  return schedule_family(r, j->base, j->macs, j->n, j->share);
}

double schedule_joint_seconds(const ScheduleRules *r, const ScheduleJoint *j) {
  double macs = 0;
  for (int k = 0; k < j->n; k++) macs += j->macs * pow(j->share, k / (j->n - 1.0));
  return schedule_seconds(r, macs, schedule_joint_images(r, j));
}

int64_t schedule_full(const ScheduleRules *r) {
  const int64_t shortened = images_of(r, 1); /* of whole steps, which may be more than all */
  return r->share > 0 && r->share < 1 && shortened < r->images ? shortened : r->images;
}

double schedule_seconds(const ScheduleRules *r, double macs, int64_t images) {
  return (double)images * (r->image + r->mac * (macs + r->beside));
}

static double parent_macs(const Maker *m, const ScheduleNode *n) {
  return n->parent < 0 ? m->bases[n->base].macs : m->s->nodes[n->parent].macs;
}

static void set_length(const Maker *m, ScheduleNode *n) {
  const ScheduleRules *r = m->rules;
  if (r->sharing == SHARE_ELASTIC) return;
  n->images = r->sharing == SHARE_NOTHING
                  ? schedule_full(r)
                  : schedule_images(r, m->bases[n->base].macs, parent_macs(m, n), n->macs);
  n->seconds = schedule_seconds(r, n->macs, n->images);
}

static bool contains(const uint64_t *outer, const uint64_t *inner, int words) {
  for (int i = 0; i < words; i++)
    if (inner[i] & ~outer[i]) return false;
  return true;
}

static int add_node(Maker *m, const ScheduleNode *n) {
  void *p = m->s->nodes;
  mem_grow(&p, &m->cap, (size_t)m->s->n + 1, sizeof *n);
  m->s->nodes = p;
  m->s->nodes[m->s->n] = *n;
  p = m->refused;
  mem_grow(&p, &m->refused_cap, (size_t)m->s->n + 1, sizeof *m->refused);
  m->refused = p;
  m->refused[m->s->n] = (Refused){-1, -1};
  return m->s->n++;
}

/* ---- The tree of requests */

/* Most MACs first; ties in the order of the requests. */
static int by_macs(const void *a, const void *b) {
  const ScheduleRequest *const *x = a, *const *y = b;
  if ((*x)->macs != (*y)->macs) return (*x)->macs > (*y)->macs ? -1 : 1;
  return (*x > *y) - (*x < *y);
}

/* The tightest node that contains the request, the last of equals; -1: none. */
static int find_parent(const Maker *m, const ScheduleRequest *q) {
  int best = -1;
  for (int k = m->s->n - 1; k >= 0; k--) {
    const ScheduleNode *n = &m->s->nodes[k];
    if (n->base != q->base || n->macs < q->macs || (best >= 0 && n->macs >= m->s->nodes[best].macs)) continue;
    if (!contains(n->units, q->units, m->bases[q->base].words)) continue;
    best = k;
    if (k > m->sorted) k = m->sorted; /* those between have no fewer MACs */
  }
  return best;
}

static bool same_units(const Maker *m, int node, const ScheduleRequest *q) {
  return node >= 0 &&
         memcmp(m->s->nodes[node].units, q->units, (size_t)m->bases[q->base].words * sizeof *q->units) == 0;
}

static void add_requests(Maker *m, const ScheduleRequest *requests, int n) {
  const ScheduleRequest **order = mem_array((size_t)n, sizeof(void *));
  for (int i = 0; i < n; i++) order[i] = &requests[i];
  qsort(order, (size_t)n, sizeof(void *), by_macs);
  for (int i = 0; i < n; i++) {
    const ScheduleRequest *q = order[i];
    const int id = (int)(q - requests), parent = find_parent(m, q);
    if (same_units(m, parent, q)) {
      ScheduleNode *same = &m->s->nodes[parent];
      if (same->request < 0) same->request = id;
      m->s->node_of[id] = parent;
      continue;
    }
    ScheduleNode node = {
        .request = id,
        .base = q->base,
        .parent = m->rules->sharing == SHARE_NOTHING || m->rules->sharing == SHARE_ELASTIC ? -1 : parent,
        .macs = q->macs,
        .units = q->units};
    set_length(m, &node);
    m->s->node_of[id] = add_node(m, &node);
  }
  mem_free(order);
}

/* ---- Joint ancestors */

typedef struct Join {
  int a, b; /* siblings */
  double macs, saves;
  const uint64_t *units; /* until the next is tried */
} Join;

/* What a joint ancestor of siblings a and b would save; false: nothing, or there is none. */
static bool try_join(Maker *m, int a, int b, Join *out) {
  const ScheduleRules *r = m->rules;
  const ScheduleNode *x = &m->s->nodes[a], *y = &m->s->nodes[b];
  const int words = m->bases[x->base].words;
  const double base = m->bases[x->base].macs, above = parent_macs(m, x);
  uint64_t *units = m->joined;
  for (int i = 0; i < words; i++) units[i] = x->units[i] | y->units[i];
  const double macs = r->macs(r->ctx, x->base, units);
  if (!(macs > fmax(x->macs, y->macs)) || !(macs < above)) return false;
  const double with = schedule_seconds(r, macs, schedule_images(r, base, above, macs)) +
                      schedule_seconds(r, x->macs, schedule_images(r, base, macs, x->macs)) +
                      schedule_seconds(r, y->macs, schedule_images(r, base, macs, y->macs));
  *out = (Join){a, b, macs, x->seconds + y->seconds - with, units};
  return out->saves > WORTH * schedule_seconds(r, base, r->images);
}

static void apply_join(Maker *m, const Join *j) {
  ScheduleNode node = {.request = -1,
                       .joint = true,
                       .base = m->s->nodes[j->a].base,
                       .parent = m->s->nodes[j->a].parent,
                       .macs = j->macs};
  node.units = arena_dup(m->s->arena, j->units, (size_t)m->bases[node.base].words * sizeof *j->units);
  set_length(m, &node);
  const int at = add_node(m, &node);
  const int children[] = {j->a, j->b};
  for (int i = 0; i < 2; i++) {
    ScheduleNode *c = &m->s->nodes[children[i]];
    c->parent = at;
    set_length(m, c);
  }
}

static bool was_refused(const Maker *m, int a, int b) {
  return m->refused[b].with == a && m->refused[b].under == m->s->nodes[b].parent;
}

/* One round: over siblings side by side, each taken once. Is there another? */
static bool join_round(Maker *m) {
  const int n = m->s->n;
  int *last = mem_array((size_t)n + 1, sizeof *last); /* by parent + 1: its last child so far that is free */
  bool any = false;
  for (int i = 0; i <= n; i++) last[i] = -1;
  for (int k = 0; k < n; k++) {
    int *before = &last[m->s->nodes[k].parent + 1];
    Join j;
    const bool pair = *before >= 0 && m->s->nodes[*before].base == m->s->nodes[k].base &&
                      m->s->nodes[*before].parent == m->s->nodes[k].parent && !m->s->nodes[k].fixed &&
                      !m->s->nodes[*before].fixed && !was_refused(m, *before, k);
    if (pair && try_join(m, *before, k, &j)) {
      apply_join(m, &j);
      *before = -1;
      any = true;
    } else {
      if (pair) m->refused[k] = (Refused){*before, m->s->nodes[k].parent};
      *before = k;
    }
  }
  mem_free(last);
  return any;
}

static size_t most_words(const Maker *m) {
  int most = 0;
  for (int k = 0; k < m->s->n; k++) {
    const int words = m->bases[m->s->nodes[k].base].words;
    if (words > most) most = words;
  }
  return (size_t)most;
}

/* ---- Nodes of an earlier schedule */

static void add_before(Maker *m, const ScheduleNode *before, int n) {
  for (int i = 0; i < n; i++) {
    ScheduleNode node = before[i];
    node.request = -1;
    node.fixed = true;
    add_node(m, &node);
  }
}

/* Drop those that lead to no request. */
static void drop_unused(Schedule *s, int n_requests) {
  bool *used = mem_array((size_t)s->n + 1, sizeof *used);
  int *now = mem_array((size_t)s->n + 1, sizeof *now), n = 0;
  for (int i = 0; i < n_requests; i++)
    for (int k = s->node_of[i]; k >= 0 && !used[k]; k = s->nodes[k].parent) used[k] = true;
  for (int k = 0; k < s->n; k++) {
    now[k] = n;
    if (used[k]) s->nodes[n++] = s->nodes[k];
  }
  s->n = n;
  for (int k = 0; k < n; k++)
    if (s->nodes[k].parent >= 0) s->nodes[k].parent = now[s->nodes[k].parent];
  for (int i = 0; i < n_requests; i++) s->node_of[i] = now[s->node_of[i]];
  mem_free(used);
  mem_free(now);
}

/* ---- Order, and places in the epochs */

static int depth_of(const Schedule *s, int k) {
  int depth = 0;
  for (; s->nodes[k].parent >= 0; k = s->nodes[k].parent) depth++;
  return depth;
}

typedef struct Place {
  int node, depth;
  double macs;
} Place;

static int by_place(const void *a, const void *b) {
  const Place *x = a, *y = b;
  if (x->macs != y->macs) return x->macs > y->macs ? -1 : 1;
  if (x->depth != y->depth) return x->depth - y->depth;
  return x->node - y->node;
}

/* Most MACs first, which puts parents before their children. */
static void sort_nodes(Schedule *s, int n_requests) {
  Place *place = mem_array((size_t)s->n, sizeof *place);
  ScheduleNode *sorted = arena_array(s->arena, (size_t)s->n, sizeof *sorted);
  int *now = mem_array((size_t)s->n, sizeof *now);
  for (int i = 0; i < s->n; i++) place[i] = (Place){i, depth_of(s, i), s->nodes[i].macs};
  if (s->n) qsort(place, (size_t)s->n, sizeof *place, by_place);
  for (int i = 0; i < s->n; i++) now[place[i].node] = i;
  for (int i = 0; i < s->n; i++) {
    sorted[i] = s->nodes[place[i].node];
    if (sorted[i].parent >= 0) sorted[i].parent = now[sorted[i].parent];
  }
  for (int i = 0; i < n_requests; i++)
    if (s->node_of[i] >= 0) s->node_of[i] = now[s->node_of[i]];
  mem_free(s->nodes);
  mem_free(place);
  mem_free(now);
  s->nodes = sorted;
}

static void sum_up(Schedule *s, const ScheduleRules *r) {
  for (int i = 0; i < s->n; i++) {
    ScheduleNode *n = &s->nodes[i], *p = n->parent < 0 ? NULL : &s->nodes[n->parent];
    if (p && !n->fixed) n->kin = true;
    if (p && !p->fixed) p->kin = true;
  }
  for (int i = 0; i < s->n; i++) {
    ScheduleNode *n = &s->nodes[i];
    const ScheduleNode *p = n->parent < 0 ? NULL : &s->nodes[n->parent];
    n->skip = p ? p->skip + p->images : 0;
    if (!n->kin && !n->fixed && r->sharing != SHARE_ELASTIC) n->images = schedule_full(r);
    s->joint += n->joint;
    n->seconds = schedule_seconds(r, n->macs, n->images);
    s->images += n->images;
    s->seconds += n->seconds;
  }
}

void schedule_make(const ScheduleRequest *requests, int n, const ScheduleBase *bases,
                   const ScheduleRules *rules, const ScheduleNode *before, int n_before, Schedule *out) {
  *out = (Schedule){.arena = arena_new()};
  out->node_of = arena_array(out->arena, (size_t)n, sizeof *out->node_of);
  Maker m = {.bases = bases, .rules = rules, .s = out, .sorted = n_before};
  add_before(&m, before, n_before);
  add_requests(&m, requests, n);
  m.joined = mem_array(most_words(&m) + 1, sizeof *m.joined);
  while (rules->sharing == SHARE_TREE && join_round(&m)) {}
  mem_free(m.joined);
  mem_free(m.refused);
  drop_unused(out, n);
  sort_nodes(out, n);
  sum_up(out, rules);
}

/* ---- Time by the clock */

void schedule_estimate(Schedule *s, const ScheduleRules *r) {
  s->seconds = 0;
  for (int k = 0; k < s->n; k++) {
    s->nodes[k].seconds = schedule_seconds(r, s->nodes[k].macs, s->nodes[k].images);
    s->seconds += s->nodes[k].seconds;
  }
}

static int start_of(const Schedule *s, const ScheduleJoint *j) {
  return j->request < 0 ? -1 : s->node_of[j->request];
}

/* Is joint training i one that stands before it: of the same start, as many, as narrow? Then it is trained once for both. */
static bool is_repeated(const Schedule *s, const ScheduleRules *r, int i) {
  const ScheduleJoint *j = &r->joints[i];
  for (int k = 0; k < i; k++) {
    const ScheduleJoint *b = &r->joints[k];
    if (start_of(s, b) == start_of(s, j) && b->macs == j->macs && b->n == j->n && b->share == j->share)
      return true;
  }
  return false;
}

double schedule_wall(const Schedule *s, const ScheduleRules *r, double at_once) {
  double *until = mem_array((size_t)s->n + 1, sizeof *until), longest = 0, all = s->seconds;
  for (int k = 0; k < s->n; k++) {
    const ScheduleNode *n = &s->nodes[k];
    until[k] = n->seconds + (n->parent < 0 ? 0 : until[n->parent]);
    longest = fmax(longest, until[k]);
  }
  for (int i = 0; i < r->n_joints; i++) {
    const ScheduleJoint *j = &r->joints[i];
    if (is_repeated(s, r, i)) continue;
    const int start = start_of(s, j);
    const double seconds = schedule_joint_seconds(r, j);
    longest = fmax(longest, seconds + (start < 0 ? 0 : until[start]));
    all += seconds;
  }
  mem_free(until);
  return fmax(longest, all / fmax(at_once, 1));
}

double schedule_share(const ScheduleRequest *requests, int n, const ScheduleBase *bases,
                      const ScheduleRules *rules, double at_once, double most) {
  enum { PARTS = 64 }; /* of 1; the first is below any `least` that is of use */
  int fits = 0, over = PARTS + 1;
  for (int part = PARTS; over - fits > 1; part = (fits + over) / 2) { /* all of it first */
    ScheduleRules r = *rules;
    Schedule s;
    r.share = part < PARTS ? (double)part / PARTS : 0;
    schedule_make(requests, n, bases, &r, NULL, 0, &s);
    *(schedule_wall(&s, &r, at_once) <= most ? &fits : &over) = part;
    schedule_free(&s);
  }
  return (double)(fits > 0 ? fits : 1) / PARTS;
}

double schedule_kept(const Schedule *s, const ScheduleBase *bases, const ScheduleRules *r) {
  ScheduleRules whole = *r;
  int64_t all = 0, left = s->images;
  if (!(r->share > 0)) return 1;
  whole.share = 0;
  for (int k = 0; k < s->n; k++) {
    const ScheduleNode *n = &s->nodes[k];
    const double base = bases[n->base].macs, from = n->parent < 0 ? base : s->nodes[n->parent].macs;
    all += n->kin ? schedule_images(&whole, base, from, n->macs) : schedule_full(&whole);
  }
  for (int i = 0; i < r->n_joints; i++) {
    if (is_repeated(s, r, i)) continue;
    all += schedule_joint_images(&whole, &r->joints[i]);
    left += schedule_joint_images(r, &r->joints[i]);
  }
  return all ? (double)left / (double)all : 1;
}

void schedule_free(Schedule *s) {
  if (s->arena) arena_free(s->arena);
  *s = (Schedule){0};
}
