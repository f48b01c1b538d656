/* Quantization to int8 with TFLite's semantics: the arithmetic of scales, shared by the pass and its tests. */
#ifndef PASSES_QUANTIZE_H
#define PASSES_QUANTIZE_H

#include "ir/graph.h"
#include "runtime/data/dataset.h"

/* -- quant_params.c -- */

typedef struct Affine {
  float scale;
  int32_t zero;
} Affine;

/* Scale and zero point of int8 codes -128..127 for real values lo..hi, lo <= 0 <= hi. Real 0 is a code exactly.
 * An empty range (lo == hi == 0) gives scale 1 and zero point 0. */
Affine affine_of_range(float lo, float hi);
/* Codes of n real values, rounded half away from zero, saturated. */
void affine_quantize(Affine a, const float *x, int64_t n, int8_t *q);

/* Weights with `outs` output channels, weight i of channel o at w[o * step_out + i * step_in], `each` of them. */
typedef struct WeightView {
  const float *w;
  int64_t outs, each, step_out, step_in;
  int32_t most; /* largest code; 0: 127 */
} WeightView;

/* Quantize weights symmetrically, per output channel or with one scale.
 *
 *   q      as w, int8, -most..most                          (written)
 *   scale  [outs], > 0: w ~ scale[o] * q; all equal where per_channel is false   (written)
 *   bias   [outs] real values, or NULL                      in_scale: of the layer's input
 *   qbias  [outs] int32, bias ~ in_scale * scale[o] * qbias (written; NULL where bias is)
 *
 * scale[o] is max |w| / most, or more where the bias would not fit in 31 bits; a channel without weights gets
 * one by which its bias is exact to 2^-22. All values are finite (the caller checks). */
void weights_quantize(const WeightView *v, bool per_channel, const float *bias, float in_scale, int8_t *q,
                      float *scale, int32_t *qbias);

/* The same with the scales given: scale is read, also where all are equal. */
void weights_round(const WeightView *v, bool per_channel, const float *bias, float in_scale, int8_t *q,
                   float *scale, int32_t *qbias);

/* A channel's scale beside its bias: `scale`, or more where the bias would not fit; 0: the channel has no weights. */
float weights_scale(float scale, double bias, float in_scale);

/* -- quantize.c -- */

/* What `quantize` makes of g, with nominal ranges instead of calibrated ones: the same operators, kernels and sizes, for
 * asking what a float graph will cost. Its outputs mean nothing. NULL: reported. */
Graph *quantize_nominal(const Graph *g, Diag *d);
/* The same with the pass's parameters, of which those for weights count. */
Graph *quantize_nominal_as(const Graph *g, const char *params, Diag *d);

/* -- quant_prepare.c -- */

/* What the model's input is on the device, in codes. */
typedef struct InputCodes {
  bool
      exact; /* the data are bytes, and x = scale * (byte + shift) with the same scale and shift everywhere */
  DType dtype; /* of the bytes: DT_U8 or DT_I8 */
  Affine
      i8; /* exact: quantization of the int8 input, whose code is the byte (DT_I8) or the byte - 128 (DT_U8) */
} InputCodes;

/* A float graph made ready: a raw input (u8 or i8 behind Dequantize, as `input_raw` leaves it) becomes f32,
 * BatchNormalization that was not fused a 1x1 DepthwiseConv, an AveragePool of everything a ReduceMean. *ds gets
 * the given dataset, with the normalisation that gives the new input its real values. NULL: reported. */
Graph *quant_prepare(const Graph *g, const Dataset *given, Dataset *ds, InputCodes *codes, Diag *d);

#endif
