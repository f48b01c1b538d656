/* TFLite import: the file's one graph, operator by operator in the file's order.
 *
 *   header, operator codes, tensors' table, operators
 *     -> which tensors the outputs need (backward; the shape inputs of RESHAPE and the like are not needed)
 *     -> inputs, then each needed operator by its row in builtins.def
 *     -> outputs, graph_verify
 *
 * Every fault that stands alone is reported: an operator that reads a broken result is passed over.
 * Source: TensorFlow Lite schema version 3 (identifier TFL3).
 */
#include "frontend/tflite/tflite.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "frontend/tflite/tfl.h"
#include "ir/base/file.h"
#include "ir/base/mem.h"

typedef struct Builtin {
  int32_t code;
  const char *name, *advice;
  TflImport *import; /* NULL: not supported */
} Builtin;

static const Builtin builtins[] = {
#define YES(code, name, import) {code, #name, "", tfl_import_##import},
#define NO(code, name, advice)  {code, #name, advice, NULL},
#include "frontend/tflite/builtins.def"
#undef YES
#undef NO
};

/* One operator of the file: its code and numbers of tensors. */
typedef struct FileOp {
  FbTable t;
  FbVec in, out;
  int32_t code;
  const Builtin *builtin; /* NULL: a code that we do not know */
  const char *custom;     /* name of a CUSTOM operator */
} FileOp;

typedef struct Import {
  Tfl m;
  FbTable subgraph;
  FbVec codes, ops, graphs;
  FileOp *op; /* in the graph's arena */
} Import;

static const Builtin *find_builtin(int32_t code) {
  for (size_t i = 0; i < sizeof builtins / sizeof builtins[0]; i++)
    if (builtins[i].code == code) return &builtins[i];
  return NULL;
}

static bool corrupt(Import *im) {
  Tfl *m = &im->m;
  return diag_error(m->d, &(Loc){.file = m->path}, "is damaged or cut off: %s, at byte %zu of %zu",
                    m->fb.what, m->fb.at, m->fb.n);
}

static bool read_header(Import *im) {
  Tfl *m = &im->m;
  Loc loc = {.file = m->path};
  FAIL_IF(!fb_identifier(&m->fb, "TFL3"), m->d, &loc,
          "is no TensorFlow Lite model: its identifier is not TFL3");
  FbTable model = fb_root(&m->fb);
  uint32_t version = fb_u32(&model, MODEL_VERSION, 0);
  im->codes = fb_vec(&model, MODEL_CODES, 4);
  m->buffers = fb_vec(&model, MODEL_BUFFERS, 4);
  FbVec graphs = im->graphs = fb_vec(&model, MODEL_SUBGRAPHS, 4);
  if (m->fb.what) return corrupt(im);
  FAIL_IF(version != 3, m->d, &loc, "has schema version %u; supported is 3", version);
  FAIL_IF(graphs.n == 0, m->d, &loc, "has no graph");
  im->subgraph = fb_vec_table(&graphs, 0);
  m->file_tensors = fb_vec(&im->subgraph, SUBGRAPH_TENSORS, 4);
  im->ops = fb_vec(&im->subgraph, SUBGRAPH_OPERATORS, 4);
  if (m->fb.what) return corrupt(im);
  m->n_tensors = m->file_tensors.n;
  m->tensors = mem_array(m->n_tensors, sizeof *m->tensors);
  return true;
}

/* What CALL_ONCE does before the first run. */
static bool code_in(void *ctx, const FbTable *t, int32_t *code);

static bool call_once(Import *im) {
  Tfl *m = &im->m;
  const Loc loc = {.file = m->path};
  for (uint32_t i = 0; i < im->ops.n; i++) {
    if (im->op[i].code != TFL_CALL_ONCE) continue;
    FbTable options = fb_table(&im->op[i].t, OPERATOR_OPTIONS);
    int32_t which = fb_i32(&options, 0, 0);
    FAIL_IF(which < 1 || (uint32_t)which >= im->graphs.n, m->d, &loc,
            "operator %u calls graph %" PRId32 " of %u", i, which, im->graphs.n);
    FbTable g = fb_vec_table(&im->graphs, (uint32_t)which);
    TRY(tfl_first_values(m, &g, code_in, im, &loc));
  }
  return true;
}

/* The code of an operator: files of before 2020 have the narrow field alone, which ends at 127. */
static bool read_code(Import *im, FileOp *op) {
  uint32_t index = fb_u32(&op->t, OPERATOR_CODE, 0);
  if (index >= im->codes.n) {
    im->m.fb.what = "an operator code that is not listed";
    im->m.fb.at = op->t.at;
    return false;
  }
  FbTable code = fb_vec_table(&im->codes, index);
  int32_t narrow = (int8_t)fb_u8(&code, CODE_OLD, 0), wide = fb_i32(&code, CODE_BUILTIN, 0);
  op->code = narrow > wide ? narrow : wide;
  op->builtin = find_builtin(op->code);
  size_t n;
  const char *custom = fb_string(&code, CODE_CUSTOM, &n);
  if (custom) op->custom = arena_strndup(im->m.g->arena, custom, n < 100 ? n : 100);
  return true;
}

static bool code_in(void *ctx, const FbTable *t, int32_t *code) {
  Import *im = ctx;
  FileOp op = {.t = *t};
  if (im->m.fb.what || !read_code(im, &op)) return corrupt(im);
  *code = op.code;
  return true;
}

static bool read_operators(Import *im) {
  Tfl *m = &im->m;
  im->op = arena_array(m->g->arena, im->ops.n, sizeof *im->op);
  for (uint32_t i = 0; i < im->ops.n; i++) {
    FileOp *op = &im->op[i];
    op->t = fb_vec_table(&im->ops, i);
    op->in = fb_vec(&op->t, OPERATOR_INPUTS, 4);
    op->out = fb_vec(&op->t, OPERATOR_OUTPUTS, 4);
    if (m->fb.what || !read_code(im, op)) return corrupt(im);
    bool silent = op->code == TFL_ASSIGN_VARIABLE || op->code == TFL_CALL_ONCE;
    FAIL_IF(op->in.n > TFL_MAX_IN || op->out.n > TFL_MAX_OUT || (op->out.n == 0) != silent, m->d,
            &(Loc){.file = m->path},
            "operator %u has %u inputs and %u outputs; supported are at most %d and %s %d", i, op->in.n,
            op->out.n, TFL_MAX_IN, silent ? "none, not" : "1 to", TFL_MAX_OUT);
    for (uint32_t k = 0; k < op->out.n; k++) {
      int32_t t = fb_vec_i32(&op->out, k);
      FAIL_IF(t < 0 || (uint32_t)t >= m->n_tensors || m->tensors[t].produced, m->d, &(Loc){.file = m->path},
              "operator %u writes tensor %" PRId32 ", which does not exist or is written already", i, t);
      m->tensors[t].produced = true;
    }
  }
  return true;
}

/* Operators whose output's shape says all: their further inputs need not be computed. */
static uint32_t inputs_needed(const FileOp *op) {
  bool shape_only = op->code == 22 || op->code == 43 || op->code == 70;
  return shape_only && op->in.n > 1 ? 1 : op->in.n;
}

static bool op_needed(const Import *im, const FileOp *op) {
  if (op->code == TFL_ASSIGN_VARIABLE) return true;
  for (uint32_t k = 0; k < op->out.n; k++)
    if (im->m.tensors[fb_vec_i32(&op->out, k)].needed) return true;
  return false;
}

static void mark_needed(Import *im, const FbVec *outputs) {
  Tfl *m = &im->m;
  for (uint32_t i = 0; i < outputs->n; i++) {
    int32_t t = fb_vec_i32(outputs, i);
    if (t >= 0 && (uint32_t)t < m->n_tensors) m->tensors[t].needed = true;
  }
  for (uint32_t i = im->ops.n; i-- > 0;) {
    const FileOp *op = &im->op[i];
    if (!op_needed(im, op)) continue;
    for (uint32_t k = 0; k < inputs_needed(op); k++) {
      int32_t t = fb_vec_i32(&op->in, k);
      if (t >= 0 && (uint32_t)t < m->n_tensors) m->tensors[t].needed = true;
    }
  }
}

/* UINT8 at the model's boundary: inside, codes are INT8 and 128 lower. From U8: sets the input's quantization; to a
 * type: the Quantize that shifts. */
static bool shift_bytes(Tfl *m, const TflTensor *t, DType to, ValId *v) {
  Loc loc = {.file = m->path, .name = t->name};
  FAIL_IF(t->quant.n != 1, m->d, &loc, "UINT8 tensor \"%s\" has %" PRId32 " scales; want one", t->name,
          t->quant.n);
  int32_t zero = t->quant.zero[0] + (to == DT_U8 ? 128 : 0);
  if (graph_def(m->g, *v) || graph_val(m->g, *v)->dtype != to)
    *v = graph_node1(m->g, OP_quantize, &(quantize_attrs){.to = (int32_t)to}, *v, t->name, &loc, m->d);
  if (*v == NO_VAL) return false;
  graph_set_quant(m->g, *v, 1, 0, t->quant.scale, &zero);
  return true;
}

static bool import_inputs(Import *im) {
  Tfl *m = &im->m;
  FbVec inputs = fb_vec(&im->subgraph, SUBGRAPH_INPUTS, 4);
  Loc loc = {.file = m->path};
  bool ok = true;
  for (uint32_t i = 0; i < inputs.n; i++) {
    TflTensor *t = tfl_tensor(m, fb_vec_i32(&inputs, i), &loc);
    if (!t) {
      ok = false;
      continue;
    }
    if (t->produced || t->val != NO_VAL) {
      ok = diag_error(m->d, &loc, "input \"%s\" is listed twice, or an operator writes it", t->name);
      continue;
    }
    if (t->stored == TFL_FLOAT16 || t->stored == TFL_INT4) {
      ok = diag_error(m->d, &loc, "input \"%s\" has elements of %s; supported are constants of it", t->name,
                      tfl_type_name(t->stored));
      t->state = TFL_BROKEN;
      continue;
    }
    t->data = NULL; /* what the caller gives counts */
    t->val = graph_input(m->g, t->name, t->stored == TFL_UINT8 ? DT_U8 : t->dtype, &t->shape);
    if (t->stored == TFL_UINT8)
      ok = shift_bytes(m, t, DT_U8, &t->val) && shift_bytes(m, t, DT_I8, &t->val) && ok;
    else if (t->quant.n)
      graph_set_quant(m->g, t->val, t->quant.n, t->quant.axis, t->quant.scale, t->quant.zero);
  }
  return ok;
}

/* The tensors of one operator; false: a report, now or when an input of it broke. */
static bool collect(Tfl *m, TflNode *n, const FileOp *op) {
  bool ok = true;
  n->n_in = inputs_needed(op);
  n->n_out = op->out.n;
  for (uint32_t k = 0; k < n->n_out; k++) {
    n->out[k] = fb_vec_i32(&op->out, k);
    ok = tfl_tensor(m, n->out[k], &n->loc) && ok;
  }
  for (uint32_t k = 0; k < n->n_in; k++) {
    n->in[k] = fb_vec_i32(&op->in, k);
    if (n->in[k] >= 0) ok = tfl_tensor(m, n->in[k], &n->loc) && ok;
  }
  return ok;
}

/* One report per operator that is not supported, at its first node. */
static bool report_unsupported(Import *im, uint32_t at, const Loc *loc) {
  const FileOp *op = &im->op[at];
  Diag *d = im->m.d;
  uint32_t more = 0;
  bool full = diag_count(d) >= DIAG_MAX; /* the report is full: no need to search */
  for (uint32_t i = 0; !full && i < im->ops.n; i++) {
    const FileOp *other = &im->op[i];
    bool same =
        other->code == op->code && (!op->custom || (other->custom && strcmp(op->custom, other->custom) == 0));
    if (i == at || !same || !op_needed(im, other)) continue;
    if (i < at) return false;
    more++;
  }
  char also[64] = "";
  if (more) snprintf(also, sizeof also, ", here and at %u more node%s", more, more > 1 ? "s" : "");
  diag_error(d, loc, "operator %s (code %" PRId32 ") is not supported%s", op->custom ? op->custom : loc->op,
             op->code, also);
  if (op->builtin && op->builtin->advice[0]) diag_hint(d, "%s", op->builtin->advice);
  if (op->custom) diag_hint(d, "give a C function for it: --custom FILE.yaml (docs/custom-operators.md)");
  return false;
}

/* As an operator of its own where the file's is none that we know. */
static bool import_custom(Import *im, const FileOp *op, TflNode *n, const CustomRule *r) {
  TRY(collect(&im->m, n, op));
  TRY(tfl_import_custom(n, r));
  return !im->m.fb.what || corrupt(im);
}

static bool import_operator(Import *im, uint32_t i) {
  Tfl *m = &im->m;
  const FileOp *op = &im->op[i];
  TflNode n = {.m = m, .options = fb_table(&op->t, OPERATOR_OPTIONS)};
  TflTensor *named = op->out.n ? tfl_tensor(m, fb_vec_i32(&op->out, 0), &(Loc){.file = m->path}) : NULL;
  n.loc = (Loc){.file = m->path, .node = (int)i, .name = named ? named->name : "", .op = "unknown"};
  if (op->builtin) n.loc.op = op->builtin->name;
  const char *code = op->custom ? op->custom : n.loc.op;
  const CustomRule *users = custom_rule_of_code(m->g->custom, code);
  if (users) return import_custom(im, op, &n, users);
  if (!op->builtin || !op->builtin->import) return report_unsupported(im, i, &n.loc);
  TRY(collect(m, &n, op));
  TRY(op->builtin->import(&n));
  return !m->fb.what || corrupt(im);
}

static bool import_operators(Import *im) {
  bool ok = true;
  for (uint32_t i = 0; i < im->ops.n; i++) {
    const FileOp *op = &im->op[i];
    if (!op_needed(im, op) || import_operator(im, i)) continue;
    ok = false;
    for (uint32_t k = 0; k < op->out.n; k++) im->m.tensors[fb_vec_i32(&op->out, k)].state = TFL_BROKEN;
    if (im->m.fb.what) return false;
  }
  return ok;
}

static bool import_outputs(Import *im, const FbVec *outputs) {
  Tfl *m = &im->m;
  Loc loc = {.file = m->path};
  FAIL_IF(outputs->n == 0, m->d, &loc, "has no output");
  for (uint32_t i = 0; i < outputs->n; i++) {
    ValId v = tfl_value(m, fb_vec_i32(outputs, i), &loc);
    TRY(v != NO_VAL);
    const TflTensor *t = &m->tensors[fb_vec_i32(outputs, i)];
    if (t->stored == TFL_UINT8) TRY(shift_bytes(m, t, DT_U8, &v));
    graph_output(m->g, v);
  }
  return true;
}

static bool import_model(Import *im) {
  TRY(read_header(im) && read_operators(im));
  FbVec outputs = fb_vec(&im->subgraph, SUBGRAPH_OUTPUTS, 4);
  if (im->m.fb.what) return corrupt(im);
  mark_needed(im, &outputs);
  bool ok = call_once(im) && import_inputs(im);
  ok = import_operators(im) && ok;
  TRY(ok && import_outputs(im, &outputs));
  if (im->m.fb.what) return corrupt(im);
  tfl_finish_states(&im->m);
  return graph_verify(im->m.g, im->m.d);
}

Graph *tflite_import_with(Blob *bytes, const char *path, CustomLibrary *custom, Diag *d) {
  Graph *g = graph_new(path_base(path));
  custom_attach(g, custom);
  Import im = {.m = {.fb = {.p = blob_raw(bytes), .n = blob_size(bytes)},
                     .bytes = bytes,
                     .path = arena_strdup(g->arena, path),
                     .g = g,
                     .d = d}};
  bool ok = import_model(&im);
  mem_free(im.m.tensors);
  mem_free(im.m.vars);
  if (ok) return g;
  graph_free(g);
  return NULL;
}

Graph *tflite_import_bytes(Blob *bytes, const char *path, Diag *d) {
  return tflite_import_with(bytes, path, NULL, d);
}

Graph *tflite_import(const char *path, Diag *d) {
  Blob *bytes = blob_map(path);
  if (!bytes) {
    diag_error(d, &(Loc){.file = path}, "cannot be read: %s", strerror(errno));
    return NULL;
  }
  Graph *g = tflite_import_bytes(bytes, path, d);
  blob_unref(bytes);
  return g;
}
