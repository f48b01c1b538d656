/* Rows: which rows of its inputs a call reads for a row of its output, from its params.
 *
 * A call may run by rows where a row of its output is a run of bytes that no other row touches. What is not in the
 * table below reads all of its inputs and writes all of its output at once: right for every kernel. Global pools may
 * run by the rows of their input instead: another kernel, which sums as rows come (call_rows_form).
 */
#include <string.h>

#include "backend/plan/plan.h"

static RowMap map_window(const mf_window *g) {
  return (RowMap){.mul = g->stride_h, .sub = g->pad_top, .ext = (g->k_h - 1) * g->dil_h + 1, .rows = g->in_h};
}

static RowMap map_same(const KernelCall *k) { return (RowMap){.mul = 1, .ext = 1, .rows = k->rows}; }

static void rows_same(const KernelCall *k, CallRows *r) {
  r->in[0] = map_same(k);
  r->by_rows = true;
}

static void rows_conv_s8(const KernelCall *k, CallRows *r) {
  r->in[0] = map_window(&((const mf_conv_s8 *)k->params)->g);
  r->by_rows = true;
}

static void rows_conv_s16(const KernelCall *k, CallRows *r) {
  r->in[0] = map_window(&((const mf_conv_s16 *)k->params)->g);
  r->by_rows = true;
}

static void rows_conv_f32(const KernelCall *k, CallRows *r) {
  r->in[0] = map_window(&((const mf_conv_f32 *)k->params)->g);
  r->by_rows = true;
}

static bool sums_rows(const KernelCall *k) {
  return strncmp(k->kernel->name, "avg_rows_", 9) == 0 || strncmp(k->kernel->name, "mean_rows_", 10) == 0;
}

static void rows_pool(const KernelCall *k, const mf_window *g, CallRows *r) {
  r->ends = sums_rows(k);
  r->in[0] = r->ends ? map_same(k) : map_window(g);
  r->by_rows = true;
}

static void rows_pool_s8(const KernelCall *k, CallRows *r) {
  rows_pool(k, &((const mf_pool_s8 *)k->params)->g, r);
}

static void rows_pool_f32(const KernelCall *k, CallRows *r) {
  rows_pool(k, &((const mf_pool_f32 *)k->params)->g, r);
}

static void rows_mean(const KernelCall *k, CallRows *r) {
  if (!sums_rows(k)) return;
  r->ends = r->by_rows = true;
  r->in[0] = map_same(k);
}

/* mf_add_s8 and mf_mul_s8 begin as mf_binary does. */
static void rows_binary(const KernelCall *k, CallRows *r) {
  const mf_binary *p = k->params;
  r->by_rows = true;
  if (p->a[0]) r->in[0] = map_same(k);
  if (p->b[0]) r->in[1] = map_same(k);
}

static void rows_matmul(const KernelCall *k, CallRows *r) { rows_same(k, r); }

/* Whether the bytes of index i of the first axis lie in [i * stride[0], (i + 1) * stride[0]). */
static bool rows_apart(const mf_copy *p, const int32_t *stride) {
  int64_t end = p->elem;
  for (int i = 1; i < p->rank; i++) {
    if (stride[i] < 0) return false;
    end += (int64_t)(p->dims[i] - 1) * stride[i];
  }
  return end <= stride[0];
}

static void rows_copy(const KernelCall *k, CallRows *r) {
  const mf_copy *p = k->params;
  if (!rows_apart(p, p->dst)) return;
  r->by_rows = true;
  if (rows_apart(p, p->src)) r->in[0] = map_same(k);
}

static void rows_fill(const KernelCall *k, CallRows *r) {
  (void)k;
  r->by_rows = true;
}

static const struct {
  const char *c_type;
  void (*find)(const KernelCall *k, CallRows *r);
} finders[] = {
    {"mf_conv_s8", rows_conv_s8},
    {"mf_conv_f32", rows_conv_f32},
    {"mf_pool_s8", rows_pool_s8},
    {"mf_pool_f32", rows_pool_f32},
    {"mf_mean", rows_mean},
    {"mf_fc_s8", rows_same},
    {"mf_fc_f32", rows_same},
    {"mf_matmul_f32", rows_matmul},
    {"mf_binary", rows_binary},
    {"mf_add_s8", rows_binary},
    {"mf_mul_s8", rows_binary},
    {"mf_unary_f32", rows_same},
    {"mf_lut_s8", rows_same},
    {"mf_cast", rows_same},
    {"mf_quant", rows_same},
    {"mf_requant", rows_same},
    {"mf_dequant_axis", rows_same},
    {"mf_softmax_f32", rows_same},
    {"mf_softmax_s8", rows_same},
    {"mf_affine_f32", rows_same},
    {"mf_copy", rows_copy},
    {"mf_fill", rows_fill},
    {"mf_matmul_s8", rows_matmul},
    {"mf_log_softmax_s8", rows_same},
    {"mf_l2_normalization_s8", rows_same},
    {"mf_conv_s16", rows_conv_s16},
    {"mf_fc_s16", rows_same},
    {"mf_matmul_s16", rows_matmul},
    {"mf_curve_s16", rows_same},
    {"mf_leaky_s16", rows_same},
    {"mf_softmax_s16", rows_same},
};

/* A view with a place of its own for each row; a batch would repeat them. */
static bool view_has_rows(const CallView *v, int32_t rows) { return v->row > 0 || rows == 1; }

void call_rows_find(const KernelCall *k, CallRows *out) {
  *out = (CallRows){0};
  for (int i = 0; i < CALL_MAX_IN; i++) out->in[i].all = true;
  if (k->batch > 1 || !view_has_rows(&k->out, k->rows)) return;
  for (size_t i = 0; i < sizeof finders / sizeof *finders; i++)
    if (strcmp(finders[i].c_type, k->kernel->params->c_type) == 0) {
      for (int m = 0; m < CALL_MAX_IN; m++) out->in[m].all = true;
      finders[i].find(k, out);
    }
  for (int i = 0; i < k->n_in; i++)
    if (k->in[i].row <= 0) out->in[i] = (RowMap){.all = true};
}

/* A single window, from the first pixel on, nothing of it padded: as a rule the whole image. */
static bool is_single(const mf_window *g) {
  return g->out_h == 1 && g->out_w == 1 && g->k_h <= g->in_h && g->k_w <= g->in_w && !g->pad_top &&
         !g->pad_left && g->dil_h == 1 && g->dil_w == 1;
}

/* The mean of each channel of [1,rows,columns,channels]. */
static bool is_image_mean(const mf_mean *p, const Shape *s) {
  return s->rank == 4 && s->d[0] == 1 && p->rank == 2 && p->rrank == 1 && p->dims[0] == 1 &&
         p->dims[1] == s->d[3] && p->src[1] == 1 && p->rdims[0] == s->d[1] * s->d[2] && p->rsrc[0] == s->d[3];
}

static void form_as(const char *kernel, int64_t rows, int64_t row, KernelCall *form) {
  form->kernel = kernel_find_generic(kernel);
  form->rows = (int32_t)rows;
  form->in[0].row = row;
}

bool call_rows_form(const Graph *g, const KernelCall *k, KernelCall *form) {
  const char *name = k->kernel->name, *type = k->kernel->params->c_type;
  if (k->batch > 1 || k->n_in < 1) return false;
  const Value *x = graph_val(g, k->in[0].val);
  *form = *k;
  if (strcmp(type, "mf_mean") == 0 && is_image_mean(k->params, &x->shape)) {
    int64_t row = x->shape.d[2] * x->shape.d[3] * (int64_t)dtype_size(x->dtype);
    form_as(x->dtype == DT_F32 ? "mean_rows_f32" : "mean_rows_s8", x->shape.d[1], row, form);
    return strcmp(name, "mean_f32") == 0 || strcmp(name, "mean_s8") == 0;
  }
  bool s8 = strcmp(name, "avg_pool_s8") == 0;
  if (!s8 && strcmp(name, "avg_pool_f32") != 0) return false;
  const mf_window *w = k->params; /* the first member */
  form_as(s8 ? "avg_rows_s8" : "avg_rows_f32", w->k_h, k->in[0].row, form);
  return is_single(w);
}
