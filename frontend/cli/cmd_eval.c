/* mistify eval: accuracy (or AUC) on a split of the design's data, by the engine (float) or the generic kernels (int8),
 * or with --target as the emitted C computes it.
 *
 * With --target, the first examples also go through the reference evaluation: on how many of these the C gave the same
 * bytes is told too.
 */
#include <stdio.h>
#include <string.h>

#include "frontend/cli/emitted.h"
#include "frontend/cli/outcome.h"
#include "frontend/config/design.h"
#include "ir/base/mem.h"
#include "ir/eval.h"
#include "passes/input_raw.h"
#include "runtime/data/input_map.h"

typedef struct EvalOpts {
  CommonOpts common;
  const char *model, *design, *split, *target, *rounding, *custom;
  int64_t limit, threads;
} EvalOpts;

static const Opt opts[] = {
    {"MODEL", OPT_PARAM, offsetof(EvalOpts, model), true, NULL, "model file (.onnx, .tflite, .ir, .mistify)"},
    {"--design", OPT_STRING, offsetof(EvalOpts, design), true, "FILE",
     "design.yaml: the data and how it is normalised"},
    {"--split", OPT_STRING, offsetof(EvalOpts, split), false, "NAME",
     "test (default: a final result), val or train"},
    {"--target", OPT_STRING, offsetof(EvalOpts, target), false, "T", "measure the C emitted for this target"},
    {"--limit", OPT_INT, offsetof(EvalOpts, limit), false, "N",
     "the first N examples alone (default: all; 100 where emulated)"},
    {"-j", OPT_INT, offsetof(EvalOpts, threads), false, "N", "threads (default: one per processor)"},
    ROUNDING_OPT(EvalOpts),
    CUSTOM_OPT(EvalOpts),
    {0}};

enum { EMULATED_LIMIT = 100, REFERENCE_LIMIT = 200, CHUNK_BYTES = 32 << 20 };

/* What eval found. */
typedef struct Result {
  Accuracy accuracy;
  uint32_t checked, same; /* examples that the reference evaluation saw too; that gave the same bytes there */
} Result;

/* -- emitted C -- */

typedef struct Emission {
  Emitted emitted;
  const Split *split;
  const Normalize *nz;
  InputMap map;
  Evaluator *reference;
  float *outcome; /* of each example (engine/judge.h) */
} Emission;

static const Value *in_value(const Emission *e) { return graph_val(e->emitted.g, e->emitted.g->inputs[0]); }

/* Examples i .. i+n-1 as tensors of the model's input. */
static bool make_inputs(const Emission *e, uint32_t i, uint32_t n, Tensor *in, Diag *d) {
  const Value *v = in_value(e);
  float *scratch = mem_array((size_t)e->map.count, sizeof *scratch);
  bool ok = true;
  for (uint32_t k = 0; ok && k < n; k++) {
    Tensor x = tensor_new(DT_F32, &v->shape);
    input_item(&e->map, e->split, e->nz, NULL, i + k, x.data, scratch);
    if (v->dtype == DT_F32) {
      in[k] = x;
      continue;
    }
    ok = cli_quantize(&x, v->dtype, &v->quant, &in[k], d);
    tensor_free(&x);
  }
  mem_free(scratch);
  return ok;
}

static void check(const Emission *e, const Tensor *in, const Tensor *out, Result *r) {
  const Graph *g = e->emitted.g;
  bool same = true;
  evaluator_run(e->reference, (const void *const[]){in->data});
  for (uint32_t o = 0; o < g->n_outputs; o++)
    same &= memcmp(out[o].data, evaluator_value(e->reference, g->outputs[o]), tensor_bytes(&out[o])) == 0;
  r->checked++;
  r->same += same;
}

/* out: [n][n_outputs] of the emitted C; the last output is judged. */
static void count(const Emission *e, uint32_t i, uint32_t n, const Tensor *in, const Tensor *out, Result *r) {
  const Graph *g = e->emitted.g;
  for (uint32_t k = 0; k < n; k++) {
    const Tensor *row = &out[(size_t)k * g->n_outputs];
    if (r->checked < REFERENCE_LIMIT) check(e, &in[k], row, r);
    e->outcome[i + k] = cli_outcome(g, &e->map, e->split, e->nz, i + k, &row[g->n_outputs - 1]);
  }
}

static bool run_chunk(const Emission *e, uint32_t i, uint32_t n, Result *r, Diag *d) {
  size_t n_out = (size_t)n * e->emitted.g->n_outputs;
  Tensor *in = mem_array(n, sizeof *in), *out = mem_array(n_out, sizeof *out);
  bool ok = make_inputs(e, i, n, in, d) && emitted_run(&e->emitted, in, (int)n, out, d);
  if (ok) count(e, i, n, in, out, r);
  cli_free_tensors(in, n);
  cli_free_tensors(out, n_out);
  mem_free(in);
  mem_free(out);
  return ok;
}

static bool run_chunks(const Emission *e, const Host *host, Result *r, Diag *d) {
  const Value *v = in_value(e);
  uint32_t n = e->split->n,
           chunk = (uint32_t)(CHUNK_BYTES / val_bytes(e->emitted.g, e->emitted.g->inputs[0]));
  FAIL_IF(v->dtype != DT_F32 && v->quant.n != 1, d, NULL, "the model's input is %s without a scale",
          dtype_name(v->dtype));
  if (chunk < 1) chunk = 1;
  if (host->progress) host->progress(host->ctx, "eval", 0, NULL);
  for (uint32_t i = 0; i < n; i += chunk) {
    FAIL_IF(host->cancelled(host->ctx), d, NULL, "cancelled");
    TRY(run_chunk(e, i, n - i < chunk ? n - i : chunk, r, d));
    if (host->progress) host->progress(host->ctx, "eval", (double)(n - i < chunk ? n : i + chunk) / n, NULL);
  }
  judge_all(e->split, e->outcome, &r->accuracy);
  return true;
}

static bool eval_emitted(const Graph *g, const Target *t, const Split *s, const Normalize *nz,
                         const Host *host, Result *r, Diag *d) {
  FAIL_IF(g->n_inputs != 1 || !s->y || s->n == 0, d, NULL,
          "%s needs labelled examples and a model with one input", metric_name(s->anomaly));
  Emission e = {.split = s, .nz = nz};
  TRY(emitted_open(g, t, false, &e.emitted, d));
  e.reference = evaluator_new(e.emitted.g, d);
  e.outcome = mem_array(s->n, sizeof *e.outcome);
  const Graph *c = e.emitted.g;
  bool ok = e.reference && input_map(&in_value(&e)->shape, &s->item, &e.map, d) &&
            judge_check(s, e.map.count, shape_count(&graph_val(c, c->outputs[c->n_outputs - 1])->shape), d) &&
            run_chunks(&e, host, r, d);
  mem_free(e.outcome);
  evaluator_free(e.reference);
  emitted_close(&e.emitted);
  return ok;
}

/* -- results -- */

static void print_text(const EvalOpts *o, const char *split, const Result *r) {
  const Accuracy *a = &r->accuracy;
  const char *on = o->target ? ", as C on " : "", *target = o->target ? o->target : "";
  if (a->auc)
    printf("%s: AUC %.4f +- %.4f on %u examples of the %s split%s%s\n", o->model, a->top1, a->stderr_, a->n,
           split, on, target);
  else
    printf("%s: top-1 %.2f %% +- %.2f on %u examples of the %s split (%u right)%s%s\n", o->model,
           100 * a->top1, 100 * a->stderr_, a->n, split, a->correct, on, target);
  if (o->target)
    printf("emitted C and reference evaluation agree byte for byte on %u of the first %u\n", r->same,
           r->checked);
}

static void print_json(const EvalOpts *o, const char *split, const Result *r) {
  JsonWriter w;
  StrBuf b;
  cli_json_begin(&w, &b);
  json_object(&w);
  json_kstr(&w, "model", o->model);
  json_kstr(&w, "split", split);
  json_kstr(&w, "target", o->target);
  json_kint(&w, "n", r->accuracy.n);
  if (!r->accuracy.auc) json_kint(&w, "correct", r->accuracy.correct);
  json_knum(&w, r->accuracy.auc ? "auc" : "top1", r->accuracy.top1);
  json_knum(&w, "stderr", r->accuracy.stderr_);
  if (o->target) {
    json_kint(&w, "checked", r->checked);
    json_kint(&w, "equal", r->same);
  }
  json_end(&w);
  cli_json_end(&w, &b);
}

/* -- driver -- */

static bool open_split(const DataSpec *spec, const char *name, Split *out, Diag *d) {
  const bool val = strcmp(name, "val") == 0, train = strcmp(name, "train") == 0;
  if (val || train) return split_open(val ? &spec->val : &spec->train, out, d);
  FAIL_IF(strcmp(name, "test") != 0, d, NULL, "--split %s: want test, val or train", name);
  return dataset_open_test(spec, out, d);
}

static bool measure(const EvalOpts *o, const Graph *g, const Target *t, const Design *design, Split *s,
                    Result *r, Diag *d) {
  uint32_t limit = o->limit ? (uint32_t)(o->limit < UINT32_MAX ? o->limit : UINT32_MAX)
                            : (t && strcmp(t->run, "native") != 0 ? EMULATED_LIMIT : UINT32_MAX);
  if (limit < s->n) {
    if (!o->limit)
      cli_note(&o->common, "the first %u examples alone: %s is emulated (--limit N for others)", limit,
               t->name);
    s->n = limit;
  }
  int64_t h, w;
  if (input_resized(&graph_val(g, g->inputs[0])->shape, &s->item, &h, &w))
    cli_note(&o->common, "images of %d x %d are resized to the model's %d x %d, by the mean of areas",
             (int)s->item.d[0], (int)s->item.d[1], (int)h, (int)w);
  Normalize nz;
  TRY(input_raw_feed(g, s->dtype, &design->data.normalize, &nz, d));
  Progress progress;
  cli_progress(&progress, &o->common, o->threads);
  const Host *host = progress_host(&progress);
  if (t) return eval_emitted(g, t, s, &nz, host, r, d);
  return graph_accuracy(g, s, &nz, host->threads, host, &r->accuracy, NULL, d);
}

static bool eval(Arena *a, const EvalOpts *o, const Target *t, Diag *d) {
  const char *name = o->split ? o->split : "test";
  const Design *design = design_load(a, o->design, d);
  Graph *g =
      design ? cli_load_with(o->model, &(LoadOpts){o->rounding, o->custom ? o->custom : design->custom}, d)
             : NULL;
  Graph *p = g && !t ? cli_prepare(g, d) : NULL;
  Split s;
  Result r = {0};
  bool ok = g && (t || p) && open_split(&design->data, name, &s, d);
  if (ok) {
    ok = measure(o, t ? g : p, t, design, &s, &r, d);
    split_close(&s);
  }
  graph_free(g);
  graph_free(p);
  if (ok && o->common.json) print_json(o, name, &r);
  if (ok && !o->common.json) print_text(o, name, &r);
  return ok;
}

static int run(void *opts_, Diag *d) {
  const EvalOpts *o = opts_;
  const Target *t = NULL;
  if (o->target && !(t = cli_target(o->target, d))) return EXIT_USER;
  Arena *a = arena_new();
  bool ok = eval(a, o, t, d);
  arena_free(a);
  return ok ? EXIT_DONE : EXIT_USER;
}

extern const Command cmd_eval;
const Command cmd_eval = {
    "eval",
    "Measure a model's accuracy on a split of its data",
    "Prints top-1 accuracy with its standard error; of a design of `metric: auc` the AUC. The test split is "
    "for final "
    "results:\n"
    "choose between models on val. MODEL need not be the design's own: it is fed with its data.",
    "  mistify eval small.onnx --design design.yaml --split val\n"
    "  mistify eval model.tflite --design design.yaml --target x86-64\n",
    opts,
    sizeof(EvalOpts),
    run};
