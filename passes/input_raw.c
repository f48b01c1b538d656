/* input_raw: the graph takes bytes as the sensor gives them; normalisation goes into the first layer.
 *
 *   before   x = scale[c] * byte + offset[c] (by the data's design) -> [Mul, Add, ... by constants] -> Conv
 *   after    byte (u8 or i8, quantization scale 1, zero point -k) -> Dequantize: byte + k -> Conv with other weights
 *
 * With a[c] * byte + b[c] the whole of what happens before the first layer:
 *   no padding, or b == 0   w' = w a, bias' = bias + sum w b, k = 0                          exact
 *   b[c] / a[c] = k, an integer and the same for all channels                                exact
 *                           w' = w a: a padded 0 is byte -k, which is what it was before
 *   else                    a DepthwiseConv 1x1 with weights a, bias b stands before it      exact; costs H W C
 *                           multiplications and a tensor of the input's size. Folding b here would change the
 *                           pixels at the border, where padding must stay normalised 0, not byte 0.
 *
 * Run it when retraining is done, behind bnfuse and fuse. input_raw_normalize says how to feed the result.
 */
#include "passes/input_raw.h"

#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "passes/pass.h"

PassFn pass_input_raw;

/* a[c] * x + b[c] along the innermost axis. */
typedef struct Line {
  int64_t n;
  double *a, *b;
} Line;

typedef struct Raw {
  const Graph *g;
  Rewrite r;
  DType bytes;
  Line line;
  ValId at;           /* the value that the line gives */
  const Node *reader; /* what reads it, if one node alone does */
  bool *done;         /* [n_vals] what the line, and the layer it went into, compute */
  double shift;       /* k */
} Raw;

Normalize input_raw_normalize(const Graph *g, DType bytes) {
  const Value *x = graph_val(g, g->inputs[0]);
  int zero = x->quant.n ? x->quant.zero[0] : 0;
  if (x->dtype == DT_I8 && bytes == DT_U8) zero += 128; /* quantize moved the codes down */
  return (Normalize){.n = 1, .scale = {x->quant.n ? x->quant.scale[0] : 1}, .offset = {(float)-zero}};
}

/* ---- what happens before the first layer */

static const Node *only_reader(const Graph *g, ValId v) {
  const Node *found = NULL;
  if (graph_is_result(g, v)) return NULL;
  for (NodeId i = 0; i < g->n_nodes; i++) {
    for (uint32_t k = 0; k < g->nodes[i].n_in; k++) {
      if (g->nodes[i].in[k] != v) continue;
      if (found) return NULL;
      found = &g->nodes[i];
    }
  }
  return found;
}

/* A float constant with one element, or one for each channel: element c. false: anything else. */
static bool channel_const(const Graph *g, ValId v, int64_t n, const float **x, int64_t *step) {
  if (!val_is_const(g, v) || graph_val(g, v)->dtype != DT_F32) return false;
  const Shape *s = &graph_val(g, v)->shape;
  int64_t count = shape_count(s);
  if (count != 1 && !(count == n && s->d[s->rank - 1] == n)) return false;
  *x = val_data(g, v);
  *step = count == 1 ? 0 : 1;
  return true;
}

/* Follow an affine node behind the line: a' = k a, b' = k b + m. */
static bool follow_binary(const Graph *g, const Node *n, Line *l, ValId at) {
  const float *c;
  int64_t step;
  bool first = n->in[0] == at;
  if (n->op != OP_add && n->op != OP_sub && n->op != OP_mul && n->op != OP_div) return false;
  if (n->op == OP_div && !first) return false;
  if (n->op == OP_add && CATTRS(n, add)->act != ACT_NONE) return false;
  if (n->op == OP_sub && CATTRS(n, sub)->act != ACT_NONE) return false;
  if (n->op == OP_mul && CATTRS(n, mul)->act != ACT_NONE) return false;
  if (!channel_const(g, n->in[first ? 1 : 0], l->n, &c, &step)) return false;
  if (!shape_equal(&graph_val(g, at)->shape, &graph_val(g, n->out[0])->shape)) return false;
  for (int64_t i = 0; i < l->n; i++) {
    double v = (double)c[i * step], k = 1, m = 0;
    if (n->op == OP_add) m = v;
    if (n->op == OP_sub) k = first ? 1 : -1, m = first ? -v : v;
    if (n->op == OP_mul) k = v;
    if (n->op == OP_div) k = 1 / v;
    l->a[i] *= k;
    l->b[i] = l->b[i] * k + m;
  }
  return true;
}

static bool follow_bn(const Graph *g, const Node *n, Line *l) {
  if (n->op != OP_batch_normalization) return false;
  const float *p[4];
  for (int i = 0; i < 4; i++) {
    int64_t step;
    if (!channel_const(g, n->in[i + 1], l->n, &p[i], &step)) return false;
  }
  if (CATTRS(n, batch_normalization)->axis != graph_val(g, n->in[0])->shape.rank - 1) return false;
  for (int64_t i = 0; i < l->n; i++) {
    double k = (double)p[0][i] / sqrt((double)p[3][i] + (double)CATTRS(n, batch_normalization)->epsilon);
    l->b[i] = (l->b[i] - (double)p[2][i]) * k + (double)p[1][i];
    l->a[i] *= k;
  }
  return true;
}

static bool line_begin(Raw *w, const Dataset *ds, Diag *d) {
  const Graph *g = w->g;
  const Value *x = graph_val(g, g->inputs[0]);
  const Normalize *nz = &ds->spec.normalize;
  Loc loc = {.file = g->name, .name = x->name};
  w->bytes = ds->train.dtype;
  FAIL_IF(g->n_inputs != 1, d, &loc, "input_raw: the graph has %u inputs, want 1", g->n_inputs);
  FAIL_IF(x->dtype != DT_F32 || x->shape.rank < 2, d, &loc,
          "input_raw: the input is %s, want f32 with channels", dtype_name(x->dtype));
  FAIL_IF(w->bytes != DT_U8 && w->bytes != DT_I8, d, &loc,
          "input_raw: the data are %s, want bytes (u8 or i8)", dtype_name(w->bytes));
  int64_t n = x->shape.d[x->shape.rank - 1];
  if (nz->n > 1 && nz->n != n) {
    diag_error(d, &loc,
               "input_raw: normalisation is for %d channels, but the input's innermost axis has %lld", nz->n,
               (long long)n);
    diag_hint(d, "take images channels last: layout{input=nhwc}");
    return false;
  }
  w->line = (Line){n, mem_array((size_t)n, sizeof(double)), mem_array((size_t)n, sizeof(double))};
  for (int64_t c = 0; c < n; c++) {
    int at = nz->n > 1 ? (int)c : 0;
    w->line.a[c] = nz->n ? (double)nz->scale[at] : 1;
    w->line.b[c] = nz->n ? (double)nz->offset[at] : 0;
  }
  return true;
}

static void follow_line(Raw *w) {
  w->at = w->g->inputs[0];
  w->reader = only_reader(w->g, w->at);
  while (w->reader &&
         (follow_binary(w->g, w->reader, &w->line, w->at) || follow_bn(w->g, w->reader, &w->line))) {
    w->at = w->reader->out[0];
    w->done[w->at] = true;
    w->reader = only_reader(w->g, w->at);
  }
}

/* ---- into the first layer */

static bool has_pads(const Node *n) {
  const Ints *p = n->op == OP_conv             ? &CATTRS(n, conv)->pads
                  : n->op == OP_depthwise_conv ? &CATTRS(n, depthwise_conv)->pads
                                               : NULL;
  for (int i = 0; p && i < p->n; i++)
    if (p->v[i]) return true;
  return false;
}

static bool is_layer(const Graph *g, const Node *n) {
  if (!n) return false;
  bool layer = (n->op == OP_conv && CATTRS(n, conv)->group == 1) || n->op == OP_depthwise_conv ||
               n->op == OP_fully_connected;
  return layer && val_is_const(g, n->in[1]) && (n->n_in < 3 || val_is_const(g, n->in[2]));
}

/* Is b / a the same integer for all channels, and -b / a a byte? */
static bool common_shift(const Line *l, DType bytes, double *k) {
  for (int64_t c = 0; c < l->n; c++) {
    double at = l->b[c] / l->a[c], near = round(at);
    if (l->a[c] == 0 || fabs(at - near) > 1e-3 || (c > 0 && near != *k)) return false;
    *k = near;
  }
  double zero = -*k;
  return bytes == DT_U8 ? zero >= 0 && zero <= 255 : zero >= -128 && zero <= 127;
}

typedef enum How { INTO_LAYER, INTO_LAYER_SHIFTED, BEFORE } How;

static How how_to_fold(Raw *w) {
  bool zero = true;
  for (int64_t c = 0; c < w->line.n; c++) zero = zero && w->line.b[c] == 0;
  w->shift = 0;
  if (!is_layer(w->g, w->reader)) return BEFORE;
  if (zero || !has_pads(w->reader)) return INTO_LAYER;
  return common_shift(&w->line, w->bytes, &w->shift) ? INTO_LAYER_SHIFTED : BEFORE;
}

/* Input and output channel of element e of the layer's weights. */
static int64_t in_channel(const Node *n, const Shape *s, const Line *l, int64_t e) {
  return n->op == OP_depthwise_conv ? e % s->d[3] / (s->d[3] / l->n) : e % s->d[s->rank - 1];
}

static int64_t out_channel(const Node *n, const Shape *s, int64_t e) {
  return n->op == OP_depthwise_conv ? e % s->d[3] : e / (shape_count(s) / s->d[0]);
}

/* The layer with weights w a and bias + sum w (b - a k). */
static ValId fold_layer(Raw *w, ValId x, Diag *d) {
  const Node *n = w->reader;
  const Value *old = graph_val(w->g, n->in[1]);
  const Shape *s = &old->shape;
  int64_t count = shape_count(s), outs = n->op == OP_depthwise_conv ? s->d[3] : s->d[0];
  const float *from = val_data(w->g, n->in[1]), *bias = n->n_in > 2 ? val_data(w->g, n->in[2]) : NULL;
  float *nw = mem_alloc_aligned((size_t)count * sizeof *nw, 64),
        *nb = mem_alloc_aligned((size_t)outs * sizeof *nb, 64);
  double *sum = mem_array((size_t)outs, sizeof *sum);
  bool shifted = false;
  for (int64_t e = 0; e < count; e++) {
    int64_t c = in_channel(n, s, &w->line, e);
    double rest = w->shift != 0 ? 0 : w->line.b[c]; /* shifted: b = a k, nothing is left */
    nw[e] = (float)((double)from[e] * w->line.a[c]);
    sum[out_channel(n, s, e)] += (double)from[e] * rest;
    shifted = shifted || rest != 0;
  }
  for (int64_t o = 0; o < outs; o++) nb[o] = (float)((bias ? (double)bias[o] : 0) + sum[o]);
  mem_free(sum);
  Shape bs = shape_of(1, outs);
  bool has_bias = bias || shifted;
  ValId in[3] = {x, graph_const(w->r.to, old->name, DT_F32, s, blob_adopt(nw, (size_t)count * sizeof *nw))};
  if (has_bias)
    in[2] = graph_const(w->r.to, old->name, DT_F32, &bs, blob_adopt(nb, (size_t)outs * sizeof *nb));
  if (!has_bias) mem_free(nb);
  Loc loc = n->loc;
  loc.pass = "input_raw";
  return graph_node(w->r.to, n->op, n->attrs, in, has_bias ? 3 : 2, graph_val(w->g, n->out[0])->name, &loc,
                    d);
}

/* The line as a layer of its own. */
static ValId put_layer(Raw *w, ValId x, Diag *d) {
  const Value *in = graph_val(w->g, w->g->inputs[0]);
  Loc loc = {.file = w->g->name, .name = in->name, .pass = "input_raw"};
  int64_t n = w->line.n;
  if (in->shape.rank != 4) {
    diag_error(
        d, &loc,
        "input_raw: the input has %d dimensions and is not read by one layer alone: want an image [N,H,W,C]",
        (int)in->shape.rank);
    return NO_VAL;
  }
  float *a = mem_alloc_aligned((size_t)n * sizeof *a, 64), *b = mem_alloc_aligned((size_t)n * sizeof *b, 64);
  for (int64_t c = 0; c < n; c++) a[c] = (float)w->line.a[c], b[c] = (float)w->line.b[c];
  Shape ws = shape_of(4, (int64_t)1, (int64_t)1, (int64_t)1, n), bs = shape_of(1, n);
  ValId ins[3] = {x, graph_const(w->r.to, "normalize", DT_F32, &ws, blob_adopt(a, (size_t)n * sizeof *a)),
                  graph_const(w->r.to, "normalize", DT_F32, &bs, blob_adopt(b, (size_t)n * sizeof *b))};
  return graph_node(w->r.to, OP_depthwise_conv, NULL, ins, 3, graph_val(w->g, w->at)->name, &loc, d);
}

/* The byte input and its real value. */
static ValId put_input(Raw *w, Diag *d) {
  Graph *to = w->r.to;
  Value *x = graph_val(to, to->inputs[0]);
  Loc loc = {.file = w->g->name, .name = x->name, .pass = "input_raw"};
  const float one = 1;
  int32_t zero = (int32_t)-w->shift;
  x->dtype = w->bytes;
  graph_set_quant(to, to->inputs[0], 1, 0, &one, &zero);
  return graph_node1(to, OP_dequantize, NULL, to->inputs[0], x->name, &loc, d);
}

static bool is_identity(const Line *l) {
  for (int64_t c = 0; c < l->n; c++)
    if (l->a[c] != 1 || l->b[c] != 0) return false;
  return true;
}

static bool rewrite_raw(Raw *w, Diag *d) {
  How how = how_to_fold(w);
  ValId x = put_input(w, d), y = x, last = how == BEFORE ? w->at : w->reader->out[0];
  if (x != NO_VAL && how != BEFORE) y = fold_layer(w, x, d);
  if (x != NO_VAL && how == BEFORE && !is_identity(&w->line)) y = put_layer(w, x, d);
  if (y == NO_VAL) return false;
  w->r.map[last] = y;
  w->done[last] = true;
  for (NodeId i = 0; i < w->g->n_nodes; i++)
    if (!w->done[w->g->nodes[i].out[0]]) TRY(rewrite_copy(&w->r, &w->g->nodes[i], d));
  return true;
}

Graph *pass_input_raw(const Graph *g, const PassCtx *ctx, Diag *d) {
  if (!ctx->data) {
    diag_error(d, NULL, "input_raw: no data, of which to know the bytes and their normalisation");
    return NULL;
  }
  Raw w = {.g = g, .done = mem_array(g->n_vals, sizeof(bool))};
  Graph *done = NULL;
  if (line_begin(&w, ctx->data, d)) {
    follow_line(&w);
    rewrite_begin(&w.r, g, NULL);
    bool ok = rewrite_raw(&w, d);
    done = rewrite_end(&w.r, ok, d);
  }
  mem_free(w.line.a);
  mem_free(w.line.b);
  mem_free(w.done);
  return done;
}

bool input_raw_takes_bytes(const Graph *g) {
  const Value *in = graph_val(g, g->inputs[0]);
  return in->quant.n == 1 && in->quant.scale[0] == 1;
}

bool input_raw_feed(const Graph *g, DType stored, const Normalize *design, Normalize *out, Diag *d) {
  *out = *design;
  if (g->n_inputs != 1 || !input_raw_takes_bytes(g)) return true;
  if (stored == DT_U8 || stored == DT_I8) {
    *out = input_raw_normalize(g, stored);
    return true;
  }
  /* Codes of real numbers from 0 to 255, as they are, are the same codes. */
  FAIL_IF(design->n > 0, d, NULL,
          "the model takes bytes as they are stored; the design's data are %s, which it normalizes",
          dtype_name(stored));
  return true;
}
