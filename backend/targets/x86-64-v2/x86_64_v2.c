/* What kernels cost on x86-64-v2: written by mistify calibrate, not by hand. */
#include "backend/costs.h"

extern const TargetCosts costs_x86_64_v2;

/* kernel, set, bytes of code where called several times and once, of data, cycles per call, row, output,
 * tap, MAC, rest */
static const KernelCost kernels[] = {
    {"conv_s8", "sse41_winograd", {16758, 7787, 0, 0, 0}, {300, 55.35, 2132, 0.8076, 3.324, 9.795}},
    {"conv_s8", "sse41", {5070, 2170, 0, 0, 0}, {0, 0, 4.727, 47.8, 3.55, 19.55}},
    {"depthwise_s8", "sse41", {4555, 2135, 0, 0, 0}, {0, 16.72, 124, 0, 4.533, 0}},
    {"fc_s8", "sse41", {1315, 785, 0, 0, 0}, {110, 0, 0, 2.033, 7.997, 0}},
    {"add_s8", "sse41", {2550, 781, 0, 0, 0}, {300, 0, 160.5, 0, 0, 345.4}},
    {"conv_f32", "sse41_winograd", {14281, 7028, 0, 0, 0}, {300, 7.679, 2354, 0, 4.833, 7.266}},
    {"conv_f32", "sse41", {2632, 1794, 0, 0, 0}, {300, 0, 39.43, 35.48, 4.226, 3.438}},
    {"depthwise_f32", "sse41", {8967, 1402, 0, 0, 0}, {300, 9.137, 83.25, 0, 10.33, 0}},
    {"fc_f32", "sse41", {1334, 715, 0, 0, 0}, {0, 0, 80.09, 0, 8.887, 0}},
};

const TargetCosts costs_x86_64_v2 = {
    .origin = "gcc -O3 -march=x86-64-v2 -ffp-contract=off",
    .pointer = 8,
    .base_code = 276,
    .code_per_call = 253,
    .int8_shared = 552,
    .float_shared = 37,
    .base_cycles = 2,
    .kernels = kernels,
    .n_kernels = sizeof kernels / sizeof *kernels,
};
