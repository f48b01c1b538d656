/* Evaluation of an int8 graph: 10,000 CIFAR images through ResNet-20, beside the float forward of the same net.
 *
 *   make bench-eval-int8                       writes bench/results/eval-int8.json
 *   build/release/bench/eval-int8 [images]     fewer: then nothing is written
 *
 * graph_accuracy with this machine's kernels, at one and two threads, in turns with the float graph; the generic kernels
 * (what every machine has) once, on fewer images. Minimum of the rounds, of wall time and of processor time, which says more
 * on a machine that others use too. With ../shared/data the net is the
 * trained one, calibrated on training images, and both accuracies on the validation images stand beside; without it
 * weights are random. Pixels of the timed images are random: speed does not depend on them.
 */
#include <cblas.h>
#include <math.h>
#include <time.h>

#include "backend/backend.h"
#include "bench/support.h"
#include "frontend/onnx/onnx.h"
#include "ir/base/file.h"
#include "ir/base/json.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/base/strbuf.h"
#include "passes/pass.h"
#include "runtime/engine/engine.h"

#define MODEL "../shared/data/models/onnx/resnet20_cifar10j_dynbatch_bn.onnx"
#define TRAIN "../shared/data/cifar10/train.bin.xz"
#define TEST  "../shared/data/cifar10/test.bin.xz"
enum { CALIBRATION = 512, VALIDATION = 2000, ROUNDS = 3, ITEM = 32 * 32 * 3 };

typedef struct Bench {
  Diag *d;
  Graph *real, *codes;
  Dataset ds; /* train: calibration */
  bool trained;
  Split timed;
  JsonWriter *w;
} Bench;

static void must(const Bench *b, bool ok) {
  if (ok) return;
  diag_print(b->d, stderr);
  exit(1);
}

/* -- the net -- */

static ValId conv(Bench *b, Rng *r, ValId x, int64_t o, int64_t stride, Act act) {
  Graph *g = b->real;
  conv_attrs a;
  op_attrs_default(OP_conv, &a);
  int64_t c = graph_val(g, x)->shape.d[3];
  a.strides.v[0] = a.strides.v[1] = stride;
  a.pads = (Ints){4, {1, 1, 1, 1}};
  a.act = (int32_t)act;
  Shape ws = {4, {o, 3, 3, c}}, bs = {1, {o}};
  float *w = mem_array((size_t)(o * 9 * c), sizeof *w);
  for (int64_t i = 0; i < o * 9 * c; i++) w[i] = rng_normal(r) / sqrtf((float)(9 * c));
  ValId in[] = {x, graph_const_data(g, NULL, DT_F32, &ws, w), graph_const_data(g, NULL, DT_F32, &bs, w)};
  mem_free(w);
  ValId y = graph_node(g, OP_conv, &a, in, 3, NULL, NULL, b->d);
  must(b, y != NO_VAL);
  return y;
}

/* Every other pixel, zero channels around. */
static ValId halved(Bench *b, ValId x, int64_t o) {
  const Shape *s = &graph_val(b->real, x)->shape;
  int64_t h = s->d[1] / 2, c = s->d[3];
  slice_attrs a = {.starts = {4, {0}}, .counts = {4, {-1, h, h, c}}, .steps = {4, {1, 2, 2, 1}}};
  pad_attrs p = {.pads = {8, {0, 0, 0, (o - c) / 2, 0, 0, 0, (o - c) / 2}}};
  x = graph_node1(b->real, OP_slice, &a, x, NULL, NULL, b->d);
  return graph_node1(b->real, OP_pad, &p, x, NULL, NULL, b->d);
}

static void random_net(Bench *b) {
  Rng r;
  rng_seed(&r, 1, 1);
  Graph *g = b->real = graph_new("ResNet-20");
  Shape s = {4, {DIM_BATCH, 32, 32, 3}}, ws = {2, {10, 64}};
  ValId x = conv(b, &r, graph_input(g, "image", DT_F32, &s), 16, 1, ACT_RELU);
  for (int i = 0; i < 9; i++) {
    int64_t o = 16 << i / 3, stride = i == 3 || i == 6 ? 2 : 1;
    ValId y = conv(b, &r, conv(b, &r, x, o, stride, ACT_RELU), o, 1, ACT_NONE);
    add_attrs a = {.act = ACT_RELU};
    x = graph_node2(g, OP_add, &a, y, stride == 2 ? halved(b, x, o) : x, NULL, NULL, b->d);
  }
  float w[640];
  for (int i = 0; i < 640; i++) w[i] = rng_normal(&r) / 8;
  reduce_mean_attrs a = {.axes = {2, {1, 2}}, .keepdims = 0};
  ValId in[] = {graph_node1(g, OP_reduce_mean, &a, x, NULL, NULL, b->d),
                graph_const_data(g, NULL, DT_F32, &ws, w)};
  graph_output(g, graph_node(g, OP_fully_connected, NULL, in, 2, NULL, NULL, b->d));
}

static Split random_images(uint32_t n) {
  uint8_t *x = mem_alloc((size_t)n * ITEM);
  int32_t *y = mem_array(n, sizeof *y);
  Rng r;
  rng_seed(&r, 2, 2);
  for (size_t i = 0; i < (size_t)n * ITEM; i++) x[i] = (uint8_t)rng_below(&r, 256);
  Split s = {.n = n, .item = {3, {32, 32, 3}}, .dtype = DT_U8};
  s.xb = blob_adopt(x, (size_t)n * ITEM);
  s.yb = blob_adopt(y, n * sizeof *y);
  s.x = x;
  s.y = y;
  return s;
}

static Graph *passes_on(Bench *b, const Graph *g, const char *text) {
  PassCtx c = {.params = "", .data = &b->ds};
  Graph *out = pipeline_run(g, text, &c, NULL, b->d);
  must(b, out != NULL);
  return out;
}

static void open_all(Bench *b, uint32_t images) {
  static const float mean[] = {0.485f, 0.456f, 0.406f}, dev[] = {0.229f, 0.224f, 0.225f};
  b->trained = file_exists(MODEL) && file_exists(TRAIN);
  b->ds.spec.normalize.n = 3;
  for (int c = 0; c < 3; c++) {
    b->ds.spec.normalize.scale[c] = 1 / (255 * dev[c]);
    b->ds.spec.normalize.offset[c] = -mean[c] / dev[c];
  }
  b->timed = random_images(images);
  SplitSpec some = {.kind = "cifar", .x = TRAIN, .count = CALIBRATION};
  if (b->trained)
    must(b, split_open(&some, &b->ds.train, b->d));
  else
    b->ds.train = random_images(CALIBRATION);
  if (b->trained)
    must(b, (b->real = onnx_import(MODEL, b->d)) != NULL);
  else
    random_net(b);
  Graph *ready = passes_on(b, b->real, "fold,layout,fold,dce,bnfuse,fuse,fold");
  graph_free(b->real);
  b->real = ready;
  b->codes = passes_on(b, ready, "quantize");
}

/* -- measuring -- */

static double now(clockid_t which) {
  struct timespec t;
  clock_gettime(which, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Wall and processor time of one measurement. */
typedef struct Time {
  double wall, cpu;
} Time;

static Time time_of(Bench *b, const Graph *g, const Split *s, const Host *host, Accuracy *a) {
  Time t = {now(CLOCK_MONOTONIC), now(CLOCK_PROCESS_CPUTIME_ID)};
  must(b, graph_accuracy(g, s, &b->ds.spec.normalize, host->threads, host, a, NULL, b->d));
  return (Time){now(CLOCK_MONOTONIC) - t.wall, now(CLOCK_PROCESS_CPUTIME_ID) - t.cpu};
}

static void result(Bench *b, const char *name, const char *metric, double value, const char *unit,
                   bool higher, const char *how) {
  printf("%-44s %-14s %10.3f %s\n", name, metric, value, unit);
  json_object(b->w);
  json_kstr(b->w, "case", name);
  json_kstr(b->w, "metric", metric);
  json_knum(b->w, "value", value);
  json_kstr(b->w, "unit", unit);
  json_kstr(b->w, "better", higher ? "higher" : "lower");
  json_kstr(b->w, "how", how);
  json_end(b->w);
}

static void measure_threads(Bench *b, int threads) {
  Host host = {.threads = threads, .kernels = select_host_kernels};
  Time best[2] = {{1e9, 1e9}, {1e9, 1e9}};
  Accuracy a;
  for (int round = 0; round < ROUNDS; round++)
    for (int i = 0; i < 2; i++) {
      Time t = time_of(b, i ? b->real : b->codes, &b->timed, &host, &a);
      best[i].wall = fmin(best[i].wall, t.wall);
      best[i].cpu = fmin(best[i].cpu, t.cpu);
    }
  char name[80], how[80];
  snprintf(how, sizeof how, "graph_accuracy of %u images; least of %d rounds in turns", b->timed.n, ROUNDS);
  for (int i = 0; i < 2; i++) {
    snprintf(name, sizeof name, "ResNet-20 %s, %u images, %d thread%s", i ? "float" : "int8", b->timed.n,
             threads, threads > 1 ? "s" : "");
    result(b, name, "time", best[i].wall, "s", false, how);
    result(b, name, "processor time", best[i].cpu, "s", false, how);
  }
}

static void measure_generic(Bench *b) {
  Host host = {.threads = 2};
  Split few = b->timed;
  Accuracy a;
  few.n = few.n < 100 ? few.n : 100;
  double t = time_of(b, b->codes, &few, &host, &a).wall * b->timed.n / few.n;
  result(b, "ResNet-20 int8, generic kernels, 2 threads", "time", t, "s", false, "100 images, scaled up");
}

static void measure_accuracy(Bench *b) {
  SplitSpec val = {.kind = "cifar", .x = TEST, .count = VALIDATION};
  Split s;
  Accuracy a;
  Host host = {.threads = 2, .kernels = select_host_kernels};
  must(b, split_open(&val, &s, b->d));
  for (int i = 0; i < 2; i++) {
    time_of(b, i ? b->real : b->codes, &s, &host, &a);
    result(b, i ? "ResNet-20 float" : "ResNet-20 int8", "accuracy", 100 * a.top1, "%", true,
           "2,000 validation images");
  }
  split_close(&s);
}

int main(int argc, char **argv) {
  uint32_t images = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 10000;
  StrBuf text = {0};
  JsonWriter w;
  Bench b = {.d = diag_new(), .w = &w};
  openblas_set_num_threads(1);
  open_all(&b, images > 0 ? images : 1);
  json_begin(&w, &text, true);
  json_object(&w);
  bench_head(&w, "eval-int8");
  json_karray(&w, "results");
  measure_threads(&b, 1);
  measure_threads(&b, 2);
  measure_generic(&b);
  if (b.trained) measure_accuracy(&b);
  json_end(&w);
  json_end(&w);
  must(&b, argc > 1 || file_write("bench/results/eval-int8.json", sb_str(&text), text.len, b.d));
  return 0;
}
