/* What the import functions of ONNX operators share: attributes, constant inputs, nodes. See onnx_op.h. */
#include "frontend/onnx/onnx_op.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/lower.h"

/* -- attributes -- */

static const char *attr_type_name(int type) {
  static const char *const names[] = {"undefined", "float",  "int",  "string", "tensor",
                                      "graph",     "floats", "ints", "strings"};
  return type >= 0 && type < (int)(sizeof names / sizeof names[0]) ? names[type] : "of another type";
}

const OxAttr *ox_attr(OxCall *c, const char *name, OxAttrType type) {
  for (uint32_t i = 0; i < c->node->n_attrs; i++) {
    const OxAttr *a = &c->node->attrs[i];
    if (strcmp(a->name, name) != 0) continue;
    if (a->type == (int)type || a->type == OX_ATTR_NONE) return a;
    ox_fail(c, "attribute \"%s\" is %s; want %s", name, attr_type_name(a->type), attr_type_name((int)type));
    c->failed = true;
    return NULL;
  }
  return NULL;
}

int64_t ox_int(OxCall *c, const char *name, int64_t otherwise) {
  const OxAttr *a = ox_attr(c, name, OX_ATTR_INT);
  return a ? a->i : otherwise;
}

float ox_float(OxCall *c, const char *name, float otherwise) {
  const OxAttr *a = ox_attr(c, name, OX_ATTR_FLOAT);
  return a ? a->f : otherwise;
}

bool ox_string_is(OxCall *c, const char *name, const char *text, bool otherwise) {
  const OxAttr *a = ox_attr(c, name, OX_ATTR_STRING);
  return a ? wire_str_is(a->s, text) : otherwise;
}

static void add_int(void *ctx, uint64_t v) {
  Ints *list = ctx;
  if (list->n < MAX_RANK * 2) list->v[list->n] = (int64_t)v;
  list->n++;
}

bool ox_ints(OxCall *c, const char *name, Ints *out) {
  *out = (Ints){0};
  const OxAttr *a = ox_attr(c, name, OX_ATTR_INTS);
  if (!a) return false;
  WireBytes body = a->body;
  WireField f;
  while (wire_next(&c->m->w, &body, &f))
    if (f.id == 8 && !wire_repeated(&c->m->w, &f, WIRE_VARINT, add_int, out)) break;
  if (!c->m->w.what && out->n <= MAX_RANK * 2) return true;
  c->failed = true;
  *out = (Ints){0};
  if (c->m->w.what) return ox_corrupt(c->m);
  return ox_fail(c, "attribute \"%s\" has too many integers; want at most %d", name, MAX_RANK * 2);
}

typedef struct FloatList {
  float *v;
  int n, max;
} FloatList;

static void add_float(void *ctx, uint64_t v) {
  FloatList *list = ctx;
  if (list->n < list->max) list->v[list->n] = wire_f32(v);
  list->n++;
}

int ox_floats(OxCall *c, const char *name, float *out, int max) {
  FloatList list = {.v = out, .max = max};
  const OxAttr *a = ox_attr(c, name, OX_ATTR_FLOATS);
  if (!a) return 0;
  WireBytes body = a->body;
  WireField f;
  while (wire_next(&c->m->w, &body, &f))
    if (f.id == 7 && !wire_repeated(&c->m->w, &f, WIRE_32, add_float, &list)) break;
  if (!c->m->w.what && list.n <= max) return list.n;
  c->failed = true;
  if (c->m->w.what)
    ox_corrupt(c->m);
  else
    ox_fail(c, "attribute \"%s\" has too many numbers; want at most %d", name, max);
  return 0;
}

/* -- inputs -- */

bool ox_has(const OxCall *c, uint32_t i) { return i < c->n_in && c->in[i] != NO_VAL; }

ValId ox_in(OxCall *c, uint32_t i) {
  if (ox_has(c, i)) return c->in[i];
  ox_fail(c, "input %u is left out; the operator needs it", i);
  return NO_VAL;
}

bool ox_has_output(const OxCall *c, uint32_t i) {
  return i < c->node->n_out && c->node->out[i] != 0 && c->m->values[c->node->out[i]].needed;
}

const char *ox_out_name(const OxCall *c, uint32_t i) {
  return i < c->node->n_out ? c->m->values[c->node->out[i]].name : "";
}

bool ox_has_batch(const Graph *g, ValId v) {
  if (!val_is_const(g, v) || g->vals[v].dtype != DT_I64 || shape_count(&g->vals[v].shape) > MAX_RANK * 8)
    return false;
  const int64_t *p = val_data(g, v);
  for (int64_t i = 0; i < shape_count(&g->vals[v].shape); i++)
    if (p[i] == OX_BATCH) return true;
  return false;
}

bool ox_const_ints(OxCall *c, uint32_t i, bool batch, Ints *out) {
  ValId v = ox_in(c, i);
  TRY(v != NO_VAL);
  const Value *val = graph_val(c->g, v);
  const char *name = c->m->values[c->node->in[i]].name;
  if (!val->blob) {
    ox_fail(c, "input %u (\"%s\") is computed when the model runs; want a constant", i, name);
    diag_hint(c->m->d, "export with fixed shapes, or simplify the model (onnxsim)");
    return false;
  }
  OX_FAIL_IF(val->dtype != DT_I64 && val->dtype != DT_I32, c,
             "input %u (\"%s\") has elements of %s; want int64", i, name, dtype_name(val->dtype));
  OX_FAIL_IF(shape_count(&val->shape) > MAX_RANK * 2, c,
             "input %u (\"%s\") has %" PRId64 " integers; want at most %d", i, name, shape_count(&val->shape),
             MAX_RANK * 2);
  OX_FAIL_IF(!batch && ox_has_batch(c->g, v), c, "input %u (\"%s\") depends on the symbolic batch", i, name);
  const void *p = val_data(c->g, v);
  *out = (Ints){.n = (int32_t)shape_count(&val->shape)};
  for (int32_t k = 0; k < out->n; k++)
    out->v[k] = val->dtype == DT_I64 ? ((const int64_t *)p)[k] : ((const int32_t *)p)[k];
  return true;
}

bool ox_const_number(OxCall *c, uint32_t i, double *out) {
  ValId v = ox_in(c, i);
  TRY(v != NO_VAL);
  const Value *val = graph_val(c->g, v);
  OX_FAIL_IF(!val->blob || shape_count(&val->shape) != 1, c, "input %u (\"%s\") is not one constant number",
             i, c->m->values[c->node->in[i]].name);
  const void *p = val_data(c->g, v);
  const DType t = val->dtype;
  *out = t == DT_F32            ? (double)*(const float *)p
         : t == DT_F64          ? *(const double *)p
         : dtype_kind(t) == 's' ? (double)lower_stored_float(t, dtype_get(t, p, 0))
         : t == DT_U64          ? (double)*(const uint64_t *)p
                                : (double)dtype_get(t, p, 0);
  return true;
}

bool ox_axis(OxCall *c, int64_t axis, int32_t rank, int32_t *out) {
  OX_FAIL_IF(axis < -rank || axis >= rank, c, "axis %" PRId64 " of a tensor with %" PRId32 " dimensions",
             axis, rank);
  *out = (int32_t)(axis < 0 ? axis + rank : axis);
  return true;
}

/* -- nodes -- */

static const char *value_name(OxCall *c, const char *suffix) {
  const char *name = ox_out_name(c, 0);
  return suffix ? arena_printf(c->m->arena, "%s:%s", name, suffix) : name;
}

ValId ox_node(OxCall *c, OpKind op, const void *attrs, const ValId *in, uint32_t n_in, const char *suffix) {
  for (uint32_t i = 0; i < (uint32_t)op_info(op)->min_in; i++)
    if (in[i] == NO_VAL) return NO_VAL; /* reported already */
  return graph_node(c->g, op, attrs, in, n_in, value_name(c, suffix), &c->loc, c->m->d);
}

bool ox_done(OxCall *c, ValId v) {
  c->out[0] = v;
  return v != NO_VAL;
}

bool ox_unary(OxCall *c, OpKind op, const void *attrs) {
  ValId x = ox_in(c, 0);
  return ox_done(c, ox_node(c, op, attrs, &x, 1, NULL));
}

ValId ox_reshape(OxCall *c, ValId x, const Shape *to, const char *suffix) {
  if (x == NO_VAL || shape_equal(&graph_val(c->g, x)->shape, to)) return x;
  reshape_attrs a = {.shape = {.n = to->rank}};
  for (int32_t i = 0; i < to->rank; i++) a.shape.v[i] = to->d[i];
  return ox_node(c, OP_reshape, &a, &x, 1, suffix);
}

ValId ox_transpose(OxCall *c, ValId x, const char *perm, const char *suffix) {
  transpose_attrs a = {.perm = {.n = (int32_t)strlen(perm)}};
  for (int32_t i = 0; i < a.perm.n; i++) a.perm.v[i] = perm[i] - '0';
  return ox_node(c, OP_transpose, &a, &x, 1, suffix);
}

/* -- constants -- */

static const float *const_f32(OxCall *c, ValId x) {
  ASSERT(val_is_const(c->g, x) && graph_val(c->g, x)->dtype == DT_F32);
  return val_data(c->g, x);
}

static ValId new_const(OxCall *c, ValId like, const Shape *s, float *data) {
  const char *name = graph_val(c->g, like)->name;
  return graph_const(c->g, name, DT_F32, s, blob_adopt(data, (size_t)shape_count(s) * sizeof *data));
}

/* The same for weights that are too large to be copied now. */
static ValId transpose_later(OxCall *c, ValId x, const char *perm) {
  const Value *v = graph_val(c->g, x);
  OxCall f = *c;
  f.g = graph_new("weights");
  ValId y = ox_transpose(&f, graph_const(f.g, v->name, v->dtype, &v->shape, blob_ref(v->blob)), perm, NULL),
        out = NO_VAL;
  if (y != NO_VAL) {
    graph_output(f.g, y);
    Blob *b = ox_later(f.g, 0, c->m->d);
    if (b) out = graph_const(c->g, v->name, v->dtype, &graph_val(f.g, y)->shape, b);
  }
  graph_free(f.g);
  return out;
}

ValId ox_const_transpose(OxCall *c, ValId x, const char *perm) {
  if (!val_is_const(c->g, x)) return ox_transpose(c, x, perm, "weights");
  if (val_bytes(c->g, x) > OX_LATER_BYTES) return transpose_later(c, x, perm);
  const float *from = const_f32(c, x);
  Shape s = ox_shape(c, x), to = {.rank = s.rank};
  int64_t stride[MAX_RANK], step[MAX_RANK], at[MAX_RANK] = {0}, k = 1;
  ASSERT((size_t)s.rank == strlen(perm));
  for (int i = s.rank; i-- > 0; k *= s.d[i]) stride[i] = k;
  for (int i = 0; i < s.rank; i++) {
    to.d[i] = s.d[perm[i] - '0'];
    step[i] = stride[perm[i] - '0'];
  }
  int64_t count = shape_count(&to), place = 0;
  float *data = mem_alloc_aligned((size_t)count * sizeof *data, 64);
  for (int64_t n = 0; n < count; n++) {
    data[n] = from[place];
    for (int i = to.rank; i-- > 0;) { /* count up, innermost first */
      place += step[i];
      if (++at[i] < to.d[i]) break;
      place -= at[i] * step[i];
      at[i] = 0;
    }
  }
  return new_const(c, x, &to, data);
}

ValId ox_const_scale(OxCall *c, ValId x, float factor) {
  const float *from = const_f32(c, x);
  Shape s = ox_shape(c, x);
  int64_t count = shape_count(&s);
  float *data = mem_alloc_aligned((size_t)count * sizeof *data, 64);
  for (int64_t n = 0; n < count; n++) data[n] = from[n] * factor;
  return new_const(c, x, &s, data);
}
