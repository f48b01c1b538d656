/* The generated tasks on a Cortex-M4, int8: each as it is and at a half and a quarter of the cycles.
 *
 *   make bench-compress-tasks                    -> bench/results/compress-tasks.json
 *   build/release/bench/compress-tasks TASK...      these tasks alone; writes no result file
 *
 * A task is an example's data program and a deploy.yaml with the targets "original", "half" and "quarter"; `mistify tailor`
 * does the work and reads the test split, once, for each. Data that are not there are made; results come from tailor's cache
 * where it has them, so that a run that was stopped goes on. Accuracy (AUC for bearings) is that of the emitted C, cycles are
 * estimated, instructions counted by the emulator, flash and RAM as linked. A target whose limit was out of reach has no
 * rows of its own but one that says so.
 */
#include <math.h>

#include "bench/compress_common.h"

typedef struct Task {
  const char *name, *example, *deploy;
} Task;

static const Task tasks[] = {
    {"bearings", "examples/03-bearing-monitor", "examples/03-bearing-monitor/deploy.yaml"},
    {"speech-depthwise", "examples/02-keyword-spotter", "examples/02-keyword-spotter/deploy-dscnn.yaml"},
    {"speech-residual", "examples/02-keyword-spotter", "examples/02-keyword-spotter/deploy-residual.yaml"},
    {"speech-gru", "examples/02-keyword-spotter", "examples/02-keyword-spotter/deploy-gru.yaml"},
    {"speech-attention", "examples/02-keyword-spotter", "examples/02-keyword-spotter/deploy-attention.yaml"},
    {"glyphs", "examples/01-label-reader", "bench/tasks/glyphs.yaml"},
};
enum { TASKS = sizeof tasks / sizeof *tasks };

static const char *const targets[] = {"original", "half", "quarter"};

/* -- report.json, of which the order of keys is known -- */

/* Where "key": stands behind `at`; NULL: nowhere before `end`. */
static const char *find(const char *at, const char *end, const char *key) {
  char quoted[64];
  snprintf(quoted, sizeof quoted, "\"%s\":", key);
  const char *p = at ? strstr(at, quoted) : NULL;
  return p && (!end || p < end) ? p + strlen(quoted) : NULL;
}

static double number(const char *at, const char *end, const char *group, const char *key) {
  const char *p = find(group ? find(at, end, group) : at, end, key);
  return p ? strtod(p, NULL) : NAN;
}

/* The object of a target, and where the next one begins. */
static const char *target_of(const char *text, const char *name, const char **end) {
  char head[64];
  snprintf(head, sizeof head, "\"target\": \"%s\"", name);
  const char *p = strstr(text, head);
  *end = p ? strstr(p + 1, "\"target\":") : NULL;
  return p;
}

/* -- rows -- */

typedef struct Result {
  bool delivered, auc;
  double metric, cycles, instructions, flash, ram;
} Result;

static Result result_of(const char *text, const char *target) {
  const char *end, *at = target_of(text, target, &end), *test = find(at, end, "emitted");
  Result r = {.delivered = false};
  const char *yes = find(at, end, "delivered");
  if (!yes || strncmp(yes, " true", 5) != 0) return r;
  r.delivered = true;
  r.auc = number(test, end, NULL, "auc") >= 0;
  r.metric = number(test, end, NULL, r.auc ? "auc" : "top1");
  r.cycles = number(at, end, "estimate", "cycles");
  r.instructions = number(at, end, "measured", "instructions");
  r.flash = number(at, end, "measured", "flash");
  r.ram = number(at, end, "measured", "ram");
  return r;
}

static void put(Bench *b, const char *name, const char *metric, const char *unit, double value, double peer,
                const char *better) {
  bench_row(b, &(Row){.name = name,
                      .metric = metric,
                      .unit = unit,
                      .better = better,
                      .how = "mistify tailor, nucleo-l432kc (Cortex-M4), int8",
                      .value = value,
                      .aim = NAN,
                      .peer = isnan(peer) ? NULL : "original",
                      .peer_value = peer});
}

static void put_result(Bench *b, const Task *t, const char *target, const Result *r, const Result *first) {
  char name[96];
  const bool alone = r == first || !first->delivered; /* nothing to stand beside */
  snprintf(name, sizeof name, "%s %s", t->name, target);
  if (!r->delivered) {
    put(b, name, "out of reach", "bool", 1, NAN, "lower");
    return;
  }
  put(b, name, r->auc ? "AUC" : "accuracy", "%", 100 * r->metric, alone ? NAN : 100 * first->metric,
      "higher");
  put(b, name, "cycles", "estimated", r->cycles, alone ? NAN : first->cycles, "lower");
  put(b, name, "instructions", "counted", r->instructions, alone ? NAN : first->instructions, "lower");
  put(b, name, "flash", "bytes", r->flash, alone ? NAN : first->flash, "lower");
  put(b, name, "RAM", "bytes", r->ram, alone ? NAN : first->ram, "lower");
}

/* -- running -- */

static void run(const Bench *b, const char *command) {
  int status = system(command);
  if (status != 0 && status != 2 << 8) /* 2: limits out of reach */
    bench_must(b, diag_error(b->d, NULL, "%s: status %d", command, status >> 8));
}

/* The example's data, made where they are not there; false where they cannot be (no espeak-ng), which its program says. */
static bool have_data(const Task *t, Arena *a) {
  const char *tool = arena_printf(a, "build/release/%s/make_data", t->example);
  if (file_exists(arena_printf(a, "%s/data/test_y.npy", t->example))) return true;
  if (system(arena_printf(a, "make --no-print-directory -s %s && %s --out %s/data", tool, tool,
                          t->example)) == 0)
    return true;
  printf("%s: its data cannot be made: skipped\n", t->name);
  return false;
}

static void run_task(Bench *b, const Task *t) {
  Arena *a = arena_new();
  const char *out = arena_printf(a, "build/bench-tasks/%s", t->name);
  if (!have_data(t, a)) {
    arena_free(a);
    return;
  }
  bench_must(b, file_make_dirs("build/bench-tasks", b->d));
  run(b, arena_printf(
             a, "build/release/mistify tailor %s -o %s --cache build/bench-tasks/cache --quiet >%s.log 2>&1",
             t->deploy, out, out));
  size_t size;
  char *text = file_read(a, path_join(a, out, "report.json"), &size, b->d);
  bench_must(b, text != NULL);
  Result r[3];
  for (int i = 0; i < 3; i++) r[i] = result_of(text, targets[i]);
  for (int i = 0; i < 3; i++) put_result(b, t, targets[i], &r[i], &r[0]);
  arena_free(a);
}

static bool wanted(int argc, char **argv, const char *name) {
  for (int i = 1; i < argc; i++)
    if (strcmp(argv[i], name) == 0) return true;
  return argc < 2;
}

int main(int argc, char **argv) {
  Bench b;
  bench_open(&b, "compress-tasks", 2);
  for (int i = 0; i < TASKS; i++)
    if (wanted(argc, argv, tasks[i].name)) run_task(&b, &tasks[i]);
  bench_close(&b, argc < 2);
  return 0;
}
