/* The operator table as data: made from ops.def, one OpInfo per row.
 *
 * Each row becomes a function that holds the row's constant tables, because an attribute's offset needs the
 * name of the row's struct, which A() does not see: inside that function it is the typedef Self.
 * Attributes are reached through their AttrDesc alone (kind and offset), so that defaults, comparison, hashing,
 * printing and parsing are one loop for all operators and a new attribute needs no line here.
 */
#include "ir/op.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/strbuf.h"
#include "ir/ops/ops.h"

#define A(kind, field, def, doc) {#field, ATTR_##kind, offsetof(Self, field), def, doc},
#define OP(row, opname, mn, mx, no, traits_, cls_, diff_, opdoc, attrs_)              \
  static const OpInfo *info_##row(void) {                                             \
    typedef row##_attrs Self;                                                         \
    static const AttrDesc descs[] = {attrs_{NULL, ATTR_INT, 0, NULL, NULL}};          \
    static const OpInfo info = {.ident = #row,                                        \
                                .name = opname,                                       \
                                .min_in = mn,                                         \
                                .max_in = mx,                                         \
                                .outs = no,                                           \
                                .traits = traits_,                                    \
                                .cls = cls_,                                          \
                                .diff = diff_,                                        \
                                .doc = opdoc,                                         \
                                .attrs = descs,                                       \
                                .n_attrs = (int)(sizeof descs / sizeof descs[0]) - 1, \
                                .attrs_size = sizeof(Self),                           \
                                .infer = infer_##row,                                 \
                                .lower = lower_##row};                                \
    return &info;                                                                     \
  }
#include "ir/ops.def"
#undef OP
#undef A

static const OpInfo *(*const infos[OP_COUNT])(void) = {
#define A(kind, field, def, doc)
#define OP(ident, name, mn, mx, no, traits, cls, diff, doc, attrs) info_##ident,
#include "ir/ops.def"
#undef OP
#undef A
};

const OpInfo *op_info(OpKind op) {
  ASSERT(op < OP_COUNT);
  return infos[op]();
}

bool op_parse(const char *name, OpKind *out) {
  for (unsigned op = 0; op < OP_COUNT; op++) {
    if (strcmp(name, op_info((OpKind)op)->name) == 0) {
      *out = (OpKind)op;
      return true;
    }
  }
  return false;
}

bool ints_parse(const char *text, Ints *out) {
  *out = (Ints){0};
  if (*text == '\0') return true;
  for (;;) {
    char *end;
    if (out->n == MAX_RANK * 2) return false;
    if (*text != '-' && (*text < '0' || *text > '9')) return false;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || errno != 0) return false;
    out->v[out->n++] = v;
    if (*end == '\0') return true;
    if (*end != ',') return false;
    text = end + 1;
  }
}

static bool int32_parse(const char *text, int32_t *out) {
  Ints v;
  if (!ints_parse(text, &v) || v.n != 1 || v.v[0] < INT32_MIN || v.v[0] > INT32_MAX) return false;
  *out = (int32_t)v.v[0];
  return true;
}

static bool float_parse(const char *text, float *out) {
  char *end;
  if (strchr("+-.0123456789in", *text) == NULL || *text == '\0') return false;
  *out = strtof(text, &end);
  return *end == '\0';
}

static bool floats_parse(const char *text, Floats *out) {
  *out = (Floats){0};
  while (*text) {
    char number[64];
    size_t n = strcspn(text, ",");
    if (out->n == MAX_RANK * 2 || n >= sizeof number) return false;
    memcpy(number, text, n);
    number[n] = '\0';
    if (!float_parse(number, &out->v[out->n++])) return false;
    text += n;
    if (*text == ',' && !*++text) return false;
  }
  return true;
}

static bool word_parse(const char *text, Word *out) {
  *out = (Word){{0}};
  if (strlen(text) >= sizeof out->s || (*text >= '0' && *text <= '9')) return false;
  for (size_t i = 0; text[i]; i++) {
    const char c = text[i];
    if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '_')
      return false;
    out->s[i] = c;
  }
  return true;
}

bool attr_parse(const AttrDesc *a, const char *text, void *attrs) {
  void *field = (char *)attrs + a->offset;
  switch (a->kind) {
  case ATTR_INT: return int32_parse(text, field);
  case ATTR_FLT: return float_parse(text, field);
  case ATTR_INTS: return ints_parse(text, field);
  case ATTR_FLTS: return floats_parse(text, field);
  case ATTR_WORD: return word_parse(text, field);
  case ATTR_ACT: {
    Act act;
    if (!act_parse(text, &act)) return false;
    *(int32_t *)field = (int32_t)act;
    return true;
  }
  case ATTR_DTYPE: {
    DType t;
    if (!dtype_parse(text, &t)) return false;
    *(int32_t *)field = (int32_t)t;
    return true;
  }
  }
  return false;
}

void attr_format(const AttrDesc *a, const void *attrs, struct StrBuf *out) {
  const void *field = (const char *)attrs + a->offset;
  int32_t i = 0;
  if (a->kind == ATTR_INT || a->kind == ATTR_ACT || a->kind == ATTR_DTYPE) memcpy(&i, field, sizeof i);
  switch (a->kind) {
  case ATTR_INT: sb_printf(out, "%d", (int)i); break;
  case ATTR_FLT: sb_float(out, *(const float *)field); break;
  case ATTR_INTS: {
    const Ints *v = field;
    for (int k = 0; k < v->n; k++) sb_printf(out, "%s%lld", k ? "," : "", (long long)v->v[k]);
    break;
  }
  case ATTR_FLTS: {
    const Floats *v = field;
    for (int k = 0; k < v->n; k++) {
      if (k) sb_putc(out, ',');
      sb_float(out, v->v[k]);
    }
    break;
  }
  case ATTR_WORD: sb_puts(out, ((const Word *)field)->s); break;
  case ATTR_ACT: sb_puts(out, i >= 0 && i < ACT_COUNT ? act_name((Act)i) : "?"); break;
  case ATTR_DTYPE: sb_puts(out, i >= 0 && i < DT_COUNT ? dtype_name((DType)i) : "?"); break;
  }
}

bool attr_equal(const AttrDesc *a, const void *x, const void *y) {
  const char *p = (const char *)x + a->offset, *q = (const char *)y + a->offset;
  if (a->kind == ATTR_WORD) return strcmp(p, q) == 0;
  if (a->kind == ATTR_FLTS) {
    const Floats *v = (const void *)p, *w = (const void *)q;
    return v->n == w->n && memcmp(v->v, w->v, (size_t)v->n * sizeof v->v[0]) == 0;
  }
  if (a->kind != ATTR_INTS) return memcmp(p, q, sizeof(int32_t)) == 0;
  const Ints *v = (const void *)p, *w = (const void *)q;
  return v->n == w->n && memcmp(v->v, w->v, (size_t)v->n * sizeof v->v[0]) == 0;
}

void op_attrs_default(OpKind op, void *attrs) {
  const OpInfo *info = op_info(op);
  memset(attrs, 0, info->attrs_size);
  for (int i = 0; i < info->n_attrs; i++) {
    bool ok = attr_parse(&info->attrs[i], info->attrs[i].def, attrs);
    ASSERT(ok);
  }
}

bool op_attrs_equal(OpKind op, const void *a, const void *b) {
  const OpInfo *info = op_info(op);
  for (int i = 0; i < info->n_attrs; i++) {
    if (!attr_equal(&info->attrs[i], a, b)) return false;
  }
  return true;
}

void op_attrs_hash(OpKind op, const void *attrs, Hasher *h) {
  const OpInfo *info = op_info(op);
  for (int i = 0; i < info->n_attrs; i++) {
    const char *field = (const char *)attrs + info->attrs[i].offset;
    if (info->attrs[i].kind == ATTR_INTS) {
      const Ints *v = (const void *)field;
      hasher_u64(h, (uint64_t)v->n);
      for (int k = 0; k < v->n; k++) hasher_u64(h, (uint64_t)v->v[k]);
    } else if (info->attrs[i].kind == ATTR_FLTS) {
      const Floats *v = (const void *)field;
      hasher_u64(h, (uint64_t)v->n);
      hasher_bytes(h, v->v, (size_t)v->n * sizeof v->v[0]);
    } else if (info->attrs[i].kind == ATTR_WORD) {
      hasher_str(h, field);
    } else {
      uint32_t bits; /* a float by its bits */
      memcpy(&bits, field, sizeof bits);
      hasher_u64(h, bits);
    }
  }
}
