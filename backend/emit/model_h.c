/* model.h: what a program needs to know to use the model: sizes, shapes and quantization as macros, five functions. */
#include "backend/emit/emit.h"

#include <string.h>

static void print_dims(const Shape *s, StrBuf *out) {
  sb_putc(out, '{');
  for (int i = 0; i < s->rank; i++) sb_printf(out, "%s%lld", i ? ", " : "", (long long)s->d[i]);
  if (s->rank == 0) sb_putc(out, '1');
  sb_putc(out, '}');
}

/* Macros NAME_INPUT0_TYPE, ... of one input or output. */
static void print_tensor(const Emit *e, const char *kind, uint32_t i, ValId id, StrBuf *out) {
  const Value *v = graph_val(e->g, id);
  StrBuf p = {0};
  sb_printf(&p, "#define %s_%s%u_", e->upper, kind, i);
  sb_printf(out, "\n/* %s %u", strcmp(kind, "INPUT") == 0 ? "Input" : "Output", i);
  if (v->name) {
    sb_puts(out, ": ");
    print_comment_text(out, v->name);
  }
  sb_puts(out, " */\n");
  sb_printf(out, "%sTYPE %s\n", p.s, c_type_of(v->dtype));
  sb_printf(out, "%sCOUNT %lld\n", p.s, (long long)shape_count(&v->shape));
  sb_printf(out, "%sBYTES %lld\n", p.s, (long long)val_bytes(e->g, id));
  sb_printf(out, "%sRANK %d\n", p.s, (int)v->shape.rank);
  sb_printf(out, "%sDIMS ", p.s);
  print_dims(&v->shape, out);
  sb_putc(out, '\n');
  if (e->plan.input_rows && strcmp(kind, "INPUT") == 0)
    sb_printf(out, "%sROWS %d\n%sROW_BYTES %lld\n", p.s, (int)e->plan.input_rows, p.s,
              (long long)val_bytes(e->g, id) / e->plan.input_rows);
  if (e->plan.hop && strcmp(kind, "INPUT") == 0) sb_printf(out, "%sHOP %d\n", p.s, (int)e->plan.hop);
  if (v->quant.n == 1) { /* real = SCALE * (q - ZERO) */
    sb_printf(out, "%sSCALE ", p.s);
    print_float(out, v->quant.scale[0]);
    sb_printf(out, "\n%sZERO (%d)\n", p.s, (int)v->quant.zero[0]);
  }
  sb_free(&p);
}

static void print_context(const Emit *e, StrBuf *out) {
  const char *n = e->opt->name;
  sb_printf(out, "typedef struct %s_context {\n  unsigned char *arena;\n", n);
  if (in_blob(e)) sb_puts(out, "  const unsigned char *weights; /* NULL: none are bound */\n");
  if (e->plan.input_rows)
    sb_puts(out, "  int32_t row; /* rows of the input (of the window) that have been given */\n");
  if (e->adapt) sb_puts(out, "  void *adapt; /* state of adaptation; NULL: none is bound */\n");
  if (e->opt->step) sb_printf(out, "  int32_t layer, time; /* where %s_step goes on */\n", n);
  if (e->variants) sb_puts(out, "  int32_t variant; /* the last that ran: whose outputs there are */\n");
  if (e->exits) sb_puts(out, "  int32_t parts; /* of the model, that have run on this input */\n");
  sb_printf(out, "} %s_context;\n\n", n);
}

static const char init[] =
    "/* Bind the model to its working memory: @U_ARENA_SIZE bytes or more, aligned to @U_ARENA_ALIGN, the "
    "caller's for as\n"
    " * long as the context is used. Any number of contexts may be used at once. NULL stands for the model's "
    "own static\n"
    " * arena where model.c is compiled with -D@U_STATIC_ARENA. Returns 0, 1 (too small or NULL) or 2 "
    "(misaligned). */\n"
    "int @_init(@_context *ctx, void *arena, size_t size);\n"
    "\n";

static const char init_shared[] =
    "/* Bind the model to its working memory: @U_ARENA_SIZE bytes or more, aligned to @U_ARENA_ALIGN. NULL "
    "stands for\n"
    " * models_arena, which the models of the program share: one run at a time, and its outputs are read "
    "before another\n"
    " * model's input is written. Returns 0, 1 (too small) or 2 (misaligned). */\n"
    "int @_init(@_context *ctx, void *arena, size_t size);\n"
    "\n";

static const char weights[] =
    "/* Weights apart from the code: @_weights.bin, wherever it is stored, aligned to @U_WEIGHTS_ALIGN and "
    "readable at its\n"
    " * address. weights.c holds the same bytes for the first image; leave it out where another one is "
    "bound. */\n"
    "extern const unsigned char @_weights[@U_WEIGHTS_SIZE];\n"
    "\n"
    "/* Bind weights, after @_init and before a run; the caller's for as long as the context is used. "
    "Checked are form,\n"
    " * version, whether they fit this code, length and checksum. Returns 0, or the fault: then none are "
    "bound, a run\n"
    " * computes nothing. */\n"
    "enum {\n"
    "  @U_WEIGHTS_MISALIGNED = 1,\n"
    "  @U_WEIGHTS_MAGIC,       /* no weights of mistify's */\n"
    "  @U_WEIGHTS_VERSION,     /* another version of the form */\n"
    "  @U_WEIGHTS_FINGERPRINT, /* another model's: other layers, shapes, kernels or quantization of inputs "
    "and outputs */\n"
    "  @U_WEIGHTS_LENGTH,      /* NULL, too short, or not as long as they should be */\n"
    "  @U_WEIGHTS_CHECKSUM\n"
    "};\n"
    "int @_bind_weights(@_context *ctx, const void *blob, size_t size);\n"
    "\n";

static const char step[] =
    "\n/* One inference in pieces: a layer, or a row each of layers that take turns. Returns 1 while there "
    "is more to do, "
    "0\n"
    " * when the outputs are there; the next call begins anew. @U_STEPS calls are a run. */\n"
    "int @_step(@_context *ctx);\n";

static const char info[] = "\n/* All of this at run time. */\nextern const mistify_model_info @_info;\n";

static const char whole[] =
    "/* Where to write input i before a run (NULL: no such input). A run may overwrite it. */\n"
    "void *@_input(const @_context *ctx, int i);\n"
    "\n"
    "/* One inference: input to output. Allocates nothing, returns always. */\n"
    "void @_run(const @_context *ctx);\n"
    "\n"
    "/* Output i, valid after a run until the next input is written (NULL: no such output). */\n"
    "const void *@_output(const @_context *ctx, int i);\n";

static const char whole_family[] =
    "/* Where to write input i before a run (NULL: no such input), the same for all variants. A run may "
    "overwrite it: write\n"
    " * it again before another variant runs on it. */\n"
    "void *@_input(const @_context *ctx, int i);\n"
    "\n"
    "/* One inference by a variant: 0, the widest, to @U_VARIANTS - 1 (any other number: nothing is done). "
    "Any "
    "may follow\n"
    " * any other: they share weights and working memory, and nothing is copied or prepared. Allocates "
    "nothing, returns\n"
    " * always. */\n"
    "void @_run(@_context *ctx, int variant);\n"
    "\n"
    "/* Output i of the variant that ran last, valid until the next input is written (NULL: no such output). "
    "*/\n"
    "const void *@_output(const @_context *ctx, int i);\n"
    "\n"
    "/* What each variant takes and is worth. */\n"
    "extern const mistify_variant @_variants[@U_VARIANTS];\n"
    "\n"
    "/* The best variant within the budget; -1: none is. */\n"
    "int @_select(const mistify_budget *budget);\n";

static const char exits[] = "\n/* Variants are exits of one model: 0 runs it to the end, the others stop "
                            "before. To go on from where the last run (or\n"
                            " * continuation) ended, on the same input, which need not be written again: a "
                            "wider variant runs the layers that are\n"
                            " * left, of a narrower one the outputs are there again. */\n"
                            "void @_continue(@_context *ctx, int variant);\n";

static const char info_family[] = "\n/* All of this at run time, of each variant. */\nextern const "
                                  "mistify_model_info @_info[@U_VARIANTS];\n";

static const char by_rows[] =
    "/* Give the next n rows of the input, @U_INPUT0_ROW_BYTES bytes each; layers run as far as they can. "
    "Returns 1 "
    "when the last\n"
    " * of them was the input's last row: then the outputs are there, and the next row begins another input; "
    "0 "
    "otherwise. */\n"
    "int @_push_rows(@_context *ctx, const void *rows, int n);\n"
    "\n"
    "/* Output i, valid from the last row until the next row is given (NULL: no such output). */\n"
    "const void *@_output(const @_context *ctx, int i);\n";

static const char by_rows_hop[] =
    "/* Give the next n rows of the input, @U_INPUT0_ROW_BYTES bytes each; layers run as far as they can. A "
    "window is\n"
    " * @U_INPUT0_ROWS rows, and each begins @U_INPUT0_HOP rows behind the one before it: what it shares "
    "with that "
    "is not computed\n"
    " * again. Returns 1 when the last row given was a window's last: then its outputs are there. @_init "
    "begins "
    "anew. */\n"
    "int @_push_rows(@_context *ctx, const void *rows, int n);\n"
    "\n"
    "/* Output i, valid from a window's last row until the next row is given (NULL: no such output). */\n"
    "const void *@_output(const @_context *ctx, int i);\n";

static const char by_rows_step[] =
    "/* Give the next n rows of the input, @U_INPUT0_ROW_BYTES bytes each; layers run as far as they can. "
    "Returns 1 when the last\n"
    " * of them was the input's last row: then call @_step until it returns 0, which is when the outputs are "
    "there; "
    "the next\n"
    " * row begins another input. Returns 0 otherwise. */\n"
    "int @_push_rows(@_context *ctx, const void *rows, int n);\n"
    "\n"
    "/* Output i, valid from the last step until the next row is given (NULL: no such output). */\n"
    "const void *@_output(const @_context *ctx, int i);\n";

static const char reset[] =
    "\n"
    "/* The model keeps values from one run to the next (in its arena): back to what @_init began with. */\n"
    "void @_reset(const @_context *ctx);\n";

void print_template(const Emit *e, const char *text, StrBuf *out) {
  for (const char *p = text; *p; p++) {
    if (*p != '@') {
      sb_putc(out, *p);
    } else if (p[1] == 'U') {
      sb_puts(out, e->upper);
      p++;
    } else {
      sb_puts(out, e->opt->name);
    }
  }
}

static void print_usage(const Emit *e, StrBuf *out) {
  const char *u = e->upper, *n = e->opt->name;
  if (in_blob(e)) sb_printf(out, " *   %s_bind_weights(&ctx, %s_weights, sizeof %s_weights);\n", n, n, n);
  if (e->plan.input_rows) {
    sb_printf(
        out, " *   ... for each row of the input: %s_push_rows(&ctx, row, 1); 1: the outputs are there ...\n",
        n);
  } else {
    sb_printf(out, " *   ... write %s_INPUT0_BYTES bytes at %s_input(&ctx, 0) ...\n", u, n);
    sb_printf(out, e->variants ? " *   %s_run(&ctx, variant);\n" : " *   %s_run(&ctx);\n", n);
  }
  sb_printf(out, " *   ... read %s_OUTPUT0_BYTES bytes at %s_output(&ctx, 0) ...\n", u, n);
}

static void print_functions(const Emit *e, StrBuf *out) {
  print_context(e, out);
  print_template(e, e->opt->share_arena ? init_shared : init, out);
  if (in_blob(e)) print_template(e, weights, out);
  const char *rows = e->opt->step ? by_rows_step : e->plan.hop ? by_rows_hop : by_rows;
  print_template(e, e->plan.input_rows ? rows : e->variants ? whole_family : whole, out);
  if (e->exits) print_template(e, exits, out);
  if (e->opt->step) print_template(e, step, out);
  if (e->g->n_states > 0) print_template(e, reset, out);
  print_adapt_header(e, out);
  print_template(e, e->variants ? info_family : info, out);
  print_control_h(e, out);
}

static void print_sizes(const Emit *e, StrBuf *out) {
  const char *u = e->upper;
  const int64_t main = plan_main_bytes(&e->plan);
  sb_printf(out, "/* Working memory in bytes, input and output included. */\n");
  sb_printf(out, "#define %s_ARENA_SIZE %lld\n", u, (long long)(main ? main : 1));
  sb_printf(out, "#define %s_ARENA_ALIGN %lld\n", u, (long long)e->plan.align);
  print_region_sizes(e, out);
  print_adapt_sizes(e, out);
  if (in_blob(e))
    sb_printf(out, "#define %s_WEIGHTS_SIZE %lld\n#define %s_WEIGHTS_ALIGN %lld\n", u,
              (long long)e->blob.size, u, (long long)e->blob.align);
  if (e->variants) sb_printf(out, "#define %s_VARIANTS %d\n", u, e->n_variants);
  if (e->opt->step) sb_printf(out, "#define %s_STEPS %lld\n", u, (long long)step_count(e));
  sb_printf(out, "#define %s_INPUTS %u\n#define %s_OUTPUTS %u\n", u, e->g->n_inputs, u, e->g->n_outputs);
}

void print_model_h(const Emit *e, StrBuf *out) {
  const char *u = e->upper;
  sb_printf(out, "/* Neural network \"%s\" as C99, made by mistify. How to use it:\n *\n", e->opt->name);
  sb_printf(out, " *   static union { unsigned char bytes[%s_ARENA_SIZE]; double align; } memory;\n", u);
  sb_printf(out, " *   %s_context ctx;\n", e->opt->name);
  sb_printf(out, " *   %s_init(&ctx, memory.bytes, sizeof memory);\n", e->opt->name);
  print_usage(e, out);
  sb_puts(out, " *\n * Quantized tensors: real = SCALE * (q - ZERO). Compile with -ffp-contract=off for the "
               "same float results\n"
               " * everywhere.\n */\n");
  sb_printf(out, "#ifndef MODEL_%s_H\n#define MODEL_%s_H\n\n#include <stddef.h>\n#include <stdint.h>\n\n", u,
            u);
  sb_puts(out, "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n");
  print_sizes(e, out);
  for (uint32_t i = 0; i < e->g->n_inputs; i++) print_tensor(e, "INPUT", i, e->g->inputs[i], out);
  for (uint32_t i = 0; i < e->g->n_outputs; i++) print_tensor(e, "OUTPUT", i, e->g->outputs[i], out);
  sb_putc(out, '\n');
  print_info_types(out);
  if (e->variants) sb_putc(out, '\n'), print_device_types("runtime/device/variant.h", out);
  print_adapt_types(e, out);
  sb_putc(out, '\n');
  print_control_types(e, out);
  print_functions(e, out);
  sb_puts(out, "\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
}
