/* What kernels cost on cortex-m3: written by bench/calibrate_costs.c, not by hand. */
#include "backend/costs.h"

extern const TargetCosts costs_cortex_m3;

/* kernel, set, bytes of code where called several times and once, instructions per call, row, output, tap, MAC, rest */
static const KernelCost kernels[] = {
    {"conv_s8", "generic", {896, 398}, {48.21, 72.91, 98.24, 56.85, 7.001, 0.01042}},
    {"depthwise_s8", "generic", {996, 448}, {0, 166.7, 39.47, 19.41, 10.21, 1.436}},
    {"fc_s8", "generic", {451, 136}, {54.46, 44.71, 66.66, 0, 6.994, 0}},
    {"max_pool_s8", "generic", {525, 211}, {692.6, 0, 19.98, 11.64, 11.63, 2.272}},
    {"avg_pool_s8", "generic", {673, 296}, {637, 0, 31.12, 18.35, 5.085, 0.4118}},
    {"mean_s8", "generic", {487, 102}, {38.65, 0, 88, 0, 22, 0}},
    {"add_s8", "generic", {897, 206}, {53.96, 74.9, 88.91, 0, 0, 0.05276}},
    {"mul_s8", "generic", {661, 138}, {42.44, 72.23, 42.97, 0, 0, 0.1308}},
    {"max_s8", "generic", {441, 63}, {46.5, 53, 33, 0, 0, 0}},
    {"min_s8", "generic", {441, 63}, {46.5, 53, 33, 0, 0, 0}},
    {"lut_s8", "generic", {68, 19}, {19.05, 0, 5.374, 0, 0, 0}},
    {"softmax_s8", "generic", {959, 715}, {0, 0, 312.6, 0, 0, 0}},
    {"requantize_s8", "generic", {305, 31}, {187.4, 0, 38.33, 0, 0, 1.54}},
    {"quantize_f32_s8", "generic", {734, 554}, {53.11, 0, 439.5, 0, 0, 1.873}},
    {"dequantize_s8", "generic", {1015, 955}, {0, 5.31, 64.48, 0, 0, 0.0654}},
    {"copy", "generic", {497, 42}, {43.5, 51, 7, 0, 0, 0}},
    {"fill", "generic", {-270, -23}, {5.558, 20.55, 7, 0, 0, 0}},
    {"conv_f32", "generic", {988, 518}, {0, 0, 381.9, 33.36, 93.21, 0}},
    {"depthwise_f32", "generic", {939, 426}, {1816, 271.2, 85.4, 20.76, 93.39, 0}},
    {"fc_f32", "generic", {477, 264}, {1059, 0, 390.2, 0, 92.32, 0}},
    {"matmul_f32", "generic", {314, 90}, {227.4, 32.26, 0, 0, 92.32, 20.46}},
    {"max_pool_f32", "generic", {711, 378}, {979.2, 0, 66.33, 18.54, 41.49, 2.938}},
    {"avg_pool_f32", "generic", {1051, 656}, {0, 0, 101.7, 0, 72.9, 0}},
    {"mean_f32", "generic", {733, 162}, {1514, 0, 41.54, 0, 79.25, 0}},
    {"affine_f32", "generic", {203, 106}, {6.148, 0, 98.13, 0, 0, 1.711}},
    {"add_f32", "generic", {743, 114}, {49.28, 63.03, 150.5, 0, 0, 3.153}},
    {"sub_f32", "generic", {743, 114}, {91.4, 69.79, 151.4, 0, 0, 1.698}},
    {"mul_f32", "generic", {743, 114}, {56.24, 75.31, 130, 0, 0, 0.8023}},
    {"div_f32", "generic", {1055, 426}, {56.22, 75.31, 246, 0, 0, 0.8013}},
    {"max_f32", "generic", {783, 126}, {55.11, 76.43, 134.5, 0, 0, 0.7626}},
    {"min_f32", "generic", {783, 126}, {57.37, 76.19, 138.5, 0, 0, 0.8418}},
    {"relu_f32", "generic", {72, 22}, {0, 0, 41.25, 0, 0, 0.5403}},
    {"clip_f32", "generic", {130, 54}, {125.8, 0, 67.63, 0, 0, 1.955}},
    {"leaky_relu_f32", "generic", {104, 38}, {0, 0, 58.87, 0, 0, 0}},
    {"sigmoid_f32", "generic", {1168, 1106}, {228.9, 0, 1168, 0, 0, 0}},
    {"tanh_f32", "generic", {1600, 1562}, {468.7, 0, 1783, 0, 0, 0}},
    {"softmax_f32", "generic", {1323, 1150}, {0, 0, 1364, 0, 0, 0}},
};

const TargetCosts costs_cortex_m3 = {
    .origin = "arm-none-eabi-gcc -mcpu=cortex-m3 -mthumb -mfloat-abi=soft -O2 -ffp-contract=off",
    .pointer = 4,
    .base_code = 112,
    .code_per_call = 26,
    .int8_shared = 0,
    .float_shared = 1038,
    .base_instructions = 16,
    .kernels = kernels,
    .n_kernels = sizeof kernels / sizeof *kernels,
};
