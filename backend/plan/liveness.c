/* Liveness: which values need bytes in the arena, from which kernel call to which, and which of them share bytes.
 *
 *   call      -1   0   1   2   n
 *   input      #---#               the caller writes it before call 0; it may be overwritten after its last use
 *   t0             #---#
 *   output             #---#---#   stays until the caller has read it
 *
 * Constants need none; views (T_VIEW) are their root. A value that a single call computes from an input which dies
 * there, of the same size, by a kernel that may work in place, takes over that input's storage.
 */
#include "backend/plan/plan.h"

#include "ir/base/mem.h"

enum { NEVER = INT32_MIN };

typedef struct Span {
  int32_t first, last; /* NEVER: not touched */
  int32_t writers;     /* calls that write it */
  int32_t storage;     /* of values: the item whose bytes it shares; -1: none yet */
} Span;

typedef struct Finder {
  const Graph *g;
  const Calls *calls;
  Span *span; /* by root value */
} Finder;

static void touch(Finder *f, ValId v, int32_t when) {
  ValId root = value_root(f->g, v);
  if (val_is_const(f->g, root)) return;
  Span *s = &f->span[root];
  if (s->first == NEVER || when < s->first) s->first = when;
  if (s->last == NEVER || when > s->last) s->last = when;
}

static void find_spans(Finder *f) {
  int32_t n = (int32_t)f->calls->n;
  for (uint32_t i = 0; i < f->g->n_inputs; i++) touch(f, f->g->inputs[i], -1);
  for (int32_t c = 0; c < n; c++) {
    const KernelCall *k = &f->calls->v[c];
    for (int i = 0; i < k->n_in; i++) touch(f, k->in[i].val, c);
    touch(f, k->out.val, c);
    f->span[value_root(f->g, k->out.val)].writers++;
  }
  for (uint32_t i = 0; i < f->g->n_outputs; i++) touch(f, f->g->outputs[i], n);
}

/* Whether call c may write its output over its input number i: same bytes, and nobody reads them afterwards. */
static bool fits_in_place(const Finder *f, int32_t c, int i) {
  const KernelCall *k = &f->calls->v[c];
  if (i >= k->n_in || i >= 2 || !(k->kernel->in_place & (1 << i))) return false;
  ValId in = value_root(f->g, k->in[i].val), out = value_root(f->g, k->out.val);
  if (val_is_const(f->g, in) || in == out || val_bytes(f->g, in) != val_bytes(f->g, out)) return false;
  if (f->span[in].last != c || f->span[out].first != c || f->span[out].writers != 1) return false;
  const CallView *iv = &k->in[i], *ov = &k->out;
  if (iv->offset != ov->offset || (k->rows > 1 && iv->row != ov->row) ||
      (k->batch > 1 && iv->step != ov->step))
    return false;
  /* The other input may be the same value only where it, too, may be overwritten. */
  for (int o = 0; o < k->n_in; o++)
    if (o != i && value_root(f->g, k->in[o].val) == in && !(o < 2 && (k->kernel->in_place & (1 << o))))
      return false;
  return true;
}

static int32_t new_storage(Liveness *l) { return l->n_storage++; }

/* Storage in the order of calls, so that a chain of in-place calls shares one. */
static void assign_storage(Finder *f, Liveness *l) {
  for (uint32_t i = 0; i < f->g->n_inputs; i++) {
    Span *s = &f->span[value_root(f->g, f->g->inputs[i])];
    if (s->storage < 0) s->storage = new_storage(l);
  }
  for (int32_t c = 0; c < (int32_t)f->calls->n; c++) {
    const KernelCall *k = &f->calls->v[c];
    Span *s = &f->span[value_root(f->g, k->out.val)];
    if (s->storage >= 0) continue;
    if (fits_in_place(f, c, 0))
      s->storage = f->span[value_root(f->g, k->in[0].val)].storage;
    else if (fits_in_place(f, c, 1))
      s->storage = f->span[value_root(f->g, k->in[1].val)].storage;
    else
      s->storage = new_storage(l);
  }
}

static void add_item(Liveness *l, ValId v, int64_t size, int32_t first, int32_t last, int32_t storage) {
  l->items[l->n_items++] =
      (PlanItem){.val = v, .offset = -1, .size = size, .first = first, .last = last, .storage = storage};
}

static void add_scratch(const Calls *calls, Liveness *l) {
  for (int32_t c = 0; c < (int32_t)calls->n; c++) {
    const KernelCall *k = &calls->v[c];
    size_t n = k->kernel->scratch ? k->kernel->scratch(k->params) : 0;
    if (n) add_item(l, NO_VAL, (int64_t)n, c, c, new_storage(l));
  }
}

void liveness_find(const Graph *g, const Calls *calls, Arena *a, Liveness *out) {
  Finder f = {.g = g, .calls = calls, .span = mem_array(g->n_vals, sizeof *f.span)};
  for (uint32_t v = 0; v < g->n_vals; v++) f.span[v] = (Span){NEVER, NEVER, 0, -1};
  *out = (Liveness){.items = arena_array(a, (size_t)g->n_vals + calls->n, sizeof *out->items)};
  find_spans(&f);
  assign_storage(&f, out);
  for (ValId v = 1; v < g->n_vals; v++) {
    Span *s = &f.span[v];
    if (s->first == NEVER) continue;
    if (s->storage < 0 && val_bytes(g, v) == 0)
      s->storage = new_storage(out); /* an empty one needs no call */
    ASSERT(s->storage >= 0);         /* a value that nobody writes is read: the calls are wrong */
    add_item(out, v, (int64_t)val_bytes(g, v), s->first, s->last, s->storage);
  }
  add_scratch(calls, out);
  mem_free(f.span);
}
