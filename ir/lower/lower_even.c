/* Lowering of Conv, DepthwiseConv and FullyConnected with ONNX's rounding, or none (the int32 sums).
 *
 * The factor of output channel o is (scale_x * scale_w[o]) / scale_y in float, each operation rounded, as ONNX Runtime
 * computes it (onnxruntime/core/providers/cpu/quantization/qlinearconv.cc, quantize_linear_matmul.cc).
 */
#include "ir/lower/lower_util.h"

static void even_scales(const Graph *g, const Node *n, KernelCall *k, int32_t outs, Arena *a) {
  const Value *x = op_in(g, n, 0), *w = op_in(g, n, 1), *y = op_out(g, n, 0);
  float *scale = arena_array(a, (size_t)outs, sizeof *scale);
  for (int32_t o = 0; o < outs; o++) {
    const float product = scale_of(x) * w->quant.scale[w->quant.n > 1 ? o : 0];
    scale[o] = product / scale_of(y);
  }
  call_const(k, "scale", scale, outs, NO_VAL);
}

static void even_zeros(const Value *w, KernelCall *k, int32_t outs, Arena *a) {
  bool any = false;
  int32_t *zero = arena_array(a, (size_t)outs, sizeof *zero);
  for (int32_t o = 0; o < outs; o++) {
    zero[o] = w->quant.zero[w->quant.n > 1 ? o : 0];
    any = any || zero[o] != 0;
  }
  if (any) call_const(k, "w_zero", zero, outs, NO_VAL);
}

bool lower_conv_even(const Graph *g, const Node *n, const EvenConv *c, Calls *out, Diag *d) {
  const bool sums = c->rounding == ROUND_SUMS;
  const Value *y = op_out(g, n, 0);
  TRY(want_const(g, n, 1, d));
  if (op_in_opt(g, n, 2)) TRY(want_const(g, n, 2, d));
  TRY(sums ? want_quant_inputs(g, n, 2, d) : want_quant(g, n, 2, d));
  if (shape_count(&y->shape) == 0) return true;
  KernelCall *k = calls_add(out, sums ? "conv_s8_sums" : "conv_s8_even", node_id(g, n));
  mf_conv_s8_even *p = k->params;
  *p = (mf_conv_s8_even){.g = c->window, .groups = c->groups, .w_tap = c->w_tap, .w_out = c->w_out};
  p->in_zero = zero_of(op_in(g, n, 0));
  k->in[0] = view_rows(g, n->in[0], c->in);
  k->out = view_rows(g, n->out[0], c->out);
  k->n_in = 1;
  k->rows = c->out.rows;
  k->batch = c->out.batch;
  k->macs = node_macs(g, n);
  const int32_t outs = c->window.out_c;
  call_const(k, "w", val_data(g, n->in[1]), shape_count(&op_in(g, n, 1)->shape), n->in[1]);
  if (op_in_opt(g, n, 2)) call_const(k, "bias", val_data(g, n->in[2]), outs, n->in[2]);
  even_zeros(op_in(g, n, 1), k, outs, out->arena);
  if (sums) return true;
  p->out_zero = zero_of(y);
  act_range_s8(c->act, scale_of(y), zero_of(y), &p->lo, &p->hi);
  even_scales(g, n, k, outs, out->arena);
  return true;
}
