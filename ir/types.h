/* Types that every module shares: element types, shapes, quantization, ids. */
#ifndef IR_TYPES_H
#define IR_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(enumerator, name in the text form, bytes of one element, kind, bits of information)
 * Kinds: 'f' float that is computed on; 's' storage float (Cast, Quantize, Dequantize and what moves elements);
 * 'i', 'u' integers. Integers and floats below a byte take one byte each, integers extended to it. */
#define DTYPES(X)                         \
  X(DT_NONE, "none", 0, '-', 0)           \
  X(DT_F32, "f32", 4, 'f', 32)            \
  X(DT_I8, "i8", 1, 'i', 8)               \
  X(DT_U8, "u8", 1, 'u', 8)               \
  X(DT_I16, "i16", 2, 'i', 16)            \
  X(DT_I32, "i32", 4, 'i', 32)            \
  X(DT_I64, "i64", 8, 'i', 64)            \
  X(DT_BOOL, "bool", 1, 'u', 1)           \
  X(DT_F64, "f64", 8, 'f', 64)            \
  X(DT_U16, "u16", 2, 'u', 16)            \
  X(DT_U32, "u32", 4, 'u', 32)            \
  X(DT_U64, "u64", 8, 'u', 64)            \
  X(DT_F16, "f16", 2, 's', 16)            \
  X(DT_BF16, "bf16", 2, 's', 16)          \
  X(DT_F8E4M3, "f8e4m3fn", 1, 's', 8)     \
  X(DT_F8E4M3UZ, "f8e4m3fnuz", 1, 's', 8) \
  X(DT_F8E5M2, "f8e5m2", 1, 's', 8)       \
  X(DT_F8E5M2UZ, "f8e5m2fnuz", 1, 's', 8) \
  X(DT_F8E8M0, "f8e8m0", 1, 's', 8)       \
  X(DT_F4E2M1, "f4e2m1", 1, 's', 4)       \
  X(DT_I4, "i4", 1, 'i', 4)               \
  X(DT_U4, "u4", 1, 'u', 4)               \
  X(DT_I2, "i2", 1, 'i', 2)               \
  X(DT_U2, "u2", 1, 'u', 2)

#define X(id, name, size, kind, bits) id,
typedef enum DType { DTYPES(X) DT_COUNT } DType;
#undef X

const char *dtype_name(DType t);
size_t dtype_size(DType t);
char dtype_kind(DType t); /* 'f', 's', 'i', 'u' */
int dtype_bits(DType t);  /* of information: 1 for bool, 4 for i4 */
/* What quantized arithmetic has as activations: int8, or int16 of zero point 0. */
static inline bool dtype_is_code(DType t) { return t == DT_I8 || t == DT_I16; }
static inline bool dtype_is_int(DType t) { return dtype_kind(t) == 'i' || dtype_kind(t) == 'u'; }
/* The bits of element i, integers sign- or zero-extended; u64 as its two's complement. And back: the low bits. */
int64_t dtype_get(DType t, const void *data, int64_t i);
void dtype_set(DType t, void *data, int64_t i, int64_t v);
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

/* The same of numbers; and a C identifier. */
typedef struct Floats {
  int32_t n;
  float v[MAX_RANK * 2];
} Floats;
typedef struct Word {
  char s[64];
} Word;

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
