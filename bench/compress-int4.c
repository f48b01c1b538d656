/* Weights of 4 bits on ResNet-20 (CIFAR-10): what they take off its int8 model's accuracy, and off its flash.
 *
 *   make bench-compress-int4                             -> bench/results/compress-int4.json
 *   build/release/bench/compress-int4 -v                 validation images instead of the test images; writes no result file
 *     -e EPOCHS  of training (0: none)    -n IMAGES  to train on (0: all 50,000)    -w FOLDER  where nets are kept
 *     With another number of epochs or images no result file is written either.
 *
 *   int8            quantize                                  calibration alone, what the others stand beside
 *   int4, nearest   quantize{weights=int4,rounding=nearest}   the same
 *   int4            quantize{weights=int4}                    the same: GPTQ's rounding on the layers' Gram matrices
 *   int4, trained   qat{weights=int4}, distill, quantize      distilled from the float original; the final epoch counts
 *
 * The trained net is kept in the folder with its checkpoint: a run that was stopped goes on. Empty the folder after a change
 * of the passes or the engine. Flash and cycles: the cost model's, on a Cortex-M4.
 */
#include <math.h>
#include <unistd.h>

#include "backend/backend.h"
#include "bench/compress_common.h"
#include "frontend/onnx/onnx.h"

#define PREPARE "fold,layout,fold,dce,bnfuse,fuse,fold"
#define MODEL   "models/onnx/resnet20_cifar10j_dynbatch_bn.onnx"

enum { EPOCHS = 2, CALIBRATE = 512 /* quantize's default */ };

typedef struct Options {
  bool validation;
  int epochs, images;
  const char *folder;
} Options;

typedef struct Run {
  Bench *b;
  const Options *o;
  Arena *a;
  Dataset ds;
  const Split *score;
} Run;

static Graph *load(const Run *r, const char *path) {
  Blob *blob = blob_map(path);
  if (!blob) return NULL;
  Graph *g = graph_deserialize(blob, path, r->b->d);
  blob_unref(blob);
  bench_must(r->b, g != NULL);
  return g;
}

/* Training what int4 will compute, from where calibration has put it. */
static Graph *trained(const Run *r, const Graph *real) {
  const char *key = arena_printf(r->a, "%s/int4-e%d-n%u", r->o->folder, r->o->epochs, r->ds.train.n),
             *path = arena_printf(r->a, "%s.mistify", key);
  Graph *done = load(r, path);
  if (done) return done;
  Graph *sim = bench_passes(r->b, real, "qat{weights=int4}", &r->ds, NULL);
  TrainOptions o;
  train_options_default(&o);
  o.epochs = r->o->epochs, o.batch = 128, o.threads = r->b->host.threads;
  o.lr = 2e-4f, o.weight_decay = 1e-4f, o.warmup = 0.02f, o.mix = 0.9f, o.temperature = 4;
  o.augment = r->ds.spec.augment;
  o.seed = 1;
  o.checkpoint_path = arena_printf(r->a, "%s.ckpt", key);
  const TrainJob job = {
      .graph = sim, .teachers = &real, .n_teachers = 1, .data = &r->ds, .options = &o, .host = &r->b->host};
  TrainResult result;
  done = train_run(&job, &result, r->b->d);
  bench_must(r->b, done != NULL);
  printf("  trained: %d epochs in %.0f s\n", o.epochs, result.seconds);
  StrBuf bytes = {0};
  graph_serialize(done, &bytes);
  bench_must(r->b, file_write(path, sb_str(&bytes), bytes.len, r->b->d));
  sb_free(&bytes);
  unlink(o.checkpoint_path);
  graph_free(sim);
  return done;
}

static Cost cost_of(const Run *r, const Graph *g) {
  Cost c;
  bench_must(r->b, backend_cost(g, target_find("cortex-m4"), &c, r->b->d));
  return c;
}

/* g quantized; peer: the int8 model's scores and cost, NULL for the int8 model itself. */
static void rows_of(const Run *r, const char *name, const Graph *g, const Scores *s, const char *how,
                    const Scores *peer, const Cost *peer_cost, double aim) {
  const Cost c = cost_of(r, g);
  const double flash = (double)c.flash / 1000, cycles = (double)c.cycles / 1e6;
  double lo, hi;
  const Row own[] = {{name, "accuracy", "%", "higher", how, scores_percent(s), NAN, NULL, 0},
                     {name, "flash, Cortex-M4", "KB", "lower", "cost model", flash, NAN, peer ? "int8" : NULL,
                      peer ? (double)peer_cost->flash / 1000 : 0},
                     {name, "cycles, Cortex-M4", "million", "lower", "cost model", cycles, NAN,
                      peer ? "int8" : NULL, peer ? (double)peer_cost->cycles / 1e6 : 0}};
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) bench_row(r->b, &own[i]);
  if (!peer) return;
  scores_interval(s, peer, &lo, &hi);
  const Row beside[] = {
      {name, "minus int8", "points", "higher", how, scores_percent(s) - scores_percent(peer), aim, NULL, 0},
      {name, "interval from", "points", "higher", "95 %, paired bootstrap over images", lo, NAN, NULL, 0},
      {name, "interval to", "points", "higher", "95 %, paired bootstrap over images", hi, NAN, NULL, 0}};
  for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) bench_row(r->b, &beside[i]);
}

/* A way to int4, scored beside int8. */
static void int4_case(const Run *r, const char *name, const Graph *from, const char *text, const char *how,
                      const Scores *int8, const Cost *int8_cost, double aim) {
  Graph *q = bench_passes(r->b, from, text, &r->ds, NULL);
  Scores s = scores_of(r->b, q, r->score, &r->ds.spec.normalize);
  rows_of(r, name, q, &s, how, int8, int8_cost, aim);
  scores_free(&s);
  graph_free(q);
}

static void run_cases(const Run *r) {
  Graph *file = onnx_import(bench_data(MODEL), r->b->d);
  bench_must(r->b, file != NULL);
  Graph *real = bench_passes(r->b, file, PREPARE, &r->ds, NULL);
  const uint32_t calibrate = r->ds.train.n < CALIBRATE ? r->ds.train.n : CALIBRATE;
  const char *images = r->o->validation ? "2,000 validation images" : "8,000 test images",
             *plain =
                 arena_printf(r->a, "%s; calibrated on %u training images, not trained", images, calibrate);
  Scores f = scores_of(r->b, real, r->score, &r->ds.spec.normalize);
  bench_row(r->b,
            &(Row){"ResNet-20, float", "accuracy", "%", "higher", images, scores_percent(&f), NAN, NULL, 0});
  Graph *q = bench_passes(r->b, real, "quantize", &r->ds, NULL);
  Scores int8 = scores_of(r->b, q, r->score, &r->ds.spec.normalize);
  const Cost cost = cost_of(r, q);
  rows_of(r, "ResNet-20, int8", q, &int8, plain, NULL, NULL, NAN);
  int4_case(r, "ResNet-20, int4, nearest", real, "quantize{weights=int4,rounding=nearest}", plain, &int8,
            &cost, NAN);
  int4_case(r, "ResNet-20, int4", real, "quantize{weights=int4}", plain, &int8, &cost, -0.5);
  if (r->o->epochs > 0) {
    Graph *sim = trained(r, real);
    const char *how = arena_printf(r->a, "%s; %d epochs, %lld images seen, distilled from the float original",
                                   images, r->o->epochs, (long long)r->o->epochs * r->ds.train.n);
    int4_case(r, "ResNet-20, int4, trained", sim, "quantize", how, &int8, &cost, -0.5);
    graph_free(sim);
  }
  scores_free(&f);
  scores_free(&int8);
  graph_free(q);
  graph_free(real);
  graph_free(file);
}

static bool parse(int argc, char **argv, Options *o) {
  for (int k; (k = getopt(argc, argv, "ve:n:w:")) != -1;) {
    if (k == 'v')
      o->validation = true;
    else if (k == 'e')
      o->epochs = (int)strtol(optarg, NULL, 10);
    else if (k == 'n')
      o->images = (int)strtol(optarg, NULL, 10);
    else if (k == 'w')
      o->folder = optarg;
    else
      return false;
  }
  return o->epochs >= 0 && o->images >= 0;
}

int main(int argc, char **argv) {
  Options o = {.epochs = EPOCHS, .folder = "build/bench-compress"};
  if (!parse(argc, argv, &o)) {
    fprintf(stderr, "usage: %s [-v] [-e EPOCHS] [-n IMAGES] [-w FOLDER]\n", argv[0]);
    return 1;
  }
  if (!file_exists(bench_data(MODEL))) {
    printf("compress-int4: no %s: skipped\n", bench_data(MODEL));
    return 0;
  }
  Bench b;
  Split test = {0};
  Run r = {.b = &b, .o = &o, .a = arena_new()};
  bench_open(&b, "compress-int4", 2);
  bench_must(&b, file_make_dirs(o.folder, b.d));
  cifar_open(&b, (uint32_t)o.images, &r.ds);
  if (!o.validation) cifar_test(&b, &test);
  r.score = o.validation ? &r.ds.val : &test;
  run_cases(&r);
  dataset_close(&r.ds);
  if (test.n) split_close(&test);
  bench_close(&b, !o.validation && o.epochs == EPOCHS && o.images == 0);
  arena_free(r.a);
  return 0;
}
