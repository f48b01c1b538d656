/* What the lowering functions share: views, rows, quantization, strided blocks. */
#ifndef IR_LOWER_LOWER_UTIL_H
#define IR_LOWER_LOWER_UTIL_H

#include "ir/lower.h"
#include "ir/ops/ops.h"

/* How a tensor is cut for an elementwise kernel: rank 3 and more: items [d0], rows [d1], the rest in a row; rank 2:
 * rows [d0]; below: one row. Images so have lines as rows, as convolutions do. */
typedef struct Rows {
  int32_t batch, rows, n;
} Rows;
Rows rows_of(const Shape *s);
/* Rows of everything before `axis`, everything from it on in a row. */
Rows rows_before(const Shape *s, int axis);

/* A call of a one-input kernel over rows of equal cut; in and out may differ in element size. */
KernelCall *call_rows(const Graph *g, const Node *n, Calls *out, const char *kernel, Rows r);
/* The same for functions of one element with attributes p and q: kernel "NAME_DTYPE". */
bool lower_unary_plain(const Graph *g, const Node *n, const char *name, float p, float q, Calls *out);
/* The ending of kernels' names on plain elements of that type: "f32", "s8", ... */
const char *kernel_suffix(DType t);
/* The view of value v cut into rows. */
CallView view_rows(const Graph *g, ValId v, Rows r);

static inline NodeId node_id(const Graph *g, const Node *n) { return (NodeId)(n - g->nodes); }

/* Report unless every tensor among `count` first inputs and the output is quantized per tensor with a sane scale. */
bool want_quant(const Graph *g, const Node *n, uint32_t count, Diag *d);
bool want_quant_inputs(const Graph *g, const Node *n, uint32_t count, Diag *d); /* the inputs alone */
/* The same of codes that are computed on: int16 ones have zero point 0. */
bool want_codes(const Graph *g, const Node *n, uint32_t count, Diag *d);
/* Limits of a fused activation on y, int8 or int16. */
void act_range_codes(Act act, const Value *y, int32_t *lo, int32_t *hi);
static inline float scale_of(const Value *v) { return v->quant.scale[0]; }
static inline int32_t zero_of(const Value *v) { return v->quant.zero[0]; }

/* Multiplier and shift of 64-bit sums (mf_requantize_wide), and their bias, input 2; false: reported. */
bool wide_multiplier(const Node *n, double real, int32_t *mult, int32_t *shift, Diag *d);
bool wide_bias(const Graph *g, const Node *n, KernelCall *k, Diag *d);

/* Report unless input i is a constant: parameters of a kernel. */
bool want_const(const Graph *g, const Node *n, uint32_t i, Diag *d);

/* zero + round(real / scale), halves away from zero, limited to lo .. hi; infinities are limits. */
int32_t quantize_limit(float real, float scale, int32_t zero, int32_t lo, int32_t hi);

/* A block of elements to be copied: strides in bytes, offsets from the values' starts. */
typedef struct Block {
  ValId from, to;
  int rank;
  int64_t dims[MAX_RANK], src[MAX_RANK], dst[MAX_RANK];
  int64_t src_offset, dst_offset;
  int32_t elem;
} Block;
/* Bytes from one index to the next along each axis of a dense tensor. */
void dense_strides(const Shape *s, int64_t elem, int64_t stride[MAX_RANK]);
/* Append the copy (none when the block is empty): axis 0 of rank >= 3 becomes the batch, the next one the rows. */
bool lower_block(const Graph *g, const Node *n, const Block *b, Calls *out, Diag *d);

/* -- lower_nibbles.c -- */
/* Weights of i4, input 1, as the call's constant "w" (runtime/kernels/nibbles.h); returns the channels' distance in weights. */
int32_t const_nibbles(const Graph *g, const Node *n, int64_t outs, KernelCall *k, Arena *a);

/* -- lower_unary_s16.c -- */
bool lower_curve_s16(const Graph *g, const Node *n, const char *kernel, int most_left, Calls *out, Diag *d);
bool lower_leaky_relu_s16(const Graph *g, const Node *n, Calls *out, Diag *d);
bool lower_softmax_s16(const Graph *g, const Node *n, Rows r, int32_t extent, Calls *out, Diag *d);

/* -- lower_even.c: ONNX's rounding, or none -- */
/* A convolution, or a FullyConnected as one of a window of one, with the strides of its weights (mf_conv_s8_even). */
typedef struct EvenConv {
  mf_window window;
  int32_t groups, w_tap, w_out;
  Act act;
  int32_t rounding; /* ROUND_ONNX or ROUND_SUMS */
  Rows in, out;
} EvenConv;
bool lower_conv_even(const Graph *g, const Node *n, const EvenConv *c, Calls *out, Diag *d);
/* Strides (elements) of s along the axes of `out`; 0 where it is broadcast. */
void broadcast_strides(const Shape *s, const Shape *out, int64_t stride[MAX_RANK]);

/* Merge axes i, i+1 of dims[first .. *rank-1] wherever all `count` stride lists run on; axes of extent 1 vanish. */
void merge_axes(int first, int *rank, int64_t *dims, int64_t *const *strides, int count);

#endif
