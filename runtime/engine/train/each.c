/* Steps that clip each example's gradient to a norm before they are summed (Abadi et al. 2016, arXiv:1607.00133, the sum
 * without its noise).
 *
 *   round r of the batch:  examples 8r .. 8r+7, one to a shard  ->  gradient of example k lies in shard k
 *   norm of each (range by range in double, ranges in order)    ->  sum += gradient * min(1, limit / norm)
 *
 * Examples are added in their order: same bytes at any thread count. An example's gradient must not depend on the
 * others': BatchNormalization with batch statistics is refused. So are parameters that reach the examples through nodes
 * without batch, whose gradients exist as a sum only.
 */
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "runtime/engine/train/trainer.h"

static bool check_nodes(const Trainer *t, Diag *d) {
  const Session *s = t->student;
  for (uint32_t i = 0; i < s->g->n_nodes; i++) {
    const Node *n = &s->g->nodes[i];
    if (n->op != OP_batch_normalization || !s->nodes[i].live || t->o->fixed_statistics) continue;
    diag_error(d, &n->loc,
               "BatchNormalization with batch statistics mixes the examples, whose gradients are to be "
               "clipped one by one");
    diag_hint(
        d,
        "keep its statistics as they are (fixed_statistics), or fold it into the layer before it (bnfuse)");
    return false;
  }
  for (int i = 0; i < s->n_segments; i++) {
    const SVal *v = &s->vals[s->segments[i].val];
    FAIL_IF(
        v->param && v->by_one, d, NULL,
        "parameter \"%s\" reaches the examples through operators without batch: their gradients cannot be "
        "clipped one by one",
        s->g->vals[s->segments[i].val].name ? s->g->vals[s->segments[i].val].name : "");
  }
  return true;
}

bool each_open(Trainer *t, Diag *d) {
  TRY(check_nodes(t, d));
  int64_t total = t->student->total;
  t->clipped = mem_array((size_t)(total ? total : 1), sizeof(float));
  t->norms = mem_array(SHARDS * SHARDS, sizeof *t->norms);
  return true;
}

void each_close(Trainer *t) {
  mem_free(t->clipped);
  mem_free(t->norms);
}

typedef struct Round {
  Trainer *t;
  int n;                /* examples */
  double scale[SHARDS]; /* of example k's gradient */
} Round;

/* Range `unit` of the parameters. */
static void bounds(const Trainer *t, int unit, int64_t *lo, int64_t *hi) {
  *lo = t->student->total * unit / SHARDS;
  *hi = t->student->total * (unit + 1) / SHARDS;
}

static void square_range(void *ctx, int unit, int thread) {
  (void)thread;
  const Round *r = ctx;
  const Session *s = r->t->student;
  int64_t lo, hi;
  bounds(r->t, unit, &lo, &hi);
  for (int k = 0; k < r->n; k++) {
    double sum = 0;
    const float *g = s->shard_grads + k * s->total;
    for (int j = 0; j < s->n_segments; j++) {
      const Segment *seg = &s->segments[j];
      int64_t a = seg->offset > lo ? seg->offset : lo, b = seg->offset + seg->count;
      if (!s->vals[seg->val].param) continue;
      for (int64_t i = a; i < (b < hi ? b : hi); i++) sum += (double)g[i] * (double)g[i];
    }
    r->t->norms[unit * SHARDS + k] = sum;
  }
}

static void add_range(void *ctx, int unit, int thread) {
  (void)thread;
  const Round *r = ctx;
  const Session *s = r->t->student;
  int64_t lo, hi;
  bounds(r->t, unit, &lo, &hi);
  for (int k = 0; k < r->n; k++) {
    const float *g = s->shard_grads + k * s->total;
    float scale = (float)r->scale[k], *sum = r->t->clipped;
    for (int64_t i = lo; i < hi; i++) sum[i] += scale * g[i];
  }
}

/* Shard k holds the gradient of the round's mean loss by example k: 1/n of the example's own. */
static void set_scales(Round *r) {
  for (int k = 0; k < r->n; k++) {
    double sum = 0;
    for (int u = 0; u < SHARDS; u++) sum += r->t->norms[u * SHARDS + k];
    double norm = sqrt(sum) * r->n, limit = (double)r->t->o->clip_each;
    r->scale[k] = r->n * (norm > limit ? limit / norm : 1);
  }
}

double each_batch(Trainer *t) {
  Session *s = t->student;
  int64_t item = t->feed.map.count;
  double loss = 0;
  memset(t->clipped, 0, (size_t)s->total * sizeof(float));
  for (int at = 0; at < t->batch; at += SHARDS) {
    Round r = {.t = t, .n = t->batch - at < SHARDS ? t->batch - at : SHARDS};
    const float *z = session_forward(s, session_input(s) + at * item, r.n, !t->o->fixed_statistics);
    loss += step_loss(t, at, r.n, z, t->dlogits) * r.n;
    session_backward(s, t->dlogits, r.n);
    threads_run(t->pool, square_range, &r, SHARDS);
    set_scales(&r);
    threads_run(t->pool, add_range, &r, SHARDS);
  }
  for (int64_t i = 0; i < s->total; i++) s->grads[i] = t->clipped[i] / (float)t->batch;
  return loss / t->batch;
}
