/* The gateway on real images of another domain, without labels, in two stages.
 *
 *   1 settings    chosen on corruptions that we make, of glyphs (adapt_settings.c), which opens no file of CIFAR
 *   2 evaluation  ResNet-20 of lossless images, 5,000 JPEG copies without labels --> statistics; self-training alone; beside
 *                 ResNet-56, of lossless images too: three draws (seeds of order and augmentation)
 *
 * Each result is the difference to the shipped model on the same 5,000 other images, in float and as int8 code. Shipped int8 is
 * calibrated on leaves, as on a device that no photograph has been shown (adapt_device.c); adapted int8 on the local images.
 * That step alone is a row of its own.
 */
#include "bench/adapt_images.h"
#include "bench/adapt_retailor.h"
#include "bench/adapt_settings.h"
#include "bench/adapt_shift.h"
#include "ir/base/mem.h"
#include "passes/input_raw.h"

#define STUDENT "resnet20_cifar10_dynbatch_bn.onnx"
#define TEACHER "resnet56_cifar10_bn.onnx"
#define SHIPPED "layout{input=nhwc},fold,dce,bnfuse,fuse,fold,input_raw,quantize{images=512}"

enum { DRAWS = 3 };

/* A model's answers on the evaluation images. */
typedef struct Both {
  Scores real, int8;
} Both;

typedef struct Gateway {
  Adapt *ad;
  Dataset local;
  Split eval;
  Graph *student, *teacher;
  Both shipped;
} Gateway;

/* -- answers -- */

static Scores int8_scores(const Gateway *g, const Graph *model, const Dataset *calibration) {
  Graph *codes = bench_passes(g->ad->b, model, SHIPPED, calibration, NULL);
  const Normalize bytes = input_raw_normalize(codes, DT_U8);
  Scores s = scores_of(g->ad->b, codes, &g->eval, &bytes);
  graph_free(codes);
  return s;
}

static Both answers(const Gateway *g, const Graph *model) {
  return (Both){scores_of(g->ad->b, model, &g->eval, &g->local.spec.normalize),
                int8_scores(g, model, &g->local)};
}

static void both_free(Both *b) {
  scores_free(&b->real);
  scores_free(&b->int8);
}

static void ship(Gateway *g) {
  Dataset leaves = {.spec = g->local.spec, .train = leaves_new(512, 1)};
  g->shipped.real = scores_of(g->ad->b, g->student, &g->eval, &g->local.spec.normalize);
  g->shipped.int8 = int8_scores(g, g->student, &leaves);
  split_free(&leaves.train);
}

/* -- rows -- */

/* Points that draws [n] gain over `before`, their mean: of each image the share of draws that are right. The interval is of the
 * images; what draws differ by stands in the row. */
static double mean_gain(const Scores *draws, int n, const Scores *before, double *lo, double *hi) {
  double *gain = mem_array(before->n, sizeof *gain), sum = 0;
  for (uint32_t i = 0; i < before->n; i++) {
    gain[i] = -(double)before->right[i];
    for (int k = 0; k < n; k++) gain[i] += (double)draws[k].right[i] / n;
    sum += gain[i];
  }
  gains_interval(gain, before->n, lo, hi);
  mem_free(gain);
  return 100 * sum / before->n;
}

static void tell(const Gateway *g, const char *name, const char *metric, const Scores *draws, int n,
                 const Scores *before, double aim, const char *how) {
  double lo, hi;
  const double gain = mean_gain(draws, n, before, &lo, &hi);
  StrBuf each = {0};
  for (int k = 0; k < n; k++) sb_printf(&each, "%s%.2f", k ? ", " : "", scores_percent(&draws[k]));
  adapt_row(g->ad,
            &(Row){.name = name,
                   .metric = metric,
                   .value = gain,
                   .unit = "points",
                   .better = "higher",
                   .aim = aim,
                   .how = arena_printf(g->ad->a,
                                       "%.2f %% of %u images before, %s after; paired 95 %% interval "
                                       "%.2f to %.2f; %s",
                                       scores_percent(before), before->n, sb_str(&each), lo, hi, how)});
  sb_free(&each);
}

/* One way of learning, n draws of it. */
static void way(const Gateway *g, const char *name, RetailorOptions o, bool larger, int n, double aim,
                const char *how) {
  Scores real[DRAWS], int8[DRAWS];
  for (int k = 0; k < n; k++) {
    o.seed = (uint64_t)k + 1;
    Graph *m = retailored(g->ad,
                          larger         ? "larger"
                          : o.epochs > 0 ? "alone"
                                         : "statistics",
                          g->student, (const Graph *const *)&g->teacher, larger, &g->local, &o);
    const Both b = answers(g, m);
    real[k] = b.real, int8[k] = b.int8;
    graph_free(m);
  }
  tell(g, name, "accuracy gained, float", real, n, &g->shipped.real, NAN, how);
  tell(g, name, "accuracy gained, int8", int8, n, &g->shipped.int8, aim, how);
  for (int k = 0; k < n; k++) {
    scores_free(&real[k]);
    scores_free(&int8[k]);
  }
}

static void evaluate(Gateway *g, const RetailorOptions *chosen) {
  const int n = g->ad->quick ? 1 : DRAWS;
  RetailorOptions o = *chosen;
  Scores again = int8_scores(g, g->student, &g->local);
  tell(g, "JPEG, calibration alone", "accuracy gained, int8", &again, 1, &g->shipped.int8, NAN,
       "nothing learnt: the shipped weights, calibrated on local images instead of leaves");
  scores_free(&again);
  o.epochs = 0;
  way(g, "JPEG, unlabelled, statistics", o, false, n, NAN, "BatchNormalization's statistics alone");
  o.epochs = g->ad->quick ? 1 : chosen->epochs;
  way(g, "JPEG, unlabelled, alone", o, false, 1, NAN, "self-training beside the shipped model alone");
  way(g, "JPEG, unlabelled, larger", o, true, n, 2.0,
      "self-training beside the shipped model and ResNet-56, both of lossless images");
}

static void open_images(Gateway *g, bool augmented) {
  g->local.spec = (DataSpec){.classes = 10, .normalize = bench_imagenet(), .calibration = 512};
  if (augmented) g->local.spec.augment = (Augment){.flip = true, .crop = 4}; /* as ResNet-20 was trained */
  g->local.train = shift_images(g->ad, 0, shift_local(g->ad));
  g->local.train.y = NULL;
  g->eval = shift_evaluation(g->ad);
}

void part_gateway(Adapt *ad) {
  Gateway g = {.ad = ad};
  RetailorOptions chosen;
  bool augmented;
  if (!settings_choose(ad, &chosen, &augmented)) return;
  if (!shift_there()) {
    adapt_skip(ad, "no CIFAR-10");
    return;
  }
  open_images(&g, augmented);
  g.student = shift_net(ad, STUDENT);
  g.teacher = shift_net(ad, TEACHER);
  ship(&g);
  evaluate(&g, &chosen);
  both_free(&g.shipped);
  graph_free(g.student);
  graph_free(g.teacher);
  split_close(&g.local.train);
  split_close(&g.eval);
}
