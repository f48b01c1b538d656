/* See quant_trial.h. Parts are simulated in the float graph: FakeQuants behind the operators that give a class of values its
 * numbers, weights rounded to their codes, so that a trial costs a forward run of the engine, not of a mixed graph's kernels.
 */
#include "passes/quant_trial.h"

#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "runtime/engine/engine.h"

enum { FEWEST = 32 };

/* ---- graphs */

/* Over the classes, which are innermost. */
static const Node *last_softmax(const Graph *g) {
  const Node *n = g->n_outputs ? graph_def(g, g->outputs[g->n_outputs - 1]) : NULL;
  if (!n || n->op != OP_softmax) return NULL;
  const int axis = CATTRS(n, softmax)->axis, rank = graph_val(g, n->in[0])->shape.rank;
  return axis == -1 || axis == rank - 1 ? n : NULL;
}

float *trial_weights(const Quantizer *q, const Node *n) {
  const WeightView v = quant_weights(q->g, n);
  const size_t count = (size_t)(v.outs * v.each);
  const bool per_channel = !(q->o.fc_per_tensor && n->op == OP_fully_connected);
  int8_t *code = mem_alloc(count + 1);
  float *scale = mem_array((size_t)v.outs, sizeof *scale), *x = mem_alloc_aligned(count * sizeof *x + 1, 64);
  if (q->codes && q->codes[n->in[1]].most)
    codes_put(&q->codes[n->in[1]], &v, per_channel, NULL, 1, code, scale, NULL);
  else
    weights_quantize(&v, per_channel, NULL, 1, code, scale, NULL);
  for (int64_t o = 0; o < v.outs; o++)
    for (int64_t i = 0; i < v.each; i++) {
      const int64_t at = o * v.step_out + i * v.step_in;
      x[at] = scale[o] * (float)code[at];
    }
  mem_free(code);
  mem_free(scale);
  return x;
}

static ValId rounded_weights(const Quantizer *q, Graph *to, const Node *n) {
  const Value *w = graph_val(q->g, n->in[1]);
  return graph_const(to, w->name, DT_F32, &w->shape,
                     blob_adopt(trial_weights(q, n), (size_t)shape_count(&w->shape) * sizeof(float)));
}

/* v on its class's grid, if the class is a part. */
static bool put_grid(const Quantizer *q, const Parts *p, Rewrite *r, ValId v) {
  if (!p->classes || !p->classes[quant_class(q, v)] || graph_val(q->g, v)->dtype != DT_F32) return true;
  fake_quant_attrs a;
  op_attrs_default(OP_fake_quant, &a);
  const Affine f = quant_affine(q, v);
  a.scale = f.scale, a.zero = f.zero;
  r->map[v] = graph_node1(r->to, OP_fake_quant, &a, r->map[v], NULL, NULL, q->d);
  return r->map[v] != NO_VAL;
}

static bool put_node(const Quantizer *q, const Parts *p, Rewrite *r, NodeId k) {
  const Node *n = &q->g->nodes[k];
  if (n == last_softmax(q->g)) {
    r->map[n->out[0]] = r->map[n->in[0]];
    return true;
  }
  if (p->weights && p->weights[k]) {
    ValId in[3] = {rewrite_val(r, n->in[0]), rounded_weights(q, r->to, n)};
    if (n->n_in > 2) in[2] = rewrite_val(r, n->in[2]);
    r->map[n->out[0]] = graph_node(r->to, n->op, n->attrs, in, n->n_in, NULL, &n->loc, q->d);
    TRY(r->map[n->out[0]] != NO_VAL);
  } else {
    TRY(rewrite_copy(r, n, q->d));
  }
  const Kind kind = quant_kind(q->g, n);
  return kind == KIND_SHARE || kind == KIND_JOIN || put_grid(q, p, r, n->out[0]);
}

Graph *trial_graph(const Quantizer *q, const Parts *parts) {
  Rewrite r;
  rewrite_begin(&r, q->g, "quantize");
  bool ok = true;
  for (uint32_t i = 0; ok && i < q->g->n_inputs; i++) ok = put_grid(q, parts, &r, q->g->inputs[i]);
  for (NodeId k = 0; ok && k < q->g->n_nodes; k++) ok = put_node(q, parts, &r, k);
  return rewrite_end(&r, ok, q->d);
}

/* ---- losses */

/* Logarithms of the shares of n classes, from logits or from what Softmax gave in codes. */
static void log_shares(const float *z, int64_t n, bool softmax, double *out) {
  double most = (double)z[0], sum = 0;
  for (int64_t k = 1; k < n; k++) most = fmax(most, (double)z[k]);
  for (int64_t k = 0; k < n; k++)
    sum += out[k] = softmax ? fmax((double)z[k], 1.0 / 1024) : exp((double)z[k] - most);
  for (int64_t k = 0; k < n; k++) out[k] = softmax ? log(out[k] / sum) : (double)z[k] - most - log(sum);
}

/* The signal is what differs from image to image. */
static double signal_power(const Trial *t, const double *want) {
  double power = 0;
  for (int64_t k = 0; k < t->outs; k++) {
    double mean = 0;
    for (uint32_t i = 0; i < t->images.n; i++) mean += want[i * t->outs + k] / t->images.n;
    for (uint32_t i = 0; i < t->images.n; i++) {
      const double x = want[i * t->outs + k] - mean;
      power += x * x;
    }
  }
  return power;
}

/* One position's classes: KL, and squared error in what the graph gives (shares, or as it is), which *want is of. */
static double compare_row(const Trial *t, const float *x, const float *z, bool softmax, double *p,
                          double *want, double *error) {
  double kl = 0, *q = p + t->classes;
  log_shares(x, t->classes, false, p);
  log_shares(z, t->classes, softmax, q);
  for (int64_t k = 0; k < t->classes; k++) {
    want[k] = softmax ? exp(p[k]) : (double)x[k];
    const double e = (softmax ? exp(q[k]) : (double)z[k]) - want[k];
    *error += e * e;
    kl += exp(p[k]) * (p[k] - q[k]);
  }
  return kl;
}

static void compare(const Trial *t, const float *got, bool softmax, Loss *out) {
  const int64_t n = t->images.n * t->outs;
  double error = 0, kl = 0, *want = mem_array((size_t)(n + 2 * t->classes), sizeof *want);
  for (int64_t at = 0; at < n; at += t->classes)
    kl += compare_row(t, t->want + at, got + at, softmax, want + n, want + at, &error);
  const double ratio = error / fmax(signal_power(t, want), 1e-30);
  out->value = t->kl ? kl * (double)t->classes / (double)n : ratio;
  out->snr = -10 * log10(fmax(ratio, 1e-12));
  mem_free(want);
}

bool trial_run(const Trial *t, const Graph *g, bool softmax, Loss *out) {
  Accuracy a;
  float *z = mem_array((size_t)t->images.n * (size_t)t->outs, sizeof *z);
  const Host *h = t->q->host;
  const bool ok =
      graph_accuracy(g, &t->images, &t->normalize, h && h->threads > 0 ? h->threads : 1, h, &a, z, t->q->d);
  if (ok) compare(t, z, softmax, out);
  out->accuracy = t->labels ? a.top1 : -1;
  mem_free(z);
  return ok;
}

/* ---- images */

static void hold_out(const Quantizer *q, const Dataset *ds, uint32_t most, Trial *t) {
  const Split *s = &ds->train;
  const uint32_t used = q->o.cal.images < s->n ? q->o.cal.images : s->n;
  t->seen = s->n - used < FEWEST;
  const uint32_t first = t->seen ? 0 : used, left = s->n - first;
  t->images = *s;
  t->images.n = left < most ? left : most;
  t->images.x = (const char *)s->x + (size_t)first * (size_t)shape_count(&s->item) * dtype_size(s->dtype);
  t->labels = split_has_classes(s);
  t->images.anomaly = false; /* outputs are compared, not judged */
  if (!t->labels) t->none = mem_array(t->images.n, sizeof *t->none);
  t->images.y = t->labels ? s->y + first : t->none;
}

bool trial_open(const Quantizer *q, const Dataset *ds, uint32_t most, Trial *t) {
  const Graph *g = q->g;
  *t = (Trial){.q = q, .normalize = ds->spec.normalize, .softmax = last_softmax(g) != NULL};
  FAIL_IF(g->n_states > 0 || g->n_outputs < 1, q->d, NULL,
          "quantize: parts are tried on a model with outputs and without state");
  hold_out(q, ds, most, t);
  if (t->seen && q->host && q->host->log)
    q->host->log(q->host->ctx, "quantize: parts are tried on calibration's own images: fewer than 32 others");
  const Shape *y = &graph_val(g, g->outputs[g->n_outputs - 1])->shape;
  t->outs = shape_count_range(y, 1, y->rank);
  t->classes = y->rank > 1 ? y->d[y->rank - 1] : 1;
  t->kl = t->classes > 1 && (t->softmax || (t->labels && t->classes == t->outs));
  t->want = mem_array((size_t)t->images.n * (size_t)t->outs, sizeof *t->want);
  Graph *plain = trial_graph(q, &(Parts){0});
  Accuracy a;
  const Host *h = q->host;
  const bool ok = plain && graph_accuracy(plain, &t->images, &t->normalize,
                                          h && h->threads > 0 ? h->threads : 1, h, &a, t->want, q->d);
  t->accuracy = t->labels ? a.top1 : -1;
  graph_free(plain);
  return ok;
}

void trial_close(Trial *t) {
  mem_free(t->want);
  mem_free(t->none);
}

/* ---- each part alone */

static bool run_part(const Trial *t, const Parts *p, Loss *out) {
  Graph *g = trial_graph(t->q, p);
  const bool ok = g && trial_run(t, g, false, out);
  graph_free(g);
  return ok;
}

/* Whether v's class has a scale of its own that is not the operator's. */
static bool is_part(const Quantizer *q, ValId v) { return quant_known(q, v) && !quant_fixed(q, v); }

static bool run_parts(const Trial *t, Alone *out) {
  const Quantizer *q = t->q;
  const Graph *g = q->g;
  bool *classes = mem_array(g->n_vals, sizeof *classes),
       *weights = mem_array(g->n_nodes + 1, sizeof *weights), ok = true;
  for (NodeId k = 0; ok && k < g->n_nodes; k++) {
    const Kind kind = quant_kind(g, &g->nodes[k]);
    if (kind == KIND_FLOAT) continue;
    const ValId c = quant_class(q, g->nodes[k].out[0]);
    weights[k] = kind == KIND_WEIGHTS;
    if (weights[k]) ok = run_part(t, &(Parts){NULL, weights}, &out->weights[k]);
    weights[k] = false;
    classes[c] = ok && out->classes[c].value < 0 && is_part(q, c);
    if (classes[c]) ok = run_part(t, &(Parts){classes, NULL}, &out->classes[c]);
    classes[c] = false;
    if (q->host && q->host->progress)
      q->host->progress(q->host->ctx, "parts alone", (double)(k + 1) / g->n_nodes, "");
  }
  mem_free(classes);
  mem_free(weights);
  return ok;
}

bool trial_alone(const Trial *t, Alone *out) {
  const Graph *g = t->q->g;
  *out = (Alone){mem_array(g->n_vals, sizeof(Loss)), mem_array(g->n_nodes + 1, sizeof(Loss))};
  for (ValId v = 0; v < g->n_vals; v++) out->classes[v].value = -1;
  for (NodeId k = 0; k < g->n_nodes; k++) out->weights[k].value = -1;
  return run_parts(t, out);
}

void alone_free(Alone *a) {
  mem_free(a->classes);
  mem_free(a->weights);
}
