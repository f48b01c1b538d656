/* Fused activations: y = limits of x, and the gradient through them from the output alone.
 *
 * Where the output lies on a limit the gradient is 0 (as PyTorch's relu; for hardtanh and relu6 too the subgradient
 * at the limit itself is 0).
 */
#include "runtime/engine/op_call.h"

static void limits(Act a, float *lo, float *hi) {
  *lo = a == ACT_RELU_N1_TO_1 ? -1 : 0;
  *hi = a == ACT_RELU6 ? 6 : 1;
}

void act_apply(Act a, float *y, int64_t n) {
  float lo, hi;
  limits(a, &lo, &hi);
  if (a == ACT_NONE) return;
  if (a == ACT_RELU) {
    for (int64_t i = 0; i < n; i++) y[i] = y[i] > 0 ? y[i] : 0;
    return;
  }
  for (int64_t i = 0; i < n; i++) {
    float v = y[i] > lo ? y[i] : lo;
    y[i] = v < hi ? v : hi;
  }
}

const float *act_mask(Act a, const float *restrict y, const float *restrict dy, int64_t n,
                      float *restrict tmp) {
  float lo, hi;
  limits(a, &lo, &hi);
  if (a == ACT_NONE) return dy;
  if (a == ACT_RELU) {
    for (int64_t i = 0; i < n; i++) tmp[i] = y[i] > 0 ? dy[i] : 0;
    return tmp;
  }
  for (int64_t i = 0; i < n; i++) tmp[i] = ((y[i] > lo) & (y[i] < hi)) ? dy[i] : 0;
  return tmp;
}
