/* Layouts of the int8 kernels of runtime/kernels/avx2 and sse41; each is drawn in the header of runtime/kernels/x86. Weights
 * are the same in both sets; the words of a channel's scales are drawn in avx2.h and sse41.h.
 */
#include "backend/kernels/kernels.h"

enum { UNIT = 8, BLOCK = 16, LINE_SLACK = 32, FLAT = 4096, TAPS_MAX = 25 };

/* As fold_channel, and channels without a right shift, which round once. */
static bool fold_once(const FoldWeights *w, const FoldScales *s, int32_t o, FoldedChannel *c) {
  if (fold_channel(w, s, o, c)) return true;
  c->round = s->out_zero;
  return c->shift == 0 && c->bound < (int64_t)1 << 30;
}

/* The words of a unit's scales, and how channel i of eight is put among them; positive: codes below the output's zero point
 * will be cut off. */
typedef struct ScaleForm {
  int32_t words, shift_max, align;
  void (*put)(int32_t *q, int32_t i, const FoldedChannel *c, bool positive);
} ScaleForm;

static bool all_fold(const FoldWeights *w, const FoldScales *s, const ScaleForm *form) {
  FoldedChannel c;
  for (int32_t o = 0; o < w->outs; o++)
    if (!fold_once(w, s, o, &c) || c.shift > form->shift_max) return false;
  return true;
}

static void put_wide(int32_t *to, int64_t v) {
  to[0] = (int32_t)(uint32_t)(uint64_t)v;
  to[1] = (int32_t)(v >> 32);
}

static void put_avx2(int32_t *q, int32_t i, const FoldedChannel *c, bool positive) {
  (void)positive;
  q[i] = c->bias;
  q[UNIT + i] = c->mult;
  put_wide(q + (2 + i % 2) * UNIT + i / 2 * 2, ((int64_t)1 << 30) + c->round * ((int64_t)1 << 31));
  q[4 * UNIT + i] = c->shift;
  q[5 * UNIT + i] = c->shift > 0 ? -1 : 0;
}

static void put_sse41(int32_t *q, int32_t i, const FoldedChannel *c, bool positive) {
  int32_t *wide = q + 4 * UNIT + i / 2 % 2 * UNIT + i / 4 * 4 + i % 2 * 2;
  int64_t half = c->shift > 0 && !positive ? (int64_t)1 << (51 - c->shift) : 0;
  int64_t term = ((int64_t)1 << 30) + c->round * ((int64_t)1 << 31);
  q[i] = c->bias;
  q[UNIT + i] = 1 << (9 + c->shift);
  q[2 * UNIT + i] = -(1 << (9 + c->shift));
  q[3 * UNIT + i] = 1 << (21 - c->shift);
  put_wide(wide, c->mult);
  put_wide(wide + 2 * UNIT, term * (1 << (21 - c->shift)) - half);
  q[8 * UNIT + i] = (int32_t)(half >> 32);
}

static const ScaleForm avx2_form = {48, 31, 4, put_avx2}, sse41_form = {72, 19, 16, put_sse41};

/* Units of eight channels: the two of a block of 16 share its channels by halves. lone: the last may stand alone, with
 * channels in their order. twins: the block is eight channels twice. */
typedef struct Units {
  int32_t outs, n;
  bool lone, twins;
} Units;

static Units units_of(const FoldWeights *w, bool lone) {
  int32_t blocks = (w->outs + BLOCK - 1) / BLOCK;
  return (Units){w->outs, lone ? (w->outs + UNIT - 1) / UNIT : 2 * blocks, lone, false};
}

/* The channel in place i of unit u. */
static int32_t channel_at(const Units *units, int32_t u, int32_t i) {
  int32_t block = u / 2 * BLOCK;
  if (units->lone && units->outs - block <= UNIT) return block + i;
  int32_t at = (i & 3) + (i & 4) * 2 + u % 2 * 4;
  return block + (units->twins ? at % UNIT : at);
}

static void pack_units(KernelPack *k, const FoldWeights *w, const FoldScales *s, const Units *units,
                       const ScaleForm *form, int32_t lo, const int8_t *packed, int64_t n) {
  int64_t words = (int64_t)units->n * form->words;
  int32_t *q = arena_array(k->arena, (size_t)words, sizeof *q);
  for (int32_t u = 0; u < units->n; u++)
    for (int32_t i = 0; i < UNIT; i++) {
      int32_t o = channel_at(units, u, i);
      FoldedChannel c = {.shift = 1};
      if (o < w->outs) ASSERT(fold_once(w, s, o, &c));
      form->put(q + u * form->words, i, &c, lo >= s->out_zero);
    }
  pack_aligned(k, packed, n, q, words, form->align);
}

static int8_t *put_half(int8_t *to, int32_t v) {
  to[0] = (int8_t)(v & 0xff);
  to[1] = (int8_t)(v >> 8);
  return to + 2;
}

/* Units of eight channels; in each, for every two inputs of a run of `run`, both weights of each channel. wide: int16. */
static void pack_runs(KernelPack *k, const FoldWeights *w, const FoldScales *s, const ScaleForm *form,
                      int32_t lo, int32_t run, bool wide) {
  int32_t inputs = w->taps * w->run;
  Units units = units_of(w, true);
  int64_t n = (int64_t)units.n * (inputs / run) * ((run + 1) / 2) * 2 * UNIT * (wide ? 2 : 1);
  int8_t *packed = arena_alloc(k->arena, (size_t)n), *to = packed;
  for (int32_t u = 0; u < units.n; u++)
    for (int32_t at = 0; at < inputs; at += run)
      for (int32_t t = 0; t < 2 * ((run + 1) / 2); t += 2)
        for (int32_t i = 0; i < 2 * UNIT; i++) {
          int32_t tap = t + i % 2;
          int32_t v = tap < run ? weight_or_zero(w, channel_at(&units, u, i / 2), at + tap) : 0;
          if (wide)
            to = put_half(to, v);
          else
            *to++ = (int8_t)v;
        }
  pack_units(k, w, s, &units, form, lo, packed, n);
}

/* -- conv_s8 -- */

/* Elements of the lines of a window. */
static int64_t lines_of(const mf_window *g) {
  int64_t columns = (int64_t)(g->out_w - 1) * g->stride_w + (g->k_w - 1) * g->dil_w + 1;
  int64_t lines = (int64_t)(g->k_h - 1) * g->dil_h + 1;
  return lines * (columns * g->in_c + LINE_SLACK);
}

/* The lines of a window, int16. */
size_t x86_depthwise_scratch(const void *params) {
  return 2 * (size_t)lines_of(&((const mf_conv_s8 *)params)->g);
}

/* As many rows of a convolution of single pixels as the kernel takes at once: mf_flat_rows. */
size_t x86_conv_scratch(const void *params) {
  const mf_window *g = &((const mf_conv_s8 *)params)->g;
  int64_t line = (int64_t)g->in_w * g->in_c, rows = FLAT / line < g->out_h ? FLAT / line : g->out_h;
  bool flat = g->k_h == 1 && g->k_w == 1 && g->stride_h == 1 && g->stride_w == 1 && g->pad_top == 0 &&
              g->pad_left == 0 && g->in_w == g->out_w && g->out_h <= g->in_h && rows > 1;
  return 2 * (size_t)(flat ? rows * line + LINE_SLACK : lines_of(g));
}

static bool conv_accepts(const void *params, const ScaleForm *form) {
  const mf_conv_s8 *p = params;
  FoldWeights w = conv_fold_weights(p);
  FoldScales s = conv_fold_scales(p);
  return p->groups == 1 && all_fold(&w, &s, form);
}

bool avx2_conv_accepts(const void *params) { return conv_accepts(params, &avx2_form); }
bool sse41_conv_accepts(const void *params) { return conv_accepts(params, &sse41_form); }

static void conv_pack(KernelPack *k, const ScaleForm *form) {
  const mf_conv_s8 *p = k->params;
  FoldWeights w = conv_fold_weights(p);
  FoldScales s = conv_fold_scales(p);
  pack_runs(k, &w, &s, form, p->lo, (p->g.dil_w == 1 ? p->g.k_w : 1) * p->g.in_c, true);
}

void avx2_conv_pack(KernelPack *k) { conv_pack(k, &avx2_form); }
void sse41_conv_pack(KernelPack *k) { conv_pack(k, &sse41_form); }

/* -- conv_s8 by Winograd's method -- */

enum { PLACES = 36, TILES = 12, SUM_BITS = 25 };

static int32_t parts(int32_t n, int32_t size) { return (n + size - 1) / size; }

size_t winograd8_scratch(const void *params) {
  const mf_window *g = &((const mf_conv_s8 *)params)->g;
  int64_t across = parts(g->out_w, 4), span = across >= TILES ? 6 : 2 + 4 * (TILES / across);
  int64_t lines = span * ((4 * across + 2) * g->in_c + LINE_SLACK);
  return (size_t)(4 * PLACES * TILES * BLOCK + 2 * (lines + PLACES * TILES * BLOCK * parts(g->in_c, BLOCK)));
}

/* Instructions of the method and of four pixels by 16 channels, about. */
static bool winograd8_pays(const mf_window *g) {
  double tiles = (double)parts(g->out_w, 4) * parts(g->out_h, 4), outs = parts(g->out_c, BLOCK);
  double transforms = tiles * (360.0 * parts(g->in_c, BLOCK) + 600.0 * outs);
  double products = tiles * PLACES * outs * (5.5 * parts(g->in_c, 2) + 9);
  double direct = (double)g->out_h * g->out_w * outs * (5.5 * 3 * parts(3 * g->in_c, 2) + 8);
  return (transforms + products) * 1.1 < direct;
}

static bool winograd8_accepts(const void *params, const ScaleForm *form) {
  const mf_conv_s8 *p = params;
  const mf_window *g = &p->g;
  FoldWeights w = conv_fold_weights(p);
  FoldScales s = conv_fold_scales(p);
  if (p->groups != 1 || g->k_h != 3 || g->k_w != 3 || g->stride_h != 1 || g->stride_w != 1 || g->dil_h != 1 ||
      g->dil_w != 1 || !winograd8_pays(g))
    return false;
  for (int32_t o = 0; o < w.outs; o++) {
    FoldedChannel c;
    if (!fold_once(&w, &s, o, &c) || c.shift > form->shift_max || 128 * c.weights >= (int64_t)1 << SUM_BITS)
      return false;
  }
  return true;
}

bool avx2_winograd8_accepts(const void *params) { return winograd8_accepts(params, &avx2_form); }
bool sse41_winograd8_accepts(const void *params) { return winograd8_accepts(params, &sse41_form); }

/* S times a column of three, `step` apart. */
static void scaled(const int32_t *w, int32_t step, int32_t *to, int32_t to_step) {
  int32_t a = w[0], b = w[step], c = w[2 * step];
  to[0] = 6 * a;
  to[to_step] = -4 * (a + b + c);
  to[2 * to_step] = -4 * (a - b + c);
  to[3 * to_step] = a + 2 * b + 4 * c;
  to[4 * to_step] = a - 2 * b + 4 * c;
  to[5 * to_step] = 12 * c;
}

/* The 36 weights of channel o and input i; zeros where there is none. */
static void scaled_weights(const FoldWeights *w, int32_t o, int32_t i, int32_t to[PLACES]) {
  int32_t g[9], half[18];
  for (int32_t t = 0; t < 9; t++) g[t] = i < w->run ? weight_or_zero(w, o, t * w->run + i) : 0;
  for (int32_t x = 0; x < 3; x++) scaled(g + x, 3, half + x, 3);
  for (int32_t y = 0; y < 6; y++) scaled(half + 3 * y, 1, to + 6 * y, 1);
}

static void winograd8_pack(KernelPack *k, const ScaleForm *form) {
  const mf_conv_s8 *p = k->params;
  FoldWeights w = conv_fold_weights(p);
  FoldScales s = conv_fold_scales(p);
  Units units = units_of(&w, false);
  int32_t pairs = parts(w.run, 2);
  int64_t n = (int64_t)units.n * PLACES * pairs * 4 * UNIT;
  int8_t *packed = arena_alloc(k->arena, (size_t)n);
  for (int32_t u = 0; u < units.n; u++)
    for (int32_t t = 0; t < 2 * pairs; t++)
      for (int32_t i = 0; i < UNIT; i++) {
        int32_t to[PLACES];
        scaled_weights(&w, channel_at(&units, u, i), t, to);
        for (int64_t place = 0; place < PLACES; place++) {
          int64_t at = ((u / 2 * PLACES + place) * pairs + t / 2) * 2 + u % 2;
          put_half(packed + 2 * ((at * UNIT + i) * 2 + t % 2), to[place]);
        }
      }
  pack_units(k, &w, &s, &units, form, p->lo, packed, n);
}

void avx2_winograd8_pack(KernelPack *k) { winograd8_pack(k, &avx2_form); }
void sse41_winograd8_pack(KernelPack *k) { winograd8_pack(k, &sse41_form); }

/* -- depthwise_s8 -- */

static bool depthwise_accepts(const void *params, const ScaleForm *form) {
  const mf_conv_s8 *p = params;
  FoldWeights w = depthwise_fold_weights(p);
  FoldScales s = conv_fold_scales(p);
  return p->g.in_c == p->g.out_c && w.taps <= TAPS_MAX && all_fold(&w, &s, form);
}

bool avx2_depthwise_accepts(const void *params) { return depthwise_accepts(params, &avx2_form); }
bool sse41_depthwise_accepts(const void *params) { return depthwise_accepts(params, &sse41_form); }

/* Blocks of 16 channels; in each, for every two taps, both weights of each channel, int16. Taps of 3x3 windows in the order
 * that the kernel's header draws. */
static void depthwise_pack(KernelPack *k, const ScaleForm *form) {
  static const int32_t square[9] = {0, 3, 1, 4, 2, 5, 6, 7, 8};
  const mf_conv_s8 *p = k->params;
  FoldWeights w = depthwise_fold_weights(p);
  FoldScales s = conv_fold_scales(p);
  int32_t taps = (w.taps + 1) / 2 * 2;
  Units units = units_of(&w, false);
  units.twins = w.outs == UNIT && p->g.k_h == 3 && p->g.k_w == 3 && p->g.stride_w == 1 && p->g.dil_w == 1;
  int64_t n = (int64_t)units.n * taps * UNIT * 2;
  int8_t *packed = arena_alloc(k->arena, (size_t)n), *to = packed;
  for (int32_t b = 0; b < units.n; b += 2)
    for (int32_t t = 0; t < taps; t += 2)
      for (int32_t i = 0; i < 4 * UNIT; i++) {
        int32_t tap = t + i % 2, o = channel_at(&units, b + i / (2 * UNIT), i / 2 % UNIT);
        if (p->g.k_h == 3 && p->g.k_w == 3 && tap < 9) tap = square[tap];
        to = put_half(to, tap < w.taps ? weight_or_zero(&w, o, tap) : 0);
      }
  pack_units(k, &w, &s, &units, form, p->lo, packed, n);
}

void avx2_depthwise_pack(KernelPack *k) { depthwise_pack(k, &avx2_form); }
void sse41_depthwise_pack(KernelPack *k) { depthwise_pack(k, &sse41_form); }

/* -- fc_s8 -- */

size_t x86_fc_scratch(const void *params) { return 2 * ((size_t)((const mf_fc_s8 *)params)->k + 1); }

static bool fc_accepts(const void *params, const ScaleForm *form) {
  const mf_fc_s8 *p = params;
  FoldWeights w = fc_fold_weights(p);
  FoldScales s = fc_fold_scales(p);
  return p->w_zero == 0 && all_fold(&w, &s, form);
}

bool avx2_fc_accepts(const void *params) { return fc_accepts(params, &avx2_form); }
bool sse41_fc_accepts(const void *params) { return fc_accepts(params, &sse41_form); }

static void fc_pack(KernelPack *k, const ScaleForm *form) {
  const mf_fc_s8 *p = k->params;
  FoldWeights w = fc_fold_weights(p);
  FoldScales s = fc_fold_scales(p);
  pack_runs(k, &w, &s, form, p->lo, p->k, false);
}

void avx2_fc_pack(KernelPack *k) { fc_pack(k, &avx2_form); }
void sse41_fc_pack(KernelPack *k) { fc_pack(k, &sse41_form); }
