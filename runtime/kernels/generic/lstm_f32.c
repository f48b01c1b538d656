/* Lstm, float32: one direction of a layer over whole sequences. Gates i, o, f, c; peepholes Pi, Po, Pf (MF_GIVEN_EXTRA).
 *
 *   i = f(xi + Ri h + Pi c)   f = f(xf + Rf h + Pf c), or 1 - i (variant)   c' = f c + i g(xc + Rc h)
 *   o = f(xo + Ro h + Po c')  h' = o h(c')
 *
 * A row is a sequence; the output row has room for the states, so no scratch is needed: the hidden state is the step's
 * before, the cell state lives in its last part. clip limits what goes into f and g. Source: ONNX LSTM-22.
 */
#include "runtime/kernels/recurrent.h"

MF_KERNEL mf_kernel_fn lstm_f32__generic;

/* Unit j of one step: updates its cell, returns its new hidden state. x: the gates' shares, w: R, peep may be NULL. */
static float lstm_unit(const mf_recurrent *p, const float *x, const float *w, const float *h,
                       const float *peep, float *cell, int32_t j) {
  const int32_t n = p->hidden;
  const float old = cell[j];
  float gate[4], c;
  int32_t k;
  for (k = 0; k < 4; k++) gate[k] = x[k * n + j] + mf_recurrent_dot(w + ((ptrdiff_t)k * n + j) * n, h, n);
  if (peep) {
    gate[0] += peep[j] * old;
    gate[2] += peep[2 * n + j] * old;
  }
  for (k = 0; k < 4; k++)
    if (k != 1) gate[k] = mf_recurrent_clip(gate[k], p->clip);
  gate[0] = mf_recurrent_act(p->act_f, p->alpha_f, p->beta_f, gate[0]);
  gate[2] = p->variant ? 1.0f - gate[0] : mf_recurrent_act(p->act_f, p->alpha_f, p->beta_f, gate[2]);
  c = gate[2] * old + gate[0] * mf_recurrent_act(p->act_g, p->alpha_g, p->beta_g, gate[3]);
  if (peep) gate[1] += peep[n + j] * c;
  cell[j] = c;
  return mf_recurrent_act(p->act_f, p->alpha_f, p->beta_f, mf_recurrent_clip(gate[1], p->clip)) *
         mf_recurrent_act(p->act_h, p->alpha_h, p->beta_h, c);
}

MF_KERNEL void lstm_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                 int32_t y1, void *scratch) {
  const mf_recurrent *p = (const mf_recurrent *)params;
  const float *peep = (const float *)mf_recurrent_input(p, in, MF_GIVEN_EXTRA);
  const int32_t n = p->hidden;
  int32_t r, s, j;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const int32_t steps = mf_recurrent_length(p, in, r);
    const float *h = mf_recurrent_initial(p, in, r, MF_GIVEN_HIDDEN);
    float *y = (float *)mf_row(out, r), *last = y + (ptrdiff_t)p->steps * n, *cell = last + n;
    mf_recurrent_copy(cell, mf_recurrent_initial(p, in, r, MF_GIVEN_CELL), n);
    for (s = 0; s < steps; s++) {
      const int32_t t = p->reverse ? steps - 1 - s : s;
      const float *x = mf_recurrent_share(p, in, 4, t, r);
      float *now = y + (ptrdiff_t)t * n;
      for (j = 0; j < n; j++) now[j] = lstm_unit(p, x, (const float *)in[1].base, h, peep, cell, j);
      h = now;
    }
    mf_recurrent_copy(last, h, n);
    mf_recurrent_copy(y + (ptrdiff_t)steps * n, NULL, (p->steps - steps) * n);
  }
}
