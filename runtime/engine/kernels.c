/* The portable version of the engine's hot loops, and the choice of version; see simd/kernels.h.
 *
 * Convolutions of the portable version are matrix products of im2col (ops/conv.c), by OpenBLAS.
 */
#include "runtime/engine/simd/loops.h"

#include <stddef.h>

const EngineKernels engine_kernels_portable = {
    .name = "portable",
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
#else
  (void)portable;
#endif
  return k ? k : &engine_kernels_portable;
}
