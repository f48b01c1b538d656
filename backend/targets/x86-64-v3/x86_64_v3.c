/* What kernels cost on x86-64-v3: not calibrated yet. */
#include "backend/costs.h"

extern const TargetCosts costs_x86_64_v3;
const TargetCosts costs_x86_64_v3 = {
    .origin = "not calibrated", .pointer = 8, .base_code = 292, .code_per_call = 253};
