/* The report of quantize, layer by layer: where int8 hurts.
 *
 *   report=1   range, step, share clipped, signal to noise of values and of weights
 *   report=2   and what each does alone, the rest in float32, to the outputs of training images that calibration has not
 *              seen: loss (KL in nats, or noise to signal), signal to noise, accuracy in points
 *   json=FILE  the same for programs
 */
#include <math.h>
#include <string.h>

#include "ir/base/file.h"
#include "ir/base/json.h"
#include "ir/base/mem.h"
#include "ir/base/strbuf.h"
#include "passes/quant_trial.h"

/* What the report says of one layer (or input). */
typedef struct Line {
  const char *name, *op;
  const char *bits;
  Affine affine;
  const CalRange *range;
  double weights;                          /* dB; NAN: none, or exact */
  const Loss *value_alone, *weights_alone; /* NULL: not tried */
} Line;

/* Signal to noise of weights as codes. */
static double weights_snr(const Quantizer *q, const Node *n) {
  const int64_t count = shape_count(&graph_val(q->g, n->in[1])->shape);
  const float *w = val_data(q->g, n->in[1]);
  float *x = trial_weights(q, n);
  double power = 0, error = 0;
  for (int64_t i = 0; i < count; i++) {
    const double e = (double)x[i] - (double)w[i];
    power += (double)w[i] * (double)w[i], error += e * e;
  }
  mem_free(x);
  return power > 0 && error > 0 ? 10 * log10(power / error) : NAN;
}

static const Loss *tried(const Loss *l) { return l && l->value >= 0 ? l : NULL; }

static Line line_of(const Quantizer *q, const Alone *alone, ValId v, NodeId k) {
  const Node *n = k == NO_NODE ? NULL : &q->g->nodes[k];
  const ValId c = quant_class(q, v);
  const bool weights = n && quant_kind(q->g, n) == KIND_WEIGHTS;
  Line l = {
      .name = graph_val(q->g, v)->name, .op = n ? op_info(n->op)->name : "input", .range = &q->range[v]};
  if (!l.name) l.name = "?";
  l.bits = n && q->in_float[k] ? "float" : q->wide[c] ? "int16" : "int8";
  l.affine = q->wide[c] ? quant_affine16(q, v) : quant_affine(q, v);
  l.weights = weights ? weights_snr(q, n) : NAN;
  l.value_alone = alone ? tried(&alone->classes[c]) : NULL;
  l.weights_alone = alone && weights ? tried(&alone->weights[k]) : NULL;
  return l;
}

/* ---- for people */

static void put_db(StrBuf *b, double db) {
  if (isfinite(db) && db != 0)
    sb_printf(b, " %7.1f", db);
  else
    sb_puts(b, "       -");
}

static void put_alone(StrBuf *b, const Trial *t, const Loss *l) {
  if (!l) {
    sb_puts(b, " |         -       -      -");
    return;
  }
  sb_printf(b, " | %9.3g", l->value);
  put_db(b, l->snr);
  if (l->accuracy >= 0)
    sb_printf(b, " %+6.2f", 100 * (l->accuracy - t->accuracy));
  else
    sb_puts(b, "      -");
}

static void log_line(const Quantizer *q, const StrBuf *b) {
  if (q->host && q->host->log) q->host->log(q->host->ctx, sb_str(b));
}

static void log_head(const Quantizer *q, const Trial *t) {
  StrBuf b = {0};
  if (t) {
    sb_printf(&b,
              "quantize: alone: one layer's values, or weights, on codes, the rest in float32; %u images; "
              "loss: %s; dB of the outputs",
              t->images.n, t->kl ? "KL in nats" : "noise to signal");
    if (t->labels) sb_printf(&b, "; points of accuracy (float32: %.2f %%)", 100 * t->accuracy);
    log_line(q, &b);
    sb_clear(&b);
  }
  sb_printf(&b, "quantize: %-28s %-15s %5s %10s    %-10s %10s %9s %7s %7s", "layer", "operator", "bits",
            "from", "to", "step", "clipped", "values", "weights");
  if (t) sb_puts(&b, " | values alone            | weights alone");
  log_line(q, &b);
  sb_free(&b);
}

static void log_layer(const Quantizer *q, const Trial *t, const Line *l) {
  StrBuf b = {0};
  sb_printf(&b, "quantize: %-28.28s %-15.15s %5s %10.4g .. %-10.4g %10.4g %8.4f%%", l->name, l->op, l->bits,
            (double)l->range->lo, (double)l->range->hi, (double)l->affine.scale, 100 * l->range->clipped);
  put_db(&b, l->range->snr);
  put_db(&b, l->weights);
  if (t) put_alone(&b, t, l->value_alone), put_alone(&b, t, l->weights_alone);
  log_line(q, &b);
  sb_free(&b);
}

/* ---- for programs */

static void json_alone(JsonWriter *w, const char *key, const Trial *t, const Loss *l) {
  if (!l) return;
  json_kobject(w, key);
  json_knum(w, t->kl ? "kl" : "noise_to_signal", l->value);
  json_knum(w, "snr_db", l->snr);
  if (l->accuracy >= 0) json_knum(w, "accuracy", l->accuracy);
  json_end(w);
}

static void json_layer(JsonWriter *w, const Trial *t, const Line *l) {
  json_object(w);
  json_kstr(w, "layer", l->name);
  json_kstr(w, "operator", l->op);
  json_kstr(w, "bits", l->bits);
  json_knum(w, "from", (double)l->range->lo);
  json_knum(w, "to", (double)l->range->hi);
  json_knum(w, "scale", (double)l->affine.scale);
  json_kint(w, "zero", l->affine.zero);
  json_knum(w, "clipped", l->range->clipped);
  if (l->range->snr != 0) json_knum(w, "values_snr_db", l->range->snr);
  if (!isnan(l->weights)) json_knum(w, "weights_snr_db", l->weights);
  json_alone(w, "values_alone", t, l->value_alone);
  json_alone(w, "weights_alone", t, l->weights_alone);
  json_end(w);
}

/* ---- both */

typedef struct Report {
  const Quantizer *q;
  const Trial *t; /* NULL: no parts alone */
  const Alone *alone;
  JsonWriter *w; /* NULL: for people */
} Report;

static void put(const Report *r, ValId v, NodeId k) {
  if (!quant_known(r->q, v) || graph_val(r->q->g, v)->dtype != DT_F32) return;
  const Line l = line_of(r->q, r->alone, v, k);
  if (r->w)
    json_layer(r->w, r->t, &l);
  else
    log_layer(r->q, r->t, &l);
}

static void put_all(const Report *r) {
  const Graph *g = r->q->g;
  for (uint32_t i = 0; i < g->n_inputs; i++) put(r, g->inputs[i], NO_NODE);
  for (NodeId k = 0; k < g->n_nodes; k++)
    if (quant_kind(g, &g->nodes[k]) != KIND_FLOAT) put(r, g->nodes[k].out[0], k);
}

static bool write_json(Report r) {
  StrBuf text = {0};
  JsonWriter w;
  json_begin(&w, &text, true);
  json_object(&w);
  if (r.t) json_kint(&w, "images_alone", r.t->images.n);
  if (r.t) json_kbool(&w, "images_alone_calibrate", r.t->seen);
  if (r.t && r.t->labels) json_knum(&w, "accuracy_float32", r.t->accuracy);
  json_karray(&w, "layers");
  r.w = &w;
  put_all(&r);
  json_end(&w);
  json_end(&w);
  const bool ok = file_write(r.q->o.json, sb_str(&text), text.len, r.q->d);
  sb_free(&text);
  return ok;
}

bool quant_report(const Quantizer *q, const Dataset *ds) {
  Trial t = {0};
  Alone alone = {0};
  const bool try_all = q->o.report > 1 && ds;
  bool ok = !try_all || (trial_open(q, ds, q->o.held, &t) && trial_alone(&t, &alone));
  const Report r = {q, try_all ? &t : NULL, try_all ? &alone : NULL, NULL};
  if (ok && q->o.report && q->host && q->host->log) {
    log_head(q, r.t);
    put_all(&r);
  }
  if (ok && q->o.json[0]) ok = write_json(r);
  alone_free(&alone);
  trial_close(&t);
  return ok;
}
