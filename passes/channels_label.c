/* Labels of channels: a union-find, and the axes of values that carry them.
 *
 * A class of united labels becomes a unit unless one of its labels is frozen. Axes without labels stay whole; uniting
 * a label with such an axis freezes it, for the reason that the axis has.
 */
#include <string.h>

#include "ir/base/mem.h"
#include "passes/channels_find.h"

uint32_t label_new(Finder *f, const char *frozen) {
  mem_grow((void **)&f->labels, &f->cap, (size_t)f->n + 1, sizeof *f->labels);
  f->labels[f->n] = (Label){.parent = f->n, .least = 1, .frozen = frozen};
  return f->n++;
}

uint32_t label_root(const Finder *f, uint32_t l) {
  while (f->labels[l].parent != l) {
    f->labels[l].parent = f->labels[f->labels[l].parent].parent;
    l = f->labels[l].parent;
  }
  return l;
}

void label_unite(Finder *f, uint32_t a, uint32_t b) {
  a = label_root(f, a), b = label_root(f, b);
  if (a == b) return;
  uint32_t lo = a < b ? a : b, hi = a < b ? b : a;
  Label *l = &f->labels[lo], *h = &f->labels[hi];
  h->parent = lo;
  if (!l->frozen) l->frozen = h->frozen;
  if (l->least < h->least) l->least = h->least;
}

void label_freeze(Finder *f, uint32_t l, const char *why) {
  l = label_root(f, l);
  if (!f->labels[l].frozen) f->labels[l].frozen = why;
}

/* ---- axes */

uint32_t chan_extent(const Finder *f, ValId v, int a) {
  const Shape *s = &graph_val(f->g, v)->shape;
  int64_t d = s->d[a < 0 ? a + s->rank : a];
  return d > 0 && d < UINT32_MAX ? (uint32_t)d : 0;
}

const ChanAxis *chan_of(const Finder *f, ValId v, int a) {
  static const ChanAxis constant = {NULL, "a constant goes with them", true};
  if (val_is_const(f->g, v)) return &constant;
  return &f->val[v].axis[a < 0 ? a + graph_val(f->g, v)->shape.rank : a];
}

const char *chan_why(Finder *f, const Node *n, const char *what) {
  return arena_printf(f->c->arena, "%s \"%s\" %s", op_info(n->op)->name, node_label(f->g, n), what);
}

ChanAxis chan_axis(const uint32_t *lab) { return (ChanAxis){lab, NULL, true}; }

uint32_t *chan_array(Finder *f, uint32_t n) { return arena_array(f->arena, n, sizeof(uint32_t)); }

static ChanAxis *own_axis(Finder *f, ValId v, int a) {
  ASSERT(!val_is_const(f->g, v));
  return &f->val[v].axis[a < 0 ? a + graph_val(f->g, v)->shape.rank : a];
}

void chan_set(Finder *f, ValId v, int a, const ChanAxis *ax) {
  ChanAxis *to = own_axis(f, v, a);
  *to = *ax;
  to->set = true;
  if (chan_extent(f, v, a) == 0) to->lab = NULL;
}

void chan_fresh(Finder *f, ValId v, int a) {
  uint32_t n = chan_extent(f, v, a), *lab = chan_array(f, n);
  for (uint32_t i = 0; i < n; i++) lab[i] = label_new(f, NULL);
  ChanAxis ax = chan_axis(lab);
  chan_set(f, v, a, &ax);
}

void chan_fix(Finder *f, ValId v, int a, const char *why) {
  chan_set(f, v, a, &(ChanAxis){.why = why, .set = true});
}

void chan_freeze(Finder *f, const ChanAxis *ax, uint32_t n, const char *why) {
  for (uint32_t i = 0; ax->lab && i < n; i++) label_freeze(f, ax->lab[i], why);
}

void chan_tie(Finder *f, const ChanAxis *x, const ChanAxis *y, uint32_t n) {
  const char *alone = "they are joined with what cannot be pruned";
  if (x->lab && y->lab) {
    for (uint32_t i = 0; i < n; i++) label_unite(f, x->lab[i], y->lab[i]);
  } else {
    chan_freeze(f, x, n, y->why ? y->why : alone);
    chan_freeze(f, y, n, x->why ? x->why : alone);
  }
}

void chan_least(Finder *f, const ChanAxis *ax, uint32_t n, uint32_t least) {
  for (uint32_t i = 0; ax->lab && i < n; i++) {
    Label *l = &f->labels[label_root(f, ax->lab[i])];
    if (l->least < least) l->least = least;
  }
}

/* ---- constants */

void chan_use(Finder *f, const Node *n, uint32_t k, int a, const ChanAxis *ax) {
  ChanUse **use = &f->use[n - f->g->nodes];
  if (!*use) *use = arena_array(f->arena, n->n_in, sizeof **use);
  (*use)[k].axis[a] = ax;
}

void chan_weights(Finder *f, const Node *n, uint32_t k, int a, const ChanAxis *ax) {
  ChanAxis *w = &f->weights[n->in[k]].axis[a];
  if (w->set)
    chan_tie(f, w, ax, (uint32_t)graph_val(f->g, n->in[k])->shape.d[a]);
  else
    *w = *ax, w->set = true;
  chan_use(f, n, k, a, w);
}

void chan_param(Finder *f, const Node *n, uint32_t k, int of, int a) {
  const ChanAxis *y = chan_of(f, n->out[0], a);
  if (k >= n->n_in || n->in[k] == NO_VAL) return;
  if (val_is_const(f->g, n->in[k]))
    chan_use(f, n, k, of, y);
  else
    chan_tie(f, chan_of(f, n->in[k], of), y, chan_extent(f, n->in[k], of));
}

void chan_same_but(Finder *f, const Node *n, uint32_t k, uint32_t mask, const char *what) {
  ValId x = n->in[k];
  for (int a = 0; a < graph_val(f->g, x)->shape.rank; a++) {
    const ChanAxis *ax = chan_of(f, x, a);
    if (mask >> a & 1) {
      const char *why = chan_why(f, n, what);
      chan_freeze(f, ax, chan_extent(f, x, a), why);
      chan_fix(f, n->out[0], a, ax->lab ? why : ax->why);
    } else {
      chan_set(f, n->out[0], a, ax);
    }
  }
}
