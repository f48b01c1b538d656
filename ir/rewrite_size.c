/* The same network for images of another size.
 *
 * A graph allows another size where only windows that span all of it (global pools) see it: those, and Slices that go to
 * an axis's end, follow; everything else is inferred anew. Where inference refuses, or an output gets another shape, the
 * graph does not allow it.
 */
#include "ir/graph.h"

/* Windows that span both axes of the input go on to do so. */
static bool copy_pool(Rewrite *r, const Node *n, Diag *d) {
  average_pool_attrs a = *CATTRS(n, average_pool);
  const Shape *was = &r->from->vals[n->in[0]].shape, *is = &r->to->vals[rewrite_val(r, n->in[0])].shape;
  bool padded = false;
  for (int i = 0; i < 4; i++) padded |= i < a.pads.n && a.pads.v[i] != 0;
  if (!padded && a.kernel.v[0] == was->d[1] && a.kernel.v[1] == was->d[2]) {
    a.kernel.v[0] = is->d[1];
    a.kernel.v[1] = is->d[2];
  }
  return rewrite_copy_as(r, n, &a, d);
}

/* How many places start, start + step, ... an axis has. */
static int64_t reach(int64_t dim, int64_t start, int64_t step) {
  return step > 0 ? (dim - start + step - 1) / step : 0;
}

static bool copy_slice(Rewrite *r, const Node *n, Diag *d) {
  slice_attrs a = *CATTRS(n, slice);
  const Shape *was = &r->from->vals[n->in[0]].shape, *is = &r->to->vals[rewrite_val(r, n->in[0])].shape;
  for (int i = 0; i < was->rank; i++)
    if (was->d[i] != is->d[i] && a.counts.v[i] == reach(was->d[i], a.starts.v[i], a.steps.v[i]))
      a.counts.v[i] = reach(is->d[i], a.starts.v[i], a.steps.v[i]);
  return rewrite_copy_as(r, n, &a, d);
}

static bool copy_node(Rewrite *r, const Node *n, Diag *d) {
  if (n->op == OP_average_pool) return copy_pool(r, n, d);
  if (n->op == OP_slice) return copy_slice(r, n, d);
  return rewrite_copy(r, n, d);
}

static bool refuse(int64_t h, int64_t w, Diag *d) {
  diag_hint(d, "with images of %lld x %lld: only models whose layers end in a global pool take other sizes",
            (long long)h, (long long)w);
  return false;
}

static bool same_outputs(const Graph *g, const Graph *out, Diag *d) {
  for (uint32_t i = 0; i < g->n_outputs; i++) {
    const Shape *was = &g->vals[g->outputs[i]].shape, *is = &out->vals[out->outputs[i]].shape;
    const Node *n = graph_def(g, g->outputs[i]);
    if (shape_equal(was, is)) continue;
    char a[96], b[96];
    shape_format(was, a, sizeof a);
    shape_format(is, b, sizeof b);
    return diag_error(d, n ? &n->loc : NULL, "the model's output would be %s, it is %s", b, a);
  }
  return true;
}

Graph *graph_with_size(const Graph *g, int axis, int64_t h, int64_t w, Diag *d) {
  Rewrite r;
  bool ok = true;
  rewrite_begin(&r, g, NULL);
  Shape *x = &r.to->vals[r.to->inputs[0]].shape;
  x->d[axis] = h;
  x->d[axis + 1] = w;
  for (uint32_t k = 0; k < g->n_nodes && ok; k++) ok = copy_node(&r, &g->nodes[k], d);
  Graph *out = rewrite_end(&r, ok, d);
  if (out && same_outputs(g, out, d)) return out;
  graph_free(out);
  refuse(h, w, d);
  return NULL;
}
