/* Generators of drafts for operators of all kinds but windows (gen_window.c). Each says in a line what it makes; false:
 * nothing that would do came up, the driver tries again.
 */
#include "ir/custom.h"
#include "tests/random/gen.h"

#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "tests/ir/samples.h"

/* One input of any shape. */
bool gen_unary(Gen *r, Draft *t) {
  t->in[t->n_in++] = gen_value(r, t->type, 0, 6);
  return true;
}

Shape gen_broadcast(Gen *r, const Shape *s) {
  Shape b = *s;
  if (gen_chance(r, 40)) return b;
  int drop = gen_chance(r, 40) ? gen_int(r, 0, s->rank) : 0;
  b.rank -= drop;
  for (int i = 0; i < b.rank; i++) b.d[i] = gen_chance(r, 40) ? 1 : s->d[drop + i];
  return b;
}

static void binary_inputs(Gen *r, Draft *t, bool same_quant) {
  ValId x = gen_value(r, t->type, 0, 6);
  Shape s = gen_broadcast(r, gen_shape_of(r, x));
  const Quant q = r->g->vals[x].quant;
  ValId y = gen_chance(r, 5) ? x : gen_value_like(r, t->type, &s, same_quant ? &q : NULL);
  bool swap = gen_chance(r, 40);
  t->in[0] = swap ? y : x;
  t->in[1] = swap ? x : y;
  t->n_in = 2;
}

/* Two inputs that broadcast. */
bool gen_binary(Gen *r, Draft *t) {
  binary_inputs(r, t, false);
  return true;
}

/* Two inputs that broadcast, of one quantization. */
bool gen_choice(Gen *r, Draft *t) {
  binary_inputs(r, t, true);
  return true;
}

/* [..., K] with a matrix [O, K], bias or not. */
bool gen_fully_connected(Gen *r, Draft *t) {
  ValId x = gen_value(r, t->type, 1, 5);
  const Shape *s = gen_shape_of(r, x);
  const int64_t k = s->d[s->rank - 1], o = gen_int(r, 1, 9);
  const Shape w = shape_of(2, o, k);
  t->in[t->n_in++] = x;
  t->in[t->n_in++] = gen_weights(r, t->type, &w, 0);
  if (gen_chance(r, 60)) t->in[t->n_in++] = gen_bias(r, t->type, o);
  const Quant *qw = &r->g->vals[t->in[1]].quant;
  if (qw->n > 0 && r->g->vals[x].quant.n > 0)
    t->scale = r->g->vals[x].quant.scale[0] * qw->scale[0] * 64 * sqrtf((float)k);
  return true;
}

/* Two stacks of matrices; outer axes broadcast. */
bool gen_matmul(Gen *r, Draft *t) {
  ValId x = gen_value(r, t->type, 2, 5);
  const Shape *s = gen_shape_of(r, x);
  Shape b = *s;
  b.d[s->rank - 2] = s->d[s->rank - 1];
  b.d[s->rank - 1] = gen_int(r, 1, 7);
  int drop = gen_int(r, 0, s->rank - 2);
  for (int i = 0; i < s->rank - 2; i++)
    if (gen_chance(r, 40)) b.d[i] = 1;
  memmove(b.d, b.d + drop, (size_t)(s->rank - drop) * sizeof *b.d);
  b.rank -= drop;
  t->in[0] = x;
  t->in[1] = gen_value_like(r, t->type, &b, NULL);
  t->n_in = 2;
  return true;
}

/* One input, attribute axes: some of its axes, ascending. */
bool gen_reduce(Gen *r, Draft *t) {
  int64_t axes[MAX_RANK];
  int n = 0;
  t->in[t->n_in++] = gen_value(r, t->type, 1, 6);
  int rank = gen_shape_of(r, t->in[0])->rank;
  for (int i = r->train ? 1 : 0; i < rank; i++)
    if (gen_chance(r, 50)) axes[n++] = i;
  gen_set_ints(t, "axes", axes, n);
  return n > 0;
}

/* BatchNormalization: scale, bias, mean, variance along any axis. */
bool gen_norm(Gen *r, Draft *t) {
  ValId x = gen_value(r, DT_F32, 1, 5);
  const Shape *s = gen_shape_of(r, x);
  int axis = gen_chance(r, 70) ? s->rank - 1 : gen_int(r, 0, s->rank - 1);
  const Shape c = shape_of(1, s->d[axis]);
  gen_set_int(t, "axis", axis);
  t->in[t->n_in++] = x;
  for (int i = 0; i < 3; i++) t->in[t->n_in++] = gen_const_range(r, &c, -1, 1);
  t->in[t->n_in++] = gen_const_range(r, &c, 0.5f, 2);
  return true;
}

/* int8 Sigmoid and Tanh: TFLite's quantization of the output, or another one. */
bool gen_table(Gen *r, Draft *t) {
  gen_unary(r, t);
  bool sigmoid = t->op == op_info(OP_sigmoid);
  t->fixed = gen_chance(r, 60);
  t->scale = sigmoid ? 1.0f / 256 : 1.0f / 128;
  t->zero = sigmoid ? -128 : 0;
  return true;
}

/* int8 Softmax: innermost axis, output 1/256 and -128. */
bool gen_softmax(Gen *r, Draft *t) {
  t->in[t->n_in++] = gen_value(r, t->type, 1, 5);
  t->fixed = true;
  t->scale = 1.0f / 256;
  t->zero = -128;
  return true;
}

/* Norms of int8 along the innermost axis, whose output has one quantization. */
bool gen_norm_s8(Gen *r, Draft *t) {
  const bool log = t->op == op_info(OP_log_softmax);
  t->in[t->n_in++] = gen_value(r, t->type, 1, 5);
  t->fixed = true;
  t->scale = log ? 1.0f / 16 : 1.0f / 128;
  t->zero = log ? 127 : 0;
  return true;
}

/* -- moves -- */

/* The elements of one input in another shape: its extents' factors dealt out anew. */
bool gen_reshape(Gen *r, Draft *t) {
  ValId x = gen_value(r, t->type, 0, 6);
  const Shape *s = gen_shape_of(r, x);
  int64_t left = shape_count(s), to[MAX_RANK];
  int n = 0;
  if (r->train) { /* the batch stays in front */
    left = shape_count_range(s, s->rank > 0, s->rank);
    to[n++] = 1;
  }
  for (int want = gen_int(r, n + 1, 5); n < want - 1; n++) {
    to[n] = left > 0 ? 1 : gen_int(r, 0, 3);
    for (int64_t p = 2; p <= 7; p++)
      while (left > 0 && left % p == 0 && gen_chance(r, 40)) {
        to[n] *= p;
        left /= p;
      }
  }
  to[n++] = left;
  t->in[t->n_in++] = x;
  if (!r->train && shape_count(s) > 0 && gen_chance(r, 30)) to[gen_int(r, 0, n - 1)] = -1;
  gen_set_ints(t, "shape", to, n);
  return true;
}

bool gen_transpose(Gen *r, Draft *t) {
  int64_t perm[MAX_RANK];
  t->in[t->n_in++] = gen_value(r, t->type, r->train ? 2 : 1, 6);
  int rank = gen_shape_of(r, t->in[0])->rank, first = r->train ? 1 : 0;
  for (int i = 0; i < rank; i++) perm[i] = i;
  for (int i = rank - 1; i > first; i--) {
    int j = gen_int(r, first, i);
    int64_t held = perm[i];
    perm[i] = perm[j];
    perm[j] = held;
  }
  gen_set_ints(t, "perm", perm, rank);
  return true;
}

/* One to four inputs beside one another along a random axis, of one quantization. */
bool gen_concat(Gen *r, Draft *t) {
  ValId x = gen_value(r, t->type, r->train ? 2 : 1, 6);
  const Shape s = *gen_shape_of(r, x);
  const Quant q = r->g->vals[x].quant;
  int axis = gen_int(r, r->train ? 1 : 0, s.rank - 1), n = gen_int(r, 1, 4), at = gen_int(r, 0, n - 1);
  for (int i = 0; i < n; i++) {
    Shape b = s;
    if (gen_chance(r, 60)) b.d[axis] = gen_int(r, 1, 5);
    t->in[t->n_in++] = i == at ? x : gen_value_like(r, t->type, &b, &q);
  }
  gen_set_int(t, "axis", axis);
  return true;
}

bool gen_pad(Gen *r, Draft *t) {
  int64_t pads[2 * MAX_RANK] = {0};
  t->in[t->n_in++] = gen_value(r, t->type, 1, 5);
  int rank = gen_shape_of(r, t->in[0])->rank;
  for (int i = 0; i < 2 * rank; i++)
    if (!(r->train && i % rank == 0) && gen_chance(r, 40)) pads[i] = gen_int(r, 1, 3);
  gen_set_ints(t, "pads", pads, 2 * rank);
  return true;
}

bool gen_slice(Gen *r, Draft *t) {
  int64_t starts[MAX_RANK], counts[MAX_RANK], steps[MAX_RANK];
  t->in[t->n_in++] = gen_value(r, t->type, 1, 6);
  const Shape *s = gen_shape_of(r, t->in[0]);
  for (int i = 0; i < s->rank; i++) {
    bool whole = s->d[i] == 0 || (i == 0 && r->train) || gen_chance(r, 40);
    int64_t dim = s->d[i], step = gen_chance(r, 40) ? gen_int(r, 2, 3) : 1;
    bool back = !whole && gen_chance(r, 20);
    starts[i] = whole ? 0 : gen_int(r, 0, (int)dim - 1);
    int64_t room = back ? starts[i] / step + 1 : (dim - 1 - starts[i]) / step + 1;
    counts[i] = whole ? dim : gen_int(r, r->empty ? 0 : 1, (int)room);
    steps[i] = whole ? 1 : back ? -step : step;
  }
  gen_set_ints(t, "starts", starts, s->rank);
  gen_set_ints(t, "counts", counts, s->rank);
  gen_set_ints(t, "steps", steps, s->rank);
  return true;
}

/* Data and indices; constant ones, and what could be folded to them, lie within the axis; inputs are anything. */
bool gen_gather(Gen *r, Draft *t) {
  ValId x = gen_value(r, t->type, 1, 4);
  const Shape s = *gen_shape_of(r, x);
  int axis = gen_int(r, 0, s.rank - 1), len = (int)s.d[axis];
  const DType wide = gen_chance(r, 50) ? DT_I64 : DT_I32;
  Shape is = gen_shape(r, gen_int(r, 0, 2));
  gen_set_int(t, "axis", axis);
  t->in[t->n_in++] = x;
  const ValId any = gen_chance(r, 30) ? gen_value_like(r, wide, &is, NULL) : NO_VAL;
  if (any != NO_VAL && r->g->vals[any].def == NO_NODE && !r->g->vals[any].blob) {
    t->in[t->n_in++] = any;
    return true;
  }
  int64_t n = shape_count(&is);
  char *data = mem_zalloc((size_t)n * 8 + 8);
  for (int64_t i = 0; i < n && len > 0; i++) {
    int64_t k = gen_int(r, -len, len - 1);
    memcpy(data + (size_t)i * dtype_size(wide), &k, dtype_size(wide));
  }
  t->in[t->n_in++] = graph_const_data(r->g, "i", wide, &is, data);
  mem_free(data);
  return true;
}

/* -- conversions -- */

bool gen_cast(Gen *r, Draft *t) {
  gen_set_int(t, "to", gen_int(r, DT_NONE + 1, DT_COUNT - 1));
  return gen_unary(r, t);
}

bool gen_quantize(Gen *r, Draft *t) {
  gen_set_int(t, "to", gen_chance(r, 80) ? DT_I8 : DT_U8);
  t->scale = t->type == DT_F32 ? exp2f(gen_real(r, -8, -3)) : 0;
  return gen_unary(r, t);
}

/* Per tensor, or a scale for each slice of a constant. */
bool gen_dequantize(Gen *r, Draft *t) {
  if (t->type != DT_I32 && gen_chance(r, 60)) return gen_unary(r, t);
  Shape s = gen_shape(r, gen_int(r, 1, 4));
  int axis = gen_int(r, 0, s.rank - 1), n = gen_chance(r, 70) ? (int)s.d[axis] : 1;
  float scale[16];
  int32_t zero[16];
  if (n < 1 || n > 16) return false;
  for (int i = 0; i < n; i++) {
    scale[i] = exp2f(gen_real(r, -8, 0));
    zero[i] = gen_int(r, t->type == DT_U8 ? 0 : -100, 100);
  }
  ValId v = gen_const(r, t->type, &s);
  graph_set_quant(r->g, v, n, axis, scale, zero);
  t->in[t->n_in++] = v;
  return true;
}

bool gen_fake_quant(Gen *r, Draft *t) {
  int lo = gen_chance(r, 70) ? -128 : gen_int(r, -128, 0), hi = gen_chance(r, 70) ? 127 : gen_int(r, 1, 127);
  gen_set_real(t, "scale", exp2f(gen_real(r, -8, -2)));
  gen_set_int(t, "lo", lo);
  gen_set_int(t, "hi", hi);
  gen_set_int(t, "zero", gen_int(r, lo, hi));
  return gen_unary(r, t);
}

/* -- any operator, from the table of samples -- */

/* The sample's inputs from the pool where it has such, its attributes. */
bool gen_sample(Gen *r, Draft *t) {
  int count = 0, pick = 0;
  for (int i = 0; i < n_samples; i++)
    if (op_info(samples[i].op) == t->op && gen_int(r, 0, count++) == 0) pick = i;
  ASSERT(count > 0); /* an operator without a sample */
  Graph *s = sample_graph(&samples[pick]), *one = graph_with_batch(s, 1, r->d);
  const Graph *from = one ? one : s;
  if (s->custom) custom_attach(r->g, s->custom);
  const Node *n = &from->nodes[0];
  memcpy(t->attrs, n->attrs, t->op->attrs_size);
  for (uint32_t i = 0; i < n->n_in && i < DRAFT_MAX_IN; i++) {
    const Value *v = n->in[i] == NO_VAL ? NULL : &from->vals[n->in[i]];
    ValId x = NO_VAL;
    if (v && v->blob)
      x = graph_const(r->g, "c", v->dtype, &v->shape, blob_ref(v->blob));
    else if (v)
      x = gen_value_like(r, v->dtype, &v->shape, v->quant.n ? &v->quant : NULL);
    if (v && v->blob) graph_set_quant(r->g, x, v->quant.n, v->quant.axis, v->quant.scale, v->quant.zero);
    t->in[t->n_in++] = x;
  }
  const Quant *q = &from->vals[n->out[0]].quant;
  t->fixed = q->n == 1;
  t->scale = t->fixed ? q->scale[0] : 0;
  t->zero = t->fixed ? q->zero[0] : 0;
  graph_free(one);
  graph_free(s);
  return true;
}
