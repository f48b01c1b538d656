/* Sessions: making, freeing, running forward and backward, and what callers may ask for. See session.h for how. */
#include "runtime/engine/op_call.h"

#include "ir/base/mem.h"

#include <string.h>

bool plan_fail(const OpPlan *p, Diag *d, const char *fmt, ...) {
  char msg[256];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(msg, sizeof msg, fmt, ap);
  va_end(ap);
  return diag_error(d, &p->n->loc, "%s: %s", op_info(p->n->op)->name, msg);
}

int item_dims(const Session *s, ValId v, int64_t dims[MAX_RANK]) {
  const Shape *x = &s->g->vals[v].shape;
  int skip = s->vals[v].batched ? 1 : 0;
  for (int i = skip; i < x->rank; i++) dims[i - skip] = x->d[i];
  return x->rank - skip;
}

/* -- making -- */

/* The graph with symbolic batch has the same nodes in the same order: their ids give the map. */
static bool map_ids(Session *s, Diag *d) {
  const Graph *a = s->from, *b = s->g;
  FAIL_IF(a->n_nodes != b->n_nodes, d, NULL, "the model has %u nodes, %u of them with a free batch",
          a->n_nodes, b->n_nodes);
  s->map = mem_array(a->n_vals, sizeof *s->map);
  for (uint32_t i = 0; i < a->n_inputs; i++) s->map[a->inputs[i]] = b->inputs[i];
  for (uint32_t i = 0; i < a->n_nodes; i++) {
    const Node *x = &a->nodes[i], *y = &b->nodes[i];
    FAIL_IF(x->op != y->op || x->n_in != y->n_in, d, &x->loc, "%s: changes with the batch",
            op_info(x->op)->name);
    for (uint32_t k = 0; k < x->n_in; k++) s->map[x->in[k]] = y->in[k];
    for (uint32_t k = 0; k < x->n_out; k++) s->map[x->out[k]] = y->out[k];
  }
  return true;
}

static bool free_batch(Session *s, Diag *d) {
  const Graph *g = s->from;
  FAIL_IF(g->n_inputs != 1, d, NULL, "the tensor engine runs models of one input: this one has %u",
          g->n_inputs);
  const Shape *x = &g->vals[g->inputs[0]].shape;
  s->g = g;
  if (x->rank > 0 && x->d[0] == DIM_BATCH) return true;
  s->own = graph_with_batch(g, DIM_BATCH, d);
  if (!s->own) return false;
  s->g = s->own;
  return map_ids(s, d);
}

Session *session_new_on(const Graph *g, const SessionOptions *opt, Threads *pool, Diag *d) {
  if (!graph_want_stateless(g, "training", d)) return NULL;
  ASSERT(opt->batch >= 1 && opt->threads >= 1);
  Session *s = mem_zalloc(sizeof *s);
  s->from = g;
  s->opt = *opt;
  s->k = opt->kernels ? opt->kernels : engine_kernels(opt->portable);
  s->bn_momentum = 0.1f;
  s->pool_owned = !pool;
  s->pool = pool ? pool : threads_new(opt->threads);
  if (free_batch(s, d) && session_classify(s, d) && session_schedule(s, d)) return s;
  session_free(s);
  return NULL;
}

Session *session_new(const Graph *g, const SessionOptions *opt, Diag *d) {
  return session_new_on(g, opt, NULL, d);
}

void session_free(Session *s) {
  if (!s) return;
  for (uint32_t i = 0; s->nodes && i < s->g->n_nodes; i++) {
    mem_free(s->nodes[i].add);
    mem_free(s->nodes[i].state);
    mem_free(s->nodes[i].parts);
    mem_free(s->nodes[i].packed);
  }
  for (int i = 0; s->scratch && !s->opt.room && i < threads_count(s->pool); i++) mem_free(s->scratch[i]);
  void *owned[] = {s->map,   s->vals,   s->nodes, s->forward,  s->backward,
                   s->fixed, s->params, s->grads, s->segments, s->scratch},
       *turns[] = {s->activations, s->gradients, s->shard_grads, s->local};
  for (size_t i = 0; !s->opt.room && i < sizeof turns / sizeof *turns; i++) mem_free(turns[i]);
  for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) mem_free(owned[i]);
  if (s->pool_owned) threads_free(s->pool);
  graph_free(s->own);
  mem_free(s);
}

/* -- running -- */

typedef struct Job {
  Session *s;
  const Task *tasks; /* one group */
  int n_tasks;
  bool backward;
} Job;

static void run_task(const Job *j, const Task *t, OpCall *c) {
  c->n = &j->s->g->nodes[t->node];
  c->st = &j->s->nodes[t->node];
  c->phase = t->phase;
  const EngineOp *op = &engine_ops[c->n->op];
  c->again = t->again;
  (j->backward && !t->again ? op->bwd : op->fwd)(c);
}

static void run_shard(void *ctx, int unit, int thread) {
  const Job *j = ctx;
  int n = j->s->n, lo = shard_begin(n, unit), hi = shard_begin(n, unit + 1);
  OpCall c = {.s = j->s,
              .thread = thread,
              .shard = unit,
              .shards = shard_count(n),
              .batch = n,
              .scratch = j->s->scratch[thread]};
  for (int i = lo; i < hi; i += j->tasks->tile) {
    c.i0 = i;
    c.i1 = i + j->tasks->tile < hi ? i + j->tasks->tile : hi;
    c.first = i == lo;
    for (int t = 0; t < j->n_tasks; t++) run_task(j, &j->tasks[t], &c);
  }
}

static void run_once(const Job *j) {
  OpCall c = {.s = j->s, .i1 = 1, .shards = 1, .batch = 1, .first = true, .scratch = j->s->scratch[0]};
  for (int t = 0; t < j->n_tasks; t++) run_task(j, &j->tasks[t], &c);
}

/* Weights into their kernels' form: where they are known before the pass; backward: all. */
static void prepare_node(const Session *s, NodeId i, bool backward, int thread) {
  const SNode *st = &s->nodes[i];
  if (!st->live || !st->prepare || (backward && !st->needs)) return;
  OpCall c = {.s = s, .n = &s->g->nodes[i], .st = st, .scratch = s->scratch[thread], .backward = backward};
  st->prepare(&c);
}

/* What is packed does not change in a pass: weights and bias are constants, not computed. */
static bool known(const Session *s, NodeId i) {
  const Node *n = &s->g->nodes[i];
  for (uint32_t k = 1; k < n->n_in; k++)
    if (n->in[k] != NO_VAL && !val_is_const(s->g, n->in[k])) return false;
  return true;
}

enum { PREPARE_UNITS = 64 };

static void prepare_forward(void *ctx, int unit, int thread) {
  const Session *s = ctx;
  for (NodeId i = (NodeId)unit; i < s->g->n_nodes; i += PREPARE_UNITS)
    if (s->nodes[i].prepare && known(s, i)) prepare_node(s, i, false, thread);
}

static void prepare_backward(void *ctx, int unit, int thread) {
  const Session *s = ctx;
  for (NodeId i = (NodeId)unit; i < s->g->n_nodes; i += PREPARE_UNITS) prepare_node(s, i, true, thread);
}

/* Those of a group whose weights are computed in this pass. */
static void prepare_group(const Job *j) {
  for (int t = 0; t < j->n_tasks && !j->backward; t++) {
    NodeId i = j->tasks[t].node;
    if (j->s->nodes[i].prepare && j->tasks[t].phase == 0 && !known(j->s, i)) prepare_node(j->s, i, false, 0);
  }
}

/* Sum the shards' gradients of a shared value's elements [lo, hi) in order. */
static void reduce(Session *s, const Segment *g, int64_t lo, int64_t hi) {
  const SVal *v = &s->vals[g->val];
  int shards = v->by_shards ? shard_count(s->n) : 1;
  vec_copy(s->grads + lo, s->shard_grads + lo, hi - lo);
  for (int k = 1; k < shards; k++) vec_add(s->grads + lo, s->shard_grads + k * s->total + lo, hi - lo);
}

static const Segment *segment_of(const Session *s, ValId v) {
  for (int i = 0; i < s->n_segments; i++)
    if (s->segments[i].val == s->vals[v].root) return &s->segments[i];
  return NULL;
}

static void run_tasks(Session *s, const Task *t, int n, bool backward) {
  for (int a = 0, b; a < n; a = b) {
    for (b = a + 1; b < n && !t[b].barrier;) b++;
    Job j = {s, t + a, b - a, backward};
    const SNode *first = &s->nodes[t[a].node];
    if (first->batched) {
      prepare_group(&j);
      threads_run(s->pool, run_shard, &j, shard_count(s->n));
      continue;
    }
    const Segment *g = backward ? segment_of(s, first->out) : NULL;
    if (g) reduce(s, g, g->offset, g->offset + g->count);
    run_once(&j);
  }
}

const float *session_forward(Session *s, const float *x, int n, bool train_mode) {
  ASSERT(n >= 1 && n <= s->opt.batch);
  SVal *in = &s->vals[s->input];
  if (x != in->x) vec_copy(in->x, x, n * in->item);
  s->n = n;
  s->ready &= s->train == train_mode;
  s->train = train_mode;
  if (!s->ready) threads_run(s->pool, prepare_forward, s, PREPARE_UNITS);
  s->ready = !s->opt.training;
  run_tasks(s, s->forward, s->n_forward, false);
  return s->vals[s->logits].x;
}

static void reduce_range(void *ctx, int unit, int thread) {
  (void)thread;
  Session *s = ctx;
  int64_t lo = s->total * unit / SHARDS, hi = s->total * (unit + 1) / SHARDS;
  for (int i = 0; i < s->n_segments; i++) {
    const Segment *g = &s->segments[i];
    int64_t a = g->offset > lo ? g->offset : lo, b = g->offset + g->count < hi ? g->offset + g->count : hi;
    if (s->vals[g->val].param && a < b) reduce(s, g, a, b);
  }
}

void session_backward(Session *s, const float *dlogits, int n) {
  ASSERT(s->opt.training && n == s->n);
  SVal *out = &s->vals[s->logits];
  if (!out->needs) return;
  vec_copy(out->dx, dlogits, n * out->item);
  for (int i = 0; i < s->n_segments; i++) {
    const Segment *g = &s->segments[i];
    for (int k = 0; val_zeroed(&s->vals[g->val]) && k < shard_count(n); k++)
      vec_zero(s->shard_grads + k * s->total + g->offset, g->count);
  }
  threads_run(s->pool, prepare_backward, s, PREPARE_UNITS);
  run_tasks(s, s->backward, s->n_backward, true);
  threads_run(s->pool, reduce_range, s, SHARDS);
}

/* -- asking -- */

static ValId inside(const Session *s, ValId v) { return s->map ? s->map[v] : v; }

const float *session_activation(const Session *s, ValId v) {
  ValId i = inside(s, v);
  if (i == NO_VAL || (!s->opt.keep && !s->opt.training && !s->vals[i].tap && i != s->logits)) return NULL;
  const SVal *root = &s->vals[s->vals[i].root];
  if (!s->opt.keep && root->batched && !root->tap && !root->later && i != s->logits) return NULL;
  if (root->local_x) return NULL;
  return s->vals[i].x;
}

const float *session_gradient(const Session *s, ValId v) {
  ValId i = inside(s, v);
  if (i == NO_VAL || !s->opt.training) return NULL;
  if (s->vals[i].batched && !s->opt.keep && i != s->input) return NULL; /* its memory has been used again */
  return s->vals[i].needs ? s->vals[i].dx : NULL;
}

float *session_tap(Session *s, ValId v) {
  ValId i = inside(s, v);
  return i != NO_VAL && s->opt.training && s->vals[i].tap && s->vals[i].needs ? s->vals[i].dx : NULL;
}

int64_t session_item(const Session *s, ValId v) { return s->vals[inside(s, v)].item; }

float *session_param(Session *s, ValId v) {
  ValId i = inside(s, v);
  return i != NO_VAL && s->vals[i].param ? s->vals[i].x : NULL;
}

Threads *session_pool(const Session *s) { return s->pool; }
float *session_input(Session *s) { return s->vals[s->input].x; }
const Shape *session_input_shape(const Session *s) { return &s->g->vals[s->input].shape; }
int session_classes(const Session *s) { return s->classes; }
void session_bn_momentum(Session *s, float momentum) { s->bn_momentum = momentum; }

Graph *session_graph(const Session *s) {
  Rewrite r;
  rewrite_begin(&r, s->from, NULL);
  for (ValId v = 1; v < s->from->n_vals; v++) {
    const Value *x = &s->from->vals[v];
    ValId i = inside(s, v);
    if (i == NO_VAL || !x->blob || !(s->vals[i].param || s->vals[i].stat)) continue;
    r.map[v] = graph_const_data(r.to, x->name, x->dtype, &x->shape, s->vals[i].x);
  }
  bool ok = true;
  Diag *d = diag_new();
  for (uint32_t i = 0; ok && i < s->from->n_nodes; i++) ok = rewrite_copy(&r, &s->from->nodes[i], d);
  Graph *g = rewrite_end(&r, ok, d);
  if (!g) fprintf(stderr, "%s", diag_text(d));
  ASSERT(g); /* the same nodes on constants of the same shapes */
  diag_free(d);
  return g;
}
