/* Estimated cost of a graph of which some units are gone.
 *
 * State: how many entries of each value and constant are still there, axis by axis; all else follows in one walk.
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

/* What loses entries along its axes: values 0 .. n_vals-1, then constants as nodes read them. */
typedef struct Part {
  uint32_t piece; /* NO_PIECE ends a list */
  int axis;
  uint32_t n; /* entries that belong to the unit */
} Part;

#define NO_PIECE UINT32_MAX

typedef struct Piece {
  const ChanUnits *units;
  const Shape *shape;
  uint32_t kept[MAX_RANK];
  uint32_t like,
      before; /* of a use: the first of its constant that loses the same, and the one before it (0: none) */
} Piece;

typedef struct Span {
  uint32_t first, last; /* nodes during which a buffer is alive */
  bool used;
} Span;

struct Sizer {
  const Channels *c;
  Arena *arena;
  double bytes, per_out; /* deployed: of one element; of one output channel's tables */
  Piece *pieces;
  uint32_t n_pieces;
  uint32_t *operands; /* [n_nodes] piece of the first input; of those behind: one after the other */
  Part **parts;       /* [n_units], ended by NO_PIECE */
  bool *seen;         /* [n_pieces] constants counted already: by value where nothing goes, else by use */
  ValId *buffer;      /* [n_vals] the value whose memory v lies in; NO_VAL: constants */
  Span *span;         /* [n_vals] of buffers */
  double *live;       /* [n_nodes + 1] */
};

/* ---- units as parts of values and constants */

static bool units_equal(const Piece *x, const Piece *y) {
  for (int a = 0; a < x->shape->rank; a++) {
    const uint32_t *p = x->units->axis[a], *q = y->units->axis[a];
    if (p != q && (!p || !q || memcmp(p, q, (size_t)x->shape->d[a] * sizeof *p) != 0)) return false;
  }
  return true;
}

/* Which uses of one constant lose the same. */
static void uses_build(Sizer *s) {
  const Graph *g = s->c->graph;
  uint32_t *last = arena_array(s->arena, g->n_vals, sizeof *last);
  for (NodeId i = 0; i < g->n_nodes; i++)
    for (uint32_t k = 0; k < g->nodes[i].n_in; k++) {
      const ValId v = g->nodes[i].in[k];
      const uint32_t piece = s->operands[i] + k;
      Piece *p = &s->pieces[piece];
      if (!val_is_const(g, v)) continue;
      uint32_t other = last[v];
      while (other && !units_equal(&s->pieces[other], p)) other = s->pieces[other].before;
      p->like = other ? s->pieces[other].like : piece;
      p->before = last[v];
      last[v] = piece;
    }
}

static void pieces_build(Sizer *s) {
  const Channels *c = s->c;
  const Graph *g = c->graph;
  uint32_t n = g->n_vals;
  s->operands = arena_array(s->arena, g->n_nodes, sizeof *s->operands);
  for (NodeId i = 0; i < g->n_nodes; i++) s->operands[i] = n, n += g->nodes[i].n_in;
  s->n_pieces = n;
  s->pieces = arena_array(s->arena, n, sizeof *s->pieces);
  for (ValId v = 1; v < g->n_vals; v++)
    s->pieces[v] = (Piece){.units = &c->along[v], .shape = &g->vals[v].shape};
  for (NodeId i = 0; i < g->n_nodes; i++)
    for (uint32_t k = 0; k < g->nodes[i].n_in; k++)
      s->pieces[s->operands[i] + k] =
          (Piece){.units = &c->operand[i][k], .shape = &g->vals[g->nodes[i].in[k]].shape};
  for (uint32_t i = 1; i < n; i++)
    for (int a = 0; a < s->pieces[i].shape->rank; a++) {
      int64_t d = s->pieces[i].shape->d[a];
      s->pieces[i].kept[a] = d > 0 ? (uint32_t)d : 0;
    }
}

/* Count the parts of each unit, or write them down. */
static void parts_walk(Sizer *s, uint32_t *count, uint64_t *seen, bool fill) {
  for (uint32_t p = 1; p < s->n_pieces; p++)
    for (int a = 0; a < s->pieces[p].shape->rank; a++) {
      const uint32_t *unit = s->pieces[p].units->axis[a];
      for (uint32_t i = 0; unit && i < s->pieces[p].kept[a]; i++) {
        const uint32_t u = unit[i];
        const uint64_t here = (uint64_t)p * MAX_RANK + (uint64_t)a;
        if (u == CHAN_FIXED) continue;
        if (seen[u] != here) seen[u] = here, count[u]++;
        if (!fill) continue;
        Part *part = &s->parts[u][count[u] - 1];
        part->piece = p, part->axis = a, part->n++;
      }
    }
}

static void parts_build(Sizer *s) {
  const uint32_t n = s->c->n_units;
  uint32_t *count = arena_array(s->arena, n, sizeof *count);
  uint64_t *seen = arena_array(s->arena, n, sizeof *seen);
  s->parts = arena_array(s->arena, n, sizeof *s->parts);
  parts_walk(s, count, seen, false);
  for (uint32_t u = 0; u < n; u++) {
    s->parts[u] = arena_array(s->arena, (size_t)count[u] + 1, sizeof(Part));
    s->parts[u][count[u]].piece = NO_PIECE;
    count[u] = 0, seen[u] = 0;
  }
  parts_walk(s, count, seen, true);
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
  s->buffer = arena_array(a, n, sizeof *s->buffer);
  s->span = arena_array(a, n, sizeof *s->span);
  s->live = arena_array(a, (size_t)c->graph->n_nodes + 2, sizeof *s->live);
  pieces_build(s);
  uses_build(s);
  s->seen = arena_array(a, s->n_pieces, sizeof *s->seen);
  parts_build(s);
  buffers_build(s);
  return s;
}

void sizer_free(Sizer *s) {
  if (s) arena_free(s->arena);
}

void sizer_remove(Sizer *s, uint32_t u) {
  for (const Part *p = s->parts[u]; p->piece != NO_PIECE; p++) s->pieces[p->piece].kept[p->axis] -= p->n;
}

void sizer_restore(Sizer *s, uint32_t u) {
  for (const Part *p = s->parts[u]; p->piece != NO_PIECE; p++) s->pieces[p->piece].kept[p->axis] += p->n;
}

/* ---- the walk */

/* Share of an axis, counted from the end where negative, that is still there; of all elements. */
static double axis_share(const Sizer *s, uint32_t piece, int a) {
  const Piece *p = &s->pieces[piece];
  if (a < 0) a += p->shape->rank;
  return p->units->axis[a] ? (double)p->kept[a] / (double)p->shape->d[a] : 1;
}

static double share(const Sizer *s, uint32_t piece) {
  double x = 1;
  for (int a = 0; a < s->pieces[piece].shape->rank; a++) x *= axis_share(s, piece, a);
  return x;
}

/* The piece of node i's input k: a value's, or a constant's as it is read there. */
static uint32_t input_piece(const Sizer *s, NodeId i, uint32_t k) {
  const ValId v = s->c->graph->nodes[i].in[k];
  return val_is_const(s->c->graph, v) ? s->operands[i] + k : v;
}

/* What is left of a node's MACs: see node_macs. */
static double macs_share(const Sizer *s, NodeId i) {
  const Node *n = &s->c->graph->nodes[i];
  const double out = share(s, n->out[0]), x = share(s, input_piece(s, i, 0));
  const uint32_t w = input_piece(s, i, 1);
  switch (n->op) {
  case OP_conv: return out * axis_share(s, w, 3);
  case OP_depthwise_conv: return out;
  case OP_fully_connected: return out * axis_share(s, w, 1);
  case OP_conv_transpose: /* groups: the input's channels over those of each */
    return x * axis_share(s, w, 0) / (axis_share(s, input_piece(s, i, 0), 3) / axis_share(s, w, 3));
  case OP_lstm:
  case OP_gru:
  case OP_rnn: return x * axis_share(s, w, 1);
  default: return out * axis_share(s, input_piece(s, i, 0), -1);
  }
}

static bool is_layer(const Node *n) {
  return n->op == OP_conv || n->op == OP_depthwise_conv || n->op == OP_fully_connected;
}

/* What loses nothing is one constant for all its readers, and so is what they cut alike. */
static bool counted(Sizer *s, NodeId i, uint32_t k, double left) {
  const uint32_t piece = left >= 1
                             ? s->c->graph->nodes[i].in[k]
                             : s->pieces[s->operands[i] + k].like; /* a constant's value has no other use */
  if (s->seen[piece]) return true;
  s->seen[piece] = true;
  return false;
}

static void add_constants(Sizer *s, NodeId i, Sizes *z) {
  const Graph *g = s->c->graph;
  const Node *n = &g->nodes[i];
  for (uint32_t k = 0; k < n->n_in; k++) {
    if (!val_is_const(g, n->in[k])) continue;
    const double left = share(s, s->operands[i] + k);
    if (counted(s, i, k, left)) continue;
    const double count = (double)shape_count(&g->vals[n->in[k]].shape) * left;
    z->v[RES_PARAMS] += count;
    if (n->op == OP_batch_normalization || (is_layer(n) && k == 2)) continue; /* fused, or counted below */
    z->v[RES_FLASH] += count * s->bytes;
  }
  if (is_layer(n))
    z->v[RES_FLASH] += s->per_out * s->pieces[n->out[0]].kept[graph_val(g, n->out[0])->shape.rank - 1];
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
  memset(s->seen, 0, s->n_pieces * sizeof *s->seen);
  for (NodeId i = 0; i < g->n_nodes; i++) {
    const Node *n = &g->nodes[i];
    double macs = (double)node_macs(g, n);
    if (macs > 0) z.v[RES_MACS] += macs * macs_share(s, i);
    add_constants(s, i, &z);
  }
  z.v[RES_CYCLES] = z.v[RES_MACS];
  add_ram(s, &z);
  return z;
}

double sizer_live(const Sizer *s, NodeId n) { return s->live[n]; }

uint32_t sizer_kept(const Sizer *s, NodeId n, uint32_t k, int axis) {
  return s->pieces[input_piece(s, n, k)].kept[axis];
}

double sizer_per_output(const Sizer *s) { return s->per_out; }

/* ---- node by node */

static bool alive(const Sizer *s, ValId v, NodeId n) {
  return s->span[v].used && s->span[v].first <= n && n <= s->span[v].last;
}

void sizer_node(Sizer *s, NodeId n, double v[RES_COUNT]) {
  const Graph *g = s->c->graph;
  Sizes z = {0};
  double macs = (double)node_macs(g, &g->nodes[n]);
  memset(s->seen, 0, s->n_pieces * sizeof *s->seen);
  if (macs > 0) z.v[RES_MACS] = z.v[RES_CYCLES] = macs * macs_share(s, n);
  add_constants(s, n, &z);
  for (ValId x = 1; x < g->n_vals; x++)
    if (alive(s, x, n)) z.v[RES_RAM] += (double)shape_count(&g->vals[x].shape) * share(s, x) * s->bytes;
  memcpy(v, z.v, sizeof z.v);
}

static void mark_groups(const Sizer *s, uint32_t piece, bool *seen) {
  const Piece *p = &s->pieces[piece];
  for (int a = 0; a < p->shape->rank; a++)
    for (int64_t i = 0; p->units->axis[a] && i < p->shape->d[a]; i++)
      if (p->units->axis[a][i] != CHAN_FIXED) seen[s->c->group_of[p->units->axis[a][i]]] = true;
}

uint32_t sizer_node_groups(const Sizer *s, NodeId n, bool ram, uint32_t *group) {
  const Graph *g = s->c->graph;
  const Node *node = &g->nodes[n];
  bool *seen = mem_array(s->c->n_groups, sizeof *seen);
  uint32_t count = 0;
  for (ValId x = 1; ram && x < g->n_vals; x++)
    if (alive(s, x, n)) mark_groups(s, x, seen);
  for (uint32_t k = 0; !ram && k < node->n_out; k++) mark_groups(s, node->out[k], seen);
  for (uint32_t k = 0; !ram && k < node->n_in; k++)
    if (node->in[k] != NO_VAL) mark_groups(s, input_piece(s, n, k), seen);
  for (uint32_t i = 0; i < s->c->n_groups; i++)
    if (seen[i]) group[count++] = i;
  mem_free(seen);
  return count;
}
