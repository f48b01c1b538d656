/* Work of calls of kernels that work otherwise than the generic ones (runtime/kernels: armv6m, armv7m, armv7em, mve, neon),
 * counted as their loops go. What the features of costs.h mean to them:
 *
 *             row       out             tap                mac              rest         line             move
 *   gathered  pixels    groups x blocks taps widened, or   steps of groups  runs copied  groups           bytes copied
 *                                       steps of pixels
 *   dot8      pixels    pixels x blocks taps, first block  taps, others     runs, others runs listed      codes
 *   unpacked  lines x blocks  the same  taps               -                taps unpacked  runs listed    codes
 *   listed    pixels    pixels x blocks addresses listed   steps            lists        lines            steps of the last
 *   columns   paddings  chunks x blocks columns widened    pixels x blocks  -            chunks           -
 *   fc        rows      rows x blocks   inputs, first      steps            rest         -                codes
 *   spread    as gathered, but rest: taps; tap (pixels: move): words of four channels
 *
 * A group is as many pixels as a kernel takes at once, a block as many channels; a step what its inner loop takes of one
 * block of a group. Called row by row, kernels begin a group with each line.
 */
#include <string.h>

#include "backend/costs.h"

typedef struct SetWorker {
  const char *kernel, *tag;
  CallWork (*work)(const struct SetWorker *s, const KernelCall *k, bool by_rows);
  int block, group, step; /* channels, pixels, and inputs at a time */
} SetWorker;

static double parts(double n, int size) { return (double)(((int64_t)n + size - 1) / size); }

/* Output positions of an axis whose window lies inside the image. */
static double inside(int32_t out, int32_t stride, int32_t pad, int32_t k, int32_t dil, int32_t in) {
  double n = 0;
  for (int32_t y = 0; y < out; y++) n += y * stride >= pad && y * stride - pad + (k - 1) * dil < in;
  return n;
}

typedef struct Image {
  const mf_window *g;
  double pixels, rows_in, cols_in; /* lines, columns whose windows touch no border */
} Image;

static Image image_of(const KernelCall *k) {
  const mf_window *g = k->params; /* every convolution's begin with it */
  return (Image){g, (double)g->out_h * g->out_w,
                 inside(g->out_h, g->stride_h, g->pad_top, g->k_h, g->dil_h, g->in_h),
                 inside(g->out_w, g->stride_w, g->pad_left, g->k_w, g->dil_w, g->in_w)};
}

/* Groups of n pixels: those that are left over by halves and then one by one, or (`alike`) as one that costs what a whole
 * one does. */
static double groups_of(double n, int group, bool alike) {
  int32_t rest = (int32_t)((int64_t)n % group), half = group / 2;
  return alike ? parts(n, group) : (double)((int64_t)n / group + rest / half + rest % half);
}

static double all_groups(const Image *m, int group, bool by_rows, bool alike) {
  return by_rows ? m->g->out_h * groups_of(m->g->out_w, group, alike) : groups_of(m->pixels, group, alike);
}

/* Runs of a window that are copied one by one; on a border each is `border` of them. */
static double runs_of(const Image *m, double border) {
  const mf_window *g = m->g;
  return (double)g->out_h * g->k_h * (m->cols_in + (g->out_w - m->cols_in) * border);
}

/* Windows that are a run of the image are read where they lie. */
static bool in_place(const Image *m) {
  return m->g->k_h == 1 && m->rows_in == m->g->out_h && m->cols_in == m->g->out_w &&
         (m->g->dil_w == 1 || m->g->k_w == 1);
}

/* Windows are copied as bytes, and pixels that are left over cost what a whole group does. */
static CallWork work_gathered(const SetWorker *s, const KernelCall *k, bool by_rows) {
  const Image m = image_of(k);
  double taps = (double)m.g->k_h * m.g->k_w * m.g->in_c, groups = all_groups(&m, s->group, by_rows, true),
         units = groups * parts(m.g->out_c, s->block);
  bool copied = !in_place(&m);
  return (CallWork){{1, m.pixels, units, 0, units * parts(taps, s->step), copied ? runs_of(&m, 2) : 0, groups,
                     copied ? m.pixels * taps : 0}};
}

/* As above; taps are widened to pairs, from the image itself where channels are whole words. */
static CallWork work_widened(const SetWorker *s, const KernelCall *k, bool by_rows) {
  CallWork w = work_gathered(s, k, by_rows);
  const Image m = image_of(k);
  w.v[WORK_tap] = m.pixels * parts((double)m.g->k_h * m.g->k_w * m.g->in_c, s->step);
  if (m.g->in_c % 4 == 0) {
    w.v[WORK_rest] = runs_of(&m, m.g->k_w);
    w.v[WORK_move] = 0;
  }
  return w;
}

/* Pixels that are left over take a smaller group's loop. */
static CallWork work_pixels(const SetWorker *s, const KernelCall *k, bool by_rows) {
  CallWork w = work_gathered(s, k, by_rows);
  const Image m = image_of(k);
  double steps = parts((double)m.g->k_h * m.g->k_w * m.g->in_c, s->step),
         blocks = parts(m.g->out_c, s->block);
  w.v[WORK_line] = all_groups(&m, s->group, by_rows, false);
  w.v[WORK_out] = w.v[WORK_line] * blocks;
  w.v[WORK_tap] = m.pixels * blocks * steps;
  w.v[WORK_mac] = w.v[WORK_out] * steps;
  return w;
}

/* A family's convolutions put the taps of a window into place one by one, in words of four channels. */
static double taps_of(const Image *m) { return m->pixels * m->g->k_h * m->g->k_w; }

static CallWork work_spread(const SetWorker *s, const KernelCall *k, bool by_rows) {
  CallWork w = work_gathered(s, k, by_rows);
  const Image m = image_of(k);
  w.v[WORK_rest] = taps_of(&m);
  w.v[WORK_tap] = taps_of(&m) * parts(m.g->in_c, 4);
  w.v[WORK_move] = 0;
  return w;
}

/* Windows that are whole vectors of one pixel are read where they lie. */
static CallWork work_spread_pixels(const SetWorker *s, const KernelCall *k, bool by_rows) {
  CallWork w = work_pixels(s, k, by_rows);
  const Image m = image_of(k);
  const bool copied = !in_place(&m) || m.g->k_w > 1 || m.g->in_c % 16 != 0;
  w.v[WORK_rest] = copied ? taps_of(&m) : 0;
  w.v[WORK_move] = copied ? taps_of(&m) * parts(m.g->in_c, 4) : 0;
  return w;
}

/* Helium: windows of several lines column by column, each column once for the pixels of a line. */
static CallWork work_helium(const SetWorker *s, const KernelCall *k, bool by_rows) {
  const Image m = image_of(k);
  const mf_window *g = m.g;
  bool columns = g->k_h > 1 && (g->dil_w == 1 || g->k_w == 1);
  CallWork w = work_gathered(s, k, by_rows || columns);
  double steps = parts((double)g->k_h * g->k_w * g->in_c, s->step), blocks = parts(g->out_c, s->block);
  double pairs = by_rows || columns ? g->out_h * (g->out_w / 2) : (double)((int64_t)m.pixels / 2),
         lone = m.pixels - 2 * pairs;
  w.v[WORK_mac] = pairs * blocks * steps;
  w.v[WORK_tap] = lone * blocks * steps;
  w.v[WORK_out] = (pairs + lone) * blocks;
  if (!columns) return w;
  double n = (double)g->out_h * ((g->out_w - 1) * g->stride_w + g->k_w);
  w.v[WORK_rest] = n * g->k_h;
  w.v[WORK_move] = n * g->k_h * g->in_c;
  return w;
}

/* Armv6-M: windows as lists of runs; the first block of channels finds the inputs' sum. */
static CallWork work_dot8(const SetWorker *s, const KernelCall *k, bool by_rows) {
  const Image m = image_of(k);
  (void)by_rows;
  double taps = (double)m.g->k_h * m.g->k_w * m.g->in_c, blocks = parts(m.g->out_c, s->block),
         runs = runs_of(&m, 2);
  return (CallWork){{1, m.pixels, m.pixels * blocks, m.pixels * taps, m.pixels * taps * (blocks - 1),
                     runs * (blocks - 1), runs, m.pixels * m.g->out_c}};
}

/* The same with weights of 4 bits: each line block by block, whose taps are unpacked first; every block finds the sum. */
static CallWork work_dot8_unpacked(const SetWorker *s, const KernelCall *k, bool by_rows) {
  const Image m = image_of(k);
  (void)by_rows;
  const double taps = (double)m.g->k_h * m.g->k_w * m.g->in_c, blocks = parts(m.g->out_c, s->block);
  return (CallWork){{1, m.g->out_h * blocks, m.pixels * blocks, m.pixels * taps * blocks, 0,
                     m.g->out_h * taps * blocks, runs_of(&m, 2) * blocks, m.pixels * m.g->out_c}};
}

/* Kernels with a list of the addresses of a pixel's taps, which moves on along a line where no border is near. */
static CallWork work_listed(const SetWorker *s, const KernelCall *k, bool by_rows) {
  const Image m = image_of(k);
  const mf_window *g = m.g;
  (void)by_rows;
  double taps = (double)g->k_h * g->k_w, whole = g->out_c / s->block, rest = g->out_c % s->block > 0;
  double lists = (g->out_h - m.rows_in) * g->out_w + m.rows_in * (g->out_w - m.cols_in + (m.cols_in > 0));
  return (CallWork){{1, m.pixels, m.pixels * (whole + rest), lists * taps,
                     m.pixels * whole * parts(taps, s->step), lists, g->out_h,
                     m.pixels * rest * parts(taps, s->step)}};
}

/* NEON: windows of 3x3 that touch no border go block by block along the line. */
static CallWork work_neon_depthwise(const SetWorker *s, const KernelCall *k, bool by_rows) {
  CallWork w = work_listed(s, k, by_rows);
  const Image m = image_of(k);
  const mf_window *g = m.g;
  if (g->k_h != 3 || g->k_w != 3 || g->dil_w != 1) return w;
  double blocks = parts(g->out_c, s->block), within = m.rows_in * m.cols_in, border = m.pixels - within;
  return (CallWork){{1, border, border * blocks, border * 9, border * blocks * 9, border,
                     m.rows_in * blocks * (m.cols_in > 0), within * blocks}};
}

/* Kernels that widen the columns of a chunk of a line once, for all pixels that see them. */
static CallWork work_columns(const SetWorker *s, const KernelCall *k, bool by_rows) {
  const Image m = image_of(k);
  const mf_window *g = m.g;
  (void)by_rows;
  double blocks = parts(g->out_c, s->block), wide = 0, pads = 0, chunks = 0;
  int32_t most = (18 - 3) / g->stride_w + 1;
  for (int32_t x = 0; x < g->out_w; x += most) {
    int32_t n = g->out_w - x < most ? g->out_w - x : most, left = x * g->stride_w - g->pad_left;
    int32_t right = left + (n - 1) * g->stride_w + 3, from = left < 0 ? 0 : left,
            to = right > g->in_w ? g->in_w : right;
    double in = to > from ? to - from : 0;
    chunks++;
    wide += in;
    pads += right - left - in;
  }
  return (CallWork){{1, g->out_h * pads, g->out_h * chunks * blocks, g->out_h * wide * blocks,
                     m.pixels * blocks, 0, g->out_h * chunks, 0}};
}

/* group 1: inputs that are left over one by one; otherwise they are filled up to a step. */
static CallWork work_fc(const SetWorker *s, const KernelCall *k, bool by_rows) {
  const mf_fc_s8 *p = k->params;
  double rows = k->rows, blocks = parts(p->n, s->block), units = rows * blocks;
  double steps = s->group ? p->k / s->step : parts(p->k, s->step);
  (void)by_rows;
  return (CallWork){{1, rows, units, 0, units * steps, s->group ? units * (p->k % s->step) : 0,
                     rows * (p->n % s->block > 0), rows * p->n}};
}

/* The first block of outputs finds the inputs' sum. */
static CallWork work_fc_dot8(const SetWorker *s, const KernelCall *k, bool by_rows) {
  const mf_fc_s8 *p = k->params;
  double rows = k->rows, blocks = parts(p->n, s->block);
  (void)by_rows;
  return (CallWork){{1, rows, rows * blocks, rows * p->k, rows * (blocks - 1) * p->k, 0, 0, rows * p->n}};
}

/* Rows take turns as pixels do. */
static CallWork work_fc_pixels(const SetWorker *s, const KernelCall *k, bool by_rows) {
  const mf_fc_s8 *p = k->params; /* mf_fc_f32 begins as it does: k, n */
  double rows = k->rows, blocks = parts(p->n, s->block), steps = parts(p->k, s->step),
         groups = by_rows ? rows : groups_of(rows, s->group, false);
  return (CallWork){{1, rows, groups * blocks, rows * blocks * steps, groups * blocks * steps, 0, groups, 0}};
}

/* Rows are copied, to whole vectors. */
static CallWork work_fc_copied(const SetWorker *s, const KernelCall *k, bool by_rows) {
  CallWork w = work_fc_pixels(s, k, by_rows);
  w.v[WORK_move] = (double)k->rows * ((const mf_fc_s8 *)k->params)->k;
  return w;
}

static const SetWorker workers[] = {
    {"conv_s8", "armv7em", work_widened, 4, 2, 4},
    {"conv_s8", "armv7em_family", work_spread, 4, 2, 4},
    {"depthwise_s8", "armv7em", work_listed, 4, 1, 1},
    {"depthwise_s8", "armv7em_3x3", work_columns, 4, 1, 1},
    {"depthwise_s8", "armv7em_3x3_family", work_columns, 4, 1, 1},
    {"fc_s8", "armv7em", work_fc, 4, 0, 4},
    {"fc_s8", "armv7em_family", work_fc, 4, 0, 4},
    {"conv_s4", "armv7em", work_widened, 4, 2, 4},
    {"fc_s4", "armv7em", work_fc, 4, 0, 4},
    {"conv_s8", "armv7m", work_gathered, 4, 2, 1},
    {"conv_s8", "armv7m_long", work_gathered, 4, 2, 1},
    {"depthwise_s8", "armv7m", work_listed, 8, 1, 1},
    {"fc_s8", "armv7m", work_fc, 8, 1, 4},
    {"fc_s8", "armv7m_long", work_fc, 8, 1, 4},
    {"conv_s8", "armv6m", work_dot8, 8, 1, 1},
    {"conv_s4", "armv6m", work_dot8_unpacked, 8, 1, 1},
    {"depthwise_s8", "armv6m", work_listed, 8, 1, 1},
    {"fc_s8", "armv6m", work_fc_dot8, 8, 1, 1},
    {"conv_s8", "mve", work_helium, 4, 2, 16},
    {"depthwise_s8", "mve", work_listed, 16, 1, 2},
    {"fc_s8", "mve", work_fc, 8, 0, 16},
    {"conv_s8", "neon", work_pixels, 4, 4, 16},
    {"conv_s8", "neon_family", work_spread_pixels, 4, 4, 16},
    {"depthwise_s8", "neon", work_neon_depthwise, 8, 1, 1},
    {"fc_s8", "neon", work_fc_pixels, 4, 4, 16},
    {"fc_s8", "neon_family", work_fc_copied, 4, 4, 16},
    {"conv_f32", "neon", work_pixels, 8, 8, 1},
    {"depthwise_f32", "neon", work_listed, 8, 1, 1},
    {"fc_f32", "neon", work_fc_pixels, 8, 8, 1},
};

static const struct {
  const char *kernel, *tag;
  CallWork (*work)(const Graph *g, const KernelCall *k, int block);
  int block;
} x86_workers[] = {
    {"conv_s8", "avx2", work_x86_conv_s8, 16},
    {"conv_s8", "avx2_winograd", work_x86_winograd_s8, 16},
    {"depthwise_s8", "avx2", work_x86_depthwise_s8, 16},
    {"fc_s8", "avx2", work_x86_fc_s8, 16},
    {"add_s8", "avx2", work_x86_add_s8, 16},
    {"conv_f32", "avx2", work_x86_conv_f32, 8},
    {"conv_f32", "avx2_winograd", work_x86_winograd_f32, 8},
    {"depthwise_f32", "avx2", work_x86_depthwise_f32, 8},
    {"fc_f32", "avx2", work_x86_fc_f32, 16},
    {"conv_s8", "sse41_winograd", work_x86_winograd_s8, 16},
    {"conv_f32", "sse41_winograd", work_x86_winograd_f32, 8},
    {"conv_s8", "sse41", work_x86_conv_s8, 16},
    {"depthwise_s8", "sse41", work_x86_depthwise_s8, 16},
    {"fc_s8", "sse41", work_x86_fc_s8, 16},
    {"add_s8", "sse41", work_x86_add_s8, 16},
    {"conv_f32", "sse41", work_x86_conv_f32, 8},
    {"depthwise_f32", "sse41", work_x86_depthwise_f32, 8},
    {"fc_f32", "sse41", work_x86_fc_f32, 16},
};

static bool is_row(const KernelCall *k, const char *kernel, const char *tag) {
  return strcmp(k->kernel->name, kernel) == 0 && strcmp(k->kernel->tag, tag) == 0;
}

/* A family's convolution takes its inputs in fours. */
static KernelCall in_fours(const KernelCall *k, mf_conv_s8 *p) {
  KernelCall call = *k;
  if (strcmp(k->kernel->name, "conv_s8") != 0 || !strstr(k->kernel->tag, "_family")) return call;
  *p = *(const mf_conv_s8 *)k->params;
  p->g.in_c = (p->g.in_c + 3) / 4 * 4;
  call.params = p;
  return call;
}

bool set_work(const Graph *g, const KernelCall *k, bool by_rows, CallWork *out) {
  mf_conv_s8 params;
  const KernelCall call = in_fours(k, &params);
  k = &call;
  for (size_t i = 0; i < sizeof workers / sizeof *workers; i++)
    if (is_row(k, workers[i].kernel, workers[i].tag)) {
      *out = workers[i].work(&workers[i], k, by_rows);
      return true;
    }
  for (size_t i = 0; i < sizeof x86_workers / sizeof *x86_workers; i++)
    if (is_row(k, x86_workers[i].kernel, x86_workers[i].tag)) {
      *out = x86_workers[i].work(g, k, x86_workers[i].block);
      return true;
    }
  return false;
}
