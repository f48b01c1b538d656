/* Constants of a model as C: weights, biases, multipliers, tables. Equal ones are printed once.
 *
 * Integers in decimal without spaces, lines filled; float32 as the shortest decimal text that reads back as the same
 * bits. Everything is `static const`, so that the linker keeps it in flash.
 */
#include "backend/emit/emit.h"

#include <math.h>
#include <string.h>

#include "ir/base/mem.h"

enum { LINE = 116, STRING_FROM = 65536 };

int pool_add(ConstPool *p, DType t, const void *data, int64_t count, int align, int layer) {
  size_t bytes = (size_t)count * dtype_size(t);
  Hash h = hash_bytes(data, bytes);
  for (int i = 0; i < p->n && !p->apart; i++) {
    PoolConst *c = &p->v[i];
    if (c->dtype != t || c->count != count || !hash_equal(c->hash, h) || memcmp(c->data, data, bytes) != 0)
      continue;
    if (align > c->align) c->align = align;
    return i;
  }
  mem_grow((void **)&p->v, &p->cap, (size_t)p->n + 1, sizeof *p->v);
  p->v[p->n] = (PoolConst){t, data, count, h, layer, align, 0};
  return p->n++;
}

int pool_add_value(ConstPool *p, const Graph *g, ValId v, int layer) {
  const Value *val = graph_val(g, v);
  return pool_add(p, val->dtype, val_data(g, v), shape_count(&val->shape), 0, layer);
}

static const DType pointee[] = {[FIELD_PTR_I8] = DT_I8,
                                [FIELD_PTR_I16] = DT_I16,
                                [FIELD_PTR_I32] = DT_I32,
                                [FIELD_PTR_F32] = DT_F32,
                                [FIELD_PTR_I64] = DT_I64};

void pool_add_call(ConstPool *p, const Graph *g, const KernelCall *k, int layer, CallNames *names) {
  CallNames unused;
  if (!names) names = &unused;
  for (int i = 0; i < k->n_consts; i++) {
    const CallConst *c = &k->consts[i];
    FieldKind kind = k->kernel->params->fields[c->field].kind;
    names->field[i] = pool_add(p, pointee[kind], c->data, c->count, c->align, layer);
  }
  for (int i = 0; i < k->n_in; i++) {
    ValId root = value_root(g, k->in[i].val);
    names->in[i] = val_is_const(g, root) ? pool_add_value(p, g, root, layer) : -1;
  }
}

int64_t pool_bytes(const ConstPool *p) {
  int64_t sum = 0;
  for (int i = 0; i < p->n; i++) sum += p->v[i].count * (int64_t)dtype_size(p->v[i].dtype);
  return sum;
}

void pool_free(ConstPool *p) {
  mem_free(p->v);
  *p = (ConstPool){0};
}

/* Floats that C has no type for are kept as their bits. */
const char *c_type_of(DType t) {
  if (t == DT_F32) return "float";
  if (t == DT_F64) return "double";
  const bool is_signed = dtype_kind(t) == 'i';
  switch (dtype_size(t)) {
  case 1: return is_signed ? "int8_t" : "uint8_t";
  case 2: return is_signed ? "int16_t" : "uint16_t";
  case 4: return is_signed ? "int32_t" : "uint32_t";
  default: ASSERT(dtype_size(t) == 8); return is_signed ? "int64_t" : "uint64_t";
  }
}

void print_float(StrBuf *out, float v) {
  if (isnan(v) || isinf(v)) {
    sb_puts(out, isnan(v) ? "NAN" : v < 0 ? "-INFINITY" : "INFINITY");
    return;
  }
  size_t from = out->len;
  sb_float(out, v);
  sb_puts(out, strpbrk(out->s + from, ".e") ? "f" : ".f");
}

void print_int(StrBuf *out, int64_t v) {
  if (v == INT64_MIN)
    sb_puts(out, "(-9223372036854775807LL-1)");
  else if (v == INT32_MIN)
    sb_puts(out, "(-2147483647-1)");
  else if (v > INT32_MAX || v < INT32_MIN)
    sb_printf(out, "%lldLL", (long long)v);
  else
    sb_printf(out, "%lld", (long long)v);
}

static void print_double(StrBuf *out, double v) {
  if (isnan(v) || isinf(v))
    sb_puts(out, isnan(v) ? "NAN" : v < 0 ? "-INFINITY" : "INFINITY");
  else
    sb_printf(out, "%.17g%s", v, v == floor(v) && fabs(v) < 1e15 ? "." : "");
}

static void print_element(StrBuf *out, DType t, const void *data, int64_t i) {
  if (t == DT_F32)
    print_float(out, ((const float *)data)[i]);
  else if (t == DT_F64)
    print_double(out, ((const double *)data)[i]);
  else if (t == DT_U64)
    sb_printf(out, "%lluULL", (unsigned long long)(uint64_t)dtype_get(t, data, i));
  else if (t == DT_U32)
    sb_printf(out, "%luU", (unsigned long)(uint32_t)dtype_get(t, data, i));
  else
    print_int(out, dtype_get(t, data, i));
}

/* Large arrays are strings, in a union with their type: compilers read 4 MB of floats so in 0.4 s instead of 3.3. */
static bool is_string(const PoolConst *c) { return c->count * (int64_t)dtype_size(c->dtype) > STRING_FROM; }

static void print_name(const Emit *e, int index, StrBuf *out) {
  if (e->opt->weights == WEIGHTS_APART) sb_printf(out, "%s_", e->opt->name);
  sb_printf(out, "c%d", index);
}

void print_const(const Emit *e, int index, StrBuf *out) {
  if (in_blob(e)) {
    sb_printf(out, "(w + %lld)", (long long)e->pool.v[index].offset);
    return;
  }
  print_name(e, index, out);
  if (is_string(&e->pool.v[index])) sb_puts(out, ".v");
}

/* What strings need: long ones, and bytes in this order. */
static void print_string_guard(const Emit *e, StrBuf *out) {
  bool any = false;
  for (int i = 0; i < e->pool.n; i++) any = any || is_string(&e->pool.v[i]);
  if (!any || in_blob(e)) return;
  sb_puts(
      out,
      "\n/* Large arrays are written as the bytes of a string, which compilers read many times faster. */\n"
      "#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__\n"
      "#error \"this file is for little-endian processors\"\n#endif\n"
      "#ifdef __GNUC__\n#pragma GCC diagnostic ignored \"-Woverlength-strings\"\n#endif\n");
}

/* The macro that every constant's declaration has. */
void print_constants_attribute(const Emit *e, StrBuf *out) {
  const EmitOptions *o = e->opt;
  sb_printf(out,
            "\n/* Attributes of the constants: a section for the linker's script, an alignment. */\n"
            "#ifndef %s_CONST\n#define %s_CONST",
            e->upper, e->upper);
  if (o->weights_section || o->weights_align) sb_puts(out, " __attribute__((");
  if (o->weights_section) sb_printf(out, "section(\"%s\")", o->weights_section);
  if (o->weights_section && o->weights_align) sb_puts(out, ", ");
  if (o->weights_align) sb_printf(out, "aligned(%lld)", (long long)o->weights_align);
  if (o->weights_section || o->weights_align) sb_puts(out, "))");
  sb_puts(out, "\n#endif\n");
  print_string_guard(e, out);
}

/* "static const NAME_CONST int8_t c3[128]" */
static void print_declaration(const Emit *e, int index, const char *storage, StrBuf *out) {
  const PoolConst *c = &e->pool.v[index];
  sb_printf(out, "%sconst %s_CONST ", storage, e->upper);
  if (c->align > (int)dtype_size(c->dtype) && c->align > e->opt->weights_align)
    sb_printf(out, "MF_ALIGN(%d) ", c->align);
  if (is_string(c)) {
    sb_printf(out, "union %s_t%d ", e->opt->name, index);
    print_name(e, index, out);
    return;
  }
  sb_printf(out, "%s ", c_type_of(c->dtype));
  print_name(e, index, out);
  sb_printf(out, "[%lld]", (long long)(c->count ? c->count : 1));
}

/* "union net_t3 { char s[400000]; float v[100000]; };" where the constant is a string. */
static void print_union(const Emit *e, int index, StrBuf *out) {
  const PoolConst *c = &e->pool.v[index];
  if (is_string(c))
    sb_printf(out, "union %s_t%d {\n  char s[%lld];\n  %s v[%lld];\n};\n", e->opt->name, index,
              (long long)(c->count * (int64_t)dtype_size(c->dtype)), c_type_of(c->dtype),
              (long long)c->count);
}

/* Byte i of the string. After an octal escape of less than three digits no digit may follow. */
static void print_char(const unsigned char *s, size_t i, size_t n, StrBuf *out) {
  const unsigned char c = s[i], next = i + 1 < n ? s[i + 1] : 0;
  if (c >= 0x20 && c < 0x7f && !strchr("\"\\?", c))
    sb_putc(out, (char)c);
  else
    sb_printf(out, next >= '0' && next <= '7' ? "\\%03o" : "\\%o", c);
}

static void print_string(const PoolConst *c, StrBuf *out) {
  const unsigned char *s = c->data;
  const size_t n = (size_t)c->count * dtype_size(c->dtype);
  sb_puts(out, " = {");
  for (size_t i = 0; i < n;) {
    const size_t line = out->len;
    sb_puts(out, "\n  \"");
    for (size_t end = i + LINE; i < n && i < end && out->len - line < LINE; i++) print_char(s, i, n, out);
    sb_putc(out, '"');
  }
  sb_puts(out, "};\n");
}

static void print_elements(const PoolConst *c, StrBuf *out) {
  size_t line = out->len;
  sb_puts(out, " = {");
  if (c->count == 0) sb_putc(out, '0');
  for (int64_t i = 0; i < c->count; i++) {
    if (i) sb_putc(out, ',');
    if (i == 0 || out->len - line > LINE) {
      sb_puts(out, "\n  ");
      line = out->len;
    }
    print_element(out, c->dtype, c->data, i);
  }
  sb_puts(out, "};\n");
}

static void print_definition(const Emit *e, int index, StrBuf *out) {
  if (is_string(&e->pool.v[index]))
    print_string(&e->pool.v[index], out);
  else
    print_elements(&e->pool.v[index], out);
}

void pool_print(const Emit *e, int index, StrBuf *out) {
  const bool apart = e->opt->weights == WEIGHTS_APART;
  print_union(e, index, out);
  print_declaration(e, index, apart ? "extern " : "static ", out);
  if (apart)
    sb_puts(out, ";\n");
  else
    print_definition(e, index, out);
}

/* The blob's bytes as an array, for the image that leaves the factory. */
static void print_blob_array(const Emit *e, StrBuf *out) {
  StrBuf blob = {0};
  blob_bytes(e, &blob);
  const PoolConst bytes = {.dtype = DT_U8, .data = sb_str(&blob), .count = (int64_t)blob.len};
  print_constants_attribute(e, out);
  sb_printf(out, "\nconst %s_CONST", e->upper);
  if (e->blob.align > e->opt->weights_align)
    sb_printf(out, " __attribute__((aligned(%lld)))", (long long)e->blob.align);
  sb_printf(out, " unsigned char %s_weights[%s_WEIGHTS_SIZE]", e->opt->name, e->upper);
  print_elements(&bytes, out);
  sb_free(&blob);
}

void print_weights_c(const Emit *e, StrBuf *out) {
  sb_printf(out, "/* Weights of \"%s\", made by mistify. */\n#include \"model.h\"\n", e->opt->name);
  if (in_blob(e)) {
    print_blob_array(e, out);
    return;
  }
  StrBuf body = {0};
  for (int i = 0; i < e->pool.n; i++) {
    sb_putc(&body, '\n');
    print_union(e, i, &body);
    print_declaration(e, i, "extern ", &body);
    sb_puts(&body, ";\n");
    print_declaration(e, i, "", &body);
    print_definition(e, i, &body);
  }
  if (strstr(sb_str(&body), "INFINITY") || strstr(sb_str(&body), "NAN")) sb_puts(out, "#include <math.h>\n");
  print_constants_attribute(e, out);
  if (strstr(sb_str(&body), "MF_ALIGN("))
    sb_puts(out, "\n#ifdef __GNUC__\n#define MF_ALIGN(n) __attribute__((aligned(n)))\n#else\n"
                 "#define MF_ALIGN(n) _Alignas(n)\n#endif\n");
  sb_puts(out, sb_str(&body));
  sb_free(&body);
}
