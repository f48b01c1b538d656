/* equalize: cross-layer equalisation. Channels between two layers get ranges alike, without changing what is computed.
 *
 *   y[i] = f(w1[i] x + b1[i])     with w1[i] / s[i], b1[i] / s[i]     the same, as f(x / s) = f(x) / s for s > 0
 *   z = w2 y                      and w2[.,i] * s[i]
 *
 *   s[i] = sqrt(r1[i] / r2[i]), r2[i] the largest weight that reads channel i, r1[i] the largest weight that makes it
 *   (by=weights: Nagel et al. 2019, arXiv:1906.04721, section 4.1), or its largest value on calibration data
 *   (by=activations, as Xiao et al. 2022, arXiv:2211.10438, section 4; the default where there are data): with weights
 *   quantized per output channel it is the tensor in between, of one scale, that gains.
 *
 * A pair is Conv, DepthwiseConv or FullyConnected, then what commutes with a positive factor for each channel (Relu, LeakyRelu,
 * pools, a mean over pixels, zero padding, flattening), then another such layer, nothing else reading in between. All
 * pairs in turn until no factor changes. Relu6 and Clip do not commute: such a layer is left as it is, and said, as is every
 * other that has no partner. Run it behind bnfuse and fuse.
 */
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "passes/calibrate.h"
#include "passes/pass.h"

PassFn pass_equalize;

enum { ROUNDS = 40 };

/* Node `first` makes the channels, `second` reads them. */
typedef struct PairOf {
  NodeId first, second;
  int64_t channels;
  float *seen; /* [channels] by=activations: largest value, with the factors so far; NULL: by weights */
} PairOf;

typedef struct Equalize {
  const Graph *g;
  const PassCtx *ctx;
  uint32_t *uses;
  float **data; /* [n_vals] constants that change: a copy of their elements */
  PairOf *pairs;
  int n;
  int clipped; /* layers whose activation is Relu6 */
} Equalize;

/* ---- which pairs */

static bool is_layer(const Node *n) {
  return n->op == OP_conv || n->op == OP_depthwise_conv || n->op == OP_fully_connected;
}

static int32_t act_of(const Node *n) {
  if (n->op == OP_conv) return CATTRS(n, conv)->act;
  if (n->op == OP_depthwise_conv) return CATTRS(n, depthwise_conv)->act;
  return CATTRS(n, fully_connected)->act;
}

/* Constants of its own, f32: what equalisation may change. */
static bool has_own_weights(const Equalize *e, const Node *n) {
  for (uint32_t k = 1; k < n->n_in; k++)
    if (!val_is_const(e->g, n->in[k]) || e->uses[n->in[k]] != 1 || graph_val(e->g, n->in[k])->dtype != DT_F32)
      return false;
  return true;
}

static bool over_pixels(const Ints *axes, int rank) {
  for (int i = 0; i < axes->n; i++) {
    const int64_t a = axes->v[i] < 0 ? axes->v[i] + rank : axes->v[i];
    if (a == 0 || a == rank - 1) return false;
  }
  return axes->n > 0;
}

static bool pads_pixels(const Graph *g, const Node *n) {
  const pad_attrs *a = CATTRS(n, pad);
  const int rank = graph_val(g, n->in[0])->shape.rank;
  return a->value == 0 && a->pads.v[rank - 1] == 0 && a->pads.v[2 * rank - 1] == 0;
}

/* Does a factor for each channel (the innermost axis; behind flattening: element modulo channels) pass through? */
static bool commutes(const Graph *g, const Node *n, int64_t channels) {
  const Shape *x = &graph_val(g, n->in[0])->shape, *y = &graph_val(g, n->out[0])->shape;
  const bool flat = x->d[x->rank - 1] != channels;
  switch ((int)n->op) {
  case OP_relu:
  case OP_leaky_relu: return true;
  case OP_max_pool: return !flat;
  case OP_average_pool:
    return !flat && (CATTRS(n, average_pool)->act == ACT_NONE || CATTRS(n, average_pool)->act == ACT_RELU);
  case OP_reduce_mean: return !flat && over_pixels(&CATTRS(n, reduce_mean)->axes, x->rank);
  case OP_pad: return !flat && pads_pixels(g, n);
  case OP_reshape: return y->d[y->rank - 1] % channels == 0 && y->d[0] == x->d[0];
  default: return false;
  }
}

static NodeId only_reader(const Graph *g, ValId v) {
  for (NodeId i = 0; i < g->n_nodes; i++)
    for (uint32_t k = 0; k < g->nodes[i].n_in; k++)
      if (g->nodes[i].in[k] == v) return i;
  return NO_NODE;
}

/* Whether layer n can take up the factors of `channels` channels, which come along the innermost axis of its input. */
static bool takes_factors(const Graph *g, const Node *n, int64_t channels) {
  const Shape *x = &graph_val(g, n->in[0])->shape;
  const int64_t c = x->d[x->rank - 1];
  return n->op == OP_fully_connected ? c % channels == 0 : c == channels;
}

/* Why the layer k has no partner; NULL: *pair is set. */
static const char *find_pair(Equalize *e, NodeId k, PairOf *pair) {
  const Graph *g = e->g;
  const Node *n = &g->nodes[k];
  const int32_t act = act_of(n);
  if (!has_own_weights(e, n)) return "its weights are computed or shared";
  if (act != ACT_NONE && act != ACT_RELU) {
    e->clipped++;
    return "its activation clips: factors do not pass through";
  }
  const Shape *y = &graph_val(g, n->out[0])->shape;
  *pair = (PairOf){.first = k, .channels = y->d[y->rank - 1]};
  for (ValId v = n->out[0];;) {
    if (graph_is_result(g, v)) return "its output is the graph's";
    if (e->uses[v] != 1) return "several operators read its output";
    const NodeId at = only_reader(g, v);
    const Node *r = &g->nodes[at];
    if (is_layer(r)) {
      pair->second = at;
      if (r->in[0] != v || !has_own_weights(e, r)) return "the next layer's weights are computed or shared";
      return takes_factors(g, r, pair->channels) ? NULL
                                                 : "the next layer mixes its channels in another order";
    }
    if (!commutes(g, r, pair->channels)) return op_info(r->op)->name;
    v = r->out[0];
  }
}

static void say(const Equalize *e, const Node *n, const char *why) {
  const Host *h = e->ctx->host;
  char line[300];
  const char *name = graph_val(e->g, n->out[0])->name;
  if (!h || !h->log) return;
  snprintf(line, sizeof line, "equalize: %s is left: %s%s", name ? name : op_info(n->op)->name, why,
           strchr(why, ' ') ? "" : " reads its output, through which factors do not pass");
  h->log(h->ctx, line);
}

static void find_pairs(Equalize *e) {
  for (NodeId k = 0; k < e->g->n_nodes; k++) {
    PairOf p;
    if (!is_layer(&e->g->nodes[k])) continue;
    const char *why = find_pair(e, k, &p);
    if (why)
      say(e, &e->g->nodes[k], why);
    else
      e->pairs[e->n++] = p;
  }
}

/* ---- factors */

static float *copy_of(Equalize *e, ValId v) {
  const int64_t n = shape_count(&e->g->vals[v].shape);
  if (!e->data[v]) {
    e->data[v] = mem_alloc_aligned((size_t)n * sizeof(float) + 1, 64);
    memcpy(e->data[v], val_data(e->g, v), (size_t)n * sizeof(float));
  }
  return e->data[v];
}

/* Weights of n, element by element, with the channel that makes (out) or is read by it. */
typedef struct Walk {
  const Shape *s;
  OpKind op;
  int64_t n, outs, group, channels;
} Walk;

static Walk walk_of(const Graph *g, const Node *n, int64_t channels) {
  const Shape *s = &graph_val(g, n->in[1])->shape;
  Walk w = {.s = s, .op = n->op, .n = shape_count(s), .group = 1, .channels = channels};
  w.outs = n->op == OP_depthwise_conv ? s->d[3] : s->d[0];
  if (n->op == OP_conv) w.group = CATTRS(n, conv)->group;
  return w;
}

static int64_t made_by(const Walk *w, int64_t i) {
  return w->op == OP_depthwise_conv ? i % w->outs : i / (w->n / w->outs);
}

static int64_t read_by(const Walk *w, int64_t i) {
  if (w->op == OP_depthwise_conv) return i % w->outs / (w->outs / w->channels);
  if (w->op == OP_fully_connected) return i % w->s->d[1] % w->channels;
  const int64_t each = w->s->d[3], group = i / (w->n / w->group);
  return group * each + i % each;
}

static void largest(const Walk *w, const float *x, int64_t (*channel)(const Walk *, int64_t), float *most) {
  memset(most, 0, (size_t)w->channels * sizeof *most);
  for (int64_t i = 0; i < w->n; i++) {
    const int64_t c = channel(w, i);
    most[c] = fmaxf(most[c], fabsf(x[i]));
  }
}

/* One pair balanced; returns the largest change, as a logarithm. */
static float balance(Equalize *e, PairOf *p) {
  const Node *a = &e->g->nodes[p->first], *b = &e->g->nodes[p->second];
  const Walk wa = walk_of(e->g, a, p->channels), wb = walk_of(e->g, b, p->channels);
  float *w1 = copy_of(e, a->in[1]), *w2 = copy_of(e, b->in[1]),
        *b1 = a->n_in > 2 ? copy_of(e, a->in[2]) : NULL;
  float *r1 = mem_array((size_t)p->channels, sizeof *r1), *r2 = mem_array((size_t)p->channels, sizeof *r2),
        change = 0;
  largest(&wa, w1, made_by, r1);
  largest(&wb, w2, read_by, r2);
  for (int64_t c = 0; c < p->channels; c++) {
    const float from = p->seen ? p->seen[c] : r1[c];
    const bool dead = !(from > 0) || !(r1[c] > 0) || !(r2[c] > 0);
    const float s = dead ? 1 : sqrtf(from / r2[c]);
    r1[c] = s > 1e-4f && s < 1e4f ? s : 1;
    change = fmaxf(change, fabsf(logf(r1[c])));
    if (p->seen) p->seen[c] /= r1[c];
    if (b1) b1[c] /= r1[c];
  }
  for (int64_t i = 0; i < wa.n; i++) w1[i] /= r1[made_by(&wa, i)];
  for (int64_t i = 0; i < wb.n; i++) w2[i] *= r1[read_by(&wb, i)];
  mem_free(r1);
  mem_free(r2);
  return change;
}

static bool see_activations(Equalize *e, uint32_t images, Diag *d) {
  bool *want = mem_array(e->g->n_vals, sizeof *want);
  float **most = mem_array(e->g->n_vals, sizeof *most);
  for (int i = 0; i < e->n; i++) want[e->g->nodes[e->pairs[i].first].out[0]] = true;
  const bool ok = calibrate_channels(e->g, e->ctx->data, images, e->ctx->host, want, most, d);
  for (int i = 0; i < e->n; i++) e->pairs[i].seen = most[e->g->nodes[e->pairs[i].first].out[0]];
  mem_free(most);
  mem_free(want);
  return ok;
}

/* ---- the pass */

typedef struct Params {
  bool activations;
  uint32_t images;
} Params;

static bool parse(const PassCtx *ctx, Params *p, Diag *d) {
  const bool data = ctx->data && ctx->data->train.n > 0;
  char by[32];
  bool bad = false;
  snprintf(by, sizeof by, "%s", data ? "activations" : "weights");
  pass_param(ctx->params, "by", by, sizeof by);
  const double images = pass_param_num(ctx->params, "images", 512, &bad);
  p->activations = strcmp(by, "activations") == 0;
  FAIL_IF(!p->activations && strcmp(by, "weights") != 0, d, NULL,
          "equalize: by=%s, want activations or weights", by);
  FAIL_IF(bad || !(images >= 1 && images < 1e9), d, NULL, "equalize: want images=N of at least 1");
  FAIL_IF(p->activations && !data, d, NULL, "equalize: by=activations needs calibration images");
  p->images = (uint32_t)images;
  return true;
}

static Graph *with_data(const Equalize *e) {
  Graph *out = graph_clone(e->g);
  for (ValId v = 1; v < e->g->n_vals; v++) {
    if (!e->data[v]) continue;
    Value *x = graph_val(out, v);
    const size_t bytes = blob_size(x->blob);
    blob_unref(x->blob);
    x->blob = blob_adopt(e->data[v], bytes);
  }
  return out;
}

Graph *pass_equalize(const Graph *g, const PassCtx *ctx, Diag *d) {
  Params p = {0};
  if (!parse(ctx, &p, d)) return NULL;
  Arena *a = arena_new();
  Equalize e = {.g = g, .ctx = ctx, .uses = graph_uses(g, a)};
  e.data = arena_array(a, g->n_vals, sizeof *e.data);
  e.pairs = arena_array(a, g->n_nodes + 1, sizeof *e.pairs);
  find_pairs(&e);
  const bool ok = e.n == 0 || !p.activations || see_activations(&e, p.images, d);
  float change = 1;
  for (int round = 0; ok && round < ROUNDS && change > 1e-3f; round++) {
    change = 0;
    for (int i = 0; i < e.n; i++) change = fmaxf(change, balance(&e, &e.pairs[i]));
  }
  for (int i = 0; i < e.n; i++) mem_free(e.pairs[i].seen);
  Graph *out = ok ? with_data(&e) : NULL;
  arena_free(a);
  return out;
}
