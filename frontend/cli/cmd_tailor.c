/* mistify tailor: one model to all targets of a deploy.yaml.
 *
 *   deploy.yaml, design.yaml -> checked against the model -> plan (OUT/plan.lock) -> tailor_run -> OUT/TARGET/, report
 */
#include "frontend/cli/plan_file.h"
#include "frontend/cli/ranks.h"
#include "frontend/cli/tailoring.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ir/base/file.h"

typedef struct TailorOpts {
  CommonOpts common;
  const char *deploy, *design, *out, *cache, *cache_max, *sharing, *time;
  ArgList only, add;
  int64_t threads;
  bool graphs;
} TailorOpts;

static const Opt opts[] = {
    {"DEPLOY", OPT_PARAM, offsetof(TailorOpts, deploy), true, NULL,
     "deploy.yaml: the targets and their limits"},
    {"-o", OPT_STRING, offsetof(TailorOpts, out), false, "DIR",
     "folder of the results (default: deploy.yaml's `out`)"},
    {"--design", OPT_STRING, offsetof(TailorOpts, design), false, "FILE",
     "another design.yaml than the one that DEPLOY names"},
    {"--only", OPT_LIST, offsetof(TailorOpts, only), false, "NAME", "these targets alone"},
    {"--add", OPT_LIST, offsetof(TailorOpts, add), false, "FILE",
     "further requests (a file with `targets`): they join the plan that there is, and pay for what is new"},
    {"--cache", OPT_STRING, offsetof(TailorOpts, cache), false, "DIR",
     "folder of the step cache (default: deploy.yaml's `cache`)"},
    {"--cache-max", OPT_STRING, offsetof(TailorOpts, cache_max), false, "SIZE",
     "size that the cache keeps to, such as 2GiB: what was least recently used goes, nothing that the plan "
     "needs"},
    {"--graphs", OPT_FLAG, offsetof(TailorOpts, graphs), false, NULL,
     "stop at the finished graphs: nothing is emitted, built or run; limits are judged by estimates"},
    {"--sharing", OPT_STRING, offsetof(TailorOpts, sharing), false, "S",
     "what targets have in common: tree (default), chain, elastic, or none"},
    {"--time-budget", OPT_STRING, offsetof(TailorOpts, time), false, "TIME",
     "for the whole run, such as 30min (default: deploy.yaml's `budget`): training is shortened to suit"},
    {"-j", OPT_INT, offsetof(TailorOpts, threads), false, "N",
     "processor cores, shared by as many processes (default: all; results do not depend on it, but by how "
     "far a time budget shortens)"},
    {0}};

typedef struct Tailor {
  const TailorOpts *o;
  Tailoring t;
} Tailor;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static const char *out_of(const Tailor *r) { return r->o->out ? r->o->out : r->t.dep->out; }

/* ---- Results */

static bool write_text(Tailor *r, const char *out, const char *name, StrBuf *text) {
  bool ok = file_write(path_join(r->t.a, out, name), sb_str(text), text->len, r->t.d);
  sb_free(text);
  return ok;
}

static bool save_graph(Tailor *r, const Artifact *graph, const char *dir, const char *name) {
  Graph *g = artifact_graph(graph, r->t.d);
  const bool ok = g && cli_save(g, path_join(r->t.a, dir, name), r->t.d);
  graph_free(g);
  return ok;
}

static bool write_results(Tailor *r, const char *out, const Report *report) {
  TRY(file_make_dirs(out, r->t.d));
  for (int i = 0; i < r->t.n; i++) {
    const TailorOutcome *o = &report->result->v[i];
    if (!o->delivered) continue;
    char *dir = path_join(r->t.a, out, r->t.targets[i].name);
    TRY(r->o->graphs ? file_make_dirs(dir, r->t.d) : artifact_to_dir(&o->files, dir, r->t.d));
    TRY(save_graph(r, &o->final, dir, "model.mistify"));
    for (int k = 0; k < o->n_widths; k++)
      TRY(save_graph(r, &o->width[k].final, dir, arena_printf(r->t.a, "variant%d.mistify", k)) &&
          save_graph(r, &o->width[k].trained, dir, arena_printf(r->t.a, "float%d.mistify", k)));
    TRY(cli_drop_variants(dir, o->n_widths, r->t.d));
  }
  StrBuf json = {0}, html = {0};
  report_json(report, &json);
  if (r->o->common.json) fputs(sb_str(&json), stdout);
  report_html(report, &html);
  bool ok = write_text(r, out, "report.json", &json);
  return write_text(r, out, "report.html", &html) && ok;
}

static int finish(Tailor *r, const TailorResult *res, double seconds) {
  if (ranks_silent()) return EXIT_DONE; /* the first rank's are the results */
  const char *out = out_of(r);
  Report report = {.model = r->t.dep->design->model,
                   .deploy = r->o->deploy,
                   .result = res,
                   .machines = r->t.machines,
                   .steps = &r->t.steps,
                   .seconds = seconds,
                   .graphs = r->t.graphs,
                   .sharing = r->t.sharing};
  if (!write_results(r, out, &report)) return EXIT_USER;
  if (!r->o->common.json) {
    report_table(&report, r->t.a);
    printf("C, self-tests and models: %s/TARGET/   report: %s/report.html, %s/report.json   %.1f s\n", out,
           out, out, seconds);
  }
  int status = EXIT_DONE;
  for (int i = 0; i < res->n; i++) {
    if (!res->v[i].met) status = EXIT_LIMITS;
  }
  return status;
}

static int run_job(Tailor *r) {
  const double start = now();
  TailorResult res;
  PlanFile file = {r->t.a, out_of(r), r->t.d};
  if (!plan_file_read(&file, &r->t.plan)) return EXIT_USER;
  /* A plan of some targets would make the others come later. */
  r->t.planned = ranks_silent() || r->o->only.n ? NULL : plan_file_keep;
  r->t.ctx = &file;
  if (!tailoring_run(&r->t, r->o->cache ? r->o->cache : r->t.dep->cache, &res))
    return cli_interrupted() ? EXIT_INTERRUPTED : EXIT_USER;
  const int status = ranks_silent() ? EXIT_DONE : finish(r, &res, now() - start);
  tailor_result_free(&res);
  return status;
}

static int run(void *opts_, Diag *d) {
  Tailor r = {.o = opts_};
  r.t = (Tailoring){.a = arena_new(),
                    .d = d,
                    .only = r.o->only,
                    .add = r.o->add,
                    .design = r.o->design,
                    .time = r.o->time,
                    .graphs = r.o->graphs};
  const bool ok = tailoring_sharing(r.o->sharing, &r.t.sharing, d) &&
                  tailoring_cache_max(r.o->cache_max, &r.t.cache_max, d) &&
                  tailoring_open(&r.t, r.o->deploy, &r.o->common, r.o->threads);
  const int status = ok ? run_job(&r) : EXIT_USER;
  tailoring_close(&r.t);
  arena_free(r.t.a);
  return status;
}

void cli_tailor_keys(void) {
  StrBuf keys = {0};
  config_print_help(&deploy_schema, &keys);
  printf("\nkeys of deploy.yaml:\n%s", sb_str(&keys));
  sb_clear(&keys);
  config_print_help(&design_schema, &keys);
  printf("\nkeys of design.yaml, which it names:\n%s", sb_str(&keys));
  sb_free(&keys);
}

extern const Command cmd_tailor;
const Command cmd_tailor = {
    "tailor",
    "Make firmware of one model for every target of a deploy.yaml, each under its own limits",
    "For each target the widths that meet its flash, RAM, MAC or cycle limits are found, the model is "
    "retrained with the\n"
    "original as its teacher, quantized, emitted as C, built by the target's compiler, run and measured. "
    "What targets\n"
    "have in common is done once; every step is cached by content, so that a run that was stopped goes on "
    "where it was,\n"
    "and a second run repeats only what changed. The test split is read at the very end, for the figures "
    "printed.\n"
    "Exit status 2: a target's limits could not be met (the report says which, why, and the nearest that can "
    "be), or it was\n"
    "not begun in time. Targets of a higher `priority` come first; a target that was begun is finished, and "
    "a "
    "later run goes on.",
    "  mistify tailor deploy.yaml\n"
    "  mistify tailor deploy.yaml -o firmware --only m4 m0\n"
    "  mistify tailor deploy.yaml --time-budget 30min\n",
    opts,
    sizeof(TailorOpts),
    run};
