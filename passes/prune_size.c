/* Estimated cost of a graph of which some units are gone.
 *
 * State: how many channels of each value are still there; all else follows in one walk over the nodes.
 *   MACs, parameters   channels in x channels out x taps x positions, exactly
 *   flash              weights in the deployed precision; int8: bias, multiplier and shift per output channel
 *   RAM                values between the node that makes them and the last that reads them. Views, unary
 *                      elementwise operators and BatchNormalization (fused later) take no room of their own, an
 *                      elementwise sum takes that of an operand that dies there.
 * The memory planner of the back end may do better; who uses this asks it before believing.
 */
#include "passes/prune_size.h"

#include <string.h>

#include "ir/base/mem.h"

typedef struct Part {
  ValId v;
  uint32_t n; /* channels of v that belong to the unit */
} Part;

typedef struct Span {
  uint32_t first, last; /* nodes during which a buffer is alive */
  bool used;
} Span;

struct Sizer {
  const Channels *c;
  Arena *arena;
  double bytes, per_out; /* deployed: of one element; of one output channel's tables */
  uint32_t *kept;        /* [n_vals] channels there */
  Part **parts;          /* [n_units], ended by v == NO_VAL */
  ValId *buffer;         /* [n_vals] the value whose memory v lies in; NO_VAL: constants */
  Span *span;            /* [n_vals] of buffers */
  double *live;          /* [n_nodes + 1] */
};

/* ---- units as parts of values */

static void parts_build(Sizer *s) {
  const Channels *c = s->c;
  uint32_t *count = arena_array(s->arena, c->n_units, sizeof *count),
           *seen = arena_array(s->arena, c->n_units, sizeof *seen);
  s->parts = arena_array(s->arena, c->n_units, sizeof *s->parts);
  for (int fill = 0; fill < 2; fill++) {
    for (uint32_t u = 0; fill && u < c->n_units; u++)
      s->parts[u] = arena_array(s->arena, (size_t)count[u] + 1, sizeof(Part));
    memset(count, 0, c->n_units * sizeof *count);
    memset(seen, 0, c->n_units * sizeof *seen);
    for (ValId v = 1; v < c->graph->n_vals; v++) {
      for (uint32_t i = 0; c->unit[v] && i < channels_extent(c, v); i++) {
        uint32_t u = c->unit[v][i];
        if (u == CHAN_FIXED) continue;
        if (seen[u] != v) seen[u] = v, count[u]++;
        if (fill) s->parts[u][count[u] - 1].v = v, s->parts[u][count[u] - 1].n++;
      }
    }
  }
}

/* ---- buffers */

static bool is_unary_in_place(const Node *n) {
  if (n->op == OP_batch_normalization || n->op == OP_reshape) return true;
  return (op_info(n->op)->traits & T_ELEMENTWISE) && n->n_in == 1;
}

/* May the output of node i lie in the memory of input v, which nothing reads later? */
static bool dies_into(const Sizer *s, const Graph *g, NodeId i, ValId v) {
  ValId b = s->buffer[v];
  return b != NO_VAL && g->vals[b].def != NO_NODE && s->span[b].last == i &&
         shape_equal(&g->vals[v].shape, &g->vals[g->nodes[i].out[0]].shape);
}

static ValId buffer_of(const Sizer *s, const Graph *g, NodeId i) {
  const Node *n = &g->nodes[i];
  if (n->op == OP_reshape || (is_unary_in_place(n) && dies_into(s, g, i, n->in[0])))
    return s->buffer[n->in[0]];
  if ((op_info(n->op)->traits & T_ELEMENTWISE) && n->n_in == 2) {
    for (int k = 0; k < 2; k++)
      if (dies_into(s, g, i, n->in[k])) return s->buffer[n->in[k]];
  }
  return n->out[0];
}

/* A buffer's end moves back as more values come to lie in it, so first every value has the end of its own
 * readers, and a buffer takes the latest of its values. */
static void buffers_build(Sizer *s) {
  const Graph *g = s->c->graph;
  uint32_t *last = arena_array(s->arena, g->n_vals, sizeof *last);
  for (NodeId i = 0; i < g->n_nodes; i++)
    for (uint32_t k = 0; k < g->nodes[i].n_in; k++) last[g->nodes[i].in[k]] = i;
  for (uint32_t i = 0; i < g->n_outputs; i++) last[g->outputs[i]] = g->n_nodes;
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    ValId v = g->inputs[i];
    s->buffer[v] = v;
    s->span[v] = (Span){0, last[v], true};
  }
  for (NodeId i = 0; i < g->n_nodes; i++) {
    ValId y = g->nodes[i].out[0], b = buffer_of(s, g, i);
    s->buffer[y] = b;
    if (b == NO_VAL) continue; /* a view of a constant */
    if (b == y) s->span[b] = (Span){i, last[y], true};
    if (last[y] > s->span[b].last) s->span[b].last = last[y];
  }
}

Sizer *sizer_new(const Channels *c, DType precision) {
  Arena *a = arena_new();
  Sizer *s = arena_alloc(a, sizeof *s);
  uint32_t n = c->graph->n_vals;
  *s = (Sizer){.c = c, .arena = a, .bytes = (double)dtype_size(precision)};
  s->per_out = precision == DT_I8 ? 9 : 4;
  s->kept = arena_array(a, n, sizeof *s->kept);
  s->buffer = arena_array(a, n, sizeof *s->buffer);
  s->span = arena_array(a, n, sizeof *s->span);
  s->live = arena_array(a, (size_t)c->graph->n_nodes + 2, sizeof *s->live);
  for (ValId v = 1; v < n; v++) s->kept[v] = channels_extent(c, v);
  parts_build(s);
  buffers_build(s);
  return s;
}

void sizer_free(Sizer *s) {
  if (s) arena_free(s->arena);
}

void sizer_remove(Sizer *s, uint32_t u) {
  for (const Part *p = s->parts[u]; p->v != NO_VAL; p++) s->kept[p->v] -= p->n;
}

void sizer_restore(Sizer *s, uint32_t u) {
  for (const Part *p = s->parts[u]; p->v != NO_VAL; p++) s->kept[p->v] += p->n;
}

/* ---- the walk */

/* Share of value v that is still there. */
static double share(const Sizer *s, ValId v) {
  uint32_t n = channels_extent(s->c, v);
  return n ? (double)s->kept[v] / n : 1;
}

/* The weights of a layer shrink with its output, and with its input where it mixes channels. */
static double weight_share(const Sizer *s, const Node *n) {
  double out = share(s, n->out[0]);
  bool mixes = n->op == OP_fully_connected || (n->op == OP_conv && CATTRS(n, conv)->group == 1);
  bool innermost = s->c->axis[n->in[0]] == graph_val(s->c->graph, n->in[0])->shape.rank - 1;
  return mixes && innermost ? out * share(s, n->in[0]) : out;
}

static bool is_layer(const Node *n) {
  return n->op == OP_conv || n->op == OP_depthwise_conv || n->op == OP_fully_connected;
}

/* Does a constant operand shrink with the node's output? Those of BatchNormalization and biases do, and
 * operands with one entry per channel. */
static bool follows_out(const Sizer *s, const Node *n, ValId v) {
  if (n->op == OP_batch_normalization) return true;
  int axis = s->c->axis[n->out[0]];
  const Shape *y = &graph_val(s->c->graph, n->out[0])->shape, *x = &graph_val(s->c->graph, v)->shape;
  int at = axis - (y->rank - x->rank);
  return (op_info(n->op)->traits & T_ELEMENTWISE) && axis >= 0 && at >= 0 && x->d[at] == y->d[axis];
}

static void add_constants(const Sizer *s, const Node *n, Sizes *z) {
  const Graph *g = s->c->graph;
  double out = share(s, n->out[0]);
  for (uint32_t k = 0; k < n->n_in; k++) {
    if (!val_is_const(g, n->in[k])) continue;
    double count = (double)shape_count(&graph_val(g, n->in[k])->shape);
    if (is_layer(n))
      count *= k == 1 ? weight_share(s, n) : out;
    else if (follows_out(s, n, n->in[k]))
      count *= out;
    z->v[RES_PARAMS] += count;
    if (n->op == OP_batch_normalization || (is_layer(n) && k == 2)) continue; /* fused, or counted below */
    z->v[RES_FLASH] += count * s->bytes;
  }
  if (is_layer(n)) z->v[RES_FLASH] += s->per_out * s->kept[n->out[0]];
}

static void add_ram(Sizer *s, Sizes *z) {
  const Graph *g = s->c->graph;
  memset(s->live, 0, ((size_t)g->n_nodes + 2) * sizeof *s->live);
  for (ValId v = 1; v < g->n_vals; v++) {
    if (!s->span[v].used) continue;
    double bytes = (double)shape_count(&g->vals[v].shape) * share(s, v) * s->bytes;
    s->live[s->span[v].first] += bytes;
    s->live[s->span[v].last + 1] -= bytes;
  }
  for (NodeId i = 0; i <= g->n_nodes; i++) {
    if (i > 0) s->live[i] += s->live[i - 1];
    if (s->live[i] > z->v[RES_RAM]) z->v[RES_RAM] = s->live[i], z->peak = i;
  }
}

Sizes sizer_sizes(Sizer *s) {
  const Graph *g = s->c->graph;
  Sizes z = {0};
  for (NodeId i = 0; i < g->n_nodes; i++) {
    const Node *n = &g->nodes[i];
    double macs = (double)node_macs(g, n);
    if (macs > 0) z.v[RES_MACS] += macs * (is_layer(n) ? weight_share(s, n) : 1);
    add_constants(s, n, &z);
  }
  z.v[RES_CYCLES] = z.v[RES_MACS];
  add_ram(s, &z);
  return z;
}

double sizer_live(const Sizer *s, NodeId n) { return s->live[n]; }
