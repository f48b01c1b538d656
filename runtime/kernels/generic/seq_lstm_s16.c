/* SequenceLstm, int16 x, h and cell with int8 weights: bit for bit TensorFlow Lite Micro's reference (lstm_eval.h,
 * lstm_eval.cc: CalculateLstmGate, UpdateLstmCell, UpdateLstmHidden; zero points are 0).
 *
 *   gate = activate(sat16(wide(w x + bias) + wide(r h)))        wide: 64-bit sums, one rounding; Q3.12 -> Q0.15
 *   c    = sat16(requantize16(f c) + requantize16(i g)), limited to -clip .. clip
 *   h    = requantize16(o tanh(c))                              requantize: two roundings
 *
 * Scratch: int16 cell, h and the new h. A row is one step's h, or the last cell; rows before the wanted ones are
 * computed and not written.
 */
#include "runtime/kernels/dot16.h"
#include "runtime/kernels/sigmoid16.h"

MF_KERNEL mf_kernel_fn seq_lstm_s16__generic;

MF_KERNEL size_t mf_seq_lstm_s16_scratch(const void *params) {
  return 6 * (size_t)((const mf_seq_lstm_s16 *)params)->size;
}

static int32_t seq_lstm_s16_sat(int32_t v) { return mf_clamp(v, INT16_MIN, INT16_MAX); }

static int32_t seq_lstm_s16_wide(const mf_seq_lstm_s16 *p, int64_t v, int32_t which) {
  return seq_lstm_s16_sat(mf_requantize_wide(v, p->mult[which], p->shift[which]));
}

static int32_t seq_lstm_s16_scale(const mf_seq_lstm_s16 *p, int32_t v, int32_t which) {
  return seq_lstm_s16_sat(mf_requantize(v, p->mult[which], p->shift[which]));
}

static int32_t seq_lstm_s16_gate(const mf_seq_lstm_s16 *p, const int16_t *x, const int16_t *h, int32_t gate,
                                 int32_t i) {
  const int32_t row = gate * p->size + i;
  const int64_t a = p->bias[row] + mf_dot16(x, p->w + row * p->inputs, p->inputs);
  const int64_t b = mf_dot16(h, p->r + row * p->size, p->size);
  const int32_t sum = seq_lstm_s16_sat(seq_lstm_s16_wide(p, a, gate) + seq_lstm_s16_wide(p, b, 4 + gate));
  return gate == 2 ? mf_tanh16(sum, 3, 0) : mf_sigmoid16(sum, 3, 0);
}

/* One step: c in place, the new h behind the old one. */
static void seq_lstm_s16_step(const mf_seq_lstm_s16 *p, const int16_t *x, int16_t *h, int16_t *c) {
  const int32_t left = 12 + p->cell_log2; /* c's scale to Q3.12 */
  int16_t *next = h + p->size;
  int32_t i;
  for (i = 0; i < p->size; i++) {
    const int32_t kept = seq_lstm_s16_scale(p, seq_lstm_s16_gate(p, x, h, 1, i) * c[i], 8);
    const int32_t fresh =
        seq_lstm_s16_scale(p, seq_lstm_s16_gate(p, x, h, 0, i) * seq_lstm_s16_gate(p, x, h, 2, i), 9);
    int32_t cell = seq_lstm_s16_sat(kept + fresh), y;
    if (p->clip > 0) cell = mf_clamp(cell, -p->clip, p->clip);
    c[i] = (int16_t)cell;
    y = left >= 0 ? mf_tanh16(cell, 3 << left, 0) : mf_tanh16(cell, 3, -left);
    next[i] = (int16_t)seq_lstm_s16_scale(p, seq_lstm_s16_gate(p, x, h, 3, i) * y, 10);
  }
  for (i = 0; i < p->size; i++) h[i] = next[i];
}

MF_KERNEL void seq_lstm_s16__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                     int32_t y1, void *scratch) {
  const mf_seq_lstm_s16 *p = (const mf_seq_lstm_s16 *)params;
  int16_t *c = (int16_t *)scratch, *h = c + p->size;
  int32_t t, i;
  for (i = 0; i < p->size; i++) {
    h[i] = ((const int16_t *)in[1].base)[i];
    c[i] = ((const int16_t *)in[2].base)[i];
  }
  for (t = 0; t < y1; t++) {
    int16_t *y = (int16_t *)mf_row(out, t);
    if (t < p->steps) seq_lstm_s16_step(p, (const int16_t *)mf_row(&in[0], t), h, c);
    if (t < y0) continue;
    for (i = 0; i < p->size; i++) y[i] = t < p->steps ? h[i] : c[i];
  }
}
