/* Costs of kernels on cortex-m4: written by bench/calibrate_costs.c, not by hand. */
#include "backend/costs.h"

extern const TargetCosts costs_cortex_m4;
const TargetCosts costs_cortex_m4 = {
    .origin = "not calibrated",
    .pointer = 4,
    .base_code = 100,
    .code_per_call = 60,
};
