/* Types that every module shares: element types, shapes, quantization, ids. */
#ifndef IR_TYPES_H
#define IR_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(enumerator, name in the text form, bytes of one element) */
#define DTYPES(X)       \
  X(DT_NONE, "none", 0) \
  X(DT_F32, "f32", 4)   \
  X(DT_I8, "i8", 1)     \
  X(DT_U8, "u8", 1)     \
  X(DT_I16, "i16", 2)   \
  X(DT_I32, "i32", 4)   \
  X(DT_I64, "i64", 8)   \
  X(DT_BOOL, "bool", 1) \
  X(DT_F64, "f64", 8)

#define X(id, name, size) id,
typedef enum DType { DTYPES(X) DT_COUNT } DType;
#undef X

const char *dtype_name(DType t);
size_t dtype_size(DType t);
bool dtype_parse(const char *name, DType *out);

enum {
  MAX_RANK = 8,
  /* The one symbolic dimension: the batch, always the outermost. Written N in the text form. */
  DIM_BATCH = -1
};

typedef struct Shape {
  int32_t rank;
  int64_t d[MAX_RANK]; /* each >= 0, or DIM_BATCH (d[0] alone) */
} Shape;

/* A short list of integers: an attribute's value. */
typedef struct Ints {
  int32_t n;
  int64_t v[MAX_RANK * 2];
} Ints;

Shape shape_of(int rank, ...); /* each dimension an int64_t; shape_of(2, (int64_t)3, (int64_t)4) */
bool shape_equal(const Shape *a, const Shape *b);
bool shape_is_static(const Shape *s); /* no symbolic batch */
/* Elements, the batch counted as 1 where it is symbolic. Shapes in a verified graph never overflow. */
int64_t shape_count(const Shape *s);
/* Product of d[from .. to-1], the batch counted as 1. */
int64_t shape_count_range(const Shape *s, int from, int to);
/* Rank, dimensions and bytes within what the IR allows: dimensions up to INT32_MAX, DIM_BATCH at d[0] alone,
 * SHAPE_MAX_BYTES in all. */
#define SHAPE_MAX_BYTES ((int64_t)1 << 40)
bool shape_valid(const Shape *s, DType t);
/* "[N,3,32,32]" */
void shape_format(const Shape *s, char *buf, size_t n);

/* Affine quantization: real = scale * (q - zero). n == 0: not quantized. n == 1: per tensor.
 * n > 1: per slice along `axis` (n == shape.d[axis]). Arrays belong to the graph's arena. */
typedef struct Quant {
  int32_t n, axis;
  const float *scale;
  const int32_t *zero;
} Quant;

bool quant_equal(const Quant *a, const Quant *b);

/* Fused activation of Conv, DepthwiseConv, FullyConnected, Add, Sub, Mul, pools. */
typedef enum Act { ACT_NONE, ACT_RELU, ACT_RELU6, ACT_RELU_N1_TO_1, ACT_COUNT } Act;
const char *act_name(Act a); /* "none", "relu", "relu6", "relu_n1_to_1" */
bool act_parse(const char *name, Act *out);

typedef uint32_t ValId;  /* index into Graph.vals; 0 is no value */
typedef uint32_t NodeId; /* index into Graph.nodes; NO_NODE: none */
#define NO_VAL  ((ValId)0)
#define NO_NODE ((NodeId)UINT32_MAX)

#endif
