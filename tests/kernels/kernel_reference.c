/* What a case's kernel is compared with, and its params as the kernel wants them. */
#include "tests/kernels/kernel_cases.h"

char *kernel_case_reference(const KernelCase *c, Arena *a) {
  const KernelDef *k = kernel_find_generic(c->kernel->name);
  mf_view in[CALL_MAX_IN] = {{0}};
  for (int i = 0; i < c->n_in; i++) in[i] = (mf_view){c->in[i].data, c->in[i].row, 0};
  size_t need = k->scratch ? k->scratch(c->params) : 0;
  char *whole = arena_alloc(a, (size_t)(c->out_rows * c->out_row));
  const mf_view out = {whole, c->out_row, 0};
  k->fn(c->params, in, &out, 0, c->out_rows, need ? arena_alloc(a, need) : NULL);
  return whole;
}

void *kernel_case_pack(const KernelCase *c, Arena *a, KernelPack *out) {
  const ParamsDesc *desc = c->kernel->params;
  KernelPack p = {.desc = desc, .params = arena_dup(a, c->params, desc->size), .arena = a};
  if (c->kernel->pack) c->kernel->pack(&p);
  if (out) *out = p;
  return p.params;
}
