/* Graphs whose layers are in the forms chosen, for costs and for good; see forms.h. */
#include <inttypes.h>
#include <string.h>

#include "ir/base/mem.h"
#include "passes/allocate/forms.h"
#include "passes/limits.h"
#include "passes/quantize.h"

/* ---- low rank */

typedef struct Picks {
  LowrankPick *v;
  int n;
} Picks;

static void picks_free(Picks *p) {
  for (int i = 0; i < p->n; i++) lowrank_close(p->v[i].layer);
  mem_free(p->v);
}

/* What a layer reads and what its outputs' errors weigh; without Gram matrices nothing is known. */
static LowrankNorm norm_of(const Forms *f, const Grams *grams, NodeId k) {
  for (uint32_t i = 0; grams && i < grams->n; i++)
    if (grams->v[i].node == k && grams->v[i].whole)
      return (LowrankNorm){&grams->v[i].sums[0], f->fisher ? grams->v[i].fisher : NULL};
  return (LowrankNorm){NULL, NULL};
}

/* The layer of `small` that is thinner now. A layer that has become too narrow for its form stays. */
static void pick(const Forms *f, const LayerForm *form, const Graph *small, NodeId k, const Grams *grams,
                 Picks *to) {
  const LowrankNorm norm = norm_of(f, grams, k), unknown = {NULL, NULL};
  const char *why;
  LowrankPick p = {.layer = lowrank_open(small, k, &norm, &why), .nominal = grams == NULL};
  if (!p.layer && grams)
    p.layer = lowrank_open(small, k, &unknown, &why); /* nothing that it gives counts any more */
  const Shape *w = &graph_val(small, small->nodes[k].in[1])->shape;
  if (p.layer && form_ranks(p.layer, form, f->step, w->d[0], w->d[w->rank - 1], &p.option))
    to->v[to->n++] = p;
  else
    lowrank_close(p.layer);
}

static uint32_t layer_of(const Forms *f, NodeId original) {
  uint32_t i = 0;
  while (i < f->n && (original == NO_NODE || f->v[i].node != original)) i++;
  return i;
}

/* A copy whose layers have their names as nodes' names, which stay when values are fused. */
static Graph *named(const Forms *f, const uint32_t *form, const Graph *g, const NodeId *from) {
  Graph *copy = graph_clone(g);
  for (NodeId k = 0; k < g->n_nodes; k++) {
    uint32_t i = layer_of(f, from[k]);
    Loc loc = g->nodes[k].loc;
    if (i == f->n || form[i] == 0 || (loc.name && strcmp(loc.name, f->v[i].name) == 0)) continue;
    loc.name = f->v[i].name;
    graph_set_loc(copy, k, &loc);
  }
  return copy;
}

Graph *forms_apply(const Forms *f, const uint32_t *form, const Graph *small, const NodeId *from,
                   const Grams *grams, uint32_t *extra, Diag *d) {
  Graph *g = named(f, form, small, from);
  Picks p = {.v = mem_array((size_t)g->n_nodes + 1, sizeof *p.v)};
  for (NodeId k = 0; k < g->n_nodes; k++) {
    uint32_t i = layer_of(f, from[k]);
    const LayerForm *v = i < f->n ? &f->v[i].v[form[i]] : NULL;
    int before = p.n;
    if (v && v->share > 0) pick(f, v, g, k, grams, &p);
    if (extra) extra[k] = p.n == before ? 0 : v->method == LOWRANK_TUCKER ? 2 : 1;
  }
  Graph *out = lowrank_apply(g, p.v, p.n, d);
  picks_free(&p);
  graph_free(g);
  return out;
}

/* ---- 4 bits */

void forms_int4(const Forms *f, const uint32_t *form, StrBuf *out) {
  for (uint32_t i = 0; form && i < f->n; i++) {
    const LayerForm *v = &f->v[i].v[form[i]];
    if (v->bits != 4) continue;
    int inner = v->share == 0 ? 0 : v->method == LOWRANK_TUCKER ? 2 : 1;
    for (int k = 1; k <= inner; k++) sb_printf(out, "%s%s:%d", out->len ? ";" : "", f->v[i].name, k);
    sb_printf(out, "%s%s", out->len ? ";" : "", f->v[i].name);
  }
}

/* The target's word for a graph some of whose weights have 4 bits. */
static bool cost_int4(const Graph *g, const char *names, const CostModel *model, Cost *out, Diag *d) {
  const PassCtx ctx = {.params = ""};
  Graph *fused = pipeline_run(g, "fold,bnfuse,fuse,fold", &ctx, NULL, d);
  TRY(fused);
  StrBuf params = {0};
  Diag *quiet = diag_new();
  sb_printf(&params, "int4=%s,rounding=nearest", names);
  Graph *q = quantize_nominal_as(fused, sb_str(&params), quiet);
  if (!q) diag_error(d, NULL, "%s", diag_text(quiet));
  bool ok = q && model->cost(model->ctx, q, DT_NONE, out, d);
  out->macs = graph_macs(g), out->params = graph_params(g);
  diag_free(quiet);
  sb_free(&params);
  graph_free(q);
  graph_free(fused);
  return ok;
}

bool forms_cost(const Forms *f, const uint32_t *form, const Graph *small, const NodeId *from,
                const PassCtx *ctx, Cost *out, Diag *d) {
  StrBuf names = {0};
  Graph *g = forms_apply(f, form, small, from, NULL, NULL, d);
  TRY(g);
  forms_int4(f, form, &names);
  bool ok = names.len > 0 && ctx->cost ? cost_int4(g, sb_str(&names), ctx->cost, out, d)
                                       : limits_cost(ctx->cost, g, f->precision, out, d);
  sb_free(&names);
  graph_free(g);
  return ok;
}

/* ---- report */

void forms_tell(const Forms *f, const uint32_t *form, const Host *host) {
  for (uint32_t i = 0; host && host->log && i < f->n; i++) {
    const FormLayer *x = &f->v[i];
    const LayerForm *v = &x->v[form[i]];
    StrBuf line = {0};
    sb_printf(&line, "allocate: %s: ", x->name);
    if (v->share > 0) {
      sb_printf(&line, "%s, %.0f %% of its rank", lowrank_method_name(v->method), 100 * v->share);
      if (v->in_share > 0) sb_printf(&line, " and %.0f %% of its inputs'", 100 * v->in_share);
    } else {
      sb_puts(&line, v->bits == 4 ? "one matrix" : "as it is");
    }
    if (v->bits == 4) sb_puts(&line, ", weights of 4 bits");
    if (form[i])
      sb_printf(&line, ", error %.3g", v->error);
    else
      sb_printf(&line, ": %s", x->why && x->n == 1 ? x->why : "no other form is worth its error");
    host->log(host->ctx, sb_str(&line));
    sb_free(&line);
  }
}
