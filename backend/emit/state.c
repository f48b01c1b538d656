/* State in emitted C: values that live from one run to the next, in the context's arena.
 *
 *   NAME_reset (and NAME_init)   initial value -> now
 *   end of NAME_run              next -> now, in an order in which no copy reads what an earlier one wrote
 *
 * The memory plan gives `now` bytes of its own from before the first call to after the last one, so that nothing touches
 * them between two runs.
 */
#include "backend/emit/emit.h"

#include <string.h>

#include "ir/base/mem.h"

/* All bytes of the initial value are one: a memset does. */
static bool uniform(const unsigned char *p, size_t n, int *fill) {
  for (size_t i = 1; i < n; i++)
    if (p[i] != p[0]) return false;
  *fill = n ? p[0] : 0;
  return true;
}

static void add_state(Emit *e, const GraphState *s, StateCopy *out) {
  const ValId root = value_root(e->g, s->next);
  const int last = (int)e->calls.n;
  *out = (StateCopy){.state = s, .init = -1, .next = -1};
  if (!uniform(val_data(e->g, s->init), val_bytes(e->g, s->init), &out->fill))
    out->init = pool_add_value(&e->pool, e->g, s->init, last);
  if (val_is_const(e->g, root)) out->next = pool_add_value(&e->pool, e->g, root, last);
}

/* Whether some other state that is not copied yet will read this one's present value. */
static bool still_read(const Graph *g, const bool *done, uint32_t i) {
  for (uint32_t k = 0; k < g->n_states; k++)
    if (k != i && !done[k] && value_root(g, g->states[k].next) == g->states[i].now) return true;
  return false;
}

bool collect_states(Emit *e) {
  const Graph *g = e->g;
  bool *done = arena_array(e->arena, (size_t)g->n_states + 1, sizeof *done);
  e->states = arena_array(e->arena, (size_t)g->n_states + 1, sizeof *e->states);
  for (uint32_t n = 0; n < g->n_states; n++) {
    uint32_t i = 0;
    while (i < g->n_states && (done[i] || still_read(g, done, i))) i++;
    FAIL_IF(i == g->n_states, e->diag, NULL,
            "states exchange their values without any operator between them");
    done[i] = true;
    add_state(e, &g->states[i], &e->states[n]);
  }
  return true;
}

static void print_copy(const Emit *e, const char *arena, long long at, int constant, long long n,
                       StrBuf *out) {
  sb_printf(out, "  memcpy(%s + %lld, ", arena, at);
  print_const(e, constant, out);
  sb_printf(out, ", %lld);\n", n);
}

void print_state_reset(const Emit *e, StrBuf *out) {
  if (e->g->n_states == 0) return;
  sb_printf(out, "void %s_reset(const %s_context *ctx) {\n", e->opt->name, e->opt->name);
  if (in_blob(e)) sb_puts(out, "  const unsigned char *const w = ctx->weights;\n  if (!w) return;\n");
  for (uint32_t i = 0; i < e->g->n_states; i++) {
    const StateCopy *s = &e->states[i];
    const long long at = (long long)e->plan.offset[s->state->now],
                    n = (long long)val_bytes(e->g, s->state->now);
    if (s->init >= 0)
      print_copy(e, place_base(e, e->plan.region[s->state->now], "ctx->arena"), at, s->init, n, out);
    else
      sb_printf(out, "  memset(%s + %lld, %d, %lld);\n",
                place_base(e, e->plan.region[s->state->now], "ctx->arena"), at, s->fill, n);
  }
  sb_puts(out, "}\n\n");
}

void print_state_step(const Emit *e, StrBuf *out) {
  if (e->g->n_states > 0) sb_puts(out, "  /* what the next run begins with */\n");
  for (uint32_t i = 0; i < e->g->n_states; i++) {
    const StateCopy *s = &e->states[i];
    const long long at = (long long)e->plan.offset[s->state->now],
                    n = (long long)val_bytes(e->g, s->state->now);
    if (value_root(e->g, s->state->next) == s->state->now) continue;
    if (s->next >= 0)
      print_copy(e, place_base(e, e->plan.region[s->state->now], "a"), at, s->next, n, out);
    else
      sb_printf(out, "  memcpy(%s + %lld, %s + %lld, %lld);\n",
                place_base(e, e->plan.region[s->state->now], "a"), at,
                place_base(e, e->plan.region[s->state->next], "a"), (long long)e->plan.offset[s->state->next],
                n);
  }
}
