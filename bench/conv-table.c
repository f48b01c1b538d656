/* Measure the ways of computing convolutions and write which is the fastest: runtime/engine/ops/conv_table.def.
 *
 * For each shape, kernel set that this processor runs, and for training and the forward pass alone: sessions of one
 * convolution, the ways in turns, the least processor time of ROUNDS short rounds on one thread. Rows of sets that this
 * processor does not run are kept. Shapes: what small networks are made of.
 *
 *   bench/conv-table        prints microseconds for an image, the fastest way last
 */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/base/strbuf.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/session.h"

#define PATH "runtime/engine/ops/conv_table.def"

enum { BATCH = 32, ROUNDS = 9, WAYS = 3 };
static const char *const way_names[] = {"", "GEMM", "DIRECT", "WINOGRAD"};

typedef struct Shape2 {
  int kh, kw, stride, c, o, h, w; /* h, w: of the output */
} Shape2;

static const Shape2 shapes[] = {
    {3, 3, 1, 3, 16, 32, 32},   {3, 3, 1, 16, 16, 32, 32}, {3, 3, 1, 16, 16, 8, 8},
    {3, 3, 1, 32, 32, 16, 16},  {3, 3, 1, 32, 32, 8, 8},   {3, 3, 1, 16, 32, 16, 16},
    {3, 3, 1, 32, 64, 8, 8},    {3, 3, 1, 64, 64, 8, 8},   {3, 3, 1, 64, 64, 32, 32},
    {3, 3, 1, 128, 128, 8, 8},  {3, 3, 1, 128, 128, 4, 4}, {3, 3, 1, 8, 8, 32, 32},
    {3, 3, 1, 24, 24, 16, 16},  {3, 3, 1, 48, 48, 16, 16}, {3, 3, 1, 64, 16, 16, 16},
    {3, 3, 1, 16, 64, 16, 16},  {3, 3, 2, 3, 8, 48, 48},   {3, 3, 2, 16, 32, 16, 16},
    {3, 3, 2, 32, 64, 8, 8},    {3, 3, 2, 64, 128, 8, 8},  {1, 1, 1, 8, 16, 48, 48},
    {1, 1, 1, 16, 32, 24, 24},  {1, 1, 1, 32, 32, 24, 24}, {1, 1, 1, 64, 64, 25, 5},
    {1, 1, 1, 64, 64, 12, 12},  {1, 1, 1, 64, 128, 6, 6},  {1, 1, 1, 128, 128, 6, 6},
    {1, 1, 1, 128, 256, 3, 3},  {1, 1, 1, 256, 256, 3, 3}, {1, 1, 1, 96, 24, 24, 24},
    {1, 1, 1, 24, 144, 24, 24}, {1, 1, 2, 16, 32, 16, 16}, {1, 1, 2, 32, 64, 8, 8},
    {5, 5, 1, 1, 6, 28, 28},    {5, 5, 1, 16, 32, 14, 14}, {5, 5, 1, 32, 32, 16, 16},
    {10, 4, 2, 1, 64, 25, 5},   {7, 7, 2, 3, 64, 56, 56},  {3, 1, 1, 32, 32, 50, 1},
    {5, 1, 1, 16, 32, 50, 1},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static Graph *one_conv(const Shape2 *k) {
  Graph *g = graph_new("conv");
  Diag *d = diag_new();
  Rng r;
  rng_seed(&r, 1, 1);
  const Shape x = {4, {DIM_BATCH, k->h * k->stride, k->w * k->stride, k->c}},
              w = {4, {k->o, k->kh, k->kw, k->c}};
  conv_attrs a;
  op_attrs_default(OP_conv, &a);
  a.strides.v[0] = a.strides.v[1] = k->stride;
  int64_t rows = k->kh - k->stride, cols = k->kw - k->stride;
  if (rows < 0) rows = 0;
  if (cols < 0) cols = 0;
  a.pads = (Ints){4, {rows / 2, cols / 2, rows - rows / 2, cols - cols / 2}};
  float *f = mem_array((size_t)shape_count(&w), sizeof *f);
  for (int64_t i = 0; i < shape_count(&w); i++) f[i] = 0.1f * rng_normal(&r);
  const ValId in[] = {graph_input(g, "x", DT_F32, &x), graph_const_data(g, NULL, DT_F32, &w, f)};
  ValId y = graph_node(g, OP_conv, &a, in, 2, NULL, NULL, d);
  if (y == NO_VAL) diag_print(d, stderr), exit(1);
  graph_output(g, y);
  mem_free(f);
  diag_free(d);
  return g;
}

/* Seconds of a pass over a batch; DZ: the gradient at the output. */
static double one_pass(Session *s, const float *dz) {
  double t = now();
  session_forward(s, session_input(s), BATCH, dz != NULL);
  if (dz) session_backward(s, dz, BATCH);
  return now() - t;
}

typedef struct Timed {
  Session *s[WAYS + 1];
  double best[WAYS + 1]; /* microseconds for an image; 0: this way is not possible */
} Timed;

static void time_ways(const Graph *g, const EngineKernels *k, bool training, Timed *t) {
  Diag *d = diag_new();
  float *dz = NULL;
  for (ConvWay way = CONV_GEMM; way <= CONV_WINOGRAD; way++) {
    const SessionOptions o = {.batch = BATCH,
                              .threads = 1,
                              .training = training,
                              .input_gradient = training,
                              .way = way,
                              .kernels = k};
    t->s[way] = session_new(g, &o, d);
    if (!t->s[way]) diag_print(d, stderr), exit(1);
    if (t->s[way]->nodes[0].way != way) continue;
    int64_t in = BATCH * shape_count_range(session_input_shape(t->s[way]), 1, 4);
    for (int64_t i = 0; i < in; i++) session_input(t->s[way])[i] = (float)(i % 17) - 8;
    t->best[way] = 1e9;
  }
  if (training) dz = mem_array((size_t)(BATCH * session_classes(t->s[CONV_GEMM])), sizeof *dz);
  for (int round = 0; round < ROUNDS; round++)
    for (int way = CONV_GEMM; way <= CONV_WINOGRAD; way++) {
      double took = t->best[way] > 0 ? 1e6 / BATCH * one_pass(t->s[way], dz) : 0;
      if (took < t->best[way]) t->best[way] = took;
    }
  for (int way = CONV_GEMM; way <= CONV_WINOGRAD; way++) session_free(t->s[way]);
  mem_free(dz);
  diag_free(d);
}

static void measure(const Shape2 *k, const EngineKernels *set, bool training, StrBuf *out) {
  Timed t = {0};
  Graph *g = one_conv(k);
  time_ways(g, set, training, &t);
  int best = CONV_GEMM;
  for (int way = CONV_DIRECT; way <= CONV_WINOGRAD; way++)
    if (t.best[way] > 0 && t.best[way] < t.best[best]) best = way;
  printf("%-10s %-8s %2dx%-2d /%d %3d to %3d, %2dx%-2d: gemm %8.1f direct %8.1f winograd %8.1f  %s\n",
         set->name, training ? "training" : "forward", k->kh, k->kw, k->stride, k->c, k->o, k->h, k->w,
         t.best[CONV_GEMM], t.best[CONV_DIRECT], t.best[CONV_WINOGRAD], way_names[best]);
  fflush(stdout);
  sb_printf(out, "CONV(\"%s\", %s, %d, %d, %d, %d, %d, %d, %s)\n", set->name, training ? "true" : "false",
            k->kh, k->kw, k->stride, k->c, k->o, k->h * k->w, way_names[best]);
  graph_free(g);
}

/* Rows of kernel sets other than those measured. */
static void keep_others(const EngineKernels *const *sets, StrBuf *out) {
  char line[256];
  FILE *f = fopen(PATH, "r");
  while (f && fgets(line, sizeof line, f)) {
    bool measured = strncmp(line, "CONV(", 5) != 0;
    for (int i = 0; sets[i]; i++) {
      char want[64];
      snprintf(want, sizeof want, "CONV(\"%s\"", sets[i]->name);
      measured |= strncmp(line, want, strlen(want)) == 0;
    }
    if (!measured) sb_puts(out, line);
  }
  if (f) fclose(f);
}

int main(void) {
  const EngineKernels *best = engine_kernels(false), *sets[3] = {best};
  if (best == engine_kernels_v4()) sets[1] = engine_kernels_v3();
  openblas_set_num_threads(1);
  StrBuf out = {0};
  sb_puts(&out, "/* Written by `make bench-conv-table`: kernel set, training, window, stride, channels in "
                "and out, pixels "
                "out, way. */\n");
  keep_others(sets, &out);
  for (int s = 0; sets[s] && sets[s]->conv; s++)
    for (int training = 0; training < 2; training++)
      for (int i = 0; i < SHAPES; i++) measure(&shapes[i], sets[s], training, &out);
  FILE *f = fopen(PATH ".new", "w");
  bool ok = f && fputs(sb_str(&out), f) >= 0;
  ok = f && fclose(f) == 0 && ok && rename(PATH ".new", PATH) == 0;
  if (!ok) perror(PATH);
  sb_free(&out);
  return ok ? 0 : 1;
}
