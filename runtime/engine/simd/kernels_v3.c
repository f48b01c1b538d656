/* The engine's hot loops for x86-64-v3 (AVX2, FMA): the shared loops over vectors of 8 floats. A block of 16 output
 * channels is two registers, 6 pixels of a convolution are 12 accumulators (blocks.h).
 */
#include <stddef.h>

#if defined(__AVX2__) && defined(__FMA__)

#include <immintrin.h>

#define MULADD(a, b, c) __builtin_fmaf(a, b, c)
#include "runtime/engine/simd/loops.h"

enum { LANES = 8 };
typedef __m256 V;
#define VLOAD(p)      _mm256_loadu_ps(p)
#define VSTORE(p, v)  _mm256_storeu_ps(p, v)
#define VSET(x)       _mm256_set1_ps(x)
#define VFMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define VMIN(a, b)    _mm256_min_ps(a, b)
#define VMAX(a, b)    _mm256_max_ps(a, b)
#define VINSIDE(v, lo, hi, g) \
  _mm256_and_ps(_mm256_and_ps(_mm256_cmp_ps(v, lo, _CMP_GT_OQ), _mm256_cmp_ps(v, hi, _CMP_LT_OQ)), g)
#include "runtime/engine/simd/winograd.h"
#include "runtime/engine/simd/rows.h"
#include "runtime/engine/simd/depthwise.h"
#include "runtime/engine/simd/blocks.h"

static const EngineKernels v3 = {
    .name = "x86-64-v3",
    .conv = blocks_conv,
    .conv_weights = blocks_conv_weights,
    .depthwise = depthwise_all,
    .depthwise_weights = depthwise_weights_all,
    SIMD_SHARED,
};

const EngineKernels *engine_kernels_v3(void) { return &v3; }

#else

#include "runtime/engine/simd/kernels.h"

const EngineKernels *engine_kernels_v3(void) { return NULL; }

#endif
