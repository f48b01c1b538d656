/* Adaptation in the emitted text: constants and tables of runtime/device/adapt.h, what a run does more, the public functions. See
 * adapt_c.h.
 */
#include <inttypes.h>
#include <string.h>

#include "backend/emit/adapt_c.h"

/* -- constants -- */

static int pool_at_end(Emit *e, DType t, const void *data, int64_t count) {
  return pool_add(&e->pool, t, data, count, 0, (int)e->calls.n);
}

/* A weight's scale for each of n outputs. */
static int pool_scales(Emit *e, const KernelCall *k, int64_t n) {
  const Quant *q = &graph_val(e->g, e->g->nodes[k->node].in[1])->quant;
  float *scale = arena_array(e->arena, (size_t)n, sizeof *scale);
  for (int64_t o = 0; o < n; o++) scale[o] = q->scale[q->n > 1 ? o : 0];
  return pool_at_end(e, DT_F32, scale, n);
}

static int pool_weights(Emit *e, const KernelCall *k) {
  return pool_add_value(&e->pool, e->g, e->g->nodes[k->node].in[1], (int)e->calls.n);
}

static int64_t channels(const Emit *e, const AdaptStep *s) {
  const Shape *shape = &graph_val(e->g, s->k->out.val)->shape;
  return shape->d[shape->rank - 1];
}

static bool is_conv(const AdaptStep *s) { return s->kind == MF_BACK_CONV || s->kind == MF_BACK_DEPTHWISE; }

/* The last layer as one form: fc_s8's params, and conv_s8's of a window that is the image. */
static mf_fc_s8 last_params(const AdaptEmit *ad) {
  if (strcmp(ad->last->kernel->name, "fc_s8") == 0) return *(const mf_fc_s8 *)ad->last->params;
  const mf_conv_s8 *c = ad->last->params;
  return (mf_fc_s8){.w_out = c->w_out,
                    .in_zero = c->in_zero,
                    .out_zero = c->out_zero,
                    .lo = c->lo,
                    .hi = c->hi,
                    .per_channel = 1,
                    .w = c->w,
                    .bias = c->bias,
                    .mult = c->mult,
                    .shift = c->shift};
}

static const char run_c[] = "runtime/device/adapt_run.c", step_c[] = "runtime/device/adapt_step.c",
                  back_c[] = "runtime/device/adapt_back.c", store_c[] = "runtime/device/adapt_store.c";

static void need_functions(Emit *e) {
  const bool back = e->adapt->chosen > 0;
  need_device(e, run_c, "mf_adapt_reset");
  need_device(e, run_c, "mf_adapt_run_last");
  if (back) need_device(e, run_c, "mf_adapt_run_affine");
  need_device(e, step_c, "mf_adapt_step_features");
  need_device(e, step_c, "mf_adapt_own_label");
  if (back) need_device(e, step_c, "mf_adapt_step");
  if (back) need_device(e, back_c, "mf_adapt_back_layer");
  need_device(e, store_c, "mf_adapt_save");
  need_device(e, store_c, "mf_adapt_load");
}

void emit_adapt_collect(Emit *e) {
  AdaptEmit *ad = e->adapt;
  const mf_fc_s8 p = last_params(ad);
  const int64_t scales = p.per_channel ? ad->n : 1;
  ad->w = pool_weights(e, ad->last);
  ad->w_scale = pool_scales(e, ad->last, ad->n);
  ad->bias = p.bias ? pool_at_end(e, DT_I32, p.bias, ad->n) : -1;
  ad->mult = pool_at_end(e, DT_I32, p.mult, scales);
  ad->shift = pool_at_end(e, DT_I8, p.shift, scales);
  for (int i = 0; i < ad->n_steps; i++) {
    AdaptStep *s = &ad->step[i];
    if (!s->active || !is_conv(s) || !s->dx[0]) continue;
    s->w = pool_weights(e, s->k);
    s->w_scale = pool_scales(e, s->k, channels(e, s));
  }
  need_functions(e);
}

/* -- tables -- */

static void print_last(const Emit *e, StrBuf *out) {
  const AdaptEmit *ad = e->adapt;
  const mf_fc_s8 p = last_params(ad);
  sb_printf(out,
            "\nstatic const mf_adapt_last adapt_last = {\n  .k = %lld, .n = %lld, .w_out = %lld, .in_zero = "
            "%d, .out_zero = %d,",
            (long long)ad->k, (long long)ad->n, (long long)ad->k, (int)p.in_zero, (int)p.out_zero);
  sb_printf(out, " .lo = %d, .hi = %d, .per_channel = %d,\n  .w = ", (int)p.lo, (int)p.hi,
            (int)p.per_channel);
  print_const(e, ad->w, out);
  sb_puts(out, ", .bias = ");
  if (ad->bias >= 0)
    print_const(e, ad->bias, out);
  else
    sb_puts(out, "NULL");
  sb_puts(out, ", .mult = ");
  print_const(e, ad->mult, out);
  sb_puts(out, ", .shift = ");
  print_const(e, ad->shift, out);
  sb_puts(out, ", .w_scale = ");
  print_const(e, ad->w_scale, out);
  sb_puts(out, ", .in_scale = ");
  print_float(out, graph_val(e->g, ad->last->in[0].val)->quant.scale[0]);
  sb_puts(out, ", .out_scale = ");
  print_float(out, graph_val(e->g, ad->last->out.val)->quant.scale[0]);
  sb_puts(out, "};\n");
}

static int32_t zero_code(const AdaptStep *s) {
  if (strcmp(s->k->kernel->name, "fc_s8") == 0) return ((const mf_fc_s8 *)s->k->params)->out_zero;
  return ((const mf_conv_s8 *)s->k->params)->out_zero;
}

static void print_affines(const Emit *e, StrBuf *out) {
  sb_puts(out,
          "\n/* word, channels, zero, lo, hi, scale */\nstatic const mf_adapt_affine adapt_affine[] = {\n");
  for (int i = 0; i < e->adapt->n_steps; i++) {
    const AdaptStep *s = &e->adapt->step[i];
    if (s->number < 0) continue;
    sb_printf(out, "  {%d, %lld, %d, %d, %d, ", s->word, (long long)channels(e, s), (int)zero_code(s),
              (int)s->lo, (int)s->hi);
    print_float(out, graph_val(e->g, s->k->out.val)->quant.scale[0]);
    sb_puts(out, "},\n");
  }
  sb_puts(out, "};\n");
}

/* Fields of params that are numbers, as the lowering has them. */
static void print_numbers(const KernelCall *k, const char *name, int i, StrBuf *out) {
  const ParamsDesc *d = k->kernel->params;
  const char *between = "";
  sb_printf(out, "static const %s %s%d = {", d->c_type, name, i);
  for (int f = 0; f < d->n_fields; f++) {
    const FieldDesc *field = &d->fields[f];
    const int32_t *v = (const int32_t *)(const void *)((const char *)k->params + field->offset);
    if (field->kind != FIELD_I32) continue;
    sb_printf(out, "%s.%s = %s", between, field->name, field->count > 1 ? "{" : "");
    for (int j = 0; j < field->count; j++) sb_printf(out, "%s%d", j ? ", " : "", (int)v[j]);
    if (field->count > 1) sb_putc(out, '}');
    between = ", ";
  }
  sb_puts(out, "};\n");
}

static mf_adapt_conv conv_params(const KernelCall *k) {
  if (strcmp(k->kernel->name, "fc_s8") == 0) {
    const mf_fc_s8 *p = k->params;
    const mf_window g = {k->rows, 1, p->k, k->rows, 1, p->n, 1, 1, 1, 1, 0, 0, 1, 1};
    return (mf_adapt_conv){.g = g, .groups = 1, .w_tap = p->k, .w_out = p->w_out};
  }
  const mf_conv_s8 *p = k->params;
  return (mf_adapt_conv){.g = p->g, .groups = p->groups, .w_tap = p->w_tap, .w_out = p->w_out};
}

static void print_back_conv(const Emit *e, const AdaptStep *s, int i, StrBuf *out) {
  const mf_adapt_conv c = conv_params(s->k);
  const int32_t g[] = {c.g.in_h, c.g.in_w,     c.g.in_c,     c.g.out_h,   c.g.out_w,    c.g.out_c, c.g.k_h,
                       c.g.k_w,  c.g.stride_h, c.g.stride_w, c.g.pad_top, c.g.pad_left, c.g.dil_h, c.g.dil_w};
  sb_printf(out, "static const mf_adapt_conv adapt_back_layer%d = {{", i);
  for (size_t j = 0; j < sizeof g / sizeof *g; j++) sb_printf(out, "%s%d", j ? ", " : "", (int)g[j]);
  sb_printf(out, "}, %d, %d, %d, ", (int)c.groups, (int)c.w_tap, (int)c.w_out);
  print_const(e, s->w, out);
  sb_puts(out, ", ");
  print_const(e, s->w_scale, out);
  sb_puts(out, "};\n");
}

static bool has_params(const AdaptStep *s) {
  return s->dx[0] && s->kind != MF_BACK_ADD && s->kind != MF_BACK_CLIP;
}

static int64_t code_at(const Emit *e, bool keep, ValId v) { return keep ? e->plan.offset[v] : -1; }
static int64_t elements(const Emit *e, ValId v) {
  return v == NO_VAL ? 0 : shape_count(&graph_val(e->g, v)->shape);
}

static const char *const kind_name[] = {"MF_BACK_CONV", "MF_BACK_DEPTHWISE", "MF_BACK_ADD",
                                        "MF_BACK_COPY", "MF_BACK_AVERAGE",   "MF_BACK_MAX",
                                        "MF_BACK_MEAN", "MF_BACK_CLIP"};

static void print_step_row(const Emit *e, const AdaptStep *s, int i, StrBuf *out) {
  const AdaptEmit *ad = e->adapt;
  const int64_t dx = s->dx[0] ? ad->gradient[s->x[0]] : -1, dx2 = s->dx[1] ? ad->gradient[s->x[1]] : -1;
  const bool sub = e->g->nodes[s->k->node].op == OP_sub;
  sb_printf(out, "  {.kind = %s, .n = %lld, .dy = %lld, .dx = %lld, .dx2 = %lld, ", kind_name[s->kind],
            (long long)elements(e, s->y), (long long)ad->gradient[s->y], (long long)dx, (long long)dx2);
  sb_printf(out, ".nx = %lld, .nx2 = %lld, .first = %d, .first2 = %d,\n   ", (long long)elements(e, s->x[0]),
            (long long)elements(e, s->x[1]), s->first[0], s->first[1]);
  sb_printf(out, ".y = %lld, .x = %lld, .lo = %d, .hi = %d, .sign2 = %s, ",
            (long long)code_at(e, s->keep_y, s->y), (long long)code_at(e, s->keep_x && s->dx[0], s->x[0]),
            (int)s->lo, (int)s->hi, sub ? "-1.0f" : "1.0f");
  if (s->number >= 0)
    sb_printf(out, ".affine = &adapt_affine[%d], ", s->number);
  else
    sb_puts(out, ".affine = NULL, ");
  sb_puts(out, ".params = ");
  if (has_params(s))
    sb_printf(out, "&adapt_back_layer%d", i);
  else
    sb_puts(out, "NULL");
  sb_printf(out, ", .x_from = %lld, .y_from = %lld},\n", (long long)s->k->in[0].offset,
            (long long)s->k->out.offset);
}

static int active_steps(const AdaptEmit *ad) {
  int n = 0;
  for (int i = 0; i < ad->n_steps; i++) n += ad->step[i].active;
  return n;
}

static void print_back(const Emit *e, StrBuf *out) {
  const AdaptEmit *ad = e->adapt;
  for (int i = 0; i < ad->n_steps; i++) {
    const AdaptStep *s = &ad->step[i];
    if (!s->active || !has_params(s)) continue;
    if (is_conv(s))
      print_back_conv(e, s, i, out);
    else
      print_numbers(s->k, "adapt_back_layer", i, out);
  }
  sb_puts(out, "static const mf_adapt_back adapt_back[] = {\n");
  for (int i = 0; i < ad->n_steps; i++)
    if (ad->step[i].active) print_step_row(e, &ad->step[i], i, out);
  sb_puts(out, "};\n");
}

/* Rates of a new state: those of bench/adapt_device.c. */
static const char rates[] = "{0.01f, 0.003f, 0.003f, 1.0f}";

void print_adapt_tables(const Emit *e, StrBuf *out) {
  const AdaptEmit *ad = e->adapt;
  if (!ad) return;
  const bool back = ad->chosen > 0;
  sb_puts(out, "\n/* -- what adapts, and the way back to it -- */\n");
  print_last(e, out);
  if (back) print_affines(e, out);
  if (back) print_back(e, out);
  sb_printf(out,
            "static const mf_adapt_model adapt = {\n  .last = &adapt_last, .x = %lld, .logits = %lld, .dx = "
            "%lld, .affine = %s, "
            ".back = %s,\n",
            (long long)e->plan.offset[ad->x], (long long)e->plan.offset[ad->logits],
            (long long)ad->gradient[ad->x], back ? "adapt_affine" : "NULL", back ? "adapt_back" : "NULL");
  sb_printf(out,
            "  .n_affine = %d, .n_back = %d, .words = %lld, .work = %lld,\n  .content = {0x%08" PRIx32
            "u, 0x%08" PRIx32 "u}, .rates = %s};\n",
            ad->chosen, back ? active_steps(ad) : 0, (long long)ad->words, (long long)ad->work,
            (uint32_t)ad->content.lo, (uint32_t)ad->content.hi, rates);
}

/* -- a run -- */

static const AdaptStep *step_of_call(const Emit *e, uint32_t c) {
  const AdaptEmit *ad = e->adapt;
  for (int i = 0; ad && i < ad->n_steps; i++)
    if (ad->step[i].number >= 0 && ad->step[i].k->node == e->calls.v[c].node) return &ad->step[i];
  return NULL;
}

void print_adapt_locals(const Emit *e, StrBuf *out) {
  if (e->adapt)
    sb_puts(out,
            "  const int32_t *const s = ctx->adapt ? mf_adapt_words((mf_adapt_state *)ctx->adapt) : NULL;\n");
}

void print_adapt_before(const Emit *e, uint32_t c, const char *indent, StrBuf *out) {
  if (!e->adapt || e->calls.v[c].node != e->adapt->last->node) return;
  sb_printf(out,
            "%s  if (s)\n%s    mf_adapt_run_last(&adapt_last, s, (const int8_t *)in[0].base, (int8_t "
            "*)out.base);\n%s  else\n  ",
            indent, indent, indent);
}

void print_adapt_after(const Emit *e, uint32_t c, const char *y0, const char *y1, const char *indent,
                       StrBuf *out) {
  const AdaptStep *s = step_of_call(e, c);
  if (!s) return;
  sb_printf(out, "%s  if (s) mf_adapt_run_affine(&adapt_affine[%d], s, &out, %lld, %s, %s);\n", indent,
            s->number, (long long)elements(e, s->k->out.val) / e->calls.v[c].rows, y0, y1);
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
    "  mf_adapt_reset(&adapt, s);\n"
    "  ctx->adapt = state;\n"
    "  return 0;\n}\n"
    "\nvoid @_adapt_reset(const @_context *ctx) {\n"
    "  if (ctx->adapt) mf_adapt_reset(&adapt, (mf_adapt_state *)ctx->adapt);\n}\n"
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
  sb_printf(out, "  \"adapt\": {\"state\": %lld, \"arena\": %lld, \"biases\": %d, \"layers\": %d},\n",
            (long long)emit_adapt_state_bytes(ad), (long long)(e->plan.arena - ad->arena_without), ad->chosen,
            ad->n_affines);
}
