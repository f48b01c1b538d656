/* What kernels cost on x86-64: written by mistify calibrate, not by hand. */
#include "backend/costs.h"

extern const TargetCosts costs_x86_64;

/* kernel, set, bytes of code where called several times and once, instructions per call, row, output, tap, MAC, rest */
static const KernelCost kernels[] = {
    {"conv_s8", "generic", {1535, 939, 0, 0, 0}, {1578, 252.6, 0, 29.23, 1.903, 4.028}},
    {"depthwise_s8", "generic", {2699, 1389, 0, 0, 0}, {0, 209.1, 20.97, 0, 5.554, 0}},
    {"fc_s8", "generic", {5136, 2581, 0, 0, 0}, {0, 0, 31.74, 0, 2.183, 0}},
    {"max_pool_s8", "generic", {648, 340, 0, 0, 0}, {0, 0, 0, 17.6, 0.471, 1.302}},
    {"avg_pool_s8", "generic", {3311, 1461, 0, 0, 0}, {0, 0, 0, 16.32, 3.348, 0}},
    {"mean_s8", "generic", {288, 219, 0, 0, 0}, {0, 0, 6.908, 0, 4.107, 0}},
    {"add_s8", "generic", {38, 35, 0, 0, 0}, {1.5, 6, 45, 0, 0, 0}},
    {"mul_s8", "generic", {-138, -45, 0, 0, 0}, {1.5, 6, 28, 0, 0, 0}},
    {"max_s8", "generic", {2027, 1216, 0, 0, 0}, {0, 0.8866, 0.4901, 0, 0, 5.2}},
    {"min_s8", "generic", {2230, 1328, 0, 0, 0}, {0, 0, 0.501, 0, 0, 5.864}},
    {"lut_s8", "generic", {-156, -94, 0, 0, 0}, {0, 0, 4.439, 0, 0, 0}},
    {"softmax_s8", "generic", {3998, 1806, 0, 0, 0}, {0, 0, 184, 0, 0, 0}},
    {"requantize_s8", "generic", {-73, -62, 0, 0, 0}, {0, 0, 7.6, 0, 0, 0}},
    {"quantize_f32_s8", "generic", {268, -98, 0, 0, 0}, {0, 0, 28.87, 0, 0, 0}},
    {"dequantize_s8", "generic", {1494, 459, 0, 0, 0}, {0, 0, 2.154, 0, 0, 0.001791}},
    {"copy", "generic", {367, 721, 0, 0, 0}, {8.69, 32.01, 7, 0, 0, 0.00189}},
    {"fill", "generic", {-793, -1132, 0, 0, 0}, {0, 0, 0.01313, 0, 0, 0}},
    {"conv_f32", "generic", {1188, 472, 0, 0, 0}, {2.758e+04, 0, 6.737, 0, 1.639, 0}},
    {"depthwise_f32", "generic", {1476, 761, 0, 0, 0}, {0, 72.67, 1.77, 0, 1.855, 0}},
    {"fc_f32", "generic", {952, 412, 0, 0, 0}, {7.281, 0, 51.8, 0, 1.49, 4.935}},
    {"matmul_f32", "generic", {228, 72, 0, 0, 0}, {0, 0, 0, 0, 3.923, 10.07}},
    {"max_pool_f32", "generic", {2137, 843, 0, 0, 0}, {534.4, 0, 0, 9.879, 1.072, 2.489}},
    {"avg_pool_f32", "generic", {1878, 861, 0, 0, 0}, {576.1, 0, 0.8005, 0, 1.908, 2.044}},
    {"mean_f32", "generic", {-239, -186, 0, 0, 0}, {0, 0, 0, 0, 3.158, 0}},
    {"affine_f32", "generic", {-167, -66, 0, 0, 0}, {8.5, 5, 12, 0, 0, 0}},
    {"add_f32", "generic", {310, 264, 0, 0, 0}, {0, 0, 4.842, 0, 0, 0}},
    {"sub_f32", "generic", {310, 264, 0, 0, 0}, {0, 0, 4.842, 0, 0, 0}},
    {"mul_f32", "generic", {310, 264, 0, 0, 0}, {0, 0, 4.842, 0, 0, 0}},
    {"div_f32", "generic", {310, 264, 0, 0, 0}, {0, 0, 4.845, 0, 0, 0}},
    {"max_f32", "generic", {310, 264, 0, 0, 0}, {0, 0, 4.842, 0, 0, 0}},
    {"min_f32", "generic", {310, 264, 0, 0, 0}, {0, 0, 4.842, 0, 0, 0}},
    {"relu_f32", "generic", {752, 195, 0, 0, 0}, {0, 0, 1.538, 0, 0, 0}},
    {"clip_f32", "generic", {352, 205, 0, 0, 0}, {0, 15.32, 4.769, 0, 0, 0}},
    {"leaky_relu_f32", "generic", {-52, -34, 0, 0, 0}, {0, 0, 6.05, 0, 0, 0}},
    {"sigmoid_f32", "generic", {-184, -51, 0, 0, 0}, {315.6, 5.345, 40.01, 0, 0, 0.01593}},
    {"tanh_f32", "generic", {-74, -15, 0, 0, 0}, {225.2, 0, 103.9, 0, 0, 0}},
    {"softmax_f32", "generic", {120, 117, 0, 0, 0}, {113.2, 0, 47.93, 0, 0, 0}},
};

const TargetCosts costs_x86_64 = {
    .origin = "gcc -O3 -ffp-contract=off",
    .pointer = 8,
    .base_code = 292,
    .code_per_call = 253,
    .int8_shared = 0,
    .float_shared = 0,
    .base_cycles = 2,
    .kernels = kernels,
    .n_kernels = sizeof kernels / sizeof *kernels,
};
