/* The table of ways (conv_table.def, written by `make bench-conv-table`) and the rule for shapes that are not in it: the
 * row of the same kernel set, pass, window and stride that is nearest in channels and pixels, distances in powers of
 * two; of equal ones the first. A set without rows (not measured yet) takes those of x86-64-v3. Without such a row, or where its way is not possible: directly, else by products.
 */
#include "runtime/engine/ops/conv_table.h"

#include <math.h>
#include <string.h>

typedef struct Row {
  const char *set;
  bool training;
  int kh, kw, stride, c, o, pixels;
  ConvWay way;
} Row;

#define CONV(set, training, kh, kw, stride, c, o, pixels, way) \
  {set, training, kh, kw, stride, c, o, pixels, CONV_##way},
static const Row rows[] = {
    {"", false, 0, 0, 0, 1, 1, 1, CONV_GEMM}, /* none */
#include "runtime/engine/ops/conv_table.def"
};
#undef CONV

static bool has_rows(const char *set) {
  bool has = false;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) has |= strcmp(rows[i].set, set) == 0;
  return has;
}

static double apart(double a, double b) { return fabs(log2(a / b)); }

ConvWay conv_table_way(const char *set, const ConvGeometry *q, bool training, unsigned possible) {
  const Row *best = NULL;
  if (!has_rows(set)) set = "x86-64-v3";
  double least = INFINITY;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const Row *r = &rows[i];
    if (strcmp(r->set, set) != 0 || r->training != training || r->kh != q->kh || r->kw != q->kw ||
        r->stride != q->sh || r->stride != q->sw)
      continue;
    double far =
        apart(r->c, (double)q->c) + apart(r->o, (double)q->o) + apart(r->pixels, (double)(q->oh * q->ow));
    if (far < least) least = far, best = r;
  }
  if (best && possible >> best->way & 1) return best->way;
  return possible >> CONV_DIRECT & 1 ? CONV_DIRECT : CONV_GEMM;
}
