/* What the recurrent kernels share: activations and dot products with the state. Source: ONNX RNN, GRU, LSTM (opset 22),
 * whose activations these are, with their alpha and beta.
 */
#ifndef MF_RECURRENT_H
#define MF_RECURRENT_H

#include <math.h>

#include "runtime/kernels/kernel.h"

MF_HELPER float mf_recurrent_act(int32_t act, float alpha, float beta, float x) {
  switch (act) {
  case MF_ACT_SIGMOID: return 1.0f / (1.0f + expf(-x));
  case MF_ACT_TANH: return tanhf(x);
  case MF_ACT_RELU: return x > 0 ? x : 0;
  case MF_ACT_AFFINE: return alpha * x + beta;
  case MF_ACT_LEAKY_RELU: return x < 0 ? alpha * x : x;
  case MF_ACT_THRESHOLDED_RELU: return x > alpha ? x : 0;
  case MF_ACT_SCALED_TANH: return alpha * tanhf(beta * x);
  case MF_ACT_HARD_SIGMOID: {
    const float v = alpha * x + beta;
    return v < 0 ? 0 : v > 1 ? 1 : v;
  }
  case MF_ACT_ELU: return x < 0 ? alpha * (expf(x) - 1.0f) : x;
  case MF_ACT_SOFTSIGN: return x / (1.0f + fabsf(x));
  default: return (x > 0 ? x : 0) + log1pf(expf(-fabsf(x))); /* softplus */
  }
}

/* x limited to -clip .. clip; clip 0: not at all. */
MF_HELPER float mf_recurrent_clip(float x, float clip) {
  return clip > 0 ? (x < -clip ? -clip : x > clip ? clip : x) : x;
}

/* The dot product of two vectors; h NULL: zeros. */
MF_HELPER float mf_recurrent_dot(const float *w, const float *h, int32_t n) {
  float sum = 0;
  int32_t i;
  if (!h) return 0;
  for (i = 0; i < n; i++) sum += w[i] * h[i];
  return sum;
}

/* The optional input that bit `which` of p->given names, NULL where it is left out. */
MF_HELPER const void *mf_recurrent_input(const mf_recurrent *p, const mf_view *in, int32_t which) {
  int32_t bit, slot = 2;
  if (!(p->given & which)) return NULL;
  for (bit = 1; bit < which; bit <<= 1) slot += (p->given & bit) != 0;
  return in[slot].base;
}

/* The steps of sequence n. */
MF_HELPER int32_t mf_recurrent_length(const mf_recurrent *p, const mf_view *in, int32_t n) {
  const int32_t *lengths = (const int32_t *)mf_recurrent_input(p, in, MF_GIVEN_LENGTHS);
  if (!lengths) return p->steps;
  return lengths[n] < 0 ? 0 : lengths[n] < p->steps ? lengths[n] : p->steps;
}

/* The input's share of `gates` gates at step t of sequence n. */
MF_HELPER const float *mf_recurrent_share(const mf_recurrent *p, const mf_view *in, int32_t gates, int32_t t,
                                          int32_t n) {
  const ptrdiff_t at = p->batch_first ? (ptrdiff_t)n * p->steps + t : (ptrdiff_t)t * p->items + n;
  return (const float *)in[0].base + at * gates * p->hidden;
}

/* The initial state of sequence n, NULL: zeros. */
MF_HELPER const float *mf_recurrent_initial(const mf_recurrent *p, const mf_view *in, int32_t n,
                                            int32_t which) {
  const float *s = (const float *)mf_recurrent_input(p, in, which);
  return s ? s + (ptrdiff_t)n * p->hidden : NULL;
}

/* A state's copy, zeros where h is NULL. */
MF_HELPER void mf_recurrent_copy(float *y, const float *h, int32_t n) {
  int32_t i;
  for (i = 0; i < n; i++) y[i] = h ? h[i] : 0;
}

#endif
