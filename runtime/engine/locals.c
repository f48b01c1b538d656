/* Values that live within a group of tasks: a thread takes a shard through the group tile by tile, so a tile for each
 * thread is all the memory that they need, and it stays in the thread's cache.
 *
 *   forward   [bn.1 -> y -> conv bn.0]              y: written and read in one group
 *   backward  [bn.1 -> dx -> bn.1' -> y, conv ...]  dx likewise; y once more (bn.1'), beside its only reader
 *
 * An activation is local when one group holds all that touch it and the backward pass does not read it, or when one
 * operator there reads it and a BatchNormalization, whose input is kept, can write it again. Gradients are local when one
 * group holds all that touch them. Outputs and gradients of inputs are written in an operator's last phase alone.
 */
#include "runtime/engine/op_call.h"

#include "ir/base/mem.h"

typedef struct Touch {
  int first, last; /* groups */
  int readers;     /* in the backward pass */
  NodeId reader;
} Touch;

static Touch *touches_new(const Session *s) {
  Touch *t = mem_array(s->g->n_vals, sizeof *t);
  for (ValId v = 0; v < s->g->n_vals; v++)
    t[v] = (Touch){.first = INT32_MAX, .last = INT32_MIN, .reader = NO_NODE};
  return t;
}

static void touch(const Session *s, Touch *t, ValId v, int group) {
  if (v == NO_VAL) return;
  Touch *e = &t[s->vals[v].root];
  if (group < e->first) e->first = group;
  if (group > e->last) e->last = group;
}

static void read_later(const Session *s, Touch *t, ValId v, NodeId by) {
  if (v == NO_VAL) return;
  t[s->vals[v].root].readers++;
  t[s->vals[v].root].reader = by;
}

/* Memory of its own, whoever touches it. */
static bool is_global(const Session *s, ValId v) {
  const SVal *e = &s->vals[v];
  return s->opt.keep || !e->batched || e->root != v || e->tap || v == s->vals[s->input].root ||
         v == s->vals[s->logits].root;
}

static bool within(const Touch *t) { return t->first == t->last; }

/* The writer can run again just before the reader. */
static bool can_repeat(const Session *s, NodeId writer, NodeId reader) {
  return writer != NO_NODE && writer != reader && s->g->nodes[writer].op == OP_batch_normalization &&
         s->nodes[reader].bwd_phases == 1 && s->nodes[reader].batched;
}

static void find_readers(Session *s, Touch *t) {
  for (NodeId i = 0; i < s->g->n_nodes; i++) {
    const Node *n = &s->g->nodes[i];
    const SNode *st = &s->nodes[i];
    if (!st->live) continue;
    s->vals[s->vals[st->out].root].writer = i;
    if (!s->opt.training || !st->needs) continue;
    for (uint32_t k = 0; k < n->n_in && st->reads_in; k++) read_later(s, t, n->in[k], i);
    if (st->reads_out) read_later(s, t, st->out, i);
  }
}

void locals_forward(Session *s) {
  Touch *t = touches_new(s);
  for (ValId v = 0; v < s->g->n_vals; v++) s->vals[v].writer = NO_NODE;
  for (int i = 0; i < s->n_forward; i++) {
    const Task *k = &s->forward[i];
    const SNode *st = &s->nodes[k->node];
    if (k->phase == st->fwd_phases - 1) touch(s, t, st->out, k->group);
    if (st->norm != NO_NODE) touch(s, t, s->nodes[st->norm].out, k->group);
    for (uint32_t j = 0; j < s->g->nodes[k->node].n_in; j++)
      touch(s, t, s->g->nodes[k->node].in[j], k->group);
  }
  find_readers(s, t);
  for (ValId v = 1; v < s->g->n_vals; v++) {
    SVal *e = &s->vals[v];
    e->later = t[v].readers > 0;
    if (is_global(s, v) || !within(&t[v])) continue;
    e->again = t[v].readers == 1 && can_repeat(s, e->writer, t[v].reader);
    e->local_x = e->again || !e->later;
  }
  mem_free(t);
}

static void find_gradients(Session *s, Touch *t) {
  for (int i = 0; i < s->n_backward; i++) {
    const Task *k = &s->backward[i];
    const SNode *st = &s->nodes[k->node];
    if (k->again) continue;
    touch(s, t, st->out, k->group);
    for (uint32_t j = 0; j < s->g->nodes[k->node].n_in; j++)
      if (k->phase == st->bwd_phases - 1) touch(s, t, s->g->nodes[k->node].in[j], k->group);
  }
  for (ValId v = 1; v < s->g->n_vals; v++)
    s->vals[v].local_dx = s->vals[v].needs && !is_global(s, v) && within(&t[v]);
}

/* -- memory -- */

typedef struct Places {
  Interval *v;
  float ***to; /* whose address each is */
  int n;
} Places;

/* Room for value v's tile in groups `first` to `last`; those of the backward pass count on from the forward one's. */
static void add_place(const Session *s, Places *p, ValId v, float **to, int first, int last, int tile) {
  int most = shard_most(s->opt.batch);
  if (tile > most) tile = most;
  p->v[p->n] = (Interval){.size = s->vals[v].item * tile, .first = first, .last = last};
  p->to[p->n++] = to;
}

/* The group and tile of value v's writer in a list of tasks. */
static const Task *written_by(const Session *s, const Task *t, int n, ValId v, bool again) {
  for (int i = 0; i < n; i++)
    if (t[i].node == s->vals[v].writer && t[i].again == again &&
        t[i].phase == s->nodes[t[i].node].fwd_phases - 1)
      return &t[i];
  return NULL;
}

static void place_values(Session *s, Places *p, int behind) {
  for (ValId v = 1; v < s->g->n_vals; v++) {
    if (!s->vals[v].local_x) continue;
    const Task *a = written_by(s, s->forward, s->n_forward, v, false),
               *b = s->vals[v].again ? written_by(s, s->backward, s->n_backward, v, true) : NULL;
    if (!a) continue;
    int tile = b && b->tile > a->tile ? b->tile : a->tile;
    add_place(s, p, v, &s->vals[v].x, a->group, b ? behind + b->group : a->group, tile);
  }
}

static void place_gradients(Session *s, Places *p, const Touch *t, int behind) {
  for (ValId v = 1; v < s->g->n_vals; v++) {
    if (!s->vals[v].local_dx) continue;
    int tile = 1;
    for (int i = 0; i < s->n_backward; i++)
      if (s->backward[i].group == t[v].first) tile = s->backward[i].tile;
    add_place(s, p, v, &s->vals[v].dx, behind + t[v].first, behind + t[v].first, tile);
  }
}

void locals_place(Session *s) {
  Touch *t = touches_new(s);
  int behind = s->n_forward ? s->forward[s->n_forward - 1].group + 1 : 0;
  size_t most = 2 * (size_t)s->g->n_vals;
  Places p = {.v = mem_array(most, sizeof(Interval)), .to = mem_array(most, sizeof(float **))};
  find_gradients(s, t);
  place_values(s, &p, behind);
  place_gradients(s, &p, t, behind);
  s->local_size = place_intervals(p.v, p.n);
  int64_t total = (s->local_size ? s->local_size : 1) * threads_count(s->pool);
  s->local = s->opt.room ? room_take(s->opt.room, ROOM_LOCAL, total)
                         : mem_alloc_aligned((size_t)total * sizeof(float), 64);
  for (int i = 0; i < p.n; i++) *p.to[i] = s->local + p.v[i].offset;
  mem_free(p.v);
  mem_free(p.to);
  mem_free(t);
}
