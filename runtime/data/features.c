/* Log band powers and cepstra; see features.h.
 *
 * The spectrum is that of the real window by a complex FFT of radix 2, padded with zeros to a power of two, scaled by
 * 4 / (size sum of the window^2), so that the bins around a sine sum up to its amplitude squared (Parseval). Band b is a triangle between the edges b, b + 1,
 * b + 2 of bands + 2 edges, highest (1) at its middle, summed over bins; where it is narrower than a bin, the bin nearest its
 * middle stands for it. Everything is computed in double.
 * Source: Davis and Mermelstein, "Comparison of parametric representations for monosyllabic word recognition", IEEE TASSP 28
 * (1980); Cooley and Tukey 1965.
 */
#include "runtime/data/features.h"

#include <math.h>

#include "ir/base/mem.h"

static const double PI = 3.14159265358979323846;

struct Features {
  FeatureSpec spec;
  int size, bins;        /* of the FFT; size / 2 + 1 */
  double *window;        /* [window], scaled */
  double *cosine, *sine; /* [size / 2] of 2 pi i / size */
  double *triangle;      /* [bands][bins] */
  double *dct;           /* [cepstra][bands] */
  double *re, *im, *db;  /* scratch [size], [size], [bands] */
};

double mel_of(double hz) { return 2595 * log10(1 + hz / 700); }
double mel_hz(double mel) { return 700 * (pow(10, mel / 2595) - 1); }

/* Edge e of bands + 2, in Hz. */
static double edge(const FeatureSpec *s, int e) {
  double share = (double)e / (s->bands + 1);
  if (s->linear) return s->low + share * (s->high - s->low);
  return mel_hz(mel_of(s->low) + share * (mel_of(s->high) - mel_of(s->low)));
}

static void set_triangle(const Features *f, int band, double *out) {
  const double lo = edge(&f->spec, band), mid = edge(&f->spec, band + 1), hi = edge(&f->spec, band + 2),
               step = (double)f->spec.rate / f->size;
  double sum = 0;
  for (int k = 0; k < f->bins; k++) {
    double hz = k * step, w = hz <= mid ? (hz - lo) / (mid - lo) : (hi - hz) / (hi - mid);
    out[k] = w > 0 ? w : 0;
    sum += out[k];
  }
  if (sum >= 0.5) return;
  for (int k = 0; k < f->bins; k++) out[k] = 0;
  out[(int)floor(mid / step + 0.5)] = 1;
}

static void set_tables(Features *f) {
  const FeatureSpec *s = &f->spec;
  double sum = 0;
  for (int i = 0; i < s->window; i++) {
    f->window[i] = 0.5 - 0.5 * cos(2 * PI * i / s->window);
    sum += f->window[i] * f->window[i];
  }
  for (int i = 0; i < s->window; i++) f->window[i] *= 2 / sqrt(f->size * sum);
  for (int i = 0; i < f->size / 2; i++) {
    f->cosine[i] = cos(2 * PI * i / f->size);
    f->sine[i] = sin(2 * PI * i / f->size);
  }
  for (int b = 0; b < s->bands; b++) set_triangle(f, b, f->triangle + (int64_t)b * f->bins);
  for (int c = 0; c < s->cepstra; c++)
    for (int b = 0; b < s->bands; b++)
      f->dct[c * s->bands + b] = sqrt((c ? 2.0 : 1.0) / s->bands) * cos(PI * c * (b + 0.5) / s->bands);
}

static bool check_spec(const FeatureSpec *s, Diag *d) {
  enum { MOST = 1 << 20 };
  FAIL_IF(s->rate < 1 || s->window < 2 || s->window > MOST || s->hop < 1 || s->bands < 1 || s->bands > 4096,
          d, NULL,
          "features: rate %d, window %d, hop %d, %d bands: want 1 or more, a window of 2 to %d samples",
          s->rate, s->window, s->hop, s->bands, MOST);
  FAIL_IF(!(s->low >= 0) || !(s->high > s->low) || s->high > 0.5 * s->rate, d, NULL,
          "features: bands from %g to %g Hz: want rising frequencies up to %g, half the rate", s->low,
          s->high, 0.5 * s->rate);
  FAIL_IF(s->cepstra < 0 || s->cepstra > s->bands, d, NULL, "features: %d cepstra of %d bands: want 0 to %d",
          s->cepstra, s->bands, s->bands);
  return true;
}

Features *features_new(const FeatureSpec *spec, Diag *d) {
  if (!check_spec(spec, d)) return NULL;
  Features *f = mem_array(1, sizeof *f);
  f->spec = *spec;
  for (f->size = 2; f->size < spec->window;) f->size *= 2;
  f->bins = f->size / 2 + 1;
  f->window = mem_array((size_t)spec->window, sizeof(double));
  f->cosine = mem_array((size_t)f->size / 2, sizeof(double));
  f->sine = mem_array((size_t)f->size / 2, sizeof(double));
  f->triangle = mem_array((size_t)spec->bands * (size_t)f->bins, sizeof(double));
  f->dct = mem_array((size_t)spec->cepstra * (size_t)spec->bands + 1, sizeof(double));
  f->re = mem_array((size_t)f->size, sizeof(double));
  f->im = mem_array((size_t)f->size, sizeof(double));
  f->db = mem_array((size_t)spec->bands, sizeof(double));
  set_tables(f);
  return f;
}

void features_free(Features *f) {
  if (!f) return;
  double *const all[] = {f->window, f->cosine, f->sine, f->triangle, f->dct, f->re, f->im, f->db};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) mem_free(all[i]);
  mem_free(f);
}

int64_t features_rows(const Features *f, int64_t n) {
  return n < f->spec.window ? 0 : 1 + (n - f->spec.window) / f->spec.hop;
}

int features_columns(const Features *f) { return f->spec.cepstra ? f->spec.cepstra : f->spec.bands; }

/* -- spectrum -- */

static void bit_reverse(double *re, double *im, int n) {
  for (int i = 1, j = 0; i < n; i++) {
    int bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i >= j) continue;
    double a = re[i], b = im[i];
    re[i] = re[j], im[i] = im[j];
    re[j] = a, im[j] = b;
  }
}

static void fft(const Features *f, double *re, double *im) {
  const int n = f->size;
  bit_reverse(re, im, n);
  for (int half = 1; half < n; half *= 2)
    for (int from = 0; from < n; from += 2 * half)
      for (int k = 0; k < half; k++) {
        const double c = f->cosine[k * (n / (2 * half))], s = f->sine[k * (n / (2 * half))];
        const int i = from + k, j = i + half;
        const double a = c * re[j] + s * im[j], b = c * im[j] - s * re[j];
        re[j] = re[i] - a, im[j] = im[i] - b;
        re[i] += a, im[i] += b;
      }
}

static void power(Features *f, const float *x) {
  for (int i = 0; i < f->size; i++) {
    f->re[i] = i < f->spec.window ? f->window[i] * (double)x[i] : 0;
    f->im[i] = 0;
  }
  fft(f, f->re, f->im);
  for (int k = 0; k < f->bins; k++) f->re[k] = f->re[k] * f->re[k] + f->im[k] * f->im[k];
}

/* -- rows -- */

static void set_bands(Features *f) {
  for (int b = 0; b < f->spec.bands; b++) {
    const double *w = f->triangle + (int64_t)b * f->bins;
    double sum = 0;
    for (int k = 0; k < f->bins; k++) sum += w[k] * f->re[k];
    double db = sum > 0 ? 10 * log10(sum) : f->spec.floor;
    f->db[b] = db > f->spec.floor ? db : f->spec.floor;
  }
}

void features_run(Features *f, const float *x, int64_t n, float *out) {
  const FeatureSpec *s = &f->spec;
  for (int64_t r = 0; r < features_rows(f, n); r++, out += features_columns(f)) {
    power(f, x + r * s->hop);
    set_bands(f);
    for (int b = 0; !s->cepstra && b < s->bands; b++) out[b] = (float)f->db[b];
    for (int c = 0; c < s->cepstra; c++) {
      double sum = 0;
      for (int b = 0; b < s->bands; b++) sum += f->dct[c * s->bands + b] * f->db[b];
      out[c] = (float)sum;
    }
  }
}
