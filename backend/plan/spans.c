/* Spans: which values need bytes in the arena, from which kernel call to which.
 *
 *   call      -1   0   1   2   n
 *   input      #---#               the caller writes it before call 0; it may be overwritten after its last use
 *   t0             #---#
 *   output             #---#---#   stays until the caller has read it
 *   state      #---#---#---#---#   stays for ever; its next value is copied over it at the end of a run
 *
 * Constants need none; views (T_VIEW) are their root.
 */
#include "backend/plan/plan.h"

static void touch(Planner *p, ValId v, int32_t when) {
  ValId root = p->root[v];
  if (val_is_const(p->g, root)) return;
  Span *s = &p->span[root];
  if (s->first == SPAN_NEVER || when < s->first) s->first = when;
  if (s->last == SPAN_NEVER || when > s->last) s->last = when;
}

void spans_find(Planner *p) {
  const Graph *g = p->g;
  int32_t n = (int32_t)p->calls->n;
  for (ValId v = 1; v < g->n_vals; v++) {
    p->span[v] = (Span){SPAN_NEVER, SPAN_NEVER, 0, 0};
    if (p->root[v] == v) p->span[v].bytes = (int64_t)val_bytes(g, v);
  }
  for (uint32_t i = 0; i < g->n_inputs; i++) touch(p, g->inputs[i], -1);
  for (int32_t c = 0; c < n; c++) {
    const KernelCall *k = &p->calls->v[c];
    for (int i = 0; i < k->n_in; i++) touch(p, k->in[i].val, c);
    touch(p, k->out.val, c);
    p->span[p->root[k->out.val]].writers++;
    call_rows_find(k, &p->rows[c]);
  }
  for (uint32_t i = 0; i < g->n_outputs; i++) touch(p, g->outputs[i], n);
  for (uint32_t i = 0; i < g->n_states;
       i++) { /* a state keeps its bytes to itself, from one run to the next */
    touch(p, g->states[i].now, -1);
    touch(p, g->states[i].now, n);
    touch(p, g->states[i].next, n);
  }
}
