/* Members of one set of weights: see elastic.h.
 *
 * Where the elements of a pruned graph's constants stand in the base is read off a copy of the base that is pruned by the
 * same plan, whose float constants hold their own numbers: element i of the k-th constant the number first[k] + i, as the 32
 * bits of a float, which pruning only ever moves.
 */
#include "passes/elastic.h"

#include <string.h>

#include "ir/base/mem.h"

/* -- numbers in place of weights -- */

typedef struct Numbers {
  Graph *graph;
  uint32_t *first; /* [n_vals] the number of a constant's first element */
} Numbers;

static bool is_weight(const Graph *g, ValId v) {
  return v != NO_VAL && val_is_const(g, v) && graph_val(g, v)->dtype == DT_F32;
}

static void number_const(Graph *g, ValId v, uint32_t first) {
  const int64_t n = shape_count(&graph_val(g, v)->shape);
  uint32_t *to = mem_alloc_aligned((size_t)n * sizeof *to + 1, 64);
  for (int64_t i = 0; i < n; i++) to[i] = first + (uint32_t)i;
  blob_unref(g->vals[v].blob);
  g->vals[v].blob = blob_adopt(to, (size_t)n * sizeof *to);
}

static bool numbers_make(const Graph *base, Arena *a, Numbers *out, Diag *d) {
  uint64_t next = 0;
  out->graph = graph_clone(base);
  out->first = arena_array(a, base->n_vals, sizeof *out->first);
  ASSERT(out->graph->n_vals == base->n_vals);
  for (ValId v = 1; v < base->n_vals; v++) {
    if (!is_weight(base, v)) continue;
    const uint64_t n = (uint64_t)shape_count(&graph_val(base, v)->shape);
    FAIL_IF(next + n > UINT32_MAX, d, NULL,
            "the model has more than 2^32 weights: too many for members to share");
    out->first[v] = (uint32_t)next;
    number_const(out->graph, v, (uint32_t)next);
    next += n;
  }
  return true;
}

/* The constant of the base that holds element `number`. */
static ValId owner_of(const Graph *base, const Numbers *m, uint32_t number) {
  ValId found = NO_VAL;
  for (ValId v = 1; v < base->n_vals; v++)
    if (is_weight(base, v) && shape_count(&graph_val(base, v)->shape) > 0 && m->first[v] <= number) found = v;
  return found;
}

/* -- slices -- */

static ElasticSlice slice_of(const Graph *base, const Numbers *m, const Graph *small, ValId numbers,
                             ValId member, Arena *a) {
  const int64_t n = shape_count(&graph_val(small, numbers)->shape);
  const uint32_t *from = (const uint32_t *)(const void *)val_data(small, numbers);
  const ValId wide = owner_of(base, m, from[0]);
  const int64_t most = shape_count(&graph_val(base, wide)->shape);
  uint32_t *index = arena_array(a, (size_t)n, sizeof *index);
  for (int64_t i = 0; i < n; i++) {
    index[i] = from[i] - m->first[wide];
    ASSERT(index[i] < most); /* a constant is cut from one constant */
  }
  return (ElasticSlice){.member = member, .wide = wide, .index = index};
}

static bool is_norms(const Node *n, uint32_t k) { return n->op == OP_batch_normalization && k >= 1; }

/* g and numbered: the member and what its elements' numbers are; the same nodes in the same order. */
static ElasticMember member_of(const Graph *base, const Numbers *m, const Graph *g, const Graph *numbered,
                               bool own_norms, Arena *a) {
  ElasticSlice *slices = arena_array(a, g->n_vals, sizeof *slices);
  bool *seen = mem_array(g->n_vals, sizeof *seen);
  int n = 0;
  ASSERT(g->n_nodes == numbered->n_nodes);
  for (NodeId i = 0; i < g->n_nodes; i++) {
    const Node *x = &g->nodes[i], *y = &numbered->nodes[i];
    ASSERT(x->op == y->op && x->n_in == y->n_in);
    for (uint32_t k = 0; k < x->n_in; k++) {
      const ValId v = x->in[k];
      if (!is_weight(g, v) || seen[v] || (is_norms(x, k) && (own_norms || k >= 3))) continue;
      if (shape_count(&graph_val(g, v)->shape) == 0) continue;
      seen[v] = true;
      slices[n++] = slice_of(base, m, numbered, y->in[k], v, a);
    }
  }
  mem_free(seen);
  return (ElasticMember){.graph = g, .slices = slices, .n_slices = n};
}

bool elastic_family(const Channels *c, const PrunePlan *plans, int n, bool own_norms, ElasticFamily *out,
                    Diag *d) {
  *out = (ElasticFamily){.arena = arena_new()};
  out->graphs = arena_array(out->arena, (size_t)n, sizeof *out->graphs);
  out->members = arena_array(out->arena, (size_t)n, sizeof *out->members);
  Numbers m;
  bool ok = numbers_make(c->graph, out->arena, &m, d);
  Channels numbered = *c; /* the same units of the same values */
  numbered.graph = m.graph;
  for (int i = 0; i < n && ok; i++) {
    Graph *g = prune_apply(c, &plans[i], d), *ids = g ? prune_apply(&numbered, &plans[i], d) : NULL;
    ok = ids != NULL;
    if (g) out->graphs[out->n++] = g;
    if (ok) out->members[i] = member_of(c->graph, &m, g, ids, own_norms, out->arena);
    graph_free(ids);
  }
  graph_free(m.graph);
  return ok;
}

void elastic_family_free(ElasticFamily *f) {
  for (int i = 0; i < f->n; i++) graph_free(f->graphs[i]);
  if (f->arena) arena_free(f->arena);
  *f = (ElasticFamily){0};
}

/* -- plans -- */

bool elastic_plans_parse(const char *text, const Channels *c, PrunePlan **plans, int *n, Diag *d) {
  static const char begin[] = "prune-plan ";
  Arena *a = arena_new();
  void *list = NULL;
  size_t cap = 0;
  bool ok = true;
  *n = 0;
  for (const char *at = text; *at && ok;) {
    const char *end = at + 1;
    while (*end && !(end[-1] == '\n' && strncmp(end, begin, sizeof begin - 1) == 0)) end++;
    mem_grow(&list, &cap, (size_t)*n + 1, sizeof **plans);
    ok = prune_plan_parse(arena_strndup(a, at, (size_t)(end - at)), c, (PrunePlan *)list + *n, d);
    *n += ok;
    at = end;
  }
  *plans = list;
  arena_free(a);
  return ok;
}

/* -- members' own constants --
 *
 *   "MFOWN1\n\0"  n  { bytes of each member's part }   a part: for every float constant in order of nodes and inputs a
 *   flag, and where it is 1 the elements
 */

static const char own_magic[8] = "MFOWN1\n";

/* The k-th float constant that nodes read, in order; NO_VAL behind the last. Begins at *node = *in = 0. */
static ValId next_weight(const Graph *g, bool *seen, NodeId *node, uint32_t *in) {
  for (; *node < g->n_nodes; ++*node, *in = 0)
    while (*in < g->nodes[*node].n_in) {
      const ValId v = g->nodes[*node].in[(*in)++];
      if (!is_weight(g, v) || seen[v]) continue;
      seen[v] = true;
      return v;
    }
  return NO_VAL;
}

static size_t bytes_of(const Graph *g, ValId v) {
  return (size_t)shape_count(&graph_val(g, v)->shape) * sizeof(float);
}

static void put_own(const Graph *cut, const Graph *trained, StrBuf *out) {
  bool *seen = mem_array(cut->n_vals, sizeof *seen), *seen2 = mem_array(trained->n_vals, sizeof *seen2);
  NodeId i = 0, j = 0;
  uint32_t k = 0, l = 0;
  for (ValId v; (v = next_weight(cut, seen, &i, &k)) != NO_VAL;) {
    const ValId w = next_weight(trained, seen2, &j, &l);
    ASSERT(w != NO_VAL && bytes_of(cut, v) == bytes_of(trained, w));
    const bool differs = memcmp(val_data(cut, v), val_data(trained, w), bytes_of(cut, v)) != 0;
    sb_putc(out, differs);
    if (differs) sb_write(out, val_data(trained, w), bytes_of(trained, w));
  }
  mem_free(seen);
  mem_free(seen2);
}

Blob *elastic_own(const Graph *const *cut, const Graph *const *trained, int n) {
  StrBuf part = {0}, all = {0};
  uint64_t count = (uint64_t)n;
  sb_write(&all, own_magic, sizeof own_magic);
  sb_write(&all, &count, sizeof count);
  for (int i = 0; i < n; i++) {
    sb_clear(&part);
    put_own(cut[i], trained[i], &part);
    const uint64_t size = part.len;
    sb_write(&all, &size, sizeof size);
    sb_write(&all, sb_str(&part), part.len);
  }
  Blob *made = blob_new(all.s, all.len);
  sb_free(&part);
  sb_free(&all);
  return made;
}

/* Part k; false: there is none. */
static bool find_own(const Blob *own, int k, const char **at, const char **end) {
  const char *p = blob_raw(own), *last = p + blob_size(own);
  uint64_t n = 0, size = 0;
  if (blob_size(own) < sizeof own_magic + sizeof n || memcmp(p, own_magic, sizeof own_magic) != 0)
    return false;
  memcpy(&n, p + sizeof own_magic, sizeof n);
  p += sizeof own_magic + sizeof n;
  if (k < 0 || (uint64_t)k >= n) return false;
  for (int i = 0; i <= k; i++, p += size) {
    if ((size_t)(last - p) < sizeof size) return false;
    memcpy(&size, p, sizeof size);
    p += sizeof size;
    if ((uint64_t)(last - p) < size) return false;
    *at = p, *end = p + size;
  }
  return true;
}

static bool take_own(Graph *g, const char *at, const char *end) {
  bool *seen = mem_array(g->n_vals, sizeof *seen), ok = true;
  NodeId i = 0;
  uint32_t k = 0;
  for (ValId v; ok && (v = next_weight(g, seen, &i, &k)) != NO_VAL;) {
    const size_t n = bytes_of(g, v);
    ok = at < end && (*at == 0 || (size_t)(end - at) > n);
    if (!ok || *at++ == 0) continue;
    blob_unref(g->vals[v].blob);
    g->vals[v].blob = blob_new(at, n);
    at += n;
  }
  mem_free(seen);
  return ok && at == end;
}

Graph *elastic_member(const Graph *cut, const Blob *own, int k, Diag *d) {
  const char *at, *end;
  Graph *g = graph_clone(cut);
  if (find_own(own, k, &at, &end) && take_own(g, at, end)) return g;
  diag_error(d, NULL, "member %d of an elastic model does not fit its plan, or is not there", k + 1);
  graph_free(g);
  return NULL;
}
