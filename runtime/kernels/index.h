/* What the kernels share that read indices at run time. */
#ifndef MF_INDEX_H
#define MF_INDEX_H

#include "runtime/kernels/kernel.h"

/* Index i of a list of int32 or int64, below 0 counted from the end of an axis of n. */
MF_HELPER int64_t mf_index(const void *list, int32_t i, int32_t bytes, int32_t n) {
  const int64_t k = bytes == 8 ? ((const int64_t *)list)[i] : ((const int32_t *)list)[i];
  return k < 0 ? k + n : k;
}

/* The same, and what lies outside the axis becomes the nearest place inside. */
MF_HELPER int32_t mf_index_inside(const void *list, int32_t i, int32_t bytes, int32_t n) {
  const int64_t k = mf_index(list, i, bytes, n);
  return k < 0 ? 0 : k < n ? (int32_t)k : n - 1;
}

MF_HELPER void mf_move(void *to, const void *from, int32_t bytes) {
  int32_t i;
  for (i = 0; i < bytes; i++) ((char *)to)[i] = ((const char *)from)[i];
}

#endif
