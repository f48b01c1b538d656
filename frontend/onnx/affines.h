/* What the importers of ONNX's quantized operators share: scales and zero points. */
#ifndef FRONTEND_ONNX_AFFINES_H
#define FRONTEND_ONNX_AFFINES_H

#include "frontend/onnx/onnx_op.h"

/* Scales and zero points of a tensor: one, or one per slice along an axis. */
typedef struct OxAffines {
  int32_t n, axis;
  float *scale;
  int32_t *zero;
} OxAffines;

bool ox_is_code8(DType t); /* int8 or uint8 */
/* Constants scale and zero (NO_VAL: 0) as quantization of a tensor of type t (int8, uint8, int32) and shape s along `axis`
 * (-1: one scale alone). false: they are no such thing (nothing is reported). */
bool ox_affines(OxCall *c, ValId scale, ValId zero, DType t, const Shape *s, int32_t axis, OxAffines *a);
/* Codes x under quantization a as float32, and the other way round. */
ValId ox_dequantize(OxCall *c, ValId x, const OxAffines *a, const char *suffix);
ValId ox_quantize(OxCall *c, ValId x, DType to, const OxAffines *a, const char *suffix);
/* Input i, or NO_VAL where it is left out. */
ValId ox_optional(const OxCall *c, uint32_t i);
/* Report what is not supported about a scale or zero point, and what is. */
bool ox_fail_affines(OxCall *c, const char *what);

#endif
