/* ResizeBilinear, int8, of an image [in_h][in_w][c]: each output element is a mean of four, weighted in 1024ths.
 *
 * Bit for bit TensorFlow Lite's reference (reference_ops::ResizeBilinearInteger of reference/resize_bilinear.h, halves
 * away from zero). Where both neighbours are one line the weight is all that line's: their shares sum to 1024 in the
 * reference, too, and stay within 32 bits so. Output beyond the last line (an image much enlarged: its rounded scale
 * reaches over) shows that line; the reference reads past it. A row is a line of the output.
 */
#include "runtime/kernels/requantize.h"

MF_KERNEL mf_kernel_fn resize_bilinear_s8__generic;

/* The lines that output line i lies between, and the second one's share. */
static int32_t resize_bilinear_s8_between(int32_t i, int32_t scale, int32_t half, int32_t size, int32_t *lo,
                                          int32_t *hi) {
  const int32_t at = i * scale + (half ? scale / 2 - 512 : 0);
  *lo = at / 1024 > 0 ? at / 1024 : 0;
  *hi = (at + 1023) / 1024;
  if (*lo > size - 1) *lo = size - 1;
  if (*hi > size - 1) *hi = size - 1;
  return *lo == *hi ? 0 : at - 1024 * *lo;
}

MF_KERNEL void resize_bilinear_s8__generic(const void *params, const mf_view *in, const mf_view *out,
                                           int32_t y0, int32_t y1, void *scratch) {
  const mf_resize_bilinear_s8 *p = (const mf_resize_bilinear_s8 *)params;
  int32_t r, x, c, top, bottom, left, right;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const int32_t down = resize_bilinear_s8_between(r, p->scale_h, p->half, p->in_h, &top, &bottom);
    const int8_t *upper = (const int8_t *)mf_row(in, top), *lower = (const int8_t *)mf_row(in, bottom);
    int8_t *y = (int8_t *)mf_row(out, r);
    for (x = 0; x < p->out_w; x++) {
      const int32_t across = resize_bilinear_s8_between(x, p->scale_w, p->half, p->in_w, &left, &right);
      for (c = 0; c < p->c; c++) {
        const int32_t i = left * p->c + c, k = right * p->c + c;
        const int32_t a = upper[i] * (1024 - across) + upper[k] * across;
        const int32_t b = lower[i] * (1024 - across) + lower[k] * across;
        const int32_t v = a * (1024 - down) + b * down;
        *y++ = (int8_t)((v + (v > 0 ? 1 << 19 : -(1 << 19))) / (1 << 20));
      }
    }
  }
}
