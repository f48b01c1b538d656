/* From nodes to tasks and buffers.
 *
 *   forward:  node 0 phase 0, phase 1 | node 1 | ...        backward: the same nodes the other way round
 *   groups:   [bn.1 conv relu add bn.0] [bn.1 conv ...      cut before every later phase and around nodes without batch
 *
 * A shard goes through a group tile by tile, so values of one group are in use at the same time: buffers may share
 * memory only when their groups do not meet. Without training every node is a group of its own, so that memory is
 * reused; in training those that the backward pass reads are kept, the others and gradients share memory or live within a
 * group (locals.c).
 */
#include "runtime/engine/op_call.h"

#include "ir/base/mem.h"

#include <string.h>

enum { ALIGN = 16, TILE_FLOATS = 32768 };

#define NODIFF_ROW(ident) {NULL, NULL, NULL},
#define DIFF_ROW(ident)   {plan_##ident, fwd_##ident, bwd_##ident},
#define A(kind, field, def, doc)
#define OP(ident, name, mn, mx, no, traits, cls, diff, doc, attrs) diff##_ROW(ident)
const EngineOp engine_ops[] = {
#include "ir/ops.def"
};
#undef OP
#undef A

static int64_t aligned(int64_t n) { return (n + ALIGN - 1) / ALIGN * ALIGN; }

static float *floats(int64_t n) {
  float *p = mem_alloc_aligned((size_t)aligned(n ? n : 1) * sizeof(float), 64);
  memset(p, 0, (size_t)aligned(n ? n : 1) * sizeof(float));
  return p;
}

/* In the session's room, where it has one. */
static float *roomy(const Session *s, int slot, int64_t n) {
  return s->opt.room ? room_take(s->opt.room, slot, aligned(n ? n : 1)) : floats(n);
}

/* -- tasks -- */

static void add_task(Session *s, bool backward, NodeId node, int phase, bool again) {
  Task **list = backward ? &s->backward : &s->forward;
  int *n = backward ? &s->n_backward : &s->n_forward;
  const Task *last = *n ? &(*list)[*n - 1] : NULL;
  bool solo = !s->nodes[node].batched, after_solo = last && !s->nodes[last->node].batched;
  bool barrier = !last || (phase > 0 && !again) || solo || after_solo || !s->opt.training;
  (*list)[*n] = (Task){.node = node, .phase = phase, .again = again, .barrier = barrier};
  (*list)[*n].group = last ? last->group + barrier : 0;
  ++*n;
}

/* What node i reads in its backward pass and the forward pass does not keep. */
static void add_again(Session *s, NodeId i) {
  const Node *n = &s->g->nodes[i];
  for (uint32_t k = 0; k < n->n_in && s->nodes[i].reads_in; k++) {
    if (n->in[k] == NO_VAL || !s->vals[s->vals[n->in[k]].root].again) continue;
    NodeId writer = s->vals[s->vals[n->in[k]].root].writer;
    add_task(s, true, writer, s->nodes[writer].fwd_phases - 1, true);
  }
}

static bool plan_node(Session *s, NodeId i, OpPlan *p, Diag *d) {
  *p = (OpPlan){.s = s,
                .n = &s->g->nodes[i],
                .st = &s->nodes[i],
                .fwd_phases = 1,
                .bwd_phases = 1,
                .reads_in = true,
                .reads_out = true};
  TRY(engine_ops[p->n->op].plan(p, d));
  if (p->scratch > s->scratch_size) s->scratch_size = p->scratch;
  p->st->state_size = aligned(p->state);
  p->st->parts_size = p->parts;
  p->st->state = floats(p->st->state_size * SHARDS);
  p->st->parts = mem_array((size_t)(p->parts * SHARDS), sizeof(double));
  p->st->prepare = p->prepare;
  p->st->reads_in = p->reads_in, p->st->reads_out = p->reads_out;
  p->st->fwd_phases = p->fwd_phases, p->st->bwd_phases = p->bwd_phases;
  if (p->packed) p->st->packed = floats(p->packed);
  return true;
}

static bool plan_all(Session *s, Diag *d) {
  uint32_t n = s->g->n_nodes;
  OpPlan *plans = mem_array(n, sizeof *plans);
  bool ok = true;
  for (NodeId i = 0; i < n && ok; i++)
    if (s->nodes[i].live) ok = plan_node(s, i, &plans[i], d);
  int total_f = 0, total_b = 0;
  for (NodeId i = 0; i < n && ok; i++) total_f += plans[i].fwd_phases, total_b += plans[i].bwd_phases + 2;
  s->forward = mem_array((size_t)total_f, sizeof(Task));
  s->backward = mem_array((size_t)total_b, sizeof(Task));
  for (NodeId i = 0; i < n && ok; i++)
    for (int p = 0; s->nodes[i].live && p < plans[i].fwd_phases; p++) add_task(s, false, i, p, false);
  if (ok) locals_forward(s);
  for (NodeId i = n; ok && s->opt.training && i-- > 0;) {
    if (s->nodes[i].live && s->nodes[i].needs) add_again(s, i);
    for (int p = 0; s->nodes[i].live && s->nodes[i].needs && p < plans[i].bwd_phases; p++)
      add_task(s, true, i, p, false);
  }
  mem_free(plans);
  return ok;
}

/* Examples at a time: as many as keep the group's largest value within TILE_FLOATS. */
static void set_tiles(Session *s, Task *t, int n) {
  for (int a = 0, b; a < n; a = b) {
    int64_t most = 1;
    for (b = a; b < n && t[b].group == t[a].group; b++) {
      int64_t item = s->vals[s->nodes[t[b].node].out].item;
      if (item > most) most = item;
    }
    int tile = (int)(TILE_FLOATS / most > 1 ? TILE_FLOATS / most : 1);
    for (int i = a; i < b; i++) t[i].tile = tile;
  }
}

/* -- lifetimes -- */

static void extend(Interval *v, int group) {
  if (group < v->first) v->first = group;
  if (group > v->last) v->last = group;
}

/* Which groups use each root's activation (forward) or gradient (backward). */
static void lifetimes(const Session *s, bool backward, Interval *live) {
  const Task *t = backward ? s->backward : s->forward;
  int n = backward ? s->n_backward : s->n_forward;
  for (int i = 0; i < n; i++) {
    const Node *node = &s->g->nodes[t[i].node];
    extend(&live[s->vals[s->nodes[t[i].node].out].root], t[i].group);
    for (uint32_t k = 0; k < node->n_in; k++) extend(&live[s->vals[node->in[k]].root], t[i].group);
    NodeId norm = s->nodes[t[i].node].norm;
    if (norm != NO_NODE) extend(&live[s->vals[s->nodes[norm].out].root], t[i].group);
  }
  int end = n ? t[n - 1].group + 1 : 0;
  if (backward) {
    extend(&live[s->vals[s->logits].root], -1); /* written before the first task */
    extend(&live[s->vals[s->input].root], end);
  } else {
    extend(&live[s->vals[s->logits].root], end);
    extend(&live[s->vals[s->input].root], -1);
    if (s->opt.training) extend(&live[s->vals[s->input].root], end); /* train/each.c takes it in rounds */
  }
  for (ValId v = 1; v < s->g->n_vals; v++) {
    if (live[v].last < live[v].first) continue;
    if (s->vals[v].tap) extend(&live[s->vals[v].root], backward ? -1 : end);
    if (s->opt.keep || (!backward && s->vals[v].later)) extend(&live[v], -1), extend(&live[v], end);
  }
}

/* Place the batched roots' activations or gradients into one pool. */
static float *place(Session *s, bool backward) {
  uint32_t n = s->g->n_vals;
  Interval *live = mem_array(n, sizeof *live), *used = mem_array(n, sizeof *used);
  ValId *owner = mem_array(n, sizeof *owner);
  int count = 0;
  for (ValId v = 0; v < n; v++) live[v] = (Interval){.first = INT32_MAX, .last = INT32_MIN};
  lifetimes(s, backward, live);
  for (ValId v = 1; v < n; v++) {
    if (live[v].last < live[v].first || !s->vals[v].batched || s->vals[v].root != v) continue;
    if (backward ? !s->vals[v].needs || s->vals[v].local_dx : s->vals[v].local_x) continue;
    live[v].size = s->vals[v].item * s->opt.batch;
    owner[count] = v;
    used[count++] = live[v];
  }
  float *pool = roomy(s, backward ? ROOM_GRADIENTS : ROOM_ACTIVATIONS, place_intervals(used, count));
  for (int i = 0; i < count; i++)
    *(backward ? &s->vals[owner[i]].dx : &s->vals[owner[i]].x) = pool + used[i].offset;
  mem_free(live);
  mem_free(used);
  mem_free(owner);
  return pool;
}

/* -- shared values -- */

/* Shared value v is computed or updated by the session itself. */
static bool is_fixed(const Session *s, ValId v) {
  const Value *x = &s->g->vals[v];
  if (s->vals[v].batched || s->vals[v].root != v || x->dtype != DT_F32 || s->vals[v].needs) return false;
  return s->vals[v].stat || (x->def != NO_NODE && s->nodes[x->def].live);
}

static bool is_flat(const Session *s, ValId v) {
  return s->vals[v].needs && !s->vals[v].batched && s->vals[v].root == v;
}

static void place_shared(Session *s) {
  int64_t fixed = 0;
  s->segments = mem_array(s->g->n_vals, sizeof *s->segments);
  for (ValId v = 1; v < s->g->n_vals; v++) {
    if (is_fixed(s, v)) fixed += aligned(s->vals[v].item);
    if (!is_flat(s, v)) continue;
    s->vals[v].offset = s->total;
    s->segments[s->n_segments++] = (Segment){v, s->total, s->vals[v].item};
    s->total += aligned(s->vals[v].item);
  }
  s->fixed = floats(fixed);
  s->params = floats(s->total);
  if (s->opt.training) {
    s->grads = floats(s->total);
    s->shard_grads = roomy(s, ROOM_SHARDS, s->total * SHARDS);
  }
  fixed = 0;
  for (ValId v = 1; v < s->g->n_vals; v++) {
    SVal *e = &s->vals[v];
    const Value *x = &s->g->vals[v];
    if (is_fixed(s, v))
      e->x = s->fixed + fixed, fixed += aligned(e->item);
    else if (is_flat(s, v))
      e->x = s->params + e->offset, e->dx = s->grads + e->offset;
    else if (x->blob && x->dtype == DT_F32)
      e->x = (float *)(uintptr_t)val_data(s->g, v); /* only read */
    else
      continue;
    if (x->blob && (is_fixed(s, v) || is_flat(s, v)))
      memcpy(e->x, val_data(s->g, v), (size_t)e->item * sizeof(float));
  }
}

bool session_schedule(Session *s, Diag *d) {
  TRY(plan_all(s, d));
  set_tiles(s, s->forward, s->n_forward);
  set_tiles(s, s->backward, s->n_backward);
  locals_place(s);
  s->activations = place(s, false);
  if (s->opt.training) s->gradients = place(s, true);
  place_shared(s);
  for (ValId v = 1; v < s->g->n_vals; v++) {
    const SVal *root = &s->vals[s->vals[v].root];
    s->vals[v].x = root->x;
    s->vals[v].dx = root->dx;
    s->vals[v].local_x = root->local_x, s->vals[v].local_dx = root->local_dx;
    s->vals[v].offset = root->offset;
  }
  int threads = threads_count(s->pool);
  s->scratch = mem_array((size_t)threads, sizeof *s->scratch);
  const int64_t each = aligned(s->scratch_size ? s->scratch_size : 1);
  float *all = s->opt.room ? room_take(s->opt.room, ROOM_SCRATCH, each * threads) : NULL;
  for (int i = 0; i < threads; i++) s->scratch[i] = all ? all + each * i : floats(s->scratch_size);
  return true;
}
