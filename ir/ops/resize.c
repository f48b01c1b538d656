/* ResizeBilinear: an image enlarged or reduced, each element a weighted mean of the four around its place, in integers.
 *
 *   x [N,H,W,C] i8 -> y [N,size[0],size[1],C], codes of the input's quantization
 *
 * float32: importers make WeightedGathers, one an axis. Source: TFLite RESIZE_BILINEAR (ResizeBilinearInteger).
 */
#include "ir/ops/ops.h"

enum { EXTENT_MAX = 1 << 19 }; /* places in 1024ths fit in 32 bits */

bool infer_resize_bilinear(Graph *g, Node *n, Diag *d) {
  const resize_bilinear_attrs *a = CATTRS(n, resize_bilinear);
  TRY(op_want_dtype(g, n, 0, DT_I8, d));
  TRY(op_want_rank(g, n, 0, 4, d));
  TRY(op_want_ints(n, &a->size, "size", 2, 1, d));
  if (a->align_corners < 0 || a->align_corners > 1 || a->half_pixel_centers < 0 ||
      a->half_pixel_centers > 1 || (a->align_corners && a->half_pixel_centers)) {
    return op_fail(n, d, "align_corners is %d and half_pixel_centers %d, want 0 or 1, and not both",
                   (int)a->align_corners, (int)a->half_pixel_centers);
  }
  Shape out = op_in(g, n, 0)->shape;
  for (int i = 1; i < 3; i++) {
    const int64_t size = a->size.v[i - 1];
    if (out.d[i] < 1 || out.d[i] > EXTENT_MAX || size > EXTENT_MAX) {
      return op_fail(n, d, "goes from %lld to %lld %s, want 1 to %d", (long long)out.d[i], (long long)size,
                     i == 1 ? "rows" : "columns", EXTENT_MAX);
    }
    out.d[i] = size;
  }
  TRY(op_set(g, n, DT_I8, &out, d));
  return op_same_quant(g, n, -1, d);
}
