/* Lookup: any function of int8 codes, given by the code of the result for each of the 256 codes.
 *
 *   x [...] i8, table [256] i8 -> y as x; or x [...,C], table [C,256]: a function for each innermost index
 *
 * The table holds codes of the output: its quantization is the output's where that has none of its own. Importers make
 * tables by their reference's own arithmetic, so that results are the reference's bit for bit.
 */
#include "ir/ops/ops.h"

bool infer_lookup(Graph *g, Node *n, Diag *d) {
  const Value *x = op_in(g, n, 0), *t = op_in(g, n, 1);
  const Shape *s = &x->shape;
  TRY(op_want_dtype(g, n, 0, DT_I8, d));
  TRY(op_want_dtype(g, n, 1, DT_I8, d));
  int rank = t->shape.rank;
  if (rank < 1 || rank > 2 || t->shape.d[rank - 1] != 256) {
    return op_fail(n, d, "the table wants shape [256] or [C,256]");
  }
  if (rank == 2 && (s->rank < 1 || s->d[s->rank - 1] != t->shape.d[0])) {
    return op_fail(n, d, "there are %lld tables, want one per innermost index of the input",
                   (long long)t->shape.d[0]);
  }
  if (x->quant.n > 1 || t->quant.n > 1)
    return op_fail(n, d, "an input is quantized per axis, want one scale");
  TRY(op_set(g, n, DT_I8, s, d));
  Value *y = op_out(g, n, 0);
  if (y->quant.n == 0) y->quant = t->quant; /* the arrays live in the graph's arena */
  return true;
}
