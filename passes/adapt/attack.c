/* The loss-threshold attack, with and without calibration by the model before; see attack.h. AUC: engine/judge.h. */
#include "passes/adapt/attack.h"

#include <math.h>

#include "ir/base/mem.h"
#include "runtime/engine/judge.h"
#include "runtime/engine/privacy/tune.h"

static int argmax(const float *z, int n) {
  int best = 0;
  for (int i = 1; i < n; i++)
    if (z[i] > z[best]) best = i;
  return best;
}

static double cross_entropy(const float *z, int n, int label) {
  double sum = 0;
  const float top = z[argmax(z, n)];
  for (int i = 0; i < n; i++) sum += exp((double)z[i] - (double)top);
  return log(sum) + (double)top - (double)z[label];
}

/* Scores of a split's examples: larger means member. labels: they are there, and of the other split too. */
static bool score(const Graph *before, const Graph *after, const Split *s, bool labels, const Normalize *nz,
                  const Host *host, int classes, float *loss, float *gain, Diag *d) {
  const size_t n = (size_t)s->n * (size_t)classes;
  for (uint32_t i = 0; labels && i < s->n; i++)
    FAIL_IF(s->y[i] < 0 || s->y[i] >= classes, d, NULL, "example %u has label %d: the model has %d classes",
            i, s->y[i], classes);
  float *b = mem_array(n, sizeof *b), *a = mem_array(n, sizeof *a);
  const bool ok =
      graph_outputs(before, s, nz, host, classes, b, d) && graph_outputs(after, s, nz, host, classes, a, d);
  for (uint32_t i = 0; ok && i < s->n; i++) {
    const float *zb = b + (size_t)i * (size_t)classes, *za = a + (size_t)i * (size_t)classes;
    const int label = labels ? s->y[i] : argmax(zb, classes);
    const double lb = cross_entropy(zb, classes, label), la = cross_entropy(za, classes, label);
    loss[i] = (float)-la;
    gain[i] = (float)(lb - la);
  }
  mem_free(b);
  mem_free(a);
  return ok;
}

bool attack_membership(const Graph *before, const Graph *after, const Split *members, const Split *others,
                       const Normalize *nz, const Host *host, Attack *out, Diag *d) {
  const uint32_t m = members->n, n = m + others->n;
  *out = (Attack){.members = m, .others = others->n};
  FAIL_IF(m == 0 || others->n == 0, d, NULL, "the attack wants examples that were learnt from and others");
  const int classes = graph_classes(before, d);
  TRY(classes > 0);
  float *loss = mem_array(n, sizeof *loss), *gain = mem_array(n, sizeof *gain);
  int32_t *in = mem_array(n, sizeof *in);
  for (uint32_t i = 0; i < m; i++) in[i] = 1;
  /* Of one split alone, labels would tell it from the other whatever was learnt. */
  const bool labels = members->y && others->y;
  const bool ok = score(before, after, members, labels, nz, host, classes, loss, gain, d) &&
                  score(before, after, others, labels, nz, host, classes, loss + m, gain + m, d);
  if (ok) {
    out->loss = judge_auc(loss, in, n, &out->loss_stderr);
    out->gain = judge_auc(gain, in, n, &out->gain_stderr);
  }
  mem_free(loss);
  mem_free(gain);
  mem_free(in);
  return ok;
}
