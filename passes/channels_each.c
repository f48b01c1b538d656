/* What operators without weights couple, whose output's axes are their input's.
 *
 *   elementwise, BatchNormalization   operands of equal extent are one; one of extent 1 that is spread over many stays
 *   pools, Softmax, CumSum, ...       the axes along which they mix elements stay
 *   ReduceMean and other reductions   over channels: they stay, since the result would not be the same without the
 *                                     channels. A sum reads 0 where a channel is gone
 */
#include "passes/channels_find.h"

const char *couple_same(Finder *f, const Node *n) {
  if (n->n_in > 1) return "has computed parameters";
  chan_same_but(f, n, 0, 0, "");
  return NULL;
}

/* Axis a of operand k of an elementwise operator, or -1. */
static int operand_axis(const Finder *f, const Node *n, uint32_t k, int a) {
  return a - (graph_val(f->g, n->out[0])->shape.rank - graph_val(f->g, n->in[k])->shape.rank);
}

static void elementwise_axis(Finder *f, const Node *n, int a) {
  const uint32_t extent = chan_extent(f, n->out[0], a);
  const ChanAxis *have = NULL;
  bool spread = false;
  for (uint32_t k = 0; k < n->n_in; k++) {
    const int at = operand_axis(f, n, k, a);
    if (at < 0 || val_is_const(f->g, n->in[k])) continue;
    const ChanAxis *ax = chan_of(f, n->in[k], at);
    const bool one = chan_extent(f, n->in[k], at) != extent;
    if (one)
      chan_freeze(f, ax, chan_extent(f, n->in[k], at), chan_why(f, n, "spreads it over many channels"));
    else if (have)
      chan_tie(f, have, ax, extent);
    else
      have = ax;
    spread = spread || one;
  }
  if (!have) return;
  if (spread) chan_least(f, have, extent, 2); /* a single one would be tied to what is spread over it */
  chan_set(f, n->out[0], a, have);
  for (uint32_t k = 0; k < n->n_in; k++) {
    const int at = operand_axis(f, n, k, a);
    if (at >= 0 && val_is_const(f->g, n->in[k]) && chan_extent(f, n->in[k], at) == extent)
      chan_use(f, n, k, at, chan_of(f, n->out[0], a));
  }
}

const char *couple_elementwise(Finder *f, const Node *n) {
  for (int a = 0; a < graph_val(f->g, n->out[0])->shape.rank; a++) elementwise_axis(f, n, a);
  return NULL;
}

const char *couple_batch_normalization(Finder *f, const Node *n) {
  chan_same_but(f, n, 0, 0, "");
  for (uint32_t k = 1; k < n->n_in; k++) chan_param(f, n, k, 0, CATTRS(n, batch_normalization)->axis);
  return NULL;
}

const char *couple_pool(Finder *f, const Node *n) {
  chan_same_but(f, n, 0, 1u << 1 | 1u << 2, "slides along them");
  return NULL;
}

const char *couple_trilu(Finder *f, const Node *n) {
  const int rank = graph_val(f->g, n->in[0])->shape.rank;
  chan_same_but(f, n, 0, 3u << (rank - 2), "takes a triangle of them");
  return NULL;
}

/* ---- along an axis, which may be counted from the end */

static int axis_of(const Node *n, bool *keeps) {
  *keeps = true;
  switch (n->op) {
  case OP_softmax: return CATTRS(n, softmax)->axis;
  case OP_cum_sum: return CATTRS(n, cum_sum)->axis;
  case OP_weighted_gather: return CATTRS(n, weighted_gather)->axis;
  case OP_top_k: return CATTRS(n, top_k)->axis;
  case OP_arg_max: *keeps = CATTRS(n, arg_max)->keepdims; return CATTRS(n, arg_max)->axis;
  default:
    ASSERT(n->op == OP_arg_min);
    *keeps = CATTRS(n, arg_min)->keepdims;
    return CATTRS(n, arg_min)->axis;
  }
}

/* The output's axes from those of the input that are not in the mask. */
static void reduced(Finder *f, const Node *n, uint32_t mask, bool keeps) {
  for (int a = 0, to = 0; a < graph_val(f->g, n->in[0])->shape.rank; a++) {
    if (!(mask >> a & 1)) chan_set(f, n->out[0], to, chan_of(f, n->in[0], a));
    to += keeps || !(mask >> a & 1);
  }
}

static void freeze_axes(Finder *f, const Node *n, uint32_t mask, const char *what) {
  for (int a = 0; a < graph_val(f->g, n->in[0])->shape.rank; a++)
    if (mask >> a & 1)
      chan_freeze(f, chan_of(f, n->in[0], a), chan_extent(f, n->in[0], a), chan_why(f, n, what));
}

const char *couple_axis_op(Finder *f, const Node *n) {
  bool keeps;
  int axis = axis_of(n, &keeps);
  if (axis < 0) axis += graph_val(f->g, n->in[0])->shape.rank;
  for (uint32_t k = 1; k < n->n_in; k++)
    if (n->in[k] != NO_VAL && !val_is_const(f->g, n->in[k])) return "has computed parameters";
  freeze_axes(f, n, 1u << axis, "mixes channels");
  reduced(f, n, 1u << axis, keeps);
  return NULL;
}

/* ---- reductions */

static uint32_t reduce_mask(const Ints *axes) {
  uint32_t mask = 0;
  for (int i = 0; i < axes->n; i++) mask |= 1u << axes->v[i];
  return mask;
}

#define REDUCE(ident) \
  case OP_##ident: *keeps = CATTRS(n, ident)->keepdims; return reduce_mask(&CATTRS(n, ident)->axes);

static uint32_t reduces(const Node *n, bool *keeps) {
  switch (n->op) {
    REDUCE(reduce_mean)
    REDUCE(reduce_sum)
    REDUCE(reduce_sum_square)
    REDUCE(reduce_prod)
    REDUCE(reduce_max)
    REDUCE(reduce_min)
    REDUCE(reduce_log_sum_exp)
  default: ASSERT(false); return 0;
  }
}

const char *couple_mean(Finder *f, const Node *n) {
  bool keeps;
  const uint32_t mask = reduces(n, &keeps);
  freeze_axes(f, n, mask, n->op == OP_reduce_mean ? "averages over channels" : "mixes channels");
  reduced(f, n, mask, keeps);
  return NULL;
}

const char *couple_sum(Finder *f, const Node *n) {
  bool keeps;
  const uint32_t mask = reduces(n, &keeps);
  reduced(f, n, mask, keeps);
  return NULL;
}
