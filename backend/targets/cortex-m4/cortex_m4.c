/* What kernels cost on cortex-m4: written by bench/calibrate_costs.c, not by hand. */
#include "backend/costs.h"

extern const TargetCosts costs_cortex_m4;

/* kernel, set, bytes of code where called several times and once, instructions per call, row, output, tap, MAC, rest */
static const KernelCost kernels[] = {
    {"conv_s8", "generic", {884, 398}, {67.6, 76.04, 88.21, 52.85, 6.001, 0.01087}},
    {"depthwise_s8", "generic", {950, 439}, {0, 162.9, 39.51, 19.74, 9.182, 1.367}},
    {"fc_s8", "generic", {397, 139}, {0, 46.19, 65.81, 0, 5.996, 0}},
    {"max_pool_s8", "generic", {521, 234}, {694.1, 0, 19.87, 11.59, 11.65, 2.32}},
    {"avg_pool_s8", "generic", {701, 286}, {662.4, 0, 31.77, 19.03, 5.054, 0.4102}},
    {"mean_s8", "generic", {486, 107}, {39.15, 0, 89.01, 0, 22, 0}},
    {"add_s8", "generic", {880, 214}, {55.96, 75.9, 88.91, 0, 0, 0.05276}},
    {"mul_s8", "generic", {660, 126}, {43.44, 72.23, 42.97, 0, 0, 0.1308}},
    {"max_s8", "generic", {436, 66}, {48.5, 53, 34, 0, 0, 0}},
    {"min_s8", "generic", {436, 66}, {48.5, 53, 34, 0, 0, 0}},
    {"lut_s8", "generic", {74, 26}, {21.87, 0, 5.372, 0, 0, 0}},
    {"softmax_s8", "generic", {936, 694}, {0, 0, 319.4, 0, 0, 0}},
    {"requantize_s8", "generic", {288, 36}, {245.6, 0, 38.5, 0, 0, 0.4898}},
    {"quantize_f32_s8", "generic", {294, 150}, {174.9, 0, 42.34, 0, 0, 0.7197}},
    {"dequantize_s8", "generic", {112, 59}, {0, 6.372, 8, 0, 0, 0}},
    {"copy", "generic", {489, 42}, {44, 51, 7, 0, 0, 0}},
    {"fill", "generic", {-290, -24}, {6.558, 20.55, 7, 0, 0, 0}},
    {"conv_f32", "generic", {908, 443}, {0, 0, 149.7, 25, 9.079, 0}},
    {"depthwise_f32", "generic", {868, 346}, {0, 166.9, 13.83, 7.319, 9.142, 1.617}},
    {"fc_f32", "generic", {368, 220}, {0, 69.15, 93.91, 0, 8.995, 0}},
    {"matmul_f32", "generic", {225, 76}, {189.5, 55.71, 0, 0, 7.889, 9.682}},
    {"max_pool_f32", "generic", {662, 306}, {923.7, 0, 14.41, 9.34, 8.623, 2.827}},
    {"avg_pool_f32", "generic", {716, 294}, {970.3, 0, 23.01, 8.516, 5.084, 2.425}},
    {"mean_f32", "generic", {437, 52}, {61.2, 0, 42, 0, 34, 0}},
    {"affine_f32", "generic", {209, 104}, {7.144, 4.029, 14, 0, 0, 0.001308}},
    {"add_f32", "generic", {709, 98}, {78.5, 62, 13, 0, 0, 0}},
    {"sub_f32", "generic", {709, 98}, {78.5, 62, 13, 0, 0, 0}},
    {"mul_f32", "generic", {709, 98}, {78.5, 62, 13, 0, 0, 0}},
    {"div_f32", "generic", {709, 98}, {78.5, 62, 13, 0, 0, 0}},
    {"max_f32", "generic", {725, 110}, {78.5, 62, 16, 0, 0, 0}},
    {"min_f32", "generic", {725, 110}, {78.5, 62, 16, 0, 0, 0}},
    {"relu_f32", "generic", {81, 38}, {0, 4.222, 8, 0, 0, 0}},
    {"clip_f32", "generic", {141, 66}, {11.82, 5.081, 9.845, 0, 0, 0.09886}},
    {"leaky_relu_f32", "generic", {88, 42}, {0, 1.951, 7.668, 0, 0, 0.7794}},
    {"sigmoid_f32", "generic", {720, 674}, {31.65, 4.164, 68.08, 0, 0, 0}},
    {"tanh_f32", "generic", {1014, 986}, {52.78, 1.508, 97.81, 0, 0, 0}},
    {"softmax_f32", "generic", {901, 715}, {0, 0, 97.56, 0, 0, 0}},
};

const TargetCosts costs_cortex_m4 = {
    .origin = "arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -mfpu=auto -mfloat-abi=hard -O2 -ffp-contract=off",
    .pointer = 4,
    .base_code = 112,
    .code_per_call = 26,
    .int8_shared = 0,
    .float_shared = 0,
    .base_instructions = 17,
    .kernels = kernels,
    .n_kernels = sizeof kernels / sizeof *kernels,
};
