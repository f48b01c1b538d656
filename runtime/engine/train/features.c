/* Matching features (Romero et al. 2015, arXiv:1412.6550, without its map between widths): weight * sum over pairs of the
 * mean square between a value of the student and one of the teacher, which must have the same shape.
 */
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/nearest.h"
#include "runtime/engine/train/trainer.h"

static ValId find_value(const Graph *g, const char *name, const char *whose, Diag *d) {
  const char **names = mem_array((size_t)g->n_vals + 1, sizeof *names);
  size_t n = 0;
  ValId found = NO_VAL;
  for (uint32_t i = 0; i < g->n_nodes && found == NO_VAL; i++)
    for (uint32_t k = 0; k < g->nodes[i].n_out && found == NO_VAL; k++) {
      const Value *v = &g->vals[g->nodes[i].out[k]];
      if (v->name && strcmp(v->name, name) == 0) found = g->nodes[i].out[k];
      if (v->name) names[n++] = v->name;
    }
  if (found == NO_VAL) {
    diag_error(d, NULL, "the %s has no value \"%s\"", whose, name);
    const char *near = name_nearest(name, names);
    if (near) diag_hint(d, "did you mean \"%s\"?", near);
  }
  mem_free(names);
  return found;
}

bool features_find(Trainer *t, Diag *d) {
  if (t->o->features <= 0) return true;
  t->pairs = mem_array((size_t)t->o->n_pairs, sizeof *t->pairs);
  for (int i = 0; i < t->o->n_pairs; i++) {
    Pair *p = &t->pairs[i];
    p->student = find_value(t->job->graph, t->o->pairs[i].student, "model", d);
    p->teacher = find_value(t->job->teachers[0], t->o->pairs[i].teacher, "teacher", d);
    TRY(p->student != NO_VAL && p->teacher != NO_VAL);
    for (int k = 0; k < i; k++)
      FAIL_IF(t->pairs[k].student == p->student || t->pairs[k].teacher == p->teacher, d, NULL,
              "\"%s\" and \"%s\" are matched twice", t->o->pairs[i].student, t->o->pairs[i].teacher);
  }
  t->n_pairs = t->o->n_pairs;
  return true;
}

bool features_check(Trainer *t, Diag *d) {
  for (int i = 0; i < t->n_pairs; i++) {
    Pair *p = &t->pairs[i];
    const Graph *a = t->job->graph, *b = t->job->teachers[0];
    char got[96], want[96];
    Shape x = a->vals[p->student].shape, y = b->vals[p->teacher].shape;
    shape_format(&x, got, sizeof got);
    shape_format(&y, want, sizeof want);
    x.d[0] = y.d[0];
    FAIL_IF(!shape_equal(&x, &y), d, NULL,
            "value \"%s\" of the model is %s, \"%s\" of the teacher %s: only values of the same shape can be "
            "matched",
            t->o->pairs[i].student, got, t->o->pairs[i].teacher, want);
    FAIL_IF(!session_tap(t->student, p->student), d, NULL, "nothing learns before value \"%s\"",
            t->o->pairs[i].student);
    for (int k = 0; k < i; k++)
      FAIL_IF(session_tap(t->student, t->pairs[k].student) == session_tap(t->student, p->student), d, NULL,
              "\"%s\" and \"%s\" are one value of the model in two shapes: keep one", t->o->pairs[k].student,
              t->o->pairs[i].student);
    p->item = session_item(t->student, p->student);
  }
  return true;
}

double features_batch(Trainer *t) {
  double loss = 0;
  for (int i = 0; i < t->n_pairs; i++) {
    const Pair *p = &t->pairs[i];
    loss += loss_squares(session_activation(t->student, p->student),
                         session_activation(t->teachers[0].s, p->teacher), t->batch, p->item, t->o->features,
                         session_tap(t->student, p->student), 0);
  }
  return loss;
}
