/* How sure an output is; see confidence.h. */
#include "runtime/device/confidence.h"

MF_KERNEL uint32_t mistify_confidence(const void *codes, int32_t n, int32_t flip) {
  const uint8_t *y = (const uint8_t *)codes;
  uint32_t first = 0, second = 0;
  int32_t i;
  if (n < 2) return 255;
  for (i = 0; i < n; i++) {
    const uint32_t code = y[i] ^ (uint32_t)flip;
    if (code <= second) continue; /* nearly always */
    if (code > first)
      second = first, first = code;
    else
      second = code;
  }
  return first - second;
}
