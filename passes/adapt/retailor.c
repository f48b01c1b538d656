/* Local data on a gateway: statistics first, then self-training.
 *
 *   shipped model --statistics of local images--> student, and first teacher
 *   larger models --statistics of local images--> more teachers
 *   student learns the teachers' mean answer, both seeing the same flipped and shifted image (and labels, where there are)
 *   --average of the weights, statistics once more--> result
 *
 * Adapting statistics: Li et al. 2016 (arXiv:1603.04779). Learning from one's own answers under augmentation: Xie et al. 2020
 * (arXiv:1911.04252), soft answers and one round. Several teachers are averaged after their softmax (engine/loss.h).
 */
#include "passes/adapt/retailor.h"

#include <string.h>

#include "ir/base/mem.h"

void retailor_default(RetailorOptions *o) {
  *o = (RetailorOptions){
      .epochs = 2, .batch = 64, .lr = 0.002f, .temperature = 2, .mix = 0.5f, .views = 1, .seed = 1};
}

static bool has_bn(const Graph *g) {
  for (NodeId i = 0; i < g->n_nodes; i++)
    if (g->nodes[i].op == OP_batch_normalization) return true;
  return false;
}

static void set_options(const RetailorOptions *o, const Dataset *ds, const Host *host, TrainOptions *t) {
  train_options_default(t);
  t->images = (int64_t)(o->epochs * ds->train.n + 0.5);
  t->batch = o->batch;
  t->lr = o->lr;
  t->temperature = o->temperature;
  t->mix = ds->train.y ? o->mix : 1;
  t->augment = ds->spec.augment;
  /* A bank pays where every view is seen at least twice. */
  t->views = o->epochs >= 2 * o->views ? o->views : 0;
  const double steps = (double)t->images / t->batch;
  t->average = steps > 20 ? (float)(1 - 10 / steps) : 0; /* over the last tenth of the run */
  t->bn_images = ds->train.n;
  t->seed = o->seed;
  t->threads = host && host->threads > 0 ? host->threads : 1;
}

/* On images augmented as the model was trained: of images as they are, statistics are others, and worse than the shipped ones
 * (ResNet-20, 1,000 JPEG images: 80.3 % shipped, 79.3 as they are, 82.8 flipped and cropped). */
static Graph *local_statistics(const Graph *g, const Dataset *ds, const RetailorOptions *o, const Host *host,
                               Diag *d) {
  TrainOptions t;
  train_options_default(&t);
  t.augment = ds->spec.augment;
  t.seed = o->seed;
  return trained_bn(g, ds, &t, ds->train.n, host, d);
}

/* teachers [n + 1] (written): the student and the larger ones, with local statistics. */
static bool make_teachers(const Graph *student, const Graph *const *larger, int n, const Dataset *ds,
                          const RetailorOptions *o, const Host *host, Graph **teachers, Diag *d) {
  teachers[0] = graph_clone(student);
  for (int i = 0; i < n; i++) {
    teachers[i + 1] = local_statistics(larger[i], ds, o, host, d);
    TRY(teachers[i + 1]);
  }
  return true;
}

static Graph *self_train(const Graph *student, Graph *const *teachers, int n, const Dataset *ds,
                         const RetailorOptions *o, const Host *host, TrainResult *res, Diag *d) {
  TrainOptions t;
  set_options(o, ds, host, &t);
  const TrainJob job = {.graph = student,
                        .teachers = (const Graph *const *)teachers,
                        .n_teachers = n,
                        .data = ds,
                        .options = &t,
                        .host = host};
  return train_run(&job, res, d);
}

Graph *retailor(const Graph *g, const Graph *const *larger, int n, const Dataset *ds,
                const RetailorOptions *o, const Host *host, Retailored *res, Diag *d) {
  Retailored made = {.statistics = has_bn(g) ? ds->train.n : 0, .teachers = n + 1};
  if (ds->train.n == 0) {
    diag_error(d, NULL, "there is no local data");
    return NULL;
  }
  Graph *student = local_statistics(g, ds, o, host, d), *out = student;
  if (student && o->epochs > 0) {
    Graph **teachers = mem_array((size_t)n + 1, sizeof *teachers);
    out = make_teachers(student, larger, n, ds, o, host, teachers, d)
              ? self_train(student, teachers, n + 1, ds, o, host, &made.train, d)
              : NULL;
    for (int i = 0; i <= n; i++) graph_free(teachers[i]);
    mem_free(teachers);
    graph_free(student);
  }
  if (res) *res = made;
  return out;
}
