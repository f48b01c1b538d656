/* Tensor: dense host data with dtype and shape, and its .npy form (NumPy format 1.0 to 3.0, C order, little-endian). */
#ifndef IR_TENSOR_H
#define IR_TENSOR_H

#include "ir/base/diag.h"
#include "ir/types.h"

typedef struct Tensor {
  DType dtype;
  Shape shape;
  void *data; /* owned; mem_alloc_aligned 64 */
} Tensor;

Tensor tensor_new(DType t, const Shape *s); /* zeroed */
void tensor_free(Tensor *t);
size_t tensor_bytes(const Tensor *t);

/* Elements: f4, f8, i1, i2, i4, i8, u1, b1, in C order; anything else is refused with a reason. */
bool npy_read(const char *path, Tensor *out, Diag *d);
bool npy_write(const char *path, const Tensor *t, Diag *d);

/* The same from and to memory; `file` names it in messages. */
struct StrBuf;
bool npy_parse(const void *bytes, size_t n, const char *file, Tensor *out, Diag *d);
void npy_format(const Tensor *t, struct StrBuf *out);

#endif
