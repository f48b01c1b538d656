/* The monitor of drift; drift.h has its rules. */
#include "runtime/device/drift.h"

#include "runtime/device/saturate.h"

enum {
  MF_DRIFT_STATISTICS = 4,
  MF_DRIFT_WINDOW = 16,
  MF_DRIFT_LEARN_LOG = 6, /* windows for the means, and again for the deviations */
  MF_DRIFT_LEARN = 1 << MF_DRIFT_LEARN_LOG,
  MF_DRIFT_LEARNED_SLACK = 192, /* half a deviation, and two standard errors of such means */
  MF_DRIFT_MOST = 4 * 256
};

MF_KERNEL void mistify_drift_reset(mistify_drift *d) {
  int32_t i;
  for (i = 0; i < MF_DRIFT_STATISTICS; i++) d->sum[i] = d->up[i] = d->down[i] = 0;
  d->count = d->learning = d->alarm = 0;
}

MF_KERNEL void mistify_drift_init(mistify_drift *d, const mistify_drift_reference *reference) {
  int32_t i;
  d->reference = reference;
  d->slack = reference->slack;
  for (i = 0; i < MF_DRIFT_STATISTICS; i++) {
    d->mean[i] = reference->mean[i];
    d->inverse[i] = reference->inverse[i];
  }
  mistify_drift_reset(d);
}

MF_KERNEL void mistify_drift_learn(mistify_drift *d) {
  int32_t i;
  mistify_drift_reset(d);
  for (i = 0; i < MF_DRIFT_STATISTICS; i++) d->mean[i] = d->inverse[i] = 0;
  d->learning = 2 * MF_DRIFT_LEARN;
}

MF_KERNEL void mistify_drift_input(mistify_drift *d, const void *codes, int32_t pieces) {
  const mistify_drift_reference *r = d->reference;
  const uint8_t *x = (const uint8_t *)codes;
  const int32_t flip = r->flip, usual = r->usual, next = r->next, step = r->step;
  const int32_t end = (int32_t)r->piece - next;
  uint32_t level = 0, spread = 0, rough = 0;
  for (; pieces > 0; pieces--, x += r->piece) {
    int32_t i;
    for (i = 0; i < end; i += step) {
      const int32_t code = x[i] ^ flip, beside = x[i + next] ^ flip;
      level += (uint32_t)code;
      spread += (uint32_t)(code > usual ? code - usual : usual - code);
      rough += (uint32_t)(code > beside ? code - beside : beside - code);
    }
  }
  d->sum[0] += level;
  d->sum[1] += spread;
  d->sum[2] += rough;
}

/* |difference| of a window in standard deviations x 256, cut. */
MF_HELPER int32_t mf_drift_z(uint32_t difference, uint32_t inverse) {
  return (int32_t)mf_least(mf_mul_most(difference, inverse) >> 16, MF_DRIFT_MOST);
}

/* One step of a cumulative sum; whether it is above the limit. */
static int mf_drift_step(uint16_t *s, int32_t z, const mistify_drift *d) {
  int32_t sum = *s + z - d->slack;
  if (sum < 0) sum = 0;
  if (sum > 0xffff) sum = 0xffff;
  *s = (uint16_t)sum;
  return sum > d->reference->limit;
}

MF_HELPER uint32_t mf_drift_off(const mistify_drift *d, int32_t i) {
  return d->sum[i] > d->mean[i] ? d->sum[i] - d->mean[i] : d->mean[i] - d->sum[i];
}

static void mf_drift_window(mistify_drift *d) {
  int32_t i;
  for (i = 0; i < MF_DRIFT_STATISTICS; i++) {
    const int higher = d->sum[i] > d->mean[i];
    const int32_t z = mf_drift_z(mf_drift_off(d, i), d->inverse[i]);
    if (mf_drift_step(&d->up[i], higher ? z : -z, d)) d->alarm |= (uint8_t)(1u << i);
    if (mf_drift_step(&d->down[i], higher ? -z : z, d)) d->alarm |= (uint8_t)(MISTIFY_DRIFT_DOWN << i);
  }
}

/* 2^24 / deviation; 0 where it is 0. By long division, once in a long time. */
static uint32_t mf_drift_inverse(uint32_t deviation) {
  uint32_t q = 0, rest = 0;
  int32_t bit;
  if (deviation == 0 || deviation >> 24) return 0;
  for (bit = 24; bit >= 0; bit--) {
    rest = rest << 1 | (bit == 24);
    q <<= 1;
    if (rest >= deviation) rest -= deviation, q |= 1;
  }
  return q;
}

/* A window of learning. The means are sums until they are known, then `inverse` is a sum of distances. A normal deviation is
 * 1.25 mean distances; 1.31, as 64 of them tell it to a tenth only. */
static void mf_drift_learned(mistify_drift *d) {
  const int means = d->learning > MF_DRIFT_LEARN;
  int32_t i;
  d->learning--;
  for (i = 0; i < MF_DRIFT_STATISTICS; i++) {
    uint32_t *at = means ? &d->mean[i] : &d->inverse[i];
    *at += means ? d->sum[i] : mf_drift_off(d, i);
    if (d->learning % MF_DRIFT_LEARN == 0) *at >>= MF_DRIFT_LEARN_LOG;
    if (d->learning == 0) *at = mf_drift_inverse(*at + (*at >> 2) + (*at >> 4));
  }
  if (d->learning == 0 && d->slack < MF_DRIFT_LEARNED_SLACK) d->slack = MF_DRIFT_LEARNED_SLACK;
}

MF_KERNEL int32_t mistify_drift_output(mistify_drift *d, uint32_t confidence) {
  int32_t i;
  d->sum[3] += confidence;
  if (++d->count < MF_DRIFT_WINDOW) return d->alarm;
  if (d->learning)
    mf_drift_learned(d);
  else
    mf_drift_window(d);
  for (i = 0; i < MF_DRIFT_STATISTICS; i++) d->sum[i] = 0;
  d->count = 0;
  return d->alarm;
}
