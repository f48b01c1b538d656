/* Work of calls of the kernels of runtime/kernels/avx2 and sse41, counted as their loops go. The features that call_work gives to
 * them mean, in the order of costs.h:
 *
 *            row                       out                 tap                     mac              rest
 *   conv     vectors of lines copied   units of sums       runs entered            products         steps of pixel groups
 *   winograd the same                  tiles put out       tiles taken in          products         steps of tile groups
 *   depthw.  the same                  vectors put out     lines of blocks         products         pixels that cost more
 *   fc       vectors of inputs         units of sums       steps of inputs         products         -
 *
 * products and units are vectors of eight sums.
 */
#include <string.h>

#include "backend/costs.h"

static int32_t parts(int32_t n, int32_t size) { return (n + size - 1) / size; }

static int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }

/* Vectors of `n` elements that are copied so that lines of a window lie in scratch. */
static double lines_of(const mf_window *g, int32_t n) {
  double size = (g->out_w - 1) * g->stride_w + (g->k_w - 1) * g->dil_w + 1;
  double span = (g->k_h - 1) * g->dil_h + 1;
  double lines = (g->out_h - 1) * (double)least(g->stride_h, (int32_t)span) + span;
  return lines * (size * g->in_c + 32) / n;
}

static bool inside(const mf_window *g) {
  return g->pad_top == 0 && g->pad_left == 0 &&
         (g->out_h - 1) * g->stride_h + (g->k_h - 1) * g->dil_h < g->in_h &&
         (g->out_w - 1) * g->stride_w + (g->k_w - 1) * g->dil_w < g->in_w;
}

/* Rows that are taken as one line: mf_flat_rows. */
static int32_t flat_rows(const mf_window *g) {
  int32_t rows = 4096 / (g->in_w * g->in_c);
  if (g->k_h != 1 || g->k_w != 1 || g->stride_h != 1 || g->stride_w != 1 || !inside(g)) return 1;
  if (g->in_w != g->out_w) return 1;
  return rows < 1 ? 1 : least(rows, g->out_h);
}

/* Groups of n pixels of a line: `most` at once, the rest by powers of two. */
static int32_t groups_of(int32_t n, int32_t most) {
  int32_t rest = n % most;
  return n / most + (rest & 1) + (rest >> 1 & 1) + (rest >> 2 & 1);
}

/* Six pixels at once, or four, as conv_f32.c has it. */
static int32_t six_groups(int32_t n) { return parts(n, 6); }

typedef struct Loops {
  int32_t lines, at_once; /* of the output; rows in each */
  int32_t runs, run;      /* of a whole window; inputs (or pairs) in each */
  double pixels;
} Loops;

static Loops loops_of(const mf_window *g) {
  int32_t at_once = flat_rows(g), one = g->dil_w == 1;
  return (Loops){parts(g->out_h, at_once), at_once, g->k_h * (one ? 1 : g->k_w), (one ? g->k_w : 1) * g->in_c,
                 (double)g->out_h * g->out_w};
}

/* Pixels by 16 channels at a time; twice as many by eight. */
static int32_t pixels_of(const KernelCall *k, bool floats) {
  return strcmp(k->kernel->set, "sse41") == 0 ? 2 : floats ? 6 : 4;
}

/* Groups of pixels of all blocks and lines. */
static double all_groups(const mf_window *g, const Loops *l, int32_t most) {
  int32_t n = l->at_once * g->out_w, lone = (g->out_c - 1) % 16 < 8;
  double blocks = parts(g->out_c, 16) - lone;
  return l->lines *
         (blocks * (most == 6 ? six_groups(n) : groups_of(n, most)) + lone * groups_of(n, most == 2 ? 4 : 8));
}

static CallWork conv(const mf_window *g, Loops l, double copied, int32_t most) {
  double units = parts(g->out_c, 8), groups = all_groups(g, &l, most), steps = (double)l.runs * l.run;
  return (CallWork){{1, copied, l.pixels * units, groups * l.runs, l.pixels * units * steps, groups * steps}};
}

CallWork work_x86_conv_s8(const Graph *g, const KernelCall *k, int block) {
  const mf_window *w = &((const mf_conv_s8 *)k->params)->g;
  (void)g;
  Loops l = loops_of(w);
  l.run = parts(l.run, 2);
  return conv(w, l, lines_of(w, block), pixels_of(k, false));
}

CallWork work_x86_conv_f32(const Graph *g, const KernelCall *k, int block) {
  const mf_window *w = &((const mf_conv_f32 *)k->params)->g;
  (void)g;
  return conv(w, loops_of(w), inside(w) ? 0 : lines_of(w, block), pixels_of(k, true));
}

/* channels: inputs that a vector holds; step: inputs of one product. */
static CallWork winograd(const mf_window *g, int32_t channels, int32_t step, int32_t at_once) {
  int32_t across = parts(g->out_w, 4), chunk = across >= 12 ? 12 : 12 / across * across;
  double tiles = (double)across * parts(g->out_h, 4), blocks = parts(g->out_c, 16),
         steps = parts(g->in_c, step);
  double groups = parts((int32_t)tiles, least(chunk, at_once)) * 36 * blocks;
  return (CallWork){{1, lines_of(g, channels), tiles * parts(g->out_c, 8), tiles * parts(g->in_c, channels),
                     tiles * 72 * blocks * steps, groups * steps}};
}

CallWork work_x86_winograd_s8(const Graph *g, const KernelCall *k, int block) {
  (void)g;
  return winograd(&((const mf_conv_s8 *)k->params)->g, block, 2, pixels_of(k, false));
}

CallWork work_x86_winograd_f32(const Graph *g, const KernelCall *k, int block) {
  (void)g;
  return winograd(&((const mf_conv_f32 *)k->params)->g, block, 1, pixels_of(k, true));
}

CallWork work_x86_depthwise_s8(const Graph *g, const KernelCall *k, int block) {
  const mf_window *w = &((const mf_conv_s8 *)k->params)->g;
  (void)g;
  bool square = w->k_h == 3 && w->k_w == 3 && w->dil_w == 1 && w->stride_w < 3;
  bool twins = square && w->stride_w == 1 && w->out_c == 8;
  double blocks = parts(w->out_c, block), pixels = (double)w->out_h * (twins ? parts(w->out_w, 2) : w->out_w);
  double taps = square ? 0 : parts(w->k_h * w->k_w, 2);
  double more = (square && (w->stride_w == 2 || twins) ? blocks : 0) + (w->out_c % block && !twins);
  return (CallWork){
      {1, lines_of(w, block), pixels * blocks, w->out_h * blocks, pixels * blocks * taps, pixels * more}};
}

CallWork work_x86_depthwise_f32(const Graph *g, const KernelCall *k, int block) {
  const mf_window *w = &((const mf_conv_f32 *)k->params)->g;
  (void)g;
  bool square = w->k_h == 3 && w->k_w == 3, whole = w->in_c % block == 0;
  bool bare = whole && ((square && w->in_w >= 20) || inside(w));
  double units = parts(w->out_c, block), pixels = (double)w->out_h * w->out_w, taps = w->k_h * w->k_w;
  return (CallWork){{1, bare ? 0 : lines_of(w, block), pixels * units, w->out_h * units,
                     square ? 0 : pixels * units * taps, bare && square ? 2.0 * w->out_h * units : 0}};
}

CallWork work_x86_fc_s8(const Graph *g, const KernelCall *k, int block) {
  const mf_fc_s8 *p = k->params;
  (void)g;
  double pairs = parts(p->k, 2), units = parts(p->n, 8), rows = k->rows;
  return (CallWork){
      {1, rows * parts(p->k, block), rows * units, rows * parts(p->n, 32) * pairs, rows * units * pairs, 0}};
}

CallWork work_x86_fc_f32(const Graph *g, const KernelCall *k, int block) {
  const mf_fc_f32 *p = k->params;
  (void)g;
  double blocks = parts(p->n, block), rows = k->rows;
  return (CallWork){{1, rows, rows * blocks, 0, rows * blocks * p->k, rows * blocks * (p->k % 4)}};
}

CallWork work_x86_add_s8(const Graph *g, const KernelCall *k, int block) {
  const mf_add_s8 *p = k->params;
  int32_t n = 1;
  (void)g;
  for (int32_t i = 1; i < p->rank; i++) n *= p->dims[i];
  return (CallWork){
      {1, p->dims[0], (double)p->dims[0] * (n / block), 0, 0, (double)p->dims[0] * (n % block > 0)}};
}
