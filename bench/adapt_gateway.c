/* The gateway on real images of another domain, without labels: BatchNormalization's statistics, then self-training, alone and
 * beside a larger teacher that has seen no such image either. Settings are those of `mistify adapt`.
 */
#include "bench/adapt_shift.h"
#include "passes/adapt/retailor.h"

#define STUDENT "resnet20_cifar10_dynbatch_bn.onnx"
#define TEACHER "resnet56_cifar10_bn.onnx"

typedef struct Gateway {
  Adapt *ad;
  Dataset local;
  Split eval;
  Graph *student, *teacher;
  Scores before;
} Gateway;

/* Kept under what it was made from. */
static Graph *kept(const Gateway *g, const char *path) {
  Blob *bytes = file_exists(path) ? blob_map(path) : NULL;
  Graph *out = bytes ? graph_deserialize(bytes, path, g->ad->b->d) : NULL;
  blob_unref(bytes);
  return out;
}

static void keep(const Gateway *g, const char *path, const Graph *made) {
  StrBuf b = {0};
  graph_serialize(made, &b);
  bench_must(g->ad->b, file_write(path, b.s, b.len, g->ad->b->d));
  sb_free(&b);
}

static Graph *adapted(Gateway *g, const char *name, const RetailorOptions *o, bool larger) {
  char student[HASH_HEX], teacher[HASH_HEX];
  hash_hex(graph_hash(g->student), student);
  hash_hex(graph_hash(g->teacher), teacher);
  const char *path =
      arena_printf(g->ad->a, "%s/%s-%g-%d-%g-%g-%g-%d-%llu-%u-%.8s-%.8s.mistify", g->ad->folder, name,
                   o->epochs, o->batch, (double)o->lr, (double)o->temperature, (double)o->mix, o->views,
                   (unsigned long long)o->seed, g->local.train.n, student, teacher);
  Graph *out = kept(g, path);
  Retailored made;
  if (out) return out;
  out = retailor(g->student, (const Graph *const *)&g->teacher, larger, &g->local, o, &g->ad->b->host, &made,
                 g->ad->b->d);
  bench_must(g->ad->b, out != NULL);
  printf("  %s: %.0f s\n", name, made.train.seconds);
  keep(g, path, out);
  return out;
}

static void tell(Gateway *g, const char *name, const Graph *model, double aim, const char *how) {
  Scores s = scores_of(g->ad->b, model, &g->eval, &g->local.spec.normalize);
  double lo, hi;
  scores_interval(&s, &g->before, &lo, &hi);
  const double gain = scores_percent(&s) - scores_percent(&g->before);
  adapt_row(g->ad, &(Row){.name = name,
                          .metric = "accuracy gained",
                          .value = gain,
                          .unit = "points",
                          .better = "higher",
                          .aim = aim,
                          .how = arena_printf(
                              g->ad->a,
                              "%.2f %% of %u images before, %.2f %% after; paired interval %.2f to %.2f; %s",
                              scores_percent(&g->before), s.n, scores_percent(&s), lo, hi, how)});
  scores_free(&s);
}

/* The cheap ones first: what costs minutes is kept. */
static void cases(Gateway *g) {
  RetailorOptions o;
  retailor_default(&o);
  const double epochs = g->ad->quick ? 1 : o.epochs;
  o.epochs = 0;
  Graph *m = adapted(g, "statistics", &o, false);
  tell(g, "JPEG, unlabelled, statistics", m, NAN, "BatchNormalization's statistics alone");
  graph_free(m);
  o.epochs = epochs;
  m = adapted(g, "alone", &o, false);
  tell(g, "JPEG, unlabelled, no larger", m, NAN, "self-training beside the shipped model alone");
  graph_free(m);
  for (int k = 1; k <= (g->ad->quick ? 1 : 3); k++) {
    o.seed = (uint64_t)k;
    m = adapted(g, "larger", &o, true);
    tell(g, arena_printf(g->ad->a, "JPEG, unlabelled, draw %d", k), m, 2.0,
         "self-training beside the shipped model and ResNet-56, both of lossless images");
    graph_free(m);
  }
}

void part_gateway(Adapt *ad) {
  if (!shift_there()) {
    adapt_skip(ad, "no CIFAR-10");
    return;
  }
  Gateway g = {.ad = ad,
               .local = {.spec = {.classes = 10,
                                  .normalize = bench_imagenet(),
                                  .calibration = 512,
                                  .augment = {.flip = true, .crop = 4}}}};
  g.local.train = shift_images(ad, 0, shift_local(ad));
  g.local.train.y = NULL;
  g.eval = shift_evaluation(ad);
  g.student = shift_net(ad, STUDENT);
  g.teacher = shift_net(ad, TEACHER);
  g.before = scores_of(ad->b, g.student, &g.eval, &g.local.spec.normalize);
  cases(&g);
  scores_free(&g.before);
  graph_free(g.student);
  graph_free(g.teacher);
  split_close(&g.local.train);
  split_close(&g.eval);
}
