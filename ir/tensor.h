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

bool npy_read(const char *path, Tensor *out, Diag *d);
bool npy_write(const char *path, const Tensor *t, Diag *d);

#endif
