/* ONNX tensors as constants, and the types of graph inputs.
 *
 *   TensorProto: dims 1, data_type 2, float_data 4, int32_data 5, string_data 6, int64_data 7, name 8, raw_data 9,
 *                double_data 10, uint64_data 11, external_data 13, data_location 14
 *   ValueInfoProto: type 2 > tensor_type 1 > elem_type 1, shape 2 > dim 1 > dim_value 1, dim_param 2
 *
 * Raw data are little-endian and stay in the file (a view); typed fields are decoded into a new blob. Elements of 4 and
 * 2 bits are packed, low bits first, in raw data and in int32_data (a byte an entry); they are unpacked, one a byte.
 */
#include <inttypes.h>
#include <string.h>

#include "frontend/onnx/onnx_model.h"
#include "ir/base/mem.h"

static const struct {
  const char *name;
  DType dtype;
} types[] = {
    {"undefined", DT_NONE},
    {"float32", DT_F32},
    {"uint8", DT_U8},
    {"int8", DT_I8},
    {"uint16", DT_U16},
    {"int16", DT_I16},
    {"int32", DT_I32},
    {"int64", DT_I64},
    {"string", DT_NONE},
    {"bool", DT_BOOL},
    {"float16", DT_F16},
    {"float64", DT_F64},
    {"uint32", DT_U32},
    {"uint64", DT_U64},
    {"complex64", DT_NONE},
    {"complex128", DT_NONE},
    {"bfloat16", DT_BF16},
    {"float8e4m3fn", DT_F8E4M3},
    {"float8e4m3fnuz", DT_F8E4M3UZ},
    {"float8e5m2", DT_F8E5M2},
    {"float8e5m2fnuz", DT_F8E5M2UZ},
    {"uint4", DT_U4},
    {"int4", DT_I4},
    {"float4e2m1", DT_F4E2M1},
    {"float8e8m0", DT_F8E8M0},
    {"uint2", DT_U2},
    {"int2", DT_I2},
};
enum { N_TYPES = sizeof types / sizeof types[0] };

DType ox_dtype(int64_t type) { return type >= 0 && type < N_TYPES ? types[type].dtype : DT_NONE; }

const char *ox_type_name(int64_t type) {
  return type >= 0 && type < N_TYPES ? types[type].name : "of an unknown type";
}

typedef struct Proto {
  int64_t type;
  Shape shape;
  uint32_t n_dims;
  WireBytes raw;
  bool external, typed, text;
} Proto;

static void add_dim(void *ctx, uint64_t v) {
  Proto *p = ctx;
  if (p->n_dims < MAX_RANK) p->shape.d[p->n_dims] = (int64_t)v;
  p->n_dims++;
}

static void read_proto(OxModel *m, WireBytes body, Proto *p) {
  WireField f;
  while (wire_next(&m->w, &body, &f)) {
    switch (f.id) {
    case 1: wire_repeated(&m->w, &f, WIRE_VARINT, add_dim, p); break;
    case 2:
      if (wire_is(&m->w, &f, WIRE_VARINT)) p->type = (int64_t)f.v;
      break;
    case 9:
      if (wire_is(&m->w, &f, WIRE_BYTES)) p->raw = f.bytes;
      break;
    case 4:
    case 5:
    case 7:
    case 10:
    case 11: p->typed = true; break;
    case 6: p->text = true; break;
    case 13: p->external = true; break;
    case 14: p->external = p->external || f.v == 1; break;
    default: break;
    }
  }
}

static bool check_proto(OxModel *m, Proto *p, const char *name, const Loc *loc) {
  if (ox_dtype(p->type) == DT_NONE || p->text) {
    diag_error(m->d, loc, "constant \"%s\" has elements of %s (type %" PRId64 "), which are not supported",
               name, ox_type_name(p->type), p->type);
    diag_hint(m->d, "supported are floats of 4 to 64 bits, integers of 2 to 64 bits, and bool");
    return false;
  }
  FAIL_IF(p->n_dims > MAX_RANK, m->d, loc, "constant \"%s\" has %u dimensions; supported are at most %d",
          name, p->n_dims, MAX_RANK);
  p->shape.rank = (int32_t)p->n_dims;
  for (int i = 0; i < p->shape.rank; i++)
    FAIL_IF(p->shape.d[i] < 0, m->d, loc, "constant \"%s\": dimension %d is %" PRId64, name, i,
            p->shape.d[i]);
  FAIL_IF(!shape_valid(&p->shape, ox_dtype(p->type)), m->d, loc,
          "constant \"%s\" is larger than the IR allows", name);
  return true;
}

/* Decoding of typed fields into bytes of the element's type. */
typedef struct Decode {
  DType t;
  uint8_t *to;
  size_t n, cap; /* elements got, wanted */
} Decode;

static void add_element(void *ctx, uint64_t v) {
  Decode *c = ctx;
  size_t size = dtype_size(c->t);
  if (c->n < c->cap) {
    uint8_t *p = c->to + c->n * size;
    for (size_t i = 0; i < size; i++) p[i] = (uint8_t)(v >> 8 * i);
    if (c->t == DT_BOOL) *p = v != 0;
  }
  c->n++;
}

/* The field that holds elements of type t, and the kind of one element in it. */
static uint32_t typed_field(DType t, WireKind *kind) {
  *kind = t == DT_F32 ? WIRE_32 : t == DT_F64 ? WIRE_64 : WIRE_VARINT;
  if (t == DT_U32 || t == DT_U64) return 11;
  return t == DT_F32 ? 4 : t == DT_F64 ? 10 : t == DT_I64 ? 7 : 5;
}

/* Elements in one packed byte. */
static size_t per_byte(DType t) { return t == DT_BOOL || dtype_bits(t) >= 8 ? 1 : 8 / (size_t)dtype_bits(t); }

/* `count` elements of 2 or 4 bits, one a byte; integers extended to it. */
static Blob *unpack(DType t, const uint8_t *packed, size_t count) {
  const size_t bits = (size_t)dtype_bits(t), n = per_byte(t);
  const uint8_t mask = (uint8_t)((1u << bits) - 1),
                sign = dtype_kind(t) == 'i' ? (uint8_t)(1u << (bits - 1)) : 0;
  uint8_t *to = mem_alloc_aligned(count + 1, 64);
  for (size_t i = 0; i < count; i++) {
    const uint8_t v = packed[i / n] >> i % n * bits & mask;
    to[i] = (uint8_t)((v ^ sign) - sign);
  }
  return blob_adopt(to, count);
}

static ValId typed_const(OxModel *m, Graph *g, WireBytes body, const Proto *p, const char *name,
                         const Loc *loc) {
  DType t = ox_dtype(p->type);
  const size_t all = (size_t)shape_count(&p->shape), count = (all + per_byte(t) - 1) / per_byte(t);
  const size_t bytes = count * dtype_size(t);
  WireKind kind;
  uint32_t id = typed_field(t, &kind);
  /* An element takes a byte at least: a short file cannot claim much memory. */
  if (count > body.n) {
    diag_error(m->d, loc, "constant \"%s\" has too few elements for its shape", name);
    return NO_VAL;
  }
  Decode c = {.t = t, .to = mem_alloc_aligned(bytes, 64), .cap = count};
  WireField f;
  while (wire_next(&m->w, &body, &f))
    if (f.id == id) wire_repeated(&m->w, &f, kind, add_element, &c);
  Blob *blob = blob_adopt(c.to, bytes);
  if (c.n == count && !m->w.what && per_byte(t) > 1) {
    Blob *packed = blob;
    blob = unpack(t, blob_raw(packed), all);
    blob_unref(packed);
  }
  if (c.n == count && !m->w.what) return graph_const(g, name, t, &p->shape, blob);
  blob_unref(blob);
  if (m->w.what)
    ox_corrupt(m);
  else
    diag_error(m->d, loc, "constant \"%s\" has %zu elements; its shape wants %zu", name, c.n, count);
  return NO_VAL;
}

ValId ox_tensor(OxModel *m, Graph *g, WireBytes body, const char *name, const Loc *loc) {
  Proto p = {.type = 0};
  read_proto(m, body, &p);
  if (m->w.what) {
    ox_corrupt(m);
    return NO_VAL;
  }
  if (!check_proto(m, &p, name, loc)) return NO_VAL;
  Blob *keep = m->bytes;
  bool open = false;
  if (p.external && !ox_external(m, body, name, loc, &p.raw, &keep, &open)) return NO_VAL;
  if (!p.raw.p || (p.raw.n == 0 && p.typed)) return typed_const(m, g, body, &p, name, loc);
  DType t = ox_dtype(p.type);
  const size_t count = (size_t)shape_count(&p.shape), packed = per_byte(t);
  const size_t want = (count + packed - 1) / packed * dtype_size(t);
  if (open && p.raw.n > want) p.raw.n = want;
  if (p.raw.n != want) {
    diag_error(m->d, loc, "constant \"%s\" has %zu bytes of data; its shape wants %zu", name, p.raw.n, want);
    return NO_VAL;
  }
  if (packed > 1) return graph_const(g, name, t, &p.shape, unpack(t, p.raw.p, count));
  return graph_const(g, name, t, &p.shape, blob_view(keep, p.raw.p, p.raw.n));
}

/* -- graph inputs -- */

/* The message in field `id` of a message; p NULL: absent. */
static WireBytes sub_message(OxModel *m, WireBytes body, uint32_t id) {
  WireBytes found = {NULL, 0};
  WireField f;
  while (wire_next(&m->w, &body, &f))
    if (f.id == id && wire_is(&m->w, &f, WIRE_BYTES)) found = f.bytes;
  return found;
}

static bool read_dim(OxModel *m, WireBytes body, const char *name, Shape *s) {
  Loc loc = {.file = m->path, .name = name};
  WireField f;
  int64_t value = 0;
  bool given = false;
  WireBytes param = {NULL, 0};
  while (wire_next(&m->w, &body, &f)) {
    if (f.id == 1 && wire_is(&m->w, &f, WIRE_VARINT)) {
      value = (int64_t)f.v;
      given = true;
    }
    if (f.id == 2 && wire_is(&m->w, &f, WIRE_BYTES)) param = f.bytes;
  }
  FAIL_IF(s->rank == MAX_RANK, m->d, &loc, "input has more than %d dimensions", MAX_RANK);
  int axis = s->rank++;
  s->d[axis] = value;
  if (given && value >= 0 && value <= INT32_MAX) return true;
  FAIL_IF(given, m->d, &loc, "input has dimension %" PRId64 "; want at least 0, or a symbolic batch", value);
  s->d[axis] = DIM_BATCH;
  if (axis == 0) return true;
  diag_error(m->d, &loc,
             "input has a symbolic dimension %d (\"%.*s\"); only the first, the batch, may be symbolic", axis,
             param.n < 64 ? (int)param.n : 64, param.n ? (const char *)param.p : "");
  diag_hint(m->d, "export the model with this dimension fixed, or fix it with "
                  "onnxruntime.tools.make_dynamic_shape_fixed");
  return false;
}

bool ox_value_info(OxModel *m, WireBytes info, const char *name, DType *t, Shape *s) {
  Loc loc = {.file = m->path, .name = name};
  WireBytes tensor = sub_message(m, sub_message(m, info, 2), 1), body = tensor;
  WireField f;
  int64_t type = 0;
  FAIL_IF(!tensor.p && !m->w.what, m->d, &loc, "input is no tensor (a sequence, a map, or of no type)");
  while (wire_next(&m->w, &body, &f))
    if (f.id == 1 && wire_is(&m->w, &f, WIRE_VARINT)) type = (int64_t)f.v;
  WireBytes shape = sub_message(m, tensor, 2);
  *s = (Shape){.rank = 0};
  FAIL_IF(!shape.p && !m->w.what, m->d, &loc,
          "input has no shape; want one, of which the first dimension may be symbolic");
  while (wire_next(&m->w, &shape, &f))
    if (f.id == 1 && wire_is(&m->w, &f, WIRE_BYTES)) TRY(read_dim(m, f.bytes, name, s));
  if (m->w.what) return ox_corrupt(m);
  *t = ox_dtype(type);
  FAIL_IF(*t == DT_NONE, m->d, &loc, "input has elements of %s (type %" PRId64 "), which are not supported",
          ox_type_name(type), type);
  FAIL_IF(!shape_valid(s, *t), m->d, &loc, "input is larger than the IR allows");
  return true;
}
