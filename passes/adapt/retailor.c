/* Local data on a gateway: statistics first, then self-training.
 *
 *   shipped model --statistics of local images--> student, and first teacher
 *   larger models --statistics of local images--> more teachers
 *   student learns the teachers' mean answer, both seeing the same flipped and shifted image (and labels, where there are)
 *   --average of the weights, statistics once more--> result
 *
 * Variants that share weights (passes/elastic.h) learn together, the widest being the student above; all of them have its teachers.
 *
 * Adapting statistics: Li et al. 2016 (arXiv:1603.04779). Learning from one's own answers under augmentation: Xie et al. 2020
 * (arXiv:1911.04252), soft answers and one round. Several teachers are averaged after their softmax (engine/loss.h).
 */
#include "passes/adapt/retailor.h"

#include <string.h>

#include "ir/base/mem.h"
#include "passes/elastic.h"

void retailor_default(RetailorOptions *o) {
  *o = (RetailorOptions){
      .epochs = 4, .batch = 64, .lr = 0.008f, .temperature = 2, .mix = 0.5f, .views = 1, .seed = 1};
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

/* -- families -- */

static void free_graphs(Graph **g, int n) {
  for (int i = 0; i < n; i++) {
    graph_free(g[i]);
    g[i] = NULL;
  }
}

/* All members learn in every step. */
static bool train_together(Graph *const *students, int n_students, Graph *const *teachers, int n,
                           const Dataset *ds, const RetailorOptions *o, const Host *host, Graph **out,
                           TrainResult *res, Diag *d) {
  TrainOptions t;
  ElasticFamily f;
  ElasticResult r = {0};
  set_options(o, ds, host, &t);
  t.clip = ELASTIC_CLIP;
  bool ok = elastic_variants((const Graph *const *)students, n_students, &f, d);
  const ElasticJob job = {.train = {.graph = students[0],
                                    .teachers = (const Graph *const *)teachers,
                                    .n_teachers = n,
                                    .data = ds,
                                    .options = &t,
                                    .host = host},
                          .members = f.members,
                          .n_members = n_students,
                          .drawn = n_students > 2 ? n_students - 2 : 0};
  ok = ok && elastic_run(&job, &r, d);
  for (int i = 0; ok && i < n_students; i++) out[i] = r.members[i], r.members[i] = NULL;
  *res = r.train;
  elastic_result_free(&r);
  elastic_family_free(&f);
  return ok;
}

/* students [n_students]: taken over, or replaced by what was trained of them. */
static bool train_students(Graph **students, int n_students, const Graph *const *larger, int n,
                           const Dataset *ds, const RetailorOptions *o, const Host *host, Retailored *made,
                           Diag *d) {
  Graph **teachers = mem_array((size_t)n + 1, sizeof *teachers),
        **trained = mem_array((size_t)n_students, sizeof *trained);
  bool ok = make_teachers(students[0], larger, n, ds, o, host, teachers, d);
  if (ok && n_students == 1)
    ok = (trained[0] = self_train(students[0], teachers, n + 1, ds, o, host, &made->train, d)) != NULL;
  else
    ok = ok && train_together(students, n_students, teachers, n + 1, ds, o, host, trained, &made->train, d);
  if (ok) {
    free_graphs(students, n_students);
    memcpy(students, trained, (size_t)n_students * sizeof *students);
  }
  free_graphs(teachers, n + 1);
  mem_free(teachers);
  mem_free(trained);
  return ok;
}

bool retailor_family(const Graph *const *variants, int n_variants, const Graph *const *larger, int n,
                     const Dataset *ds, const RetailorOptions *o, const Host *host, Graph **out,
                     Retailored *res, Diag *d) {
  Retailored made = {
      .examples = ds->train.n, .statistics = has_bn(variants[0]) ? ds->train.n : 0, .teachers = n + 1};
  ElasticFamily f = {0};
  FAIL_IF(ds->train.n == 0, d, NULL, "there is no local data");
  /* That they are a family, before anything is computed. */
  bool ok = n_variants == 1 || elastic_variants(variants, n_variants, &f, d);
  elastic_family_free(&f);
  for (int i = 0; i < n_variants; i++)
    ok = (out[i] = ok ? local_statistics(variants[i], ds, o, host, d) : NULL) != NULL;
  if (ok && o->epochs > 0) ok = train_students(out, n_variants, larger, n, ds, o, host, &made, d);
  if (!ok) free_graphs(out, n_variants);
  if (res) *res = made;
  return ok;
}

Graph *retailor(const Graph *g, const Graph *const *larger, int n, const Dataset *ds,
                const RetailorOptions *o, const Host *host, Retailored *res, Diag *d) {
  Graph *out;
  return retailor_family(&g, 1, larger, n, ds, o, host, &out, res, d) ? out : NULL;
}
