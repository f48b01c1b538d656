/* Params that kernels without constants of their own accept. */
#include "backend/kernels/kernels.h"

/* Dense along all axes but the rows, which may lie apart. */
static bool dense(const int32_t *dims, const int32_t *stride, int32_t rank) {
  int32_t step = 1;
  for (int32_t i = rank - 1; i >= 0; i--) {
    if (dims[i] > 1 && stride[i] != step) return false;
    step *= dims[i];
  }
  return stride[0] != 0;
}

static bool is_half(int32_t mult, int32_t shift) { return mult == 1 << 30 && shift == 0; }

bool plain_add_accepts(const void *params) {
  const mf_add_s8 *p = params;
  if (!dense(p->dims, p->a, p->rank) || !dense(p->dims, p->b, p->rank) || p->b_mult <= 0) return false;
  if (p->left_shift != 20 || (!is_half(p->a_mult, p->a_shift) && !is_half(p->b_mult, p->b_shift)))
    return false;
  if (p->a_shift > 0 || p->b_shift > 0 || p->a_shift < -20 || p->b_shift < -20) return false;
  return p->out_shift <= -1 && p->out_shift >= -22;
}
