/* Adaptation in the emitted text: its constants, and the tables of runtime/device/adapt.h. See adapt_c.h. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/emit/adapt_c.h"
#include "ir/base/rng.h"

/* -- constants -- */

static int pool_at_end(Emit *e, DType t, const void *data, int64_t count) {
  return pool_add(&e->pool, t, data, count, 0, (int)e->calls.n);
}

static const Quant *weights_quant(const Emit *e, const KernelCall *k) {
  return &graph_val(e->g, e->g->nodes[k->node].in[1])->quant;
}

/* A weight's scale for each of n outputs. */
static int pool_scales(Emit *e, const KernelCall *k, int64_t n) {
  const Quant *q = weights_quant(e, k);
  float *scale = arena_array(e->arena, (size_t)n, sizeof *scale);
  for (int64_t o = 0; o < n; o++) scale[o] = q->scale[q->n > 1 ? o : 0];
  return pool_at_end(e, DT_F32, scale, n);
}

static int pool_weights(Emit *e, const KernelCall *k) {
  return pool_add_value(&e->pool, e->g, e->g->nodes[k->node].in[1], (int)e->calls.n);
}

/* A layer's quantization as one form: fc_s8's params, and conv_s8's. */
static mf_fc_s8 layer_params(const KernelCall *k) {
  if (strcmp(k->kernel->name, "fc_s8") == 0) return *(const mf_fc_s8 *)k->params;
  const mf_conv_s8 *c = k->params;
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

/* -- convolutions on the way back -- */

static mf_adapt_conv conv_params(const Emit *e, const AdaptStep *s) {
  if (strcmp(s->k->kernel->name, "fc_s8") == 0) {
    const mf_fc_s8 *p = s->k->params;
    const int32_t c = (int32_t)emit_adapt_channels(e, s->x[0]), w = p->k / c, rows = s->k->rows;
    const mf_window g = {rows, w, c, rows, 1, p->n, 1, w, 1, 1, 0, 0, 1, 1};
    return (mf_adapt_conv){.g = g, .groups = 1, .w_tap = c, .w_out = p->w_out, .w = p->w};
  }
  const mf_conv_s8 *p = s->k->params;
  return (mf_adapt_conv){.g = p->g, .groups = p->groups, .w_tap = p->w_tap, .w_out = p->w_out, .w = p->w};
}

/* The sum of |w| of a tap over all outputs that read input channel i; of weights that learn, the most that it can become. */
static int64_t tap_sum(const mf_adapt_conv *p, const AdaptStep *s, int32_t i, int32_t tap) {
  const bool depthwise = s->kind == MF_BACK_DEPTHWISE;
  const int32_t outs = p->g.out_c / p->groups, ins = p->g.in_c / p->groups, times = p->g.out_c / p->g.in_c;
  if (s->learns) return 127 * (int64_t)outs;
  const int8_t *w = depthwise ? p->w + tap * p->w_tap + i * times
                              : p->w + i / ins * outs * p->w_out + tap * p->w_tap + i % ins;
  int64_t sum = 0;
  for (int32_t o = 0; o < (depthwise ? times : outs); o++) sum += abs(w[depthwise ? o : o * p->w_out]);
  return sum;
}

/* The largest sum of |w| that an input of a pixel can meet. Where the window is the image, each tap has a pixel of its own. */
static int64_t largest_sum(const mf_adapt_conv *p, const AdaptStep *s) {
  const mf_window *g = &p->g;
  const bool apart = g->out_w == 1 && (g->out_h == 1 || g->k_h == 1) && g->pad_left == 0 && g->pad_top == 0;
  int64_t most = 1;
  for (int32_t i = 0; i < g->in_c; i++) {
    int64_t sum = 0;
    for (int32_t t = 0; t < g->k_h * g->k_w; t++) {
      sum = (apart ? 0 : sum) + tap_sum(p, s, i, t);
      if (sum > most) most = sum;
    }
  }
  return most;
}

/* Scales as 14 bits and an exponent, and how many bits of a gradient times a scale keep its sums with weights within 29. */
static void pool_conv_back(Emit *e, AdaptStep *s) {
  const mf_adapt_conv p = conv_params(e, s);
  const Quant *q = weights_quant(e, s->k);
  int16_t *scale = arena_array(e->arena, (size_t)p.g.out_c, sizeof *scale);
  int64_t sum = largest_sum(&p, s);
  float most = 0;
  int exponent;
  for (int i = 0; i < q->n; i++) most = fmaxf(most, q->scale[i]);
  (void)frexpf(most, &exponent); /* most < 2^exponent */
  s->w_e = 14 - exponent;
  for (int32_t o = 0; o < p.g.out_c; o++)
    scale[o] = (int16_t)lrintf(ldexpf(q->scale[q->n > 1 ? o : 0], s->w_e));
  for (s->w_bits = 29; sum > 1; sum = (sum + 1) / 2) s->w_bits--;
  if (s->w_bits > 15) s->w_bits = 15;
  s->w = pool_weights(e, s->k);
  s->w_scale = pool_at_end(e, DT_I16, scale, p.g.out_c);
}

/* What a run and a step of weights that learn want more. */
static AdaptCodes pool_codes(Emit *e, const KernelCall *k, int64_t outs) {
  const mf_fc_s8 p = layer_params(k);
  const int64_t scales = p.per_channel ? outs : 1;
  AdaptCodes c;
  c.scale = pool_scales(e, k, outs);
  c.bias = p.bias ? pool_at_end(e, DT_I32, p.bias, outs) : -1;
  c.mult = pool_at_end(e, DT_I32, p.mult, scales);
  c.shift = pool_at_end(e, DT_I8, p.shift, scales);
  return c;
}

static const char run_c[] = "runtime/device/adapt_run.c", step_c[] = "runtime/device/adapt_step.c",
                  mask_c[] = "runtime/device/adapt_mask.c", back_c[] = "runtime/device/adapt_back.c",
                  store_c[] = "runtime/device/adapt_store.c", weights_c[] = "runtime/device/adapt_weights.c",
                  adapter_c[] = "runtime/device/adapt_adapter.c";

static void need_functions(Emit *e) {
  need_device(e, run_c, "mf_adapt_reset");
  need_device(e, run_c, "mf_adapt_run_last");
  need_device(e, step_c, "mf_adapt_step_features");
  need_device(e, step_c, "mf_adapt_own_label");
  need_device(e, store_c, "mf_adapt_save");
  need_device(e, store_c, "mf_adapt_load");
  if (e->adapt->chosen == 0) return;
  if (e->adapt->adapters) {
    need_device(e, adapter_c, "mf_adapt_run_adapter");
    need_device(e, adapter_c, "mf_adapt_step_adapter");
  }
  if (e->adapt->adapters < e->adapt->chosen) need_device(e, run_c, "mf_adapt_run_affine");
  for (int i = 0; i < e->adapt->n_steps; i++) {
    const AdaptStep *s = &e->adapt->step[i];
    if (s->bits && s->kind == MF_BACK_MAX) need_device(e, mask_c, "mf_adapt_where");
    if (s->bits && s->kind != MF_BACK_MAX && s->number < 0) need_device(e, mask_c, "mf_adapt_mask");
  }
  need_device(e, step_c, "mf_adapt_step");
  need_device(e, back_c, "mf_adapt_back_last");
  need_device(e, back_c, "mf_adapt_back_layer");
  if (e->adapt->learning == 0) return;
  need_device(e, weights_c, "mf_adapt_reset_weights");
  need_device(e, weights_c, "mf_adapt_run_weights");
  need_device(e, weights_c, "mf_adapt_step_weights");
}

void emit_adapt_collect(Emit *e) {
  AdaptEmit *ad = e->adapt;
  ad->w = pool_weights(e, ad->last);
  ad->codes = pool_codes(e, ad->last, ad->n);
  for (int i = 0; i < ad->n_steps; i++) {
    AdaptStep *s = &ad->step[i];
    if (s->active && adapt_step_is_conv(s) && (s->dx[0] || s->learns)) pool_conv_back(e, s);
    if (s->learns) s->codes = pool_codes(e, s->k, emit_adapt_channels(e, s->y));
  }
  need_functions(e);
}

/* -- tables -- */

static void print_const_or_null(const Emit *e, const char *field, int index, StrBuf *out) {
  sb_puts(out, field);
  if (index >= 0)
    print_const(e, index, out);
  else
    sb_puts(out, "NULL");
}

/* As a text's next fields, by name or in their order: mf_adapt_last's, mf_adapt_weights'. */
static void print_codes(const Emit *e, const AdaptCodes *c, bool named, StrBuf *out) {
  print_const_or_null(e, named ? ", .bias = " : ", ", c->bias, out);
  print_const_or_null(e, named ? ", .mult = " : ", ", c->mult, out);
  print_const_or_null(e, named ? ", .shift = " : ", ", c->shift, out);
  print_const_or_null(e, named ? ", .w_scale = " : ", ", c->scale, out);
}

static void print_last(const Emit *e, StrBuf *out) {
  const AdaptEmit *ad = e->adapt;
  const mf_fc_s8 p = layer_params(ad->last);
  sb_printf(out,
            "\nstatic const mf_adapt_last adapt_last = {\n  .k = %lld, .n = %lld, .w_out = %lld, .in_zero = "
            "%d, .out_zero = %d,",
            (long long)ad->k, (long long)ad->n, (long long)ad->k, (int)p.in_zero, (int)p.out_zero);
  sb_printf(out, " .lo = %d, .hi = %d, .per_channel = %d,\n", (int)p.lo, (int)p.hi, (int)p.per_channel);
  print_const_or_null(e, "  .w = ", ad->w, out);
  print_codes(e, &ad->codes, true, out);
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
  sb_puts(out, "\n/* word, channels, zero, lo, hi, gains, lifts, scale */\nstatic const mf_adapt_affine "
               "adapt_affine[] = {\n");
  for (int i = 0; i < e->adapt->n_steps; i++) {
    const AdaptStep *s = &e->adapt->step[i];
    if (s->number < 0) continue;
    sb_printf(out, "  {%d, %lld, %d, %d, %d, %d, %d, ", s->word, (long long)emit_adapt_channels(e, s->y),
              (int)zero_code(s), (int)s->lo, (int)s->hi, e->adapt->gains, s->lifts);
    print_float(out, graph_val(e->g, s->k->out.val)->quant.scale[0]);
    sb_puts(out, "},\n");
  }
  sb_puts(out, "};\n");
}

_Static_assert((int)DEVICE_ADAPT_RANK_MAX == (int)MF_ADAPTER_RANKS, "emitted code has room for each rank");

/* Random, and what every state that was ever saved means by its words: never to be others. */
const int8_t *emit_adapt_signs(Arena *a, int64_t channels, int rank) {
  int8_t *signs = arena_array(a, (size_t)(channels * rank), sizeof *signs);
  Rng r;
  rng_seed(&r, 1, 2);
  for (int64_t i = 0; i < channels * rank; i++) signs[i] = rng_below(&r, 2) ? 1 : -1;
  return signs;
}

static void print_signs(const Emit *e, int64_t channels, StrBuf *out) {
  const int8_t *signs = emit_adapt_signs(e->arena, channels, e->adapt->rank);
  sb_puts(out, "\nstatic const int8_t adapt_signs[] = {");
  for (int64_t i = 0; i < channels * e->adapt->rank; i++)
    sb_printf(out, "%s%d", !i ? "" : i % 32 ? ", " : ",\n  ", signs[i]);
  sb_puts(out, "};\n");
}

void emit_adapt_shifts(int64_t c, int *fit, int *down) {
  int root = 0;
  *fit = 0;
  while (255 * c >> *fit > INT16_MAX - 1) ++*fit; /* rounding may add one */
  while (c > (int64_t)1 << 2 * root) root++;
  *down = root - *fit;
}

/* All layers have the same signs, as many of them as they have channels. */
static void print_adapters(const Emit *e, StrBuf *out) {
  int64_t most = 0;
  for (int i = 0; i < e->adapt->n_steps; i++) {
    const AdaptStep *s = &e->adapt->step[i];
    const int64_t c = emit_adapt_channels(e, s->y);
    if (s->adapter >= 0 && c > most) most = c;
  }
  print_signs(e, most, out);
  sb_puts(out, "/* word, rank, fit, down, signs, affine */\nstatic const mf_adapt_adapter "
               "adapt_adapter[] = {\n");
  for (int i = 0; i < e->adapt->n_steps; i++) {
    const AdaptStep *s = &e->adapt->step[i];
    const int64_t c = emit_adapt_channels(e, s->y);
    int fit, down;
    if (s->adapter < 0) continue;
    emit_adapt_shifts(c, &fit, &down);
    sb_printf(out, "  {%d, %d, %d, %d, adapt_signs, &adapt_affine[%d]},\n", s->adapter_word, e->adapt->rank,
              fit, down, s->number);
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

static void print_back_conv(const Emit *e, const AdaptStep *s, int i, StrBuf *out) {
  const mf_adapt_conv c = conv_params(e, s);
  const int32_t g[] = {c.g.in_h, c.g.in_w,     c.g.in_c,     c.g.out_h,   c.g.out_w,    c.g.out_c, c.g.k_h,
                       c.g.k_w,  c.g.stride_h, c.g.stride_w, c.g.pad_top, c.g.pad_left, c.g.dil_h, c.g.dil_w};
  sb_printf(out, "static const mf_adapt_conv adapt_back_layer%d = {{", i);
  for (size_t j = 0; j < sizeof g / sizeof *g; j++) sb_printf(out, "%s%d", j ? ", " : "", (int)g[j]);
  sb_printf(out, "}, %d, %d, %d, %d, %d, ", (int)c.groups, (int)c.w_tap, (int)c.w_out, (int)s->w_bits,
            (int)s->w_e);
  print_const(e, s->w, out);
  sb_puts(out, ", ");
  print_const(e, s->w_scale, out);
  sb_puts(out, "};\n");
}

static bool has_params(const AdaptStep *s) {
  return s->learns || (s->dx[0] && s->kind != MF_BACK_ADD && s->kind != MF_BACK_CLIP);
}

static const char *const kind_name[] = {"MF_BACK_CONV", "MF_BACK_DEPTHWISE", "MF_BACK_ADD",
                                        "MF_BACK_COPY", "MF_BACK_AVERAGE",   "MF_BACK_MAX",
                                        "MF_BACK_MEAN", "MF_BACK_CLIP"};

/* "{128, 64, 32, 1}": mf_adapt_place */
static void print_gradient(const Emit *e, ValId v, bool asked, bool first, StrBuf *out) {
  const int64_t c = emit_adapt_channels(e, v);
  if (asked)
    sb_printf(out, "{%lld, %lld, %lld, %d}", (long long)e->adapt->gradient[v],
              (long long)(emit_adapt_elements(e, v) / c), (long long)c, first);
  else
    sb_puts(out, "{-1, 0, 0, 0}");
}

static void print_step_row(const Emit *e, const AdaptStep *s, int i, StrBuf *out) {
  sb_printf(out, "  {.kind = %s, .dy = ", kind_name[s->kind]);
  print_gradient(e, s->y, true, false, out);
  sb_puts(out, ", .dx = ");
  print_gradient(e, s->x[0], s->dx[0], s->first[0], out);
  sb_puts(out, ", .dx2 = ");
  print_gradient(e, s->x[1], s->dx[1], s->first[1], out);
  sb_printf(out, ",\n   .y = %lld, .bits = %lld, .limited = %d, .sign2 = %d, ",
            (long long)(s->keep_y ? e->plan.offset[s->y] : -1), (long long)(s->bits ? s->at + s->held : -1),
            s->limited, s->minus ? -1 : 1);
  if (s->learns)
    sb_printf(out, ".weights = &adapt_weights[%d], .learn = mf_adapt_step_weights, .x = %lld,\n   ",
              s->learner, (long long)e->plan.offset[s->x[0]]);
  if (s->held)
    sb_printf(out, ".adapter = &adapt_adapter[%d], .adapt = mf_adapt_step_adapter, .held = %lld,\n   ",
              s->adapter, (long long)s->at);
  if (s->number >= 0 && !s->held)
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

static void print_weights(const Emit *e, StrBuf *out) {
  sb_puts(out, "static const mf_adapt_weights adapt_weights[] = {\n");
  for (int i = 0; i < e->adapt->n_steps; i++) {
    const AdaptStep *s = &e->adapt->step[i];
    if (!s->learns) continue;
    const mf_fc_s8 p = layer_params(s->k);
    sb_printf(out, "  {%d, %d, %d, %d, %d, %d, &adapt_back_layer%d", s->weights_word, (int)p.in_zero,
              (int)p.out_zero, (int)p.lo, (int)p.hi, (int)p.per_channel, i);
    print_codes(e, &s->codes, false, out);
    sb_puts(out, ", ");
    print_float(out, graph_val(e->g, s->k->in[0].val)->quant.scale[0]);
    sb_puts(out, "},\n");
  }
  sb_puts(out, "};\n");
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
    if (adapt_step_is_conv(s))
      print_back_conv(e, s, i, out);
    else
      print_numbers(s->k, "adapt_back_layer", i, out);
  }
  if (ad->learning) print_weights(e, out);
  sb_puts(out, "static const mf_adapt_back adapt_back[] = {\n");
  for (int i = 0; i < ad->n_steps; i++)
    if (ad->step[i].active) print_step_row(e, &ad->step[i], i, out);
  sb_puts(out, "};\n");
}

/* Rates of a new state, last layer, biases, and what stands for gains: what did best on generated images of glyphs in an earlier form
 * of the benchmark, and fixed then, for weights of the last layer, biases and multipliers. No adapter was tried with them: its rate
 * is that of multipliers, for want of a better one. bench/adapt_device.c chooses its own. */
static const char rates[] = "{0.01f, 0.003f, 0.003f, 1.0f}";

void print_adapt_tables(const Emit *e, StrBuf *out) {
  const AdaptEmit *ad = e->adapt;
  if (!ad) return;
  const bool back = ad->chosen > 0;
  sb_puts(out, "\n/* -- what adapts, and the way back to it -- */\n");
  print_last(e, out);
  if (back) print_affines(e, out);
  if (ad->adapters) print_adapters(e, out);
  if (back) print_back(e, out);
  sb_printf(out,
            "static void adapt_forget(mf_adapt_state *s);\nstatic const mf_adapt_model adapt = {\n  .last = "
            "&adapt_last, .x = %lld, .logits = %lld, .dx = ",
            (long long)e->plan.offset[ad->x], (long long)e->plan.offset[ad->logits]);
  print_gradient(e, ad->x, back, true, out);
  sb_printf(out, ",\n  .affine = %s, .back = %s, .n_affine = %d, .n_back = %d,\n",
            back ? "adapt_affine" : "NULL", back ? "adapt_back" : "NULL", ad->chosen,
            back ? active_steps(ad) : 0);
  sb_printf(out,
            "  .words = %lld, .work = %lld, .most = %lld, .content = {0x%08" PRIx32 "u, 0x%08" PRIx32
            "u}, .rates = %s,\n  .forget = adapt_forget};\n",
            (long long)ad->words, (long long)ad->work, (long long)ad->most, (uint32_t)ad->content.lo,
            (uint32_t)ad->content.hi, rates);
}
