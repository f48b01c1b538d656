/* qat: a float graph with FakeQuants wherever `quantize` would put an int8 tensor, for training.
 *
 *   x ---> FakeQuant ---> Conv ---> FakeQuant ---> Add, as a FakeQuant of two ---> ...
 *               w ---> FakeQuant -'    (like sums)
 *
 *   qat,distill{...},quantize      insert, train weights and steps, make it int8
 *
 * What quantize does to a value (quantizer.h), a FakeQuant simulates in float32: weights per output channel, activations
 * per tensor, values of one class with one step. It rounds as the int8 kernel of the operator before it does, so that the
 * simulation's numbers are those of the int8 graph that `quantize` makes of it (qat_strip.c), but where a float32 sum is off by
 * half a step of its integers. Weights of 4 bits begin as quantize rounds them (quant_gptq.c). The steps begin as calibrated
 * and are learned (Esser et al. 2020, arXiv:1902.08153); zero
 * points stay. The graph has been through bnfuse and fuse: BatchNormalization is part of the weights.
 */
#include "passes/quantizer.h"

#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/lower.h"

PassFn pass_qat;

enum { LIKE_QUANTIZE, LIKE_SUMS, LIKE_ADD, LIKE_MEAN, LIKE_BIAS }; /* of FakeQuant */

typedef struct Qat {
  Quantizer *q;
  ValId *step;    /* of each class, by representative */
  ValId *grid;    /* a value on its grid, in q->to */
  ValId *weights; /* weights on theirs: layers that share them share their steps */
  bool learn, lsq;
} Qat;

static const char *name_of(const Qat *t, ValId v) { return graph_val(t->q->g, v)->name; }

/* The step of v's class: a constant of one element. */
static ValId step_of(Qat *t, ValId v) {
  ValId c = quant_class(t->q, v);
  Shape s = {1, {1}};
  Affine a = quant_affine(t->q, v);
  if (t->step[c] == NO_VAL) t->step[c] = graph_const_data(t->q->to, name_of(t, v), DT_F32, &s, &a.scale);
  return t->step[c];
}

/* Factor of a step's gradient: LSQ's 1 / sqrt(elements * largest code), or the step's square, by which SGD changes it in
 * proportion to itself, whatever the unit of the tensor: a step of a few values (logits) does not run away. */
static float step_factor(const Qat *t, int64_t n, float step) {
  return t->lsq ? 1 / sqrtf((float)(n > 0 ? n : 1) * 127) : step * step;
}

/* A FakeQuant of v's class: in[0] and, by `like`, in[2..4] are set; in[1] becomes the step. */
static ValId put_grid(Qat *t, ValId v, fake_quant_attrs *a, ValId in[5], uint32_t n_in, const Loc *loc) {
  const Shape *s = &graph_val(t->q->g, v)->shape;
  if (!quant_known(t->q, v)) {
    diag_error(t->q->d, loc, "qat: no range is known of \"%s\": the engine computes no such value",
               name_of(t, v) ? name_of(t, v) : "");
    return NO_VAL;
  }
  a->zero = quant_affine(t->q, v).zero;
  a->learn = t->learn && !quant_fixed(t->q, v);
  a->grad = step_factor(t, shape_count_range(s, s->rank > 1 ? 1 : 0, s->rank), quant_affine(t->q, v).scale);
  in[1] = step_of(t, v);
  return graph_node(t->q->to, OP_fake_quant, a, in, n_in, name_of(t, v), loc, t->q->d);
}

static fake_quant_attrs defaults(void) {
  fake_quant_attrs a;
  op_attrs_default(OP_fake_quant, &a);
  return a;
}

static ValId one(Qat *t) { return graph_const_data(t->q->to, NULL, DT_F32, &(Shape){1, {1}}, &(float){1}); }

/* x, a value in q->to, rounded as Quantize does to the class of v. */
static ValId put_plain(Qat *t, ValId v, ValId x, const Loc *loc) {
  fake_quant_attrs a = defaults();
  ValId in[5] = {x};
  return put_grid(t, v, &a, in, 2, loc);
}

/* -- values -- */

static ValId real_of(Qat *t, ValId v) {
  Quantizer *q = t->q;
  if (v == NO_VAL) return NO_VAL;
  if (t->grid[v] != NO_VAL) return t->grid[v];
  const Value *x = graph_val(q->g, v);
  if (q->real[v] == NO_VAL && x->blob)
    q->real[v] = graph_const(q->to, x->name, x->dtype, &x->shape, blob_ref(x->blob));
  return q->real[v];
}

static ValId grid_of(Qat *t, ValId v, const Loc *loc) {
  if (t->grid[v] == NO_VAL) {
    ValId x = real_of(t, v);
    t->grid[v] = x == NO_VAL ? NO_VAL : put_plain(t, v, x, loc);
  }
  return t->grid[v];
}

/* v on the grid of another value's class. */
static ValId grid_as(Qat *t, ValId v, ValId as, const Loc *loc) {
  Affine a = quant_affine(t->q, v), b = quant_affine(t->q, as);
  if (val_is_const(t->q->g, v)) return put_plain(t, as, real_of(t, v), loc);
  ValId x = grid_of(t, v, loc);
  if (x == NO_VAL || quant_class(t->q, v) == quant_class(t->q, as) ||
      (a.scale == b.scale && a.zero == b.zero))
    return x;
  fake_quant_attrs f = defaults();
  f.like = LIKE_SUMS; /* Quantize of codes: its multiplier is as Conv's */
  ValId in[5] = {x, NO_VAL, step_of(t, v), one(t)};
  return put_grid(t, as, &f, in, 4, loc);
}

/* -- nodes -- */

/* Weights and bias of the layer, which nobody else reads, as their rounding has left them: where training begins. */
static void begin_at(Qat *t, const Node *n, const WeightView *v, const Codes *c, const int8_t *code,
                     const float *scale) {
  Quantizer *q = t->q;
  const Value *w = graph_val(q->g, n->in[1]);
  float *real = mem_array((size_t)(v->outs * v->each), sizeof *real);
  for (int64_t i = 0; i < v->outs * v->each; i++) real[i] = scale[i / v->each] * (float)code[i];
  q->real[n->in[1]] = graph_const_data(q->to, w->name, DT_F32, &w->shape, real);
  mem_free(real);
  if (n->n_in < 3) return;
  const Value *b = graph_val(q->g, n->in[2]);
  float *moved = mem_array((size_t)v->outs, sizeof *moved);
  for (int64_t o = 0; o < v->outs; o++)
    moved[o] = ((const float *)val_data(q->g, n->in[2]))[o] + (float)c->bias[o];
  q->real[n->in[2]] = graph_const_data(q->to, b->name, DT_F32, &b->shape, moved);
  mem_free(moved);
}

/* Weights on their grids: steps per output channel, or one. *steps: the constant that holds them. */
static ValId weights_of(Qat *t, const Node *n, ValId *steps, const Loc *loc) {
  Quantizer *q = t->q;
  ValId *done = &t->weights[n->in[1]];
  if (*done != NO_VAL) {
    *steps = graph_def(q->to, *done)->in[1];
    return *done;
  }
  WeightView v = quant_weights(q->g, n);
  bool per_channel = !(q->o.fc_per_tensor && n->op == OP_fully_connected), bias = n->n_in > 2;
  float *scale = mem_array((size_t)v.outs, sizeof *scale);
  int8_t *code = mem_alloc((size_t)(v.outs * v.each));
  int32_t *qb = mem_array((size_t)v.outs, sizeof *qb);
  const Codes *codes = q->codes && q->codes[n->in[1]].most ? &q->codes[n->in[1]] : NULL;
  const float *b = bias ? val_data(q->g, n->in[2]) : NULL, in_scale = quant_affine(q, n->in[0]).scale;
  if (codes)
    codes_put(codes, &v, per_channel, b, in_scale, code, scale, qb);
  else
    weights_quantize(&v, per_channel, b, in_scale, code, scale, qb);
  Shape s = {1, {per_channel ? v.outs : 1}};
  *steps = graph_const_data(q->to, name_of(t, n->in[1]), DT_F32, &s, scale);
  float mean = 0;
  for (int64_t o = 0; o < v.outs; o++) mean += scale[o] / (float)v.outs;
  if (codes && codes->q && per_channel) begin_at(t, n, &v, codes, code, scale);
  mem_free(scale);
  mem_free(code);
  mem_free(qb);
  fake_quant_attrs a = defaults();
  a.hi = codes ? codes->most : 127;
  a.lo = -a.hi;
  a.axis = n->op == OP_depthwise_conv ? 3 : 0;
  a.learn = t->learn;
  /* Of few bits a step is wide: it learns as fast as one of 8 bits would for the same weights. */
  a.grad = step_factor(t, per_channel ? v.each : v.outs * v.each, mean) * (float)a.hi / 127;
  ValId in[2] = {real_of(t, n->in[1]), *steps};
  return *done = graph_node(q->to, OP_fake_quant, &a, in, 2, name_of(t, n->in[1]), loc, q->d);
}

/* The bias, int32 of weights' steps times the input's. */
static ValId bias_of(Qat *t, const Node *n, ValId steps, const Loc *loc) {
  fake_quant_attrs a = defaults();
  a.like = LIKE_BIAS;
  a.lo = -(1 << 30), a.hi = 1 << 30;
  ValId in[3] = {real_of(t, n->in[2]), steps, step_of(t, n->in[0])};
  return graph_node(t->q->to, OP_fake_quant, &a, in, 3, name_of(t, n->in[2]), loc, t->q->d);
}

static int32_t act_of(const Node *n) {
  const OpInfo *op = op_info(n->op);
  for (int i = 0; i < op->n_attrs; i++)
    if (op->attrs[i].kind == ATTR_ACT)
      return *(const int32_t *)((const char *)n->attrs + op->attrs[i].offset);
  return ACT_NONE;
}

static ValId put_node(Qat *t, const Node *n, const ValId *in, const Loc *loc) {
  return graph_node(t->q->to, n->op, n->attrs, in, n->n_in, name_of(t, n->out[0]), loc, t->q->d);
}

static bool emit_weights(Qat *t, const Node *n, const Loc *loc) {
  ValId steps, in[3] = {grid_of(t, n->in[0], loc)};
  if (in[0] == NO_VAL) return false;
  in[1] = weights_of(t, n, &steps, loc);
  if (n->n_in > 2) in[2] = bias_of(t, n, steps, loc);
  ValId y = in[1] == NO_VAL ? NO_VAL : put_node(t, n, in, loc);
  if (y == NO_VAL) return false;
  fake_quant_attrs a = defaults();
  a.like = LIKE_SUMS;
  a.act = act_of(n);
  ValId of[5] = {y, NO_VAL, steps, step_of(t, n->in[0])};
  t->grid[n->out[0]] = put_grid(t, n->out[0], &a, of, 4, loc);
  return t->grid[n->out[0]] != NO_VAL;
}

/* Add of two tensors of the output's shape: one FakeQuant adds and rounds as the kernel does. */
static bool adds_alike(const Graph *g, const Node *n) {
  const Shape *y = &graph_val(g, n->out[0])->shape;
  return n->op == OP_add && shape_equal(&graph_val(g, n->in[0])->shape, y) &&
         shape_equal(&graph_val(g, n->in[1])->shape, y);
}

static bool emit_add(Qat *t, const Node *n, const Loc *loc) {
  ValId x = grid_of(t, n->in[0], loc), y = x == NO_VAL ? NO_VAL : grid_of(t, n->in[1], loc);
  if (y == NO_VAL) return false;
  fake_quant_attrs a = defaults();
  a.like = LIKE_ADD;
  a.act = act_of(n);
  ValId in[5] = {x, NO_VAL, step_of(t, n->in[0]), step_of(t, n->in[1]), y};
  t->grid[n->out[0]] = put_grid(t, n->out[0], &a, in, 5, loc);
  return t->grid[n->out[0]] != NO_VAL;
}

static int32_t mean_count(const Graph *g, const Node *n) {
  const reduce_mean_attrs *a = CATTRS(n, reduce_mean);
  int64_t count = 1;
  for (int i = 0; i < a->axes.n; i++) count *= graph_val(g, n->in[0])->shape.d[a->axes.v[i]];
  return (int32_t)count;
}

/* Whether the operator's output is on its input's grid as it is. */
static bool keeps_grid(const Node *n, Kind kind) {
  if (n->op == OP_pad) return CATTRS(n, pad)->value == 0;
  return kind == KIND_JOIN || (kind == KIND_SHARE && n->op != OP_average_pool);
}

/* What the operator's int8 kernel rounds, beside x itself: `like` and the inputs behind the step, how many there are in
 * all. Mul's products are integers of both steps, Relu's input of one. Others round as Quantize does: where their kernels
 * round otherwise (tables, averages, LeakyRelu), a code may differ near the middle between two. */
static uint32_t rounds_like(Qat *t, const Node *n, fake_quant_attrs *a, ValId in[5]) {
  const Graph *g = t->q->g;
  a->act = act_of(n);
  if (n->op != OP_reduce_mean && n->op != OP_mul && n->op != OP_relu) return 2;
  in[2] = step_of(t, n->in[0]);
  if (n->op == OP_reduce_mean) {
    a->like = LIKE_MEAN, a->count = mean_count(g, n);
    return 3;
  }
  a->like = LIKE_SUMS;
  in[3] = n->op == OP_mul ? step_of(t, n->in[1]) : one(t);
  return 4;
}

static bool emit_codes(Qat *t, const Node *n, Kind kind, const Loc *loc) {
  Quantizer *q = t->q;
  ValId out = n->out[0], *in = mem_array(n->n_in, sizeof *in), y = NO_VAL;
  bool ok = true;
  for (uint32_t i = 0; ok && i < n->n_in; i++) {
    bool real = graph_val(q->g, n->in[i])->dtype == DT_F32;
    in[i] = !real               ? real_of(t, n->in[i])
            : kind == KIND_JOIN ? grid_as(t, n->in[i], out, loc)
                                : grid_of(t, n->in[i], loc);
    ok = in[i] != NO_VAL;
  }
  if (ok) y = put_node(t, n, in, loc);
  mem_free(in);
  if (y == NO_VAL) return false;
  fake_quant_attrs a = defaults();
  ValId of[5] = {y};
  t->grid[out] = keeps_grid(n, kind) ? y : put_grid(t, out, &a, of, rounds_like(t, n, &a, of), loc);
  return t->grid[out] != NO_VAL;
}

static bool emit_real(Qat *t, const Node *n, const Loc *loc) {
  ValId *in = mem_array(n->n_in, sizeof *in);
  for (uint32_t i = 0; i < n->n_in; i++) in[i] = real_of(t, n->in[i]);
  t->q->real[n->out[0]] = put_node(t, n, in, loc);
  mem_free(in);
  return t->q->real[n->out[0]] != NO_VAL;
}

static bool emit_node(Qat *t, const Node *n) {
  Loc loc = n->loc;
  loc.pass = "qat";
  Kind kind = quant_kind(t->q->g, n);
  if (kind == KIND_FLOAT) return emit_real(t, n, &loc);
  if (kind == KIND_WEIGHTS) return emit_weights(t, n, &loc);
  return adds_alike(t->q->g, n) ? emit_add(t, n, &loc) : emit_codes(t, n, kind, &loc);
}

/* -- the pass -- */

static bool insert(Qat *t) {
  Quantizer *q = t->q;
  const Graph *g = q->g;
  bool ok = true;
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    const Value *x = graph_val(g, g->inputs[i]);
    q->real[g->inputs[i]] = graph_input(q->to, x->name, x->dtype, &x->shape);
  }
  for (NodeId i = 0; ok && i < g->n_nodes; i++) ok = emit_node(t, &g->nodes[i]);
  for (uint32_t i = 0; ok && i < g->n_outputs; i++) {
    Loc loc = {.file = g->name, .pass = "qat"};
    ValId v = g->outputs[i],
          y = graph_val(g, v)->dtype == DT_F32 && q->o.io != IO_FLOAT ? grid_of(t, v, &loc) : real_of(t, v);
    ok = y != NO_VAL;
    if (ok) graph_output(q->to, y);
  }
  return ok;
}

static bool insert_as(Quantizer *q, bool learn, bool lsq) {
  Qat t = {.q = q, .learn = learn, .lsq = lsq};
  t.step = mem_array(q->g->n_vals, sizeof *t.step);
  t.grid = mem_array(q->g->n_vals, sizeof *t.grid);
  t.weights = mem_array(q->g->n_vals, sizeof *t.weights);
  bool ok = insert(&t);
  mem_free(t.step);
  mem_free(t.grid);
  mem_free(t.weights);
  return ok;
}

static bool insert_steps(Quantizer *q) { return insert_as(q, true, false); }
static bool insert_lsq(Quantizer *q) { return insert_as(q, true, true); }
static bool insert_fixed(Quantizer *q) { return insert_as(q, false, false); }

static QuantMakeFn *parse_steps(const char *params, Diag *d) {
  static const struct {
    const char *name;
    QuantMakeFn *make;
  } ways[] = {{"learned", insert_steps}, {"lsq", insert_lsq}, {"fixed", insert_fixed}};
  char text[32] = "learned";
  pass_param(params, "steps", text, sizeof text);
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
    if (strcmp(text, ways[i].name) == 0) return ways[i].make;
  diag_error(d, NULL, "qat: steps=%s, want learned, lsq or fixed", text);
  return NULL;
}

Graph *pass_qat(const Graph *g, const PassCtx *ctx, Diag *d) {
  Quantizer q = {.host = ctx->host, .d = d};
  Dataset ds;
  QuantMakeFn *make = parse_steps(ctx->params, d);
  if (!make) return NULL;
  if (!ctx->data || ctx->data->train.n == 0) {
    diag_error(d, NULL, "qat: no calibration images");
    return NULL;
  }
  if (qat_has_grids(g)) {
    diag_error(d, NULL, "qat: the graph has FakeQuants already");
    return NULL;
  }
  if (!quant_options(ctx->params, &q.o, d) || !graph_want_stateless(g, "qat", d)) return NULL;
  Graph *ready = quant_prepare(g, ctx->data, &ds, &q.input, d);
  if (!ready) return NULL;
  if (q.o.cal.images > ds.train.n) q.o.cal.images = ds.train.n;
  q.g = ready;
  q.o.correct = false, q.o.budget = -1; /* training does */
  Graph *done = quant_run(&q, &ds, make);
  graph_free(ready);
  return done;
}
