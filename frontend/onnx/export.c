/* ONNX export: a graph as a file of opset 13, or of the later one that an operator or an element type needs; int8
 * operators between DequantizeLinear and QuantizeLinear.
 *
 *   qdq_expand -> names of all values (interface first) -> each node by export_ops.c -> inputs, outputs, initializers -> file_write
 *
 * Values exist in plain or image form (export.h). A state is an input, with what it is at first as the initializer of
 * the same name, and an output: whoever runs the file hands the output back as the input; a property of the model names the
 * pairs, so that they are states again when we read it. Source: onnx.proto of ONNX 1.17, operator schemas.
 */
#include "frontend/onnx/export.h"

#include <string.h>

#include "frontend/onnx/onnx.h"
#include "frontend/onnx/onnx_model.h"
#include "frontend/onnx/qdq.h"
#include "ir/base/file.h"
#include "ir/base/mem.h"

enum { XP_OPSET = 13, XP_IR_VERSION = 8 };

/* -- names -- */

const char *xp_fresh(Export *x, const char *base, const char *suffix) {
  const char *name = *suffix ? arena_printf(x->arena, "%s:%s", base, suffix) : base;
  for (uint32_t k = 2; *name == 0 || *names_at(&x->names, name) != 0; k++)
    name = arena_printf(x->arena, "%s%s%s_%u", base, *suffix ? ":" : "", suffix, k);
  *names_at(&x->names, name) = 1;
  return name;
}

static void name_value(Export *x, ValId v) {
  if (x->name[v]) return;
  const char *name = graph_val(x->g, v)->name;
  x->name[v] = xp_fresh(x, name && *name ? name : arena_printf(x->arena, "v%u", v), "");
}

/* A line of its own in the list of states. */
static void name_state(Export *x, ValId v, uint32_t i) {
  const char *name = graph_val(x->g, v)->name;
  bool usable = name && *name && !strchr(name, '\n');
  x->name[v] = xp_fresh(x, usable ? name : arena_printf(x->arena, "state%u", i), "");
}

/* Is the node a Transpose between [N,H,W,C] and [N,C,H,W]? */
static bool is_transpose(const Node *n, const char *perm) {
  if (n->op != OP_transpose) return false;
  const Ints *p = &CATTRS(n, transpose)->perm;
  for (int i = 0; i < 4; i++)
    if (p->n != 4 || p->v[i] != perm[i] - '0') return false;
  return true;
}

/* The interface's names first. The image form of a value takes the name of the Transpose that asks for it. */
static void name_values(Export *x) {
  const Graph *g = x->g;
  for (uint32_t i = 0; i < g->n_inputs; i++) name_value(x, g->inputs[i]);
  for (uint32_t i = 0; i < g->n_states; i++) name_state(x, g->states[i].now, i);
  for (uint32_t i = 0; i < g->n_outputs; i++) name_value(x, g->outputs[i]);
  for (ValId v = 1; v < g->n_vals; v++) name_value(x, v);
  for (uint32_t k = 0; k < g->n_nodes; k++) {
    const Node *n = &g->nodes[k];
    if (is_transpose(n, "0312") && !x->image_name[n->in[0]]) x->image_name[n->in[0]] = x->name[n->out[0]];
  }
}

/* -- nodes -- */

void xp_in(XpNode *n, const char *name) { pb_str(&n->inputs, 1, name); }

static void attr(XpNode *n, const char *name, int type, StrBuf *value) {
  StrBuf a = {0};
  pb_str(&a, 1, name);
  sb_write(&a, value->s, value->len);
  pb_int(&a, 20, type);
  sb_free(value);
  pb_message(&n->attrs, 5, &a);
}

void xp_int(XpNode *n, const char *name, int64_t v) {
  StrBuf value = {0};
  pb_int(&value, 3, v);
  attr(n, name, OX_ATTR_INT, &value);
}

void xp_float(XpNode *n, const char *name, float v) {
  StrBuf value = {0};
  pb_float(&value, 2, v);
  attr(n, name, OX_ATTR_FLOAT, &value);
}

void xp_string(XpNode *n, const char *name, const char *v) {
  StrBuf value = {0};
  pb_str(&value, 4, v);
  attr(n, name, OX_ATTR_STRING, &value);
}

void xp_ints(XpNode *n, const char *name, const Ints *v) {
  StrBuf value = {0};
  for (int32_t i = 0; i < v->n; i++) pb_int(&value, 8, v->v[i]);
  attr(n, name, OX_ATTR_INTS, &value);
}

void xp_floats(XpNode *n, const char *name, const float *v, uint32_t count) {
  StrBuf value = {0};
  for (uint32_t i = 0; i < count; i++) pb_float(&value, 7, v[i]);
  attr(n, name, OX_ATTR_FLOATS, &value);
}

void xp_strings(XpNode *n, const char *name, const char *const *v, uint32_t count) {
  StrBuf value = {0};
  for (uint32_t i = 0; i < count; i++) pb_str(&value, 9, v[i]);
  attr(n, name, OX_ATTR_STRINGS, &value);
}

void xp_end_as(Export *x, XpNode *n, const char *op, const char *const *out, uint32_t n_out) {
  StrBuf m = {0};
  if (n->inputs.len) sb_write(&m, n->inputs.s, n->inputs.len);
  for (uint32_t i = 0; i < n_out; i++) pb_str(&m, 2, out[i]);
  pb_str(&m, 3, out[n_out - 1]);
  pb_str(&m, 4, op);
  if (n->attrs.len) sb_write(&m, n->attrs.s, n->attrs.len);
  sb_free(&n->inputs);
  sb_free(&n->attrs);
  pb_message(&x->nodes, 1, &m);
}

void xp_end(Export *x, XpNode *n, const char *op, const char *out) { xp_end_as(x, n, op, &out, 1); }

const char *xp_op(Export *x, const char *op, const char *base, const char *suffix, uint32_t n,
                  const char *const *in) {
  XpNode m = {0};
  for (uint32_t i = 0; i < n; i++) xp_in(&m, in[i]);
  const char *out = xp_fresh(x, base, suffix);
  xp_end(x, &m, op, out);
  return out;
}

/* -- constants -- */

int xp_onnx_type(DType t) {
  int64_t k = OX_FLOAT;
  while (k < OX_NO_TYPE && ox_dtype(k) != t) k++;
  return k == OX_NO_TYPE ? 0 : (int)k;
}

/* Elements below a byte are packed, low bits first. */
static void write_packed(StrBuf *m, const void *data, size_t count, int bits) {
  const uint8_t *from = data;
  size_t per = (size_t)(8 / bits), bytes = (count + per - 1) / per;
  uint8_t *to = mem_zalloc(bytes + 1);
  for (size_t i = 0; i < count; i++)
    to[i / per] = (uint8_t)(to[i / per] | (from[i] & ((1 << bits) - 1)) << (i % per * (size_t)bits));
  pb_bytes(m, 9, to, bytes);
  mem_free(to);
}

const char *xp_const(Export *x, const char *name, DType t, const Shape *s, const void *data) {
  StrBuf m = {0};
  const size_t count = (size_t)shape_count(s);
  for (int i = 0; i < s->rank; i++) pb_int(&m, 1, s->d[i]);
  pb_int(&m, 2, xp_onnx_type(t));
  pb_str(&m, 8, name);
  if (dtype_bits(t) < 8 && t != DT_BOOL)
    write_packed(&m, data, count, dtype_bits(t));
  else
    pb_bytes(&m, 9, data, count * dtype_size(t));
  pb_message(&x->initializers, 5, &m);
  return name;
}

const char *xp_const_ints(Export *x, const char *name, const Ints *v) {
  return xp_const(x, name, DT_I64, &(Shape){1, {v->n}}, v->v);
}

void xp_quant_inputs(Export *x, XpNode *n, DType t, const Quant *q, const char *base) {
  Shape s = {.rank = q->n > 1, .d = {q->n}};
  void *zero = arena_array(x->arena, (size_t)q->n, dtype_size(t));
  for (int32_t i = 0; i < q->n; i++) dtype_set(t, zero, i, q->zero[i]);
  xp_in(n, xp_const(x, xp_fresh(x, base, "scale"), DT_F32, &s, q->scale));
  xp_in(n, xp_const(x, xp_fresh(x, base, "zero"), t, &s, zero));
  if (q->n > 1) xp_int(n, "axis", q->axis);
}

void xp_dequantize_node(Export *x, const char *codes, DType t, const Quant *q, const char *out) {
  XpNode n = {0};
  xp_in(&n, codes);
  xp_quant_inputs(x, &n, t, q, out);
  xp_end(x, &n, "DequantizeLinear", out);
}

const char *xp_const_float(Export *x, const char *name, float v) {
  return xp_const(x, name, DT_F32, &(Shape){.rank = 0}, &v);
}

const char *xp_const_number(Export *x, const char *name, DType t, double v) {
  int64_t wide = 0;
  float f = (float)v;
  if (t == DT_F32)
    memcpy(&wide, &f, sizeof f);
  else if (t == DT_F64)
    memcpy(&wide, &v, sizeof v);
  else
    dtype_set(t, &wide, 0, (int64_t)v);
  return xp_const(x, name, t, &(Shape){.rank = 0}, &wide);
}

/* -- forms of values -- */

void xp_transpose_node(Export *x, const char *from, const char *perm, const char *to) {
  Ints list = {.n = (int32_t)strlen(perm)};
  for (int32_t i = 0; i < list.n; i++) list.v[i] = perm[i] - '0';
  XpNode n = {0};
  xp_in(&n, from);
  xp_ints(&n, "perm", &list);
  xp_end(x, &n, "Transpose", to);
}

void xp_reshape_node(Export *x, const char *from, const Ints *to, const char *out) {
  XpNode n = {0};
  xp_in(&n, from);
  xp_in(&n, xp_const_ints(x, xp_fresh(x, out, "shape"), to));
  xp_end(x, &n, "Reshape", out);
}

const char *xp_reshaped(Export *x, const char *from, const char *base, const Ints *to) {
  const char *out = xp_fresh(x, base, "view");
  xp_reshape_node(x, from, to, out);
  return out;
}

const char *xp_plain_as(Export *x, ValId v, const Ints *to, const char *suffix) {
  const char *name = xp_fresh(x, x->name[v], suffix);
  Shape s = {.rank = to->n};
  for (int32_t i = 0; i < to->n; i++) s.d[i] = to->v[i];
  if (val_is_const(x->g, v)) return xp_const(x, name, graph_val(x->g, v)->dtype, &s, val_data(x->g, v));
  xp_reshape_node(x, xp_plain(x, v), to, name);
  return name;
}

const char *xp_plain(Export *x, ValId v) {
  if (x->plain[v]) return x->name[v];
  x->plain[v] = true;
  const Value *val = graph_val(x->g, v);
  if (val->blob) return xp_const(x, x->name[v], val->dtype, &val->shape, val_data(x->g, v));
  ASSERT(x->image[v]);
  xp_transpose_node(x, x->image_name[v], "0231", x->name[v]);
  return x->name[v];
}

const char *xp_image(Export *x, ValId v) {
  if (x->image[v]) return x->image_name[v];
  x->image[v] = true;
  if (!x->image_name[v] && val_is_const(x->g, v))
    return x->image_name[v] = xp_transposed(x, v, "0312", "nchw");
  if (!x->image_name[v]) x->image_name[v] = xp_fresh(x, x->name[v], "nchw");
  xp_transpose_node(x, xp_plain(x, v), "0312", x->image_name[v]);
  return x->image_name[v];
}

const char *xp_out(Export *x, ValId v, bool image) {
  if (!image) {
    x->plain[v] = true;
    return x->name[v];
  }
  if (!x->image_name[v]) x->image_name[v] = xp_fresh(x, x->name[v], "nchw");
  x->image[v] = true;
  return x->image_name[v];
}

/* Bytes of a constant in another order of axes; elements of any size. The caller frees them. */
static void *permute(const Graph *g, ValId v, const char *perm, Shape *to) {
  const Shape *s = &graph_val(g, v)->shape;
  size_t size = dtype_size(graph_val(g, v)->dtype);
  const char *from = val_data(g, v);
  int64_t step[MAX_RANK], stride[MAX_RANK], at[MAX_RANK] = {0}, place = 0, k = (int64_t)size;
  *to = (Shape){.rank = s->rank};
  for (int i = s->rank; i-- > 0; k *= s->d[i]) stride[i] = k;
  for (int i = 0; i < s->rank; i++) {
    to->d[i] = s->d[perm[i] - '0'];
    step[i] = stride[perm[i] - '0'];
  }
  int64_t count = shape_count(to);
  char *bytes = mem_array((size_t)count + 1, size);
  for (int64_t n = 0; n < count; n++) {
    memcpy(bytes + n * (int64_t)size, from + place, size);
    for (int i = to->rank; i-- > 0;) {
      place += step[i];
      if (++at[i] < to->d[i]) break;
      place -= at[i] * step[i];
      at[i] = 0;
    }
  }
  return bytes;
}

/* Codes in another order of axes, and the real numbers behind them: no Transpose stands between them and their reader. */
static const char *dequantized(Export *x, ValId codes, const char *perm, const char *name) {
  Quant q = graph_val(x->g, codes)->quant;
  int32_t axis = 0;
  for (int32_t i = 0; perm[i]; i++)
    if (perm[i] - '0' == q.axis) axis = i;
  q.axis = axis;
  const char *c = xp_transposed(x, codes, perm, "codes");
  xp_dequantize_node(x, c, graph_val(x->g, codes)->dtype, &q, name);
  return name;
}

const char *xp_transposed(Export *x, ValId v, const char *perm, const char *suffix) {
  const char *name = xp_fresh(x, x->name[v], suffix);
  const Node *def = graph_def(x->g, v);
  if (def && def->op == OP_dequantize && val_is_const(x->g, def->in[0]))
    return dequantized(x, def->in[0], perm, name);
  if (!val_is_const(x->g, v)) {
    xp_transpose_node(x, xp_plain(x, v), perm, name);
    return name;
  }
  Shape to;
  void *bytes = permute(x->g, v, perm, &to);
  xp_const(x, name, graph_val(x->g, v)->dtype, &to, bytes);
  mem_free(bytes);
  return name;
}

/* -- the graph -- */

/* A Transpose between the two forms of one value is a name, and no node, where it can be. */
static bool alias_transpose(Export *x, const Node *n) {
  ValId from = n->in[0], to = n->out[0];
  if (is_transpose(n, "0231") && !x->image[to]) { /* `to` is NHWC: `from` is its image */
    x->image_name[to] = xp_plain(x, from);
    x->image[to] = true;
    return true;
  }
  if (is_transpose(n, "0312") && x->image_name[from] == x->name[to]) {
    xp_image(x, from);
    x->plain[to] = true;
    return true;
  }
  return false;
}

/* The opset that came with an element type, with an operator's form. */
static int opset_of_type(DType t) {
  switch (t) {
  case DT_F8E4M3:
  case DT_F8E4M3UZ:
  case DT_F8E5M2:
  case DT_F8E5M2UZ: return 19;
  case DT_I4:
  case DT_U4: return 21;
  case DT_F4E2M1: return 23;
  case DT_F8E8M0: return 24;
  case DT_I2:
  case DT_U2: return 25;
  default: return XP_OPSET;
  }
}

static int opset_of_node(const Graph *g, const Node *n) {
  const DType t = graph_val(g, n->out[0])->dtype;
  int32_t reduce = 0;
  switch (n->op) {
  case OP_trilu:
  case OP_reshape: return 14;
  case OP_average_pool: return CATTRS(n, average_pool)->dilations.n ? 19 : XP_OPSET;
  case OP_bitwise_and:
  case OP_bitwise_or:
  case OP_bitwise_xor: return t == DT_BOOL ? XP_OPSET : 18;
  case OP_scatter_elements: reduce = CATTRS(n, scatter_elements)->reduce; break;
  case OP_scatter_nd: reduce = CATTRS(n, scatter_nd)->reduce; break;
  case OP_quantize: return t == DT_I16 || t == DT_U16 ? 21 : XP_OPSET;
  case OP_dequantize: {
    const DType from = graph_val(g, n->in[0])->dtype;
    return from == DT_I16 || from == DT_U16 ? 21 : XP_OPSET;
  }
  default: break;
  }
  return reduce > 2 ? 18 : reduce > 0 ? 16 : XP_OPSET;
}

/* A Reshape asks for 14 only where an extent is 0. */
static int find_opset(const Graph *g) {
  int opset = XP_OPSET;
  for (ValId v = 1; v < g->n_vals; v++) {
    const int k = opset_of_type(graph_val(g, v)->dtype);
    if (k > opset) opset = k;
  }
  for (uint32_t i = 0; i < g->n_nodes; i++) {
    const int k = opset_of_node(g, &g->nodes[i]);
    if (g->nodes[i].op == OP_reshape && shape_count(&graph_val(g, g->nodes[i].out[0])->shape) != 0) continue;
    if (k > opset) opset = k;
  }
  return opset;
}

/* The least IR version that ONNX gives an opset. */
static int ir_version(int opset) {
  return opset < 19   ? XP_IR_VERSION
         : opset < 21 ? 9
         : opset < 23 ? 10
         : opset < 24 ? 11
         : opset < 25 ? 12
                      : 13;
}

static bool export_nodes(Export *x) {
  const Graph *g = x->g;
  for (uint32_t i = 0; i < g->n_inputs; i++) x->plain[g->inputs[i]] = true;
  for (uint32_t i = 0; i < g->n_states; i++) x->plain[g->states[i].now] = true;
  xp_find_absorbed(x);
  for (uint32_t k = 0; k < g->n_nodes; k++) {
    const Node *n = &g->nodes[k];
    if (x->absorbed[k] || alias_transpose(x, n)) continue;
    TRY(xp_fn(n->op)(x, n));
  }
  return true;
}

/* ValueInfoProto in field `id` of the graph. */
static void value_info(StrBuf *to, uint32_t id, const char *name, const Value *v) {
  StrBuf info = {0}, type = {0}, tensor = {0}, shape = {0};
  for (int i = 0; i < v->shape.rank; i++) {
    StrBuf dim = {0};
    if (v->shape.d[i] == DIM_BATCH)
      pb_str(&dim, 2, "N");
    else
      pb_int(&dim, 1, v->shape.d[i]);
    pb_message(&shape, 1, &dim);
  }
  pb_int(&tensor, 1, xp_onnx_type(v->dtype));
  pb_message(&tensor, 2, &shape);
  pb_message(&type, 1, &tensor);
  pb_str(&info, 1, name);
  pb_message(&info, 2, &type);
  pb_message(to, id, &info);
}

/* An output that is an input, a constant, or an output already gets an Identity, and a name of its own. */
static void export_outputs(Export *x, StrBuf *infos) {
  const Graph *g = x->g;
  for (uint32_t i = 0; i < g->n_outputs; i++) {
    ValId v = g->outputs[i];
    bool taken = graph_def(g, v) == NULL;
    for (uint32_t k = 0; k < i; k++) taken = taken || g->outputs[k] == v;
    const char *name = xp_plain(x, v);
    if (taken) {
      XpNode n = {0};
      xp_in(&n, name);
      name = xp_fresh(x, name, "output");
      xp_end(x, &n, "Identity", name);
    }
    value_info(infos, 12, name, graph_val(g, v));
  }
}

/* A state's value before the run is an input that has an initializer, the value after it an output. Their names go to
 * `pairs`, a line each. */
static void export_states(Export *x, StrBuf *infos, StrBuf *pairs) {
  const Graph *g = x->g;
  for (uint32_t i = 0; i < g->n_states; i++) {
    const GraphState *s = &g->states[i];
    const char *now = x->name[s->now], *next = xp_fresh(x, now, "next");
    const Value *v = graph_val(g, s->now);
    xp_const(x, now, v->dtype, &v->shape, val_data(g, s->init));
    value_info(infos, 11, now, v);
    XpNode n = {0};
    xp_in(&n, xp_plain(x, s->next));
    xp_end(x, &n, "Identity", next);
    value_info(infos, 12, next, v);
    sb_printf(pairs, "%s\n%s\n", now, next);
  }
}

static void write_property(StrBuf *to, const char *key, const char *value) {
  StrBuf property = {0};
  pb_str(&property, 1, key);
  pb_str(&property, 2, value);
  pb_message(to, 14, &property);
}

static void write_model(Export *x, const StrBuf *infos, const StrBuf *states, StrBuf *out) {
  StrBuf graph = {0}, opset = {0};
  sb_write(&graph, x->nodes.s, x->nodes.len);
  pb_str(&graph, 2, x->g->name && *x->g->name ? x->g->name : "model");
  if (x->initializers.len) sb_write(&graph, x->initializers.s, x->initializers.len);
  sb_write(&graph, infos->s, infos->len);
  pb_int(out, 1, ir_version(x->opset));
  pb_str(out, 2, "mistify");
  pb_message(out, 7, &graph);
  pb_str(&opset, 1, "");
  pb_int(&opset, 2, x->opset);
  pb_message(out, 8, &opset);
  if (x->rounding >= 0) write_property(out, OX_ROUNDING_KEY, ox_rounding_name(x->rounding));
  if (states->len) write_property(out, OX_STATES_KEY, states->s);
}

static bool export_graph(Export *x, StrBuf *out) {
  StrBuf infos = {0}, states = {0};
  x->opset = find_opset(x->g);
  name_values(x);
  bool ok = export_nodes(x);
  if (ok) {
    for (uint32_t i = 0; i < x->g->n_inputs; i++)
      value_info(&infos, 11, x->name[x->g->inputs[i]], graph_val(x->g, x->g->inputs[i]));
    export_outputs(x, &infos);
    export_states(x, &infos, &states);
    write_model(x, &infos, &states, out);
  }
  sb_free(&infos);
  sb_free(&states);
  return ok;
}

static bool export_to(const Graph *g, int rounding, const char *path, Diag *d) {
  Export x = {.g = g, .d = d, .rounding = rounding, .arena = arena_new()};
  x.name = arena_array(x.arena, g->n_vals, sizeof *x.name);
  x.image_name = arena_array(x.arena, g->n_vals, sizeof *x.image_name);
  x.plain = arena_array(x.arena, g->n_vals, sizeof *x.plain);
  x.image = arena_array(x.arena, g->n_vals, sizeof *x.image);
  x.absorbed = arena_array(x.arena, g->n_nodes, sizeof *x.absorbed);
  StrBuf out = {0};
  bool ok = export_graph(&x, &out) && file_write(path, out.s, out.len, d);
  sb_free(&out);
  sb_free(&x.nodes);
  sb_free(&x.initializers);
  names_free(&x.names);
  arena_free(x.arena);
  return ok;
}

/* ONNX says nothing of integer arithmetic on int16 codes; between Dequantize and Quantize it would round otherwise. */
static bool want_no_int16(const Graph *g, const Node *n, Diag *d) {
  const Value *v = graph_val(g, n->in[0]), *y = graph_val(g, n->out[0]);
  const bool converts = n->op == OP_quantize && v->dtype != DT_F32,
             moves = op_info(n->op)->traits & (T_MOVE | T_VIEW);
  const bool codes = v->dtype == DT_I16 && v->quant.n > 0;
  if (converts ? v->dtype != DT_I16 && y->dtype != DT_I16 && v->dtype != DT_I32 && y->dtype != DT_I32
               : !codes || moves || n->op == OP_dequantize || n->op == OP_cast || n->op == OP_svdf ||
                     n->op == OP_svdf_state)
    return true;
  return diag_error(d, &n->loc,
                    "%s of %s to %s codes cannot be written as ONNX, which computes on none; write .tflite",
                    op_info(n->op)->name, dtype_name(v->dtype), dtype_name(y->dtype));
}

bool onnx_export(const Graph *g, const char *path, Diag *d) {
  bool ok = true;
  for (uint32_t k = 0; k < g->n_nodes; k++)
    if (g->nodes[k].n_in > 0 && g->nodes[k].in[0] != NO_VAL) ok = want_no_int16(g, &g->nodes[k], d) && ok;
  TRY(ok);
  Graph *wide = graph_widen_int4(g, d), *q = wide ? qdq_expand(wide, d) : NULL;
  graph_free(wide);
  ok = q && export_to(q, qdq_rounding(g), path, d);
  graph_free(q);
  return ok;
}
