/* What kernels cost on x86-64: written by bench/calibrate_costs.c, not by hand. */
#include "backend/costs.h"

extern const TargetCosts costs_x86_64;

/* kernel, set, bytes of code, instructions per call, row, output, tap, MAC */
static const KernelCost kernels[] = {
    {"conv_s8", "generic", 0, {0, 0, 0, 68.62, 1.422}},
    {"depthwise_s8", "generic", 1372, {0, 350.8, 5.874, 0, 5.797}},
    {"fc_s8", "generic", 856, {146.6, 0, 26.04, 0, 2.165}},
    {"max_pool_s8", "generic", 0, {0, 0, 6.875, 20.64, 0}},
    {"avg_pool_s8", "generic", 1924, {793.5, 170.1, 0, 14.64, 1.486}},
    {"mean_s8", "generic", 0, {0, 0, 0, 0, 4.03}},
    {"add_s8", "generic", 0, {1.5, 6, 45, 0, 0}},
    {"mul_s8", "generic", 0, {1.5, 6, 28, 0, 0}},
    {"max_s8", "generic", 0, {0, 27.54, 0.2208, 0, 0}},
    {"min_s8", "generic", 62, {0, 29.94, 0.1961, 0, 0}},
    {"lut_s8", "generic", 0, {0, 0, 4.074, 0, 0}},
    {"softmax_s8", "generic", 2278, {0, 0, 176.9, 0, 0}},
    {"requantize_s8", "generic", 0, {0, 0, 7.256, 0, 0}},
    {"quantize_f32_s8", "generic", 0, {0, 0, 28.43, 0, 0}},
    {"dequantize_s8", "generic", 0, {86.92, 0, 1.695, 0, 0}},
    {"copy", "generic", 369, {14.32, 32.01, 6.989, 0, 0}},
    {"fill", "generic", 0, {55.22, 0, 0, 0, 0}},
    {"conv_f32", "generic", 1800, {7620, 0, 28.46, 0, 2.008}},
    {"depthwise_f32", "generic", 347, {0, 132.6, 3.745, 0, 0.9174}},
    {"fc_f32", "generic", 347, {11.48, 0, 51.65, 0, 1.49}},
    {"matmul_f32", "generic", 0, {0, 0, 0, 0, 3.905}},
    {"max_pool_f32", "generic", 964, {0, 0, 3.687, 18.35, 0.9864}},
    {"avg_pool_f32", "generic", 649, {0, 0, 0, 5.955, 2.514}},
    {"mean_f32", "generic", 0, {1666, 0, 0, 0, 0}},
    {"affine_f32", "generic", 0, {8.5, 5, 12, 0, 0}},
    {"add_f32", "generic", 0, {0, 0, 4.689, 0, 0}},
    {"sub_f32", "generic", 0, {0, 0, 4.689, 0, 0}},
    {"mul_f32", "generic", 0, {0, 0, 4.689, 0, 0}},
    {"div_f32", "generic", 0, {0, 0, 4.689, 0, 0}},
    {"max_f32", "generic", 0, {0, 0, 4.689, 0, 0}},
    {"min_f32", "generic", 0, {0, 0, 4.689, 0, 0}},
    {"relu_f32", "generic", 0, {0, 0, 1.448, 0, 0}},
    {"clip_f32", "generic", 0, {0, 20.05, 4.683, 0, 0}},
    {"leaky_relu_f32", "generic", 0, {0, 0, 5.694, 0, 0}},
    {"sigmoid_f32", "generic", 0, {314.5, 5.429, 40.01, 0, 0}},
    {"tanh_f32", "generic", 0, {0, 0, 105.1, 0, 0}},
    {"softmax_f32", "generic", 0, {0, 0, 47.73, 0, 0}},
};

const TargetCosts costs_x86_64 = {
    .origin = "gcc -O3 -ffp-contract=off",
    .pointer = 8,
    .base_code = 292,
    .code_per_call = 253,
    .int8_shared = 1889,
    .float_shared = 1118,
    .base_instructions = 2,
    .kernels = kernels,
    .n_kernels = sizeof kernels / sizeof *kernels,
};
