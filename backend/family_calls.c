/* Families: the calls of N variants of one model, whose weights are slices of the widest one's.
 *
 *   widest      w [o][tap][i]         narrower: the same array, o < O', i < I', by the strides w_out and w_tap
 *
 * family_share makes the narrower calls read so, as generic kernels do. family_select gives all variants of a call one
 * kernel whose layout holds every slice (backend/kernels/slices.c), and packs it for each: biases and multipliers are the
 * variant's own, the array of weights comes out equal in all, so that the pool of constants keeps it once.
 *
 * Weights of a FullyConnected over a flattened image are slices by channel within each pixel: no prefix of its rows. It
 * becomes a convolution whose window is the line of pixels, which sums the same integers.
 */
#include <string.h>

#include "backend/backend.h"
#include "backend/kernels/kernels.h"

typedef enum Weighted { W_NONE, W_CONV, W_DEPTHWISE, W_FC } Weighted;

static Weighted weighted(const KernelCall *k) {
  const char *n = k->kernel->name;
  if (strcmp(n, "conv_s8") == 0) return ((const mf_conv_s8 *)k->params)->groups == 1 ? W_CONV : W_NONE;
  if (strcmp(n, "depthwise_s8") == 0) return W_DEPTHWISE;
  return strcmp(n, "fc_s8") == 0 ? W_FC : W_NONE;
}

/* Weights as [outs][taps][run], with strides. */
typedef struct Weights {
  const int8_t *w;
  int64_t outs, taps, run, out, tap;
} Weights;

static Weights weights_of(const KernelCall *k, Weighted how, int64_t fc_taps) {
  if (how == W_FC) {
    const mf_fc_s8 *p = k->params;
    const int64_t run = p->k / fc_taps;
    return (Weights){p->w, p->n, fc_taps, run, p->w_out, run};
  }
  const mf_conv_s8 *p = k->params;
  const int64_t taps = (int64_t)p->g.k_h * p->g.k_w;
  if (how == W_DEPTHWISE) return (Weights){p->w, p->g.out_c, taps, 1, 1, p->w_tap};
  return (Weights){p->w, p->g.out_c, taps, p->g.in_c, p->w_out, p->w_tap};
}

/* Whether v are the first channels of w. */
static bool is_slice(const Weights *w, const Weights *v) {
  if (v->outs > w->outs || v->run > w->run || v->taps != w->taps) return false;
  for (int64_t o = 0; o < v->outs; o++)
    for (int64_t t = 0; t < v->taps; t++)
      if (memcmp(w->w + o * w->out + t * w->tap, v->w + o * v->out + t * v->tap, (size_t)v->run) != 0)
        return false;
  return true;
}

/* Which of the call's constants are its weights. */
static int weights_const(const KernelCall *k) {
  int i = 0;
  while (strcmp(k->kernel->params->fields[k->consts[i].field].name, "w") != 0) i++;
  ASSERT(i < k->n_consts);
  return i;
}

static void take_array(KernelCall *k, const KernelCall *widest) {
  CallConst *own = &k->consts[weights_const(k)];
  const CallConst *w = &widest->consts[weights_const(widest)];
  own->data = w->data;
  own->count = w->count;
  own->val = NO_VAL;
}

/* The narrower call reads the widest one's array. */
static void take_slice(KernelCall *k, const KernelCall *widest, Weighted how) {
  take_array(k, widest);
  if (how == W_FC) {
    mf_fc_s8 *p = k->params;
    const mf_fc_s8 *w = widest->params;
    p->w = w->w;
    p->w_out = w->w_out;
    return;
  }
  mf_conv_s8 *p = k->params;
  const mf_conv_s8 *w = widest->params;
  p->w = w->w;
  p->w_out = w->w_out;
  p->w_tap = w->w_tap;
}

/* -- FullyConnected as a convolution -- */

static void fc_to_conv(KernelCall *k, int32_t taps, Arena *a) {
  const mf_fc_s8 f = *(const mf_fc_s8 *)k->params;
  const CallConst w = k->consts[weights_const(k)];
  int32_t *mult = arena_array(a, (size_t)f.n, sizeof *mult);
  int8_t *shift = arena_array(a, (size_t)f.n, sizeof *shift);
  for (int32_t o = 0; o < f.n; o++) {
    mult[o] = f.mult[f.per_channel ? o : 0];
    shift[o] = f.shift[f.per_channel ? o : 0];
  }
  mf_conv_s8 *p = arena_alloc(a, sizeof *p);
  *p = (mf_conv_s8){.g = {.in_h = k->rows,
                          .in_w = taps,
                          .in_c = f.k / taps,
                          .out_h = k->rows,
                          .out_w = 1,
                          .out_c = f.n,
                          .k_h = 1,
                          .k_w = taps,
                          .stride_h = 1,
                          .stride_w = 1,
                          .dil_h = 1,
                          .dil_w = 1},
                    .groups = 1,
                    .w_tap = f.k / taps,
                    .w_out = f.w_out,
                    .in_zero = f.in_zero,
                    .out_zero = f.out_zero,
                    .lo = f.lo,
                    .hi = f.hi};
  k->kernel = kernel_find_generic("conv_s8");
  k->params = p;
  k->n_consts = 0;
  call_const(k, "w", w.data, w.count, w.val);
  if (f.bias) call_const(k, "bias", f.bias, f.n, NO_VAL);
  call_const(k, "mult", mult, f.n, NO_VAL);
  call_const(k, "shift", shift, f.n, NO_VAL);
}

/* -- a call of all variants -- */

static bool all_slices(Calls *const *calls, int n, uint32_t c, Weighted how, int64_t fc_taps) {
  const Weights w = weights_of(&calls[0]->v[c], how, fc_taps);
  for (int v = 1; v < n; v++) {
    const Weights narrow = weights_of(&calls[v]->v[c], how, fc_taps);
    if (!is_slice(&w, &narrow)) return false;
  }
  return true;
}

static const mf_fc_s8 *fc_of(const Calls *calls, uint32_t c) { return calls->v[c].params; }

/* Pixels of the image that the inputs are, if the weights are slices by its channels; 0: they are not. */
static int32_t fc_pixels(Calls *const *calls, int n, uint32_t c) {
  const int32_t k = fc_of(calls[0], c)->k;
  for (int32_t taps = 2; taps <= k; taps++) {
    bool divides = true;
    for (int v = 0; v < n; v++) divides = divides && fc_of(calls[v], c)->k % taps == 0;
    if (divides && all_slices(calls, n, c, W_FC, taps)) return taps;
  }
  return 0;
}

static bool zero_weights(Calls *const *calls, int n, uint32_t c) {
  for (int v = 0; v < n; v++)
    if (fc_of(calls[v], c)->w_zero != 0) return false;
  return true;
}

/* A narrower variant's weights are no larger. */
static bool check_order(const Graph *const *g, Calls *const *calls, int n, uint32_t c, Diag *d) {
  const Weighted how = weighted(&calls[0]->v[c]);
  for (int v = 1; v < n && how != W_NONE; v++) {
    const Weights w = weights_of(&calls[0]->v[c], how, 1), own = weights_of(&calls[v]->v[c], how, 1);
    FAIL_IF(own.outs > w.outs || own.run > w.run, d, &g[v]->nodes[calls[v]->v[c].node].loc,
            "variant %d is wider here than the first one: want the widest first", v);
  }
  return true;
}

static bool share_call(Calls *const *calls, int n, uint32_t c) {
  Weighted how = weighted(&calls[0]->v[c]);
  if (how == W_NONE) return false;
  if (how == W_FC && !all_slices(calls, n, c, W_FC, 1)) {
    const int32_t taps = fc_pixels(calls, n, c);
    if (!taps || !zero_weights(calls, n, c)) return false;
    for (int v = 0; v < n; v++) fc_to_conv(&calls[v]->v[c], taps, calls[v]->arena);
    how = W_CONV;
  }
  if (!all_slices(calls, n, c, how, 1)) return false;
  for (int v = 1; v < n; v++) take_slice(&calls[v]->v[c], &calls[0]->v[c], how);
  return true;
}

static bool same_calls(const Graph *const *g, Calls *const *calls, int n, Diag *d) {
  for (int v = 1; v < n; v++) {
    FAIL_IF(calls[v]->n != calls[0]->n, d, NULL,
            "variant %d has %u layers, the widest %u: want variants of one model, widest first", v,
            calls[v]->n, calls[0]->n);
    for (uint32_t c = 0; c < calls[0]->n; c++) {
      const KernelCall *a = &calls[0]->v[c], *b = &calls[v]->v[c];
      FAIL_IF(a->kernel != b->kernel, d, &g[v]->nodes[b->node].loc,
              "layer %u of variant %d is %s, of the widest %s: want variants of one model, widest first", c,
              v, b->kernel->name, a->kernel->name);
    }
  }
  return true;
}

bool family_share(const Graph *const *g, Calls *const *calls, int n, bool **shared, Diag *d) {
  TRY(same_calls(g, calls, n, d));
  *shared = arena_array(calls[0]->arena, (size_t)calls[0]->n + 1, sizeof **shared);
  bool any = false;
  for (uint32_t c = 0; c < calls[0]->n; c++) {
    TRY(check_order(g, calls, n, c, d));
    (*shared)[c] = share_call(calls, n, c);
    any = any || (*shared)[c];
  }
  if (n == 1 || any) return true;
  diag_error(d, NULL, "the variants share no weights: no layer's are int8 and a slice of the widest one's");
  diag_hint(d, "mistify tailor makes families (\"variants: N\" in deploy.yaml)");
  return false;
}

/* -- kernels -- */

typedef struct Family {
  Calls *const *calls;
  int n;
  const bool *shared;
} Family;

static bool may(const void *ctx, uint32_t c, const KernelDef *k) {
  const Family *f = ctx;
  const void *widest = f->calls[0]->v[c].params;
  for (int v = 1; v < f->n; v++) {
    const void *params = f->calls[v]->v[c].params;
    if (k->accepts && !k->accepts(params)) return false;
    if (f->shared[c] && !kernel_shares(k, widest, params)) return false;
  }
  return f->shared[c] || !strstr(k->tag, "_family");
}

/* Weights of 4 bits are each variant's own: as bytes where bytes do not count, as select_kernels does. */
bool family_select(const Graph *const *g, const Target *t, Calls *const *calls, int n, const bool *shared,
                   Diag *d) {
  const Family f = {calls, n, shared};
  SelectBy by = select_by(g[0], t);
  by.families = true;
  by.may = may;
  by.ctx = &f;
  const uint32_t layers = calls[0]->n;
  void **wide = arena_array(calls[0]->arena, (size_t)layers + 1, sizeof *wide);
  for (int v = 1; v < n; v++) select_widen(t, calls[v]);
  for (uint32_t c = 0; c < layers; c++)
    wide[c] = arena_dup(calls[0]->arena, calls[0]->v[c].params, calls[0]->v[c].kernel->params->size);
  TRY(select_kernels_by(t, &by, calls[0], d));
  for (uint32_t c = 0; c < layers; c++)
    for (int v = 1; v < n; v++)
      call_exchange_slice(&calls[v]->v[c], calls[0]->v[c].kernel, shared[c] ? wide[c] : NULL,
                          calls[v]->arena);
  return true;
}
