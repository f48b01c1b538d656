/* The engine's hot loops for AArch64 (NEON): the results of kernels_v3.c to the byte, by the same text over vectors of 4
 * floats. A block of 16 output channels is four registers, 6 pixels of a convolution are 24 accumulators (blocks.h).
 */
#include <stddef.h>

#include "runtime/engine/simd/kernels.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#define MULADD(a, b, c) __builtin_fmaf(a, b, c)
#include "runtime/engine/simd/loops.h"

enum { LANES = 4 };
typedef float32x4_t V;
#define VLOAD(p)      vld1q_f32(p)
#define VSTORE(p, v)  vst1q_f32(p, v)
#define VSET(x)       vdupq_n_f32(x)
#define VFMA(a, b, c) vfmaq_f32(c, a, b)
#define VMIN(a, b)    vminq_f32(a, b)
#define VMAX(a, b)    vmaxq_f32(a, b)
#define VINSIDE(v, lo, hi, g) \
  vreinterpretq_f32_u32(vandq_u32(vandq_u32(vcgtq_f32(v, lo), vcltq_f32(v, hi)), vreinterpretq_u32_f32(g)))
#define EACH_VEC(X, i) X(i, 0) X(i, 1) X(i, 2) X(i, 3)
#include "runtime/engine/simd/winograd.h"
#include "runtime/engine/simd/rows.h"
#include "runtime/engine/simd/depthwise.h"
#include "runtime/engine/simd/blocks.h"

static const EngineKernels neon = {
    .name = "aarch64",
    .conv = blocks_conv,
    .conv_weights = blocks_conv_weights,
    .depthwise = depthwise_all,
    .depthwise_weights = depthwise_weights_all,
    SIMD_SHARED,
};

const EngineKernels *engine_kernels_neon(void) { return &neon; }

#else

const EngineKernels *engine_kernels_neon(void) { return NULL; }

#endif
