/* States of a model in a file of our own: ONNX has none. The property OX_STATES_KEY names for each a line with its input,
 * whose initializer is what the state is at first, and a line with the output that is its next value (export.c).
 *
 * The names are checked as anything else that a file says; a file without the property has no states.
 */
#include <string.h>

#include "frontend/onnx/onnx_model.h"

/* The next line of the list; false: there is none. */
static bool next_line(WireBytes *list, WireBytes *line) {
  if (list->n == 0) return false;
  const uint8_t *end = memchr(list->p, '\n', list->n);
  *line = (WireBytes){list->p, end ? (size_t)(end - list->p) : list->n};
  size_t used = line->n + (end ? 1 : 0);
  list->p += used;
  list->n -= used;
  return true;
}

/* The value of the model's graph with that name; 0: none. */
static uint32_t named(const OxModel *m, WireBytes name, const uint32_t *list, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    if (wire_str_is(name, m->values[list[i]].name)) return list[i];
  return 0;
}

static bool bad_list(OxModel *m, const char *what) {
  diag_error(m->d, &(Loc){.file = m->path}, "names states in its property " OX_STATES_KEY " that %s", what);
  diag_hint(m->d, "remove the property: the states then are inputs and outputs");
  return false;
}

bool ox_read_states(OxModel *m) {
  WireBytes list = m->state_list, in, out;
  if (list.n) m->states = arena_array(m->arena, (size_t)m->n_inputs + 1, sizeof *m->states);
  while (next_line(&list, &in)) {
    if (!next_line(&list, &out)) return bad_list(m, "have no next value");
    OxStatePair p = {.now = named(m, in, m->inputs, m->n_inputs),
                     .next = named(m, out, m->outputs, m->n_outputs)};
    if (!p.now || !p.next) return bad_list(m, "are no input and output of it");
    OxValue *now = &m->values[p.now], *next = &m->values[p.next];
    if (!now->init.p || now->producer >= 0) return bad_list(m, "have no initializer");
    if (now->is_state || next->is_next) return bad_list(m, "are listed twice");
    now->is_state = next->is_next = true;
    m->states[m->n_states++] = p;
  }
  return true;
}

bool ox_begin_states(OxModel *m) {
  for (uint32_t i = 0; i < m->n_states; i++) {
    OxValue *v = &m->values[m->states[i].now];
    const Loc loc = {.file = m->path, .name = v->name};
    ValId init = ox_tensor(m, m->g, v->init, v->name, &loc);
    if (init == NO_VAL) return false;
    v->val = graph_state(m->g, v->name, init);
    v->state = OX_READY;
  }
  return true;
}

/* Codes are quantized as whatever says so first: the value before the run, the one after it. */
static void settle_quant(Graph *g, const GraphState *s) {
  const ValId v[3] = {s->now, s->next, s->init};
  const Quant *q = NULL;
  for (int i = 0; i < 3 && !q; i++)
    if (graph_val(g, v[i])->quant.n > 0) q = &graph_val(g, v[i])->quant;
  for (int i = 0; q && i < 3; i++)
    if (graph_val(g, v[i])->quant.n == 0)
      graph_val(g, v[i])->quant = *q; /* its arrays live in the graph's arena */
}

bool ox_end_states(OxModel *m) {
  for (uint32_t i = 0; i < m->n_states; i++) {
    const OxValue *next = &m->values[m->states[i].next];
    const Loc loc = {.file = m->path, .name = next->name};
    ValId v = ox_use(m, m->states[i].next, &loc);
    if (v == NO_VAL) return false;
    m->g->states[i].next = v;
    settle_quant(m->g, &m->g->states[i]);
  }
  return true;
}
