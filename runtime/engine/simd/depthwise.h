/* Depthwise 3x3 convolutions, LANES channels at a time, their nine weights (or sums) in registers. Compiled once per
 * version, over winograd.h's macros; other channels and windows are loops.h's. Both give the same bytes.
 */
#ifndef RUNTIME_ENGINE_SIMD_DEPTHWISE_H
#define RUNTIME_ENGINE_SIMD_DEPTHWISE_H

#include <stddef.h>

#include "runtime/engine/simd/loops.h"
#include "runtime/engine/simd/winograd.h"

#define EACH_TAP(X) X(0, 0) X(0, 1) X(0, 2) X(1, 0) X(1, 1) X(1, 2) X(2, 0) X(2, 1) X(2, 2)

static bool is_3x3(const ConvShape *q) { return q->kh == 3 && q->run == 3 * q->c && q->dh == 1; }

#define DW_LOAD(a, b) V w##a##b = VLOAD(w + (3 * a + b) * q->c);
#define DW_TAP(a, b)  s = VFMA(VLOAD(p + a * line + b * q->c), w##a##b, s);

static void depthwise_lanes(const ConvShape *q, const float *x, const float *w, const float *bias, float lo,
                            float hi, bool add, float *y) {
  V start = bias ? VLOAD(bias) : VSET(0), low = VSET(lo), high = VSET(hi);
  int64_t line = q->wp * q->c;
  EACH_TAP(DW_LOAD)
  for (int64_t oy = 0; oy < q->oh; oy++) {
    const float *p = x + oy * q->sh * line;
    for (int64_t ox = 0; ox < q->ow; ox++, p += q->sw * q->c, y += q->c) {
      V s = start;
      EACH_TAP(DW_TAP)
      s = VMIN(VMAX(s, low), high);
      if (add) s = VLOAD(y) + s;
      VSTORE(y, s);
    }
  }
}

static void depthwise_all(const ConvShape *q, const float *x, const float *w, const float *bias, float lo,
                          float hi, bool add, float *y) {
  int64_t c = 0;
  for (; is_3x3(q) && c + LANES <= q->c; c += LANES)
    depthwise_lanes(q, x + c, w + c, bias ? bias + c : NULL, lo, hi, add, y + c);
  for (; c < q->c; c += RUN)
    depthwise_range(q, x, w, bias, lo, hi, add, y, c, c + RUN < q->c ? c + RUN : q->c);
}

#define DW_SUM(a, b)  V s##a##b = VLOAD(acc + (3 * a + b) * q->c);
#define DW_ADD(a, b)  s##a##b = VFMA(VLOAD(p + a * line + b * q->c), g, s##a##b);
#define DW_KEEP(a, b) VSTORE(acc + (3 * a + b) * q->c, s##a##b);

static void depthwise_weights_lanes(const ConvShape *q, const float *x, const float *dy, float *acc) {
  int64_t line = q->wp * q->c;
  EACH_TAP(DW_SUM)
  for (int64_t oy = 0; oy < q->oh; oy++) {
    const float *p = x + oy * q->sh * line;
    for (int64_t ox = 0; ox < q->ow; ox++, p += q->sw * q->c, dy += q->c) {
      V g = VLOAD(dy);
      EACH_TAP(DW_ADD)
    }
  }
  EACH_TAP(DW_KEEP)
}

static void depthwise_weights_all(const ConvShape *q, const float *x, const float *dy, float *acc) {
  int64_t c = 0;
  for (; is_3x3(q) && c + LANES <= q->c; c += LANES) depthwise_weights_lanes(q, x + c, dy + c, acc + c);
  if (c < q->c) depthwise_weights_range(q, x, dy, acc, c, q->c);
}

#endif
