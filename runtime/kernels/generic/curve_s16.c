/* Sigmoid, Tanh and LeakyRelu, int16.
 *
 *   Sigmoid, Tanh   interpolated in a table (sigmoid16.h); output scale 2^-15
 *   LeakyRelu       y = clamp(requantize(x, mult, shift), -32768, 32767), below 0 with neg_mult and neg_shift
 *
 * Bit for bit TensorFlow Lite's reference (reference/integer_ops/logistic.h and tanh.h; QuantizeLeakyRelu of
 * reference/leaky_relu.h, double rounding; zero points are 0). A row is n elements. The output may be exactly the input's
 * memory.
 */
#include "runtime/kernels/sigmoid16.h"

MF_INLINE int32_t sigmoid_s16_one(const mf_curve_s16 *p, int32_t x) {
  return mf_sigmoid16(x, p->mult, p->shift);
}
MF_INLINE int32_t tanh_s16_one(const mf_curve_s16 *p, int32_t x) { return mf_tanh16(x, p->mult, p->shift); }

MF_INLINE int32_t leaky_relu_s16_one(const mf_leaky_s16 *p, int32_t x) {
  return mf_clamp(x >= 0 ? mf_requantize(x, p->mult, p->shift) : mf_requantize(x, p->neg_mult, p->neg_shift),
                  INT16_MIN, INT16_MAX);
}

#define CURVE_S16(name, params_type, one)                                                               \
  MF_KERNEL mf_kernel_fn name##__generic;                                                               \
  MF_KERNEL void name##__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0, \
                                 int32_t y1, void *scratch) {                                           \
    const params_type *p = (const params_type *)params;                                                 \
    int32_t r, i;                                                                                       \
    (void)scratch;                                                                                      \
    for (r = y0; r < y1; r++) {                                                                         \
      const int16_t *x = (const int16_t *)mf_row(in, r);                                                \
      int16_t *y = (int16_t *)mf_row(out, r);                                                           \
      for (i = 0; i < p->n; i++) y[i] = (int16_t)one(p, x[i]);                                          \
    }                                                                                                   \
  }

CURVE_S16(sigmoid_s16, mf_curve_s16, sigmoid_s16_one)
CURVE_S16(tanh_s16, mf_curve_s16, tanh_s16_one)
CURVE_S16(leaky_relu_s16, mf_leaky_s16, leaky_relu_s16_one)
