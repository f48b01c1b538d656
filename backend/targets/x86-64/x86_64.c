/* Costs of kernels on x86-64: written by bench/calibrate_costs.c, not by hand. */
#include "backend/costs.h"

extern const TargetCosts costs_x86_64;
const TargetCosts costs_x86_64 = {
    .origin = "not calibrated",
    .pointer = 8,
    .base_code = 100,
    .code_per_call = 60,
};
