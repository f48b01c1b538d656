/* mistify run: a model on .npy inputs, by the reference evaluation of generic kernels, or as the C emitted for a
 * target.
 */
#include "frontend/cli/emitted.h"
#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "ir/eval.h"

#include <stdio.h>
#include <string.h>

typedef struct RunOpts {
  CommonOpts common;
  const char *model, *target, *rounding, *custom;
  ArgList in, out;
} RunOpts;

static const Opt opts[] = {
    {"MODEL", OPT_PARAM, offsetof(RunOpts, model), true, NULL, "model file (.onnx, .tflite, .ir, .mistify)"},
    {"-i", OPT_LIST, offsetof(RunOpts, in), true, "IN.npy", "inputs, in the model's order"},
    {"-o", OPT_LIST, offsetof(RunOpts, out), true, "OUT.npy", "outputs, in the model's order"},
    {"--target", OPT_STRING, offsetof(RunOpts, target), false, "T", "run the C emitted for this target"},
    ROUNDING_OPT(RunOpts),
    CUSTOM_OPT(RunOpts),
    {0}};

static bool check_outputs(const RunOpts *o, const Graph *g, Diag *d) {
  FAIL_IF(o->out.n != g->n_outputs, d, NULL, "%s has %u output%s; %zu file%s named by -o", o->model,
          g->n_outputs, g->n_outputs == 1 ? "" : "s", o->out.n, o->out.n == 1 ? " is" : "s are");
  for (size_t i = 0; i < o->out.n; i++)
    FAIL_IF(file_is_dir(o->out.v[i]), d, NULL, "%s: is a folder; want a file to write", o->out.v[i]);
  return true;
}

static bool compute(const Graph *g, const Target *t, const Tensor *in, Tensor *out, Diag *d) {
  if (!t) return graph_eval(g, in, g->n_inputs, out, d);
  Emitted e;
  TRY(emitted_open(g, t, false, &e, d));
  bool ok = emitted_run_batch(&e, g, in, out, d);
  emitted_close(&e);
  return ok;
}

static void print_written(const RunOpts *o, const Graph *g, const Tensor *out) {
  Arena *a = arena_new();
  JsonWriter w;
  StrBuf b;
  if (o->common.json) {
    cli_json_begin(&w, &b);
    json_object(&w);
    json_kstr(&w, "model", o->model);
    json_kstr(&w, "target", o->target);
    json_karray(&w, "outputs");
  }
  for (uint32_t i = 0; i < g->n_outputs; i++) {
    const char *name = graph_val(g, g->outputs[i])->name;
    if (!o->common.json) {
      cli_note(&o->common, "%s: %s %s %s", o->out.v[i], name ? name : "output", dtype_name(out[i].dtype),
               cli_shape(a, &out[i].shape));
      continue;
    }
    json_object(&w);
    json_kstr(&w, "file", o->out.v[i]);
    json_kstr(&w, "name", name);
    json_kstr(&w, "dtype", dtype_name(out[i].dtype));
    json_shape(&w, "shape", &out[i].shape);
    json_end(&w);
  }
  if (o->common.json) {
    json_end(&w);
    json_end(&w);
    cli_json_end(&w, &b);
  }
  arena_free(a);
}

/* -- models with state: step by step -- */

/* The steps' outputs, one behind the other in out[i] (a dimension in front where `steps` > 0). */
static void outputs_new(const Graph *g, int64_t steps, Tensor *out) {
  for (uint32_t i = 0; i < g->n_outputs; i++) {
    const Value *v = graph_val(g, g->outputs[i]);
    Shape s = v->shape;
    if (steps > 0) {
      for (int k = s.rank; k > 0; k--) s.d[k] = s.d[k - 1];
      s.d[0] = steps;
      s.rank++;
    }
    out[i] = tensor_new(v->dtype, &s);
  }
}

static bool steps_here(const Graph *g, const Tensor *in, int64_t n, Tensor *out, Diag *d) {
  Evaluator *e = evaluator_new(g, d);
  if (!e) return false;
  const void **at = mem_array((size_t)g->n_inputs + 1, sizeof *at);
  for (size_t t = 0; t < (size_t)n; t++) {
    for (uint32_t i = 0; i < g->n_inputs; i++)
      at[i] = (const char *)in[i].data + t * val_bytes(g, g->inputs[i]);
    evaluator_run(e, at);
    for (uint32_t i = 0; i < g->n_outputs; i++) {
      size_t bytes = val_bytes(g, g->outputs[i]);
      memcpy((char *)out[i].data + t * bytes, evaluator_value(e, g->outputs[i]), bytes);
    }
  }
  mem_free(at);
  evaluator_free(e);
  return true;
}

/* The emitted program runs its vectors one after the other: a sequence. */
static bool steps_emitted(const Graph *g, const Target *target, const Tensor *in, int64_t n, Tensor *out,
                          Diag *d) {
  Emitted e;
  TRY(emitted_open(g, target, false, &e, d));
  const size_t n_in = (size_t)n * g->n_inputs, n_out = (size_t)n * g->n_outputs;
  Tensor *items = mem_array(n_in + 1, sizeof *items), *parts = mem_array(n_out + 1, sizeof *parts);
  for (size_t k = 0; k < n_in; k++) {
    const uint32_t i = (uint32_t)(k % g->n_inputs);
    const Value *v = graph_val(g, g->inputs[i]);
    items[k] = tensor_new(v->dtype, &v->shape);
    memcpy(items[k].data, (const char *)in[i].data + k / g->n_inputs * tensor_bytes(&items[k]),
           tensor_bytes(&items[k]));
  }
  bool ok = emitted_run(&e, items, (int)n, parts, d);
  for (size_t k = 0; ok && k < n_out; k++)
    memcpy((char *)out[k % g->n_outputs].data + k / g->n_outputs * tensor_bytes(&parts[k]), parts[k].data,
           tensor_bytes(&parts[k]));
  if (ok) cli_free_tensors(parts, n_out);
  cli_free_tensors(items, n_in);
  mem_free(items);
  mem_free(parts);
  emitted_close(&e);
  return ok;
}

static bool run_steps(const RunOpts *o, const Graph *g, const Target *t, Tensor *in, Tensor *out, Diag *d) {
  int64_t steps;
  TRY(cli_read_steps(g, o->model, &o->in, &o->common, in, &steps, d));
  const int64_t n = steps > 0 ? steps : 1;
  bool ok = n <= 1000000;
  if (!ok) diag_error(d, NULL, "a sequence of %lld steps: want at most 1000000", (long long)n);
  if (ok) outputs_new(g, steps, out);
  ok = ok && (t ? steps_emitted(g, t, in, n, out, d) : steps_here(g, in, n, out, d));
  cli_free_tensors(in, g->n_inputs);
  return ok;
}

static bool run_whole(const RunOpts *o, const Graph *g, const Target *t, Tensor *in, Tensor *out, Diag *d) {
  TRY(cli_read_inputs(g, o->model, &o->in, &o->common, in, d));
  bool ok = compute(g, t, in, out, d);
  cli_free_tensors(in, g->n_inputs);
  return ok;
}

static bool run_graph(const RunOpts *o, const Graph *g, const Target *t, Diag *d) {
  TRY(check_outputs(o, g, d));
  Tensor *in = mem_array(g->n_inputs, sizeof *in), *out = mem_array(g->n_outputs, sizeof *out);
  bool ok = g->n_states > 0 ? run_steps(o, g, t, in, out, d) : run_whole(o, g, t, in, out, d);
  for (uint32_t i = 0; ok && i < g->n_outputs; i++) ok = npy_write(o->out.v[i], &out[i], d);
  if (ok) print_written(o, g, out);
  cli_free_tensors(out, g->n_outputs);
  mem_free(in);
  mem_free(out);
  return ok;
}

static int run(void *opts_, Diag *d) {
  const RunOpts *o = opts_;
  const Target *t = NULL;
  if (o->target && !(t = cli_target(o->target, d))) return EXIT_USER;
  Graph *g = cli_load_with(o->model, &(LoadOpts){o->rounding, o->custom}, d);
  if (!g) return EXIT_USER;
  bool ok = run_graph(o, g, t, d);
  graph_free(g);
  return ok ? EXIT_DONE : EXIT_USER;
}

extern const Command cmd_run;
const Command cmd_run = {
    "run",
    "Run a model on inputs from .npy files and write its outputs",
    "Without --target the model is evaluated here, operator by operator, as it stands. "
    "With --target it is compiled\n"
    "to C for that target, built by its compiler and run, in an emulator where needed.\n"
    "float32 values for a quantized input are quantized; a note says so.\n"
    "A model with state (streaming models) takes sequences: files with one more dimension in "
    "front, the steps,\n"
    "which run one after the other from the initial state; the outputs have that dimension, too.",
    "  mistify run model.onnx -i image.npy -o scores.npy\n"
    "  mistify run model.tflite -i a.npy b.npy -o out.npy --target cortex-m4\n",
    opts,
    sizeof(RunOpts),
    run};
