/* What kernels cost on x86-64-v3: written by mistify calibrate, not by hand. */
#include "backend/costs.h"

extern const TargetCosts costs_x86_64_v3;

/* kernel, set, bytes of code where called several times and once, of data, cycles per call, row, output,
 * tap, MAC, rest */
static const KernelCost kernels[] = {
    {"conv_s8", "avx2", {4461, 2313, 20, 0, 0}, {0, 0, 1.991, 0, 5.142, 2.521}},
    {"depthwise_s8", "avx2", {3638, 1637, 12, 0, 0}, {0, 16.25, 48.86, 0, 3.634, 0}},
    {"fc_s8", "avx2", {604, 143, 12, 0, 0}, {36.78, 10.16, 0, 1.758, 3.738, 0}},
    {"add_s8", "avx2", {1192, 688, 12, 0, 0}, {58.09, 0, 69.32, 0, 0, 44.91}},
    {"conv_f32", "avx2", {6371, 3382, 12, 0, 0}, {0, 0, 6.653, 0, 1.542, 6.459}},
    {"depthwise_f32", "avx2", {8464, 1351, 28, 0, 0}, {300, 5.103, 20.82, 149.4, 5.406, 0}},
    {"fc_f32", "avx2", {619, 312, 12, 0, 0}, {0, 0, 14.9, 0, 3.418, 0}},
    {"conv_s8", "avx2_winograd", {17480, 8672, 20, 0, 0}, {300, 23.25, 604.3, 0, 3.232, 7.475}},
    {"conv_f32", "avx2_winograd", {13981, 7068, 20, 0, 0}, {300, 0, 251.2, 719.8, 1.517, 6.071}},
};

const TargetCosts costs_x86_64_v3 = {
    .origin = "gcc -O3 -march=x86-64-v3 -ffp-contract=off",
    .pointer = 8,
    .base_code = 276,
    .code_per_call = 253,
    .int8_shared = 841,
    .float_shared = 250,
    .base_cycles = 2,
    .kernels = kernels,
    .n_kernels = sizeof kernels / sizeof *kernels,
};
