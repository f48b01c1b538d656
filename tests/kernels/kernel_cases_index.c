/* Random cases for kernels that read indices, for recurrent layers, transposed convolutions and places of maxima.
 *
 * Some indices count from the end, and some lie outside their axis.
 */
#include "tests/kernels/kernel_gen.h"

#include <stdio.h>

/* -- indices -- */

/* count indices of 4 or 8 bytes within an axis of n, now and then outside. */
static char *indices(Rng *r, Arena *a, int32_t count, int32_t bytes, int32_t n) {
  char *index = arena_array(a, (size_t)count + 1, 8);
  for (int32_t i = 0; i < count; i++) {
    int32_t k = rng_below(r, 8) ? in_range(r, -n, n - 1) : in_range(r, -2 * n, 2 * n);
    if (bytes == 4)
      ((int32_t *)(void *)index)[i] = k;
    else
      ((int64_t *)(void *)index)[i] = k;
  }
  return index;
}

static CaseTensor block_of(char *data, int32_t bytes) { return (CaseTensor){1, bytes, data, false, false}; }

/* dims of the indices, and dense strides of a tensor that is larger along some axes; its bytes. */
static int32_t index_dims(Rng *r, int32_t rank, int32_t elem, int32_t axis, int32_t axis_len, int32_t *dims,
                          int32_t *stride) {
  int32_t step = elem;
  for (int i = rank - 1; i >= 0; i--) {
    dims[i] = in_range(r, 1, 4);
    stride[i] = step;
    step *= i == axis ? axis_len : dims[i] + in_range(r, 0, 2);
  }
  return step;
}

static int32_t product_of(const int32_t *dims, int32_t n) {
  int32_t k = 1;
  for (int32_t i = 0; i < n; i++) k *= dims[i];
  return k;
}

/* Input 1 has a row for each of the output's. */
static void reads_index_row(const KernelCase *c, int i, int32_t y, int32_t *lo, int32_t *hi) {
  reads_all(c, i, y, lo, hi);
  if (i == 1) {
    *lo = y;
    *hi = y + 1;
  }
}

void gen_gather_elements(KernelCase *c, Rng *r, Arena *a) {
  mf_gather_elements *p = c->params;
  p->rank = in_range(r, 1, 4);
  p->elem = 1 << rng_below(r, 4);
  p->axis = in_range(r, 0, p->rank - 1);
  p->axis_len = in_range(r, 1, 5);
  p->index_bytes = rng_below(r, 2) ? 4 : 8;
  int32_t bytes = index_dims(r, p->rank, p->elem, p->axis, p->axis_len, p->dims, p->src);
  int32_t row = product_of(p->dims + 1, p->rank - 1);
  c->in[0] = block_of(random_data(r, a, bytes, 'b'), bytes);
  c->in[1] = (CaseTensor){p->dims[0], row * p->index_bytes,
                          indices(r, a, row * p->dims[0], p->index_bytes, p->axis_len), true, false};
  c->n_in = 2;
  c->out_rows = p->dims[0];
  c->out_row = row * p->elem;
  c->reads = reads_index_row;
  snprintf(c->text, sizeof c->text, "rank %d, axis %d of %d, %d-byte elements", (int)p->rank, (int)p->axis,
           (int)p->axis_len, (int)p->elem);
}

void gen_gather_nd(KernelCase *c, Rng *r, Arena *a) {
  mf_gather_nd *p = c->params;
  int32_t tables = in_range(r, 1, 3);
  p->count = in_range(r, 1, 4);
  p->depth = in_range(r, 0, 3);
  p->block = in_range(r, 1, 9);
  p->index_bytes = rng_below(r, 2) ? 4 : 8;
  p->table = p->block;
  for (int i = p->depth - 1; i >= 0; i--) {
    p->dims[i] = in_range(r, 1, 4);
    p->stride[i] = p->table;
    p->table *= p->dims[i];
  }
  int32_t n = p->depth * p->count * tables;
  c->in[0] = block_of(random_data(r, a, p->table * tables, 'b'), p->table * tables);
  c->in[1] = block_of(indices(r, a, n, p->index_bytes, 4), n * p->index_bytes);
  c->n_in = 2;
  c->out_rows = p->count * tables;
  c->out_row = p->block;
  c->reads = reads_all;
  snprintf(c->text, sizeof c->text, "%d tables, %d tuples of %d", (int)tables, (int)p->count, (int)p->depth);
}

/* Type and way of joining; returns the kind of element. */
static char scatter_type(Rng *r, int32_t *type, int32_t *reduce, int32_t *elem) {
  static const int32_t types[] = {MF_F32, MF_I32, MF_I64};
  static const char kinds[] = "fil";
  uint32_t k = rng_below(r, 3);
  *type = types[k];
  *reduce = in_range(r, MF_SCATTER_SET, MF_SCATTER_MIN);
  *elem = kind_size(kinds[k]);
  return kinds[k];
}

static void scatter_tensors(KernelCase *c, Rng *r, Arena *a, char kind, int32_t total, int32_t count,
                            int32_t bytes, int32_t n, int32_t updates) {
  c->in[0] = block_of(random_data(r, a, total / kind_size(kind), kind), total);
  c->in[1] = block_of(indices(r, a, count, bytes, n), count * bytes);
  c->in[2] = block_of(random_data(r, a, updates, kind), updates * kind_size(kind));
  c->n_in = 3;
  c->out_rows = 1;
  c->out_row = total;
  c->reads = reads_all;
  snprintf(c->text, sizeof c->text, "%d bytes, %d updates of kind %c", (int)total, (int)updates, kind);
}

void gen_scatter_elements(KernelCase *c, Rng *r, Arena *a) {
  mf_scatter_elements *p = c->params;
  char kind = scatter_type(r, &p->type, &p->reduce, &p->elem);
  p->rank = in_range(r, 1, 4);
  p->axis = in_range(r, 0, p->rank - 1);
  p->axis_len = in_range(r, 1, 5);
  p->index_bytes = rng_below(r, 2) ? 4 : 8;
  p->total = index_dims(r, p->rank, p->elem, p->axis, p->axis_len, p->dims, p->dst);
  int32_t n = product_of(p->dims, p->rank);
  scatter_tensors(c, r, a, kind, p->total, n, p->index_bytes, p->axis_len, n);
}

void gen_scatter_nd(KernelCase *c, Rng *r, Arena *a) {
  mf_scatter_nd *p = c->params;
  char kind = scatter_type(r, &p->type, &p->reduce, &p->elem);
  p->depth = in_range(r, 1, 3);
  p->count = in_range(r, 0, 4);
  p->block = in_range(r, 1, 5);
  p->index_bytes = rng_below(r, 2) ? 4 : 8;
  p->total = p->block * p->elem;
  for (int i = p->depth - 1; i >= 0; i--) {
    p->dims[i] = in_range(r, 2, 4);
    p->stride[i] = p->total;
    p->total *= p->dims[i];
  }
  scatter_tensors(c, r, a, kind, p->total, p->count * p->depth, p->index_bytes, 2, p->count * p->block);
}

void gen_top_k(KernelCase *c, Rng *r, Arena *a) {
  static const int32_t types[] = {MF_F32, MF_I32, MF_I64};
  mf_top_k *p = c->params;
  uint32_t k = rng_below(r, 3);
  char kind = "fil"[k];
  p->type = types[k];
  p->n = in_range(r, 1, 9);
  p->k = in_range(r, 1, p->n);
  p->inner = in_range(r, 1, 3);
  p->largest = in_range(r, 0, 1);
  vector_tensors(c, r, a, p->n * p->inner, p->k * p->inner, kind);
  c->out_row = p->k * p->inner * 8;
  c->in[0].plain = false;
}

void gen_trilu(KernelCase *c, Rng *r, Arena *a) {
  mf_trilu *p = c->params;
  p->n = in_range(r, 1, 6);
  p->elem = 1 << rng_below(r, 4);
  p->upper = in_range(r, 0, 1);
  p->k = in_range(r, -7, 7);
  vector_tensors(c, r, a, p->n * p->elem, p->n * p->elem, 'b');
}

void gen_weighted_gather(KernelCase *c, Rng *r, Arena *a) {
  mf_weighted_gather *p = c->params;
  p->in_len = in_range(r, 1, 6);
  p->out_len = in_range(r, 1, 6);
  p->taps = in_range(r, 1, 4);
  p->inner = in_range(r, 1, 3);
  int32_t n = p->out_len * p->taps, *index = arena_array(a, (size_t)n, sizeof *index);
  for (int32_t i = 0; i < n; i++) index[i] = in_range(r, 0, p->in_len - 1);
  p->index = index;
  p->weight = random_data(r, a, n, 'f');
  p->bias = rng_below(r, 2) ? random_data(r, a, p->out_len, 'f') : NULL;
  vector_tensors(c, r, a, p->in_len * p->inner, p->out_len * p->inner, 'f');
  c->in[0].plain = false;
}

/* -- custom operators: a function that tells what it was given -- */

static void tell(const mf_custom *op) {
  unsigned char *y = op->out.data;
  int32_t at = 0;
  uint32_t sum = (uint32_t)op->n_in; /* wraps */
  for (int32_t i = 0; i < op->n_in; i++) {
    const mf_tensor *x = &op->in[i];
    sum += (uint32_t)(x->type + 3 * x->zero + 5 * x->rank + (int32_t)x->scale);
    for (int32_t k = 0; x->data && k < mf_tensor_count(x); k++)
      sum = 31 * sum + ((const unsigned char *)x->data)[k];
    sum &= 0xffffff;
  }
  for (int32_t i = 0; i < op->n_ints; i++) sum += (uint32_t)op->ints[i];
  for (int32_t i = 0; i < op->n_floats; i++) sum += (uint32_t)(int32_t)op->floats[i];
  for (; at < mf_tensor_count(&op->out); at++) y[at] = (unsigned char)(sum >> at % 3 * 8);
  if (op->scratch) ((unsigned char *)op->scratch)[0] = y[0];
}

void gen_custom(KernelCase *c, Rng *r, Arena *a) {
  mf_custom_call *p = c->params;
  const int32_t n = in_range(r, 1, 12), out = in_range(r, 1, 12);
  int32_t *list = arena_array(a, 40, sizeof *list), *end = list;
  vector_tensors(c, r, a, n, out, 'b');
  c->out_rows = c->in[0].rows = 1;
  c->in[0].plain = c->in[0].ring = false;
  p->n_in = in_range(r, 1, 2); /* the second one is left out */
  for (int32_t i = 0; i <= p->n_in; i++) {
    const bool last = i == p->n_in, none = i == 1 && !last;
    *end++ = none ? MF_TENSOR_NONE : MF_TENSOR_I8;
    *end++ = none ? 0 : 2;
    *end++ = in_range(r, -3, 3);
    if (!none) *end++ = 1;
    if (!none) *end++ = last ? out : n;
  }
  p->tensors = list;
  p->scales = random_data(r, a, p->n_in + 1, 'f');
  p->n_ints = in_range(r, 0, 2);
  p->n_floats = in_range(r, 0, 2);
  p->ints = random_data(r, a, 2, 'i');
  p->floats = random_data(r, a, 2, 'f');
  p->scratch = in_range(r, 0, 1) * 8;
  p->fn = tell;
}

/* -- recurrent layers, transposed convolutions, places of maxima -- */

void gen_recurrent(KernelCase *c, Rng *r, Arena *a) {
  mf_recurrent *p = c->params;
  int32_t gates = c->kernel->name[0] == 'l' ? 4 : c->kernel->name[0] == 'g' ? 3 : 1;
  p->steps = in_range(r, 1, 4);
  p->items = in_range(r, 1, 3);
  p->hidden = in_range(r, 1, 5);
  p->reverse = in_range(r, 0, 1);
  p->variant = in_range(r, 0, 1);
  p->batch_first = in_range(r, 0, 1);
  p->act_f = in_range(r, 0, MF_ACT_SOFTPLUS);
  p->act_g = in_range(r, 0, MF_ACT_SOFTPLUS);
  p->act_h = in_range(r, 0, MF_ACT_SOFTPLUS);
  p->alpha_f = p->alpha_g = p->alpha_h = 0.5f;
  p->beta_f = p->beta_g = p->beta_h = 0.25f;
  p->clip = rng_below(r, 2) ? 0 : 0.75f;
  int32_t n = p->items * p->hidden, x = p->steps * n * gates, w = gates * p->hidden * p->hidden;
  c->in[0] = block_of(random_data(r, a, x, 'f'), x * 4);
  c->in[1] = block_of(random_data(r, a, w, 'f'), w * 4);
  c->n_in = 2;
  for (int32_t bit = MF_GIVEN_HIDDEN; bit <= MF_GIVEN_LENGTHS; bit <<= 1) {
    if (rng_below(r, 2) || (bit == MF_GIVEN_CELL && gates != 4) || (bit == MF_GIVEN_EXTRA && gates == 1))
      continue;
    p->given |= bit;
    int32_t count = bit == MF_GIVEN_EXTRA ? 3 * p->hidden : n;
    int32_t *lengths = arena_array(a, (size_t)p->items, sizeof *lengths);
    for (int32_t i = 0; i < p->items; i++) lengths[i] = in_range(r, -1, p->steps + 1);
    c->in[c->n_in++] = bit == MF_GIVEN_LENGTHS ? block_of((char *)lengths, p->items * 4)
                                               : block_of(random_data(r, a, count, 'f'), count * 4);
  }
  c->out_rows = p->items;
  c->out_row = (p->steps + (gates == 4 ? 2 : 1)) * p->hidden * 4;
  c->reads = reads_all;
  snprintf(c->text, sizeof c->text, "%d steps, %d items, hidden %d, given %d", (int)p->steps, (int)p->items,
           (int)p->hidden, (int)p->given);
}

void gen_conv_transpose(KernelCase *c, Rng *r, Arena *a) {
  mf_conv_transpose *p = c->params;
  p->g = window(r, true);
  p->g.in_h = in_range(r, 1, 4);
  p->g.in_w = in_range(r, 1, 4);
  p->groups = in_range(r, 1, 3);
  p->g.in_c = p->groups * in_range(r, 1, 3);
  p->g.out_c = p->groups * in_range(r, 1, 3);
  p->g.out_h = (p->g.in_h - 1) * p->g.stride_h + in_range(r, 1, 3);
  p->g.out_w = (p->g.in_w - 1) * p->g.stride_w + in_range(r, 1, 3);
  limits_f32(r, &p->lo, &p->hi);
  window_tensors(c, &p->g, r, a, 'f');
  p->has_bias = in_range(r, 0, 1);
  int32_t w = p->g.out_c * p->g.k_h * p->g.k_w * (p->g.in_c / p->groups);
  c->in[1] = block_of(random_data(r, a, w, 'f'), w * 4);
  c->in[2] = block_of(random_data(r, a, p->g.out_c, 'f'), p->g.out_c * 4);
  c->n_in = p->has_bias ? 3 : 2;
  c->reads = reads_all;
}

void gen_pool_index(KernelCase *c, Rng *r, Arena *a) {
  mf_pool_index *p = c->params;
  p->g = window(r, true);
  p->g.in_c = p->g.out_c = in_range(r, 1, 5);
  p->row_step = in_range(r, 1, 9);
  p->col_step = in_range(r, 1, 9);
  window_tensors(c, &p->g, r, a, 'f');
  c->out_row *= 2;
}
