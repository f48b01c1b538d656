/* Adaptation in the emitted text: what a run does more, the public functions, declarations. See adapt_c.h. */
#include "backend/emit/adapt_c.h"

/* -- a run -- */

int32_t emit_adapt_call(const Emit *e, const AdaptStep *s) {
  uint32_t c = 0;
  while (c < e->calls.n && (e->calls.v[c].node != s->k->node || e->calls.v[c].out.val != s->k->out.val)) c++;
  ASSERT(c < e->calls.n); /* every layer has its call */
  return (int32_t)c;
}

/* The step of a call of which something is changed or kept; -1. */
static int step_of_call(const Emit *e, uint32_t c) {
  const AdaptEmit *ad = e->adapt;
  for (int i = 0; ad && i < ad->n_steps; i++)
    if (ad->step[i].active && (ad->step[i].number >= 0 || ad->step[i].bits) &&
        emit_adapt_call(e, &ad->step[i]) == (int32_t)c)
      return i;
  return -1;
}

void print_adapt_locals(const Emit *e, StrBuf *out) {
  if (e->adapt)
    sb_puts(out,
            "  const int32_t *const s = ctx->adapt ? mf_adapt_words((mf_adapt_state *)ctx->adapt) : NULL;\n");
}

void print_adapt_before(const Emit *e, uint32_t c, const char *y0, const char *y1, const char *indent,
                        StrBuf *out) {
  const int i = step_of_call(e, c);
  const AdaptStep *s = i < 0 ? NULL : &e->adapt->step[i];
  if (s && s->kind == MF_BACK_MAX)
    sb_printf(out, "%s  if (s) mf_adapt_where(&adapt_back_layer%d, %d, %d, in, %s, %s, a + %lld);\n", indent,
              i, (int)(s->limited ? s->lo : -129), (int)(s->limited ? s->hi : 128), y0, y1, (long long)s->at);
  if (s && s->learns)
    sb_printf(
        out, "%s  if (s)\n%s    mf_adapt_run_weights(&adapt_weights[%d], s, in, &out, %s, %s);\n%s  else\n  ",
        indent, indent, s->learner, y0, y1, indent);
  if (!e->adapt || e->calls.v[c].node != e->adapt->last->node) return;
  sb_printf(out,
            "%s  if (s)\n%s    mf_adapt_run_last(&adapt_last, s, (const int8_t *)in[0].base, (int8_t "
            "*)out.base);\n%s  else\n  ",
            indent, indent, indent);
}

void print_adapt_after(const Emit *e, uint32_t c, const char *y0, const char *y1, const char *indent,
                       StrBuf *out) {
  const int i = step_of_call(e, c);
  if (i < 0 || e->adapt->step[i].kind == MF_BACK_MAX) return;
  const AdaptStep *s = &e->adapt->step[i];
  const long long row = (long long)emit_adapt_elements(e, s->y) / e->calls.v[c].rows;
  if (s->held)
    sb_printf(out, "%s  if (s) mf_adapt_run_adapter(&adapt_adapter[%d], s, &out, %lld, %s, %s, a + %lld, ",
              indent, s->adapter, row, y0, y1, (long long)s->at);
  else if (s->number >= 0)
    sb_printf(out, "%s  if (s) mf_adapt_run_affine(&adapt_affine[%d], s, &out, %lld, %s, %s, ", indent,
              s->number, row, y0, y1);
  else
    sb_printf(out, "%s  if (s) mf_adapt_mask(%d, %d, &out, %lld, %s, %s, ", indent, (int)s->lo, (int)s->hi,
              row, y0, y1);
  if (s->bits)
    sb_printf(out, "a + %lld);\n", (long long)(s->at + s->held));
  else
    sb_puts(out, "NULL);\n");
}

/* -- public functions -- */

static const char functions[] =
    "\nint @_adapt_init(@_context *ctx, void *state, size_t size) {\n"
    "  mf_adapt_state *const s = (mf_adapt_state *)state;\n"
    "  ctx->adapt = NULL;\n"
    "  if (!state || size < @U_ADAPT_STATE_SIZE) return 1;\n"
    "  if ((uintptr_t)state % @U_ADAPT_STATE_ALIGN) return 2;\n"
    "  s->rates = adapt.rates;\n"
    "  s->saves = 0;\n"
    "  adapt_forget(s);\n"
    "  ctx->adapt = state;\n"
    "  return 0;\n}\n"
    "\nvoid @_adapt_reset(const @_context *ctx) {\n"
    "  if (ctx->adapt) adapt_forget((mf_adapt_state *)ctx->adapt);\n}\n"
    "\nmistify_rates *@_adapt_rates(const @_context *ctx) {\n"
    "  return ctx->adapt ? &((mf_adapt_state *)ctx->adapt)->rates : NULL;\n}\n"
    "\nconst void *@_adapt_features(const @_context *ctx) { return ctx->arena + adapt.x; }\n"
    "\nfloat @_adapt_step_features(const @_context *ctx, const void *features, int32_t label) {\n"
    "  if (!ctx->adapt) return @U_ADAPT_UNBOUND;\n"
    "  return mf_adapt_step_features(&adapt, (mf_adapt_state *)ctx->adapt, (const int8_t *)features, "
    "label);\n}\n"
    "\nint @_adapt_save(const @_context *ctx, const mistify_storage *to) {\n"
    "  return ctx->adapt ? mf_adapt_save(&adapt, (mf_adapt_state *)ctx->adapt, to) : @U_ADAPT_UNBOUND;\n}\n"
    "\nint @_adapt_load(const @_context *ctx, const mistify_storage *from) {\n"
    "  return ctx->adapt ? mf_adapt_load(&adapt, (mf_adapt_state *)ctx->adapt, from) : "
    "@U_ADAPT_UNBOUND;\n}\n";

static const char steps[] =
    "\nstatic void adapt_forward(const @_context *ctx, const void *input) {\n"
    "  if (input) {\n"
    "    const unsigned char *from = (const unsigned char *)input;\n"
    "    unsigned char *to = (unsigned char *)@_input(ctx, 0);\n"
    "    for (size_t i = 0; i < @U_INPUT0_BYTES; i++) to[i] = from[i];\n"
    "  }\n"
    "  @_run(ctx);\n}\n"
    "\nfloat @_adapt_step(const @_context *ctx, const void *input, int32_t label) {\n"
    "  if (!ctx->adapt) return @U_ADAPT_UNBOUND;\n"
    "  if (label < 0 || label >= adapt_last.n) return @U_ADAPT_LABEL;\n"
    "  adapt_forward(ctx, input);\n"
    "  return adapt_learn(ctx, label);\n}\n"
    "\nfloat @_adapt_step_self(const @_context *ctx, const void *input, float least) {\n"
    "  int32_t label;\n"
    "  if (!ctx->adapt) return @U_ADAPT_UNBOUND;\n"
    "  adapt_forward(ctx, input);\n"
    "  label = mf_adapt_own_label(&adapt_last, (const int8_t *)ctx->arena + adapt.logits, least);\n"
    "  return label < 0 ? @U_ADAPT_UNSURE : adapt_learn(ctx, label);\n}\n";

/* A step behind a run. */
static const char learn_begin[] = "\nstatic float adapt_learn(const @_context *ctx, int32_t label) {\n";
static const char learn_all[] =
    "  return mf_adapt_step(&adapt, (mf_adapt_state *)ctx->adapt, ctx->arena, label);\n}\n";
static const char learn_last[] = "  return @_adapt_step_features(ctx, @_adapt_features(ctx), label);\n}\n";

void print_adapt_functions(const Emit *e, StrBuf *out) {
  if (!e->adapt) return;
  sb_puts(out, "\nstatic void adapt_forget(mf_adapt_state *s) {\n  mf_adapt_reset(&adapt, s);\n");
  for (int i = 0; i < e->adapt->learning; i++)
    sb_printf(out, "  mf_adapt_reset_weights(&adapt_weights[%d], mf_adapt_words(s));\n", i);
  sb_puts(out, "}\n");
  print_template(e, functions, out);
  print_template(e, learn_begin, out);
  print_template(e, e->adapt->chosen > 0 ? learn_all : learn_last, out);
  print_template(e, steps, out);
}

/* -- model.h -- */

static const char header[] =
    "\n/* -- adaptation: what was learned here goes on top of the model as compiled -- */\n"
    "\n"
    "/* What a function returns in place of a loss or 0. */\n"
    "enum {\n"
    "  @U_ADAPT_UNBOUND = -1, /* no state is bound */\n"
    "  @U_ADAPT_LABEL = -2,   /* no such class */\n"
    "  @U_ADAPT_STORAGE = -3, /* a callback of the storage reported a fault, or a slot is too small */\n"
    "  @U_ADAPT_EMPTY = -4,   /* no slot holds a state of this model */\n"
    "  @U_ADAPT_UNSURE = -5   /* of its own label the model is not sure enough: no step */\n"
    "};\n"
    "\n"
    "/* Bind memory for what is learned, @U_ADAPT_STATE_SIZE bytes aligned to @U_ADAPT_STATE_ALIGN, the "
    "caller's for as long "
    "as\n"
    " * the context is used: nothing is learned yet, and a run gives the bytes of the model as compiled. "
    "After @_init.\n"
    " * Returns 0, 1 (too small or NULL) or 2 (misaligned); then a run is as compiled. */\n"
    "int @_adapt_init(@_context *ctx, void *state, size_t size);\n"
    "\n"
    "/* Forget what was learned. */\n"
    "void @_adapt_reset(const @_context *ctx);\n"
    "\n"
    "/* How far a step goes, to be changed at any time; NULL: no state is bound. */\n"
    "mistify_rates *@_adapt_rates(const @_context *ctx);\n"
    "\n"
    "/* Learn that the input (@U_INPUT0_BYTES bytes; NULL: what was written at @_input) is of class `label`: "
    "a run and a step. "
    "Returns\n"
    " * the loss before the step (cross-entropy, natural logarithm), or an error, which is negative. Outputs "
    "are those of the "
    "run. */\n"
    "float @_adapt_step(const @_context *ctx, const void *input, int32_t label);\n"
    "\n"
    "/* The same with the class that the model itself says, where its probability is `least` or more. What "
    "is wrong makes "
    "itself\n"
    " * worse so: only where it was seen on labelled examples that it helps. */\n"
    "float @_adapt_step_self(const @_context *ctx, const void *input, float least);\n"
    "\n"
    "/* Features: the input of the last layer, @U_ADAPT_FEATURES bytes, valid after @_run (not after "
    "@_adapt_step) until the next "
    "input is written. Kept "
    "by\n"
    " * the program, they serve for further steps of the last layer, at a fraction of a run's cost. Where "
    "other layers adapt "
    "too, they\n"
    " * are those of the layers as they were. */\n"
    "const void *@_adapt_features(const @_context *ctx);\n"
    "float @_adapt_step_features(const @_context *ctx, const void *features, int32_t label);\n"
    "\n"
    "/* Keep what was learned, and take it up again, through the program's storage of two slots. A power cut "
    "at any moment of a "
    "save\n"
    " * loses at most that save. Return 0 or an error; a load that returns @U_ADAPT_EMPTY changes nothing, "
    "one that returns\n"
    " * @U_ADAPT_STORAGE may have forgotten what was learned. */\n"
    "int @_adapt_save(const @_context *ctx, const mistify_storage *to);\n"
    "int @_adapt_load(const @_context *ctx, const mistify_storage *from);\n";

void print_adapt_sizes(const Emit *e, StrBuf *out) {
  const AdaptEmit *ad = e->adapt;
  const char *u = e->upper;
  if (!ad) return;
  sb_printf(
      out,
      "/* Adaptation: bytes of its state, of a slot in storage; 32-bit words that learn; bytes of features; "
      "of "
      "the arena what "
      "inference alone would not need. */\n"
      "#define %s_ADAPT_STATE_SIZE %lld\n#define %s_ADAPT_STATE_ALIGN 4\n#define %s_ADAPT_SLOT_SIZE %lld\n"
      "#define %s_ADAPT_WORDS %lld\n#define %s_ADAPT_FEATURES %lld\n#define %s_ADAPT_ARENA %lld\n#define "
      "%s_ADAPT_BIASES %d\n",
      u, (long long)emit_adapt_state_bytes(ad), u, u, (long long)mf_adapt_slot_bytes((int32_t)ad->words), u,
      (long long)ad->words, u, (long long)ad->k, u, (long long)(e->plan.arena - ad->arena_without), u,
      ad->chosen);
}

void print_adapt_header(const Emit *e, StrBuf *out) {
  if (!e->adapt) return;
  print_template(e, header, out);
}

void print_adapt_types(const Emit *e, StrBuf *out) {
  if (!e->adapt) return;
  sb_putc(out, '\n');
  print_device_types("runtime/device/adapt.h", out);
}

void print_adapt_json(const Emit *e, StrBuf *out) {
  const AdaptEmit *ad = e->adapt;
  if (!ad) return;
  sb_printf(
      out,
      "  \"adapt\": {\"form\": \"%s\", \"state\": %lld, \"arena\": %lld, \"biases\": %d, \"layers\": %d, "
      "\"weights\": %d, \"multipliers\": %s, \"rank\": %d, \"adapters\": %d, \"row_by_row\": %s, "
      "\"learned_instructions\": %lld},\n",
      device_adapt_name(e->opt->adapt), (long long)emit_adapt_state_bytes(ad),
      (long long)(e->plan.arena - ad->arena_without), ad->chosen, ad->n_affines, ad->learning,
      ad->gains ? "true" : "false", ad->rank, ad->adapters, ad->turns ? "true" : "false",
      (long long)emit_adapt_learned(e));
}
