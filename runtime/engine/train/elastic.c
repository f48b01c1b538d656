/* Elastic training: see elastic.h.
 *
 * The wide graph has a session that never runs: it holds the weights, their gradients and what the optimizer, checkpoints
 * and the result look at. Every member has a session of its own, made before the first step; they run in turns, so that
 * activations, gradients and shards' sums are one room for all. A member's weights are gathered before it runs; its
 * gradients are added to the wide ones in the order of the step's members: same bytes at any number of threads.
 */
#include "runtime/engine/train/elastic.h"

#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "runtime/engine/train/trainer.h"

/* A slice in the two sessions' flat arrays. */
typedef struct Link {
  float *x, *wide_x;
  const float *dx;
  float *wide_dx;
  const uint32_t *index;
  int64_t n;
} Link;

typedef struct Member {
  Session *s;
  Link *links;
  int n_links;
  bool *own; /* [segments] parameters that are no slices */
  bool any;  /* there are such */
  Optimizer optimizer;
  float scale; /* of this step's gradients, by which they are clipped */
} Member;

struct Elastic {
  const ElasticJob *job;
  Room *room;
  Member *members;
  int widest, narrowest;
  int *active, n_active; /* members of this step */
  float *pixels;         /* [batch][item] */
  Optimizer norms;       /* room for sums of squares, of all parameters */
};

/* -- which members run -- */

static int draw(int *out, int at, int n_members, int widest, int narrowest, int drawn, Rng *r) {
  int n = at;
  for (int i = 0; i < n_members; i++)
    if (i != widest && i != narrowest) out[n++] = i;
  int left = n - at;
  if (drawn >= left) return n;
  for (int i = 0; i < drawn; i++) {
    int k = at + i + (int)rng_below(r, (uint32_t)(left - i)), chosen = out[k];
    out[k] = out[at + i];
    out[at + i] = chosen;
  }
  return at + drawn;
}

int elastic_draw(int n_members, int widest, int narrowest, int drawn, uint64_t seed, int64_t step, int *out) {
  Rng r;
  int n = 0;
  rng_seed(&r, seed, (uint64_t)step ^ UINT64_C(0x454C4153544943));
  out[n++] = widest;
  if (narrowest != widest) out[n++] = narrowest;
  return draw(out, n, n_members, widest, narrowest, drawn, &r);
}

static void draw_step(const Trainer *t, int64_t step) {
  Elastic *e = t->elastic;
  e->n_active =
      elastic_draw(e->job->n_members, e->widest, e->narrowest, e->job->drawn, t->o->seed, step, e->active);
}

/* -- opening -- */

static bool check_options(const ElasticJob *job, Diag *d) {
  const TrainOptions *o = job->train.options;
  FAIL_IF(job->n_members < 1 || job->drawn < 0, d, NULL,
          "elastic training of %d members, %d drawn a step: want 1 or more, 0 or more", job->n_members,
          job->drawn);
  FAIL_IF(o->grow > 0 || o->features > 0 || o->clip_each > 0, d, NULL,
          "elastic training goes with neither growing images nor matched features nor gradients clipped one "
          "by one");
  return true;
}

/* By MACs; the first wins. */
static void find_ends(Elastic *e) {
  const ElasticMember *m = e->job->members;
  for (int i = 1; i < e->job->n_members; i++) {
    if (graph_macs(m[i].graph) > graph_macs(m[e->widest].graph)) e->widest = i;
    if (graph_macs(m[i].graph) < graph_macs(m[e->narrowest].graph)) e->narrowest = i;
  }
}

static bool check_slice(const Graph *wide, const Graph *g, const ElasticSlice *s, int member, Diag *d) {
  const bool fits = s->member < g->n_vals && s->wide < wide->n_vals && val_is_const(g, s->member) &&
                    val_is_const(wide, s->wide) && g->vals[s->member].dtype == DT_F32 &&
                    wide->vals[s->wide].dtype == DT_F32;
  FAIL_IF(!fits, d, NULL, "member %d: a slice of value %u from value %u: want float constants", member + 1,
          s->member, s->wide);
  const int64_t n = shape_count(&g->vals[s->member].shape), most = shape_count(&wide->vals[s->wide].shape);
  for (int64_t i = 0; i < n; i++)
    FAIL_IF(s->index[i] >= most, d, NULL, "member %d: element %lld of \"%s\" is element %u of %lld",
            member + 1, (long long)i, g->vals[s->member].name ? g->vals[s->member].name : "", s->index[i],
            (long long)most);
  return true;
}

static const Segment *segment_at(const Session *s, const float *x, int *k) {
  for (*k = 0; *k < s->n_segments; ++*k)
    if (s->params + s->segments[*k].offset == x) return &s->segments[*k];
  return NULL;
}

static bool link_slices(Trainer *t, int i, Diag *d) {
  const ElasticMember *from = &t->elastic->job->members[i];
  Member *m = &t->elastic->members[i];
  Session *wide = t->student;
  m->links = mem_array((size_t)from->n_slices, sizeof *m->links);
  m->own = mem_array((size_t)m->s->n_segments, sizeof *m->own);
  for (int k = 0; k < m->s->n_segments; k++) m->own[k] = m->s->vals[m->s->segments[k].val].param;
  for (int j = 0; j < from->n_slices; j++) {
    const ElasticSlice *s = &from->slices[j];
    TRY(check_slice(t->job->graph, from->graph, s, i, d));
    float *x = session_param(m->s, s->member), *y = session_param(wide, s->wide);
    int k;
    if (!x || !y || !segment_at(m->s, x, &k)) continue;
    m->own[k] = false;
    m->links[m->n_links++] = (Link){.x = x,
                                    .wide_x = y,
                                    .dx = m->s->grads + (x - m->s->params),
                                    .wide_dx = wide->grads + (y - wide->params),
                                    .index = s->index,
                                    .n = shape_count(&from->graph->vals[s->member].shape)};
  }
  for (int k = 0; k < m->s->n_segments; k++) m->any |= m->own[k];
  return true;
}

static void gather(const Member *m) {
  for (int k = 0; k < m->n_links; k++) {
    const Link *l = &m->links[k];
    for (int64_t i = 0; i < l->n; i++) l->x[i] = l->wide_x[l->index[i]];
  }
}

static bool member_open(Trainer *t, int i, Diag *d) {
  Elastic *e = t->elastic;
  Member *m = &e->members[i];
  const SessionOptions so = {.batch = t->batch, .threads = t->o->threads, .training = true, .room = e->room};
  m->s = session_new_on(e->job->members[i].graph, &so, t->pool, d);
  TRY(m->s);
  Shape a = *session_input_shape(m->s), b = *session_input_shape(t->student);
  FAIL_IF(!shape_equal(&a, &b) || session_classes(m->s) != session_classes(t->student), d, NULL,
          "member %d has another input, or number of outputs, than the wide model", i + 1);
  TRY(link_slices(t, i, d));
  gather(m); /* an average begins at the weights */
  if (!m->any) return true;
  const OptimizerOptions oo = train_optimizer(t->o);
  optimizer_new(&m->optimizer, m->s, &oo);
  m->optimizer.only = m->own;
  return true;
}

/* The widest first: the room is then large enough for almost all. */
static bool open_members(Trainer *t, Diag *d) {
  Elastic *e = t->elastic;
  TRY(member_open(t, e->widest, d));
  for (int i = 0; i < e->job->n_members; i++)
    if (i != e->widest) TRY(member_open(t, i, d));
  return true;
}

bool elastic_open(Trainer *t, Diag *d) {
  Elastic *e = t->elastic;
  TRY(check_options(e->job, d));
  find_ends(e);
  e->room = room_new();
  e->members = mem_array((size_t)e->job->n_members, sizeof *e->members);
  e->active = mem_array((size_t)e->job->n_members + 2, sizeof *e->active);
  const SessionOptions so = {.batch = 1, .threads = t->o->threads, .training = true, .room = e->room};
  t->student = session_new_on(t->job->graph, &so, t->pool, d);
  TRY(t->student && open_members(t, d));
  t->stage = 0;
  Session *widest = e->members[e->widest].s;
  TRY(feed_new(&t->feed, widest, &t->ds->train, &t->ds->spec.normalize, d));
  e->pixels = mem_alloc_aligned(
      (size_t)t->batch * (size_t)session_item(widest, e->job->members[e->widest].graph->inputs[0]) *
          sizeof(float),
      64);
  return true;
}

static void elastic_close(Elastic *e) {
  for (int i = 0; e->members && i < e->job->n_members; i++) {
    Member *m = &e->members[i];
    optimizer_free(&m->optimizer);
    session_free(m->s);
    mem_free(m->links);
    mem_free(m->own);
  }
  mem_free(e->members);
  mem_free(e->active);
  mem_free(e->pixels);
  room_free(e->room);
}

/* -- a step -- */

float *elastic_pixels(const Trainer *t) { return t->elastic->pixels; }

/* -0 is the one number to which every other can be added without a change of its bits. */
static void clear_gradients(Session *wide) {
  for (int64_t i = 0; i < wide->total; i++) wide->grads[i] = -0.0f;
}

static void add_gradients(const Member *m) {
  for (int k = 0; k < m->n_links; k++) {
    const Link *l = &m->links[k];
    for (int64_t i = 0; i < l->n; i++) l->wide_dx[l->index[i]] += m->scale * l->dx[i];
  }
}

/* Each member's by themselves: those of a narrow one are large for long, and clipped with them all others would stand still. */
static float clip_scale(Trainer *t, const Member *m) {
  if (t->o->clip <= 0) return 1;
  return optimizer_clip(&t->optimizer.o, optimizer_norm(&t->elastic->norms, m->s));
}

static double member_step(Trainer *t, Member *m) {
  gather(m);
  const float *z = session_forward(m->s, t->elastic->pixels, t->batch, !t->o->fixed_statistics);
  double loss = step_loss(t, 0, t->batch, z, t->dlogits);
  session_backward(m->s, t->dlogits, t->batch);
  m->scale = clip_scale(t, m);
  add_gradients(m);
  return loss;
}

double elastic_batch(Trainer *t) {
  Elastic *e = t->elastic;
  double loss = 0;
  int64_t correct = 0;
  draw_step(t, t->done);
  clear_gradients(t->student);
  for (int i = 0; i < e->n_active; i++) {
    loss += member_step(t, &e->members[e->active[i]]);
    if (i == 0) correct = t->correct;
  }
  t->correct = correct; /* the widest's */
  return loss / e->n_active;
}

void elastic_update(Trainer *t, float lr) {
  Elastic *e = t->elastic;
  optimizer_step_scaled(&t->optimizer, t->student, lr, 1);
  for (int i = 0; i < e->n_active; i++) {
    Member *m = &e->members[e->active[i]];
    if (m->any) optimizer_step_scaled(&m->optimizer, m->s, lr, m->scale);
  }
}

/* -- checkpoints -- */

void elastic_identity(const Trainer *t, StrBuf *out) {
  const ElasticJob *job = t->elastic->job;
  sb_printf(out, "members drawn a step: %d\n", job->drawn);
  for (int i = 0; i < job->n_members; i++) {
    const ElasticMember *m = &job->members[i];
    Hasher *h = hasher_new();
    hasher_hash(h, graph_hash(m->graph));
    for (int k = 0; k < m->n_slices; k++) {
      const ElasticSlice *s = &m->slices[k];
      hasher_u64(h, (uint64_t)s->member << 32 | s->wide);
      hasher_bytes(h, s->index, (size_t)shape_count(&m->graph->vals[s->member].shape) * sizeof *s->index);
    }
    char hex[HASH_HEX];
    hash_hex(hasher_done(h), hex);
    sb_printf(out, "member %d: %s\n", i + 1, hex);
  }
}

static void visit_member(const Member *m, VisitFn *fn, void *ctx) {
  const Session *s = m->s;
  float *const arrays[] = {s->params, m->optimizer.first, m->optimizer.second, m->optimizer.average};
  for (size_t a = 0; a < sizeof arrays / sizeof *arrays; a++)
    for (int k = 0; arrays[a] && k < s->n_segments; k++)
      if (m->own[k]) fn(ctx, arrays[a] + s->segments[k].offset, s->segments[k].count);
  for (ValId v = 1; v < s->g->n_vals; v++)
    if (s->vals[v].stat && s->vals[v].root == v && s->vals[v].x) fn(ctx, s->vals[v].x, s->vals[v].item);
}

void elastic_visit(const Trainer *t, VisitFn *fn, void *ctx) {
  for (int i = 0; i < t->elastic->job->n_members; i++) visit_member(&t->elastic->members[i], fn, ctx);
}

/* How often each member has run follows from the draws. */
void elastic_resumed(Trainer *t) {
  Elastic *e = t->elastic;
  for (int64_t step = 0; step < t->done; step++) {
    draw_step(t, step);
    for (int i = 0; i < e->n_active; i++) {
      Member *m = &e->members[e->active[i]];
      if (m->any) m->optimizer.steps++;
    }
  }
}

/* -- the result -- */

static int64_t own_bytes(const Trainer *t) {
  int64_t sum = 0;
  for (int i = 0; i < t->elastic->job->n_members; i++) {
    const Member *m = &t->elastic->members[i];
    const Optimizer *o = &m->optimizer;
    sum += m->s->total * (2 + (o->first != NULL) + (o->second != NULL) + (o->average != NULL));
    for (int k = 0; k < m->n_links; k++) sum += m->links[k].n;
  }
  return sum * (int64_t)sizeof(float);
}

static void tell(const Trainer *t, int done, int of) {
  char detail[64];
  if (!t->host || !t->host->progress || t->o->bn_images == 0) return;
  snprintf(detail, sizeof detail, "member %d of %d", done, of);
  t->host->progress(t->host->ctx, "statistics", (double)done / of, detail);
}

static bool finish(Trainer *t, ElasticResult *res, Diag *d) {
  Elastic *e = t->elastic;
  res->n_members = e->job->n_members;
  res->members = mem_array((size_t)res->n_members, sizeof *res->members);
  res->room = room_bytes(e->room);
  res->own = own_bytes(t);
  if (t->optimizer.average) optimizer_take_average(&t->optimizer, t->student);
  res->wide = session_graph(t->student);
  for (int i = 0; i < res->n_members; i++) {
    Member *m = &e->members[i];
    if (m->optimizer.average) optimizer_take_average(&m->optimizer, m->s);
    gather(m);
    res->members[i] = trainer_statistics(t, session_graph(m->s), d);
    TRY(res->members[i]);
    tell(t, i + 1, res->n_members);
  }
  return true;
}

bool elastic_run(const ElasticJob *job, ElasticResult *res, Diag *d) {
  Elastic e = {.job = job};
  Trainer t = trainer_of(&job->train);
  *res = (ElasticResult){0};
  t.elastic = &e;
  bool ok = trainer_run(&t, &res->train, d) && finish(&t, res, d);
  elastic_close(&e); /* its sessions are on the trainer's threads */
  trainer_close(&t);
  if (!ok) elastic_result_free(res);
  return ok;
}

void elastic_result_free(ElasticResult *res) {
  for (int i = 0; i < res->n_members && res->members; i++) graph_free(res->members[i]);
  mem_free(res->members);
  graph_free(res->wide);
  *res = (ElasticResult){0};
}
