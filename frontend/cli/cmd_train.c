/* mistify train: trains a design's model as its `train` section says, and writes it as ONNX.
 *
 * The graph is prepared by fold and layout; BatchNormalization stays. The validation split's accuracy is printed, the
 * test split is not touched.
 */
#include <stdio.h>
#include <string.h>

#include "frontend/cli/cli.h"
#include "frontend/config/design.h"
#include "passes/pass.h"

typedef struct TrainOpts {
  CommonOpts common;
  const char *design, *out, *log, *model;
  int64_t epochs, seed, threads;
} TrainOpts;

static const Opt opts[] = {
    {"design.yaml", OPT_PARAM, offsetof(TrainOpts, design), true, NULL, "design with a `train` section"},
    {"-o", OPT_STRING, offsetof(TrainOpts, out), true, "OUT", "file to write: .onnx, .ir or .mistify"},
    {"--model", OPT_STRING, offsetof(TrainOpts, model), false, "MODEL",
     "start from this model instead of the design's: one with random weights, say"},
    {"--epochs", OPT_INT, offsetof(TrainOpts, epochs), false, "N", "instead of the design's"},
    {"--log", OPT_STRING, offsetof(TrainOpts, log), false, "FILE", "write a line of JSON per epoch"},
    {"--seed", OPT_INT, offsetof(TrainOpts, seed), false, "N", "of shuffling and augmentation (default 1)"},
    {"-j", OPT_INT, offsetof(TrainOpts, threads), false, "N",
     "threads (default: one per processor); the result does not depend on it"},
    {0}};

static bool options(const TrainOpts *o, const Design *design, int threads, TrainOptions *t, Diag *d) {
  if (!design->train_loc.line) {
    diag_error(d, NULL, "%s: has no `train` section: it does not say how its model is trained", o->design);
    diag_hint(d, "add one, such as  train: {epochs: 10, lr: 0.1}");
    return false;
  }
  FAIL_IF(o->epochs > 1000000, d, NULL, "--epochs %lld: want at most 1000000", (long long)o->epochs);
  train_options_default(t);
  design_train_options(design, &design->train, t);
  t->threads = threads;
  t->log_path = o->log;
  if (o->seed) t->seed = (uint64_t)o->seed;
  if (o->epochs) {
    t->epochs = (int)o->epochs;
    t->images = 0;
  }
  return true;
}

typedef struct Trained {
  TrainResult result;
  Accuracy val;
} Trained;

static void print_text(const TrainOpts *o, const Trained *t) {
  printf("%s: trained on %lld images in %.1f s, loss %.4f, training accuracy %.2f %%\n", o->out,
         (long long)t->result.images, t->result.seconds, t->result.loss, 100 * t->result.train_accuracy);
  if (t->val.n)
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
  json_knum(&w, "train_accuracy", t->result.train_accuracy);
  if (t->val.n) {
    json_kint(&w, "val_n", t->val.n);
    json_knum(&w, "val_top1", t->val.top1);
    json_knum(&w, "val_stderr", t->val.stderr_);
  }
  json_end(&w);
  cli_json_end(&w, &b);
}

static bool train(const TrainOpts *o, const Design *design, const Graph *g, const Dataset *ds, Trained *t,
                  Diag *d) {
  Progress progress;
  cli_progress(&progress, &o->common, o->threads);
  const Host *host = progress_host(&progress);
  TrainOptions to;
  TRY(options(o, design, host->threads, &to, d));
  Graph *out = train_graph(g, NULL, ds, &to, host, &t->result, d);
  if (!out) return false;
  bool ok =
      !ds->val.n || graph_accuracy(out, &ds->val, &ds->spec.normalize, host->threads, host, &t->val, NULL, d);
  ok = ok && cli_save(out, o->out, d);
  graph_free(out);
  return ok;
}

static Graph *load_prepared(const TrainOpts *o, const Design *design, Diag *d) {
  Graph *g = cli_load_with(o->model ? o->model : design->model, &(LoadOpts){.custom = design->custom}, d),
        *p = NULL;
  PassCtx ctx = {.params = ""};
  if (g && design_check_model(design, g, d)) p = pipeline_run(g, "fold,layout,fold,dce", &ctx, NULL, d);
  graph_free(g);
  return p;
}

static bool with_data(Arena *a, const TrainOpts *o, Trained *t, Diag *d) {
  const Design *design = design_load(a, o->design, d);
  Graph *g = design ? load_prepared(o, design, d) : NULL;
  Dataset ds;
  bool ok = g && dataset_open(&design->data, &ds, d);
  if (ok) {
    ok = train(o, design, g, &ds, t, d);
    dataset_close(&ds);
  }
  graph_free(g);
  return ok;
}

static int run(void *opts_, Diag *d) {
  const TrainOpts *o = opts_;
  if (!cli_check_save(o->out, d)) return EXIT_USER;
  Arena *a = arena_new();
  Trained t = {0};
  bool ok = with_data(a, o, &t, d);
  arena_free(a);
  if (ok && o->common.json) print_json(o, &t);
  if (ok && !o->common.json) print_text(o, &t);
  return ok ? EXIT_DONE : EXIT_USER;
}

extern const Command cmd_train;
const Command cmd_train = {"train",
                           "Train a design's model, from where its weights stand, and write it",
                           "Reads the model that the design names, trains it on the training split (SGD with "
                           "momentum, cosine schedule,\n"
                           "the design's augmentation) and prints its accuracy on the validation split.",
                           "  mistify train design.yaml -o trained.onnx\n"
                           "  mistify train design.yaml --epochs 2 --log train.jsonl -o trained.onnx\n",
                           opts,
                           sizeof(TrainOpts),
                           run};
