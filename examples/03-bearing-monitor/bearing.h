/* Vibration of a machine with a rolling bearing, as an accelerometer on its housing sees it. */
#ifndef BEARING_MONITOR_BEARING_H
#define BEARING_MONITOR_BEARING_H

#include "ir/base/rng.h"

enum { RATE = 12800, SAMPLES = 2112 }; /* 165 ms: 32 frames */

typedef enum Fault { FAULT_NONE, FAULT_OUTER, FAULT_INNER, FAULT_BALL, FAULTS } Fault;

typedef struct Machine {
  double shaft;        /* turns per second */
  double resonance[2]; /* Hz, of the housing */
  double damping[2];   /* share of critical */
  double gain[2];      /* how strongly noise rings in it */
  double tone[4];      /* amplitudes of shaft and blade harmonics */
  int blades;
  double tilt, floor; /* of the background noise: low-pass share, level */
  int balls;
  double diameter, contact; /* of a ball against the pitch circle, cosine of the contact angle */
} Machine;

/* Machine `index` of a fleet of seed. */
Machine machine_make(uint64_t seed, uint32_t index);

/* How often a ball passes a flaw of this place, per second: outer race N/2 f (1 - d), inner race N/2 f (1 + d), ball
 * f / (2 q) (1 - d^2) times two, with d = q cos(contact), q ball over pitch diameter. 0 for FAULT_NONE. */
double machine_fault_rate(const Machine *m, Fault fault);

/* SAMPLES of its vibration. severity: energy of the flaw's impacts against the background's, in its strongest band. */
void machine_run(const Machine *m, Fault fault, double severity, Rng *r, float *x);

#endif
