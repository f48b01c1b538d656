/* Params of the layers: "static const mf_conv_s8 layer3 = {...};", one a kernel call. Where the weights are in a blob,
 * pointers and quantization are filled in at the call (blob.c).
 */
#include "backend/emit/emit.h"

static bool is_pointer(FieldKind k) { return k >= FIELD_PTR_I8; }

static int const_of_field(const Emit *e, uint32_t call, int field) {
  const KernelCall *k = &e->calls.v[call];
  for (int i = 0; i < k->n_consts; i++)
    if (k->consts[i].field == field) return e->names[call].field[i];
  return -1;
}

static void print_scalar(StrBuf *out, FieldKind kind, const void *p, int i) {
  if (kind == FIELD_F32)
    print_float(out, ((const float *)p)[i]);
  else
    print_int(out, ((const int32_t *)p)[i]);
}

static void print_field(const Emit *e, uint32_t call, int field, StrBuf *out) {
  const KernelCall *k = &e->calls.v[call];
  const FieldDesc *f = &k->kernel->params->fields[field];
  const void *p = (const char *)k->params + f->offset;
  sb_printf(out, ".%s = ", f->name);
  if (f->kind == FIELD_FN) {
    sb_puts(out, CATTRS(&e->g->nodes[k->node], custom)->function.s);
    return;
  }
  if (is_pointer(f->kind)) {
    int c = const_of_field(e, call, field);
    if (c >= 0 && !in_blob(e))
      print_const(e, c, out);
    else
      sb_puts(out, "NULL");
    return;
  }
  if (in_blob(e) && field_is_tuned(f)) {
    sb_putc(out, '0');
    return;
  }
  if (f->count > 1) sb_putc(out, '{');
  for (int i = 0; i < f->count; i++) {
    if (i) sb_puts(out, ", ");
    print_scalar(out, f->kind, p, i);
  }
  if (f->count > 1) sb_putc(out, '}');
}

void print_params(const Emit *e, uint32_t call, StrBuf *out) {
  const ParamsDesc *desc = e->calls.v[call].kernel->params;
  sb_printf(out, "static const %s layer%u = {", desc->c_type, call);
  size_t line = out->len;
  for (int f = 0; f < desc->n_fields; f++) {
    if (f) sb_puts(out, ",");
    if (f == 0 || out->len - line > 84) {
      sb_puts(out, "\n  ");
      line = out->len;
    } else {
      sb_putc(out, ' ');
    }
    print_field(e, call, f, out);
  }
  sb_puts(out, "};\n");
}
