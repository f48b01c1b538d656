/* quantize: a float graph to int8, with TFLite's semantics.
 *
 *   prepare (quant_prepare.c) -> calibrate (calibrate.c) -> scales, one for each class of values -> rewrite
 *
 *   weights     per output channel, symmetric (FullyConnected also per tensor); bias int32
 *   own scale   Conv, Add, Mul, Relu, ReduceMean, ...: the output's calibrated range
 *   fixed       Softmax and Sigmoid 1/256 and -128, Tanh 1/128 and 0 (TFLite's specification)
 *   shared      pools and moves have their input's; Concat, Max and Min one for all inputs and the output (an
 *               input whose scale is fixed to another is requantized)
 *
 *   state       one scale for its value before a run, after it and at first, calibrated over the steps; what only operators
 *               in float32 read and write stays float32
 *
 *   wider       values and layers that int8 hurts: int16 and float32 by name or under a budget (quant_mixed.c)
 *
 * An operator without int8 form is computed in float32 between Dequantize and Quantize, with a warning. The
 * graph has been through bnfuse and fuse, so that an activation clips the range of what it is fused into.
 */
#include "passes/quantizer.h"

#include <math.h>
#include <string.h>

#include "ir/base/mem.h"

PassFn pass_quantize;

/* ---- values in the new graph */

static void set_affine(Graph *g, ValId v, Affine a) { graph_set_quant(g, v, 1, 0, &a.scale, &a.zero); }

static ValId put_quantize(Quantizer *q, ValId x, DType to, Affine a, const char *name, const Loc *loc) {
  quantize_attrs attrs = {.to = (int32_t)to};
  ValId y = graph_node1(q->to, OP_quantize, &attrs, x, name, loc, q->d);
  if (y != NO_VAL) set_affine(q->to, y, a);
  return y;
}

static ValId const_codes16(Quantizer *q, ValId v, Affine a) {
  const Value *c = graph_val(q->g, v);
  const float *x = val_data(q->g, v);
  const int64_t n = shape_count(&c->shape);
  int16_t *code = mem_alloc_aligned((size_t)n * sizeof *code + 1, 64);
  for (int64_t i = 0; i < n; i++)
    code[i] = (int16_t)fmin(32767, fmax(-32768, round((double)x[i] / (double)a.scale)));
  ValId id = graph_const(q->to, c->name, DT_I16, &c->shape, blob_adopt(code, (size_t)n * sizeof *code));
  set_affine(q->to, id, a);
  return id;
}

static ValId const_codes(Quantizer *q, ValId v, Affine a) {
  const Value *c = graph_val(q->g, v);
  int64_t n = shape_count(&c->shape);
  int8_t *code = mem_alloc_aligned((size_t)n, 64);
  affine_quantize(a, val_data(q->g, v), n, code);
  ValId id = graph_const(q->to, c->name, DT_I8, &c->shape, blob_adopt(code, (size_t)n));
  set_affine(q->to, id, a);
  return id;
}

/* The value as int8, in the scale of its class. NO_VAL: reported at loc. */
static ValId as_code(Quantizer *q, ValId v, const Loc *loc) {
  if (q->code[v] != NO_VAL) return q->code[v];
  const char *name = graph_val(q->g, v)->name;
  if (!quant_known(q, v)) {
    diag_error(q->d, loc, "quantize: no range is known of \"%s\": the engine computes no such value",
               name ? name : "");
    return NO_VAL;
  }
  Affine a = quant_affine(q, v);
  ValId from = q->code16[v] != NO_VAL ? q->code16[v] : q->real[v];
  q->code[v] = val_is_const(q->g, v) ? const_codes(q, v, a) : put_quantize(q, from, DT_I8, a, name, loc);
  return q->code[v];
}

/* The value as int16, in the scale of its class or another one. */
static ValId as_code16(Quantizer *q, ValId v, Affine a, const Loc *loc) {
  if (val_is_const(q->g, v)) return const_codes16(q, v, a);
  const bool own = quant_same(quant_affine16(q, v), a);
  if (own && q->code16[v] != NO_VAL) return q->code16[v];
  ValId from = q->code16[v] != NO_VAL ? q->code16[v] : q->real[v] != NO_VAL ? q->real[v] : as_code(q, v, loc);
  ValId x = from == NO_VAL ? NO_VAL : put_quantize(q, from, DT_I16, a, graph_val(q->g, v)->name, loc);
  if (own) q->code16[v] = x;
  return x;
}

/* The same in another scale. */
static ValId as_code_in(Quantizer *q, ValId v, Affine a, const Loc *loc) {
  if (val_is_const(q->g, v)) return const_codes(q, v, a);
  if (q->code16[v] != NO_VAL && !quant_same(quant_affine(q, v), a))
    return put_quantize(q, q->code16[v], DT_I8, a, graph_val(q->g, v)->name, loc);
  ValId x = as_code(q, v, loc);
  if (x == NO_VAL || quant_same(quant_affine(q, v), a)) return x;
  return put_quantize(q, x, DT_I8, a, graph_val(q->g, v)->name, loc);
}

/* The value as float32, or as it is when it was never real. */
static ValId as_real(Quantizer *q, ValId v, const Loc *loc) {
  if (v == NO_VAL || q->real[v] != NO_VAL) return v == NO_VAL ? NO_VAL : q->real[v];
  const Value *x = graph_val(q->g, v);
  if (x->blob)
    q->real[v] = graph_const(q->to, x->name, x->dtype, &x->shape, blob_ref(x->blob));
  else
    q->real[v] = graph_node1(q->to, OP_dequantize, NULL, q->code16[v] != NO_VAL ? q->code16[v] : q->code[v],
                             x->name, loc, q->d);
  return q->real[v];
}

/* ---- nodes */

static bool finish(Quantizer *q, const Node *n, bool wide, ValId y) {
  if (y == NO_VAL) return false;
  set_affine(q->to, y, wide ? quant_affine16(q, n->out[0]) : quant_affine(q, n->out[0]));
  (wide ? q->code16 : q->code)[n->out[0]] = y;
  return true;
}

WeightView quant_weights(const Graph *g, const Node *n) {
  const Shape *s = &graph_val(g, n->in[1])->shape;
  bool innermost = n->op == OP_depthwise_conv;
  WeightView v = {.w = val_data(g, n->in[1]), .outs = s->d[innermost ? 3 : 0]};
  v.each = shape_count(s) / v.outs;
  v.step_out = innermost ? 1 : v.each;
  v.step_in = innermost ? v.outs : 1;
  return v;
}

/* The bias in units of scale[o]: of 64 bits where sums are. qb: as codes of 32 bits. */
static ValId put_bias(Quantizer *q, const Node *n, int64_t outs, bool wide, const float *scale,
                      const int32_t *qb) {
  const Shape s = {1, {outs}};
  const char *name = n->n_in > 2 ? graph_val(q->g, n->in[2])->name : NULL;
  if (!wide) return graph_const_data(q->to, name, DT_I32, &s, qb);
  const float *bias = n->n_in > 2 ? val_data(q->g, n->in[2]) : NULL;
  const double most = ldexp(1, 45);
  int64_t *b = mem_array((size_t)outs, sizeof *b);
  for (int64_t o = 0; bias && o < outs; o++)
    b[o] = (int64_t)fmin(most, fmax(-most, round((double)bias[o] / (double)scale[o])));
  ValId id = graph_const_data(q->to, name, DT_I64, &s, b);
  mem_free(b);
  return id;
}

/* Constants in[1] and in[2] of the new node. */
static bool quantize_params(Quantizer *q, const Node *n, const WeightView *v, bool wide, ValId in[3]) {
  const Value *w = graph_val(q->g, n->in[1]);
  bool has_bias = n->n_in > 2 || q->o.correct || wide,
       per_channel = !(q->o.fc_per_tensor && n->op == OP_fully_connected);
  float in_scale = (wide ? quant_affine16(q, n->in[0]) : quant_affine(q, n->in[0])).scale;
  int8_t *qw = mem_alloc_aligned((size_t)(v->outs * v->each), 64);
  float *scale = mem_array((size_t)v->outs, sizeof *scale);
  int32_t *zero = mem_array((size_t)v->outs, sizeof *zero), *qb = mem_array((size_t)v->outs, sizeof *qb);
  int scales = per_channel ? (int)v->outs : 1;
  const float *steps = q->given ? q->given->steps[n->in[1]] : NULL;
  if (steps) scales = q->given->n_steps[n->in[1]];
  for (int64_t o = 0; steps && o < v->outs; o++) scale[o] = steps[scales > 1 ? o : 0];
  const float *bias = n->n_in > 2 && !wide ? val_data(q->g, n->in[2]) : NULL;
  /* Beside int16 values weights keep 8 bits. */
  const Codes *codes = q->codes && q->codes[n->in[1]].most && !wide ? &q->codes[n->in[1]] : NULL;
  const int32_t most = steps ? q->given->most[n->in[1]] : codes ? codes->most : 127;
  WeightView limited = *v;
  limited.most = most;
  bool fits = true;
  if (codes)
    fits = codes_put(codes, v, per_channel, bias, in_scale, qw, scale, qb);
  else
    (steps ? weights_round : weights_quantize)(&limited, per_channel, bias, in_scale, qw, scale, qb);
  in[1] = graph_const(q->to, w->name, most < 8 && !wide ? DT_I4 : DT_I8, &w->shape,
                      blob_adopt(qw, (size_t)(v->outs * v->each)));
  graph_set_quant(q->to, in[1], scales, n->op == OP_depthwise_conv ? 3 : 0, scale, zero);
  if (has_bias) {
    for (int64_t o = 0; o < v->outs; o++) scale[o] *= in_scale;
    in[2] = put_bias(q, n, v->outs, wide, scale, qb);
    graph_set_quant(q->to, in[2], scales, 0, scale, zero);
  }
  mem_free(qb);
  mem_free(scale);
  mem_free(zero);
  return fits ||
         diag_error(
             q->d, &n->loc,
             "quantize: a bias does not fit beside the widest variant's codes at this variant's scale");
}

static bool emit_weights(Quantizer *q, const Node *n, bool wide, const Loc *loc) {
  ValId in[3] = {wide ? as_code16(q, n->in[0], quant_affine16(q, n->in[0]), loc) : as_code(q, n->in[0], loc)};
  if (in[0] == NO_VAL) return false;
  WeightView v = quant_weights(q->g, n);
  TRY(quantize_params(q, n, &v, wide, in));
  q->layer[n - q->g->nodes] = q->to->n_nodes;
  return finish(q, n, wide,
                graph_node(q->to, n->op, n->attrs, in, in[2] == NO_VAL ? 2 : 3,
                           graph_val(q->g, n->out[0])->name, loc, q->d));
}

/* A real input as the operator's codes. */
static ValId as_operand(Quantizer *q, const Node *n, ValId v, Kind kind, bool wide, const Loc *loc) {
  if (wide) return as_code16(q, v, quant_affine16(q, kind == KIND_JOIN ? n->out[0] : v), loc);
  return kind == KIND_JOIN ? as_code_in(q, v, quant_affine(q, n->out[0]), loc) : as_code(q, v, loc);
}

/* Everything else on codes: real inputs as int8 or int16, others (a Gather's indices) as they are. */
static bool emit_codes(Quantizer *q, const Node *n, Kind kind, bool wide, const Loc *loc) {
  ValId *in = mem_array(n->n_in, sizeof *in), y = NO_VAL;
  bool ok = true;
  for (uint32_t i = 0; ok && i < n->n_in; i++) {
    if (!quant_is_real(q->g, n->in[i]))
      in[i] = as_real(q, n->in[i], loc);
    else
      in[i] = as_operand(q, n, n->in[i], kind, wide, loc);
    ok = in[i] != NO_VAL;
  }
  if (ok) y = graph_node(q->to, n->op, n->attrs, in, n->n_in, graph_val(q->g, n->out[0])->name, loc, q->d);
  mem_free(in);
  return finish(q, n, wide, y);
}

static bool emit_real(Quantizer *q, const Node *n, const Loc *loc) {
  ValId *in = mem_array(n->n_in, sizeof *in);
  bool real = false;
  for (uint32_t i = 0; i < n->n_in; i++) {
    in[i] = as_real(q, n->in[i], loc);
    real = real || quant_is_real(q->g, n->in[i]);
  }
  if (real && !q->in_float[n - q->g->nodes])
    diag_warn(q->d, loc, "quantize: %s is computed in float32: it has no int8 form", op_info(n->op)->name);
  ValId y = graph_node(q->to, n->op, n->attrs, in, n->n_in, graph_val(q->g, n->out[0])->name, loc, q->d);
  q->real[n->out[0]] = y;
  mem_free(in);
  return y != NO_VAL;
}

static bool emit_node(Quantizer *q, const Node *n) {
  Loc loc = n->loc;
  loc.pass = "quantize";
  const Kind kind = quant_kind_in(q, (NodeId)(n - q->g->nodes));
  if (kind == KIND_FLOAT) return emit_real(q, n, &loc);
  if (!quant_known(q, n->out[0]))
    return diag_error(q->d, &loc,
                      "quantize: no range is known of this output: the engine does not compute it");
  const bool wide = quant_is_wide(q, n);
  return kind == KIND_WEIGHTS ? emit_weights(q, n, wide, &loc) : emit_codes(q, n, kind, wide, &loc);
}

/* ---- inputs and outputs */

static Affine as_u8(Affine a) { return (Affine){a.scale, a.zero + 128}; }

static bool emit_input(Quantizer *q, ValId v) {
  const Value *x = graph_val(q->g, v);
  if (x->dtype != DT_F32 || q->o.io == IO_FLOAT) {
    q->real[v] = graph_input(q->to, x->name, x->dtype, &x->shape);
    return true;
  }
  Affine a = quant_affine(q, v);
  ValId in = graph_input(q->to, x->name, q->o.io == IO_UINT8 ? DT_U8 : DT_I8, &x->shape);
  set_affine(q->to, in, q->o.io == IO_UINT8 ? as_u8(a) : a);
  q->code[v] = in;
  if (q->o.io == IO_UINT8) {
    Loc loc = {.file = q->g->name, .name = x->name, .pass = "quantize"};
    q->code[v] = put_quantize(q, in, DT_I8, a, x->name, &loc);
  }
  return q->code[v] != NO_VAL;
}

static void emit_state(Quantizer *q, const GraphState *s) {
  const Value *v = graph_val(q->g, s->now), *init = graph_val(q->g, s->init);
  if (quant_state_is_code(q->g, s)) {
    q->code[s->now] = graph_state(q->to, v->name, const_codes(q, s->init, quant_affine(q, s->now)));
    return;
  }
  ValId first = graph_const(q->to, init->name, init->dtype, &init->shape, blob_ref(init->blob));
  q->real[s->now] = graph_state(q->to, v->name, first);
}

static bool emit_next(Quantizer *q, uint32_t i) {
  const GraphState *s = &q->g->states[i];
  const Node *n = graph_def(q->g, s->next);
  Loc loc = n ? n->loc : (Loc){.file = q->g->name, .name = graph_val(q->g, s->next)->name};
  loc.pass = "quantize";
  q->to->states[i].next = q->code[s->now] != NO_VAL && quant_state_is_code(q->g, s)
                              ? as_code_in(q, s->next, quant_affine(q, s->now), &loc)
                              : as_real(q, s->next, &loc);
  return q->to->states[i].next != NO_VAL;
}

static bool emit_output(Quantizer *q, ValId v) {
  const Node *n = graph_def(q->g, v);
  Loc loc = n ? n->loc : (Loc){.file = q->g->name, .name = graph_val(q->g, v)->name};
  loc.pass = "quantize";
  ValId y = quant_is_real(q->g, v) && q->o.io != IO_FLOAT ? as_code(q, v, &loc) : as_real(q, v, &loc);
  if (y != NO_VAL && quant_is_real(q->g, v) && q->o.io == IO_UINT8)
    y = put_quantize(q, y, DT_U8, as_u8(quant_affine(q, v)), graph_val(q->g, v)->name, &loc);
  if (y != NO_VAL) graph_output(q->to, y);
  return y != NO_VAL;
}

static bool rewrite_int8(Quantizer *q) {
  const Graph *g = q->g;
  bool ok = true;
  for (uint32_t i = 0; ok && i < g->n_inputs; i++) ok = emit_input(q, g->inputs[i]);
  for (uint32_t i = 0; i < g->n_states; i++) emit_state(q, &g->states[i]);
  for (NodeId i = 0; ok && i < g->n_nodes; i++) ok = emit_node(q, &g->nodes[i]);
  for (uint32_t i = 0; ok && i < g->n_outputs; i++) ok = emit_output(q, g->outputs[i]);
  for (uint32_t i = 0; ok && i < g->n_states; i++) ok = emit_next(q, i);
  return ok;
}

/* ---- the pass */

static bool check_float(const Graph *g, Diag *d) {
  for (NodeId i = 0; i < g->n_nodes; i++)
    FAIL_IF(graph_val(g, g->nodes[i].out[0])->quant.n > 0, d, &g->nodes[i].loc,
            "quantize: the graph is quantized already");
  return true;
}

static void forget_values(Quantizer *q) {
  const size_t n = q->g->n_vals;
  memset(q->code, 0, n * sizeof *q->code);
  memset(q->code16, 0, n * sizeof *q->code16);
  memset(q->real, 0, n * sizeof *q->real);
  for (NodeId i = 0; i < q->g->n_nodes; i++) q->layer[i] = NO_NODE;
}

Graph *quant_build(Quantizer *q, const Dataset *ds, QuantMakeFn *make) {
  forget_values(q);
  q->to = graph_new_like(q->g);
  if (make(q) && (!ds || !q->o.correct || quant_correct(q, ds))) return q->to;
  graph_free(q->to);
  return NULL;
}

static bool find_ranges(Quantizer *q, const Dataset *ds) {
  if (ds) return calibrate(q->g, ds, &q->o.cal, q->host, q->range, q->d);
  for (ValId v = 1; v < q->g->n_vals; v++)
    q->range[v] = (CalRange){.lo = -1, .hi = 1, .most = 1, .seen = !q->given};
  return true;
}

/* Weights that plain rounding to 8 bits does not do for. */
static bool choose_codes(Quantizer *q, const Dataset *ds) {
  const WeightOptions *o = &q->o.weights;
  if (q->like) return quant_like_codes(q);
  if (q->given || (o->most == 127 && !o->gptq)) return true;
  q->codes = quant_weights_choose(q->g, o, q->o.fc_per_tensor, ds, q->o.cal.images, q->host, q->d);
  return q->codes != NULL;
}

static Graph *build_all(Quantizer *q, const Dataset *ds, QuantMakeFn *make) {
  if (!find_ranges(q, ds) || !choose_codes(q, ds)) return NULL;
  quant_classes(q);
  if (!quant_named(q)) return NULL;
  Graph *done = q->o.budget >= 0 && ds ? quant_budget(q, ds, make) : quant_build(q, ds, make);
  if (!done || make != rewrite_int8 || quant_report(q, ds)) return done;
  graph_free(done);
  return NULL;
}

Graph *quant_run(Quantizer *q, const Dataset *ds, QuantMakeFn *make) {
  const size_t n = q->g->n_vals, nodes = q->g->n_nodes + 1;
  q->range = mem_array(n, sizeof *q->range);
  q->cls = mem_array(n, sizeof *q->cls);
  q->layer = mem_array(nodes, sizeof *q->layer);
  q->code = mem_array(n, sizeof *q->code);
  q->code16 = mem_array(n, sizeof *q->code16);
  q->real = mem_array(n, sizeof *q->real);
  q->wide = mem_array(n, sizeof *q->wide);
  q->in_float = mem_array(nodes, sizeof *q->in_float);
  Graph *done = build_all(q, ds, make);
  codes_free(q->codes, (uint32_t)n);
  mem_free(q->range);
  mem_free(q->cls);
  mem_free(q->layer);
  mem_free(q->code);
  mem_free(q->code16);
  mem_free(q->real);
  mem_free(q->wide);
  mem_free(q->in_float);
  return done;
}

/* Prepared, calibrated on the data (NULL: nominal ranges, or what training has left) and made int8. */
static Graph *quantize_on(const Graph *g, const Dataset *given, Quantizer *q) {
  Dataset none = {0}, ds;
  Graph *ready = quant_prepare(g, given ? given : &none, &ds, &q->input, q->d);
  if (!ready) return NULL;
  if (given && q->o.cal.images > ds.train.n) q->o.cal.images = ds.train.n;
  q->g = ready;
  Graph *done = quant_run(q, given ? &ds : NULL, rewrite_int8);
  graph_free(ready);
  return done;
}

/* With the scales that the graph's FakeQuants have. */
static Graph *quantize_trained(const Graph *g, Quantizer *q) {
  Given given;
  Graph *plain = qat_strip(g, &given, q->d);
  if (!plain) return NULL;
  q->g = plain;
  q->given = &given;
  q->o.correct = false; /* trained as they are */
  q->o.budget = -1;
  Graph *done = quant_run(q, NULL, rewrite_int8);
  given_free(&given, plain);
  graph_free(plain);
  return done;
}

Graph *pass_quantize(const Graph *g, const PassCtx *ctx, Diag *d) {
  Quantizer q = {.host = ctx->host, .d = d, .like = ctx->like};
  if (!quant_options(ctx->params, &q.o, d) || !check_float(g, d)) return NULL;
  if (qat_has_grids(g)) return quantize_trained(g, &q);
  if (!ctx->data || ctx->data->train.n == 0) {
    diag_error(d, NULL, "quantize: no calibration images");
    return NULL;
  }
  return quantize_on(g, ctx->data, &q);
}

Graph *quantize_nominal_as(const Graph *g, const char *params, Diag *d) {
  Quantizer q = {.d = d};
  if (!quant_options(params, &q.o, d) || !check_float(g, d)) return NULL;
  return qat_has_grids(g) ? quantize_trained(g, &q) : quantize_on(g, NULL, &q);
}

Graph *quantize_nominal(const Graph *g, Diag *d) { return quantize_nominal_as(g, "", d); }
