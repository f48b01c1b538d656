/* See compress_common.h. */
#include "bench/compress_common.h"

#include <cblas.h>
#include <math.h>

#include "backend/backend.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"

enum { RESAMPLES = 2000 };

void bench_open(Bench *b, const char *name, int threads) {
  *b = (Bench){.name = name, .d = diag_new(), .host = {.threads = threads, .kernels = select_host_kernels}};
  openblas_set_num_threads(1);
  json_begin(&b->w, &b->text, true);
  json_object(&b->w);
  bench_head(&b->w, name);
  json_karray(&b->w, "results");
}

void bench_close(Bench *b, bool write) {
  char path[160];
  json_end(&b->w);
  json_end(&b->w);
  snprintf(path, sizeof path, "bench/results/%s.json", b->name);
  if (write)
    bench_must(b, file_make_dirs("bench/results", b->d) &&
                      file_write(path, sb_str(&b->text), b->text.len, b->d));
  sb_free(&b->text);
  diag_free(b->d);
}

void bench_must(const Bench *b, bool ok) {
  if (ok) return;
  diag_print(b->d, stderr);
  exit(1);
}

const char *bench_data(const char *rel) {
  static char path[2][512];
  static int turn;
  char *p = path[turn ^= 1];
  snprintf(p, sizeof path[0], "%s/data/%s", bench_shared(), rel);
  return p;
}

void bench_row(Bench *b, const Row *r) {
  printf("%-34s %-44s %9.3f %-8s", r->name, r->metric, r->value, r->unit);
  if (!isnan(r->aim)) printf("  aim %g", r->aim);
  printf("\n");
  fflush(stdout);
  json_object(&b->w);
  json_kstr(&b->w, "case", r->name);
  json_kstr(&b->w, "metric", r->metric);
  json_knum(&b->w, "value", r->value);
  json_kstr(&b->w, "unit", r->unit);
  json_kstr(&b->w, "better", r->better);
  if (r->peer) json_kstr(&b->w, "peer", r->peer);
  if (r->peer) json_knum(&b->w, "peer_value", r->peer_value);
  if (!isnan(r->aim)) json_knum(&b->w, "aim", r->aim);
  json_kstr(&b->w, "how", r->how);
  json_end(&b->w);
}

Scores scores_of(const Bench *b, const Graph *g, const Split *s, const Normalize *nz) {
  const Shape *y = &graph_val(g, g->outputs[g->n_outputs - 1])->shape;
  Scores r = {.n = s->n, .classes = (uint32_t)y->d[y->rank - 1]};
  r.out = mem_array((size_t)r.n * r.classes, sizeof *r.out);
  r.right = mem_array(r.n, sizeof *r.right);
  Accuracy a;
  bench_must(b, graph_accuracy(g, s, nz, b->host.threads, &b->host, &a, r.out, b->d));
  for (uint32_t i = 0; i < r.n; i++) {
    const float *o = r.out + (size_t)i * r.classes;
    uint32_t best = 0;
    for (uint32_t k = 1; k < r.classes; k++)
      if (o[k] > o[best]) best = k;
    r.right[i] = s->y && (int32_t)best == s->y[i];
  }
  return r;
}

void scores_free(Scores *s) {
  mem_free(s->out);
  mem_free(s->right);
}

double scores_percent(const Scores *s) {
  double n = 0;
  for (uint32_t i = 0; i < s->n; i++) n += s->right[i];
  return 100 * n / s->n;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

void gains_interval(const double *gain, uint32_t n, double *lo, double *hi) {
  double *all = mem_array(RESAMPLES, sizeof *all);
  Rng r;
  rng_seed(&r, 1, 1);
  for (int k = 0; k < RESAMPLES; k++) {
    for (uint32_t i = 0; i < n; i++) all[k] += gain[rng_below(&r, n)];
    all[k] *= 100.0 / n;
  }
  qsort(all, RESAMPLES, sizeof *all, ascending);
  *lo = all[RESAMPLES / 40], *hi = all[RESAMPLES - 1 - RESAMPLES / 40];
  mem_free(all);
}

void scores_interval(const Scores *a, const Scores *b, double *lo, double *hi) {
  double *gain = mem_array(a->n, sizeof *gain);
  for (uint32_t i = 0; i < a->n; i++) gain[i] = (double)a->right[i] - (double)b->right[i];
  gains_interval(gain, a->n, lo, hi);
  mem_free(gain);
}

Graph *bench_passes(const Bench *b, const Graph *g, const char *text, const Dataset *ds,
                    const Graph *teacher) {
  PassCtx c = {.params = "", .data = ds, .host = &b->host, .teacher = teacher ? teacher : g, .seed = 1};
  Graph *out = pipeline_run(g, text, &c, NULL, b->d);
  bench_must(b, out != NULL);
  return out;
}

const char *bench_no_glyphs(Arena *a) {
  static const char example[] = "examples/01-label-reader",
                    tool[] = "build/release/examples/01-label-reader/make_data";
  if (file_exists(arena_printf(a, "%s/data/test_y.npy", example))) return NULL;
  const char *make =
      arena_printf(a, "make --no-print-directory -s %s && %s --out %s/data", tool, tool, example);
  return system(make) == 0 ? NULL : "the label reader's data cannot be made";
}

Normalize bench_imagenet(void) {
  static const float mean[] = {0.485f, 0.456f, 0.406f}, dev[] = {0.229f, 0.224f, 0.225f};
  Normalize nz = {.n = 3};
  for (int c = 0; c < 3; c++) nz.scale[c] = 1 / (255 * dev[c]), nz.offset[c] = -mean[c] / dev[c];
  return nz;
}

static void spec_of(SplitSpec *s, const char *rel, uint32_t first, uint32_t count) {
  *s = (SplitSpec){.kind = "cifar", .x = strdup(bench_data(rel)), .first = first, .count = count};
}

void cifar_open(const Bench *b, uint32_t train, Dataset *ds) {
  DataSpec spec = {
      .classes = 10, .augment = {.flip = true, .crop = 4, .reflect = true}, .normalize = bench_imagenet()};
  spec_of(&spec.train, "cifar10/train.bin.xz", 0, train);
  spec_of(&spec.val, "cifar10/test.bin.xz", 0, CIFAR_VALIDATION);
  bench_must(b, dataset_open(&spec, ds, b->d));
}

void cifar_test(const Bench *b, Split *test) {
  SplitSpec spec;
  spec_of(&spec, "cifar10/test.bin.xz", CIFAR_VALIDATION, CIFAR_TEST);
  bench_must(b, split_open(&spec, test, b->d));
}
