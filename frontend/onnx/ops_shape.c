/* ONNX operators that make constants: Constant, Shape, Size, ConstantOfShape, Range.
 *
 * Shape gives OX_BATCH in the place of a symbolic batch; see onnx_op.h for where it may go from there.
 * Source: ONNX operator schemas, opsets 6 to 22.
 */
#include "frontend/onnx/onnx_op.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/lower.h"

enum { MADE_MAX_BYTES = 1 << 26 }; /* of a constant that the file describes in a few bytes */

static ValId const_ints(OxCall *c, const int64_t *v, int64_t n) {
  return graph_const_data(c->g, ox_out_name(c, 0), DT_I64, &(Shape){1, {n}}, v);
}

static ValId const_int(OxCall *c, int64_t v) {
  return graph_const_data(c->g, ox_out_name(c, 0), DT_I64, &(Shape){.rank = 0}, &v);
}

/* -- Constant -- */

typedef struct List {
  void *v;
  size_t n, cap;
  bool floats;
} List;

static void add_to_list(void *ctx, uint64_t v) {
  List *l = ctx;
  size_t size = l->floats ? sizeof(float) : sizeof(int64_t);
  mem_grow(&l->v, &l->cap, l->n + 1, size);
  if (l->floats)
    ((float *)l->v)[l->n++] = wire_f32(v);
  else
    ((int64_t *)l->v)[l->n++] = (int64_t)v;
}

static ValId constant_list(OxCall *c, const OxAttr *a, bool floats) {
  List l = {.floats = floats};
  WireBytes body = a->body;
  WireField f;
  while (wire_next(&c->m->w, &body, &f))
    if (f.id == (floats ? 7u : 8u))
      wire_repeated(&c->m->w, &f, floats ? WIRE_32 : WIRE_VARINT, add_to_list, &l);
  Shape s = {1, {(int64_t)l.n}};
  DType t = floats ? DT_F32 : DT_I64;
  ValId v = NO_VAL;
  if (c->m->w.what)
    ox_corrupt(c->m);
  else
    v = graph_const_data(c->g, ox_out_name(c, 0), t, &s, l.v);
  mem_free(l.v);
  return v;
}

bool ox_import_constant(OxCall *c) {
  OX_FAIL_IF(c->node->n_attrs != 1, c, "has %u attributes; want one that is its value", c->node->n_attrs);
  const OxAttr *a = &c->node->attrs[0];
  const char *name = ox_out_name(c, 0);
  if (strcmp(a->name, "value") == 0) {
    a = ox_attr(c, "value", OX_ATTR_TENSOR);
    return a && ox_done(c, ox_tensor(c->m, c->g, a->t, name, &c->loc));
  }
  if (strcmp(a->name, "value_int") == 0) return ox_done(c, const_int(c, ox_int(c, "value_int", 0)));
  if (strcmp(a->name, "value_float") == 0) {
    float f = ox_float(c, "value_float", 0);
    return ox_done(c, graph_const_data(c->g, name, DT_F32, &(Shape){.rank = 0}, &f));
  }
  if (strcmp(a->name, "value_ints") == 0) return ox_done(c, constant_list(c, a, false));
  if (strcmp(a->name, "value_floats") == 0) return ox_done(c, constant_list(c, a, true));
  return ox_fail(c, "has attribute \"%s\"; supported are value, value_int(s) and value_float(s)", a->name);
}

/* -- shapes as numbers -- */

bool ox_import_shape(OxCall *c) {
  ValId x = ox_in(c, 0);
  TRY(x != NO_VAL);
  Shape s = ox_shape(c, x);
  int64_t start = ox_int(c, "start", 0), end = ox_int(c, "end", s.rank), d[MAX_RANK], n = 0;
  if (start < 0) start += s.rank;
  if (end < 0) end += s.rank;
  for (int64_t i = start < 0 ? 0 : start; i < end && i < s.rank; i++)
    d[n++] = s.d[i] == DIM_BATCH ? OX_BATCH : s.d[i];
  return ox_done(c, const_ints(c, d, n));
}

bool ox_import_size(OxCall *c) {
  ValId x = ox_in(c, 0);
  TRY(x != NO_VAL);
  Shape s = ox_shape(c, x);
  OX_FAIL_IF(!shape_is_static(&s), c, "counts elements of a tensor with a symbolic batch");
  return ox_done(c, const_int(c, shape_count(&s)));
}

/* Shape of a constant to be made, small enough. */
static bool made_shape(OxCall *c, const Ints *list, DType t, Shape *s) {
  OX_FAIL_IF(list->n > MAX_RANK, c, "makes %" PRId32 " dimensions; supported are at most %d", list->n,
             MAX_RANK);
  *s = (Shape){.rank = list->n};
  int64_t bytes = (int64_t)dtype_size(t);
  for (int32_t i = 0; i < list->n; i++) {
    s->d[i] = list->v[i];
    OX_FAIL_IF(s->d[i] < 0, c, "makes dimension %" PRId32 " of %" PRId64 " elements", i, s->d[i]);
    OX_FAIL_IF(s->d[i] > 0 && bytes > MADE_MAX_BYTES / s->d[i], c, "makes a constant of more than %d bytes",
               MADE_MAX_BYTES);
    bytes *= s->d[i];
  }
  return true;
}

bool ox_import_constant_of_shape(OxCall *c) {
  Ints list;
  TRY(ox_const_ints(c, 0, false, &list));
  const OxAttr *a = ox_attr(c, "value", OX_ATTR_TENSOR);
  float zero = 0;
  ValId value = a ? ox_tensor(c->m, c->g, a->t, "value", &c->loc)
                  : graph_const_data(c->g, NULL, DT_F32, &(Shape){.rank = 0}, &zero);
  TRY(value != NO_VAL);
  Shape vs = ox_shape(c, value), s;
  OX_FAIL_IF(shape_count(&vs) != 1, c, "has a value of %" PRId64 " elements; want one", shape_count(&vs));
  DType t = ox_type(c, value);
  TRY(made_shape(c, &list, t, &s));
  size_t size = dtype_size(t), bytes = (size_t)shape_count(&s) * size;
  uint8_t *to = mem_alloc_aligned(bytes, 64);
  for (size_t i = 0; i < bytes; i += size) memcpy(to + i, val_data(c->g, value), size);
  return ox_done(c, graph_const(c->g, ox_out_name(c, 0), t, &s, blob_adopt(to, bytes)));
}

/* start, start + delta, ... below (above) the limit. */
bool ox_import_range(OxCall *c) {
  double start, limit, delta;
  TRY(ox_const_number(c, 0, &start) && ox_const_number(c, 1, &limit) && ox_const_number(c, 2, &delta));
  const DType t = ox_type(c, c->in[0]);
  OX_FAIL_IF(dtype_bits(t) < 16, c, "has elements of %s; want numbers of 16 bits and more", dtype_name(t));
  OX_FAIL_IF(dtype_is_int(t) && (fabs(start) > 0x1p62 || fabs(limit) > 0x1p62), c,
             "makes numbers of more than 62 bits");
  double steps = delta == 0 ? -1 : ceil((limit - start) / delta);
  OX_FAIL_IF(delta == 0 || !(steps < MADE_MAX_BYTES / 8), c, "makes %g elements in steps of %g", steps,
             delta);
  Shape s = {1, {steps > 0 ? (int64_t)steps : 0}};
  const size_t bytes = (size_t)s.d[0] * dtype_size(t);
  uint8_t *to = mem_alloc_aligned(bytes, 64);
  for (int64_t i = 0; i < s.d[0]; i++) {
    const double v = start + (double)i * delta;
    if (t == DT_F64)
      ((double *)(void *)to)[i] = v;
    else if (t == DT_F32)
      ((float *)(void *)to)[i] = (float)v;
    else
      dtype_set(t, to, i, dtype_is_int(t) ? (int64_t)v : lower_store_float(t, (float)v));
  }
  return ox_done(c, graph_const(c->g, ox_out_name(c, 0), t, &s, blob_adopt(to, bytes)));
}
