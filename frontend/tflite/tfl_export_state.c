/* TFLite export of states: variables by name, or the variable tensor of the operator that keeps its state itself.
 *
 *   main    VAR_HANDLE -> READ_VARIABLE -> nodes ... -> ASSIGN_VARIABLE     CALL_ONCE first
 *   first   VAR_HANDLE, constant -> ASSIGN_VARIABLE
 *
 *   SvdfState of a state that begins as zeros, whose next value one Svdf alone reads: SVDF
 *
 * All variables are read before any is assigned, so that one's next value may be another one's present one.
 * Source: TensorFlow Lite schema version 3 (operator codes, options' numbers and fields).
 */
#include "frontend/tflite/tfl_export.h"

#include <string.h>

enum {
  C_SVDF = 27,
  C_CALL_ONCE = 129,
  C_VAR_HANDLE = 142,
  C_READ_VARIABLE,
  C_ASSIGN_VARIABLE,
  O_SVDF = 6,
  O_CALL_ONCE = 103,
  O_VAR_HANDLE = 111,
  O_READ_VARIABLE,
  O_ASSIGN_VARIABLE
};

/* -- SVDF -- */

bool tfx_begins_as_zeros(const Graph *g, ValId v) {
  const Value *c = graph_val(g, v);
  const int64_t zero = c->quant.n == 1 ? c->quant.zero[0] : 0, n = shape_count(&c->shape);
  for (int64_t i = 0; i < n; i++)
    if (dtype_get(c->dtype, val_data(g, v), i) != zero) return false;
  return true;
}

int tfx_state_of(const Graph *g, ValId now) {
  for (uint32_t i = 0; i < g->n_states; i++)
    if (g->states[i].now == now) return (int)i;
  return -1;
}

/* The state that the SvdfState renews for one Svdf alone; -1: it is not so. */
static int svdf_own(const Graph *g, const Node *n, const uint32_t *uses) {
  const int i = tfx_state_of(g, n->in[0]);
  if (i < 0 || g->states[i].next != n->out[0] || uses[n->in[0]] != 1 || uses[n->out[0]] != 2) return -1;
  bool svdf = false;
  for (NodeId k = 0; k < g->n_nodes; k++)
    svdf = svdf || (g->nodes[k].op == OP_svdf && g->nodes[k].in[0] == n->out[0]);
  return svdf && tfx_begins_as_zeros(g, g->states[i].init) ? i : -1;
}

bool tfx_svdf_state(Tfx *x, const Node *n) {
  const int i = tfx_state_of(x->g, n->in[0]);
  if (i >= 0 && x->own_state[i] && x->g->states[i].next == n->out[0]) return true; /* its Svdf writes it */
  return tfx_refuse(
      x, n, "SVDF has a state of its own that begins as zeros, and gives nothing else but its output");
}

bool tfx_svdf(Tfx *x, const Node *n) {
  const Node *s = graph_def(x->g, n->in[0]);
  const int i = s && s->op == OP_svdf_state ? tfx_state_of(x->g, s->in[0]) : -1;
  const svdf_attrs *a = CATTRS(n, svdf);
  static const int acts[ACT_COUNT] = {[ACT_RELU] = 1, [ACT_RELU6] = 3, [ACT_RELU_N1_TO_1] = 2};
  if (i < 0 || !x->own_state[i]) return tfx_refuse(x, n, "it wants the SvdfState before it alone");
  const int32_t in = tfx_tensor(x, s->in[1]), w = tfx_tensor(x, s->in[2]), time = tfx_tensor(x, n->in[1]);
  const int32_t bias = n->n_in > 2 && n->in[2] != NO_VAL ? tfx_tensor(x, n->in[2]) : -1;
  const int32_t state = tfx_tensor(x, s->in[0]);
  x->tensors[state].variable = true;
  TfxOp *op = tfx_op(x, n, C_SVDF, O_SVDF, in);
  tfx_in(op, w);
  tfx_in(op, time);
  tfx_in(op, bias);
  tfx_in(op, state);
  tfx_int(op, 0, a->rank);
  tfx_byte(op, 1, acts[a->act]);
  return true;
}

/* -- variables -- */

static int32_t handle(Tfx *x, uint32_t i) {
  const char *name = arena_printf(x->arena, "state%u", i);
  const int32_t t =
      tfx_new(x, &(TfxTensor){.name = name, .dtype = DT_I32, .shape = {1, {1}}, .resource = true});
  TfxOp *op = tfx_bare(x, C_VAR_HANDLE, O_VAR_HANDLE, t);
  tfx_string(op, 0, "");
  tfx_string(op, 1, name);
  return t;
}

static void assign(Tfx *x, int32_t variable, int32_t value) {
  TfxOp *op = tfx_bare(x, C_ASSIGN_VARIABLE, O_ASSIGN_VARIABLE, -1);
  tfx_in(op, variable);
  tfx_in(op, value);
}

static void first_values(Tfx *x) {
  x->sub = 1;
  for (uint32_t i = 0; i < x->g->n_states; i++) {
    const ValId init = x->g->states[i].init;
    const Value *v = graph_val(x->g, init);
    if (x->own_state[i]) continue;
    const int32_t h = handle(x, i);
    assign(x, h,
           tfx_new(x, &(TfxTensor){.name = v->name ? v->name : "",
                                   .dtype = v->dtype,
                                   .shape = v->shape,
                                   .quant = v->quant,
                                   .data = val_data(x->g, init)}));
  }
  x->sub = 0;
}

void tfx_read_states(Tfx *x) {
  const Graph *g = x->g;
  const uint32_t *uses = graph_uses(g, x->arena);
  uint32_t own = tfx_find_lstms(x, uses);
  for (NodeId k = 0; k < g->n_nodes; k++) {
    const int i = g->nodes[k].op == OP_svdf_state ? svdf_own(g, &g->nodes[k], uses) : -1;
    if (i < 0) continue;
    x->own_state[i] = true;
    own++;
  }
  if (own == g->n_states) return;
  tfx_int(tfx_bare(x, C_CALL_ONCE, O_CALL_ONCE, -1), 0, 1);
  first_values(x);
  for (uint32_t i = 0; i < g->n_states; i++) {
    if (x->own_state[i]) continue;
    const int32_t h = handle(x, i), now = tfx_tensor(x, g->states[i].now);
    tfx_in(tfx_bare(x, C_READ_VARIABLE, O_READ_VARIABLE, now), h);
  }
}

/* The handles of the main graph are those that READ_VARIABLE has. */
void tfx_assign_states(Tfx *x) {
  for (int k = 0, n = x->n_ops; k < n; k++) {
    if (x->ops[k].code != C_READ_VARIABLE) continue;
    for (uint32_t i = 0; i < x->g->n_states; i++)
      if (x->of_val[x->g->states[i].now] == x->ops[k].out + 1)
        assign(x, x->ops[k].in[0], tfx_tensor(x, x->g->states[i].next));
  }
}
