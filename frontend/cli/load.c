/* Models by file: told apart by their first bytes, then by extension; and written by extension. */
#include "frontend/cli/cli.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "backend/emit/emit.h"
#include "frontend/config/custom.h"
#include "frontend/onnx/onnx.h"
#include "frontend/tflite/tflite.h"
#include "ir/base/file.h"
#include "ir/family.h"
#include "passes/pass.h"

static bool ext_is(const char *path, const char *ext) {
  const char *have = path_ext(path);
  while (*have && tolower((unsigned char)*have) == *ext) have++, ext++;
  return !*have && !*ext;
}

static Graph *load_text(const char *path, Diag *d) {
  Arena *a = arena_new();
  char *text = file_read(a, path, NULL, d);
  Graph *g = text ? graph_parse(text, path, d) : NULL;
  arena_free(a);
  return g;
}

static Graph *with_functions(Graph *g, CustomLibrary *custom) {
  if (g) custom_attach(g, custom);
  return g;
}

/* Nodes remember their file by its name alone: what is made of a model does not depend on the folder from which it was named. What
 * the reader itself has to say names the path. */
static Graph *without_folders(Graph *g, const char *path) {
  const char *name = g ? arena_strdup(g->arena, path_base(path)) : NULL;
  for (NodeId k = 0; g && k < g->n_nodes; k++) {
    Loc *loc = &g->nodes[k].loc;
    if (loc->file && strcmp(loc->file, path) == 0) loc->file = name;
  }
  return g;
}

/* The reader is chosen by what the bytes are, so that a wrong extension does no harm. */
static Graph *load_bytes(Blob *bytes, const char *path, const OnnxOptions *onnx, Diag *d) {
  const char *p = blob_raw(bytes);
  size_t n = blob_size(bytes);
  if (n >= 8 && memcmp(p, "MISTIFY1", 8) == 0)
    return with_functions(graph_deserialize(bytes, path, d), onnx->custom);
  if (n >= 8 && memcmp(p + 4, "TFL3", 4) == 0)
    return without_folders(tflite_import_with(bytes, path, onnx->custom, d), path);
  if (ext_is(path, ".ir")) return with_functions(load_text(path, d), onnx->custom);
  if (ext_is(path, ".onnx")) return without_folders(onnx_import_with(bytes, path, onnx, d), path);
  if (ext_is(path, ".tflite")) {
    diag_error(d, NULL, "%s: no TensorFlow Lite model: the identifier TFL3 is missing%s", path,
               n < 8 ? " (the file is nearly empty)" : "");
  } else if (ext_is(path, ".mistify")) {
    diag_error(d, NULL, "%s: no graph file of mistify's: it does not begin with MISTIFY1", path);
  } else {
    diag_error(d, NULL, "%s: cannot tell what kind of model this is", path);
    diag_hint(d, "models end in .onnx, .tflite, .ir (text) or .mistify (our binary file)");
  }
  return NULL;
}

static bool read_rounding(const char *name, OnnxOptions *o, Diag *d) {
  *o = (OnnxOptions){.rounding = ONNX_ROUND_AUTO};
  if (!name) return true;
  o->rounding = strcmp(name, "onnx") == 0 ? ONNX_ROUND_ONNX : ONNX_ROUND_TFLITE;
  if (o->rounding == ONNX_ROUND_ONNX || strcmp(name, "tflite") == 0) return true;
  diag_error(d, NULL, "--rounding %s: want tflite or onnx", name);
  return false;
}

/* The functions of custom operators, ready to be called. */
static bool read_custom(const char *path, OnnxOptions *o, Diag *d) {
  const char *header = embedded_text("runtime/kernels/custom.h");
  if (!path) return true;
  o->custom = custom_load(path, d);
  return o->custom && custom_build(o->custom, header, d);
}

static Graph *load_mapped(Blob *bytes, const char *path, const OnnxOptions *onnx, Diag *d) {
  Graph *g = NULL;
  if (blob_size(bytes) == 0)
    diag_error(d, NULL, "%s: the file is empty", path);
  else
    g = load_bytes(bytes, path, onnx, d);
  if (!g || graph_verify(g, d)) return g;
  graph_free(g);
  return NULL;
}

Graph *cli_load(const char *path, Diag *d) { return cli_load_with(path, &(LoadOpts){0}, d); }

Graph *cli_load_with(const char *path, const LoadOpts *o, Diag *d) {
  OnnxOptions onnx;
  if (!read_rounding(o->rounding, &onnx, d)) return NULL;
  if (file_is_dir(path)) {
    diag_error(d, NULL, "%s: is a folder; want a model file", path);
    return NULL;
  }
  Blob *bytes = blob_map(path);
  if (!bytes) {
    diag_error(d, NULL, "%s: %s", path, strerror(errno));
    return NULL;
  }
  Graph *g = read_custom(o->custom, &onnx, d) ? load_mapped(bytes, path, &onnx, d) : NULL;
  custom_unref(onnx.custom); /* the graph has its own reference */
  blob_unref(bytes);
  return g;
}

Graph *cli_load_part(const char *path, const LoadOpts *o, Diag *d) {
  OnnxOptions onnx;
  Blob *bytes = ext_is(path, ".onnx") ? blob_map(path) : NULL;
  bool ok = bytes && blob_size(bytes) > 0 && read_rounding(o->rounding, &onnx, d);
  Graph *g = ok && read_custom(o->custom, &onnx, d) ? onnx_import_part(bytes, path, &onnx, d) : NULL;
  if (ok) custom_unref(onnx.custom);
  blob_unref(bytes);
  return g;
}

Graph *cli_prepare(const Graph *g, Diag *d) {
  PassCtx ctx = {.params = ""};
  /* a model with state comes in its final layout */
  return pipeline_run(g, g->n_states > 0 ? "fold,dce,bnfuse,fuse,fold" : PREPARE_PASSES, &ctx, NULL, d);
}

Graph *cli_batch_1(const Graph *g, Diag *d) {
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    if (!shape_is_static(&graph_val(g, g->inputs[i])->shape)) return graph_with_batch(g, 1, d);
  }
  return graph_clone(g);
}

const char *cli_model_name(Arena *a, const char *path) {
  const char *base = path_base(path);
  size_t len = strlen(base) - strlen(path_ext(base));
  char *name = arena_printf(a, "%s%.*s", isdigit((unsigned char)*base) || !len ? "m" : "",
                            (int)(len < 48 ? len : 48), base);
  for (char *p = name; *p; p++) {
    if (!isalnum((unsigned char)*p)) *p = '_';
  }
  return name;
}

bool cli_check_save(const char *path, Diag *d) {
  FAIL_IF(file_is_dir(path), d, NULL, "%s: is a folder; want a file to write", path);
  if (ext_is(path, ".onnx") || ext_is(path, ".tflite") || ext_is(path, ".ir") || ext_is(path, ".mistify"))
    return true;
  diag_error(d, NULL, "%s: cannot tell in which form to write the model", path);
  diag_hint(d, "end it in .onnx, .tflite, .ir (text) or .mistify (our binary file)");
  return false;
}

bool cli_save(const Graph *g, const char *path, Diag *d) {
  TRY(cli_check_save(path, d));
  if (ext_is(path, ".onnx")) return onnx_export(g, path, d);
  if (ext_is(path, ".tflite")) return tflite_export(g, path, d);
  StrBuf text = {0};
  if (ext_is(path, ".ir")) {
    graph_print(g, &text, SIZE_MAX);
  } else {
    graph_serialize(g, &text);
  }
  bool ok = file_write(path, sb_str(&text), text.len, d);
  sb_free(&text);
  return ok;
}

bool cli_drop_variants(const char *dir, int n, Diag *d) {
  static const char *const kinds[] = {"float", "variant"};
  Arena *a = arena_new();
  bool ok = true;
  for (int k = n; k < FAMILY_MAX; k++)
    for (int i = 0; i < 2; i++) {
      const char *path = path_join(a, dir, arena_printf(a, "%s%d.mistify", kinds[i], k));
      if (!file_remove_tree(path)) ok = diag_error(d, NULL, "cannot remove %s, of an earlier result", path);
    }
  arena_free(a);
  return ok;
}
