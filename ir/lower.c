/* Lowering: the list of calls, what all operators share, and the integer parameters of TFLite.
 *
 *   Graph -> for each node op_info(op)->lower -> Calls: kernel, params, constants, views, rows, batch
 *
 * Every tensor's storage is its root: T_VIEW operators (Reshape) make no call, their output is the input's memory under
 * another shape. One exception: a graph output (or a state's next value) that is a view of a graph input or of a constant has storage
 * of its own and is copied, since the caller owns the one and nobody may write to the other.
 * Params and constants made here live in the Calls' arena. Nothing is fused: a call is one operator's work.
 * Source of the integer parameters: TensorFlow Lite, quantization_util.cc and kernel_util.cc.
 */
#include "ir/lower.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/lower/lower_util.h"
#include "ir/ops/ops.h"

void calls_init(Calls *c) { *c = (Calls){.arena = arena_new()}; }

void calls_free(Calls *c) {
  arena_free(c->arena);
  mem_free(c->v);
  *c = (Calls){0};
}

KernelCall *calls_add(Calls *c, const char *kernel, NodeId node) {
  void *grown = c->v;
  mem_grow(&grown, &c->cap, (size_t)c->n + 1, sizeof *c->v);
  c->v = grown;
  KernelCall *k = &c->v[c->n++];
  *k = (KernelCall){.kernel = kernel_find_generic(kernel), .node = node, .batch = 1};
  k->params = arena_alloc(c->arena, k->kernel->params->size);
  return k;
}

static int field_find(const ParamsDesc *p, const char *name) {
  int i = 0;
  while (i < p->n_fields && strcmp(p->fields[i].name, name) != 0) i++;
  ASSERT(i < p->n_fields);
  return i;
}

void call_const(KernelCall *k, const char *field, const void *data, int64_t count, ValId val) {
  int i = field_find(k->kernel->params, field);
  ASSERT(k->n_consts < CALL_MAX_CONST && k->kernel->params->fields[i].kind >= FIELD_PTR_I8);
  memcpy((char *)k->params + k->kernel->params->fields[i].offset, &data, sizeof data);
  k->consts[k->n_consts++] = (CallConst){.field = i, .data = data, .count = count, .val = val};
}

void pack_const(KernelPack *p, const char *field, const void *data, int64_t count, int align) {
  int f = field_find(p->desc, field), i = 0;
  ASSERT(p->desc->fields[f].kind >= FIELD_PTR_I8);
  memcpy((char *)p->params + p->desc->fields[f].offset, &data, sizeof data);
  while (i < p->n_consts && p->consts[i].field != f) i++;
  if (!data) {
    if (i < p->n_consts) p->consts[i] = p->consts[--p->n_consts];
    return;
  }
  ASSERT(i < CALL_MAX_CONST);
  if (i == p->n_consts) p->n_consts++;
  p->consts[i] = (CallConst){.field = f, .data = data, .count = count, .val = NO_VAL, .align = align};
}

void call_exchange(KernelCall *k, const KernelDef *kernel, Arena *a) {
  call_exchange_slice(k, kernel, NULL, a);
}

void call_exchange_slice(KernelCall *k, const KernelDef *kernel, const void *widest, Arena *a) {
  ASSERT(strcmp(kernel->params->c_type, k->kernel->params->c_type) == 0);
  k->kernel = kernel;
  if (!kernel->pack) return;
  KernelPack p = {
      .desc = kernel->params, .params = k->params, .arena = a, .n_consts = k->n_consts, .widest = widest};
  memcpy(p.consts, k->consts, sizeof p.consts);
  kernel->pack(&p);
  memcpy(k->consts, p.consts, sizeof p.consts);
  k->n_consts = p.n_consts;
}

/* -- storage -- */

static bool is_view(const Graph *g, ValId v) {
  const Node *def = graph_def(g, v);
  return def != NULL && (op_info(def->op)->traits & T_VIEW) != 0;
}

ValId value_root(const Graph *g, ValId v) {
  ValId own = NO_VAL; /* the view nearest to the root that is a graph output */
  while (is_view(g, v)) {
    if (graph_is_result(g, v)) own = v;
    v = graph_def(g, v)->in[0];
  }
  return own != NO_VAL && graph_def(g, v) == NULL ? own : v;
}

/* -- integer parameters -- */

void quantize_multiplier(double real, int32_t *mult, int32_t *shift) {
  int exponent = 0;
  if (!(real <= DBL_MAX)) real = DBL_MAX; /* scales whose quotient no number is: saturates, too */
  ASSERT(real >= 0);
  int64_t q = (int64_t)round(frexp(real, &exponent) * (double)((int64_t)1 << 31));
  if (q == (int64_t)1 << 31) {
    q /= 2;
    exponent++;
  }
  if (exponent < -31 || q == 0) {
    q = 0;
    exponent = 0;
  } else if (exponent > 31) { /* no real model; saturates, so that shifts stay defined */
    q = INT32_MAX;
    exponent = 31;
  }
  *mult = (int32_t)q;
  *shift = exponent;
}

void quantize_multiplier_once(double real, int32_t *mult, int32_t *shift) {
  quantize_multiplier(real, mult, shift);
  if (*shift >= 0) return;
  *mult = (int32_t)round(ldexp(real, 31));
  *shift = 0;
}

bool quantize_multiplier_wide(double real, int32_t *mult, int32_t *shift) {
  quantize_multiplier(real, mult, shift);
  *mult = *mult < 0x7fff0000 ? (*mult + (1 << 15)) >> 16 : 0x7fff;
  return *shift <= 7;
}

int32_t quantize_limit(float real, float scale, int32_t zero, int32_t lo, int32_t hi) {
  float code = roundf(real / scale) + (float)zero;
  if (!(code > (float)lo)) return lo;
  return code < (float)hi ? (int32_t)code : hi;
}

void act_range_f32(Act act, float *lo, float *hi) {
  static const float range[ACT_COUNT][2] = {[ACT_NONE] = {-INFINITY, INFINITY},
                                            [ACT_RELU] = {0, INFINITY},
                                            [ACT_RELU6] = {0, 6},
                                            [ACT_RELU_N1_TO_1] = {-1, 1}};
  *lo = range[act][0];
  *hi = range[act][1];
}

static void act_range(Act act, float scale, int32_t zero, int32_t least, int32_t most, int32_t *lo,
                      int32_t *hi) {
  float real_lo, real_hi;
  act_range_f32(act, &real_lo, &real_hi);
  *lo = quantize_limit(real_lo, scale, zero, least, most);
  *hi = quantize_limit(real_hi, scale, zero, least, most);
}

void act_range_s8(Act act, float scale, int32_t zero, int32_t *lo, int32_t *hi) {
  act_range(act, scale, zero, INT8_MIN, INT8_MAX, lo, hi);
}

void act_range_s16(Act act, float scale, int32_t *lo, int32_t *hi) {
  act_range(act, scale, 0, INT16_MIN, INT16_MAX, lo, hi);
}

/* -- the whole graph -- */

/* Every tensor of the node has a static shape and offsets that fit the kernels' 32 bits. */
static bool check_sizes(const Graph *g, const Node *n, Diag *d) {
  char text[SHAPE_TEXT];
  for (uint32_t i = 0; i < n->n_in + n->n_out; i++) {
    ValId v = i < n->n_in ? n->in[i] : n->out[i - n->n_in];
    if (v == NO_VAL) continue;
    shape_format(&graph_val(g, v)->shape, text, sizeof text);
    if (!shape_is_static(&graph_val(g, v)->shape)) {
      return op_fail(n, d, "tensor %s has a symbolic batch; bind it with graph_with_batch", text);
    }
    if (val_bytes(g, v) > INT32_MAX) return op_fail(n, d, "tensor %s is larger than 2 GiB", text);
  }
  return true;
}

bool graph_lower(const Graph *g, Calls *out, Diag *d) {
  for (uint32_t i = 0; i < g->n_nodes; i++) {
    const Node *n = &g->nodes[i];
    TRY(check_sizes(g, n, d));
    ASSERT(op_info(n->op)->lower != NULL);
    TRY(op_info(n->op)->lower(g, n, out, d));
  }
  return true;
}
