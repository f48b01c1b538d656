#include "backend/costs.h"

extern const TargetCosts costs_x86_64_v2;
const TargetCosts costs_x86_64_v2 = {
    .origin = "not calibrated", .pointer = 8, .base_code = 100, .code_per_call = 60};
