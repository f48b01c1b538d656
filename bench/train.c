/* Training speed of the tensor engine beside PyTorch: images per second, GFLOP/s, share of the machine's peak.
 *
 * For each net, batch, number of threads, and for training and the forward pass alone: five rounds in which ours and
 * PyTorch's two layouts take turns, each for whole steps of about SECONDS; the best round of each counts. A step is
 * forward, loss, backward and SGD with Nesterov momentum and weight decay; the batch lies in memory already on both
 * sides. GFLOP/s: forward 2 operations per multiply-accumulate, training 6, less 2 for the first layer's, which has no
 * input gradient. The peak (train_peak.c) is measured before each row with the same number of threads; its best counts.
 *
 *   bench/train [-s SECONDS] [-t THREADS] [-b BATCH] [-m train|forward] [-n] [-c] [NET]...
 *
 * -n: without PyTorch. -c: by processor time, on a machine that others use too (one thread). NET: of resnet8 resnet20 distill ds_cnn mobilenet. A run of everything writes
 * bench/results/train.json; other runs only print.
 */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/support.h"
#include "bench/train_nets.h"
#include "bench/train_peak.h"
#include "bench/train_peer.h"
#include "ir/base/json.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/session.h"
#include "runtime/engine/train/optimizer.h"

typedef struct Case {
  const char *key, *name;
  Graph *(*net)(void), *(*teacher)(void);
} Case;

static const Case cases[] = {
    {"resnet8", "ResNet-8", net_resnet8, NULL},
    {"resnet20", "ResNet-20", net_resnet20, NULL},
    {"distill", "ResNet-20 into ResNet-8", net_resnet8, net_resnet20},
    {"ds_cnn", "DS-CNN", net_ds_cnn, NULL},
    {"mobilenet", "MobileNetV1-0.25", net_mobilenet, NULL},
};
enum { CASES = sizeof cases / sizeof *cases, ROUNDS = 5, LAYOUTS = 2, MAX_THREADS = 2, MAX_ROWS = 64 };
static const int batches[] = {32, 128};
static const char *const layouts[LAYOUTS] = {"contiguous", "channels_last"};

typedef struct Row {
  const Case *k;
  int batch, threads;
  bool train;
  double ours, torch[LAYOUTS]; /* images per second, the best round's */
  double ops;                  /* of one image */
} Row;

typedef struct Bench {
  double seconds;
  clockid_t clock;
  int threads, batch; /* 0: all */
  const char *mode;   /* NULL: both */
  char **nets;        /* none: all */
  int n_nets;
  Peer peer;
  double peak[MAX_THREADS + 1];
  Row rows[MAX_ROWS];
  int n;
  double memory, torch_memory[LAYOUTS]; /* MiB */
} Bench;

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* -- our side -- */

typedef struct Side {
  Graph *g, *tg;
  Session *s, *teacher;
  Optimizer optimizer;
  float *x, *dlogits;
  int32_t *labels;
  int batch;
  bool train;
} Side;

static Session *open_session(const Graph *g, const SessionOptions *o, Threads *pool) {
  Diag *d = diag_new();
  Session *s = session_new_on(g, o, pool, d);
  if (!s) {
    diag_print(d, stderr);
    exit(1);
  }
  diag_free(d);
  return s;
}

static Side side_open(const Case *k, int batch, int threads, bool train) {
  Side a = {.g = k->net(), .tg = k->teacher ? k->teacher() : NULL, .batch = batch, .train = train};
  SessionOptions o = {.batch = batch, .threads = threads, .training = train},
                 to = {.batch = batch, .threads = threads};
  a.s = open_session(a.g, &o, NULL);
  if (train)
    optimizer_new(&a.optimizer, a.s,
                  &(OptimizerOptions){.momentum = 0.9f, .weight_decay = 1e-4f, .nesterov = true});
  if (a.tg) a.teacher = open_session(a.tg, &to, session_pool(a.s));
  int64_t n = batch * shape_count_range(session_input_shape(a.s), 1, 4);
  int classes = session_classes(a.s);
  a.x = mem_array((size_t)n, sizeof *a.x);
  a.dlogits = mem_array((size_t)(batch * classes), sizeof *a.dlogits);
  a.labels = mem_array((size_t)batch, sizeof *a.labels);
  Rng r;
  rng_seed(&r, 2, 2);
  for (int64_t i = 0; i < n; i++) a.x[i] = rng_normal(&r);
  for (int i = 0; i < batch; i++) a.labels[i] = (int32_t)rng_below(&r, (uint32_t)classes);
  memcpy(session_input(a.s), a.x, (size_t)n * sizeof *a.x);
  if (a.teacher) memcpy(session_input(a.teacher), a.x, (size_t)n * sizeof *a.x);
  return a;
}

static void side_close(Side *a) {
  optimizer_free(&a->optimizer);
  session_free(a->teacher);
  session_free(a->s);
  graph_free(a->g);
  graph_free(a->tg);
  mem_free(a->x);
  mem_free(a->dlogits);
  mem_free(a->labels);
}

static void side_step(Side *a) {
  int n = a->batch, classes = session_classes(a->s);
  /* Without training the input's memory is used again within the pass. */
  const float *soft = a->teacher ? session_forward(a->teacher, a->x, n, false) : NULL,
              *z = session_forward(a->s, a->train ? session_input(a->s) : a->x, n, a->train);
  if (!a->train) return;
  if (soft)
    loss_distill(z, soft, a->labels, n, classes, 4, 0.9f, a->dlogits);
  else
    loss_cross_entropy(z, a->labels, n, classes, 0, a->dlogits);
  session_backward(a->s, a->dlogits, n);
  optimizer_step(&a->optimizer, a->s, 1e-3f);
}

static double side_run(Side *a, double time, clockid_t clock) {
  double start = now(clock), took;
  int64_t images = 0;
  do {
    side_step(a);
    images += a->batch;
  } while ((took = now(clock) - start) < time);
  return (double)images / took;
}

/* -- measuring -- */

static double count_ops(const Row *r) {
  int64_t first, macs;
  Graph *g = r->k->net(), *t = r->k->teacher ? r->k->teacher() : NULL;
  macs = net_macs(g, &first);
  double ops = r->train ? 6.0 * (double)macs - 2.0 * (double)first : 2.0 * (double)macs;
  if (t) ops += 2.0 * (double)net_macs(t, &first);
  graph_free(g);
  graph_free(t);
  return ops;
}

static void keep_best(double v, double *best) { *best = v > *best ? v : *best; }

static double peer_run(Peer *p, int layout, double time, clockid_t clock) {
  char line[64], answer[64];
  snprintf(line, sizeof line, "run %s %g%s", layouts[layout], time, clock == CLOCK_MONOTONIC ? "" : " cpu");
  return peer_ask(p, line, answer, sizeof answer) ? strtod(answer, NULL) : 0;
}

static bool peer_open(Peer *p, const Row *r) {
  char line[96], answer[64];
  snprintf(line, sizeof line, "open %s %d %d %s", r->k->key, r->batch, r->threads,
           r->train ? "train" : "forward");
  return p->to && peer_ask(p, line, answer, sizeof answer);
}

static void measure(Bench *b, Row *r) {
  keep_best(peak_gflops(r->threads, b->clock), &b->peak[r->threads]);
  bool peer = peer_open(&b->peer, r);
  Side a = side_open(r->k, r->batch, r->threads, r->train);
  side_step(&a);
  for (int round = 0; round < ROUNDS; round++) {
    keep_best(side_run(&a, b->seconds, b->clock), &r->ours);
    for (int l = 0; l < LAYOUTS && peer; l++)
      keep_best(peer_run(&b->peer, l, b->seconds, b->clock), &r->torch[l]);
  }
  side_close(&a);
  r->ops = count_ops(r);
}

static double torch_best(const Row *r) { return r->torch[0] > r->torch[1] ? r->torch[0] : r->torch[1]; }

static void print_head(void) {
  printf("%-24s %5s %7s %-8s %9s %8s %6s %11s %13s %6s\n", "net", "batch", "threads", "", "images/s",
         "GFLOP/s", "peak", "contiguous", "channels-last", "ratio");
}

static void print_row(const Bench *b, const Row *r) {
  double g = 1e-9 * r->ours * r->ops, best = torch_best(r), peak = b->peak[r->threads];
  printf("%-24s %5d %7d %-8s %9.0f %8.1f %5.0f%% %11.0f %13.0f %6.2f\n", r->k->name, r->batch, r->threads,
         r->train ? "training" : "forward", r->ours, g, peak > 0 ? 100 * g / peak : 0, r->torch[0],
         r->torch[1], best > 0 ? r->ours / best : 0);
  fflush(stdout);
}

/* -- memory: each side in a process of its own -- */

static double peak_mib(void) {
  char text[64];
  first_line("sed -n 's/^VmHWM:[^0-9]*//p' /proc/$PPID/status", text, sizeof text);
  return strtod(text, NULL) / 1024;
}

/* What `bench/train memory` is, run by measure_memory. */
static int print_memory(void) {
  Side a = side_open(&cases[1], 128, 2, true);
  for (int i = 0; i < 3; i++) side_step(&a);
  printf("%.1f\n", peak_mib());
  side_close(&a);
  return 0;
}

static void measure_memory(Bench *b, const char *self) {
  char line[512], answer[64];
  snprintf(line, sizeof line, "'%s' memory", self);
  first_line(line, answer, sizeof answer);
  b->memory = strtod(answer, NULL);
  for (int l = 0; l < LAYOUTS && b->peer.to; l++) {
    Peer p;
    if (!peer_start(&p)) break;
    snprintf(line, sizeof line, "open resnet20 128 2 train %s", layouts[l]);
    if (peer_ask(&p, line, answer, sizeof answer) && peer_run(&p, l, 1, b->clock) > 0 &&
        peer_ask(&p, "memory", answer, sizeof answer))
      b->torch_memory[l] = strtod(answer, NULL) / 1024;
    peer_stop(&p);
  }
  printf("peak resident memory of training ResNet-20 at batch 128, MiB: %.0f; PyTorch contiguous %.0f, "
         "channels-last "
         "%.0f\n",
         b->memory, b->torch_memory[0], b->torch_memory[1]);
}

/* -- the result file -- */

static void write_head(const Bench *b, JsonWriter *w) {
  bench_head(w, "train");
  json_kstr(w, "kernels", engine_kernels(false)->name);
  if (b->peer.to) json_kstr(w, "peer", b->peer.version);
}

static void write_result(JsonWriter *w, const char *name, const char *metric, double value,
                         const char *unit) {
  json_object(w);
  json_kstr(w, "case", name);
  json_kstr(w, "metric", metric);
  json_knum(w, "value", value);
  json_kstr(w, "unit", unit);
}

static void write_peer(JsonWriter *w, const char *peer, double value, double aim) {
  if (!(value > 0)) return;
  json_kstr(w, "peer", peer);
  json_knum(w, "peer_value", value);
  if (aim > 0) json_knum(w, "aim", aim * value);
}

static void write_row(const Bench *b, const Row *r, JsonWriter *w) {
  char name[96], how[160];
  double g = 1e-9 * r->ours * r->ops, best = torch_best(r), peak = b->peak[r->threads];
  snprintf(name, sizeof name, "%s %s, batch %d, %d thread%s", r->k->name, r->train ? "training" : "forward",
           r->batch, r->threads, r->threads > 1 ? "s" : "");
  snprintf(how, sizeof how,
           "%.1f GFLOP/s, %.0f %% of %.0f; best of %d rounds in turns; PyTorch contiguous %.0f, "
           "channels-last %.0f",
           g, peak > 0 ? 100 * g / peak : 0, peak, ROUNDS, r->torch[0], r->torch[1]);
  write_result(w, name, "speed", r->ours, "images/s");
  json_kstr(w, "better", "higher");
  write_peer(w, "PyTorch, its better layout", best, r->train ? 1.3 : 0);
  json_kstr(w, "how", how);
  json_end(w);
}

static void write_memory(const Bench *b, JsonWriter *w) {
  double best = b->torch_memory[0] < b->torch_memory[1] ? b->torch_memory[0] : b->torch_memory[1];
  write_result(w, "ResNet-20 training, batch 128, 2 threads", "peak resident memory", b->memory, "MiB");
  json_kstr(w, "better", "lower");
  write_peer(w, "PyTorch, its better layout", best, 0.5);
  json_kstr(w, "how", "VmHWM of a process of its own, the library's code included");
  json_end(w);
}

static int write_file(const Bench *b) {
  StrBuf out = {0};
  JsonWriter w;
  json_begin(&w, &out, true);
  json_object(&w);
  write_head(b, &w);
  json_karray(&w, "results");
  for (int t = 1; t <= MAX_THREADS; t++) {
    write_result(&w, t > 1 ? "peak of 2 threads" : "peak of 1 thread", "speed", b->peak[t], "GFLOP/s");
    json_kstr(&w, "how", "a loop of independent multiply-adds in registers, before each case");
    json_end(&w);
  }
  for (int i = 0; i < b->n; i++) write_row(b, &b->rows[i], &w);
  write_memory(b, &w);
  json_end(&w);
  json_end(&w);
  FILE *f = fopen("bench/results/train.json", "w");
  bool ok = f && fputs(sb_str(&out), f) >= 0;
  ok = f && fclose(f) == 0 && ok;
  if (!ok) perror("bench/results/train.json");
  sb_free(&out);
  return ok ? 0 : 1;
}

/* -- choosing -- */

static bool wanted(const Bench *b, const Row *r) {
  bool net = b->n_nets == 0;
  for (int i = 0; i < b->n_nets; i++) net |= strcmp(b->nets[i], r->k->key) == 0;
  return net && (!b->batch || b->batch == r->batch) && (!b->threads || b->threads == r->threads) &&
         (!b->mode || strcmp(b->mode, r->train ? "train" : "forward") == 0);
}

static void list_rows(Bench *b) {
  for (int k = 0; k < CASES; k++)
    for (int i = 0; i < 2; i++)
      for (int threads = 1; threads <= MAX_THREADS; threads++)
        for (int train = 0; train < 2; train++) {
          Row r = {.k = &cases[k], .batch = batches[i], .threads = threads, .train = train};
          if (wanted(b, &r)) b->rows[b->n++] = r;
        }
}

int main(int argc, char **argv) {
  Bench b = {.seconds = 0.6, .clock = CLOCK_MONOTONIC};
  bool torch = true;
  openblas_set_num_threads(1);
  if (argc == 2 && strcmp(argv[1], "memory") == 0) return print_memory();
  for (int o; (o = getopt(argc, argv, "s:t:b:m:nc")) != -1;) {
    if (o == 's') b.seconds = strtod(optarg, NULL);
    if (o == 't') b.threads = (int)strtol(optarg, NULL, 10);
    if (o == 'b') b.batch = (int)strtol(optarg, NULL, 10);
    if (o == 'm') b.mode = optarg;
    if (o == 'n') torch = false;
    if (o == 'c') b.clock = CLOCK_PROCESS_CPUTIME_ID;
    if (o == '?') return 1;
  }
  b.nets = argv + optind;
  b.n_nets = argc - optind;
  list_rows(&b);
  if (torch) peer_start(&b.peer);
  print_head();
  for (int i = 0; i < b.n; i++) {
    measure(&b, &b.rows[i]);
    print_row(&b, &b.rows[i]);
  }
  bool all = b.n == 2 * 2 * 2 * CASES && b.clock == CLOCK_MONOTONIC;
  if (all) measure_memory(&b, argv[0]);
  printf("peak: %.0f GFLOP/s on 1 thread, %.0f on 2\n", b.peak[1], b.peak[2]);
  int status = all ? write_file(&b) : 0;
  peer_stop(&b.peer);
  return status;
}
