/* Gru, float32: one direction of a layer over whole sequences. Gates z, r, h.
 *
 *   z = f(xz + Rz h)   r = f(xr + Rr h)   h' = (1 - z) g(xh + Rh (r h)) + z h
 *   variant (linear_before_reset): g(xh + r (Rh h + b)), b [hidden] being the input MF_GIVEN_EXTRA
 *
 * A row is a sequence. r h is kept in the output row's last part, where the final state goes in the end. clip limits
 * what goes into f and g. Source: ONNX GRU-22.
 */
#include "runtime/kernels/recurrent.h"

MF_KERNEL mf_kernel_fn gru_f32__generic;

/* Gate k (0 z, 1 r) of unit j. */
static float gru_gate(const mf_recurrent *p, const float *x, const float *w, const float *h, int32_t k,
                      int32_t j) {
  const int32_t n = p->hidden, at = k * n + j;
  const float v = x[at] + mf_recurrent_dot(w + (ptrdiff_t)at * n, h, n);
  return mf_recurrent_act(p->act_f, p->alpha_f, p->beta_f, mf_recurrent_clip(v, p->clip));
}

static void gru_step(const mf_recurrent *p, const float *x, const float *w, const float *h, const float *bias,
                     float *reset, float *y) {
  const int32_t n = p->hidden;
  int32_t j;
  for (j = 0; j < n; j++) {
    const float r = gru_gate(p, x, w, h, 1, j);
    if (p->variant)
      reset[j] = r * (mf_recurrent_dot(w + ((ptrdiff_t)2 * n + j) * n, h, n) + (bias ? bias[j] : 0));
    else
      reset[j] = h ? r * h[j] : 0;
  }
  for (j = 0; j < n; j++) {
    const float z = gru_gate(p, x, w, h, 0, j);
    const float more = p->variant ? reset[j] : mf_recurrent_dot(w + ((ptrdiff_t)2 * n + j) * n, reset, n);
    const float v = mf_recurrent_clip(x[2 * n + j] + more, p->clip);
    y[j] = (1.0f - z) * mf_recurrent_act(p->act_g, p->alpha_g, p->beta_g, v) + z * (h ? h[j] : 0);
  }
}

MF_KERNEL void gru_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                int32_t y1, void *scratch) {
  const mf_recurrent *p = (const mf_recurrent *)params;
  const float *bias = (const float *)mf_recurrent_input(p, in, MF_GIVEN_EXTRA);
  const int32_t n = p->hidden;
  int32_t r, s;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const int32_t steps = mf_recurrent_length(p, in, r);
    const float *h = mf_recurrent_initial(p, in, r, MF_GIVEN_HIDDEN);
    float *y = (float *)mf_row(out, r), *last = y + (ptrdiff_t)p->steps * n;
    for (s = 0; s < steps; s++) {
      const int32_t t = p->reverse ? steps - 1 - s : s;
      const float *x = mf_recurrent_share(p, in, 3, t, r);
      gru_step(p, x, (const float *)in[1].base, h, bias, last, y + (ptrdiff_t)t * n);
      h = y + (ptrdiff_t)t * n;
    }
    mf_recurrent_copy(last, h, n);
    mf_recurrent_copy(y + (ptrdiff_t)steps * n, NULL, (p->steps - steps) * n);
  }
}
