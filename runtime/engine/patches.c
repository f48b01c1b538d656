/* See patches.h. */
#include "runtime/engine/patches.h"

#include <string.h>

static void window(Layer *l, const Ints *strides, const Ints *dilations, const Ints *pads) {
  for (int i = 0; i < 2; i++)
    l->stride[i] = strides->v[i], l->dil[i] = dilations->v[i], l->pad[i] = pads->v[i];
}

static void image_layer(Layer *l) {
  const Shape *x = &graph_val(l->g, l->n->in[0])->shape, *y = &graph_val(l->g, l->n->out[0])->shape,
              *w = &graph_val(l->g, l->n->in[1])->shape;
  l->h = x->d[1], l->w = x->d[2], l->c = x->d[3], l->oh = y->d[1], l->ow = y->d[2], l->o = y->d[3];
  l->kh = w->d[1], l->kw = w->d[2];
  l->innermost = l->n->op == OP_depthwise_conv;
  if (l->innermost) {
    const depthwise_conv_attrs *a = CATTRS(l->n, depthwise_conv);
    window(l, &a->strides, &a->dilations, &a->pads);
    l->groups = l->c;
  } else {
    const conv_attrs *a = CATTRS(l->n, conv);
    window(l, &a->strides, &a->dilations, &a->pads);
    l->groups = a->group;
  }
}

static void vector_layer(Layer *l) {
  const Shape *x = &graph_val(l->g, l->n->in[0])->shape, *w = &graph_val(l->g, l->n->in[1])->shape;
  l->innermost = l->n->op == OP_matmul;
  l->c = x->d[x->rank - 1];
  l->h = l->oh = x->rank > 2 ? shape_count_range(x, 1, x->rank - 1) : 1;
  l->w = l->ow = l->kh = l->kw = l->groups = 1;
  l->o = w->d[l->innermost ? 1 : 0];
  for (int i = 0; i < 2; i++) l->stride[i] = l->dil[i] = 1;
}

static bool is_image(const Node *n) { return n->op == OP_conv || n->op == OP_depthwise_conv; }

bool layer_view(Layer *l, const Graph *g, NodeId k) {
  const Node *n = &g->nodes[k];
  *l = (Layer){.g = g, .n = n};
  if (!is_image(n) && n->op != OP_fully_connected && n->op != OP_matmul) return false;
  l->bias = n->n_in > 2 && n->in[2] != NO_VAL;
  for (uint32_t i = 1; i < n->n_in; i++)
    if (n->in[i] != NO_VAL && (!val_is_const(g, n->in[i]) || graph_val(g, n->in[i])->dtype != DT_F32))
      return false;
  const Value *x = graph_val(g, n->in[0]);
  if (x->dtype != DT_F32 || val_is_const(g, n->in[0]) || x->shape.rank < 2) return false;
  if (n->op == OP_matmul && graph_val(g, n->in[1])->shape.rank != 2) return false;
  if (is_image(n))
    image_layer(l);
  else
    vector_layer(l);
  l->ins = l->c / l->groups, l->outs = l->o / l->groups;
  l->taps = l->kh * l->kw * l->ins;
  return true;
}

static int32_t act_of(const Node *n) {
  if (n->op == OP_conv) return CATTRS(n, conv)->act;
  if (n->op == OP_depthwise_conv) return CATTRS(n, depthwise_conv)->act;
  return n->op == OP_fully_connected ? CATTRS(n, fully_connected)->act : ACT_NONE;
}

const char *layer_fixed(const Layer *l) {
  if (act_of(l->n) != ACT_NONE) return "a fused activation: want it apart";
  Arena *a = arena_new();
  const uint32_t *uses = graph_uses(l->g, a);
  bool alone = uses[l->n->in[1]] == 1 && (!l->bias || uses[l->n->in[2]] == 1);
  arena_free(a);
  return alone ? NULL : "weights that others read too";
}

void layer_patch(const Layer *l, const float *x, int64_t p, int64_t group, float *row) {
  int64_t oy = p / l->ow, ox = p % l->ow;
  for (int64_t ky = 0; ky < l->kh; ky++)
    for (int64_t kx = 0; kx < l->kw; kx++, row += l->ins) {
      int64_t y = oy * l->stride[0] + ky * l->dil[0] - l->pad[0],
              at = ox * l->stride[1] + kx * l->dil[1] - l->pad[1];
      if (y >= 0 && y < l->h && at >= 0 && at < l->w)
        memcpy(row, x + (y * l->w + at) * l->c + group * l->ins, (size_t)l->ins * sizeof *row);
      else
        memset(row, 0, (size_t)l->ins * sizeof *row);
    }
}

float *layer_weight(const Layer *l, float *w, float *b, int64_t group, int64_t u, int64_t k) {
  int64_t o = group * l->outs + k;
  if (u == l->taps) return &b[o];
  return l->innermost ? &w[u * l->o + o] : &w[o * l->taps + u];
}
