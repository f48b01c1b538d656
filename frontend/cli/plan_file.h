/* plan.lock beside the results (passes/tailor/lock.h), where `tailor` and `plan` keep it and find it again; and the cache's record
 * of what trainings took (passes/tailor/costs.h), from which plans are estimated.
 */
#ifndef FRONTEND_CLI_PLAN_FILE_H
#define FRONTEND_CLI_PLAN_FILE_H

#include "frontend/cli/report.h"
#include "passes/tailor/costs.h"

typedef struct PlanFile {
  Arena *a;
  const char *out; /* folder of the results */
  Diag *d;
} PlanFile;

const char *plan_file_path(const PlanFile *f);
/* TailorJob.planned, with a PlanFile: keeps the plan. What cannot be written is a warning. */
void plan_file_keep(void *ctx, const char *plan);
/* An earlier run's; *out NULL: there is none. false: it cannot be read (reported). */
bool plan_file_read(const PlanFile *f, const char **out);

/* Rates to plan with, from all records in a cache's folder (NULL: none): plans must not depend on a run's cores. */
CostRates rates_known(const char *cache);
/* Record what the result's trainings took, as far as this run's steps and the cache's times tell. */
void rates_keep(const Cache *cache, const TailorResult *res, const ReportSteps *steps, Diag *d);

/* The step that trained model k in this run, or took it from the cache; NULL: none. */
const StepLog *plan_training_of(const TailorResult *res, const ReportSteps *steps, int k);

#endif
