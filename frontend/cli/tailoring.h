/* What `tailor` and `plan` have in common: deploy.yaml, the design and the model that it names, the targets' devices and bounds,
 * and the job that is made of them.
 */
#ifndef FRONTEND_CLI_TAILORING_H
#define FRONTEND_CLI_TAILORING_H

#include "frontend/cli/cli.h"
#include "frontend/cli/device.h"
#include "frontend/cli/plan_file.h"
#include "frontend/config/deploy.h"
#include "passes/tailor/tailor.h"

typedef struct Tailoring {
  /* Set before tailoring_open. */
  Arena *a;
  Diag *d;
  ArgList only, add;  /* targets alone; further files with targets */
  const char *design; /* instead of the one that deploy.yaml names; NULL */
  const char *time;   /* budget, instead of deploy.yaml's; NULL */
  bool graphs, plan_only;
  TailorSharing sharing;
  /* Set before tailoring_run. */
  const char *plan; /* an earlier one; NULL */
  void (*planned)(void *ctx, const char *plan);
  void *ctx;

  const char *path;  /* deploy.yaml as the user named it */
  const char *cache; /* folder */
  int64_t cache_max; /* bytes that it may hold; 0: any */
  CostRates rates;   /* of training, as far as it was known when the run began */
  double deadline;   /* by cli_now; with a budget */
  Deploy *dep;
  Graph *model, **teachers;
  Progress progress;
  TailorData data;
  DeviceEnv device;
  TailorTarget *targets;
  CostModel *costs;
  Device *devices;
  const char **machines, **compilers; /* [n] compilers: as they call themselves; "": not here */
  int n;
  ReportSteps steps;
} Tailoring;

/* false: reported; tailoring_close in any case. */
bool tailoring_open(Tailoring *r, const char *path, const CommonOpts *common, int64_t threads);
void tailoring_close(Tailoring *r);
/* Run, on the cache in this folder, in as many processes as there are cores and targets. false: reported. */
bool tailoring_run(Tailoring *r, const char *cache, TailorResult *res);
/* --cache-max as bytes; NULL: any. false: it is none (reported). */
bool tailoring_cache_max(const char *size, int64_t *out, Diag *d);
/* StepEnv.record, with a Tailoring: keeps the log of each step for the report. */
void tailoring_record(void *ctx, const StepLog *log);

/* Layers that the design keeps whole, "a;b"; in `a`. */
const char *tailoring_keep(Arena *a, const Design *design);

/* The way of sharing that a word names: "tree", "chain", "none"; NULL: tree. */
bool tailoring_sharing(const char *word, TailorSharing *out, Diag *d);
const char *tailoring_sharing_name(TailorSharing s);
/* The member "budget", where there is one, or an earlier plan had one: how far lengths are shortened, what trainings are expected
 * to take. */
void tailoring_json_budget(JsonWriter *w, const TailorResult *r);
/* The member "ways": what training would be by each way of sharing. */
void tailoring_json_ways(JsonWriter *w, const TailorResult *r);

#endif
