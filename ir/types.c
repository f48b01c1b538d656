/* Element types, shapes and quantization parameters: names, sizes, comparison.
 *
 * The table of element types is DTYPES in ir/types.h. A symbolic batch (DIM_BATCH) counts as one element
 * wherever elements are counted; its text form is N. Products assert that they do not overflow: whoever reads
 * shapes from outside (importers, parser) goes through graph_input and graph_const, whose verifier bounds them.
 */
#include "ir/types.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ir/base/diag.h"

static const struct {
  const char *name;
  size_t size;
  char kind;
  int bits;
} dtypes[] = {
#define X(id, name, size, kind, bits) {name, size, kind, bits},
    DTYPES(X)
#undef X
};

static const char *const act_names[ACT_COUNT] = {"none", "relu", "relu6", "relu_n1_to_1"};

const char *dtype_name(DType t) {
  ASSERT(t < DT_COUNT);
  return dtypes[t].name;
}

size_t dtype_size(DType t) {
  ASSERT(t < DT_COUNT);
  return dtypes[t].size;
}

char dtype_kind(DType t) {
  ASSERT(t < DT_COUNT);
  return dtypes[t].kind;
}

int dtype_bits(DType t) {
  ASSERT(t < DT_COUNT);
  return dtypes[t].bits;
}

int64_t dtype_get(DType t, const void *data, int64_t i) {
  const bool is_signed = dtype_kind(t) == 'i';
  switch (dtype_size(t)) {
  case 1: return is_signed ? ((const int8_t *)data)[i] : ((const uint8_t *)data)[i];
  case 2: return is_signed ? ((const int16_t *)data)[i] : ((const uint16_t *)data)[i];
  case 4: return is_signed ? ((const int32_t *)data)[i] : (int64_t)((const uint32_t *)data)[i];
  default: ASSERT(dtype_size(t) == 8); return ((const int64_t *)data)[i];
  }
}

void dtype_set(DType t, void *data, int64_t i, int64_t v) {
  switch (dtype_size(t)) {
  case 1: ((uint8_t *)data)[i] = (uint8_t)v; break;
  case 2: ((uint16_t *)data)[i] = (uint16_t)v; break;
  case 4: ((uint32_t *)data)[i] = (uint32_t)v; break;
  default: ((int64_t *)data)[i] = v; break;
  }
}

bool dtype_parse(const char *name, DType *out) {
  for (unsigned t = DT_NONE + 1; t < DT_COUNT; t++) {
    if (strcmp(name, dtypes[t].name) == 0) {
      *out = (DType)t;
      return true;
    }
  }
  return false;
}

const char *act_name(Act a) {
  ASSERT(a < ACT_COUNT);
  return act_names[a];
}

bool act_parse(const char *name, Act *out) {
  for (unsigned a = 0; a < ACT_COUNT; a++) {
    if (strcmp(name, act_names[a]) == 0) {
      *out = (Act)a;
      return true;
    }
  }
  return false;
}

Shape shape_of(int rank, ...) {
  Shape s = {.rank = rank};
  va_list ap;
  ASSERT(rank >= 0 && rank <= MAX_RANK);
  va_start(ap, rank);
  for (int i = 0; i < rank; i++) s.d[i] = va_arg(ap, int64_t);
  va_end(ap);
  return s;
}

bool shape_equal(const Shape *a, const Shape *b) {
  if (a->rank != b->rank) return false;
  for (int i = 0; i < a->rank; i++) {
    if (a->d[i] != b->d[i]) return false;
  }
  return true;
}

bool shape_is_static(const Shape *s) { return s->rank == 0 || s->d[0] != DIM_BATCH; }

int64_t shape_count_range(const Shape *s, int from, int to) {
  int64_t n = 1;
  for (int i = from; i < to; i++) {
    int64_t d = s->d[i] == DIM_BATCH ? 1 : s->d[i];
    ASSERT(d >= 0);
    if (d == 0) return 0;
    ASSERT(n <= INT64_MAX / d);
    n *= d;
  }
  return n;
}

int64_t shape_count(const Shape *s) { return shape_count_range(s, 0, s->rank); }

bool shape_valid(const Shape *s, DType t) {
  if (s->rank < 0 || s->rank > MAX_RANK) return false;
  int64_t n = (int64_t)dtype_size(t);
  for (int i = 0; i < s->rank; i++) {
    int64_t d = s->d[i];
    if (i == 0 && d == DIM_BATCH) continue;
    if (d < 0 || d > INT32_MAX) return false;
    if (d > 0 && n > SHAPE_MAX_BYTES / d) return false;
    if (d > 0) n *= d;
  }
  return true;
}

void shape_format(const Shape *s, char *buf, size_t n) {
  size_t at = 0;
  for (int i = 0; i <= s->rank && at < n; i++) {
    int w;
    if (i == s->rank)
      w = snprintf(buf + at, n - at, s->rank == 0 ? "[]" : "]");
    else if (s->d[i] == DIM_BATCH)
      w = snprintf(buf + at, n - at, "%sN", i ? "," : "[");
    else
      w = snprintf(buf + at, n - at, "%s%lld", i ? "," : "[", (long long)s->d[i]);
    at += (size_t)w;
  }
}

bool quant_equal(const Quant *a, const Quant *b) {
  if (a->n != b->n) return false;
  if (a->n > 1 && a->axis != b->axis) return false;
  for (int i = 0; i < a->n; i++) {
    if (a->scale[i] != b->scale[i] || a->zero[i] != b->zero[i]) return false;
  }
  return true;
}
