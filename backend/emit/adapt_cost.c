/* What a run takes more where a state is bound: instructions, about.
 *
 * Fitted to counts on a Cortex-M7 (SysTick under QEMU) of a ResNet-20 and of two small nets in each form, which they meet within a
 * quarter: the loops of adapt_run.c, adapt_adapter.c, adapt_mask.c and adapt_weights.c are C, so other processors take a similar number, but
 * for those whose products of 64 bits are calls (Cortex-M0). Kernels that weights take the place of are not taken off.
 */
#include "backend/emit/adapt_c.h"

/* For each code, bit, tap, product. */
enum {
  PER_BIAS = 16,
  PER_GAIN = 27,
  PER_ADAPTER = 45, /* its bias with it */
  PER_RANK = 13,
  PER_RANK_2 = 47, /* adapters of rank 2 in all: a loop that the compiler unrolls */
  PER_BIT = 24,
  PER_TAP = 15,
  PER_WEIGHT = 6, /* of the last layer, beside what its kernel takes */
  PER_PRODUCT = 7,
  PER_SUM = 100
};

static int64_t per_code(const AdaptEmit *ad, const AdaptStep *s) {
  if (s->number < 0) return 0;
  if (s->adapter >= 0) return ad->rank == 2 ? PER_RANK_2 : PER_ADAPTER + PER_RANK * ad->rank;
  return ad->gains ? PER_GAIN : PER_BIAS;
}

static int64_t per_bits(const AdaptStep *s) {
  const mf_pool_s8 *pool = s->k->params;
  if (!s->bits) return 0;
  return s->kind == MF_BACK_MAX ? PER_TAP * (int64_t)pool->g.k_h * pool->g.k_w : PER_BIT;
}

int64_t emit_adapt_learned(const Emit *e) {
  const AdaptEmit *ad = e->adapt;
  int64_t sum = PER_WEIGHT * ad->n * ad->k;
  for (int i = 0; i < ad->n_steps; i++) {
    const AdaptStep *s = &ad->step[i];
    const int64_t n = emit_adapt_elements(e, s->y);
    if (!s->active) continue;
    sum += n * (per_code(ad, s) + per_bits(s));
    if (s->learns) sum += PER_PRODUCT * s->k->macs + PER_SUM * n;
  }
  return sum;
}
