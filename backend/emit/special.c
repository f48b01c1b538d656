/* Kernels specialised by literal shapes: a function of its own for a layer, into which the compiler inlines the kernel with
 * the layer's params as constants. Loops over the window then have known lengths, strides and borders become literals.
 *
 * Layers whose params differ in their constants' addresses alone share one such function. Worth its code where much of a
 * kernel's time goes into finding a pixel's window: convolutions. Asked for by OPT_SPEED; otherwise every layer calls the
 * shared kernel.
 */
#include "backend/emit/emit.h"

#include <string.h>

static bool is_pointer(FieldKind k) { return k != FIELD_I32 && k != FIELD_F32; }

static bool wants_special(const Emit *e, const KernelCall *k) {
  return e->opt->optimize == OPT_SPEED && strncmp(k->kernel->params->c_type, "mf_conv_", 8) == 0;
}

/* `bound`: quantization comes with the weights, at run time. */
static bool same_shape(const KernelCall *a, const KernelCall *b, bool bound) {
  if (a->kernel != b->kernel) return false;
  const ParamsDesc *d = a->kernel->params;
  for (int f = 0; f < d->n_fields; f++) {
    const FieldDesc *field = &d->fields[f];
    const char *x = (const char *)a->params + field->offset, *y = (const char *)b->params + field->offset;
    if (bound && field_is_tuned(field)) continue;
    if (!is_pointer(field->kind) && memcmp(x, y, field_size(field) * (size_t)field->count) != 0) return false;
    if (is_pointer(field->kind) &&
        (*(void *const *)(const void *)x == NULL) != (*(void *const *)(const void *)y == NULL))
      return false;
  }
  return true;
}

int special_of(const Emit *e, uint32_t c) {
  const KernelCall *k = &e->calls.v[c];
  if (!wants_special(e, k)) return -1;
  for (uint32_t b = 0; b < c; b++)
    if (same_shape(&e->calls.v[b], k, in_blob(e))) return (int)b;
  return (int)c;
}

static void print_special(const Emit *e, uint32_t c, StrBuf *out) {
  const KernelCall *k = &e->calls.v[c];
  const ParamsDesc *d = k->kernel->params;
  sb_printf(
      out,
      "\nMF_SPECIAL void special%u(const void *params, const mf_view *in, const mf_view *out, int32_t y0,\n",
      c);
  sb_printf(out, "                          int32_t y1, void *scratch) {\n  %s p = layer%u;\n", d->c_type, c);
  for (int f = 0; f < d->n_fields; f++)
    if (is_pointer(d->fields[f].kind) || (in_blob(e) && field_is_tuned(&d->fields[f])))
      sb_printf(out, "  p.%s = ((const %s *)params)->%s;\n", d->fields[f].name, d->c_type, d->fields[f].name);
  sb_printf(out, "  %s__%s(&p, in, out, y0, y1, scratch);\n}\n", k->kernel->name, k->kernel->tag);
}

void print_specials(const Emit *e, StrBuf *out) {
  for (uint32_t c = 0; c < e->calls.n; c++)
    if (special_of(e, c) == (int)c) print_special(e, c, out);
}
