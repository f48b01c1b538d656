/* The stripes task: see stripes.h. */
#include "tests/engine/stripes.h"

#include <check.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"

#define HEAD "%1 = input : f32[N,8,8,2]\n%2 = const : f32[8,3,3,2] {~}\n%3 = Conv(%1, %2) {pads=[1,1,1,1]}\n"
#define TAIL                                                                                             \
  "%6 = const : f32[8,3,3,8] {~}\n%7 = Conv(%5, %6) {pads=[1,1,1,1], act=relu}\n%8 = Add(%7, %5)\n"      \
  "%9 = ReduceMean(%8) {axes=[1,2], keepdims=0}\n%10 = const : f32[3,8] {~}\n%11 = const : f32[3] {?}\n" \
  "%12 = FullyConnected(%9, %10, %11)\noutput %12\n"

const char stripes_net[] = HEAD
    "%g = const : f32[8] {?}\n%b = const : f32[8] {?}\n%m = const : f32[8] {?}\n%v = const : f32[8] {?}\n"
    "%4 = BatchNormalization(%3, %g, %b, %m, %v)\n%5 = Relu(%4) : f32[N,8,8,8] \"before\"\n" TAIL;
const char stripes_plain_net[] = HEAD "%5 = Relu(%3) : f32[N,8,8,8] \"before\"\n" TAIL;

/* Class 0: stripes along rows; 1: along columns; 2: a chequerboard; with noise, at random phase. */
static void draw(uint8_t *px, int label, Rng *r) {
  int phase = (int)rng_below(r, 2);
  for (int y = 0; y < STRIPES_SIDE; y++)
    for (int x = 0; x < STRIPES_SIDE; x++) {
      int on = (label == 0 ? y : label == 1 ? x : x + y) + phase;
      for (int c = 0; c < 2; c++)
        px[(y * STRIPES_SIDE + x) * 2 + c] = (uint8_t)(60 + 90 * (on & 1) + (int)rng_below(r, 100));
    }
}

static void make_split(Split *s, uint32_t n, uint64_t seed) {
  Rng r;
  rng_seed(&r, seed, 0);
  uint8_t *x = mem_array(n, STRIPES_ITEM);
  int32_t *y = mem_array(n, sizeof *y);
  for (uint32_t i = 0; i < n; i++) {
    y[i] = (int32_t)rng_below(&r, STRIPES_CLASSES);
    draw(x + (size_t)i * STRIPES_ITEM, y[i], &r);
  }
  *s = (Split){.n = n,
               .item = {3, {STRIPES_SIDE, STRIPES_SIDE, 2}},
               .dtype = DT_U8,
               .xb = blob_adopt(x, (size_t)n * STRIPES_ITEM),
               .yb = blob_adopt(y, n * sizeof *y)};
  s->x = blob_data(s->xb);
  s->y = blob_data(s->yb);
}

Dataset stripes_data(void) {
  Dataset ds = {0};
  ds.spec.classes = STRIPES_CLASSES;
  ds.spec.normalize = (Normalize){.n = 1, .scale = {1.0f / 64}, .offset = {-2}};
  make_split(&ds.train, 512, 1);
  make_split(&ds.val, 200, 2);
  return ds;
}

double stripes_accuracy(const Graph *g, const Dataset *ds) {
  Accuracy a;
  Diag *d = diag_new();
  if (!graph_accuracy(g, &ds->val, &ds->spec.normalize, 2, NULL, &a, NULL, d))
    ck_abort_msg("%s", diag_text(d));
  diag_free(d);
  return a.top1;
}
