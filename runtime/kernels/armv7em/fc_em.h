/* Four outputs at a time of one vector: what the fully connected layers of Armv7E-M share. */
#ifndef MF_ARMV7EM_FC_EM_H
#define MF_ARMV7EM_FC_EM_H

#include "runtime/kernels/armv7em/dsp.h"

typedef struct fc_em_block {
  const int8_t *x, *x4; /* the vector; the end of its groups of four */
  const int8_t *w;
  const int32_t *q;
  int8_t *out;
  int32_t blocks; /* of four outputs, at least 1 */
  int32_t rest;   /* whether inputs are left behind x4 */
  uint32_t last;  /* these */
  uint32_t
      more; /* bytes between two blocks of weights, where they lie apart; fc_s4: 8 times the sum of all inputs */
} fc_em_block;

typedef void fc_em_run_blocks(const fc_em_block *b);

#ifdef MF_DSP

/* A sum to its code, at r7. */
#define FC_EM_CODE(a)               \
  "ldm r12!, {r8, r9, r10}\n\t"     \
  "add r9, r9, " a ", asr #31\n\t"  \
  "smmlar " a ", " a ", r8, r9\n\t" \
  "asr " a ", " a ", r10\n\t"       \
  "ssat " a ", #8, " a "\n\t"       \
  "strb " a ", [r7], #1\n\t"

#endif

/* Vector x of the layer. */
MF_INLINE fc_em_block fc_em_begin(const mf_fc_s8 *p, const int8_t *x) {
  fc_em_block b;
  int32_t i;
  b.x = x;
  b.x4 = x + (p->k & ~3);
  b.w = p->w;
  b.q = p->bias;
  b.out = NULL;
  b.blocks = 0;
  b.rest = p->k & 3;
  b.last = 0;
  b.more = 0;
  for (i = 0; i < b.rest; i++) b.last |= (uint32_t)(uint8_t)b.x4[i] << (8 * i);
  return b;
}

/* All its outputs; blocks of weights begin `step` bytes apart. */
MF_INLINE void fc_em_outputs(const mf_fc_s8 *p, fc_em_block b, int32_t step, fc_em_run_blocks *run,
                             int8_t *y) {
  const int32_t rest = p->n & 3;
  int8_t last[4];
  int32_t i;
  b.out = y;
  b.blocks = p->n >> 2;
  if (b.blocks) run(&b);
  if (rest) {
    b.w += (p->n >> 2) * step;
    b.q += (p->n >> 2) * 16;
    b.out = last;
    b.blocks = 1;
    run(&b);
    for (i = 0; i < rest; i++) y[p->n - rest + i] = last[i];
  }
  if (p->lo > -128 || p->hi < 127)
    for (i = 0; i < p->n; i++) y[i] = (int8_t)mf_clamp(y[i], p->lo, p->hi);
}

#endif
