/* What kernels cost on cortex-m4: written by bench/calibrate_costs.c, not by hand. */
#include "backend/costs.h"

extern const TargetCosts costs_cortex_m4;

/* kernel, set, bytes of code, instructions per call, row, output, tap, MAC */
static const KernelCost kernels[] = {
    {"conv_s8", "generic", 848, {80.6, 77.86, 87.74, 53.26, 5.993}},
    {"depthwise_s8", "generic", 930, {1597, 246.8, 46.5, 27.1, 6.758}},
    {"fc_s8", "generic", 570, {0, 46.95, 65.9, 0, 5.992}},
    {"max_pool_s8", "generic", 570, {0, 0, 34.87, 28.47, 9.281}},
    {"avg_pool_s8", "generic", 654, {0, 36.12, 59.35, 36.14, 0}},
    {"mean_s8", "generic", 570, {40.95, 0, 89.01, 0, 22}},
    {"add_s8", "generic", 850, {104.5, 76.18, 88.82, 0, 0}},
    {"mul_s8", "generic", 626, {24.5, 73, 43, 0, 0}},
    {"max_s8", "generic", 570, {48.5, 53, 34, 0, 0}},
    {"min_s8", "generic", 570, {48.5, 53, 34, 0, 0}},
    {"lut_s8", "generic", 570, {0, 0, 5.677, 0, 0}},
    {"softmax_s8", "generic", 902, {0, 0, 319.7, 0, 0}},
    {"requantize_s8", "generic", 570, {502.3, 0, 37.27, 0, 0}},
    {"quantize_f32_s8", "generic", 423, {398.5, 0.1986, 41.31, 0, 0}},
    {"dequantize_s8", "generic", 570, {0, 6.318, 7.999, 0, 0}},
    {"copy", "generic", 489, {44, 51, 7, 0, 0}},
    {"fill", "generic", 0, {0, 20.42, 7.002, 0, 0}},
    {"conv_f32", "generic", 791, {0, 199.9, 129.1, 24.24, 9.221}},
    {"depthwise_f32", "generic", 762, {1933, 275.1, 17.31, 13.59, 7.015}},
    {"fc_f32", "generic", 423, {0, 73.85, 93.7, 0, 8.992}},
    {"matmul_f32", "generic", 423, {99.7, 93.78, 0, 0, 7.875}},
    {"max_pool_f32", "generic", 551, {0, 0, 6.103, 16.34, 10.42}},
    {"avg_pool_f32", "generic", 575, {0, 0, 21.52, 17.65, 5.74}},
    {"mean_f32", "generic", 423, {62.29, 0, 42, 0, 34}},
    {"affine_f32", "generic", 423, {0, 4.178, 14.01, 0, 0}},
    {"add_f32", "generic", 579, {78.5, 62, 13, 0, 0}},
    {"sub_f32", "generic", 579, {78.5, 62, 13, 0, 0}},
    {"mul_f32", "generic", 579, {78.5, 62, 13, 0, 0}},
    {"div_f32", "generic", 579, {78.5, 62, 13, 0, 0}},
    {"max_f32", "generic", 595, {78.5, 62, 16, 0, 0}},
    {"min_f32", "generic", 595, {78.5, 62, 16, 0, 0}},
    {"relu_f32", "generic", 423, {0, 4.237, 7.997, 0, 0}},
    {"clip_f32", "generic", 423, {16.4, 5.611, 9.812, 0, 0}},
    {"leaky_relu_f32", "generic", 423, {0, 9.319, 7.512, 0, 0}},
    {"sigmoid_f32", "generic", 603, {0, 3.408, 68.3, 0, 0}},
    {"tanh_f32", "generic", 891, {7.904, 3.432, 98.1, 0, 0}},
    {"softmax_f32", "generic", 786, {0, 0, 97.62, 0, 0}},
};

const TargetCosts costs_cortex_m4 = {
    .origin = "arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -mfpu=auto -mfloat-abi=hard -O2 -ffp-contract=off",
    .pointer = 4,
    .base_code = 112,
    .code_per_call = 26,
    .int8_shared = 22,
    .float_shared = 105,
    .base_instructions = 17,
    .kernels = kernels,
    .n_kernels = sizeof kernels / sizeof *kernels,
};
