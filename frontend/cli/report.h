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
  size_t planned; /* of these, how many ran before training was planned */
} ReportSteps;

typedef struct Report {
  const char *model, *deploy; /* paths as the user named them */
  const TailorResult *result;
  const char *const *machines; /* per target: board or target name */
  const ReportSteps *steps;
  double seconds;
  bool graphs; /* nothing was linked or run: sizes are estimates */
  TailorSharing sharing;
} Report;

void report_table(const Report *r, Arena *a);
void report_json(const Report *r, StrBuf *out);
void report_html(const Report *r, StrBuf *out);

/* "fast 1,024 of 65,536, main 300 of 1,000"; "": all of RAM is one memory. */
const char *report_regions(const TailorOutcome *o, Arena *a);

/* -- report_variants.c: variants that share weights, where a target has them -- */
void report_variants_table(const Report *r, Arena *a);
void report_variants_json(const TailorOutcome *o, JsonWriter *w);
void report_variants_html(const Report *r, StrBuf *out);
/* -- report_exits.c: early exits, where a target has them -- */
void report_exits_table(const Report *r, Arena *a);
void report_exits_json(const TailorOutcome *o, JsonWriter *w);
void report_exits_html(const Report *r, StrBuf *out);
/* "91.25±0.40"; "-": not measured. */
const char *report_percent(Arena *a, const Accuracy *x);
/* The member `key` of an accuracy. */
void report_json_accuracy(JsonWriter *w, const char *key, const Accuracy *x);

/* -- report_plan.c, report_drawing.c: the plan, and how right it was -- */
enum { REPORT_KINDS = 32 };

/* A model's training in this run. */
typedef struct ReportTraining {
  bool ran, reused; /* neither: nobody asked for it */
  double seconds;   /* ran */
} ReportTraining;
ReportTraining report_training(const Report *r, int k);

/* Steps of one kind. */
typedef struct ReportKind {
  const char *kind;
  int ran, reused;
  double seconds; /* of those that ran */
} ReportKind;
/* By seconds, most first; returns their number. */
int report_kinds(const Report *r, ReportKind kinds[REPORT_KINDS]);

void report_plan_line(const Report *r);
void report_plan_json(const Report *r, JsonWriter *w);
/* Drawing of the tree, ways of sharing, time by kind of step. */
void report_plan_html(const Report *r, StrBuf *out);
/* -- report_chart.c: accuracy of all targets against their MACs -- */
void report_chart(const Report *r, StrBuf *out);
/* Text as HTML (report_html.c). */
void report_escape(StrBuf *b, const char *s);

#endif
