/* What kernels cost on x86-64-v3: written by mistify calibrate, not by hand. */
#include "backend/costs.h"

extern const TargetCosts costs_x86_64_v3;

/* kernel, set, bytes of code where called several times and once, of data, of a copy, shared, cycles per call, row, output,
 * tap, MAC, rest, line, move */
static const KernelCost kernels[] = {
    {"conv_s8", "avx2", {13618, 3358, 0, 4472, 4340}, {886.5, 12.67, 8.397, 80.11, 2.726, 3.45, 0, 0}},
    {"depthwise_s8", "avx2", {10578, 2873, 0, 2518, 177}, {1158, 11.94, 73.47, 0, 15.99, 2.103, 0, 0}},
    {"fc_s8", "avx2", {2198, 918, 0, 612, 288}, {18.49, 2.363, 8.234, 3.197, 3.585, 0, 0, 0}},
    {"add_s8", "avx2", {1192, 688, 12, 0, 0}, {77.08, 0, 69.07, 0, 0, 44.13, 0, 0}},
    {"conv_f32", "avx2", {21222, 1365, 0, 5143, 0}, {385.1, 27.68, 11.34, 50.66, 1.433, 5.374, 0, 0}},
    {"depthwise_f32", "avx2", {8838, 3137, 0, 4419, 0}, {1487, 5.804, 26.86, 0, 4.611, 0, 0, 0}},
    {"fc_f32", "avx2", {1135, 885, 0, 567, 32}, {105.3, 0, 0, 0, 3.523, 0, 0, 0}},
    {"conv_s8", "avx2_winograd", {14978, 9531, 0, 10133, 95}, {0, 0, 294.3, 869.9, 3.707, 5.934, 0, 0}},
    {"conv_f32", "avx2_winograd", {13748, 7215, 0, 10066, 0}, {3817, 19.18, 662.8, 0, 1.567, 4.092, 0, 0}},
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
    .code_per_call = 45,
    .int8_shared = 841,
    .float_shared = 250,
    .base_cycles = 2,
    .cycles_per_call = 0,
    .code_per_turn = 452,
    .code_per_io = 48,
    .copies_most = 80000,
    .kernels = kernels,
    .n_kernels = sizeof kernels / sizeof *kernels,
};
