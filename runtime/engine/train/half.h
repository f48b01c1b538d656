/* float16 as storage: IEEE 754 binary16, rounded to nearest, ties to even; beyond its range its largest value. */
#ifndef RUNTIME_ENGINE_TRAIN_HALF_H
#define RUNTIME_ENGINE_TRAIN_HALF_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t half_from(float v) {
  uint32_t bits;
  memcpy(&bits, &v, sizeof bits);
  uint32_t sign = bits >> 16 & 0x8000, mag = bits & 0x7FFFFFFF;
  if (mag > 0x7F800000) return (uint16_t)(sign | 0x7E00);  /* NaN */
  if (mag >= 0x477FF000) return (uint16_t)(sign | 0x7BFF); /* 65520 and more */
  if (mag < 0x38800000)
    return (uint16_t)(sign | (uint32_t)lrintf(fabsf(v) * 16777216)); /* subnormal: 2^-24 units */
  mag += 0xFFF + (mag >> 13 & 1);                                    /* to even */
  return (uint16_t)(sign | ((mag - 0x38000000) >> 13));
}

static inline float half_to(uint16_t h) {
  uint32_t mag = h & 0x7FFF;
  if (mag >= 0x7C00) return NAN; /* half_from makes no infinity */
  float v =
      mag < 0x400 ? (float)mag / 16777216 : ldexpf((float)(0x400 + (mag & 0x3FF)), (int)(mag >> 10) - 25);
  return h & 0x8000 ? -v : v;
}

#endif
