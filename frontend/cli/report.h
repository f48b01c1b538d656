/* The report of a tailoring run: a table for the terminal, report.json for programs, report.html for people. */
#ifndef FRONTEND_CLI_REPORT_H
#define FRONTEND_CLI_REPORT_H

#include "frontend/cli/cli.h"
#include "passes/steps/steps.h"
#include "passes/tailor/tailor.h"

/* What happened in the run beside its result. */
typedef struct ReportSteps {
  StepLog *v; /* strings in the arena of the command */
  size_t n, cap;
} ReportSteps;

typedef struct Report {
  const char *model, *deploy; /* paths as the user named them */
  const TailorResult *result;
  const char *const *machines; /* per target: board or target name */
  const ReportSteps *steps;
  double seconds;
} Report;

void report_table(const Report *r, Arena *a);
void report_json(const Report *r, StrBuf *out);
void report_html(const Report *r, StrBuf *out);

#endif
