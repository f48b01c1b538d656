/* The elements of a constant in the text form.
 *
 * They are read from the text directly, without tokens: there may be millions. Memory is taken only when the text is
 * long enough to hold that many elements, so a false shape costs nothing. Integers must fit their type; floats are
 * rounded by strtof and strtod (the printer's shortest form reads back the same), NaN is given by its bits.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/parse.h"

static bool elem_int(const char *s, char **end, int64_t least, int64_t most, int64_t *out) {
  if (*s != '-' && (*s < '0' || *s > '9')) return false;
  errno = 0;
  long long v = strtoll(s, end, 10);
  *out = v;
  return errno == 0 && v >= least && v <= most;
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
  switch (t) {
  case DT_F32: return elem_float(s, end, t, (float *)data + i);
  case DT_F64: return elem_float(s, end, t, (double *)data + i);
  case DT_I8:
    TRY(elem_int(s, end, INT8_MIN, INT8_MAX, &v));
    ((int8_t *)data)[i] = (int8_t)v;
    return true;
  case DT_U8:
    TRY(elem_int(s, end, 0, UINT8_MAX, &v));
    ((uint8_t *)data)[i] = (uint8_t)v;
    return true;
  case DT_BOOL:
    TRY(elem_int(s, end, 0, 1, &v));
    ((uint8_t *)data)[i] = (uint8_t)v;
    return true;
  case DT_I16:
    TRY(elem_int(s, end, INT16_MIN, INT16_MAX, &v));
    ((int16_t *)data)[i] = (int16_t)v;
    return true;
  case DT_I32:
    TRY(elem_int(s, end, INT32_MIN, INT32_MAX, &v));
    ((int32_t *)data)[i] = (int32_t)v;
    return true;
  case DT_I64: return elem_int(s, end, INT64_MIN, INT64_MAX, (int64_t *)data + i);
  case DT_NONE:
  case DT_COUNT: break;
  }
  return false;
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
