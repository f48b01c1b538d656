/* Costs of kernels on cortex-m0: written by bench/calibrate_costs.c, not by hand. */
#include "backend/costs.h"

extern const TargetCosts costs_cortex_m0;
const TargetCosts costs_cortex_m0 = {
    .origin = "not calibrated",
    .pointer = 4,
    .base_code = 100,
    .code_per_call = 60,
};
