/* The forms of all layers and their errors; see forms.h.
 *
 *   low rank   computed from the layer's Gram and Fisher matrices, scaled to the divergence measured at two of its ranks
 *   4 bits     the divergence measured with the layer's weights rounded as `quantize` rounds them
 *   both       the sum, the rounding counted once for each factor
 *
 * A form is left out where MACs or parameters do not fall and, with a CostModel, where cycles do not fall or RAM rises (low
 * rank), or flash does not fall (4 bits).
 */
#include "passes/allocate/forms.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "passes/allocate/table.h"
#include "passes/limits.h"
#include "passes/quant_weights.h"

enum { RANKS = 7, LOOKS = 2, INT4_MOST = 7 };

typedef struct Builder {
  const Graph *g;
  const FormOptions *o;
  const PassCtx *ctx;
  Forms *f;
  const Judge *judge; /* NULL: no trials */
  NodeId *same;       /* [n_nodes] k */
  Cost whole;
  Diag *d;
} Builder;

uint32_t forms_layer_of(const Forms *f, NodeId n) {
  for (uint32_t i = 0; i < f->n; i++)
    if (f->v[i].node == n && f->v[i].n > 1) return i;
  return f->n;
}

double forms_error(const Forms *f, const uint32_t *form) {
  double sum = 0;
  for (uint32_t i = 0; f && form && i < f->n; i++) sum += f->v[i].v[form[i]].error;
  return sum;
}

bool forms_thinner(const Forms *f, const uint32_t *form) {
  for (uint32_t i = 0; f && form && i < f->n; i++)
    if (f->v[i].v[form[i]].share > 0) return true;
  return false;
}

void forms_free(Forms *f) {
  for (uint32_t i = 0; i < f->n; i++) lowrank_close(f->v[i].l);
  if (f->arena) arena_free(f->arena);
  *f = (Forms){0};
}

/* ---- what the target says */

/* The cost of the graph with this form alone. */
static bool cost_of(const Builder *b, uint32_t layer, uint32_t form, Cost *out) {
  uint32_t *forms = mem_array(b->f->n, sizeof *forms);
  forms[layer] = form;
  bool ok = forms_cost(b->f, forms, b->g, b->same, b->ctx, out, b->d);
  mem_free(forms);
  return ok;
}

/* Whether the target is better off; the form's pace by what it says. */
static bool ask_target(const Builder *b, uint32_t layer, uint32_t form, bool *better) {
  FormLayer *x = &b->f->v[layer];
  LayerForm *v = &x->v[form];
  Cost c;
  *better = true;
  v->pace = 1;
  if (!b->ctx->cost) return true;
  TRY(cost_of(b, layer, form, &c));
  *better = v->share > 0 ? c.cycles < b->whole.cycles && c.ram <= b->whole.ram : c.flash < b->whole.flash;
  double macs = (double)node_macs(b->g, &b->g->nodes[x->node]), now = macs;
  LowrankOption o;
  const Shape *w = &graph_val(b->g, b->g->nodes[x->node].in[1])->shape;
  if (v->share > 0 && form_ranks(x->l, v, b->f->step, w->d[0], w->d[w->rank - 1], &o)) now = (double)o.macs;
  double each = (double)b->whole.cycles / fmax((double)b->whole.macs, 1);
  double left = macs - (double)(b->whole.cycles - c.cycles) / fmax(each, 1e-9);
  v->pace = fmin(fmax(left / fmax(now, 1), 0.1), 10);
  return true;
}

/* ---- low rank */

/* The error of ranks scaled to what was measured at two of them. */
static void scale_errors(LayerForm *v, uint32_t n, const uint32_t *look, const double *factor) {
  double at[LOOKS];
  for (int k = 0; k < LOOKS; k++) at[k] = log(v[look[k]].error);
  for (uint32_t i = 0; i < n; i++) {
    double t = at[1] > at[0] ? (log(v[i].error) - at[0]) / (at[1] - at[0]) : 0;
    t = fmin(fmax(t, 0), 1);
    v[i].error *= pow(factor[0], 1 - t) * pow(factor[1], t);
  }
}

/* The divergence with option o of layer x alone. */
static bool try_rank(const Builder *b, const FormLayer *x, const LowrankOption *o, double *out) {
  const LowrankPick pick = {.layer = x->l, .option = *o};
  Divergence v;
  Graph *g = lowrank_apply(b->g, &pick, 1, b->d);
  TRY(g);
  bool ok = judge_graph(b->judge, g, &v, b->d);
  graph_free(g);
  *out = v.value;
  return ok;
}

static bool try_ranks(const Builder *b, FormLayer *x, const LowrankOption *o) {
  uint32_t n = x->n - 1, look[LOOKS] = {n / 4, n - 1 - n / 4};
  double factor[LOOKS];
  for (int k = 0; k < LOOKS; k++) {
    double got;
    TRY(try_rank(b, x, &o[look[k]], &got));
    factor[k] = fmin(fmax(got / x->v[1 + look[k]].error, 0.1), 100);
  }
  scale_errors(x->v + 1, n, look, factor);
  return true;
}

/* Of options, MACs falling, the least error below each of RANKS shares of the layer's MACs. Returns how many. */
static uint32_t thin(const LowrankLayer *l, const LowrankOption *all, int n, LowrankOption *out) {
  uint32_t count = 0;
  for (int k = RANKS; k > 0; k--) {
    double most = (double)lowrank_macs(l) * k / (RANKS + 1);
    const LowrankOption *best = NULL;
    for (int i = 0; i < n; i++)
      if ((double)all[i].macs <= most && (!best || all[i].error < best->error)) best = &all[i];
    if (best && (count == 0 || best->macs < out[count - 1].macs)) out[count++] = *best;
  }
  return count;
}

static bool add_ranks(const Builder *b, uint32_t layer, const LayerGram *gram) {
  FormLayer *x = &b->f->v[layer];
  LowrankOption *all, few[RANKS], kept[RANKS];
  const LowrankNorm norm = {&gram->sums[0], b->o->fisher ? gram->fisher : NULL};
  if (!gram->whole) {
    x->why = "it has too many taps for a Gram matrix";
    return true;
  }
  x->l = lowrank_open(b->g, x->node, &norm, &x->why);
  if (!x->l) return true;
  double scale = b->o->fisher ? 0.5 : 1 / lowrank_energy(x->l);
  const int found = lowrank_options(x->l, LOWRANK_ALL, b->f->step, b->f->arena, &all);
  uint32_t n = thin(x->l, all, found, few);
  if (n == 0) x->why = "no rank has fewer MACs and parameters";
  for (uint32_t i = 0; i < n; i++) {
    int64_t most_in, most = lowrank_most(x->l, few[i].method, &most_in);
    bool better;
    x->v[x->n] = (LayerForm){.method = few[i].method,
                             .share = (double)few[i].rank / (double)most,
                             .in_share = most_in ? (double)few[i].in_rank / (double)most_in : 0,
                             .bits = 8,
                             .error = fmax(few[i].error * scale, 1e-9)};
    TRY(ask_target(b, layer, x->n, &better));
    if (better) kept[x->n++ - 1] = few[i];
  }
  if (n > 0 && x->n == 1) x->why = "on the target cycles do not fall, or RAM rises";
  return !b->judge || x->n == 1 || try_ranks(b, x, kept);
}

/* ---- 4 bits */

/* Weights of one group of channels as `quantize` would have them: w [taps + 1][outs], the last row a constant. */
static void round_group(const LayerGram *gram, int64_t group, double *w) {
  const Layer *l = &gram->l;
  int64_t taps = l->taps, n = taps + 1, outs = l->outs;
  float *all = (float *)(uintptr_t)val_data(l->g, l->n->in[1]),
        *flat = mem_array((size_t)(outs * taps), sizeof *flat),
        *scale = mem_array((size_t)outs, sizeof *scale);
  int8_t *q = mem_array((size_t)(outs * taps), 1);
  double *bias = mem_array((size_t)outs, sizeof *bias);
  for (int64_t k = 0; k < outs; k++)
    for (int64_t u = 0; u < taps; u++) flat[k * taps + u] = *layer_weight(l, all, NULL, group, u, k);
  if (gram->whole) {
    const double *a = gram->sums[group].a;
    double *h = mem_array((size_t)(n * n), sizeof *h);
    bool constant = trial_has_constant(l);
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = 0; j <= i; j++)
        if (constant || i < taps || i == j) h[i * n + j] = h[j * n + i] = a[i * n + j];
    gptq_round(h, flat, outs, taps, scale, INT4_MOST, q, bias);
    for (int64_t k = 0; !constant && k < outs; k++) bias[k] = 0;
    mem_free(h);
  } else {
    for (int64_t k = 0; k < outs; k++) {
      scale[k] = scale_search(flat + k * taps, taps, INT4_MOST);
      for (int64_t u = 0; u < taps; u++)
        q[k * taps + u] = (int8_t)fmax(
            fmin(round((double)flat[k * taps + u] / fmax((double)scale[k], 1e-30)), INT4_MOST), -INT4_MOST);
    }
  }
  for (int64_t k = 0; k < outs; k++) {
    for (int64_t u = 0; u < taps; u++) w[u * outs + k] = (double)scale[k] * q[k * taps + u];
    w[taps * outs + k] = bias[k];
  }
  mem_free(flat), mem_free(scale), mem_free(q), mem_free(bias);
}

/* The divergence with the layer's weights rounded. */
static bool try_bits(const Builder *b, const LayerGram *gram, double *out) {
  const Layer *l = &gram->l;
  size_t each = (size_t)((l->taps + 1) * l->outs);
  double *w = mem_array(each * (size_t)l->groups, sizeof *w);
  TrialLayer *trial = mem_array((size_t)l->groups, sizeof *trial);
  for (int64_t k = 0; k < l->groups; k++) {
    round_group(gram, k, w + each * (size_t)k);
    trial[k] = (TrialLayer){l, k, w + each * (size_t)k};
  }
  bool ok = trial_divergence(b->judge, b->g, trial, (uint32_t)l->groups, out, b->d);
  mem_free(trial);
  mem_free(w);
  return ok;
}

/* 4 bits for each form that is there. */
static bool add_bits(const Builder *b, uint32_t layer, const LayerGram *gram) {
  FormLayer *x = &b->f->v[layer];
  double error;
  uint32_t n = x->n;
  bool better;
  x->v[n] = (LayerForm){.bits = 4};
  TRY(ask_target(b, layer, n, &better));
  if (!better) return true;
  TRY(try_bits(b, gram, &error));
  double pace = x->v[n].pace;
  for (uint32_t i = 0; i < n; i++) {
    LayerForm *v = &x->v[x->n++];
    *v = x->v[i];
    int factors = v->share == 0 ? 1 : v->method == LOWRANK_TUCKER ? 3 : 2;
    v->bits = 4;
    v->error += fmax(error, 1e-9) * factors;
    v->pace *= pace;
  }
  return true;
}

/* ---- all */

/* quantize finds layers of 4 bits by their names. */
static bool nameable(const Graph *g, const Node *layer, const char *name) {
  if (strpbrk(name, ",;{}")) return false;
  for (NodeId k = 0; k < g->n_nodes; k++)
    if (&g->nodes[k] != layer && strcmp(node_label(g, &g->nodes[k]), name) == 0) return false;
  return true;
}

static bool add_layer(const Builder *b, const LayerGram *gram) {
  const Node *n = gram->l.n;
  if (n->op != OP_conv && n->op != OP_fully_connected) return true;
  uint32_t layer = b->f->n++;
  FormLayer *x = &b->f->v[layer];
  const char *name = node_label(b->g, n);
  if (strcmp(name, op_info(n->op)->name) == 0) name = arena_printf(b->f->arena, "%s_%u", name, gram->node);
  *x = (FormLayer){.node = gram->node, .name = name, .n = 1};
  x->v = arena_array(b->f->arena, 2 * (RANKS + 1), sizeof *x->v);
  x->v[0] = (LayerForm){.bits = 8, .pace = 1};
  if (pass_listed(b->o->keep, x->name)) {
    x->why = "it is to stay";
    return true;
  }
  if (b->o->ranks) TRY(add_ranks(b, layer, gram));
  const char *fixed = layer_fixed(&gram->l);
  if (!fixed && b->o->bits && !nameable(b->g, n, name)) fixed = "its name cannot stand in quantize's int4=";
  if (b->o->bits && b->o->precision == DT_I8 && !fixed) TRY(add_bits(b, layer, gram));
  if (x->n == 1 && !x->why) x->why = fixed ? fixed : "on the target flash does not fall";
  return true;
}

static bool build_all(Builder *b, const Grams *grams) {
  if (b->ctx->cost) TRY(limits_cost(b->ctx->cost, b->g, b->o->precision, &b->whole, b->d));
  for (uint32_t i = 0; i < grams->n; i++) TRY(add_layer(b, &grams->v[i]));
  return true;
}

bool forms_build(const Graph *g, const Grams *grams, const FormOptions *o, const PassCtx *ctx, Forms *out,
                 Diag *d) {
  Judge judge = {0};
  *out = (Forms){
      .arena = arena_new(), .graph = g, .step = o->step, .precision = o->precision, .fisher = o->fisher};
  out->v = arena_array(out->arena, grams->n, sizeof *out->v);
  Builder b = {.g = g, .o = o, .ctx = ctx, .f = out, .d = d};
  b.same = arena_array(out->arena, g->n_nodes, sizeof *b.same);
  for (NodeId k = 0; k < g->n_nodes; k++) b.same[k] = k;
  FAIL_IF(o->bits && o->trial_images == 0, d, NULL,
          "allocate: bits=1: errors of 4 bits are measured: want trials of at least 1 image");
  if (o->trial_images > 0) {
    uint32_t n = ctx->data->train.n, count = n < o->trial_images ? n : o->trial_images;
    TRY(judge_open(&judge, g, ctx->data, n - count, count, ctx->host, d));
    b.judge = &judge;
  }
  bool ok = build_all(&b, grams);
  judge_close(&judge);
  return ok;
}
