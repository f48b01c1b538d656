/* Windows over padded images: what Conv and DepthwiseConv share. */
#ifndef RUNTIME_ENGINE_OPS_WINDOW_H
#define RUNTIME_ENGINE_OPS_WINDOW_H

#include "runtime/engine/op_call.h"

/* src [h][w][c] to dst [hp][wp][c]: dst row r is src row r - top, 0 outside; top and left may be negative. */
void window_pad(const float *src, int64_t h, int64_t w, int64_t c, int64_t top, int64_t left, int64_t hp,
                int64_t wp, float *dst);

/* One axis of a class of dx: pixels a + stride i, i < count; taps r + stride j, j < taps; dy is padded by `pad`. */
typedef struct WindowClass {
  int64_t a, taps, r, stride, pad, count;
} WindowClass;

/* Class a (0 <= a < stride) for a window of `kernel` taps with `before` zeros before the axis of `size` pixels. */
WindowClass window_class(int64_t a, int64_t stride, int64_t kernel, int64_t before, int64_t size);

/* A class's results [y->count][x->count][c] to (or added at) their places in dx [h][w][c]. */
void window_scatter(const WindowClass *y, const WindowClass *x, const float *src, int64_t w, int64_t c,
                    bool add, float *dx);

/* The next n floats of a scratch that is being laid out; *at is its size so far. */
int64_t scratch_take(int64_t *at, int64_t n);

#endif
