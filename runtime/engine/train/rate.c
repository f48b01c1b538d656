/* The learning rate of a step: see rate.h. */
#include "runtime/engine/train/rate.h"

#include <math.h>

float train_rate(const TrainOptions *o, int64_t done, int64_t steps) {
  double at = (double)done / (double)steps, warm = (double)o->warmup * (double)steps, factor = 1;
  if (o->schedule == RATE_COSINE) factor = 0.5 * (1 + cos(3.14159265358979323846 * at));
  for (int i = 0; o->schedule == RATE_STEPS && i < o->n_drops; i++)
    if (at >= (double)o->drops[i]) factor *= (double)o->drop;
  if ((double)done + 1 < warm) factor *= ((double)done + 1) / warm;
  return (float)((double)o->lr * factor);
}
