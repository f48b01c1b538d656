/* Random cases for kernels, one generator per params struct, found by the struct's name.
 *
 * Shapes are small, but cover strides, dilation, padding, groups, depth multipliers, channel counts around the kernels'
 * block sizes (8 and 16), broadcasting, transposed and reversed copies; int8 data has many extremes, multipliers
 * cover left and right shifts, so that outputs saturate on both sides. Windows, int8 rows, int16 and indices have files of
 * their own (kernel_gen.h).
 */
#include "tests/kernels/kernel_gen.h"

#include <stdio.h>
#include <string.h>

#include "ir/base/mem.h"
#include "tests/support.h"

int32_t in_range(Rng *r, int32_t lo, int32_t hi) {
  return lo + (int32_t)rng_below(r, (uint32_t)(hi - lo + 1));
}

int32_t random_code(Rng *r) {
  uint32_t kind = rng_below(r, 8);
  return kind == 0 ? -128 : kind == 1 ? 127 : in_range(r, -128, 127);
}

void fill_random(Rng *r, void *p, size_t n, char kind) {
  for (size_t i = 0; (kind == 'b' || kind == 'h') && i < n; i++) ((int8_t *)p)[i] = (int8_t)random_code(r);
  for (size_t i = 0; kind == 'f' && i < n / 4; i++) ((float *)p)[i] = rng_below(r, 8) ? rng_normal(r) : 0;
  for (size_t i = 0; kind == 'd' && i < n / 8; i++) ((double *)p)[i] = (double)rng_normal(r) * 1000;
  for (size_t i = 0; kind == 'i' && i < n / 4; i++) ((int32_t *)p)[i] = in_range(r, -5000, 5000);
  for (size_t i = 0; kind == 'l' && i < n / 8; i++) ((int64_t *)p)[i] = in_range(r, -5000, 5000);
}

int32_t kind_size(char kind) {
  return kind == 'b' ? 1 : kind == 'h' ? 2 : kind == 'd' || kind == 'l' ? 8 : 4;
}

bool name_ends(const char *s, const char *tail) {
  size_t n = strlen(s), t = strlen(tail);
  return n >= t && strcmp(s + n - t, tail) == 0;
}

/* Element kind of a kernel's tensors, by its name. */
char kind_of(const KernelDef *k) {
  static const struct {
    const char *ending;
    char kind;
  } kinds[] = {{"_f32", 'f'}, {"_f64", 'd'}, {"_i16", 'h'}, {"_i32", 'i'},
               {"_i64", 'l'}, {"_u64", 'l'}, {"_s16", 'h'}, {"_s16_narrow", 'h'}};
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
    if (name_ends(k->name, kinds[i].ending)) return kinds[i].kind;
  return 'b';
}

void *random_data(Rng *r, Arena *a, int32_t count, char kind) {
  size_t n = (size_t)count * (size_t)kind_size(kind);
  void *p = arena_alloc(a, n + 1);
  fill_random(r, p, n, kind);
  return p;
}

CaseTensor tensor_rows(Rng *r, Arena *a, int32_t rows, int32_t n, char kind) {
  return (CaseTensor){rows, n * kind_size(kind), random_data(r, a, rows * n, kind), true, true};
}

static void reads_same(const KernelCase *c, int i, int32_t y, int32_t *lo, int32_t *hi) {
  (void)c;
  (void)i;
  *lo = y;
  *hi = y + 1;
}

/* -- vectors and matrices -- */

void vector_tensors(KernelCase *c, Rng *r, Arena *a, int32_t k, int32_t n, char kind) {
  int32_t rows = in_range(r, 1, 5);
  c->in[0] = tensor_rows(r, a, rows, k, kind);
  c->in[0].plain = k == n;
  c->n_in = 1;
  c->out_rows = rows;
  c->out_row = n * kind_size(kind);
  snprintf(c->text, sizeof c->text, "%d rows, %d in, %d out", (int)rows, (int)k, (int)n);
}

static void gen_fc_f32(KernelCase *c, Rng *r, Arena *a) {
  mf_fc_f32 *p = c->params;
  p->k = p->w_out = in_range(r, 1, 40);
  p->n = in_range(r, 1, 12);
  limits_f32(r, &p->lo, &p->hi);
  p->w = random_data(r, a, p->n * p->k, 'f');
  p->bias = rng_below(r, 4) ? random_data(r, a, p->n, 'f') : NULL;
  vector_tensors(c, r, a, p->k, p->n, 'f');
}

void gen_fc_s8(KernelCase *c, Rng *r, Arena *a) {
  mf_fc_s8 *p = c->params;
  p->k = p->w_out = in_range(r, 1, 40);
  p->n = in_range(r, 1, 12);
  p->in_zero = random_code(r);
  p->w_zero = rng_below(r, 2) ? 0 : random_code(r);
  p->out_zero = random_code(r);
  limits_s8(r, &p->lo, &p->hi);
  p->per_channel = in_range(r, 0, 1);
  p->w = random_weights(r, a, p->n * p->k);
  p->bias = rng_below(r, 4) ? random_data(r, a, p->n, 'i') : NULL;
  p->mult = multipliers(r, a, p->n);
  p->shift = shifts(r, a, p->n);
  vector_tensors(c, r, a, p->k, p->n, 'b');
}

void reads_matmul(const KernelCase *c, int i, int32_t y, int32_t *lo, int32_t *hi) {
  *lo = i == 0 ? y : 0;
  *hi = i == 0 ? y + 1 : c->in[1].rows;
}

static void gen_matmul_s8_even(KernelCase *c, Rng *r, Arena *a) {
  mf_matmul_s8_even *p = c->params;
  p->k = in_range(r, 1, 12);
  p->n = in_range(r, 1, 12);
  p->a_zero = random_code(r);
  p->b_zero = random_code(r);
  p->out_zero = random_code(r);
  limits_s8(r, &p->lo, &p->hi);
  p->scale = rng_below(r, 3) ? 0.0007f * (float)in_range(r, 1, 40) : 0.5f;
  vector_tensors(c, r, a, p->k, p->n, 'b');
  c->in[1] = tensor_rows(r, a, p->k, p->n, 'b');
  c->in[0].plain = c->in[1].plain = false;
  c->n_in = 2;
  c->reads = reads_matmul;
  if (name_ends(c->kernel->name, "_sums")) c->out_row *= 4;
}

static void gen_matmul_f32(KernelCase *c, Rng *r, Arena *a) {
  mf_matmul_f32 *p = c->params;
  p->k = in_range(r, 1, 12);
  p->n = in_range(r, 1, 12);
  char kind = kind_of(c->kernel);
  vector_tensors(c, r, a, p->k, p->n, kind);
  c->in[1] = tensor_rows(r, a, p->k, p->n, kind);
  c->n_in = 2;
  c->reads = reads_matmul;
}

void gen_mean(KernelCase *c, Rng *r, Arena *a) {
  mf_mean *p = c->params;
  char kind = kind_of(c->kernel);
  int32_t stride = 1, rank = in_range(r, 1, 3), elem = kind_size(kind);
  p->rank = in_range(r, 1, 3);
  p->rrank = rank;
  p->count = 1;
  for (int i = rank - 1; i >= 0; i--) { /* reduced and kept axes take turns, the last one reduced */
    p->rdims[i] = in_range(r, 1, 4);
    p->rsrc[i] = stride;
    p->count *= p->rdims[i];
    stride *= p->rdims[i];
    if (i >= p->rank) continue;
    p->dims[i] = in_range(r, 1, 4);
    p->src[i] = stride;
    stride *= p->dims[i];
  }
  for (int i = 0; i < p->rank; i++) {
    if (p->dims[i] > 0) continue;
    p->dims[i] = in_range(r, 1, 3);
    p->src[i] = stride;
    stride *= p->dims[i];
  }
  p->in_zero = random_code(r);
  p->out_zero = random_code(r);
  p->mult = random_multiplier(r);
  p->shift = in_range(r, -6, 1);
  c->in[0] = (CaseTensor){1, stride * elem, random_data(r, a, stride, kind), false, false};
  c->n_in = 1;
  c->out_rows = p->dims[0];
  c->out_row = elem;
  for (int i = 1; i < p->rank; i++) c->out_row *= p->dims[i];
  snprintf(c->text, sizeof c->text, "%d axes kept, %d reduced, %d elements", (int)p->rank, (int)p->rrank,
           (int)stride);
}

/* -- elementwise -- */

void unary_tensors(KernelCase *c, Rng *r, Arena *a, int32_t n, char from, char to) {
  vector_tensors(c, r, a, n, n, from);
  c->out_row = n * kind_size(to);
  c->in[0].plain = kind_size(from) == kind_size(to);
}

static void gen_affine_f32(KernelCase *c, Rng *r, Arena *a) {
  mf_affine_f32 *p = c->params;
  p->c = in_range(r, 1, 5);
  p->inner = in_range(r, 1, 4);
  p->n = p->c * p->inner * in_range(r, 1, 3);
  p->scale = random_data(r, a, p->c, 'f');
  p->offset = random_data(r, a, p->c, 'f');
  unary_tensors(c, r, a, p->n, 'f', 'f');
}

static void gen_unary_f32(KernelCase *c, Rng *r, Arena *a) {
  mf_unary_f32 *p = c->params;
  p->n = in_range(r, 1, 30);
  p->p = -0.5f;
  p->q = 0.75f;
  unary_tensors(c, r, a, p->n, kind_of(c->kernel), kind_of(c->kernel));
}

static void gen_lut_s8(KernelCase *c, Rng *r, Arena *a) {
  mf_lut_s8 *p = c->params;
  p->n = in_range(r, 1, 30);
  p->table = random_data(r, a, 256, 'b');
  unary_tensors(c, r, a, p->n, 'b', 'b');
}

void reads_all(const KernelCase *c, int i, int32_t y, int32_t *lo, int32_t *hi) {
  (void)y;
  *lo = 0;
  *hi = c->in[i].rows;
}

static CaseTensor tensor_one(Rng *r, Arena *a, int32_t n, char kind) {
  CaseTensor t = tensor_rows(r, a, 1, n, kind);
  t.ring = t.plain = false;
  return t;
}

static void gen_seq_lstm_f32(KernelCase *c, Rng *r, Arena *a) {
  mf_seq_lstm_f32 *p = c->params;
  p->steps = in_range(r, 1, 4);
  p->inputs = in_range(r, 1, 5);
  p->size = in_range(r, 1, 6);
  p->clip = rng_below(r, 2) ? 0.5f : 0;
  p->w = random_data(r, a, 4 * p->size * p->inputs, 'f');
  p->r = random_data(r, a, 4 * p->size * p->size, 'f');
  p->bias = random_data(r, a, 4 * p->size, 'f');
  c->in[0] = tensor_rows(r, a, p->steps, p->inputs, 'f');
  c->in[0].ring = c->in[0].plain = false;
  c->in[1] = tensor_one(r, a, p->size, 'f');
  c->in[2] = tensor_one(r, a, p->size, 'f');
  c->n_in = 3;
  c->reads = reads_all;
  c->out_rows = p->steps + 1;
  c->out_row = p->size * 4;
  snprintf(c->text, sizeof c->text, "%d steps, %d in, %d wide", (int)p->steps, (int)p->inputs, (int)p->size);
}

static void gen_seq_lstm_s8(KernelCase *c, Rng *r, Arena *a) {
  mf_seq_lstm_s8 *p = c->params;
  int8_t *shift = arena_alloc(a, 11);
  p->steps = in_range(r, 1, 4);
  p->inputs = in_range(r, 1, 5);
  p->size = in_range(r, 1, 6);
  p->x_zero = random_code(r);
  p->h_zero = random_code(r);
  p->clip = rng_below(r, 2) ? in_range(r, 1, 32767) : 0;
  p->cell_log2 = in_range(r, -15, -9);
  p->w = random_data(r, a, 4 * p->size * p->inputs, 'b');
  p->r = random_data(r, a, 4 * p->size * p->size, 'b');
  p->bias = random_data(r, a, 4 * p->size, 'i');
  p->mult = multipliers(r, a, 11);
  for (int i = 0; i < 11; i++) shift[i] = (int8_t)(i < 8 ? in_range(r, -6, 1) : i == 10 ? -22 : -14);
  p->shift = shift;
  c->in[0] = tensor_rows(r, a, p->steps, p->inputs, 'b');
  c->in[0].ring = c->in[0].plain = false;
  c->in[1] = tensor_one(r, a, p->size, 'b');
  c->in[2] = tensor_one(r, a, 2 * p->size, 'b');
  c->n_in = 3;
  c->reads = reads_all;
  c->out_rows = p->steps + 1;
  c->out_row = p->size * 2;
  snprintf(c->text, sizeof c->text, "%d steps, %d in, %d wide", (int)p->steps, (int)p->inputs, (int)p->size);
}

/* Tensors of SvdfState and Svdf; bytes: of a state's element. */
static void svdf_tensors(KernelCase *c, Rng *r, Arena *a, const int32_t dims[4], int32_t bytes, bool real) {
  const bool state = strstr(c->kernel->name, "state") != NULL;
  const int32_t rows = in_range(r, 1, 3), inputs = dims[0], all = dims[1] * dims[2];
  const char kind = real ? 'f' : 'b';
  c->in[0] = tensor_rows(r, a, rows, all * bytes, kind);
  c->in[0].plain = false;
  c->in[1] = state ? tensor_rows(r, a, rows, inputs, kind) : tensor_one(r, a, all * bytes, kind);
  c->in[1].plain = false;
  c->in[2] = tensor_one(r, a, dims[1] * inputs, kind);
  c->n_in = state ? 3 : 2;
  c->out_rows = rows;
  c->out_row = state ? all * bytes * kind_size(kind) : dims[1] / dims[3] * kind_size(kind);
  snprintf(c->text, sizeof c->text, "%d rows, %d in, %d filters, %d steps", (int)rows, (int)inputs,
           (int)dims[1], (int)dims[2]);
}

static void gen_svdf_f32(KernelCase *c, Rng *r, Arena *a) {
  mf_svdf_f32 *p = c->params;
  p->inputs = in_range(r, 1, 5);
  p->rank = in_range(r, 1, 2);
  p->filters = p->rank * in_range(r, 1, 4);
  p->memory = in_range(r, 1, 4);
  limits_f32(r, &p->lo, &p->hi);
  p->bias = rng_below(r, 2) ? random_data(r, a, p->filters, 'f') : NULL;
  svdf_tensors(c, r, a, (const int32_t[4]){p->inputs, p->filters, p->memory, p->rank}, 1, true);
}

static void gen_svdf_s8(KernelCase *c, Rng *r, Arena *a) {
  mf_svdf_s8 *p = c->params;
  p->inputs = in_range(r, 1, 5);
  p->rank = in_range(r, 1, 2);
  p->filters = p->rank * in_range(r, 1, 4);
  p->memory = in_range(r, 1, 4);
  p->wide = in_range(r, 1, 2);
  p->in_zero = random_code(r);
  p->state_zero = p->wide == 1 ? random_code(r) : 0;
  p->out_zero = random_code(r);
  p->mult = random_multiplier(r);
  p->shift = in_range(r, -14, -4);
  p->bias = rng_below(r, 2) ? random_data(r, a, p->filters, 'i') : NULL;
  svdf_tensors(c, r, a, (const int32_t[4]){p->inputs, p->filters, p->memory, p->rank}, p->wide, false);
}

static void gen_lut_axis_s8(KernelCase *c, Rng *r, Arena *a) {
  mf_lut_axis_s8 *p = c->params;
  p->c = in_range(r, 1, 5);
  p->n = p->c * in_range(r, 1, 6);
  p->table = random_data(r, a, 256 * p->c, 'b');
  unary_tensors(c, r, a, p->n, 'b', 'b');
}

static void gen_softmax_f32(KernelCase *c, Rng *r, Arena *a) {
  mf_softmax_f32 *p = c->params;
  p->n = in_range(r, 1, 12);
  p->inner = in_range(r, 1, 3);
  p->beta = 1.25f;
  unary_tensors(c, r, a, p->n * p->inner, 'f', 'f');
}

static void gen_softmax_s8(KernelCase *c, Rng *r, Arena *a) {
  mf_softmax_s8 *p = c->params;
  p->n = in_range(r, 1, 40);
  p->mult = random_multiplier(r);
  p->shift = in_range(r, 17, 26);
  p->diff_min = -(int32_t)(((int64_t)31 << 26) >> p->shift);
  unary_tensors(c, r, a, p->n, 'b', 'b');
}

/* Elements as bytes, floats of 32 and 64 bits as numbers. */
static char cast_kind(int32_t type) { return type == MF_F32 ? 'f' : type == MF_F64 ? 'd' : 'b'; }

static int32_t cast_units(int32_t type) {
  switch (type) {
  case MF_I16:
  case MF_U16:
  case MF_F16:
  case MF_BF16: return 2;
  case MF_I32:
  case MF_U32: return 4;
  case MF_I64:
  case MF_U64: return 8;
  default: return 1;
  }
}

static void gen_cast(KernelCase *c, Rng *r, Arena *a) {
  mf_cast *p = c->params;
  const bool f64 = name_ends(c->kernel->name, "f64"), small = name_ends(c->kernel->name, "small");
  do {
    p->from = in_range(r, 0, small || f64 ? MF_E2M1 : MF_U2);
    p->to = in_range(r, 0, small || f64 ? MF_E2M1 : MF_U2);
    if (small && rng_below(r, 2))
      p->from = in_range(r, MF_F16, MF_E2M1);
    else if (small)
      p->to = in_range(r, MF_F16, MF_E2M1);
    if (f64 && rng_below(r, 2))
      p->from = MF_F64;
    else if (f64)
      p->to = MF_F64;
  } while (!f64 && (p->from == MF_F64 || p->to == MF_F64));
  p->saturate = in_range(r, 0, 1);
  p->round = in_range(r, 0, 2);
  p->n = in_range(r, 1, 20);
  unary_tensors(c, r, a, p->n * cast_units(p->from), cast_kind(p->from), cast_kind(p->to));
  c->out_row = p->n * cast_units(p->to) * kind_size(cast_kind(p->to));
  snprintf(c->text, sizeof c->text, "from %d to %d, %d a row", (int)p->from, (int)p->to, (int)p->n);
}

static void gen_quant(KernelCase *c, Rng *r, Arena *a) {
  mf_quant *p = c->params;
  const char *name = c->kernel->name;
  p->n = in_range(r, 1, 30);
  p->scale = 0.01f + rng_uniform(r) * 0.05f;
  p->lo = strstr(name, "u8") ? 0 : -128;
  p->hi = p->lo + 255;
  p->zero = in_range(r, p->lo, p->hi);
  unary_tensors(c, r, a, p->n, strncmp(name, "deq", 3) == 0 ? 'b' : 'f',
                strncmp(name, "qua", 3) == 0 ? 'b' : 'f');
}

static void gen_dequant_axis(KernelCase *c, Rng *r, Arena *a) {
  static const int32_t from[] = {MF_I8, MF_U8, MF_I32};
  mf_dequant_axis *p = c->params;
  p->c = in_range(r, 1, 5);
  p->inner = in_range(r, 1, 4);
  p->n = p->c * p->inner * in_range(r, 1, 3);
  p->from = from[rng_below(r, 3)];
  p->scale = random_data(r, a, p->c, 'f');
  p->zero = random_data(r, a, p->c, 'i');
  unary_tensors(c, r, a, p->n, p->from == MF_I32 ? 'i' : 'b', 'f');
}

static void gen_requant(KernelCase *c, Rng *r, Arena *a) {
  mf_requant *p = c->params;
  p->n = in_range(r, 1, 30);
  p->in_zero = random_code(r);
  p->out_zero = random_code(r);
  p->mult = random_multiplier(r);
  p->shift = in_range(r, -4, 3);
  limits_s8(r, &p->lo, &p->hi);
  if (name_ends(c->kernel->name, "_u8")) p->lo = 0;
  unary_tensors(c, r, a, p->n, 'b', 'b');
}

/* -- broadcasting -- */

static void reads_binary(const KernelCase *c, int i, int32_t y, int32_t *lo, int32_t *hi) {
  const mf_binary *p = c->params;
  *lo = (i == 0 ? p->a[0] : p->b[0]) ? y : 0;
  *hi = *lo + 1;
}

/* Strides of an input that is broadcast along some axes; returns the elements of one of its rows. */
static int32_t broadcast(Rng *r, const mf_binary *p, int32_t *stride) {
  int32_t step = 1;
  bool whole = rng_below(r, 2);
  for (int i = p->rank - 1; i >= 0; i--) {
    bool spread = !whole && rng_below(r, 2);
    stride[i] = spread ? 0 : step;
    if (i > 0 && !spread) step *= p->dims[i];
  }
  return step;
}

static bool dense(const mf_binary *p, const int32_t *stride) {
  int32_t step = 1;
  for (int i = p->rank - 1; i >= 0; i--) {
    if (stride[i] != step) return false;
    step *= p->dims[i];
  }
  return true;
}

/* rank, dims, a, b of any params that begin as mf_binary does. */
void binary_tensors(KernelCase *c, Rng *r, Arena *a) {
  mf_binary *p = c->params;
  char kind = kind_of(c->kernel);
  p->rank = in_range(r, 2, 5);
  for (int i = 0; i < p->rank; i++) p->dims[i] = in_range(r, 1, 5);
  if (rng_below(r, 3) == 0) p->dims[p->rank - 1] = in_range(r, 6, 40);
  for (int i = 0; i < 2; i++) {
    int32_t *stride = i == 0 ? p->a : p->b;
    int32_t row = broadcast(r, p, stride);
    c->in[i] = tensor_rows(r, a, stride[0] ? p->dims[0] : 1, row, kind);
    c->in[i].plain = dense(p, stride);
  }
  c->n_in = 2;
  c->reads = reads_binary;
  c->out_rows = p->dims[0];
  c->out_row = kind_size(kind);
  for (int i = 1; i < p->rank; i++) c->out_row *= p->dims[i];
  snprintf(c->text, sizeof c->text, "rank %d, %d rows of %d bytes, a %d b %d", (int)p->rank, (int)c->out_rows,
           (int)c->out_row, (int)c->in[0].plain, (int)c->in[1].plain);
}

static void gen_binary(KernelCase *c, Rng *r, Arena *a) {
  mf_binary *p = c->params;
  binary_tensors(c, r, a);
  limits_f32(r, &p->lo, &p->hi);
}

static void gen_compare(KernelCase *c, Rng *r, Arena *a) {
  binary_tensors(c, r, a);
  c->out_row /= kind_size(kind_of(c->kernel));
}

static void reads_where(const KernelCase *c, int i, int32_t y, int32_t *lo, int32_t *hi) {
  const mf_where *p = c->params;
  *lo = (i == 0 ? p->c[0] : i == 1 ? p->a[0] : p->b[0]) ? y : 0;
  *hi = *lo + 1;
}

static void gen_where(KernelCase *c, Rng *r, Arena *a) {
  static const char kinds[] = {'b', 'h', 'f', 'd'};
  mf_where *p = c->params;
  mf_binary own = {0};
  const char kind = kinds[rng_below(r, 4)];
  own.rank = p->rank = in_range(r, 2, 5);
  p->elem = kind_size(kind);
  for (int i = 0; i < p->rank; i++) own.dims[i] = p->dims[i] = in_range(r, 1, 5);
  int32_t *const strides[3] = {p->c, p->a, p->b};
  for (int i = 0; i < 3; i++) {
    int32_t row = broadcast(r, &own, strides[i]);
    c->in[i] = tensor_rows(r, a, strides[i][0] ? p->dims[0] : 1, row, i == 0 ? 'b' : kind);
    c->in[i].plain = false;
  }
  for (int32_t i = 0; i < c->in[0].rows * c->in[0].row; i++) c->in[0].data[i] &= 1;
  c->n_in = 3;
  c->reads = reads_where;
  c->out_rows = p->dims[0];
  c->out_row = p->elem;
  for (int i = 1; i < p->rank; i++) c->out_row *= p->dims[i];
  snprintf(c->text, sizeof c->text, "rank %d, %d-byte elements", (int)p->rank, (int)p->elem);
}

static void gen_arg(KernelCase *c, Rng *r, Arena *a) {
  mf_arg *p = c->params;
  p->n = in_range(r, 1, 12);
  p->inner = in_range(r, 1, 4);
  p->last = in_range(r, 0, 1);
  unary_tensors(c, r, a, p->n * p->inner, kind_of(c->kernel), kind_of(c->kernel));
  c->in[0].plain = false;
  c->out_row = p->inner * 8;
}

static void gen_cum(KernelCase *c, Rng *r, Arena *a) {
  mf_cum *p = c->params;
  p->n = in_range(r, 1, 12);
  p->inner = in_range(r, 1, 4);
  p->exclusive = in_range(r, 0, 1);
  p->reverse = in_range(r, 0, 1);
  unary_tensors(c, r, a, p->n * p->inner, kind_of(c->kernel), kind_of(c->kernel));
}

static void gen_add_s8(KernelCase *c, Rng *r, Arena *a) {
  mf_add_s8 *p = c->params;
  binary_tensors(c, r, a);
  p->a_zero = random_code(r);
  p->b_zero = random_code(r);
  p->out_zero = random_code(r);
  p->left_shift = 20;
  p->a_mult = random_multiplier(r);
  p->b_mult = rng_below(r, 2) ? random_multiplier(r) : -random_multiplier(r);
  p->a_shift = in_range(r, -4, 0);
  p->b_shift = in_range(r, -4, 0);
  uint32_t larger = rng_below(r, 3); /* as TFLite has it: the larger scale's factor is 1/2 */
  if (larger == 0) p->a_mult = 1 << 30, p->a_shift = 0;
  if (larger == 1) p->b_mult = 1 << 30, p->b_shift = 0;
  p->out_mult = random_multiplier(r);
  p->out_shift = in_range(r, -22, -17);
  limits_s8(r, &p->lo, &p->hi);
}

static void gen_mul_s8(KernelCase *c, Rng *r, Arena *a) {
  mf_mul_s8 *p = c->params;
  binary_tensors(c, r, a);
  p->a_zero = random_code(r);
  p->b_zero = random_code(r);
  p->out_zero = random_code(r);
  p->out_mult = random_multiplier(r);
  p->out_shift = in_range(r, -12, -4);
  limits_s8(r, &p->lo, &p->hi);
}

/* -- moving -- */

static void gen_copy(KernelCase *c, Rng *r, Arena *a) {
  mf_copy *p = c->params;
  int order[MF_MAX_DIMS] = {0};
  p->rank = in_range(r, 2, 5);
  p->elem = 1 << rng_below(r, 4);
  int32_t total = p->elem, back = 0, out = p->elem;
  for (int i = 0; i < p->rank; i++) {
    p->dims[i] = in_range(r, 1, 4);
    order[i] = i;
  }
  for (int i = p->rank - 1; i > 0; i--) { /* the input's axes in another order */
    int j = in_range(r, 0, i), t = order[i];
    order[i] = order[j];
    order[j] = t;
  }
  for (int i = p->rank - 1; i >= 0; i--) {
    p->src[order[i]] = total;
    total *= p->dims[order[i]] * in_range(r, 1, 2); /* and gaps: a slice with steps */
  }
  int32_t row = p->src[0];
  bool ring = order[0] == 0;
  for (int i = ring ? 1 : 0; i < p->rank; i++) { /* some axes backwards */
    if (rng_below(r, 4)) continue;
    back += (p->dims[i] - 1) * p->src[i];
    p->src[i] = -p->src[i];
  }
  for (int i = p->rank - 1; i >= 0; i--) {
    p->dst[i] = out;
    out *= p->dims[i];
  }
  char *data = random_data(r, a, total + 64, 'b');
  c->in[0] = (CaseTensor){ring ? p->dims[0] : 1, ring ? row : total, data + back, ring && back == 0, false};
  c->n_in = 1;
  c->out_rows = p->dims[0];
  c->out_row = p->dst[0];
  snprintf(c->text, sizeof c->text, "rank %d, %d-byte elements, %d rows, ring %d", (int)p->rank, (int)p->elem,
           (int)c->out_rows, (int)ring);
}

static void gen_fill(KernelCase *c, Rng *r, Arena *a) {
  mf_fill *p = c->params;
  (void)a;
  p->n = in_range(r, 1, 9);
  p->elem = 1 << rng_below(r, 4);
  p->value_lo = (int32_t)(rng_u64(r) & INT32_MAX);
  p->value_hi = (int32_t)(rng_u64(r) & INT32_MAX);
  c->out_rows = in_range(r, 1, 5);
  c->out_row = p->n * p->elem;
  snprintf(c->text, sizeof c->text, "%d rows of %d elements of %d bytes", (int)c->out_rows, (int)p->n,
           (int)p->elem);
}

static void gen_gather(KernelCase *c, Rng *r, Arena *a) {
  mf_gather *p = c->params;
  p->outer = 1;
  p->axis_len = in_range(r, 1, 6);
  p->count = in_range(r, 1, 6);
  p->block = in_range(r, 1, 9);
  p->index_bytes = rng_below(r, 2) ? 4 : 8;
  char *index = arena_array(a, (size_t)p->count, 8);
  for (int32_t i = 0; i < p->count; i++) {
    int32_t k = in_range(r, -p->axis_len, p->axis_len - 1);
    if (p->index_bytes == 4)
      ((int32_t *)(void *)index)[i] = k;
    else
      ((int64_t *)(void *)index)[i] = k;
  }
  c->in[0] =
      (CaseTensor){1, p->axis_len * p->block, random_data(r, a, p->axis_len * p->block, 'b'), false, false};
  c->in[1] = (CaseTensor){1, p->count * p->index_bytes, index, false, false};
  c->n_in = 2;
  c->out_rows = p->count;
  c->out_row = p->block;
  snprintf(c->text, sizeof c->text, "%d of %d blocks of %d bytes", (int)p->count, (int)p->axis_len,
           (int)p->block);
}

static const struct {
  const char *params;
  void (*make)(KernelCase *c, Rng *r, Arena *a);
} generators[] = {
    {"mf_conv_f32", gen_conv_f32},
    {"mf_conv_s8", gen_conv_s8},
    {"mf_fc_f32", gen_fc_f32},
    {"mf_fc_s8", gen_fc_s8},
    {"mf_matmul_f32", gen_matmul_f32},
    {"mf_pool_f32", gen_pool_f32},
    {"mf_pool_s8", gen_pool_s8},
    {"mf_conv_s8_even", gen_conv_s8_even},
    {"mf_matmul_s8_even", gen_matmul_s8_even},
    {"mf_mean", gen_mean},
    {"mf_affine_f32", gen_affine_f32},
    {"mf_binary", gen_binary},
    {"mf_compare", gen_compare},
    {"mf_where", gen_where},
    {"mf_arg", gen_arg},
    {"mf_cum", gen_cum},
    {"mf_add_s8", gen_add_s8},
    {"mf_mul_s8", gen_mul_s8},
    {"mf_unary_f32", gen_unary_f32},
    {"mf_lut_s8", gen_lut_s8},
    {"mf_lut_axis_s8", gen_lut_axis_s8},
    {"mf_seq_lstm_f32", gen_seq_lstm_f32},
    {"mf_seq_lstm_s8", gen_seq_lstm_s8},
    {"mf_svdf_f32", gen_svdf_f32},
    {"mf_svdf_s8", gen_svdf_s8},
    {"mf_softmax_f32", gen_softmax_f32},
    {"mf_softmax_s8", gen_softmax_s8},
    {"mf_log_softmax_s8", gen_log_softmax_s8},
    {"mf_l2_normalization_s8", gen_l2_normalization_s8},
    {"mf_resize_bilinear_s8", gen_resize_bilinear_s8},
    {"mf_conv_transpose_s8", gen_conv_transpose_s8},
    {"mf_matmul_s8", gen_matmul_s8},
    {"mf_copy", gen_copy},
    {"mf_fill", gen_fill},
    {"mf_gather", gen_gather},
    {"mf_gather_elements", gen_gather_elements},
    {"mf_gather_nd", gen_gather_nd},
    {"mf_scatter_elements", gen_scatter_elements},
    {"mf_scatter_nd", gen_scatter_nd},
    {"mf_top_k", gen_top_k},
    {"mf_trilu", gen_trilu},
    {"mf_weighted_gather", gen_weighted_gather},
    {"mf_custom_call", gen_custom},
    {"mf_recurrent", gen_recurrent},
    {"mf_conv_transpose", gen_conv_transpose},
    {"mf_pool_index", gen_pool_index},
    {"mf_cast", gen_cast},
    {"mf_quant", gen_quant},
    {"mf_dequant_axis", gen_dequant_axis},
    {"mf_requant", gen_requant},
};

enum { MAX_TRIES = 1000 };

KernelCase kernel_case(const KernelDef *k, Rng *r, Arena *a) {
  KernelCase c = {.kernel = k, .params = arena_alloc(a, k->params->size), .reads = reads_same};
  size_t i = 0, n = sizeof generators / sizeof generators[0];
  while (i < n && strcmp(generators[i].params, k->params->c_type) != 0) i++;
  ck_assert_msg(i < n || gen_of_s16(k), "%s: no generator for %s in tests/kernels/kernel_cases.c", k->name,
                k->params->c_type);
  for (int tries = 0; tries < MAX_TRIES; tries++) {
    memset(c.params, 0, k->params->size);
    if (gen_of_s16(k))
      gen_of_s16(k)(&c, r, a);
    else if (gen_of_s4(k))
      gen_of_s4(k)(&c, r, a);
    else
      generators[i].make(&c, r, a);
    if (!k->accepts || k->accepts(c.params)) return c;
  }
  ck_abort_msg("%s__%s accepts none of %d random cases", k->name, k->tag, MAX_TRIES);
  return c;
}

/* -- wider weights -- */

/* Spread `outs` x `taps` x `run` elements of `size` bytes into strides w_out and w_tap, garbage elsewhere. */
static void *spread(Rng *r, Arena *a, const void *w, int32_t size, const int32_t dims[3],
                    const int32_t from[2], const int32_t to[2]) {
  int32_t total = dims[0] * to[0] + dims[1] * to[1] + dims[2];
  char *wide = random_data(r, a, total * size, 'b');
  if (size == 4) fill_random(r, wide, (size_t)total * 4, 'f');
  for (int32_t o = 0; o < dims[0]; o++) {
    for (int32_t t = 0; t < dims[1]; t++) {
      memcpy(wide + (o * to[0] + t * to[1]) * size, (const char *)w + (o * from[0] + t * from[1]) * size,
             (size_t)(dims[2] * size));
    }
  }
  return wide;
}

static void *spread_conv(Rng *r, Arena *a, const void *w, int32_t size, const mf_window *g, int32_t *w_tap,
                         int32_t *w_out) {
  const bool depthwise = *w_out == 0;
  const int32_t dims[3] = {depthwise ? 1 : g->out_c, g->k_h * g->k_w, depthwise ? g->out_c : *w_tap};
  const int32_t from[2] = {*w_out, *w_tap};
  *w_tap += in_range(r, 1, 5);
  *w_out = depthwise ? 0 : dims[1] * *w_tap + in_range(r, 0, 5);
  const int32_t to[2] = {*w_out, *w_tap};
  return spread(r, a, w, size, dims, from, to);
}

bool kernel_case_widen(const KernelCase *c, Rng *r, Arena *a, KernelCase *out) {
  const char *type = c->kernel->params->c_type;
  *out = *c;
  out->params = arena_dup(a, c->params, c->kernel->params->size);
  if (widen_s4(r, a, out)) return true;
  if (strcmp(type, "mf_conv_f32") == 0) {
    mf_conv_f32 *p = out->params;
    p->w = spread_conv(r, a, p->w, 4, &p->g, &p->w_tap, &p->w_out);
  } else if (strcmp(type, "mf_conv_s8") == 0) {
    mf_conv_s8 *p = out->params;
    p->w = spread_conv(r, a, p->w, 1, &p->g, &p->w_tap, &p->w_out);
  } else if (strcmp(type, "mf_conv_s16") == 0) {
    mf_conv_s16 *p = out->params;
    p->w = spread_conv(r, a, p->w, 1, &p->g, &p->w_tap, &p->w_out);
  } else if (strcmp(type, "mf_fc_s16") == 0) {
    mf_fc_s16 *p = out->params;
    const int32_t dims[3] = {p->n, 1, p->k}, from[2] = {p->w_out, 0};
    p->w_out += in_range(r, 1, 5);
    p->w = spread(r, a, p->w, 1, dims, from, (const int32_t[2]){p->w_out, 0});
  } else if (strcmp(type, "mf_fc_f32") == 0) {
    mf_fc_f32 *p = out->params;
    const int32_t dims[3] = {p->n, 1, p->k}, from[2] = {p->w_out, 0};
    p->w_out += in_range(r, 1, 5);
    p->w = spread(r, a, p->w, 4, dims, from, (const int32_t[2]){p->w_out, 0});
  } else if (strcmp(type, "mf_fc_s8") == 0) {
    mf_fc_s8 *p = out->params;
    const int32_t dims[3] = {p->n, 1, p->k}, from[2] = {p->w_out, 0};
    p->w_out += in_range(r, 1, 5);
    p->w = spread(r, a, p->w, 1, dims, from, (const int32_t[2]){p->w_out, 0});
  } else {
    return false;
  }
  return true;
}
