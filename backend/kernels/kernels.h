/* The host's side of kernel sets: which params a kernel accepts, the scratch it needs, the layout of its constants.
 * The functions are named in runtime/kernels/SET/kernels.def and listed in sets.c.
 */
#ifndef BACKEND_KERNELS_KERNELS_H
#define BACKEND_KERNELS_KERNELS_H

#include "ir/lower.h"

/* -- fold.c -- */

/* One output channel with the input's zero point folded into its bias:
 * y = clamp(out_zero + requantize(bias + sum x * w, mult, -shift), ...). */
typedef struct FoldedChannel {
  int32_t bias, mult, shift; /* shift: to the right, 1 and more */
  int32_t round;             /* (1 << (shift - 1)) + (out_zero << shift) */
  int64_t weights;           /* sum of the weights' magnitudes */
  int64_t bound;             /* of the sum's magnitude */
} FoldedChannel;

/* How the weights of a kernel are found: tap t of channel o at w[o * out + t * tap + i], i < run. */
typedef struct FoldWeights {
  const int8_t *w;
  int32_t outs, taps, run; /* channels, taps, inputs per tap */
  int64_t out, tap;        /* strides */
  bool nibbles;            /* weights of 4 bits, two to a byte: the place is a nibble's */
} FoldWeights;

typedef struct FoldScales {
  const int32_t *bias, *mult; /* bias may be NULL */
  const int8_t *shift;
  int32_t per_channel; /* 0: one multiplier and shift */
  int32_t in_zero, out_zero;
} FoldScales;

/* The weight at a place, w + its strides. */
int32_t fold_weight(const FoldWeights *w, int64_t at);
/* Folds channel o. False where the fixed-point form does not hold: a sum of 2^30 or more, a factor of 1/2 or more, or so
 * small a factor that round does not fit. */
bool fold_channel(const FoldWeights *w, const FoldScales *s, int32_t o, FoldedChannel *out);

/* -- plain.c: kernels that need no packing -- */
bool plain_add_accepts(const void *params);

/* -- blocks.c -- */
FoldWeights conv_fold_weights(const mf_conv_s8 *p);
FoldWeights depthwise_fold_weights(const mf_conv_s8 *p);
FoldWeights fc_fold_weights(const mf_fc_s8 *p);
FoldScales conv_fold_scales(const mf_conv_s8 *p);
FoldScales fc_fold_scales(const mf_fc_s8 *p);
/* The params whose weights the packed array is to hold: the widest variant's, or the call's own. */
const void *widest_of(const KernelPack *k);
/* Every channel, with sums below 2^bits. */
bool all_channels_fold(const FoldWeights *w, const FoldScales *s, int bits);
/* Channel o, or, past the last, one that gives 0. */
FoldedChannel folded_or_none(const FoldWeights *w, const FoldScales *s, int32_t o);
void put_scales(int32_t *q, const FoldedChannel *c); /* mult, round, shift */
/* The weight of channel o and input k (taps * run in all), 0 where there is none. */
int32_t weight_or_zero(const FoldWeights *w, int32_t o, int32_t k);
/* Weights and q as the call's w and bias; its mult and shift are gone. */
void pack_result(KernelPack *k, const int8_t *w, int64_t n, const int32_t *q, int64_t n_q);
void pack_aligned(KernelPack *k, const int8_t *w, int64_t n, const int32_t *q, int64_t n_q, int align);

size_t v7m_conv_scratch(const void *params);
bool v7m_conv_accepts(const void *params);
void v7m_conv_pack(KernelPack *p);
size_t v7m_depthwise_scratch(const void *params);
bool v7m_depthwise_accepts(const void *params);
void v7m_depthwise_pack(KernelPack *p);
bool v7m_fc_accepts(const void *params);
void v7m_fc_pack(KernelPack *p);

/* -- armv7m.c -- */
size_t v7l_conv_scratch(const void *params);
bool v7l_conv_accepts(const void *params);
void v7l_conv_pack(KernelPack *p);
bool v7l_fc_accepts(const void *params);
void v7l_fc_pack(KernelPack *p);

/* -- blocks.c, for Armv6-M -- */
size_t v6m_conv_scratch(const void *params);
bool v6m_conv_accepts(const void *params);
void v6m_conv_pack(KernelPack *p);
size_t taps_depthwise_scratch(const void *params);
bool v6m_depthwise_accepts(const void *params);
bool v6m_fc_accepts(const void *params);
void v6m_fc_pack(KernelPack *p);

size_t v6m4_conv_scratch(const void *params); /* weights of 4 bits */
bool v6m4_conv_accepts(const void *params);
void v6m4_conv_pack(KernelPack *p);

/* -- neon_f32.c -- */
size_t neon_conv_f32_scratch(const void *params);
bool neon_conv_f32_accepts(const void *params);
void neon_conv_f32_pack(KernelPack *p);
size_t neon_depthwise_f32_scratch(const void *params);
bool neon_depthwise_f32_accepts(const void *params);
void neon_depthwise_f32_pack(KernelPack *p);
void neon_fc_f32_pack(KernelPack *p);

/* -- mve.c -- */
size_t mve_conv_scratch(const void *params);
bool mve_conv_accepts(const void *params);
void mve_conv_pack(KernelPack *p);
bool mve_depthwise_accepts(const void *params);
void mve_depthwise_pack(KernelPack *p);
bool mve_fc_accepts(const void *params);
void mve_fc_pack(KernelPack *p);

/* -- neon.c -- */
size_t neon_conv_scratch(const void *params);
bool neon_conv_accepts(const void *params);
void neon_conv_pack(KernelPack *p);
size_t neon_family_scratch(const void *params);
void neon_family_pack(KernelPack *p);
size_t neon_fc_family_scratch(const void *params);
void neon_fc_family_pack(KernelPack *p);
bool neon_fc_accepts(const void *params);
void neon_fc_pack(KernelPack *p);
void neon_depthwise_pack(KernelPack *p);

/* -- x86.c -- */
size_t x86_conv_scratch(const void *params);
bool avx2_conv_accepts(const void *params);
void avx2_conv_pack(KernelPack *p);
bool sse41_conv_accepts(const void *params);
void sse41_conv_pack(KernelPack *p);
size_t x86_depthwise_scratch(const void *params);
bool avx2_depthwise_accepts(const void *params);
void avx2_depthwise_pack(KernelPack *p);
bool sse41_depthwise_accepts(const void *params);
void sse41_depthwise_pack(KernelPack *p);
size_t x86_fc_scratch(const void *params);
bool avx2_fc_accepts(const void *params);
void avx2_fc_pack(KernelPack *p);
bool sse41_fc_accepts(const void *params);
void sse41_fc_pack(KernelPack *p);

/* -- x86_f32.c -- */
size_t x86_conv_f32_scratch(const void *params);
bool x86_conv_f32_accepts(const void *params);
void x86_conv_f32_pack(KernelPack *p);
size_t x86_depthwise_f32_scratch(const void *params);
bool x86_depthwise_f32_accepts(const void *params);
void x86_depthwise_f32_pack(KernelPack *p);
void x86_fc_f32_pack(KernelPack *p);

/* -- winograd.c -- */
size_t winograd_scratch(const void *params);
bool winograd_accepts(const void *params);
void winograd_pack(KernelPack *p);

/* -- x86.c -- */
size_t winograd8_scratch(const void *params);
bool avx2_winograd8_accepts(const void *params);
void avx2_winograd8_pack(KernelPack *p);
bool sse41_winograd8_accepts(const void *params);
void sse41_winograd8_pack(KernelPack *p);

/* -- armv7em.c -- */
size_t em_conv_scratch(const void *params);
bool em_conv_accepts(const void *params);
void em_conv_pack(KernelPack *p);
size_t em_family_scratch(const void *params);
void em_family_pack(KernelPack *p);
size_t em_depthwise_scratch(const void *params);
bool em_depthwise_accepts(const void *params);
void em_depthwise_pack(KernelPack *p);
size_t em3_depthwise_scratch(const void *params);
bool em3_depthwise_accepts(const void *params);
void em3_depthwise_pack(KernelPack *p);
void em3_family_pack(KernelPack *p);
bool em_fc_accepts(const void *params);
void em_fc_pack(KernelPack *p);
void em_fc_family_pack(KernelPack *p);

/* -- slices.c -- */
/* Whether the kernel's layout of the widest variant's weights serves a narrower one's params too (both not packed), whose
 * weights are a slice of them: its first channels of output and input. */
bool kernel_shares(const KernelDef *k, const void *widest, const void *params);

/* -- armv7em4.c: weights of 4 bits -- */
bool em4_conv_accepts(const void *params);
void em4_conv_pack(KernelPack *p);
bool em4_fc_accepts(const void *params);
void em4_fc_pack(KernelPack *p);

#endif
