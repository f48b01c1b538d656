/* Dequantized constants: weights of a quantized model stay codes while it is read.
 *
 *   codes [i8 | u8 | i32, quantized] -> Dequantize -> (Transpose, Reshape, ...) -> weights of a Conv
 *
 * DequantizeLinear of a constant is a node, not a folded float32 constant, so that qdq.c finds the codes. Operators that
 * take such weights as they are say so in ops.def (MOVE, WEIGHTS); all others get the float32 constant.
 */
#include "frontend/onnx/onnx_op.h"
#include "ir/base/mem.h"
#include "ir/eval.h"

enum { CHAIN_MAX = 16 };

/* The nodes from v back to the constant that it is made of by Dequantize and single-input moves; 0: it is not. */
static int chain_of(const Graph *g, ValId v, const Node **nodes) {
  bool codes = false;
  for (int n = 0; n < CHAIN_MAX; n++) {
    const Node *def = graph_def(g, v);
    if (!def) return codes && val_is_const(g, v) ? n : 0;
    if (def->n_in != 1 || (def->op != OP_dequantize && !(op_info(def->op)->traits & (T_VIEW | T_MOVE))))
      return 0;
    codes = codes || def->op == OP_dequantize;
    nodes[n] = def;
    v = def->in[0];
  }
  return 0;
}

bool ox_is_dequantized(const Graph *g, ValId v) {
  const Node *nodes[CHAIN_MAX];
  return v != NO_VAL && chain_of(g, v, nodes) > 0;
}

/* The chain alone, evaluated. */
static bool eval_chain(const Graph *g, const Node **nodes, int n, Tensor *out, Diag *d) {
  Graph *s = graph_new("codes");
  const Value *c = graph_val(g, nodes[n - 1]->in[0]);
  ValId v = graph_const(s, c->name, c->dtype, &c->shape, blob_ref(c->blob));
  graph_set_quant(s, v, c->quant.n, c->quant.axis, c->quant.scale, c->quant.zero);
  for (int i = n; i-- > 0 && v != NO_VAL;)
    v = graph_node1(s, nodes[i]->op, nodes[i]->attrs, v, NULL, &nodes[i]->loc, d);
  bool ok = v != NO_VAL;
  if (ok) graph_output(s, v);
  ok = ok && graph_eval(s, NULL, 0, out, d);
  graph_free(s);
  return ok;
}

ValId ox_constant(OxCall *c, ValId v) {
  const Node *nodes[CHAIN_MAX];
  int n = v == NO_VAL ? 0 : chain_of(c->g, v, nodes);
  Tensor t;
  if (n == 0) return v;
  if (!eval_chain(c->g, nodes, n, &t, c->m->d)) return NO_VAL;
  return graph_const(c->g, graph_val(c->g, v)->name, t.dtype, &t.shape, blob_adopt(t.data, tensor_bytes(&t)));
}

bool ox_is_weights(const OxCall *c, ValId v) {
  return v != NO_VAL && ox_type(c, v) == DT_F32 && (val_is_const(c->g, v) || ox_is_dequantized(c->g, v));
}
