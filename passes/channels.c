/* Channel dependencies: a union-find over the channels of all values.
 *
 * Walking the nodes in order, every axis of every value gets a label for each index along it, or stays whole (images'
 * rows, the graph's inputs). Layers with weights make fresh labels (channels_layer.c); other operators hand labels on
 * or unite them (channels_each.c, channels_move.c):
 *
 *   elementwise, pools, BatchNormalization   same labels; two operands of equal extent: united pairwise
 *   DepthwiseConv, multiplier m              output o has the label of input o / m
 *   Concat, Slice, Pad along the channels    labels side by side, a part of them, fresh ones around them
 *   MatMul of two values                     united along the axis that is summed over
 *   states                                   what comes next is united with what is now
 *
 * Labels that reach the graph's inputs or outputs, or an operator that mixes channels without weights, are
 * frozen with the reason. What is never united may be removed alone. Removing a unit means: every consumer
 * that sums over channels (a layer with weights, MatMul, ReduceSum) reads nothing from it any more. Since other
 * operators never let one channel reach another, what the channel itself would have held does not matter.
 * Compare: Fang et al. 2023, DepGraph (arXiv:2301.12900), which does this for layers instead of channels.
 *
 * A Reshape may leave a choice (to [T,H,D]: entries of each head, or heads). The innermost axis is taken, and where
 * what it reads must stay then, the choice with which most layers can be narrowed: whole groups before a
 * GroupNormalization, which averages within each.
 */
#include "passes/channels.h"

#include <string.h>

#include "ir/base/mem.h"
#include "passes/channels_find.h"

const char *node_label(const Graph *g, const Node *n) {
  if (n->loc.name && *n->loc.name) return n->loc.name;
  const char *name = graph_val(g, n->out[0])->name;
  return name && *name ? name : op_info(n->op)->name;
}

uint32_t channels_extent(const Channels *c, ValId v) {
  int32_t axis = c->axis[v];
  return axis < 0 ? 0 : (uint32_t)graph_val(c->graph, v)->shape.d[axis];
}

int chan_layer_axis(const Graph *g, const Node *n) {
  const int rank = graph_val(g, n->out[0])->shape.rank;
  switch (n->op) {
  case OP_conv:
  case OP_depthwise_conv:
  case OP_conv_transpose:
  case OP_fully_connected:
  case OP_lstm:
  case OP_gru:
  case OP_rnn:
  case OP_seq_lstm:
  case OP_svdf_state: return rank - 1;
  case OP_matmul: return val_is_const(g, n->in[1]) ? rank - 1 : val_is_const(g, n->in[0]) ? rank - 2 : -1;
  case OP_gather:
    return val_is_const(g, n->in[0]) && !val_is_const(g, n->in[1]) && graph_val(g, n->in[0])->shape.rank > 1
               ? rank - 1
               : -1;
  default: return -1;
  }
}

/* ---- the walk */

static CoupleFn *const couple[OP_COUNT] = {
    [OP_conv] = couple_conv,
    [OP_conv_transpose] = couple_conv,
    [OP_depthwise_conv] = couple_depthwise_conv,
    [OP_fully_connected] = couple_fully_connected,
    [OP_matmul] = couple_matmul,
    [OP_lstm] = couple_cell,
    [OP_gru] = couple_cell,
    [OP_rnn] = couple_cell,
    [OP_seq_lstm] = couple_seq_lstm,
    [OP_svdf_state] = couple_svdf_state,
    [OP_svdf] = couple_svdf,
    [OP_batch_normalization] = couple_batch_normalization,
    [OP_max_pool] = couple_pool,
    [OP_max_pool_index] = couple_pool,
    [OP_average_pool] = couple_pool,
    [OP_reduce_mean] = couple_mean,
    [OP_reduce_prod] = couple_mean,
    [OP_reduce_max] = couple_mean,
    [OP_reduce_min] = couple_mean,
    [OP_reduce_log_sum_exp] = couple_mean,
    [OP_reduce_sum] = couple_sum,
    [OP_reduce_sum_square] = couple_sum,
    [OP_softmax] = couple_axis_op,
    [OP_cum_sum] = couple_axis_op,
    [OP_top_k] = couple_axis_op,
    [OP_arg_max] = couple_axis_op,
    [OP_arg_min] = couple_axis_op,
    [OP_weighted_gather] = couple_axis_op,
    [OP_trilu] = couple_trilu,
    [OP_fake_quant] = couple_same,
    [OP_transpose] = couple_transpose,
    [OP_expand] = couple_expand,
    [OP_reshape] = couple_reshape,
    [OP_concat] = couple_concat,
    [OP_pad] = couple_pad,
    [OP_slice] = couple_slice,
    [OP_gather] = couple_gather,
};

static void freeze_value(Finder *f, ValId v, const char *why) {
  if (v == NO_VAL || val_is_const(f->g, v)) return;
  for (int a = 0; a < graph_val(f->g, v)->shape.rank; a++)
    chan_freeze(f, chan_of(f, v, a), chan_extent(f, v, a), why);
}

static void fix_value(Finder *f, ValId v, const char *why) {
  for (int a = 0; a < graph_val(f->g, v)->shape.rank; a++) chan_fix(f, v, a, why);
}

/* What keeps an axis of n's inputs; NULL: nothing that is known. */
static const char *why_inputs_stay(const Finder *f, const Node *n) {
  for (uint32_t k = 0; k < n->n_in; k++) {
    if (n->in[k] == NO_VAL || val_is_const(f->g, n->in[k])) continue;
    for (int a = 0; a < graph_val(f->g, n->in[k])->shape.rank; a++)
      if (!chan_of(f, n->in[k], a)->lab && chan_of(f, n->in[k], a)->why) return chan_of(f, n->in[k], a)->why;
  }
  return NULL;
}

/* Axes that the operator says nothing of stay, for the reason that its inputs do. */
static void fix_unset(Finder *f, const Node *n) {
  const char *why = why_inputs_stay(f, n);
  for (int a = 0; a < graph_val(f->g, n->out[0])->shape.rank; a++)
    if (!f->val[n->out[0]].axis[a].set) chan_fix(f, n->out[0], a, why);
}

static void couple_node(Finder *f, const Node *n) {
  CoupleFn *fn = couple[n->op];
  if (!fn && (op_info(n->op)->traits & T_ELEMENTWISE)) fn = couple_elementwise;
  const char *what = fn ? fn(f, n) : "mixes channels";
  if (!what) {
    fix_unset(f, n);
    return;
  }
  const char *why = chan_why(f, n, what);
  for (uint32_t k = 0; k < n->n_in; k++) freeze_value(f, n->in[k], why);
  freeze_value(f, n->out[0], why);
  fix_value(f, n->out[0], why);
}

static void begin_states(Finder *f) {
  for (uint32_t i = 0; i < f->g->n_states; i++)
    for (int a = 0; a < graph_val(f->g, f->g->states[i].now)->shape.rank; a++)
      chan_fresh(f, f->g->states[i].now, a);
}

static void end_states(Finder *f) {
  for (uint32_t i = 0; i < f->g->n_states; i++) {
    const GraphState *s = &f->g->states[i];
    for (int a = 0; a < graph_val(f->g, s->now)->shape.rank; a++)
      chan_tie(f, chan_of(f, s->now, a), chan_of(f, s->next, a), chan_extent(f, s->now, a));
  }
}

/* ---- what must stay */

static bool names_match(const Graph *g, const Node *n, const char *name, size_t len) {
  const char *own[2] = {n->loc.name, graph_val(g, n->out[0])->name};
  for (int i = 0; i < 2; i++)
    if (own[i] && strlen(own[i]) == len && memcmp(own[i], name, len) == 0) return true;
  return false;
}

static bool freeze_named(Finder *f, const char *keep, Diag *d) {
  while (keep && *keep) {
    size_t len = strcspn(keep, ";");
    bool found = len == 0;
    for (NodeId i = 0; i < f->g->n_nodes; i++) {
      const Node *n = &f->g->nodes[i];
      if (!names_match(f->g, n, keep, len)) continue;
      found = true;
      freeze_value(f, n->out[0], arena_printf(f->c->arena, "\"%.*s\" is to be kept", (int)len, keep));
    }
    FAIL_IF(!found, d, NULL, "keep: the graph \"%s\" has no layer \"%.*s\"", f->g->name ? f->g->name : "",
            (int)len, keep);
    keep += len + (keep[len] == ';');
  }
  return true;
}

/* ---- layers */

/* May unit u go: not one of so few that all of them stay? */
static bool may_go(const Channels *c, uint32_t u) {
  return u != CHAN_FIXED && c->groups[c->group_of[u]].n > c->groups[c->group_of[u]].least;
}

static const char *reason_of(Finder *f, const ChanAxis *ax, uint32_t k) {
  if (!ax->lab) return ax->why ? ax->why : "nothing in it can be pruned";
  const char *why = f->labels[label_root(f, ax->lab[k])].frozen;
  return why ? why : "they can only go together with all others";
}

static void layers_list(Finder *f) {
  Channels *c = f->c;
  c->layers = arena_array(c->arena, f->g->n_nodes, sizeof *c->layers);
  for (NodeId i = 0; i < f->g->n_nodes; i++) {
    const Node *n = &f->g->nodes[i];
    const int axis = chan_layer_axis(f->g, n);
    if (axis < 0) continue;
    const uint32_t *unit = c->along[n->out[0]].axis[axis];
    ChanLayer *l = &c->layers[c->n_layers++];
    *l = (ChanLayer){.node = i, .name = arena_strdup(c->arena, node_label(f->g, n)), .axis = axis};
    l->channels = chan_extent(f, n->out[0], axis);
    for (uint32_t k = 0; k < l->channels; k++) {
      if (unit && may_go(c, unit[k]))
        l->prunable++;
      else if (!l->reason)
        l->reason = reason_of(f, &f->val[n->out[0]].axis[axis], k);
    }
  }
}

/* ---- the whole */

static bool graph_is_float(const Graph *g, Diag *d) {
  for (NodeId i = 0; i < g->n_nodes; i++) {
    const Value *v = graph_val(g, g->nodes[i].out[0]);
    FAIL_IF(v->quant.n > 0, d, &g->nodes[i].loc,
            "channels can be removed from a float graph only: this output is %s, quantized",
            dtype_name(v->dtype));
  }
  return true;
}

/* One walk, with the choices as they stand; f is empty. */
static bool walk(Finder *f, const char *keep, Diag *d) {
  const Graph *g = f->g;
  f->arena = arena_new();
  f->val = arena_array(f->arena, g->n_vals, sizeof *f->val);
  f->weights = arena_array(f->arena, g->n_vals, sizeof *f->weights);
  f->use = arena_array(f->arena, g->n_nodes, sizeof(ChanUse *));
  for (uint32_t i = 0; i < g->n_inputs; i++) fix_value(f, g->inputs[i], "they go with the graph's input");
  begin_states(f);
  for (NodeId i = 0; i < g->n_nodes; i++) couple_node(f, &g->nodes[i]);
  end_states(f);
  for (uint32_t i = 0; i < g->n_outputs; i++) freeze_value(f, g->outputs[i], "they are the graph's output");
  return freeze_named(f, keep, d);
}

static void walk_end(Finder *f) {
  arena_free(f->arena);
  f->n = 0;
}

/* Whether node id, a Reshape with a choice, has input labels of which none may go. */
static bool chose_badly(Finder *f, NodeId id) {
  const ValId x = f->g->nodes[id].in[0];
  bool labels = false;
  for (int a = 0; a < graph_val(f->g, x)->shape.rank; a++) {
    const ChanAxis *ax = chan_of(f, x, a);
    for (uint32_t i = 0; ax->lab && i < chan_extent(f, x, a); i++) {
      if (!f->labels[label_root(f, ax->lab[i])].frozen) return false;
      labels = true;
    }
  }
  return labels;
}

/* Layers of which something may go. */
static uint32_t layers_free(Finder *f) {
  uint32_t n = 0;
  for (NodeId i = 0; i < f->g->n_nodes; i++) {
    const Node *node = &f->g->nodes[i];
    const int axis = chan_layer_axis(f->g, node);
    const ChanAxis *ax = axis < 0 ? NULL : &f->val[node->out[0]].axis[axis];
    bool any = false;
    for (uint32_t k = 0; ax && ax->lab && k < chan_extent(f, node->out[0], axis) && !any; k++)
      any = !f->labels[label_root(f, ax->lab[k])].frozen;
    n += any;
  }
  return n;
}

/* Settle the choices one after the other; f holds a walk with them afterwards. */
static bool walk_choosing(Finder *f, const char *keep, Diag *d) {
  TRY(walk(f, keep, d));
  uint32_t most = layers_free(f);
  for (NodeId i = 0; i < f->g->n_nodes; i++) {
    if (f->choices[i] < 2 || !chose_badly(f, i)) continue;
    uint8_t best = 0;
    for (uint8_t k = 1; k < f->choices[i]; k++) {
      f->choice[i] = k;
      walk_end(f);
      TRY(walk(f, keep, d));
      if (layers_free(f) > most) most = layers_free(f), best = k;
    }
    f->choice[i] = best;
    walk_end(f);
    TRY(walk(f, keep, d));
  }
  return true;
}

bool channels_find(const Graph *g, const char *keep, Channels *out, Diag *d) {
  *out = (Channels){.arena = arena_new(), .graph = g};
  out->axis = arena_array(out->arena, g->n_vals, sizeof *out->axis);
  out->unit = arena_array(out->arena, g->n_vals, sizeof *out->unit);
  out->along = arena_array(out->arena, g->n_vals, sizeof *out->along);
  out->operand = arena_array(out->arena, g->n_nodes, sizeof *out->operand);
  for (ValId v = 0; v < g->n_vals; v++) out->axis[v] = -1;
  TRY(graph_is_float(g, d));
  Finder f = {.g = g, .c = out};
  f.choice = arena_array(out->arena, g->n_nodes, 1);
  f.choices = arena_array(out->arena, g->n_nodes, 1);
  bool ok = walk_choosing(&f, keep, d);
  if (ok) {
    chan_units(&f);
    layers_list(&f);
  }
  walk_end(&f);
  mem_free(f.labels);
  return ok;
}

void channels_free(Channels *c) {
  arena_free(c->arena);
  *c = (Channels){0};
}

/* The layers that make a group's units. */
static void print_makers(const Channels *c, uint32_t group, StrBuf *out) {
  enum { NAMED = 4 };
  uint32_t n = 0;
  for (uint32_t i = 0; i < c->n_layers; i++) {
    const ChanLayer *l = &c->layers[i];
    const uint32_t *unit = c->along[c->graph->nodes[l->node].out[0]].axis[l->axis];
    bool makes = false;
    for (uint32_t k = 0; unit && k < l->channels && !makes; k++)
      makes = unit[k] != CHAN_FIXED && c->group_of[unit[k]] == group;
    if (makes && n++ < NAMED) sb_printf(out, "%s%s", n > 1 ? ", " : " of ", l->name);
  }
  if (n > NAMED) sb_printf(out, " and %u more", n - NAMED);
}

void channels_print(const Channels *c, StrBuf *out) {
  for (uint32_t i = 0; i < c->n_groups; i++) {
    const ChanGroup *g = &c->groups[i];
    sb_printf(out, "group %u \"%s\": %u units", i, g->name, g->n);
    if (g->least > 1) sb_printf(out, ", at least %u stay", g->least);
    print_makers(c, i, out);
    sb_putc(out, '\n');
  }
  for (uint32_t i = 0; i < c->n_layers; i++) {
    const ChanLayer *l = &c->layers[i];
    if (l->reason)
      sb_printf(out, "layer \"%s\": %u of %u channels stay: %s\n", l->name, l->channels - l->prunable,
                l->channels, l->reason);
  }
}
