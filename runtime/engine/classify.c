/* Facts about the values and nodes of a session's graph, found once:
 *
 *   what runs       from the logits backwards
 *   what is shared  values without batch; Reshape's output is its input under another shape (one storage)
 *   what learns     constants in the parameter places of operators (and behind FakeQuant or Reshape there); steps of
 *                   FakeQuants that say so;
 *                   constant operands of Add, Sub, Mul, Div downstream of a parameter (biases left apart), scalars not
 *   what is fused   a Relu or Clip(0, 6) into the operator before it, when nobody else reads that one's output; without
 *                   training a BatchNormalization into the convolution before it
 *   who adds        in backward order the first reader of a value writes its gradient, the others add
 */
#include "runtime/engine/op_call.h"

#include "ir/base/mem.h"

static bool is_binary(OpKind op) { return op == OP_add || op == OP_sub || op == OP_mul || op == OP_div; }

/* Places in which an operator keeps what it learns. */
static bool learns(const Node *n, uint32_t k) {
  if (n->op == OP_batch_normalization) return k == 1 || k == 2;
  if (n->op == OP_fake_quant) return k == 1 && CATTRS(n, fake_quant)->learn;
  if (op_info(n->op)->traits & T_PARAMS) return k >= 1;
  if (n->op == OP_gru || n->op == OP_lstm || n->op == OP_rnn) return k == 1 || (n->op == OP_gru && k == 3);
  return n->op == OP_matmul;
}

/* The last output; what a Softmax over all of its elements reads, if there is one (maybe behind Reshapes). */
static ValId find_logits(const Session *s) {
  ValId v = s->g->outputs[s->g->n_outputs - 1], at = v;
  const Node *n = graph_def(s->g, at);
  while (n && n->op == OP_reshape) n = graph_def(s->g, at = n->in[0]);
  if (!n || n->op != OP_softmax || CATTRS(n, softmax)->beta != 1) return v;
  const Shape *x = &s->g->vals[n->in[0]].shape;
  int axis = CATTRS(n, softmax)->axis;
  if (axis < 0) axis += x->rank;
  return axis > 0 && x->d[axis] == shape_count_range(x, 1, x->rank) ? n->in[0] : v;
}

static void mark_live(Session *s) {
  const Graph *g = s->g;
  bool *wanted = mem_array(g->n_vals, sizeof *wanted);
  wanted[s->logits] = true;
  for (uint32_t i = g->n_nodes; i-- > 0;) {
    const Node *n = &g->nodes[i];
    bool reaches = false;
    for (uint32_t k = 0; k < n->n_out; k++) reaches |= wanted[n->out[k]];
    s->nodes[i].reaches = reaches;
    s->nodes[i].live = reaches || s->opt.keep;
    for (uint32_t k = 0; reaches && k < n->n_in; k++) wanted[n->in[k]] = true;
  }
  mem_free(wanted);
}

static bool check_node(const Session *s, const Node *n, Diag *d) {
  const OpInfo *op = op_info(n->op);
  FAIL_IF(op->diff != DIFF, d, &n->loc, "%s: the tensor engine computes differentiable operators only",
          op->name);
  for (uint32_t k = 0; k < n->n_in; k++) {
    if (n->in[k] == NO_VAL || (n->op == OP_weighted_gather && k == 1)) continue; /* its places */
    const Value *v = &s->g->vals[n->in[k]];
    FAIL_IF(v->dtype != DT_F32, d, &n->loc, "%s: input %u is %s: the tensor engine computes f32 only",
            op->name, k, dtype_name(v->dtype));
  }
  return true;
}

static bool check_graph(const Session *s, Diag *d) {
  const Graph *g = s->g;
  FAIL_IF(g->n_inputs != 1 || g->n_outputs < 1, d, NULL,
          "the tensor engine runs models of one input and at least one output: this one has %u and %u",
          g->n_inputs, g->n_outputs);
  const Value *x = &g->vals[g->inputs[0]];
  FAIL_IF(x->dtype != DT_F32, d, NULL, "the model's input is %s: the tensor engine computes f32 only",
          dtype_name(x->dtype));
  for (uint32_t i = 0; i < g->n_nodes; i++)
    if (s->nodes[i].live) TRY(check_node(s, &g->nodes[i], d));
  FAIL_IF(!s->vals[s->logits].batched, d, NULL, "the model's output does not depend on the batch");
  return true;
}

static void classify_values(Session *s) {
  const Graph *g = s->g;
  for (ValId v = 1; v < g->n_vals; v++) {
    const Shape *x = &g->vals[v].shape;
    SVal *e = &s->vals[v];
    e->root = v;
    e->batched = x->rank > 0 && x->d[0] == DIM_BATCH;
    e->item = shape_count_range(x, e->batched ? 1 : 0, x->rank);
  }
  for (uint32_t i = 0; i < g->n_nodes; i++) {
    const Node *n = &g->nodes[i];
    SNode *e = &s->nodes[i];
    e->out = n->out[0];
    e->norm = NO_NODE;
    e->batched = s->vals[n->out[0]].batched;
    for (uint32_t k = 3; n->op == OP_batch_normalization && k < 5; k++) s->vals[n->in[k]].stat = true;
    if (n->op == OP_reshape) s->vals[n->out[0]].root = s->vals[n->in[0]].root;
  }
}

/* Taps are values that the caller reads and whose gradients it begins: readers of their own. */
static bool classify_taps(Session *s, Diag *d) {
  for (int i = 0; i < s->opt.n_taps; i++) {
    ValId v = s->map ? s->map[s->opt.taps[i]] : s->opt.taps[i];
    ASSERT(v != NO_VAL);
    const Value *x = &s->g->vals[v];
    const Loc *at = x->def == NO_NODE ? NULL : &s->g->nodes[x->def].loc;
    FAIL_IF(!s->vals[v].batched || x->def == NO_NODE || !s->nodes[x->def].reaches ||
                s->vals[v].root == s->vals[s->logits].root,
            d, at, "value \"%s\" cannot be compared: want one between the model's input and its output",
            x->name ? x->name : "");
    s->vals[v].tap = s->vals[s->vals[v].root].tap = true; /* a Reshape's output lies in its root's memory */
  }
  return true;
}

/* -- what learns -- */

/* A constant, or what is computed from constants: its constants are parameters. */
static void make_param(Session *s, ValId v, bool decay) {
  const Value *x = &s->g->vals[v];
  if (v == NO_VAL || s->vals[v].batched || x->dtype != DT_F32) return;
  if (x->blob) {
    s->vals[v].needs = s->vals[v].param = true;
    s->vals[v].decay |= decay;
    return;
  }
  if (x->def == NO_NODE) return;
  const Node *n = &s->g->nodes[x->def];
  for (uint32_t k = 0; k < n->n_in; k++)
    if (n->op != OP_fake_quant || k == 0) make_param(s, n->in[k], decay);
  for (uint32_t k = 0; k < n->n_in; k++) s->vals[v].needs |= s->vals[n->in[k]].needs;
  s->nodes[x->def].needs = s->vals[v].needs;
}

static void classify_learning(Session *s) {
  const Graph *g = s->g;
  if (s->opt.input_gradient) s->vals[g->inputs[0]].needs = true;
  for (uint32_t i = 0; i < g->n_nodes; i++) {
    const Node *n = &g->nodes[i];
    if (!s->nodes[i].reaches) continue;
    bool bn = n->op == OP_batch_normalization || n->op == OP_fake_quant; /* no decay */
    for (uint32_t k = 0; k < n->n_in; k++)
      if (learns(n, k)) make_param(s, n->in[k], !bn && (k == 1 || n->op == OP_matmul));
    for (uint32_t k = 0; is_binary(n->op) && k < 2; k++)
      if (s->vals[n->in[1 - k]].needs && s->vals[n->in[k]].item > 1) make_param(s, n->in[k], false);
    for (uint32_t k = 0; k < n->n_in; k++) s->nodes[i].needs |= s->vals[n->in[k]].needs;
    s->vals[n->out[0]].needs = s->nodes[i].needs;
  }
}

/* -- fusion -- */

static int32_t own_act(const Node *n) {
  const OpInfo *op = op_info(n->op);
  for (int i = 0; i < op->n_attrs; i++)
    if (op->attrs[i].kind == ATTR_ACT)
      return *(const int32_t *)((const char *)n->attrs + op->attrs[i].offset);
  return ACT_NONE;
}

static bool takes_act(const Node *n) {
  const OpInfo *op = op_info(n->op);
  for (int i = 0; i < op->n_attrs; i++)
    if (op->attrs[i].kind == ATTR_ACT) return true;
  return n->op == OP_batch_normalization;
}

static Act act_of(const Node *n) {
  if (n->op == OP_relu) return ACT_RELU;
  if (n->op == OP_clip && CATTRS(n, clip)->lo == 0 && CATTRS(n, clip)->hi == 6) return ACT_RELU6;
  return ACT_NONE;
}

/* A convolution whose output only a BatchNormalization reads takes it over, without training (ops/conv.c). */
static void take_norms(Session *s, const uint32_t *uses) {
  const Graph *g = s->g;
  for (uint32_t i = 0; i < g->n_nodes && !s->opt.training && !s->opt.keep && !s->opt.plain; i++) {
    const Node *n = &g->nodes[i];
    if (n->op != OP_batch_normalization || !s->nodes[i].live || uses[n->in[0]] != 1) continue;
    NodeId before = g->vals[n->in[0]].def;
    int axis = CATTRS(n, batch_normalization)->axis, last = g->vals[n->in[0]].shape.rank - 1;
    if (before == NO_NODE || g->nodes[before].op != OP_conv || s->nodes[before].act != ACT_NONE) continue;
    if ((axis < 0 ? axis + last + 1 : axis) != last) continue;
    s->nodes[before].norm = i;
    s->nodes[i].taken = true;
  }
}

static void fuse(Session *s) {
  const Graph *g = s->g;
  uint32_t *uses = mem_array(g->n_vals, sizeof *uses);
  uses[s->logits]++;
  for (ValId v = 1; v < g->n_vals; v++) uses[v] += s->vals[v].tap;
  for (uint32_t i = 0; i < g->n_nodes; i++)
    for (uint32_t k = 0; s->nodes[i].live && k < g->nodes[i].n_in; k++) uses[g->nodes[i].in[k]]++;
  for (uint32_t i = 0; i < g->n_nodes; i++) {
    const Node *n = &g->nodes[i];
    s->nodes[i].act = (Act)own_act(n);
    if (s->opt.keep || !s->nodes[i].live || act_of(n) == ACT_NONE) continue;
    NodeId before = g->vals[n->in[0]].def;
    if (before == NO_NODE || uses[n->in[0]] != 1) continue;
    SNode *b = &s->nodes[before];
    if (!takes_act(&g->nodes[before]) || b->act != ACT_NONE) continue;
    b->act = act_of(n);
    b->out = n->out[0];
    s->nodes[i].live = false;
  }
  take_norms(s, uses);
  mem_free(uses);
}

/* -- who adds -- */

static void classify_readers(Session *s) {
  const Graph *g = s->g;
  for (uint32_t i = 0; i < g->n_nodes; i++)
    for (uint32_t k = 0; s->nodes[i].live && k < g->nodes[i].n_in; k++) {
      SVal *v = &s->vals[s->vals[g->nodes[i].in[k]].root];
      if (g->nodes[i].op == OP_reshape) continue;
      v->by_shards |= s->nodes[i].batched;
      v->by_one |= !s->nodes[i].batched;
    }
}

static void classify_adding(Session *s) {
  const Graph *g = s->g;
  bool *written = mem_array(g->n_vals, sizeof *written);
  written[s->vals[s->logits].root] = true;
  for (ValId v = 1; v < g->n_vals; v++)
    if (s->vals[v].tap) written[s->vals[v].root] = true;
  for (uint32_t i = g->n_nodes; i-- > 0;) {
    const Node *n = &g->nodes[i];
    s->nodes[i].add = mem_array(n->n_in, sizeof(bool));
    if (!s->nodes[i].live || !s->nodes[i].needs || n->op == OP_reshape) continue;
    for (uint32_t k = 0; k < n->n_in; k++) {
      const SVal *v = &s->vals[n->in[k]];
      if (n->in[k] == NO_VAL || !v->needs) continue;
      s->nodes[i].add[k] = written[v->root] || val_zeroed(&s->vals[v->root]);
      written[v->root] = true;
    }
  }
  mem_free(written);
}

bool session_classify(Session *s, Diag *d) {
  s->vals = mem_array(s->g->n_vals, sizeof *s->vals);
  s->nodes = mem_array(s->g->n_nodes, sizeof *s->nodes);
  FAIL_IF(s->g->n_outputs < 1, d, NULL, "the model has no output");
  s->logits = find_logits(s);
  mark_live(s);
  classify_values(s);
  TRY(check_graph(s, d));
  s->input = s->g->inputs[0];
  s->classes = (int)s->vals[s->logits].item;
  TRY(classify_taps(s, d));
  if (s->opt.training) classify_learning(s);
  fuse(s);
  classify_readers(s);
  classify_adding(s);
  return true;
}
