/* Custom operators: a function of the user's on whole tensors (runtime/kernels/custom.h). There is one row, the whole output. */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn custom__generic;
MF_KERNEL size_t mf_custom_scratch(const void *params);

MF_KERNEL size_t mf_custom_scratch(const void *params) {
  return (size_t)((const mf_custom_call *)params)->scratch;
}

/* What the list says of a tensor, and the list behind it. */
MF_HELPER const int32_t *mf_custom_tensor(mf_tensor *t, const int32_t *list, float scale) {
  t->type = list[0];
  t->rank = list[1];
  t->zero = list[2];
  t->dims = list + 3;
  t->scale = scale;
  t->data = NULL;
  return list + 3 + t->rank;
}

MF_KERNEL void custom__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                               int32_t y1, void *scratch) {
  const mf_custom_call *p = (const mf_custom_call *)params;
  const int32_t *list = p->tensors;
  mf_tensor tensors[MF_CUSTOM_IN];
  mf_custom op;
  int32_t i, given = 0;
  if (y0 >= y1) return;
  for (i = 0; i < p->n_in; i++) {
    list = mf_custom_tensor(&tensors[i], list, p->scales[i]);
    if (tensors[i].type) tensors[i].data = in[given++].base;
  }
  mf_custom_tensor(&op.out, list, p->scales[p->n_in]);
  op.out.data = mf_row(out, 0);
  op.in = tensors;
  op.n_in = p->n_in;
  op.n_ints = p->n_ints;
  op.n_floats = p->n_floats;
  op.ints = p->ints;
  op.floats = p->floats;
  op.scratch = scratch;
  p->fn(&op);
}
