/* Widths by estimates: the problem of solve.h for a graph, first on a coarse grid of widths, then on finer ones around what
 * was found, down to the widths that the options allow.
 *
 *   MACs, parameters             exact
 *   flash, RAM, cycles           estimated by passes/prune_size.h
 *
 * A peak of RAM is no sum: widths with which too many bytes are alive during a node are forbidden.
 *
 * Where layers have forms (forms.h) each layer's form is one more choice: it is in the layer's own factors alone, so that at given
 * prices it is the least over its forms for each of its groups' widths.
 */
#include "passes/allocate/grid.h"

#include <math.h>
#include <string.h>

#include "passes/allocate/solve.h"

enum {
  COARSE = 9,
  FINE = 5,
  TABLE_MOST = 1 << 18
}; /* larger tables take longer to fill than they are worth */

/* ---- widths allowed */

static uint32_t floor_of(const Widths *w, uint32_t g) {
  const ChanGroup *gr = &w->c->groups[g];
  uint32_t least = (uint32_t)ceil(w->o->min_share * gr->n - 1e-9);
  if (least < w->o->least) least = w->o->least;
  if (least < gr->least) least = gr->least;
  if (least < 1) least = 1;
  return least < w->most[g] ? least : w->most[g];
}

uint32_t widths_allowed(const Widths *w, uint32_t g, uint32_t *width) {
  uint32_t n = 0, size = w->most[g], step = w->o->steps;
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
  size_t table_most; /* elements of a factor */
  bool too_large;    /* a factor: a coarser grid is to be tried */
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
  if (size > x->table_most) {
    x->too_large = true;
    return;
  }
  bool any = false;
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
  *x = (Grid){.p = {.n_groups = n}, .table_most = most > 2 ? TABLE_MOST : SOLVE_MOST};
  x->p.options = arena_array(w->a, all_n, sizeof *x->p.options);
  x->p.error = arena_array(w->a, all_n, sizeof *x->p.error);
  x->width = arena_array(w->a, n, sizeof *x->width);
  x->p.factors = arena_array(w->a, (size_t)n_nodes * 2, sizeof *x->p.factors);
  for (uint32_t g = 0; g < n; g++) {
    uint32_t size = w->c->groups[g].n, *all = arena_array(w->a, (size_t)size + 1, sizeof *all);
    x->width[g] = arena_array(w->a, (size_t)most + 1, sizeof(uint32_t));
    x->p.options[g] = pick(all, widths_allowed(w, g, all), most, around ? around[g] : 0, stride, x->width[g]);
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
    too_large = x.too_large;
    if (!too_large) found = solve(&x.p, choice, &too_large);
    if (found) break;
  }
  for (uint32_t g = 0; found && g < w->c->n_groups; g++) w->kept[g] = x.width[g][choice[g]];
  for (uint32_t i = 0; found && i < n_forms; i++) w->form[i] = choice[w->c->n_groups + i];
  return found;
}

static uint32_t most_allowed(Widths *w) {
  uint32_t most = 0;
  for (uint32_t g = 0; g < w->c->n_groups; g++) {
    uint32_t *all = arena_array(w->a, (size_t)w->c->groups[g].n + 1, sizeof *all),
             n = widths_allowed(w, g, all);
    if (n > most) most = n;
  }
  return most;
}

bool widths_solve(Widths *w) {
  TRY(solve_grid(w, NULL, COARSE, 1));
  uint32_t n = w->c->n_groups, *around = arena_array(w->a, n, sizeof *around),
           stride = most_allowed(w) / COARSE;
  for (stride = stride / 2 + 1;; stride = (stride + 1) / 2) {
    memcpy(around, w->kept, n * sizeof *around);
    if (!solve_grid(w, around, FINE, stride)) memcpy(w->kept, around, n * sizeof *around);
    if (stride == 1) return true;
  }
}

/* ---- outside */

Sizes widths_estimate(Widths *w) {
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

void widths_limits(const Widths *w, double limit[RES_COUNT]) {
  const PruneLimits *l = &w->o->limits;
  const Graph *g = w->c->graph;
  limit[RES_MACS] = l->macs > 1 ? l->macs : l->macs * (double)graph_macs(g);
  limit[RES_PARAMS] = l->params > 1 ? l->params : l->params * (double)graph_params(g);
  limit[RES_FLASH] = (double)l->flash, limit[RES_RAM] = (double)l->ram, limit[RES_CYCLES] = (double)l->cycles;
}

Widths widths_open(const Channels *c, const ErrorTable *t, const Forms *forms, const PruneOptions *o,
                   const PassCtx *ctx, const PrunePlan *start) {
  Widths w = {.c = c, .t = t, .o = o, .ctx = ctx, .forms = forms, .a = arena_new()};
  w.sizer = sizer_new(c, o->precision);
  w.now = arena_array(w.a, c->n_groups, sizeof *w.now);
  w.kept = arena_array(w.a, c->n_groups, sizeof *w.kept);
  w.form = arena_array(w.a, forms ? forms->n : 0, sizeof *w.form);
  w.most = arena_array(w.a, c->n_groups, sizeof *w.most);
  for (uint32_t g = 0; g < c->n_groups; g++) {
    w.now[g] = c->groups[g].n;
    w.kept[g] = w.most[g] = start ? start->kept[g] : c->groups[g].n;
  }
  widths_limits(&w, w.limit);
  return w;
}

void widths_close(Widths *w) {
  sizer_free(w->sizer);
  arena_free(w->a);
}
