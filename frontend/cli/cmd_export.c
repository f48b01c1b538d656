/* mistify export: any model that we read, as an ONNX or a TensorFlow Lite file (or in one of our own forms). */
#include <stdio.h>

#include "frontend/cli/cli.h"

typedef struct ExportOpts {
  CommonOpts common;
  const char *model, *out, *custom;
} ExportOpts;

static const Opt opts[] = {{"MODEL", OPT_PARAM, offsetof(ExportOpts, model), true, NULL,
                            "model file (.onnx, .tflite, .ir, .mistify)"},
                           {"-o", OPT_STRING, offsetof(ExportOpts, out), true, "OUT",
                            "file to write: .onnx, .tflite, .ir (text) or .mistify (binary)"},
                           CUSTOM_OPT(ExportOpts),
                           {0}};

static int run(void *opts_, Diag *d) {
  const ExportOpts *o = opts_;
  if (!cli_check_save(o->out, d)) return EXIT_USER;
  Graph *g = cli_load_with(o->model, &(LoadOpts){.custom = o->custom}, d);
  bool ok = g && cli_save(g, o->out, d);
  if (ok) cli_note(&o->common, "%s: %u nodes", o->out, g->n_nodes);
  graph_free(g);
  return ok ? EXIT_DONE : EXIT_USER;
}

extern const Command cmd_export;
const Command cmd_export = {
    "export",
    "Write a model as ONNX or TensorFlow Lite, or in one of mistify's own forms",
    "The form is the one that the extension of OUT names. In ONNX, int8 operators become ONNX's between "
    "DequantizeLinear\n"
    "and QuantizeLinear; in TensorFlow Lite they stay what they are. Read back, either file computes the "
    "same "
    "bytes.\n"
    "ONNX has no state: what a model keeps from one run to the next is an input there, whose default is what "
    "it is at\n"
    "first, and an output NAME:next; who runs the file hands the output back as the input. The model's "
    "property\n"
    "mistify.states lists the pairs, and mistify reads them as states again. In TensorFlow Lite they are "
    "variables, set\n"
    "first by a graph of their own.",
    "  mistify export trained.mistify -o trained.onnx\n"
    "  mistify export int8.mistify -o int8.tflite\n"
    "  mistify export model.onnx -o model.ir\n",
    opts,
    sizeof(ExportOpts),
    run};
