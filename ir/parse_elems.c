/* The elements of a constant in the text form.
 *
 * They are read from the text directly, without tokens: there may be millions. Memory is taken only when the text is
 * long enough to hold that many elements, so a false shape costs nothing. Integers must fit their type; floats are
 * rounded by strtof and strtod (the printer's shortest form reads back the same), NaN and floats that are only stored
 * (f16, bf16, float8, float4) are given by their bits.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/parse.h"

/* Decimal within the type's range. */
static bool elem_int(const char *s, char **end, DType t, int64_t *out) {
  const int bits = dtype_bits(t);
  if (*s != '-' && (*s < '0' || *s > '9')) return false;
  errno = 0;
  if (dtype_kind(t) == 'u') {
    unsigned long long v = strtoull(s, end, 10);
    *out = (int64_t)v;
    return errno == 0 && *s != '-' && (bits == 64 || v >> bits == 0);
  }
  const int64_t most = (int64_t)(((uint64_t)1 << (bits - 1)) - 1);
  *out = strtoll(s, end, 10);
  return errno == 0 && *out >= -most - 1 && *out <= most;
}

/* 0x and the bits. */
static bool elem_bits(const char *s, char **end, DType t, int64_t *out) {
  if (s[0] != '0' || s[1] != 'x') return false;
  errno = 0;
  unsigned long long v = strtoull(s, end, 16);
  *out = (int64_t)v;
  return errno == 0 && v >> dtype_bits(t) == 0;
}

/* Floats: decimal, inf, -inf, or the bits as 0x... */
static bool elem_float(const char *s, char **end, DType t, void *out) {
  if (s[0] == '0' && s[1] == 'x') {
    errno = 0;
    unsigned long long bits = strtoull(s, end, 16);
    uint32_t low = (uint32_t)bits;
    uint64_t all = bits;
    if (t == DT_F32)
      memcpy(out, &low, sizeof low);
    else
      memcpy(out, &all, sizeof all);
    return errno == 0 && (t == DT_F64 || bits <= UINT32_MAX);
  }
  if (!lex_is_atom(*s) || *s == 'n') return false;
  if (t == DT_F32) {
    float v = strtof(s, end);
    memcpy(out, &v, sizeof v);
  } else {
    double v = strtod(s, end);
    memcpy(out, &v, sizeof v);
  }
  return *end != s;
}

static bool parse_elem(const char *s, char **end, DType t, void *data, int64_t i) {
  int64_t v;
  if (t == DT_F32) return elem_float(s, end, t, (float *)data + i);
  if (t == DT_F64) return elem_float(s, end, t, (double *)data + i);
  TRY(dtype_kind(t) == 's' ? elem_bits(s, end, t, &v) : elem_int(s, end, t, &v));
  dtype_set(t, data, i, v);
  return true;
}

/* n elements and the commas between; p->p is behind the "{" and afterwards behind the last element. */
static bool read_elems(Parser *p, DType t, void *data, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    char *end = NULL;
    lex_skip_blanks(p);
    if (i > 0 && *p->p == ',') {
      p->p++;
      lex_skip_blanks(p);
    } else if (i > 0 || *p->p == '}') {
      lex_next(p);
      return lex_fail(p, "%" PRId64 " element(s), want %" PRId64, i, n);
    }
    if (!parse_elem(p->p, &end, t, data, i) || lex_is_atom(*end)) {
      lex_next(p);
      return lex_fail(p, "element %" PRId64 " of %" PRId64 " is no %s", i, n, dtype_name(t));
    }
    p->p = end;
  }
  lex_next(p);
  return lex_at(p, '}') || lex_fail(p, "want '}' after %" PRId64 " element(s), got %s", n, lex_seen(p));
}

bool parse_elems(Parser *p, const Typed *t, Blob **out) {
  int64_t n = shape_count(&t->shape);
  if ((uint64_t)n > (size_t)(p->end - p->p)) {
    return lex_fail(p, "want %" PRId64 " elements, there is not enough text", n);
  }
  size_t size = (size_t)n * dtype_size(t->dtype);
  void *data = mem_alloc_aligned(size, 64);
  if (!read_elems(p, t->dtype, data, n)) {
    mem_free(data);
    return false;
  }
  lex_next(p);
  *out = blob_adopt(data, size);
  return true;
}
