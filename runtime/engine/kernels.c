/* The portable version of the engine's hot loops, and the choice of version; see simd/kernels.h.
 *
 * Convolutions of the portable version are matrix products of im2col (ops/conv_gemm.c), by OpenBLAS.
 */
#include "runtime/engine/simd/loops.h"

#include <stddef.h>

static void loop_depthwise(const ConvShape *q, const float *x, const float *w, const float *bias, float lo,
                           float hi, bool add, float *y) {
  for (int64_t c0 = 0; c0 < q->c; c0 += RUN)
    depthwise_range(q, x, w, bias, lo, hi, add, y, c0, c0 + RUN < q->c ? c0 + RUN : q->c);
}

static void loop_depthwise_weights(const ConvShape *q, const float *x, const float *dy, float *acc) {
  depthwise_weights_range(q, x, dy, acc, 0, q->c);
}

const EngineKernels engine_kernels_portable = {
    .name = "portable",
    .depthwise = loop_depthwise,
    .depthwise_weights = loop_depthwise_weights,
    .column_sums = loop_column_sums,
    .column_squares = loop_column_squares,
    .affine = loop_affine,
    .affine_sums = loop_affine_sums,
    .affine_back = loop_affine_back,
    .add = loop_add,
    .mask = loop_mask,
};

const EngineKernels *engine_kernels(bool portable) {
  const EngineKernels *k = NULL;
#if defined(__x86_64__)
  if (!portable && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) k = engine_kernels_v3();
  if (k && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && engine_kernels_v4())
    k = engine_kernels_v4();
#elif defined(__aarch64__)
  if (!portable) k = engine_kernels_neon();
#else
  (void)portable;
#endif
  return k ? k : &engine_kernels_portable;
}
