/* TFLite operators that rearrange whole tensors: PACK to TILE, as Reshape, Transpose, Slice, Pad, Concat and Gather.
 *
 * Shapes are fixed in the file, so that index lists (mirrors, repetitions, nearest neighbours) are constants made here,
 * and SHAPE, RANK, FILL, ZEROS_LIKE are constants themselves.
 * Sources: TensorFlow Lite's reference kernels space_to_depth.h, depth_to_space.h, space_to_batch_nd.h,
 * batch_to_space_nd.h, resize_nearest_neighbor.h, reverse.h, pad.h (mirror_pad.cc), broadcast_to.h.
 */
#include "frontend/tflite/tfl.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"

static Shape shape_of_val(const TflNode *n, ValId v) { return graph_val(n->m->g, v)->shape; }

static ValId transpose(TflNode *n, ValId x, const int *perm, int rank) {
  transpose_attrs a = {.perm = {.n = rank}};
  for (int i = 0; i < rank; i++) a.perm.v[i] = perm[i];
  return tfl_node1(n, OP_transpose, &a, x);
}

/* Elements number index[0 .. count-1] along an axis; nothing happens where that is all of them in order. */
static ValId pick(TflNode *n, ValId x, int axis, const int32_t *index, int32_t count) {
  Graph *g = n->m->g;
  bool same = count == shape_of_val(n, x).d[axis];
  for (int32_t i = 0; same && i < count; i++) same = index[i] == i;
  if (same) return x;
  Shape s = shape_of(1, (int64_t)count);
  ValId in[2] = {x, graph_const_data(g, "index", DT_I32, &s, index)};
  gather_attrs a = {.axis = axis};
  return graph_node(g, OP_gather, &a, in, 2, tfl_out_tensor(n, 0)->name, &n->loc, n->m->d);
}

/* -- joining and taking apart -- */

bool tfl_import_pack(TflNode *n) {
  enum { AXIS = 1 };
  ValId in[TFL_MAX_IN];
  concat_attrs a = {0};
  const Shape *out = &tfl_out_tensor(n, 0)->shape;
  TRY(tfl_axis(n, fb_i32(&n->options, AXIS, 0), out->rank, &a.axis));
  FAIL_IF(out->rank < 1 || n->n_in != out->d[a.axis], n->m->d, &n->loc, "packs %u tensors into %" PRId64,
          n->n_in, out->d[a.axis]);
  Shape part = *out;
  part.d[a.axis] = 1;
  for (uint32_t i = 0; i < n->n_in; i++) {
    in[i] = tfl_moved(n, i);
    TRY(in[i] != NO_VAL);
    in[i] = tfl_reshape(n, in[i], &part);
    TRY(in[i] != NO_VAL);
  }
  return tfl_emit(n, OP_concat, &a, in, n->n_in);
}

/* Output k: `count` elements from `from` on along the axis, under the output's shape. */
static bool part_of(TflNode *n, ValId x, const TflTensor *in, uint32_t k, int32_t axis, int64_t from,
                    int64_t count) {
  const TflTensor *out = tfl_out_tensor(n, k);
  Shape s = shape_of_val(n, x);
  slice_attrs a = {0};
  TRY(tfl_same_quant(n, in, out));
  a.starts.n = a.counts.n = a.steps.n = s.rank;
  for (int32_t i = 0; i < s.rank; i++) {
    a.starts.v[i] = i == axis ? from : 0;
    a.counts.v[i] = i == axis ? count : s.d[i];
    a.steps.v[i] = 1;
  }
  ValId y = graph_node1(n->m->g, OP_slice, &a, x, out->name, &n->loc, n->m->d);
  return y != NO_VAL && tfl_bind(n, k, tfl_reshape(n, y, &out->shape));
}

bool tfl_import_unpack(TflNode *n) {
  enum { AXIS = 1 };
  int32_t axis;
  ValId x = tfl_moved(n, 0);
  TRY(x != NO_VAL);
  Shape s = shape_of_val(n, x);
  TRY(tfl_axis(n, fb_i32(&n->options, AXIS, 0), s.rank, &axis));
  FAIL_IF(s.d[axis] != n->n_out, n->m->d, &n->loc, "unpacks %" PRId64 " into %u tensors", s.d[axis],
          n->n_out);
  for (uint32_t k = 0; k < n->n_out; k++) TRY(part_of(n, x, tfl_in_tensor(n, 0), k, axis, k, 1));
  return true;
}

/* x, sizes (one may be -1), axis. */
bool tfl_import_split_v(TflNode *n) {
  Ints sizes, axes;
  int32_t axis;
  ValId x = tfl_moved(n, 0);
  TRY(x != NO_VAL && tfl_ints(n, 1, &sizes) && tfl_ints(n, 2, &axes));
  Shape s = shape_of_val(n, x);
  FAIL_IF(axes.n != 1 || (uint32_t)sizes.n != n->n_out, n->m->d, &n->loc,
          "has %" PRId32 " sizes and %" PRId32 " axes for %u outputs", sizes.n, axes.n, n->n_out);
  TRY(tfl_axis(n, axes.v[0], s.rank, &axis));
  int64_t known = 0, at = 0;
  for (int32_t k = 0; k < sizes.n; k++) {
    FAIL_IF(sizes.v[k] < -1 || sizes.v[k] > s.d[axis], n->m->d, &n->loc,
            "has a part of %" PRId64 " elements along axis %" PRId32 " of %" PRId64, sizes.v[k], axis,
            s.d[axis]);
    known += sizes.v[k] == -1 ? 0 : sizes.v[k];
  }
  for (int32_t k = 0; k < sizes.n; k++) {
    int64_t count = sizes.v[k] == -1 ? s.d[axis] - known : sizes.v[k];
    FAIL_IF(count < 1 || count > s.d[axis] - at, n->m->d, &n->loc,
            "takes %" PRId64 " elements from %" PRId64 " along axis %" PRId32 " of %" PRId64, count, at, axis,
            s.d[axis]);
    TRY(part_of(n, x, tfl_in_tensor(n, 0), (uint32_t)k, axis, at, count));
    at += count;
  }
  return true;
}

bool tfl_import_reverse(TflNode *n) {
  ValId x = tfl_moved(n, 0);
  Ints axes;
  int32_t axis;
  TRY(x != NO_VAL && tfl_ints(n, 1, &axes));
  Shape s = shape_of_val(n, x);
  slice_attrs a = {0};
  a.starts.n = a.counts.n = a.steps.n = s.rank;
  for (int32_t i = 0; i < s.rank; i++) {
    a.counts.v[i] = s.d[i];
    a.steps.v[i] = 1;
  }
  for (int32_t i = 0; i < axes.n; i++) {
    TRY(tfl_axis(n, axes.v[i], s.rank, &axis));
    a.starts.v[axis] = s.d[axis] - 1;
    a.steps.v[axis] = -1;
  }
  return tfl_emit(n, OP_slice, &a, &x, 1);
}

/* -- repeating -- */

/* A file of a few bytes must not ask for much memory. */
static bool few(TflNode *n, int64_t count) { return tfl_may_make(n->m, count, sizeof(int32_t), &n->loc); }

/* Fills index[0 .. count-1] for an axis of `len`: which element stands at each place. */
typedef int64_t IndexFn(int64_t i, int64_t len, int64_t p);

static ValId pick_by(TflNode *n, ValId x, int axis, int64_t count, IndexFn *f, int64_t p) {
  int64_t len = shape_of_val(n, x).d[axis];
  if (!few(n, count)) return NO_VAL;
  int32_t *index = mem_array((size_t)count, sizeof *index);
  for (int64_t i = 0; i < count; i++) index[i] = (int32_t)f(i, len, p);
  ValId y = pick(n, x, axis, index, (int32_t)count);
  mem_free(index);
  return y;
}

static int64_t index_repeat(int64_t i, int64_t len, int64_t p) {
  (void)p;
  return i % len;
}

/* BROADCAST_TO and TILE: the output's shape says all. */
bool tfl_import_repeat(TflNode *n) {
  ValId x = tfl_moved(n, 0);
  TRY(x != NO_VAL);
  const Shape *out = &tfl_out_tensor(n, 0)->shape;
  Shape s = shape_of_val(n, x), wide = {.rank = out->rank};
  FAIL_IF(s.rank > out->rank, n->m->d, &n->loc, "has fewer dimensions after it than before");
  for (int i = 0; i < out->rank; i++) {
    int j = i - (out->rank - s.rank);
    wide.d[i] = j < 0 ? 1 : s.d[j];
    FAIL_IF(out->d[i] % wide.d[i] != 0, n->m->d, &n->loc,
            "repeats %" PRId64 " elements to %" PRId64 " along axis %d", wide.d[i], out->d[i], i);
  }
  x = tfl_reshape(n, x, &wide);
  for (int i = 0; x != NO_VAL && i < out->rank; i++) x = pick_by(n, x, i, out->d[i], index_repeat, 0);
  return x != NO_VAL && tfl_bind(n, 0, x);
}

/* p: elements before, times 2; lowest bit: SYMMETRIC, which repeats the edge. */
static int64_t index_mirror(int64_t i, int64_t len, int64_t p) {
  int64_t at = i - (p >> 1), edge = p & 1;
  if (at < 0) at = -at - edge;
  if (at >= len) at = 2 * len - 2 - at + edge;
  return at;
}

bool tfl_import_mirror_pad(TflNode *n) {
  ValId x = tfl_moved(n, 0);
  Ints pairs;
  TRY(x != NO_VAL && tfl_ints(n, 1, &pairs));
  Shape s = shape_of_val(n, x);
  int64_t edge = fb_u8(&n->options, 0, 0) ? 1 : 0; /* REFLECT, SYMMETRIC */
  FAIL_IF(pairs.n != 2 * s.rank, n->m->d, &n->loc, "has %" PRId32 " paddings for %" PRId32 " dimensions",
          pairs.n, s.rank);
  for (int i = 0; i < s.rank; i++) {
    int64_t before = pairs.v[2 * i], after = pairs.v[2 * i + 1], most = s.d[i] - 1 + edge;
    FAIL_IF(before < 0 || after < 0 || before > most || after > most, n->m->d, &n->loc,
            "mirrors %" PRId64 " and %" PRId64 " elements of %" PRId64 " along axis %d", before, after,
            s.d[i], i);
    x = pick_by(n, x, i, s.d[i] + before + after, index_mirror, before * 2 + edge);
    TRY(x != NO_VAL);
  }
  return tfl_bind(n, 0, x);
}

typedef struct Nearest {
  bool corners, half;
} Nearest;

/* Which input line output line i shows. */
static int32_t nearest(int64_t i, int64_t in, int64_t out, Nearest m) {
  float scale = m.corners && out > 1 ? (float)(in - 1) / (float)(out - 1) : (float)in / (float)out;
  float at = ((float)i + (m.half ? 0.5f : 0.0f)) * scale;
  int64_t k = (int64_t)(m.corners ? roundf(at) : floorf(at));
  if (k > in - 1) k = in - 1;
  return k < 0 ? 0 : (int32_t)k;
}

bool tfl_import_resize_nearest(TflNode *n) {
  enum { CORNERS = 0, HALF = 1 };
  ValId x = tfl_moved(n, 0);
  TRY(x != NO_VAL);
  const Shape *out = &tfl_out_tensor(n, 0)->shape;
  Shape s = shape_of_val(n, x);
  Nearest m = {fb_u8(&n->options, CORNERS, 0) != 0, fb_u8(&n->options, HALF, 0) != 0};
  FAIL_IF(s.rank != 4 || out->rank != 4, n->m->d, &n->loc, "resizes %" PRId32 " dimensions; want 4", s.rank);
  for (int axis = 1; axis < 3; axis++) {
    TRY(few(n, out->d[axis]));
    int32_t *index = mem_array((size_t)out->d[axis], sizeof *index);
    for (int64_t i = 0; i < out->d[axis]; i++) index[i] = nearest(i, s.d[axis], out->d[axis], m);
    x = pick(n, x, axis, index, (int32_t)out->d[axis]);
    mem_free(index);
    TRY(x != NO_VAL);
  }
  return tfl_bind(n, 0, x);
}

/* -- space, depth, batch -- */

static bool block_of(TflNode *n, int64_t *b) {
  *b = fb_i32(&n->options, 0, 0);
  FAIL_IF(*b < 1 || *b > 1 << 15, n->m->d, &n->loc, "has block size %" PRId64 "; want 1 or more", *b);
  return true;
}

static bool image_of(TflNode *n, ValId *x, Shape *s) {
  *x = tfl_moved(n, 0);
  TRY(*x != NO_VAL);
  *s = shape_of_val(n, *x);
  FAIL_IF(s->rank != 4, n->m->d, &n->loc, "wants 4 dimensions, not %" PRId32, s->rank);
  return true;
}

/* Reshape to `mid`, axes in another order, reshape to the output. */
static bool reorder(TflNode *n, ValId x, const Shape *mid, const int *perm) {
  x = tfl_reshape(n, x, mid);
  TRY(x != NO_VAL);
  x = transpose(n, x, perm, mid->rank);
  return x != NO_VAL && tfl_bind(n, 0, tfl_reshape(n, x, &tfl_out_tensor(n, 0)->shape));
}

bool tfl_import_space_to_depth(TflNode *n) {
  int64_t b;
  ValId x;
  Shape s;
  TRY(block_of(n, &b) && image_of(n, &x, &s));
  FAIL_IF(s.d[1] % b || s.d[2] % b, n->m->d, &n->loc, "block %" PRId64 " does not divide the image", b);
  Shape mid = shape_of(6, s.d[0], s.d[1] / b, b, s.d[2] / b, b, s.d[3]);
  return reorder(n, x, &mid, (const int[]){0, 1, 3, 2, 4, 5});
}

bool tfl_import_depth_to_space(TflNode *n) {
  int64_t b;
  ValId x;
  Shape s;
  TRY(block_of(n, &b) && image_of(n, &x, &s));
  FAIL_IF(s.d[3] % (b * b), n->m->d, &n->loc, "block %" PRId64 " does not divide %" PRId64 " channels", b,
          s.d[3]);
  Shape mid = shape_of(6, s.d[0], s.d[1], s.d[2], b, b, s.d[3] / (b * b));
  return reorder(n, x, &mid, (const int[]){0, 1, 3, 2, 4, 5});
}

/* Blocks and the pairs before and after of the spatial axes 1 .. rank. */
static bool batch_lists(TflNode *n, const Shape *s, Ints *block, Ints *pairs) {
  TRY(tfl_ints(n, 1, block) && tfl_ints(n, 2, pairs));
  FAIL_IF(block->n < 1 || block->n > 2 || block->n + 1 > s->rank || s->rank + block->n > MAX_RANK ||
              pairs->n != 2 * block->n,
          n->m->d, &n->loc, "has %" PRId32 " block sizes and %" PRId32 " pads for %" PRId32 " dimensions",
          block->n, pairs->n, s->rank);
  for (int i = 0; i < block->n; i++)
    FAIL_IF(block->v[i] < 1 || block->v[i] > 1 << 15 || pairs->v[2 * i] < 0 || pairs->v[2 * i + 1] < 0 ||
                pairs->v[2 * i] > 1 << 24 || pairs->v[2 * i + 1] > 1 << 24,
            n->m->d, &n->loc, "has block %" PRId64 ", pads %" PRId64 " and %" PRId64, block->v[i],
            pairs->v[2 * i], pairs->v[2 * i + 1]);
  return true;
}

bool tfl_import_space_to_batch(TflNode *n) {
  Ints block, pairs;
  ValId x = tfl_moved(n, 0);
  TRY(x != NO_VAL);
  Shape s = shape_of_val(n, x), mid = {0};
  TRY(batch_lists(n, &s, &block, &pairs));
  pad_attrs a = {.pads = {.n = 2 * s.rank}};
  for (int i = 0; i < block.n; i++) {
    a.pads.v[1 + i] = pairs.v[2 * i];
    a.pads.v[s.rank + 1 + i] = pairs.v[2 * i + 1];
  }
  x = tfl_node1(n, OP_pad, &a, x);
  TRY(x != NO_VAL);
  s = shape_of_val(n, x);
  int perm[MAX_RANK], k = 0;
  mid.d[mid.rank++] = s.d[0];
  for (int i = 0; i < block.n; i++) {
    FAIL_IF(s.d[1 + i] % block.v[i], n->m->d, &n->loc, "block %" PRId64 " does not divide %" PRId64,
            block.v[i], s.d[1 + i]);
    mid.d[mid.rank++] = s.d[1 + i] / block.v[i];
    mid.d[mid.rank++] = block.v[i];
  }
  for (int i = 1 + block.n; i < s.rank; i++) mid.d[mid.rank++] = s.d[i];
  for (int i = 0; i < block.n; i++) perm[k++] = 2 + 2 * i;
  perm[k++] = 0;
  for (int i = 0; i < block.n; i++) perm[k++] = 1 + 2 * i;
  for (int i = 1 + 2 * block.n; i < mid.rank; i++) perm[k++] = i;
  return reorder(n, x, &mid, perm);
}

bool tfl_import_batch_to_space(TflNode *n) {
  Ints block, crops;
  ValId x = tfl_moved(n, 0);
  TRY(x != NO_VAL);
  Shape s = shape_of_val(n, x), mid = {0}, whole = s;
  TRY(batch_lists(n, &s, &block, &crops));
  int64_t count = 1;
  for (int i = 0; i < block.n; i++) count *= block.v[i];
  FAIL_IF(s.d[0] % count, n->m->d, &n->loc, "blocks of %" PRId64 " do not divide a batch of %" PRId64, count,
          s.d[0]);
  for (int i = 0; i < block.n; i++) mid.d[mid.rank++] = block.v[i];
  mid.d[mid.rank++] = whole.d[0] = s.d[0] / count;
  for (int i = 1; i < s.rank; i++) mid.d[mid.rank++] = s.d[i];
  int perm[MAX_RANK], k = 0;
  perm[k++] = block.n;
  for (int i = 0; i < block.n; i++) {
    perm[k++] = block.n + 1 + i;
    perm[k++] = i;
    whole.d[1 + i] *= block.v[i];
  }
  for (int i = 1 + block.n; i < s.rank; i++) perm[k++] = block.n + i;
  x = tfl_reshape(n, x, &mid);
  TRY(x != NO_VAL);
  x = transpose(n, x, perm, mid.rank);
  TRY(x != NO_VAL);
  x = tfl_reshape(n, x, &whole);
  TRY(x != NO_VAL);
  slice_attrs a = {0};
  a.starts.n = a.counts.n = a.steps.n = s.rank;
  for (int i = 0; i < s.rank; i++) {
    bool cut = i >= 1 && i <= block.n;
    a.starts.v[i] = cut ? crops.v[2 * (i - 1)] : 0;
    a.counts.v[i] = whole.d[i] - (cut ? crops.v[2 * (i - 1)] + crops.v[2 * (i - 1) + 1] : 0);
    a.steps.v[i] = 1;
    FAIL_IF(a.counts.v[i] < 1, n->m->d, &n->loc, "crops all of axis %d", i);
  }
  return tfl_emit(n, OP_slice, &a, &x, 1);
}

/* -- constants of the shape alone -- */

static bool bind_const(TflNode *n, DType t, const void *data) {
  const TflTensor *out = tfl_out_tensor(n, 0);
  return tfl_bind(n, 0, graph_const_data(n->m->g, out->name, t, &out->shape, data));
}

bool tfl_import_shape(TflNode *n) {
  FAIL_IF(!tfl_has(n, 0), n->m->d, &n->loc, "input 0 is left out; the operator needs it");
  const TflTensor *x = tfl_in_tensor(n, 0), *out = tfl_out_tensor(n, 0);
  int32_t narrow[MAX_RANK];
  FAIL_IF(shape_count(&out->shape) != x->shape.rank || (out->dtype != DT_I32 && out->dtype != DT_I64),
          n->m->d, &n->loc, "writes %" PRId64 " elements of %s for %" PRId32 " dimensions",
          shape_count(&out->shape), dtype_name(out->dtype), x->shape.rank);
  for (int i = 0; i < x->shape.rank; i++) narrow[i] = (int32_t)x->shape.d[i];
  return bind_const(n, out->dtype, out->dtype == DT_I32 ? (const void *)narrow : (const void *)x->shape.d);
}

bool tfl_import_rank(TflNode *n) {
  FAIL_IF(!tfl_has(n, 0), n->m->d, &n->loc, "input 0 is left out; the operator needs it");
  const TflTensor *out = tfl_out_tensor(n, 0);
  FAIL_IF(out->dtype != DT_I32 || shape_count(&out->shape) != 1, n->m->d, &n->loc, "writes %s; want one i32",
          dtype_name(out->dtype));
  return bind_const(n, DT_I32, &(int32_t){tfl_in_tensor(n, 0)->shape.rank});
}

/* FILL (dimensions, value) and ZEROS_LIKE. */
static bool filled(TflNode *n, const uint8_t *value) {
  const TflTensor *out = tfl_out_tensor(n, 0);
  size_t size = dtype_size(out->dtype), count = (size_t)shape_count(&out->shape);
  TRY(tfl_may_make(n->m, (int64_t)count, size, &n->loc));
  unsigned char *data = mem_zalloc(count * size + 1);
  for (size_t i = 0; value && i < count; i++) memcpy(data + i * size, value, size);
  bool ok = bind_const(n, out->dtype, data);
  mem_free(data);
  return ok;
}

bool tfl_import_fill(TflNode *n) {
  FAIL_IF(!tfl_has(n, 1), n->m->d, &n->loc, "input 1 is left out; the operator needs it");
  const TflTensor *v = tfl_in_tensor(n, 1), *out = tfl_out_tensor(n, 0);
  FAIL_IF(v->dtype != out->dtype || shape_count(&v->shape) != 1, n->m->d, &n->loc, "fills %s with %s",
          dtype_name(out->dtype), dtype_name(v->dtype));
  TRY(tfl_same_quant(n, v, out));
  if (v->data) return filled(n, v->data);
  ValId x = tfl_moved(n, 1);
  Shape one = {.rank = out->shape.rank};
  for (int i = 0; i < one.rank; i++) one.d[i] = 1;
  if (x != NO_VAL) x = tfl_reshape(n, x, &one);
  for (int i = 0; x != NO_VAL && i < one.rank; i++) x = pick_by(n, x, i, out->shape.d[i], index_repeat, 0);
  return x != NO_VAL && tfl_bind(n, 0, x);
}

bool tfl_import_zeros_like(TflNode *n) {
  const TflTensor *out = tfl_out_tensor(n, 0);
  uint8_t zero[8] = {0};
  if (out->quant.n == 1) zero[0] = (uint8_t)out->quant.zero[0];
  return filled(n, zero);
}
