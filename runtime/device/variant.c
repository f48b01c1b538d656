/* The plain choice of a variant by its stated costs; see variant.h. runtime/device/controller.h corrects the costs. */
#include "runtime/device/variant.h"

MF_HELPER int mf_within(uint32_t cost, uint32_t limit) { return limit == 0 || cost <= limit; }

MF_KERNEL int32_t mistify_select(const mistify_variant *v, int32_t n, const mistify_budget *budget) {
  int32_t best = -1, i;
  for (i = 0; i < n; i++) {
    if (!mf_within(v[i].cycles, budget->time) || !mf_within(v[i].ram, budget->ram) ||
        !mf_within(v[i].nanojoules, budget->nanojoules))
      continue;
    if (best < 0 || mf_better(&v[i], &v[best], budget->accuracy_ppm)) best = i;
  }
  return best;
}
