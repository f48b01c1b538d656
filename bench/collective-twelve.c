/* ResNet-20 to twelve boards, end to end: three Cortex-M0+, three M4, three M7, three AArch64; of each an easy, a middle and a
 * tight request.
 *
 *   make bench-collective-twelve                    -> bench/results/collective-twelve.json
 *   build/release/bench/collective-twelve -q        few images: does it work? no result file
 *                                         -w FOLDER where the run is kept (build/bench/collective-twelve)
 *                                         -r        rows of what the folder has, whatever sources made it; no result file
 *
 *   requests  bench/collective/twelve-deploy.yaml.in       design  bench/collective/twelve-design.yaml.in
 *
 * One `mistify tailor`: plan, training, C, compilers, emulators, and at its end the test split, which nothing else reads. Needs
 * ../shared (resnet20_cifar10j, CIFAR-10) and the cross compilers and emulators; without the former it is skipped. Accuracy is that
 * of the emitted int8 C on the test split, flash and RAM are as linked, cycles as estimated (they are what the limit is of),
 * instructions as counted by the emulator. An aim is a limit.
 *
 * A run that was stopped goes on from its cache and plan.lock; FOLDER/spent has a line for each start: wall clock, processor
 * seconds of the run, of the whole machine. FOLDER/done: it has ended, and by which sources. Where others used the processors, the
 * rows of time say so.
 */
#include <errno.h>
#include <math.h>
#include <unistd.h>

#include "bench/command.h"
#include "bench/compress_common.h"

#define DESIGN  "bench/collective/twelve-design.yaml.in"
#define DEPLOY  "bench/collective/twelve-deploy.yaml.in"
#define COMMAND "build/release/mistify"
#define MODEL   "models/onnx/resnet20_cifar10j_dynbatch_bn.onnx"

typedef struct Twelve {
  Bench *b;
  Arena *a;
  bool quick, kept;
  const char *folder;
  double wall, own, all; /* seconds: spent so far, by the run, by the machine's processors */
} Twelve;

static const char *in(const Twelve *t, const char *name) { return path_join(t->a, t->folder, name); }

static void put_file(const Twelve *t, const char *name, const char *text) {
  bench_must(t->b, file_write(in(t, name), text, strlen(text), t->b->d));
}

static const char *get_file(const Twelve *t, const char *path) {
  const char *text = file_read(t->a, path, NULL, t->b->d);
  bench_must(t->b, text != NULL);
  return text;
}

/* -- the run -- */

static const char *fill(const Twelve *t, const char *text, const char *name, int images) {
  return text_filled(t->a, text, name, arena_printf(t->a, "%d", images));
}

static void write_inputs(const Twelve *t) {
  /* Paths in a design are relative to it. */
  const char *shared = *bench_shared() == '/' ? bench_shared() : "../../../../shared";
  const char *text = text_filled(t->a, get_file(t, DESIGN), "@SHARED@", shared);
  text = fill(t, text, "@TRAIN@", t->quick ? 1024 : 50000);
  text = fill(t, text, "@IMAGES@", t->quick ? 256 : 100000);
  text = fill(t, text, "@VAL@", t->quick ? 200 : CIFAR_VALIDATION);
  text =
      fill(t, text, "@FIRST@", t->quick ? 1000 : CIFAR_VALIDATION); /* a trial reads none of the test split */
  text = fill(t, text, "@TEST@", t->quick ? 100 : CIFAR_TEST);
  put_file(t, "design.yaml", text);
  put_file(t, "deploy.yaml", get_file(t, DEPLOY));
}

static const char *print_of(const Twelve *t) {
  static const char *const files[] = {DESIGN, DEPLOY, NULL};
  const char *print = sources_print(t->a, files, "", t->b->d);
  bench_must(t->b, print != NULL);
  return print;
}

/* True: it has ended, and there is nothing to run. */
static bool has_ended(const Twelve *t) {
  if (t->kept) return true;
  if (!file_exists(in(t, "done"))) return false;
  if (strcmp(get_file(t, in(t, "done")), print_of(t)) == 0) return true;
  diag_error(t->b->d, NULL, "collective-twelve: the run in %s is of other sources or requests", t->folder);
  diag_hint(t->b->d, "remove the folder, or keep it under another name");
  bench_must(t->b, false);
  return false;
}

static void run(const Twelve *t) {
  const char *argv[] = {COMMAND,        "tailor", in(t, "deploy.yaml"), "--cache",
                        in(t, "cache"), "-o",     in(t, "out"),         NULL};
  write_inputs(t);
  printf("  mistify tailor %s: its log is %s\n", argv[2], in(t, "log"));
  const double wall = wall_now(), own = spent_by_children(), all = spent_by_all();
  const int p = command_start(argv, in(t, "log"));
  if (p < 0) bench_must(t->b, diag_error(t->b->d, NULL, "fork: %s", strerror(errno)));
  const int status = command_wait(p);
  FILE *spent = fopen(in(t, "spent"), "a");
  if (spent) {
    fprintf(spent, "%.1f %.1f %.1f\n", wall_now() - wall, spent_by_children() - own, spent_by_all() - all);
    fclose(spent);
  }
  if (status != 0 && status != 2) /* 2: a limit is out of reach */
    bench_must(t->b, diag_error(t->b->d, NULL, "status %d; see %s", status, in(t, "log")));
  put_file(t, "done", print_of(t));
}

static void read_spent(Twelve *t) {
  const char *text = get_file(t, in(t, "spent"));
  double wall, own, all;
  for (int n; sscanf(text, "%lf %lf %lf%n", &wall, &own, &all, &n) == 3; text += n)
    t->wall += wall, t->own += own, t->all += all;
}

/* -- what it reports -- */

static void row(const Twelve *t, const char *name, const char *metric, const char *unit, const char *better,
                double value, double aim, const char *how) {
  bench_row(t->b, &(Row){.name = name,
                         .metric = metric,
                         .unit = unit,
                         .better = better,
                         .how = how,
                         .value = value,
                         .aim = aim > 0 ? aim : NAN});
}

static void put_target(const Twelve *t, const Json *x) {
  const Json *limits = json_get(x, "limits"), *measured = json_get(x, "measured"),
             *test = json_get(x, "test"), *emitted = json_get(test, "emitted"),
             *validation = json_get(x, "validation");
  const char *name = json_get_str(x, "target", "?"), *board = json_get_str(x, "machine", "?");
  if (!json_get_bool(x, "delivered", false)) {
    row(t, name, "out of reach", "bool", "lower", 1, NAN, json_get_str(x, "why", ""));
    return;
  }
  row(t, name, "test accuracy", "%", "higher", 100 * json_get_num(emitted, "top1", NAN), NAN,
      arena_printf(
          t->a, "%s; emitted int8 C; standard error %.2f points; %d of %d outputs of the target byte-equal",
          board, 100 * json_get_num(emitted, "stderr", 0), (int)json_get_int(test, "vectors_equal", 0),
          (int)json_get_int(test, "vectors", 0)));
  row(t, name, "validation accuracy", "%", "higher", 100 * json_get_num(validation, "final", NAN), NAN,
      "int8 graph");
  row(t, name, "flash", "bytes", "lower", json_get_num(measured, "flash", NAN),
      json_get_num(limits, "flash", 0), "as linked");
  row(t, name, "RAM", "bytes", "lower", json_get_num(measured, "ram", NAN), json_get_num(limits, "ram", 0),
      "as linked");
  row(t, name, "cycles", "cycles", "lower", json_get_num(json_get(x, "estimate"), "cycles", NAN),
      json_get_num(limits, "cycles", 0), "estimated");
  row(t, name, "instructions", "instructions", "lower", json_get_num(measured, "instructions", NAN), NAN,
      "counted by the emulator");
  row(t, name, "MACs", "MACs", "lower", json_get_num(x, "macs", NAN), NAN, "of one inference");
}

static void put_whole(const Twelve *t, const Json *report) {
  const Json *plan = json_get(report, "plan"), *ways = json_get(plan, "ways");
  const double others = t->all > 0 ? 1 - fmin(1, t->own / t->all) : 0;
  const char *how =
      arena_printf(t->a, "end to end; %.1f %% of the processors' time went to others", 100 * others);
  if (others > 0.1)
    how = arena_printf(
        t->a,
        "end to end; the machine was busy: %.0f %% of its processors' time went to others, before which "
        "the run stood back",
        100 * others);
  row(t, "twelve targets", "wall clock", "s", "lower", t->wall, NAN, how);
  row(t, "twelve targets", "processor time", "s", "lower", t->own, NAN, how);
  row(t, "twelve targets", "steps reused", "%", "higher", 100 * json_get_num(plan, "share_reused", NAN), NAN,
      "uses of a step by a target that another had made, or an earlier start");
  row(t, "twelve targets", "models trained", "models", "lower",
      json_get_num(json_get(plan, "trained"), "models", NAN), NAN, "distinct ones of twelve");
  row(t, "twelve targets", "training images, each alone", "images", "lower",
      json_get_num(json_get(ways, "none"), "images", NAN), NAN, "planned with --sharing none");
  row(t, "twelve targets", "training images, as planned", "images", "lower",
      json_get_num(json_get(ways, "tree"), "images", NAN), NAN, "--sharing tree");
}

static void put_report(Twelve *t) {
  const char *path = in(t, "out/report.json");
  size_t n = 0;
  const char *text = file_read(t->a, path, &n, t->b->d);
  const Json *report = text ? json_parse(t->a, text, n, path, t->b->d) : NULL;
  bench_must(t->b, report != NULL);
  const Json *all = json_get(report, "targets");
  const Json *original = json_get(json_get(all ? all->first : NULL, "test"), "original");
  int met = 0;
  row(t, "original", "test accuracy", "%", "higher", 100 * json_get_num(original, "top1", NAN), NAN,
      "float32");
  for (const Json *x = all ? all->first : NULL; x; x = x->next) {
    put_target(t, x);
    met += json_get_bool(x, "met", false);
  }
  row(t, "twelve targets", "limits met", "targets", "higher", met, 12,
      "flash and RAM as linked, cycles estimated");
  read_spent(t);
  put_whole(t, report);
}

int main(int argc, char **argv) {
  Twelve t = {.folder = NULL};
  for (int k; (k = getopt(argc, argv, "qrw:")) != -1;) {
    if (k == 'q') t.quick = true;
    if (k == 'r') t.kept = true;
    if (k == 'w') t.folder = optarg;
    if (k == '?') {
      fprintf(stderr, "usage: %s [-q] [-r] [-w FOLDER]\n", argv[0]);
      return 1;
    }
  }
  if (!t.folder) t.folder = t.quick ? "build/bench/collective-twelve-quick" : "build/bench/collective-twelve";
  if (!file_exists(arena_printf(t.a = arena_new(), "%s/data/" MODEL, bench_shared())) ||
      !file_exists(bench_data("cifar10/test.bin.xz"))) {
    printf("collective-twelve: no %s/data/" MODEL " or no CIFAR-10 beside it: skipped\n", bench_shared());
    arena_free(t.a);
    return 0;
  }
  Bench b;
  bench_open(&b, "collective-twelve", 2);
  t.b = &b;
  bench_must(&b, file_make_dirs(t.folder, b.d));
  if (!has_ended(&t)) run(&t);
  put_report(&t);
  bench_close(&b, !t.quick && !t.kept);
  arena_free(t.a);
  return 0;
}
