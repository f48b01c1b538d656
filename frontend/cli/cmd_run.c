/* mistify run: a model on .npy inputs, by the reference evaluation of generic kernels, or as the C emitted for a
 * target.
 */
#include "frontend/cli/emitted.h"
#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "ir/eval.h"

#include <stdio.h>

typedef struct RunOpts {
  CommonOpts common;
  const char *model, *target, *rounding;
  ArgList in, out;
} RunOpts;

static const Opt opts[] = {
    {"MODEL", OPT_PARAM, offsetof(RunOpts, model), true, NULL, "model file (.onnx, .tflite, .ir, .mistify)"},
    {"-i", OPT_LIST, offsetof(RunOpts, in), true, "IN.npy", "inputs, in the model's order"},
    {"-o", OPT_LIST, offsetof(RunOpts, out), true, "OUT.npy", "outputs, in the model's order"},
    {"--target", OPT_STRING, offsetof(RunOpts, target), false, "T", "run the C emitted for this target"},
    ROUNDING_OPT(RunOpts),
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

static bool run_graph(const RunOpts *o, const Graph *g, const Target *t, Diag *d) {
  TRY(check_outputs(o, g, d));
  Tensor *in = mem_array(g->n_inputs, sizeof *in), *out = mem_array(g->n_outputs, sizeof *out);
  bool ok = cli_read_inputs(g, o->model, &o->in, &o->common, in, d);
  if (ok) {
    ok = compute(g, t, in, out, d);
    for (uint32_t i = 0; ok && i < g->n_outputs; i++) ok = npy_write(o->out.v[i], &out[i], d);
    if (ok) print_written(o, g, out);
    cli_free_tensors(in, g->n_inputs);
  }
  cli_free_tensors(out, g->n_outputs);
  mem_free(in);
  mem_free(out);
  return ok;
}

static int run(void *opts_, Diag *d) {
  const RunOpts *o = opts_;
  const Target *t = NULL;
  if (o->target && !(t = cli_target(o->target, d))) return EXIT_USER;
  Graph *g = cli_load_rounding(o->model, o->rounding, d);
  if (!g) return EXIT_USER;
  bool ok = run_graph(o, g, t, d);
  graph_free(g);
  return ok ? EXIT_DONE : EXIT_USER;
}

extern const Command cmd_run;
const Command cmd_run = {"run",
                         "Run a model on inputs from .npy files and write its outputs",
                         "Without --target the model is evaluated here, operator by operator, as it stands. "
                         "With --target it is compiled\n"
                         "to C for that target, built by its compiler and run, in an emulator where needed.\n"
                         "float32 values for a quantized input are quantized; a note says so.",
                         "  mistify run model.onnx -i image.npy -o scores.npy\n"
                         "  mistify run model.tflite -i a.npy b.npy -o out.npy --target cortex-m4\n",
                         opts,
                         sizeof(RunOpts),
                         run};
