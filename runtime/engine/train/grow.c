/* Images that grow during the run (progressive resizing; Karras et al. 2018 and Tan, Le 2021, arXiv:2104.00298, section 4):
 * K stages of equal length, sides from `grow` times the full ones up to them.
 *
 *   stage k:  graph with input [N, h_k, w_k, C]  ->  session and feed of its own; parameters, statistics and the
 *   optimizer's state go over, since all stages' graphs have the same nodes and constants in the same order
 *
 * Which graphs allow another size: graph_with_size (ir/rewrite_size.c). If it refuses, training does.
 */
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "runtime/engine/train/trainer.h"

int grow_stage(const TrainOptions *o, int64_t done, int64_t steps) {
  if (o->grow <= 0 || done >= steps) return o->grow > 0 ? o->grow_stages - 1 : 0;
  return (int)(done * o->grow_stages / steps);
}

static int64_t side(const TrainOptions *o, int64_t full, int stage) {
  double at = (double)stage / (o->grow_stages - 1), share = (double)o->grow + (1 - (double)o->grow) * at;
  int64_t s = (int64_t)(share * (double)full + 0.5);
  return s < 1 ? 1 : s;
}

static bool refuse(int64_t h, int64_t w, Diag *d) {
  diag_error(d, NULL, "the model does not allow images of %lld x %lld, with which training is to begin",
             (long long)h, (long long)w);
  diag_hint(d, "only models whose layers end in a global pool take other sizes; else leave `grow` out");
  return false;
}

static Graph *resized(const Graph *g, int axis, int64_t h, int64_t w, Diag *d) {
  Diag *inner = diag_new();
  Graph *out = graph_with_size(g, axis, h, w, inner);
  diag_free(inner);
  if (!out) refuse(h, w, d);
  return out;
}

/* The first of the two axes of the input that are the images' height and width, as they are or as they are resized for
 * the model; 0: there are none. */
static int image_axis(const Shape *in, const Shape *item) {
  int64_t h, w;
  if (in->rank != 4 || item->rank != 3) return 0;
  if (!input_resized(in, item, &h, &w)) h = item->d[0], w = item->d[1];
  for (int axis = 1; axis <= 2; axis++)
    if (in->d[axis] == h && in->d[axis + 1] == w && in->d[axis == 1 ? 3 : 1] == item->d[2]) return axis;
  return 0;
}

/* -- the session -- */

static void copy_statistics(const Session *from, Session *to) {
  ValId a = 1, b = 1;
  for (;; a++, b++) {
    while (a < from->g->n_vals && !(from->vals[a].stat && from->vals[a].x)) a++;
    while (b < to->g->n_vals && !(to->vals[b].stat && to->vals[b].x)) b++;
    if (a >= from->g->n_vals || b >= to->g->n_vals) break;
    ASSERT(from->vals[a].item == to->vals[b].item);
    memcpy(to->vals[b].x, from->vals[a].x, (size_t)to->vals[b].item * sizeof(float));
  }
  ASSERT(a >= from->g->n_vals && b >= to->g->n_vals);
}

static Session *open_session(const Trainer *t, const Graph *g, Diag *d) {
  ValId *taps = mem_array((size_t)t->n_pairs + 1, sizeof *taps);
  for (int i = 0; i < t->n_pairs; i++) taps[i] = t->pairs[i].student;
  SessionOptions so = {
      .batch = t->batch, .threads = t->o->threads, .training = true, .taps = taps, .n_taps = t->n_pairs};
  Session *s = session_new_on(g, &so, t->pool, d);
  mem_free(taps);
  return s;
}

bool grow_student(Trainer *t, int stage, Diag *d) {
  const Graph *g = t->job->graph;
  const Shape *item = &t->ds->train.item;
  Graph *sized = NULL;
  int64_t h = 0, w = 0;
  if (t->o->grow > 0) {
    const Shape *in = &g->vals[g->inputs[0]].shape;
    int axis = g->n_inputs == 1 ? image_axis(in, item) : 0;
    FAIL_IF(!axis, d, NULL,
            "images can grow only for models of one input [N, height, width, channels] that images fit");
    h = side(t->o, in->d[axis], stage);
    w = side(t->o, in->d[axis + 1], stage);
    sized = resized(g, axis, h, w, d);
    TRY(sized);
  }
  Session *s = open_session(t, sized ? sized : g, d);
  if (s && t->student) {
    ASSERT(s->total == t->student->total);
    memcpy(s->params, t->student->params, (size_t)s->total * sizeof(float));
    copy_statistics(t->student, s);
  }
  feed_free(&t->feed);
  session_free(t->student);
  graph_free(t->sized);
  t->student = s;
  t->sized = sized;
  t->stage = stage;
  return s && feed_new_sized(&t->feed, s, &t->ds->train, &t->ds->spec.normalize, h, w, d);
}
