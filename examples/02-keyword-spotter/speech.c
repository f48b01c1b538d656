/* espeak-ng as a process that writes a .wav to a pipe; its 22.05 kHz resampled to 16 kHz by a windowed sinc.
 *
 * Only words of this file are put into the command. Which variants espeak-ng has is asked first: it would take its default
 * voice for one that it does not know, and that would be the same voice in two splits.
 */
#include "examples/02-keyword-spotter/speech.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ir/base/mem.h"

static const double PI = 3.14159265358979323846;

static const char *const names[CLASSES] = {"yes", "no",  "up",   "down", "left",    "right",
                                           "on",  "off", "stop", "go",   "unknown", "silence"};
static const char *const others[] = {"one",   "two",   "three", "four",   "five",  "six",  "seven",
                                     "eight", "nine",  "zero",  "bed",    "bird",  "cat",  "dog",
                                     "happy", "house", "tree",  "wow",    "apple", "blue", "chair",
                                     "table", "water", "green", "window", "paper", "music"};
static const char *const accents[] = {"en-us",          "en-gb",          "en-gb-scotland", "en-gb-x-rp",
                                      "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029"};
static const struct {
  SplitId split;
  const char *name;
} voices[] = {
#define VOICE(split, name) {split, name},
#include "examples/02-keyword-spotter/voices.def"
#undef VOICE
};
enum { VOICES = sizeof voices / sizeof *voices, COUNT_OTHERS = sizeof others / sizeof *others };

const char *class_name(int label) { return names[label]; }

int speech_voices(SplitId split, int k, int *row) {
  int n = 0;
  for (int i = 0; i < VOICES; i++) {
    if (voices[i].split != split) continue;
    if (n == k) *row = i;
    n++;
  }
  return n;
}

/* -- what is installed -- */

/* The text lists a variant as a word "!v/NAME". */
static bool has_variant(const char *text, const char *name) {
  size_t n = strlen(name);
  for (const char *p = text; (p = strstr(p, "!v/")); p += 3)
    if (strncmp(p + 3, name, n) == 0 && (p[3 + n] == ' ' || p[3 + n] == '\n')) return true;
  return false;
}

bool speech_check(Diag *d) {
  static char text[32768];
  FILE *f = popen("espeak-ng --voices=variant 2>/dev/null", "r");
  size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
  text[n] = 0;
  if (f) pclose(f);
  if (n == 0) {
    diag_error(d, NULL, "espeak-ng is not installed: it says the words");
    diag_hint(d, "scripts/install-deps demo-02 installs it");
    return false;
  }
  for (int i = 0; i < VOICES; i++) {
    FAIL_IF(!has_variant(text, voices[i].name), d, NULL, "espeak-ng has no variant \"%s\" (voices.def)",
            voices[i].name);
    for (int j = 0; j < i; j++)
      FAIL_IF(strcmp(voices[i].name, voices[j].name) == 0, d, NULL, "voices.def has \"%s\" twice",
              voices[i].name);
  }
  return true;
}

/* -- sound -- */

enum { LONGEST = 3 * 22050, HEAD = 44, TAPS = 16 };

/* x at time t (in its samples): a sinc of the lower rate's half under a Hann window of 2 TAPS samples. */
static double sample_at(const int16_t *x, int n, double t, double cut) {
  double sum = 0;
  for (int i = (int)t - TAPS + 1; i <= (int)t + TAPS; i++) {
    if (i < 0 || i >= n) continue;
    double u = t - i, s = fabs(u) < 1e-9 ? 1 : sin(PI * cut * u) / (PI * cut * u);
    sum += x[i] * s * cut * (0.5 + 0.5 * cos(PI * u / TAPS));
  }
  return sum / 32768;
}

/* What espeak-ng says, without silence before and after; returns its samples, 0: nothing came. */
static int speak(const char *accent, const char *voice, int rate, int pitch, const char *word, int16_t *x) {
  char command[256];
  static const int quiet = 200;
  snprintf(command, sizeof command, "espeak-ng -v %s+%s -s %d -p %d --stdout %s 2>/dev/null", accent, voice,
           rate, pitch, word);
  FILE *f = popen(command, "r");
  char head[HEAD];
  size_t n = f && fread(head, 1, HEAD, f) == HEAD ? fread(x, sizeof *x, LONGEST, f) : 0;
  if (f) pclose(f);
  size_t from = 0;
  while (n > 0 && x[n - 1] < quiet && x[n - 1] > -quiet) n--;
  while (from < n && x[from] < quiet && x[from] > -quiet) from++;
  memmove(x, x + from, (n - from) * sizeof *x);
  return (int)(n - from);
}

static void set_level(float *x, int n) {
  double power = 1e-9;
  for (int i = 0; i < n; i++) power += (double)x[i] * (double)x[i] / n;
  for (int i = 0; i < n; i++) x[i] *= (float)(0.1 / sqrt(power));
}

bool speech_say(int row, int label, Rng *r, float x[SECOND], Diag *d) {
  memset(x, 0, SECOND * sizeof *x);
  const char *accent = accents[rng_below(r, sizeof accents / sizeof *accents)],
             *word = label == UNKNOWN ? others[rng_below(r, COUNT_OTHERS)] : names[label];
  int rate = 120 + (int)rng_below(r, 100), pitch = 25 + (int)rng_below(r, 51);
  if (label == SILENCE) return true;
  int16_t *raw = mem_array(LONGEST, sizeof *raw);
  const double step = 22050.0 / RATE;
  int n = speak(accent, voices[row].name, rate, pitch, word, raw), have = (int)(n / step);
  if (have > SECOND) have = SECOND;
  int from = (int)rng_below(r, (uint32_t)(SECOND - have) + 1);
  for (int i = 0; i < have; i++) x[from + i] = (float)sample_at(raw, n, i * step, 1 / step);
  mem_free(raw);
  FAIL_IF(n < 1000, d, NULL, "espeak-ng said nothing for \"%s\" by %s+%s", word, accent, voices[row].name);
  set_level(x + from, have);
  return true;
}
