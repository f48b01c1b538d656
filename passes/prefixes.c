/* Plans of a family, and the order of channels that makes its weights prefixes; see prefixes.h. */
#include "passes/prefixes.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/family.h"
#include "passes/order.h"

/* Beyond all that importance is: such a unit goes when nothing else is left, which tells that the limit cannot be met. */
static const double NEVER = 1e100;

typedef struct Planning {
  const PrefixesOptions *o;
  const PassCtx *ctx;
  Channels c;
  bool *whole;      /* [n_groups] */
  double *score;    /* [n_units] */
  ErrorTable table; /* p->o->by.table */
  PrunePlan *plans; /* [n] of c */
  Diag *d;
} Planning;

bool prefixes_options_parse(const char *params, Arena *a, PrefixesOptions *o, Diag *d) {
  bool bad = false;
  o->n = (int)pass_param_num(params, "n", 0, &bad);
  o->share = pass_param_num(params, "share", 0, &bad);
  FAIL_IF(bad || o->n < 2 || o->n > FAMILY_MAX || !(o->share > 0 && o->share < 1), d, NULL,
          "widths: %s: want n=2 to %d, share between 0 and 1", params, FAMILY_MAX);
  return allocate_options_parse(params, a, &o->by, d);
}

/* -- what there is to remove -- */

static bool find_scores(Planning *p) {
  if (p->o->by.table) TRY(allocate_table(&p->c, &p->o->by, p->ctx, &p->table, p->d));
  Blob *b =
      p->o->by.table ? error_table_scores(&p->table) : prune_importance(&p->c, &p->o->by.prune, p->ctx, p->d);
  TRY(b);
  memcpy(p->score, blob_data(b), p->c.n_units * sizeof *p->score);
  blob_unref(b);
  for (uint32_t i = 0; i < p->c.n_groups; i++) {
    const ChanGroup *g = &p->c.groups[i];
    p->whole[i] = !order_can(&p->c, i) || !order_is_prefix(&p->c, i);
    for (uint32_t u = g->first; p->whole[i] && u < g->first + g->n; u++) {
      p->score[u] = NEVER;
      if (p->o->by.table) p->table.error[u] = NEVER;
    }
  }
  return true;
}

static bool all_whole(const Planning *p, const PrunePlan *plan) {
  for (uint32_t i = 0; i < p->c.n_groups; i++)
    if (p->whole[i] && plan->kept[i] < plan->size[i]) return false;
  return true;
}

/* -- plans -- */

static bool has_depthwise(const Graph *g) {
  for (NodeId k = 0; k < g->n_nodes; k++)
    if (g->nodes[k].op == OP_depthwise_conv) return true;
  return false;
}

/* Kernels of codes like multiples of four, those of depthwise convolutions of eight; where that leaves no plan, single
 * channels. */
static bool plan_within(Planning *p, double macs, const PrunePlan *outer, PrunePlan *out, bool *met) {
  static const uint32_t steps[] = {8, 4, 2, 1};
  const int first = has_depthwise(p->c.graph) ? 0 : 1;
  PruneOptions o = p->o->by.prune;
  Blob *scores = blob_new(p->score, p->c.n_units * sizeof *p->score);
  bool ok = true;
  *met = false;
  for (int i = first; i < 4 && ok && !*met; i++) {
    if (i > first) prune_plan_free(out);
    o.steps = o.steps ? o.steps : steps[i];
    o.limits = (PruneLimits){.macs = macs};
    ok = p->o->by.table ? allocate_plan(&p->c, &p->table, &o, p->ctx, outer, out, p->d)
                        : prune_plan(&p->c, scores, &o, p->ctx, outer, out, p->d);
    *met = ok && out->met && all_whole(p, out);
    o.steps = p->o->by.prune.steps;
  }
  blob_unref(scores);
  return ok;
}

static bool refuse(const Planning *p, const PrunePlan *nearest, double macs, double all) {
  uint32_t fixed = 0;
  for (uint32_t i = 0; i < p->c.n_groups; i++) fixed += p->whole[i];
  diag_error(p->d, NULL, "no variant of %.0f MACs, %.0f %% of the widest's: %s", macs, 100 * macs / all,
             p->c.n_groups == 0      ? "the model has no channels that may go"
             : all_whole(p, nearest) ? nearest->missed
                                     : "what may go by itself does not suffice");
  diag_hint(p->d,
            "ask for a larger `least`, or fewer variants; %u of %u groups of channels are the same in all "
            "variants, as "
            "narrower ones would be no prefixes (in front of others in a Concat or in padding, in groups)",
            fixed, p->c.n_groups);
  return false;
}

static bool plan_all(Planning *p) {
  const double all = (double)graph_macs(p->c.graph);
  prune_plan_all(&p->c, &p->plans[0]);
  for (int k = 1; k < p->o->n; k++) {
    const double macs = floor(all * pow(p->o->share, k / (p->o->n - 1.0)));
    bool met;
    TRY(plan_within(p, macs > 2 ? macs : 2, &p->plans[k - 1], &p->plans[k], &met));
    if (!met) return refuse(p, &p->plans[k], macs, all);
  }
  return true;
}

/* -- order -- */

typedef struct Rank {
  uint32_t unit, kept; /* by so many plans */
  double score;
} Rank;

static int by_rank(const void *pa, const void *pb) {
  const Rank *a = pa, *b = pb;
  if (a->kept != b->kept) return a->kept > b->kept ? -1 : 1;
  if (a->score != b->score) return a->score > b->score ? -1 : 1;
  return a->unit < b->unit ? -1 : a->unit > b->unit;
}

static void find_places(const Planning *p, uint32_t *place) {
  Rank *rank = mem_array((size_t)p->c.n_units + 1, sizeof *rank);
  for (uint32_t u = 0; u < p->c.n_units; u++) {
    rank[u] = (Rank){u, 0, p->score[u]};
    for (int k = 0; k < p->o->n; k++) rank[u].kept += p->plans[k].keep[u];
  }
  for (uint32_t i = 0; i < p->c.n_groups; i++) {
    const ChanGroup *g = &p->c.groups[i];
    if (!p->whole[i]) qsort(rank + g->first, g->n, sizeof *rank, by_rank);
  }
  for (uint32_t u = 0; u < p->c.n_units; u++) place[u] = rank[u].unit;
  mem_free(rank);
}

/* A plan of the ordered graph: of every group the first. */
static void plan_first(const PrunePlan *plan, const Channels *c, PrunePlan *out) {
  prune_plan_all(c, out);
  out->steps = plan->steps, out->met = plan->met, out->before = plan->before, out->after = plan->after;
  for (uint32_t i = 0; i < c->n_groups; i++) {
    const ChanGroup *g = &c->groups[i];
    out->kept[i] = plan->kept[i];
    memset(out->keep + g->first + out->kept[i], 0, g->n - out->kept[i]);
  }
}

static bool order_all(Planning *p, Prefixes *out) {
  uint32_t *place = mem_array((size_t)p->c.n_units + 1, sizeof *place);
  find_places(p, place);
  out->graph = order_apply(&p->c, place, p->d);
  mem_free(place);
  TRY(out->graph);
  Channels now = {0};
  bool ok = channels_find(out->graph, p->o->by.prune.keep, &now, p->d);
  ASSERT(!ok || (now.n_groups == p->c.n_groups && now.n_units == p->c.n_units));
  out->plans = mem_array((size_t)p->o->n, sizeof *out->plans);
  for (; ok && out->n < p->o->n; out->n++) plan_first(&p->plans[out->n], &now, &out->plans[out->n]);
  channels_free(&now);
  return ok;
}

bool prefixes_plan(const Graph *g, const PrefixesOptions *o, const PassCtx *ctx, Prefixes *out, Diag *d) {
  *out = (Prefixes){0};
  TRY(graph_want_stateless(g, "variants that share weights", d));
  Planning p = {.o = o, .ctx = ctx, .d = d};
  Graph *image = order_unflatten(g, d);
  bool ok = image && channels_find(image, o->by.prune.keep, &p.c, d);
  p.whole = mem_array((size_t)p.c.n_groups + 1, sizeof *p.whole);
  p.score = mem_array((size_t)p.c.n_units + 1, sizeof *p.score);
  p.plans = mem_array((size_t)o->n, sizeof *p.plans);
  ok = ok && find_scores(&p) && plan_all(&p) && order_all(&p, out);
  for (int k = 0; k < o->n; k++) prune_plan_free(&p.plans[k]);
  mem_free(p.plans);
  mem_free(p.score);
  error_table_free(&p.table);
  mem_free(p.whole);
  channels_free(&p.c);
  graph_free(image);
  return ok;
}

void prefixes_free(Prefixes *w) {
  for (int k = 0; k < w->n; k++) prune_plan_free(&w->plans[k]);
  mem_free(w->plans);
  graph_free(w->graph);
  *w = (Prefixes){0};
}
