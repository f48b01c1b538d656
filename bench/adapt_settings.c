/* Stage 1 of part "gateway": settings from corruptions that we make, of images that are neither photographs nor compressed.
 *
 *   cloud.onnx (examples/01-label-reader)   learned from glyphs as cameras show them, in bytes without loss
 *   glyphs of fonts that it never saw (the validation split), through a worse lens, sensor, or light: 2,000 without labels to
 *   learn from, 2,000 others with labels to measure
 *   every candidate of the grid on every shift -> points gained -> the best mean; of equals the earlier
 *
 * JPEG is none of the shifts here, and no file of CIFAR is opened: CIFAR's copies, training images too, are JPEG files, and no
 * setting is to have seen one. Stage 2 (adapt_gateway.c) takes what wins, whatever it is.
 */
#include "bench/adapt_settings.h"

#include "bench/adapt_retailor.h"
#include "frontend/onnx/onnx.h"

#define EXAMPLE "examples/01-label-reader/"

enum { LEARN = 2000, MEASURE = 2000, SHIFTS = 3 };

/* The grid: with images as they are or augmented as the model was trained, which the statistics alone decide; then how long, and
 * at which rate. All else (batch, temperature, views) is retailor_default's; passes and rate of that are what came out here once, so
 * that nothing here reads them but to say whether they still do. */
static const double grid_epochs[] = {1, 2, 4};
static const float grid_lr[] = {0.0005f, 0.002f, 0.008f};
enum { EPOCHS = sizeof grid_epochs / sizeof *grid_epochs, RATES = sizeof grid_lr / sizeof *grid_lr };

static const CorruptKind kinds[SHIFTS] = {CORRUPT_BLUR, CORRUPT_NOISE, CORRUPT_EXPOSURE};

typedef struct Shift {
  Dataset local; /* no labels */
  Split eval;
  Scores before;
} Shift;

typedef struct Stage {
  Adapt *ad;
  Graph *g;
  Shift at[SHIFTS];
} Stage;

static void open_shift(Stage *t, int k) {
  const uint32_t n = t->ad->quick ? 200 : LEARN, m = t->ad->quick ? 200 : MEASURE;
  Shift *s = &t->at[k];
  s->local.spec.normalize = (Normalize){.n = 1, .scale = {2.0f / 255}, .offset = {-1}};
  s->local.train = adapt_glyphs(t->ad, EXAMPLE "data", 0, n, kinds[k]);
  s->local.train.y = NULL;
  s->eval = adapt_glyphs(t->ad, EXAMPLE "data", n, m, kinds[k]);
  s->before = scores_of(t->ad->b, t->g, &s->eval, &s->local.spec.normalize);
}

static bool open_stage(Stage *t) {
  const char *none = bench_no_glyphs(t->ad->a);
  if (none) {
    adapt_skip(t->ad, none);
    return false;
  }
  Graph *read = onnx_import(EXAMPLE "cloud.onnx", t->ad->b->d);
  bench_must(t->ad->b, read != NULL);
  t->g = bench_passes(t->ad->b, read, "fold,layout,fold,dce", NULL, NULL);
  graph_free(read);
  for (int k = 0; k < SHIFTS; k++) open_shift(t, k);
  return true;
}

static void close_stage(Stage *t) {
  for (int k = 0; k < SHIFTS; k++) {
    scores_free(&t->at[k].before);
    split_close(&t->at[k].local.train);
    split_close(&t->at[k].eval);
  }
  graph_free(t->g);
}

/* Mean of the points gained over the shifts; each goes into `how`. */
static double gained(const Stage *t, const RetailorOptions *o, StrBuf *how) {
  double sum = 0;
  for (int k = 0; k < SHIFTS; k++) {
    const Shift *s = &t->at[k];
    Graph *m = retailored(t->ad, "settings", t->g, NULL, 0, &s->local, o);
    Scores after = scores_of(t->ad->b, m, &s->eval, &s->local.spec.normalize);
    sum += scores_percent(&after) - scores_percent(&s->before);
    sb_printf(how, "%s%s %.2f -> %.2f", k ? ", " : "", corrupt_name(kinds[k]), scores_percent(&s->before),
              scores_percent(&after));
    scores_free(&after);
    graph_free(m);
  }
  return sum / SHIFTS;
}

static void set_augment(Stage *t, bool augmented) {
  for (int k = 0; k < SHIFTS; k++) t->at[k].local.spec.augment.crop = augmented; /* 1: as in its design */
}

static double candidate(const Stage *t, const char *name, const RetailorOptions *o) {
  StrBuf how = {0};
  const double points = gained(t, o, &how);
  adapt_figure(
      t->ad, arena_printf(t->ad->a, "settings: %s", name), "accuracy gained, made shifts", points, "points",
      "higher",
      arena_printf(t->ad->a, "label reader, severity %d, %% right: %s", ADAPT_SEVERITY, sb_str(&how)));
  sb_free(&how);
  return points;
}

static bool choose_augment(Stage *t) {
  RetailorOptions o;
  retailor_default(&o);
  o.epochs = 0;
  set_augment(t, false);
  const double plain = candidate(t, "statistics, images as they are", &o);
  set_augment(t, true);
  return candidate(t, "statistics, images augmented", &o) > plain;
}

static void choose_length(const Stage *t, RetailorOptions *out) {
  RetailorOptions o;
  double best = -INFINITY;
  retailor_default(&o);
  for (int i = 0; i < EPOCHS; i++)
    for (int k = 0; k < RATES; k++) {
      o.epochs = grid_epochs[i], o.lr = grid_lr[k];
      const double points =
          candidate(t, arena_printf(t->ad->a, "%g passes at %g", o.epochs, (double)o.lr), &o);
      if (points > best) best = points, *out = o;
    }
}

bool settings_choose(Adapt *ad, RetailorOptions *out, bool *augmented) {
  Stage t = {.ad = ad};
  RetailorOptions usual;
  if (!open_stage(&t)) return false;
  *augmented = choose_augment(&t);
  set_augment(&t, *augmented);
  choose_length(&t, out);
  close_stage(&t);
  retailor_default(&usual);
  printf("  chosen: images %s, %g passes at %g; `mistify adapt` by itself takes %g at %g\n",
         *augmented ? "augmented" : "as they are", out->epochs, (double)out->lr, usual.epochs,
         (double)usual.lr);
  fflush(stdout);
  return true;
}
