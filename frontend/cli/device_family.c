/* See device_family.h. */
#include "frontend/cli/device_family.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/strbuf.h"
#include "passes/pass.h"
#include "passes/steps/artifact.h"
#include "passes/tailor/measure.h"

/* "0.91;0.9;0.88" */
static bool read_accuracy(const char *text, DeviceFamily *f) {
  for (int k = 0; k < f->n; k++) {
    char *end;
    const double v = strtod(text, &end);
    if (end == text || !(v >= 0 && v <= 1) || *end != (k + 1 < f->n ? ';' : 0)) return false;
    f->m[k].accuracy_ppm = (int64_t)llround(v * 1e6);
    text = end + 1;
  }
  return true;
}

bool device_family_read(const StepCall *c, const Graph *widest, DeviceFamily *out, Diag *d) {
  char accuracy[256];
  bool bad = false;
  *out = (DeviceFamily){.n = (int)pass_param_num(c->params, "variants", 1, &bad)};
  out->m[0].g = widest;
  out->exits = pass_param_num(c->params, "exits", 0, &bad) > 0 && widest->n_outputs > 1;
  if (out->exits) out->n = (int)widest->n_outputs;
  FAIL_IF(bad || out->n < 1 || out->n > EMIT_VARIANTS || (!out->exits && c->n_in < out->n), d, NULL,
          "deploy: \"%s\": want variants=1 to %d, and their graphs", c->params, EMIT_VARIANTS);
  if (pass_param(c->params, "accuracy", accuracy, sizeof accuracy) && !read_accuracy(accuracy, out))
    return diag_error(d, NULL, "deploy: \"%s\": want accuracy=A;B;.. of each variant", c->params);
  for (int k = 1; k < out->n && !out->exits; k++) {
    out->narrower[k] = artifact_graph(&c->in[c->n_in - out->n + k], d);
    if (!out->narrower[k]) return false;
    out->m[k].g = out->narrower[k];
  }
  return true;
}

void device_family_free(DeviceFamily *f) {
  for (int k = 1; k < f->n && k < EMIT_VARIANTS; k++) graph_free(f->narrower[k]);
}

static bool emit_all(const DeviceFamily *f, const Target *t, const EmitOptions *o, Diag *d) {
  return f->exits ? emit_exits(f->m[0].g, f->m, t, o, NULL, d) : emit_family(f->m, f->n, t, o, NULL, d);
}

bool device_emit(const DeviceFamily *f, const Target *t, const EmitOptions *o, Diag *d) {
  return f->n > 1 ? emit_all(f, t, o, d) : emit_c(f->m[0].g, t, o, d);
}

bool device_verify(DeviceFamily *f, const Target *t, const EmitOptions *o, const Host *host, Measured *m,
                   Diag *d) {
  VariantMeasured v[EMIT_VARIANTS];
  int n = 0;
  if (f->n == 1) return harness_verify(o->out_dir, t, host, m, d);
  TRY(harness_verify_family(o->out_dir, t, host, m, v, &n, d));
  for (int k = 0; k < n && k < f->n; k++) f->m[k].cycles = v[k].cycles > 0 ? v[k].cycles : 0;
  return emit_all(f, t, o, d);
}

void device_put_family(const DeviceFamily *f, StrBuf *out) {
  for (int k = 0; f->n > 1 && k < f->n; k++) {
    char key[24];
    snprintf(key, sizeof key, "cycles%d", k);
    measure_put_int(out, key, f->m[k].cycles > 0 ? f->m[k].cycles : -1);
  }
}
