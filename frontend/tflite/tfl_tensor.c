/* Tensors of a TFLite model: type, shape, quantization and constant bytes, read and checked at first use, so
 * that what no output depends on cannot stand in the way. Constant bytes stay in the file (views).
 * Source: TensorFlow Lite schema version 3; quantization specification (int8: per tensor, or symmetric along
 * one axis of weights).
 */
#include "frontend/tflite/tfl.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"

static const struct {
  const char *name;
  DType dtype; /* DT_NONE: not supported */
} types[] = {
    {"FLOAT32", DT_F32},    {"FLOAT16", DT_I16},  {"INT32", DT_I32},    {"UINT8", DT_I8},
    {"INT64", DT_I64},      {"STRING", DT_NONE},  {"BOOL", DT_BOOL},    {"INT16", DT_I16},
    {"COMPLEX64", DT_NONE}, {"INT8", DT_I8},      {"FLOAT64", DT_NONE}, {"COMPLEX128", DT_NONE},
    {"UINT64", DT_NONE},    {"RESOURCE", DT_I32}, {"VARIANT", DT_NONE}, {"UINT32", DT_NONE},
    {"UINT16", DT_NONE},    {"INT4", DT_I8},
};

bool tfl_may_make(Tfl *m, int64_t count, size_t size, const Loc *loc) {
  const int64_t bytes = count * (int64_t)size; /* of a shape in the file: below 2^31 elements of 8 bytes */
  FAIL_IF(bytes > import_made_most(m->fb.n) - m->made, m->d, loc,
          "makes a constant of %" PRId64 " bytes; constants here and before would take more than %d bytes",
          bytes, (int)IMPORT_MADE_BYTES);
  m->made += bytes;
  return true;
}

const char *tfl_type_name(uint8_t type) {
  return type < sizeof types / sizeof types[0] ? types[type].name : "an unknown type";
}

/* The tensor's name for messages and the text form, without control characters. Of a fused operator's name, a list
 * of all that went into it ("relu;conv;bias"), the first part is kept. */
static const char *read_name(Tfl *m, const FbTable *t) {
  size_t n;
  const char *s = fb_string(t, TENSOR_NAME, &n);
  if (!s) return "";
  const char *end = memchr(s, ';', n);
  if (end && end > s) n = (size_t)(end - s);
  char *copy = arena_strndup(m->g->arena, s, n < 200 ? n : 200);
  for (char *c = copy; *c; c++)
    if ((unsigned char)*c < 32 || *c == 127) *c = '?';
  return copy;
}

static bool read_type(Tfl *m, const FbTable *t, TflTensor *out, const Loc *loc) {
  uint8_t type = fb_u8(t, TENSOR_TYPE, 0);
  out->dtype = type < sizeof types / sizeof types[0] ? types[type].dtype : DT_NONE;
  out->stored = type;
  if (out->dtype != DT_NONE) return true;
  return diag_error(
      m->d, loc,
      "tensor \"%s\" has elements of %s (type %u); supported are FLOAT32, FLOAT16 and INT4 weights, "
      "INT8, UINT8, INT16, INT32, INT64, BOOL",
      out->name, tfl_type_name(type), type);
}

static bool read_shape(Tfl *m, const FbTable *t, TflTensor *out, const Loc *loc) {
  FbVec v = fb_vec(t, TENSOR_SHAPE, 4);
  FAIL_IF(v.n > MAX_RANK, m->d, loc, "tensor \"%s\" has %u dimensions; supported are at most %d", out->name,
          v.n, MAX_RANK);
  int64_t count = 1;
  out->shape.rank = (int32_t)v.n;
  for (uint32_t i = 0; i < v.n; i++) {
    int32_t d = fb_vec_i32(&v, i);
    FAIL_IF(d < 1, m->d, loc,
            "tensor \"%s\": dimension %u is %" PRId32 "; want a fixed shape, each at least 1", out->name, i,
            d);
    out->shape.d[i] = d;
    count *= d;
    FAIL_IF(count > INT32_MAX, m->d, loc, "tensor \"%s\" has more than 2^31 elements", out->name);
  }
  return true;
}

/* The scale of a per-channel list must fit the axis it goes along. */
static bool quant_fits(const FbVec *scale, const FbVec *zero, int32_t axis, const Shape *s) {
  if (zero->n > 1 && zero->n != scale->n) return false;
  if (scale->n == 1) return true;
  return axis >= 0 && axis < s->rank && s->d[axis] == scale->n;
}

static bool read_quant(Tfl *m, const FbTable *t, TflTensor *out, const Loc *loc) {
  FbTable q = fb_table(t, TENSOR_QUANT);
  FbVec scale = fb_vec(&q, QUANT_SCALE, 4), zero = fb_vec(&q, QUANT_ZERO, 8);
  if (scale.n == 0 || out->dtype == DT_F32 || out->dtype == DT_BOOL || out->stored == TFL_FLOAT16)
    return true;
  int64_t lo = out->stored == TFL_UINT8 ? 0 : out->dtype == DT_I8 ? -128 : 0;
  int64_t hi = out->stored == TFL_UINT8 ? 255 : out->dtype == DT_I8 ? 127 : 0;
  FAIL_IF(fb_u8(&q, QUANT_DETAILS_TYPE, 0) != 0, m->d, loc,
          "tensor \"%s\" has a quantization of a kind that is not supported; want scales and zero points",
          out->name);
  int32_t axis = scale.n == 1 ? 0 : fb_i32(&q, QUANT_AXIS, 0);
  char shape[80];
  shape_format(&out->shape, shape, sizeof shape);
  FAIL_IF(!quant_fits(&scale, &zero, axis, &out->shape), m->d, loc,
          "tensor \"%s\" of shape %s has %u scales and %u zero points along axis %" PRId32, out->name, shape,
          scale.n, zero.n, axis);
  float *scales = arena_array(m->g->arena, scale.n, sizeof *scales);
  int32_t *zeros = arena_array(m->g->arena, scale.n, sizeof *zeros);
  for (uint32_t i = 0; i < scale.n; i++) {
    scales[i] = fb_vec_f32(&scale, i);
    int64_t z = zero.n == 0 ? 0 : fb_vec_i64(&zero, zero.n == 1 ? 0 : i);
    bool bad = !isfinite(scales[i]) || !(scales[i] > 0) || z < lo || z > hi;
    FAIL_IF(bad, m->d, loc, "tensor \"%s\" has scale %g and zero point %" PRId64 " for %s elements",
            out->name, (double)scales[i], z, tfl_type_name(out->stored));
    zeros[i] = (int32_t)z - (out->stored == TFL_UINT8 ? 128 : 0);
  }
  out->quant = (Quant){.n = (int32_t)scale.n, .axis = axis, .scale = scales, .zero = zeros};
  return true;
}

/* Constant bytes: in the buffer's table, or (files above 2 GB) at an offset of the file. */
static bool read_data(Tfl *m, const FbTable *t, TflTensor *out, const Loc *loc) {
  uint32_t index = fb_u32(t, TENSOR_BUFFER, 0);
  if (index == 0 || out->produced) return true;
  FAIL_IF(index >= m->buffers.n, m->d, loc, "tensor \"%s\" is in buffer %u, but the file has %u buffers",
          out->name, index, m->buffers.n);
  FbTable b = fb_vec_table(&m->buffers, index);
  FbVec data = fb_vec(&b, BUFFER_DATA, 1);
  uint64_t at = fb_u64(&b, BUFFER_OFFSET, 0), n = fb_u64(&b, BUFFER_SIZE, 0);
  if (at > 1) {
    FAIL_IF(at > m->fb.n || n > m->fb.n - at, m->d, loc, "tensor \"%s\": its data lies outside of the file",
            out->name);
  } else {
    at = data.at;
    n = data.n;
  }
  if (n == 0) return true;
  FAIL_IF(fb_table(t, TENSOR_SPARSITY).at != 0, m->d, loc,
          "tensor \"%s\" is stored sparsely; want dense weights", out->name);
  uint64_t want = (uint64_t)shape_count(&out->shape) * dtype_size(out->dtype);
  if (out->stored == TFL_INT4) want = (want + 1) / 2;
  FAIL_IF(n != want, m->d, loc, "tensor \"%s\" has %" PRIu64 " bytes of data; its shape wants %" PRIu64,
          out->name, n, want);
  out->data = m->fb.p + at;
  return true;
}

static bool read_tensor(Tfl *m, int32_t index, TflTensor *out, const Loc *loc) {
  FbTable t = fb_vec_table(&m->file_tensors, (uint32_t)index);
  out->name = read_name(m, &t);
  TRY(read_type(m, &t, out, loc));
  TRY(read_shape(m, &t, out, loc));
  TRY(read_quant(m, &t, out, loc));
  TRY(read_data(m, &t, out, loc));
  FAIL_IF(out->stored == TFL_UINT8 && out->quant.n == 0, m->d, loc,
          "tensor \"%s\" has elements of UINT8 without a scale; want quantized ones", out->name);
  FAIL_IF((out->stored == TFL_INT4 || out->stored == TFL_FLOAT16) && !out->data, m->d, loc,
          "tensor \"%s\" of %s is computed; supported are constants", out->name, tfl_type_name(out->stored));
  out->variable = fb_u8(&t, TENSOR_VARIABLE, 0) != 0 && !out->data && !out->produced;
  FAIL_IF(m->fb.what, m->d, loc, "tensor %" PRId32 " cannot be read: %s at byte %zu", index, m->fb.what,
          m->fb.at);
  return true;
}

TflTensor *tfl_tensor(Tfl *m, int32_t index, const Loc *loc) {
  if (index < 0 || (uint32_t)index >= m->n_tensors) {
    diag_error(m->d, loc, "refers to tensor %" PRId32 ", but the file has %u tensors", index, m->n_tensors);
    return NULL;
  }
  TflTensor *t = &m->tensors[index];
  if (t->state == TFL_UNREAD) t->state = read_tensor(m, index, t, loc) ? TFL_READ : TFL_BROKEN;
  return t->state == TFL_READ ? t : NULL;
}

/* Constant bytes stay in the file, but for UINT8 (made INT8: the zero point went down by 128, too) and INT4 (two to
 * a byte, the lower half first). */
static ValId constant(Tfl *m, const TflTensor *t) {
  size_t count = (size_t)shape_count(&t->shape), bytes = count * dtype_size(t->dtype);
  if (t->stored != TFL_UINT8 && t->stored != TFL_INT4)
    return graph_const(m->g, t->name, t->dtype, &t->shape, blob_view(m->bytes, t->data, bytes));
  int8_t *codes = mem_array(count, sizeof *codes);
  for (size_t i = 0; i < count; i++) {
    if (t->stored == TFL_UINT8) {
      codes[i] = (int8_t)((int)t->data[i] - 128);
      continue;
    }
    int half = t->data[i / 2] >> (i % 2 ? 4 : 0) & 15;
    codes[i] = (int8_t)(half > 7 ? half - 16 : half);
  }
  ValId v = graph_const_data(m->g, t->name, t->dtype, &t->shape, codes);
  mem_free(codes);
  return v;
}

ValId tfl_value(Tfl *m, int32_t index, const Loc *loc) {
  TflTensor *t = tfl_tensor(m, index, loc);
  if (!t) return NO_VAL;
  if (t->val != NO_VAL) return t->val;
  if (t->variable) return tfl_variable(m, t, loc);
  if (!t->data) {
    if (t->produced)
      diag_error(m->d, loc,
                 "reads tensor \"%s\" before it is computed: the operators are cyclic or out of order",
                 t->name);
    else
      diag_error(m->d, loc,
                 "reads tensor \"%s\", which nothing computes, and which is no input and no constant",
                 t->name);
    t->state = TFL_BROKEN;
    return NO_VAL;
  }
  if (t->stored == TFL_FLOAT16) {
    diag_error(m->d, loc, "reads \"%s\" of FLOAT16 elements; only DEQUANTIZE may", t->name);
    return NO_VAL;
  }
  t->val = constant(m, t);
  if (t->quant.n) graph_set_quant(m->g, t->val, t->quant.n, t->quant.axis, t->quant.scale, t->quant.zero);
  return t->val;
}
