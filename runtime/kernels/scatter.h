/* What ScatterElements and ScatterND share: an element replaced by another one or joined with it. */
#ifndef MF_SCATTER_H
#define MF_SCATTER_H

#include "runtime/kernels/index.h"

/* Max and Min are NaN where one of the two is. */
MF_HELPER float mf_join_f32(float a, float b, int32_t how) {
  switch (how) {
  case MF_SCATTER_ADD: return a + b;
  case MF_SCATTER_MUL: return a * b;
  case MF_SCATTER_MAX: return a > b || a != a ? a : b;
  default: return a < b || a != a ? a : b;
  }
}

/* Overflow wraps. */
MF_HELPER int64_t mf_join_i64(int64_t a, int64_t b, int32_t how) {
  switch (how) {
  case MF_SCATTER_ADD: return (int64_t)((uint64_t)a + (uint64_t)b);
  case MF_SCATTER_MUL: return (int64_t)((uint64_t)a * (uint64_t)b);
  case MF_SCATTER_MAX: return a > b ? a : b;
  default: return a < b ? a : b;
  }
}

/* n elements of `elem` bytes at y, each set to x's or joined with it as `type`. */
MF_HELPER void mf_scatter(void *y, const void *x, int32_t n, int32_t elem, int32_t type, int32_t how) {
  int32_t i;
  if (how == MF_SCATTER_SET) {
    mf_move(y, x, n * elem);
  } else if (type == MF_F32) {
    for (i = 0; i < n; i++) ((float *)y)[i] = mf_join_f32(((const float *)y)[i], ((const float *)x)[i], how);
  } else if (type == MF_I32) {
    for (i = 0; i < n; i++)
      ((int32_t *)y)[i] = (int32_t)mf_join_i64(((const int32_t *)y)[i], ((const int32_t *)x)[i], how);
  } else {
    for (i = 0; i < n; i++)
      ((int64_t *)y)[i] = mf_join_i64(((const int64_t *)y)[i], ((const int64_t *)x)[i], how);
  }
}

#endif
