/* What kernels cost on cortex-m0: written by bench/calibrate_costs.c, not by hand. */
#include "backend/costs.h"

extern const TargetCosts costs_cortex_m0;

/* kernel, set, bytes of code, instructions per call, row, output, tap, MAC */
static const KernelCost kernels[] = {
    {"conv_s8", "generic", 1007, {36.88, 171.8, 198.2, 63.18, 9.025}},
    {"depthwise_s8", "generic", 996, {1975, 331.4, 107.8, 36.59, 10.57}},
    {"fc_s8", "generic", 626, {0, 77.5, 146.1, 0, 8.989}},
    {"max_pool_s8", "generic", 626, {0, 0, 85.09, 67.33, 0}},
    {"avg_pool_s8", "generic", 675, {0, 926.4, 81.79, 8.037, 0}},
    {"mean_s8", "generic", 626, {519, 0, 229.9, 0, 27.13}},
    {"add_s8", "generic", 918, {176, 99, 269.2, 0, 0}},
    {"mul_s8", "generic", 694, {127.7, 101, 107.5, 0, 0}},
    {"max_s8", "generic", 626, {117.3, 62.9, 59.53, 0, 0}},
    {"min_s8", "generic", 626, {177.2, 62.67, 59.44, 0, 0}},
    {"lut_s8", "generic", 626, {0, 0, 7.846, 0, 0}},
    {"softmax_s8", "generic", 1108, {0, 0, 1256, 0, 0}},
    {"requantize_s8", "generic", 626, {0, 51.2, 95.39, 0, 0}},
    {"quantize_f32_s8", "generic", 464, {0, 39.5, 717.7, 0, 0}},
    {"dequantize_s8", "generic", 626, {72.53, 8.076, 172.1, 0, 0}},
    {"copy", "generic", 1096, {135, 84, 7, 0, 0}},
    {"fill", "generic", 0, {0, 25.76, 6.006, 0, 0}},
    {"conv_f32", "generic", 1088, {0, 552.8, 577.6, 34.46, 199.3}},
    {"depthwise_f32", "generic", 1028, {3444, 429.4, 111.4, 21.49, 196.3}},
    {"fc_f32", "generic", 464, {0, 491.2, 603.9, 0, 196.6}},
    {"matmul_f32", "generic", 464, {1128, 499.1, 0, 0, 195.7}},
    {"max_pool_f32", "generic", 464, {0, 0, 30.23, 21.03, 49.16}},
    {"avg_pool_f32", "generic", 869, {0, 0, 416.7, 12.99, 78.16}},
    {"mean_f32", "generic", 464, {0, 0, 510.7, 0, 93.36}},
    {"affine_f32", "generic", 464, {0, 0, 207.9, 0, 0}},
    {"add_f32", "generic", 464, {0, 70.48, 149.3, 0, 0}},
    {"sub_f32", "generic", 464, {0, 77.01, 153.2, 0, 0}},
    {"mul_f32", "generic", 464, {119.6, 87.69, 197.7, 0, 0}},
    {"div_f32", "generic", 464, {588.5, 74.8, 456.1, 0, 0}},
    {"max_f32", "generic", 464, {289.5, 86.59, 118, 0, 0}},
    {"min_f32", "generic", 464, {257.8, 87.62, 118.1, 0, 0}},
    {"relu_f32", "generic", 464, {0, 5.523, 40.52, 0, 0}},
    {"clip_f32", "generic", 464, {278.6, 9.236, 69.36, 0, 0}},
    {"leaky_relu_f32", "generic", 464, {0, 0, 101.6, 0, 0}},
    {"sigmoid_f32", "generic", 1987, {0, 0, 2503, 0, 0}},
    {"tanh_f32", "generic", 2407, {552.4, 0, 3908, 0, 0}},
    {"softmax_f32", "generic", 2199, {0, 0, 2890, 0, 0}},
};

const TargetCosts costs_cortex_m0 = {
    .origin = "arm-none-eabi-gcc -mcpu=cortex-m0 -mthumb -mfloat-abi=soft -O2 -ffp-contract=off",
    .pointer = 4,
    .base_code = 112,
    .code_per_call = 26,
    .int8_shared = 559,
    .float_shared = 2388,
    .base_instructions = 18,
    .kernels = kernels,
    .n_kernels = sizeof kernels / sizeof *kernels,
};
