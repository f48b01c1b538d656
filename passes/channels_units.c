/* From labels to units and groups.
 *
 *   class of labels, not frozen  ->  unit          classes that stand on the same axes of the same values, in the same
 *                                                  order of first appearance  ->  a group
 */
#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"
#include "passes/channels_find.h"

/* A class that may be removed: the axes it has channels on, as places in the walk, ascending. */
typedef struct Class {
  uint32_t root, n, first_pos;
  size_t cap;
  uint32_t *at;
  const char *name; /* of the first layer with weights that makes it, or of the first node */
  bool by_layer;
} Class;

static int class_values_compare(const Class *a, const Class *b) {
  for (uint32_t i = 0; i < a->n && i < b->n; i++)
    if (a->at[i] != b->at[i]) return a->at[i] < b->at[i] ? -1 : 1;
  return a->n == b->n ? 0 : a->n < b->n ? -1 : 1;
}

static int class_compare(const void *pa, const void *pb) {
  const Class *a = pa, *b = pb;
  int order = class_values_compare(a, b);
  if (order) return order;
  return a->first_pos < b->first_pos ? -1 : a->first_pos > b->first_pos;
}

static void class_see(Class *c, uint32_t at, uint32_t pos, const char *name, bool by_layer) {
  if (c->n == 0) c->first_pos = pos;
  if (c->n == 0 || (by_layer && !c->by_layer)) c->name = name, c->by_layer = by_layer;
  if (c->n && c->at[c->n - 1] == at) return;
  mem_grow((void **)&c->at, &c->cap, (size_t)c->n + 1, sizeof *c->at);
  c->at[c->n++] = at;
}

/* What value v, the place-th of the walk, has of the classes. */
static void see_value(Finder *f, ValId v, uint32_t place, const Node *n, const uint32_t *of, Class *classes) {
  const Value *x = graph_val(f->g, v);
  const char *name = n ? node_label(f->g, n) : x->name ? x->name : "state";
  for (int a = 0; a < x->shape.rank; a++) {
    const uint32_t *lab = f->val[v].axis[a].lab;
    for (uint32_t k = 0; lab && k < chan_extent(f, v, a); k++) {
      uint32_t c = of[label_root(f, lab[k])];
      if (c == CHAN_FIXED) continue;
      class_see(&classes[c], place * MAX_RANK + (uint32_t)a, k, name, n && chan_layer_axis(f->g, n) >= 0);
    }
  }
}

/* classes[] by root label, in label order; *of[label] = index or CHAN_FIXED. */
static Class *classes_collect(Finder *f, uint32_t *n_out, uint32_t *of) {
  uint32_t n = 0;
  for (uint32_t l = 0; l < f->n; l++) {
    of[l] = CHAN_FIXED;
    if (f->labels[l].parent == l && !f->labels[l].frozen) of[l] = n++;
  }
  Class *classes = mem_array(n, sizeof *classes);
  for (uint32_t l = 0; l < f->n; l++)
    if (of[l] != CHAN_FIXED) classes[of[l]].root = l;
  for (uint32_t i = 0; i < f->g->n_states; i++) see_value(f, f->g->states[i].now, i, NULL, of, classes);
  for (NodeId i = 0; i < f->g->n_nodes; i++) {
    const Node *node = &f->g->nodes[i];
    see_value(f, node->out[0], f->g->n_states + i, node, of, classes);
  }
  *n_out = n;
  return classes;
}

/* ---- what values and constants have */

static const uint32_t *axis_units(Finder *f, const ChanAxis *ax, uint32_t n, const uint32_t *of) {
  bool any = false;
  for (uint32_t i = 0; ax && ax->lab && i < n; i++) any = any || of[label_root(f, ax->lab[i])] != CHAN_FIXED;
  if (!any) return NULL;
  uint32_t *unit = arena_array(f->c->arena, n, sizeof *unit);
  for (uint32_t i = 0; i < n; i++) unit[i] = of[label_root(f, ax->lab[i])];
  return unit;
}

/* The one axis that stands for the value: innermost of those that can lose channels, or else the innermost. */
static void main_axis(Finder *f, ValId v) {
  Channels *c = f->c;
  const int rank = graph_val(f->g, v)->shape.rank;
  int axis = rank - 1;
  while (axis >= 0 && !c->along[v].axis[axis]) axis--;
  if (axis < 0) axis = rank - 1;
  if (axis < 0 || chan_extent(f, v, axis) == 0) return;
  const size_t size = chan_extent(f, v, axis) * sizeof(uint32_t);
  c->axis[v] = axis;
  c->unit[v] = arena_alloc(c->arena, size);
  if (c->along[v].axis[axis])
    memcpy(c->unit[v], c->along[v].axis[axis], size);
  else
    memset(c->unit[v], 0xff, size); /* CHAN_FIXED */
}

static void values_units(Finder *f, const uint32_t *of) {
  for (ValId v = 1; v < f->g->n_vals; v++) {
    if (val_is_const(f->g, v)) continue;
    for (int a = 0; a < graph_val(f->g, v)->shape.rank; a++)
      f->c->along[v].axis[a] = axis_units(f, &f->val[v].axis[a], chan_extent(f, v, a), of);
    main_axis(f, v);
  }
}

static void operands_units(Finder *f, const uint32_t *of) {
  for (NodeId i = 0; i < f->g->n_nodes; i++) {
    const Node *n = &f->g->nodes[i];
    ChanUnits *units = arena_array(f->c->arena, n->n_in, sizeof *units);
    f->c->operand[i] = units;
    for (uint32_t k = 0; f->use[i] && k < n->n_in; k++) {
      if (!val_is_const(f->g, n->in[k])) continue;
      for (int a = 0; a < graph_val(f->g, n->in[k])->shape.rank; a++)
        units[k].axis[a] = axis_units(f, f->use[i][k].axis[a], chan_extent(f, n->in[k], a), of);
    }
  }
}

/* ---- */

static void groups_number(Finder *f, const Class *classes, uint32_t n) {
  Channels *c = f->c;
  c->n_units = n;
  c->group_of = arena_array(c->arena, n, sizeof *c->group_of);
  c->groups = arena_array(c->arena, n, sizeof *c->groups);
  for (uint32_t u = 0; u < n; u++) {
    ASSERT(classes[u].n > 0);
    if (u == 0 || class_values_compare(&classes[u - 1], &classes[u]) != 0)
      c->groups[c->n_groups++] = (ChanGroup){.first = u, .name = classes[u].name, .least = 1};
    ChanGroup *g = &c->groups[c->n_groups - 1];
    if (g->least < f->labels[classes[u].root].least) g->least = f->labels[classes[u].root].least;
    g->n++;
    c->group_of[u] = c->n_groups - 1;
  }
  for (uint32_t g = 0; g < c->n_groups; g++)
    if (c->groups[g].least > c->groups[g].n) c->groups[g].least = c->groups[g].n;
}

/* Each label that is not frozen stands in the output of a node, or in a state: constants have the labels of these. */
void chan_units(Finder *f) {
  uint32_t n, *of = mem_array(f->n, sizeof *of);
  Class *classes = classes_collect(f, &n, of);
  qsort(classes, n, sizeof *classes, class_compare);
  for (uint32_t u = 0; u < n; u++) of[classes[u].root] = u;
  groups_number(f, classes, n);
  values_units(f, of);
  operands_units(f, of);
  for (uint32_t i = 0; i < n; i++) mem_free(classes[i].at);
  mem_free(classes);
  mem_free(of);
}
