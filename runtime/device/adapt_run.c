/* The forward pass with what was learned, on integers alone; see adapt.h. */
#include "runtime/device/adapt.h"

MF_KERNEL void mf_adapt_reset(const mf_adapt_model *m, mf_adapt_state *s) {
  const mf_adapt_last *p = m->last;
  int32_t *w = mf_adapt_words(s);
  int32_t o, i;
  s->steps = 0;
  for (o = 0; o < p->n; o++)
    for (i = 0; i < p->k; i++) *w++ = (int32_t)p->w[o * p->w_out + i] * 65536;
  for (o = 0; o < p->n; o++) *w++ = p->bias ? p->bias[o] * 256 : 0;
  for (i = 0; i < m->n_affine; i++) {
    for (o = 0; o < m->affine[i].c; o++) *w++ = MF_ADAPT_ONE;
    for (o = 0; o < m->affine[i].c; o++) *w++ = 0;
  }
}

MF_KERNEL void mf_adapt_run_last(const mf_adapt_last *p, const int32_t *words, const int8_t *x, int8_t *y) {
  const int32_t *bias = words + p->n * p->k;
  int32_t o, i;
  for (o = 0; o < p->n; o++, words += p->k) {
    const int32_t q = p->per_channel ? o : 0, left = p->shift[q] > 0 ? p->shift[q] : 0;
    const int32_t most = INT32_MAX >> left; /* what is more would wrap in mf_requantize */
    int64_t sum = (int64_t)bias[o] * 256 + 32768;
    for (i = 0; i < p->k; i++) sum += (int64_t)(x[i] - p->in_zero) * words[i];
    sum >>= 16;
    if (sum > most) sum = most;
    if (sum < -most - 1) sum = -most - 1;
    y[o] = (int8_t)mf_clamp(p->out_zero + mf_requantize((int32_t)sum, p->mult[q], p->shift[q]), p->lo, p->hi);
  }
}

MF_KERNEL void mf_adapt_run_affine(const mf_adapt_affine *p, const int32_t *words, const mf_view *out,
                                   int32_t n, int32_t y0, int32_t y1) {
  const int32_t *gain = words + p->word, *offset = gain + p->c;
  int32_t r, i, c;
  for (r = y0; r < y1; r++) {
    int8_t *y = (int8_t *)mf_row(out, r);
    for (i = 0; i < n; i += p->c, y += p->c)
      for (c = 0; c < p->c; c++) {
        const int64_t v = (int64_t)(y[c] - p->zero) * gain[c] + offset[c] + (MF_ADAPT_ONE >> 1);
        y[c] = (int8_t)mf_clamp(p->zero + (int32_t)(v >> 24), p->lo, p->hi);
      }
  }
}
