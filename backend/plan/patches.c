/* Patches under a limit of memory: which layers, in how many bands of columns (bands.c), with the least work repeated.
 *
 * Asked only where no plan of the graph as it is stays within the limit. A region runs from a place where one value
 * is alive to another such place; it must hold its whole input until the last band and the output so far, which rules
 * most regions out before they are planned. Of the others those are planned that seem to need least, by a guess at their
 * rings; of those that meet the limit the one of the fewest multiply-accumulates is taken.
 */
#include "backend/plan/bands.h"

#include "backend/plan/plan.h"
#include "ir/base/mem.h"

enum { TRIALS = 10, CANDIDATES_MAX = 1024 };

static const int band_counts[] = {2, 3, 4, 6, 8};
enum { N_COUNTS = sizeof band_counts / sizeof *band_counts };

typedef struct Candidate {
  BandRegion region;
  int64_t macs, guess;
} Candidate;

/* Bytes that a plan needs, INT64_MAX: there is none. *peak: the first node of the calls that run together when most is
 * held. */
static int64_t arena_of(const Graph *g, const Target *t, const PlanOptions *o, NodeId *peak) {
  Calls calls;
  MemoryPlan p;
  Arena *a = arena_new();
  Diag *quiet = diag_new();
  calls_init(&calls);
  bool ok = graph_lower(g, &calls, quiet) && select_kernels(g, t, &calls, quiet) &&
            plan_memory(g, &calls, o, a, &p, quiet);
  int32_t c = ok ? plan_peak_call(&calls, &p, NULL) : 0;
  for (int32_t i = 0; ok && i < p.n_groups; i++)
    if (c >= p.groups[i].first && c < p.groups[i].first + p.groups[i].n)
      *peak = calls.v[p.groups[i].first].node;
  calls_free(&calls);
  arena_free(a);
  diag_free(quiet);
  return ok ? p.arena : INT64_MAX;
}

/* Bytes of what the region reads and others hand it. */
static int64_t bytes_into(const Graph *g, const BandRegion *r) {
  int64_t sum = 0;
  for (ValId v = 1; v < g->n_vals; v++) {
    const NodeId def = graph_val(g, v)->def;
    bool read = false;
    if (val_is_const(g, v) || (def != NO_NODE && def >= r->first)) continue;
    for (NodeId k = r->first; k <= r->last && !read; k++)
      for (uint32_t i = 0; i < g->nodes[k].n_in; i++) read |= g->nodes[k].in[i] == v;
    if (read) sum += (int64_t)val_bytes(g, v);
  }
  return sum;
}

/* What any plan of it needs while the last band begins. */
static int64_t least_bytes(const Graph *g, const BandRegion *r) {
  int64_t out = (int64_t)val_bytes(g, g->nodes[r->last].out[0]);
  return bytes_into(g, r) + out - out / r->bands;
}

/* A guess at what its plan will need: before the region, in it, behind it. */
static int64_t guess_bytes(const Graph *g, const BandRegion *r) {
  const int64_t in = bytes_into(g, r), out = (int64_t)val_bytes(g, g->nodes[r->last].out[0]);
  int64_t before = r->first > 0 ? in + bands_rings_whole(g, 0, r->first) / 2 : 0;
  int64_t inside = least_bytes(g, r) + bands_rings(g, r);
  int64_t behind = out + bands_rings_whole(g, r->last + 1, g->n_nodes) / 2;
  int64_t most = before > inside ? before : inside;
  return behind > most ? behind : most;
}

static Graph *patched(const Graph *g, const BandRegion *r) {
  Diag *quiet = diag_new();
  Graph *p = bands_apply(g, r, quiet);
  diag_free(quiet);
  return p;
}

/* Whether the graph has a plan within the limit. */
static bool fits(const Graph *g, const Target *t, const PlanOptions *o) {
  Calls calls;
  Diag *quiet = diag_new();
  calls_init(&calls);
  const bool ok =
      graph_lower(g, &calls, quiet) && select_kernels(g, t, &calls, quiet) && plan_fits(g, &calls, o);
  calls_free(&calls);
  diag_free(quiet);
  return ok;
}

/* Regions with the node at the peak that may meet the limit. */
static int find_candidates(const Graph *g, NodeId peak, int64_t limit, Candidate *out) {
  int n = 0;
  for (NodeId first = 0; first <= peak; first++)
    for (NodeId last = first; last < g->n_nodes; last++) {
      BandRegion r = {first, last, 2};
      if (!bands_can_node(g, last)) break;
      if (last < peak || !bands_can(g, &r) || least_bytes(g, &r) > limit) continue;
      for (int k = 0; k < N_COUNTS && n < CANDIDATES_MAX; k++) {
        r.bands = band_counts[k];
        int64_t guess = bands_can(g, &r) ? guess_bytes(g, &r) : INT64_MAX;
        if (guess < INT64_MAX && guess - guess / 8 <= limit)
          out[n++] = (Candidate){r, bands_macs(g, &r), guess};
      }
    }
  return n;
}

static bool comes_before(const Candidate *a, const Candidate *b) {
  return a->guess < b->guess || (a->guess == b->guess && a->macs < b->macs);
}

static void sort(Candidate *c, int n) { /* stable, the same everywhere */
  for (int k = 1; k < n; k++) {
    const Candidate x = c[k];
    int at = k;
    for (; at > 0 && comes_before(&x, &c[at - 1]); at--) c[at] = c[at - 1];
    c[at] = x;
  }
}

Graph *plan_patches(const Graph *g, const Target *t, PlanOptions *o) {
  if (o->limit <= 0 || o->input_rows || o->bands || o->whole ||
      (o->level != PLAN_LEAST && o->level != PLAN_STREAM))
    return NULL;
  NodeId peak = 0;
  if (arena_of(g, t, o, &peak) <= o->limit) return NULL;
  Candidate *c = mem_array(CANDIDATES_MAX, sizeof *c);
  int n = find_candidates(g, peak, o->limit, c);
  Graph *found = NULL;
  sort(c, n);
  int64_t macs = INT64_MAX;
  PlanOptions best = *o;
  for (int k = 0, tried = 0; k < n && tried < TRIALS; k++) {
    PlanOptions with = *o;
    with.bands = c[k].region.bands;
    Graph *p = c[k].macs < macs ? patched(g, &c[k].region) : NULL;
    tried += p != NULL;
    if (p && fits(p, t, &with)) {
      graph_free(found);
      found = p;
      best = with;
      macs = c[k].macs;
    } else {
      graph_free(p);
    }
  }
  *o = best;
  mem_free(c);
  return found;
}
