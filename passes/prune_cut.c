/* Cutting constants: along each axis only the entries whose units stay.
 *
 * A constant that several nodes read is cut for each; where they cut it by the same units (weights that tie layers, a vector
 * that two operators on one value read) the new graph shares it too.
 */
#include "passes/prune_cut.h"

#include <string.h>

#include "ir/base/mem.h"

typedef struct Done {
  ValId old, made;
  Hash cut; /* by which units */
} Done;

struct Cutter {
  const PrunePlan *plan;
  Done *done;
  size_t cap, n;
};

int64_t cut_count(const PrunePlan *p, const uint32_t *unit, int64_t from, int64_t to) {
  int64_t n = 0;
  for (int64_t i = from; i < to; i++) n += cut_stays(p, unit, i);
  return n;
}

Cutter *cutter_new(const PrunePlan *p) {
  Cutter *c = mem_alloc(sizeof *c);
  *c = (Cutter){.plan = p};
  return c;
}

void cutter_free(Cutter *c) {
  mem_free(c->done);
  mem_free(c);
}

/* bytes [shape] without the entries that go along one axis; shape and the result (the caller's) are the new ones. */
static char *cut_axis(const PrunePlan *p, const char *bytes, Shape *s, int axis, const uint32_t *unit,
                      size_t size) {
  const size_t inner = (size_t)shape_count_range(s, axis + 1, s->rank) * size,
               outer = (size_t)shape_count_range(s, 0, axis), extent = (size_t)s->d[axis];
  s->d[axis] = cut_count(p, unit, 0, (int64_t)extent);
  char *to = mem_alloc_aligned((size_t)shape_count(s) * size + 1, 64), *at = to;
  for (size_t o = 0; o < outer; o++)
    for (size_t i = 0; i < extent; i++) {
      if (!cut_stays(p, unit, (int64_t)i)) continue;
      memcpy(at, bytes + (o * extent + i) * inner, inner);
      at += inner;
    }
  return to;
}

/* The units along the axes that lose something: a plan that goes on from this one cuts alike what has the same. */
static Hash cut_hash(const PrunePlan *p, const Shape *s, const ChanUnits *units) {
  Hasher *h = hasher_new();
  for (int a = 0; a < s->rank; a++) {
    if (cut_count(p, units->axis[a], 0, s->d[a]) == s->d[a]) continue;
    hasher_u64(h, (uint64_t)a);
    hasher_bytes(h, units->axis[a], (size_t)s->d[a] * sizeof *units->axis[a]);
  }
  return hasher_done(h);
}

ValId cut_const(Cutter *c, Rewrite *r, ValId old, const ChanUnits *units) {
  const Value *v = graph_val(r->from, old);
  Shape s = v->shape;
  bool less = false;
  for (int a = 0; a < s.rank; a++) less = less || cut_count(c->plan, units->axis[a], 0, s.d[a]) < s.d[a];
  if (!less) return rewrite_val(r, old);
  const Hash cut = cut_hash(c->plan, &s, units);
  for (size_t i = 0; i < c->n; i++)
    if (c->done[i].old == old && hash_equal(c->done[i].cut, cut)) return c->done[i].made;
  char *made = NULL;
  for (int a = 0; a < s.rank; a++) {
    if (!units->axis[a]) continue;
    char *next =
        cut_axis(c->plan, made ? made : val_data(r->from, old), &s, a, units->axis[a], dtype_size(v->dtype));
    mem_free(made);
    made = next;
  }
  Blob *blob = blob_adopt(made, (size_t)shape_count(&s) * dtype_size(v->dtype));
  void *done = c->done;
  mem_grow(&done, &c->cap, c->n + 1, sizeof *c->done);
  c->done = done;
  c->done[c->n++] = (Done){old, graph_const(r->to, v->name, v->dtype, &s, blob), cut};
  return c->done[c->n - 1].made;
}
