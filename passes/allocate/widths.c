/* Widths under limits: the problem of solve.h for a graph, first on a coarse grid of widths, then on finer ones around what
 * was found, down to the widths that the options allow.
 *
 *   MACs, parameters             exact
 *   flash, RAM, cycles           estimated by passes/prune_size.h, asked of the CostModel for each solution; estimates are
 *                                scaled to what was answered, and the problem is solved anew, a few times
 *
 * A peak of RAM is no sum: widths with which too many bytes are alive during a node are forbidden.
 *
 * Where layers have forms (forms.h) each layer's form is one more choice: it is in the layer's own factors alone, so that at given
 * prices it is the least over its forms for each of its groups' widths.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ir/base/mem.h"
#include "passes/allocate/allocate.h"
#include "passes/allocate/solve.h"
#include "passes/prune_size.h"
#include "passes/prune_steps.h"

enum { COARSE = 9, FINE = 5, MODEL_ROUNDS = 6 };

typedef struct Widths {
  const Channels *c;
  const ErrorTable *t;
  const PruneOptions *o;
  const PassCtx *ctx;
  const Forms *forms; /* NULL: layers as they are */
  Arena *a;
  Sizer *sizer;
  uint32_t *now;             /* [n_groups] widths that the sizer has */
  uint32_t *kept;            /* [n_groups] the solution */
  uint32_t *form;            /* [forms->n] and the forms with it */
  double limit[RES_COUNT];   /* of estimates; 0: none */
  double outside[RES_COUNT]; /* what estimates count that no factor does */
} Widths;

/* ---- widths allowed */

static uint32_t floor_of(const Widths *w, uint32_t g) {
  const ChanGroup *gr = &w->c->groups[g];
  uint32_t least = (uint32_t)ceil(w->o->min_share * gr->n - 1e-9);
  if (least < w->o->least) least = w->o->least;
  if (least < gr->least) least = gr->least;
  if (least < 1) least = 1;
  return least < gr->n ? least : gr->n;
}

/* All allowed widths of a group, ascending: multiples of the step, and all of them. */
static uint32_t allowed(const Widths *w, uint32_t g, uint32_t *width) {
  uint32_t n = 0, size = w->c->groups[g].n, step = w->o->steps;
  for (uint32_t k = floor_of(w, g); k < size; k++)
    if (k % step == 0) width[n++] = k;
  width[n++] = size;
  return n;
}

/* At most `most` of the allowed widths: spread over all, or (around: a width) every stride-th around one of them. */
static uint32_t pick(const uint32_t *all, uint32_t n, uint32_t most, uint32_t around, uint32_t stride,
                     uint32_t *out) {
  uint32_t count = 0;
  if (around == 0) {
    most = n < most ? n : most;
    for (uint32_t i = 0; i < most; i++) out[i] = all[most > 1 ? i * (n - 1) / (most - 1) : n - 1];
    return most;
  }
  uint32_t at = 0;
  while (at + 1 < n && all[at] < around) at++;
  for (int64_t i = -(int64_t)(most / 2); i <= (int64_t)(most / 2); i++) {
    int64_t k = (int64_t)at + i * (int64_t)stride;
    if (k >= 0 && k < (int64_t)n) out[count++] = all[k];
  }
  return count;
}

/* ---- the problem */

static void set_width(Widths *w, uint32_t g, uint32_t width) {
  uint32_t first = w->c->groups[g].first, size = w->c->groups[g].n;
  while (w->now[g] > width) sizer_remove(w->sizer, first + w->t->order[first + size - w->now[g]--]);
  while (w->now[g] < width) sizer_restore(w->sizer, first + w->t->order[first + size - ++w->now[g]]);
}

typedef struct Grid {
  SolveProblem p;
  uint32_t **width; /* [n_groups][options] */
  int resource[SOLVE_RESOURCES];
} Grid;

/* What node n costs in option `form` of its layer (forms->n: it has no choice). false: not at these widths. */
static bool node_costs(const Widths *w, NodeId n, uint32_t layer, uint32_t form, double v[RES_COUNT]) {
  sizer_node(w->sizer, n, v);
  return form == 0 || form_cost(w->forms, layer, form, w->sizer, v);
}

/* The table of one node: costs, or where too many bytes are alive. */
static void add_factor(Widths *w, Grid *x, NodeId n, bool ram) {
  uint32_t n_groups = w->c->n_groups, *group = arena_array(w->a, (size_t)n_groups + 1, sizeof *group), *at;
  SolveFactor f = {.n = sizer_node_groups(w->sizer, n, ram, group), .group = group};
  double v[RES_COUNT];
  sizer_node(w->sizer, n, v);
  uint32_t layer = w->forms ? forms_layer_of(w->forms, n) : 0;
  bool chosen = w->forms && layer < w->forms->n; /* the layer has a choice: the last of the factor's groups */
  if (chosen) group[f.n++] = n_groups + layer;
  if (f.n == 0 || (!ram && v[RES_MACS] + v[RES_PARAMS] + v[RES_FLASH] <= 0)) {
    for (int r = 0; !ram && r < RES_COUNT; r++) w->outside[r] += r == RES_RAM ? 0 : v[r];
    return;
  }
  size_t size = solve_factor_size(&x->p, &f);
  bool any = size > SOLVE_MOST; /* added without tables: solve reports it, and a coarser grid is tried */
  if (any) size = 0;
  at = arena_array(w->a, f.n, sizeof *at);
  for (uint32_t r = 0; !ram && r < x->p.n_resources; r++) f.cost[r] = arena_array(w->a, size, sizeof(double));
  if (ram || chosen) f.forbidden = arena_array(w->a, size, sizeof *f.forbidden);
  for (size_t k = 0; k < size; k++) {
    size_t rest = k;
    for (uint32_t i = f.n; i-- > 0; rest /= x->p.options[group[i]])
      at[i] = (uint32_t)(rest % x->p.options[group[i]]);
    for (uint32_t i = 0; i < f.n - chosen; i++) set_width(w, group[i], x->width[group[i]][at[i]]);
    bool can = node_costs(w, n, layer, chosen ? at[f.n - 1] : 0, v);
    for (uint32_t r = 0; !ram && r < x->p.n_resources; r++) f.cost[r][k] = v[x->resource[r]];
    if (f.forbidden) any |= f.forbidden[k] = !can || (ram && v[RES_RAM] > w->limit[RES_RAM]);
  }
  if (!ram || any) x->p.factors[x->p.n_factors++] = f;
}

/* Forms as groups behind the groups of channels. */
static void add_forms(const Widths *w, Grid *x) {
  for (uint32_t i = 0; w->forms && i < w->forms->n; i++) {
    const FormLayer *l = &w->forms->v[i];
    uint32_t g = x->p.n_groups++;
    x->p.options[g] = l->n;
    x->p.error[g] = arena_array(w->a, l->n, sizeof(double));
    for (uint32_t k = 0; k < l->n; k++) x->p.error[g][k] = l->v[k].error;
  }
}

/* around: widths to look about; NULL: everywhere. */
static void grid_build(Widths *w, const uint32_t *around, uint32_t most, uint32_t stride, Grid *x) {
  uint32_t n = w->c->n_groups, n_nodes = w->c->graph->n_nodes, all_n = n + (w->forms ? w->forms->n : 0);
  *x = (Grid){.p = {.n_groups = n}};
  x->p.options = arena_array(w->a, all_n, sizeof *x->p.options);
  x->p.error = arena_array(w->a, all_n, sizeof *x->p.error);
  x->width = arena_array(w->a, n, sizeof *x->width);
  x->p.factors = arena_array(w->a, (size_t)n_nodes * 2, sizeof *x->p.factors);
  for (uint32_t g = 0; g < n; g++) {
    uint32_t size = w->c->groups[g].n, *all = arena_array(w->a, (size_t)size + 1, sizeof *all);
    x->width[g] = arena_array(w->a, (size_t)most + 1, sizeof(uint32_t));
    x->p.options[g] = pick(all, allowed(w, g, all), most, around ? around[g] : 0, stride, x->width[g]);
    x->p.error[g] = arena_array(w->a, x->p.options[g], sizeof(double));
    for (uint32_t i = 0; i < x->p.options[g]; i++)
      x->p.error[g][i] = error_table_at(w->t, g, w->c->groups[g].first, x->width[g][i]);
  }
  add_forms(w, x);
  for (int r = 0; r < RES_COUNT; r++)
    if (w->limit[r] > 0 && r != RES_RAM) x->resource[x->p.n_resources++] = r;
  memset(w->outside, 0, sizeof w->outside);
  for (NodeId k = 0; k < n_nodes; k++) {
    if (x->p.n_resources > 0) add_factor(w, x, k, false);
    if (w->limit[RES_RAM] > 0) add_factor(w, x, k, true);
  }
  for (uint32_t r = 0; r < x->p.n_resources; r++)
    x->p.limit[r] = fmax(w->limit[x->resource[r]] - w->outside[x->resource[r]], 1e-9);
}

/* Widths into w->kept. false: none is found that keeps the estimates within limits. */
static bool solve_grid(Widths *w, const uint32_t *around, uint32_t most, uint32_t stride) {
  Grid x;
  bool too_large = true, found = false;
  uint32_t n_forms = w->forms ? w->forms->n : 0,
           *choice = arena_array(w->a, w->c->n_groups + n_forms, sizeof *choice);
  for (; too_large && most >= 2; most = most > 3 ? most - 2 : most - 1) {
    grid_build(w, around, most, stride, &x);
    found = solve(&x.p, choice, &too_large);
    if (found) break;
  }
  for (uint32_t g = 0; found && g < w->c->n_groups; g++) w->kept[g] = x.width[g][choice[g]];
  for (uint32_t i = 0; found && i < n_forms; i++) w->form[i] = choice[w->c->n_groups + i];
  return found;
}

static uint32_t most_allowed(Widths *w) {
  uint32_t most = 0;
  for (uint32_t g = 0; g < w->c->n_groups; g++) {
    uint32_t *all = arena_array(w->a, (size_t)w->c->groups[g].n + 1, sizeof *all), n = allowed(w, g, all);
    if (n > most) most = n;
  }
  return most;
}

static bool solve_widths(Widths *w) {
  TRY(solve_grid(w, NULL, COARSE, 1));
  uint32_t n = w->c->n_groups, *around = arena_array(w->a, n, sizeof *around),
           stride = most_allowed(w) / COARSE;
  for (stride = stride / 2 + 1;; stride = (stride + 1) / 2) {
    memcpy(around, w->kept, n * sizeof *around);
    if (!solve_grid(w, around, FINE, stride)) memcpy(w->kept, around, n * sizeof *around);
    if (stride == 1) return true;
  }
}

/* ---- limits */

static void set_limits(Widths *w) {
  const PruneLimits *l = &w->o->limits;
  const Graph *g = w->c->graph;
  w->limit[RES_MACS] = l->macs > 1 ? l->macs : l->macs * (double)graph_macs(g);
  w->limit[RES_PARAMS] = l->params > 1 ? l->params : l->params * (double)graph_params(g);
  w->limit[RES_FLASH] = (double)l->flash, w->limit[RES_RAM] = (double)l->ram,
  w->limit[RES_CYCLES] = (double)l->cycles;
}

/* What the plan costs with layers in these forms. */
static bool cost_in_forms(const Widths *w, const PrunePlan *p, const uint32_t *form, Cost *out, Diag *d) {
  Graph *small = prune_apply(w->c, p, d);
  TRY(small);
  NodeId *from = mem_array(small->n_nodes, sizeof *from);
  allocate_match(w->c->graph, small, from);
  bool ok = forms_cost(w->forms, form, small, from, w->ctx, out, d);
  mem_free(from);
  graph_free(small);
  return ok;
}

/* The plan of given widths, its real cost included: by the table's order. */
static bool plan_widths(const Widths *w, const Blob *scores, PrunePlan *out, Diag *d) {
  StrBuf text = {0};
  for (uint32_t g = 0; g < w->c->n_groups; g++) sb_printf(&text, "%s%u", g ? "/" : "", w->kept[g]);
  PruneOptions o = *w->o;
  o.widths = sb_str(&text);
  o.limits = (PruneLimits){0};
  bool ok = prune_plan(w->c, scores, &o, w->ctx, NULL, out, d) &&
            (!w->forms || cost_in_forms(w, out, w->form, &out->after, d));
  sb_free(&text);
  if (!ok) prune_plan_free(out);
  return ok;
}

static double real_of(const Cost *c, int r) {
  const double v[RES_COUNT] = {[RES_MACS] = (double)c->macs,
                               [RES_PARAMS] = (double)c->params,
                               [RES_FLASH] = (double)c->flash,
                               [RES_RAM] = (double)c->ram,
                               [RES_CYCLES] = (double)c->cycles};
  return v[r];
}

/* Estimates of the solution. */
static Sizes estimate(Widths *w) {
  for (uint32_t g = 0; g < w->c->n_groups; g++) set_width(w, g, w->kept[g]);
  Sizes z = sizer_sizes(w->sizer);
  for (uint32_t i = 0; w->forms && i < w->forms->n; i++) {
    double whole[RES_COUNT], v[RES_COUNT];
    if (w->form[i] == 0) continue;
    node_costs(w, w->forms->v[i].node, i, 0, whole);
    node_costs(w, w->forms->v[i].node, i, w->form[i], v);
    for (int r = 0; r < RES_COUNT; r++)
      if (r != RES_RAM) z.v[r] += v[r] - whole[r];
    z.v[RES_RAM] = fmax(z.v[RES_RAM], v[RES_RAM]);
  }
  return z;
}

/* Limits of the estimates by what the plan's costs are really. Returns by which factor the worst limit is exceeded. */
static double adjust(Widths *w, const PrunePlan *p, const double *wanted) {
  double worst = 0;
  Sizes z = estimate(w);
  for (int r = 0; r < RES_COUNT; r++) {
    if (wanted[r] <= 0) continue;
    double real = real_of(&p->after, r);
    worst = fmax(worst, real / wanted[r]);
    if (r == RES_FLASH) /* code does not shrink with widths */
      w->limit[r] = fmax(wanted[r] - (real - z.v[r]), 1);
    else if (r >= RES_RAM && real > 0)
      w->limit[r] = wanted[r] * z.v[r] / real;
  }
  return worst;
}

static double expected(const Widths *w, const PrunePlan *p, const uint32_t *form) {
  return allocate_expected(w->t, p) + forms_error(w->forms, form);
}

/* Estimates, answers, estimates: out is the plan of least expected error of those within all limits, best [forms->n] its forms. */
static bool plan_rounds(Widths *w, const Blob *scores, PrunePlan *out, uint32_t *best, bool *met, Diag *d) {
  double wanted[RES_COUNT], least = INFINITY;
  bool modelled = w->o->limits.flash > 0 || w->o->limits.ram > 0 || w->o->limits.cycles > 0;
  memcpy(wanted, w->limit, sizeof wanted);
  *met = false;
  for (uint32_t g = 0; g < w->c->n_groups; g++) w->kept[g] = w->c->groups[g].n;
  PrunePlan p = {0};
  if (modelled) { /* what the whole graph costs says how estimates are to be scaled */
    TRY(plan_widths(w, scores, &p, d));
    adjust(w, &p, wanted);
    prune_plan_free(&p);
  }
  for (int k = 0; k < (modelled ? MODEL_ROUNDS : 1); k++) {
    if (!solve_widths(w)) break;
    TRY(plan_widths(w, scores, &p, d));
    double over = adjust(w, &p, wanted), e = expected(w, &p, w->form);
    bool fits = over <= 1 + 1e-9, better = fits ? !*met || e < least : !*met;
    if (better) {
      prune_plan_free(out);
      *out = p;
      if (w->forms) memcpy(best, w->form, w->forms->n * sizeof *best);
      *met = fits;
      least = e;
    } else {
      prune_plan_free(&p);
    }
    if (fits && over > 0.99) break;
  }
  return true;
}

double allocate_expected(const ErrorTable *t, const PrunePlan *p) {
  double sum = 0;
  for (uint32_t g = 0, first = 0; g < t->n_groups; first += t->size[g++])
    sum += error_table_at(t, g, first, p->kept[g]);
  return sum;
}

/* Widths for all groups at once, and channel by channel from all of them (or, where the first keeps no limit, from there):
 * the one of less error. The second also says which limit holds it up. */
static bool plan_free_of(Widths *w, const Blob *scores, PrunePlan *out, Diag *d) {
  bool met = false;
  TRY(plan_rounds(w, scores, out, NULL, &met, d));
  PrunePlan greedy = {0};
  TRY(prune_plan(w->c, scores, w->o, w->ctx, !met && out->keep ? out : NULL, &greedy, d));
  out->met = met;
  if (!met || (greedy.met && allocate_expected(w->t, &greedy) < allocate_expected(w->t, out))) {
    PrunePlan worse = *out;
    *out = greedy;
    greedy = worse;
  }
  prune_plan_free(&greedy);
  return true;
}

static Widths widths_open(const Channels *c, const ErrorTable *t, const Forms *forms, const PruneOptions *o,
                          const PassCtx *ctx) {
  Widths w = {.c = c, .t = t, .o = o, .ctx = ctx, .forms = forms, .a = arena_new()};
  w.sizer = sizer_new(c, o->precision);
  w.now = arena_array(w.a, c->n_groups, sizeof *w.now);
  w.kept = arena_array(w.a, c->n_groups, sizeof *w.kept);
  w.form = arena_array(w.a, forms ? forms->n : 0, sizeof *w.form);
  for (uint32_t g = 0; g < c->n_groups; g++) w.now[g] = c->groups[g].n;
  set_limits(&w);
  return w;
}

static void widths_close(Widths *w) {
  sizer_free(w->sizer);
  arena_free(w->a);
}

bool allocate_plan(const Channels *c, const ErrorTable *t, const PruneOptions *o, const PassCtx *ctx,
                   const PrunePlan *start, PrunePlan *out, Diag *d) {
  Blob *scores = error_table_scores(t);
  *out = (PrunePlan){0};
  bool ok;
  PruneOptions stepped = *o;
  if (o->widths || o->uniform || start) {
    ok = prune_plan(c, scores, o, ctx, start, out, d);
  } else if (!prune_steps(c, o, ctx, &stepped.steps, d)) {
    ok = false;
  } else {
    Widths w = widths_open(c, t, NULL, &stepped, ctx);
    bool bare = (o->limits.flash > 0 || o->limits.ram > 0 || o->limits.cycles > 0) && !ctx->cost;
    ok = bare ? prune_plan(c, scores, o, ctx, NULL, out, d) /* reports it */
              : plan_free_of(&w, scores, out, d);
    out->steps = stepped.steps;
    widths_close(&w);
  }
  blob_unref(scores);
  return ok;
}

/* ---- forms beside */

static bool within(const Cost *c, const double *wanted) {
  for (int r = 0; r < RES_COUNT; r++)
    if (wanted[r] > 0 && real_of(c, r) > wanted[r] * (1 + 1e-9)) return false;
  return true;
}

/* Layers as they are again where the limits allow it: what prices left, and forms that save nothing at these widths. */
static bool take_back(const Widths *w, PrunePlan *p, uint32_t *form, const double *wanted, Diag *d) {
  for (uint32_t i = 0; i < w->forms->n; i++) {
    uint32_t was = form[i];
    Cost c;
    if (was == 0) continue;
    form[i] = 0;
    TRY(cost_in_forms(w, p, form, &c, d));
    if (within(&c, wanted))
      p->after = c;
    else
      form[i] = was;
  }
  return true;
}

bool allocate_plan_forms(const Channels *c, const ErrorTable *t, const Forms *forms, const PruneOptions *o,
                         const PassCtx *ctx, PrunePlan *out, uint32_t *form, Diag *d) {
  TRY(allocate_plan(c, t, o, ctx, NULL, out, d));
  if (!forms || forms->n == 0) return true;
  memset(form, 0, forms->n * sizeof *form);
  if (o->widths || o->uniform) return true;
  PruneOptions stepped = *o;
  stepped.steps = out->steps;
  Widths w = widths_open(c, t, forms, &stepped, ctx);
  Blob *scores = error_table_scores(t);
  uint32_t *best = arena_array(w.a, forms->n, sizeof *best);
  double wanted[RES_COUNT];
  PrunePlan formed = {0};
  bool met = false;
  memcpy(wanted, w.limit, sizeof wanted);
  bool ok =
      plan_rounds(&w, scores, &formed, best, &met, d) && (!met || take_back(&w, &formed, best, wanted, d));
  if (ok && met && (!out->met || expected(&w, &formed, best) < expected(&w, out, NULL))) {
    PrunePlan worse = *out;
    *out = formed;
    out->met = true, out->steps = stepped.steps;
    formed = worse;
    memcpy(form, best, forms->n * sizeof *form);
  }
  prune_plan_free(&formed);
  blob_unref(scores);
  widths_close(&w);
  return ok;
}
