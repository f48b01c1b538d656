/* Custom operators of neural networks made by mistify: what a function of yours is given (interface version 1).
 *
 *   void acme_swish(const mf_custom *op) {
 *     const float *x = op->in[0].data, beta = op->floats[0];
 *     float *y = op->out.data;
 *     for (int32_t i = 0, n = mf_tensor_count(&op->out); i < n; i++) y[i] = x[i] / (1 + expf(-beta * x[i]));
 *   }
 *
 * It is called once for each of its nodes in a run, with whole tensors; it writes every element of the output, and keeps
 * nothing from one call to the next.
 */
#ifndef MISTIFY_CUSTOM_H
#define MISTIFY_CUSTOM_H

#include <stdint.h>

/* Element types. Their numbers stay. */
enum {
  MF_TENSOR_NONE = 0, /* an optional input that is left out */
  MF_TENSOR_F32 = 1,
  MF_TENSOR_I8 = 2,
  MF_TENSOR_U8 = 3,
  MF_TENSOR_I16 = 4,
  MF_TENSOR_I32 = 5,
  MF_TENSOR_I64 = 6,
  MF_TENSOR_BOOL = 7,
  MF_TENSOR_F64 = 8,
  MF_TENSOR_U16 = 9,
  MF_TENSOR_U32 = 10,
  MF_TENSOR_U64 = 11
};

/* Elements lie dense, the last dimension's beside one another, in the model file's order of dimensions. */
typedef struct mf_tensor {
  void *data;          /* an input's is only read; NULL: left out */
  const int32_t *dims; /* [rank] */
  int32_t rank, type;
  float scale; /* of quantized elements: real = scale * (element - zero); 0: not quantized */
  int32_t zero;
} mf_tensor;

enum { MF_CUSTOM_IN = 6 }; /* inputs at most */

typedef struct mf_custom {
  const mf_tensor *in; /* [n_in] */
  mf_tensor out;
  int32_t n_in, n_ints, n_floats;
  const int32_t *ints; /* attributes, in the order that the list of custom operators gives them */
  const float *floats;
  void *scratch; /* as many bytes as the list asks for, aligned as int32_t; NULL: none */
} mf_custom;

typedef void mf_custom_fn(const mf_custom *op);

static inline int32_t mf_tensor_count(const mf_tensor *t) {
  int32_t i, n = 1;
  for (i = 0; i < t->rank; i++) n *= t->dims[i];
  return n;
}

#endif
