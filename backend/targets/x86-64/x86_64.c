/* What kernels cost on x86-64: written by mistify calibrate, not by hand. */
#include "backend/costs.h"

extern const TargetCosts costs_x86_64;

/* kernel, set, bytes of code where called several times and once, of data, of a copy, shared, cycles per call, row, output,
 * tap, MAC, rest, line, move */
static const KernelCost kernels[] = {
    {"conv_s8", "generic", {1535, 939, 0, 0, 0}, {0, 140.3, 91.3, 80.2, 1.307, 10.95, 0, 0}},
    {"depthwise_s8", "generic", {2699, 1389, 0, 0, 0}, {300, 263.9, 40.07, 9.556, 2.985, 10.81, 0, 0}},
    {"fc_s8", "generic", {5136, 2581, 0, 0, 0}, {300, 0, 59.07, 0, 1.339, 1.937, 0, 0}},
    {"max_pool_s8", "generic", {648, 340, 0, 0, 0}, {0, 0, 0, 17.6, 0.471, 1.302}},
    {"avg_pool_s8", "generic", {3311, 1461, 0, 0, 0}, {0, 0, 0, 22.03, 3.2, 0, 0, 0}},
    {"mean_s8", "generic", {288, 219, 0, 0, 0}, {0, 57.25, 10.7, 0, 3.617, 0, 0, 0}},
    {"add_s8", "generic", {38, 35, 0, 0, 0}, {21.37, 4.155, 45, 0, 0, 45.27, 0, 0}},
    {"mul_s8", "generic", {-138, -45, 0, 0, 0}, {1.5, 6, 28, 0, 0, 0}},
    {"max_s8", "generic", {2027, 1216, 0, 0, 0}, {0, 0.8866, 0.4901, 0, 0, 5.2}},
    {"min_s8", "generic", {2230, 1328, 0, 0, 0}, {0, 0, 0.501, 0, 0, 5.864}},
    {"lut_s8", "generic", {-156, -94, 0, 0, 0}, {0, 0, 4.439, 0, 0, 0}},
    {"softmax_s8", "generic", {3998, 1806, 0, 0, 0}, {300, 0, 217.3, 0, 0, 135.7, 0, 0}},
    {"requantize_s8", "generic", {-73, -62, 0, 0, 0}, {0, 0, 7.6, 0, 0, 0}},
    {"quantize_f32_s8", "generic", {268, -98, 0, 0, 0}, {0, 0, 28.87, 0, 0, 0}},
    {"dequantize_s8", "generic", {1494, 459, 0, 0, 0}, {0, 0, 2.154, 0, 0, 0.001791}},
    {"copy", "generic", {367, 721, 0, 0, 0}, {8.69, 32.01, 7, 0, 0, 0.00189}},
    {"fill", "generic", {-793, -1132, 0, 0, 0}, {0, 0, 0.01313, 0, 0, 0}},
    {"conv_f32", "generic", {1188, 472, 0, 0, 0}, {300, 0, 85.79, 43.12, 1.473, 4.638, 25.97, 0}},
    {"depthwise_f32", "generic", {1476, 761, 0, 0, 0}, {300, 362.9, 0, 29.57, 2.288, 3.589, 19.89, 0}},
    {"fc_f32", "generic", {952, 412, 0, 0, 0}, {0, 0, 53.51, 0, 1.494, 6.333, 0, 0}},
    {"matmul_f32", "generic", {228, 72, 0, 0, 0}, {0, 0, 0, 0, 3.923, 10.07}},
    {"max_pool_f32", "generic", {2137, 843, 0, 0, 0}, {534.4, 0, 0, 9.879, 1.072, 2.489}},
    {"avg_pool_f32", "generic", {1878, 861, 0, 0, 0}, {0, 0, 3.572, 3.394, 0.9987, 2.263, 16.75, 0}},
    {"mean_f32", "generic", {-239, -186, 0, 0, 0}, {0, 0, 0, 0, 3.158, 0}},
    {"affine_f32", "generic", {-167, -66, 0, 0, 0}, {8.5, 5, 12, 0, 0, 0}},
    {"add_f32", "generic", {310, 264, 0, 0, 0}, {76.65, 0, 4.787, 0, 0, 1.453, 0, 0}},
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
    {"softmax_f32", "generic", {120, 117, 0, 0, 0}, {300, 0, 46.81, 0, 0, 42.86, 0, 0}},
};

const TargetCosts costs_x86_64 = {
    .origin = "gcc -O3 -ffp-contract=off",
    .pointer = 8,
    .base_code = 292,
    .code_per_call = 253,
    .int8_shared = 0,
    .float_shared = 0,
    .base_cycles = 2,
    .cycles_per_call = 0,
    .kernels = kernels,
    .n_kernels = sizeof kernels / sizeof *kernels,
};
