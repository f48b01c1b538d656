/* What can adapt: see adapt_c.h. From the first output back to the layer that gives the logits; from its input back through
 * layers of int8 that have a way back, to all convolutions and FullyConnecteds that it reaches.
 *
 * Layers are those of lowering, in the graph's order: kernels of a target may have other layouts of weights.
 */
#include <string.h>

#include "backend/emit/adapt_c.h"

static bool is_kernel(const KernelCall *k, const char *name) { return strcmp(k->kernel->name, name) == 0; }

/* -- the last layer -- */

/* What stands between logits and output without changing whose they are. */
static bool is_tail(OpKind op) {
  return op == OP_softmax || op == OP_log_softmax || op == OP_reshape || op == OP_quantize ||
         op == OP_dequantize;
}

static const KernelCall *call_of_value(const Calls *calls, const Graph *g, ValId v) {
  for (uint32_t c = 0; c < calls->n; c++)
    if (value_root(g, calls->v[c].out.val) == value_root(g, v)) return &calls->v[c];
  return NULL;
}

/* Whether the convolution is one product with all of its input: its window is the image. */
static bool is_whole_conv(const mf_conv_s8 *p) {
  const mf_window *g = &p->g;
  return g->out_h == 1 && g->out_w == 1 && p->groups == 1 && g->k_h == g->in_h && g->k_w == g->in_w &&
         g->pad_top == 0 && g->pad_left == 0 && g->dil_h == 1 && g->dil_w == 1;
}

static bool last_fits(const KernelCall *k, Diag *d, const Loc *loc) {
  if (is_kernel(k, "fc_s8") && k->rows == 1 && k->batch == 1 && ((const mf_fc_s8 *)k->params)->w_zero == 0)
    return true;
  if (is_kernel(k, "conv_s8") && k->batch == 1 && is_whole_conv(k->params)) return true;
  diag_error(d, loc,
             "adapt: the logits come from a layer of kernel %s; want an int8 FullyConnected of one row, or "
             "such a Conv",
             k->kernel->name);
  diag_hint(d,
            "quantize the model first (passes quantize); weights of 4 bits and rounding onnx cannot adapt");
  return false;
}

static bool find_last(Emit *e, AdaptEmit *ad) {
  const Graph *g = e->g;
  ValId v = g->outputs[0];
  while (graph_def(g, v) && is_tail(graph_def(g, v)->op)) v = graph_def(g, v)->in[0];
  const Node *n = graph_def(g, v);
  ad->last = n ? call_of_value(&ad->calls, g, v) : NULL;
  FAIL_IF(!ad->last || (n->op != OP_fully_connected && n->op != OP_conv), e->diag, n ? &n->loc : NULL,
          "adapt: the first output does not come from a FullyConnected or Conv; want a classifier");
  TRY(last_fits(ad->last, e->diag, &n->loc));
  ad->x = value_root(g, ad->last->in[0].val);
  ad->logits = value_root(g, ad->last->out.val);
  ad->n = shape_count(&graph_val(g, ad->logits)->shape);
  ad->k = shape_count(&graph_val(g, ad->x)->shape);
  FAIL_IF(ad->n < 2, e->diag, &n->loc, "adapt: one logit; want two classes or more");
  const Value *bias = n->n_in > 2 && n->in[2] != NO_VAL ? graph_val(g, n->in[2]) : NULL;
  for (int64_t o = 0; bias && o < ad->n; o++) {
    const int32_t b = ((const int32_t *)val_data(g, n->in[2]))[o];
    FAIL_IF(b >= 1 << 22 || b <= -(1 << 22), e->diag, &n->loc,
            "adapt: bias %d of channel %lld; want less than 2^22", (int)b, (long long)o);
  }
  return true;
}

/* -- the way back -- */

int64_t emit_adapt_elements(const Emit *e, ValId root) {
  return root == NO_VAL ? 0 : shape_count(&graph_val(e->g, root)->shape);
}

int64_t emit_adapt_channels(const Emit *e, ValId root) {
  const Shape *s = root == NO_VAL ? NULL : &graph_val(e->g, root)->shape;
  return !s ? 0 : s->rank ? s->d[s->rank - 1] : 1;
}

/* Whether the values are lines of the same pixels. */
static bool same_pixels(const Emit *e, ValId a, ValId b) {
  return emit_adapt_elements(e, a) == emit_adapt_elements(e, b) &&
         emit_adapt_channels(e, a) == emit_adapt_channels(e, b);
}

/* Limits of an activation: of a type's own little is ever cut. */
static void limits(const Graph *g, AdaptStep *s, int32_t lo, int32_t hi) {
  const Quant *q = &graph_val(g, s->k->out.val)->quant;
  s->lo = lo;
  s->hi = hi;
  s->limited = lo > -128 || hi < 127 || (q->n && lo >= q->zero[0]);
}

static Act act_of(const Node *n) {
  if (n->op == OP_conv) return (Act)CATTRS(n, conv)->act;
  if (n->op == OP_depthwise_conv) return (Act)CATTRS(n, depthwise_conv)->act;
  return n->op == OP_fully_connected ? (Act)CATTRS(n, fully_connected)->act : ACT_NONE;
}

/* A layer that may have an affine. That hi is 127 does not say whose limit it is: of a ReLU6 6 may be that code. */
static void limits_of_layer(const Emit *e, AdaptStep *s, int32_t lo, int32_t hi) {
  const Graph *g = e->g;
  const Act act = act_of(&g->nodes[s->k->node]);
  limits(g, s, lo, hi);
  s->affine = true;
  s->lifts = lo >= graph_val(g, s->k->out.val)->quant.zero[0] && (act == ACT_NONE || act == ACT_RELU);
}

static bool has_pixels(const Emit *e, ValId root, int32_t h, int32_t w, int32_t c) {
  return emit_adapt_channels(e, root) == c && emit_adapt_elements(e, root) == (int64_t)h * w * c;
}

static bool is_of_window(const Emit *e, const AdaptStep *s, const mf_window *g) {
  return has_pixels(e, s->x[0], g->in_h, g->in_w, g->in_c) &&
         has_pixels(e, s->y, g->out_h, g->out_w, g->out_c);
}

/* One row per kernel that has a way back; false: none. */
static bool step_of_fc(const Emit *e, AdaptStep *s) {
  const mf_fc_s8 *p = s->k->params;
  s->kind = MF_BACK_CONV;
  limits_of_layer(e, s, p->lo, p->hi);
  return p->w_zero == 0 && p->k % emit_adapt_channels(e, s->x[0]) == 0 &&
         has_pixels(e, s->y, s->k->rows, 1, p->n);
}

static bool step_of_conv(const Emit *e, AdaptStep *s) {
  const mf_conv_s8 *p = s->k->params;
  s->kind = is_kernel(s->k, "conv_s8") ? MF_BACK_CONV : MF_BACK_DEPTHWISE;
  limits_of_layer(e, s, p->lo, p->hi);
  return is_of_window(e, s, &p->g);
}

/* A constant summand may be spread over the other one. */
static bool step_of_add(const Emit *e, AdaptStep *s) {
  const mf_add_s8 *p = s->k->params;
  bool ok = true;
  s->kind = MF_BACK_ADD;
  s->x[1] = value_root(e->g, s->k->in[1].val);
  s->minus = e->g->nodes[s->k->node].op == OP_sub;
  limits(e->g, s, p->lo, p->hi);
  for (int i = 0; i < 2; i++) ok = ok && (val_is_const(e->g, s->x[i]) || same_pixels(e, s->x[i], s->y));
  return ok;
}

static bool step_of_pool(const Emit *e, AdaptStep *s) {
  const mf_pool_s8 *p = s->k->params;
  const bool max = is_kernel(s->k, "max_pool_s8");
  s->kind = max ? MF_BACK_MAX : MF_BACK_AVERAGE;
  limits(e->g, s, p->lo, p->hi);
  if (!is_of_window(e, s, &p->g)) return false;
  /* a mean is at the limit of what it is a mean of only where all of that is: one of its own is another thing */
  return max ? p->g.k_h * p->g.k_w < MF_ADAPT_NOWHERE : p->lo == -128 && p->hi == 127;
}

static bool step_of_clip(const Emit *e, AdaptStep *s) {
  const mf_requant *p = s->k->params;
  s->kind = MF_BACK_CLIP;
  limits(e->g, s, p->lo, p->hi);
  return same_pixels(e, s->x[0], s->y);
}

static bool step_kind(const Emit *e, AdaptStep *s) {
  const KernelCall *k = s->k;
  if (k->batch > 1) return false;
  if (is_kernel(k, "conv_s8") || is_kernel(k, "depthwise_s8")) return step_of_conv(e, s);
  if (is_kernel(k, "fc_s8")) return step_of_fc(e, s);
  if (is_kernel(k, "add_s8")) return step_of_add(e, s);
  if (is_kernel(k, "max_pool_s8") || is_kernel(k, "avg_pool_s8")) return step_of_pool(e, s);
  if (is_kernel(k, "requantize_s8")) return step_of_clip(e, s);
  s->kind = is_kernel(k, "copy") ? MF_BACK_COPY : MF_BACK_MEAN;
  if (s->kind == MF_BACK_COPY) return graph_val(e->g, k->out.val)->dtype == DT_I8;
  return is_kernel(k, "mean_s8") && e->g->nodes[k->node].op == OP_reduce_mean;
}

/* A layer without a way back, or one whose output lacks a part of its gradient: so do all that it reads. */
static void cut_inputs(const Graph *g, const KernelCall *k, bool *reached, bool *cut) {
  for (int i = 0; i < k->n_in; i++)
    if (k->in[i].val != NO_VAL && !val_is_const(g, value_root(g, k->in[i].val)))
      reached[value_root(g, k->in[i].val)] = cut[value_root(g, k->in[i].val)] = true;
}

/* "mul_s8 (Mul "scale")" */
static const char *kernel_of_node(const Emit *e, const KernelCall *k) {
  const Node *n = &e->g->nodes[k->node];
  const char *name = n->loc.name ? n->loc.name : graph_val(e->g, n->out[0])->name;
  return arena_printf(e->arena, "%s (%s%s%s%s)", k->kernel->name, op_info(n->op)->name, name ? " \"" : "",
                      name ? name : "", name ? "\"" : "");
}

/* Calls in reverse order whose output a gradient reaches, all of it: those that read a value come before the one that makes
 * it, so it is known then whether each of them gives its part. */
static void find_steps(Emit *e, AdaptEmit *ad) {
  const Graph *g = e->g;
  bool *reached = arena_array(e->arena, g->n_vals, sizeof *reached),
       *cut = arena_array(e->arena, g->n_vals, sizeof *cut);
  ad->step = arena_array(e->arena, (size_t)ad->calls.n + 1, sizeof *ad->step);
  reached[ad->x] = true;
  for (uint32_t c = ad->calls.n; c-- > 0;) {
    const KernelCall *k = &ad->calls.v[c];
    const ValId y = value_root(g, k->out.val);
    if (!reached[y] || k == ad->last || is_kernel(k, "fill"))
      continue; /* a filled border has nothing before it */
    AdaptStep s = {.k = k,
                   .y = y,
                   .x = {k->n_in ? value_root(g, k->in[0].val) : NO_VAL, NO_VAL},
                   .number = -1,
                   .adapter = -1};
    const bool way = step_kind(e, &s);
    if (!way && !ad->ends) ad->ends = kernel_of_node(e, k);
    if (!way || cut[y]) {
      ad->beyond += cut[y] && s.affine;
      cut_inputs(g, k, reached, cut);
      continue;
    }
    for (int i = 0; i < 2; i++)
      if (s.x[i] != NO_VAL && !val_is_const(g, s.x[i])) reached[s.x[i]] = true;
    ad->n_affines += s.affine;
    ad->step[ad->n_steps++] = s;
  }
}

bool emit_adapt_find(Emit *e) {
  AdaptEmit *ad = e->adapt;
  TRY(graph_lower(e->g, &ad->calls, e->diag));
  TRY(find_last(e, ad));
  ad->gradient = arena_array(e->arena, e->g->n_vals, sizeof *ad->gradient);
  ad->same = arena_array(e->arena, e->g->n_vals, sizeof *ad->same);
  ad->gains = e->opt->adapt == DEVICE_ADAPT_SCALE;
  if (e->opt->adapt == DEVICE_ADAPT_ADAPTERS)
    ad->rank = e->opt->adapt_rank ? e->opt->adapt_rank : DEVICE_ADAPT_RANK;
  if (e->opt->adapt != DEVICE_ADAPT_LAST) find_steps(e, ad);
  return true;
}

/* -- gradients in one place -- */

static int maker_of(const AdaptEmit *ad, ValId v) {
  for (int i = 0; i < ad->n_steps; i++)
    if (ad->step[i].y == v) return i;
  return -1;
}

/* The first active step behind number i that adds to v's gradient; n_steps: none. */
static int next_to_add(const AdaptEmit *ad, ValId v, int i) {
  for (i++; i < ad->n_steps; i++)
    for (int j = 0; j < 2; j++)
      if (ad->step[i].active && ad->step[i].dx[j] && ad->step[i].x[j] == v) return i;
  return ad->n_steps;
}

/* Whether x, given y's gradient in its place by step i, is only read there, by the layer that made it, and before anything happens to
 * that of `other`. A layer with limits or an adapter does not only read it. */
static bool read_before(const AdaptEmit *ad, int i, ValId x, ValId other) {
  const int made = maker_of(ad, x), other_made = maker_of(ad, other);
  if (made < 0 || !adapt_step_is_conv(&ad->step[made]) || ad->step[made].limited) return false;
  if (ad->step[made].adapter >= 0) return false;
  return next_to_add(ad, x, i) == ad->n_steps && next_to_add(ad, other, i) > made &&
         (other_made < 0 || other_made > made);
}

static void share(AdaptEmit *ad, AdaptStep *s, int j) {
  ad->same[s->x[j]] = ad->same[s->y];
  s->first[j] = false;
}

/* What is given first, y's gradient, can stay where it is: one summand's, or both. */
static void find_shared(Emit *e, AdaptEmit *ad, int i) {
  AdaptStep *s = &ad->step[i];
  bool can[2];
  if (s->kind != MF_BACK_ADD && s->kind != MF_BACK_CLIP) return;
  if (s->x[0] == s->x[1]) return;
  for (int j = 0; j < 2; j++)
    can[j] = s->dx[j] && s->first[j] && !(j == 1 && s->minus) && same_pixels(e, s->x[j], s->y);
  const bool both =
      can[0] && can[1] && (read_before(ad, i, s->x[0], s->x[1]) || read_before(ad, i, s->x[1], s->x[0]));
  if (can[0] || both) share(ad, s, 0);
  if (can[1] && (both || !can[0])) share(ad, s, 1);
}

/* -- what of it is made -- */

/* From the input on: whether a value, or one that it is computed from, adapts. */
static void find_active(AdaptEmit *ad, bool *has) {
  for (int i = ad->n_steps; i-- > 0;) {
    AdaptStep *s = &ad->step[i];
    s->active = s->number >= 0;
    for (int j = 0; j < 2; j++) {
      s->dx[j] = s->x[j] != NO_VAL && has[s->x[j]];
      s->active = s->active || s->dx[j];
    }
    if (s->active) has[s->y] = true;
  }
}

/* Who is the first to add to a gradient. */
static void find_first(Emit *e, AdaptEmit *ad) {
  bool *given = arena_array(e->arena, e->g->n_vals, sizeof *given);
  given[ad->x] = true;
  for (ValId v = 0; v < e->g->n_vals; v++) ad->same[v] = v;
  for (int i = 0; i < ad->n_steps; i++) {
    AdaptStep *s = &ad->step[i];
    for (int j = 0; j < 2; j++) {
      s->first[j] = s->active && s->dx[j] && !given[s->x[j]];
      if (s->first[j]) given[s->x[j]] = true;
    }
    if (s->active) find_shared(e, ad, i);
  }
}

/* What of the run is kept for the way back. */
static void find_kept(const Emit *e, AdaptEmit *ad) {
  for (int i = 0; i < ad->n_steps; i++) {
    AdaptStep *s = &ad->step[i];
    const int64_t n = emit_adapt_elements(e, s->y);
    s->keep_y = s->active && s->number >= 0 && ad->gains;
    s->bits = s->held = 0;
    if (!s->active || s->keep_y) continue;
    if (s->adapter >= 0) s->held = 2 * ad->rank * (n / emit_adapt_channels(e, s->y));
    if (s->kind == MF_BACK_MAX)
      s->bits = n;
    else if (s->limited && s->kind != MF_BACK_AVERAGE)
      s->bits = (n + 7) / 8;
  }
}

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* Words of the state, and working memory: a sum for the channels of any gradient, those of an affine
 * with its gains or its adapter, loss and logits. */
static void count_words(const Emit *e, AdaptEmit *ad) {
  const int64_t cx = ad->chosen ? emit_adapt_channels(e, ad->x) : 0;
  ad->work = ad->n + larger((ad->n + 3) / 4, cx);
  ad->most = cx;
  for (int i = 0; i < ad->n_steps; i++) {
    const AdaptStep *s = &ad->step[i];
    if (!s->active) continue;
    const int64_t c = emit_adapt_channels(e, s->y);
    ad->most = larger(ad->most, c);
    for (int j = 0; j < 2; j++)
      if (s->dx[j] || (s->learns && j == 0)) ad->most = larger(ad->most, emit_adapt_channels(e, s->x[j]));
    if (s->number >= 0) ad->work = larger(ad->work, (1 + ad->gains + (s->adapter >= 0 ? ad->rank : 0)) * c);
  }
}

/* Its adapter's words: sums of wider layers would not fit theirs, and these have their biases alone. */
static void choose_adapter(const Emit *e, AdaptStep *s, int64_t c) {
  AdaptEmit *ad = e->adapt;
  if (!ad->rank || c > MF_ADAPTER_CHANNELS) return;
  s->adapter = ad->adapters++;
  s->adapter_word = (int)ad->words;
  ad->words += ad->rank * c;
  ad->narrow += ad->rank > c;
}

void emit_adapt_choose(Emit *e, int chosen) {
  AdaptEmit *ad = e->adapt;
  bool *has = arena_array(e->arena, e->g->n_vals, sizeof *has);
  ad->words = ad->n * ad->k + ad->n;
  ad->chosen = ad->learning = ad->adapters = ad->narrow = 0;
  for (int i = 0; i < ad->n_steps; i++) {
    AdaptStep *s = &ad->step[i];
    s->number = s->adapter = -1;
    s->learns = false;
    if (!s->affine || ad->chosen == chosen) continue;
    const int64_t c = emit_adapt_channels(e, s->y);
    if (e->opt->adapt == DEVICE_ADAPT_LAST_K && s->kind == MF_BACK_CONV) {
      s->learns = true;
      s->learner = ad->learning++;
      s->weights_word = (int)ad->words;
      ad->words += emit_adapt_elements(e, e->g->nodes[s->k->node].in[1]);
    }
    s->number = ad->chosen++;
    choose_adapter(e, s, c);
    s->word = (int)ad->words;
    ad->words += ad->gains ? 2 * c : c;
  }
  find_active(ad, has);
  find_first(e, ad);
  find_kept(e, ad);
  count_words(e, ad);
}
