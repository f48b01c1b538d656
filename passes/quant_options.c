/* quantize's options as they are written. */
#include <stdlib.h>
#include <string.h>

#include "ir/base/strbuf.h"
#include "passes/quantizer.h"

static bool parse_choice(const char *params, const char *key, const char *const *names, int *out, Diag *d) {
  char text[64];
  if (!pass_param(params, key, text, sizeof text)) return true;
  for (int i = 0; names[i]; i++) {
    if (strcmp(text, names[i]) == 0) {
      *out = i;
      return true;
    }
  }
  StrBuf all = {0};
  for (int i = 0; names[i]; i++) sb_printf(&all, "%s%s", i ? ", " : "", names[i]);
  diag_error(d, NULL, "quantize: %s=%s, want one of %s", key, text, sb_str(&all));
  sb_free(&all);
  return false;
}

bool quant_text(const char *params, const char *key, char *value, size_t n, Diag *d) {
  FAIL_IF(pass_param(params, key, value, n) && strlen(value) == n - 1, d, NULL,
          "quantize: %s=%.20s...: want less than %zu characters", key, value, n - 1);
  return true;
}

/* "0.02": of the divergence; "0.5%": points of accuracy. */
static bool parse_budget(const char *params, QuantOptions *o, Diag *d) {
  char text[64], *end;
  if (!pass_param(params, "budget", text, sizeof text)) return true;
  o->budget = strtod(text, &end);
  o->budget_points = *end == '%';
  FAIL_IF(end == text || end[*end == '%'] || !(o->budget >= 0 && o->budget <= 100), d, NULL,
          "quantize: budget=%s, want a divergence (0.02) or points of accuracy (0.5%%)", text);
  return true;
}

bool quant_options(const char *params, QuantOptions *o, Diag *d) {
  static const char *const methods[] = {"minmax", "percentile", "mse", "entropy", NULL},
                           *const ios[] = {"int8", "uint8", "float", NULL},
                           *const fcs[] = {"channel", "tensor", NULL},
                           *const biases[] = {"plain", "correct", NULL};
  int method = CAL_MSE, io = IO_INT8, fc = 0, bias = 1;
  bool bad = false;
  TRY(parse_choice(params, "method", methods, &method, d));
  TRY(parse_choice(params, "io", ios, &io, d));
  TRY(parse_choice(params, "fc", fcs, &fc, d));
  TRY(parse_choice(params, "bias", biases, &bias, d));
  double images = pass_param_num(params, "images", 512, &bad),
         percentile = pass_param_num(params, "percentile", 99.99, &bad);
  double tell = pass_param_num(params, "report", 0, &bad), held = pass_param_num(params, "held", 256, &bad);
  FAIL_IF(bad || !(images >= 1 && images < 1e9), d, NULL, "quantize: want images=N of at least 1");
  FAIL_IF(!(held >= 1 && held < 60000), d, NULL, "quantize: held=%g, want 1 to 59999 images", held);
  FAIL_IF(!(percentile > 50 && percentile <= 100), d, NULL,
          "quantize: percentile=%g, want more than 50, at most 100", percentile);
  *o = (QuantOptions){.cal = {(CalMethod)method, percentile, (uint32_t)images},
                      .io = (Io)io,
                      .fc_per_tensor = fc == 1,
                      .correct = bias == 1,
                      .report = (int)tell,
                      .budget = -1,
                      .held = (uint32_t)held};
  TRY(weight_options(params, &o->weights, d));
  TRY(quant_text(params, "json", o->json, sizeof o->json, d));
  TRY(quant_text(params, "int16", o->int16, sizeof o->int16, d));
  TRY(quant_text(params, "float", o->in_float, sizeof o->in_float, d));
  return parse_budget(params, o, d);
}
