/* Scales and zero points. Source: Jacob et al. 2018 (arXiv:1712.05877), sections 2 and 3; TFLite's quantization
 * specification (activations asymmetric per tensor, weights symmetric per channel, int32 bias of scale
 * input * weight, so that the accumulator needs no correction but the input's zero point).
 */
#include "passes/quantize.h"

#include <math.h>

static int32_t round_clamped(double x, int32_t lo, int32_t hi) {
  if (x <= lo) return lo;
  if (x >= hi) return hi;
  return (int32_t)lround(x);
}

Affine affine_of_range(float lo, float hi) {
  double span = (double)hi - (double)lo;
  Affine a = {(float)(span / 255), 0};
  if (!(a.scale >= 1e-30f)) return (Affine){1, 0};
  a.zero = round_clamped(-128 - (double)lo / (double)a.scale, -128, 127);
  return a;
}

void affine_quantize(Affine a, const float *x, int64_t n, int8_t *q) {
  for (int64_t i = 0; i < n; i++)
    q[i] = (int8_t)round_clamped(round((double)x[i] / (double)a.scale) + a.zero, -128, 127);
}

static float largest(const WeightView *v, int64_t o) {
  float most = 0;
  for (int64_t i = 0; i < v->each; i++) most = fmaxf(most, fabsf(v->w[o * v->step_out + i * v->step_in]));
  return most;
}

static int32_t most_of(const WeightView *v) { return v->most ? v->most : 127; }

float weights_scale(float given, double bias, float in_scale) {
  double scale = (double)given, b = fabs(bias) / (double)in_scale;
  if (scale < 1e-30) scale = b > 0 ? b / (double)(1 << 22) : 1;
  double least = b / (double)(1 << 30);
  scale = scale < least ? least : scale;
  return (float)(scale < 1e-30 ? 1 : scale);
}

/* One scale for all channels: that of the largest weight, or more where a bias would not fit. */
static float common_scale(const WeightView *v, const float *bias, float in_scale) {
  float most = 0, bias_most = 0;
  for (int64_t o = 0; o < v->outs; o++) {
    most = fmaxf(most, largest(v, o));
    if (bias) bias_most = fmaxf(bias_most, fabsf(bias[o]));
  }
  return weights_scale((float)((double)most / most_of(v)), (double)bias_most, in_scale);
}

void weights_round(const WeightView *v, bool per_channel, const float *bias, float in_scale, int8_t *q,
                   float *scale, int32_t *qbias) {
  (void)per_channel;
  for (int64_t o = 0; o < v->outs; o++) {
    for (int64_t i = 0; i < v->each; i++) {
      int64_t at = o * v->step_out + i * v->step_in;
      q[at] = (int8_t)round_clamped((double)v->w[at] / (double)scale[o], -most_of(v), most_of(v));
    }
    if (bias)
      qbias[o] =
          round_clamped((double)bias[o] / ((double)in_scale * (double)scale[o]), -INT32_MAX, INT32_MAX);
  }
}

void weights_quantize(const WeightView *v, bool per_channel, const float *bias, float in_scale, int8_t *q,
                      float *scale, int32_t *qbias) {
  float common = per_channel ? 0 : common_scale(v, bias, in_scale);
  for (int64_t o = 0; o < v->outs; o++)
    scale[o] = per_channel ? weights_scale((float)((double)largest(v, o) / most_of(v)),
                                           bias ? (double)bias[o] : 0, in_scale)
                           : common;
  weights_round(v, per_channel, bias, in_scale, q, scale, qbias);
}
