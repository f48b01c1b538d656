/* Forty targets together, against each by itself: from the imported model to int8 graphs.
 *
 *   make bench-collective                        -> bench/results/collective.json: the label reader
 *   make bench-collective-full                      other tasks (collective-full.sh)
 *   build/release/bench/collective -t TASK       glyphs (the label reader), or another of collective_tasks.c
 *   build/release/bench/collective -p PART       one part alone (and what it needs), no result file
 *                                  -e EPOCHS     of the collective's retraining (default: its task's); no result file
 *                                  -w FOLDER     where runs are kept (build/bench/RESULT; two below build/)
 *                                  -q            five targets, few images: does it work? no result file
 *
 *   requests  bench/collective/targets.def; by rule where the task says so    design  its template, named there
 *   seeds     bench/collective/seeds.h
 *
 * Times are wall clock of whole processes of `mistify tailor` with all processors: nothing else may run on the machine, which
 * this program cannot see to. Each run begins with an empty cache, unless its part says otherwise, and is kept: what was
 * stopped goes on with the run that it stopped in. A folder of runs of other sources is refused.
 *
 *   collective   all targets in one plan; are the requests what they should be?
 *   subsets      every 4th, every 2nd
 *   independent  a sample, one of each stratum of five by size: that target alone, `--sharing none`, with 1, 2, 4, 8 epochs in
 *                turn. It is charged with the first run whose int8 validation accuracy is within 0.1 point of the collective's,
 *                or with that of 8 epochs, and is then counted as unmatched. One epoch is the least: a port that would be
 *                as good with less is charged too much. Ports run one after the other with all cores, while the
 *                collective's trainings may run side by side, a core each.
 *   firmware     the same end to end: C, compilers, emulators; the port with the epochs that it was charged with
 *   ablations    other ways of sharing
 *   cache        a 41st target; the same run again; one target tightened
 *   kills        a job is killed at random moments and goes on: equal bytes?
 *   accuracy     last of all, of what was delivered above, on the test split, which nothing reads before: in the runs the last
 *                images of validation stand in for it
 */
#include <math.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "bench/collective/seeds.h"
#include "bench/collective_runs.h"
#include "bench/collective_stats.h"
#include "frontend/onnx/onnx.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "passes/input_raw.h"

enum { STRATUM = 5, SAMPLE_MAX = TARGETS / STRATUM, SCHEDULES = 4, KILLS = 20 };
static const int schedules[SCHEDULES] = {1, 2, 4, 8};

/* Ways of sharing; the first is the collective's. */
static const char *const ways[] = {"tree", "chain", "elastic"};
enum { WAYS = sizeof ways / sizeof *ways };

#define CLOCK     "wall clock of mistify tailor --graphs (import to int8 graph), empty cache"
#define CLOCK_ALL "wall clock of mistify tailor (import to compiled, emulated firmware), empty cache"

typedef struct Charged {
  int target, epochs;
  bool matched;
  Ran run;
} Charged;

typedef struct Collective {
  Setting s;
  Bench *b;
  int targets[TARGETS], n; /* from the largest to the smallest */
  int sample[SAMPLE_MAX], n_sample;
  int n_schedules, kills;
  const char *kill_length;
} Collective;

static void row(Collective *c, const char *name, const char *metric, const char *unit, const char *better,
                double value, double aim, const char *how) {
  bench_row(c->b, &(Row){.name = name,
                         .metric = metric,
                         .unit = unit,
                         .better = better,
                         .how = how,
                         .value = value,
                         .aim = aim});
}

/* Every step-th target from the first. */
static int every(const Collective *c, int step, int *out) {
  int n = 0;
  for (int i = 0; i < c->n; i += step) out[n++] = c->targets[i];
  return n;
}

static const char *name_of(const Collective *c, int target) { return arena_printf(c->s.a, "t%02d", target); }

/* -- collective -- */

static Job all_of(const Collective *c, const char *key) {
  return (Job){.key = key,
               .length = c->s.length,
               .sharing = ways[0],
               .targets = c->targets,
               .n = c->n,
               .tightened = -1,
               .weight = 1};
}

static Ran collective(Collective *c) {
  Job j = all_of(c, "collective");
  j.keep = true;
  return runs_do(&c->s, &j);
}

static void print_targets(const Collective *c, const Ran *r) {
  static const char *const kinds[] = {"none", "macs", "flash", "ram", "cycles"};
  for (int i = 0; i < c->n; i++) {
    const Json *t = ran_target(r, c->targets[i]);
    const Binding b = ran_binding(t);
    printf("    %s %-16s %-6s %11.0f  MACs %10.0f  params %7.0f  validation %6.2f %% %s\n",
           name_of(c, c->targets[i]), b.machine, kinds[b.kind + 1], b.limit, json_get_num(t, "macs", 0),
           json_get_num(t, "params", 0), 100 * ran_validation(r, c->targets[i]),
           json_get_bool(t, "met", false) ? "" : json_get_str(t, "why", ""));
  }
}

static void part_collective(Collective *c) {
  const Ran r = collective(c);
  double met = 0, most = 0, least = INFINITY;
  const char *name = arena_printf(c->s.a, "collective, %d targets", c->n);
  print_targets(c, &r);
  for (int i = 0; i < c->n; i++) {
    const Json *t = ran_target(&r, c->targets[i]);
    const double macs = json_get_num(t, "macs", 0);
    met += json_get_bool(t, "met", false);
    if (macs > 0) most = fmax(most, macs), least = fmin(least, macs);
  }
  row(c, name, "seconds", "s", "lower", r.seconds, NAN, CLOCK);
  row(c, name, "limits met", "targets", "higher", met, c->n, "by estimates");
  row(c, name, "different architectures", "models", "higher", ran_architectures(&r, c->targets, c->n),
      c->s.data.quick ? NAN : 30, "other MACs or other parameters");
  row(c, name, "largest to smallest", "x", "higher", most / least, c->s.data.quick ? NAN : 100, "MACs");
  row(c, name, "nearest two binding limits", "x", "higher", ran_nearest_limits(&r, c->targets, c->n), 1.05,
      "of the same kind, cycles on the same machine; which binds: the one that is used most");
  row(c, name, "mean validation accuracy", "%", "higher", 100 * ran_mean_validation(&r), NAN, "int8");
}

/* -- independent -- */

static const char *epochs_text(const Collective *c, int epochs) {
  return arena_printf(c->s.a, "epochs: %d", epochs);
}

static Ran port(Collective *c, int target, int epochs, bool firmware) {
  const char *key =
      arena_printf(c->s.a, "port%s-%s-%d", firmware ? "-firmware" : "", name_of(c, target), epochs);
  return runs_do(&c->s, &(Job){.key = key,
                               .length = epochs_text(c, epochs),
                               .sharing = "none",
                               .targets = &target,
                               .n = 1,
                               .tightened = -1,
                               .firmware = firmware,
                               .weight = 0.02 + 0.01 * epochs});
}

static Charged charged(Collective *c, int target) {
  const Ran all = collective(c);
  Charged out = {.target = target};
  for (int i = 0; i < c->n_schedules && !out.matched; i++) {
    out.epochs = schedules[i];
    out.run = port(c, target, out.epochs, false);
    out.matched = ran_validation(&out.run, target) >= ran_validation(&all, target) - 0.001 - 1e-9;
  }
  return out;
}

/* Members of each sampled target's stratum among the targets. */
static void weigh(const Collective *c, const int *targets, int n, double *weight) {
  const int strata = c->n_sample, each = (c->n + strata - 1) / strata;
  for (int k = 0; k < strata; k++) weight[k] = 0;
  for (int i = 0; i < n; i++)
    for (int at = 0; at < c->n; at++)
      if (c->targets[at] == targets[i]) weight[at / each < strata ? at / each : strata - 1]++;
}

static void put_ratio(Collective *c, const double *cost, const int *targets, int n, double whole, double aim,
                      const char *name, const char *how) {
  double weight[SAMPLE_MAX];
  weigh(c, targets, n, weight);
  const Ratio r = ratio_of(cost, weight, c->n_sample, n, whole, SEED_BOOTSTRAP);
  row(c, name, "independent ports by collective", "x", "higher", r.value, aim, how);
  row(c, name, "interval from", "x", "higher", r.lo, NAN, "95 %, bootstrap over the sample");
  row(c, name, "interval to", "x", "higher", r.hi, NAN, "95 %, bootstrap over the sample");
}

static void part_independent(Collective *c) {
  const Ran all = collective(c);
  double cost[SAMPLE_MAX], unmatched = 0;
  for (int k = 0; k < c->n_sample; k++) {
    const Charged x = charged(c, c->sample[k]);
    const char *name = arena_printf(c->s.a, "port of %s", name_of(c, x.target));
    cost[k] = x.run.seconds;
    unmatched += !x.matched;
    row(c, name, "seconds", "s", "higher", cost[k], NAN, CLOCK);
    row(c, name, "epochs charged", "epochs", "lower", x.epochs, NAN,
        x.matched ? "within 0.1 point of the collective on validation" : "the longest schedule; not matched");
    row(c, name, "validation, collective minus port", "points", "higher",
        100 * (ran_validation(&all, x.target) - ran_validation(&x.run, x.target)), NAN, "int8");
  }
  row(c, "ports of the sample", "unmatched", "targets", "lower", unmatched, NAN,
      "no schedule came within 0.1 point of the collective on validation");
  put_ratio(c, cost, c->targets, c->n, all.seconds, c->s.data.quick ? NAN : 20,
            arena_printf(c->s.a, "%d targets", c->n), CLOCK "; sampled ports stand for their strata");
}

/* -- subsets -- */

static void part_subsets(Collective *c) {
  double cost[SAMPLE_MAX];
  for (int k = 0; k < c->n_sample; k++) cost[k] = charged(c, c->sample[k]).run.seconds;
  for (int step = 4; step > 1; step /= 2) {
    int targets[TARGETS];
    const int n = every(c, step, targets);
    Job j = all_of(c, arena_printf(c->s.a, "subset-%d", n));
    j.targets = targets, j.n = n, j.weight = step == 4 ? 0.4 : 0.65;
    const double seconds = runs_do(&c->s, &j).seconds;
    const char *name = arena_printf(c->s.a, "%d targets", n);
    row(c, name, "seconds", "s", "lower", seconds, NAN, CLOCK);
    put_ratio(c, cost, targets, n, seconds, NAN, name, CLOCK "; sampled ports stand for their strata");
  }
}

/* -- firmware -- */

static void part_firmware(Collective *c) {
  Job j = all_of(c, "firmware");
  j.firmware = true, j.weight = 1.5;
  const Ran r = runs_do(&c->s, &j);
  const char *name = arena_printf(c->s.a, "%d targets, end to end", c->n);
  double cost[SAMPLE_MAX];
  for (int k = 0; k < c->n_sample; k++)
    cost[k] = port(c, c->sample[k], charged(c, c->sample[k]).epochs, true).seconds;
  row(c, name, "seconds", "s", "lower", r.seconds, NAN, CLOCK_ALL);
  put_ratio(c, cost, c->targets, c->n, r.seconds, NAN, name,
            CLOCK_ALL "; epochs as charged without compilers");
}

/* -- ablations -- */

static void put_way(Collective *c, const char *way, double seconds, double accuracy, const char *how) {
  const char *name = arena_printf(c->s.a, "--sharing %s", way);
  row(c, name, "seconds", "s", "lower", seconds, NAN, how);
  row(c, name, "mean validation accuracy", "%", "higher", 100 * accuracy, NAN, how);
}

static void part_ablations(Collective *c) {
  for (int i = 0; i < WAYS; i++) {
    Job j = all_of(c, arena_printf(c->s.a, "way-%s", ways[i]));
    j.sharing = ways[i], j.weight = 1.2;
    const Ran r = i ? runs_do(&c->s, &j) : collective(c);
    put_way(c, ways[i], r.seconds, ran_mean_validation(&r), CLOCK);
  }
  double own = 0, common = 0, accuracy = 0;
  for (int k = 0; k < c->n_sample; k++) {
    const Charged x = charged(c, c->sample[k]);
    common += ran_common(&x.run) / c->n_sample;
    own += (x.run.seconds - ran_common(&x.run)) / c->n_sample;
    accuracy += ran_validation(&x.run, x.target) / c->n_sample;
  }
  put_way(c, "none", common + c->n * own, accuracy,
          "estimated from the sample's ports with the epochs they were charged with: prepare, table and bank "
          "once, the rest "
          "for each target");
}

/* -- cache -- */

/* Of the sample, whose MACs are nearest by factor. */
static Charged nearest_charged(Collective *c, double macs) {
  const Ran all = collective(c);
  int best = 0;
  double least = INFINITY;
  for (int k = 0; k < c->n_sample; k++) {
    const double d = fabs(log(json_get_num(ran_target(&all, c->sample[k]), "macs", 1) / macs));
    if (d < least) least = d, best = k;
  }
  return charged(c, c->sample[best]);
}

static void put_added(Collective *c) {
  Job j = all_of(c, "added");
  j.from = "collective", j.add = true, j.weight = 0.05;
  const Ran r = runs_do(&c->s, &j);
  const Charged near = nearest_charged(c, json_get_num(ran_target(&r, ADDED_TARGET), "macs", 1));
  const Ran alone = port(c, ADDED_TARGET, near.epochs, false);
  const char *how =
      arena_printf(c->s.a, "mistify tailor --add; its port with %d epochs, as %s was charged with",
                   near.epochs, name_of(c, near.target));
  row(c, "41st target", "seconds", "s", "lower", r.seconds, NAN, how);
  row(c, "41st target", "seconds of its port", "s", "higher", alone.seconds, NAN, how);
  row(c, "41st target", "share of its port", "%", "lower", 100 * r.seconds / alone.seconds, 5, how);
  row(c, "41st target", "validation, added minus port", "points", "higher",
      100 * (ran_validation(&r, ADDED_TARGET) - ran_validation(&alone, ADDED_TARGET)), NAN, "int8");
}

static void part_cache(Collective *c) {
  (void)collective(c);
  Job again = all_of(c, "again"), tight = all_of(c, "tightened");
  again.from = tight.from = "collective";
  again.weight = tight.weight = 0.05;
  tight.tightened = c->sample[c->n_sample / 2];
  put_added(c);
  const Ran same = runs_do(&c->s, &again), branch = runs_do(&c->s, &tight);
  row(c, "the same run again", "training steps", "steps", "lower", ran_trainings(&same), 0,
      "retrain, elastic, bank, table that were not in the cache");
  row(c, "the same run again", "seconds", "s", "lower", same.seconds, NAN, "wall clock");
  row(c, arena_printf(c->s.a, "%s tightened by 10 %%", name_of(c, tight.tightened)), "seconds", "s", "lower",
      branch.seconds, NAN, arena_printf(c->s.a, "steps ran for: %s", ran_for(&c->s, &branch)));
  printf("    steps ran for: %s\n", ran_for(&c->s, &branch));
  row(c, arena_printf(c->s.a, "%s tightened by 10 %%", name_of(c, tight.tightened)), "training steps",
      "steps", "lower", ran_trainings(&branch), NAN,
      "retrain, elastic, bank, table that were not in the cache");
}

/* -- kills -- */

static void pause_for(double seconds) {
  const struct timespec t = {(time_t)seconds, (long)(1e9 * (seconds - floor(seconds)))};
  nanosleep(&t, NULL);
}

typedef struct Kills {
  int kills, rounds, different; /* rounds: from an empty cache to the end */
} Kills;

/* Start the job and kill it after `seconds`, unless they are negative; true: it had ended. */
static bool start_and_kill(Collective *c, const Job *j, double seconds) {
  const int process = runs_start(&c->s, j);
  if (seconds >= 0) {
    pause_for(seconds);
    kill(-process, SIGKILL);
  }
  const int status = command_wait(process);
  if (status == 0 || status == 2) return true;
  if (status != 128 + SIGKILL)
    bench_must(c->b, diag_error(c->b->d, NULL, "run %s: status %d after a kill; see %s", j->key, status,
                                runs_path(&c->s, j->key, "log")));
  return false;
}

static bool is_different(const Collective *c, const char *a, const char *b) {
  return system(arena_printf(c->s.a, "diff -r -q -x report.json -x report.html %s %s",
                             runs_path(&c->s, a, "out"), runs_path(&c->s, b, "out"))) != 0;
}

/* Delays are drawn so that a round takes about eight of them. */
static Kills kill_often(Collective *c, Job *j, double seconds) {
  Kills k = {0};
  Rng r;
  rng_seed(&r, SEED_KILLS, 1);
  while (k.kills < c->kills) {
    runs_prepare(&c->s, j);
    bool ended = false;
    while (!ended && k.kills < c->kills) {
      ended = start_and_kill(c, j, seconds / 4 * (double)rng_uniform(&r));
      k.kills += !ended;
    }
    if (!ended) (void)start_and_kill(c, j, -1);
    k.rounds++;
    k.different += is_different(c, "undisturbed", j->key);
    printf("  kills: %d, rounds %d, different %d\n", k.kills, k.rounds, k.different);
  }
  return k;
}

static void part_kills(Collective *c) {
  int targets[TARGETS];
  Job j = all_of(c, "undisturbed");
  j.targets = targets, j.n = every(c, 4, targets), j.length = c->kill_length, j.weight = 0.2;
  const Ran plain = runs_do(&c->s, &j);
  j.key = "killed";
  Kills k;
  const char *path = arena_printf(c->s.a, "%s/runs/kills", c->s.folder);
  const char *text = file_exists(path) ? file_read(c->s.a, path, NULL, c->b->d) : "";
  if (!text || sscanf(text, "%d %d %d", &k.kills, &k.rounds, &k.different) != 3) {
    k = kill_often(c, &j, plain.seconds);
    text = arena_printf(c->s.a, "%d %d %d\n", k.kills, k.rounds, k.different);
    bench_must(c->b, file_write(path, text, strlen(text), c->b->d));
  }
  const char *how =
      arena_printf(c->s.a, "%d targets, %s, %.0f s undisturbed; all files but the reports, which hold times",
                   j.n, j.length, plain.seconds);
  row(c, "killed and resumed", "kills", "times", "higher", k.kills, c->kills, how);
  row(c, "killed and resumed", "runs that ended", "runs", "higher", k.rounds, NAN, how);
  row(c, "killed and resumed", "of other bytes than undisturbed", "runs", "lower", k.different, 0, how);
}

/* -- accuracy: the test split is read here alone -- */

static const bool *bits_of(Collective *c, const Graph *g, const Split *test, const Normalize *nz) {
  Scores s = scores_of(c->b, g, test, nz);
  bool *bits = arena_array(c->s.a, s.n, sizeof *bits);
  memcpy(bits, s.right, s.n * sizeof *bits);
  scores_free(&s);
  return bits;
}

static const bool *delivered_bits(Collective *c, const Ran *r, int target, const Split *test) {
  const char *path = arena_printf(c->s.a, "%s/%s/model.mistify", r->out, name_of(c, target));
  Blob *blob = blob_map(path);
  if (!blob) bench_must(c->b, diag_error(c->b->d, NULL, "%s: not there", path));
  Graph *g = graph_deserialize(blob, path, c->b->d);
  blob_unref(blob);
  bench_must(c->b, g != NULL);
  const Normalize nz = input_raw_normalize(g, test->dtype);
  const bool *bits = bits_of(c, g, test, &nz);
  graph_free(g);
  return bits;
}

static const bool *original_bits(Collective *c, const Split *test) {
  const Task *t = c->s.task;
  const char *path = strchr(t->model, '/') ? t->model : path_join(c->s.a, c->s.data.here, t->model);
  Graph *file = onnx_import(path, c->b->d);
  bench_must(c->b, file != NULL);
  Graph *g = bench_passes(c->b, file, "fold,layout{input=nhwc},fold,dce", NULL, NULL);
  const bool *bits = bits_of(c, g, test, &t->normalize);
  graph_free(file);
  graph_free(g);
  return bits;
}

static double percent(const bool *bits, uint32_t n) {
  double right = 0;
  for (uint32_t i = 0; i < n; i++) right += bits[i];
  return 100 * right / n;
}

static void put_lost(Collective *c, const bool *const *ours, const bool *const *theirs, uint32_t n) {
  Paired each[SAMPLE_MAX];
  double least;
  for (int k = 0; k < c->n_sample; k++) {
    const char *name = name_of(c, c->sample[k]);
    each[k] = paired(ours[k], theirs[k], n);
    row(c, name, "test accuracy, collective", "%", "higher", percent(ours[k], n), NAN, "int8, test split");
    row(c, name, "collective minus port", "points", "higher", each[k].mean, NAN,
        "int8, paired over test images");
    row(c, name, "standard error of it", "points", "lower", each[k].error, NAN, "paired over test images");
  }
  const Paired mean = paired_mean(ours, theirs, c->n_sample, n);
  row(c, "sample", "mean of collective minus port", "points", "higher", mean.mean, NAN,
      "int8, paired over test images");
  row(c, "sample", "95 % lower bound of it", "points", "higher", mean.mean - 1.645 * mean.error, -0.2,
      "one-sided, over test images; the sample stands as it is");
  const int below = below_by_holm(each, c->n_sample, -0.3, &least);
  row(c, "sample", "significantly below -0.3 points", "targets", "lower", below, 0,
      arena_printf(c->s.a, "one-sided paired tests, 5 %% by Holm; least p %.2g", least));
}

static void part_accuracy(Collective *c) {
  const Ran all = collective(c);
  Charged x[SAMPLE_MAX];
  for (int k = 0; k < c->n_sample; k++) x[k] = charged(c, c->sample[k]);
  const bool *ours[SAMPLE_MAX], *theirs[SAMPLE_MAX];
  Split test;
  SplitSpec spec;
  c->s.task->test(c->s.a, &c->s.data, &spec);
  bench_must(c->b, split_open(&spec, &test, c->b->d));
  for (int k = 0; k < c->n_sample; k++) {
    ours[k] = delivered_bits(c, &all, c->sample[k], &test);
    theirs[k] = delivered_bits(c, &x[k].run, c->sample[k], &test);
  }
  put_lost(c, ours, theirs, test.n);
  const double original = percent(original_bits(c, &test), test.n),
               smallest = percent(delivered_bits(c, &all, c->targets[c->n - 1], &test), test.n);
  row(c, "original", "test accuracy", "%", "higher", original, NAN, "float32, test split");
  row(c, "smallest target", "test accuracy", "%", "higher", smallest, NAN, "int8, test split");
  row(c, "smallest target", "points below the original", "points", "higher", original - smallest, 5,
      "so that targets ask for more than what is left over");
  split_close(&test);
}

/* -- all of it -- */

typedef struct Part {
  const char *name;
  void (*run)(Collective *c);
} Part;
static const Part parts[] = {{"collective", part_collective}, {"independent", part_independent},
                             {"subsets", part_subsets},       {"ablations", part_ablations},
                             {"cache", part_cache},           {"firmware", part_firmware},
                             {"kills", part_kills},           {"accuracy", part_accuracy}};
enum { PARTS = sizeof parts / sizeof *parts };

/* One of each stratum of targets that follow one another in size. */
static void draw_sample(Collective *c, int strata) {
  Rng r;
  rng_seed(&r, SEED_SAMPLE, 1);
  const int each = (c->n + strata - 1) / strata;
  for (int k = 0; k < strata; k++) {
    const int first = k * each, last = first + each < c->n ? first + each : c->n;
    c->sample[c->n_sample++] = c->targets[first + (int)rng_below(&r, (uint32_t)(last - first))];
  }
}

static void choose(Collective *c, const Task *t, bool quick, int epochs, const char *folder) {
  static const int few[] = {16, 20, 26, 32, 38};
  Setting *s = &c->s;
  s->task = t;
  task_requests(t, s->requests);
  s->folder = folder ? folder : arena_printf(s->a, "build/bench/%s%s", t->result, quick ? "-quick" : "");
  s->data = (TaskData){.quick = quick, .images = quick ? t->quick : t->images};
  s->data.here = quick || !t->data ? arena_printf(s->a, "%s/data", s->folder) : t->data;
  s->data.dir = quick || !t->data ? "data" : arena_printf(s->a, "../../../%s", t->data);
  c->n = quick ? 5 : TARGETS;
  for (int i = 0; i < c->n; i++) c->targets[i] = quick ? few[i] : i;
  draw_sample(c, quick ? 2 : SAMPLE_MAX);
  s->length = epochs_text(c, epochs);
  c->n_schedules = quick ? 2 : SCHEDULES;
  c->kills = quick ? 3 : KILLS;
  c->kill_length = quick ? "images: 256" : "images: 16000";
  s->weight_left = 1 + 0.4 + 0.65 + 1.5 + 1.2 * (WAYS - 1) + 0.15 + 0.2 + 0.2 * c->n_sample + 0.8;
}

static bool is_part(const char *name) {
  for (int i = 0; i < PARTS; i++)
    if (strcmp(parts[i].name, name) == 0) return true;
  return false;
}

static void usage(const char *me, Arena *a) {
  fprintf(stderr, "usage: %s [-t TASK] [-q] [-e EPOCHS] [-w FOLDER] [-p PART]\ntasks:%s\nparts:", me,
          task_names(a));
  for (int i = 0; i < PARTS; i++) fprintf(stderr, " %s", parts[i].name);
  fprintf(stderr, "\n");
}

static void run_parts(Collective *c, const char *only) {
  const double start = wall_now();
  for (int i = 0; i < PARTS; i++) {
    if (only && strcmp(only, parts[i].name) != 0) continue;
    printf("== %s: %s, part %d of %d; %.1f min so far\n", c->s.task->name, parts[i].name, i + 1, PARTS,
           (wall_now() - start) / 60);
    parts[i].run(c);
  }
}

typedef struct Options {
  bool quick;
  int epochs;
  const char *folder, *part, *task;
} Options;

static bool read_options(int argc, char **argv, Options *o) {
  for (int k; (k = getopt(argc, argv, "qe:w:p:t:")) != -1;) {
    if (k == 'q') o->quick = true;
    if (k == 'e') o->epochs = (int)strtol(optarg, NULL, 10);
    if (k == 'w') o->folder = optarg;
    if (k == 'p') o->part = optarg;
    if (k == 't') o->task = optarg;
    if (k == '?') return false;
  }
  return task_find(o->task) && (!o->part || is_part(o->part));
}

static void run_task(Arena *a, const Task *t, const Options *o) {
  Bench b;
  Collective c = {.b = &b, .s = {.b = &b, .a = a}};
  const int usual = o->quick ? 1 : t->epochs;
  const bool whole = !o->part && !o->quick && (o->epochs <= 0 || o->epochs == usual);
  bench_open(&b, t->result, 2);
  choose(&c, t, o->quick, o->epochs > 0 ? o->epochs : usual, o->folder);
  runs_open(&c.s);
  run_parts(&c, o->part);
  bench_close(&b, whole);
  if (!whole) printf("collective: no result file: it is of all parts, all targets, %d epochs\n", t->epochs);
  sb_free(&c.s.told);
}

int main(int argc, char **argv) {
  Options o = {.task = "glyphs"};
  Arena *a = arena_new();
  const bool ok = read_options(argc, argv, &o);
  const Task *t = ok ? task_find(o.task) : NULL;
  const char *missing = ok ? t->missing(a) : NULL;
  if (!ok) usage(argv[0], a);
  if (missing) printf("collective, task %s: %s: skipped\n", t->name, missing);
  if (ok && !missing) run_task(a, t, &o);
  arena_free(a);
  return ok ? 0 : 1;
}
