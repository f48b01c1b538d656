/* Samples of the engine's kernels that programs of any machine compute alike: a hash of all that a version writes. */
#ifndef TESTS_ENGINE_SIMD_SAMPLES_H
#define TESTS_ENGINE_SIMD_SAMPLES_H

#include "runtime/engine/simd/kernels.h"

enum { SIMD_SAMPLES = 240 };

/* Sample n (0 .. SIMD_SAMPLES - 1): random shapes and values, the same everywhere. */
uint64_t simd_sample(const EngineKernels *k, int n);

#endif
