/* Rnn, float32: one direction of a layer over whole sequences: h' = f(x + R h). A row is a sequence. Source: ONNX RNN-22.
 */
#include "runtime/kernels/recurrent.h"

MF_KERNEL mf_kernel_fn rnn_f32__generic;

MF_KERNEL void rnn_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                int32_t y1, void *scratch) {
  const mf_recurrent *p = (const mf_recurrent *)params;
  const float *w = (const float *)in[1].base;
  const int32_t n = p->hidden;
  int32_t r, s, j;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const int32_t steps = mf_recurrent_length(p, in, r);
    const float *h = mf_recurrent_initial(p, in, r, MF_GIVEN_HIDDEN);
    float *y = (float *)mf_row(out, r);
    for (s = 0; s < steps; s++) {
      const int32_t t = p->reverse ? steps - 1 - s : s;
      const float *x = mf_recurrent_share(p, in, 1, t, r);
      float *now = y + (ptrdiff_t)t * n;
      for (j = 0; j < n; j++) {
        const float v = mf_recurrent_clip(x[j] + mf_recurrent_dot(w + (ptrdiff_t)j * n, h, n), p->clip);
        now[j] = mf_recurrent_act(p->act_f, p->alpha_f, p->beta_f, v);
      }
      h = now;
    }
    mf_recurrent_copy(y + (ptrdiff_t)p->steps * n, h, n);
    mf_recurrent_copy(y + (ptrdiff_t)steps * n, NULL, (p->steps - steps) * n);
  }
}
