/* What operators couple that move channels without computing: their labels go where the elements go.
 *
 *   Transpose, Expand        axis by axis
 *   Concat, Slice, Pad       labels side by side, a part of them, fresh ones around them
 *   Slice with a step of k   takes one of each k channels: these k are one, so that the step stays
 *   Reshape                  to the output axis where fewest are tied: after flattening [N,H,W,C] to [N,H*W*C] each
 *                            label stands for H*W columns; [N,T,H*D] to [N,T,H,D] has labels along D (the same entry
 *                            of each head) or along H (whole heads): a choice, see channels.c
 *   Gather                   the labels that the constant indices name
 */
#include "passes/channels_find.h"

#include <string.h>

#include "ir/base/mem.h"

static int rank_of(const Finder *f, ValId v) { return graph_val(f->g, v)->shape.rank; }

const char *couple_transpose(Finder *f, const Node *n) {
  const Ints *perm = &CATTRS(n, transpose)->perm;
  for (int a = 0; a < perm->n; a++) chan_set(f, n->out[0], a, chan_of(f, n->in[0], (int)perm->v[a]));
  return NULL;
}

const char *couple_expand(Finder *f, const Node *n) {
  const ValId x = n->in[0], y = n->out[0];
  const int more = rank_of(f, y) - rank_of(f, x);
  for (int a = 0; a < rank_of(f, x); a++) {
    const uint32_t extent = chan_extent(f, x, a);
    if (extent == chan_extent(f, y, a + more))
      chan_set(f, y, a + more, chan_of(f, x, a));
    else
      chan_freeze(f, chan_of(f, x, a), extent, chan_why(f, n, "spreads it over many channels"));
  }
  return NULL;
}

/* ---- side by side */

static bool any_labels(const Finder *f, const Node *n, int a) {
  for (uint32_t k = 0; k < n->n_in; k++)
    if (chan_of(f, n->in[k], a)->lab) return true;
  return false;
}

/* Labels at `lab` for input k's entries along the axis: its own; fresh of a constant; one that stays. */
static void concat_part(Finder *f, const Node *n, uint32_t k, int at, uint32_t *lab) {
  const uint32_t count = chan_extent(f, n->in[k], at);
  const ChanAxis *ax = chan_of(f, n->in[k], at);
  const bool constant = val_is_const(f->g, n->in[k]);
  const uint32_t stays =
      ax->lab || constant ? 0 : label_new(f, ax->why ? ax->why : chan_why(f, n, "joins what stays"));
  for (uint32_t i = 0; i < count; i++) lab[i] = ax->lab ? ax->lab[i] : constant ? label_new(f, NULL) : stays;
  if (!constant) return;
  const ChanAxis part = chan_axis(lab);
  chan_use(f, n, k, at, arena_dup(f->arena, &part, sizeof part));
}

static void concat_along(Finder *f, const Node *n, int at) {
  if (!any_labels(f, n, at)) return;
  uint32_t *lab = chan_array(f, chan_extent(f, n->out[0], at)), to = 0;
  for (uint32_t k = 0; k < n->n_in; k++) {
    concat_part(f, n, k, at, lab + to);
    to += chan_extent(f, n->in[k], at);
  }
  const ChanAxis y = chan_axis(lab);
  chan_set(f, n->out[0], at, &y);
}

static void concat_across(Finder *f, const Node *n, int a) {
  const ChanAxis *have = NULL;
  for (uint32_t k = 0; k < n->n_in; k++) {
    if (val_is_const(f->g, n->in[k])) continue;
    const ChanAxis *ax = chan_of(f, n->in[k], a);
    if (have)
      chan_tie(f, have, ax, chan_extent(f, n->in[k], a));
    else
      have = ax;
  }
  if (!have) return;
  chan_set(f, n->out[0], a, have);
  for (uint32_t k = 0; k < n->n_in; k++)
    if (val_is_const(f->g, n->in[k])) chan_use(f, n, k, a, chan_of(f, n->out[0], a));
}

const char *couple_concat(Finder *f, const Node *n) {
  const int at = CATTRS(n, concat)->axis;
  for (int a = 0; a < rank_of(f, n->out[0]); a++)
    if (a == at)
      concat_along(f, n, a);
    else
      concat_across(f, n, a);
  return NULL;
}

static void pad_axis(Finder *f, const Node *n, int a, uint32_t begin) {
  const ValId x = n->in[0], y = n->out[0];
  const ChanAxis *ax = chan_of(f, x, a);
  const uint32_t inside = chan_extent(f, x, a), all = chan_extent(f, y, a);
  if (inside == all || (!ax->lab && a != rank_of(f, x) - 1)) {
    chan_set(f, y, a, ax);
    return;
  }
  const uint32_t stays = ax->lab ? 0 : label_new(f, ax->why ? ax->why : chan_why(f, n, "pads what stays"));
  uint32_t *lab = chan_array(f, all);
  for (uint32_t i = 0; i < all; i++) {
    const bool own = i >= begin && i - begin < inside;
    lab[i] = !own ? label_new(f, NULL) : ax->lab ? ax->lab[i - begin] : stays;
  }
  const ChanAxis out = chan_axis(lab);
  chan_set(f, y, a, &out);
}

const char *couple_pad(Finder *f, const Node *n) {
  if (val_is_const(f->g, n->in[0])) return "pads a constant";
  for (int a = 0; a < rank_of(f, n->in[0]); a++) pad_axis(f, n, a, (uint32_t)CATTRS(n, pad)->pads.v[a]);
  return NULL;
}

/* ---- a part of them */

static void slice_axis(Finder *f, const Node *n, int a, int64_t start, int64_t step) {
  const ChanAxis *ax = chan_of(f, n->in[0], a);
  const uint32_t all = chan_extent(f, n->in[0], a), count = chan_extent(f, n->out[0], a);
  const uint32_t k = (uint32_t)(step < 0 ? -step : step);
  if (!ax->lab) {
    chan_set(f, n->out[0], a, ax);
    return;
  }
  for (uint32_t i = 0; count > 1 && i < all; i++) label_unite(f, ax->lab[i], ax->lab[i / k * k]);
  if (count > 1 && k > 1) chan_least(f, ax, all, 2);
  uint32_t *lab = chan_array(f, count);
  for (uint32_t i = 0; i < count; i++) lab[i] = ax->lab[start + step * (int64_t)i];
  const ChanAxis out = chan_axis(lab);
  chan_set(f, n->out[0], a, &out);
}

const char *couple_slice(Finder *f, const Node *n) {
  const slice_attrs *s = CATTRS(n, slice);
  for (int a = 0; a < rank_of(f, n->in[0]); a++)
    if (chan_extent(f, n->out[0], a) > 0) slice_axis(f, n, a, s->starts.v[a], s->steps.v[a]);
  return NULL;
}

/* Output axes of a Gather: those of x before its axis, those of the indices, those of x behind. */
static void gather_others(Finder *f, const Node *n, int axis) {
  const int q = rank_of(f, n->in[1]);
  for (int a = 0; a < rank_of(f, n->in[0]); a++) {
    const int to = a < axis ? a : a + q - 1;
    if (a == axis) continue;
    if (val_is_const(f->g, n->in[0])) { /* a table: its entries are weights */
      chan_fresh(f, n->out[0], to);
      chan_weights(f, n, 0, a, chan_of(f, n->out[0], to));
    } else {
      chan_set(f, n->out[0], to, chan_of(f, n->in[0], a));
    }
  }
  for (int a = 0; a < q; a++) chan_set(f, n->out[0], axis + a, chan_of(f, n->in[1], a));
}

const char *couple_gather(Finder *f, const Node *n) {
  const int axis = CATTRS(n, gather)->axis;
  const ChanAxis *ax = chan_of(f, n->in[0], axis);
  const uint32_t all = chan_extent(f, n->in[0], axis);
  gather_others(f, n, axis);
  if (!ax->lab) return NULL;
  if (!val_is_const(f->g, n->in[1]) || rank_of(f, n->in[1]) != 1 || chan_extent(f, n->in[1], 0) == 0) {
    chan_freeze(f, ax, all, chan_why(f, n, "picks them by an index"));
    return NULL;
  }
  const uint32_t count = chan_extent(f, n->in[1], 0);
  uint32_t *lab = chan_array(f, count);
  for (uint32_t i = 0; i < count; i++) {
    const int64_t at = dtype_get(graph_val(f->g, n->in[1])->dtype, val_data(f->g, n->in[1]), i);
    if (at < 0 || at >= all) return "picks by an index that is none";
    lab[i] = ax->lab[at];
  }
  const ChanAxis out = chan_axis(lab);
  chan_set(f, n->out[0], axis, &out);
  chan_use(f, n, 1, 0, chan_of(f, n->out[0], axis));
  return NULL;
}

/* ---- Reshape: element L has input channel i(L) and, along output axis b, channel o(L). Uniting i with o over all
 * elements makes any b right; one that leaves a single class is of no use. */

typedef struct Grid {
  int64_t inner, extent;
} Grid;

static Grid grid_of(const Shape *s, int axis) {
  return (Grid){.inner = shape_count_range(s, axis + 1, s->rank), .extent = s->d[axis]};
}

static uint32_t small_root(uint32_t *p, uint32_t i) {
  while (p[i] != i) i = p[i] = p[p[i]];
  return i;
}

/* Classes over [input channels, output channels], as parents, for one choice of b. Returns their number. */
static uint32_t reshape_classes(Grid in, Grid out, int64_t count, uint32_t *parent) {
  uint32_t n = (uint32_t)(in.extent + out.extent), classes = n;
  const int64_t step =
      in.inner < out.inner ? in.inner : out.inner; /* runs of one i and one o, where they divide */
  const int64_t run = in.inner % step == 0 && out.inner % step == 0 ? step : 1;
  for (uint32_t i = 0; i < n; i++) parent[i] = i;
  for (int64_t l = 0; l < count && classes > 1; l += run) {
    uint32_t i = small_root(parent, (uint32_t)(l / in.inner % in.extent));
    uint32_t o = small_root(parent, (uint32_t)(in.extent + l / out.inner % out.extent));
    if (i == o) continue;
    if (i < o)
      parent[o] = i;
    else
      parent[i] = o;
    classes--;
  }
  return classes;
}

/* Output axes that the labels along axis a of x can lie along, innermost first, without those taken. */
static int reshape_targets(Finder *f, const Node *n, int a, uint32_t taken, uint32_t *parent, int *to) {
  const Shape *s = &graph_val(f->g, n->in[0])->shape, *t = &graph_val(f->g, n->out[0])->shape;
  int count = 0;
  for (int b = t->rank - 1; b >= 0; b--) {
    if (t->d[b] <= 0 || (taken >> b & 1)) continue;
    if (reshape_classes(grid_of(s, a), grid_of(t, b), shape_count(t), parent) > (s->d[a] > 1))
      to[count++] = b;
  }
  return count;
}

static void reshape_axis(Finder *f, const Node *n, int a, uint32_t *taken, uint32_t *parent) {
  const ValId x = n->in[0], y = n->out[0];
  const Shape *s = &graph_val(f->g, x)->shape, *t = &graph_val(f->g, y)->shape;
  const ChanAxis *ax = chan_of(f, x, a);
  int to[MAX_RANK], count = reshape_targets(f, n, a, *taken, parent, to);
  NodeId id = (NodeId)(n - f->g->nodes);
  if (count == 0) {
    chan_freeze(f, ax, chan_extent(f, x, a), chan_why(f, n, "merges all of them"));
    return;
  }
  if (count > f->choices[id]) f->choices[id] = (uint8_t)count;
  const int b = to[f->choice[id] < count ? f->choice[id] : 0];
  const uint32_t extent = (uint32_t)s->d[a];
  uint32_t *lab = chan_array(f, (uint32_t)t->d[b]);
  const uint32_t classes = reshape_classes(grid_of(s, a), grid_of(t, b), shape_count(t), parent);
  /* Of a single one it does not show where it goes. */
  if (classes < extent || count > 1 || b < t->rank - 1) chan_least(f, ax, extent, 2);
  /* The least member of a class is an input channel: every output channel has elements. */
  for (uint32_t i = 0; i < extent; i++) label_unite(f, ax->lab[i], ax->lab[small_root(parent, i)]);
  for (uint32_t o = 0; o < (uint32_t)t->d[b]; o++) lab[o] = ax->lab[small_root(parent, extent + o)];
  *taken |= 1u << b;
  const ChanAxis out = chan_axis(lab);
  chan_set(f, y, b, &out);
}

const char *couple_reshape(Finder *f, const Node *n) {
  const Shape *s = &graph_val(f->g, n->in[0])->shape, *t = &graph_val(f->g, n->out[0])->shape;
  uint32_t taken = 0, *parent;
  if (shape_count(t) == 0) return "has no elements";
  parent = mem_array((size_t)(shape_count(s) + shape_count(t)), sizeof *parent);
  for (int a = s->rank - 1; a >= 0; a--)
    if (chan_of(f, n->in[0], a)->lab) reshape_axis(f, n, a, &taken, parent);
  mem_free(parent);
  return NULL;
}
