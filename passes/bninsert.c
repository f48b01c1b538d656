/* bninsert: a BatchNormalization behind layers that have none, so that a model imported already folded can be retrained
 * and its statistics estimated anew.
 *
 *   y = act(conv(x))   becomes   y = act(BN(conv(x))),   mean, var: of conv(x) over training images,
 *   scale = sqrt(var + epsilon), bias = mean:            BN is the identity, to rounding
 *
 * Weights are divided by a power of two for each channel first, exactly, and the scale has it instead: folded weights are of
 * any size, and too small or too large ones train badly before a BatchNormalization.
 *
 * Mean and variance are those of all positions of all images together, gathered in double; the images are not augmented.
 * Behind Conv, DepthwiseConv and FullyConnected of float graphs; a fused activation becomes an operator of its own (`fuse`
 * puts it back, and `bnfuse` the BatchNormalization). Classifiers, behind which no layer with weights comes, stay as they
 * are unless asked for. Says of every layer what was done, or why not.
 */
#include "passes/pass.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ir/base/mem.h"
#include "passes/channels.h"
#include "runtime/engine/engine.h"

PassFn pass_bninsert;

static const float EPSILON = 1e-5f;

typedef struct Insert {
  const Graph *g;
  const uint32_t *uses;
  const bool *last; /* [n_nodes] no layer with weights behind */
  Moments *at;      /* [n_nodes] of layers that get one; channels 0: none */
  const char **why; /* [n_nodes] of layers that get none */
  bool last_too;
} Insert;

static bool is_layer(const Node *n) {
  return n->op == OP_conv || n->op == OP_depthwise_conv || n->op == OP_fully_connected;
}

static int32_t *act_of(void *attrs, OpKind op) {
  if (op == OP_conv) return &((conv_attrs *)attrs)->act;
  if (op == OP_depthwise_conv) return &((depthwise_conv_attrs *)attrs)->act;
  return &((fully_connected_attrs *)attrs)->act;
}

/* ---- which layers */

static const Node *only_reader(const Graph *g, ValId v, const uint32_t *uses) {
  if (uses[v] != 1) return NULL;
  for (NodeId k = 0; k < g->n_nodes; k++)
    for (uint32_t i = 0; i < g->nodes[k].n_in; i++)
      if (g->nodes[k].in[i] == v) return &g->nodes[k];
  return NULL;
}

static const char *why_not(const Insert *p, NodeId k) {
  const Graph *g = p->g;
  const Node *n = &g->nodes[k], *next = only_reader(g, n->out[0], p->uses);
  if (*act_of(n->attrs, n->op) == ACT_NONE && next && next->op == OP_batch_normalization)
    return "it has a BatchNormalization";
  for (uint32_t i = 1; i < n->n_in; i++) {
    if (n->in[i] == NO_VAL) continue;
    if (!val_is_const(g, n->in[i])) return "its weights are computed";
    if (i == 1 && p->uses[n->in[i]] > 1) return "its weights are read by others too";
  }
  if (graph_val(g, n->out[0])->dtype != DT_F32) return "it is not float";
  if (p->last[k] && !p->last_too) return "it is the classifier (last=1: that too)";
  return NULL;
}

/* last[k]: no layer with weights depends on node k. */
static bool *find_last(const Graph *g, Arena *a) {
  bool *last = arena_array(a, g->n_nodes + 1, sizeof *last),
       *feeds = arena_array(a, g->n_vals, sizeof *feeds);
  for (NodeId k = g->n_nodes; k-- > 0;) {
    const Node *n = &g->nodes[k];
    bool reached = is_layer(n);
    last[k] = true;
    for (uint32_t i = 0; i < n->n_out; i++) last[k] = last[k] && !feeds[n->out[i]];
    for (uint32_t i = 0; i < n->n_in; i++)
      if (n->in[i] != NO_VAL) feeds[n->in[i]] = feeds[n->in[i]] || reached || !last[k];
  }
  return last;
}

static int choose(Insert *p) {
  int n = 0;
  for (NodeId k = 0; k < p->g->n_nodes; k++) {
    if (!is_layer(&p->g->nodes[k])) continue;
    p->why[k] = why_not(p, k);
    const Shape *s = &graph_val(p->g, p->g->nodes[k].out[0])->shape;
    if (p->why[k]) continue;
    p->at[k].channels = s->d[s->rank - 1];
    n++;
  }
  return n;
}

/* ---- the graph */

static ValId activation(Rewrite *r, const Node *n, ValId x, const char *name, Diag *d) {
  Loc loc = rewrite_loc(r, n);
  switch (*act_of(n->attrs, n->op)) {
  case ACT_RELU: return graph_node1(r->to, OP_relu, NULL, x, name, &loc, d);
  case ACT_RELU6: return graph_node1(r->to, OP_clip, &(clip_attrs){.lo = 0, .hi = 6}, x, name, &loc, d);
  case ACT_RELU_N1_TO_1:
    return graph_node1(r->to, OP_clip, &(clip_attrs){.lo = -1, .hi = 1}, x, name, &loc, d);
  default: return x;
  }
}

/* The weights' layout: element i of output channel c. */
static int64_t weight_at(const Node *n, int64_t channels, int64_t inner, int64_t c, int64_t i) {
  return n->op == OP_depthwise_conv ? i * channels + c : c * inner + i;
}

/* by [channels]: powers of two, by which weights divided have a norm of 1 to 2, as fresh ones do (He et al. 2015: root of
 * 2): how fast weights before BatchNormalization learn depends on it. */
static void find_sizes(const Graph *g, const Node *n, int64_t channels, double *by) {
  const float *w = val_data(g, n->in[1]);
  int64_t inner = shape_count(&graph_val(g, n->in[1])->shape) / channels;
  for (int64_t c = 0; c < channels; c++) {
    double norm = 0;
    for (int64_t i = 0; i < inner; i++) {
      double x = (double)w[weight_at(n, channels, inner, c, i)];
      norm += x * x;
    }
    by[c] = norm > 1e-20 ? exp2(floor(log2(norm) / 2)) : 1;
  }
}

/* The weights, or the bias (inner 1), divided. */
static ValId divided(Rewrite *r, const Node *n, ValId v, int64_t channels, const double *by) {
  const Value *was = graph_val(r->from, v);
  int64_t inner = shape_count(&was->shape) / channels;
  float *x = mem_array((size_t)(inner * channels), sizeof *x);
  const float *from = val_data(r->from, v);
  for (int64_t c = 0; c < channels; c++)
    for (int64_t i = 0; i < inner; i++) {
      int64_t at = weight_at(n, channels, inner, c, i);
      x[at] = (float)((double)from[at] / by[c]);
    }
  ValId out = graph_const_data(r->to, was->name, DT_F32, &was->shape, x);
  mem_free(x);
  return out;
}

static ValId vector(Rewrite *r, const char *layer, const char *what, const Moments *m, const double *by,
                    float (*f)(double mean, double variance, double by)) {
  float *x = mem_array((size_t)m->channels, sizeof *x);
  for (int64_t c = 0; c < m->channels; c++) x[c] = f(m->mean[c], m->variance[c], by[c]);
  Shape s = shape_of(1, m->channels);
  ValId v = graph_const_data(r->to, arena_printf(r->to->arena, "%s:%s", layer, what), DT_F32, &s, x);
  mem_free(x);
  return v;
}

static float the_bias(double mean, double variance, double by) {
  return (void)variance, (void)by, (float)mean;
}
static float the_mean(double mean, double variance, double by) { return (void)variance, (float)(mean / by); }
static float the_variance(double mean, double variance, double by) {
  return (void)mean, (float)(variance / by / by);
}
/* It answers the variance as it is stored. */
static float the_scale(double mean, double variance, double by) {
  return (float)(by * sqrt((double)the_variance(mean, variance, by) + (double)EPSILON));
}

/* BatchNormalization behind y, whose weights were divided. */
static ValId normalized(Rewrite *r, const Node *n, const Moments *m, const double *by, ValId y,
                        const char *name, Diag *d) {
  const char *layer = node_label(r->from, n);
  batch_normalization_attrs bn = {.axis = graph_val(r->to, y)->shape.rank - 1, .epsilon = EPSILON};
  ValId in[5] = {y, vector(r, layer, "scale", m, by, the_scale), vector(r, layer, "bias", m, by, the_bias),
                 vector(r, layer, "mean", m, by, the_mean), vector(r, layer, "var", m, by, the_variance)};
  Loc loc = rewrite_loc(r, n);
  return graph_node(r->to, OP_batch_normalization, &bn, in, 5, name, &loc, d);
}

/* The layer without its activation, then BatchNormalization, then the activation. Where the moments are not known yet, the
 * layer's sums become an output instead. */
static ValId rebuild(Rewrite *r, const Node *n, const Moments *m, Diag *d) {
  union {
    conv_attrs conv;
    depthwise_conv_attrs depthwise;
    fully_connected_attrs full;
  } attrs;
  memcpy(&attrs, n->attrs, op_info(n->op)->attrs_size);
  *act_of(&attrs, n->op) = ACT_NONE;
  double *by = arena_array(r->to->arena, (size_t)m->channels, sizeof *by);
  for (int64_t c = 0; c < m->channels; c++) by[c] = 1;
  if (m->mean) find_sizes(r->from, n, m->channels, by);
  ValId in[3] = {rewrite_val(r, n->in[0]), divided(r, n, n->in[1], m->channels, by),
                 n->n_in > 2 && n->in[2] != NO_VAL ? divided(r, n, n->in[2], m->channels, by) : NO_VAL};
  const char *name = graph_val(r->from, n->out[0])->name, *layer = node_label(r->from, n);
  bool fused = *act_of(n->attrs, n->op) != ACT_NONE;
  const char *own = m->mean || fused ? arena_printf(r->to->arena, "%s:sums", layer) : name;
  ValId y = graph_node(r->to, n->op, &attrs, in, in[2] == NO_VAL ? 2 : 3, own, &n->loc, d);
  if (y == NO_VAL) return NO_VAL;
  if (m->mean)
    y = normalized(r, n, m, by, y, fused ? arena_printf(r->to->arena, "%s:bn", layer) : name, d);
  else
    graph_output(r->to, y);
  return y == NO_VAL ? NO_VAL : activation(r, n, y, name, d);
}

/* The graph with the chosen layers taken apart. */
static Graph *take_apart(const Insert *p, Diag *d) {
  Rewrite r;
  bool ok = true;
  rewrite_begin(&r, p->g, "bninsert");
  for (NodeId k = 0; ok && k < p->g->n_nodes; k++) {
    const Node *n = &p->g->nodes[k];
    if (p->at[k].channels == 0) {
      ok = rewrite_copy(&r, n, d);
      continue;
    }
    r.map[n->out[0]] = rebuild(&r, n, &p->at[k], d);
    ok = r.map[n->out[0]] != NO_VAL;
  }
  return rewrite_end(&r, ok, d);
}

/* ---- the statistics */

/* The sums are the first outputs of the graph that is run, layer after layer. */
static bool measure(Insert *p, int n, uint32_t images, const PassCtx *ctx, Arena *a, Diag *d) {
  Graph *apart = take_apart(p, d);
  TRY(apart);
  Moments *m = arena_array(a, (size_t)n, sizeof *m);
  for (int i = 0, k = 0; i < n; i++, k++) {
    while (p->at[k].channels == 0) k++;
    p->at[k].mean = arena_array(a, (size_t)p->at[k].channels, sizeof(double));
    p->at[k].variance = arena_array(a, (size_t)p->at[k].channels, sizeof(double));
    m[i] = p->at[k];
  }
  bool ok = collect_moments(apart, ctx->data, images, ctx->host, apart->outputs, n, m, d);
  graph_free(apart);
  return ok;
}

static void tell(const Insert *p, const Host *host) {
  StrBuf line = {0};
  for (NodeId k = 0; host && host->log && k < p->g->n_nodes; k++) {
    const Node *n = &p->g->nodes[k];
    const Moments *m = &p->at[k];
    if (!is_layer(n)) continue;
    double lo = INFINITY, hi = 0;
    for (int64_t c = 0; c < m->channels; c++) lo = fmin(lo, m->variance[c]), hi = fmax(hi, m->variance[c]);
    sb_printf(&line, "bninsert: %s: ", node_label(p->g, n));
    if (p->why[k])
      sb_printf(&line, "left as it is: %s", p->why[k]);
    else
      sb_printf(&line, "BatchNormalization of %" PRId64 " channels, variance %.3g to %.3g", m->channels, lo,
                hi);
    host->log(host->ctx, sb_str(&line));
    sb_free(&line);
    line = (StrBuf){0};
  }
}

static bool options(const PassCtx *ctx, uint32_t *images, bool *last, Diag *d) {
  bool bad = false;
  double n = pass_param_num(ctx->params, "images", 2048, &bad),
         all = pass_param_num(ctx->params, "last", 0, &bad);
  FAIL_IF(bad || !(n >= 1 && n <= 1e9), d, NULL, "bninsert: images: want a number from 1 to 1e9");
  FAIL_IF(all != 0 && all != 1, d, NULL, "bninsert: last=%g, want 0 or 1", all);
  *images = (uint32_t)n, *last = all != 0;
  return true;
}

Graph *pass_bninsert(const Graph *g, const PassCtx *ctx, Diag *d) {
  Arena *a = arena_new();
  Insert p = {.g = g, .uses = graph_uses(g, a), .last = find_last(g, a)};
  uint32_t images = 0;
  p.at = arena_array(a, g->n_nodes + 1, sizeof *p.at);
  p.why = arena_array(a, g->n_nodes + 1, sizeof *p.why);
  bool ok = options(ctx, &images, &p.last_too, d);
  int n = ok ? choose(&p) : 0;
  if (n > 0) ok = measure(&p, n, images, ctx, a, d);
  if (ok) tell(&p, ctx->host);
  Graph *done = !ok ? NULL : n > 0 ? take_apart(&p, d) : graph_clone(g);
  arena_free(a);
  return done;
}
