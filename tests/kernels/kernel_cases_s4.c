/* Random cases for kernels whose weights have 4 bits: those of int8 with other weights, packed. */
#include "tests/kernels/kernel_gen.h"

#include <string.h>

/* `outs` channels of `each` weights in half as many bytes; a byte for the last one of an odd number. */
static int8_t *random_nibbles(Rng *r, Arena *a, int32_t outs, int32_t each) {
  return random_data(r, a, outs * ((each + 1) / 2), 'b');
}

static void gen_conv_s4(KernelCase *c, Rng *r, Arena *a) {
  gen_conv_s8(c, r, a);
  mf_conv_s8 *p = c->params;
  p->w = random_nibbles(r, a, p->g.out_c, p->w_out);
  p->w_out += p->w_out & 1;
}

static void gen_fc_s4(KernelCase *c, Rng *r, Arena *a) {
  gen_fc_s8(c, r, a);
  mf_fc_s8 *p = c->params;
  p->w = random_nibbles(r, a, p->n, p->k);
  p->w_out = p->k + (p->k & 1);
  p->w_zero = 0;
}

MakeCase *gen_of_s4(const KernelDef *k) {
  if (strcmp(k->name, "conv_s4") == 0) return gen_conv_s4;
  return strcmp(k->name, "fc_s4") == 0 ? gen_fc_s4 : NULL;
}

static int32_t nibble(const int8_t *w, int64_t i) { return w[i / 2] >> (i % 2 ? 4 : 0) & 15; }

/* outs x taps x run weights from strides `from` (out, tap) to `to`, garbage elsewhere. */
static int8_t *spread_nibbles(Rng *r, Arena *a, const int8_t *w, const int32_t dims[3], const int32_t from[2],
                              const int32_t to[2]) {
  int8_t *wide = random_nibbles(r, a, dims[0], to[0]);
  for (int32_t o = 0; o < dims[0]; o++)
    for (int32_t t = 0; t < dims[1]; t++)
      for (int32_t i = 0; i < dims[2]; i++) {
        const int64_t at = o * to[0] + t * to[1] + i;
        const int32_t v = nibble(w, o * from[0] + t * from[1] + i), other = nibble(wide, at ^ 1);
        wide[at / 2] = (int8_t)(at % 2 ? v << 4 | other : other << 4 | v);
      }
  return wide;
}

bool widen_s4(Rng *r, Arena *a, KernelCase *c) {
  if (strcmp(c->kernel->name, "conv_s4") == 0) {
    mf_conv_s8 *p = c->params;
    const int32_t dims[3] = {p->g.out_c, p->g.k_h * p->g.k_w, p->g.in_c / p->groups};
    const int32_t from[2] = {p->w_out, p->w_tap}, tap = p->w_tap + in_range(r, 1, 5),
                  out = (dims[1] * tap + in_range(r, 1, 5)) & ~1;
    p->w = spread_nibbles(r, a, p->w, dims, from, (const int32_t[2]){out, tap});
    p->w_tap = tap;
    p->w_out = out;
    return true;
  }
  if (strcmp(c->kernel->name, "fc_s4") != 0) return false;
  mf_fc_s8 *p = c->params;
  const int32_t dims[3] = {p->n, 1, p->k}, from[2] = {p->w_out, 0}, out = p->w_out + 2 * in_range(r, 1, 3);
  p->w = spread_nibbles(r, a, p->w, dims, from, (const int32_t[2]){out, 0});
  p->w_out = out;
  return true;
}
