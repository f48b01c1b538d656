/* Costs of kernels on aarch64: written by bench/calibrate_costs.c, not by hand. */
#include "backend/costs.h"

extern const TargetCosts costs_aarch64;
const TargetCosts costs_aarch64 = {
    .origin = "not calibrated",
    .pointer = 8,
    .base_code = 100,
    .code_per_call = 60,
};
