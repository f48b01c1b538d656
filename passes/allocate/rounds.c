/* Answers: what the CostModel says of solutions by estimates, and which limits estimates get by that.
 *
 *   solution -> its plan -> cost -> limits of estimates, scaled to what was answered -> solution -> ...
 *
 * Answers are dear and steps like stairs (kernels are exchanged, rings have whole rows): so between a limit that was kept and
 * one that was not the next is halfway, and the best plan is at last tried with one group wider, or one wider and one narrower.
 */
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "passes/allocate/grid.h"
#include "passes/limits.h"

enum { ROUNDS = 10, TRIALS = 12 };
static const double CLOSE = 0.998; /* of a limit: no better plan is looked for */

/* ---- what plans cost */

/* What the plan costs, layers as they are. */
static bool cost_whole(const Widths *w, const PrunePlan *p, Cost *out, Diag *d) {
  Graph *small = prune_apply(w->c, p, d);
  const bool ok = small && limits_cost(w->ctx->cost, small, w->o->precision, out, d);
  graph_free(small);
  return ok;
}

bool widths_cost(const Widths *w, const PrunePlan *p, const uint32_t *form, Cost *out, Diag *d) {
  Graph *small = prune_apply(w->c, p, d);
  TRY(small);
  NodeId *from = mem_array(small->n_nodes, sizeof *from);
  allocate_match(w->c->graph, small, from);
  bool ok = forms_cost(w->forms, form, small, from, w->ctx, out, d);
  mem_free(from);
  graph_free(small);
  return ok;
}

/* Units go in the table's order. */
bool widths_plan(const Widths *w, PrunePlan *out, Diag *d) {
  const Channels *c = w->c;
  prune_plan_all(c, out);
  for (uint32_t g = 0; g < c->n_groups; g++) {
    const ChanGroup *gr = &c->groups[g];
    out->kept[g] = w->kept[g];
    for (uint32_t i = 0; i < gr->n - w->kept[g]; i++) out->keep[gr->first + w->t->order[gr->first + i]] = 0;
  }
  out->met = true;
  out->steps = w->o->steps;
  out->before = (Cost){.macs = graph_macs(c->graph), .params = graph_params(c->graph)};
  const bool ok =
      w->forms ? widths_cost(w, out, w->form, &out->after, d) : cost_whole(w, out, &out->after, d);
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

bool widths_within(const Cost *c, const double *wanted) {
  for (int r = 0; r < RES_COUNT; r++)
    if (wanted[r] > 0 && real_of(c, r) > wanted[r] * (1 + 1e-9)) return false;
  return true;
}

/* ---- limits of estimates */

/* What was learned about a resource: the largest limit of estimates that was kept really, the least estimate that was too
 * much (0: none yet), and how often in a row one was. */
typedef struct Bracket {
  double fits, over;
  int in_a_row;
} Bracket;

/* The next limit of r's estimates, after `real` was the answer for estimate z. What is too much time after time, without
 * ever having fitted, is lowered by more and more. */
static double next_limit(Bracket *b, int r, double z, double limit, double real, double wanted, bool again) {
  const bool fits = real <= wanted * (1 + 1e-9);
  if (fits)
    b->fits = fmax(b->fits, again ? limit : z), b->in_a_row = 0;
  else
    b->over = b->over > 0 ? fmin(b->over, z) : z, b->in_a_row++;
  if (b->over > 0 && b->fits >= b->over) /* estimates do not order answers: the last one counts */
    *(fits ? &b->over : &b->fits) = 0;
  const double more = pow(1.5, fits ? 0 : b->in_a_row - 1);
  double next = r == RES_FLASH ? z + (wanted - real) * more /* code does not shrink with widths */
                               : z * pow(wanted / fmax(real, 1), more);
  if (b->fits > 0 && b->over > 0 && !(next > b->fits && next < b->over)) next = (b->fits + b->over) / 2;
  return fmax(next, 1);
}

/* Limits of the estimates by what the solution costs really. again: it is the one before. Returns by which factor the worst
 * limit is exceeded. */
static double adjust(Widths *w, const Cost *cost, const double *wanted, Bracket *b, bool again) {
  double worst = 0;
  const Sizes z = widths_estimate(w);
  for (int r = 0; r < RES_COUNT; r++) {
    if (wanted[r] <= 0) continue;
    const double real = real_of(cost, r);
    worst = fmax(worst, real / wanted[r]);
    if (r >= RES_FLASH) w->limit[r] = next_limit(&b[r], r, z.v[r], w->limit[r], real, wanted[r], again);
  }
  return worst;
}

double widths_error(const Widths *w, const uint32_t *kept, const uint32_t *form) {
  double sum = forms_error(w->forms, form);
  for (uint32_t g = 0; g < w->c->n_groups; g++)
    sum += error_table_at(w->t, g, w->c->groups[g].first, kept[g]);
  return sum;
}

/* The last plan's widths, forms and cost, and the best one so far. */
typedef struct Rounds {
  uint32_t *kept, *form;
  Cost cost;
  int repeated; /* how often in a row the last one came again */
  PrunePlan best;
  uint32_t *best_form;
  double least; /* its error */
  bool met;
} Rounds;

static bool same_again(const Widths *w, const Rounds *x) {
  const size_t n = w->c->n_groups, n_forms = w->forms ? w->forms->n : 0;
  return memcmp(x->kept, w->kept, n * sizeof *w->kept) == 0 &&
         memcmp(x->form, w->form, n_forms * sizeof *w->form) == 0;
}

/* Keep the plan as the best one, if it is; it is gone after that. */
static void keep_best(const Widths *w, Rounds *x, bool fits, PrunePlan *p) {
  const double e = widths_error(w, p->kept, w->form);
  if (fits ? !x->met || e < x->least : !x->met) {
    const PrunePlan worse = x->best;
    x->best = *p, *p = worse;
    x->met = fits, x->least = e;
    if (w->forms) memcpy(x->best_form, w->form, w->forms->n * sizeof *w->form);
  }
  prune_plan_free(p);
}

/* The solution's plan is asked for its cost, unless it is the last one again. *over: of the worst limit. */
static bool plan_round(Widths *w, Rounds *x, const double *wanted, Bracket *b, double *over, Diag *d) {
  PrunePlan p;
  x->repeated = same_again(w, x) ? x->repeated + 1 : 0;
  if (x->repeated == 0) {
    TRY(widths_plan(w, &p, d));
    x->cost = p.after;
    memcpy(x->kept, w->kept, w->c->n_groups * sizeof *w->kept);
    if (w->forms) memcpy(x->form, w->form, w->forms->n * sizeof *w->form);
  }
  *over = adjust(w, &x->cost, wanted, b, x->repeated > 0);
  if (x->repeated == 0) keep_best(w, x, *over <= 1 + 1e-9, &p);
  return true;
}

/* The solution under what is known exactly; without such limits, everything. */
static bool first_solution(Widths *w, const double *wanted) {
  for (int r = RES_FLASH; r < RES_COUNT; r++) w->limit[r] = 0;
  if (wanted[RES_MACS] > 0 || wanted[RES_PARAMS] > 0) return widths_solve(w);
  for (uint32_t g = 0; g < w->c->n_groups; g++) w->kept[g] = w->most[g];
  return true;
}

/* ---- the last steps */

/* Group g one step wider and h (h == g: none) one narrower. */
typedef struct Step {
  uint32_t g, h, wider, narrower;
  double won; /* of the error */
} Step;

/* The allowed width next to `width` on either side; 0: there is none. */
static void next_widths(const Widths *w, uint32_t g, uint32_t width, uint32_t *below, uint32_t *above) {
  uint32_t *all = mem_array((size_t)w->c->groups[g].n + 1, sizeof *all), n = widths_allowed(w, g, all);
  *below = *above = 0;
  for (uint32_t i = 0; i < n; i++) {
    if (all[i] < width) *below = all[i];
    if (all[i] > width && *above == 0) *above = all[i];
  }
  mem_free(all);
}

static void take_step(Widths *w, const Step *s) {
  if (s->h != s->g) w->kept[s->h] = s->narrower;
  w->kept[s->g] = s->wider;
}

/* Whether the solution's cost may be within limits, moved from `is` by what estimates (then z) say. */
static bool may_fit(Widths *w, const Cost *is, const Sizes *z, double slack, const double *wanted) {
  const Sizes now = widths_estimate(w);
  for (int r = 0; r < RES_COUNT; r++) {
    const double real = real_of(is, r),
                 moved = r >= RES_RAM ? real * now.v[r] / fmax(z->v[r], 1) : real + now.v[r] - z->v[r];
    if (wanted[r] > 0 && moved > wanted[r] * (r >= RES_FLASH ? slack : 1)) return false;
  }
  return true;
}

/* Steps from the solution that lower the error and may fit, most won first. Returns how many; at most n_groups^2. */
static uint32_t find_steps(Widths *w, const Cost *is, double slack, const double *wanted, Step *out) {
  const uint32_t n = w->c->n_groups;
  const Sizes z = widths_estimate(w);
  uint32_t count = 0, *kept = arena_dup(w->a, w->kept, n * sizeof *kept),
           *below = arena_array(w->a, n, sizeof *below), *above = arena_array(w->a, n, sizeof *above);
  const double e = widths_error(w, kept, w->form);
  for (uint32_t g = 0; g < n; g++) next_widths(w, g, kept[g], &below[g], &above[g]);
  for (uint32_t g = 0; g < n; g++)
    for (uint32_t h = 0; above[g] && h < n; h++) {
      Step s = {g, h, above[g], below[h], 0};
      if (h != g && !below[h]) continue;
      take_step(w, &s);
      s.won = e - widths_error(w, w->kept, w->form);
      if (s.won > 0 && may_fit(w, is, &z, slack, wanted)) {
        uint32_t at = count++;
        for (; at > 0 && out[at - 1].won < s.won; at--) out[at] = out[at - 1];
        out[at] = s;
      }
      memcpy(w->kept, kept, n * sizeof *kept);
    }
  return count;
}

/* The best plan with one step more, of those that are tried; false: none fits. */
static bool step_on(Widths *w, Rounds *x, double slack, const double *wanted, int *trials, bool *better,
                    Diag *d) {
  const uint32_t n = w->c->n_groups;
  Step *s = arena_array(w->a, (size_t)n * n, sizeof *s);
  PrunePlan p;
  *better = false;
  memcpy(w->kept, x->best.kept, n * sizeof *w->kept);
  if (w->forms) memcpy(w->form, x->best_form, w->forms->n * sizeof *w->form);
  const uint32_t found = find_steps(w, &x->best.after, slack, wanted, s);
  for (uint32_t i = 0; i<found && * trials> 0 && !*better; i++, (*trials)--) {
    memcpy(w->kept, x->best.kept, n * sizeof *w->kept);
    take_step(w, &s[i]);
    TRY(widths_plan(w, &p, d));
    *better = widths_within(&p.after, wanted);
    if (*better)
      keep_best(w, x, true, &p);
    else
      prune_plan_free(&p);
  }
  return true;
}

/* Steps that fit by estimates, then those that stairs may let fit. */
static bool last_steps(Widths *w, Rounds *x, const double *wanted, Diag *d) {
  static const double slack[] = {1.01, 1.1};
  int trials = TRIALS;
  for (int i = 0; i < 2 && trials > 0;) {
    bool better;
    TRY(step_on(w, x, slack[i], wanted, &trials, &better, d));
    i = better ? 0 : i + 1;
  }
  return true;
}

bool widths_rounds(Widths *w, PrunePlan *out, uint32_t *best, bool *met, Diag *d) {
  const size_t n_forms = w->forms ? w->forms->n : 0;
  double wanted[RES_COUNT], over = 0;
  Bracket b[RES_COUNT] = {{0}};
  Rounds x = {.best_form = best};
  bool ok = true, asked = false;
  x.kept = arena_array(w->a, w->c->n_groups, sizeof *x.kept);
  x.form = arena_array(w->a, n_forms, sizeof *x.form);
  memcpy(wanted, w->limit, sizeof wanted);
  bool found = first_solution(w, wanted);
  for (int k = 0; ok && found && k < ROUNDS && x.repeated < 3; k++) {
    ok = plan_round(w, &x, wanted, b, &over, d);
    const bool fits = over <= 1 + 1e-9;
    asked = !(fits && k == 0); /* what fits at once is best as it is */
    if (fits && (k == 0 || over > CLOSE)) break;
    if (ok) found = widths_solve(w);
  }
  if (ok && x.met && asked) ok = last_steps(w, &x, wanted, d);
  *out = x.best;
  *met = x.met;
  return ok;
}
