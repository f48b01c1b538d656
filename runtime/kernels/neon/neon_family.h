/* What the kernels for NEON share whose weights are the first channels of a wider variant's. */
#ifndef MF_NEON_FAMILY_H
#define MF_NEON_FAMILY_H

#include "runtime/kernels/neon/neon.h"

/* `outs` channels of the pixels, whose blocks of weights lie w_out bytes apart; b but its outs. */
MF_HELPER void mf_neon_blocks(mf_neon_run b, int32_t outs, int32_t w_out, int32_t pixels) {
  int32_t o, i;
  for (o = 0; o < outs; o += 4, b.w += w_out, b.q += 12) {
    b.outs = outs - o < 4 ? outs - o : 4;
    mf_neon_pixels(&b, pixels);
    for (i = 0; i < pixels; i++) b.out[i] += 4;
  }
}

#endif
