/* A plan as a table: who holds which bytes when, the peak, and the lower bounds of each class of plans. */
#include "backend/plan/plan.h"

#include "ir/base/strbuf.h"

static int64_t round_up(int64_t n, int64_t align) { return (n + align - 1) / align * align; }

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

static void print_item(const Graph *g, const Calls *calls, const MemoryPlan *p, const PlanItem *it,
                       struct StrBuf *out) {
  if (p->n_regions > 1)
    sb_printf(out, "%-9s", p->regions[it->region].name ? p->regions[it->region].name : "main");
  sb_printf(out, "%10lld %10lld", (long long)it->offset, (long long)it->size);
  print_time(out, it->first, (int32_t)calls->n);
  print_time(out, it->last, (int32_t)calls->n);
  if (it->val == NO_VAL) {
    sb_printf(out, "  scratch of call %d (%s)%s\n", (int)it->call, calls->v[it->call].kernel->name,
              it->slot.rows ? ", in a free slot of the ring" : "");
    return;
  }
  const Value *v = graph_val(g, it->val);
  char shape[128];
  shape_format(&v->shape, shape, sizeof shape);
  sb_printf(out, "  %s %s %s", v->name ? v->name : "-", dtype_name(v->dtype), shape);
  if (it->slot.rows)
    sb_puts(out, ", one row in a free slot of the ring");
  else if (it->rows)
    sb_printf(out, ", ring of %d rows", (int)it->rows);
  sb_putc(out, '\n');
}

static void print_groups(const Calls *calls, const MemoryPlan *p, struct StrBuf *out) {
  for (int32_t i = 0; i < p->n_groups; i++) {
    const PlanGroup *s = &p->groups[i];
    if (p->stage[s->first].step == 0) continue;
    sb_printf(out, "calls %d to %d row by row:", (int)s->first, (int)(s->first + s->n - 1));
    for (int32_t c = s->first; c < s->first + s->n; c++) sb_printf(out, " %s", calls->v[c].kernel->name);
    sb_putc(out, '\n');
  }
}

static void print_bounds(const MemoryPlan *p, struct StrBuf *out) {
  static const char *const what[] = {NULL, "whole tensors, in place, views", "with overlap", "row by row"};
  for (int level = PLAN_WHOLE; level <= PLAN_STREAM; level++)
    if (p->bound[level]) sb_printf(out, "lower bound (%s): %lld\n", what[level], (long long)p->bound[level]);
}

int32_t plan_peak_call(const Calls *calls, const MemoryPlan *p, int64_t *bytes) {
  int32_t peak_call = 0;
  int64_t peak = 0;
  for (int32_t c = 0; c < (int32_t)calls->n; c++) {
    int64_t held = held_at(p, c);
    if (held > peak) peak = held, peak_call = c;
  }
  if (bytes) *bytes = peak;
  return peak_call;
}

void plan_print(const Graph *g, const Calls *calls, const MemoryPlan *p, struct StrBuf *out) {
  const int32_t peak_call = plan_peak_call(calls, p, NULL);
  if (p->n_regions > 1) sb_puts(out, "region   ");
  sb_puts(out, "    offset      bytes  first   last  what\n");
  for (int i = 0; i < p->n_items; i++) print_item(g, calls, p, &p->items[i], out);
  print_groups(calls, p, out);
  sb_printf(out, "arena %lld bytes (%s); lower bound of this plan %lld", (long long)p->arena,
            plan_level_name(p->level), (long long)p->lower_bound);
  for (int r = 0; r < p->n_regions && p->n_regions > 1; r++)
    sb_printf(out, "; %s %lld", p->regions[r].name ? p->regions[r].name : "main",
              (long long)p->regions[r].bytes);
  if (calls->n)
    sb_printf(out, "; most is held at call %d (%s)", (int)peak_call, calls->v[peak_call].kernel->name);
  sb_putc(out, '\n');
  print_bounds(p, out);
}
