/* Features of a signal: frames of log band powers, or their cepstra (runtime/data/features.c).
 *
 *   x --> windows of `window` samples every `hop` --> Hann, |FFT|^2 --> triangles --> dB --> [DCT]
 *
 * Bands are equally wide in mel or in Hz. A sine of amplitude 1 in the middle of a band gives it nearly 0 dB.
 */
#ifndef RUNTIME_DATA_FEATURES_H
#define RUNTIME_DATA_FEATURES_H

#include <stdbool.h>
#include <stdint.h>

#include "ir/base/diag.h"

typedef struct FeatureSpec {
  int rate;        /* samples per second */
  int window, hop; /* samples */
  int bands;
  int cepstra;      /* 0: the bands in dB; else so many coefficients of their orthonormal DCT-II */
  bool linear;      /* bands by Hz, not by mel */
  double low, high; /* Hz: from where to where bands reach */
  double floor;     /* dB: no band is below */
} FeatureSpec;

typedef struct Features Features;

/* NULL: reported (sizes that are not positive, bands beyond half the rate). A band narrower than a bin is the bin nearest
 * its middle. */
Features *features_new(const FeatureSpec *spec, Diag *d);
void features_free(Features *f);
/* Rows that n samples give, 0 where they fill no window; numbers in a row. */
int64_t features_rows(const Features *f, int64_t n);
int features_columns(const Features *f);
/* x [n] float32, full scale 1; out [rows][columns] (written). f has scratch of its own: one thread at a time. */
void features_run(Features *f, const float *x, int64_t n, float *out);

/* Mel of a frequency in Hz and back: 2595 log10(1 + f / 700) (O'Shaughnessy 1987). */
double mel_of(double hz);
double mel_hz(double mel);

#endif
