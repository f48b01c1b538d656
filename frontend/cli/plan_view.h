/* A plan for people and for programs: who is trained from whom, what that costs, what other ways would, what is still to come. */
#ifndef FRONTEND_CLI_PLAN_VIEW_H
#define FRONTEND_CLI_PLAN_VIEW_H

#include "frontend/cli/plan_file.h"

enum { PLAN_KINDS = 8 };

/* Steps of one kind that are to come, by what those before took on average. */
typedef struct PlanKind {
  const char *kind;
  int n;          /* to come */
  double seconds; /* of one; negative: none has run yet */
} PlanKind;

typedef struct PlanView {
  const char *deploy, *lock;  /* paths */
  const TailorResult *result; /* of a run that stopped at its plan */
  TailorSharing sharing;
  CostRates rates; /* that were known; those of an earlier plan may have been used instead */
  double seconds;  /* that planning took */
  PlanKind kinds[PLAN_KINDS];
  int n_kinds;
} PlanView;

/* Fill v->kinds from the times that the cache keeps. graphs: nothing is built. */
bool plan_view_kinds(PlanView *v, const Cache *cache, bool graphs, bool rebuilt, Diag *d);
void plan_view_text(const PlanView *v, Arena *a);
void plan_view_json(const PlanView *v, StrBuf *out);

#endif
