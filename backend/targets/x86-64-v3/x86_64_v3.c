/* What kernels cost on x86-64-v3: written by mistify calibrate, not by hand. */
#include "backend/costs.h"

extern const TargetCosts costs_x86_64_v3;

/* kernel, set, bytes of code where called several times and once, of data, of a copy, shared, cycles per call, row, output,
 * tap, MAC, rest, line, move */
static const KernelCost kernels[] = {
    {"conv_s8", "avx2", {4461, 2313, 20, 0, 0}, {300, 0, 12.62, 138.2, 2.99, 0.6255, 0, 0}},
    {"depthwise_s8", "avx2", {3638, 1637, 12, 0, 0}, {300, 11.87, 80.45, 27.77, 17.02, 5.632, 0, 0}},
    {"fc_s8", "avx2", {604, 143, 12, 0, 0}, {18.49, 2.363, 8.234, 3.197, 3.585, 0, 0, 0}},
    {"add_s8", "avx2", {1192, 688, 12, 0, 0}, {77.08, 0, 69.07, 0, 0, 44.13, 0, 0}},
    {"conv_f32", "avx2", {6371, 3382, 12, 0, 0}, {167, 25.35, 11.56, 66.85, 1.472, 5.072, 0, 0}},
    {"depthwise_f32", "avx2", {8464, 1351, 28, 0, 0}, {300, 6.756, 34.63, 0, 5.133, 0, 0, 0}},
    {"fc_f32", "avx2", {619, 312, 12, 0, 0}, {105.3, 0, 0, 0, 3.523, 0, 0, 0}},
    {"conv_s8", "avx2_winograd", {17480, 8672, 20, 0, 0}, {0, 0, 294.3, 869.9, 3.707, 5.934, 0, 0}},
    {"conv_f32", "avx2_winograd", {13981, 7068, 20, 0, 0}, {300, 0, 302.4, 762.7, 1.331, 6.423, 0, 0}},
    {"softmax_f32", "generic", {790, 413, 0, 395, 0}, {300, 0, 45.84, 0, 0, 42.61, 0, 0}},
    {"avg_pool_f32", "generic", {1505, 822, 0, 752, 0}, {51.11, 55.28, 0, 4.7, 0, 2.188, 0, 0}},
    {"softmax_s8", "generic", {4525, 3151, 0, 2412, 34}, {300, 0, 215.4, 0, 0, 133.5, 0, 0}},
    {"add_f32", "generic", {513, 399, 0, 256, 0}, {82.28, 0, 1.173, 0, 0, 2.844, 0, 0}},
    {"avg_pool_s8", "generic", {4578, 1717, 0, 2289, 0}, {0, 0, 0, 5.513, 2.661, 0, 0, 0}},
};

const TargetCosts costs_x86_64_v3 = {
    .origin = "gcc -O3 -march=x86-64-v3 -ffp-contract=off",
    .pointer = 8,
    .base_code = 276,
    .code_per_call = 253,
    .int8_shared = 841,
    .float_shared = 250,
    .base_cycles = 2,
    .cycles_per_call = 0,
    .kernels = kernels,
    .n_kernels = sizeof kernels / sizeof *kernels,
};
