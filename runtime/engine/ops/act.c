/* Fused activations: y = limits of x, and the gradient through them from the output alone.
 *
 * Where the output lies on a limit the gradient is 0 (as PyTorch's relu; for hardtanh and relu6 too the subgradient
 * at the limit itself is 0).
 */
#include "runtime/engine/op_call.h"

#include <math.h>

void act_limits(Act a, float *lo, float *hi) {
  *lo = a == ACT_NONE ? -INFINITY : a == ACT_RELU_N1_TO_1 ? -1 : 0;
  *hi = a == ACT_RELU6 ? 6 : a == ACT_RELU_N1_TO_1 ? 1 : INFINITY;
}

void act_apply(Act a, float *y, int64_t n) {
  float lo, hi;
  if (a == ACT_NONE) return;
  act_limits(a, &lo, &hi);
  for (int64_t i = 0; i < n; i++) {
    float v = y[i] > lo ? y[i] : lo;
    y[i] = v < hi ? v : hi;
  }
}

const float *act_mask(const OpCall *c, const float *y, const float *dy, int64_t n, float *tmp) {
  float lo, hi;
  if (c->st->act == ACT_NONE) return dy;
  act_limits(c->st->act, &lo, &hi);
  c->s->k->mask(y, dy, lo, hi, n, false, tmp);
  return tmp;
}
