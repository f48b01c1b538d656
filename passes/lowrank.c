/* lowrank: layers with weights as thinner ones, until limits are met (lowrank.h has the algebra).
 *
 *   Gram matrices of the data -> candidates of each layer, with their errors -> choice -> the graph
 *
 * With data an error is what the outputs' divergence grows by (runtime/engine/gram.h), so that layers can be compared;
 * without, it is a share of the layer's sum of squares. By limits: the exchange of least error for what it saves in the
 * resource that exceeds its limit most, again and again. A layer is factorized only where MACs and parameters fall and, with
 * a CostModel, cycles fall and peak RAM does not rise; else it stays, and its line says why.
 */
#include "passes/lowrank.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"
#include "passes/channels.h"
#include "passes/limits.h"
#include "runtime/engine/gram.h"

PassFn pass_lowrank;

enum { AS_IT_IS = -1 };

typedef struct Entry {
  LowrankLayer *l; /* NULL: cannot be factorized */
  const char *name, *why;
  LowrankOption *opt;
  bool *refused; /* [n] by the target */
  int n, at;     /* option taken, or AS_IT_IS */
  double scale;  /* of errors */
} Entry;

typedef struct Run {
  const Graph *g;
  const PassCtx *ctx;
  Diag *d;
  Arena *a;
  Grams grams;
  Entry *v;
  int n;
  Cost now; /* flash, ram and cycles: 0 without a CostModel */
  /* options */
  PruneLimits limits;
  double energy; /* 0: none */
  unsigned methods;
  int64_t step;
  uint32_t images;
  DType precision;
  const char *ranks, *keep;
} Run;

/* ---- options */

static const char *text_param(const Run *r, const char *key) {
  size_t n = strlen(r->ctx->params) + 1;
  char *value = arena_alloc(r->a, n);
  return pass_param(r->ctx->params, key, value, n) ? value : NULL;
}

static bool parse_method(Run *r) {
  const char *m = text_param(r, "method");
  r->methods = LOWRANK_ALL;
  if (!m || strcmp(m, "auto") == 0) return true;
  for (int i = 0; i < LOWRANK_METHODS; i++)
    if (strcmp(m, lowrank_method_name((LowrankMethod)i)) == 0) {
      r->methods = 1u << i;
      return true;
    }
  return diag_error(r->d, NULL, "lowrank: method=%s, want auto, svd, spatial or tucker", m);
}

static bool parse_options(Run *r) {
  const char *p = r->ctx->params;
  Diag *d = r->d;
  double step = 4, images = 1024;
  bool limited;
  TRY(limits_parse("lowrank", r->ctx, r->g, &r->limits, &limited, d));
  TRY(limits_precision("lowrank", p, &r->precision, d));
  TRY(limits_number("lowrank", p, "energy", 1e-6, 1, &r->energy, d));
  TRY(limits_number("lowrank", p, "steps", 1, 4096, &step, d));
  TRY(limits_number("lowrank", p, "images", 1, 1e9, &images, d));
  r->step = (int64_t)step, r->images = (uint32_t)images;
  r->ranks = text_param(r, "ranks"), r->keep = text_param(r, "keep");
  FAIL_IF(limited + (r->energy > 0) + (r->ranks != NULL) != 1, d, NULL,
          "lowrank: want a limit (macs, params, flash, ram or cycles), or energy, or ranks, and one of these "
          "alone");
  return parse_method(r);
}

/* ---- candidates */

/* Every name of keep is a node's. */
static bool check_keep(const Run *r) {
  for (const char *p = r->keep ? r->keep : ""; *p; p += strcspn(p, ";"), p += *p == ';') {
    const size_t n = strcspn(p, ";");
    bool found = n == 0;
    for (NodeId k = 0; k < r->g->n_nodes && !found; k++) {
      const char *name = node_label(r->g, &r->g->nodes[k]);
      found = strlen(name) == n && strncmp(name, p, n) == 0;
    }
    FAIL_IF(!found, r->d, NULL, "lowrank: keep: there is no layer \"%.*s\"", (int)n, p);
  }
  return true;
}

/* Without data outputs weigh by the factor of the BatchNormalization behind: F [O][O], NULL: there is none. */
static double *norm_outputs(const Run *r, const Node *n, const uint32_t *uses) {
  const Node *bn = NULL;
  for (NodeId k = 0; k < r->g->n_nodes; k++)
    if (r->g->nodes[k].op == OP_batch_normalization && r->g->nodes[k].in[0] == n->out[0])
      bn = &r->g->nodes[k];
  if (!bn || uses[n->out[0]] != 1 || !val_is_const(r->g, bn->in[1]) || !val_is_const(r->g, bn->in[4]))
    return NULL;
  const float *scale = val_data(r->g, bn->in[1]), *var = val_data(r->g, bn->in[4]);
  int64_t o = shape_count(&graph_val(r->g, bn->in[1])->shape);
  double *f = arena_array(r->a, (size_t)(o * o), sizeof *f),
         eps = (double)CATTRS(bn, batch_normalization)->epsilon;
  for (int64_t i = 0; i < o; i++) f[i * o + i] = (double)scale[i] * (double)scale[i] / ((double)var[i] + eps);
  return f;
}

static LowrankNorm norm_of(const Run *r, NodeId k, const uint32_t *uses) {
  for (uint32_t i = 0; i < r->grams.n; i++) {
    const LayerGram *v = &r->grams.v[i];
    if (v->node == k) return (LowrankNorm){v->whole && v->n_sums == 1 ? &v->sums[0] : NULL, v->fisher};
  }
  return (LowrankNorm){NULL, norm_outputs(r, &r->g->nodes[k], uses)};
}

static void open_entry(Run *r, NodeId k, const uint32_t *uses) {
  Entry *e = &r->v[r->n++];
  const LowrankNorm norm = norm_of(r, k, uses);
  *e = (Entry){.name = node_label(r->g, &r->g->nodes[k]), .at = AS_IT_IS};
  if (pass_listed(r->keep, e->name)) {
    e->why = "it is to stay";
    return;
  }
  e->l = lowrank_open(r->g, k, &norm, &e->why);
  if (!e->l) return;
  e->scale = r->grams.n > 0 && r->grams.curved ? 0.5 : 1 / lowrank_energy(e->l);
  if (!r->ranks) e->n = lowrank_options(e->l, r->methods, r->step, r->a, &e->opt);
  if (!r->ranks && e->n == 0) e->why = "no rank has fewer MACs and parameters";
  e->refused = arena_array(r->a, (size_t)e->n + 1, sizeof *e->refused);
}

static bool open_all(Run *r) {
  const uint32_t *uses = graph_uses(r->g, r->a);
  if (r->ctx->data) {
    GramOptions o;
    gram_options_default(&o);
    o.images = r->images;
    TRY(grams_collect(r->g, r->ctx->data, &o, r->ctx->seed, r->ctx->host, &r->grams, r->d));
  }
  r->v = arena_array(r->a, r->g->n_nodes + 1, sizeof *r->v);
  for (NodeId k = 0; k < r->g->n_nodes; k++) {
    OpKind op = r->g->nodes[k].op;
    if (op == OP_conv || op == OP_depthwise_conv || op == OP_fully_connected) open_entry(r, k, uses);
  }
  return true;
}

/* ---- what it costs */

static Graph *build(const Run *r) {
  LowrankPick *p = mem_array((size_t)r->n + 1, sizeof *p);
  int n = 0;
  for (int i = 0; i < r->n; i++)
    if (r->v[i].at != AS_IT_IS) p[n++] = (LowrankPick){.layer = r->v[i].l, .option = r->v[i].opt[r->v[i].at]};
  Graph *out = lowrank_apply(r->g, p, n, r->d);
  mem_free(p);
  return out;
}

static bool cost_now(const Run *r, Cost *out) {
  Graph *g = build(r);
  TRY(g);
  bool ok = limits_cost(r->ctx->cost, g, r->precision, out, r->d);
  graph_free(g);
  return ok;
}

/* Take option k of e where the target is better off; *taken says whether. Why not is kept. */
static bool try_option(Run *r, Entry *e, int k, bool *taken) {
  Cost c;
  int before = e->at;
  e->at = k;
  TRY(cost_now(r, &c));
  const char *bad = NULL;
  if (c.macs >= r->now.macs)
    bad = arena_printf(r->a, "MACs would go from %" PRId64 " to %" PRId64, r->now.macs, c.macs);
  else if (r->ctx->cost && c.cycles >= r->now.cycles)
    bad = arena_printf(r->a, "on the target cycles would go from %" PRId64 " to %" PRId64, r->now.cycles,
                       c.cycles);
  else if (c.ram > r->now.ram)
    bad = arena_printf(r->a, "on the target RAM would go from %" PRId64 " to %" PRId64 " bytes", r->now.ram,
                       c.ram);
  *taken = !bad;
  if (bad) {
    e->at = before, e->refused[k] = true;
    if (before == AS_IT_IS) e->why = bad;
    return true;
  }
  r->now = c;
  return true;
}

/* ---- choice by energy, by ranks */

static bool choose_by_energy(Run *r) {
  for (int i = 0; i < r->n; i++) {
    Entry *e = &r->v[i];
    bool taken = false;
    for (int k = e->n - 1; k >= 0 && !taken; k--)
      if (e->opt[k].error <= (1 - r->energy) * lowrank_energy(e->l)) TRY(try_option(r, e, k, &taken));
    if (e->l && !taken && !e->why) e->why = "no smaller rank keeps so much of the energy";
  }
  return true;
}

/* "8" or, of the input side and the output side, "6x8". */
static bool parse_rank(const char *text, int64_t *rank, int64_t *in_rank) {
  char *end;
  errno = 0;
  *in_rank = 0;
  *rank = strtoll(text, &end, 10);
  if (end != text && *end == 'x') {
    *in_rank = *rank;
    text = end + 1;
    *rank = strtoll(text, &end, 10);
    if (*in_rank < 1) return false;
  }
  return end != text && *end == 0 && errno == 0 && *rank > 0;
}

/* The one option that a rank says, of the methods allowed the one of least error. */
static bool set_rank(Run *r, Entry *e, int64_t rank, int64_t in_rank, Diag *d) {
  LowrankOption best = {0}, o;
  for (int m = 0; m < LOWRANK_METHODS; m++) {
    if (!(r->methods & 1u << m) || (m == LOWRANK_TUCKER) != (in_rank > 0)) continue;
    if (!lowrank_option(e->l, (LowrankMethod)m, rank, in_rank, &o)) continue;
    if (best.rank == 0 || o.error < best.error) best = o;
  }
  FAIL_IF(best.rank == 0, d, NULL, "lowrank: layer %s has no factorization of this rank by these methods",
          e->name);
  e->opt = arena_dup(r->a, &best, sizeof best);
  e->n = 1;
  bool taken;
  return try_option(r, e, 0, &taken);
}

static bool choose_by_ranks(Run *r) {
  for (const char *p = r->ranks; *p;) {
    size_t len = strcspn(p, ";");
    char *item = arena_strndup(r->a, p, len), *colon = strrchr(item, ':');
    int64_t rank, in_rank;
    FAIL_IF(!colon || !parse_rank(colon + 1, &rank, &in_rank), r->d, NULL,
            "lowrank: ranks: \"%s\": want layer:R, or layer:PxR for tucker", item);
    *colon = 0;
    Entry *e = NULL;
    for (int i = 0; i < r->n; i++)
      if (strcmp(r->v[i].name, item) == 0) e = &r->v[i];
    FAIL_IF(!e, r->d, NULL, "lowrank: ranks: there is no layer \"%s\"", item);
    FAIL_IF(!e->l, r->d, NULL, "lowrank: layer %s cannot be factorized: %s", item, e->why);
    TRY(set_rank(r, e, rank, in_rank, r->d));
    p += len + (p[len] == ';');
  }
  for (int i = 0; i < r->n; i++)
    if (r->v[i].at == AS_IT_IS && !r->v[i].why) r->v[i].why = "no rank is given for it";
  return true;
}

/* ---- choice by limits */

/* By how much the resource is to go down, in the unit of options: MACs or parameters. */
static double need_of(const Run *r, Resource res) {
  double have = limits_have(&r->now, res), over = have - limits_limit(&r->limits, res);
  if (res == LIMIT_CYCLES) return over / have * (double)r->now.macs;
  return res == LIMIT_FLASH && r->precision == DT_F32 ? over / 4 : over;
}

/* Error and size of what a layer is now. */
static void entry_now(const Entry *e, double *error, LowrankOption *o) {
  if (e->at != AS_IT_IS) {
    *o = e->opt[e->at];
  } else {
    *o = (LowrankOption){.macs = lowrank_macs(e->l), .params = lowrank_params(e->l)};
  }
  *error = o->error * e->scale;
}

/* The exchange of least error for what it saves; false: there is none. */
static bool best_exchange(const Run *r, Resource resource, double need, Entry **entry, int *option) {
  bool by_params = resource == LIMIT_PARAMS || resource == LIMIT_FLASH;
  double least = INFINITY;
  for (int i = 0; i < r->n; i++) {
    Entry *e = &r->v[i];
    double error;
    LowrankOption is;
    if (!e->l || e->n == 0) continue;
    entry_now(e, &error, &is);
    for (int k = 0; k < e->n; k++) {
      const LowrankOption *o = &e->opt[k];
      double saved = (double)(by_params ? is.params - o->params : is.macs - o->macs);
      if (e->refused[k] || saved <= 0 || o->macs >= is.macs) continue;
      double price = fmax(o->error * e->scale - error, 0) / fmin(saved, need);
      if (price < least) least = price, *entry = e, *option = k;
    }
  }
  return least < INFINITY;
}

static bool refuse_limit(const Run *r, Resource resource) {
  limits_missed("lowrank", &r->limits, &r->now, resource, r->d);
  if (resource == LIMIT_RAM)
    diag_hint(r->d, "factors make no tensor smaller that is there now: prune reduces the peak");
  else
    diag_hint(r->d,
              "prune first: ranks are multiples of %" PRId64
              " (steps), and layers stay that would not get cheaper",
              r->step);
  return false;
}

static bool choose_by_limits(Run *r) {
  for (;;) {
    Resource resource = limits_binding(&r->limits, &r->now);
    int k = 0;
    Entry *e = NULL;
    if (resource == LIMIT_NONE) return true;
    if (resource == LIMIT_RAM || !best_exchange(r, resource, need_of(r, resource), &e, &k))
      return refuse_limit(r, resource);
    bool taken;
    TRY(try_option(r, e, k, &taken));
  }
}

/* ---- report */

static void tell(const Run *r) {
  const Host *h = r->ctx->host;
  for (int i = 0; h && h->log && i < r->n; i++) {
    const Entry *e = &r->v[i];
    StrBuf line = {0};
    sb_printf(&line, "lowrank: %s: ", e->name);
    if (e->at == AS_IT_IS) {
      sb_printf(&line, "as it is: %s", e->why ? e->why : "it costs too much error for what it would save");
    } else {
      const LowrankOption *o = &e->opt[e->at];
      sb_printf(&line, "%s, rank ", lowrank_method_name(o->method));
      if (o->in_rank) sb_printf(&line, "%" PRId64 " and ", o->in_rank);
      sb_printf(&line,
                "%" PRId64 "; MACs %" PRId64 " of %" PRId64 ", parameters %" PRId64 " of %" PRId64
                ", loses %.2f %%",
                o->rank, o->macs, lowrank_macs(e->l), o->params, lowrank_params(e->l),
                100 * o->error / lowrank_energy(e->l));
    }
    h->log(h->ctx, sb_str(&line));
    sb_free(&line);
  }
}

Graph *pass_lowrank(const Graph *g, const PassCtx *ctx, Diag *d) {
  Run r = {.g = g, .ctx = ctx, .d = d, .a = arena_new()};
  Graph *done = NULL;
  bool ok = parse_options(&r) && check_keep(&r) && open_all(&r) && cost_now(&r, &r.now);
  if (ok && r.ranks)
    ok = choose_by_ranks(&r);
  else if (ok)
    ok = r.energy > 0 ? choose_by_energy(&r) : choose_by_limits(&r);
  if (ok) tell(&r);
  if (ok) done = build(&r);
  for (int i = 0; i < r.n; i++) lowrank_close(r.v[i].l);
  grams_free(&r.grams);
  arena_free(r.a);
  return done;
}
