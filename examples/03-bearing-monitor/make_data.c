/* Makes the bearing monitor's data: spectrograms of machines' vibration, healthy ones to learn from, and for validation and test
 * healthy and faulty ones of machines that were never seen in training.
 *
 *   bearing.c --> 165 ms at 12.8 kHz --> 32 frames of 16 bands in dB, relative to their mean --> bytes
 *
 * Example i of a split depends on seed, split and i alone. Files: SPLIT_x.npy uint8 [N,32,16,1] (4 steps a dB, 128: the mean),
 * SPLIT_y.npy int32 [N] (0 healthy, 1 faulty), SPLIT_machine.npy int32 [N], SPLIT_fault.npy int32 [N].
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "examples/03-bearing-monitor/bearing.h"
#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "ir/tensor.h"
#include "runtime/data/features.h"

enum { FRAMES = 32, BANDS = 16, ITEM = FRAMES * BANDS };

/* Machines first .. first + machines - 1; no machine is in two splits. */
typedef struct SplitRow {
  const char *name;
  int64_t n;
  uint32_t first, machines;
  bool faults;
} SplitRow;

static SplitRow splits[] = {
    {"train", 6000, 0, 150, false}, {"val", 1200, 150, 20, true}, {"test", 2400, 170, 40, true}};

static const FeatureSpec spec = {.rate = RATE,
                                 .window = 128,
                                 .hop = 64,
                                 .bands = BANDS,
                                 .linear = true,
                                 .low = 0,
                                 .high = RATE / 2,
                                 .floor = -120};

/* Faults of 1 to 5 times the background, evenly in dB. */
static double pick_severity(Rng *r) { return 1.0 * pow(5, (double)rng_uniform(r)); }

static void to_bytes(const float *db, uint8_t *out) {
  double mean = 0;
  for (int i = 0; i < ITEM; i++) mean += (double)db[i] / ITEM;
  for (int i = 0; i < ITEM; i++) {
    double v = floor(128.5 + 4 * ((double)db[i] - mean));
    out[i] = (uint8_t)fmin(255, fmax(0, v));
  }
}

typedef struct Arrays {
  Tensor x, y, machine, fault;
} Arrays;

static void make_example(const SplitRow *s, int split, uint64_t seed, int64_t i, Features *f,
                         const Arrays *a) {
  Rng r;
  float signal[SAMPLES], db[ITEM];
  rng_seed(&r, seed, (uint64_t)(split + 1) << 32 | (uint64_t)i);
  uint32_t which = s->first + rng_below(&r, s->machines);
  Fault fault = s->faults && i % 2 ? (Fault)(1 + rng_below(&r, FAULTS - 1)) : FAULT_NONE;
  double severity = pick_severity(&r);
  Machine m = machine_make(seed, which);
  machine_run(&m, fault, severity, &r, signal);
  features_run(f, signal, SAMPLES, db);
  to_bytes(db, (uint8_t *)a->x.data + i * ITEM);
  ((int32_t *)a->y.data)[i] = fault != FAULT_NONE;
  ((int32_t *)a->machine.data)[i] = (int32_t)which;
  ((int32_t *)a->fault.data)[i] = (int32_t)fault;
}

static bool write_array(const char *dir, const char *split, const char *what, const Tensor *t, Diag *d) {
  Arena *a = arena_new();
  bool ok = npy_write(path_join(a, dir, arena_printf(a, "%s_%s.npy", split, what)), t, d);
  arena_free(a);
  return ok;
}

static bool make_split(const SplitRow *s, int split, uint64_t seed, const char *dir, Diag *d) {
  Features *f = features_new(&spec, d);
  TRY(f);
  ASSERT(features_rows(f, SAMPLES) == FRAMES);
  Shape xs = shape_of(4, s->n, (int64_t)FRAMES, (int64_t)BANDS, (int64_t)1), ns = shape_of(1, s->n);
  Arrays a = {tensor_new(DT_U8, &xs), tensor_new(DT_I32, &ns), tensor_new(DT_I32, &ns),
              tensor_new(DT_I32, &ns)};
  for (int64_t i = 0; i < s->n; i++) make_example(s, split, seed, i, f, &a);
  features_free(f);
  bool ok = write_array(dir, s->name, "machine", &a.machine, d) &&
            write_array(dir, s->name, "fault", &a.fault, d) && write_array(dir, s->name, "x", &a.x, d) &&
            write_array(dir, s->name, "y", &a.y, d);
  tensor_free(&a.x);
  tensor_free(&a.y);
  tensor_free(&a.machine);
  tensor_free(&a.fault);
  if (ok)
    printf("%s/%s_{x,y}.npy: %lld examples of %u machines\n", dir, s->name, (long long)s->n, s->machines);
  return ok;
}

static const char usage[] = "usage: make_data --out DIR [--count N] [--seed S]\n\n"
                            "Makes the bearing monitor's data: 6000 examples of 60 healthy machines to learn "
                            "from; 1200 and 2400 of 16 and 24\n"
                            "others, half of them faulty, for validation and test. --count N: N of each "
                            "split instead (1 to 1000000).\n";

static bool number(const char *text, long long most, long long *out) {
  char *end;
  *out = strtoll(text, &end, 10);
  return end != text && !*end && *out > 0 && *out <= most;
}

int main(int argc, char **argv) {
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
  ok = file_make_dirs(dir, d);
  for (int s = 0; ok && s < 3; s++) {
    if (count) splits[s].n = count;
    ok = make_split(&splits[s], s, (uint64_t)seed, dir, d);
  }
  diag_print(d, stderr);
  diag_free(d);
  return ok ? 0 : 1;
}
