/* Channel pruning: what a cut of MACs takes off a net's accuracy, without retraining and after a short one.
 *
 *   make bench-compress-prune                       ResNet-20, one seed       -> bench/results/compress-prune.json
 *   build/release/bench/compress-prune -f           ResNet-56 too, 3 seeds    -> bench/results/compress-prune-full.json
 *     -e EPOCHS  of ResNet-20 (8; with -f 12), of ResNet-56 two thirds    -m 20|56  that net alone
 *     -w FOLDER  where nets are kept
 *     -v         validation images instead of the test images
 * Result files are written of the whole run alone: with -v, other epochs or other nets none is.
 *
 *   ours        allocate: widths and ranks by the error table, weights reconstructed
 *   uniform L1  the same share of every group, the filters of least L1 norm go
 *   random      random widths, L1 within a group
 *   unpruned    the teacher itself, given the same retraining
 *
 * All are retrained on the same images in the same order, by distillation from the original, whose outputs on 8 views of
 * each training image are made once (a bank); the final epoch counts. Every net that is done is kept in the folder with its
 * scores: a run that was stopped goes on, within a training run from its checkpoint. A folder of nets that other sources of
 * ir/, passes/ and runtime/ made is refused.
 */
#include <dirent.h>
#include <math.h>
#include <time.h>
#include <unistd.h>

#include "bench/compress_common.h"
#include "frontend/onnx/onnx.h"
#include "ir/base/fingerprint.h"
#include "ir/base/hash.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/base/strbuf.h"
#include "passes/channels.h"

#define PREPARE "fold,layout{input=nhwc},fold,dce"

enum { VIEWS = 8, BN_IMAGES = 4096, EPOCHS = 8, FULL_EPOCHS = 12 };

typedef struct Options {
  bool full, validation;
  int epochs, net; /* net 0: all */
  const char *folder;
} Options;

typedef struct Case {
  const char *name, *model;
  int epochs;
  double cut[2], aim[2];
  int n_cuts;
} Case;

typedef struct Run {
  Bench *b;
  const Options *o;
  Dataset ds;
  Split test; /* n 0: not opened yet */
  Arena *a;
} Run;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* -- what is kept -- */

/* The sources that nets depend on, as a line of text. */
static const char *program(Arena *a) {
  static const char *const folders[] = {"ir/", "passes/", "runtime/"};
  Hasher *h = hasher_new();
  for (size_t i = 0; i < source_prints_count; i++)
    for (size_t k = 0; k < sizeof folders / sizeof *folders; k++)
      if (strncmp(source_prints[i].path, folders[k], strlen(folders[k])) == 0)
        hasher_str(h, source_prints[i].hash);
  char hex[HASH_HEX];
  hash_hex(hasher_done(h), hex);
  return arena_printf(a, "%s\n", hex);
}

static bool is_empty(const char *folder) {
  DIR *d = opendir(folder);
  bool empty = true;
  for (const struct dirent *e; d && empty && (e = readdir(d));) empty = e->d_name[0] == '.';
  if (d) closedir(d);
  return empty;
}

/* The folder is new, or what is in it was made by these sources. */
static bool open_folder(const char *folder, Arena *a, Diag *d) {
  TRY(file_make_dirs(folder, d));
  const char *path = arena_printf(a, "%s/sources", folder), *mine = program(a);
  if (!file_exists(path) && is_empty(folder)) return file_write(path, mine, strlen(mine), d);
  const char *theirs = file_exists(path) ? file_read(a, path, NULL, d) : "";
  TRY(theirs);
  if (strcmp(theirs, mine) == 0) return true;
  diag_error(d, NULL, "compress-prune: the nets in %s are of other sources of ir/, passes/ or runtime/",
             folder);
  diag_hint(d, "empty the folder, or name another: -w FOLDER");
  return false;
}

static const char *kept(const Run *r, const char *key, const char *ext) {
  return arena_printf(r->a, "%s/%s.%s", r->o->folder, key, ext);
}

static Graph *load(const Run *r, const char *key) {
  const char *path = kept(r, key, "mistify");
  Blob *blob = blob_map(path);
  if (!blob) return NULL;
  Graph *g = graph_deserialize(blob, path, r->b->d);
  blob_unref(blob);
  bench_must(r->b, g != NULL);
  return g;
}

static void save(const Run *r, const char *key, const Graph *g) {
  StrBuf bytes = {0};
  graph_serialize(g, &bytes);
  bench_must(r->b, file_write(kept(r, key, "mistify"), sb_str(&bytes), bytes.len, r->b->d));
  sb_free(&bytes);
}

/* Seconds that making something took, kept beside it. */
static double seconds_of(const Run *r, const char *key, double made) {
  const char *path = kept(r, key, "seconds");
  if (made >= 0) {
    const char *text = arena_printf(r->a, "%.3f\n", made);
    bench_must(r->b, file_write(path, text, strlen(text), r->b->d));
    return made;
  }
  const char *text = file_exists(path) ? file_read(r->a, path, NULL, r->b->d) : NULL;
  return text ? strtod(text, NULL) : NAN;
}

/* -- accuracy: the test images are read once for each net -- */

static Scores final_scores(Run *r, const char *key, const Graph *g) {
  if (r->o->validation) return scores_of(r->b, g, &r->ds.val, &r->ds.spec.normalize);
  const char *path = kept(r, key, "scores");
  size_t n = 0;
  const char *bytes = file_exists(path) ? file_read(r->a, path, &n, r->b->d) : NULL;
  if (bytes && n == CIFAR_TEST) {
    Scores s = {.n = CIFAR_TEST, .right = mem_array(CIFAR_TEST, sizeof *s.right)};
    for (uint32_t i = 0; i < s.n; i++) s.right[i] = bytes[i] == '1';
    return s;
  }
  if (!r->test.n) cifar_test(r->b, &r->test);
  Scores s = scores_of(r->b, g, &r->test, &r->ds.spec.normalize);
  char *text = mem_alloc(s.n);
  for (uint32_t i = 0; i < s.n; i++) text[i] = s.right[i] ? '1' : '0';
  bench_must(r->b, file_write(path, text, s.n, r->b->d));
  mem_free(text);
  return s;
}

/* -- cuts -- */

static Graph *with_statistics(const Run *r, Graph *g) {
  Graph *out = reestimate_bn(g, &r->ds, BN_IMAGES, &r->b->host, r->b->d);
  bench_must(r->b, out != NULL);
  graph_free(g);
  return out;
}

static Graph *ours(const Run *r, const Graph *g, double share, int seed) {
  (void)seed;
  return bench_passes(r->b, g, arena_printf(r->a, "allocate{macs=%.6f,ranks=1}", share), &r->ds, NULL);
}

static Graph *uniform_l1(const Run *r, const Graph *g, double share, int seed) {
  (void)seed;
  const char *text = arena_printf(r->a, "prune{macs=%.6f,by=l1,uniform=1}", share);
  return with_statistics(r, bench_passes(r->b, g, text, &r->ds, NULL));
}

/* prune{widths=...} of shares[i] times `by` of each group. */
static Graph *of_widths(const Run *r, const Graph *g, const Channels *c, const double *shares, double by) {
  StrBuf text = {0};
  sb_puts(&text, "prune{by=l1,widths=");
  for (uint32_t i = 0; i < c->n_groups; i++) {
    double n = round(c->groups[i].n * fmin(1, shares[i] * by));
    sb_printf(&text, "%s%d", i ? "/" : "", (int)fmax(n, fmin(4, c->groups[i].n)));
  }
  sb_puts(&text, "}");
  Graph *out = bench_passes(r->b, g, sb_str(&text), &r->ds, NULL);
  sb_free(&text);
  return out;
}

/* Shares drawn from 0.2 .. 1, then all scaled alike until the MACs fit. */
static Graph *random_widths(const Run *r, const Graph *g, double share, int seed) {
  Channels c;
  Rng rng;
  bench_must(r->b, channels_find(g, NULL, &c, r->b->d));
  double *shares = mem_array(c.n_groups, sizeof *shares), lo = 0, hi = 5,
         most = share * (double)graph_macs(g);
  rng_seed(&rng, (uint64_t)seed, 7);
  for (uint32_t i = 0; i < c.n_groups; i++) shares[i] = 0.2 + 0.8 * (double)rng_uniform(&rng);
  for (int k = 0; k < 12; k++) {
    Graph *cut = of_widths(r, g, &c, shares, (lo + hi) / 2);
    *((double)graph_macs(cut) <= most ? &lo : &hi) = (lo + hi) / 2;
    graph_free(cut);
  }
  Graph *out = of_widths(r, g, &c, shares, lo);
  mem_free(shares);
  channels_free(&c);
  return with_statistics(r, out);
}

static Graph *unpruned(const Run *r, const Graph *g, double share, int seed) {
  (void)r, (void)share, (void)seed;
  return graph_clone(g);
}

typedef struct Method {
  const char *name, *key;
  Graph *(*cut)(const Run *r, const Graph *g, double share, int seed);
} Method;
static const Method methods[] = {{"ours", "ours", ours},
                                 {"uniform L1", "l1", uniform_l1},
                                 {"random widths", "random", random_widths},
                                 {"unpruned", "unpruned", unpruned}};
enum { OURS, N_CUT_METHODS = 3, UNPRUNED = 3 };

/* -- retraining -- */

static void train_options(const Run *r, const Case *c, int seed, TrainOptions *o) {
  train_options_default(o);
  o->epochs = c->epochs;
  o->batch = 128;
  o->threads = r->b->host.threads;
  o->lr = 0.05f;
  o->weight_decay = 1e-4f;
  o->warmup = 0.02f;
  o->mix = 0.9f;
  o->temperature = 4;
  o->augment = r->ds.spec.augment;
  o->views = VIEWS;
  o->seed = (uint64_t)seed;
}

static Blob *bank_of(const Run *r, const Case *c, const Graph *teacher, const TrainOptions *o) {
  const char *path = kept(r, arena_printf(r->a, "%s-bank%d", c->name, (int)o->seed), "bin");
  Blob *bank = blob_map(path);
  if (bank) return bank;
  bank = teacher_bank(teacher, &r->ds, o, &r->b->host, r->b->d);
  bench_must(r->b, bank && file_write(path, blob_raw(bank), blob_size(bank), r->b->d));
  return bank;
}

static Graph *retrained(const Run *r, const Case *c, const char *key, const Graph *g, const Graph *teacher,
                        int seed) {
  Graph *done = load(r, key);
  if (done) return done;
  TrainOptions o;
  train_options(r, c, seed, &o);
  o.checkpoint_path = kept(r, key, "ckpt");
  Blob *bank = bank_of(r, c, teacher, &o);
  const Graph *teachers[] = {teacher};
  const TrainJob job = {.graph = g,
                        .teachers = teachers,
                        .n_teachers = 1,
                        .banks = &bank,
                        .data = &r->ds,
                        .options = &o,
                        .host = &r->b->host};
  const double start = now();
  Graph *out = train_run(&job, NULL, r->b->d);
  bench_must(r->b, out != NULL);
  done = trained_bn(out, &r->ds, &o, BN_IMAGES, &r->b->host, r->b->d);
  bench_must(r->b, done != NULL);
  graph_free(out);
  save(r, key, done);
  printf("  %s: %d epochs in %.0f s\n", key, o.epochs, now() - start);
  unlink(o.checkpoint_path);
  blob_unref(bank);
  return done;
}

/* -- a case -- */

typedef struct Outcome {
  Scores plain, trained;
  double macs, seconds;
} Outcome;

static Outcome outcome_of(Run *r, const Case *c, const Graph *g, const Method *m, double cut, int seed) {
  const char *key = m->cut == unpruned ? arena_printf(r->a, "%s-unpruned-s%d", c->name, seed)
                                       : arena_printf(r->a, "%s-%s-%.2fx-s%d", c->name, m->key, cut, seed),
             *key_cut = arena_printf(r->a, "%s-cut", key),
             *key_trained = arena_printf(r->a, "%s-e%d", key, c->epochs);
  Graph *small = load(r, key_cut);
  Outcome out = {0};
  if (small) {
    out.seconds = seconds_of(r, key_cut, -1);
  } else {
    const double start = now();
    small = m->cut(r, g, 1 / cut, seed);
    out.seconds = seconds_of(r, key_cut, now() - start); /* first: a net that is there has its time */
    save(r, key_cut, small);
  }
  out.macs = (double)graph_macs(small);
  out.plain = final_scores(r, key_cut, small);
  Graph *done = c->epochs > 0 ? retrained(r, c, key_trained, small, g, seed) : graph_clone(small);
  out.trained = final_scores(r, c->epochs > 0 ? key_trained : key_cut, done);
  graph_free(small);
  graph_free(done);
  return out;
}

static void outcome_free(Outcome *o) {
  scores_free(&o->plain);
  scores_free(&o->trained);
}

static void rows_of(Run *r, const Case *c, int k, int seed, const Method *m, const Outcome *o,
                    const Outcome *control, double macs) {
  char name[80], how[240];
  double lo, hi;
  const bool is_ours = m == &methods[OURS];
  snprintf(name, sizeof name, "%s %.2fx, %s", c->name, c->cut[k], m->name);
  snprintf(how, sizeof how, "%s images, seed %d; %d epochs, %lld images seen, distilled from the original",
           r->o->validation ? "2,000 validation" : "8,000 test", seed, c->epochs,
           (long long)c->epochs * r->ds.train.n);
  scores_interval(&o->trained, &control->trained, &lo, &hi);
  const Row rows[] = {
      {name, "fewer MACs", "x", "higher", how, macs / o->macs, is_ours ? c->cut[k] : NAN, NULL, 0},
      {name, "accuracy, not retrained", "%", "higher", how, scores_percent(&o->plain), NAN, NULL, 0},
      {name, "seconds of the cut", "s", "lower", "wall clock, 2 threads", o->seconds, NAN, NULL, 0},
      {name, "accuracy, retrained", "%", "higher", how, scores_percent(&o->trained), NAN, NULL, 0},
      {name, "minus the unpruned control", "points", "higher", how,
       scores_percent(&o->trained) - scores_percent(&control->trained), is_ours ? c->aim[k] : NAN, NULL, 0},
      {name, "interval from", "points", "higher", "95 %, paired bootstrap over images", lo, NAN, NULL, 0},
      {name, "interval to", "points", "higher", "95 %, paired bootstrap over images", hi, NAN, NULL, 0}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) bench_row(r->b, &rows[i]);
}

static void control_rows(Run *r, const Case *c, int seed, const Outcome *o) {
  char name[80], how[200];
  snprintf(name, sizeof name, "%s, unpruned", c->name);
  snprintf(how, sizeof how, "%s images, seed %d; %d epochs, distilled from itself",
           r->o->validation ? "2,000 validation" : "8,000 test", seed, c->epochs);
  bench_row(r->b,
            &(Row){name, "accuracy, original", "%", "higher", how, scores_percent(&o->plain), NAN, NULL, 0});
  bench_row(r->b, &(Row){name, "accuracy, retrained", "%", "higher", how, scores_percent(&o->trained), NAN,
                         NULL, 0});
}

static void run_seed(Run *r, const Case *c, const Graph *g, int seed) {
  Outcome control = outcome_of(r, c, g, &methods[UNPRUNED], 1, seed);
  control_rows(r, c, seed, &control);
  for (int k = 0; k < c->n_cuts; k++) {
    for (int m = 0; m < N_CUT_METHODS; m++) {
      Outcome o = outcome_of(r, c, g, &methods[m], c->cut[k], seed);
      rows_of(r, c, k, seed, &methods[m], &o, &control, (double)graph_macs(g));
      outcome_free(&o);
    }
  }
  outcome_free(&control);
}

static void run_case(Run *r, const Case *c) {
  Graph *file = onnx_import(bench_data(c->model), r->b->d);
  bench_must(r->b, file != NULL);
  Graph *g = bench_passes(r->b, file, PREPARE, &r->ds, NULL);
  graph_free(file);
  for (int seed = 1; seed <= (r->o->full ? 3 : 1); seed++) run_seed(r, c, g, seed);
  graph_free(g);
}

static bool parse(int argc, char **argv, Options *o) {
  for (int k; (k = getopt(argc, argv, "fve:m:w:")) != -1;) {
    if (k == 'f')
      o->full = true;
    else if (k == 'v')
      o->validation = true;
    else if (k == 'e')
      o->epochs = (int)strtol(optarg, NULL, 10);
    else if (k == 'm')
      o->net = (int)strtol(optarg, NULL, 10);
    else if (k == 'w')
      o->folder = optarg;
    else
      return false;
  }
  if (o->epochs < 0) o->epochs = o->full ? FULL_EPOCHS : EPOCHS;
  return o->net == 0 || o->net == 20 || o->net == 56;
}

/* Is it all that the result file of this form holds? */
static bool is_whole(const Options *o) {
  return !o->validation && o->epochs == (o->full ? FULL_EPOCHS : EPOCHS) &&
         (o->net == 0 || (!o->full && o->net == 20));
}

int main(int argc, char **argv) {
  Options o = {.epochs = -1, .folder = "build/bench-compress"};
  if (!parse(argc, argv, &o)) {
    fprintf(stderr, "usage: %s [-f] [-v] [-e EPOCHS] [-m 20|56] [-w FOLDER]\n", argv[0]);
    return 1;
  }
  const Case cases[] = {
      {"ResNet-20", "models/onnx/resnet20_cifar10j_dynbatch_bn.onnx", o.epochs, {1.65, 2.1}, {-0.4, -0.8}, 2},
      {"ResNet-56", "models/onnx/resnet56_cifar10j_dynbatch_bn.onnx", o.epochs * 2 / 3, {2.55}, {-0.4}, 1}};
  Bench b;
  Run r = {.b = &b, .o = &o, .a = arena_new()};
  if (!file_exists(bench_data(cases[0].model))) {
    printf("compress-prune: no %s: skipped\n", bench_data(cases[0].model));
    return 0;
  }
  bench_open(&b, o.full ? "compress-prune-full" : "compress-prune", 2);
  bench_must(&b, open_folder(o.folder, r.a, b.d));
  cifar_open(&b, 0, &r.ds);
  for (size_t i = 0; i < 2; i++)
    if (o.net ? o.net == (i ? 56 : 20) : o.full || !i) run_case(&r, &cases[i]);
  dataset_close(&r.ds);
  if (r.test.n) split_close(&r.test);
  bench_close(&b, is_whole(&o));
  if (!is_whole(&o))
    printf("compress-prune: no result file: it is of the test images, %d epochs, all nets\n",
           o.full ? FULL_EPOCHS : EPOCHS);
  arena_free(r.a);
  return 0;
}
