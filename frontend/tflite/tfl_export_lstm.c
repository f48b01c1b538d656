/* TFLite export of SequenceLstm as UNIDIRECTIONAL_SEQUENCE_LSTM, which keeps h and c itself.
 *
 *   all = SequenceLstm(x, h, c, ...)      y = all[:, :T] (int8: a Cast of it)      c' = all[:, T:]      h' = y[:, T-1:]
 *
 * as tfl_state.c makes them, with Reshapes of the last two. The states begin as zeros. Source: TensorFlow Lite schema
 * version 3.
 */
#include "frontend/tflite/tfl_export.h"

enum { C_LSTM = 44, O_LSTM = 71, TANH = 4 };

/* What stands for the operator: node numbers and values. */
typedef struct LstmParts {
  ValId y;
  int h, c;        /* states */
  NodeId nodes[6]; /* that it stands for */
  int n_nodes;
} LstmParts;

static void part(const Graph *g, LstmParts *p, ValId v) { p->nodes[p->n_nodes++] = graph_val(g, v)->def; }

/* Is n a Slice of v's axis 1, from .. from + count - 1, and of all else? */
static bool is_rows(const Graph *g, const Node *n, ValId v, int64_t from, int64_t count) {
  if (n->op != OP_slice || n->in[0] != v) return false;
  const slice_attrs *a = CATTRS(n, slice);
  const Shape *s = &graph_val(g, v)->shape;
  bool rest = a->counts.v[0] == s->d[0] && a->counts.v[2] == s->d[2];
  for (int i = 0; i < 3; i++) rest = rest && a->steps.v[i] == 1;
  return rest && a->starts.v[1] == from && a->counts.v[1] == count;
}

static const Node *find_rows(const Graph *g, ValId v, int64_t from, int64_t count) {
  for (NodeId k = 0; k < g->n_nodes; k++)
    if (is_rows(g, &g->nodes[k], v, from, count)) return &g->nodes[k];
  return NULL;
}

/* v, behind a Reshape, which is a part where nobody else reads it. */
static ValId behind_reshape(const Graph *g, ValId v, LstmParts *p, const uint32_t *uses) {
  const Node *n = graph_def(g, v);
  if (!n || n->op != OP_reshape) return v;
  if (uses[v] == 1) part(g, p, v);
  return n->in[0];
}

/* y itself: a Cast of the rows where they are codes. NO_VAL: something else. */
static ValId output_of(const Graph *g, ValId rows, LstmParts *p, const uint32_t *uses) {
  if (graph_val(g, rows)->dtype == DT_F32) return rows;
  if (uses[rows] != 1) return NO_VAL;
  part(g, p, rows);
  for (NodeId k = 0; k < g->n_nodes; k++)
    if (g->nodes[k].op == OP_cast && g->nodes[k].in[0] == rows && CATTRS(&g->nodes[k], cast)->to == DT_I8)
      return g->nodes[k].out[0];
  return NO_VAL;
}

static bool own_states(const Graph *g, const Node *n, LstmParts *p, const uint32_t *uses) {
  p->h = tfx_state_of(g, n->in[1]);
  p->c = tfx_state_of(g, n->in[2]);
  if (p->h < 0 || p->c < 0 || p->h == p->c || uses[n->in[1]] != 1 || uses[n->in[2]] != 1) return false;
  return tfx_begins_as_zeros(g, g->states[p->h].init) && tfx_begins_as_zeros(g, g->states[p->c].init);
}

static bool find_parts(const Graph *g, const Node *n, const uint32_t *uses, LstmParts *p) {
  *p = (LstmParts){.n_nodes = 0};
  const ValId all = n->out[0];
  const int64_t t = graph_val(g, all)->shape.d[1] - 1;
  TRY(own_states(g, n, p, uses) && uses[all] == 2);
  const Node *rows = find_rows(g, all, 0, t), *cell = find_rows(g, all, t, 1);
  TRY(rows && cell && uses[cell->out[0]] == 1);
  TRY(behind_reshape(g, g->states[p->c].next, p, uses) == cell->out[0]);
  part(g, p, cell->out[0]);
  p->y = output_of(g, rows->out[0], p, uses);
  TRY(p->y != NO_VAL);
  const ValId last = behind_reshape(g, g->states[p->h].next, p, uses);
  const Node *from = graph_def(g, last);
  if (last == p->y && t == 1) return true;
  TRY(from && is_rows(g, from, p->y, t - 1, 1));
  if (uses[last] == 1) part(g, p, last);
  return true;
}

uint32_t tfx_find_lstms(Tfx *x, const uint32_t *uses) {
  uint32_t states = 0;
  LstmParts p;
  for (NodeId k = 0; k < x->g->n_nodes; k++) {
    if (x->g->nodes[k].op != OP_seq_lstm || !find_parts(x->g, &x->g->nodes[k], uses, &p)) continue;
    x->own_state[p.h] = x->own_state[p.c] = true;
    for (int i = 0; i < p.n_nodes; i++) x->written[p.nodes[i]] = true;
    x->written[graph_val(x->g, p.y)->def] = true;
    states += 2;
  }
  return states;
}

bool tfx_seq_lstm(Tfx *x, const Node *n) {
  LstmParts p;
  if (!find_parts(x->g, n, graph_uses(x->g, x->arena), &p))
    return tfx_refuse(
        x, n,
        "UNIDIRECTIONAL_SEQUENCE_LSTM has states of its own that begin as zeros, and gives its output alone");
  int32_t in[24];
  for (int i = 0; i < 24; i++) in[i] = -1;
  in[0] = tfx_tensor(x, n->in[0]);
  for (int i = 0; i < 8; i++) in[1 + i] = tfx_tensor(x, n->in[3 + i]);
  for (int i = 0; i < 4; i++) in[12 + i] = tfx_tensor(x, n->in[11 + i]);
  in[18] = tfx_tensor(x, n->in[1]);
  in[19] = tfx_tensor(x, n->in[2]);
  x->tensors[in[18]].variable = x->tensors[in[19]].variable = true;
  TfxOp *op = tfx_bare(x, C_LSTM, O_LSTM, tfx_tensor(x, p.y));
  for (int i = 0; i < 24; i++) tfx_in(op, in[i]);
  tfx_byte(op, 0, TANH);
  tfx_float(op, 1, CATTRS(n, seq_lstm)->clip);
  return true;
}
