/* fuse: activations and biases into the operator before them, zero padding into the convolution behind it.
 *
 *   Conv -> Relu            becomes Conv {act=relu}        (float; the value between has no other reader)
 *   FullyConnected -> Add [O]      becomes FullyConnected with a bias     (float; as ONNX has it over more than two axes)
 *   Pad (zeros, H and W) -> Conv   becomes Conv with larger pads   (float and int8: padding is real 0)
 *   Pad -> Transpose -> Conv       the same, as NCHW models have it
 *
 * Clip to [0,6] is relu6, to [-1,1] relu_n1_to_1; other limits stay. In int8 graphs an activation has its own
 * quantization, so that fusing it would round elsewhere: those are left alone.
 */
#include "passes/pass.h"

#include <math.h>

PassFn pass_fuse;

/* Where an operator keeps its fused activation; NULL: it has none. */
static int32_t *act_of(const Node *n) {
  switch (n->op) {
  case OP_conv: return &ATTRS(n, conv)->act;
  case OP_depthwise_conv: return &ATTRS(n, depthwise_conv)->act;
  case OP_fully_connected: return &ATTRS(n, fully_connected)->act;
  case OP_add: return &ATTRS(n, add)->act;
  case OP_sub: return &ATTRS(n, sub)->act;
  case OP_mul: return &ATTRS(n, mul)->act;
  default: return NULL;
  }
}

static Act act_as_fused(const Node *n) {
  if (n->op == OP_relu) return ACT_RELU;
  if (n->op != OP_clip) return ACT_NONE;
  const clip_attrs *c = CATTRS(n, clip);
  if (c->lo == 0 && c->hi == 6) return ACT_RELU6;
  if (c->lo == 0 && isinf(c->hi)) return ACT_RELU;
  return c->lo == -1 && c->hi == 1 ? ACT_RELU_N1_TO_1 : ACT_NONE;
}

/* True when n was fused into the new node that makes its input. */
static bool fuse_act(Rewrite *r, const Node *n, const uint32_t *uses) {
  Act act = act_as_fused(n);
  const Graph *g = r->from;
  if (act == ACT_NONE || uses[n->in[0]] != 1 || graph_val(g, n->in[0])->dtype != DT_F32) return false;
  ValId x = rewrite_val(r, n->in[0]);
  const Node *before = graph_def(r->to, x);
  int32_t *slot = before ? act_of(before) : NULL;
  if (!slot || *slot != ACT_NONE) return false;
  *slot = (int32_t)act;
  graph_val(r->to, x)->name =
      graph_val(g, n->out[0])->name ? arena_strdup(r->to->arena, graph_val(g, n->out[0])->name) : NULL;
  r->map[n->out[0]] = x;
  return true;
}

/* The operand of Add n that is a bias [O] for the FullyConnected that alone makes the other one; NO_VAL: none. */
static ValId bias_of(const Graph *g, const Node *n, const uint32_t *uses, const Node **product) {
  for (uint32_t k = 0; n->op == OP_add && k < 2; k++) {
    const Node *fc = graph_def(g, n->in[k]);
    const Value *b = graph_val(g, n->in[1 - k]), *y = graph_val(g, n->out[0]);
    if (!fc || fc->op != OP_fully_connected || uses[n->in[k]] != 1 || y->dtype != DT_F32) continue;
    if ((fc->n_in > 2 && fc->in[2] != NO_VAL) || CATTRS(fc, fully_connected)->act != ACT_NONE) continue;
    if (!val_is_const(g, n->in[1 - k]) || b->shape.rank != 1 ||
        b->shape.d[0] != y->shape.d[y->shape.rank - 1])
      continue;
    *product = fc;
    return n->in[1 - k];
  }
  return NO_VAL;
}

static bool fuse_bias(Rewrite *r, const Node *n, const uint32_t *uses, Diag *d, bool *ok) {
  const Node *fc = NULL;
  const ValId bias = bias_of(r->from, n, uses, &fc);
  if (bias == NO_VAL) return false;
  const Value *old = graph_val(r->from, n->out[0]);
  const fully_connected_attrs attrs = {.act = CATTRS(n, add)->act};
  const ValId in[3] = {rewrite_val(r, fc->in[0]), rewrite_val(r, fc->in[1]), rewrite_val(r, bias)};
  const ValId y = graph_node(r->to, OP_fully_connected, &attrs, in, 3, old->name, &fc->loc, d);
  *ok = y != NO_VAL;
  r->map[n->out[0]] = y;
  return true;
}

/* Zeros around H and W alone? Then their extents, top left bottom right. turn: the Transpose behind, NULL: none. */
static bool spatial_zeros(const Node *n, const Node *turn, int64_t out[4]) {
  const pad_attrs *p = CATTRS(n, pad);
  if (n->op != OP_pad || p->value != 0 || p->pads.n != 8) return false;
  int64_t v[8];
  for (int i = 0; i < 8; i++) v[i] = p->pads.v[turn ? i / 4 * 4 + CATTRS(turn, transpose)->perm.v[i % 4] : i];
  if (v[0] || v[3] || v[4] || v[7]) return false;
  out[0] = v[1], out[1] = v[2], out[2] = v[5], out[3] = v[6];
  return true;
}

/* The Pad before n; *turn: the Transpose between, or NULL. NULL: there is none, or what is between has other readers. */
static const Node *pad_before(const Graph *g, const Node *n, const uint32_t *uses, const Node **turn) {
  const Node *before = graph_def(g, n->in[0]);
  *turn = NULL;
  if (before && before->op == OP_transpose && uses[n->in[0]] == 1 && uses[before->in[0]] == 1) {
    *turn = before;
    before = graph_def(g, before->in[0]);
  }
  return before && before->op == OP_pad ? before : NULL;
}

/* The value that the Pad got, turned. */
static ValId unpadded(Rewrite *r, const Node *pad, const Node *turn, Diag *d) {
  ValId x = rewrite_val(r, pad->in[0]);
  return turn ? graph_node1(r->to, OP_transpose, turn->attrs, x, graph_val(r->from, turn->out[0])->name,
                            &turn->loc, d)
              : x;
}

/* True when the Pad before n was taken into n's own pads. */
static bool fuse_pad(Rewrite *r, const Node *n, const uint32_t *uses, Diag *d, bool *ok) {
  if (n->op != OP_conv && n->op != OP_depthwise_conv) return false;
  const Graph *g = r->from;
  const Node *turn, *before = pad_before(g, n, uses, &turn);
  int64_t extra[4];
  if (!before || !spatial_zeros(before, turn, extra)) return false;
  if (!quant_equal(&graph_val(g, before->in[0])->quant, &graph_val(g, n->in[0])->quant)) return false;
  union {
    conv_attrs conv;
    depthwise_conv_attrs depthwise;
  } attrs;
  Ints *pads;
  if (n->op == OP_conv) {
    attrs.conv = *CATTRS(n, conv);
    pads = &attrs.conv.pads;
  } else {
    attrs.depthwise = *CATTRS(n, depthwise_conv);
    pads = &attrs.depthwise.pads;
  }
  for (int i = 0; i < 4; i++) pads->v[i] += extra[i];
  ValId x = unpadded(r, before, turn, d);
  *ok = x != NO_VAL;
  if (!*ok) return true;
  ValId in[3] = {x, rewrite_val(r, n->in[1]), n->n_in > 2 ? rewrite_val(r, n->in[2]) : NO_VAL};
  const Value *old = graph_val(g, n->out[0]);
  ValId y = graph_node(r->to, n->op, &attrs, in, n->n_in, old->name, &n->loc, d);
  *ok = y != NO_VAL;
  if (!*ok) return true;
  if (old->quant.n)
    graph_set_quant(r->to, y, old->quant.n, old->quant.axis, old->quant.scale, old->quant.zero);
  r->map[n->out[0]] = y;
  return true;
}

Graph *pass_fuse(const Graph *g, const PassCtx *ctx, Diag *d) {
  (void)ctx;
  Arena *a = arena_new();
  const uint32_t *uses = graph_uses(g, a);
  Rewrite r;
  bool ok = true;
  rewrite_begin(&r, g, NULL);
  for (uint32_t i = 0; ok && i < g->n_nodes; i++) {
    const Node *n = &g->nodes[i];
    if (fuse_act(&r, n, uses) || fuse_bias(&r, n, uses, d, &ok) || fuse_pad(&r, n, uses, d, &ok)) continue;
    ok = rewrite_copy(&r, n, d);
  }
  arena_free(a);
  return rewrite_end(&r, ok, d);
}
