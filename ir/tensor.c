/* Tensor and its .npy form.
 *
 *   \x93NUMPY | major minor | header length (u16, from version 2 on u32) | header | elements
 *   header: a Python dictionary, {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }, padded by blanks
 *
 * Source: NumPy Enhancement Proposal 1, "A Simple File Format for NumPy Arrays", versions 1.0 to 3.0. Read:
 * little-endian numbers, C order, at most MAX_RANK dimensions. The header is untrusted: it is read by a scanner that
 * knows these three keys alone, and the file must hold exactly the elements that the shape asks for. Our hosts are
 * little-endian (asserted), so elements are copied as they are.
 */
#include "ir/tensor.h"

#include <errno.h>
#include <string.h>

#include "ir/base/blob.h"
#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "ir/base/strbuf.h"

static const struct {
  const char *descr;
  DType dtype;
} descrs[] = {{"<f4", DT_F32}, {"|i1", DT_I8},  {"|u1", DT_U8},   {"<i2", DT_I16}, {"<i4", DT_I32},
              {"<i8", DT_I64}, {"<f8", DT_F64}, {"|b1", DT_BOOL}, {"<i1", DT_I8},  {"<u1", DT_U8},
              {"<u2", DT_U16}, {"<u4", DT_U32}, {"<u8", DT_U64},  {"<f2", DT_F16}};

enum { N_DESCRS = (int)(sizeof descrs / sizeof descrs[0]) };

static const char npy_magic[6] = {'\x93', 'N', 'U', 'M', 'P', 'Y'};

Tensor tensor_new(DType t, const Shape *s) {
  Tensor x = {.dtype = t, .shape = *s};
  size_t n = tensor_bytes(&x);
  x.data = mem_alloc_aligned(n, 64);
  memset(x.data, 0, n);
  return x;
}

void tensor_free(Tensor *t) {
  mem_free(t->data);
  *t = (Tensor){0};
}

size_t tensor_bytes(const Tensor *t) { return (size_t)shape_count(&t->shape) * dtype_size(t->dtype); }

static bool little_endian(void) {
  const uint16_t one = 1;
  unsigned char low;
  memcpy(&low, &one, 1);
  return low == 1;
}

/* -- the header -- */

typedef struct Scan {
  const char *p, *end;
  const Loc *loc;
  Diag *d;
} Scan;

static void skip_blanks(Scan *s) {
  while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t')) s->p++;
}

static bool peek(Scan *s, char c) {
  skip_blanks(s);
  return s->p < s->end && *s->p == c;
}

static bool want(Scan *s, char c) {
  FAIL_IF(!peek(s, c), s->d, s->loc, "damaged .npy header: want '%c'", c);
  s->p++;
  return true;
}

/* A string in either kind of quotes, into buf. */
static bool scan_string(Scan *s, char *buf, size_t n) {
  char quote = peek(s, '"') ? '"' : '\'';
  TRY(want(s, quote));
  size_t len = 0;
  while (s->p + len < s->end && s->p[len] != quote) len++;
  FAIL_IF(s->p + len == s->end, s->d, s->loc, "damaged .npy header: a string does not end");
  FAIL_IF(len >= n, s->d, s->loc, "damaged .npy header: a string of %zu characters", len);
  memcpy(buf, s->p, len);
  buf[len] = '\0';
  s->p += len + 1;
  return true;
}

static bool scan_word(Scan *s, const char *word) {
  size_t n = strlen(word);
  skip_blanks(s);
  if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0) return false;
  s->p += n;
  return true;
}

static bool scan_dim(Scan *s, int64_t *out) {
  skip_blanks(s);
  const char *from = s->p;
  *out = 0;
  for (; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++) {
    *out = *out * 10 + (*s->p - '0');
    FAIL_IF(*out > INT32_MAX, s->d, s->loc, "a dimension is larger than %lld", (long long)INT32_MAX);
  }
  FAIL_IF(s->p == from, s->d, s->loc, "damaged .npy header: want a dimension");
  return true;
}

static bool scan_shape(Scan *s, Shape *out) {
  *out = (Shape){0};
  TRY(want(s, '('));
  while (!peek(s, ')')) {
    FAIL_IF(out->rank == MAX_RANK, s->d, s->loc, "more than %d dimensions", MAX_RANK);
    TRY(scan_dim(s, &out->d[out->rank++]));
    if (!peek(s, ')')) TRY(want(s, ','));
  }
  s->p++;
  return true;
}

static bool find_descr(const Scan *s, const char *descr, DType *out) {
  for (int i = 0; i < N_DESCRS; i++) {
    if (strcmp(descr, descrs[i].descr) == 0) {
      *out = descrs[i].dtype;
      return true;
    }
  }
  FAIL_IF(descr[0] == '>', s->d, s->loc, "elements are big-endian ('%s'), want little-endian", descr);
  return diag_error(s->d, s->loc, "elements are '%s', want f2, f4, f8, i1, i2, i4, i8, u1, u2, u4, u8 or b1",
                    descr);
}

static bool scan_header(Scan *s, DType *t, Shape *shape) {
  enum { DESCR = 1, ORDER = 2, SHAPE = 4 };
  unsigned seen = 0;
  char key[16], descr[16];
  TRY(want(s, '{'));
  while (!peek(s, '}')) {
    TRY(scan_string(s, key, sizeof key));
    TRY(want(s, ':'));
    if (strcmp(key, "descr") == 0) {
      seen |= DESCR;
      skip_blanks(s);
      FAIL_IF(peek(s, '['), s->d, s->loc, "elements are records, want plain numbers");
      TRY(scan_string(s, descr, sizeof descr));
      TRY(find_descr(s, descr, t));
    } else if (strcmp(key, "fortran_order") == 0) {
      seen |= ORDER;
      FAIL_IF(scan_word(s, "True"), s->d, s->loc,
              "the array is in Fortran order, want C order: save numpy.ascontiguousarray(x)");
      FAIL_IF(!scan_word(s, "False"), s->d, s->loc,
              "damaged .npy header: fortran_order is neither True nor False");
    } else if (strcmp(key, "shape") == 0) {
      seen |= SHAPE;
      TRY(scan_shape(s, shape));
    } else {
      return diag_error(s->d, s->loc, "damaged .npy header: unknown key '%s'", key);
    }
    if (!peek(s, '}')) TRY(want(s, ','));
  }
  FAIL_IF(seen != (DESCR | ORDER | SHAPE), s->d, s->loc,
          "damaged .npy header: descr, fortran_order or shape is missing");
  return true;
}

bool npy_parse(const void *bytes, size_t n, const char *file, Tensor *out, Diag *d) {
  const unsigned char *b = bytes;
  const Loc loc = {.file = file};
  ASSERT(little_endian());
  *out = (Tensor){0};
  FAIL_IF(n < sizeof npy_magic || memcmp(b, npy_magic, sizeof npy_magic) != 0, d, &loc,
          "this is not a .npy file");
  FAIL_IF(n < 10, d, &loc, "truncated .npy file: %zu bytes", n);
  FAIL_IF(b[6] < 1 || b[6] > 3, d, &loc, ".npy format %d.%d, want 1.0 to 3.0", b[6], b[7]);
  size_t at = b[6] == 1 ? 10 : 12, len = (size_t)b[8] | (size_t)b[9] << 8;
  FAIL_IF(n < at, d, &loc, "truncated .npy file: %zu bytes", n);
  if (b[6] > 1) len |= (size_t)b[10] << 16 | (size_t)b[11] << 24;
  FAIL_IF(len > n - at, d, &loc, "truncated .npy file: a header of %zu bytes, but %zu are left", len, n - at);

  const char *text = (const char *)b + at;
  Scan s = {.p = text, .end = text + len, .loc = &loc, .d = d};
  DType t = DT_NONE;
  Shape shape = {0};
  TRY(scan_header(&s, &t, &shape));
  FAIL_IF(!shape_valid(&shape, t), d, &loc, "the array is larger than %lld bytes",
          (long long)SHAPE_MAX_BYTES);
  size_t size = (size_t)shape_count(&shape) * dtype_size(t), left = n - at - len;
  FAIL_IF(left != size, d, &loc, "%s .npy file: the shape wants %zu bytes of elements, there are %zu",
          left < size ? "truncated" : "damaged", size, left);
  *out = tensor_new(t, &shape);
  memcpy(out->data, text + len, size);
  return true;
}

bool npy_read(const char *path, Tensor *out, Diag *d) {
  Blob *file = blob_map(path);
  const Loc loc = {.file = path};
  *out = (Tensor){0};
  FAIL_IF(file == NULL, d, &loc, "cannot be read: %s", strerror(errno));
  bool ok = npy_parse(blob_raw(file), blob_size(file), path, out, d);
  blob_unref(file);
  return ok;
}

/* -- writing -- */

static const char *descr_of(DType t) {
  int i = 0;
  while (i < N_DESCRS && descrs[i].dtype != t) i++;
  if (i < N_DESCRS) return descrs[i].descr;
  return dtype_size(t) == 2 ? "|V2" : "|V1"; /* no type of NumPy's: opaque bytes, as ml_dtypes writes them */
}

void npy_format(const Tensor *t, StrBuf *out) {
  StrBuf head = {0};
  ASSERT(little_endian() && shape_is_static(&t->shape));
  sb_printf(&head, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr_of(t->dtype));
  for (int i = 0; i < t->shape.rank; i++) sb_printf(&head, "%s%lld", i ? ", " : "", (long long)t->shape.d[i]);
  sb_puts(&head, t->shape.rank == 1 ? ",), }" : "), }");
  while ((10 + head.len + 1) % 64 != 0) sb_putc(&head, ' '); /* elements start at a multiple of 64 */
  sb_putc(&head, '\n');
  ASSERT(head.len < 65536);
  sb_write(out, npy_magic, sizeof npy_magic);
  const char rest[4] = {1, 0, (char)(head.len & 255), (char)(head.len >> 8)};
  sb_write(out, rest, sizeof rest);
  sb_write(out, head.s, head.len);
  sb_write(out, t->data, tensor_bytes(t));
  sb_free(&head);
}

bool npy_write(const char *path, const Tensor *t, Diag *d) {
  StrBuf bytes = {0};
  npy_format(t, &bytes);
  bool ok = file_write(path, bytes.s, bytes.len, d);
  sb_free(&bytes);
  return ok;
}
