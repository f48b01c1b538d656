/* A step: loss of the logits, the last layer's gradient, and the way back; see adapt.h.
 *
 * Stochastic gradient descent of one example. The gradient of a layer that is longer than rates.clip is shortened to it.
 */
#include "runtime/device/adapt.h"
#include "runtime/device/adapt_math.h"

MF_HELPER int32_t mf_adapt_top(const mf_adapt_last *p, const int8_t *logits) {
  int32_t o, top = 0;
  for (o = 1; o < p->n; o++)
    if (logits[o] > logits[top]) top = o;
  return top;
}

MF_KERNEL int32_t mf_adapt_own_label(const mf_adapt_last *p, const int8_t *logits, float least) {
  const int32_t top = mf_adapt_top(p, logits);
  float sum = 0.0f;
  int32_t o;
  for (o = 0; o < p->n; o++) sum += mf_adapt_exp((float)(logits[o] - logits[top]) * p->out_scale);
  return 1.0f >= least * sum ? top : -1;
}

MF_KERNEL float mf_adapt_loss(const mf_adapt_last *p, const int8_t *logits, int32_t label, float *dl) {
  const int32_t top = mf_adapt_top(p, logits);
  float sum = 0.0f;
  int32_t o;
  for (o = 0; o < p->n; o++) {
    dl[o] = mf_adapt_exp((float)(logits[o] - logits[top]) * p->out_scale);
    sum += dl[o];
  }
  for (o = 0; o < p->n; o++) dl[o] /= sum;
  dl[label] -= 1.0f;
  return mf_adapt_log(sum) + (float)(logits[top] - logits[label]) * p->out_scale;
}

/* Its gradient is the product of dl and (x, 1), and so is its norm. */
static float mf_adapt_last_shorter(const mf_adapt_last *p, const int8_t *x, const float *dl, float clip) {
  float xx = 1.0f, dd = 0.0f;
  int32_t i;
  for (i = 0; i < p->n; i++) dd += dl[i] * dl[i];
  for (i = 0; i < p->k; i++) {
    const float v = (float)(x[i] - p->in_zero) * p->in_scale;
    xx += v * v;
  }
  return mf_adapt_clip(dd * xx, clip);
}

MF_KERNEL void mf_adapt_step_last(const mf_adapt_last *p, mf_adapt_state *s, const int8_t *x,
                                  const float *dl) {
  int32_t *w = mf_adapt_words(s), *bias = w + p->n * p->k;
  const int32_t most = 1 << 30;
  const float rate = s->rates.last * mf_adapt_last_shorter(p, x, dl, s->rates.clip);
  int32_t o, i;
  for (o = 0; o < p->n; o++, w += p->k) {
    /* in codes: a weight's is w_scale, a sum's in_scale * w_scale */
    const float d = rate * dl[o] / p->w_scale[o];
    const float dw = d * p->in_scale * 65536.0f;
    for (i = 0; i < p->k; i++) w[i] = mf_adapt_less(w[i], dw * (float)(x[i] - p->in_zero), -most, most);
    bias[o] = mf_adapt_less(bias[o], d / p->in_scale * 256.0f, -most, most);
  }
}

MF_KERNEL float mf_adapt_step(const mf_adapt_model *m, mf_adapt_state *s, unsigned char *a, int32_t label) {
  float *dl = mf_adapt_work(m, s);
  const int8_t *x = (const int8_t *)a + m->x, *logits = (const int8_t *)a + m->logits;
  float loss;
  int32_t i;
  if (label < 0 || label >= m->last->n) return MF_ADAPT_LABEL;
  loss = mf_adapt_loss(m->last, logits, label, dl);
  mf_adapt_back_last(m, s, a, dl); /* first: by the weights as they were */
  mf_adapt_step_last(m->last, s, x, dl);
  for (i = 0; i < m->n_back; i++) mf_adapt_back_layer(&m->back[i], m, s, a);
  s->steps++;
  return loss;
}

MF_KERNEL float mf_adapt_step_features(const mf_adapt_model *m, mf_adapt_state *s, const int8_t *x,
                                       int32_t label) {
  float *dl = mf_adapt_work(m, s);
  int8_t *logits = (int8_t *)(void *)(dl + m->last->n);
  float loss;
  if (label < 0 || label >= m->last->n) return MF_ADAPT_LABEL;
  mf_adapt_run_last(m->last, mf_adapt_words(s), x, logits);
  loss = mf_adapt_loss(m->last, logits, label, dl);
  mf_adapt_step_last(m->last, s, x, dl);
  s->steps++;
  return loss;
}
