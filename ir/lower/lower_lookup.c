/* Lowering of Lookup: the table is a constant of the call. */
#include "ir/lower/lower_util.h"

bool lower_lookup(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const Shape *s = &op_out(g, n, 0)->shape, *t = &op_in(g, n, 1)->shape;
  TRY(want_const(g, n, 1, d));
  if (shape_count(s) == 0) return true;
  Rows r = rows_of(s);
  bool many = t->rank == 2;
  KernelCall *k = call_rows(g, n, out, many ? "lut_axis_s8" : "lut_s8", r);
  if (many)
    *(mf_lut_axis_s8 *)k->params = (mf_lut_axis_s8){.n = r.n, .c = (int32_t)t->d[0]};
  else
    ((mf_lut_s8 *)k->params)->n = r.n;
  call_const(k, "table", val_data(g, n->in[1]), shape_count(t), n->in[1]);
  return true;
}
