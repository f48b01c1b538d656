/* Weights of 4 bits: from the IR's byte each to two in a byte, the lower half first, each output channel from a byte on; and
 * back, for machines that have room, whose int8 kernels are faster.
 */
#include <string.h>

#include "ir/lower/lower_util.h"

int32_t const_nibbles(const Graph *g, const Node *n, int64_t outs, KernelCall *k, Arena *a) {
  const int8_t *w = val_data(g, n->in[1]);
  const int64_t each = shape_count(&op_in(g, n, 1)->shape) / outs, bytes = (each + 1) / 2;
  uint8_t *packed = arena_alloc(a, (size_t)(outs * bytes));
  for (int64_t o = 0; o < outs; o++)
    for (int64_t i = 0; i < each; i++)
      packed[o * bytes + i / 2] |= (uint8_t)((w[o * each + i] & 15) << (i % 2 ? 4 : 0));
  call_const(k, "w", packed, outs * bytes, NO_VAL);
  return (int32_t)(2 * bytes);
}

bool call_has_nibbles(const KernelCall *k) {
  return strcmp(k->kernel->name, "conv_s4") == 0 || strcmp(k->kernel->name, "fc_s4") == 0;
}

void call_widen_nibbles(KernelCall *k, Arena *a) {
  const bool conv = strcmp(k->kernel->name, "conv_s4") == 0;
  int i = 0;
  while (strcmp(k->kernel->params->fields[k->consts[i].field].name, "w") != 0) i++;
  CallConst *c = &k->consts[i];
  const uint8_t *from = c->data;
  int8_t *wide = arena_alloc(a, (size_t)(2 * c->count));
  for (int64_t w = 0; w < 2 * c->count; w++)
    wide[w] = (int8_t)(((from[w / 2] >> (w % 2 ? 4 : 0) & 15) ^ 8) - 8);
  c->data = wide;
  c->count *= 2;
  memcpy((char *)k->params + k->kernel->params->fields[c->field].offset, &c->data, sizeof c->data);
  k->kernel = kernel_find_generic(conv ? "conv_s8" : "fc_s8");
}
