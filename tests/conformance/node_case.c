/* Reading, importing and comparing one conformance test: see node_case.h. Fields are those of onnx.proto. */
#include "tests/conformance/node_case.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "frontend/onnx/onnx.h"
#include "frontend/onnx/onnx_model.h"
#include "frontend/onnx/writer.h"
#include "ir/base/file.h"
#include "ir/eval.h"
#include "runtime/kernels/element.h"

/* -- messages of the wire format -- */

static WireBytes field_of(Wire *w, WireBytes body, uint32_t id) {
  WireBytes found = {NULL, 0};
  WireField f;
  while (wire_next(w, &body, &f))
    if (f.id == id && f.kind == WIRE_BYTES) found = f.bytes;
  return found;
}

static int64_t number_of(Wire *w, WireBytes body, uint32_t id) {
  int64_t found = 0;
  WireField f;
  while (wire_next(w, &body, &f))
    if (f.id == id && f.kind == WIRE_VARINT) found = (int64_t)f.v;
  return found;
}

static const char *string_of(NodeCase *c, Wire *w, WireBytes body, uint32_t id) {
  WireBytes s = field_of(w, body, id);
  return arena_strndup(c->arena, s.n ? (const char *)s.p : "", s.n);
}

/* -- what the test is about -- */

/* Types that are counted apart; "" for the others. Element types as TensorProto numbers them. */
static const char *kind_of_element(int64_t type) {
  static const char *const names[] = {
      [8] = "string",   [10] = "float16",  [11] = "double", [14] = "complex",
      [15] = "complex", [16] = "bfloat16", [17] = "float8", [18] = "float8",
      [19] = "float8",  [20] = "float8",   [21] = "int4",   [22] = "int4",
      [23] = "float4",  [24] = "float8",   [25] = "int2",   [26] = "int2",
  };
  if (type < 0 || type >= (int64_t)(sizeof names / sizeof names[0]) || !names[type]) return "";
  return names[type];
}

/* TypeProto: tensor 1, sequence 4, map 5, sparse tensor 8, optional 9. */
static const char *kind_of_type(Wire *w, WireBytes type) {
  static const char *const names[] = {[4] = "sequence", [5] = "map", [8] = "sparse", [9] = "optional"};
  for (uint32_t i = 4; i < 10; i++)
    if (names[i < 10 ? i : 0] && field_of(w, type, i).p) return names[i];
  return kind_of_element(number_of(w, field_of(w, type, 1), 1));
}

static void note_value(NodeCase *c, Wire *w, WireBytes info, const char **names, uint32_t n) {
  const char *kind = kind_of_type(w, field_of(w, info, 2));
  if (*kind && !*c->kind) c->kind = kind;
  if (n < CASE_MAX_IO) names[n] = string_of(c, w, info, 1);
}

/* The operator: that of the first node which does more than hand on a constant. */
static void note_node(NodeCase *c, Wire *w, WireBytes node) {
  const char *op = string_of(c, w, node, 4);
  bool plain = !*c->op || strcmp(c->op, "Constant") == 0 || strcmp(c->op, "Identity") == 0;
  if (plain) c->op = op;
}

static const char *const onnx_names[] = {
#define YES(name, import, kind) #name,
#define MS(name, import, kind)
#define NO(name, advice) #name,
#include "frontend/onnx/ops.def"
#undef YES
#undef MS
#undef NO
};

/* "LayerNormalization" of "test_layer_normalization_default_axis_expanded": the longest operator's name that it begins
 * with, case and underscores apart; NULL: there is none. */
static const char *op_of_name(const char *test) {
  const char *best = NULL;
  if (strncmp(test, "test_", 5) == 0) test += 5;
  for (size_t i = 0; i < sizeof onnx_names / sizeof *onnx_names; i++) {
    const char *t = test, *o = onnx_names[i];
    while (*o && *t) {
      if (*t == '_')
        t++;
      else if (tolower((unsigned char)*t++) != tolower((unsigned char)*o++))
        break;
    }
    bool all = !*o && (t == test || tolower((unsigned char)t[-1]) == tolower((unsigned char)o[-1]));
    if (all && (!best || strlen(onnx_names[i]) > strlen(best))) best = onnx_names[i];
  }
  return best;
}

static void read_model(NodeCase *c) {
  Wire w = {.base = blob_raw(c->model), .n = blob_size(c->model)};
  WireBytes graph = field_of(&w, (WireBytes){w.base, w.n}, 7);
  WireField f;
  uint32_t n_in = 0, n_out = 0;
  while (wire_next(&w, &graph, &f)) {
    if (f.kind != WIRE_BYTES) continue;
    if (f.id == 1) note_node(c, &w, f.bytes);
    if (f.id == 11) note_value(c, &w, f.bytes, c->in_name, n_in++);
    if (f.id == 12) note_value(c, &w, f.bytes, c->out_name, n_out++);
  }
}

/* -- its tensors -- */

static bool read_tensor(NodeCase *c, Blob *file, Tensor *t) {
  Diag *d = diag_new();
  OxModel m = {.w = {.base = blob_raw(file), .n = blob_size(file)},
               .bytes = file,
               .path = "tensor",
               .arena = c->arena,
               .d = d};
  Graph *g = graph_new("tensor");
  ValId v = ox_tensor(&m, g, (WireBytes){m.w.base, m.w.n}, "tensor", NULL);
  if (v != NO_VAL) {
    *t = tensor_new(graph_val(g, v)->dtype, &graph_val(g, v)->shape);
    if (tensor_bytes(t)) memcpy(t->data, val_data(g, v), tensor_bytes(t));
  } else {
    snprintf(c->unreadable, sizeof c->unreadable, "a tensor of the test: %s", diag_text(d));
  }
  graph_free(g);
  diag_free(d);
  return v != NO_VAL;
}

/* The name that the file gives the tensor, where it is one of the model's. */
static void read_name(NodeCase *c, Blob *file, const char **names, uint32_t k) {
  Wire w = {.base = blob_raw(file), .n = blob_size(file)};
  const char *name = string_of(c, &w, (WireBytes){w.base, w.n}, 8);
  for (uint32_t i = 0; *name && i < CASE_MAX_IO && names[i]; i++)
    if (strcmp(names[i], name) == 0) names[k] = names[i];
}

static Blob *map_file(NodeCase *c, const char *dir, int set, const char *what, uint32_t k) {
  return blob_map(arena_printf(c->arena, "%s/test_data_set_%d/%s_%u.pb", dir, set, what, k));
}

static void read_tensors(NodeCase *c, const char *dir, int set) {
  const char *in_name[CASE_MAX_IO];
  memcpy(in_name, c->in_name, sizeof in_name);
  for (c->n_in = 0; c->n_in < CASE_MAX_IO; c->n_in++) {
    Blob *b = map_file(c, dir, set, "input", c->n_in);
    if (!b) break;
    c->in_file[c->n_in] = b;
    read_tensor(c, b, &c->in[c->n_in]);
    read_name(c, b, in_name, c->n_in);
  }
  memcpy(c->in_name, in_name, sizeof in_name);
  for (c->n_out = 0; c->n_out < CASE_MAX_IO; c->n_out++) {
    Blob *b = map_file(c, dir, set, "output", c->n_out);
    if (!b) break;
    read_tensor(c, b, &c->want[c->n_out]);
    blob_unref(b);
  }
}

void case_read(NodeCase *c, const char *dir, int set) {
  *c = (NodeCase){.arena = arena_new(), .op = "", .kind = "", .rounding = ONNX_ROUND_ONNX};
  c->name = arena_strdup(c->arena, path_base(dir));
  c->model = blob_map(arena_printf(c->arena, "%s/model.onnx", dir));
  if (!c->model) {
    snprintf(c->unreadable, sizeof c->unreadable, "model.onnx cannot be read");
    return;
  }
  read_model(c);
  const char *op = strstr(c->name, "_expanded") ? op_of_name(c->name) : NULL;
  if (op) c->op = op; /* a function written out */
  read_tensors(c, dir, set);
}

void case_free(NodeCase *c) {
  for (uint32_t i = 0; i < c->n_in; i++) {
    blob_unref(c->in_file[i]);
    tensor_free(&c->in[i]);
  }
  for (uint32_t i = 0; i < c->n_out; i++) tensor_free(&c->want[i]);
  blob_unref(c->model);
  arena_free(c->arena);
}

int case_sets(const char *dir) {
  char path[1700];
  for (int set = 0;; set++) {
    snprintf(path, sizeof path, "%s/test_data_set_%d", dir, set);
    if (!file_is_dir(path)) return set;
  }
}

/* -- import -- */

/* The model with the inputs in `bound` as initializers too: fields that are appended are part of a message. */
static Blob *with_constants(const NodeCase *c, uint32_t bound) {
  Wire w = {.base = blob_raw(c->model), .n = blob_size(c->model)};
  StrBuf out = {0}, graph = {0};
  WireBytes body = {w.base, w.n};
  WireField f;
  for (const uint8_t *from = body.p; wire_next(&w, &body, &f); from = body.p) {
    if (f.id == 7 && f.kind == WIRE_BYTES)
      sb_write(&graph, f.bytes.p, f.bytes.n);
    else
      sb_write(&out, from, (size_t)(body.p - from));
  }
  for (uint32_t i = 0; i < c->n_in; i++) {
    if (!(bound >> i & 1)) continue;
    StrBuf t = {0};
    sb_write(&t, blob_raw(c->in_file[i]), blob_size(c->in_file[i]));
    pb_str(&t, 8, c->in_name[i]); /* the last name counts */
    pb_message(&graph, 5, &t);
  }
  pb_message(&out, 7, &graph);
  Blob *b = blob_new(out.s, out.len);
  sb_free(&out);
  return b;
}

static Graph *import_bound(const NodeCase *c, uint32_t bound, Diag *d) {
  const OnnxOptions exact = {.rounding = c->rounding};
  if (!bound) return onnx_import_with(c->model, c->name, &exact, d);
  Blob *bytes = with_constants(c, bound);
  Graph *g = onnx_import_with(bytes, c->name, &exact, d);
  blob_unref(bytes);
  return g;
}

/* Inputs that need not be constants are let go, one after the other. */
static Graph *fewest_bound(const NodeCase *c, Graph *g, uint32_t *bound) {
  for (uint32_t i = 0; i < c->n_in; i++) {
    uint32_t fewer = *bound & ~(UINT32_C(1) << i);
    if (fewer == *bound) continue;
    Diag *d = diag_new();
    Graph *other = import_bound(c, fewer, d);
    diag_free(d);
    if (!other) continue;
    graph_free(g);
    g = other;
    *bound = fewer;
  }
  return g;
}

Graph *case_import(const NodeCase *c, uint32_t *bound, Diag *d) {
  *bound = 0;
  Graph *g = import_bound(c, 0, d);
  const uint32_t all = c->n_in >= 32 ? UINT32_MAX : (UINT32_C(1) << c->n_in) - 1;
  const uint32_t tries[] = {all & ~UINT32_C(1), all};
  for (int t = 0; !g && t < 2; t++) {
    if (!tries[t]) continue;
    diag_clear(d);
    *bound = tries[t];
    g = import_bound(c, *bound, d);
    if (g) g = fewest_bound(c, g, bound);
  }
  return g;
}

/* -- evaluation, comparison -- */

bool case_inputs(const NodeCase *c, const Graph *g, Tensor *in) {
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    const char *name = graph_val(g, g->inputs[i])->name;
    uint32_t k = 0;
    while (k < c->n_in && !(c->in_name[k] && name && strcmp(c->in_name[k], name) == 0)) k++;
    if (k == c->n_in) return false;
    in[i] = c->in[k];
  }
  return true;
}

static bool close_enough(double a, double b) {
  return a == b || (isnan(a) && isnan(b)) || fabs(a - b) <= 1e-3 * fabs(b) + 1e-7;
}

/* Has the type a real value, and no kernel type of its own? Codes below 32 bits decode into float32. */
static bool is_real(DType t) { return t == DT_F32 || t == DT_F64 || t == DT_F16 || t == DT_BF16; }

static double real_at(const Tensor *t, int64_t i) {
  if (t->dtype == DT_F16 || t->dtype == DT_BF16)
    return (double)mf_small_load(t->data, (int32_t)i, t->dtype == DT_F16 ? MF_F16 : MF_BF16);
  return t->dtype == DT_F64 ? ((const double *)t->data)[i] : (double)((const float *)t->data)[i];
}

static bool compare_elements(const Tensor *got, const Tensor *want, uint32_t k, char *why) {
  const unsigned char *a = got->data, *b = want->data;
  size_t size = dtype_size(want->dtype);
  for (int64_t i = 0; i < shape_count(&want->shape); i++) {
    if (memcmp(a + (size_t)i * size, b + (size_t)i * size, size) == 0) continue;
    if (is_real(want->dtype)) {
      double x = real_at(got, i), y = real_at(want, i);
      if (close_enough(x, y)) continue;
      snprintf(why, CASE_WHY, "output %u: element %lld is %.9g, want %.9g", k, (long long)i, x, y);
    } else {
      int64_t x = 0, y = 0;
      memcpy(&x, a + (size_t)i * size, size);
      memcpy(&y, b + (size_t)i * size, size);
      snprintf(why, CASE_WHY, "output %u: element %lld is 0x%llx, want 0x%llx (%s)", k, (long long)i,
               (unsigned long long)x, (unsigned long long)y, dtype_name(want->dtype));
    }
    return false;
  }
  return true;
}

bool case_compare(const NodeCase *c, uint32_t k, const Tensor *got, char *why) {
  const Tensor *want = &c->want[k];
  if (got->dtype == want->dtype && shape_equal(&got->shape, &want->shape))
    return compare_elements(got, want, k, why);
  char a[80], b[80];
  shape_format(&got->shape, a, sizeof a);
  shape_format(&want->shape, b, sizeof b);
  snprintf(why, CASE_WHY, "output %u is %s%s, want %s%s", k, dtype_name(got->dtype), a,
           dtype_name(want->dtype), b);
  return false;
}

bool case_evaluate(const NodeCase *c, const Graph *g, char *why) {
  Tensor in[CASE_MAX_IO], out[CASE_MAX_IO];
  snprintf(why, CASE_WHY, "inputs and outputs are not the test's");
  if (g->n_outputs != c->n_out || g->n_inputs > c->n_in || !case_inputs(c, g, in)) return false;
  Diag *d = diag_new();
  bool ok = graph_eval(g, in, g->n_inputs, out, d), ran = ok;
  if (!ok) snprintf(why, CASE_WHY, "%s", diag_text(d));
  for (uint32_t k = 0; ok && k < c->n_out; k++) ok = case_compare(c, k, &out[k], why);
  for (uint32_t k = 0; ran && k < c->n_out; k++) tensor_free(&out[k]);
  if (ok) *why = 0;
  diag_free(d);
  return ok;
}
