/* Training speed of the tensor engine, images per second.
 *
 * Nets are built here with random weights (speed does not depend on them) in the shapes of MLPerf Tiny's ResNet-8, the
 * CIFAR ResNet-20, DS-CNN on 49x10 and MobileNetV1-0.25 on 96x96; pixels are random. Each case runs as several
 * interleaved rounds of whole training steps (pixels made, forward, backward, SGD); wall time's minimum and median,
 * and the processor time, which on a machine that others use too says more.
 *
 *   bench/train [seconds per case] [threads] [part of a case's name]      writes bench/results/train.json
 *
 * Peer: PyTorch 1.13.1 with oneDNN 2.6, channels-last, 2 threads, on an idle machine of the same kind (0: not known).
 */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ir/base/json.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "runtime/engine/engine.h"

typedef struct Net {
  Graph *g;
  Diag *d;
  Rng r;
} Net;

static void must(const Net *n, bool ok) {
  if (ok) return;
  diag_print(n->d, stderr);
  exit(1);
}

static ValId weights(Net *n, int rank, const int64_t *dims, float size) {
  Shape s = {.rank = rank};
  memcpy(s.d, dims, (size_t)rank * sizeof *dims);
  float *w = mem_array((size_t)shape_count(&s), sizeof *w);
  for (int64_t i = 0; i < shape_count(&s); i++) w[i] = size * rng_normal(&n->r);
  ValId v = graph_const_data(n->g, NULL, DT_F32, &s, w);
  mem_free(w);
  return v;
}

static ValId vector(Net *n, int64_t c, float value) {
  Shape s = {.rank = 1, .d = {c}};
  float *w = mem_array((size_t)c, sizeof *w);
  for (int64_t i = 0; i < c; i++) w[i] = value;
  ValId v = graph_const_data(n->g, NULL, DT_F32, &s, w);
  mem_free(w);
  return v;
}

static ValId node(Net *n, OpKind op, const void *attrs, const ValId *in, uint32_t n_in) {
  ValId v = graph_node(n->g, op, attrs, in, n_in, NULL, NULL, n->d);
  must(n, v != NO_VAL);
  return v;
}

static int64_t channels(const Net *n, ValId x) { return graph_val(n->g, x)->shape.d[3]; }

/* Zeros so that the output has ceil(size / stride) pixels (TensorFlow's SAME). */
static void same_pads(const Net *n, ValId x, int64_t kh, int64_t kw, int64_t stride, Ints *pads) {
  const Shape *s = &graph_val(n->g, x)->shape;
  pads->n = 4;
  for (int i = 0; i < 2; i++) {
    int64_t size = s->d[i + 1], k = i ? kw : kh,
            total = ((size + stride - 1) / stride - 1) * stride + k - size;
    if (total < 0) total = 0;
    pads->v[i] = total / 2;
    pads->v[i + 2] = total - total / 2;
  }
}

static ValId norm(Net *n, ValId x, bool relu) {
  int64_t c = channels(n, x);
  const ValId in[] = {x, vector(n, c, 1), vector(n, c, 0), vector(n, c, 0), vector(n, c, 1)};
  ValId y = node(n, OP_batch_normalization, NULL, in, 5);
  return relu ? node(n, OP_relu, NULL, &y, 1) : y;
}

static ValId conv(Net *n, ValId x, int64_t o, int64_t kh, int64_t kw, int64_t stride) {
  conv_attrs a;
  op_attrs_default(OP_conv, &a);
  a.strides.v[0] = a.strides.v[1] = stride;
  same_pads(n, x, kh, kw, stride, &a.pads);
  int64_t c = channels(n, x);
  const ValId in[] = {x, weights(n, 4, (const int64_t[]){o, kh, kw, c}, 1.0f / (float)(kh * kw * c))};
  return node(n, OP_conv, &a, in, 2);
}

static ValId depthwise(Net *n, ValId x, int64_t stride) {
  depthwise_conv_attrs a;
  op_attrs_default(OP_depthwise_conv, &a);
  a.strides.v[0] = a.strides.v[1] = stride;
  same_pads(n, x, 3, 3, stride, &a.pads);
  const ValId in[] = {x, weights(n, 4, (const int64_t[]){1, 3, 3, channels(n, x)}, 0.3f)};
  return node(n, OP_depthwise_conv, &a, in, 2);
}

static ValId start(Net *n, int64_t h, int64_t w, int64_t c) {
  *n = (Net){graph_new("bench"), diag_new(), {{0}}};
  rng_seed(&n->r, 1, 1);
  Shape s = {4, {DIM_BATCH, h, w, c}};
  return graph_input(n->g, "x", DT_F32, &s);
}

static Graph *finish(Net *n, ValId x, int64_t classes) {
  reduce_mean_attrs a;
  op_attrs_default(OP_reduce_mean, &a);
  a.axes = (Ints){2, {1, 2}};
  a.keepdims = 0;
  int64_t c = channels(n, x);
  const ValId in[] = {node(n, OP_reduce_mean, &a, &x, 1), weights(n, 2, (const int64_t[]){classes, c}, 0.1f),
                      vector(n, classes, 0)};
  graph_output(n->g, node(n, OP_fully_connected, NULL, in, 3));
  diag_free(n->d);
  return n->g;
}

/* A shortcut that halves the image: a 1x1 convolution, or every other pixel with zero channels around. */
static ValId shortcut(Net *n, ValId x, int64_t o, bool projected) {
  if (projected) return conv(n, x, o, 1, 1, 2);
  const Shape *s = &graph_val(n->g, x)->shape;
  int64_t h = s->d[1] / 2, c = s->d[3], around = (o - c) / 2;
  slice_attrs a = {.starts = {4, {0}}, .counts = {4, {-1, h, h, c}}, .steps = {4, {1, 2, 2, 1}}};
  pad_attrs p = {.pads = {8, {0, 0, 0, around, 0, 0, 0, o - c - around}}};
  ValId v = node(n, OP_slice, &a, &x, 1);
  return node(n, OP_pad, &p, &v, 1);
}

static Graph *resnet(int blocks, bool projected) {
  Net n;
  ValId x = norm(&n, conv(&n, start(&n, 32, 32, 3), 16, 3, 3, 1), true);
  for (int stage = 0; stage < 3; stage++)
    for (int b = 0; b < blocks; b++) {
      int64_t o = 16 << stage, stride = stage && !b ? 2 : 1;
      ValId y = norm(&n, conv(&n, x, o, 3, 3, stride), true);
      y = norm(&n, conv(&n, y, o, 3, 3, 1), false);
      const ValId in[] = {y, stride == 2 ? shortcut(&n, x, o, projected) : x};
      ValId sum = node(&n, OP_add, NULL, in, 2);
      x = node(&n, OP_relu, NULL, &sum, 1);
    }
  return finish(&n, x, 10);
}

static Graph *resnet8(void) { return resnet(1, true); }
static Graph *resnet20(void) { return resnet(3, false); }

static ValId separable(Net *n, ValId x, int64_t o, int64_t stride) {
  x = norm(n, depthwise(n, x, stride), true);
  return norm(n, conv(n, x, o, 1, 1, 1), true);
}

static Graph *ds_cnn(void) {
  Net n;
  ValId x = norm(&n, conv(&n, start(&n, 49, 10, 1), 64, 10, 4, 2), true);
  for (int i = 0; i < 4; i++) x = separable(&n, x, 64, 1);
  return finish(&n, x, 12);
}

static Graph *mobilenet(void) {
  static const int64_t o[] = {16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256};
  static const int64_t s[] = {1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1};
  Net n;
  ValId x = norm(&n, conv(&n, start(&n, 96, 96, 3), 8, 3, 3, 2), true);
  for (int i = 0; i < 13; i++) x = separable(&n, x, o[i], s[i]);
  return finish(&n, x, 2);
}

typedef enum Mode { TRAIN, DISTILL, FORWARD } Mode;

typedef struct Case {
  const char *name;
  Graph *(*net)(void), *(*teacher)(void);
  Mode mode;
  int batch;
  double peer;
} Case;

static const Case cases[] = {
    {"ResNet-8 training", resnet8, NULL, TRAIN, 32, 1089},
    {"ResNet-8 training", resnet8, NULL, TRAIN, 128, 1044},
    {"ResNet-20 training", resnet20, NULL, TRAIN, 32, 308},
    {"ResNet-20 training", resnet20, NULL, TRAIN, 128, 396},
    {"ResNet-20 into ResNet-8", resnet8, resnet20, DISTILL, 32, 491},
    {"ResNet-20 into ResNet-8", resnet8, resnet20, DISTILL, 128, 593},
    {"DS-CNN training", ds_cnn, NULL, TRAIN, 32, 0},
    {"DS-CNN training", ds_cnn, NULL, TRAIN, 128, 0},
    {"MobileNetV1-0.25 training", mobilenet, NULL, TRAIN, 32, 0},
    {"MobileNetV1-0.25 training", mobilenet, NULL, TRAIN, 128, 0},
    {"ResNet-20 forward", resnet20, NULL, FORWARD, 32, 0},
    {"ResNet-20 forward", resnet20, NULL, FORWARD, 128, 0},
};
enum { CASES = sizeof cases / sizeof *cases, ROUNDS = 64 };

typedef struct Run {
  Graph *g, *teacher;
  Dataset ds;
  double wall[ROUNDS], cpu; /* seconds per image */
  int rounds;
  int64_t images;
} Run;

static double seconds(clockid_t which) {
  struct timespec t;
  clock_gettime(which, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void random_data(Run *r, int classes) {
  enum { EXAMPLES = 512 };
  Rng rng;
  rng_seed(&rng, 2, 2);
  const Shape *in = &r->g->vals[r->g->inputs[0]].shape;
  Split *s = &r->ds.train;
  s->item = (Shape){3, {in->d[1], in->d[2], in->d[3]}};
  s->n = EXAMPLES;
  s->dtype = DT_U8;
  size_t bytes = EXAMPLES * (size_t)shape_count(&s->item);
  uint8_t *x = mem_alloc(bytes);
  int32_t *y = mem_array(EXAMPLES, sizeof *y);
  for (size_t i = 0; i < bytes; i++) x[i] = (uint8_t)rng_u64(&rng);
  for (int i = 0; i < EXAMPLES; i++) y[i] = (int32_t)rng_below(&rng, (uint32_t)classes);
  s->xb = blob_adopt(x, bytes);
  s->yb = blob_adopt(y, EXAMPLES * sizeof *y);
  s->x = blob_data(s->xb);
  s->y = blob_data(s->yb);
  r->ds.spec.normalize = (Normalize){.n = 1, .scale = {1.0f / 64}, .offset = {-2}};
}

/* About `time` seconds of a case; returns false and reports on failure. */
static bool run_round(const Case *k, Run *r, int threads, double time, Diag *d) {
  TrainOptions o;
  train_options_default(&o);
  o.batch = k->batch;
  o.threads = threads;
  o.lr = 1e-3f;
  o.flip = true;
  o.crop = 4;
  o.mix = k->mode == DISTILL ? 0.9f : 0;
  double speed = r->rounds ? 1 / r->wall[r->rounds - 1] : 50;
  o.images = (int64_t)(speed * time / k->batch + 1) * k->batch;
  double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
  if (k->mode == FORWARD) {
    Accuracy a;
    o.images = 0;
    do {
      TRY(graph_accuracy(r->g, &r->ds.train, &r->ds.spec.normalize, threads, NULL, &a, NULL, d));
      o.images += a.n;
    } while (seconds(CLOCK_MONOTONIC) - wall < time);
  } else {
    TrainResult res;
    Graph *g = train_graph(r->g, r->teacher, &r->ds, &o, NULL, &res, d);
    TRY(g);
    graph_free(g);
    wall = seconds(CLOCK_MONOTONIC) - res.seconds; /* without making the session */
  }
  r->wall[r->rounds++] = (seconds(CLOCK_MONOTONIC) - wall) / (double)o.images;
  r->cpu += seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  r->images += o.images;
  return true;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static void print_case(const Case *k, Run *r, int threads, JsonWriter *w) {
  qsort(r->wall + 1, (size_t)r->rounds - 1, sizeof(double), by_value); /* the first only warms up */
  double best = 1 / r->wall[1], median = 1 / r->wall[1 + (r->rounds - 1) / 2],
         core = (double)r->images / r->cpu;
  printf("%-28s %5d %10.0f %10.0f %14.0f %10.0f\n", k->name, k->batch, best, median, core, k->peer);
  char name[80], how[160];
  snprintf(name, sizeof name, "%s, batch %d", k->name, k->batch);
  snprintf(how, sizeof how, "%d threads; best of %d rounds (median %.0f; %.0f per second of processor time)",
           threads, r->rounds - 1, median, core);
  json_object(w);
  json_kstr(w, "case", name);
  json_kstr(w, "metric", "speed");
  json_knum(w, "value", best);
  json_kstr(w, "unit", "images/s");
  json_kstr(w, "better", "higher");
  if (k->peer > 0) {
    json_kstr(w, "peer", "PyTorch 1.13.1, idle machine");
    json_knum(w, "peer_value", k->peer);
    json_knum(w, "aim", 1.3 * k->peer);
  }
  json_kstr(w, "how", how);
  json_end(w);
}

static void first_line(const char *cmd, char *out, size_t n) {
  FILE *p = popen(cmd, "r");
  out[0] = '\0';
  if (!p) return;
  if (!fgets(out, (int)n, p)) out[0] = '\0';
  out[strcspn(out, "\n")] = '\0';
  pclose(p);
}

static void write_head(JsonWriter *w) {
  char text[160];
  static const char *const what[][2] = {
      {"machine", "sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1"},
      {"date", "date -u +%F"},
      {"compiler", "${CC:-gcc} --version | head -1"},
      {"commit", "git rev-parse --short HEAD"},
  };
  for (size_t i = 0; i < sizeof what / sizeof *what; i++) {
    first_line(what[i][1], text, sizeof text);
    json_kstr(w, what[i][0], text);
  }
}

int main(int argc, char **argv) {
  double time = argc > 1 ? strtod(argv[1], NULL) : 6;
  const char *only = argc > 3 ? argv[3] : "";
  int threads = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 2, rounds = 3;
  openblas_set_num_threads(1);
  Run *runs = mem_array(CASES, sizeof *runs);
  Diag *d = diag_new();
  for (int i = 0; i < CASES; i++) {
    runs[i].g = cases[i].net();
    if (cases[i].teacher) runs[i].teacher = cases[i].teacher();
    random_data(&runs[i], 2);
  }
  for (int round = 0; round < rounds + 1; round++)
    for (int i = 0; i < CASES; i++)
      if (strstr(cases[i].name, only) &&
          !run_round(&cases[i], &runs[i], threads, round ? time / rounds : 0.1, d)) {
        diag_print(d, stderr);
        return 1;
      }
  StrBuf out = {0};
  JsonWriter w;
  json_begin(&w, &out, true);
  json_object(&w);
  write_head(&w);
  json_karray(&w, "results");
  printf("%-28s %5s %10s %10s %14s %10s\n", "images/s", "batch", "best", "median", "per CPU-second",
         "PyTorch");
  for (int i = 0; i < CASES; i++)
    if (runs[i].rounds) print_case(&cases[i], &runs[i], threads, &w);
  json_end(&w);
  json_end(&w);
  FILE *f = fopen("bench/results/train.json", "w");
  if (!f || fputs(sb_str(&out), f) < 0 || fclose(f) != 0) {
    perror("bench/results/train.json");
    return 1;
  }
  return 0;
}
