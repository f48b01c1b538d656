/* SequenceLstm, float32: gates i, f, g, o = sigmoid (g: tanh) of w x + r h + bias; c = f c + i g; h = o tanh(c).
 *
 * As TensorFlow Lite Micro's reference (lstm_eval.h). Scratch: h and c twice (the old ones while the new ones are made).
 * A row is one step's h, or the last cell; rows before the wanted ones are computed and not written.
 */
#include <math.h>

#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn seq_lstm_f32__generic;

MF_KERNEL size_t mf_seq_lstm_f32_scratch(const void *params) {
  return 3 * sizeof(float) * (size_t)((const mf_seq_lstm_f32 *)params)->size;
}

static float seq_lstm_f32_gate(const mf_seq_lstm_f32 *p, const float *x, const float *h, int32_t gate,
                               int32_t i) {
  const int32_t row = gate * p->size + i;
  float sum = p->bias[row];
  int32_t k;
  for (k = 0; k < p->inputs; k++) sum += p->w[row * p->inputs + k] * x[k];
  for (k = 0; k < p->size; k++) sum += p->r[row * p->size + k] * h[k];
  return gate == 2 ? tanhf(sum) : 1 / (1 + expf(-sum));
}

/* One step: c in place, the new h behind the old one. */
static void seq_lstm_f32_step(const mf_seq_lstm_f32 *p, const float *x, float *h, float *c) {
  float *next = c + p->size;
  int32_t i;
  for (i = 0; i < p->size; i++) {
    c[i] = seq_lstm_f32_gate(p, x, h, 1, i) * c[i] +
           seq_lstm_f32_gate(p, x, h, 0, i) * seq_lstm_f32_gate(p, x, h, 2, i);
    if (p->clip > 0) c[i] = c[i] > p->clip ? p->clip : c[i] < -p->clip ? -p->clip : c[i];
    next[i] = seq_lstm_f32_gate(p, x, h, 3, i) * tanhf(c[i]);
  }
  for (i = 0; i < p->size; i++) h[i] = next[i];
}

MF_KERNEL void seq_lstm_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                     int32_t y1, void *scratch) {
  const mf_seq_lstm_f32 *p = (const mf_seq_lstm_f32 *)params;
  float *h = (float *)scratch, *c = h + p->size;
  int32_t t, i;
  for (i = 0; i < p->size; i++) {
    h[i] = ((const float *)in[1].base)[i];
    c[i] = ((const float *)in[2].base)[i];
  }
  for (t = 0; t < y1; t++) {
    float *y = (float *)mf_row(out, t);
    if (t < p->steps) seq_lstm_f32_step(p, (const float *)mf_row(&in[0], t), h, c);
    if (t < y0) continue;
    for (i = 0; i < p->size; i++) y[i] = t < p->steps ? h[i] : c[i];
  }
}
