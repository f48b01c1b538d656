/* Members of one set of weights from variants that share theirs already (ir/family.h): what a narrower one's weights are of the
 * widest's says family_check, by content; BatchNormalization is each variant's own.
 */
#include "ir/base/mem.h"
#include "ir/family.h"
#include "passes/elastic.h"

/* Where the elements of a slice stand in the widest's constant. */
static ElasticSlice slice_of(const FamilySlice *s, Arena *a) {
  uint32_t *index = arena_array(a, (size_t)(s->outs * s->taps * s->each) + 1, sizeof *index), *at = index;
  for (int64_t o = 0; o < s->outs; o++)
    for (int64_t t = 0; t < s->taps; t++)
      for (int64_t i = 0; i < s->each; i++) *at++ = (uint32_t)(o * s->out_stride + t * s->tap_stride + i);
  return (ElasticSlice){.member = s->val, .wide = s->wide, .index = index};
}

static bool not_shared(const Graph *g, const Node *x, ValId weights, int k, Diag *d) {
  const char *name = graph_val(g, weights)->name;
  diag_error(d, &x->loc, "family: variant %d: float weights %s are no slice of the widest's", k,
             name ? name : "(without a name)");
  diag_hint(d, "take float0.mistify .. of one run of `mistify tailor`, widest first");
  return false;
}

static bool member_of(const Family *f, int k, Arena *a, ElasticMember *out, Diag *d) {
  const Graph *g = f->graphs[k];
  ElasticSlice *slices = arena_array(a, g->n_vals + 1, sizeof *slices);
  bool *seen = mem_array(g->n_vals, sizeof *seen), ok = true;
  int n = 0;
  for (NodeId i = 0; ok && i < g->n_nodes; i++) {
    const Node *x = &g->nodes[i];
    for (uint32_t j = 0; ok && j < x->n_in; j++) {
      const FamilySlice *s = family_slice(f, k, i, j);
      if (s->val == NO_VAL || graph_val(g, s->val)->dtype != DT_F32) continue;
      if (seen[s->val] || x->op == OP_batch_normalization) continue;
      if (family_is_weights(x, j) && !s->shared) ok = not_shared(g, x, s->val, k, d);
      seen[s->val] = true;
      if (s->shared && shape_count(&graph_val(g, s->val)->shape) > 0) slices[n++] = slice_of(s, a);
    }
  }
  mem_free(seen);
  *out = (ElasticMember){.graph = g, .slices = slices, .n_slices = n};
  return ok;
}

bool elastic_variants(const Graph *const *variants, int n, ElasticFamily *out, Diag *d) {
  Family f = {0};
  *out = (ElasticFamily){.arena = arena_new()};
  bool ok = family_check(variants, n, &f, d);
  if (ok) {
    out->graphs = arena_array(out->arena, (size_t)n, sizeof *out->graphs);
    out->members = arena_array(out->arena, (size_t)n, sizeof *out->members);
    for (; out->n < n; out->n++) out->graphs[out->n] = graph_clone(variants[out->n]);
  }
  for (int k = 0; ok && k < n; k++) {
    ok = member_of(&f, k, out->arena, &out->members[k], d);
    out->members[k].graph = out->graphs[k]; /* a copy has the same values */
  }
  if (f.arena) family_free(&f);
  return ok;
}
