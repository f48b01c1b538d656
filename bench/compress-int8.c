/* int8 after calibration alone, no retraining: what it takes off the float models' accuracy.
 *
 *   make bench-compress-int8                                   writes bench/results/compress-int8.json
 *   build/release/bench/compress-int8 validation [passes]      tries passes ("quantize{method=entropy}"); writes nothing
 *
 *   CIFAR-10 ResNets    calibrated on the first training images; 8,000 test images, or the 2,000 validation images
 *   DS-CNN on kws01     five folds: calibrated on 200, scored on the other 800
 *   MobileNetV1 VWW     signal-to-noise ratio of the probabilities on 200 training images of CIFAR-10 made 96x96, calibrated
 *                       on others; beside it the reference's int8 file against its float file, on the same images
 *
 * Differences of accuracy stand with their 95 % interval, by bootstrap over the images (paired: the same images for both
 * nets). Needs ../shared/data; cases whose files are absent are skipped, and said.
 */
#include <math.h>

#include "bench/compress_common.h"
#include "frontend/onnx/onnx.h"
#include "frontend/tflite/tflite.h"
#include "ir/base/mem.h"

enum { CALIBRATION = 512, FOLDS = 5, VWW = 200 };

#define PREPARE "fold,layout,fold,dce,bnfuse,fuse,fold,"

typedef struct Work {
  Bench bench;
  const char *passes; /* behind PREPARE */
  bool final;         /* the test images */
} Work;

static void softmax_rows(Scores *s) {
  for (uint32_t i = 0; i < s->n; i++) {
    float *o = s->out + (size_t)i * s->classes, most = o[0], sum = 0;
    for (uint32_t k = 1; k < s->classes; k++) most = fmaxf(most, o[k]);
    for (uint32_t k = 0; k < s->classes; k++) sum += o[k] = expf(o[k] - most);
    for (uint32_t k = 0; k < s->classes; k++) o[k] /= sum;
  }
}

/* Signal-to-noise ratio of the outputs in dB; the signal without its mean over the images. */
static double output_snr(const Scores *want, const Scores *got) {
  double power = 0, error = 0;
  for (uint32_t k = 0; k < want->classes; k++) {
    double mean = 0;
    for (uint32_t i = 0; i < want->n; i++) mean += (double)want->out[i * want->classes + k] / want->n;
    for (uint32_t i = 0; i < want->n; i++) {
      double x = (double)want->out[i * want->classes + k], e = (double)got->out[i * want->classes + k] - x;
      power += (x - mean) * (x - mean), error += e * e;
    }
  }
  return 10 * log10(power / fmax(error, 1e-30));
}

/* -- nets -- */

typedef struct Pair {
  Graph *real, *codes;
} Pair;

static Pair pair_open(Work *b, const char *model, const Dataset *ds) {
  Graph *g = onnx_import(model, b->bench.d);
  bench_must(&b->bench, g != NULL);
  Pair p = {.real = bench_passes(&b->bench, g, PREPARE "dce", ds, NULL)};
  p.codes = bench_passes(&b->bench, p.real, b->passes, ds, NULL);
  graph_free(g);
  return p;
}

static void pair_free(Pair *p) {
  graph_free(p->real);
  graph_free(p->codes);
}

/* -- CIFAR-10 -- */

static void accuracy_rows(Work *b, const char *name, const Scores *real, const Scores *codes,
                          const char *how) {
  double lo, hi, f = scores_percent(real), q = scores_percent(codes);
  scores_interval(real, codes, &lo, &hi);
  const struct {
    const char *metric, *better;
    double value, aim;
  } rows[] = {{"accuracy, float", "higher", f, NAN},
              {"accuracy, int8", "higher", q, NAN},
              {"float minus int8", "lower", f - q, 0.3},
              {"float minus int8, interval from", "lower", lo, NAN},
              {"float minus int8, interval to", "lower", hi, NAN}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    Row r = {.name = name,
             .metric = rows[i].metric,
             .unit = i < 2 ? "%" : "points",
             .better = rows[i].better,
             .how = how,
             .value = rows[i].value,
             .aim = rows[i].aim};
    bench_row(&b->bench, &r);
  }
  bench_row(&b->bench, &(Row){.name = name,
                              .metric = "signal to noise of the outputs",
                              .unit = "dB",
                              .better = "higher",
                              .how = how,
                              .value = output_snr(real, codes),
                              .aim = NAN});
}

static void cifar_case(Work *b, const char *name, const char *model, Normalize nz, const Dataset *cifar) {
  if (!file_exists(bench_data(model))) {
    printf("%s: %s is absent: skipped\n", name, model);
    return;
  }
  Dataset ds = *cifar;
  ds.spec.normalize = nz;
  Pair p = pair_open(b, bench_data(model), &ds);
  Scores real = scores_of(&b->bench, p.real, &ds.val, &nz),
         codes = scores_of(&b->bench, p.codes, &ds.val, &nz);
  char how[160];
  snprintf(how, sizeof how, "%u %s images; calibrated on the first %d training images; %s", ds.val.n,
           b->final ? "test" : "validation", CALIBRATION, b->passes);
  accuracy_rows(b, name, &real, &codes, how);
  scores_free(&real);
  scores_free(&codes);
  pair_free(&p);
}

/* val: what is scored. */
static Dataset data_open(const Work *b) {
  Dataset ds;
  cifar_open(&b->bench, CALIBRATION + VWW, &ds);
  if (b->final) {
    split_close(&ds.val);
    cifar_test(&b->bench, &ds.val);
  }
  return ds;
}

/* -- DS-CNN -- */

/* The words whose number is (or is not) the fold's, modulo the folds. */
static Split fold_of(const Split *s, uint32_t fold, bool in) {
  size_t item = (size_t)shape_count(&s->item), n = in ? s->n / FOLDS : s->n - s->n / FOLDS;
  char *x = mem_alloc(n * item);
  int32_t *y = mem_array(n, sizeof *y);
  size_t at = 0;
  for (uint32_t i = 0; i < s->n; i++) {
    if ((i % FOLDS == fold) != in) continue;
    memcpy(x + at * item, (const char *)s->x + i * item, item);
    y[at++] = s->y[i];
  }
  Split out = {.n = (uint32_t)n, .item = s->item, .dtype = s->dtype, .x = x, .y = y};
  out.xb = blob_adopt(x, n * item), out.yb = blob_adopt(y, n * sizeof *y);
  return out;
}

static void words_case(Work *b) {
  static const char name[] = "DS-CNN, kws01", model[] = "models/onnx/mlperf_kws_dscnn_logits_dynbatch.onnx";
  char x[512], y[512];
  snprintf(x, sizeof x, "%s", bench_data("kws01/kws01_x_int8.npy"));
  snprintf(y, sizeof y, "%s", bench_data("kws01/kws01_y.npy"));
  if (!file_exists(x) || !file_exists(bench_data(model))) {
    printf("%s: files are absent: skipped\n", name);
    return;
  }
  SplitSpec spec = {.kind = "npy", .x = x, .y = y};
  Split all;
  bench_must(&b->bench, split_open(&spec, &all, b->bench.d));
  Normalize nz = {.n = 1, .scale = {0.5847029089927673f}, .offset = {-83 * 0.5847029089927673f}};
  double loss = 0, least = 100, worst = -100, snr = 0;
  for (uint32_t f = 0; f < FOLDS; f++) {
    Dataset ds = {.train = fold_of(&all, f, true), .val = fold_of(&all, f, false)};
    ds.spec.normalize = nz;
    Pair p = pair_open(b, bench_data(model), &ds);
    Scores real = scores_of(&b->bench, p.real, &ds.val, &nz),
           codes = scores_of(&b->bench, p.codes, &ds.val, &nz);
    double d = scores_percent(&real) - scores_percent(&codes);
    loss += d / FOLDS, worst = fmax(worst, d), least = fmin(least, scores_percent(&codes));
    snr += output_snr(&real, &codes) / FOLDS;
    scores_free(&real), scores_free(&codes);
    pair_free(&p);
    split_close(&ds.train), split_close(&ds.val);
  }
  split_close(&all);
  char how[160];
  snprintf(how, sizeof how, "five folds: calibrated on 200 words, scored on the other 800; %s", b->passes);
  const Row rows[] = {
      {name, "float minus int8, mean of five folds", "points", "lower", how, loss, 0.5, NULL, 0},
      {name, "float minus int8, worst fold", "points", "lower", how, worst, NAN, NULL, 0},
      {name, "accuracy, int8, least of five folds", "%", "higher", how, least, 90, NULL, 0},
      {name, "signal to noise of the outputs, mean", "dB", "higher", how, snr, NAN, NULL, 0}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) bench_row(&b->bench, &rows[i]);
}

/* -- MobileNetV1 -- */

/* Images 32x32 made three times as large, bilinear, pixel centres aligned. */
static Split enlarged(const Split *s, uint32_t first, uint32_t n) {
  enum { FROM = 32, TO = 96 };
  uint8_t *x = mem_alloc((size_t)n * TO * TO * 3), *at = x;
  for (uint32_t i = 0; i < n; i++) {
    const uint8_t *src = (const uint8_t *)s->x + (size_t)(first + i) * FROM * FROM * 3;
    for (int r = 0; r < TO; r++)
      for (int k = 0; k < TO; k++)
        for (int c = 0; c < 3; c++) {
          double u = fmin(FROM - 1, fmax(0, (r + 0.5) / 3 - 0.5)),
                 v = fmin(FROM - 1, fmax(0, (k + 0.5) / 3 - 0.5));
          int u0 = (int)u, v0 = (int)v, u1 = u0 < FROM - 1 ? u0 + 1 : u0, v1 = v0 < FROM - 1 ? v0 + 1 : v0;
          double du = u - u0, dv = v - v0;
          double y =
              (1 - du) * ((1 - dv) * src[(u0 * FROM + v0) * 3 + c] + dv * src[(u0 * FROM + v1) * 3 + c]) +
              du * ((1 - dv) * src[(u1 * FROM + v0) * 3 + c] + dv * src[(u1 * FROM + v1) * 3 + c]);
          *at++ = (uint8_t)lround(y);
        }
  }
  int32_t *y = mem_array(n, sizeof *y); /* no labels: they are not looked at */
  Split out = {.n = n, .item = {3, {TO, TO, 3}}, .dtype = DT_U8, .x = x, .y = y};
  out.xb = blob_adopt(x, (size_t)n * TO * TO * 3), out.yb = blob_adopt(y, n * sizeof *y);
  return out;
}

static double file_snr(Work *b, const Graph *real, const Graph *codes, const Dataset *ds) {
  Scores f = scores_of(&b->bench, real, &ds->val, &ds->spec.normalize),
         q = scores_of(&b->bench, codes, &ds->val, &ds->spec.normalize);
  softmax_rows(&f); /* the engine gives logits */
  double snr = output_snr(&f, &q);
  scores_free(&f);
  scores_free(&q);
  return snr;
}

static void vww_case(Work *b, const Dataset *cifar) {
  static const char name[] = "MobileNetV1 VWW", model[] = "models/onnx/mlperf_vww_mobilenetv1.onnx";
  if (!file_exists(bench_data(model)) || !file_exists(bench_data("models/tflite/vww_96_int8.tflite"))) {
    printf("%s: files are absent: skipped\n", name);
    return;
  }
  Dataset ds = {.train = enlarged(&cifar->train, 0, CALIBRATION),
                .val = enlarged(&cifar->train, CALIBRATION, VWW)};
  ds.spec.normalize = (Normalize){.n = 1, .scale = {1.0f / 255}};
  Graph *real = tflite_import(bench_data("models/tflite/vww_96_float.tflite"), b->bench.d),
        *codes = tflite_import(bench_data("models/tflite/vww_96_int8.tflite"), b->bench.d);
  bench_must(&b->bench, real && codes);
  double reference = file_snr(b, real, codes, &ds);
  graph_free(real);
  graph_free(codes);
  Pair p = pair_open(b, bench_data(model), &ds);
  char how[200];
  snprintf(how, sizeof how,
           "probabilities on %d CIFAR-10 training images made 96x96; calibrated on %d others; %s", VWW,
           CALIBRATION, b->passes);
  bench_row(&b->bench, &(Row){name, "signal to noise of the outputs", "dB", "higher", how,
                              file_snr(b, p.real, p.codes, &ds), reference,
                              "vww_96_int8.tflite against vww_96_float.tflite", reference});
  pair_free(&p);
  split_close(&ds.train);
  split_close(&ds.val);
}

static void run_cases(Work *b) {
  if (file_exists(bench_data("cifar10/train.bin.xz"))) {
    Dataset cifar = data_open(b), first = cifar;
    first.train.n = CALIBRATION;
    cifar_case(b, "ResNet-8", "models/onnx/mlperf_ic_resnet8_logits_dynbatch.onnx", (Normalize){0}, &first);
    cifar_case(b, "ResNet-20", "models/onnx/resnet20_cifar10j_dynbatch_bn.onnx", bench_imagenet(), &first);
    cifar_case(b, "ResNet-56", "models/onnx/resnet56_cifar10j_dynbatch_bn.onnx", bench_imagenet(), &first);
    vww_case(b, &cifar);
    split_close(&cifar.train);
    split_close(&cifar.val);
  } else {
    printf("CIFAR-10 is absent: its cases and VWW's are skipped\n");
  }
  words_case(b);
}

int main(int argc, char **argv) {
  Work b = {.final = argc<2, .passes = argc> 2 ? argv[2] : "quantize"};
  bench_open(&b.bench, "compress-int8", 2);
  run_cases(&b);
  bench_close(&b.bench, b.final);
  return 0;
}
