/* The memory plan: liveness, packed; every byte of a model's working memory, input and output included.
 *
 *   Calls -> liveness.c (items, shared storage) -> pack.c (offsets of storages) -> MemoryPlan
 *
 * Kernels never allocate: a call's scratch is an item like any other. Offsets are multiples of the alignment; the
 * lower bound is that of the class "whole tensors, in place, views": the largest sum of storages alive at one call.
 */
#include "backend/plan/plan.h"

#include "ir/base/mem.h"
#include "ir/base/strbuf.h"

enum { PLAN_ALIGN = 4 };

static int64_t round_up(int64_t n, int64_t align) { return (n + align - 1) / align * align; }

/* One box per storage, from the first of its items to the last. */
static PackBox *boxes_of(const Liveness *l, int64_t align) {
  PackBox *box = mem_array((size_t)l->n_storage, sizeof *box);
  for (int i = 0; i < l->n_items; i++) {
    const PlanItem *it = &l->items[i];
    PackBox *b = &box[it->storage];
    int64_t size = round_up(it->size ? it->size : 1, align);
    if (!b->size) *b = (PackBox){.size = size, .first = it->first, .last = it->last};
    if (size > b->size) b->size = size;
    if (it->first < b->first) b->first = it->first;
    if (it->last > b->last) b->last = it->last;
  }
  return box;
}

/* Offsets of values (views through their roots) and of scratch, for the emitter. */
static void index_offsets(const Graph *g, const Calls *calls, Arena *a, MemoryPlan *p) {
  int64_t *offset = arena_array(a, g->n_vals, sizeof *offset);
  int64_t *scratch = arena_array(a, calls->n, sizeof *scratch);
  for (uint32_t v = 0; v < g->n_vals; v++) offset[v] = -1;
  for (uint32_t c = 0; c < calls->n; c++) scratch[c] = -1;
  for (int i = 0; i < p->n_items; i++) {
    const PlanItem *it = &p->items[i];
    if (it->val != NO_VAL)
      offset[it->val] = it->offset;
    else
      scratch[it->first] = it->offset;
    if (it->val == NO_VAL && it->size > p->scratch_size) p->scratch_size = it->size;
  }
  for (ValId v = 1; v < g->n_vals; v++) offset[v] = offset[value_root(g, v)];
  p->offset = offset;
  p->scratch = scratch;
}

bool plan_memory_aligned(const Graph *g, const Calls *calls, int64_t align, Arena *a, MemoryPlan *out,
                         Diag *d) {
  ASSERT(align > 0 && (align & (align - 1)) == 0);
  *out = (MemoryPlan){.align = align};
  Liveness l;
  liveness_find(g, calls, a, &l);
  PackBox *box = boxes_of(&l, align);
  out->lower_bound = pack_lower_bound(box, l.n_storage);
  out->arena = pack_boxes(box, l.n_storage);
  for (int i = 0; i < l.n_items; i++) l.items[i].offset = box[l.items[i].storage].offset;
  mem_free(box);
  out->items = l.items;
  out->n_items = l.n_items;
  index_offsets(g, calls, a, out);
  FAIL_IF(out->arena > INT32_MAX, d, NULL,
          "the model needs %lld bytes of working memory; at most 2 GiB can be planned",
          (long long)out->arena);
  return true;
}

bool plan_memory(const Graph *g, const Calls *calls, Arena *a, MemoryPlan *out, Diag *d) {
  int64_t align = PLAN_ALIGN;
  for (ValId v = 1; v < g->n_vals; v++)
    if (!val_is_const(g, v) && dtype_size(g->vals[v].dtype) > (size_t)align)
      align = (int64_t)dtype_size(g->vals[v].dtype);
  return plan_memory_aligned(g, calls, align, a, out, d);
}

/* -- printing -- */

/* Bytes held during call c, shared storage counted once. */
static int64_t held_at(const MemoryPlan *p, int32_t c) {
  int64_t sum = 0;
  for (int i = 0; i < p->n_items; i++) {
    const PlanItem *it = &p->items[i];
    if (it->first > c || it->last < c) continue;
    bool counted = false;
    for (int k = 0; k < i; k++) {
      const PlanItem *o = &p->items[k];
      counted |= o->storage == it->storage && o->first <= c && o->last >= c;
    }
    if (!counted) sum += round_up(it->size ? it->size : 1, p->align);
  }
  return sum;
}

static void print_time(struct StrBuf *out, int32_t when, int32_t n) {
  if (when < 0)
    sb_printf(out, " %6s", "in");
  else if (when >= n)
    sb_printf(out, " %6s", "out");
  else
    sb_printf(out, " %6d", (int)when);
}

static void print_item(const Graph *g, const Calls *calls, const PlanItem *it, struct StrBuf *out) {
  sb_printf(out, "%10lld %10lld", (long long)it->offset, (long long)it->size);
  print_time(out, it->first, (int32_t)calls->n);
  print_time(out, it->last, (int32_t)calls->n);
  if (it->val == NO_VAL) {
    sb_printf(out, "  scratch of call %d (%s)\n", (int)it->first, calls->v[it->first].kernel->name);
    return;
  }
  const Value *v = graph_val(g, it->val);
  char shape[128];
  shape_format(&v->shape, shape, sizeof shape);
  sb_printf(out, "  %s %s %s\n", v->name ? v->name : "-", dtype_name(v->dtype), shape);
}

void plan_print(const Graph *g, const Calls *calls, const MemoryPlan *p, struct StrBuf *out) {
  int32_t peak_call = 0;
  int64_t peak = 0;
  for (int32_t c = 0; c < (int32_t)calls->n; c++) {
    int64_t held = held_at(p, c);
    if (held > peak) peak = held, peak_call = c;
  }
  sb_puts(out, "    offset      bytes  first   last  what\n");
  for (int i = 0; i < p->n_items; i++) print_item(g, calls, &p->items[i], out);
  sb_printf(out, "arena %lld bytes; lower bound (whole tensors, in place, views) %lld", (long long)p->arena,
            (long long)p->lower_bound);
  if (calls->n)
    sb_printf(out, "; peak at call %d (%s): %lld", (int)peak_call, calls->v[peak_call].kernel->name,
              (long long)peak);
  sb_putc(out, '\n');
}
