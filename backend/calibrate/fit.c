/* Non-negative least squares of relative errors, coordinate by coordinate. */
#include <math.h>

#include "backend/calibrate/calibrate.h"

enum { ROUNDS = 400000 };

static double predict(const double x[WORK_COUNT], const CallWork *w) {
  double sum = 0;
  for (int f = 0; f < WORK_COUNT; f++) sum += x[f] * w->v[f];
  return sum;
}

/* The step along feature f that leaves the least error; x[f] stays >= 0. */
static double step_along(int f, const Sample *s, int n, const double *error, const double *x) {
  double dot = 0, norm = 0;
  for (int i = 0; i < n; i++) {
    double w = s[i].work.v[f] / s[i].cycles;
    dot += w * error[i];
    norm += w * w;
  }
  double to = norm == 0 ? x[f] : x[f] + dot / norm;
  if (to < 0) to = 0;
  return to - x[f];
}

double fit(const Sample *s, int n, double x[WORK_COUNT]) {
  double error[MAX_SAMPLES], worst = 0;
  for (int f = 0; f < WORK_COUNT; f++) x[f] = 0;
  for (int i = 0; i < n; i++) error[i] = 1;
  for (int round = 0; round < ROUNDS; round++) {
    int f = round % WORK_COUNT;
    double step = step_along(f, s, n, error, x);
    x[f] += step;
    for (int i = 0; i < n; i++) error[i] -= step * s[i].work.v[f] / s[i].cycles;
  }
  for (int f = 0; f < WORK_COUNT; f++)
    if (x[f] < 1e-3) x[f] = 0;
  for (int i = 0; i < n; i++) worst = fmax(worst, fabs(predict(x, &s[i].work) / s[i].cycles - 1));
  return worst;
}
