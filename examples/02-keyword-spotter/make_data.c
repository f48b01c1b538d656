/* Makes the keyword spotter's data: words said by espeak-ng's voices, heard through rooms and noise, as cepstra.
 *
 *   voices.def --> speech.c --> room.c --> 49 frames of 10 cepstra (40 ms every 20 ms, 40 mel bands) --> bytes
 *
 * Example i of a split depends on seed, split and i alone (and espeak-ng's version). Files: SPLIT_x.npy int8 [N,49,10,1],
 * SPLIT_y.npy int32 [N], SPLIT_voice.npy int32 [N] (row of voices.def), classes.txt.
 */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "examples/02-keyword-spotter/speech.h"
#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "ir/base/strbuf.h"
#include "ir/tensor.h"
#include "runtime/data/features.h"

enum { FRAMES = 49, CEPSTRA = 10, ITEM = FRAMES * CEPSTRA, THREADS = 2 };

static const char *const split_names[SPLITS] = {"train", "val", "test"};

static const FeatureSpec spec = {.rate = RATE,
                                 .window = 640,
                                 .hop = 320,
                                 .bands = 40,
                                 .cepstra = CEPSTRA,
                                 .low = 60,
                                 .high = 7600,
                                 .floor = -100};

typedef struct Work {
  SplitId split;
  int64_t n, begin;
  uint64_t seed;
  int8_t *x;
  int32_t *y, *voice;
  bool ok;
  Diag *d;
} Work;

/* The first cepstrum is the level, -250 in the middle and twice as wide as the others need; those grow smaller upwards. */
static int8_t to_byte(double c, int k) {
  double v = k == 0 ? (c + 300) / 2.5 : c * (1.5 + 0.3 * k);
  return (int8_t)fmin(127, fmax(-128, floor(v + 0.5)));
}

static bool make_example(const Work *w, int64_t i, Features *f, float *x) {
  Rng r;
  float c[ITEM];
  int row = 0, label = (int)(i % CLASSES);
  rng_seed(&r, w->seed, (uint64_t)(w->split + 1) << 32 | (uint64_t)i);
  int voices = speech_voices(w->split, -1, &row);
  speech_voices(w->split, (int)rng_below(&r, (uint32_t)voices), &row);
  TRY(speech_say(row, label, &r, x, w->d));
  room_hear(&r, label != SILENCE, x);
  features_run(f, x, SECOND, c);
  for (int k = 0; k < ITEM; k++) w->x[i * ITEM + k] = to_byte((double)c[k], k % CEPSTRA);
  w->y[i] = label;
  w->voice[i] = row;
  return true;
}

/* Every THREADS-th example. */
static void *work(void *arg) {
  Work *w = arg;
  Features *f = features_new(&spec, w->d);
  float *x = mem_array(SECOND, sizeof *x);
  w->ok = f != NULL;
  for (int64_t i = w->begin; w->ok && i < w->n; i += THREADS) w->ok = make_example(w, i, f, x);
  mem_free(x);
  features_free(f);
  return NULL;
}

static bool make_all(Work w, Diag *d) {
  Work part[THREADS];
  pthread_t thread[THREADS];
  bool started[THREADS], ok = true;
  for (int t = 0; t < THREADS; t++) {
    part[t] = w;
    part[t].begin = t;
    part[t].d = diag_new();
    started[t] = pthread_create(&thread[t], NULL, work, &part[t]) == 0;
    if (!started[t]) work(&part[t]);
  }
  for (int t = 0; t < THREADS; t++) {
    if (started[t]) pthread_join(thread[t], NULL);
    if (!part[t].ok && ok) ok = diag_error(d, NULL, "%s", diag_text(part[t].d));
    diag_free(part[t].d);
  }
  return ok;
}

static bool make_split(SplitId split, int64_t n, uint64_t seed, const char *dir, Diag *d) {
  const char *name = split_names[split];
  Shape xs = shape_of(4, n, (int64_t)FRAMES, (int64_t)CEPSTRA, (int64_t)1), ns = shape_of(1, n);
  Tensor x = tensor_new(DT_I8, &xs), y = tensor_new(DT_I32, &ns), voice = tensor_new(DT_I32, &ns);
  bool ok = make_all(
      (Work){.split = split, .n = n, .seed = seed, .x = x.data, .y = y.data, .voice = voice.data}, d);
  Arena *a = arena_new();
  ok = ok && npy_write(path_join(a, dir, arena_printf(a, "%s_voice.npy", name)), &voice, d) &&
       npy_write(path_join(a, dir, arena_printf(a, "%s_x.npy", name)), &x, d) &&
       npy_write(path_join(a, dir, arena_printf(a, "%s_y.npy", name)), &y, d);
  arena_free(a);
  tensor_free(&x);
  tensor_free(&y);
  tensor_free(&voice);
  int row;
  if (ok)
    printf("%s/%s_{x,y}.npy: %lld examples of %d voices\n", dir, name, (long long)n,
           speech_voices(split, -1, &row));
  return ok;
}

static bool write_classes(const char *dir, Diag *d) {
  Arena *a = arena_new();
  StrBuf b = {0};
  for (int c = 0; c < CLASSES; c++) sb_printf(&b, "%s\n", class_name(c));
  bool ok = file_write(path_join(a, dir, "classes.txt"), sb_str(&b), b.len, d);
  sb_free(&b);
  arena_free(a);
  return ok;
}

static const char usage[] = "usage: make_data --out DIR [--count N] [--seed S]\n\n"
                            "Makes the keyword spotter's data by espeak-ng: 4800 examples for training, 960 "
                            "for validation and 1920 for test, each\n"
                            "split with voices of its own. --count N: N of each instead (1 to 1000000).\n";

static bool number(const char *text, long long most, long long *out) {
  char *end;
  *out = strtoll(text, &end, 10);
  return end != text && !*end && *out > 0 && *out <= most;
}

int main(int argc, char **argv) {
  static const int64_t usual[SPLITS] = {4800, 960, 1920};
  const char *dir = NULL;
  long long count = 0, seed = 1;
  bool ok = argc > 1 && argc % 2 == 1;
  for (int i = 1; ok && i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "--out") == 0)
      dir = argv[i + 1];
    else if (strcmp(argv[i], "--count") == 0)
      ok = number(argv[i + 1], 1000000, &count);
    else
      ok = strcmp(argv[i], "--seed") == 0 && number(argv[i + 1], INT64_MAX, &seed);
  }
  if (!ok || !dir) {
    fputs(usage, stderr);
    return 1;
  }
  Diag *d = diag_new();
  ok = speech_check(d) && file_make_dirs(dir, d) && write_classes(dir, d);
  for (SplitId s = SPLIT_TRAIN; ok && s < SPLITS; s++)
    ok = make_split(s, count ? count : usual[s], (uint64_t)seed, dir, d);
  diag_print(d, stderr);
  diag_free(d);
  return ok ? 0 : 1;
}
