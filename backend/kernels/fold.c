/* Folding of zero points, and the bounds under which kernels may use cheaper fixed-point forms.
 *
 *   bias + sum (x - in_zero) * w  =  (bias - in_zero * sum w)  +  sum x * w          exactly, in 32 bits
 *
 * where padding counts as x = in_zero. Requantization as { high half of (2 acc) * mult, rounded; then a rounded shift }
 * is TFLite's double rounding as long as 2 acc fits 32 bits and the factor is below 1/2 (shift >= 1), which weights that
 * are known can prove: |acc| <= |bias| + 128 * sum |w|.
 */
#include "backend/kernels/kernels.h"

#include <stdlib.h>

#include "runtime/kernels/requantize.h"

enum { SHIFT_MAX = 22, ACC_BITS = 30 };

int32_t fold_weight(const FoldWeights *w, int64_t at) {
  return w->nibbles ? ((w->w[at / 2] >> (at % 2 ? 4 : 0) & 15) ^ 8) - 8 : w->w[at];
}

static int64_t weight_at(const FoldWeights *w, int32_t o, int32_t t, int32_t i) {
  return fold_weight(w, o * w->out + t * w->tap + i);
}

static int32_t output_of(int64_t acc, int32_t mult, int32_t shift, int32_t zero) {
  return mf_clamp(zero + mf_requantize((int32_t)acc, mult, shift), -128, 127);
}

/* A channel whose output is one value whatever comes in: requantization is monotone, so its ends tell. Converters make
 * such channels of filters that training has switched off: their scale is tiny, their bias huge. */
static bool is_constant(int64_t lo, int64_t hi, const FoldScales *s, int32_t q, int32_t *value) {
  if (lo < INT32_MIN || hi > INT32_MAX) return false;
  *value = output_of(lo, s->mult[q], s->shift[q], s->out_zero);
  return *value == output_of(hi, s->mult[q], s->shift[q], s->out_zero);
}

bool fold_channel(const FoldWeights *w, const FoldScales *s, int32_t o, FoldedChannel *out) {
  int64_t sum = 0, size = 0, bias = s->bias ? s->bias[o] : 0;
  for (int32_t t = 0; t < w->taps; t++)
    for (int32_t i = 0; i < w->run; i++) {
      sum += weight_at(w, o, t, i);
      size += llabs(weight_at(w, o, t, i));
    }
  int32_t q = s->per_channel ? o : 0, value;
  bias -= s->in_zero * sum;
  *out = (FoldedChannel){.bias = (int32_t)bias, .mult = s->mult[q], .shift = -s->shift[q], .weights = size};
  out->bound = llabs(bias) + 128 * size;
  if (size < INT32_MAX / 256 && is_constant(bias - 128 * size, bias + 128 * size, s, q, &value)) {
    out->bias = (int32_t)(128 * size + 1); /* no sum is negative: a kernel may give those the lowest code */
    out->bound = 256 * size + 1;
    out->mult = 0;
    out->shift = 1;
    out->round = 2 * value + 1;
    return true;
  }
  if (out->bound >= (int64_t)1 << ACC_BITS) return false;
  if (out->shift < 1 || out->shift > SHIFT_MAX) return false;
  out->round = (1 << (out->shift - 1)) + s->out_zero * (1 << out->shift);
  return true;
}
