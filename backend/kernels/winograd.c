/* Winograd's method for float convolutions: where it pays, the weights G g G' (runtime/kernels/avx2/conv_f32_winograd.c
 * draws their layout), made in double precision and rounded once.
 */
#include "backend/kernels/kernels.h"

enum { BLOCK = 16, PLACES = 36, TILES = 12, SLACK = 32 };

static int32_t blocks_of(int32_t n, int32_t block) { return (n + block - 1) / block; }

size_t winograd_scratch(const void *params) {
  const mf_window *g = &((const mf_conv_f32 *)params)->g;
  int64_t across = blocks_of(g->out_w, 4), channels = 8 * (int64_t)blocks_of(g->in_c, 8);
  int64_t span = across >= TILES ? 6 : 2 + 4 * (TILES / across);
  int64_t lines = span * ((4 * across + 2) * g->in_c + SLACK);
  return 4 * (size_t)(lines + PLACES * TILES * (channels + BLOCK));
}

/* Vector instructions of the method and of six pixels by 16 channels, about. */
static bool pays(const mf_window *g) {
  double tiles = (double)blocks_of(g->out_w, 4) * blocks_of(g->out_h, 4), outs = blocks_of(g->out_c, BLOCK);
  double transforms = tiles * (290.0 * blocks_of(g->in_c, 8) + 230.0 * blocks_of(g->out_c, 8));
  double products = tiles * PLACES * g->in_c * outs * 3.5;
  double direct = (double)g->out_h * g->out_w * 9 * g->in_c * outs * 3.4;
  return (transforms + products) * 1.1 < direct;
}

bool winograd_accepts(const void *params) {
  const mf_conv_f32 *p = params;
  const mf_window *g = &p->g;
  bool form =
      g->k_h == 3 && g->k_w == 3 && g->stride_h == 1 && g->stride_w == 1 && g->dil_h == 1 && g->dil_w == 1;
  return p->groups == 1 && form && pays(g);
}

/* G times the column of three at w, `step` apart. */
static void transform(const double *w, int32_t step, double *to, int32_t to_step) {
  double sum = w[0] + w[2 * step], wide = w[0] + 4 * w[2 * step];
  to[0] = w[0] / 4;
  to[to_step] = -(sum + w[step]) / 6;
  to[2 * to_step] = -(sum - w[step]) / 6;
  to[3 * to_step] = (wide + 2 * w[step]) / 24;
  to[4 * to_step] = (wide - 2 * w[step]) / 24;
  to[5 * to_step] = w[2 * step];
}

/* The 36 weights of channel o and input i. */
static void transformed(const mf_conv_f32 *p, int32_t o, int32_t i, double to[PLACES]) {
  double w[9], half[18];
  for (int32_t t = 0; t < 9; t++) w[t] = (double)p->w[(int64_t)o * p->w_out + t * p->w_tap + i];
  for (int32_t x = 0; x < 3; x++) transform(w + x, 3, half + x, 3);
  for (int32_t y = 0; y < 6; y++) transform(half + 3 * y, 1, to + 6 * y, 1);
}

void winograd_pack(KernelPack *k) {
  const mf_conv_f32 *p = k->params;
  int32_t outs = p->g.out_c, ins = p->g.in_c, blocks = blocks_of(outs, BLOCK);
  int64_t n = (int64_t)blocks * PLACES * ins * BLOCK;
  float *packed = arena_array(k->arena, (size_t)n, sizeof *packed);
  float *bias = arena_array(k->arena, (size_t)blocks * BLOCK, sizeof *bias);
  for (int64_t at = 0; at < n; at++) packed[at] = 0;
  for (int32_t o = 0; o < outs; o++)
    for (int32_t i = 0; i < ins; i++) {
      double u[PLACES];
      transformed(p, o, i, u);
      float *to = packed + ((int64_t)(o / BLOCK) * PLACES * ins + i) * BLOCK + o % BLOCK;
      for (int32_t place = 0; place < PLACES; place++) to[(int64_t)place * ins * BLOCK] = (float)u[place];
    }
  for (int32_t o = 0; o < blocks * BLOCK; o++) bias[o] = p->bias && o < outs ? p->bias[o] : 0;
  pack_const(k, "w", packed, n, 4);
  pack_const(k, "bias", bias, (int64_t)blocks * BLOCK, 4);
}
