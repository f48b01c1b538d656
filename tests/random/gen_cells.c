/* Generators of drafts for recurrent cells: Lstm, Gru, Rnn with any of their optional inputs, activations and directions;
 * SequenceLstm and Svdf of float32 (their integer forms, whose scales are bound to one another, from the samples).
 */
#include "tests/random/gen.h"

#include "runtime/kernels/kernel.h"

typedef struct CellSize {
  int64_t steps, items, hidden;
} CellSize;

/* An input that may be left out. */
static void optional(Gen *r, Draft *t, const Shape *s) {
  t->in[t->n_in++] = !r->train && gen_chance(r, 50) ? gen_value_like(r, DT_F32, s, NULL) : NO_VAL;
}

/* How many steps each item has; or all of them. */
static void lengths(Gen *r, Draft *t, const CellSize *z) {
  const Shape s = shape_of(1, z->items);
  int32_t n[4];
  t->n_in++;
  t->in[t->n_in - 1] = NO_VAL;
  if (r->train || gen_chance(r, 60)) return;
  for (int64_t i = 0; i < z->items; i++) n[i] = gen_int(r, 0, (int)z->steps);
  t->in[t->n_in - 1] = gen_chance(r, 20) ? gen_value_like(r, DT_I32, &s, NULL)
                                         : graph_const_data(r->g, "lengths", DT_I32, &s, n);
}

static void cell_attrs(Gen *r, Draft *t, const CellSize *z) {
  static const char *const reals[] = {"alpha_f", "alpha_g", "alpha_h", "beta_f", "beta_g", "beta_h"};
  int64_t acts[3] = {MF_ACT_SIGMOID, MF_ACT_TANH, MF_ACT_TANH};
  for (int i = 0; i < 3; i++)
    if (!r->train && gen_chance(r, 40)) acts[i] = gen_int(r, 0, MF_ACT_SOFTPLUS);
  for (int i = 0; i < 6; i++) gen_set_real(t, reals[i], gen_real(r, 0.1f, 1));
  gen_set_ints(t, "acts", acts, 3);
  gen_set_int(t, "hidden", z->hidden);
  gen_set_int(t, "reverse", gen_chance(r, 40));
  gen_set_real(t, "clip", r->train || gen_chance(r, 70) ? 0 : gen_real(r, 0.2f, 2));
}

/* What the engine runs: the batch in front, all that is optional left out. hidden 0: the pool has no such input. */
static CellSize train_cell(Gen *r, Draft *t, int64_t gates) {
  const ValId x = gen_value(r, DT_F32, 3, 3);
  const Shape s = x == NO_VAL ? (Shape){0} : *gen_shape_of(r, x);
  if (s.rank != 3 || val_is_const(r->g, x) || s.d[1] < 1 || s.d[2] < gates || s.d[2] % gates != 0)
    return (CellSize){0};
  const CellSize z = {s.d[1], s.d[0], s.d[2] / gates};
  const Shape w = shape_of(2, s.d[2], z.hidden);
  t->in[t->n_in++] = x;
  t->in[t->n_in++] = gen_const_range(r, &w, -1, 1);
  cell_attrs(r, t, &z);
  gen_set_int(t, "batch_first", 1);
  return z;
}

/* The gates' share and the recurrent weights. */
static CellSize cell(Gen *r, Draft *t, int64_t gates) {
  if (r->train) return train_cell(r, t, gates);
  const CellSize z = {gen_int(r, 1, 4), gen_int(r, 1, 3), gen_int(r, 1, 5)};
  const bool first = gen_chance(r, 40);
  const Shape x = first ? shape_of(3, z.items, z.steps, gates * z.hidden)
                        : shape_of(3, z.steps, z.items, gates * z.hidden),
              w = shape_of(2, gates * z.hidden, z.hidden);
  t->in[t->n_in++] = gen_value_like(r, DT_F32, &x, NULL);
  t->in[t->n_in++] = gen_chance(r, 70) ? gen_const_range(r, &w, -1, 1) : gen_value_like(r, DT_F32, &w, NULL);
  cell_attrs(r, t, &z);
  gen_set_int(t, "batch_first", first);
  return z;
}

bool draft_lstm(Gen *r, Draft *t) {
  const CellSize z = cell(r, t, 4);
  if (z.hidden == 0) return false;
  const Shape state = shape_of(2, z.items, z.hidden), peepholes = shape_of(1, 3 * z.hidden);
  optional(r, t, &state);
  optional(r, t, &state);
  optional(r, t, &peepholes);
  lengths(r, t, &z);
  gen_set_int(t, "input_forget", !r->train && gen_chance(r, 30));
  return true;
}

bool draft_gru(Gen *r, Draft *t) {
  const CellSize z = cell(r, t, 3);
  if (z.hidden == 0) return false;
  const Shape state = shape_of(2, z.items, z.hidden), bias = shape_of(1, z.hidden);
  optional(r, t, &state);
  optional(r, t, &bias);
  lengths(r, t, &z);
  gen_set_int(t, "linear_before_reset", gen_chance(r, 50));
  return true;
}

bool draft_rnn(Gen *r, Draft *t) {
  const CellSize z = cell(r, t, 1);
  if (z.hidden == 0) return false;
  const Shape state = shape_of(2, z.items, z.hidden);
  optional(r, t, &state);
  lengths(r, t, &z);
  return true;
}

bool draft_seq_lstm(Gen *r, Draft *t) {
  if (t->type != DT_F32) return gen_sample(r, t);
  const int64_t b = gen_int(r, 1, 3), n = gen_int(r, 1, 4), i = gen_int(r, 1, 4), s = gen_int(r, 1, 4);
  const Shape x = shape_of(3, b, n, i), state = shape_of(2, b, s), w = shape_of(2, s, i),
              rec = shape_of(2, s, s);
  const Shape bias = shape_of(1, s);
  t->in[t->n_in++] = gen_value_like(r, DT_F32, &x, NULL);
  for (int k = 0; k < 2; k++) t->in[t->n_in++] = gen_value_like(r, DT_F32, &state, NULL);
  for (int k = 0; k < 12; k++)
    t->in[t->n_in++] = gen_const_range(r, k < 4 ? &w : k < 8 ? &rec : &bias, -1, 1);
  gen_set_real(t, "clip", gen_chance(r, 60) ? 0 : gen_real(r, 0.2f, 2));
  return true;
}

bool draft_svdf_state(Gen *r, Draft *t) {
  if (t->type != DT_F32) return gen_sample(r, t);
  const int64_t b = gen_int(r, 1, 3), f = gen_int(r, 1, 6), m = gen_int(r, 1, 4), i = gen_int(r, 1, 5);
  const Shape state = shape_of(2, b, f * m), x = shape_of(2, b, i), w = shape_of(2, f, i);
  t->in[t->n_in++] = gen_value_like(r, DT_F32, &state, NULL);
  t->in[t->n_in++] = gen_value_like(r, DT_F32, &x, NULL);
  t->in[t->n_in++] = gen_const_range(r, &w, -1, 1);
  return true;
}

bool draft_svdf(Gen *r, Draft *t) {
  if (t->type != DT_F32) return gen_sample(r, t);
  const int64_t b = gen_int(r, 1, 3), rank = gen_int(r, 1, 3), u = gen_int(r, 1, 3), m = gen_int(r, 1, 4);
  const Shape state = shape_of(2, b, rank * u * m), w = shape_of(2, rank * u, m), bias = shape_of(1, u);
  t->in[t->n_in++] = gen_value_like(r, DT_F32, &state, NULL);
  t->in[t->n_in++] = gen_const_range(r, &w, -1, 1);
  if (gen_chance(r, 50)) t->in[t->n_in++] = gen_const_range(r, &bias, -1, 1);
  gen_set_int(t, "rank", rank);
  return true;
}
