/* Does a teacher's bank teach as well as a teacher beside its student? ResNet-20 teaches ResNet-8 on a part of CIFAR-10,
 * with a fresh augmented view of each image in every epoch, and with a bank of K views; same first weights, same order,
 * several seeds. Accuracy on the validation images, paired by seed.
 *
 *   bench/teacher-bank [-n IMAGES] [-e EPOCHS] [-k VIEWS] [-s SEEDS] [-t THREADS]
 *
 * Reads ../shared (or $MISTIFY_SHARED). Writes bench/results/teacher-bank.json.
 */
#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/support.h"
#include "bench/train_nets.h"
#include "frontend/onnx/onnx.h"
#include "ir/base/file.h"
#include "ir/base/json.h"
#include "passes/pass.h"
#include "runtime/engine/engine.h"

enum { MAX_SEEDS = 32 };

typedef struct Bench {
  Arena *a;
  Diag *d;
  Dataset ds;
  Graph *teacher, *student;
  int images, epochs, views, seeds, threads;
  double top1[2][MAX_SEEDS], cpu[2][MAX_SEEDS]; /* [fresh, bank] */
  double bank_cpu;
} Bench;

static void must(const Bench *b, bool ok) {
  if (ok) return;
  diag_print(b->d, stderr);
  exit(1);
}

static double cpu_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void open_bench(Bench *b) {
  const char *shared = getenv("MISTIFY_SHARED");
  char *folder = path_join(b->a, shared ? shared : "../shared", "data/cifar10");
  char *model =
      path_join(b->a, shared ? shared : "../shared", "data/models/onnx/resnet20_cifar10j_dynbatch_bn.onnx");
  DataSpec spec = {
      .train = {.kind = "cifar", .x = path_join(b->a, folder, "train.bin.xz"), .count = (uint32_t)b->images},
      .val = {.kind = "cifar", .x = path_join(b->a, folder, "test.bin.xz"), .count = 2000},
      .classes = 10,
      .normalize = {.n = 3}};
  static const double mean[] = {0.485, 0.456, 0.406}, std[] = {0.229, 0.224, 0.225};
  for (int c = 0; c < 3; c++) {
    spec.normalize.scale[c] = (float)(1 / (255 * std[c]));
    spec.normalize.offset[c] = (float)(-mean[c] / std[c]);
  }
  must(b, dataset_open(&spec, &b->ds, b->d));
  Graph *g = onnx_import(model, b->d);
  must(b, g != NULL);
  PassCtx ctx = {.params = ""};
  b->teacher = pipeline_run(g, "fold,layout{input=nhwc},fold,dce", &ctx, NULL, b->d);
  must(b, b->teacher != NULL);
  graph_free(g);
  b->student = net_resnet8();
}

/* One student; with a bank (made here) or without. */
static void run(Bench *b, int bank, int seed) {
  TrainOptions o;
  train_options_default(&o);
  o.epochs = b->epochs;
  o.batch = 64;
  o.threads = b->threads;
  o.mix = 0.9f;
  o.augment.flip = true;
  o.augment.crop = 4;
  o.seed = (uint64_t)seed + 1;
  o.views = bank ? b->views : 0;
  Blob *views = NULL;
  double start = cpu_now();
  if (bank) {
    views = teacher_bank(b->teacher, &b->ds, &o, NULL, b->d);
    must(b, views != NULL);
    b->bank_cpu += (cpu_now() - start) / b->seeds;
    start = cpu_now();
  }
  const Graph *teachers[] = {b->teacher};
  const TrainJob job = {.graph = b->student,
                        .teachers = teachers,
                        .n_teachers = 1,
                        .banks = bank ? &views : NULL,
                        .data = &b->ds,
                        .options = &o};
  Graph *out = train_run(&job, NULL, b->d);
  must(b, out != NULL);
  b->cpu[bank][seed] = cpu_now() - start;
  Accuracy acc;
  must(b, graph_accuracy(out, &b->ds.val, &b->ds.spec.normalize, b->threads, NULL, &acc, NULL, b->d));
  b->top1[bank][seed] = 100 * acc.top1;
  printf("seed %d, %-5s  %.2f %%  %.0f s of processor\n", seed + 1, bank ? "bank" : "fresh",
         b->top1[bank][seed], b->cpu[bank][seed]);
  fflush(stdout);
  graph_free(out);
  blob_unref(views);
}

static double mean(const double *x, int n) {
  double sum = 0;
  for (int i = 0; i < n; i++) sum += x[i] / n;
  return sum;
}

static void row(JsonWriter *w, const char *metric, double value, const char *unit, const char *better,
                const char *how) {
  json_object(w);
  json_kstr(w, "case", "ResNet-20 teaches ResNet-8, CIFAR-10");
  json_kstr(w, "metric", metric);
  json_knum(w, "value", value);
  json_kstr(w, "unit", unit);
  json_kstr(w, "better", better);
  json_kstr(w, "how", how);
  json_end(w);
}

static void report(const Bench *b) {
  double diff[MAX_SEEDS], square = 0;
  for (int i = 0; i < b->seeds; i++) diff[i] = b->top1[1][i] - b->top1[0][i];
  double delta = mean(diff, b->seeds);
  for (int i = 0; i < b->seeds; i++) square += (diff[i] - delta) * (diff[i] - delta);
  double error = b->seeds > 1 ? sqrt(square / (b->seeds - 1) / b->seeds) : 0;
  char cpu[200], commit[64], how[300];
  first_line("sed -n 's/^model name[^:]*: //p' /proc/cpuinfo", cpu, sizeof cpu);
  first_line("git rev-parse --short HEAD", commit, sizeof commit);
  snprintf(how, sizeof how, "%d images, %d epochs, %d seeds; 2,000 validation images", b->images, b->epochs,
           b->seeds);
  printf("bank of %d views minus fresh ones: %+.2f points, standard error %.2f over %d seeds\n", b->views,
         delta, error, b->seeds);
  StrBuf text = {0};
  JsonWriter w;
  json_begin(&w, &text, true);
  json_object(&w);
  json_kstr(&w, "machine", cpu);
  json_kstr(&w, "commit", commit);
  json_key(&w, "results");
  json_array(&w);
  row(&w, "accuracy, fresh views", mean(b->top1[0], b->seeds), "%", "higher", how);
  row(&w, "accuracy, bank", mean(b->top1[1], b->seeds), "%", "higher", how);
  row(&w, "bank minus fresh", delta, "points", "higher", "mean of differences with the same seed");
  row(&w, "standard error of that", error, "points", "lower", "over seeds");
  row(&w, "processor time of a student, fresh views", mean(b->cpu[0], b->seeds), "s", "lower",
      "process time");
  row(&w, "processor time of a student, bank", mean(b->cpu[1], b->seeds), "s", "lower", "process time");
  row(&w, "processor time of the bank", b->bank_cpu, "s", "lower", "once for all students");
  json_end(&w);
  json_end(&w);
  must(b, file_make_dirs("bench/results", b->d) &&
              file_write("bench/results/teacher-bank.json", sb_str(&text), text.len, b->d));
  sb_free(&text);
}

int main(int argc, char **argv) {
  Bench b = {
      .a = arena_new(), .d = diag_new(), .images = 2560, .epochs = 16, .views = 8, .seeds = 3, .threads = 2};
  openblas_set_num_threads(1);
  for (int c; (c = getopt(argc, argv, "n:e:k:s:t:")) != -1;) {
    int v = optarg ? (int)strtol(optarg, NULL, 10) : 0;
    int *to = c == 'n'   ? &b.images
              : c == 'e' ? &b.epochs
              : c == 'k' ? &b.views
              : c == 's' ? &b.seeds
                         : &b.threads;
    if (c == '?' || v < 1 || (c == 's' && v > MAX_SEEDS)) {
      fprintf(stderr, "usage: %s [-n IMAGES] [-e EPOCHS] [-k VIEWS] [-s SEEDS] [-t THREADS]\n", argv[0]);
      return 1;
    }
    *to = v;
  }
  open_bench(&b);
  for (int s = 0; s < b.seeds; s++)
    for (int bank = 0; bank < 2; bank++) run(&b, bank, s);
  report(&b);
  graph_free(b.teacher);
  graph_free(b.student);
  dataset_close(&b.ds);
  diag_free(b.d);
  arena_free(b.a);
  return 0;
}
