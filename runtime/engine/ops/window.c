/* Windows that slide over padded images, shared by Conv and DepthwiseConv: padding, and the classes of dx.
 *
 * With stride s the pixels of dx that are alike modulo s read the same taps. Along one axis, class a of dx is pixels
 * a + s i; each gets dy pixel i + base - j for each tap k = r + s j, r = (a + before) mod s, base = (a + before - r) / s:
 * a correlation with the taps in falling order over dy padded by (taps - 1 - base). Stride 1 is the case of one class.
 */
#include "runtime/engine/ops/window.h"

void window_pad(const float *src, int64_t h, int64_t w, int64_t c, int64_t top, int64_t left, int64_t hp,
                int64_t wp, float *dst) {
  int64_t x0 = left > 0 ? left : 0, x1 = left + w < wp ? left + w : wp;
  if (x1 < x0) x1 = x0;
  for (int64_t r = 0; r < hp; r++, dst += wp * c) {
    if (r < top || r >= top + h || x0 >= wp) {
      vec_zero(dst, wp * c);
      continue;
    }
    vec_zero(dst, x0 * c);
    vec_copy(dst + x0 * c, src + ((r - top) * w + x0 - left) * c, (x1 - x0) * c);
    vec_zero(dst + x1 * c, (wp - x1) * c);
  }
}

WindowClass window_class(int64_t a, int64_t stride, int64_t kernel, int64_t before, int64_t size) {
  WindowClass k = {.a = a, .stride = stride, .r = (a + before) % stride};
  k.taps = kernel > k.r ? (kernel - k.r + stride - 1) / stride : 0;
  k.pad = k.taps - 1 - (a + before - k.r) / stride;
  k.count = size > a ? (size - a + stride - 1) / stride : 0;
  return k;
}

void window_scatter(const WindowClass *y, const WindowClass *x, const float *src, int64_t w, int64_t c,
                    bool add, float *dx) {
  for (int64_t i = 0; i < y->count; i++)
    for (int64_t j = 0; j < x->count; j++, src += c)
      vec_put(dx + ((y->a + y->stride * i) * w + x->a + x->stride * j) * c, src, c, add);
}

int64_t scratch_take(int64_t *at, int64_t n) {
  int64_t here = *at;
  *at += (n + 15) / 16 * 16;
  return here;
}
