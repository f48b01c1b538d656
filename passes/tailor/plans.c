/* The channels to keep of a base, for each target.
 *
 * The finished model decides, not the plan's estimate: what is pruned but untrained is quantized, its kernels are counted, it is
 * emitted and linked, and where it is too slow or too big the limit is tightened by the excess.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "passes/tailor/measure.h"
#include "passes/tailor/run.h"

enum { SIZE_TRIES = 4 };
static const double NEST_SHARE = 0.95;
static const double CLOSE =
    0.85; /* of a limit: what is estimated to take less is not measured before it is trained */

void tailor_chosen_free(TailorChosen *c) {
  artifact_unref(&c->plan);
  *c = (TailorChosen){.base = c->base};
}

/* ---- What is too much, linked */

/* By how much limits are exceeded. */
typedef struct Excess {
  int64_t flash, ram, cycles;
  bool one; /* ram: of one of several memories, not of their sum */
} Excess;

static int64_t excess(int64_t limit, int64_t have) { return tailor_over(limit, have) ? have - limit : 0; }

/* One of several memories may be full long before their sum is. */
static bool excess_regions(TailorRun *r, const TailorWork *w, const Artifact *final, const Artifact *measured,
                           Excess *out) {
  TailorRegion v[TAILOR_REGIONS];
  int n = 0;
  int64_t most = measure_get_int(measured, "ram_over", 0);
  if (!w->t->regions) return true;
  Graph *g = artifact_graph(final, r->d);
  const bool ok = g && tailor_linked_regions(r, w->t, g, measure_get_int(measured, "ram", 0), v, &n);
  graph_free(g);
  for (int i = 0; i < n; i++) {
    const int64_t over = excess(v[i].limit, v[i].bytes);
    if (over > most) most = over;
  }
  out->one = most > out->ram;
  if (out->one) out->ram = most;
  return ok;
}

/* Flash that variants add to the one that is planned. */
static bool of_variants(TailorRun *r, const TailorWork *w, const Artifact *final, int64_t *bytes) {
  *bytes = 0;
  return !tailor_is_nested(w->t) || tailor_nested_flash(r, w->t, final, bytes);
}

static bool excess_linked(TailorRun *r, const TailorWork *w, const Artifact *final, Excess *out) {
  const TailorLimits *l = &w->t->limits;
  Artifact files = {0}, m = {0};
  int64_t more;
  TRY(of_variants(r, w, final, &more) && tailor_deploy(r, w->t, final, &files, &m));
  out->flash = excess(l->flash, measure_get_int(&m, "flash", 0) + more);
  out->ram = excess(tailor_ram_linked(l), measure_get_int(&m, "ram", 0));
  const bool ok = excess_regions(r, w, final, &m, out);
  artifact_unref(&files);
  artifact_unref(&m);
  return ok;
}

/* ---- Does the original fit? */

static bool fits(const TailorLimits *l, const Cost *c) {
  return !tailor_over(l->flash, c->flash) && !tailor_over(l->ram, c->ram) && !tailor_over(l->macs, c->macs) &&
         !tailor_over(l->cycles, c->cycles);
}

/* Does the original fit target w as it is, linked? In the precision that w says. */
static bool original_fits_so(TailorRun *r, TailorWork *w, bool *yes) {
  *yes = false;
  Artifact final = {0};
  TRY(tailor_finish(r, w, "original", &r->whole, &final));
  Graph *g = artifact_graph(&final, r->d);
  Cost cost;
  bool ok = g && w->t->cost->cost(w->t->cost->ctx, g, DT_NONE, &cost, r->d);
  graph_free(g);
  if (ok && cost.macs > r->res->macs) w->more = cost.macs - r->res->macs;
  if (ok && fits(&w->t->limits, &cost)) {
    Excess e = {0};
    ok = excess_linked(r, w, &final, &e);
    *yes = ok && !e.flash && !e.ram;
  }
  artifact_unref(&final);
  return ok;
}

/* With weights of 8 bits; where flash is too small for that and the design allows it, of 4. */
static bool original_fits(TailorRun *r, TailorWork *w, bool *yes) {
  TRY(original_fits_so(r, w, yes));
  if (*yes || !r->job->finish_int4 || w->t->precision != DT_I8 || !w->t->limits.flash ||
      tailor_is_nested(w->t))
    return true;
  w->int4 = true;
  TRY(original_fits_so(r, w, yes));
  w->int4 = w->o->int4 = *yes;
  return true;
}

/* ---- The original's structure */

static bool has_op(const Graph *g, OpKind op) {
  for (NodeId k = 0; k < g->n_nodes; k++)
    if (g->nodes[k].op == op) return true;
  return false;
}

/* What is pruned of the original: the model and, where it was folded before it came here and is to be retrained,
 * BatchNormalization put in again. */
static bool make_original(TailorRun *r, TailorBase *b) {
  Graph *whole = artifact_graph(&r->whole, r->d);
  TRY(whole);
  bool insert = r->job->may_retrain && !has_op(whole, OP_batch_normalization);
  graph_free(whole);
  Artifact in[2] = {r->whole, r->data};
  static const char *const names[] = {"model", "data"};
  if (insert)
    return tailor_step(r, &step_insert, "shared", in, 2, names, "bninsert", &r->env, &b->graph, NULL);
  b->graph = artifact_ref(&r->whole);
  return true;
}

bool tailor_keep_all(TailorRun *r, TailorBase *b) {
  Graph *g = artifact_graph(&b->graph, r->d);
  bool ok = g && tailor_plan_all(g, r->job->keep, &b->all, r->d);
  graph_free(g);
  return ok;
}

bool tailor_needs_base(TailorRun *r, TailorBase *b) {
  if (b->made) return true;
  if (b->variant)
    TRY(tailor_needs_base(r, r->base) && tailor_make_variant(r, b));
  else
    TRY(make_original(r, b) && tailor_keep_all(r, b));
  b->made = true; /* not before: a look that finds no step of it is followed by a run */
  return true;
}

/* ---- Plans */

static const char *slot_of(const TailorBase *b) { return b->variant ? b->variant->name : "shared"; }

static bool needs_importance(TailorRun *r, TailorBase *b) {
  if (b->importance.bytes) return true;
  Artifact in[2] = {b->graph, r->data};
  static const char *const names[] = {"model", "data"};
  char params[TAILOR_PARAMS_MAX];
  tailor_prune_params(r, params, sizeof params);
  return tailor_step(r, tailor_by_table(r) ? &step_table : &step_importance, slot_of(b), in, 2, names, params,
                     &r->env, &b->importance, NULL);
}

/* Text of the prune options under these limits. */
static void limit_params(const TailorRun *r, const TailorTarget *t, const TailorLimits *l, char *buf,
                         size_t n) {
  int k = snprintf(buf, n, "%s", r->job->prune_params);
  if (l->macs && (size_t)k < n) k += snprintf(buf + k, n - (size_t)k, ",macs=%" PRId64, l->macs);
  if (l->flash && (size_t)k < n) k += snprintf(buf + k, n - (size_t)k, ",flash=%" PRId64, l->flash);
  if (l->ram && (size_t)k < n) k += snprintf(buf + k, n - (size_t)k, ",ram=%" PRId64, l->ram);
  if (l->cycles && (size_t)k < n) k += snprintf(buf + k, n - (size_t)k, ",cycles=%" PRId64, l->cycles);
  if ((size_t)k < n)
    snprintf(buf + k, n - (size_t)k, ",precision=%s%s%s", t->precision == DT_I8 ? "int8" : "float",
             r->job->keep[0] ? ",keep=" : "", r->job->keep);
}

/* Plan under limits l, inside `outer` (NULL: free). */
static bool plan_once(TailorRun *r, const TailorWork *w, const TailorBase *b, const TailorLimits *l,
                      const Artifact *outer, Artifact *plan, Artifact *measure) {
  Artifact in[4] = {b->graph, b->importance, artifact_from_hash(ART_DATA, w->t->cost->key)};
  static const char *const names[] = {"model", "importance", "board", "looser plan"};
  char params[TAILOR_PARAMS_MAX];
  limit_params(r, w->t, l, params, sizeof params);
  TailorStepEnv env = r->env;
  env.cost = w->t->cost;
  if (outer) in[3] = *outer;
  return tailor_step(r, tailor_by_table(r) ? &step_allocate : &step_plan, w->t->name, in, outer ? 4 : 3,
                     names, params, &env, plan, measure);
}

static bool excess_cycles(TailorRun *r, const TailorWork *w, const Artifact *final, Excess *out) {
  Graph *g = artifact_graph(final, r->d);
  Cost cost = {0};
  const bool ok = g && w->t->cost->cost(w->t->cost->ctx, g, DT_NONE, &cost, r->d);
  graph_free(g);
  out->cycles = excess(w->t->limits.cycles, cost.cycles);
  return ok;
}

/* Estimates of pruned models are within a few per cent of the finished one's. */
static bool close_to(int64_t limit, int64_t estimate) {
  return limit > 0 && (double)estimate > CLOSE * (double)limit;
}

/* Of a pruned, untrained model, finished: its kernels are chosen, and it is linked where bytes are limited. Nothing where the
 * estimate leaves room; that of all memories' sum does not tell whether one of several has any. */
static bool measure_plan(TailorRun *r, const TailorWork *w, const TailorBase *b, const Artifact *plan,
                         const Artifact *estimate, Excess *out) {
  const TailorLimits *l = &w->t->limits;
  *out = (Excess){0};
  if (r->job->graphs) return true; /* by estimates, of which the plan is made */
  if (!w->t->regions && !(l->flash && tailor_is_nested(w->t)) &&
      !close_to(l->flash, measure_get_int(estimate, "flash", 0)) &&
      !close_to(l->ram, measure_get_int(estimate, "ram", 0)) &&
      !close_to(l->cycles, measure_get_int(estimate, "cycles", 0)))
    return true;
  Artifact in[2] = {b->graph, *plan}, small = {0}, final = {0};
  char keep[TAILOR_PARAMS_MAX];
  tailor_keep_params(r, keep, sizeof keep);
  bool ok = tailor_step(r, &step_prune, w->t->name, in, 2, NULL, keep, &r->env, &small, NULL) &&
            tailor_finish(r, w, w->t->name, &small, &final);
  if (ok && l->cycles) ok = excess_cycles(r, w, &final, out);
  if (ok && (l->flash || l->ram || w->t->regions)) ok = excess_linked(r, w, &final, out);
  artifact_unref(&small);
  artifact_unref(&final);
  return ok;
}

/* Where the smallest that can be had holds too much of one memory: "; RAM in the ..."; "" where it does not. */
static bool missed_regions(TailorRun *r, const TailorWork *w, const TailorBase *b, const Artifact *plan,
                           const char **out) {
  Artifact in[2] = {b->graph, *plan}, small = {0};
  char keep[TAILOR_PARAMS_MAX];
  TailorRegion v[TAILOR_REGIONS];
  StrBuf text = {0};
  *out = "";
  if (!w->t->regions) return true;
  tailor_keep_params(r, keep, sizeof keep);
  const bool made = tailor_step(r, &step_prune, w->t->name, in, 2, NULL, keep, &r->env, &small, NULL);
  Graph *g = made ? artifact_graph(&small, r->d) : NULL;
  const int n = g ? w->t->regions(w->t->cost->ctx, g, w->t->precision, v, r->d) : -1;
  graph_free(g);
  artifact_unref(&small);
  sb_puts(&text, "; ");
  if (n > 0 && tailor_region_over(v, n, &text)) *out = arena_strdup(r->res->arena, sb_str(&text));
  sb_free(&text);
  return n >= 0;
}

static const char *missed(TailorRun *r, const Artifact *plan_measure, const char *regions) {
  char text[256] = "";
  const char *p = blob_raw(plan_measure->bytes);
  size_t n = blob_size(plan_measure->bytes);
  for (size_t i = 0; i + 7 < n; i++) {
    if (memcmp(p + i, "missed ", 7) == 0 && (i == 0 || p[i - 1] == '\n')) {
      size_t len = 0;
      while (i + 7 + len < n && p[i + 7 + len] != '\n') len++;
      snprintf(text, sizeof text, "%.*s", (int)len, p + i + 7);
    }
  }
  return arena_printf(r->res->arena,
                      "no model of this family fits (%s); the smallest that can be had: flash %" PRId64
                      ", RAM %" PRId64 " bytes, %" PRId64 " MACs%s",
                      text, measure_get_int(plan_measure, "flash", 0),
                      measure_get_int(plan_measure, "ram", 0), measure_get_int(plan_measure, "macs", 0),
                      regions);
}

/* By an excess and an eighth of it; what nothing can meet is left to the plan to say. */
static void tighten(int64_t *limit, int64_t excess) {
  if (excess) *limit = *limit > excess + excess / 8 ? *limit - excess - excess / 8 : 1;
}

bool tailor_plan_target(TailorRun *r, const TailorWork *w, TailorBase *b, const Artifact *outer,
                        TailorChosen *out) {
  TailorLimits l = w->t->limits;
  if (l.macs > w->more) l.macs -= w->more;
  *out = (TailorChosen){.base = b};
  TRY(needs_importance(r, b));
  for (int attempt = 0;; attempt++) {
    Artifact plan = {0}, m = {0};
    TRY(plan_once(r, w, b, &l, outer, &plan, &m));
    Excess e = {0};
    const char *regions = "";
    const bool met = measure_get_int(&m, "met", 0) != 0,
               ok = met ? measure_plan(r, w, b, &plan, &m, &e) : missed_regions(r, w, b, &plan, &regions),
               over = ok && met && (e.flash || e.ram || e.cycles), again = over && attempt + 1 < SIZE_TRIES;
    if (ok && !met) out->why = missed(r, &m, regions);
    if (over && !again)
      out->why = arena_printf(r->res->arena,
                              "finished, it is still over its limits: by %" PRId64 " bytes of flash, %" PRId64
                              " of RAM, %" PRId64 " cycles",
                              e.flash, e.ram, e.cycles);
    out->macs = measure_get_int(&m, "macs", 0);
    out->changed = b->variant || measure_get_int(&m, "removed", 0) > 0;
    const int64_t ram = measure_get_int(&m, "ram", 0);
    artifact_unref(&m);
    if (again) {
      artifact_unref(&plan);
      if (e.one && (!l.ram || l.ram > ram)) l.ram = ram; /* the sum's limit may be far away */
      tighten(&l.flash, e.flash);
      tighten(&l.ram, e.ram);
      tighten(&l.cycles, e.cycles);
      continue;
    }
    out->plan = plan;
    return ok;
  }
}

static bool plan_base(TailorRun *r, TailorBase *b) {
  bool *busy = tailor_wait(r);
  const bool ok = tailor_needs_base(r, b) && (!b->graph.bytes || needs_importance(r, b));
  tailor_go_on(r, busy);
  return ok;
}

static bool choose_variant(TailorRun *r, TailorWork *w) {
  bool *busy = tailor_wait(r);
  const bool ok = tailor_choose_variant(r, w);
  tailor_go_on(r, busy);
  return ok;
}

bool tailor_plan_task(void *ctx, int i) {
  TailorRun *r = ctx;
  TailorWork *w = &r->w[i];
  bool fit;
  artifact_unref(&w->c.plan);
  *w = (TailorWork){.t = w->t, .o = w->o, .c = {.base = r->base}, .node = -1};
  TRY(tailor_plan_from_lock(r, w));
  if (w->locked) return true;
  TRY(original_fits(r, w, &fit));
  w->c.macs = r->res->macs;
  if (fit) return true;
  if (!r->job->may_prune) {
    w->c.why = r->job->n_variants
                   ? "the original does not fit, and the design does not allow pruning, with which other "
                     "structures go (add `prune: {}` to its freedom)"
                   : "the original does not fit, and the design does not allow pruning";
    return true;
  }
  return plan_base(r, r->base) && tailor_plan_target(r, w, r->base, NULL, &w->c) && choose_variant(r, w);
}

int tailor_round(const TailorWork *w) { return w->locked ? 0 : w->t->round; }

int tailor_rounds(const TailorRun *r) {
  int n = 1;
  for (int i = 0; i < r->job->n_targets; i++)
    n = tailor_round(&r->w[i]) >= n ? tailor_round(&r->w[i]) + 1 : n;
  return n;
}

bool tailor_nest(TailorRun *r, TailorWork *w, const TailorWork *before) {
  if (w->locked || !w->c.changed || w->c.why || !before->c.changed || before->c.why ||
      w->c.base != before->c.base)
    return true;
  TailorChosen inside;
  bool ok = tailor_plan_target(r, w, w->c.base, &before->c.plan, &inside);
  if (ok && !inside.why && (double)inside.macs >= NEST_SHARE * (double)w->c.macs) {
    const TailorChosen unbound = w->c;
    w->c = inside, inside = unbound;
  }
  tailor_chosen_free(&inside);
  return ok;
}
