/* The kinds of steps that tailoring runs itself; inputs and outputs by position. */
#ifndef PASSES_TAILOR_KINDS_H
#define PASSES_TAILOR_KINDS_H

#include "ir/step.h"
#include "ir/cost.h"
#include "passes/steps/steps.h"
#include "runtime/data/dataset.h"
#include "runtime/engine/engine.h"

/* What these steps need beside their artifacts: StepCall.env. The data set is opened at first use, so that a run
 * whose steps are all in the cache decodes nothing. */
typedef struct TailorData {
  const DataSpec *spec;
  Dataset ds;
  bool open;
  Split test;
  bool test_open;
  bool final; /* searching is over: the test split may be read */
} TailorData;

typedef struct TailorStepEnv {
  TailorData *data;
  const CostModel *cost; /* plan */
} TailorStepEnv;

bool tailor_data(TailorData *t, const Dataset **out, Diag *d);
/* The test split; refused until `final` is set. */
bool tailor_test_data(TailorData *t, const Split **out, Diag *d);
void tailor_data_close(TailorData *t);

/*                                in                                          params                    out */
extern const StepKind
    step_prepare; /* model                                    passes                    graph */
extern const StepKind
    step_insert; /* graph, data                              passes                    graph */
extern const StepKind
    step_vary; /* graph, data                                passes of another structure  graph */
extern const StepKind
    step_importance; /* base, data                               by=..,images=N            sensitivity */
extern const StepKind
    step_plan; /* base, importance, cost, [looser plan]    prune options             plan, measure */
extern const StepKind
    step_prune; /* base, plan                                                         graph */
/* The same by an error table (kinds_allocate.c), where the prune options say by=reconstruction. */
extern const StepKind
    step_table; /* base, data                               prune options             table */
extern const StepKind
    step_allocate; /* base, table, cost, [looser plan]      prune options             plan, measure */
extern const StepKind
    step_rebuild; /* base, plan, data                       prune options             graph */
extern const StepKind
    step_bank; /* teacher, data                            views=N,augmentation     logits (bank.c) */
extern const StepKind
    step_retrain; /* start, start's plan, plan, base, data, teachers.., [their banks..]  training options  graph, measure */
/* Many plans at once (kinds_elastic.c): in all keep=.. as above. */
extern const StepKind
    step_elastic; /* base, data, plans, teachers.., [their banks..]  drawn=N,own_norms=0|1,training options  graph (wide),
                   * stats (what members have of their own), measure */
extern const StepKind
    step_cut; /* wide graph, members' own, plans             member=K (from 0)         graph */
extern const StepKind
    step_slice; /* wide graph, data, a plan that was no member  training options (statistics)  graph; trained with own_norms=0 */
/* Variants that share weights (kinds_widths.c). */
extern const StepKind
    step_widths; /* graph, data               n=N,share=F,prune options         graph (ordered), plans of it, measure */
extern const StepKind step_finish_like; /* float graph, the widest's final graph, data  passes   graph */
extern const StepKind
    step_finish; /* float graph, data                        passes                    graph */
extern const StepKind
    step_score; /* graph, data (validation)                                           measure */
extern const StepKind
    step_test; /* graph, test data                                                   measure */
extern const StepKind
    step_diverge; /* graph, reference, data                 [raw=1]                   measure (diverge.c) */

/* Plans speak of the channel groups of a graph, and those depend on the layers that stay whole: `keep` ("a;b", "" for
 * none) is the same wherever a plan of that graph is used; steps take it as keep=... */
struct Channels;
struct PrunePlan;
/* A plan as artifacts: its text, and what it measures. */
void tailor_put_plan(const struct Channels *ch, const struct PrunePlan *p, Artifact *out, int *n_out);
/* The plan that keeps every channel of a graph. */
bool tailor_plan_all(const Graph *base, const char *keep, Artifact *out, Diag *d);
/* Plans of one graph as one artifact: their texts one after the other. */
Artifact tailor_plans(const Artifact *plans, int n);
/* How examples are fed to graph g: normalised as the data's specification says or, where params have "raw=1", as the
 * bytes they are. */
Normalize tailor_normalize(const TailorData *t, const Graph *g, DType bytes, const char *params);
/* A training that is killed goes on where it was: its state is the call's work file. */
void tailor_keep_state(const StepCall *c, TrainOptions *o);
/* An accuracy as lines of a measure, and back. */
void tailor_put_accuracy(StrBuf *measure, const Accuracy *a);
void tailor_accuracy(const Artifact *measure, Accuracy *out);

/* -- bank.c -- */
/* The bank of o's views, from the cache where it is there. */
bool tailor_bank(const StepEnv *steps, const Artifact *teacher, const Artifact *data, const TrainOptions *o,
                 TailorStepEnv *env, const Host *host, Artifact *out, Diag *d);
/* Are teachers' outputs taken from banks? */
bool tailor_uses_bank(const TrainOptions *o);
/* Log what was decided about the teacher. */
void tailor_tell_bank(const TrainOptions *o, const Host *host);

#endif
