/* Families: graphs that must be one but for widths, compared node by node, and their constants found in the widest's.
 *
 * Weights are found by content: a slice is one whose codes are equal, whatever made them.
 */
#include "ir/family.h"

#include <string.h>

static const char *label(const Value *v) { return v->name ? v->name : "?"; }

/* -- structure -- */

/* Values by what computes them: graph input number i, output o of node k, a constant, nothing. */
typedef struct Origin {
  char kind; /* 'i', 'n', 'c', '-' */
  uint32_t at, out;
} Origin;

static Origin origin_of(const Graph *g, ValId v) {
  if (v == NO_VAL) return (Origin){.kind = '-'};
  if (val_is_const(g, v)) return (Origin){.kind = 'c'};
  const Node *n = graph_def(g, v);
  Origin x = {n ? 'n' : 'i', n ? (uint32_t)(n - g->nodes) : 0, 0};
  while (n && n->out[x.out] != v) x.out++;
  while (!n && x.at < g->n_inputs && g->inputs[x.at] != v) x.at++;
  return x;
}

static bool same_origin(const Graph *a, ValId x, const Graph *b, ValId y) {
  const Origin p = origin_of(a, x), q = origin_of(b, y);
  return p.kind == q.kind && p.at == q.at && p.out == q.out;
}

/* Shapes among the attributes of what moves elements follow the widths. */
static bool same_attrs(const Node *a, const Node *b) {
  const OpInfo *info = op_info(a->op);
  for (int i = 0; i < info->n_attrs; i++) {
    const bool widths = (info->traits & (T_VIEW | T_MOVE)) && info->attrs[i].kind == ATTR_INTS;
    if (!widths && !attr_equal(&info->attrs[i], a->attrs, b->attrs)) return false;
  }
  return true;
}

static bool same_node(const Graph *wide, const Graph *g, NodeId k, int variant, Diag *d) {
  const Node *a = &wide->nodes[k], *b = &g->nodes[k];
  FAIL_IF(a->op != b->op || a->n_in != b->n_in || a->n_out != b->n_out, d, &b->loc,
          "family: variant %d: node %u is %s, the widest's is %s", variant, k, op_info(b->op)->name,
          op_info(a->op)->name);
  FAIL_IF(!same_attrs(a, b), d, &b->loc, "family: variant %d: attributes of node %u are not the widest's",
          variant, k);
  for (uint32_t i = 0; i < a->n_in; i++)
    FAIL_IF(!same_origin(wide, a->in[i], g, b->in[i]), d, &b->loc,
            "family: variant %d: input %u of node %u is not what the widest reads there", variant, i, k);
  for (uint32_t i = 0; i < a->n_out; i++) {
    const Value *x = graph_val(wide, a->out[i]), *y = graph_val(g, b->out[i]);
    bool fits = x->dtype == y->dtype && x->shape.rank == y->shape.rank;
    for (int r = 0; fits && r < x->shape.rank; r++) fits = y->shape.d[r] <= x->shape.d[r];
    FAIL_IF(!fits, d, &b->loc, "family: variant %d: \"%s\" is larger than the widest's, or of another type",
            variant, label(y));
  }
  return true;
}

static bool same_end(const Graph *wide, ValId a, const Graph *g, ValId b, int variant, Diag *d) {
  const Value *x = graph_val(wide, a), *y = graph_val(g, b);
  FAIL_IF(!same_origin(wide, a, g, b) || x->dtype != y->dtype || !shape_equal(&x->shape, &y->shape), d, NULL,
          "family: variant %d: \"%s\" is an input or output, and not of the widest's type and shape", variant,
          label(y));
  FAIL_IF(!quant_equal(&x->quant, &y->quant), d, NULL,
          "family: variant %d: \"%s\" is an input or output, and not of the widest's scale and zero point",
          variant, label(y));
  return true;
}

static bool same_structure(const Graph *wide, const Graph *g, int variant, Diag *d) {
  FAIL_IF(g->n_states, d, NULL, "family: variant %d: it has state, which a family cannot have yet", variant);
  FAIL_IF(g->n_nodes != wide->n_nodes || g->n_inputs != wide->n_inputs || g->n_outputs != wide->n_outputs, d,
          NULL, "family: variant %d: %u nodes, %u inputs, %u outputs; the widest has %u, %u, %u", variant,
          g->n_nodes, g->n_inputs, g->n_outputs, wide->n_nodes, wide->n_inputs, wide->n_outputs);
  for (NodeId k = 0; k < g->n_nodes; k++) TRY(same_node(wide, g, k, variant, d));
  for (uint32_t i = 0; i < g->n_inputs; i++)
    TRY(same_end(wide, wide->inputs[i], g, g->inputs[i], variant, d));
  for (uint32_t i = 0; i < g->n_outputs; i++)
    TRY(same_end(wide, wide->outputs[i], g, g->outputs[i], variant, d));
  return true;
}

/* -- constants -- */

bool family_is_weights(const Node *n, uint32_t input) {
  return input == 1 && (n->op == OP_conv || n->op == OP_depthwise_conv || n->op == OP_conv_transpose ||
                        n->op == OP_fully_connected);
}

/* Weights as [outs][taps][each]; FullyConnected has one tap. */
static void extents(const Node *n, const Shape *s, int64_t e[3]) {
  const int last = s->rank - 1;
  e[0] = s->d[0];
  e[1] = shape_count_range(s, 1, last);
  e[2] = s->d[last];
  if (n->op == OP_depthwise_conv) e[1] *= e[0], e[0] = 1;
}

bool family_extents(const Node *n, const Shape *wide, const Shape *val, FamilySlice *s) {
  int64_t e[3], w[3];
  if (wide->rank != val->rank) return false;
  extents(n, val, e);
  extents(n, wide, w);
  s->outs = e[0], s->taps = e[1], s->each = e[2];
  s->out_stride = w[1] * w[2], s->tap_stride = w[2];
  return e[0] <= w[0] && e[1] == w[1] && e[2] <= w[2];
}

static bool equal_slice(const Value *wide, const Value *val, const FamilySlice *s) {
  const size_t size = dtype_size(val->dtype);
  const char *w = blob_data(wide->blob), *v = blob_data(val->blob);
  for (int64_t o = 0; o < s->outs; o++) {
    for (int64_t t = 0; t < s->taps; t++) {
      const char *at = w + size * (size_t)(o * s->out_stride + t * s->tap_stride);
      if (memcmp(v + size * (size_t)((o * s->taps + t) * s->each), at, size * (size_t)s->each) != 0)
        return false;
    }
  }
  return true;
}

/* A constant as a whole. */
static void find_equal(const Value *wide, const Value *val, FamilySlice *s) {
  s->shared = wide->dtype == val->dtype && shape_equal(&wide->shape, &val->shape) &&
              memcmp(blob_data(wide->blob), blob_data(val->blob), blob_size(val->blob)) == 0;
  s->outs = s->taps = 1;
  s->each = s->out_stride = s->tap_stride = shape_count(&val->shape);
}

static bool find_const(Family *f, int variant, NodeId k, uint32_t input, Diag *d) {
  const Graph *wide = f->graphs[0], *g = f->graphs[variant];
  const Node *n = &g->nodes[k];
  if (!val_is_const(g, n->in[input])) return true;
  FamilySlice *s = &f->slice[variant][f->first[k] + input];
  *s = (FamilySlice){.val = n->in[input], .wide = wide->nodes[k].in[input]};
  const Value *a = graph_val(wide, s->wide), *b = graph_val(g, s->val);
  if (!family_is_weights(n, input)) {
    find_equal(a, b, s);
    return true;
  }
  s->shared = a->dtype == b->dtype && family_extents(n, &a->shape, &b->shape, s) && equal_slice(a, b, s);
  const bool codes = b->dtype == DT_I8 || b->dtype == DT_I4;
  FAIL_IF(codes && !s->shared, d, &n->loc,
          "family: variant %d: weights \"%s\" are no slice of the widest's: another order of channels, or "
          "other codes",
          variant, label(b));
  return true;
}

static bool find_consts(Family *f, int variant, Diag *d) {
  const Graph *g = f->graphs[variant];
  for (NodeId k = 0; k < g->n_nodes; k++)
    for (uint32_t i = 0; i < g->nodes[k].n_in; i++) TRY(find_const(f, variant, k, i, d));
  return true;
}

bool family_check(const Graph *const *graphs, int n, Family *out, Diag *d) {
  *out = (Family){.arena = arena_new(), .n = n};
  FAIL_IF(n < 1 || n > FAMILY_MAX, d, NULL, "family: %d variants, want 1 to %d", n, FAMILY_MAX);
  const Graph **copy = arena_array(out->arena, (size_t)n, sizeof *copy);
  memcpy(copy, graphs, (size_t)n * sizeof *copy);
  out->graphs = copy;
  const Graph *wide = graphs[0];
  uint32_t inputs = 0;
  out->first = arena_array(out->arena, wide->n_nodes, sizeof *out->first);
  for (NodeId k = 0; k < wide->n_nodes; k++) {
    out->first[k] = inputs;
    inputs += wide->nodes[k].n_in;
  }
  out->slice = arena_array(out->arena, (size_t)n, sizeof *out->slice);
  for (int i = 0; i < n; i++) {
    out->slice[i] = arena_array(out->arena, inputs, sizeof **out->slice);
    TRY(same_structure(wide, graphs[i], i, d) && find_consts(out, i, d));
  }
  return true;
}

void family_free(Family *f) {
  arena_free(f->arena);
  *f = (Family){0};
}

const FamilySlice *family_slice(const Family *f, int variant, NodeId node, uint32_t input) {
  return &f->slice[variant][f->first[node] + input];
}
