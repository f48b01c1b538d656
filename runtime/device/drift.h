/* Drift: has what the model sees moved away from what it was made for? This text ships in generated code: integers only, no
 * allocation, no globals. RAM: sizeof(mistify_drift), 76 bytes on a 32-bit machine; some 2,500 instructions an inference
 * at 256 samples of the input.
 *
 *   codes of the input, sampled --> level, spread, roughness --+
 *   output --> confidence --------------------------------------+--> sums of 16 inferences --> z --> 8 CUSUMs --> alarm
 *
 *   level       sum of codes                    exposure, contrast
 *   spread      sum of |code - usual level|     contrast, exposure
 *   roughness   sum of |code - its neighbour|   blur, noise, compression
 *   confidence  how far the best output is above the next one (mistify_confidence)
 *
 * Of each window of 16 inferences, z is how many standard deviations its sum is off the reference's mean, cut at 4; for each
 * statistic and direction a cumulative sum (Page 1954) S = max(0, S + z - slack) raises the alarm above `limit`. Slack and limit
 * are set when the code is made, so that false alarms of inputs like the reference's, independent of one another, are as rare
 * as was asked for. Inputs that follow one another closely are not independent: then give it every n-th alone.
 *
 * The reference is of training data. After an adaptation inputs are as new to it as before: mistify_drift_learn takes means,
 * then deviations, anew from the next 2048 inferences, during which it raises no alarm.
 */
#ifndef MF_DRIFT_H
#define MF_DRIFT_H

#include "runtime/kernels/kernel.h"

#ifndef MISTIFY_DRIFT
#define MISTIFY_DRIFT 1 /* version of these types */
enum {
  MISTIFY_DRIFT_LEVEL = 1,
  MISTIFY_DRIFT_SPREAD = 2,
  MISTIFY_DRIFT_ROUGHNESS = 4,
  MISTIFY_DRIFT_CONFIDENCE = 8,
  MISTIFY_DRIFT_DOWN = 16 /* times one of these: it is lower than it was; otherwise higher */
};

/* What inputs and confidence were like, of 16 inferences each; a constant that is made with the model. */
typedef struct mistify_drift_reference {
  uint32_t mean[4];    /* of a window's sum: level, spread, roughness, confidence */
  uint32_t inverse[4]; /* 2^24 / its standard deviation; 0: this one is not watched */
  uint16_t slack;      /* 256: one standard deviation */
  uint16_t limit;      /* the same */
  uint32_t piece;      /* codes that are sampled together: all of the input, or one of its rows */
  uint16_t step, next; /* codes from one sample to the next, and from a sample to its neighbour */
  uint8_t flip;        /* codes of the input: 128 int8, 0 uint8 */
  uint8_t usual;       /* the usual level, of 0 .. 255 */
} mistify_drift_reference;

/* The monitor's state: the program's to hold. */
typedef struct mistify_drift {
  const mistify_drift_reference *reference;
  uint32_t mean[4], inverse[4], sum[4];
  uint16_t up[4], down[4];
  uint16_t slack;
  uint8_t count;    /* inferences of this window */
  uint8_t learning; /* windows to go until all is known */
  uint8_t alarm;
} mistify_drift;
#endif

MF_KERNEL void mistify_drift_init(mistify_drift *d, const mistify_drift_reference *reference);

/* The input of an inference, or some pieces of it (rows): pieces x reference->piece codes. */
MF_KERNEL void mistify_drift_input(mistify_drift *d, const void *codes, int32_t pieces);

/* The inference has ended. Returns the alarm: 0, or bits of MISTIFY_DRIFT_..., which stay until reset. */
MF_KERNEL int32_t mistify_drift_output(mistify_drift *d, uint32_t confidence);

/* Begin anew with the same means: the alarm has been heard. */
MF_KERNEL void mistify_drift_reset(mistify_drift *d);

/* Begin anew with the means and deviations of what comes next. */
MF_KERNEL void mistify_drift_learn(mistify_drift *d);

#endif
