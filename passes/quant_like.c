/* int8 as the widest of a family has it: a narrower variant's weights are the same codes, cut.
 *
 *   widest    w[o]  = k[o]  u[o]  ~  s[o]  q[o]        u: weights that the variants share; k: BatchNormalization, which is
 *   variant   w'[o] = k'[o] u'[o] ~  s'[o] q'[o]       each one's own; q': of q [o < O'][taps][i < I']
 *
 * A channel's factor goes into its scale, which is each variant's own: s'[o] = <w'[o], q'[o]> / <q'[o], q'[o]>, the scale of
 * least square error; nothing need be known of k. Where k and k' differ in sign no scale does: such a channel reads next to
 * nothing and gives its bias (where biases are corrected, its mean). That is warned of and does not count against the codes.
 * Outputs have the widest's scales; what is between is calibrated on the variant itself.
 */
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/family.h"
#include "passes/quantizer.h"

/* Of the weights' energy that the codes may leave out before they are no codes of these weights. */
static const double STRANGE = 0.25;
/* Of the widest's scale that a variant's is at least, so that its multiplier has an exponent that kernels know. */
static const double FAINT = 1.0 / 4096;

/* ---- outputs */

void quant_like_classes(Quantizer *q) {
  const Graph *like = q->like;
  for (uint32_t i = 0; like && i < q->g->n_outputs && i < like->n_outputs; i++) {
    const Value *y = graph_val(like, like->outputs[i]);
    if (y->quant.n != 1 || !quant_is_real(q->g, q->g->outputs[i]) || quant_fixed(q, q->g->outputs[i]))
      continue;
    const int32_t shift = y->dtype == DT_U8 ? 128 : 0;
    if (y->dtype == DT_I8 || y->dtype == DT_U8)
      quant_fix(q, q->g->outputs[i], (Affine){y->quant.scale[0], y->quant.zero[0] - shift});
  }
}

/* ---- weights */

/* The next layer with weights of codes. */
static const Node *next_layer(const Graph *like, NodeId *at) {
  while (*at < like->n_nodes) {
    const Node *n = &like->nodes[(*at)++];
    const bool layer = n->op == OP_conv || n->op == OP_depthwise_conv || n->op == OP_fully_connected;
    if (!layer || !val_is_const(like, n->in[1])) continue;
    const DType t = graph_val(like, n->in[1])->dtype;
    if (t == DT_I8 || t == DT_I4) return n;
  }
  return NULL;
}

static int8_t *cut_codes(const int8_t *wide, const FamilySlice *s) {
  int8_t *q = mem_array((size_t)(s->outs * s->taps * s->each) + 1, 1), *at = q;
  for (int64_t o = 0; o < s->outs; o++)
    for (int64_t t = 0; t < s->taps; t++, at += s->each)
      memcpy(at, wide + o * s->out_stride + t * s->tap_stride, (size_t)s->each);
  return q;
}

/* Sums of a channel: <w, q>, <q, q>, <w, w>. */
typedef struct Sums {
  double wq, qq, ww;
} Sums;

static Sums sums_of(const WeightView *v, const int8_t *q, int64_t o) {
  Sums s = {0};
  for (int64_t i = 0; i < v->each; i++) {
    const int64_t at = o * v->step_out + i * v->step_in;
    const double w = (double)v->w[at], c = q[at];
    s.wq += w * c, s.qq += c * c, s.ww += w * w;
  }
  return s;
}

/* What scales leave out, of all. */
typedef struct Fit {
  double left, all; /* of channels that have the codes' sign */
  int64_t turned;   /* others */
} Fit;

static double best_scale(const Sums *s, const Quant *wide, int64_t o) {
  const double least = FAINT * (double)wide->scale[wide->n > 1 ? o : 0], best = s->qq > 0 ? s->wq / s->qq : 0;
  return best > least ? best : least;
}

/* Scales of least error: for each channel, or one for all. */
static Fit fit_scales(const WeightView *v, const int8_t *q, const Quant *wide, float *scale) {
  Sums one = {0};
  for (int64_t o = 0; wide->n == 1 && o < v->outs; o++) {
    const Sums s = sums_of(v, q, o);
    one.wq += s.wq, one.qq += s.qq;
  }
  Fit f = {0};
  for (int64_t o = 0; o < v->outs; o++) {
    const Sums s = sums_of(v, q, o);
    const double best = best_scale(wide->n == 1 ? &one : &s, wide, o);
    scale[o] = (float)best;
    if ((wide->n == 1 ? one.wq : s.wq) <= 0 && s.ww > 0) {
      f.turned++;
      continue;
    }
    f.left += s.ww - 2 * best * s.wq + best * best * s.qq, f.all += s.ww;
  }
  return f;
}

static bool like_codes(Quantizer *q, const Node *n, const Node *wide) {
  const Value *w = graph_val(q->like, wide->in[1]);
  const Loc *loc = &n->loc;
  FamilySlice s = {0};
  FAIL_IF(wide->op != n->op || !family_extents(n, &w->shape, &graph_val(q->g, n->in[1])->shape, &s), q->d,
          loc, "quantize: these weights are no slice of the widest variant's");
  Codes *to = &q->codes[n->in[1]];
  if (to->scale) return true; /* shared by layers */
  const WeightView v = quant_weights(q->g, n);
  *to = (Codes){.most = w->dtype == DT_I4 ? 7 : 127, .fixed = true};
  to->q = cut_codes(val_data(q->like, wide->in[1]), &s);
  to->scale = mem_array((size_t)v.outs, sizeof *to->scale);
  const Fit f = fit_scales(&v, to->q, &w->quant, to->scale);
  FAIL_IF(f.turned == v.outs, q->d, loc,
          "quantize: these weights are not the widest variant's: all have another sign than its codes");
  FAIL_IF(f.left > STRANGE * f.all, q->d, loc,
          "quantize: these weights are not the widest variant's: its codes do not tell %.0f %% of them",
          100 * f.left / f.all);
  if (f.turned)
    diag_warn(q->d, loc,
              "quantize: %lld of %lld channels have another sign than the widest variant's: they give their "
              "bias alone",
              (long long)f.turned, (long long)v.outs);
  return true;
}

bool quant_like_codes(Quantizer *q) {
  NodeId at = 0;
  q->codes = mem_array(q->g->n_vals, sizeof *q->codes);
  for (NodeId k = 0; k < q->g->n_nodes; k++) {
    const Node *n = &q->g->nodes[k];
    if (quant_kind(q->g, n) != KIND_WEIGHTS) continue;
    const Node *wide = next_layer(q->like, &at);
    FAIL_IF(!wide, q->d, &n->loc, "quantize: the widest variant has fewer layers of int8 weights");
    TRY(like_codes(q, n, wide));
  }
  FAIL_IF(next_layer(q->like, &at), q->d, NULL,
          "quantize: the widest variant has more layers of int8 weights");
  return true;
}
