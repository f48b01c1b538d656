/* See limits.h. */
#include "passes/limits.h"

#include <string.h>

bool limits_number(const char *pass, const char *params, const char *key, double lo, double hi, double *v,
                   Diag *d) {
  bool bad = false;
  char text[64] = "";
  double got = pass_param_num(params, key, *v, &bad);
  if (!pass_param(params, key, text, sizeof text)) return true;
  FAIL_IF(bad || !(got >= lo && got <= hi), d, NULL, "%s: %s=%s, want a number from %g to %g", pass, key,
          text, lo, hi);
  *v = got;
  return true;
}

bool limits_parse(const char *pass, const PassCtx *ctx, const Graph *g, PruneLimits *out, bool *any,
                  Diag *d) {
  double flash = 0, ram = 0, cycles = 0;
  const char *p = ctx->params;
  *out = (PruneLimits){0};
  TRY(limits_number(pass, p, "macs", 1e-9, 1e15, &out->macs, d));
  TRY(limits_number(pass, p, "params", 1e-9, 1e15, &out->params, d));
  TRY(limits_number(pass, p, "flash", 1, 1e15, &flash, d));
  TRY(limits_number(pass, p, "ram", 1, 1e15, &ram, d));
  TRY(limits_number(pass, p, "cycles", 1, 1e15, &cycles, d));
  bool of_target = flash > 0 || ram > 0 || cycles > 0;
  if (of_target && !ctx->cost) {
    diag_error(d, NULL, "%s: flash, ram and cycles are those of a target, and none is named", pass);
    diag_hint(d, "name one: --target or --board");
    return false;
  }
  out->flash = (int64_t)flash, out->ram = (int64_t)ram, out->cycles = (int64_t)cycles;
  *any = of_target || out->macs > 0 || out->params > 0;
  if (out->macs <= 1) out->macs *= (double)graph_macs(g);
  if (out->params <= 1) out->params *= (double)graph_params(g);
  return true;
}

bool limits_precision(const char *pass, const char *params, DType *out, Diag *d) {
  char text[64];
  *out = DT_I8;
  if (!pass_param(params, "precision", text, sizeof text) || strcmp(text, "int8") == 0) return true;
  *out = DT_F32;
  FAIL_IF(strcmp(text, "float") != 0, d, NULL, "%s: precision=%s, want int8 or float", pass, text);
  return true;
}

bool limits_cost(const CostModel *model, const Graph *g, DType precision, Cost *out, Diag *d) {
  *out = (Cost){0};
  if (model) TRY(model->cost(model->ctx, g, precision, out, d));
  out->macs = graph_macs(g);
  out->params = graph_params(g);
  return true;
}

double limits_limit(const PruneLimits *l, Resource r) {
  const double all[] = {l->macs, l->params, (double)l->flash, (double)l->ram, (double)l->cycles, 0};
  return all[r];
}

double limits_have(const Cost *c, Resource r) {
  const int64_t all[] = {c->macs, c->params, c->flash, c->ram, c->cycles, 0};
  return (double)all[r];
}

Resource limits_binding(const PruneLimits *l, const Cost *c) {
  Resource worst = LIMIT_NONE;
  double most = 1 + 1e-9;
  for (int r = 0; r < LIMIT_NONE; r++) {
    double limit = limits_limit(l, (Resource)r), over = limit > 0 ? limits_have(c, (Resource)r) / limit : 0;
    if (over > most) most = over, worst = (Resource)r;
  }
  return worst;
}

bool limits_missed(const char *pass, const PruneLimits *l, const Cost *c, Resource r, Diag *d) {
  static const char *const names[] = {"macs", "params", "flash", "ram", "cycles"};
  static const char *const units[] = {"MACs", "parameters", "bytes", "bytes", "cycles"};
  return diag_error(d, NULL, "%s: a limit cannot be met: %s: %.0f %s, want at most %.0f", pass, names[r],
                    limits_have(c, r), units[r], limits_limit(l, r));
}
