/* What kernels cost on cortex-m3: written by bench/calibrate_costs.c, not by hand. */
#include "backend/costs.h"

extern const TargetCosts costs_cortex_m3;

/* kernel, set, bytes of code where called several times and once, instructions per call, row, output, tap, MAC, rest */
static const KernelCost kernels[] = {
    {"conv_s8", "generic", {880, 404}, {49.61, 72.91, 98.24, 56.85, 7.001, 0.0104}},
    {"depthwise_s8", "generic", {970, 439}, {0, 166.7, 39.47, 19.4, 10.21, 1.438}},
    {"fc_s8", "generic", {377, 134}, {0, 58.6, 64.44, 0, 6.994, 0}},
    {"max_pool_s8", "generic", {506, 223}, {694.5, 0, 19.98, 11.64, 11.63, 2.272}},
    {"avg_pool_s8", "generic", {692, 282}, {638.8, 0, 31.12, 18.35, 5.086, 0.4128}},
    {"mean_s8", "generic", {476, 100}, {40.65, 0, 88.01, 0, 22, 0}},
    {"add_s8", "generic", {885, 198}, {55.96, 74.9, 88.91, 0, 0, 0.05276}},
    {"mul_s8", "generic", {649, 122}, {44.44, 72.23, 42.97, 0, 0, 0.1308}},
    {"max_s8", "generic", {429, 58}, {48.5, 53, 33, 0, 0, 0}},
    {"min_s8", "generic", {429, 58}, {48.5, 53, 33, 0, 0, 0}},
    {"lut_s8", "generic", {66, 19}, {21.87, 0, 5.372, 0, 0, 0}},
    {"softmax_s8", "generic", {932, 687}, {0, 0, 312.6, 0, 0, 0}},
    {"requantize_s8", "generic", {280, 30}, {189.4, 0, 38.33, 0, 0, 1.54}},
    {"quantize_f32_s8", "generic", {706, 534}, {105.7, 0, 439.6, 0, 0, 1.435}},
    {"dequantize_s8", "generic", {998, 948}, {0, 5.567, 64.48, 0, 0, 0.05008}},
    {"copy", "generic", {500, 42}, {43.5, 51, 7, 0, 0, 0}},
    {"fill", "generic", {-276, -23}, {5.558, 20.55, 7, 0, 0, 0}},
    {"conv_f32", "generic", {981, 508}, {0, 0, 382, 33.36, 93.21, 0}},
    {"depthwise_f32", "generic", {929, 407}, {1881, 271.6, 85.34, 20.75, 93.39, 0}},
    {"fc_f32", "generic", {410, 239}, {249.6, 75.62, 367.4, 0, 92.56, 0.106}},
    {"matmul_f32", "generic", {256, 90}, {301.3, 22.33, 0, 0, 92.31, 20.87}},
    {"max_pool_f32", "generic", {700, 376}, {989.7, 0, 66.94, 18.93, 41.4, 2.879}},
    {"avg_pool_f32", "generic", {752, 355}, {0, 0, 102.2, 0, 72.85, 0}},
    {"mean_f32", "generic", {725, 159}, {1594, 0, 41.64, 0, 79.19, 0}},
    {"affine_f32", "generic", {181, 88}, {47.76, 0, 98.19, 0, 0, 0.1019}},
    {"add_f32", "generic", {757, 122}, {79.54, 65.72, 150.6, 0, 0, 2.351}},
    {"sub_f32", "generic", {757, 122}, {121.7, 72.48, 151.5, 0, 0, 0.8957}},
    {"mul_f32", "generic", {757, 122}, {86.5, 78, 130, 0, 0, 0}},
    {"div_f32", "generic", {1069, 434}, {86.5, 78, 246, 0, 0, 0}},
    {"max_f32", "generic", {797, 134}, {86.17, 78.9, 134.5, 0, 0, 0}},
    {"min_f32", "generic", {797, 134}, {87.63, 78.88, 138.5, 0, 0, 0.0396}},
    {"relu_f32", "generic", {69, 31}, {0, 3.986, 41.51, 0, 0, 0}},
    {"clip_f32", "generic", {126, 63}, {178, 0, 67.73, 0, 0, 1.521}},
    {"leaky_relu_f32", "generic", {97, 47}, {0, 0, 59.15, 0, 0, 0}},
    {"sigmoid_f32", "generic", {1164, 1114}, {255.1, 0, 1168, 0, 0, 0}},
    {"tanh_f32", "generic", {1596, 1570}, {494.9, 0, 1783, 0, 0, 0}},
    {"softmax_f32", "generic", {1309, 1158}, {0, 0, 1364, 0, 0, 0}},
};

const TargetCosts costs_cortex_m3 = {
    .origin = "arm-none-eabi-gcc -mcpu=cortex-m3 -mthumb -mfloat-abi=soft -O2 -ffp-contract=off",
    .pointer = 4,
    .base_code = 112,
    .code_per_call = 26,
    .int8_shared = 0,
    .float_shared = 830,
    .base_instructions = 16,
    .kernels = kernels,
    .n_kernels = sizeof kernels / sizeof *kernels,
};
