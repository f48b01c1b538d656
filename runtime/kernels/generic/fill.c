/* Fill rows of n elements with a constant (Pad: the whole output is filled, then the input copied over it).
 *
 * Elements of 1, 2, 4 or 8 bytes, given as two 32-bit words. No input.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn fill__generic;

typedef uint16_t MF_ALIAS fill_u16;
typedef uint32_t MF_ALIAS fill_u32;
typedef uint64_t MF_ALIAS fill_u64;

MF_KERNEL void fill__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                             int32_t y1, void *scratch) {
  const mf_fill *p = (const mf_fill *)params;
  const uint32_t lo = (uint32_t)p->value_lo;
  int32_t r, i;
  (void)in;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    void *row = mf_row(out, r);
    switch (p->elem) {
    case 1:
      for (i = 0; i < p->n; i++) ((uint8_t *)row)[i] = (uint8_t)lo;
      break;
    case 2:
      for (i = 0; i < p->n; i++) ((fill_u16 *)row)[i] = (uint16_t)lo;
      break;
    case 4:
      for (i = 0; i < p->n; i++) ((fill_u32 *)row)[i] = lo;
      break;
    default:
      for (i = 0; i < p->n; i++) ((fill_u64 *)row)[i] = (uint64_t)(uint32_t)p->value_hi << 32 | lo;
      break;
    }
  }
}
