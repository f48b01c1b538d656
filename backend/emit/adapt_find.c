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

static bool same_shape(const Graph *g, ValId a, ValId b) {
  return shape_equal(&graph_val(g, a)->shape, &graph_val(g, b)->shape);
}

static void limits(AdaptStep *s, int32_t lo, int32_t hi) {
  s->lo = lo;
  s->hi = hi;
  s->keep_y = true;
}

/* The same where they are an activation's: of a type's own limits little is ever cut. */
static void act_limits(const Graph *g, AdaptStep *s, int32_t lo, int32_t hi) {
  const Quant *q = &graph_val(g, s->k->out.val)->quant;
  if (lo > -128 || hi < 127 || (q->n && lo >= q->zero[0])) limits(s, lo, hi);
}

/* One row per kernel that has a way back; false: none. */
static bool step_of_conv(AdaptStep *s) {
  if (is_kernel(s->k, "fc_s8")) {
    const mf_fc_s8 *p = s->k->params;
    s->kind = MF_BACK_CONV;
    s->affine = true;
    limits(s, p->lo, p->hi);
    return p->w_zero == 0;
  }
  const mf_conv_s8 *p = s->k->params;
  s->kind = is_kernel(s->k, "conv_s8") ? MF_BACK_CONV : MF_BACK_DEPTHWISE;
  s->affine = true;
  limits(s, p->lo, p->hi);
  return true;
}

static bool step_of_add(const Graph *g, AdaptStep *s) {
  const mf_add_s8 *p = s->k->params;
  s->kind = MF_BACK_ADD;
  s->x[1] = value_root(g, s->k->in[1].val);
  act_limits(g, s, p->lo, p->hi);
  return same_shape(g, s->k->in[0].val, s->k->out.val) && same_shape(g, s->k->in[1].val, s->k->out.val);
}

static bool step_of_pool(const Graph *g, AdaptStep *s) {
  const mf_pool_s8 *p = s->k->params;
  s->kind = is_kernel(s->k, "max_pool_s8") ? MF_BACK_MAX : MF_BACK_AVERAGE;
  s->keep_x = s->keep_y = s->kind == MF_BACK_MAX;
  act_limits(g, s, p->lo, p->hi);
  return true;
}

static bool step_kind(const Graph *g, AdaptStep *s) {
  const KernelCall *k = s->k;
  if (k->batch > 1) return false;
  if (is_kernel(k, "conv_s8") || is_kernel(k, "depthwise_s8") || is_kernel(k, "fc_s8"))
    return step_of_conv(s);
  if (is_kernel(k, "add_s8")) return step_of_add(g, s);
  if (is_kernel(k, "max_pool_s8") || is_kernel(k, "avg_pool_s8")) return step_of_pool(g, s);
  if (is_kernel(k, "copy") && graph_val(g, k->out.val)->dtype == DT_I8) {
    s->kind = MF_BACK_COPY;
    return true;
  }
  if (is_kernel(k, "mean_s8") && g->nodes[k->node].op == OP_reduce_mean) {
    s->kind = MF_BACK_MEAN;
    return true;
  }
  if (is_kernel(k, "requantize_s8")) {
    const mf_requant *p = k->params;
    s->kind = MF_BACK_CLIP;
    limits(s, p->lo, p->hi);
    return true;
  }
  return false;
}

/* A layer without a way back, or one whose output lacks a part of its gradient: so do all that it reads. */
static void cut_inputs(const Graph *g, const KernelCall *k, bool *reached, bool *cut) {
  for (int i = 0; i < k->n_in; i++)
    if (k->in[i].val != NO_VAL && !val_is_const(g, value_root(g, k->in[i].val)))
      reached[value_root(g, k->in[i].val)] = cut[value_root(g, k->in[i].val)] = true;
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
    AdaptStep s = {
        .k = k, .y = y, .x = {k->n_in ? value_root(g, k->in[0].val) : NO_VAL, NO_VAL}, .lo = 1, .number = -1};
    const bool way = step_kind(g, &s);
    if (!way && !ad->ends) ad->ends = k->kernel->name;
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
  if (e->opt->adapt == DEVICE_ADAPT_BIAS) find_steps(e, ad);
  return true;
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

/* What x is given first, y's gradient, can stay where it is. */
static void find_shared(AdaptEmit *ad, AdaptStep *s) {
  if ((s->kind != MF_BACK_ADD && s->kind != MF_BACK_CLIP) || !s->dx[0] || !s->first[0] || s->x[0] == s->x[1])
    return;
  ad->same[s->x[0]] = ad->same[s->y];
  s->first[0] = false;
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
    if (s->active) find_shared(ad, s);
  }
}

void emit_adapt_choose(Emit *e, int chosen) {
  AdaptEmit *ad = e->adapt;
  bool *has = arena_array(e->arena, e->g->n_vals, sizeof *has);
  ad->words = ad->n * ad->k + ad->n;
  ad->work = ad->n + (ad->n + 3) / 4;
  ad->chosen = 0;
  for (int i = 0; i < ad->n_steps; i++) {
    AdaptStep *s = &ad->step[i];
    s->number = -1;
    if (!s->affine || ad->chosen == chosen) continue;
    const Shape *shape = &graph_val(e->g, s->k->out.val)->shape;
    const int64_t c = shape->d[shape->rank - 1];
    s->number = ad->chosen++;
    s->word = (int)ad->words;
    ad->words += 2 * c;
    ad->work = ad->work > 2 * c ? ad->work : 2 * c;
  }
  find_active(ad, has);
  find_first(e, ad);
}
