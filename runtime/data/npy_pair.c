/* Pairs of .npy files: examples x [N,...] and labels y [N].
 *
 * The arrays are read whole (ir/tensor.h) and the split is a view into them; labels become int32.
 */
#include "ir/base/mem.h"
#include "runtime/data/source.h"

#include <string.h>

static bool check_x(const SplitSpec *spec, const Tensor *x, Diag *d) {
  const Loc at = {.file = spec->x};
  FAIL_IF(x->dtype != DT_U8 && x->dtype != DT_I8 && x->dtype != DT_F32, d, &at,
          "examples of type %s: want u8, i8 or f32", dtype_name(x->dtype));
  FAIL_IF(x->shape.rank < 2, d, &at, "array of rank %d: want [examples, ...]", (int)x->shape.rank);
  FAIL_IF(shape_count_range(&x->shape, 1, x->shape.rank) < 1, d, &at, "examples without elements");
  return true;
}

static int64_t label_at(const Tensor *y, uint32_t i) {
  return y->dtype == DT_I64 ? ((const int64_t *)y->data)[i] : ((const int32_t *)y->data)[i];
}

/* Labels first .. first + n - 1 as an int32 blob. */
static Blob *read_labels(const SplitSpec *spec, int64_t records, uint32_t n, Diag *d) {
  const Loc at = {.file = spec->y};
  Tensor y;
  if (!npy_read(spec->y, &y, d)) return NULL;
  int32_t *out = NULL;
  if (y.dtype != DT_I64 && y.dtype != DT_I32) {
    diag_error(d, &at, "labels of type %s: want i64 or i32", dtype_name(y.dtype));
  } else if (y.shape.rank != 1 || y.shape.d[0] != records) {
    char got[96];
    shape_format(&y.shape, got, sizeof got);
    diag_error(d, &at, "labels of shape %s: want [%lld], one for each example of %s", got, (long long)records,
               spec->x);
  } else {
    out = mem_array(n, sizeof *out);
    for (uint32_t i = 0; i < n; i++) {
      int64_t v = label_at(&y, spec->first + i);
      if (v < 0 || v > INT32_MAX) {
        diag_error(d, &at, "label %lld of example %u: want 0 or more", (long long)v, spec->first + i);
        mem_free(out);
        out = NULL;
        break;
      }
      out[i] = (int32_t)v;
    }
  }
  tensor_free(&y);
  return out ? blob_adopt(out, n * sizeof *out) : NULL;
}

bool source_npy(const SplitSpec *spec, Split *out, Diag *d) {
  Tensor x;
  TRY(npy_read(spec->x, &x, d));
  uint32_t n = 0;
  Blob *labels = NULL;
  bool ok = check_x(spec, &x, d) && split_range(spec, (uint64_t)x.shape.d[0], &n, d);
  if (ok && spec->y) ok = (labels = read_labels(spec, x.shape.d[0], n, d)) != NULL;
  if (!ok) {
    tensor_free(&x);
    return false;
  }
  Shape item = {.rank = x.shape.rank - 1};
  for (int i = 0; i < item.rank; i++) item.d[i] = x.shape.d[i + 1];
  size_t bytes = (size_t)shape_count(&item) * dtype_size(x.dtype);
  Blob *all = blob_adopt(x.data, tensor_bytes(&x));
  Blob *view = blob_view(all, (const char *)blob_raw(all) + spec->first * bytes, n * bytes);
  blob_unref(all);
  split_set(out, n, &item, x.dtype, view, labels);
  return true;
}
