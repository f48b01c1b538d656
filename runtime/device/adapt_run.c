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
  while (w < mf_adapt_words(s) + m->words)
    *w++ = 0; /* offsets, adapters; weights of other layers: mf_adapt_reset_weights */
  for (i = 0; i < m->n_affine; i++)
    for (o = 0; m->affine[i].gains && o < m->affine[i].c; o++)
      mf_adapt_words(s)[m->affine[i].word + o] = MF_ADAPT_ONE;
}

MF_KERNEL void mf_adapt_run_last(const mf_adapt_last *p, const int32_t *words, const int8_t *x, int8_t *y) {
  const int32_t *bias = words + p->n * p->k;
  int32_t o, i;
  for (o = 0; o < p->n; o++, words += p->k) {
    const int32_t q = p->per_channel ? o : 0;
    int64_t sum = (int64_t)bias[o] * 256;
    for (i = 0; i < p->k; i++) sum += (int64_t)(x[i] - p->in_zero) * words[i];
    y[o] = (int8_t)mf_clamp(p->out_zero + mf_adapt_requantize(sum, p->mult[q], p->shift[q]), p->lo, p->hi);
  }
}

static void mf_affine_row(const mf_adapt_affine *p, const int32_t *words, int8_t *y, int32_t n,
                          unsigned char *mask, int32_t bit) {
  const int32_t *gain = mf_adapt_gain(p, words), *offset = mf_adapt_offset(p, words);
  int32_t i, c;
  for (i = 0; i < n; i += p->c, y += p->c)
    for (c = 0; c < p->c; c++) {
      const int32_t was = y[c];
      int32_t v = was + mf_adapt_codes(offset[c]);
      if (gain)
        v = p->zero + (int32_t)(((int64_t)(was - p->zero) * gain[c] + offset[c] + (MF_ADAPT_ONE >> 1)) >> 24);
      y[c] = (int8_t)mf_clamp(v, p->lo, p->hi);
      if (mask)
        mf_adapt_put_bit(mask, bit + i + c, was > p->lo && was < p->hi && y[c] > p->lo && y[c] < p->hi);
    }
}

MF_KERNEL void mf_adapt_run_affine(const mf_adapt_affine *p, const int32_t *words, const mf_view *out,
                                   int32_t n, int32_t y0, int32_t y1, unsigned char *mask) {
  int32_t r;
  for (r = y0; r < y1; r++) mf_affine_row(p, words, (int8_t *)mf_row(out, r), n, mask, r * n);
}
