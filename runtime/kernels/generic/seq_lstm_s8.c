/* SequenceLstm, int8 x, weights and h, int16 cell: bit for bit TensorFlow Lite Micro's reference (lstm_eval.h, lstm_eval.cc,
 * lstm_eval_common.cc: CalculateLstmGate, UpdateLstmCell, UpdateLstmHidden; double rounding).
 *
 *   gate = activate(sat16(requantize16(w (x - x_zero) + bias) + requantize16(r (h - h_zero))))        Q3.12 -> Q0.15
 *   c    = sat16(requantize16(f c) + requantize16(i g)), limited to -clip .. clip
 *   h    = requantize8(o tanh(c)) + h_zero
 *
 * Scratch: int16 cell, int8 h and the new h. A row is one step's h as int16, or the last cell; rows before the wanted
 * ones are computed and not written.
 */
#include "runtime/kernels/sigmoid16.h"

MF_KERNEL mf_kernel_fn seq_lstm_s8__generic;

MF_KERNEL size_t mf_seq_lstm_s8_scratch(const void *params) {
  return 4 * (size_t)((const mf_seq_lstm_s8 *)params)->size;
}

static int32_t seq_lstm_s8_sat(int32_t v) { return mf_clamp(v, INT16_MIN, INT16_MAX); }

static int32_t seq_lstm_s8_dot(const int8_t *x, const int8_t *w, int32_t n, int32_t zero, int32_t bias) {
  uint32_t acc = (uint32_t)bias; /* wraps */
  int32_t k;
  for (k = 0; k < n; k++) acc += (uint32_t)((x[k] - zero) * w[k]);
  return (int32_t)acc;
}

static int32_t seq_lstm_s8_scale(const mf_seq_lstm_s8 *p, int32_t v, int32_t which) {
  return mf_requantize(v, p->mult[which], p->shift[which]);
}

static int32_t seq_lstm_s8_gate(const mf_seq_lstm_s8 *p, const int8_t *x, const int8_t *h, int32_t gate,
                                int32_t i) {
  const int32_t row = gate * p->size + i;
  const int32_t a = seq_lstm_s8_dot(x, p->w + row * p->inputs, p->inputs, p->x_zero, p->bias[row]);
  const int32_t b = seq_lstm_s8_dot(h, p->r + row * p->size, p->size, p->h_zero, 0);
  const int32_t sum = seq_lstm_s8_sat(seq_lstm_s8_sat(seq_lstm_s8_scale(p, a, gate)) +
                                      seq_lstm_s8_sat(seq_lstm_s8_scale(p, b, 4 + gate)));
  return gate == 2 ? mf_tanh16(sum, 3, 0) : mf_sigmoid16(sum, 3, 0);
}

/* One step: c in place, the new h behind the old one. */
static void seq_lstm_s8_step(const mf_seq_lstm_s8 *p, const int8_t *x, int8_t *h, int16_t *c) {
  const int32_t left = 12 + p->cell_log2; /* c's scale to Q3.12 */
  int8_t *next = h + p->size;
  int32_t i;
  for (i = 0; i < p->size; i++) {
    const int32_t kept = seq_lstm_s8_sat(seq_lstm_s8_scale(p, seq_lstm_s8_gate(p, x, h, 1, i) * c[i], 8));
    const int32_t fresh = seq_lstm_s8_sat(
        seq_lstm_s8_scale(p, seq_lstm_s8_gate(p, x, h, 0, i) * seq_lstm_s8_gate(p, x, h, 2, i), 9));
    int32_t cell = seq_lstm_s8_sat(kept + fresh), y;
    if (p->clip > 0) cell = mf_clamp(cell, -p->clip, p->clip);
    c[i] = (int16_t)cell;
    y = left >= 0 ? mf_tanh16(cell, 3 << left, 0) : mf_tanh16(cell, 3, -left);
    y = seq_lstm_s8_scale(p, seq_lstm_s8_gate(p, x, h, 3, i) * y, 10) + p->h_zero;
    next[i] = (int8_t)mf_clamp(y, -128, 127);
  }
  for (i = 0; i < p->size; i++) h[i] = next[i];
}

MF_KERNEL void seq_lstm_s8__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                    int32_t y1, void *scratch) {
  const mf_seq_lstm_s8 *p = (const mf_seq_lstm_s8 *)params;
  int16_t *c = (int16_t *)scratch;
  int8_t *h = (int8_t *)(c + p->size);
  int32_t t, i;
  for (i = 0; i < p->size; i++) {
    h[i] = ((const int8_t *)in[1].base)[i];
    c[i] = ((const int16_t *)in[2].base)[i];
  }
  for (t = 0; t < y1; t++) {
    int16_t *y = (int16_t *)mf_row(out, t);
    if (t < p->steps) seq_lstm_s8_step(p, (const int8_t *)mf_row(&in[0], t), h, c);
    if (t < y0) continue;
    for (i = 0; i < p->size; i++) y[i] = t < p->steps ? h[i] : c[i];
  }
}
