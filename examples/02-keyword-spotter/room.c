/* How a word is heard: echoes, noise, distance.
 *
 *   echoes  some tens of sparse ones with random signs, dying away exponentially ("velvet noise", Karjalainen and
 *           Jarvelainen 2007), in half of the examples; 60 dB in 0.1 to 0.5 s
 *   noise   white, pink (three one-pole filters), or mains hum with harmonics under white; its level 5 to 30 dB below the word's
 *   gain    of the microphone: +-10 dB
 */
#include <math.h>
#include <string.h>

#include "examples/02-keyword-spotter/speech.h"
#include "ir/base/mem.h"

static const double PI = 3.14159265358979323846;

static double between(Rng *r, double lo, double hi) { return lo + (hi - lo) * (double)rng_uniform(r); }

static void add_echoes(Rng *r, float *x) {
  enum { ECHOES = 48 };
  const double decay = between(r, 0.1, 0.5), loud = between(r, 0.05, 0.3);
  float *dry = mem_array(SECOND, sizeof *dry);
  memcpy(dry, x, SECOND * sizeof *dry);
  for (int k = 0; k < ECHOES; k++) {
    double t = between(r, 0.005, 0.8 * decay);
    float gain = (float)(loud * pow(10, -3 * t / decay) * (rng_below(r, 2) ? 1 : -1));
    int late = (int)(t * RATE);
    for (int i = late; i < SECOND; i++) x[i] += gain * dry[i - late];
  }
  mem_free(dry);
}

/* Noise of power about 1. */
static void make_noise(Rng *r, float *y) {
  const uint32_t kind = rng_below(r, 3);
  const double hum = between(r, 48, 62), phase = between(r, 0, 6);
  double a = 0, b = 0, c = 0, power = 0;
  for (int i = 0; i < SECOND; i++) {
    double w = (double)rng_normal(r), v = w;
    if (kind == 1) {
      a = 0.997 * a + 0.03 * w;
      b = 0.96 * b + 0.1 * w;
      c = 0.6 * c + 0.3 * w;
      v = a + b + c + 0.1 * w;
    } else if (kind == 2) {
      double t = 2 * PI * hum * i / RATE + phase;
      v = 0.3 * w + sin(t) + 0.5 * sin(3 * t) + 0.3 * sin(5 * t) + 0.2 * sin(7 * t);
    }
    y[i] = (float)v;
    power += v * v / SECOND;
  }
  for (int i = 0; i < SECOND; i++) y[i] /= (float)sqrt(power);
}

void room_hear(Rng *r, bool speech, float x[SECOND]) {
  float *noise = mem_array(SECOND, sizeof *noise);
  const double level = 0.1 * pow(10, -between(r, 5, 30) / 20), gain = pow(10, between(r, -10, 10) / 20);
  if (rng_below(r, 2) && speech) add_echoes(r, x);
  make_noise(r, noise);
  for (int i = 0; i < SECOND; i++) x[i] = (float)(gain * ((double)x[i] + level * (double)noise[i]));
  mem_free(noise);
}
