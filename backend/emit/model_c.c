/* model.c: one C99 file that depends on nothing but the compiler's own headers (math.h where a float kernel needs it).
 *
 *   head comment | kernels in use | constants | params, one struct a kernel call | init, input, run, output
 *
 * No allocation and no writable globals (save the static arena, compiled in on request only); all working memory lies
 * in the context's arena at the plan's offsets. A call per kernel call, in the lowering's order; a batch is a loop.
 */
#include "backend/emit/emit.h"

#include <string.h>

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

static void print_constant(const Emit *e, int index, StrBuf *out) {
  if (!in_blob(e)) pool_print(e, index, out);
}

/* Constants appear right before the first layer that uses them. */
static void print_layers(const Emit *e, StrBuf *out) {
  int next = 0;
  sb_puts(out, LAYERS_COMMENT);
  if (e->pool.n && !in_blob(e)) print_constants_attribute(e, out);
  if (e->calls.n)
    sb_puts(out, "\n#ifndef MF_LAYER /* a profiler may wrap the call of a layer's kernel */\n"
                 "#define MF_LAYER(number, call) call\n#endif\n");
  for (uint32_t c = 0; c < e->calls.n; c++) {
    sb_putc(out, '\n');
    for (; next < e->pool.n && e->pool.v[next].layer <= (int)c; next++) print_constant(e, next, out);
    print_params(e, c, out);
  }
  for (; next < e->pool.n; next++) print_constant(e, next, out);
}

/* -- public functions -- */

/* Where NULL stands for: the models' common arena, or one of the model's own where it is compiled in. */
static void print_default_arena(const Emit *e, StrBuf *out) {
  const char *u = e->upper;
  if (e->opt->share_arena) {
    sb_puts(out, "  if (!arena) {\n    arena = models_arena;\n    size = sizeof models_arena;\n  }\n");
    return;
  }
  sb_printf(out,
            "#ifdef %s_STATIC_ARENA\n  if (!arena) {\n    arena = static_arena.bytes;\n    size = sizeof "
            "static_arena.bytes;\n  }\n#endif\n",
            u);
}

static void print_init(const Emit *e, StrBuf *out) {
  const char *n = e->opt->name, *u = e->upper;
  const bool reset = e->g->n_states > 0 && !in_blob(e);
  if (!e->opt->share_arena)
    sb_printf(out,
              "#ifdef %s_STATIC_ARENA\nstatic union {\n  unsigned char bytes[%s_ARENA_SIZE];\n  double f;\n  "
              "int64_t i;\n} static_arena;\n#endif\n\n",
              u, u);
  sb_printf(out, "int %s_init(%s_context *ctx, void *arena, size_t size) {\n", n, n);
  print_default_arena(e, out);
  sb_puts(out, "  ctx->arena = (unsigned char *)arena;\n");
  if (in_blob(e)) sb_puts(out, "  ctx->weights = NULL;\n");
  if (e->adapt) sb_puts(out, "  ctx->adapt = NULL;\n");
  if (e->plan.input_rows) sb_puts(out, "  ctx->row = 0;\n");
  if (e->opt->step) sb_puts(out, "  ctx->layer = ctx->time = 0;\n");
  if (e->variants) sb_puts(out, "  ctx->variant = 0;\n");
  if (e->exits) sb_puts(out, "  ctx->parts = 0;\n");
  sb_printf(out, "  if (!arena || size < %s_ARENA_SIZE) return 1;\n", u);
  if (reset)
    sb_printf(out,
              "  if ((uintptr_t)arena %% %s_ARENA_ALIGN) return 2;\n  %s_reset(ctx);\n  return 0;\n}\n\n", u,
              n);
  else
    sb_printf(out, "  return (uintptr_t)arena %% %s_ARENA_ALIGN ? 2 : 0;\n}\n\n", u);
}

static void print_place(const Emit *e, int constant, ValId v, StrBuf *out) {
  if (constant < 0) {
    sb_printf(out, "%s + %lld;\n", place_base(e, e->plan.region[v], "ctx->arena"),
              (long long)(e->plan.offset[v] + e->shift));
    return;
  }
  if (in_blob(e)) sb_puts(out, "!ctx->weights ? NULL : ");
  print_const(e, constant, out);
  sb_puts(out, ";\n");
}

static void print_accessor(const Emit *e, bool input, StrBuf *out) {
  uint32_t n = input ? e->g->n_inputs : e->g->n_outputs;
  const ValId *ids = input ? e->g->inputs : e->g->outputs;
  bool in_arena = false, constant = false;
  for (uint32_t i = 0; i < n; i++) {
    in_arena = in_arena || input || e->out_const[i] < 0;
    constant = constant || (!input && e->out_const[i] >= 0);
  }
  sb_printf(out, "%svoid *%s_%s(const %s_context *ctx, int i) {\n", input ? "" : "const ", e->opt->name,
            input ? "input" : "output", e->opt->name);
  if (e->plan.n_regions > 1 || (!in_arena && !(constant && in_blob(e)))) sb_puts(out, "  (void)ctx;\n");
  if (constant && in_blob(e)) sb_puts(out, "  const unsigned char *const w = ctx->weights;\n");
  sb_puts(out, "  switch (i) {\n");
  for (uint32_t i = 0; i < n; i++) {
    sb_printf(out, "  case %u: return ", i);
    print_place(e, input ? -1 : e->out_const[i], ids[i], out);
  }
  sb_puts(out, "  default: return NULL;\n  }\n}\n\n");
}

/* Whether INFINITY or NAN is printed somewhere: then <math.h> must be there, also without a float kernel. */
static bool print_body(const Emit *e, StrBuf *out) {
  StrBuf kernels = {0}, layers = {0};
  bool ok = print_kernels(e, &kernels);
  print_layers(e, &layers);
  print_specials(e, &layers);
  print_adapt_tables(e, &layers);
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
  if (e->opt->share_arena) sb_puts(out, "#include \"../models.h\"\n\n");
  TRY(print_body(e, out));
  print_info(e, out);
  if (e->variants) print_variants(e, out);
  sb_puts(out, "\n/* -- public functions -- */\n\n");
  print_region_arenas(e, out);
  print_state_reset(e, out);
  print_init(e, out);
  print_bind_weights(e, out);
  if (!e->plan.input_rows) print_accessor(e, true, out);
  if (e->variants)
    print_family_output(e, out);
  else
    print_accessor(e, false, out);
  print_run(e, out);
  print_control_c(e, out);
  print_adapt_functions(e, out);
  return true;
}
