/* mistify plan: what tailor would do, before it does it; and plans for made-up targets by the thousand.
 *
 *   deploy.yaml -> everything up to the plan, cached -> OUT/plan.lock, tree of models, alternatives, expected time
 *   --simulate N -> plan_simulate.c
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "frontend/cli/plan_simulate.h"
#include "frontend/cli/plan_view.h"
#include "frontend/cli/tailoring.h"
#include "ir/base/file.h"

typedef struct PlanOpts {
  CommonOpts common;
  const char *deploy, *design, *out, *cache, *cache_max, *sharing, *time;
  ArgList only, add;
  int64_t threads, simulate, seed;
  bool graphs, arriving;
} PlanOpts;

static const Opt opts[] = {
    {"DEPLOY", OPT_PARAM, offsetof(PlanOpts, deploy), false, NULL,
     "deploy.yaml: the targets and their limits (with --simulate: whose model stands below the requests)"},
    {"-o", OPT_STRING, offsetof(PlanOpts, out), false, "DIR",
     "folder of the results, where the plan is kept (default: deploy.yaml's `out`)"},
    {"--design", OPT_STRING, offsetof(PlanOpts, design), false, "FILE",
     "another design.yaml than the one that DEPLOY names"},
    {"--only", OPT_LIST, offsetof(PlanOpts, only), false, "NAME", "these targets alone"},
    {"--add", OPT_LIST, offsetof(PlanOpts, add), false, "FILE",
     "further requests (a file with `targets`): they join the plan that there is"},
    {"--cache", OPT_STRING, offsetof(PlanOpts, cache), false, "DIR",
     "folder of the step cache (default: deploy.yaml's `cache`)"},
    {"--cache-max", OPT_STRING, offsetof(PlanOpts, cache_max), false, "SIZE",
     "size that the cache keeps to, such as 2GiB: what was least recently used goes, nothing that the plan "
     "needs"},
    {"--graphs", OPT_FLAG, offsetof(PlanOpts, graphs), false, NULL,
     "plan for `tailor --graphs`, which emits and builds nothing"},
    {"--sharing", OPT_STRING, offsetof(PlanOpts, sharing), false, "S",
     "what targets have in common: tree (default), chain, elastic or none"},
    {"--time-budget", OPT_STRING, offsetof(PlanOpts, time), false, "TIME",
     "for the whole run of tailor, such as 30min (default: deploy.yaml's `budget`): training is shortened to "
     "suit"},
    {"--simulate", OPT_INT, offsetof(PlanOpts, simulate), false, "N",
     "plan for N made-up requests instead, all together: nothing is trained, cached or written"},
    {"--arriving", OPT_FLAG, offsetof(PlanOpts, arriving), false, NULL,
     "with --simulate: they come one by one, and each joins the plan of those before"},
    {"--seed", OPT_INT, offsetof(PlanOpts, seed), false, "N", "with --simulate: of the requests (default 0)"},
    {"-j", OPT_INT, offsetof(PlanOpts, threads), false, "N", "threads (default: one per processor)"},
    {0}};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- The plan of a deploy.yaml */

static bool show(const PlanOpts *o, const Tailoring *t, const PlanFile *f, const PlanView *v) {
  StrBuf json = {0};
  plan_view_json(v, &json);
  const bool ok = file_make_dirs(f->out, t->d) &&
                  file_write(path_join(t->a, f->out, "plan.json"), sb_str(&json), json.len, t->d);
  if (ok && o->common.json)
    fputs(sb_str(&json), stdout);
  else if (ok)
    plan_view_text(v, t->a);
  sb_free(&json);
  return ok;
}

static int status_of(const TailorResult *res) {
  for (int i = 0; i < res->n; i++)
    if (!res->v[i].met) return EXIT_LIMITS;
  return EXIT_DONE;
}

static bool find_kinds(const Tailoring *t, PlanView *v) {
  Cache *cache = cache_open(t->cache, progress_host(&t->progress), t->d);
  const bool rebuilt = t->dep->design->prune.by == PRUNE_BY_RECONSTRUCTION,
             ok = cache && plan_view_kinds(v, cache, t->graphs, rebuilt, t->d);
  cache_close(cache);
  return ok;
}

static int run_plan(const PlanOpts *o, Tailoring *t) {
  const double start = now();
  PlanFile file = {t->a, o->out ? o->out : t->dep->out, t->d};
  if (!plan_file_read(&file, &t->plan)) return EXIT_USER;
  t->planned = o->only.n ? NULL : plan_file_keep; /* a plan of some would make the others come later */
  t->ctx = &file;
  TailorResult res;
  if (!tailoring_run(t, o->cache ? o->cache : t->dep->cache, &res))
    return cli_interrupted() ? EXIT_INTERRUPTED : EXIT_USER;
  PlanView v = {.deploy = t->path,
                .lock = plan_file_path(&file),
                .result = &res,
                .sharing = t->sharing,
                .rates = t->rates,
                .seconds = now() - start};
  const bool ok = find_kinds(t, &v) && show(o, t, &file, &v);
  const int status = ok ? status_of(&res) : EXIT_USER;
  tailor_result_free(&res);
  return status;
}

static int plan_deploy(const PlanOpts *o, Tailoring *t) {
  if (!tailoring_sharing(o->sharing, &t->sharing, t->d) ||
      !tailoring_cache_max(o->cache_max, &t->cache_max, t->d) ||
      !tailoring_open(t, o->deploy, &o->common, o->threads))
    return EXIT_USER;
  return run_plan(o, t);
}

/* ---- The command */

static bool check(const PlanOpts *o, Diag *d) {
  const bool simulated = o->simulate > 0;
  if (!o->deploy && !simulated) {
    diag_error(d, NULL, "DEPLOY is missing: the deploy.yaml to plan");
    diag_hint(d, "or --simulate N, which plans for made-up requests and needs no file");
    return false;
  }
  FAIL_IF(o->arriving && !simulated, d, NULL, "--arriving goes with --simulate N");
  FAIL_IF(simulated && o->time, d, NULL, "--time-budget does not go with --simulate");
  FAIL_IF(simulated && (o->add.n || o->only.n), d, NULL,
          "--simulate makes up its requests: --add and --only do not go with it");
  return true;
}

static int run(void *opts_, Diag *d) {
  const PlanOpts *o = opts_;
  if (!check(o, d)) return EXIT_USER;
  if (o->simulate)
    return plan_simulate(&(SimulateOpts){.common = &o->common,
                                         .deploy = o->deploy,
                                         .cache = o->cache,
                                         .n = o->simulate,
                                         .seed = (uint64_t)o->seed,
                                         .arriving = o->arriving},
                         d);
  Tailoring t = {.a = arena_new(),
                 .d = d,
                 .only = o->only,
                 .add = o->add,
                 .design = o->design,
                 .time = o->time,
                 .graphs = o->graphs,
                 .plan_only = true};
  const int status = plan_deploy(o, &t);
  tailoring_close(&t);
  arena_free(t.a);
  return status;
}

extern const Command cmd_plan;
const Command cmd_plan = {
    "plan",
    "Show what tailor will train, from what, at what cost; or simulate many targets",
    "Runs the part of tailor before training (whether the original fits, widths for each target, their sizes "
    "as\n"
    "linked) and keeps it in the cache, so that tailor goes on from there. Prints the models that will be "
    "trained, each\n"
    "below the one whose weights it starts from; a joint ancestor is a model that no target asked for, where "
    "two\n"
    "that follow get cheaper by more than it costs. Then what other ways of sharing would cost, and what is "
    "still to\n"
    "come. Seconds are estimates by what earlier trainings of the same cache folder took.\n"
    "The plan is kept as OUT/plan.lock: tailor repeats from it, and requests that are added later join it "
    "without\n"
    "disturbing what was trained. Lengths that a time budget shortens stay so until that file\n"
    "is removed. The same as JSON is in OUT/plan.json.\n"
    "Exit status 2: a target's limits cannot be met by any width (named, with why and the nearest that can "
    "be had);\n"
    "accuracy is not known before training, so floors are not judged here.\n"
    "--simulate N plans for N made-up requests on a made-up model, or on that of DEPLOY: how long planning "
    "takes,\n"
    "what training would, without sharing, in a chain, in a tree; with --arriving, of each request as it "
    "comes.",
    "  mistify plan deploy.yaml\n"
    "  mistify plan deploy.yaml --add request.yaml      what one more target would cost\n"
    "  mistify plan deploy.yaml --sharing chain -o other\n"
    "  mistify plan --simulate 10000\n"
    "  mistify plan --simulate 1000 --arriving --json\n",
    opts,
    sizeof(PlanOpts),
    run};
