/* Work of a kernel call: the counts that its instructions are linear in, from its params.
 *
 * What is counted follows the generic kernels' loops (runtime/kernels/generic): for an image, each output pixel is a
 * row; the taps of its window that lie inside the image are counted exactly, axis by axis, since they are the product
 * of the rows' and the columns' counts.
 */
#include "backend/costs.h"

#include <string.h>

enum {
  BLOCK = 16,
  BLOCK_F32 = 8
}; /* channels that depthwise and pool kernels take at once; elements of a vector */

/* Taps of output position y that lie inside 0 .. in-1. */
static int32_t taps_at(int32_t y, int32_t stride, int32_t pad, int32_t k, int32_t dil, int32_t in) {
  int32_t n = 0;
  for (int32_t t = 0; t < k; t++) {
    int32_t at = y * stride - pad + t * dil;
    n += at >= 0 && at < in;
  }
  return n;
}

typedef struct Window {
  double rows, cols;          /* taps inside, summed over output lines and over output columns */
  double col_whole, col_rest; /* columns: what runs of `run` elements a tap fill of blocks, and leave over */
  double pixels, out_c;
} Window;

static Window window_of(const mf_window *g, int32_t run, int32_t block) {
  Window w = {.pixels = (double)g->out_h * g->out_w, .out_c = g->out_c};
  for (int32_t y = 0; y < g->out_h; y++)
    w.rows += taps_at(y, g->stride_h, g->pad_top, g->k_h, g->dil_h, g->in_h);
  for (int32_t x = 0; x < g->out_w; x++) {
    int32_t n = taps_at(x, g->stride_w, g->pad_left, g->k_w, g->dil_w, g->in_w);
    w.cols += n;
    w.col_rest += n * run % block;
    w.col_whole += n * run - n * run % block;
  }
  return w;
}

/* `runs`: the taps of a line are one inner loop; otherwise each tap is. */
static CallWork conv_work(const mf_window *g, int32_t groups, bool runs, int32_t block) {
  int32_t channels = g->in_c / groups;
  Window w = window_of(g, channels, block);
  double lines = w.rows * g->out_w * w.out_c, taps = w.rows * w.cols * w.out_c;
  CallWork work = {{1, w.pixels, w.pixels * w.out_c}};
  work.v[WORK_tap] = runs ? lines : taps;
  work.v[WORK_line] = runs ? 0 : lines;
  work.v[WORK_mac] = runs ? w.rows * w.col_whole * w.out_c : taps * (channels - channels % block);
  work.v[WORK_rest] = runs ? w.rows * w.col_rest * w.out_c : taps * (channels % block);
  return work;
}

static CallWork work_conv_s8(const Graph *g, const KernelCall *k) {
  (void)g;
  const mf_conv_s8 *p = k->params;
  return conv_work(&p->g, p->groups, p->g.dil_w == 1 && p->w_tap == p->g.in_c && p->groups == 1, BLOCK);
}

/* As conv_s8; moves: weights unpacked, once a call. */
static CallWork work_conv_s4(const Graph *g, const KernelCall *k) {
  const mf_conv_s8 *p = k->params;
  CallWork w = work_conv_s8(g, k);
  w.v[WORK_move] = (double)p->g.out_c * p->g.k_h * p->g.k_w * p->w_tap;
  return w;
}

static CallWork work_conv_s16(const Graph *g, const KernelCall *k) {
  (void)g;
  const mf_conv_s16 *p = k->params;
  return conv_work(&p->g, p->groups, p->g.dil_w == 1 && p->w_tap == p->g.in_c && p->groups == 1, BLOCK);
}

static CallWork work_conv_s8_even(const Graph *g, const KernelCall *k) {
  (void)g;
  const mf_conv_s8_even *p = k->params;
  return conv_work(&p->g, p->groups, false, BLOCK);
}

static CallWork work_conv_f32(const Graph *g, const KernelCall *k) {
  (void)g;
  const mf_conv_f32 *p = k->params;
  return conv_work(&p->g, p->groups, false, BLOCK_F32);
}

static CallWork channelwise(const mf_window *g) {
  Window w = window_of(g, 1, BLOCK);
  double blocks = (g->out_c + BLOCK - 1) / BLOCK, taps = w.rows * w.cols;
  int32_t rest = g->out_c % BLOCK;
  return (CallWork){{1, w.pixels * blocks, w.pixels * w.out_c, taps * blocks, taps * (g->out_c - rest),
                     taps * rest, w.rows * g->out_w * blocks}};
}

static CallWork work_depthwise_s16(const Graph *g, const KernelCall *k) {
  (void)g;
  return channelwise(&((const mf_conv_s16 *)k->params)->g);
}

static CallWork work_depthwise_s8(const Graph *g, const KernelCall *k) {
  (void)g;
  return channelwise(&((const mf_conv_s8 *)k->params)->g);
}

static CallWork work_depthwise_f32(const Graph *g, const KernelCall *k) {
  (void)g;
  return channelwise(&((const mf_conv_f32 *)k->params)->g);
}

static CallWork work_pool_f32(const Graph *g, const KernelCall *k) {
  (void)g;
  return channelwise(&((const mf_pool_f32 *)k->params)->g);
}

static CallWork work_pool_s8(const Graph *g, const KernelCall *k) {
  (void)g;
  return channelwise(&((const mf_pool_s8 *)k->params)->g);
}

static CallWork dense(double rows, double outs, int32_t k, int32_t block) {
  return (CallWork){{1, rows, outs, 0, outs * (k - k % block), outs * (k % block)}};
}

static CallWork work_fc_s8(const Graph *g, const KernelCall *k) {
  (void)g;
  const mf_fc_s8 *p = k->params;
  return dense(k->rows, (double)k->rows * p->n, p->k, BLOCK);
}

static CallWork work_fc_s16(const Graph *g, const KernelCall *k) {
  (void)g;
  const mf_fc_s16 *p = k->params;
  return dense(k->rows, (double)k->rows * p->n, p->k, BLOCK);
}

static CallWork work_matmul_s16(const Graph *g, const KernelCall *k) {
  (void)g;
  const mf_matmul_s16 *p = k->params;
  return dense(k->rows, (double)k->rows * p->n, p->k, BLOCK);
}

static CallWork work_fc_f32(const Graph *g, const KernelCall *k) {
  (void)g;
  const mf_fc_f32 *p = k->params;
  return dense(k->rows, (double)k->rows * p->n, p->k, BLOCK_F32);
}

static CallWork work_matmul_f32(const Graph *g, const KernelCall *k) {
  (void)g;
  const mf_matmul_f32 *p = k->params;
  return dense(k->rows, (double)k->rows * p->n, p->k, BLOCK_F32);
}

static CallWork work_matmul_s8(const Graph *g, const KernelCall *k) {
  (void)g;
  const mf_matmul_s8 *p = k->params;
  return dense(k->rows, (double)k->rows * p->n, p->k, BLOCK);
}

static CallWork work_matmul_s8_even(const Graph *g, const KernelCall *k) {
  (void)g;
  const mf_matmul_s8_even *p = k->params;
  return dense(k->rows, (double)k->rows * p->n, p->k, BLOCK);
}

static double product(const int32_t *v, int n) {
  double x = 1;
  for (int i = 0; i < n; i++) x *= v[i];
  return x;
}

static CallWork work_mean(const Graph *g, const KernelCall *k) {
  (void)g;
  const mf_mean *p = k->params;
  double outs = product(p->dims, p->rank);
  return (CallWork){{1, p->dims[0], outs, 0, outs * p->count, 0}};
}

/* Lines of the innermost axis are the rows. */
static CallWork lines(const int32_t *dims, int rank) {
  double outs = product(dims, rank);
  int32_t line = rank ? dims[rank - 1] : 1;
  return (CallWork){
      {1, outs / line, outs / line * (line - line % BLOCK), 0, 0, outs / line * (line % BLOCK)}};
}

static CallWork work_copy(const Graph *g, const KernelCall *k) {
  (void)g;
  const mf_copy *p = k->params;
  return lines(p->dims, p->rank);
}

static CallWork work_binary(const Graph *g, const KernelCall *k) {
  (void)g;
  const mf_binary *p = k->params;
  return lines(p->dims, p->rank);
}

static CallWork work_add_s8(const Graph *g, const KernelCall *k) {
  (void)g;
  const mf_add_s8 *p = k->params;
  return lines(p->dims, p->rank);
}

static CallWork work_mul_s8(const Graph *g, const KernelCall *k) {
  (void)g;
  const mf_mul_s8 *p = k->params;
  return lines(p->dims, p->rank);
}

static CallWork work_gather(const Graph *g, const KernelCall *k) {
  (void)g;
  const mf_gather *p = k->params;
  double blocks = (double)p->outer * p->count;
  return (CallWork){{1, blocks, blocks * p->block, 0, 0, 0}};
}

/* Rows: sequences. Each gate of each step is an activation and, but for the first step, a dot product. */
static CallWork work_recurrent(const Graph *g, const KernelCall *k) {
  const mf_recurrent *p = k->params;
  const double gates = (double)graph_val(g, k->in[0].val)->shape.d[2], rows = k->rows;
  CallWork w = {{1, rows, rows * p->steps * gates}};
  w.v[WORK_line] = rows * p->steps;
  w.v[WORK_mac] = rows * (p->steps - 1) * gates * p->hidden;
  return w;
}

/* All else writes its output element by element. */
static CallWork work_elements(const Graph *g, const KernelCall *k) {
  double outs = (double)shape_count(&graph_val(g, k->out.val)->shape) / (k->batch > 0 ? k->batch : 1);
  int64_t line = (int64_t)outs / (k->rows > 0 ? k->rows : 1);
  return (CallWork){
      {1, k->rows, k->rows * (double)(line - line % BLOCK), 0, 0, k->rows * (double)(line % BLOCK)}};
}

static const struct {
  const char *kernel, *c_type; /* NULL: any */
  CallWork (*work)(const Graph *g, const KernelCall *k);
} workers[] = {
    {"depthwise_s8", NULL, work_depthwise_s8},
    {"depthwise_f32", NULL, work_depthwise_f32},
    {"depthwise_s16", NULL, work_depthwise_s16},
    {"conv_s4", NULL, work_conv_s4},
    {NULL, "mf_conv_s16", work_conv_s16},
    {NULL, "mf_fc_s16", work_fc_s16},
    {NULL, "mf_matmul_s16", work_matmul_s16},
    {NULL, "mf_conv_s8", work_conv_s8},
    {NULL, "mf_conv_f32", work_conv_f32},
    {NULL, "mf_pool_s8", work_pool_s8},
    {NULL, "mf_pool_f32", work_pool_f32},
    {NULL, "mf_fc_s8", work_fc_s8},
    {NULL, "mf_fc_f32", work_fc_f32},
    {NULL, "mf_matmul_f32", work_matmul_f32},
    {NULL, "mf_conv_s8_even", work_conv_s8_even},
    {NULL, "mf_matmul_s8_even", work_matmul_s8_even},
    {NULL, "mf_matmul_s8", work_matmul_s8},
    {NULL, "mf_recurrent", work_recurrent},
    {NULL, "mf_mean", work_mean},
    {NULL, "mf_copy", work_copy},
    {NULL, "mf_binary", work_binary},
    {NULL, "mf_add_s8", work_add_s8},
    {NULL, "mf_mul_s8", work_mul_s8},
    {NULL, "mf_gather", work_gather},
    {NULL, NULL, work_elements},
};

static bool matches(const char *want, const char *got) { return !want || strcmp(want, got) == 0; }

static CallWork item_work(const Graph *g, const KernelCall *k, bool by_rows) {
  const KernelDef *d = k->kernel;
  CallWork w;
  if (set_work(g, k, by_rows, &w)) return w;
  size_t i = 0;
  while (!matches(workers[i].kernel, d->name) || !matches(workers[i].c_type, d->params->c_type)) i++;
  w = workers[i].work(g, k);
  if (by_rows) w.v[WORK_move] *= k->rows;
  return w;
}

CallWork call_work(const Graph *g, const KernelCall *k, bool by_rows) {
  CallWork w = item_work(g, k, by_rows);
  if (by_rows) w.v[WORK_call] = k->rows;
  for (int f = 0; f < WORK_COUNT; f++) w.v[f] *= k->batch > 0 ? k->batch : 1;
  return w;
}
