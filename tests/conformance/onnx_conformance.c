/* onnx-conformance: node tests of onnx/onnx through the engine and through emitted C. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ir/base/file.h"
#include "tests/conformance/conformance.h"

static const char usage[] =
    "usage: onnx-conformance DIR... [options]\n"
    "\n"
    "Runs tests of ONNX operators: folders with a model.onnx and test_data_set_K/input_N.pb, output_N.pb. "
    "DIR is one\n"
    "such folder, a folder with some below it, or a .tar.xz or .tar.gz of them. Prints passed, failed, "
    "unsupported, by\n"
    "operator. Floats agree where they differ by 1e-3 of the wanted value + 1e-7, everything else exactly.\n"
    "Inputs that the import needs as constants are bound to the test's values, as few as will do.\n"
    "\n"
    "  --emit          also through emitted C, compiled by the host's compiler ($CC, or cc)\n"
    "  --list          every test that did not pass, and why; with -v the inputs that were bound, too\n"
    "  --json FILE     all results\n"
    "  --tsv FILE      figures by operator (docs/conformance.tsv)\n"
    "  --only PATTERN  tests whose name has this in it, or matches it (*, ?)\n"
    "  --rounding R    of int8 operators: onnx (unless given), or tflite\n"
    "  -j N            processes; as many as there are processors unless given\n"
    "\n"
    "Exit status: 0 where every test passed, 2 where some did not, 1 where nothing could be run.\n";

typedef struct Options {
  Conformance c;
  bool list, verbose, bad;
  const char *json, *tsv;
  const char **dirs;
  int n_dirs;
} Options;

static const char *value_of(int argc, char **argv, int *i, Options *o) {
  if (*i + 1 < argc) return argv[++*i];
  fprintf(stderr, "onnx-conformance: %s wants a value\n", argv[*i]);
  o->bad = true;
  return "";
}

static void read_rounding(const char *name, Options *o) {
  o->c.tflite_rounding = strcmp(name, "tflite") == 0;
  o->bad = o->bad || (!o->c.tflite_rounding && strcmp(name, "onnx") != 0);
}

static void parse(int argc, char **argv, Options *o) {
  for (int i = 1; i < argc && !o->bad; i++) {
    const char *a = argv[i];
    if (strcmp(a, "--emit") == 0)
      o->c.emit = true;
    else if (strcmp(a, "--list") == 0)
      o->list = true;
    else if (strcmp(a, "-v") == 0)
      o->verbose = true;
    else if (strcmp(a, "--json") == 0)
      o->json = value_of(argc, argv, &i, o);
    else if (strcmp(a, "--tsv") == 0)
      o->tsv = value_of(argc, argv, &i, o);
    else if (strcmp(a, "--only") == 0)
      o->c.only = value_of(argc, argv, &i, o);
    else if (strcmp(a, "--rounding") == 0)
      read_rounding(value_of(argc, argv, &i, o), o);
    else if (strcmp(a, "-j") == 0)
      o->c.jobs = (int)strtol(value_of(argc, argv, &i, o), NULL, 10);
    else if (*a != '-')
      o->dirs[o->n_dirs++] = a;
    else
      o->bad = true;
  }
}

static bool run(Options *o, Diag *d) {
  Conformance *c = &o->c;
  for (int i = 0; i < o->n_dirs; i++) TRY(conformance_add(c, o->dirs[i], d));
  TRY(conformance_run(c, d));
  if (o->list) conformance_list(c, o->verbose, stdout);
  if (o->list) putchar('\n');
  conformance_table(c, stdout);
  return (!o->json || conformance_json(c, o->json, d)) && (!o->tsv || conformance_tsv(c, o->tsv, d));
}

static bool all_passed(const Conformance *c) {
  for (int k = 0; k < c->n; k++)
    if (c->results[k].engine.outcome != PASSED || (c->emit && c->results[k].emitted.outcome != PASSED))
      return false;
  return true;
}

int main(int argc, char **argv) {
  Options o = {.dirs = calloc((size_t)argc + 1, sizeof *o.dirs)};
  parse(argc, argv, &o);
  if (o.bad || o.n_dirs == 0) {
    fputs(usage, stderr);
    free(o.dirs);
    return 1;
  }
  Arena *a = arena_new();
  Diag *d = diag_new();
  o.c.temp = file_temp_dir(a, d);
  o.c.compiler = getenv("CC");
  bool ok = o.c.temp && run(&o, d);
  diag_print(d, stderr);
  int status = !ok ? 1 : all_passed(&o.c) ? 0 : 2;
  if (o.c.temp) file_remove_tree(o.c.temp);
  conformance_free(&o.c);
  diag_free(d);
  arena_free(a);
  free(o.dirs);
  return status;
}
