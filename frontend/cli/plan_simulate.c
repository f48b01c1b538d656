/* Simulated requests; see plan_simulate.h.
 *
 *   base: made up, or the model of a deploy.yaml     N requests on it, by a seed
 *   together   one schedule for all, in each way of sharing
 *   arriving   a schedule for each request as it comes, which joins the one before: what it adds to training, and how long
 *              planning takes
 */
#include "frontend/cli/plan_simulate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "frontend/cli/plan_file.h"
#include "frontend/cli/tailoring.h"
#include "ir/base/mem.h"
#include "passes/pass.h"
#include "passes/tailor/simulate.h"

enum { MOST_TOGETHER = 100000, MOST_ARRIVING = 5000, IMAGES = 200000, BATCH = 64 };

typedef struct Simulation {
  const SimulateOpts *o;
  Arena *a;
  const char *model; /* path; NULL: made up */
  Graph *graph;
  Channels channels;
  SimBase base;
  ScheduleRules rules;
  ScheduleRequest *requests;
  int records; /* of training, behind the rates */
} Simulation;

typedef struct Planned {
  int models, joint;
  int64_t images;
  double training, planning; /* seconds */
} Planned;

/* A request that arrived. */
typedef struct Arrival {
  double macs, training, planning;
} Arrival;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double peak_memory(void) {
  struct rusage u;
  return getrusage(RUSAGE_SELF, &u) == 0 ? 1024.0 * (double)u.ru_maxrss : 0;
}

/* ---- The base and the rules */

static void set_rates(Simulation *s, const char *cache) {
  const CostRates r = rates_known(cache);
  s->rules.image = r.image;
  s->rules.mac = r.mac;
  s->records = r.records;
}

static void set_length(Simulation *s, const Design *design) {
  TrainOptions t;
  if (design->retrain_loc.line == 0) return;
  design_train_options(design, &design->retrain, design->data.train.count, &t);
  s->rules.step = t.batch;
  if (t.images > 0)
    s->rules.images = t.images;
  else if (design->data.train.count)
    s->rules.images = (int64_t)t.epochs * design->data.train.count;
}

static bool open_deploy(Simulation *s, Diag *d) {
  const PassCtx ctx = {.params = ""};
  const Deploy *dep = deploy_load(s->a, s->o->deploy, d);
  TRY(dep);
  const Design *design = dep->design;
  Graph *g = cli_load_with(design->model, &(LoadOpts){.custom = design->custom}, d);
  TRY(g);
  s->model = design->model;
  s->graph = pipeline_run(g, "fold,layout{input=nhwc},fold,dce", &ctx, NULL, d);
  graph_free(g);
  TRY(s->graph && channels_find(s->graph, tailoring_keep(s->a, design), &s->channels, d));
  FAIL_IF(s->channels.n_groups == 0, d, NULL, "%s: none of its channels can be removed", design->model);
  sim_base_of(s->a, &s->channels, &s->base);
  set_length(s, design);
  set_rates(s, s->o->cache ? s->o->cache : dep->cache);
  return true;
}

static bool open_base(Simulation *s, Diag *d) {
  s->rules = (ScheduleRules){.images = IMAGES,
                             .step = BATCH,
                             .per_halving = schedule_lengths.per_halving,
                             .growth = schedule_lengths.growth,
                             .least = schedule_lengths.least};
  if (s->o->deploy) {
    TRY(open_deploy(s, d));
  } else {
    sim_base_made_up(s->a, &s->base);
    set_rates(s, s->o->cache);
  }
  s->rules.macs = s->base.macs_of;
  s->rules.ctx = s->base.ctx;
  return true;
}

static void close_base(Simulation *s) {
  if (s->graph && s->base.n_groups) sim_base_close(&s->base);
  channels_free(&s->channels);
  graph_free(s->graph);
  arena_free(s->a);
}

/* ---- Schedules */

static void make(const Simulation *s, TailorSharing way, int n, const Schedule *before, Schedule *out) {
  const ScheduleBase base = {s->base.macs, s->base.words};
  ScheduleRules rules = s->rules;
  rules.sharing = way;
  schedule_make(s->requests, n, &base, &rules, before ? before->nodes : NULL, before ? before->n : 0, out);
}

static Planned together(const Simulation *s, TailorSharing way) {
  Schedule all;
  const double start = now();
  make(s, way, (int)s->o->n, NULL, &all);
  const Planned p = {all.n, all.joint, all.images, all.seconds, now() - start};
  schedule_free(&all);
  return p;
}

static void arrive(const Simulation *s, Arrival *v, Planned *out) {
  Schedule last = {0};
  *out = (Planned){0};
  for (int i = 0; i < (int)s->o->n; i++) {
    Schedule next;
    const double start = now();
    make(s, SHARE_TREE, i + 1, i ? &last : NULL, &next);
    v[i] = (Arrival){s->requests[i].macs, next.seconds - last.seconds, now() - start};
    /* Units are the requests' own: single requests get no joint ancestors. */
    ASSERT(next.joint == 0);
    schedule_free(&last);
    last = next;
    out->planning += v[i].planning;
  }
  out->models = last.n, out->images = last.images, out->training = last.seconds;
  schedule_free(&last);
}

/* ---- Numbers of many */

typedef struct Spread {
  double mean, p50, p95, max;
} Spread;

static int by_value(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static Spread spread_of(const Arrival *v, int n, bool planning) {
  double *x = mem_array((size_t)n, sizeof *x), sum = 0;
  for (int i = 0; i < n; i++) sum += x[i] = planning ? v[i].planning : v[i].training;
  qsort(x, (size_t)n, sizeof *x, by_value);
  const Spread s = {sum / n, x[n / 2], x[(int)(0.95 * (n - 1))], x[n - 1]};
  mem_free(x);
  return s;
}

/* ---- What is printed */

static void print_head(const Simulation *s) {
  printf("%" PRId64 " made-up requests, seed %" PRIu64 ", of %s: %d groups, %d units, %s MACs\n", s->o->n,
         s->o->seed, s->model ? s->model : "a made-up net", s->base.n_groups, s->base.n_units,
         cli_count(s->a, (int64_t)s->base.macs));
  printf("A full retraining: %s images; %.2g s for each and %.2g s for each million of its MACs (%s)\n\n",
         cli_count(s->a, s->rules.images), s->rules.image, 1e6 * s->rules.mac,
         s->records ? arena_printf(s->a, "%d trainings on record", s->records) : "defaults");
}

static void way_row(Table *t, const char *name, const Planned *p, double none) {
  table_cell(t, "%s", name);
  table_cell(t, "%d", p->models);
  table_cell(t, "%d", p->joint);
  table_cell(t, "%s", cli_count(t->arena, p->images));
  table_cell(t, "%.1f", p->training);
  table_cell(t, "%.2f", p->training > 0 ? none / p->training : 1);
  table_cell(t, "%.3f", p->planning);
}

static void print_spread(const char *what, const Spread *s, double unit) {
  printf("%s: mean %.3g, half at most %.3g, 95 %% at most %.3g, most %.3g\n", what, unit * s->mean,
         unit * s->p50, unit * s->p95, unit * s->max);
}

static void json_planned(JsonWriter *w, const char *key, const Planned *p) {
  json_kobject(w, key);
  json_kint(w, "models", p->models);
  json_kint(w, "joint", p->joint);
  json_kint(w, "images", p->images);
  json_knum(w, "training_seconds", p->training);
  json_knum(w, "planning_seconds", p->planning);
  json_end(w);
}

static void json_spread(JsonWriter *w, const char *key, const Spread *s) {
  json_kobject(w, key);
  json_knum(w, "mean", s->mean);
  json_knum(w, "p50", s->p50);
  json_knum(w, "p95", s->p95);
  json_knum(w, "max", s->max);
  json_end(w);
}

static void json_arrivals(JsonWriter *w, const Arrival *v, int n) {
  json_karray(w, "arrivals");
  for (int i = 0; i < n; i++) {
    json_object(w);
    json_knum(w, "macs", v[i].macs);
    json_knum(w, "training_seconds", v[i].training);
    json_knum(w, "planning_seconds", v[i].planning);
    json_end(w);
  }
  json_end(w);
}

static void json_head(JsonWriter *w, const Simulation *s) {
  json_kint(w, "requests", s->o->n);
  json_kint(w, "seed", (int64_t)s->o->seed);
  json_kstr(w, "model", s->model);
  json_kint(w, "groups", s->base.n_groups);
  json_kint(w, "units", s->base.n_units);
  json_knum(w, "macs", s->base.macs);
  json_kint(w, "full_retraining_images", s->rules.images);
  json_knum(w, "seconds_of_image", s->rules.image);
  json_knum(w, "seconds_of_mac", s->rules.mac);
  json_kint(w, "trainings_on_record", s->records);
}

typedef struct Found {
  Planned ways[SHARE_TREE + 1], one_by_one;
  const Arrival *arrivals; /* NULL: together alone */
} Found;

static void print_json(const Simulation *s, const Found *f) {
  JsonWriter w;
  StrBuf text;
  const int n = (int)s->o->n;
  cli_json_begin(&w, &text);
  json_object(&w);
  json_head(&w, s);
  json_kobject(&w, "together");
  for (int i = 0; i <= SHARE_TREE; i++)
    json_planned(&w, tailoring_sharing_name((TailorSharing)i), &f->ways[i]);
  json_end(&w);
  if (f->arrivals) {
    const Spread cost = spread_of(f->arrivals, n, false), latency = spread_of(f->arrivals, n, true);
    json_planned(&w, "arriving", &f->one_by_one);
    json_spread(&w, "training_seconds_of_one", &cost);
    json_spread(&w, "planning_seconds_of_one", &latency);
    json_arrivals(&w, f->arrivals, n);
  }
  json_knum(&w, "peak_memory_bytes", peak_memory());
  json_end(&w);
  cli_json_end(&w, &text);
}

static void print_text(const Simulation *s, const Found *f) {
  Table t;
  const double none = f->ways[SHARE_NOTHING].training;
  print_head(s);
  table_begin(&t, s->a, "<way,>models,>joint,>images,>est. s of training,>times less,>s of planning");
  for (int i = 0; i <= SHARE_TREE; i++)
    way_row(&t, tailoring_sharing_name((TailorSharing)i), &f->ways[i], none);
  if (f->arrivals) way_row(&t, "one by one", &f->one_by_one, none);
  table_print(&t);
  if (f->arrivals) {
    const int n = (int)s->o->n;
    const Spread cost = spread_of(f->arrivals, n, false), latency = spread_of(f->arrivals, n, true);
    printf("\n");
    print_spread("Seconds of training that a request adds", &cost, 1);
    print_spread("Milliseconds until it is planned", &latency, 1e3);
    printf("One by one costs %.2f times what planning all together does\n",
           f->one_by_one.training / f->ways[SHARE_TREE].training);
  }
  printf("\nMost memory: %.0f MB\n", 1e-6 * peak_memory());
}

static void simulate(Simulation *s) {
  Found f = {0};
  s->requests = sim_requests(s->a, &s->base, (int)s->o->n, s->o->seed);
  for (int i = 0; i <= SHARE_TREE; i++) f.ways[i] = together(s, (TailorSharing)i);
  if (s->o->arriving) {
    Arrival *v = arena_array(s->a, (size_t)s->o->n, sizeof *v);
    arrive(s, v, &f.one_by_one);
    f.arrivals = v;
  }
  if (s->o->common->json)
    print_json(s, &f);
  else
    print_text(s, &f);
}

int plan_simulate(const SimulateOpts *o, Diag *d) {
  const int64_t most = o->arriving ? MOST_ARRIVING : MOST_TOGETHER;
  if (o->n > most) {
    diag_error(d, NULL, "--simulate %" PRId64 ": want at most %" PRId64 "%s", o->n, most,
               o->arriving ? " that arrive one by one" : "");
    return EXIT_USER;
  }
  Simulation s = {.o = o, .a = arena_new()};
  const bool ok = open_base(&s, d);
  if (ok) simulate(&s);
  close_base(&s);
  return ok ? EXIT_DONE : EXIT_USER;
}
