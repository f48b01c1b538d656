/* What kernels cost on aarch64-dotprod: written by bench/calibrate_costs.c, not by hand. */
#include "backend/costs.h"

extern const TargetCosts costs_aarch64_dotprod;

/* kernel, set, bytes of code where called several times and once, instructions per call, row, output, tap, MAC, rest */
static const KernelCost kernels[] = {
    {"conv_s8", "generic", {884, 578}, {3344, 0, 4.738, 25.42, 0.6413, 3.026}},
    {"depthwise_s8", "generic", {2234, 1135}, {2368, 476.2, 0, 0, 0.05858, 1.287}},
    {"fc_s8", "generic", {1328, 618}, {0, 53.22, 7.665, 0, 0.8394, 4.684}},
    {"max_pool_s8", "generic", {289, 187}, {2726, 0, 0, 2.727, 0, 1.086}},
    {"avg_pool_s8", "generic", {1764, 936}, {0, 0, 0, 3.355, 4.026, 0}},
    {"mean_s8", "generic", {-162, -164}, {0, 0, 28.37, 0, 1.578, 0}},
    {"add_s8", "generic", {1089, 502}, {0, 0, 10.08, 0, 0, 20.05}},
    {"mul_s8", "generic", {346, 70}, {32.43, 42.74, 4.347, 0, 0, 6.302}},
    {"max_s8", "generic", {381, 263}, {20.6, 14.59, 0.07177, 0, 0, 3.671}},
    {"min_s8", "generic", {381, 263}, {20.6, 14.59, 0.07177, 0, 0, 3.671}},
    {"lut_s8", "generic", {-402, -219}, {0, 0, 4.115, 0, 0, 0}},
    {"softmax_s8", "generic", {2846, 1268}, {0, 0, 144.6, 0, 0, 0}},
    {"requantize_s8", "generic", {940, 335}, {0, 0, 2.08, 0, 0, 0.1297}},
    {"quantize_f32_s8", "generic", {76, -148}, {0, 0, 29.95, 0, 0, 0}},
    {"dequantize_s8", "generic", {337, 42}, {0, 0, 1.224, 0, 0, 0}},
    {"copy", "generic", {70, -63}, {4.664, 27.01, 7.001, 0, 0, 0}},
    {"fill", "generic", {-692, -543}, {23.78, 0, 0.01519, 0, 0, 0}},
    {"conv_f32", "generic", {764, 299}, {661.8, 0, 0.8615, 9.159, 2.116, 0.5456}},
    {"depthwise_f32", "generic", {1404, 756}, {632.2, 52.16, 0, 0, 2.335, 0}},
    {"fc_f32", "generic", {876, 136}, {51.27, 0, 49.49, 0, 1.497, 3.863}},
    {"matmul_f32", "generic", {-128, -86}, {0, 0, 0, 0, 3.886, 10.44}},
    {"max_pool_f32", "generic", {1484, 615}, {171.8, 0, 0, 17.94, 0, 3.799}},
    {"avg_pool_f32", "generic", {1161, 519}, {338.2, 0, 0, 8.849, 0.6971, 2.367}},
    {"mean_f32", "generic", {-424, -230}, {0, 0, 0, 0, 3.578, 0}},
    {"affine_f32", "generic", {-356, -188}, {12.29, 6.035, 12, 0, 0, 0}},
    {"add_f32", "generic", {-98, -6}, {0, 0, 3.266, 0, 0, 0}},
    {"sub_f32", "generic", {-98, -6}, {0, 0, 3.266, 0, 0, 0}},
    {"mul_f32", "generic", {-98, -6}, {0, 0, 3.266, 0, 0, 0}},
    {"div_f32", "generic", {-98, -6}, {0, 0, 3.264, 0, 0, 0}},
    {"max_f32", "generic", {-61, 14}, {0, 0, 3.526, 0, 0, 0}},
    {"min_f32", "generic", {-61, 14}, {0, 0, 3.523, 0, 0, 0}},
    {"relu_f32", "generic", {29, -108}, {0, 0, 1.059, 0, 0, 0}},
    {"clip_f32", "generic", {-312, -124}, {0, 0, 2.305, 0, 0, 0}},
    {"leaky_relu_f32", "generic", {-222, -146}, {0, 0, 6.175, 0, 0, 0}},
    {"sigmoid_f32", "generic", {-445, -170}, {330.3, 5.974, 38.1, 0, 0, 0}},
    {"tanh_f32", "generic", {-300, -132}, {293.7, 0, 117.1, 0, 0, 0}},
    {"softmax_f32", "generic", {-157, -44}, {239, 0, 43.51, 0, 0, 0}},
};

const TargetCosts costs_aarch64_dotprod = {
    .origin = "aarch64-linux-gnu-gcc -march=armv8.2-a+dotprod -O3 -ffp-contract=off",
    .pointer = 8,
    .base_code = 324,
    .code_per_call = 354,
    .int8_shared = 0,
    .float_shared = 0,
    .base_instructions = 4,
    .kernels = kernels,
    .n_kernels = sizeof kernels / sizeof *kernels,
};
