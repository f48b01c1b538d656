/* model.c: one C99 file that depends on nothing but the compiler's own headers (math.h where a float kernel needs it).
 *
 *   head comment | kernels in use | constants | params, one struct a kernel call | init, input, run, output
 *
 * No allocation and no writable globals (save the static arena, compiled in on request only); all working memory lies
 * in the context's arena at the plan's offsets. A call per kernel call, in the lowering's order; a batch is a loop.
 */
#include "backend/emit/emit.h"

#include <string.h>

#include "ir/base/mem.h"

void print_comment_text(StrBuf *out, const char *s) {
  for (; *s; s++) {
    unsigned char c = (unsigned char)*s;
    if (c == '*' || c == '\\' || c == '?' || c < 0x20 || c == 0x7f) c = '_';
    sb_putc(out, (char)c);
  }
}

static void print_head(const Emit *e, StrBuf *out) {
  char hex[HASH_HEX];
  hash_hex(graph_hash(e->g), hex);
  sb_printf(out, "/* Neural network \"%s\" as C99, made by mistify", e->opt->name);
  if (e->g->name) {
    sb_puts(out, " from \"");
    print_comment_text(out, e->g->name);
    sb_putc(out, '"');
  }
  sb_printf(out, " for %s.\n", e->target->name);
  if (e->opt->note) {
    sb_puts(out, " * ");
    print_comment_text(out, e->opt->note);
    sb_putc(out, '\n');
  }
  sb_printf(out,
            " *\n * %u kernel calls, %lld multiply-accumulates, %lld bytes of constants, %lld bytes of "
            "working memory.\n",
            e->calls.n, (long long)graph_macs(e->g), (long long)pool_bytes(&e->pool),
            (long long)e->plan.arena);
  sb_printf(out, " * Content %s. This code carries no licence condition.\n */\n", hex);
  sb_puts(out, "#include \"model.h\"\n\n");
}

/* Kernel sources and entry points, each once. */
static bool print_kernels(const Emit *e, StrBuf *out) {
  uint32_t n = e->calls.n;
  const char **files = arena_array(e->arena, n + 1, sizeof *files);
  const char **roots = arena_array(e->arena, 2 * (size_t)n + 3, sizeof *roots);
  int n_files = 0, n_roots = 0;
  roots[n_roots++] = "mf_view";
  roots[n_roots++] = "MF_ALIGN";
  roots[n_roots++] = "MF_SPECIAL";
  for (uint32_t c = 0; c < n; c++) {
    const KernelDef *k = e->calls.v[c].kernel;
    bool seen = false;
    for (uint32_t b = 0; b < c && !seen; b++) seen = e->calls.v[b].kernel == k;
    if (seen) continue;
    files[n_files++] = k->file;
    roots[n_roots++] = arena_printf(e->arena, "%s__%s", k->name, k->tag);
    roots[n_roots++] = k->params->c_type;
  }
  if (n == 0) return true;
  return shake_kernels(files, n_files, roots, n_roots, out, e->diag);
}

/* -- params -- */

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
  if (f->kind != FIELD_I32 && f->kind != FIELD_F32) {
    int c = const_of_field(e, call, field);
    if (c >= 0)
      sb_printf(out, "c%d", c);
    else
      sb_puts(out, "NULL");
    return;
  }
  if (f->count > 1) sb_putc(out, '{');
  for (int i = 0; i < f->count; i++) {
    if (i) sb_puts(out, ", ");
    print_scalar(out, f->kind, p, i);
  }
  if (f->count > 1) sb_putc(out, '}');
}

static void print_params(const Emit *e, uint32_t call, StrBuf *out) {
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

/* Constants appear right before the first layer that uses them. */
static void print_layers(const Emit *e, StrBuf *out) {
  int next = 0;
  sb_puts(out, LAYERS_COMMENT);
  for (uint32_t c = 0; c < e->calls.n; c++) {
    sb_putc(out, '\n');
    for (; next < e->pool.n && e->pool.v[next].layer <= (int)c; next++)
      pool_print(&e->pool.v[next], next, out);
    print_params(e, c, out);
  }
  for (; next < e->pool.n; next++) pool_print(&e->pool.v[next], next, out);
}

/* -- public functions -- */

static void print_init(const Emit *e, StrBuf *out) {
  const char *n = e->opt->name, *u = e->upper;
  sb_printf(out, "#ifdef %s_STATIC_ARENA\n", u);
  sb_printf(out,
            "static union {\n  unsigned char bytes[%s_ARENA_SIZE];\n  double f;\n  int64_t i;\n} "
            "static_arena;\n#endif\n\n",
            u);
  sb_printf(out, "int %s_init(%s_context *ctx, void *arena, size_t size) {\n", n, n);
  sb_printf(out,
            "#ifdef %s_STATIC_ARENA\n  if (!arena) {\n    arena = static_arena.bytes;\n    size = sizeof "
            "static_arena.bytes;\n  }\n#endif\n",
            u);
  sb_printf(out, "  ctx->arena = (unsigned char *)arena;\n  if (!arena || size < %s_ARENA_SIZE) return 1;\n",
            u);
  if (e->plan.input_rows) sb_puts(out, "  ctx->row = 0;\n");
  if (e->g->n_states > 0)
    sb_printf(out,
              "  if ((uintptr_t)arena %% %s_ARENA_ALIGN) return 2;\n  %s_reset(ctx);\n  return 0;\n}\n\n", u,
              n);
  else
    sb_printf(out, "  return (uintptr_t)arena %% %s_ARENA_ALIGN ? 2 : 0;\n}\n\n", u);
}

static void print_accessor(const Emit *e, bool input, StrBuf *out) {
  uint32_t n = input ? e->g->n_inputs : e->g->n_outputs;
  const ValId *ids = input ? e->g->inputs : e->g->outputs;
  bool in_arena = false;
  for (uint32_t i = 0; i < n; i++) in_arena = in_arena || input || e->out_const[i] < 0;
  sb_printf(out, "%svoid *%s_%s(const %s_context *ctx, int i) {\n%s  switch (i) {\n", input ? "" : "const ",
            e->opt->name, input ? "input" : "output", e->opt->name, in_arena ? "" : "  (void)ctx;\n");
  for (uint32_t i = 0; i < n; i++) {
    if (!input && e->out_const[i] >= 0)
      sb_printf(out, "  case %u: return c%d;\n", i, e->out_const[i]);
    else
      sb_printf(out, "  case %u: return ctx->arena + %lld;\n", i, (long long)e->plan.offset[ids[i]]);
  }
  sb_puts(out, "  default: return NULL;\n  }\n}\n\n");
}

/* Whether INFINITY or NAN is printed somewhere: then <math.h> must be there, also without a float kernel. */
static bool print_body(const Emit *e, StrBuf *out) {
  StrBuf kernels = {0}, layers = {0};
  bool ok = print_kernels(e, &kernels);
  print_layers(e, &layers);
  print_specials(e, &layers);
  if ((strstr(sb_str(&layers), "INFINITY") || strstr(sb_str(&layers), "NAN")) &&
      !strstr(sb_str(&kernels), "#include <math.h>"))
    sb_puts(out, "#include <math.h>\n");
  if (e->g->n_states > 0 && !strstr(sb_str(&kernels), "#include <string.h>"))
    sb_puts(out, "#include <string.h>\n");
  sb_puts(out, sb_str(&kernels));
  sb_puts(out, sb_str(&layers));
  sb_free(&kernels);
  sb_free(&layers);
  return ok;
}

bool print_model_c(const Emit *e, StrBuf *out) {
  print_head(e, out);
  TRY(print_body(e, out));
  sb_puts(out, "\n/* -- public functions -- */\n\n");
  print_state_reset(e, out);
  print_init(e, out);
  if (!e->plan.input_rows) print_accessor(e, true, out);
  print_accessor(e, false, out);
  print_run(e, out);
  return true;
}
