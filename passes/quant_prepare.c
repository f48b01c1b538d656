/* Before quantization: the input as the device delivers it, and operators that have a better int8 form.
 *
 *   u8 input -> Dequantize -> ...     becomes   f32 input -> ...      (its codes are remembered)
 *   BatchNormalization [N,H,W,C]      becomes   DepthwiseConv 1x1, weights k = scale / sqrt(var + eps),
 *                                               bias - mean * k: per-channel int8 weights hold k exactly
 *
 *   AveragePool of the whole image    becomes   ReduceMean: its output has a scale of its own, where the pool's
 *                                               has that of an input whose range is a few times as wide
 *
 * Bytes as codes: where the data are bytes and normalised by one scale and one offset, x = s * b + o, and o / s is
 * an integer, then the int8 input's code is the byte itself (int8) or the byte less 128 (uint8).
 */
#include "passes/quantize.h"

#include <math.h>

#include "ir/base/mem.h"

/* ---- input */

/* x = scale * (byte + shift): int8 quantization whose codes are the bytes, if there is one. */
static bool codes_of(DType bytes, double scale, double shift, Affine *out) {
  double zero = (bytes == DT_U8 ? -128.0 : 0.0) - shift;
  if (bytes != DT_U8 && bytes != DT_I8) return false;
  if (!(scale > 0) || fabs(zero - round(zero)) > 1e-3 || zero < -128.5 || zero > 127.5) return false;
  *out = (Affine){(float)scale, (int32_t)lround(zero)};
  return true;
}

static bool uniform(const Normalize *nz, double *scale, double *offset) {
  *scale = nz->n ? (double)nz->scale[0] : 1;
  *offset = nz->n ? (double)nz->offset[0] : 0;
  for (int i = 1; i < nz->n; i++)
    if (nz->scale[i] != nz->scale[0] || nz->offset[i] != nz->offset[0]) return false;
  return *scale != 0;
}

static void codes_of_data(const Dataset *ds, InputCodes *codes) {
  double s, o;
  *codes = (InputCodes){.dtype = ds->train.dtype};
  codes->exact = uniform(&ds->spec.normalize, &s, &o) && codes_of(codes->dtype, s, o / s, &codes->i8);
}

/* The Dequantize of a raw input, or NULL. */
static const Node *raw_reader(const Graph *g, ValId input) {
  const Value *v = graph_val(g, input);
  if (v->quant.n != 1) return NULL;
  for (NodeId i = 0; i < g->n_nodes; i++)
    if (g->nodes[i].op == OP_dequantize && g->nodes[i].in[0] == input) return &g->nodes[i];
  return NULL;
}

/* The input of `to` takes real values; the data are normalised to what Dequantize would have given. */
static bool make_real(Graph *to, const Graph *g, Dataset *ds, InputCodes *codes, Diag *d) {
  Value *x = graph_val(to, to->inputs[0]);
  const Quant q = graph_val(g, g->inputs[0])->quant;
  Loc loc = {.file = g->name, .name = x->name};
  if (ds->train.n == 0) ds->train.dtype = x->dtype; /* no data: nominal ranges */
  FAIL_IF(x->dtype != ds->train.dtype, d, &loc, "quantize: the input takes %s, but the data are %s",
          dtype_name(x->dtype), dtype_name(ds->train.dtype));
  ds->spec.normalize = (Normalize){.n = 1, .scale = {q.scale[0]}, .offset = {-q.scale[0] * (float)q.zero[0]}};
  codes_of_data(ds, codes);
  FAIL_IF(!codes->exact, d, &loc, "quantize: %s with zero point %d leaves the int8 codes",
          dtype_name(x->dtype), (int)q.zero[0]);
  x->dtype = DT_F32;
  x->quant = (Quant){0};
  return true;
}

/* ---- BatchNormalization */

typedef struct Channelwise {
  int64_t n;
  float *w, *b;
} Channelwise;

static Channelwise bn_affine(const Graph *g, const Node *bn) {
  Channelwise a = {.n = graph_val(g, bn->in[1])->shape.d[0]};
  const float *scale = val_data(g, bn->in[1]), *bias = val_data(g, bn->in[2]), *mean = val_data(g, bn->in[3]),
              *var = val_data(g, bn->in[4]);
  a.w = mem_alloc_aligned((size_t)a.n * sizeof *a.w, 64);
  a.b = mem_alloc_aligned((size_t)a.n * sizeof *a.b, 64);
  for (int64_t c = 0; c < a.n; c++) {
    double k = (double)scale[c] / sqrt((double)var[c] + (double)CATTRS(bn, batch_normalization)->epsilon);
    a.w[c] = (float)k;
    a.b[c] = (float)((double)bias[c] - (double)mean[c] * k);
  }
  return a;
}

/* 4-D with channels innermost, or 2-D, which is an image of one pixel. */
static bool bn_convertible(const Graph *g, const Node *n) {
  if (n->op != OP_batch_normalization) return false;
  int rank = graph_val(g, n->in[0])->shape.rank;
  for (int i = 1; i < 5; i++)
    if (!val_is_const(g, n->in[i])) return false;
  return (rank == 4 || rank == 2) && CATTRS(n, batch_normalization)->axis == rank - 1;
}

static ValId reshaped(Rewrite *r, ValId x, int rank, int64_t c, const char *name, const Loc *loc, Diag *d) {
  int64_t batch = graph_val(r->to, x)->shape.d[0];
  reshape_attrs a = {.shape = {.n = rank}};
  for (int i = 0; i < rank; i++) a.shape.v[i] = i == 0 ? batch : i == rank - 1 ? c : 1;
  return graph_node1(r->to, OP_reshape, &a, x, name, loc, d);
}

static bool bn_convert(Rewrite *r, const Node *n, Diag *d) {
  const char *name = graph_val(r->from, n->out[0])->name;
  Channelwise a = bn_affine(r->from, n);
  Shape ws = shape_of(4, (int64_t)1, (int64_t)1, (int64_t)1, a.n), bs = shape_of(1, a.n);
  bool flat = graph_val(r->from, n->in[0])->shape.rank == 2;
  ValId x = rewrite_val(r, n->in[0]);
  if (flat) x = reshaped(r, x, 4, a.n, name, &n->loc, d);
  ValId in[3] = {x, graph_const(r->to, name, DT_F32, &ws, blob_adopt(a.w, (size_t)a.n * sizeof(float))),
                 graph_const(r->to, name, DT_F32, &bs, blob_adopt(a.b, (size_t)a.n * sizeof(float)))};
  ValId y = x == NO_VAL ? NO_VAL : graph_node(r->to, OP_depthwise_conv, NULL, in, 3, name, &n->loc, d);
  if (flat && y != NO_VAL) y = reshaped(r, y, 2, a.n, name, &n->loc, d);
  r->map[n->out[0]] = y;
  return y != NO_VAL;
}

/* ---- AveragePool */

static bool pools_image(const Graph *g, const Node *n) {
  if (n->op != OP_average_pool) return false;
  const average_pool_attrs *a = CATTRS(n, average_pool);
  const Shape *s = &graph_val(g, n->in[0])->shape;
  for (int i = 0; i < 4; i++)
    if (a->pads.v[i]) return false;
  return a->kernel.v[0] == s->d[1] && a->kernel.v[1] == s->d[2] && a->act == ACT_NONE;
}

static bool pool_convert(Rewrite *r, const Node *n, Diag *d) {
  reduce_mean_attrs a = {.axes = {2, {1, 2}}, .keepdims = 1};
  ValId y = graph_node1(r->to, OP_reduce_mean, &a, rewrite_val(r, n->in[0]),
                        graph_val(r->from, n->out[0])->name, &n->loc, d);
  r->map[n->out[0]] = y;
  return y != NO_VAL;
}

static bool prepare_node(Rewrite *r, const Node *n, Diag *d) {
  if (bn_convertible(r->from, n)) return bn_convert(r, n, d);
  if (pools_image(r->from, n)) return pool_convert(r, n, d);
  return rewrite_copy(r, n, d);
}

Graph *quant_prepare(const Graph *g, const Dataset *given, Dataset *ds, InputCodes *codes, Diag *d) {
  *ds = *given;
  codes_of_data(ds, codes);
  Rewrite r;
  rewrite_begin(&r, g, "quantize");
  const Node *raw = g->n_inputs == 1 ? raw_reader(g, g->inputs[0]) : NULL;
  bool ok = !raw || make_real(r.to, g, ds, codes, d);
  for (NodeId i = 0; ok && i < g->n_nodes; i++) {
    const Node *n = &g->nodes[i];
    if (raw && n->op == OP_dequantize && n->in[0] == g->inputs[0])
      r.map[n->out[0]] = r.map[n->in[0]];
    else
      ok = prepare_node(&r, n, d);
  }
  return rewrite_end(&r, ok, d);
}
