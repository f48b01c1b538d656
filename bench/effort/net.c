/* The network's kernels and the test of a port: outputs of the emulated program against Python's, number by number. */
#include <stdint.h>

typedef struct Conv {
  int k, stride, h, ci, co, zin, zskip, zout;
  int32_t mskip;
  const int8_t *w;
  const int32_t *b, *m;
} Conv;

/* Weights of an output lie as its loops read them. decision: kernel */
static void conv(const Conv *l, const uint8_t *x, const uint8_t *skip, uint8_t *y) {
  const int pad = l->k / 2, n = l->h / l->stride, ci = l->ci;
  for (int at = 0; at < n * n; at++) {
    const int top = at / n * l->stride - pad, left = at % n * l->stride - pad;
    const int8_t *w = l->w;
    for (int o = 0; o < l->co; o++) {
      int32_t sum = l->b[o];
      for (int v = top; v < top + l->k; v++)
        for (int u = left; u < left + l->k; u++, w += ci)
          if (v >= 0 && v < l->h && u >= 0 && u < l->h)
            for (int c = 0; c < ci; c++) sum += (x[(v * l->h + u) * ci + c] - l->zin) * w[c];
      int64_t z = (int64_t)sum * l->m[o] + (1 << 23);
      if (skip) z += (int64_t)(skip[at * l->co + o] - l->zskip) * l->mskip;
      z = (z >> 24) + l->zout;
      y[at * l->co + o] = (uint8_t)(z < 0 ? 0 : z > 255 ? 255 : z);
    }
  }
}

static void head(const int8_t *w, const int32_t *b, int classes, int n, int area, const uint8_t *x,
                 int32_t *out) {
  for (int o = 0; o < classes; o++) {
    out[o] = b[o];
    for (int c = 0; c < n; c++) {
      int32_t sum = 0;
      for (int i = 0; i < area; i++) sum += x[i * n + c];
      out[o] += sum * w[o * n + c];
    }
  }
}

#include "model.h"

int main(void) {
  static int32_t out[CLASSES];
  int wrong = 0;
  for (int t = 0; t < TESTS; t++) {
    run(images + t * 1024, out);
    for (int i = 0; i < CLASSES; i++) wrong += out[i] != wanted[t * CLASSES + i];
  }
  return wrong != 0;
}
