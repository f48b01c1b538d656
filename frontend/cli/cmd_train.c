/* mistify train: trains a design's model as its `train` section says, and writes it as ONNX.
 *
 * The graph is prepared by fold and layout; BatchNormalization stays. The validation split's accuracy is printed, the
 * test split is not touched. With --checkpoint a run that was stopped in any way goes on where it was.
 */
#include <stdio.h>
#include <string.h>

#include "frontend/cli/cli.h"
#include "frontend/config/design.h"
#include "frontend/config/design_keys.h"
#include "passes/pass.h"
#include "passes/tailor/kinds.h"
#include "runtime/data/identity.h"

typedef struct TrainOpts {
  CommonOpts common;
  const char *design, *out, *log, *model, *checkpoint, *cache;
  int64_t epochs, seed, threads;
  double every;
} TrainOpts;

static const Opt opts[] = {
    {"design.yaml", OPT_PARAM, offsetof(TrainOpts, design), true, NULL, "design with a `train` section"},
    {"-o", OPT_STRING, offsetof(TrainOpts, out), true, "OUT", "file to write: .onnx, .ir or .mistify"},
    {"--model", OPT_STRING, offsetof(TrainOpts, model), false, "MODEL",
     "start from this model instead of the design's: one with random weights, say"},
    {"--epochs", OPT_INT, offsetof(TrainOpts, epochs), false, "N", "instead of the design's"},
    {"--log", OPT_STRING, offsetof(TrainOpts, log), false, "FILE",
     "write a line of JSON per epoch: loss, accuracy, rate, images/s, time left"},
    {"--checkpoint", OPT_STRING, offsetof(TrainOpts, checkpoint), false, "FILE",
     "keep all that the run needs in FILE; where it exists, go on from it"},
    {"--checkpoint-every", OPT_FLOAT, offsetof(TrainOpts, every), false, "SECONDS",
     "write it so often, beside after every epoch (default 60)"},
    {"--cache", OPT_STRING, offsetof(TrainOpts, cache), false, "DIR",
     "where banks of teachers' outputs are kept (`views`); without it they are made in memory"},
    {"--seed", OPT_INT, offsetof(TrainOpts, seed), false, "N", "of shuffling and augmentation (default 1)"},
    {"-j", OPT_INT, offsetof(TrainOpts, threads), false, "N",
     "threads (default: one per processor); the result does not depend on it"},
    {0}};

typedef struct Trained {
  TrainResult result;
  Accuracy val;
  bool classes; /* the model tells classes apart: there are accuracies */
  bool judged;  /* by classes, or by AUC */
} Trained;

static void print_text(const TrainOpts *o, const Trained *t) {
  printf("%s: trained on %lld images in %.1f s, loss %.4f", o->out, (long long)t->result.images,
         t->result.seconds, t->result.loss);
  if (t->classes) printf(", training accuracy %.2f %%", 100 * t->result.train_accuracy);
  printf("\n");
  if (t->val.n && t->val.auc)
    printf("validation AUC %.4f +- %.4f (%u examples)\n", t->val.top1, t->val.stderr_, t->val.n);
  else if (t->val.n)
    printf("validation accuracy %.2f %% +- %.2f (%u of %u)\n", 100 * t->val.top1, 100 * t->val.stderr_,
           t->val.correct, t->val.n);
}

static void print_json(const TrainOpts *o, const Trained *t) {
  JsonWriter w;
  StrBuf b;
  cli_json_begin(&w, &b);
  json_object(&w);
  json_kstr(&w, "output", o->out);
  json_kint(&w, "images", t->result.images);
  json_knum(&w, "seconds", t->result.seconds);
  json_knum(&w, "loss", t->result.loss);
  if (t->classes) json_knum(&w, "train_accuracy", t->result.train_accuracy);
  if (t->val.n) {
    json_kint(&w, "val_n", t->val.n);
    json_knum(&w, t->val.auc ? "val_auc" : "val_top1", t->val.top1);
    json_knum(&w, "val_stderr", t->val.stderr_);
  }
  json_end(&w);
  cli_json_end(&w, &b);
}

/* -- the run -- */

typedef struct Run {
  const TrainOpts *o;
  Arena *a;
  Diag *d;
  const Design *design;
  Graph *model, **teachers;
  TailorData data;
  Progress progress;
  TrainOptions options;
} Run;

static bool set_options(Run *r, uint32_t n) {
  const TrainOpts *o = r->o;
  TrainOptions *t = &r->options;
  FAIL_IF(o->epochs > 1000000, r->d, NULL, "--epochs %lld: want at most 1000000", (long long)o->epochs);
  Training as = r->design->train;
  if (o->epochs) {
    as.o.epochs = (int)o->epochs;
    as.o.images = 0;
  }
  design_train_options(r->design, &as, n, t);
  t->threads = progress_host(&r->progress)->threads;
  t->log_path = o->log;
  t->checkpoint_path = o->checkpoint;
  if (o->every > 0) t->checkpoint_seconds = o->every;
  t->abi = numeric_abi(r->a);
  if (o->seed) t->seed = (uint64_t)o->seed;
  return true;
}

/* Banks of all teachers, from the cache or made and kept there; out [n]. */
static bool get_banks(Run *r, const Host *host, Artifact *out) {
  Cache *cache = cache_open(r->o->cache, host, r->d);
  TRY(cache);
  StepEnv steps = step_env(r->a, cache);
  TailorStepEnv env = {.data = &r->data};
  Hash identity;
  bool ok = dataset_identity(&r->design->data, &identity, r->d);
  Artifact data = artifact_from_hash(ART_DATA, identity);
  for (int i = 0; ok && i < r->design->train.teachers.n; i++) {
    Artifact teacher = artifact_from_graph(r->teachers[i]);
    ok = tailor_bank(&steps, &teacher, &data, &r->options, &env, host, &out[i], r->d);
    artifact_unref(&teacher);
  }
  cache_close(cache);
  return ok;
}

static Graph *train_with(Run *r, const Dataset *ds, Trained *t) {
  const Host *host = progress_host(&r->progress);
  int n = r->design->train.teachers.n;
  Artifact *banks = arena_array(r->a, (size_t)n + 1, sizeof *banks);
  Blob **blobs = arena_array(r->a, (size_t)n + 1, sizeof *blobs);
  bool kept = r->options.views > 0 && r->o->cache, ok = !kept || get_banks(r, host, banks);
  for (int i = 0; i < n; i++) blobs[i] = banks[i].bytes;
  if (n) tailor_tell_bank(&r->options, host);
  const TrainJob job = {.graph = r->model,
                        .teachers = (const Graph *const *)r->teachers,
                        .teacher_weights = r->design->train.teacher_weights.items,
                        .n_teachers = n,
                        .banks = kept ? blobs : NULL,
                        .data = ds,
                        .options = &r->options,
                        .host = host};
  Graph *out = ok ? train_run(&job, &t->result, r->d) : NULL;
  for (int i = 0; i < n; i++) artifact_unref(&banks[i]);
  return out;
}

static bool train(Run *r, Trained *t) {
  const Dataset *ds;
  const Host *host = progress_host(&r->progress);
  TRY(tailor_data(&r->data, &ds, r->d) && set_options(r, ds->train.n));
  Graph *out = train_with(r, ds, t);
  TRY(out);
  t->classes = r->design->task == TASK_CLASSIFICATION;
  t->judged = t->classes || r->design->metric == METRIC_AUC;
  bool ok = !t->judged || !ds->val.n ||
            graph_accuracy(out, &ds->val, &ds->spec.normalize, host->threads, host, &t->val, NULL, r->d);
  ok = ok && cli_save(out, r->o->out, r->d);
  graph_free(out);
  return ok;
}

/* -- models -- */

static Graph *load(const Run *r, const char *path) {
  return cli_load_with(path, &(LoadOpts){.custom = r->design->custom}, r->d);
}

static Graph *prepared(Graph *g, Diag *d) {
  PassCtx ctx = {.params = ""};
  Graph *p = g ? pipeline_run(g, "fold,layout,fold,dce", &ctx, NULL, d) : NULL;
  graph_free(g);
  return p;
}

static bool load_models(Run *r) {
  const CfgList *list = &r->design->train.teachers;
  Graph *g = load(r, r->o->model ? r->o->model : r->design->model);
  if (g && !design_check_model(r->design, g, r->d)) {
    graph_free(g);
    return false;
  }
  r->model = prepared(g, r->d);
  TRY(r->model);
  r->teachers = arena_array(r->a, (size_t)list->n + 1, sizeof(Graph *));
  for (int i = 0; i < list->n; i++) {
    r->teachers[i] = prepared(load(r, ((const char *const *)list->items)[i]), r->d);
    TRY(r->teachers[i]);
  }
  return true;
}

static bool check_section(const Run *r) {
  if (r->design->train_loc.line) return true;
  diag_error(r->d, NULL, "%s: has no `train` section: it does not say how its model is trained",
             r->o->design);
  diag_hint(r->d, "add one, such as  train: {epochs: 10, lr: 0.1}");
  return false;
}

static bool with_data(Run *r, Trained *t) {
  r->design = design_load(r->a, r->o->design, r->d);
  TRY(r->design && check_section(r));
  r->data = (TailorData){.spec = &r->design->data};
  cli_progress(&r->progress, &r->o->common, r->o->threads);
  bool ok = load_models(r) && train(r, t);
  for (int i = 0; r->teachers && i < r->design->train.teachers.n; i++) graph_free(r->teachers[i]);
  graph_free(r->model);
  tailor_data_close(&r->data);
  return ok;
}

static int run(void *opts_, Diag *d) {
  const TrainOpts *o = opts_;
  if (!cli_check_save(o->out, d)) return EXIT_USER;
  Run r = {.o = o, .a = arena_new(), .d = d};
  Trained t = {0};
  bool ok = with_data(&r, &t);
  arena_free(r.a);
  if (ok && o->common.json) print_json(o, &t);
  if (ok && !o->common.json) print_text(o, &t);
  return ok ? EXIT_DONE : EXIT_USER;
}

void cli_train_keys(void) {
  StrBuf keys = {0};
  config_print_help(&augment_schema, &keys);
  printf("\nkeys of `augment` in the `data` section of design.yaml:\n%s", sb_str(&keys));
  sb_clear(&keys);
  config_print_help(&train_schema, &keys);
  printf("\nkeys of its `train` section:\n%s", sb_str(&keys));
  sb_free(&keys);
}

extern const Command cmd_train;
const Command cmd_train = {
    "train",
    "Train a design's model, from where its weights stand, and write it",
    "Reads the model that the design names, trains it on the training split as the design's `train` section "
    "says\n"
    "(length, optimizer, schedule, teachers: keys below) with the augmentation of its `data` section, and "
    "prints its\n"
    "accuracy (with `metric: auc` its AUC) on the validation split. A design of `task: autoencoder` is "
    "trained to give its "
    "input back.\n\n"
    "The same seed gives the same bytes on the same kind of machine, with any number of threads, and however "
    "often the\n"
    "run is stopped: with --checkpoint it goes on where it was, after Ctrl-C, a kill or a power cut. A "
    "checkpoint of\n"
    "another model, data or options is refused, never mixed in.",
    "  mistify train design.yaml -o trained.onnx\n"
    "  mistify train design.yaml --epochs 2 --log train.jsonl -o trained.onnx\n"
    "  mistify train design.yaml --checkpoint run.ckpt -o trained.onnx      (the same again: goes on)\n",
    opts,
    sizeof(TrainOpts),
    run};
