/* What kernels cost on cortex-m0: written by bench/calibrate_costs.c, not by hand. */
#include "backend/costs.h"

extern const TargetCosts costs_cortex_m0;

/* kernel, set, bytes of code where called several times and once, instructions per call, row, output, tap, MAC, rest */
static const KernelCost kernels[] = {
    {"conv_s8", "generic", {1521, 490}, {0, 106.1, 199.3, 66.19, 8.99, 0}},
    {"depthwise_s8", "generic", {1485, 498}, {0, 227.1, 98.48, 27.13, 13.7, 1.685}},
    {"fc_s8", "generic", {446, 156}, {0, 76.75, 146, 0, 8.994, 0}},
    {"max_pool_s8", "generic", {1089, 268}, {1143, 0, 12.18, 13.54, 12.52, 3.886}},
    {"avg_pool_s8", "generic", {1261, 800}, {789.6, 0, 99.54, 29.93, 4.963, 0.07384}},
    {"mean_s8", "generic", {1002, 143}, {103.9, 0, 227.3, 0, 28, 0}},
    {"add_s8", "generic", {1442, 242}, {162.1, 98.48, 269.2, 0, 0, 0.08181}},
    {"mul_s8", "generic", {1218, 156}, {154.1, 97.85, 107.5, 0, 0, 0.5294}},
    {"max_s8", "generic", {1046, 75}, {140, 62.48, 59.49, 0, 0, 0.03458}},
    {"min_s8", "generic", {1046, 75}, {134.2, 63.06, 59.51, 0, 0, 0}},
    {"lut_s8", "generic", {104, 42}, {12.83, 0, 7.541, 0, 0, 0}},
    {"softmax_s8", "generic", {1573, 967}, {0, 0, 1253, 0, 0, 0}},
    {"requantize_s8", "generic", {652, 54}, {0, 50.19, 95.52, 0, 0, 0}},
    {"quantize_f32_s8", "generic", {2236, 1772}, {0, 31.81, 718.2, 0, 0, 0}},
    {"dequantize_s8", "generic", {1002, 938}, {16.16, 5.756, 172.4, 0, 0, 0.3758}},
    {"copy", "generic", {1094, 24}, {135, 84, 7, 0, 0, 0}},
    {"fill", "generic", {-857, -8}, {49.16, 25.32, 6, 0, 0, 0.002314}},
    {"conv_f32", "generic", {1510, 495}, {4623, 0, 655.8, 32.12, 198.1, 0}},
    {"depthwise_f32", "generic", {1437, 404}, {936, 296.5, 109.8, 14.37, 198.5, 2.216}},
    {"fc_f32", "generic", {472, 234}, {89.17, 459.3, 598.1, 0, 196.7, 0}},
    {"matmul_f32", "generic", {782, 106}, {1573, 350.4, 0, 0, 195.6, 26.7}},
    {"max_pool_f32", "generic", {1226, 354}, {1274, 0, 43.29, 15.24, 46.29, 3.122}},
    {"avg_pool_f32", "generic", {1238, 380}, {2217, 0, 440.6, 6.06, 73.39, 3.817}},
    {"mean_f32", "generic", {1649, 227}, {121.1, 0, 474.1, 0, 94.07, 0}},
    {"affine_f32", "generic", {256, 135}, {0, 0, 208.4, 0, 0, 0}},
    {"add_f32", "generic", {1274, 118}, {0, 56.31, 149.4, 0, 0, 0}},
    {"sub_f32", "generic", {2078, 922}, {293.4, 83.16, 152.5, 0, 0, 0}},
    {"mul_f32", "generic", {1274, 118}, {192, 80.49, 197.6, 0, 0, 1.049}},
    {"div_f32", "generic", {1850, 694}, {215.3, 84.16, 456.6, 0, 0, 0}},
    {"max_f32", "generic", {1310, 130}, {219.4, 86.9, 118.1, 0, 0, 0}},
    {"min_f32", "generic", {1310, 130}, {225.8, 87.05, 118.2, 0, 0, 0.01655}},
    {"relu_f32", "generic", {114, 52}, {0, 4.079, 40.54, 0, 0, 0.1912}},
    {"clip_f32", "generic", {169, 82}, {181.2, 0, 70.01, 0, 0, 1.637}},
    {"leaky_relu_f32", "generic", {134, 63}, {0, 0, 101.2, 0, 0, 0}},
    {"sigmoid_f32", "generic", {2444, 2367}, {329, 0, 2501, 0, 0, 0}},
    {"tanh_f32", "generic", {2864, 2811}, {968.3, 0, 3901, 0, 0, 0}},
    {"softmax_f32", "generic", {2656, 2411}, {0, 0, 2878, 0, 0, 0}},
};

const TargetCosts costs_cortex_m0 = {
    .origin = "arm-none-eabi-gcc -mcpu=cortex-m0 -mthumb -mfloat-abi=soft -O2 -ffp-contract=off",
    .pointer = 4,
    .base_code = 112,
    .code_per_call = 26,
    .int8_shared = 0,
    .float_shared = 1662,
    .base_instructions = 18,
    .kernels = kernels,
    .n_kernels = sizeof kernels / sizeof *kernels,
};
