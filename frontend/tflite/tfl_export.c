/* TFLite export: any graph whose operators TensorFlow Lite has, float or int8, as a file of schema version 3.
 *
 * A symbolic batch is bound to 1. Every value is a tensor of the one graph; constants stand in buffers of their own,
 * 16-byte aligned, equal ones once. States are variables (tfl_export_state.c), which a second graph sets first. Codes and quantization go as they are, so that importing the file again gives the
 * same outputs byte for byte.
 * Source: TensorFlow Lite schema version 3.
 */
#include "frontend/tflite/tfl_export.h"

#include <inttypes.h>
#include <string.h>

#include "frontend/tflite/fb_write.h"
#include "frontend/tflite/tfl.h"
#include "frontend/tflite/tflite.h"
#include "ir/base/file.h"
#include "ir/base/mem.h"

/* -- collecting -- */

int32_t tfx_new(Tfx *x, const TfxTensor *t) {
  void *grown = x->tensors;
  mem_grow(&grown, &x->cap_tensors, (size_t)x->n_tensors + 1, sizeof *x->tensors);
  x->tensors = grown;
  x->tensors[x->n_tensors] = *t;
  x->tensors[x->n_tensors].sub = x->sub;
  return x->n_tensors++;
}

/* INT4: two to a byte, the lower half first, one channel behind the other. */
static const void *nibbles(Tfx *x, ValId v) {
  const int8_t *from = val_data(x->g, v);
  const int64_t n = shape_count(&graph_val(x->g, v)->shape);
  uint8_t *to = arena_alloc(x->arena, (size_t)(n + 1) / 2);
  for (int64_t i = 0; i < n; i++) to[i / 2] |= (uint8_t)((from[i] & 15) << (i % 2 ? 4 : 0));
  return to;
}

int32_t tfx_tensor(Tfx *x, ValId v) {
  if (v == NO_VAL) return -1;
  if (x->of_val[v] > 0) return x->of_val[v] - 1;
  const Value *val = graph_val(x->g, v);
  TfxTensor t = {
      .name = val->name ? val->name : "", .dtype = val->dtype, .shape = val->shape, .quant = val->quant};
  if (val_is_const(x->g, v)) t.data = val->dtype == DT_I4 ? nibbles(x, v) : val_data(x->g, v);
  int32_t k = tfx_new(x, &t);
  x->of_val[v] = k + 1;
  return k;
}

int32_t tfx_ints(Tfx *x, const char *name, const int64_t *v, int n) {
  int32_t *data = arena_array(x->arena, (size_t)n + 1, sizeof *data);
  for (int i = 0; i < n; i++) data[i] = (int32_t)v[i];
  TfxTensor t = {.name = name, .dtype = DT_I32, .shape = {.rank = 1, .d = {n}}, .data = data};
  return tfx_new(x, &t);
}

TfxOp *tfx_bare(Tfx *x, int32_t code, int32_t options, int32_t out) {
  void *grown = x->ops;
  mem_grow(&grown, &x->cap_ops, (size_t)x->n_ops + 1, sizeof *x->ops);
  x->ops = grown;
  TfxOp *op = &x->ops[x->n_ops++];
  *op = (TfxOp){.code = code, .options = options, .out = out, .sub = x->sub};
  return op;
}

TfxOp *tfx_op(Tfx *x, const Node *n, int32_t code, int32_t options, int32_t in) {
  TfxOp *op = tfx_bare(x, code, options, tfx_tensor(x, n->out[0]));
  tfx_in(op, in);
  return op;
}

void tfx_in(TfxOp *op, int32_t tensor) { op->in[op->n_in++] = tensor; }

void tfx_byte(TfxOp *op, uint32_t id, int v) {
  ASSERT(op->n_fields < TFX_FIELDS);
  op->field[op->n_fields].id = id;
  op->field[op->n_fields].kind = 'b';
  op->field[op->n_fields++].i = v;
}

void tfx_int(TfxOp *op, uint32_t id, int64_t v) {
  tfx_byte(op, id, (int)v);
  op->field[op->n_fields - 1].kind = 'i';
}

void tfx_float(TfxOp *op, uint32_t id, float v) {
  tfx_byte(op, id, 0);
  op->field[op->n_fields - 1].kind = 'f';
  op->field[op->n_fields - 1].f = v;
}

void tfx_string(TfxOp *op, uint32_t id, const char *s) {
  tfx_byte(op, id, 0);
  op->field[op->n_fields - 1].kind = 's';
  op->field[op->n_fields - 1].s = s;
}

bool tfx_refuse(Tfx *x, const Node *n, const char *why) {
  return diag_error(x->d, &n->loc, "%s cannot be written as TensorFlow Lite: %s", op_info(n->op)->name, why);
}

static int type_code(DType t) {
  switch (t) {
  case DT_F32: return 0;
  case DT_I32: return 2;
  case DT_U8: return 3;
  case DT_I64: return 4;
  case DT_BOOL: return 6;
  case DT_I16: return 7;
  case DT_I8: return 9;
  case DT_I4: return TFL_INT4;
  default: return -1;
  }
}

static bool check_tensor(Tfx *x, const TfxTensor *t) {
  const Loc loc = {.file = x->g->name, .name = t->name};
  FAIL_IF(type_code(t->dtype) < 0 || (t->dtype == DT_I4 && !t->data), x->d, &loc,
          "%s elements cannot be written as TensorFlow Lite", dtype_name(t->dtype));
  for (int i = 0; i < t->shape.rank; i++)
    FAIL_IF(t->shape.d[i] < 1, x->d, &loc, "an empty tensor cannot be written as TensorFlow Lite");
  return true;
}

/* Attribute `rounding`: TensorFlow Lite has its own (0) alone. What another one does; NULL: there is none. */
static const char *other_rounding(const Node *n) {
  static const char *const others[] = {NULL, "it rounds as ONNX does; write .onnx",
                                       "it gives sums; write .onnx",
                                       "it rounds in one step, TensorFlow Lite Micro in two; write .onnx"};
  const OpInfo *info = op_info(n->op);
  for (int i = 0; i < info->n_attrs; i++) {
    int32_t v;
    if (strcmp(info->attrs[i].name, "rounding") != 0) continue;
    memcpy(&v, (const char *)n->attrs + info->attrs[i].offset, sizeof v);
    return others[v & 3];
  }
  return NULL;
}

static bool computed_weights(const Tfx *x, const Node *n) {
  const bool has = n->op == OP_conv || n->op == OP_depthwise_conv || n->op == OP_conv_transpose ||
                   n->op == OP_fully_connected;
  return has && !val_is_const(x->g, n->in[1]);
}

static bool export_node(Tfx *x, const Node *n) {
  TfxFn *f = tfx_fn(n->op);
  if (!f) return tfx_refuse(x, n, "it has no such operator");
  if (other_rounding(n)) return tfx_refuse(x, n, other_rounding(n));
  if (computed_weights(x, n)) return tfx_refuse(x, n, "its weights are computed");
  return f(x, n);
}

static bool collect(Tfx *x) {
  bool ok = true;
  for (uint32_t i = 0; i < x->g->n_inputs; i++) tfx_tensor(x, x->g->inputs[i]);
  tfx_read_states(x);
  for (uint32_t k = 0; k < x->g->n_nodes; k++) {
    if (!x->written[k]) ok = export_node(x, &x->g->nodes[k]) && ok;
  }
  tfx_assign_states(x);
  for (uint32_t i = 0; i < x->g->n_outputs; i++) tfx_tensor(x, x->g->outputs[i]);
  for (int i = 0; ok && i < x->n_tensors; i++) ok = check_tensor(x, &x->tensors[i]);
  return ok;
}

/* -- writing -- */

/* codes[i]: the operator code of number i, each once. Returns how many. */
static int list_codes(const Tfx *x, int32_t *codes) {
  int n = 0;
  for (int i = 0; i < x->n_ops; i++) {
    int k = 0;
    while (k < n && codes[k] != x->ops[i].code) k++;
    if (k == n) codes[n++] = x->ops[i].code;
  }
  return n;
}

static void write_codes(StrBuf *f, size_t from, const int32_t *codes, int n) {
  size_t at = fbw_refs(f, from, (uint32_t)n);
  for (int i = 0; i < n; i++) {
    FbOut t = fbw_table(f, at + 4 * (size_t)i, 4);
    fbw_u8(f, &t, CODE_OLD, (uint8_t)(codes[i] < 127 ? codes[i] : 127));
    fbw_u32(f, &t, CODE_VERSION, 1);
    fbw_u32(f, &t, CODE_BUILTIN, (uint32_t)codes[i]);
  }
}

static size_t tensor_size(const TfxTensor *t) {
  if (t->dtype == DT_I4) return (size_t)(shape_count(&t->shape) + 1) / 2;
  return (size_t)shape_count(&t->shape) * dtype_size(t->dtype);
}

/* Buffer 0 is the empty one; equal constants share a buffer. */
static uint32_t list_buffers(const Tfx *x, uint32_t *buffer) {
  uint32_t n = 1;
  for (int i = 0; i < x->n_tensors; i++) {
    const TfxTensor *t = &x->tensors[i];
    buffer[i] = 0;
    for (int k = 0; t->data && k < i && !buffer[i]; k++) {
      const TfxTensor *o = &x->tensors[k];
      if (o->data && tensor_size(o) == tensor_size(t) && memcmp(o->data, t->data, tensor_size(t)) == 0)
        buffer[i] = buffer[k];
    }
    if (t->data && !buffer[i]) buffer[i] = n++;
  }
  return n;
}

static void write_buffers(const Tfx *x, StrBuf *f, size_t from, const uint32_t *buffer, uint32_t n) {
  size_t at = fbw_refs(f, from, n);
  uint32_t done = 1;
  fbw_table(f, at, 1);
  for (int i = 0; i < x->n_tensors; i++) {
    if (buffer[i] != done) continue;
    FbOut t = fbw_table(f, at + 4 * (size_t)done++, 1);
    fbw_vector(f, fbw_place(f, &t, BUFFER_DATA), x->tensors[i].data, tensor_size(&x->tensors[i]), 1, 16);
  }
}

static void write_quant(StrBuf *f, size_t from, const Quant *q) {
  FbOut t = fbw_table(f, from, 7);
  int64_t *zero = mem_array((size_t)q->n, sizeof *zero);
  for (int i = 0; i < q->n; i++) zero[i] = q->zero[i];
  if (q->n > 1) fbw_u32(f, &t, QUANT_AXIS, (uint32_t)q->axis);
  fbw_vector(f, fbw_place(f, &t, QUANT_SCALE), q->scale, (size_t)q->n, 4, 4);
  fbw_vector(f, fbw_place(f, &t, QUANT_ZERO), zero, (size_t)q->n, 8, 8);
  mem_free(zero);
}

static void write_tensor(StrBuf *f, size_t from, const TfxTensor *x, uint32_t buffer) {
  FbOut t = fbw_table(f, from, 6);
  int32_t dims[MAX_RANK];
  for (int i = 0; i < x->shape.rank; i++) dims[i] = (int32_t)x->shape.d[i];
  fbw_u8(f, &t, TENSOR_TYPE, (uint8_t)(x->resource ? TFL_RESOURCE : type_code(x->dtype)));
  fbw_u32(f, &t, TENSOR_BUFFER, buffer);
  fbw_vector(f, fbw_place(f, &t, TENSOR_SHAPE), dims, (size_t)x->shape.rank, 4, 4);
  fbw_string(f, fbw_place(f, &t, TENSOR_NAME), x->name);
  if (x->quant.n > 0) write_quant(f, fbw_place(f, &t, TENSOR_QUANT), &x->quant);
  if (x->variable) fbw_u8(f, &t, TENSOR_VARIABLE, 1);
}

static void write_op(const Tfx *x, StrBuf *f, size_t from, const TfxOp *op, uint32_t code) {
  FbOut t = fbw_table(f, from, 5);
  int32_t in[64], out = op->out < 0 ? -1 : x->local[op->out];
  for (int i = 0; i < op->n_in; i++) in[i] = op->in[i] < 0 ? -1 : x->local[op->in[i]];
  if (code) fbw_u32(f, &t, OPERATOR_CODE, code);
  fbw_vector(f, fbw_place(f, &t, OPERATOR_INPUTS), in, (size_t)op->n_in, 4, 4);
  fbw_vector(f, fbw_place(f, &t, OPERATOR_OUTPUTS), &out, out >= 0, 4, 4);
  if (!op->options) return;
  fbw_u8(f, &t, OPERATOR_OPTIONS_TYPE, (uint8_t)op->options);
  uint32_t most = 0;
  for (int i = 0; i < op->n_fields; i++)
    if (op->field[i].id + 1 > most) most = op->field[i].id + 1;
  FbOut o = fbw_table(f, fbw_place(f, &t, OPERATOR_OPTIONS), most);
  for (int i = 0; i < op->n_fields; i++) {
    uint32_t id = op->field[i].id;
    if (op->field[i].kind == 'b')
      fbw_u8(f, &o, id, (uint8_t)op->field[i].i);
    else if (op->field[i].kind == 'i')
      fbw_u32(f, &o, id, (uint32_t)op->field[i].i);
    else if (op->field[i].kind == 's')
      fbw_string(f, fbw_place(f, &o, id), op->field[i].s);
    else
      fbw_f32(f, &o, id, op->field[i].f);
  }
}

static void write_ends(Tfx *x, StrBuf *f, size_t from, const ValId *ids, uint32_t n) {
  int32_t *list = mem_array((size_t)n + 1, sizeof *list);
  for (uint32_t i = 0; i < n; i++) list[i] = x->local[tfx_tensor(x, ids[i])];
  fbw_vector(f, from, list, n, 4, 4);
  mem_free(list);
}

/* Numbers of the tensors in their graphs; how many there are in graph `sub`. */
static uint32_t number_tensors(Tfx *x, int sub) {
  int32_t n = 0;
  for (int i = 0; i < x->n_tensors; i++)
    if (x->tensors[i].sub == sub) x->local[i] = n++;
  return (uint32_t)n;
}

static void write_operators(const Tfx *x, StrBuf *f, size_t from, int sub, const int32_t *codes) {
  uint32_t n = 0;
  for (int i = 0; i < x->n_ops; i++) n += x->ops[i].sub == sub;
  size_t at = fbw_refs(f, from, n);
  for (int i = 0; i < x->n_ops; i++) {
    uint32_t code = 0;
    if (x->ops[i].sub != sub) continue;
    while (codes[code] != x->ops[i].code) code++;
    write_op(x, f, at, &x->ops[i], code);
    at += 4;
  }
}

static void write_graph(Tfx *x, StrBuf *f, size_t from, int sub, const int32_t *codes,
                        const uint32_t *buffer) {
  FbOut g = fbw_table(f, from, 5);
  const uint32_t n = number_tensors(x, sub);
  write_ends(x, f, fbw_place(f, &g, SUBGRAPH_INPUTS), x->g->inputs, sub ? 0 : x->g->n_inputs);
  write_ends(x, f, fbw_place(f, &g, SUBGRAPH_OUTPUTS), x->g->outputs, sub ? 0 : x->g->n_outputs);
  size_t at = fbw_refs(f, fbw_place(f, &g, SUBGRAPH_TENSORS), n);
  for (int i = 0; i < x->n_tensors; i++) {
    if (x->tensors[i].sub != sub) continue;
    write_tensor(f, at, &x->tensors[i], buffer[i]);
    at += 4;
  }
  write_operators(x, f, fbw_place(f, &g, SUBGRAPH_OPERATORS), sub, codes);
  fbw_string(f, fbw_place(f, &g, SUBGRAPH_NAME), sub ? "first" : "main");
}

/* A second graph where states are set first. */
static void write_graphs(Tfx *x, StrBuf *f, size_t from, const int32_t *codes, const uint32_t *buffer) {
  uint32_t n = 1;
  for (int i = 0; i < x->n_ops; i++)
    if (x->ops[i].sub == 1) n = 2;
  size_t at = fbw_refs(f, from, n);
  x->local = arena_array(x->arena, (size_t)x->n_tensors + 1, sizeof *x->local);
  for (uint32_t i = 0; i < n; i++) write_graph(x, f, at + 4 * (size_t)i, (int)i, codes, buffer);
}

static void write_file(Tfx *x, StrBuf *f) {
  int32_t *codes = mem_array((size_t)x->n_ops + 1, sizeof *codes);
  uint32_t *buffer = mem_array((size_t)x->n_tensors + 1, sizeof *buffer);
  int n_codes = list_codes(x, codes);
  uint32_t n_buffers = list_buffers(x, buffer);
  fbw_begin(f, "TFL3");
  FbOut m = fbw_table(f, 0, 5);
  fbw_u32(f, &m, MODEL_VERSION, 3);
  write_codes(f, fbw_place(f, &m, MODEL_CODES), codes, n_codes);
  write_graphs(x, f, fbw_place(f, &m, MODEL_SUBGRAPHS), codes, buffer);
  fbw_string(f, fbw_place(f, &m, MODEL_DESCRIPTION), "mistify");
  write_buffers(x, f, fbw_place(f, &m, MODEL_BUFFERS), buffer, n_buffers);
  mem_free(codes);
  mem_free(buffer);
}

bool tflite_write(const Graph *g, StrBuf *out, Diag *d) {
  Graph *bound = graph_clone(g);
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    if (shape_is_static(&graph_val(g, g->inputs[i])->shape)) continue;
    graph_free(bound);
    bound = graph_with_batch(g, 1, d);
    break;
  }
  if (!bound) return false;
  Tfx x = {.g = bound, .d = d, .arena = arena_new(), .of_val = mem_array(bound->n_vals, sizeof *x.of_val)};
  x.own_state = arena_array(x.arena, (size_t)bound->n_states + 1, sizeof *x.own_state);
  x.written = arena_array(x.arena, (size_t)bound->n_nodes + 1, sizeof *x.written);
  bool ok = collect(&x);
  if (ok) write_file(&x, out);
  arena_free(x.arena);
  mem_free(x.tensors);
  mem_free(x.ops);
  mem_free(x.of_val);
  graph_free(bound);
  return ok;
}

bool tflite_export(const Graph *g, const char *path, Diag *d) {
  StrBuf out = {0};
  bool ok = tflite_write(g, &out, d) && file_write(path, out.s, out.len, d);
  sb_free(&out);
  return ok;
}
