/* Which layers have weights of 4 bits, and what their codes are. Conv and FullyConnected alone have kernels for them; the
 * first and the last layer keep 8 bits unless told otherwise: they have few weights and lose most.
 */
#include "passes/quant_weights.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ir/base/mem.h"
#include "passes/quantizer.h"

bool weight_options(const char *params, WeightOptions *o, Diag *d) {
  char text[32] = "int8", rounding[32] = "";
  *o = (WeightOptions){.int8 = "first;last"};
  TRY(quant_text(params, "int4", o->int4, sizeof o->int4, d));
  if (o->int4[0]) snprintf(text, sizeof text, "int4"), o->int8[0] = 0; /* what is named is meant */
  pass_param(params, "weights", text, sizeof text);
  TRY(quant_text(params, "int8", o->int8, sizeof o->int8, d));
  pass_param(params, "rounding", rounding, sizeof rounding);
  const bool four = strcmp(text, "int4") == 0;
  FAIL_IF(o->int4[0] && !four, d, NULL, "quantize: weights=%s, want int4, as int4=... names layers", text);
  FAIL_IF(!four && strcmp(text, "int8") != 0, d, NULL, "quantize: weights=%s, want one of int8, int4", text);
  o->most = four ? 7 : 127;
  o->gptq = rounding[0] ? strcmp(rounding, "gptq") == 0 : four;
  FAIL_IF(rounding[0] && !o->gptq && strcmp(rounding, "nearest") != 0, d, NULL,
          "quantize: rounding=%s, want one of nearest, gptq", rounding);
  return true;
}

/* -- codes -- */

typedef struct Choice {
  const Graph *g;
  const WeightOptions *o;
  bool fc_per_tensor;
  const uint32_t *uses;
  NodeId first, last;
  bool *keep; /* [nodes] 8 bits, as the options say */
  Codes *codes;
} Choice;

static bool has_few_bits(const Choice *c, NodeId k) {
  return c->o->most != 127 && c->g->nodes[k].op != OP_depthwise_conv && !c->keep[k];
}

static bool is_word(const char *name, size_t len, const char *word) {
  return strlen(word) == len && strncmp(name, word, len) == 0;
}

/* Where layers of 4 bits are named, the others keep 8. */
static bool mark_others(const Choice *c, Diag *d) {
  bool *named = mem_array((size_t)c->g->n_nodes + 1, sizeof *named), ok = true;
  for (const char *p = c->o->int4; ok && *p;) {
    const size_t len = strcspn(p, ";");
    ok = quant_mark_named(c->g, "int4", p, len, true, named, d);
    p += len + (p[len] == ';');
  }
  for (NodeId k = 0; c->o->int4[0] && k < c->g->n_nodes; k++) c->keep[k] = !named[k];
  mem_free(named);
  return ok;
}

/* Each name of the list must be a layer, or a word. */
static bool mark_kept(const Choice *c, Diag *d) {
  TRY(mark_others(c, d));
  for (const char *p = c->o->int8; *p;) {
    const size_t len = strcspn(p, ";");
    const NodeId end = is_word(p, len, "first") ? c->first : is_word(p, len, "last") ? c->last : NO_NODE;
    if (end != NO_NODE)
      c->keep[end] = true;
    else if (!is_word(p, len, "first") && !is_word(p, len, "last") && !is_word(p, len, "none"))
      TRY(quant_mark_named(c->g, "int8", p, len, true, c->keep, d));
    p += len + (p[len] == ';');
  }
  return true;
}

/* Whether the layer's rounding looks at what the layer reads. */
static bool by_inputs(const Choice *c, const Node *n) {
  return c->o->gptq && (n->op == OP_conv || n->op == OP_fully_connected) && c->uses[n->in[1]] == 1;
}

/* The layer's sums; where no bias may change, without what leads to it. */
static const double *sums_of(const Choice *c, const Node *n, const Gram *m, int64_t group) {
  double *h = m->h[group];
  const bool free = n->n_in > 2 && n->in[2] != NO_VAL && c->uses[n->in[2]] == 1;
  for (int64_t i = 0; !free && i < m->n; i++) h[i * m->n + m->n - 1] = h[(m->n - 1) * m->n + i] = 0;
  return h;
}

/* Without a view to the inputs; one for all channels where the layer has one. 0: to be found by the rounding. */
static void choose_scales(const Choice *c, const Node *n, const WeightView *v, bool sees, Codes *to) {
  const bool common = c->fc_per_tensor && n->op == OP_fully_connected;
  float largest = 0;
  for (int64_t o = 0; o < v->outs && (common || !sees || to->most == 127); o++) {
    float most = 0;
    for (int64_t i = 0; i < v->each; i++) most = fmaxf(most, fabsf(v->w[o * v->step_out + i]));
    to->scale[o] = to->most == 127 ? most / 127 : scale_search(v->w + o * v->step_out, v->each, to->most);
    largest = fmaxf(largest, to->scale[o]);
  }
  for (int64_t o = 0; common && o < v->outs; o++) to->scale[o] = largest;
}

static void choose_codes(const Choice *c, const Node *n, const Gram *m) {
  const WeightView v = quant_weights(c->g, n);
  Codes *to = &c->codes[n->in[1]];
  if (to->scale) return; /* shared */
  to->scale = mem_array((size_t)v.outs, sizeof *to->scale);
  choose_scales(c, n, &v, m->h != NULL, to);
  if (!m->h) return;
  const int64_t outs = v.outs / m->groups;
  to->q = mem_array((size_t)(v.outs * v.each), 1);
  to->bias = mem_array((size_t)v.outs, sizeof *to->bias);
  for (int64_t group = 0; group < m->groups; group++) {
    const int64_t at = group * outs;
    gptq_round(sums_of(c, n, m, group), v.w + at * v.each, outs, v.each, to->scale + at, to->most,
               to->q + at * v.each, to->bias + at);
  }
}

/* -- all layers -- */

static void find_ends(Choice *c) {
  c->first = c->last = NO_NODE;
  for (NodeId k = 0; k < c->g->n_nodes; k++) {
    if (quant_kind(c->g, &c->g->nodes[k]) != KIND_WEIGHTS) continue;
    if (c->first == NO_NODE) c->first = k;
    c->last = k;
  }
}

static bool choose_all(const Choice *c, const Dataset *ds, uint32_t images, const Host *host, Diag *d) {
  const Graph *g = c->g;
  bool *wanted = mem_array((size_t)g->n_nodes + 1, sizeof *wanted);
  Gram *sums = mem_array((size_t)g->n_nodes + 1, sizeof *sums);
  for (NodeId k = 0; k < g->n_nodes; k++) {
    const Node *n = &g->nodes[k];
    if (quant_kind(g, n) != KIND_WEIGHTS) continue;
    const bool few = has_few_bits(c, k), sees = by_inputs(c, n) && (few || c->o->most == 127);
    if (few || sees) c->codes[n->in[1]].most = few ? c->o->most : 127;
    wanted[k] = ds && sees;
  }
  const bool ok = !ds || gram_collect(g, wanted, ds, images, host, sums, d);
  for (NodeId k = 0; ok && k < g->n_nodes; k++)
    if (quant_kind(g, &g->nodes[k]) == KIND_WEIGHTS && c->codes[g->nodes[k].in[1]].most)
      choose_codes(c, &g->nodes[k], &sums[k]);
  for (NodeId k = 0; k < g->n_nodes; k++) gram_free(&sums[k]);
  mem_free(sums);
  mem_free(wanted);
  return ok;
}

Codes *quant_weights_choose(const Graph *g, const WeightOptions *o, bool fc_per_tensor, const Dataset *ds,
                            uint32_t images, const Host *host, Diag *d) {
  Arena *a = arena_new();
  Choice c = {.g = g, .o = o, .fc_per_tensor = fc_per_tensor, .uses = graph_uses(g, a)};
  c.codes = mem_array(g->n_vals, sizeof *c.codes);
  c.keep = mem_array((size_t)g->n_nodes + 1, sizeof *c.keep);
  find_ends(&c);
  const bool ok = (o->most == 127 || mark_kept(&c, d)) && choose_all(&c, ds, images, host, d);
  arena_free(a);
  mem_free(c.keep);
  if (ok) return c.codes;
  codes_free(c.codes, g->n_vals);
  return NULL;
}

bool codes_put(const Codes *c, const WeightView *v, bool per_channel, const float *bias, float in_scale,
               int8_t *q, float *scale, int32_t *qbias) {
  WeightView w = *v;
  float *b = mem_array((size_t)v->outs, sizeof *b), most = 0;
  bool ok = true;
  w.most = c->most;
  for (int64_t o = 0; o < v->outs; o++) {
    b[o] = (bias ? bias[o] : 0) + (float)(bias && c->bias ? c->bias[o] : 0);
    scale[o] = weights_scale(c->scale[o], (double)b[o], in_scale);
    most = fmaxf(most, scale[o]);
  }
  for (int64_t o = 0; !per_channel && o < v->outs; o++) scale[o] = most;
  weights_round(&w, per_channel, bias ? b : NULL, in_scale, q, scale, qbias);
  if (c->fixed) memcpy(q, c->q, (size_t)(v->outs * v->each));
  for (int64_t o = 0; c->fixed && o < v->outs; o++) ok = ok && scale[o] == c->scale[o];
  for (int64_t o = 0; c->q && !c->fixed && o < v->outs;
       o++) /* where the scale is what they were rounded by */
    if (scale[o] == c->scale[o]) memcpy(q + o * v->each, c->q + o * v->each, (size_t)v->each);
  mem_free(b);
  return ok;
}

void codes_free(Codes *c, uint32_t n) {
  for (uint32_t v = 0; c && v < n; v++) {
    mem_free(c[v].scale);
    mem_free(c[v].q);
    mem_free(c[v].bias);
  }
  mem_free(c);
}
