/* mistify adapt: a shipped float model made better on data that stay where they are, and exchange with other sites.
 *
 *   no --exchange        re-tailor with the local data: statistics, self-training (passes/adapt/retailor.h)
 *   --exchange out=FILE  what this site hands out (adapt_exchange.c)
 *   --exchange in=FILE   what others handed out, made into a model
 */
#include <stdio.h>
#include <string.h>

#include "frontend/cli/adapt.h"
#include "passes/pass.h"

static const Opt opts[] = {
    {"MODEL", OPT_PARAM, offsetof(AdaptOpts, model), true, NULL,
     "the shipped float model (.onnx, .ir, .mistify); or a folder with a family's float0.mistify and so on"},
    {"NARROWER", OPT_PARAMS, offsetof(AdaptOpts, narrower), false, NULL,
     "further float variants that share MODEL's weights, widest first: they learn together"},
    {"--data", OPT_STRING, offsetof(AdaptOpts, data), false, "DIR",
     "local data: site.yaml (keys below), a folder with one in it, or a folder of images"},
    {"-o", OPT_STRING, offsetof(AdaptOpts, out), false, "OUT",
     "model to write: .onnx, .ir or .mistify; of a family a folder"},
    {"--unlabelled", OPT_FLAG, offsetof(AdaptOpts, unlabelled), false, NULL, "do not use labels"},
    {"--teacher", OPT_LIST, offsetof(AdaptOpts, teachers), false, "MODEL", "larger models to learn from"},
    {"--epochs", OPT_FLOAT, offsetof(AdaptOpts, epochs), false, "N",
     "passes over the local data (default 4; 0: BatchNormalization's statistics alone)"},
    {"--exchange", OPT_LIST, offsetof(AdaptOpts, exchange), false, "out=FILE|in=FILE",
     "hand out what this site has learnt, or use what others have"},
    {"--share", OPT_STRING, offsetof(AdaptOpts, share), false, "WHAT",
     "update (default): of some layers' parameters; outputs: answers on the public set"},
    {"--layers", OPT_STRING, offsetof(AdaptOpts, layers), false, "WHICH",
     "that learn for an exchange: last (default), bias, last+bias, adapters"},
    {"--weight", OPT_FLOAT, offsetof(AdaptOpts, weight), false, "W",
     "of this site among others (default 1); not to be the number of its records where that is private"},
    {"--epsilon", OPT_FLOAT, offsetof(AdaptOpts, epsilon), false, "E",
     "private: all that the site has ever emitted, with this, stays within E"},
    {"--sigma", OPT_FLOAT, offsetof(AdaptOpts, sigma), false, "S",
     "private: instead, the noise over the clipping norm"},
    {"--delta", OPT_FLOAT, offsetof(AdaptOpts, delta), false, "D",
     "default and most: 1 / (10 n), which makes n, the number of records, public"},
    {"--ledger", OPT_STRING, offsetof(AdaptOpts, ledger), false, "FILE",
     "of what was spent; made by the first run"},
    {"--counter", OPT_STRING, offsetof(AdaptOpts, counter), false, "DIR",
     "where the ledger's counter is (default: $XDG_STATE_HOME/mistify or ~/.local/state/mistify)"},
    {"--budget", OPT_FLOAT, offsetof(AdaptOpts, budget), false, "E",
     "of a new ledger (default: --epsilon); it stays so"},
    {"--independent", OPT_FLAG, offsetof(AdaptOpts, independent), false, NULL,
     "private: MODEL and teachers hold nothing of the local data but what files of this ledger gave away"},
    {"--rate", OPT_FLOAT, offsetof(AdaptOpts, rate), false, "Q",
     "probability that a record is in a step (default 0.05)"},
    {"--steps", OPT_INT, offsetof(AdaptOpts, steps), false, "N", "of an exchange's layers (default 200)"},
    {"--clip", OPT_FLOAT, offsetof(AdaptOpts, clip), false, "C",
     "norm of an example's gradient at most (default 1)"},
    {"--nominal", OPT_INT, offsetof(AdaptOpts, nominal), false, "N",
     "steps are divided for so many records (default: their number, which is then taken as public)"},
    {"--lr", OPT_FLOAT, offsetof(AdaptOpts, lr), false, "R",
     "learning rate (0.008; of an exchange's layers 0.1)"},
    {"--plan", OPT_FLAG, offsetof(AdaptOpts, plan), false, NULL,
     "tell what a private run would cost; do nothing"},
    {"--seed", OPT_INT, offsetof(AdaptOpts, seed), false, "N",
     "repeatable, without --ledger; a private run is then NOT PRIVATE"},
    {"-j", OPT_INT, offsetof(AdaptOpts, threads), false, "N", "threads (default: one per processor)"},
    {0}};

/* -- models and data -- */

Graph *adapt_load(const char *path, Diag *d) {
  Graph *g = cli_load(path, d);
  const PassCtx ctx = {.params = ""};
  Graph *p = g ? pipeline_run(g, "fold,layout,fold,dce", &ctx, NULL, d) : NULL;
  graph_free(g);
  return p;
}

static bool load_models(Adapting *r) {
  const ArgList *l = &r->o->teachers;
  FAIL_IF(l->n > ADAPT_TEACHERS, r->d, NULL, "--teacher: want at most %d", ADAPT_TEACHERS);
  TRY(adapt_load_family(r));
  if (!r->n_family) r->model = adapt_load(r->o->model, r->d);
  TRY(r->model);
  for (size_t i = 0; i < l->n; i++) {
    r->teachers[i] = adapt_load(l->v[i], r->d);
    TRY(r->teachers[i]);
    r->n_teachers++;
  }
  return true;
}

static bool check_classes(const Adapting *r) {
  const int n = graph_classes(r->model, r->d), want = r->site->classes;
  TRY(n > 0);
  FAIL_IF(want && n != want, r->d, NULL, "%s: %d classes; %s gives %d numbers", r->o->data, want, r->o->model,
          n);
  return true;
}

static bool load_data(Adapting *r) {
  SplitSpec local = r->site->local;
  local.unlabelled |= r->o->unlabelled;
  TRY(split_open(&local, &r->data.train, r->d));
  r->data.spec = (DataSpec){.train = local, .normalize = r->site->normalize, .augment = r->site->augment};
  if (r->site->others.kind) TRY(split_open(&r->site->others, &r->others, r->d));
  return check_classes(r);
}

/* -- what is done -- */

void adapt_retailor_options(const AdaptOpts *o, RetailorOptions *to) {
  retailor_default(to);
  if (args_given(&o->common, "--epochs")) to->epochs = o->epochs;
  if (o->lr > 0) to->lr = (float)o->lr;
  if (o->seed) to->seed = (uint64_t)o->seed;
}

static bool retailor_it(Adapting *r, Graph **out) {
  RetailorOptions o;
  adapt_retailor_options(r->o, &o);
  *out = retailor(r->model, (const Graph *const *)r->teachers, r->n_teachers, &r->data, &o,
                  progress_host(&r->progress), &r->retailored, r->d);
  return r->has_retailored = *out != NULL;
}

static bool adapt(Adapting *r) {
  const bool needs_data = r->emit || r->o->plan || !r->n_in;
  Graph *out = NULL;
  TRY(adapt_read_exchange(r));
  FAIL_IF(!r->emit && !r->o->plan && !r->o->out, r->d, NULL, "want -o OUT, the model to write");
  TRY(!r->o->out || adapt_is_family(r->o) || cli_check_save(r->o->out, r->d));
  FAIL_IF(!r->o->data && (needs_data && !r->n_in), r->d, NULL, "want --data DIR, the local data");
  if (r->o->data) {
    r->site = site_load(r->a, r->o->data, r->d);
    TRY(r->site);
  }
  cli_progress(&r->progress, &r->o->common, r->o->threads);
  TRY(load_models(r));
  if (!r->n_in) TRY(load_data(r));
  if (r->n_family) return adapt_family(r);
  if (r->o->plan) return adapt_plan(r);
  bool ok = r->emit ? adapt_emit(r, &out) : r->n_in ? (out = adapt_merge(r)) != NULL : retailor_it(r, &out);
  if (ok && r->o->out) ok = cli_save(out, r->o->out, r->d);
  graph_free(out);
  return ok;
}

/* -- what is told -- */

static void print_json(const Adapting *r) {
  JsonWriter w;
  StrBuf b;
  cli_json_begin(&w, &b);
  json_object(&w);
  json_kstr(&w, "output", r->o->out);
  if (r->n_family) json_kint(&w, "variants", r->n_family), json_kstr(&w, "input", r->bytes ? "raw" : "float");
  if (r->has_retailored) {
    json_kint(&w, "statistics", r->retailored.statistics);
    json_kint(&w, "teachers", r->retailored.teachers);
    json_kint(&w, "images", r->retailored.train.images);
    json_knum(&w, "seconds", r->retailored.train.seconds);
  }
  if (r->emitted) {
    json_kstr(&w, "exchange", r->emit);
    json_kint(&w, "bytes", (int64_t)exchange_bytes(r->file.rows, r->file.columns));
    json_kstr(&w, "guarantee", exchange_label(&r->file));
    json_knum(&w, "epsilon", r->file.epsilon);
    json_knum(&w, "delta", r->file.delta);
    json_knum(&w, "sigma", r->file.noise);
  }
  if (r->has_attack) {
    json_knum(&w, "attack_auc_loss", r->attack.loss);
    json_knum(&w, "attack_auc_gain", r->attack.gain);
    json_knum(&w, "attack_stderr", r->attack.gain_stderr);
  }
  json_kint(&w, "merged", r->n_in);
  json_end(&w);
  cli_json_end(&w, &b);
}

static void print_family(const Adapting *r) {
  printf("%s: %d variants, in float and in int8 (input type %s): mistify compile", r->o->out, r->n_family,
         r->bytes ? "raw" : "float");
  for (int k = 0; k < r->n_family; k++) printf(" %s/variant%d.mistify", r->o->out, k);
  puts(" --family");
}

/* Are these images, which site.yaml leaves as they are? */
static bool is_plain(const Dataset *data) {
  char have[256], none[256];
  if (data->train.item.rank != 3) return false;
  augment_print(&data->spec.augment, have, sizeof have);
  augment_print(&(Augment){0}, none, sizeof none);
  return strcmp(have, none) == 0;
}

static void print_text(const Adapting *r) {
  if (r->has_retailored)
    printf("re-tailored with %u local examples: %lld images seen beside %d teacher%s in %.1f s\n",
           r->retailored.examples, (long long)r->retailored.train.images, r->retailored.teachers,
           r->retailored.teachers == 1 ? "" : "s", r->retailored.train.seconds);
  if (r->has_retailored && r->retailored.train.images > 0 && is_plain(&r->data))
    printf("images were taken as they are: more is learnt where site.yaml has `augment`, as the model was "
           "trained\n");
  if (r->has_retailored && r->n_family) print_family(r);
  if (r->emitted && r->file.guarantee == GUARANTEE_DP)
    printf("%s: epsilon %.4g is spent at delta %.3g, %.4g is left\n", r->emit, r->spent, r->file.delta,
           r->left);
  else if (r->emitted)
    printf("%s: %s\n", r->emit, exchange_label(&r->file));
  if (r->has_attack)
    printf("membership attack: AUC %.3f by loss, %.3f +- %.3f by what the loss fell (%u learnt from, %u not; "
           "0.5: none)\n",
           r->attack.loss, r->attack.gain, r->attack.gain_stderr, r->attack.members, r->attack.others);
  if (r->n_in) printf("%s: made of %d file%s\n", r->o->out, r->n_in, r->n_in == 1 ? "" : "s");
}

static int run(void *opts_, Diag *d) {
  const AdaptOpts *o = opts_;
  Adapting r = {.o = o, .a = arena_new(), .d = d};
  const bool ok = adapt(&r);
  if (ok && !o->plan) (o->common.json ? print_json : print_text)(&r);
  exchange_free(&r.file);
  split_close(&r.data.train);
  split_close(&r.others);
  graph_free(r.model);
  for (int i = 0; i < r.n_family; i++) graph_free(r.family[i]);
  for (int i = 0; i < r.n_teachers; i++) graph_free(r.teachers[i]);
  arena_free(r.a);
  return ok ? EXIT_DONE : EXIT_USER;
}

void cli_adapt_keys(void) {
  StrBuf keys = {0};
  config_print_help(&site_schema, &keys);
  printf("\nkeys of site.yaml:\n%s", sb_str(&keys));
  sb_free(&keys);
}

extern const Command cmd_adapt;
const Command cmd_adapt = {
    "adapt",
    "Learn from data that stay where they are, and exchange what was learnt",
    "Re-tailors a shipped float model on local data, labelled or not: BatchNormalization's statistics are "
    "estimated "
    "on\n"
    "them, then the model learns its own answers and larger models' under augmentation. Neither the training "
    "data "
    "nor\n"
    "anything else of where it was made is needed. `mistify tailor` or `compile` makes firmware of the "
    "result.\n"
    "Of a family (variants that share weights) all variants learn together; OUT gets float and int8 ones.\n\n"
    "With --exchange sites learn from one another by files that have no place for a sample "
    "(docs/privacy.md). "
    "With\n"
    "--epsilon a file is differentially private, record by record, over everything that the site ever emits: "
    "a ledger "
    "is\n"
    "kept, and a run that would exceed its budget stops. MODEL must hold nothing of the local data: a ledger "
    "keeps to the\n"
    "model of its first run, and teachers are refused, unless --independent says so of them. Files without "
    "noise are labelled \"no formal "
    "guarantee\", and "
    "a\n"
    "membership attack is run beside them.",
    "  mistify adapt shipped.onnx --data pictures/ -o adapted.onnx\n"
    "  mistify adapt shipped.onnx --data site.yaml --teacher large.onnx -o adapted.onnx\n"
    "  mistify adapt build/m4/ --data site.yaml -o adapted/     # a family, as mistify tailor wrote it\n"
    "  mistify adapt shipped.onnx --data site.yaml --exchange out=a.update --epsilon 2 --ledger site.ledger\n"
    "  mistify adapt shipped.onnx --exchange in=a.update in=b.update in=c.update -o next.onnx\n",
    opts,
    sizeof(AdaptOpts),
    run};
