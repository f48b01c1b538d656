/* Bias correction: what rounding and clipping take off the mean of each output channel goes into the layer's bias.
 *
 *   bias[o] += mean over calibration images and positions of (float layer's output - int8 layer's output), before activations
 *
 * Source: Nagel et al. 2019 (arXiv:1906.04721), section 4.2, appendix D (empirical correction). Layer by layer in order: an int8
 * layer is measured behind the corrected ones. A layer is linear in its input, so that the mean image of its input tells the
 * means of its sums, exactly, whatever the activation behind them:
 *
 *   float graph  --- all images ---> mean image of each layer's input ---.
 *   int8 graph   --- call by call, all images in memory, the corrected layers' kernels anew ---> the same ---'---> bias
 *
 * The images' values live as long as a later call reads them. The same bytes with any number of threads and kernel set:
 * codes are integers, their sums in double exact.
 */
#include "passes/quantizer.h"

#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/lower.h"
#include "runtime/data/input_map.h"
#include "runtime/engine/threads.h"

enum { ALIGN = 64, MOST_BYTES = 256 << 20 };

/* The int8 graph on all images, call by call. */
typedef struct Runner {
  const Graph *g; /* batch 1 */
  Calls calls;
  uint32_t images;
  char **base;    /* [n_vals] of a root value: images * stride bytes */
  size_t *stride; /* [n_vals] 0: a constant */
  uint32_t *last; /* [n_vals] the last call that reads it; UINT32_MAX: none does */
  Threads *pool;
  char **scratch; /* [threads] */
  const KernelCall *call;
} Runner;

/* ---- values and when they die */

static void find_lives(Runner *r) {
  const Graph *g = r->g;
  for (ValId v = 1; v < g->n_vals; v++) {
    r->last[v] = UINT32_MAX;
    if (value_root(g, v) == v && !val_is_const(g, v))
      r->stride[v] = (val_bytes(g, v) + 2 * ALIGN - 1) / ALIGN * ALIGN;
  }
  for (uint32_t i = 0; i < r->calls.n; i++)
    for (int k = 0; k < r->calls.v[i].n_in; k++) r->last[value_root(g, r->calls.v[i].in[k].val)] = i;
}

/* Most bytes of one image that live at a time. */
static size_t peak_bytes(const Runner *r) {
  const Graph *g = r->g;
  size_t at = r->stride[g->inputs[0]], most = at;
  bool *alive = mem_array(g->n_vals, sizeof *alive);
  for (uint32_t i = 0; i < r->calls.n; i++) {
    const ValId y = value_root(g, r->calls.v[i].out.val);
    if (!alive[y]) at += r->stride[y], alive[y] = true;
    most = at > most ? at : most;
    for (ValId v = 1; v < g->n_vals; v++)
      if (r->last[v] == i) at -= r->stride[v];
  }
  mem_free(alive);
  return most > 0 ? most : 1;
}

static void begin_value(Runner *r, ValId v) {
  if (!r->base[v]) r->base[v] = mem_alloc_aligned(r->images * r->stride[v], ALIGN);
}

static void end_values(Runner *r, uint32_t call) {
  for (ValId v = 1; v < r->g->n_vals; v++) {
    if (r->last[v] != call || r->stride[v] == 0) continue;
    mem_free(r->base[v]);
    r->base[v] = NULL;
  }
}

/* ---- running */

static char *address(const Runner *r, ValId v, uint32_t image) {
  v = value_root(r->g, v);
  if (r->stride[v] > 0) return r->base[v] + image * r->stride[v];
  const void *data = val_data(r->g, v);
  char *p;
  memcpy(&p, &data, sizeof p); /* only read: views hold no const */
  return p;
}

static mf_view view_of(const Runner *r, const CallView *v, uint32_t image, int32_t item) {
  return (mf_view){address(r, v->val, image) + v->offset + item * v->step, (int32_t)v->row, 0};
}

static void run_image(void *ctx, int image, int thread) {
  const Runner *r = ctx;
  const KernelCall *k = r->call;
  for (int32_t item = 0; item < k->batch; item++) {
    mf_view in[CALL_MAX_IN] = {{0}}, out = view_of(r, &k->out, (uint32_t)image, item);
    for (int i = 0; i < k->n_in; i++) in[i] = view_of(r, &k->in[i], (uint32_t)image, item);
    k->kernel->fn(k->params, in, &out, 0, k->rows, r->scratch[thread]);
  }
}

/* One call on all images, by this machine's kernel. */
static bool run_call(Runner *r, uint32_t i, const Host *host, Diag *d) {
  KernelCall *k = &r->calls.v[i];
  Calls one = {.arena = r->calls.arena, .v = k, .n = 1};
  if (host && host->kernels) TRY(host->kernels(r->g, &one, d));
  const size_t need = k->kernel->scratch ? k->kernel->scratch(k->params) : 0;
  for (int t = 0; t < threads_count(r->pool); t++)
    r->scratch[t] = need ? mem_alloc_aligned(need, ALIGN) : NULL;
  begin_value(r, value_root(r->g, k->out.val));
  r->call = k;
  threads_run(r->pool, run_image, r, (int)r->images);
  for (int t = 0; t < threads_count(r->pool); t++) mem_free(r->scratch[t]);
  end_values(r, i);
  return true;
}

static void encode(const Value *v, const float *x, int64_t n, char *out) {
  if (v->dtype == DT_F32) {
    memcpy(out, x, (size_t)n * sizeof *x);
    return;
  }
  const int shift = v->dtype == DT_U8 ? 128 : 0;
  affine_quantize((Affine){v->quant.scale[0], v->quant.zero[0] - shift}, x, n, (int8_t *)out);
  for (int64_t i = 0; shift && i < n; i++) out[i] = (char)(out[i] ^ -128);
}

static bool feed(Runner *r, const Dataset *ds, Diag *d) {
  const ValId in = r->g->inputs[0];
  const Value *v = graph_val(r->g, in);
  InputMap map;
  TRY(input_map(&v->shape, &ds->train.item, &map, d));
  float *x = mem_array(2 * (size_t)map.count, sizeof *x);
  begin_value(r, in);
  for (uint32_t i = 0; i < r->images; i++) {
    input_item(&map, &ds->train, &ds->spec.normalize, NULL, i, x, x + map.count);
    encode(v, x, map.count, address(r, in, i));
  }
  mem_free(x);
  return true;
}

/* ---- means */

/* Mean image of v in real values, over all that its leading axis holds (not the batch alone, where a Reshape made it of
 * others), as calibrate_means'; the caller's. */
static double *mean_codes(const Runner *r, ValId v) {
  const Value *x = graph_val(r->g, v);
  const int64_t item = shape_count_range(&x->shape, 1, x->shape.rank), rows = x->shape.d[0];
  double *mean = mem_array((size_t)item, sizeof *mean);
  for (uint32_t i = 0; i < r->images; i++) {
    const char *at = address(r, v, i);
    for (int64_t k = 0; k < rows * item; k++)
      mean[k % item] += x->dtype == DT_I16 ? ((const int16_t *)at)[k] : ((const int8_t *)at)[k];
  }
  for (int64_t k = 0; k < item; k++)
    mean[k] = (double)x->quant.scale[0] * (mean[k] / (double)(r->images * rows) - x->quant.zero[0]);
  return mean;
}

/* A layer's window: a FullyConnected is one over an image of one column. */
typedef struct Window {
  int64_t h, w, c, kh, kw, out_h, out_w, stride[2], dilation[2], pad[2];
} Window;

static Window window_of(const Graph *g, const Node *n) {
  const Shape *x = &graph_val(g, n->in[0])->shape, *w = &graph_val(g, n->in[1])->shape,
              *y = &graph_val(g, n->out[0])->shape;
  Window a = {.kh = 1, .kw = 1, .w = 1, .out_w = 1, .stride = {1, 1}, .dilation = {1, 1}};
  if (n->op == OP_fully_connected) {
    a.c = w->d[1], a.h = a.out_h = shape_count_range(x, 1, x->rank) / a.c;
    return a;
  }
  const bool dw = n->op == OP_depthwise_conv;
  const Ints *s = dw ? &CATTRS(n, depthwise_conv)->strides : &CATTRS(n, conv)->strides,
             *p = dw ? &CATTRS(n, depthwise_conv)->pads : &CATTRS(n, conv)->pads,
             *l = dw ? &CATTRS(n, depthwise_conv)->dilations : &CATTRS(n, conv)->dilations;
  a.h = x->d[1], a.w = x->d[2], a.c = x->d[3], a.kh = w->d[1], a.kw = w->d[2];
  a.out_h = y->d[1], a.out_w = y->d[2];
  for (int i = 0; i < 2; i++) a.stride[i] = s->v[i], a.dilation[i] = l->v[i], a.pad[i] = p->v[i];
  return a;
}

/* Mean over output positions of what each tap [kh][kw][c] reads, padding 0. */
static double *mean_patch(const Window *a, const double *image) {
  double *patch = mem_array((size_t)(a->kh * a->kw * a->c), sizeof *patch);
  for (int64_t ky = 0; ky < a->kh; ky++)
    for (int64_t kx = 0; kx < a->kw; kx++)
      for (int64_t oy = 0; oy < a->out_h; oy++)
        for (int64_t ox = 0; ox < a->out_w; ox++) {
          const int64_t y = oy * a->stride[0] + ky * a->dilation[0] - a->pad[0],
                        x = ox * a->stride[1] + kx * a->dilation[1] - a->pad[1];
          if (y < 0 || y >= a->h || x < 0 || x >= a->w) continue;
          for (int64_t c = 0; c < a->c; c++)
            patch[(ky * a->kw + kx) * a->c + c] += image[(y * a->w + x) * a->c + c];
        }
  for (int64_t i = 0; i < a->kh * a->kw * a->c; i++) patch[i] /= (double)(a->out_h * a->out_w);
  return patch;
}

/* Element i of output channel o's weights reads this element of the patch. */
static int64_t patch_at(const Node *n, const Window *a, int64_t outs, int64_t o, int64_t i) {
  if (n->op == OP_depthwise_conv) return i * a->c + o / (outs / a->c);
  if (n->op == OP_fully_connected) return i;
  const int64_t group = CATTRS(n, conv)->group, each = a->c / group;
  return i / each * a->c + o / (outs / group) * each + i % each;
}

/* ---- one layer */

/* Means of the layer's sums in the float graph less those in the int8 graph, for each output channel. */
static double *differences(const Quantizer *q, const Node *real, const Runner *r, const Node *codes,
                           const double *image) {
  const Window a = window_of(r->g, codes);
  const WeightView v = quant_weights(q->g, real);
  const Value *w = graph_val(r->g, codes->in[1]);
  const int8_t *code = val_data(r->g, codes->in[1]);
  double *own = mean_codes(r, codes->in[0]), *want = mean_patch(&a, image), *got = mean_patch(&a, own),
         *diff = mem_array((size_t)v.outs, sizeof *diff);
  for (int64_t o = 0; o < v.outs; o++) {
    const double scale = (double)w->quant.scale[w->quant.n > 1 ? o : 0];
    for (int64_t i = 0; i < v.each; i++) {
      const int64_t at = o * v.step_out + i * v.step_in, p = patch_at(real, &a, v.outs, o, i);
      diff[o] += (double)v.w[at] * want[p] - scale * code[at] * got[p];
    }
  }
  mem_free(own);
  mem_free(want);
  mem_free(got);
  return diff;
}

/* The bias with the float layer's mean: codes of the bias' own type. */
static Blob *corrected(const Quantizer *q, const Node *real, const Runner *r, const Node *codes,
                       const double *diff) {
  const Value *b = graph_val(r->g, codes->in[2]);
  const float *bias = real->n_in > 2 ? val_data(q->g, real->in[2]) : NULL;
  const int64_t n = shape_count(&b->shape);
  const double most = b->dtype == DT_I64 ? ldexp(1, 45) : ldexp(1, 30);
  char *out = mem_alloc_aligned((size_t)n * dtype_size(b->dtype), ALIGN);
  for (int64_t o = 0; o < n; o++) {
    const double unit = (double)b->quant.scale[b->quant.n > 1 ? o : 0],
                 code = fmin(most, fmax(-most, round(((bias ? (double)bias[o] : 0) + diff[o]) / unit)));
    if (b->dtype == DT_I64)
      ((int64_t *)out)[o] = (int64_t)code;
    else
      ((int32_t *)out)[o] = (int32_t)code;
  }
  return blob_adopt(out, (size_t)n * dtype_size(b->dtype));
}

static void set_blob(Graph *g, ValId v, Blob *blob) {
  blob_unref(graph_val(g, v)->blob);
  graph_val(g, v)->blob = blob;
}

/* The layer's call reads the new bias. */
static void set_bias(KernelCall *k, ValId bias, const void *data) {
  for (int i = 0; i < k->n_consts; i++) {
    if (k->consts[i].val != bias) continue;
    k->consts[i].data = data;
    memcpy((char *)k->params + k->kernel->params->fields[k->consts[i].field].offset, &data, sizeof data);
  }
}

/* ---- all layers */

/* The layers that are corrected: on codes, with a bias of codes. */
static bool correctable(const Graph *g, const Node *n) {
  return n->n_in > 2 && dtype_is_code(graph_val(g, n->in[0])->dtype) &&
         graph_val(g, n->in[1])->dtype != DT_F32 && val_is_const(g, n->in[2]);
}

static bool correct_layers(Quantizer *q, Runner *r, Graph *one, double *const *mean) {
  NodeId *from = mem_array(one->n_nodes, sizeof *from); /* node of q->g + 1 */
  for (NodeId i = 0; i < q->g->n_nodes; i++)
    if (q->layer[i] != NO_NODE) from[q->layer[i]] = i + 1;
  bool ok = true;
  for (uint32_t i = 0; ok && i < r->calls.n; i++) {
    const NodeId k = r->calls.v[i].node;
    const Node *codes = &one->nodes[k], *real = from[k] ? &q->g->nodes[from[k] - 1] : NULL;
    if (real && correctable(one, codes) && mean[real->in[0]]) {
      double *diff = differences(q, real, r, codes, mean[real->in[0]]);
      Blob *b = corrected(q, real, r, codes, diff);
      set_blob(q->to, q->to->nodes[k].in[2], blob_ref(b));
      set_blob(one, codes->in[2], b);
      set_bias(&r->calls.v[i], codes->in[2], val_data(one, codes->in[2]));
      mem_free(diff);
    }
    ok = run_call(r, i, q->host, q->d);
  }
  mem_free(from);
  return ok;
}

static bool run_all(Quantizer *q, const Dataset *ds, Runner *r, Graph *one, uint32_t images) {
  const size_t most = MOST_BYTES / peak_bytes(r);
  r->images = most < images ? (uint32_t)(most > 0 ? most : 1) : images;
  bool *want = mem_array(q->g->n_vals, sizeof *want);
  double **mean = mem_array(q->g->n_vals, sizeof *mean);
  for (NodeId i = 0; i < q->g->n_nodes; i++)
    if (q->layer[i] != NO_NODE) want[q->g->nodes[i].in[0]] = true;
  bool ok = calibrate_means(q->g, ds, r->images, q->host, want, mean, q->d) && feed(r, ds, q->d) &&
            correct_layers(q, r, one, mean);
  for (ValId v = 1; v < q->g->n_vals; v++) mem_free(mean[v]);
  mem_free(mean);
  mem_free(want);
  return ok;
}

bool quant_correct(Quantizer *q, const Dataset *ds) {
  if (q->g->n_states > 0 || q->g->n_inputs != 1) return true; /* steps of a sequence follow one another */
  Graph *one = graph_with_batch(q->to, 1, q->d);
  TRY(one);
  const int threads = q->host && q->host->threads > 0 ? q->host->threads : 1;
  Runner r = {.g = one, .pool = threads_new(threads)};
  calls_init(&r.calls);
  r.base = mem_array(one->n_vals, sizeof *r.base);
  r.stride = mem_array(one->n_vals, sizeof *r.stride);
  r.last = mem_array(one->n_vals, sizeof *r.last);
  r.scratch = mem_array((size_t)threads_count(r.pool), sizeof *r.scratch);
  const bool same = one->n_nodes == q->to->n_nodes; /* q->layer names nodes of both */
  if (!same)
    diag_warn(q->d, NULL, "quantize: biases are not corrected: the graph has nodes that nobody reads");
  bool ok = !same || graph_lower(one, &r.calls, q->d);
  if (ok && same) {
    find_lives(&r);
    const uint32_t n = ds->train.n;
    ok = run_all(q, ds, &r, one, q->o.cal.images < n ? q->o.cal.images : n);
  }
  for (ValId v = 1; v < one->n_vals; v++) mem_free(r.base[v]);
  mem_free(r.base);
  mem_free(r.stride);
  mem_free(r.last);
  mem_free(r.scratch);
  threads_free(r.pool);
  calls_free(&r.calls);
  graph_free(one);
  return ok;
}
