/* The model of a bearing's vibration:
 *
 *   tones       of the shaft and of a fan's blades
 *   background  noise of flow and friction, low-pass, which makes the housing ring at its resonances
 *   impacts     a flaw is struck at its fault frequency, with 1 to 2 % of slip, and each blow rings in the resonances;
 *               blows are stronger while the flaw is in the load zone: never on the outer race (it stays there), once a
 *               turn on the inner race, once a turn of the cage on a ball
 *
 * Source: McFadden and Smith, "Model for the vibration produced by a single point defect in a rolling element bearing",
 * J. Sound Vib. 96 (1984); slip: Antoni and Randall 2003; frequencies: Randall and Antoni, "Rolling element bearing
 * diagnostics - a tutorial", MSSP 25 (2011), section 2.
 */
#include "examples/03-bearing-monitor/bearing.h"

#include <math.h>
#include <string.h>

static const double PI = 3.14159265358979323846;

static double between(Rng *r, double lo, double hi) { return lo + (hi - lo) * (double)rng_uniform(r); }

Machine machine_make(uint64_t seed, uint32_t index) {
  Rng r;
  Machine m;
  rng_seed(&r, seed, UINT64_C(0x6d616368) << 32 | index);
  m.shaft = between(&r, 18, 50);
  m.resonance[0] = between(&r, 1200, 2600);
  m.resonance[1] = between(&r, 3000, 5400);
  for (int i = 0; i < 2; i++) {
    m.damping[i] = between(&r, 0.02, 0.06);
    m.gain[i] = between(&r, 0.15, 0.6);
  }
  for (int i = 0; i < 4; i++) m.tone[i] = between(&r, 0.02, 0.4);
  m.blades = 5 + (int)rng_below(&r, 8);
  m.tilt = between(&r, 0.3, 0.7);
  m.floor = between(&r, 0.02, 0.08);
  m.balls = 7 + (int)rng_below(&r, 6);
  m.diameter = between(&r, 0.17, 0.25);
  m.contact = between(&r, 0.9, 1);
  return m;
}

double machine_fault_rate(const Machine *m, Fault fault) {
  const double d = m->diameter * m->contact;
  switch (fault) {
  case FAULT_OUTER: return 0.5 * m->balls * m->shaft * (1 - d);
  case FAULT_INNER: return 0.5 * m->balls * m->shaft * (1 + d);
  case FAULT_BALL: return m->shaft / m->diameter * (1 - d * d); /* it strikes both races */
  default: return 0;
  }
}

/* Turns per second with which the flaw passes the load zone; 0: it stays. */
static double load_rate(const Machine *m, Fault fault) {
  if (fault == FAULT_INNER) return m->shaft;
  return fault == FAULT_BALL ? 0.5 * m->shaft * (1 - m->diameter * m->contact) : 0;
}

/* y += gain * x filtered by a resonance: two poles at its frequency, scaled to pass white noise at its power. */
static void ring(double hz, double damping, double gain, const double *x, double *y, int n) {
  const double p = exp(-2 * PI * hz * damping / RATE), a = 2 * p * cos(2 * PI * hz / RATE), b = -p * p,
               k = gain * sqrt((1 + b) * ((1 - b) * (1 - b) - a * a) / (1 - b));
  double y1 = 0, y2 = 0;
  for (int i = 0; i < n; i++) {
    double v = x[i] + a * y1 + b * y2;
    y2 = y1;
    y1 = v;
    y[i] += k * v;
  }
}

/* Blows from a while before the window, so that it begins somewhere in their train. */
static void add_blows(const Machine *m, Fault fault, double strength, Rng *r, double *blow, int n) {
  const double rate = machine_fault_rate(m, fault), zone = load_rate(m, fault), phase = between(r, 0, 2 * PI);
  if (rate <= 0) return;
  for (double t = between(r, 0, 1 / rate); t * RATE < n; t += (1 + 0.015 * (double)rng_normal(r)) / rate) {
    double load = zone > 0 ? fmax(0, 0.3 + 0.7 * cos(2 * PI * zone * t + phase)) : 1;
    blow[(int)(t * RATE)] += strength * load * between(r, 0.8, 1.2) * sqrt(RATE / rate);
  }
}

void machine_run(const Machine *m, Fault fault, double severity, Rng *r, float *x) {
  enum { LEAD = 600, ALL = LEAD + SAMPLES }; /* what rings before the window begins */
  double noise[ALL], blow[ALL], y[ALL];
  double low = 0, level = m->floor * between(r, 0.8, 1.25), load = between(r, 0.7, 1.3);
  memset(blow, 0, sizeof blow);
  for (int i = 0; i < ALL; i++) {
    double w = (double)rng_normal(r);
    low = m->tilt * low + (1 - m->tilt) * w;
    noise[i] = level * load * (low + 0.3 * w);
    y[i] = noise[i];
  }
  if (fault != FAULT_NONE) add_blows(m, fault, level * severity, r, blow, ALL);
  for (int i = 0; i < ALL; i++) blow[i] += noise[i];
  for (int k = 0; k < 2; k++) ring(m->resonance[k], m->damping[k], 2 * m->gain[k], blow, y, ALL);
  const double speed = m->shaft * between(r, 0.97, 1.03),
               phase[4] = {between(r, 0, 6), between(r, 0, 6), between(r, 0, 6), between(r, 0, 6)};
  const double times[4] = {1, 2, m->blades, 2 * m->blades};
  for (int i = 0; i < SAMPLES; i++) {
    double v = y[LEAD + i];
    for (int k = 0; k < 4; k++)
      v += level * m->tone[k] * load * sin(2 * PI * times[k] * speed * i / RATE + phase[k]);
    x[i] = (float)v;
  }
}
