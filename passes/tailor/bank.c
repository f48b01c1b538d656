/* The step that makes a teacher's bank: its logits of every view of the training examples, once for all students of the
 * same teacher, data, seed, number of views and augmentation (its key), whoever asks for them.
 */
#include "passes/tailor/kinds.h"

#include <stdio.h>
#include <string.h>

static bool run_bank(const StepCall *c, Artifact *out, int *n_out, Diag *d) {
  const TailorStepEnv *env = c->env;
  const Dataset *ds = NULL;
  TrainOptions o;
  train_options_default(&o);
  o.seed = c->seed;
  o.threads = c->host ? c->host->threads : 1;
  Graph *teacher = artifact_graph(&c->in[0], d);
  bool ok = teacher && train_options_parse(c->params, &o, d) && tailor_data(env->data, &ds, d);
  Blob *bank = ok ? teacher_bank(teacher, ds, &o, c->host, d) : NULL;
  graph_free(teacher);
  TRY(bank);
  out[(*n_out)++] = artifact_from_blob(ART_LOGITS, bank);
  return true;
}

static const char *const sources[] = {"ir/",
                                      "runtime/kernels/",
                                      "passes/tailor/bank.c",
                                      "passes/tailor/kinds.h",
                                      "runtime/engine/",
                                      "runtime/data/",
                                      NULL};
const StepKind step_bank = {.name = "bank", .sources = sources, .numeric = true, .run = run_bank};

bool tailor_bank(const StepEnv *steps, const Artifact *teacher, const Artifact *data, const TrainOptions *o,
                 TailorStepEnv *env, const Host *host, Artifact *out, Diag *d) {
  char params[300];
  Artifact in[2] = {*teacher, *data}, got[STEP_MAX_OUT] = {0};
  static const char *const names[] = {"teacher", "data"};
  int n = 0, k = snprintf(params, sizeof params, "views=%d,", o->views);
  augment_print(&o->augment, params + k, sizeof params - (size_t)k);
  const StepRequest req = {.kind = &step_bank,
                           .slot = "teacher",
                           .in = in,
                           .n_in = 2,
                           .in_names = names,
                           .params = params,
                           .seed = o->seed,
                           .host = host,
                           .env = env};
  TRY(step_run(steps, &req, got, &n, NULL, d));
  ASSERT(n == 1);
  *out = got[0];
  return true;
}

bool tailor_uses_bank(const TrainOptions *o) { return o->views > 0 && o->mix > 0; }

void tailor_tell_bank(const TrainOptions *o, const Host *host) {
  char line[160];
  if (o->mix <= 0 || !host || !host->log) return;
  if (o->views > 0)
    snprintf(line, sizeof line, "teacher: a bank of %d views of each training image, shared by all students",
             o->views);
  else
    snprintf(line, sizeof line,
             "teacher: beside its student, on fresh views (a bank would cost as much as it saves, or is not "
             "wanted)");
  host->log(host->ctx, line);
}
