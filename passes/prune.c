/* prune: remove channels until the graph meets its limits.
 *
 *   channels (what goes together) -> importance (what matters) -> plan (what goes) -> apply (the smaller graph)
 *
 * Runs on a float graph behind `layout`, BatchNormalization still apart, and is followed by retraining. Each part is a
 * file of its own (channels.c, prune_score.c, prune_plan.c, prune_apply.c), so that tailoring for many targets
 * computes importance once and plans cheaply.
 */
#include "passes/prune.h"

#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"

PassFn pass_prune;

void prune_options_default(PruneOptions *o) {
  *o = (PruneOptions){.by = PRUNE_TAYLOR, .min_share = 0.1, .least = 4, .images = 512, .precision = DT_I8};
}

static bool parse_by(const char *text, PruneBy *out, Diag *d) {
  static const char *const names[] = {"taylor", "l2", "l1", "fpgm", "bn", "random"};
  for (int i = 0; i < 6; i++) {
    if (strcmp(text, names[i]) == 0) {
      *out = (PruneBy)i;
      return true;
    }
  }
  return diag_error(d, NULL, "prune: by=%s, want taylor, l2, l1, fpgm, bn or random", text);
}

/* A number within lo .. hi; key's own default where it is absent. */
static bool number(const char *params, const char *key, double lo, double hi, double *v, Diag *d) {
  bool bad = false;
  double got = pass_param_num(params, key, *v, &bad);
  char text[64] = "";
  if (!pass_param(params, key, text, sizeof text)) return true;
  FAIL_IF(bad || !(got >= lo && got <= hi), d, NULL, "prune: %s=%s, want a number from %g to %g", key, text,
          lo, hi);
  *v = got;
  return true;
}

static bool numbers(const char *params, PruneOptions *o, Diag *d) {
  double steps = o->steps, images = o->images, least = o->least, uniform = 0, flash = 0, ram = 0, cycles = 0;
  TRY(number(params, "macs", 1e-9, 1e15, &o->limits.macs, d));
  TRY(number(params, "params", 1e-9, 1e15, &o->limits.params, d));
  TRY(number(params, "flash", 1, 1e15, &flash, d));
  TRY(number(params, "ram", 1, 1e15, &ram, d));
  TRY(number(params, "cycles", 1, 1e15, &cycles, d));
  TRY(number(params, "min", 0, 1, &o->min_share, d));
  TRY(number(params, "least", 1, 1e6, &least, d));
  TRY(number(params, "steps", 1, 4096, &steps, d));
  TRY(number(params, "images", 1, 1e9, &images, d));
  TRY(number(params, "uniform", 0, 1, &uniform, d));
  o->limits.flash = (int64_t)flash, o->limits.ram = (int64_t)ram, o->limits.cycles = (int64_t)cycles;
  o->steps = (uint32_t)steps, o->least = (uint32_t)least, o->images = (uint32_t)images,
  o->uniform = uniform != 0;
  return true;
}

/* The value of a key of any length, in the arena; NULL when it is absent. */
static const char *text_param(const char *params, const char *key, Arena *a) {
  size_t n = strlen(params) + 1;
  char *value = arena_alloc(a, n);
  return pass_param(params, key, value, n) ? value : NULL;
}

bool prune_options_parse(const char *params, Arena *a, PruneOptions *o, Diag *d) {
  prune_options_default(o);
  params = params ? params : "";
  const char *by = text_param(params, "by", a), *type = text_param(params, "precision", a);
  if (by) TRY(parse_by(by, &o->by, d));
  FAIL_IF(type && strcmp(type, "int8") != 0 && strcmp(type, "float") != 0, d, NULL,
          "prune: precision=%s, want int8 or float", type);
  if (type) o->precision = strcmp(type, "int8") == 0 ? DT_I8 : DT_F32;
  TRY(numbers(params, o, d));
  o->keep = text_param(params, "keep", a);
  o->widths = text_param(params, "widths", a);
  const char *normalize = text_param(params, "normalize", a);
  FAIL_IF(normalize && strcmp(normalize, "group") != 0 && strcmp(normalize, "none") != 0, d, NULL,
          "prune: normalize=%s, want group or none", normalize);
  if (normalize) o->normalize = strcmp(normalize, "group") == 0;
  return true;
}

static bool check_target(const PruneOptions *o, Diag *d) {
  const PruneLimits *l = &o->limits;
  bool limited = l->macs > 0 || l->params > 0 || l->flash > 0 || l->ram > 0 || l->cycles > 0;
  FAIL_IF(limited == (o->widths != NULL), d, NULL,
          "prune: want a limit (macs, params, flash, ram or cycles), or widths, and not both");
  return true;
}

static void tell(const Host *host, const char *line) {
  if (host && host->log) host->log(host->ctx, line);
}

static void tell_plan(const Channels *c, const PrunePlan *p, const Host *host) {
  StrBuf line = {0};
  uint32_t kept = 0;
  for (uint32_t g = 0; g < p->n_groups; g++) kept += p->kept[g];
  sb_printf(&line, "prune: %u of %u units in %u groups stay", kept, c->n_units, c->n_groups);
  if (p->steps > 1) sb_printf(&line, ", multiples of %u", p->steps);
  sb_printf(&line, "; MACs %lld of %lld, parameters %lld of %lld; widths=", (long long)p->after.macs,
            (long long)p->before.macs, (long long)p->after.params, (long long)p->before.params);
  for (uint32_t g = 0; g < p->n_groups; g++) sb_printf(&line, "%s%u", g ? "/" : "", p->kept[g]);
  tell(host, sb_str(&line));
  sb_free(&line);
}

/* Layers of which nothing can go, and why: nothing is left out in silence. */
static void tell_whole(const Channels *c, const Host *host) {
  enum { NAMED = 4 };
  StrBuf line = {0};
  uint32_t whole = 0, told = 0;
  for (uint32_t i = 0; i < c->n_layers; i++) whole += c->layers[i].prunable == 0;
  sb_printf(&line, "prune: %u of %u layers stay whole", whole, c->n_layers);
  for (uint32_t i = 0; i < c->n_layers && told < NAMED; i++) {
    const ChanLayer *l = &c->layers[i];
    if (l->prunable == 0) sb_printf(&line, "%s\"%s\": %s", told++ ? "; " : ": ", l->name, l->reason);
  }
  if (whole > told) sb_puts(&line, "; mistify inspect --channels lists the others");
  tell(host, sb_str(&line));
  sb_free(&line);
}

/* The user learns what stands in the way. */
static void hint_layers(const Channels *c, const PruneOptions *o, uint32_t steps, Diag *d) {
  uint32_t whole = 0;
  for (uint32_t i = 0; i < c->n_layers; i++) whole += c->layers[i].prunable == 0;
  diag_hint(
      d,
      "%u of %u layers cannot be narrowed, every group keeps at least %g of its channels and multiples of %u",
      whole, c->n_layers, o->min_share, steps);
}

static Graph *prune_channels(const Channels *c, const PruneOptions *o, const PassCtx *ctx, Diag *d) {
  Blob *importance = prune_importance(c, o, ctx, d);
  PrunePlan plan = {0};
  Graph *done = NULL;
  if (importance && prune_plan(c, importance, o, ctx, NULL, &plan, d)) {
    tell_whole(c, ctx->host);
    tell_plan(c, &plan, ctx->host);
    if (plan.met) {
      done = prune_apply(c, &plan, d);
    } else {
      diag_error(d, NULL, "prune: a limit cannot be met: %s", plan.missed);
      hint_layers(c, o, plan.steps, d);
    }
  }
  prune_plan_free(&plan);
  blob_unref(importance);
  return done;
}

Graph *pass_prune(const Graph *g, const PassCtx *ctx, Diag *d) {
  Arena *a = arena_new();
  PruneOptions o;
  Graph *done = NULL;
  if (prune_options_parse(ctx->params, a, &o, d) && check_target(&o, d)) {
    Channels c;
    if (channels_find(g, o.keep, &c, d)) done = prune_channels(&c, &o, ctx, d);
    channels_free(&c);
  }
  arena_free(a);
  return done;
}
