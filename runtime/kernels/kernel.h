/* The kernel interface. This text ships in generated code: freestanding C99, nothing else of ours.
 *
 * Every compute kernel has one signature:
 *
 *   void NAME__SET(const void *params, const mf_view *in, const mf_view *out,
 *                  int32_t y0, int32_t y1, void *scratch);
 *
 *   params   the operator's struct below: shapes, constants, weights with their strides
 *   in, out  one view per tensor
 *   y0, y1   the output rows to compute, y0 <= y < y1; a kernel writes these rows and no other byte
 *   scratch  as many bytes as the kernel's scratch function asks for (NULL when that is 0)
 *
 * What a row is: of an image [H,W,C] it is one line, [W,C]; of every other tensor the kernel's header says.
 * Two kinds, avg_rows and mean_rows, take rows of their input instead, each once and in order, and write with the last.
 * The batch is a loop outside: a kernel sees one image.
 *
 *   view of a whole tensor            view of a ring of 3 rows, of which row y lies at base + (y % 3) * row
 *   base -> | row 0 | row 1 | ...     base -> | row 3 | row 4 | row 2 |
 *
 * Weight strides let a narrower variant read a slice of wider weights: element (o, tap, i) of a
 * convolution lies at w[o * w_out + tap * w_tap + i].
 */
#ifndef MF_KERNEL_H
#define MF_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/kernels/custom.h"

#ifndef MF_KERNEL /* generated code defines it as static MF_UNUSED: a file may hold kernels that a model does not use */
#define MF_KERNEL
#endif

/* Helpers: MF_HELPER may be called or inlined; MF_INLINE is always inlined, where a constant argument (an
 * operator, a function) must vanish. Unused ones do not warn, since generated code is one file. */
#ifdef __GNUC__
#define MF_ALIAS \
  __attribute__((may_alias)) /* an access that may alias any type, where bytes are moved as words */
#define MF_UNUSED   __attribute__((unused))
#define MF_ALIGN(n) __attribute__((aligned(n)))
#define MF_SPECIAL  __attribute__((noinline, flatten)) static /* a kernel inlined with one layer's params */
#define MF_INLINE   static inline __attribute__((always_inline, unused))
#else
#define MF_ALIAS
#define MF_UNUSED
#define MF_ALIGN(n) _Alignas(n)
#define MF_SPECIAL  static
#define MF_INLINE   static inline
#endif
#define MF_HELPER MF_UNUSED static inline

typedef struct mf_view {
  void *base;   /* row 0 (of a ring: slot 0); inputs are only read */
  int32_t row;  /* bytes from one row to the next */
  int32_t ring; /* rows held; 0: all of them */
} mf_view;

typedef void mf_kernel_fn(const void *params, const mf_view *in, const mf_view *out, int32_t y0, int32_t y1,
                          void *scratch);

/* The address of row y. */
MF_HELPER void *mf_row(const mf_view *v, int32_t y) {
  return (char *)v->base + (ptrdiff_t)(v->ring ? y % v->ring : y) * v->row;
}

/* A window that slides over an image. Sizes in elements. */
typedef struct mf_window {
  int32_t in_h, in_w, in_c, out_h, out_w, out_c;
  int32_t k_h, k_w, stride_h, stride_w, pad_top, pad_left, dil_h, dil_w;
} mf_window;

/* The taps k of one axis, mf_tap_begin <= k < mf_tap_end, whose positions origin + k * dil lie in 0 .. size-1;
 * origin = position * stride - padding. An empty range has end <= begin. */
MF_HELPER int32_t mf_tap_begin(int32_t origin, int32_t dil) {
  if (origin >= 0) return 0;
  return dil == 1 ? -origin : (dil - 1 - origin) / dil;
}
MF_HELPER int32_t mf_tap_end(int32_t origin, int32_t dil, int32_t k, int32_t size) {
  const int32_t left = size - origin; /* positions from the origin to the border */
  const int32_t end = dil == 1 || left <= 0 ? left : (left + dil - 1) / dil;
  return end < k ? end : k;
}

/* Conv and DepthwiseConv. in: x [in_h][in_w][in_c]; out: y [out_h][out_w][out_c]; a row is a line.
 * Conv: output channel o of group g = o / (out_c / groups) reads channels of that group alone.
 * Depthwise: tap (ky,kx) of channel o lies at w[(ky * k_w + kx) * w_tap + o], w_out unused. */
typedef struct mf_conv_f32 {
  mf_window g;
  int32_t groups, w_tap, w_out;
  float lo, hi;          /* output limits of the fused activation */
  const float *w, *bias; /* bias may be NULL */
} mf_conv_f32;

/* int8: acc = bias + sum (x - in_zero) * w; y = clamp(out_zero + requantize(acc, mult[o], shift[o]), lo, hi).
 * mult: Q31 multipliers; shift: left shift where positive. Rounding: TFLM's double rounding. */
typedef struct mf_conv_s8 {
  mf_window g;
  int32_t groups, w_tap, w_out;
  int32_t in_zero, out_zero, lo, hi;
  const int8_t *w;
  const int32_t *bias; /* may be NULL */
  const int32_t *mult;
  const int8_t *shift;
} mf_conv_s8;

/* int16 x and y (zero points 0), int8 weights: acc = bias + sum x * w in 64 bits; y = clamp(acc * mult[o] * 2^(shift[o] -
 * 15), lo, hi), rounded once. mult: reduced multipliers, 0 .. 2^15-1; shift -31 .. 7. |bias| < 2^46. The form with int32
 * sums has mf_conv_s8's params. */
typedef struct mf_conv_s16 {
  mf_window g;
  int32_t groups, w_tap, w_out, lo, hi;
  const int8_t *w;
  const int64_t *bias; /* may be NULL */
  const int32_t *mult;
  const int8_t *shift;
} mf_conv_s16;

/* Conv, DepthwiseConv and FullyConnected, int8, with ONNX's rounding or without any: acc = bias + sum (x - in_zero) *
 * (w - w_zero[o]); y = clamp(out_zero + round(acc * scale[o]), lo, hi), halves to even, or acc itself as int32. Element
 * (o, tap, i) of the weights lies at w[o * w_out + tap * w_tap + i]. */
typedef struct mf_conv_s8_even {
  mf_window g;
  int32_t groups, w_tap, w_out;
  int32_t in_zero, out_zero, lo, hi;
  const int8_t *w;
  const int32_t *bias, *w_zero; /* may be NULL */
  const float *scale;           /* NULL for sums */
} mf_conv_s8_even;

/* ConvTranspose: the window goes from the output to the input: output line y takes input line i through tap ky where
 * i * stride_h - pad_top + ky * dil_h == y. in: x, weights [out_c][k_h][k_w][in_c / groups], bias [out_c]. */
typedef struct mf_conv_transpose {
  mf_window g;
  int32_t groups, has_bias;
  float lo, hi;
} mf_conv_transpose;

/* int8: weights and bias are constants, mult and shift as of mf_conv_s8. */
typedef struct mf_conv_transpose_s8 {
  mf_window g;
  int32_t groups, in_zero, out_zero, lo, hi;
  const int8_t *w;
  const int32_t *bias; /* may be NULL */
  const int32_t *mult;
  const int8_t *shift;
} mf_conv_transpose_s8;
size_t mf_conv_transpose_s8_scratch(const void *params);

/* FullyConnected: x [rows][k], w [n][k], y [rows][n]; a row is one vector. */
typedef struct mf_fc_f32 {
  int32_t k, n, w_out;
  float lo, hi;
  const float *w, *bias;
} mf_fc_f32;

typedef struct mf_fc_s8 {
  int32_t k, n, w_out;
  int32_t in_zero, w_zero, out_zero, lo, hi;
  int32_t per_channel; /* 1: mult[n], shift[n]; 0: one of each */
  const int8_t *w;
  const int32_t *bias, *mult;
  const int8_t *shift;
} mf_fc_s8;

/* int16 x and y, int8 weights, 64-bit sums: as mf_conv_s16. */
typedef struct mf_fc_s16 {
  int32_t k, n, w_out, w_zero, lo, hi;
  int32_t per_channel; /* 1: mult[n], shift[n]; 0: one of each */
  const int8_t *w;
  const int64_t *bias;
  const int32_t *mult;
  const int8_t *shift;
} mf_fc_s16;

/* MatMul: x [rows][k], y [rows][n]; in[1] is the right factor [k][n], of which a row is one line too. */
typedef struct mf_matmul_f32 {
  int32_t k, n;
} mf_matmul_f32;

/* The same of int8 with ONNX's rounding: y = clamp(out_zero + round(acc * scale), lo, hi), or the sum itself. */
typedef struct mf_matmul_s8_even {
  int32_t k, n, a_zero, b_zero, out_zero, lo, hi;
  float scale;
} mf_matmul_s8_even;

/* The same with TFLite's: y = clamp(out_zero + requantize(acc, mult, shift), lo, hi). */
typedef struct mf_matmul_s8 {
  int32_t k, n, a_zero, b_zero, out_zero, mult, shift, lo, hi;
} mf_matmul_s8;

/* The same of int16, zero points 0: y = sum * mult * 2^(shift - 15), rounded once; mult reduced, as mf_conv_s16's. */
typedef struct mf_matmul_s16 {
  int32_t k, n, mult, shift;
} mf_matmul_s16;

/* Pools; out_c == in_c. */
typedef struct mf_pool_f32 {
  mf_window g;
  int32_t count_include_pad;
  float lo, hi;
} mf_pool_f32;

typedef struct mf_pool_s8 {
  mf_window g;
  int32_t lo, hi;
} mf_pool_s8;

/* MaxPool's indices, int64: place iy * row_step + ix * col_step of the largest element of each window. */
typedef struct mf_pool_index {
  mf_window g;
  int32_t row_step, col_step;
} mf_pool_index;

enum { MF_MAX_DIMS = 6 };

/* Step the index over axes first .. last, the last fastest; 0 when it has come round to all zeros. */
MF_HELPER int32_t mf_next(int32_t *index, const int32_t *dims, int32_t first, int32_t last) {
  int32_t axis;
  for (axis = last; axis >= first; axis--) {
    if (++index[axis] < dims[axis]) return 1;
    index[axis] = 0;
  }
  return 0;
}
/* Sum of index times stride over axes first .. last. */
MF_HELPER int32_t mf_offset(const int32_t *index, const int32_t *stride, int32_t first, int32_t last) {
  int32_t axis, sum = 0;
  for (axis = first; axis <= last; axis++) sum += index[axis] * stride[axis];
  return sum;
}

/* Reductions. Output: dims[0] rows (a row is dense), in each the axes dims[1 .. rank-1]; every output element
 * comes from the axes rdims[0 .. rrank-1] of the input. Strides of the input in elements; its views' row is not
 * used. ReduceMean, int8: y = clamp(out_zero + requantize(sum - count * in_zero, mult, shift)), 1/count in the multiplier. */
typedef struct mf_mean {
  int32_t rank, rrank;
  int32_t dims[MF_MAX_DIMS], src[MF_MAX_DIMS], rdims[MF_MAX_DIMS], rsrc[MF_MAX_DIMS];
  int32_t count; /* product of rdims */
  int32_t in_zero, out_zero, mult, shift;
} mf_mean;

/* Strided copy of a block of elements: Transpose, Slice, Concat, Pad.
 * dims[0] is the row axis: element (i0, .., i5) goes from in byte offset sum i*src[] to out offset sum i*dst[].
 * The views' row is not used: src[0] and dst[0] are. Strides in bytes, may be negative (src). rank >= 2. */
typedef struct mf_copy {
  int32_t rank, elem; /* elem: bytes of one element: 1, 2, 4, 8 */
  int32_t dims[MF_MAX_DIMS], src[MF_MAX_DIMS], dst[MF_MAX_DIMS];
} mf_copy;

/* Fill rows of `n` elements with a constant (Pad). */
typedef struct mf_fill {
  int32_t n, elem;
  int32_t value_lo, value_hi; /* the element's bits, little-endian, low and high word */
} mf_fill;

/* Gather: out row r = block of `block` bytes number index[r]; in[0] the data, in[1] indices (i64 or i32).
 * Rows are index positions; `outer` repeats. Negative indices count from the end. */
typedef struct mf_gather {
  int32_t outer, axis_len, count, block, index_bytes;
} mf_gather;

/* GatherElements: out [dims], dense; element (i0, .., i5) is in[0]'s at the same place, but for axis `axis`, where
 * in[1] (dense, of out's shape) names the place: below 0 counts from the end. dims[0] is the row axis; src: strides of
 * in[0] in bytes, whose view's row is not used. */
typedef struct mf_gather_elements {
  int32_t rank, elem, axis, axis_len, index_bytes;
  int32_t dims[MF_MAX_DIMS], src[MF_MAX_DIMS];
} mf_gather_elements;

/* GatherND: output row r is the block of `block` bytes at sum index[r][j] * stride[j] (bytes) of table r / count of
 * in[0], a table being `table` bytes; in[1] holds indices [rows][depth] below dims[j] (below 0: from the end). */
typedef struct mf_gather_nd {
  int32_t count, depth, block, table, index_bytes;
  int32_t dims[MF_MAX_DIMS], stride[MF_MAX_DIMS];
} mf_gather_nd;

/* ScatterElements, ScatterND: the output, one row of `total` bytes, is in[0] with the elements that in[1] names replaced
 * by in[2]'s, or joined with them. type: MF_F32, MF_I32, MF_I64, looked at where elements are joined. */
enum { MF_SCATTER_SET, MF_SCATTER_ADD, MF_SCATTER_MUL, MF_SCATTER_MAX, MF_SCATTER_MIN };
/* in[1], in[2] [dims], dense; dst: strides of the output in bytes. */
typedef struct mf_scatter_elements {
  int32_t total, elem, type, reduce, index_bytes, rank, axis, axis_len;
  int32_t dims[MF_MAX_DIMS], dst[MF_MAX_DIMS];
} mf_scatter_elements;
/* in[1] [count][depth], in[2] [count] blocks of `block` elements; dims, stride as those of GatherND. */
typedef struct mf_scatter_nd {
  int32_t total, elem, type, reduce, index_bytes, count, depth, block;
  int32_t dims[MF_MAX_DIMS], stride[MF_MAX_DIMS];
} mf_scatter_nd;

/* TopK: a row holds [n][inner] elements of `type` (MF_F32, MF_I32, MF_I64); its output [k][inner] indices, int64. */
typedef struct mf_top_k {
  int32_t n, k, inner, largest, type;
} mf_top_k;

/* Trilu: a row is a line of a matrix, n elements of `elem` bytes; kept are columns >= row + k (upper) or <= row + k. */
typedef struct mf_trilu {
  int32_t n, elem, upper, k;
} mf_trilu;

/* WeightedGather: a row holds in_len blocks of `inner` elements, an output row out_len: block o is
 * bias[o] + sum over t of weight[o * taps + t] * x[index[o * taps + t]]. */
typedef struct mf_weighted_gather {
  int32_t in_len, out_len, taps, inner;
  const int32_t *index;
  const float *weight, *bias; /* bias may be NULL */
} mf_weighted_gather;

/* Elementwise with broadcasting: dims[0] is the row axis, rank >= 2; strides in elements, 0 where broadcast. Along the
 * row axis only that counts: row y of an input is mf_row(in, y), or mf_row(in, 0) where a[0] (b[0]) is 0. An output
 * row is dense. */
typedef struct mf_binary {
  int32_t rank;
  int32_t dims[MF_MAX_DIMS], a[MF_MAX_DIMS], b[MF_MAX_DIMS];
  float lo, hi; /* f32 kernels: limits of the fused activation */
} mf_binary;

/* Comparisons: as mf_binary, to one byte an element. */
typedef struct mf_compare {
  int32_t rank;
  int32_t dims[MF_MAX_DIMS], a[MF_MAX_DIMS], b[MF_MAX_DIMS];
} mf_compare;

/* Where: as mf_binary, with strides of the condition too (in[0]: condition, in[1], in[2]: a, b). */
typedef struct mf_where {
  int32_t rank;
  int32_t dims[MF_MAX_DIMS], a[MF_MAX_DIMS], b[MF_MAX_DIMS], c[MF_MAX_DIMS];
  int32_t elem; /* bytes of one element: 1, 2, 4, 8 */
} mf_where;

/* int8 Add and Sub (TFLite: both inputs brought to one scale after `left_shift`, multiplied, summed, rounded). */
typedef struct mf_add_s8 {
  int32_t rank;
  int32_t dims[MF_MAX_DIMS], a[MF_MAX_DIMS], b[MF_MAX_DIMS];
  int32_t a_zero, b_zero, out_zero, left_shift;
  int32_t a_mult, a_shift, b_mult, b_shift, out_mult, out_shift; /* b_mult < 0: Sub */
  int32_t lo, hi;
} mf_add_s8;

typedef struct mf_mul_s8 {
  int32_t rank;
  int32_t dims[MF_MAX_DIMS], a[MF_MAX_DIMS], b[MF_MAX_DIMS];
  int32_t a_zero, b_zero, out_zero, out_mult, out_shift, lo, hi;
} mf_mul_s8;

/* Unary, `n` elements a row. p, q: the operator's attributes (limits, slope, ...). */
typedef struct mf_unary_f32 {
  int32_t n;
  float p, q;
} mf_unary_f32;

/* Any int8 -> int8 function by table: y = table[x + 128]. */
typedef struct mf_lut_s8 {
  int32_t n;
  const int8_t *table; /* [256] */
} mf_lut_s8;

/* Functions of int16. Sigmoid and Tanh: mf_sigmoid16's, mf_tanh16's factor. LeakyRelu: factors of x >= 0 and x < 0. */
typedef struct mf_curve_s16 {
  int32_t n, mult, shift;
} mf_curve_s16;
typedef struct mf_leaky_s16 {
  int32_t n, mult, shift, neg_mult, neg_shift;
} mf_leaky_s16;

/* SequenceLstm, one sequence: in: x [steps][inputs], h [size], c [size]; out [steps + 1][size]: h after each step, then c. A row
 * is one of these. Weights of the gates input, forget, cell, output one behind the other: w [4][size][inputs],
 * r [4][size][size], bias [4][size]. A range of rows is computed from the first step on. */
typedef struct mf_seq_lstm_f32 {
  int32_t steps, inputs, size;
  float clip; /* of the cell; 0: none */
  const float *w, *r, *bias;
} mf_seq_lstm_f32;

/* int8 x and h, int16 c, gates and output; the reference's fixed point. mult, shift: [0..3] of x by w, [4..7] of h by r,
 * 8 of forget by cell, 9 of input by cell gate, 10 of output gate by tanh. cell_log2: c's scale is 2^cell_log2. */
typedef struct mf_seq_lstm_s8 {
  int32_t steps, inputs, size;
  int32_t x_zero, h_zero, clip, cell_log2;
  const int8_t *w, *r;
  const int32_t *bias, *mult;
  const int8_t *shift;
} mf_seq_lstm_s8;

/* The same of int16 x and h, zero points 0, whose gates' sums have 64 bits: mult[0..7] reduced, as mf_conv_s16's. */
typedef struct mf_seq_lstm_s16 {
  int32_t steps, inputs, size, clip, cell_log2;
  const int8_t *w, *r;
  const int64_t *bias;
  const int32_t *mult;
  const int8_t *shift;
} mf_seq_lstm_s16;

size_t mf_seq_lstm_s16_scratch(const void *params);
size_t mf_seq_lstm_f32_scratch(const void *params);
size_t mf_seq_lstm_s8_scratch(const void *params);

/* SvdfState: in: state [filters][memory], x [inputs], w [filters][inputs]; Svdf: in: state, time weights
 * [filters][memory]; out y [filters / rank]. A row is one batch item; w and time weights are whole tensors. */
typedef struct mf_svdf_f32 {
  int32_t inputs, filters, memory, rank;
  float lo, hi;
  const float *bias; /* [filters / rank], may be NULL */
} mf_svdf_f32;

/* wide: bytes of a state's element (and a time weight's), 1 or 2. state_zero is the state's, out_zero the output's. */
typedef struct mf_svdf_s8 {
  int32_t inputs, filters, memory, rank, wide;
  int32_t in_zero, state_zero, out_zero, mult, shift;
  const int32_t *bias;
} mf_svdf_s8;

/* The same with a table for each of the c innermost indices: y[i] = table[(i % c) * 256 + x[i] + 128]. */
typedef struct mf_lut_axis_s8 {
  int32_t n, c;
  const int8_t *table; /* [c][256] */
} mf_lut_axis_s8;

/* Cast: n elements a row, from one element type to another (runtime/kernels/element.h says what each is). saturate,
 * round: of float8 and E8M0. */
enum {
  MF_F32,
  MF_F64,
  MF_I8,
  MF_U8,
  MF_I16,
  MF_I32,
  MF_I64,
  MF_BOOL,
  MF_U16,
  MF_U32,
  MF_U64,
  MF_I4,
  MF_U4,
  MF_I2,
  MF_U2,
  MF_F16, /* from here on small floats */
  MF_BF16,
  MF_E4M3,
  MF_E4M3UZ,
  MF_E5M2,
  MF_E5M2UZ,
  MF_E8M0,
  MF_E2M1
};
typedef struct mf_cast {
  int32_t n, from, to, saturate, round;
} mf_cast;

/* Quantize, Dequantize, requantize, FakeQuant. */
typedef struct mf_quant {
  int32_t n;
  float scale;
  int32_t zero, lo, hi;
} mf_quant;

typedef struct mf_requant {
  int32_t n, in_zero, out_zero, mult, shift, lo, hi;
} mf_requant;

/* Dequantize with a scale per slice: element i has scale and zero point number (i / inner) % c. from: MF_I8, ... */
typedef struct mf_dequant_axis {
  int32_t n, c, inner, from;
  const float *scale;
  const int32_t *zero;
} mf_dequant_axis;

/* Softmax: a row holds [n][inner] elements, summed to 1 over n. int8: inner is 1, TFLite's fixed-point form. */
typedef struct mf_softmax_f32 {
  int32_t n, inner;
  float beta;
} mf_softmax_f32;

typedef struct mf_softmax_s8 {
  int32_t n, mult, shift, diff_min;
} mf_softmax_s8;

/* LogSoftmax, int8: mult and shift scale a difference of codes to Q5.26, back_mult and back_shift back again. */
typedef struct mf_log_softmax_s8 {
  int32_t n, mult, shift, diff_min, back_mult, back_shift;
} mf_log_softmax_s8;

typedef struct mf_l2_normalization_s8 {
  int32_t n, in_zero;
} mf_l2_normalization_s8;

/* ResizeBilinear, int8: [in_h][in_w][c] to [out_h][out_w][c]. Output line i is at i * scale / 1024 of the input; half: at
 * (i + 1/2) * scale / 1024 - 1/2. A row is a line. */
typedef struct mf_resize_bilinear_s8 {
  int32_t in_h, in_w, c, out_h, out_w, scale_h, scale_w, half;
} mf_resize_bilinear_s8;

/* int16: interpolated tables [513] of exp(x), x in -10 .. 0, and of 1 / (1 + x), x in 0 .. 1, both Q0.15. */
typedef struct mf_softmax_s16 {
  int32_t n, mult, shift;
  const int16_t *exp, *inverse;
} mf_softmax_s16;

/* ArgMax, ArgMin, CumSum: a row holds [n][inner] elements and works along n; outputs [inner] and [n][inner]. */
typedef struct mf_arg {
  int32_t n, inner, last; /* last: 1: of equal elements the last one */
} mf_arg;

typedef struct mf_cum {
  int32_t n, inner, exclusive, reverse;
} mf_cum;

/* Recurrent layers: a row is one sequence (item of the batch). in[0]: x's share of the gates, [steps][items][gates *
 * hidden] (batch_first: [items][steps]); in[1]: recurrent weights [gates * hidden][hidden]; then those inputs that `given` names, in this order. The
 * output row holds the hidden state after each step, then the last state (Lstm: hidden, cell): [steps + 1 (+ 1)][hidden].
 * Steps past a sequence's length give 0. Gates: Lstm i,o,f,c; Gru z,r,h; Rnn one. */
enum { MF_GIVEN_HIDDEN = 1, MF_GIVEN_CELL = 2, MF_GIVEN_EXTRA = 4, MF_GIVEN_LENGTHS = 8 };
enum {
  MF_ACT_SIGMOID,
  MF_ACT_TANH,
  MF_ACT_RELU,
  MF_ACT_AFFINE,
  MF_ACT_LEAKY_RELU,
  MF_ACT_THRESHOLDED_RELU,
  MF_ACT_SCALED_TANH,
  MF_ACT_HARD_SIGMOID,
  MF_ACT_ELU,
  MF_ACT_SOFTSIGN,
  MF_ACT_SOFTPLUS
};
typedef struct mf_recurrent {
  int32_t steps, items, hidden, given, reverse, variant; /* Lstm: input_forget; Gru: linear_before_reset */
  int32_t batch_first;
  int32_t act_f, act_g, act_h;
  float alpha_f, alpha_g, alpha_h, beta_f, beta_g, beta_h, clip; /* clip 0: none */
} mf_recurrent;

/* A custom operator: fn is the user's. tensors: of each input, then of the output: type, rank, zero point, dimensions; inputs
 * that are left out (type 0) have no view. One row, the whole output. */
typedef struct mf_custom_call {
  int32_t n_in, n_ints, n_floats, scratch;
  const int32_t *tensors;
  const float *scales; /* [n_in + 1] */
  const int32_t *ints;
  const float *floats;
  mf_custom_fn *fn;
} mf_custom_call;
size_t mf_custom_scratch(const void *params);

/* BatchNormalization, unfused: y = x * scale[c] + offset[c]; rows of n elements, channels innermost
 * repeated every `c`: element i has channel (i / inner) % c. */
typedef struct mf_affine_f32 {
  int32_t n, c, inner;
  const float *scale, *offset;
} mf_affine_f32;

#endif
